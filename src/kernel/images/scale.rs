//! A gradient for sigma 1 made one for the sigma of this step.
//!
//! ```text
//! dl[b, d] = dl[b, d] / sigma^2
//! ```
//!
//! `dl: (B, D)`, in place; `sigma_state: (4)` of [`super::sigma`].

use super::sigma::{INVERSE_VARIANCE, STATE};
use crate::kernel::product::THREADS;
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use rayon::prelude::*;

/// Division by sigma^2.
#[derive(Clone, Debug)]
pub struct Scale {
    /// B.
    pub batch: usize,
    /// D.
    pub dimension: usize,
}

pub(crate) static SPEC: Spec = Spec::new("scale", "dl /= sigma^2", wgsl!("images/scale"))
    .reads(&["sigma_state"])
    .writes(&["dl"])
    .cases(cases);

impl Kernel for Scale {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { batch, dimension } = *self;
        let pixels = batch * dimension;
        let shape = Shape::new([STATE], [pixels], pixels);
        // The gradient is read as well as written.
        Shape { bytes: shape.bytes + 4 * pixels as u64, ..shape }
    }

    fn params(&self) -> Vec<u32> {
        words([self.dimension])
    }

    fn overrides(&self) -> Overrides {
        Overrides::of("THREADS", THREADS)
    }

    fn variants(&self) -> Vec<Variant> {
        Variant::only([self.dimension.div_ceil(THREADS), self.batch])
    }

    fn reference(&self, _: &Step, buffers: Buffers<'_, f64>) {
        let ([sigma_state], [dl]) = buffers.split();
        dl.iter_mut().for_each(|dl| *dl *= sigma_state[INVERSE_VARIANCE]);
    }

    fn cpu(&self, _: &Step, buffers: Buffers<'_, f32>) {
        let ([sigma_state], [dl]) = buffers.split();
        let factor = sigma_state[INVERSE_VARIANCE];
        dl.par_chunks_mut(dl.len().div_ceil(rayon::current_num_threads()))
            .for_each(|dl| dl.iter_mut().for_each(|dl| *dl *= factor));
    }

    fn tolerance(&self) -> f64 {
        f64::from(f32::EPSILON)
    }
}

fn cases() -> Vec<Case> {
    [(1, 1), (3, 63), (2, 64), (5, 65), (7, 301)]
        .map(|(batch, dimension)| {
            Case::new(Scale { batch, dimension }).map("dl", |i, _| (i % 13) as f32 - 6.0)
        })
        .into()
}
