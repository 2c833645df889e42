//! Encoder and decoder on the host, for work on many z of one image: layers with their activations, and ln p(x|z) with
//! its gradient with respect to z.
//!
//! ```text
//! h_0 = z,   h_i = activation(h_{i-1} W_i^T + b_i),   l = h_{L-1} W_L^T + b_L
//! ln p(x|z) = -sum_d loss(l_d, x_d)             as in `kernel::reconstruction`
//! ```

use crate::kernel::indirect;
use crate::kernel::reconstruction::Likelihood;
use crate::model::{Architecture, Layer, LayerSums, Parameters};
use crate::numeric::{sigmoid, softplus};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use multiversion::multiversion;

/// Numbers whose f32 sum goes to f64: the error of each is below one rounding of a number 16 times as large.
const RUN: usize = 16;

/// Layers with their activations, one after the other.
pub(super) struct Network {
    layers: Vec<HostLayer>,
}

/// A layer with its parameters.
struct HostLayer {
    layer: Layer,
    theta: Vec<f32>,
    /// A convolution, and the one that its gradient is.
    convolutions: Option<[indirect::IndirectLayer; 2]>,
}

impl HostLayer {
    fn new(layer: Layer, theta: Vec<f32>) -> Self {
        let convolutions = match layer.sums {
            LayerSums::Linear { .. } => None,
            LayerSums::Convolution(window, direction) => {
                Some([direction, direction.reverse()].map(|direction| {
                    indirect::IndirectLayer::new(&window, direction, &theta[..window.weights()])
                }))
            }
        };
        Self { layer, theta, convolutions }
    }

    /// The output `(B, O)` of inputs `(B, I)`.
    fn forward(&self, rows: usize, input: &[f32], output: &mut [f32]) {
        let (inputs, outputs) = (self.layer.inputs(), self.layer.outputs());
        let (weight, bias) = self.theta.split_at(self.layer.weights());
        if let Some([convolution, _]) = &self.convolutions {
            for (x, y) in input.chunks_exact(inputs).zip(output.chunks_exact_mut(outputs)) {
                convolution.compute(x, Some(bias), y);
            }
        } else {
            matmul(
                MatMut::from_row_major_slice_mut(output, rows, outputs),
                Accum::Replace,
                MatRef::from_row_major_slice(input, rows, inputs),
                MatRef::from_row_major_slice(weight, outputs, inputs).transpose(),
                1.0,
                Par::Seq,
            );
            for row in output.chunks_exact_mut(outputs) {
                row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
            }
        }
        self.layer.activation.apply(output);
    }

    /// The gradient at the inputs, `(B, I)`, from that of the sums, `(B, O)`.
    fn backward(&self, rows: usize, gradient: &[f32], input_gradient: &mut [f32]) {
        let (inputs, outputs) = (self.layer.inputs(), self.layer.outputs());
        if let Some([_, reverse]) = &self.convolutions {
            for (dy, dx) in gradient.chunks_exact(outputs).zip(input_gradient.chunks_exact_mut(inputs)) {
                reverse.compute(dy, None, dx);
            }
            return;
        }
        matmul(
            MatMut::from_row_major_slice_mut(input_gradient, rows, inputs),
            Accum::Replace,
            MatRef::from_row_major_slice(gradient, rows, outputs),
            MatRef::from_row_major_slice(&self.theta[..self.layer.weights()], outputs, inputs),
            1.0,
            Par::Seq,
        );
    }
}

impl Network {
    /// The encoder and the decoder of a model.
    pub(super) fn of(architecture: &Architecture, theta: &Parameters) -> [Self; 2] {
        let mut parameters = theta.0.iter().cloned();
        [architecture.encoder(), architecture.decoder()].map(|layers| {
            let layers = layers.into_iter().zip(parameters.by_ref());
            Self { layers: layers.map(|(layer, theta)| HostLayer::new(layer, theta)).collect() }
        })
    }

    /// Numbers of its output.
    pub(super) fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |host| host.layer.outputs())
    }

    /// The output of each layer for inputs `(B, I)`: the last is that of the network, `(B, O)`.
    pub(super) fn forward(&self, inputs: &[f32], rows: usize, outputs: &mut Vec<Vec<f32>>) {
        outputs.resize_with(self.layers.len(), Vec::new);
        for (index, host) in self.layers.iter().enumerate() {
            let (before, after) = outputs.split_at_mut(index);
            let input = before.last().map_or(inputs, |values| values);
            after[0].resize(rows * host.layer.outputs(), 0.0);
            host.forward(rows, input, &mut after[0]);
        }
    }

    /// The gradient with respect to the inputs, `(B, I)`, from that with respect to the output, which is in `gradient`
    /// at first; `outputs` are those of [`Network::forward`].
    fn backward(&self, rows: usize, outputs: &[Vec<f32>], gradient: &mut Vec<f32>, spare: &mut Vec<f32>) {
        for (index, host) in self.layers.iter().enumerate().rev() {
            spare.resize(rows * host.layer.inputs(), 0.0);
            host.backward(rows, gradient, spare);
            if let Some(before) = index.checked_sub(1) {
                self.layers[before].layer.activation.apply_slope(spare, &outputs[before]);
            }
            std::mem::swap(gradient, spare);
        }
    }
}

/// Room for the numbers of [`log_likelihood`].
#[derive(Default)]
pub(super) struct NetworkScratch {
    outputs: Vec<Vec<f32>>,
    gradient: Vec<f32>,
    spare: Vec<f32>,
}

/// ln p(x|z), `(B)`, and its gradient with respect to z, `(B, M)`, of z `(B, M)` and x `(B, D)`.
pub(super) fn log_likelihood(
    decoder: &Network,
    likelihood: Likelihood,
    [z, x]: [&[f32]; 2],
    scratch: &mut NetworkScratch,
    log_p: &mut [f64],
    gradient: &mut [f32],
) {
    let (rows, dimension) = (log_p.len(), decoder.outputs());
    let NetworkScratch { outputs, gradient: slopes, spare } = scratch;
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
