// The operands of lib/product.wgsl for distances between two blocks of points.
//
// The kernel that this file is appended to has `rows` and `columns`: points of params.stride numbers each, and
// `params.d` coordinates. In the expanded form (COMBINE 0) a point has -|x|^2 / 2 behind its coordinates, and two
// more products, with ones, complete -|x - z|^2 / 2.

const LEFT_ALONG_K = true;
const RIGHT_ALONG_K = true;

// First numbers of the row block and the column block, and how many of their points are no padding.
var<private> row_start: u32;
var<private> column_start: u32;
var<private> row_count: u32;
var<private> column_count: u32;

fn choose_blocks(pair: Block_pair, x: u32, y: u32) {
    row_start = (step.first + y) * params.block * params.stride;
    column_start = x * params.block * params.stride;
    row_count = pair.rows;
    column_count = pair.columns;
}

// Factors of one distance: coordinates, and in the expanded form two more.
fn depth() -> u32 {
    return params.d + select(0u, 2u, params.stride > params.d);
}

fn left4(r: u32, k: u32) -> vec4<f32> {
    return vec4(row(r, k), row(r + 1u, k), row(r + 2u, k), row(r + 3u, k));
}

fn right4(c: u32, k: u32) -> vec4<f32> {
    return vec4(column(c, k), column(c + 1u, k), column(c + 2u, k), column(c + 3u, k));
}

fn row(r: u32, k: u32) -> f32 {
    if r >= row_count || k >= depth() {
        return 0.0;
    }
    if k > params.d {
        return 1.0;
    }
    return rows[row_start + r * params.stride + k];
}

fn column(c: u32, k: u32) -> f32 {
    if c >= column_count || k >= depth() {
        return 0.0;
    }
    if k == params.d {
        return 1.0;
    }
    // In the expanded form the half norm comes after the one.
    return columns[column_start + c * params.stride + select(k, params.d, k > params.d)];
}

// The distances of four columns to one row, from a row of lib/product.wgsl's tile.
fn distances(sums: vec4<f32>) -> vec4<f32> {
    if COMBINE == PRODUCTS {
        return max(-2.0 * sums, vec4(0.0));
    }
    return sums;
}
