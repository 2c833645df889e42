// x[b, d] = data[row(b), d] / (2^BITS - 1)        data: (N, D) numbers of BITS bits in whole words a row    x: (B, D)
// With NUMBERS data are f32, taken as they are.
//
// The rows are in up to four slices of params.rows each, as no binding may be larger than a device allows.
//
// One thread per four pixels; a workgroup row per image of the batch.
//
// with: shuffle, step

struct Params {
    images: u32,
    dimension: u32,
    // Rows of a slice.
    rows: u32,
}

override THREADS: u32;
override SHUFFLE: bool;
// 8, 1 for black and white, 32 with NUMBERS.
override BITS: u32;
override NUMBERS: bool;
// 1 / (2^BITS - 1)
override SCALE: f32;

override MOST = 0xffffffffu >> (32u - BITS);
override PER_WORD = 32u / BITS;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> data0: array<u32>;
@group(0) @binding(3) var<storage, read> data1: array<u32>;
@group(0) @binding(4) var<storage, read> data2: array<u32>;
@group(0) @binding(5) var<storage, read> data3: array<u32>;
@group(0) @binding(6) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let words = (params.dimension + PER_WORD - 1u) / PER_WORD;
    let first = 4u * (group.x * THREADS + thread);
    if first >= params.dimension {
        return;
    }
    let position = step.first + group.y;
    var row = position % params.images;
    if SHUFFLE {
        row = shuffled(position, params.images, step.seed, step.epoch);
    }
    let slice = row / params.rows;
    let place = row % params.rows * words;
    if NUMBERS {
        for (var d = first; d < min(first + 4u, params.dimension); d++) {
            x[group.y * params.dimension + d] = bitcast<f32>(stored(slice, place + d));
        }
        return;
    }
    var pixels = stored(slice, place + first / PER_WORD) >> (first % PER_WORD * BITS);
    for (var d = first; d < min(first + 4u, params.dimension); d++) {
        x[group.y * params.dimension + d] = f32(pixels & MOST) * SCALE;
        pixels = pixels >> (BITS % 32u);
    }
}

fn stored(slice: u32, at: u32) -> u32 {
    switch slice {
        case 0u {
            return data0[at];
        }
        case 1u {
            return data1[at];
        }
        case 2u {
            return data2[at];
        }
        default {
            return data3[at];
        }
    }
}
