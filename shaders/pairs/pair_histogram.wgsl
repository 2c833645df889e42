// u(r, c) = bits of the f32 distance of row r and column c
// counts[I, J, v] = how many r, c with u >> (shift + width) = prefix and v = (u >> shift) mod 2^width
//
// rows, columns: (groups, stride, TILE)    prefix: one word    counts: (slab, band, BINS)
//
// The counters of a workgroup are atomic whole numbers: their sums do not depend on the order.
//
// with: distances, tiles, product, step

struct Params {
    pairs: Pairs,
    shift: u32,
    width: u32,
}

override BINS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> columns: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> prefix: array<u32>;
@group(0) @binding(5) var<storage, read_write> counts: array<f32>;

var<workgroup> bins: array<atomic<u32>, BINS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let pair = tile_of(group.x, group.y);
    if pair.wanted {
        choose_blocks(pair);
        for (var bin = thread; bin < BINS; bin += THREADS) {
            atomicStore(&bins[bin], 0u);
        }
        workgroupBarrier();
        for (var row = 0u; row < pair.rows; row += TILE) {
            for (var column = 0u; column < pair.columns; column += TILE) {
                let tile = tile_distances(vec2(column, row) / TILE, thread);
                for (var r = 0u; r < 4u; r++) {
                    count(pair, tile.m + r, tile.n, row_of(tile.rows, r));
                }
            }
        }
        workgroupBarrier();
        for (var bin = thread; bin < BINS; bin += THREADS) {
            counts[pair.part * BINS + bin] = f32(atomicLoad(&bins[bin]));
        }
    }
}

fn count(pair: Block_pair, r: u32, first: u32, distance: vec4<f32>) {
    for (var i = 0u; i < 4u; i++) {
        let c = first + i;
        let bits = bitcast<u32>(distance[i]);
        let once = pair.i < pair.j || r < c;
        let inside = r < pair.rows && c < pair.columns;
        if once && inside && bits >> (params.shift + params.width) == prefix[0] {
            atomicAdd(&bins[(bits >> params.shift) & ((1u << params.width) - 1u)], 1u);
        }
    }
}
