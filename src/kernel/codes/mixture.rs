//! Densities of codes under the aggregate posterior, a mixture of one Gaussian for each image.
//!
//! ```text
//! l_ijm        = ln N(z_im | mu_jm, exp(log_std_jm)^2)
//! log q(z_i)   = logsumexp_j (ln W_ij + sum_m l_ijm)
//! log q(z_im)  = logsumexp_j (ln W_ij + l_ijm)
//! ```
//!
//! `z: (n, M)`; `stats: (N, 2M)` = mu, log_std; `log_density: (n, M + 1, 2)`: the maximum of the terms so far and
//! the sum of exp(term - maximum), for each coordinate and then for the whole code: log q = maximum + ln sum.
//! A step takes `slice` components from `step.first` on; the one at 0 starts anew, later ones add to what is there.
//! With one slice `step.first` plays no part. W: [`MixtureWeights`]. Chen, Li, Grosse, Duvenaud, "Isolating sources of
//! disentanglement in VAEs" (2018), appendix C.

use crate::kernel::pairs::LANES;
use crate::kernel::words::words;
use crate::numeric::{exp, exp2};
use crate::program::{Buffers, Case, Kernel, MOST_ITERATIONS, Overrides, Shape, Spec, Step, Variant};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use rayon::prelude::*;
use std::f64::consts::TAU;
use std::ops::Range;

/// W: how much component j counts at code i.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MixtureWeights {
    /// 1 / components: exact where the components are those of a whole data set.
    Uniform,
    /// 1 / (N B), minibatch-weighted sampling: code i came from component i of a batch of B among N images.
    Weighted {
        /// N, at least B.
        images: usize,
    },
    /// Minibatch stratified sampling, without bias in q: with K = B - 1, W_ii = 1 / N, W_ij = (N - K) / (N K) for
    /// j = i + 1 mod B, and 1 / K for all others. Rows sum to 1. The code published with the paper fills column 0
    /// in the place of the diagonal.
    Stratified {
        /// N, at least B.
        images: usize,
    },
}

/// ln W_ij.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogWeights {
    components: usize,
    /// For j = i.
    own: f64,
    /// For j = i + 1, or 0 after the last.
    next: f64,
    /// For all other j.
    other: f64,
}

impl LogWeights {
    pub(super) fn new(weights: MixtureWeights, components: usize) -> Self {
        let batch = components as f64;
        let same = |w: f64| Self { components, own: w.ln(), next: w.ln(), other: w.ln() };
        match weights {
            MixtureWeights::Uniform => same(1.0 / batch),
            MixtureWeights::Weighted { images } => same(1.0 / (images as f64 * batch)),
            MixtureWeights::Stratified { images } => {
                let (n, k) = (images as f64, batch - 1.0);
                let [own, next, other] = [1.0 / n, (n - k) / (n * k), 1.0 / k].map(f64::ln);
                Self { components, own, next, other }
            }
        }
    }

    /// ln W_ij.
    pub(super) fn at(&self, i: usize, j: usize) -> f64 {
        if i == j {
            self.own
        } else if (i + 1) % self.components == j {
            self.next
        } else {
            self.other
        }
    }

    /// The words of `params`.
    pub(super) fn params(&self) -> [u32; 3] {
        [self.own, self.next, self.other].map(|w| (w as f32).to_bits())
    }

    /// ln W_ij for all j of a range.
    pub(super) fn fill_components(&self, i: usize, range: Range<usize>, logs: &mut [f32]) {
        self.fill(i, (i + 1) % self.components, range, logs);
    }

    /// ln W_ij for all i, which are as many.
    pub(super) fn fill_codes(&self, j: usize, logs: &mut [f32]) {
        self.fill(j, (j + self.components - 1) % self.components, 0..self.components, logs);
    }

    fn fill(&self, own: usize, next: usize, range: Range<usize>, logs: &mut [f32]) {
        logs.fill(self.other as f32);
        for (at, log) in [(next, self.next), (own, self.own)] {
            if range.contains(&at) {
                logs[at - range.start] = log as f32;
            }
        }
    }
}

/// Densities of codes under a mixture.
#[derive(Clone, Debug)]
pub struct Mixture {
    /// n. With minibatch weights n, N and the slice are the batch.
    pub queries: usize,
    /// N.
    pub components: usize,
    /// Components of a step.
    pub slice: usize,
    /// M.
    pub latent: usize,
    /// W.
    pub weights: MixtureWeights,
}

pub(crate) static SPEC: Spec = Spec::new(
    "mixture",
    "log q(z_im), log q(z_i) = logsumexp_j of ln W_ij + ln N(z_i; mu_j, std_j^2)",
    wgsl!("codes/mixture", "mixture", "exponential", "step"),
)
.reads(&["z", "stats"])
.writes(&["log_density"])
.cases(cases);

/// Threads of a workgroup.
pub(super) const THREADS: usize = 64;

/// Coordinates of a code that a workgroup has.
pub(super) const COORDINATES: usize = 8;

/// Numbers for each coordinate and the whole: maximum and sum.
pub(super) const TERMS: usize = 2;

/// Components that are worked through together on the CPU: with a latent code of usual length they stay in the
/// second-level cache.
const BLOCK: usize = 1024;

/// Codes that share such a block.
const CODES: usize = 16;

/// No terms yet.
const NOTHING: [f32; TERMS] = [f32::NEG_INFINITY, 0.0];

impl Mixture {
    /// Words of `log_density`.
    pub fn density_len(queries: usize, latent: usize) -> usize {
        queries * (latent + 1) * TERMS
    }

    /// The largest slice that every driver carries out, see [`MOST_ITERATIONS`].
    pub fn fitting_slice(components: usize, latent: usize) -> usize {
        let rounds = (MOST_ITERATIONS - joining()) / iterations_a_round(latent);
        components.min(rounds.max(1) * THREADS)
    }

    /// The components of this step.
    fn range(&self, step: &Step) -> Range<usize> {
        let first = if self.slice < self.components { step.first as usize } else { 0 };
        first..(first + self.slice).min(self.components)
    }

    /// Adds the components of a block to the densities of some codes, the first of which is `query`.
    fn add_block(
        &self,
        block: &Block<'_>,
        (query, z): (usize, &[f32]),
        densities: &mut [f32],
        scratch: &mut [Vec<f32>; 3],
    ) {
        let m = self.latent;
        let log_weights = LogWeights::new(self.weights, self.components);
        let [logs, terms, whole] = scratch.each_mut().map(|row| &mut row[..block.padded]);
        for (i, density) in densities.chunks_exact_mut(TERMS * (m + 1)).enumerate() {
            log_weights.fill_components(query + i, block.range.clone(), logs);
            whole.copy_from_slice(logs);
            for f in 0..m {
                add_coordinate(z[i * m + f], block.coordinate(f), logs, terms, whole);
                include(&mut density[TERMS * f..][..TERMS], terms);
            }
            include(&mut density[TERMS * m..], whole);
        }
    }
}

/// Iterations of a thread for each `THREADS` components: a coordinate of all its components, or all coordinates
/// of one.
fn iterations_a_round(latent: usize) -> usize {
    (2 * COORDINATES).max(1 + latent)
}

/// Iterations for joining the terms of all threads.
fn joining() -> usize {
    THREADS.ilog2() as usize
}

impl Kernel for Mixture {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { queries: n, components, slice, latent: m, weights } = *self;
        assert!(
            weights == MixtureWeights::Uniform || (n == components && n <= slice),
            "minibatch weights are for the codes and components of one batch"
        );
        Shape::new([n * m, 2 * components * m], [Self::density_len(n, m)], n * slice * m * 24)
    }

    fn params(&self) -> Vec<u32> {
        let sizes = words([self.components, self.slice, self.latent]);
        [&sizes[..], &LogWeights::new(self.weights, self.components).params()].concat()
    }

    fn overrides(&self) -> Overrides {
        overrides()
    }

    fn variants(&self) -> Vec<Variant> {
        let iterations = self.slice.div_ceil(THREADS) * iterations_a_round(self.latent) + joining();
        vec![Variant::new("", [self.queries, 1 + self.latent.div_ceil(COORDINATES)]).iterations(iterations)]
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let m = self.latent;
        let ([z, stats], [log_density]) = buffers.split();
        let log_weights = LogWeights::new(self.weights, self.components);
        let range = self.range(step);
        if range.start == 0 {
            log_density.chunks_exact_mut(TERMS).for_each(|d| d.copy_from_slice(&NOTHING.map(f64::from)));
        }
        for (i, density) in log_density.chunks_exact_mut(TERMS * (m + 1)).enumerate() {
            for j in range.clone() {
                let log_weight = log_weights.at(i, j);
                let l: Vec<f64> = (0..m).map(|f| reference_log_normal(z, stats, [i, j, f], m).1).collect();
                let whole = l.iter().sum::<f64>();
                for (density, l) in density.chunks_exact_mut(TERMS).zip(l.into_iter().chain([whole])) {
                    let term = log_weight + l;
                    let maximum = density[0].max(term);
                    density[1] = density[1] * (density[0] - maximum).exp() + (term - maximum).exp();
                    density[0] = maximum;
                }
            }
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let m = self.latent;
        let ([z, stats], [log_density]) = buffers.split();
        let range = self.range(step);
        if range.start == 0 {
            log_density.as_chunks_mut::<TERMS>().0.fill(NOTHING);
        }
        let components = Components::new(&stats[2 * m * range.start..2 * m * range.end], m);
        let blocks: Vec<Block<'_>> = components.blocks(range.start).collect();
        log_density.par_chunks_mut(CODES * TERMS * (m + 1)).enumerate().for_each_init(
            || std::array::from_fn(|_| vec![0.0; BLOCK]),
            |scratch, (part, densities)| {
                let query = part * CODES;
                for block in &blocks {
                    self.add_block(block, (query, &z[query * m..]), densities, scratch);
                }
            },
        );
    }

    fn tolerance(&self) -> f64 {
        tolerance(self.latent)
    }
}

/// A term is a sum of `latent` numbers; its absolute error becomes the relative one of its exponential.
pub(super) fn tolerance(latent: usize) -> f64 {
    f64::from(f32::EPSILON) * 16.0 * (4.0 + (latent as f64).sqrt())
}

/// Values of the `override` constants of `shaders/lib/mixture.wgsl` and of the number of threads.
pub(super) fn overrides() -> Overrides {
    Overrides::of("THREADS", THREADS).set("COORDINATES", COORDINATES)
}

/// (z - mu) / std and ln N(z | mu, std^2) for coordinate f of code i and component j.
pub(super) fn reference_log_normal(
    z: &[f64],
    stats: &[f64],
    [i, j, f]: [usize; 3],
    latent: usize,
) -> (f64, f64) {
    let (mu, log_std) = (stats[2 * j * latent + f], stats[(2 * j + 1) * latent + f]);
    let t = (z[i * latent + f] - mu) / log_std.exp();
    (t, -0.5 * t * t - log_std - 0.5 * TAU.ln())
}

/// A number for each lane, or the same one for all.
pub(super) trait Operand: Copy {
    /// The numbers of vector `at`.
    fn lanes(self, at: usize) -> [f32; LANES];
}

impl Operand for f32 {
    #[inline(always)]
    fn lanes(self, _: usize) -> [f32; LANES] {
        [self; LANES]
    }
}

impl Operand for &[f32] {
    #[inline(always)]
    fn lanes(self, at: usize) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        lanes.copy_from_slice(&self[at * LANES..][..LANES]);
        lanes
    }
}

/// One coordinate of one component, or of many in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Component<T> {
    pub(super) mu: T,
    pub(super) inverse_std: T,
    /// ln N at mu: -log_std - ln(2 pi) / 2.
    pub(super) height: T,
}

impl<T: Operand> Component<T> {
    /// (z - mu) / std, and ln N(z | mu, std^2), for vector `at`.
    #[inline(always)]
    pub(super) fn at(&self, z: impl Operand, at: usize) -> [[f32; LANES]; 2] {
        let (z, mu) = (z.lanes(at), self.mu.lanes(at));
        let (inverse_std, height) = (self.inverse_std.lanes(at), self.height.lanes(at));
        let (mut t, mut l) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            t[lane] = (z[lane] - mu[lane]) * inverse_std[lane];
            l[lane] = height[lane] - 0.5 * t[lane] * t[lane];
        }
        [t, l]
    }
}

impl Component<f32> {
    /// ln N(z | mu, std^2).
    pub(super) fn log_density(&self, z: f32) -> f32 {
        let t = (z - self.mu) * self.inverse_std;
        self.height - 0.5 * t * t
    }
}

/// Components in columns, `(M, pitch)` in whole vectors; padding has no density anywhere.
pub(super) struct Components {
    mu: Vec<f32>,
    inverse_std: Vec<f32>,
    height: Vec<f32>,
    count: usize,
    pitch: usize,
}

/// Some of them.
pub(super) struct Block<'a> {
    components: &'a Components,
    /// Its first column.
    first: usize,
    /// Its columns, padding included.
    padded: usize,
    /// Which components of all.
    range: Range<usize>,
}

impl Components {
    pub(super) fn new(stats: &[f32], latent: usize) -> Self {
        let count = stats.len() / (2 * latent);
        let pitch = count.next_multiple_of(LANES);
        let rows = |value: f32| vec![value; latent * pitch];
        let (mut mu, mut inverse_std, mut height) = (rows(0.0), rows(0.0), rows(f32::NEG_INFINITY));
        for (j, stats) in stats.chunks_exact(2 * latent).enumerate() {
            for f in 0..latent {
                let (at, log_std) = (f * pitch + j, stats[latent + f]);
                mu[at] = stats[f];
                inverse_std[at] = exp(-log_std);
                height[at] = -log_std - HALF_LN_TAU;
            }
        }
        Self { mu, inverse_std, height, count, pitch }
    }

    /// All components, which begin with number `first` of all.
    fn blocks(&self, first: usize) -> impl Iterator<Item = Block<'_>> {
        (0..self.count).step_by(BLOCK).map(move |start| {
            let range = first + start..first + (start + BLOCK).min(self.count);
            Block { components: self, first: start, padded: (self.pitch - start).min(BLOCK), range }
        })
    }

    /// Coordinate `f` of all of them.
    pub(super) fn coordinate(&self, f: usize) -> Component<&[f32]> {
        self.columns(f, 0..self.pitch)
    }

    /// Coordinate `f` of component `j`.
    pub(super) fn one(&self, f: usize, j: usize) -> Component<f32> {
        let column = self.columns(f, j..j + 1);
        Component { mu: column.mu[0], inverse_std: column.inverse_std[0], height: column.height[0] }
    }

    fn columns(&self, f: usize, range: Range<usize>) -> Component<&[f32]> {
        let row = f * self.pitch + range.start..f * self.pitch + range.end;
        Component {
            mu: &self.mu[row.clone()],
            inverse_std: &self.inverse_std[row.clone()],
            height: &self.height[row],
        }
    }
}

impl Block<'_> {
    fn coordinate(&self, f: usize) -> Component<&[f32]> {
        self.components.columns(f, self.first..self.first + self.padded)
    }
}

/// ln(2 pi) / 2.
const HALF_LN_TAU: f32 = 0.918_938_5;

/// terms = ln W + l of one coordinate, and l is added to `whole`.
#[multiversion(targets = "simd")]
fn add_coordinate(z: f32, gaussian: Component<&[f32]>, logs: &[f32], terms: &mut [f32], whole: &mut [f32]) {
    let rows = terms.chunks_exact_mut(LANES).zip(whole.chunks_exact_mut(LANES)).zip(logs.chunks_exact(LANES));
    for (at, ((terms, whole), logs)) in rows.enumerate() {
        let [_, l] = gaussian.at(z, at);
        for lane in 0..LANES {
            terms[lane] = logs[lane] + l[lane];
            whole[lane] += l[lane];
        }
    }
}

/// Adds terms to a maximum and a sum.
#[multiversion(targets = "simd")]
fn include(density: &mut [f32], terms: &[f32]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let mut largest = [f32::NEG_INFINITY; LANES];
    for terms in terms.chunks_exact(LANES) {
        largest.iter_mut().zip(terms).for_each(|(largest, term)| *largest = largest.max(*term));
    }
    let maximum = largest.into_iter().fold(density[0], f32::max);
    let mut sums = [0.0f32; LANES];
    for terms in terms.chunks_exact(LANES) {
        for (sum, term) in sums.iter_mut().zip(terms) {
            *sum += exp_negative::<FUSED>(term - maximum);
        }
    }
    density[1] = density[1] * exp_negative::<FUSED>(density[0] - maximum) + sums.iter().sum::<f32>();
    density[0] = maximum;
}

/// e^x for x <= 0.
#[inline(always)]
pub(super) fn exp_negative<const FUSED: bool>(x: f32) -> f32 {
    exp2::<FUSED>(std::f32::consts::LOG2_E * x)
}

/// Standard deviations of the size that encoders give: a few tenths.
pub(super) fn case_stats(latent: usize) -> impl Fn(usize, f32) -> f32 {
    move |i, v| if i % (2 * latent) < latent { v } else { 0.4 * v - 1.0 }
}

fn cases() -> Vec<Case> {
    let batch = |batch, latent, weights| (batch, batch, batch, latent, weights, 0);
    [
        batch(1, 1, MixtureWeights::Uniform),
        batch(31, 9, MixtureWeights::Weighted { images: 100 }),
        batch(65, 3, MixtureWeights::Stratified { images: 65 }),
        batch(2, 70, MixtureWeights::Stratified { images: 9 }),
        (5, 1100, 1100, 7, MixtureWeights::Uniform, 0),
        (17, 300, 130, 8, MixtureWeights::Uniform, 0),
        (17, 300, 130, 20, MixtureWeights::Uniform, 130),
        (3, 300, 130, 2, MixtureWeights::Uniform, 260),
    ]
    .map(|(queries, components, slice, latent, weights, first)| {
        let case = Case::new(Mixture { queries, components, slice, latent, weights })
            .map("stats", case_stats(latent));
        let step = Step { first, ..case.step };
        let case = Case { step, ..case };
        if first == 0 {
            return case;
        }
        // What the components before have left.
        case.map(
            "log_density",
            |i, _| if i % TERMS == 0 { -3.0 - (i % 7) as f32 } else { 1.5 + (i % 5) as f32 },
        )
    })
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_stratified_weights_sum_to_one() {
        for (batch, images) in [(2, 2), (2, 9), (5, 5), (64, 60_000)] {
            let log_weights = LogWeights::new(MixtureWeights::Stratified { images }, batch);
            for i in 0..batch {
                let row: Vec<f64> = (0..batch).map(|j| log_weights.at(i, j).exp()).collect();
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12, "row {i} of {batch}: {row:?}");
                assert!((row[i] * images as f64 - 1.0).abs() < 1e-12, "the diagonal: {row:?}");
            }
        }
    }

    #[test]
    fn weights_are_the_same_by_rows_and_by_columns() {
        let batch = 5;
        let log_weights = LogWeights::new(MixtureWeights::Stratified { images: 17 }, batch);
        let (mut row, mut column) = (vec![0.0; batch], vec![0.0; batch]);
        for i in 0..batch {
            log_weights.fill_components(i, 0..batch, &mut row);
            for (j, log) in row.iter().enumerate() {
                log_weights.fill_codes(j, &mut column);
                assert_eq!([*log, column[i]], [log_weights.at(i, j) as f32; 2], "W at {i}, {j}");
            }
        }
    }

    #[test]
    fn slices_are_as_large_as_every_driver_carries_out() {
        for latent in [1, 20, 1000] {
            let slice = Mixture::fitting_slice(usize::MAX, latent);
            let iterations = |slice| {
                Mixture { queries: 1, components: slice, slice, latent, weights: MixtureWeights::Uniform }
                    .variants()[0]
                    .iterations
            };
            assert!(iterations(slice) <= MOST_ITERATIONS && iterations(slice + 1) > MOST_ITERATIONS);
        }
        assert_eq!(Mixture::fitting_slice(7, 20), 7);
    }
}
