// form_parts[I, J, b] = w sum over r, c of k(row r of block I, column c of block J) l(y[o_b(r)], y[o_b(c)])
// y: the second variable
// w = 2 where I < J, 1 where I = J; k and l less their centres
//
// rows, columns: (groups, stride, TILE)    scales: (bandwidths)
// second: (n, d_second)    scales_second: (bandwidths_second)
// order: (draws, n)    form_parts: (slab, band, draws)
//
// with: values, family, exponential, distances, tiles, reduce, product, step

struct Params {
    pairs: Pairs,
    draws: u32,
}

// Draws of a workgroup: k is computed once for all of them.
override DRAWS: u32;

// Sums of up to eight draws.
struct Sums {
    low: vec4<f32>,
    high: vec4<f32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> columns: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> scales: array<f32>;
@group(0) @binding(5) var<storage, read> second: array<f32>;
@group(0) @binding(6) var<storage, read> scales_second: array<f32>;
@group(0) @binding(7) var<storage, read> order: array<u32>;
@group(0) @binding(8) var<storage, read_write> form_parts: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let chunks = (params.draws + DRAWS - 1u) / DRAWS;
    let down = group.y / chunks;
    let first_draw = group.y % chunks * DRAWS;
    let pair = tile_of(group.x, down);
    if pair.wanted {
        choose_blocks(pair);
        var sums = Sums();
        for (var row = 0u; row < pair.rows; row += TILE) {
            for (var column = 0u; column < pair.columns; column += TILE) {
                let k = values(pair, row, column, thread);
                for (var i = 0u; i < DRAWS; i++) {
                    sums = added(sums, i, product_of(k, pair, min(first_draw + i, params.draws - 1u)));
                }
            }
        }
        let weight = select(1.0, 2.0, pair.i < pair.j);
        for (var i = 0u; i < DRAWS; i++) {
            let total = workgroup_sum(thread, vec2(sum_of(sums, i), 0.0)).x;
            if thread == 0u && first_draw + i < params.draws {
                form_parts[pair.part * params.draws + first_draw + i] = weight * total;
            }
            workgroupBarrier();
        }
    }
}

// With a value added to number i: by choices, as an index would put the sums into memory.
fn added(sums: Sums, i: u32, value: f32) -> Sums {
    let low = select(vec4(0.0), vec4(value), vec4(i) == vec4(0u, 1u, 2u, 3u));
    let high = select(vec4(0.0), vec4(value), vec4(i) == vec4(4u, 5u, 6u, 7u));
    return Sums(sums.low + low, sums.high + high);
}

// Number i.
fn sum_of(sums: Sums, i: u32) -> f32 {
    let four = select(sums.low, sums.high, i >= 4u);
    let two = select(four.xy, four.zw, i % 4u >= 2u);
    return select(two.x, two.y, i % 2u == 1u);
}

// Sum over a thread's pairs of k l. Where k is 0, for padding, l is of some other point.
fn product_of(k: Patch, pair: Block_pair, draw: u32) -> f32 {
    let last = params.pairs.n - 1u;
    let first = draw * params.pairs.n;
    let c = min(vec4(pair.j * params.pairs.block + k.n) + vec4(0u, 1u, 2u, 3u), vec4(last));
    let z = params.pairs.d_second * vec4(order[first + c.x], order[first + c.y], order[first + c.z], order[first + c.w]);
    var sum = 0.0;
    for (var r = 0u; r < 4u; r++) {
        let x = params.pairs.d_second * order[first + min(pair.i * params.pairs.block + k.m + r, last)];
        var distance = vec4(0.0);
        for (var f = 0u; f < params.pairs.d_second; f++) {
            let difference = second[x + f] - vec4(second[z.x + f], second[z.y + f], second[z.z + f], second[z.w + f]);
            distance += select(difference * difference, abs(difference), FAMILY_SECOND == LAPLACE);
        }
        var l = vec4(-centre(FAMILY_SECOND) * f32(BANDWIDTHS_SECOND));
        for (var b = 0u; b < BANDWIDTHS_SECOND; b++) {
            l += kernel_value(FAMILY_SECOND, scales_second[b], distance);
        }
        sum += dot(row_of(k.rows, r), l);
    }
    return sum;
}
