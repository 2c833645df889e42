// Random numbers as a pure function of a counter and a key: src/random.rs says the same in Rust.

const PHILOX_M0: u32 = 0xD2511F53u;
const PHILOX_M1: u32 = 0xCD9E8D57u;
const PHILOX_W0: u32 = 0x9E3779B9u;
const PHILOX_W1: u32 = 0xBB67AE85u;

// The high 32 bits of a product, from 16-bit halves: WGSL has no wide multiplication.
fn multiply_high(a: u32, b: u32) -> u32 {
    let a0 = a & 0xFFFFu;
    let a1 = a >> 16u;
    let b0 = b & 0xFFFFu;
    let b1 = b >> 16u;
    let low = a0 * b0;
    let middle = a1 * b0 + (low >> 16u);
    let cross = a0 * b1 + (middle & 0xFFFFu);
    return a1 * b1 + (middle >> 16u) + (cross >> 16u);
}

// Philox4x32-10 (Salmon et al., SC 2011).
fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
    for (var round = 0u; round < 10u; round++) {
        c = vec4(
            multiply_high(PHILOX_M1, c.z) ^ c.y ^ k.x,
            PHILOX_M1 * c.z,
            multiply_high(PHILOX_M0, c.x) ^ c.w ^ k.y,
            PHILOX_M0 * c.x,
        );
        k += vec2(PHILOX_W0, PHILOX_W1);
    }
    return c;
}

// The midpoint of one of 2^23 equal parts of (0, 1).
fn unit(word: u32) -> f32 {
    return (f32(word >> 9u) + 0.5) * (1.0 / 8388608.0);
}

// Box-Muller on own polynomials (drivers' sin, cos and log may be off by 2e-4).
fn normal_pair(a: u32, b: u32) -> vec2<f32> {
    let radius = sqrt(-2.0 * ln(unit(a)));
    let angle = (unit(b << 2u) - 0.5) * 1.5707963267948966;
    let z = angle * angle;
    let s = ((-1.951529589e-4 * z + 8.332160874e-3) * z - 1.666665461e-1) * z * angle + angle;
    let c = ((2.443315712e-5 * z - 1.388731625e-3) * z + 4.166664568e-2) * z * z - 0.5 * z + 1.0;
    let quarter = b >> 30u;
    let turned = select(vec2(c, s), vec2(-s, c), (quarter & 1u) == 1u);
    return radius * (1.0 - f32(quarter & 2u)) * turned;
}

// The normals of elements 2 pair and 2 pair + 1 of one row: four words make two pairs.
fn normals(pair: u32, row: u32, number: u32, stream: u32, key: vec2<u32>) -> vec2<f32> {
    let words = philox(vec4(pair / 2u, row, number, stream), key);
    return select(normal_pair(words.x, words.y), normal_pair(words.z, words.w), pair % 2u == 1u);
}

// ln u for a normal positive u (Cephes logf).
fn ln(u: f32) -> f32 {
    let sqrt_half = 0x3F3504F3u;
    let shifted = bitcast<u32>(u) - sqrt_half;
    let exponent = f32(bitcast<i32>(shifted) >> 23u);
    let x = bitcast<f32>((shifted & 0x007FFFFFu) + sqrt_half) - 1.0;
    let z = x * x;
    var p = 7.0376836292e-2;
    p = p * x - 1.1514610310e-1;
    p = p * x + 1.1676998740e-1;
    p = p * x - 1.2420140846e-1;
    p = p * x + 1.4249322787e-1;
    p = p * x - 1.6668057665e-1;
    p = p * x + 2.0000714765e-1;
    p = p * x - 2.4999993993e-1;
    p = p * x + 3.3333331174e-1;
    let tail = p * x * z - 2.12194440e-4 * exponent - 0.5 * z;
    return x + tail + 0.693359375 * exponent;
}
