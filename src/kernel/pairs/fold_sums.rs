//! Adds the parts of [`super::pair_sums`] to the sums of each point.
//!
//! ```text
//! rows:     sums[class(J), I, k, row r] += sum over J of row_parts[I, J, k, r]
//! columns:  sums[class(I), J, k, column c] += sum over I < J of column_parts[I, J, k, c]
//! ```
//!
//! `sums: (2, blocks, kernels, block, 2)`: with the points of X and with those of Y; of k and of k^2. Always in the
//! order of the blocks, so that the same run gives the same bits.

use super::pair_sums::{TERMS, parts_len};
use super::{Pairs, case_pairs};
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Shape, Spec, Step};

/// Which parts are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Those of the rows of each tile.
    Rows,
    /// Those of the columns.
    Columns,
}

/// Adds one step's parts.
#[derive(Clone, Debug)]
pub struct FoldSums {
    /// Which pairs of what.
    pub pairs: Pairs,
    /// Of rows or of columns.
    pub side: Side,
    /// How many kernels.
    pub kernels: usize,
}

pub(crate) static SPEC: Spec =
    Spec::new("fold_sums", "sums[class, point] += its parts", wgsl!("pairs/fold_sums", "tiles", "step"))
        .reads(&["parts"])
        .writes(&["sums"])
        .cases(cases);

/// Threads of a workgroup; each adds up one sum of one point.
pub(super) const THREADS: usize = 64;

/// Words of `sums` for a kernel.
pub fn sums_len(pairs: &Pairs) -> usize {
    2 * pairs.blocks() * pairs.block * TERMS
}

impl FoldSums {
    /// Adds parts in the order of the tiles; the same for both precisions.
    fn fold<T: Copy + std::ops::AddAssign>(&self, step: &Step, parts: &[T], sums: &mut [T]) {
        let pairs = &self.pairs;
        let (half, terms) = (self.kernels * sums_len(pairs) / 2, pairs.block * TERMS);
        for tile in pairs.tiles(step) {
            let (point_block, other, count) = match self.side {
                Side::Rows => (tile.i, tile.j, tile.rows),
                Side::Columns if tile.i < tile.j => (tile.j, tile.i, tile.columns),
                Side::Columns => continue,
            };
            for kernel in 0..self.kernels {
                let place = |block: usize| (block * self.kernels + kernel) * terms;
                let part = &parts[place(pairs.part(&tile))..][..count * TERMS];
                let first = pairs.class(other) * half + place(point_block);
                sums[first..][..count * TERMS].iter_mut().zip(part).for_each(|(sum, part)| *sum += *part);
            }
        }
    }
}

impl Kernel for FoldSums {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let pairs = &self.pairs;
        let blocks = match self.side {
            Side::Rows => pairs.slab,
            Side::Columns if pairs.band() < pairs.slice => pairs.slab + pairs.band() - 1,
            Side::Columns => pairs.slice,
        };
        let groups = (self.kernels * pairs.block * TERMS).div_ceil(THREADS);
        let parts = self.kernels * parts_len(pairs);
        Shape::new([parts], [self.kernels * sums_len(pairs)], [groups, blocks], parts)
    }

    fn params(&self) -> Vec<u32> {
        [self.pairs.params(), words([self.pairs.slab, self.kernels])].concat()
    }

    fn overrides(&self) -> Vec<(&'static str, f64)> {
        vec![("THREADS", THREADS as f64), ("ROWS", f64::from(u8::from(self.side == Side::Rows)))]
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let ([parts], [sums]) = buffers.split();
        self.fold(step, parts, sums);
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let ([parts], [sums]) = buffers.split();
        self.fold(step, parts, sums);
    }

    fn tolerance(&self) -> f64 {
        f64::from(f32::EPSILON) * 4.0
    }
}

fn cases() -> Vec<Case> {
    case_pairs()
        .into_iter()
        .flat_map(|(pairs, step)| {
            [(Side::Rows, 1), (Side::Columns, 1), (Side::Rows, 2), (Side::Columns, 3)].map(
                |(side, kernels)| {
                    let case = Case::new(FoldSums { pairs: pairs.clone(), side, kernels });
                    Case { step, ..case }.map("sums", |i, _| (i % 13) as f32)
                },
            )
        })
        .collect()
}
