//! Lines of numbers or labels in text: separated by commas, semicolons, tabs, bars or spaces.

use super::{
    CategoryColumn, Classes, ReadOptions, Table, category_columns, column_place, complete, positions, shown,
};
use crate::data::gzip;
use crate::error::{Error, Result};
use crate::memory::has_room;
use ::csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Terminator, Trim};
use std::cell::Cell;
use std::collections::HashMap;
use std::io::{BufReader, Read};
use std::path::Path;
use std::rc::Rc;

/// Longest record of a table, in bytes: millions of numbers.
const LONGEST_RECORD: usize = 16 << 20;

/// About the bytes that a field of a label takes, three times.
const IN_WORK: usize = 256;

/// Bytes at the start of a file by which its dialect is told.
const SAMPLE: usize = 1 << 16;

/// Longest number whose digits 64 bits tell apart.
const MOST_DIGITS: usize = 15;

/// Separators, in the order in which they are tried: a comma may be a decimal mark where there are others.
const SEPARATORS: [u8; 5] = [b';', b'\t', b'|', b',', b' '];

/// Fields that stand for a missing value, as pandas and R write and read them.
const MISSING: [&str; 12] =
    ["", "NA", "N/A", "#N/A", "<NA>", "NaN", "nan", "-nan", "null", "NULL", "None", "?"];

/// Names that a column of labels goes by.
const LABEL_NAMES: [&str; 10] =
    ["label", "labels", "class", "classes", "target", "y", "species", "category", "group", "variety"];

/// How the numbers of a file are written.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Dialect {
    /// A space stands for any number of spaces.
    separator: u8,
    decimal_comma: bool,
    /// Whether every line ends with a separator.
    trailing: bool,
    comments: bool,
}

impl Dialect {
    /// That of the whole lines at the start of a file.
    fn of(sample: &str, spaces: bool) -> Self {
        let comments = sample.lines().any(|line| line.starts_with('#'));
        let plain = Self { separator: b',', decimal_comma: false, trailing: false, comments };
        let lines: Vec<&str> =
            sample.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).collect();
        let candidates = SEPARATORS.into_iter().filter(|&separator| spaces || separator != b' ');
        let separator = candidates.into_iter().find(|&separator| {
            let dialect = Self { separator, ..plain };
            let mut counts = dialect.fields(&lines).map(|fields| fields.len());
            let first = counts.next().unwrap_or(0);
            first > 1 && counts.all(|count| count == first)
        });
        let mut dialect = Self { separator: separator.unwrap_or(b','), ..plain };
        dialect.trailing = dialect
            .fields(&lines)
            .all(|fields| fields.len() > 1 && fields.last().is_some_and(String::is_empty));
        if dialect.separator == b',' {
            if let Some(decimals) = decimals(&lines)
                && decimals
            {
                return Self { separator: b';', decimal_comma: true, ..dialect };
            }
        } else {
            let mut fields = dialect.fields(&lines).flatten();
            dialect.decimal_comma = fields.any(|field| with_point(&field).is_some());
        }
        dialect
    }

    fn fields<'a>(self, lines: &'a [&str]) -> impl Iterator<Item = Vec<String>> + use<'a> {
        lines.iter().map(move |line| {
            let mut record = StringRecord::new();
            let mut reader = self.reader(line.as_bytes());
            let read = reader.read_record(&mut record).unwrap_or(false);
            if read { self.split(&record).map(String::from).collect() } else { Vec::new() }
        })
    }

    fn reader<R: Read>(self, text: R) -> Reader<R> {
        // Carriage returns count as spaces.
        ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .delimiter(self.separator)
            .comment(self.comments.then_some(b'#'))
            .terminator(Terminator::Any(b'\n'))
            .from_reader(text)
    }

    /// The fields of a record, without the empty one after a separator at its end.
    fn split(self, record: &StringRecord) -> impl Iterator<Item = &str> {
        let len = match record.len() {
            len if self.trailing && len > 1 && record[len - 1].is_empty() => len - 1,
            len => len,
        };
        let spaces = self.separator == b' ';
        record.iter().take(len).filter(move |field| !spaces || !field.is_empty())
    }

    /// Whether fields are the names of columns: none is a number, and none is missing but the name of an index.
    fn is_header(self, fields: &[&str]) -> bool {
        let mut names = fields.iter().enumerate();
        fields.iter().any(|field| !field.is_empty())
            && names.all(|(j, field)| {
                self.number(field).is_err() || j == 0 && field.is_empty() && fields.len() > 1
            })
    }

    /// The name of the class in a field: the same for a number however it is written, as far as its digits can be told apart,
    /// and for true and True; none if it is missing.
    fn class(self, field: &str) -> String {
        match self.number(field) {
            Ok(missing) if missing.is_nan() => String::new(),
            Ok(_) if field.bytes().all(|byte| byte.is_ascii_alphabetic()) => field.to_lowercase(),
            Ok(number) if field.len() <= MOST_DIGITS => number.to_string(),
            _ => field.into(),
        }
    }

    /// The number in a field, NaN if it is missing; or what it is instead.
    fn number(self, field: &str) -> std::result::Result<f64, String> {
        let point = if self.decimal_comma { with_point(field) } else { None };
        match number(point.as_deref().unwrap_or(field)) {
            Some(value) => Ok(value),
            None => {
                let remedy = if field.replace(',', "").parse::<f64>().is_ok() {
                    "write it with a decimal point and without separators of thousands"
                } else {
                    "give a number there, choose other columns with --columns, or, for elbo compare, name a column of \
                     classes with --categories"
                };
                Err(format!("is `{}`, which is no number; {remedy}", shown(field)))
            }
        }
    }
}

/// Whether all lines are one number with a decimal comma: of two whole numbers, the second would begin with a zero
/// somewhere. `None` if they are something else.
fn decimals(lines: &[&str]) -> Option<bool> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut leading_zero = false;
    for line in lines {
        let (whole, rest) = line.trim().split_once(',')?;
        if !digits(whole.trim_start_matches(['+', '-'])) || !digits(rest) {
            return None;
        }
        leading_zero |= rest.len() > 1 && rest.starts_with('0');
    }
    Some(leading_zero)
}

/// A number with a decimal comma, with a point.
fn with_point(field: &str) -> Option<String> {
    let (whole, rest) = field.split_once(',')?;
    let point = format!("{whole}.{rest}");
    (!field.contains('.') && point.parse::<f64>().is_ok()).then_some(point)
}

/// The number that a field is, NaN where it is missing.
fn number(field: &str) -> Option<f64> {
    match field {
        _ if MISSING.contains(&field) => Some(f64::NAN),
        "true" | "True" | "TRUE" => Some(1.0),
        "false" | "False" | "FALSE" => Some(0.0),
        _ => field.parse().ok(),
    }
}

/// The text of a file: its start, by which the dialect is told, and all of it.
struct Text {
    start: String,
    all: Box<dyn Read>,
}

impl Text {
    fn open(path: &Path) -> Result<Self> {
        let (mut file, _) = gzip::open(path)?;
        let mut start = Vec::new();
        file.by_ref().take(SAMPLE as u64).read_to_end(&mut start).map_err(Error::io(path, "read"))?;
        let (start, rest): (Vec<u8>, Box<dyn Read>) = match start[..] {
            [0xFF, 0xFE, ..] => (wide(path, start, file, u16::from_le_bytes)?, Box::new(std::io::empty())),
            [0xFE, 0xFF, ..] => (wide(path, start, file, u16::from_be_bytes)?, Box::new(std::io::empty())),
            [0xEF, 0xBB, 0xBF, ..] => (start[3..].into(), Box::new(file)),
            _ => (start, Box::new(file)),
        };
        if start.contains(&0) {
            let problem = "this is no text, but a file of bytes; give a .csv file of numbers";
            return Err(Error::data(path, problem));
        }
        let only_returns = !start.contains(&b'\n') && start.contains(&b'\r');
        let all = BufReader::new(std::io::Cursor::new(start.clone()).chain(rest));
        let all: Box<dyn Read> = if only_returns { Box::new(Returns(all)) } else { Box::new(all) };
        // What is no UTF-8 is found, with its line, when the records are read.
        let mut start = String::from_utf8_lossy(&start).replace("\r\n", "\n").replace('\r', "\n");
        if start.len() >= SAMPLE / 2 {
            // The last line may be half a line.
            start.truncate(start.rfind('\n').map_or(start.len(), |end| end + 1));
        }
        Ok(Self { start, all })
    }
}

/// The text of a file of 16-bit units (UTF-16) in UTF-8.
fn wide(path: &Path, mut bytes: Vec<u8>, mut file: impl Read, unit: fn([u8; 2]) -> u16) -> Result<Vec<u8>> {
    file.read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    let mut text = String::new();
    // Two bytes become three at most.
    text.try_reserve_exact(bytes.len() / 2 * 3).map_err(|_| {
        Error::data(path, "it takes more memory than there is; save the file as UTF-8, or split it")
    })?;
    for c in char::decode_utf16(bytes[2..].as_chunks().0.iter().map(|&bytes| unit(bytes))) {
        text.push(c.map_err(|_| {
            Error::data(path, "this is no UTF-16 text, though it begins as one; save the file as UTF-8")
        })?);
    }
    Ok(text.into_bytes())
}

/// Text whose lines end with carriage returns alone, as old programs for the Macintosh write it.
struct Returns<R>(R);

impl<R: Read> Read for Returns<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.0.read(buffer)?;
        buffer[..read].iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
        Ok(read)
    }
}

/// Text whose records end before they take all memory: a quote that nothing closes goes on over all lines.
struct Bounded<R> {
    text: R,
    /// Bytes since the last record.
    length: Rc<Cell<usize>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.text.read(buffer)?;
        self.length.set(self.length.get() + read);
        if self.length.get() > LONGEST_RECORD {
            let most = LONGEST_RECORD >> 20;
            let problem = format!("a line, or a text in quotes, is longer than {most} MB, so it is no table");
            return Err(std::io::Error::other(problem));
        }
        Ok(read)
    }
}

/// The records of a file, each with its line; blank lines are left out.
struct Records<'a> {
    path: &'a Path,
    reader: Reader<Box<dyn Read>>,
    dialect: Dialect,
    record: StringRecord,
    /// Bytes that were read since the last record.
    length: Rc<Cell<usize>>,
    /// The last line of the last record.
    line: u64,
    /// The first line before a record that was left out, and how many there were.
    left_out: Option<(u64, u64)>,
}

impl<'a> Records<'a> {
    /// Labels may have spaces in them; numbers may be separated by them.
    fn open(path: &'a Path, spaces: bool) -> Result<(Self, Text)> {
        let mut text = Text::open(path)?;
        let dialect = Dialect::of(&text.start, spaces);
        // With a line feed after every record, the last one included, the line of a record is the one before the reader's.
        let all = std::mem::replace(&mut text.all, Box::new(std::io::empty())).chain(&b"\n"[..]);
        let length = Rc::new(Cell::new(0));
        let all: Box<dyn Read> = Box::new(Bounded { text: all, length: Rc::clone(&length) });
        let (reader, record) = (dialect.reader(all), StringRecord::new());
        Ok((Self { path, reader, dialect, record, length, line: 0, left_out: None }, text))
    }

    /// The line of the next record and its fields.
    fn next(&mut self) -> Result<Option<(u64, Vec<&str>)>> {
        loop {
            let more = self.reader.read_record(&mut self.record);
            let line = self.reader.position().line() - 1;
            let more = more.map_err(|error| match error.into_kind() {
                ErrorKind::Io(source) => Error::io(self.path, "read")(source),
                _ => Error::data(self.path, format!("line {line} is no UTF-8 text; save the file as UTF-8")),
            })?;
            self.length.set(0);
            if !more {
                return Ok(None);
            }
            if self.record.iter().all(str::is_empty) && self.record.len() == 1 {
                continue;
            }
            // The reader skips blank lines in silence.
            let inside: usize = self.record.iter().map(|field| field.matches('\n').count()).sum();
            let left_out = line - self.line - 1 - inside as u64;
            if left_out > 0 {
                let (first, count) = self.left_out.unwrap_or((self.line + 1, 0));
                self.left_out = Some((first, count + left_out));
            }
            self.line = line;
            return Ok(Some((line, self.dialect.split(&self.record).collect())));
        }
    }

    /// What the user must know of the way the file is written.
    fn notes(&self) -> Vec<String> {
        let place = self.path.display();
        let Dialect { decimal_comma, comments, .. } = self.dialect;
        let lines = if comments { "lines that begin with # or are blank" } else { "blank lines" };
        let left_out =
            self.left_out.map_or(String::new(), |(_, count)| format!("{count} {lines} are left out"));
        [(!left_out.is_empty(), left_out), (decimal_comma, "commas are taken as decimal marks".to_owned())]
            .into_iter()
            .filter_map(|(applies, note)| applies.then(|| format!("{place}: {note}")))
            .collect()
    }
}

/// Reads a file of numbers. The first line is a header if none of its fields is a number or missing, or if the options
/// say so; a first column without a name is an index, and left out.
pub(in crate::data) fn file(path: &Path, options: &ReadOptions) -> Result<Table> {
    let (mut records, text) = Records::open(path, true)?;
    let dialect = records.dialect;
    let mut header: Option<Vec<String>> = None;
    // The line of the first record and its number of fields, and where the wanted ones are.
    let mut first = None;
    let mut wanted: Vec<usize> = Vec::new();
    // For each wanted column its classes, if it has some.
    let mut classes: Vec<Option<Classes>> = Vec::new();
    let (mut values, mut lines) = (Vec::new(), Vec::new());
    let mut notes = Vec::new();
    while let Some((line, fields)) = records.next()? {
        if first.is_none() {
            first = Some((line, fields.len()));
            if options.header || dialect.is_header(&fields) {
                let clean = |name: &&str| name.chars().filter(|c| !c.is_control()).collect();
                header = Some(fields.iter().map(clean).collect());
            }
            wanted = columns(path, header.as_deref(), fields.len(), options, &mut notes)?;
            classes = of_classes(path, header.as_deref(), fields.len(), options, &wanted)?;
            if header.is_some() {
                continue;
            }
        }
        let (first_line, count) = first.unwrap_or((line, fields.len()));
        if fields.len() != count {
            let problem = format!(
                "line {line} has {} fields, but line {first_line} has {count}; give all lines the same number of fields",
                fields.len()
            );
            return Err(Error::data(path, problem));
        }
        if values.try_reserve(wanted.len()).is_err() || lines.try_reserve(1).is_err() {
            return Err(Error::data(path, "its numbers take more memory than there is; use fewer rows"));
        }
        for (&j, classes) in wanted.iter().zip(&mut classes) {
            if let Some(classes) = classes {
                let class = dialect.class(fields[j]);
                values.push(classes.number(class));
                continue;
            }
            values.push(dialect.number(fields[j]).map_err(|problem| {
                let column = column_place(header.as_deref(), j);
                let names = "; if this line holds names, add --header";
                let names = if header.is_none() && line == first_line { names } else { "" };
                Error::data(path, format!("line {line}, {column} {problem}{names}"))
            })?);
        }
        lines.push(line);
    }
    if first.is_none() {
        let problem = "the file is empty; give one point per line, its numbers separated by commas";
        return Err(Error::data(path, problem));
    }
    if values.is_empty() {
        let problem = "there is a header but no line of numbers below it; give one point per line";
        return Err(Error::data(path, problem));
    }
    notes.extend(records.notes());
    notes.extend(perhaps_decimals(path, dialect, &text.start, header.is_some()));
    let header = header.map(|names| wanted.iter().map(|&j| names[j].clone()).collect());
    let (rows, columns) = (lines.len(), wanted.len());
    let category = |(column, classes): (usize, Option<Classes>)| {
        classes.map(|classes| CategoryColumn { column, classes: classes.names })
    };
    let categories = classes.into_iter().enumerate().filter_map(category).collect();
    let table = Table { rows, columns, values: values.into(), header, categories, notes, ..Table::default() };
    complete(path, table, options, |row| format!("line {}", lines[row]))
}

/// Where the wanted columns are.
fn columns(
    path: &Path,
    header: Option<&[String]>,
    count: usize,
    options: &ReadOptions,
    notes: &mut Vec<String>,
) -> Result<Vec<usize>> {
    if !options.columns.is_empty() {
        return positions(path, header, count, &options.columns);
    }
    let indexed = count > 1 && header.is_some_and(|names| is_index(&names[0]));
    if indexed {
        let place = path.display();
        notes.push(format!("{place}: the first column has no name: it is left out, as an index of the rows"));
    }
    Ok((usize::from(indexed)..count).collect())
}

/// Classes of none yet for those of the wanted columns that are categories by the options.
fn of_classes(
    path: &Path,
    header: Option<&[String]>,
    count: usize,
    options: &ReadOptions,
    wanted: &[usize],
) -> Result<Vec<Option<Classes>>> {
    let categories = category_columns(path, header, count, options, wanted)?;
    Ok(wanted.iter().map(|column| categories.contains(column).then(Classes::default)).collect())
}

/// A note where lines of two whole numbers could be numbers with decimal commas.
fn perhaps_decimals(path: &Path, dialect: Dialect, start: &str, header: bool) -> Option<String> {
    let lines: Vec<&str> = start.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let alike = decimals(&lines) == Some(false) && lines.iter().all(|line| line.len() > 3);
    (dialect.separator == b',' && !header && alike).then(|| {
        format!(
            "{}: all lines are read as two whole numbers; if the comma is a decimal mark, write a point for it",
            path.display()
        )
    })
}

/// The name that pandas or R give to the index of the rows.
fn is_index(name: &str) -> bool {
    name.is_empty() || name == "Unnamed: 0"
}

/// Reads the lines of a file as labels, numbered in the order in which they first appear; `expected` is how many there
/// should be. Numbers are equal by value.
///
/// The first line is a header if the options say so, or if there is one line more than expected; where that says nothing,
/// if it is a usual name, or a word above numbers.
pub(in crate::data) fn labels(path: &Path, options: &ReadOptions, expected: Option<usize>) -> Result<Table> {
    let (mut records, _) = Records::open(path, false)?;
    let mut lines: Vec<(u64, Vec<String>)> = Vec::new();
    while let Some((line, fields)) = records.next()? {
        let fields: Vec<String> = fields.into_iter().map(String::from).collect();
        if lines.len().is_power_of_two() && !has_room(lines.len() * IN_WORK * fields.len().max(1)) {
            return Err(Error::data(path, "its labels take more memory than there is; use fewer rows"));
        }
        lines.push((line, fields));
    }
    let mut notes = records.notes();
    let missing = expected.is_some_and(|expected| lines.len() < expected) && !records.dialect.comments;
    if let Some((line, _)) = records.left_out.filter(|_| missing) {
        return Err(Error::data(path, format!("line {line} is blank; give a label in each line")));
    }
    let header = lines.first().filter(|(_, first)| {
        let named = first.iter().all(|name| number(name).is_none())
            && (first.iter().any(|name| LABEL_NAMES.contains(&name.to_lowercase().as_str()))
                || lines[1..].iter().flat_map(|(_, fields)| fields).all(|field| number(field).is_some()));
        options.header
            || is_index(&first[0])
            || match expected {
                Some(expected) if lines.len() == expected + 1 => true,
                Some(expected) if lines.len() == expected => false,
                _ => named,
            }
    });
    let header: Option<Vec<String>> = header.map(|(_, first)| first.clone());
    if let Some(names) = &header {
        let names: Vec<_> = names.iter().map(|name| shown(name)).collect();
        notes.push(format!("{}: the first line is taken as a header: {}", path.display(), names.join(", ")));
        lines.remove(0);
    }
    let Some((_, first)) = lines.first() else {
        return Err(Error::data(path, "there is no label in this file; give one per line"));
    };
    let wanted = columns(path, header.as_deref(), first.len(), options, &mut notes)?;
    let mut numbers: HashMap<Vec<String>, usize> = HashMap::new();
    let mut values = Vec::with_capacity(lines.len());
    for (line, fields) in &lines {
        let label = |&j: &usize| {
            let field = fields.get(j).filter(|field| !field.is_empty());
            let missing = || {
                Error::data(path, format!("line {line} has no label in column {j}; give one in each line"))
            };
            field.map(|field| normal(field)).ok_or_else(missing)
        };
        let label = wanted.iter().map(label).collect::<Result<Vec<_>>>()?;
        let next = numbers.len();
        values.push(*numbers.entry(label).or_insert(next) as f64);
    }
    Ok(Table { rows: values.len(), columns: 1, values: values.into(), notes, ..Table::default() })
}

/// A label in one way of writing: `1` for `1.0`.
fn normal(field: &str) -> String {
    match field.parse::<f64>() {
        // Adding zero takes the sign from -0.
        Ok(value) if value.is_finite() => (value + 0.0).to_string(),
        _ => field.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(text: impl AsRef<[u8]>) -> Result<Table> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.csv");
        fs::write(&path, text).unwrap();
        file(&path, &ReadOptions::default())
    }

    /// Expects an error about the file.
    fn fails(text: impl AsRef<[u8]>, problem: &str) {
        let message = read(text).unwrap_err().to_string();
        let found = message.split_once("x.csv: ").unwrap().1;
        assert_eq!(found, problem);
    }

    /// By a line, and by a quote that nothing closes.
    #[test]
    fn records_without_an_end_are_refused() {
        for text in ["1,".repeat(LONGEST_RECORD), format!("1,2\n\"{}", "1\n".repeat(LONGEST_RECORD))] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.ends_with("is longer than 16 MB, so it is no table"), "{message}");
        }
        // Many short ones are as long.
        let table = read("1,2\n".repeat(LONGEST_RECORD / 4 + 10)).unwrap();
        assert_eq!(table.rows, LONGEST_RECORD / 4 + 10);
    }

    #[test]
    fn numbers_without_a_header_are_read() {
        let want = Table {
            rows: 2,
            columns: 3,
            values: [1.0, -2.5, 3e-3, 4.0, 5.0, 6.0].into(),
            ..Table::default()
        };
        for text in [
            "1,-2.5,3e-3\n4,5,6\n",
            "1,-2.5,3e-3\r\n4,5,6\r\n",
            "1, -2.5 ,3e-3\n\n+4,5,6.",
            "\u{feff}\"1\",\"-2.5\",\"3e-3\"\r\n\r\n4,5,6\r\n\r\n",
        ] {
            assert_eq!(Table { notes: Vec::new(), ..read(text).unwrap() }, want, "{text:?}");
        }
    }

    #[test]
    fn names_alone_make_a_header() {
        let want = Table {
            rows: 1,
            columns: 2,
            values: [1.0, 2.0].into(),
            header: Some(["year", "height, in m"].map(String::from).into()),
            ..Table::default()
        };
        assert_eq!(read("year,\"height, in m\"\n1,2\n").unwrap(), want);
        assert_eq!(read("x\n1\n2\n").unwrap().values, [1.0, 2.0]);
        let problem = "line 1, column 0 (counted from 0) is `year`, which is no number; give a number there, choose \
                       other columns with --columns, or, for elbo compare, name a column of classes with --categories; if this \
                       line holds names, add --header";
        fails("year,1999\n1,2\n", problem);
        let problem = "line 1, column 0 (counted from 0) is `1,204.5`, which is no number; write it with a decimal point \
                       and without separators of thousands; if this line holds names, add --header";
        fails("\"1,204.5\",3\n900,0\n", problem);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.csv");
        fs::write(&path, "year,1999\n1,2\n").unwrap();
        let options = ReadOptions { header: true, ..ReadOptions::default() };
        assert_eq!(file(&path, &options).unwrap().header.unwrap(), ["year", "1999"]);
        let options = ReadOptions { columns: vec!["1999".into()], ..options };
        assert_eq!(file(&path, &options).unwrap().values, [2.0]);
    }

    #[test]
    fn an_index_without_a_name_is_left_out() {
        for (text, values) in [
            (",a,b\n0,1,2\n1,3,4\n", &[1.0, 2.0, 3.0, 4.0][..]),
            ("\"\",\"x\"\n\"Mazda RX4\",5\n\"Datsun 710\",6\n", &[5.0, 6.0]),
            ("Unnamed: 0,x\n17,5\n3,6\n", &[5.0, 6.0]),
        ] {
            let table = read(text).unwrap();
            assert_eq!(table.values, values, "{text}");
            assert!(table.notes[0].ends_with("it is left out, as an index of the rows"), "{:?}", table.notes);
        }
    }

    #[test]
    fn every_usual_way_of_writing_is_read() {
        let want = [1.5, -2.0, 3.0, 4.25];
        for text in [
            "1.5,-2\n3,4.25\n",
            "1.5;-2\n3;4.25\n",
            "1,5;-2\n3;4,25\n",
            "1.5\t-2\n3\t4.25\n",
            "1,5\t-2,0\n3,0\t4,25\n",
            "1.5|-2\n3|4.25\n",
            "  1.5   -2\n3  4.25  \n",
            "1.500000e+00 -2.000000e+00\n3.0e0 4.25e0\n",
            "1.5,-2\r3,4.25\r",
            "1.5,-2,\n3,4.25,\n",
            "# made by hand\n1.5,-2\n3,4.25\n",
        ] {
            assert_eq!(read(text).unwrap().values, want, "{text:?}");
        }
        let utf16 = |units: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}1.5,-2\n3,4.25\n".encode_utf16().flat_map(units).collect()
        };
        assert_eq!(read(utf16(u16::to_le_bytes)).unwrap().values, want);
        assert_eq!(read(utf16(u16::to_be_bytes)).unwrap().values, want);
        let named = read("a;b\n1,5;-2\n3;4,25\n").unwrap();
        assert_eq!((&named.values[..], named.header.unwrap()), (&want[..], vec!["a".to_owned(), "b".into()]));
        assert!(named.notes[0].ends_with("commas are taken as decimal marks"), "{:?}", named.notes);
    }

    #[test]
    fn one_column_of_decimal_commas_is_no_two_columns() {
        let table = read("5,799\n6,05\n4,1\n").unwrap();
        assert_eq!((table.columns, &table.values[..]), (1, &[5.799, 6.05, 4.1][..]));
        // Without a zero behind a comma nobody can know.
        let table = read("5,79\n6,15\n").unwrap();
        assert_eq!((table.columns, &table.values[..]), (2, &[5.0, 79.0, 6.0, 15.0][..]));
        assert!(table.notes[0].contains("if the comma is a decimal mark"), "{:?}", table.notes);
        assert!(read("1,2\n3,4\n").unwrap().notes.is_empty());
    }

    #[test]
    fn blank_lines_inside_are_told() {
        let table = read("1\n\n\n2\n\n").unwrap();
        assert_eq!(table.values, [1.0, 2.0]);
        assert!(table.notes[0].ends_with("2 blank lines are left out"), "{:?}", table.notes);
    }

    fn labelled(text: &str, expected: Option<usize>) -> Result<Vec<f64>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.csv");
        fs::write(&path, text).unwrap();
        labels(&path, &ReadOptions::default(), expected).map(|table| table.values.to_vec())
    }

    #[test]
    fn labels_are_the_same_however_they_are_written() {
        let want = [0.0, 1.0, 0.0];
        for text in [
            "cat\ndog\ncat\n",
            "\u{feff}label\r\ncat\r\ndog\r\ncat\r\n",
            "\"cat\"\ndog\n\"cat\"\n",
            ",label\n0,cat\n1,dog\n2,cat\n",
            "1\n2\n1.0\n",
            "big cat\ndog\nbig cat\n",
        ] {
            assert_eq!(labelled(text, Some(3)).unwrap(), want, "{text:?}");
            assert_eq!(labelled(text, None).unwrap(), want, "{text:?}");
        }
        // The number of rows tells a rare label from a header.
        assert_eq!(labelled("rare\ncat\ncat\n", Some(3)).unwrap(), [0.0, 1.0, 1.0]);
        assert_eq!(labelled("rare\ncat\ncat\n", Some(2)).unwrap(), [0.0, 0.0]);
        let message = labelled("cat\n\ncat\n", Some(3)).unwrap_err().to_string();
        assert!(message.ends_with("line 2 is blank; give a label in each line"), "{message}");
        assert!(labelled("a,cat\nb,\n", Some(2)).unwrap_err().to_string().contains("line 2 has no label"));
    }

    #[test]
    fn what_the_library_writes_is_read_back() {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(["a \"quoted\" name", "b"]).unwrap();
        let values = [0.1, 1.0 / 3.0, f64::MIN_POSITIVE, -f64::MAX];
        for row in values.chunks(2) {
            writer.write_record(row.iter().map(f64::to_string)).unwrap();
        }
        let table = read(writer.into_inner().unwrap()).unwrap();
        assert_eq!(table.values, values);
        assert_eq!(table.header.unwrap(), ["a \"quoted\" name", "b"]);
    }

    #[test]
    fn empty_files_are_refused() {
        for text in ["", "\n\n", "\r\n", "\u{feff}"] {
            fails(text, "the file is empty; give one point per line, its numbers separated by commas");
        }
        fails("a,b\n", "there is a header but no line of numbers below it; give one point per line");
    }

    #[test]
    fn ragged_lines_are_refused() {
        let problem = |line, fields| {
            format!(
                "line {line} has {fields} fields, but line 2 has 3; give all lines the same number of fields"
            )
        };
        fails("\na,b,c\n1,2,3\n\n4,5\n", &problem(5, 2));
        fails("\r\na,b,c\r\n1,2,3\r\n\r\n4,5,6,7", &problem(5, 4));
        fails("\n1,2,3\n4,5,6,7\n", &problem(3, 4));
    }

    #[test]
    fn missing_values_are_refused_with_their_places() {
        let problem = "1 of 4 values are missing, at line 3, column `b`; fill in numbers, or leave out 1 row with --missing \
                       drop";
        fails("a,b\n1,2\n3,\n", problem);
        let problem = "5 of 8 values are missing, at line 1, column 1 (counted from 0); line 2, column 0 (counted from 0); \
                       line 2, column 1 (counted from 0) and others; fill in numbers, or leave out 3 rows with --missing drop";
        fails("1,NA\nnan,\nNULL,?\n3,4\n", problem);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let problem = "line 3, column `a` is `x`, which is no number; give a number there, choose \
                       other columns with --columns, or, for elbo compare, name a column of classes with --categories";
        fails("a,b\r\n1,2\r\nx,4\r\n", problem);
        let problem = "line 2, column 0 (counted from 0) is `\\u{1b}[31mred`, which is no number; give a number there, choose \
                       other columns with --columns, or, for elbo compare, name a column of classes with --categories";
        fails("1,2\n\u{1b}[31mred,4\n", problem);
        let long = "z".repeat(100_000);
        assert!(read(format!("1\n{long}\n")).unwrap_err().to_string().len() < 300);
        fails("1\u{0}2\n", "this is no text, but a file of bytes; give a .csv file of numbers");
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        for (field, value) in [("inf", "inf"), ("-Infinity", "-inf"), ("1e999", "inf")] {
            let problem = format!(
                "the value at line 2, column 0 (counted from 0) is {value}, but all values must be finite; replace it or \
                 remove the row"
            );
            fails(format!("0\n{field}"), &problem);
        }
    }

    #[test]
    fn other_encodings_are_refused() {
        fails(b"a,b\n1,2\n3,\xFF\n", "line 3 is no UTF-8 text; save the file as UTF-8");
    }
}
