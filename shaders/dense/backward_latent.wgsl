// dz[b, j] = sum_h dh[b, h] W[h, j] + e extra_z, and with spread = exp(log_std), z = mu + spread eps, w the weight of
// the KL (with a capacity C, w times the sign of the batch's mean KL - C):
//     analytic KL:  dmu = dz + w mu / B      dlog_std = dz eps spread + w (spread^2 - 1) / B
//     sampled KL:   dmu = dz + w z / B       dlog_std = (dz + w z / B) eps spread - w / B
//     and then      dmu += e extra_mu        dlog_std += e extra_log_std
//
// dh: (B, H)    theta: W (H, M), then the bias    stats, dstats: (B, 2M) = mu, log_std    noise: (B, M) = eps
// kl_ring: (slots, parts), for the capacity    extra: (B, EXTRA, M), the gradient at z, mu, log_std of another term
//
// with: elements, finish, product, step

struct Params {
    batch: u32,
    latent: u32,
    outputs: u32,
    // Partial sums of the KL in one step.
    parts: u32,
    // 1 / B
    scale: f32,
}

override SAMPLED_KL: bool;
override CAPACITY: bool;
// 0: no such term. 1: a gradient at z. 3: at z, mu and log_std.
override EXTRA: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> dh: array<f32>;
@group(0) @binding(3) var<storage, read> theta: array<f32>;
@group(0) @binding(4) var<storage, read> stats: array<f32>;
@group(0) @binding(5) var<storage, read> noise: array<f32>;
@group(0) @binding(6) var<storage, read> kl_ring: array<f32>;
@group(0) @binding(7) var<storage, read> extra: array<f32>;
@group(0) @binding(8) var<storage, read_write> dstats: array<f32>;

const LEFT_ALONG_K = true;
const RIGHT_ALONG_K = false;

fn sizes() -> Sizes {
    return Sizes(params.batch, params.outputs, params.latent);
}

fn left(b: u32, h: u32) -> f32 {
    return dh[b * params.outputs + h];
}

fn right(j: u32, h: u32) -> f32 {
    return theta[h * params.latent + j];
}

// w / B of this step.
var<private> w: f32;

fn finish(b: u32, j: u32, sum: f32) {
    let m = params.latent;
    let at = b * 2u * m + j;
    let mu = stats[at];
    let spread = exp(stats[at + m]);
    let eps = noise[b * m + j];
    let dz = sum + extra_term(b, 0u, j);
    let dz_sampled = dz + w * (mu + spread * eps);
    let dmu = select(dz + w * mu, dz_sampled, SAMPLED_KL);
    let analytic = dz * eps * spread + w * (spread * spread - 1.0);
    let dlog_std = select(analytic, dz_sampled * eps * spread - w, SAMPLED_KL);
    dstats[at] = dmu + extra_term(b, 1u, j);
    dstats[at + m] = dlog_std + extra_term(b, 2u, j);
}

fn kl_weight() -> f32 {
    let weight = step.kl_weight * params.scale;
    if !CAPACITY {
        return weight;
    }
    var kl = 0.0;
    for (var part = 0u; part < params.parts; part++) {
        kl += kl_ring[step.slot * params.parts + part];
    }
    return weight * sign(kl * params.scale - step.capacity);
}

fn extra_term(b: u32, part: u32, j: u32) -> f32 {
    if part < EXTRA {
        return step.extra_weight * extra[(b * EXTRA + part) * params.latent + j];
    }
    return 0.0;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    w = kl_weight();
    multiply(group.xy, thread);
}
