// y[b, c, Y, X] = f(sum over o, y, x of x[b, o, y, x] W[o, c, Y + P - S y, X + P - S x]), with f(l) =
//     activation(l + bias[c])          forward
//     l slope(a[b, c, Y, X])           BACKWARD
//
// x: (B, coarse)    theta: W, then the layer's bias    y, a: (B, fine)
//
// with: activation, elements, finish, product, transposed, window

struct Params {
    batch: u32,
}

override BACKWARD: bool;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> theta: array<f32>;
@group(0) @binding(3) var<storage, read> a: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn coarse_number(at: u32) -> f32 {
    return x[at];
}

fn finish(c: u32, n: u32, sum: f32) {
    let pixel = fine_pixel(n);
    if pixel >= PIXELS {
        return;
    }
    let at = fine_at(n / REST_PIXELS, c, pixel);
    if BACKWARD {
        y[at] = times_slope(sum, a[at]);
    } else {
        y[at] = activate(sum + theta[WEIGHTS + c]);
    }
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    multiply_rest(group.xy, groups.x, thread);
}
