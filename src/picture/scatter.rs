//! Points of a latent plane, coloured by class.

use super::axes::{ABOVE, Axes, BELOW, FIRST_LATENT, Frame, Range, SECOND_LATENT, number, room_left};
use super::canvas::{Align, Canvas, Drawn, Point, text_width};
use super::page::Page;
use super::theme::{GAP, LEADING, QUIET, REFERENCE, TEXT_SIZE, class_colour};
use crate::error::{Error, Result};
use plotters::style::Color;
use std::f64::consts::TAU;
use std::path::Path;

/// Width and height of the frame: both axes have the same scale.
const SIDE: f64 = 900.0;

/// Half the width of the plane that is always shown.
const LEAST_REACH: f64 = 3.0;

/// The share of the points that is always inside the frame.
const COVERED: f64 = 0.995;

/// Room around the points, as a fraction of the frame.
const PADDING: f64 = 0.04;

/// Ticks wished for along both axes.
const TICKS: usize = 8;

/// Radii of the circles of the prior, in its standard deviations.
const PRIOR_RADII: [f64; 3] = [1.0, 2.0, 3.0];
const PRIOR_NAME: &str = "prior: 1, 2, 3 σ";
const PRIOR_THICKNESS: f64 = 2.0;

/// Straight pieces that a circle is drawn with.
const CIRCLE_PIECES: u32 = 180;

/// Dots of a crowd, of a few, and how many points make a crowd.
const LEAST_RADIUS: f64 = 3.0;
const MOST_RADIUS: f64 = 6.0;
const CROWD: f64 = 10_000.0;

const DOT_OPACITY: f64 = 0.5;

/// Radius of the dots in the legend.
const SWATCH: f64 = 9.0;

/// Distance of two legend entries.
const PITCH: f64 = TEXT_SIZE * LEADING + GAP / 3.0;

/// Legend entries that are not classes: the prior, and a line on classes left out.
const OTHER_ENTRIES: usize = 2;

/// Class names up to this many letters are also written among their points.
const SHORT_NAME: usize = 2;

/// Draws up to some ten thousand latent points, coloured by class, with a legend and circles of the standard
/// normal prior, and writes the picture to `path` as PNG.
///
/// `points` are (z1, z2) pairs in standard deviations of the prior; `labels` has one class for each point, an
/// index into `classes`, their names. Both axes have the same scale, and cover at least -3 to 3 and all but
/// the farthest 0.5 % of the points; a remark tells how many lie outside.
pub fn scatter(
    title: &str,
    points: &[[f32; 2]],
    labels: &[u8],
    classes: &[String],
    path: &Path,
) -> Result<()> {
    check(points, labels, classes)?;
    let points: Vec<Point> = points.iter().map(|&[x, y]| (f64::from(x), f64::from(y))).collect();
    let range = Range::new(-reach(&points), reach(&points)).padded(PADDING);
    let legend = Legend { classes };
    let left = room_left(&range.ticks(TICKS));
    let body = (left + SIDE + 2.0 * GAP + legend.width(), ABOVE + SIDE + BELOW);
    let page = Page::new(title, body, &remark(&points, range))?;
    let frame = Frame { left: page.left() + left, top: page.top() + ABOVE, width: SIDE, height: SIDE };
    let plane = Plane { axes: Axes { frame, x: range, y: range }, points, labels, classes };
    let draw = |canvas: &Canvas<'_>| {
        plane.draw(canvas)?;
        let (right, top) = frame.at(1.0, 1.0);
        legend.draw(canvas, (right + 2.0 * GAP, top))
    };
    page.save(path, draw, |_| ())
}

fn check(points: &[[f32; 2]], labels: &[u8], classes: &[String]) -> Result<()> {
    if points.is_empty() {
        return Err(Error::usage("there are no points to draw"));
    }
    if points.len() != labels.len() {
        return Err(Error::usage(format!("{} points have {} labels", points.len(), labels.len())));
    }
    match labels.iter().find(|&&label| usize::from(label) >= classes.len()) {
        Some(label) => Err(Error::usage(format!("label {label} is none of the {} classes", classes.len()))),
        None => Ok(()),
    }
}

/// How far from the origin, along either axis, the plane must reach to show nearly all points.
fn reach(points: &[Point]) -> f64 {
    let mut extents: Vec<f64> = points
        .iter()
        .map(|point| point.0.abs().max(point.1.abs()))
        .filter(|extent| extent.is_finite())
        .collect();
    extents.sort_by(f64::total_cmp);
    let last_covered = (COVERED * extents.len() as f64).ceil() as usize;
    let extent = last_covered.checked_sub(1).and_then(|index| extents.get(index));
    extent.map_or(LEAST_REACH, |extent| extent.max(LEAST_REACH))
}

/// Fewer points get larger dots: their common area falls only with the root of their number.
fn dot_radius(points: usize) -> f64 {
    (LEAST_RADIUS * (CROWD / points as f64).powf(0.25)).clamp(LEAST_RADIUS, MOST_RADIUS)
}

fn shown(point: Point, range: Range) -> bool {
    range.contains(point.0) && range.contains(point.1)
}

/// How many points the frame leaves out, in words.
fn remark(points: &[Point], range: Range) -> String {
    match points.iter().filter(|&&point| !shown(point, range)).count() {
        0 => String::new(),
        hidden => format!(
            "{} of {} points lie outside the frame.",
            number(hidden as f64, 0),
            number(points.len() as f64, 0)
        ),
    }
}

/// Everything inside the frame and along its edges.
struct Plane<'a> {
    axes: Axes,
    points: Vec<Point>,
    labels: &'a [u8],
    classes: &'a [String],
}

impl Plane<'_> {
    fn draw(&self, canvas: &Canvas<'_>) -> Drawn {
        let ticks = self.axes.x.ticks(TICKS);
        self.axes.grid(canvas, &ticks, &ticks)?;
        let radius = dot_radius(self.points.len());
        for (&point, &label) in self.points.iter().zip(self.labels) {
            if shown(point, self.axes.x) {
                let colour = class_colour(label.into(), self.classes.len()).mix(DOT_OPACITY);
                canvas.dot(self.axes.at(point), radius, colour)?;
            }
        }
        PRIOR_RADII.iter().try_for_each(|&radius| self.draw_circle(canvas, radius))?;
        self.draw_names(canvas)?;
        self.axes.edges(canvas, &ticks, &ticks)?;
        self.axes.frame.name_above(canvas, SECOND_LATENT, SIDE)?;
        self.axes.frame.name_below(canvas, FIRST_LATENT)
    }

    fn draw_circle(&self, canvas: &Canvas<'_>, radius: f64) -> Drawn {
        let turn = |piece: u32| TAU * f64::from(piece) / f64::from(CIRCLE_PIECES);
        let places: Vec<Point> = (0..=CIRCLE_PIECES)
            .map(|piece| self.axes.at((radius * turn(piece).cos(), radius * turn(piece).sin())))
            .collect();
        canvas.path(&places, REFERENCE, PRIOR_THICKNESS)
    }

    /// Short names of classes, each amid its points.
    fn draw_names(&self, canvas: &Canvas<'_>) -> Drawn {
        if self.classes.iter().any(|name| name.chars().count() > SHORT_NAME) {
            return Ok(());
        }
        for (class, name) in self.classes.iter().enumerate() {
            if let Some(middle) = self.middle(class) {
                canvas.rimmed_text(name, self.axes.at(middle))?;
            }
        }
        Ok(())
    }

    /// The median of the shown points of a class in either coordinate: far points do not move it.
    fn middle(&self, class: usize) -> Option<Point> {
        let of_class = || {
            let pairs = self.points.iter().zip(self.labels);
            pairs.filter(move |&(&point, &label)| usize::from(label) == class && shown(point, self.axes.x))
        };
        let x = median(of_class().map(|(point, _)| point.0).collect())?;
        let y = median(of_class().map(|(point, _)| point.1).collect())?;
        Some((x, y))
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The classes and the prior's circles.
struct Legend<'a> {
    classes: &'a [String],
}

impl Legend<'_> {
    /// The names that find room beside the frame.
    fn names(&self) -> &[String] {
        let room = (SIDE / PITCH) as usize - OTHER_ENTRIES;
        &self.classes[..self.classes.len().min(room)]
    }

    /// A line about names that found no room.
    fn rest(&self) -> Option<String> {
        let rest = self.classes.len() - self.names().len();
        (rest > 0).then(|| format!("and {rest} more"))
    }

    fn width(&self) -> f64 {
        let rest = self.rest();
        let names = self.names().iter().map(String::as_str).chain(rest.as_deref()).chain([PRIOR_NAME]);
        let widest = names.map(|name| text_width(name, TEXT_SIZE)).fold(0.0, f64::max);
        2.0 * SWATCH + GAP + widest
    }

    fn draw(&self, canvas: &Canvas<'_>, (left, top): Point) -> Drawn {
        let middle = |index: usize| (left + SWATCH, top + (index as f64 + 0.5) * PITCH);
        let label = |at: Point| (at.0 + SWATCH + GAP, at.1);
        for (class, name) in self.names().iter().enumerate() {
            let at = middle(class);
            canvas.dot(at, SWATCH, class_colour(class, self.classes.len()).to_rgba())?;
            canvas.text(name, label(at), Align::Left)?;
        }
        let mut next = self.names().len();
        if let Some(rest) = self.rest() {
            canvas.write(&rest, label(middle(next)), Align::Left, TEXT_SIZE, QUIET)?;
            next += 1;
        }
        let at = middle(next);
        canvas.line((at.0 - SWATCH, at.1), (at.0 + SWATCH, at.1), REFERENCE, PRIOR_THICKNESS)?;
        canvas.text(PRIOR_NAME, label(at), Align::Left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;

    #[test]
    fn far_points_do_not_shrink_the_rest() {
        let mut points = vec![(0.5, -0.5); 999];
        points.push((1e30, f64::NAN));
        assert_eq!(reach(&points), LEAST_REACH);
        let range = Range::new(-LEAST_REACH, LEAST_REACH);
        assert_eq!(remark(&points, range), "1 of 1,000 points lie outside the frame.");
        assert_eq!(reach(&[(0.0, 5.0); 10]), 5.0);
    }

    #[test]
    fn outliers_and_nonsense_are_drawn_without_complaint() {
        let points = [[0.0, 0.0], [f32::MAX, f32::MIN], [f32::NAN, f32::INFINITY]];
        let classes = ["a".to_owned()];
        assert!(!demo::bytes(|path| scatter("far", &points, &[0; 3], &classes, path)).is_empty());
        assert!(!demo::bytes(|path| scatter("nowhere", &points[2..], &[0], &classes, path)).is_empty());
    }

    #[test]
    fn labels_must_fit() {
        let path = Path::new("refused.png");
        assert!(scatter("none", &[], &[], &[], path).is_err());
        assert!(scatter("short", &[[0.0; 2]], &[], &["a".into()], path).is_err());
        assert!(scatter("unknown", &[[0.0; 2]], &[1], &["a".into()], path).is_err());
    }

    #[test]
    fn same_input_same_bytes() {
        let (points, labels) = demo::latent();
        let classes: Vec<String> = (0..10).map(|class| class.to_string()).collect();
        let draw = || demo::bytes(|path| scatter("latent", &points, &labels, &classes, path));
        assert_eq!(draw(), draw());
    }
}
