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

use super::aggregate::{self, aggregate};
use super::fit::{self, Candidate, fit};
use super::independence::{self, independence};
use super::p_value::PValue;
use super::two_sample::{self, two_sample};
use super::{Bandwidth, Sample};
use crate::data::table::Table;
use crate::engine::Device;
use crate::error::{Error, Result};
use crate::kernel::pairs::Family;
use crate::problem::{Digits, Problem, Question};
use aggregate::Combine;
use serde::{Deserialize, Serialize};

/// Which test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TestName {
    /// Two samples, one kernel: MMD
    Mmd,
    /// Two samples, many kernels: their smallest p-value
    Agg,
    /// Two samples, many kernels: the soft maximum of their statistics
    Fuse,
    /// Independence: HSIC
    Hsic,
    /// Independence, every bandwidth of X with every one of Y: their smallest p-value
    HsicAgg,
    /// Goodness of fit to the problem's model, mostly a standard normal distribution: KSD
    Ksd,
    /// Goodness of fit, many bandwidths: their smallest p-value
    KsdAgg,
}

impl TestName {
    /// Its name, as on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mmd => "mmd",
            Self::Agg => "agg",
            Self::Fuse => "fuse",
            Self::Hsic => "hsic",
            Self::HsicAgg => "hsic-agg",
            Self::Ksd => "ksd",
            Self::KsdAgg => "ksd-agg",
        }
    }

    /// What it answers.
    pub fn question(self) -> Question {
        match self {
            Self::Mmd | Self::Agg | Self::Fuse => Question::TwoSample,
            Self::Hsic | Self::HsicAgg => Question::Independence,
            Self::Ksd | Self::KsdAgg => Question::Fit,
        }
    }

    /// A sensible test for a problem: many kernels where the median distance is far too wide a bandwidth.
    pub fn of(problem: Problem) -> Self {
        match (problem.questions().first(), problem) {
            (Some(Question::Independence), _) => Self::Hsic,
            (Some(Question::Fit), _) => Self::Ksd,
            (_, Problem::Blobs | Problem::Mixture) => Self::Agg,
            _ => Self::Mmd,
        }
    }
}

/// What all tests are told.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Families of kernels: one for `mmd`, `ksd` and `ksd-agg`, for `hsic` and `hsic-agg` one or that of X and that of Y,
    /// any number for `agg` and `fuse`. The test's own if there are none.
    pub kernels: Vec<Family>,
    /// The test's own if there is none.
    pub bandwidth: Option<Bandwidth>,
    /// Draws under the null.
    pub permutations: usize,
    /// Level.
    pub alpha: f64,
}

/// A test with its settings, of which each repetition replaces the seed.
#[derive(Clone, Debug)]
pub enum Test {
    /// Two samples, one kernel.
    TwoSample(two_sample::Settings),
    /// Two samples, many kernels.
    Aggregate(aggregate::Settings),
    /// Row i of X belongs to row i of Y.
    Independence(independence::Settings),
    /// The same with many kernels.
    AggregateIndependence(independence::Settings),
    /// Y against the problem's model.
    Fit(fit::Settings),
    /// The same with many kernels.
    AggregateFit(fit::Settings),
}

impl Test {
    /// The test of a name, checked.
    ///
    /// # Errors
    /// If the options are not possible, or not for this test.
    pub fn new(name: TestName, options: &Options) -> Result<Self> {
        let Options { permutations, alpha, .. } = *options;
        let kernels = &options.kernels;
        let most = match name {
            TestName::Agg | TestName::Fuse => usize::MAX,
            TestName::Hsic | TestName::HsicAgg => 2,
            TestName::Mmd | TestName::Ksd | TestName::KsdAgg => 1,
        };
        if kernels.len() > most {
            return Err(Error::usage(format!(
                "the test `{}` takes at most {most} of --kernel, not {}; use agg or fuse for many",
                name.name(),
                kernels.len()
            )));
        }
        let family = kernels.first().copied().unwrap_or_default();
        // What has no bandwidth leaves it to the other kernel.
        let bandwidth = |family: Family| {
            options.bandwidth.clone().filter(|_| !family.without_bandwidth()).unwrap_or_default()
        };
        let test = match name {
            TestName::Mmd => Self::TwoSample(two_sample::Settings {
                family,
                bandwidth: options.bandwidth.clone().unwrap_or_default(),
                permutations,
                alpha,
                ..two_sample::Settings::default()
            }),
            TestName::Agg | TestName::Fuse => {
                let defaults = aggregate::Settings::default();
                Self::Aggregate(aggregate::Settings {
                    families: if kernels.is_empty() { defaults.families } else { kernels.clone() },
                    bandwidth: options.bandwidth.clone(),
                    combine: if name == TestName::Agg { Combine::Agg } else { Combine::Fuse },
                    permutations,
                    alpha,
                    ..defaults
                })
            }
            TestName::Hsic | TestName::HsicAgg => {
                let families = [family, kernels.get(1).copied().unwrap_or(family)];
                let many = name == TestName::HsicAgg && options.bandwidth.is_none();
                let bandwidths = families
                    .map(|f| if many { aggregate::independence::bandwidths(f) } else { bandwidth(f) });
                let settings = independence::Settings {
                    families,
                    bandwidths,
                    permutations,
                    alpha,
                    ..Default::default()
                };
                match name {
                    TestName::Hsic => Self::Independence(settings),
                    _ => Self::AggregateIndependence(settings),
                }
            }
            TestName::Ksd => {
                let bandwidth = options.bandwidth.clone().unwrap_or_default();
                Self::Fit(fit::Settings { family, bandwidth, permutations, alpha, ..Default::default() })
            }
            TestName::KsdAgg => {
                let bandwidth = options.bandwidth.clone().unwrap_or_else(aggregate::fit::bandwidths);
                Self::AggregateFit(fit::Settings {
                    family,
                    bandwidth,
                    permutations,
                    alpha,
                    ..Default::default()
                })
            }
        };
        test.check()?;
        Ok(test)
    }

    /// Whether the settings alone are possible.
    ///
    /// # Errors
    /// If they are not.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::TwoSample(settings) => settings.check(),
            Self::Aggregate(settings) => settings.check(),
            Self::Independence(settings) => settings.check(),
            Self::AggregateIndependence(settings) => aggregate::independence::check_settings(settings),
            Self::Fit(settings) => settings.check(),
            Self::AggregateFit(settings) => aggregate::fit::check_settings(settings),
        }
    }

    /// The families of its kernels.
    pub fn kernels(&self) -> &[Family] {
        match self {
            Self::TwoSample(settings) => std::slice::from_ref(&settings.family),
            Self::Aggregate(settings) => &settings.families,
            Self::Independence(settings) | Self::AggregateIndependence(settings) => &settings.families,
            Self::Fit(settings) | Self::AggregateFit(settings) => std::slice::from_ref(&settings.family),
        }
    }

    /// The p-value of X `(n, d_x)` and Y `(m, d_y)` of a problem, with a seed for all that the test itself draws.
    ///
    /// # Errors
    /// If the samples do not suit the test, or the device fails.
    pub fn run(&self, device: &Device, problem: Problem, tables: &[Table; 2], seed: u64) -> Result<PValue> {
        let samples = tables.each_ref().map(|table| Sample::new(table.columns, &table.values));
        let [_, y] = samples;
        let model = problem.model(y.d)?;
        let candidate = Candidate { name: "the problem's model", density: &*model, refit: None };
        let progress = &mut |_| {};
        Ok(match self {
            Self::TwoSample(settings) => {
                two_sample(device, samples, &two_sample::Settings { seed, ..settings.clone() }, progress)?.p
            }
            Self::Aggregate(settings) => {
                aggregate(device, samples, &aggregate::Settings { seed, ..settings.clone() }, progress)?.p
            }
            Self::Independence(settings) => {
                independence(device, samples, &independence::Settings { seed, ..settings.clone() }, progress)?
                    .p
            }
            Self::AggregateIndependence(settings) => {
                let settings = independence::Settings { seed, ..settings.clone() };
                aggregate::independence::aggregate(device, samples, &settings, progress)?.p
            }
            Self::Fit(settings) => {
                fit(device, y, candidate, &fit::Settings { seed, ..settings.clone() }, progress)?.p
            }
            Self::AggregateFit(settings) => {
                let settings = fit::Settings { seed, ..settings.clone() };
                aggregate::fit::aggregate(device, y, candidate, &settings, progress)?.p
            }
        })
    }
}

/// A test of a problem, to be repeated.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The problem.
    pub problem: Problem,
    /// The test.
    pub test: Test,
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
        self.test.run(device, self.problem, &tables, seed)
    }
}

/// A point of a power curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Power {
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

impl Power {
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
    use clap::ValueEnum;
    use std::f64::consts::FRAC_PI_4;

    fn options() -> Options {
        Options { kernels: Vec::new(), bandwidth: None, permutations: 399, alpha: 0.05 }
    }

    fn experiment(problem: Problem, name: TestName) -> Experiment {
        let test = Test::new(name, &options()).unwrap();
        Experiment { problem, test, sizes: [60; 2], seed: 3, digits: None }
    }

    /// Each test on a problem with nothing to find and with much.
    const EACH: [(TestName, Problem, [f64; 2]); 7] = [
        (TestName::Mmd, Problem::MeanShift, [0.0, 4.0]),
        (TestName::Agg, Problem::MeanShift, [0.0, 4.0]),
        (TestName::Fuse, Problem::MeanShift, [0.0, 4.0]),
        (TestName::Hsic, Problem::RotatedIca, [0.0, FRAC_PI_4]),
        (TestName::HsicAgg, Problem::RotatedIca, [0.0, FRAC_PI_4]),
        (TestName::Ksd, Problem::MeanShift, [0.0, 4.0]),
        (TestName::KsdAgg, Problem::MeanShift, [0.0, 4.0]),
    ];

    #[test]
    fn a_point_is_a_share_with_its_binomial_error() {
        let power = Power::new(0.5, &[(true, 1.0), (false, 2.0), (true, 3.0), (true, 4.0)]);
        let expected = Power {
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
            let experiment = experiment(problem, name);
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
            let experiment = experiment(problem, name);
            let ps = |experiment: &Experiment, from: u32| -> Vec<f64> {
                (from..from + 8).map(|r| experiment.repeat(&device, parameter, r).unwrap().p_value).collect()
            };
            let (all, other) = (ps(&experiment, 0), Experiment { seed: 4, ..experiment.clone() });
            assert_eq!(all[2..], ps(&experiment, 2)[..6], "{name:?}: whatever ran before");
            assert_ne!(all, ps(&experiment, 8), "{name:?}: repetitions differ");
            assert_ne!(all, ps(&other, 0), "{name:?}: seeds differ");
        }
    }

    #[test]
    fn each_problem_has_a_test_that_answers_its_question() {
        for &problem in Problem::value_variants() {
            let name = TestName::of(problem);
            assert!(problem.questions().contains(&name.question()), "{problem:?}");
        }
        for &name in TestName::value_variants() {
            let on_the_command_line = name.to_possible_value().map(|value| value.get_name().to_owned());
            assert_eq!(on_the_command_line.as_deref(), Some(name.name()));
            assert_eq!(serde_json::to_string(&name).unwrap(), format!("\"{}\"", name.name()));
        }
    }

    #[test]
    fn options_reach_the_test() {
        let kernels = vec![Family::Laplace, Family::Delta];
        let bandwidth = Bandwidth::Values(vec![2.0]);
        let given = Options { kernels, bandwidth: Some(bandwidth.clone()), permutations: 39, alpha: 0.1 };
        match Test::new(TestName::Hsic, &given).unwrap() {
            Test::Independence(settings) => {
                assert_eq!(settings.families, [Family::Laplace, Family::Delta]);
                assert_eq!(settings.bandwidths, [bandwidth.clone(), Bandwidth::default()]);
                assert_eq!((settings.permutations, settings.alpha), (39, 0.1));
            }
            other => panic!("{other:?}"),
        }
        match Test::new(TestName::Fuse, &given).unwrap() {
            Test::Aggregate(settings) => {
                assert_eq!((settings.combine, settings.families), (Combine::Fuse, given.kernels.clone()));
                assert_eq!((settings.permutations, settings.bandwidth), (39, Some(bandwidth)));
            }
            other => panic!("{other:?}"),
        }
        match Test::new(TestName::HsicAgg, &Options { bandwidth: None, ..given.clone() }).unwrap() {
            Test::AggregateIndependence(settings) => {
                let bandwidths = [Family::Laplace, Family::Delta].map(aggregate::independence::bandwidths);
                assert_eq!((settings.bandwidths, settings.permutations), (bandwidths, 39));
            }
            other => panic!("{other:?}"),
        }
        match Test::new(TestName::KsdAgg, &Options { kernels: vec![Family::Imq], ..given.clone() }).unwrap() {
            Test::AggregateFit(settings) => {
                assert_eq!(
                    (settings.family, settings.bandwidth),
                    (Family::Imq, Bandwidth::Values(vec![2.0]))
                );
            }
            other => panic!("{other:?}"),
        }
        let alone = |family| Options { kernels: vec![family], ..options() };
        for (name, options, words) in [
            (TestName::Mmd, given.clone(), "`mmd` takes at most 1 of --kernel, not 2"),
            (TestName::Ksd, alone(Family::Laplace), "smooth kernel"),
            (TestName::KsdAgg, alone(Family::Laplace), "smooth kernel"),
            (TestName::HsicAgg, Options { permutations: 9, ..options() }, "9 permutations cannot reject"),
            (TestName::Agg, Options { permutations: 9, ..options() }, "9 permutations cannot reject"),
            (TestName::Mmd, Options { permutations: 0, ..options() }, "at least one permutation"),
            (TestName::Hsic, Options { alpha: 1.0, ..options() }, "level of 1"),
        ] {
            let message = Test::new(name, &options).expect_err(words).to_string();
            assert!(message.contains(words), "`{message}` does not say `{words}`");
        }
    }
}
