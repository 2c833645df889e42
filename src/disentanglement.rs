//! Does each factor of variation have a latent of its own: measures of disentanglement, on codes of images
//! whose factors are known.
//!
//! ```text
//! codes         mean mu and ln std of q(z | x): (n, m)        factors     v: (n, f), factor k has K_k values
//! Labelled      both, checked; on it: histogram (MIG, modularity), mig (MIG of the posteriors), sap, dci
//! FactorEncoder  encodes any combination of factors; on it: beta_vae, factor_vae
//! ```
//!
//! Definitions are those of the papers named in each file; settings, and what the papers leave open, are
//! those of the study by Locatello et al., "Challenging common assumptions in the unsupervised learning of
//! disentangled representations", ICML 2019, and of its code, `disentanglement_lib`. Matrices of factors and
//! latents are (f, m), one row per factor.

pub mod active;
#[cfg(test)]
mod agreement;
pub mod beta_vae;
mod boosting;
#[cfg(test)]
mod cases;
pub mod dci;
pub mod factor_vae;
pub mod gap;
pub mod histogram;
mod logistic;
pub mod mig;
pub mod sap;
pub mod source;
mod svm;

pub use source::FactorEncoder;

use crate::error::{Error, Kind, Result};
use crate::random::{Sequence, Stream};

/// Points that measures learn from (`disentanglement_lib`, all metrics).
pub const TRAIN_POINTS: usize = 10_000;

/// Points that they are tested on (`disentanglement_lib`, all metrics).
pub const TEST_POINTS: usize = 5_000;

/// Images of a batch that shares a factor (`disentanglement_lib`, `beta_vae` and `factor_vae`).
pub const BATCH: usize = 64;

/// Codes of n images in m latents, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Posteriors<'a> {
    /// Images.
    pub n: usize,
    /// Latents.
    pub m: usize,
    /// Means of q(z | x): `(n, m)`.
    pub mean: &'a [f64],
    /// Logarithms of its standard deviations: `(n, m)`; None for an encoder without any.
    pub log_std: Option<&'a [f64]>,
}

/// Factors of n images, row by row.
#[derive(Clone, Copy, Debug)]
pub struct FactorValues<'a> {
    /// One name per factor.
    pub names: &'a [String],
    /// How many values each factor can have.
    pub sizes: &'a [usize],
    /// Values, each below its factor's size: `(n, f)`.
    pub values: &'a [u8],
}

/// A value, and how far another run of the same measure may be from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasureValue {
    /// The value.
    pub value: f64,
    /// Its standard error; None where nothing is random.
    pub error: Option<StandardError>,
}

/// A standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StandardError {
    /// One standard deviation of the value.
    pub value: f64,
    /// Where it comes from.
    pub from: ErrorOrigin,
}

/// What a standard error is estimated from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorOrigin {
    /// The variance over images of each image's influence on the value (delta method): as if the images were
    /// a random sample of many more.
    Images,
    /// The binomial distribution of test points that were classified rightly, the classifier being given: 0
    /// where all were.
    Binomial,
    /// The variance over repetitions with other images.
    Repetitions,
}

impl MeasureValue {
    /// A mean over n independent images, of which `variance` is that of one.
    fn over_images(value: f64, variance: f64, n: usize) -> Self {
        let error = StandardError { value: (variance.max(0.0) / n as f64).sqrt(), from: ErrorOrigin::Images };
        Self { value, error: Some(error) }
    }

    /// The share of n test points that were classified rightly.
    fn binomial(value: f64, n: usize) -> Self {
        let error =
            StandardError { value: (value * (1.0 - value) / n as f64).sqrt(), from: ErrorOrigin::Binomial };
        Self { value, error: Some(error) }
    }

    /// The mean of repetitions; a single one tells no error.
    fn over_repetitions(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let value = values.iter().sum::<f64>() / n;
        let square: f64 = values.iter().map(|v| (v - value).powi(2)).sum();
        let error = StandardError { value: (square / (n - 1.0) / n).sqrt(), from: ErrorOrigin::Repetitions };
        Self { value, error: (values.len() > 1).then_some(error) }
    }
}

/// A use of random numbers: no two share any.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
enum Draw {
    Sample,
    Posterior,
    TrainSplit,
    Variance,
    TrainBatch,
    TestBatch,
}

/// Items of a use.
const ITEM_BITS: u32 = 24;

fn random(seed: u64, draw: Draw, item: usize) -> Sequence {
    Sequence::new(seed, Stream::Disentanglement, (draw as u32) << ITEM_BITS | item as u32)
}

fn refused(message: impl Into<String>) -> Error {
    Kind::Samples(message.into()).into()
}

/// Codes and factors of the same images, checked; each latent and each factor lies in one piece.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    n: usize,
    mean: Vec<Vec<f64>>,
    log_std: Option<Vec<Vec<f64>>>,
    names: Vec<String>,
    values: Vec<Vec<u8>>,
    notes: Vec<String>,
}

impl Labelled {
    /// Checks codes and factors. Factors of one value only are left out: nothing can be learned of them.
    ///
    /// # Errors
    /// If sizes do not fit, a code is not finite, a value is out of range, or no factor varies.
    pub fn new(codes: Posteriors<'_>, factors: FactorValues<'_>) -> Result<Self> {
        let (Posteriors { n, m, mean, log_std }, f) = (codes, factors.sizes.len());
        let of_codes = [Some(mean), log_std].into_iter().flatten();
        if n == 0 || m == 0 || of_codes.clone().any(|part| part.len() != n * m) {
            return Err(refused(format!("{n} images with {m} latents and {} means do not fit", mean.len())));
        }
        if factors.names.len() != f || factors.values.len() != n * f {
            let (names, values) = (factors.names.len(), factors.values.len());
            return Err(refused(format!(
                "{n} images with {f} factors need {f} names and {} values; found {names} and {values}",
                n * f
            )));
        }
        if of_codes.into_iter().flatten().any(|v| !v.is_finite()) {
            return Err(refused("a code is not a finite number; measures need finite codes"));
        }
        let columns = |rows: &[f64]| (0..m).map(|j| (0..n).map(|i| rows[i * m + j]).collect()).collect();
        let values: Vec<Vec<u8>> =
            (0..f).map(|k| (0..n).map(|i| factors.values[i * f + k]).collect()).collect();
        for ((values, &size), name) in values.iter().zip(factors.sizes).zip(factors.names) {
            if let Some(value) = values.iter().find(|&&v| usize::from(v) >= size) {
                return Err(refused(format!("factor {name} has the value {value}, but only {size} values")));
            }
        }
        Self {
            n,
            mean: columns(mean),
            log_std: log_std.map(columns),
            names: factors.names.to_vec(),
            values,
            notes: Vec::new(),
        }
        .varying()
    }

    /// The same without factors of one value.
    fn varying(mut self) -> Result<Self> {
        let varies: Vec<bool> = self.values.iter().map(|v| v.iter().any(|&other| other != v[0])).collect();
        let constant = |name: &str| format!("factor {name} has one value only and is left out");
        let left_out = self.names.iter().zip(&varies).filter(|(_, varies)| !**varies);
        self.notes.extend(left_out.map(|(name, _)| constant(name)));
        let (mut of_names, mut of_values) = (varies.iter(), varies.iter());
        self.names.retain(|_| of_names.next() == Some(&true));
        self.values.retain(|_| of_values.next() == Some(&true));
        if self.names.is_empty() {
            return Err(refused("no factor has more than one value; measures need factors that vary"));
        }
        Ok(self)
    }

    /// The given rows, with the same factors.
    fn rows(&self, rows: &[u32]) -> Self {
        let of_codes = |columns: &Vec<Vec<f64>>| columns.iter().map(|column| pick(column, rows)).collect();
        Self {
            n: rows.len(),
            mean: of_codes(&self.mean),
            log_std: self.log_std.as_ref().map(of_codes),
            names: self.names.clone(),
            values: self.values.iter().map(|column| pick(column, rows)).collect(),
            notes: self.notes.clone(),
        }
    }

    /// At most `most` images drawn without replacement, in random order; all of them, in their order, if
    /// there are no more.
    ///
    /// # Errors
    /// If no factor varies among the ones drawn.
    pub fn sample(&self, most: usize, seed: u64) -> Result<Self> {
        if self.n <= most {
            return Ok(self.clone());
        }
        self.rows(&random(seed, Draw::Sample, 0).choice(most, self.n)).varying()
    }

    /// Images to learn from and others to test on, drawn without replacement: [`TRAIN_POINTS`] and
    /// [`TEST_POINTS`], or all there are in the same proportion. `repetition` gives another draw.
    ///
    /// # Errors
    /// If there is only one image.
    pub fn split(&self, seed: u64, repetition: usize) -> Result<[Self; 2]> {
        if self.n < 2 {
            return Err(refused("one image cannot be split into images to learn from and to test on"));
        }
        let points = self.n.min(TRAIN_POINTS + TEST_POINTS);
        let train = points * TRAIN_POINTS / (TRAIN_POINTS + TEST_POINTS);
        let drawn = random(seed, Draw::TrainSplit, repetition).choice(points, self.n);
        Ok([self.rows(&drawn[..train]), self.rows(&drawn[train..])])
    }

    /// Images.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Never: there is at least one image.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Latents.
    pub fn latents(&self) -> usize {
        self.mean.len()
    }

    /// Names of the factors that vary.
    pub fn factors(&self) -> &[String] {
        &self.names
    }

    /// What is to be said of the data: factors that were left out.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The means of one latent: `(n)`.
    pub fn mean(&self, latent: usize) -> &[f64] {
        &self.mean[latent]
    }

    /// The values of one factor: `(n)`.
    pub fn values(&self, factor: usize) -> &[u8] {
        &self.values[factor]
    }

    /// A gap needs a best and a second best latent.
    fn check_gap(&self) -> Result<()> {
        if self.latents() < 2 {
            return Err(refused("a gap between the two best latents needs at least two latents"));
        }
        Ok(())
    }
}

fn pick<T: Copy>(column: &[T], rows: &[u32]) -> Vec<T> {
    rows.iter().map(|&i| column[i as usize]).collect()
}

/// Values of a factor numbered in order, without those that do not occur: the number of each image, and how
/// many.
fn classes(values: &[u8]) -> (Vec<u8>, usize) {
    let mut occurs = [false; 256];
    values.iter().for_each(|&v| occurs[usize::from(v)] = true);
    let mut number = [0; 256];
    let mut count = 0;
    for (number, _) in number.iter_mut().zip(occurs).filter(|(_, occurs)| *occurs) {
        *number = count as u8;
        count += 1;
    }
    (values.iter().map(|&v| number[usize::from(v)]).collect(), count)
}

/// -ln p(v) of each class, from the classes of all images.
fn surprisals(values: &[u8], size: usize) -> Vec<f64> {
    let mut counts = vec![0.0; size];
    values.iter().for_each(|&v| counts[usize::from(v)] += 1.0);
    counts.iter().map(|count: &f64| (values.len() as f64 / count).ln()).collect()
}

/// Position of the largest, the first of equal ones.
fn largest(values: impl IntoIterator<Item = f64>) -> usize {
    let each = values.into_iter().enumerate();
    each.fold((0, f64::NEG_INFINITY), |most, one| if one.1 > most.1 { one } else { most }).0
}

/// Positions of the largest and the second largest.
fn two_largest(values: &[f64]) -> [usize; 2] {
    let first = largest(values.iter().copied());
    let others = values.iter().enumerate().map(|(j, &v)| if j == first { f64::NEG_INFINITY } else { v });
    [first, largest(others)]
}

#[cfg(test)]
mod tests {
    use super::cases::{coded, grid, perfect};
    use super::*;

    #[test]
    fn factors_of_one_value_are_left_out_and_named() {
        let data = coded(&[1, 3, 4], &grid(&[1, 3, 4]), perfect);
        assert_eq!(data.factors(), ["f1", "f2"]);
        assert_eq!(data.notes(), ["factor f0 has one value only and is left out"]);
        assert_eq!((data.len(), data.latents(), data.values(0)[11], data.mean(2)[7]), (12, 3, 2, 3.0));
    }

    #[test]
    fn data_that_do_not_fit_are_refused() {
        let names = ["a".to_owned()];
        let refused = |n, mean: &[f64], sizes: &[usize], values: &[u8]| {
            Labelled::new(
                Posteriors { n, m: 1, mean, log_std: None },
                FactorValues { names: &names, sizes, values },
            )
            .is_err()
        };
        assert!(!refused(2, &[0.0, 1.0], &[2], &[0, 1]));
        assert!(refused(3, &[0.0, 1.0], &[2], &[0, 1]), "too few rows");
        assert!(refused(2, &[0.0, f64::NAN], &[2], &[0, 1]), "NaN");
        assert!(refused(2, &[0.0, 1.0], &[2], &[0, 2]), "value out of range");
        assert!(refused(2, &[0.0, 1.0], &[2], &[1, 1]), "nothing varies");
        assert!(refused(2, &[0.0, 1.0], &[2, 2], &[0, 1, 0, 1]), "a name is missing");
    }

    #[test]
    fn samples_and_splits_are_rows_drawn_once() {
        let (sizes, data) = ([30, 30], coded(&[30, 30], &grid(&[30, 30]), perfect));
        let [train, test] = data.split(1, 0).unwrap();
        assert_eq!([train.len(), test.len()], [600, 300]);
        let number =
            |data: &Labelled, i: usize| data.values(0)[i] as usize * sizes[1] + data.values(1)[i] as usize;
        let mut all: Vec<usize> = (0..600).map(|i| number(&train, i)).collect();
        all.extend((0..300).map(|i| number(&test, i)));
        assert!((0..600).all(|i| train.mean(1)[i] == f64::from(train.values(1)[i])));
        all.sort_unstable();
        assert_eq!(all, (0..900).collect::<Vec<_>>());
        assert_ne!(data.split(1, 1).unwrap()[0], train, "another repetition");
        assert!(data.rows(&[0]).split(1, 0).is_err());
        assert_eq!(data.sample(900, 3).unwrap(), data);
        assert_eq!(data.sample(100, 3).unwrap().len(), 100);
    }

    #[test]
    fn classes_are_numbered_in_order() {
        assert_eq!(classes(&[7, 2, 9, 2]), (vec![1, 0, 2, 0], 3));
        assert_eq!((largest([1.0, 3.0, 3.0]), two_largest(&[5.0, 1.0, 5.0])), (1, [0, 2]));
    }

    /// Mean 2, sum of squares 2: sqrt(2 / 2 / 3).
    #[test]
    fn repetitions_give_the_error_of_their_mean() {
        let estimate = MeasureValue::over_repetitions(&[1.0, 2.0, 3.0]);
        assert_eq!(estimate.value, 2.0);
        assert!((estimate.error.unwrap().value - (1.0f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(MeasureValue::over_repetitions(&[1.0]).error, None);
    }
}
