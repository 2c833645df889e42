// backward_latent.wgsl as plainly as can be, for an objective without a capacity and without a further term: one
// thread a latent dimension of an image.
//
// with: step

struct Params {
    batch: u32,
    latent: u32,
    outputs: u32,
    parts: u32,
    scale: f32,
}

override SAMPLED_KL: bool;
override THREADS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> dh: array<f32>;
@group(0) @binding(3) var<storage, read> theta: array<f32>;
@group(0) @binding(4) var<storage, read> stats: array<f32>;
@group(0) @binding(5) var<storage, read> noise: array<f32>;
@group(0) @binding(6) var<storage, read_write> dstats: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let b = group.y;
    let m = params.latent;
    let j = group.x * THREADS + thread;
    if j < m {
        var dz = 0.0;
        for (var h = 0u; h < params.outputs; h++) {
            dz += dh[b * params.outputs + h] * theta[h * m + j];
        }
        let w = step.kl_weight * params.scale;
        let at = b * 2u * m + j;
        let mu = stats[at];
        let spread = exp(stats[at + m]);
        let eps = noise[b * m + j];
        let dz_sampled = dz + w * (mu + spread * eps);
        dstats[at] = select(dz + w * mu, dz_sampled, SAMPLED_KL);
        let analytic = dz * eps * spread + w * (spread * spread - 1.0);
        dstats[at + m] = select(analytic, dz_sampled * eps * spread - w, SAMPLED_KL);
    }
}
