// The operands of lib/product.wgsl for distances between two blocks of points.
//
// The kernel that this file is appended to has `rows` and `columns`: groups of TILE points, (groups, params.pairs.stride,
// TILE), and `params.pairs.d` coordinates; a block is whole groups, padded where points are missing. In the expanded form
// (COMBINE 0) a point has -|x|^2 / 2 behind its coordinates, and two more products, with ones, complete
// -|x - z|^2 / 2.

// Points whose numbers lie side by side; also the ROWS and COLUMNS of a tile.
override TILE: u32;

const LEFT_ALONG_K = false;
const RIGHT_ALONG_K = false;

// Where the row block and the column block start, in four-vectors.
var<private> row_start: u32;
var<private> column_start: u32;

fn choose_blocks(pair: Block_pair) {
    let block = (params.pairs.block + TILE - 1u) / TILE * TILE / 4u * params.pairs.stride;
    row_start = (pair.i - step.rows_at) * block;
    column_start = (pair.j - step.columns_at) * block;
}

// Factors of one distance: coordinates, and in the expanded form two more.
fn depth() -> u32 {
    return params.pairs.d + select(0u, 2u, params.pairs.stride > params.pairs.d);
}

// Number k of four points of a block, in four-vectors.
fn word(point: u32, k: u32) -> u32 {
    return (point / TILE * params.pairs.stride + k) * (TILE / 4u) + point % TILE / 4u;
}

fn left4(r: u32, k: u32) -> vec4<f32> {
    if k >= depth() {
        return vec4(0.0);
    }
    if k > params.pairs.d {
        return vec4(1.0);
    }
    return rows[row_start + word(r, k)];
}

fn right4(c: u32, k: u32) -> vec4<f32> {
    if k >= depth() {
        return vec4(0.0);
    }
    if k == params.pairs.d {
        return vec4(1.0);
    }
    // In the expanded form the half norm comes after the one.
    return columns[column_start + word(c, min(k, params.pairs.d))];
}

// The distances of four columns to one row, from a row of lib/product.wgsl's tile.
fn distances(sums: vec4<f32>) -> vec4<f32> {
    if COMBINE == PRODUCTS {
        return max(-2.0 * sums, vec4(0.0));
    }
    return sums;
}
