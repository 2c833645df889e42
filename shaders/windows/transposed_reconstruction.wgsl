// l[b, c, Y, X] = bias[c] + sum over o, y, x of h[b, o, y, x] W[o, c, Y + P - S y, X + P - S x], and for each number
//     gaussian:   x_hat = l             loss = (x - l)^2 / (2 sigma^2)            dl = (l - x) / (sigma^2 B)
//     bernoulli:  x_hat = sigmoid(l)    loss = max(l, 0) - x l + ln(1 + e^-|l|)   dl = (x_hat - x) / B
//
// h: (B, coarse)    theta: W, then the bias    x, dl: (B, fine)
// loss_ring: (slots, parts, 2): partial sums of (x - x_hat)^2 and of the loss
//
// with: elements, finish, likelihood, product, reduce, step, transposed, window

struct Params {
    batch: u32,
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

fn coarse_number(at: u32) -> f32 {
    return h[at];
}

// Squared errors and losses of a thread.
var<private> sums: vec2<f32>;

fn finish(c: u32, n: u32, sum: f32) {
    let place = fine_pixel(n);
    if place >= PIXELS {
        return;
    }
    let at = fine_at(n / REST_PIXELS, c, place);
    let pixel = pixel(sum + theta[WEIGHTS + c], x[at], params.inverse_variance);
    dl[at] = pixel.error * params.scale;
    sums += vec2(pixel.error * pixel.error, pixel.loss);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    multiply_rest(group.xy, groups.x, thread);
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
