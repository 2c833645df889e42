// dz[b, j] = sum_h dh[b, h] W[h, j] + e extra_z, and with spread = exp(log_std), z = mu + spread eps, w the weight of
// the KL (with a capacity C, w times the sign of the batch's mean KL - C):
//     analytic KL:  dmu = dz + w mu / B      dlog_std = dz eps spread + w (spread^2 - 1) / B
//     sampled KL:   dmu = dz + w z / B       dlog_std = (dz + w z / B) eps spread - w / B
//     and then      dmu += e extra_mu        dlog_std += e extra_log_std
//
// dh: (B, H)    theta: W (H, M), then the bias    stats, dstats: (B, 2M) = mu, log_std    noise: (B, M) = eps
// kl_ring: (slots, parts), for the capacity    extra: (B, EXTRA, M), the gradient at z, mu, log_std of another term
//
// with: product, step

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

fn left4(b: u32, h: u32) -> vec4<f32> {
    return vec4(gradient(b, h), gradient(b + 1u, h), gradient(b + 2u, h), gradient(b + 3u, h));
}

fn right4(j: u32, h: u32) -> vec4<f32> {
    return vec4(weight(h, j), weight(h, j + 1u), weight(h, j + 2u), weight(h, j + 3u));
}

fn gradient(b: u32, h: u32) -> f32 {
    if b < params.batch && h < params.outputs {
        return dh[b * params.outputs + h];
    }
    return 0.0;
}

fn weight(h: u32, j: u32) -> f32 {
    if h < params.outputs && j < params.latent {
        return theta[h * params.latent + j];
    }
    return 0.0;
}

// w / B of this step.
fn kl_weight() -> f32 {
    let w = step.kl_weight * params.scale;
    if !CAPACITY {
        return w;
    }
    var kl = 0.0;
    for (var part = 0u; part < params.parts; part++) {
        kl += kl_ring[step.slot * params.parts + part];
    }
    return w * sign(kl * params.scale - step.capacity);
}

fn extra_term(b: u32, part: u32, j: u32) -> f32 {
    if part < EXTRA {
        return step.extra_weight * extra[(b * EXTRA + part) * params.latent + j];
    }
    return 0.0;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    var tiles = products(group.xy, thread, params.outputs);
    let w = kl_weight();
    let m = params.latent;
    for (var block = 0u; block < BLOCKS_DOWN * BLOCKS_ACROSS; block++) {
        var tile = tiles[block];
        for (var r = 0u; r < 4u; r++) {
            for (var c = 0u; c < 4u; c++) {
                let b = tile.m + r;
                let j = tile.n + c;
                if b < params.batch && j < m {
                    let at = b * 2u * m + j;
                    let mu = stats[at];
                    let spread = exp(stats[at + m]);
                    let eps = noise[b * m + j];
                    let dz = tile.rows[r][c] + extra_term(b, 0u, j);
                    let dz_sampled = dz + w * (mu + spread * eps);
                    let dmu = select(dz + w * mu, dz_sampled, SAMPLED_KL);
                    let analytic = dz * eps * spread + w * (spread * spread - 1.0);
                    let dlog_std = select(analytic, dz_sampled * eps * spread - w, SAMPLED_KL);
                    dstats[at] = dmu + extra_term(b, 1u, j);
                    dstats[at + m] = dlog_std + extra_term(b, 2u, j);
                }
            }
        }
    }
}
