//! The formats of data in one list: images to learn from, samples, and labels.

use super::array::Array;
use super::folder::{self, ColourChoice, Folder};
use super::images::{self, BOTH_PARTS, ImageParts, title};
use super::npy::{self, Archive};
use super::scale::Range;
use super::table::{self, ReadOptions, Table, csv};
use super::{Dataset, digits, idx, sprites, standard};
use crate::error::{Error, Kind, Result};
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::OnceLock;

/// Reads what was asked for after a `:`, or all.
type PartName<'a> = Option<&'a str>;

/// Reads images to learn from; a seed splits what is not split.
type DatasetReader = fn(&Path, PartName<'_>, u64, Option<Range>) -> Result<Dataset>;
/// Reads a sample.
type TableReader = fn(&Path, PartName<'_>, &ReadOptions) -> Result<Table>;
/// Reads one label per row; how many are expected, if that is known.
type LabelReader = fn(&Path, PartName<'_>, &ReadOptions, Option<usize>) -> Result<Table>;

/// A format of files, or of directories of them.
struct Format {
    /// Tells it by a path and the name in small letters.
    matches: fn(&Path, &str) -> bool,
    has_parts: bool,
    dataset: Option<DatasetReader>,
    table: TableReader,
    labels: LabelReader,
}

impl Format {
    /// A format of arrays without parts.
    const fn of_arrays(
        matches: fn(&Path, &str) -> bool,
        dataset: DatasetReader,
        table: TableReader,
        labels: LabelReader,
    ) -> Self {
        Self { matches, has_parts: false, dataset: Some(dataset), table, labels }
    }
}

const FORMATS: &[Format] = &[
    Format {
        matches: |path, _| path.is_dir(),
        has_parts: true,
        dataset: Some(directory_dataset),
        table: directory_table,
        labels: directory_labels,
    },
    Format::of_arrays(
        |_, name| name.ends_with(".npy"),
        |path, _, seed, range| images::of_array(path, npy::open(path)?, None, seed, range),
        |path, _, options| table::of_array(npy::open(path)?, options),
        |path, _, options, _| table::of_array(npy::open(path)?, options),
    ),
    Format {
        has_parts: true,
        ..Format::of_arrays(
            |_, name| name.ends_with(".npz"),
            archive_dataset,
            |path, part, options| archive_table(path, part, options, 0),
            |path, part, options, _| archive_table(path, part, options, 1),
        )
    },
    Format {
        matches: |_, name| {
            let name = name.trim_end_matches(".gz");
            [".csv", ".tsv", ".txt"].iter().any(|end| name.ends_with(end))
        },
        has_parts: false,
        dataset: None,
        table: |path, _, options| csv::file(path, options),
        labels: |path, _, options, expected| csv::labels(path, options, expected),
    },
    Format {
        matches: |_, name| name.ends_with(".parquet"),
        has_parts: false,
        dataset: None,
        table: |path, _, options| parquet::file(path, options),
        labels: |path, _, options, _| parquet::labels(path, options),
    },
    Format::of_arrays(
        |_, name| name.contains("idx") || name.trim_end_matches(".gz").ends_with("-ubyte"),
        |path, _, seed, range| images::of_array(path, idx::open(path)?, None, seed, range),
        |path, _, options| table::of_array(idx::open(path)?, options),
        |path, _, options, _| table::of_array(idx::open_with(path, 1)?, options),
    ),
];

#[cfg(feature = "parquet")]
use super::table::parquet;

/// Without the feature `parquet`.
#[cfg(not(feature = "parquet"))]
mod parquet {
    use super::{Error, Path, ReadOptions, Result, Table};

    pub(super) fn file(path: &Path, _: &ReadOptions) -> Result<Table> {
        let problem = "this program was built without Parquet; build it with `--features parquet`, or give a .csv \
                       or .npy file";
        Err(Error::data(path, problem))
    }

    pub(super) use file as labels;
}

/// Before a file whose rows are taken as a table, not as images.
const TABLE: &str = "table:";

/// All that `--data` reads, for messages.
pub(super) const DATASETS: &str = "`digits`, `sprites`, `sprites:colour`, a .npz, .npy or IDX file of images, a \
                                   directory with the four files of MNIST, a folder of PNG or JPEG images, a table as \
                                   .csv, .tsv, .txt or .parquet, or table:FILE for rows of numbers in another file";

/// All samples, for messages.
pub(super) const TABLES: &str = "a .npy, .npz, .csv, .tsv, .txt or .parquet file, an IDX file (with `idx` or `-ubyte` in its \
                                 name), a directory with the files of MNIST, or a folder of PNG or JPEG images";

/// All samples, for help texts; the command line adds runs, which draw images.
pub const SAMPLES: &str = "A sample is a .npy, .npz (or file.npz:key), .csv, .tsv or .txt file, gzipped or not, \
a .parquet file, an IDX file, a directory with MNIST's files (DIR, DIR:train or DIR:test), \
a folder of PNG or JPEG images (DIR, DIR:colour), \
run:DIR[:N], images drawn from a trained model, or - for .npy, .npz (stdin:key) or text on the standard input. \
Rows are points. Bytes are divided by 255, words of 16 bits by 65535.";

/// The data sets that are drawn.
const DIGITS: &str = "digits";
const SPRITES: &str = "sprites";
const COLOURED_SPRITES: &str = "sprites:colour";

/// Whether a data set is drawn, not read from files.
pub fn is_built_in(name: &str) -> bool {
    [DIGITS, SPRITES, COLOURED_SPRITES, standard::IN_MEMORY].contains(&name)
}

/// Loads the data set that `--data` names: `digits`, `sprites`, `sprites:colour`, or images in files (see
/// [`images`]): a directory of MNIST's files, a folder of pictures, with subfolders `train` and `test`
/// or not, an array, or an archive of arrays. `range` is that of black and white, where a number is neither brightness
/// by its type nor within 0..1.
///
/// The built-in ones are drawn from `seed`, and a file is split by it.
///
/// # Errors
/// If nothing is there, or it is damaged or no images of one size.
pub fn load(name: &str, seed: u64, range: Option<Range>) -> Result<Dataset> {
    match name {
        DIGITS => return Ok(digits::dataset(seed)),
        SPRITES => return Ok(sprites::dataset(seed, false)),
        COLOURED_SPRITES => return Ok(sprites::dataset(seed, true)),
        _ => {}
    }
    if let (Some((data @ ("digits" | "sprites"), option)), false) =
        (name.split_once(':'), Path::new(name).exists())
    {
        let problem = format!("--data {name}: `{data}` has no option `{option}`; give {DATASETS}");
        return Err(Error::usage(problem));
    }
    let table = name.strip_prefix(TABLE).filter(|_| !Path::new(name).exists());
    let format = match table {
        Some(_) => None,
        None => split(name, DATASETS)
            .and_then(|(path, part)| Ok((path, part, known(path, part)?.dataset)))
            .map(Some)?,
    };
    match (format, range) {
        (Some((path, part, Some(dataset))), _) => dataset(path, part, seed, range),
        (_, Some(_)) => {
            let problem =
                "is a table, whose columns are standardised; leave out --scale, which is for images";
            Err(Error::data(name, problem))
        }
        _ => standard::dataset(&read(table.unwrap_or(name), &ReadOptions::default())?, seed),
    }
}

/// Reads the sample that a source names:
///
/// | source | rows |
/// |---|---|
/// | `x.npy` | an array `(n)`, `(n, d)`, or of images, `(n, h, w)`, `(n, h, w, 3)` or `(n, 3, h, w)` |
/// | `x.npz`, `x.npz:key` | the only array of an archive, or the one of this name; of known layouts also `:train`, `:test` |
/// | `x.csv`, `.tsv`, `.txt` | lines of numbers with commas, semicolons, tabs, bars or spaces between them; gzipped or not |
/// | `x.parquet` | its columns of numbers, with the feature `parquet` |
/// | an IDX file | its images; `idx` in its name or `-ubyte` at the end, gzipped or not |
/// | `DIR`, `DIR:train`, `DIR:test` | the training or test images of MNIST's files, or of a folder with such subfolders |
/// | `DIR`, `DIR:colour`, `DIR:grey` | PNG and JPEG images of one size, sorted by name, in subfolders or not |
///
/// Arrays may hold booleans, whole numbers (rounded to f64 above 2^53) or floats of 16 to 64 bits, in C or Fortran order
/// and any order of bytes. [`scale`](super::scale::scale) brings those that are brightness to 0..1; here they are as the
/// file has them.
///
/// A suffix after the last `:` counts only if the whole source is no existing path.
///
/// # Errors
///
/// If nothing is there, the format is not one of these, the file is damaged, there is no value at all, or one
/// is missing or not a finite number: the message says in which row and column.
pub fn read(source: &str, options: &ReadOptions) -> Result<Table> {
    let of_standard_input = match source {
        "-" | STANDARD_INPUT => Some(""),
        _ => source.strip_prefix(STANDARD_INPUT).filter(|part| part.starts_with(':')),
    };
    if let Some(part) = of_standard_input.filter(|_| !Path::new(source).exists()) {
        return read_standard_input(part, options);
    }
    let (path, part) = split(source, TABLES)?;
    let table = (known(path, part)?.table)(path, part, options)?;
    if table.categories.is_empty() && !options.categories.is_empty() {
        let problem = "columns of classes are read from text files and arrays of numbers alone; give such a file, or leave \
            out --categories";
        return Err(Error::data(path, problem));
    }
    Ok(named(path, part, table))
}

/// The standard input, and its arrays as `stdin:NAME`. `-` is the same, but `-:NAME` would be an option.
const STANDARD_INPUT: &str = "stdin";

/// A sample from the standard input, `:array` of an archive or all of it; its first bytes tell the format.
fn read_standard_input(part: &str, options: &ReadOptions) -> Result<Table> {
    let path = Path::new("the standard input");
    // A pipe can be read once, but two arrays of an archive may be asked for.
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    if BYTES.get().is_none() {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
        BYTES.get_or_init(|| bytes);
    }
    let bytes = BYTES.get().map_or(&[][..], Vec::as_slice);
    let kinds = [(&b"\x93NUMPY"[..], "npy"), (b"PK\x03\x04", "npz")];
    let kind = kinds.into_iter().find(|(head, _)| bytes.starts_with(head));
    // Readers of arrays seek.
    let folder = tempfile::tempdir().map_err(Error::io(&std::env::temp_dir(), "write to"))?;
    let file = folder.path().join(path).with_extension(kind.map_or("csv", |(_, kind)| kind));
    fs::write(&file, bytes).map_err(Error::io(&file, "write"))?;
    let file = file.to_string_lossy();
    match read(&format!("{file}{part}"), options) {
        Ok(table) => Ok(Table { name: format!("{STANDARD_INPUT}{part}"), ..table }),
        // Nobody knows the file.
        Err(error) => Err(Kind::Samples(error.to_string().replace(&*file, STANDARD_INPUT)).into()),
    }
}

/// Reads the labels that a source names, one per row: those of MNIST's files for a directory, the subfolders of a folder
/// of pictures, an IDX file of labels, the lines of a text file, which may be words, or the rows of any other table. Words
/// become numbers in the order in which they first appear. `expected` is how many there should be, if that is known.
///
/// # Errors
///
/// As for [`read`].
pub fn labels(source: &str, options: &ReadOptions, expected: Option<usize>) -> Result<Table> {
    let (path, part) = split(source, TABLES)?;
    let table = (known(path, part)?.labels)(path, part, options, expected)?;
    // A class is no brightness.
    Ok(Table { white: None, ..named(path, part, table) })
}

fn named(path: &Path, part: PartName<'_>, table: Table) -> Table {
    let name = title(path);
    Table { name: part.map_or(name.clone(), |part| format!("{name}:{part}")), ..table }
}

/// The format of what lies at a path.
fn known(path: &Path, part: PartName<'_>) -> Result<&'static Format> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let format = FORMATS.iter().find(|format| (format.matches)(path, &name));
    if let Some(part) = part
        && !format.is_some_and(|format| format.has_parts)
    {
        let problem = format!(
            "the part `:{part}` was asked for, but only .npz files and directories have parts; leave it away"
        );
        return Err(Error::data(path, problem));
    }
    format.ok_or_else(|| Error::data(path, format!("the format of this file is unknown; give {TABLES}")))
}

/// The existing path in a source, and the part of it asked for after a `:`.
fn split<'a>(source: &'a str, known: &str) -> Result<(&'a Path, PartName<'a>)> {
    // A path that cannot be looked at counts as existing: reading it will say why.
    let exists = |path: &str| Path::new(path).try_exists().unwrap_or(true);
    if exists(source) {
        return Ok((Path::new(source), None));
    }
    match source.rsplit_once(':') {
        Some((path, part)) if exists(path) => Ok((Path::new(path), Some(part))),
        _ => {
            let problem = format!("there is no such file or directory; give {known}");
            Err(Error::data(source, problem))
        }
    }
}

/// Whether a directory has the files of MNIST.
fn is_mnist(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            ["train-", "t10k-"].iter().any(|part| name.starts_with(part)) && name.contains("-ubyte")
        })
    })
}

/// The stems of the files of MNIST's parts.
const MNIST: [(&str, &str); 2] = [("train", "train"), ("test", "t10k")];

fn no_part(path: &Path, part: &str) -> Error {
    let problem = match MNIST.iter().any(|(name, _)| *name == part) {
        true if path.join(part).is_dir() => {
            format!("its parts `:train` and `:test` are taken together here; leave `:{part}` out")
        }
        true => format!("there is no part `:{part}`, as nothing in it has that name; leave the part out"),
        false => format!(
            "the part `:{part}` was asked for, but there are only `:train` and `:test`, and `:colour` and `:grey` of pictures"
        ),
    };
    Error::data(path, problem)
}

fn mnist(path: &Path, part: PartName<'_>, what: &str, dimensions: usize) -> Result<Array<'static>> {
    let part = part.unwrap_or("train");
    let stem = MNIST.iter().find(|(name, _)| *name == part).ok_or_else(|| no_part(path, part))?.1;
    idx::open_with(&idx::find(path, &format!("{stem}-{what}"), dimensions as u32)?, dimensions)
}

/// The pictures of a folder, or of its subfolder `train` or `test`.
fn pictures(path: &Path, part: PartName<'_>) -> Result<Folder> {
    match part {
        None if path.join("train").is_dir() => folder::read(&path.join("train"), ColourChoice::Unsaid),
        None => folder::read(path, ColourChoice::Unsaid),
        Some("colour") => folder::read(path, ColourChoice::Kept),
        Some("grey") => folder::read(path, ColourChoice::Grey),
        Some(part @ ("train" | "test")) if path.join(part).is_dir() => {
            folder::read(&path.join(part), ColourChoice::Unsaid)
        }
        Some(part) => Err(no_part(path, part)),
    }
}

fn directory_table(path: &Path, part: PartName<'_>, options: &ReadOptions) -> Result<Table> {
    if is_mnist(path) {
        return table::of_array(mnist(path, part, "images", 3)?, options);
    }
    let Folder { array, notes, .. } = pictures(path, part)?;
    let table = table::of_array(array, options)?;
    Ok(Table { notes: [notes, table.notes].concat(), ..table })
}

fn directory_labels(
    path: &Path,
    part: PartName<'_>,
    options: &ReadOptions,
    _: Option<usize>,
) -> Result<Table> {
    if is_mnist(path) {
        return table::of_array(mnist(path, part, "labels", 1)?, options);
    }
    let Folder { labels, notes, .. } = pictures(path, part)?;
    let labels = labels.ok_or_else(|| {
        let problem = "its pictures have no labels; put those of each class into a subfolder of their own";
        Error::data(path, problem)
    })?;
    let values = labels.into_iter().map(f64::from).collect::<Vec<_>>();
    Ok(Table { rows: values.len(), columns: 1, values: values.into(), notes, ..Table::default() })
}

fn directory_dataset(path: &Path, part: PartName<'_>, seed: u64, range: Option<Range>) -> Result<Dataset> {
    if is_mnist(path) && part.is_none() {
        let mut parts = ImageParts::new(range);
        for (number, (name, _)) in MNIST.into_iter().enumerate() {
            parts.add(number, mnist(path, Some(name), "images", 3)?)?;
            parts.label(number, mnist(path, Some(name), "labels", 1)?)?;
        }
        return parts.finish(path);
    }
    let halves = MNIST.map(|(name, _)| path.join(name));
    if halves.iter().all(|half| half.is_dir()) {
        let colour = match part {
            None => ColourChoice::Unsaid,
            Some("colour") => ColourChoice::Kept,
            Some("grey") => ColourChoice::Grey,
            Some(part) => return Err(no_part(path, part)),
        };
        let [train, test] = halves.map(|half| folder::read(&half, colour));
        return folder::dataset(path, [train?, test?], range);
    }
    let Folder { array, labels, classes, notes } = pictures(path, part)?;
    let mut dataset = images::of_array(path, array, labels.map(|labels| (labels, classes)), seed, range)?;
    dataset.notes.splice(0..0, notes);
    Ok(dataset)
}

fn archive_dataset(path: &Path, part: PartName<'_>, seed: u64, range: Option<Range>) -> Result<Dataset> {
    match part {
        None => images::archive(path, seed, range),
        Some(key) => {
            let mut archive = Archive::open(path)?;
            let key = archive_key(path, &archive, Some(key), 0)?;
            images::of_array(path, archive.array(&key)?, None, seed, range)
        }
    }
}

/// Reads an array of an archive; `which` is 0 for the images of a known layout, and 1 for its labels.
fn archive_table(path: &Path, part: PartName<'_>, options: &ReadOptions, which: usize) -> Result<Table> {
    let mut archive = Archive::open(path)?;
    let key = archive_key(path, &archive, part, which)?;
    table::of_array(archive.array(&key)?, options)
}

/// The array of this name, or that part of a known layout; without a name the only one, or its images to learn from.
fn archive_key(path: &Path, archive: &Archive, part: PartName<'_>, which: usize) -> Result<String> {
    let layout = BOTH_PARTS.into_iter().find(|keys| keys.iter().flatten().all(|key| archive.has(key)));
    let list = archive.listed();
    let key = match (part, &archive.keys[..], layout) {
        (Some(key), ..) if archive.has(key) => Ok(key.into()),
        (None | Some("train"), _, Some([train, _])) => Ok(train[which].into()),
        (Some("test"), _, Some([_, test])) => Ok(test[which].into()),
        (_, [], _) => Err("there is no array in this archive; write one with `numpy.savez`".into()),
        (None, [only], _) => Ok(only.clone()),
        (None, [one, ..], _) => Err(format!(
            "there are {} arrays in this archive: {list}; say which one, such as `{}:{one}`",
            archive.keys.len(),
            path.display()
        )),
        (Some(key), ..) => Err(format!("there is no array `{key}` in this archive; give one of {list}")),
    };
    key.map_err(|problem: String| Error::data(path, problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::layout::Layout;
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
        super::read(put(&directory, bytes).to_str().unwrap(), &ReadOptions::default())
            .map(|table| Table { name: String::new(), ..table })
    }

    #[test]
    fn a_part_that_is_not_there_is_not_said_to_be() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("picture.png"), "").unwrap();
        let said = |part: &str| {
            let source = format!("{}:{part}", directory.path().display());
            super::read(&source, &ReadOptions::default())
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert!(said("test").contains("there is no part `:test`"), "{}", said("test"));
        assert!(said("half").contains("only `:train` and `:test`"), "{}", said("half"));
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
    fn gzipped_text_is_read_as_plain_text() {
        use flate2::{Compression, write::GzEncoder};
        use std::io::Write;
        let directory = tempfile::tempdir().unwrap();
        let (plain, packed) = (directory.path().join("x.csv"), directory.path().join("x.csv.gz"));
        fs::write(&plain, "a,b\n1,2\n3,4\n").unwrap();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&fs::read(&plain).unwrap()).unwrap();
        let bytes = encoder.finish().unwrap();
        fs::write(&packed, &bytes).unwrap();
        let read = |path: &Path| super::read(&path.display().to_string(), &ReadOptions::default());
        let table = read(&packed).unwrap();
        assert_eq!(Table { name: "x.csv".into(), ..table }, read(&plain).unwrap());
        fs::write(&packed, &bytes[..bytes.len() - 9]).unwrap();
        let problem = read(&packed).unwrap_err().to_string();
        assert!(problem.contains("x.csv.gz: cannot read"), "{problem}");
    }

    #[test]
    fn every_type_is_read() {
        fn check<A: WritableElement>(values: [A; 4], want: [f64; 4]) {
            let a = Array2::from_shape_vec([2, 2], values.into()).unwrap();
            let want = Table { rows: 2, columns: 2, values: want.into(), ..Table::default() };
            assert_eq!(Table { white: None, ..read(&bytes(&a)).unwrap() }, want);
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
        assert_eq!((table.rows, table.columns, &*table.values), (3, 1, &[3.0, 4.0, 5.0][..]));
        assert_eq!(table.layout, None);
    }

    #[test]
    fn three_dimensions_are_images() {
        let a = Array3::from_shape_fn([2, 3, 4], |(i, r, c)| (100 * i + 10 * r + c) as u8);
        let table = read(&bytes(&a)).unwrap();
        let layout = Some(Layout::grey(3, 4));
        assert_eq!((table.rows, table.columns, table.layout), (2, 12, layout));
        assert_eq!((table.row(1)[7], table.white), (113.0, Some(255.0)));
        // Of a wider type, whole numbers up to 123 may be anything; more of a byte's range are bytes, without fractions.
        let wider = |factor: f32| read(&bytes(&a.mapv(|v| f32::from(v) * factor))).unwrap();
        let table = wider(1.0);
        assert_eq!((table.layout, table.row(1)[7], table.white), (layout, 113.0, None));
        assert_eq!([2.0, 1.5, 3.0].map(|factor| wider(factor).white), [Some(255.0), None, None]);
    }

    #[test]
    fn colour_images_are_read() {
        let a = ArrayD::from_shape_fn(vec![2, 3, 4, 3], |i| (100 * i[0] + 10 * i[1] + i[2] + i[3]) as u8);
        let table = read(&bytes(&a)).unwrap();
        let layout = Layout { channels: 3, ..Layout::grey(3, 4) };
        assert_eq!((table.rows, table.columns, table.layout), (2, 36, Some(layout)));
        assert_eq!(table.row(1)[3 * 7 + 2], 115.0);
        // The same as planes: another order in the file, the same sample.
        let planes =
            read(&bytes(&a.view().permuted_axes(vec![0, 3, 1, 2]).as_standard_layout().to_owned())).unwrap();
        assert_eq!(planes.layout, Some(Layout { is_planar: true, ..layout }));
        assert_ne!(planes.values, table.values);
        assert_eq!(table::matched(&table, planes.clone()).unwrap(), table);
        assert_eq!(table::matched(&planes, table).unwrap(), planes);
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
        fails(&bytes(&ArrayD::<u8>::zeros(vec![2, 4, 4, 4])), &problem("(2, 4, 4, 4)"));
    }

    #[test]
    fn empty_arrays_are_refused() {
        let problem =
            |shape| format!("the array has shape {shape}, which is no sample; give at least one number");
        fails(&bytes(&Array1::<f32>::zeros(0)), &problem("(0,)"));
        fails(&bytes(&Array2::<f32>::zeros([3, 0])), &problem("(3, 0)"));
        fails(&bytes(&Array3::<f32>::zeros([0, 2, 2])), &problem("(0, 2, 2)"));
    }

    #[test]
    fn half_precision_is_read() {
        // 1.0 and -2.5 in 16 bits.
        let mut file = edited("<f4", "<f2");
        let values = file.len() - 8;
        file.truncate(values);
        file.extend([0x00, 0x3C, 0x00, 0xC1]);
        assert_eq!(read(&file).unwrap().values, [1.0, -2.5]);
    }

    #[test]
    fn other_types_are_refused() {
        for (descriptor, problem) in [
            ("<c8", "complex numbers; give real and imaginary parts as columns of their own"),
            ("|O8", "Python objects; convert the array with `a.astype('float64')`"),
        ] {
            fails(&edited("<f4", descriptor), &format!("the values are {problem}"));
        }
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        let infinite = |row, column, value| {
            format!(
                "the value at row {row} (counted from 0), column {column} (counted from 0) is {value}, but all values \
                 must be finite; replace it or remove the row"
            )
        };
        fails(&bytes(&array![[0.0, f32::NEG_INFINITY], [1.0, 2.0]]), &infinite(0, 1, "-inf"));
        fails(&bytes(&array![[[0.0, 1.0], [2.0, f64::INFINITY]]]), &infinite(0, 3, "inf"));
        let mut fortran = Array2::zeros([2, 3].f());
        fortran[[1, 2]] = f64::NAN;
        let problem = "1 of 6 values are missing, at row 1 (counted from 0), column 2 (counted from 0); fill in numbers, or \
                       leave out 1 row with --missing drop";
        fails(&bytes(&fortran), problem);
    }

    #[test]
    fn rows_with_missing_values_are_left_out_if_asked() {
        let directory = tempfile::tempdir().unwrap();
        let gaps = array![[0.0, 1.0], [f64::NAN, 2.0], [3.0, 4.0], [5.0, f64::NAN]];
        let path = put(&directory, &bytes(&gaps));
        let options = ReadOptions { missing: table::Missing::Drop, ..ReadOptions::default() };
        let table = super::read(path.to_str().unwrap(), &options).unwrap();
        assert_eq!((table.rows, &table.values[..]), (2, &[0.0, 1.0, 3.0, 4.0][..]));
        assert_eq!(table.left_out, [1, 3]);
        assert!(table.notes[0].ends_with("2 rows with missing values left out"), "{:?}", table.notes);
        let path = put(&directory, &bytes(&array![[0.0, f64::NAN], [f64::NAN, 2.0]]));
        let message = super::read(path.to_str().unwrap(), &options).unwrap_err().to_string();
        assert!(message.ends_with("no row is complete, so give other columns with --columns"), "{message}");
    }

    #[test]
    fn columns_are_chosen_by_number() {
        let directory = tempfile::tempdir().unwrap();
        let path = put(&directory, &bytes(&array![[0.0, 1.0, 2.0], [3.0, 4.0, f64::NAN]]));
        let columns = |columns: &[&str]| {
            let columns = columns.iter().map(|&column| column.into()).collect();
            super::read(path.to_str().unwrap(), &ReadOptions { columns, ..ReadOptions::default() })
        };
        assert_eq!(columns(&["1", "0"]).unwrap().values, [1.0, 0.0, 4.0, 3.0]);
        let message = columns(&["3"]).unwrap_err().to_string();
        assert!(
            message.ends_with("there is no column `3`; there are no names here, but numbers 0 to 2"),
            "{message}"
        );
    }

    #[test]
    fn damaged_files_are_refused() {
        let good = bytes(&array![1f32, 2.0]);
        let problem = "the file ends inside its header; it was cut off, copy it again";
        fails(b"", problem);
        fails(&good[..20], problem);
        let problem = "the header announces (2,) values of type float32, so 8 bytes, but only 7 follow it; the file is \
                       damaged, copy it again";
        fails(&good[..good.len() - 1], problem);
        let problem = "more bytes follow the 8 that the header announces; the file is damaged, copy it again";
        fails(&[&good[..], &[0, 0]].concat(), problem);
        // A size that no memory holds is no reason to allocate it.
        let problem = "the header announces an array of shape (9999999999999999999,), more than any memory holds; the \
                       file is damaged, copy it again";
        fails(&edited("(2,)}                  ", "(9999999999999999999,)}"), problem);
        let problem =
            "this is no .npy array (it does not begin with \\x93NUMPY); write it again with `numpy.save`";
        fails(b"1,2,3\n4,5,6\n", problem);
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
        let message = archive_table(path, key, &ReadOptions::default(), 0).unwrap_err().to_string();
        assert_eq!(message, format!("{}: {problem}", path.display()));
    }

    #[test]
    fn archives_are_read() {
        let directory = tempfile::tempdir().unwrap();
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let path = npz(&directory, method, &["one"]);
            for key in [None, Some("one")] {
                assert_eq!(
                    archive_table(&path, key, &ReadOptions::default(), 0).unwrap().values,
                    [0.0, 1.0, 2.0, 3.0]
                );
            }
            let path = npz(&directory, method, &["train/x", "y"]);
            assert_eq!(
                archive_table(&path, Some("train/x"), &ReadOptions::default(), 0).unwrap().row(0),
                [0.0, 1.0]
            );
            assert_eq!(
                archive_table(&path, Some("y"), &ReadOptions::default(), 0).unwrap().row(0),
                [1.0, 1.0]
            );
            let source = format!("{}:y", path.display());
            assert_eq!(super::read(&source, &ReadOptions::default()).unwrap().name, "x.npz:y");
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
        let message = archive_table(&path, None, &ReadOptions::default(), 0).unwrap_err().to_string();
        let start = format!("{}: this is no readable .npz archive (", path.display());
        let end = "); write it again with `numpy.savez`";
        assert!(message.starts_with(&start) && message.ends_with(end), "{message}");

        // One bit of a value: only the checksum shows it.
        let value = good.windows(4).rposition(|window| window == 3f32.to_le_bytes()).unwrap();
        let mut flipped = good;
        flipped[value] ^= 1;
        fs::write(&path, flipped).unwrap();
        let message = archive_table(&path, None, &ReadOptions::default(), 0).unwrap_err().to_string();
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
        let message = archive_table(&path, None, &ReadOptions::default(), 0).unwrap_err().to_string();
        let start = format!("{}:bad: 1 of 1 values are missing", path.display());
        assert!(message.starts_with(&start), "{message}");
    }
}
