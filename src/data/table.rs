//! Samples for the tests: tables of numbers from the files people have.

mod cells;
pub(super) mod csv;
#[cfg(feature = "parquet")]
pub(super) mod parquet;

pub use cells::Cells;

use super::array::Array;
use super::layout::Layout;
use super::scale::{is_byte, white_of_bytes};
use crate::error::{Error, Result, escaped};
use crate::sample::Sample;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::path::Path;

/// Missing values that a message names one by one.
const NAMED: usize = 3;

/// Characters of a text of a file that a message shows.
const SHOWN: usize = 40;

/// Names of columns that a message lists.
const LISTED: usize = 8;

/// Fewest rows of which a column can be said to count them.
const LEAST_COUNTED: usize = 10;

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
    pub values: Cells,
    /// That of an image, when each row is one.
    pub layout: Option<Layout>,
    /// `(d)`: the names of the columns, if the file has them.
    pub header: Option<Vec<String>>,
    /// The columns whose numbers are classes, in order.
    pub categories: Vec<CategoryColumn>,
    /// The value of white, for brightness in whole numbers that are not [scaled](super::scale::scale) yet.
    pub white: Option<f64>,
    /// The rows of the file that were left out for their missing values, counted from 0, in order.
    pub left_out: Vec<usize>,
    /// What the user must know: what was left out, or taken for what.
    pub notes: Vec<String>,
}

/// A column of classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryColumn {
    /// Which one.
    pub column: usize,
    /// The classes by their numbers in the column, which are counted from 0; a missing one has no name.
    pub classes: Vec<String>,
}

impl CategoryColumn {
    /// The name of a class.
    pub fn class(&self, number: usize) -> &str {
        match self.classes.get(number).map(String::as_str) {
            None | Some("") => "(missing)",
            Some(name) => name,
        }
    }
}

/// What to read of a table, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Names of columns, or their numbers counted from 0; all if there are none.
    pub columns: Vec<String>,
    /// Names or numbers of the columns that hold classes instead of numbers.
    pub categories: Vec<String>,
    /// Whether the first line of a `.csv` file is its header even if some names look like numbers.
    pub header: bool,
    /// What becomes of rows with missing values.
    pub missing: Missing,
}

/// What becomes of rows with missing values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// The file is refused.
    #[default]
    Refuse,
    /// The rows are left out.
    Drop,
}

impl Table {
    /// Point `i`: `(d)`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.columns..][..self.columns]
    }

    /// Its rows as points.
    pub fn sample(&self) -> Sample<'_> {
        Sample::new(self.columns, &self.values)
    }

    /// Some of the rows, under another name.
    #[must_use]
    pub fn choice(&self, name: String, order: &[usize]) -> Self {
        let values = order.iter().flat_map(|&i| self.row(i).iter().copied()).collect();
        Self { name, rows: order.len(), values, ..self.without_values() }
    }

    /// Some of the columns, in this order.
    #[must_use]
    pub fn select(&self, columns: &[usize]) -> Self {
        let values = (0..self.rows).flat_map(|i| columns.iter().map(move |&j| self.row(i)[j])).collect();
        let header = self.header.as_ref().map(|names| columns.iter().map(|&j| names[j].clone()).collect());
        let category = |(column, j): (usize, &usize)| {
            let category = self.categories.iter().find(|category| category.column == *j)?;
            Some(CategoryColumn { column, ..category.clone() })
        };
        let categories = columns.iter().enumerate().filter_map(category).collect();
        Self { columns: columns.len(), values, header, categories, layout: None, ..self.without_values() }
    }

    /// Whether a column holds classes.
    pub fn is_category(&self, column: usize) -> bool {
        self.categories.iter().any(|category| category.column == column)
    }

    /// Without its columns of classes.
    #[must_use]
    pub fn numbers(&self) -> Self {
        self.select(&(0..self.columns).filter(|&column| !self.is_category(column)).collect::<Vec<_>>())
    }

    /// With the columns that are categories by the options: equal numbers are a class.
    fn with_classes_of_numbers(mut self, place: &Path, options: &ReadOptions) -> Result<Self> {
        let header = self.header.clone();
        let wanted: Vec<usize> = match options.columns[..] {
            [] => (0..self.columns).collect(),
            _ => positions(place, header.as_deref(), self.columns, &options.columns)?,
        };
        for column in category_columns(place, header.as_deref(), self.columns, options, &wanted)? {
            let mut classes = Classes::default();
            let width = self.columns;
            for value in self.values.iter_mut().skip(column).step_by(width) {
                *value = classes.number(if value.is_nan() { String::new() } else { value.to_string() });
            }
            self.categories.push(CategoryColumn { column, classes: classes.names });
        }
        Ok(self)
    }

    fn without_values(&self) -> Self {
        let Self { name, rows, columns, layout, header, categories, white, left_out, notes, .. } = self;
        Self {
            name: name.clone(),
            rows: *rows,
            columns: *columns,
            values: Cells::default(),
            layout: *layout,
            header: header.clone(),
            categories: categories.clone(),
            white: *white,
            left_out: left_out.clone(),
            notes: notes.clone(),
        }
    }

    /// The name of a column as messages give it: its number, counted from 0, and its name if it has one.
    pub fn column_text(&self, column: usize) -> String {
        match self.header.as_ref().and_then(|names| names.get(column)) {
            Some(name) => format!("column {column} (counted from 0), `{}`,", shown(name)),
            None => format!("column {column} (counted from 0)"),
        }
    }

    /// Notes a column that counts the rows, as an index has it that was exported with the data.
    fn note_counting(&mut self) {
        if self.columns < 2 || self.rows < LEAST_COUNTED || self.layout.is_some() {
            return;
        }
        for column in 0..self.columns {
            let first = self.row(0)[column];
            let counts = (0..self.rows).all(|i| self.row(i)[column] == first + i as f64);
            if counts {
                let text = self.column_text(column);
                self.notes.push(format!(
                    "{text} of {} counts the rows; if it is an index, leave it out with --columns",
                    self.name
                ));
            }
        }
    }
}

/// Classes in the order in which they are met.
#[derive(Debug, Default)]
struct Classes {
    numbers: HashMap<String, usize>,
    names: Vec<String>,
}

impl Classes {
    /// The number of a class.
    fn number(&mut self, name: String) -> f64 {
        let next = self.names.len();
        let number = *self.numbers.entry(name).or_insert_with_key(|name| {
            self.names.push(name.clone());
            next
        });
        number as f64
    }
}

/// Gives equal classes of tables with the same columns equal numbers: those of the first table, and then of the others.
///
/// # Errors
/// If a column holds classes in one of them alone.
pub fn with_common_classes(tables: &mut [Table]) -> Result<()> {
    let Some((first, _)) = tables.split_first() else { return Ok(()) };
    let columns: Vec<usize> = first.categories.iter().map(|category| category.column).collect();
    if let Some(other) =
        tables.iter().find(|table| !table.categories.iter().map(|c| c.column).eq(columns.iter().copied()))
    {
        let problem = "has categories in other columns than the first sample; give both as text files, or the columns by name";
        return Err(Error::data(&other.name, problem));
    }
    for (place, &column) in columns.iter().enumerate() {
        let mut all = Classes::default();
        for table in &mut *tables {
            let numbers: Vec<f64> =
                table.categories[place].classes.iter().map(|name| all.number(name.clone())).collect();
            let width = table.columns;
            table
                .values
                .iter_mut()
                .skip(column)
                .step_by(width)
                .for_each(|value| *value = numbers[*value as usize]);
        }
        tables.iter_mut().for_each(|table| table.categories[place].classes.clone_from(&all.names));
    }
    Ok(())
}

/// Reads an array, its rows being points.
pub(super) fn of_array(array: Array<'_>, options: &ReadOptions) -> Result<Table> {
    let (place, shape, white) = (array.place.clone(), array.shape.clone(), array.element.white());
    if let Some(problem) = no_sample(&shape) {
        return Err(array.error(problem));
    }
    of_values(&place, &shape, array.values()?.into(), white, None, options)
}

/// The table of an array `(n, ...)` of numbers, row-major; `white` is that of images of whole numbers, `header` the names of
/// the columns.
///
/// # Errors
/// If it is no sample, or lacks values.
pub fn of_values(
    place: &Path,
    shape: &[usize],
    values: Cells,
    white: Option<f64>,
    header: Option<Vec<String>>,
    options: &ReadOptions,
) -> Result<Table> {
    if let Some(problem) = no_sample(shape) {
        return Err(Error::data(place, problem));
    }
    let layout = Layout::of(shape);
    let of_bytes = || {
        let are_bytes = layout.is_some() && values.iter().copied().all(is_byte);
        are_bytes.then(|| values.iter().copied().fold(0.0, f64::max)).and_then(white_of_bytes)
    };
    // What has classes is no image, and the numbers of classes have no brightness.
    let white = white.or_else(of_bytes).filter(|_| options.categories.is_empty());
    let (rows, columns) = (shape[0], values.len() / shape[0]);
    let name = place.display().to_string();
    let table = Table { name, rows, columns, values, layout, header, white, ..Table::default() };
    let table = selected(place, table.with_classes_of_numbers(place, options)?, options)?;
    complete(place, table, options, |row| format!("row {row} (counted from 0)"))
}

/// Why an array of a shape is no sample, if it is none.
fn no_sample(shape: &[usize]) -> Option<String> {
    let text = super::array::shape_text(shape);
    if !matches!(shape, [_] | [_, _]) && Layout::of(shape).is_none() {
        return Some(format!(
            "the array has shape {text}, but one row per point is expected; give it with `a.reshape(n, -1)`"
        ));
    }
    shape
        .contains(&0)
        .then(|| format!("the array has shape {text}, which is no sample; give at least one number"))
}

/// The columns that are asked for.
fn selected(place: &Path, table: Table, options: &ReadOptions) -> Result<Table> {
    if options.columns.is_empty() {
        return Ok(table);
    }
    let columns = positions(place, table.header.as_deref(), table.columns, &options.columns)?;
    Ok(table.select(&columns))
}

/// A text of a file as messages show it: without control characters, and not all of a long one.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => escaped(&text[..end]) + "...",
        None => escaped(text),
    }
}

/// Names of columns as messages list them.
pub(super) fn listed<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = names.len().saturating_sub(LISTED);
    let names: Vec<_> = names.take(LISTED).map(|name| format!("`{}`", shown(name))).collect();
    match (&names[..], more) {
        ([], _) => "none".into(),
        (_, 0) => names.join(", "),
        _ => format!("{} and {more} more", names.join(", ")),
    }
}

/// A column as messages about one cell name it.
fn column_place(header: Option<&[String]>, column: usize) -> String {
    match header {
        Some(names) => format!("column `{}`", shown(&names[column])),
        None => format!("column {column} (counted from 0)"),
    }
}

/// Where the named columns are: by name, or else by number.
fn positions(place: &Path, names: Option<&[String]>, count: usize, wanted: &[String]) -> Result<Vec<usize>> {
    let position = |column: &String| {
        let named = names.and_then(|names| names.iter().position(|name| name == column));
        let found = named.or_else(|| column.parse().ok().filter(|&number| number < count));
        found.ok_or_else(|| {
            let known = match names {
                Some(names) => format!("there are {}", listed(names.iter())),
                None => format!("there are no names here, but numbers 0 to {}", count - 1),
            };
            Error::data(place, format!("there is no column `{}`; {known}", shown(column)))
        })
    };
    wanted.iter().map(position).collect()
}

/// Where the categories are, in order: each once, and among the columns that are read.
fn category_columns(
    place: &Path,
    header: Option<&[String]>,
    count: usize,
    options: &ReadOptions,
    wanted: &[usize],
) -> Result<Vec<usize>> {
    let mut columns = positions(place, header, count, &options.categories)?;
    if let Some(number) = columns.iter().position(|column| !wanted.contains(column)) {
        let name = shown(&options.categories[number]);
        return Err(Error::data(
            place,
            format!("the category `{name}` is not among the columns that are read"),
        ));
    }
    columns.sort_unstable();
    columns.dedup();
    Ok(columns)
}

/// Refuses values that are not finite; refuses rows with missing values, which are NaN, or leaves them out. `row` names
/// one as the file has it.
fn complete(
    place: &Path,
    mut table: Table,
    options: &ReadOptions,
    row: impl Fn(usize) -> String,
) -> Result<Table> {
    let columns = table.columns;
    let cell =
        |k: usize| format!("{}, {}", row(k / columns), column_place(table.header.as_deref(), k % columns));
    if let Some(k) = table.values.iter().position(|value| value.is_infinite()) {
        let problem = format!(
            "the value at {} is {}, but all values must be finite; replace it or remove the row",
            cell(k),
            table.values[k]
        );
        return Err(Error::data(place, problem));
    }
    let missing: Vec<usize> = (0..table.values.len()).filter(|&k| table.values[k].is_nan()).collect();
    let Some(&first) = missing.first() else {
        table.note_counting();
        return Ok(table);
    };
    let mut rows: Vec<usize> = missing.iter().map(|k| k / columns).collect();
    rows.dedup();
    if options.missing == Missing::Refuse || rows.len() == table.rows {
        let mut cells = cell(first);
        missing[1..].iter().take(NAMED - 1).for_each(|&k| {
            let _ = write!(cells, "; {}", cell(k));
        });
        let more = if missing.len() > NAMED { " and others" } else { "" };
        let remedy = if rows.len() == table.rows {
            "no row is complete, so give other columns with --columns".to_owned()
        } else {
            format!("fill in numbers, or leave out {} with --missing drop", rows_text(rows.len()))
        };
        let problem = format!(
            "{} of {} values are missing, at {cells}{more}; {remedy}",
            missing.len(),
            table.values.len()
        );
        return Err(Error::data(place, problem));
    }
    let kept: Vec<usize> = (0..table.rows).filter(|i| rows.binary_search(i).is_err()).collect();
    let mut table = table.choice(table.name.clone(), &kept);
    table.notes.push(format!("{}: {} with missing values left out", place.display(), rows_text(rows.len())));
    table.left_out = rows;
    table.note_counting();
    Ok(table)
}

fn rows_text(count: usize) -> String {
    if count == 1 { "1 row".into() } else { format!("{count} rows") }
}

/// Brings the columns of `y` into the order of those of `x`, by their names if both have names, and images into one
/// layout; tells what was done.
///
/// # Errors
/// If they do not have the same columns.
pub fn matched(x: &Table, y: Table) -> Result<Table> {
    if x.columns != y.columns && (x.header.is_none() || y.header.is_none()) {
        let shape = |t: &Table| match t.layout {
            Some(layout) => format!("{} ({})", t.columns, layout.text()),
            None => t.columns.to_string(),
        };
        let problem = format!(
            "has {} columns, but {} has {}; both samples must have the same columns",
            shape(&y),
            x.name,
            shape(x)
        );
        return Err(Error::data(&y.name, problem));
    }
    match (&x.header, &y.header) {
        (Some(of_x), Some(of_y)) if of_x == of_y => Ok(y),
        (Some(of_x), Some(of_y)) => by_name(x, &y, of_x, of_y),
        (Some(_), None) | (None, Some(_)) => {
            let (with, without) = if x.header.is_some() { (x, &y) } else { (&y, x) };
            let note = format!(
                "{} names its columns and {} does not: they are taken in their order",
                with.name, without.name
            );
            let mut y = y;
            y.notes.push(note);
            Ok(y)
        }
        (None, None) => Ok(in_layout(x, y)),
    }
}

fn by_name(x: &Table, y: &Table, of_x: &[String], of_y: &[String]) -> Result<Table> {
    let mut places: HashMap<&String, usize> = HashMap::new();
    for (table, names) in [(x, of_x), (y, of_y)] {
        places.clear();
        for (j, name) in names.iter().enumerate() {
            if places.insert(name, j).is_some() {
                let problem = format!(
                    "two columns are called `{}`, so that they cannot be matched with those of the other sample; give \
                     each a name of its own",
                    shown(name)
                );
                return Err(Error::data(&table.name, problem));
            }
        }
    }
    let order: Option<Vec<usize>> = of_x.iter().map(|name| places.get(name).copied()).collect();
    match order.filter(|order| order.len() == of_y.len()) {
        Some(order) => {
            let mut y = y.select(&order);
            y.notes.push(format!(
                "the columns of {} are in another order than those of {}: matched by name",
                y.name, x.name
            ));
            Ok(y)
        }
        None => {
            let only = |names: &[String], others: &[String]| {
                let others: HashSet<&String> = others.iter().collect();
                let only: Vec<_> = names.iter().filter(|name| !others.contains(name)).cloned().collect();
                listed(only.iter())
            };
            let problem = format!(
                "has other columns than {}: {} only here, {} only there; give the common ones with --columns",
                x.name,
                only(of_y, of_x),
                only(of_x, of_y)
            );
            Err(Error::data(&y.name, problem))
        }
    }
}

/// Images in the order of numbers that those of another sample have; a flat array stays as it is.
fn in_layout(x: &Table, mut y: Table) -> Table {
    let (Some(of_x), Some(of_y)) = (x.layout, y.layout) else { return y };
    if of_x.size() != of_y.size() || of_x.is_planar == of_y.is_planar {
        return y;
    }
    let Layout { height, width, channels, .. } = of_x;
    // Planes of pixels are pixels of planes with the roles of both exchanged.
    let transposed = if of_y.is_planar {
        of_y
    } else {
        Layout { height: channels, width: 1, channels: height * width, is_planar: true }
    };
    y.values = y.values.chunks_exact(y.columns).flat_map(|image| transposed.interleaved(image)).collect();
    y.layout = Some(of_x);
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::format::{self, TABLES};
    use flate2::{Compression, write::GzEncoder};
    use image::{GrayImage, RgbImage};
    use std::fs;
    use std::io::Write as _;
    use std::path::PathBuf;
    use tempfile::TempDir;

    fn read(source: &str) -> Result<Table> {
        format::read(source, &ReadOptions::default())
    }

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
                values: [0.0, 51.0, 102.0, 153.0, 204.0, 255.0].into(),
                layout: Some(Layout::grey(1, 3)),
                white: Some(255.0),
                ..Table::default()
            };
            assert_eq!(read(put(&directory, name, &bytes).to_str().unwrap()).unwrap(), want);
        }
    }

    #[test]
    fn idx_files_without_images_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = put(&directory, "x.idx", &idx(&[0, 2, 3], &[]));
        let problem = "the array has shape (0, 2, 3), which is no sample; give at least one number";
        fails(&file, &file, problem);
        // Labels are numbers like others.
        let file = put(&directory, "x.idx", &idx(&[3], &[1, 2, 3]));
        assert_eq!(read(file.to_str().unwrap()).unwrap().values, [1.0, 2.0, 3.0]);
    }

    #[test]
    fn a_directory_of_mnist_has_two_parts() {
        let directory = tempfile::tempdir().unwrap();
        put(&directory, "train-images-idx3-ubyte.gz", &gzip(&idx(&[2, 1, 1], &[0, 255])));
        put(&directory, "t10k-images-idx3-ubyte", &idx(&[1, 1, 1], &[51]));
        let path = directory.path().to_str().unwrap();
        let name = directory.path().file_name().unwrap().to_str().unwrap();
        for (part, values) in [("", vec![0.0, 255.0]), (":train", vec![0.0, 255.0]), (":test", vec![51.0])] {
            let table = read(&format!("{path}{part}")).unwrap();
            assert_eq!((table.name, &*table.values), (format!("{name}{part}"), &values[..]));
            assert_eq!(table.layout, Some(Layout::grey(1, 1)));
        }
        let problem = "the part `:valid` was asked for, but there are only `:train` and `:test`, and `:colour` and `:grey` of \
                       pictures";
        fails(format!("{path}:valid"), path, problem);
    }

    #[test]
    fn a_part_that_is_missing_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        put(&directory, "train-images-idx3-ubyte", b"");
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
        assert_eq!((table.rows, table.columns, table.layout), (3, 2, Some(Layout::grey(1, 2))));
        assert_eq!(table.values, [0.0, 51.0, 102.0, 153.0, 204.0, 255.0]);
        let note = format!("{}: 1 entries that are no pictures are left out", directory.path().display());
        assert_eq!(table.notes, [note]);
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
        let file = put(&directory, "b.gif", b"GIF89a");
        fails(
            &directory,
            file,
            "only PNG and JPEG images can be read; convert all images of the folder to PNG",
        );
    }

    #[test]
    fn a_damaged_png_image_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = put(&directory, "a.png", b"no PNG");
        let message = read(directory.path().to_str().unwrap()).unwrap_err().to_string();
        let start = format!("{}: this is no readable image (", file.display());
        assert!(message.starts_with(&start) && message.ends_with("); save or copy it again"), "{message}");
    }

    #[test]
    fn a_directory_without_images_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        put(&directory, "notes.txt", b"no image");
        let problem = "there are no images here, neither train-images-idx3-ubyte nor any .png or .jpg file; give a \
                       directory with the files of MNIST or a folder of PNG or JPEG images";
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
        for name in ["x.feather", "x.xml.gz", "x"] {
            let file = put(&directory, name, b"1,2\n");
            fails(&file, &file, &format!("the format of this file is unknown; give {TABLES}"));
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

    /// A text file of these lines, read with all columns.
    fn csv(name: &str, text: &str) -> Table {
        let directory = tempfile::tempdir().unwrap();
        read(put(&directory, name, text.as_bytes()).to_str().unwrap()).unwrap()
    }

    #[test]
    fn columns_are_matched_by_name() {
        let a = csv("a.csv", "height,age\n1,10\n2,20\n");
        let b = csv("b.csv", "age,height\n30,3\n40,4\n");
        let matched = super::matched(&a, b.clone()).unwrap();
        assert_eq!((&matched.values[..], &matched.header), (&[3.0, 30.0, 4.0, 40.0][..], &a.header));
        assert_eq!(
            matched.notes,
            ["the columns of b.csv are in another order than those of a.csv: matched by name"]
        );
        assert_eq!(super::matched(&b, b.clone()).unwrap(), b, "nothing is to be said");

        let other = csv("c.csv", "age,weight\n1,2\n");
        let problem = "c.csv: has other columns than a.csv: `weight` only here, `height` only there; give the common \
                       ones with --columns";
        assert_eq!(super::matched(&a, other).unwrap_err().to_string(), problem);
        let twice = csv("d.csv", "age,age\n1,2\n");
        assert!(super::matched(&a, twice).unwrap_err().to_string().contains("two columns are called `age`"));
        let more = csv("e.csv", "age,height,weight\n1,2,3\n");
        assert!(
            super::matched(&a, more).unwrap_err().to_string().contains("`weight` only here, none only there")
        );

        let unnamed = super::matched(&a, csv("f.csv", "1,2\n3,4\n")).unwrap();
        assert_eq!(unnamed.values, [1.0, 2.0, 3.0, 4.0]);
        assert!(
            unnamed.notes[0].starts_with("a.csv names its columns and f.csv does not"),
            "{:?}",
            unnamed.notes
        );
        assert!(super::matched(&a, csv("g.csv", "1,2,3\n")).is_err());
    }

    #[test]
    fn a_column_that_counts_the_rows_is_told() {
        let text: String = (0..12).map(|i| format!("{},{}\n", i + 5, i * i)).collect();
        let notes = csv("a.csv", &format!("id,x\n{text}")).notes;
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("column 0 (counted from 0), `id`, of"), "{notes:?}");
        assert!(csv("a.csv", "1,1\n2,4\n3,9\n").notes.is_empty(), "three rows may count by chance");
    }
}
