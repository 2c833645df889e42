//! The objectives, their weights by step, and the kernels that they take.
//!
//! | objective  | loss in nats per image                                                      | options            |
//! |------------|-----------------------------------------------------------------------------|--------------------|
//! | `vae`      | R + KL(q(z\|x), p(z)): the negative ELBO                                     |                    |
//! | `beta-vae` | R + beta KL                      (Higgins et al. 2017)                      | `beta`             |
//! | `mmd-vae`  | R + lambda MMD^2(q(z), p(z))     (the lecture's; no KL)                     | `lambda`           |
//! | `info-vae` | R + (1 - alpha) KL + (alpha + lambda - 1) MMD^2  (Zhao et al. 2019, eq. 6)  | `alpha`, `lambda`  |
//! | `tc-vae`   | R + MI + beta TC + sum_j KL(q(z_j), p(z_j))      (Chen et al. 2018, eq. 4)  | `beta`             |
//! | `capacity` | R + gamma abs(KL - C), on the batch's mean KL    (Burgess et al. 2018, eq. 8) | `capacity`, `gamma` |
//!
//! R = -E ln p(x|z); MI is the mutual information of x and z under q, TC = KL(q(z), prod_j q(z_j)). beta, lambda, C
//! and gamma are [`Schedule`]s. A new objective is a row here, an [`ObjectiveName`], and an [`Objective`] with its options,
//! which `Config::objective` finds in the settings.

use super::metrics::{Metrics, Terms};
use super::schedule::Schedule;
use super::words::Formula;
use crate::error::{Error, Result};
use crate::kernel::latent::KlEstimate;
use crate::kernel::mixture;
use crate::model::{Regularizer, Term};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of an objective.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectiveName {
    /// Reconstruction + KL: the negative ELBO
    #[default]
    Vae,
    /// Reconstruction + beta KL (Higgins et al. 2017)
    BetaVae,
    /// Reconstruction + lambda MMD^2(q(z), p(z)), without a KL
    MmdVae,
    /// Reconstruction + (1 - alpha) KL + (alpha + lambda - 1) MMD^2 (Zhao et al. 2019)
    InfoVae,
    /// Mutual information + beta total correlation + dimension-wise KL (Chen et al. 2018)
    TcVae,
    /// Reconstruction + gamma |KL - C| (Burgess et al. 2018)
    Capacity,
}

/// As on the command line.
impl fmt::Display for ObjectiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// How the MMD between z and the prior is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum MmdEstimate {
    /// The prior's part in closed form
    #[default]
    ClosedForm,
    /// As many fresh draws from the prior as the batch has images
    Draws,
}

/// How the total correlation is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TcEstimate {
    /// Minibatch stratified sampling, with the correct weights
    #[default]
    Stratified,
    /// Minibatch-weighted sampling: all images of the batch count alike
    Weighted,
}

/// An objective with its options.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are options of `Config`, with its documentation")]
pub enum Objective {
    Vae,
    BetaVae { beta: Schedule },
    MmdVae { lambda: Schedule, mmd: MmdOptions },
    InfoVae { alpha: f64, lambda: Schedule, mmd: MmdOptions },
    TcVae { beta: Schedule, tc: TcEstimate },
    Capacity { capacity: Schedule, gamma: Schedule },
}

/// An MMD between z and the prior: the settings `mmd` and `mmd_bandwidth`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are options of `Config`, with its documentation")]
pub struct MmdOptions {
    pub estimate: MmdEstimate,
    pub bandwidth: f64,
}

/// The weights of an objective's terms in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TermWeights {
    /// Of the KL, or of its distance from the capacity.
    pub kl: f64,
    /// The capacity in nats.
    pub capacity: f64,
    /// Of the MMD or the total correlation.
    pub term: f64,
}

/// [`TermWeights`] as functions of the step.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of `TermWeights`")]
pub struct WeightFormulas {
    pub kl: Formula,
    pub capacity: Formula,
    pub term: Formula,
}

impl Objective {
    /// The weights of the terms as functions of the step.
    pub fn weight_formulas(&self) -> WeightFormulas {
        let [zero, one] = [0.0, 1.0].map(Formula::constant);
        let none = WeightFormulas { kl: one, capacity: zero.clone(), term: zero.clone() };
        let by = |schedule: &Schedule| Formula::scheduled(schedule, 0.0);
        match self {
            Self::Vae => none,
            Self::BetaVae { beta } => WeightFormulas { kl: by(beta), ..none },
            Self::MmdVae { lambda, .. } => WeightFormulas { kl: zero, term: by(lambda), ..none },
            Self::InfoVae { alpha, lambda, .. } => WeightFormulas {
                kl: Formula::constant(1.0 - alpha),
                term: Formula::scheduled(lambda, 1.0 - alpha),
                ..none
            },
            // MI + beta TC + dimension-wise KL = KL + (beta - 1) TC.
            Self::TcVae { beta, .. } => WeightFormulas { term: Formula::scheduled(beta, 1.0), ..none },
            Self::Capacity { capacity, gamma } => {
                WeightFormulas { kl: by(gamma), capacity: by(capacity), ..none }
            }
        }
    }

    /// The weights of the terms in step `step` of `total`.
    pub fn weights(&self, step: u64, total: u64) -> TermWeights {
        let WeightFormulas { kl, capacity, term } = self.weight_formulas();
        let at = |formula: Formula| formula.at(step, 0, total);
        TermWeights { kl: at(kl), capacity: at(capacity), term: at(term) }
    }

    /// What is minimised, in nats per image, with these weights: from averages over images. Nothing where the averages
    /// lack a term that counts.
    pub fn loss(&self, weights: TermWeights, averages: &Metrics, terms: &Terms) -> Option<f64> {
        let TermWeights { kl, capacity, term } = weights;
        let regularizer = match self {
            Self::Vae | Self::BetaVae { .. } => kl * averages.kl,
            Self::Capacity { .. } => kl * (averages.kl - capacity).abs(),
            Self::MmdVae { .. } => term * terms.mmd?,
            Self::InfoVae { .. } => kl * averages.kl + term * terms.mmd?,
            Self::TcVae { .. } => kl * averages.kl + term * terms.total_correlation?,
        };
        Some(averages.reconstruction + regularizer)
    }

    /// The kernels that the objective takes: `batch` of `train_images` images in a step, and, where it leaves the choice,
    /// this estimate of the KL. Without `noise`, codes are means.
    pub fn regularizer(&self, kl: KlEstimate, noise: bool, batch: usize, train_images: usize) -> Regularizer {
        let term = match self {
            Self::MmdVae { mmd, .. } | Self::InfoVae { mmd, .. } => Term::PriorMmd {
                h: (2.0 * mmd.bandwidth * mmd.bandwidth) as f32,
                draws: (mmd.estimate == MmdEstimate::Draws).then_some(batch),
            },
            Self::TcVae { tc, .. } => Term::TotalCorrelation(match tc {
                TcEstimate::Stratified => mixture::MixtureWeights::Stratified { images: train_images },
                TcEstimate::Weighted => mixture::MixtureWeights::Weighted { images: train_images },
            }),
            Self::Vae | Self::BetaVae { .. } | Self::Capacity { .. } => Term::None,
        };
        let kl = match self {
            // The three terms add to the KL of the sampled z.
            Self::TcVae { .. } => KlEstimate::Sampled,
            _ => kl,
        };
        let capacity = matches!(self, Self::Capacity { .. });
        Regularizer { kl, capacity, noise, term }
    }

    /// Whether it compares the codes of a batch with each other.
    pub(super) fn compares_codes(&self) -> bool {
        matches!(self, Self::MmdVae { .. } | Self::InfoVae { .. } | Self::TcVae { .. })
    }

    /// Refuses weights that would reward what they should punish.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::InfoVae { alpha, .. } if *alpha > 1.0 => Err(Error::usage(format!(
                "--alpha {alpha} weights the KL with 1 - alpha < 0; it is at most 1"
            ))),
            Self::InfoVae { alpha, lambda, .. } if lambda.least() < 1.0 - alpha => {
                Err(Error::usage(format!(
                    "--lambda {lambda} and --alpha {alpha} weight the MMD with alpha + lambda - 1 < 0; use a larger --lambda"
                )))
            }
            _ => Ok(()),
        }
    }
}
