//! The Gauss-Bernoulli machine of Schrab, Guedj, Gretton, "KSD aggregated goodness-of-fit test", NeurIPS 2022, and what it
//! becomes when its weights are disturbed:
//!
//! ```text
//! p(x, u) = exp(x'B u / 2 + b'x + c'u - |x|^2 / 2) / Z,  B: (50, 40) of random signs, b and c of N(0, 1)
//! q       the same with B + sigma N, N: (50, 40) of N(0, 1)
//! ```
//!
//! All numbers are NumPy's of seed 0, as theirs (`benches/peers/rbm.py`). [`GaussBernoulliRbm`] calls B / 2 its weights.

use crate::density::GaussBernoulliRbm;
use crate::error::{Error, Result};
use serde::Deserialize;

const NUMBERS: &str = include_str!("rbm.json");

#[derive(Deserialize)]
struct Numbers {
    #[serde(rename = "B")]
    signs: Vec<Vec<f64>>,
    b: Vec<f64>,
    c: Vec<f64>,
    noise: Vec<Vec<f64>>,
}

/// The machine with weights (B + sigma N) / 2.
pub(super) fn machine(sigma: f64) -> Result<GaussBernoulliRbm> {
    let Numbers { signs, b, c, noise } =
        serde_json::from_str(NUMBERS).map_err(|e| Error::usage(format!("the numbers of `rbm`: {e}")))?;
    let row = |(signs, noise): (&Vec<f64>, &Vec<f64>)| {
        signs.iter().zip(noise).map(|(sign, noise)| 0.5 * (sign + sigma * noise)).collect()
    };
    GaussBernoulliRbm::new(signs.iter().zip(&noise).map(row).collect(), b, c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::Density;

    /// Numbers that NumPy prints for seed 0.
    #[test]
    fn the_numbers_are_those_of_numpy() {
        let Numbers { signs, b, c, noise } = serde_json::from_str(NUMBERS).unwrap();
        assert_eq!((signs.len(), b.len(), c.len(), noise.len()), (50, 50, 40, 50));
        assert!(signs.iter().chain(&noise).all(|row| row.len() == 40));
        assert_eq!(signs[0][..6], [-1.0, 1.0, 1.0, -1.0, 1.0, 1.0]);
        let got = [b[0], b[49], c[0], c[39], noise[0][0], noise[0][1], noise[49][39]];
        let want: [f64; 7] = [
            -0.101_697_274_554_871_6,
            1.735_878_997_685_713_2,
            -0.667_712_720_570_559,
            -0.436_748_337_458_007_4,
            -1.642_965_293_530_609_2,
            -0.406_071_796_259_831_9,
            -0.837_776_259_385_205_7,
        ];
        for (got, want) in got.into_iter().zip(want) {
            // A number read from JSON may be off in its last bit.
            assert!((got - want).abs() <= f64::EPSILON * want.abs(), "{got} is not {want}");
        }
    }

    /// s(x) = b - x + B/2 tanh(B'x / 2 + c), by plain loops.
    #[test]
    fn weights_are_half_of_the_disturbed_signs() {
        let Numbers { signs, b, c, noise } = serde_json::from_str(NUMBERS).unwrap();
        for sigma in [0.0, 0.03] {
            let weight = |i: usize, j: usize| signs[i][j] + sigma * noise[i][j];
            let x: Vec<f64> = (0..50).map(|i| (i as f64).sin()).collect();
            let mut score = vec![f64::NAN; 50];
            machine(sigma).unwrap().score(&x, &mut score).unwrap();
            let unit = |j: usize| (c[j] + (0..50).map(|i| weight(i, j) * x[i]).sum::<f64>() / 2.0).tanh();
            for i in 0..50 {
                let want = b[i] - x[i] + (0..40).map(|j| weight(i, j) / 2.0 * unit(j)).sum::<f64>();
                assert!((score[i] - want).abs() < 1e-12, "sigma {sigma}, score {i}: {}, {want}", score[i]);
            }
        }
    }
}
