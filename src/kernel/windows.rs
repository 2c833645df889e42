//! Convolutions and transposed convolutions, forward and backward: sums over the window that each pixel of a coarse
//! image has of a fine one.

pub mod adam;
pub mod convolution;
pub mod convolution_gradient;
pub(crate) mod indirect;
pub mod transposed_convolution;
pub mod transposed_reconstruction;
pub mod window;
