// Row and column sums of the values between two blocks of points (lib/values.wgsl), a TILE x TILE tile at a time.
//
// The kernel that this file is appended to has `row_parts`, `column_parts`, and
//     fn tile_ready(pair: Block_pair, row: u32, column: u32, thread: u32)
// which all threads call when `tile_values` holds a tile; its first row and column in their blocks are given.

// Whether the sums of k^2 are wanted; they are 0 otherwise.
override SQUARES: bool;

// Rows of `tile_values`, one longer than a tile: threads that differ in the row then use different banks.
override TILE_PITCH = TILE + 4u;
override TILE_LEN = TILE_PITCH * TILE;

var<workgroup> tile_values: array<f32, TILE_LEN>;

// All tiles of a pair of blocks. Must be called by all threads of the workgroup together.
fn block_sums(pair: Block_pair, thread: u32) {
    for (var row = 0u; row < pair.rows; row += TILE) {
        // Thread r < TILE adds up row r of the tiles, thread TILE + c column c.
        var row_sum = vec2(0.0);
        for (var column = 0u; column < pair.columns; column += TILE) {
            evaluate(pair, row, column, thread);
            let index = thread % TILE;
            var sum = vec2(0.0);
            for (var other = 0u; other < TILE; other++) {
                let along = select(index + other * TILE_PITCH, index * TILE_PITCH + other, thread < TILE);
                let k = tile_values[along];
                sum += vec2(k, select(0.0, k * k, SQUARES));
            }
            row_sum += sum;
            if thread >= TILE && thread < 2u * TILE && pair.i < pair.j && column + index < pair.columns {
                let place = 2u * (pair.part * params.block + column + index);
                let first = row == 0u;
                column_parts[place] = sum.x + select(column_parts[place], 0.0, first);
                column_parts[place + 1u] = sum.y + select(column_parts[place + 1u], 0.0, first);
            }
            tile_ready(pair, row, column, thread);
            workgroupBarrier();
        }
        if thread < TILE && row + thread < pair.rows {
            let place = 2u * (pair.part * params.block + row + thread);
            row_parts[place] = row_sum.x;
            row_parts[place + 1u] = row_sum.y;
        }
    }
}

// One tile of values.
fn evaluate(pair: Block_pair, row: u32, column: u32, thread: u32) {
    let tile = values(pair, row, column, thread);
    for (var r = 0u; r < 4u; r++) {
        let k = tile.rows[r];
        for (var c = 0u; c < 4u; c++) {
            tile_values[(tile.m + r - row) * TILE_PITCH + tile.n + c - column] = k[c];
        }
    }
    workgroupBarrier();
}
