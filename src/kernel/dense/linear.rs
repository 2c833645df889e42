//! A linear layer with its activation.
//!
//! ```text
//! y[b, o] = activation(bias[o] + sum_i x[b, i] W[o, i])
//! ```
//!
//! `x: (B, I)`; `theta`: W `(O, I)`, then the bias `(O)`; `y: (B, O)`. The sum over i runs upwards.

use super::product::{ProductSizes, SIZES, matrix, matrix_mut, multiply, tolerance};
use super::sparse::{SPARSE_SIZE, mostly_zero};
use crate::kernel::activation::Activation;
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use multiversion::multiversion;

/// y = activation(x W^T + b).
#[derive(Clone, Debug)]
pub struct Linear {
    /// B.
    pub batch: usize,
    /// I.
    pub inputs: usize,
    /// O.
    pub outputs: usize,
    /// What follows the sums.
    pub activation: Activation,
}

pub(crate) static SPEC: Spec = Spec::new(
    "linear",
    "y = activation(x W^T + b)",
    wgsl!("dense/linear", "activation", "elements", "finish", "product"),
)
.reads(&["x", "theta"])
.writes(&["y"])
.cases(cases);

/// Numbers in the parameters of one layer: W and the bias.
pub fn layer_len(inputs: usize, outputs: usize) -> usize {
    outputs * inputs + outputs
}

/// The f64 truth of x W^T + b, which the latent and the output layer start with as well.
pub(crate) fn reference_linear(x: &[f64], theta: &[f64], [inputs, outputs]: [usize; 2], y: &mut [f64]) {
    for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact_mut(outputs)) {
        for (o, y) in y.iter_mut().enumerate() {
            *y = theta[outputs * inputs + o];
            for (i, x) in x.iter().enumerate() {
                *y += x * theta[o * inputs + i];
            }
        }
    }
}

impl Linear {
    fn sizes(&self) -> ProductSizes {
        ProductSizes { rows: self.batch, depth: self.inputs, columns: self.outputs }
    }
}

impl Kernel for Linear {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { batch, inputs, outputs, .. } = *self;
        Shape::new([batch * inputs, layer_len(inputs, outputs)], [batch * outputs], self.sizes().flop())
    }

    fn params(&self) -> Vec<u32> {
        words([self.batch, self.inputs, self.outputs])
    }

    fn overrides(&self) -> Overrides {
        self.activation.overrides()
    }

    fn variants(&self) -> Vec<Variant> {
        self.sizes().variants()
    }

    fn plain(&self) -> Option<Variant> {
        let source = wgsl!("dense/linear", "activation", "plain");
        Some(self.sizes().plain(source, self.overrides(), false))
    }

    fn tuning_key(&self) -> Option<String> {
        self.sizes().tuning_key(&SPEC)
    }

    fn reference(&self, _: &Step, buffers: Buffers<'_, f64>) {
        let ([x, theta], [y]) = buffers.split();
        reference_linear(x, theta, [self.inputs, self.outputs], y);
        y.iter_mut().for_each(|y| *y = self.activation.reference(*y));
    }

    fn cpu(&self, _: &Step, buffers: Buffers<'_, f32>) {
        let Self { batch, inputs, outputs, activation } = *self;
        let ([x, theta], [y]) = buffers.split();
        let (weights, bias) = theta.split_at(outputs * inputs);
        multiply(
            matrix_mut(y, batch, outputs),
            matrix(x, batch, inputs),
            matrix(weights, outputs, inputs).transpose(),
            &|_, columns, y| {
                let floor = if activation == Activation::Relu { 0.0 } else { f32::NEG_INFINITY };
                add_bias(y, &bias[columns], floor);
                if activation == Activation::Tanh {
                    activation.apply(y);
                }
                []
            },
        );
    }

    fn tolerance(&self) -> f64 {
        tolerance(self.inputs)
    }
}

/// y = max(floor, y + bias); NaN stays NaN, so that a run that went wrong shows.
#[multiversion(targets = "simd")]
pub(crate) fn add_bias(y: &mut [f32], bias: &[f32], floor: f32) {
    for (y, bias) in y.iter_mut().zip(bias) {
        let sum = *y + bias;
        *y = if sum < floor { floor } else { sum };
    }
}

fn cases() -> Vec<Case> {
    let case = |[batch, inputs, outputs]: [usize; 3], activation| {
        // tanh has a slope for sums around 1 only.
        let scale = if activation == Activation::Tanh { (inputs as f32).sqrt().recip() } else { 1.0 };
        Case::new(Linear { batch, inputs, outputs, activation }).map("theta", |_, w| w * scale)
    };
    let [_, inputs, _] = SPARSE_SIZE;
    let sparse = case(SPARSE_SIZE, Activation::Relu).map("x", |i, x| mostly_zero(inputs, i, x));
    let activations = [Activation::Relu, Activation::Identity, Activation::Tanh];
    let dense = SIZES.into_iter().zip(activations.into_iter().cycle());
    dense.map(|(size, activation)| case(size, activation)).chain([sparse]).collect()
}
