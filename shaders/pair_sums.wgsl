// row_parts[I, J, r]    = sum over c of (k, k^2)(row r of block I, column c of block J)
// column_parts[I, J, c] = sum over r of (k, k^2)(row r of block I, column c of block J)       I < J
//
// The sums of k^2 are 0 unless they are wanted.
//
// rows, columns: (groups, stride, TILE)    scales: (bandwidths)    parts: (slab, band, block, 2)

struct Params {
    n: u32,
    m: u32,
    stride: u32,
    block: u32,
    slice: u32,
    cross: u32,
    bandwidths: u32,
    d: u32,
    reach: u32,
    band: u32,
    d_2: u32,
    bandwidths_2: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> columns: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> scales: array<f32>;
@group(0) @binding(5) var<storage, read_write> row_parts: array<f32>;
@group(0) @binding(6) var<storage, read_write> column_parts: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let pair = tile_of(group.x, group.y);
    if pair.wanted {
        choose_blocks(pair);
        block_sums(pair, thread);
    }
}

// Sums are all that is wanted.
fn tile_ready(pair: Block_pair, row: u32, column: u32, thread: u32) {}
