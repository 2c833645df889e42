// rows:     sums[class(J), I, k, row r] += sum over J of row_parts[I, J, k, r]
// columns:  sums[class(I), J, k, column c] += sum over I < J of column_parts[I, J, k, c]
//
// parts: (slab, band, kernels, block, 2)    sums: (2, blocks, kernels, block, 2)
//
// with: tiles, step

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
    slab: u32,
    kernels: u32,
}

override THREADS: u32;
override ROWS: bool;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> parts: array<f32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

// group.y is a row block of the slab, or a column block: of the slice, or in bands counted from the slab's first row
// block. A thread has one term of one point of it, of one kernel.
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let term = group.x * THREADS + thread;
    let terms = 2u * params.block;
    let half = params.kernels * terms * (blocks_of(params.n) + blocks_of(params.m));
    // With points of X, and with points of Y.
    var added = vec2(0.0);
    var block = 0u;
    var any = false;
    let others = select(params.slab, params.band, ROWS || in_bands());
    for (var other = 0u; other < others; other++) {
        var x = select(group.y, other, ROWS);
        var y = select(other, group.y, ROWS);
        if !ROWS && in_bands() {
            // The farthest row block first, as in the order of the tiles.
            x = params.band - 1u - other;
            y = group.y - x;
        }
        let pair = tile_of(x, y);
        let count = select(pair.columns, pair.rows, ROWS);
        if y < params.slab && pair.wanted && term < params.kernels * terms && term % terms < 2u * count && (ROWS || pair.i < pair.j) {
            let part = parts[pair.part * params.kernels * terms + term];
            let of_y = class_of(select(pair.i, pair.j, ROWS)) == 1u;
            added += select(vec2(part, 0.0), vec2(0.0, part), of_y);
            block = select(pair.j, pair.i, ROWS);
            any = true;
        }
    }
    if any {
        let place = block * params.kernels * terms + term;
        sums[place] += added.x;
        sums[place + half] += added.y;
    }
}
