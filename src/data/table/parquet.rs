//! Tables in Parquet files: columns of numbers by their names, row group after row group.

use super::{ReadOptions, Table, complete, positions, shown};
use crate::error::{Error, Result};
use crate::memory::has_room;
use half::f16;
use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

/// Rows that are read at a time.
const BATCH: usize = 1 << 16;

/// What a value of a column is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Content {
    Number,
    /// A whole number of units of 10^-scale.
    Decimal(i32),
    /// A whole number without a sign.
    Unsigned,
    Half,
    Text,
    /// Something else, in words.
    Other(&'static str),
}

impl Content {
    fn of(column: &ColumnDescriptor) -> Self {
        if column.max_rep_level() > 0 {
            return Self::Other("lists");
        }
        match (column.logical_type_ref(), column.converted_type(), column.physical_type()) {
            (Some(LogicalType::Float16), _, _) => Self::Half,
            (Some(LogicalType::Date), _, _) | (_, ConvertedType::DATE, _) => Self::Other("dates"),
            (Some(LogicalType::Time(_) | LogicalType::Timestamp(_)), _, _)
            | (_, ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIMESTAMP_MICROS, _)
            | (_, ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS, _)
            | (_, _, Type::INT96) => Self::Other("points of time"),
            (_, ConvertedType::DECIMAL, Type::INT32 | Type::INT64) => Self::Decimal(column.type_scale()),
            (_, ConvertedType::DECIMAL, _) => Self::Other("decimals of more than 18 digits"),
            (
                _,
                ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::UINT_64,
                _,
            ) => Self::Unsigned,
            (_, _, Type::BYTE_ARRAY) => Self::Text,
            (_, _, Type::FIXED_LEN_BYTE_ARRAY) => Self::Other("bytes"),
            _ => Self::Number,
        }
    }
}

fn wrong(path: &Path) -> impl Fn(ParquetError) -> Error + '_ {
    move |error| Error::data(path, format!("this is no whole Parquet file: {}", shown(&error.to_string())))
}

thread_local! {
    /// Whether a panic of this thread is expected.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Reads; damaged pages make the crate that decodes them panic, which becomes an error without a word on stderr.
fn guarded<R>(path: &Path, read: impl FnOnce() -> Result<R>) -> Result<R> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                others(panic);
            }
        }));
    });
    GUARDED.set(true);
    let read = panic::catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(false);
    read.unwrap_or_else(|_| {
        Err(Error::data(path, "this Parquet file is damaged: its pages cannot be decoded; write it again"))
    })
}

/// A file with the columns that are wanted.
struct WantedColumns<'a> {
    path: &'a Path,
    reader: SerializedFileReader<File>,
    names: Vec<String>,
    /// `(columns)`: where they are, and what they hold.
    wanted: Vec<(usize, Content)>,
}

impl<'a> WantedColumns<'a> {
    fn open(path: &'a Path, options: &ReadOptions) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path, "read"))?;
        let reader = SerializedFileReader::new(file).map_err(wrong(path))?;
        let columns = reader.metadata().file_metadata().schema_descr().columns().to_vec();
        let all: Vec<String> = columns.iter().map(|column| column.path().parts().join(".")).collect();
        let places = match &options.columns[..] {
            [] => (0..columns.len()).collect(),
            wanted => positions(path, Some(&all), all.len(), wanted)?,
        };
        if places.is_empty() {
            return Err(Error::data(path, "this file has no columns; give a table of numbers"));
        }
        let names = places.iter().map(|&column| all[column].clone()).collect();
        let wanted = places.into_iter().map(|column| (column, Content::of(&columns[column]))).collect();
        Ok(Self { path, reader, names, wanted })
    }

    /// Refuses columns that hold something else.
    fn check(&self, texts_too: bool) -> Result<()> {
        for (name, (_, content)) in self.names.iter().zip(&self.wanted) {
            let what = match content {
                Content::Text if !texts_too => "text",
                Content::Other(what) => what,
                _ => continue,
            };
            let problem =
                format!("column `{}` holds {what}; choose other columns with --columns", shown(name));
            return Err(Error::data(self.path, problem));
        }
        Ok(())
    }

    /// Calls `take` with each batch of rows of each column: the number of the column among those wanted, and its values.
    fn each(&self, form: As, take: &mut dyn FnMut(usize, ValueBatch) -> Result<()>) -> Result<()> {
        for group in 0..self.reader.num_row_groups() {
            for column in self.reader.metadata().row_group(group).columns() {
                let offsets = [column.dictionary_page_offset().unwrap_or(0), column.data_page_offset()];
                // The crate takes for granted what must be so.
                if offsets.iter().chain(&[column.compressed_size(), column.num_values()]).any(|&v| v < 0) {
                    return Err(Error::data(self.path, "a column begins before the file: it is damaged"));
                }
            }
            let group = self.reader.get_row_group(group).map_err(wrong(self.path))?;
            for (number, &(column, content)) in self.wanted.iter().enumerate() {
                let highest = group.metadata().column(column).column_descr().max_def_level();
                let reader = group.get_column_reader(column).map_err(wrong(self.path))?;
                batches(reader, (content, highest), form, &mut |batch| take(number, batch)).map_err(
                    |problem| match problem {
                        ReadProblem::Ours(error) => error,
                        ReadProblem::Theirs(error) => wrong(self.path)(error),
                    },
                )?;
            }
        }
        Ok(())
    }
}

/// Values of a column; where one is missing, nothing or NaN.
enum ValueBatch {
    Numbers(Vec<f64>),
    Texts(Vec<Option<String>>),
}

/// What becomes of whole numbers: text, so that labels of many digits stay apart.
#[derive(Clone, Copy, PartialEq)]
enum As {
    Numbers,
    Labels,
}

enum ReadProblem {
    Ours(Error),
    Theirs(ParquetError),
}

/// Reads a column of a row group, whose values are there at the highest definition level.
fn batches(
    reader: ColumnReader,
    (content, highest): (Content, i16),
    form: As,
    take: &mut dyn FnMut(ValueBatch) -> Result<()>,
) -> std::result::Result<(), ReadProblem> {
    let scale = if let Content::Decimal(scale) = content { 10f64.powi(scale) } else { 1.0 };
    let unsigned = content == Content::Unsigned;
    let mut numbers = |values: Vec<Option<f64>>| {
        take(ValueBatch::Numbers(
            values.into_iter().map(|value| value.map_or(f64::NAN, |v| v / scale)).collect(),
        ))
    };
    match reader {
        ColumnReader::BoolColumnReader(r) => {
            each_batch(r, highest, |v| f64::from(u8::from(*v)), &mut numbers)
        }
        ColumnReader::Int32ColumnReader(r) if unsigned => {
            each_batch(r, highest, |v| f64::from(v.cast_unsigned()), &mut numbers)
        }
        ColumnReader::Int32ColumnReader(r) => each_batch(r, highest, |v| f64::from(*v), &mut numbers),
        ColumnReader::Int64ColumnReader(r) if form == As::Labels && content == Content::Number => {
            each_batch(r, highest, i64::to_string, &mut |values| take(ValueBatch::Texts(values)))
        }
        ColumnReader::Int64ColumnReader(r) if unsigned && form == As::Labels => {
            let text = |v: &i64| v.cast_unsigned().to_string();
            each_batch(r, highest, text, &mut |values| take(ValueBatch::Texts(values)))
        }
        ColumnReader::Int64ColumnReader(r) if unsigned => {
            each_batch(r, highest, |v| v.cast_unsigned() as f64, &mut numbers)
        }
        ColumnReader::Int64ColumnReader(r) => each_batch(r, highest, |v| *v as f64, &mut numbers),
        ColumnReader::FloatColumnReader(r) => each_batch(r, highest, |v| f64::from(*v), &mut numbers),
        ColumnReader::DoubleColumnReader(r) => each_batch(r, highest, |v| *v, &mut numbers),
        ColumnReader::FixedLenByteArrayColumnReader(r) => {
            let half = |v: &[u8]| v.try_into().map_or(f64::NAN, |bytes| f16::from_le_bytes(bytes).to_f64());
            each_batch(r, highest, |v| half(v.data()), &mut numbers)
        }
        ColumnReader::ByteArrayColumnReader(r) => {
            let text = |v: &ByteArray| String::from_utf8_lossy(v.data()).into_owned();
            each_batch(r, highest, text, &mut |values| take(ValueBatch::Texts(values)))
        }
        ColumnReader::Int96ColumnReader(_) => Ok(()),
    }
}

fn each_batch<T: DataType, V>(
    mut reader: ColumnReaderImpl<T>,
    highest: i16,
    value: impl Fn(&T::T) -> V,
    take: &mut dyn FnMut(Vec<Option<V>>) -> Result<()>,
) -> std::result::Result<(), ReadProblem> {
    let (mut present, mut values) = (Vec::new(), Vec::new());
    loop {
        present.clear();
        values.clear();
        let (rows, ..) =
            reader.read_records(BATCH, Some(&mut present), None, &mut values).map_err(ReadProblem::Theirs)?;
        if rows == 0 {
            return Ok(());
        }
        let mut values = values.iter();
        let batch = (0..rows).map(|row| {
            // A required column has no levels.
            let there = highest == 0 || present.get(row) == Some(&highest);
            if there { values.next().map(&value) } else { None }
        });
        take(batch.collect()).map_err(ReadProblem::Ours)?;
    }
}

/// Reads the rows of a file: all columns must hold numbers.
pub(in crate::data) fn file(path: &Path, options: &ReadOptions) -> Result<Table> {
    guarded(path, || numbers(path, options))
}

fn numbers(path: &Path, options: &ReadOptions) -> Result<Table> {
    let columns = WantedColumns::open(path, options)?;
    columns.check(false)?;
    let mut of_columns = vec![Vec::new(); columns.names.len()];
    columns.each(As::Numbers, &mut |number, batch| {
        if let ValueBatch::Numbers(values) = batch {
            reserved(path, &mut of_columns[number], values.len())?;
            of_columns[number].extend(values);
        }
        Ok(())
    })?;
    let rows = of_columns[0].len();
    if of_columns.iter().any(|column| column.len() != rows) {
        return Err(Error::data(path, "its columns have different numbers of rows: the file is damaged"));
    }
    if rows == 0 {
        return Err(Error::data(path, "there is no row in this file; give at least one"));
    }
    let mut values: Vec<f64> = Vec::new();
    reserved(path, &mut values, rows * of_columns.len())?;
    (0..rows).for_each(|row| values.extend(of_columns.iter().map(|column| column[row])));
    let header = Some(columns.names);
    let table = Table { rows, columns: of_columns.len(), values: values.into(), header, ..Table::default() };
    complete(path, table, options, |row| format!("row {row} (counted from 0)"))
}

/// Room for more values.
fn reserved<T>(path: &Path, values: &mut Vec<T>, more: usize) -> Result<()> {
    values.try_reserve(more).map_err(|_| {
        Error::data(path, "its rows do not fit into memory; choose fewer columns with --columns, or split it")
    })
}

/// Reads the rows of a file as labels, numbered in the order in which they first appear.
pub(in crate::data) fn labels(path: &Path, options: &ReadOptions) -> Result<Table> {
    guarded(path, || texts(path, options))
}

fn texts(path: &Path, options: &ReadOptions) -> Result<Table> {
    let columns = WantedColumns::open(path, options)?;
    columns.check(true)?;
    let mut of_columns: Vec<Vec<String>> = vec![Vec::new(); columns.names.len()];
    columns.each(As::Labels, &mut |number, batch| {
        let column = &mut of_columns[number];
        let texts: Vec<Option<String>> = match batch {
            ValueBatch::Texts(texts) => texts,
            // Adding zero takes the sign from -0.
            ValueBatch::Numbers(numbers) => {
                numbers.into_iter().map(|v| (!v.is_nan()).then(|| (v + 0.0).to_string())).collect()
            }
        };
        let bytes: usize = texts.iter().flatten().map(|text| size_of::<String>() + text.len()).sum();
        // Those so far may be moved once more.
        if !has_room(2 * bytes + column.len() * size_of::<String>()) {
            return Err(Error::data(path, "its labels do not fit into memory; use fewer rows"));
        }
        for text in texts {
            let row = column.len();
            let missing = || format!("row {row} (counted from 0) has no label; give one in each row");
            column.push(text.ok_or_else(|| Error::data(path, missing()))?);
        }
        Ok(())
    })?;
    let rows = of_columns[0].len();
    if rows == 0 || of_columns.iter().any(|column| column.len() != rows) {
        return Err(Error::data(path, "there is no label in each of its rows; give one per row"));
    }
    let mut numbers: HashMap<Vec<&str>, usize> = HashMap::new();
    let values: Vec<f64> = (0..rows)
        .map(|row| {
            let next = numbers.len();
            let label = of_columns.iter().map(|column| column[row].as_str()).collect();
            *numbers.entry(label).or_insert(next) as f64
        })
        .collect();
    Ok(Table { rows, columns: 1, values: values.into(), ..Table::default() })
}

#[cfg(test)]
mod tests {
    use super::super::Missing;
    use super::*;
    use parquet::data_type::{BoolType, ByteArrayType, DoubleType, Int32Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::path::PathBuf;
    use std::sync::Arc;
    use tempfile::TempDir;

    /// Two groups of three rows: `a` with a missing value in row 4, `city` text, `on` yes or no, `cents` of 1/100.
    fn written() -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.parquet");
        let schema = parse_message_type(
            "message table { optional double a; required int32 count (INTEGER(32, false)); required boolean on;
             required int32 cents (DECIMAL(9, 2)); required binary city (UTF8); }",
        );
        let properties = Arc::new(WriterProperties::builder().build());
        let mut writer =
            SerializedFileWriter::new(File::create(&path).unwrap(), Arc::new(schema.unwrap()), properties)
                .unwrap();
        for first in [0, 3] {
            let mut group = writer.next_row_group().unwrap();
            let (present, numbers): (&[i16], &[f64]) =
                if first == 0 { (&[1, 1, 1], &[0.5, 1.5, 2.5]) } else { (&[1, 0, 1], &[3.5, -5.5]) };
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<DoubleType>().write_batch(numbers, Some(present), None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int32Type>().write_batch(&[first, -1, 7], None, None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<BoolType>().write_batch(&[true, false, true], None, None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int32Type>().write_batch(&[125, -50, first], None, None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            let texts = ["Bonn", "Graz", "Bonn"].map(ByteArray::from);
            column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
        }
        writer.close().unwrap();
        (directory, path)
    }

    fn options(columns: &[&str], missing: Missing) -> ReadOptions {
        let columns = columns.iter().map(|&name| name.into()).collect();
        ReadOptions { columns, missing, ..ReadOptions::default() }
    }

    #[test]
    fn a_panic_of_the_decoder_is_an_error() {
        let place = Path::new("x.parquet");
        let error = guarded(place, || -> Result<()> { panic!("a decoder should have been set") }).err();
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains("x.parquet") && text.contains("damaged"), "{text}");
        assert!(!GUARDED.get() && guarded(place, || Ok(7)).is_ok_and(|seven| seven == 7));
    }

    #[test]
    fn numbers_are_read_by_the_names_of_their_columns() {
        let (_directory, path) = written();
        let table = file(&path, &options(&["cents", "count", "on"], Missing::Refuse)).unwrap();
        assert_eq!(table.header, Some(["cents", "count", "on"].map(String::from).to_vec()));
        let largest = f64::from(u32::MAX);
        let expected = [
            [1.25, 0.0, 1.0],
            [-0.5, largest, 0.0],
            [0.0, 7.0, 1.0],
            [1.25, 3.0, 1.0],
            [-0.5, largest, 0.0],
            [0.03, 7.0, 1.0],
        ];
        assert_eq!(table.values[..], expected.concat());
        let table = file(&path, &options(&["a"], Missing::Drop)).unwrap();
        assert_eq!((&table.values[..], &table.left_out[..]), (&[0.5, 1.5, 2.5, 3.5, -5.5][..], &[4][..]));
    }

    #[test]
    fn what_is_no_number_is_refused_by_name() {
        let (_directory, path) = written();
        let of = |columns: &[&str]| file(&path, &options(columns, Missing::Refuse)).unwrap_err().to_string();
        let expected = "column `city` holds text; choose other columns with --columns";
        assert!(of(&[]).ends_with(expected), "{}", of(&[]));
        assert!(of(&["a"]).contains("1 of 6 values are missing, at row 4 (counted from 0), column `a`"));
        assert!(
            of(&["b"]).ends_with("there is no column `b`; there are `a`, `count`, `on`, `cents`, `city`")
        );
        let labels = labels(&path, &options(&["city"], Missing::Refuse)).unwrap();
        assert_eq!(labels.values[..], [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
    }

    /// Every file that was cut off, and every one with a wrong byte, is read or refused.
    #[test]
    fn damaged_files_are_refused() {
        let (directory, path) = written();
        let whole = std::fs::read(&path).unwrap();
        let damaged = directory.path().join("y.parquet");
        for length in 0..whole.len() {
            std::fs::write(&damaged, &whole[..length]).unwrap();
            assert!(file(&damaged, &options(&["on"], Missing::Refuse)).is_err(), "cut off at {length}");
            let mut wrong = whole.clone();
            wrong[length] ^= 0x55;
            std::fs::write(&damaged, wrong).unwrap();
            let _ = file(&damaged, &options(&["a", "count"], Missing::Drop));
        }
    }
}
