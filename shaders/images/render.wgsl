// x[b, :] = sprite factors[row(b)], or where FRESH, a sprite of the whole grid, drawn by step and b
//
// factors: (N) numbers of images        geometry: a, b, c, d of each pose, then the heart's outline
// x: (B, SIDE, SIDE, channels), each 0, HALF or 1
//
// One thread per RUN pixels; a workgroup row per image of the batch. Whole numbers decide which pixels are lit, so that
// every driver draws the pixels of src/data/sprites.rs, which has the formulas.
//
// with: random, shuffle, step

struct Params {
    images: u32,
    channels: u32,
    // Sprites of the whole grid.
    grid: u32,
}

override THREADS: u32;
override RUN: u32;
override SHUFFLE: bool;
override FRESH: bool;
override STREAM: u32;
// S and P: pixels and places of a centre along a side.
override SIDE: i32;
override PLACES: i32;
// Scales and orientations of a shape, and shapes.
override POSES: u32;
override SHAPES: u32;
override UNIT: i32;
override SHIFT: u32;
override CORNERS: u32;
// Of a channel that is half lit.
override HALF: f32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> factors: array<u32>;
@group(0) @binding(3) var<storage, read> geometry: array<u32>;
@group(0) @binding(4) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let side = u32(SIDE);
    let first = (group.x * THREADS + thread) * RUN;
    if first >= side * side {
        return;
    }
    // The last factor changes fastest: y, x, then the pose, then the colour.
    let places = u32(PLACES);
    let number = sprite(group.y);
    let centre = vec2(number / places % places, number % places);
    let pose = number / (places * places) % (SHAPES * POSES);
    let colour = i32(number / (places * places) / (SHAPES * POSES));
    let turn = vec4(
        bitcast<i32>(geometry[4u * pose]),
        bitcast<i32>(geometry[4u * pose + 1u]),
        bitcast<i32>(geometry[4u * pose + 2u]),
        bitcast<i32>(geometry[4u * pose + 3u]),
    );
    for (var pixel = first; pixel < min(first + RUN, side * side); pixel++) {
        let at = vec2(pixel % side, pixel / side);
        let point = (PLACES - 1) * (2 * vec2<i32>(at) + 1 - SIDE / 2) - SIDE * vec2<i32>(centre);
        let lit = inside(pose / POSES, turn, point);
        for (var channel = 0u; channel < params.channels; channel++) {
            let index = (group.y * side * side + pixel) * params.channels + channel;
            // Red, green and blue are four hues apart; each is lit up to two hues away, and half lit one further.
            let near = 4 - abs(colour - 4 * i32(channel));
            x[index] = select(0.0, select(HALF, 1.0, near > 1), lit && near > 0);
        }
    }
}

// The number of a sprite of the batch in the grid of factors.
fn sprite(b: u32) -> u32 {
    if FRESH {
        let words = philox(vec4(b, 0u, step.number, STREAM), step.seed);
        return multiply_high(words.x, params.grid);
    }
    let position = step.first + b;
    if SHUFFLE {
        return factors[shuffled(position, params.images, step.seed, step.epoch)];
    }
    return factors[position % params.images];
}

fn inside(shape: u32, turn: vec4<i32>, point: vec2<i32>) -> bool {
    let half = 1 << (SHIFT - 1u);
    let u = abs((turn.x * point.x + turn.y * point.y + half) >> SHIFT);
    let v = (turn.z * point.x + turn.w * point.y + half) >> SHIFT;
    if u > UNIT || abs(v) > UNIT {
        return false;
    }
    if shape == 0u {
        return true;
    }
    if shape == 1u {
        return u * u + v * v <= UNIT * UNIT;
    }
    return in_heart(u, v);
}

// A ray to the right crosses the outline an odd number of times.
fn in_heart(u: i32, v: i32) -> bool {
    var odd = false;
    var start = corner(0u);
    for (var i = 1u; i < CORNERS; i++) {
        let end = corner(i);
        let further = (v - start.y) * (end.x - start.x) - (u - start.x) * (end.y - start.y);
        let crosses = (start.y > v) != (end.y > v) && sign(further) == sign(end.y - start.y);
        odd = odd != crosses;
        start = end;
    }
    return odd;
}

fn corner(i: u32) -> vec2<i32> {
    let at = 4u * SHAPES * POSES + 2u * i;
    return vec2(bitcast<i32>(geometry[at]), bitcast<i32>(geometry[at + 1u]));
}
