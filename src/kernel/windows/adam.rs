//! Adam's update with a gradient that comes in parts.
//!
//! ```text
//! g = sum over s of parts[s]
//! m = beta1 m + (1 - beta1) g                v = beta2 v + (1 - beta2) g^2
//! theta -= learning_rate (m c1) / (sqrt(v c2) + epsilon)
//! ```
//!
//! `parts: (parts, N)`; `theta, m, v: (N)`; c1 and c2 as in [`crate::kernel::backward_weights`].

use crate::kernel::backward_weights::{Adam, Update, apply};
use crate::kernel::product::THREADS;
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use rayon::prelude::*;

/// The update of one layer.
#[derive(Clone, Debug)]
pub struct AdamStep {
    /// N.
    pub numbers: usize,
    /// Parts of the gradient.
    pub parts: usize,
    /// The optimiser's constants.
    pub adam: Adam,
}

pub(crate) static SPEC: Spec =
    Spec::new("adam", "g = sum of parts;  Adam on theta", wgsl!("windows/adam", "adam", "step"))
        .reads(&["parts"])
        .writes(&["theta", "m", "v"])
        .cases(cases);

/// Numbers that one thread updates at a time.
const BLOCK: usize = 1 << 12;

impl Kernel for AdamStep {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { numbers, parts, .. } = *self;
        let shape = Shape::new([parts * numbers], [numbers; 3], parts * numbers);
        // Parameters and moments are read as well as written.
        Shape { bytes: shape.bytes + 12 * numbers as u64, ..shape }
    }

    fn params(&self) -> Vec<u32> {
        let adam = [self.adam.beta1, self.adam.beta2, self.adam.epsilon].map(f32::to_bits);
        [words([self.numbers, self.parts]), adam.into()].concat()
    }

    fn overrides(&self) -> Overrides {
        Overrides::of("THREADS", THREADS)
    }

    fn variants(&self) -> Vec<Variant> {
        Variant::only([self.numbers.div_ceil(THREADS), 1])
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let ([parts], [theta, m, v]) = buffers.split();
        for i in 0..self.numbers {
            let g = parts.iter().skip(i).step_by(self.numbers).sum();
            self.adam.reference(step, g, &mut theta[i], &mut m[i], &mut v[i]);
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let ([parts], [theta, m, v]) = buffers.split();
        let update = Update { adam: self.adam, step: *step };
        let blocks = theta.par_chunks_mut(BLOCK).zip(m.par_chunks_mut(BLOCK)).zip(v.par_chunks_mut(BLOCK));
        blocks.enumerate().for_each(|(block, ((theta, m), v))| {
            let mut gradient = [0.0; BLOCK];
            let gradient = &mut gradient[..theta.len()];
            for part in parts.chunks_exact(self.numbers) {
                gradient.iter_mut().zip(&part[block * BLOCK..]).for_each(|(sum, value)| *sum += value);
            }
            apply(update, gradient, theta, m, v);
        });
    }

    fn tolerance(&self) -> f64 {
        // As in backward_weights: v squares the gradient.
        32.0 * f64::from(f32::EPSILON)
    }
}

fn cases() -> Vec<Case> {
    let case = |[numbers, parts]: [usize; 2]| {
        let wave = |i: usize, scale: f32| scale * ((i % 13) as f32 - 6.0);
        Case::new(AdamStep { numbers, parts, adam: Adam::default() })
            .map("theta", |i, _| wave(i, 0.1))
            .map("m", |i, _| wave(i + 5, 0.3))
            .map("v", |i, _| 0.5 + wave(i, 0.05).abs())
    };
    [[1, 1], [63, 3], [64, 16], [4097, 2]].map(case).into()
}
