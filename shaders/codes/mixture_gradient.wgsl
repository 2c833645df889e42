// TC = 1/B sum over i of log q(z_i) - sum over m of log q(z_im), and its gradient at z, mu and log_std:
//     P_ij = W_ij exp(sum over m of l_ijm - log q(z_i))    Q_ijm = W_ij exp(l_ijm - log q(z_im))
//     dTC/dl_ijm = (P_ij - Q_ijm) / B
//     dl/dz = -t / std    dl/dmu = t / std    dl/dlog_std = t^2 - 1        t = (z - mu) / std
//
// z: (B, M)    stats: (B, 2M) = mu, log_std    log_density: (B, M + 1, 2) from mixture.wgsl
// gradient: (B, 3M): z, mu, log_std    mixture_ring: (slots, B, 2): log q(z_i | x_i) - log q(z_i), and TC of image i
//
// A workgroup has COORDINATES coordinates of one image b. For THREADS others at a time, each thread finds P of b and
// one other, as code and as component; then the threads of a coordinate share the others.
//
// with: mixture, exponential, random, reduce, step

struct Params {
    // The batch.
    components: u32,
    latent: u32,
    log_own: f32,
    log_next: f32,
    log_other: f32,
    // 1 / B
    scale: f32,
}

override THREADS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<f32>;
@group(0) @binding(4) var<storage, read> log_density: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(6) var<storage, read_write> mixture_ring: array<f32>;

// P of b as a code and the other as a component, and the other way round.
var<workgroup> joint: array<vec2<f32>, THREADS>;
// Gradients at z, mu and log_std of each thread's share.
var<workgroup> shares: array<vec3<f32>, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let b = group.x;
    let m = group.y * COORDINATES + thread % COORDINATES;
    var share = vec3(0.0);
    for (var first = 0u; first < params.components; first += THREADS) {
        let other = first + thread;
        if other < params.components {
            var term = vec2(log_weight(b, other), log_weight(other, b));
            for (var f = 0u; f < params.latent; f++) {
                term += vec2(component(b, other, f).log_density, component(other, b, f).log_density);
            }
            joint[thread] = vec2(responsibility(term.x, b, params.latent), responsibility(term.y, other, params.latent));
        }
        workgroupBarrier();
        if m < params.latent {
            let count = min(THREADS, params.components - first);
            for (var place = thread / COORDINATES; place < count; place += THREADS / COORDINATES) {
                let k = first + place;
                let as_code = component(b, k, m);
                let as_component = component(k, b, m);
                let terms = vec2(as_code.log_density + log_weight(b, k), as_component.log_density + log_weight(k, b));
                let d = joint[place] - vec2(responsibility(terms.x, b, m), responsibility(terms.y, k, m));
                share += vec3(
                    -d.x * as_code.t * as_code.inverse_std,
                    d.y * as_component.t * as_component.inverse_std,
                    d.y * (as_component.t * as_component.t - 1.0),
                );
            }
        }
        workgroupBarrier();
    }
    shares[thread] = share;
    for (var half = THREADS / 2u; half > COORDINATES - 1u; half /= 2u) {
        workgroupBarrier();
        if thread < half {
            shares[thread] += shares[thread + half];
        }
    }
    if thread < COORDINATES && m < params.latent {
        let place = 3u * b * params.latent + m;
        let total = params.scale * shares[thread];
        gradient[place] = total.x;
        gradient[place + params.latent] = total.y;
        gradient[place + 2u * params.latent] = total.z;
    }
    if group.y == 0u {
        // log q(z_b | x_b) and the sum of log q(z_bm).
        var sums = vec2(0.0);
        for (var f = thread; f < params.latent; f += THREADS) {
            sums += vec2(component(b, b, f).log_density, log_q(b, f));
        }
        let total = workgroup_sum(thread, sums);
        if thread == 0u {
            let part = 2u * (step.slot * params.components + b);
            let joint_log_q = log_q(b, params.latent);
            mixture_ring[part] = total.x - joint_log_q;
            mixture_ring[part + 1u] = joint_log_q - total.y;
        }
    }
}

// exp(term - log q) for coordinate m of code i, or for the whole where m = M.
fn responsibility(term: f32, i: u32, m: u32) -> f32 {
    let place = 2u * (i * (params.latent + 1u) + m);
    return exponential(term - log_density[place]) / log_density[place + 1u];
}

fn log_q(i: u32, m: u32) -> f32 {
    let place = 2u * (i * (params.latent + 1u) + m);
    return log_density[place] + ln(log_density[place + 1u]);
}
