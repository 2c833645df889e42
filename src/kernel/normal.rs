//! Draws from the prior.
//!
//! ```text
//! z[r, j] ~ N(0, 1)
//! ```
//!
//! `z: (R, M)`: the normal number of (seed, step, first + r, j), from Philox4x32-10 and Box-Muller
//! ([`crate::random`]).

use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use crate::random::{LANES, Stream, normals, philox, unit};
use rayon::prelude::*;
use std::f64::consts::TAU;

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

pub(crate) static SPEC: Spec = Spec::new("normal", "z ~ N(0, I)", wgsl!("normal", "random", "step"))
    .reads(&[])
    .writes(&["z"])
    .cases(cases);

/// Threads of a workgroup; each makes one pair of numbers.
const THREADS: usize = 64;

/// Fills whole rows of `columns` numbers; `row` is the first. The counter of element (r, j) is
/// (j / 4, row + r, step, stream): the four words of a counter make four neighbours.
pub(super) fn fill(values: &mut [f32], columns: usize, row: u32, stream: Stream, step: &Step) {
    let quads = columns.div_ceil(4);
    let total = values.len() / columns * quads;
    for start in (0..total).step_by(LANES) {
        let quad = |lane: usize| ((start + lane) % quads, (start + lane) / quads);
        let first = std::array::from_fn(|lane| quad(lane).0 as u32);
        let second = std::array::from_fn(|lane| row + quad(lane).1 as u32);
        let numbers = normals(&first, &second, [step.number, stream as u32], step.seed);
        for (lane, numbers) in numbers.iter().enumerate().take(total - start) {
            let (j, r) = quad(lane);
            let count = (columns - 4 * j).min(4);
            values[r * columns + 4 * j..][..count].copy_from_slice(&numbers[..count]);
        }
    }
}

/// The f64 truth of one element.
pub(super) fn reference_normal(j: usize, row: u32, stream: Stream, step: &Step) -> f64 {
    let words = philox([(j / 4) as u32, row, step.number, stream as u32], step.seed);
    let [a, b] = if j % 4 < 2 { [words[0], words[1]] } else { [words[2], words[3]] };
    let radius = (-2.0 * f64::from(unit(a)).ln()).sqrt();
    // The top two bits of b choose a quarter turn, the rest an angle around it.
    let angle = TAU / 4.0 * (f64::from(b >> 30) + f64::from(unit(b << 2)) - 0.5);
    radius * if j.is_multiple_of(2) { angle.cos() } else { angle.sin() }
}

impl Kernel for Normal {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        Shape::new([], [self.rows * self.columns], 0)
    }

    fn params(&self) -> Vec<u32> {
        words([self.columns, self.stream as usize])
    }

    fn overrides(&self) -> Overrides {
        Overrides::of("THREADS", THREADS)
    }

    fn variants(&self) -> Vec<Variant> {
        Variant::only([self.columns.div_ceil(2).div_ceil(THREADS), self.rows])
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let ([], [z]) = buffers.split();
        for (r, z) in z.chunks_exact_mut(self.columns).enumerate() {
            for (j, z) in z.iter_mut().enumerate() {
                *z = reference_normal(j, step.first + r as u32, self.stream, step);
            }
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let ([], [z]) = buffers.split();
        let rows_each = self.rows.div_ceil(rayon::current_num_threads());
        z.par_chunks_mut(rows_each * self.columns).enumerate().for_each(|(part, z)| {
            fill(z, self.columns, step.first + (part * rows_each) as u32, self.stream, step);
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
