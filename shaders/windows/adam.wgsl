// g = sum over s of parts[s], and then Adam on theta, m and v.
//
// parts: (parts, N)    theta, m, v: (N)
//
// One thread a number.
//
// with: adam, step

struct Params {
    numbers: u32,
    parts: u32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
}

override THREADS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> parts: array<f32>;
@group(0) @binding(3) var<storage, read_write> theta: array<f32>;
@group(0) @binding(4) var<storage, read_write> m: array<f32>;
@group(0) @binding(5) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = group.x * THREADS + thread;
    if i < params.numbers {
        var g = 0.0;
        for (var part = 0u; part < params.parts; part++) {
            g += parts[part * params.numbers + i];
        }
        update(i, g);
    }
}
