//! Power: how often a test rejects the samples of a standard problem.
//!
//! ```text
//! rate             r / R: r of R repetitions were rejected
//! standard error   sqrt(rate (1 - rate) / R), that of a binomial share; 0 where none or all were rejected
//! ```
//!
//! Where there is nothing to find, the rate is the test's level, and should be alpha.
//!
//! A repetition is a function of its seed, number and parameter alone. All parameters share their random numbers: where
//! the problem allows it, repetition 7 has the same X and the same permutations at each of them. That makes neighbouring
//! points of a curve err in the same direction, and their difference more exact than its two ends.

mod log;

pub use log::PowerLog;

use super::Sample;
use super::aggregate::{AggregateSettings, Combine, fit::ManyFits, independence::ManyPairs};
use super::fit::FitSettings;
use super::independence::IndependenceSettings;
use super::p_value::PValue;
use super::test::{KernelChoice, Test, Trial};
use super::two_sample::TwoSampleSettings;
use crate::data::table::Table;
use crate::engine::Device;
use crate::error::{Error, Result};
use crate::problem::{Digits, Problem, Question};
use rayon::prelude::*;
use serde::{Deserialize, Serialize, Serializer};
use std::time::Instant;

/// A kind of test that can be repeated.
#[derive(Debug)]
pub struct TestKind {
    /// Its name, as on the command line and in files.
    pub name: &'static str,
    /// A line for help texts.
    pub help: &'static str,
    /// The question that it answers.
    pub question: Question,
    /// Most families of kernels that it takes.
    most: usize,
    make: fn(&KernelChoice) -> Box<dyn Test>,
}

/// All of them.
pub static TESTS: [TestKind; 7] = [
    TestKind {
        name: "mmd",
        help: "Two samples, one kernel: MMD",
        question: Question::TwoSample,
        most: 1,
        make: |choice| Box::new(TwoSampleSettings::from(choice)),
    },
    TestKind {
        name: "agg",
        help: "Two samples, many kernels: their smallest p-value",
        question: Question::TwoSample,
        most: usize::MAX,
        make: |choice| Box::new(AggregateSettings::from(choice)),
    },
    TestKind {
        name: "fuse",
        help: "Two samples, many kernels: the soft maximum of their statistics",
        question: Question::TwoSample,
        most: usize::MAX,
        make: |choice| Box::new(AggregateSettings { combine: Combine::Fuse, ..choice.into() }),
    },
    TestKind {
        name: "hsic",
        help: "Independence: HSIC",
        question: Question::Independence,
        most: 2,
        make: |choice| Box::new(IndependenceSettings::from(choice)),
    },
    TestKind {
        name: "hsic-agg",
        help: "Independence, every bandwidth of X with every one of Y: their smallest p-value",
        question: Question::Independence,
        most: 2,
        make: |choice| Box::new(ManyPairs::from(choice)),
    },
    TestKind {
        name: "ksd",
        help: "Goodness of fit to the problem's model, mostly a standard normal distribution: KSD",
        question: Question::Fit,
        most: 1,
        make: |choice| Box::new(FitSettings::from(choice)),
    },
    TestKind {
        name: "ksd-agg",
        help: "Goodness of fit, many bandwidths: their smallest p-value",
        question: Question::Fit,
        most: 1,
        make: |choice| Box::new(ManyFits::from(choice)),
    },
];

impl TestKind {
    /// The kind of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TESTS.iter().find(|kind| kind.name == name)
    }

    /// A sensible test for a problem: many kernels where the median distance is far too wide a bandwidth.
    pub fn of(problem: Problem) -> &'static Self {
        let name = match (problem.questions().first(), problem) {
            (Some(Question::Independence), _) => "hsic",
            (Some(Question::Fit), _) => "ksd",
            (_, Problem::Blobs | Problem::Mixture) => "agg",
            _ => "mmd",
        };
        Self::named(name).unwrap_or(&TESTS[0])
    }

    /// A test for a problem, the given one or one that suits it, and the points of X and of Y; Y has as many if nothing is
    /// said.
    ///
    /// # Errors
    /// If they do not go together.
    pub fn for_problem(
        problem: Problem,
        test: Option<&'static Self>,
        n: usize,
        m: Option<usize>,
    ) -> Result<(&'static Self, [usize; 2])> {
        let kind = test.unwrap_or_else(|| Self::of(problem));
        if !problem.questions().contains(&kind.question) {
            let suits = |other: &&Self| problem.questions().contains(&other.question);
            let others: Vec<&str> = TESTS.iter().filter(suits).map(|other| other.name).collect();
            return Err(Error::usage(format!(
                "the test `{}` does not suit the problem `{}`; use --test {}",
                kind.name,
                problem.name(),
                others.join(" or ")
            )));
        }
        let m = m.unwrap_or(n);
        if kind.question != Question::TwoSample && m != n {
            return Err(Error::usage(format!(
                "the test `{}` has one sample of {n} points, not of {m} too; leave out --m",
                kind.name
            )));
        }
        Ok((kind, [n, m]))
    }

    /// A test of this kind, checked.
    ///
    /// # Errors
    /// If the options are not possible, or not for this test.
    pub fn test(&self, choice: &KernelChoice) -> Result<Box<dyn Test>> {
        if choice.kernels.len() > self.most {
            return Err(Error::usage(format!(
                "the test `{}` takes at most {} of --kernel, not {}; use agg or fuse for many",
                self.name,
                self.most,
                choice.kernels.len()
            )));
        }
        let test = (self.make)(choice);
        test.check()?;
        Ok(test)
    }
}

impl Serialize for TestKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

/// The p-value of X `(n, d_x)` and Y `(m, d_y)` of a problem, with a seed for all that the test itself draws.
///
/// # Errors
/// If the samples do not suit the test, or the device fails.
pub fn p_value(
    test: &dyn Test,
    device: &Device,
    problem: Problem,
    tables: &[Table; 2],
    seed: u64,
) -> Result<PValue> {
    let samples = tables.each_ref().map(|table| Sample::new(table.columns, &table.values));
    let model = problem.model(samples[1].d)?;
    test.p_value(device, &Trial { samples, model: &*model, seed })
}

/// A test of a problem, to be repeated.
#[derive(Debug)]
pub struct Experiment {
    /// The problem.
    pub problem: Problem,
    /// The test.
    pub test: Box<dyn Test>,
    /// Points of X and of Y.
    pub sizes: [usize; 2],
    /// Seed of samples and tests.
    pub seed: u64,
    /// Images, for the problems that are made of them.
    pub digits: Option<Digits>,
}

impl Experiment {
    /// The p-value of one repetition: a function of the experiment and the arguments, but for the device's rounding.
    ///
    /// # Errors
    /// If the problem has no such parameter, its samples do not suit the test, or the device fails.
    pub fn repeat(&self, device: &Device, parameter: f64, repetition: u32) -> Result<PValue> {
        let tables = self.problem.draw(parameter, self.sizes, self.seed, repetition, self.digits.as_ref())?;
        // Different for all repetitions of all seeds below 2^32.
        let seed = self.seed.rotate_left(32) ^ u64::from(repetition);
        p_value(&*self.test, device, self.problem, &tables, seed)
    }

    /// Some repetitions, by parameter and number, in their order; `progress` is called with the number of those that are
    /// done, and `each` with every outcome.
    ///
    /// # Errors
    /// If a repetition, `progress` or `each` fails.
    pub fn repeat_all(
        &self,
        device: &Device,
        repetitions: &[(f64, u32)],
        progress: &mut dyn FnMut(usize) -> Result<()>,
        each: &mut dyn FnMut(Repetition) -> Result<()>,
    ) -> Result<()> {
        // Small samples have too little work for all threads in one repetition; a GPU works on one at a time.
        let together = if matches!(device, Device::Cpu(_)) { rayon::current_num_threads() } else { 1 };
        let mut done = 0;
        for chunk in repetitions.chunks(together) {
            progress(done)?;
            let start = Instant::now();
            let ps = chunk
                .par_iter()
                .map(|&(parameter, repetition)| self.repeat(device, parameter, repetition))
                .collect::<Result<Vec<_>>>()?;
            let seconds = start.elapsed().as_secs_f64() / chunk.len() as f64;
            for (&(parameter, repetition), p) in chunk.iter().zip(ps) {
                each(Repetition { parameter, repetition, p_value: p.p_value, reject: p.reject, seconds })?;
            }
            done += chunk.len();
        }
        Ok(())
    }
}

/// The outcome of one repetition: a line of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Repetition {
    /// The problem's parameter.
    pub parameter: f64,
    /// Which repetition, from 0.
    pub repetition: u32,
    /// The test's.
    pub p_value: f64,
    /// Whether it rejected.
    pub reject: bool,
    /// What it took.
    pub seconds: f64,
}

/// A point of a power curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    /// The problem's parameter.
    pub parameter: f64,
    /// The share of repetitions that were rejected.
    pub rejection_rate: f64,
    /// Of the rate.
    pub standard_error: f64,
    /// Repetitions that were rejected.
    pub rejections: usize,
    /// All repetitions.
    pub repetitions: usize,
    /// Seconds for all of them.
    pub seconds: f64,
}

impl Rate {
    /// The points of some parameters, without a log.
    ///
    /// # Errors
    /// If a repetition fails.
    pub fn of(
        experiment: &Experiment,
        device: &Device,
        parameters: &[f64],
        repetitions: u32,
        progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Vec<Self>> {
        let all: Vec<(f64, u32)> =
            parameters.iter().flat_map(|&parameter| (0..repetitions).map(move |i| (parameter, i))).collect();
        let mut done = Vec::with_capacity(all.len());
        experiment.repeat_all(
            device,
            &all,
            &mut |count| progress(count as f64 / all.len() as f64),
            &mut |repetition| {
                done.push((repetition.reject, repetition.seconds));
                Ok(())
            },
        )?;
        let each = parameters.iter().zip(done.chunks(repetitions as usize));
        Ok(each.map(|(&parameter, done)| Self::new(parameter, done)).collect())
    }

    /// The point of a parameter, from the decision and the seconds of each repetition; there is at least one.
    pub fn new(parameter: f64, repetitions: &[(bool, f64)]) -> Self {
        let rejections = repetitions.iter().filter(|(reject, _)| *reject).count();
        let total = repetitions.len() as f64;
        let rejection_rate = rejections as f64 / total;
        Self {
            parameter,
            rejection_rate,
            standard_error: (rejection_rate * (1.0 - rejection_rate) / total).sqrt(),
            rejections,
            repetitions: repetitions.len(),
            seconds: repetitions.iter().map(|(_, seconds)| seconds).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Choice;
    use crate::kernel::pairs::Family;
    use crate::statistic::{Bandwidth, aggregate};
    use clap::ValueEnum;
    use std::f64::consts::FRAC_PI_4;

    fn choice() -> KernelChoice {
        KernelChoice { kernels: Vec::new(), bandwidth: None, permutations: 399, alpha: 0.05 }
    }

    fn named(name: &str) -> &'static TestKind {
        TestKind::named(name).unwrap()
    }

    fn experiment(problem: Problem, name: &str, seed: u64) -> Experiment {
        let test = named(name).test(&choice()).unwrap();
        Experiment { problem, test, sizes: [60; 2], seed, digits: None }
    }

    /// Each test on a problem with nothing to find and with much.
    const EACH: [(&str, Problem, [f64; 2]); 7] = [
        ("mmd", Problem::MeanShift, [0.0, 4.0]),
        ("agg", Problem::MeanShift, [0.0, 4.0]),
        ("fuse", Problem::MeanShift, [0.0, 4.0]),
        ("hsic", Problem::RotatedIca, [0.0, FRAC_PI_4]),
        ("hsic-agg", Problem::RotatedIca, [0.0, FRAC_PI_4]),
        ("ksd", Problem::MeanShift, [0.0, 4.0]),
        ("ksd-agg", Problem::MeanShift, [0.0, 4.0]),
    ];

    #[test]
    fn a_point_is_a_share_with_its_binomial_error() {
        let power = Rate::new(0.5, &[(true, 1.0), (false, 2.0), (true, 3.0), (true, 4.0)]);
        let expected = Rate {
            parameter: 0.5,
            rejection_rate: 0.75,
            // sqrt(0.75 * 0.25 / 4)
            standard_error: 0.046_875f64.sqrt(),
            rejections: 3,
            repetitions: 4,
            seconds: 10.0,
        };
        assert_eq!(power, expected);
    }

    /// Of 40 repetitions at level 0.05, 9 or more are rejected once in 5,000 times if the level is right. Against
    /// what is there, none of these tests misses half.
    #[test]
    fn rejections_are_rare_without_and_frequent_with_a_difference() {
        let device = Device::open(Choice::Cpu, None).unwrap();
        for (name, problem, parameters) in EACH {
            let experiment = experiment(problem, name, 3);
            let [level, power] = parameters.map(|parameter| {
                (0..40).filter(|&r| experiment.repeat(&device, parameter, r).unwrap().reject).count()
            });
            assert!(level < 9 && power > 20, "{name:?}: {level} and {power} of 40");
        }
    }

    #[test]
    fn a_repetition_is_a_function_of_seed_number_and_parameter() {
        let device = Device::open(Choice::Cpu, None).unwrap();
        for (name, problem, [parameter, _]) in EACH {
            let [first, second] = [3, 4].map(|seed| experiment(problem, name, seed));
            let ps = |experiment: &Experiment, from: u32| -> Vec<f64> {
                (from..from + 8).map(|r| experiment.repeat(&device, parameter, r).unwrap().p_value).collect()
            };
            let all = ps(&first, 0);
            assert_eq!(all[2..], ps(&first, 2)[..6], "{name:?}: whatever ran before");
            assert_ne!(all, ps(&first, 8), "{name:?}: repetitions differ");
            assert_ne!(all, ps(&second, 0), "{name:?}: seeds differ");
        }
    }

    #[test]
    fn each_problem_has_a_test_that_answers_its_question() {
        for &problem in Problem::value_variants() {
            assert!(problem.questions().contains(&TestKind::of(problem).question), "{problem:?}");
        }
        for kind in &TESTS {
            assert!(EACH.iter().any(|(name, ..)| *name == kind.name), "{} is not tried", kind.name);
            assert!(std::ptr::eq(named(kind.name), kind), "{} is the name of two", kind.name);
            assert_eq!(serde_json::to_string(kind).unwrap(), format!("\"{}\"", kind.name));
        }
    }

    #[test]
    fn options_reach_the_test() {
        let kernels = vec![Family::Laplace, Family::Delta];
        let two = Bandwidth::Values(vec![2.0]);
        let given = KernelChoice { kernels, bandwidth: Some(two.clone()), permutations: 39, alpha: 0.1 };
        let IndependenceSettings { families, bandwidths, common, .. } = (&given).into();
        assert_eq!(families, [Family::Laplace, Family::Delta]);
        assert_eq!(bandwidths, [two.clone(), Bandwidth::default()]);
        assert_eq!((common.permutations, common.alpha), (39, 0.1));
        let fuse = named("fuse").test(&given).unwrap();
        assert_eq!(fuse.families(), given.kernels);
        assert_eq!(fuse.words(), "Fuse, [Laplace, Delta], 39 permutations");
        let AggregateSettings { bandwidth, common, .. } = (&given).into();
        assert_eq!((common.permutations, bandwidth), (39, Some(two.clone())));
        let ManyPairs(settings) = (&KernelChoice { bandwidth: None, ..given.clone() }).into();
        let bandwidths = [Family::Laplace, Family::Delta].map(aggregate::independence::bandwidths);
        assert_eq!((settings.bandwidths, settings.common.permutations), (bandwidths, 39));
        let ManyFits(settings) = (&KernelChoice { kernels: vec![Family::Imq], ..given.clone() }).into();
        assert_eq!((settings.family, settings.bandwidth), (Family::Imq, two));
        let alone = |family| KernelChoice { kernels: vec![family], ..choice() };
        for (name, choice, words) in [
            ("mmd", given.clone(), "`mmd` takes at most 1 of --kernel, not 2"),
            ("ksd", alone(Family::Laplace), "smooth kernel"),
            ("ksd-agg", alone(Family::Laplace), "smooth kernel"),
            ("hsic-agg", KernelChoice { permutations: 9, ..choice() }, "9 permutations cannot reject"),
            ("agg", KernelChoice { permutations: 9, ..choice() }, "9 permutations cannot reject"),
            ("mmd", KernelChoice { permutations: 0, ..choice() }, "at least one permutation"),
            ("hsic", KernelChoice { alpha: 1.0, ..choice() }, "level of 1"),
        ] {
            let message = named(name).test(&choice).expect_err(words).to_string();
            assert!(message.contains(words), "`{message}` does not say `{words}`");
        }
    }
}
