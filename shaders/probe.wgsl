// x[i] = x[i] / 2 + 1/4        (EXPONENTIALS false)
// x[i] = 2^-x[i]               (EXPONENTIALS true)        `rounds` times; x: (n), n a multiple of 16 THREADS
//
// A thread has four vectors, whose operations do not wait for each other, by name so that they stay in registers, and no
// memory in between. Four rounds are written out: 64 multiplications with addition to one turn of the loop.
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
    var a = x[first];
    var b = x[first + 1u];
    var c = x[first + 2u];
    var d = x[first + 3u];
    for (var four = 0u; four < params.rounds / 4u; four++) {
        a = next(next(next(next(a))));
        b = next(next(next(next(b))));
        c = next(next(next(next(c))));
        d = next(next(next(next(d))));
    }
    for (var round = 0u; round < params.rounds % 4u; round++) {
        a = next(a);
        b = next(b);
        c = next(c);
        d = next(d);
    }
    x[first] = a;
    x[first + 1u] = b;
    x[first + 2u] = c;
    x[first + 3u] = d;
}

fn next(x: vec4<f32>) -> vec4<f32> {
    if EXPONENTIALS {
        return exp2_negative(-x);
    }
    return fma(x, vec4(0.5), vec4(0.25));
}
