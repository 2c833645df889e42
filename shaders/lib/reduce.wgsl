// The sum of one pair of numbers per thread of a workgroup, in a fixed order: halves are added pairwise.
//
// The number of threads, a power of two, is THREADS, of the kernel or of lib/product.wgsl. Must be called by all
// threads together.

var<workgroup> reduce_scratch: array<vec2<f32>, THREADS>;

fn workgroup_sum(thread: u32, value: vec2<f32>) -> vec2<f32> {
    reduce_scratch[thread] = value;
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if thread < half {
            reduce_scratch[thread] += reduce_scratch[thread + half];
        }
    }
    workgroupBarrier();
    return reduce_scratch[0];
}
