//! Kernels over pairs of points: where the points lie, which pairs a step takes, and the values
//! of the kernel function k between two blocks of points.
//!
//! ```text
//! points   X: n points, then Y: m points, each sample cut into blocks of `block` points
//! memory   (groups, stride, LANES): LANES points side by side, coordinate after coordinate; a block is whole
//!          groups, padded where points are missing
//! ```
//!
//! In place of k(x, z) of a [`Family`] a step may take another symmetric function h of two items, with d + d numbers each:
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

mod cases;
mod family;
pub mod fold;
mod function;
mod lanes;
mod layout;
pub mod pair_forms;
pub mod pair_gradient;
pub mod pair_histogram;
pub mod pair_products;
pub mod pair_sums;
mod values;

pub use family::{Family, norm};
pub use function::{Form, Function, Second, Value};
pub(crate) use lanes::{LANES, multiply_add};
pub use layout::{Layout, MOST_POINTS, UNLIMITED};

use super::product::{THREADS, TILE, tile_overrides};
use crate::kernel::words::words;
use crate::program::{MOST_ITERATIONS, Overrides, Variant};
use layout::Tile;

/// Most coordinates that threads read for themselves.
const FEW: usize = 4;

/// Most factors of distances in workgroup memory at a time: 7 KiB for both operands.
const MOST_DEPTH: usize = 24;

/// Two samples in blocks, and what is summed of each pair of them.
#[derive(Clone, Copy, Debug)]
pub struct Pairs {
    /// Where points lie, and which tiles a step takes.
    pub layout: Layout,
    /// The function of two items that is summed.
    pub function: Function,
}

impl Pairs {
    /// These pairs in blocks of another size.
    pub fn with_block(self, block: usize) -> Self {
        Self { layout: Layout { block, ..self.layout }, ..self }
    }

    /// Words of the buffers `rows` and `columns`.
    pub fn slice_len(&self) -> usize {
        self.layout.slice * self.layout.pitch() * self.function.stride()
    }

    /// Where number `k` of the point at a place is in memory.
    pub fn word(&self, place: usize, k: usize) -> usize {
        (place / LANES * self.function.stride() + k) * LANES + place % LANES
    }

    /// `count` numbers of the point at a place, in f64.
    fn numbers(&self, points: &[f64], place: usize, count: usize) -> Vec<f64> {
        (0..count).map(|k| points[self.word(place, k)]).collect()
    }

    /// Loop iterations of a workgroup for `draws` label vectors and several kernels, a little more than there are.
    pub fn iterations(&self, draws: usize, kernels: usize) -> usize {
        // Columns in whole strips, as pair_sums takes them.
        let (side, strip) = (self.layout.block.div_ceil(TILE), self.strip(false));
        let tiles = side * side.next_multiple_of(strip);
        let product = match self.function.value {
            Value::Kernel => {
                let depth = self.function.d + 2;
                let at_once = self.depth_at_once();
                let of_tile = match self.few() {
                    0 => depth.div_ceil(at_once) * (1 + at_once / 4 + (TILE * at_once / 4).div_ceil(THREADS)),
                    few => few,
                };
                if strip > 1 { of_tile.max(depth.div_ceil(strip)) } else { of_tile }
            }
            Value::Stein => 1 + self.function.d,
            Value::Paired => 4 * (6 + self.function.d),
            Value::Dependence => 4 * (12 + self.function.d + self.function.second().d),
        };
        let values = 4 * (5 + 4 * self.function.scales_len()) + TILE;
        let forms = draws.div_ceil(THREADS) * (1 + TILE);
        tiles * (1 + product + kernels * (1 + values + forms)) + TILE
    }

    /// Points of a block, at most `most`, so that a workgroup's loops stay below [`MOST_ITERATIONS`]: the largest
    /// block that fits, or one more than half as large if that leaves less of the last blocks empty.
    pub fn fitting_block(&self, most: usize, draws: usize, kernels: usize) -> usize {
        let fits = |&block: &usize| self.with_block(block).iterations(draws, kernels) <= MOST_ITERATIONS;
        let largest = (1..=most / TILE).rev().find(|tiles| fits(&(tiles * TILE))).unwrap_or(1);
        let places =
            |block: &usize| self.layout.n.next_multiple_of(*block) + self.layout.m.next_multiple_of(*block);
        let blocks = (largest / 2 + 1..=largest).rev().map(|tiles| tiles * TILE);
        blocks.min_by_key(places).unwrap_or(TILE)
    }

    /// The words of `Pairs`, the head of the shaders' uniform blocks.
    fn params(&self) -> Vec<u32> {
        let second = self.function.second();
        words([
            self.layout.n,
            self.layout.m,
            self.function.stride(),
            self.layout.block,
            self.layout.slice,
            usize::from(self.layout.cross),
            self.function.d,
            // There are never more points than 32 bits can count.
            self.layout.reach.min(u32::MAX as usize),
            self.layout.band(),
            second.d,
            // Unused.
            0,
            0,
        ])
    }

    /// The number of coordinates, if there are so few that no workgroup memory is used for them; else 0.
    fn few(&self) -> usize {
        let Function { d, form, .. } = self.function;
        if self.function.value == Value::Kernel && form == Form::Differences && d <= FEW { d } else { 0 }
    }

    /// Tiles side by side that pair_sums takes together, up to the MOST of its shader. Few coordinates of the columns stay
    /// in registers beside their sums, and some GPUs have 256 a thread: with more of both, half as many tiles.
    fn strip(&self, squares: bool) -> usize {
        let kept = self.few() + 2 * usize::from(squares);
        self.layout.strip(if self.few() > 0 && kept > 2 { 2 } else { 4 })
    }

    /// Factors of a distance that are in workgroup memory at a time: all of few, or about equal shares, so that hardly
    /// any of them is padding. The shader takes four at once.
    fn depth_at_once(&self) -> usize {
        let Function { d, .. } = self.function;
        let depth = if self.function.stride() > d { d + 2 } else { d };
        depth.div_ceil(depth.div_ceil(MOST_DEPTH).max(1)).next_multiple_of(4)
    }

    /// The `override` constants of `shaders/lib/distances.wgsl`.
    fn distance_overrides(&self) -> Overrides {
        tile_overrides([TILE, TILE], self.depth_at_once())
            .set("TILE", TILE)
            .set("FEW", self.few())
            .set("COMBINE", self.function.combination() as u8)
    }

    /// Those of `shaders/lib/values.wgsl`.
    fn value_overrides(&self) -> Overrides {
        self.distance_overrides()
            .set("FAMILY", self.function.family as u8)
            .set("VALUE", self.function.value as u8)
            .set("FAMILY_SECOND", self.function.second().family as u8)
            .set("BANDWIDTHS", self.function.bandwidths)
            .set("BANDWIDTHS_SECOND", self.function.second().bandwidths)
    }

    /// One workgroup for each tile of blocks, whose loops have so many iterations.
    fn one_variant(&self, iterations: usize) -> Vec<Variant> {
        vec![Variant::new("", [self.layout.band(), self.layout.slab]).iterations(iterations)]
    }

    /// The truth: the function of row r and column c of a tile, 0 where both are the same point or out of reach.
    fn truth(&self, [rows, columns, scales]: [&[f64]; 3], tile: &Tile, [r, c]: [usize; 2]) -> f64 {
        let Layout { block, reach, .. } = self.layout;
        let distance = (tile.j * block + c).abs_diff(tile.i * block + r);
        if (tile.i == tile.j && r == c) || distance > reach {
            return 0.0;
        }
        let item = |points, place| self.numbers(points, place, self.function.stride());
        let (x, z) = (item(rows, tile.first_row + r), item(columns, tile.first_column + c));
        self.function.reference(scales, &x, &z)
    }
}

/// Error of a sum of kernel values of `d` coordinates relative to the largest of its buffer: distances carry
/// about sqrt(d) roundings, which k damps, and the sum over a block a few more.
fn tolerance(pairs: &Pairs) -> f64 {
    f64::from(f32::EPSILON) * (8.0 + (pairs.function.d as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_leave_little_empty() {
        let pairs = |n, m| Pairs { layout: Layout::new([n, m]), ..cases::case_pairs()[1].0 };
        for (n, m, block) in [(2016, 2016, 288), (2048, 2048, 256), (2000, 1, 224), (3000, 3000, 160)] {
            assert_eq!(pairs(n, m).fitting_block(MOST_POINTS, 0, 1), block, "{n} and {m} points");
        }
    }
}
