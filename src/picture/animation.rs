//! How codes of a few images move during training.

use super::axes::{ABOVE, BELOW, HEADING};
use super::canvas::{Align, Canvas, Point, fitting, text_width};
use super::gif;
use super::page::Page;
use super::plane::{Label, LatentPlane, check_code};
use super::raster::{ImageShape, Stamp};
use super::theme::{Colour, GAP, INK, LINE, Pen, SWATCH, TEXT_SIZE, WHITE, blend, series_colour};
use crate::error::{Error, Result};
use image::RgbImage;
use image::imageops::{crop_imm, thumbnail};
use std::path::Path;

/// Pixels of the drawing for each of the animation, along each side.
const REDUCTION: u32 = 2;

/// Width and height of the plane, in pixels of the drawing as all that follows.
const SIDE: f64 = 760.0;

/// Between the plane and the images, and between two images of a row.
const GUTTER: f64 = 3.0 * GAP;
const SEAM: f64 = GAP;

/// Longest side of an image.
const LONGEST: f64 = 170.0;

/// The path of a mean, and how much of it is white.
const TRAIL_THICKNESS: f64 = 2.5;
const TRAIL_WHITE: f64 = 0.4;

/// Hundredths of a second that a frame is shown, and the last one.
const DELAY: u16 = 15;
const LAST_DELAY: u16 = 300;

const KEY: &str = "Ellipses: q(z | x) within 1 and 2 σ. Lines: the path of its mean μ (×). Grey: the prior.";

/// The codes at one step of training.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Such as "step 1,000".
    pub caption: String,
    /// Mean and standard deviations of q(z | x) for each image.
    pub codes: Vec<[[f64; 2]; 2]>,
    /// The image decoded from each image's mean; may be empty in all snapshots.
    pub decoded: Vec<Vec<f32>>,
}

/// Codes of a few images in the latent plane, over training.
#[derive(Clone, Debug, Default)]
pub struct Animation {
    /// Written above the plane.
    pub title: String,
    /// The plane is shown from minus this to this, in standard deviations of the prior.
    pub reach: f64,
    /// Names of the images, short, such as "2".
    pub labels: Vec<String>,
    /// The images.
    pub images: Vec<Vec<f32>>,
    /// The shape of each image.
    pub shape: ImageShape,
    /// In the order in which they are shown; the last one is shown longer.
    pub snapshots: Vec<Snapshot>,
}

impl Animation {
    /// Draws the snapshots and writes them to `path` as GIF.
    pub fn save(&self, path: &Path) -> Result<()> {
        let layout = AnimationLayout::new(self)?;
        let mut frames: Vec<gif::Timed> = Vec::new();
        for shown in 1..=self.snapshots.len() {
            let picture = layout.page.paint(|canvas| layout.draw(canvas, shown));
            let delay = if shown == self.snapshots.len() { LAST_DELAY } else { DELAY };
            frames.push((reduced(&picture), delay));
        }
        gif::save(&frames, path)
    }

    fn colour(&self, image: usize) -> Colour {
        series_colour(image, self.images.len())
    }

    /// Whether there are decoded images.
    fn decodes(&self) -> bool {
        self.snapshots.iter().any(|snapshot| !snapshot.decoded.is_empty())
    }

    fn check(&self, stamp: Stamp) -> Result<()> {
        let images = self.images.len();
        let decoded = if self.decodes() { images } else { 0 };
        let complete =
            |snapshot: &Snapshot| snapshot.codes.len() == images && snapshot.decoded.len() == decoded;
        if self.labels.len() != images || self.snapshots.is_empty() || !self.snapshots.iter().all(complete) {
            return Err(Error::usage(format!(
                "an animation of {images} images needs as many labels, and a snapshot or more with as many codes \
                 and, if any is decoded, as many decoded images"
            )));
        }
        if !(self.reach > 0.0 && self.reach.is_finite()) {
            return Err(Error::usage("the plane must reach to a positive, finite number"));
        }
        let all = self.snapshots.iter().flat_map(|snapshot| &snapshot.decoded).chain(&self.images);
        all.into_iter().try_for_each(|image| stamp.check(image))?;
        let mut codes = self.snapshots.iter().flat_map(|snapshot| &snapshot.codes);
        codes.try_for_each(|&[mean, std]| check_code(mean, std))
    }
}

/// Where everything lies, the same in all frames.
struct AnimationLayout<'a> {
    animation: &'a Animation,
    page: Page,
    plane: LatentPlane,
    stamp: Stamp,
    /// The upper left corner of the first image.
    corner: Point,
}

impl<'a> AnimationLayout<'a> {
    fn new(animation: &'a Animation) -> Result<Self> {
        let Animation { title, reach, labels, images, shape, .. } = animation;
        let pitch = SIDE / images.len().max(1) as f64;
        let longest = (pitch - SEAM).clamp(1.0, LONGEST);
        let stamp = Stamp::fit(*shape, images.len().min(1), longest, longest)?;
        animation.check(stamp)?;
        let columns = if animation.decodes() { 2.0 } else { 1.0 };
        let widest = labels.iter().map(|label| text_width(label, TEXT_SIZE)).fold(0.0, f64::max);
        let label_width = 2.0 * SWATCH + GAP / 2.0 + widest + GAP;
        let left = LatentPlane::room_left(*reach);
        let table = label_width + columns * (stamp.width() + SEAM) - SEAM;
        let page = Page::new(title, (left + SIDE + GUTTER + table, HEADING + ABOVE + SIDE + BELOW), KEY)?;
        let top = (page.top() + HEADING + ABOVE).ceil();
        let plane = LatentPlane::new(*reach, page.left() + left, top, SIDE);
        let corner = ((page.left() + left + SIDE + GUTTER + label_width).ceil(), top);
        Ok(Self { animation, page, plane, stamp, corner })
    }

    /// The upper left corner of an image.
    fn place(&self, row: usize, column: usize) -> Point {
        let pitch = (SIDE / self.animation.images.len() as f64).min(self.stamp.height() + GUTTER).floor();
        (self.corner.0 + column as f64 * (self.stamp.width() + SEAM), self.corner.1 + row as f64 * pitch)
    }

    /// Draws the last of so many snapshots, with the paths so far.
    fn draw(&self, canvas: &mut Canvas, shown: usize) {
        let (animation, plane) = (self.animation, &self.plane);
        let snapshots = &animation.snapshots[..shown];
        let Some(snapshot) = snapshots.last() else { return };
        plane.axes.frame.heading(canvas, &snapshot.caption, HEADING + ABOVE);
        plane.grid(canvas);
        plane.inside(canvas, |canvas| {
            plane.prior(canvas);
            for (image, &[mean, std]) in snapshot.codes.iter().enumerate() {
                plane.code(canvas, mean.into(), std, animation.colour(image));
            }
            for image in 0..animation.images.len() {
                let colour = blend(animation.colour(image), WHITE, TRAIL_WHITE);
                let path = snapshots.iter().map(|snapshot| plane.axes.at(snapshot.codes[image][0].into()));
                canvas.path(path, Pen { colour, thickness: TRAIL_THICKNESS });
            }
        });
        plane.draw_labels(canvas, &self.labels(snapshot));
        plane.edges(canvas, true);
        self.draw_rows(canvas, snapshot);
    }

    /// The labels of the images' codes.
    fn labels(&self, snapshot: &Snapshot) -> Vec<Label> {
        let labels = self.animation.labels.iter().zip(&snapshot.codes).enumerate();
        let label = |(image, (text, &[mean, _])): (usize, (&String, &[[f64; 2]; 2]))| {
            let (place, colour) = (mean.into(), self.animation.colour(image));
            Label { text: text.clone(), place, away: place, colour, is_mean: true }
        };
        labels.map(label).collect()
    }

    /// The images, what their means are decoded to, and what is written around them.
    fn draw_rows(&self, canvas: &mut Canvas, snapshot: &Snapshot) {
        let heads = ["x", "from μ"].into_iter().take(if self.animation.decodes() { 2 } else { 1 });
        for (column, text) in heads.enumerate() {
            let (x, y) = self.place(0, column);
            let at = (x + self.stamp.width() / 2.0, y - ABOVE + LINE / 2.0);
            canvas.write(text, at, Align::Centre, fitting(text, TEXT_SIZE, self.stamp.width()), INK);
        }
        for (row, label) in self.animation.labels.iter().enumerate() {
            let (x, y) = self.place(row, 0);
            let (end, middle) = (x - GAP, y + self.stamp.height() / 2.0);
            canvas.text(label, (end, middle), Align::Right);
            let dot = (end - text_width(label, TEXT_SIZE) - GAP / 2.0 - SWATCH, middle);
            canvas.dot(dot, SWATCH, self.animation.colour(row), 1.0);
        }
        for (column, images) in [&self.animation.images, &snapshot.decoded].into_iter().enumerate() {
            for (row, image) in images.iter().enumerate() {
                self.stamp.draw(canvas, image, self.place(row, column));
            }
        }
    }
}

/// The mean of each square of [`REDUCTION`] by [`REDUCTION`] pixels; what is left at the right and at the
/// bottom is cut off.
fn reduced(picture: &RgbImage) -> RgbImage {
    let (width, height) = (picture.width() / REDUCTION, picture.height() / REDUCTION);
    thumbnail(&*crop_imm(picture, 0, 0, width * REDUCTION, height * REDUCTION), width, height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;
    use crate::picture::theme::BLUE;

    /// Two codes that part.
    fn animation() -> Animation {
        let snapshot = |x: f64| Snapshot {
            caption: format!("at {x}"),
            codes: vec![[[-x, 0.0], [0.3, 0.2]], [[x, 1.0], [0.2, 0.2]]],
            decoded: vec![vec![0.4; 4]; 2],
        };
        Animation {
            title: "animation".into(),
            reach: 3.0,
            labels: vec!["a".into(), "b".into()],
            images: vec![vec![0.0; 4], vec![0.6; 4]],
            shape: ImageShape { height: 2, width: 2, channels: 1 },
            snapshots: [0.0, 1.0, 2.0].map(snapshot).into(),
        }
    }

    #[test]
    fn squares_are_averaged() {
        // 5 x 3 pixels, in red their number; the last column and row are cut off.
        let reduced = reduced(&RgbImage::from_fn(5, 3, |x, y| image::Rgb([(5 * y + x) as u8, 100, 7])));
        assert_eq!(reduced.dimensions(), (2, 1));
        // 0 + 1 + 5 + 6 and 2 + 3 + 7 + 8, by four.
        assert_eq!([reduced.get_pixel(0, 0).0, reduced.get_pixel(1, 0).0], [[3, 100, 7], [5, 100, 7]]);
    }

    #[test]
    fn codes_move_from_frame_to_frame() {
        let (frames, delays) = demo::moving(&demo::bytes(|path| animation().save(path)));
        assert_eq!(delays, [DELAY, DELAY, LAST_DELAY]);
        let unit = SIDE / f64::from(REDUCTION) / (2.0 * 3.0 * 1.08);
        // The middle of what is blue inside the plane.
        let middle = |frame: &RgbImage| {
            let bluish = |pixel: &image::Rgb<u8>| pixel[2] > pixel[0].saturating_add(60) && pixel[0] < 100;
            let plane = (LatentPlane::room_left(3.0) + SIDE) / f64::from(REDUCTION);
            let found =
                frame.enumerate_pixels().filter(|pixel| bluish(pixel.2) && f64::from(pixel.0) < plane);
            let places: Vec<f64> = found.map(|pixel| f64::from(pixel.0)).collect();
            assert!(!places.is_empty(), "nothing is like {BLUE:?}");
            places.iter().sum::<f64>() / places.len() as f64
        };
        let moved = middle(&frames[0]) - middle(&frames[2]);
        assert!((moved - 2.0 * unit).abs() < 0.5 * unit, "{moved} of {unit}");
    }

    #[test]
    fn an_animation_is_small() {
        let file = demo::bytes(|path| animation().save(path));
        let (frames, _) = demo::moving(&file);
        assert!((500..800).contains(&frames[0].width()) && (400..700).contains(&frames[0].height()));
        assert!(file.len() < 3 * 75_000, "{} bytes", file.len());
    }

    #[test]
    fn nothing_needs_to_be_decoded() {
        let mut bare = animation();
        bare.snapshots.iter_mut().for_each(|snapshot| snapshot.decoded.clear());
        let width =
            |animation: &Animation| demo::moving(&demo::bytes(|path| animation.save(path))).0[0].width();
        assert!(width(&bare) < width(&animation()));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let path = Path::new("refused.gif");
        assert!(Animation::default().save(path).is_err());
        let refused = |change: fn(&mut Animation)| {
            let mut animation = animation();
            change(&mut animation);
            animation.save(path).is_err()
        };
        assert!(refused(|animation| animation.snapshots.clear()));
        assert!(refused(|animation| animation.labels.truncate(1)));
        assert!(refused(|animation| animation.snapshots[1].codes.truncate(1)));
        assert!(refused(|animation| animation.snapshots[1].decoded.clear()));
        assert!(refused(|animation| animation.snapshots[1].codes[0][0][1] = f64::NAN));
        assert!(refused(|animation| animation.reach = f64::INFINITY));
        assert!(refused(|animation| animation.shape.channels = 3));
    }

    #[test]
    fn same_input_same_bytes() {
        let draw = || demo::bytes(|path| animation().save(path));
        assert_eq!(draw(), draw());
    }
}
