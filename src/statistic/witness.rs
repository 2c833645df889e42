//! Where two samples differ.
//!
//! ```text
//! witness(t) = mean over i of k(x_i, t) - mean over j of k(y_j, t)
//! ```
//!
//! Positive where there is more of X, negative where there is more of Y (Gretton et al. 2012, section 2.3). At a
//! point of a sample, its own kernel value is left out, so that no point speaks for itself.

use super::gram::{Gram, Request};
use super::{KernelFunction, Sample};
use crate::engine::Device;
use crate::error::{Kind, Result};

/// The witness function at the points of two samples.
#[derive(Clone, Debug)]
pub struct Witness {
    /// At the points of X, and at those of Y.
    pub values: [Vec<f64>; 2],
    /// What the user must know of it.
    pub warnings: Vec<String>,
}

/// The witness function at the points of X and at those of Y.
///
/// # Errors
/// If a sample has fewer than two points, or the device fails.
pub fn at_samples(
    device: &Device,
    [x, y]: [Sample<'_>; 2],
    kernel: &KernelFunction,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Witness> {
    if x.len() < 2 || y.len() < 2 {
        let message = format!("X has {} points and Y {}; a witness needs two of each", x.len(), y.len());
        return Err(Kind::Samples(message).into());
    }
    let gram = Gram::new(device, [x, y], kernel, &Request::None, false, progress)?;
    let [n, m] = gram.counts.map(|count| count as f64);
    let (of_x, of_y) = gram.k.split_at(gram.counts[0]);
    let values = [
        of_x.iter().map(|k| gram.unit * (k[0] / (n - 1.0) - k[1] / m)).collect(),
        of_y.iter().map(|k| gram.unit * (k[0] / n - k[1] / (m - 1.0))).collect(),
    ];
    Ok(Witness { values, warnings: gram.warning().into_iter().collect() })
}

/// The witness function at any points.
///
/// # Errors
/// If the device fails.
pub fn at(
    device: &Device,
    [x, y]: [Sample<'_>; 2],
    kernel: &KernelFunction,
    points: Sample<'_>,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Vec<f64>> {
    let mut mean = |sample: Sample<'_>, first: f64| -> Result<Vec<f64>> {
        let mut part = |done: f64| progress(first + 0.5 * done);
        let gram = Gram::new(device, [points, sample], kernel, &Request::None, true, &mut part)?;
        Ok(gram.k[..points.len()].iter().map(|k| gram.unit * (k[1] / sample.len() as f64)).collect())
    };
    let (of_x, of_y) = (mean(x, 0.0)?, mean(y, 0.5)?);
    Ok(of_x.iter().zip(of_y).map(|(x, y)| x - y).collect())
}
