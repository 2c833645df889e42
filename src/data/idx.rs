//! Images in IDX files, the format of MNIST and its successors.
//!
//! An IDX file is a header of big-endian 32-bit words followed by the values, one byte each:
//!
//! ```text
//! offset 0   magic number: 0x00000800 + the number of dimensions, 3 for images, 1 for labels
//! offset 4   size of the first dimension: how many images or labels
//! offset 8   images only: rows, then at offset 12 columns
//! ```

use super::{Dataset, Images};
use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a word of the header.
const WORD: usize = 4;
/// The magic number without the number of dimensions: values are unsigned bytes.
const UNSIGNED_BYTES: u32 = 0x0800;

/// Loads the data set of a directory with the four files of MNIST, gzipped (`.gz`) or not:
///
/// `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`
///
/// The spelling `train-images.idx3-ubyte` will do too, and a plain file goes before a gzipped one. Images may
/// have any size, the same for training and test. The classes are the numbers from 0 to the largest label.
pub fn directory(path: &Path) -> Result<Dataset> {
    let (train, _) = images(path, "train")?;
    let (test, test_path) = images(path, "t10k")?;
    if (train.height, train.width) != (test.height, test.width) {
        let problem = format!(
            "the test images have {} x {} pixels, but the training images {} x {}; both must have the same \
             size, so take both files from one data set",
            test.height, test.width, train.height, train.width
        );
        return Err(Error::data(test_path, problem));
    }
    let largest = train.labels.iter().chain(&test.labels).max();
    Ok(Dataset {
        name: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        classes: (0..=largest.copied().unwrap_or(0)).map(|label| label.to_string()).collect(),
        train,
        test,
    })
}

/// The images and labels of one part of the data set, `train` or `t10k`, and the path of the images.
fn images(directory: &Path, part: &str) -> Result<(Images, PathBuf)> {
    let images_path = find(directory, &format!("{part}-images"), 3)?;
    let labels_path = find(directory, &format!("{part}-labels"), 1)?;
    let ([count, height, width], pixels) = read(&images_path)?;
    let ([labelled], labels) = read(&labels_path)?;
    if count != labelled {
        let problem = format!(
            "there are {count} images here but {labelled} labels in {}; each image needs one label, so take \
             both files from one data set",
            labels_path.display()
        );
        return Err(Error::data(images_path, problem));
    }
    if pixels.is_empty() {
        let problem = format!(
            "the header announces {count} images of {height} x {width} pixels, which is nothing to learn \
             from; give a file with at least one image of at least one pixel"
        );
        return Err(Error::data(images_path, problem));
    }
    Ok((Images::grey([height, width], pixels, labels), images_path))
}

/// The path of a file under any of its names.
pub(super) fn find(directory: &Path, stem: &str, dimensions: u32) -> Result<PathBuf> {
    let names = ["-", "."].map(|joint| format!("{stem}{joint}idx{dimensions}-ubyte"));
    let paths = ["", ".gz"].into_iter().flat_map(|end| names.iter().map(move |name| format!("{name}{end}")));
    let found = paths.map(|name| directory.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let [name, other] = names;
        let problem = format!(
            "there is no file {name} here, nor {other}, nor either of them with .gz; put one of them into \
             this directory"
        );
        Error::data(directory, problem)
    })
}

/// The sizes of the dimensions and the values of an IDX file of unsigned bytes with N dimensions.
pub(super) fn read<const N: usize>(path: &Path) -> Result<([usize; N], Vec<u8>)> {
    let mut bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        bytes = unpack(path, &bytes)?;
    }

    let expected = UNSIGNED_BYTES + N as u32;
    if let Some(magic) = word(&bytes, 0)
        && magic != expected
    {
        let problem = format!(
            "the magic number at byte offset 0 is {magic:#010x} instead of {expected:#010x}, the file seems \
             to be {}; put an IDX file of {} here",
            kind(&bytes),
            content(N)
        );
        return Err(Error::data(path, problem));
    }
    let header = WORD * (1 + N);
    if bytes.len() < header {
        let problem = format!(
            "the file ends inside its header, which takes {header} bytes and {} are there; it was cut off, \
             copy it again",
            bytes.len()
        );
        return Err(Error::data(path, problem));
    }
    let sizes: [u32; N] = std::array::from_fn(|i| word(&bytes, WORD * (1 + i)).unwrap_or(0));
    // Three words multiply to at most 2^96.
    let expected = header as u128 + sizes.iter().map(|&size| u128::from(size)).product::<u128>();
    let found = bytes.len() as u128;
    if found != expected {
        let sizes = sizes.map(|size| size.to_string()).join(" x ");
        let problem = if found < expected {
            format!(
                "the header announces {sizes} {}, so {expected} bytes in all, but there are {found}; the \
                 file was cut off, copy it again",
                content(N)
            )
        } else {
            format!(
                "the header announces {sizes} {}, so {expected} bytes in all, but {} more follow at byte \
                 offset {expected}; the file is damaged, copy it again",
                content(N),
                found - expected
            )
        };
        return Err(Error::data(path, problem));
    }
    bytes.drain(..header);
    Ok((sizes.map(|size| size as usize), bytes))
}

/// The contents of a gzipped file.
fn unpack(path: &Path, packed: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match MultiGzDecoder::new(packed).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(source) => {
            let problem = format!(
                "the gzip data is damaged after {} unpacked bytes ({source}), or the file is no gzip file; \
                 copy it again",
                bytes.len()
            );
            Err(Error::data(path, problem))
        }
    }
}

/// The big-endian word at an offset, if the file is long enough.
fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|&word| u32::from_be_bytes(word))
}

/// The contents of an IDX file with this many dimensions, in a word.
fn content(dimensions: usize) -> &'static str {
    if dimensions == 1 { "labels" } else { "images" }
}

/// A guess at a file that is not the IDX file wanted, from its first bytes.
fn kind(bytes: &[u8]) -> &'static str {
    match *bytes {
        [0, 0, 8, 1, ..] => "an IDX file of labels",
        [0, 0, 8, 3, ..] => "an IDX file of images",
        [0, 0, 8, ..] => "an IDX file with another number of dimensions",
        [0, 0, 9 | 0x0B..=0x0E, ..] => "an IDX file of values other than unsigned bytes",
        [1 | 3, 8, 0, 0, ..] => "an IDX file with the bytes of its header in the wrong order",
        [0x1F, 0x8B, ..] => "gzipped, which its name must say by .gz at the end",
        [b'P', b'K', ..] => "a zip archive",
        [0x89, b'P', b'N', b'G', ..] | [0xFF, 0xD8, ..] => "a picture",
        [0x93, b'N', b'U', b'M', ..] => "a NumPy array",
        [b'<', ..] => "a web page",
        _ => "something other than IDX",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::format::{self, DATASETS};
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;
    use tempfile::TempDir;

    const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
    const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
    const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
    const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

    fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
        let header = [UNSIGNED_BYTES + sizes.len() as u32].into_iter().chain(sizes.iter().copied());
        header.flat_map(u32::to_be_bytes).chain(values.iter().copied()).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn load(path: &Path) -> Result<Dataset> {
        format::load(path.to_str().unwrap(), 0)
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
        assert_eq!(
            super::directory(directory.path()).unwrap_err().to_string(),
            format!("{}: {problem}", path.display())
        );
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
        let data = super::directory(directory.path()).unwrap();
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
        assert_eq!(super::directory(directory.path()).unwrap().classes.len(), 256);
    }

    #[test]
    fn gzipped_files_and_the_other_spelling_load_the_same() {
        let directory = good();
        let want = super::directory(directory.path()).unwrap();
        let bytes = take(&directory, TRAIN_IMAGES);
        put(&directory, "train-images-idx3-ubyte.gz", &gzip(&bytes));
        let bytes = take(&directory, TRAIN_LABELS);
        put(&directory, "train-labels.idx1-ubyte", &bytes);
        let bytes = take(&directory, TEST_IMAGES);
        put(&directory, "t10k-images.idx3-ubyte.gz", &gzip(&bytes));
        assert_eq!(super::directory(directory.path()).unwrap(), want);
    }

    #[test]
    fn a_plain_file_goes_before_a_gzipped_one() {
        let directory = good();
        let want = super::directory(directory.path()).unwrap();
        put(&directory, "train-images-idx3-ubyte.gz", b"damaged");
        assert_eq!(super::directory(directory.path()).unwrap(), want);
    }

    #[test]
    fn a_missing_directory_is_refused() {
        let directory = good();
        let path = directory.path().join("absent");
        let message = format!("{}: there is no such directory; give {DATASETS}", path.display());
        assert_eq!(load(&path).unwrap_err().to_string(), message);
    }

    #[test]
    fn a_file_instead_of_a_directory_is_refused() {
        let directory = good();
        let file = directory.path().join(TRAIN_IMAGES);
        let message = format!(
            "{}: this is a file, but a directory is expected; give the directory that holds it, or a .npz or \
             .npy file",
            file.display()
        );
        assert_eq!(load(&file).unwrap_err().to_string(), message);
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
    fn a_wrong_magic_number_is_refused() {
        let labels = idx(&[3], &[1, 0, 4]);
        let problem = "the magic number at byte offset 0 is 0x00000801 instead of 0x00000803, the file seems \
                       to be an IDX file of labels; put an IDX file of images here";
        fails_with(TRAIN_IMAGES, &labels, problem);
        let problem = "the magic number at byte offset 0 is 0x00000803 instead of 0x00000801, the file seems \
                       to be an IDX file of images; put an IDX file of labels here";
        fails_with(TEST_LABELS, &idx(&[1, 1, 1], &[5]), problem);
        let problem = "the magic number at byte offset 0 is 0x1f8b0800 instead of 0x00000801, the file seems \
                       to be gzipped, which its name must say by .gz at the end; put an IDX file of labels \
                       here";
        fails_with(TRAIN_LABELS, &gzip(&labels), problem);
        let problem = "the magic number at byte offset 0 is 0x3c68746d instead of 0x00000801, the file seems \
                       to be a web page; put an IDX file of labels here";
        fails_with(TRAIN_LABELS, b"<html>404</html>", problem);
    }

    #[test]
    fn a_truncated_file_is_refused() {
        let problem = "the header announces 3 x 2 x 3 images, so 34 bytes in all, but there are 33; the file \
                       was cut off, copy it again";
        fails_with(TRAIN_IMAGES, &idx(&[3, 2, 3], &[0; 17]), problem);
        // Sizes that no memory holds are no reason to allocate it.
        let problem = "the header announces 4294967295 x 4294967295 x 4294967295 images, so \
                       79228162458924105385300197391 bytes in all, but there are 16; the file was cut off, \
                       copy it again";
        fails_with(TRAIN_IMAGES, &idx(&[u32::MAX; 3], &[]), problem);
        let problem = "the file ends inside its header, which takes 16 bytes and 10 are there; it was cut \
                       off, copy it again";
        fails_with(TEST_IMAGES, &idx(&[1, 2, 3], &[])[..10], problem);
        let problem = "the file ends inside its header, which takes 8 bytes and 0 are there; it was cut off, \
                       copy it again";
        fails_with(TEST_LABELS, &[], problem);
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let problem = "the header announces 3 labels, so 11 bytes in all, but 2 more follow at byte offset \
                       11; the file is damaged, copy it again";
        fails_with(TRAIN_LABELS, &idx(&[3], &[1, 0, 4, 9, 9]), problem);
    }

    #[test]
    fn damaged_gzip_is_refused() {
        let packed = gzip(&idx(&[3, 2, 3], &[1; 18]));
        let mut flipped = packed.clone();
        let checksum = packed.len() - 8;
        flipped[checksum] ^= 1;
        for damaged in [&packed[..packed.len() / 2], &packed[..packed.len() - 3], &flipped, b"no gzip at all"]
        {
            let directory = good();
            take(&directory, TRAIN_IMAGES);
            let name = "train-images-idx3-ubyte.gz";
            put(&directory, name, damaged);
            let message = super::directory(directory.path()).unwrap_err().to_string();
            let start = format!("{}: the gzip data is damaged after ", directory.path().join(name).display());
            assert!(message.starts_with(&start) && message.ends_with("copy it again"), "{message}");
        }
    }

    #[test]
    fn counts_that_differ_are_refused() {
        let directory = good();
        put(&directory, TRAIN_LABELS, &idx(&[2], &[1, 0]));
        let problem = format!(
            "there are 3 images here but 2 labels in {}; each image needs one label, so take both files from \
             one data set",
            directory.path().join(TRAIN_LABELS).display()
        );
        fails(&directory, TRAIN_IMAGES, &problem);
    }

    #[test]
    fn no_image_is_refused() {
        let directory = good();
        put(&directory, TEST_IMAGES, &idx(&[0, 2, 3], &[]));
        put(&directory, TEST_LABELS, &idx(&[0], &[]));
        let problem = "the header announces 0 images of 2 x 3 pixels, which is nothing to learn from; give a \
                       file with at least one image of at least one pixel";
        fails(&directory, TEST_IMAGES, problem);
        let problem = "the header announces 3 images of 2 x 0 pixels, which is nothing to learn from; give a \
                       file with at least one image of at least one pixel";
        fails_with(TRAIN_IMAGES, &idx(&[3, 2, 0], &[]), problem);
    }

    #[test]
    fn training_and_test_images_of_two_sizes_are_refused() {
        let problem = "the test images have 3 x 2 pixels, but the training images 2 x 3; both must have the \
                       same size, so take both files from one data set";
        fails_with(TEST_IMAGES, &idx(&[1, 3, 2], &[0; 6]), problem);
    }
}
