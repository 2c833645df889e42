//! Files that neither a kill nor a power cut damages: replaced as a whole, folders that appear as a whole, lines that are
//! appended.
//!
//! ```text
//! write to a temporary beside it -> wait until the disk has it -> rename -> wait until the disk has the folder
//! ```
//!
//! A rename takes the place of a link and never follows it, so that nothing is written where a link leads.

use crate::error::{Error, Result};
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// The end of the names of temporaries.
const TEMPORARY: &str = ".tmp";

/// Writes a file beside its place and moves it there: afterwards the old one is there or the new one. What is no file, such
/// as a pipe or `/dev/stdout`, is written to.
///
/// # Errors
/// If it cannot be written; then the old one is there.
pub fn replace(file: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    let found = file.symlink_metadata();
    let is_special =
        found.as_ref().is_ok_and(|found| !found.is_file() && !found.is_dir() && !found.is_symlink());
    if is_special || file.parent() == Some(Path::new("/dev")) {
        return fs::write(file, contents).map_err(Error::io(file, "write"));
    }
    let temporary = temporary(file);
    let replaced = written(&temporary, contents.as_ref()).and_then(|()| {
        if let Some(old) = found.ok().filter(fs::Metadata::is_file) {
            fs::set_permissions(&temporary, old.permissions())?;
        }
        fs::rename(&temporary, file)
    });
    if let Err(error) = replaced {
        let _ = fs::remove_file(&temporary);
        return Err(Error::io(file, "write")(error));
    }
    sync_parent(file)
}

/// As [`replace`], but what a link leads to is written: for files that a user named.
///
/// # Errors
/// If it cannot be written; then the old one is there.
pub fn save(file: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    match file.canonicalize() {
        Ok(target) if file.is_symlink() && target.is_file() => replace(&target, contents),
        _ => replace(file, contents),
    }
}

/// Writes a file that is not there yet, and waits until the disk has it.
///
/// # Errors
/// If it is there, or cannot be written.
pub fn write_new(file: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    written(file, contents.as_ref()).map_err(Error::io(file, "write"))
}

fn written(file: &Path, contents: &[u8]) -> std::io::Result<()> {
    let mut open = File::options().write(true).create_new(true).open(file)?;
    open.write_all(contents)?;
    open.sync_all()
}

/// Makes a folder beside a place, to be filled and [moved](publish) there.
///
/// # Errors
/// If the folder that it is in is not there, or cannot be written to.
pub fn new_folder(place: &Path) -> Result<PathBuf> {
    let temporary = temporary(place);
    fs::create_dir(&temporary).map_err(Error::io(&temporary, "create"))?;
    Ok(temporary)
}

/// Moves a folder whose files are on the disk to its place, where there is nothing or an empty folder.
///
/// # Errors
/// If that cannot be done.
pub fn publish(folder: &Path, place: &Path) -> Result<()> {
    sync_folder(folder)?;
    fs::rename(folder, place).map_err(Error::io(place, "create"))?;
    sync_parent(place)
}

/// Lets two folders change their places, at once where the system can do that.
///
/// # Errors
/// If that cannot be done; then `place` is what it was.
pub fn exchange(folder: &Path, place: &Path) -> Result<()> {
    sync_folder(folder)?;
    if !exchanged_at_once(folder, place) {
        let aside = temporary(folder);
        let failed = Error::io(place, "replace");
        fs::rename(place, &aside).map_err(Error::io(place, "replace"))?;
        if let Err(error) = fs::rename(folder, place) {
            let _ = fs::rename(&aside, place);
            return Err(failed(error));
        }
        fs::rename(&aside, folder).map_err(Error::io(folder, "create"))?;
    }
    sync_parent(place)
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn exchanged_at_once(folder: &Path, place: &Path) -> bool {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, folder, CWD, place, RenameFlags::EXCHANGE).is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn exchanged_at_once(_: &Path, _: &Path) -> bool {
    false
}

/// A place beside another, for what is not done: one that no other call or process has, of this machine or others.
fn temporary(place: &Path) -> PathBuf {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_start_matches('.');
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let (process, call) = (std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed));
    place.with_file_name(format!(".{name}.{process}-{call}-{time}{TEMPORARY}"))
}

/// Whether a name is that of a [`temporary`].
fn is_temporary(name: &str) -> bool {
    let middle = name.strip_prefix('.').and_then(|name| name.strip_suffix(TEMPORARY));
    let numbers = middle.and_then(|middle| middle.rsplit_once('.')).map(|(_, numbers)| numbers.split('-'));
    numbers.is_some_and(|numbers| {
        let numbers: Vec<&str> = numbers.collect();
        numbers.len() == 3
            && numbers.iter().all(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// Removes what killed processes left unfinished in a folder that no other process writes to.
pub fn remove_temporaries(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_temporary) {
            let _ = match entry.file_type() {
                Ok(kind) if kind.is_dir() => fs::remove_dir_all(entry.path()),
                _ => fs::remove_file(entry.path()),
            };
        }
    }
}

/// Waits until the disk has the names of a folder's files. Not all systems and file systems can do that.
fn sync_folder(folder: &Path) -> Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let cannot = [ErrorKind::InvalidInput, ErrorKind::Unsupported, ErrorKind::PermissionDenied];
    match File::open(folder).and_then(|open| open.sync_all()) {
        Err(error) if !cannot.contains(&error.kind()) => Err(Error::io(folder, "write")(error)),
        _ => Ok(()),
    }
}

fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_folder(parent.unwrap_or(Path::new(".")))
}

/// A part of a folder that programs write to, as it is no link: nothing must be written elsewhere.
///
/// # Errors
/// If it is a link.
pub fn own(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    if path.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
        let problem =
            "is a link to another place, where nothing is written; put the file or folder itself here";
        return Err(Error::run(path, problem));
    }
    Ok(path)
}

/// Locks a file for this process, for as long as the result lives; it can be read and written.
///
/// # Errors
/// If another process has it, of which `busy` tells.
pub fn lock(file: &Path, busy: &str) -> Result<File> {
    let open = File::options().read(true).write(true).open(file).map_err(Error::io(file, "open"))?;
    match open.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::run(file.parent().unwrap_or(file), busy)),
        // Not all file systems have locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(open),
    }
}

/// The length of what is a file.
pub fn length(file: &File) -> Option<u64> {
    file.metadata().ok().filter(fs::Metadata::is_file).map(|found| found.len())
}

/// The lines of a file that was appended to, each with its end: a kill may have left half a line after them.
///
/// # Errors
/// If it cannot be read.
pub fn whole_lines(file: &Path) -> Result<String> {
    fs::read_to_string(file).map(without_half_a_line).map_err(Error::io(file, "read"))
}

/// A text up to the end of its last line.
pub fn without_half_a_line(mut text: String) -> String {
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    text
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
        assert!(replace(&directory.path().join("none/file"), "a").is_err());
    }

    #[test]
    fn folders_appear_and_change_places_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("place");
        for text in ["old", "new"] {
            let folder = new_folder(&place).unwrap();
            write_new(&folder.join("file"), text).unwrap();
            if text == "old" { publish(&folder, &place) } else { exchange(&folder, &place) }.unwrap();
        }
        assert_eq!(fs::read_to_string(place.join("file")).unwrap(), "new");
        let names = || fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(names(), 2, "the old one is beside it");
        for mine in [".foo.tmp", ".tmp", ".a.1.tmp", "b.1-2-3.tmp", ".a.1-2-x.tmp"] {
            fs::write(directory.path().join(mine), "").unwrap();
        }
        remove_temporaries(directory.path());
        assert_eq!(names(), 6, "nobody else's");
        assert!(exchange(&directory.path().join("none"), &place).is_err());
        assert_eq!(fs::read_to_string(place.join("file")).unwrap(), "new", "it is where it was");
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_where_links_lead() {
        let directory = tempfile::tempdir().unwrap();
        let (victim, link) = (directory.path().join("victim"), directory.path().join("link"));
        fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        assert!(own(directory.path(), "link").unwrap_err().to_string().contains("is a link"));
        assert!(own(directory.path(), "victim").is_ok() && own(directory.path(), "none").is_ok());
        // What a user names is written to, through the link.
        save(&link, "yours").unwrap();
        assert_eq!((fs::read_to_string(&victim).unwrap(), link.is_symlink()), ("yours".into(), true));
        replace(&link, "other").unwrap();
        assert_eq!((fs::read_to_string(&victim).unwrap(), link.is_symlink()), ("yours".into(), false));
        save(Path::new("/dev/null"), "nothing").unwrap();
        // Who may read it stays the same.
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
        save(&victim, "new").unwrap();
        assert_eq!(victim.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_is_locked_by_one_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let first = lock(&file, "is busy").unwrap();
        assert!(lock(&file, "is busy").unwrap_err().to_string().ends_with("is busy"));
        drop(first);
        lock(&file, "is busy").unwrap();
    }
}
