//! Encoder and decoder on the host, for work on many z of one image: layers of Linear and ReLU, and ln p(x|z) with its
//! gradient with respect to z.
//!
//! ```text
//! h_0 = z,   h_i = relu(h_{i-1} W_i^T + b_i),   l = h_{L-1} W_L^T + b_L
//! ln p(x|z) = -sum_d loss(l_d, x_d)             as in `kernel::reconstruction`
//! ```

use crate::kernel::reconstruction::Likelihood;
use crate::model::{Architecture, Layer, Parameters};
use crate::numeric::{sigmoid, softplus};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use multiversion::multiversion;

/// Numbers whose f32 sum goes to f64: the error of each is below one rounding of a number 16 times as large.
const RUN: usize = 16;

/// Layers of Linear and ReLU in turn; the last has no ReLU.
pub(super) struct Network {
    layers: Vec<(Layer, Vec<f32>)>,
}

impl Network {
    /// The encoder and the decoder of a model.
    pub(super) fn of(architecture: &Architecture, theta: &Parameters) -> [Self; 2] {
        let mut parameters = theta.0.iter().cloned();
        [architecture.encoder(), architecture.decoder()]
            .map(|layers| Self { layers: layers.into_iter().zip(parameters.by_ref()).collect() })
    }

    /// Numbers of its output.
    pub(super) fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |(layer, _)| layer.outputs)
    }

    /// The output of each layer for inputs `(B, I)`: the last is that of the network, `(B, O)`.
    pub(super) fn forward(&self, inputs: &[f32], rows: usize, outputs: &mut Vec<Vec<f32>>) {
        outputs.resize_with(self.layers.len(), Vec::new);
        for (index, (layer, theta)) in self.layers.iter().enumerate() {
            let (before, after) = outputs.split_at_mut(index);
            let input = before.last().map_or(inputs, |values| values);
            let output = &mut after[0];
            output.resize(rows * layer.outputs, 0.0);
            let (weight, bias) = theta.split_at(layer.outputs * layer.inputs);
            matmul(
                MatMut::from_row_major_slice_mut(output, rows, layer.outputs),
                Accum::Replace,
                MatRef::from_row_major_slice(input, rows, layer.inputs),
                MatRef::from_row_major_slice(weight, layer.outputs, layer.inputs).transpose(),
                1.0,
                Par::Seq,
            );
            let hidden = index + 1 < self.layers.len();
            for row in output.chunks_exact_mut(layer.outputs) {
                row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
                if hidden {
                    row.iter_mut().for_each(|value| *value = value.max(0.0));
                }
            }
        }
    }

    /// The gradient with respect to the inputs, `(B, I)`, from that with respect to the output, which is in `gradient`
    /// at first; `outputs` are those of [`Network::forward`].
    fn backward(&self, rows: usize, outputs: &[Vec<f32>], gradient: &mut Vec<f32>, spare: &mut Vec<f32>) {
        for (index, (layer, theta)) in self.layers.iter().enumerate().rev() {
            spare.resize(rows * layer.inputs, 0.0);
            matmul(
                MatMut::from_row_major_slice_mut(spare, rows, layer.inputs),
                Accum::Replace,
                MatRef::from_row_major_slice(gradient, rows, layer.outputs),
                MatRef::from_row_major_slice(
                    &theta[..layer.outputs * layer.inputs],
                    layer.outputs,
                    layer.inputs,
                ),
                1.0,
                Par::Seq,
            );
            if let Some(before) = index.checked_sub(1) {
                spare.iter_mut().zip(&outputs[before]).for_each(|(slope, &h)| {
                    if h <= 0.0 {
                        *slope = 0.0;
                    }
                });
            }
            std::mem::swap(gradient, spare);
        }
    }
}

/// Room for the numbers of [`log_likelihood`].
#[derive(Default)]
pub(super) struct Scratch {
    outputs: Vec<Vec<f32>>,
    gradient: Vec<f32>,
    spare: Vec<f32>,
}

/// ln p(x|z), `(B)`, and its gradient with respect to z, `(B, M)`, of z `(B, M)` and x `(B, D)`.
pub(super) fn log_likelihood(
    decoder: &Network,
    likelihood: Likelihood,
    [z, x]: [&[f32]; 2],
    scratch: &mut Scratch,
    log_p: &mut [f64],
    gradient: &mut [f32],
) {
    let (rows, dimension) = (log_p.len(), decoder.outputs());
    let Scratch { outputs, gradient: slopes, spare } = scratch;
    decoder.forward(z, rows, outputs);
    slopes.resize(rows * dimension, 0.0);
    let constant = likelihood.constant(dimension);
    let means = outputs.last().map_or(&[][..], |values| values);
    let images = means.chunks_exact(dimension).zip(x.chunks_exact(dimension));
    for ((log_p, slopes), (l, x)) in log_p.iter_mut().zip(slopes.chunks_exact_mut(dimension)).zip(images) {
        let loss = match likelihood {
            Likelihood::Gaussian { sigma } => gaussian(l, x, (sigma * sigma).recip(), slopes),
            Likelihood::Bernoulli => bernoulli(l, x, slopes),
        };
        *log_p = -loss - constant;
    }
    decoder.backward(rows, outputs, slopes, spare);
    gradient.copy_from_slice(slopes);
}

/// The loss of an image, and the slopes of its negative.
#[multiversion(targets = "simd")]
fn gaussian(l: &[f32], x: &[f32], inverse_variance: f32, slopes: &mut [f32]) -> f64 {
    let loss = sum(l, x, slopes, |l, x| {
        let distance = x - l;
        [distance * distance, distance * inverse_variance]
    });
    0.5 * loss * f64::from(inverse_variance)
}

/// The same: ln(1 + e^l) - x l, and x - sigmoid(l).
#[multiversion(targets = "simd")]
fn bernoulli(l: &[f32], x: &[f32], slopes: &mut [f32]) -> f64 {
    sum(l, x, slopes, |l, x| [softplus(l) - x * l, x - sigmoid(l)])
}

/// Adds up the losses of an image's pixels and keeps their slopes: `of` gives both.
#[inline(always)]
fn sum(l: &[f32], x: &[f32], slopes: &mut [f32], of: impl Fn(f32, f32) -> [f32; 2]) -> f64 {
    let (l, l_rest) = l.as_chunks::<RUN>();
    let (x, x_rest) = x.as_chunks::<RUN>();
    let (slopes, slopes_rest) = slopes.as_chunks_mut::<RUN>();
    let mut total = 0.0;
    for ((l, x), slopes) in l.iter().zip(x).zip(slopes) {
        let mut losses = [0.0; RUN];
        for i in 0..RUN {
            [losses[i], slopes[i]] = of(l[i], x[i]);
        }
        total += f64::from(losses.iter().sum::<f32>());
    }
    for ((&l, &x), slope) in l_rest.iter().zip(x_rest).zip(slopes_rest) {
        let loss;
        [loss, *slope] = of(l, x);
        total += f64::from(loss);
    }
    total
}
