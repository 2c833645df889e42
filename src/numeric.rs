//! Elementary functions that the compiler can vectorise.
//!
//! They have no branches and are always inlined: a plain loop over them, in a function marked
//! `#[multiversion(targets = "simd")]`, is compiled for each kind of vector instructions, and the widest that
//! the CPU has is taken at run time.

/// Adding and subtracting 1.5 * 2^23 rounds to a whole number; unlike `round` it vectorises everywhere.
const ROUNDING: f32 = 12_582_912.0;

/// e^x to 2e-7 relative (Cephes `expf`); 0 below -87, and no larger than e^88.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let clamped = x.clamp(-87.3, 88.3);
    let n = (clamped * std::f32::consts::LOG2_E + ROUNDING) - ROUNDING;
    // x - n ln 2, with ln 2 in two parts so that no digit is lost.
    let r = clamped - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5e-1;
    let fraction = p * r * r + r + 1.0;
    let power = f32::from_bits((((n as i32) + 127) << 23) as u32);
    // NaN stays NaN: `clamp` keeps it and so does every operation above but the bit pattern.
    fraction * power
}

/// 2^(-rate * distance) to 1e-7 relative, unbiased to 1e-9, as a fraction and a power of two to be multiplied: a
/// minimax polynomial of 2^f on -1/2..1/2. Neither factor may be negative. It is 0 for distances beyond `most`,
/// which is to be 127 / rate. `FUSED` asks for fused multiplications and additions, which are slow where the CPU
/// has none.
#[inline(always)]
pub fn exp2_parts<const FUSED: bool>(rate: f32, distance: f32, most: f32) -> [f32; 2] {
    const POLYNOMIAL: [f32; 6] =
        [1.535_336_2e-4, 1.339_887_5e-3, 9.618_437e-3, 5.550_332_4e-2, 2.402_264_8e-1, 6.931_472e-1];
    // The exponent's offset of the format joins the constant that rounds.
    const OFFSET: f32 = ROUNDING + 127.0;
    let multiply_add = |a: f32, b: f32, c: f32| if FUSED { a.mul_add(b, c) } else { a * b + c };
    // One instruction, unlike `min`, which asks for NaN.
    let distance = if most < distance { most } else { distance };
    let shifted = multiply_add(-rate, distance, OFFSET);
    let f = multiply_add(-rate, distance, OFFSET - shifted);
    let [top, rest @ ..] = POLYNOMIAL;
    let fraction = multiply_add(rest.into_iter().fold(top, |p, c| multiply_add(p, f, c)), f, 1.0);
    // The last bits of `shifted` are the power's exponent; at -127 the pattern is that of 0.
    [fraction, f32::from_bits(shifted.to_bits() << 23)]
}

/// 2^x for x <= 0, see [`exp2_parts`].
#[inline(always)]
pub fn exp2<const FUSED: bool>(x: f32) -> f32 {
    let [fraction, power] = exp2_parts::<FUSED>(1.0, -x, 127.0);
    fraction * power
}

/// ln u for a normal positive u, to 1e-7 relative (Cephes `logf`: polynomial on sqrt(1/2)..sqrt(2)).
#[inline(always)]
pub fn ln(u: f32) -> f32 {
    const SQRT_HALF_BITS: u32 = 0x3F35_04F3;
    let shifted = u.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let exponent = (shifted as i32 >> 23) as f32;
    let x = f32::from_bits((shifted & 0x007F_FFFF) + SQRT_HALF_BITS) - 1.0;
    let z = x * x;
    let mut p = 7.037_683_6e-2;
    p = p * x - 1.151_461e-1;
    p = p * x + 1.167_699_9e-1;
    p = p * x - 1.242_014_1e-1;
    p = p * x + 1.424_932_3e-1;
    p = p * x - 1.666_805_8e-1;
    p = p * x + 2.000_071_5e-1;
    p = p * x - 2.499_999_4e-1;
    p = p * x + 3.333_333e-1;
    let tail = p * x * z - 2.121_944_4e-4 * exponent - 0.5 * z;
    x + tail + 0.693_359_4 * exponent
}

/// Adding and subtracting 1.5 * 2^52 rounds an f64 to a whole number.
const ROUNDING_F64: f64 = 6_755_399_441_055_744.0;

/// pi/2 in three parts: multiples of the first two by whole numbers below 2^20 are exact.
const HALF_PI: [f64; 3] = [1.570_796_326_734_125_6, 6.077_100_506_303_966e-11, 2.022_266_248_795_950_6e-21];

/// Largest |a| of [`sin_cos`].
pub const MOST_PHASE: f64 = 1e6;

/// Coefficients of Taylor's series from `first`! on: -1 / first!, 1 / (first + 2)!, ...
const fn taylor<const N: usize>(first: u32) -> [f64; N] {
    let (mut factor, mut next) = (-1.0, 1);
    while next <= first {
        factor /= next as f64;
        next += 1;
    }
    let (mut coefficients, mut i) = ([0.0; N], 0);
    while i < N {
        coefficients[i] = factor;
        factor /= -((next * (next + 1)) as f64);
        next += 2;
        i += 1;
    }
    coefficients
}

/// sin a and cos a in f64 for |a| <= [`MOST_PHASE`], to 4e-16: a multiple of pi/2 is taken off, and the eighth term of
/// Taylor's series is below 1e-16 on -pi/4..pi/4.
#[inline(always)]
pub fn sin_cos(a: f64) -> [f64; 2] {
    const SIN: [f64; 8] = taylor(3);
    const COS: [f64; 8] = taylor(2);
    let shifted = a * std::f64::consts::FRAC_2_PI + ROUNDING_F64;
    let n = shifted - ROUNDING_F64;
    let r = ((a - n * HALF_PI[0]) - n * HALF_PI[1]) - n * HALF_PI[2];
    let square = r * r;
    let series = |c: &[f64; 8]| c.iter().rev().fold(0.0, |sum, c| sum * square + c);
    let (sin, cos) = (r + r * square * series(&SIN), 1.0 + square * series(&COS));
    // The last two bits of n are the quarter of the circle.
    let quarter = shifted.to_bits();
    let (s, c) = if quarter & 1 == 0 { (sin, cos) } else { (cos, sin) };
    let signed = |value: f64, quarter: u64| f64::from_bits(value.to_bits() ^ (quarter & 2) << 62);
    [signed(s, quarter), signed(c, quarter.wrapping_add(1))]
}

/// sin a and cos a for |a| <= pi/4, to 1e-7 (Cephes `sinf`, `cosf`).
#[inline(always)]
pub fn sin_cos_eighth(a: f32) -> [f32; 2] {
    let z = a * a;
    let sin = ((-1.951_529_6e-4 * z + 8.332_161e-3) * z - 1.666_665_5e-1) * z * a + a;
    let cos = ((2.443_315_7e-5 * z - 1.388_731_6e-3) * z + 4.166_664_6e-2) * z * z - 0.5 * z + 1.0;
    [sin, cos]
}

/// e^t - 1 - t, which is never negative, to 1e-6 relative even where the three terms cancel.
#[inline(always)]
pub fn exp_excess(t: f32) -> f32 {
    // Taylor's series in Horner's form; the first term left out is 4e-8 of the sum at |t| = 1/2.
    let series = [7.0, 6.0, 5.0, 4.0, 3.0].iter().fold(1.0 + t / 8.0, |sum, k| 1.0 + t / k * sum);
    if t.abs() < 0.5 { 0.5 * t * t * series } else { exp(t) - 1.0 - t }
}

/// 1 / (1 + e^-l).
#[inline(always)]
pub fn sigmoid(l: f32) -> f32 {
    1.0 / (1.0 + exp(-l))
}

/// ln(1 + e^l).
#[inline(always)]
pub fn softplus(l: f32) -> f32 {
    l.max(0.0) + ln(1.0 + exp(-l.abs()))
}

/// A number as two digits show it, without the sign of what they show as 0.
pub fn hundredths(number: f64) -> f64 {
    // Adding zero takes the sign from -0.
    (100.0 * number).round() / 100.0 + 0.0
}

/// A number with thousands separated, such as 1,234,567.
pub fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::unit;

    #[test]
    fn what_is_shown_as_0_has_no_sign() {
        for (number, shown) in
            [(-0.004, "0.00"), (-0.0, "0.00"), (-0.006, "-0.01"), (1.005, "1.00"), (-7.2, "-7.20")]
        {
            assert_eq!(format!("{:.2}", hundredths(number)), shown);
        }
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(["0", "999", "1,000", "1,234,567"], [0.0, 999.0, 1000.0, 1_234_567.4].map(grouped)[..]);
    }

    #[test]
    fn functions_match_the_library() {
        for word in (0..u32::MAX - 4_000_003).step_by(4_000_003).chain([0, u32::MAX]) {
            let u = unit(word);
            let near = |name: &str, x: f32, got: f32, want: f64, error: f64| {
                assert!((f64::from(got) - want).abs() <= error, "{name}({x}): {got} is not {want}");
            };
            let wide = f64::from(u).ln();
            near("ln", u, ln(u), wide, 3e-7 * wide.abs().max(1e-7));
            let a = (u - 0.5) * std::f32::consts::FRAC_PI_2;
            let [sin, cos] = sin_cos_eighth(a);
            near("sin", a, sin, f64::from(a).sin(), 1e-7);
            near("cos", a, cos, f64::from(a).cos(), 1e-7);
            let x = (u - 0.5) * 170.0;
            let wide = f64::from(x);
            near("exp", x, exp(x), wide.exp(), 2.5e-7 * wide.exp());
            let negative = -100.0 * u;
            let wide = f64::from(negative);
            near("exp2", negative, exp2::<true>(negative), wide.exp2(), 1.5e-7 * wide.exp2());
            near("exp2", negative, exp2::<false>(negative), wide.exp2(), 1.5e-7 * wide.exp2());
            let wide = f64::from(x);
            let want = wide.exp_m1() - wide;
            near("exp_excess", x, exp_excess(x), want, 1e-6 * want);
            let tiny = f64::from(a);
            let want = if a.abs() < 1e-2 {
                tiny * tiny / 2.0 * (1.0 + tiny / 3.0 * (1.0 + tiny / 4.0))
            } else {
                tiny.exp_m1() - tiny
            };
            near("exp_excess", a, exp_excess(a), want, 1e-6 * want);
            near("sigmoid", x, sigmoid(x), 1.0 / (1.0 + (-wide).exp()), 3e-7);
            let want = if wide > 40.0 { wide } else { wide.exp().ln_1p() };
            near("softplus", x, softplus(x), want, 3e-7 * want.max(1.0));
        }
    }

    #[test]
    fn exp_at_its_ends() {
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1000.0) < 2e-38);
        assert!(exp(1000.0) > 1e38);
        assert!(exp(f32::NAN).is_nan());
    }

    /// Beside the standard library's, which is right to a unit in the last place, 2.2e-16 near 1.
    #[test]
    fn sines_in_f64_are_those_of_the_library() {
        for most in [1.0, 10.0, MOST_PHASE] {
            for i in -20_000..=20_000 {
                let a = most * f64::from(i) / 20_000.0;
                let ([sin, cos], (s, c)) = (sin_cos(a), a.sin_cos());
                assert!((sin - s).abs() < 4e-16 && (cos - c).abs() < 4e-16, "{a}: {sin} {s}, {cos} {c}");
            }
        }
    }
}
