//! Samples for the tests: tables of numbers from the files people have.

pub(super) mod csv;
pub(super) mod npy;

use super::idx;
use crate::error::{Error, Result};
use image::ImageFormat;
use std::fs;
use std::path::{Path, PathBuf};

/// A sample: n points of dimension d.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Where it comes from, for titles: the last component of its source, such as `mnist:test`.
    pub name: String,
    /// n, at least 1.
    pub rows: usize,
    /// d, at least 1.
    pub columns: usize,
    /// `(n, d)`, row-major; all finite.
    pub values: Vec<f64>,
    /// Height and width when each row is a grey image, `d = height * width`.
    pub image: Option<[usize; 2]>,
    /// `(d)`: the names of the columns, if the file has them.
    pub header: Option<Vec<String>>,
}

impl Table {
    /// Point `i`: `(d)`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.columns..][..self.columns]
    }
}

/// Reads the images of MNIST's files in a directory, or a folder of PNG images.
pub(super) fn directory(path: &Path, part: Option<&str>) -> Result<Table> {
    let train = idx::find(path, "train-images", 3);
    match part {
        Some("train") => idx_images(&train?),
        Some("test") => idx_images(&idx::find(path, "t10k-images", 3)?),
        Some(part) => {
            let problem =
                format!("the part `:{part}` was asked for, but there are only `:train` and `:test`");
            Err(Error::data(path, problem))
        }
        None => train.map_or_else(|_| png_images(path), |train| idx_images(&train)),
    }
}

/// Reads the labels of MNIST's files in a directory.
pub(super) fn directory_labels(path: &Path, part: Option<&str>) -> Result<Table> {
    match part {
        None | Some("train") => idx_labels(&idx::find(path, "train-labels", 1)?),
        Some("test") => idx_labels(&idx::find(path, "t10k-labels", 1)?),
        _ => directory(path, part),
    }
}

/// The labels of an IDX file, one per row.
pub(super) fn idx_labels(path: &Path) -> Result<Table> {
    let ([rows], labels) = idx::read(path)?;
    let values = labels.into_iter().map(f64::from).collect();
    Ok(Table { rows, columns: 1, values, ..Table::default() })
}

/// The images of an IDX file, one per row.
pub(super) fn idx_images(path: &Path) -> Result<Table> {
    let ([rows, height, width], pixels) = idx::read(path)?;
    if pixels.is_empty() {
        let problem = format!(
            "there are {rows} images of {height} x {width} pixels, which is no sample; give at least one \
             image of at least one pixel"
        );
        return Err(Error::data(path, problem));
    }
    Ok(Table {
        rows,
        columns: height * width,
        values: pixels.into_iter().map(scaled).collect(),
        image: Some([height, width]),
        ..Table::default()
    })
}

/// The PNG images of a directory, one per row.
fn png_images(directory: &Path) -> Result<Table> {
    let format = |file: &PathBuf| ImageFormat::from_path(file).ok();
    let mut files = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>())
        .map_err(Error::io(directory, "read"))?;
    files.retain(|file| format(file).is_some() && file.is_file());
    files.sort();
    if let Some(other) = files.iter().find(|&file| format(file) != Some(ImageFormat::Png)) {
        return Err(Error::data(
            other,
            "only PNG images can be read; convert all images of the folder to PNG",
        ));
    }
    let Some(first) = files.first() else {
        let problem = "there are no images here, neither train-images-idx3-ubyte nor any .png file; give a \
                       directory with the files of MNIST or a folder of PNG images";
        return Err(Error::data(directory, problem));
    };

    let mut size = None;
    let mut values = Vec::new();
    for file in &files {
        let image = image::open(file).map_err(|source| {
            Error::data(file, format!("this is no readable PNG image ({source}); save or copy it again"))
        })?;
        let found = [image.height() as usize, image.width() as usize];
        let expected = *size.get_or_insert(found);
        if found != expected {
            let problem = format!(
                "this image has {} x {} pixels, but {} has {} x {}; all images of the folder must \
                 have one size",
                found[0],
                found[1],
                first.display(),
                expected[0],
                expected[1],
            );
            return Err(Error::data(file, problem));
        }
        values.extend(image.into_luma8().into_raw().into_iter().map(scaled));
    }
    Ok(Table {
        rows: files.len(),
        columns: values.len() / files.len(),
        values,
        image: size,
        ..Table::default()
    })
}

/// A byte as a number in 0..1.
fn scaled(byte: u8) -> f64 {
    f64::from(byte) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::format::{TABLES, read};
    use flate2::{Compression, write::GzEncoder};
    use image::{GrayImage, RgbImage};
    use std::io::Write;
    use tempfile::TempDir;

    /// Expects that `read(source)` fails with this message about `path`.
    fn fails(source: impl AsRef<Path>, path: impl AsRef<Path>, problem: &str) {
        let message = read(source.as_ref().to_str().unwrap()).unwrap_err().to_string();
        assert_eq!(message, format!("{}: {problem}", path.as_ref().display()));
    }

    fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
        let header = [0x0800 + sizes.len() as u32].into_iter().chain(sizes.iter().copied());
        header.flat_map(u32::to_be_bytes).chain(values.iter().copied()).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn put(directory: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn rows_are_slices_of_the_values() {
        let directory = tempfile::tempdir().unwrap();
        let table = read(put(&directory, "x.CSV", b"1,2,3\n4,5,6\n").to_str().unwrap()).unwrap();
        assert_eq!((table.row(0), table.row(1)), (&[1.0, 2.0, 3.0][..], &[4.0, 5.0, 6.0][..]));
        assert_eq!(table.name, "x.CSV");
    }

    #[test]
    fn idx_files_are_read_under_any_name() {
        let directory = tempfile::tempdir().unwrap();
        let bytes = idx(&[2, 1, 3], &[0, 51, 102, 153, 204, 255]);
        for (name, bytes) in [
            ("train-images-idx3-ubyte", bytes.clone()),
            ("my.idx", bytes.clone()),
            ("pictures-ubyte", bytes.clone()),
            ("pictures-ubyte.gz", gzip(&bytes)),
            ("t10k-images.idx3-ubyte.gz", gzip(&bytes)),
        ] {
            let want = Table {
                name: name.into(),
                rows: 2,
                columns: 3,
                values: [0.0, 51.0, 102.0, 153.0, 204.0, 255.0].map(|byte| byte / 255.0).into(),
                image: Some([1, 3]),
                header: None,
            };
            assert_eq!(read(put(&directory, name, &bytes).to_str().unwrap()).unwrap(), want);
        }
    }

    #[test]
    fn idx_files_without_images_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = put(&directory, "x.idx", &idx(&[0, 2, 3], &[]));
        let problem = "there are 0 images of 2 x 3 pixels, which is no sample; give at least one image of at \
                       least one pixel";
        fails(&file, &file, problem);
        let file = put(&directory, "x.idx", &idx(&[3], &[1, 2, 3]));
        let problem = "the magic number at byte offset 0 is 0x00000801 instead of 0x00000803, the file seems \
                       to be an IDX file of labels; put an IDX file of images here";
        fails(&file, &file, problem);
    }

    #[test]
    fn a_directory_of_mnist_has_two_parts() {
        let directory = tempfile::tempdir().unwrap();
        put(&directory, "train-images-idx3-ubyte.gz", &gzip(&idx(&[2, 1, 1], &[0, 255])));
        put(&directory, "t10k-images-idx3-ubyte", &idx(&[1, 1, 1], &[51]));
        let path = directory.path().to_str().unwrap();
        let name = directory.path().file_name().unwrap().to_str().unwrap();
        for (part, values) in [("", vec![0.0, 1.0]), (":train", vec![0.0, 1.0]), (":test", vec![0.2])] {
            let table = read(&format!("{path}{part}")).unwrap();
            assert_eq!((table.name, table.values), (format!("{name}{part}"), values));
            assert_eq!(table.image, Some([1, 1]));
        }
        let problem = "the part `:valid` was asked for, but there are only `:train` and `:test`";
        fails(format!("{path}:valid"), path, problem);
    }

    #[test]
    fn a_part_that_is_missing_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        put(&directory, "a.png", b"");
        let source = format!("{}:test", directory.path().display());
        let problem = "there is no file t10k-images-idx3-ubyte here, nor t10k-images.idx3-ubyte, nor either \
                       of them with .gz; put one of them into this directory";
        fails(source, directory.path(), problem);
    }

    #[test]
    fn png_images_are_read_in_the_order_of_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let save = |name, bytes: [u8; 2]| {
            GrayImage::from_raw(2, 1, bytes.into()).unwrap().save(directory.path().join(name)).unwrap();
        };
        save("b.png", [102, 153]);
        save("a.png", [0, 51]);
        put(&directory, "notes.txt", b"no image");
        let grey = RgbImage::from_raw(2, 1, vec![204, 204, 204, 255, 255, 255]).unwrap();
        grey.save(directory.path().join("c.PNG")).unwrap();
        let table = read(directory.path().to_str().unwrap()).unwrap();
        assert_eq!((table.rows, table.columns, table.image), (3, 2, Some([1, 2])));
        assert_eq!(table.values, [0.0, 51.0, 102.0, 153.0, 204.0, 255.0].map(|byte| byte / 255.0));
    }

    #[test]
    fn png_images_of_two_sizes_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let [a, b] = ["a.png", "b.png"].map(|name| directory.path().join(name));
        GrayImage::new(2, 1).save(&a).unwrap();
        GrayImage::new(3, 2).save(&b).unwrap();
        let problem = format!(
            "this image has 2 x 3 pixels, but {} has 1 x 2; all images of the folder must have one size",
            a.display()
        );
        fails(&directory, &b, &problem);
    }

    #[test]
    fn other_images_than_png_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        GrayImage::new(2, 1).save(directory.path().join("a.png")).unwrap();
        put(&directory, "c.gif", b"GIF89a");
        let file = put(&directory, "b.JPG", b"\xFF\xD8");
        fails(&directory, file, "only PNG images can be read; convert all images of the folder to PNG");
    }

    #[test]
    fn a_damaged_png_image_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = put(&directory, "a.png", b"no PNG");
        let message = read(directory.path().to_str().unwrap()).unwrap_err().to_string();
        let start = format!("{}: this is no readable PNG image (", file.display());
        assert!(message.starts_with(&start) && message.ends_with("); save or copy it again"), "{message}");
    }

    #[test]
    fn a_directory_without_images_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        put(&directory, "notes.txt", b"no image");
        let problem = "there are no images here, neither train-images-idx3-ubyte nor any .png file; give a \
                       directory with the files of MNIST or a folder of PNG images";
        fails(&directory, &directory, problem);
    }

    #[test]
    fn a_missing_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["absent.npy", "absent.npz:key", "absent:train"] {
            let path = directory.path().join(name);
            fails(&path, &path, &format!("there is no such file or directory; give {TABLES}"));
        }
    }

    #[test]
    fn an_unknown_format_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["x.parquet", "x.csv.gz", "x"] {
            let file = put(&directory, name, b"1,2\n");
            let problem = "the format of this file is unknown; give a .npy, .npz or .csv file, an IDX file \
                           (with `idx` or `-ubyte` in its name), a directory with the files of MNIST, or a \
                           folder of PNG images";
            fails(&file, &file, problem);
        }
    }

    #[test]
    fn only_some_sources_have_parts() {
        let directory = tempfile::tempdir().unwrap();
        let file = put(&directory, "x.csv", b"1,2\n");
        let problem = "the part `:a` was asked for, but only .npz files and directories have parts; leave it \
                       away";
        fails(format!("{}:a", file.display()), &file, problem);
    }

    #[cfg(unix)]
    #[test]
    fn an_existing_path_goes_before_a_suffix() {
        let directory = tempfile::tempdir().unwrap();
        put(&directory, "x", b"");
        let file = put(&directory, "x:1.csv", b"7\n");
        assert_eq!(read(file.to_str().unwrap()).unwrap().values, [7.0]);
    }
}
