//! The traces of one panel: ranges, what they look like, their legend.

use super::axes::{ABOVE, Axes, BELOW, Frame, HEADING, room_left};
use super::canvas::{Align, Canvas, Point, cut, fitting, text_width};
use super::legend::{Key, Legend, Swatch};
use super::panel::{Mark, Panel, Series, Style};
use super::scale::{Range, Tick, number, short};
use super::theme::{
    GAP, INK, LEADING, LINE, MARKER_RADIUS, Pen, QUIET, REFERENCE, TEXT_SIZE, TICK, TINT, VERMILION,
};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// Lines that their picture gives no other thickness.
pub(super) const THICKNESS: f64 = 3.0;

/// Ticks wished for along the axes; a panel with a height of its own may have more of them or fewer.
const X_TICKS: usize = 9;
const Y_TICKS: usize = 5;
const MOST_Y_TICKS: usize = 7;

/// The share of the values at either end that may be left out of the picture.
const TAIL: f64 = 0.05;

/// How far beyond the remaining values, in units of their spread, a value is still shown.
const REACH: f64 = 0.5;

/// All values are shown unless that makes the axis longer by more than this factor.
const LONGER: f64 = 2.0;

/// Series shorter than this are shown in full: there is no telling what is usual.
const FEW: usize = 4;

/// Room between the traces and the frame, as a fraction of its height.
const PADDING: f64 = 0.06;

/// Room between marks and the ends of the horizontal axis, as a fraction of the frame's width.
const MARK_PADDING: f64 = 0.04;

/// A horizontal axis of positive numbers starts at nought unless the first lies beyond this fraction of the
/// last.
const LATE_START: f64 = 0.6;

/// Smallest distance between two dots of one line.
const MARKER_SPACING: f64 = 22.0;
const POINT_RADIUS: f64 = 4.0;

/// More series than this are named at their ends.
const MOST_IN_LINE: usize = 6;

/// The least distance of two names at the ends of traces, and the length of the lines that lead there.
const END_PITCH: f64 = 24.0;
const LEADER: f64 = 40.0;
const LEADER_THICKNESS: f64 = 1.5;

/// Decimals of values named in remarks.
const REMARK_DECIMALS: usize = 1;

/// Marks, plain and dashed.
const MARK: Pen = Pen { colour: VERMILION, thickness: 4.0 };
const DASHED_MARK: Pen = Pen { colour: INK, thickness: 2.0 };

/// A series in the numbers of its axes: powers of ten if logarithmic.
struct Trace<'a> {
    name: &'a str,
    style: Style,
    pen: Pen,
    /// Middle, lower and upper end of what is drawn at each place.
    points: Vec<(f64, [f64; 3])>,
}

impl<'a> Trace<'a> {
    /// `scale` goes from values to places on the vertical axis.
    ///
    /// `base` is the height of what is stacked below it.
    fn new(
        series: &'a Series,
        pen: Pen,
        shown: &[&[f64; 2]],
        scale: fn(f64) -> f64,
        base: &mut BTreeMap<u64, f64>,
    ) -> Self {
        let mut points: Vec<(f64, [f64; 3])> = Vec::new();
        for &&[x, mut y] in shown {
            let [low, high] = match series.style {
                Style::Stacked => {
                    let below = base.entry(x.to_bits()).or_insert(0.0);
                    y += *below;
                    [std::mem::replace(below, y), y]
                }
                Style::Ribbon(reach) => [y - reach, y + reach],
                Style::Area | Style::Steps => [y.min(0.0), y.max(0.0)],
                _ => [y, y],
            };
            // Values that a logarithmic axis cannot show lie below its frame.
            let place =
                |value| Some(scale(value)).filter(|place| !place.is_nan()).unwrap_or(f64::NEG_INFINITY);
            points.push((x, [y, low, high].map(place)));
        }
        if let (Style::Steps, [.., before, last]) = (series.style, &mut *points) {
            last.1 = before.1;
        }
        Self { name: &series.name, style: series.style, pen, points }
    }

    fn middles(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|point| point.1[0])
    }

    fn places(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|point| point.0)
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
    let near = Range { low: least.max(low - reach), high: most.min(high + reach) };
    let all = Range { low: least, high: most };
    Some(if all.length() <= LONGER * near.length() { all } else { near })
}

/// A panel and its axes.
pub(super) struct Plot<'a> {
    panel: &'a Panel,
    traces: Vec<Trace<'a>>,
    pub(super) x: Range,
    y: Range,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    /// Points that a logarithmic axis cannot show.
    lost: usize,
    /// Width of the frame, once it is known.
    width: f64,
    /// Room above the frame: more than its own if a neighbour needs more.
    pub(super) above: f64,
    /// The traces are named at their right ends, not in a line above.
    pub(super) at_ends: bool,
    /// Without numbers and name on the horizontal axis.
    pub(super) bare: bool,
    pub(super) hide_legend: bool,
}

impl<'a> Plot<'a> {
    /// `pens` has one for each series.
    pub(super) fn new(panel: &'a Panel, pens: Vec<Pen>) -> Result<Self> {
        let bounds = panel.band.iter().flat_map(|band| [band.low, band.high]);
        let bounds = bounds.chain(panel.floor).chain(panel.ceiling);
        if bounds.clone().any(|bound| !bound.is_finite() || (panel.log && bound <= 0.0)) {
            return Err(Error::usage(format!(
                "the band, the floor and the ceiling of the panel `{}` must be finite, and positive on a logarithmic \
                 axis",
                panel.y
            )));
        }
        let scale = if panel.log { f64::log10 } else { |value| value };
        let (mut lost, mut traces, mut base) = (0, Vec::new(), BTreeMap::new());
        for (series, pen) in panel.series.iter().zip(pens) {
            if panel.log && matches!(series.style, Style::Area | Style::Stacked | Style::Steps) {
                return Err(Error::usage(format!("the area of `{}` has no logarithmic axis", series.name)));
            }
            let finite = series.points.iter().filter(|[x, y]| x.is_finite() && y.is_finite());
            let (shown, hidden): (Vec<_>, Vec<_>) = finite.partition(|point| !panel.log || point[1] > 0.0);
            lost += hidden.len();
            if !shown.is_empty() {
                traces.push(Trace::new(series, pen, &shown, scale, &mut base));
            }
        }
        let shown = traces.iter().filter_map(|trace| trace.y(panel.cut)).chain(Range::of(bounds.map(scale)));
        let shown = shown.reduce(Range::join);
        let y = shown.map_or(Range::UNIT, |range| Range::new(range.low, range.high).padded(PADDING));
        let most = panel.height.map_or(Y_TICKS, |height| (height / LINE) as usize).clamp(1, MOST_Y_TICKS);
        let counted = traces.iter().all(|trace| trace.style == Style::Steps);
        let y_ticks = match (panel.log, counted) {
            (true, _) => y.log_ticks(most),
            (_, true) => y.whole_ticks(most),
            _ => y.ticks(most),
        };
        let (at_ends, bare, hide_legend, width, above, x_ticks) = (false, false, false, 0.0, 0.0, Vec::new());
        let x = Range::UNIT;
        let mut plot =
            Self { panel, traces, x, y, x_ticks, y_ticks, lost, width, above, at_ends, bare, hide_legend };
        plot.at_ends = plot.named().count() > MOST_IN_LINE;
        Self::share_x(std::slice::from_mut(&mut plot));
        Ok(plot)
    }

    pub(super) fn has_points(&self) -> bool {
        !self.traces.is_empty()
    }

    /// Gives panels whose horizontal axes have one name one range.
    pub(super) fn share_x(plots: &mut [Self]) {
        let ranges: Vec<Range> = plots
            .iter()
            .map(|plot| {
                let same = plots.iter().filter(|other| other.same_x(plot));
                let places = |plot: &Self| Range::of(plot.traces.iter().flat_map(Trace::places));
                let marks = |plot: &Self| Range::of(plot.panel.marks.iter().map(|mark| mark.x));
                let data = x_range(same.clone().filter_map(places).reduce(Range::join));
                // A dot on the frame would be half a dot.
                let dots = |plot: &Self| plot.traces.iter().any(|trace| trace.style == Style::Points);
                let data = if same.clone().any(dots) { data.padded(MARK_PADDING) } else { data };
                let marks = same.filter_map(marks).reduce(Range::join);
                marks.map_or(data, |marks| data.join(marks).padded(MARK_PADDING))
            })
            .collect();
        plots.iter_mut().zip(ranges).for_each(|(plot, range)| plot.x = range);
    }

    pub(super) fn same_x(&self, other: &Self) -> bool {
        self.panel.x == other.panel.x
    }

    pub(super) fn same_legend(&self, other: &Self) -> bool {
        let more = |plot: &Self| plot.panel.band.is_some() || !plot.panel.marks.is_empty();
        let keys = |plot: &Self| -> Vec<(String, Style)> {
            plot.traces.iter().map(|trace| (trace.name.into(), trace.style)).collect()
        };
        !more(self) && !more(other) && keys(self) == keys(other)
    }

    pub(super) fn room_left(&self) -> f64 {
        room_left(&self.y_ticks)
    }

    /// Room right of a frame of at most `width` pixels.
    pub(super) fn room_right(&self, width: f64) -> f64 {
        let names = if self.at_ends {
            let widest = self.named().map(|trace| text_width(trace.name, TEXT_SIZE)).fold(0.0, f64::max);
            LEADER + GAP / 2.0 + widest
        } else {
            0.0
        };
        names.max(self.ticks_within(width).last().map_or(0.0, Tick::half_width))
    }

    fn ticks_within(&self, width: f64) -> Vec<Tick> {
        if !self.panel.places.is_empty() {
            let room = width / self.panel.places.len() as f64 - GAP;
            let named = self.panel.places.iter().enumerate();
            return named.map(|(at, name)| Tick { value: at as f64, label: cut(name, room) }).collect();
        }
        let whole = self.traces.iter().flat_map(Trace::places).all(|place| place.fract() == 0.0);
        self.x.ticks_along(X_TICKS, width, whole)
    }

    pub(super) fn set_width(&mut self, width: f64) {
        self.width = width;
        self.x_ticks = self.ticks_within(width);
    }

    pub(super) fn room_above(&self) -> f64 {
        let heading = if self.panel.title.is_empty() { 0.0 } else { HEADING };
        heading + self.legend().height() + ABOVE
    }

    /// Height of the frame, `usual` unless names at the ends of curves need more or the panel has its own.
    pub(super) fn height(&self, usual: f64) -> f64 {
        let names = if self.at_ends { self.named().count() as f64 * END_PITCH } else { 0.0 };
        self.panel.height.unwrap_or(usual).max(names)
    }

    pub(super) fn room_below(&self) -> f64 {
        if self.bare { TICK } else { BELOW }
    }

    /// The first trace of each name: parts of one thing, such as dots and a line through them, share theirs.
    fn named(&self) -> impl Iterator<Item = &Trace<'a>> {
        let is_new = |at: usize| self.traces[..at].iter().all(|other| other.name != self.traces[at].name);
        let named = self.traces.iter().enumerate().filter(move |&(at, _)| is_new(at));
        named.map(|(_, trace)| trace).filter(|trace| !trace.name.is_empty())
    }

    fn scaled(&self, value: f64) -> f64 {
        if self.panel.log { value.log10() } else { value }
    }

    pub(super) fn legend(&self) -> Legend {
        let series = |trace: &Trace<'a>| Key {
            swatch: Swatch::Series(trace.style, trace.pen),
            name: trace.name.into(),
        };
        let mark = |mark: &Mark| {
            let (style, pen) = if mark.dashed { (Style::Dashed, DASHED_MARK) } else { (Style::Line, MARK) };
            Key { swatch: Swatch::Series(style, pen), name: mark.name.clone() }
        };
        let series = self.named().filter(|_| !self.at_ends).map(series);
        let marks = self.panel.marks.iter().filter(|mark| !mark.name.is_empty()).map(mark);
        let band = self.panel.band.iter();
        let band = band.map(|band| Key { swatch: Swatch::Area(REFERENCE, TINT), name: band.name.clone() });
        Legend::new(series.chain(marks).chain(band).filter(|_| !self.hide_legend), self.width)
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, frame: Frame) {
        let axes = Axes { frame, x: self.x, y: self.y };
        let bare: Vec<Tick> = self.x_ticks.iter().map(Tick::bare).collect();
        let x_ticks = if self.bare { &bare } else { &self.x_ticks };
        if let Some(band) = &self.panel.band {
            let y = |value| axes.at((0.0, self.scaled(value))).1;
            let (from, to) = frame.corners();
            canvas.rectangle((from.0, y(band.low)), (to.0, y(band.high)), REFERENCE, TINT);
        }
        axes.grid(canvas, x_ticks, &self.y_ticks);
        self.draw_data(canvas, &axes);
        axes.edges(canvas, x_ticks, &self.y_ticks);
        if self.at_ends {
            self.draw_ends(canvas, &axes);
        }
        self.draw_above(canvas, frame);
        if !self.bare {
            frame.name_below(canvas, &self.panel.x);
        }
    }

    /// The curves and the marks.
    fn draw_data(&self, canvas: &mut Canvas, axes: &Axes) {
        let (from, to) = axes.frame.corners();
        // Lines at the left and at the right end of the axis have their whole thickness.
        canvas.within((from.0 - THICKNESS, from.1), (to.0 + THICKNESS, to.1), |canvas| {
            self.traces.iter().for_each(|trace| draw_area(canvas, axes, trace));
            self.traces.iter().for_each(|trace| draw_line(canvas, axes, trace));
            for mark in self.panel.marks.iter().filter(|mark| mark.dashed) {
                canvas.dashes(axes.upright(mark.x), DASHED_MARK);
            }
            for mark in self.panel.marks.iter().filter(|mark| !mark.dashed) {
                canvas.path(axes.upright(mark.x), MARK);
            }
        });
        self.traces.iter().for_each(|trace| draw_dots(canvas, axes, trace));
    }

    /// Title, legend, name of the vertical axis, remark.
    fn draw_above(&self, canvas: &mut Canvas, frame: Frame) {
        let (right, top) = frame.at(1.0, 1.0);
        frame.heading(canvas, &self.panel.title, self.above);
        let legend = self.legend();
        legend.draw(canvas, (right, top - ABOVE - legend.height()));
        let remark = self.remark();
        let size = fitting(&remark, TEXT_SIZE, frame.width / 2.0);
        canvas.write(&remark, (right, top - ABOVE + LINE / 2.0), Align::Right, size, QUIET);
        frame.name_above(canvas, &self.panel.y, frame.width - text_width(&remark, size) - GAP);
    }

    /// A remark on the values that the frame leaves out.
    fn remark(&self) -> String {
        let values = || self.traces.iter().flat_map(Trace::middles);
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

    /// The names of the traces at their right ends.
    fn draw_ends(&self, canvas: &mut Canvas, axes: &Axes) {
        let right = axes.frame.at(1.0, 0.0).0;
        let height = |trace: &Trace<'_>| {
            let last = trace.middles().last().unwrap_or(axes.y.low);
            axes.at((axes.x.high, last.clamp(axes.y.low, axes.y.high))).1
        };
        let mut ends: Vec<(f64, &Trace<'_>)> = self.named().map(|trace| (height(trace), trace)).collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        let wished: Vec<f64> = ends.iter().map(|end| end.0).collect();
        let pitch = LINE.min(axes.frame.height / ends.len() as f64);
        let (top, bottom) = (axes.frame.top + pitch / 2.0, axes.frame.at(0.0, 0.0).1 - pitch / 2.0);
        for (place, (end, trace)) in kept_apart(&wished, pitch, top, bottom).into_iter().zip(ends) {
            let name_at = (right + LEADER, place);
            canvas.path([(right, end), name_at], Pen { thickness: LEADER_THICKNESS, ..trace.pen });
            canvas.write(trace.name, (name_at.0 + GAP / 2.0, place), Align::Left, pitch / LEADING, INK);
        }
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

/// The area of a trace.
fn draw_area(canvas: &mut Canvas, axes: &Axes, trace: &Trace<'_>) {
    let line = |end: usize| trace.points.iter().map(move |&(x, ends)| axes.at((x, ends[end])));
    let area = match trace.style {
        Style::Area | Style::Stacked | Style::Ribbon(_) => line(1).chain(line(2).rev()).collect(),
        Style::Steps => outline(axes, trace),
        Style::Line | Style::Marked | Style::Dashed | Style::Points => return,
    };
    canvas.area(area, trace.pen.colour, trace.style.tint());
}

fn draw_line(canvas: &mut Canvas, axes: &Axes, trace: &Trace<'_>) {
    match trace.style {
        Style::Dashed | Style::Ribbon(_) => canvas.dashes(outline(axes, trace), trace.pen),
        Style::Points => (),
        Style::Line | Style::Marked | Style::Area | Style::Stacked | Style::Steps => {
            canvas.path(outline(axes, trace), trace.pen)
        }
    }
}

fn draw_dots(canvas: &mut Canvas, axes: &Axes, trace: &Trace<'_>) {
    let (radius, spacing) = match trace.style {
        Style::Points => (POINT_RADIUS, 0.0),
        Style::Marked => (MARKER_RADIUS, MARKER_SPACING),
        // A line through a single point would not be seen.
        _ if trace.points.len() == 1 => (MARKER_RADIUS, 0.0),
        _ => return,
    };
    let mut next = f64::NEG_INFINITY;
    let shown = trace.points.iter().filter(|(_, [y, ..])| axes.y.contains(*y));
    for at in shown.map(|&(x, [y, ..])| axes.at((x, y))) {
        if spacing == 0.0 || at.0 >= next {
            canvas.dot(at, radius, trace.pen.colour, 1.0);
            next = at.0 + spacing;
        }
    }
}

/// The line of a trace, in places of the picture.
fn outline(axes: &Axes, trace: &Trace<'_>) -> Vec<Point> {
    let middles: Vec<Point> = trace.points.iter().map(|&(x, [y, ..])| (x, y)).collect();
    let outline = if trace.style == Style::Steps { steps(&middles) } else { middles };
    outline.into_iter().map(|point| axes.at(point)).collect()
}

/// The outline of the bars of a histogram, from nought and back.
fn steps(points: &[Point]) -> Vec<Point> {
    let tops = points.windows(2).flat_map(|pair| [pair[0], (pair[1].0, pair[0].1)]);
    let start = points.first().map(|point| (point.0, 0.0));
    let end = points.last().map(|point| (point.0, 0.0));
    start.into_iter().chain(tops).chain(end).collect()
}

/// Places as close to the wished ones as may be, in the same order, each at least `pitch` from the next, none
/// below `low` or above `high`. `wished` rises; there must be room.
pub(super) fn kept_apart(wished: &[f64], pitch: f64, low: f64, high: f64) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::with_capacity(wished.len());
    for &wish in wished {
        let least = places.last().map_or(low, |last| last + pitch);
        places.push(wish.max(least));
    }
    let mut most = high;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - pitch;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::canvas::paint;
    use crate::picture::theme::{BLUE, WHITE};
    use image::RgbImage;

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

    /// A line in a plot of 10 x 10 values, drawn into the 40 x 40 pixels that begin at (10, 10).
    fn drawn(points: &[[f64; 2]]) -> Result<RgbImage> {
        let panel = panel(points, Style::Line);
        let range = Range { low: 0.0, high: 10.0 };
        let plot = Plot { x: range, y: range, ..Plot::new(&panel, vec![PEN])? };
        let frame = Frame { left: 10.0, top: 10.0, width: 40.0, height: 40.0 };
        let axes = Axes { frame, x: range, y: range };
        Ok(paint((60, 60), |canvas| plot.draw_data(canvas, &axes)))
    }

    fn inked(picture: &RgbImage, x: u32, y: u32) -> bool {
        picture.get_pixel(x, y)[0] < 128
    }

    #[test]
    fn lines_are_cut_at_the_range() -> Result<()> {
        // From 30 to -10: it is between 10 and 0 from x = 5 to 7.5.
        let picture = drawn(&[[0.0, 30.0], [10.0, -10.0]])?;
        let rows =
            |rows: std::ops::Range<u32>| rows.filter(|&y| (0..60).any(|x| inked(&picture, x, y))).count();
        assert_eq!([rows(0..10), rows(10..50), rows(50..60)], [0, 40, 0]);
        assert!(inked(&picture, 31, 12) && inked(&picture, 39, 47));
        // Wholly outside of it.
        assert!(drawn(&[[0.0, 20.0], [10.0, 30.0]])?.pixels().all(|pixel| *pixel == WHITE));
        Ok(())
    }

    #[test]
    fn a_line_in_the_frame_stays_in_one_piece() -> Result<()> {
        let pieces = |points: &[[f64; 2]]| {
            let picture = drawn(points)?;
            let columns: Vec<bool> = (10..50).map(|x| (0..60).any(|y| inked(&picture, x, y))).collect();
            Ok::<_, Error>(columns.chunk_by(|a, b| a == b).filter(|chunk| chunk[0]).count())
        };
        assert_eq!(pieces(&[[0.0, 0.0], [5.0, 5.0], [10.0, 0.0]])?, 1);
        assert_eq!(pieces(&[[0.0, 0.0], [5.0, 20.0], [10.0, 0.0]])?, 2);
        Ok(())
    }

    #[test]
    fn labels_keep_apart_and_inside() {
        assert_eq!(kept_apart(&[0.0, 0.0, 5.0], 2.0, 0.0, 9.0), [0.0, 2.0, 5.0]);
        assert_eq!(kept_apart(&[8.0, 9.0, 9.0], 2.0, 0.0, 9.0), [5.0, 7.0, 9.0]);
        assert_eq!(kept_apart(&[3.0], 2.0, 0.0, 9.0), [3.0]);
        assert!(kept_apart(&[], 2.0, 0.0, 9.0).is_empty());
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
        let series = panel.series[0].clone();
        // Names of one width.
        let named = |letter: u8| Series { name: char::from(b'A' + letter).into(), ..series.clone() };
        panel.series = (0..MOST_IN_LINE as u8).map(named).collect();
        let mut plot = Plot::new(&panel, vec![PEN; MOST_IN_LINE])?;
        let mut lines = |width| {
            plot.set_width(width);
            plot.legend().lines.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(lines(2000.0), [MOST_IN_LINE]);
        assert_eq!(lines(10.0), [1; MOST_IN_LINE]);
        let twice = Panel { series: vec![series.clone(); MOST_IN_LINE], ..Panel::default() };
        let legend = Plot::new(&twice, vec![PEN; MOST_IN_LINE])?.legend();
        assert_eq!(legend.lines.iter().map(Vec::len).collect::<Vec<_>>(), [1], "one name is one entry");
        panel.series.push(named(MOST_IN_LINE as u8));
        let plot = Plot::new(&panel, vec![PEN; MOST_IN_LINE + 1])?;
        assert!(plot.at_ends && plot.legend().lines.is_empty() && plot.room_right(500.0) > LEADER);
        Ok(())
    }
}
