//! Drawing in pixels of the finished picture.
//!
//! The drawing itself happens on a canvas several times larger that is then averaged down. That smooths every
//! edge alike, and places everything, which the library puts on whole pixels, to a fraction of a pixel.
//! Letters are set here rather than by the library, which spaces them unevenly.

use super::theme::{INK, TEXT_SIZE, WHITE};
use ab_glyph::{Font, FontRef, Glyph, InvalidFont, ScaleFont, point};
use image::RgbImage;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement};
use plotters::prelude::BitMapBackend;
use plotters::style::{Color, RGBAColor, RGBColor, ShapeStyle};
use std::error::Error;
use std::sync::LazyLock;

/// Canvas pixels for each pixel of the picture, along each side.
const OVERSAMPLING: u32 = 3;

/// Bytes of a pixel: red, green, blue.
const CHANNELS: usize = 3;

/// Half the height of a digit, in heights of the letters: what centres a line of text.
const HALF_DIGIT: f64 = 0.31;

/// Width of the white rim of a text drawn over data.
const RIM: f64 = 2.5;

/// The steps from a text to the copies of it that make up its rim.
const RIM_STEPS: u32 = 16;

/// Lengths of the dashes of a dashed line, and from the start of one to the next.
const DASH: f64 = 10.0;
const DASH_PITCH: f64 = 17.0;

/// A place in the picture: pixels rightwards and downwards from its upper left corner.
pub(super) type Point = (f64, f64);

/// The outcome of drawing.
pub(super) type Drawn<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// The embedded font.
static FONT: LazyLock<Result<FontRef<'static>, InvalidFont>> =
    LazyLock::new(|| FontRef::try_from_slice(dejavu::sans::regular()));

fn font() -> Result<&'static FontRef<'static>, InvalidFont> {
    FONT.as_ref().map_err(|&problem| problem)
}

/// A white picture to draw on.
pub(super) struct Canvas<'a> {
    area: DrawingArea<BitMapBackend<'a>, Shift>,
}

/// How a text is aligned with its position.
#[derive(Clone, Copy)]
pub(super) enum Align {
    Left,
    Centre,
    Right,
}

/// A picture of `size` (width, height) pixels, drawn by `work`.
pub(super) fn paint(size: (u32, u32), work: impl FnOnce(&Canvas<'_>) -> Drawn) -> Drawn<RgbImage> {
    let large = (size.0 * OVERSAMPLING, size.1 * OVERSAMPLING);
    let mut pixels = vec![u8::MAX; large.0 as usize * large.1 as usize * CHANNELS];
    let canvas = Canvas { area: BitMapBackend::with_buffer(&mut pixels, large).into_drawing_area() };
    work(&canvas)?;
    canvas.area.present()?;
    drop(canvas);
    Ok(shrink(&pixels, large.0, OVERSAMPLING))
}

/// The mean of each square of `side` by `side` pixels of a picture that is `width` pixels wide; what is left
/// at the right and at the bottom is cut off.
pub(super) fn shrink(pixels: &[u8], width: u32, side: u32) -> RgbImage {
    let (stride, edge) = (width as usize * CHANNELS, side as usize);
    let rows = pixels.chunks_exact(stride * edge);
    let size = (width / side, rows.len() as u32);
    let mut means = Vec::with_capacity(size.0 as usize * rows.len() * CHANNELS);
    let mut sums = vec![0_u32; size.0 as usize * CHANNELS];
    for square_row in rows {
        sums.fill(0);
        for row in square_row.chunks_exact(stride) {
            for (sum, square) in sums.chunks_exact_mut(CHANNELS).zip(row.chunks_exact(edge * CHANNELS)) {
                for pixel in square.chunks_exact(CHANNELS) {
                    sum.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += u32::from(value));
                }
            }
        }
        let area = side * side;
        means.extend(sums.iter().map(|sum| ((sum + area / 2) / area) as u8));
    }
    RgbImage::from_raw(size.0, size.1, means).unwrap_or_default()
}

impl Canvas<'_> {
    /// A straight line.
    pub(super) fn line(&self, from: Point, to: Point, colour: RGBColor, thickness: f64) -> Drawn {
        let style =
            ShapeStyle { color: colour.to_rgba(), filled: true, stroke_width: enlarge(thickness) as u32 };
        Ok(self.area.draw(&PathElement::new(vec![place(from), place(to)], style))?)
    }

    /// Straight lines through the points, with round corners; a dot if there is only one point.
    pub(super) fn path(&self, points: &[Point], colour: RGBColor, thickness: f64) -> Drawn {
        for pair in points.windows(2) {
            self.line(pair[0], pair[1], colour, thickness)?;
        }
        points.iter().try_for_each(|&point| self.dot(point, thickness / 2.0, colour.to_rgba()))
    }

    /// The same in dashes, which run on around the corners.
    pub(super) fn dashes(&self, points: &[Point], colour: RGBColor, thickness: f64) -> Drawn {
        let mut done = 0.0;
        for pair in points.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            let at = |along: f64| {
                let part = ((along - done) / length).clamp(0.0, 1.0);
                (from.0 + part * (to.0 - from.0), from.1 + part * (to.1 - from.1))
            };
            let (first, end) = ((done / DASH_PITCH).floor() as usize, done + length);
            for start in (first..).map(|dash| dash as f64 * DASH_PITCH).take_while(|&start| start < end) {
                if start + DASH > done {
                    self.line(at(start), at(start + DASH), colour, thickness)?;
                }
            }
            done = end;
        }
        Ok(())
    }

    /// The area between two lines. Each entry is a place on the horizontal axis, rising, with the places of
    /// both lines there.
    pub(super) fn between(&self, lines: &[(f64, [f64; 2])], colour: RGBAColor) -> Drawn {
        for pair in lines.windows(2) {
            let [(left, starts), (right, ends)] = [pair[0], pair[1]];
            for column in enlarge(left)..enlarge(right) {
                let x = (f64::from(column) + 0.5) / f64::from(OVERSAMPLING);
                let part = (x - left) / (right - left);
                let at = |line: usize| starts[line] + part * (ends[line] - starts[line]);
                let (top, bottom) = (enlarge(at(0).min(at(1))), enlarge(at(0).max(at(1))));
                if top < bottom {
                    // Both ends are drawn.
                    let line = vec![(column, top), (column, bottom - 1)];
                    self.area.draw(&PathElement::new(line, colour.stroke_width(1)))?;
                }
            }
        }
        Ok(())
    }

    /// A filled circle.
    pub(super) fn dot(&self, centre: Point, radius: f64, colour: RGBAColor) -> Drawn {
        Ok(self.area.draw(&Circle::new(place(centre), enlarge(radius), colour.filled()))?)
    }

    /// The outline of a rectangle.
    pub(super) fn outline(&self, from: Point, to: Point, colour: RGBColor, thickness: f64) -> Drawn {
        let corners = [from, (to.0, from.1), to, (from.0, to.1), from];
        // Square corners: each side runs on by half its thickness.
        corners.windows(2).try_for_each(|side| {
            let reach = |a: f64, b: f64| (b - a).signum() * if a == b { 0.0 } else { thickness / 2.0 };
            let step = (reach(side[0].0, side[1].0), reach(side[0].1, side[1].1));
            let (start, end) = (side[0], side[1]);
            self.line(
                (start.0 - step.0, start.1 - step.1),
                (end.0 + step.0, end.1 + step.1),
                colour,
                thickness,
            )
        })
    }

    /// One line of ordinary text, its digits centred vertically on `at`.
    pub(super) fn text(&self, text: &str, at: Point, align: Align) -> Drawn {
        self.write(text, at, align, TEXT_SIZE, INK)
    }

    /// One line of text with a white rim, centred on `at`: readable on top of data.
    pub(super) fn rimmed_text(&self, text: &str, at: Point, size: f64, colour: RGBColor) -> Drawn {
        for step in 0..RIM_STEPS {
            let angle = std::f64::consts::TAU * f64::from(step) / f64::from(RIM_STEPS);
            let moved = (at.0 + RIM * angle.cos(), at.1 + RIM * angle.sin());
            self.write(text, moved, Align::Centre, size, WHITE)?;
        }
        self.write(text, at, Align::Centre, size, colour)
    }

    /// One line of text of any size and colour, its digits centred vertically on `at`.
    pub(super) fn write(&self, text: &str, at: Point, align: Align, size: f64, colour: RGBColor) -> Drawn {
        let left = match align {
            Align::Left => at.0,
            Align::Centre => at.0 - text_width(text, size) / 2.0,
            Align::Right => at.0 - text_width(text, size),
        };
        let baseline = at.1 + HALF_DIGIT * size;
        let corner = (enlarge(left), enlarge(baseline));
        set(text, size)?.0.into_iter().try_for_each(|glyph| self.glyph(glyph, corner, colour))
    }

    /// One letter of a line of text that starts at `corner`, on its baseline.
    fn glyph(&self, glyph: Glyph, corner: (i32, i32), colour: RGBColor) -> Drawn {
        // Spaces have no outline.
        let Some(shape) = font()?.outline_glyph(glyph) else { return Ok(()) };
        let bounds = shape.px_bounds();
        let mut drawn = Ok(());
        shape.draw(|x, y, coverage| {
            let at = (corner.0 + bounds.min.x as i32 + x as i32, corner.1 + bounds.min.y as i32 + y as i32);
            if drawn.is_ok() {
                drawn = self.area.draw_pixel(at, &colour.mix(coverage.into()));
            }
        });
        Ok(drawn?)
    }
}

/// How wide a line of text is. Without a font it is nothing; drawing it then tells why.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    set(text, size).map_or(0.0, |(_, width)| width / f64::from(OVERSAMPLING))
}

/// The size of letters, at most `size`, at which a line needs no more than `room`.
pub(super) fn fitting(text: &str, size: f64, room: f64) -> f64 {
    size * (room / text_width(text, size)).min(1.0)
}

/// The letters of a line that starts at the origin, and its width, in pixels of the enlarged canvas.
fn set(text: &str, size: f64) -> Result<(Vec<Glyph>, f64), InvalidFont> {
    let font = font()?.as_scaled((size * f64::from(OVERSAMPLING)) as f32);
    let (mut x, mut last) = (0.0, None);
    let mut glyphs = Vec::new();
    for letter in text.chars() {
        let id = font.glyph_id(letter);
        x += last.map_or(0.0, |last| font.kern(last, id));
        glyphs.push(id.with_scale_and_position(font.scale(), point(x, 0.0)));
        x += font.h_advance(id);
        last = Some(id);
    }
    Ok((glyphs, x.into()))
}

fn place((x, y): Point) -> (i32, i32) {
    (enlarge(x), enlarge(y))
}

fn enlarge(length: f64) -> i32 {
    (length * f64::from(OVERSAMPLING)).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_are_averaged() {
        // 5 x 3 pixels, in red their number; the last column and row are cut off.
        let pixels: Vec<u8> = (0..15).flat_map(|number| [number, 100, 7]).collect();
        let shrunk = shrink(&pixels, 5, 2);
        assert_eq!(shrunk.dimensions(), (2, 1));
        // 0 + 1 + 5 + 6 and 2 + 3 + 7 + 8, by four.
        assert_eq!([shrunk.get_pixel(0, 0).0, shrunk.get_pixel(1, 0).0], [[3, 100, 7], [5, 100, 7]]);
    }

    #[test]
    fn dashes_run_on_around_corners() -> Drawn {
        let picture =
            paint((60, 20), |canvas| canvas.dashes(&[(0.0, 10.0), (5.0, 10.0), (60.0, 10.0)], INK, 2.0))?;
        let inked = |x: u32| picture.get_pixel(x, 10)[0] < 128;
        // Dashes of 10 from 0, 17, 34 and 51.
        assert_eq!(
            [3, 8, 13, 20, 30, 40, 47, 55].map(inked),
            [true, true, false, true, false, true, false, true]
        );
        Ok(())
    }

    #[test]
    fn areas_lie_between_their_lines() -> Drawn {
        let black = RGBColor(0, 0, 0).to_rgba();
        let lines = [(10.0, [10.0, 10.0]), (30.0, [0.0, 20.0])];
        let picture = paint((40, 20), |canvas| canvas.between(&lines, black))?;
        let ink: f64 = picture.pixels().map(|pixel| 1.0 - f64::from(pixel[0]) / 255.0).sum();
        assert!((ink - 200.0).abs() < 5.0, "{ink}");
        assert_eq!([picture.get_pixel(28, 2)[0], picture.get_pixel(12, 2)[0]], [0, 255]);
        Ok(())
    }
}
