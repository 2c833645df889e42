//! The output layer with the reconstruction loss and its gradient.
//!
//! ```text
//! l[b]       = h[b] W^T + bias
//! gaussian:  x_hat = l            loss = (x - l)^2 / (2 sigma^2)          dl = (l - x) / (sigma^2 B)
//! bernoulli: x_hat = sigmoid(l)   loss = max(l, 0) - x l + ln(1 + e^-|l|) dl = (x_hat - x) / B
//! ```
//!
//! `h: (B, H)`; `theta`: W `(D, H)`, then the bias `(D)`; `x, dl: (B, D)`; `loss_ring: (slots, parts, 2)`, one
//! row a step: the squared error sum (x - x_hat)^2 and the loss, in nats without the Gaussian's constant,
//! both summed over the batch. `dl` is the gradient of the mean over the batch.

use super::linear::{layer_len, reference_linear};
use super::product::{ProductSizes, SIZES, matrix, matrix_mut, multiply, tolerance};
use crate::kernel::words::{put_total, slot_of, words};
use crate::numeric::{sigmoid, softplus};
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use multiversion::multiversion;

/// p(x | z).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Likelihood {
    /// N(x | x_hat, sigma^2 I).
    Gaussian {
        /// The standard deviation of a pixel.
        sigma: f32,
    },
    /// Independent Bernoulli pixels, given by logits.
    Bernoulli,
}

impl Likelihood {
    /// The constant to add to the loss of an image of `dimension` pixels to get -ln p(x | z):
    /// (D / 2) ln(2 pi sigma^2) for the Gaussian.
    pub fn constant(&self, dimension: usize) -> f64 {
        match *self {
            Self::Gaussian { sigma } => {
                0.5 * dimension as f64 * (2.0 * std::f64::consts::PI * f64::from(sigma).powi(2)).ln()
            }
            Self::Bernoulli => 0.0,
        }
    }

    /// 1 / sigma^2, or 1 where there is no sigma.
    pub(crate) fn inverse_variance(&self) -> f32 {
        match self {
            Self::Gaussian { sigma } => (sigma * sigma).recip(),
            Self::Bernoulli => 1.0,
        }
    }

    /// Value of the `override` constant of `shaders/lib/likelihood.wgsl`.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides::of("BERNOULLI", *self == Self::Bernoulli)
    }

    /// Replaces l by the gradient of the mean loss, in f64; the sums of the squared error and of the loss.
    pub(crate) fn reference_gradient(&self, l: &mut [f64], x: &[f64], batch: usize) -> [f64; TERMS] {
        let mut totals = [0.0; TERMS];
        for (l, &x) in l.iter_mut().zip(x) {
            let (x_hat, loss) = self.reference(*l, x);
            totals[0] += (x - x_hat).powi(2);
            totals[1] += loss;
            *l = match self {
                Self::Gaussian { sigma } => (x_hat - x) / f64::from(*sigma).powi(2),
                Self::Bernoulli => x_hat - x,
            } / batch as f64;
        }
        totals
    }

    /// Replaces l by the gradient of the mean loss of `batch` images; the sums of the squared error and of the loss.
    pub(crate) fn gradient(&self, l: &mut [f32], x: &[f32], batch: usize) -> [f64; TERMS] {
        let inverse_variance = self.inverse_variance();
        let scale = inverse_variance / batch as f32;
        match self {
            Self::Gaussian { .. } => gaussian(l, x, scale, inverse_variance),
            Self::Bernoulli => bernoulli(l, x, scale),
        }
    }

    /// [`Likelihood::gradient`] of l + bias.
    fn gradient_with_bias(&self, l: &mut [f32], bias: &[f32], x: &[f32], batch: usize) -> [f64; TERMS] {
        let inverse_variance = self.inverse_variance();
        let scale = inverse_variance / batch as f32;
        match self {
            Self::Gaussian { .. } => gaussian_with_bias(l, bias, x, scale, inverse_variance),
            Self::Bernoulli => bernoulli_with_bias(l, bias, x, scale),
        }
    }

    /// `x_hat` and the loss of a pixel.
    pub(crate) fn reference(&self, l: f64, x: f64) -> (f64, f64) {
        match *self {
            Self::Gaussian { sigma } => (l, (x - l).powi(2) / (2.0 * f64::from(sigma).powi(2))),
            Self::Bernoulli => (1.0 / (1.0 + (-l).exp()), l.max(0.0) - x * l + (-l.abs()).exp().ln_1p()),
        }
    }
}

/// The output layer.
#[derive(Clone, Debug)]
pub struct Reconstruction {
    /// B.
    pub batch: usize,
    /// H.
    pub inputs: usize,
    /// D.
    pub dimension: usize,
    /// Rows of `loss_ring`.
    pub slots: usize,
    /// Which loss.
    pub likelihood: Likelihood,
}

pub(crate) static SPEC: Spec = Spec::new(
    "reconstruction",
    "l = h W^T + b;  loss = -ln p(x | l);  dl = dloss/dl / B",
    wgsl!("dense/reconstruction", "likelihood", "elements", "finish", "product", "reduce", "step"),
)
.reads(&["h", "theta", "x"])
.writes(&["dl", "loss_ring"])
.partial_sums("loss_ring", TERMS)
.cases(cases);

/// Squared error and loss.
pub const TERMS: usize = 2;

impl Reconstruction {
    /// Numbers of one row of `loss_ring`.
    pub fn parts(batch: usize, dimension: usize) -> usize {
        TERMS * ProductSizes { rows: batch, depth: 0, columns: dimension }.parts()
    }
}

impl Reconstruction {
    fn sizes(&self) -> ProductSizes {
        ProductSizes { rows: self.batch, depth: self.inputs, columns: self.dimension }
    }
}

impl Kernel for Reconstruction {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { batch, inputs, dimension, slots, .. } = *self;
        let parts = Self::parts(batch, dimension);
        let shape = Shape::new(
            [batch * inputs, layer_len(inputs, dimension), batch * dimension],
            [batch * dimension, slots * parts],
            self.sizes().flop(),
        );
        // One row of the ring is written, not all of it.
        Shape { bytes: shape.bytes - 4 * ((slots - 1) * parts) as u64, ..shape }
    }

    fn params(&self) -> Vec<u32> {
        let inverse_variance = self.likelihood.inverse_variance();
        let scales = [inverse_variance, inverse_variance / self.batch as f32].map(f32::to_bits);
        let parts = words([self.sizes().parts()]);
        [words([self.batch, self.inputs, self.dimension]), scales.into(), parts].concat()
    }

    fn overrides(&self) -> Overrides {
        self.likelihood.overrides()
    }

    fn variants(&self) -> Vec<Variant> {
        self.sizes().variants_with_sums()
    }

    fn plain(&self) -> Option<Variant> {
        let source = wgsl!("dense/reconstruction", "likelihood", "plain", "reduce", "step");
        Some(self.sizes().plain(source, self.overrides(), true))
    }

    fn tuning_key(&self) -> Option<String> {
        self.sizes().tuning_key(&SPEC)
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let ([h, theta, x], [dl, loss_ring]) = buffers.split();
        reference_linear(h, theta, [self.inputs, self.dimension], dl);
        let totals = self.likelihood.reference_gradient(dl, x, self.batch);
        let slot = slot_of(loss_ring, self.slots, step.slot);
        slot.fill(0.0);
        slot[..TERMS].copy_from_slice(&totals);
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let Self { batch, inputs, dimension, likelihood, .. } = *self;
        let ([h, theta, x], [dl, loss_ring]) = buffers.split();
        let (weights, bias) = theta.split_at(dimension * inputs);
        let totals = multiply(
            matrix_mut(dl, batch, dimension),
            matrix(h, batch, inputs),
            matrix(weights, dimension, inputs).transpose(),
            &|b, columns, dl| {
                let x = &x[b * dimension..][columns.clone()];
                likelihood.gradient_with_bias(dl, &bias[columns], x, batch)
            },
        );
        put_total(slot_of(loss_ring, self.slots, step.slot), totals);
    }

    fn tolerance(&self) -> f64 {
        tolerance(self.inputs) * 4.0
    }
}

/// Gradients and sums for the Gaussian likelihood.
#[multiversion(targets = "simd")]
fn gaussian(l: &mut [f32], x: &[f32], scale: f32, inverse_variance: f32) -> [f64; TERMS] {
    sum_pixels::<false>(l, x, x, |l, x| gaussian_pixel(l, x, scale, inverse_variance))
}

#[multiversion(targets = "simd")]
fn gaussian_with_bias(
    l: &mut [f32],
    bias: &[f32],
    x: &[f32],
    scale: f32,
    inverse_variance: f32,
) -> [f64; TERMS] {
    sum_pixels::<true>(l, bias, x, |l, x| gaussian_pixel(l, x, scale, inverse_variance))
}

/// Gradients and sums for the Bernoulli likelihood.
#[multiversion(targets = "simd")]
fn bernoulli(l: &mut [f32], x: &[f32], scale: f32) -> [f64; TERMS] {
    sum_pixels::<false>(l, x, x, |l, x| bernoulli_pixel(l, x, scale))
}

#[multiversion(targets = "simd")]
fn bernoulli_with_bias(l: &mut [f32], bias: &[f32], x: &[f32], scale: f32) -> [f64; TERMS] {
    sum_pixels::<true>(l, bias, x, |l, x| bernoulli_pixel(l, x, scale))
}

/// The gradient of a pixel, its squared error and its loss.
#[inline(always)]
fn gaussian_pixel(l: f32, x: f32, scale: f32, inverse_variance: f32) -> (f32, [f32; TERMS]) {
    let error = l - x;
    (error * scale, [error * error, gaussian_loss(l, x, inverse_variance)])
}

#[inline(always)]
fn bernoulli_pixel(l: f32, x: f32, scale: f32) -> (f32, [f32; TERMS]) {
    let error = sigmoid(l) - x;
    (error * scale, [error * error, bernoulli_loss(l, x)])
}

/// The Gaussian's loss of a pixel.
#[inline(always)]
pub(crate) fn gaussian_loss(l: f32, x: f32, inverse_variance: f32) -> f32 {
    0.5 * inverse_variance * ((l - x) * (l - x))
}

/// The Bernoulli likelihood's loss of a pixel.
#[inline(always)]
pub(crate) fn bernoulli_loss(l: f32, x: f32) -> f32 {
    softplus(l) - x * l
}

/// Replaces each l by its gradient and adds up the terms, in `LANES` interleaved sums that the compiler can keep in one
/// vector register. `bias` is added to l before, or is any slice as long where there is none.
#[inline(always)]
fn sum_pixels<const BIAS: bool>(
    l: &mut [f32],
    bias: &[f32],
    x: &[f32],
    pixel: impl Fn(f32, f32) -> (f32, [f32; TERMS]),
) -> [f64; TERMS] {
    const LANES: usize = 16;
    let mut sums = [[0f32; LANES]; TERMS];
    let mut one = |lane: usize, l: &mut f32, bias: f32, x: f32| {
        let (gradient, terms) = pixel(if BIAS { *l + bias } else { *l }, x);
        *l = gradient;
        for (sum, term) in sums.iter_mut().zip(terms) {
            sum[lane] += term;
        }
    };
    let (l, l_rest) = l.as_chunks_mut::<LANES>();
    let (x, x_rest) = x.as_chunks::<LANES>();
    let (bias, bias_rest) = bias.as_chunks::<LANES>();
    for ((l, x), bias) in l.iter_mut().zip(x).zip(bias) {
        for lane in 0..LANES {
            one(lane, &mut l[lane], bias[lane], x[lane]);
        }
    }
    for (lane, ((l, &x), &bias)) in l_rest.iter_mut().zip(x_rest).zip(bias_rest).enumerate() {
        one(lane, l, bias, x);
    }
    sums.map(|lanes| lanes.iter().map(|&s| f64::from(s)).sum())
}

fn cases() -> Vec<Case> {
    let likelihoods = [Likelihood::Gaussian { sigma: 0.8 }, Likelihood::Bernoulli];
    SIZES
        .iter()
        .zip(likelihoods.iter().cycle())
        .map(|(&[batch, inputs, dimension], &likelihood)| {
            let kernel = Reconstruction { batch, inputs, dimension, slots: 2, likelihood };
            let scale = (inputs as f32).sqrt().recip();
            let case = Case::new(kernel)
                .map("theta", |_, w| w * scale)
                .map("x", |_, x| crate::numeric::sigmoid(3.0 * x));
            Case { step: Step { slot: 1, ..case.step }, ..case }
        })
        .collect()
}
