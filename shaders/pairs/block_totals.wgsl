// totals[I, bin] += sum over J in the bin, r of row_parts[I, J, r].k
//
// row_parts: (slab, band, block, 2)    totals: (blocks, bins)
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
    blocks_per_bin: u32,
    bins: u32,
}

override THREADS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> row_parts: array<f32>;
@group(0) @binding(3) var<storage, read_write> totals: array<f32>;

fn bin_of(i: u32) -> u32 {
    let before = blocks_of(params.n);
    let bins_of_x = (before + params.blocks_per_bin - 1u) / params.blocks_per_bin;
    if i < before {
        return i / params.blocks_per_bin;
    }
    return bins_of_x + (i - before) / params.blocks_per_bin;
}

// A thread has one bin of the columns for one row block.
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let bin = group.x * THREADS + thread;
    for (var x = 0u; x < params.band; x++) {
        let pair = tile_of(x, group.y);
        if pair.wanted && bin_of(pair.j) == bin {
            var total = 0.0;
            for (var r = 0u; r < pair.rows; r++) {
                total += row_parts[2u * (pair.part * params.block + r)];
            }
            totals[pair.i * params.bins + bin] += total;
        }
    }
}
