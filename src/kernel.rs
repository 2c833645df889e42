//! The kernels. Each lives in one place: `shaders/NAME.wgsl`, `src/kernel/NAME.rs`, one line in [`ALL`].

pub mod backward_input;
pub mod backward_latent;
pub mod backward_weights;
pub mod gather;
pub mod latent;
pub mod linear;
pub mod normal;
mod product;
pub mod reconstruction;

use crate::program::Spec;

/// Every kernel. Pipelines, shader checks, engine-against-reference tests and benches go through this list.
pub const ALL: &[&Spec] = &[
    &gather::SPEC,
    &linear::SPEC,
    &latent::SPEC,
    &reconstruction::SPEC,
    &backward_input::SPEC,
    &backward_latent::SPEC,
    &backward_weights::SPEC,
    &normal::SPEC,
];
