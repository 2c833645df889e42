//! Data sets: images as bytes with labels, from files or drawn on the spot; and samples: points as numbers.

mod array;
pub mod digits;
mod folder;
pub mod format;
mod gzip;
mod idx;
pub mod images;
pub mod layout;
mod npy;
pub mod save;
pub mod scale;
pub mod sprites;
pub mod standard;
pub mod table;

pub use format::{is_built_in, load};

use crate::error::{Error, Result};
use crate::grid::Grid;
use crate::random::{Sequence, Stream};
use rayon::prelude::*;
use std::borrow::Cow;

/// Images of one size, with labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// 1: grey, 3: red, green and blue of each pixel in turn.
    pub channels: usize,
    /// Their contents.
    pub pixels: Pixels,
    /// `(N)`; a class of each image, an index into [`Dataset::classes`].
    pub labels: Vec<u8>,
    /// The factors that the images were made from, where these are known.
    pub factors: Option<Factors>,
}

/// The contents of images.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// `(N, height, width, channels)`; 0 is black, 255 white.
    Bytes(Vec<u8>),
    /// `(N)`: numbers of sprites ([`sprites::Sprite::number`]), drawn where they are needed.
    Sprites(Vec<u32>),
    /// `(N, D)`: rows of a table, [standardised](standard).
    Numbers(Vec<f32>),
}

/// The factors that images were made from, each on a grid of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// `(F)`.
    pub names: Vec<String>,
    /// `(N, F)`: indices into the grid of each factor.
    pub values: Vec<u8>,
}

impl Factors {
    /// The factors of image `i`: `(F)`.
    pub fn row(&self, i: usize) -> &[u8] {
        &self.values[i * self.names.len()..][..self.names.len()]
    }
}

impl Images {
    /// Grey images `(N, height, width)` with labels `(N)`.
    pub fn grey([height, width]: [usize; 2], pixels: Vec<u8>, labels: Vec<u8>) -> Self {
        Self { height, width, channels: 1, pixels: Pixels::Bytes(pixels), labels, factors: None }
    }

    /// N, the number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True when there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The size of an image.
    pub fn grid(&self) -> Grid {
        Grid { channels: self.channels, height: self.height, width: self.width }
    }

    /// D, the numbers of an image.
    pub fn dimension(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Image `i` as a model sees it: `(D)`; 0 is black and 1 white, or a row of a table.
    pub fn values(&self, i: usize) -> Vec<f32> {
        match &self.pixels {
            Pixels::Numbers(values) => values[i * self.dimension()..][..self.dimension()].to_vec(),
            _ => self.image(i).iter().map(|&pixel| f32::from(pixel) / 255.0).collect(),
        }
    }

    /// Image `i`: `(D)`; of a row of a table, its numbers from -3, black, to 3, white.
    pub fn image(&self, i: usize) -> Cow<'_, [u8]> {
        let dimension = self.dimension();
        match &self.pixels {
            Pixels::Bytes(bytes) => bytes[i * dimension..][..dimension].into(),
            Pixels::Sprites(numbers) => {
                let mut pixels = vec![0; dimension];
                let sprite = sprites::Sprite::of(numbers[i]);
                sprites::draw(sprite, sprites::geometry(), sprites::LEVELS, &mut pixels);
                pixels.into()
            }
            Pixels::Numbers(_) => {
                self.values(i).iter().map(|x| (127.5 + 42.5 * x).round() as u8).collect::<Vec<_>>().into()
            }
        }
    }
}

/// A training and a test set of the same kind of image.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Its name in titles: `digits`, `sprites`, or a file or directory.
    pub name: String,
    /// Images to learn from.
    pub train: Images,
    /// Images never learned from.
    pub test: Images,
    /// The name of each class.
    pub classes: Vec<String>,
    /// How the numbers of a table were made: none for images.
    pub columns: Option<standard::ColumnMoments>,
    /// What the user must know of how it was read.
    pub notes: Vec<String>,
}

/// How far apart the numbers of training and test images are where each image has random numbers of its own.
const TEST_OFFSET: u32 = 1 << 31;

impl Dataset {
    /// The first test image of each of the first classes, at most `most`.
    pub fn first_of_classes(&self, most: usize) -> Vec<usize> {
        let first = |class: usize| self.test.labels.iter().position(|&label| usize::from(label) == class);
        (0..self.classes.len()).filter_map(first).take(most).collect()
    }

    /// Makes every pixel black or white, white with the probability that its grey level says; once and for
    /// all, so that the data are the same in every epoch ("static binarisation", Salakhutdinov and Murray
    /// 2008).
    ///
    /// # Errors
    /// The images are drawn where they are needed.
    pub fn binarise(&mut self, seed: u64) -> Result<()> {
        for (images, offset) in [(&mut self.train, 0), (&mut self.test, TEST_OFFSET)] {
            let dimension = images.dimension();
            let Pixels::Bytes(bytes) = &mut images.pixels else {
                let problem = "--binarise is for grey images, not for sprites or tables; leave it out";
                return Err(Error::usage(problem));
            };
            bytes.par_chunks_exact_mut(dimension).enumerate().for_each(|(index, image)| {
                let mut random = Sequence::new(seed, Stream::Binarisation, offset + index as u32);
                for pixel in image {
                    *pixel = if random.uniform(0.0, 255.0) < f32::from(*pixel) { 255 } else { 0 };
                }
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binarised_pixels_are_white_as_often_as_they_are_bright() {
        let images = || Images::grey([1, 3], [0, 51, 255].repeat(4000), vec![0; 4000]);
        let mut dataset = Dataset {
            name: "bars".into(),
            train: images(),
            test: images(),
            classes: vec!["bar".into()],
            columns: None,
            notes: Vec::new(),
        };
        dataset.binarise(1).expect("bytes");
        assert_ne!(dataset.train, dataset.test, "training and test have their own numbers");
        for images in [&dataset.train, &dataset.test] {
            let mut white = [0; 3];
            for i in 0..images.len() {
                for (white, &pixel) in white.iter_mut().zip(&*images.image(i)) {
                    assert!(pixel == 0 || pixel == 255);
                    *white += usize::from(pixel == 255);
                }
            }
            // A fifth of 4,000 to within four standard deviations.
            assert!(white[0] == 0 && white[2] == 4000 && white[1].abs_diff(800) < 102, "{white:?}");
        }
    }
}
