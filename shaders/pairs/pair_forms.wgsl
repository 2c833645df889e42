// form_parts[I, J, k, b] = w sum over r, c of a_b[r] k(row r of block I, column c of block J) a_b[c]
// w = 2 where I < J, 1 where I = J; and the sums of pair_sums.wgsl, for each of several kernels k
//
// rows, columns: (groups, stride, TILE)    scales: (kernels, bandwidths)    members: (blocks * block / 32, draws)
// row_parts, column_parts: (slab, band, kernels, block, 2)    form_parts: (slab, band, kernels, draws)
//
// with: pairs, values, family, exponential, distances, tiles, product, step

struct Params {
    pairs: Pairs,
    draws: u32,
    kernels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> columns: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> scales: array<f32>;
@group(0) @binding(5) var<storage, read> members: array<u32>;
@group(0) @binding(6) var<storage, read_write> row_parts: array<f32>;
@group(0) @binding(7) var<storage, read_write> column_parts: array<f32>;
@group(0) @binding(8) var<storage, read_write> form_parts: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let pair = tile_of(group.x, group.y);
    if pair.wanted {
        choose_blocks(pair);
        block_sums(pair, thread);
    }
}

// Four bits as numbers.
fn bits4(word: u32, first: u32) -> vec4<f32> {
    return vec4<f32>((vec4(word) >> (vec4(first) + vec4(0u, 1u, 2u, 3u))) & vec4(1u));
}

// Each thread multiplies the tile with one vector at a time: the bits of the 32 columns of a tile stay in
// registers, and all threads read the same values.
fn tile_ready(pair: Block_pair, row: u32, column: u32, thread: u32, kernel: u32) {
    let row_words = (pair.i * params.pairs.block + row) / 32u * params.draws;
    let column_words = (pair.j * params.pairs.block + column) / 32u * params.draws;
    let weight = select(1.0, 2.0, pair.i < pair.j);
    let first = row == 0u && column == 0u;
    for (var b = thread; b < params.draws; b += THREADS) {
        let word = members[column_words + b];
        let a0 = bits4(word, 0u);
        let a1 = bits4(word, 4u);
        let a2 = bits4(word, 8u);
        let a3 = bits4(word, 12u);
        let a4 = bits4(word, 16u);
        let a5 = bits4(word, 20u);
        let a6 = bits4(word, 24u);
        let a7 = bits4(word, 28u);
        let row_word = members[row_words + b];
        var form = 0.0;
        for (var r = 0u; r < TILE; r++) {
            let k = r * TILE_PITCH;
            var sums = values4(k) * a0 + values4(k + 4u) * a1 + values4(k + 8u) * a2 + values4(k + 12u) * a3;
            sums += values4(k + 16u) * a4 + values4(k + 20u) * a5 + values4(k + 24u) * a6 + values4(k + 28u) * a7;
            form += f32((row_word >> r) & 1u) * (sums.x + sums.y + sums.z + sums.w);
        }
        let place = (pair.part * params.kernels + kernel) * params.draws + b;
        form_parts[place] = weight * form + select(form_parts[place], 0.0, first);
    }
}

fn values4(k: u32) -> vec4<f32> {
    return vec4(tile_values[k], tile_values[k + 1u], tile_values[k + 2u], tile_values[k + 3u]);
}
