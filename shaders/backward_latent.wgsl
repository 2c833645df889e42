// dz[b, j] = sum_h dh[b, h] W[h, j], and with spread = exp(log_std), z = mu + spread eps, w the weight of the KL:
//     analytic KL:  dmu = dz + w mu / B      dlog_std = dz eps spread + w (spread^2 - 1) / B
//     sampled KL:   dmu = dz + w z / B       dlog_std = (dz + w z / B) eps spread - w / B
//
// dh: (B, H)    theta: W (H, M), then the bias    stats, dstats: (B, 2M) = mu, log_std    noise: (B, M) = eps

struct Params {
    batch: u32,
    latent: u32,
    outputs: u32,
    // 1 / B
    scale: f32,
}

override SAMPLED_KL: bool;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> dh: array<f32>;
@group(0) @binding(3) var<storage, read> theta: array<f32>;
@group(0) @binding(4) var<storage, read> stats: array<f32>;
@group(0) @binding(5) var<storage, read> noise: array<f32>;
@group(0) @binding(6) var<storage, read_write> dstats: array<f32>;

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

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    var tile = product(group.xy, thread, params.outputs);
    let w = step.kl_weight * params.scale;
    let m = params.latent;
    for (var r = 0u; r < 4u; r++) {
        for (var c = 0u; c < 4u; c++) {
            let b = tile.m + r;
            let j = tile.n + c;
            if b < params.batch && j < m {
                let at = b * 2u * m + j;
                let mu = stats[at];
                let spread = exp(stats[at + m]);
                let eps = noise[b * m + j];
                let dz = tile.rows[r][c];
                let dz_sampled = dz + w * (mu + spread * eps);
                dstats[at] = select(dz + w * mu, dz_sampled, SAMPLED_KL);
                dstats[at + m] = select(dz * eps * spread + w * (spread * spread - 1.0), dz_sampled * eps * spread - w, SAMPLED_KL);
            }
        }
    }
}
