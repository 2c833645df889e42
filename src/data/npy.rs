//! NumPy's files: arrays, and archives of them, read in typed chunks.

use crate::error::{Error, Result};
use ndarray_npy::ReadableElement;
use ndarray_npy::npy::header::{Header, ReadHeaderError};
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Take};
use std::path::{Path, PathBuf};
use zip::ZipArchive;
use zip::result::ZipError;

/// An array whose values have not been read.
pub(super) struct Array<R> {
    /// The file, or the file and the array's name, for messages.
    pub(super) place: PathBuf,
    header: Header,
    /// Its limit is the length of the values in bytes.
    reader: Take<R>,
}

impl Array<File> {
    /// Opens a `.npy` file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path, "read"))?;
        let length = file.metadata().map_err(Error::io(path, "read"))?.len();
        Self::new(path.into(), file.take(length))
    }
}

impl<R: Read> Array<R> {
    fn new(place: PathBuf, mut reader: Take<R>) -> Result<Self> {
        let header = Header::from_reader(&mut reader).map_err(|error| match error {
            ReadHeaderError::Io(source) if source.kind() == ErrorKind::UnexpectedEof => {
                Error::data(&place, "the file ends inside its header; it was cut off, copy it again")
            }
            ReadHeaderError::Io(source) => Error::io(&place, "read")(source),
            ReadHeaderError::Parse(source) => {
                let problem = format!("this is no .npy array ({source}); write it again with `numpy.save`");
                Error::data(&place, problem)
            }
        })?;
        Ok(Self { place, header, reader })
    }

    pub(super) fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// The shape in words, such as `(2, 3)`.
    pub(super) fn shape_text(&self) -> String {
        let sizes: Vec<_> = self.shape().iter().map(usize::to_string).collect();
        format!("({})", sizes.join(", "))
    }

    pub(super) fn is_fortran(&self) -> bool {
        self.header.layout.is_fortran()
    }

    /// The type of the values without their byte order, such as `f4`.
    pub(super) fn element(&self) -> &str {
        let descriptor = self.header.type_descriptor.as_string().map_or("", String::as_str);
        descriptor.trim_start_matches(['<', '>', '|'])
    }

    /// The type of the values as the file has it, for messages.
    pub(super) fn element_text(&self) -> String {
        self.header.type_descriptor.to_string()
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> Error {
        Error::data(&self.place, problem)
    }

    /// Reads all values in the order of the file, `size` of them at a time; `each` takes the index of the
    /// first.
    pub(super) fn chunks<A: ReadableElement>(
        mut self,
        size: usize,
        mut each: impl FnMut(usize, Vec<A>) -> Result<()>,
    ) -> Result<()> {
        // Checked before anything is allocated: a damaged header may announce more than any memory holds.
        let bytes = |size: u64, &n: &usize| size.saturating_mul(n as u64);
        let expected = self.shape().iter().fold(size_of::<A>() as u64, bytes);
        if self.reader.limit() != expected {
            return Err(self.error(format!(
                "the header announces {} values of {} bytes, so {expected} bytes, but {} follow it; the file is \
                 damaged, copy it again",
                self.shape_text(),
                size_of::<A>(),
                self.reader.limit()
            )));
        }
        let all: usize = self.shape().iter().product();
        for first in (0..all).step_by(size) {
            let len = size.min(all - first);
            // The last chunk meets the end of an archive's entry, where the checksum is compared.
            let limit = if first + len == all { u64::MAX } else { (len * size_of::<A>()) as u64 };
            let chunk = self.reader.get_mut().take(limit);
            let values =
                A::read_to_end_exact_vec(chunk, &self.header.type_descriptor, len).map_err(|source| {
                    self.error(format!(
                        "the values cannot be read ({source}); the file is damaged, copy it again"
                    ))
                })?;
            each(first, values)?;
        }
        Ok(())
    }
}

/// An open `.npz` file.
pub(super) struct Archive<'a> {
    path: &'a Path,
    zip: ZipArchive<BufReader<File>>,
    /// The names of its arrays.
    pub(super) keys: Vec<String>,
}

impl<'a> Archive<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path, "read"))?;
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|source| broken(path, source))?;
        let keys = zip.file_names().filter_map(|name| name.strip_suffix(".npy")).map(String::from).collect();
        Ok(Self { path, zip, keys })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }

    /// The names of its arrays, for messages.
    pub(super) fn listed(&self) -> String {
        self.keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn array(&mut self, key: &str) -> Result<Array<impl Read>> {
        let entry = self.zip.by_name(&format!("{key}.npy")).map_err(|source| broken(self.path, source))?;
        let length = entry.size();
        Array::new(format!("{}:{key}", self.path.display()).into(), entry.take(length))
    }
}

fn broken(path: &Path, source: ZipError) -> Error {
    let problem = format!("this is no readable .npz archive ({source}); write it again with `numpy.savez`");
    Error::data(path, problem)
}
