// The sigma of the Gaussian likelihood, one for all pixels:
//     learned:  g = D - SSE / (B sigma^2), the gradient of SSE / (2 B sigma^2) + D ln sigma at ln sigma, and Adam
//     optimal:  sigma^2 = max(SSE / (B D), floor)
//
// loss_ring: (slots, parts): squared errors and losses in turn    sigma_ring: (slots): ln sigma of this step
// sigma_state: ln sigma, Adam's m and v, 1 / sigma^2 of this step
//
// One workgroup.
//
// with: exponential, random, reduce, step

struct Params {
    // Numbers of a row of loss_ring.
    parts: u32,
    dimension: f32,
    // 1 / (B D)
    scale: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
}

override THREADS: u32;
override LEARNED: bool;
override FLOOR: f32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> loss_ring: array<f32>;
@group(0) @binding(3) var<storage, read_write> sigma_state: array<f32>;
@group(0) @binding(4) var<storage, read_write> sigma_ring: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
    var sum = 0.0;
    for (var part = 2u * thread; part < params.parts; part += 2u * THREADS) {
        sum += loss_ring[step.slot * params.parts + part];
    }
    let mean_square = params.scale * workgroup_sum(thread, vec2(sum, 0.0)).x;
    if thread != 0u {
        return;
    }
    if LEARNED {
        let log_sigma = sigma_state[0];
        let inverse_variance = exponential(-2.0 * log_sigma);
        let g = params.dimension * (1.0 - mean_square * inverse_variance);
        let mean = params.beta1 * sigma_state[1] + (1.0 - params.beta1) * g;
        let square = params.beta2 * sigma_state[2] + (1.0 - params.beta2) * (g * g);
        let change = (mean * step.correction1) / (sqrt(square * step.correction2) + params.epsilon);
        sigma_state[0] = log_sigma - step.learning_rate * change;
        sigma_state[1] = mean;
        sigma_state[2] = square;
        sigma_state[3] = inverse_variance;
        sigma_ring[step.slot] = log_sigma;
    } else {
        let variance = max(mean_square, FLOOR);
        let log_sigma = 0.5 * ln(variance);
        sigma_state[0] = log_sigma;
        sigma_state[3] = 1.0 / variance;
        sigma_ring[step.slot] = log_sigma;
    }
}
