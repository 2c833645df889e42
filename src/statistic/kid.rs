//! The kernel inception distance: MMD^2 with a polynomial kernel, by which generators of images are ranked.
//!
//! ```text
//! k(x, y) = (x.y / d + 1)^3                    x, y: features of images, (d); no bandwidth
//! KID(X, Y) = mean over subsets of the unbiased MMD^2 of s points of X and s of Y
//! ```
//!
//! Bińkowski, Sutherland, Arbel, Gretton, "Demystifying MMD GANs", ICLR 2018, take the features of an Inception network,
//! 100 subsets of 1,000 points, and give the standard deviation over the subsets beside the mean. Values compare only
//! where the features are the same ones.
//!
//! The number is unbiased for any number of points, and its cost hardly grows with the sample. It is no test. The kernel
//! sees the first three moments alone, and features of large values decide it; for a p-value use
//! [`two_sample`](super::two_sample()).

use super::Sample;
use crate::error::{Kind, Result};
use crate::random::{Sequence, Stream};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;
use serde::Serialize;

/// Columns of a product that a thread has at one time.
const COLUMNS: usize = 64;

/// Subsets and their points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KidSettings {
    /// How many are drawn.
    pub subsets: usize,
    /// Most points of each sample in one. It is half of the smallest sample where that is less, as subsets that share
    /// most of their points hardly differ.
    pub points: usize,
    /// Seed of the choice.
    pub seed: u64,
}

impl Default for KidSettings {
    /// As published.
    fn default() -> Self {
        Self { subsets: 100, points: 1000, seed: 0 }
    }
}

/// A mean over subsets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Kid {
    /// The mean; it may be negative where the samples hardly differ.
    pub kid: f64,
    /// Of the values of single subsets, as published beside the mean. It is no error of the mean, which is smaller.
    pub standard_deviation: f64,
    /// How many subsets were drawn.
    pub subsets: usize,
    /// Points of each sample in a subset.
    pub points: usize,
}

/// Which of two samples is closer to a third, by KID.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RelativeKid {
    /// Between the third and A.
    pub a: Kid,
    /// Between the third and B.
    pub b: Kid,
    /// The first less the second, subset by subset: both take the same points of the third sample.
    pub difference: Kid,
}

/// KID of features `(n, d)` and `(m, d)`.
///
/// `progress` is called with the fraction that is done; its error ends the work, and is given back.
///
/// # Errors
/// If the columns differ, a sample has fewer than four points, or values are so large that the kernel is not finite.
pub fn kid(
    samples: [Sample<'_>; 2],
    settings: &KidSettings,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Kid> {
    let points = points_of_subset(&samples, settings)?;
    Ok(summary(&of_subsets(samples, [0, 1], points, settings, progress)?, points))
}

/// KID of Z and A, of Z and B, and their difference.
///
/// # Errors
/// Those of [`kid`].
pub fn relative_kid(
    [z, a, b]: [Sample<'_>; 3],
    settings: &KidSettings,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<RelativeKid> {
    let points = points_of_subset(&[z, a, b], settings)?;
    let of_a = of_subsets([z, a], [0, 1], points, settings, &mut |done| progress(done / 2.0))?;
    let of_b = of_subsets([z, b], [0, 2], points, settings, &mut |done| progress(0.5 + done / 2.0))?;
    let differences: Vec<f64> = of_a.iter().zip(&of_b).map(|(a, b)| a - b).collect();
    let [a, b, difference] = [of_a, of_b, differences].map(|values| summary(&values, points));
    Ok(RelativeKid { a, b, difference })
}

fn wrong<T>(message: String) -> Result<T> {
    Err(Kind::Samples(message).into())
}

/// Points of each sample in a subset.
fn points_of_subset(samples: &[Sample<'_>], settings: &KidSettings) -> Result<usize> {
    let d = samples[0].d;
    if let Some(other) = samples.iter().find(|sample| sample.d != d) {
        return wrong(format!("one sample has {d} columns and another {}; both need the same ones", other.d));
    }
    let smallest = samples.iter().map(Sample::len).min().unwrap_or(0);
    let points = settings.points.min(smallest / 2);
    if points < 2 || settings.subsets < 2 {
        return wrong(format!(
            "KID takes the mean over two or more subsets of two points or more, each at most half of a sample; here \
             are {} subsets of {} points, and a sample of {smallest}",
            settings.subsets, settings.points
        ));
    }
    Ok(points)
}

/// The unbiased MMD^2 of each subset; `streams` says which random choice belongs to which sample.
fn of_subsets(
    samples: [Sample<'_>; 2],
    streams: [u32; 2],
    points: usize,
    settings: &KidSettings,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Vec<f64>> {
    let mut random = streams.map(|stream| Sequence::new(settings.seed, Stream::Subsets, stream));
    let mut values = Vec::with_capacity(settings.subsets);
    for subset in 0..settings.subsets {
        let mut which = 0;
        let [x, y] = samples.map(|sample| {
            let rows = random[which].choice(points, sample.len());
            which += 1;
            rows.iter().flat_map(|&row| sample.point(row as usize)).copied().collect::<Vec<f64>>()
        });
        let value = unbiased(&x, &y, samples[0].d);
        if !value.is_finite() {
            return wrong(
                "(x.y / d + 1)^3 leaves the range of numbers; divide the features by a common number first"
                    .into(),
            );
        }
        values.push(value);
        progress((subset + 1) as f64 / settings.subsets as f64)?;
    }
    Ok(values)
}

/// The unbiased MMD^2 of two sets of points `(s, d)`.
fn unbiased(x: &[f64], y: &[f64], d: usize) -> f64 {
    let s = x.len() / d;
    let [x, y] = [x, y].map(|values| MatRef::from_row_major_slice(values, s, d));
    // The kernel less 1, which drops out of MMD^2 and would cost digits where the features are small.
    let kernel = |product: f64| {
        let t = product / d as f64;
        t * (t * (t + 3.0) + 3.0)
    };
    let sum = |x: MatRef<'_, f64>, y: MatRef<'_, f64>, with_diagonal: bool| {
        let of_columns = |first: usize| -> f64 {
            let columns = COLUMNS.min(s - first);
            let mut products = Mat::zeros(s, columns);
            let y = y.subrows(first, columns).transpose();
            matmul(products.as_mut(), Accum::Replace, x, y, 1.0, Par::Seq);
            let pairs = (0..columns).flat_map(|j| (0..s).map(move |i| (i, j)));
            let pairs = pairs.filter(|&(i, j)| with_diagonal || i != first + j);
            pairs.map(|pair| kernel(products[pair])).sum()
        };
        let firsts: Vec<usize> = (0..s).step_by(COLUMNS).collect();
        // Added up in their order, so that no number depends on the threads.
        firsts.into_par_iter().map(of_columns).collect::<Vec<f64>>().into_iter().sum::<f64>()
    };
    let own = sum(x, x, false) + sum(y, y, false);
    let s = s as f64;
    own / (s * (s - 1.0)) - 2.0 * sum(x, y, true) / (s * s)
}

/// Mean and standard deviation.
fn summary(values: &[f64], points: usize) -> Kid {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Kid { kid: mean, standard_deviation: (squares / (n - 1.0)).sqrt(), subsets: values.len(), points }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` points of N(`mean`, I) in two dimensions.
    fn normal(n: usize, mean: f64, seed: u64) -> Vec<f64> {
        let mut random = Sequence::new(seed, Stream::Data, 0);
        (0..2 * n).map(|_| mean + random.normal_f64()).collect()
    }

    fn of(x: &[f64], y: &[f64], settings: &KidSettings) -> Kid {
        kid([Sample::new(2, x), Sample::new(2, y)], settings, &mut |_| Ok(())).expect("a value")
    }

    #[test]
    fn a_subset_is_the_sum_over_its_pairs() {
        let (x, y) = (normal(7, 0.0, 1), normal(7, 1.0, 2));
        let k = |a: &[f64], b: &[f64]| (a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / 2.0 + 1.0).powi(3);
        let [mut own, mut cross] = [0.0; 2];
        for i in 0..7 {
            for j in 0..7 {
                let [a, b] = [2 * i, 2 * j];
                if i != j {
                    own += k(&x[a..][..2], &x[b..][..2]) + k(&y[a..][..2], &y[b..][..2]);
                }
                cross += k(&x[a..][..2], &y[b..][..2]);
            }
        }
        let naive = own / 42.0 - 2.0 * cross / 49.0;
        assert!((unbiased(&x, &y, 2) - naive).abs() < 1e-13 * naive.abs().max(1.0));
    }

    /// MMD^2 is the squared distance of the moments up to degree 3, each with its weight in (x.y / d + 1)^3.
    #[test]
    fn the_mean_is_that_of_the_moments() {
        let m: f64 = 0.5;
        // Moments E[a^i b^j] of a point (a, b) are products of those of N(mean, 1).
        let moment = |mean: f64, power: i32| match power {
            0 => 1.0,
            1 => mean,
            2 => mean * mean + 1.0,
            _ => mean.powi(3) + 3.0 * mean,
        };
        // (x.y / 2 + 1)^3 = sum over degrees p of binomial(3, p) / 2^p (x.y)^p, and (x.y)^p = sum over i + j = p of
        // binomial(p, i) a^i b^j of both points.
        let mut truth = 0.0;
        for (p, binomial) in [(1, 3.0), (2, 3.0), (3, 1.0)] {
            for i in 0..=p {
                let ways = match (p, i) {
                    (2, 1) => 2.0,
                    (3, 1 | 2) => 3.0,
                    _ => 1.0,
                };
                let [x, y] = [0.0, m].map(|mean| moment(mean, i) * moment(mean, p - i));
                truth += binomial / 2f64.powi(p) * ways * (x - y).powi(2);
            }
        }
        let settings = KidSettings { subsets: 200, points: 200, seed: 3 };
        let found = of(&normal(20_000, 0.0, 5), &normal(20_000, m, 6), &settings);
        let error = found.standard_deviation / (found.subsets as f64).sqrt();
        assert!((found.kid - truth).abs() < 4.0 * error, "{found:?}, truth {truth}");
        assert!(truth > 30.0 * error, "{error} is too large to tell");
    }

    #[test]
    fn subsets_are_halves_at_most() {
        let (x, y) = (normal(40, 0.0, 1), normal(60, 0.0, 2));
        let found = of(&x, &y, &KidSettings::default());
        assert_eq!((found.points, found.subsets), (20, 100));
        assert!(found.standard_deviation > 0.0);
        let [few, wide] = [Sample::new(2, &x[..6]), Sample::new(4, &y)];
        for samples in [[few, few], [Sample::new(2, &x), wide]] {
            assert!(kid(samples, &KidSettings::default(), &mut |_| Ok(())).is_err());
        }
        let large: Vec<f64> = x.iter().map(|v| v * 1e120).collect();
        let samples = [Sample::new(2, &large), Sample::new(2, &y)];
        assert!(kid(samples, &KidSettings::default(), &mut |_| Ok(())).is_err());
    }

    #[test]
    fn the_difference_takes_the_same_points() {
        let [z, a, b] = [(0.0, 1), (0.3, 2), (0.9, 3)].map(|(mean, seed)| normal(400, mean, seed));
        let samples = [&z, &a, &b].map(|values| Sample::new(2, values));
        let settings = KidSettings { points: 100, ..KidSettings::default() };
        let found = relative_kid(samples, &settings, &mut |_| Ok(())).expect("values");
        assert_eq!(found.a, kid([samples[0], samples[1]], &settings, &mut |_| Ok(())).expect("a value"));
        assert!((found.difference.kid - (found.a.kid - found.b.kid)).abs() < 1e-12);
        // Nearly constant A and B leave the points of Z as all that scatters, and these are the same.
        let near = |mean: f64| normal(400, 0.0, 4).iter().map(|v| mean + 1e-3 * v).collect::<Vec<f64>>();
        let (a, b) = (near(0.5), near(0.52));
        let samples = [&z, &a, &b].map(|values| Sample::new(2, values));
        let RelativeKid { a, b, difference } =
            relative_kid(samples, &settings, &mut |_| Ok(())).expect("values");
        let apart = a.standard_deviation.hypot(b.standard_deviation);
        assert!(difference.standard_deviation < 0.2 * apart, "{difference:?}, {apart}");
    }
}
