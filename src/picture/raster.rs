//! Grey images set into a picture, each pixel enlarged to a square.

use crate::error::{Error, Result};
use image::{Rgb, RgbImage};

/// The size of images, and how many pixels of the picture along a side each of their pixels takes.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    width: u32,
    height: u32,
    factor: u32,
}

impl Tile {
    /// Images of (width, height) pixels, enlarged so that `columns` of them come closest to `wished` pixels,
    /// and none has a side longer than `longest` unless it is that long by itself.
    pub(super) fn fit(
        (width, height): (usize, usize),
        columns: usize,
        wished: f64,
        longest: f64,
    ) -> Result<Self> {
        let (Ok(width), Ok(height)) = (u32::try_from(width), u32::try_from(height)) else {
            return Err(Error::usage(format!("images of {width} x {height} pixels are too large to draw")));
        };
        if width == 0 || height == 0 || columns == 0 {
            return Err(Error::usage("there are no images to draw"));
        }
        let closest = (wished / (columns as f64 * f64::from(width))).round();
        let most = (longest / f64::from(width.max(height))).floor();
        Ok(Self { width, height, factor: closest.min(most).max(1.0) as u32 })
    }

    /// The enlarged width.
    pub(super) fn width(self) -> f64 {
        f64::from(self.width) * f64::from(self.factor)
    }

    /// The enlarged height.
    pub(super) fn height(self) -> f64 {
        f64::from(self.height) * f64::from(self.factor)
    }

    /// That an image has the right number of values.
    pub(super) fn check(self, image: &[f32]) -> Result<()> {
        let expected = self.width as usize * self.height as usize;
        if image.len() == expected {
            return Ok(());
        }
        let (width, height, found) = (self.width, self.height, image.len());
        Err(Error::usage(format!(
            "an image of {width} x {height} has {expected} values, this one has {found}"
        )))
    }

    /// Sets an image, row by row from the top, into the picture with its upper left corner at `corner`.
    pub(super) fn stamp(self, picture: &mut RgbImage, image: &[f32], corner: (u32, u32)) {
        for (row, values) in image.chunks(self.width as usize).enumerate() {
            for (column, &value) in values.iter().enumerate() {
                let (left, top) = (column as u32 * self.factor, row as u32 * self.factor);
                self.fill(picture, (corner.0 + left, corner.1 + top), value);
            }
        }
    }

    fn fill(self, picture: &mut RgbImage, corner: (u32, u32), value: f32) {
        let grey = (value.clamp(0.0, 1.0) * f32::from(u8::MAX)).round() as u8;
        for y in corner.1..corner.1 + self.factor {
            for x in corner.0..corner.0 + self.factor {
                if let Some(pixel) = picture.get_pixel_mut_checked(x, y) {
                    *pixel = Rgb([grey; 3]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_comes_closest_to_the_wish() -> Result<()> {
        assert_eq!(Tile::fit((28, 28), 10, 1100.0, 300.0)?.factor, 4);
        assert_eq!(Tile::fit((64, 64), 16, 1100.0, 300.0)?.factor, 1);
        assert_eq!(Tile::fit((64, 64), 100, 1100.0, 300.0)?.factor, 1);
        assert_eq!(Tile::fit((28, 28), 1, 1100.0, 300.0)?.factor, 10);
        assert!(Tile::fit((0, 28), 1, 1100.0, 300.0).is_err());
        Ok(())
    }

    #[test]
    fn pixels_become_squares_of_clamped_grey() -> Result<()> {
        let tile = Tile { width: 2, height: 1, factor: 2 };
        tile.check(&[2.0, -1.0])?;
        assert!(tile.check(&[0.0]).is_err());
        let mut picture = RgbImage::from_pixel(6, 4, Rgb([7; 3]));
        tile.stamp(&mut picture, &[2.0, -1.0], (1, 1));
        let line: Vec<u8> = (0..6).map(|x| picture.get_pixel(x, 2)[0]).collect();
        assert_eq!(line, [7, 255, 255, 0, 0, 7]);
        assert_eq!(picture.get_pixel(1, 3)[0], 7);
        Ok(())
    }
}
