//! The total correlation of a batch's codes, its gradient, and the mutual information of codes and images.
//!
//! ```text
//! TC        = 1/B sum_i  log q(z_i) - sum_m log q(z_im)        MI = 1/B sum_i  log q(z_i | x_i) - log q(z_i)
//! P_ij      = W_ij exp(sum_m l_ijm - log q(z_i))               Q_ijm = W_ij exp(l_ijm - log q(z_im))
//! dTC/dl    = (P_ij - Q_ijm) / B
//! dl/dz     = -t / std      dl/dmu = t / std      dl/dlog_std = t^2 - 1      t = (z - mu) / std
//! ```
//!
//! `z: (B, M)`; `stats: (B, 2M)` = mu, log_std; `log_density: (B, M + 1, 2)`, W and l as in [`super::mixture`];
//! `gradient: (B, 3M)` with respect to z, mu and log_std of each image; `mixture_ring: (slots, B, 2)`, one row a
//! step: what each image adds to B MI and to B TC, in nats. Terms are computed anew: nothing of B x B is stored.

use super::mixture::{
    COORDINATES, Component, Components, LogWeights, Mixture, MixtureWeights, Operand, TERMS, THREADS,
    case_stats, exp_negative, overrides, reference_log_normal, tolerance,
};
use crate::kernel::pair_gradient::transposed;
use crate::kernel::pairs::LANES;
use crate::kernel::words::{slot_of, words};
use crate::numeric::ln;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use rayon::prelude::*;

/// The gradient of the total correlation.
#[derive(Clone, Debug)]
pub struct MixtureGradient {
    /// B.
    pub batch: usize,
    /// M.
    pub latent: usize,
    /// W.
    pub weights: MixtureWeights,
    /// Rows of `mixture_ring`.
    pub slots: usize,
}

pub(crate) static SPEC: Spec = Spec::new(
    "mixture_gradient",
    "d/d(z, mu, log_std) of TC = mean log q(z_i) - sum_m log q(z_im);  MI, TC",
    wgsl!("codes/mixture_gradient", "mixture", "exponential", "random", "reduce", "step"),
)
.reads(&["z", "stats", "log_density"])
.writes(&["gradient", "mixture_ring"])
.partial_sums("mixture_ring", RING_TERMS)
.cases(cases);

/// Mutual information and total correlation.
pub const RING_TERMS: usize = 2;

/// The components that all images are compared with.
struct Batch<'a> {
    /// The images' components.
    components: &'a Components,
    /// Codes in columns, `(M, pitch)`.
    codes: &'a [f32],
    /// Maxima and one over sums of each coordinate and the whole, `(2 (M + 1), pitch)`.
    densities: &'a [f32],
    log_weights: LogWeights,
    count: usize,
    pitch: usize,
}

impl Batch<'_> {
    fn codes(&self, f: usize) -> &[f32] {
        &self.codes[f * self.pitch..][..self.pitch]
    }

    /// Of coordinate `f` of all codes, or of the whole for f = M.
    fn densities(&self, f: usize) -> CodeDensity<&[f32]> {
        let row = |term: usize| &self.densities[(TERMS * f + term) * self.pitch..][..self.pitch];
        CodeDensity { maximum: row(0), inverse_sum: row(1) }
    }

    /// Those of code `b`.
    fn density(&self, f: usize, b: usize) -> CodeDensity<f32> {
        let CodeDensity { maximum, inverse_sum } = self.densities(f);
        CodeDensity { maximum: maximum[b], inverse_sum: inverse_sum[b] }
    }

    /// The gradient of image `b`, of coordinates `z`; `scratch` has a row of weights and one of P.
    fn gradient(
        &self,
        b: usize,
        z: &[f32],
        scale: f32,
        [logs, joint]: [&mut [f32]; 2],
        gradient: &mut [f32],
    ) {
        let m = z.len();
        let (dz, dstats) = gradient.split_at_mut(m);
        let (dmu, dlog_std) = dstats.split_at_mut(m);
        // The image as a code, with all components.
        self.log_weights.fill_components(b, 0..self.count, logs);
        joint.copy_from_slice(logs);
        for (f, &z) in z.iter().enumerate() {
            add_log_density(z, self.components.coordinate(f), joint);
        }
        to_responsibilities(self.density(m, b), joint);
        for (f, &z) in z.iter().enumerate() {
            let [slope, _] = sums(z, self.components.coordinate(f), self.density(f, b), logs, joint);
            dz[f] = -scale * slope;
        }
        // The image as a component, with all codes.
        self.log_weights.fill_codes(b, logs);
        joint.copy_from_slice(logs);
        for f in 0..m {
            add_log_density(self.codes(f), self.components.one(f, b), joint);
        }
        to_responsibilities(self.densities(m), joint);
        for f in 0..m {
            let own = self.components.one(f, b);
            let [slope, spread] = sums(self.codes(f), own, self.densities(f), logs, joint);
            dmu[f] = scale * slope;
            dlog_std[f] = scale * spread;
        }
    }
}

/// exp(term - log q) needs the maximum of the terms of q and one over the sum of exp(. - maximum).
#[derive(Clone, Copy)]
struct CodeDensity<T> {
    maximum: T,
    inverse_sum: T,
}

impl<T: Operand> CodeDensity<T> {
    /// exp(term - log q) for vector `at`.
    #[inline(always)]
    fn responsibilities<const FUSED: bool>(&self, mut terms: [f32; LANES], at: usize) -> [f32; LANES] {
        let (maximum, inverse_sum) = (self.maximum.lanes(at), self.inverse_sum.lanes(at));
        for lane in 0..LANES {
            terms[lane] = exp_negative::<FUSED>(terms[lane] - maximum[lane]) * inverse_sum[lane];
        }
        terms
    }
}

impl MixtureGradient {
    /// Numbers of one row of `mixture_ring`.
    pub fn parts(batch: usize) -> usize {
        RING_TERMS * batch
    }

    fn log_weights(&self) -> LogWeights {
        LogWeights::new(self.weights, self.batch)
    }
}

impl Kernel for MixtureGradient {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { batch: b, latent: m, slots, .. } = *self;
        let shape = Shape::new(
            [b * m, 2 * b * m, Mixture::density_len(b, m)],
            [3 * b * m, slots * Self::parts(b)],
            2 * b * b * m * 32,
        );
        // One row of the ring is written, not all of it.
        Shape { bytes: shape.bytes - 4 * ((slots - 1) * Self::parts(b)) as u64, ..shape }
    }

    fn params(&self) -> Vec<u32> {
        let scale = (self.batch as f32).recip().to_bits();
        [&words([self.batch, self.latent])[..], &self.log_weights().params(), &[scale]].concat()
    }

    fn overrides(&self) -> Overrides {
        overrides()
    }

    fn variants(&self) -> Vec<Variant> {
        let rounds = self.batch.div_ceil(THREADS);
        let iterations = rounds * (1 + self.latent + COORDINATES) + self.latent.div_ceil(THREADS) + THREADS;
        vec![Variant::new("", [self.batch, self.latent.div_ceil(COORDINATES)]).iterations(iterations)]
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let Self { batch, latent: m, .. } = *self;
        let ([z, stats, log_density], [gradient, mixture_ring]) = buffers.split();
        let log_weights = self.log_weights();
        let log_q = |i: usize, f: usize| {
            let density = &log_density[TERMS * (i * (m + 1) + f)..][..TERMS];
            density[0] + density[1].ln()
        };
        gradient.fill(0.0);
        let slot = slot_of(mixture_ring, self.slots, step.slot);
        for i in 0..batch {
            for j in 0..batch {
                let log_weight = log_weights.at(i, j);
                let l: Vec<_> = (0..m).map(|f| reference_log_normal(z, stats, [i, j, f], m)).collect();
                let p = (log_weight + l.iter().map(|(_, l)| l).sum::<f64>() - log_q(i, m)).exp();
                for (f, (t, l)) in l.into_iter().enumerate() {
                    let dl = (p - (log_weight + l - log_q(i, f)).exp()) / batch as f64;
                    let std = stats[(2 * j + 1) * m + f].exp();
                    gradient[3 * i * m + f] -= dl * t / std;
                    gradient[(3 * j + 1) * m + f] += dl * t / std;
                    gradient[(3 * j + 2) * m + f] += dl * (t * t - 1.0);
                }
            }
            let conditional: f64 = (0..m).map(|f| reference_log_normal(z, stats, [i, i, f], m).1).sum();
            slot[RING_TERMS * i] = conditional - log_q(i, m);
            slot[RING_TERMS * i + 1] = log_q(i, m) - (0..m).map(|f| log_q(i, f)).sum::<f64>();
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let Self { batch, latent: m, .. } = *self;
        let ([z, stats, log_density], [gradient, mixture_ring]) = buffers.split();
        let components = Components::new(stats, m);
        let codes = transposed(z, m);
        let pitch = codes.len() / m;
        let mut densities = transposed(log_density, TERMS * (m + 1));
        for rows in densities.chunks_exact_mut(TERMS * pitch) {
            let (maxima, sums) = rows.split_at_mut(pitch);
            sums[..batch].iter_mut().for_each(|sum| *sum = sum.recip());
            // Padding takes no part, whatever its terms are.
            maxima[batch..].fill(f32::INFINITY);
        }
        let batch_of = Batch {
            components: &components,
            codes: &codes,
            densities: &densities,
            log_weights: self.log_weights(),
            count: batch,
            pitch,
        };
        let slot = slot_of(mixture_ring, self.slots, step.slot);
        let scale = (batch as f32).recip();
        let images = gradient.par_chunks_exact_mut(3 * m).zip(slot.par_chunks_exact_mut(RING_TERMS));
        images.enumerate().for_each_init(
            || [vec![0.0; pitch], vec![0.0; pitch]],
            |scratch, (b, (gradient, part))| {
                let z = &z[b * m..][..m];
                batch_of.gradient(b, z, scale, scratch.each_mut().map(|row| &mut row[..]), gradient);
                let density = &log_density[TERMS * b * (m + 1)..][..TERMS * (m + 1)];
                let log_q = |f: usize| density[TERMS * f] + ln(density[TERMS * f + 1]);
                let conditional: f32 =
                    z.iter().enumerate().map(|(f, &z)| components.one(f, b).log_density(z)).sum();
                part[0] = conditional - log_q(m);
                part[1] = log_q(m) - (0..m).map(log_q).sum::<f32>();
            },
        );
    }

    fn tolerance(&self) -> f64 {
        tolerance(self.latent)
    }
}

/// Adds l of one coordinate, of many components at a code or of one component at many codes.
#[multiversion(targets = "simd")]
fn add_log_density<Z: Operand, G: Operand>(z: Z, gaussian: Component<G>, terms: &mut [f32]) {
    for (at, terms) in terms.chunks_exact_mut(LANES).enumerate() {
        let [_, l] = gaussian.at(z, at);
        terms.iter_mut().zip(l).for_each(|(term, l)| *term += l);
    }
}

/// terms = exp(term - log q).
#[multiversion(targets = "simd")]
fn to_responsibilities<D: Operand>(density: CodeDensity<D>, terms: &mut [f32]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    for (at, terms) in terms.chunks_exact_mut(LANES).enumerate() {
        let mut lanes = [0.0; LANES];
        lanes.copy_from_slice(terms);
        terms.copy_from_slice(&density.responsibilities::<FUSED>(lanes, at));
    }
}

/// The sums of (P - Q) t / std and of (P - Q) (t^2 - 1) for one coordinate.
#[multiversion(targets = "simd")]
fn sums<Z: Operand, G: Operand, D: Operand>(
    z: Z,
    gaussian: Component<G>,
    density: CodeDensity<D>,
    logs: &[f32],
    joint: &[f32],
) -> [f32; 2] {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let (mut slope, mut spread) = ([0.0f32; LANES], [0.0f32; LANES]);
    for (at, (logs, joint)) in logs.chunks_exact(LANES).zip(joint.chunks_exact(LANES)).enumerate() {
        let [t, mut l] = gaussian.at(z, at);
        l.iter_mut().zip(logs).for_each(|(l, log)| *l += log);
        let q = density.responsibilities::<FUSED>(l, at);
        let inverse_std = gaussian.inverse_std.lanes(at);
        for lane in 0..LANES {
            let d = joint[lane] - q[lane];
            slope[lane] += d * t[lane] * inverse_std[lane];
            spread[lane] += d * (t[lane] * t[lane] - 1.0);
        }
    }
    [slope, spread].map(|lanes| lanes.iter().sum())
}

fn cases() -> Vec<Case> {
    [
        (2, 2, MixtureWeights::Uniform),
        (17, 1, MixtureWeights::Uniform),
        (64, 9, MixtureWeights::Weighted { images: 300 }),
        (65, 8, MixtureWeights::Stratified { images: 65 }),
        (130, 20, MixtureWeights::Stratified { images: 1000 }),
        (5, 67, MixtureWeights::Weighted { images: 11 }),
    ]
    .map(|(batch, latent, weights)| {
        let kernel = MixtureGradient { batch, latent, weights, slots: 2 };
        let case = Case::new(kernel).map("stats", case_stats(latent));
        // Codes are samples of their own components, as in training.
        let stats = case.reads[1].clone();
        let case = case.map("z", |i, eps| {
            let at = 2 * (i / latent) * latent + i % latent;
            stats[at] + stats[at + latent].exp() * eps
        });
        let densities = densities(&case.reads[0], &stats, [batch, latent], weights);
        let case = case.map("log_density", |i, _| densities[i]);
        Case { step: Step { slot: 1, ..case.step }, ..case }
    })
    .into()
}

/// The densities that `mixture` gives.
fn densities(z: &[f32], stats: &[f32], [batch, latent]: [usize; 2], weights: MixtureWeights) -> Vec<f32> {
    let mixture = Mixture { queries: batch, components: batch, slice: batch, latent, weights };
    let [z, stats] = [z, stats].map(|values| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
    let mut densities = vec![0.0; Mixture::density_len(batch, latent)];
    let mut buffers = Buffers { reads: [&[]; 6], writes: std::array::from_fn(|_| &mut [][..]) };
    (buffers.reads[0], buffers.reads[1], buffers.writes[0]) = (&z, &stats, &mut densities);
    mixture.reference(&Step::default(), buffers);
    densities.into_iter().map(|v| v as f32).collect()
}
