//! Points of a latent plane, coloured by class.

use super::axes::{ABOVE, BELOW, HEADING};
use super::canvas::{Align, Canvas, Point, text_width};
use super::page::Page;
use super::plane::{LatentPlane, PRIOR, PRIOR_NAME};
use super::scale::number;
use super::theme::{GAP, INK, LINE, QUIET, SWATCH, TEXT_SIZE, class_colour};
use crate::error::{Error, Result};
use std::path::Path;

/// Width and height of a plane that is alone, and of one of several.
const SIDE: f64 = 900.0;
const SIDE_BESIDE: f64 = 640.0;

/// Half the width of the plane that is always shown.
const LEAST_REACH: f64 = 3.0;

/// The share of the points that is always inside the frame.
const COVERED: f64 = 0.995;

/// Dots of a crowd, of a few, and how many points make a crowd.
const LEAST_RADIUS: f64 = 3.0;
const MOST_RADIUS: f64 = 6.0;
const CROWD: f64 = 10_000.0;

/// Density shows through, and the colours of classes are still told apart.
const DOT_OPACITY: f64 = 0.7;

/// Distance of two legend entries.
const PITCH: f64 = LINE + GAP / 3.0;

/// Legend entries that are not classes: the prior, and a line on classes left out.
const OTHER_ENTRIES: usize = 2;

/// Class names up to this many letters are also written among their points.
const SHORT_NAME: usize = 2;

/// Points of one latent plane.
#[derive(Clone, Copy, Debug)]
pub struct Cloud<'a> {
    /// Written above the plane, such as the model's name; may be empty.
    pub title: &'a str,
    /// (z1, z2) pairs in standard deviations of the prior.
    pub points: &'a [[f32; 2]],
    /// The class of each point, an index into the names of classes.
    pub labels: &'a [u8],
}

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
    scatters(title, &[Cloud { title: "", points, labels }], classes, path)
}

/// Draws the points of several models side by side, with the same axes and one legend.
pub fn scatters(title: &str, clouds: &[Cloud<'_>], classes: &[String], path: &Path) -> Result<()> {
    if clouds.is_empty() {
        return Err(no_points());
    }
    clouds.iter().try_for_each(|cloud| cloud.check(classes))?;
    let points: Vec<Vec<Point>> = clouds.iter().map(Cloud::points).collect();
    let reach = points.iter().map(|points| reach(points)).fold(LEAST_REACH, f64::max);
    let side = if clouds.len() == 1 { SIDE } else { SIDE_BESIDE };
    let legend = ClassLegend { classes, height: side };
    let heading = if clouds.iter().all(|cloud| cloud.title.is_empty()) { 0.0 } else { HEADING };
    // Only the first plane has numbers on its left.
    let left = LatentPlane::room_left(reach);
    let width = left + clouds.len() as f64 * (side + 2.0 * GAP) + legend.width();

    let place = |index: usize, (x, y): Point| {
        let left = x + left + index as f64 * (side + 2.0 * GAP);
        LatentPlane::new(reach, left, y + heading + ABOVE, side)
    };
    let remarks =
        clouds.iter().zip(&points).map(|(cloud, points)| remark(cloud.title, points, &place(0, (0.0, 0.0))));
    let remarks: Vec<String> = remarks.collect();
    let page = Page::new(title, (width, heading + ABOVE + side + BELOW), &remarks.join(" "))?;
    page.save(path, |canvas| {
        for (index, (cloud, points)) in clouds.iter().zip(&points).enumerate() {
            let plane = place(index, (page.left(), page.top()));
            plane.axes.frame.heading(canvas, cloud.title, heading + ABOVE);
            Dots { plane: &plane, points, labels: cloud.labels, classes }.draw(canvas);
            plane.edges(canvas, index == 0);
        }
        let end = page.left() + width - legend.width();
        legend.draw(canvas, (end, page.top() + heading + ABOVE));
    })
}

impl Cloud<'_> {
    fn check(&self, classes: &[String]) -> Result<()> {
        let Self { points, labels, .. } = *self;
        if points.is_empty() {
            return Err(no_points());
        }
        if points.len() != labels.len() {
            return Err(Error::usage(format!("{} points have {} labels", points.len(), labels.len())));
        }
        match labels.iter().find(|&&label| usize::from(label) >= classes.len()) {
            Some(label) => {
                Err(Error::usage(format!("label {label} is none of the {} classes", classes.len())))
            }
            None => Ok(()),
        }
    }

    fn points(&self) -> Vec<Point> {
        self.points.iter().map(|&[x, y]| (f64::from(x), f64::from(y))).collect()
    }
}

fn no_points() -> Error {
    Error::usage("there are no points to draw")
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

/// How many points of a cloud the plane leaves out, in words.
fn remark(title: &str, points: &[Point], plane: &LatentPlane) -> String {
    let name = if title.is_empty() { String::new() } else { format!("{title}: ") };
    match points.iter().filter(|&&point| !plane.contains(point)).count() {
        0 => String::new(),
        hidden => format!(
            "{name}{} of {} points lie outside the frame.",
            number(hidden as f64, 0),
            number(points.len() as f64, 0)
        ),
    }
}

/// The contents of a plane's frame.
struct Dots<'a> {
    plane: &'a LatentPlane,
    points: &'a [Point],
    labels: &'a [u8],
    classes: &'a [String],
}

impl Dots<'_> {
    fn draw(&self, canvas: &mut Canvas) {
        self.plane.grid(canvas);
        let radius = dot_radius(self.points.len());
        for (point, label) in self.shown() {
            let colour = class_colour(label, self.classes.len());
            canvas.dot(self.plane.axes.at(point), radius, colour, DOT_OPACITY);
        }
        self.plane.inside(canvas, |canvas| self.plane.prior(canvas));
        self.draw_names(canvas);
    }

    /// The points inside the frame with their classes.
    fn shown(&self) -> impl Iterator<Item = (Point, usize)> {
        let all = self.points.iter().zip(self.labels).map(|(&point, &label)| (point, usize::from(label)));
        all.filter(|&(point, _)| self.plane.contains(point))
    }

    /// Short names of classes, each amid its points.
    fn draw_names(&self, canvas: &mut Canvas) {
        if self.classes.iter().any(|name| name.chars().count() > SHORT_NAME) {
            return;
        }
        for (class, name) in self.classes.iter().enumerate() {
            if let Some(middle) = self.middle(class) {
                canvas.rimmed_text(name, self.plane.axes.at(middle), TEXT_SIZE, INK);
            }
        }
    }

    /// The median of the shown points of a class in either coordinate: far points do not move it.
    fn middle(&self, class: usize) -> Option<Point> {
        let of_class = || self.shown().filter(|&(_, label)| label == class).map(|(point, _)| point);
        Some((
            median(of_class().map(|point| point.0).collect())?,
            median(of_class().map(|point| point.1).collect())?,
        ))
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The classes and the prior's circles.
struct ClassLegend<'a> {
    classes: &'a [String],
    height: f64,
}

impl ClassLegend<'_> {
    /// The names that find room beside the frame.
    fn names(&self) -> &[String] {
        let room = (self.height / PITCH) as usize - OTHER_ENTRIES;
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

    fn draw(&self, canvas: &mut Canvas, (left, top): Point) {
        let middle = |index: usize| (left + SWATCH, top + (index as f64 + 0.5) * PITCH);
        let label = |at: Point| (at.0 + SWATCH + GAP, at.1);
        for (class, name) in self.names().iter().enumerate() {
            let at = middle(class);
            canvas.dot(at, SWATCH, class_colour(class, self.classes.len()), 1.0);
            canvas.text(name, label(at), Align::Left);
        }
        let mut next = self.names().len();
        if let Some(rest) = self.rest() {
            canvas.write(&rest, label(middle(next)), Align::Left, TEXT_SIZE, QUIET);
            next += 1;
        }
        let at = middle(next);
        canvas.line((at.0 - SWATCH, at.1), (at.0 + SWATCH, at.1), PRIOR);
        canvas.text(PRIOR_NAME, label(at), Align::Left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;
    use crate::picture::theme::{Colour, MOST_COLOURS, WHITE, blend};

    #[test]
    fn far_points_do_not_shrink_the_rest() {
        let mut points = vec![(0.5, -0.5); 999];
        points.push((1e30, f64::NAN));
        assert_eq!(reach(&points), LEAST_REACH);
        let plane = LatentPlane::new(LEAST_REACH, 0.0, 0.0, SIDE);
        assert_eq!(remark("", &points, &plane), "1 of 1,000 points lie outside the frame.");
        assert_eq!(remark("VAE", &points[..999], &plane), "");
        assert_eq!(reach(&[(0.0, 5.0); 10]), 5.0);
    }

    #[test]
    fn outliers_and_nonsense_are_drawn_without_complaint() {
        let points = [[0.0, 0.0], [f32::MAX, f32::MIN], [f32::NAN, f32::INFINITY]];
        let classes = ["a".to_owned()];
        assert!(!demo::bytes(|path| scatter("far", &points, &[0; 3], &classes, path)).is_empty());
        assert!(!demo::bytes(|path| scatter("nowhere", &points[2..], &[0], &classes, path)).is_empty());
    }

    /// Linear red, green and blue as people see them to whom all of one kind of cones are missing: none, or those of
    /// long, middle or short waves (Machado, Oliveira and Fernandes 2009, severity 1).
    const SIGHTS: [[[f64; 3]; 3]; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
    ];

    fn product(matrix: [[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum())
    }

    /// CIE L*a*b* of a colour under D65 as it is seen: distances of 2.3 are just noticed side by side.
    fn seen(colour: Colour, sight: [[f64; 3]; 3]) -> [f64; 3] {
        let linear = colour.0.map(|value| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        let to_xyz = [
            [0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047],
            [0.2126729, 0.7151522, 0.072175],
            [0.0193339 / 1.08883, 0.119192 / 1.08883, 0.9503041 / 1.08883],
        ];
        let [x, y, z] = product(to_xyz, product(sight, linear).map(|value| value.clamp(0.0, 1.0)))
            .map(|t| if t > 216.0 / 24389.0 { t.cbrt() } else { (24389.0 / 27.0 * t + 16.0) / 116.0 });
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn dots_of_any_two_classes_and_the_paper_are_told_apart_by_everybody() {
        for classes in 1..=MOST_COLOURS {
            let dot = |class| blend(WHITE, class_colour(class, classes), DOT_OPACITY);
            let colours: Vec<Colour> = (0..classes).map(dot).chain([WHITE]).collect();
            for sight in SIGHTS {
                let seen: Vec<[f64; 3]> = colours.iter().map(|&colour| seen(colour, sight)).collect();
                for (index, a) in seen.iter().enumerate() {
                    for b in &seen[..index] {
                        let distance = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                        assert!(distance >= 10.0, "{classes} classes: {a:?} and {b:?} are {distance} apart");
                    }
                }
            }
        }
    }

    #[test]
    fn labels_must_fit() {
        let path = Path::new("refused.png");
        assert!(scatter("none", &[], &[], &[], path).is_err());
        assert!(scatter("short", &[[0.0; 2]], &[], &["a".into()], path).is_err());
        assert!(scatter("unknown", &[[0.0; 2]], &[1], &["a".into()], path).is_err());
    }

    #[test]
    fn planes_beside_have_the_same_axes() {
        let classes = ["a class".to_owned()];
        let cloud = |title, points| Cloud { title, points, labels: &[0] };
        let clouds = [cloud("near", &[[0.0, 0.0]]), cloud("far", &[[4.0, -4.0]])];
        let picture = demo::decoded(&demo::bytes(|path| scatters("beside", &clouds, &classes, path)));
        let colour = class_colour(0, 1);
        // On white, a part of the colour; the legend has the whole.
        let dots = |place: &dyn Fn(u32, u32) -> bool| {
            let faded = blend(WHITE, colour, DOT_OPACITY);
            let near = |pixel: &image::Rgb<u8>| pixel.0.iter().zip(faded.0).all(|(a, b)| a.abs_diff(b) < 3);
            picture.enumerate_pixels().filter(|&(x, y, pixel)| near(pixel) && place(x, y)).count()
        };
        let (middle, half) = (picture.width() / 2, picture.height() / 2);
        let low = half + SIDE_BESIDE as u32 / 4;
        assert!(dots(&|x, y| x < middle && y < low) > 30);
        assert!(dots(&|x, y| x > middle && y > low) > 30);
        assert!(scatters("none", &[], &classes, Path::new("refused.png")).is_err());
    }

    #[test]
    fn same_input_same_bytes() {
        let (points, labels) = demo::latent();
        let classes: Vec<String> = (0..10).map(|class| class.to_string()).collect();
        let draw = || demo::bytes(|path| scatter("latent", &points, &labels, &classes, path));
        assert_eq!(draw(), draw());
    }
}
