//! Checks for the tests of all families: the score against differences, the draws against the score.

use super::{Coordinates, Density};
use crate::random::{Sequence, Stream};

/// Draws for the checks that average.
const DRAWS: usize = 8_000;

/// How many standard errors a mean may be off. Draws are seeded, so a test that passes always passes; beyond 4 are 6
/// in 100,000.
const ERRORS: f64 = 4.0;

fn draws(density: &dyn Density, n: usize) -> Vec<f64> {
    let points = density.sample(n, &mut Sequence::new(1, Stream::Model, 0)).expect("can be drawn from");
    assert_eq!(points.len(), n * density.dimension());
    points
}

fn score(density: &dyn Density, x: &[f64]) -> Vec<f64> {
    let mut score = vec![f64::NAN; x.len()];
    density.score(x, &mut score).expect("a score");
    score
}

/// ln density of the coordinates y.
fn ln_density(density: &dyn Density, y: &[f64]) -> f64 {
    match density.coordinates() {
        Coordinates::Data => density.ln_density(y).expect("known"),
        Coordinates::Logarithms => {
            // dx/dy = x.
            let x: Vec<f64> = y.iter().map(|y| y.exp()).collect();
            density.ln_density(&x).expect("known") + y.iter().sum::<f64>()
        }
    }
}

fn coordinates(density: &dyn Density, x: &[f64]) -> Vec<f64> {
    let mut y = vec![f64::NAN; x.len()];
    density.coordinates().of(x, &mut y).expect("inside");
    y
}

/// The score is the gradient of the ln density, by central differences at draws.
///
/// With f around 10 and third derivatives around 10, a step of 1e-5 leaves 1e-16 * 10 / 1e-5 = 1e-10 of rounding and
/// 1e-10 * 10 / 6 of truncation.
pub(super) fn gradient(density: &dyn Density) {
    const STEP: f64 = 1e-5;
    for x in draws(density, 50).chunks(density.dimension()) {
        let (score, y) = (score(density, x), coordinates(density, x));
        for i in 0..y.len() {
            let at = |step: f64| {
                let mut y = y.clone();
                y[i] += step;
                ln_density(density, &y)
            };
            let difference = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            let close = (difference - score[i]).abs() < 1e-8 * (1.0 + score[i].abs());
            assert!(close, "{density:?} at {x:?}: score {}, difference {difference}", score[i]);
        }
    }
}

/// The mean of values is what is wanted, within standard errors.
fn mean_is(values: &[f64], wanted: f64, what: &str) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    let error = (variance / n).sqrt();
    assert!((mean - wanted).abs() < ERRORS * error, "{what}: {mean}, not {wanted}, with an error of {error}");
}

/// Stein's identities: E s = 0 and E s y' = -I under the model.
pub(super) fn stein(density: &dyn Density) {
    let d = density.dimension();
    let points = draws(density, DRAWS);
    let rows: Vec<[Vec<f64>; 2]> =
        points.chunks(d).map(|x| [score(density, x), coordinates(density, x)]).collect();
    for i in 0..d {
        let scores: Vec<f64> = rows.iter().map(|[s, _]| s[i]).collect();
        mean_is(&scores, 0.0, &format!("{density:?}: mean of score {i}"));
        for j in 0..d {
            let products: Vec<f64> = rows.iter().map(|[s, y]| s[i] * y[j]).collect();
            let wanted = if i == j { -1.0 } else { 0.0 };
            mean_is(&products, wanted, &format!("{density:?}: mean of score {i} times coordinate {j}"));
        }
    }
}

/// A density of one dimension, smooth but for a kink at 0.5 and within about [-30, 40], has the integral 1.
pub(super) fn integral(density: &dyn Density) {
    // The trapezoidal rule: exact to 1e-9 for the smooth ones, to step^2 / 12 times the kink's jump otherwise.
    const STEP: f64 = 1.0 / 1024.0;
    let values =
        (-61_440..=61_440).map(|i| density.ln_density(&[0.5 + f64::from(i) * STEP]).expect("known").exp());
    let integral = STEP * values.sum::<f64>();
    assert!((integral - 1.0).abs() < 2e-7, "{density:?}: the integral is {integral}");
}

/// Means and covariances of draws.
pub(super) struct Moments {
    d: usize,
    points: Vec<f64>,
}

impl Moments {
    pub(super) fn of(density: &dyn Density) -> Self {
        Self { d: density.dimension(), points: draws(density, DRAWS) }
    }

    fn column(&self, i: usize) -> impl Iterator<Item = f64> {
        self.points.iter().skip(i).step_by(self.d).copied()
    }

    fn mean(&self, i: usize) -> f64 {
        self.column(i).sum::<f64>() / DRAWS as f64
    }

    pub(super) fn mean_is(&self, i: usize, wanted: f64) {
        mean_is(&self.column(i).collect::<Vec<_>>(), wanted, &format!("mean {i}"));
    }

    pub(super) fn covariance_is(&self, i: usize, j: usize, wanted: f64) {
        let means = [self.mean(i), self.mean(j)];
        let products: Vec<f64> =
            self.column(i).zip(self.column(j)).map(|(x, y)| (x - means[0]) * (y - means[1])).collect();
        mean_is(&products, wanted, &format!("covariance {i}, {j}"));
    }
}
