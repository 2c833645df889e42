//! Results go to stdout, everything else to stderr; a reader that went away is no error.

use elbo::error::{Error, Result};
use serde::Serialize;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// A line of the result.
pub(super) fn result(line: impl Display) {
    // `elbo ... | head` closes the pipe early and means it.
    if let Err(error) = writeln!(std::io::stdout(), "{line}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        note(format_args!("error: standard output: cannot write: {error}"));
        std::process::exit(1);
    }
}

/// A line that is not part of the result.
///
/// Names and fields of files may be in it: control characters, which could move a terminal's cursor, are written out.
pub(super) fn note(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{}", printable(&line.to_string()));
}

fn printable(text: &str) -> String {
    let printable = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(printable).collect()
}

/// Warnings of a result.
pub(super) fn warn(warnings: &[String]) {
    warnings.iter().for_each(|warning| note(format_args!("warning: {warning}")));
}

/// One JSON object, the last line of stdout.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    result(to_json(value)?);
    Ok(())
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|e| Error::usage(format!("the result cannot be written as JSON: {e}")))
}

/// One JSON object as a file.
pub(super) fn save(value: &impl Serialize, path: &Path) -> Result<()> {
    std::fs::write(path, to_json(value)? + "\n").map_err(Error::io(path, "write"))
}

/// A table with its columns aligned: text to the left, numbers to the right.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let numeric = |cell: &str| cell.starts_with(|c: char| c.is_ascii_digit());
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).map(|(cell, &width)| {
            if numeric(cell) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    result(line(&header.iter().map(|&h| h.to_owned()).collect::<Vec<_>>()));
    rows.iter().for_each(|row| result(line(row)));
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(printable("a\u{1b}]0;b\u{7} ü"), "a\\u{1b}]0;b\\u{7} ü");
    }
}
