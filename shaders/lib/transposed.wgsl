// The fine image as a sum over the windows that see each pixel: the operands of lib/elements.wgsl.
//
//     sum (b, c, Y, X) = sum over o, y, x of x[b, o, y, x] W[o, c, Y + P - S y, X + P - S x]
//
// Pixels whose Y + P and X + P leave the same rests i, j when divided by S see the same taps of W. Each pair of rests is
// a product of its own: of CHANNELS rows, and a column for each of its pixels in each image. Workgroups side by side
// are first all of rest (0, 0), then of (0, 1) and so on. The kernel has
//     fn coarse_number(at: u32) -> f32    of the coarse image    theta: W, then the bias    params.batch

// Windows that overlap in a pixel, along a side.
override OVERLAP = (KERNEL + STRIDE - 1u) / STRIDE;
override OVERLAPS = OVERLAP * OVERLAP;

// Rests, and pixels of each along the sides.
override RESTS = STRIDE * STRIDE;
override REST_HEIGHT = (HEIGHT + STRIDE - 1u) / STRIDE;
override REST_WIDTH = (WIDTH + STRIDE - 1u) / STRIDE;
override REST_PIXELS = REST_HEIGHT * REST_WIDTH;

const LEFT_ALONG_K = false;
const RIGHT_ALONG_K = false;

// (i, j) of the workgroup.
var<private> rest: vec2<u32>;

fn sizes() -> Sizes {
    return Sizes(CHANNELS, COARSE_CHANNELS * OVERLAPS, params.batch * REST_PIXELS);
}

// Multiplies and finishes the tile of a workgroup. Must be called by all threads of the workgroup together.
fn multiply_rest(group: vec2<u32>, groups_across: u32, thread: u32) {
    let each = groups_across / RESTS;
    let number = group.x / each;
    rest = vec2(number / STRIDE, number % STRIDE);
    multiply(vec2(group.x % each, group.y), thread);
}

fn left(c: u32, k: u32) -> f32 {
    let t = k % OVERLAPS;
    let tap = rest + STRIDE * vec2(t / OVERLAP, t % OVERLAP);
    if tap.x < KERNEL && tap.y < KERNEL {
        return theta[(k / OVERLAPS * CHANNELS + c) * TAPS + tap.x * KERNEL + tap.y];
    }
    return 0.0;
}

// The window, counted from the first one, that a pixel is in the first S rows and columns of.
fn window_of(pixel: u32) -> vec2<u32> {
    let first = (PADDING + STRIDE - 1u - rest) / STRIDE;
    return first + vec2(pixel / REST_WIDTH, pixel % REST_WIDTH);
}

fn right(n: u32, k: u32) -> f32 {
    let t = k % OVERLAPS;
    // A window before the first has a number that wrapped around to a large one.
    let at = window_of(n % REST_PIXELS) - vec2(t / OVERLAP, t % OVERLAP);
    if at.x < COARSE_HEIGHT && at.y < COARSE_WIDTH {
        return coarse_number(coarse_at(n / REST_PIXELS, k / OVERLAPS, at.x * COARSE_WIDTH + at.y));
    }
    return 0.0;
}

// The pixel of column n in its image; PIXELS if there is none.
fn fine_pixel(n: u32) -> u32 {
    let at = window_of(n % REST_PIXELS) * STRIDE + rest - PADDING;
    return select(PIXELS, at.x * WIDTH + at.y, at.x < HEIGHT && at.y < WIDTH);
}
