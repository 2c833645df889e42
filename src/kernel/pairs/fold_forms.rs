//! Adds the parts of [`super::pair_forms`] to the forms of each row block.
//!
//! ```text
//! forms[I, b] += sum over J of form_parts[I, J, b]
//! ```
//!
//! `forms: (blocks, draws)`. The host adds up the row blocks in f64: one f32 total of a large sample would be
//! too coarse.

use super::fold_sums::THREADS;
use super::{Pairs, case_pairs};
use crate::program::{Buffers, Case, Kernel, Shape, Spec, Step};

/// Adds one step's parts.
#[derive(Clone, Debug)]
pub struct FoldForms {
    /// Which pairs of what.
    pub pairs: Pairs,
    /// How many vectors.
    pub draws: usize,
}

pub(crate) static SPEC: Spec =
    Spec::new("fold_forms", "forms[block, b] += its parts", wgsl!("pairs/fold_forms", "tiles", "step"))
        .reads(&["form_parts"])
        .writes(&["forms"])
        .cases(cases);

impl FoldForms {
    /// Adds parts in the order of the tiles; the same for both precisions.
    fn fold<T: Copy + std::ops::AddAssign>(&self, step: &Step, parts: &[T], forms: &mut [T]) {
        for tile in self.pairs.tiles(step) {
            let part = &parts[self.pairs.part(&tile) * self.draws..][..self.draws];
            let forms = &mut forms[tile.i * self.draws..][..self.draws];
            forms.iter_mut().zip(part).for_each(|(form, part)| *form += *part);
        }
    }
}

impl Kernel for FoldForms {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { pairs, draws } = self;
        let parts = pairs.slab * pairs.band() * draws;
        let grid = [draws.div_ceil(THREADS), pairs.slab];
        Shape::new([parts], [pairs.blocks() * draws], grid, parts)
    }

    fn params(&self) -> Vec<u32> {
        [self.pairs.params(), vec![self.draws as u32]].concat()
    }

    fn overrides(&self) -> Vec<(&'static str, f64)> {
        vec![("THREADS", THREADS as f64)]
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let ([parts], [forms]) = buffers.split();
        self.fold(step, parts, forms);
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let ([parts], [forms]) = buffers.split();
        self.fold(step, parts, forms);
    }

    fn tolerance(&self) -> f64 {
        f64::from(f32::EPSILON) * 4.0
    }
}

fn cases() -> Vec<Case> {
    case_pairs()
        .into_iter()
        .enumerate()
        .map(|(i, (pairs, step))| {
            let case = Case::new(FoldForms { pairs, draws: [1, 3, 64, 65][i % 4] });
            Case { step, ..case }.map("forms", |i, _| (i % 13) as f32)
        })
        .collect()
}
