//! A transposed convolution as the output layer, with the reconstruction loss and its gradient.
//!
//! ```text
//! l[b]       = convT(h[b], W) + bias
//! gaussian:  x_hat = l            loss = (x - l)^2 / (2 sigma^2)          dl = (l - x) / (sigma^2 B)
//! bernoulli: x_hat = sigmoid(l)   loss = max(l, 0) - x l + ln(1 + e^-|l|) dl = (x_hat - x) / B
//! ```
//!
//! `h: (B, coarse)`; `theta`: W, then the bias; `x, dl: (B, fine)`; `loss_ring: (slots, parts, 2)`, as that of
//! [`crate::kernel::reconstruction`].

use super::convolution::{Convolution, reference_sums};
use super::indirect::IndirectLayer;
use super::window::{self, Direction, Window};
use crate::kernel::product::tolerance;
use crate::kernel::reconstruction::{Likelihood, TERMS};
use crate::kernel::words::{put_total, slot_of, words};
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use rayon::prelude::*;

/// The output layer.
#[derive(Clone, Debug)]
pub struct TransposedReconstruction {
    /// B.
    pub batch: usize,
    /// How the last hidden layer and the image are connected.
    pub window: Window,
    /// Rows of `loss_ring`.
    pub slots: usize,
    /// Which loss.
    pub likelihood: Likelihood,
}

pub(crate) static SPEC: Spec = Spec::new(
    "transposed_reconstruction",
    "l = convT(h, W) + b;  loss = -ln p(x | l);  dl = dloss/dl / B",
    wgsl!(
        "windows/transposed_reconstruction",
        "elements",
        "finish",
        "likelihood",
        "product",
        "reduce",
        "step",
        "transposed",
        "window"
    ),
)
.reads(&["h", "theta", "x"])
.writes(&["dl", "loss_ring"])
.partial_sums("loss_ring", TERMS)
.cases(cases);

impl TransposedReconstruction {
    /// Numbers of one row of `loss_ring`.
    pub fn parts(batch: usize, window: &Window) -> usize {
        let (sizes, products) = Convolution::sizes(batch, window, Direction::ToFine);
        TERMS * products * sizes.parts()
    }

    fn sums(&self) -> usize {
        Self::parts(self.batch, &self.window) / TERMS
    }
}

impl Kernel for TransposedReconstruction {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { batch, window, slots, .. } = self;
        let parts = Self::parts(*batch, window);
        let [h, l] = window.ends(Direction::ToFine);
        let image = batch * l.numbers();
        let theta = window.weights() + l.channels;
        let work = 2 * batch * window.products();
        let shape = Shape::new([batch * h.numbers(), theta, image], [image, slots * parts], work);
        // One row of the ring is written, not all of it.
        Shape { bytes: shape.bytes - 4 * ((slots - 1) * parts) as u64, ..shape }
    }

    fn params(&self) -> Vec<u32> {
        let inverse_variance = self.likelihood.inverse_variance();
        let scales = [inverse_variance, inverse_variance / self.batch as f32].map(f32::to_bits);
        [words([self.batch]), scales.into(), words([self.sums()])].concat()
    }

    fn overrides(&self) -> Overrides {
        self.window.overrides().and(self.likelihood.overrides())
    }

    fn variants(&self) -> Vec<Variant> {
        let mut variants =
            Convolution::variants_of(Convolution::sizes(self.batch, &self.window, Direction::ToFine));
        variants.retain(|variant| variant.grid[0] * variant.grid[1] <= self.sums());
        variants
    }

    fn tuning_key(&self) -> Option<String> {
        Some(format!("{} {} {}", SPEC.name, self.batch, self.window.key()))
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let ([h, theta, x], [dl, loss_ring]) = buffers.split();
        reference_sums(&self.window, Direction::ToFine, h, theta, false, dl);
        let totals = self.likelihood.reference_gradient(dl, x, self.batch);
        let slot = slot_of(loss_ring, self.slots, step.slot);
        slot.fill(0.0);
        slot[..TERMS].copy_from_slice(&totals);
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let Self { batch, window, likelihood, .. } = self;
        let ([h, theta, x], [dl, loss_ring]) = buffers.split();
        let [input, output] = window.ends(Direction::ToFine).map(|grid| grid.numbers());
        let (weights, bias) = theta.split_at(window.weights());
        let layer = IndirectLayer::new(window, Direction::ToFine, weights);
        let images =
            dl.par_chunks_exact_mut(output).zip(h.par_chunks_exact(input)).zip(x.par_chunks_exact(output));
        let terms: Vec<[f64; TERMS]> = images
            .map(|((dl, h), x)| {
                layer.compute(h, Some(bias), dl);
                likelihood.gradient(dl, x, *batch)
            })
            .collect();
        // Image by image, whatever the number of threads.
        let totals = terms.iter().fold([0.0; TERMS], |sum, terms| std::array::from_fn(|i| sum[i] + terms[i]));
        put_total(slot_of(loss_ring, self.slots, step.slot), totals);
    }

    fn tolerance(&self) -> f64 {
        tolerance(Convolution::sizes(self.batch, &self.window, Direction::ToFine).0.depth) * 4.0
    }
}

fn cases() -> Vec<Case> {
    let likelihoods = [Likelihood::Gaussian { sigma: 0.8 }, Likelihood::Bernoulli];
    let case = |((batch, window), &likelihood): ((usize, Window), &Likelihood)| {
        let scale = ((window.coarse.channels * window.taps()) as f32).sqrt().recip();
        let case = Case::new(TransposedReconstruction { batch, window, slots: 2, likelihood })
            .map("theta", |_, w| w * scale)
            .map("x", |_, x| crate::numeric::sigmoid(3.0 * x));
        Case { step: Step { slot: 1, ..case.step }, ..case }
    };
    window::cases().into_iter().zip(likelihoods.iter().cycle()).map(case).collect()
}
