//! Random Fourier features: a kernel as an inner product of a few numbers, and a two-sample test in linear time.
//!
//! ```text
//! phi(x)   sqrt(k(0) / D) (cos w_1'x, .., cos w_D'x, sin w_1'x, .., sin w_D'x),  E phi(x)'phi(z) = k(x, z)
//!
//! w        gaussian  N(0, I) / sigma
//!          laplace   independent Cauchy numbers / b, the transform of exp(-|d|_1 / b)
//!          imq       |g| N(0, I) / b with g from N(0, 1): (1 + s)^(-1/2) = E exp(-g^2 s / 2)
//!          several bandwidths: each w of one drawn at random
//!
//! variance of phi(x)'phi(z), d = x - z:   k(0)^2 ((1 + r(2 d)) / 2 - r(d)^2) / D,  r = k / k(0)
//!
//! a, b     mean embeddings: the means of phi over X and over Y
//! MMD^2    biased    |a - b|^2
//!          unbiased  (n |a|^2 - k(0)) / (n - 1) + (m |b|^2 - k(0)) / (m - 1) - 2 a'b,  as |phi(x)|^2 = k(0)
//! ```
//!
//! Rahimi and Recht, "Random features for large-scale kernel machines", NeurIPS 2007; Zhao and Meng, "FastMMD:
//! ensemble of circular discrepancy for efficient two-sample test", Neural Computation 2015.
//!
//! The sums of phi over the points that permutations call X are the product of their 0/1 labels and the features,
//! block by block of points: O(N D (d + B)) operations for N points and B permutations, O(N d + B D) memory.
//! Neither features nor labels are stored. Two samples of 100,000 points with d = 2, D = 100, B = 199 take 0.75 s on
//! two shared cores of an Intel Xeon, the bandwidth included. The level of the test is exact whatever the features
//! are, as they do not depend on which point is in which sample; what an approximation may cost is power.

use super::bandwidth::{Resolved, rows_of_rules};
use super::p_value::Distinct;
use super::resolution::{close_distance, medians, resolves_most};
use super::test::{Common, NamedKernel, Null, Outcome};
use super::two_sample::{check_no_budget, check_samples, collapse};
use super::{Bandwidth, KernelFunction, Sample};
use crate::engine::Device;
use crate::error::{Error, Kind, Result};
use crate::kernel::pairs::{Family, norm};
use crate::numeric::{MOST_PHASE, sin_cos};
use crate::random::{Sequence, Stream};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use multiversion::multiversion;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::time::Instant;

/// Points whose features exist at one time.
const BLOCK: usize = 1024;

/// Points of a block that one thread turns into features.
const ROWS: usize = 64;

/// Draws whose labels one thread multiplies with a block.
const DRAWS: usize = 64;

/// Most points: a draw chooses among those left by a 32-bit number, and more would not be equally likely.
const MOST_ROWS: usize = 1 << 30;

/// Draws count as ties if they differ by less than this, in units of k(x, x): sums in f64 round far less. That of
/// the tests that sum in f32 would be as large as the statistic itself for millions of points.
const TIE: f64 = 1e-12;

/// The features of a kernel.
#[derive(Clone, Debug)]
pub struct Features {
    d: usize,
    /// `(D, d)`.
    frequencies: Vec<f64>,
    /// k(x, x).
    at_zero: f64,
    /// Largest standard deviation of one feature's estimate of k(x, z).
    most: f64,
}

/// MMD^2 by features.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Unbiased, for that of the kernel too.
    pub unbiased: f64,
    /// Biased: the squared distance of the mean embeddings.
    pub biased: f64,
    /// Of the approximation: standard error of `unbiased` beside the same estimate with the kernel itself.
    pub standard_error: f64,
}

impl Features {
    /// `count` random frequencies D for points of `d` coordinates, each with a cosine and a sine; the first ones are
    /// the same for any D.
    ///
    /// # Errors
    /// If there are fewer than two, a bandwidth is not positive, or the family has no features: energy and delta.
    pub fn new(kernel: &KernelFunction, d: usize, count: usize, seed: u64) -> Result<Self> {
        check(kernel.family, count)?;
        kernel.check()?;
        let frequencies = (0..count).flat_map(|j| frequency(kernel, d, seed, j)).collect();
        // (1 + r(2 d)) / 2 - r(d)^2 is at most 1/2 for r(2 d) = r^2 or r^4, which one bandwidth of the two families
        // has, and at most 9/16 for any r(2 d) <= r(d).
        let one = kernel.bandwidths.len() == 1 && kernel.family != Family::Imq;
        let most = if one { std::f64::consts::FRAC_1_SQRT_2 } else { 0.75 };
        Ok(Self { d, frequencies, at_zero: kernel.at_zero(), most })
    }

    /// D.
    pub fn count(&self) -> usize {
        self.frequencies.len() / self.d
    }

    /// Standard error of phi(x)'phi(z) as an estimate of k(x, z), for the worst x and z.
    pub fn standard_error(&self) -> f64 {
        self.at_zero * self.most / (self.count() as f64).sqrt()
    }

    /// phi of each point: `(n, 2 D)`, the cosines first.
    ///
    /// # Panics
    /// When the points have other than `d` coordinates.
    pub fn of(&self, sample: Sample<'_>) -> Vec<f64> {
        assert_eq!(sample.d, self.d, "features are for points of one dimension");
        let mut result = vec![0.0; sample.len() * self.width()];
        self.write(&|i| sample.point(i), 0, &vec![0.0; self.d], &mut result);
        result
    }

    /// The mean embedding of a sample, the mean of phi: `(2 D)`.
    ///
    /// # Panics
    /// When the points have other than `d` coordinates.
    pub fn mean(&self, sample: Sample<'_>) -> Vec<f64> {
        assert_eq!(sample.d, self.d, "features are for points of one dimension");
        self.mean_around(sample, &vec![0.0; self.d])
    }

    /// MMD^2 of two samples.
    ///
    /// # Errors
    /// If the samples have other columns than the features or fewer than two points, or a value is too large.
    pub fn mmd2(&self, samples: [Sample<'_>; 2]) -> Result<Estimate> {
        check_samples(samples)?;
        if samples[0].d != self.d {
            return Err(Kind::Samples(format!(
                "the samples have {} columns, but the features are for {}; make features for the samples",
                samples[0].d, self.d
            ))
            .into());
        }
        let centre = centre(samples);
        let [a, b] = samples.map(|sample| self.mean_around(sample, &centre));
        check_finite(&a)?;
        check_finite(&b)?;
        Ok(self.estimate([&a, &b], samples.map(|sample| sample.len())))
    }

    /// 2 D.
    fn width(&self) -> usize {
        2 * self.count()
    }

    fn mean_around(&self, sample: Sample<'_>, centre: &[f64]) -> Vec<f64> {
        let width = self.width();
        let mut sum = vec![0.0; width];
        let mut block = vec![0.0; BLOCK.min(sample.len()) * width];
        for first in (0..sample.len()).step_by(BLOCK) {
            let block = &mut block[..BLOCK.min(sample.len() - first) * width];
            self.write(&|i| sample.point(i), first, centre, block);
            block.chunks_exact(width).for_each(|phi| add(&mut sum, phi));
        }
        sum.iter().map(|sum| sum / sample.len() as f64).collect()
    }

    /// phi of the points from `first` on, less `centre`, as many as there is room for.
    fn write<'a>(
        &self,
        point: &(impl Fn(usize) -> &'a [f64] + Sync),
        first: usize,
        centre: &[f64],
        result: &mut [f64],
    ) {
        let (d, count, width) = (self.d, self.count(), self.width());
        let frequencies = MatRef::from_row_major_slice(&self.frequencies, count, d);
        let scale = (self.at_zero / count as f64).sqrt();
        result.par_chunks_mut(ROWS * width).enumerate().for_each(|(chunk, result)| {
            let rows = result.len() / width;
            let first = first + chunk * ROWS;
            let values = |i| point(i).iter().zip(centre).map(|(value, centre)| value - centre);
            let points: Vec<f64> = (first..first + rows).flat_map(values).collect();
            let mut phases = vec![0.0; rows * count];
            matmul(
                MatMut::from_row_major_slice_mut(&mut phases, rows, count),
                Accum::Replace,
                MatRef::from_row_major_slice(&points, rows, d),
                frequencies.transpose(),
                1.0,
                Par::Seq,
            );
            for (phases, phi) in phases.chunks_exact(count).zip(result.chunks_exact_mut(width)) {
                let (cosines, sines) = phi.split_at_mut(count);
                turn(phases, scale, cosines, sines);
            }
        });
    }

    /// MMD^2 from mean embeddings of n and m points. It is a mean over independent frequencies, which gives its
    /// standard error.
    fn estimate(&self, [a, b]: [&[f64]; 2], counts: [usize; 2]) -> Estimate {
        let count = self.count();
        let term = |j: usize| {
            let pair = |v: &[f64]| [v[j], v[count + j]];
            unbiased([&pair(a), &pair(b)], counts, self.at_zero / count as f64)
        };
        let terms: Vec<f64> = (0..count).map(term).collect();
        let sum: f64 = terms.iter().sum();
        let mean = sum / count as f64;
        let spread = terms.iter().map(|term| (term - mean) * (term - mean)).sum::<f64>();
        Estimate {
            unbiased: sum,
            biased: a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum(),
            standard_error: (spread * count as f64 / (count as f64 - 1.0)).sqrt(),
        }
    }
}

/// Cosines and sines of phases, multiplied by `scale`.
#[multiversion(targets = "simd")]
fn turn(phases: &[f64], scale: f64, cosines: &mut [f64], sines: &mut [f64]) {
    let places = phases.iter().zip(cosines).zip(sines);
    // NaN is left to the library too.
    if phases.iter().all(|phase| phase.abs() <= MOST_PHASE) {
        for ((phase, cosine), sine) in places {
            let [sin, cos] = sin_cos(*phase);
            (*cosine, *sine) = (scale * cos, scale * sin);
        }
    } else {
        for ((phase, cosine), sine) in places {
            let (sin, cos) = phase.sin_cos();
            (*cosine, *sine) = (scale * cos, scale * sin);
        }
    }
}

/// The unbiased MMD^2 of mean embeddings, or of one frequency's part of them; `own` is the part of |phi(x)|^2.
fn unbiased([a, b]: [&[f64]; 2], counts: [usize; 2], own: f64) -> f64 {
    let [n, m] = counts.map(|count| count as f64);
    (n * dot(a, a) - own) / (n - 1.0) + (m * dot(b, b) - own) / (m - 1.0) - 2.0 * dot(a, b)
}

/// Frequency `j` of a kernel: `(d)`.
fn frequency(kernel: &KernelFunction, d: usize, seed: u64, j: usize) -> Vec<f64> {
    let mut random = Sequence::new(seed, Stream::Features, j as u32);
    let bandwidth = kernel.bandwidths[random.below(kernel.bandwidths.len() as u32) as usize];
    let scale = if kernel.family == Family::Imq { random.normal_f64().abs() } else { 1.0 } / bandwidth;
    let number = |i: usize| {
        let number = match kernel.family {
            Family::Laplace => (std::f64::consts::PI * (random.uniform_f64() - 0.5)).tan(),
            _ => random.normal_f64(),
        };
        scale * number / kernel.coordinates.as_ref().map_or(1.0, |divisors| divisors[i])
    };
    (0..d).map(number).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(sum: &mut [f64], values: &[f64]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// The mean of all points of both samples, or where that is far from most of them the median of each coordinate: phases of
/// centred points round least, and MMD^2 does not change.
fn centre([x, y]: [Sample<'_>; 2]) -> Vec<f64> {
    let total = (x.len() + y.len()) as f64;
    let points = || x.values.chunks_exact(x.d).chain(y.values.chunks_exact(x.d));
    let mut mean = vec![0.0; x.d];
    points().for_each(|point| mean.iter_mut().zip(point).for_each(|(mean, value)| *mean += value / total));
    let length = |point: &[f64], from: &[f64]| norm(point.iter().zip(from).map(|(a, b)| a - b));
    let norms: Vec<f64> = points().map(|point| length(point, &mean)).collect();
    let point = |i: usize| if i < x.len() { x.point(i) } else { y.point(i - x.len()) };
    if resolves_most(&norms, close_distance(norms.len(), |i, j| length(point(i), point(j)))) {
        return mean;
    }
    medians(&[x.values, y.values].concat(), x.d)
}

/// Settings of the test with random features.
#[derive(Clone, Debug)]
pub struct FeatureSettings {
    /// The kernel's family: gaussian, laplace or imq.
    pub family: Family,
    /// Its bandwidths.
    pub bandwidth: Bandwidth,
    /// Several bandwidths: the sum of their kernels instead of the mean.
    pub sum: bool,
    /// D, at least two.
    pub features: usize,
    /// Draws, level and seed: permutations, of all points.
    pub common: Common,
}

impl Default for FeatureSettings {
    fn default() -> Self {
        let (family, bandwidth) = (Family::Gaussian, Bandwidth::default());
        Self { family, bandwidth, sum: false, features: 100, common: Common::default() }
    }
}

impl FeatureSettings {
    /// Whether the settings alone are possible.
    ///
    /// # Errors
    /// If no draws or fewer than two features are wanted, the kernel has no features, or the level makes no sense.
    pub fn check(&self) -> Result<()> {
        check_no_budget(&self.common)?;
        if self.common.null != Null::Exact {
            return Err(Error::usage(format!(
                "--features has no {} null; use --null exact, which is fast with features",
                self.common.null.name()
            )));
        }
        self.common.check("--features", &[(Null::Exact, "")])?;
        check(self.family, self.features)
    }
}

/// The result of a two-sample test with random features; its statistic is the unbiased estimate.
#[derive(Clone, Debug, Serialize)]
pub struct Approximate {
    /// Points of X.
    pub n: usize,
    /// Points of Y.
    pub m: usize,
    /// Coordinates.
    pub d: usize,
    /// The kernel.
    #[serde(flatten)]
    pub kernel: NamedKernel,
    /// D, random frequencies.
    pub features: usize,
    /// Standard error of k(x, z) by the features, for the worst x and z.
    pub kernel_standard_error: f64,
    /// Unbiased estimate of MMD^2.
    pub mmd2_unbiased: f64,
    /// Biased estimate.
    pub mmd2_biased: f64,
    /// Standard error of the unbiased estimate beside that with the kernel itself.
    pub mmd2_standard_error: f64,
}

/// Whether two samples come from one distribution, in time linear in the number of points; the device is used for
/// the bandwidth alone.
///
/// `progress` is called with the fraction that is done; its error ends the work, and is given back.
///
/// # Errors
/// If the samples or settings do not fit together, or the device fails.
pub fn approximate(
    device: &Device,
    [x, y]: [Sample<'_>; 2],
    settings: &FeatureSettings,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Outcome<Approximate>> {
    let start = Instant::now();
    settings.check()?;
    check_samples([x, y])?;
    let resolved =
        settings.bandwidth.resolve(device, [x, y], settings.family, !settings.sum, settings.common.seed)?;
    let collapse = collapse(&resolved.kernel, mean_of_some([x, y], &resolved.kernel));
    let plan = FeaturePlan::with(resolved, collapse, centre([x, y]), [x.len(), y.len()], settings);
    let n = x.len();
    let point = |i: usize| if i < n { x.point(i) } else { y.point(i - n) };
    let walks = (0..plan.draws()).map(|draw| Walk::new(n, plan.seed, draw)).collect();
    let sums = plan.add_up(&plan.of_kernel()?, &point, 0..n + y.len(), walks, progress)?;
    plan.result(&sums, start)
}

/// A test with random features whose points may be in many places: what follows from the settings and a few points. The
/// [sums](FeaturePlan::sums) of its parts add up to those of all points.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FeaturePlan {
    /// The kernel, with its bandwidths.
    pub kernel: KernelFunction,
    /// Where these come from.
    pub rule: String,
    /// Warnings for the user.
    pub warnings: Vec<String>,
    /// `(d)`: what points are taken less of. MMD^2 does not depend on it.
    pub centre: Vec<f64>,
    /// n and m, of all points.
    pub counts: [usize; 2],
    /// D.
    pub features: usize,
    /// Draws under the null.
    pub permutations: usize,
    /// Level.
    pub alpha: f64,
    /// Seed of frequencies and draws.
    pub seed: u64,
}

impl FeaturePlan {
    /// From the points that [`rows_of_rules`] names, in its order; n and m are `counts`.
    ///
    /// # Errors
    /// If the settings are not possible, or the device fails.
    pub fn new(
        device: &Device,
        points: Sample<'_>,
        counts: [usize; 2],
        settings: &FeatureSettings,
    ) -> Result<Self> {
        settings.check()?;
        let total: usize = counts.iter().sum();
        if counts.iter().any(|&count| count < 2) {
            let [n, m] = counts;
            let message = format!("X has {n} points and Y has {m}; the test needs at least two of each");
            return Err(Kind::Samples(message).into());
        }
        if total > MOST_ROWS {
            return Err(Error::usage(format!(
                "{total} points are more than the {MOST_ROWS} that draws are made of"
            )));
        }
        let FeatureSettings { family, sum, common, bandwidth, .. } = settings;
        let resolved = bandwidth.resolve_of_rows(device, points, total, *family, !sum, common.seed)?;
        let rows = rows_of_rules(total, common.seed);
        let of = |is_x: bool| -> Vec<usize> {
            (0..rows.len()).filter(|&i| ((rows[i] as usize) < counts[0]) == is_x).collect()
        };
        let [x, y] = [true, false].map(|is_x| points.choice(&of(is_x)));
        let (x, y) = (Sample::new(points.d, &x), Sample::new(points.d, &y));
        let collapse = collapse(&resolved.kernel, mean_of_some([x, y], &resolved.kernel));
        Ok(Self::with(resolved, collapse, centre([x, y]), counts, settings))
    }

    fn with(
        resolved: Resolved,
        collapse: Option<String>,
        centre: Vec<f64>,
        counts: [usize; 2],
        settings: &FeatureSettings,
    ) -> Self {
        let Resolved { kernel, rule, mut warnings } = resolved;
        warnings.extend(collapse);
        let Common { permutations, alpha, seed, .. } = settings.common;
        Self {
            kernel,
            rule,
            warnings,
            centre,
            counts,
            features: settings.features,
            permutations,
            alpha,
            seed,
        }
    }

    /// The draws, with what was observed.
    pub fn draws(&self) -> usize {
        self.permutations + 1
    }

    fn of_kernel(&self) -> Result<Features> {
        Features::new(&self.kernel, self.centre.len(), self.features, self.seed)
    }

    /// How many points each of some draws has still to call X where parts begin, at `edges` of all points in order, those of
    /// X first: `(edges, draws)`.
    pub fn still_to_choose(&self, edges: &[usize], draws: Range<usize>) -> Vec<usize> {
        let [n, m] = self.counts;
        let columns: Vec<Vec<usize>> = draws
            .clone()
            .into_par_iter()
            .map(|draw| {
                let (mut walk, mut place) = (Walk::new(n, self.seed, draw), 0);
                let at_edge = |&edge: &usize| {
                    for i in place..edge {
                        walk.next(n + m - i);
                    }
                    place = edge;
                    walk.needed
                };
                edges.iter().map(at_edge).collect()
            })
            .collect();
        (0..edges.len()).flat_map(|edge| columns.iter().map(move |column| column[edge])).collect()
    }

    /// The sums over some of the points, from number `first` on; `still` is [their row](FeaturePlan::still_to_choose) of all
    /// draws.
    ///
    /// # Errors
    /// If the points have other columns, or more rows than there are.
    ///
    /// # Panics
    /// If `still` has not a number for each draw.
    pub fn sums(&self, points: Sample<'_>, first: usize, still: &[usize]) -> Result<FeatureSums> {
        assert_eq!(still.len(), self.draws(), "one number for each draw");
        let total: usize = self.counts.iter().sum();
        if points.d != self.centre.len() || first + points.len() > total {
            let message = format!(
                "a part has {} columns and ends at point {}, but there are {} columns and {total} points",
                points.d,
                first + points.len(),
                self.centre.len()
            );
            return Err(Kind::Samples(message).into());
        }
        let walks = still.iter().enumerate().map(|(draw, &needed)| Walk::at(self.seed, draw, first, needed));
        let range = first..first + points.len();
        self.add_up(&self.of_kernel()?, &|i| points.point(i - first), range, walks.collect(), &mut |_| Ok(()))
    }

    fn add_up<'a>(
        &self,
        features: &Features,
        point: &(impl Fn(usize) -> &'a [f64] + Sync),
        range: Range<usize>,
        mut walks: Vec<Walk>,
        progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<FeatureSums> {
        let (total, width) = (self.counts.iter().sum::<usize>(), features.width());
        let (mut chosen, mut all) = (vec![0.0; walks.len() * width], vec![0.0; width]);
        let mut block = vec![0.0; BLOCK.min(range.len()) * width];
        for first in range.clone().step_by(BLOCK) {
            let count = BLOCK.min(range.end - first);
            let block = &mut block[..count * width];
            features.write(point, first, &self.centre, block);
            block.chunks_exact(width).for_each(|phi| add(&mut all, phi));
            // Groups of a fixed size: the same bits on any number of threads.
            let groups = chosen.par_chunks_mut(DRAWS * width).zip(walks.par_chunks_mut(DRAWS));
            groups.for_each(|(chosen, walks)| {
                let mut labels = vec![0.0; walks.len() * count];
                for (walk, labels) in walks.iter_mut().zip(labels.chunks_exact_mut(count)) {
                    for (i, label) in labels.iter_mut().enumerate() {
                        *label = f64::from(u8::from(walk.next(total - first - i)));
                    }
                }
                matmul(
                    MatMut::from_row_major_slice_mut(chosen, walks.len(), width),
                    Accum::Add,
                    MatRef::from_row_major_slice(&labels, walks.len(), count),
                    MatRef::from_row_major_slice(block, count, width),
                    1.0,
                    Par::Seq,
                );
            });
            progress((first + count - range.start) as f64 / range.len() as f64)?;
        }
        Ok(FeatureSums { chosen, all })
    }

    /// The test's result from the sums of all points; it took from `start` on.
    ///
    /// # Errors
    /// If a value was too large, or the sums are of another plan.
    pub fn result(&self, sums: &FeatureSums, start: Instant) -> Result<Outcome<Approximate>> {
        let (features, counts) = (self.of_kernel()?, self.counts);
        if sums.all.len() != features.width() || sums.chosen.len() != self.draws() * features.width() {
            return Err(Error::usage("these sums are of another plan"));
        }
        check_finite(&sums.all)?;
        let [a, b] = sums.means(counts, 0);
        let estimate = features.estimate([&a, &b], counts);
        let values: Vec<f64> = (0..self.draws())
            .into_par_iter()
            .map(|draw| {
                let [a, b] = sums.means(counts, draw);
                unbiased([&a, &b], counts, features.at_zero)
            })
            .collect();
        let Self { permutations, alpha, seed, .. } = *self;
        let common = Common { permutations, alpha, seed, ..Common::default() };
        let p = common.p_value(&values, TIE * features.at_zero, Distinct::choices(counts));
        let resolved = Resolved {
            kernel: self.kernel.clone(),
            rule: self.rule.clone(),
            warnings: self.warnings.clone(),
        };
        let found = Approximate {
            n: counts[0],
            m: counts[1],
            d: self.centre.len(),
            kernel: NamedKernel::from(&resolved),
            features: features.count(),
            kernel_standard_error: features.standard_error(),
            mmd2_unbiased: estimate.unbiased,
            mmd2_biased: estimate.biased,
            mmd2_standard_error: estimate.standard_error,
        };
        Ok(Outcome { warnings: resolved.warnings, ..Outcome::new(start, p, values, 0.0, found) })
    }
}

/// Mean of k itself over pairs in and between the samples, one or two a point: features cannot tell 0 from 1 / N.
fn mean_of_some([x, y]: [Sample<'_>; 2], kernel: &KernelFunction) -> f64 {
    let half = |sample: Sample<'_>| sample.len() / 2;
    let own = |sample: Sample<'_>| -> f64 {
        let pair = |i| kernel.value(sample.point(i), sample.point(i + half(sample)));
        (0..half(sample)).map(pair).sum()
    };
    let both = x.len().min(y.len());
    let cross: f64 = (0..both).map(|i| kernel.value(x.point(i), y.point(i))).sum();
    (own(x) + own(y) + cross) / (half(x) + half(y) + both) as f64
}

/// Which points a draw calls X, one after another: point i with probability (number still to be chosen) / (points
/// left), so that each choice of n points is as likely as any other (Fan, Muller, Rezucha 1962; Knuth's algorithm
/// S). Nothing is stored that grows with the number of points.
struct Walk {
    /// None for what was observed: the first points.
    random: Option<Sequence>,
    /// Points still to be chosen.
    needed: usize,
}

impl Walk {
    fn new(n: usize, seed: u64, draw: usize) -> Self {
        let random = (draw > 0).then(|| Sequence::new(seed, Stream::Permutation, draw as u32));
        Self { random, needed: n }
    }

    /// At point `place`, with `needed` points still to be chosen.
    fn at(seed: u64, draw: usize, place: usize, needed: usize) -> Self {
        let walk = Self::new(needed, seed, draw);
        // A point takes a word.
        Self { random: walk.random.map(|random| random.after(place as u64)), needed }
    }

    /// Whether the next point is called X, with `left` points left, this one included.
    fn next(&mut self, left: usize) -> bool {
        let at = self.random.as_mut().map_or(0, |random| random.below(left as u32) as usize);
        let chosen = at < self.needed;
        self.needed -= usize::from(chosen);
        chosen
    }
}

/// Sums of phi under all draws: those of parts add up.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureSums {
    /// Over the points that a draw calls X: `(draws, 2 D)`; draw 0 is what was observed.
    pub chosen: Vec<f64>,
    /// Over all points: `(2 D)`.
    pub all: Vec<f64>,
}

impl FeatureSums {
    /// The two mean embeddings of a draw.
    fn means(&self, [n, m]: [usize; 2], draw: usize) -> [Vec<f64>; 2] {
        let width = self.all.len();
        let chosen = &self.chosen[draw * width..][..width];
        let a = chosen.iter().map(|sum| sum / n as f64).collect();
        let b = chosen.iter().zip(&self.all).map(|(sum, all)| (all - sum) / m as f64).collect();
        [a, b]
    }
}

fn check(family: Family, count: usize) -> Result<()> {
    if !matches!(family, Family::Gaussian | Family::Laplace | Family::Imq) {
        let name = if family == Family::Energy { "energy" } else { "delta" };
        return Err(Error::usage(format!(
            "the {name} kernel has no random features; use gaussian, laplace or imq, or the test without features"
        )));
    }
    if count < 2 {
        return Err(Error::usage(format!(
            "{count} random features are too few; give at least 2, 100 is usual"
        )));
    }
    Ok(())
}

/// A phase that is no number makes its whole feature none.
fn check_finite(features: &[f64]) -> Result<()> {
    if features.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    let message = "a value is too large beside the bandwidth for random features; use a larger bandwidth, or \
                   divide the columns by a constant in both samples";
    Err(Kind::Samples(message.into()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Choice;

    /// n points from N(mean, I).
    fn normal(n: usize, d: usize, mean: f64, seed: u64) -> Vec<f64> {
        let mut random = Sequence::new(seed, Stream::ProblemX, 0);
        (0..n * d).map(|_| mean + random.normal_f64()).collect()
    }

    fn kernels() -> Vec<KernelFunction> {
        vec![
            KernelFunction::new(Family::Gaussian, 1.3),
            KernelFunction::new(Family::Laplace, 2.5),
            KernelFunction::new(Family::Imq, 0.8),
            KernelFunction {
                mean: false,
                bandwidths: vec![0.5, 1.0, 4.0],
                ..KernelFunction::new(Family::Gaussian, 1.0)
            },
            KernelFunction {
                coordinates: Some(vec![0.5, 2.0, 1.5]),
                ..KernelFunction::new(Family::Laplace, 1.0)
            },
        ]
    }

    /// The exact standard deviation of phi(x)'phi(z) with one frequency.
    fn deviation(kernel: &KernelFunction, x: &[f64], z: &[f64]) -> f64 {
        let twice = |x: &[f64]| x.iter().map(|v| 2.0 * v).collect::<Vec<_>>();
        let [near, far] =
            [kernel.value(x, z), kernel.value(&twice(x), &twice(z))].map(|k| k / kernel.at_zero());
        kernel.at_zero() * ((1.0 + far) / 2.0 - near * near).sqrt()
    }

    /// MMD^2 by the kernel itself, unbiased and biased.
    fn exact([x, y]: [Sample<'_>; 2], kernel: &KernelFunction) -> [f64; 2] {
        let sum = |x: Sample<'_>, y: Sample<'_>| -> f64 {
            let row = |i| (0..y.len()).map(move |j| kernel.value(x.point(i), y.point(j))).sum::<f64>();
            (0..x.len()).map(row).sum()
        };
        let (n, m) = (x.len() as f64, y.len() as f64);
        let (a, b, c) = (sum(x, x), sum(y, y), 2.0 * sum(x, y) / (n * m));
        let k0 = kernel.at_zero();
        [(a - n * k0) / (n * (n - 1.0)) + (b - m * k0) / (m * (m - 1.0)) - c, a / (n * n) + b / (m * m) - c]
    }

    #[test]
    fn features_are_the_kernel_within_their_error() {
        let values = normal(12, 3, 0.0, 1);
        let points = Sample::new(3, &values);
        for kernel in kernels() {
            let features = Features::new(&kernel, 3, 10_000, 2).expect("features");
            let phi = features.of(points);
            let phi = |i: usize| &phi[i * features.width()..][..features.width()];
            for i in 0..points.len() {
                for j in 0..i {
                    let (x, z) = (points.point(i), points.point(j));
                    let error = (dot(phi(i), phi(j)) - kernel.value(x, z)).abs();
                    let deviation = deviation(&kernel, x, z) / 100.0;
                    assert!(error < 5.0 * deviation, "{kernel:?}: {error:.1e} beside {deviation:.1e}");
                    assert!(deviation <= features.standard_error(), "{kernel:?}: not the largest error");
                }
                let own = dot(phi(i), phi(i));
                assert!((own - kernel.at_zero()).abs() < 1e-12, "k(x, x) is exact: {own}");
            }
        }
    }

    /// Over 400 seeds the root mean square of an error is its standard deviation within 5 / sqrt(800).
    #[test]
    fn the_error_falls_with_the_root_of_the_number_of_features() {
        let (x, z) = ([0.3, -0.2, 0.9], [-0.1, 0.8, 0.4]);
        let both = [x, z].concat();
        for kernel in kernels() {
            for count in [10, 160] {
                let square = |seed| {
                    let features = Features::new(&kernel, 3, count, seed).expect("features");
                    let phi = features.of(Sample::new(3, &both));
                    let (a, b) = phi.split_at(features.width());
                    (dot(a, b) - kernel.value(&x, &z)).powi(2)
                };
                let found = ((0..400).map(square).sum::<f64>() / 400.0).sqrt();
                let expected = deviation(&kernel, &x, &z) / (count as f64).sqrt();
                assert!(
                    (found / expected - 1.0).abs() < 5.0 / 800f64.sqrt(),
                    "{kernel:?}, D = {count}: {found}"
                );
            }
        }
    }

    /// The error's square over its estimated variance has mean 1 and about the variance 2 of a normal one; over 200
    /// seeds the mean is within 5 sqrt(2 / 200).
    #[test]
    fn mmd_is_that_of_the_kernel_within_its_error() {
        let (x, y) = (normal(60, 3, 0.0, 3), normal(45, 3, 0.5, 4));
        let samples = [Sample::new(3, &x), Sample::new(3, &y)];
        for kernel in kernels() {
            let [unbiased, biased] = exact(samples, &kernel);
            let square = |seed| {
                let features = Features::new(&kernel, 3, 100, seed).expect("features");
                let found = features.mmd2(samples).expect("an estimate");
                ((found.unbiased - unbiased) / found.standard_error).powi(2)
            };
            let mean = (0..200).map(square).sum::<f64>() / 200.0;
            assert!((mean - 1.0).abs() < 0.5, "{kernel:?}: {mean}");

            let features = Features::new(&kernel, 3, 10_000, 5).expect("features");
            let found = features.mmd2(samples).expect("an estimate");
            let error = found.standard_error;
            assert!(error < 0.1 * unbiased, "{kernel:?}: the check below must be able to fail");
            assert!((found.unbiased - unbiased).abs() < 5.0 * error, "{kernel:?}: {found:?}, {unbiased}");
            // Both differ from the kernel's by the same sums of pairs, but for factors n / (n - 1), m / (m - 1).
            assert!((found.biased - biased).abs() < 5.0 * error, "{kernel:?}: {found:?}, {biased}");
            let [a, b] = samples.map(|sample| features.mean(sample));
            let distance: f64 = a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum();
            assert!((distance - found.biased).abs() < 1e-12, "MMD^2 does not depend on the origin");
        }
    }

    /// The mean over samples and features is MMD^2 of N(0, 1) and N(1, 1) with a gaussian kernel of sigma 1, in closed
    /// form, within 5 standard errors; that of the biased estimate is not.
    #[test]
    fn the_unbiased_estimate_is_unbiased() {
        let (n, m, repetitions) = (8, 5, 4000);
        let kernel = KernelFunction::new(Family::Gaussian, 1.0);
        let truth = 2.0 / 3f64.sqrt() * (1.0 - (-1.0f64 / 6.0).exp());
        let estimates: Vec<Estimate> = (0..repetitions)
            .map(|seed| {
                let (x, y) = (normal(n, 1, 0.0, 2 * seed), normal(m, 1, 1.0, 2 * seed + 1));
                let features = Features::new(&kernel, 1, 4, seed).expect("features");
                features.mmd2([Sample::new(1, &x), Sample::new(1, &y)]).expect("an estimate")
            })
            .collect();
        let errors = |of: &dyn Fn(&Estimate) -> f64| {
            let count = repetitions as f64;
            let mean = estimates.iter().map(of).sum::<f64>() / count;
            let spread = estimates.iter().map(|e| (of(e) - mean).powi(2)).sum::<f64>() / (count * count);
            (mean - truth).abs() / spread.sqrt()
        };
        let [unbiased, biased] = [errors(&|e| e.unbiased), errors(&|e| e.biased)];
        assert!(unbiased < 5.0, "{unbiased} standard errors");
        assert!(biased > 5.0, "{biased} standard errors");
    }

    /// The labels of one draw.
    fn labels(n: usize, total: usize, seed: u64, draw: usize) -> Vec<bool> {
        let mut walk = Walk::new(n, seed, draw);
        (0..total).map(|i| walk.next(total - i)).collect()
    }

    #[test]
    fn every_choice_of_points_is_as_likely_as_any_other() {
        let mut counts = std::collections::HashMap::new();
        for draw in 1..=20_000 {
            *counts.entry(labels(3, 6, 7, draw)).or_insert(0.0) += 1.0;
        }
        assert_eq!(counts.len(), 20, "3 of 6 points");
        assert!(counts.keys().all(|labels| labels.iter().filter(|label| **label).count() == 3));
        // Chi-squared with 19 degrees of freedom is above 50.8 once in 10,000 seeds.
        let chi: f64 = counts.values().map(|count: &f64| (count - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 50.8, "chi-squared {chi}");
    }

    /// More points than a block, more draws than a group, neither a multiple. Both sides are sums of up to 1,200
    /// numbers below 1 in f64.
    #[test]
    fn draws_are_the_statistic_of_relabelled_points() {
        let (n, m, d, draws) = (100, BLOCK + 76, 2, DRAWS + 6);
        let (x, y) = (normal(n, d, 0.0, 8), normal(m, d, 1.0, 9));
        let samples = [Sample::new(d, &x), Sample::new(d, &y)];
        let kernel = KernelFunction::new(Family::Laplace, 1.0);
        let plan = FeaturePlan {
            kernel,
            rule: "given".into(),
            warnings: Vec::new(),
            centre: centre(samples),
            counts: [n, m],
            features: 7,
            permutations: draws - 1,
            alpha: 0.05,
            seed: 11,
        };
        let features = plan.of_kernel().expect("features");
        let pooled = [&x[..], &y[..]].concat();
        let point = |i: usize| &pooled[i * d..][..d];
        let walks = (0..draws).map(|draw| Walk::new(n, 11, draw)).collect();
        let mut last = 0.0;
        let progress = &mut |done| {
            last = done;
            Ok(())
        };
        let sums = plan.add_up(&features, &point, 0..n + m, walks, progress).unwrap();
        assert_eq!(last, 1.0, "progress ends at the end");
        // The sums of parts add up; one part has points of both samples.
        let edges = [0, 37, n + 5, n + m];
        let still = plan.still_to_choose(&edges, 0..draws);
        let mut added = FeatureSums { chosen: vec![0.0; sums.chosen.len()], all: vec![0.0; sums.all.len()] };
        for (part, edge) in edges.windows(2).enumerate() {
            let points = Sample::new(d, &pooled[edge[0] * d..edge[1] * d]);
            let part = plan.sums(points, edge[0], &still[part * draws..][..draws]).expect("sums");
            add(&mut added.chosen, &part.chosen);
            add(&mut added.all, &part.all);
        }
        assert_eq!(still[3 * draws..], vec![0; draws], "all are chosen in the end");
        for (a, b) in added.chosen.iter().zip(&sums.chosen).chain(added.all.iter().zip(&sums.all)) {
            assert!((a - b).abs() < 1e-12 * 1200.0, "{a} {b}");
        }
        assert!(
            plan.sums(Sample::new(d, &pooled), 1, &still[..draws]).is_err(),
            "more points than there are"
        );
        let mut seen = Vec::new();
        for draw in 0..draws {
            let labels = labels(n, n + m, 11, draw);
            let called = |class: bool| -> Vec<f64> {
                let points = pooled.chunks_exact(d).zip(&labels).filter(|(_, label)| **label == class);
                points.flat_map(|(point, _)| point.iter().copied()).collect()
            };
            let (x, y) = (called(true), called(false));
            let expected = features.mmd2([Sample::new(d, &x), Sample::new(d, &y)]).expect("an estimate");
            let [a, b] = sums.means([n, m], draw);
            let found = unbiased([&a, &b], [n, m], features.at_zero);
            assert!((found - expected.unbiased).abs() < 1e-13, "draw {draw}: {found} {expected:?}");
            seen.push(found);
        }
        let observed = features.mmd2(samples).expect("an estimate").unbiased;
        assert!((seen[0] - observed).abs() < 1e-13, "draw 0 is what was observed");
        seen.sort_by(f64::total_cmp);
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "two draws are the same");
    }

    fn cpu() -> Device {
        Device::open(Choice::Cpu, None).expect("the CPU")
    }

    /// 2,000 repetitions without a difference: the share of rejections has a standard deviation of 0.005. With one,
    /// nearly all reject.
    #[test]
    fn the_level_is_that_of_the_settings() {
        let device = cpu();
        let rejections = |mean: f64, repetitions: u64| {
            let rejects = |seed| {
                let (x, y) = (normal(20, 2, 0.0, 2 * seed), normal(30, 2, mean, 2 * seed + 1));
                let settings = FeatureSettings {
                    features: 10,
                    common: Common { permutations: 99, seed, ..Common::default() },
                    ..FeatureSettings::default()
                };
                let samples = [Sample::new(2, &x), Sample::new(2, &y)];
                approximate(&device, samples, &settings, &mut |_| Ok(())).expect("a test").p.reject
            };
            (0..repetitions).filter(|seed| rejects(*seed)).count() as f64 / repetitions as f64
        };
        let level = rejections(0.0, 2000);
        println!("random features: {level} reject");
        assert!((level - 0.05).abs() < 0.015, "{level} without a difference");
        let power = rejections(1.5, 100);
        assert!(power > 0.9, "{power} with a difference");
    }

    #[test]
    fn a_result_has_the_same_bits_on_any_number_of_threads() {
        let (x, y) = (normal(700, 3, 0.0, 1), normal(600, 3, 0.1, 2));
        let settings = FeatureSettings {
            features: 33,
            common: Common { permutations: 150, ..Common::default() },
            ..FeatureSettings::default()
        };
        let results = [1, 2, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let samples = [Sample::new(3, &x), Sample::new(3, &y)];
            let test = pool.install(|| approximate(&cpu(), samples, &settings, &mut |_| Ok(())));
            test.expect("a test")
        });
        for result in &results[1..] {
            assert_eq!(result.statistic.to_bits(), results[0].statistic.to_bits());
            assert_eq!(result.draws, results[0].draws);
        }
    }

    #[test]
    fn more_features_continue_fewer() {
        let kernel = KernelFunction::new(Family::Imq, 2.0);
        let [few, many] = [3, 5].map(|count| Features::new(&kernel, 4, count, 1).expect("features"));
        assert_eq!(few.frequencies, many.frequencies[..12]);
    }

    #[test]
    fn what_cannot_be_tested_says_why() {
        let (x, wide) = (normal(4, 2, 0.0, 1), normal(4, 3, 0.0, 2));
        let (x, wide) = (Sample::new(2, &x), Sample::new(3, &wide));
        let huge = [0.0, 1e308, -1e308, 1.0];
        let given = FeatureSettings {
            bandwidth: Bandwidth::Values(vec![1.0]),
            common: Common { permutations: 9, ..Common::default() },
            ..FeatureSettings::default()
        };
        let negative = Bandwidth::Values(vec![-1.0]);
        for (samples, settings, code, expected) in [
            ([x, wide], given.clone(), 1, "X has 2 columns and Y has 3"),
            ([x, x.first(1)], given.clone(), 1, "at least two of each"),
            ([x, Sample::new(2, &huge)], given.clone(), 1, "too large"),
            ([x, x], FeatureSettings { features: 1, ..given.clone() }, 2, "at least 2"),
            ([x, x], FeatureSettings { family: Family::Energy, ..given.clone() }, 2, "the energy kernel"),
            ([x, x], FeatureSettings { family: Family::Delta, ..given.clone() }, 2, "the delta kernel"),
            ([x, x], FeatureSettings { bandwidth: negative, ..given.clone() }, 2, "a bandwidth of -1"),
            (
                [x, x],
                FeatureSettings { common: Common { permutations: 0, ..given.common }, ..given.clone() },
                2,
                "at least one permutation",
            ),
            (
                [x, x],
                FeatureSettings { common: Common { alpha: 1.0, ..given.common }, ..given.clone() },
                2,
                "between 0 and 1",
            ),
        ] {
            let error = approximate(&cpu(), samples, &settings, &mut |_| Ok(())).expect_err(expected);
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.exit_code(), code, "{error}");
        }
        let features =
            Features::new(&KernelFunction::new(Family::Gaussian, 1.0), 2, 10, 0).expect("features");
        let error = features.mmd2([wide, wide]).expect_err("three columns");
        assert!(
            error.to_string().contains("the samples have 3 columns, but the features are for 2"),
            "{error}"
        );
    }

    #[test]
    fn equal_points_tie_and_a_blind_kernel_warns() {
        let same = [1.0; 8];
        let samples = [Sample::new(2, &same), Sample::new(2, &same)];
        let test =
            approximate(&cpu(), samples, &FeatureSettings::default(), &mut |_| Ok(())).expect("a test");
        assert_eq!(test.p.p_value, 1.0, "{test:?}");
        let (x, y) = (normal(50, 2, 0.0, 1), normal(50, 2, 0.0, 2));
        let settings =
            FeatureSettings { bandwidth: Bandwidth::Values(vec![1e-4]), ..FeatureSettings::default() };
        let samples = [Sample::new(2, &x), Sample::new(2, &y)];
        let test = approximate(&cpu(), samples, &settings, &mut |_| Ok(())).expect("a test");
        assert!(test.warnings.iter().any(|warning| warning.contains("nearly 0")), "{:?}", test.warnings);
    }
}
