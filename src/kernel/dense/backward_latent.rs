//! The gradient of the objective with respect to mean and log-std, from the decoder's first layer.
//!
//! ```text
//! dz[b, j]       = sum_h dh[b, h] W[h, j] + e extra_z
//! analytic KL:   dmu = dz + w mu / B                 dlog_std = dz eps std + w (std^2 - 1) / B
//! sampled KL:    dmu = dz + w z / B                  dlog_std = (dz + w z / B) eps std - w / B
//! and then       dmu += e extra_mu                   dlog_std += e extra_log_std
//! ```
//!
//! with std = exp(log_std), z = mu + std eps. w is the weight of the KL term in this step; with a capacity C the
//! term is w |KL - C| of the batch's mean KL instead of w KL (Burgess et al. 2018, equation 8), and w takes the
//! sign of KL - C. `dh: (B, H)`; `theta`: W `(H, M)`, then the bias, which plays no part; `stats, dstats:
//! (B, 2M)` = mu, log_std; `noise: (B, M)` = eps; `kl_ring: (slots, parts)` from the latent layer, for the
//! capacity; `extra`: the gradient of the objective's further term of weight e, `(B, M)` at z, or `(B, 3M)` at z,
//! mu and log_std. Without noise, eps = 0 here as there.

use super::latent::{KlEstimate, Latent};
use super::linear::layer_len;
use super::product::{ProductSizes, SIZES, matrix, matrix_mut, serial, tolerance};
use crate::kernel::words::words;
use crate::numeric::exp;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, UNUSED_LEN, Variant};
use multiversion::multiversion;
use rayon::prelude::*;
use std::cell::RefCell;

/// Backward through the first decoder layer, the sample and the KL.
#[derive(Clone, Debug)]
pub struct BackwardLatent {
    /// B.
    pub batch: usize,
    /// M.
    pub latent: usize,
    /// H, the outputs of the decoder's first layer.
    pub outputs: usize,
    /// Which KL is differentiated.
    pub kl: KlEstimate,
    /// Rows of `kl_ring` where the KL is held at a capacity; without them it is minimised.
    pub capacity: Option<usize>,
    /// The parts of the gradient that `extra` holds.
    pub extra: TermGradient,
}

/// Where the objective's further term has a gradient: the values of EXTRA in the shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermGradient {
    /// There is no such term.
    None,
    /// At z alone.
    Z,
    /// At z, mu and log_std.
    All,
}

impl TermGradient {
    /// Numbers for each latent dimension of an image.
    pub fn parts(self) -> usize {
        match self {
            Self::None => 0,
            Self::Z => 1,
            Self::All => 3,
        }
    }
}

impl BackwardLatent {
    /// w / B of one step.
    fn weight(&self, step: &Step, kl_ring: &[f32]) -> f32 {
        let sign = |slots: usize| {
            let parts = kl_ring.len() / slots;
            let total: f32 = kl_ring[step.slot as usize * parts..][..parts].iter().sum();
            sign(total / self.batch as f32 - step.capacity)
        };
        self.capacity.map_or(1.0, sign) * step.kl_weight / self.batch as f32
    }
}

/// -1, 0 or 1, as WGSL has it.
fn sign(value: f32) -> f32 {
    if value == 0.0 { 0.0 } else { value.signum() }
}

pub(crate) static SPEC: Spec = Spec::new(
    "backward_latent",
    "dz = dh W + e extra;  (dmu, dlog_std) = dz (1, eps std) + w dKL / B",
    wgsl!("dense/backward_latent", "elements", "finish", "product", "step"),
)
.reads(&["dh", "theta", "stats", "noise", "kl_ring", "extra"])
.writes(&["dstats"])
.cases(cases);

thread_local! {
    /// dz of the rows that this thread works on.
    static DZ: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl BackwardLatent {
    fn sizes(&self) -> ProductSizes {
        ProductSizes { rows: self.batch, depth: self.outputs, columns: self.latent }
    }
}

impl Kernel for BackwardLatent {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { batch, latent, outputs, .. } = *self;
        let kl_ring = self.capacity.map_or(UNUSED_LEN, |slots| slots * Latent::parts(batch, latent));
        let extra = (batch * latent * self.extra.parts()).max(UNUSED_LEN);
        Shape::new(
            [batch * outputs, layer_len(latent, outputs), 2 * batch * latent, batch * latent, kl_ring, extra],
            [2 * batch * latent],
            self.sizes().flop(),
        )
    }

    fn params(&self) -> Vec<u32> {
        let parts = Latent::parts(self.batch, self.latent);
        let scale = (self.batch as f32).recip().to_bits();
        [words([self.batch, self.latent, self.outputs, parts]), vec![scale]].concat()
    }

    fn overrides(&self) -> Overrides {
        Overrides::of("SAMPLED_KL", self.kl == KlEstimate::Sampled)
            .set("CAPACITY", self.capacity.is_some())
            .set("EXTRA", self.extra.parts())
    }

    fn variants(&self) -> Vec<Variant> {
        self.sizes().variants()
    }

    fn plain(&self) -> Option<Variant> {
        let source = wgsl!("dense/backward_latent", "plain", "step");
        Some(self.sizes().plain(source, self.overrides(), false))
    }

    fn tuning_key(&self) -> Option<String> {
        self.sizes().tuning_key(&SPEC)
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let m = self.latent;
        let ([dh, theta, stats, noise, kl_ring, extra], [dstats]) = buffers.split();
        let mut weight = f64::from(step.kl_weight) / self.batch as f64;
        if let Some(slots) = self.capacity {
            let parts = kl_ring.len() / slots;
            let kl: f64 = kl_ring[step.slot as usize * parts..][..parts].iter().sum();
            weight *= match kl / self.batch as f64 - f64::from(step.capacity) {
                0.0 => 0.0,
                distance => distance.signum(),
            };
        }
        let extra = |b: usize, part: usize, j: usize| {
            let parts = self.extra.parts();
            let term = if part < parts { extra[(b * parts + part) * m + j] } else { 0.0 };
            f64::from(step.extra_weight) * term
        };
        for b in 0..self.batch {
            for j in 0..m {
                let dz: f64 = (0..self.outputs).map(|h| dh[b * self.outputs + h] * theta[h * m + j]).sum();
                let dz = dz + extra(b, 0, j);
                let (mu, std, eps) = (stats[b * 2 * m + j], stats[b * 2 * m + m + j].exp(), noise[b * m + j]);
                let (dmu, dlog_std) = match self.kl {
                    KlEstimate::Analytic => (dz + weight * mu, dz * eps * std + weight * (std * std - 1.0)),
                    KlEstimate::Sampled => {
                        let dz = dz + weight * (mu + std * eps);
                        (dz, dz * eps * std - weight)
                    }
                };
                dstats[b * 2 * m + j] = dmu + extra(b, 1, j);
                dstats[b * 2 * m + m + j] = dlog_std + extra(b, 2, j);
            }
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let Self { batch, latent: m, outputs, kl, extra: terms, .. } = *self;
        let ([dh, theta, stats, noise, kl_ring, extra], [dstats]) = buffers.split();
        let weight = self.weight(step, kl_ring);
        let rows_each = batch.div_ceil(rayon::current_num_threads());
        dstats.par_chunks_mut(rows_each * 2 * m).enumerate().for_each(|(part, dstats)| {
            let (first, rows) = (part * rows_each, dstats.len() / (2 * m));
            DZ.with_borrow_mut(|dz| {
                dz.resize(dz.len().max(rows * m), 0.0);
                let left = matrix(dh, batch, outputs).subrows(first, rows);
                let right = matrix(theta, outputs, m);
                serial(matrix_mut(dz, rows, m), left, right);
                for (i, dstats) in dstats.chunks_exact_mut(2 * m).enumerate() {
                    let b = first + i;
                    let extra = &extra[b * terms.parts() * m..][..terms.parts() * m];
                    let dz = &mut dz[i * m..][..m];
                    if terms != TermGradient::None {
                        add_scaled(dz, &extra[..m], step.extra_weight);
                    }
                    let image = [&*dz, &stats[b * 2 * m..][..2 * m], &noise[b * m..][..m]];
                    match kl {
                        KlEstimate::Analytic => analytic(image, weight, dstats),
                        KlEstimate::Sampled => sampled(image, weight, dstats),
                    }
                    if terms == TermGradient::All {
                        add_scaled(dstats, &extra[m..], step.extra_weight);
                    }
                }
            });
        });
    }

    fn tolerance(&self) -> f64 {
        tolerance(self.outputs) * 4.0
    }
}

/// y += scale x.
#[multiversion(targets = "simd")]
fn add_scaled(y: &mut [f32], x: &[f32], scale: f32) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += scale * x);
}

#[multiversion(targets = "simd")]
fn analytic(image: [&[f32]; 3], weight: f32, dstats: &mut [f32]) {
    each_latent(image, weight, dstats, |[dz, mu, std, eps], w| {
        [dz + w * mu, dz * eps * std + w * (std * std - 1.0)]
    });
}

#[multiversion(targets = "simd")]
fn sampled(image: [&[f32]; 3], weight: f32, dstats: &mut [f32]) {
    each_latent(image, weight, dstats, |[dz, mu, std, eps], w| {
        let dz = dz + w * (mu + std * eps);
        [dz, dz * eps * std - w]
    });
}

/// The gradients of an image's means and log-stds, from its dz, stats and noise and w / B.
#[inline(always)]
fn each_latent(
    [dz, stats, noise]: [&[f32]; 3],
    weight: f32,
    dstats: &mut [f32],
    gradient: impl Fn([f32; 4], f32) -> [f32; 2],
) {
    let m = dz.len();
    let ((mu, log_std), (dmu, dlog_std)) = (stats.split_at(m), dstats.split_at_mut(m));
    let (mu, log_std, noise) = (&mu[..m], &log_std[..m], &noise[..m]);
    let (dmu, dlog_std) = (&mut dmu[..m], &mut dlog_std[..m]);
    for j in 0..m {
        [dmu[j], dlog_std[j]] = gradient([dz[j], mu[j], exp(log_std[j]), noise[j]], weight);
    }
}

fn cases() -> Vec<Case> {
    let switches = [
        (KlEstimate::Analytic, None, TermGradient::None),
        (KlEstimate::Sampled, None, TermGradient::All),
        (KlEstimate::Analytic, Some(3), TermGradient::Z),
        (KlEstimate::Sampled, Some(2), TermGradient::None),
        (KlEstimate::Analytic, Some(2), TermGradient::All),
        (KlEstimate::Sampled, None, TermGradient::Z),
    ];
    SIZES
        .iter()
        .zip(switches)
        .map(|(&[batch, outputs, latent], (kl, capacity, extra))| {
            let case = Case::new(BackwardLatent { batch, latent, outputs, kl, capacity, extra });
            // The mean KL is on one side of the capacity by far: its sign is no matter of rounding.
            let side = if extra == TermGradient::Z { -1.0 } else { 1.0 };
            let case = case.map("kl_ring", |_, kl| side * kl.abs());
            Case { step: Step { slot: 1, ..case.step }, ..case }
        })
        .collect()
}
