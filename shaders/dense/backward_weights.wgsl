// g[o, i] = sum_b dy[b, o] x[b, i], where x[b, I] = 1 gives the gradient of the bias, and then Adam:
//     m = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g^2
//     theta -= learning_rate (m c1) / (sqrt(v c2) + epsilon)
//
// dy: (B, O)    x: (B, I)    theta, m, v: W (O, I), then bias (O)
//
// with: product, step

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

fn left4(o: u32, b: u32) -> vec4<f32> {
    return vec4(gradient(b, o), gradient(b, o + 1u), gradient(b, o + 2u), gradient(b, o + 3u));
}

fn right4(i: u32, b: u32) -> vec4<f32> {
    return vec4(input(b, i), input(b, i + 1u), input(b, i + 2u), input(b, i + 3u));
}

fn gradient(b: u32, o: u32) -> f32 {
    if b < params.batch && o < params.outputs {
        return dy[b * params.outputs + o];
    }
    return 0.0;
}

fn input(b: u32, i: u32) -> f32 {
    if b < params.batch && i < params.inputs {
        return x[b * params.inputs + i];
    }
    return select(0.0, 1.0, i == params.inputs);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    var tiles = products(group.xy, thread, params.batch);
    for (var block = 0u; block < BLOCKS_DOWN * BLOCKS_ACROSS; block++) {
        var tile = tiles[block];
        for (var r = 0u; r < 4u; r++) {
            for (var c = 0u; c < 4u; c++) {
                let o = tile.m + r;
                let i = tile.n + c;
                if o < params.outputs && i <= params.inputs {
                    let bias = params.outputs * params.inputs + o;
                    adam(select(o * params.inputs + i, bias, i == params.inputs), tile.rows[r][c]);
                }
            }
        }
    }
}

fn adam(at: u32, g: f32) {
    let mean = params.beta1 * m[at] + (1.0 - params.beta1) * g;
    let square = params.beta2 * v[at] + (1.0 - params.beta2) * (g * g);
    m[at] = mean;
    v[at] = square;
    theta[at] -= step.learning_rate * (mean * step.correction1) / (sqrt(square * step.correction2) + params.epsilon);
}
