// linear.wgsl as plainly as can be: one thread an output.

struct Params {
    batch: u32,
    inputs: u32,
    outputs: u32,
}

override RELU: bool;
override THREADS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> theta: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let b = group.y;
    let o = group.x * THREADS + thread;
    if o < params.outputs {
        var sum = theta[params.outputs * params.inputs + o];
        for (var i = 0u; i < params.inputs; i++) {
            sum += x[b * params.inputs + i] * theta[o * params.inputs + i];
        }
        y[b * params.outputs + o] = select(sum, max(sum, 0.0), RELU);
    }
}
