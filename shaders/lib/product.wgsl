// One tile of a matrix product: TILE x TILE results by (TILE / 4)^2 threads, each 4 x 4 of them.
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

override TILE: u32;
override DEPTH: u32;
override DIRECT = false;
override THREADS = TILE / 4u * (TILE / 4u);

// What is added up.
override COMBINE: u32;
const PRODUCTS = 0u;
const SQUARED_DIFFERENCES = 1u;

// A row of four-vectors, one longer than needed: threads that differ in k then use different banks.
override PITCH = TILE / 4u + 1u;

// Sizes of arrays have names: naga 30 takes no override after an array whose size is an expression.
override OPERAND = PITCH * DEPTH;

var<workgroup> left_tile: array<vec4<f32>, OPERAND>;
var<workgroup> right_tile: array<vec4<f32>, OPERAND>;

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
            for (var i = thread; i < quads * DEPTH; i += THREADS) {
                let left = place(i, LEFT_ALONG_K);
                left_tile[left.y * PITCH + left.x] = left4(group.y * TILE + 4u * left.x, first + left.y);
                let right = place(i, RIGHT_ALONG_K);
                right_tile[right.y * PITCH + right.x] = right4(group.x * TILE + 4u * right.x, first + right.y);
            }
            workgroupBarrier();
            // Four at a time: compilers do not unroll the loop, and llvmpipe counts iterations (MOST_ITERATIONS in
            // src/program.rs).
            for (var k = 0u; k < DEPTH; k += 4u) {
                add(left_tile[k * PITCH + down], right_tile[k * PITCH + across], &rows);
                add(left_tile[(k + 1u) * PITCH + down], right_tile[(k + 1u) * PITCH + across], &rows);
                add(left_tile[(k + 2u) * PITCH + down], right_tile[(k + 2u) * PITCH + across], &rows);
                add(left_tile[(k + 3u) * PITCH + down], right_tile[(k + 3u) * PITCH + across], &rows);
            }
            workgroupBarrier();
        }
    }
    return Tile(m, n, array(rows[0], rows[1], rows[2], rows[3]));
}

// First column and first row of a thread's results.
fn first_of(group: vec2<u32>, thread: u32) -> vec2<u32> {
    return group * TILE + 4u * vec2(thread % (TILE / 4u), thread / (TILE / 4u));
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

// Which (four rows, k) of an operand's tile the i-th copy fetches.
fn place(i: u32, along_k: bool) -> vec2<u32> {
    let quads = TILE / 4u;
    return select(vec2(i % quads, i / quads), vec2(i / DEPTH, i % DEPTH), along_k);
}
