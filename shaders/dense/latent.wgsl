// (mu, log_std)[b] = h[b] W^T + bias;    z = mu + exp(log_std) eps;    kl = sum over b, j of
//     analytic:  (mu^2 + exp(2 log_std) - 1) / 2 - log_std
//     sampled:   (z^2 - eps^2) / 2 - log_std
//
// h: (B, H)    theta: W (2M, H), then bias (2M); means first    stats: (B, 2M)    noise = eps, z: (B, M)
// kl_ring: (slots, parts), one partial sum a workgroup
//
// Columns of the product alternate mean, log-spread, mean, log-spread: the thread that has one has the other.
//
// with: product, random, reduce, step

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

fn left4(b: u32, i: u32) -> vec4<f32> {
    return vec4(input(b, i), input(b + 1u, i), input(b + 2u, i), input(b + 3u, i));
}

// n is even: latents n / 2 and n / 2 + 1.
fn right4(n: u32, i: u32) -> vec4<f32> {
    let j = n / 2u;
    let m = params.latent;
    return vec4(weight(j, 0u, i), weight(j, m, i), weight(j + 1u, 0u, i), weight(j + 1u, m, i));
}

fn input(b: u32, i: u32) -> f32 {
    if b < params.batch && i < params.inputs {
        return h[b * params.inputs + i];
    }
    return 0.0;
}

fn weight(j: u32, part: u32, i: u32) -> f32 {
    if j < params.latent && i < params.inputs {
        return theta[(part + j) * params.inputs + i];
    }
    return 0.0;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    var tiles = products(group.xy, thread, params.inputs);
    let m = params.latent;
    let bias = 2u * m * params.inputs;
    var kl = 0.0;
    for (var block = 0u; block < BLOCKS_DOWN * BLOCKS_ACROSS; block++) {
        var tile = tiles[block];
        let pair = tile.n / 4u;
        for (var r = 0u; r < 4u; r++) {
            let b = tile.m + r;
            var eps = vec2(0.0);
            if NOISE {
                eps = normals(pair, step.first + b, step.number, params.stream, step.seed);
            }
            for (var c = 0u; c < 2u; c++) {
                let j = 2u * pair + c;
                if b < params.batch && j < m {
                    let mu = tile.rows[r][2u * c] + theta[bias + j];
                    let log_std = tile.rows[r][2u * c + 1u] + theta[bias + m + j];
                    let spread = exp(log_std);
                    let sample = mu + spread * eps[c];
                    stats[b * 2u * m + j] = mu;
                    stats[b * 2u * m + m + j] = log_std;
                    noise[b * m + j] = eps[c];
                    z[b * m + j] = sample;
                    let analytic = 0.5 * (mu * mu + exp_excess(2.0 * log_std));
                    let sampled = 0.5 * (sample * sample - eps[c] * eps[c]) - log_std;
                    kl += select(analytic, sampled, SAMPLED_KL);
                }
            }
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

// e^t - 1 - t to full precision: Taylor's series where the three terms cancel.
fn exp_excess(t: f32) -> f32 {
    var series = 1.0 + t / 8.0;
    for (var k = 7u; k > 2u; k--) {
        series = 1.0 + t / f32(k) * series;
    }
    return select(exp(t) - 1.0 - t, 0.5 * t * t * series, abs(t) < 0.5);
}
