// (mu, log_std)[b] = h[b] W^T + bias;    z = mu + exp(log_std) eps;    kl = sum over b, j of
//     analytic:  (mu^2 + exp(2 log_std) - 1) / 2 - log_std
//     sampled:   (z^2 - eps^2) / 2 - log_std
//
// h: (B, H)    theta: W (2M, H), then bias (2M); means first    stats: (B, 2M)    noise = eps, z: (B, M)
// kl_ring: (slots, parts), one partial sum a workgroup
//
// Columns of the product alternate mean, log-std, mean, log-std: the thread that has one has the other, and four
// are two of each.
//
// with: elements, product, random, reduce, step

struct Params {
    batch: u32,
    inputs: u32,
    latent: u32,
    stream: u32,
    // Partial sums of one step.
    parts: u32,
}

override SAMPLED_KL: bool;
override NOISE: bool;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> h: array<f32>;
@group(0) @binding(3) var<storage, read> theta: array<f32>;
@group(0) @binding(4) var<storage, read_write> stats: array<f32>;
@group(0) @binding(5) var<storage, read_write> noise: array<f32>;
@group(0) @binding(6) var<storage, read_write> z: array<f32>;
@group(0) @binding(7) var<storage, read_write> kl_ring: array<f32>;

const LEFT_ALONG_K = true;
const RIGHT_ALONG_K = true;

fn sizes() -> Sizes {
    return Sizes(params.batch, params.inputs, 2u * params.latent);
}

fn left(b: u32, i: u32) -> f32 {
    return h[b * params.inputs + i];
}

fn right(n: u32, i: u32) -> f32 {
    return theta[(n % 2u * params.latent + n / 2u) * params.inputs + i];
}

// A thread's sum of the KL.
var<private> kl: f32;

// n is a multiple of 4: means and log-stds of j and j + 1, whose normals come from the same random words.
fn finish_four(b: u32, n: u32, sums: vec4<f32>) {
    let j = n / 2u;
    var eps = vec2(0.0);
    if NOISE {
        eps = normals(j / 2u, step.first + b, step.number, params.stream, step.seed);
    }
    finish_code(b, j, sums.xy, eps.x);
    finish_code(b, j + 1u, sums.zw, eps.y);
}

// `sums`: of the mean and of the log-std.
fn finish_code(b: u32, j: u32, sums: vec2<f32>, eps: f32) {
    let m = params.latent;
    if j >= m {
        return;
    }
    let bias = 2u * m * params.inputs + j;
    let mu = sums.x + theta[bias];
    let log_std = sums.y + theta[bias + m];
    let sample = mu + exp(log_std) * eps;
    stats[b * 2u * m + j] = mu;
    stats[b * 2u * m + m + j] = log_std;
    noise[b * m + j] = eps;
    z[b * m + j] = sample;
    let analytic = 0.5 * (mu * mu + exp_excess(2.0 * log_std));
    let sampled = 0.5 * (sample * sample - eps * eps) - log_std;
    kl += select(analytic, sampled, SAMPLED_KL);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    multiply(group.xy, thread);
    let total = workgroup_sum(thread, vec2(kl, 0.0)).x;
    if thread == 0u {
        // With large tiles there are fewer workgroups than parts: the rest are 0.
        let own = group.y * groups.x + group.x;
        for (var part = own; part < params.parts; part += groups.x * groups.y) {
            kl_ring[step.slot * params.parts + part] = select(0.0, total, part == own);
        }
    }
}

// e^t - 1 - t to full precision: Taylor's series where the three terms cancel.
fn exp_excess(t: f32) -> f32 {
    var series = 1.0 + t / 8.0;
    for (var k = 7u; k > 2u; k--) {
        series = 1.0 + t / f32(k) * series;
    }
    return select(exp(t) - 1.0 - t, 0.5 * t * t * series, abs(t) < 0.5);
}
