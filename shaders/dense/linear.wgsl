// y[b, o] = relu(bias[o] + sum_i x[b, i] W[o, i])
//
// x: (B, I)    theta: W (O, I), then bias (O)    y: (B, O)
//
// with: product

struct Params {
    batch: u32,
    inputs: u32,
    outputs: u32,
}

override RELU: bool;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> theta: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const LEFT_ALONG_K = true;
const RIGHT_ALONG_K = true;

fn left4(b: u32, i: u32) -> vec4<f32> {
    return vec4(input(b, i), input(b + 1u, i), input(b + 2u, i), input(b + 3u, i));
}

fn right4(o: u32, i: u32) -> vec4<f32> {
    return vec4(weight(o, i), weight(o + 1u, i), weight(o + 2u, i), weight(o + 3u, i));
}

fn input(b: u32, i: u32) -> f32 {
    if b < params.batch && i < params.inputs {
        return x[b * params.inputs + i];
    }
    return 0.0;
}

fn weight(o: u32, i: u32) -> f32 {
    if o < params.outputs && i < params.inputs {
        return theta[o * params.inputs + i];
    }
    return 0.0;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    var tiles = products(group.xy, thread, params.inputs);
    for (var block = 0u; block < BLOCKS_DOWN * BLOCKS_ACROSS; block++) {
        var tile = tiles[block];
        for (var r = 0u; r < 4u; r++) {
            for (var c = 0u; c < 4u; c++) {
                let b = tile.m + r;
                let o = tile.n + c;
                if b < params.batch && o < params.outputs {
                    let sum = tile.rows[r][c] + theta[params.outputs * params.inputs + o];
                    y[b * params.outputs + o] = select(sum, max(sum, 0.0), RELU);
                }
            }
        }
    }
}
