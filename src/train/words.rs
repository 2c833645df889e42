//! Where each word of a training step's block comes from: a closed list of formulas, so that the same step can be taken by
//! any host. [`StepWords::at`] evaluates it here, `stepWords` of `web/engine.js` there.
//!
//! ```text
//! number   t, from 0             slot         row of the rings that the step writes, from 0
//! epoch    floor(t / per_epoch)  first        (t mod per_epoch) batch
//! correction  1 / (1 - beta^(t + 1))
//! scheduled   summand + factor schedule(t)
//! ```
//!
//! Numbers are f64. An f32 is the nearest one, a u32 the whole number modulo 2^32.

use super::config::Config;
use super::objective::{Objective, WeightFormulas};
use super::schedule::{Ramp, Schedule};
use crate::kernel::backward_weights::Adam;
use crate::program::{STEP_FIELDS, Step};
use crate::random::key;
use serde::Serialize;

/// A number of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "formula", rename_all = "kebab-case")]
pub enum Formula {
    /// Always the same.
    Constant {
        /// The number.
        value: f64,
    },
    /// The step's number.
    Number,
    /// The row of the rings.
    Slot,
    /// How often the data were gone through.
    Epoch {
        /// Steps of an epoch.
        per_epoch: u64,
    },
    /// Images of the epoch before the step's.
    First {
        /// Steps of an epoch.
        per_epoch: u64,
        /// Images of a step.
        batch: u64,
    },
    /// Adam's correction of a moment.
    Correction {
        /// What is left of the moment after a step.
        beta: f64,
    },
    /// A schedule.
    Scheduled {
        /// Added.
        summand: f64,
        /// Multiplied with the schedule.
        factor: f64,
        /// By step.
        #[serde(serialize_with = "Schedule::structured")]
        schedule: Schedule,
    },
}

impl Formula {
    /// A number that never changes.
    pub fn constant(value: f64) -> Self {
        Self::Constant { value }
    }

    /// A schedule, less a number.
    pub fn scheduled(schedule: &Schedule, less: f64) -> Self {
        Self::Scheduled { summand: -less, factor: 1.0, schedule: schedule.clone() }
    }

    /// The number in step `t` of `total`, which takes row `slot`.
    pub fn at(&self, t: u64, slot: usize, total: u64) -> f64 {
        match self {
            Self::Constant { value } => *value,
            Self::Number => t as f64,
            Self::Slot => slot as f64,
            Self::Epoch { per_epoch } => (t / per_epoch) as f64,
            Self::First { per_epoch, batch } => (t % per_epoch * batch) as f64,
            Self::Correction { beta } => 1.0 / (1.0 - beta.powf((t + 1) as f64)),
            Self::Scheduled { summand, factor, schedule } => summand + factor * schedule.at(t, total),
        }
    }
}

/// The words of a training step's block, in order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepWords {
    /// Steps of the run, which some schedules stretch over.
    total: u64,
    words: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Word {
    name: &'static str,
    #[serde(rename = "type")]
    kind: WordType,
    #[serde(flatten)]
    formula: Formula,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum WordType {
    U32,
    F32,
}

impl StepWords {
    /// Those of a run.
    pub fn new(config: &Config, objective: &Objective, adam: &Adam, per_epoch: u64, total: u64) -> Self {
        let WeightFormulas { kl, capacity, term } = objective.weight_formulas();
        let correction = |beta: f32| Formula::Correction { beta: f64::from(beta) };
        let [low, high] = key(config.seed).map(|word| Formula::constant(f64::from(word)));
        let learning_rate = Formula::scheduled(&config.learning_rate, 0.0);
        let of_field = |name: &str| match name {
            "seed" => vec![low.clone(), high.clone()],
            "number" => vec![Formula::Number],
            "slot" => vec![Formula::Slot],
            "epoch" => vec![Formula::Epoch { per_epoch }],
            "first" => vec![Formula::First { per_epoch, batch: config.batch as u64 }],
            "learning_rate" => vec![learning_rate.clone()],
            "correction1" => vec![correction(adam.beta1)],
            "correction2" => vec![correction(adam.beta2)],
            "kl_weight" => vec![kl.clone()],
            "capacity" => vec![capacity.clone()],
            "extra_weight" => vec![term.clone()],
            // Those of passes over pairs. A field that is not in the list is a mistake that the test sees.
            "rows_at" | "columns_at" => vec![Formula::constant(0.0)],
            _ => Vec::new(),
        };
        let word = |&(name, _, kind): &(&'static str, usize, &str)| {
            let kind = if kind == "f32" { WordType::F32 } else { WordType::U32 };
            of_field(name).into_iter().map(move |formula| Word { name, kind, formula })
        };
        Self { total, words: STEP_FIELDS.iter().flat_map(word).collect() }
    }

    /// The block of step `t` in row `slot`.
    pub fn at(&self, t: u64, slot: usize) -> Step {
        let mut step = Step::default();
        let block: &mut [u32] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut step));
        for (to, Word { kind, formula, .. }) in block.iter_mut().zip(&self.words) {
            let number = formula.at(t, slot, self.total);
            *to = match kind {
                WordType::U32 => number as u64 as u32,
                WordType::F32 => (number as f32).to_bits(),
            };
        }
        step
    }
}

impl Schedule {
    /// As JSON for other hosts: `{"shape": "linear", "from": 0, "to": 25, "steps": 4000}`.
    fn structured<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(tag = "shape", rename_all = "kebab-case")]
        enum ScheduleShape<'a> {
            Constant { value: f64 },
            Linear { from: f64, to: f64, steps: Option<u64> },
            Cosine { from: f64, to: f64, steps: Option<u64> },
            Cyclic { from: f64, to: f64, period: u64 },
            Piecewise { points: &'a [(u64, f64)] },
            Steps { points: &'a [(u64, f64)] },
        }
        match self {
            Self::Constant(value) => ScheduleShape::Constant { value: *value },
            &Self::Linear(Ramp { from, to, steps }) => ScheduleShape::Linear { from, to, steps },
            &Self::Cosine(Ramp { from, to, steps }) => ScheduleShape::Cosine { from, to, steps },
            &Self::Cyclic { from, to, period } => ScheduleShape::Cyclic { from, to, period },
            Self::Piecewise(points) => ScheduleShape::Piecewise { points },
            Self::Steps(points) => ScheduleShape::Steps { points },
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::objective::{MmdEstimate, MmdOptions};

    /// Every field of the block is one or two words of the list, and both come to its length.
    #[test]
    fn words_are_the_fields_of_the_block() {
        let config = Config { batch: 100, seed: 7, ..Config::default() };
        let words = StepWords::new(&config, &config.objective(), &Adam::default(), 60, 6000);
        assert_eq!(4 * words.words.len(), size_of::<Step>());
        let step = words.at(125, 3);
        assert_eq!((step.seed, step.number, step.slot), (key(7), 125, 3));
        assert_eq!((step.epoch, step.first), (2, 500));
        assert_eq!((step.kl_weight, step.capacity, step.learning_rate), (1.0, 0.0, 1e-3));
        assert!((f64::from(step.correction1) - 1.0 / (1.0 - f64::from(0.9f32).powi(126))).abs() < 1e-6);
        assert_eq!((step.rows_at, step.columns_at), (0, 0));
        let capacity = Schedule::Linear(Ramp { from: 0.0, to: 25.0, steps: Some(100) });
        let held = Objective::Capacity { capacity, gamma: Schedule::Constant(1000.0) };
        let step = StepWords::new(&config, &held, &Adam::default(), 60, 6000).at(20, 0);
        assert_eq!((step.kl_weight, step.capacity, step.extra_weight), (1000.0, 5.0, 0.0));
        let lambda = Schedule::Steps(vec![(0, 20.0), (10, 4.0)]);
        let mmd = MmdOptions { estimate: MmdEstimate::Draws, bandwidth: 1.0 };
        let info = Objective::InfoVae { alpha: 0.25, lambda, mmd };
        let step = StepWords::new(&config, &info, &Adam::default(), 60, 6000).at(10, 0);
        assert_eq!((step.kl_weight, step.extra_weight), (0.75, 3.25));
    }
}
