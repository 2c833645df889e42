//! Tables column by column: one scale for all of them, and which of them moved.
//!
//! The distances of a table whose columns have different units are those of the column with the largest numbers. Divided
//! by the interquartile range of both samples together, each column counts alike; the divisor does not depend on which
//! row belongs to which sample, so that permutations stay exact.

use super::Sample;
use serde::{Deserialize, Serialize};

/// Terms of the series of the Kolmogorov distribution: the last one is below 1e-16 from [`SERIES_FROM`] on.
const TERMS: usize = 100;

/// Below this, the Kolmogorov distribution function is 0 to f64, and its series slow.
const SERIES_FROM: f64 = 0.1;

/// What columns are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnScale {
    /// Each column by its interquartile range, or its standard deviation where that is 0; constant columns are left out
    Robust,
    /// Nothing
    None,
}

/// The scale of each column of all samples together: the interquartile range, or the standard deviation where that is 0;
/// 0 where all values are equal.
pub fn scales(samples: &[Sample<'_>]) -> Vec<f64> {
    let Some(first) = samples.first() else { return Vec::new() };
    (0..first.d).map(|column| scale(&mut sorted(samples, column))).collect()
}

/// All values of a column, sorted.
fn sorted(samples: &[Sample<'_>], column: usize) -> Vec<f64> {
    let mut values: Vec<f64> =
        samples.iter().flat_map(|sample| sample.values[column..].iter().step_by(sample.d)).copied().collect();
    values.sort_by(f64::total_cmp);
    values
}

fn scale(sorted: &mut [f64]) -> f64 {
    let range = quantile(sorted, 0.75) - quantile(sorted, 0.25);
    if range > 0.0 && range.is_finite() {
        return range;
    }
    // In units of the largest, so that no square overflows.
    let largest = sorted.iter().fold(0.0, |largest: f64, v| largest.max(v.abs()));
    if largest == 0.0 || sorted.first() == sorted.last() {
        return 0.0;
    }
    let n = sorted.len() as f64;
    let mean = sorted.iter().map(|v| v / largest / n).sum::<f64>();
    let variance = sorted.iter().map(|v| (v / largest - mean).powi(2) / n).sum::<f64>();
    largest * variance.sqrt()
}

/// A quantile of sorted values, between two of them by their distance (Hyndman and Fan 1996, type 7).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, rest) = (place as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] * (1.0 - rest) + sorted[above] * rest
}

/// How far one column moved between two samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnShift {
    /// Its name.
    pub name: String,
    /// The Kolmogorov-Smirnov statistic: the largest difference of the distribution functions, 0 to 1.
    pub ks: f64,
    /// Its p-value by Kolmogorov's distribution; too large where values are tied.
    pub p_value: f64,
    /// Corrected for the number of columns (Holm 1979).
    pub p_corrected: f64,
    /// The median of X.
    pub median_x: f64,
    /// The median of Y.
    pub median_y: f64,
}

/// The two-sample Kolmogorov-Smirnov test of each column, the smallest p-value first.
pub fn shifts([x, y]: [Sample<'_>; 2], names: &[String]) -> Vec<ColumnShift> {
    let mut shifts: Vec<ColumnShift> = names
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let [x, y] = [x, y].map(|sample| sorted(&[sample], column));
            let ks = kolmogorov_smirnov(&x, &y);
            let p_value = kolmogorov_tail(ks, [x.len(), y.len()]);
            let [median_x, median_y] = [x, y].map(|sorted| quantile(&sorted, 0.5));
            ColumnShift { name: name.clone(), ks, p_value, p_corrected: p_value, median_x, median_y }
        })
        .collect();
    shifts.sort_by(|a, b| a.p_value.total_cmp(&b.p_value));
    let count = shifts.len();
    let mut least: f64 = 0.0;
    for (i, shift) in shifts.iter_mut().enumerate() {
        least = least.max(shift.p_value * (count - i) as f64).min(1.0);
        shift.p_corrected = least;
    }
    shifts
}

/// The largest difference of the distribution functions of two sorted samples.
fn kolmogorov_smirnov(x: &[f64], y: &[f64]) -> f64 {
    let (mut i, mut j, mut largest) = (0, 0, 0.0f64);
    while i < x.len() && j < y.len() {
        let value = x[i].min(y[j]);
        // All of one value go together.
        i += x[i..].iter().take_while(|v| **v == value).count();
        j += y[j..].iter().take_while(|v| **v == value).count();
        largest = largest.max((i as f64 / x.len() as f64 - j as f64 / y.len() as f64).abs());
    }
    largest
}

/// P(D >= d) without a difference: the limit distribution at a sample size corrected by Stephens (1970).
fn kolmogorov_tail(d: f64, [n, m]: [usize; 2]) -> f64 {
    let root = (n as f64 * m as f64 / (n + m) as f64).sqrt();
    let lambda = (root + 0.12 + 0.11 / root) * d;
    if lambda < SERIES_FROM {
        return 1.0;
    }
    let term = |k: usize| {
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * (k as f64 * lambda).powi(2)).exp()
    };
    (1..=TERMS).map(term).sum::<f64>().clamp(f64::MIN_POSITIVE, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_do_not_depend_on_units_or_on_which_sample_a_row_is_of() {
        let values = [1.0, 7.0, 2.0, 7.0, 3.0, 7.0, 4.0, 7.0, 5.0, 9.0];
        let both = scales(&[Sample::new(2, &values)]);
        // Of 1 to 5, the quartiles are 2 and 4; of four 7 and a 9 they are equal, and the deviation is 0.8.
        assert_eq!(both[0], 2.0);
        assert!((both[1] - 0.8).abs() < 1e-12);
        assert_eq!(scales(&[Sample::new(2, &values[..4]), Sample::new(2, &values[4..])]), both);
        for c in [1e-290, 1e290] {
            let scaled = values.map(|v| v * c);
            for (scale, want) in scales(&[Sample::new(2, &scaled)]).iter().zip(&both) {
                assert!((scale / c / want - 1.0).abs() < 1e-12, "{scale}");
            }
        }
        assert_eq!(scales(&[Sample::new(1, &[3.0; 4])]), [0.0]);
    }

    #[test]
    fn kolmogorov_smirnov_is_that_of_the_definition() {
        assert_eq!(kolmogorov_smirnov(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), 0.0);
        assert_eq!(kolmogorov_smirnov(&[1.0, 2.0], &[3.0, 4.0]), 1.0);
        assert_eq!(kolmogorov_smirnov(&[1.0, 1.0, 1.0, 2.0], &[1.0, 2.0, 2.0, 2.0]), 0.5);
    }

    #[test]
    fn tails_are_those_of_tables() {
        // Large samples: critical values of Smirnov's table.
        for (lambda, p) in [(1.2238, 0.10), (1.3581, 0.05), (1.6276, 0.01)] {
            let n = 1_000_000;
            let found = kolmogorov_tail(lambda / (n as f64 / 2.0).sqrt(), [n, n]);
            assert!((found / p - 1.0).abs() < 2e-3, "{lambda}: {found}");
        }
        assert_eq!(kolmogorov_tail(0.0, [10, 10]), 1.0);
        assert!(kolmogorov_tail(1.0, [5000, 5000]) > 0.0);
    }

    #[test]
    fn the_column_that_moved_comes_first_and_all_are_corrected() {
        let rows = |shift: f64| -> Vec<f64> {
            (0..100)
                .flat_map(|i| [f64::from(i * 37 % 100), f64::from(i * 53 % 100) + shift, f64::from(i)])
                .collect()
        };
        let (x, y) = (rows(0.0), rows(40.0));
        let names = ["a", "b", "c"].map(String::from);
        let shifts = shifts([Sample::new(3, &x), Sample::new(3, &y)], &names);
        assert!(shifts[0].name == "b" && (shifts[0].ks - 0.4).abs() < 1e-12, "{shifts:?}");
        assert_eq!((shifts[0].median_x, shifts[0].median_y), (49.5, 89.5));
        assert_eq!(shifts[0].p_corrected, 3.0 * shifts[0].p_value);
        assert!(shifts[1].p_corrected == 1.0 && shifts[2].p_corrected == 1.0);
    }
}
