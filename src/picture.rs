//! Pictures: numbers in, PNG and GIF files out.
//!
//! | picture                 | shows                                                               |
//! |-------------------------|---------------------------------------------------------------------|
//! | [`Chart::save`]         | curves over a common axis, in one panel or several                  |
//! | [`Bars::save`]          | labelled bars, with a threshold                                     |
//! | [`Latents::save`]       | the KL divergence of each latent dimension, by step and at the end  |
//! | [`Sheet::save`]         | rows of images: originals over reconstructions, samples             |
//! | [`Traversal::save`]     | the effect of each latent dimension on an image                     |
//! | [`Matrix::save`]       | a table of numbers as shades                                        |
//! | [`Manifold::save`]      | decoded images laid out over a two-dimensional latent plane         |
//! | [`scatter`]             | where the encoder puts each class in a two-dimensional latent plane |
//! | [`scatters`]            | the same for several models                                         |
//! | [`Story::save`]         | images, their codes in the latent plane, and what samples decode to |
//! | [`Animation::save`]     | how codes move during training, as GIF                              |
//! | [`columns`]             | columns of two tables, as histograms                                |
//! | [`NullHistogram::save`] | a test statistic among its values under the null hypothesis         |
//! | [`Curve::save`]         | where two samples of numbers differ: their witness function         |
//! | [`Plane::save`]         | the same for two samples of points of a plane                       |
//!
//! Nothing here knows of models, engines or files of data. The same input gives the same bytes: the font is
//! part of the program, and no clock, thread or system setting takes part.

mod animation;
mod axes;
mod bars;
mod canvas;
mod chart;
mod columns;
mod gif;
mod latents;
mod legend;
mod manifold;
mod matrix;
mod null;
mod page;
mod panel;
mod plane;
mod plot;
mod raster;
mod scale;
mod scatter;
mod sheet;
mod story;
mod theme;
mod traversal;
mod witness;

pub use animation::{Animation, Snapshot};
pub use bars::{Bars, LabelledBar, Threshold};
pub use chart::Chart;
pub use columns::{ColumnValues, ComparedColumn, columns};
pub use latents::Latents;
pub use manifold::Manifold;
pub use matrix::{Matrix, MatrixRow};
pub use null::NullHistogram;
pub use panel::{Band, Mark, Panel, Series, Style};
pub use raster::ImageShape;
pub use scale::latent_name;
pub use scatter::{Cloud, scatter, scatters};
pub use sheet::{Sheet, SheetRow};
pub use story::{EncodedImage, Story};
pub use traversal::{Traversal, TraversedLatent};
pub use witness::{Curve, Plane};

#[cfg(test)]
mod demo;
