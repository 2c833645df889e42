//! Posteriors of freshly drawn combinations of factors, for measures that keep one factor fixed.
//!
//! ```text
//! combination   one value per factor, each uniform over its K values
//! batch         B combinations; encode: (B, f) -> means (B, m)
//! ```

use super::{Result, refused};
use crate::random::Sequence;

/// Batches that are encoded in one call: 64 of 64 images are 4,096, enough for any engine.
pub(super) const BATCHES_PER_CALL: usize = 64;

/// Something that makes images of given factors and encodes them.
pub trait FactorEncoder {
    /// How many values each factor has: `(f)`.
    fn sizes(&self) -> &[usize];

    /// Latents of a code.
    fn latents(&self) -> usize;

    /// Means of q(z | x) for the images of some combinations: `(count, f)` to `(count, m)`, row by row.
    ///
    /// # Errors
    /// If the encoder fails.
    fn encode(&mut self, factors: &[u8]) -> Result<Vec<f64>>;
}

/// Factors with more than one value: only these can be kept fixed.
pub(super) fn varying(source: &mut dyn FactorEncoder) -> Result<Vec<usize>> {
    let sizes = source.sizes();
    if source.latents() == 0 || sizes.iter().any(|size| !(1..=256).contains(size)) {
        return Err(refused(format!(
            "{} latents and factors of sizes {sizes:?} cannot be judged",
            source.latents()
        )));
    }
    let varying: Vec<usize> = (0..sizes.len()).filter(|&k| sizes[k] > 1).collect();
    if varying.len() < 2 {
        return Err(refused("which factor is fixed can be told only where two or more factors vary"));
    }
    Ok(varying)
}

/// Sizes that leave nothing to count, or no variance, are refused.
pub(super) fn check_counts(batch: usize, counts: &[usize]) -> Result<()> {
    if batch < 2 || counts.iter().any(|&count| count < 2) {
        return Err(refused(format!(
            "batches of {batch} and {counts:?} points are too few; two are the least"
        )));
    }
    Ok(())
}

/// Encodes, and checks what comes back.
pub(super) fn encode(source: &mut dyn FactorEncoder, factors: &[u8]) -> Result<Vec<f64>> {
    let codes = source.encode(factors)?;
    let expected = factors.len() / source.sizes().len() * source.latents();
    if codes.len() != expected || codes.iter().any(|z| !z.is_finite()) {
        return Err(refused(format!(
            "the encoder was to give {expected} finite numbers, and gave {}",
            codes.len()
        )));
    }
    Ok(codes)
}

/// Appends `count` random combinations.
pub(super) fn draw(random: &mut Sequence, sizes: &[usize], count: usize, factors: &mut Vec<u8>) {
    for _ in 0..count {
        factors.extend(sizes.iter().map(|&size| random.below(size as u32) as u8));
    }
}
