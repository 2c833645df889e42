//! Standard test problems: pairs of samples whose difference, or dependence, is a number one can choose. The share of
//! many repetitions that a test rejects is its power; where there is nothing to find, its level.
//!
//! ```text
//! two-sample         X ~ P and Y ~ Q, independent of each other; the parameter says how far Q is from P
//! goodness of fit    the model is P, and Y the sample
//! independence       row i of X belongs to row i of Y; the parameter says how strongly
//! ```
//!
//! X and Y have random streams of their own. With one stream for both, a sampler by rejection and a plain one show
//! equal points in X and Y, and a test that sees them falls below its level: the published rates for perturbed
//! uniform densities of Schrab et al. 2023 are an example.

mod digits;
mod perturbed;
mod rbm;

pub use digits::Digits;

use crate::data::table::Table;
use crate::density::{Density, Gaussian};
use crate::error::{Error, Kind, Result};
use crate::random::{Sequence, Stream};
use clap::ValueEnum;
use perturbed::Perturbed;
use serde::{Deserialize, Serialize};
use std::f64::consts::{E, FRAC_PI_4};

/// The question of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Do X and Y come from one distribution?
    TwoSample,
    /// Are X and Y independent?
    Independence,
    /// Does Y come from the distribution that X is drawn from, N(0, I) or another with a score?
    Fit,
}

/// A standard test problem, with its one parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// Uniform on 0..1 against two bumps and dips, by their amplitude
    ///
    /// Y has density 1 + amplitude e sum over j = 1, 2 of `theta_j` G(2 y - j), with random signs theta; see
    /// [`Self::Perturbations`] for G. The amplitude goes from 0 to 1, where the density touches 0. Biggs, Schrab,
    /// Gretton, "MMD-FUSE", NeurIPS 2023.
    PerturbedUniform,
    /// The same on the unit square, with 2 x 2 bumps
    ///
    /// Density 1 + amplitude e^2 sum over j in {1, 2}^2 of `theta_j` G(2 `y_1` - `j_1`) G(2 `y_2` - `j_2`).
    #[value(name = "perturbed-uniform-2d")]
    #[serde(rename = "perturbed-uniform-2d")]
    PerturbedUniform2d,
    /// Uniform on 0..1 against bumps of the steepest kind, by their number
    ///
    /// Y has density 1 + 2.7 / p sum over j = 1..=p of `theta_j` G(p y - j). G(u) = g(4 u + 3) for u in (-1, -1/2) and
    /// -g(4 u + 1) for u in (-1/2, 0), with g(t) = exp(-1 / (1 - t^2)) on (-1, 1): a bump and a dip, of integral 0.
    /// The more bumps, the harder to see. Schrab, Kim, Albert, Laurent, Guedj, Gretton, "MMD aggregated two-sample
    /// test", JMLR 2023, equation 17.
    Perturbations,
    /// The same on the unit square, with p x p bumps
    ///
    /// Density 1 + 7.3 / p sum over j of `theta_j` G(p `y_1` - `j_1`) G(p `y_2` - `j_2`).
    #[value(name = "perturbations-2d")]
    #[serde(rename = "perturbations-2d")]
    Perturbations2d,
    /// Grids of 5 x 5 round blobs against elongated ones, by the ratio of their axes
    ///
    /// Blobs lie 10 apart. Those of X are N(0, I); those of Y have unit variances and correlation (r - 1) / (r + 1), so
    /// that their covariance has eigenvalues of ratio r, from 1. Gretton, Sriperumbudur, Sejdinovic, Strathmann,
    /// Balakrishnan, Pontil, Fukumizu, "Optimal kernel choice for large-scale two-sample tests", NIPS 2012.
    Blobs,
    /// Four Gaussians far apart in a plane, one of another width, by its standard deviation
    ///
    /// N((+-20, +-20), I) with equal weights; in Y the one at (20, 20) is N((20, 20), sigma^2 I). The median distance
    /// is far too wide a bandwidth here. Biggs et al. 2023.
    Mixture,
    /// Gaussians in 100 dimensions, one with another mean in one of them
    ///
    /// X ~ N(0, I), Y ~ N((delta, 0, .., 0), I). Gretton, Borgwardt, Rasch, Schölkopf, Smola, "A kernel two-sample
    /// test", JMLR 2012, section 8.1; dimensions of Jitkrittum, Szabó, Chwialkowski, Gretton, "Interpretable
    /// distribution features with maximum testing power", NIPS 2016.
    MeanShift,
    /// Gaussians in 50 dimensions, one with another variance in one of them
    ///
    /// X ~ N(0, I), Y ~ N(0, diag(v, 1, .., 1)). Gretton et al. 2012 and Jitkrittum et al. 2016, as above.
    VarianceShift,
    /// Gaussian against Laplace of the same variance, by the dimension
    ///
    /// X ~ N(0, I); the coordinates of Y are independent, of density exp(-sqrt(2) |y|) / sqrt(2) and variance 1. After
    /// Jitkrittum, Xu, Szabó, Fukumizu, Gretton, "A linear-time kernel goodness-of-fit test", NIPS 2017.
    Laplace,
    /// A restricted Boltzmann machine against one with disturbed weights, by the size of the disturbance
    ///
    /// 50 Gaussian visible units, 40 hidden ones; density exp(x'B u / 2 + b'x + c'u - |x|^2 / 2) / Z, where for Y
    /// sigma N with a fixed N of N(0, 1) is added to the random signs B. Schrab, Guedj, Gretton, "KSD aggregated
    /// goodness-of-fit test", NeurIPS 2022, after Liu, Lee, Jordan, ICML 2016.
    Rbm,
    /// Images of all digits against images of some, by the number of the subset
    ///
    /// X: images of all ten digits in 7 x 7, see [`Digits`]; Y: of subset 1 to 6, which are the odd digits and then
    /// 0, 2, 4, 6 and 8 in addition, one after another: Q1 to Q5, and 6 is all of them. Drawn with replacement.
    /// Schrab et al. 2023.
    DigitSubsets,
    /// Two independent sources, rotated, by the angle
    ///
    /// A uniform and a Laplace source u and v of variance 1; x = c u - s v and y = s u + c v with c and s the cosine
    /// and sine of an angle from 0 to pi / 4. They are uncorrelated at any angle. After Gretton, Fukumizu, Teo, Song,
    /// Schölkopf, Smola, "A kernel statistical test of independence", NIPS 2007.
    RotatedIca,
    /// x and y from a perturbed uniform density on the unit square, by its amplitude
    ///
    /// The density of [`Self::PerturbedUniform2d`], whose marginals are uniform. After Schrab, Kim, Guedj, Gretton,
    /// "Efficient aggregated kernel tests using incomplete U-statistics", NeurIPS 2022.
    PerturbedPair,
    /// Images of digits and their labels, by the share of labels that are drawn anew
    ///
    /// X: images in 7 x 7, or as they are, see [`Digits`]; Y: the label as a number, with that probability replaced by a random one of
    /// 0..10. At 1 image and label are independent. Schrab et al. 2022.
    LabelNoise,
}

/// Bumps along each axis of the problems whose parameter is the amplitude.
const BUMPS: usize = 2;

/// The heights of [`Problem::Perturbations`] for one bump, in one and two dimensions: a little below e^d, where the
/// density would touch 0.
const HEIGHTS: [f64; 2] = [2.7, 7.3];

/// Blobs along each axis.
const BLOBS: u32 = 5;

/// The distance of neighbouring blobs.
const SPACING: f64 = 10.0;

/// How far from 0 each coordinate of the centres of [`Problem::Mixture`] is.
const FAR: f64 = 20.0;

/// d of [`Problem::MeanShift`].
const MEAN_DIMENSIONS: usize = 100;

/// d of [`Problem::VarianceShift`].
const VARIANCE_DIMENSIONS: usize = 50;

/// The digits of the first subset, and then those that each further one has in addition.
const SUBSETS: [&[usize]; 6] = [&[1, 3, 5, 7, 9], &[0], &[2], &[4], &[6], &[8]];

/// Kinds of digits.
const CLASSES: usize = 10;

/// Values of a parameter, and those that are possible in words.
#[derive(Clone, Copy)]
struct ParameterRange {
    possible: fn(f64) -> bool,
    words: &'static str,
}

const SHARE: ParameterRange =
    ParameterRange { possible: |t| (0.0..=1.0).contains(&t), words: "a number from 0 to 1" };
const COUNT: ParameterRange = ParameterRange { possible: count, words: "a whole number from 1 to 1000" };
const POSITIVE: ParameterRange =
    ParameterRange { possible: |t| t > 0.0 && t.is_finite(), words: "a number above 0" };

fn count(t: f64) -> bool {
    t >= 1.0 && t.fract() == 0.0 && t <= 1000.0
}

/// One repetition, to be drawn.
struct SampleDraw<'a> {
    parameter: f64,
    /// Points of X and of Y.
    sizes: [usize; 2],
    of_x: Sequence,
    of_y: Sequence,
    digits: Option<&'a Digits>,
}

/// A problem's questions, its parameter, and how it is drawn.
struct Facts {
    problem: Problem,
    questions: &'static [Question],
    parameter: &'static str,
    /// Values of the parameter for a power curve.
    defaults: &'static [f64],
    /// The parameter at which there is nothing to find.
    null: Option<f64>,
    range: ParameterRange,
    draw: fn(&mut SampleDraw<'_>) -> Result<[Table; 2]>,
}

const TWO_SAMPLE: &[Question] = &[Question::TwoSample];
const FIT: &[Question] = &[Question::TwoSample, Question::Fit];
const INDEPENDENCE: &[Question] = &[Question::Independence];

/// All problems, in the order of [`Problem`].
static FACTS: [Facts; 14] = [
    Facts {
        problem: Problem::PerturbedUniform,
        questions: TWO_SAMPLE,
        parameter: "amplitude",
        defaults: &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5],
        null: Some(0.0),
        range: SHARE,
        draw: |draw| Ok(perturbed::<1>(BUMPS, draw.parameter * E, draw)),
    },
    Facts {
        problem: Problem::PerturbedUniform2d,
        questions: TWO_SAMPLE,
        parameter: "amplitude",
        defaults: &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
        null: Some(0.0),
        range: SHARE,
        draw: |draw| Ok(perturbed::<2>(BUMPS, draw.parameter * E * E, draw)),
    },
    Facts {
        problem: Problem::Perturbations,
        questions: TWO_SAMPLE,
        parameter: "perturbations",
        defaults: &[1.0, 2.0, 3.0, 4.0],
        null: None,
        range: COUNT,
        draw: |draw| Ok(perturbed::<1>(draw.parameter as usize, HEIGHTS[0] / draw.parameter, draw)),
    },
    Facts {
        problem: Problem::Perturbations2d,
        questions: TWO_SAMPLE,
        parameter: "perturbations",
        defaults: &[1.0, 2.0, 3.0],
        null: None,
        range: COUNT,
        draw: |draw| Ok(perturbed::<2>(draw.parameter as usize, HEIGHTS[1] / draw.parameter, draw)),
    },
    Facts {
        problem: Problem::Blobs,
        questions: TWO_SAMPLE,
        parameter: "ratio",
        defaults: &[1.0, 2.0, 4.0, 6.0, 8.0, 10.0],
        null: Some(1.0),
        range: ParameterRange { possible: |r| r >= 1.0 && r.is_finite(), words: "a number from 1" },
        draw: |draw| {
            let correlation = (draw.parameter - 1.0) / (draw.parameter + 1.0);
            Ok(draw.points(|of_x| blob(of_x, 0.0), |of_y| blob(of_y, correlation)))
        },
    },
    Facts {
        problem: Problem::Mixture,
        questions: TWO_SAMPLE,
        parameter: "sigma",
        defaults: &[0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0],
        null: Some(1.0),
        range: POSITIVE,
        draw: |draw| {
            let sigma = draw.parameter;
            Ok(draw.points(|of_x| far_apart(of_x, 1.0), |of_y| far_apart(of_y, sigma)))
        },
    },
    Facts {
        problem: Problem::MeanShift,
        questions: FIT,
        parameter: "delta",
        defaults: &[0.0, 0.25, 0.5, 0.75, 1.0],
        null: Some(0.0),
        range: ParameterRange { possible: f64::is_finite, words: "a number" },
        draw: |draw| {
            let delta = draw.parameter;
            Ok(shifted(draw, MEAN_DIMENSIONS, |z| z + delta))
        },
    },
    Facts {
        problem: Problem::VarianceShift,
        questions: FIT,
        parameter: "variance",
        defaults: &[1.0, 1.5, 2.0, 3.0, 4.0],
        null: Some(1.0),
        range: POSITIVE,
        draw: |draw| {
            let variance = draw.parameter;
            Ok(shifted(draw, VARIANCE_DIMENSIONS, |z| variance.sqrt() * z))
        },
    },
    Facts {
        problem: Problem::Laplace,
        questions: FIT,
        parameter: "d",
        defaults: &[1.0, 2.0, 5.0, 10.0, 20.0],
        null: None,
        range: COUNT,
        draw: |draw| {
            let (d, [n, m]) = (draw.parameter as usize, draw.sizes);
            let x = (0..n * d).map(|_| draw.of_x.normal_f64()).collect();
            let y = (0..m * d).map(|_| laplace(&mut draw.of_y)).collect();
            Ok([table(d, x), table(d, y)])
        },
    },
    Facts {
        problem: Problem::Rbm,
        questions: &[Question::Fit, Question::TwoSample],
        parameter: "sigma",
        defaults: &[0.0, 0.01, 0.02, 0.03, 0.04],
        null: Some(0.0),
        range: ParameterRange {
            possible: |sigma| sigma >= 0.0 && sigma.is_finite(),
            words: "a number from 0",
        },
        draw: |draw| {
            let [p, q] = [rbm::machine(0.0)?, rbm::machine(draw.parameter)?];
            let (x, y) = (p.draw(draw.sizes[0], &mut draw.of_x), q.draw(draw.sizes[1], &mut draw.of_y));
            Ok([table(p.dimension(), x), table(q.dimension(), y)])
        },
    },
    Facts {
        problem: Problem::DigitSubsets,
        questions: TWO_SAMPLE,
        parameter: "subset",
        defaults: &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        null: Some(SUBSETS.len() as f64),
        range: ParameterRange {
            possible: |q| count(q) && q <= SUBSETS.len() as f64,
            words: "a whole number from 1 to 6",
        },
        draw: |draw| {
            let all: Vec<usize> = (0..CLASSES).collect();
            let subset = SUBSETS[..draw.parameter as usize].concat();
            let (digits, [n, m]) = (draw.digits(Problem::DigitSubsets)?, draw.sizes);
            Ok([digits.draw(&mut draw.of_x, &all, n).0, digits.draw(&mut draw.of_y, &subset, m).0])
        },
    },
    Facts {
        problem: Problem::RotatedIca,
        questions: INDEPENDENCE,
        parameter: "angle",
        defaults: &[0.0, FRAC_PI_4 / 8.0, FRAC_PI_4 / 4.0, FRAC_PI_4 / 2.0, FRAC_PI_4 * 0.75, FRAC_PI_4],
        null: Some(0.0),
        range: ParameterRange {
            possible: |angle| (0.0..=FRAC_PI_4).contains(&angle),
            words: "a number from 0 to pi / 4 = 0.7853981633974483",
        },
        draw: |draw| {
            let (sin, cos) = draw.parameter.sin_cos();
            let half = 3f64.sqrt();
            let n = draw.sizes[0];
            let mut source = |_| [half * (2.0 * draw.of_x.uniform_f64() - 1.0), laplace(&mut draw.of_y)];
            let sources: Vec<[f64; 2]> = (0..n).map(&mut source).collect();
            Ok([
                points(n, |i| [cos * sources[i][0] - sin * sources[i][1]]),
                points(n, |i| [sin * sources[i][0] + cos * sources[i][1]]),
            ])
        },
    },
    Facts {
        problem: Problem::PerturbedPair,
        questions: INDEPENDENCE,
        parameter: "amplitude",
        defaults: &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
        null: Some(0.0),
        range: SHARE,
        draw: |draw| {
            let n = draw.sizes[0];
            let density = Perturbed::<2>::new(&mut draw.of_y, BUMPS, draw.parameter * E * E);
            let pairs: Vec<[f64; 2]> = (0..n).map(|_| density.draw(&mut draw.of_y)).collect();
            Ok([0, 1].map(|which| points(n, |i| [pairs[i][which]])))
        },
    },
    Facts {
        problem: Problem::LabelNoise,
        questions: INDEPENDENCE,
        parameter: "share",
        defaults: &[0.6, 0.7, 0.8, 0.9, 1.0],
        null: Some(1.0),
        range: SHARE,
        draw: |draw| {
            let all: Vec<usize> = (0..CLASSES).collect();
            let digits = draw.digits(Problem::LabelNoise)?;
            let (x, labels) = digits.draw(&mut draw.of_x, &all, draw.sizes[0]);
            let noisy = |label: usize| {
                // Both numbers are drawn in any case, so that the share changes no other label.
                let (u, other) = (draw.of_y.uniform_f64(), draw.of_y.below(CLASSES as u32));
                if u < draw.parameter { f64::from(other) } else { label as f64 }
            };
            Ok([x, table(1, labels.into_iter().map(noisy).collect())])
        },
    },
];

impl<'a> SampleDraw<'a> {
    /// Points of X and of Y, one after another.
    fn points<const D: usize>(
        &mut self,
        mut x: impl FnMut(&mut Sequence) -> [f64; D],
        mut y: impl FnMut(&mut Sequence) -> [f64; D],
    ) -> [Table; 2] {
        let [n, m] = self.sizes;
        [points(n, |_| x(&mut self.of_x)), points(m, |_| y(&mut self.of_y))]
    }

    fn digits(&self, problem: Problem) -> Result<&'a Digits> {
        self.digits.ok_or_else(|| {
            Error::usage(format!(
                "the problem `{}` is made of images of digits; give some, such as MNIST",
                problem.name()
            ))
        })
    }
}

impl Problem {
    fn facts(self) -> &'static Facts {
        let facts = &FACTS[self as usize];
        debug_assert_eq!(facts.problem, self, "facts in another order than the problems");
        facts
    }

    /// Its name, as on the command line and in files.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The questions that tests can ask of it.
    pub fn questions(self) -> &'static [Question] {
        self.facts().questions
    }

    /// The name of its parameter.
    pub fn parameter(self) -> &'static str {
        self.facts().parameter
    }

    /// Values of the parameter for a power curve: those of the source, where it has them.
    pub fn defaults(self) -> &'static [f64] {
        self.facts().defaults
    }

    /// The value of the parameter at which there is nothing to find, if there is one: a test's level.
    pub fn null(self) -> Option<f64> {
        self.facts().null
    }

    /// Whether it is made of images, which [`Self::draw`] must be given.
    pub fn needs_digits(self) -> bool {
        matches!(self, Self::DigitSubsets | Self::LabelNoise)
    }

    /// The model that a test of fit asks about, in d dimensions: what X is drawn from.
    ///
    /// # Errors
    /// If d is 0.
    pub fn model(self, d: usize) -> Result<Box<dyn Density>> {
        match self {
            Self::Rbm => Ok(Box::new(rbm::machine(0.0)?)),
            _ => Ok(Box::new(Gaussian::new(vec![0.0; d], vec![1.0; d])?)),
        }
    }

    /// Whether a value of the parameter is possible.
    ///
    /// # Errors
    /// If it is not.
    pub fn check(self, parameter: f64) -> Result<()> {
        let facts = self.facts();
        if (facts.range.possible)(parameter) {
            return Ok(());
        }
        Err(Error::usage(format!(
            "the problem `{}` cannot have {} {parameter}; give {}",
            self.name(),
            facts.parameter,
            facts.range.words
        )))
    }

    /// X `(n, d_x)` and Y `(m, d_y)` of one repetition: a function of all arguments and nothing else.
    ///
    /// # Errors
    /// If the parameter is not possible, a sample would be empty, an independence problem has n other than m, or
    /// there are no digits where they are needed.
    pub fn draw(
        self,
        parameter: f64,
        [n, m]: [usize; 2],
        seed: u64,
        repetition: u32,
        digits: Option<&Digits>,
    ) -> Result<[Table; 2]> {
        self.check(parameter)?;
        let wrong = |message: String| Err(Kind::Samples(message).into());
        let name = self.name();
        if n == 0 || m == 0 {
            return wrong(format!(
                "the problem `{name}` cannot have a sample of no points; ask for at least one"
            ));
        }
        if self.facts().questions == INDEPENDENCE && n != m {
            return wrong(format!(
                "the problem `{name}` has pairs of X and Y, so there cannot be {n} of X and {m} of Y; ask for as many"
            ));
        }
        let [of_x, of_y] =
            [Stream::ProblemX, Stream::ProblemY].map(|stream| Sequence::new(seed, stream, repetition));
        let mut draw = SampleDraw { parameter, sizes: [n, m], of_x, of_y, digits };
        let [x, y] = (self.facts().draw)(&mut draw)?;
        Ok([Table { name: format!("{name}: X"), ..x }, Table { name: format!("{name}: Y"), ..y }])
    }
}

/// Values in rows of `d`.
fn table(d: usize, values: Vec<f64>) -> Table {
    Table { rows: values.len() / d, columns: d, values: values.into(), ..Table::default() }
}

/// `n` points, made one after another.
fn points<const D: usize>(n: usize, point: impl FnMut(usize) -> [f64; D]) -> Table {
    table(D, (0..n).flat_map(point).collect())
}

/// X uniform, Y with bumps.
fn perturbed<const D: usize>(bumps: usize, height: f64, draw: &mut SampleDraw<'_>) -> [Table; 2] {
    let density = Perturbed::<D>::new(&mut draw.of_y, bumps, height);
    draw.points(|of_x| [0.0; D].map(|_| of_x.uniform_f64()), |of_y| density.draw(of_y))
}

/// X ~ N(0, I), and Y with a changed first coordinate.
fn shifted(draw: &mut SampleDraw<'_>, d: usize, change: impl Fn(f64) -> f64) -> [Table; 2] {
    let normals = |random: &mut Sequence, count| (0..count * d).map(|_| random.normal_f64()).collect();
    let (x, mut y): (Vec<f64>, Vec<f64>) =
        (normals(&mut draw.of_x, draw.sizes[0]), normals(&mut draw.of_y, draw.sizes[1]));
    for first in y.iter_mut().step_by(d) {
        *first = change(*first);
    }
    [table(d, x), table(d, y)]
}

/// A point of a random blob.
fn blob(random: &mut Sequence, correlation: f64) -> [f64; 2] {
    let centre = [0; 2].map(|_| SPACING * f64::from(random.below(BLOBS)));
    let [u, v] = [0; 2].map(|_| random.normal_f64());
    [centre[0] + u, centre[1] + correlation * u + (1.0 - correlation * correlation).sqrt() * v]
}

/// A point of one of four components, the last of which has standard deviation `sigma`.
fn far_apart(random: &mut Sequence, sigma: f64) -> [f64; 2] {
    let component = random.below(4);
    let scale = if component == 3 { sigma } else { 1.0 };
    let centre = |bit: u32| if bit == 1 { FAR } else { -FAR };
    [component & 1, component >> 1].map(|bit| centre(bit) + scale * random.normal_f64())
}

/// A number of density exp(-sqrt(2) |v|) / sqrt(2): variance 1.
fn laplace(random: &mut Sequence) -> f64 {
    let t = 2.0 * random.uniform_f64() - 1.0;
    // |t| = 1 cannot come, as no uniform number is 0 or 1.
    -t.signum() * (1.0 - t.abs()).ln() * std::f64::consts::FRAC_1_SQRT_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::digits;
    use std::collections::HashSet;

    fn all() -> &'static [Problem] {
        Problem::value_variants()
    }

    /// 3,000 of the built-in digits.
    fn some_digits() -> Digits {
        let (pixels, labels): (Vec<_>, Vec<_>) = (0..3000).map(|i| digits::image(0, i)).unzip();
        let images = crate::data::Images::grey([digits::SIDE; 2], pixels.concat(), labels);
        Digits::new(&[&images]).unwrap()
    }

    fn draw(problem: Problem, parameter: f64, n: usize) -> [Table; 2] {
        problem.draw(parameter, [n; 2], 5, 0, None).unwrap()
    }

    /// The mean of f over the rows is as expected, to 5 of its standard errors, found from the rows themselves.
    fn mean_is(name: &str, tables: &[Table; 2], f: impl Fn(&[f64], &[f64]) -> f64, expected: f64) {
        let [x, y] = tables;
        let values: Vec<f64> = (0..x.rows).map(|i| f(x.row(i), y.row(i))).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
        let bound = 5.0 * (variance / n).sqrt();
        assert!((mean - expected).abs() < bound, "{name}: {mean} is not {expected} to {bound}");
    }

    #[test]
    fn names_are_the_same_in_files_and_on_the_command_line() {
        for &problem in all() {
            let name = problem.name();
            assert_eq!(serde_json::to_string(&problem).unwrap(), format!("\"{name}\""), "{problem:?}");
            assert_eq!(Problem::from_str(&name, false), Ok(problem), "{name}");
            assert_eq!(problem.facts().problem, problem, "{name} has the facts of another");
        }
    }

    #[test]
    fn a_draw_is_a_function_of_seed_and_repetition_with_shapes_as_asked() {
        let digits = some_digits();
        for &problem in all() {
            let name = problem.name();
            assert!(
                problem.needs_digits() == problem.draw(problem.defaults()[0], [2; 2], 0, 0, None).is_err()
            );
            let pairs = problem.questions().contains(&Question::Independence);
            let sizes = if pairs { [40, 40] } else { [40, 30] };
            for &parameter in problem.defaults() {
                let draw = |seed, repetition| {
                    problem.draw(parameter, sizes, seed, repetition, Some(&digits)).unwrap()
                };
                let tables = draw(1, 2);
                assert_eq!(tables, draw(1, 2), "{name} {parameter}: the same again");
                for other in [draw(1, 3), draw(2, 2)] {
                    for (table, other) in tables.iter().zip(&other) {
                        assert_ne!(
                            table.values, other.values,
                            "{name} {parameter}: another repetition or seed"
                        );
                    }
                }
                for (table, rows) in tables.iter().zip(sizes) {
                    assert_eq!(
                        (table.rows, table.rows * table.columns),
                        (rows, table.values.len()),
                        "{name}"
                    );
                    assert!(table.values.iter().all(|v| v.is_finite()), "{name} {parameter}: finite");
                }
                assert!(pairs || tables[0].columns == tables[1].columns, "{name}: columns");
            }
        }
    }

    /// No point comes twice, in X or Y or both, of 4,000 each: 8,000^2 / 2 pairs of 52-bit numbers coincide once in
    /// 1e8 draws. Where there is no difference, a rejection sampler that shared random numbers with X would.
    #[test]
    fn x_and_y_share_no_points_and_are_uncorrelated() {
        for &problem in all().iter().filter(|problem| !problem.needs_digits()) {
            for &parameter in problem.defaults() {
                let name = format!("{} {parameter}", problem.name());
                // A point of a Boltzmann machine takes milliseconds.
                let n = if problem == Problem::Rbm { 500 } else { 4000 };
                let tables = draw(problem, parameter, n);
                let mut seen = HashSet::new();
                for table in &tables {
                    for i in 0..table.rows {
                        let bits: Vec<u64> = table.row(i).iter().map(|v| v.to_bits()).collect();
                        assert!(seen.insert(bits), "{name}: row {i} comes twice");
                    }
                }
                if !problem.questions().contains(&Question::Independence) {
                    // Rows of X and Y in one order are independent: the product of two coordinates has the mean of
                    // the product.
                    let mean = |t: &Table| (0..t.rows).map(|i| t.row(i)[0]).sum::<f64>() / t.rows as f64;
                    let [a, b] = [mean(&tables[0]), mean(&tables[1])];
                    mean_is(&name, &tables, |x, y| (x[0] - a) * (y[0] - b), 0.0);
                }
            }
        }
    }

    #[test]
    fn two_samples_have_the_moments_of_their_formulas() {
        let n = 40_000;
        let uniform = draw(Problem::PerturbedUniform2d, 1.0, n);
        for axis in [0, 1] {
            // Y's marginals are uniform too.
            mean_is("uniform: x", &uniform, |x, _| x[axis], 0.5);
            mean_is("uniform: x^2", &uniform, |x, _| x[axis] * x[axis], 1.0 / 3.0);
            mean_is("perturbed: y", &uniform, |_, y| y[axis], 0.5);
            mean_is("perturbed: y^2", &uniform, |_, y| y[axis] * y[axis], 1.0 / 3.0);
        }

        // The grid 0, 10, .., 40 has mean 20 and variance 200; the blobs' offsets are what is left of the nearest
        // multiple of 10, as 5 standard deviations hold all but 6e-7 of them.
        let offset = |v: f64| v - 10.0 * (v / 10.0).round();
        let blobs = draw(Problem::Blobs, 4.0, n);
        mean_is("blobs: x", &blobs, |x, _| x[0], 20.0);
        mean_is("blobs: variance", &blobs, |_, y| (y[1] - 20.0).powi(2), 201.0);
        mean_is("blobs: grid", &blobs, |_, y| (y[0] - 20.0) * (y[1] - 20.0), 0.6);
        mean_is("blobs: x's correlation", &blobs, |x, _| offset(x[0]) * offset(x[1]), 0.0);
        mean_is("blobs: y's correlation", &blobs, |_, y| offset(y[0]) * offset(y[1]), 0.6);
        mean_is("blobs: y's variance", &blobs, |_, y| offset(y[1]).powi(2), 1.0);

        let mixture = draw(Problem::Mixture, 2.0, n);
        let spread = |p: &[f64], sx: f64, sy: f64| {
            let inside = p[0] * sx > 0.0 && p[1] * sy > 0.0;
            if inside { (p[0] - 20.0 * sx).powi(2) + (p[1] - 20.0 * sy).powi(2) } else { 0.0 }
        };
        for (sx, sy) in [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)] {
            mean_is("mixture: x", &mixture, |x, _| spread(x, sx, sy), 0.25 * 2.0);
            let expected = if sx + sy == 2.0 { 0.25 * 8.0 } else { 0.25 * 2.0 };
            mean_is("mixture: y", &mixture, |_, y| spread(y, sx, sy), expected);
        }

        let mean = draw(Problem::MeanShift, 0.75, 4000);
        let variance = draw(Problem::VarianceShift, 3.0, 4000);
        let laplace = draw(Problem::Laplace, 2.0, n);
        assert_eq!((mean[1].columns, variance[1].columns, laplace[1].columns), (100, 50, 2), "dimensions");
        for (tables, first, square) in [(&mean, 0.75, 1.0 + 0.75 * 0.75), (&variance, 0.0, 3.0)] {
            mean_is("x", tables, |x, _| x[0], 0.0);
            mean_is("x^2", tables, |x, _| x[0] * x[0], 1.0);
            mean_is("y", tables, |_, y| y[0], first);
            mean_is("y^2", tables, |_, y| y[0] * y[0], square);
            mean_is("other y", tables, |_, y| y[7], 0.0);
            mean_is("other y^2", tables, |_, y| y[7] * y[7], 1.0);
        }
        // A Laplace variable of variance 1 has E |v| = 1 / sqrt(2), E v^4 = 6.
        mean_is("laplace: |y|", &laplace, |_, y| y[1].abs(), std::f64::consts::FRAC_1_SQRT_2);
        mean_is("laplace: y", &laplace, |_, y| y[1], 0.0);
        mean_is("laplace: y^2", &laplace, |_, y| y[1] * y[1], 1.0);
        mean_is("laplace: y^4", &laplace, |_, y| y[1].powi(4), 6.0);
        mean_is("laplace: y y", &laplace, |_, y| y[0] * y[1], 0.0);
        mean_is("laplace: x^4", &laplace, |x, _| x[1].powi(4), 3.0);
    }

    /// E s(x) = 0 for points of the model, and E s'(x) x = -d; of the other machine it is neither.
    #[test]
    fn the_machines_points_suit_its_score() {
        let score = |x: &[f64]| {
            let mut score = vec![f64::NAN; x.len()];
            Problem::Rbm.model(x.len()).unwrap().score(x, &mut score).unwrap();
            score
        };
        let stein = |x: &[f64]| score(x).iter().zip(x).map(|(s, x)| s * x).sum::<f64>();
        let tables = draw(Problem::Rbm, 0.2, 1000);
        for i in [0, 13, 49] {
            mean_is(&format!("score {i}"), &tables, |x, _| score(x)[i], 0.0);
        }
        mean_is("s'x", &tables, |x, _| stein(x), -50.0);
        let other = (0..1000).map(|i| stein(tables[1].row(i))).sum::<f64>() / 1000.0;
        assert!((other + 50.0).abs() > 3.0, "the other machine's points: {other}");
    }

    /// With fourth cumulants -1.2 of the uniform and 3 of the Laplace source, and c, s of the angle:
    /// E x^2 y^2 = 1 + c^2 s^2 (-1.2 + 3), E x^3 y = -1.2 c^3 s - 3 s^3 c.
    #[test]
    fn rotated_sources_are_dependent_as_their_cumulants_say() {
        for &angle in Problem::RotatedIca.defaults() {
            let tables = draw(Problem::RotatedIca, angle, 100_000);
            let (s, c) = angle.sin_cos();
            mean_is("x", &tables, |x, _| x[0], 0.0);
            mean_is("x^2", &tables, |x, _| x[0] * x[0], 1.0);
            mean_is("y^2", &tables, |_, y| y[0] * y[0], 1.0);
            mean_is("x y", &tables, |x, y| x[0] * y[0], 0.0);
            mean_is("x^2 y^2", &tables, |x, y| (x[0] * y[0]).powi(2), 1.0 + c * c * s * s * 1.8);
            mean_is("x^3 y", &tables, |x, y| x[0].powi(3) * y[0], -1.2 * c.powi(3) * s - 3.0 * s.powi(3) * c);
        }
    }

    /// With s(v) = 1 on the bump of a half of 0..1 and -1 on its dip, E s(x) s(y) over the cell x, y < 1/2 is
    /// +-amplitude e^2 (A / 2)^2, where A is the integral of |G|. The cell's sign theta is random.
    #[test]
    fn perturbed_pairs_depend_through_the_bumps_alone() {
        // A is twice a quarter of g's integral, here by the midpoint rule.
        let g = |i: i32| (-1.0 / (1.0 - (f64::from(i) / 1000.0 + 0.0005).powi(2))).exp() / 1000.0;
        let area = (-1000..1000).map(g).sum::<f64>() / 2.0;
        for amplitude in [0.0, 0.5, 1.0] {
            let tables = draw(Problem::PerturbedPair, amplitude, 50_000);
            mean_is("x", &tables, |x, _| x[0], 0.5);
            mean_is("y^2", &tables, |_, y| y[0] * y[0], 1.0 / 3.0);
            let side = |v: f64| if ((4.0 * v) as u32).is_multiple_of(2) { 1.0 } else { -1.0 };
            let inside = |x: f64, y: f64| if x < 0.5 && y < 0.5 { side(x) * side(y) } else { 0.0 };
            let sum: f64 = (0..50_000).map(|i| inside(tables[0].row(i)[0], tables[1].row(i)[0])).sum();
            let sign = if sum < 0.0 { -1.0 } else { 1.0 };
            let expected = amplitude * (E * area).powi(2) / 4.0;
            if amplitude > 0.0 {
                mean_is("a cell", &tables, |x, y| sign * inside(x[0], y[0]), expected);
            } else {
                mean_is("a cell", &tables, |x, y| inside(x[0], y[0]), 0.0);
            }
        }
    }

    #[test]
    fn subsets_and_labels_are_what_they_say() {
        let digits = some_digits();
        // Which digit an image is of, by the images themselves.
        let n = 20_000;
        let of = |q: f64| Problem::DigitSubsets.draw(q, [n; 2], 0, 0, Some(&digits)).unwrap();
        let bits = |row: &[f64]| row.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let images = |table: &Table| (0..n).map(|i| bits(table.row(i))).collect::<HashSet<_>>();
        let mut before = HashSet::new();
        for q in 1..=6 {
            let [x, y] = of(f64::from(q));
            let (all, some) = (images(&x), images(&y));
            // With 20,000 draws an image of 3,000 is left out once in 800.
            assert!(all.len() > 2950, "all digits: {} images", all.len());
            let expected = 300.0 * f64::from(4 + q);
            assert!((some.len() as f64 - expected).abs() < 120.0, "subset {q}: {} images", some.len());
            let lost = before.difference(&some).count();
            assert!(lost < 30, "subset {q} lacks {lost} images of the one before");
            before = some;
        }

        for share in [0.0, 0.6, 1.0] {
            let [x, y] = Problem::LabelNoise.draw(share, [n; 2], 0, 1, Some(&digits)).unwrap();
            let [_, truth] = Problem::LabelNoise.draw(0.0, [n; 2], 0, 1, Some(&digits)).unwrap();
            assert_eq!((x.columns, y.columns), (49, 1), "an image and a label");
            let pair = [truth, y];
            // A label drawn anew is the old one once in ten.
            let kept = 1.0 - 0.9 * share;
            if share == 0.0 {
                assert_eq!(pair[0].values, pair[1].values, "no noise");
            } else {
                mean_is("kept labels", &pair, |t, y| if t == y { 1.0 } else { 0.0 }, kept);
            }
            // The image knows its label: equal images have equal true labels.
            let mut label_of = std::collections::HashMap::new();
            for i in 0..n {
                let label = pair[0].row(i)[0];
                assert_eq!(*label_of.entry(bits(x.row(i))).or_insert(label), label, "image of row {i}");
            }
        }
    }

    #[test]
    fn impossible_draws_are_refused_with_a_reason() {
        let digits = some_digits();
        let draw = |problem: Problem, parameter, sizes| problem.draw(parameter, sizes, 0, 0, Some(&digits));
        for (result, words) in [
            (draw(Problem::PerturbedUniform, 1.1, [5; 2]), "`perturbed-uniform` cannot have amplitude 1.1"),
            (draw(Problem::PerturbedUniform2d, f64::NAN, [5; 2]), "a number from 0 to 1"),
            (
                draw(Problem::Perturbations, 1.5, [5; 2]),
                "perturbations 1.5; give a whole number from 1 to 1000",
            ),
            (draw(Problem::Perturbations2d, 0.0, [5; 2]), "perturbations 0"),
            (draw(Problem::Blobs, 0.5, [5; 2]), "ratio 0.5; give a number from 1"),
            (draw(Problem::Mixture, 0.0, [5; 2]), "sigma 0; give a number above 0"),
            (draw(Problem::MeanShift, f64::INFINITY, [5; 2]), "delta inf"),
            (draw(Problem::VarianceShift, -1.0, [5; 2]), "variance -1"),
            (draw(Problem::Laplace, 2.5, [5; 2]), "d 2.5"),
            (draw(Problem::Rbm, -0.1, [5; 2]), "sigma -0.1; give a number from 0"),
            (draw(Problem::DigitSubsets, 7.0, [5; 2]), "subset 7; give a whole number from 1 to 6"),
            (draw(Problem::RotatedIca, 0.8, [5; 2]), "angle 0.8; give a number from 0 to pi / 4"),
            (draw(Problem::PerturbedPair, -0.1, [5; 2]), "amplitude -0.1"),
            (draw(Problem::LabelNoise, 2.0, [5; 2]), "share 2"),
            (draw(Problem::Blobs, 2.0, [5, 0]), "a sample of no points"),
            (draw(Problem::RotatedIca, 0.1, [5, 6]), "5 of X and 6 of Y"),
            (Problem::LabelNoise.draw(0.5, [5; 2], 0, 0, None), "made of images of digits"),
        ] {
            let message = result.expect_err(words).to_string();
            assert!(message.contains(words), "`{message}` does not say `{words}`");
        }
        for &problem in all() {
            let possible = |&parameter: &f64| problem.check(parameter).is_ok();
            assert!(problem.defaults().iter().chain(&problem.null()).all(possible), "{}", problem.name());
            assert!(problem.check(f64::NAN).is_err(), "{}: NaN", problem.name());
        }
    }
}
