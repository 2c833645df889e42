// y[b, o, y, x] = f(sum over c, i, j of x[b, c, S y + i - P, S x + j - P] W[o, c, i, j]), with f(l) =
//     activation(l + bias[o])          forward
//     l slope(a[b, o, y, x])           BACKWARD
//
// x: (B, fine)    theta: W, then the layer's bias    y, a: (B, coarse)
//
// with: activation, elements, finish, product, window

struct Params {
    batch: u32,
}

override BACKWARD: bool;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> theta: array<f32>;
@group(0) @binding(3) var<storage, read> a: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const LEFT_ALONG_K = true;
const RIGHT_ALONG_K = false;

override DEPTH_OF_ALL = CHANNELS * TAPS;

fn sizes() -> Sizes {
    return Sizes(COARSE_CHANNELS, DEPTH_OF_ALL, params.batch * COARSE_PIXELS);
}

fn left(o: u32, k: u32) -> f32 {
    return theta[o * DEPTH_OF_ALL + k];
}

fn right(n: u32, k: u32) -> f32 {
    let pixel = seen(n % COARSE_PIXELS, k % TAPS);
    if pixel < PIXELS {
        return x[fine_at(n / COARSE_PIXELS, k / TAPS, pixel)];
    }
    return 0.0;
}

fn finish(o: u32, n: u32, sum: f32) {
    let at = coarse_at(n / COARSE_PIXELS, o, n % COARSE_PIXELS);
    if BACKWARD {
        y[at] = times_slope(sum, a[at]);
    } else {
        y[at] = activate(sum + theta[WEIGHTS + o]);
    }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    multiply(group.xy, thread);
}
