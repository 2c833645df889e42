//! Sums of the kernel function between bins of points: whole blocks, or several of them.
//!
//! ```text
//! totals[I, bin] += sum over J in the bin, r of row_parts[I, J, r].k
//! ```
//!
//! `totals: (blocks, bins)`. A bin is `blocks_per_bin` blocks of one sample. This table is all that a test
//! needs whose permutations move whole bins (Domingo-Enrich, Dwivedi, Mackey, "Cheap permutation testing",
//! arXiv 2502.07672).

use super::fold_sums::THREADS;
use super::pair_sums::{TERMS, parts_len};
use super::{Pairs, case_pairs};
use crate::program::{Buffers, Case, Kernel, Shape, Spec, Step};

/// Adds one step's parts.
#[derive(Clone, Debug)]
pub struct BlockTotals {
    /// Which pairs of what.
    pub pairs: Pairs,
    /// Blocks of a bin.
    pub blocks_per_bin: usize,
}

pub(crate) static SPEC: Spec = Spec::new(
    "block_totals",
    "totals[block, bin] += its row_parts",
    wgsl!("pairs/block_totals", "tiles", "step"),
)
.reads(&["row_parts"])
.writes(&["totals"])
.cases(cases);

impl BlockTotals {
    /// Bins of X.
    pub fn bins_of_x(&self) -> usize {
        self.pairs.blocks_of_x().div_ceil(self.blocks_per_bin)
    }

    /// Bins of both samples.
    pub fn bins(&self) -> usize {
        let blocks_of_y = self.pairs.blocks() - self.pairs.blocks_of_x();
        self.bins_of_x() + blocks_of_y.div_ceil(self.blocks_per_bin)
    }

    /// The bin of block `i`.
    pub fn bin(&self, i: usize) -> usize {
        match i.checked_sub(self.pairs.blocks_of_x()) {
            None => i / self.blocks_per_bin,
            Some(i) => self.bins_of_x() + i / self.blocks_per_bin,
        }
    }

    /// Adds parts in the order of the tiles; the same for both precisions.
    fn fold<T: Copy + std::ops::AddAssign + std::iter::Sum<T>>(
        &self,
        step: &Step,
        parts: &[T],
        totals: &mut [T],
    ) {
        for tile in self.pairs.tiles(step) {
            let first = self.pairs.part(&tile) * self.pairs.block * TERMS;
            let part = &parts[first..][..tile.rows * TERMS];
            totals[tile.i * self.bins() + self.bin(tile.j)] += part.iter().step_by(TERMS).copied().sum();
        }
    }
}

impl Kernel for BlockTotals {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let pairs = &self.pairs;
        let grid = [self.bins().div_ceil(THREADS), pairs.slab];
        let parts = parts_len(pairs);
        Shape::new([parts], [pairs.blocks() * self.bins()], grid, parts)
    }

    fn params(&self) -> Vec<u32> {
        [self.pairs.params(), vec![self.blocks_per_bin as u32, self.bins() as u32]].concat()
    }

    fn overrides(&self) -> Vec<(&'static str, f64)> {
        vec![("THREADS", THREADS as f64)]
    }

    fn iterations(&self) -> usize {
        self.pairs.band() + self.blocks_per_bin.min(self.pairs.band()) * self.pairs.block
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let ([parts], [totals]) = buffers.split();
        self.fold(step, parts, totals);
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let ([parts], [totals]) = buffers.split();
        self.fold(step, parts, totals);
    }

    fn tolerance(&self) -> f64 {
        f64::from(f32::EPSILON) * 16.0
    }
}

fn cases() -> Vec<Case> {
    case_pairs()
        .into_iter()
        .enumerate()
        .map(|(i, (pairs, step))| {
            let case = Case::new(BlockTotals { pairs, blocks_per_bin: 1 + i % 3 });
            Case { step, ..case }.map("totals", |i, _| (i % 13) as f32)
        })
        .collect()
}
