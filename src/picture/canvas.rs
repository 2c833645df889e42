//! Drawing in pixels of the picture: lines, areas, discs, letters.

use super::theme::{Colour, INK, Pen, TEXT_SIZE, WHITE, blend};
use ab_glyph::{Font, FontRef, Glyph, ScaleFont, point};
use image::{Rgb, RgbImage};
use std::sync::LazyLock;
use tiny_skia::{
    Color, ColorU8, FillRule, LineCap, LineJoin, Mask, Paint, Path, PathBuilder, Pixmap, Rect, Shader,
    Stroke, StrokeDash, Transform,
};

/// Half the height of a digit, in heights of the letters: what centres a line of text.
const HALF_DIGIT: f64 = 0.31;

/// Width of the white rim of a text drawn over data.
const RIM: f64 = 2.5;

/// The steps from a text to the copies of it that make up its rim.
const RIM_STEPS: u32 = 16;

/// Lengths of the dashes of a dashed line, and of the gaps between them.
const DASHES: [f32; 2] = [10.0, 7.0];

/// Half the width of a cross, and the thickness of its lines.
const CROSS_REACH: f64 = 4.0;
const CROSS_THICKNESS: f64 = 2.0;

/// No place lies farther from the picture's corner: single precision would blur it.
const FARTHEST: f64 = 1e5;

/// A place in the picture: pixels rightwards and downwards from its upper left corner.
pub(super) type Point = (f64, f64);

static FONT: LazyLock<FontRef<'static>> =
    LazyLock::new(|| FontRef::try_from_slice(dejavu::sans::regular()).expect("the embedded font is whole"));

/// A white picture to draw on.
pub(super) struct Canvas {
    pixels: Pixmap,
    /// Where lines and areas are drawn; everywhere if there is none.
    clip: Option<Mask>,
}

/// The end of a text, or the middle, that its position names.
#[derive(Clone, Copy)]
pub(super) enum Align {
    Left,
    Centre,
    Right,
}

/// A picture of (width, height) pixels.
pub(super) fn paint((width, height): (u32, u32), draw: impl FnOnce(&mut Canvas)) -> RgbImage {
    let mut pixels = Pixmap::new(width, height).expect("a page has pixels, and not too many");
    pixels.fill(Color::WHITE);
    let mut canvas = Canvas { pixels, clip: None };
    draw(&mut canvas);
    let bytes = canvas.pixels.data().chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect();
    RgbImage::from_raw(width, height, bytes).unwrap_or_default()
}

impl Canvas {
    /// Keeps the lines and areas that `draw` draws inside a rectangle.
    pub(super) fn within(&mut self, from: Point, to: Point, draw: impl FnOnce(&mut Self)) {
        self.clip = Mask::new(self.pixels.width(), self.pixels.height());
        if let (Some(clip), Some(area)) = (&mut self.clip, rectangle(from, to)) {
            clip.fill_path(&PathBuilder::from_rect(area), FillRule::Winding, true, Transform::identity());
        }
        draw(self);
        self.clip = None;
    }

    /// A straight line; upright and level ones lie on whole pixels.
    pub(super) fn line(&mut self, from: Point, to: Point, pen: Pen) {
        let mut ends = [from, to];
        if from.0 == to.0 {
            ends.iter_mut().for_each(|end| end.0 = sharp(end.0, pen));
        } else if from.1 == to.1 {
            ends.iter_mut().for_each(|end| end.1 = sharp(end.1, pen));
        }
        self.stroke(open(ends), pen, Stroke::default());
    }

    /// Straight lines through the points, with round ends and corners.
    pub(super) fn path(&mut self, points: impl IntoIterator<Item = Point>, pen: Pen) {
        let round = Stroke { line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
        self.stroke(open(points), pen, round);
    }

    /// Straight dashed lines through the points.
    pub(super) fn dashes(&mut self, points: impl IntoIterator<Item = Point>, pen: Pen) {
        self.stroke(
            open(points),
            pen,
            Stroke { dash: StrokeDash::new(DASHES.into(), 0.0), ..Stroke::default() },
        );
    }

    /// The area inside the points.
    pub(super) fn area(&mut self, points: impl IntoIterator<Item = Point>, colour: Colour, opacity: f64) {
        self.fill(open(points), colour, opacity);
    }

    /// A rectangle of whole pixels between two opposite corners.
    pub(super) fn rectangle(&mut self, from: Point, to: Point, colour: Colour, opacity: f64) {
        if let Some(area) = rectangle(from, to) {
            let paint = Paint { anti_alias: false, ..paint_of(colour, opacity) };
            self.pixels.fill_rect(area, &paint, Transform::identity(), self.clip.as_ref());
        }
    }

    /// The outline of a rectangle, on whole pixels.
    pub(super) fn outline(&mut self, from: Point, to: Point, pen: Pen) {
        let [from, to] = [from, to].map(|(x, y)| (sharp(x, pen), sharp(y, pen)));
        self.stroke(rectangle(from, to).map(PathBuilder::from_rect), pen, Stroke::default());
    }

    /// A filled circle.
    pub(super) fn dot(&mut self, centre: Point, radius: f64, colour: Colour, opacity: f64) {
        self.fill(oval(centre, [radius; 2]), colour, opacity);
    }

    /// An upright ellipse, `opacity` of its pen's colour inside.
    pub(super) fn ellipse(&mut self, centre: Point, radii: [f64; 2], pen: Pen, opacity: f64) {
        self.fill(oval(centre, radii), pen.colour, opacity);
        self.stroke(oval(centre, radii), pen, Stroke::default());
    }

    /// A cross, `scale` times the size of one among crowded data.
    pub(super) fn cross(&mut self, (x, y): Point, colour: Colour, scale: f64) {
        let (reach, pen) = (scale * CROSS_REACH, Pen { colour, thickness: scale * CROSS_THICKNESS });
        self.line((x - reach, y - reach), (x + reach, y + reach), pen);
        self.line((x - reach, y + reach), (x + reach, y - reach), pen);
    }

    fn stroke(&mut self, path: Option<Path>, pen: Pen, stroke: Stroke) {
        if let Some(path) = path.filter(|_| pen.thickness > 0.0) {
            let stroke = Stroke { width: pen.thickness as f32, ..stroke };
            let paint = paint_of(pen.colour, 1.0);
            self.pixels.stroke_path(&path, &paint, &stroke, Transform::identity(), self.clip.as_ref());
        }
    }

    fn fill(&mut self, path: Option<Path>, colour: Colour, opacity: f64) {
        if let Some(path) = path.filter(|_| opacity > 0.0) {
            let paint = paint_of(colour, opacity);
            self.pixels.fill_path(
                &path,
                &paint,
                FillRule::Winding,
                Transform::identity(),
                self.clip.as_ref(),
            );
        }
    }

    /// One line of ordinary text, its digits centred vertically on `at`.
    pub(super) fn text(&mut self, text: &str, at: Point, align: Align) {
        self.write(text, at, align, TEXT_SIZE, INK);
    }

    /// One line of text with a white rim, centred on `at`: readable on top of data.
    pub(super) fn rimmed_text(&mut self, text: &str, at: Point, size: f64, colour: Colour) {
        for step in 0..RIM_STEPS {
            let angle = std::f64::consts::TAU * f64::from(step) / f64::from(RIM_STEPS);
            let moved = (at.0 + RIM * angle.cos(), at.1 + RIM * angle.sin());
            self.write(text, moved, Align::Centre, size, WHITE);
        }
        self.write(text, at, Align::Centre, size, colour);
    }

    /// One line of text of any size and colour, its digits centred vertically on `at`.
    pub(super) fn write(&mut self, text: &str, at: Point, align: Align, size: f64, colour: Colour) {
        let left = match align {
            Align::Left => at.0,
            Align::Centre => at.0 - text_width(text, size) / 2.0,
            Align::Right => at.0 - text_width(text, size),
        };
        for mut glyph in set(text, size).0 {
            glyph.position += point(left as f32, (at.1 + HALF_DIGIT * size).round() as f32);
            // Spaces have no outline.
            let Some(shape) = FONT.outline_glyph(glyph) else { continue };
            let corner = shape.px_bounds().min;
            shape.draw(|x, y, coverage| {
                self.tint(
                    (corner.x as i64 + i64::from(x), corner.y as i64 + i64::from(y)),
                    colour,
                    coverage.into(),
                );
            });
        }
    }

    /// Changes a pixel to `part` of another colour.
    pub(super) fn tint(&mut self, (x, y): (i64, i64), colour: Colour, part: f64) {
        let (width, height) = (i64::from(self.pixels.width()), i64::from(self.pixels.height()));
        if (0..width).contains(&x) && (0..height).contains(&y) {
            let pixel = &mut self.pixels.pixels_mut()[(y * width + x) as usize];
            let Rgb([red, green, blue]) =
                blend(Rgb([pixel.red(), pixel.green(), pixel.blue()]), colour, part);
            *pixel = ColorU8::from_rgba(red, green, blue, u8::MAX).premultiply();
        }
    }
}

/// The width of a line of text.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    set(text, size).1
}

/// The size of letters, at most `size`, at which a line needs no more than `room`.
pub(super) fn fitting(text: &str, size: f64, room: f64) -> f64 {
    size * (room / text_width(text, size)).min(1.0)
}

/// More letters of a text than this are never shown where it is cut.
const LONGEST_CUT: usize = 200;

/// The beginning of a text that is no wider than `room`: at least a letter.
pub(super) fn cut(text: &str, room: f64) -> String {
    let fits = |text: &str| text_width(text, TEXT_SIZE) <= room;
    let letters: Vec<char> = text.chars().take(LONGEST_CUT).collect();
    if letters.len() < LONGEST_CUT && fits(text) {
        return text.into();
    }
    let beginning = |count: usize| letters[..count].iter().chain(&['…']).collect::<String>();
    let counts: Vec<usize> = (1..letters.len()).collect();
    let fitting = counts.partition_point(|&count| fits(&beginning(count)));
    counts.get(fitting.saturating_sub(1)).map_or_else(|| text.into(), |&count| beginning(count))
}

/// The letters of a line that starts at the origin, and its width.
fn set(text: &str, size: f64) -> (Vec<Glyph>, f64) {
    let font = FONT.as_scaled(size as f32);
    let (mut x, mut last) = (0.0, None);
    let mut glyphs = Vec::new();
    for letter in text.chars() {
        let id = font.glyph_id(letter);
        x += last.map_or(0.0, |last| font.kern(last, id));
        glyphs.push(id.with_scale_and_position(font.scale(), point(x, 0.0)));
        x += font.h_advance(id);
        last = Some(id);
    }
    (glyphs, x.into())
}

/// The place nearest to a coordinate at which a line has sharp edges.
fn sharp(place: f64, pen: Pen) -> f64 {
    (place - pen.thickness / 2.0).round() + pen.thickness / 2.0
}

fn single(length: f64) -> f32 {
    length.clamp(-FARTHEST, FARTHEST) as f32
}

/// Straight lines through the points; none through fewer than two.
fn open(points: impl IntoIterator<Item = Point>) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (x, y) in points {
        if path.is_empty() { path.move_to(single(x), single(y)) } else { path.line_to(single(x), single(y)) }
    }
    path.finish()
}

fn oval((x, y): Point, [across, up]: [f64; 2]) -> Option<Path> {
    rectangle((x - across, y - up), (x + across, y + up)).and_then(PathBuilder::from_oval)
}

fn rectangle(a: Point, b: Point) -> Option<Rect> {
    let [left, top, right, bottom] = [a.0.min(b.0), a.1.min(b.1), a.0.max(b.0), a.1.max(b.1)].map(single);
    Rect::from_ltrb(left, top, right, bottom)
}

fn paint_of(Rgb([red, green, blue]): Colour, opacity: f64) -> Paint<'static> {
    let mut colour = Color::from_rgba8(red, green, blue, u8::MAX);
    colour.apply_opacity(opacity as f32);
    Paint { shader: Shader::SolidColor(colour), ..Paint::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_to_their_room() {
        assert_eq!(cut("short", 500.0), "short");
        let long = "a category of many words".repeat(1000);
        let short = cut(&long, 100.0);
        assert!(short.ends_with('…') && text_width(&short, TEXT_SIZE) <= 100.0 && short.len() > 5, "{short}");
        assert_eq!(cut("wide", 1.0), "w…");
        assert_eq!(cut("w", 1.0), "w");
    }

    const BLACK: Colour = Rgb([0; 3]);

    #[test]
    fn dashes_run_on_around_corners() {
        let line = [(0.0, 10.0), (5.0, 10.0), (60.0, 10.0)];
        let picture = paint((60, 20), |canvas| canvas.dashes(line, Pen { colour: INK, thickness: 2.0 }));
        let inked = |x: u32| picture.get_pixel(x, 10)[0] < 128;
        // Dashes of 10 from 0, 17, 34 and 51.
        assert_eq!(
            [3, 8, 13, 20, 30, 40, 47, 55].map(inked),
            [true, true, false, true, false, true, false, true]
        );
    }

    #[test]
    fn areas_lie_between_their_lines() {
        let corners = [(10.0, 10.0), (30.0, 0.0), (30.0, 20.0)];
        let picture = paint((40, 20), |canvas| canvas.area(corners, BLACK, 1.0));
        let ink: f64 = picture.pixels().map(|pixel| 1.0 - f64::from(pixel[0]) / 255.0).sum();
        assert!((ink - 200.0).abs() < 5.0, "{ink}");
        assert_eq!([picture.get_pixel(28, 2)[0], picture.get_pixel(12, 2)[0]], [0, 255]);
    }
}
