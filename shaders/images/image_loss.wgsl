// loss[b] = -ln p(x[b] | l[b]) without the Gaussian's constant: lib/likelihood.wgsl, summed over pixels
//
// l, x: (B, D)    loss: (B)
//
// A workgroup has one image.
//
// with: likelihood, reduce

struct Params {
    dimension: u32,
    // 1 / sigma^2
    inverse_variance: f32,
}

override THREADS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> l: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first = group.x * params.dimension;
    var sum = 0.0;
    for (var d = thread; d < params.dimension; d += THREADS) {
        sum += pixel(l[first + d], x[first + d], params.inverse_variance).loss;
    }
    let total = workgroup_sum(thread, vec2(sum, 0.0)).x;
    if thread == 0u {
        loss[group.x] = total;
    }
}
