// A matrix product (lib/product.wgsl) whose operands and result are given element by element. The kernel says:
//     fn sizes() -> Sizes
//     fn left(m: u32, k: u32) -> f32, fn right(n: u32, k: u32) -> f32       inside of the matrices only
//     fn finish_four(m: u32, n: u32, sums: vec4<f32>)                       what becomes of (m, n .. n + 3), of which the
//                                                                           last may be outside; lib/finish.wgsl for
//                                                                           kernels that treat each element alike

struct Sizes {
    rows: u32,
    depth: u32,
    columns: u32,
}

// Multiplies and finishes a tile; a thread's elements of a row of a patch come one after the other. Must be called by all
// threads of the workgroup together.
fn multiply(group: vec2<u32>, thread: u32) {
    let patches = products(group, thread, sizes().depth);
    finish_patch(patches.m, patches.n, patches.a);
    if PATCHES_ACROSS == 2u {
        finish_patch(patches.m, patches.beside, patches.b);
    }
    if PATCHES_DOWN == 2u {
        finish_patch(patches.below, patches.n, patches.c);
        if PATCHES_ACROSS == 2u {
            finish_patch(patches.below, patches.beside, patches.d);
        }
    }
}

fn finish_patch(m: u32, n: u32, rows: mat4x4<f32>) {
    // No constant number of rows: compilers would write them out, and what becomes of an element can be long.
    let end = min(m + 4u, sizes().rows);
    for (var row = m; row < end; row++) {
        finish_four(row, n, row_of(rows, row - m));
    }
}

fn left4(m: u32, k: u32) -> vec4<f32> {
    return vec4(left_or_0(m, k), left_or_0(m + 1u, k), left_or_0(m + 2u, k), left_or_0(m + 3u, k));
}

fn right4(n: u32, k: u32) -> vec4<f32> {
    return vec4(right_or_0(n, k), right_or_0(n + 1u, k), right_or_0(n + 2u, k), right_or_0(n + 3u, k));
}

fn left_or_0(m: u32, k: u32) -> f32 {
    if m < sizes().rows && k < sizes().depth {
        return left(m, k);
    }
    return 0.0;
}

fn right_or_0(n: u32, k: u32) -> f32 {
    if n < sizes().columns && k < sizes().depth {
        return right(n, k);
    }
    return 0.0;
}
