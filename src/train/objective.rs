//! What is minimised: the objectives, their weights by step, and the kernels that they take.
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
//! and gamma are [`Schedule`]s. A new objective is a row here, a value of [`Objective`], its weights and its term.

use super::config::Config;
use super::schedule::{Ramp, Schedule};
use crate::error::{Error, Result};
use crate::kernel::latent::KlEstimate;
use crate::kernel::mixture;
use crate::model::{self, Term};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is minimised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
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

/// Its name on the command line.
impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = clap::ValueEnum::to_possible_value(self);
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// The weights of an objective's terms in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Of the KL, or of its distance from the capacity.
    pub kl: f64,
    /// The capacity in nats.
    pub capacity: f64,
    /// Of the MMD or the total correlation.
    pub term: f64,
}

/// The name of an estimate of the MMD between z and the prior.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum MmdName {
    /// The prior's part in closed form
    #[default]
    ClosedForm,
    /// As many fresh draws from the prior as the batch has images
    Draws,
}

/// The name of an estimate of the total correlation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TcName {
    /// Minibatch stratified sampling, with the correct weights
    #[default]
    Stratified,
    /// Minibatch-weighted sampling: all images of the batch count alike
    Weighted,
}

/// Default of --beta with `beta-vae`: Higgins et al. (2017) for dSprites.
const BETA: f64 = 4.0;

/// Default of --beta with `tc-vae`: Chen et al. (2018).
const TC_BETA: f64 = 6.0;

/// Default of --lambda for each latent dimension.
const LAMBDA_PER_LATENT: f64 = 50.0;

/// Default of --capacity: from 0 to 25 nats over the run, as Burgess et al. (2018) for dSprites.
const CAPACITY: Schedule = Schedule::Linear(Ramp { from: 0.0, to: 25.0, steps: None });

/// Default of --gamma.
const GAMMA: f64 = 100.0;

impl Config {
    /// Refuses options that the objective does not look at.
    pub(super) fn check_used(&self) -> Result<()> {
        use Objective::{BetaVae, Capacity, InfoVae, MmdVae, TcVae};
        let used: [(&str, bool, &[Objective]); 7] = [
            ("beta", self.beta.is_some(), &[BetaVae, TcVae]),
            ("lambda", self.lambda.is_some(), &[MmdVae, InfoVae]),
            ("alpha", self.alpha.is_some(), &[InfoVae]),
            ("capacity", self.capacity.is_some(), &[Capacity]),
            ("gamma", self.gamma.is_some(), &[Capacity]),
            ("mmd", self.mmd.is_some() || self.mmd_bandwidth.is_some(), &[MmdVae, InfoVae]),
            ("tc", self.tc.is_some(), &[TcVae]),
        ];
        match used.into_iter().find(|(_, given, by)| *given && !by.contains(&self.objective)) {
            Some((option, _, by)) => {
                let by: Vec<String> = by.iter().map(|objective| format!("--objective {objective}")).collect();
                Err(Error::usage(format!(
                    "--{option} has no effect on --objective {}; use it with {}, or leave it out",
                    self.objective,
                    by.join(" or ")
                )))
            }
            None => Ok(()),
        }
    }

    /// Another objective, with its own defaults.
    #[must_use]
    pub fn with_objective(self, objective: Objective) -> Self {
        Self {
            objective,
            beta: None,
            lambda: None,
            alpha: None,
            capacity: None,
            gamma: None,
            mmd: None,
            mmd_bandwidth: None,
            tc: None,
            ..self
        }
        .complete()
    }

    /// Refuses weights of `info-vae` that would reward what they should punish.
    pub(super) fn check_signs(&self) -> Result<()> {
        let Some(alpha) = self.alpha else { return Ok(()) };
        if alpha > 1.0 {
            return Err(Error::usage(format!(
                "--alpha {alpha} weights the KL with 1 - alpha < 0; it is at most 1"
            )));
        }
        match &self.lambda {
            Some(lambda) if lambda.least() < 1.0 - alpha => Err(Error::usage(format!(
                "--lambda {lambda} and --alpha {alpha} weight the MMD with alpha + lambda - 1 < 0; use a larger --lambda"
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses schedules that a run of `total` steps would cut short.
    pub fn check_schedules(&self, total: u64) -> Result<()> {
        let schedules = [
            ("beta", self.beta.as_ref()),
            ("lambda", self.lambda.as_ref()),
            ("capacity", self.capacity.as_ref()),
            ("gamma", self.gamma.as_ref()),
            ("learning-rate", Some(&self.learning_rate)),
        ];
        schedules
            .into_iter()
            .filter_map(|(option, schedule)| Some((option, schedule?)))
            .try_for_each(|(option, schedule)| schedule.check_fits(option, total))
    }

    /// The same for a run on `images` training images, whose epochs say how many steps it has.
    pub fn check_length(&self, images: usize) -> Result<()> {
        self.check_schedules(self.total_steps(images))
            .map_err(|error| Error::data(&self.data, error.to_string()))
    }

    /// Writes the defaults of what the objective looks at into the settings, so that they are complete.
    #[must_use]
    pub fn complete(mut self) -> Self {
        match self.objective {
            Objective::Vae => {}
            Objective::BetaVae => _ = self.beta.get_or_insert(Schedule::Constant(BETA)),
            Objective::TcVae => {
                self.beta.get_or_insert(Schedule::Constant(TC_BETA));
                self.tc.get_or_insert_default();
            }
            Objective::MmdVae | Objective::InfoVae => {
                self.lambda.get_or_insert(Schedule::Constant(LAMBDA_PER_LATENT * self.latent as f64));
                self.mmd.get_or_insert_default();
                self.mmd_bandwidth.get_or_insert((self.latent as f64 / 2.0).sqrt());
                if self.objective == Objective::InfoVae {
                    self.alpha.get_or_insert(0.0);
                }
            }
            Objective::Capacity => {
                self.capacity.get_or_insert(CAPACITY);
                self.gamma.get_or_insert(Schedule::Constant(GAMMA));
            }
        }
        self
    }

    /// The weights of the terms in step `step` of `total`; the settings must be complete.
    pub fn weights(&self, step: u64, total: u64) -> Weights {
        let at = |schedule: &Option<Schedule>| {
            schedule.as_ref().expect("the settings are complete").at(step, total)
        };
        let none = Weights { kl: 1.0, capacity: 0.0, term: 0.0 };
        match self.objective {
            Objective::Vae => none,
            Objective::BetaVae => Weights { kl: at(&self.beta), ..none },
            Objective::MmdVae => Weights { kl: 0.0, term: at(&self.lambda), ..none },
            Objective::InfoVae => {
                let alpha = self.alpha.expect("the settings are complete");
                Weights { kl: 1.0 - alpha, term: alpha + at(&self.lambda) - 1.0, ..none }
            }
            // MI + beta TC + dimension-wise KL = KL + (beta - 1) TC.
            Objective::TcVae => Weights { term: at(&self.beta) - 1.0, ..none },
            Objective::Capacity => Weights { kl: at(&self.gamma), capacity: at(&self.capacity), ..none },
        }
    }

    /// Which kernels the objective takes, for `train_images` images; the settings must be complete.
    pub fn objective(&self, train_images: usize) -> model::Objective {
        let kl = match self.objective {
            // The three terms add to the KL of the sampled z.
            Objective::TcVae => KlEstimate::Sampled,
            _ => self.kl.into(),
        };
        let term = match self.objective {
            Objective::MmdVae | Objective::InfoVae => {
                let sigma = self.mmd_bandwidth.expect("the settings are complete");
                let draws = (self.mmd == Some(MmdName::Draws)).then_some(self.batch);
                Term::PriorMmd { h: (2.0 * sigma * sigma) as f32, draws }
            }
            Objective::TcVae => Term::TotalCorrelation(match self.tc.unwrap_or_default() {
                TcName::Stratified => mixture::Weights::Stratified { images: train_images },
                TcName::Weighted => mixture::Weights::Weighted { images: train_images },
            }),
            Objective::Vae | Objective::BetaVae | Objective::Capacity => Term::None,
        };
        let capacity = self.objective == Objective::Capacity;
        model::Objective { kl, capacity, noise: !self.deterministic, term }
    }
}
