//! The gradient of a layer's weights and bias, and Adam's update of them, in one pass.
//!
//! ```text
//! dW[o, i] = sum_b dy[b, o] x[b, i]          dbias[o] = sum_b dy[b, o]
//! m = beta1 m + (1 - beta1) g                v = beta2 v + (1 - beta2) g^2
//! theta -= learning_rate (m c1) / (sqrt(v c2) + epsilon)
//! ```
//!
//! with c1 = 1 / (1 - beta1^t) and c2 = 1 / (1 - beta2^t), computed once a step in f64. `dy: (B, O)`;
//! `x: (B, I)`; `theta, m, v`: W `(O, I)`, then the bias `(O)`. The gradient itself is never stored. The bias
//! is the weight of one more input that is always 1. Kingma and Ba, "Adam" (2015), algorithm 1.

use super::linear::layer_len;
use super::product::{ProductSizes, SIZES, matrix, matrix_mut, serial, tolerance};
use super::sparse::{SPARSE_SIZE, STRIP, Sparse, mostly_zero};
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Shape, Spec, Step, Variant};
use multiversion::multiversion;
use rayon::prelude::*;
use std::cell::RefCell;

/// Adam's constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Decay of the mean of gradients.
    pub beta1: f32,
    /// Decay of the mean of squared gradients.
    pub beta2: f32,
    /// Keeps the division finite.
    pub epsilon: f32,
}

impl Adam {
    /// The update of one number with gradient g, in f64.
    pub(crate) fn reference(&self, step: &Step, g: f64, theta: &mut f64, m: &mut f64, v: &mut f64) {
        let [beta1, beta2, epsilon] = [self.beta1, self.beta2, self.epsilon].map(f64::from);
        let [rate, c1, c2] = [step.learning_rate, step.correction1, step.correction2].map(f64::from);
        *m = beta1 * *m + (1.0 - beta1) * g;
        *v = beta2 * *v + (1.0 - beta2) * g * g;
        *theta -= rate * (*m * c1) / ((*v * c2).sqrt() + epsilon);
    }
}

impl Default for Adam {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// dW, dbias and Adam.
#[derive(Clone, Debug)]
pub struct BackwardWeights {
    /// B.
    pub batch: usize,
    /// I.
    pub inputs: usize,
    /// O.
    pub outputs: usize,
    /// The optimiser's constants.
    pub adam: Adam,
}

pub(crate) static SPEC: Spec = Spec::new(
    "backward_weights",
    "(dW, db) = dy^T (x, 1);  Adam on W, b",
    wgsl!("dense/backward_weights", "adam", "elements", "finish", "product", "step"),
)
.reads(&["dy", "x"])
.writes(&["theta", "m", "v"])
.cases(cases);

/// Most elements of W that one thread multiplies and updates together where x is dense: gradient, weights and
/// moments stay in the second-level cache.
const BLOCK: usize = 1 << 16;

thread_local! {
    /// The gradient of the rows that this thread works on.
    static GRADIENT: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Adam's constants and the numbers of one step.
#[derive(Clone, Copy)]
pub(crate) struct Update {
    pub(crate) adam: Adam,
    pub(crate) step: Step,
}

/// Adam's step for some numbers.
#[multiversion(targets = "simd")]
pub(crate) fn apply(update: Update, gradient: &[f32], theta: &mut [f32], m: &mut [f32], v: &mut [f32]) {
    let Adam { beta1, beta2, epsilon } = update.adam;
    let Step { learning_rate, correction1, correction2, .. } = update.step;
    for (((theta, m), v), &g) in theta.iter_mut().zip(m).zip(v).zip(gradient) {
        let g = flush(g, NEGLIGIBLE);
        *m = flush(beta1 * *m + (1.0 - beta1) * g, NEGLIGIBLE);
        *v = flush(beta2 * *v + (1.0 - beta2) * (g * g), NEGLIGIBLE * NEGLIGIBLE);
        *theta -= learning_rate * (*m * correction1) / ((*v * correction2).sqrt() + epsilon);
    }
}

/// A gradient this small moves nothing: epsilon in the denominator is nine orders of magnitude larger.
///
/// Where a gradient stays zero, as at pixels that are rarely white, moments would shrink until they are
/// subnormal and stay there, and CPUs take a hundred times as long for such numbers.
const NEGLIGIBLE: f32 = 1e-17;

#[inline(always)]
fn flush(value: f32, negligible: f32) -> f32 {
    if value.abs() < negligible { 0.0 } else { value }
}

/// sums = the sums of columns `first..` of dy over its rows.
#[multiversion(targets = "simd")]
fn add_rows(dy: &[f32], outputs: usize, first: usize, sums: &mut [f32]) {
    sums.fill(0.0);
    for dy in dy.chunks_exact(outputs) {
        sums.iter_mut().zip(&dy[first..]).for_each(|(sum, dy)| *sum += dy);
    }
}

impl BackwardWeights {
    fn sizes(&self) -> ProductSizes {
        ProductSizes { rows: self.outputs, depth: self.batch, columns: self.inputs + 1 }
    }
}

impl Kernel for BackwardWeights {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { batch, inputs, outputs, .. } = *self;
        let layer = layer_len(inputs, outputs);
        let shape = Shape::new([batch * outputs, batch * inputs], [layer; 3], self.sizes().flop());
        // Parameters and moments are read as well as written.
        Shape { bytes: shape.bytes + 12 * layer as u64, ..shape }
    }

    fn params(&self) -> Vec<u32> {
        let Adam { beta1, beta2, epsilon } = self.adam;
        let adam = [beta1, beta2, epsilon].map(f32::to_bits);
        [words([self.batch, self.inputs, self.outputs]), adam.into()].concat()
    }

    fn variants(&self) -> Vec<Variant> {
        self.sizes().variants()
    }

    fn plain(&self) -> Option<Variant> {
        let source = wgsl!("dense/backward_weights", "adam", "plain", "step");
        Some(self.sizes().plain(source, self.overrides(), false))
    }

    fn tuning_key(&self) -> Option<String> {
        self.sizes().tuning_key(&SPEC)
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let Self { batch, inputs, outputs, .. } = *self;
        let ([dy, x], [theta, m, v]) = buffers.split();
        let mut update =
            |at: usize, g: f64| self.adam.reference(step, g, &mut theta[at], &mut m[at], &mut v[at]);
        for o in 0..outputs {
            for i in 0..inputs {
                update(o * inputs + i, (0..batch).map(|b| dy[b * outputs + o] * x[b * inputs + i]).sum());
            }
            update(outputs * inputs + o, (0..batch).map(|b| dy[b * outputs + o]).sum());
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let Self { batch, inputs, outputs, adam } = *self;
        let ([dy, x], [theta, m, v]) = buffers.split();
        let update = Update { adam, step: *step };
        let (theta, bias) = theta.split_at_mut(outputs * inputs);
        let (m, bias_m) = m.split_at_mut(outputs * inputs);
        let (v, bias_v) = v.split_at_mut(outputs * inputs);
        // As many parts for each thread as for any other.
        let rows_each = outputs.div_ceil(rayon::current_num_threads());
        let images = matrix(x, batch, inputs);
        let sparse = Sparse::find(images.transpose(), rows_each);
        let parts_each = match sparse {
            // Each part looks for the nonzeros, so that few are better.
            Some(_) => rows_each.div_ceil(2 * STRIP),
            None => (rows_each * inputs).div_ceil(BLOCK),
        };
        let rows_each = rows_each.div_ceil(parts_each);
        let size = rows_each * inputs;
        let weights = theta.par_chunks_mut(size).zip(m.par_chunks_mut(size)).zip(v.par_chunks_mut(size));
        let biases = bias
            .par_chunks_mut(rows_each)
            .zip(bias_m.par_chunks_mut(rows_each))
            .zip(bias_v.par_chunks_mut(rows_each));
        weights.zip(biases).enumerate().for_each(|(part, (((theta, m), v), ((bias, bias_m), bias_v)))| {
            GRADIENT.with_borrow_mut(|gradient| {
                let (first, rows) = (part * rows_each, bias.len());
                gradient.resize(gradient.len().max(size), 0.0);
                let dy_part = matrix(dy, batch, outputs).subcols(first, rows);
                if let Some(images) = &sparse {
                    images.columns(dy_part, |row, gradient| {
                        let row = row * inputs..(row + 1) * inputs;
                        apply(update, gradient, &mut theta[row.clone()], &mut m[row.clone()], &mut v[row]);
                    });
                } else {
                    let weights = matrix_mut(gradient, rows, inputs);
                    serial(weights, dy_part.transpose(), images);
                    apply(update, gradient, theta, m, v);
                }
                let sums = &mut gradient[..rows];
                add_rows(dy, outputs, first, sums);
                apply(update, sums, bias, bias_m, bias_v);
            });
        });
    }

    fn tolerance(&self) -> f64 {
        // v squares the gradient, and where a gradient is near zero its relative error, and so that of the
        // step, is larger: here steps are of the size of the learning rate, far below theta.
        tolerance(self.batch) * 4.0
    }
}

fn cases() -> Vec<Case> {
    let case = |[outputs, batch, inputs]: [usize; 3]| {
        let kernel = BackwardWeights { batch, inputs, outputs, adam: Adam::default() };
        let wave = |i: usize, scale: f32| scale * ((i % 13) as f32 - 6.0);
        Case::new(kernel)
            .map("theta", |i, _| wave(i, 0.1))
            .map("m", |i, _| wave(i + 5, 0.3))
            .map("v", |i, _| 0.5 + wave(i, 0.05).abs())
    };
    let [batch, inputs, outputs] = SPARSE_SIZE;
    let sparse = case([outputs, batch, inputs]).map("x", |i, x| mostly_zero(inputs, i, x));
    SIZES.into_iter().map(case).chain([sparse]).collect()
}
