// The sum of one pair of numbers per thread of a workgroup, in a fixed order: halves are added pairwise.
//
// The number of threads is THREADS, of the kernel or of lib/product.wgsl. Must be called by all
// threads together.

var<workgroup> reduce_scratch: array<vec2<f32>, THREADS>;

fn workgroup_sum(thread: u32, value: vec2<f32>) -> vec2<f32> {
    reduce_scratch[thread] = value;
    // Down to the larger half, where there is one.
    for (var count = THREADS; count > 1u; count = (count + 1u) / 2u) {
        let half = (count + 1u) / 2u;
        workgroupBarrier();
        if thread < count - half {
            reduce_scratch[thread] += reduce_scratch[thread + half];
        }
    }
    workgroupBarrier();
    return reduce_scratch[0];
}
