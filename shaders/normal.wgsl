// z[r, j] ~ N(0, 1)        z: (R, M)
//
// One thread per pair of columns; a workgroup row per row.
//
// with: random, step

struct Params {
    columns: u32,
    stream: u32,
}

override THREADS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read_write> z: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let pair = group.x * THREADS + thread;
    if 2u * pair >= params.columns {
        return;
    }
    let draws = normals(pair, step.first + group.y, step.number, params.stream, step.seed);
    let at = group.y * params.columns + 2u * pair;
    z[at] = draws.x;
    if 2u * pair + 1u < params.columns {
        z[at + 1u] = draws.y;
    }
}
