//! Draws from the prior.
//!
//! ```text
//! z[r, j] ~ N(0, 1)
//! ```
//!
//! `z: (R, M)`: the normal number of (seed, step, first + r, j), from Philox4x32-10 and Box-Muller
//! ([`crate::random`]).

use super::product::words;
use crate::numeric::vectorized;
use crate::program::{Buffers, Case, Kernel, Shape, Spec, Step};
use crate::random::{Stream, normal_pair, philox};
use rayon::prelude::*;

/// Fills a matrix with independent standard normal numbers.
#[derive(Clone, Debug)]
pub struct Normal {
    /// R.
    pub rows: usize,
    /// M.
    pub columns: usize,
    /// Which random numbers.
    pub stream: Stream,
}

/// See the module.
pub static SPEC: Spec = Spec {
    name: "normal",
    formula: "z ~ N(0, I)",
    source: concat!(
        include_str!("../../shaders/normal.wgsl"),
        include_str!("../../shaders/lib/random.wgsl"),
        include_str!("../../shaders/lib/step.wgsl")
    ),
    reads: &[],
    writes: &["z"],
    words: &[],
    partial_sums: None,
    cases,
};

/// Threads of a workgroup; each makes one pair of numbers.
const THREADS: usize = 64;

/// The normal numbers of elements 2 pair and 2 pair + 1 of one row: four words make two pairs.
#[inline(always)]
pub(super) fn normals(pair: usize, row: u32, stream: Stream, step: &Step) -> [f32; 2] {
    let words = philox([(pair / 2) as u32, row, step.number, stream as u32], step.seed);
    let [u, v] = if pair % 2 == 0 { [words[0], words[1]] } else { [words[2], words[3]] };
    normal_pair(u, v)
}

/// Fills one row with its normal numbers.
#[inline(always)]
pub(super) fn fill(values: &mut [f32], row: u32, stream: Stream, step: &Step) {
    for (pair, values) in values.chunks_mut(2).enumerate() {
        values.copy_from_slice(&normals(pair, row, stream, step)[..values.len()]);
    }
}

impl Kernel for Normal {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let pairs = self.columns.div_ceil(2);
        Shape::new([], [self.rows * self.columns], [pairs.div_ceil(THREADS), self.rows], 0)
    }

    fn params(&self) -> Vec<u32> {
        words([self.columns, self.stream as usize])
    }

    fn overrides(&self) -> Vec<(&'static str, f64)> {
        vec![("THREADS", THREADS as f64)]
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        use std::f64::consts::TAU;
        let ([], [z]) = buffers.split();
        for (r, z) in z.chunks_exact_mut(self.columns).enumerate() {
            for (j, z) in z.iter_mut().enumerate() {
                let counter = [(j / 4) as u32, step.first + r as u32, step.number, self.stream as u32];
                let words = philox(counter, step.seed);
                let [a, b] = if j % 4 < 2 { [words[0], words[1]] } else { [words[2], words[3]] };
                let radius = (-2.0 * f64::from(crate::random::unit(a)).ln()).sqrt();
                // The top two bits of b choose a quarter turn, the rest an angle around it.
                let angle = TAU / 4.0 * (f64::from(b >> 30) + f64::from(crate::random::unit(b << 2)) - 0.5);
                *z = radius * if j % 2 == 0 { angle.cos() } else { angle.sin() };
            }
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let ([], [z]) = buffers.split();
        z.par_chunks_mut(self.columns).enumerate().for_each(|(r, z)| {
            vectorized(|| fill(z, step.first + r as u32, self.stream, step));
        });
    }

    fn tolerance(&self) -> f64 {
        2.0 * f64::from(f32::EPSILON)
    }
}

fn cases() -> Vec<Case> {
    [(1, 1), (3, 2), (5, 3), (2, 127), (2, 129), (70, 20)]
        .map(|(rows, columns)| Case::new(Normal { rows, columns, stream: Stream::Prior }))
        .into()
}
