// gradient[i] = w_x sum over j != i of dk(x_i, x_j)/dx_i + w_y sum over j of dk(x_i, y_j)/dx_i
//
// x: (n, d)    y: (m, d)    scales: (bandwidths)    weights: w_x, w_y    gradient: (n, d)
//
// A workgroup has one point x_i. For THREADS other points at a time, each thread finds the factor of one; then
// each adds up differences times factors for coordinates THREADS apart. Nothing is added out of order.

struct Params {
    n: u32,
    m: u32,
    d: u32,
    bandwidths: u32,
}

override FAMILY: u32;
override THREADS: u32;

const GAUSSIAN = 0u;
const LAPLACE = 1u;
const IMQ = 2u;
const LN2 = 0.6931472;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read> scales: array<f32>;
@group(0) @binding(4) var<storage, read> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>;

var<workgroup> factors: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = group.x;
    for (var first = 0u; first < params.n; first += THREADS) {
        let j = first + thread;
        var factor = 0.0;
        if j < params.n && j != i {
            var distance = 0.0;
            for (var f = 0u; f < params.d; f++) {
                distance += part(x[i * params.d + f] - x[j * params.d + f]);
            }
            factor = weights[0] * factor_of(distance);
        }
        factors[thread] = factor;
        workgroupBarrier();
        for (var f = thread; f < params.d; f += THREADS) {
            var sum = 0.0;
            for (var other = 0u; other < min(THREADS, params.n - first); other++) {
                sum += factors[other] * direction(x[i * params.d + f] - x[(first + other) * params.d + f]);
            }
            let place = i * params.d + f;
            gradient[place] = sum + select(gradient[place], 0.0, first == 0u);
        }
        workgroupBarrier();
    }
    for (var first = 0u; first < params.m; first += THREADS) {
        let j = first + thread;
        var factor = 0.0;
        if j < params.m {
            var distance = 0.0;
            for (var f = 0u; f < params.d; f++) {
                distance += part(x[i * params.d + f] - y[j * params.d + f]);
            }
            factor = weights[1] * factor_of(distance);
        }
        factors[thread] = factor;
        workgroupBarrier();
        for (var f = thread; f < params.d; f += THREADS) {
            var sum = 0.0;
            for (var other = 0u; other < min(THREADS, params.m - first); other++) {
                sum += factors[other] * direction(x[i * params.d + f] - y[(first + other) * params.d + f]);
            }
            gradient[i * params.d + f] += sum;
        }
        workgroupBarrier();
    }
}

// What a difference of two coordinates adds to the distance.
fn part(t: f32) -> f32 {
    return select(t * t, abs(t), FAMILY == LAPLACE);
}

fn direction(t: f32) -> f32 {
    return select(t, sign(t), FAMILY == LAPLACE);
}

fn factor_of(distance: f32) -> f32 {
    var sum = 0.0;
    for (var b = 0u; b < params.bandwidths; b++) {
        let scale = scales[b];
        if FAMILY == GAUSSIAN {
            sum += 2.0 * LN2 * scale * exp2_negative(vec4(scale * distance)).x;
        } else if FAMILY == LAPLACE {
            sum += LN2 * scale * exp2_negative(vec4(scale * distance)).x;
        } else if FAMILY == IMQ {
            let k = 1.0 / sqrt(1.0 + scale * distance);
            sum += -scale * k * k * k;
        } else if distance > 0.0 {
            sum += scale / sqrt(distance);
        }
    }
    return sum;
}
