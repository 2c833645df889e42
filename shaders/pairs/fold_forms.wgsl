// forms[I, b] += sum over J of form_parts[I, J, b]
//
// form_parts: (slab, band, draws)    forms: (blocks, draws)
//
// with: tiles, step

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
    draws: u32,
}

override THREADS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> form_parts: array<f32>;
@group(0) @binding(3) var<storage, read_write> forms: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let b = group.x * THREADS + thread;
    if b < params.draws {
        for (var x = 0u; x < params.band; x++) {
            let pair = tile_of(x, group.y);
            if pair.wanted {
                forms[pair.i * params.draws + b] += form_parts[pair.part * params.draws + b];
            }
        }
    }
}
