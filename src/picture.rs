//! Pictures: numbers in, PNG files out.
//!
//! | picture            | shows                                                             |
//! |--------------------|-------------------------------------------------------------------|
//! | [`losses`]         | the two terms of the loss during training                         |
//! | [`Sheet::save`]    | rows of images: originals over reconstructions, samples           |
//! | [`Manifold::save`] | decoded images laid out over a two-dimensional latent plane       |
//! | [`scatter`]        | where the encoder puts each class in a two-dimensional latent plane |
//!
//! Nothing here knows of models, engines or files of data. The same input gives the same bytes: the font is
//! part of the program, and no clock, thread or system setting takes part.

mod axes;
mod canvas;
mod losses;
mod manifold;
mod page;
mod raster;
mod scatter;
mod sheet;
mod theme;

pub use losses::{LossPoint, losses};
pub use manifold::Manifold;
pub use scatter::scatter;
pub use sheet::{Row, Sheet};

#[cfg(test)]
mod demo;
