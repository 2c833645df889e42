//! Where two samples differ: the witness function mean k(x, ·) − mean k(y, ·).

use super::axes::{ABOVE, Axes, BELOW, Frame, Range, Tick, number, room_left};
use super::canvas::{Align, Canvas, Drawn, Point, fitting, text_width};
use super::page::Page;
use super::parts::{Key, Mark, area, cross, half_width, legend, length, shortened, ticks, ticks_along};
use super::theme::{
    BLUE, BROWN, GAP, HAIRLINE, INK, LINE, MARGIN, NAVY, ORANGE, QUIET, SKY, TEXT_SIZE, TICK, WHITE, WIDTH,
    blend,
};
use crate::error::{Error, Result};
use plotters::style::{Color, RGBColor};
use std::path::Path;

/// Width of everything below the title.
const ROOM: f64 = WIDTH - 2.0 * MARGIN;

/// Height of a legend, with the distance to what follows.
const LEGEND_HEIGHT: f64 = LINE + GAP / 2.0;

/// Ticks wished for along the axes.
const X_TICKS: usize = 9;
const Y_TICKS: usize = 7;

const WITNESS_NAME: &str = "witness: mean k(x, ·) − mean k(y, ·)";

/// The frame of a curve, and room above and below the curve as a fraction of it.
const CURVE_HEIGHT: f64 = 420.0;
const CURVE_PADDING: f64 = 0.08;
const CURVE_THICKNESS: f64 = 4.0;
const ZERO_THICKNESS: f64 = 1.5;

/// How much of its colour an area below the curve has, the rest being white.
const AREA_TINT: f64 = 0.45;

/// The strip that shows where a sample lies, its bars, and the distance from the top of one to the next.
const STRIP_HEIGHT: f64 = 64.0;
const STRIP_BAR: f64 = 8.0;
const STRIP_FILLED: f64 = 0.94;
const STRIP_PITCH: f64 = LINE + STRIP_HEIGHT + 1.5 * GAP;

/// No bar that counts anything is lower.
const LEAST_BAR_HEIGHT: f64 = 2.0;

/// The least and the greatest height of a plane's frame, in widths. Between, both axes have the same scale.
const LEAST_ASPECT: f64 = 0.6;
const MOST_ASPECT: f64 = 1.0;

/// Width and name of the colour bar.
const BAR_WIDTH: f64 = 34.0;
const BAR_NAME: &str = "witness";

/// Shades of either colour between white and its strongest.
const SHADES: f64 = 10.0;

/// Height and width of the pieces a plane is painted with.
const PIECE: f64 = 2.0;

/// No more points of a sample are drawn on a plane.
const MOST_POINTS: usize = 2000;

const DOT_RADIUS: f64 = 3.6;
const DOT_OPACITY: f64 = 0.55;
const CROSS_OPACITY: f64 = 0.7;

/// Marks of a crowd, of a few, in ordinary marks, and how many points have ordinary marks.
const LEAST_MARK: f64 = 0.8;
const MOST_MARK: f64 = 1.6;
const ORDINARY: f64 = 600.0;

/// The witness function of two samples of numbers.
#[derive(Clone, Copy, Debug)]
pub struct Curve<'a> {
    /// Written above the picture.
    pub title: &'a str,
    /// Names of the samples X and Y.
    pub names: [&'a str; 2],
    /// The sample X; values outside of the grid are left out with a remark.
    pub x: &'a [f64],
    /// The sample Y.
    pub y: &'a [f64],
    /// At least two numbers, rising.
    pub grid: &'a [f64],
    /// The witness function at each number of the grid.
    pub values: &'a [f64],
}

/// The witness function of two samples of points of a plane.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// Written above the picture.
    pub title: &'a str,
    /// Names of the samples X and Y.
    pub names: [&'a str; 2],
    /// The sample X; points outside of the frame are left out with a remark.
    pub x: &'a [[f64; 2]],
    /// The sample Y.
    pub y: &'a [[f64; 2]],
    /// The lower left corner of the frame.
    pub low: [f64; 2],
    /// The upper right corner of the frame.
    pub high: [f64; 2],
    /// Cells that the frame is divided into from left to right.
    pub columns: usize,
    /// The witness function at the centre of each cell, row by row from the lowest second coordinate upwards.
    pub values: &'a [f64],
}

impl Curve<'_> {
    /// Draws the witness function over the two samples, and writes the picture to `path` as PNG.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.check()?;
        let [first, .., last] = *self.grid else { return Err(short_grid()) };
        let x = Range { low: first, high: last };
        let zero = Range { low: 0.0, high: 0.0 };
        let joint =
            self.values.iter().map(|&value| Range { low: value, high: value }).fold(zero, Range::join);
        let y = Range::new(joint.low, joint.high).padded(CURVE_PADDING);
        let (x_ticks, y_ticks) = (ticks_along(x, X_TICKS, ROOM), ticks(y, Y_TICKS));

        let left = room_left(&y_ticks).max(half_width(x_ticks.first()));
        let right = half_width(x_ticks.last());
        let strips = CURVE_HEIGHT + GAP;
        let height = LEGEND_HEIGHT + ABOVE + strips + 2.0 * STRIP_PITCH - 1.5 * GAP + BELOW;
        let samples = [self.x, self.y];
        let names = self.names.map(shortened);
        let caption = [0, 1].map(|sample| {
            let all = samples[sample].len();
            let outside = samples[sample].iter().filter(|&&value| !x.contains(value)).count();
            remark(&names[sample], 1, outside, &count(all, "value"))
        });
        let page = Page::new(self.title, (ROOM, height), &caption.join(" "))?;
        let frame = Frame {
            left: page.left() + left,
            top: page.top() + LEGEND_HEIGHT + ABOVE,
            width: ROOM - left - right,
            height: CURVE_HEIGHT,
        };
        let draw = |canvas: &Canvas<'_>| {
            legend(canvas, &areas(&names), (frame.left, page.top() + LINE / 2.0), frame.width)?;
            let bare: Vec<Tick> = x_ticks.iter().map(Tick::bare).collect();
            self.draw_curve(canvas, &Axes { frame, x, y }, &bare, &y_ticks)?;
            for (sample, colour) in [BLUE, ORANGE].into_iter().enumerate() {
                let top = frame.top + strips + sample as f64 * STRIP_PITCH;
                let text = format!("{}: {}", names[sample], count(samples[sample].len(), "value"));
                let at = (frame.left, top + LINE / 2.0);
                canvas.write(&text, at, Align::Left, fitting(&text, TEXT_SIZE, frame.width), INK)?;
                let strip = Frame { top: top + LINE, height: STRIP_HEIGHT, ..frame };
                let axes = Axes { frame: strip, x, y: Range::UNIT };
                draw_strip(canvas, &axes, samples[sample], colour)?;
                axes.edges(canvas, if sample == 0 { &bare } else { &x_ticks }, &[])?;
                if sample == 1 {
                    strip.name_below(canvas, "value")?;
                }
            }
            Ok(())
        };
        page.save(path, draw, |_| ())
    }

    fn check(&self) -> Result<()> {
        let (grid, values) = (self.grid, self.values);
        if grid.len() != values.len() {
            return Err(Error::usage(format!(
                "a grid of {} numbers has {} values of the witness function",
                grid.len(),
                values.len()
            )));
        }
        if !grid.iter().chain(values).all(|value| value.is_finite()) {
            return Err(not_finite());
        }
        if !grid.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(short_grid());
        }
        Ok(())
    }

    fn draw_curve(&self, canvas: &Canvas<'_>, axes: &Axes, x_ticks: &[Tick], y_ticks: &[Tick]) -> Drawn {
        let frame = axes.frame;
        axes.grid(canvas, x_ticks, y_ticks)?;
        let (_, zero) = axes.at((0.0, 0.0));
        for column in 0..frame.width as usize {
            let part = (column as f64 + 0.5) / frame.width;
            let value = self.at(axes.x.low + part * length(axes.x));
            let colour = blend(WHITE, if value > 0.0 { SKY } else { ORANGE }, AREA_TINT);
            let (left, top) = (frame.left + column as f64, axes.at((0.0, value)).1);
            area(canvas, (left, top), (left + 1.0, zero), colour)?;
        }
        canvas.line((frame.left, zero), (frame.left + frame.width, zero), QUIET, ZERO_THICKNESS)?;
        let points: Vec<Point> =
            self.grid.iter().zip(self.values).map(|(&x, &value)| axes.at((x, value))).collect();
        canvas.path(&points, INK, CURVE_THICKNESS)?;
        axes.edges(canvas, x_ticks, y_ticks)?;
        frame.name_above(canvas, WITNESS_NAME, frame.width)
    }

    /// The witness function between the numbers of the grid.
    fn at(&self, x: f64) -> f64 {
        let after = self.grid.partition_point(|&other| other < x).clamp(1, self.grid.len() - 1);
        let part = Range { low: self.grid[after - 1], high: self.grid[after] }.fraction(x);
        between(self.values[after - 1], self.values[after], part)
    }
}

/// Bars that show where the values lie; the highest fills the strip.
fn draw_strip(canvas: &Canvas<'_>, axes: &Axes, values: &[f64], colour: RGBColor) -> Drawn {
    let frame = axes.frame;
    let bars = (frame.width / STRIP_BAR) as usize;
    let mut counts = vec![0_usize; bars];
    for &value in values.iter().filter(|&&value| axes.x.contains(value)) {
        counts[((axes.x.fraction(value) * bars as f64) as usize).min(bars - 1)] += 1;
    }
    let most = counts.iter().max().map_or(1.0, |&most| most as f64);
    for (bar, &count) in counts.iter().enumerate().filter(|&(_, &count)| count > 0) {
        let (left, top) = frame.at(bar as f64 / bars as f64, STRIP_FILLED * count as f64 / most);
        let (right, bottom) = frame.at((bar + 1) as f64 / bars as f64, 0.0);
        area(canvas, (left, top.min(bottom - LEAST_BAR_HEIGHT)), (right, bottom), colour)?;
    }
    Ok(())
}

impl Plane<'_> {
    /// Draws the witness function as colours, with the points of both samples on top, and writes the picture
    /// to `path` as PNG.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.check()?;
        let [x, y] = [0, 1].map(|side| Range { low: self.low[side], high: self.high[side] });
        let most = self.values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let shades = if most > 0.0 { Range { low: -most, high: most } } else { Range::new(0.0, 0.0) };
        let (y_ticks, shade_ticks) = (ticks(y, X_TICKS), ticks(shades, X_TICKS));

        let left = room_left(&y_ticks);
        let right = 2.0 * GAP + (BAR_WIDTH + room_left(&shade_ticks)).max(text_width(BAR_NAME, TEXT_SIZE));
        let width = ROOM - left - right;
        let x_ticks = ticks_along(x, X_TICKS, width);
        let height = width * (length(y) / length(x)).clamp(LEAST_ASPECT, MOST_ASPECT);
        let samples = [self.x, self.y];
        let names = self.names.map(shortened);
        let caption = [0, 1].map(|sample| {
            let points = samples[sample];
            let outside = points.iter().filter(|point| !shown(point, x, y)).count();
            remark(&names[sample], stride(points.len()), outside, &count(points.len(), "point"))
        });
        let body = (ROOM, 2.0 * LEGEND_HEIGHT + ABOVE + height + BELOW);
        let page = Page::new(self.title, body, &caption.join(" "))?;
        let top = page.top() + 2.0 * LEGEND_HEIGHT + ABOVE;
        let axes = Axes { frame: Frame { left: page.left() + left, top, width, height }, x, y };
        let beside = Frame { left: axes.frame.left + width + 2.0 * GAP, width: BAR_WIDTH, ..axes.frame };
        let draw = |canvas: &Canvas<'_>| {
            let marks = [Mark::Dot(NAVY), Mark::Cross(BROWN)].into_iter().enumerate();
            let points: Vec<Key> = marks
                .map(|(sample, mark)| {
                    let text = format!("{}: {}", names[sample], count(samples[sample].len(), "point"));
                    Key { mark, text }
                })
                .collect();
            let middle = page.top() + LINE / 2.0;
            legend(canvas, &areas(&names), (axes.frame.left, middle), width)?;
            legend(canvas, &points, (axes.frame.left, middle + LEGEND_HEIGHT), width)?;
            self.paint(canvas, axes.frame, shades)?;
            self.draw_points(canvas, &axes, shades)?;
            axes.edges(canvas, &x_ticks, &y_ticks)?;
            axes.frame.name_above(canvas, "second coordinate", width)?;
            axes.frame.name_below(canvas, "first coordinate")?;
            draw_bar(canvas, beside, shades, &shade_ticks)
        };
        page.save(path, draw, |_| ())
    }

    fn check(&self) -> Result<()> {
        let (columns, found) = (self.columns, self.values.len());
        if columns == 0 || found == 0 || !found.is_multiple_of(columns) {
            return Err(Error::usage(format!("{columns} columns do not divide {found} values into rows")));
        }
        if !self.values.iter().chain(&self.low).chain(&self.high).all(|value| value.is_finite()) {
            return Err(not_finite());
        }
        let mut sides = self.low.iter().zip(&self.high).map(|(low, high)| high - low);
        if !sides.all(|side| side > 0.0 && side.is_finite()) {
            return Err(Error::usage(
                "each low end of a plane must be less than its high end, by a finite number",
            ));
        }
        Ok(())
    }

    /// Colours the frame in pieces of one row and one shade each.
    fn paint(&self, canvas: &Canvas<'_>, frame: Frame, shades: Range) -> Drawn {
        let (rows, columns) = ((frame.height / PIECE).ceil() as usize, (frame.width / PIECE).ceil() as usize);
        let (right, bottom) = frame.at(1.0, 0.0);
        for row in 0..rows {
            let top = frame.top + row as f64 * PIECE;
            let end = bottom.min(top + PIECE);
            let at = |column: usize| (frame.left + column as f64 * PIECE).min(right);
            let colour = |column: usize| {
                let part = (column as f64 + 0.5) / columns as f64;
                shade(self.at(part, 1.0 - (row as f64 + 0.5) / rows as f64) / shades.high)
            };
            let mut start = (0, colour(0));
            for next in (1..columns).map(|column| (column, colour(column))) {
                if next.1 != start.1 {
                    area(canvas, (at(start.0), top), (at(next.0), end), start.1)?;
                    start = next;
                }
            }
            area(canvas, (at(start.0), top), (right, end), start.1)?;
        }
        Ok(())
    }

    /// The witness function between the centres of cells, `x` and `y` of the way from the lower left corner.
    fn at(&self, x: f64, y: f64) -> f64 {
        let rows = self.values.len() / self.columns;
        let cell = |part: f64, cells: usize| {
            let place = (part * cells as f64 - 0.5).clamp(0.0, (cells - 1) as f64);
            (place as usize, (place as usize + 1).min(cells - 1), place.fract())
        };
        let ((left, right, x), (low, high, y)) = (cell(x, self.columns), cell(y, rows));
        let along = |row: usize| {
            between(self.values[row * self.columns + left], self.values[row * self.columns + right], x)
        };
        between(along(low), along(high), y)
    }

    /// Points of the samples in turn, so that neither hides the other.
    fn draw_points(&self, canvas: &Canvas<'_>, axes: &Axes, shades: Range) -> Drawn {
        let few = |points: &[[f64; 2]]| -> Vec<[f64; 2]> {
            let few = points.iter().step_by(stride(points.len()));
            few.filter(|point| shown(point, axes.x, axes.y)).copied().collect()
        };
        let (x, y) = (few(self.x), few(self.y));
        let most = x.len().max(y.len());
        let scale = (ORDINARY / most as f64).powf(0.25).clamp(LEAST_MARK, MOST_MARK);
        for index in 0..most {
            if let Some(&[first, second]) = x.get(index) {
                canvas.dot(axes.at((first, second)), scale * DOT_RADIUS, NAVY.mix(DOT_OPACITY))?;
            }
            if let Some(&[first, second]) = y.get(index) {
                // Lines are opaque: their colour is mixed with what is below.
                let below = self.at(axes.x.fraction(first), axes.y.fraction(second));
                let colour = blend(shade(below / shades.high), BROWN, CROSS_OPACITY);
                cross(canvas, axes.at((first, second)), colour, scale)?;
            }
        }
        Ok(())
    }
}

/// The colours with their numbers, right of the frame.
fn draw_bar(canvas: &Canvas<'_>, beside: Frame, shades: Range, ticks: &[Tick]) -> Drawn {
    beside.name_above(canvas, BAR_NAME, f64::INFINITY)?;
    // Shorter than the frame, so that the uppermost number keeps clear of the name.
    let bar = Frame { top: beside.top + GAP, height: beside.height - 2.0 * GAP, ..beside };
    let bands = (2.0 * SHADES) as usize + 1;
    for band in 0..bands {
        // The outermost bands are half as high: the range ends in their middle.
        let edge = |step: f64| ((step - 0.5) / (2.0 * SHADES)).clamp(0.0, 1.0);
        let (from, to) = (bar.at(0.0, edge(band as f64 + 1.0)), bar.at(1.0, edge(band as f64)));
        area(canvas, from, to, shade(band as f64 / SHADES - 1.0))?;
    }
    for tick in ticks {
        let (x, y) = bar.at(1.0, shades.fraction(tick.value));
        canvas.line((x, y), (x + TICK, y), INK, HAIRLINE)?;
        canvas.text(&tick.label, (x + TICK + GAP / 2.0, y), Align::Left)?;
    }
    bar.border(canvas)
}

/// The colour of a value from -1 to 1: blue where it is positive.
fn shade(value: f64) -> RGBColor {
    let part = (value * SHADES).round() / SHADES;
    blend(WHITE, if part > 0.0 { SKY } else { ORANGE }, part.abs())
}

/// The legend of the two colours.
fn areas([x, y]: &[String; 2]) -> [Key; 2] {
    let key = |name: &str, colour| Key { mark: Mark::Area(colour), text: format!("more of {name}") };
    [key(x, SKY), key(y, ORANGE)]
}

fn between(from: f64, to: f64, part: f64) -> f64 {
    from + part * (to - from)
}

fn shown([x, y]: &[f64; 2], x_range: Range, y_range: Range) -> bool {
    x_range.contains(*x) && y_range.contains(*y)
}

/// Every how manieth of so many points is drawn.
fn stride(points: usize) -> usize {
    points.div_ceil(MOST_POINTS).max(1)
}

fn count(things: usize, name: &str) -> String {
    let plural = if things == 1 { "" } else { "s" };
    format!("{} {name}{plural}", number(things as f64, 0))
}

/// What the picture leaves out of a sample, in words; may be empty.
fn remark(name: &str, stride: usize, outside: usize, all: &str) -> String {
    let thinned = (stride > 1).then(|| format!("one point in {stride} is shown"));
    let verb = if outside == 1 { "lies" } else { "lie" };
    let hidden = (outside > 0).then(|| format!("{} of {all} {verb} outside", number(outside as f64, 0)));
    match [thinned, hidden].into_iter().flatten().reduce(|thinned, hidden| format!("{thinned}, {hidden}")) {
        Some(remarks) => format!("Of {name}, {remarks}."),
        None => String::new(),
    }
}

fn not_finite() -> Error {
    Error::usage("the witness function and its grid must be finite numbers")
}

fn short_grid() -> Error {
    Error::usage("the grid of a witness function needs at least two numbers, and they must rise")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;

    const NAMES: [&str; 2] = ["x.npy", "y.npy"];

    /// Column and row centres of the plane that the tests draw.
    fn centres(low: f64, high: f64, cells: usize) -> Vec<f64> {
        (0..cells).map(|cell| between(low, high, (cell as f64 + 0.5) / cells as f64)).collect()
    }

    #[test]
    fn values_are_found_between_grid_points() {
        let curve = Curve {
            title: "",
            names: NAMES,
            x: &[],
            y: &[],
            grid: &[0.0, 1.0, 3.0],
            values: &[1.0, 3.0, 2.0],
        };
        assert_eq!([0.0, 0.5, 1.0, 2.0, 3.0].map(|x| curve.at(x)), [1.0, 2.0, 3.0, 2.5, 2.0]);
        let plane = plane(&[], 2, &[0.0, 1.0, 2.0, 3.0]);
        // The first row is the lowest; beyond the outermost centres nothing changes.
        assert_eq!([plane.at(0.0, 0.0), plane.at(1.0, 0.25), plane.at(0.0, 1.0)], [0.0, 1.0, 2.0]);
        assert_eq!(plane.at(0.5, 0.5), 1.5);
    }

    fn plane<'a>(points: &'a [[f64; 2]], columns: usize, values: &'a [f64]) -> Plane<'a> {
        let (low, high) = ([-4.0, -3.0], [4.0, 3.0]);
        Plane {
            title: "Where do they differ?",
            names: NAMES,
            x: points,
            y: points,
            low,
            high,
            columns,
            values,
        }
    }

    #[test]
    fn blue_is_more_of_the_first() {
        assert_eq!([shade(1.0), shade(0.0), shade(-1.0)], [SKY, WHITE, ORANGE]);
        let picture = demo::decoded(&demo::bytes(|path| plane(&[], 2, &[1.0, -1.0]).save(path)));
        let (width, height) = picture.dimensions();
        let at = |part: f64| picture.get_pixel((part * f64::from(width)) as u32, height / 2).0;
        assert_eq!(at(0.2), [SKY.0, SKY.1, SKY.2]);
        assert_eq!(at(0.75), [ORANGE.0, ORANGE.1, ORANGE.2]);
    }

    #[test]
    fn crowds_are_thinned_with_a_remark() {
        assert_eq!([0, 1, 2000, 2001, 1_000_000].map(stride), [1, 1, 1, 2, 500]);
        assert_eq!(remark("x.npy", 1, 0, "2,000 points"), "");
        assert_eq!(remark("x.npy", 1, 1, "9 values"), "Of x.npy, 1 of 9 values lies outside.");
        assert_eq!(
            remark("x.npy", 3, 7, "5,000 points"),
            "Of x.npy, one point in 3 is shown, 7 of 5,000 points lie outside."
        );
    }

    #[test]
    fn odd_numbers_are_drawn_without_complaint() {
        let points = [[f64::NAN, 0.0], [1e300, -1e300], [0.0, 0.0]];
        for value in [0.0, 1e-12, -1e300] {
            assert!(!demo::bytes(|path| plane(&points, 1, &[value; 3]).save(path)).is_empty());
            let (grid, values, x) = ([-1e-9, 1e-9], [0.0, value], [f64::NAN, 0.0, f64::INFINITY]);
            let curve = Curve { title: "", names: ["", ""], x: &x, y: &[], grid: &grid, values: &values };
            assert!(!demo::bytes(|path| curve.save(path)).is_empty());
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let path = Path::new("refused.png");
        for (grid, values) in [
            (&[0.0][..], &[0.0][..]),
            (&[0.0, 1.0], &[0.0]),
            (&[1.0, 0.0], &[0.0, 0.0]),
            (&[0.0, 1.0], &[0.0, f64::NAN]),
        ] {
            let curve = Curve { title: "", names: NAMES, x: &[], y: &[], grid, values };
            assert!(curve.save(path).is_err());
        }
        assert!(plane(&[], 0, &[0.0]).save(path).is_err());
        assert!(plane(&[], 2, &[0.0; 3]).save(path).is_err());
        assert!(plane(&[], 1, &[]).save(path).is_err());
        assert!(plane(&[], 1, &[f64::NAN]).save(path).is_err());
        assert!(
            Plane { low: [f64::MIN; 2], high: [f64::MAX; 2], ..plane(&[], 1, &[0.0]) }.save(path).is_err()
        );
        assert!(Plane { high: [-4.0, 3.0], ..plane(&[], 1, &[0.0]) }.save(path).is_err());
    }

    #[test]
    fn same_input_same_bytes() {
        let samples = demo::samples(3000);
        let values: Vec<f64> = centres(-3.0, 3.0, 30)
            .into_iter()
            .flat_map(|y| centres(-4.0, 4.0, 40).into_iter().map(move |x| [x, y]))
            .map(|at| demo::witness(&samples, 0.7, at))
            .collect();
        let draw = || demo::bytes(|path| plane(&samples[0], 40, &values).save(path));
        assert_eq!(draw(), draw());

        let grid = centres(-4.0, 4.0, 100);
        let values: Vec<f64> = grid.iter().map(|&x| demo::witness(&samples, 0.7, [x, 0.0])).collect();
        let [x, y] = samples.map(|points| points.iter().map(|point| point[0]).collect::<Vec<_>>());
        let curve = Curve { title: "Where?", names: NAMES, x: &x, y: &y, grid: &grid, values: &values };
        let draw = || demo::bytes(|path| curve.save(path));
        assert_eq!(draw(), draw());
    }
}
