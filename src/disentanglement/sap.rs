//! SAP, separated attribute predictability: how much better than the second best latent does the best one
//! predict a factor?
//!
//! ```text
//! S_kj     = share of test images whose value of factor k is predicted rightly from latent j alone: (f, m)
//! SAP      = mean over k of the gap between the two largest of S_k
//! ```
//!
//! Kumar, Sattigeri, Balakrishnan, "Variational inference of disentangled latent concepts from unlabeled
//! observations", ICLR 2018, section 3; the classifier, all factors being discrete, is that of
//! `disentanglement_lib` (`sap_score`.gin). Training and test images are different ones here; there they are
//! drawn with replacement.

use super::svm::Machines;
use super::{Labelled, MeasureValue, Result, classes, refused, two_largest};
use rayon::prelude::*;

/// SAP and what it is from.
#[derive(Clone, Debug, PartialEq)]
pub struct SapScore {
    /// SAP.
    pub value: MeasureValue,
    /// Names of the factors.
    pub factors: Vec<String>,
    /// S: `(f, m)`.
    pub accuracies: Vec<f64>,
    /// Gap of each factor: `(f)`.
    pub gaps: Vec<f64>,
}

/// SAP of a random split into training and test images.
///
/// # Errors
/// If there is only one latent.
pub fn score(data: &Labelled, seed: u64) -> Result<SapScore> {
    let [train, test] = data.split(seed, 0)?;
    score_of(&train, &test)
}

/// SAP of given training and test images.
///
/// # Errors
/// If there is only one latent.
pub fn score_of(train: &Labelled, test: &Labelled) -> Result<SapScore> {
    train.check_gap()?;
    if train.is_empty() || test.is_empty() {
        return Err(refused("SAP needs images to learn from and images to test on"));
    }
    let (f, m, n) = (train.factors().len(), train.latents(), test.len());
    let pairs: Vec<(usize, usize)> = (0..f).flat_map(|k| (0..m).map(move |j| (k, j))).collect();
    let right: Vec<Vec<bool>> = pairs.into_par_iter().map(|(k, j)| right(train, test, k, j)).collect();
    let share = |right: &Vec<bool>| right.iter().filter(|right| **right).count() as f64 / n as f64;
    let accuracies: Vec<f64> = right.iter().map(share).collect();
    let tops: Vec<[usize; 2]> = accuracies.chunks(m).map(two_largest).collect();
    let gap = |(k, [a, b]): (usize, &[usize; 2])| accuracies[k * m + a] - accuracies[k * m + b];
    let gaps: Vec<f64> = tops.iter().enumerate().map(gap).collect();
    let value = gaps.iter().sum::<f64>() / f as f64;
    let influence = |i: usize| -> f64 {
        let counts = |k: usize, j: usize| f64::from(u8::from(right[k * m + j][i]));
        let difference = |(k, [a, b]): (usize, &[usize; 2])| counts(k, *a) - counts(k, *b);
        tops.iter().enumerate().map(difference).sum::<f64>() / f as f64
    };
    let variance = (0..n).map(|i| (influence(i) - value).powi(2)).sum::<f64>() / n as f64;
    let value = MeasureValue::over_images(value, variance, n);
    Ok(SapScore { value, factors: train.factors().to_vec(), accuracies, gaps })
}

/// Which test images' value of factor k is predicted rightly from latent j.
fn right(train: &Labelled, test: &Labelled, k: usize, j: usize) -> Vec<bool> {
    let (labels, count) = classes(train.values(k));
    // Back from numbers of classes to values.
    let mut values = vec![0; count];
    labels.iter().zip(train.values(k)).for_each(|(&label, &value)| values[usize::from(label)] = value);
    if count < 2 {
        return test.values(k).iter().map(|&value| value == values[0]).collect();
    }
    let predicted = Machines::fit(train.mean(j), &labels, count).predict(test.mean(j));
    predicted.iter().zip(test.values(k)).map(|(&label, &value)| values[usize::from(label)] == value).collect()
}

#[cfg(test)]
mod tests {
    use super::super::cases::{coded, perfect};
    use super::*;
    use crate::random::{Sequence, Stream};

    /// Two or three values on a line are told apart, and the other latent is right by chance, 1 / K: gaps 1/2
    /// and 2/3.
    #[test]
    fn perfect_codes_of_few_values_leave_chance() {
        let sizes = [2, 3];
        let mut random = Sequence::new(8, Stream::Data, 0);
        let values: Vec<u8> =
            (0..9000).flat_map(|_| sizes.map(|size| random.below(size as u32) as u8)).collect();
        let score = score(&coded(&sizes, &values, perfect), 1).unwrap();
        assert_eq!([score.accuracies[0], score.accuracies[3]], [1.0, 1.0]);
        let error = score.value.error.unwrap().value;
        // Both gaps are one minus a mean of n = 3000 hits, of variance 1/4 and 2/9.
        assert!((error / ((0.25f64 + 2.0 / 9.0) / 4.0 / 3000.0).sqrt() - 1.0).abs() < 0.1, "{error}");
        assert!((score.value.value - (0.5 + 2.0 / 3.0) / 2.0).abs() < 5.0 * error, "{:?}", score.value);
    }

    #[test]
    fn equal_latents_leave_no_gap() {
        let values: Vec<u8> = (0..300).map(|i| (i % 3) as u8).collect();
        let data = coded(&[3], &values, |row| vec![f64::from(row[0]); 2]);
        assert_eq!(score(&data, 1).unwrap().value.value, 0.0);
        assert!(score(&coded(&[3], &values, perfect), 1).is_err(), "one latent has no gap");
    }
}
