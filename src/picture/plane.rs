//! A latent plane: its axes, the circles of the prior.

use super::axes::{Axes, Frame, Range, Tick, room_left};
use super::canvas::{Canvas, Drawn, Point};
use super::theme::REFERENCE;
use plotters::style::RGBColor;
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
pub(super) const PRIOR_THICKNESS: f64 = 1.5;

/// Straight pieces that an ellipse is drawn with.
const PIECES: u32 = 360;

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

    /// What lies behind the data.
    pub(super) fn grid(&self, canvas: &Canvas<'_>) -> Drawn {
        self.axes.grid(canvas, &self.ticks, &self.ticks)
    }

    /// The circles of the prior.
    pub(super) fn prior(&self, canvas: &Canvas<'_>) -> Drawn {
        PRIOR_RADII
            .iter()
            .try_for_each(|&radius| self.outline(canvas, (0.0, 0.0), [radius; 2], REFERENCE, PRIOR_THICKNESS))
    }

    /// A place on an ellipse, `turn` of the way round, in the picture.
    fn on(&self, centre: Point, radii: [f64; 2], turn: f64) -> Point {
        let angle = TAU * turn;
        self.axes.at((centre.0 + radii[0] * angle.cos(), centre.1 + radii[1] * angle.sin()))
    }

    /// The part of an ellipse inside the frame.
    fn outline(
        &self,
        canvas: &Canvas<'_>,
        centre: Point,
        radii: [f64; 2],
        colour: RGBColor,
        thickness: f64,
    ) -> Drawn {
        let turn = |piece: u32| f64::from(piece) / f64::from(PIECES);
        let places: Vec<Point> = (0..=PIECES).map(|piece| self.on(centre, radii, turn(piece))).collect();
        self.path(canvas, &places, colour, thickness)
    }

    /// The part inside the frame of a line through places of the picture.
    pub(super) fn path(
        &self,
        canvas: &Canvas<'_>,
        places: &[Point],
        colour: RGBColor,
        thickness: f64,
    ) -> Drawn {
        let (from, to) = (self.axes.frame.at(0.0, 1.0), self.axes.frame.at(1.0, 0.0));
        let outside =
            |place: &Point| !(from.0..=to.0).contains(&place.0) || !(from.1..=to.1).contains(&place.1);
        places.split(outside).try_for_each(|piece| canvas.path(piece, colour, thickness))
    }

    /// The edges with names and, if `numbered`, numbers.
    pub(super) fn edges(&self, canvas: &Canvas<'_>, numbered: bool) -> Drawn {
        let bare: Vec<Tick> = self.ticks.iter().map(Tick::bare).collect();
        let frame = self.axes.frame;
        self.axes.edges(canvas, &self.ticks, if numbered { &self.ticks } else { &bare })?;
        frame.name_above(canvas, SECOND_LATENT, frame.width)?;
        frame.name_below(canvas, FIRST_LATENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::axes::latent_name;

    #[test]
    fn the_axes_have_their_latents_names() {
        assert!(FIRST_LATENT.ends_with(&latent_name(0)) && SECOND_LATENT.ends_with(&latent_name(1)));
    }

    #[test]
    fn ellipses_have_their_radii() {
        // One standard deviation takes 100 pixels.
        let plane = LatentPlane::new(3.0, 100.0, 50.0, 100.0 * 6.0 * (1.0 + 2.0 * PADDING));
        let centre = plane.axes.at((1.0, -1.0));
        for (turn, radius) in [(0.0, 50.0), (0.25, 200.0), (0.5, 50.0)] {
            let (x, y) = plane.on((1.0, -1.0), [0.5, 2.0], turn);
            assert!(((x - centre.0).hypot(y - centre.1) - radius).abs() < 1e-9);
        }
    }
}
