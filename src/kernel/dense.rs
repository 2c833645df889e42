//! Dense layers, forward and backward: matrix products and what becomes of each element.

pub mod backward_input;
pub mod backward_latent;
pub mod backward_weights;
pub mod latent;
pub mod linear;
pub(crate) mod product;
pub mod reconstruction;
pub(crate) mod sparse;
