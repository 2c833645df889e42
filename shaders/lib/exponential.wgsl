// 2^x for x <= 127 to 1e-7, 0 below -127, as in src/numeric.rs: drivers' own are less exact, and biased.
fn exp2_negative(x: vec4<f32>) -> vec4<f32> {
    let clamped = max(x, vec4(-127.0));
    let n = round(clamped);
    let f = clamped - n;
    var p = vec4(1.5353362e-4);
    p = p * f + 1.3398875e-3;
    p = p * f + 9.618437e-3;
    p = p * f + 5.5503324e-2;
    p = p * f + 2.4022648e-1;
    p = p * f + 6.931472e-1;
    p = p * f + 1.0;
    return p * bitcast<vec4<f32>>(vec4<u32>(vec4<i32>(n) + 127) << vec4(23u));
}

const LOG2_E = 1.44269504;

// e^x; 0 below e^-88, and no larger than e^88.
fn exponential(x: f32) -> f32 {
    return exp2_negative(vec4(min(LOG2_E * x, 127.0))).x;
}
