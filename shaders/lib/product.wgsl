// One tile of a matrix product: ROWS x COLUMNS results, by each thread one or more blocks of 4 x 4 of them.
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
// DEPTH values of k at a time are copied to workgroup memory; every thread then reads the 4 + 4 operands of a block from
// there and adds 16 products; of four blocks 8 + 8 and 64. With DIRECT, which is for one block, threads read their operands from the buffers: software adapters pay for
// every barrier. The sum over k runs from 0 upwards either way, so results are the same on every run.

override ROWS: u32;
override COLUMNS: u32;
override DEPTH: u32;
override DIRECT = false;

// Blocks of a thread, 1 or 2 below each other and as many beside each other, half a tile apart.
override BLOCKS_DOWN = 1u;
override BLOCKS_ACROSS = 1u;
const MOST_BLOCKS = 4u;

override THREADS_ACROSS = COLUMNS / 4u / BLOCKS_ACROSS;
override THREADS_DOWN = ROWS / 4u / BLOCKS_DOWN;
override THREADS = THREADS_DOWN * THREADS_ACROSS;

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
    // First row and first column of a block of this thread's results.
    m: u32,
    n: u32,
    rows: array<vec4<f32>, 4>,
}

// The only block of a thread. Must be called by all threads of the workgroup together.
fn product(group: vec2<u32>, thread: u32, depth: u32) -> Tile {
    return products(group, thread, depth)[0];
}

// The BLOCKS_DOWN times BLOCKS_ACROSS blocks of a thread. Must be called by all threads of the workgroup together.
fn products(group: vec2<u32>, thread: u32, depth: u32) -> array<Tile, MOST_BLOCKS> {
    let down = thread / THREADS_ACROSS;
    let across = thread % THREADS_ACROSS;
    let corner = first_of(group, thread);
    let m = corner.y;
    let n = corner.x;
    var rows = mat4x4<f32>();
    var beside = mat4x4<f32>();
    var below = mat4x4<f32>();
    var opposite = mat4x4<f32>();
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
                add_blocks(k, down, across, &rows, &beside, &below, &opposite);
                add_blocks(k + 1u, down, across, &rows, &beside, &below, &opposite);
                add_blocks(k + 2u, down, across, &rows, &beside, &below, &opposite);
                add_blocks(k + 3u, down, across, &rows, &beside, &below, &opposite);
            }
            workgroupBarrier();
        }
    }
    let right = n + 4u * THREADS_ACROSS;
    let lower = m + 4u * THREADS_DOWN;
    if BLOCKS_ACROSS == 2u {
        return array(block(m, n, rows), block(m, right, beside), block(lower, n, below), block(lower, right, opposite));
    }
    return array(block(m, n, rows), block(lower, n, below), Tile(), Tile());
}

fn block(m: u32, n: u32, rows: mat4x4<f32>) -> Tile {
    return Tile(m, n, array(rows[0], rows[1], rows[2], rows[3]));
}

// Adds what one k contributes to the blocks of a thread.
fn add_blocks(
    k: u32,
    down: u32,
    across: u32,
    rows: ptr<function, mat4x4<f32>>,
    beside: ptr<function, mat4x4<f32>>,
    below: ptr<function, mat4x4<f32>>,
    opposite: ptr<function, mat4x4<f32>>,
) {
    let left = k * LEFT_PITCH + down;
    let right = k * RIGHT_PITCH + across;
    let a = left_tile[left];
    let b = right_tile[right];
    add(a, b, rows);
    if BLOCKS_ACROSS == 2u {
        add(a, right_tile[right + THREADS_ACROSS], beside);
    }
    if BLOCKS_DOWN == 2u {
        let c = left_tile[left + THREADS_DOWN];
        add(c, b, below);
        if BLOCKS_ACROSS == 2u {
            add(c, right_tile[right + THREADS_ACROSS], opposite);
        }
    }
}

// First column and first row of a thread's first block.
fn first_of(group: vec2<u32>, thread: u32) -> vec2<u32> {
    return group * vec2(COLUMNS, ROWS) + 4u * vec2(thread % THREADS_ACROSS, thread / THREADS_ACROSS);
}

// Adds what one k contributes to the four rows of a block.
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
