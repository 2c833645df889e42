// lib/elements.wgsl and lib/product.wgsl as a beginner would write them, to measure them against: no workgroup memory, and
// each thread adds up one element of the result after the other. Calls finish, as lib/finish.wgsl does.

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
    for (var i = thread; i < ROWS * COLUMNS; i += THREADS) {
        let m = group.y * ROWS + i / COLUMNS;
        let n = group.x * COLUMNS + i % COLUMNS;
        if m < size.rows && n < size.columns {
            var sum = 0.0;
            for (var k = 0u; k < size.depth; k++) {
                sum += left(m, k) * right(n, k);
            }
            finish(m, n, sum);
        }
    }
}
