//! Grey and coloured images set into a picture, each pixel enlarged to a square.

use super::canvas::{Canvas, Point};
use super::theme::Colour;
use crate::error::{Error, Result};
use image::Rgb;

/// Values of a pixel: its grey, or its red, green and blue.
pub(super) const GREY: usize = 1;
pub(super) const COLOURED: usize = 3;

/// Sizes of the images of a picture: each has height x width x channels values from 0 (black) to 1 (white),
/// row by row from the top; values beyond are clamped.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageShape {
    /// Pixels from the top to the bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
    /// Values of each pixel: 1 for grey, 3 for red, green and blue side by side.
    pub channels: usize,
}

/// The size of images, and how many pixels of the picture along a side each of their pixels takes.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    width: u32,
    height: u32,
    channels: usize,
    factor: u32,
}

impl Stamp {
    /// Images of one shape, enlarged so that `columns` of them come closest to `wished` pixels, and none has
    /// a side longer than `longest` unless it is that long by itself.
    pub(super) fn fit(shape: ImageShape, columns: usize, wished: f64, longest: f64) -> Result<Self> {
        let ImageShape { height, width, channels } = shape;
        let (Ok(width), Ok(height)) = (u32::try_from(width), u32::try_from(height)) else {
            return Err(Error::usage(format!("images of {width} x {height} pixels are too large to draw")));
        };
        if width == 0 || height == 0 || columns == 0 {
            return Err(Error::usage("there are no images to draw"));
        }
        if ![GREY, COLOURED].contains(&channels) {
            return Err(Error::usage(format!(
                "a pixel has {GREY} channel (grey) or {COLOURED} (red, green, blue), not {channels}"
            )));
        }
        let closest = (wished / (columns as f64 * f64::from(width))).round();
        let most = (longest / f64::from(width.max(height))).floor();
        Ok(Self { width, height, channels, factor: closest.min(most).max(1.0) as u32 })
    }

    /// The enlarged width.
    pub(super) fn width(self) -> f64 {
        f64::from(self.width) * f64::from(self.factor)
    }

    /// The enlarged height.
    pub(super) fn height(self) -> f64 {
        f64::from(self.height) * f64::from(self.factor)
    }

    /// Checks that an image has the right number of values.
    pub(super) fn check(&self, image: &[f32]) -> Result<()> {
        let Self { width, height, channels, .. } = *self;
        let (expected, found) = (width as usize * height as usize * channels, image.len());
        if found == expected {
            return Ok(());
        }
        Err(Error::usage(format!(
            "an image of height {height}, width {width} and channels {channels} has {expected} values, this \
             one has {found}"
        )))
    }

    /// Draws an image with its upper left corner at a whole pixel.
    pub(super) fn draw(self, canvas: &mut Canvas, image: &[f32], corner: Point) {
        let [left, top, factor] = [corner.0 as i64, corner.1 as i64, self.factor.into()];
        for (index, pixel) in image.chunks(self.channels).enumerate() {
            let (colour, index) = (colour(pixel), index as i64);
            let (x, y) =
                (left + index % i64::from(self.width) * factor, top + index / i64::from(self.width) * factor);
            for place in 0..factor * factor {
                canvas.tint((x + place % factor, y + place / factor), colour, 1.0);
            }
        }
    }
}

/// The colour of the values of a pixel: one for grey, or red, green and blue.
fn colour(values: &[f32]) -> Colour {
    let byte = |value: f32| (value.clamp(0.0, 1.0) * f32::from(u8::MAX)).round() as u8;
    match *values {
        [red, green, blue] => Rgb([red, green, blue].map(byte)),
        _ => Rgb([byte(values[0]); COLOURED]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::canvas::paint;

    #[test]
    fn the_factor_comes_closest_to_the_wish() -> Result<()> {
        let factor = |side, columns| -> Result<u32> {
            let shape = ImageShape { height: side, width: 28.max(side), channels: GREY };
            Ok(Stamp::fit(shape, columns, 1100.0, 300.0)?.factor)
        };
        assert_eq!([factor(28, 10)?, factor(64, 16)?, factor(64, 100)?, factor(28, 1)?], [4, 1, 1, 10]);
        assert!(factor(0, 1).is_err());
        Ok(())
    }

    #[test]
    fn pixels_have_one_channel_or_three() {
        let fit = |channels| Stamp::fit(ImageShape { height: 2, width: 2, channels }, 1, 10.0, 10.0).is_ok();
        assert_eq!([0, GREY, 2, COLOURED, 4].map(fit), [false, true, false, true, false]);
    }

    #[test]
    fn pixels_become_squares_of_clamped_grey() -> Result<()> {
        let stamp = Stamp { width: 2, height: 1, channels: GREY, factor: 2 };
        stamp.check(&[2.0, -1.0])?;
        assert!(stamp.check(&[0.0]).is_err());
        let picture = paint((6, 4), |canvas| stamp.draw(canvas, &[2.0, -1.0], (1.0, 1.0)));
        let line: Vec<u8> = (0..6).map(|x| picture.get_pixel(x, 2)[0]).collect();
        assert_eq!(line, [255, 255, 255, 0, 0, 255]);
        assert_eq!([1, 2, 3].map(|y| picture.get_pixel(3, y)[0]), [0, 0, 255]);
        Ok(())
    }

    #[test]
    fn colours_are_interleaved() -> Result<()> {
        let stamp = Stamp { width: 1, height: 2, channels: COLOURED, factor: 1 };
        let image = [1.0, 0.2, 0.0, 0.0, 0.4, 2.0];
        stamp.check(&image)?;
        assert!(stamp.check(&image[..2]).is_err());
        let picture = paint((1, 2), |canvas| stamp.draw(canvas, &image, (0.0, 0.0)));
        assert_eq!([0, 1].map(|y| picture.get_pixel(0, y).0), [[255, 51, 0], [0, 102, 255]]);
        Ok(())
    }
}
