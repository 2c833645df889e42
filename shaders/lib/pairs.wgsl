// Row and column sums of the values between two blocks of points (lib/values.wgsl), a TILE x TILE tile at a time.
//
// The kernel that this file is appended to has `row_parts`, `column_parts`, and
//     fn tile_ready(pair: Block_pair, row: u32, column: u32, thread: u32, kernel: u32)
// which all threads call when `tile_values` holds a tile; its first row and column in their blocks are given.

// Whether the sums of k^2 are wanted; they are 0 otherwise.
override SQUARES: bool;

// Rows of `tile_values`, one longer than a tile: threads that differ in the row then use different banks.
override TILE_PITCH = TILE + 4u;
override TILE_LEN = TILE_PITCH * TILE;

var<workgroup> tile_values: array<f32, TILE_LEN>;

// All tiles of a pair of blocks, each with all kernels. Must be called by all threads of the workgroup together.
fn block_sums(pair: Block_pair, thread: u32) {
    for (var row = 0u; row < pair.rows; row += TILE) {
        for (var column = 0u; column < pair.columns; column += TILE) {
            let base = base_of(pair, row, column, thread);
            for (var kernel = 0u; kernel < params.kernels; kernel++) {
                let scale = kernel * (BANDWIDTHS + BANDWIDTHS_SECOND);
                keep(values_of(pair, base, scale), row, column);
                workgroupBarrier();
                add_sums(pair, row, column, thread, kernel);
                tile_ready(pair, row, column, thread, kernel);
                workgroupBarrier();
            }
        }
    }
}

// Thread r < TILE adds up row r of the tile, thread TILE + c column c.
fn add_sums(pair: Block_pair, row: u32, column: u32, thread: u32, kernel: u32) {
    let index = thread % TILE;
    let is_row = thread < TILE;
    var sum = vec2(0.0);
    for (var other = 0u; other < TILE; other++) {
        let k = tile_values[select(index + other * TILE_PITCH, index * TILE_PITCH + other, is_row)];
        sum += vec2(k, select(0.0, k * k, SQUARES));
    }
    let part = (pair.part * params.kernels + kernel) * params.pairs.block;
    if is_row && row + index < pair.rows {
        let place = 2u * (part + row + index);
        row_parts[place] = sum.x + select(row_parts[place], 0.0, column == 0u);
        row_parts[place + 1u] = sum.y + select(row_parts[place + 1u], 0.0, column == 0u);
    }
    if thread >= TILE && thread < 2u * TILE && pair.i < pair.j && column + index < pair.columns {
        let place = 2u * (part + column + index);
        column_parts[place] = sum.x + select(column_parts[place], 0.0, row == 0u);
        column_parts[place + 1u] = sum.y + select(column_parts[place + 1u], 0.0, row == 0u);
    }
}

// Puts a thread's part of a tile into `tile_values`.
fn keep(tile: Patch, row: u32, column: u32) {
    var rows = tile.rows;
    for (var r = 0u; r < 4u; r++) {
        let k = rows[r];
        for (var c = 0u; c < 4u; c++) {
            tile_values[(tile.m + r - row) * TILE_PITCH + tile.n + c - column] = k[c];
        }
    }
}
