//! The kernels. Each lives in one place: `shaders/NAME.wgsl`, `src/kernel/NAME.rs`, one line in [`ALL`].

pub mod backward_input;
pub mod backward_latent;
pub mod backward_weights;
pub mod baseline;
pub mod block_totals;
pub mod fold_forms;
pub mod fold_sums;
pub mod gather;
pub mod image_loss;
pub mod latent;
pub mod linear;
pub mod mixture;
pub mod mixture_gradient;
pub mod normal;
pub mod pair_forms;
pub mod pair_gradient;
pub mod pair_histogram;
pub mod pair_products;
pub mod pair_sums;
pub mod pairs;
pub mod prior_mmd;
pub mod probe;
mod product;
pub mod reconstruction;
pub mod render;
pub mod scale;
pub mod sigma;
mod sparse;

use crate::program::Spec;

/// Every kernel. Pipelines, shader checks, engine-against-reference tests and benches go through this list.
pub const ALL: &[&Spec] = &[
    &gather::SPEC,
    &render::SPEC,
    &linear::SPEC,
    &latent::SPEC,
    &reconstruction::SPEC,
    &backward_input::SPEC,
    &backward_latent::SPEC,
    &backward_weights::SPEC,
    &normal::SPEC,
    &pair_sums::SPEC,
    &pair_forms::SPEC,
    &pair_products::SPEC,
    &fold_sums::SPEC,
    &fold_forms::SPEC,
    &block_totals::SPEC,
    &pair_histogram::SPEC,
    &pair_gradient::SPEC,
    &prior_mmd::SPEC,
    &mixture::SPEC,
    &mixture_gradient::SPEC,
    &image_loss::SPEC,
    &sigma::SPEC,
    &scale::SPEC,
    &probe::SPEC,
];
