//! Images to learn from, in arrays: bytes of one scale, split into those to learn from and those for tests.
//!
//! | array in a `.npz` file | shape | holds |
//! |---|---|---|
//! | `imgs` or `images` | `(N, H, W)`; in colour `(N, H, W, 3)` or `(N, 3, H, W)`; or flat, `(N, H W)` | images |
//! | `latents_classes` | `(N, F)` | factors, as in dSprites; of six, the second is the shape and the class |
//! | `labels` | `(N)` | classes, where there are no six factors |
//! | `x_train`, `y_train`, `x_test`, `y_test` | as `imgs` and `labels` | both parts of MNIST as Keras packs it |
//! | `train_images`, `train_labels`, `test_images`, `test_labels` | as `imgs` and `labels` | both parts, as in MedMNIST |
//!
//! An archive of a single array may call it anything. Where the file does not say which images are for tests, a tenth of
//! them is chosen by the seed.
//!
//! All images become bytes by the scale of [`scale`](super::scale): those of bytes stay as they are, words are divided by
//! 257, arrays of 0 and 1 alone become black and white, bytes that a wider type holds are bytes, and other numbers must lie
//! within 0..1, or within the range that is given.

use super::array::{Array, Element};
use super::layout::Layout;
use super::npy::{self, Archive};
use super::save::{NamedArray, Values};
use super::scale::{Range, is_byte, white_of_bytes};
use super::sprites::{FACTORS, SHAPES};
use super::table::listed;
use super::{Dataset, Factors, Images, Pixels};
use crate::error::{Error, Result};
use crate::memory::has_room;
use crate::random::{key, shuffled};
use std::path::Path;

/// Names of the array of images; the first is the one that is written.
const IMAGES: [&str; 2] = ["imgs", "images"];
const LABELS: &str = "labels";
const CLASSES: &str = "latents_classes";

/// Layouts of archives with both parts, images and labels to learn from, and for tests: Keras' MNIST, and MedMNIST.
pub(super) const BOTH_PARTS: [[[&str; 2]; 2]; 2] = [
    [["x_train", "y_train"], ["x_test", "y_test"]],
    [["train_images", "train_labels"], ["test_images", "test_labels"]],
];

/// One of so many images is for tests.
const TEST_SHARE: usize = 10;
/// The shuffled order that chooses them: one that no training comes to.
const TEST_EPOCH: u32 = u32::MAX;

/// A shade that is off by more than this was rounded.
const ROUNDED: f64 = 1e-4;

/// Something of each image, those to learn from and those for tests.
type BothParts = [Vec<u8>; 2];

/// The name of a file or directory, for titles.
pub(super) fn title(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A data set whose parts, to learn from and for tests, are arrays of their own.
pub(super) struct ImageParts {
    canvas: Shading,
    counts: [usize; 2],
    labels: BothParts,
}

impl ImageParts {
    pub(super) fn new(range: Option<Range>) -> Self {
        Self { canvas: Shading::new(range), counts: [0; 2], labels: BothParts::default() }
    }

    /// Adds the images of a part: 0 to learn from, 1 for tests.
    pub(super) fn add(&mut self, part: usize, images: Array<'_>) -> Result<()> {
        self.counts[part] = self.canvas.add(images, |_, _| part)?;
        Ok(())
    }

    /// Adds the labels of a part whose images were added.
    pub(super) fn label(&mut self, part: usize, labels: Array<'_>) -> Result<()> {
        let place = labels.place.clone();
        let labels = small(labels, false)?.1;
        if labels.len() != self.counts[part] {
            let problem = format!(
                "there are {} labels here, but {} images; each image needs one label, so take both from one data set",
                labels.len(),
                self.counts[part]
            );
            return Err(Error::data(place, problem));
        }
        self.labels[part] = labels;
        Ok(())
    }

    /// Tells the user what was left out.
    pub(super) fn note(&mut self, notes: impl IntoIterator<Item = String>) {
        self.canvas.notes.extend(notes);
    }

    /// The data set; its classes are the numbers from 0 to the largest label.
    pub(super) fn finish(self, path: &Path) -> Result<Dataset> {
        let Self { canvas, counts, labels } = self;
        dataset(path, Contents { labels: Some(labels), ..Contents::new(canvas, counts) })
    }

    /// The data set with the label of each image, an index into `classes`.
    pub(super) fn with_classes(
        self,
        path: &Path,
        labels: BothParts,
        classes: Vec<String>,
    ) -> Result<Dataset> {
        let Self { canvas, counts, .. } = self;
        dataset(
            path,
            Contents { labels: Some(labels), classes: Some(classes), ..Contents::new(canvas, counts) },
        )
    }
}

/// The data set of one array of images, with the class of each if that is known; `seed` chooses those for tests.
pub(super) fn of_array(
    path: &Path,
    array: Array<'_>,
    labels: Option<(Vec<u8>, Vec<String>)>,
    seed: u64,
    range: Option<Range>,
) -> Result<Dataset> {
    let choice = TestChoice { seed };
    let mut canvas = Shading::new(range);
    let count = canvas.add(array, |i, n| choice.part(i, n))?;
    let (labels, classes) = labels.map(|(labels, classes)| (choice.rows(&labels, count), classes)).unzip();
    dataset(path, Contents { labels, classes, ..Contents::new(canvas, choice.counts(count)) })
}

/// Loads the data set of a `.npz` file; `seed` chooses the images for tests where the file does not.
pub(super) fn archive(path: &Path, seed: u64, range: Option<Range>) -> Result<Dataset> {
    let choice = TestChoice { seed };
    let mut archive = Archive::open(path)?;
    if let Some(keys) = BOTH_PARTS.into_iter().find(|keys| keys.iter().flatten().all(|key| archive.has(key)))
    {
        return both_parts(path, archive, keys, range);
    }
    let key = match (IMAGES.into_iter().find(|key| archive.has(key)), &archive.keys[..]) {
        (Some(key), _) => key.to_owned(),
        (None, [only]) => only.clone(),
        _ => {
            let found = if archive.keys.is_empty() { "none at all".into() } else { archive.listed() };
            let problem = format!(
                "there is no array `{}` of images in this archive, but {found}; write one with \
                 `numpy.savez(FILE, {0}=...)`",
                IMAGES[0]
            );
            return Err(Error::data(path, problem));
        }
    };
    let mut canvas = Shading::new(range);
    let count = canvas.add(archive.array(&key)?, |i, n| choice.part(i, n))?;
    let mut rows = |key: &str| -> Result<Option<(usize, BothParts)>> {
        if !archive.has(key) {
            return Ok(None);
        }
        let array = archive.array(key)?;
        let place = array.place.clone();
        let (columns, values) = small(array, key == CLASSES)?;
        let rows = values.len() / columns;
        if rows != count {
            let problem =
                format!("there are {rows} rows here, but {count} images; expected one row for each image");
            return Err(Error::data(place, problem));
        }
        Ok(Some((columns, choice.rows(&values, count))))
    };
    let factors = rows(CLASSES)?;
    let labels = rows(LABELS)?.map(|(_, labels)| labels);
    dataset(path, Contents { labels, factors, ..Contents::new(canvas, choice.counts(count)) })
}

/// The data set of an archive with both parts.
fn both_parts(
    path: &Path,
    mut archive: Archive,
    keys: [[&str; 2]; 2],
    range: Option<Range>,
) -> Result<Dataset> {
    let mut parts = ImageParts::new(range);
    let used = |key: &&String| keys.iter().flatten().any(|used| used == key);
    let others: Vec<&String> = archive.keys.iter().filter(|key| !used(key)).collect();
    if !others.is_empty() {
        parts.note([format!("{}: {} are left out", path.display(), listed(others.into_iter()))]);
    }
    for (part, [images, labels]) in keys.into_iter().enumerate() {
        parts.add(part, archive.array(images)?)?;
        parts.label(part, archive.array(labels)?)?;
    }
    parts.finish(path)
}

/// The choice of images for tests.
#[derive(Clone, Copy)]
pub(super) struct TestChoice {
    pub(super) seed: u64,
}

impl TestChoice {
    /// 1 when image `i` of `n` is for tests, otherwise 0.
    pub(super) fn part(self, i: usize, n: usize) -> usize {
        let place = shuffled(i as u32, n as u32, key(self.seed), TEST_EPOCH);
        usize::from((place as usize) < self.counts(n)[1])
    }

    fn counts(self, n: usize) -> [usize; 2] {
        let test = n.div_ceil(TEST_SHARE);
        [n - test, test]
    }

    /// Rows of so many bytes each, `n` of them, in two parts.
    fn rows(self, rows: &[u8], n: usize) -> BothParts {
        let mut parts = BothParts::default();
        let size = rows.len() / n;
        rows.chunks_exact(size).enumerate().for_each(|(i, row)| parts[self.part(i, n)].extend(row));
        parts
    }
}

/// Small whole numbers, a row for each image: how many in a row, and the numbers.
fn small(array: Array<'_>, several: bool) -> Result<(usize, Vec<u8>)> {
    let (place, shape) = (array.place.clone(), array.shape.clone());
    let columns = match shape[..] {
        [_] => 1,
        [_, columns] if columns > 0 && several || columns == 1 => columns,
        _ => {
            let problem = format!(
                "the array has shape {}, but one {} is expected for each image",
                array.shape_text(),
                if several { "row of numbers" } else { "number" }
            );
            return Err(array.error(problem));
        }
    };
    let byte = |(k, &value): (usize, &f64)| {
        let byte = value as u8;
        let problem = || {
            let row = k / columns;
            format!(
                "the value {value} in row {row} (counted from 0) is no class; expected whole numbers 0..255"
            )
        };
        if f64::from(byte) == value { Ok(byte) } else { Err(Error::data(&place, problem())) }
    };
    let values = array.values()?;
    Ok((columns, values.iter().enumerate().map(byte).collect::<Result<_>>()?))
}

/// Images as bytes, from one array or several.
struct Shading {
    given: Option<Range>,
    pixels: BothParts,
    layout: Option<Layout>,
    /// The type of the array that came last.
    element: Option<Element>,
    /// The values of black and white, once they are known: where none are given, what is above 1 decides, or between 0
    /// and 1. Until then pixels are the numbers themselves.
    range: Option<Range>,
    /// The largest of these numbers.
    largest: f64,
    /// How many pixels of each part are shades for good.
    settled: [usize; 2],
    /// How far a shade was rounded at most.
    rounding: f64,
    notes: Vec<String>,
}

impl Shading {
    fn new(given: Option<Range>) -> Self {
        Self {
            given,
            pixels: BothParts::default(),
            layout: None,
            element: None,
            range: given,
            largest: 0.0,
            settled: [0; 2],
            rounding: 0.0,
            notes: Vec::new(),
        }
    }

    /// Adds an array of images, `part(i, n)` saying where image `i` of `n` goes: how many there are.
    fn add(&mut self, array: Array<'_>, part: impl Fn(usize, usize) -> usize) -> Result<usize> {
        let layout = self.layout(&array)?;
        let (count, element, place) = (array.shape[0], array.element, array.place.clone());
        if self.element.is_some_and(|before| before.white() != element.white()) {
            self.settle(&place)?;
        }
        self.element = Some(element);
        let too_large =
            || Error::data(&place, format!("{count} images take more memory than there is; use fewer"));
        if !layout.len().checked_mul(count).is_some_and(has_room) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        let mut result = Ok(());
        array.chunks(|first, numbers| {
            for (i, numbers) in (first..).zip(numbers.chunks_exact(layout.len())) {
                let known = self.range;
                self.shades(numbers, &mut bytes).map_err(|number| self.outside(&place, i, number))?;
                if self.range != known {
                    // The first numbers of this image were taken before the range was known.
                    self.shades(numbers, &mut bytes).map_err(|number| self.outside(&place, i, number))?;
                }
                let pixels = &mut self.pixels[part(i, count)];
                if pixels.try_reserve(bytes.len()).is_err() {
                    result = Err(too_large());
                    return Ok(());
                }
                pixels.extend(layout.interleaved(&bytes));
            }
            Ok(())
        })?;
        result.map(|()| count)
    }

    /// The layout of an array, which must be that of those before it.
    fn layout(&mut self, array: &Array<'_>) -> Result<Layout> {
        let layout = match (Layout::of(&array.shape), &array.shape[..]) {
            (Some(layout), _) => layout,
            (None, &[_, pixels]) => {
                let side = pixels.isqrt();
                let layout =
                    if side * side == pixels { Layout::grey(side, side) } else { Layout::grey(1, pixels) };
                let (place, text) = (array.place.display(), layout.text());
                self.notes.push(format!("{place}: rows of {pixels} numbers are taken as images of {text}"));
                layout
            }
            (None, _) => {
                let problem = format!(
                    "the array has shape {}, expected images (N, H, W), in colour (N, H, W, 3) or (N, 3, H, W), or flat \
                     (N, H * W)",
                    array.shape_text()
                );
                return Err(array.error(problem));
            }
        };
        array.len()?;
        // More than 2^32 could not be counted by the shuffled order.
        if u32::try_from(array.shape[0]).is_err() || array.shape[0] == 0 || layout.is_empty() {
            let problem = format!(
                "the array has shape {}, which is nothing to learn from; expected at least one image of at least one pixel",
                array.shape_text()
            );
            return Err(array.error(problem));
        }
        match self.layout {
            Some(first) if first.size() != layout.size() => {
                let [size, other] = [first, layout].map(Layout::text);
                Err(array.error(format!(
                    "the test images have {other}, but the training images {size}; both must have the same size, so take \
                     both from one data set"
                )))
            }
            _ => {
                self.layout = Some(layout);
                Ok(layout)
            }
        }
    }

    /// The shades of an image's numbers, or a number outside of the range.
    fn shades(&mut self, numbers: &[f64], bytes: &mut Vec<u8>) -> std::result::Result<(), f64> {
        bytes.clear();
        for &number in numbers {
            bytes.push(self.shade(number).ok_or(number)?);
        }
        Ok(())
    }

    /// The shade of a number, or the number as long as the range is unknown; none outside of the range.
    fn shade(&mut self, number: f64) -> Option<u8> {
        if self.range.is_none() {
            match self.element.and_then(Element::white) {
                Some(white) if number > 1.0 => self.decide(white),
                None if !is_byte(number) && self.largest <= 1.0 => self.decide(1.0),
                None if !is_byte(number) => return None,
                _ => {
                    self.largest = self.largest.max(number);
                    return Some(number as u8);
                }
            }
        }
        let Range { low, high } = self.range?;
        let shade = (number - low) / (high - low) * 255.0;
        let nearest = shade.round();
        self.rounding = self.rounding.max((shade - nearest).abs());
        (0.0..=255.0).contains(&shade).then_some(nearest as u8)
    }

    /// Brings the numbers so far, whole ones, to the range from 0 to `white`.
    fn decide(&mut self, white: f64) {
        self.range = Some(Range { low: 0.0, high: white });
        if white != 255.0 {
            let shades: [u8; 256] =
                std::array::from_fn(|number| (number as f64 / white * 255.0).round() as u8);
            for (pixels, settled) in self.pixels.iter_mut().zip(self.settled) {
                pixels[settled..].iter_mut().for_each(|pixel| *pixel = shades[usize::from(*pixel)]);
            }
        }
    }

    /// Decides by the numbers so far, as no others follow that could, and forgets the range.
    fn settle(&mut self, place: &Path) -> Result<()> {
        if self.range.is_none() {
            let white = if self.largest <= 1.0 { Some(1.0) } else { white_of_bytes(self.largest) };
            let Some(white) = white else {
                let problem = format!(
                    "all values are whole numbers from 0 to {0}: too few to tell what is white; give the values of black \
                     and white with --scale 0,{0}, or 0,255 if these are dark images",
                    self.largest
                );
                return Err(Error::data(place, problem));
            };
            self.decide(white);
            if let (Some(element), true) = (self.element, white > 1.0) {
                let name = element.name();
                self.notes.push(format!(
                    "the images hold whole numbers from 0 to {} as {name}: they are taken as bytes, 255 being white",
                    self.largest
                ));
            }
        }
        (self.range, self.largest) = (self.given, 0.0);
        self.settled = self.pixels.each_ref().map(Vec::len);
        Ok(())
    }

    fn outside(&self, place: &Path, i: usize, number: f64) -> Error {
        let what = match self.range {
            Some(Range { low, high }) => format!("outside of {low}..{high}"),
            None if (0.0..=255.0).contains(&number) => "no whole number, as those before it are".into(),
            None => "outside of 0..255".into(),
        };
        let fits = |white: &f64| (0.0..=*white).contains(&number);
        let proposal = match [255.0, 4095.0, 65535.0].into_iter().find(fits) {
            Some(white) if self.given.is_none() => format!(", such as 0,{white}"),
            _ => String::new(),
        };
        Error::data(
            place,
            format!(
                "the value {number} in image {i} (counted from 0) is {what}; give the values of black and white with \
                 --scale LOW,HIGH{proposal}"
            ),
        )
    }

    /// The pixels and the notes.
    fn finish(mut self, place: &Path) -> Result<(Layout, BothParts, Vec<String>)> {
        self.settle(place)?;
        if self.rounding > ROUNDED {
            self.notes.push("the images are kept as bytes: their values were rounded to 256 shades".into());
        }
        Ok((self.layout.unwrap_or(Layout::grey(0, 0)), self.pixels, self.notes))
    }
}

/// The contents of a file.
struct Contents {
    canvas: Shading,
    /// How many images each part has.
    counts: [usize; 2],
    labels: Option<BothParts>,
    /// Their names, if they are not numbers.
    classes: Option<Vec<String>>,
    /// How many factors, and their values.
    factors: Option<(usize, BothParts)>,
}

impl Contents {
    fn new(canvas: Shading, counts: [usize; 2]) -> Self {
        Self { canvas, counts, labels: None, classes: None, factors: None }
    }
}

fn dataset(path: &Path, contents: Contents) -> Result<Dataset> {
    let Contents { canvas, counts, labels, classes, factors } = contents;
    if counts.contains(&0) {
        let problem = "there is only one image; expected at least two, one to learn from and one for tests";
        return Err(Error::data(path, problem));
    }
    let (layout, [train_pixels, test_pixels], notes) = canvas.finish(path)?;
    let (mut names, mut values) = (Vec::new(), None);
    if let Some((columns, factors)) = factors {
        names = match columns == FACTORS.len() {
            true => FACTORS.map(String::from).to_vec(),
            false => (1..=columns).map(|number| format!("factor {number}")).collect(),
        };
        values = Some(factors);
    }
    let shape = FACTORS.iter().position(|&factor| factor == "shape");
    let shapes = values.as_ref().zip(shape).filter(|_| names == FACTORS).map(|(values, shape)| {
        values.each_ref().map(|part| part.iter().skip(shape).step_by(FACTORS.len()).copied().collect())
    });
    let largest = |labels: &BothParts| labels.iter().flatten().max().map_or(0, |&label| usize::from(label));
    let ([train_labels, test_labels], classes) = match (shapes, labels) {
        (Some(shapes), _) if largest(&shapes) < SHAPES.len() => (shapes, SHAPES.map(String::from).to_vec()),
        (_, Some(labels)) => {
            let numbers = (0..=largest(&labels)).map(|label| label.to_string()).collect();
            (labels, classes.unwrap_or(numbers))
        }
        _ => (counts.map(|count| vec![0; count]), vec![title(path)]),
    };
    let mut values = values.into_iter().flatten();
    let mut part = |(pixels, labels)| Images {
        height: layout.height,
        width: layout.width,
        channels: layout.channels,
        pixels: Pixels::Bytes(pixels),
        labels,
        factors: values.next().map(|values| Factors { names: names.clone(), values }),
    };
    let (train, test) = (part((train_pixels, train_labels)), part((test_pixels, test_labels)));
    Ok(Dataset { name: title(path), train, test, classes, columns: None, notes })
}

/// Writes images, labels and factors as a compressed `.npz` archive, over what is at `path`.
pub fn write(path: &Path, images: &Images) -> Result<()> {
    let (count, size) = (images.len(), [images.height, images.width, images.channels]);
    let mut shape = [&[count][..], &size].concat();
    if images.channels == 1 {
        shape.pop();
    }
    let pixels: Vec<u8> = (0..count).flat_map(|i| images.image(i).into_owned()).collect();
    let mut arrays = vec![
        NamedArray { name: IMAGES[0], shape, values: Values::Bytes(&pixels) },
        NamedArray { name: LABELS, shape: vec![count], values: Values::Bytes(&images.labels) },
    ];
    if let Some(factors) = &images.factors {
        let shape = vec![count, factors.names.len()];
        arrays.push(NamedArray { name: CLASSES, shape, values: Values::Bytes(&factors.values) });
    }
    npy::write(path, &arrays)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::format;
    use crate::data::sprites;
    use ndarray::{Array, Array1, Array2, Array3, ArrayD, Dimension, ShapeBuilder};
    use ndarray_npy::{NpzWriter, WritableElement, WriteNpyExt};
    use std::fs::File;
    use std::path::PathBuf;
    use tempfile::TempDir;
    use zip::CompressionMethod;
    use zip::write::SimpleFileOptions;

    /// An archive that is being written.
    struct Npz(TempDir, NpzWriter<File>);

    impl Npz {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let file = File::create(directory.path().join("x.npz")).unwrap();
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
            Self(directory, NpzWriter::new_with_options(file, options))
        }

        fn add<A: WritableElement, D: Dimension>(mut self, key: &str, array: &Array<A, D>) -> Self {
            self.1.add_array(key, array).unwrap();
            self
        }

        fn load(self) -> Result<Dataset> {
            self.1.finish().unwrap();
            super::archive(&self.0.path().join("x.npz"), 5, None)
        }

        /// Expects an error about the archive, or with a key about an array of it.
        fn fails(self, key: &str, problem: &str) {
            let message = self.load().unwrap_err().to_string();
            let (_, found) =
                message.split_once(&format!("x.npz{key}: ")).unwrap_or_else(|| panic!("{message}"));
            assert_eq!(found, problem);
        }
    }

    fn load(path: &Path, seed: u64) -> Result<Dataset> {
        format::load(path.to_str().unwrap(), seed, None)
    }

    fn npy<A: WritableElement, D: Dimension>(directory: &TempDir, array: &Array<A, D>) -> PathBuf {
        let path = directory.path().join("x.npy");
        array.write_npy(File::create(&path).unwrap()).unwrap();
        path
    }

    /// All images of both parts, each with its label.
    fn all(dataset: &Dataset) -> Vec<(Vec<u8>, u8)> {
        let part = |images: &Images| -> Vec<_> {
            (0..images.len()).map(|i| (images.image(i).into_owned(), images.labels[i])).collect()
        };
        [part(&dataset.train), part(&dataset.test)].concat()
    }

    /// A file laid out as that of dSprites: bytes 0 and 1, classes of 64 bits.
    #[test]
    fn the_layout_of_dsprites_is_read() {
        let n = 50;
        let numbers: Vec<u32> = (0..n).map(|i| i * 14_741).collect();
        let mut images = Vec::new();
        for &number in &numbers {
            let mut pixels = vec![0; sprites::PIXELS];
            sprites::draw(sprites::Sprite::of(number), sprites::geometry(), [0u8, 0, 1], &mut pixels);
            images.extend(pixels);
        }
        let classes = numbers.iter().flat_map(|&number| sprites::Sprite::of(number).values());
        let classes: Vec<i64> = classes.map(i64::from).collect();
        let dataset = Npz::new()
            .add("imgs", &Array3::from_shape_vec([n as usize, 64, 64], images).unwrap())
            .add("latents_values", &Array2::<f64>::zeros([n as usize, 6]))
            .add("latents_classes", &Array2::from_shape_vec([n as usize, 6], classes).unwrap())
            .load()
            .unwrap();
        assert_eq!((dataset.train.len(), dataset.test.len()), (45, 5));
        assert_eq!(
            (dataset.name.as_str(), &dataset.classes[..]),
            ("x.npz", &sprites::SHAPES.map(String::from)[..])
        );
        let mut seen = Vec::new();
        for images in [&dataset.train, &dataset.test] {
            assert_eq!((images.height, images.width, images.channels), (64, 64, 1));
            let factors = images.factors.as_ref().unwrap();
            assert_eq!(factors.names, sprites::FACTORS);
            for i in 0..images.len() {
                // Which image it is, from its factors; then its pixels must be those.
                let number = factors.row(i).iter().zip(sprites::SIZES);
                let number = number.fold(0, |number, (&v, size)| number * u32::from(size) + u32::from(v));
                let mut pixels = vec![0; sprites::PIXELS];
                let sprite = sprites::Sprite::of(number);
                sprites::draw(sprite, sprites::geometry(), sprites::LEVELS, &mut pixels);
                assert_eq!((&*images.image(i), images.labels[i]), (&pixels[..], sprite.shape));
                seen.push(number);
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, numbers, "each image once");
    }

    #[test]
    fn the_seed_chooses_the_tests() {
        let directory = tempfile::tempdir().unwrap();
        let path = npy(&directory, &Array3::from_shape_fn([200, 1, 2], |(i, _, c)| (i + c) as u8));
        let [a, b, c] = [1, 1, 2].map(|seed| load(&path, seed).unwrap());
        assert_eq!((a.train.len(), a.test.len()), (180, 20));
        assert!(a == b && a != c);
        let mut images = all(&a);
        assert_ne!(
            images[180..200].iter().map(|(image, _)| image[0]).collect::<Vec<_>>(),
            Vec::from_iter(180..200)
        );
        images.sort();
        let want: Vec<_> = (0..200).map(|i| (vec![i, i + 1], 0)).collect();
        assert_eq!(images, want);
        assert_eq!(a.classes, ["x.npy"]);
    }

    #[test]
    fn every_type_becomes_bytes() {
        fn pixels<A: WritableElement>(values: [A; 4]) -> Vec<u8> {
            let directory = tempfile::tempdir().unwrap();
            let path = npy(&directory, &Array3::from_shape_vec([2, 1, 2], values.into()).unwrap());
            let mut images = all(&load(&path, 0).unwrap());
            images.sort();
            images.into_iter().flat_map(|(image, _)| image).collect()
        }
        assert_eq!(pixels([0u8, 1, 2, 255]), [0, 1, 2, 255]);
        assert_eq!(pixels([0u8, 1, 1, 1]), [0, 255, 255, 255]);
        assert_eq!(pixels([false, true, true, false]), [0, 255, 255, 0]);
        assert_eq!(pixels([0.0f32, 0.004, 0.5, 1.0]), [0, 1, 128, 255]);
        assert_eq!(pixels([0.0f32, 0.004, 0.004, 0.0]), [0, 1, 1, 0], "these are no zeros and ones");
        assert_eq!(pixels([0u16, 257, 514, 65535]), [0, 1, 2, 255]);
        assert_eq!(pixels([0u16, 1, 1, 0]), [0, 255, 255, 0]);
        assert_eq!(
            pixels([1u16, 1, 257, 65535]),
            [0, 0, 1, 255],
            "a word of 1 is black where others are brighter"
        );
        assert_eq!(pixels([0.0f64, 0.5, 1.0, 1.0]), [0, 128, 255, 255]);
        assert_eq!(pixels([0i64, 1, 2, 128]), [0, 1, 2, 128], "bytes of a wider type");
        assert_eq!(pixels([0.0f32, 1.0, 2.0, 255.0]), [0, 1, 2, 255]);
        assert_eq!(pixels([0i32, 1, 1, 1]), [0, 255, 255, 255]);
        assert_eq!(pixels([0.0f32, 1.0, 1.0, 0.5]), [0, 255, 255, 128], "ones before the first fraction");
    }

    #[test]
    fn numbers_that_may_be_on_several_scales_are_refused() {
        let fails = |values: [f32; 4], problem: &str| {
            let directory = tempfile::tempdir().unwrap();
            let path = npy(&directory, &Array3::from_shape_vec([2, 1, 2], values.into()).unwrap());
            let message = load(&path, 0).unwrap_err().to_string();
            assert!(message.contains(problem) && message.contains("--scale"), "{message}");
        };
        fails([0.0, 7.0, 16.0, 3.0], "all values are whole numbers from 0 to 16");
        fails([0.0, 200.0, 0.5, 3.0], "the value 0.5 in image 1 (counted from 0) is no whole number");
        fails([0.0, 0.5, 200.0, 3.0], "the value 200 in image 1 (counted from 0) is outside of 0..1");
        fails([0.0, 200.0, 256.0, 3.0], "the value 256 in image 1 (counted from 0) is outside of 0..255");
        fails([0.0, 200.0, -1.0, 3.0], "the value -1 in image 1 (counted from 0) is outside of 0..255");
    }

    /// Both parts of Keras' archive, one of a type of brightness.
    #[test]
    fn parts_of_two_types_have_a_scale_each() {
        let of_part = |values: [f32; 2]| Array3::from_shape_vec([2, 1, 1], values.into()).unwrap();
        let labels = Array1::<u8>::zeros(2);
        let loaded = |train: [f32; 2], test: [f32; 2]| {
            let archive =
                Npz::new().add("x_train", &of_part(train).mapv(|v| v as u8)).add("y_train", &labels);
            let dataset = archive.add("x_test", &of_part(test)).add("y_test", &labels).load().unwrap();
            [dataset.train, dataset.test].map(|part| [part.image(0)[0], part.image(1)[0]])
        };
        assert_eq!(loaded([7.0, 200.0], [0.5, 1.0]), [[7, 200], [128, 255]]);
        assert_eq!(loaded([0.0, 1.0], [0.5, 1.0]), [[0, 255], [128, 255]]);
        assert_eq!(loaded([1.0, 200.0], [0.0, 1.0]), [[1, 200], [0, 255]]);
    }

    #[test]
    fn colour_and_labels_are_read() {
        let pixel = |i: &[usize]| (50 * i[0] + 20 * i[1] + 3 * i[2] + i[3]) as u8;
        let images = ArrayD::from_shape_fn(vec![4, 2, 3, 3], |i| pixel(i.slice()));
        let labels = Array1::from_vec(vec![3i32, 0, 2, 3]);
        let dataset = Npz::new().add("labels", &labels).add("images", &images).load().unwrap();
        assert_eq!((dataset.train.channels, dataset.train.dimension()), (3, 18));
        assert_eq!(dataset.classes, ["0", "1", "2", "3"]);
        for (image, label) in all(&dataset) {
            let i = usize::from(image[0] / 50);
            assert_eq!(i32::from(label), labels[i]);
            assert_eq!(image[15..], [0, 1, 2].map(|c| pixel(&[i, 1, 2, c])));
        }
        // A last dimension of one is grey.
        let grey = ArrayD::<u8>::from_elem(vec![4, 2, 3, 1], 7);
        assert_eq!(Npz::new().add("any name", &grey).load().unwrap().train.channels, 1);
    }

    #[test]
    fn the_layout_of_keras_is_read() {
        let images = |n, first: u8| Array3::from_shape_fn([n, 1, 2], |(i, _, c)| first + (2 * i + c) as u8);
        let archive = |test: &Array3<u8>| {
            Npz::new()
                .add("x_test", test)
                .add("y_test", &Array1::from_vec(vec![1u8, 2]))
                .add("x_train", &images(3, 10))
                .add("y_train", &Array1::from_vec(vec![4u8, 0, 1]))
        };
        let dataset = archive(&images(2, 50)).load().unwrap();
        let train = Images::grey([1, 2], (10..16).collect(), vec![4, 0, 1]);
        assert_eq!(
            (dataset.train, dataset.test),
            (train, Images::grey([1, 2], (50..54).collect(), vec![1, 2]))
        );
        let problem = "the test images have 2 x 2 pixels in grey, but the training images 1 x 2 pixels in grey; both must \
                       have the same size, so take both from one data set";
        archive(&Array3::zeros([2, 2, 2])).fails(":x_test", problem);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.npz");
        for coloured in [false, true] {
            let mut images = sprites::dataset(3, coloured).test;
            images.labels.truncate(30);
            if let (Pixels::Sprites(numbers), Some(factors)) = (&mut images.pixels, &mut images.factors) {
                numbers.truncate(30);
                factors.values.truncate(30 * sprites::FACTORS.len());
            }
            write(&path, &images).unwrap();
            let read = super::archive(&path, 0, None).unwrap();
            assert_eq!(read.train.channels, images.channels);
            let mut want: Vec<_> =
                (0..30).map(|i| (images.image(i).into_owned(), images.labels[i])).collect();
            let mut found = all(&read);
            want.sort();
            found.sort();
            assert!(want == found, "coloured: {coloured}");
            let factor_values = |images: &Images| images.factors.as_ref().unwrap().values.clone();
            let read = [factor_values(&read.train), factor_values(&read.test)].concat();
            let sum = |values: &[u8]| values.iter().map(|&value| u32::from(value)).sum::<u32>();
            assert_eq!(sum(&read), sum(&factor_values(&images)));
        }
    }

    #[test]
    fn other_names_are_refused() {
        let problem = "there is no array `imgs` of images in this archive, but `a`, `b`; write one with \
                       `numpy.savez(FILE, imgs=...)`";
        let array = Array3::<u8>::zeros([2, 1, 1]);
        Npz::new().add("a", &array).add("b", &array).fails("", problem);
        let problem = "there is no array `imgs` of images in this archive, but none at all; write one with \
                       `numpy.savez(FILE, imgs=...)`";
        Npz::new().fails("", problem);
    }

    #[test]
    fn other_arrays_are_refused() {
        let problem = "the array has shape (5,), expected images (N, H, W), in colour (N, H, W, 3) or (N, 3, H, W), or flat \
                       (N, H * W)";
        Npz::new().add("imgs", &Array1::<u8>::zeros(5)).fails(":imgs", problem);
        let message = Npz::new().add("imgs", &Array3::<u8>::zeros([1, 4, 4])).load().unwrap_err().to_string();
        assert!(message.contains("there is only one image; expected at least two"), "{message}");
        for (value, name, hint) in
            [(1.5, "1.5", ", such as 0,255"), (-0.5, "-0.5", ""), (f32::NAN, "NaN", "")]
        {
            let mut images = Array3::<f32>::zeros([3, 2, 2]);
            images[[2, 0, 1]] = value;
            let problem = format!(
                "the value {name} in image 2 (counted from 0) is outside of 0..1; give the values of black and white with \
                 --scale LOW,HIGH{hint}"
            );
            Npz::new().add("imgs", &images).fails(":imgs", &problem);
        }
    }

    #[test]
    fn every_layout_is_the_same_data() {
        let directory = tempfile::tempdir().unwrap();
        let grey = ArrayD::from_shape_fn(vec![20, 4, 4], |i| (12 * i[0] + 4 * i[1] + i[2]) as u8);
        let want = load(&npy(&directory, &grey), 3).unwrap();
        for shape in [vec![20, 16], vec![20, 1, 4, 4], vec![20, 4, 4, 1]] {
            let same = grey.clone().into_shape_with_order(shape).unwrap();
            let dataset = load(&npy(&directory, &same), 3).unwrap();
            assert_eq!((dataset.train, dataset.test), (want.train.clone(), want.test.clone()));
        }
        let mut fortran = ArrayD::<u8>::zeros(vec![20, 4, 4].f());
        fortran.assign(&grey);
        assert_eq!(load(&npy(&directory, &fortran), 3).unwrap().train, want.train);
        let colour =
            ArrayD::from_shape_fn(vec![20, 4, 4, 3], |i| (9 * i[0] + 4 * i[1] + i[2] + 50 * i[3]) as u8);
        let want = load(&npy(&directory, &colour), 3).unwrap();
        let planes = colour.permuted_axes(vec![0, 3, 1, 2]).as_standard_layout().to_owned();
        assert_eq!(load(&npy(&directory, &planes), 3).unwrap().train, want.train);
    }

    #[test]
    fn a_scale_brings_any_numbers_to_black_and_white() {
        let directory = tempfile::tempdir().unwrap();
        let words = Array3::from_shape_vec([2, 1, 2], vec![0i32, 2047, 4095, 4095]).unwrap();
        let path = npy(&directory, &words);
        let scaled = |range: &str| {
            let dataset = format::load(path.to_str().unwrap(), 0, Some(range.parse().unwrap()))?;
            let mut images = all(&dataset);
            images.sort();
            Ok::<_, Error>(images.into_iter().flat_map(|(image, _)| image).collect::<Vec<_>>())
        };
        assert_eq!(scaled("0,4095").unwrap(), [0, 127, 255, 255]);
        assert!(scaled("0,2000").unwrap_err().to_string().contains("is outside of 0..2000"));
        assert!("5,1".parse::<Range>().is_err() && "1".parse::<Range>().is_err());
    }

    #[test]
    fn labels_and_factors_that_do_not_fit_are_refused() {
        let archive = || Npz::new().add("imgs", &Array3::<u8>::zeros([3, 1, 1]));
        let problem = "there are 2 rows here, but 3 images; expected one row for each image";
        archive().add("labels", &Array1::<u8>::zeros(2)).fails(":labels", problem);
        let problem = "there are 2 rows here, but 3 images; expected one row for each image";
        archive().add("latents_classes", &Array2::<i64>::zeros([2, 6])).fails(":latents_classes", problem);
        let problem = "the value 256 in row 1 (counted from 0) is no class; expected whole numbers 0..255";
        archive().add("labels", &Array1::from_vec(vec![0i64, 256, 0])).fails(":labels", problem);
    }

    #[test]
    fn damaged_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = npy(&directory, &Array3::<u8>::zeros([2, 3, 4]));
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, &good[..good.len() - 1]).unwrap();
        let message = load(&path, 0).unwrap_err().to_string();
        assert!(
            message.ends_with("so 24 bytes, but only 23 follow it; the file is damaged, copy it again"),
            "{message}"
        );

        // One bit of a value: only the checksum shows it.
        let path = directory.path().join("x.npz");
        let mut archive = NpzWriter::new(File::create(&path).unwrap());
        archive.add_array("imgs", &Array3::<u8>::from_elem([2, 3, 4], 0x77)).unwrap();
        archive.finish().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let value = bytes.windows(24).position(|window| window == [0x77; 24]).unwrap();
        bytes[value] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let message = super::archive(&path, 0, None).unwrap_err().to_string();
        assert!(message.contains("x.npz:imgs: the values cannot be read ("), "{message}");
    }
}
