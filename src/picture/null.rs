//! The null distribution of a test.

use super::axes::{ABOVE, Axes, BELOW, Frame, Range, Tick, number, room_left};
use super::canvas::{Align, Canvas, Drawn, fitting, text_width};
use super::page::Page;
use super::parts::{area, half_width, length, short, ticks_along};
use super::theme::{GAP, INK, LINE, MARGIN, QUIET, SKY, TEXT_SIZE, VERMILION, WIDTH};
use crate::error::{Error, Result};
use std::path::Path;

const FRAME_HEIGHT: f64 = 460.0;

/// The top of the frame, kept free of bars for the two lines' labels.
const LABELS: f64 = 2.0 * LINE + GAP;

/// Room left and right of the data, as a fraction of the frame.
const PADDING: f64 = 0.04;

/// Ticks wished for along the axes.
const STATISTIC_TICKS: usize = 9;
const COUNT_TICKS: usize = 5;

/// More bars than this are drawn for no number of draws.
const MOST_BARS: usize = 60;

/// The whole histogram is at least this wide: more than the line of the observed value, which may cover it.
const LEAST_WIDTH: f64 = 14.0;

/// No bar is narrower, and none that counts anything is lower.
const LEAST_BAR_WIDTH: f64 = 5.0;
const LEAST_BAR_HEIGHT: f64 = 2.0;

/// Between two bars, provided that they are wide.
const SEAM: f64 = 1.0;
const WIDE_BAR: f64 = 8.0;

const OBSERVED_THICKNESS: f64 = 4.0;
const THRESHOLD_THICKNESS: f64 = 2.0;

/// Where a test statistic lies among its values under the null hypothesis.
#[derive(Clone, Copy, Debug)]
pub struct Null<'a> {
    /// Written above the picture, such as "Do x.npy and y.npy differ?".
    pub title: &'a str,
    /// One line below the title, such as "MMD² = 0.00123, p = 0.001: differs at level 0.05"; may be empty.
    pub remark: &'a str,
    /// The name of the statistic, such as "MMD² (unbiased)".
    pub statistic: &'a str,
    /// The statistic under the null hypothesis, one value for each permutation; those that are not finite are
    /// left out.
    pub draws: &'a [f64],
    /// The statistic of the data.
    pub observed: f64,
    /// The value that the test compares with, a quantile of the null distribution, if known.
    pub threshold: Option<f64>,
}

impl Null<'_> {
    /// Draws a histogram of the null distribution with the observed value and the threshold, and writes the
    /// picture to `path` as PNG.
    pub fn save(&self, path: &Path) -> Result<()> {
        let layout = Layout::new(self)?;
        layout.page.save(path, |canvas| layout.draw(canvas), |_| ())
    }

    /// The finite draws in rising order; there is at least one.
    fn sorted(&self) -> Result<Vec<f64>> {
        let mut draws: Vec<f64> = self.draws.iter().copied().filter(|draw| draw.is_finite()).collect();
        draws.sort_by(f64::total_cmp);
        if draws.is_empty() {
            return Err(Error::usage("there is no null distribution to draw: no permutation has a value"));
        }
        if !self.observed.is_finite() || self.threshold.is_some_and(|threshold| !threshold.is_finite()) {
            return Err(Error::usage("the observed value and the threshold must be finite numbers"));
        }
        Ok(draws)
    }
}

/// The histogram, and where everything lies.
struct Layout<'a> {
    null: &'a Null<'a>,
    page: Page,
    axes: Axes,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    bars: Bars,
}

impl<'a> Layout<'a> {
    fn new(null: &'a Null<'a>) -> Result<Self> {
        let draws = null.sorted()?;
        let null_range = Range { low: draws[0], high: draws[draws.len() - 1] };
        let marked = [Some(null.observed), null.threshold];
        let all = marked.into_iter().flatten().map(|value| Range { low: value, high: value });
        let joint = all.fold(null_range, Range::join);
        let x = Range::new(joint.low, joint.high).padded(PADDING);
        let room = WIDTH - 2.0 * MARGIN;
        let x_ticks = ticks_along(x, STATISTIC_TICKS, room);
        let width = length(null_range) / length(x) * room;
        let bars = Bars::new(&draws, (width / LEAST_BAR_WIDTH) as usize);
        let most = bars.counts.iter().max().map_or(1.0, |&most| most as f64);
        let y = Range { low: 0.0, high: most * FRAME_HEIGHT / (FRAME_HEIGHT - LABELS) };
        let mut y_ticks = y.whole_ticks(COUNT_TICKS);
        y_ticks.retain(|tick| tick.value <= most);

        let left = room_left(&y_ticks).max(half_width(x_ticks.first()));
        let right = half_width(x_ticks.last());
        let remark = if null.remark.is_empty() { 0.0 } else { LINE + GAP };
        let page = Page::new(null.title, (room, remark + ABOVE + FRAME_HEIGHT + BELOW), "")?;
        let frame = Frame {
            left: page.left() + left,
            top: page.top() + remark + ABOVE,
            width: room - left - right,
            height: FRAME_HEIGHT,
        };
        Ok(Self { null, page, axes: Axes { frame, x, y }, x_ticks, y_ticks, bars })
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Drawn {
        let (page, frame, null) = (&self.page, self.axes.frame, self.null);
        let room = WIDTH - 2.0 * MARGIN;
        let remark_at = (page.left(), page.top() + LINE / 2.0);
        canvas.write(null.remark, remark_at, Align::Left, fitting(null.remark, TEXT_SIZE, room), QUIET)?;
        self.axes.grid(canvas, &self.x_ticks, &self.y_ticks)?;
        self.bars.draw(canvas, &self.axes)?;
        self.draw_marks(canvas)?;
        self.axes.edges(canvas, &self.x_ticks, &self.y_ticks)?;
        let draws = number(self.bars.counts.iter().sum::<usize>() as f64, 0);
        frame.name_above(
            canvas,
            &format!("values under the null hypothesis ({draws} in all)"),
            frame.width,
        )?;
        frame.name_below(canvas, null.statistic)
    }

    /// The lines of the threshold and of the observed value, with their labels in two rows.
    fn draw_marks(&self, canvas: &Canvas<'_>) -> Drawn {
        let Self { axes, null, .. } = self;
        let (top, bottom) = (axes.frame.top, axes.at((0.0, 0.0)).1);
        let x = |value| axes.at((value, 0.0)).0;
        let row = |index: f64| top + GAP / 2.0 + (index + 0.5) * LINE;
        let right_first = null.threshold.is_none_or(|threshold| null.observed >= threshold);

        if let Some(threshold) = null.threshold {
            let line = [(x(threshold), row(0.5)), (x(threshold), bottom)];
            canvas.dashes(&line, INK, THRESHOLD_THICKNESS)?;
        }
        canvas.line((x(null.observed), top), (x(null.observed), bottom), VERMILION, OBSERVED_THICKNESS)?;
        if let Some(threshold) = null.threshold {
            let text = format!("threshold {}", short(threshold));
            let at = (beside(axes.frame, x(threshold), &text, !right_first), row(1.0));
            canvas.rimmed_text(&text, at, TEXT_SIZE, INK)?;
        }
        let text = format!("observed {}", short(null.observed));
        let at = (beside(axes.frame, x(null.observed), &text, right_first), row(0.0));
        canvas.rimmed_text(&text, at, TEXT_SIZE, INK)
    }
}

/// The middle of a text beside the upright line at `x`: on the side wished for if there is room.
fn beside(frame: Frame, x: f64, text: &str, right_first: bool) -> f64 {
    let width = text_width(text, TEXT_SIZE);
    let (left, right) = (x - GAP - width, x + GAP);
    let fits_left = left >= frame.left;
    let fits_right = right + width <= frame.left + frame.width;
    let start = if (right_first && fits_right) || !fits_left { right } else { left };
    start + width / 2.0
}

/// A histogram with bars of equal width.
#[derive(Debug, PartialEq)]
struct Bars {
    range: Range,
    counts: Vec<usize>,
}

impl Bars {
    /// As many bars as Freedman and Diaconis advise for the sorted draws, but no more than `most`.
    fn new(draws: &[f64], most: usize) -> Self {
        let range = Range { low: draws[0], high: draws[draws.len() - 1] };
        let quartile = |quarter: usize| draws[quarter * (draws.len() - 1) / 4];
        let width = 2.0 * (quartile(3) - quartile(1)) / (draws.len() as f64).cbrt();
        let advised = if width > 0.0 { length(range) / width } else { (draws.len() as f64).sqrt() };
        let bars = (advised.ceil() as usize).min(most).clamp(1, MOST_BARS);
        let mut counts = vec![0; bars];
        for &draw in draws {
            // A single value makes a range without length, and 0 / 0 becomes bar 0.
            counts[((range.fraction(draw) * bars as f64) as usize).min(bars - 1)] += 1;
        }
        Self { range, counts }
    }

    fn draw(&self, canvas: &Canvas<'_>, axes: &Axes) -> Drawn {
        let (left, bottom) = axes.at((self.range.low, 0.0));
        let (right, _) = axes.at((self.range.high, 0.0));
        let widened = (LEAST_WIDTH - (right - left)).max(0.0);
        let (left, width) = (left - widened / 2.0, (right - left + widened) / self.counts.len() as f64);
        let seam = if width >= WIDE_BAR { SEAM } else { 0.0 };
        for (index, &count) in self.counts.iter().enumerate().filter(|&(_, &count)| count > 0) {
            let start = left + index as f64 * width;
            let (_, top) = axes.at((0.0, count as f64));
            area(
                canvas,
                (start + seam / 2.0, top.min(bottom - LEAST_BAR_HEIGHT)),
                (start + width - seam / 2.0, bottom),
                SKY,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;

    fn null(draws: &[f64], observed: f64, threshold: Option<f64>) -> Null<'_> {
        let title = "Do x.npy and y.npy differ?";
        Null { title, remark: "a remark", statistic: "MMD²", draws, observed, threshold }
    }

    #[test]
    fn each_draw_is_counted_once() {
        let bars = Bars::new(&[0.0, 0.1, 0.2, 0.6, 1.0], 2);
        assert_eq!(bars, Bars { range: Range { low: 0.0, high: 1.0 }, counts: vec![3, 2] });
        assert_eq!(Bars::new(&[7.0; 9], 0).counts, [9]);
        let mut draws = demo::null();
        draws.sort_by(f64::total_cmp);
        let counts = Bars::new(&draws, 1000).counts;
        assert_eq!(counts.iter().sum::<usize>(), draws.len());
        assert!((10..=MOST_BARS).contains(&counts.len()));
    }

    #[test]
    fn labels_stay_inside() {
        let frame = Frame { left: 100.0, top: 0.0, width: 1000.0, height: 100.0 };
        let width = text_width("observed", TEXT_SIZE);
        for (x, right_first, is_right) in
            [(500.0, true, true), (500.0, false, false), (1090.0, true, false), (110.0, false, true)]
        {
            let middle = beside(frame, x, "observed", right_first);
            assert_eq!(middle > x, is_right);
            assert!(middle - width / 2.0 >= 100.0 && middle + width / 2.0 <= 1100.0);
        }
    }

    #[test]
    fn a_far_value_leaves_the_null_visible() {
        let draws: Vec<f64> = demo::null().iter().map(|draw| draw * 1e-4).collect();
        let picture = demo::decoded(&demo::bytes(|path| null(&draws, 10.0, None).save(path)));
        let sky = picture.pixels().filter(|pixel| pixel.0 == [SKY.0, SKY.1, SKY.2]).count();
        assert!(sky > 1000, "{sky} pixels of bars");
    }

    #[test]
    fn odd_numbers_are_drawn_without_complaint() {
        let cases: [(&[f64], f64, Option<f64>); 5] = [
            (&[0.5], 0.5, None),
            (&[0.0; 100], 0.0, Some(0.0)),
            (&[-3e-8, -1e-8, 2e-8, f64::NAN], 1e-8, Some(1.5e-8)),
            (&[1.0, 2.0], 1e300, Some(-1e300)),
            (&[f64::MIN, f64::MAX], 0.0, None),
        ];
        for (draws, observed, threshold) in cases {
            assert!(!demo::bytes(|path| null(draws, observed, threshold).save(path)).is_empty());
        }
    }

    #[test]
    fn nothing_to_draw_is_refused() {
        let path = Path::new("refused.png");
        assert!(null(&[], 1.0, None).save(path).is_err());
        assert!(null(&[f64::NAN], 1.0, None).save(path).is_err());
        assert!(null(&[1.0], f64::NAN, None).save(path).is_err());
        assert!(null(&[1.0], 1.0, Some(f64::INFINITY)).save(path).is_err());
    }

    #[test]
    fn same_input_same_bytes() {
        let draws = demo::null();
        let draw = || demo::bytes(|path| null(&draws, 4.0, Some(2.0)).save(path));
        assert_eq!(draw(), draw());
    }
}
