//! The bare matrix products of a training step and Adam's pass over the weights, which a step on the CPU is measured
//! against.

use super::ceiling::REPETITIONS;
use crate::kernel::backward_weights::{Adam, Update, apply};
use crate::memory::Memory;
use crate::model::{Layer, LayerSums};
use crate::program::Step;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::time::Instant;

/// The work of a training step that nothing can leave out, on the CPU: faer's products of each layer, `(B, I) (I, O)`
/// forward, `(O, B) (B, I)` to the weights and, but for the first layer, `(B, O) (O, I)` to the inputs; and Adam's pass
/// over all weights and biases. A convolution is the product of its weights with the windows of all images, `B h w` of
/// them, which are not gathered. No zeros are skipped and nothing is fused.
pub(super) struct BareStep {
    products: Vec<BareProduct>,
    /// theta, m, v and a gradient.
    numbers: [Memory; 4],
}

/// One product of dense matrices.
struct BareProduct {
    /// Rows, columns, and what is added up.
    sizes: [usize; 3],
    left: Memory,
    right: Memory,
    result: Memory,
    split: Division,
}

/// How a product is split among threads.
#[derive(Clone, Copy, PartialEq)]
enum Division {
    Nothing,
    Rows,
    Columns,
}

/// Sizes of parts of the numbers that threads take.
const PART: usize = 1 << 14;

impl BareStep {
    /// The step of a model with these layers; each product is split in the way that was fastest in a trial.
    pub(super) fn new(layers: &[Layer], batch: usize) -> Self {
        let mut products = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            let (b, i, o) = match layer.sums {
                LayerSums::Linear { inputs, outputs } => (batch, inputs, outputs),
                LayerSums::Convolution(window, _) => (
                    batch * window.coarse.pixels(),
                    window.fine.channels * window.taps(),
                    window.coarse.channels,
                ),
            };
            products.extend([BareProduct::new([b, o, i]), BareProduct::new([o, i, b])]);
            if index > 0 {
                products.push(BareProduct::new([b, i, o]));
            }
        }
        let count = layers.iter().map(Layer::parameters).sum();
        // Squares, the third, must not be negative.
        Self { products, numbers: [filled(count), filled(count), Memory::new(count), filled(count)] }
    }

    /// Runs it once.
    pub(super) fn run(&mut self) {
        self.products.iter_mut().for_each(BareProduct::run);
        let [theta, m, v, gradient] = &mut self.numbers;
        let parts = theta.get_mut().par_chunks_mut(PART).zip(m.get_mut().par_chunks_mut(PART));
        let parts = parts.zip(v.get_mut().par_chunks_mut(PART)).zip(gradient.get().par_chunks(PART));
        let update = Update { adam: Adam::default(), step: Step::default() };
        parts.for_each(|(((theta, m), v), gradient)| apply(update, gradient, theta, m, v));
    }
}

/// Small numbers of both signs.
fn filled(len: usize) -> Memory {
    let mut memory = Memory::new(len);
    memory.get_mut().iter_mut().enumerate().for_each(|(i, v)| *v = (i % 17) as f32 / 17.0 - 0.5);
    memory
}

impl BareProduct {
    fn new(sizes: [usize; 3]) -> Self {
        let [rows, columns, depth] = sizes;
        let (left, right) = (filled(rows * depth), filled(depth * columns));
        let result = Memory::new(rows * columns);
        let mut product = Self { sizes, left, right, result, split: Division::Nothing };
        let trial = |split| {
            product.split = split;
            let once = |_| {
                let start = Instant::now();
                product.run();
                start.elapsed().as_secs_f64()
            };
            (split, (0..REPETITIONS).map(once).fold(f64::INFINITY, f64::min))
        };
        let fastest = [Division::Nothing, Division::Rows, Division::Columns].map(trial).into_iter();
        product.split =
            fastest.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(Division::Nothing, |(split, _)| split);
        product
    }

    fn run(&mut self) {
        let [rows, columns, depth] = self.sizes;
        let left = MatRef::from_row_major_slice(self.left.get(), rows, depth);
        let right = MatRef::from_row_major_slice(self.right.get(), depth, columns);
        let result = MatMut::from_row_major_slice_mut(self.result.get_mut(), rows, columns);
        let threads = if self.split == Division::Nothing { 1 } else { rayon::current_num_threads() };
        split_product(result, left, right, self.split, threads);
    }
}

/// A product on `threads` threads.
fn split_product(
    result: MatMut<'_, f32>,
    left: MatRef<'_, f32>,
    right: MatRef<'_, f32>,
    split: Division,
    threads: usize,
) {
    let half =
        if split == Division::Rows { result.nrows() } else { result.ncols() } * (threads / 2) / threads;
    let (first, second) = (threads / 2, threads - threads / 2);
    if half == 0 {
        matmul(result, Accum::Replace, left, right, 1.0, Par::Seq);
    } else if split == Division::Rows {
        let ((a, b), (left_a, left_b)) = (result.split_at_row_mut(half), left.split_at_row(half));
        rayon::join(
            || split_product(a, left_a, right, split, first),
            || split_product(b, left_b, right, split, second),
        );
    } else {
        let ((a, b), (right_a, right_b)) = (result.split_at_col_mut(half), right.split_at_col(half));
        rayon::join(
            || split_product(a, left, right_a, split, first),
            || split_product(b, left, right_b, split, second),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Architecture;

    #[test]
    fn a_split_product_is_the_product() {
        let (left, right) = (filled(5 * 3), filled(3 * 7));
        let view = |memory, rows, columns| MatRef::from_row_major_slice(memory, rows, columns);
        let (left, right) = (view(left.get(), 5, 3), view(right.get(), 3, 7));
        for (split, threads) in
            [(Division::Nothing, 1), (Division::Rows, 3), (Division::Columns, 4), (Division::Rows, 9)]
        {
            let mut result = [f32::NAN; 35];
            split_product(MatMut::from_row_major_slice_mut(&mut result, 5, 7), left, right, split, threads);
            for (i, value) in result.iter().enumerate() {
                let (row, column) = (i / 7, i % 7);
                let sum: f32 = (0..3).map(|k| left[(row, k)] * right[(k, column)]).sum();
                assert!(
                    (value - sum).abs() < 1e-6,
                    "row {row}, column {column}, {threads} threads: {value}, not {sum}"
                );
            }
        }
    }

    #[test]
    fn a_bare_step_has_the_products_of_all_layers() {
        let mut step = BareStep::new(&Architecture::linear(12, &[7], 2).layers(), 5);
        // Two of each of four layers, and one more of all but the first.
        assert_eq!(step.products.len(), 11);
        let numbers = 12 * 7 + 7 + 7 * 4 + 4 + 2 * 7 + 7 + 7 * 12 + 12;
        assert_eq!(step.numbers[0].get().len(), numbers);
        step.run();
        assert!(step.numbers.iter().all(|memory| memory.get().iter().all(|v| v.is_finite())), "no NaN");
    }
}
