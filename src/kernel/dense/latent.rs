//! The latent layer: the encoder's last linear layer, one sample, and its KL divergence from the prior.
//!
//! ```text
//! (mu, log_std)[b] = h[b] W^T + bias
//! z[b, j]          = mu[b, j] + exp(log_std[b, j]) eps[b, j]          eps ~ N(0, 1)
//! analytic:  kl    = sum_bj  (mu^2 + exp(2 log_std) - 1) / 2 - log_std
//! sampled:   kl    = sum_bj  log q(z|x) - log p(z) = z^2 / 2 - eps^2 / 2 - log_std
//! ```
//!
//! `h: (B, H)`; `theta`: W `(2M, H)`, then the bias `(2M)`, means first; `stats: (B, 2M)` = mu, log_std;
//! `noise: (B, M)` = eps; `z: (B, M)`; `kl_ring: (slots, parts)`, one row a step, in nats summed over the
//! batch; the analytic one is computed as mu^2 / 2 + (e^t - 1 - t) / 2, t = 2 log_std, without cancellation.
//! eps is the normal number of (seed, step, position of the image, j): [`crate::random`]; 0 without noise.
//! Kingma and Welling, "Auto-encoding variational Bayes" (2014), equation 10 and appendix B.

use super::linear::{add_bias, layer_len, reference_linear};
use super::product::{ProductSizes, SIZES, matrix, matrix_mut, multiply, tolerance};
use crate::kernel::normal::{fill, reference_normal};
use crate::kernel::words::{put_total, slot_of, words};
use crate::numeric::{exp, exp_excess};
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use crate::random::Stream;
use multiversion::multiversion;
use rayon::prelude::*;

/// Which estimate of KL(q(z|x) || p(z)) is minimised. Both have the same expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KlEstimate {
    /// The closed form for two Gaussians.
    Analytic,
    /// log q(z|x) - log p(z) at the one sampled z, as on the lecture's slides.
    Sampled,
}

/// The latent layer.
#[derive(Clone, Debug)]
pub struct Latent {
    /// B.
    pub batch: usize,
    /// H.
    pub inputs: usize,
    /// M.
    pub latent: usize,
    /// Rows of `kl_ring`.
    pub slots: usize,
    /// Which random numbers eps are; `None` for a deterministic encoder: eps = 0 and z = mu.
    pub stream: Option<Stream>,
    /// Which KL is summed.
    pub kl: KlEstimate,
}

pub(crate) static SPEC: Spec = Spec::new(
    "latent",
    "(mu, log_std) = h W^T + b;  z = mu + exp(log_std) eps;  kl",
    wgsl!("dense/latent", "elements", "product", "random", "reduce", "step"),
)
.reads(&["h", "theta"])
.writes(&["stats", "noise", "z", "kl_ring"])
.partial_sums("kl_ring", 1)
.cases(cases);

impl Latent {
    fn product(batch: usize, inputs: usize, latent: usize) -> ProductSizes {
        ProductSizes { rows: batch, depth: inputs, columns: 2 * latent }
    }

    /// Numbers of one row of `kl_ring`.
    pub fn parts(batch: usize, latent: usize) -> usize {
        Self::product(batch, 0, latent).parts()
    }
}

impl Latent {
    /// eps, z and the KL of rows `first..` of the batch.
    fn sample_rows(&self, step: &Step, first: usize, stats: &[f32], noise: &mut [f32], z: &mut [f32]) -> f64 {
        let m = self.latent;
        match self.stream {
            Some(stream) => fill(noise, m, step.first + first as u32, stream, step),
            None => noise.fill(0.0),
        }
        let rows = noise.chunks_exact(m).zip(z.chunks_exact_mut(m)).zip(stats.chunks_exact(2 * m));
        rows.map(|((noise, z), stats)| {
            let (mu, log_std) = stats.split_at(m);
            sample(mu, log_std, noise, z);
            match self.kl {
                KlEstimate::Analytic => analytic_kl(mu, log_std),
                KlEstimate::Sampled => sampled_kl(log_std, noise, z),
            }
        })
        .sum()
    }
}

impl Latent {
    fn sizes(&self) -> ProductSizes {
        Self::product(self.batch, self.inputs, self.latent)
    }
}

impl Kernel for Latent {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { batch, inputs, latent, slots, .. } = *self;
        let parts = Self::parts(batch, latent);
        let shape = Shape::new(
            [batch * inputs, layer_len(inputs, 2 * latent)],
            [2 * batch * latent, batch * latent, batch * latent, slots * parts],
            self.sizes().flop(),
        );
        // One row of the ring is written, not all of it.
        Shape { bytes: shape.bytes - 4 * ((slots - 1) * parts) as u64, ..shape }
    }

    fn params(&self) -> Vec<u32> {
        let stream = self.stream.map_or(0, |stream| stream as usize);
        words([self.batch, self.inputs, self.latent, stream, Self::parts(self.batch, self.latent)])
    }

    fn overrides(&self) -> Overrides {
        Overrides::of("SAMPLED_KL", self.kl == KlEstimate::Sampled).set("NOISE", self.stream.is_some())
    }

    fn variants(&self) -> Vec<Variant> {
        self.sizes().variants_with_sums()
    }

    fn tuning_key(&self) -> Option<String> {
        self.sizes().tuning_key(&SPEC)
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let m = self.latent;
        let ([h, theta], [stats, noise, z, kl_ring]) = buffers.split();
        reference_linear(h, theta, [self.inputs, 2 * m], stats);
        let mut total = 0.0;
        for b in 0..self.batch {
            for j in 0..m {
                let (mu, log_std) = (stats[b * 2 * m + j], stats[b * 2 * m + m + j]);
                let normal = |stream| reference_normal(j, step.first + b as u32, stream, step);
                let eps = self.stream.map_or(0.0, normal);
                noise[b * m + j] = eps;
                z[b * m + j] = mu + log_std.exp() * eps;
                total += match self.kl {
                    KlEstimate::Analytic => (mu * mu + (2.0 * log_std).exp() - 1.0) / 2.0 - log_std,
                    KlEstimate::Sampled => (z[b * m + j].powi(2) - eps * eps) / 2.0 - log_std,
                };
            }
        }
        let slot = slot_of(kl_ring, self.slots, step.slot);
        slot.fill(0.0);
        slot[0] = total;
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let Self { batch, inputs, latent: m, .. } = *self;
        let ([h, theta], [stats, noise, z, kl_ring]) = buffers.split();
        let (weights, bias) = theta.split_at(2 * m * inputs);
        multiply(
            matrix_mut(stats, batch, 2 * m),
            matrix(h, batch, inputs),
            matrix(weights, 2 * m, inputs).transpose(),
            &|_, columns, stats| {
                add_bias(stats, &bias[columns], f32::NEG_INFINITY);
                []
            },
        );
        let rows_each = batch.div_ceil(rayon::current_num_threads());
        let total = noise
            .par_chunks_mut(rows_each * m)
            .zip(z.par_chunks_mut(rows_each * m))
            .zip(stats.par_chunks(rows_each * 2 * m))
            .enumerate()
            // One part per leaf makes the tree of additions, and so the bits, the same on every run.
            .with_max_len(1)
            .map(|(part, ((noise, z), stats))| self.sample_rows(step, part * rows_each, stats, noise, z))
            .sum();
        put_total(slot_of(kl_ring, self.slots, step.slot), [total]);
    }

    fn tolerance(&self) -> f64 {
        // exp(log_std) turns an absolute error of log_std, here up to sqrt(H) in size, into a relative one.
        tolerance(self.inputs) * (4.0 + (self.inputs as f64).sqrt())
    }
}

/// z = mu + exp(log_std) eps for one image.
#[multiversion(targets = "simd")]
fn sample(mu: &[f32], log_std: &[f32], noise: &[f32], z: &mut [f32]) {
    for (((z, mu), log_std), eps) in z.iter_mut().zip(mu).zip(log_std).zip(noise) {
        *z = mu + exp(*log_std) * eps;
    }
}

/// KL(q(z|x) || p(z)) of one image.
#[multiversion(targets = "simd")]
fn analytic_kl(mu: &[f32], log_std: &[f32]) -> f64 {
    add_up(mu.iter().zip(log_std).map(|(mu, log_std)| 0.5 * (mu * mu + exp_excess(2.0 * log_std))))
}

/// log q(z|x) - log p(z) of one image.
#[multiversion(targets = "simd")]
fn sampled_kl(log_std: &[f32], noise: &[f32], z: &[f32]) -> f64 {
    add_up(log_std.iter().zip(noise).zip(z).map(|((log_std, eps), z)| 0.5 * (z * z - eps * eps) - log_std))
}

#[inline(always)]
fn add_up(terms: impl Iterator<Item = f32>) -> f64 {
    f64::from(terms.sum::<f32>())
}

fn cases() -> Vec<Case> {
    SIZES
        .iter()
        .zip([KlEstimate::Analytic, KlEstimate::Sampled].iter().cycle())
        .map(|(&[batch, inputs, latent], &kl)| {
            // One size goes without noise.
            let stream = (inputs != 16).then_some(Stream::Training);
            let kernel = Latent { batch, inputs, latent, slots: 3, stream, kl };
            // Weights of the size that training starts with keep exp(log_std) in its working range.
            let scale = (inputs as f32).sqrt().recip();
            let case = Case::new(kernel).map("theta", |_, w| w * scale);
            Case { step: Step { slot: 1, ..case.step }, ..case }
        })
        .collect()
}
