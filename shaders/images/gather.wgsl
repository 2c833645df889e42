// x[b, d] = data[row(b), d] / 255        data: (N, D) bytes in whole words a row    x: (B, D)
//
// One thread per word of four pixels; a workgroup row per image of the batch.
//
// with: shuffle, step

struct Params {
    images: u32,
    dimension: u32,
}

override THREADS: u32;
override SHUFFLE: bool;
override SCALE: f32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> data: array<u32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let words = (params.dimension + 3u) / 4u;
    let word = group.x * THREADS + thread;
    if word >= words {
        return;
    }
    let position = step.first + group.y;
    var row = position % params.images;
    if SHUFFLE {
        row = shuffled(position, params.images, step.seed, step.epoch);
    }
    var bytes = data[row * words + word];
    let first = 4u * word;
    for (var d = first; d < min(first + 4u, params.dimension); d++) {
        x[group.y * params.dimension + d] = f32(bytes & 0xFFu) * SCALE;
        bytes >>= 8u;
    }
}
