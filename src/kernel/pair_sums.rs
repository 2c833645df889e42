//! Sums of the kernel function over blocks of pairs.
//!
//! ```text
//! row_parts[I, J, r]    = sum over c of (k, k^2)(row r of block I, column c of block J)
//! column_parts[I, J, c] = sum over r of (k, k^2)(row r of block I, column c of block J)       I < J
//! ```
//!
//! `rows`, `columns`: slices of the points, `(slice * block, stride)`; `scales`: one a bandwidth; both results
//! `(slab, slice, block, 2)`. Only the wanted tiles of a step ([`super::pairs`]) are written, and of them only
//! what is no padding; k is taken less its centre. A block's pairs with itself are all in the rows: it has no columns.

use super::pairs::{LANES, Pairs, Scratch, Tile, case_pairs, fill, multiply_add, tolerance};
use crate::program::{Buffers, Case, Kernel, Shape, Spec, Step};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use rayon::prelude::*;

/// Row and column sums of k and k^2 of each tile.
#[derive(Clone, Debug)]
pub struct PairSums {
    /// Which pairs of what.
    pub pairs: Pairs,
}

/// See the module.
pub static SPEC: Spec = Spec {
    name: "pair_sums",
    formula: "row sums and column sums of k(x, z), k(x, z)^2",
    source: concat!(
        include_str!("../../shaders/pair_sums.wgsl"),
        include_str!("../../shaders/lib/pairs.wgsl"),
        include_str!("../../shaders/lib/exponential.wgsl"),
        include_str!("../../shaders/lib/distances.wgsl"),
        include_str!("../../shaders/lib/tiles.wgsl"),
        include_str!("../../shaders/lib/product.wgsl"),
        include_str!("../../shaders/lib/step.wgsl")
    ),
    reads: &["rows", "columns", "scales"],
    writes: &["row_parts", "column_parts"],
    words: &[],
    partial_sums: None,
    cases,
};

/// Sums that a point has in a part: k and k^2.
pub const TERMS: usize = 2;

/// Words of `row_parts` and of `column_parts`.
pub(super) fn parts_len(pairs: &Pairs) -> usize {
    pairs.slab * pairs.slice * pairs.block * TERMS
}

impl Kernel for PairSums {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let pairs = &self.pairs;
        Shape::new(
            [pairs.slice_len(), pairs.slice_len(), pairs.bandwidths],
            [parts_len(pairs), parts_len(pairs)],
            [pairs.slice, pairs.slab],
            pairs.evaluations() * pairs.flop_each(),
        )
    }

    fn params(&self) -> Vec<u32> {
        self.pairs.params()
    }

    fn overrides(&self) -> Vec<(&'static str, f64)> {
        self.pairs.overrides()
    }

    fn iterations(&self) -> usize {
        self.pairs.iterations(0)
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let (inputs, [row_parts, column_parts]) = buffers.split();
        self.pairs.tiles(step).for_each(|tile| {
            reference_sums(&self.pairs, inputs, &tile, row_parts, column_parts);
        });
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let (inputs, [row_parts, column_parts]) = buffers.split();
        let part = self.pairs.block * TERMS;
        let parts = row_parts.par_chunks_exact_mut(part).zip(column_parts.par_chunks_exact_mut(part));
        let scratch = || (Scratch::default(), ColumnSums::default());
        parts.enumerate().for_each_init(scratch, |(scratch, columns), (index, (row_part, column_part))| {
            let (y, x) = (index / self.pairs.slice, index % self.pairs.slice);
            if let Some(tile) = self.pairs.tile(step, y, x) {
                columns.clear(self.pairs.pitch());
                self.pairs.values(inputs, &tile, scratch, |first, values| {
                    row_sums(values, self.pairs.pitch(), &mut row_part[first * TERMS..]);
                    columns.add(values);
                });
                columns.finish(&tile, column_part);
            }
        });
    }

    fn tolerance(&self) -> f64 {
        tolerance(&self.pairs)
    }
}

/// The f64 truth of one tile's sums.
pub(super) fn reference_sums(
    pairs: &Pairs,
    inputs: [&[f64]; 3],
    tile: &Tile,
    row_parts: &mut [f64],
    column_parts: &mut [f64],
) {
    let part = pairs.part(tile) * pairs.block;
    let write = |parts: &mut [f64], point: usize, values: &[f64]| {
        parts[(part + point) * TERMS] = values.iter().sum();
        parts[(part + point) * TERMS + 1] = values.iter().map(|k| k * k).sum();
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
pub(super) fn row_sums(values: &[f32], pitch: usize, sums: &mut [f32]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    for (row, sums) in values.chunks_exact(pitch).zip(sums.chunks_exact_mut(TERMS)) {
        let (mut first, mut second) = ([0.0f32; LANES], [0.0f32; LANES]);
        for values in row.chunks_exact(LANES) {
            for (lane, value) in values.iter().enumerate() {
                first[lane] += value;
                second[lane] = multiply_add::<FUSED>(*value, *value, second[lane]);
            }
        }
        sums[0] = total(first);
        sums[1] = total(second);
    }
}

/// Column sums of a tile, from a few rows at a time: sums of sums, which round less.
#[derive(Default)]
pub(super) struct ColumnSums {
    k: Vec<f32>,
    k2: Vec<f32>,
}

impl ColumnSums {
    /// Starts a tile.
    pub(super) fn clear(&mut self, pitch: usize) {
        for sums in [&mut self.k, &mut self.k2] {
            sums.clear();
            sums.resize(pitch, 0.0);
        }
    }

    /// Adds rows.
    pub(super) fn add(&mut self, rows: &[f32]) {
        column_sums(rows, &mut self.k, &mut self.k2);
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
fn column_sums(rows: &[f32], sums: &mut [f32], squares: &mut [f32]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let pitch = sums.len();
    for first in (0..pitch).step_by(LANES) {
        let (mut k, mut k2) = ([0.0f32; LANES], [0.0f32; LANES]);
        for row in rows.chunks_exact(pitch) {
            let row: &[f32; LANES] = row[first..][..LANES].try_into().expect("whole vectors");
            for lane in 0..LANES {
                k[lane] += row[lane];
                k2[lane] = multiply_add::<FUSED>(row[lane], row[lane], k2[lane]);
            }
        }
        let add = |sums: &mut [f32], lanes: [f32; LANES]| {
            let sums: &mut [f32; LANES] = (&mut sums[first..][..LANES]).try_into().expect("whole vectors");
            sums.iter_mut().zip(lanes).for_each(|(sum, lane)| *sum += lane);
        };
        add(sums, k);
        add(squares, k2);
    }
}

/// The sum over all lanes, halves added pairwise.
#[inline(always)]
fn total(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

fn cases() -> Vec<Case> {
    // Blocks of five points: these kernels take bins of any size as blocks.
    let mut sizes = case_pairs();
    let (pairs, step) = sizes[1].clone();
    let small = Pairs { block: 5, ..pairs };
    sizes.push((Pairs { slice: small.blocks(), ..small }, step));
    sizes
        .into_iter()
        .map(|(pairs, step)| {
            let case = Case::new(PairSums { pairs: pairs.clone() });
            Case { step, ..fill(case, &pairs) }
        })
        .collect()
}
