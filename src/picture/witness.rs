//! Where two samples differ: the witness function mean k(x, ·) − mean k(y, ·).

use super::axes::{ABOVE, Axes, BELOW, Frame, room_left};
use super::canvas::{Align, Canvas, text_width};
use super::chart::Chart;
use super::legend::{Key, Legend, Swatch};
use super::page::Page;
use super::panel::{Panel, Series, Style};
use super::scale::{Range, Tick, number, shortened};
use super::theme::{
    BLUE, BROWN, Colour, GAP, INK, MARGIN, NAVY, ORANGE, Pen, SKY, TEXT_SIZE, TICK, WHITE, WIDTH, blend,
};
use crate::error::{Error, Result};
use std::path::Path;

/// Width of everything below the title.
const ROOM: f64 = WIDTH - 2.0 * MARGIN;

/// Ticks wished for along the axes of a plane.
const TICKS: usize = 9;

const WITNESS_NAME: &str = "witness: mean k(x, ·) − mean k(y, ·)";

/// The frame of the curve, and those of the histograms below it with their bars.
const CURVE_HEIGHT: f64 = 420.0;
const HISTOGRAM_HEIGHT: f64 = 110.0;
const BARS: usize = 140;

/// Areas have no outline: the curve is theirs.
const CURVE_PENS: [Pen; 3] = [
    Pen { colour: SKY, thickness: 0.0 },
    Pen { colour: ORANGE, thickness: 0.0 },
    Pen { colour: INK, thickness: 4.0 },
];
const HISTOGRAM_PENS: [Pen; 2] =
    [Pen { colour: BLUE, thickness: 1.5 }, Pen { colour: ORANGE, thickness: 1.5 }];

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
    /// What the numbers are.
    pub axis: &'a str,
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
    /// What the coordinates are.
    pub axes: [&'a str; 2],
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
        let [low, .., high] = *self.grid else { return Err(short_grid()) };
        let names = self.names.map(shortened);
        let curve = |name: String, style: Style, shown: fn(f64) -> f64| {
            let points = self.grid.iter().zip(self.values).map(|(&x, &value)| [x, shown(value)]);
            Series { name, points: points.collect(), style }
        };
        let [more_x, more_y] = more_of(&names);
        let witness = Panel {
            x: self.axis.into(),
            y: WITNESS_NAME.into(),
            series: vec![
                curve(more_x, Style::Area, |value| value.max(0.0)),
                curve(more_y, Style::Area, |value| value.min(0.0)),
                curve(String::new(), Style::Line, |value| value),
            ],
            height: Some(CURVE_HEIGHT),
            ..Panel::default()
        };
        let (mut panels, mut caption) = (vec![witness], Vec::new());
        for (name, values) in names.iter().zip([self.x, self.y]) {
            let all = count(values.len(), "value");
            let outside = values.iter().filter(|&&value| !(low..=high).contains(&value)).count();
            caption.push(remark(name, 1, outside, &all));
            panels.push(Panel {
                x: self.axis.into(),
                y: format!("{name}: {all}"),
                series: vec![Series::histogram(values, [low, high], BARS)],
                height: Some(HISTOGRAM_HEIGHT),
                ..Panel::default()
            });
        }
        let pens = [CURVE_PENS.into()].into_iter().chain(HISTOGRAM_PENS.map(|pen| vec![pen])).collect();
        Chart { title: self.title.into(), panels, columns: 1, caption: caption.join(" ") }
            .save_with(pens, path)
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
}

impl Plane<'_> {
    /// Draws the witness function as colours, with the points of both samples on top, and writes the picture
    /// to `path` as PNG.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.check()?;
        let [x, y] = [0, 1].map(|side| Range { low: self.low[side], high: self.high[side] });
        let most = self.values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let shades = if most > 0.0 { Range { low: -most, high: most } } else { Range::new(0.0, 0.0) };
        let (y_ticks, shade_ticks) = (y.ticks(TICKS), shades.ticks(TICKS));

        let left = room_left(&y_ticks);
        let right = 2.0 * GAP + (BAR_WIDTH + room_left(&shade_ticks)).max(text_width(BAR_NAME, TEXT_SIZE));
        let width = ROOM - left - right;
        let x_ticks = x.ticks_along(TICKS, width, false);
        let height = width * (y.length() / x.length()).clamp(LEAST_ASPECT, MOST_ASPECT);
        let (samples, names) = ([self.x, self.y], self.names.map(shortened));
        let caption = [0, 1].map(|sample| {
            let points = samples[sample];
            let outside = points.iter().filter(|point| !shown(point, x, y)).count();
            remark(&names[sample], stride(points.len()), outside, &count(points.len(), "point"))
        });
        let legend = self.legend(&names, width);
        let body = (ROOM, legend.height() + ABOVE + height + BELOW);
        let page = Page::new(self.title, body, &caption.join(" "))?;
        let top = page.top() + legend.height() + ABOVE;
        let axes = Axes { frame: Frame { left: page.left() + left, top, width, height }, x, y };
        let frame = axes.frame;
        let beside = Frame { left: frame.left + width + 2.0 * GAP, width: BAR_WIDTH, ..frame };
        page.save(path, |canvas| {
            legend.draw(canvas, (frame.left + width, page.top()));
            self.paint(canvas, frame, shades);
            self.draw_points(canvas, &axes, shades);
            axes.edges(canvas, &x_ticks, &y_ticks);
            frame.name_above(canvas, self.axes[1], width);
            frame.name_below(canvas, self.axes[0]);
            draw_bar(canvas, beside, shades, &shade_ticks);
        })
    }

    /// The two colours, and below them the two marks.
    fn legend(&self, names: &[String; 2], room: f64) -> Legend {
        let dot = Swatch::Series(Style::Points, Pen { colour: NAVY, thickness: 0.0 });
        let [more_x, more_y] = more_of(names);
        let samples = [(&names[0], self.x), (&names[1], self.y)];
        let [x, y] = samples.map(|(name, points)| format!("{name}: {}", count(points.len(), "point")));
        let line = |keys: [(Swatch, String); 2]| keys.map(|(swatch, name)| Key { swatch, name }).into();
        let areas = [(Swatch::Area(SKY, 1.0), more_x), (Swatch::Area(ORANGE, 1.0), more_y)];
        Legend { lines: vec![line(areas), line([(dot, x), (Swatch::Cross(BROWN), y)])], room }
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
    fn paint(&self, canvas: &mut Canvas, frame: Frame, shades: Range) {
        let (rows, columns) = ((frame.height / PIECE).ceil() as usize, (frame.width / PIECE).ceil() as usize);
        let place = |column: usize, row: usize| {
            let (x, y) = (column as f64 * PIECE / frame.width, row as f64 * PIECE / frame.height);
            frame.at(x.min(1.0), 1.0 - y.min(1.0))
        };
        for row in 0..rows {
            let y = 1.0 - (row as f64 + 0.5) / rows as f64;
            let colour =
                |column: &usize| shade(self.at((*column as f64 + 0.5) / columns as f64, y) / shades.high);
            let columns: Vec<usize> = (0..columns).collect();
            for piece in columns.chunk_by(|a, b| colour(a) == colour(b)) {
                let (from, to) = (place(piece[0], row), place(piece[piece.len() - 1] + 1, row + 1));
                canvas.rectangle(from, to, colour(&piece[0]), 1.0);
            }
        }
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
    fn draw_points(&self, canvas: &mut Canvas, axes: &Axes, shades: Range) {
        let few = |points: &[[f64; 2]]| -> Vec<[f64; 2]> {
            let few = points.iter().step_by(stride(points.len()));
            few.filter(|point| shown(point, axes.x, axes.y)).copied().collect()
        };
        let (x, y) = (few(self.x), few(self.y));
        let most = x.len().max(y.len());
        let scale = (ORDINARY / most as f64).powf(0.25).clamp(LEAST_MARK, MOST_MARK);
        for index in 0..most {
            if let Some(&[first, second]) = x.get(index) {
                canvas.dot(axes.at((first, second)), scale * DOT_RADIUS, NAVY, DOT_OPACITY);
            }
            if let Some(&[first, second]) = y.get(index) {
                // Lines are opaque: their colour is mixed with what is below.
                let below = self.at(axes.x.fraction(first), axes.y.fraction(second));
                let colour = blend(shade(below / shades.high), BROWN, CROSS_OPACITY);
                canvas.cross(axes.at((first, second)), colour, scale);
            }
        }
    }
}

/// The colours with their numbers, right of the frame.
fn draw_bar(canvas: &mut Canvas, beside: Frame, shades: Range, ticks: &[Tick]) {
    beside.name_above(canvas, BAR_NAME, f64::INFINITY);
    // Shorter than the frame, so that the uppermost number keeps clear of the name.
    let bar = Frame { top: beside.top + GAP, height: beside.height - 2.0 * GAP, ..beside };
    let bands = (2.0 * SHADES) as usize + 1;
    for band in 0..bands {
        // The outermost bands are half as high: the range ends in their middle.
        let edge = |step: f64| ((step - 0.5) / (2.0 * SHADES)).clamp(0.0, 1.0);
        let (from, to) = (bar.at(0.0, edge(band as f64 + 1.0)), bar.at(1.0, edge(band as f64)));
        canvas.rectangle(from, to, shade(band as f64 / SHADES - 1.0), 1.0);
    }
    for tick in ticks {
        let (x, y) = bar.at(1.0, shades.fraction(tick.value));
        canvas.line((x, y), (x + TICK, y), Pen::AXIS);
        canvas.text(&tick.label, (x + TICK + GAP / 2.0, y), Align::Left);
    }
    bar.border(canvas);
}

/// The colour of a value from -1 to 1: blue where it is positive.
fn shade(value: f64) -> Colour {
    let part = (value * SHADES).round() / SHADES;
    blend(WHITE, if part > 0.0 { SKY } else { ORANGE }, part.abs())
}

/// The names of the two colours.
fn more_of(names: &[String; 2]) -> [String; 2] {
    names.each_ref().map(|name| format!("more of {name}"))
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

/// A remark on the part of a sample that the picture leaves out; may be empty.
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
        let plane = plane(&[], 2, &[0.0, 1.0, 2.0, 3.0]);
        // The first row is the lowest; beyond the outermost centres nothing changes.
        assert_eq!([plane.at(0.0, 0.0), plane.at(1.0, 0.25), plane.at(0.0, 1.0)], [0.0, 1.0, 2.0]);
        assert_eq!(plane.at(0.5, 0.5), 1.5);
    }

    fn plane<'a>(points: &'a [[f64; 2]], columns: usize, values: &'a [f64]) -> Plane<'a> {
        let (low, high) = ([-4.0, -3.0], [4.0, 3.0]);
        Plane {
            axes: ["u", "v"],
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
        let at = |part: f64| *picture.get_pixel((part * f64::from(width)) as u32, height / 2);
        assert_eq!([at(0.2), at(0.75)], [SKY, ORANGE]);
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
            let curve = Curve {
                axis: "value",
                title: "",
                names: ["", ""],
                x: &x,
                y: &[],
                grid: &grid,
                values: &values,
            };
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
            let curve = Curve { axis: "value", title: "", names: NAMES, x: &[], y: &[], grid, values };
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
        let curve = Curve {
            axis: "value",
            title: "Where?",
            names: NAMES,
            x: &x,
            y: &y,
            grid: &grid,
            values: &values,
        };
        let draw = || demo::bytes(|path| curve.save(path));
        assert_eq!(draw(), draw());
    }
}
