//! Decoded images over a latent plane.

use super::axes::{ABOVE, BELOW, Frame, room_left};
use super::canvas::{Canvas, Point};
use super::page::Page;
use super::plane::{FIRST_LATENT, SECOND_LATENT};
use super::raster::{ImageShape, Stamp};
use super::scale::{Range, Tick, number};
use super::theme::{LEAST_WIDTH, LONGEST_IMAGE, MARGIN, WIDTH};
use crate::error::{Error, Result};
use std::path::Path;

/// Room kept for the numbers left of the images when choosing their size.
const TYPICAL_ROOM: f64 = 50.0;

/// Ticks wished for along the axes.
const TICKS: usize = 8;

/// Decimals of the number on an axis with a single image.
const ONLY_DECIMALS: usize = 2;

/// Numbers along an axis are at least this far apart.
const TICK_SPACING: f64 = 56.0;

/// The decoder's output over a grid of points of a two-dimensional latent plane.
#[derive(Clone, Debug, Default)]
pub struct Manifold {
    /// Written above the images.
    pub title: String,
    /// rows x columns images, row by row: image `r * columns + c` belongs to the latent point
    /// `(columns[c], rows[r])`.
    pub images: Vec<Vec<f32>>,
    /// The first latent coordinate of each column, rising; drawn from left to right.
    pub columns: Vec<f64>,
    /// The second latent coordinate of each row, rising; drawn upwards.
    pub rows: Vec<f64>,
    /// The shape of each image.
    pub shape: ImageShape,
    /// Written below the images; may be empty.
    pub caption: String,
}

impl Manifold {
    /// Writes the images, edge to edge with axes around them, to `path` as PNG.
    pub fn save(&self, path: &Path) -> Result<()> {
        let stamp = self.check()?;
        let (x_ticks, y_ticks) = (ticks(&self.columns), ticks(&self.rows));
        let left = room_left(&y_ticks).ceil();
        let (width, height) =
            (self.columns.len() as f64 * stamp.width(), self.rows.len() as f64 * stamp.height());
        let body = ((left + width).max(LEAST_WIDTH), ABOVE + height + BELOW);
        let page = Page::new(&self.title, body, &self.caption)?;
        let frame = Frame { left: page.left() + left, top: (page.top() + ABOVE).ceil(), width, height };
        page.save(path, |canvas| {
            self.draw_axes(canvas, frame, &x_ticks, &y_ticks);
            for (index, image) in self.images.iter().enumerate() {
                stamp.draw(canvas, image, self.corner(frame, stamp, index));
            }
        })
    }

    /// That images and coordinates belong together; how large the images are drawn.
    fn check(&self) -> Result<Stamp> {
        let wished = WIDTH - 2.0 * MARGIN - TYPICAL_ROOM;
        let stamp = Stamp::fit(self.shape, self.columns.len(), wished, LONGEST_IMAGE)?;
        let (found, columns, rows) = (self.images.len(), self.columns.len(), self.rows.len());
        if found == 0 || found != columns * rows {
            return Err(Error::usage(format!(
                "{columns} columns and {rows} rows do not make {found} images"
            )));
        }
        let rising = |values: &[f64]| {
            values.iter().all(|value| value.is_finite()) && values.windows(2).all(|pair| pair[0] < pair[1])
        };
        if !rising(&self.columns) || !rising(&self.rows) {
            return Err(Error::usage("latent coordinates of columns and rows must rise"));
        }
        self.images.iter().try_for_each(|image| stamp.check(image))?;
        Ok(stamp)
    }

    /// The upper left corner of an image.
    fn corner(&self, frame: Frame, stamp: Stamp, index: usize) -> Point {
        let (row, column) = (index / self.columns.len(), index % self.columns.len());
        let above = self.rows.len() - 1 - row;
        (frame.left + column as f64 * stamp.width(), frame.top + above as f64 * stamp.height())
    }

    fn draw_axes(&self, canvas: &mut Canvas, frame: Frame, x_ticks: &[Tick], y_ticks: &[Tick]) {
        for (x, label) in spread(&self.columns, x_ticks, frame.width) {
            frame.tick_below(canvas, x, label);
        }
        for (y, label) in spread(&self.rows, y_ticks, frame.height) {
            frame.tick_left(canvas, y, label);
        }
        frame.name_above(canvas, SECOND_LATENT, frame.width);
        frame.name_below(canvas, FIRST_LATENT);
    }
}

/// Round numbers from the first coordinate to the last.
fn ticks(values: &[f64]) -> Vec<Tick> {
    match *values {
        [] => Vec::new(),
        [only] => vec![Tick { value: only, label: number(only, ONLY_DECIMALS) }],
        [first, .., last] => Range::new(first, last).ticks(TICKS),
    }
}

/// Where along an axis of `length` pixels the numbers go, without those too close to the one before.
fn spread<'a>(values: &[f64], ticks: &'a [Tick], length: f64) -> Vec<(f64, &'a str)> {
    let mut places: Vec<(f64, &str)> = Vec::new();
    for tick in ticks {
        let place = centre(values, tick.value);
        if places.last().is_none_or(|last| (place - last.0) * length >= TICK_SPACING) {
            places.push((place, &tick.label));
        }
    }
    places
}

/// How far along the axis a coordinate lies: each of `values` in the middle of its image, others between.
fn centre(values: &[f64], value: f64) -> f64 {
    let count = values.len() as f64;
    let before = values.iter().filter(|&&other| other <= value).count().saturating_sub(1);
    let part = match values.get(before..before + 2) {
        Some(pair) => ((value - pair[0]) / (pair[1] - pair[0])).clamp(0.0, 1.0),
        None => 0.0,
    };
    (before as f64 + part + 0.5) / count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;

    #[test]
    fn the_first_row_is_at_the_bottom() -> Result<()> {
        let images = (0..6).map(|index| vec![index as f32 / 10.0; 4]).collect();
        let plane = Manifold {
            images,
            columns: vec![-1.0, 0.0, 1.0],
            rows: vec![-1.0, 1.0],
            shape: ImageShape { height: 2, width: 2, channels: 1 },
            ..Manifold::default()
        };
        let stamp = plane.check()?;
        let frame = Frame { left: 10.0, top: 20.0, width: 3.0 * stamp.width(), height: 2.0 * stamp.height() };
        assert_eq!(plane.corner(frame, stamp, 0), (10.0, 20.0 + stamp.height()));
        assert_eq!(plane.corner(frame, stamp, 5), (10.0 + 2.0 * stamp.width(), 20.0));

        let picture = demo::decoded(&demo::bytes(|path| plane.save(path)));
        let left = MARGIN + room_left(&ticks(&plane.rows)).ceil();
        let at = |row: f64, column: f64| {
            let x = left + (column + 0.5) * stamp.width();
            let y = (MARGIN + ABOVE).ceil() + (row + 0.5) * stamp.height();
            picture.get_pixel(x as u32, y as u32)[0]
        };
        assert_eq!([at(1.0, 0.0), at(1.0, 2.0), at(0.0, 0.0)], [0, 51, 77]);
        Ok(())
    }

    #[test]
    fn ticks_follow_the_centres_of_images() {
        let values = [-2.0, -1.0, 3.0];
        assert_eq!(centre(&values, -2.0), 0.5 / 3.0);
        assert_eq!(centre(&values, 1.0), 2.0 / 3.0);
        assert_eq!(centre(&values, 3.0), 2.5 / 3.0);
        assert_eq!(centre(&[7.0], 7.0), 0.5);
    }

    #[test]
    fn crowded_numbers_are_left_out() {
        let values = [0.0, 1.0];
        let ticks = ticks(&values);
        assert_eq!(spread(&values, &ticks, 1e4).len(), ticks.len());
        assert_eq!(spread(&values, &ticks, 2.0 * TICK_SPACING).len(), 2);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let path = Path::new("refused.png");
        assert!(Manifold::default().save(path).is_err());
        let plane = Manifold {
            images: vec![vec![0.0]; 2],
            columns: vec![1.0, 0.0],
            rows: vec![0.0],
            shape: ImageShape { height: 1, width: 1, channels: 1 },
            ..Manifold::default()
        };
        assert!(plane.save(path).is_err());
    }
}
