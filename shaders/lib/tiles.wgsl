// Which pairs of blocks a step takes: src/kernel/pairs.rs says the same in Rust.
//
// The kernel that this file is appended to has `params`, with at least: n, m, stride, block, slice, cross,
// reach, band.

struct Block_pair {
    // Whether its pairs are wanted; the rest is meaningless otherwise.
    wanted: bool,
    // Which blocks of all: rows and columns.
    i: u32,
    j: u32,
    // Position among the parts, (slab, band).
    part: u32,
    // Points that are no padding.
    rows: u32,
    columns: u32,
}

fn blocks_of(points: u32) -> u32 {
    return (points + params.block - 1u) / params.block;
}

// 0 for a block of X, 1 for one of Y.
fn class_of(i: u32) -> u32 {
    return select(0u, 1u, i >= blocks_of(params.n));
}

// Points of a block that are no padding.
fn count_of(i: u32) -> u32 {
    let before = blocks_of(params.n);
    let in_y = i >= before;
    let position = select(i, i - before, in_y) * params.block;
    return min(params.block, select(params.n, params.m, in_y) - position);
}

// Whether the column blocks of a row block start with the row block itself, and not with the slice.
fn in_bands() -> bool {
    return params.band < params.slice;
}

// The tile of row block y of the slab and column block x of its band.
fn tile_of(x: u32, y: u32) -> Block_pair {
    let row_block = step.first + y;
    let i = step.rows_at + row_block;
    let j = select(step.columns_at, i, in_bands()) + x;
    let last = blocks_of(params.n) + blocks_of(params.m);
    // Columns before the slice are far behind it, as whole numbers go.
    var wanted = row_block < params.slice && j - step.columns_at < params.slice;
    wanted = wanted && i < last && j < last && i <= j;
    // The last row and the first column of two different blocks are the nearest.
    wanted = wanted && (max(j - i, 1u) - 1u) * params.block < params.reach;
    if params.cross != 0u {
        wanted = wanted && class_of(i) != class_of(j);
    }
    return Block_pair(wanted, i, j, y * params.band + x, count_of(i), count_of(j));
}
