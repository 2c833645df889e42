//! Covariances and their Cholesky factors: C = L L', L lower triangular.
//!
//! Plain loops, O(d^3) once and O(d^2) for each point. Rows of L are contiguous, so both substitutions run along
//! them.

use super::{check_numbers, check_positive};
use crate::error::{Error, Result};
use serde::Serialize;

/// Entries on both sides of the diagonal may differ by this share of sqrt(c_ii c_jj): more than rounding and
/// printing with nine digits leave, less than anyone means.
const SYMMETRY: f64 = 1e-8;

/// A symmetric positive-definite matrix `(d, d)`, as it is written: a list of rows, or the list of its diagonal
/// where all the rest is 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Covariance {
    /// All rows.
    Full(Vec<Vec<f64>>),
    /// The variances of uncorrelated coordinates.
    Diagonal(Vec<f64>),
}

impl Covariance {
    /// The entry in row i, column j.
    pub fn entry(&self, i: usize, j: usize) -> f64 {
        match self {
            Self::Full(rows) => rows[i][j],
            Self::Diagonal(variances) if i == j => variances[i],
            Self::Diagonal(_) => 0.0,
        }
    }
}

impl From<Vec<Vec<f64>>> for Covariance {
    fn from(rows: Vec<Vec<f64>>) -> Self {
        Self::Full(rows)
    }
}

impl From<Vec<f64>> for Covariance {
    fn from(variances: Vec<f64>) -> Self {
        Self::Diagonal(variances)
    }
}

/// L of a covariance.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Factor {
    /// L `(d, d)`, row-major; what is above the diagonal is not used.
    Full(Vec<f64>),
    /// The diagonal of L `(d)`.
    Diagonal(Vec<f64>),
}

impl Factor {
    /// Checks and factors a matrix that messages call `name`.
    pub(super) fn new(covariance: &Covariance, d: usize, name: &str) -> Result<Self> {
        let rows = match covariance {
            Covariance::Diagonal(variances) => {
                check_positive(name, variances, d)?;
                return Ok(Self::Diagonal(variances.iter().map(|variance| variance.sqrt()).collect()));
            }
            Covariance::Full(rows) => rows,
        };
        if rows.len() != d || rows.iter().any(|row| row.len() != d) {
            let columns = rows.iter().find(|row| row.len() != d).map_or(d, Vec::len);
            return Err(Error::usage(format!(
                "`{name}` is {} x {columns}, but the model has {d} dimensions; give a {d} x {d} matrix",
                rows.len()
            )));
        }
        for (i, row) in rows.iter().enumerate() {
            check_numbers(&format!("{name}[{i}]"), row, d)?;
            if row[i] <= 0.0 {
                return Err(Error::usage(format!(
                    "`{name}[{i}][{i}]` is {}; give a positive variance",
                    row[i]
                )));
            }
        }
        for i in 0..d {
            for j in 0..i {
                let (lower, upper) = (rows[i][j], rows[j][i]);
                if (lower - upper).abs() > SYMMETRY * rows[i][i].sqrt() * rows[j][j].sqrt() {
                    return Err(Error::usage(format!(
                        "`{name}` is not symmetric: `{name}[{i}][{j}]` is {lower} and `{name}[{j}][{i}]` is {upper}; \
                         give a symmetric matrix"
                    )));
                }
            }
        }
        cholesky(rows.concat(), d).map(Self::Full).map_err(|row| {
            Error::usage(format!(
                "`{name}` is not positive definite: its first {} rows and columns already have an eigenvalue that \
                 is not positive; give a positive-definite matrix",
                row + 1
            ))
        })
    }

    /// Half of ln det C.
    pub(super) fn half_ln_determinant(&self, d: usize) -> f64 {
        (0..d).map(|i| self.diagonal(i, d).ln()).sum()
    }

    fn diagonal(&self, i: usize, d: usize) -> f64 {
        match self {
            Self::Full(lower) => lower[i * d + i],
            Self::Diagonal(diagonal) => diagonal[i],
        }
    }

    /// v = L^-1 v: v'v is then the old v'C^-1 v.
    pub(super) fn whiten(&self, v: &mut [f64]) {
        let d = v.len();
        match self {
            Self::Full(lower) => {
                for i in 0..d {
                    let row = &lower[i * d..][..=i];
                    let sum: f64 = row[..i].iter().zip(&*v).map(|(l, v)| l * v).sum();
                    v[i] = (v[i] - sum) / row[i];
                }
            }
            Self::Diagonal(diagonal) => v.iter_mut().zip(diagonal).for_each(|(v, l)| *v /= l),
        }
    }

    /// v = L'^-1 v: after [`Factor::whiten`], C^-1 of the first v.
    pub(super) fn whiten_transposed(&self, v: &mut [f64]) {
        let d = v.len();
        match self {
            Self::Full(lower) => {
                for i in (0..d).rev() {
                    let row = &lower[i * d..][..=i];
                    v[i] /= row[i];
                    let solved = v[i];
                    v[..i].iter_mut().zip(row).for_each(|(v, l)| *v -= l * solved);
                }
            }
            Self::Diagonal(_) => self.whiten(v),
        }
    }

    /// v = L v: draws from N(0, C) if v are draws from N(0, I).
    pub(super) fn colour(&self, v: &mut [f64]) {
        let d = v.len();
        match self {
            Self::Full(lower) => {
                // From the last row on, as row i needs the old v of all rows before it.
                for i in (0..d).rev() {
                    v[i] = lower[i * d..][..=i].iter().zip(&*v).map(|(l, v)| l * v).sum();
                }
            }
            Self::Diagonal(diagonal) => v.iter_mut().zip(diagonal).for_each(|(v, l)| *v *= l),
        }
    }
}

/// L of a symmetric matrix `(d, d)`, of which only the lower triangle is read; where the matrix is not positive
/// definite, or not within rounding, the number of the first row at which that shows.
pub(super) fn cholesky(mut matrix: Vec<f64>, d: usize) -> std::result::Result<Vec<f64>, usize> {
    for i in 0..d {
        let (above, rest) = matrix.split_at_mut(i * d);
        let row = &mut rest[..=i];
        for j in 0..i {
            let other = &above[j * d..][..=j];
            let sum: f64 = row[..j].iter().zip(other).map(|(a, b)| a * b).sum();
            row[j] = (row[j] - sum) / other[j];
        }
        let pivot = row[i] - row[..i].iter().map(|l| l * l).sum::<f64>();
        // What a pivot of zero may become by rounding.
        if pivot.is_nan() || pivot <= d as f64 * f64::EPSILON * row[i] {
            return Err(i);
        }
        row[i] = pivot.sqrt();
    }
    Ok(matrix)
}

/// L^-1 of a lower triangular matrix `(d, d)`: with it, L^-1 v has rows that do not wait for each other.
pub(super) fn inverse(lower: &[f64], d: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; d * d];
    for i in 0..d {
        let row = &lower[i * d..][..=i];
        for j in 0..=i {
            let sum: f64 = (j..i).map(|k| row[k] * inverse[k * d + j]).sum();
            inverse[i * d + j] = if i == j { 1.0 / row[i] } else { -sum / row[i] };
        }
    }
    inverse
}

/// Eigenvalues `(d)` and eigenvectors, the columns of `(d, d)`, of a symmetric matrix: Jacobi's rotations, cyclic
/// by rows (Golub and Van Loan, "Matrix computations", section 8.5).
pub(super) fn eigen(mut a: Vec<f64>, d: usize) -> (Vec<f64>, Vec<f64>) {
    // Convergence is quadratic at the end: ten sweeps are plenty for matrices of a few hundred rows.
    const MOST_SWEEPS: usize = 30;
    let mut vectors: Vec<f64> = (0..d * d).map(|i| if i / d == i % d { 1.0 } else { 0.0 }).collect();
    for _ in 0..MOST_SWEEPS {
        let mut rotated = false;
        for p in 0..d {
            for q in p + 1..d {
                let off = a[p * d + q];
                if off.abs() <= f64::EPSILON * (a[p * d + p] * a[q * d + q]).abs().sqrt() {
                    continue;
                }
                rotated = true;
                let theta = (a[q * d + q] - a[p * d + p]) / (2.0 * off);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                let s = t * c;
                for k in 0..d {
                    let (x, y) = (a[k * d + p], a[k * d + q]);
                    (a[k * d + p], a[k * d + q]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..d {
                    let (x, y) = (a[p * d + k], a[q * d + k]);
                    (a[p * d + k], a[q * d + k]) = (c * x - s * y, s * x + c * y);
                    let (x, y) = (vectors[k * d + p], vectors[k * d + q]);
                    (vectors[k * d + p], vectors[k * d + q]) = (c * x - s * y, s * x + c * y);
                }
                (a[p * d + q], a[q * d + p]) = (0.0, 0.0);
            }
        }
        if !rotated {
            break;
        }
    }
    ((0..d).map(|i| a[i * d + i]).collect(), vectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> Vec<Vec<f64>> {
        vec![vec![4.0, 2.0, -1.0], vec![2.0, 3.0, 0.5], vec![-1.0, 0.5, 2.0]]
    }

    fn multiply(rows: &[Vec<f64>], v: &[f64]) -> Vec<f64> {
        rows.iter().map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum()).collect()
    }

    /// Tolerances: a handful of operations on numbers around 1.
    #[test]
    fn factors_solve_and_colour() {
        let diagonal = Covariance::Diagonal(vec![4.0, 9.0, 0.25]);
        let rows = (0..3).map(|i| (0..3).map(|j| diagonal.entry(i, j)).collect()).collect();
        for (covariance, rows, determinant) in
            [(diagonal, rows, 9.0), (Covariance::Full(matrix()), matrix(), 10.0)]
        {
            let factor = Factor::new(&covariance, 3, "c").expect("positive definite");
            assert!((2.0 * factor.half_ln_determinant(3) - f64::ln(determinant)).abs() < 1e-14);
            let v = [1.0, -2.0, 3.0];
            let mut solved = v;
            factor.whiten(&mut solved);
            factor.whiten_transposed(&mut solved);
            let mut coloured = v;
            factor.colour(&mut coloured);
            factor.whiten(&mut coloured);
            for i in 0..3 {
                assert!((multiply(&rows, &solved)[i] - v[i]).abs() < 1e-13, "{covariance:?}: C C^-1 v");
                assert!((coloured[i] - v[i]).abs() < 1e-14, "{covariance:?}: L^-1 L v");
            }
        }
    }

    #[test]
    fn the_inverse_whitens() {
        let lower = cholesky(matrix().concat(), 3).expect("positive definite");
        let inverse = inverse(&lower, 3);
        let (v, mut whitened) = ([1.0, -2.0, 3.0], [1.0, -2.0, 3.0]);
        Factor::Full(lower).whiten(&mut whitened);
        for (i, whitened) in whitened.iter().enumerate() {
            let sum: f64 = inverse[i * 3..][..3].iter().zip(v).map(|(w, v)| w * v).sum();
            assert!((sum - whitened).abs() < 1e-14, "row {i}: {sum}, {whitened}");
        }
    }

    #[test]
    fn wrong_matrices_are_refused() {
        let full = |rows: &[&[f64]]| Covariance::Full(rows.iter().map(|row| row.to_vec()).collect());
        for (covariance, words) in [
            (full(&[&[1.0, 0.0]]), "`c` is 1 x 2, but the model has 2 dimensions; give a 2 x 2 matrix"),
            (full(&[&[1.0, 0.0], &[0.0]]), "`c` is 2 x 1"),
            (full(&[&[1.0, 0.5], &[0.4, 1.0]]), "not symmetric: `c[1][0]` is 0.4 and `c[0][1]` is 0.5"),
            (full(&[&[1.0, 2.0], &[2.0, 1.0]]), "not positive definite: its first 2 rows"),
            (full(&[&[1.0, 1.0], &[1.0, 1.0]]), "not positive definite"),
            (full(&[&[1.0, 0.0], &[0.0, -1.0]]), "`c[1][1]` is -1; give a positive variance"),
            (full(&[&[1.0, f64::NAN], &[0.0, 1.0]]), "`c[0][1]` is NaN; give a finite number"),
            (Covariance::Diagonal(vec![1.0]), "`c` has 1 numbers, but the model needs 2"),
            (Covariance::Diagonal(vec![1.0, 0.0]), "`c[1]` is 0; give a positive number"),
        ] {
            let problem = Factor::new(&covariance, 2, "c").expect_err("wrong").to_string();
            assert!(problem.contains(words), "{covariance:?}: {problem}");
        }
    }

    #[test]
    fn eigenvectors_are_stretched_by_their_eigenvalues() {
        let (values, vectors) = eigen(matrix().concat(), 3);
        assert!((values.iter().sum::<f64>() - 9.0).abs() < 1e-14, "the trace: {values:?}");
        for k in 0..3 {
            let v: Vec<f64> = (0..3).map(|i| vectors[i * 3 + k]).collect();
            assert!((v.iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-14, "{v:?}");
            for (stretched, v) in multiply(&matrix(), &v).into_iter().zip(&v) {
                assert!((stretched - values[k] * v).abs() < 1e-14, "eigenvalue {}", values[k]);
            }
        }
    }
}
