//! The curves of one panel: ranges, what they look like, their legend.

use super::axes::{ABOVE, Axes, BELOW, Frame, HEADING, Range, Tick, number, room_left};
use super::canvas::{Align, Canvas, Drawn, Point, fitting, text_width};
use super::chart::{Band, Panel, Style};
use super::parts::{half_width, kept_apart, log_ticks, short, ticks, ticks_along, whole_ticks_along};
use super::theme::{GAP, INK, LEADING, LINE, QUIET, REFERENCE, TEXT_SIZE, TICK};
use crate::error::{Error, Result};
use plotters::style::{Color, RGBColor};

/// Lines that their picture gives no other thickness.
pub(super) const THICKNESS: f64 = 3.0;

/// Ticks wished for along the axes.
const X_TICKS: usize = 7;
const Y_TICKS: usize = 5;

/// The share of the values at either end that may be left out of the picture.
const TAIL: f64 = 0.05;

/// How far beyond the remaining values, in units of their spread, a value is still shown.
const REACH: f64 = 0.5;

/// Series shorter than this are shown in full: there is no telling what is usual.
const FEW: usize = 4;

/// Room between the curves and the frame, as a fraction of its height.
const PADDING: f64 = 0.06;

/// A horizontal axis of positive numbers starts at nought unless the first lies beyond this fraction of the
/// last.
const LATE_START: f64 = 0.5;

/// Smallest distance between two dots of one line.
const MARKER_SPACING: f64 = 22.0;
const MARKER_RADIUS: f64 = 6.0;
const POINT_RADIUS: f64 = 4.0;

/// How much of its colour an area has.
const TINT: f64 = 0.25;

/// Length of the line in a legend entry, and half the height of an area there.
const SWATCH: f64 = 54.0;
const SWATCH_REACH: f64 = 10.0;

/// More series than this are named at their ends.
const MOST_IN_LINE: usize = 6;

/// The least distance of two names at the ends of curves, and the length of the lines that lead there.
const END_PITCH: f64 = 24.0;
const LEADER: f64 = 40.0;
const LEADER_THICKNESS: f64 = 1.5;

/// Decimals of values named in remarks.
const REMARK_DECIMALS: usize = 1;

/// What a line is drawn with.
#[derive(Clone, Copy)]
pub(super) struct Pen {
    pub(super) colour: RGBColor,
    pub(super) thickness: f64,
}

/// A series in the numbers of its axes: powers of ten if logarithmic.
struct Curve<'a> {
    name: &'a str,
    style: Style,
    pen: Pen,
    /// Middle, lower and upper end of what is drawn at each place.
    points: Vec<(f64, [f64; 3])>,
}

impl Curve<'_> {
    fn middles(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|point| point.1[0])
    }

    fn x(&self) -> Option<Range> {
        let all = self.points.iter().map(|point| Range { low: point.0, high: point.0 });
        all.reduce(Range::join)
    }

    /// The values to show: all, or the usual ones and others near them.
    fn y(&self, cut: bool) -> Option<Range> {
        if cut {
            return usual(self.middles().collect());
        }
        let low = |[middle, low, _]: [f64; 3]| if low.is_finite() { low } else { middle };
        let ends = self.points.iter().map(|point| Range { low: low(point.1), high: point.1[2] });
        ends.reduce(Range::join)
    }
}

/// The range of values worth showing: the usual ones, and others near them.
fn usual(mut values: Vec<f64>) -> Option<Range> {
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

/// A panel and its axes.
pub(super) struct Plot<'a> {
    panel: &'a Panel,
    curves: Vec<Curve<'a>>,
    x: Range,
    y: Range,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    /// Points that a logarithmic axis cannot show.
    lost: usize,
    /// Width of the frame, once it is known.
    width: f64,
    /// Room above the frame: more than its own if a neighbour needs more.
    pub(super) above: f64,
    /// The curves are named at their right ends, not in a line above.
    pub(super) at_ends: bool,
    /// Without numbers and name on the horizontal axis.
    pub(super) bare: bool,
    pub(super) hide_legend: bool,
}

impl<'a> Plot<'a> {
    /// `pens` has one for each series.
    pub(super) fn new(panel: &'a Panel, pens: Vec<Pen>) -> Result<Self> {
        let marks = panel.band.iter().flat_map(|band| [band.low, band.high]);
        let marks = marks.chain(panel.floor).chain(panel.ceiling);
        if marks.clone().any(|mark| !mark.is_finite() || (panel.log && mark <= 0.0)) {
            return Err(Error::usage(format!(
                "the band, the floor and the ceiling of the panel `{}` must be finite, and positive on a logarithmic \
                 axis",
                panel.y
            )));
        }
        let scaled = |value: f64| if panel.log { value.log10() } else { value };
        let (mut lost, mut curves) = (0, Vec::new());
        for (series, pen) in panel.series.iter().zip(pens) {
            let style = series.style;
            if panel.log && matches!(style, Style::Area | Style::Steps) {
                return Err(Error::usage(format!("the area of `{}` has no logarithmic axis", series.name)));
            }
            let finite = series.points.iter().filter(|[x, y]| x.is_finite() && y.is_finite());
            let (shown, hidden): (Vec<_>, Vec<_>) = finite.partition(|point| !panel.log || point[1] > 0.0);
            lost += hidden.len();
            let mut points: Vec<(f64, [f64; 3])> = shown
                .into_iter()
                .map(|&[x, y]| {
                    let [low, high] = match style {
                        Style::Ribbon(reach) => [y - reach, y + reach],
                        Style::Area | Style::Steps => [y.min(0.0), y.max(0.0)],
                        _ => [y, y],
                    };
                    // Below any logarithmic axis there is minus infinity.
                    (x, [y, if panel.log { low.max(0.0) } else { low }, high].map(scaled))
                })
                .collect();
            if let (Style::Steps, [.., before, last]) = (style, &mut *points) {
                last.1 = before.1;
            }
            if !points.is_empty() {
                curves.push(Curve { name: &series.name, style, pen, points });
            }
        }
        let marks = marks.map(scaled).map(|mark| Range { low: mark, high: mark });
        let joint = curves.iter().filter_map(|curve| curve.y(panel.cut)).chain(marks).reduce(Range::join);
        let y = joint.map_or(Range::UNIT, |range| Range::new(range.low, range.high).padded(PADDING));
        let y_ticks = if panel.log { log_ticks(y, Y_TICKS) } else { ticks(y, Y_TICKS) };
        let x = x_range(curves.iter().filter_map(Curve::x).reduce(Range::join));
        let at_ends = curves.iter().filter(|curve| !curve.name.is_empty()).count() > MOST_IN_LINE;
        let (bare, hide_legend, width, above, x_ticks) = (false, false, 0.0, 0.0, Vec::new());
        Ok(Self { panel, curves, x, y, x_ticks, y_ticks, lost, width, above, at_ends, bare, hide_legend })
    }

    pub(super) fn has_points(&self) -> bool {
        !self.curves.is_empty()
    }

    /// Gives panels whose horizontal axes have one name one range.
    pub(super) fn share_x(plots: &mut [Self]) {
        let ranges: Vec<Range> = plots
            .iter()
            .map(|plot| {
                let same = plots.iter().filter(|other| other.same_x(plot));
                let all = same.flat_map(|plot| &plot.curves).filter_map(Curve::x);
                x_range(all.reduce(Range::join))
            })
            .collect();
        plots.iter_mut().zip(ranges).for_each(|(plot, range)| plot.x = range);
    }

    pub(super) fn same_x(&self, other: &Self) -> bool {
        self.panel.x == other.panel.x
    }

    pub(super) fn same_legend(&self, other: &Self) -> bool {
        let bands = |plot: &Self| plot.panel.band.is_some();
        let keys = |plot: &Self| -> Vec<(String, Style)> {
            plot.curves.iter().map(|curve| (curve.name.into(), curve.style)).collect()
        };
        !bands(self) && !bands(other) && keys(self) == keys(other)
    }

    pub(super) fn room_left(&self) -> f64 {
        room_left(&self.y_ticks)
    }

    /// Room right of a frame of at most `width` pixels.
    pub(super) fn room_right(&self, width: f64) -> f64 {
        let names = if self.at_ends {
            let widest = self.named().map(|curve| text_width(curve.name, TEXT_SIZE)).fold(0.0, f64::max);
            LEADER + GAP / 2.0 + widest
        } else {
            0.0
        };
        names.max(half_width(self.ticks_within(width).last()))
    }

    fn ticks_within(&self, width: f64) -> Vec<Tick> {
        let mut places = self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.0);
        if places.all(|place| place.fract() == 0.0) {
            whole_ticks_along(self.x, X_TICKS, width)
        } else {
            ticks_along(self.x, X_TICKS, width)
        }
    }

    pub(super) fn set_width(&mut self, width: f64) {
        self.width = width;
        self.x_ticks = self.ticks_within(width);
    }

    pub(super) fn room_above(&self) -> f64 {
        let heading = if self.panel.title.is_empty() { 0.0 } else { HEADING };
        let lines = self.legend_lines().len() as f64;
        heading + lines * LINE + if lines > 0.0 { GAP / 2.0 } else { 0.0 } + ABOVE
    }

    /// So that names at the ends of curves have room.
    pub(super) fn least_height(&self) -> f64 {
        if self.at_ends { self.named().count() as f64 * END_PITCH } else { 0.0 }
    }

    pub(super) fn room_below(&self) -> f64 {
        if self.bare { TICK } else { BELOW }
    }

    fn named(&self) -> impl Iterator<Item = &Curve<'a>> {
        self.curves.iter().filter(|curve| !curve.name.is_empty())
    }

    /// The legend's entries, broken into lines.
    fn legend_lines(&self) -> Vec<Vec<Entry<'_>>> {
        if self.hide_legend {
            return Vec::new();
        }
        let band = self.panel.band.as_ref().map(Entry::Band);
        let curves = self.named().map(Entry::Curve);
        let entries = curves.filter(|_| !self.at_ends).chain(band);
        let mut lines: Vec<Vec<Entry<'_>>> = Vec::new();
        let mut used = f64::INFINITY;
        for entry in entries {
            used += entry.width();
            if used > self.width + ENTRY_GAP {
                used = entry.width();
                lines.push(Vec::new());
            }
            lines.last_mut().into_iter().for_each(|line| line.push(entry));
        }
        lines
    }

    pub(super) fn draw(&self, canvas: &Canvas<'_>, frame: Frame) -> Drawn {
        let axes = Axes { frame, x: self.x, y: self.y };
        let bare: Vec<Tick> = self.x_ticks.iter().map(Tick::bare).collect();
        let x_ticks = if self.bare { &bare } else { &self.x_ticks };
        if let Some(band) = &self.panel.band {
            self.draw_band(canvas, &axes, band)?;
        }
        axes.grid(canvas, x_ticks, &self.y_ticks)?;
        self.curves.iter().try_for_each(|curve| draw_area(canvas, &axes, curve))?;
        self.curves.iter().try_for_each(|curve| draw_curve(canvas, &axes, curve))?;
        axes.edges(canvas, x_ticks, &self.y_ticks)?;
        if self.at_ends {
            self.draw_ends(canvas, &axes)?;
        }
        self.draw_above(canvas, frame)?;
        if self.bare { Ok(()) } else { frame.name_below(canvas, &self.panel.x) }
    }

    fn draw_band(&self, canvas: &Canvas<'_>, axes: &Axes, band: &Band) -> Drawn {
        let scaled = |value: f64| if self.panel.log { value.log10() } else { value };
        let [low, high] = [band.low, band.high].map(|value| axes.at((axes.x.low, scaled(value))).1);
        let [left, right] = [0.0, 1.0].map(|part| axes.frame.at(part, 0.0).0);
        canvas.between(&[(left, [low, high]), (right, [low, high])], REFERENCE.mix(TINT))
    }

    /// Title, legend, name of the vertical axis, remark.
    fn draw_above(&self, canvas: &Canvas<'_>, frame: Frame) -> Drawn {
        let (right, top) = frame.at(1.0, 1.0);
        frame.heading(canvas, &self.panel.title, self.above)?;
        let lines = self.legend_lines();
        let first = top - ABOVE - GAP / 2.0 - lines.len() as f64 * LINE;
        for (index, line) in lines.iter().enumerate() {
            draw_legend(canvas, line, (right, first + (index as f64 + 0.5) * LINE), frame.width)?;
        }
        let remark = self.remark();
        let size = fitting(&remark, TEXT_SIZE, frame.width / 2.0);
        canvas.write(&remark, (right, top - ABOVE + LINE / 2.0), Align::Right, size, QUIET)?;
        frame.name_above(canvas, &self.panel.y, frame.width - text_width(&remark, size) - GAP)
    }

    /// What the frame leaves out, in words.
    fn remark(&self) -> String {
        let values = || self.curves.iter().flat_map(Curve::middles);
        let name = |value: f64| match self.panel.log {
            true => short(10_f64.powf(value)),
            false => number(value, REMARK_DECIMALS),
        };
        let most = values().fold(self.y.high, f64::max);
        let least = values().fold(self.y.low, f64::min);
        let below = (least < self.y.low).then(|| format!("down to {}", name(least)));
        let above = (most > self.y.high).then(|| format!("up to {}", name(most)));
        let lost = (self.lost > 0).then(|| format!("{} not positive", number(self.lost as f64, 0)));
        let remarks: Vec<String> = [below, above, lost].into_iter().flatten().collect();
        if remarks.is_empty() { String::new() } else { format!("off the scale: {}", remarks.join(", ")) }
    }

    /// The names of the curves at their right ends.
    fn draw_ends(&self, canvas: &Canvas<'_>, axes: &Axes) -> Drawn {
        let right = axes.frame.at(1.0, 0.0).0;
        let height = |curve: &Curve<'_>| {
            let last = curve.middles().last().unwrap_or(axes.y.low);
            axes.at((axes.x.high, last.clamp(axes.y.low, axes.y.high))).1
        };
        let mut ends: Vec<(f64, &Curve<'_>)> = self.named().map(|curve| (height(curve), curve)).collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        let wished: Vec<f64> = ends.iter().map(|end| end.0).collect();
        let pitch = LINE.min(axes.frame.height / ends.len() as f64);
        let (top, bottom) = (axes.frame.top + pitch / 2.0, axes.frame.at(0.0, 0.0).1 - pitch / 2.0);
        for (place, (end, curve)) in kept_apart(&wished, pitch, top, bottom).into_iter().zip(ends) {
            let name_at = (right + LEADER, place);
            canvas.path(&[(right, end), name_at], curve.pen.colour, LEADER_THICKNESS)?;
            let size = pitch / LEADING;
            canvas.write(curve.name, (name_at.0 + GAP / 2.0, place), Align::Left, size, INK)?;
        }
        Ok(())
    }
}

/// The range of a horizontal axis; from nought to one if there is nothing on it, or nothing but nought.
fn x_range(all: Option<Range>) -> Range {
    match all {
        None => Range::UNIT,
        Some(range) if range.low == 0.0 && range.high == 0.0 => Range::UNIT,
        Some(Range { low, high }) if low > 0.0 && low < LATE_START * high => Range { low: 0.0, high },
        Some(Range { low, high }) => Range::new(low, high),
    }
}

/// What is filled of a curve.
fn draw_area(canvas: &Canvas<'_>, axes: &Axes, curve: &Curve<'_>) -> Drawn {
    let y = |value: f64| axes.at((0.0, value.clamp(axes.y.low, axes.y.high))).1;
    let x = |value: f64| axes.at((value, 0.0)).0;
    let lines: Vec<(f64, [f64; 2])> = match curve.style {
        Style::Area | Style::Ribbon(_) => {
            curve.points.iter().map(|&(at, [_, low, high])| (x(at), [y(low), y(high)])).collect()
        }
        Style::Steps => {
            let bars = curve.points.windows(2).map(|pair| (pair[0].0, pair[1].0, pair[0].1));
            bars.flat_map(|(from, to, [_, low, high])| [from, to].map(|at| (x(at), [y(low), y(high)])))
                .collect()
        }
        Style::Line | Style::Marked | Style::Dashed | Style::Points => return Ok(()),
    };
    canvas.between(&lines, curve.pen.colour.mix(TINT))
}

fn draw_curve(canvas: &Canvas<'_>, axes: &Axes, curve: &Curve<'_>) -> Drawn {
    let Pen { colour, thickness } = curve.pen;
    let middles: Vec<Point> = curve.points.iter().map(|&(x, [y, ..])| (x, y)).collect();
    let outline = match curve.style {
        Style::Steps => steps(&middles),
        _ => middles.clone(),
    };
    let pieces = pieces(&outline, axes);
    match curve.style {
        Style::Dashed | Style::Ribbon(_) => {
            pieces.iter().try_for_each(|piece| canvas.dashes(piece, colour, thickness))?;
        }
        Style::Points => (),
        _ => pieces.iter().try_for_each(|piece| canvas.path(piece, colour, thickness))?,
    }
    let dots = match curve.style {
        Style::Points => Some((POINT_RADIUS, 0.0)),
        Style::Marked => Some((MARKER_RADIUS, MARKER_SPACING)),
        // A line through a single point would not be seen.
        _ if middles.len() == 1 => Some((MARKER_RADIUS, 0.0)),
        _ => None,
    };
    let Some((radius, spacing)) = dots else { return Ok(()) };
    let mut next = f64::NEG_INFINITY;
    for at in middles.iter().filter(|point| axes.y.contains(point.1)).map(|&point| axes.at(point)) {
        if spacing == 0.0 || at.0 >= next {
            canvas.dot(at, radius, colour.to_rgba())?;
            next = at.0 + spacing;
        }
    }
    Ok(())
}

/// The outline of the bars of a histogram, from nought and back.
fn steps(points: &[Point]) -> Vec<Point> {
    let tops = points.windows(2).flat_map(|pair| [pair[0], (pair[1].0, pair[0].1)]);
    let start = points.first().map(|point| (point.0, 0.0));
    let end = points.last().map(|point| (point.0, 0.0));
    start.into_iter().chain(tops).chain(end).collect()
}

/// What the frame shows of a line, in places of the picture.
fn pieces(points: &[Point], axes: &Axes) -> Vec<Vec<Point>> {
    let mut pieces: Vec<Vec<Point>> = Vec::new();
    for (from, to) in points.windows(2).filter_map(|pair| clip(pair[0], pair[1], axes.y)) {
        let (from, to) = (axes.at(from), axes.at(to));
        match pieces.last_mut() {
            Some(piece) if piece.last() == Some(&from) => piece.push(to),
            _ => pieces.push(vec![from, to]),
        }
    }
    pieces
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

/// Between two entries of a legend.
const ENTRY_GAP: f64 = 2.0 * GAP;

/// An entry of a legend.
#[derive(Clone, Copy)]
enum Entry<'a> {
    Curve(&'a Curve<'a>),
    Band(&'a Band),
}

impl Entry<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Curve(curve) => curve.name,
            Self::Band(band) => &band.name,
        }
    }

    /// With the distance to the next.
    fn width(&self) -> f64 {
        SWATCH + GAP + text_width(self.name(), TEXT_SIZE) + ENTRY_GAP
    }

    /// The sample of the line or the area, from `left` on.
    fn draw(&self, canvas: &Canvas<'_>, (left, y): Point) -> Drawn {
        let line = [(left, y), (left + SWATCH, y)];
        let middle = (left + SWATCH / 2.0, y);
        let area = |colour: RGBColor| {
            let reach = [y - SWATCH_REACH, y + SWATCH_REACH];
            canvas.between(&line.map(|(x, _)| (x, reach)), colour.mix(TINT))
        };
        let Self::Curve(Curve { style, pen: Pen { colour, thickness }, .. }) = *self else {
            return area(REFERENCE);
        };
        match style {
            Style::Line => canvas.path(&line, *colour, *thickness),
            Style::Marked => {
                canvas.path(&line, *colour, *thickness)?;
                canvas.dot(middle, MARKER_RADIUS, colour.to_rgba())
            }
            Style::Dashed => canvas.dashes(&line, *colour, *thickness),
            Style::Points => canvas.dot(middle, MARKER_RADIUS, colour.to_rgba()),
            Style::Area | Style::Steps => {
                area(*colour)?;
                canvas.path(&line.map(|(x, y)| (x, y - SWATCH_REACH)), *colour, *thickness)
            }
            Style::Ribbon(_) => {
                area(*colour)?;
                canvas.dashes(&line, *colour, *thickness)
            }
        }
    }
}

/// A line of a legend that ends at `end`, its letters smaller should it need more than `room`.
fn draw_legend(canvas: &Canvas<'_>, entries: &[Entry<'_>], end: Point, room: f64) -> Drawn {
    let wished: f64 = entries.iter().map(Entry::width).sum::<f64>() - ENTRY_GAP;
    let texts: f64 = entries.iter().map(|entry| text_width(entry.name(), TEXT_SIZE)).sum();
    let size = TEXT_SIZE * (1.0 - (wished - room).max(0.0) / texts);
    let mut right = end.0;
    for entry in entries.iter().rev() {
        canvas.write(entry.name(), (right, end.1), Align::Right, size, INK)?;
        right -= text_width(entry.name(), size) + GAP + SWATCH;
        entry.draw(canvas, (right, end.1))?;
        right -= ENTRY_GAP;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Series;
    use crate::picture::theme::BLUE;

    const PEN: Pen = Pen { colour: BLUE, thickness: THICKNESS };

    fn panel(points: &[[f64; 2]], style: Style) -> Panel {
        let series = vec![Series { name: "series".into(), points: points.into(), style }];
        Panel { x: "x".into(), y: "y".into(), series, ..Panel::default() }
    }

    #[test]
    fn the_first_fall_does_not_flatten_the_rest() {
        let values = (0..400).map(|step| 80.0 + 500.0 * (-f64::from(step) / 3.0).exp()).collect();
        assert!(usual(values).is_some_and(|range| range.high < 200.0 && range.low > 50.0));
        assert_eq!(usual(vec![1.0, 500.0]), Some(Range { low: 1.0, high: 500.0 }));
    }

    #[test]
    fn lines_are_cut_at_the_range() {
        let range = Range { low: 0.0, high: 1.0 };
        assert_eq!(clip((0.0, 3.0), (2.0, -1.0), range), Some(((1.0, 1.0), (1.5, 0.0))));
        assert_eq!(clip((0.0, 2.0), (1.0, 3.0), range), None);
        assert_eq!(clip((0.0, 2.0), (1.0, 2.0), range), None);
    }

    #[test]
    fn a_line_in_the_frame_stays_in_one_piece() {
        let frame = Frame { left: 0.0, top: 0.0, width: 10.0, height: 10.0 };
        let axes = Axes { frame, x: Range::new(0.0, 10.0), y: Range::new(0.0, 10.0) };
        let whole = pieces(&[(0.0, 0.0), (1.0, 5.0), (2.0, 0.0)], &axes);
        assert_eq!(whole, [vec![(0.0, 10.0), (1.0, 5.0), (2.0, 10.0)]]);
        assert_eq!(pieces(&[(0.0, 0.0), (1.0, 20.0), (2.0, 0.0)], &axes).len(), 2);
    }

    #[test]
    fn bars_reach_from_nought_to_their_height() -> Result<()> {
        let outline = steps(&[(0.0, 2.0), (1.0, 3.0), (2.0, 3.0)]);
        assert_eq!(outline, [(0.0, 0.0), (0.0, 2.0), (1.0, 2.0), (1.0, 3.0), (2.0, 3.0), (2.0, 0.0)]);
        // The last point's height does not count.
        let panel = panel(&[[0.0, 2.0], [1.0, 3.0], [2.0, 9.0]], Style::Steps);
        let plot = Plot::new(&panel, vec![PEN])?;
        assert!(plot.y.contains(0.0) && plot.y.contains(3.0) && plot.y.high < 4.0);
        Ok(())
    }

    #[test]
    fn axes_start_at_nought_when_that_costs_little() {
        let range = |low, high| x_range(Some(Range { low, high }));
        assert_eq!(range(10.0, 100.0), Range { low: 0.0, high: 100.0 });
        assert_eq!(range(90.0, 100.0), Range { low: 90.0, high: 100.0 });
        assert_eq!(range(-1.0, 1.0), Range { low: -1.0, high: 1.0 });
        assert_eq!([range(0.0, 0.0), x_range(None)], [Range::UNIT, Range::UNIT]);
    }

    #[test]
    fn a_logarithmic_axis_says_what_it_cannot_show() -> Result<()> {
        let panel = Panel { log: true, ..panel(&[[0.0, 0.0], [1.0, 1.0], [2.0, 100.0]], Style::Ribbon(5.0)) };
        let plot = Plot::new(&panel, vec![PEN])?;
        assert_eq!(plot.remark(), "off the scale: 1 not positive");
        assert!(plot.y.contains(0.0) && plot.y.contains(2.0) && plot.y.low > -1.0);
        Ok(())
    }

    #[test]
    fn what_is_off_the_scale_is_named() -> Result<()> {
        let mut points: Vec<[f64; 2]> =
            (0..40).map(|step| [f64::from(step), 1.0 + f64::from(step % 2)]).collect();
        points[0][1] = 1234.5;
        let panel = Panel { cut: true, ..panel(&points, Style::Line) };
        assert_eq!(Plot::new(&panel, vec![PEN])?.remark(), "off the scale: up to 1,234.5");
        assert_eq!(Plot::new(&Panel { cut: false, ..panel }, vec![PEN])?.remark(), "");
        Ok(())
    }

    #[test]
    fn long_legends_are_broken_into_lines() -> Result<()> {
        let mut panel = panel(&[[0.0, 1.0]], Style::Line);
        panel.series = vec![panel.series[0].clone(); MOST_IN_LINE];
        let mut plot = Plot::new(&panel, vec![PEN; MOST_IN_LINE])?;
        let mut lines = |width| {
            plot.set_width(width);
            plot.legend_lines().iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(lines(2000.0), [MOST_IN_LINE]);
        assert_eq!(lines(10.0), [1; MOST_IN_LINE]);
        panel.series.push(panel.series[0].clone());
        let plot = Plot::new(&panel, vec![PEN; MOST_IN_LINE + 1])?;
        assert!(plot.at_ends && plot.legend_lines().is_empty() && plot.room_right(500.0) > LEADER);
        Ok(())
    }
}
