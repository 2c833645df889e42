// lib/elements.wgsl and lib/product.wgsl as a beginner would write them, to measure them against: no workgroup memory, and
// each thread adds up two elements of the result that are next to each other, one after the other.

// Elements of a workgroup.
override ROWS: u32;
override COLUMNS: u32;
override THREADS: u32;

struct Sizes {
    rows: u32,
    depth: u32,
    columns: u32,
}

fn multiply(group: vec2<u32>, thread: u32) {
    let size = sizes();
    let across = COLUMNS / 2u;
    for (var i = thread; i < ROWS * across; i += THREADS) {
        let m = group.y * ROWS + i / across;
        let first = group.x * COLUMNS + 2u * (i % across);
        for (var n = first; n < first + 2u; n++) {
            if m < size.rows && n < size.columns {
                var sum = 0.0;
                for (var k = 0u; k < size.depth; k++) {
                    sum += left(m, k) * right(n, k);
                }
                finish(m, n, sum);
            }
        }
    }
}
