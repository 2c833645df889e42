// gradient[i] = w_x sum over j != i of dk(x_i, x_j)/dx_i + w_y sum over j of dk(x_i, y_j)/dx_i
//
// x: (n, d)    y: (m, d)    scales: (bandwidths)    weights: w_x, w_y    gradient: (n, d)
//
// A workgroup has one point x_i. For THREADS other points at a time, each thread finds the factor of one; then
// each adds up differences times factors for coordinates THREADS apart. Nothing is added out of order.
//
// with: family, exponential

struct Params {
    n: u32,
    m: u32,
    d: u32,
    bandwidths: u32,
}

override FAMILY: u32;
override THREADS: u32;

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
    let all = params.n + params.m;
    for (var first = 0u; first < all; first += THREADS) {
        let j = first + thread;
        var factor = 0.0;
        if j < all && j != i {
            var distance = 0.0;
            for (var f = 0u; f < params.d; f++) {
                distance += distance_part(FAMILY, x[i * params.d + f] - other(j, f));
            }
            for (var b = 0u; b < params.bandwidths; b++) {
                factor += kernel_slope(FAMILY, scales[b], distance);
            }
            factor *= weights[select(0u, 1u, j >= params.n)];
        }
        factors[thread] = factor;
        workgroupBarrier();
        for (var f = thread; f < params.d; f += THREADS) {
            var sum = 0.0;
            for (var t = 0u; t < min(THREADS, all - first); t++) {
                sum += factors[t] * direction(x[i * params.d + f] - other(first + t, f));
            }
            let place = i * params.d + f;
            gradient[place] = sum + select(gradient[place], 0.0, first == 0u);
        }
        workgroupBarrier();
    }
}

// Coordinate f of point j of X and then Y.
fn other(j: u32, f: u32) -> f32 {
    if j < params.n {
        return x[j * params.d + f];
    }
    return y[(j - params.n) * params.d + f];
}

fn direction(t: f32) -> f32 {
    return select(t, sign(t), FAMILY == LAPLACE);
}
