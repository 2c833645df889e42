//! Arrays of numbers in files: their shape, the type of their values, and the values in chunks.

use crate::error::{Error, Result};
use crate::memory::has_room;
use half::f16;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

/// Bytes that are read at a time, so that a large file takes no more memory than what becomes of it.
const CHUNK: usize = 1 << 20;

/// Bytes that a number takes at most while its chunk is worked on: as f64 in two orders, and as what becomes of it.
const IN_WORK: usize = 24;

/// A type of values in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
}

impl Element {
    /// Bytes of a value.
    pub(super) const fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Its name, as NumPy has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::F16 => "float16",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }

    /// The largest value, for the types that hold brightness as whole numbers.
    pub(super) const fn white(self) -> Option<f64> {
        match self {
            Self::U8 => Some(255.0),
            Self::U16 => Some(65535.0),
            _ => None,
        }
    }

    /// Adds the numbers in `bytes`; those of 64 bits are rounded to f64 above 2^53.
    fn decode(self, bytes: &[u8], order: Order, numbers: &mut Vec<f64>) {
        macro_rules! decode {
            ($type:ty, $number:expr) => {{
                let number: fn($type) -> f64 = $number;
                numbers.extend(bytes.as_chunks().0.iter().map(|&bytes| match order {
                    Order::LittleEndian => number(<$type>::from_le_bytes(bytes)),
                    Order::BigEndian => number(<$type>::from_be_bytes(bytes)),
                }));
            }};
        }
        match self {
            Self::Bool => numbers.extend(bytes.iter().map(|&byte| f64::from(byte != 0))),
            Self::U8 => decode!(u8, f64::from),
            Self::U16 => decode!(u16, f64::from),
            Self::U32 => decode!(u32, f64::from),
            Self::U64 => decode!(u64, |x| x as f64),
            Self::I8 => decode!(i8, f64::from),
            Self::I16 => decode!(i16, f64::from),
            Self::I32 => decode!(i32, f64::from),
            Self::I64 => decode!(i64, |x| x as f64),
            Self::F16 => decode!(f16, f64::from),
            Self::F32 => decode!(f32, f64::from),
            Self::F64 => decode!(f64, |x| x),
        }
    }
}

/// The order of the bytes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    LittleEndian,
    BigEndian,
}

/// An array whose values have not been read.
pub(super) struct Array<'a> {
    /// The file, or the file and the array's name, for messages.
    pub(super) place: PathBuf,
    pub(super) shape: Vec<usize>,
    pub(super) element: Element,
    pub(super) order: Order,
    /// Whether the first index is the fastest.
    pub(super) is_fortran: bool,
    /// Bytes of the values as far as the file's own length says.
    pub(super) available: Option<u64>,
    /// Begins with the values, and ends after them.
    pub(super) reader: Box<dyn Read + 'a>,
}

/// A shape in words, such as `(2, 3)`.
pub(super) fn shape_text(shape: &[usize]) -> String {
    let sizes: Vec<_> = shape.iter().map(usize::to_string).collect();
    format!("({}{})", sizes.join(", "), if sizes.len() == 1 { "," } else { "" })
}

impl Array<'_> {
    /// The shape in words.
    pub(super) fn shape_text(&self) -> String {
        shape_text(&self.shape)
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> Error {
        Error::data(&self.place, problem)
    }

    /// How many values there are.
    ///
    /// # Errors
    /// If no memory could hold so many.
    pub(super) fn len(&self) -> Result<usize> {
        let product = |n: usize, &size: &usize| n.checked_mul(size);
        let bytes = self.shape.iter().try_fold(self.element.size(), product);
        match bytes.filter(|&bytes| isize::try_from(bytes).is_ok()) {
            Some(bytes) => Ok(bytes / self.element.size()),
            None => Err(self.error(format!(
                "the header announces an array of shape {}, more than any memory holds; the file is damaged, copy \
                 it again",
                self.shape_text()
            ))),
        }
    }

    /// Reads all values in C order, whole rows of the first index at a time; `each` takes the number of the first row.
    pub(super) fn chunks(mut self, mut each: impl FnMut(usize, &[f64]) -> Result<()>) -> Result<()> {
        let len = self.len()?;
        let row = len.checked_div(self.shape[0]).unwrap_or(0).max(1);
        let rows = (CHUNK / row / self.element.size()).max(1);
        if let Some(found) = self.available.filter(|&found| found < (len * self.element.size()) as u64) {
            return Err(self.cut_off(found));
        }
        let at_a_time = if self.is_fortran { len } else { (rows * row).min(len) };
        if !at_a_time.checked_mul(IN_WORK).is_some_and(has_room) {
            return Err(self.too_large());
        }
        let mut bytes = vec![0; CHUNK.min(len * self.element.size())];
        let mut numbers = Vec::new();
        let mut done = 0;
        while done < len {
            let wanted = if self.is_fortran { len } else { (rows * row).min(len - done) };
            numbers.clear();
            while numbers.len() < wanted {
                let values = (bytes.len() / self.element.size()).min(wanted - numbers.len());
                let bytes = &mut bytes[..values * self.element.size()];
                self.fill(bytes, done + numbers.len())?;
                numbers.try_reserve(values).map_err(|_| self.too_large())?;
                self.element.decode(bytes, self.order, &mut numbers);
            }
            if self.is_fortran {
                numbers = c_order(&numbers, &self.shape);
                for (first, rows) in numbers.chunks(rows * row).enumerate() {
                    each(first * (CHUNK / row / self.element.size()).max(1), rows)?;
                }
            } else {
                each(done / row, &numbers)?;
            }
            done += wanted;
        }
        // Meets the end of an archive's entry, where the checksum is compared.
        match self.reader.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.error(format!(
                "more bytes follow the {} that the header announces; the file is damaged, copy it again",
                len * self.element.size()
            ))),
            Err(source) => Err(self.unreadable(&source)),
        }
    }

    /// All values in C order.
    pub(super) fn values(self) -> Result<Vec<f64>> {
        let mut values: Vec<f64> = Vec::new();
        let len = self.len()?;
        // Files that are cut off are better told so, and are not longer than they say.
        if self.available.is_none_or(|found| found >= (len * self.element.size()) as u64) {
            values.try_reserve_exact(len).map_err(|_| self.too_large())?;
        }
        self.chunks(|_, numbers| {
            values.extend_from_slice(numbers);
            Ok(())
        })?;
        Ok(values)
    }

    /// Reads the bytes that begin with value `first`.
    fn fill(&mut self, mut bytes: &mut [u8], first: usize) -> Result<()> {
        let mut found = first * self.element.size();
        while !bytes.is_empty() {
            match self.reader.read(bytes) {
                Ok(0) => return Err(self.cut_off(found as u64)),
                Ok(read) => {
                    bytes = &mut bytes[read..];
                    found += read;
                }
                Err(source) if source.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(self.unreadable(&source)),
            }
        }
        Ok(())
    }

    /// The header says more than the bytes that were found.
    fn cut_off(&self, found: u64) -> Error {
        self.error(format!(
            "the header announces {} values of type {}, so {} bytes, but only {found} follow it; the file is damaged, \
             copy it again",
            self.shape_text(),
            self.element.name(),
            self.len().map_or(0, |len| len * self.element.size())
        ))
    }

    fn unreadable(&self, source: &std::io::Error) -> Error {
        self.error(format!("the values cannot be read ({source}); the file is damaged, copy it again"))
    }

    pub(super) fn too_large(&self) -> Error {
        self.error(format!(
            "an array of shape {} takes more memory than there is; use fewer rows",
            self.shape_text()
        ))
    }
}

/// C order from Fortran order.
fn c_order(values: &[f64], shape: &[usize]) -> Vec<f64> {
    let Some((&last, others)) = shape.split_last() else { return values.to_vec() };
    // How far apart neighbours of the last index are, and where a line of them begins.
    let stride = others.iter().product();
    let mut index = vec![0; others.len()];
    let mut result = Vec::with_capacity(values.len());
    while result.len() < values.len() {
        let place = index.iter().zip(others).rev().fold(0, |place, (&i, &size)| place * size + i);
        result.extend(values[place..].iter().step_by(stride).take(last));
        for (i, &size) in index.iter_mut().zip(others).rev() {
            *i += 1;
            if *i < size {
                break;
            }
            *i = 0;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array<'a>(shape: &[usize], element: Element, bytes: &'a [u8]) -> Array<'a> {
        Array {
            place: "x".into(),
            shape: shape.into(),
            element,
            order: Order::LittleEndian,
            is_fortran: false,
            available: None,
            reader: Box::new(bytes),
        }
    }

    #[test]
    fn fortran_order_becomes_c_order() {
        // a[i, j, k] = 100 i + 10 j + k.
        let shape = [2, 3, 4];
        let at = |place: usize| 100 * (place % 2) + 10 * (place / 2 % 3) + place / 6;
        let bytes: Vec<u8> = (0..24).map(|place| at(place) as u8).collect();
        let fortran = Array { is_fortran: true, ..array(&shape, Element::U8, &bytes) };
        let want: Vec<f64> =
            (0..24).map(|place| (100 * (place / 12) + 10 * (place / 4 % 3) + place % 4) as f64).collect();
        assert_eq!(fortran.values().unwrap(), want);
    }

    #[test]
    fn chunks_are_whole_rows_and_everything_is_read() {
        let bytes: Vec<u8> = (0..3 * CHUNK).map(|i| (i % 251) as u8).collect();
        for row in [1, 7, CHUNK - 1, 3 * CHUNK / 2] {
            let rows = bytes.len() / row;
            let bytes = &bytes[..rows * row];
            let mut next = 0;
            let mut total = 0.0;
            array(&[rows, row], Element::U8, bytes)
                .chunks(|first, numbers| {
                    assert_eq!((first, numbers.len() % row), (next, 0));
                    next += numbers.len() / row;
                    total += numbers.iter().sum::<f64>();
                    Ok(())
                })
                .unwrap();
            assert_eq!((next, total), (rows, bytes.iter().map(|&byte| f64::from(byte)).sum()));
        }
    }

    #[test]
    fn sizes_that_lie_are_refused_before_memory_is_taken() {
        let message = |shape: &[usize], bytes: &[u8]| {
            array(shape, Element::F32, bytes).values().unwrap_err().to_string()
        };
        let huge = message(&[1 << 40, 1 << 40], &[]);
        assert!(huge.contains("more than any memory holds"), "{huge}");
        let large = message(&[1 << 40], &[0; 6]);
        assert!(large.contains("takes more memory than there is"), "{large}");
        let of_file = Array { available: Some(6), ..array(&[1 << 40], Element::F32, &[0; 6]) };
        let cut = of_file.values().unwrap_err().to_string();
        assert!(cut.contains("so 4398046511104 bytes, but only 6 follow it"), "{cut}");
        let cut = message(&[2], &[0; 6]);
        assert!(cut.contains("so 8 bytes, but only 6 follow it"), "{cut}");
        let long = message(&[1], &[0; 6]);
        assert!(long.contains("more bytes follow the 4 that the header announces"), "{long}");
    }
}
