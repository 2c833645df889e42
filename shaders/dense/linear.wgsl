// y[b, o] = activation(bias[o] + sum_i x[b, i] W[o, i])
//
// x: (B, I)    theta: W (O, I), then bias (O)    y: (B, O)
//
// with: activation, elements, finish, product

struct Params {
    batch: u32,
    inputs: u32,
    outputs: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> theta: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const LEFT_ALONG_K = true;
const RIGHT_ALONG_K = true;

fn sizes() -> Sizes {
    return Sizes(params.batch, params.inputs, params.outputs);
}

fn left(b: u32, i: u32) -> f32 {
    return x[b * params.inputs + i];
}

fn right(o: u32, i: u32) -> f32 {
    return theta[o * params.inputs + i];
}

fn finish(b: u32, o: u32, sum: f32) {
    y[b * params.outputs + o] = activate(sum + theta[params.outputs * params.inputs + o]);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    multiply(group.xy, thread);
}
