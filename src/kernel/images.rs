//! Kernels over the pixels of a batch: images in, losses out.

pub mod gather;
pub mod image_loss;
pub mod render;
pub mod scale;
pub mod sigma;
