// Whether the device's own exp2 is exact enough, one instruction instead of a dozen: src/engine/gpu/exponential.rs looks.
override NATIVE_EXP2 = false;

// 1.5 * 2^23: f32 near it are the whole numbers. Its exponent is that of all of them.
const WHOLE = 12582912.0;
const WHOLE_EXPONENT = 0x4B000000u;

// 2^x for x <= 127 to 1e-7, 0 (or less than 1e-38) below -127, as in src/numeric.rs.
fn exp2_negative(x: vec4<f32>) -> vec4<f32> {
    if NATIVE_EXP2 {
        return exp2(x);
    }
    let clamped = max(x, vec4(-127.0));
    // n, the whole number next to x, is in the last bits of the sum: on GPUs, rounding and conversion take four times as
    // long as this. The exponent, which is there already, keeps compilers from taking sum and difference for nothing.
    let whole = bitcast<vec4<u32>>(clamped + WHOLE) | vec4(WHOLE_EXPONENT);
    let f = clamped - (bitcast<vec4<f32>>(whole) - WHOLE);
    var p = vec4(1.5353362e-4);
    p = p * f + 1.3398875e-3;
    p = p * f + 9.618437e-3;
    p = p * f + 5.5503324e-2;
    p = p * f + 2.4022648e-1;
    p = p * f + 6.931472e-1;
    p = p * f + 1.0;
    return p * bitcast<vec4<f32>>((whole << vec4(23u)) + vec4(bitcast<u32>(1.0)));
}

const LOG2_E = 1.44269504;

// e^x; 0 below e^-88, and no larger than e^88.
fn exponential(x: f32) -> f32 {
    return exp2_negative(vec4(min(LOG2_E * x, 127.0))).x;
}
