//! The gradient of the objective with respect to mean and log-std, from the decoder's first layer.
//!
//! ```text
//! dz[b, j]       = sum_h dh[b, h] W[h, j]
//! analytic KL:   dmu = dz + w mu / B                 dlog_std = dz eps std + w (std^2 - 1) / B
//! sampled KL:    dmu = dz + w z / B                  dlog_std = (dz + w z / B) eps std - w / B
//! ```
//!
//! with std = exp(log_std), z = mu + std eps, and w the weight of the KL term in this step. `dh: (B, H)`;
//! `theta`: W `(H, M)`, then the bias, which plays no part; `stats, dstats: (B, 2M)` = mu, log_std;
//! `noise: (B, M)` = eps.

use super::latent::KlEstimate;
use super::linear::layer_len;
use super::product::{self, Combine, grid, matrix, matrix_mut, overrides, tolerance, words};
use crate::numeric::exp;
use crate::program::{Buffers, Case, Kernel, Shape, Spec, Step};
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
}

/// See the module.
pub static SPEC: Spec = Spec {
    name: "backward_latent",
    formula: "dz = dh W;  (dmu, dlog_std) = dz (1, eps std) + w dKL / B",
    source: concat!(
        include_str!("../../shaders/backward_latent.wgsl"),
        include_str!("../../shaders/lib/product.wgsl"),
        include_str!("../../shaders/lib/step.wgsl")
    ),
    reads: &["dh", "theta", "stats", "noise"],
    writes: &["dstats"],
    words: &[],
    partial_sums: None,
    cases,
};

thread_local! {
    /// dz of the rows that this thread works on.
    static DZ: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl Kernel for BackwardLatent {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { batch, latent, outputs, .. } = *self;
        Shape::new(
            [batch * outputs, layer_len(latent, outputs), 2 * batch * latent, batch * latent],
            [2 * batch * latent],
            grid(batch, latent),
            2 * batch * latent * outputs,
        )
    }

    fn params(&self) -> Vec<u32> {
        [words([self.batch, self.latent, self.outputs]), vec![(self.batch as f32).recip().to_bits()]].concat()
    }

    fn overrides(&self) -> Vec<(&'static str, f64)> {
        let sampled = self.kl == KlEstimate::Sampled;
        [overrides(Combine::Products), vec![("SAMPLED_KL", f64::from(u8::from(sampled)))]].concat()
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let m = self.latent;
        let ([dh, theta, stats, noise], [dstats]) = buffers.split();
        let weight = f64::from(step.kl_weight) / self.batch as f64;
        for b in 0..self.batch {
            for j in 0..m {
                let dz: f64 = (0..self.outputs).map(|h| dh[b * self.outputs + h] * theta[h * m + j]).sum();
                let (mu, std, eps) = (stats[b * 2 * m + j], stats[b * 2 * m + m + j].exp(), noise[b * m + j]);
                let (dmu, dlog_std) = match self.kl {
                    KlEstimate::Analytic => (dz + weight * mu, dz * eps * std + weight * (std * std - 1.0)),
                    KlEstimate::Sampled => {
                        let dz = dz + weight * (mu + std * eps);
                        (dz, dz * eps * std - weight)
                    }
                };
                dstats[b * 2 * m + j] = dmu;
                dstats[b * 2 * m + m + j] = dlog_std;
            }
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let Self { batch, latent: m, outputs, kl } = *self;
        let ([dh, theta, stats, noise], [dstats]) = buffers.split();
        let weight = step.kl_weight / batch as f32;
        let rows_each = batch.div_ceil(rayon::current_num_threads());
        dstats.par_chunks_mut(rows_each * 2 * m).enumerate().for_each(|(part, dstats)| {
            let (first, rows) = (part * rows_each, dstats.len() / (2 * m));
            DZ.with_borrow_mut(|dz| {
                dz.resize(dz.len().max(rows * m), 0.0);
                let left = matrix(dh, batch, outputs).subrows(first, rows);
                let right = matrix(theta, outputs, m);
                product::serial(matrix_mut(dz, rows, m), left, right);
                for (i, dstats) in dstats.chunks_exact_mut(2 * m).enumerate() {
                    let b = first + i;
                    let row = Row {
                        dz: &dz[i * m..][..m],
                        stats: &stats[b * 2 * m..][..2 * m],
                        noise: &noise[b * m..][..m],
                        weight,
                    };
                    match kl {
                        KlEstimate::Analytic => analytic(row, dstats),
                        KlEstimate::Sampled => sampled(row, dstats),
                    }
                }
            });
        });
    }

    fn tolerance(&self) -> f64 {
        tolerance(self.outputs) * 4.0
    }
}

/// One image.
#[derive(Clone, Copy)]
struct Row<'a> {
    dz: &'a [f32],
    stats: &'a [f32],
    noise: &'a [f32],
    /// w / B.
    weight: f32,
}

#[multiversion(targets = "simd")]
fn analytic(row: Row<'_>, dstats: &mut [f32]) {
    each_latent(row, dstats, |[dz, mu, std, eps], w| [dz + w * mu, dz * eps * std + w * (std * std - 1.0)]);
}

#[multiversion(targets = "simd")]
fn sampled(row: Row<'_>, dstats: &mut [f32]) {
    each_latent(row, dstats, |[dz, mu, std, eps], w| {
        let dz = dz + w * (mu + std * eps);
        [dz, dz * eps * std - w]
    });
}

#[inline(always)]
fn each_latent(
    Row { dz, stats, noise, weight }: Row<'_>,
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
    product::SIZES
        .iter()
        .zip([KlEstimate::Analytic, KlEstimate::Sampled].iter().cycle())
        .map(|(&[batch, outputs, latent], &kl)| Case::new(BackwardLatent { batch, latent, outputs, kl }))
        .collect()
}
