//! Tables column by column: one scale for all of them, and which of them moved.
//!
//! The distances of a table whose columns have different units are those of the column with the largest numbers. Divided
//! by the interquartile range of both samples together, each column counts alike; the divisor does not depend on which
//! row belongs to which sample, so that permutations stay exact.

use super::Sample;
use super::p_value::gamma_tail;
use crate::data::table::CategoryColumn;
use serde::{Deserialize, Serialize};

/// Terms of the series of the Kolmogorov distribution: the last one is below 1e-16 from [`SERIES_FROM`] on.
const TERMS: usize = 100;

/// Below this, the Kolmogorov distribution function is 0 to f64, and its series slow.
const SERIES_FROM: f64 = 0.1;

/// Fewest rows of a class that the chi-squared test expects in a sample (Cochran 1954).
const LEAST_EXPECTED: f64 = 5.0;

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
    /// Its number, counted from 0.
    #[serde(skip)]
    pub column: usize,
    /// How far.
    #[serde(flatten)]
    pub moved: Moved,
    /// The p-value: by Kolmogorov's distribution, too large where values are tied; by the chi-squared distribution for classes.
    pub p_value: f64,
    /// Corrected for the number of columns (Holm 1979).
    pub p_corrected: f64,
}

/// A distance of the values of a column in two samples, and what is typical in each.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Moved {
    /// Of numbers.
    Numbers {
        /// The Kolmogorov-Smirnov statistic: the largest difference of the distribution functions, 0 to 1.
        ks: f64,
        /// The median of X.
        median_x: f64,
        /// The median of Y.
        median_y: f64,
    },
    /// Of classes.
    Classes {
        /// Total variation: half the sum over classes of the differences of their shares, 0 to 1.
        total_variation: f64,
        /// The class whose share differs the most.
        class: String,
        /// Its share of X.
        share_x: f64,
        /// Its share of Y.
        share_y: f64,
    },
}

/// The test of each column, the smallest p-value first: Kolmogorov's and Smirnov's for numbers, the chi-squared test for the
/// classes of `categories`.
pub fn shifts([x, y]: [Sample<'_>; 2], names: &[String], categories: &[CategoryColumn]) -> Vec<ColumnShift> {
    let of_column = |(column, name): (usize, &String)| {
        let (moved, p_value) = match categories.iter().find(|category| category.column == column) {
            Some(category) => classes_moved([x, y], category),
            None => {
                let [x, y] = [x, y].map(|sample| sorted(&[sample], column));
                let ks = kolmogorov_smirnov(&x, &y);
                let p_value = kolmogorov_tail(ks, [x.len(), y.len()]);
                let [median_x, median_y] = [x, y].map(|sorted| quantile(&sorted, 0.5));
                (Moved::Numbers { ks, median_x, median_y }, p_value)
            }
        };
        ColumnShift { name: name.clone(), column, moved, p_value, p_corrected: p_value }
    };
    let mut shifts: Vec<ColumnShift> = names.iter().enumerate().map(of_column).collect();
    shifts.sort_by(|a, b| a.p_value.total_cmp(&b.p_value));
    let count = shifts.len();
    let mut least: f64 = 0.0;
    for (i, shift) in shifts.iter_mut().enumerate() {
        least = least.max(shift.p_value * (count - i) as f64).min(1.0);
        shift.p_corrected = least;
    }
    shifts
}

/// How far the classes of a column moved, and the p-value of the chi-squared test that their shares are equal. Classes are
/// joined, the rarest first, until at least [`LEAST_EXPECTED`] rows of each are expected in either sample.
fn classes_moved(samples: [Sample<'_>; 2], category: &CategoryColumn) -> (Moved, f64) {
    let counts = samples.map(|sample| {
        let mut counts = vec![0.0; category.classes.len()];
        (0..sample.len()).for_each(|row| counts[sample.point(row)[category.column] as usize] += 1.0);
        counts
    });
    let totals = counts.each_ref().map(|counts| counts.iter().sum::<f64>());
    let shares = |class: usize| [counts[0][class] / totals[0], counts[1][class] / totals[1]];
    let difference = |class: usize| (shares(class)[0] - shares(class)[1]).abs();
    let classes = 0..category.classes.len();
    let total_variation = 0.5 * classes.clone().map(difference).sum::<f64>();
    let largest = classes.clone().max_by(|&a, &b| difference(a).total_cmp(&difference(b))).unwrap_or(0);
    let [share_x, share_y] = shares(largest);

    // Rare classes are joined with the next rarer ones.
    let least = totals[0].min(totals[1]) / (totals[0] + totals[1]);
    let expected = |cell: &[f64; 2]| (cell[0] + cell[1]) * least;
    let mut cells: Vec<[f64; 2]> = classes.map(|class| [counts[0][class], counts[1][class]]).collect();
    cells.retain(|cell| *cell != [0.0; 2]);
    cells.sort_by(|a, b| expected(b).total_cmp(&expected(a)));
    while cells.len() > 1 && cells.last().is_some_and(|cell| expected(cell) < LEAST_EXPECTED) {
        if let (Some(rare), Some(next)) = (cells.pop(), cells.last_mut()) {
            *next = [next[0] + rare[0], next[1] + rare[1]];
        }
    }
    let term = |cell: &[f64; 2]| {
        let share = (cell[0] + cell[1]) / (totals[0] + totals[1]);
        (0..2)
            .map(|which| (cell[which] - share * totals[which]).powi(2) / (share * totals[which]))
            .sum::<f64>()
    };
    let squares: f64 = cells.iter().map(term).sum();
    let p_value = match cells.len() {
        0 | 1 => 1.0,
        classes => gamma_tail((classes - 1) as f64 / 2.0, squares / 2.0).clamp(f64::MIN_POSITIVE, 1.0),
    };
    (Moved::Classes { total_variation, class: category.class(largest).into(), share_x, share_y }, p_value)
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
        let shifts = shifts([Sample::new(3, &x), Sample::new(3, &y)], &names, &[]);
        assert_eq!(shifts[0].name, "b");
        let Moved::Numbers { ks, median_x, median_y } = shifts[0].moved else { panic!("{shifts:?}") };
        assert!((ks - 0.4).abs() < 1e-12, "{shifts:?}");
        assert_eq!((median_x, median_y), (49.5, 89.5));
        assert_eq!(shifts[0].p_corrected, 3.0 * shifts[0].p_value);
        assert!(shifts[1].p_corrected == 1.0 && shifts[2].p_corrected == 1.0);
    }

    #[test]
    fn shares_of_classes_are_compared() {
        let column = |counts: [usize; 4]| -> Vec<f64> {
            (0..4).flat_map(|class| vec![class as f64; counts[class]]).collect()
        };
        let classes = ["a", "b", "", "rare"].map(String::from).to_vec();
        let category = CategoryColumn { column: 0, classes };
        let moved = |x: [usize; 4], y: [usize; 4]| {
            let (x, y) = (column(x), column(y));
            classes_moved([Sample::new(1, &x), Sample::new(1, &y)], &category)
        };
        let (found, p) = moved([30, 20, 50, 0], [50, 20, 30, 0]);
        let Moved::Classes { total_variation, class, share_x, share_y } = found else { panic!("classes") };
        assert!((total_variation - 0.2).abs() < 1e-12 && ["a", "(missing)"].contains(&&*class));
        assert!((share_x - share_y).abs() > 0.19);
        // Chi-squared 10 with 2 degrees of freedom: e^-5.
        assert!((p / (-5.0f64).exp() - 1.0).abs() < 1e-9, "{p}");
        assert_eq!(moved([10, 10, 10, 0], [20, 20, 20, 0]).1, 1.0);
        // One row of a new class among 20 is no news.
        assert!(moved([510, 490, 0, 0], [9, 10, 0, 1]).1 > 0.05);
        assert_eq!(moved([3, 0, 0, 1], [2, 1, 0, 0]).1, 1.0, "too few rows to say anything");
    }
}
