// l[b] = h[b] W^T + bias, and for each pixel
//     gaussian:   x_hat = l             loss = (x - l)^2 / (2 sigma^2)            dl = (l - x) / (sigma^2 B)
//     bernoulli:  x_hat = sigmoid(l)    loss = max(l, 0) - x l + ln(1 + e^-|l|)   dl = (x_hat - x) / B
//
// h: (B, H)    theta: W (D, H), then bias (D)    x, dl: (B, D)
// loss_ring: (slots, parts, 2): partial sums of (x - x_hat)^2 and of the loss
//
// with: likelihood, elements, finish, product, reduce, step

struct Params {
    batch: u32,
    inputs: u32,
    dimension: u32,
    // 1 / sigma^2, and the same divided by B.
    inverse_variance: f32,
    scale: f32,
    // Partial sums of one step, of squared errors and losses each.
    parts: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> h: array<f32>;
@group(0) @binding(3) var<storage, read> theta: array<f32>;
@group(0) @binding(4) var<storage, read> x: array<f32>;
@group(0) @binding(5) var<storage, read_write> dl: array<f32>;
@group(0) @binding(6) var<storage, read_write> loss_ring: array<f32>;

const LEFT_ALONG_K = true;
const RIGHT_ALONG_K = true;

fn sizes() -> Sizes {
    return Sizes(params.batch, params.inputs, params.dimension);
}

fn left(b: u32, i: u32) -> f32 {
    return h[b * params.inputs + i];
}

fn right(d: u32, i: u32) -> f32 {
    return theta[d * params.inputs + i];
}

// Squared errors and losses of a thread.
var<private> sums: vec2<f32>;

fn finish(b: u32, d: u32, sum: f32) {
    let at = b * params.dimension + d;
    let pixel = pixel(sum + theta[params.dimension * params.inputs + d], x[at], params.inverse_variance);
    dl[at] = pixel.error * params.scale;
    sums += vec2(pixel.error * pixel.error, pixel.loss);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    multiply(group.xy, thread);
    let total = workgroup_sum(thread, sums);
    if thread == 0u {
        // With large tiles there are fewer workgroups than parts: the rest are 0.
        let own = group.y * groups.x + group.x;
        for (var part = own; part < params.parts; part += groups.x * groups.y) {
            let at = 2u * (step.slot * params.parts + part);
            let sum = select(vec2(0.0), total, part == own);
            loss_ring[at] = sum.x;
            loss_ring[at + 1u] = sum.y;
        }
    }
}
