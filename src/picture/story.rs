//! From images to codes and back: samples of q(z | x), decoded.

use super::axes::{ABOVE, BELOW};
use super::canvas::{Align, Canvas, Point, fitting, text_width};
use super::page::Page;
use super::plane::{Label, LatentPlane, SAMPLE_SIZE, check_code};
use super::raster::{ImageShape, Stamp};
use super::theme::{Colour, GAP, INK, LEADING, LINE, SWATCH, TEXT_SIZE, series_colour};
use crate::error::{Error, Result};
use std::path::Path;

/// Width and height of the plane.
const SIDE: f64 = 680.0;

/// Between the plane and the images, between the kinds of images, between two images of a row.
const GUTTER: f64 = 3.0 * GAP;
const KIND_GAP: f64 = 20.0;
const SEAM: f64 = 4.0;

/// Between rows, many and few.
const LEAST_ROW_GAP: f64 = GAP;
const MOST_ROW_GAP: f64 = 6.0 * GAP;

/// The width wished for a row of images, and the most that one is high.
const WISHED_WIDTH: f64 = 760.0;
const LONGEST: f64 = 140.0;

/// Height of the line with the samples' names above a row's images.
const NAMES: f64 = SAMPLE_SIZE * LEADING;

/// The names of samples, in this order; x and z mean something else.
const NAMES_OF_SAMPLES: &str = "abcdefghijklmnopqrstuvwyABCDEFGHIJKLMNOPQRSTUVWY";

const KEY: &str = "Ellipses: q(z | x) within 1 and 2 σ of its mean μ (×). Dots: samples z. Grey: the prior within 1 \
                   and 2 σ.";

/// An image with its code, a normal distribution over the latent plane, and the images decoded from there.
#[derive(Clone, Debug, Default)]
pub struct EncodedImage {
    /// Short, such as "2"; written at the code.
    pub label: String,
    /// The image.
    pub image: Vec<f32>,
    /// Mean of q(z | x).
    pub mean: [f64; 2],
    /// Standard deviations of q(z | x).
    pub std: [f64; 2],
    /// Draws of z.
    pub samples: Vec<[f64; 2]>,
    /// The label that the codes around each of them have, where it is not this image's own.
    pub strayed: Vec<Option<String>>,
    /// The image decoded from each of them.
    pub decoded: Vec<Vec<f32>>,
    /// The image decoded from the mean.
    pub decoded_mean: Vec<f32>,
}

/// A few images in the latent plane, and beside it the images decoded from samples of their codes.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Written above the picture.
    pub title: String,
    /// The plane is shown from minus this to this, in standard deviations of the prior.
    pub reach: f64,
    /// The images, from the top.
    pub items: Vec<EncodedImage>,
    /// The shape of each image.
    pub shape: ImageShape,
}

impl Story {
    /// Draws the story and writes the picture to `path` as PNG.
    pub fn save(&self, path: &Path) -> Result<()> {
        let table = ImageTable::new(self)?;
        let left = LatentPlane::room_left(self.reach);
        let body = (left + SIDE + GUTTER + table.width(), (ABOVE + SIDE + BELOW).max(ABOVE + table.height()));
        let page = Page::new(&self.title, body, &[KEY, &self.outside(), &self.strayed()].join(" "))?;
        let plane = LatentPlane::new(self.reach, page.left() + left, page.top() + ABOVE, SIDE);
        let corner = ((page.left() + left + SIDE + GUTTER).ceil(), (page.top() + ABOVE).ceil());
        page.save(path, |canvas| {
            self.draw_plane(canvas, &plane);
            table.draw(canvas, corner);
        })
    }

    fn colour(&self, item: usize) -> Colour {
        series_colour(item, self.items.len())
    }

    /// The samples' names: those of each item go on where the ones of the item before end.
    fn names(&self, item: usize) -> impl Iterator<Item = String> {
        let before: usize = self.items[..item].iter().map(|item| item.samples.len()).sum();
        NAMES_OF_SAMPLES.chars().skip(before).map(String::from)
    }

    /// A remark on the samples that the plane does not show.
    fn outside(&self) -> String {
        let plane = LatentPlane::new(self.reach, 0.0, 0.0, SIDE);
        let names: Vec<String> = (0..self.items.len())
            .flat_map(|item| self.names(item).zip(&self.items[item].samples))
            .filter(|(_, sample)| !plane.contains((sample[0], sample[1])))
            .map(|(name, _)| name)
            .collect();
        if names.is_empty() { String::new() } else { format!("Outside the plane: {}.", names.join(", ")) }
    }

    /// A remark on the samples that lie among codes of another label.
    fn strayed(&self) -> String {
        let named = |(index, item): (usize, &EncodedImage)| {
            let samples = self.names(index).zip(item.strayed.clone());
            samples.filter_map(|(name, label)| Some(format!("{name} ({})", label?))).collect::<Vec<_>>()
        };
        let samples: Vec<String> = self.items.iter().enumerate().flat_map(named).collect();
        if samples.is_empty() {
            String::new()
        } else {
            format!(
                "Samples amid test images of another class, and what they may be decoded to: {}.",
                samples.join(", ")
            )
        }
    }

    fn draw_plane(&self, canvas: &mut Canvas, plane: &LatentPlane) {
        plane.grid(canvas);
        plane.inside(canvas, |canvas| {
            plane.prior(canvas);
            for (index, item) in self.items.iter().enumerate() {
                plane.code(canvas, item.mean.into(), item.std, self.colour(index));
            }
        });
        plane.draw_labels(canvas, &self.labels());
        plane.edges(canvas, true);
    }

    /// The labels of the plane: first the items' own, then the samples' names.
    fn labels(&self) -> Vec<Label> {
        let label = |text: String, place: [f64; 2], index: usize, is_mean: bool| {
            let away = self.items[index].mean.into();
            Label { text, place: place.into(), away, colour: self.colour(index), is_mean }
        };
        let items = || self.items.iter().enumerate();
        let means = items().map(|(index, item)| label(item.label.clone(), item.mean, index, true));
        let samples = items().flat_map(|(index, item)| {
            let named = self.names(index).zip(&item.samples);
            named.map(move |(name, &sample)| label(name, sample, index, false))
        });
        means.chain(samples).collect()
    }
}

/// The images beside the plane, a row for each item.
struct ImageTable<'a> {
    story: &'a Story,
    stamp: Stamp,
    /// The most samples of an item.
    samples: usize,
    /// Width of the labels with their dots.
    labels: f64,
}

impl<'a> ImageTable<'a> {
    /// Checks the story too.
    fn new(story: &'a Story) -> Result<Self> {
        let items = &story.items;
        if !(story.reach > 0.0 && story.reach.is_finite()) {
            return Err(Error::usage("the plane must reach to a positive, finite number"));
        }
        let samples = items.iter().map(|item| item.samples.len()).max().unwrap_or(0);
        let named = NAMES_OF_SAMPLES.len();
        if items.iter().map(|item| item.samples.len()).sum::<usize>() > named {
            return Err(Error::usage(format!("there are names for {named} samples only: ask for fewer")));
        }
        let rows = items.len().max(1) as f64;
        let longest = (SIDE / rows - NAMES - LEAST_ROW_GAP).clamp(1.0, LONGEST);
        let columns = if items.is_empty() { 0 } else { samples + 2 };
        let stamp = Stamp::fit(story.shape, columns, WISHED_WIDTH, longest)?;
        for item in items {
            let EncodedImage { image, decoded_mean, decoded, mean, std, .. } = item;
            [image, decoded_mean].into_iter().chain(decoded).try_for_each(|image| stamp.check(image))?;
            for (count, what) in
                [(decoded.len(), "decoded images"), (item.strayed.len(), "labels around them")]
            {
                if count != item.samples.len() {
                    return Err(Error::usage(format!("{} samples have {count} {what}", item.samples.len())));
                }
            }
            check_code(*mean, *std)?;
        }
        let widest = items.iter().map(|item| text_width(&item.label, TEXT_SIZE)).fold(0.0, f64::max);
        Ok(Self { story, stamp, samples, labels: (2.0 * SWATCH + GAP / 2.0 + widest + GAP).ceil() })
    }

    /// The left edges of the images: x, the samples, the mean, and the end.
    fn columns(&self) -> [f64; 4] {
        let pitch = self.stamp.width() + SEAM;
        let first = self.labels;
        let samples = first + self.stamp.width() + KIND_GAP;
        let mean = samples + self.samples as f64 * pitch - SEAM + KIND_GAP;
        [first, samples, mean, mean + self.stamp.width()]
    }

    fn width(&self) -> f64 {
        self.columns()[3]
    }

    fn height(&self) -> f64 {
        self.top(self.story.items.len() - 1) + self.stamp.height()
    }

    /// From one row to the next.
    fn pitch(&self) -> f64 {
        let row = NAMES + self.stamp.height();
        (SIDE / self.story.items.len() as f64).clamp(row + LEAST_ROW_GAP, row + MOST_ROW_GAP).floor()
    }

    /// The upper edge of the images of a row.
    fn top(&self, row: usize) -> f64 {
        row as f64 * self.pitch() + NAMES.ceil()
    }

    /// All images with their upper left corners.
    fn images(&self, corner: Point) -> Vec<(Point, &'a [f32])> {
        let [first, samples, mean, _] = self.columns();
        let mut images: Vec<(Point, &'a [f32])> = Vec::new();
        for (row, item) in self.story.items.iter().enumerate() {
            let mut add =
                |x: f64, image: &'a [f32]| images.push(((corner.0 + x, corner.1 + self.top(row)), image));
            add(first, &item.image);
            for (index, image) in item.decoded.iter().enumerate() {
                add(samples + index as f64 * (self.stamp.width() + SEAM), image);
            }
            add(mean, &item.decoded_mean);
        }
        images
    }

    /// Draws the images below `corner`, with all that is written around them.
    fn draw(&self, canvas: &mut Canvas, corner: Point) {
        for (at, image) in self.images(corner) {
            self.stamp.draw(canvas, image, at);
        }
        let [first, samples, mean, end] = self.columns();
        let heads = [
            ("x", first, samples),
            ("decoded from samples of q(z | x)", samples, mean),
            ("from μ", mean, end + KIND_GAP),
        ];
        for (text, from, to) in heads {
            let room = to - from - KIND_GAP;
            let at = (corner.0 + from + room / 2.0, corner.1 - ABOVE + LINE / 2.0);
            canvas.write(text, at, Align::Centre, fitting(text, TEXT_SIZE, room), INK);
        }
        for (row, item) in self.story.items.iter().enumerate() {
            let middle = corner.1 + self.top(row) + self.stamp.height() / 2.0;
            canvas.dot((corner.0 + SWATCH, middle), SWATCH, self.story.colour(row), 1.0);
            canvas.text(&item.label, (corner.0 + 2.0 * SWATCH + GAP / 2.0, middle), Align::Left);
            for (index, (name, label)) in self.story.names(row).zip(&item.strayed).enumerate() {
                let x = samples + index as f64 * (self.stamp.width() + SEAM) + self.stamp.width() / 2.0;
                let at = (corner.0 + x, corner.1 + self.top(row) - NAMES / 2.0);
                let text = label.as_ref().map(|label| format!("{name} ({label})"));
                let fits = |text: &String| text_width(text, SAMPLE_SIZE) <= self.stamp.width() + SEAM;
                canvas.write(&text.filter(fits).unwrap_or(name), at, Align::Centre, SAMPLE_SIZE, INK);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;
    use crate::picture::theme::{BLUE, ORANGE};

    /// Two codes far apart, whose images have shades of their own.
    fn story() -> Story {
        let item = |label: &str, x: f64, shade: f32| EncodedImage {
            label: label.into(),
            image: vec![shade; 16],
            mean: [x, 0.0],
            std: [0.3, 0.5],
            samples: vec![[x + 0.2, 0.4], [x - 0.2, -0.9]],
            strayed: vec![None; 2],
            decoded: vec![vec![shade + 0.1; 16]; 2],
            decoded_mean: vec![shade + 0.2; 16],
        };
        Story {
            title: "story".into(),
            reach: 3.0,
            items: vec![item("left", -1.5, 0.2), item("right", 1.5, 0.6)],
            shape: ImageShape { height: 4, width: 4, channels: 1 },
        }
    }

    #[test]
    fn each_image_lies_in_the_row_of_its_code() -> Result<()> {
        let story = story();
        let table = ImageTable::new(&story)?;
        let picture = demo::decoded(&demo::bytes(|path| story.save(path)));
        let left = table.stamp.width() / 2.0;
        let images = table.images((0.0, 0.0));
        assert_eq!(images.len(), 8);
        // The table ends at the right border of the picture.
        let corner = (f64::from(picture.width()) - crate::picture::theme::MARGIN - table.width(), 0.0);
        for ((x, y), image) in images {
            let grey = (image[0] * 255.0).round() as u8;
            let at = ((corner.0 + x + left) as u32, (y + left) as u32);
            let column = (0..picture.height()).map(|y| picture.get_pixel(at.0, y)[0]);
            let found = column.filter(|&value| value == grey).count();
            assert!(found as f64 >= table.stamp.height() - 1.0, "{at:?}: {found} pixels of {grey}");
        }
        Ok(())
    }

    #[test]
    fn codes_lie_at_their_means() {
        let picture = demo::decoded(&demo::bytes(|path| story().save(path)));
        let middle = |colour: Colour| {
            let plane = LatentPlane::room_left(3.0) + SIDE;
            let found =
                picture.enumerate_pixels().filter(|pixel| *pixel.2 == colour && f64::from(pixel.0) < plane);
            let places: Vec<f64> = found.map(|pixel| f64::from(pixel.0)).collect();
            places.iter().sum::<f64>() / places.len() as f64
        };
        let unit = SIDE / (2.0 * 3.0 * 1.08);
        assert!((middle(ORANGE) - middle(BLUE) - 3.0 * unit).abs() < 0.2 * unit);
    }

    #[test]
    fn samples_have_names_of_their_own() {
        let mut story = story();
        assert_eq!(story.names(1).take(2).collect::<Vec<_>>(), ["c", "d"]);
        assert_eq!(story.outside(), "");
        story.items[1].samples[0] = [9.0, 0.0];
        story.items[0].samples[1] = [0.0, -3.5];
        assert_eq!(story.outside(), "Outside the plane: b, c.");
        assert_eq!(story.strayed(), "");
        story.items[1].strayed[0] = Some("left".into());
        assert!(story.strayed().ends_with("decoded to: c (left)."));
        let names: std::collections::BTreeSet<char> = NAMES_OF_SAMPLES.chars().collect();
        assert_eq!(names.len(), NAMES_OF_SAMPLES.len());
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let path = Path::new("refused.png");
        assert!(Story::default().save(path).is_err());
        let refused = |change: fn(&mut Story)| {
            let mut story = story();
            change(&mut story);
            story.save(path).is_err()
        };
        assert!(refused(|story| story.reach = 0.0));
        assert!(refused(|story| story.shape.channels = 3));
        assert!(refused(|story| story.items[0].std[1] = -1.0));
        assert!(refused(|story| story.items[0].mean[1] = f64::NAN));
        assert!(refused(|story| story.items[1].decoded.clear()));
        assert!(refused(|story| story.items[1].strayed.clear()));
        assert!(refused(|story| {
            story.items[1].decoded = vec![vec![0.0; 16]; 60];
            story.items[1].samples = vec![[0.0; 2]; 60];
            story.items[1].strayed = vec![None; 60];
        }));
    }

    #[test]
    fn same_input_same_bytes() {
        let draw = || demo::bytes(|path| story().save(path));
        assert_eq!(draw(), draw());
    }
}
