//! Rows that depend on those before them: a null of blocks, and a look at the order of rows.
//!
//! ```text
//! r         lag-one autocorrelation: sum_t (x_t - mean) (x_(t+1) - mean) / sum_t (x_t - mean)^2
//! phi       the largest r of a coordinate, of both samples; for independence, phi of X times phi of Y
//! tau       (1 + phi) / (1 - phi): n / tau independent rows would tell the mean as well
//! L         (n tau^2)^(1/3), rows of a block
//! kept      1 - 2 phi (1 - phi^L) / (L (1 - phi^2)): the variance of a mean that blocks keep
//! ```
//!
//! A permutation of blocks of consecutive rows keeps what rows have to do with each other, up to the ends of the blocks.
//! Two samples: all blocks are dealt out to X and Y anew. Independence: the blocks of Y come in another order beside
//! those of X. What is lost is the dependence between neighbouring blocks. Of a first-order autoregression it is known:
//! the sum of L rows has the variance L tau - 2 phi (1 - phi^L) / (1 - phi)^2 (times that of a row), and L tau is what
//! counts in a long series. So the draws are divided by that ratio, `kept`. This wants a statistic that is a square, hence
//! the biased estimates: of MMD^2 = |mean embedding of X - that of Y|^2, and of HSIC. Functions of rows forget faster than
//! the rows themselves, so that `kept` is rather too small, the test careful. The level tends to alpha as n grows,
//! but is never exact. Both series must be stationary.
//!
//! Blocks instead of a bootstrap with autocorrelated multipliers (Leucht and Neumann, "Dependent wild bootstrap for
//! degenerate U- and V-statistics", 2013; Chwialkowski, Sejdinovic, Gretton, "A wild bootstrap for degenerate kernel
//! tests", NIPS 2014): that centres its multipliers within each sample, and with few independent rows rejects more often
//! than it should. The length is of the order that makes bias and variance of a long-run variance alike small, n^(1/3), as
//! that of an autoregression is (Andrews, Econometrica 1991: 51 at 1,000 rows with phi = .9). It is 71 here, as the level
//! of a test loses more by bias. Long memory and seasons are no autoregression, and need a given length.

use super::Sample;
use super::two_sample::BINS;
use crate::error::{Error, Kind, Result};
use crate::kernel::pair_forms::BITS;
use crate::kernel::pairs::MOST_POINTS;
use serde::Serialize;

/// Fewest blocks of a sample: ten of two samples can be dealt out in 126 ways, five be ordered in 120.
const LEAST_BLOCKS: usize = 5;

/// The largest phi that is believed: beyond, a series is hardly stationary.
const MOST_PHI: f64 = 0.99;

/// A warning's least r: less costs a test little.
const NOTABLE: f64 = 0.1;

/// A warning's least r in standard errors 1 / sqrt(n), those of independent rows: one coordinate in three million is
/// beyond, so that hundreds may be looked at.
const SIGNIFICANT: f64 = 5.0;

/// Fewer independent rows than this are too few for a level that can be relied on.
const FEW: f64 = 50.0;

/// Lag-one autocorrelation of a coordinate; 0 where it is constant.
fn lag_one(sample: Sample<'_>, coordinate: usize) -> f64 {
    let n = sample.len();
    let value = |i: usize| sample.point(i)[coordinate];
    let scale = (0..n).map(|i| value(i).abs()).fold(f64::MIN_POSITIVE, f64::max);
    let mean = (0..n).map(|i| value(i) / scale).sum::<f64>() / n as f64;
    let centred = |i: usize| value(i) / scale - mean;
    let square: f64 = (0..n).map(|i| centred(i).powi(2)).sum();
    let product: f64 = (1..n).map(|i| centred(i) * centred(i - 1)).sum();
    if square > 0.0 { product / square } else { 0.0 }
}

/// The coordinate with the largest lag-one autocorrelation, and that.
pub fn largest(sample: Sample<'_>) -> (usize, f64) {
    let each = (0..sample.d).map(|coordinate| (coordinate, lag_one(sample, coordinate)));
    each.fold((0, 0.0), |most, one| if one.1 > most.1 { one } else { most })
}

/// phi of a sample.
pub(super) fn phi(sample: Sample<'_>) -> f64 {
    largest(sample).1.clamp(0.0, MOST_PHI)
}

/// tau.
fn time(phi: f64) -> f64 {
    (1.0 + phi) / (1.0 - phi)
}

/// Blocks of consecutive rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Blocks {
    /// Rows of a block.
    pub length: usize,
    /// The share of the variance that blocks keep, which draws are divided by.
    pub kept: f64,
}

impl Blocks {
    /// Blocks of the length asked for, or of L rows with as few left over as possible.
    ///
    /// # Errors
    /// If the smaller sample has too few of them.
    pub(super) fn new(counts: [usize; 2], phi: f64, wanted: Option<usize>) -> Result<Self> {
        let length = length(counts, phi, wanted)?;
        let rows = length as f64;
        let kept = 1.0 - 2.0 * phi * (1.0 - phi.powf(rows)) / (rows * (1.0 - phi * phi));
        Ok(Self { length, kept })
    }

    /// Makes up for the variance that draws have lost; the first one is the observed value.
    pub(super) fn correct(&self, values: &mut [f64]) {
        values[1..].iter_mut().for_each(|value| *value /= self.kept);
    }
}

fn length(counts: [usize; 2], phi: f64, wanted: Option<usize>) -> Result<usize> {
    let n = counts[0].min(counts[1]);
    let length = wanted.unwrap_or_else(|| {
        let best = (n as f64 * time(phi).powi(2)).cbrt();
        // No table of blocks larger than that of the binned null.
        let least = (counts[0] + counts[1]).div_ceil(BINS);
        let blocks = (n as f64 / best.max(least as f64)).round() as usize;
        n / blocks.max(LEAST_BLOCKS)
    });
    // The passes over the pairs take blocks of so many points.
    let length = if length > MOST_POINTS { length / BITS * BITS } else { length.max(1) };
    if n / length < LEAST_BLOCKS {
        return Err(Kind::Samples(format!(
            "blocks of {length} rows leave only {} in the smaller sample of {n}, and the series null needs \
             {LEAST_BLOCKS}; use more rows or a smaller --block-length",
            n / length
        ))
        .into());
    }
    Ok(length)
}

/// The last whole blocks of a sample.
pub(super) fn whole_blocks(sample: Sample<'_>, length: usize) -> Sample<'_> {
    let rest = sample.len() % length;
    Sample::new(sample.d, &sample.values[rest * sample.d..])
}

/// What is to be said of blocks: rows that were left out, and too few independent ones.
pub(super) fn warnings(n: usize, left_out: usize, phi: f64) -> Vec<String> {
    let mut warnings = Vec::new();
    if left_out > 0 {
        warnings.push(format!("{left_out} rows at the beginning that fill no whole block are left out"));
    }
    let effective = n as f64 / time(phi);
    if effective < FEW {
        warnings.push(format!(
            "{n} rows with a lag-one autocorrelation of {phi:.2} tell as much as {effective:.0} independent ones, \
             n (1 - phi) / (1 + phi): below {FEW} the level of the series null cannot be relied on; use more rows"
        ));
    }
    warnings
}

/// A block length is for the series null alone.
pub(super) fn check_length(length: Option<usize>, series: bool) -> Result<()> {
    match length {
        Some(0) => Err(Error::usage("a block has at least one row")),
        Some(_) if !series => {
            Err(Error::usage("--block-length is for blocks of a series; add --null series, or leave it out"))
        }
        _ => Ok(()),
    }
}

/// Tells if rows of a sample, in the order given, look as if they depended on each other; `column` names a coordinate.
pub fn order_warning(
    name: &str,
    sample: Sample<'_>,
    column: impl Fn(usize) -> String,
    advice: &str,
) -> Option<String> {
    let (coordinate, r) = largest(sample);
    let usual = SIGNIFICANT / (sample.len() as f64).sqrt();
    (r > usual.max(NOTABLE)).then(|| {
        format!(
            "the rows of {name} look as if they depended on those before: {} has a lag-one autocorrelation of {r:.2}, \
             independent rows hardly more than {usual:.2}, and p-values are right for independent rows only; {advice}, \
             unless independent rows were merely sorted",
            column(coordinate)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Sequence, Stream};

    /// A stationary autoregression of variance 1.
    fn autoregression(n: usize, phi: f64, which: u32) -> Vec<f64> {
        let mut random = Sequence::new(9, Stream::Data, which);
        let mut value = random.normal_f64();
        let next = |_| {
            value = phi * value + (1.0 - phi * phi).sqrt() * random.normal_f64();
            value
        };
        (0..n).map(next).collect()
    }

    #[test]
    fn autocorrelation_is_that_of_its_formula() {
        // Less their mean 2: -1, 0, 1, 0; products 0, 0, 0 over squares 2. And -1, -1, 1, 1: 1 - 1 + 1 over 4.
        let values = [1.0, 10.0, 2.0, 10.0, 3.0, 12.0, 2.0, 12.0];
        assert_eq!(lag_one(Sample::new(2, &values), 0), 0.0);
        let (coordinate, r) = largest(Sample::new(2, &values));
        assert!(coordinate == 1 && (r - 0.25).abs() < 1e-12, "{coordinate}: {r}");
        assert_eq!(largest(Sample::new(1, &[3.0; 9])).1, 0.0, "constant");
        let huge: Vec<f64> = values.iter().map(|v| v * 1e299).collect();
        assert!((largest(Sample::new(2, &huge)).1 - 0.25).abs() < 1e-12);
    }

    /// (1000)^(1/3) = 10; (1000 * 19^2)^(1/3) = 71.2: 14 blocks of 71; (4000 * 19^2)^(1/3) = 113: 35 of 114.
    #[test]
    fn lengths_are_those_of_the_formula() {
        for (counts, phi, length) in [
            ([1000, 1000], 0.0, 10),
            ([1000, 3000], 0.9, 71),
            ([4000, 4000], 0.9, 114),
            ([100, 100], 0.99, 20),
            ([1_000_000, 1_000_000], 0.0, 3904),
        ] {
            assert_eq!(self::length(counts, phi, None).unwrap(), length, "{counts:?} with {phi}");
        }
        assert_eq!(length([100, 100], 0.9, Some(7)).unwrap(), 7);
        assert!(length([100, 40], 0.0, Some(9)).is_err(), "four blocks are too few");
        assert!(length([4, 40], 0.0, None).is_err());
    }

    /// The variance of the sum of L rows over L tau, by the sum of all autocovariances phi^|i - j|.
    #[test]
    fn blocks_keep_the_variance_of_their_sums() {
        for (phi, length) in [(0.0, 1), (0.0, 10), (0.5, 1), (0.5, 7), (0.9, 71), (0.99, 20)] {
            let each = |i: i32| (0..length).map(|j: i32| f64::powi(phi, (i - j).abs())).sum::<f64>();
            let of_sum: f64 = (0..length).map(each).sum();
            let blocks = Blocks::new([1000, 1000], phi, Some(length as usize)).unwrap();
            let expected = of_sum / (f64::from(length) * time(phi));
            assert!((blocks.kept - expected).abs() < 1e-12, "{phi}, {length}: {} {expected}", blocks.kept);
        }
    }

    /// A walk is told, independent rows and few sorted ones are not.
    #[test]
    fn only_clear_dependence_is_told() {
        let told = |values: &[f64], d| {
            order_warning("x", Sample::new(d, values), |c| format!("column {c}"), "look").is_some()
        };
        assert!((0..200).all(|which| !told(&autoregression(500, 0.0, which), 5)));
        assert!((0..20).all(|which| told(&autoregression(100, 0.9, which), 1)));
        let sorted: Vec<f64> = (0..20).map(f64::from).collect();
        assert!(!told(&sorted, 1), "r is .85, and 5 / sqrt(20) is 1.1");
    }
}
