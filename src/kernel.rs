//! The kernels. Each lives in one place: `shaders/FOLDER/NAME.wgsl`, `src/kernel/FOLDER/NAME.rs`, one line in [`ALL`].

/// The source of a kernel: its own file of `shaders`, then the library files that it names in its line `// with: ..`.
macro_rules! wgsl {
    ($own:literal $(, $library:literal)*) => {
        concat!(
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $own, ".wgsl"))
            $(, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/lib/", $library, ".wgsl")))*
        )
    };
}

mod activation;
mod codes;
mod dense;
mod images;
pub mod normal;
pub mod pairs;
pub mod probe;
mod windows;
mod words;

pub use activation::Activation;
pub use codes::*;
pub use dense::*;
pub use images::*;
pub use pairs::{fold, pair_forms, pair_gradient, pair_histogram, pair_products, pair_sums};
pub use windows::*;

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
    &convolution::SPEC,
    &transposed_convolution::SPEC,
    &transposed_reconstruction::SPEC,
    &convolution_gradient::SPEC,
    &adam::SPEC,
    &normal::SPEC,
    &pair_sums::SPEC,
    &pair_forms::SPEC,
    &pair_products::SPEC,
    &fold::SPEC,
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
