// Adds a step's parts to what they are parts of, in the order of the tiles:
//     rows      sums[class(J), I, k, row r] += sum over J of row_parts[I, J, k, r]
//     columns   sums[class(I), J, k, column c] += sum over I < J of column_parts[I, J, k, c]
//     forms     sums[I, b] += sum over J of form_parts[I, J, b]
//     bins      sums[I, bin] += sum over J in the bin, r of row_parts[I, J, r].k
//
// parts: (slab, band, items) with items = kernels, block, 2 or draws    sums: (classes, blocks, items or bins)
//
// with: tiles, step

struct Params {
    pairs: Pairs,
    slab: u32,
    // Numbers that a block has: those of a part, or bins.
    items: u32,
    blocks_per_bin: u32,
}

override THREADS: u32;

// What the parts are of.
override KIND: u32;
const ROWS = 0u;
const COLUMNS = 1u;
const FORMS = 2u;
const BINS = 3u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> parts: array<f32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

// group.y is a row block of the slab, or a column block: of the slice, or in bands counted from the slab's first row
// block. A thread has one item of it.
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = group.x * THREADS + thread;
    let in_slab = KIND == COLUMNS && !in_bands();
    // With points of X, and with points of Y.
    var added = vec2(0.0);
    var block = 0u;
    var any = false;
    for (var other = 0u; other < select(params.pairs.band, params.slab, in_slab); other++) {
        var at = select(vec2(other, group.y), vec2(group.y, other), in_slab);
        if KIND == COLUMNS && in_bands() {
            // The farthest row block first, as in the order of the tiles.
            at.x = params.pairs.band - 1u - other;
            at.y = group.y - at.x;
        }
        let pair = tile_of(at.x, at.y);
        if at.y < params.slab && pair.wanted && item < params.items && has(pair, item) {
            let of_y = KIND <= COLUMNS && class_of(select(pair.j, pair.i, KIND == COLUMNS)) == 1u;
            let part = part_of(pair, item);
            added += select(vec2(part, 0.0), vec2(0.0, part), of_y);
            block = select(pair.i, pair.j, KIND == COLUMNS);
            any = true;
        }
    }
    if any {
        let place = block * params.items + item;
        sums[place] += added.x;
        if KIND <= COLUMNS {
            sums[place + params.items * (blocks_of(params.pairs.n) + blocks_of(params.pairs.m))] += added.y;
        }
    }
}

// Whether a tile adds to this item of its block: not if it is padding, or in another bin.
fn has(pair: Block_pair, item: u32) -> bool {
    let term = item % (2u * params.pairs.block);
    switch KIND {
        case ROWS: {
            return term < 2u * pair.rows;
        }
        case COLUMNS: {
            return pair.i < pair.j && term < 2u * pair.columns;
        }
        case BINS: {
            return bin_of(pair.j) == item;
        }
        default: {
            return true;
        }
    }
}

fn part_of(pair: Block_pair, item: u32) -> f32 {
    if KIND != BINS {
        return parts[pair.part * params.items + item];
    }
    var total = 0.0;
    for (var r = 0u; r < pair.rows; r++) {
        total += parts[2u * (pair.part * params.pairs.block + r)];
    }
    return total;
}

fn bin_of(i: u32) -> u32 {
    let before = blocks_of(params.pairs.n);
    let bins_of_x = (before + params.blocks_per_bin - 1u) / params.blocks_per_bin;
    if i < before {
        return i / params.blocks_per_bin;
    }
    return bins_of_x + (i - before) / params.blocks_per_bin;
}
