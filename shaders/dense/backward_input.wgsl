// dx[b, i] = [x[b, i] > 0] sum_o dy[b, o] W[o, i]
//
// dy: (B, O)    theta: W (O, I), then the bias    x, dx: (B, I)
//
// with: product

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

fn left4(b: u32, o: u32) -> vec4<f32> {
    return vec4(gradient(b, o), gradient(b + 1u, o), gradient(b + 2u, o), gradient(b + 3u, o));
}

fn right4(i: u32, o: u32) -> vec4<f32> {
    return vec4(weight(o, i), weight(o, i + 1u), weight(o, i + 2u), weight(o, i + 3u));
}

fn gradient(b: u32, o: u32) -> f32 {
    if b < params.batch && o < params.outputs {
        return dy[b * params.outputs + o];
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
    var tiles = products(group.xy, thread, params.outputs);
    for (var block = 0u; block < BLOCKS_DOWN * BLOCKS_ACROSS; block++) {
        var tile = tiles[block];
        for (var r = 0u; r < 4u; r++) {
            for (var c = 0u; c < 4u; c++) {
                let b = tile.m + r;
                let i = tile.n + c;
                if b < params.batch && i < params.inputs {
                    let at = b * params.inputs + i;
                    dx[at] = select(0.0, tile.rows[r][c], x[at] > 0.0);
                }
            }
        }
    }
}
