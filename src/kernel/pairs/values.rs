//! Values of the kernel function, or of what takes its place, between two blocks of points on the CPU.

use super::Pairs;
use super::family::{Family, kernel_values, stein_values};
use super::function::{Combination, Second, Value};
use super::lanes::{Group, LANES, multiply_add};
use super::layout::{Tile, UNLIMITED};
use crate::memory::Memory;
use multiversion::multiversion;
use multiversion::target::target_cfg_f;

/// Coordinates of two groups of points that stay in the first-level cache together.
pub(super) const NEAR: usize = 128;

/// Memory of one thread for a tile: numbers of one group of rows, used while they are in the first-level cache.
#[derive(Default)]
pub(super) struct Scratch {
    /// Distances, and what else kernels have in common.
    shared: Memory,
    /// Values of one of several kernels.
    values: Memory,
}

/// A kernel function as the CPU computes it: its scales, and their rates as [`exponentials`] wants them.
#[derive(Clone, Copy)]
struct Scales<'a> {
    scales: &'a [f32],
    rates: &'a [[f32; 2]],
}

impl<'a> Scales<'a> {
    fn split(self, at: usize) -> [Self; 2] {
        let ((s, more_s), (r, more_r)): ((&'a _, &'a _), (&'a _, &'a _)) =
            (self.scales.split_at(at), self.rates.split_at(at));
        [Self { scales: s, rates: r }, Self { scales: more_s, rates: more_r }]
    }
}

impl Pairs {
    /// k less its centre between the rows and columns of a tile, a group of rows at a time: `each` gets the number of
    /// the kernel, the first row and the values, `(rows, width)`, with 0 in the columns that are padding or out of
    /// reach. There are as many kernels as `scales` has scales for; they share all distances.
    pub(super) fn values(
        &self,
        [rows, columns, scales]: [&[f32]; 3],
        tile: &Tile,
        scratch: &mut Scratch,
        mut each: impl FnMut(usize, usize, &[f32]),
    ) {
        let rates: Vec<[f32; 2]> = scales.iter().map(|scale| [-scale, -127.0 / scale]).collect();
        let len = self.function.scales_len();
        let kernels: Vec<Scales<'_>> = (scales.chunks_exact(len).zip(rates.chunks_exact(len)))
            .map(|(scales, rates)| Scales { scales, rates })
            .collect();
        let inputs = [rows, columns];
        let mut finished = |kernel: usize, first: usize, strip: &mut [f32]| {
            for (r, row) in strip.chunks_exact_mut(tile.width()).enumerate() {
                row[tile.columns..].fill(0.0);
                if self.layout.reach < UNLIMITED {
                    let near = self.layout.columns_in_reach(tile, first + r);
                    row[..near.start].fill(0.0);
                    row[near.end..].fill(0.0);
                }
                if tile.i == tile.j {
                    row[first + r] = 0.0;
                }
            }
            each(kernel, first, strip);
        };
        let Scratch { shared, values } = scratch;
        match self.function.value {
            Value::Kernel => self.strips(inputs, tile, shared, |first, distances| {
                for_each(&kernels, distances, values, |kernel, Scales { scales, rates }, strip| {
                    kernel_values(self.function.family, strip, scales, rates);
                    finished(kernel, first, strip);
                });
            }),
            Value::Stein => self.stein(inputs, &kernels, tile, [shared, values], finished),
            Value::Paired | Value::Dependence => {
                self.paired(inputs, &kernels, tile, [shared, values], finished);
            }
        }
    }

    /// The Stein kernel, as [`Pairs::values`] gives it.
    fn stein(
        &self,
        [rows, columns]: [&[f32]; 2],
        kernels: &[Scales<'_>],
        tile: &Tile,
        [shared, values]: [&mut Memory; 2],
        mut each: impl FnMut(usize, usize, &mut [f32]),
    ) {
        let (stride, width) = (self.function.stride(), tile.width());
        let columns = groups(columns, stride, tile.first_column, tile.columns);
        shared.resize(3 * LANES * width);
        for (i, rows) in groups(rows, stride, tile.first_row, tile.rows).chunks_exact(stride).enumerate() {
            let (distances, rest) = shared.get_mut().split_at_mut(LANES * width);
            let (scores, mixed) = rest.split_at_mut(LANES * width);
            stein_sums(rows, columns, self.function.d, [&mut *distances, &mut *scores, &mut *mixed]);
            let count = LANES.min(tile.rows - i * LANES);
            for_each(kernels, distances, values, |kernel, Scales { scales, rates }, strip| {
                stein_values(self.function.family, strip, [scores, mixed], self.function.d, scales, rates);
                each(kernel, i * LANES, &mut strip[..count * width]);
            });
        }
    }

    /// The differences of paired points, as [`Pairs::values`] gives them.
    fn paired(
        &self,
        [rows, columns]: [&[f32]; 2],
        kernels: &[Scales<'_>],
        tile: &Tile,
        [shared, values]: [&mut Memory; 2],
        mut each: impl FnMut(usize, usize, &mut [f32]),
    ) {
        let (stride, width) = (self.function.stride(), tile.width());
        let columns = groups(columns, stride, tile.first_column, tile.columns);
        let second = (self.function.value == Value::Dependence).then(|| self.function.second());
        let strip = LANES * width;
        // Of each variable four distances, which a single kernel takes one after the other.
        let kept = if kernels.len() > 1 { 4 } else { 1 };
        shared.resize(2 * kept * strip);
        values.resize(3 * strip);
        for (i, rows) in groups(rows, stride, tile.first_row, tile.rows).chunks_exact(stride).enumerate() {
            let items = [rows, columns];
            let (of_first, of_second) = shared.get_mut().split_at_mut(kept * strip);
            if kept > 1 {
                self.four_distances(self.function.family, items, [0, self.function.d], of_first);
                if let Some(Second { d, family, .. }) = second {
                    self.four_distances(family, items, [2 * self.function.d, d], of_second);
                }
            }
            for (kernel, scales) in kernels.iter().enumerate() {
                let [own, others] = scales.split(self.function.bandwidths);
                let (sums, rest) = values.get_mut().split_at_mut(strip);
                let (factors, work) = rest.split_at_mut(strip);
                self.differences(
                    self.function.family,
                    items,
                    [0, self.function.d],
                    own,
                    of_first,
                    [&mut *sums, &mut *work],
                );
                if let Some(Second { d, family, .. }) = second {
                    self.differences(
                        family,
                        items,
                        [2 * self.function.d, d],
                        others,
                        of_second,
                        [&mut *factors, work],
                    );
                    sums.iter_mut().zip(&*factors).for_each(|(sum, factor)| *sum *= 0.25 * factor);
                }
                let count = LANES.min(tile.rows - i * LANES);
                each(kernel, i * LANES, &mut sums[..count * width]);
            }
        }
    }

    /// The distances of a group of rows and all columns, whose two points of d numbers start at number `at`: those of
    /// [`PAIRED`], one after the other.
    fn four_distances(
        &self,
        family: Family,
        items: [&[Group]; 2],
        [at, d]: [usize; 2],
        distances: &mut [f32],
    ) {
        let len = distances.len() / PAIRED.len();
        for (which, strip) in PAIRED.iter().zip(distances.chunks_exact_mut(len)) {
            self.distances_of(family, items, [at, d], *which, strip);
        }
    }

    /// The distances of one of [`PAIRED`].
    fn distances_of(
        &self,
        family: Family,
        [rows, columns]: [&[Group]; 2],
        [at, d]: [usize; 2],
        (x, z, _): (usize, usize, f32),
        strip: &mut [f32],
    ) {
        let (rows, place) = (&rows[at + x * d..], [at + z * d, d]);
        if family.adds_magnitudes() {
            add_up::<ABSOLUTE>(rows, columns, self.function.stride(), place, strip);
        } else {
            add_up::<SQUARED>(rows, columns, self.function.stride(), place, strip);
        }
    }

    /// k(x, x') + k(y, y') - k(x, y') - k(y, x') of a group of rows and all columns, whose two points of d numbers
    /// start at number `at`; `distances` are the four if they are kept.
    fn differences(
        &self,
        family: Family,
        items: [&[Group]; 2],
        place: [usize; 2],
        Scales { scales, rates }: Scales<'_>,
        distances: &[f32],
        [sums, work]: [&mut [f32]; 2],
    ) {
        sums.fill(0.0);
        let len = work.len();
        for (which, pair) in PAIRED.into_iter().enumerate() {
            match distances.get(which * len..(which + 1) * len).filter(|_| distances.len() > len) {
                Some(distances) => work.copy_from_slice(distances),
                None => self.distances_of(family, items, place, pair, work),
            }
            kernel_values(family, work, scales, rates);
            let (_, _, sign) = pair;
            sums.iter_mut().zip(&*work).for_each(|(sum, k)| *sum += sign * k);
        }
    }

    /// Distances between the rows and columns of a tile, squared unless the family wants sums of magnitudes, in
    /// the same way.
    pub(super) fn distances(
        &self,
        inputs: [&[f32]; 2],
        tile: &Tile,
        scratch: &mut Scratch,
        each: impl FnMut(usize, &mut [f32]),
    ) {
        self.strips(inputs, tile, &mut scratch.shared, each);
    }

    fn strips(
        &self,
        [rows, columns]: [&[f32]; 2],
        tile: &Tile,
        memory: &mut Memory,
        mut each: impl FnMut(usize, &mut [f32]),
    ) {
        let (stride, width) = (self.function.stride(), tile.width());
        let columns = groups(columns, stride, tile.first_column, tile.columns);
        memory.resize(LANES * width);
        for (i, rows) in groups(rows, stride, tile.first_row, tile.rows).chunks_exact(stride).enumerate() {
            let strip = memory.get_mut();
            match self.function.combination() {
                Combination::Products => {
                    add_up::<PRODUCTS>(rows, columns, stride, [0, self.function.d], strip);
                    expand(&rows[self.function.d], columns, stride, strip);
                }
                Combination::SquaredDifferences => {
                    add_up::<SQUARED>(rows, columns, stride, [0, self.function.d], strip)
                }
                Combination::AbsoluteDifferences => {
                    add_up::<ABSOLUTE>(rows, columns, stride, [0, self.function.d], strip)
                }
            }
            let count = LANES.min(tile.rows - i * LANES);
            each(i * LANES, &mut strip[..count * width]);
        }
    }
}

/// Which two points of two items are compared, the first or the second of each, and the sign of their kernel value.
const PAIRED: [(usize, usize, f32); 4] = [(0, 0, 1.0), (1, 1, 1.0), (0, 1, -1.0), (1, 0, -1.0)];

/// Calls `each` with every kernel and distances that it may replace: copies of them, but for the last kernel.
fn for_each(
    kernels: &[Scales<'_>],
    distances: &mut [f32],
    memory: &mut Memory,
    mut each: impl FnMut(usize, Scales<'_>, &mut [f32]),
) {
    let Some((last, others)) = kernels.split_last() else { return };
    for (kernel, scales) in others.iter().enumerate() {
        memory.resize(distances.len());
        let copy = &mut memory.get_mut()[..distances.len()];
        copy.copy_from_slice(distances);
        each(kernel, *scales, copy);
    }
    each(others.len(), *last, distances);
}

/// The groups of `count` points from a place on.
fn groups(points: &[f32], stride: usize, first: usize, count: usize) -> &[Group] {
    points[first * stride..][..count.next_multiple_of(LANES) * stride].as_chunks().0
}

/// [`Combination`] as constants.
const PRODUCTS: u8 = Combination::Products as u8;
const SQUARED: u8 = Combination::SquaredDifferences as u8;
const ABSOLUTE: u8 = Combination::AbsoluteDifferences as u8;

/// What a group of rows and groups of columns add up to over d numbers, those of the columns from `z` on,
/// (LANES, width).
#[multiversion(targets = "simd")]
fn add_up<const COMBINE: u8>(
    rows: &[Group],
    columns: &[Group],
    stride: usize,
    [z, d]: [usize; 2],
    sums: &mut [f32],
) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    // As many sums as there are registers, with some left for what is added.
    const WIDE: bool = target_cfg_f!(target_feature = "avx512f");
    const ROWS: usize = if WIDE { 8 } else { 4 };
    const COLUMNS: usize = if WIDE { 32 } else { 16 };
    let width = sums.len() / LANES;
    for (group, columns) in columns.chunks_exact(stride).enumerate() {
        let parts = rows[..d].chunks(NEAR).zip(columns[z..z + d].chunks(NEAR));
        for (part, (rows, columns)) in parts.enumerate() {
            for (i, sums) in sums.chunks_exact_mut(ROWS * width).enumerate() {
                for j in 0..LANES / COLUMNS {
                    let added = in_registers::<COMBINE, FUSED, ROWS, COLUMNS>(rows, columns, [i, j]);
                    for (sums, added) in sums.chunks_exact_mut(width).zip(&added) {
                        let sums = &mut sums[group * LANES + j * COLUMNS..][..COLUMNS];
                        if part == 0 {
                            sums.copy_from_slice(added);
                        } else {
                            sums.iter_mut().zip(added).for_each(|(sum, added)| *sum += added);
                        }
                    }
                }
            }
        }
    }
}

/// The sums over all coordinates of the i-th ROWS of a group of rows and the j-th COLUMNS of one of columns.
#[inline(always)]
fn in_registers<const COMBINE: u8, const FUSED: bool, const ROWS: usize, const COLUMNS: usize>(
    rows: &[Group],
    columns: &[Group],
    [i, j]: [usize; 2],
) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[0.0f32; COLUMNS]; ROWS];
    for (x, z) in rows.iter().zip(columns) {
        let (x, z) = (&x.as_chunks::<ROWS>().0[i], &z.as_chunks::<COLUMNS>().0[j]);
        // In this order the compiler makes vectors of columns and keeps all sums in registers.
        for c in 0..COLUMNS {
            for r in 0..ROWS {
                let t = x[r] - z[c];
                sums[r][c] = if COMBINE == PRODUCTS {
                    multiply_add::<FUSED>(x[r], z[c], sums[r][c])
                } else if COMBINE == SQUARED {
                    multiply_add::<FUSED>(t, t, sums[r][c])
                } else {
                    sums[r][c] + t.abs()
                };
            }
        }
    }
    sums
}

/// |x - x'|^2, s.s' and (s - s').(x - x') of a group of rows and groups of columns, each (LANES, width).
#[multiversion(targets = "simd")]
fn stein_sums(rows: &[Group], columns: &[Group], d: usize, sums: [&mut [f32]; 3]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    const ROWS: usize = 2;
    let width = sums[0].len() / LANES;
    let [distances, scores, mixed] = sums;
    for (group, columns) in columns.chunks_exact(2 * d).enumerate() {
        for first in (0..LANES).step_by(ROWS) {
            let mut all = [[[0.0f32; LANES]; ROWS]; 3];
            for k in 0..d {
                let (x, s) = (&rows[k][first..][..ROWS], &rows[d + k][first..][..ROWS]);
                let (z, t) = (&columns[k], &columns[d + k]);
                for r in 0..ROWS {
                    for c in 0..LANES {
                        let (dx, ds) = (x[r] - z[c], s[r] - t[c]);
                        all[0][r][c] = multiply_add::<FUSED>(dx, dx, all[0][r][c]);
                        all[1][r][c] = multiply_add::<FUSED>(s[r], t[c], all[1][r][c]);
                        all[2][r][c] = multiply_add::<FUSED>(ds, dx, all[2][r][c]);
                    }
                }
            }
            for (to, sums) in [&mut *distances, &mut *scores, &mut *mixed].into_iter().zip(&all) {
                for (r, sums) in sums.iter().enumerate() {
                    to[(first + r) * width + group * LANES..][..LANES].copy_from_slice(sums);
                }
            }
        }
    }
}

/// -2 (dot - |x|^2/2 - |z|^2/2) = |x - z|^2, never negative; the columns' half norms are their last numbers.
#[multiversion(targets = "simd")]
fn expand(half_norms: &Group, columns: &[Group], stride: usize, dots: &mut [f32]) {
    let width = dots.len() / LANES;
    for (dots, half_norm) in dots.chunks_exact_mut(width).zip(half_norms) {
        for (dots, columns) in dots.as_chunks_mut::<LANES>().0.iter_mut().zip(columns.chunks_exact(stride)) {
            for (dot, other) in dots.iter_mut().zip(&columns[stride - 1]) {
                *dot = (-2.0 * (*dot + half_norm + other)).max(0.0);
            }
        }
    }
}
