//! Files that a kill leaves whole: one that is replaced, and lines that are appended.

use crate::error::{Error, Result};
use std::fs;
use std::path::Path;

/// Writes a file beside its place and moves it there, so that a kill leaves the old one or the new one.
///
/// # Errors
/// If it cannot be written.
pub fn replace(file: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let temporary = file.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    fs::write(&temporary, contents).map_err(Error::io(&temporary, "write"))?;
    fs::rename(&temporary, file).map_err(Error::io(file, "replace"))
}

/// The lines of a file that was appended to, each with its end: a kill may have left half a line after them.
///
/// # Errors
/// If it cannot be read.
pub fn whole_lines(file: &Path) -> Result<String> {
    let mut text = fs::read_to_string(file).map_err(Error::io(file, "read"))?;
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_half_a_line_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lines");
        for (contents, whole) in [("a\nb\nhal", "a\nb\n"), ("half", ""), ("", "")] {
            replace(&file, contents).unwrap();
            assert_eq!(whole_lines(&file).unwrap(), whole);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left there");
    }
}
