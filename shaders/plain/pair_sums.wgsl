// pair_sums.wgsl as plainly as can be: one thread a row, and one a column, of a pair of blocks. Each value of k is
// computed twice.
//
// with: tiles, family, exponential, step

struct Params {
    pairs: Pairs,
}

override FAMILY: u32;
override BANDWIDTHS: u32;
override SQUARES: bool;
override THREADS: u32;
// Points whose numbers lie side by side.
override TILE: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> rows: array<f32>;
@group(0) @binding(3) var<storage, read> columns: array<f32>;
@group(0) @binding(4) var<storage, read> scales: array<f32>;
@group(0) @binding(5) var<storage, read_write> row_parts: array<f32>;
@group(0) @binding(6) var<storage, read_write> column_parts: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let chunks = (params.pairs.block + THREADS - 1u) / THREADS;
    let pair = tile_of(group.x / chunks, group.y);
    let own = group.x % chunks * THREADS + thread;
    if !pair.wanted {
        return;
    }
    let length = (params.pairs.block + TILE - 1u) / TILE * TILE * params.pairs.stride;
    let row_start = (step.first + group.y) * length;
    let column_start = group.x / chunks * length;
    let place = 2u * (pair.part * params.pairs.block + own);
    if own < pair.rows {
        var sum = vec2(0.0);
        for (var c = 0u; c < pair.columns; c++) {
            if pair.i != pair.j || own != c {
                let k = value(row_start, own, column_start, c);
                sum += vec2(k, select(0.0, k * k, SQUARES));
            }
        }
        row_parts[place] = sum.x;
        row_parts[place + 1u] = sum.y;
    }
    if pair.i < pair.j && own < pair.columns {
        var sum = vec2(0.0);
        for (var r = 0u; r < pair.rows; r++) {
            let k = value(row_start, r, column_start, own);
            sum += vec2(k, select(0.0, k * k, SQUARES));
        }
        column_parts[place] = sum.x;
        column_parts[place + 1u] = sum.y;
    }
}

fn word(point: u32, k: u32) -> u32 {
    return (point / TILE * params.pairs.stride + k) * TILE + point % TILE;
}

fn value(row_start: u32, r: u32, column_start: u32, c: u32) -> f32 {
    var distance = 0.0;
    for (var k = 0u; k < params.pairs.d; k++) {
        let t = rows[row_start + word(r, k)] - columns[column_start + word(c, k)];
        distance += select(t * t, abs(t), FAMILY == LAPLACE);
    }
    var sum = -centre(FAMILY) * f32(BANDWIDTHS);
    for (var b = 0u; b < BANDWIDTHS; b++) {
        sum += kernel_value(FAMILY, scales[b], vec4(distance)).x;
    }
    return sum;
}
