// Which pairs of blocks a step takes: src/kernel/pairs.rs says the same in Rust.
//
// The kernel that this file is appended to has `params`, with at least: n, m, stride, block, slice, cross.

struct Block_pair {
    // Whether its pairs are wanted; the rest is meaningless otherwise.
    wanted: bool,
    // Which blocks of all: rows and columns.
    i: u32,
    j: u32,
    // Position among the parts, (slab, slice).
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

// The tile of row block y of the slab and column block x of the slice.
fn tile_of(x: u32, y: u32) -> Block_pair {
    let row_block = step.first + y;
    let i = step.rows_at + row_block;
    let j = step.columns_at + x;
    let last = blocks_of(params.n) + blocks_of(params.m);
    var wanted = row_block < params.slice && i < last && j < last && i <= j;
    if params.cross != 0u {
        wanted = wanted && class_of(i) != class_of(j);
    }
    return Block_pair(wanted, i, j, y * params.slice + x, count_of(i), count_of(j));
}
