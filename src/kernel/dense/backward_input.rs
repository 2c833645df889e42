//! The gradient of a layer's input, through the ReLU that made it.
//!
//! ```text
//! dx[b, i] = [x[b, i] > 0] sum_o dy[b, o] W[o, i]
//! ```
//!
//! `dy: (B, O)`; `theta`: W `(O, I)`, then the bias, which plays no part; `x, dx: (B, I)`, x = relu(...).

use super::linear::layer_len;
use super::product::{ProductSizes, SIZES, matrix, matrix_mut, multiply, tolerance};
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Shape, Spec, Step, Variant};
use multiversion::multiversion;

/// dx = (dy W) masked by the ReLU.
#[derive(Clone, Debug)]
pub struct BackwardInput {
    /// B.
    pub batch: usize,
    /// I.
    pub inputs: usize,
    /// O.
    pub outputs: usize,
}

pub(crate) static SPEC: Spec = Spec::new(
    "backward_input",
    "dx = (dy W) [x > 0]",
    wgsl!("dense/backward_input", "elements", "finish", "product"),
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
        let Self { batch, inputs, outputs } = *self;
        Shape::new(
            [batch * outputs, layer_len(inputs, outputs), batch * inputs],
            [batch * inputs],
            self.sizes().flop(),
        )
    }

    fn params(&self) -> Vec<u32> {
        words([self.batch, self.inputs, self.outputs])
    }

    fn variants(&self) -> Vec<Variant> {
        self.sizes().variants()
    }

    fn plain(&self) -> Option<Variant> {
        let source = wgsl!("dense/backward_input", "plain");
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
                dx[at] = if x[at] > 0.0 { sum } else { 0.0 };
            }
        }
    }

    fn cpu(&self, _: &Step, buffers: Buffers<'_, f32>) {
        let Self { batch, inputs, outputs } = *self;
        let ([dy, theta, x], [dx]) = buffers.split();
        multiply(
            matrix_mut(dx, batch, inputs),
            matrix(dy, batch, outputs),
            matrix(theta, outputs, inputs),
            &|b, columns, dx| {
                mask(dx, &x[b * inputs..][columns]);
                []
            },
        );
    }

    fn tolerance(&self) -> f64 {
        tolerance(self.outputs)
    }
}

/// Keeps the gradient where the ReLU let its input pass.
#[multiversion(targets = "simd")]
fn mask(dx: &mut [f32], x: &[f32]) {
    dx.iter_mut().zip(x).for_each(|(dx, &x)| *dx = if x > 0.0 { *dx } else { 0.0 });
}

fn cases() -> Vec<Case> {
    SIZES.map(|[batch, outputs, inputs]| Case::new(BackwardInput { batch, inputs, outputs })).into()
}
