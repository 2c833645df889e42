// row_parts[I, J, r]    = sum over c of (k, k^2)(row r of block I, column c of block J)
// column_parts[I, J, c] = sum over r of (k, k^2)(row r of block I, column c of block J)       I < J
//
// The sums of k^2 are 0 unless they are wanted.
//
// rows, columns: (groups, stride, TILE)    scales: (bandwidths)    parts: (slab, band, block, 2)
//
// with: values, family, exponential, distances, tiles, product, step

struct Params {
    pairs: Pairs,
}

// Whether the sums of k^2 are wanted; they are 0 otherwise.
override SQUARES: bool;

// Tiles side by side that a thread has 4 x 4 values each of: 1 to MOST.
override STRIP: u32;

// Tiles whose sums are in workgroup memory at a time.
const MOST = 4u;

// Sums of each thread's part of MOST tiles. They go to [across or down][four rows or columns], rows of it one longer
// than needed: threads that differ in either then use different banks.
override QUADS = TILE / 4u;
override SUMS_PITCH = MOST * QUADS + 1u;
override SUMS_LEN = QUADS * SUMS_PITCH;
override SQUARES_LEN = select(1u, SUMS_LEN, SQUARES);

var<workgroup> sums_of_k: array<vec4<f32>, SUMS_LEN>;
var<workgroup> sums_of_squares: array<vec4<f32>, SQUARES_LEN>;

// Sums over some of four rows or columns.
struct Sums {
    k: vec4<f32>,
    squares: vec4<f32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> columns: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> scales: array<f32>;
@group(0) @binding(5) var<storage, read_write> row_parts: array<f32>;
@group(0) @binding(6) var<storage, read_write> column_parts: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let pair = tile_of(group.x, group.y);
    if pair.wanted {
        choose_blocks(pair);
        block_sums(pair, thread);
    }
}

// All tiles of a pair of blocks. Must be called by all threads of the workgroup together.
fn block_sums(pair: Block_pair, thread: u32) {
    let across = thread % QUADS;
    let down = thread / QUADS;
    let first = 2u * pair.part * params.pairs.block;
    for (var column = 0u; column < pair.columns; column += STRIP * TILE) {
        // Column sums of the strip's tiles stay in registers from the first row to the last.
        var a = Sums();
        var b = Sums();
        var c = Sums();
        var d = Sums();
        // Of few coordinates, so do those of the columns.
        let z_a = few_in(column, thread);
        let z_b = few_in(column + TILE, thread);
        let z_c = few_in(column + 2u * TILE, thread);
        let z_d = few_in(column + 3u * TILE, thread);
        for (var row = 0u; row < pair.rows; row += MOST * TILE) {
            for (var r = 0u; r < MOST * TILE && row + r < pair.rows; r += TILE) {
                var of_rows = Sums();
                add_tile(pair, row + r, column, thread, z_a, &of_rows, &a);
                if STRIP > 1u {
                    add_tile(pair, row + r, column + TILE, thread, z_b, &of_rows, &b);
                }
                if STRIP > 2u {
                    add_tile(pair, row + r, column + 2u * TILE, thread, z_c, &of_rows, &c);
                }
                if STRIP > 3u {
                    add_tile(pair, row + r, column + 3u * TILE, thread, z_d, &of_rows, &d);
                }
                keep(across * SUMS_PITCH + r / 4u + down, of_rows);
            }
            workgroupBarrier();
            for (var r = thread; r < min(MOST * TILE, pair.rows - row); r += THREADS) {
                let sum = total_of(r);
                let place = first + 2u * (row + r);
                row_parts[place] = sum.x + select(row_parts[place], 0.0, column == 0u);
                row_parts[place + 1u] = sum.y + select(row_parts[place + 1u], 0.0, column == 0u);
            }
            workgroupBarrier();
        }
        if pair.i < pair.j {
            let at = down * SUMS_PITCH + across;
            keep(at, a);
            if STRIP > 1u {
                keep(at + QUADS, b);
            }
            if STRIP > 2u {
                keep(at + 2u * QUADS, c);
            }
            if STRIP > 3u {
                keep(at + 3u * QUADS, d);
            }
            workgroupBarrier();
            for (var c = thread; c < min(STRIP * TILE, pair.columns - column); c += THREADS) {
                let sum = total_of(c);
                let place = first + 2u * (column + c);
                column_parts[place] = sum.x;
                column_parts[place + 1u] = sum.y;
            }
            workgroupBarrier();
        }
    }
}

// The few coordinates of a thread's columns of a tile.
fn few_in(column: u32, thread: u32) -> mat4x4<f32> {
    if FEW == 0u {
        return mat4x4<f32>();
    }
    return few_of_columns(first_of(vec2(column / TILE, 0u), thread).x);
}

// Adds the values of a tile to the sums of its rows and of its columns; z: the columns' few coordinates. Must be called by
// all threads of the workgroup together.
fn add_tile(
    pair: Block_pair,
    row: u32,
    column: u32,
    thread: u32,
    z: mat4x4<f32>,
    of_rows: ptr<function, Sums>,
    of_columns: ptr<function, Sums>,
) {
    let k = values_in(pair, row, column, thread, z).rows;
    (*of_rows).k += sums4(k);
    (*of_columns).k += (k[0] + k[1]) + (k[2] + k[3]);
    if SQUARES {
        let k2 = mat4x4(k[0] * k[0], k[1] * k[1], k[2] * k[2], k[3] * k[3]);
        (*of_rows).squares += sums4(k2);
        (*of_columns).squares += (k2[0] + k2[1]) + (k2[2] + k2[3]);
    }
}

fn values_in(pair: Block_pair, row: u32, column: u32, thread: u32, z: mat4x4<f32>) -> Patch {
    if FEW == 0u {
        return values(pair, row, column, thread);
    }
    let x = few_of_rows(first_of(vec2(0u, row / TILE), thread).y);
    return values_at(pair, row, column, thread, few_distances(x, z));
}

fn keep(at: u32, sums: Sums) {
    sums_of_k[at] = sums.k;
    if SQUARES {
        sums_of_squares[at] = sums.squares;
    }
}

// What all threads that share a row or column have kept for it.
fn total_of(i: u32) -> vec2<f32> {
    var total = vec2(0.0);
    for (var other = 0u; other < QUADS; other++) {
        let at = other * SUMS_PITCH + i / 4u;
        total.x += sums_of_k[at][i % 4u];
        if SQUARES {
            total.y += sums_of_squares[at][i % 4u];
        }
    }
    return total;
}

fn sums4(k: mat4x4<f32>) -> vec4<f32> {
    return vec4(sum4(k[0]), sum4(k[1]), sum4(k[2]), sum4(k[3]));
}

fn sum4(k: vec4<f32>) -> f32 {
    return (k.x + k.y) + (k.z + k.w);
}
