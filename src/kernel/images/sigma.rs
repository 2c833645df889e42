//! The sigma of the Gaussian likelihood, one number for all pixels, from the squared error of the batch.
//!
//! ```text
//! loss      = SSE / (2 B sigma^2) + D ln sigma              an image's, but for a constant
//! learned:  g = d loss / d ln sigma = D - SSE / (B sigma^2), and Adam on ln sigma
//! optimal:  sigma^2 = max(SSE / (B D), floor), which minimises the loss of this batch
//! ```
//!
//! `loss_ring: (slots, parts)` of [`crate::kernel::reconstruction`] with sigma 1, whose row of this step has the squared
//! error; `sigma_state: (4)`: ln sigma, Adam's m and v, and 1 / sigma^2 of this step; `sigma_ring: (slots)`: ln sigma
//! of this step, which is the one before Adam's change. [`super::scale`] divides the gradient by sigma^2. Rybkin,
//! Daniilidis, Levine, "Simple and effective VAE training with calibrated decoders" (2021).

use crate::kernel::backward_weights::Adam;
use crate::kernel::product::THREADS;
use crate::kernel::reconstruction::TERMS;
use crate::kernel::words::{slot_of, words};
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};

/// How sigma is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// A parameter like others. `ln sigma`, m and v have to be set before the first step.
    Learned(Adam),
    /// The best for each batch.
    Optimal,
}

/// A new sigma.
#[derive(Clone, Debug)]
pub struct Sigma {
    /// B.
    pub batch: usize,
    /// D.
    pub dimension: usize,
    /// Rows of `loss_ring` and `sigma_ring`.
    pub slots: usize,
    /// Numbers of one row of `loss_ring`: `Reconstruction::parts`.
    pub parts: usize,
    /// How it is found.
    pub mode: Mode,
}

pub(crate) static SPEC: Spec = Spec::new(
    "sigma",
    "sigma by Adam on SSE / (2 B sigma^2) + D ln sigma, or sigma^2 = SSE / (B D)",
    wgsl!("images/sigma", "exponential", "random", "reduce", "step"),
)
.reads(&["loss_ring"])
.writes(&["sigma_state", "sigma_ring"])
.cases(cases);

/// Numbers of `sigma_state`.
pub const STATE: usize = 4;

/// Where in `sigma_state` 1 / sigma^2 is.
pub(super) const INVERSE_VARIANCE: usize = 3;

/// The least sigma^2. Pixels in 256 steps are rounded with a variance of (1 / 255)^2 / 12 = 1.3e-6: a sigma below
/// that fits the rounding, and with an error of 0 the loss would have no minimum.
const FLOOR: f32 = 1e-6;

impl Sigma {
    /// The state after a step in which pixels have this mean squared error; gives ln sigma of the step.
    fn update(&self, step: &Step, mean_square: f64, state: &mut [f64; STATE]) -> f64 {
        match self.mode {
            Mode::Learned(Adam { beta1, beta2, epsilon }) => {
                let [beta1, beta2, epsilon] = [beta1, beta2, epsilon].map(f64::from);
                let [rate, c1, c2] = [step.learning_rate, step.correction1, step.correction2].map(f64::from);
                let [log_sigma, m, v, inverse_variance] = state;
                let used = *log_sigma;
                *inverse_variance = (-2.0 * used).exp();
                let g = self.dimension as f64 * (1.0 - mean_square * *inverse_variance);
                *m = beta1 * *m + (1.0 - beta1) * g;
                *v = beta2 * *v + (1.0 - beta2) * g * g;
                *log_sigma -= rate * (*m * c1) / ((*v * c2).sqrt() + epsilon);
                used
            }
            Mode::Optimal => {
                let variance = mean_square.max(f64::from(FLOOR));
                state[0] = 0.5 * variance.ln();
                state[INVERSE_VARIANCE] = 1.0 / variance;
                state[0]
            }
        }
    }

    /// The mean squared error of a pixel, from the row of this step.
    fn mean_square(&self, step: &Step, loss_ring: impl Iterator<Item = f64>) -> f64 {
        let row = loss_ring.skip(step.slot as usize * self.parts).take(self.parts);
        row.step_by(TERMS).sum::<f64>() / (self.batch * self.dimension) as f64
    }
}

impl Kernel for Sigma {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { slots, parts, .. } = *self;
        let shape = Shape::new([slots * parts], [STATE, slots], parts / TERMS);
        // One row of each ring, and the state both ways.
        Shape { bytes: 4 * (parts + 2 * STATE + 1) as u64, ..shape }
    }

    fn params(&self) -> Vec<u32> {
        let Adam { beta1, beta2, epsilon } = match self.mode {
            Mode::Learned(adam) => adam,
            Mode::Optimal => Adam::default(),
        };
        let d = self.dimension as f32;
        let numbers = [d, (d * self.batch as f32).recip(), beta1, beta2, epsilon].map(f32::to_bits);
        [words([self.parts]), numbers.into()].concat()
    }

    fn overrides(&self) -> Overrides {
        let learned = self.mode != Mode::Optimal;
        Overrides::of("THREADS", THREADS).set("LEARNED", learned).set("FLOOR", FLOOR)
    }

    fn variants(&self) -> Vec<Variant> {
        let iterations = self.parts.div_ceil(TERMS * THREADS) + THREADS;
        vec![Variant::new("", [1, 1]).iterations(iterations)]
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let ([loss_ring], [sigma_state, sigma_ring]) = buffers.split();
        let mean_square = self.mean_square(step, loss_ring.iter().copied());
        let mut state = std::array::from_fn(|i| sigma_state[i]);
        slot_of(sigma_ring, self.slots, step.slot)[0] = self.update(step, mean_square, &mut state);
        sigma_state.copy_from_slice(&state);
    }

    /// A single number: nothing would be faster in f32.
    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let ([loss_ring], [sigma_state, sigma_ring]) = buffers.split();
        let mean_square = self.mean_square(step, loss_ring.iter().map(|&v| f64::from(v)));
        let mut state = std::array::from_fn(|i| f64::from(sigma_state[i]));
        slot_of(sigma_ring, self.slots, step.slot)[0] = self.update(step, mean_square, &mut state) as f32;
        sigma_state.copy_from_slice(&state.map(|v| v as f32));
    }

    fn tolerance(&self) -> f64 {
        // g is a difference, and v has its square.
        f64::from(f32::EPSILON) * 32.0
    }
}

fn cases() -> Vec<Case> {
    let learned = Mode::Learned(Adam::default());
    [
        (1, 1, 1, learned),
        (5, 3, 7, Mode::Optimal),
        (7, 2, 63, learned),
        (16, 4, 64, Mode::Optimal),
        (20, 3, 301, learned),
        (30, 11, 65, Mode::Optimal),
    ]
    .map(|(batch, dimension, sums, mode)| {
        let case = Case::new(Sigma { batch, dimension, slots: 3, parts: TERMS * sums, mode });
        let case = case.map("loss_ring", |_, v| v * v);
        let case = Case { step: Step { slot: 1, ..case.step }, ..case };
        match mode {
            Mode::Learned(_) => case.map("sigma_state", |i, v| [-0.4, 0.3, 0.8, v][i]),
            Mode::Optimal if sums == 7 => case.map("loss_ring", |_, _| 0.0),
            Mode::Optimal => case,
        }
    })
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_loss_and_vanishes_at_the_optimum() {
        let (batch, dimension, squared_error) = (4, 7, 3.0);
        let loss = |log_sigma: f64| {
            squared_error / (2.0 * batch as f64) * (-2.0 * log_sigma).exp() + dimension as f64 * log_sigma
        };
        let step = Step { learning_rate: 0.1, correction1: 10.0, correction2: 1000.0, ..Step::default() };
        let update = |mode, log_sigma| {
            let sigma = Sigma { batch, dimension, slots: 1, parts: TERMS, mode };
            let mean_square = sigma.mean_square(&step, [squared_error, f64::NAN].into_iter());
            let mut state = [log_sigma, 0.0, 0.0, f64::NAN];
            let used = sigma.update(&step, mean_square, &mut state);
            (used, state)
        };
        let adam = Adam::default();
        let gradient = |log_sigma| {
            let (used, state) = update(Mode::Learned(adam), log_sigma);
            assert_eq!(used, log_sigma);
            assert!((state[INVERSE_VARIANCE] - (-2.0 * used).exp()).abs() < 1e-12);
            (state[1] / (1.0 - f64::from(adam.beta1)), state[0] - log_sigma)
        };
        let (h, at) = (1e-5, -0.3);
        let want = (loss(at + h) - loss(at - h)) / (2.0 * h);
        let (got, change) = gradient(at);
        assert!((got - want).abs() < 1e-8, "{got} is not {want}");
        assert!(
            (change + 0.1 * want.signum()).abs() < 1e-5,
            "Adam's first step is the learning rate: {change}"
        );
        let (optimal, state) = update(Mode::Optimal, f64::NAN);
        assert_eq!(optimal, state[0]);
        assert!(gradient(optimal).0.abs() < 1e-12, "the gradient at the optimum");
    }
}
