//! The gradient of a layer's input, through the activation that made it.
//!
//! ```text
//! dx[b, i] = slope(x[b, i]) sum_o dy[b, o] W[o, i]
//! ```
//!
//! `dy: (B, O)`; `theta`: W `(O, I)`, then the bias, which plays no part; `x, dx: (B, I)`, x = activation(...).

use super::linear::layer_len;
use super::product::{ProductSizes, SIZES, matrix, matrix_mut, multiply, tolerance};
use crate::kernel::activation::Activation;
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};

/// dx = (dy W), times the slope of the activation.
#[derive(Clone, Debug)]
pub struct BackwardInput {
    /// B.
    pub batch: usize,
    /// I.
    pub inputs: usize,
    /// O.
    pub outputs: usize,
    /// What made x.
    pub activation: Activation,
}

pub(crate) static SPEC: Spec = Spec::new(
    "backward_input",
    "dx = (dy W) slope(x)",
    wgsl!("dense/backward_input", "activation", "elements", "finish", "product"),
)
.reads(&["dy", "theta", "x"])
.writes(&["dx"])
.cases(cases);

impl BackwardInput {
    fn sizes(&self) -> ProductSizes {
        ProductSizes { rows: self.batch, depth: self.outputs, columns: self.inputs }
    }
}

impl Kernel for BackwardInput {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { batch, inputs, outputs, .. } = *self;
        Shape::new(
            [batch * outputs, layer_len(inputs, outputs), batch * inputs],
            [batch * inputs],
            self.sizes().flop(),
        )
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
        let source = wgsl!("dense/backward_input", "activation", "plain");
        Some(self.sizes().plain(source, self.overrides(), false))
    }

    fn tuning_key(&self) -> Option<String> {
        self.sizes().tuning_key(&SPEC)
    }

    fn reference(&self, _: &Step, buffers: Buffers<'_, f64>) {
        let ([dy, theta, x], [dx]) = buffers.split();
        for b in 0..self.batch {
            for i in 0..self.inputs {
                let sum: f64 =
                    (0..self.outputs).map(|o| dy[b * self.outputs + o] * theta[o * self.inputs + i]).sum();
                let at = b * self.inputs + i;
                dx[at] = self.activation.reference_times_slope(sum, x[at]);
            }
        }
    }

    fn cpu(&self, _: &Step, buffers: Buffers<'_, f32>) {
        let Self { batch, inputs, outputs, activation } = *self;
        let ([dy, theta, x], [dx]) = buffers.split();
        multiply(
            matrix_mut(dx, batch, inputs),
            matrix(dy, batch, outputs),
            matrix(theta, outputs, inputs),
            &|b, columns, dx| {
                activation.apply_slope(dx, &x[b * inputs..][columns]);
                []
            },
        );
    }

    fn tolerance(&self) -> f64 {
        tolerance(self.outputs)
    }
}

fn cases() -> Vec<Case> {
    let activations = [Activation::Relu, Activation::Tanh, Activation::Identity];
    let case = |([batch, outputs, inputs], activation): ([usize; 3], Activation)| {
        Case::new(BackwardInput { batch, inputs, outputs, activation })
    };
    SIZES.into_iter().zip(activations.into_iter().cycle()).map(case).collect()
}
