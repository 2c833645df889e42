//! Distances to the k-th nearest point, and how many points lie within a distance: exact, in any dimension.
//!
//! ```text
//! points sorted by their first coordinate, in blocks of LANES    | 0 | 1 | 2 | 3 | 4 | 5 |
//! queries sorted too, in groups of neighbours                              ^
//! walk from the group outwards, the nearer block first               <---- . ---->
//! end: the next block's gap in the first coordinate reaches as far as any query of the group looks
//! ```
//!
//! For d = 1 that is a few blocks a query, for d = 2 about the square root of all; by d = 10 it is nearly all of them,
//! and the walk is plain brute force with a block and a group in the cache. A k-d tree would prune better in between,
//! but those of the crates fix d when they are compiled and refuse many points with one equal coordinate, and each
//! marginal space of a mutual information would need a tree of its own.

use multiversion::multiversion;
use rayon::prelude::*;

/// Points of a block: distances to them are computed side by side.
const LANES: usize = 32;

/// Queries that walk together, so that a block of wide points is read from memory once for all of them.
const GROUP: usize = 8;

/// How a distance is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Norm {
    /// Square root of the sum of squares; the search itself goes by squares.
    Euclidean,
    /// The largest |difference| of a coordinate.
    Maximum,
}

/// Points ready to be searched.
pub(super) struct Searchable {
    d: usize,
    norm: Norm,
    /// `(blocks, d, LANES)`; the last block is filled up with infinity.
    blocks: Vec<f64>,
    /// The least and the largest first coordinate of each block.
    bounds: Vec<[f64; 2]>,
}

/// A query on its walk.
struct Query<S> {
    /// Its row.
    row: usize,
    /// Distances or counts found so far.
    state: S,
    /// Points as far away as this, or farther, do not matter to it.
    reach: f64,
}

/// From a point to each one of a block: squared for the Euclidean norm.
#[multiversion(targets = "simd")]
fn distances(point: &[f64], block: &[f64], norm: Norm) -> [f64; LANES] {
    let mut distances = [0.0; LANES];
    let columns = block.as_chunks::<LANES>().0;
    match norm {
        Norm::Euclidean => {
            for (p, column) in point.iter().zip(columns) {
                for (distance, c) in distances.iter_mut().zip(column) {
                    *distance += (p - c) * (p - c);
                }
            }
        }
        Norm::Maximum => {
            for (p, column) in point.iter().zip(columns) {
                for (distance, c) in distances.iter_mut().zip(column) {
                    let t = (p - c).abs();
                    *distance = if t > *distance { t } else { *distance };
                }
            }
        }
    }
    distances
}

/// Rows of `d` values in the order of their first one.
fn by_first_coordinate(values: &[f64], d: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len() / d).collect();
    order.sort_by(|&i, &j| values[i * d].total_cmp(&values[j * d]));
    order
}

impl Searchable {
    /// Points `(n, d)`, n at least 1.
    pub(super) fn new(values: &[f64], d: usize, norm: Norm) -> Self {
        let order = by_first_coordinate(values, d);
        let block_of = |rows: &[usize]| {
            let mut block = vec![f64::INFINITY; d * LANES];
            for (lane, row) in rows.iter().enumerate() {
                for (f, value) in values[row * d..][..d].iter().enumerate() {
                    block[f * LANES + lane] = *value;
                }
            }
            block
        };
        let bounds = |rows: &[usize]| [rows[0], rows[rows.len() - 1]].map(|row| values[row * d]);
        Self {
            d,
            norm,
            blocks: order.chunks(LANES).flat_map(block_of).collect(),
            bounds: order.chunks(LANES).map(bounds).collect(),
        }
    }

    /// The distance from each query to its k-th nearest point, `(queries)`; k from 1 to n. A query that is among
    /// the points is its own nearest.
    pub(super) fn kth(&self, queries: &[f64], k: usize) -> Vec<f64> {
        let nearest = |_| (vec![f64::INFINITY; k], f64::INFINITY);
        let see = |nearest: &mut Vec<f64>, distances: &[f64; LANES]| {
            for &distance in distances {
                if distance < nearest[k - 1] {
                    let place = nearest.partition_point(|&other| other <= distance);
                    nearest[place..].rotate_right(1);
                    nearest[place] = distance;
                }
            }
            nearest[k - 1]
        };
        let found = self.walk(queries, nearest, see).into_iter().map(|nearest| nearest[k - 1]);
        match self.norm {
            Norm::Euclidean => found.map(f64::sqrt).collect(),
            Norm::Maximum => found.collect(),
        }
    }

    /// How many points are nearer to each query than its radius in the maximum norm, `(queries)`; a query that is
    /// among the points counts itself.
    pub(super) fn nearer(&self, queries: &[f64], radii: &[f64]) -> Vec<usize> {
        debug_assert_eq!(self.norm, Norm::Maximum, "squares of radii would round");
        let start = |row| ((0, radii[row]), radii[row]);
        let see = |(count, radius): &mut (usize, f64), distances: &[f64; LANES]| {
            *count += distances.iter().filter(|distance| *distance < radius).count();
            *radius
        };
        self.walk(queries, start, see).into_iter().map(|(count, _)| count).collect()
    }

    /// Shows each query the blocks that may matter to it. `start(row)` gives a query's state and reach,
    /// `see(state, distances)` its new reach.
    fn walk<S: Send>(
        &self,
        queries: &[f64],
        start: impl Fn(usize) -> (S, f64) + Sync,
        see: impl Fn(&mut S, &[f64; LANES]) -> f64 + Sync,
    ) -> Vec<S> {
        let d = self.d;
        let order = by_first_coordinate(queries, d);
        // Rounding keeps the order of numbers, so no distance is below the gap in one coordinate.
        let measure = |gap: f64| match self.norm {
            Norm::Euclidean => gap * gap,
            Norm::Maximum => gap,
        };
        let gap = |block: usize, [low, high]: [f64; 2]| {
            let [least, largest] = self.bounds[block];
            measure((least - high).max(low - largest).max(0.0))
        };
        let walk = |rows: &[usize]| {
            let begin = |&row: &usize| {
                let (state, reach) = start(row);
                Query { row, state, reach }
            };
            let mut group: Vec<Query<S>> = rows.iter().map(begin).collect();
            let range = [rows[0], rows[rows.len() - 1]].map(|row| queries[row * d]);
            // Blocks `left..right` have been seen.
            let mut left = self.bounds.partition_point(|[_, largest]| *largest < range[0]);
            let mut right = left;
            loop {
                let gap_left = if left > 0 { gap(left - 1, range) } else { f64::INFINITY };
                let gap_right = if right < self.bounds.len() { gap(right, range) } else { f64::INFINITY };
                let reach = group.iter().map(|query| query.reach).fold(0.0, f64::max);
                if gap_left.min(gap_right) >= reach {
                    return group;
                }
                let block = if gap_left < gap_right {
                    left -= 1;
                    left
                } else {
                    right += 1;
                    right - 1
                };
                let values = &self.blocks[block * d * LANES..][..d * LANES];
                for query in &mut group {
                    let point = &queries[query.row * d..][..d];
                    if gap(block, [point[0]; 2]) < query.reach {
                        query.reach = see(&mut query.state, &distances(point, values, self.norm));
                    }
                }
            }
        };
        let mut found: Vec<Query<S>> = order.par_chunks(GROUP).flat_map_iter(walk).collect();
        found.sort_by_key(|query| query.row);
        found.into_iter().map(|query| query.state).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Sequence, Stream};

    /// Against sorted lists of all distances, to the last bit: both round alike. Coordinates rounded to tenths bring
    /// equal distances and equal points.
    #[test]
    fn the_walk_finds_what_a_sorted_list_of_all_distances_has() {
        for (n, queries, d, tenths) in [
            (1, 3, 1, false),
            (33, 40, 1, true),
            (257, 100, 2, false),
            (300, 9, 3, true),
            (100, 70, 13, false),
        ] {
            let mut random = Sequence::new(0, Stream::Data, n);
            let mut draw = |count| -> Vec<f64> {
                let value = |z: f64| if tenths { (10.0 * z).round() / 10.0 } else { z };
                (0..count).map(|_| value(random.normal_f64())).collect()
            };
            let (points, queries) = (draw(n as usize * d), draw(queries * d));
            for norm in [Norm::Euclidean, Norm::Maximum] {
                let distance = |a: &[f64], b: &[f64]| {
                    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
                    match norm {
                        Norm::Euclidean => differences.fold(0.0, |sum, t| sum + t * t).sqrt(),
                        Norm::Maximum => differences.fold(0.0, f64::max),
                    }
                };
                let lists: Vec<Vec<f64>> = queries
                    .chunks_exact(d)
                    .map(|query| {
                        let mut list: Vec<f64> =
                            points.chunks_exact(d).map(|point| distance(query, point)).collect();
                        list.sort_by(f64::total_cmp);
                        list
                    })
                    .collect();
                let search = Searchable::new(&points, d, norm);
                for k in [1, 2, 7, n as usize].into_iter().filter(|&k| k <= n as usize) {
                    let expected: Vec<f64> = lists.iter().map(|list| list[k - 1]).collect();
                    assert_eq!(search.kth(&queries, k), expected, "n {n}, d {d}, {norm:?}, k {k}");
                }
                if norm == Norm::Maximum {
                    // A radius that is one of the distances: that point is not nearer.
                    let radii: Vec<f64> = lists.iter().map(|list| list[list.len() / 2]).collect();
                    let expected: Vec<usize> = lists
                        .iter()
                        .zip(&radii)
                        .map(|(list, radius)| list.partition_point(|other| other < radius))
                        .collect();
                    assert_eq!(search.nearer(&queries, &radii), expected, "n {n}, d {d}");
                }
            }
        }
    }
}
