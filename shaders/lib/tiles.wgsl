// Two samples in blocks, and which pairs of blocks a step takes: src/kernel/pairs.rs says the same in Rust.
//
// The kernel that this file is appended to has `params.pairs`.

struct Pairs {
    // Points of X and of Y.
    n: u32,
    m: u32,
    // Numbers of a point in memory.
    stride: u32,
    // Points of a block, blocks of a slice.
    block: u32,
    slice: u32,
    // Whether only pairs of a point of X and one of Y are wanted.
    cross: u32,
    // Coordinates.
    d: u32,
    // How far apart two items may be, and column blocks of a row block.
    reach: u32,
    band: u32,
    // Coordinates of the second variable.
    d_second: u32,
    // A struct in a uniform block is a multiple of 16 bytes.
    unused: u32,
    unused_too: u32,
}

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
    // Whether they are two blocks, with all pairs in reach.
    apart: bool,
}

fn blocks_of(points: u32) -> u32 {
    return (points + params.pairs.block - 1u) / params.pairs.block;
}

// 0 for a block of X, 1 for one of Y.
fn class_of(i: u32) -> u32 {
    return select(0u, 1u, i >= blocks_of(params.pairs.n));
}

// Points of a block that are no padding.
fn count_of(i: u32) -> u32 {
    let before = blocks_of(params.pairs.n);
    let in_y = i >= before;
    let position = select(i, i - before, in_y) * params.pairs.block;
    return min(params.pairs.block, select(params.pairs.n, params.pairs.m, in_y) - position);
}

// Whether the column blocks of a row block start with the row block itself, and not with the slice.
fn in_bands() -> bool {
    return params.pairs.band < params.pairs.slice;
}

// The tile of row block y of the slab and column block x of its band.
fn tile_of(x: u32, y: u32) -> Block_pair {
    let row_block = step.first + y;
    let i = step.rows_at + row_block;
    let j = select(step.columns_at, i, in_bands()) + x;
    let last = blocks_of(params.pairs.n) + blocks_of(params.pairs.m);
    // Columns before the slice are far behind it, as whole numbers go.
    var wanted = row_block < params.pairs.slice && j - step.columns_at < params.pairs.slice;
    wanted = wanted && i < last && j < last && i <= j;
    // The last row and the first column of two different blocks are the nearest.
    wanted = wanted && (max(j - i, 1u) - 1u) * params.pairs.block < params.pairs.reach;
    if params.pairs.cross != 0u {
        wanted = wanted && class_of(i) != class_of(j);
    }
    let apart = i < j && (j - i + 1u) * params.pairs.block - 1u <= params.pairs.reach;
    return Block_pair(wanted, i, j, y * params.pairs.band + x, count_of(i), count_of(j), apart);
}
