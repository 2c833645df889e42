// A matrix product (lib/product.wgsl) whose operands and result are given element by element. The kernel says:
//     fn sizes() -> Sizes
//     fn left(m: u32, k: u32) -> f32, fn right(n: u32, k: u32) -> f32       inside of the matrices only
//     fn finish(m: u32, n: u32, sum: f32)                                   what becomes of an element

struct Sizes {
    rows: u32,
    depth: u32,
    columns: u32,
}

// Multiplies and finishes a tile; a thread's elements of a row come one after the other. Must be called by all threads
// of the workgroup together.
fn multiply(group: vec2<u32>, thread: u32) {
    let size = sizes();
    var patches = products(group, thread, size.depth);
    for (var i = 0u; i < PATCHES_DOWN * PATCHES_ACROSS; i++) {
        var own = patches[i];
        for (var r = 0u; r < 4u; r++) {
            for (var c = 0u; c < 4u; c++) {
                if own.m + r < size.rows && own.n + c < size.columns {
                    finish(own.m + r, own.n + c, own.rows[r][c]);
                }
            }
        }
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
