//! IDX files, the format of MNIST and its successors.
//!
//! An IDX file is a header of big-endian 32-bit words followed by the values, big-endian too:
//!
//! ```text
//! offset 0   magic number: two zeros, the type of the values (0x08 unsigned bytes, 0x09 bytes, 0x0B and 0x0C whole
//!            numbers of 16 and 32 bits, 0x0D and 0x0E floats of 32 and 64), and the number of dimensions
//! offset 4   size of the first dimension: how many images or labels
//! offset 8   images: rows, then at offset 12 columns
//! ```

use super::array::{Array, Element, Order};
use super::gzip;
use crate::error::{Error, Result};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Bytes of a word of the header.
const WORD: usize = 4;

/// The path of one of MNIST's files under any of its names, gzipped or not; a plain file goes before a gzipped one.
pub(super) fn find(directory: &Path, stem: &str, dimensions: u32) -> Result<PathBuf> {
    let names = ["-", "."].map(|joint| format!("{stem}{joint}idx{dimensions}-ubyte"));
    let paths = ["", ".gz"].into_iter().flat_map(|end| names.iter().map(move |name| format!("{name}{end}")));
    let found = paths.map(|name| directory.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let [name, other] = names;
        let problem = format!(
            "there is no file {name} here, nor {other}, nor either of them with .gz; put one of them into this directory"
        );
        Error::data(directory, problem)
    })
}

/// Opens a file of images, labels or points; gzipped if its bytes say so.
pub(super) fn open(path: &Path) -> Result<Array<'static>> {
    let (mut reader, length) = gzip::open(path)?;
    let magic = word(path, &mut reader)?;
    let [0, 0, element, dimensions @ 1..=4] = magic else {
        let problem = format!(
            "the magic number at byte offset 0 is 0x{}, so this is {}; put an IDX file here",
            hex(&magic),
            kind(magic)
        );
        return Err(Error::data(path, problem));
    };
    let element = match element {
        0x08 => Element::U8,
        0x09 => Element::I8,
        0x0B => Element::I16,
        0x0C => Element::I32,
        0x0D => Element::F32,
        0x0E => Element::F64,
        _ => {
            let problem = format!(
                "the magic number at byte offset 0 is 0x{}, whose type {element:#04x} is none of IDX; the file is damaged, \
                 copy it again",
                hex(&magic)
            );
            return Err(Error::data(path, problem));
        }
    };
    let size = |_| Ok(u32::from_be_bytes(word(path, &mut reader)?) as usize);
    let shape = (0..dimensions).map(size).collect::<Result<_>>()?;
    let available = length.map(|length| length.saturating_sub((WORD * (1 + usize::from(dimensions))) as u64));
    let (place, order, is_fortran) = (path.into(), Order::BigEndian, false);
    Ok(Array { place, shape, element, order, is_fortran, available, reader })
}

/// Opens a file that must have so many dimensions: 3 for images, 1 for labels.
pub(super) fn open_with(path: &Path, dimensions: usize) -> Result<Array<'static>> {
    let array = open(path)?;
    if array.shape.len() == dimensions {
        return Ok(array);
    }
    let content = |dimensions| match dimensions {
        1 => "labels",
        3 => "images",
        _ => "points",
    };
    let problem = format!(
        "the file has {} dimensions, so it is one of {}; put an IDX file of {} here",
        array.shape.len(),
        content(array.shape.len()),
        content(dimensions)
    );
    Err(array.error(problem))
}

/// The next four bytes of a header.
fn word(path: &Path, reader: &mut impl Read) -> Result<[u8; WORD]> {
    let mut word = [0; WORD];
    reader.read_exact(&mut word).map_err(|source| {
        let problem = match source.kind() {
            ErrorKind::UnexpectedEof => {
                "the file ends inside its header; it was cut off, copy it again".into()
            }
            _ => format!("the header cannot be read ({source}); the file is damaged, copy it again"),
        };
        Error::data(path, problem)
    })?;
    Ok(word)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A guess at a file that is no IDX file, from its first bytes.
fn kind(bytes: [u8; WORD]) -> &'static str {
    match bytes {
        [0, 0, _, 0 | 5..] => "an IDX file with another number of dimensions than 1 to 4",
        [1..=4, 8..=0x0E, 0, 0] => "an IDX file with the bytes of its header in the wrong order",
        [b'P', b'K', ..] => "a zip archive",
        [0x89, b'P', b'N', b'G'] | [0xFF, 0xD8, ..] => "a picture",
        [0x93, b'N', b'U', b'M'] => "a NumPy array, whose name must end in .npy",
        [b'<', ..] => "a web page",
        _ => "something other than IDX",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::format::{self, DATASETS};
    use crate::data::{Dataset, Images};
    use flate2::{Compression, write::GzEncoder};
    use std::fs;
    use std::io::Write;
    use tempfile::TempDir;

    const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
    const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
    const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
    const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

    fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
        let header = [0x0800 + sizes.len() as u32].into_iter().chain(sizes.iter().copied());
        header.flat_map(u32::to_be_bytes).chain(values.iter().copied()).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn load(path: &Path) -> Result<Dataset> {
        format::load(path.to_str().unwrap(), 0, None)
    }

    /// A good directory: three training images and one test image of 2 x 3 pixels.
    fn good() -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        put(&directory, TRAIN_IMAGES, &idx(&[3, 2, 3], &(0..18).collect::<Vec<_>>()));
        put(&directory, TRAIN_LABELS, &idx(&[3], &[1, 0, 4]));
        put(&directory, TEST_IMAGES, &idx(&[1, 2, 3], &[9, 8, 7, 6, 5, 255]));
        put(&directory, TEST_LABELS, &idx(&[1], &[2]));
        directory
    }

    fn put(directory: &TempDir, name: &str, bytes: &[u8]) {
        fs::write(directory.path().join(name), bytes).unwrap();
    }

    /// Takes a file out of the directory: its bytes.
    fn take(directory: &TempDir, name: &str) -> Vec<u8> {
        let path = directory.path().join(name);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(path).unwrap();
        bytes
    }

    /// Expects an error about the file `name` of the directory (or the directory itself if empty).
    fn fails(directory: &TempDir, name: &str, problem: &str) {
        let path = if name.is_empty() { directory.path().into() } else { directory.path().join(name) };
        assert_eq!(load(directory.path()).unwrap_err().to_string(), format!("{}: {problem}", path.display()));
    }

    /// Expects an error about `name` once `bytes` are in it.
    fn fails_with(name: &str, bytes: &[u8], problem: &str) {
        let directory = good();
        put(&directory, name, bytes);
        fails(&directory, name, problem);
    }

    #[test]
    fn a_good_directory_loads() {
        let directory = good();
        let data = load(directory.path()).unwrap();
        assert_eq!(data.name, directory.path().file_name().unwrap().to_str().unwrap());
        let train = Images::grey([2, 3], (0..18).collect(), vec![1, 0, 4]);
        let test = Images::grey([2, 3], vec![9, 8, 7, 6, 5, 255], vec![2]);
        assert_eq!((data.train, data.test), (train, test));
        assert_eq!(data.classes, ["0", "1", "2", "3", "4"]);
    }

    #[test]
    fn all_256_labels_are_allowed() {
        let directory = good();
        put(&directory, TEST_LABELS, &idx(&[1], &[255]));
        assert_eq!(load(directory.path()).unwrap().classes.len(), 256);
    }

    #[test]
    fn gzipped_files_and_the_other_spelling_load_the_same() {
        let directory = good();
        let want = load(directory.path()).unwrap();
        let bytes = take(&directory, TRAIN_IMAGES);
        put(&directory, "train-images-idx3-ubyte.gz", &gzip(&bytes));
        let bytes = take(&directory, TRAIN_LABELS);
        put(&directory, "train-labels.idx1-ubyte", &bytes);
        let bytes = take(&directory, TEST_IMAGES);
        put(&directory, "t10k-images.idx3-ubyte.gz", &gzip(&bytes));
        assert_eq!(load(directory.path()).unwrap(), want);
    }

    #[test]
    fn a_plain_file_goes_before_a_gzipped_one() {
        let directory = good();
        let want = load(directory.path()).unwrap();
        put(&directory, "train-images-idx3-ubyte.gz", b"damaged");
        assert_eq!(load(directory.path()).unwrap(), want);
    }

    #[test]
    fn a_missing_directory_is_refused() {
        let directory = good();
        let path = directory.path().join("absent");
        let message = format!("{}: there is no such file or directory; give {DATASETS}", path.display());
        assert_eq!(load(&path).unwrap_err().to_string(), message);
    }

    #[test]
    fn a_single_file_is_split() {
        let directory = good();
        let data = load(&directory.path().join(TRAIN_IMAGES)).unwrap();
        assert_eq!((data.train.len(), data.test.len(), data.train.width), (2, 1, 3));
    }

    #[test]
    fn all_types_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let words = |element: u8, values: &[u8]| {
            put(&directory, "x.idx", &[&[0, 0, element, 1, 0, 0, 0, 2][..], values].concat());
            open(&directory.path().join("x.idx")).unwrap().values().unwrap()
        };
        assert_eq!(words(0x08, &[1, 255]), [1.0, 255.0]);
        assert_eq!(words(0x09, &[1, 255]), [1.0, -1.0]);
        assert_eq!(words(0x0B, &[1, 0, 255, 255]), [256.0, -1.0]);
        assert_eq!(words(0x0C, &[0, 0, 1, 0, 255, 255, 255, 255]), [256.0, -1.0]);
        let floats: Vec<u8> = [0.5f32, -2.0].iter().flat_map(|v| v.to_be_bytes()).collect();
        assert_eq!(words(0x0D, &floats), [0.5, -2.0]);
        let floats: Vec<u8> = [0.1f64, -2.0].iter().flat_map(|v| v.to_be_bytes()).collect();
        assert_eq!(words(0x0E, &floats), [0.1, -2.0]);
    }

    #[test]
    fn a_missing_file_is_refused() {
        for (name, other) in [
            (TRAIN_IMAGES, "train-images.idx3-ubyte"),
            (TRAIN_LABELS, "train-labels.idx1-ubyte"),
            (TEST_IMAGES, "t10k-images.idx3-ubyte"),
            (TEST_LABELS, "t10k-labels.idx1-ubyte"),
        ] {
            let directory = good();
            take(&directory, name);
            let problem = format!(
                "there is no file {name} here, nor {other}, nor either of them with .gz; put one of them \
                 into this directory"
            );
            fails(&directory, "", &problem);
        }
    }

    #[test]
    fn a_wrong_file_is_refused() {
        let labels = idx(&[3], &[1, 0, 4]);
        let problem = "the file has 1 dimensions, so it is one of labels; put an IDX file of images here";
        fails_with(TRAIN_IMAGES, &labels, problem);
        let problem = "the file has 3 dimensions, so it is one of images; put an IDX file of labels here";
        fails_with(TEST_LABELS, &idx(&[1, 1, 1], &[5]), problem);
        let problem =
            "the magic number at byte offset 0 is 0x3c68746d, so this is a web page; put an IDX file here";
        fails_with(TRAIN_LABELS, b"<html>404</html>", problem);
        let problem = "the magic number at byte offset 0 is 0x00000a01, whose type 0x0a is none of IDX; the file is damaged, \
                       copy it again";
        fails_with(TRAIN_LABELS, &[0, 0, 0x0A, 1, 0, 0, 0, 0], problem);
        // Gzipped whatever its name.
        let directory = good();
        put(&directory, TRAIN_LABELS, &gzip(&labels));
        assert_eq!(load(directory.path()).unwrap().train.labels, [1, 0, 4]);
    }

    #[test]
    fn a_truncated_file_is_refused() {
        let problem = "the header announces (3, 2, 3) values of type uint8, so 18 bytes, but only 17 follow it; the file is \
                       damaged, copy it again";
        fails_with(TRAIN_IMAGES, &idx(&[3, 2, 3], &[0; 17]), problem);
        // Sizes that no memory holds are no reason to allocate it.
        let problem = "the header announces an array of shape (4294967295, 4294967295, 4294967295), more than any memory \
                       holds; the file is damaged, copy it again";
        fails_with(TRAIN_IMAGES, &idx(&[u32::MAX; 3], &[]), problem);
        let problem = "the file ends inside its header; it was cut off, copy it again";
        fails_with(TEST_IMAGES, &idx(&[1, 2, 3], &[])[..10], problem);
        fails_with(TEST_LABELS, &[], problem);
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let problem = "more bytes follow the 3 that the header announces; the file is damaged, copy it again";
        fails_with(TRAIN_LABELS, &idx(&[3], &[1, 0, 4, 9, 9]), problem);
    }

    #[test]
    fn damaged_gzip_is_refused() {
        let packed = gzip(&idx(&[3, 2, 3], &[1; 18]));
        let mut flipped = packed.clone();
        let checksum = packed.len() - 8;
        flipped[checksum] ^= 1;
        for damaged in [&packed[..packed.len() / 2], &packed[..packed.len() - 3], &flipped] {
            let directory = good();
            take(&directory, TRAIN_IMAGES);
            let name = "train-images-idx3-ubyte.gz";
            put(&directory, name, damaged);
            let message = load(directory.path()).unwrap_err().to_string();
            let start = format!("{}: ", directory.path().join(name).display());
            assert!(message.starts_with(&start) && message.ends_with("copy it again"), "{message}");
        }
    }

    #[test]
    fn counts_that_differ_are_refused() {
        let directory = good();
        put(&directory, TRAIN_LABELS, &idx(&[2], &[1, 0]));
        let problem = "there are 2 labels here, but 3 images; each image needs one label, so take both from one data set";
        fails(&directory, TRAIN_LABELS, problem);
    }

    #[test]
    fn no_image_is_refused() {
        let problem = |shape: &str| {
            format!(
                "the array has shape {shape}, which is nothing to learn from; expected at least one image of at least one \
                 pixel"
            )
        };
        fails_with(TEST_IMAGES, &idx(&[0, 2, 3], &[]), &problem("(0, 2, 3)"));
        fails_with(TRAIN_IMAGES, &idx(&[3, 2, 0], &[]), &problem("(3, 2, 0)"));
    }

    #[test]
    fn training_and_test_images_of_two_sizes_are_refused() {
        let problem = "the test images have 3 x 2 pixels in grey, but the training images 2 x 3 pixels in grey; both must \
                       have the same size, so take both from one data set";
        fails_with(TEST_IMAGES, &idx(&[1, 3, 2], &[0; 6]), problem);
    }
}
