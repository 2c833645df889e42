// parts[s, W]    = sum over b, y, x of coarse[b, o, y, x] fine[b, c, S y + i - P, S x + j - P]
// parts[s, bias] = sum over b and pixels of dy[b, o, pixel]        over the images b of part s
//
// fine: (B, fine)    coarse: (B, coarse)    parts: (parts, W and bias)    dy: coarse, or fine where TO_FINE
//
// Workgroups below each other make part after part; side by side, first tiles of W, then one number of the bias each.
//
// with: elements, finish, product, reduce, window

struct Params {
    batch: u32,
    // Images of a part, but for the last.
    images: u32,
    // Of W and bias.
    numbers: u32,
}

override TO_FINE: bool;
override TILES_ACROSS: u32;
override TILES_DOWN: u32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> fine: array<f32>;
@group(0) @binding(2) var<storage, read> coarse: array<f32>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;

const LEFT_ALONG_K = true;
const RIGHT_ALONG_K = true;

// The part of a workgroup.
var<private> part: u32;

fn sizes() -> Sizes {
    return Sizes(COARSE_CHANNELS, params.images * COARSE_PIXELS, CHANNELS * TAPS);
}

// The image of k; the last part's may be beyond the batch.
fn image(k: u32) -> u32 {
    return part * params.images + k / COARSE_PIXELS;
}

fn left(o: u32, k: u32) -> f32 {
    let b = image(k);
    if b < params.batch {
        return coarse[coarse_at(b, o, k % COARSE_PIXELS)];
    }
    return 0.0;
}

fn right(n: u32, k: u32) -> f32 {
    let b = image(k);
    let pixel = seen(k % COARSE_PIXELS, n % TAPS);
    if b < params.batch && pixel < PIXELS {
        return fine[fine_at(b, n / TAPS, pixel)];
    }
    return 0.0;
}

fn finish(o: u32, n: u32, sum: f32) {
    parts[part * params.numbers + o * CHANNELS * TAPS + n] = sum;
}

// The sum over channel o of dy.
fn add_channel(o: u32, thread: u32) {
    let pixels = select(COARSE_PIXELS, PIXELS, TO_FINE);
    let first = part * params.images;
    let end = min(first + params.images, params.batch);
    var sum = 0.0;
    for (var i = first * pixels + thread; i < end * pixels; i += THREADS) {
        let b = i / pixels;
        if TO_FINE {
            sum += fine[fine_at(b, o, i % pixels)];
        } else {
            sum += coarse[coarse_at(b, o, i % pixels)];
        }
    }
    let total = workgroup_sum(thread, vec2(sum, 0.0)).x;
    if thread == 0u {
        parts[part * params.numbers + WEIGHTS + o] = total;
    }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    part = group.y / TILES_DOWN;
    if group.x < TILES_ACROSS {
        multiply(vec2(group.x, group.y % TILES_DOWN), thread);
    } else if group.y % TILES_DOWN == 0u {
        add_channel(group.x - TILES_ACROSS, thread);
    }
}
