//! What several pictures share: filled areas, keys, short numbers, labels that keep apart.

use super::axes::{Range, Tick, number};
use super::canvas::{Align, Canvas, Drawn, Point, text_width};
use super::theme::{GAP, HAIRLINE, INK, TEXT_SIZE};
use plotters::style::{Color, RGBColor};

/// Digits of a number named in a picture.
const DIGITS: i32 = 3;

/// Numbers of this size are written out; others as a power of ten.
const WRITTEN_OUT: std::ops::Range<f64> = 1e-4..1e7;

/// Letters that are shown of a sample's name: such names are often paths.
const LONGEST_NAME: usize = 28;

/// Half the side of the marks in a legend.
const SWATCH: f64 = 10.0;

/// Half the width of a cross and the thickness of its lines, among the data; in a legend it is larger.
const CROSS_REACH: f64 = 4.0;
const CROSS_THICKNESS: f64 = 2.0;
const CROSS_IN_LEGEND: f64 = 1.8;

/// Radius of a legend's dots.
const DOT_IN_LEGEND: f64 = 8.0;

/// What stands beside a legend's text.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    Area(RGBColor),
    Dot(RGBColor),
    Cross(RGBColor),
}

/// An entry of a legend.
pub(super) struct Key {
    pub(super) mark: Mark,
    pub(super) text: String,
}

/// A legend in one line that starts at `start`, made smaller should it need more than `room`.
pub(super) fn legend(canvas: &Canvas<'_>, keys: &[Key], start: Point, room: f64) -> Drawn {
    let around = 2.0 * SWATCH + 3.0 * GAP;
    let texts: f64 = keys.iter().map(|key| text_width(&key.text, TEXT_SIZE)).sum();
    let size = TEXT_SIZE * ((room - keys.len() as f64 * around) / texts).min(1.0);
    let mut left = start.0;
    for key in keys {
        let middle = (left + SWATCH, start.1);
        match key.mark {
            Mark::Area(colour) => {
                let (from, to) = (moved(middle, -SWATCH), moved(middle, SWATCH));
                area(canvas, from, to, colour)?;
                canvas.outline(from, to, INK, HAIRLINE)?;
            }
            Mark::Dot(colour) => canvas.dot(middle, DOT_IN_LEGEND, colour.to_rgba())?,
            Mark::Cross(colour) => cross(canvas, middle, colour, CROSS_IN_LEGEND)?,
        }
        canvas.write(&key.text, (left + 2.0 * SWATCH + GAP, start.1), Align::Left, size, INK)?;
        left += around + text_width(&key.text, size);
    }
    Ok(())
}

/// A cross, `scale` times the size it has among data.
pub(super) fn cross(canvas: &Canvas<'_>, (x, y): Point, colour: RGBColor, scale: f64) -> Drawn {
    let (reach, thickness) = (scale * CROSS_REACH, scale * CROSS_THICKNESS);
    canvas.line((x - reach, y - reach), (x + reach, y + reach), colour, thickness)?;
    canvas.line((x - reach, y + reach), (x + reach, y - reach), colour, thickness)
}

fn moved((x, y): Point, by: f64) -> Point {
    (x + by, y + by)
}

/// A filled rectangle between two opposite corners.
pub(super) fn area(canvas: &Canvas<'_>, from: Point, to: Point, colour: RGBColor) -> Drawn {
    let middle = f64::midpoint(from.0, to.0);
    canvas.line((middle, from.1), (middle, to.1), colour, (to.0 - from.0).abs())
}

/// A name, or the end of a long one.
pub(super) fn shortened(name: &str) -> String {
    match name.chars().count().checked_sub(LONGEST_NAME) {
        None | Some(0) => name.into(),
        Some(excess) => "…".chars().chain(name.chars().skip(excess + 1)).collect(),
    }
}

/// The width of the right half of a tick's number: how far it sticks out beyond the end of an axis.
pub(super) fn half_width(tick: Option<&Tick>) -> f64 {
    tick.map_or(0.0, |tick| text_width(&tick.label, TEXT_SIZE) / 2.0)
}

/// From the lower to the upper end.
pub(super) fn length(range: Range) -> f64 {
    range.high - range.low
}

/// Round numbers in the interval, at most one more than `count`; tiny and huge ones with a power of ten.
pub(super) fn ticks(range: Range, count: usize) -> Vec<Tick> {
    let most = range.low.abs().max(range.high.abs());
    if WRITTEN_OUT.contains(&most) {
        return range.ticks(count);
    }
    let mut ticks = range.ticks(count);
    let step = ticks.windows(2).next().map(|pair| pair[1].value - pair[0].value);
    for Tick { value, label } in &mut ticks {
        *label = step.map_or_else(|| short(*value), |step| multiple(*value, power(step)));
    }
    ticks
}

/// A number that is a whole multiple of a power of ten.
fn multiple(value: f64, power: i32) -> String {
    let digits = number(value / 10_f64.powi(power), 0);
    if digits == "0" || power == 0 { digits } else { digits + &times_power(power) }
}

/// As many round numbers, up to one more than `count`, as find room side by side along `length` pixels.
pub(super) fn ticks_along(range: Range, count: usize, length: f64) -> Vec<Tick> {
    most_ticks(count, length, |count| ticks(range, count))
}

/// The same for things that are counted: no fractions.
pub(super) fn whole_ticks_along(range: Range, count: usize, length: f64) -> Vec<Tick> {
    most_ticks(count, length, |count| range.whole_ticks(count))
}

fn most_ticks(count: usize, length: f64, ticks: impl Fn(usize) -> Vec<Tick>) -> Vec<Tick> {
    let room = |tick: &Tick| text_width(&tick.label, TEXT_SIZE) + 2.0 * GAP;
    let fits = |ticks: &Vec<Tick>| ticks.iter().map(room).sum::<f64>() <= length;
    (1..=count).rev().map(ticks).find(fits).unwrap_or_default()
}

/// Round numbers on a logarithmic axis that goes from 10^`low` to 10^`high`; a tick's value is the power.
pub(super) fn log_ticks(powers: Range, count: usize) -> Vec<Tick> {
    let decades = powers.whole_ticks(count);
    if decades.len() > 1 {
        let tick = |tick: Tick| Tick { label: short(10_f64.powf(tick.value)), ..tick };
        return decades.into_iter().map(tick).collect();
    }
    let range = Range { low: 10_f64.powf(powers.low), high: 10_f64.powf(powers.high) };
    let positive = ticks(range, count).into_iter().filter(|tick| tick.value > 0.0);
    positive.map(|tick| Tick { value: tick.value.log10(), ..tick }).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_short() {
        let written = [0.0, 0.001234, -0.5, 12_345.6, 1.234e-8, -9.999e-9, 1.0 / 3.0, 4e30].map(short);
        let wanted = ["0", "0.00123", "−0.5", "12,346", "1.23×10⁻⁸", "−1×10⁻⁸", "0.333", "4×10³⁰"];
        assert_eq!(written, wanted);
    }

    #[test]
    fn tiny_ticks_have_powers() {
        let labels = |low, high| -> Vec<String> {
            ticks(Range::new(low, high), 4).into_iter().map(|tick| tick.label).collect()
        };
        assert_eq!(labels(-1e-8, 3e-8), ["−1×10⁻⁸", "0", "1×10⁻⁸", "2×10⁻⁸", "3×10⁻⁸"]);
        assert_eq!(labels(0.0, 4e9), ["0", "1×10⁹", "2×10⁹", "3×10⁹", "4×10⁹"]);
        assert_eq!(labels(1e-8, 1.4e-8), ["10×10⁻⁹", "11×10⁻⁹", "12×10⁻⁹", "13×10⁻⁹", "14×10⁻⁹"]);
        assert_eq!(labels(0.0, 0.002), ["0.0000", "0.0005", "0.0010", "0.0015", "0.0020"]);
    }

    #[test]
    fn ticks_find_room() {
        let range = Range::new(-1e-7, 3e-7);
        for length in [0.0, 300.0, 600.0, 1200.0] {
            let ticks = ticks_along(range, 8, length);
            let width: f64 = ticks.iter().map(|tick| text_width(&tick.label, TEXT_SIZE)).sum();
            assert!(width <= length && (length < 600.0 || ticks.len() > 2));
        }
    }

    #[test]
    fn logarithmic_ticks_are_powers_or_round_numbers() {
        let labels = |low: f64, high: f64| -> Vec<String> {
            let ticks = log_ticks(Range::new(low.log10(), high.log10()), 5);
            ticks.into_iter().map(|tick| tick.label).collect()
        };
        assert_eq!(labels(0.002, 20.0), ["0.01", "0.1", "1", "10"]);
        assert_eq!(labels(1e-12, 1e8), ["1×10⁻¹⁰", "1×10⁻⁵", "1", "100,000"]);
        assert_eq!(labels(2.0, 7.0), ["2", "3", "4", "5", "6", "7"]);
        assert_eq!(log_ticks(Range::new(2.0, 4.0), 5)[1].value, 3.0);
    }

    #[test]
    fn labels_keep_apart_and_inside() {
        assert_eq!(kept_apart(&[0.0, 0.0, 5.0], 2.0, 0.0, 9.0), [0.0, 2.0, 5.0]);
        assert_eq!(kept_apart(&[8.0, 9.0, 9.0], 2.0, 0.0, 9.0), [5.0, 7.0, 9.0]);
        assert_eq!(kept_apart(&[3.0], 2.0, 0.0, 9.0), [3.0]);
        assert!(kept_apart(&[], 2.0, 0.0, 9.0).is_empty());
    }

    #[test]
    fn long_names_keep_their_ends() {
        assert_eq!(shortened("samples/x.npy"), "samples/x.npy");
        let name = shortened("/home/user/projects/samples/x.npy");
        assert!(name.starts_with('…') && name.ends_with("/samples/x.npy"));
        assert_eq!(name.chars().count(), LONGEST_NAME);
    }
}
