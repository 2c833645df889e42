// The operands of lib/product.wgsl for distances between two blocks of points.
//
// The kernel that this file is appended to has `rows` and `columns`: groups of TILE points, (groups, params.pairs.stride,
// TILE), and `params.pairs.d` coordinates; a block is whole groups, padded where points are missing. In the expanded form
// (COMBINE 0) a point has -|x|^2 / 2 behind its coordinates, and two more products, with ones, complete
// -|x - z|^2 / 2.

// Points whose numbers lie side by side; also the ROWS and COLUMNS of a tile.
override TILE: u32;

// The number of coordinates where there are few, up to four: each thread then reads those of its rows and columns for
// itself, as the way through workgroup memory takes longer than these. 0 where there are more, and in the expanded form.
override FEW: u32;

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

// The distances of a thread's four rows and four columns. Must be called by all threads of the workgroup together.
fn tile_distances(group: vec2<u32>, thread: u32) -> Patch {
    if FEW == 0u {
        let tile = product(group, thread, depth());
        let sums = tile.rows;
        let rows = mat4x4(distances(sums[0]), distances(sums[1]), distances(sums[2]), distances(sums[3]));
        return Patch(tile.m, tile.n, rows);
    }
    let corner = first_of(group, thread);
    return Patch(corner.y, corner.x, few_distances(few_of_rows(corner.y), few_of_columns(corner.x)));
}

// The few coordinates of four points: a vector for each.
fn few_of_rows(m: u32) -> mat4x4<f32> {
    var x = mat4x4<f32>();
    x[0] = rows[row_start + word(m, 0u)];
    if FEW > 1u {
        x[1] = rows[row_start + word(m, 1u)];
    }
    if FEW > 2u {
        x[2] = rows[row_start + word(m, 2u)];
    }
    if FEW > 3u {
        x[3] = rows[row_start + word(m, 3u)];
    }
    return x;
}

fn few_of_columns(n: u32) -> mat4x4<f32> {
    var z = mat4x4<f32>();
    z[0] = columns[column_start + word(n, 0u)];
    if FEW > 1u {
        z[1] = columns[column_start + word(n, 1u)];
    }
    if FEW > 2u {
        z[2] = columns[column_start + word(n, 2u)];
    }
    if FEW > 3u {
        z[3] = columns[column_start + word(n, 3u)];
    }
    return z;
}

fn few_distances(x: mat4x4<f32>, z: mat4x4<f32>) -> mat4x4<f32> {
    var sums = mat4x4<f32>();
    add(x[0], z[0], &sums);
    if FEW > 1u {
        add(x[1], z[1], &sums);
    }
    if FEW > 2u {
        add(x[2], z[2], &sums);
    }
    if FEW > 3u {
        add(x[3], z[3], &sums);
    }
    return sums;
}

// The distances of four columns to one row, from a row of lib/product.wgsl's tile.
fn distances(sums: vec4<f32>) -> vec4<f32> {
    if COMBINE == PRODUCTS {
        return max(-2.0 * sums, vec4(0.0));
    }
    return sums;
}
