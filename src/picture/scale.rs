//! Numbers along an axis: intervals, round numbers in them, and how numbers are written.

use super::canvas::text_width;
use super::theme::{GAP, TEXT_SIZE};

/// The steps between ticks, up to a power of ten.
const ROUND_STEPS: [f64; 4] = [1.0, 2.0, 5.0, 10.0];

/// How far outside a range, in steps, a tick may seem to lie for the sake of rounding.
const SLACK: f64 = 1e-6;

/// Digits that a group separator keeps together.
const DIGIT_GROUP: usize = 3;

/// Digits of a number named in a picture.
const DIGITS: i32 = 3;

/// Numbers of this size are written out; others as a power of ten.
const WRITTEN_OUT: std::ops::Range<f64> = 1e-4..1e7;

/// Letters that are shown of a sample's name: such names are often paths.
const LONGEST_NAME: usize = 28;

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

    /// Half the width of the number: how far it sticks out beyond the end of an axis.
    pub(super) fn half_width(&self) -> f64 {
        text_width(&self.label, TEXT_SIZE) / 2.0
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

    /// From the least of the values to the greatest.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        values.into_iter().map(|value| Self { low: value, high: value }).reduce(Self::join)
    }

    /// The interval made longer at both ends by a fraction of its length.
    pub(super) fn padded(self, fraction: f64) -> Self {
        let room = fraction * self.length();
        Self { low: self.low - room, high: self.high + room }
    }

    /// The smallest interval with both in it.
    pub(super) fn join(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    pub(super) fn length(self) -> f64 {
        self.high - self.low
    }

    /// Where `value` lies: 0 at the lower end, 1 at the upper.
    pub(super) fn fraction(self, value: f64) -> f64 {
        (value - self.low) / self.length()
    }

    pub(super) fn contains(self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Round numbers in the interval, at most one more than `count`; tiny and huge ones with a power of ten.
    pub(super) fn ticks(self, count: usize) -> Vec<Tick> {
        let step = round_step(self.length() / count as f64);
        let written_out = WRITTEN_OUT.contains(&self.low.abs().max(self.high.abs()));
        self.multiples(step, |value| if written_out { decimal(value, step) } else { multiple(value, step) })
    }

    /// Whole numbers in the interval, at most one more than `count`.
    pub(super) fn whole_ticks(self, count: usize) -> Vec<Tick> {
        let step = round_step((self.length() / count as f64).max(1.0));
        self.multiples(step, |value| number(value, 0))
    }

    /// As many round numbers, up to one more than `count`, as find room side by side along `length` pixels.
    pub(super) fn ticks_along(self, count: usize, length: f64, whole: bool) -> Vec<Tick> {
        let ticks = |count| if whole { self.whole_ticks(count) } else { self.ticks(count) };
        let room = |tick: &Tick| 2.0 * (tick.half_width() + GAP);
        let fits = |ticks: &Vec<Tick>| ticks.iter().map(room).sum::<f64>() <= length;
        (1..=count).rev().map(ticks).find(fits).unwrap_or_default()
    }

    /// Round numbers on a logarithmic axis whose ends are the powers of ten that this interval names; a
    /// tick's value is the power.
    pub(super) fn log_ticks(self, count: usize) -> Vec<Tick> {
        let decades = self.whole_ticks(count);
        if decades.len() > 1 {
            let tick = |tick: Tick| Tick { label: short(10_f64.powf(tick.value)), ..tick };
            return decades.into_iter().map(tick).collect();
        }
        let range = Self { low: 10_f64.powf(self.low), high: 10_f64.powf(self.high) };
        let positive = range.ticks(count).into_iter().filter(|tick| tick.value > 0.0);
        positive.map(|tick| Tick { value: tick.value.log10(), ..tick }).collect()
    }

    fn multiples(self, step: f64, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let (first, last) = ((self.low / step - SLACK).ceil(), (self.high / step + SLACK).floor());
        (0..=(last - first).max(0.0) as usize)
            .map(|index| (first + index as f64) * step)
            .map(|value| Tick { value, label: label(value) })
            .collect()
    }
}

/// The first round number from `least` on.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    ROUND_STEPS.iter().map(|round| round * power).find(|&step| step >= least).unwrap_or(least)
}

/// A multiple of a step in as many decimals as the step has.
fn decimal(value: f64, step: f64) -> String {
    number(value, (-step.log10().floor()).max(0.0) as usize)
}

/// A multiple of a step in powers of ten.
fn multiple(value: f64, step: f64) -> String {
    let power = power(step);
    let digits = number(value / 10_f64.powi(power), 0);
    if digits == "0" || power == 0 { digits } else { digits + &times_power(power) }
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

/// A number in up to three digits: 0.00123, 0.5, 12,346, 1.23×10⁻⁸.
pub(super) fn short(value: f64) -> String {
    let power = power(value);
    if value == 0.0 || WRITTEN_OUT.contains(&value.abs()) {
        trimmed(&number(value, usize::try_from(DIGITS - 1 - power).unwrap_or(0)))
    } else {
        trimmed(&number(value / 10_f64.powi(power), DIGITS as usize - 1)) + &times_power(power)
    }
}

/// The power of ten of the first digit, after rounding.
fn power(value: f64) -> i32 {
    let written = format!("{value:.0$e}", DIGITS as usize - 1);
    written.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0)
}

/// A number without the zeros that end its fraction.
fn trimmed(number: &str) -> String {
    let end = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    end.into()
}

/// "×10" and the power, raised.
fn times_power(power: i32) -> String {
    const RAISED: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raise = |letter: char| letter.to_digit(10).map_or('⁻', |digit| RAISED[digit as usize]);
    "×10".chars().chain(power.to_string().chars().map(raise)).collect()
}

/// The name of a latent dimension, counted from nought.
pub fn latent_name(dimension: usize) -> String {
    const LOWERED: [char; 10] = ['₀', '₁', '₂', '₃', '₄', '₅', '₆', '₇', '₈', '₉'];
    let lower = |letter: char| LOWERED[letter.to_digit(10).unwrap_or_default() as usize];
    ['z'].into_iter().chain((dimension + 1).to_string().chars().map(lower)).collect()
}

/// A name, or the end of a long one.
pub(super) fn shortened(name: &str) -> String {
    match name.chars().count().checked_sub(LONGEST_NAME) {
        None | Some(0) => name.into(),
        Some(excess) => "…".chars().chain(name.chars().skip(excess + 1)).collect(),
    }
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

    #[test]
    fn numbers_stay_short() {
        let written = [0.0, 0.001234, -0.5, 12_345.6, 1.234e-8, -9.999e-9, 1.0 / 3.0, 4e30].map(short);
        let wanted = ["0", "0.00123", "−0.5", "12,346", "1.23×10⁻⁸", "−1×10⁻⁸", "0.333", "4×10³⁰"];
        assert_eq!(written, wanted);
    }

    #[test]
    fn tiny_ticks_have_powers() {
        assert_eq!(labels(-1e-8, 3e-8, 4), ["−1×10⁻⁸", "0", "1×10⁻⁸", "2×10⁻⁸", "3×10⁻⁸"]);
        assert_eq!(labels(0.0, 4e9, 4), ["0", "1×10⁹", "2×10⁹", "3×10⁹", "4×10⁹"]);
        assert_eq!(labels(1e-8, 1.4e-8, 4), ["10×10⁻⁹", "11×10⁻⁹", "12×10⁻⁹", "13×10⁻⁹", "14×10⁻⁹"]);
        assert_eq!(labels(0.0, 0.002, 4), ["0.0000", "0.0005", "0.0010", "0.0015", "0.0020"]);
    }

    #[test]
    fn ticks_find_room() {
        let range = Range::new(-1e-7, 3e-7);
        for length in [0.0, 300.0, 600.0, 1200.0] {
            let ticks = range.ticks_along(8, length, false);
            let width: f64 = ticks.iter().map(|tick| text_width(&tick.label, TEXT_SIZE)).sum();
            assert!(width <= length && (length < 600.0 || ticks.len() > 2));
        }
    }

    #[test]
    fn logarithmic_ticks_are_powers_or_round_numbers() {
        let labels = |low: f64, high: f64| -> Vec<String> {
            let ticks = Range::new(low.log10(), high.log10()).log_ticks(5);
            ticks.into_iter().map(|tick| tick.label).collect()
        };
        assert_eq!(labels(0.002, 20.0), ["0.01", "0.1", "1", "10"]);
        assert_eq!(labels(1e-12, 1e8), ["1×10⁻¹⁰", "1×10⁻⁵", "1", "100,000"]);
        assert_eq!(labels(2.0, 7.0), ["2", "3", "4", "5", "6", "7"]);
        assert_eq!(Range::new(2.0, 4.0).log_ticks(5)[1].value, 3.0);
    }

    #[test]
    fn long_names_keep_their_ends() {
        assert_eq!(shortened("samples/x.npy"), "samples/x.npy");
        let name = shortened("/home/user/projects/samples/x.npy");
        assert!(name.starts_with('…') && name.ends_with("/samples/x.npy"));
        assert_eq!(name.chars().count(), LONGEST_NAME);
    }
}
