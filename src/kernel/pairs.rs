//! What the kernels over pairs of points share: where the points lie, which pairs a step takes, and the values
//! of the kernel function k between two blocks of points.
//!
//! ```text
//! points   X: n points, then Y: m points, each sample cut into blocks of `block` points, its last one padded
//! gaussian k(x, z) = sum over bandwidths of exp(-|x - z|_2^2 / (2 sigma^2))     scale = -log2(e) / (2 sigma^2)
//! laplace  k(x, z) = sum of exp(-|x - z|_1 / b)                                 scale = -log2(e) / b
//! imq      k(x, z) = sum of (1 + |x - z|_2^2 / b^2)^(-1/2)                      scale = 1 / b^2
//! energy   k(x, z) = -|x - z|_2                                                 scale = -1
//! ```
//!
//! All but the last are computed less 1/2 a bandwidth, which whoever uses the sums adds again: sums of numbers
//! around 0 round less than sums of numbers around 1/2.
//!
//! A step takes `slab` row blocks, each with all column blocks that come after it: k is symmetric, and no pair
//! is evaluated twice. Rows and columns are two slices of the points, the same one or different ones, so that
//! samples larger than a device's largest buffer go through it slice by slice.

use super::product::{Combine, DEPTH, THREADS, TILE, matrix, matrix_mut, overrides, serial, words};
use crate::numeric::exp2_parts;
use crate::program::{Case, MOST_ITERATIONS, Step};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use serde::{Deserialize, Serialize};

/// Most points of a block: its kernel values with another block stay in a core's second-level cache.
pub const MOST_POINTS: usize = 288;

/// The family of the kernel function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// exp(-|d|_2^2 / (2 sigma^2))
    #[default]
    Gaussian,
    /// exp(-|d|_1 / b)
    Laplace,
    /// Inverse multiquadric, (1 + |d|_2^2 / b^2)^(-1/2)
    Imq,
    /// -|d|_2: MMD^2 is then the energy distance
    Energy,
}

impl Family {
    /// The factor that turns a distance into the argument of k, for a bandwidth.
    pub fn scale(self, bandwidth: f64) -> f64 {
        match self {
            Self::Gaussian => -std::f64::consts::LOG2_E / (2.0 * bandwidth * bandwidth),
            Self::Laplace => -std::f64::consts::LOG2_E / bandwidth,
            Self::Imq => 1.0 / (bandwidth * bandwidth),
            Self::Energy => -1.0,
        }
    }

    /// What is subtracted from each kernel value.
    pub fn centre(self) -> f64 {
        if self == Self::Energy { 0.0 } else { 0.5 }
    }

    /// k of a distance, squared or not as the family wants it.
    pub fn value(self, scale: f64, distance: f64) -> f64 {
        match self {
            Self::Gaussian | Self::Laplace => (scale * distance).exp2(),
            Self::Imq => 1.0 / (1.0 + scale * distance).sqrt(),
            Self::Energy => scale * distance.sqrt(),
        }
    }
}

/// How distances between points are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// From differences of coordinates: always safe.
    Differences,
    /// |x|^2 + |z|^2 - 2 x z, as a matrix product: faster from about 8 coordinates on, and as good while no
    /// point is far from the centre in units of the bandwidth. A point then has one more number,
    /// -|x|^2 / 2.
    Expanded,
}

/// Two samples in blocks, and how their pairs are worked through.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// Points of X.
    pub n: usize,
    /// Points of Y.
    pub m: usize,
    /// Coordinates of a point.
    pub d: usize,
    /// Points of a block, at most [`MOST_POINTS`].
    pub block: usize,
    /// Blocks of a slice: of the buffers `rows` and `columns`.
    pub slice: usize,
    /// Row blocks of a step.
    pub slab: usize,
    /// Take only pairs of a point of X and one of Y.
    pub cross: bool,
    /// The kernel function.
    pub family: Family,
    /// Bandwidths, whose kernels are added up.
    pub bandwidths: usize,
    /// How distances are computed.
    pub form: Form,
}

/// Two blocks whose pairs are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// Position of the row block in the slab.
    pub(super) y: usize,
    /// Position of the column block in its slice.
    pub(super) x: usize,
    /// Points of the row block, in its slice's buffer.
    pub(super) first_row: usize,
    /// Which block of all the rows are.
    pub(super) i: usize,
    /// Which block of all the columns are.
    pub(super) j: usize,
    /// Rows that are points.
    pub(super) rows: usize,
    /// Columns that are points.
    pub(super) columns: usize,
}

impl Pairs {
    /// Blocks of X.
    pub fn blocks_of_x(&self) -> usize {
        self.n.div_ceil(self.block)
    }

    /// Blocks of both samples.
    pub fn blocks(&self) -> usize {
        self.blocks_of_x() + self.m.div_ceil(self.block)
    }

    /// Points of block `i` that are no padding.
    pub fn count(&self, i: usize) -> usize {
        let (sample, i) = match i.checked_sub(self.blocks_of_x()) {
            None => (self.n, i),
            Some(i) => (self.m, i),
        };
        self.block.min(sample.saturating_sub(i * self.block))
    }

    /// 0 for a block of X, 1 for one of Y.
    pub fn class(&self, i: usize) -> usize {
        usize::from(i >= self.blocks_of_x())
    }

    /// Numbers of a point in memory.
    pub fn stride(&self) -> usize {
        self.d + usize::from(self.form == Form::Expanded)
    }

    /// Words of the buffers `rows` and `columns`.
    pub(super) fn slice_len(&self) -> usize {
        self.slice * self.block * self.stride()
    }

    /// Position of a tile's numbers in the buffers of parts, `(slab, slice)`.
    pub(super) fn part(&self, tile: &Tile) -> usize {
        tile.y * self.slice + tile.x
    }

    /// The tile at a position of the slab and of the column slice, if its pairs are wanted.
    pub(super) fn tile(&self, step: &Step, y: usize, x: usize) -> Option<Tile> {
        let row_block = step.first as usize + y;
        let (i, j) = (step.rows_at as usize + row_block, step.columns_at as usize + x);
        let last = self.blocks();
        let wanted = row_block < self.slice && i < last && j < last && i <= j;
        let crossed = !self.cross || self.class(i) != self.class(j);
        (wanted && crossed).then(|| Tile {
            y,
            x,
            first_row: row_block * self.block,
            i,
            j,
            rows: self.count(i),
            columns: self.count(j),
        })
    }

    /// All tiles of a step.
    pub(super) fn tiles(&self, step: &Step) -> impl Iterator<Item = Tile> {
        (0..self.slab).flat_map(move |y| (0..self.slice).filter_map(move |x| self.tile(step, y, x)))
    }

    /// Kernel values of a step at most.
    pub(super) fn evaluations(&self) -> usize {
        self.slab * self.slice * self.block * self.block
    }

    /// Loop iterations of a workgroup for `draws` label vectors, a little more than there are.
    pub fn iterations(&self, draws: usize) -> usize {
        let tiles = self.block.div_ceil(TILE) * self.block.div_ceil(TILE);
        let product = (self.d + 2).div_ceil(DEPTH) * (1 + DEPTH / 4 + TILE * DEPTH / 4 / THREADS);
        let values = 4 * (5 + self.bandwidths) + TILE;
        let forms = draws.div_ceil(THREADS) * (1 + TILE);
        tiles * (1 + product + values + forms) + TILE
    }

    /// Points of a block, at most `most`, so that a workgroup's loops stay below [`MOST_ITERATIONS`].
    pub fn fitting_block(&self, most: usize, draws: usize) -> usize {
        let fits = |&block: &usize| Self { block, ..self.clone() }.iterations(draws) <= MOST_ITERATIONS;
        (1..=most / TILE).rev().map(|tiles| tiles * TILE).find(fits).unwrap_or(most.min(TILE))
    }

    /// Floating-point operations of one kernel value, about.
    pub fn flop_each(&self) -> usize {
        let distance = if self.form == Form::Expanded { 2 } else { 3 };
        distance * self.d + 16 * self.bandwidths
    }

    /// The words of the shader's uniform block.
    pub(super) fn params(&self) -> Vec<u32> {
        words([
            self.n,
            self.m,
            self.stride(),
            self.block,
            self.slice,
            usize::from(self.cross),
            self.bandwidths,
            self.d,
        ])
    }

    /// Values of the shader's `override` constants.
    pub(super) fn overrides(&self) -> Vec<(&'static str, f64)> {
        let mut all = overrides(match (self.family, self.form) {
            (Family::Laplace, _) => Combine::AbsoluteDifferences,
            (_, Form::Differences) => Combine::SquaredDifferences,
            (_, Form::Expanded) => Combine::Products,
        });
        all.push(("FAMILY", f64::from(self.family as u8)));
        all
    }

    /// The truth: k less its centre of row r and column c of a tile, 0 where both are the same point.
    pub(super) fn truth(&self, [rows, columns, scales]: [&[f64]; 3], tile: &Tile, [r, c]: [usize; 2]) -> f64 {
        if tile.i == tile.j && r == c {
            return 0.0;
        }
        let point = |points: &[f64], index: usize| points[index * self.stride()..][..self.d].to_vec();
        let x = point(rows, tile.first_row + r);
        let z = point(columns, tile.x * self.block + c);
        let differences = x.iter().zip(&z).map(|(x, z)| x - z);
        let distance: f64 = match self.family {
            Family::Laplace => differences.map(f64::abs).sum(),
            _ => differences.map(|t| t * t).sum(),
        };
        scales.iter().map(|&scale| self.family.value(scale, distance) - self.family.centre()).sum()
    }
}

/// Memory of one thread for a tile.
#[derive(Default)]
pub(super) struct Scratch {
    /// Values of a few rows, `(STRIP, pitch)`; in the expanded form of all rows.
    values: Vec<f32>,
    /// The columns with neighbouring points side by side, `(d, pitch)`.
    transposed: Vec<f32>,
    /// -|z|^2 / 2 of the columns.
    norms: Vec<f32>,
}

/// Rows whose values are computed, and used, while they are in the first-level cache.
const STRIP: usize = 16;

/// Neighbouring columns that are worked on together: two of the widest vectors there are.
pub(super) const LANES: usize = 32;

/// Rows that share what is loaded of the columns.
const ROWS: usize = 4;

impl Pairs {
    /// Columns of [`Scratch::values`]: those of a block in whole vectors.
    pub(super) fn pitch(&self) -> usize {
        self.block.next_multiple_of(LANES)
    }

    /// k less its centre between the rows and columns of a tile, a few rows at a time: `each` gets the first row
    /// and the values, `(rows, pitch)`, with 0 in the columns that are padding.
    pub(super) fn values(
        &self,
        [rows, columns, scales]: [&[f32]; 3],
        tile: &Tile,
        scratch: &mut Scratch,
        mut each: impl FnMut(usize, &[f32]),
    ) {
        self.distances([rows, columns], tile, scratch, |first, strip| {
            self.finish(strip, scales);
            for (r, row) in strip.chunks_exact_mut(self.pitch()).enumerate() {
                row[tile.columns..].fill(0.0);
                if tile.i == tile.j {
                    row[first + r] = 0.0;
                }
            }
            each(first, strip);
        });
    }

    /// Distances between the rows and columns of a tile, squared unless the family wants sums of magnitudes, in
    /// the same way.
    pub(super) fn distances(
        &self,
        [rows, columns]: [&[f32]; 2],
        tile: &Tile,
        scratch: &mut Scratch,
        mut each: impl FnMut(usize, &mut [f32]),
    ) {
        let (d, pitch, stride) = (self.d, self.pitch(), self.stride());
        let rows = &rows[tile.first_row * stride..][..tile.rows * stride];
        let columns = &columns[tile.x * self.block * stride..][..tile.columns * stride];
        let Scratch { values, transposed, norms } = scratch;
        let strips = rows.chunks(STRIP * stride).enumerate();
        match self.form {
            Form::Expanded => {
                values.resize(self.block * pitch, 0.0);
                norms.clear();
                norms.extend(columns.iter().skip(d).step_by(stride));
                norms.resize(pitch, 0.0);
                serial(
                    matrix_mut(values, tile.rows, pitch).subcols_mut(0, tile.columns),
                    matrix(rows, tile.rows, stride).subcols(0, d),
                    matrix(columns, tile.columns, stride).subcols(0, d).transpose(),
                );
                for ((i, rows), strip) in strips.zip(values.chunks_mut(STRIP * pitch)) {
                    let strip = &mut strip[..rows.len() / stride * pitch];
                    for (row, values) in rows.chunks_exact(stride).zip(strip.chunks_exact_mut(pitch)) {
                        expand(values, row[d], norms);
                    }
                    each(i * STRIP, strip);
                }
            }
            Form::Differences => {
                values.resize(STRIP * pitch, 0.0);
                transposed.resize(d * pitch, 0.0);
                for (f, to) in transposed.chunks_exact_mut(pitch).enumerate() {
                    for (to, from) in to.iter_mut().zip(columns.chunks_exact(stride)) {
                        *to = from[f];
                    }
                }
                for (i, rows) in strips {
                    let strip = &mut values[..rows.len() / d * pitch];
                    match self.family {
                        Family::Laplace => differences::<true>(rows, transposed, d, pitch, strip),
                        _ => differences::<false>(rows, transposed, d, pitch, strip),
                    }
                    each(i * STRIP, strip);
                }
            }
        }
    }

    /// k of distances.
    fn finish(&self, distances: &mut [f32], scales: &[f32]) {
        match self.family {
            Family::Gaussian | Family::Laplace => exponentials(distances, scales),
            Family::Imq => inverse_roots(distances, scales),
            Family::Energy => roots(distances, scales[0]),
        }
    }
}

/// a b + c, rounded once where the CPU can.
#[inline(always)]
pub(super) fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// -2 (dot - |x|^2/2 - |z|^2/2) = |x - z|^2, never negative.
#[multiversion(targets = "simd")]
fn expand(values: &mut [f32], half_norm: f32, half_norms: &[f32]) {
    for (value, other) in values.iter_mut().zip(half_norms) {
        *value = (-2.0 * (*value + half_norm + other)).max(0.0);
    }
}

/// Sums of squared or absolute differences of `rows` (r, d) and `columns` (d, pitch), into (r, pitch).
#[multiversion(targets = "simd")]
fn differences<const L1: bool>(rows: &[f32], columns: &[f32], d: usize, pitch: usize, result: &mut [f32]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    for (rows, result) in rows.chunks(ROWS * d).zip(result.chunks_mut(ROWS * pitch)) {
        let count = rows.len() / d;
        // The last rows may be fewer: the first of them is then computed more than once.
        let row: [&[f32]; ROWS] = std::array::from_fn(|r| {
            let r = if r < count { r } else { 0 };
            &rows[r * d..][..d]
        });
        let [row0, row1, row2, row3] = row;
        for first in (0..pitch).step_by(LANES) {
            let mut sums = [[0.0f32; LANES]; ROWS];
            let rows = row0.iter().zip(row1).zip(row2).zip(row3);
            for ((((x0, x1), x2), x3), column) in rows.zip(columns.chunks_exact(pitch)) {
                let column: &[f32; LANES] = column[first..][..LANES].try_into().expect("whole vectors");
                for (x, sums) in [x0, x1, x2, x3].into_iter().zip(&mut sums) {
                    for (sum, z) in sums.iter_mut().zip(column) {
                        let t = x - z;
                        *sum = if L1 { *sum + t.abs() } else { multiply_add::<FUSED>(t, t, *sum) };
                    }
                }
            }
            for (result, sums) in result.chunks_exact_mut(pitch).zip(&sums) {
                result[first..][..LANES].copy_from_slice(sums);
            }
        }
    }
}

/// Replaces each distance by the sum over `scales` of what `add(scale, distance, sum)` adds to -1/2.
#[inline(always)]
fn apply(values: &mut [f32], scales: &[f32], add: impl Fn(f32, f32, f32) -> f32) {
    for values in values.chunks_exact_mut(LANES) {
        let values: &mut [f32; LANES] = values.try_into().expect("whole vectors");
        let mut sums = [-0.5 * scales.len() as f32; LANES];
        for &scale in scales {
            for (sum, value) in sums.iter_mut().zip(&*values) {
                *sum = add(scale, *value, *sum);
            }
        }
        *values = sums;
    }
}

#[multiversion(targets = "simd")]
fn exponentials(values: &mut [f32], scales: &[f32]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    apply(values, scales, |scale, distance, sum| {
        let [fraction, power] = exp2_parts::<FUSED>(-scale, distance, -127.0 / scale);
        multiply_add::<FUSED>(fraction, power, sum)
    });
}

#[multiversion(targets = "simd")]
fn inverse_roots(values: &mut [f32], scales: &[f32]) {
    apply(values, scales, |scale, distance, sum| sum + 1.0 / (1.0 + scale * distance).sqrt());
}

#[multiversion(targets = "simd")]
fn roots(values: &mut [f32], scale: f32) {
    values.iter_mut().for_each(|value| *value = scale * value.sqrt());
}

/// Error of a sum of kernel values of `d` coordinates relative to the largest of its buffer: distances carry
/// about sqrt(d) roundings, which k damps, and the sum over a block a few more.
pub(super) fn tolerance(pairs: &Pairs) -> f64 {
    f64::from(f32::EPSILON) * (8.0 + (pairs.d as f64).sqrt())
}

/// Sizes for the tests: every family and form, blocks that are full, padded and not a multiple of anything,
/// several slabs and slices.
pub(super) fn case_pairs() -> Vec<(Pairs, Step)> {
    let pairs = |n, m, d, block, family, form| Pairs {
        n,
        m,
        d,
        block,
        slice: n.div_ceil(block) + m.div_ceil(block),
        slab: 2,
        cross: false,
        family,
        bandwidths: if family == Family::Energy { 1 } else { 1 + d % 2 },
        form,
    };
    let at = |first, rows_at, columns_at| Step { first, rows_at, columns_at, ..Step::default() };
    use Family::{Energy, Gaussian, Imq, Laplace};
    use Form::{Differences, Expanded};
    vec![
        (pairs(3, 5, 1, 32, Gaussian, Differences), at(0, 0, 0)),
        (pairs(31, 33, 3, 32, Gaussian, Differences), at(0, 0, 0)),
        (pairs(31, 33, 3, 32, Gaussian, Differences), at(2, 0, 0)),
        (pairs(40, 70, 17, 64, Gaussian, Expanded), at(0, 0, 0)),
        (pairs(70, 40, 33, 64, Imq, Expanded), at(1, 0, 0)),
        (pairs(33, 20, 2, 64, Laplace, Differences), at(0, 0, 0)),
        (pairs(20, 33, 5, 32, Imq, Differences), at(0, 0, 0)),
        (pairs(33, 31, 4, 32, Energy, Differences), at(0, 0, 0)),
        (pairs(257, 5, 2, 256, Gaussian, Differences), at(0, 0, 0)),
        (Pairs { cross: true, ..pairs(40, 30, 3, 32, Gaussian, Differences) }, at(0, 0, 0)),
        // Slices of two blocks: rows from the first, columns from the second.
        (Pairs { slice: 2, ..pairs(90, 60, 3, 32, Laplace, Differences) }, at(0, 0, 2)),
        (Pairs { slice: 2, ..pairs(90, 60, 9, 32, Gaussian, Expanded) }, at(1, 2, 4)),
    ]
}

/// Fills the buffers that all kernels over pairs read: points, consistent half norms, scales.
pub(super) fn fill(case: Case, pairs: &Pairs) -> Case {
    let mut case = case;
    if pairs.form == Form::Expanded {
        for points in &mut case.reads[..2] {
            for point in points.chunks_exact_mut(pairs.stride()) {
                point[pairs.d] = -0.5 * point[..pairs.d].iter().map(|x| x * x).sum::<f32>();
            }
        }
    }
    let scale = |i: usize| pairs.family.scale((pairs.d as f64).sqrt() * (1.0 + i as f64)) as f32;
    case.map("scales", |i, _| scale(i))
}
