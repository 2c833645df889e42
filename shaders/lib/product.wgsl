// A tile of a matrix product, ROWS x COLUMNS elements by each workgroup:
//
//     element (m, n) = sum over k < depth of left(m, k) right(n, k)
//
// or, with COMBINE, of squared or absolute differences of the two.
//
// A kernel, or lib/elements.wgsl for it, says what the operands are:
//     fn left4(m: u32, k: u32) -> vec4<f32>     left(m .. m + 3, k), and 0 outside of the matrix
//     fn right4(n: u32, k: u32) -> vec4<f32>    right(n .. n + 3, k), and 0 outside of the matrix
//     const LEFT_ALONG_K, RIGHT_ALONG_K: bool   true where memory runs along k: neighbouring threads then
//                                               load neighbouring k
//
// A thread makes one or more patches of 4 x 4 elements, half a tile apart:
//
//     +----+----+      DEPTH steps over k at a time lie in workgroup memory: of each, a thread reads 4 + 4 operands per
//     | a  | b  |      patch and adds 16 products; 8 + 8 and 64 for four patches. The sum over k runs from 0 upwards, so
//     +----+----+      that every tiling gives the same bits.
//     | c  | d  |
//     +----+----+

override ROWS: u32;
override COLUMNS: u32;
override DEPTH: u32;

// Patches of a thread, 1 or 2 below each other and as many beside each other.
override PATCHES_DOWN = 1u;
override PATCHES_ACROSS = 1u;

override THREADS_ACROSS = COLUMNS / 4u / PATCHES_ACROSS;
override THREADS_DOWN = ROWS / 4u / PATCHES_DOWN;
override THREADS = THREADS_DOWN * THREADS_ACROSS;

// What is added up.
override COMBINE = 0u;
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

struct Patch {
    // First row and first column.
    m: u32,
    n: u32,
    rows: mat4x4<f32>,
}

// Row r of a patch: by choices, as an index would put the patch into memory.
fn row_of(rows: mat4x4<f32>, r: u32) -> vec4<f32> {
    return select(select(rows[0], rows[1], r == 1u), select(rows[2], rows[3], r == 3u), r > 1u);
}

// All patches of a thread, by name: compilers do not keep arrays that a loop indexes in registers.
struct Patches {
    // First rows of a and b, of c and d.
    m: u32,
    below: u32,
    // First columns of a and c, of b and d.
    n: u32,
    beside: u32,
    a: mat4x4<f32>,
    b: mat4x4<f32>,
    c: mat4x4<f32>,
    d: mat4x4<f32>,
}

// The only patch of a thread. Must be called by all threads of the workgroup together.
fn product(group: vec2<u32>, thread: u32, depth: u32) -> Patch {
    let patches = products(group, thread, depth);
    return Patch(patches.m, patches.n, patches.a);
}

// The PATCHES_DOWN times PATCHES_ACROSS patches of a thread; the others are 0. Must be called by all threads of the
// workgroup together.
fn products(group: vec2<u32>, thread: u32, depth: u32) -> Patches {
    let down = thread / THREADS_ACROSS;
    let across = thread % THREADS_ACROSS;
    var a = mat4x4<f32>();
    var b = mat4x4<f32>();
    var c = mat4x4<f32>();
    var d = mat4x4<f32>();
    for (var first = 0u; first < depth; first += DEPTH) {
        load(group, thread, first);
        workgroupBarrier();
        // Four at a time: compilers do not unroll the loop, and llvmpipe counts iterations (MOST_ITERATIONS in
        // src/program.rs).
        for (var k = 0u; k < DEPTH; k += 4u) {
            add_patches(k, down, across, &a, &b, &c, &d);
            add_patches(k + 1u, down, across, &a, &b, &c, &d);
            add_patches(k + 2u, down, across, &a, &b, &c, &d);
            add_patches(k + 3u, down, across, &a, &b, &c, &d);
        }
        workgroupBarrier();
    }
    let first = first_of(group, thread);
    let beside = first + 4u * vec2(THREADS_ACROSS, THREADS_DOWN);
    return Patches(first.y, beside.y, first.x, beside.x, a, b, c, d);
}

// Column and row of the first element of a thread.
fn first_of(group: vec2<u32>, thread: u32) -> vec2<u32> {
    return group * vec2(COLUMNS, ROWS) + 4u * vec2(thread % THREADS_ACROSS, thread / THREADS_ACROSS);
}

// Copies DEPTH steps of both operands, from the `first` on, to workgroup memory.
fn load(group: vec2<u32>, thread: u32, first: u32) {
    for (var i = thread; i < ROWS / 4u * DEPTH; i += THREADS) {
        let at = place(i, ROWS / 4u, LEFT_ALONG_K);
        left_tile[at.y * LEFT_PITCH + at.x] = left4(group.y * ROWS + 4u * at.x, first + at.y);
    }
    for (var i = thread; i < COLUMNS / 4u * DEPTH; i += THREADS) {
        let at = place(i, COLUMNS / 4u, RIGHT_ALONG_K);
        right_tile[at.y * RIGHT_PITCH + at.x] = right4(group.x * COLUMNS + 4u * at.x, first + at.y);
    }
}

// Which (four rows, k) of an operand's tile, of `quads` times four rows, the i-th copy fetches.
fn place(i: u32, quads: u32, along_k: bool) -> vec2<u32> {
    return select(vec2(i % quads, i / quads), vec2(i / DEPTH, i % DEPTH), along_k);
}

// Adds what one k contributes to the patches of a thread.
fn add_patches(
    k: u32,
    down: u32,
    across: u32,
    a: ptr<function, mat4x4<f32>>,
    b: ptr<function, mat4x4<f32>>,
    c: ptr<function, mat4x4<f32>>,
    d: ptr<function, mat4x4<f32>>,
) {
    let left = k * LEFT_PITCH + down;
    let right = k * RIGHT_PITCH + across;
    let upper = left_tile[left];
    let near = right_tile[right];
    add(upper, near, a);
    if PATCHES_ACROSS == 2u {
        add(upper, right_tile[right + THREADS_ACROSS], b);
    }
    if PATCHES_DOWN == 2u {
        let lower = left_tile[left + THREADS_DOWN];
        add(lower, near, c);
        if PATCHES_ACROSS == 2u {
            add(lower, right_tile[right + THREADS_ACROSS], d);
        }
    }
}

// Adds what one k contributes to the four rows of a patch.
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
