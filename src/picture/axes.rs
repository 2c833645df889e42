//! Axes: from numbers to pixels, with round numbers written along the edges.

use super::canvas::{Align, Canvas, Drawn, Point, fitting, text_width};
use super::theme::{GAP, GRID, HAIRLINE, INK, LEADING, LINE, TEXT_SIZE, TICK};

/// What a latent dimension is called, counted from nought.
pub(super) fn latent_name(dimension: usize) -> String {
    const LOWERED: [char; 10] = ['₀', '₁', '₂', '₃', '₄', '₅', '₆', '₇', '₈', '₉'];
    let lower = |letter: char| LOWERED[letter.to_digit(10).unwrap_or_default() as usize];
    ['z'].into_iter().chain((dimension + 1).to_string().chars().map(lower)).collect()
}

/// The steps between ticks, up to a power of ten.
const ROUND_STEPS: [f64; 4] = [1.0, 2.0, 5.0, 10.0];

/// How far outside a range, in steps, a tick may seem to lie for the sake of rounding.
const SLACK: f64 = 1e-6;

/// Digits that a group separator keeps together.
const DIGIT_GROUP: usize = 3;

/// Below the lower edge of a frame: tick marks, their numbers and the axis name.
pub(super) const BELOW: f64 = TICK + GAP / 2.0 + LINE * 2.0;

/// Letters of a frame's heading, and the height of its line with the distance to what follows.
const HEADING_SIZE: f64 = 30.0;
pub(super) const HEADING: f64 = HEADING_SIZE * LEADING + GAP / 2.0;

/// Above the upper edge of a frame: the name of the vertical axis.
pub(super) const ABOVE: f64 = LINE + GAP / 2.0;

/// An interval of numbers; `low` is less than `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) low: f64,
    pub(super) high: f64,
}

/// A number written on an axis.
#[derive(Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    pub(super) label: String,
}

impl Tick {
    /// The mark without its number.
    pub(super) fn bare(&self) -> Self {
        Self { value: self.value, label: String::new() }
    }
}

impl Range {
    /// From nought to one.
    pub(super) const UNIT: Self = Self { low: 0.0, high: 1.0 };

    /// The interval between two numbers in either order; a single number gets some room on both sides.
    pub(super) fn new(a: f64, b: f64) -> Self {
        let (low, high) = (a.min(b), a.max(b));
        if high - low > f64::EPSILON * low.abs().max(high.abs()) {
            return Self { low, high };
        }
        let room = if low == 0.0 { 1.0 } else { low.abs() / 10.0 };
        Self { low: low - room, high: high + room }
    }

    /// The interval made longer at both ends by a fraction of its length.
    pub(super) fn padded(self, fraction: f64) -> Self {
        let room = fraction * (self.high - self.low);
        Self { low: self.low - room, high: self.high + room }
    }

    /// The smallest interval with both in it.
    pub(super) fn join(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// Where `value` lies: 0 at the lower end, 1 at the upper.
    pub(super) fn fraction(self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    pub(super) fn contains(self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Round numbers in the interval, at most one more than `count`.
    pub(super) fn ticks(self, count: usize) -> Vec<Tick> {
        self.spaced((self.high - self.low) / count as f64)
    }

    /// The same for things that are counted: no fractions.
    pub(super) fn whole_ticks(self, count: usize) -> Vec<Tick> {
        self.spaced(((self.high - self.low) / count as f64).max(1.0))
    }

    /// Round numbers in the interval that differ by `least` or little more.
    fn spaced(self, least: f64) -> Vec<Tick> {
        let power = 10_f64.powf(least.log10().floor());
        let step = ROUND_STEPS.iter().map(|round| round * power).find(|&step| step >= least).unwrap_or(least);
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let (first, last) = ((self.low / step - SLACK).ceil(), (self.high / step + SLACK).floor());
        (0..=(last - first).max(0.0) as usize)
            .map(|index| (first + index as f64) * step)
            .map(|value| Tick { value, label: number(value, decimals) })
            .collect()
    }
}

/// A number with separators between groups of digits and a true minus sign.
pub(super) fn number(value: f64, decimals: usize) -> String {
    let digits = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let grouped: String = whole
        .char_indices()
        .flat_map(|(index, digit)| {
            let boundary = index > 0 && (whole.len() - index).is_multiple_of(DIGIT_GROUP);
            boundary.then_some(',').into_iter().chain([digit])
        })
        .collect();
    let zero = digits.chars().all(|digit| matches!(digit, '0' | '.'));
    let sign = if value < 0.0 && !zero { "−" } else { "" };
    format!("{sign}{grouped}{fraction}")
}

/// A rectangle of the picture that data are drawn in.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Frame {
    /// The place at the given fractions of the way from the lower left corner.
    pub(super) fn at(&self, x: f64, y: f64) -> Point {
        (self.left + x * self.width, self.top + (1.0 - y) * self.height)
    }

    /// The edges.
    pub(super) fn border(&self, canvas: &Canvas<'_>) -> Drawn {
        canvas.outline(self.at(0.0, 1.0), self.at(1.0, 0.0), INK, HAIRLINE)
    }

    /// A mark and a number below the lower edge, `x` of the way along it.
    pub(super) fn tick_below(&self, canvas: &Canvas<'_>, x: f64, label: &str) -> Drawn {
        let (x, y) = self.at(x, 0.0);
        canvas.line((x, y), (x, y + TICK), INK, HAIRLINE)?;
        canvas.text(label, (x, y + TICK + LINE / 2.0), Align::Centre)
    }

    /// A mark and a number left of the left edge, `y` of the way up.
    pub(super) fn tick_left(&self, canvas: &Canvas<'_>, y: f64, label: &str) -> Drawn {
        let (x, y) = self.at(0.0, y);
        canvas.line((x - TICK, y), (x, y), INK, HAIRLINE)?;
        canvas.text(label, (x - TICK - GAP / 2.0, y), Align::Right)
    }

    /// The name of the horizontal axis, below its numbers.
    pub(super) fn name_below(&self, canvas: &Canvas<'_>, name: &str) -> Drawn {
        let (x, y) = self.at(0.5, 0.0);
        canvas.text(name, (x, y + BELOW - LINE / 2.0), Align::Centre)
    }

    /// The name of the vertical axis, above its end and upright: easier to read than turned letters. It is
    /// made smaller should it need more than `room`.
    pub(super) fn name_above(&self, canvas: &Canvas<'_>, name: &str, room: f64) -> Drawn {
        let (x, y) = self.at(0.0, 1.0);
        let size = fitting(name, TEXT_SIZE, room);
        canvas.write(name, (x, y - ABOVE + LINE / 2.0), Align::Left, size, INK)
    }

    /// A heading whose line starts `above` the upper edge; it is made smaller should it be wider than the frame.
    pub(super) fn heading(&self, canvas: &Canvas<'_>, text: &str, above: f64) -> Drawn {
        let size = fitting(text, HEADING_SIZE, self.width);
        let at = (self.left, self.top - above + HEADING_SIZE * LEADING / 2.0);
        canvas.write(text, at, Align::Left, size, INK)
    }
}

/// A frame with numbers along its lower and left edges.
pub(super) struct Axes {
    pub(super) frame: Frame,
    pub(super) x: Range,
    pub(super) y: Range,
}

impl Axes {
    /// Where a point of the data lies in the picture.
    pub(super) fn at(&self, (x, y): Point) -> Point {
        self.frame.at(self.x.fraction(x), self.y.fraction(y))
    }

    /// The grid lines, to be drawn before the data.
    pub(super) fn grid(&self, canvas: &Canvas<'_>, x_ticks: &[Tick], y_ticks: &[Tick]) -> Drawn {
        for tick in x_ticks {
            let x = self.x.fraction(tick.value);
            canvas.line(self.frame.at(x, 0.0), self.frame.at(x, 1.0), GRID, HAIRLINE)?;
        }
        y_ticks.iter().try_for_each(|tick| {
            let y = self.y.fraction(tick.value);
            canvas.line(self.frame.at(0.0, y), self.frame.at(1.0, y), GRID, HAIRLINE)
        })
    }

    /// The edges, and the marks and numbers along them, to be drawn after the data.
    pub(super) fn edges(&self, canvas: &Canvas<'_>, x_ticks: &[Tick], y_ticks: &[Tick]) -> Drawn {
        for tick in x_ticks {
            self.frame.tick_below(canvas, self.x.fraction(tick.value), &tick.label)?;
        }
        for tick in y_ticks {
            self.frame.tick_left(canvas, self.y.fraction(tick.value), &tick.label)?;
        }
        self.frame.border(canvas)
    }
}

/// The room that marks and numbers need left of a frame.
pub(super) fn room_left(ticks: &[Tick]) -> f64 {
    let widest = ticks.iter().map(|tick| text_width(&tick.label, TEXT_SIZE)).fold(0.0, f64::max);
    widest + TICK + GAP / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, count: usize) -> Vec<String> {
        Range::new(low, high).ticks(count).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(labels(-3.0, 3.0, 8), ["−3", "−2", "−1", "0", "1", "2", "3"]);
        assert_eq!(labels(0.0, 20_000.0, 6), ["0", "5,000", "10,000", "15,000", "20,000"]);
        assert_eq!(labels(0.0, 0.09, 5), ["0.00", "0.02", "0.04", "0.06", "0.08"]);
        assert_eq!(labels(0.0, 0.3, 3), ["0.0", "0.1", "0.2", "0.3"]);
        assert_eq!(Range::new(0.0, 1.0).whole_ticks(5).len(), 2);
    }

    #[test]
    fn latents_are_counted_from_one() {
        assert_eq!([0, 9, 122].map(latent_name), ["z₁", "z₁₀", "z₁₂₃"]);
    }

    #[test]
    fn a_single_number_makes_a_range() {
        for value in [0.0, 120.0, -1e-9, 1e12] {
            let range = Range::new(value, value);
            assert!(range.low < value && value < range.high);
            assert!(!range.ticks(5).is_empty());
        }
    }
}
