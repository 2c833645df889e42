//! Multinomial logistic regression with a quadratic penalty, by Newton's method in f64.
//!
//! ```text
//! x            features with a 1 appended: (n, m + 1);  y: (n) of 0..K;  W: (K, m + 1), intercepts last
//! p_ik         = exp(w_k x_i) / sum_l exp(w_l x_i)
//! loss         = - sum_i ln p_iy + lambda / 2 |W|^2, the intercept not penalised
//! gradient     = (p - 1_y)^T x + lambda W
//! Hessian      block (k, l) = sum_i p_ik (1_kl - p_il) x_i x_i^T + lambda 1_kl, the intercept without lambda
//! ```
//!
//! The optimum is that of scikit-learn's `LogisticRegression()` with C = 1 / lambda = 1, which stops its
//! L-BFGS earlier. Of two classes scikit-learn penalises the difference u of their weights by |u|^2 / 2; here
//! they are u / 2 and -u / 2, and lambda is 2 to the same end. The loss does not change if a number is added
//! to all intercepts: a multiple of the squared sum of the intercepts' direction makes the Hessian regular
//! and no step different, as gradients have no part in it.

use super::largest;

/// lambda (scikit-learn, `C = 1.0`).
const PENALTY: f64 = 1.0;

/// Newton's method needs about ten steps; more than these mean that it fails.
const MOST_STEPS: usize = 100;

/// Convergence: what a step promises to gain, relative to the loss.
const TOLERANCE: f64 = 1e-14;

/// A step is halved until it gains this part of what its slope promises (Armijo).
const SUFFICIENT: f64 = 1e-4;

/// Halvings of a step before it is given up.
const MOST_HALVINGS: usize = 40;

/// A fitted model.
pub(super) struct LogisticModel {
    m: usize,
    /// W: `(K, m + 1)`.
    pub(super) weights: Vec<f64>,
}

struct LogisticRegression<'a> {
    features: &'a [f64],
    labels: &'a [u8],
    m: usize,
    classes: usize,
    penalty: f64,
}

/// Fits labels `(n)` below `classes` to features `(n, m)`; None if the method does not converge.
pub(super) fn fit(features: &[f64], labels: &[u8], m: usize, classes: usize) -> Option<LogisticModel> {
    let penalty = if classes == 2 { 2.0 * PENALTY } else { PENALTY };
    let problem = LogisticRegression { features, labels, m, classes, penalty };
    let mut weights = vec![0.0; classes * (m + 1)];
    let mut loss = problem.loss(&weights);
    for _ in 0..MOST_STEPS {
        let (gradient, mut hessian) = problem.derivatives(&weights);
        let step = solve(&mut hessian, &gradient)?;
        let slope: f64 = step.iter().zip(&gradient).map(|(s, g)| s * g).sum();
        let moved =
            |length: f64| -> Vec<f64> { weights.iter().zip(&step).map(|(w, s)| w - length * s).collect() };
        if slope <= TOLERANCE * (1.0 + loss) {
            return Some(LogisticModel { m, weights: moved(1.0) });
        }
        let lengths = (0..MOST_HALVINGS).map(|halving| 0.5f64.powi(halving as i32));
        let tried = lengths.map(|length| (length, moved(length)));
        let mut losses = tried.map(|(length, weights)| (length, problem.loss(&weights), weights));
        let gained = losses.find(|(length, other, _)| *other <= loss - SUFFICIENT * length * slope);
        // No step gains anything: rounding is all that is left.
        let Some((_, less, better)) = gained else { return Some(LogisticModel { m, weights }) };
        (loss, weights) = (less, better);
    }
    None
}

impl LogisticModel {
    /// The class of largest score of each point.
    pub(super) fn predict(&self, features: &[f64]) -> Vec<u8> {
        let class = |x: &[f64]| largest(scores(&self.weights, x)) as u8;
        features.chunks(self.m).map(class).collect()
    }
}

/// `w_k x` of each class.
fn scores<'a>(weights: &'a [f64], x: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    let score = move |w: &[f64]| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + w[x.len()];
    weights.chunks(x.len() + 1).map(score)
}

impl LogisticRegression<'_> {
    fn points(&self) -> impl Iterator<Item = (&[f64], usize)> {
        self.features.chunks(self.m).zip(self.labels.iter().map(|&y| usize::from(y)))
    }

    fn loss(&self, weights: &[f64]) -> f64 {
        let of_point = |(x, y): (&[f64], usize)| {
            let scores: Vec<f64> = scores(weights, x).collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            most + scores.iter().map(|s| (s - most).exp()).sum::<f64>().ln() - scores[y]
        };
        let square: f64 = weights.chunks(self.m + 1).flat_map(|w| &w[..self.m]).map(|w| w * w).sum();
        self.points().map(of_point).sum::<f64>() + 0.5 * self.penalty * square
    }

    /// Gradient and Hessian, rows and columns in the order of W.
    fn derivatives(&self, weights: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (width, classes) = (self.m + 1, self.classes);
        let size = classes * width;
        let (mut gradient, mut hessian) = (vec![0.0; size], vec![0.0; size * size]);
        let (mut p, mut extended) = (vec![0.0; classes], vec![1.0; width]);
        for (x, y) in self.points() {
            extended[..self.m].copy_from_slice(x);
            probabilities(weights, x, &mut p);
            for k in 0..classes {
                let residual = p[k] - f64::from(u8::from(k == y));
                let row = &mut gradient[k * width..(k + 1) * width];
                row.iter_mut().zip(&extended).for_each(|(g, x)| *g += residual * x);
                // The lower half of the blocks: the solver asks for no more.
                for l in 0..=k {
                    let weight = p[k] * (f64::from(u8::from(k == l)) - p[l]);
                    for (a, xa) in extended.iter().enumerate() {
                        let row = &mut hessian[(k * width + a) * size + l * width..][..width];
                        row.iter_mut().zip(&extended).for_each(|(h, xb)| *h += weight * xa * xb);
                    }
                }
            }
        }
        for i in (0..size).filter(|i| i % width != self.m) {
            gradient[i] += self.penalty * weights[i];
            hessian[i * size + i] += self.penalty;
        }
        // See above: the direction of all intercepts.
        let intercepts = || (0..classes).map(|k| k * width + self.m);
        for i in intercepts() {
            intercepts().for_each(|j| hessian[i * size + j] += 1.0);
        }
        (gradient, hessian)
    }
}

fn probabilities(weights: &[f64], x: &[f64], p: &mut [f64]) {
    p.iter_mut().zip(scores(weights, x)).for_each(|(p, score)| *p = score);
    let most = p.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    p.iter_mut().for_each(|p| *p = (*p - most).exp());
    let sum: f64 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= sum);
}

/// x of A x = b by Cholesky's factors, which overwrite the lower half of A; None if A is not positive
/// definite.
fn solve(a: &mut [f64], b: &[f64]) -> Option<Vec<f64>> {
    let n = b.len();
    let mut x = b.to_vec();
    for i in 0..n {
        for j in 0..=i {
            let product: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            let rest = a[i * n + j] - product;
            a[i * n + j] = if i == j { rest.sqrt() } else { rest / a[j * n + j] };
        }
        if a[i * n + i].is_nan() || a[i * n + i] <= 0.0 {
            return None;
        }
        let known: f64 = (0..i).map(|k| a[i * n + k] * x[k]).sum();
        x[i] = (x[i] - known) / a[i * n + i];
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| a[k * n + i] * x[k]).sum();
        x[i] = (x[i] - known) / a[i * n + i];
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Sequence, Stream};

    /// Without features only shares are left: intercepts differ by ln of their ratio.
    #[test]
    fn intercepts_are_logarithms_of_shares() {
        let labels: Vec<u8> = [0; 10].into_iter().chain([1; 20]).chain([2; 70]).collect();
        let model = fit(&[0.0; 100], &labels, 1, 3).unwrap();
        let intercept = |k: usize| model.weights[2 * k + 1];
        assert!((intercept(1) - intercept(0) - 2f64.ln()).abs() < 1e-9, "{:?}", model.weights);
        assert!((intercept(2) - intercept(1) - 3.5f64.ln()).abs() < 1e-9);
        assert_eq!(model.predict(&[0.0]), [2]);
    }

    /// Derivatives against differences of the loss, and none at the optimum.
    #[test]
    fn the_gradient_is_that_of_the_loss_and_vanishes() {
        let mut random = Sequence::new(1, Stream::Data, 0);
        let features: Vec<f64> = (0..600).map(|_| random.normal_f64()).collect();
        let labels: Vec<u8> =
            features.chunks(3).map(|x| if x[0] > 0.3 { 0 } else { u8::from(x[1] > x[2]) + 1 }).collect();
        let problem =
            LogisticRegression { features: &features, labels: &labels, m: 3, classes: 3, penalty: PENALTY };
        let mut weights: Vec<f64> = (0..12).map(|_| random.normal_f64()).collect();
        let (gradient, _) = problem.derivatives(&weights);
        for (i, expected) in gradient.iter().enumerate() {
            let mut at = |shift: f64| {
                weights[i] += shift;
                problem.loss(&weights)
            };
            let difference = (at(1e-4) - at(-2e-4)) / 2e-4;
            weights[i] += 1e-4;
            assert!((difference - expected).abs() < 1e-5, "{i}: {difference}, {expected}");
        }
        let model = fit(&features, &labels, 3, 3).unwrap();
        let (gradient, _) = problem.derivatives(&model.weights);
        assert!(gradient.iter().all(|g| g.abs() < 1e-6), "{gradient:?}");
    }

    #[test]
    fn equations_are_solved() {
        // [[4, 2], [2, 3]] x = [8, 7]: x = [1.25, 1.5].
        let x = solve(&mut [4.0, 0.0, 2.0, 3.0], &[8.0, 7.0]).unwrap();
        assert!((x[0] - 1.25).abs() < 1e-14 && (x[1] - 1.5).abs() < 1e-14, "{x:?}");
        assert!(solve(&mut [0.0], &[1.0]).is_none());
    }
}
