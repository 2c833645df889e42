//! Maximum likelihood of a Gaussian mixture by expectation and maximisation (Dempster, Laird, Rubin, JRSS B 1977):
//!
//! ```text
//! E  r_ik   = w_k N(x_i; mean_k, C_k) / p(x_i)
//! M  n_k    = sum_i r_ik,  w_k = n_k / n,  mean_k = sum_i r_ik x_i / n_k
//!    C_k    = sum_i r_ik (x_i - mean_k)(x_i - mean_k)' / n_k, its eigenvalues raised to the floor
//! ```
//!
//! The likelihood has no maximum without a floor: a component on one point has any density there. Coordinates are
//! divided by their standard deviations first, so the floor is a share of a coordinate's variance. Raising the
//! eigenvalues is the maximum under that constraint (Ingrassia and Rocci, CSDA 2007), so the likelihood never falls.
//!
//! A start takes centres from the points by k-means++ (Arthur and Vassilvitskii, SODA 2007), gives each point to the
//! nearest, and takes one covariance within all groups. The best of several starts counts. One component is the
//! closed form: mean and covariance, divided by n.

use super::matrix::{Covariance, cholesky, eigen, inverse};
use super::{Density, GaussianMixture, LN_TWO_PI, draw, ln_sum_exp};
use crate::error::{Error, Kind, Result};
use crate::random::{Sequence, Stream};
use crate::sample::Sample;
use rayon::prelude::*;

/// PartSums are made in at most this many parts, the same for any number of threads.
const PARTS: usize = 64;

/// Most columns: covariances are factorised in d^3 steps each time.
const MOST_COLUMNS: usize = 2000;

/// Fewest points of a part: smaller ones cost more than they bring.
const LEAST_PART: usize = 256;

/// A component with a smaller share of the points keeps its mean and covariance: there is nothing left to fit.
const LEAST_SHARE: f64 = 1e-12;

/// Settings of a fit.
#[derive(Clone, Debug)]
pub struct MixtureSettings {
    /// K.
    pub components: usize,
    /// Starts, of which the best counts.
    pub starts: usize,
    /// Seed of the first centres.
    pub seed: u64,
    /// Most steps of a start.
    pub iterations: usize,
    /// A start is done when a step raises the mean ln likelihood by less than this, in nats per point.
    pub tolerance: f64,
    /// Smallest variance of a component in any direction, with coordinates in units of their standard deviations over
    /// all points. Raise it where components shrink to a few points.
    pub floor: f64,
}

impl Default for MixtureSettings {
    fn default() -> Self {
        Self { components: 1, starts: 10, seed: 0, iterations: 1000, tolerance: 1e-7, floor: 1e-6 }
    }
}

/// A fitted mixture.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The mixture of the best start, heaviest component first.
    pub mixture: GaussianMixture,
    /// The sum over all points of ln p(x), in nats.
    pub ln_likelihood: f64,
    /// The mean of ln p(x) before each step of that start, and after the last, in nats per point.
    pub history: Vec<f64>,
    /// Steps of that start.
    pub iterations: usize,
    /// Whether it stopped because the likelihood no longer rose.
    pub converged: bool,
    /// How many components touch the floor: where there are any, the likelihood says little.
    pub floored: usize,
    /// How many components have collapsed: they touch the floor, or hold no more than d + 1 points. A normal distribution
    /// fitted to so few has all of them at one distance from its mean, wherever they lie.
    pub collapsed: usize,
}

impl Fitted {
    /// What a user must know of a fit that has collapsed: its likelihood is as large as the floor lets it be.
    pub fn warning(&self) -> Option<String> {
        let d = self.mixture.dimension();
        (self.collapsed > 0).then(|| {
            format!(
                "the fit has collapsed: {} of {} components shrank to a point, a line or the like, or hold no more than \
                 {} points (d + 1), so its likelihood and how well it fits say nothing; use fewer components, or more \
                 different points",
                self.collapsed,
                self.mixture.components().len(),
                d + 1
            )
        })
    }
}

/// Fits a mixture to a sample.
///
/// # Errors
/// If the settings make no sense, there are fewer different points than components, or a column is constant.
pub fn gaussian_mixture(sample: Sample<'_>, settings: &MixtureSettings) -> Result<Fitted> {
    settings.check()?;
    let (d, n) = (sample.d, sample.len());
    if n < settings.components.max(2) {
        return Err(Kind::Samples(format!(
            "a sample of {n} points is too small for a mixture of {} components; give at least {}",
            settings.components,
            settings.components.max(2)
        ))
        .into());
    }
    if d > MOST_COLUMNS {
        let message = format!(
            "a mixture of {d} columns has a covariance matrix of {d} x {d} numbers for each component; fits take at most \
             {MOST_COLUMNS} columns, so choose some of them, or codes of a model"
        );
        return Err(Kind::Samples(message).into());
    }
    let units = Units::of(sample)?;
    let points = units.standardised(sample);
    // One component has one start only: all points are its own.
    let starts = if settings.components == 1 { 1 } else { settings.starts };
    let mut best: Option<FitStart> = None;
    for start in 0..starts {
        let run = FitStart::new(&points, d, settings, start as u32)?;
        if best.as_ref().is_none_or(|best| run.last() > best.last()) {
            best = Some(run);
        }
    }
    let Some(run) = best else { return Err(Error::usage("a fit needs at least one start")) };
    // The density of x is that of the standardised point divided by the product of the units.
    let shift: f64 = units.scales.iter().map(|scale| scale.ln()).sum();
    let history: Vec<f64> = run.history.iter().map(|value| value - shift).collect();
    let few = (d + 1) as f64 + 1e-9;
    let collapsed = |component: &&FittedComponent| component.floored || component.weight * n as f64 <= few;
    Ok(Fitted {
        mixture: run.state.mixture(&units)?,
        ln_likelihood: (run.last() - shift) * n as f64,
        iterations: history.len() - 1,
        history,
        converged: run.converged,
        floored: run.state.components.iter().filter(|component| component.floored).count(),
        collapsed: run.state.components.iter().filter(collapsed).count(),
    })
}

impl MixtureSettings {
    fn check(&self) -> Result<()> {
        if self.components == 0 || self.starts == 0 {
            return Err(Error::usage("a fit needs at least one component and one start"));
        }
        for (name, value) in [("tolerance", self.tolerance), ("floor", self.floor)] {
            if !(value > 0.0 && value < 1.0) {
                return Err(Error::usage(format!("the {name} is {value}; give a number between 0 and 1")));
            }
        }
        Ok(())
    }
}

/// Means and standard deviations of the coordinates.
struct Units {
    means: Vec<f64>,
    scales: Vec<f64>,
}

impl Units {
    fn of(sample: Sample<'_>) -> Result<Self> {
        let (d, n) = (sample.d, sample.len() as f64);
        let mut units = Self { means: Vec::with_capacity(d), scales: Vec::with_capacity(d) };
        for column in 0..d {
            let values = || sample.values.iter().skip(column).step_by(d);
            let mean = values().sum::<f64>() / n;
            let variance = values().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
            let first = sample.values[column];
            if values().all(|x| *x == first) {
                return Err(Kind::Samples(format!(
                    "column {column} (counted from 0) is {first} in all rows, so no normal distribution fits; leave \
                     the column out"
                ))
                .into());
            }
            if !(variance.is_normal()) {
                return Err(Kind::Samples(format!(
                    "the variance of column {column} (counted from 0) is {variance}; give finite numbers of a moderate \
                     size"
                ))
                .into());
            }
            units.means.push(mean);
            units.scales.push(variance.sqrt());
        }
        Ok(units)
    }

    fn standardised(&self, sample: Sample<'_>) -> Vec<f64> {
        let units = self.means.iter().zip(&self.scales).cycle();
        sample.values.iter().zip(units).map(|(x, (mean, scale))| (x - mean) / scale).collect()
    }
}

/// A normal distribution of standardised points.
#[derive(Clone, Debug)]
struct FittedComponent {
    weight: f64,
    /// `(d)`.
    mean: Vec<f64>,
    /// `(d, d)`, the lower triangle.
    covariance: Vec<f64>,
    /// L^-1 of the covariance L L': `(d, d)`, lower triangular.
    whitener: Vec<f64>,
    /// ln of the weight and of the density at the mean.
    ln_peak: f64,
    floored: bool,
}

impl FittedComponent {
    fn new(weight: f64, mean: Vec<f64>, covariance: Vec<f64>, floor: f64) -> Result<Self> {
        let d = mean.len();
        let Raised { covariance, lower, floored } = raise(covariance, d, floor)?;
        let half_ln_determinant: f64 = (0..d).map(|i| lower[i * d + i].ln()).sum();
        let ln_peak = weight.ln() - half_ln_determinant - 0.5 * d as f64 * LN_TWO_PI;
        Ok(Self { weight, mean, covariance, whitener: inverse(&lower, d), ln_peak, floored })
    }

    /// ln of weight and density, with x - mean.
    fn ln_part(&self, x: &[f64], residual: &mut [f64]) -> f64 {
        for ((out, mean), x) in residual.iter_mut().zip(&self.mean).zip(x) {
            *out = x - mean;
        }
        let rows = self.whitener.chunks(residual.len()).enumerate();
        let whitened = rows.map(|(i, row)| row[..=i].iter().zip(&*residual).map(|(w, r)| w * r).sum::<f64>());
        self.ln_peak - 0.5 * whitened.map(|v| v * v).sum::<f64>()
    }
}

/// A covariance above the floor, with its factor.
struct Raised {
    covariance: Vec<f64>,
    lower: Vec<f64>,
    floored: bool,
}

/// Raises the eigenvalues of a symmetric matrix, given by its lower triangle, to the floor.
fn raise(mut covariance: Vec<f64>, d: usize, floor: f64) -> Result<Raised> {
    let above = |matrix: &[f64], floor: f64| {
        let less = (0..d * d).map(|i| if i / d == i % d { matrix[i] - floor } else { matrix[i] });
        cholesky(less.collect(), d)
    };
    let floored = above(&covariance, floor).is_err();
    if floored {
        for i in 0..d {
            for j in 0..i {
                covariance[j * d + i] = covariance[i * d + j];
            }
        }
        let (values, vectors) = eigen(covariance, d);
        covariance = vec![0.0; d * d];
        for (k, value) in values.iter().enumerate() {
            for i in 0..d {
                for j in 0..=i {
                    covariance[i * d + j] += value.max(floor) * vectors[i * d + k] * vectors[j * d + k];
                }
            }
        }
    }
    let lower = above(&covariance, 0.0).map_err(|_| {
        Error::from(Kind::Samples("a covariance of the mixture is singular; raise the floor".into()))
    })?;
    Ok(Raised { covariance, lower, floored })
}

/// Sums of the E step for the M step.
#[derive(Clone)]
struct PartSums {
    ln_likelihood: f64,
    /// n_k: `(K)`.
    mass: Vec<f64>,
    /// sum of r (x - the component's mean): `(K, d)`.
    first: Vec<f64>,
    /// sum of r (x - mean)(x - mean)': `(K, d, d)`, lower triangles.
    second: Vec<f64>,
}

impl PartSums {
    fn zero(count: usize, d: usize) -> Self {
        let [mass, first, second] = [count, count * d, count * d * d].map(|length| vec![0.0; length]);
        Self { ln_likelihood: 0.0, mass, first, second }
    }

    /// Adds a point to component k.
    fn add(&mut self, k: usize, responsibility: f64, residual: &[f64]) {
        let d = residual.len();
        self.mass[k] += responsibility;
        let first = &mut self.first[k * d..][..d];
        first.iter_mut().zip(residual).for_each(|(sum, r)| *sum += responsibility * r);
        for (i, row) in self.second[k * d * d..][..d * d].chunks_mut(d).enumerate() {
            let weighted = responsibility * residual[i];
            row[..=i].iter_mut().zip(residual).for_each(|(sum, r)| *sum += weighted * r);
        }
    }

    fn plus(mut self, other: &Self) -> Self {
        self.ln_likelihood += other.ln_likelihood;
        for (sums, others) in [
            (&mut self.mass, &other.mass),
            (&mut self.first, &other.first),
            (&mut self.second, &other.second),
        ] {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
        }
        self
    }
}

/// A mixture of standardised points.
#[derive(Clone, Debug)]
struct MixtureState {
    components: Vec<FittedComponent>,
}

impl MixtureState {
    /// The start number `start` of a seed.
    fn new(points: &[f64], d: usize, settings: &MixtureSettings, start: u32) -> Result<Self> {
        let n = points.len() / d;
        let mut random = Sequence::new(settings.seed, Stream::Centres, start);
        let centres = plus_plus(points, d, settings.components, &mut random)?;
        let mut sums = PartSums::zero(centres.len(), d);
        let mut residual = vec![0.0; d];
        for x in points.chunks(d) {
            let nearest = nearest(x, &centres);
            residual.iter_mut().zip(x).zip(&centres[nearest]).for_each(|((r, x), c)| *r = x - c);
            sums.add(nearest, 1.0, &residual);
        }
        // One covariance for all: a start with a group of a few points would go to the floor at once.
        let mut within = vec![0.0; d * d];
        for k in 0..centres.len() {
            let shift: Vec<f64> = sums.first[k * d..][..d].iter().map(|sum| sum / sums.mass[k]).collect();
            for i in 0..d {
                for j in 0..=i {
                    let second = sums.second[k * d * d + i * d + j] - sums.mass[k] * shift[i] * shift[j];
                    within[i * d + j] += second / n as f64;
                }
            }
        }
        let components = centres.iter().enumerate().map(|(k, centre)| {
            let mean =
                centre.iter().zip(&sums.first[k * d..]).map(|(c, sum)| c + sum / sums.mass[k]).collect();
            FittedComponent::new(sums.mass[k] / n as f64, mean, within.clone(), settings.floor)
        });
        Ok(Self { components: components.collect::<Result<_>>()? })
    }

    /// The E step.
    fn expect(&self, points: &[f64], d: usize) -> PartSums {
        let n = points.len() / d;
        let part = n.div_ceil(PARTS).max(LEAST_PART);
        let parts: Vec<PartSums> =
            points.par_chunks(part * d).map(|points| self.expect_part(points, d)).collect();
        parts.iter().fold(PartSums::zero(self.components.len(), d), PartSums::plus)
    }

    fn expect_part(&self, points: &[f64], d: usize) -> PartSums {
        let count = self.components.len();
        let mut sums = PartSums::zero(count, d);
        let (mut residuals, mut parts) = (vec![0.0; count * d], vec![0.0; count]);
        for x in points.chunks(d) {
            let each = self.components.iter().zip(residuals.chunks_mut(d)).zip(&mut parts);
            each.for_each(|((component, residual), part)| *part = component.ln_part(x, residual));
            let total = ln_sum_exp(&parts);
            sums.ln_likelihood += total;
            for (k, (part, residual)) in parts.iter().zip(residuals.chunks(d)).enumerate() {
                let responsibility = (part - total).exp();
                if responsibility > 0.0 {
                    sums.add(k, responsibility, residual);
                }
            }
        }
        sums
    }

    /// The M step.
    fn maximise(&self, sums: &PartSums, d: usize, n: usize, floor: f64) -> Result<Self> {
        let components = self.components.iter().enumerate().map(|(k, old)| {
            let mass = sums.mass[k];
            if mass < LEAST_SHARE * n as f64 {
                return Ok(old.clone());
            }
            let shift: Vec<f64> = sums.first[k * d..][..d].iter().map(|sum| sum / mass).collect();
            let mean = old.mean.iter().zip(&shift).map(|(mean, shift)| mean + shift).collect();
            let second = &sums.second[k * d * d..][..d * d];
            let covariance = (0..d * d).map(|i| second[i] / mass - shift[i / d] * shift[i % d]).collect();
            FittedComponent::new(mass / n as f64, mean, covariance, floor)
        });
        Ok(Self { components: components.collect::<Result<_>>()? })
    }

    /// The mixture of the points as they were.
    fn mixture(&self, units: &Units) -> Result<GaussianMixture> {
        let d = units.means.len();
        let mut components: Vec<&FittedComponent> = self.components.iter().collect();
        components.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        // A component that was left behind keeps an old weight.
        let total: f64 = components.iter().map(|component| component.weight).sum();
        let weights = components.iter().map(|component| component.weight / total).collect();
        let of = |component: &&FittedComponent| -> Vec<f64> {
            let parts = component.mean.iter().zip(&units.means).zip(&units.scales);
            parts.map(|((z, mean), scale)| mean + scale * z).collect()
        };
        let covariance = |component: &&FittedComponent| {
            let entry = |i: usize, j: usize| {
                component.covariance[i.max(j) * d + i.min(j)] * units.scales[i] * units.scales[j]
            };
            Covariance::Full((0..d).map(|i| (0..d).map(|j| entry(i, j)).collect()).collect())
        };
        let means = components.iter().map(of).collect();
        GaussianMixture::new(weights, means, components.iter().map(covariance).collect())
    }
}

/// Steps from one start.
struct FitStart {
    state: MixtureState,
    history: Vec<f64>,
    converged: bool,
}

impl FitStart {
    fn new(points: &[f64], d: usize, settings: &MixtureSettings, start: u32) -> Result<Self> {
        let n = points.len() / d;
        let mut run = Self {
            state: MixtureState::new(points, d, settings, start)?,
            history: Vec::new(),
            converged: false,
        };
        loop {
            let sums = run.state.expect(points, d);
            let mean = sums.ln_likelihood / n as f64;
            run.converged = run.history.last().is_some_and(|before| mean - before < settings.tolerance);
            run.history.push(mean);
            if run.converged || run.history.len() > settings.iterations {
                return Ok(run);
            }
            run.state = run.state.maximise(&sums, d, n, settings.floor)?;
        }
    }

    fn last(&self) -> f64 {
        self.history.last().copied().unwrap_or(f64::NEG_INFINITY)
    }
}

fn squared_distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// Which centre is nearest.
fn nearest(x: &[f64], centres: &[Vec<f64>]) -> usize {
    let distances = centres.iter().map(|centre| squared_distance(x, centre));
    distances.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(k, _)| k)
}

/// Points as centres: the first at random, each further one with a probability proportional to the squared distance
/// to the nearest before it.
fn plus_plus(points: &[f64], d: usize, count: usize, random: &mut Sequence) -> Result<Vec<Vec<f64>>> {
    let rows = || points.chunks(d);
    let n = points.len() / d;
    let first = ((draw::uniform(random) * n as f64) as usize).min(n - 1);
    let mut centres = vec![points[first * d..][..d].to_vec()];
    let mut distances: Vec<f64> = rows().map(|x| squared_distance(x, &centres[0])).collect();
    while centres.len() < count {
        let mut left = draw::uniform(random) * distances.iter().sum::<f64>();
        let chosen = distances.iter().position(|distance| {
            left -= distance;
            left < 0.0
        });
        // Rounding may leave a little beyond the last point that is no centre yet.
        let chosen = chosen.or_else(|| distances.iter().rposition(|distance| *distance > 0.0)).ok_or_else(|| {
            Error::from(Kind::Samples(format!(
                "the sample has only {} different points, but the mixture has {count} components; give fewer \
                 components",
                centres.len()
            )))
        })?;
        let centre = points[chosen * d..][..d].to_vec();
        distances
            .iter_mut()
            .zip(rows())
            .for_each(|(distance, x)| *distance = distance.min(squared_distance(x, &centre)));
        centres.push(centre);
    }
    Ok(centres)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::Density;

    fn draws(mixture: &GaussianMixture, n: usize) -> Vec<f64> {
        mixture.sample(n, &mut Sequence::new(5, Stream::Model, 1)).expect("draws")
    }

    impl FittedComponent {
        /// This component as a distribution of its own.
        fn alone(&self) -> GaussianMixture {
            let c = &self.covariance;
            let covariance = Covariance::Full(vec![vec![c[0], c[2]], vec![c[2], c[3]]]);
            GaussianMixture::new(vec![1.0], vec![self.mean.clone()], vec![covariance]).expect("a component")
        }
    }

    fn settings(components: usize) -> MixtureSettings {
        MixtureSettings { components, ..MixtureSettings::default() }
    }

    /// Three components far apart, in units that differ by a million.
    fn separated() -> GaussianMixture {
        let covariance =
            |a: f64, b: f64, c: f64| Covariance::Full(vec![vec![a, b * 1e6], vec![b * 1e6, c * 1e12]]);
        let means = vec![vec![0.0, 0.0], vec![10.0, 4e6], vec![-8.0, 9e6]];
        let covariances =
            vec![covariance(1.0, 0.5, 1.0), covariance(0.5, 0.0, 2.0), covariance(2.0, -1.0, 1.0)];
        GaussianMixture::new(vec![0.5, 0.3, 0.2], means, covariances).expect("a mixture")
    }

    #[test]
    fn a_separated_mixture_is_recovered() {
        let (truth, n) = (separated(), 6000);
        let values = draws(&truth, n);
        let fitted = gaussian_mixture(Sample::new(2, &values), &settings(3)).expect("a fit");
        assert!(fitted.converged && fitted.floored == 0, "{fitted:?}");
        // The components hardly overlap, so their parameters have the errors of samples of n w points; 4 of them.
        for k in 0..3 {
            let (want, got) = (&truth.components()[k], &fitted.mixture.components()[k]);
            let (w, count) = (truth.weights()[k], n as f64 * truth.weights()[k]);
            let weight = fitted.mixture.weights()[k];
            assert!((weight - w).abs() < 4.0 * (w * (1.0 - w) / n as f64).sqrt(), "weight {k}: {weight}");
            let (c, g) = (want.covariance(), got.covariance());
            for i in 0..2 {
                let error = 4.0 * (c.entry(i, i) / count).sqrt();
                assert!((got.mean()[i] - want.mean()[i]).abs() < error, "mean {k}, {i}: {:?}", got.mean());
                for j in 0..2 {
                    let error =
                        4.0 * ((c.entry(i, i) * c.entry(j, j) + c.entry(i, j).powi(2)) / count).sqrt();
                    assert!((g.entry(i, j) - c.entry(i, j)).abs() < error, "covariance {k}, {i}, {j}: {g:?}");
                }
            }
        }
        // The maximum is above the truth's likelihood, by about half the number of parameters.
        let of = |mixture: &GaussianMixture| -> f64 {
            values.chunks(2).map(|x| mixture.ln_density(x).expect("known")).sum()
        };
        assert!((fitted.ln_likelihood - of(&fitted.mixture)).abs() < 1e-9 * fitted.ln_likelihood.abs());
        let gain = fitted.ln_likelihood - of(&truth);
        assert!(gain > 0.0 && gain < 30.0, "{gain}");
    }

    /// One step against the formulas above, with sums of 300 terms around 1.
    #[test]
    fn a_step_is_the_formulas() {
        // Three components in one cloud: their shares overlap, and the start is no fixed point.
        let cloud = GaussianMixture::new(vec![1.0], vec![vec![1.0, 2.0]], vec![vec![1.0, 3.0].into()]);
        let (values, n, wanted) = (draws(&cloud.expect("a model"), 300), 300, settings(3));
        let sample = Sample::new(2, &values);
        let points = Units::of(sample).expect("units").standardised(sample);
        let before = MixtureState::new(&points, 2, &wanted, 0).expect("a start");
        let sums = before.expect(&points, 2);
        let after = before.maximise(&sums, 2, n, wanted.floor).expect("a step");
        let parts: Vec<GaussianMixture> =
            before.components.iter().map(|component| component.alone()).collect();
        let part =
            |k: usize, x: &[f64]| before.components[k].weight * parts[k].ln_density(x).expect("known").exp();
        let density = |x: &[f64]| (0..3).map(|k| part(k, x)).sum::<f64>();
        let likelihood: f64 = points.chunks(2).map(|x| density(x).ln()).sum();
        assert!((sums.ln_likelihood - likelihood).abs() < 1e-10, "{}, {likelihood}", sums.ln_likelihood);
        for (k, component) in after.components.iter().enumerate() {
            let weighted = |f: &dyn Fn(&[f64]) -> f64| -> f64 {
                points.chunks(2).map(|x| part(k, x) / density(x) * f(x)).sum()
            };
            let mass = weighted(&|_| 1.0);
            assert!((component.weight - mass / n as f64).abs() < 1e-12, "weight {k}");
            let mean = [0, 1].map(|i| weighted(&|x| x[i]) / mass);
            assert!((mean[0] - before.components[k].mean[0]).abs() > 1e-4, "the mean moves");
            for i in 0..2 {
                assert!((component.mean[i] - mean[i]).abs() < 1e-12, "mean {k}, {i}");
                for j in 0..=i {
                    let want = weighted(&|x| (x[i] - mean[i]) * (x[j] - mean[j])) / mass;
                    let got = component.covariance[i * 2 + j];
                    assert!((got - want).abs() < 1e-12, "covariance {k}, {i}, {j}: {got}, {want}");
                }
            }
        }
    }

    /// Overlapping components, where EM takes many steps, in several dimensions; also where the floor is at work.
    #[test]
    fn the_likelihood_never_falls() {
        let overlapping = GaussianMixture::new(
            vec![0.6, 0.4],
            vec![vec![0.0, 0.0, 0.0], vec![1.0, 1.0, 0.0]],
            vec![vec![1.0, 2.0, 0.5].into(), vec![0.5, 0.5, 3.0].into()],
        )
        .expect("a mixture");
        let mut values = draws(&overlapping, 500);
        for floor in [1e-6, 0.3] {
            let settings = MixtureSettings { starts: 3, iterations: 300, floor, ..settings(4) };
            let fitted = gaussian_mixture(Sample::new(3, &values), &settings).expect("a fit");
            assert!(fitted.history.len() > 20, "{floor}: {} steps", fitted.iterations);
            for (step, pair) in fitted.history.windows(2).enumerate() {
                // 500 terms of a few nats each.
                assert!(pair[1] >= pair[0] - 1e-13, "{floor}, step {step}: {pair:?}");
            }
            assert_eq!(fitted.floored > 0, floor > 0.1, "{fitted:?}");
        }
        // One column in exact dependence on the others.
        values.chunks_mut(3).for_each(|x| x[2] = x[0] + x[1]);
        let fitted = gaussian_mixture(Sample::new(3, &values), &settings(2)).expect("a fit");
        assert_eq!(fitted.floored, 2);
        assert!(fitted.history.windows(2).all(|pair| pair[1] >= pair[0] - 1e-12), "{:?}", fitted.history);
    }

    #[test]
    fn one_component_is_mean_and_covariance() {
        let values = draws(&separated(), 1001);
        let n = 1001.0;
        let fitted = gaussian_mixture(Sample::new(2, &values), &settings(1)).expect("a fit");
        let component = &fitted.mixture.components()[0];
        let column = |i: usize| values.iter().skip(i).step_by(2);
        let mean = [0, 1].map(|i| column(i).sum::<f64>() / n);
        let mut covariance = [[0.0; 2]; 2];
        for i in 0..2 {
            let scale = mean[i].abs();
            assert!((component.mean()[i] - mean[i]).abs() < 1e-13 * scale, "{:?}", component.mean());
            for j in 0..2 {
                let products = column(i).zip(column(j)).map(|(x, y)| (x - mean[i]) * (y - mean[j]));
                let (want, got) = (products.sum::<f64>() / n, component.covariance().entry(i, j));
                assert!((got - want).abs() < 1e-12 * want.abs(), "{i}, {j}: {got}, {want}");
                covariance[i][j] = want;
            }
        }
        let [[a, b], [_, c]] = covariance;
        let determinant: f64 = a * c - b * b;
        // -n/2 (d ln(2 pi) + ln det C + d).
        let expected = -0.5 * n * (2.0 * LN_TWO_PI + determinant.ln() + 2.0);
        assert!((fitted.ln_likelihood - expected).abs() < 1e-11 * expected.abs(), "{}", fitted.ln_likelihood);
        assert!(fitted.converged && fitted.iterations == 1 && fitted.floored == 0, "{fitted:?}");
    }

    #[test]
    fn the_seed_decides() {
        let values = draws(&separated(), 700);
        let fit = |seed| {
            gaussian_mixture(Sample::new(2, &values), &MixtureSettings { seed, starts: 2, ..settings(4) })
        };
        let [a, b, c] = [1, 1, 2].map(|seed| fit(seed).expect("a fit"));
        assert_eq!(a.mixture, b.mixture);
        assert_eq!(a.history, b.history);
        assert_ne!(a.history, c.history);
    }

    #[test]
    fn more_starts_are_never_worse() {
        let values = draws(&separated(), 400);
        let fit =
            |starts| gaussian_mixture(Sample::new(2, &values), &MixtureSettings { starts, ..settings(5) });
        let [one, many] = [1, 8].map(|starts| fit(starts).expect("a fit").ln_likelihood);
        assert!(many >= one, "{many} after eight starts, {one} after one");
    }

    #[test]
    fn eigenvalues_are_raised_to_the_floor() {
        // Eigenvalues 2 and 0 along (1, 1) and (1, -1).
        let raised = raise(vec![1.0, 0.0, 1.0, 1.0], 2, 0.1).expect("raised");
        assert!(raised.floored);
        for (i, want) in [(0, 1.05), (2, 0.95), (3, 1.05)] {
            assert!((raised.covariance[i] - want).abs() < 1e-15, "{:?}", raised.covariance);
        }
        let kept = raise(vec![1.0, 0.0, 0.5, 1.0], 2, 0.1).expect("kept");
        assert!(!kept.floored && kept.covariance == [1.0, 0.0, 0.5, 1.0]);
    }

    #[test]
    fn impossible_fits_are_refused() {
        let good = [0.0, 1.0, 1.0, 3.0, 2.0, 2.0];
        let problem = |values: &[f64], settings: MixtureSettings| {
            gaussian_mixture(Sample::new(2, values), &settings).expect_err("impossible").to_string()
        };
        for (values, settings, words) in [
            (&good[..], settings(0), "at least one component and one start"),
            (&good, MixtureSettings { starts: 0, ..settings(1) }, "at least one component and one start"),
            (
                &good,
                MixtureSettings { floor: 0.0, ..settings(1) },
                "the floor is 0; give a number between 0 and 1",
            ),
            (&good, settings(4), "a sample of 3 points is too small for a mixture of 4 components"),
            (&good[..2], settings(1), "a sample of 1 points is too small"),
            (&[0.0, 1.0, 2.0, 1.0], settings(1), "column 1 (counted from 0) is 1 in all rows"),
            (&[0.0, 1.0, 2.0, 2.0, 0.0, 1.0], settings(3), "only 2 different points, but the mixture has 3"),
        ] {
            let problem = problem(values, settings);
            assert!(problem.contains(words), "{problem}");
        }
    }
}
