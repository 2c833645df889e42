//! A latent plane: its axes, the circles of the prior, ellipses of codes.

use super::axes::{Axes, Frame, room_left};
use super::canvas::{Canvas, Point, text_width};
use super::scale::{Range, Tick};
use super::theme::{Colour, INK, Pen, QUIET, REFERENCE, blend};
use crate::error::{Error, Result};
use std::f64::consts::TAU;

/// Names of the axes.
pub(super) const FIRST_LATENT: &str = "latent coordinate z₁";
pub(super) const SECOND_LATENT: &str = "latent coordinate z₂";

/// Room around what must be seen, as a fraction of the frame.
const PADDING: f64 = 0.04;

/// Ticks wished for along both axes.
const TICKS: usize = 8;

/// Radii of the circles of the prior, in its standard deviations.
const PRIOR_RADII: [f64; 2] = [1.0, 2.0];
pub(super) const PRIOR_NAME: &str = "prior: 1, 2 σ";
pub(super) const PRIOR: Pen = Pen { colour: REFERENCE, thickness: 1.5 };

/// Radii of the ellipses of a code in its standard deviations, with how much of its colour is inside each.
const CODE_RADII: [(f64, f64); 2] = [(2.0, 0.12), (1.0, 0.3)];
const CODE_THICKNESS: f64 = 2.0;

/// Letters of a code's label, and of a sample's name.
const LABEL_SIZE: f64 = 32.0;
pub(super) const SAMPLE_SIZE: f64 = 22.0;

const DOT_RADIUS: f64 = 4.0;
const CROSS_SCALE: f64 = 1.5;

/// A label farther from its place than this, in heights of its letters, has a line that leads there.
const FAR: f64 = 1.2;
const LEADER: Pen = Pen { colour: QUIET, thickness: 1.0 };

/// The part of a label that is ink, the rest being the colour of its code.
const LABEL_INK: f64 = 0.35;

/// Side of the square that a dot or a cross takes up among labels.
const DOT: f64 = 14.0;

/// How far from its place a label is tried: nearest, from ring to ring, how many rings; and in how many
/// directions.
const NEAR: f64 = 10.0;
const RING: f64 = 8.0;
const RINGS: u32 = 30;
const DIRECTIONS: u32 = 24;

/// The label of a place in the plane: of the mean of a code, or of a sample.
pub(super) struct Label {
    pub(super) text: String,
    pub(super) place: Point,
    /// It rather lies away from here.
    pub(super) away: Point,
    /// The colour of its code.
    pub(super) colour: Colour,
    pub(super) is_mean: bool,
}

impl Label {
    fn size(&self) -> f64 {
        if self.is_mean { LABEL_SIZE } else { SAMPLE_SIZE }
    }
}

/// A square part of the latent plane around the origin.
pub(super) struct LatentPlane {
    pub(super) axes: Axes,
    ticks: Vec<Tick>,
}

impl LatentPlane {
    /// The plane from -`reach` to `reach` and a little beyond, in a square of `side` pixels.
    pub(super) fn new(reach: f64, left: f64, top: f64, side: f64) -> Self {
        let range = Self::range(reach);
        let frame = Frame { left, top, width: side, height: side };
        Self { axes: Axes { frame, x: range, y: range }, ticks: range.ticks(TICKS) }
    }

    fn range(reach: f64) -> Range {
        Range::new(-reach, reach).padded(PADDING)
    }

    /// The room that numbers need left of the plane.
    pub(super) fn room_left(reach: f64) -> f64 {
        room_left(&Self::range(reach).ticks(TICKS))
    }

    pub(super) fn contains(&self, point: Point) -> bool {
        self.axes.x.contains(point.0) && self.axes.y.contains(point.1)
    }

    /// The grid, which lies behind the data.
    pub(super) fn grid(&self, canvas: &mut Canvas) {
        self.axes.grid(canvas, &self.ticks, &self.ticks);
    }

    /// Keeps what `draw` draws inside the frame.
    pub(super) fn inside(&self, canvas: &mut Canvas, draw: impl FnOnce(&mut Canvas)) {
        let (from, to) = self.axes.frame.corners();
        canvas.within(from, to, draw);
    }

    /// The circles of the prior.
    pub(super) fn prior(&self, canvas: &mut Canvas) {
        PRIOR_RADII.iter().for_each(|&radius| self.ellipse(canvas, (0.0, 0.0), [radius; 2], PRIOR, 0.0));
    }

    /// A normal distribution with independent coordinates: where it is within one and two standard
    /// deviations.
    pub(super) fn code(&self, canvas: &mut Canvas, mean: Point, std: [f64; 2], colour: Colour) {
        for (factor, tint) in CODE_RADII {
            let pen = Pen { colour, thickness: CODE_THICKNESS };
            self.ellipse(canvas, mean, std.map(|std| factor * std), pen, tint);
        }
    }

    /// Crosses at means, dots at samples, and beside them the labels; those outside of the frame are left out.
    pub(super) fn draw_labels(&self, canvas: &mut Canvas, labels: &[Label]) {
        let shown: Vec<&Label> = labels.iter().filter(|label| self.contains(label.place)).collect();
        let places: Vec<Point> = shown.iter().map(|label| self.axes.at(label.place)).collect();
        let away: Vec<Point> = shown.iter().map(|label| self.axes.at(label.away)).collect();
        let sizes = shown.iter().map(|label| (text_width(&label.text, label.size()), label.size()));
        let found = beside(&places, &sizes.collect::<Vec<_>>(), &away, self.axes.frame);
        for ((label, &place), &at) in shown.iter().zip(&places).zip(&found) {
            if (at.0 - place.0).hypot(at.1 - place.1) > FAR * label.size() {
                canvas.line(place, at, LEADER);
            }
        }
        let (means, samples): (Vec<_>, Vec<_>) =
            shown.iter().zip(&places).partition(|(label, _)| label.is_mean);
        samples.iter().for_each(|&(label, &place)| canvas.dot(place, DOT_RADIUS, label.colour, 1.0));
        means.iter().for_each(|&(_, &place)| canvas.cross(place, INK, CROSS_SCALE));
        for (label, at) in shown.iter().zip(found) {
            let colour = if label.is_mean { blend(label.colour, INK, LABEL_INK) } else { INK };
            canvas.rimmed_text(&label.text, at, label.size(), colour);
        }
    }

    fn ellipse(&self, canvas: &mut Canvas, centre: Point, radii: [f64; 2], pen: Pen, opacity: f64) {
        let unit = self.axes.frame.width / self.axes.x.length();
        canvas.ellipse(self.axes.at(centre), radii.map(|radius| unit * radius), pen, opacity);
    }

    /// The edges with names and, if `numbered`, numbers.
    pub(super) fn edges(&self, canvas: &mut Canvas, numbered: bool) {
        let bare: Vec<Tick> = self.ticks.iter().map(Tick::bare).collect();
        let frame = self.axes.frame;
        self.axes.edges(canvas, &self.ticks, if numbered { &self.ticks } else { &bare });
        frame.name_above(canvas, SECOND_LATENT, frame.width);
        frame.name_below(canvas, FIRST_LATENT);
    }
}

/// Checks that a code can be drawn.
pub(super) fn check_code(mean: [f64; 2], std: [f64; 2]) -> Result<()> {
    let finite = mean.iter().chain(&std).all(|value| value.is_finite());
    if finite && std.iter().all(|&std| std >= 0.0) {
        return Ok(());
    }
    Err(Error::usage("means of codes must be finite numbers, their standard deviations not negative either"))
}

/// Where labels of so many (width, height) go, their centres beside the places they label: inside `frame`,
/// and on none of the places or the other labels unless nothing is free nearby. `away` has for each label
/// what it should rather lie away from.
fn beside(places: &[Point], sizes: &[(f64, f64)], away: &[Point], frame: Frame) -> Vec<Point> {
    let mut taken: Vec<(Point, (f64, f64))> = places.iter().map(|&place| (place, (DOT, DOT))).collect();
    let own = taken.len();
    for ((&place, &size), &from) in places.iter().zip(sizes).zip(away) {
        let outward = if place == from { -TAU / 4.0 } else { (place.1 - from.1).atan2(place.0 - from.0) };
        let at = |ring: u32, step: u32| {
            // To the one side and the other in turn.
            let turn = f64::from(step.div_ceil(2)) * if step.is_multiple_of(2) { 1.0 } else { -1.0 };
            let angle = outward + TAU * turn / f64::from(DIRECTIONS);
            let distance = NEAR + RING * f64::from(ring);
            (
                place.0 + (distance + size.0 / 2.0) * angle.cos(),
                place.1 + (distance + size.1 / 2.0) * angle.sin(),
            )
        };
        let free = |&centre: &Point| {
            let apart = |a: f64, b: f64, room: f64| (a - b).abs() >= room / 2.0;
            let clear = taken.iter().all(|&((x, y), (width, height))| {
                apart(x, centre.0, width + size.0) || apart(y, centre.1, height + size.1)
            });
            let (from, to) = frame.corners();
            let inside = |low: f64, value: f64, high: f64, room: f64| {
                low + room / 2.0 <= value && value + room / 2.0 <= high
            };
            clear && inside(from.0, centre.0, to.0, size.0) && inside(from.1, centre.1, to.1, size.1)
        };
        let all = (0..RINGS).flat_map(|ring| (0..DIRECTIONS).map(move |step| (ring, step)));
        let found = all.map(|(ring, step)| at(ring, step)).find(free).unwrap_or_else(|| at(0, 0));
        taken.push((found, size));
    }
    taken.split_off(own).into_iter().map(|(centre, _)| centre).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::canvas::paint;
    use crate::picture::scale::latent_name;

    #[test]
    fn the_axes_have_their_latents_names() {
        assert!(FIRST_LATENT.ends_with(&latent_name(0)) && SECOND_LATENT.ends_with(&latent_name(1)));
    }

    #[test]
    fn ellipses_have_their_radii() {
        // One standard deviation takes 100 pixels.
        let plane = LatentPlane::new(3.0, 100.0, 50.0, 100.0 * 6.0 * (1.0 + 2.0 * PADDING));
        let pen = Pen { colour: REFERENCE, thickness: 2.0 };
        let picture = paint((800, 750), |canvas| plane.ellipse(canvas, (1.0, -1.0), [0.5, 2.0], pen, 0.0));
        let inked = |x: f64, y: f64| picture.get_pixel(x as u32, y as u32)[0] < 200;
        let (x, y) = plane.axes.at((1.0, -1.0));
        for (along, radius) in [((1.0, 0.0), 50.0), ((0.0, 1.0), 200.0), ((-1.0, 0.0), 50.0)] {
            let at = |distance: f64| inked(x + distance * along.0, y + distance * along.1);
            assert_eq!([radius - 4.0, radius, radius + 4.0].map(at), [false, true, false]);
        }
    }

    #[test]
    fn labels_lie_apart_beside_their_places() {
        let frame = Frame { left: 0.0, top: 0.0, width: 400.0, height: 400.0 };
        // All in one spot, one of them in a corner.
        let mut places = vec![(200.0, 200.0); 20];
        places.push((2.0, 2.0));
        let (sizes, away) = (vec![(20.0, 24.0); 21], vec![(200.0, 200.0); 21]);
        let labels = beside(&places, &sizes, &away, frame);
        for (index, label) in labels.iter().enumerate() {
            assert!((10.0..=390.0).contains(&label.0) && (12.0..=388.0).contains(&label.1));
            let apart =
                |other: &Point| (label.0 - other.0).abs() >= 20.0 || (label.1 - other.1).abs() >= 24.0;
            assert!(labels[..index].iter().all(apart), "{label:?}");
        }
        // The first one lies straight above.
        assert!((labels[0].0 - 200.0).abs() < 1e-9 && labels[0].1 < 200.0);
    }
}
