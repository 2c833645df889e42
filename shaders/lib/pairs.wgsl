// Values of the kernel function between two blocks of points, a TILE x TILE tile at a time, and their row and
// column sums. src/kernel/pairs.rs has the formulas.
//
// The kernel that this file is appended to has `rows`, `columns`, `scales`, `row_parts`, `column_parts`, and
//     fn tile_ready(pair: Block_pair, row: u32, column: u32, thread: u32)
// which all threads call when `tile_values` holds a tile; its first row and column in their blocks are given.

override FAMILY: u32;

// What is summed up.
override VALUE: u32;
const STEIN = 1u;
const PAIRED = 2u;

// Whether the sums of k^2 are wanted; they are 0 otherwise.
override SQUARES: bool;

const GAUSSIAN = 0u;
const LAPLACE = 1u;
const IMQ = 2u;

// Rows of `tile_values`, one longer than a tile: threads that differ in the row then use different banks.
override TILE_PITCH = TILE + 4u;
override TILE_LEN = TILE_PITCH * TILE;

var<workgroup> tile_values: array<f32, TILE_LEN>;

// k less its centre, 1/2 a bandwidth.
fn kernel_values(distance: vec4<f32>) -> vec4<f32> {
    var sums = vec4(0.0);
    for (var b = 0u; b < params.bandwidths; b++) {
        let scaled = scales[b] * distance;
        if FAMILY == GAUSSIAN || FAMILY == LAPLACE {
            sums += exp2_negative(scaled) - 0.5;
        } else if FAMILY == IMQ {
            sums += 1.0 / sqrt(1.0 + scaled) - 0.5;
        } else {
            sums += scales[b] * sqrt(distance);
        }
    }
    return sums;
}

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

// One tile of values; 0 for padding and for a point with itself.
fn evaluate(pair: Block_pair, row: u32, column: u32, thread: u32) {
    let tile = values(row, column, thread);
    for (var r = 0u; r < 4u; r++) {
        let k = tile.rows[r];
        for (var c = 0u; c < 4u; c++) {
            let m = tile.m + r;
            let n = tile.n + c;
            let same = pair.i == pair.j && m == n;
            let outside = m >= pair.rows || n >= pair.columns;
            tile_values[(m - row) * TILE_PITCH + n - column] = select(k[c], 0.0, same || outside);
        }
    }
    workgroupBarrier();
}

// The values of a thread's four rows and four columns.
fn values(row: u32, column: u32, thread: u32) -> Tile {
    let group = vec2(column, row) / TILE;
    let corner = first_of(group, thread);
    var tile = Tile(corner.y, corner.x, array<vec4<f32>, 4>());
    if VALUE == STEIN {
        tile.rows = stein_values(corner.y, corner.x);
    } else if VALUE == PAIRED {
        tile.rows = paired_values(corner.y, corner.x);
    } else {
        tile = product(group, thread, depth());
        for (var r = 0u; r < 4u; r++) {
            tile.rows[r] = kernel_values(distances(tile.rows[r]));
        }
    }
    return tile;
}

// Items have params.d numbers and then as many others. No workgroup memory: the three sums of each of the 16 pairs
// of a thread take turns with eight loads.
fn stein_values(m: u32, n: u32) -> array<vec4<f32>, 4> {
    var distance = mat4x4<f32>();
    var scores = mat4x4<f32>();
    var mixed = mat4x4<f32>();
    for (var k = 0u; k < params.d; k++) {
        let x = rows[row_start + word(m, k)];
        let s = rows[row_start + word(m, params.d + k)];
        let z = columns[column_start + word(n, k)];
        let t = columns[column_start + word(n, params.d + k)];
        for (var r = 0u; r < 4u; r++) {
            let dx = x[r] - z;
            distance[r] += dx * dx;
            scores[r] += s[r] * t;
            mixed[r] += (s[r] - t) * dx;
        }
    }
    let d = f32(params.d);
    var result = array<vec4<f32>, 4>();
    for (var b = 0u; b < params.bandwidths; b++) {
        for (var r = 0u; r < 4u; r++) {
            if FAMILY == IMQ {
                // k (s.s' + c k^2 (t + d - 3 c k^2 r^2)), c = 1 / b^2
                let square = 1.0 / (1.0 + scales[b] * distance[r]);
                let c = scales[b] * square;
                result[r] += sqrt(square) * (scores[r] + c * (mixed[r] + d - 3.0 * c * distance[r]));
            } else {
                // k (s.s' + c (t + d - c r^2)), c = 1 / sigma^2
                let c = -2.0 / LOG2_E * scales[b];
                let k = exp2_negative(scales[b] * distance[r]);
                result[r] += k * (scores[r] + c * (mixed[r] + d - c * distance[r]));
            }
        }
    }
    return result;
}

// k(x, x') + k(y, y') - k(x, y') - k(y, x')
fn paired_values(m: u32, n: u32) -> array<vec4<f32>, 4> {
    var result = array<vec4<f32>, 4>();
    for (var which = 0u; which < 4u; which++) {
        let first = params.d * (which / 2u);
        let second = params.d * (which % 2u);
        var distance = mat4x4<f32>();
        for (var k = 0u; k < params.d; k++) {
            let x = rows[row_start + word(m, first + k)];
            let z = columns[column_start + word(n, second + k)];
            for (var r = 0u; r < 4u; r++) {
                distance[r] += combine(x[r], z);
            }
        }
        let sign = select(-1.0, 1.0, first == second);
        for (var r = 0u; r < 4u; r++) {
            result[r] += sign * kernel_values(distance[r]);
        }
    }
    return result;
}
