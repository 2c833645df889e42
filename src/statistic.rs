//! Do two samples differ, how much, and where: statistics of the kernel matrix of all points, which is never
//! stored.
//!
//! ```text
//! two samples --points: centred, f32, in blocks--> gram: one pass over the pairs on an engine
//!         `---resolution: too coarse for f32-----> precise: the same sums in f64 on the CPU
//! null: labels of the points as bits -------------^        |
//! bandwidth: a rule becomes numbers               sums of each point, quadratic forms of the labels
//!                                                           |
//! two_sample: estimates, variance, p-value   witness: mean k(x_i, .) - mean k(y_j, .)
//! ```
//!
//! Draws say two more things: `interval`, where MMD^2 lies, and `p_value`, whether a test can reject at all. [`series`] has
//! the null of rows that depend on those before them.
//!
//! [`power`] repeats any of the tests on samples of a standard problem.
//!
//! [`tiles`] and [`features`] have tests of points that are in many places.
//! [`features`] puts random features in the place of the kernel: an approximation in linear time.
//! [`kid`] is the kernel inception distance of features, by a polynomial kernel.
//! [`neighbours`] needs no kernel: KL divergence and mutual information from distances to nearest points.

pub mod aggregate;
pub mod bandwidth;
pub mod categories;
pub mod closer;
pub mod columns;
pub mod features;
pub mod fit;
pub mod gram;
pub mod independence;
mod interval;
pub mod kid;
pub mod neighbours;
pub mod null;
pub mod p_value;
pub mod points;
pub mod power;
mod precise;
pub mod reference;
mod resolution;
pub mod series;
mod split;
pub mod tables;
pub mod test;
pub mod tiles;
pub mod two_sample;
pub mod witness;

pub use crate::sample::Sample;
pub use bandwidth::{Bandwidth, Rule};
pub use test::{Common, Null, Outcome};
pub use two_sample::{TwoSample, TwoSampleSettings, two_sample};

use crate::error::{Error, Result};
use crate::kernel::pairs::Family;
use serde::{Deserialize, Serialize};

/// A kernel function with its bandwidths: the sum of one family's kernels, or their mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelFunction {
    /// The family.
    pub family: Family,
    /// At least one, all positive; without meaning for [`Family::Energy`].
    pub bandwidths: Vec<f64>,
    /// Divisors of the coordinates, if there are any: `(d)`.
    pub coordinates: Option<Vec<f64>>,
    /// Divide the sum over the bandwidths by their number.
    pub mean: bool,
}

impl KernelFunction {
    /// One bandwidth.
    pub fn new(family: Family, bandwidth: f64) -> Self {
        Self { family, bandwidths: vec![bandwidth], coordinates: None, mean: true }
    }

    /// The factor of the sum over the bandwidths.
    pub fn weight(&self) -> f64 {
        if self.mean { 1.0 / self.bandwidths.len() as f64 } else { 1.0 }
    }

    /// k(x, x).
    pub fn at_zero(&self) -> f64 {
        match self.family {
            Family::Energy => 0.0,
            _ => self.weight() * self.bandwidths.len() as f64,
        }
    }

    /// k(x, z) in f64.
    pub fn value(&self, x: &[f64], z: &[f64]) -> f64 {
        let divisor = |i: usize| self.coordinates.as_ref().map_or(1.0, |b| b[i]);
        let differences = x.iter().zip(z).enumerate().map(|(i, (x, z))| (x - z) / divisor(i));
        self.weight() * self.at(self.family.length(differences))
    }

    /// The sum over the bandwidths for a distance, in f64.
    fn at(&self, distance: f64) -> f64 {
        self.bandwidths.iter().map(|&bandwidth| self.family.at(distance, bandwidth)).sum()
    }

    /// The kernel of coordinates that were divided by the kernel's own divisors and then by `unit`.
    fn in_units(&self, unit: f64) -> Self {
        let bandwidths = self.bandwidths.iter().map(|bandwidth| bandwidth / unit).collect();
        Self { bandwidths, coordinates: None, ..self.clone() }
    }

    /// The number that an engine subtracts from the sum over the bandwidths.
    pub(crate) fn centre(&self) -> f64 {
        self.family.centre() * self.bandwidths.len() as f64
    }

    /// The kernel's scales, see [`Family::scale`].
    pub(crate) fn scales(&self) -> impl Iterator<Item = f64> {
        self.bandwidths.iter().map(|&bandwidth| self.family.scale(bandwidth))
    }

    fn check(&self) -> Result<()> {
        let wrong = |b: &&f64| !(b.is_finite() && **b > 0.0);
        match self.bandwidths.iter().find(wrong) {
            Some(b) => {
                Err(Error::usage(format!("a bandwidth of {b} is not possible; give a positive number")))
            }
            None if self.bandwidths.is_empty() => Err(Error::usage("give at least one bandwidth")),
            None => Ok(()),
        }
    }
}
