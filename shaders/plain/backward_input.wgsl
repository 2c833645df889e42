// backward_input.wgsl as plainly as can be: one thread an output.

struct Params {
    batch: u32,
    inputs: u32,
    outputs: u32,
}

override THREADS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> theta: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let b = group.y;
    let i = group.x * THREADS + thread;
    if i < params.inputs {
        var sum = 0.0;
        for (var o = 0u; o < params.outputs; o++) {
            sum += dy[b * params.outputs + o] * theta[o * params.inputs + i];
        }
        let at = b * params.inputs + i;
        dx[at] = select(0.0, sum, x[at] > 0.0);
    }
}
