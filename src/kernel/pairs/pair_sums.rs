//! Sums of the kernel function over blocks of pairs.
//!
//! ```text
//! row_parts[I, J, r]    = sum over c of (k, k^2)(row r of block I, column c of block J)
//! column_parts[I, J, c] = sum over r of (k, k^2)(row r of block I, column c of block J)       I < J
//! ```
//!
//! `rows`, `columns`: slices of the points ([`super`]); `scales`: one a bandwidth; both results
//! `(slab, band, block, 2)`. Only the wanted tiles of a step are written, and of them only what is no padding; k is
//! taken less its centre, and the sums of its squares are 0 unless they are wanted. A block's pairs with itself are
//! all in the rows: it has no columns.
//!
//! On the GPU each thread has 4 x 4 values of every tile of a strip, up to four tiles side by side. It adds up columns
//! from the first row of the block to the last in registers, where few coordinates of the columns stay too; row sums go to
//! workgroup memory every four tiles.

use super::cases::{case_pairs, fill};
use super::layout::Tile;
use super::values::Scratch;
use super::{Function, LANES, Layout, MOST_POINTS, Pairs, Value, multiply_add, tolerance};
use crate::kernel::product::ProductSizes;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use rayon::prelude::*;

/// Row and column sums of k and k^2 of each tile.
#[derive(Clone, Debug)]
pub struct PairSums {
    /// Which pairs of what.
    pub pairs: Pairs,
    /// Whether sums of k^2 are wanted too.
    pub squares: bool,
}

pub(crate) static SPEC: Spec = Spec::new(
    "pair_sums",
    "row sums and column sums of k(x, z), k(x, z)^2",
    wgsl!("pairs/pair_sums", "values", "family", "exponential", "distances", "tiles", "product", "step"),
)
.reads(&["rows", "columns", "scales"])
.writes(&["row_parts", "column_parts"])
.cases(cases);

/// Sums that a point has in a part: k and k^2.
pub const TERMS: usize = 2;

/// Words of `row_parts` and of `column_parts`.
pub(super) fn parts_len(pairs: &Pairs) -> usize {
    pairs.layout.slab * pairs.layout.band() * pairs.layout.block * TERMS
}

impl Kernel for PairSums {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let pairs = &self.pairs;
        Shape::new(
            [pairs.slice_len(), pairs.slice_len(), pairs.function.scales_len()],
            [parts_len(pairs), parts_len(pairs)],
            pairs.layout.evaluations() * pairs.function.flop_each(),
        )
    }

    fn params(&self) -> Vec<u32> {
        self.pairs.params()
    }

    fn overrides(&self) -> Overrides {
        self.pairs.value_overrides().set("SQUARES", self.squares).set("STRIP", self.pairs.strip(self.squares))
    }

    fn variants(&self) -> Vec<Variant> {
        self.pairs.one_variant(self.pairs.iterations(0, 1))
    }

    fn plain(&self) -> Option<Variant> {
        let (block, Function { d, bandwidths, family, value, .. }) =
            (self.pairs.layout.block, self.pairs.function);
        let threads = ProductSizes::PLAIN_THREADS;
        let overrides = Overrides::of("FAMILY", family as u8)
            .set("SQUARES", self.squares)
            .set("BANDWIDTHS", bandwidths)
            .set("THREADS", threads)
            .set("TILE", LANES);
        let source = wgsl!("plain/pair_sums", "tiles", "family", "exponential", "step");
        let grid = [self.pairs.layout.band() * block.div_ceil(threads), self.pairs.layout.slab];
        // Each thread goes through a row and a column.
        let iterations = 2 * block * (1 + d + bandwidths);
        (value == Value::Kernel).then(|| Variant::plain(source, overrides, grid).iterations(iterations))
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let (inputs, [row_parts, column_parts]) = buffers.split();
        self.pairs.layout.reference_tiles(step).for_each(|tile| {
            let part = self.pairs.layout.part(&tile);
            reference_sums(
                &self.pairs,
                self.squares,
                inputs,
                &tile,
                part,
                [&mut *row_parts, &mut *column_parts],
            );
        });
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let (inputs, [row_parts, column_parts]) = buffers.split();
        let part = self.pairs.layout.block * TERMS;
        let parts = row_parts.par_chunks_exact_mut(part).zip(column_parts.par_chunks_exact_mut(part));
        let scratch = || (Scratch::default(), ColumnSums::default());
        parts.enumerate().for_each_init(scratch, |(scratch, columns), (index, (row_part, column_part))| {
            let (y, x) = (index / self.pairs.layout.band(), index % self.pairs.layout.band());
            if let Some(tile) = self.pairs.layout.tile(step, y, x) {
                columns.clear(tile.width());
                self.pairs.values(inputs, &tile, scratch, |_, first, values| {
                    let sums = &mut row_part[first * TERMS..];
                    if self.squares {
                        row_sums::<true>(values, tile.width(), sums);
                        columns.add::<true>(values);
                    } else {
                        row_sums::<false>(values, tile.width(), sums);
                        columns.add::<false>(values);
                    }
                });
                columns.finish(&tile, column_part);
            }
        });
    }

    fn tolerance(&self) -> f64 {
        tolerance(&self.pairs)
    }
}

/// The f64 truth of one tile's sums; `part` is their place among the parts.
pub(super) fn reference_sums(
    pairs: &Pairs,
    squares: bool,
    inputs: [&[f64]; 3],
    tile: &Tile,
    part: usize,
    [row_parts, column_parts]: [&mut [f64]; 2],
) {
    let part = part * pairs.layout.block;
    let write = |parts: &mut [f64], point: usize, values: &[f64]| {
        parts[(part + point) * TERMS] = values.iter().sum();
        parts[(part + point) * TERMS + 1] = if squares { values.iter().map(|k| k * k).sum() } else { 0.0 };
    };
    for r in 0..tile.rows {
        let row: Vec<f64> = (0..tile.columns).map(|c| pairs.truth(inputs, tile, [r, c])).collect();
        write(row_parts, r, &row);
    }
    if tile.i < tile.j {
        for c in 0..tile.columns {
            let column: Vec<f64> = (0..tile.rows).map(|r| pairs.truth(inputs, tile, [r, c])).collect();
            write(column_parts, c, &column);
        }
    }
}

/// Row sums of some rows of a tile.
#[multiversion(targets = "simd")]
pub(super) fn row_sums<const SQUARES: bool>(values: &[f32], width: usize, sums: &mut [f32]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    for (row, sums) in values.chunks_exact(width).zip(sums.chunks_exact_mut(TERMS)) {
        let (mut k, mut k2) = ([0.0f32; LANES], [0.0f32; LANES]);
        for values in row.as_chunks::<LANES>().0 {
            for lane in 0..LANES {
                k[lane] += values[lane];
                if SQUARES {
                    k2[lane] = multiply_add::<FUSED>(values[lane], values[lane], k2[lane]);
                }
            }
        }
        sums[0] = total(&k);
        sums[1] = if SQUARES { total(&k2) } else { 0.0 };
    }
}

/// The sum over all lanes. Not inlined: in a loop over rows, the compiler would gather the same lane of many rows.
#[inline(never)]
pub(super) fn total(lanes: &[f32; LANES]) -> f32 {
    let mut sums = [0.0f32; 4];
    for lanes in lanes.as_chunks::<4>().0 {
        for (sum, lane) in sums.iter_mut().zip(lanes) {
            *sum += lane;
        }
    }
    (sums[0] + sums[2]) + (sums[1] + sums[3])
}

/// Column sums of a tile, from a few rows at a time: sums of sums, which round less.
#[derive(Default)]
pub(super) struct ColumnSums {
    k: Vec<f32>,
    k2: Vec<f32>,
}

impl ColumnSums {
    /// Starts a tile.
    pub(super) fn clear(&mut self, width: usize) {
        for sums in [&mut self.k, &mut self.k2] {
            sums.clear();
            sums.resize(width, 0.0);
        }
    }

    /// Adds rows.
    pub(super) fn add<const SQUARES: bool>(&mut self, rows: &[f32]) {
        column_sums::<SQUARES>(rows, &mut self.k, &mut self.k2);
    }

    /// Writes the sums, unless a block was paired with itself.
    pub(super) fn finish(&self, tile: &Tile, part: &mut [f32]) {
        if tile.i < tile.j {
            let sums = self.k.iter().zip(&self.k2).take(tile.columns);
            for (part, (k, k2)) in part.chunks_exact_mut(TERMS).zip(sums) {
                part.copy_from_slice(&[*k, *k2]);
            }
        }
    }
}

#[multiversion(targets = "simd")]
fn column_sums<const SQUARES: bool>(rows: &[f32], sums: &mut [f32], squares: &mut [f32]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let width = sums.len();
    let all = sums.as_chunks_mut::<LANES>().0.iter_mut().zip(squares.as_chunks_mut::<LANES>().0);
    for (group, (sums, squares)) in all.enumerate() {
        let (mut k, mut k2) = ([0.0f32; LANES], [0.0f32; LANES]);
        for row in rows.chunks_exact(width) {
            let row = &row.as_chunks::<LANES>().0[group];
            for lane in 0..LANES {
                k[lane] += row[lane];
                if SQUARES {
                    k2[lane] = multiply_add::<FUSED>(row[lane], row[lane], k2[lane]);
                }
            }
        }
        for lane in 0..LANES {
            sums[lane] += k[lane];
            squares[lane] += k2[lane];
        }
    }
}

fn cases() -> Vec<Case> {
    let mut sizes = case_pairs();
    let (pairs, step) = sizes[1];
    // Blocks of five points: these kernels take bins of any size as blocks. Then of three tiles, of five, of which the
    // shader takes three and then two, and of the most.
    for (n, m, block) in [(31, 33, 5), (95, 33, 96), (157, 150, 150), (290, 30, MOST_POINTS)] {
        let layout = Layout { n, m, block, ..pairs.layout };
        sizes.push((Pairs { layout: Layout { slice: layout.blocks(), ..layout }, ..pairs }, step));
    }
    sizes
        .into_iter()
        .enumerate()
        .map(|(i, (pairs, step))| {
            let case = Case::new(PairSums { pairs, squares: i % 3 > 0 });
            Case { step, ..fill(case, &pairs) }
        })
        .collect()
}
