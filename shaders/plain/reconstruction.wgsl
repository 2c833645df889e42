// reconstruction.wgsl as plainly as can be: a thread computes one output after the other of its workgroup's
// ROWS x COLUMNS, so that there are as many partial sums.
//
// with: likelihood, reduce, step

struct Params {
    batch: u32,
    inputs: u32,
    dimension: u32,
    inverse_variance: f32,
    scale: f32,
    // Partial sums of one step, of squared errors and losses each.
    parts: u32,
}

override ROWS: u32;
override COLUMNS: u32;
override THREADS: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> h: array<f32>;
@group(0) @binding(3) var<storage, read> theta: array<f32>;
@group(0) @binding(4) var<storage, read> x: array<f32>;
@group(0) @binding(5) var<storage, read_write> dl: array<f32>;
@group(0) @binding(6) var<storage, read_write> loss_ring: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    var sums = vec2<f32>();
    for (var place = thread; place < ROWS * COLUMNS; place += THREADS) {
        let b = group.y * ROWS + place / COLUMNS;
        let d = group.x * COLUMNS + place % COLUMNS;
        if b < params.batch && d < params.dimension {
            var l = theta[params.dimension * params.inputs + d];
            for (var i = 0u; i < params.inputs; i++) {
                l += h[b * params.inputs + i] * theta[d * params.inputs + i];
            }
            let at = b * params.dimension + d;
            let pixel = pixel(l, x[at], params.inverse_variance);
            dl[at] = pixel.error * params.scale;
            sums += vec2(pixel.error * pixel.error, pixel.loss);
        }
    }
    let total = workgroup_sum(thread, sums);
    if thread == 0u {
        // With large tiles there are fewer workgroups than parts: the rest are 0.
        let own = group.y * groups.x + group.x;
        for (var part = own; part < params.parts; part += groups.x * groups.y) {
            let at = 2u * (step.slot * params.parts + part);
            let sum = select(vec2(0.0), total, part == own);
            loss_ring[at] = sum.x;
            loss_ring[at + 1u] = sum.y;
        }
    }
}
