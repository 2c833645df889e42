// dl /= sigma^2        dl: (B, D)    sigma_state: of sigma.wgsl
//
// One thread a pixel; a workgroup row per image.

struct Params {
    dimension: u32,
}

override THREADS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sigma_state: array<f32>;
@group(0) @binding(2) var<storage, read_write> dl: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let d = group.x * THREADS + thread;
    if d < params.dimension {
        dl[group.y * params.dimension + d] *= sigma_state[3];
    }
}
