// row_parts[I, J, r]    = sum over c of (k, k^2)(row r of block I, column c of block J)
// column_parts[I, J, c] = sum over r of (k, k^2)(row r of block I, column c of block J)       I < J
//
// The sums of k^2 are 0 unless they are wanted.
//
// rows, columns: (groups, stride, TILE)    scales: (bandwidths)    parts: (slab, band, block, 2)
//
// with: values, family, exponential, distances, tiles, product, step

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
    d_2: u32,
    bandwidths_2: u32,
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
    let first = 2u * pair.part * params.block;
    for (var column = 0u; column < pair.columns; column += STRIP * TILE) {
        // Column sums stay in registers from the first row to the last.
        var c0 = Sums();
        var c1 = Sums();
        var c2 = Sums();
        var c3 = Sums();
        for (var row = 0u; row < pair.rows; row += MOST * TILE) {
            for (var r = 0u; r < MOST * TILE && row + r < pair.rows; r += TILE) {
                let sums = add_strip(pair, row + r, column, thread, &c0, &c1, &c2, &c3);
                keep(across * SUMS_PITCH + r / 4u + down, sums);
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
            keep(at, c0);
            keep(at + QUADS, c1);
            keep(at + 2u * QUADS, c2);
            keep(at + 3u * QUADS, c3);
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

// Adds a thread's values of the tiles of a strip to its column sums, and gives the sums of its four rows.
fn add_strip(
    pair: Block_pair,
    row: u32,
    column: u32,
    thread: u32,
    c0: ptr<function, Sums>,
    c1: ptr<function, Sums>,
    c2: ptr<function, Sums>,
    c3: ptr<function, Sums>,
) -> Sums {
    var sums = Sums();
    if DIRECT && VALUE == KERNEL && STRIP > 1u {
        // Software adapters pay for every load as well: what a row loads serves all tiles.
        let corner = first_of(vec2(column, row) / TILE, thread);
        let m = corner.y;
        let n = corner.x;
        var t0 = mat4x4<f32>();
        var t1 = mat4x4<f32>();
        var t2 = mat4x4<f32>();
        var t3 = mat4x4<f32>();
        for (var k = 0u; k < depth(); k++) {
            let left = left4(m, k);
            add(left, right4(n, k), &t0);
            add(left, right4(n + TILE, k), &t1);
            if STRIP > 2u {
                add(left, right4(n + 2u * TILE, k), &t2);
            }
            if STRIP > 3u {
                add(left, right4(n + 3u * TILE, k), &t3);
            }
        }
        add_tile(kernel_tile(pair, m, n, t0), &sums, c0);
        add_tile(kernel_tile(pair, m, n + TILE, t1), &sums, c1);
        if STRIP > 2u {
            add_tile(kernel_tile(pair, m, n + 2u * TILE, t2), &sums, c2);
        }
        if STRIP > 3u {
            add_tile(kernel_tile(pair, m, n + 3u * TILE, t3), &sums, c3);
        }
    } else {
        add_tile(values(pair, row, column, thread), &sums, c0);
        if STRIP > 1u {
            add_tile(values(pair, row, column + TILE, thread), &sums, c1);
        }
        if STRIP > 2u {
            add_tile(values(pair, row, column + 2u * TILE, thread), &sums, c2);
        }
        if STRIP > 3u {
            add_tile(values(pair, row, column + 3u * TILE, thread), &sums, c3);
        }
    }
    return sums;
}

// Values of the kernel function, of what its distances are made of.
fn kernel_tile(pair: Block_pair, m: u32, n: u32, sums: mat4x4<f32>) -> Tile {
    let distance = mat4x4(distances(sums[0]), distances(sums[1]), distances(sums[2]), distances(sums[3]));
    let k = kernel_values(FAMILY, 0u, params.bandwidths, distance);
    return masked(pair, Tile(m, n, array(k[0], k[1], k[2], k[3])));
}

// Adds a thread's part of one tile.
fn add_tile(tile: Tile, row_sums: ptr<function, Sums>, column_sums: ptr<function, Sums>) {
    let k = tile.rows;
    (*row_sums).k += vec4(sum4(k[0]), sum4(k[1]), sum4(k[2]), sum4(k[3]));
    (*column_sums).k += (k[0] + k[1]) + (k[2] + k[3]);
    if SQUARES {
        let squares = array(k[0] * k[0], k[1] * k[1], k[2] * k[2], k[3] * k[3]);
        (*row_sums).squares += vec4(sum4(squares[0]), sum4(squares[1]), sum4(squares[2]), sum4(squares[3]));
        (*column_sums).squares += (squares[0] + squares[1]) + (squares[2] + squares[3]);
    }
}

fn sum4(k: vec4<f32>) -> f32 {
    return (k.x + k.y) + (k.z + k.w);
}
