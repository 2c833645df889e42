//! The FactorVAE score: does the latent that varies least tell which factor is fixed?
//!
//! ```text
//! s_j^2        variance of latent j over random images; latents with s_j < .05 are left out
//! vote         a factor k at random, a batch of images with one value of it: argmin_j var_batch(z_j) / s_j^2
//! classifier   of latent j: the factor with most of its training votes
//! score        share of test votes that it classifies rightly; 0 if all latents are left out
//! ```
//!
//! Kim and Mnih, "Disentangling by factorising", ICML 2018, section 4 and appendix B; numbers of votes and
//! the threshold are those of `disentanglement_lib` (`factor_vae_metric`.gin). Variances have n - 1 in the
//! denominator, as there.

use super::active::variance;
use super::source::{self, BATCHES_PER_CALL, FactorEncoder};
use super::{BATCH, Draw, MeasureValue, Result, TEST_POINTS, TRAIN_POINTS, largest, random};

/// Numbers of images and votes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Votes {
    /// Images of a vote.
    pub batch: usize,
    /// Images that variances are estimated from.
    pub variance_points: usize,
    /// Votes that the classifier learns from.
    pub train: usize,
    /// Votes that it is tested on.
    pub test: usize,
    /// Least standard deviation of a latent that takes part; above 0.
    pub least_std: f64,
}

impl Default for Votes {
    fn default() -> Self {
        Self {
            batch: BATCH,
            variance_points: 10_000,
            train: TRAIN_POINTS,
            test: TEST_POINTS,
            least_std: 0.05,
        }
    }
}

/// The score and what it is from.
#[derive(Clone, Debug, PartialEq)]
pub struct FactorVaeScore {
    /// Share of test votes classified rightly.
    pub value: MeasureValue,
    /// The same of the training votes.
    pub train: f64,
    /// Latents that took part.
    pub latents: Vec<usize>,
    /// Test votes, one row per factor: `(f, m)`.
    pub votes: Vec<u32>,
}

/// The FactorVAE score.
///
/// # Errors
/// If fewer than two factors vary, settings are too small, or the encoder fails.
pub fn score(source: &mut dyn FactorEncoder, settings: Votes, seed: u64) -> Result<FactorVaeScore> {
    let varying = source::varying(source)?;
    source::check_counts(settings.batch, &[settings.variance_points, settings.train, settings.test])?;
    let (f, m) = (source.sizes().len(), source.latents());
    let variances = variances(source, settings, seed)?;
    let least = settings.least_std.max(f64::MIN_POSITIVE);
    let latents: Vec<usize> = (0..m).filter(|&j| variances[j].sqrt() >= least).collect();
    if latents.is_empty() {
        return Ok(FactorVaeScore {
            value: MeasureValue { value: 0.0, error: None },
            train: 0.0,
            latents,
            votes: vec![0; f * m],
        });
    }
    let mut votes =
        |draw, count| votes(source, &varying, &latents, &variances, (settings.batch, draw, count), seed);
    let (train, test) = (votes(Draw::TrainBatch, settings.train)?, votes(Draw::TestBatch, settings.test)?);
    let classifier: Vec<usize> =
        (0..m).map(|j| largest((0..f).map(|k| f64::from(train[k * m + j])))).collect();
    let right =
        |votes: &[u32]| classifier.iter().enumerate().map(|(j, k)| f64::from(votes[k * m + j])).sum::<f64>();
    let value = MeasureValue::binomial(right(&test) / settings.test as f64, settings.test);
    Ok(FactorVaeScore { value, train: right(&train) / settings.train as f64, latents, votes: test })
}

/// `s_j^2`.
fn variances(source: &mut dyn FactorEncoder, settings: Votes, seed: u64) -> Result<Vec<f64>> {
    let (sizes, m) = (source.sizes().to_vec(), source.latents());
    let mut random = random(seed, Draw::Variance, 0);
    let mut codes = Vec::with_capacity(settings.variance_points * m);
    let mut left = settings.variance_points;
    while left > 0 {
        let count = left.min(BATCHES_PER_CALL * settings.batch);
        let mut factors = Vec::new();
        source::draw(&mut random, &sizes, count, &mut factors);
        codes.extend(source::encode(source, &factors)?);
        left -= count;
    }
    Ok((0..m).map(|j| variance(codes.iter().skip(j).step_by(m))).collect())
}

/// Votes of one kind, `(batch, draw, count)`: how often each latent varied least while each factor was fixed:
/// `(f, m)`.
fn votes(
    source: &mut dyn FactorEncoder,
    varying: &[usize],
    latents: &[usize],
    variances: &[f64],
    (batch, draw, count): (usize, Draw, usize),
    seed: u64,
) -> Result<Vec<u32>> {
    let (sizes, m) = (source.sizes().to_vec(), source.latents());
    let mut votes = vec![0; sizes.len() * m];
    for first in (0..count).step_by(BATCHES_PER_CALL) {
        let (mut factors, mut fixed) = (Vec::new(), Vec::new());
        for vote in first..count.min(first + BATCHES_PER_CALL) {
            let mut random = random(seed, draw, vote);
            let factor = varying[random.below(varying.len() as u32) as usize];
            let start = factors.len();
            source::draw(&mut random, &sizes, batch, &mut factors);
            let value = factors[start + factor];
            factors[start..].chunks_mut(sizes.len()).for_each(|row| row[factor] = value);
            fixed.push(factor);
        }
        let codes = source::encode(source, &factors)?;
        for (codes, factor) in codes.chunks(batch * m).zip(fixed) {
            let ratio = |&j: &usize| variance(codes.iter().skip(j).step_by(m)) / variances[j];
            let least = latents[largest(latents.iter().map(|j| -ratio(j)))];
            votes[factor * m + least] += 1;
        }
    }
    Ok(votes)
}

#[cfg(test)]
mod tests {
    use super::super::cases::{Coded, perfect};
    use super::*;

    const FEW: Votes = Votes { batch: 64, variance_points: 2000, train: 500, test: 500, least_std: 0.05 };

    #[test]
    fn perfect_codes_score_one_and_dead_ones_zero() {
        let sizes = vec![3, 1, 6, 40];
        let score = score(&mut Coded { sizes: sizes.clone(), m: 4, code: perfect }, FEW, 1).unwrap();
        assert_eq!((score.value.value, score.train, score.latents), (1.0, 1.0, vec![0, 2, 3]));
        // Votes are on the diagonal, none for the factor of one value.
        assert!((0..16).all(|i| (score.votes[i] > 0) == [0, 10, 15].contains(&i)), "{:?}", score.votes);
        let none = Votes { test: 0, ..FEW };
        assert!(super::score(&mut Coded { sizes: sizes.clone(), m: 4, code: perfect }, none, 1).is_err());
        let weak = |row: &[u8]| vec![0.04 * f64::from(row[0]), 7.0];
        let score = super::score(&mut Coded { sizes, m: 2, code: weak }, FEW, 1).unwrap();
        assert_eq!(
            (score.value, score.train, score.latents.len()),
            (MeasureValue { value: 0.0, error: None }, 0.0, 0)
        );
    }

    /// A single latent casts all votes, and is right whenever its factor was drawn.
    #[test]
    fn one_latent_is_right_by_chance() {
        let code = |row: &[u8]| vec![row.iter().map(|&v| f64::from(v)).sum()];
        let score = score(&mut Coded { sizes: vec![5, 5, 5], m: 1, code }, FEW, 2).unwrap();
        let error = (1.0f64 / 3.0 * 2.0 / 3.0 / 500.0).sqrt();
        assert!((score.value.value - 1.0 / 3.0).abs() < 4.0 * error, "{:?}", score.value);
        assert!((score.value.error.unwrap().value / error - 1.0).abs() < 0.1);
    }

    /// a + b and a - b vary alike whether a or b is fixed: right in 2 of 4 of such votes, and always with c.
    #[test]
    fn a_rotation_leaves_half_of_the_votes_right() {
        let code = |row: &[u8]| {
            let [a, b, c] = [0, 1, 2].map(|k| f64::from(row[k]));
            vec![a + b, a - b, c]
        };
        let mut source = Coded { sizes: vec![10, 10, 10], m: 3, code };
        let score = score(&mut source, Votes { train: 2000, test: 2000, ..FEW }, 3).unwrap();
        let error = score.value.error.unwrap().value;
        assert!((score.value.value - 2.0 / 3.0).abs() < 4.0 * error, "{:?}", score.value);
    }
}
