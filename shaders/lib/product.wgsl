// One tile of a matrix product: ROWS x COLUMNS results, 4 x 4 of them by each thread.
//
//     result[m][n] = sum over k < depth of left(m, k) right(n, k)
//
// or, with COMBINE, of squared or absolute differences of the two.
//
// The kernel that this file is appended to says what the operands are:
//     fn left4(m: u32, k: u32) -> vec4<f32>     left(m .. m + 3, k), and 0 outside of the matrix
//     fn right4(n: u32, k: u32) -> vec4<f32>    right(n .. n + 3, k), and 0 outside of the matrix
//     const LEFT_ALONG_K, RIGHT_ALONG_K: bool   true where memory runs along k: neighbouring threads then
//                                               load neighbouring k
// DEPTH values of k at a time are copied to workgroup memory; every thread then reads its 4 + 4 operands from
// there and adds 16 products. With DIRECT, threads read their operands from the buffers: software adapters pay for
// every barrier. The sum over k runs from 0 upwards either way, so results are the same on every run.

override ROWS: u32;
override COLUMNS: u32;
override DEPTH: u32;
override DIRECT = false;
override THREADS = ROWS / 4u * (COLUMNS / 4u);

// What is added up.
override COMBINE: u32;
const PRODUCTS = 0u;
const SQUARED_DIFFERENCES = 1u;

// Rows of four-vectors, one longer than needed: threads that differ in k then use different banks.
override LEFT_PITCH = ROWS / 4u + 1u;
override RIGHT_PITCH = COLUMNS / 4u + 1u;

// Sizes of arrays have names: naga 30 takes no override after an array whose size is an expression.
override LEFT_LEN = LEFT_PITCH * DEPTH;
override RIGHT_LEN = RIGHT_PITCH * DEPTH;

var<workgroup> left_tile: array<vec4<f32>, LEFT_LEN>;
var<workgroup> right_tile: array<vec4<f32>, RIGHT_LEN>;

struct Tile {
    // First row and first column of this thread's results.
    m: u32,
    n: u32,
    rows: array<vec4<f32>, 4>,
}

// Must be called by all threads of the workgroup together.
fn product(group: vec2<u32>, thread: u32, depth: u32) -> Tile {
    let across = thread % (COLUMNS / 4u);
    let down = thread / (COLUMNS / 4u);
    let corner = first_of(group, thread);
    let m = corner.y;
    let n = corner.x;
    var rows = mat4x4<f32>();
    if DIRECT {
        // Four at a time, as below; operands are 0 beyond the depth.
        for (var k = 0u; k < depth; k += 4u) {
            add(left4(m, k), right4(n, k), &rows);
            add(left4(m, k + 1u), right4(n, k + 1u), &rows);
            add(left4(m, k + 2u), right4(n, k + 2u), &rows);
            add(left4(m, k + 3u), right4(n, k + 3u), &rows);
        }
    } else {
        for (var first = 0u; first < depth; first += DEPTH) {
            for (var i = thread; i < ROWS / 4u * DEPTH; i += THREADS) {
                let at = place(i, ROWS / 4u, LEFT_ALONG_K);
                left_tile[at.y * LEFT_PITCH + at.x] = left4(group.y * ROWS + 4u * at.x, first + at.y);
            }
            for (var i = thread; i < COLUMNS / 4u * DEPTH; i += THREADS) {
                let at = place(i, COLUMNS / 4u, RIGHT_ALONG_K);
                right_tile[at.y * RIGHT_PITCH + at.x] = right4(group.x * COLUMNS + 4u * at.x, first + at.y);
            }
            workgroupBarrier();
            // Four at a time: compilers do not unroll the loop, and llvmpipe counts iterations (MOST_ITERATIONS in
            // src/program.rs).
            for (var k = 0u; k < DEPTH; k += 4u) {
                add(left_tile[k * LEFT_PITCH + down], right_tile[k * RIGHT_PITCH + across], &rows);
                add(left_tile[(k + 1u) * LEFT_PITCH + down], right_tile[(k + 1u) * RIGHT_PITCH + across], &rows);
                add(left_tile[(k + 2u) * LEFT_PITCH + down], right_tile[(k + 2u) * RIGHT_PITCH + across], &rows);
                add(left_tile[(k + 3u) * LEFT_PITCH + down], right_tile[(k + 3u) * RIGHT_PITCH + across], &rows);
            }
            workgroupBarrier();
        }
    }
    return Tile(m, n, array(rows[0], rows[1], rows[2], rows[3]));
}

// First column and first row of a thread's results.
fn first_of(group: vec2<u32>, thread: u32) -> vec2<u32> {
    return group * vec2(COLUMNS, ROWS) + 4u * vec2(thread % (COLUMNS / 4u), thread / (COLUMNS / 4u));
}

// Adds what one k contributes to the four rows of a thread.
fn add(left: vec4<f32>, right: vec4<f32>, rows: ptr<function, mat4x4<f32>>) {
    (*rows)[0] += combine(left.x, right);
    (*rows)[1] += combine(left.y, right);
    (*rows)[2] += combine(left.z, right);
    (*rows)[3] += combine(left.w, right);
}

fn combine(left: f32, right: vec4<f32>) -> vec4<f32> {
    if COMBINE == PRODUCTS {
        return left * right;
    }
    let difference = left - right;
    if COMBINE == SQUARED_DIFFERENCES {
        return difference * difference;
    }
    return abs(difference);
}

// Which (four rows, k) of an operand's tile, of `quads` times four rows, the i-th copy fetches.
fn place(i: u32, quads: u32, along_k: bool) -> vec2<u32> {
    return select(vec2(i % quads, i / quads), vec2(i / DEPTH, i % DEPTH), along_k);
}
