//! Linear regression with an L1 penalty, by coordinate descent.
//!
//! ```text
//! x: (n, m), y: (n), both standardised by the points to learn from;  loss = 1 / (2 n) |y - x w|^2 + a |w|_1
//! step         w_j = soft(x_j (y - x w + x_j w_j) / n, a), soft(u, a) = sign(u) max(|u| - a, 0)
//! a            of 30 from a_0 = max_j |x_j y| / n, where all weights are 0, to a_0 / 1000; by points apart
//! ```
//!
//! Tibshirani, "Regression shrinkage and selection via the lasso", JRSS B 1996; the steps and the range of
//! penalties are those of Friedman, Hastie, Tibshirani, "Regularization paths for generalized linear models
//! via coordinate descent", Journal of Statistical Software 2010. Products of features are formed once, so
//! that a step costs m, not n.

/// Penalties that are tried.
const PENALTIES: usize = 30;

/// The least penalty relative to the largest (Friedman et al. 2010, section 2.5).
const LEAST: f64 = 1e-3;

/// Convergence: the largest change of a weight; standardised weights are of order 1.
const TOLERANCE: f64 = 1e-10;

/// Rounds of steps: far more than standardised features need.
const MOST_ROUNDS: usize = 10_000;

/// Mean and standard deviation of a variable, 1 if it is constant.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    mean: f64,
    std: f64,
}

impl Scale {
    pub(super) fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let std = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        Self { mean, std: if std > 0.0 { std } else { 1.0 } }
    }

    pub(super) fn apply(self, values: &[f64]) -> Vec<f64> {
        values.iter().map(|v| (v - self.mean) / self.std).collect()
    }
}

/// Products of standardised features with each other and with y, over n: all that a fit needs.
struct Products {
    /// `(m, m)`.
    features: Vec<f64>,
    /// `(m)`.
    target: Vec<f64>,
}

impl Products {
    fn new(x: &[Vec<f64>], y: &[f64]) -> Self {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / y.len() as f64;
        let features = x.iter().flat_map(|a| x.iter().map(move |b| dot(a, b))).collect();
        Self { features, target: x.iter().map(|a| dot(a, y)).collect() }
    }

    /// Weights of one penalty, from those of a similar one.
    fn descend(&self, weights: &mut [f64], penalty: f64) {
        let m = weights.len();
        for _ in 0..MOST_ROUNDS {
            let mut moved: f64 = 0.0;
            for j in 0..m {
                let row = &self.features[j * m..(j + 1) * m];
                let others: f64 = row.iter().zip(&*weights).map(|(product, w)| product * w).sum();
                let free = self.target[j] - others + row[j] * weights[j];
                let soft = free.signum() * (free.abs() - penalty).max(0.0);
                // A constant feature has products of 0 and no weight.
                let weight = if row[j] > 0.0 { soft / row[j] } else { 0.0 };
                moved = moved.max((weight - weights[j]).abs());
                weights[j] = weight;
            }
            if moved < TOLERANCE {
                break;
            }
        }
    }
}

/// Mean square error of standardised points.
pub(super) fn square_error(x: &[Vec<f64>], y: &[f64], weights: &[f64]) -> f64 {
    let predicted = |i: usize| x.iter().zip(weights).map(|(column, w)| column[i] * w).sum::<f64>();
    y.iter().enumerate().map(|(i, y)| (y - predicted(i)).powi(2)).sum::<f64>() / y.len() as f64
}

/// Weights `(m)` of the penalty whose error on the second points is least; all are standardised alike.
pub(super) fn fit(train: (&[Vec<f64>], &[f64]), validation: (&[Vec<f64>], &[f64])) -> Vec<f64> {
    let products = Products::new(train.0, train.1);
    let largest = products.target.iter().map(|t| t.abs()).fold(0.0, f64::max);
    let mut weights = vec![0.0; train.0.len()];
    let mut best = (f64::INFINITY, weights.clone());
    for step in 0..PENALTIES {
        let penalty = largest * LEAST.powf(step as f64 / (PENALTIES - 1) as f64);
        products.descend(&mut weights, penalty);
        let error = square_error(validation.0, validation.1, &weights);
        if error < best.0 {
            best = (error, weights.clone());
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Orthogonal features: w_j = soft(x_j y / n, a).
    #[test]
    fn orthogonal_features_are_thresholded() {
        let x = [vec![1.0, 1.0, -1.0, -1.0], vec![1.0, -1.0, 1.0, -1.0], vec![0.0; 4]];
        let y: Vec<f64> = (0..4).map(|i| 0.8 * x[0][i] - 0.3 * x[1][i]).collect();
        let mut weights = vec![0.0; 3];
        for (penalty, expected) in [(0.1, [0.7, -0.2, 0.0]), (0.5, [0.3, 0.0, 0.0]), (0.9, [0.0; 3])] {
            Products::new(&x, &y).descend(&mut weights, penalty);
            assert!(
                weights.iter().zip(expected).all(|(w, e): (&f64, f64)| (w - e).abs() < 1e-12),
                "{weights:?}"
            );
        }
        // Without noise the least penalty predicts best.
        let best = fit((&x, &y), (&x, &y));
        assert!((best[0] - (0.8 - 0.8 * LEAST)).abs() < 1e-12, "{best:?}");
    }

    #[test]
    fn scales_standardise() {
        let values = [1.0, 3.0, 5.0];
        let standard = Scale::of(&values).apply(&values);
        let expected = 1.5f64.sqrt();
        assert!((standard[0] + expected).abs() < 1e-15 && standard[1] == 0.0, "{standard:?}");
        assert_eq!(Scale::of(&[2.0; 3]).apply(&[2.0]), [0.0]);
    }
}
