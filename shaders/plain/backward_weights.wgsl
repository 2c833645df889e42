// backward_weights.wgsl as plainly as can be: one thread a parameter.
//
// with: step

struct Params {
    batch: u32,
    inputs: u32,
    outputs: u32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
}

override THREADS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> theta: array<f32>;
@group(0) @binding(5) var<storage, read_write> m: array<f32>;
@group(0) @binding(6) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let o = group.y;
    let i = group.x * THREADS + thread;
    if i <= params.inputs {
        let bias = i == params.inputs;
        var g = 0.0;
        for (var b = 0u; b < params.batch; b++) {
            let input = x[b * params.inputs + min(i, params.inputs - 1u)];
            g += dy[b * params.outputs + o] * select(input, 1.0, bias);
        }
        let at = select(o * params.inputs + i, params.outputs * params.inputs + o, bias);
        let mean = params.beta1 * m[at] + (1.0 - params.beta1) * g;
        let square = params.beta2 * v[at] + (1.0 - params.beta2) * (g * g);
        m[at] = mean;
        v[at] = square;
        let root = sqrt(square * step.correction2) + params.epsilon;
        theta[at] -= step.learning_rate * (mean * step.correction1) / root;
    }
}
