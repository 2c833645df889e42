//! Lines of numbers separated by commas.

use super::Table;
use crate::error::{Error, Result};
use ::csv::{ErrorKind, ReaderBuilder, StringRecord, Terminator, Trim};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads a `.csv` file; a first line with any name in it is the header.
pub(in crate::data) fn file(path: &Path) -> Result<Table> {
    let file = File::open(path).map_err(Error::io(path, "read"))?;
    // With a line feed after every record, the last one included, the line of a record is the one before the
    // reader's. Carriage returns count as spaces.
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .terminator(Terminator::Any(b'\n'))
        .from_reader(file.chain(&b"\n"[..]));

    let mut header: Option<Vec<String>> = None;
    // The line of the first record and its number of fields.
    let mut first = None;
    let mut values = Vec::new();
    let mut record = StringRecord::new();
    loop {
        let more = reader.read_record(&mut record);
        let line = reader.position().line() - 1;
        let more = more.map_err(|error| match error.into_kind() {
            ErrorKind::Io(source) => Error::io(path, "read")(source),
            _ => Error::data(path, format!("line {line} is no UTF-8 text; save the file as UTF-8")),
        })?;
        if !more {
            break;
        }
        // A blank line.
        if record.len() == 1 && record[0].is_empty() {
            continue;
        }

        if first.is_none() && record.iter().any(is_name) {
            first = Some((line, record.len()));
            header = Some(record.iter().map(str::to_owned).collect());
            continue;
        }
        let (first_line, columns) = *first.get_or_insert((line, record.len()));
        if record.len() != columns {
            let problem = format!(
                "line {line} has {} fields, but line {first_line} has {columns}; give all lines the same \
                 number of fields",
                record.len()
            );
            return Err(Error::data(path, problem));
        }
        for (j, field) in record.iter().enumerate() {
            let value = number(field).map_err(|problem| {
                let name = header.as_ref().map_or(String::new(), |names| format!(" (`{}`)", names[j]));
                Error::data(path, format!("line {line}, column {}{name} {problem}", j + 1))
            })?;
            values.push(value);
        }
    }

    let Some((_, columns)) = first else {
        let problem = "the file is empty; give one point per line, its numbers separated by commas";
        return Err(Error::data(path, problem));
    };
    if values.is_empty() {
        let problem = "there is a header but no line of numbers below it; give one point per line";
        return Err(Error::data(path, problem));
    }
    Ok(Table { rows: values.len() / columns, columns, values, header, ..Table::default() })
}

/// Reads the lines of a `.csv` file as labels, numbered in the order in which they first appear. The first
/// line is a header if it is a word that no other line has.
pub(in crate::data) fn labels(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
    let mut lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut header = None;
    if let [first, rest @ ..] = &lines[..]
        && is_name(first)
        && !rest.contains(first)
    {
        header = Some(vec![(*first).to_owned()]);
        lines.remove(0);
    }
    if lines.is_empty() {
        return Err(Error::data(path, "there is no label in this file; give one per line"));
    }
    let mut numbers = HashMap::new();
    let mut number = |line| {
        let next = numbers.len();
        *numbers.entry(line).or_insert(next) as f64
    };
    let values: Vec<f64> = lines.into_iter().map(&mut number).collect();
    Ok(Table { rows: values.len(), columns: 1, values, header, ..Table::default() })
}

/// True for the name of a column. An empty field is none: it is a value missing.
fn is_name(field: &str) -> bool {
    !field.is_empty() && field.parse::<f64>().is_err()
}

/// The finite number in a field, or what it is instead and what to do.
fn number(field: &str) -> std::result::Result<f64, String> {
    if field.is_empty() {
        return Err("is empty; give a number there or remove the line".into());
    }
    match field.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(format!(
            "is `{field}`, but all values must be finite; give a number there or remove the line"
        )),
        Err(_) => Err(format!(
            "is `{field}`, which is no number; give a number there, with a decimal point, and separate the \
             fields by commas"
        )),
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
        file(&path)
    }

    /// Expects an error about the file.
    fn fails(text: impl AsRef<[u8]>, problem: &str) {
        let message = read(text).unwrap_err().to_string();
        let found = message.split_once("x.csv: ").unwrap().1;
        assert_eq!(found, problem);
    }

    #[test]
    fn numbers_without_a_header_are_read() {
        let want =
            Table { rows: 2, columns: 3, values: vec![1.0, -2.5, 3e-3, 4.0, 5.0, 6.0], ..Table::default() };
        for text in [
            "1,-2.5,3e-3\n4,5,6\n",
            "1,-2.5,3e-3\r\n4,5,6\r\n",
            "1, -2.5 ,3e-3\n\n+4,5,6.",
            "\u{feff}\"1\",\"-2.5\",\"3e-3\"\r\n\r\n4,5,6\r\n\r\n",
        ] {
            assert_eq!(read(text).unwrap(), want, "{text:?}");
        }
    }

    #[test]
    fn one_name_makes_a_header() {
        let want = Table {
            rows: 1,
            columns: 3,
            values: vec![1.0, 2.0, 3.0],
            header: Some(["", "1999", "height, in m"].map(String::from).into()),
            ..Table::default()
        };
        assert_eq!(read(",1999,\"height, in m\"\n1,2,3\n").unwrap(), want);
        assert_eq!(read("x\n1\n2\n").unwrap().values, [1.0, 2.0]);
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
        fails("\n1,2,3\n4,5,6,\n", &problem(3, 4));
    }

    #[test]
    fn empty_fields_are_refused() {
        fails("a,b\n1,2\n3,\n", "line 3, column 2 (`b`) is empty; give a number there or remove the line");
        fails("1,,2\n3,4,5\n", "line 1, column 2 is empty; give a number there or remove the line");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let problem = |place, field| {
            format!(
                "{place} is `{field}`, which is no number; give a number there, with a decimal point, and \
                 separate the fields by commas"
            )
        };
        fails("a,b\r\n1,2\r\n3,x\r\n", &problem("line 3, column 2 (`b`)", "x"));
        fails("1,2\nNA,3\n", &problem("line 2, column 1", "NA"));
        fails("a;b\n1;2\n", &problem("line 2, column 1 (`a;b`)", "1;2"));
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        for field in ["NaN", "inf", "-Infinity", "1e999"] {
            let problem = format!(
                "line 2, column 1 is `{field}`, but all values must be finite; give a number there or remove \
                 the line"
            );
            fails(format!("0\n{field}"), &problem);
        }
    }

    #[test]
    fn other_encodings_are_refused() {
        fails(b"a,b\n1,2\n3,\xFF\n", "line 3 is no UTF-8 text; save the file as UTF-8");
    }
}
