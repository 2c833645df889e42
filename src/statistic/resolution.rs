//! Whether 32-bit numbers resolve the points of a pass beside its kernel, and what is done where they do not.
//!
//! ```text
//! a point at distance r from the centre is rounded by about r 2^-24
//!
//! bounded kernels   its values with points near it change by that, in bandwidths, and by no more than 1; with points
//!                   that are not near it, they are 0 or change relatively
//! energy            all its distances change by that, and are wanted beside the distances of close points
//! ```
//!
//! Roundings are independent of each other, so the error of a mean over pairs is the root of the sum of their squares.
//! Points that fail are centred on medians, which no outlier moves; then, for kernels that fall off exponentially, gaps
//! that nothing lies in are closed up ([`close_gaps`]); what fails still is summed in f64 ([`super::precise`]).

use crate::kernel::pairs::norm;
use crate::random::{Sequence, Stream};
use rayon::prelude::*;

/// Half a unit in the last place of a 32-bit number near 1.
const ROUNDING: f64 = 1.0 / (1 << 24) as f64;

/// Most error of a mean kernel value of a bounded kernel, if all values changed as fast with distance as they can. They
/// change ten times less in the mean, and the contract is 1e-8.
pub(super) const MOST_ERROR: f64 = 1e-7;

/// The same where it is that or sums in f64 that take long. A bandwidth of a 700th of the points' spread is as good.
pub(super) const MOST_ERROR_OF_MANY: f64 = 1e-6;

/// More points than this are many: sums over the pairs of fewer take no time in f64 either.
pub(super) const MANY: usize = 1000;

/// A point that is rounded by more than this, in bandwidths, has lost its place among points near it.
const LOST: f64 = 1e-3;

/// Most error of a mean distance, in distances of points from their centre.
const MOST_OF_DISTANCE: f64 = 2e-8;

/// Energy: if most points are within this many distances of close points, their distances have five digits or more.
const MOST_SPREAD: f64 = 256.0;

/// The shares of pairs and of points that count as close, and as most.
const CLOSE: f64 = 0.1;
const MOST: f64 = 0.95;

/// The error of a mean value of a bounded kernel, infinite where points near each other are lost: `norms` are distances
/// from the centre, in the smallest bandwidth.
pub(super) fn error_of_kernel(norms: &[f64]) -> f64 {
    let n = norms.len() as f64;
    let mut sorted = norms.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    // Only points at least half as far out can be near a point.
    let mut first = 0;
    let mut squares = 0.0;
    for (i, &norm) in sorted.iter().enumerate() {
        while sorted[first] < 0.5 * norm {
            first += 1;
        }
        // All that are further out, and from the first on those before it.
        let partners = (sorted.len() - 1 - first.min(i)) as f64;
        if norm * ROUNDING > LOST && partners > 0.0 {
            return f64::INFINITY;
        }
        squares += ((norm * ROUNDING).min(1.0) * partners / (n * n)).powi(2);
    }
    squares.sqrt()
}

/// Whether distances themselves are right, and so are sums of them in which the largest cancel: `norms` are distances
/// from the centre, `close` a distance of close points.
pub(super) fn resolves_distances(norms: &[f64], close: f64) -> bool {
    let n = norms.len() as f64;
    let typical = median_above_0(norms.to_vec());
    let error = norm(norms.iter().map(|norm| norm / n)) * ROUNDING;
    error <= MOST_OF_DISTANCE * typical && resolves_most(norms, close)
}

/// Whether the distances of most pairs are right: those of a few far points have no part in a median.
pub(super) fn resolves_most(norms: &[f64], close: f64) -> bool {
    quantile(norms.to_vec(), MOST) <= MOST_SPREAD * close
}

/// A distance of close points: of each with another one in a random order, the smaller ones, but not 0.
pub(super) fn close_distance(count: usize, distance: impl Fn(usize, usize) -> f64) -> f64 {
    let order = Sequence::new(0, Stream::Subsample, 1).order(count);
    let next = |i: usize| order[(i + 1) % count];
    let pairs = (0..count).map(|i| distance(order[i], next(i))).filter(|distance| *distance > 0.0);
    quantile(pairs.collect(), CLOSE)
}

/// A quantile, 0 to 1, the lower one of two; 0 of nothing.
pub(super) fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    let rank = (share * last as f64) as usize;
    *values.select_nth_unstable_by(rank, f64::total_cmp).1
}

/// The median of those that are not 0: many points may lie at the centre itself.
pub(super) fn median_above_0(values: Vec<f64>) -> f64 {
    quantile(values.into_iter().filter(|value| *value > 0.0).collect(), 0.5)
}

/// The median of each coordinate of points `(n, d)`.
pub(super) fn medians(points: &[f64], d: usize) -> Vec<f64> {
    let column = |k: usize| quantile(points.iter().skip(k).step_by(d).copied().collect(), 0.5);
    (0..d).into_par_iter().map(column).collect()
}

/// Shrinks each gap between neighbouring values of a coordinate that is larger than its `most` to exactly that.
///
/// Points on one side of a gap keep all their differences. Those on both sides were further apart than `most` and still
/// are at least that far: where the kernel is 0 from there on, no value changes.
pub(super) fn close_gaps(points: &mut [f64], most: &[f64]) {
    let d = most.len();
    for (k, &most) in most.iter().enumerate() {
        let mut column: Vec<(f64, usize)> =
            points.iter().skip(k).step_by(d).copied().enumerate().map(|(i, v)| (v, i)).collect();
        column.sort_by(|a, b| a.0.total_cmp(&b.0));
        // From the middle outwards: values around it stay as they are.
        let middle = column.len() / 2;
        let start = column.get(middle).map_or(0.0, |(value, _)| *value);
        let mut walk = |values: &mut dyn Iterator<Item = &(f64, usize)>, sign: f64| {
            let (mut last, mut closed) = (start, start);
            // The part of a run between two gaps that is as it was.
            let mut first_of_run = (start, start);
            for &(value, i) in values {
                if sign * (value - last) > most {
                    closed += sign * most;
                    first_of_run = (value, closed);
                } else {
                    closed = first_of_run.1 + (value - first_of_run.0);
                }
                last = value;
                points[i * d + k] = closed;
            }
        };
        walk(&mut column[middle..].iter(), 1.0);
        walk(&mut column[..middle].iter().rev(), -1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hand-made: of a far point alone nothing is lost, of two far points their distance.
    #[test]
    fn far_points_count_where_others_are_near_them() {
        let near = vec![1.0; 58];
        let resolves_kernel = |norms: &[f64]| error_of_kernel(norms) <= MOST_ERROR;
        assert!(resolves_kernel(&[&near[..], &[1.0, 1e10]].concat()), "one far point has no neighbour");
        assert!(!resolves_kernel(&[&near[..], &[1e10, 1e10]].concat()), "two of them may be neighbours");
        assert!(!resolves_kernel(&[&near[..30], &[1e8; 30]].concat()), "two clusters");
        assert!(error_of_kernel(&[1e8; 2000]) > MOST_ERROR_OF_MANY, "many points");
        assert!(resolves_kernel(&[1e300]), "a point alone has no distances");
        assert!(resolves_distances(&near, 0.2), "ordinary points");
        assert!(
            !resolves_distances(&[&near[..], &[1e4]].concat(), 0.2),
            "all distances of a far point count"
        );
        assert!(!resolves_distances(&[1e8; 60], 1.0), "two clusters, seen from the middle");
        assert!(resolves_most(&[&near[..], &[1e4]].concat(), 0.2), "but a median is no mean");
    }

    #[test]
    fn closed_gaps_keep_all_other_differences() {
        // Two coordinates: the second has no gap.
        let mut points = [0.0, 1.0, 1e10, 2.0, 1.5, 3.0, 1e10 + 2.0, 4.0, -1e5, 5.0, 2.0, 6.0];
        let second: Vec<f64> = points.iter().skip(1).step_by(2).copied().collect();
        close_gaps(&mut points, &[10.0, 10.0]);
        let first: Vec<f64> = points.iter().step_by(2).copied().collect();
        assert_eq!(first, [0.0, 12.0, 1.5, 14.0, -10.0, 2.0]);
        assert_eq!(points.iter().skip(1).step_by(2).copied().collect::<Vec<_>>(), second);
    }

    #[test]
    fn quantiles_are_ranks() {
        assert_eq!(quantile(vec![3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(quantile(vec![3.0, 1.0, 2.0, 4.0], 0.5), 2.0, "the lower one of two");
        assert_eq!(quantile(vec![5.0, 1.0], 1.0), 5.0);
        assert_eq!(quantile(Vec::new(), 0.5), 0.0);
    }
}
