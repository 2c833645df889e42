//! What follows the sums of a layer, and its slope on the way back.
//!
//! ```text
//! y = l                 dy/dl = 1
//! y = max(l, 0)         dy/dl = [y > 0]
//! y = tanh(l)           dy/dl = 1 - y^2
//! ```
//!
//! Slopes are functions of y, so that nothing but y has to be kept.

use crate::numeric::sigmoid;
use crate::program::Overrides;
use multiversion::multiversion;

/// The function after a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// None: y = l.
    #[default]
    Identity,
    /// max(l, 0).
    Relu,
    /// tanh(l).
    Tanh,
}

impl Activation {
    /// Value of the `override` constant of `shaders/lib/activation.wgsl`.
    pub(crate) fn overrides(self) -> Overrides {
        Overrides::of("ACTIVATION", self as usize)
    }

    /// y of l.
    pub(crate) fn reference(self, l: f64) -> f64 {
        match self {
            Self::Identity => l,
            Self::Relu => l.max(0.0),
            Self::Tanh => l.tanh(),
        }
    }

    /// A gradient at y as one at l: times dy/dl. What a ReLU kept back stays back, were it infinite.
    pub(crate) fn reference_times_slope(self, gradient: f64, y: f64) -> f64 {
        match self {
            Self::Identity => gradient,
            Self::Relu if y > 0.0 => gradient,
            Self::Relu => 0.0,
            Self::Tanh => gradient * (1.0 - y * y),
        }
    }

    /// y of l, in place.
    pub(crate) fn apply(self, values: &mut [f32]) {
        match self {
            Self::Identity => {}
            Self::Relu => relu(values),
            Self::Tanh => tanh(values),
        }
    }

    /// Multiplies each gradient at y with dy/dl.
    pub(crate) fn apply_slope(self, gradient: &mut [f32], y: &[f32]) {
        match self {
            Self::Identity => {}
            Self::Relu => mask(gradient, y),
            Self::Tanh => flatten(gradient, y),
        }
    }
}

/// NaN stays NaN, so that a run that went wrong shows.
#[multiversion(targets = "simd")]
fn relu(values: &mut [f32]) {
    values.iter_mut().for_each(|v| *v = if *v < 0.0 { 0.0 } else { *v });
}

/// tanh(l) = 2 sigmoid(2 l) - 1, to 2e-7.
#[multiversion(targets = "simd")]
fn tanh(values: &mut [f32]) {
    values.iter_mut().for_each(|v| *v = 2.0 * sigmoid(2.0 * *v) - 1.0);
}

/// Keeps the gradient where the ReLU let its input pass.
#[multiversion(targets = "simd")]
fn mask(gradient: &mut [f32], y: &[f32]) {
    gradient.iter_mut().zip(y).for_each(|(g, &y)| *g = if y > 0.0 { *g } else { 0.0 });
}

#[multiversion(targets = "simd")]
fn flatten(gradient: &mut [f32], y: &[f32]) {
    gradient.iter_mut().zip(y).for_each(|(g, &y)| *g *= 1.0 - y * y);
}
