//! Training curves.

use super::axes::{ABOVE, Axes, BELOW, Frame, Range, Tick, number, room_left};
use super::canvas::{Align, Canvas, Drawn, Point, text_width};
use super::page::Page;
use super::theme::{BLUE, GAP, LEADING, MARGIN, QUIET, SKY, TEXT_SIZE, TICK, WIDTH};
use crate::error::{Error, Result};
use plotters::style::{Color, RGBColor};
use std::path::Path;

/// Height of each of the two panels.
const PANEL_HEIGHT: f64 = 330.0;

/// Height of the legend, with the distance to what follows.
const LEGEND_HEIGHT: f64 = TEXT_SIZE * LEADING + GAP / 2.0;

/// Distance from the top of one panel to the top of the next.
const PANEL_PITCH: f64 = ABOVE + PANEL_HEIGHT + TICK + 2.0 * GAP;

const STEP_NAME: &str = "training step";
const KL_NAME: &str = "KL divergence from the prior (nats per image)";

/// Ticks wished for along the axes.
const STEP_TICKS: usize = 7;
const LOSS_TICKS: usize = 5;

/// The share of the values at either end that may be left out of the picture.
const TAIL: f64 = 0.05;

/// How far beyond the remaining values, in units of their spread, a value is still shown.
const REACH: f64 = 0.5;

/// Series shorter than this are shown in full: there is no telling what is usual.
const FEW: usize = 4;

/// Room between the curves and the frame, as a fraction of its height.
const PADDING: f64 = 0.06;

/// The step axis starts at nought unless the first step lies beyond this fraction of the last.
const LATE_START: f64 = 0.5;

/// The step axis if nothing but the untrained state is known.
const BEFORE_TRAINING: Range = Range { low: 0.0, high: 1.0 };

/// Smallest distance between two markers of one line.
const MARKER_SPACING: f64 = 22.0;
const MARKER_RADIUS: f64 = 6.0;

/// Length of the line in a legend entry.
const SWATCH: f64 = 54.0;

/// Decimals of values named in remarks.
const REMARK_DECIMALS: usize = 1;

/// The loss at one step of training; both terms in nats per image, lower is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossPoint {
    /// Steps of training done.
    pub step: f64,
    /// The reconstruction term.
    pub reconstruction: f64,
    /// The Kullback-Leibler divergence of the encoder's distribution from the prior.
    pub kl: f64,
}

/// How a series of points is drawn.
struct Style {
    name: &'static str,
    colour: RGBColor,
    thickness: f64,
    marked: bool,
}

const TRAIN: Style = Style { name: "training", colour: SKY, thickness: 2.0, marked: false };
const TEST: Style = Style { name: "test", colour: BLUE, thickness: 4.0, marked: true };

/// A series of (step, value) points.
struct Series<'a> {
    points: Vec<Point>,
    style: &'a Style,
}

/// Draws the reconstruction term and the KL term of the loss, one above the other, over training steps, and
/// writes the picture to `path` as PNG.
///
/// `reconstruction_name` names the upper vertical axis with its unit. Points must be in order of steps; those
/// that are not finite are left out, and one series may be empty. Values far beyond the usual, such as those
/// of the first steps, are cut off and named in a remark.
pub fn losses(
    title: &str,
    reconstruction_name: &str,
    train: &[LossPoint],
    test: &[LossPoint],
    path: &Path,
) -> Result<()> {
    let reconstruction = select(train, test, |point| point.reconstruction);
    let kl = select(train, test, |point| point.kl);
    let steps = steps(&reconstruction).or_else(|| steps(&kl));
    let steps =
        steps.ok_or_else(|| Error::usage("no losses to draw: the run has not finished a step yet"))?;
    let layout = Layout::new(
        title,
        [Panel::new(reconstruction_name, reconstruction, None), Panel::new(KL_NAME, kl, Some(0.0))],
        steps,
    )?;
    layout.page.save(path, |canvas| layout.draw(canvas), |_| ())
}

/// Where the panels and the legend lie.
struct Layout<'a> {
    page: Page,
    panels: [Panel<'a>; 2],
    steps: Range,
    /// Room left and right of both panels for the numbers on their axes.
    sides: (f64, f64),
}

impl<'a> Layout<'a> {
    fn new(title: &str, panels: [Panel<'a>; 2], steps: Range) -> Result<Self> {
        let left = panels.iter().map(|panel| room_left(&panel.ticks)).fold(0.0, f64::max);
        let last = steps.whole_ticks(STEP_TICKS).pop();
        let right = last.map_or(0.0, |tick| text_width(&tick.label, TEXT_SIZE) / 2.0);
        let body = (WIDTH - 2.0 * MARGIN, LEGEND_HEIGHT + PANEL_PITCH + ABOVE + PANEL_HEIGHT + BELOW);
        Ok(Self { page: Page::new(title, body, "")?, panels, steps, sides: (left, right) })
    }

    fn frame(&self, panel: usize) -> Frame {
        Frame {
            left: self.page.left() + self.sides.0,
            top: self.page.top() + LEGEND_HEIGHT + ABOVE + panel as f64 * PANEL_PITCH,
            width: WIDTH - 2.0 * MARGIN - self.sides.0 - self.sides.1,
            height: PANEL_HEIGHT,
        }
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Drawn {
        let (upper, lower) = (self.frame(0), self.frame(1));
        let legend_end = (upper.at(1.0, 1.0).0, self.page.top() + TEXT_SIZE * LEADING / 2.0);
        draw_legend(canvas, &self.panels[0].series, legend_end)?;
        let ticks = self.steps.whole_ticks(STEP_TICKS);
        let bare: Vec<Tick> = ticks.iter().map(Tick::bare).collect();
        self.panels[0].draw(canvas, upper, self.steps, &bare)?;
        self.panels[1].draw(canvas, lower, self.steps, &ticks)?;
        lower.name_below(canvas, STEP_NAME)
    }
}

/// One term of both series, without what is not finite.
fn select(train: &[LossPoint], test: &[LossPoint], term: impl Fn(&LossPoint) -> f64) -> Vec<Series<'static>> {
    [(train, &TRAIN), (test, &TEST)]
        .into_iter()
        .map(|(points, style)| {
            let finite = |(step, value): &Point| step.is_finite() && value.is_finite();
            Series {
                points: points.iter().map(|point| (point.step, term(point))).filter(finite).collect(),
                style,
            }
        })
        .filter(|series| !series.points.is_empty())
        .collect()
}

/// The range of steps; none without points.
fn steps(series: &[Series<'_>]) -> Option<Range> {
    let all =
        series.iter().flat_map(|series| &series.points).map(|&(step, _)| Range { low: step, high: step });
    let Range { low, high } = all.reduce(Range::join)?;
    if high == 0.0 {
        return Some(BEFORE_TRAINING);
    }
    let low = if low > 0.0 && low < LATE_START * high { 0.0 } else { low };
    Some(Range::new(low, high))
}

/// The range of values worth showing: the usual ones, and others near them.
fn usual(points: &[Point]) -> Option<Range> {
    let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
    values.sort_by(f64::total_cmp);
    let (&least, &most) = (values.first()?, values.last()?);
    if values.len() < FEW {
        return Some(Range { low: least, high: most });
    }
    let last = values.len() - 1;
    let cut = (TAIL * last as f64).ceil() as usize;
    let (low, high) = (values[cut], values[last - cut]);
    let reach = REACH * (high - low);
    Some(Range { low: least.max(low - reach), high: most.min(high + reach) })
}

/// The curves of one term.
struct Panel<'a> {
    name: &'a str,
    series: Vec<Series<'static>>,
    range: Range,
    ticks: Vec<Tick>,
}

impl<'a> Panel<'a> {
    /// `floor` is a value to start the vertical axis from.
    fn new(name: &'a str, series: Vec<Series<'static>>, floor: Option<f64>) -> Self {
        let joint = series
            .iter()
            .filter_map(|series| usual(&series.points))
            .chain(floor.map(|value| Range { low: value, high: value }))
            .reduce(Range::join);
        let range =
            joint.map_or(Range::new(0.0, 1.0), |range| Range::new(range.low, range.high).padded(PADDING));
        Self { name, series, range, ticks: range.ticks(LOSS_TICKS) }
    }

    fn draw(&self, canvas: &Canvas<'_>, frame: Frame, steps: Range, step_ticks: &[Tick]) -> Drawn {
        let axes = Axes { frame, x: steps, y: self.range };
        axes.grid(canvas, step_ticks, &self.ticks)?;
        self.series.iter().try_for_each(|series| draw_series(canvas, &axes, series))?;
        axes.edges(canvas, step_ticks, &self.ticks)?;
        let (right, top) = frame.at(1.0, 1.0);
        let remark_at = (right, top - ABOVE + TEXT_SIZE * LEADING / 2.0);
        let remark = self.remark();
        canvas.write(&remark, remark_at, Align::Right, TEXT_SIZE, QUIET)?;
        frame.name_above(canvas, self.name, frame.width - text_width(&remark, TEXT_SIZE) - GAP)
    }

    /// What the frame leaves out, in words.
    fn remark(&self) -> String {
        let values = || self.series.iter().flat_map(|series| &series.points).map(|point| point.1);
        let most = values().fold(self.range.high, f64::max);
        let least = values().fold(self.range.low, f64::min);
        let above = (most > self.range.high).then(|| format!("up to {}", number(most, REMARK_DECIMALS)));
        let below = (least < self.range.low).then(|| format!("down to {}", number(least, REMARK_DECIMALS)));
        match (above, below) {
            (None, None) => String::new(),
            (Some(end), None) | (None, Some(end)) => format!("off the scale: {end}"),
            (Some(above), Some(below)) => format!("off the scale: {below}, {above}"),
        }
    }
}

fn draw_series(canvas: &Canvas<'_>, axes: &Axes, series: &Series<'_>) -> Drawn {
    let Style { colour, thickness, marked, .. } = *series.style;
    for (from, to) in series.points.windows(2).filter_map(|pair| clip(pair[0], pair[1], axes.y)) {
        canvas.path(&[axes.at(from), axes.at(to)], colour, thickness)?;
    }
    if !marked && series.points.len() > 1 {
        return Ok(());
    }
    let inside = series.points.iter().filter(|point| axes.y.contains(point.1)).map(|&point| axes.at(point));
    let mut next = f64::NEG_INFINITY;
    for at in inside.filter(|at| {
        let shown = at.0 >= next;
        next = if shown { at.0 + MARKER_SPACING } else { next };
        shown
    }) {
        canvas.dot(at, MARKER_RADIUS, colour.to_rgba())?;
    }
    Ok(())
}

/// The part of a straight line within a range of values.
fn clip(from: Point, to: Point, range: Range) -> Option<(Point, Point)> {
    if range.contains(from.1) && range.contains(to.1) {
        return Some((from, to));
    }
    let rise = to.1 - from.1;
    if rise == 0.0 {
        return None;
    }
    let crossing = |value: f64| (value - from.1) / rise;
    let ends = (crossing(range.low), crossing(range.high));
    let (start, end) = (ends.0.min(ends.1).max(0.0), ends.0.max(ends.1).min(1.0));
    let at = |part: f64| (from.0 + part * (to.0 - from.0), from.1 + part * rise);
    (start < end).then(|| (at(start), at(end)))
}

/// The legend, in one line that ends at `end`.
fn draw_legend(canvas: &Canvas<'_>, series: &[Series<'_>], end: Point) -> Drawn {
    let mut right = end.0;
    for Style { name, colour, thickness, marked } in series.iter().rev().map(|series| series.style) {
        canvas.text(name, (right, end.1), Align::Right)?;
        right -= text_width(name, TEXT_SIZE) + GAP;
        canvas.path(&[(right - SWATCH, end.1), (right, end.1)], *colour, *thickness)?;
        if *marked {
            canvas.dot((right - SWATCH / 2.0, end.1), MARKER_RADIUS, colour.to_rgba())?;
        }
        right -= SWATCH + 2.0 * GAP;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;

    #[test]
    fn the_first_fall_does_not_flatten_the_rest() {
        let (train, _) = demo::training();
        let points: Vec<Point> = train.iter().map(|point| (point.step, point.reconstruction)).collect();
        assert!(points[0].1 > 500.0);
        assert!(usual(&points).is_some_and(|range| range.high < 200.0 && range.low > 50.0));
    }

    #[test]
    fn lines_are_cut_at_the_range() {
        let range = Range { low: 0.0, high: 1.0 };
        assert_eq!(clip((0.0, 3.0), (2.0, -1.0), range), Some(((1.0, 1.0), (1.5, 0.0))));
        assert_eq!(clip((0.0, 2.0), (1.0, 3.0), range), None);
        assert_eq!(clip((0.0, 2.0), (1.0, 2.0), range), None);
    }

    #[test]
    fn few_points_will_do() {
        let point = LossPoint { step: 100.0, reconstruction: 120.0, kl: 0.0 };
        for (train, test) in [(1, 0), (0, 1), (2, 0), (3, 2)] {
            let (train, test) = (vec![point; train], vec![point; test]);
            assert!(!demo::bytes(|path| losses("few", "reconstruction", &train, &test, path)).is_empty());
        }
        assert!(losses("none", "reconstruction", &[], &[], Path::new("none.png")).is_err());
    }

    #[test]
    fn same_input_same_bytes() {
        let (train, test) = demo::training();
        let draw = || demo::bytes(|path| losses("curves", "reconstruction", &train, &test, path));
        assert_eq!(draw(), draw());
    }
}
