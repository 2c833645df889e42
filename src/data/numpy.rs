//! Images in NumPy's files: a `.npy` array, or a `.npz` archive of arrays with these names.
//!
//! | array | shape | holds |
//! |---|---|---|
//! | `imgs` or `images` | `(N, H, W)`, or `(N, H, W, 3)` in colour | bytes in 0..255 or only 0 and 1, booleans, or f32 in 0..1 |
//! | `latents_classes` | `(N, F)` | factors, as in dSprites; of six, the second is the shape and the class |
//! | `labels` | `(N)` | classes, where there are no six factors |
//! | `x_train`, `y_train`, `x_test`, `y_test` | as `imgs` and `labels` | both parts of MNIST as Keras packs it |
//!
//! An archive of a single array may call it anything. Where the file does not say which images are for tests,
//! a tenth of them is chosen by the seed. All images become bytes.

use super::npy::{Archive, Array};
use super::sprites::{FACTORS, SHAPES};
use super::{Dataset, Factors, Images, Pixels, table};
use crate::error::{Error, Result};
use crate::random::{key, shuffled};
use ndarray::ArrayView;
use ndarray_npy::{NpzWriter, ReadableElement, WriteNpzError};
use std::fs::File;
use std::io::{BufWriter, Read};
use std::path::Path;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

/// Names of the array of images; the first is the one that is written.
const IMAGES: [&str; 2] = ["imgs", "images"];
const LABELS: &str = "labels";
const CLASSES: &str = "latents_classes";
/// Images and labels of Keras' MNIST: to learn from, and for tests.
const KERAS: [[&str; 2]; 2] = [["x_train", "y_train"], ["x_test", "y_test"]];

/// One of so many images is for tests.
const TEST_SHARE: usize = 10;
/// The shuffled order that chooses them: one that no training comes to.
const TEST_EPOCH: u32 = u32::MAX;

/// Bytes read at a time, so that a large file takes no more memory than its images.
const CHUNK: usize = 1 << 20;

/// Something of each image, those to learn from and those for tests.
type BothParts = [Vec<u8>; 2];

/// The contents of a file.
struct Contents {
    /// Rows, columns and channels of an image.
    size: [usize; 3],
    pixels: BothParts,
    /// How many images each part has.
    counts: [usize; 2],
    labels: Option<BothParts>,
    /// How many factors, and their values.
    factors: Option<(usize, BothParts)>,
}

/// Loads the data set of a `.npy` file; `seed` chooses the images for tests.
pub fn array(path: &Path, seed: u64) -> Result<Dataset> {
    let choice = TestChoice { seed };
    let mut pixels = BothParts::default();
    let (count, size) = images(Array::open(path)?, |i, n| choice.part(i, n), &mut pixels)?;
    dataset(path, Contents { size, pixels, counts: choice.counts(count), labels: None, factors: None })
}

/// The choice of images for tests.
#[derive(Clone, Copy)]
struct TestChoice {
    seed: u64,
}

impl TestChoice {
    /// 1 when image `i` of `n` is for tests, otherwise 0.
    fn part(self, i: usize, n: usize) -> usize {
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

/// Loads the data set of a `.npz` file; `seed` chooses the images for tests where the file does not.
pub fn archive(path: &Path, seed: u64) -> Result<Dataset> {
    let choice = TestChoice { seed };
    let mut archive = Archive::open(path)?;
    let mut pixels = BothParts::default();
    if KERAS.iter().flatten().all(|key| archive.has(key)) {
        return dataset(path, keras(path, &mut archive)?);
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
    let (count, size) = images(archive.array(&key)?, |i, n| choice.part(i, n), &mut pixels)?;
    let mut rows = |key: &str| -> Result<Option<(usize, BothParts)>> {
        if !archive.has(key) {
            return Ok(None);
        }
        let (columns, values) = small(&mut archive, key, count)?;
        Ok(Some((columns, choice.rows(&values, count))))
    };
    let factors = rows(CLASSES)?;
    let labels = rows(LABELS)?.map(|(_, labels)| labels);
    dataset(path, Contents { size, pixels, counts: choice.counts(count), labels, factors })
}

/// Both parts of an archive as Keras packs it.
fn keras(path: &Path, archive: &mut Archive<'_>) -> Result<Contents> {
    let (mut pixels, mut labels) = (BothParts::default(), BothParts::default());
    let mut sizes = [([0; 3], 0); 2];
    for (part, [images_key, labels_key]) in KERAS.into_iter().enumerate() {
        let (count, size) = images(archive.array(images_key)?, |_, _| part, &mut pixels)?;
        sizes[part] = (size, count);
        labels[part] = small(archive, labels_key, count)?.1;
    }
    let [(size, train), (other, test)] = sizes;
    if size != other {
        let [size, other] = [size, other].map(described);
        let problem = format!("the test images have {other}, but the training images {size}");
        return Err(Error::data(path, format!("{problem}; both must have the same size")));
    }
    Ok(Contents { size, pixels, counts: [train, test], labels: Some(labels), factors: None })
}

/// A row of small whole numbers for each of `count` images: how many numbers, and the numbers.
fn small(archive: &mut Archive<'_>, key: &str, count: usize) -> Result<(usize, Vec<u8>)> {
    let array = archive.array(key)?;
    let place = array.place.clone();
    let table = table::npy::table(array)?;
    if table.rows != count || (key != CLASSES && table.columns != 1) {
        let problem = format!(
            "there are {} rows of {} numbers here, but {count} images; expected one row for each image{}",
            table.rows,
            table.columns,
            if key == CLASSES { "" } else { ", of one number" }
        );
        return Err(Error::data(place, problem));
    }
    let byte = |(k, &value): (usize, &f64)| {
        let byte = value as u8;
        let problem = || {
            let row = k / table.columns;
            format!(
                "the value {value} in row {row} (counted from 0) is no class; expected whole numbers 0..255"
            )
        };
        if f64::from(byte) == value { Ok(byte) } else { Err(Error::data(&place, problem())) }
    };
    let values = table.values.iter().enumerate().map(byte).collect::<Result<_>>()?;
    Ok((table.columns, values))
}

/// Reads the array of images into `parts`, `part(i, n)` saying where image `i` of `n` goes: how many there
/// are, and their size.
fn images(
    array: Array<impl Read>,
    part: impl Fn(usize, usize) -> usize,
    parts: &mut BothParts,
) -> Result<(usize, [usize; 3])> {
    let (count, size) = match *array.shape() {
        [n, h, w] => (n, [h, w, 1]),
        [n, h, w, channels @ (1 | 3)] => (n, [h, w, channels]),
        _ => {
            let problem = format!(
                "the array has shape {}, expected images (N, H, W) or, in colour, (N, H, W, 3)",
                array.shape_text()
            );
            return Err(array.error(problem));
        }
    };
    // Fewer than two cannot be split, and more than 2^32 not be counted by the shuffled order.
    if count < 2 || u32::try_from(count).is_err() || size.contains(&0) {
        let problem = format!(
            "the array has shape {}, which is nothing to learn from; expected at least two images of at \
             least one pixel",
            array.shape_text()
        );
        return Err(array.error(problem));
    }
    if array.is_fortran() {
        return Err(array.error("the array is in Fortran order; save `numpy.ascontiguousarray(a)` instead"));
    }
    let before = parts.each_ref().map(Vec::len);
    match array.element() {
        "u1" => pixels(array, |byte: u8| Some(byte), part, parts).map(|()| stretch(parts, before)),
        "b1" => pixels(array, |bit: bool| Some(u8::MAX * u8::from(bit)), part, parts),
        "f4" => pixels(array, |x: f32| (0.0..=1.0).contains(&x).then(|| byte(x)), part, parts),
        _ => {
            let problem = format!(
                "the images have type {}, expected bytes, booleans or floats of 32 bits; convert the array \
                 with `a.astype('uint8')`",
                array.element_text()
            );
            Err(array.error(problem))
        }
    }?;
    Ok((count, size))
}

/// Where there are only zeros and ones from `before` on, makes them black and white.
fn stretch(parts: &mut BothParts, before: [usize; 2]) {
    let mut pixels = parts.iter_mut().zip(before).flat_map(|(part, before)| &mut part[before..]);
    if pixels.all(|pixel| *pixel <= 1) {
        let pixels = parts.iter_mut().zip(before).flat_map(|(part, before)| &mut part[before..]);
        pixels.for_each(|pixel| *pixel *= u8::MAX);
    }
}

/// The nearest of 256 shades of 0..1.
fn byte(x: f32) -> u8 {
    (x * f32::from(u8::MAX)).round() as u8
}

/// Reads the values of an array of images, `byte` of each, into `parts`.
fn pixels<A: ReadableElement + Copy + std::fmt::Debug>(
    array: Array<impl Read>,
    byte: impl Fn(A) -> Option<u8>,
    part: impl Fn(usize, usize) -> usize,
    parts: &mut BothParts,
) -> Result<()> {
    let (count, place) = (array.shape()[0], array.place.clone());
    let dimension: usize = array.shape()[1..].iter().product();
    let mut bytes = Vec::with_capacity(dimension);
    array.chunks((CHUNK / dimension).max(1) * dimension, |first, values: Vec<A>| {
        if first == 0 {
            let mut counts = [0; 2];
            (0..count).for_each(|i| counts[part(i, count)] += 1);
            for (pixels, images) in parts.iter_mut().zip(counts) {
                pixels.try_reserve_exact(images * dimension).map_err(|_| {
                    let problem = format!("{count} images take more memory than there is; use fewer");
                    Error::data(&place, problem)
                })?;
            }
        }
        for (i, values) in (first / dimension..).zip(values.chunks_exact(dimension)) {
            bytes.clear();
            for &value in values {
                bytes.push(byte(value).ok_or_else(|| {
                    let problem = format!(
                        "the value {value:?} in image {i} (counted from 0) is outside of 0..1; scale the \
                         images to 0..1, or save them as bytes"
                    );
                    Error::data(&place, problem)
                })?);
            }
            parts[part(i, count)].extend(&bytes);
        }
        Ok(())
    })
}

fn described([height, width, channels]: [usize; 3]) -> String {
    format!("{height} x {width} pixels in {}", if channels == 1 { "grey" } else { "colour" })
}

fn dataset(path: &Path, contents: Contents) -> Result<Dataset> {
    let Contents { size: [height, width, channels], pixels, counts, labels, factors } = contents;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
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
    let (labels, classes) = match (shapes, labels) {
        (Some(shapes), _) if largest(&shapes) < SHAPES.len() => (shapes, SHAPES.map(String::from).to_vec()),
        (_, Some(labels)) => {
            let classes = (0..=largest(&labels)).map(|label| label.to_string()).collect();
            (labels, classes)
        }
        _ => (counts.map(|count| vec![0; count]), vec![name.clone()]),
    };
    let mut values = values.into_iter().flatten();
    let mut part = |(pixels, labels)| Images {
        height,
        width,
        channels,
        pixels: Pixels::Bytes(pixels),
        labels,
        factors: values.next().map(|values| Factors { names: names.clone(), values }),
    };
    let [train_pixels, test_pixels] = pixels;
    let [train_labels, test_labels] = labels;
    let (train, test) = (part((train_pixels, train_labels)), part((test_pixels, test_labels)));
    Ok(Dataset { name, train, test, classes })
}

/// Writes images, labels and factors as a compressed `.npz` archive, over what is at `path`.
pub fn write(path: &Path, images: &Images) -> Result<()> {
    let file = File::create(path).map_err(Error::io(path, "create"))?;
    let failed = |e: WriteNpzError| Error::data(path, format!("the archive cannot be written: {e}"));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let mut archive = NpzWriter::new_with_options(BufWriter::new(file), options);
    let mut add = |key: &str, shape: &[usize], values: &[u8]| -> Result<()> {
        // The sizes are those of the images, so they always fit.
        let Ok(array) = ArrayView::from_shape(shape, values) else {
            return Err(Error::data(path, format!("`{key}` has {} values, not {shape:?}", values.len())));
        };
        archive.add_array(key, &array).map_err(failed)
    };
    let (count, size) = (images.len(), [images.height, images.width, images.channels]);
    let mut shape = [&[count][..], &size].concat();
    if images.channels == 1 {
        shape.pop();
    }
    let pixels: Vec<u8> = (0..count).flat_map(|i| images.image(i).into_owned()).collect();
    add(IMAGES[0], &shape, &pixels)?;
    add(LABELS, &[count], &images.labels)?;
    if let Some(factors) = &images.factors {
        add(CLASSES, &[count, factors.names.len()], &factors.values)?;
    }
    archive.finish().map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::sprites;
    use ndarray::{Array, Array1, Array2, Array3, ArrayD, Dimension, ShapeBuilder};
    use ndarray_npy::{WritableElement, WriteNpyExt};
    use std::path::PathBuf;
    use tempfile::TempDir;

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
            super::archive(&self.0.path().join("x.npz"), 5)
        }

        /// Expects an error about the archive, or with a key about an array of it.
        fn fails(self, key: &str, problem: &str) {
            let message = self.load().unwrap_err().to_string();
            let (_, found) =
                message.split_once(&format!("x.npz{key}: ")).unwrap_or_else(|| panic!("{message}"));
            assert_eq!(found, problem);
        }
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
            sprites::draw(sprites::Sprite::of(number), sprites::geometry(), [0u8, 1], &mut pixels);
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
                sprites::draw(sprite, sprites::geometry(), [0u8, 255], &mut pixels);
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
        let [a, b, c] = [1, 1, 2].map(|seed| array(&path, seed).unwrap());
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
            let mut images = all(&array(&path, 0).unwrap());
            images.sort();
            images.into_iter().flat_map(|(image, _)| image).collect()
        }
        assert_eq!(pixels([0u8, 1, 2, 255]), [0, 1, 2, 255]);
        assert_eq!(pixels([0u8, 1, 1, 1]), [0, 255, 255, 255]);
        assert_eq!(pixels([false, true, true, false]), [0, 255, 255, 0]);
        assert_eq!(pixels([0.0f32, 0.004, 0.5, 1.0]), [0, 1, 128, 255]);
        assert_eq!(pixels([0.0f32, 0.004, 0.004, 0.0]), [0, 1, 1, 0], "these are no zeros and ones");
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
        let problem = "the test images have 2 x 2 pixels in grey, but the training images 1 x 2 pixels in grey; \
                       both must have the same size";
        archive(&Array3::zeros([2, 2, 2])).fails("", problem);
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
            let read = super::archive(&path, 0).unwrap();
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
        let shape = |shape: &str| {
            format!("the array has shape {shape}, expected images (N, H, W) or, in colour, (N, H, W, 3)")
        };
        Npz::new().add("imgs", &Array2::<u8>::zeros([5, 784])).fails(":imgs", &shape("(5, 784)"));
        let planes = ArrayD::<u8>::zeros(vec![2, 3, 4, 4]);
        Npz::new().add("imgs", &planes).fails(":imgs", &shape("(2, 3, 4, 4)"));
        let problem = "the array has shape (1, 4, 4), which is nothing to learn from; expected at least two images \
                       of at least one pixel";
        Npz::new().add("imgs", &Array3::<u8>::zeros([1, 4, 4])).fails(":imgs", problem);
        let problem = "the images have type '<f8', expected bytes, booleans or floats of 32 bits; convert the array \
                       with `a.astype('uint8')`";
        Npz::new().add("imgs", &Array3::<f64>::zeros([2, 4, 4])).fails(":imgs", problem);
        let problem = "the array is in Fortran order; save `numpy.ascontiguousarray(a)` instead";
        Npz::new().add("imgs", &Array3::<u8>::zeros([2, 4, 4].f())).fails(":imgs", problem);
        for (value, name) in [(1.5, "1.5"), (f32::NAN, "NaN"), (-0.1, "-0.1")] {
            let mut images = Array3::<f32>::zeros([3, 2, 2]);
            images[[2, 0, 1]] = value;
            let problem = format!(
                "the value {name} in image 2 (counted from 0) is outside of 0..1; scale the images to 0..1, or \
                 save them as bytes"
            );
            Npz::new().add("imgs", &images).fails(":imgs", &problem);
        }
    }

    #[test]
    fn labels_and_factors_that_do_not_fit_are_refused() {
        let archive = || Npz::new().add("imgs", &Array3::<u8>::zeros([3, 1, 1]));
        let problem = "there are 2 rows of 1 numbers here, but 3 images; expected one row for each image, of one \
                       number";
        archive().add("labels", &Array1::<u8>::zeros(2)).fails(":labels", problem);
        let problem = "there are 2 rows of 6 numbers here, but 3 images; expected one row for each image";
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
        let message = array(&path, 0).unwrap_err().to_string();
        assert!(
            message.ends_with("so 24 bytes, but 23 follow it; the file is damaged, copy it again"),
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
        let message = super::archive(&path, 0).unwrap_err().to_string();
        assert!(message.contains("x.npz:imgs: the values cannot be read ("), "{message}");
    }
}
