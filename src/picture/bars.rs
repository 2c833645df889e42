//! Labelled bars.

use super::axes::{ABOVE, Axes, BELOW, Frame};
use super::canvas::{Align, Canvas, fitting, text_width};
use super::page::Page;
use super::scale::{Range, Tick, number, short, shortened};
use super::theme::{BLUE, Colour, GAP, INK, LEADING, LINE, MARGIN, Pen, QUIET, REFERENCE, TEXT_SIZE, WIDTH};
use crate::error::{Error, Result};
use std::path::Path;

/// Most decimals of values.
const MOST_DECIMALS: f64 = 5.0;

/// From the top of one bar to the top of the next: of a few, and of many.
const MOST_PITCH: f64 = 44.0;
const LEAST_PITCH: f64 = 24.0;

/// How much of the pitch a bar fills; with a pitch of its own choice it is no thicker.
const FILLED: f64 = 0.7;

/// Height of a picture's bars, if they are neither few nor many.
const WISHED_HEIGHT: f64 = 640.0;

/// More bars than this are not drawn.
const MOST_BARS: usize = 100;

/// Ticks wished for along the axis.
const TICKS: usize = 6;

const THRESHOLD: Pen = Pen { colour: INK, thickness: 2.0 };

/// A bar of [`Bars`].
#[derive(Clone, Debug, Default)]
pub struct LabelledBar {
    /// Written left of the bar.
    pub label: String,
    /// Its length; must be finite.
    pub value: f64,
}

/// A value that tells two kinds of bars apart: those below are grey.
#[derive(Clone, Debug)]
pub struct Threshold {
    /// Bars of larger values count.
    pub value: f64,
    /// The word for bars above it, such as "active".
    pub name: String,
}

/// Horizontal bars, one below the other, with their values.
#[derive(Clone, Debug, Default)]
pub struct Bars {
    /// Written above the bars.
    pub title: String,
    /// Name of the axis with its unit.
    pub axis: String,
    /// The bars, from the top; of more than a hundred the first hundred are drawn, with a remark.
    pub bars: Vec<LabelledBar>,
    /// A line across the bars.
    pub threshold: Option<Threshold>,
    /// Written below the bars; may be empty.
    pub caption: String,
}

impl Bars {
    /// Draws the bars and writes the picture to `path` as PNG.
    pub fn save(&self, path: &Path) -> Result<()> {
        let colours =
            self.bars.iter().map(|bar| kind_colour(bar.value, self.threshold.as_ref(), BLUE)).collect();
        let column = Column::new(&self.axis, &self.bars, colours, self.threshold.as_ref(), MOST_BARS)?;
        let room = WIDTH - 2.0 * MARGIN;
        let height = WISHED_HEIGHT.clamp(column.least_height(), column.shown as f64 * MOST_PITCH);
        let above = if self.threshold.is_some() { ABOVE } else { 0.0 };
        let caption = [&column.remark(), self.caption.as_str()].join(" ");
        let page = Page::new(&self.title, (room, above + height + BELOW), &caption)?;
        let place = Frame { left: page.left(), top: page.top() + above, width: room, height };
        page.save(path, |canvas| column.draw(canvas, place))
    }
}

/// `colour` unless the value is not above the threshold.
pub(super) fn kind_colour(value: f64, threshold: Option<&Threshold>, colour: Colour) -> Colour {
    if threshold.is_none_or(|threshold| value > threshold.value) { colour } else { REFERENCE }
}

/// Bars within a picture.
pub(super) struct Column<'a> {
    axis: &'a str,
    bars: &'a [LabelledBar],
    colours: Vec<Colour>,
    threshold: Option<&'a Threshold>,
    /// How many bars are drawn.
    shown: usize,
    range: Range,
}

impl<'a> Column<'a> {
    /// `colours` has one for each bar; no more than `most` bars are drawn.
    pub(super) fn new(
        axis: &'a str,
        bars: &'a [LabelledBar],
        colours: Vec<Colour>,
        threshold: Option<&'a Threshold>,
        most: usize,
    ) -> Result<Self> {
        let marks = threshold.map(|threshold| threshold.value);
        let values = || bars.iter().map(|bar| bar.value).chain(marks);
        if bars.is_empty() {
            return Err(Error::usage("there are no bars to draw"));
        }
        if !values().all(f64::is_finite) {
            return Err(Error::usage("the values of bars and their threshold must be finite numbers"));
        }
        let joint = Range::of(values().chain([0.0])).filter(|range| range.low < range.high);
        let range = joint.unwrap_or(Range::UNIT);
        Ok(Self { axis, bars, colours, threshold, shown: bars.len().min(most), range })
    }

    /// So that labels have room.
    pub(super) fn least_height(&self) -> f64 {
        self.shown as f64 * LEAST_PITCH
    }

    /// About bars that are not drawn, in words.
    pub(super) fn remark(&self) -> String {
        let rest = &self.bars[self.shown..];
        let most = rest.iter().map(|bar| bar.value).fold(f64::NEG_INFINITY, f64::max);
        match rest.len() {
            0 => String::new(),
            count => format!("Not shown: {} more, at most {}.", number(count as f64, 0), short(most)),
        }
    }

    /// A value with as many decimals as all have: three digits of the largest.
    fn text(&self, value: f64) -> String {
        let largest = self.bars.iter().fold(0.0f64, |largest, bar| largest.max(bar.value.abs()));
        let places = 2.0 - largest.log10().floor();
        // Of very small or large ones each has its own power of ten.
        if (0.0..=MOST_DECIMALS).contains(&places) { number(value, places as usize) } else { short(value) }
    }

    /// How many bars are above the threshold, in words.
    fn tally(&self) -> String {
        let Some(Threshold { value, name }) = self.threshold else { return String::new() };
        let above = self.bars.iter().filter(|bar| bar.value > *value).count();
        format!("{above} of {} {name} (above {})", self.bars.len(), short(*value))
    }

    /// Draws the bars at their place, with the labels inside its width, and the axis below.
    pub(super) fn draw(&self, canvas: &mut Canvas, place: Frame) {
        let shown = &self.bars[..self.shown];
        let size = TEXT_SIZE.min(place.height / self.shown as f64 / LEADING);
        let widest = |texts: &mut dyn Iterator<Item = String>| {
            texts.map(|text| text_width(&text, size)).fold(0.0, f64::max) + GAP
        };
        let labels = widest(&mut shown.iter().map(|bar| shortened(&bar.label)));
        let values = widest(&mut shown.iter().map(|bar| self.text(bar.value)));
        let frame = Frame { left: place.left + labels, width: place.width - labels, ..place };
        // The longest bar leaves room for its value.
        let scale = frame.width / (frame.width - values);
        let x = Range { high: self.range.low + scale * self.range.length(), ..self.range };
        let ticks = self.range.ticks_along(TICKS, frame.width - values, false);
        self.draw_bars(canvas, &Axes { frame, x, y: Range::UNIT }, &ticks, size);
        let tally = self.tally();
        let tally_at = (frame.left, frame.top - ABOVE + LINE / 2.0);
        canvas.write(&tally, tally_at, Align::Left, fitting(&tally, TEXT_SIZE, frame.width), QUIET);
        frame.name_below(canvas, self.axis);
    }

    fn draw_bars(&self, canvas: &mut Canvas, axes: &Axes, ticks: &[Tick], size: f64) {
        let frame = axes.frame;
        axes.grid(canvas, ticks, &[]);
        let x = |value: f64| axes.at((value, 0.0)).0;
        let mark = self.threshold.map(|threshold| x(threshold.value));
        let pitch = frame.height / self.shown as f64;
        let reach = FILLED * pitch.min(MOST_PITCH) / 2.0;
        for (index, (bar, &colour)) in self.bars[..self.shown].iter().zip(&self.colours).enumerate() {
            let middle = frame.top + (index as f64 + 0.5) * pitch;
            let (left, right) = (x(bar.value.min(0.0)), x(bar.value.max(0.0)));
            canvas.rectangle((left, middle - reach), (right, middle + reach), colour, 1.0);
            canvas.write(&shortened(&bar.label), (frame.left - GAP, middle), Align::Right, size, INK);
            let value = self.text(bar.value);
            let (mut left, width) = (right + GAP / 2.0, text_width(&value, size));
            // The threshold's line does not go through a number.
            if let Some(mark) = mark.filter(|mark| (right..left + width + GAP / 2.0).contains(mark)) {
                left = mark + GAP / 2.0;
            }
            canvas.write(&value, (left, middle), Align::Left, size, INK);
        }
        if self.range.low < 0.0 {
            let [top, bottom] = axes.upright(0.0);
            canvas.line(top, bottom, Pen::AXIS);
        }
        if let Some(threshold) = self.threshold {
            canvas.dashes(axes.upright(threshold.value), THRESHOLD);
        }
        axes.edges(canvas, ticks, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;

    fn bars(values: &[f64]) -> Bars {
        let bar = |(index, &value): (usize, &f64)| LabelledBar { label: format!("bar {index}"), value };
        Bars {
            title: "bars".into(),
            axis: "length".into(),
            bars: values.iter().enumerate().map(bar).collect(),
            threshold: Some(Threshold { value: 1.0, name: "long".into() }),
            ..Bars::default()
        }
    }

    /// How many pixels have a colour.
    fn ink(bars: &Bars, colour: Colour) -> f64 {
        let picture = demo::decoded(&demo::bytes(|path| bars.save(path)));
        picture.pixels().filter(|&&pixel| pixel == colour).count() as f64
    }

    #[test]
    fn a_bar_is_as_long_as_its_value() {
        let ratio = ink(&bars(&[8.0, 4.0]), BLUE) / ink(&bars(&[8.0]), BLUE);
        assert!((ratio - 1.5).abs() < 0.02, "{ratio}");
    }

    #[test]
    fn short_bars_are_grey_and_counted() -> Result<()> {
        let all = bars(&[9.0, 1.5, 1.0, 0.5]);
        assert!(ink(&all, BLUE) > 1000.0 && ink(&all, REFERENCE) > 1000.0);
        // Letters have edges of any grey.
        assert!(ink(&Bars { threshold: None, ..all.clone() }, REFERENCE) < 100.0);
        let column = Column::new("", &all.bars, vec![BLUE; 4], all.threshold.as_ref(), 4)?;
        assert_eq!((column.tally().as_str(), column.remark().as_str()), ("2 of 4 long (above 1)", ""));
        let column = Column::new("", &all.bars, vec![BLUE; 4], None, 2)?;
        assert_eq!(
            (column.tally().as_str(), column.remark().as_str()),
            ("", "Not shown: 2 more, at most 1.")
        );
        Ok(())
    }

    #[test]
    fn odd_numbers_are_drawn_without_complaint() {
        for values in [&[0.0][..], &[-1.0, -2.0], &[1e-300, 1e300], &[0.1; 300]] {
            assert!(!demo::bytes(|path| bars(values).save(path)).is_empty());
        }
    }

    #[test]
    fn nothing_to_draw_is_refused() {
        let path = Path::new("refused.png");
        assert!(bars(&[]).save(path).is_err());
        assert!(bars(&[f64::NAN]).save(path).is_err());
        let threshold = Some(Threshold { value: f64::INFINITY, name: String::new() });
        assert!(Bars { threshold, ..bars(&[1.0]) }.save(path).is_err());
    }

    #[test]
    fn same_input_same_bytes() {
        let draw = || demo::bytes(|path| bars(&[3.0, 0.2, -1.0]).save(path));
        assert_eq!(draw(), draw());
    }
}
