// latent.wgsl as plainly as can be, with noise: a thread computes one latent dimension of an image after the other of
// its workgroup's COLUMNS / 2 x ROWS, so that there are as many partial sums.
//
// with: random, reduce, step

struct Params {
    batch: u32,
    inputs: u32,
    latent: u32,
    stream: u32,
    // Partial sums of one step.
    parts: u32,
}

override SAMPLED_KL: bool;
override ROWS: u32;
override COLUMNS: u32;
override THREADS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> h: array<f32>;
@group(0) @binding(3) var<storage, read> theta: array<f32>;
@group(0) @binding(4) var<storage, read_write> stats: array<f32>;
@group(0) @binding(5) var<storage, read_write> noise: array<f32>;
@group(0) @binding(6) var<storage, read_write> z: array<f32>;
@group(0) @binding(7) var<storage, read_write> kl_ring: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let m = params.latent;
    let across = COLUMNS / 2u;
    var kl = 0.0;
    for (var place = thread; place < across * ROWS; place += THREADS) {
        let b = group.y * ROWS + place / across;
        let j = group.x * across + place % across;
        if b < params.batch && j < m {
            var mu = theta[2u * m * params.inputs + j];
            var log_std = theta[2u * m * params.inputs + m + j];
            for (var i = 0u; i < params.inputs; i++) {
                let input = h[b * params.inputs + i];
                mu += input * theta[j * params.inputs + i];
                log_std += input * theta[(m + j) * params.inputs + i];
            }
            let eps = normals(j / 2u, step.first + b, step.number, params.stream, step.seed)[j % 2u];
            let spread = exp(log_std);
            let sample = mu + spread * eps;
            stats[b * 2u * m + j] = mu;
            stats[b * 2u * m + m + j] = log_std;
            noise[b * m + j] = eps;
            z[b * m + j] = sample;
            let analytic = 0.5 * (mu * mu + spread * spread - 1.0) - log_std;
            kl += select(analytic, 0.5 * (sample * sample - eps * eps) - log_std, SAMPLED_KL);
        }
    }
    let total = workgroup_sum(thread, vec2(kl, 0.0)).x;
    if thread == 0u {
        // With large tiles there are fewer workgroups than parts: the rest are 0.
        let own = group.y * groups.x + group.x;
        for (var part = own; part < params.parts; part += groups.x * groups.y) {
            kl_ring[step.slot * params.parts + part] = select(0.0, total, part == own);
        }
    }
}
