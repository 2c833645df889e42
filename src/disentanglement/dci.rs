//! DCI: disentanglement, completeness and informativeness, from how much each latent matters to the
//! prediction of each factor.
//!
//! ```text
//! R_kj               importance of latent j in a prediction of factor k: (f, m)
//! disentanglement    sum_j rho_j (1 - H_f(R_.j)), rho_j = sum_k R_kj / sum R; H_f: entropy of shares, base f
//! completeness       sum_k tau_k (1 - H_m(R_k.)), tau_k = sum_j R_kj / sum R; H_m: base m
//! informativeness    share of images whose factor is predicted rightly
//! ```
//!
//! Eastwood and Williams, "A framework for the quantitative evaluation of disentangled representations", ICLR
//! 2018, section 2. Shares are of R + 1e-11, and weights are equal if all of R is 0, as in
//! `disentanglement_lib`, where tau also comes from. Factors are predicted by gradient-boosted trees as there, see
//! `boosting`. The paper's own lasso takes the number of a value for a quantity: a factor whose values have no order, or
//! go round, is hardly predicted so.

use super::{Labelled, MeasureValue, Result, boosting, classes, refused};

/// Added to importances before entropies are formed (`disentanglement_lib`, dci.py).
const ADDED: f64 = 1e-11;

/// DCI and what it is from.
#[derive(Clone, Debug, PartialEq)]
pub struct DciScore {
    /// Disentanglement, mean of the repetitions.
    pub disentanglement: MeasureValue,
    /// Completeness, mean of the repetitions.
    pub completeness: MeasureValue,
    /// Informativeness of the test images, mean over factors.
    pub test: MeasureValue,
    /// The same of the training images.
    pub train: f64,
    /// Names of the factors.
    pub factors: Vec<String>,
    /// R, mean of the repetitions: `(f, m)`.
    pub importance: Vec<f64>,
}

/// DCI of one split.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// R: `(f, m)`.
    pub importance: Vec<f64>,
    /// Informativeness of the training images, per factor.
    pub train: Vec<f64>,
    /// Informativeness of the test images, per factor.
    pub test: Vec<f64>,
}

/// DCI, and with more than one repetition its standard error over splits drawn anew; `disentanglement_lib`
/// takes one.
///
/// # Errors
/// If there are fewer than two latents or factors, no repetition, or too few images.
pub fn score(data: &Labelled, repetitions: usize, seed: u64) -> Result<DciScore> {
    let (f, m) = (data.factors().len(), data.latents());
    let parts: Vec<Part> = (0..repetitions)
        .map(|repetition| {
            let [train, test] = data.split(seed, repetition)?;
            part(&train, &test)
        })
        .collect::<Result<_>>()?;
    if parts.is_empty() {
        return Err(refused("DCI needs at least one repetition"));
    }
    let estimate = |of: &dyn Fn(&Part) -> f64| {
        MeasureValue::over_repetitions(&parts.iter().map(of).collect::<Vec<f64>>())
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let cell = |i: usize| parts.iter().map(|part| part.importance[i]).sum::<f64>() / parts.len() as f64;
    Ok(DciScore {
        disentanglement: estimate(&|part| disentanglement(&part.importance, f)),
        completeness: estimate(&|part| completeness(&part.importance, f)),
        test: estimate(&|part| mean(&part.test)),
        train: estimate(&|part| mean(&part.train)).value,
        factors: data.factors().to_vec(),
        importance: (0..f * m).map(cell).collect(),
    })
}

/// Importances and informativeness of given training and test images.
///
/// # Errors
/// If there are fewer than two latents or factors, or too few images.
pub fn part(train: &Labelled, test: &Labelled) -> Result<Part> {
    let (f, m) = (train.factors().len(), train.latents());
    if f < 2 || m < 2 {
        return Err(refused(format!("DCI needs two latents and two factors that vary; found {m} and {f}")));
    }
    if train.is_empty() || test.is_empty() {
        return Err(refused(format!(
            "{} images are too few to learn from and to test on",
            train.len() + test.len()
        )));
    }
    let features = boosting::SortedFeatures::new(train, test);
    let of_factors: Vec<(Vec<f64>, [f64; 2])> =
        (0..f).map(|k| by_trees(&features, train.values(k), test.values(k))).collect();
    Ok(Part {
        importance: of_factors.iter().flat_map(|(importance, _)| importance.iter().copied()).collect(),
        train: of_factors.iter().map(|(_, [train, _])| *train).collect(),
        test: of_factors.iter().map(|(_, [_, test])| *test).collect(),
    })
}

/// Importances of a factor, and its informativeness of training and test images.
fn by_trees(features: &boosting::SortedFeatures<'_>, train: &[u8], test: &[u8]) -> (Vec<f64>, [f64; 2]) {
    let (labels, count) = classes(train);
    let mut values = vec![0; count];
    labels.iter().zip(train).for_each(|(&label, &value)| values[usize::from(label)] = value);
    let share = |predicted: &[u8], wanted: &[u8]| {
        let right =
            predicted.iter().zip(wanted).filter(|(label, value)| values[usize::from(**label)] == **value);
        right.count() as f64 / wanted.len() as f64
    };
    if count < 2 {
        let only = |wanted: &[u8]| share(&vec![0; wanted.len()], wanted);
        return (vec![0.0; features.latents()], [only(train), only(test)]);
    }
    let fit = boosting::fit(features, &labels, count);
    let shares = [share(&fit.train, train), share(&fit.test, test)];
    (fit.importance, shares)
}

/// Disentanglement of importances `(f, m)`.
pub fn disentanglement(importance: &[f64], f: usize) -> f64 {
    let m = importance.len() / f;
    weighted((0..m).map(|j| importance.iter().skip(j).step_by(m).copied().collect()))
}

/// Completeness of importances `(f, m)`.
pub fn completeness(importance: &[f64], f: usize) -> f64 {
    weighted(importance.chunks(importance.len() / f).map(<[f64]>::to_vec))
}

/// Mean of 1 - entropy, weighted by the sum of each part.
fn weighted(parts: impl Iterator<Item = Vec<f64>>) -> f64 {
    let each: Vec<[f64; 2]> = parts.map(|part| [part.iter().sum(), 1.0 - relative_entropy(&part)]).collect();
    let sum: f64 = each.iter().map(|[weight, _]| weight).sum();
    if sum == 0.0 {
        return each.iter().map(|[_, score]| score).sum::<f64>() / each.len() as f64;
    }
    each.iter().map(|[weight, score]| weight / sum * score).sum()
}

/// Entropy of shares relative to that of equal ones.
fn relative_entropy(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().map(|v| v + ADDED).sum();
    let term = |v: &f64| {
        let share = (v + ADDED) / sum;
        -share * share.ln()
    };
    values.iter().map(term).sum::<f64>() / (values.len() as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::super::cases::{coded, grid, perfect};
    use super::*;

    /// Entropies of a diagonal are 0 and of equal shares 1; 1e-11 changes both by less than 1e-8.
    #[test]
    fn scores_of_importances_are_those_of_entropies() {
        let diagonal = [0.2, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.3];
        for (importance, expected) in
            [(&diagonal[..], [1.0, 1.0]), (&[0.25; 12], [0.0, 0.0]), (&[0.0; 9], [0.0, 0.0])]
        {
            let scores = [disentanglement(importance, 3), completeness(importance, 3)];
            assert!(scores.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-8), "{scores:?}");
        }
        // One latent for both factors is complete but not disentangled, two for one factor the other way
        // round.
        let [shared, double] = [[1.0, 0.0, 1.0, 0.0], [0.5, 0.5, 0.0, 0.0]];
        assert!(disentanglement(&shared, 2) < 1e-8 && completeness(&shared, 2) > 1.0 - 1e-8);
        assert!(disentanglement(&double, 2) > 1.0 - 1e-8 && completeness(&double, 2) < 1e-8);
        // Weights .75 and .25, entropies (1/3, 2/3) and 0: .75 (1 - .918296).
        let uneven = disentanglement(&[0.25, 0.25, 0.5, 0.0], 2);
        assert!((uneven - (0.75 * (1.0 - 0.918_295_834_054) + 0.25)).abs() < 1e-8, "{uneven}");
    }

    #[test]
    fn perfect_codes_are_disentangled_and_complete() {
        let sizes = [3, 5, 8];
        let data = coded(&sizes, &grid(&sizes).repeat(5), perfect);
        let score = score(&data, 2, 1).unwrap();
        assert!(score.disentanglement.value > 0.97 && score.completeness.value > 0.97, "{score:?}");
        assert!(score.disentanglement.error.unwrap().value < 0.02, "{score:?}");
        assert!((score.test.value - 1.0).abs() < 0.01, "{score:?}");
        assert_eq!(score, super::score(&data, 2, 1).unwrap());
        assert!(super::score(&coded(&[3], &[0, 1, 2].repeat(9), |_| vec![1.0, 2.0]), 1, 1).is_err());
    }
}
