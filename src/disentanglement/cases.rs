//! Posteriors of which the measures' values can be derived.

use super::{FactorEncoder, FactorValues, Labelled, Posteriors, Result};

/// All combinations of factors, the last one fastest: `(n, f)`.
pub(super) fn grid(sizes: &[usize]) -> Vec<u8> {
    let n: usize = sizes.iter().product();
    let combination = |i: usize| {
        let mut rest = i;
        let mut row: Vec<u8> = vec![0; sizes.len()];
        for (value, size) in row.iter_mut().zip(sizes).rev() {
            (*value, rest) = ((rest % size) as u8, rest / size);
        }
        row
    };
    (0..n).flat_map(combination).collect()
}

/// Posteriors without widths that are a function of factors.
pub(super) fn coded(sizes: &[usize], values: &[u8], code: impl Fn(&[u8]) -> Vec<f64>) -> Labelled {
    let mean: Vec<f64> = values.chunks(sizes.len()).flat_map(code).collect();
    let n = values.len() / sizes.len();
    let codes = Posteriors { n, m: mean.len() / n, mean: &mean, log_std: None };
    let names: Vec<String> = (0..sizes.len()).map(|k| format!("f{k}")).collect();
    Labelled::new(codes, FactorValues { names: &names, sizes, values }).unwrap()
}

/// Latent j is factor j, as a number.
pub(super) fn perfect(row: &[u8]) -> Vec<f64> {
    row.iter().map(|&v| f64::from(v)).collect()
}

/// An encoder that is a function of factors.
pub(super) struct Coded<F> {
    pub(super) sizes: Vec<usize>,
    pub(super) m: usize,
    pub(super) code: F,
}

impl<F: Fn(&[u8]) -> Vec<f64>> FactorEncoder for Coded<F> {
    fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    fn latents(&self) -> usize {
        self.m
    }

    fn encode(&mut self, factors: &[u8]) -> Result<Vec<f64>> {
        Ok(factors.chunks(self.sizes.len()).flat_map(&self.code).collect())
    }
}
