//! Arrays and images into files, whose format their ending says.
//!
//! | file | what is written |
//! |---|---|
//! | `x.npz`, `x.safetensors` | all arrays, by name |
//! | `x.npy`, `-` | the first array; `-` is the standard output |
//! | `x.csv` | the first array, one line a row |
//! | `DIR` | images alone: `00000.png`, `00001.png` and so on |

use super::npy;
use crate::error::{Error, Result};
use crate::files::save;
use image::{ColorType, ImageFormat};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// An array with its name.
#[derive(Clone, Debug)]
pub struct NamedArray<'a> {
    /// In archives.
    pub name: &'a str,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// In C order.
    pub values: Values<'a>,
}

/// The numbers of an array.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// u8.
    Bytes(&'a [u8]),
    /// f32.
    Floats(&'a [f32]),
    /// f64.
    Doubles(&'a [f64]),
}

impl Values<'_> {
    /// In memory order, which is little-endian on all machines that have a GPU.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Floats(floats) => bytemuck::cast_slice(floats),
            Self::Doubles(doubles) => bytemuck::cast_slice(doubles),
        }
    }
}

/// The standard output.
pub const STANDARD_OUTPUT: &str = "-";

/// Digits of the number in a picture's name, at least.
const DIGITS: usize = 5;

/// The formats, in messages.
const FORMATS: &str = ".npz, .npy, .csv, .safetensors, or - for NumPy's format on the standard output";

/// Writes arrays over what is at `path`; gives the names of those for which the format has no room.
///
/// # Errors
/// The ending is none of the known ones, or the file cannot be written.
pub fn arrays<'a>(path: &Path, arrays: &[NamedArray<'a>]) -> Result<Vec<&'a str>> {
    let (first, rest) = arrays.split_first().ok_or_else(|| Error::usage("there is no array to write"))?;
    let failed = |source: &dyn std::fmt::Display| Error::data(path, format!("cannot be written: {source}"));
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("npz") => npy::write(path, arrays).map(|()| Vec::new()),
        Some("safetensors") => {
            let views = arrays.iter().map(|array| {
                let dtype = match array.values {
                    Values::Bytes(_) => Dtype::U8,
                    Values::Floats(_) => Dtype::F32,
                    Values::Doubles(_) => Dtype::F64,
                };
                Ok((array.name, TensorView::new(dtype, array.shape.clone(), array.values.bytes())?))
            });
            let views = views.collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>();
            let bytes =
                views.and_then(|views| safetensors::serialize(views, None)).map_err(|e| failed(&e))?;
            save(path, bytes)?;
            Ok(Vec::new())
        }
        Some("npy") => {
            let mut bytes = Vec::new();
            npy::write_array(&mut bytes, first).map_err(|e| failed(&e))?;
            save(path, bytes)?;
            Ok(names(rest))
        }
        Some("csv") => {
            save(path, text(first))?;
            Ok(names(rest))
        }
        _ if path == Path::new(STANDARD_OUTPUT) => {
            let mut output = io::stdout().lock();
            npy::write_array(&mut output, first).and_then(|()| output.flush()).map_err(|e| failed(&e))?;
            Ok(names(rest))
        }
        _ => Err(Error::usage(format!("{} has no known ending; use {FORMATS}", path.display()))),
    }
}

/// Writes rows of a table over what is at `path`, in text with the names of the columns, if there are any.
///
/// # Errors
/// As of [`arrays`].
pub fn rows(path: &Path, columns: &[String], rows: &NamedArray<'_>) -> Result<()> {
    let is_text = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    if !is_text || columns.is_empty() {
        return arrays(path, std::slice::from_ref(rows)).map(drop);
    }
    let failed = |source: &dyn std::fmt::Display| Error::data(path, format!("cannot be written: {source}"));
    let mut header = csv::Writer::from_writer(Vec::new());
    header.write_record(columns).map_err(|e| failed(&e))?;
    let header = header.into_inner().map_err(|e| failed(&e))?;
    save(path, [&header[..], text(rows).as_bytes()].concat())
}

/// Refuses a path that nothing can be written to, before there is anything to write; a folder is for images only.
///
/// # Errors
/// The ending is none of the known ones, or something is there already and may not be overwritten.
pub fn check(path: &Path, folder: bool, force: bool) -> Result<()> {
    let known = ["npz", "npy", "csv", "safetensors"];
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension {
        Some(extension) if !known.contains(&&*extension) => {
            let or = if folder { ", or a folder without a dot in its name" } else { "" };
            return Err(Error::usage(format!("{} has no known ending; use {FORMATS}{or}", path.display())));
        }
        None if path != Path::new(STANDARD_OUTPUT) && !folder => {
            return Err(Error::usage(format!("{} has no ending; use {FORMATS}", path.display())));
        }
        _ => {}
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
        return Err(Error::data(parent, "is no directory that could hold the result; make it first"));
    }
    if path.exists() && !force {
        let problem = "exists already; choose another --out, or --force to overwrite it";
        return Err(Error::data(path, problem));
    }
    Ok(())
}

fn names<'a>(arrays: &[NamedArray<'a>]) -> Vec<&'a str> {
    arrays.iter().map(|array| array.name).collect()
}

/// One line a row, numbers with as many digits as tell them.
fn text(array: &NamedArray<'_>) -> String {
    let columns = array.shape.iter().skip(1).product::<usize>().max(1);
    let mut text = String::new();
    let mut write = |i: usize, number: &dyn std::fmt::Display| {
        let end = if (i + 1).is_multiple_of(columns) { '\n' } else { ',' };
        let _ = write!(text, "{number}{end}");
    };
    match array.values {
        Values::Bytes(bytes) => bytes.iter().enumerate().for_each(|(i, byte)| write(i, byte)),
        Values::Floats(floats) => floats.iter().enumerate().for_each(|(i, float)| write(i, float)),
        Values::Doubles(doubles) => doubles.iter().enumerate().for_each(|(i, double)| write(i, double)),
    }
    text
}

/// Removes the pictures of an earlier call, which would lie among the new ones.
fn remove_numbered(directory: &Path) -> Result<()> {
    let entries = fs::read_dir(directory).map_err(Error::io(directory, "read"))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let numbered = stem.len() >= DIGITS && stem.bytes().all(|byte| byte.is_ascii_digit());
        if numbered && path.extension().is_some_and(|extension| extension == "png") {
            fs::remove_file(&path).map_err(Error::io(&path, "remove"))?;
        }
    }
    Ok(())
}

/// Writes images `(N, height, width, channels)`, from 0 to 1, as PNG files of a folder; what is beyond is clamped.
///
/// # Errors
/// A file cannot be written.
pub fn pictures(directory: &Path, [height, width, channels]: [usize; 3], images: &[f32]) -> Result<()> {
    fs::create_dir_all(directory).map_err(Error::io(directory, "create"))?;
    let colour = if channels == 1 { ColorType::L8 } else { ColorType::Rgb8 };
    let sides = [width, height].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    remove_numbered(directory)?;
    let images = images.chunks_exact(height * width * channels);
    // By name they are in order.
    let digits = DIGITS.max(images.len().saturating_sub(1).to_string().len());
    for (i, image) in images.enumerate() {
        let path = directory.join(format!("{i:0digits$}.png"));
        let pixels: Vec<u8> = image.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
        image::save_buffer_with_format(&path, &pixels, sides[0], sides[1], colour, ImageFormat::Png)
            .map_err(|source| Error::data(&path, format!("cannot be written: {source}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::format;
    use crate::data::table::ReadOptions;

    #[test]
    fn what_is_written_is_read_again() {
        let place = tempfile::tempdir().unwrap();
        let values = [0.5f32, -1.25, 3e-9, 4.0, 5.0, 6.5];
        let bytes = [1, 2, 255];
        let both = [
            NamedArray { name: "mean", shape: vec![3, 2], values: Values::Floats(&values) },
            NamedArray { name: "labels", shape: vec![3], values: Values::Bytes(&bytes) },
        ];
        for (file, source, left) in [
            ("x.npz", "x.npz:mean", vec![]),
            ("x.npy", "x.npy", vec!["labels"]),
            ("x.csv", "x.csv", vec!["labels"]),
        ] {
            let path = place.path().join(file);
            assert_eq!(arrays(&path, &both).unwrap(), left);
            let source = place.path().join(source);
            let table = format::read(source.to_str().unwrap(), &ReadOptions::default()).unwrap();
            assert_eq!((table.rows, table.columns), (3, 2), "{file}");
            assert!(
                table.values.iter().zip(values).all(|(a, b)| *a as f32 == b),
                "{file}: {:?}",
                table.values
            );
        }
        let path = place.path().join("x.safetensors");
        arrays(&path, &both).unwrap();
        let file = fs::read(&path).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
        assert_eq!(tensors.tensor("labels").unwrap().data(), bytes);
        assert!(arrays(&place.path().join("x.pt"), &both).is_err());
        assert!(check(&path, false, false).is_err() && check(&path, false, true).is_ok());
        assert!(
            check(Path::new("folder"), true, false).is_ok()
                && check(Path::new("folder"), false, false).is_err()
        );
    }

    #[test]
    fn pictures_have_the_pixels_of_their_images() {
        let place = tempfile::tempdir().unwrap();
        let images = [0.0, 1.0, 0.5, 2.0, -1.0, 0.2];
        pictures(place.path(), [1, 3, 1], &images).unwrap();
        let read =
            |i: usize| image::open(place.path().join(format!("{i:05}.png"))).unwrap().into_luma8().into_raw();
        assert_eq!((read(0), read(1)), (vec![0, 255, 128], vec![255, 0, 51]));
        pictures(place.path(), [1, 3, 1], &images[..3]).unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "none of the earlier ones");
    }
}
