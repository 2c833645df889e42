// One tile of a matrix product: TILE x TILE results by (TILE / 4)^2 threads, each 4 x 4 of them.
//
//     result[m][n] = sum over k < depth of left(m, k) right(n, k)
//
// The kernel that this file is appended to says what the operands are:
//     fn left4(m: u32, k: u32) -> vec4<f32>     left(m .. m + 3, k), and 0 outside of the matrix
//     fn right4(n: u32, k: u32) -> vec4<f32>    right(n .. n + 3, k), and 0 outside of the matrix
//     const LEFT_ALONG_K, RIGHT_ALONG_K: bool   true where memory runs along k: neighbouring threads then
//                                               load neighbouring k
// DEPTH values of k at a time are copied to workgroup memory; every thread then reads its 4 + 4 operands from
// there and adds 16 products. The sum over k runs from 0 upwards, so results are the same on every run.

override TILE: u32;
override DEPTH: u32;
override THREADS = TILE / 4u * (TILE / 4u);

// A row of four-vectors, one longer than needed: threads that differ in k then use different banks.
override PITCH = TILE / 4u + 1u;

var<workgroup> left_tile: array<vec4<f32>, PITCH * DEPTH>;
var<workgroup> right_tile: array<vec4<f32>, PITCH * DEPTH>;

struct Tile {
    // First row and first column of this thread's results.
    m: u32,
    n: u32,
    rows: array<vec4<f32>, 4>,
}

// Must be called by all threads of the workgroup together.
fn product(group: vec2<u32>, thread: u32, depth: u32) -> Tile {
    let quads = TILE / 4u;
    let across = thread % quads;
    let down = thread / quads;
    var row0 = vec4<f32>();
    var row1 = vec4<f32>();
    var row2 = vec4<f32>();
    var row3 = vec4<f32>();
    for (var first = 0u; first < depth; first += DEPTH) {
        for (var i = thread; i < quads * DEPTH; i += THREADS) {
            let left = place(i, LEFT_ALONG_K);
            left_tile[left.y * PITCH + left.x] = left4(group.y * TILE + 4u * left.x, first + left.y);
            let right = place(i, RIGHT_ALONG_K);
            right_tile[right.y * PITCH + right.x] = right4(group.x * TILE + 4u * right.x, first + right.y);
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let left = left_tile[k * PITCH + down];
            let right = right_tile[k * PITCH + across];
            row0 += left.x * right;
            row1 += left.y * right;
            row2 += left.z * right;
            row3 += left.w * right;
        }
        workgroupBarrier();
    }
    return Tile(
        group.y * TILE + 4u * down,
        group.x * TILE + 4u * across,
        array(row0, row1, row2, row3),
    );
}

// Which (four rows, k) of an operand's tile the i-th copy fetches.
fn place(i: u32, along_k: bool) -> vec2<u32> {
    let quads = TILE / 4u;
    return select(vec2(i % quads, i / quads), vec2(i / DEPTH, i % DEPTH), along_k);
}
