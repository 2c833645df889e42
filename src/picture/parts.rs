//! What the pictures of a comparison share: filled areas, dashed lines, keys, short numbers.

use super::axes::{Range, Tick, number};
use super::canvas::{Align, Canvas, Drawn, Point, text_width};
use super::theme::{GAP, HAIRLINE, INK, LEADING, TEXT_SIZE};
use plotters::style::{Color, RGBColor};

/// Height of a line of text.
pub(super) const LINE: f64 = TEXT_SIZE * LEADING;

/// Lengths of the dashes of a dashed line and of the gaps between.
const DASH: f64 = 10.0;
const DASH_GAP: f64 = 7.0;

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

/// A dashed upright line from `top` to `bottom`.
pub(super) fn dashed(
    canvas: &Canvas<'_>,
    top: Point,
    bottom: f64,
    colour: RGBColor,
    thickness: f64,
) -> Drawn {
    let dashes = ((bottom - top.1) / (DASH + DASH_GAP)).ceil() as usize;
    (0..dashes).map(|dash| top.1 + dash as f64 * (DASH + DASH_GAP)).try_for_each(|start| {
        canvas.line((top.0, start), (top.0, bottom.min(start + DASH)), colour, thickness)
    })
}

/// The colour `part` of the way between two others.
pub(super) fn blend(from: RGBColor, to: RGBColor, part: f64) -> RGBColor {
    let mix = |a: u8, b: u8| (f64::from(a) + part * (f64::from(b) - f64::from(a))).round() as u8;
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// A name, or the end of a long one.
pub(super) fn shortened(name: &str) -> String {
    match name.chars().count().checked_sub(LONGEST_NAME) {
        None | Some(0) => name.into(),
        Some(excess) => "…".chars().chain(name.chars().skip(excess + 1)).collect(),
    }
}

/// The size of letters at which a line needs no more than `room`.
pub(super) fn fitting(text: &str, room: f64) -> f64 {
    TEXT_SIZE * (room / text_width(text, TEXT_SIZE)).min(1.0)
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
    let room = |tick: &Tick| text_width(&tick.label, TEXT_SIZE) + 2.0 * GAP;
    let fits = |ticks: &Vec<Tick>| ticks.iter().map(room).sum::<f64>() <= length;
    (1..=count).rev().map(|count| ticks(range, count)).find(fits).unwrap_or_default()
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
    fn long_names_keep_their_ends() {
        assert_eq!(shortened("samples/x.npy"), "samples/x.npy");
        let name = shortened("/home/user/projects/samples/x.npy");
        assert!(name.starts_with('…') && name.ends_with("/samples/x.npy"));
        assert_eq!(name.chars().count(), LONGEST_NAME);
    }

    #[test]
    fn colours_blend() {
        let (black, white) = (RGBColor(0, 0, 0), RGBColor(255, 255, 255));
        assert_eq!(blend(black, white, 0.0), black);
        assert_eq!(blend(black, white, 0.2), RGBColor(51, 51, 51));
        assert_eq!(blend(black, white, 1.0), white);
    }
}
