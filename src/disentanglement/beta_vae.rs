//! The beta-VAE score: can a linear classifier tell from differences of codes which factor two images share?
//!
//! ```text
//! point        a factor k at random, B pairs of random images that share its value: mean |z - z'|: (m)
//! classifier   multinomial logistic regression of k on points, see `logistic`
//! score        share of test points that it classifies rightly; 1 / f by chance
//! ```
//!
//! Higgins et al., "beta-VAE: learning basic visual concepts with a constrained variational framework", ICLR
//! 2017, appendix A.4; the classifier and the numbers of points are those of `disentanglement_lib`
//! (`beta_vae_sklearn`.gin). Features are not standardised, as there: latents of little variance are
//! penalised more.

use super::source::{self, BATCHES_PER_CALL, FactorEncoder};
use super::{BATCH, Draw, MeasureValue, Result, TEST_POINTS, TRAIN_POINTS, logistic, random, refused};

/// Numbers of images and points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairCounts {
    /// Pairs of a point.
    pub batch: usize,
    /// Points that the classifier learns from.
    pub train: usize,
    /// Points that it is tested on.
    pub test: usize,
}

impl Default for PairCounts {
    fn default() -> Self {
        Self { batch: BATCH, train: TRAIN_POINTS, test: TEST_POINTS }
    }
}

/// The score and what it is from.
#[derive(Clone, Debug, PartialEq)]
pub struct BetaVaeScore {
    /// Share of test points classified rightly.
    pub value: MeasureValue,
    /// The same of the training points.
    pub train: f64,
    /// Weights of each factor that varies, the intercept last: `(f, m + 1)`; those of two factors are of
    /// opposite sign.
    pub weights: Vec<f64>,
}

/// Points of a classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct PairPoints {
    /// Mean |z - z'|: `(count, m)`.
    pub features: Vec<f64>,
    /// Which factor is shared: its number among those that vary.
    pub labels: Vec<u8>,
}

/// The beta-VAE score.
///
/// # Errors
/// If fewer than two factors vary, settings are too small, or the encoder fails.
pub fn score(source: &mut dyn FactorEncoder, settings: PairCounts, seed: u64) -> Result<BetaVaeScore> {
    let [train, test] = points(source, settings, seed)?;
    let count = source::varying(source)?.len();
    let model = logistic::fit(&train.features, &train.labels, source.latents(), count)
        .ok_or_else(|| refused("logistic regression did not converge; codes may be far too large"))?;
    let share = |points: &PairPoints| {
        let predicted = model.predict(&points.features);
        let right = predicted.iter().zip(&points.labels).filter(|(a, b)| a == b).count();
        right as f64 / points.labels.len() as f64
    };
    Ok(BetaVaeScore {
        value: MeasureValue::binomial(share(&test), settings.test),
        train: share(&train),
        weights: model.weights,
    })
}

/// Training points and test points.
///
/// # Errors
/// As [`score`].
pub fn points(source: &mut dyn FactorEncoder, settings: PairCounts, seed: u64) -> Result<[PairPoints; 2]> {
    let PairCounts { batch, train, test } = settings;
    source::check_counts(batch, &[train, test])?;
    Ok([
        points_of(source, batch, (Draw::TrainBatch, train), seed)?,
        points_of(source, batch, (Draw::TestBatch, test), seed)?,
    ])
}

fn points_of(
    source: &mut dyn FactorEncoder,
    batch: usize,
    (draw, count): (Draw, usize),
    seed: u64,
) -> Result<PairPoints> {
    let varying = source::varying(source)?;
    let (sizes, m) = (source.sizes().to_vec(), source.latents());
    let mut points =
        PairPoints { features: Vec::with_capacity(count * m), labels: Vec::with_capacity(count) };
    for first in (0..count).step_by(BATCHES_PER_CALL) {
        let mut factors = Vec::new();
        for point in first..count.min(first + BATCHES_PER_CALL) {
            let mut random = random(seed, draw, point);
            let label = random.below(varying.len() as u32) as u8;
            let start = factors.len();
            source::draw(&mut random, &sizes, 2 * batch, &mut factors);
            let (firsts, seconds) = factors[start..].split_at_mut(batch * sizes.len());
            let shared = varying[usize::from(label)];
            let pairs = firsts.chunks(sizes.len()).zip(seconds.chunks_mut(sizes.len()));
            pairs.for_each(|(first, second)| second[shared] = first[shared]);
            points.labels.push(label);
        }
        let codes = source::encode(source, &factors)?;
        for codes in codes.chunks(2 * batch * m) {
            let (firsts, seconds) = codes.split_at(batch * m);
            let difference = |i: usize| (firsts[i] - seconds[i]).abs();
            points.features.extend(
                (0..m).map(|j| (0..batch).map(|pair| difference(pair * m + j)).sum::<f64>() / batch as f64),
            );
        }
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::super::cases::{Coded, perfect};
    use super::*;

    const FEW: PairCounts = PairCounts { batch: 64, train: 1000, test: 500 };

    #[test]
    fn perfect_codes_score_one_and_dead_ones_chance() {
        let sizes = vec![3, 1, 6, 40];
        let score = score(&mut Coded { sizes: sizes.clone(), m: 4, code: perfect }, FEW, 1).unwrap();
        assert_eq!((score.value.value, score.train), (1.0, 1.0));
        let score =
            super::score(&mut Coded { sizes, m: 2, code: |_: &[u8]| vec![0.5, 0.5] }, FEW, 1).unwrap();
        let error = (1.0f64 / 3.0 * 2.0 / 3.0 / 500.0).sqrt();
        assert!((score.value.value - 1.0 / 3.0).abs() < 4.0 * error, "{:?}", score.value);
    }

    /// The shared factor's latent does not differ; another with K values differs by (K^2 - 1) / (3 K) in the
    /// mean: 1.6 of 5.
    #[test]
    fn features_are_mean_differences() {
        let mut source = Coded { sizes: vec![5, 5], m: 2, code: perfect };
        let [train, _] = points(&mut source, FEW, 4).unwrap();
        let mut sums = [[0.0; 2]; 2];
        for (point, &label) in train.features.chunks(2).zip(&train.labels) {
            let label = usize::from(label);
            assert_eq!(point[label], 0.0);
            sums[label] = [sums[label][0] + point[1 - label], sums[label][1] + 1.0];
        }
        for [sum, count] in sums {
            // The variance of |d| is E d^2 - 1.6^2 = 4 - 2.56 = 1.44.
            let error = 1.2 / (64.0f64 * count).sqrt();
            assert!((sum / count - 1.6).abs() < 4.0 * error, "{}", sum / count);
        }
    }
}
