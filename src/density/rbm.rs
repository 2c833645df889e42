//! The restricted Boltzmann machine with Gaussian visible units x `(d)` and hidden units u `(h)` in {-1, 1}:
//!
//! ```text
//! p(x, u) = exp(x'B u + b'x + c'u - |x|^2 / 2) / Z,  B: (d, h), b: (d), c: (h)
//! ln p(x) = b'x - |x|^2 / 2 + sum_j ln(2 cosh a_j) - ln Z,  a = B'x + c
//! s(x)    = b - x + B tanh(a)
//! Z       = (2 pi)^(d/2) sum over all u of exp(c'u + |b + B u|^2 / 2)
//! ```
//!
//! The usual example of a model whose constant nobody knows (Liu, Lee, Jordan, "A kernelized Stein discrepancy for
//! goodness-of-fit tests", ICML 2016; joint densities are also published with B/2 in the place of B, beside this
//! score). Z has 2^h terms: it is computed where h is small.

use super::fields::{Fields, list, numbers};
use super::{Density, LN_TWO_PI, ZeroDensity, check_numbers, ln_sum_exp};
use crate::error::{Error, Result};
use crate::numeric::sigmoid;
use crate::random::{self, Sequence, Stream, normal_pair};
use multiversion::multiversion;
use rayon::prelude::*;
use serde::Serialize;

/// Z is computed up to this many hidden units: the terms take milliseconds.
const MOST_SUMMED: usize = 16;

/// Steps of the Gibbs chain before each draw, as in published experiments (Schrab, Guedj, Gretton, "KSD aggregated
/// goodness-of-fit test", NeurIPS 2022).
const GIBBS_STEPS: usize = 2000;

/// Chains that run side by side: their numbers are neighbours in memory, for vector instructions. Even, as normal
/// numbers come in pairs.
const CHAINS: usize = 32;

/// A Gauss-Bernoulli restricted Boltzmann machine on R^d.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GaussBernoulliRbm {
    #[serde(rename = "B")]
    weights: Vec<Vec<f64>>,
    #[serde(rename = "b")]
    visible: Vec<f64>,
    #[serde(rename = "c")]
    hidden: Vec<f64>,
    /// ln Z, if it is known.
    #[serde(skip)]
    ln_constant: Option<f64>,
}

impl GaussBernoulliRbm {
    pub(super) const FIELDS: &'static [&'static str] = &["B", "b", "c"];

    pub(super) fn read(fields: &Fields) -> Result<Self> {
        let weights = fields.get("B", |value, name| list(value, name, numbers))?;
        Self::new(weights, fields.get("b", numbers)?, fields.get("c", numbers)?)
    }

    /// The machine with weights B `(d, h)` and biases b `(d)` and c `(h)`.
    ///
    /// # Errors
    /// If there are no units, the dimensions differ, or a number is not finite.
    pub fn new(weights: Vec<Vec<f64>>, visible: Vec<f64>, hidden: Vec<f64>) -> Result<Self> {
        let (d, h) = (visible.len(), hidden.len());
        check_numbers("b", &visible, d)?;
        check_numbers("c", &hidden, h)?;
        if weights.len() != d {
            let rows = weights.len();
            return Err(Error::usage(format!(
                "`B` has {rows} rows, but `b` has {d} numbers; give one row for each"
            )));
        }
        for (i, row) in weights.iter().enumerate() {
            check_numbers(&format!("B[{i}]"), row, h)?;
        }
        let mut machine = Self { weights, visible, hidden, ln_constant: None };
        machine.ln_constant = (h <= MOST_SUMMED).then(|| machine.ln_constant());
        Ok(machine)
    }

    /// ln Z by its sum.
    fn ln_constant(&self) -> f64 {
        let (d, h) = (self.visible.len(), self.hidden.len());
        let mut mean = vec![0.0; d];
        let terms = (0_u32..1 << h).map(|bits| {
            let units: Vec<f64> = (0..h).map(|j| if bits >> j & 1 == 1 { 1.0 } else { -1.0 }).collect();
            self.mean(&units, &mut mean);
            dot(&self.hidden, &units) + 0.5 * dot(&mean, &mean)
        });
        ln_sum_exp(&terms.collect::<Vec<_>>()) + 0.5 * d as f64 * LN_TWO_PI
    }

    /// b + B u.
    fn mean(&self, units: &[f64], out: &mut [f64]) {
        for ((out, row), bias) in out.iter_mut().zip(&self.weights).zip(&self.visible) {
            *out = bias + dot(row, units);
        }
    }

    /// a = B'x + c.
    fn activations(&self, x: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&self.hidden);
        for (row, x) in self.weights.iter().zip(x) {
            out.iter_mut().zip(row).for_each(|(out, w)| *out += w * x);
        }
    }

    /// n draws by Gibbs sampling: u and x of each other's conditional distribution in turn, P(u_j = 1 | x) = 1 / (1 +
    /// e^(-2 a_j)) and x | u ~ N(b + B u, I). Each point ends a chain of its own, so the points are independent. How
    /// close their distribution is depends on how fast the chain mixes: one with large weights stays near a few modes,
    /// and which those are depends on the start, x ~ N(0, I). A step takes 4 d h operations for each point.
    pub fn draw(&self, n: usize, random: &mut Sequence) -> Vec<f64> {
        let (d, h) = (self.visible.len(), self.hidden.len());
        let seed = u64::from(random.word()) << 32 | u64::from(random.word());
        let transposed: Vec<Vec<f64>> =
            (0..h).map(|j| self.weights.iter().map(|row| row[j]).collect()).collect();
        let mut points = vec![0.0; n * d];
        points.par_chunks_mut(CHAINS * d).enumerate().for_each(|(batch, points)| {
            let mut random = Sequence::new(seed, Stream::Model, batch as u32);
            let (mut x, mut units, mut words) =
                (vec![[0.0; CHAINS]; d], vec![[0.0; CHAINS]; h], vec![0; (d + h) * CHAINS]);
            // The start is x ~ N(0, I).
            words.iter_mut().for_each(|word| *word = random.word());
            add_normals(&words[..d * CHAINS], &mut x);
            for _ in 0..=GIBBS_STEPS {
                words.iter_mut().for_each(|word| *word = random.word());
                let (of_x, of_units) = words.split_at(d * CHAINS);
                affine(&transposed, &self.hidden, &x, &mut units);
                choose(of_units, &mut units);
                affine(&self.weights, &self.visible, &units, &mut x);
                add_normals(of_x, &mut x);
            }
            for (chain, point) in points.chunks_exact_mut(d).enumerate() {
                point.iter_mut().zip(&x).for_each(|(value, chains)| *value = chains[chain]);
            }
        });
        points
    }
}

/// A number of each chain.
type ChainValues = [f64; CHAINS];

/// bias + W v, for each chain.
#[multiversion(targets = "simd")]
fn affine(weights: &[Vec<f64>], bias: &[f64], values: &[ChainValues], out: &mut [ChainValues]) {
    for ((out, row), &bias) in out.iter_mut().zip(weights).zip(bias) {
        let mut sums = [bias; CHAINS];
        for (w, values) in row.iter().zip(values) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += w * value);
        }
        *out = sums;
    }
}

/// Activations become units: 1 with probability 1 / (1 + e^(-2 a)), to 2^-23, and otherwise -1.
#[multiversion(targets = "simd")]
fn choose(words: &[u32], units: &mut [ChainValues]) {
    for (unit, &word) in units.as_flattened_mut().iter_mut().zip(words) {
        *unit = if random::unit(word) < sigmoid(2.0 * *unit as f32) { 1.0 } else { -1.0 };
    }
}

/// x + N(0, I).
#[multiversion(targets = "simd")]
fn add_normals(words: &[u32], x: &mut [ChainValues]) {
    let half = words.len() / 2;
    let (first, second) = x.as_flattened_mut().split_at_mut(half);
    let (a, b) = words.split_at(half);
    for i in 0..half {
        let [z, w] = normal_pair(a[i], b[i]);
        first[i] += f64::from(z);
        second[i] += f64::from(w);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Density for GaussBernoulliRbm {
    fn dimension(&self) -> usize {
        self.visible.len()
    }

    fn score(&self, x: &[f64], out: &mut [f64]) -> std::result::Result<(), ZeroDensity> {
        let mut units = vec![0.0; self.hidden.len()];
        self.activations(x, &mut units);
        units.iter_mut().for_each(|unit| *unit = unit.tanh());
        self.mean(&units, out);
        out.iter_mut().zip(x).for_each(|(out, x)| *out -= x);
        Ok(())
    }

    fn ln_density(&self, x: &[f64]) -> Option<f64> {
        let constant = self.ln_constant?;
        let mut activations = vec![0.0; self.hidden.len()];
        self.activations(x, &mut activations);
        // ln(2 cosh a), without overflow.
        let hidden: f64 = activations.iter().map(|a| a.abs() + (-2.0 * a.abs()).exp().ln_1p()).sum();
        Some(dot(&self.visible, x) - 0.5 * dot(x, x) + hidden - constant)
    }

    fn sample(&self, n: usize, random: &mut Sequence) -> Option<Vec<f64>> {
        Some(self.draw(n, random))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{self, Moments};
    use super::*;
    use crate::density::{Covariance, GaussianMixture};

    fn model() -> GaussBernoulliRbm {
        let weights = vec![vec![0.5, -0.3], vec![0.2, 0.8], vec![-0.6, 0.1]];
        GaussBernoulliRbm::new(weights, vec![0.1, -0.5, 1.0], vec![0.3, -0.2]).expect("a model")
    }

    /// The sum over u: a mixture of 2^h normal distributions N(b + B u, I), weights exp(c'u + |b + B u|^2 / 2).
    fn mixture(machine: &GaussBernoulliRbm) -> GaussianMixture {
        let d = machine.dimension();
        let (mut weights, mut means) = (Vec::new(), Vec::new());
        for units in [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]] {
            let mut mean = vec![0.0; d];
            machine.mean(&units, &mut mean);
            weights.push((dot(&machine.hidden, &units) + 0.5 * dot(&mean, &mean)).exp());
            means.push(mean);
        }
        let total: f64 = weights.iter().sum();
        let weights = weights.iter().map(|weight| weight / total).collect();
        GaussianMixture::new(weights, means, vec![Covariance::Diagonal(vec![1.0; d]); 4]).expect("a mixture")
    }

    /// Tolerance: some ten operations on numbers below 100.
    #[test]
    fn it_is_a_mixture_of_gaussians() {
        let (machine, mixture) = (model(), mixture(&model()));
        for x in [[0.0, 0.0, 0.0], [1.0, -2.0, 3.0], [-8.0, 4.0, 0.5]] {
            let [a, b] = [machine.ln_density(&x), mixture.ln_density(&x)].map(|value| value.expect("known"));
            assert!((a - b).abs() < 1e-13 * (1.0 + a.abs()), "ln density at {x:?}: {a}, {b}");
            let (mut a, mut b) = ([f64::NAN; 3], [f64::NAN; 3]);
            machine.score(&x, &mut a).expect("a score");
            mixture.score(&x, &mut b).expect("a score");
            for (a, b) in a.iter().zip(&b) {
                assert!((a - b).abs() < 1e-13, "score at {x:?}: {a}, {b}");
            }
        }
    }

    #[test]
    fn the_score_is_the_gradient_and_has_mean_zero() {
        let line = GaussBernoulliRbm::new(vec![vec![0.5, 0.4]], vec![0.5], vec![0.0, 1.0]).expect("a model");
        for density in [&line as &dyn Density, &model()] {
            check::gradient(density);
            check::stein(density);
        }
        check::integral(&line);
    }

    #[test]
    fn draws_have_the_moments_of_the_mixture() {
        let mixture = mixture(&model());
        let parts = || mixture.weights().iter().zip(mixture.components());
        let mean: Vec<f64> = (0..3).map(|i| parts().map(|(w, c)| w * c.mean()[i]).sum()).collect();
        let moments = Moments::of(&model());
        for i in 0..3 {
            moments.mean_is(i, mean[i]);
            for j in 0..3 {
                let second: f64 = parts().map(|(w, c)| w * c.mean()[i] * c.mean()[j]).sum();
                let own = if i == j { 1.0 } else { 0.0 };
                moments.covariance_is(i, j, own + second - mean[i] * mean[j]);
            }
        }
    }

    #[test]
    fn large_machines_have_a_score_but_no_density() {
        let h = MOST_SUMMED + 1;
        let machine = GaussBernoulliRbm::new(vec![vec![0.1; h]], vec![0.0], vec![0.0; h]).expect("a model");
        assert_eq!(machine.ln_density(&[0.0]), None);
        let mut score = [f64::NAN];
        machine.score(&[2.0], &mut score).expect("a score");
        assert!((score[0] - (h as f64 * 0.1 * f64::tanh(0.2) - 2.0)).abs() < 1e-14, "{score:?}");
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let problem = |weights: &[&[f64]], visible: &[f64], hidden: &[f64]| {
            let weights = weights.iter().map(|row| row.to_vec()).collect();
            GaussBernoulliRbm::new(weights, visible.to_vec(), hidden.to_vec()).expect_err("wrong").to_string()
        };
        assert!(problem(&[&[1.0]], &[0.0, 0.0], &[0.0]).contains("`B` has 1 rows, but `b` has 2 numbers"));
        assert!(
            problem(&[&[1.0, 2.0]], &[0.0], &[0.0]).contains("`B[0]` has 2 numbers, but the model needs 1")
        );
        assert!(problem(&[&[]], &[0.0], &[]).contains("`c` is empty"));
    }
}
