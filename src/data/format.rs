//! The formats of data in one list: images to learn from, samples, and labels.

use super::table::{self, Table, csv, npy};
use super::{Dataset, digits, idx, numpy, sprites};
use crate::error::{Error, Result};
use std::fs;
use std::path::Path;

/// Reads a file or a directory, or the part of it that was asked for after a `:`.
type Reader = fn(&Path, Option<&str>) -> Result<Table>;

/// A format of files, or of directories of them.
struct Format {
    /// Tells it by a path and the name in small letters.
    matches: fn(&Path, &str) -> bool,
    has_parts: bool,
    /// Reads images to learn from; a seed splits what is not split.
    dataset: Option<fn(&Path, u64) -> Result<Dataset>>,
    table: Reader,
    /// Reads one label per row.
    labels: Reader,
}

impl Format {
    /// A format of samples alone, which has no parts.
    const fn new(matches: fn(&Path, &str) -> bool, table: Reader) -> Self {
        Self { matches, has_parts: false, dataset: None, table, labels: table }
    }
}

const FORMATS: &[Format] = &[
    Format {
        has_parts: true,
        dataset: Some(|path, _| idx::directory(path)),
        labels: table::directory_labels,
        ..Format::new(|path, _| path.is_dir(), table::directory)
    },
    Format {
        dataset: Some(numpy::array),
        ..Format::new(|_, name| name.ends_with(".npy"), |path, _| npy::file(path))
    },
    Format {
        has_parts: true,
        dataset: Some(numpy::archive),
        ..Format::new(|_, name| name.ends_with(".npz"), npy::archive)
    },
    Format {
        labels: |path, _| csv::labels(path),
        ..Format::new(|_, name| name.ends_with(".csv"), |path, _| csv::file(path))
    },
    Format {
        labels: |path, _| table::idx_labels(path),
        ..Format::new(|_, name| name.contains("idx1"), |path, _| table::idx_images(path))
    },
    Format::new(
        |_, name| name.contains("idx") || name.trim_end_matches(".gz").ends_with("-ubyte"),
        |path, _| table::idx_images(path),
    ),
];

/// All that `--data` reads, for messages.
pub(super) const DATASETS: &str = "`digits`, `sprites`, `sprites:colour`, a .npz or .npy file of images, or a \
                                   directory with the four files of MNIST";

/// The problem with any other file.
const NO_DIRECTORY: &str = "this is a file, but a directory is expected; give the directory that holds it, or a .npz \
                            or .npy file";

/// All samples, for messages.
pub(super) const TABLES: &str = "a .npy, .npz or .csv file, an IDX file (with `idx` or `-ubyte` in its name), a \
                                 directory with the files of MNIST, or a folder of PNG images";

/// All samples, for help texts; the command line adds runs, which draw images.
pub const SAMPLES: &str = "A sample is a .npy, .npz (or file.npz:key) or .csv file, an IDX file, a directory \
with MNIST's files (DIR, DIR:train or DIR:test), a folder of PNG images, or run:DIR[:N], images drawn from a \
trained model. Rows are points; images are scaled to 0..1.";

/// Loads the data set that `--data` names: `digits`, `sprites`, `sprites:colour`, a directory of IDX files
/// ([`idx::directory`]), or a file of NumPy's ([`numpy`]).
///
/// The built-in ones are drawn from `seed`, and a file is split by it.
pub fn load(name: &str, seed: u64) -> Result<Dataset> {
    let path = Path::new(name);
    match (name, format(path).and_then(|format| format.dataset)) {
        ("digits", _) => return Ok(digits::dataset(seed)),
        ("sprites", _) => return Ok(sprites::dataset(seed, false)),
        ("sprites:colour", _) => return Ok(sprites::dataset(seed, true)),
        (_, Some(dataset)) => return dataset(path, seed),
        _ => (),
    }
    let problem = match (name.split_once(':'), fs::metadata(path)) {
        (Some((data @ ("digits" | "sprites"), option)), Err(_)) => {
            let problem = format!("--data {name}: `{data}` has no option `{option}`; give {DATASETS}");
            return Err(Error::usage(problem));
        }
        (_, Err(source)) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io(path, "read")(source));
        }
        (_, Err(_)) => format!("there is no such directory; give {DATASETS}"),
        (_, Ok(_)) => NO_DIRECTORY.into(),
    };
    Err(Error::data(path, problem))
}

/// Reads the sample that a source names:
///
/// | source | rows |
/// |---|---|
/// | `x.npy` | an array `(n)`, `(n, d)`, or `(n, h, w)` or `(n, h, w, 3)` of images, see below |
/// | `x.npz`, `x.npz:key` | the only array of an archive, or the one of this name |
/// | `x.csv` | lines of numbers separated by commas; a first line with any name in it is the header |
/// | an IDX file | its images, scaled to 0..1; `idx` in its name or `-ubyte` at the end, `.gz` or not |
/// | `DIR`, `DIR:train`, `DIR:test` | the training or test images of MNIST's files, scaled to 0..1 |
/// | `DIR` | PNG images of one size, sorted by name: 8-bit luma / 255, without transparency |
///
/// Arrays may hold booleans, integers (rounded to f64 above 2^53) or floats of 32 or 64 bits, in C or Fortran
/// order. Images of unsigned bytes are scaled to 0..1; all other values stay as they are.
///
/// A suffix after the last `:` counts only if the whole source is no existing path.
///
/// # Errors
///
/// If nothing is there, the format is not one of these, the file is damaged, there is no value at all, or one
/// is not a finite number: the message says in which row and column.
pub fn read(source: &str) -> Result<Table> {
    read_with(source, |format| format.table)
}

/// Reads the labels that a source names, one per row: those of MNIST's files for a directory, an IDX file of
/// labels, the lines of a `.csv` file, which may be words, or the rows of any other table. Words become
/// numbers in the order in which they first appear.
///
/// # Errors
///
/// As for [`read`].
pub fn labels(source: &str) -> Result<Table> {
    read_with(source, |format| format.labels)
}

fn read_with(source: &str, reader: fn(&Format) -> Reader) -> Result<Table> {
    let (path, part) = split(source)?;
    let format = format(path);
    if let Some(part) = part
        && !format.is_some_and(|format| format.has_parts)
    {
        let problem = format!(
            "the part `:{part}` was asked for, but only .npz files and directories have parts; leave it away"
        );
        return Err(Error::data(path, problem));
    }
    let Some(format) = format else {
        return Err(Error::data(path, format!("the format of this file is unknown; give {TABLES}")));
    };
    let table = reader(format)(path, part)?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    Ok(Table { name: part.map_or(name.to_string(), |part| format!("{name}:{part}")), ..table })
}

/// The format of what lies at a path, or would by its name.
fn format(path: &Path) -> Option<&'static Format> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    FORMATS.iter().find(|format| (format.matches)(path, &name))
}

/// The existing path in a source, and the part of it asked for after a `:`.
fn split(source: &str) -> Result<(&Path, Option<&str>)> {
    // A path that cannot be looked at counts as existing: reading it will say why.
    let exists = |path: &str| Path::new(path).try_exists().unwrap_or(true);
    if exists(source) {
        return Ok((Path::new(source), None));
    }
    match source.rsplit_once(':') {
        Some((path, part)) if exists(path) => Ok((Path::new(path), Some(part))),
        _ => {
            let problem = format!("there is no such file or directory; give {TABLES}");
            Err(Error::data(source, problem))
        }
    }
}
