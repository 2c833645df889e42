//! NumPy's files: arrays (`.npy`, the format of `numpy.lib.format`), and archives of them (`.npz`).

use super::array::{Array, Element, Order};
use super::save::{NamedArray, Values};
use super::table::listed;
use crate::error::{Error, Result};
use crate::files;
use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The first bytes of an array.
const MAGIC: &[u8] = b"\x93NUMPY";

/// No header of an array of numbers is longer: NumPy itself refuses longer ones than 10,000 bytes.
const LONGEST_HEADER: usize = 1 << 16;

/// Headers end at a multiple of this.
const ALIGNMENT: usize = 64;

/// Opens a `.npy` file.
pub(super) fn open(path: &Path) -> Result<Array<'static>> {
    let file = File::open(path).map_err(Error::io(path, "read"))?;
    let length = files::length(&file);
    array(path.into(), BufReader::new(file), length)
}

/// Reads the header of an array, in a file of some length if that is known.
fn array<'a>(place: PathBuf, mut reader: impl Read + 'a, of_file: Option<u64>) -> Result<Array<'a>> {
    let mut taken = 0;
    let mut take = |bytes: &mut [u8]| {
        taken += bytes.len() as u64;
        reader.read_exact(bytes).map_err(|source| match source.kind() {
            ErrorKind::UnexpectedEof => {
                Error::data(&place, "the file ends inside its header; it was cut off, copy it again")
            }
            _ => Error::io(&place, "read")(source),
        })
    };
    let foreign = |problem: &str| {
        Error::data(&place, format!("this is no .npy array ({problem}); write it again with `numpy.save`"))
    };
    let mut magic = [0; MAGIC.len()];
    take(&mut magic)?;
    if magic != *MAGIC {
        return Err(foreign("it does not begin with \\x93NUMPY"));
    }
    let mut version = [0; 2];
    take(&mut version)?;
    let length = match version[0] {
        1 => {
            let mut length = [0; 2];
            take(&mut length)?;
            u16::from_le_bytes(length).into()
        }
        2 | 3 => {
            let mut length = [0; 4];
            take(&mut length)?;
            u32::from_le_bytes(length) as usize
        }
        version => return Err(foreign(&format!("its format has version {version}, not 1, 2 or 3"))),
    };
    if length > LONGEST_HEADER {
        return Err(foreign(&format!("its header would have {length} bytes")));
    }
    let mut header = vec![0; length];
    take(&mut header)?;
    let text = String::from_utf8(header).map_err(|_| foreign("its header is no text"))?;
    let Header { descriptor, is_fortran, shape } =
        Header::parse(&text).map_err(|problem| foreign(&problem))?;
    let (order, element) = element(&descriptor).map_err(|problem| Error::data(&place, problem))?;
    let available = of_file.map(|length| length.saturating_sub(taken));
    Ok(Array { place, shape, element, order, is_fortran, available, reader: Box::new(reader) })
}

/// The header of an array: a dictionary in Python's notation.
#[derive(Debug, PartialEq)]
struct Header {
    /// The type of the values.
    descriptor: String,
    is_fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Reads `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`, the keys in any order.
    fn parse(text: &str) -> std::result::Result<Self, String> {
        let [mut descriptor, mut is_fortran, mut shape] = [None; 3];
        let mut rest = text.trim().strip_prefix('{').ok_or("its header is no dictionary")?.trim_start();
        while !rest.starts_with('}') {
            let (key, after) = string(rest).ok_or("a key of its header is no string")?;
            let value = after.trim_start().strip_prefix(':').ok_or("a key of its header has no value")?;
            let value = value.trim_start();
            let end = value_end(value).ok_or("its header ends too early")?;
            let slot = match key {
                "descr" => &mut descriptor,
                "fortran_order" => &mut is_fortran,
                "shape" => &mut shape,
                _ => return Err("its header has a key that is none of descr, fortran_order, shape".into()),
            };
            *slot = Some(value[..end].trim());
            rest = value[end..].trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        }
        if !rest[1..].trim().is_empty() {
            return Err("something follows the dictionary of its header".into());
        }
        let descriptor = descriptor.ok_or("its header has no descr")?;
        Ok(Self {
            // Whatever is no string is the list of a structured type.
            descriptor: string(descriptor).map_or("[", |(text, _)| text).into(),
            is_fortran: match is_fortran {
                Some("True") => true,
                Some("False") => false,
                _ => return Err("its header has no fortran_order".into()),
            },
            shape: shape.and_then(sizes).ok_or("its header has no shape")?,
        })
    }
}

/// The string at the start of a text, and what follows it.
fn string(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// Where the value at the start of a text ends: at a comma or brace outside of all parentheses and strings.
fn value_end(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote = None;
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ',' | '}') if depth == 0 => return Some(i),
            (None, ')' | ']' | '}') => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

/// The sizes of a tuple such as `(3, 4)`, `(3,)` or `()`; old versions wrote `3L`.
fn sizes(text: &str) -> Option<Vec<usize>> {
    let inside = text.strip_prefix('(')?.strip_suffix(')')?.trim();
    let inside = inside.strip_suffix(',').unwrap_or(inside);
    if inside.is_empty() {
        return Some(Vec::new());
    }
    inside.split(',').map(|size| size.trim().trim_end_matches('L').parse().ok()).collect()
}

/// The type that a descriptor such as `<f4` names, or what it is instead and what to do.
fn element(descriptor: &str) -> std::result::Result<(Order, Element), String> {
    let (order, name) = match descriptor.split_at_checked(1) {
        Some((">", name)) => (Order::BigEndian, name),
        Some(("<" | "|" | "=", name)) => (Order::LittleEndian, name),
        _ => (Order::LittleEndian, descriptor),
    };
    let element = match name {
        "b1" | "?" => Element::Bool,
        "u1" => Element::U8,
        "u2" => Element::U16,
        "u4" => Element::U32,
        "u8" => Element::U64,
        "i1" => Element::I8,
        "i2" => Element::I16,
        "i4" => Element::I32,
        "i8" => Element::I64,
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        _ => {
            let found = match name.chars().next() {
                Some('f') => "floats of more than 64 bits; convert the array with `a.astype('float64')`",
                Some('c') => "complex numbers; give real and imaginary parts as columns of their own",
                Some('U' | 'S') => {
                    "texts; give numbers, such as those of `numpy.unique(a, return_inverse=True)`"
                }
                Some('O') => "Python objects; convert the array with `a.astype('float64')`",
                Some('M' | 'm') => "times; convert the array with `a.astype('int64')`",
                Some('[' | 'V') => {
                    "records; give one array of numbers, with `numpy.lib.recfunctions.structured_to_unstructured(a)`"
                }
                _ => "of a type unknown here; convert the array with `a.astype('float64')`",
            };
            return Err(format!("the values are {found}"));
        }
    };
    Ok((order, element))
}

/// An open `.npz` file.
pub(super) struct Archive {
    path: PathBuf,
    zip: ZipArchive<BufReader<File>>,
    /// The names of its arrays.
    pub(super) keys: Vec<String>,
}

impl Archive {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path, "read"))?;
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|source| broken(path, &source))?;
        let keys = zip.file_names().filter_map(|name| name.strip_suffix(".npy")).map(String::from).collect();
        Ok(Self { path: path.into(), zip, keys })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }

    /// The names of its arrays, for messages.
    pub(super) fn listed(&self) -> String {
        listed(self.keys.iter())
    }

    pub(super) fn array(&mut self, key: &str) -> Result<Array<'_>> {
        let entry = self.zip.by_name(&format!("{key}.npy")).map_err(|source| broken(&self.path, &source))?;
        // What an archive says of its entries may be wrong.
        array(format!("{}:{key}", self.path.display()).into(), entry, None)
    }
}

fn broken(path: &Path, source: &ZipError) -> Error {
    let problem = format!("this is no readable .npz archive ({source}); write it again with `numpy.savez`");
    Error::data(path, problem)
}

/// Writes a compressed `.npz` file over what is at `path`.
pub(super) fn write(path: &Path, arrays: &[NamedArray<'_>]) -> Result<()> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let bytes = arrays
        .iter()
        .try_for_each(|array| add(&mut archive, array))
        .and_then(|()| archive.finish())
        .map_err(|source| Error::data(path, format!("the archive cannot be written: {source}")))?;
    files::save(path, bytes.into_inner())
}

fn add(
    archive: &mut ZipWriter<impl Write + Seek>,
    array: &NamedArray<'_>,
) -> std::result::Result<(), ZipError> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let large = array.values.bytes().len() >= 1 << 31;
    archive.start_file(format!("{}.npy", array.name), options.large_file(large))?;
    Ok(write_array(archive, array)?)
}

/// Writes the contents of a `.npy` file.
pub(super) fn write_array(to: &mut impl Write, array: &NamedArray<'_>) -> io::Result<()> {
    let sizes: String = array.shape.iter().map(|size| format!("{size}, ")).collect();
    let descriptor = match array.values {
        Values::Bytes(_) => "|u1",
        Values::Floats(_) => "<f4",
        Values::Doubles(_) => "<f8",
    };
    let sizes = sizes.trim_end();
    let dictionary = format!("{{'descr': '{descriptor}', 'fortran_order': False, 'shape': ({sizes}), }}");
    // The magic string, the version, the length, and a line feed.
    let length = (MAGIC.len() + 2 + 2 + dictionary.len() + 1).next_multiple_of(ALIGNMENT) - MAGIC.len() - 4;
    to.write_all(MAGIC)?;
    to.write_all(&[1, 0])?;
    to.write_all(&(length as u16).to_le_bytes())?;
    to.write_all(format!("{dictionary:<width$}\n", width = length - 1).as_bytes())?;
    to.write_all(array.values.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_any_writer_are_read() {
        let want = |descriptor: &str, is_fortran, shape: &[usize]| {
            Ok(Header { descriptor: descriptor.into(), is_fortran, shape: shape.into() })
        };
        for (text, header) in [
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }   \n", want("<f8", false, &[3, 4])),
            ("{\"shape\":(5,),\"fortran_order\":True,\"descr\":\"|u1\"}", want("|u1", true, &[5])),
            ("{'descr': '<i4', 'fortran_order': False, 'shape': (), }", want("<i4", false, &[])),
            ("{'shape': (7L, 2L), 'descr': '>f4', 'fortran_order': False}", want(">f4", false, &[7, 2])),
            (
                "{'descr': [('a, b', '<f8'), ('c', '<i4', (2,))], 'fortran_order': False, 'shape': (1,)}",
                want("[", false, &[1]),
            ),
        ] {
            assert_eq!(Header::parse(text), header, "{text}");
        }
    }

    #[test]
    fn damaged_headers_are_refused_in_time_linear_in_their_length() {
        let nested = "(".repeat(LONGEST_HEADER / 2);
        for text in [
            "",
            "{",
            "{'descr'",
            "{'descr': '<f8'",
            "{'descr': '<f8', 'fortran_order': maybe, 'shape': (1,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1.5,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': 3}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999999,)}",
            "{'descr': '<f8', 'fortran_order': False}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}   \"  ",
            "{'descr': '<f8', 'evil': 1, 'fortran_order': False, 'shape': (1,)}",
            &format!("{{'descr': {nested}"),
            &format!("{{'shape': {nested}1{}, 'descr': '<f8'}}", ")".repeat(nested.len())),
        ] {
            assert!(Header::parse(text).is_err(), "{text:.80}");
        }
    }

    #[test]
    fn values_that_are_no_numbers_are_named() {
        for (descriptor, word) in [
            ("<f16", "float64"),
            ("<c8", "complex"),
            ("<U5", "texts"),
            ("|O", "objects"),
            ("<M8[ns]", "times"),
            ("[", "records"),
            ("", "unknown"),
            ("é", "unknown"),
        ] {
            let problem = element(descriptor).unwrap_err();
            assert!(problem.contains(word), "{descriptor}: {problem}");
        }
    }
}
