//! The families of kernel functions: the f64 definition, and the CPU's values from distances. The shaders have theirs in
//! `shaders/lib/family.wgsl`.
//!
//! ```text
//! gaussian k(x, z) = sum over bandwidths of exp(-|x - z|_2^2 / (2 sigma^2))     scale = -log2(e) / (2 sigma^2)
//! laplace  k(x, z) = sum of exp(-|x - z|_1 / b)                                 scale = -log2(e) / b
//! imq      k(x, z) = sum of (1 + |x - z|_2^2 / b^2)^(-1/2)                      scale = 1 / b^2
//! energy   k(x, z) = -|x - z|_2                                                 scale = -1
//! delta    k(x, z) = 1 if x = z, otherwise 0                                    scale = 1
//! ```
//!
//! All but energy are computed less 1/2 a bandwidth, which whoever uses the sums adds again: sums of numbers
//! around 0 round less than sums of numbers around 1/2.

use super::lanes::{LANES, multiply_add};
use crate::numeric::{exp2, exp2_parts};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use serde::{Deserialize, Serialize};

/// The family of the kernel function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// exp(-|d|_2^2 / (2 sigma^2))
    #[default]
    Gaussian,
    /// exp(-|d|_1 / b)
    Laplace,
    /// Inverse multiquadric, (1 + |d|_2^2 / b^2)^(-1/2)
    Imq,
    /// -|d|_2: MMD^2 is then the energy distance
    Energy,
    /// 1 where d = 0, otherwise 0: for labels
    Delta,
}

impl Family {
    /// The factor that turns a distance into the argument of k, for a bandwidth.
    pub fn scale(self, bandwidth: f64) -> f64 {
        match self {
            Self::Gaussian => -std::f64::consts::LOG2_E / (2.0 * bandwidth * bandwidth),
            Self::Laplace => -std::f64::consts::LOG2_E / bandwidth,
            Self::Imq => 1.0 / (bandwidth * bandwidth),
            Self::Energy => -1.0,
            Self::Delta => 1.0,
        }
    }

    /// Whether the kernel has no bandwidth to choose.
    pub fn without_bandwidth(self) -> bool {
        matches!(self, Self::Energy | Self::Delta)
    }

    /// The number that is subtracted from each kernel value.
    pub fn centre(self) -> f64 {
        if self == Self::Energy { 0.0 } else { 0.5 }
    }

    /// Whether a distance is the sum of the differences' magnitudes; otherwise it is that of their squares.
    pub fn adds_magnitudes(self) -> bool {
        self == Self::Laplace
    }

    /// The part of a distance that a difference of two coordinates adds.
    pub fn part(self, difference: f64) -> f64 {
        if self.adds_magnitudes() { difference.abs() } else { difference * difference }
    }

    /// The distance of two points.
    pub fn distance(self, x: &[f64], z: &[f64]) -> f64 {
        x.iter().zip(z).map(|(x, z)| self.part(x - z)).sum()
    }

    /// k as a function phi of the squared distance, and its first two derivatives.
    ///
    /// # Panics
    /// For a family that is not smooth where points coincide.
    pub fn derivatives(self, scale: f64, distance: f64) -> [f64; 3] {
        let k = self.value(scale, distance);
        match self {
            Self::Gaussian => {
                let rate = scale * std::f64::consts::LN_2;
                [k, rate * k, rate * rate * k]
            }
            Self::Imq => [k, -0.5 * scale * k.powi(3), 0.75 * scale * scale * k.powi(5)],
            Self::Laplace | Self::Energy | Self::Delta => unreachable!("has no Stein kernel"),
        }
    }

    /// k of a distance.
    pub fn value(self, scale: f64, distance: f64) -> f64 {
        match self {
            Self::Gaussian | Self::Laplace => (scale * distance).exp2(),
            Self::Imq => 1.0 / (1.0 + scale * distance).sqrt(),
            Self::Energy => scale * distance.sqrt(),
            Self::Delta => f64::from(distance == 0.0),
        }
    }

    /// k of a distance that is no square, in f64 and for any bandwidth: nothing is squared that may leave the range.
    pub fn at(self, distance: f64, bandwidth: f64) -> f64 {
        let ratio = distance / bandwidth;
        match self {
            Self::Gaussian => (-0.5 * ratio * ratio).exp(),
            Self::Laplace => (-ratio).exp(),
            Self::Imq if ratio < LARGE => 1.0 / (1.0 + ratio * ratio).sqrt(),
            Self::Imq => 1.0 / ratio,
            Self::Energy => -distance,
            Self::Delta => f64::from(distance == 0.0),
        }
    }

    /// The distance of two points from the differences of their coordinates, no square: of magnitudes for laplace,
    /// otherwise Euclidean, by scaled squares where plain ones would leave the range of f64.
    pub fn length(self, differences: impl Iterator<Item = f64> + Clone) -> f64 {
        if self.adds_magnitudes() { differences.map(f64::abs).sum() } else { norm(differences) }
    }

    /// What a difference of two points, or its sign where [`Family::adds_magnitudes`], is multiplied by in dk / dx.
    pub(super) fn slope(self, scale: f64, distance: f64) -> f64 {
        let k = self.value(scale, distance);
        match self {
            Self::Gaussian => 2.0 * std::f64::consts::LN_2 * scale * k,
            Self::Laplace => std::f64::consts::LN_2 * scale * k,
            Self::Imq => -scale * k * k * k,
            Self::Energy if distance == 0.0 => 0.0,
            Self::Energy => scale / distance.sqrt(),
            Self::Delta => 0.0,
        }
    }
}

/// Squares of larger numbers leave the range of f64, and 1 is nothing beside them.
const LARGE: f64 = 1e150;

/// The Euclidean norm; as Blue (1978) does, numbers are scaled only where their squares leave the range.
pub fn norm(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let squares: f64 = values.clone().map(|v| v * v).sum();
    if (1.0 / LARGE..LARGE * LARGE).contains(&squares) {
        return squares.sqrt();
    }
    let largest = values.clone().map(f64::abs).fold(0.0, f64::max);
    if largest == 0.0 || largest.is_infinite() {
        return largest;
    }
    largest * values.map(|v| (v / largest) * (v / largest)).sum::<f64>().sqrt()
}

/// k of distances, less its centre; `rates` as [`exponentials`] wants them.
pub(super) fn kernel_values(family: Family, distances: &mut [f32], scales: &[f32], rates: &[[f32; 2]]) {
    match family {
        Family::Gaussian | Family::Laplace => exponentials(distances, rates),
        Family::Imq => inverse_roots(distances, scales),
        Family::Energy => roots(distances, scales[0]),
        Family::Delta => {
            distances.iter_mut().for_each(|value| *value = if *value == 0.0 { 0.5 } else { -0.5 });
        }
    }
}

/// The Stein kernel in place of distances, from s.s' and (s - s').(x - x').
pub(super) fn stein_values(
    family: Family,
    distances: &mut [f32],
    [scores, mixed]: [&[f32]; 2],
    d: usize,
    scales: &[f32],
    rates: &[[f32; 2]],
) {
    match family {
        Family::Imq => stein_inverse_roots(distances, scores, mixed, d, scales),
        _ => stein_exponentials(distances, scores, mixed, d, rates),
    }
}

/// Replaces distances by the slopes that differences are multiplied by, times a weight.
#[multiversion(targets = "simd")]
pub(super) fn to_slopes(distances: &mut [f32], scales: &[f32], weight: f32, family: Family) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let ln2 = std::f32::consts::LN_2;
    for distances in distances.chunks_exact_mut(LANES) {
        let mut sums = [0.0f32; LANES];
        for &scale in scales {
            for (sum, &distance) in sums.iter_mut().zip(&*distances) {
                *sum += match family {
                    Family::Gaussian => 2.0 * ln2 * scale * exp2::<FUSED>(scale * distance),
                    Family::Laplace => ln2 * scale * exp2::<FUSED>(scale * distance),
                    Family::Imq => {
                        let k = 1.0 / (1.0 + scale * distance).sqrt();
                        -scale * k * k * k
                    }
                    Family::Energy if distance == 0.0 => 0.0,
                    Family::Energy => scale / distance.sqrt(),
                    Family::Delta => 0.0,
                };
            }
        }
        distances.iter_mut().zip(sums).for_each(|(distance, sum)| *distance = weight * sum);
    }
}

/// The gaussian Stein kernel in place of distances: with c = 1 / sigma^2, k (s.s' + c (t + d - c r^2)).
#[multiversion(targets = "simd")]
fn stein_exponentials(distances: &mut [f32], scores: &[f32], mixed: &[f32], d: usize, rates: &[[f32; 2]]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let d = d as f32;
    for ((distance, score), t) in distances.iter_mut().zip(scores).zip(mixed) {
        let mut sum = 0.0;
        for &[rate, most] in rates {
            let c = 2.0 * std::f32::consts::LN_2 * rate;
            let [fraction, power] = exp2_parts::<FUSED>(rate, *distance, most);
            sum += fraction * power * (score + c * (t + d - c * *distance));
        }
        *distance = sum;
    }
}

/// The inverse multiquadric one: k (s.s' + c k^2 (t + d - 3 c k^2 r^2)), c = 1 / b^2.
#[multiversion(targets = "simd")]
fn stein_inverse_roots(distances: &mut [f32], scores: &[f32], mixed: &[f32], d: usize, scales: &[f32]) {
    let d = d as f32;
    for ((distance, score), t) in distances.iter_mut().zip(scores).zip(mixed) {
        let mut sum = 0.0;
        for &scale in scales {
            let square = 1.0 / (1.0 + scale * *distance);
            let c = scale * square;
            sum += square.sqrt() * (score + c * (t + d - 3.0 * c * *distance));
        }
        *distance = sum;
    }
}

/// Replaces each distance by the sum over `scales` of what `add(scale, distance, sum)` adds to -1/2.
#[inline(always)]
fn apply<S: Copy>(values: &mut [f32], scales: &[S], add: impl Fn(S, f32, f32) -> f32) {
    if let [scale] = *scales {
        values.iter_mut().for_each(|value| *value = add(scale, *value, -0.5));
        return;
    }
    for values in values.as_chunks_mut::<LANES>().0 {
        let mut sums = [-0.5 * scales.len() as f32; LANES];
        for &scale in scales {
            for (sum, value) in sums.iter_mut().zip(&*values) {
                *sum = add(scale, *value, *sum);
            }
        }
        *values = sums;
    }
}

/// `rates`: -scale of each bandwidth, and where its kernel is 0 from.
#[multiversion(targets = "simd")]
fn exponentials(values: &mut [f32], rates: &[[f32; 2]]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    apply(values, rates, |[rate, most], distance, sum| {
        let [fraction, power] = exp2_parts::<FUSED>(rate, distance, most);
        multiply_add::<FUSED>(fraction, power, sum)
    });
}

#[multiversion(targets = "simd")]
fn inverse_roots(values: &mut [f32], scales: &[f32]) {
    apply(values, scales, |scale, distance, sum| sum + 1.0 / (1.0 + scale * distance).sqrt());
}

#[multiversion(targets = "simd")]
fn roots(values: &mut [f32], scale: f32) {
    values.iter_mut().for_each(|value| *value = scale * value.sqrt());
}
