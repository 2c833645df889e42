//! Data sets: images as bytes with labels, from files or drawn on the spot; and samples: points as numbers.

pub mod digits;
pub mod idx;
pub mod sprites;
pub mod table;

use crate::error::Result;
use std::path::Path;

/// Grey images of one size, with labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Images {
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// `(N, height * width)`, row-major; 0 is black, 255 white.
    pub pixels: Vec<u8>,
    /// `(N)`; a class of each image, an index into [`Dataset::classes`].
    pub labels: Vec<u8>,
}

impl Images {
    /// N, the number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True when there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// D, the number of pixels of an image.
    pub fn dimension(&self) -> usize {
        self.height * self.width
    }

    /// The pixels of image `i`: `(D)`.
    pub fn image(&self, i: usize) -> &[u8] {
        &self.pixels[i * self.dimension()..][..self.dimension()]
    }
}

/// A training and a test set of the same kind of image.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// What it is, for titles: `digits`, `sprites` or a directory.
    pub name: String,
    /// Images to learn from.
    pub train: Images,
    /// Images never learned from.
    pub test: Images,
    /// The name of each class.
    pub classes: Vec<String>,
}

/// Loads the data set that `--data` names: `digits`, `sprites`, or a directory of IDX files.
///
/// The built-in ones are drawn from `seed`.
pub fn load(name: &str, seed: u64) -> Result<Dataset> {
    match name {
        "digits" => Ok(digits::dataset(seed)),
        "sprites" => Ok(sprites::dataset(seed)),
        path => idx::directory(Path::new(path)),
    }
}
