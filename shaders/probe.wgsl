// x[i] = x[i] / 2 + 1/4        (EXPONENTIALS false)
// x[i] = 2^-x[i]               (EXPONENTIALS true)        `rounds` times; x: (n), n a multiple of 16 THREADS
//
// A thread has four vectors, whose operations do not wait for each other, and no memory in between.
//
// with: exponential

struct Params {
    rounds: u32,
}

override THREADS: u32;
override EXPONENTIALS: bool;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first = 4u * (group.x * THREADS + thread);
    var values = mat4x4<f32>(x[first], x[first + 1u], x[first + 2u], x[first + 3u]);
    for (var round = 0u; round < params.rounds; round++) {
        for (var i = 0u; i < 4u; i++) {
            values[i] = next(values[i]);
        }
    }
    for (var i = 0u; i < 4u; i++) {
        x[first + i] = values[i];
    }
}

fn next(x: vec4<f32>) -> vec4<f32> {
    if EXPONENTIALS {
        return exp2_negative(-x);
    }
    return fma(x, vec4(0.5), vec4(0.25));
}
