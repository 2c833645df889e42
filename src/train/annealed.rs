//! ln p(x) by annealed importance sampling: many small steps from q(z|x) or the prior to p(z|x), instead of one.
//!
//! ```text
//! ln f_b(z) = ln q_0(z) + b (ln p(x, z) - ln q_0(z))        0 = b_0 < b_1 < ... < b_T = 1
//! ln w      = sum_t (b_t - b_{t-1}) (ln p(x, z_{t-1}) - ln q_0(z_{t-1}))
//! z_0 ~ q_0,   z_t from z_{t-1} by a transition that leaves f_{b_t} as it is
//! ln p(x) >= E ln 1/C sum_c w_c                             over C chains
//! ```
//!
//! A transition is one step of Hamiltonian Monte Carlo. Step sizes are found for each image and temperature by chains
//! that are then forgotten, so that those of the estimate are fixed and E w = p(x) holds exactly. Along the same path
//! from an exact draw of p(z|x) back, E 1/w = 1 / p(x) bounds ln p(x) from above: for images that the model made, whose z
//! is known, ln p(x) lies between both bounds on average ([`check`]).
//!
//! Neal, "Annealed importance sampling" (2001); Wu, Burda, Salakhutdinov and Grosse, "On the quantitative analysis of
//! decoder-based generative models" (2017), section 4; Grosse, Ghahramani and Adams, "Sandwiching the marginal
//! likelihood using bidirectional Monte Carlo" (2015).

mod chains;
mod network;

use crate::checkpoint::State;
use crate::data::Dataset;
use crate::kernel::reconstruction::Likelihood;
use crate::random::{Sequence, Stream};
use chains::{Chains, Target};
use network::Network;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Where chains start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// At draws of q(z|x), whose standard deviations also scale the steps
    #[default]
    Encoder,
    /// At draws of the prior, as Wu et al. (2017): does not need a good encoder
    Prior,
}

/// How to anneal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnnealedSettings {
    /// T.
    pub temperatures: usize,
    /// C, for each image.
    pub chains: usize,
    /// Leapfrog steps of a transition.
    pub leapfrog: usize,
    /// Images, a random choice where there are more.
    pub images: usize,
    /// q_0.
    pub start: Start,
    /// Key of all random numbers.
    pub seed: u64,
}

/// The estimate for test images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnnealedEstimate {
    /// T.
    pub temperatures: usize,
    /// C.
    pub chains: usize,
    /// Leapfrog steps of a transition.
    pub leapfrog: usize,
    /// q_0.
    pub start: Start,
    /// How many test images.
    pub images: usize,
    /// Mean of ln 1/C sum_c w_c in nats: on average at most ln p(x).
    pub log_likelihood: f64,
    /// Its standard error by the draws, these images given: the jackknife over chains; null with one chain.
    pub standard_error: Option<f64>,
    /// Its standard error by the choice of the images.
    pub standard_error_of_images: f64,
    /// Mean effective number of chains of an image, (sum w)^2 / sum w^2.
    pub effective_chains: f64,
    /// Mean probability that a transition was accepted.
    pub acceptance: f64,
    /// Mean importance estimate of the same images, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub importance_of_same_images: Option<f64>,
    /// How well the same chains do where the truth can be bounded from both sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bidirectional: Option<Bidirectional>,
    /// Which test images.
    #[serde(skip)]
    pub chosen: Vec<usize>,
}

/// Bounds of ln p(x) of images that the model made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bidirectional {
    /// How many.
    pub images: usize,
    /// Mean lower bound in nats.
    pub lower: f64,
    /// Mean upper bound in nats.
    pub upper: f64,
    /// `upper - lower`: neither bound is further from ln p(x), on average.
    pub gap: f64,
    /// Its standard error by images and draws.
    pub gap_standard_error: f64,
}

/// A model on the host.
pub struct HostModel {
    encoder: Network,
    decoder: Network,
    likelihood: Likelihood,
    latent: usize,
}

/// Uses of the random numbers of an image.
#[derive(Clone, Copy)]
enum Purpose {
    Tune,
    Forward,
    Simulate,
    Backward,
}

/// Chains that step sizes are found from, for each image.
const TUNING_CHAINS: usize = 4;

/// Rows of a block of chains: enough for the products, few enough for the cache.
const ROWS: usize = 64;

/// Images of a block: no number depends on which images share one.
struct ChainsOfBlock<'a> {
    model: &'a HostModel,
    settings: AnnealedSettings,
    /// `(images, D)`.
    pixels: Vec<f32>,
    /// The number of the first image among those of the call.
    first: usize,
    /// Set apart from those of other calls with the same seed.
    offset: u32,
}

/// What is done of an estimate that takes long.
#[derive(Clone, Copy, Debug)]
pub enum Done<'a> {
    /// One of [`AnnealedSettings::work`].
    Temperature,
    /// ln 1/C sum_c w_c of images that are finished.
    Images(&'a [f64]),
    /// Lower and upper bound of ln p(x) of simulated images that are finished.
    Bounds(&'a [[f64; 2]]),
}

/// Hears of all that is done, from several threads.
pub type Listener<'a> = &'a (dyn Fn(Done<'_>) + Sync);

impl AnnealedSettings {
    /// Temperatures of all blocks of an estimate for `images` images, forwards and, with `check`, backwards.
    pub fn work(&self, images: usize, check: bool) -> u64 {
        let passes = if check { 3 } else { 2 };
        (images.div_ceil(self.block()) * self.temperatures * passes) as u64
    }

    fn block(&self) -> usize {
        ROWS.div_ceil(self.chains)
    }

    /// b_t: a sigmoid, slow at both ends (Wu et al. 2017, appendix).
    fn inverse_temperature(&self, t: usize) -> f64 {
        const STEEPNESS: f64 = 4.0;
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let at = |part: f64| sigmoid(STEEPNESS * (2.0 * part - 1.0));
        let part = t as f64 / self.temperatures as f64;
        (at(part) - at(0.0)) / (at(1.0) - at(0.0))
    }
}

impl HostModel {
    /// The model of a state.
    pub fn new(state: &State, likelihood: Likelihood) -> Self {
        let [encoder, decoder] = Network::of(&state.architecture, &state.theta);
        Self { encoder, decoder, likelihood, latent: state.architecture.latent }
    }

    /// Mean and standard deviation of q_0 for `(B, D)` pixels, `(B, M)` each.
    fn start(&self, pixels: &[f32], start: Start) -> [Vec<f32>; 2] {
        let (rows, m) = (pixels.len() / self.decoder.outputs(), self.latent);
        if start == Start::Prior {
            return [vec![0.0; rows * m], vec![1.0; rows * m]];
        }
        let mut outputs = Vec::new();
        self.encoder.forward(pixels, rows, &mut outputs);
        let stats = outputs.pop().unwrap_or_default();
        let means = stats.chunks_exact(2 * m).flat_map(|row| row[..m].iter().copied());
        let stds = stats.chunks_exact(2 * m).flat_map(|row| row[m..].iter().map(|log_std| log_std.exp()));
        [means.collect(), stds.collect()]
    }
}

/// Estimates the mean ln p(x) of test images.
pub fn log_likelihood(
    model: &HostModel,
    dataset: &Dataset,
    settings: AnnealedSettings,
    done: Listener<'_>,
) -> AnnealedEstimate {
    let mut chosen = Sequence::new(settings.seed, Stream::Subsample, 1).order(dataset.test.len());
    chosen.truncate(settings.images);
    let blocks: Vec<ChainsOfBlock<'_>> = chosen
        .chunks(settings.block())
        .enumerate()
        .map(|(index, images)| {
            let pixels = images.iter().flat_map(|&i| dataset.test.values(i)).collect();
            ChainsOfBlock { model, settings, pixels, first: index * settings.block(), offset: 0 }
        })
        .collect();
    let results: Vec<(Vec<Vec<f64>>, f64)> = blocks
        .par_iter()
        .map(|block| {
            let steps = block.tune(done);
            let (weights, rate) = block.forward(&steps, done);
            done(Done::Images(&weights.iter().map(|logs| log_mean(logs)).collect::<Vec<_>>()));
            (weights, rate)
        })
        .collect();
    let accepted: f64 =
        results.iter().zip(&blocks).map(|((_, rate), block)| rate * block.images() as f64).sum();
    let weights: Vec<Vec<f64>> = results.into_iter().flat_map(|(weights, _)| weights).collect();
    let n = weights.len() as f64;
    let logs: Vec<f64> = weights.iter().map(|logs| log_mean(logs)).collect();
    let (log_likelihood, standard_error_of_images) = mean(&logs);
    let effective = |logs: &Vec<f64>| {
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum = |power: f64| logs.iter().map(|log| (power * (log - largest)).exp()).sum::<f64>();
        sum(1.0).powi(2) / sum(2.0)
    };
    AnnealedEstimate {
        temperatures: settings.temperatures,
        chains: settings.chains,
        leapfrog: settings.leapfrog,
        start: settings.start,
        images: weights.len(),
        log_likelihood,
        standard_error: jackknife(&weights, settings.chains),
        standard_error_of_images,
        effective_chains: weights.iter().map(effective).sum::<f64>() / n,
        acceptance: accepted / n,
        importance_of_same_images: None,
        bidirectional: None,
        chosen,
    }
}

/// Bounds ln p(x) of `images` images that the model makes, from both sides, with the same chains as an estimate.
pub fn check(
    model: &HostModel,
    settings: AnnealedSettings,
    images: usize,
    done: Listener<'_>,
) -> Bidirectional {
    let firsts: Vec<usize> = (0..images).step_by(settings.block()).collect();
    let bounds: Vec<[f64; 2]> = firsts
        .into_par_iter()
        .flat_map_iter(|first| {
            let count = settings.block().min(images - first);
            // The upper half of the numbers of chains.
            let mut block = ChainsOfBlock { model, settings, pixels: Vec::new(), first, offset: 1 << 27 };
            let z = block.simulate(count);
            let steps = block.tune(done);
            let (forward, _) = block.forward(&steps, done);
            let backward = block.backward(&z, &steps, done);
            let upper =
                backward.into_iter().map(|logs| -log_mean(&logs.iter().map(|log| -log).collect::<Vec<_>>()));
            let lower = forward.iter().map(|logs| log_mean(logs));
            let bounds: Vec<[f64; 2]> = lower.zip(upper).map(|(lower, upper)| [lower, upper]).collect();
            done(Done::Bounds(&bounds));
            bounds
        })
        .collect();
    let side = |which: usize| mean(&bounds.iter().map(|bound| bound[which]).collect::<Vec<_>>()).0;
    let (gap, gap_standard_error) =
        mean(&bounds.iter().map(|[lower, upper]| upper - lower).collect::<Vec<_>>());
    Bidirectional { images, lower: side(0), upper: side(1), gap, gap_standard_error }
}

/// Mean and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (variance / n).sqrt())
}

/// ln of the mean of numbers given by their logarithms.
pub(super) fn log_mean(logs: &[f64]) -> f64 {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|log| (log - largest).exp()).sum();
    largest + (sum / logs.len() as f64).ln()
}

/// The standard error, by the draws, of the mean over images of [`log_mean`]: each draw of all images is left out in
/// turn. `weights: (N, draws)`; `None` below two draws.
pub(super) fn jackknife(weights: &[Vec<f64>], draws: usize) -> Option<f64> {
    if draws < 2 {
        return None;
    }
    let without = |out: usize| {
        let one = |logs: &Vec<f64>| {
            let rest: Vec<f64> = (0..draws).filter(|&c| c != out).map(|c| logs[c]).collect();
            log_mean(&rest)
        };
        weights.iter().map(one).sum::<f64>() / weights.len() as f64
    };
    let values: Vec<f64> = (0..draws).map(without).collect();
    let k = draws as f64;
    // The jackknife's variance is (k - 1)^2 / k times that of the values.
    Some((k - 1.0) * mean(&values).1)
}

impl ChainsOfBlock<'_> {
    fn images(&self) -> usize {
        self.pixels.len() / self.model.decoder.outputs()
    }

    /// The random numbers of one chain.
    fn sequence(&self, purpose: Purpose, image: usize, chain: usize) -> Sequence {
        let row = ((self.first + image) * self.settings.chains.max(TUNING_CHAINS) + chain) as u32;
        Sequence::new(self.settings.seed, Stream::Annealing, ((purpose as u32) << 28) + self.offset + row)
    }

    /// `chains` chains of each image, at draws of q_0.
    fn chains(&self, purpose: Purpose, chains: usize) -> Chains<'_> {
        let [means, stds] = self.model.start(&self.pixels, self.settings.start);
        let target = Target {
            decoder: &self.model.decoder,
            likelihood: self.model.likelihood,
            latent: self.model.latent,
            leapfrog: self.settings.leapfrog,
        };
        let random = (0..self.images())
            .flat_map(|image| (0..chains).map(move |chain| (image, chain)))
            .map(|(image, chain)| self.sequence(purpose, image, chain))
            .collect();
        Chains::new(target, chains, [&self.pixels, &means, &stds], random)
    }

    /// Step sizes for each temperature and image, `(T, images)`, with an acceptance near that which is best.
    fn tune(&self, done: Listener<'_>) -> Vec<Vec<f32>> {
        // Of unit normals in few to some hundred dimensions.
        const FIRST: f32 = 0.3;
        // Transitions that find the size of the first temperature.
        const WARM_UP: usize = 30;
        // Beskos et al. (2013): the best acceptance of Hamiltonian Monte Carlo in many dimensions.
        const BEST: f64 = 0.65;
        const GAIN: f64 = 0.2;
        let chains = TUNING_CHAINS.min(self.settings.chains);
        let mut state = self.chains(Purpose::Tune, chains);
        let mut sizes = vec![FIRST; self.images()];
        let mut steps = Vec::with_capacity(self.settings.temperatures);
        for t in 1..=self.settings.temperatures {
            for _ in 0..if t == 1 { WARM_UP } else { 1 } {
                let accepted = state.transition(self.settings.inverse_temperature(t), &sizes);
                for (size, accepted) in sizes.iter_mut().zip(accepted.chunks_exact(chains)) {
                    let rate = accepted.iter().sum::<f64>() / chains as f64;
                    *size *= (GAIN * (rate - BEST)).exp() as f32;
                }
            }
            steps.push(sizes.clone());
            done(Done::Temperature);
        }
        steps
    }

    /// ln w of each chain of each image, and the mean acceptance.
    fn forward(&self, steps: &[Vec<f32>], done: Listener<'_>) -> (Vec<Vec<f64>>, f64) {
        let chains = self.settings.chains;
        let mut state = self.chains(Purpose::Forward, chains);
        let mut logs = vec![0.0; self.images() * chains];
        let mut accepted = 0.0;
        for (t, steps) in (1..).zip(steps) {
            let [before, now] = [t - 1, t].map(|t| self.settings.inverse_temperature(t));
            logs.iter_mut().enumerate().for_each(|(row, log)| *log += (now - before) * state.log_ratio(row));
            let rates = state.transition(now, steps);
            accepted += rates.iter().sum::<f64>() / rates.len() as f64;
            done(Done::Temperature);
        }
        (logs.chunks_exact(chains).map(<[f64]>::to_vec).collect(), accepted / steps.len() as f64)
    }

    /// ln w along the path back, from `z` that are draws of p(z|x).
    fn backward(&self, z: &[f32], steps: &[Vec<f32>], done: Listener<'_>) -> Vec<Vec<f64>> {
        let chains = self.settings.chains;
        let mut state = self.chains(Purpose::Backward, chains);
        state.place(z);
        let mut logs = vec![0.0; self.images() * chains];
        for (index, steps) in steps.iter().enumerate().rev() {
            let t = index + 1;
            let [before, now] = [t - 1, t].map(|t| self.settings.inverse_temperature(t));
            state.transition(now, steps);
            logs.iter_mut().enumerate().for_each(|(row, log)| *log += (now - before) * state.log_ratio(row));
            done(Done::Temperature);
        }
        logs.chunks_exact(chains).map(<[f64]>::to_vec).collect()
    }

    /// Makes the block's images from draws of the prior, which it gives: `(images, M)`.
    fn simulate(&mut self, images: usize) -> Vec<f32> {
        let (m, d) = (self.model.latent, self.model.decoder.outputs());
        let mut random: Vec<Sequence> =
            (0..images).map(|image| self.sequence(Purpose::Simulate, image, 0)).collect();
        let z: Vec<f32> = random
            .iter_mut()
            .flat_map(|random| (0..m).map(|_| random.normal()).collect::<Vec<_>>())
            .collect();
        let mut outputs = Vec::new();
        self.model.decoder.forward(&z, images, &mut outputs);
        let means = outputs.pop().unwrap_or_default();
        let pixel = |random: &mut Sequence, l: f32| match self.model.likelihood {
            Likelihood::Gaussian { sigma } => l + sigma * random.normal(),
            Likelihood::Bernoulli => {
                f32::from(u8::from(random.uniform(0.0, 1.0) < crate::numeric::sigmoid(l)))
            }
        };
        let rows = means.chunks_exact(d).zip(&mut random);
        self.pixels = rows
            .flat_map(|(row, random)| row.iter().map(|&l| pixel(random, l)).collect::<Vec<_>>())
            .collect();
        z
    }
}
