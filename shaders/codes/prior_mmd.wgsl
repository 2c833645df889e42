// mmd2 = 1 / (B (B - 1)) sum over i != j of k(z_i, z_j) - 2 / B sum over i of E k(z_i, .) + E k, and d mmd2 / dz
//     k(a, b) = exp(-|a - b|^2 / h)      E k(z, .) = c exp(-|z|^2 / (h + 2))
//
// z, gradient: (B, M)    mmd_ring: (slots, B): what each code adds to mmd2, without E k
//
// A workgroup has one code z_i. For THREADS others at a time, each thread finds the term of one; then each adds up
// differences times factors for coordinates THREADS apart. In the place of z_i itself stands the prior, whose
// distance is that to its mean, 0. Nothing is added out of order.
//
// with: exponential, reduce, step

struct Params {
    batch: u32,
    latent: u32,
    // A term is weight 2^(scale distance), and its gradient slope term difference: for codes and for the prior.
    pair_scale: f32,
    pair_weight: f32,
    pair_slope: f32,
    prior_scale: f32,
    prior_weight: f32,
    prior_slope: f32,
}

override THREADS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(4) var<storage, read_write> mmd_ring: array<f32>;

var<workgroup> factors: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = group.x;
    var value = 0.0;
    for (var first = 0u; first < params.batch; first += THREADS) {
        let j = first + thread;
        var factor = 0.0;
        if j < params.batch {
            var distance = 0.0;
            for (var f = 0u; f < params.latent; f++) {
                let t = difference(i, j, f);
                distance += t * t;
            }
            let prior = i == j;
            let exponent = select(params.pair_scale, params.prior_scale, prior) * distance;
            let weight = select(params.pair_weight, params.prior_weight, prior);
            let term = weight * exp2_negative(vec4(exponent)).x;
            factor = term * select(params.pair_slope, params.prior_slope, prior);
            value += term;
        }
        factors[thread] = factor;
        workgroupBarrier();
        for (var f = thread; f < params.latent; f += THREADS) {
            var sum = 0.0;
            for (var t = 0u; t < min(THREADS, params.batch - first); t++) {
                sum += factors[t] * difference(i, first + t, f);
            }
            let place = i * params.latent + f;
            gradient[place] = sum + select(gradient[place], 0.0, first == 0u);
        }
        workgroupBarrier();
    }
    let total = workgroup_sum(thread, vec2(value, 0.0)).x;
    if thread == 0u {
        mmd_ring[step.slot * params.batch + i] = total;
    }
}

// Coordinate f of z_i less that of z_j, or of the prior's mean where j = i.
fn difference(i: u32, j: u32, f: u32) -> f32 {
    return z[i * params.latent + f] - select(z[j * params.latent + f], 0.0, i == j);
}
