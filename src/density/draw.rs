//! Random numbers that several families are drawn with, in f64.

use crate::random::Sequence;

/// The midpoint of one of 2^52 equal parts of (0, 1): exact, never 0, never 1.
///
/// [`Sequence::uniform`] has 2^23 values: a few thousand draws would contain ties.
pub(super) fn uniform(random: &mut Sequence) -> f64 {
    let word = u64::from(random.word()) << 32 | u64::from(random.word());
    ((word >> 12) as f64 + 0.5) * f64::EPSILON
}

/// A draw from N(0, I) in every place.
pub(super) fn normals(random: &mut Sequence, out: &mut [f64]) {
    out.iter_mut().for_each(|out| *out = f64::from(random.normal()));
}

/// ln of a draw from the gamma distribution of scale 1: Marsaglia and Tsang, "A simple method for generating gamma
/// variables", 2000. For shapes below 1, G(a) = G(a + 1) U^(1/a): its logarithm does not underflow.
pub(super) fn ln_gamma_variate(shape: f64, random: &mut Sequence) -> f64 {
    if shape < 1.0 {
        return ln_gamma_variate(shape + 1.0, random) + uniform(random).ln() / shape;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let z = f64::from(random.normal());
        let v = (1.0 + c * z).powi(3);
        if v > 0.0 && uniform(random).ln() < 0.5 * z * z + d - d * v + d * v.ln() {
            return (d * v).ln();
        }
    }
}
