//! Two samples as the kernels over pairs want them: centred, in f32, in blocks.

use super::{KernelFunction, Sample};
use crate::error::{Kind, Result};
use crate::kernel::pairs::{Family, Form, Pairs, UNLIMITED, Value};

/// The expanded form of distances is used from this many coordinates on: below, differences are as fast.
pub(crate) const LEAST_COORDINATES: usize = 8;

/// And as long as no point is further from the centre than this, in squared bandwidths: the form loses as many
/// digits as this has.
const FARTHEST: f64 = 64.0;

/// Largest magnitude of a centred coordinate: squares of larger ones leave the range of f32.
const LARGEST: f32 = 1e16;

/// The points of X and then Y, or items of two points each, minus the mean of all, divided by the kernel's coordinate bandwidths.
///
/// Subtracting the common mean in f64 before rounding to f32 keeps all digits of samples far from the origin.
#[derive(Clone, Debug)]
pub struct Points {
    /// Points of X and of Y.
    pub counts: [usize; 2],
    /// Coordinates.
    pub d: usize,
    /// `(n + m, d)`.
    pub values: Vec<f32>,
    /// The function of two of them.
    pub value: Value,
    /// The other numbers of each item, if it has some: `(n, stride - d)`.
    pub others: Vec<f32>,
    /// The second variable, if there is one.
    pub second: Option<Variable>,
    /// How far apart two items may be in their order to be a pair.
    pub reach: usize,
}

/// A variable beside the first.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Coordinates.
    pub d: usize,
    /// Its kernel.
    pub kernel: KernelFunction,
}

impl Points {
    /// Centres two samples, `y` perhaps empty.
    ///
    /// # Errors
    /// If a value is too far from the mean for f32.
    pub fn new(x: Sample<'_>, y: Sample<'_>, coordinates: Option<&[f64]>) -> Result<Self> {
        let d = x.d;
        let n = (x.len() + y.len()) as f64;
        let mut mean = vec![0.0; d];
        for point in x.values.chunks_exact(d).chain(y.values.chunks_exact(d)) {
            mean.iter_mut().zip(point).for_each(|(mean, value)| *mean += value / n);
        }
        let mut values = Vec::with_capacity(x.values.len() + y.values.len());
        for point in x.values.chunks_exact(d).chain(y.values.chunks_exact(d)) {
            let centred = point.iter().zip(&mean).map(|(value, mean)| value - mean);
            match coordinates {
                None => values.extend(centred.map(|v| v as f32)),
                Some(divisors) => values.extend(centred.zip(divisors).map(|(v, b)| (v / b) as f32)),
            }
        }
        if let Some(i) = values.iter().position(|v| v.abs() > LARGEST) {
            let message = format!(
                "column {} (counted from 0) has a value {:.1e} away from the mean, too far for 32-bit numbers; divide \
                 the column by a constant in both samples",
                i % d,
                values[i]
            );
            return Err(Kind::Samples(message).into());
        }
        Ok(Self {
            counts: [x.len(), y.len()],
            d,
            values,
            value: Value::Kernel,
            others: Vec::new(),
            second: None,
            reach: UNLIMITED,
        })
    }

    /// Points with their scores, `(n, d)`: grad ln p of a model at each.
    ///
    /// # Errors
    /// If a value is too far from the mean, or a score too large, for f32.
    pub fn stein(x: Sample<'_>, scores: &[f64]) -> Result<Self> {
        let points = Self::new(x, x.first(0), None)?;
        let others: Vec<f32> = scores.iter().map(|&s| s as f32).collect();
        if let Some(i) = others.iter().position(|s| s.is_nan() || s.abs() > LARGEST) {
            let message = format!(
                "the model's score at row {} (counted from 0) is {:.1e}, too large for 32-bit numbers: the model thinks \
                 that the point is next to impossible",
                i / x.d,
                scores[i]
            );
            return Err(Kind::Samples(message).into());
        }
        Ok(Self { value: Value::Stein, others, ..points })
    }

    /// Items (`x_i`, `y_i`) of two samples of one size.
    ///
    /// # Errors
    /// If a value is too far from the mean for f32.
    pub fn paired(x: Sample<'_>, y: Sample<'_>, coordinates: Option<&[f64]>) -> Result<Self> {
        let mut points = Self::new(x, y, coordinates)?;
        let others = points.values.split_off(x.values.len());
        Ok(Self { counts: [x.len(), 0], value: Value::Paired, others, ..points })
    }

    /// Items of two variables of n observations: i with i + n / 2, which are independent of each other; of an odd
    /// number the last is left out.
    ///
    /// # Errors
    /// If a value is too far from the mean for f32.
    pub fn dependence(x: Sample<'_>, y: Sample<'_>, kernels: [&KernelFunction; 2]) -> Result<Self> {
        let half = x.len() / 2;
        let halves = |sample: Sample<'_>, kernel: &KernelFunction| {
            let (first, rest) = sample.values.split_at(half * sample.d);
            let [first, rest] = [first, &rest[..half * sample.d]].map(|values| Sample::new(sample.d, values));
            Self::paired(first, rest, kernel.coordinates.as_deref())
        };
        let (first, second) = (halves(x, kernels[0])?, halves(y, kernels[1])?);
        let mut others = Vec::with_capacity(half * (x.d + 2 * y.d));
        for i in 0..half {
            others.extend_from_slice(&first.others[i * x.d..][..x.d]);
            others.extend_from_slice(&second.values[i * y.d..][..y.d]);
            others.extend_from_slice(&second.others[i * y.d..][..y.d]);
        }
        let second = Variable { d: y.d, kernel: kernels[1].clone() };
        Ok(Self { value: Value::Dependence, others, second: Some(second), ..first })
    }

    /// The same items, of which only those at most this far apart in their order are pairs; all if `None`.
    pub fn within(self, reach: Option<usize>) -> Self {
        Self { reach: reach.unwrap_or(UNLIMITED), ..self }
    }

    /// How distances of these points are computed for a kernel.
    pub fn form(&self, kernel: &KernelFunction) -> Form {
        let squares = matches!(kernel.family, Family::Gaussian | Family::Imq);
        if !squares || self.d < LEAST_COORDINATES || self.value != Value::Kernel {
            return Form::Differences;
        }
        let norm = |point: &[f32]| point.iter().map(|v| v * v).sum::<f32>();
        let farthest = self.values.chunks_exact(self.d).map(norm).fold(0.0, f32::max);
        let narrowest = kernel.bandwidths.iter().copied().fold(f64::INFINITY, f64::min);
        if f64::from(farthest) <= FARTHEST * narrowest * narrowest {
            Form::Expanded
        } else {
            Form::Differences
        }
    }

    /// Points in the blocks of `pairs`, padded with zeros; in the expanded form each with half its negative squared
    /// norm behind its coordinates.
    pub fn blocks(&self, pairs: &Pairs) -> Vec<f32> {
        let mut result = vec![0.0; pairs.layout.blocks() * pairs.layout.pitch() * pairs.function.stride()];
        for (at, point) in self.values.chunks_exact(self.d).enumerate() {
            let (before, i) = match at.checked_sub(pairs.layout.n) {
                None => (0, at),
                Some(i) => (pairs.layout.blocks_of_x(), i),
            };
            let place = (before + i / pairs.layout.block) * pairs.layout.pitch() + i % pairs.layout.block;
            for (k, value) in point.iter().enumerate() {
                result[pairs.word(place, k)] = *value;
            }
            let others =
                pairs.function.stride().saturating_sub(self.d) * usize::from(!self.others.is_empty());
            for (k, value) in self.others.iter().skip(at * others).take(others).enumerate() {
                result[pairs.word(place, self.d + k)] = *value;
            }
            if pairs.function.form == Form::Expanded {
                let squares = point.iter().map(|&v| f64::from(v) * f64::from(v));
                result[pairs.word(place, self.d)] = (-0.5 * squares.sum::<f64>()) as f32;
            }
        }
        result
    }
}
