// g[o, i] = sum_b dy[b, o] x[b, i], where x[b, I] = 1 gives the gradient of the bias, and then Adam on theta, m and v.
//
// dy: (B, O)    x: (B, I)    theta, m, v: W (O, I), then bias (O)
//
// with: adam, elements, finish, product, step

struct Params {
    batch: u32,
    inputs: u32,
    outputs: u32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> theta: array<f32>;
@group(0) @binding(5) var<storage, read_write> m: array<f32>;
@group(0) @binding(6) var<storage, read_write> v: array<f32>;

const LEFT_ALONG_K = false;
const RIGHT_ALONG_K = false;

fn sizes() -> Sizes {
    return Sizes(params.outputs, params.batch, params.inputs + 1u);
}

fn left(o: u32, b: u32) -> f32 {
    return dy[b * params.outputs + o];
}

fn right(i: u32, b: u32) -> f32 {
    if i == params.inputs {
        return 1.0;
    }
    return x[b * params.inputs + i];
}

fn finish(o: u32, i: u32, g: f32) {
    let at = select(o * params.inputs + i, params.outputs * params.inputs + o, i == params.inputs);
    update(at, g);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    multiply(group.xy, thread);
}
