//! What the kernels over pairs of points share: where the points lie, which pairs a step takes, and the values
//! of the kernel function k between two blocks of points.
//!
//! ```text
//! points   X: n points, then Y: m points, each sample cut into blocks of `block` points
//! memory   (groups, stride, LANES): LANES points side by side, coordinate after coordinate; a block is whole
//!          groups, padded where points are missing
//! gaussian k(x, z) = sum over bandwidths of exp(-|x - z|_2^2 / (2 sigma^2))     scale = -log2(e) / (2 sigma^2)
//! laplace  k(x, z) = sum of exp(-|x - z|_1 / b)                                 scale = -log2(e) / b
//! imq      k(x, z) = sum of (1 + |x - z|_2^2 / b^2)^(-1/2)                      scale = 1 / b^2
//! energy   k(x, z) = -|x - z|_2                                                 scale = -1
//! delta    k(x, z) = 1 if x = z, otherwise 0                                    scale = 1
//! ```
//!
//! All but energy are computed less 1/2 a bandwidth, which whoever uses the sums adds again: sums of numbers
//! around 0 round less than sums of numbers around 1/2.
//!
//! In place of k(x, z) a step may take another symmetric function h of two items, with d + d numbers each:
//!
//! ```text
//! stein    items (x, s), s = grad ln p(x)         k(x, z) = phi(|x - z|^2)
//!          h = s.s' phi - 2 phi' ((s - s').(x - x') + d) - 4 phi'' |x - x'|^2
//! paired   items (x, y)
//!          h = k(x, x') + k(y, y') - k(x, y') - k(y, x')
//! ```
//!
//! With a second variable, observed together with the first, an item has two pairs of points:
//!
//! ```text
//! dependence   items (x, y), (x', y') of one variable and (u, v), (u', v') of the other, with a kernel l
//!              h = 1/4 (k(x, x') + k(y, y') - k(x, y') - k(y, x')) (l(u, u') + l(v, v') - l(u, v') - l(v, u'))
//! ```
//!
//! `stein` is Liu, Lee, Jordan, "A kernelized Stein discrepancy", ICML 2016, eq. 6, for a kernel of the distance;
//! `paired` the core of the two-sample statistic without the pairs (x_i, y_i), Gretton et al. 2012, eq. 6; the mean of
//! `dependence` estimates HSIC (Schrab, Kim, Guedj, Gretton, "Efficient aggregated kernel tests using incomplete
//! U-statistics", NeurIPS 2022).
//!
//! Sums over all pairs of items of one sample may be replaced by sums over those whose numbers differ by at most
//! `reach` R: the first R super-diagonals, about n R pairs instead of n^2 / 2 (an incomplete U-statistic, loc. cit.).
//! All others count 0.
//!
//! A step takes `slab` row blocks, each with all column blocks that come after it: k is symmetric, and no pair
//! is evaluated twice. Where a slice has more column blocks than are in reach, the parts of a row block are those of a
//! `band` of column blocks that starts with the row block itself, and no others are looked at. Rows and columns are two
//! slices of the points, the same one or different ones, so that samples larger than a device's largest buffer go
//! through it slice by slice.

pub mod fold;
pub mod pair_forms;
pub mod pair_gradient;
pub mod pair_histogram;
pub mod pair_products;
pub mod pair_sums;

use super::product::{DEPTH, THREADS, TILE, tile_overrides};
use crate::kernel::words::words;
use crate::memory::Memory;
use crate::numeric::exp2_parts;
use crate::program::{Case, MOST_ITERATIONS, Overrides, Step, Variant};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use serde::{Deserialize, Serialize};

/// Most points of a block: its kernel values with another block stay in a core's second-level cache.
pub const MOST_POINTS: usize = 288;

/// The reach that takes all pairs.
pub const UNLIMITED: usize = usize::MAX;

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
    /// 1 where d = 0, otherwise 0: for labels
    Delta,
}

impl Family {
    /// The factor that turns a distance into the argument of k, for a bandwidth.
    pub fn scale(self, bandwidth: f64) -> f64 {
        match self {
            Self::Gaussian => -std::f64::consts::LOG2_E / (2.0 * bandwidth * bandwidth),
            Self::Laplace => -std::f64::consts::LOG2_E / bandwidth,
            Self::Imq => 1.0 / (bandwidth * bandwidth),
            Self::Energy => -1.0,
            Self::Delta => 1.0,
        }
    }

    /// Whether the kernel has no bandwidth to choose.
    pub fn without_bandwidth(self) -> bool {
        matches!(self, Self::Energy | Self::Delta)
    }

    /// What is subtracted from each kernel value.
    pub fn centre(self) -> f64 {
        if self == Self::Energy { 0.0 } else { 0.5 }
    }

    /// The distance, squared unless the family wants sums of magnitudes.
    pub(super) fn distance(self, x: &[f64], z: &[f64]) -> f64 {
        let differences = x.iter().zip(z).map(|(x, z)| x - z);
        match self {
            Self::Laplace => differences.map(f64::abs).sum(),
            _ => differences.map(|t| t * t).sum(),
        }
    }

    /// k as a function phi of the squared distance, and its first two derivatives.
    ///
    /// # Panics
    /// For a family that is not smooth where points coincide.
    pub fn derivatives(self, scale: f64, distance: f64) -> [f64; 3] {
        let k = self.value(scale, distance);
        match self {
            Self::Gaussian => {
                let rate = scale * std::f64::consts::LN_2;
                [k, rate * k, rate * rate * k]
            }
            Self::Imq => [k, -0.5 * scale * k.powi(3), 0.75 * scale * scale * k.powi(5)],
            Self::Laplace | Self::Energy | Self::Delta => unreachable!("has no Stein kernel"),
        }
    }

    /// k of a distance, squared or not as the family wants it.
    pub fn value(self, scale: f64, distance: f64) -> f64 {
        match self {
            Self::Gaussian | Self::Laplace => (scale * distance).exp2(),
            Self::Imq => 1.0 / (1.0 + scale * distance).sqrt(),
            Self::Energy => scale * distance.sqrt(),
            Self::Delta => f64::from(u8::from(distance == 0.0)),
        }
    }
}

/// The function of two items that is summed up; see the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// The kernel of two points.
    #[default]
    Kernel,
    /// The Stein kernel of two points with their scores; gaussian and inverse multiquadric only.
    Stein,
    /// The difference that swapping x and y of one item would turn around.
    Paired,
    /// The product of two such differences, of two variables.
    Dependence,
}

/// A variable beside the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Second {
    /// Coordinates of a point.
    pub d: usize,
    /// The family of its kernel.
    pub family: Family,
    /// Bandwidths, whose kernels are added up; their scales come after those of the first variable.
    pub bandwidths: usize,
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

/// What is added up over the coordinates of two points: the values of COMBINE in `shaders/lib/product.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Combination {
    /// Products, as in a matrix product.
    Products,
    /// Squared differences.
    SquaredDifferences,
    /// Magnitudes of differences.
    AbsoluteDifferences,
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
    /// What is summed up.
    pub value: Value,
    /// The kernel function.
    pub family: Family,
    /// Bandwidths, whose kernels are added up.
    pub bandwidths: usize,
    /// How distances are computed.
    pub form: Form,
    /// The other variable, for [`Value::Dependence`].
    pub second: Option<Second>,
    /// Items whose numbers differ by more are no pair; of one sample only, and at least 1.
    pub reach: usize,
}

/// Two blocks whose pairs are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// Position of the row block in the slab.
    pub(super) y: usize,
    /// Position of the column block in its band.
    pub(super) x: usize,
    /// Place of the first row in its slice's buffer.
    pub(super) first_row: usize,
    /// Place of the first column in its slice's buffer.
    pub(super) first_column: usize,
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
        match self.value {
            Value::Kernel => self.d + usize::from(self.form == Form::Expanded),
            Value::Stein | Value::Paired => 2 * self.d,
            Value::Dependence => 2 * (self.d + self.second().d),
        }
    }

    /// The other variable; nothing where there is none.
    fn second(&self) -> Second {
        self.second.unwrap_or(Second { d: 0, family: self.family, bandwidths: 0 })
    }

    /// Words of the buffer `scales`.
    pub fn scales_len(&self) -> usize {
        self.bandwidths + self.second().bandwidths
    }

    /// What is subtracted from each value, all bandwidths together.
    pub fn centre(&self) -> f64 {
        match self.value {
            Value::Kernel => self.family.centre() * self.bandwidths as f64,
            Value::Stein | Value::Paired | Value::Dependence => 0.0,
        }
    }

    /// Places for points of a block, in whole groups.
    pub fn pitch(&self) -> usize {
        self.block.next_multiple_of(LANES)
    }

    /// Words of the buffers `rows` and `columns`.
    pub fn slice_len(&self) -> usize {
        self.slice * self.pitch() * self.stride()
    }

    /// Where number `k` of the point at a place is in memory.
    pub fn word(&self, place: usize, k: usize) -> usize {
        (place / LANES * self.stride() + k) * LANES + place % LANES
    }

    /// The coordinates of the point at a place.
    pub(super) fn coordinates(&self, points: &[f64], place: usize) -> Vec<f64> {
        self.numbers(points, place, 0, self.d)
    }

    /// `count` numbers of the point at a place, from the `first` on.
    fn numbers(&self, points: &[f64], place: usize, first: usize, count: usize) -> Vec<f64> {
        (first..first + count).map(|k| points[self.word(place, k)]).collect()
    }

    /// How many blocks after a row block have columns in its reach.
    pub fn blocks_in_reach(&self) -> usize {
        self.reach.div_ceil(self.block)
    }

    /// Column blocks of a row block of a step: those of a slice, or fewer if only fewer are in reach.
    pub fn band(&self) -> usize {
        self.blocks_in_reach().saturating_add(1).min(self.slice)
    }

    /// Position of a tile's numbers in the buffers of parts, `(slab, band)`.
    pub(super) fn part(&self, tile: &Tile) -> usize {
        tile.y * self.band() + tile.x
    }

    /// The tile at a position of the slab and of the band, if its pairs are wanted.
    pub(super) fn tile(&self, step: &Step, y: usize, x: usize) -> Option<Tile> {
        let (row_block, columns_at) = (step.first as usize + y, step.columns_at as usize);
        let i = step.rows_at as usize + row_block;
        let j = x + if self.band() < self.slice { i } else { columns_at };
        let column_block = j.checked_sub(columns_at)?;
        let last = self.blocks();
        let wanted = row_block < self.slice && column_block < self.slice && i < last && j < last && i <= j;
        let wanted = wanted && j - i <= self.blocks_in_reach();
        let crossed = !self.cross || self.class(i) != self.class(j);
        (wanted && crossed).then(|| self.tile_at([y, x], [row_block, column_block], [i, j]))
    }

    fn tile_at(&self, [y, x]: [usize; 2], place: [usize; 2], [i, j]: [usize; 2]) -> Tile {
        let [first_row, first_column] = place.map(|block| block * self.pitch());
        Tile { y, x, first_row, first_column, i, j, rows: self.count(i), columns: self.count(j) }
    }

    /// The truth about a step: of all blocks I and J, with I in the slab and both in their slices, those with I <= J and
    /// some pair of items in reach; with `cross`, of different samples.
    pub(super) fn reference_tiles(&self, step: &Step) -> impl Iterator<Item = Tile> {
        let [first, rows_at, columns_at] =
            [step.first, step.rows_at, step.columns_at].map(|block| block as usize);
        let slice = |at: usize| at..(at + self.slice).min(self.blocks());
        let in_slab = move |i: usize| (first..first + self.slab).contains(&(i - rows_at));
        let last_item = |i: usize| i * self.block + self.block - 1;
        let near = move |i: usize, j: usize| i == j || (i < j && j * self.block - last_item(i) <= self.reach);
        let sample = |i: usize| i * self.block < self.blocks_of_x() * self.block;
        slice(rows_at).filter(move |&i| in_slab(i)).flat_map(move |i| {
            let wanted = move |j: &usize| near(i, *j) && !(self.cross && sample(i) == sample(*j));
            slice(columns_at).filter(wanted).map(move |j| {
                let x = if self.band() < self.slice { j - i } else { j - columns_at };
                self.tile_at([i - rows_at - first, x], [i - rows_at, j - columns_at], [i, j])
            })
        })
    }

    /// All tiles of a step.
    pub(super) fn tiles(&self, step: &Step) -> impl Iterator<Item = Tile> {
        (0..self.slab).flat_map(move |y| (0..self.band()).filter_map(move |x| self.tile(step, y, x)))
    }

    /// Kernel values of a step at most.
    pub(super) fn evaluations(&self) -> usize {
        self.slab * self.band() * self.block * self.block
    }

    /// Loop iterations of a workgroup for `draws` label vectors and several kernels, a little more than there are.
    pub fn iterations(&self, draws: usize, kernels: usize) -> usize {
        // Columns in whole strips, as pair_sums takes them.
        let (side, strip) = (self.block.div_ceil(TILE), self.strip());
        let tiles = side * side.next_multiple_of(strip);
        let product = match self.value {
            Value::Kernel => {
                let depth = self.d + 2;
                let of_tile = depth.div_ceil(DEPTH) * (1 + DEPTH / 4 + TILE * DEPTH / 4 / THREADS);
                if strip > 1 { of_tile.max(depth.div_ceil(strip)) } else { of_tile }
            }
            Value::Stein => 1 + self.d,
            Value::Paired => 4 * (6 + self.d),
            Value::Dependence => 4 * (12 + self.d + self.second().d),
        };
        let values = 4 * (5 + 4 * self.scales_len()) + TILE;
        let forms = draws.div_ceil(THREADS) * (1 + TILE);
        tiles * (1 + product + kernels * (1 + values + forms)) + TILE
    }

    /// Tiles side by side of a pair of blocks that pair_sums takes together: as many as its shader can, or fewer if
    /// that leaves less of the last strip empty.
    pub(super) fn strip(&self) -> usize {
        const MOST: usize = 4;
        let tiles = self.block.div_ceil(TILE);
        tiles.div_ceil(tiles.div_ceil(MOST))
    }

    /// Points of a block, at most `most`, so that a workgroup's loops stay below [`MOST_ITERATIONS`]: the largest
    /// block that fits, or one more than half as large if that leaves less of the last blocks empty.
    pub fn fitting_block(&self, most: usize, draws: usize, kernels: usize) -> usize {
        let fits =
            |&block: &usize| Self { block, ..self.clone() }.iterations(draws, kernels) <= MOST_ITERATIONS;
        let largest = (1..=most / TILE).rev().find(|tiles| fits(&(tiles * TILE))).unwrap_or(1);
        let places = |block: &usize| self.n.next_multiple_of(*block) + self.m.next_multiple_of(*block);
        let blocks = (largest / 2 + 1..=largest).rev().map(|tiles| tiles * TILE);
        blocks.min_by_key(places).unwrap_or(TILE)
    }

    /// Floating-point operations of one kernel value, about.
    pub fn flop_each(&self) -> usize {
        let (distance, kernels) = match (self.value, self.form) {
            (Value::Kernel, Form::Expanded) => (2, 1),
            (Value::Kernel, Form::Differences) => (3, 1),
            (Value::Stein, _) => (8, 2),
            (Value::Paired | Value::Dependence, _) => (12, 4),
        };
        let second = self.second();
        distance * (self.d + second.d) + 16 * kernels * (self.bandwidths + second.bandwidths)
    }

    /// The words of `Pairs`, the head of the shaders' uniform blocks.
    pub(super) fn params(&self) -> Vec<u32> {
        let second = self.second();
        words([
            self.n,
            self.m,
            self.stride(),
            self.block,
            self.slice,
            usize::from(self.cross),
            self.bandwidths,
            self.d,
            // There are never more points than 32 bits can count.
            self.reach.min(u32::MAX as usize),
            self.band(),
            second.d,
            second.bandwidths,
        ])
    }

    /// The columns of a tile that are in reach of row `r`.
    fn columns_in_reach(&self, tile: &Tile, r: usize) -> std::ops::Range<usize> {
        let (row, first) = (tile.i * self.block + r, tile.j * self.block);
        let at = |item: usize| item.saturating_sub(first).min(tile.columns);
        at(row.saturating_sub(self.reach))..at(row.saturating_add(self.reach).saturating_add(1))
    }

    /// What distances are made of.
    fn combination(&self) -> Combination {
        match (self.family, self.form) {
            (Family::Laplace, _) => Combination::AbsoluteDifferences,
            (_, Form::Differences) => Combination::SquaredDifferences,
            (_, Form::Expanded) => Combination::Products,
        }
    }

    /// The `override` constants of `shaders/lib/distances.wgsl`.
    pub(super) fn distance_overrides(&self) -> Overrides {
        tile_overrides([TILE, TILE], DEPTH).set("TILE", TILE).set("COMBINE", self.combination() as u8)
    }

    /// Those of `shaders/lib/values.wgsl`.
    pub(super) fn value_overrides(&self) -> Overrides {
        self.distance_overrides()
            .set("FAMILY", self.family as u8)
            .set("VALUE", self.value as u8)
            .set("FAMILY_SECOND", self.second().family as u8)
    }

    /// One workgroup for each tile of blocks, whose loops have so many iterations.
    pub(super) fn one_variant(&self, iterations: usize) -> Vec<Variant> {
        vec![Variant::new("", [self.band(), self.slab]).iterations(iterations)]
    }

    /// The truth: k less its centre of row r and column c of a tile, 0 where both are the same point or out of
    /// reach.
    pub(super) fn truth(&self, [rows, columns, scales]: [&[f64]; 3], tile: &Tile, [r, c]: [usize; 2]) -> f64 {
        let distance = (tile.j * self.block + c).abs_diff(tile.i * self.block + r);
        if (tile.i == tile.j && r == c) || distance > self.reach {
            return 0.0;
        }
        // Two points of d numbers from number `at` on.
        let two = |points: &[f64], place: usize, at: usize, d: usize| {
            [at, at + d].map(|first| self.numbers(points, place, first, d))
        };
        let items = |at: usize, d: usize| {
            (two(rows, tile.first_row + r, at, d), two(columns, tile.first_column + c, at, d))
        };
        let k = |family: Family, scales: &[f64], x: &[f64], z: &[f64]| -> f64 {
            let distance = family.distance(x, z);
            scales.iter().map(|&scale| family.value(scale, distance)).sum()
        };
        let difference = |family, scales: &[f64], at, d| {
            let ([x, y], [z, t]) = items(at, d);
            let k = |x: &[f64], z: &[f64]| k(family, scales, x, z);
            k(&x, &z) + k(&y, &t) - k(&x, &t) - k(&y, &z)
        };
        let (d, second) = (self.d, self.second());
        let (scales, others) = scales.split_at(self.bandwidths);
        match self.value {
            Value::Kernel => {
                let x = self.coordinates(rows, tile.first_row + r);
                let z = self.coordinates(columns, tile.first_column + c);
                k(self.family, scales, &x, &z) - self.centre()
            }
            Value::Paired => difference(self.family, scales, 0, d),
            Value::Dependence => {
                let first = difference(self.family, scales, 0, d);
                0.25 * first * difference(second.family, others, 2 * d, second.d)
            }
            Value::Stein => {
                let ([x, s], [z, t]) = items(0, d);
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let less = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
                let (r2, mixed) = (self.family.distance(&x, &z), dot(&less(&s, &t), &less(&x, &z)));
                let each = scales.iter().map(|&scale| {
                    let [phi, first, second] = self.family.derivatives(scale, r2);
                    dot(&s, &t) * phi - 2.0 * first * (mixed + d as f64) - 4.0 * second * r2
                });
                each.sum()
            }
        }
    }
}

impl Tile {
    /// Columns in whole groups.
    pub(super) fn width(&self) -> usize {
        self.columns.next_multiple_of(LANES)
    }
}

/// Points side by side in memory, rows and columns of a tile of the shader; two of the widest vectors there are.
pub(super) const LANES: usize = TILE;

/// One number each of a group of points.
type Lanes = [f32; LANES];

/// Coordinates of two groups of points that stay in the first-level cache together.
const NEAR: usize = 128;

/// Memory of one thread for a tile: numbers of one group of rows, used while they are in the first-level cache.
#[derive(Default)]
pub(super) struct Scratch {
    /// Distances, and what else kernels have in common.
    shared: Memory,
    /// Values of one of several kernels.
    values: Memory,
}

/// What the CPU wants to know of a kernel: its scales, and their rates as [`exponentials`] wants them.
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
        let len = self.scales_len();
        let kernels: Vec<Scales<'_>> = (scales.chunks_exact(len).zip(rates.chunks_exact(len)))
            .map(|(scales, rates)| Scales { scales, rates })
            .collect();
        let inputs = [rows, columns];
        let mut finished = |kernel: usize, first: usize, strip: &mut [f32]| {
            for (r, row) in strip.chunks_exact_mut(tile.width()).enumerate() {
                row[tile.columns..].fill(0.0);
                if self.reach < UNLIMITED {
                    let near = self.columns_in_reach(tile, first + r);
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
        match self.value {
            Value::Kernel => self.strips(inputs, tile, shared, |first, distances| {
                for_each(&kernels, distances, values, |kernel, Scales { scales, rates }, strip| {
                    kernel_values(self.family, strip, scales, rates);
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
        let (stride, width) = (self.stride(), tile.width());
        let columns = groups(columns, stride, tile.first_column, tile.columns);
        shared.resize(3 * LANES * width);
        for (i, rows) in groups(rows, stride, tile.first_row, tile.rows).chunks_exact(stride).enumerate() {
            let (distances, rest) = shared.get_mut().split_at_mut(LANES * width);
            let (scores, mixed) = rest.split_at_mut(LANES * width);
            stein_sums(rows, columns, self.d, [&mut *distances, &mut *scores, &mut *mixed]);
            let count = LANES.min(tile.rows - i * LANES);
            for_each(kernels, distances, values, |kernel, Scales { scales, rates }, strip| {
                match self.family {
                    Family::Imq => stein_inverse_roots(strip, scores, mixed, self.d, scales),
                    _ => stein_exponentials(strip, scores, mixed, self.d, rates),
                }
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
        let (stride, width) = (self.stride(), tile.width());
        let columns = groups(columns, stride, tile.first_column, tile.columns);
        let second = (self.value == Value::Dependence).then(|| self.second());
        let strip = LANES * width;
        // Of each variable four distances, which a single kernel takes one after the other.
        let kept = if kernels.len() > 1 { 4 } else { 1 };
        shared.resize(2 * kept * strip);
        values.resize(3 * strip);
        for (i, rows) in groups(rows, stride, tile.first_row, tile.rows).chunks_exact(stride).enumerate() {
            let items = [rows, columns];
            let (of_first, of_second) = shared.get_mut().split_at_mut(kept * strip);
            if kept > 1 {
                self.four_distances(self.family, items, [0, self.d], of_first);
                if let Some(Second { d, family, .. }) = second {
                    self.four_distances(family, items, [2 * self.d, d], of_second);
                }
            }
            for (kernel, scales) in kernels.iter().enumerate() {
                let [own, others] = scales.split(self.bandwidths);
                let (sums, rest) = values.get_mut().split_at_mut(strip);
                let (factors, work) = rest.split_at_mut(strip);
                self.differences(self.family, items, [0, self.d], own, of_first, [&mut *sums, &mut *work]);
                if let Some(Second { d, family, .. }) = second {
                    self.differences(
                        family,
                        items,
                        [2 * self.d, d],
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
        items: [&[Lanes]; 2],
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
        [rows, columns]: [&[Lanes]; 2],
        [at, d]: [usize; 2],
        (x, z, _): (usize, usize, f32),
        strip: &mut [f32],
    ) {
        let (rows, place) = (&rows[at + x * d..], [at + z * d, d]);
        if family == Family::Laplace {
            add_up::<ABSOLUTE>(rows, columns, self.stride(), place, strip);
        } else {
            add_up::<SQUARED>(rows, columns, self.stride(), place, strip);
        }
    }

    /// k(x, x') + k(y, y') - k(x, y') - k(y, x') of a group of rows and all columns, whose two points of d numbers
    /// start at number `at`; `distances` are the four if they are kept.
    fn differences(
        &self,
        family: Family,
        items: [&[Lanes]; 2],
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
        let (stride, width) = (self.stride(), tile.width());
        let columns = groups(columns, stride, tile.first_column, tile.columns);
        memory.resize(LANES * width);
        for (i, rows) in groups(rows, stride, tile.first_row, tile.rows).chunks_exact(stride).enumerate() {
            let strip = memory.get_mut();
            match self.combination() {
                Combination::Products => {
                    add_up::<PRODUCTS>(rows, columns, stride, [0, self.d], strip);
                    expand(&rows[self.d], columns, stride, strip);
                }
                Combination::SquaredDifferences => {
                    add_up::<SQUARED>(rows, columns, stride, [0, self.d], strip)
                }
                Combination::AbsoluteDifferences => {
                    add_up::<ABSOLUTE>(rows, columns, stride, [0, self.d], strip)
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
fn groups(points: &[f32], stride: usize, first: usize, count: usize) -> &[Lanes] {
    points[first * stride..][..count.next_multiple_of(LANES) * stride].as_chunks().0
}

/// a b + c, rounded once where the CPU can.
#[inline(always)]
pub(super) fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// [`Combination`] as constants.
const PRODUCTS: u8 = Combination::Products as u8;
const SQUARED: u8 = Combination::SquaredDifferences as u8;
const ABSOLUTE: u8 = Combination::AbsoluteDifferences as u8;

/// k of distances, less its centre; `rates` as [`exponentials`] wants them.
fn kernel_values(family: Family, distances: &mut [f32], scales: &[f32], rates: &[[f32; 2]]) {
    match family {
        Family::Gaussian | Family::Laplace => exponentials(distances, rates),
        Family::Imq => inverse_roots(distances, scales),
        Family::Energy => roots(distances, scales[0]),
        Family::Delta => {
            distances.iter_mut().for_each(|value| *value = if *value == 0.0 { 0.5 } else { -0.5 });
        }
    }
}

/// What a group of rows and groups of columns add up to over d numbers, those of the columns from `z` on,
/// (LANES, width).
#[multiversion(targets = "simd")]
fn add_up<const COMBINE: u8>(
    rows: &[Lanes],
    columns: &[Lanes],
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
    rows: &[Lanes],
    columns: &[Lanes],
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
fn stein_sums(rows: &[Lanes], columns: &[Lanes], d: usize, sums: [&mut [f32]; 3]) {
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

/// The gaussian Stein kernel in place of distances: with c = 1 / sigma^2, k (s.s' + c (t + d - c r^2)).
#[multiversion(targets = "simd")]
fn stein_exponentials(distances: &mut [f32], scores: &[f32], mixed: &[f32], d: usize, rates: &[[f32; 2]]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let d = d as f32;
    for ((distance, score), t) in distances.iter_mut().zip(scores).zip(mixed) {
        let mut sum = 0.0;
        for &[rate, most] in rates {
            let c = 2.0 * std::f32::consts::LN_2 * rate;
            let [fraction, power] = exp2_parts::<FUSED>(rate, *distance, most);
            sum += fraction * power * (score + c * (t + d - c * *distance));
        }
        *distance = sum;
    }
}

/// The same with the inverse multiquadric kernel: k (s.s' + c k^2 (t + d - 3 c k^2 r^2)), c = 1 / b^2.
#[multiversion(targets = "simd")]
fn stein_inverse_roots(distances: &mut [f32], scores: &[f32], mixed: &[f32], d: usize, scales: &[f32]) {
    let d = d as f32;
    for ((distance, score), t) in distances.iter_mut().zip(scores).zip(mixed) {
        let mut sum = 0.0;
        for &scale in scales {
            let square = 1.0 / (1.0 + scale * *distance);
            let c = scale * square;
            sum += square.sqrt() * (score + c * (t + d - 3.0 * c * *distance));
        }
        *distance = sum;
    }
}

/// -2 (dot - |x|^2/2 - |z|^2/2) = |x - z|^2, never negative; the columns' half norms are their last numbers.
#[multiversion(targets = "simd")]
fn expand(half_norms: &Lanes, columns: &[Lanes], stride: usize, dots: &mut [f32]) {
    let width = dots.len() / LANES;
    for (dots, half_norm) in dots.chunks_exact_mut(width).zip(half_norms) {
        for (dots, columns) in dots.as_chunks_mut::<LANES>().0.iter_mut().zip(columns.chunks_exact(stride)) {
            for (dot, other) in dots.iter_mut().zip(&columns[stride - 1]) {
                *dot = (-2.0 * (*dot + half_norm + other)).max(0.0);
            }
        }
    }
}

/// Replaces each distance by the sum over `scales` of what `add(scale, distance, sum)` adds to -1/2.
#[inline(always)]
fn apply<S: Copy>(values: &mut [f32], scales: &[S], add: impl Fn(S, f32, f32) -> f32) {
    if let [scale] = *scales {
        values.iter_mut().for_each(|value| *value = add(scale, *value, -0.5));
        return;
    }
    for values in values.as_chunks_mut::<LANES>().0 {
        let mut sums = [-0.5 * scales.len() as f32; LANES];
        for &scale in scales {
            for (sum, value) in sums.iter_mut().zip(&*values) {
                *sum = add(scale, *value, *sum);
            }
        }
        *values = sums;
    }
}

/// `rates`: -scale of each bandwidth, and where its kernel is 0 from.
#[multiversion(targets = "simd")]
fn exponentials(values: &mut [f32], rates: &[[f32; 2]]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    apply(values, rates, |[rate, most], distance, sum| {
        let [fraction, power] = exp2_parts::<FUSED>(rate, distance, most);
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
        value: Value::Kernel,
        family,
        bandwidths: if family.without_bandwidth() { 1 } else { 1 + d % 2 },
        form,
        second: None,
        reach: UNLIMITED,
    };
    let at = |first, rows_at, columns_at| Step { first, rows_at, columns_at, ..Step::default() };
    let dependence = |pairs: Pairs, family: Family, d| Pairs {
        value: Value::Dependence,
        second: Some(Second {
            d,
            family,
            bandwidths: if family.without_bandwidth() { 1 } else { 1 + d % 2 },
        }),
        ..pairs
    };
    use Family::{Delta, Energy, Gaussian, Imq, Laplace};
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
        (pairs(40, 31, 1, 32, Delta, Differences), at(0, 0, 0)),
        (Pairs { cross: true, ..pairs(40, 30, 3, 32, Gaussian, Differences) }, at(0, 0, 0)),
        // More coordinates than the CPU adds up at a time.
        (pairs(5, 40, NEAR + 3, 32, Gaussian, Expanded), at(0, 0, 0)),
        // Slices of two blocks: rows from the first, columns from the second.
        (Pairs { slice: 2, ..pairs(90, 60, 3, 32, Laplace, Differences) }, at(0, 0, 2)),
        (Pairs { slice: 2, ..pairs(90, 60, 9, 32, Gaussian, Expanded) }, at(1, 2, 4)),
        (Pairs { value: Value::Stein, ..pairs(70, 0, 3, 32, Gaussian, Differences) }, at(0, 0, 0)),
        (Pairs { value: Value::Stein, ..pairs(33, 0, 2, 64, Imq, Differences) }, at(0, 0, 0)),
        (Pairs { value: Value::Stein, slice: 2, ..pairs(90, 0, 17, 32, Imq, Differences) }, at(0, 0, 1)),
        (Pairs { value: Value::Paired, ..pairs(70, 0, 3, 32, Gaussian, Differences) }, at(0, 0, 0)),
        (Pairs { value: Value::Paired, ..pairs(40, 0, 2, 64, Laplace, Differences) }, at(0, 0, 0)),
        (Pairs { value: Value::Paired, ..pairs(65, 0, 5, 32, Imq, Differences) }, at(1, 0, 0)),
        (Pairs { value: Value::Paired, ..pairs(33, 0, 4, 32, Energy, Differences) }, at(0, 0, 0)),
        (dependence(pairs(70, 0, 3, 32, Gaussian, Differences), Laplace, 2), at(0, 0, 0)),
        (dependence(pairs(40, 0, 1, 64, Imq, Differences), Delta, 1), at(0, 0, 0)),
        (dependence(pairs(65, 0, 2, 32, Laplace, Differences), Gaussian, 5), at(1, 0, 0)),
        // Only near pairs: within a block, beyond one, in a band as wide as the slice, from one slice to the next.
        (Pairs { value: Value::Stein, reach: 5, ..pairs(100, 0, 3, 32, Gaussian, Differences) }, at(0, 0, 0)),
        (
            Pairs { value: Value::Paired, reach: 33, ..pairs(129, 0, 2, 32, Laplace, Differences) },
            at(1, 0, 0),
        ),
        (Pairs { value: Value::Stein, reach: 40, ..pairs(90, 0, 2, 32, Imq, Differences) }, at(0, 0, 0)),
        (
            Pairs { reach: 31, slice: 3, ..dependence(pairs(200, 0, 1, 32, Imq, Differences), Laplace, 2) },
            at(2, 0, 3),
        ),
        (Pairs { value: Value::Paired, reach: 7, ..pairs(70, 0, 2, 64, Gaussian, Differences) }, at(0, 0, 0)),
    ]
}

/// Fills the buffers that all kernels over pairs read: points, consistent half norms, scales.
pub(super) fn fill(case: Case, pairs: &Pairs) -> Case {
    let mut case = case;
    if pairs.form == Form::Expanded {
        for points in &mut case.reads[..2] {
            for group in points.chunks_exact_mut(pairs.stride() * LANES) {
                for lane in 0..LANES {
                    let squares = (0..pairs.d).map(|k| group[k * LANES + lane] * group[k * LANES + lane]);
                    group[pairs.d * LANES + lane] = -0.5 * squares.sum::<f32>();
                }
            }
        }
    }
    if pairs.family == Family::Delta || pairs.second().family == Family::Delta {
        // Few different labels, so that some are equal.
        let label = |_: usize, value: f32| (2.0 * value).round();
        case = case.map("rows", label).map("columns", label);
    }
    let scale = |i: usize| {
        let (kernel, i) = (i / pairs.scales_len(), i % pairs.scales_len());
        let factor = 1.0 + 0.5 * kernel as f64;
        match i.checked_sub(pairs.bandwidths) {
            None => pairs.family.scale(factor * (pairs.d as f64).sqrt() * (1.0 + i as f64)) as f32,
            Some(i) => pairs.second().family.scale(factor * (1.0 + i as f64)) as f32,
        }
    };
    case.map("scales", |i, _| scale(i))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_leave_little_empty() {
        let pairs = |n, m| Pairs { n, m, ..case_pairs()[1].0.clone() };
        for (n, m, block) in [(2016, 2016, 288), (2048, 2048, 256), (2000, 1, 224), (3000, 3000, 160)] {
            assert_eq!(pairs(n, m).fitting_block(MOST_POINTS, 0, 1), block, "{n} and {m} points");
        }
    }
}
