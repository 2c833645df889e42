//! Tables from NumPy's arrays.

use super::{Table, scaled};
use crate::data::npy::{Archive, Array};
use crate::error::{Error, Result};
use ndarray_npy::ReadableElement;
use std::io::Read;
use std::path::Path;

/// Values read at a time.
const CHUNK: usize = 1 << 20;

/// Reads a `.npy` file.
pub(in crate::data) fn file(path: &Path) -> Result<Table> {
    table(Array::open(path)?)
}

/// Reads the array `key` of a `.npz` file, or its only one.
pub(in crate::data) fn archive(path: &Path, key: Option<&str>) -> Result<Table> {
    let mut archive = Archive::open(path)?;
    let list = archive.listed();
    let key = match (key, &archive.keys[..]) {
        (_, []) => Err("there is no array in this archive; write one with `numpy.savez`".into()),
        (None, [only]) => Ok(only.clone()),
        (None, [one, ..]) => Err(format!(
            "there are {} arrays in this archive: {list}; say which one, such as `{}:{one}`",
            archive.keys.len(),
            path.display()
        )),
        (Some(key), _) if archive.has(key) => Ok(key.into()),
        (Some(key), _) => Err(format!("there is no array `{key}` in this archive; give one of {list}")),
    };
    table(archive.array(&key.map_err(|problem: String| Error::data(path, problem))?)?)
}

/// Reads an array, its rows being points.
pub(in crate::data) fn table(array: Array<impl Read>) -> Result<Table> {
    // Every array is one of images, of height d and width 1 if it has rows of d numbers.
    let [n, h, w, c] = match *array.shape() {
        [n] => [n, 1, 1, 1],
        [n, d] => [n, d, 1, 1],
        [n, h, w] => [n, h, w, 1],
        [n, h, w, 3] => [n, h, w, 3],
        _ => {
            let shape = array.shape_text();
            let problem = format!(
                "the array has shape {shape}, but one row per point is expected; give it with `a.reshape(n, -1)`"
            );
            return Err(array.error(problem));
        }
    };
    if array.shape().contains(&0) {
        let shape = array.shape_text();
        let problem = format!("the array has shape {shape}, which is no sample; give at least one number");
        return Err(array.error(problem));
    }

    let (place, is_fortran) = (array.place.clone(), array.is_fortran());
    let is_image = array.shape().len() >= 3;
    let values = match array.element() {
        "f4" => numbers(array, |x: f32| x.into()),
        "f8" => numbers(array, |x: f64| x),
        "u1" if is_image => numbers(array, scaled),
        "u1" => numbers(array, |x: u8| x.into()),
        "u2" => numbers(array, |x: u16| x.into()),
        "u4" => numbers(array, |x: u32| x.into()),
        "u8" => numbers(array, |x: u64| x as f64),
        "i1" => numbers(array, |x: i8| x.into()),
        "i2" => numbers(array, |x: i16| x.into()),
        "i4" => numbers(array, |x: i32| x.into()),
        "i8" => numbers(array, |x: i64| x as f64),
        "b1" => numbers(array, |x: bool| x.into()),
        _ => {
            let problem = format!(
                "the values have type {}, but booleans, integers or floats of 32 or 64 bits are expected; \
                 convert the array with `a.astype('float32')`",
                array.element_text()
            );
            Err(array.error(problem))
        }
    }?;
    let values = if is_fortran { c_order(&values, [n, h, w, c]) } else { values };

    let columns = h * w * c;
    if let Some(k) = values.iter().position(|value| !value.is_finite()) {
        let problem = format!(
            "the value at row {}, column {} (both counted from 0) is {}, but all values must be finite; \
             replace it or remove the row",
            k / columns,
            k % columns,
            values[k]
        );
        return Err(Error::data(place, problem));
    }
    Ok(Table { rows: n, columns, values, image: (is_image && c == 1).then_some([h, w]), ..Table::default() })
}

/// All values of an array, in the order of the file.
fn numbers<A: ReadableElement>(array: Array<impl Read>, number: impl Fn(A) -> f64) -> Result<Vec<f64>> {
    let mut numbers = Vec::new();
    array.chunks(CHUNK, |_, values| {
        numbers.extend(values.into_iter().map(&number));
        Ok(())
    })?;
    Ok(numbers)
}

/// C order from Fortran order: `y[i, r, c, k] = x[i + n (r + h (c + w k))]`.
fn c_order(x: &[f64], [n, h, w, colours]: [usize; 4]) -> Vec<f64> {
    let mut y = Vec::with_capacity(x.len());
    for i in 0..n {
        for r in 0..h {
            for c in 0..w {
                y.extend((0..colours).map(|k| x[i + n * (r + h * (c + w * k))]));
            }
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, Array1, Array2, Array3, ArrayD, Dimension, ShapeBuilder, array};
    use ndarray_npy::{NpzWriter, WritableElement, WriteNpyExt};
    use std::fs::{self, File};
    use std::path::PathBuf;
    use tempfile::TempDir;
    use zip::CompressionMethod;
    use zip::write::SimpleFileOptions;

    /// The bytes of an array's `.npy` file.
    fn bytes<A: WritableElement, D: Dimension>(a: &Array<A, D>) -> Vec<u8> {
        let mut bytes = Vec::new();
        a.write_npy(&mut bytes).unwrap();
        bytes
    }

    fn put(directory: &TempDir, bytes: &[u8]) -> PathBuf {
        let path = directory.path().join("x.npy");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn read(bytes: &[u8]) -> Result<Table> {
        let directory = tempfile::tempdir().unwrap();
        file(&put(&directory, bytes))
    }

    /// Expects an error about the file.
    fn fails(bytes: &[u8], problem: &str) {
        let message = read(bytes).unwrap_err().to_string();
        assert_eq!(message.split_once("x.npy: ").unwrap().1, problem);
    }

    /// The bytes of an array of two f32 whose header says something else of the same length.
    fn edited(from: &str, to: &str) -> Vec<u8> {
        let mut bytes = bytes(&array![1f32, 2.0]);
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    }

    #[test]
    fn every_type_is_read() {
        fn check<A: WritableElement>(values: [A; 4], want: [f64; 4]) {
            let a = Array2::from_shape_vec([2, 2], values.into()).unwrap();
            let want = Table { rows: 2, columns: 2, values: want.into(), ..Table::default() };
            assert_eq!(read(&bytes(&a)).unwrap(), want);
        }
        check([0.5f32, -1.0, f32::MAX, 0.1], [0.5, -1.0, f32::MAX.into(), 0.1f32.into()]);
        check([0.1f64, -1.0, f64::MAX, 3.0], [0.1, -1.0, f64::MAX, 3.0]);
        check([0, 1, 2, u8::MAX], [0.0, 1.0, 2.0, 255.0]);
        check([0, 1, 2, u16::MAX], [0.0, 1.0, 2.0, 65535.0]);
        check([0, 1, 2, u32::MAX], [0.0, 1.0, 2.0, 4294967295.0]);
        check([0, 1, 2, u64::MAX], [0.0, 1.0, 2.0, 18446744073709551615.0]);
        check([0, 1, 2, i8::MIN], [0.0, 1.0, 2.0, -128.0]);
        check([0, 1, 2, i16::MIN], [0.0, 1.0, 2.0, -32768.0]);
        check([0, 1, 2, i32::MIN], [0.0, 1.0, 2.0, -2147483648.0]);
        check([0, 1, 2, i64::MIN], [0.0, 1.0, 2.0, -9223372036854775808.0]);
        check([false, true, true, false], [0.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn big_endian_values_are_read() {
        let mut bytes = edited("<f4", ">f4");
        let values = bytes.len() - 8;
        bytes[values..values + 4].reverse();
        bytes[values + 4..].reverse();
        assert_eq!(read(&bytes).unwrap().values, [1.0, 2.0]);
    }

    #[test]
    fn one_dimension_is_one_column() {
        let table = read(&bytes(&Array1::from_vec(vec![3i32, 4, 5]))).unwrap();
        assert_eq!((table.rows, table.columns, table.values), (3, 1, vec![3.0, 4.0, 5.0]));
        assert_eq!(table.image, None);
    }

    #[test]
    fn three_dimensions_are_images() {
        let a = Array3::from_shape_fn([2, 3, 4], |(i, r, c)| (100 * i + 10 * r + c) as u8);
        let table = read(&bytes(&a)).unwrap();
        assert_eq!((table.rows, table.columns, table.image), (2, 12, Some([3, 4])));
        assert_eq!(table.row(1)[7], 113.0 / 255.0);
        // Only unsigned bytes are scaled.
        let table = read(&bytes(&a.mapv(f32::from))).unwrap();
        assert_eq!((table.image, table.row(1)[7]), (Some([3, 4]), 113.0));
    }

    #[test]
    fn colour_images_are_read() {
        let a = ArrayD::from_shape_fn(vec![2, 3, 4, 3], |i| (100 * i[0] + 10 * i[1] + i[2] + i[3]) as u8);
        let table = read(&bytes(&a)).unwrap();
        assert_eq!((table.rows, table.columns, table.image), (2, 36, None));
        assert_eq!(table.row(1)[3 * 7 + 2], 115.0 / 255.0);
    }

    #[test]
    fn both_orders_give_the_same() {
        let value = |index: &[usize]| index.iter().fold(0.0, |value, &i| 10.0 * value + i as f64);
        for shape in [vec![5], vec![2, 3], vec![2, 3, 4], vec![2, 5, 4, 3]] {
            let c = ArrayD::from_shape_fn(shape.clone(), |index| value(index.slice()));
            let fortran = ArrayD::from_shape_fn(shape.clone().f(), |index| value(index.slice()));
            let (c, fortran) = (bytes(&c), bytes(&fortran));
            assert_eq!(c != fortran, shape.len() > 1);
            assert_eq!(read(&c).unwrap(), read(&fortran).unwrap());
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        let problem = |shape| {
            format!(
                "the array has shape {shape}, but one row per point is expected; give it with \
                 `a.reshape(n, -1)`"
            )
        };
        fails(&bytes(&ndarray::arr0(1.0)), &problem("()"));
        fails(&bytes(&ArrayD::<u8>::zeros(vec![2, 3, 4, 1])), &problem("(2, 3, 4, 1)"));
    }

    #[test]
    fn empty_arrays_are_refused() {
        let problem =
            |shape| format!("the array has shape {shape}, which is no sample; give at least one number");
        fails(&bytes(&Array1::<f32>::zeros(0)), &problem("(0)"));
        fails(&bytes(&Array2::<f32>::zeros([3, 0])), &problem("(3, 0)"));
        fails(&bytes(&Array3::<f32>::zeros([0, 2, 2])), &problem("(0, 2, 2)"));
    }

    #[test]
    fn other_types_are_refused() {
        for descriptor in ["<f2", "<c8", "|S3", "|O8"] {
            let problem = format!(
                "the values have type '{descriptor}', but booleans, integers or floats of 32 or 64 bits are \
                 expected; convert the array with `a.astype('float32')`"
            );
            fails(&edited("<f4", descriptor), &problem);
        }
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        let problem = |row, column, value| {
            format!(
                "the value at row {row}, column {column} (both counted from 0) is {value}, but all values \
                 must be finite; replace it or remove the row"
            )
        };
        fails(&bytes(&array![[0.0, 1.0], [f64::NAN, 2.0]]), &problem(1, 0, "NaN"));
        fails(&bytes(&array![[0.0, f32::NEG_INFINITY], [1.0, 2.0]]), &problem(0, 1, "-inf"));
        fails(&bytes(&array![[[0.0, 1.0], [2.0, f64::INFINITY]]]), &problem(0, 3, "inf"));
        let mut fortran = Array2::zeros([2, 3].f());
        fortran[[1, 2]] = f64::NAN;
        fails(&bytes(&fortran), &problem(1, 2, "NaN"));
    }

    #[test]
    fn damaged_files_are_refused() {
        let good = bytes(&array![1f32, 2.0]);
        let problem = "the file ends inside its header; it was cut off, copy it again";
        fails(b"", problem);
        fails(&good[..20], problem);
        let problem = |bytes| {
            format!(
                "the header announces (2) values of 4 bytes, so 8 bytes, but {bytes} follow it; the file is \
                 damaged, copy it again"
            )
        };
        fails(&good[..good.len() - 1], &problem(7));
        fails(&[&good[..], &[0, 0]].concat(), &problem(10));
        // A size that no memory holds is no reason to allocate it.
        let problem = "the header announces (9999999999999999999) values of 4 bytes, so 18446744073709551615 \
                       bytes, but 8 follow it; the file is damaged, copy it again";
        fails(&edited("(2,)}                  ", "(9999999999999999999,)}"), problem);
        let problem =
            "this is no .npy array (start does not match magic string); write it again with `numpy.save`";
        fails(b"1,2,3\n4,5,6\n", problem);
        let mut bad = bytes(&array![true, false]);
        *bad.last_mut().unwrap() = 7;
        let problem = "the values cannot be read (error parsing data: error parsing value 0x07 as a bool); \
                       the file is damaged, copy it again";
        fails(&bad, problem);
    }

    /// A good archive of these arrays.
    fn npz(directory: &TempDir, method: CompressionMethod, keys: &[&str]) -> PathBuf {
        let path = directory.path().join("x.npz");
        let options = SimpleFileOptions::default().compression_method(method);
        let mut writer = NpzWriter::new_with_options(File::create(&path).unwrap(), options);
        for (i, &key) in keys.iter().enumerate() {
            writer.add_array(key, &array![[i as f32, 1.0], [2.0, 3.0]]).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    /// Expects an error about the archive.
    fn archive_fails(path: &Path, key: Option<&str>, problem: &str) {
        let message = archive(path, key).unwrap_err().to_string();
        assert_eq!(message, format!("{}: {problem}", path.display()));
    }

    #[test]
    fn archives_are_read() {
        let directory = tempfile::tempdir().unwrap();
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let path = npz(&directory, method, &["one"]);
            for key in [None, Some("one")] {
                assert_eq!(archive(&path, key).unwrap().values, [0.0, 1.0, 2.0, 3.0]);
            }
            let path = npz(&directory, method, &["train/x", "y"]);
            assert_eq!(archive(&path, Some("train/x")).unwrap().row(0), [0.0, 1.0]);
            assert_eq!(archive(&path, Some("y")).unwrap().row(0), [1.0, 1.0]);
            let source = format!("{}:y", path.display());
            assert_eq!(crate::data::format::read(&source).unwrap().name, "x.npz:y");
        }
    }

    #[test]
    fn an_array_of_several_must_be_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = npz(&directory, CompressionMethod::Stored, &["x", "y"]);
        let problem = format!(
            "there are 2 arrays in this archive: `x`, `y`; say which one, such as `{}:x`",
            path.display()
        );
        archive_fails(&path, None, &problem);
        let problem = "there is no array `z` in this archive; give one of `x`, `y`";
        archive_fails(&path, Some("z"), problem);
        let path = npz(&directory, CompressionMethod::Stored, &[]);
        let problem = "there is no array in this archive; write one with `numpy.savez`";
        archive_fails(&path, None, problem);
        archive_fails(&path, Some("x"), problem);
    }

    #[test]
    fn damaged_archives_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = npz(&directory, CompressionMethod::Stored, &["x"]);
        let good = fs::read(&path).unwrap();
        fs::write(&path, &good[..good.len() / 2]).unwrap();
        let message = archive(&path, None).unwrap_err().to_string();
        let start = format!("{}: this is no readable .npz archive (", path.display());
        let end = "); write it again with `numpy.savez`";
        assert!(message.starts_with(&start) && message.ends_with(end), "{message}");

        // One bit of a value: only the checksum shows it.
        let value = good.windows(4).rposition(|window| window == 3f32.to_le_bytes()).unwrap();
        let mut flipped = good;
        flipped[value] ^= 1;
        fs::write(&path, flipped).unwrap();
        let message = archive(&path, None).unwrap_err().to_string();
        let start = format!("{}:x: the values cannot be read (", path.display());
        let end = "); the file is damaged, copy it again";
        assert!(message.starts_with(&start) && message.ends_with(end), "{message}");
    }

    #[test]
    fn errors_inside_an_archive_name_the_array() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.npz");
        let mut writer = NpzWriter::new(File::create(&path).unwrap());
        writer.add_array("bad", &array![f64::NAN]).unwrap();
        writer.finish().unwrap();
        let message = archive(&path, None).unwrap_err().to_string();
        let start = format!("{}:bad: the value at row 0, column 0 ", path.display());
        assert!(message.starts_with(&start), "{message}");
    }
}
