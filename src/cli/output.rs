//! Results go to stdout, everything else to stderr; a reader that went away is no error.

use elbo::error::{Error, Result, readable};
use serde::Serialize;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A line of the result.
pub(super) fn result(line: impl Display) {
    // `elbo ... | head` closes the pipe early and means it.
    if let Err(error) = writeln!(std::io::stdout(), "{line}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        problem(format_args!("error: standard output: cannot write: {error}"));
        std::process::exit(1);
    }
}

/// Whether only results, warnings and errors are wanted.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on nothing but results, warnings and errors is said.
pub(super) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether nothing but results, warnings and errors is wanted.
pub(super) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// A line that is not part of the result.
pub(super) fn note(line: impl Display) {
    let line = line.to_string();
    if !is_quiet() || line.starts_with("warning:") {
        problem(line);
    }
}

/// A warning or an error.
///
/// Names and fields of files may be in it: see [`readable`].
pub(super) fn problem(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{}", readable(&line.to_string()));
}

/// Warnings of a result.
pub(super) fn warn(warnings: &[String]) {
    warnings.iter().for_each(|warning| problem(format_args!("warning: {warning}")));
}

/// One JSON object, the last line of stdout.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    result(to_json(value)?);
    Ok(())
}

/// A result's fields.
pub(super) fn to_value(value: &impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value)
        .map_err(|e| Error::usage(format!("the result cannot be written as JSON: {e}")))
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|e| Error::usage(format!("the result cannot be written as JSON: {e}")))
}

/// One JSON object as a file.
pub(super) fn save(value: &impl Serialize, path: &Path) -> Result<()> {
    elbo::files::save(path, to_json(value)? + "\n")
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
