//! Probability models with a score, for goodness-of-fit tests: is this sample from that distribution?
//!
//! ```text
//! s(x) = grad ln p(x)
//! ```
//!
//! A kernel Stein discrepancy needs nothing else of a model, and the score does not depend on the normalising
//! constant (Liu, Lee, Jordan, "A kernelized Stein discrepancy for goodness-of-fit tests", ICML 2016;
//! Chwialkowski, Strathmann, Gretton, "A kernel test of goodness of fit", ICML 2016). The families here know
//! their constant too, and can be drawn from.
//!
//! A model is a JSON object with the name of its family and its parameters; all lists of numbers have d entries,
//! and a covariance is a `(d, d)` matrix or, where all the rest is 0, the list of its diagonal:
//!
//! ```text
//! {"family": "gaussian", "mean": [..], "covariance": [[..]]}
//! {"family": "gaussian-mixture", "weights": [..], "means": [[..]], "covariances": [[[..]]]}
//! {"family": "student-t", "location": [..], "scale": [[..]], "degrees-of-freedom": 5}
//! {"family": "laplace", "location": [..], "scale": [..]}
//! {"family": "gamma", "shape": [..], "scale": [..]}
//! {"family": "gauss-bernoulli-rbm", "B": [[..]], "b": [..], "c": [..]}
//! ```

#[cfg(test)]
mod check;
mod draw;
mod fields;
pub mod fit;
mod gamma;
mod gaussian;
mod laplace;
mod matrix;
mod mixture;
mod rbm;
mod student_t;

pub use gamma::Gamma;
pub use gaussian::Gaussian;
pub use laplace::Laplace;
pub use matrix::Covariance;
pub use mixture::GaussianMixture;
pub use rbm::GaussBernoulliRbm;
pub use student_t::StudentT;

use crate::error::{Error, Kind, Result};
use crate::random::Sequence;
use crate::sample::Sample;
use fields::Fields;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Debug;
use std::fs;
use std::path::Path;

/// ln(2 pi).
const LN_TWO_PI: f64 = 1.837_877_066_409_345_3;

/// A distribution on R^d, or on a part of it, whose score can be computed.
///
/// Points are always given as they are in the data. Lengths other than [`Density::dimension`] are bugs of the
/// caller: methods may panic.
pub trait Density: Debug + Send + Sync {
    /// d.
    fn dimension(&self) -> usize;

    /// The coordinates y in which a test should work.
    fn coordinates(&self) -> Coordinates {
        Coordinates::Data
    }

    /// `out = grad ln p`, both `(d)`, at the point x: the gradient at y of the ln density of y, where y are the
    /// point's [`Density::coordinates`].
    ///
    /// # Errors
    /// If the density is zero there. `out` is then left undefined.
    fn score(&self, x: &[f64], out: &mut [f64]) -> std::result::Result<(), ZeroDensity>;

    /// ln p(x) of the data x themselves, in nats: minus infinity where the density is zero, `None` if the
    /// normalising constant is not known.
    fn ln_density(&self, _x: &[f64]) -> Option<f64> {
        None
    }

    /// n independent points, `(n, d)` row-major, or `None` if the model cannot be drawn from.
    fn sample(&self, _n: usize, _random: &mut Sequence) -> Option<Vec<f64>> {
        None
    }
}

/// The density is zero at a point: it has no score there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model's density is zero there")]
pub struct ZeroDensity;

/// Coordinates y of points x in which a test works.
///
/// A Stein discrepancy asks that p vanishes at the border of its support. Where it does not, as at 0 for a gamma
/// distribution of shape 1, other coordinates have no border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coordinates {
    /// y = x.
    Data,
    /// y = ln x, for x > 0.
    Logarithms,
}

impl Coordinates {
    /// `out = y(x)`, both `(d)`.
    ///
    /// # Errors
    /// If x has no such coordinates.
    pub fn of(self, x: &[f64], out: &mut [f64]) -> std::result::Result<(), ZeroDensity> {
        match self {
            Self::Data => out.copy_from_slice(x),
            Self::Logarithms if x.iter().any(|x| *x <= 0.0) => return Err(ZeroDensity),
            Self::Logarithms => out.iter_mut().zip(x).for_each(|(out, x)| *out = x.ln()),
        }
        Ok(())
    }
}

/// Points in a model's coordinates, and the scores there.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// d.
    pub d: usize,
    /// y `(n, d)`, row-major.
    pub points: Vec<f64>,
    /// s `(n, d)`, row-major.
    pub scores: Vec<f64>,
}

impl Scored {
    /// The scores of a model at all points of a sample.
    ///
    /// # Errors
    /// If the dimensions differ, or a point has no score: the message names the first such row.
    pub fn new(density: &dyn Density, sample: Sample<'_>) -> Result<Self> {
        let d = density.dimension();
        if sample.d != d {
            return Err(Kind::Samples(format!(
                "the model has {d} dimensions, but the sample has {} columns; give a sample with the model's \
                 columns",
                sample.d
            ))
            .into());
        }
        let (mut points, mut scores) = (vec![0.0; sample.values.len()], vec![0.0; sample.values.len()]);
        let rows = points.par_chunks_mut(d).zip(scores.par_chunks_mut(d)).enumerate();
        let problems = rows.map(|(row, (y, s))| {
            let x = sample.point(row);
            let outcome = density.coordinates().of(x, y).and_then(|()| density.score(x, s));
            let problem = match outcome {
                Err(zero) => format!("{zero}; remove the row, or give a model that allows it"),
                Ok(()) if !s.iter().all(|s| s.is_finite()) => {
                    "the model's score is not a finite number there; remove the row".into()
                }
                Ok(()) => return None,
            };
            Some(Error::from(Kind::Samples(format!("row {row} (counted from 0): {problem}"))))
        });
        match problems.find_map_first(|problem| problem) {
            Some(problem) => Err(problem),
            None => Ok(Self { d, points, scores }),
        }
    }
}

/// How a family is read.
struct FamilyReader {
    name: &'static str,
    fields: &'static [&'static str],
    read: fn(&Fields) -> Result<Distribution>,
}

/// The known families: each has its `FIELDS`, and `read` makes one from them.
macro_rules! families {
    ($($name:literal: $family:ident,)*) => {
        /// A model of one of the known families, as a model file holds it.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "family", try_from = "Value")]
        pub enum Distribution {
            $(
                #[doc = concat!("`", $name, "`.")]
                #[serde(rename = $name)]
                $family($family),
            )*
        }

        const FAMILIES: &[FamilyReader] = &[$(FamilyReader {
            name: $name,
            fields: $family::FIELDS,
            read: |fields| $family::read(fields).map(Distribution::$family),
        },)*];

        impl Distribution {
            /// The model as any distribution.
            pub fn into_density(self) -> Box<dyn Density> {
                match self {
                    $(Self::$family(density) => Box::new(density),)*
                }
            }
        }
    };
}

families! {
    "gaussian": Gaussian,
    "gaussian-mixture": GaussianMixture,
    "student-t": StudentT,
    "laplace": Laplace,
    "gamma": Gamma,
    "gauss-bernoulli-rbm": GaussBernoulliRbm,
}

impl Distribution {
    /// Reads a model file.
    ///
    /// # Errors
    /// If it cannot be read, is no JSON, or describes no model: the message names the file and the field.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(Error::io(path, "read"))?;
        text.parse().map_err(|problem: Error| Error::data(path, problem.to_string()))
    }
}

impl std::str::FromStr for Distribution {
    type Err = Error;

    fn from_str(json: &str) -> Result<Self> {
        let problem =
            |e| Error::usage(format!("the model is not valid JSON: {e}; give one object with a `family`"));
        serde_json::from_str::<Value>(json).map_err(problem)?.try_into()
    }
}

impl TryFrom<Value> for Distribution {
    type Error = Error;

    fn try_from(value: Value) -> Result<Self> {
        let known = || {
            let names: Vec<String> = FAMILIES.iter().map(|family| format!("`{}`", family.name)).collect();
            names.join(", ")
        };
        let Value::Object(object) = value else {
            return Err(Error::usage(
                "a model is a JSON object with a `family`, one of ".to_owned() + &known(),
            ));
        };
        let Some(name) = object.get("family") else {
            return Err(Error::usage(format!("`family` is missing; give one of {}", known())));
        };
        match FAMILIES.iter().find(|family| name == family.name) {
            Some(family) => (family.read)(&Fields::new(family.name, family.fields, object)?),
            None => Err(Error::usage(format!("the family {name} is not known; give one of {}", known()))),
        }
    }
}

/// Refuses lists that are empty, of another length than d, or hold anything but finite numbers.
fn check_numbers(name: &str, values: &[f64], d: usize) -> Result<()> {
    if values.is_empty() {
        return Err(Error::usage(format!("`{name}` is empty; give one number for each dimension")));
    }
    if values.len() != d {
        return Err(Error::usage(format!("`{name}` has {} numbers, but the model needs {d}", values.len())));
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(i) => Err(Error::usage(format!("`{name}[{i}]` is {}; give a finite number", values[i]))),
        None => Ok(()),
    }
}

/// Refuses numbers that are not positive, too.
fn check_positive(name: &str, values: &[f64], d: usize) -> Result<()> {
    check_numbers(name, values, d)?;
    match values.iter().position(|value| *value <= 0.0) {
        Some(i) => Err(Error::usage(format!("`{name}[{i}]` is {}; give a positive number", values[i]))),
        None => Ok(()),
    }
}

/// ln of a sum of exponentials, without overflow.
fn ln_sum_exp(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    most + values.iter().map(|value| (value - most).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One model of each family, as it is written.
    const MODELS: [&str; 7] = [
        r#"{"family":"gaussian","mean":[1.0,-2.0],"covariance":[[2.0,0.5],[0.5,1.0]]}"#,
        r#"{"family":"gaussian","mean":[1.0,-2.0],"covariance":[2.0,1.0]}"#,
        r#"{"family":"gaussian-mixture","weights":[0.25,0.75],"means":[[0.0],[1.0]],"covariances":[[[1.0]],[4.0]]}"#,
        r#"{"family":"student-t","location":[0.0],"scale":[[2.0]],"degrees-of-freedom":5.0}"#,
        r#"{"family":"laplace","location":[0.0,1.0],"scale":[1.0,2.0]}"#,
        r#"{"family":"gamma","shape":[0.5],"scale":[3.0]}"#,
        r#"{"family":"gauss-bernoulli-rbm","B":[[0.5,-0.5]],"b":[0.1],"c":[0.0,1.0]}"#,
    ];

    #[test]
    fn models_survive_the_round_trip() {
        for json in MODELS {
            let model: Distribution = json.parse().expect(json);
            assert_eq!(serde_json::to_string(&model).expect("JSON"), json);
            assert_eq!(serde_json::from_str::<Distribution>(json).expect(json), model);
        }
    }

    #[test]
    fn every_family_is_tried() {
        for family in FAMILIES {
            let name = format!("\"{}\"", family.name);
            assert!(MODELS.iter().any(|json| json.contains(&name)), "{name}");
        }
    }

    #[test]
    fn wrong_models_are_refused() {
        for (json, words) in [
            ("", "the model is not valid JSON"),
            (r#"{"family":"gamma","shape":[1],"scale":[1e999]}"#, "number out of range at line 1"),
            ("[1]", "a model is a JSON object with a `family`, one of `gaussian`, `gaussian-mixture`"),
            (r#"{"mean":[0]}"#, "`family` is missing; give one of `gaussian`"),
            (
                r#"{"family":"normal","mean":[0]}"#,
                "the family \"normal\" is not known; give one of `gaussian`, `gaussian-mixture`, `student-t`, `laplace`, \
                 `gamma`, `gauss-bernoulli-rbm`",
            ),
            (r#"{"family":3}"#, "the family 3 is not known"),
            (
                r#"{"family":"gaussian","mean":[0],"variance":[1]}"#,
                "`variance` is no field of a gaussian; its fields are `mean`, `covariance`",
            ),
            (
                r#"{"family":"gaussian","mean":[0]}"#,
                "`covariance` is missing; the fields of a gaussian are `mean`, `covariance`",
            ),
            (
                r#"{"family":"gaussian","mean":3,"covariance":[1]}"#,
                "`mean` is the number 3; give a list of numbers",
            ),
            (
                r#"{"family":"gaussian","mean":[0,"a"],"covariance":[1]}"#,
                "`mean[1]` is the text \"a\"; give a number",
            ),
            (
                r#"{"family":"gaussian","mean":[0,0],"covariance":[[1,0],1]}"#,
                "`covariance[1]` is the number 1; give a list of numbers",
            ),
            (
                r#"{"family":"gaussian","mean":[0],"covariance":1}"#,
                "`covariance` is the number 1; give a list of rows, or the list of the diagonal",
            ),
            (
                r#"{"family":"gaussian","mean":[0,0,0],"covariance":[[1,0],[0,1]]}"#,
                "`covariance` is 2 x 2, but the model has 3 dimensions; give a 3 x 3 matrix",
            ),
            (
                r#"{"family":"gaussian-mixture","weights":[0.5,0.5],"means":[[0],[1]],"covariances":[[1],[[-1]]]}"#,
                "`covariances[1][0][0]` is -1; give a positive variance",
            ),
            (
                r#"{"family":"student-t","location":[0],"scale":[1],"degrees-of-freedom":null}"#,
                "`degrees-of-freedom` is null; give a number",
            ),
        ] {
            let problem = json.parse::<Distribution>().expect_err(json).to_string();
            assert!(problem.contains(words), "{json}: {problem}");
        }
    }

    #[test]
    fn files_are_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("model.json");
        let missing = Distribution::read(&path).expect_err("nothing there");
        assert!(missing.to_string().contains("model.json: cannot read"), "{missing}");
        fs::write(&path, MODELS[0]).expect("written");
        assert_eq!(Distribution::read(&path).expect("a model").into_density().dimension(), 2);
        fs::write(&path, r#"{"family":"gamma","shape":[1,2],"scale":[1]}"#).expect("written");
        let problem = Distribution::read(&path).expect_err("wrong");
        let words = "model.json: `scale` has 1 numbers, but the model needs 2";
        assert!(problem.to_string().contains(words), "{problem}");
        // The arguments were right.
        assert_eq!(problem.exit_code(), 1);
    }

    fn parsed(json: &str) -> Box<dyn Density> {
        json.parse::<Distribution>().expect("a model").into_density()
    }

    #[test]
    fn samples_of_another_dimension_are_refused() {
        let model = parsed(MODELS[0]);
        let problem = Scored::new(&*model, Sample::new(3, &[0.0; 6])).expect_err("wrong").to_string();
        assert!(problem.contains("the model has 2 dimensions, but the sample has 3 columns"), "{problem}");
    }

    #[test]
    fn scores_that_overflow_are_refused() {
        let model = parsed(r#"{"family":"gaussian","mean":[0],"covariance":[1e-300]}"#);
        let problem = Scored::new(&*model, Sample::new(1, &[0.0, 1e200])).expect_err("wrong").to_string();
        assert!(
            problem.contains("row 1 (counted from 0): the model's score is not a finite number"),
            "{problem}"
        );
    }

    #[test]
    fn scores_are_those_of_the_rows() {
        let model = parsed(MODELS[2]);
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i) / 100.0).collect();
        let scored = Scored::new(&*model, Sample::new(1, &values)).expect("scores");
        assert_eq!(scored.points, values);
        for (x, s) in values.iter().zip(&scored.scores) {
            let mut score = [f64::NAN];
            model.score(&[*x], &mut score).expect("a score");
            assert_eq!(*s, score[0], "at {x}");
        }
    }

    #[test]
    fn the_constant_is_the_logarithm() {
        assert!((LN_TWO_PI - (2.0 * std::f64::consts::PI).ln()).abs() < 1e-15);
    }
}
