//! MMD^2 between a batch of codes and the prior N(0, I), in closed form, and its gradient.
//!
//! ```text
//! k(a, b)   = exp(-|a - b|^2 / h)                            h = 2 sigma^2
//! E k(z, .) = c exp(-|z|^2 / (h + 2))                        c = (1 + 2/h)^(-M/2)
//! E k       = (1 + 4/h)^(-M/2)
//! mmd2      = 1/(B (B - 1)) sum_{i != j} k(z_i, z_j) - 2/B sum_i E k(z_i, .) + E k
//! gradient  = d mmd2 / dz
//! ```
//!
//! `z, gradient: (B, M)`; `mmd_ring: (slots, B)`, one row a step: what each code adds to mmd2, all but
//! the constant E k, which is [`constant`]. The expectations are over the prior, so no prior sample is needed. The
//! estimate is unbiased; a batch of one has no pairs, and their sum counts as 0. Gretton et al., "A kernel
//! two-sample test" (2012), equation 3; Zhao, Song, Ermon, "InfoVAE" (2019).

use crate::kernel::pair_gradient::{add_differences, add_distances, transposed};
use crate::kernel::pairs::LANES;
use crate::kernel::words::{slot_of, words};
use crate::numeric::exp2;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use rayon::prelude::*;
use std::f64::consts::LOG2_E;

/// MMD^2 to the prior and its gradient.
#[derive(Clone, Debug)]
pub struct PriorMmd {
    /// B.
    pub batch: usize,
    /// M.
    pub latent: usize,
    /// h.
    pub h: f32,
    /// Rows of `mmd_ring`.
    pub slots: usize,
}

pub(crate) static SPEC: Spec = Spec::new(
    "prior_mmd",
    "mmd2 = mean k(z_i, z_j) - 2 mean E k(z_i, .) + E k;  d mmd2 / dz",
    wgsl!("codes/prior_mmd", "exponential", "reduce", "step"),
)
.reads(&["z"])
.writes(&["gradient", "mmd_ring"])
.partial_sums("mmd_ring", 1)
.cases(cases);

/// Threads of a workgroup, which has one code; other codes that are in workgroup memory at a time.
const THREADS: usize = 64;

/// The usual h: sigma^2 = M / 2. Two draws of the prior are sqrt(2 M) apart, and k of them is about e^-2 for any M.
pub fn usual_h(latent: usize) -> f64 {
    latent as f64
}

/// E k(z, .) at z = 0: what the prior's kernel mean is at its highest.
pub fn height(latent: usize, h: f64) -> f64 {
    (1.0 + 2.0 / h).powf(-0.5 * latent as f64)
}

/// E k, what the parts of `mmd_ring` lack.
pub fn constant(latent: usize, h: f64) -> f64 {
    (1.0 + 4.0 / h).powf(-0.5 * latent as f64)
}

/// One kind of term of mmd2: `weight exp(-distance / width)`.
#[derive(Clone, Copy, Debug)]
struct Summand {
    width: f64,
    weight: f64,
    /// The term's gradient is `slope term difference`.
    slope: f64,
}

impl Summand {
    /// The factor that turns a squared distance into a power of two.
    fn scale(&self) -> f64 {
        -LOG2_E / self.width
    }

    fn value(&self, distance: f64) -> f64 {
        self.weight * (-distance / self.width).exp()
    }
}

impl PriorMmd {
    /// Numbers of one row of `mmd_ring`.
    pub fn parts(batch: usize) -> usize {
        batch
    }

    /// The term of two codes, each pair of which counts twice.
    fn pair(&self) -> Summand {
        let (b, width) = (self.batch as f64, f64::from(self.h));
        let weight = if self.batch > 1 { 1.0 / (b * (b - 1.0)) } else { 0.0 };
        Summand { width, weight, slope: -4.0 / width }
    }

    /// The term of a code and the prior.
    fn prior(&self) -> Summand {
        let h = f64::from(self.h);
        let weight = -2.0 * height(self.latent, h) / self.batch as f64;
        Summand { width: h + 2.0, weight, slope: -2.0 / (h + 2.0) }
    }
}

impl Kernel for PriorMmd {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { batch, latent, slots, .. } = *self;
        let codes = batch * latent;
        let shape = Shape::new([codes], [codes, slots * batch], batch * batch * (6 * latent + 16));
        // One row of the ring is written, not all of it.
        Shape { bytes: shape.bytes - 4 * ((slots - 1) * batch) as u64, ..shape }
    }

    fn params(&self) -> Vec<u32> {
        let words_of = |term: Summand| [term.scale(), term.weight, term.slope].map(|v| (v as f32).to_bits());
        [&words([self.batch, self.latent])[..], &words_of(self.pair()), &words_of(self.prior())].concat()
    }

    fn overrides(&self) -> Overrides {
        Overrides::of("THREADS", THREADS)
    }

    fn variants(&self) -> Vec<Variant> {
        let chunks = self.batch.div_ceil(THREADS);
        let iterations = chunks * (1 + self.latent + self.latent.div_ceil(THREADS) * (1 + THREADS)) + THREADS;
        vec![Variant::new("", [self.batch, 1]).iterations(iterations)]
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let m = self.latent;
        let ([z], [gradient, mmd_ring]) = buffers.split();
        let (pair, prior) = (self.pair(), self.prior());
        let slot = slot_of(mmd_ring, self.slots, step.slot);
        for (i, a) in z.chunks_exact(m).enumerate() {
            let of_prior = prior.value(a.iter().map(|v| v * v).sum());
            slot[i] = of_prior;
            for f in 0..m {
                gradient[i * m + f] = prior.slope * of_prior * a[f];
            }
            for (_, b) in z.chunks_exact(m).enumerate().filter(|&(j, _)| j != i) {
                let of_pair = pair.value(a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum());
                slot[i] += of_pair;
                for f in 0..m {
                    gradient[i * m + f] += pair.slope * of_pair * (a[f] - b[f]);
                }
            }
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let Self { batch, latent: m, .. } = *self;
        let ([z], [gradient, mmd_ring]) = buffers.split();
        let (pair, prior) = (self.pair(), self.prior());
        let columns = transposed(z, m);
        let slot = slot_of(mmd_ring, self.slots, step.slot);
        let rows = gradient.par_chunks_exact_mut(m).zip(slot).enumerate();
        rows.for_each_init(Vec::new, |terms, (i, (gradient, part))| {
            let code = &z[i * m..][..m];
            terms.resize(columns.len() / m, 0.0);
            add_distances(code, &columns, false, terms);
            // No term for the code itself, nor for padding.
            terms[i] = f32::INFINITY;
            terms[batch..].fill(f32::INFINITY);
            let of_pairs = to_terms(terms, pair.scale() as f32, pair.weight as f32);
            gradient.fill(0.0);
            add_differences(code, &columns, terms, false, gradient);
            let of_prior = prior.value(code.iter().map(|&v| f64::from(v).powi(2)).sum());
            let (slope, prior_slope) = (pair.slope as f32, (prior.slope * of_prior) as f32);
            for (gradient, z) in gradient.iter_mut().zip(code) {
                *gradient = slope * *gradient + prior_slope * z;
            }
            *part = (of_pairs + of_prior) as f32;
        });
    }

    fn tolerance(&self) -> f64 {
        // Terms of both signs: the sum is smaller than what rounds.
        f64::from(f32::EPSILON) * (16.0 + ((self.batch + self.latent) as f64).sqrt())
    }
}

/// Replaces each distance by `weight 2^(scale distance)` and gives their sum.
#[multiversion(targets = "simd")]
fn to_terms(distances: &mut [f32], scale: f32, weight: f32) -> f64 {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let mut sums = [0.0f32; LANES];
    for distances in distances.chunks_exact_mut(LANES) {
        for (sum, distance) in sums.iter_mut().zip(distances) {
            *distance = weight * exp2::<FUSED>(scale * *distance);
            *sum += *distance;
        }
    }
    sums.iter().map(|&sum| f64::from(sum)).sum()
}

fn cases() -> Vec<Case> {
    [(1, 3), (2, 1), (63, 20), (65, 7), (37, 65), (130, 2)]
        .map(|(batch, latent)| {
            let case = Case::new(PriorMmd { batch, latent, h: 0.7 * usual_h(latent) as f32, slots: 2 });
            Case { step: Step { slot: 1, ..case.step }, ..case }
        })
        .into()
}
