// The elements of a product (lib/elements.wgsl) one by one. The kernel says:
//     fn finish(m: u32, n: u32, sum: f32)    what becomes of an element

fn finish_four(m: u32, n: u32, sums: vec4<f32>) {
    finish_inside(m, n, sums.x);
    finish_inside(m, n + 1u, sums.y);
    finish_inside(m, n + 2u, sums.z);
    finish_inside(m, n + 3u, sums.w);
}

fn finish_inside(m: u32, n: u32, sum: f32) {
    if n < sizes().columns {
        finish(m, n, sum);
    }
}
