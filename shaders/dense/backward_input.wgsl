// dx[b, i] = slope(x[b, i]) sum_o dy[b, o] W[o, i]
//
// dy: (B, O)    theta: W (O, I), then the bias    x, dx: (B, I)
//
// with: activation, elements, finish, product

struct Params {
    batch: u32,
    inputs: u32,
    outputs: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> theta: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

const LEFT_ALONG_K = true;
const RIGHT_ALONG_K = false;

fn sizes() -> Sizes {
    return Sizes(params.batch, params.outputs, params.inputs);
}

fn left(b: u32, o: u32) -> f32 {
    return dy[b * params.outputs + o];
}

fn right(i: u32, o: u32) -> f32 {
    return theta[o * params.inputs + i];
}

fn finish(b: u32, i: u32, sum: f32) {
    let at = b * params.inputs + i;
    dx[at] = times_slope(sum, x[at]);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    multiply(group.xy, thread);
}
