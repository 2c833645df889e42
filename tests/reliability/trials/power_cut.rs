//! Power cuts, simulated: the calls of a run are recorded, and after each of them the disk is what a file system may leave of
//! it.
//!
//! ```text
//! strace -> calls -> disk after each: what was synchronised, and of the rest all, nothing or a part -> is there a run?
//! ```

use super::{Place, Random, Tally, ending, train};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

/// The calls that change files.
const CALLS: &str = "?creat,?open,openat,write,writev,pwrite64,?pwritev,?pwritev2,fsync,fdatasync,?truncate,ftruncate,fallocate,\
                     ?copy_file_range,?sendfile,?rename,?renameat,renameat2,?link,linkat,?symlink,symlinkat,?unlink,unlinkat,\
                     ?mkdir,mkdirat,?rmdir";

/// What a name of a folder stands for: numbers of files and folders on the disk.
#[derive(Clone, Copy)]
enum Entry {
    File(usize),
    Folder(usize),
}

type Names = BTreeMap<String, Entry>;

/// What is in a file as programs see it, and as it is on the disk for sure.
#[derive(Clone, Default)]
struct Contents {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

/// The names in a folder: as they are on the disk for sure, and after each change since.
#[derive(Clone)]
struct Folder(Vec<Names>);

impl Folder {
    fn seen(&self) -> &Names {
        self.0.last().expect("a first version")
    }

    fn change<R>(&mut self, change: impl FnOnce(&mut Names) -> R) -> R {
        let mut names = self.seen().clone();
        let result = change(&mut names);
        self.0.push(names);
        result
    }

    fn sync(&mut self) {
        self.0.drain(..self.0.len() - 1);
    }
}

/// A disk: folder 0 is the place itself.
#[derive(Clone)]
struct Disk {
    files: Vec<Contents>,
    folders: Vec<Folder>,
}

/// A call that changes a disk, with paths below the place.
#[derive(Debug)]
enum Change {
    /// Opened for writing: made if it is not there, emptied if so asked.
    Open {
        path: PathBuf,
        empty: bool,
    },
    Write {
        path: PathBuf,
        bytes: Vec<u8>,
    },
    Sync(PathBuf),
    Rename {
        from: PathBuf,
        to: PathBuf,
        exchange: bool,
    },
    Remove(PathBuf),
    Folder(PathBuf),
}

impl Disk {
    /// The disk with what is at a place, synchronised.
    fn of(place: &Path) -> Self {
        let mut disk = Self { files: Vec::new(), folders: Vec::new() };
        disk.take(place);
        disk
    }

    /// Takes a folder with all that is in it; returns its number.
    fn take(&mut self, path: &Path) -> usize {
        let number = self.new_folder();
        for entry in fs::read_dir(path).expect("a folder").flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let entry = if path.is_dir() {
                Entry::Folder(self.take(&path))
            } else {
                let bytes = fs::read(&path).expect("a file");
                self.files.push(Contents { seen: bytes.clone(), durable: bytes });
                Entry::File(self.files.len() - 1)
            };
            self.folders[number].change(|names| names.insert(name, entry));
        }
        self.folders[number].sync();
        number
    }

    fn new_folder(&mut self) -> usize {
        self.folders.push(Folder(vec![Names::new()]));
        self.folders.len() - 1
    }

    /// The folder that a path is in, and its name there.
    fn parent(&self, path: &Path) -> (usize, String) {
        let names: Vec<String> = path.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        let (name, folders) = names.split_last().expect("a path below the place");
        let into = |folder: usize, name: &String| match self.folders[folder].seen().get(name) {
            Some(&Entry::Folder(inner)) => inner,
            _ => panic!("{} is in no known folder", path.display()),
        };
        (folders.iter().fold(0, into), name.clone())
    }

    fn entry(&self, path: &Path) -> Option<Entry> {
        if path.as_os_str().is_empty() {
            return Some(Entry::Folder(0));
        }
        let (folder, name) = self.parent(path);
        self.folders[folder].seen().get(&name).copied()
    }

    fn put(&mut self, path: &Path, entry: Entry) {
        let (folder, name) = self.parent(path);
        self.folders[folder].change(|names| names.insert(name, entry));
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Open { path, empty } => match self.entry(path) {
                Some(Entry::File(file)) if *empty => self.files[file].seen.clear(),
                Some(_) => {}
                None => {
                    self.files.push(Contents::default());
                    self.put(path, Entry::File(self.files.len() - 1));
                }
            },
            Change::Write { path, bytes } => match self.entry(path) {
                // At the end: nothing that elbo writes is gone back in.
                Some(Entry::File(file)) => self.files[file].seen.extend(bytes),
                _ => panic!("{} was never made", path.display()),
            },
            Change::Sync(path) => match self.entry(path) {
                Some(Entry::File(file)) => self.files[file].durable = self.files[file].seen.clone(),
                Some(Entry::Folder(folder)) => self.folders[folder].sync(),
                None => panic!("{} was never made", path.display()),
            },
            Change::Rename { from, to, exchange } => {
                let ((old, from), (new, to)) = (self.parent(from), self.parent(to));
                assert_eq!(old, new, "a rename between two folders, which would be two changes here");
                self.folders[old].change(|names| {
                    let moved = names.remove(&from).expect("what is renamed");
                    let replaced = names.insert(to, moved);
                    if *exchange {
                        names.insert(from, replaced.expect("what is exchanged"));
                    }
                });
            }
            Change::Remove(path) => {
                let (folder, name) = self.parent(path);
                self.folders[folder].change(|names| names.remove(&name));
            }
            Change::Folder(path) => {
                let made = self.new_folder();
                self.put(path, Entry::Folder(made));
            }
        }
    }

    /// Writes a folder below `path` as a power cut leaves it: what was synchronised, and by chance some of the changes since;
    /// `worst` leaves none of them.
    fn left(&self, folder: usize, random: &mut Random, worst: bool, path: &Path) {
        fs::create_dir_all(path).expect("a folder");
        let versions = &self.folders[folder].0;
        let version = if worst { 0 } else { random.below(versions.len() as u64) as usize };
        for (name, entry) in &versions[version] {
            let path = path.join(name);
            match *entry {
                Entry::Folder(inner) => self.left(inner, random, worst, &path),
                Entry::File(file) => {
                    let Contents { seen, durable } = &self.files[file];
                    let part = &seen[..random.below(seen.len() as u64 + 1) as usize];
                    let bytes = match random.below(3) {
                        _ if worst => durable,
                        0 => durable,
                        // More than was synchronised, and not all.
                        1 if part.len() > durable.len() => part,
                        _ => seen,
                    };
                    fs::write(path, bytes).expect("a file");
                }
            }
        }
    }
}

/// A text of strace, whose letters are all written as hexadecimal numbers.
fn unescaped(text: &str) -> Vec<u8> {
    let bytes = text.split("\\x").skip(1).map(|digits| u8::from_str_radix(digits.get(..2)?, 16).ok());
    bytes.map(|byte| byte.expect("strace's numbers")).collect()
}

fn path_of(text: &str) -> PathBuf {
    String::from_utf8(unescaped(text)).expect("a path").into()
}

/// The part of a path that is below `place`, if it is there.
fn below(place: &Path, path: &Path) -> Option<PathBuf> {
    let path = place.join(path);
    Some(path.strip_prefix(place).ok()?.components().filter(|part| *part != Component::CurDir).collect())
}

/// What a line of a call with its result says about files below `place`.
fn change(place: &Path, call: &str) -> Option<Change> {
    let (name, rest) = call.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    if result.starts_with('-') {
        return None;
    }
    let quoted: Vec<&str> = arguments.split('"').skip(1).step_by(2).collect();
    // Of the open file, or of the folder that a path is relative to.
    let open =
        arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path_of(path));
    // Pipes and the like have other names.
    let open = open.filter(|path| path.is_absolute());
    let file = || below(place, open.as_deref()?);
    let path = |number: usize| {
        let folder = if name.contains("at") { open.clone().unwrap_or_default() } else { PathBuf::new() };
        below(place, &folder.join(path_of(quoted.get(number)?)))
    };
    match name {
        "open" | "openat" | "creat" => {
            let writes =
                ["O_WRONLY", "O_RDWR"].iter().any(|flag| arguments.contains(flag)) || name == "creat";
            writes.then_some(())?;
            Some(Change::Open { path: path(0)?, empty: arguments.contains("O_TRUNC") || name == "creat" })
        }
        "write" => Some(Change::Write { path: file()?, bytes: unescaped(quoted.first()?) }),
        "fsync" | "fdatasync" => file().map(Change::Sync),
        "rename" | "renameat" | "renameat2" => Some(Change::Rename {
            from: path(0)?,
            to: path(1)?,
            exchange: arguments.contains("RENAME_EXCHANGE"),
        }),
        "unlink" | "unlinkat" | "rmdir" => Some(Change::Remove(path(0)?)),
        "mkdir" | "mkdirat" => path(0).map(Change::Folder),
        // None of them is used on files of a run: were it, the simulation would have to learn it.
        _ => {
            let found = file().or_else(|| path(0));
            assert!(found.is_none(), "{name} of {found:?}");
            None
        }
    }
}

/// The changes that a program makes to a place, in their order.
fn changes(place: &Place, arguments: &[&str]) -> Result<Vec<Change>, String> {
    let log = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    let mut command = Command::new("strace");
    command
        .args(["-f", "-y", "-xx", "-s", "100000000", "-e", &format!("trace={CALLS}"), "-o"])
        .arg(log.path());
    command.arg(env!("CARGO_BIN_EXE_elbo")).args(arguments);
    command.current_dir(place.folder.path()).env("RAYON_NUM_THREADS", "2");
    let output = command.stdin(Stdio::null()).output().map_err(|_| "strace is missing".to_owned())?;
    if !output.status.success() {
        return Err(format!("strace: {}", ending(&output)));
    }
    let root = place.folder.path().canonicalize().map_err(|error| error.to_string())?;
    let mut unfinished: HashMap<String, String> = HashMap::new();
    let mut changes = Vec::new();
    for line in fs::read_to_string(log.path()).map_err(|error| error.to_string())?.lines() {
        let (process, call) = line.split_once(' ').unwrap_or_default();
        let call = call.trim_start();
        if let Some(start) = call.strip_suffix(" <unfinished ...>") {
            unfinished.insert(process.into(), start.into());
            continue;
        }
        let whole = match call.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            Some((_, end)) => unfinished.remove(process).unwrap_or_default() + end,
            None => call.into(),
        };
        changes.extend(change(&root, &whole));
    }
    Ok(changes)
}

/// Cuts the power after changes that a program makes before it draws pictures, every other time at the worst: after each of
/// them, or after so many as chance chooses; `right` says whether what is left in a place is.
fn cuts(
    place: &Place,
    times: u64,
    arguments: &[&str],
    tally: &mut Tally,
    mut right: impl FnMut(&Place, &Disk) -> Result<(), String>,
) -> Result<(), String> {
    let mut disk = Disk::of(place.folder.path());
    let mut moments = Vec::new();
    for change in changes(place, arguments)? {
        if matches!(&change, Change::Folder(path) if path.ends_with("pictures")) {
            break;
        }
        disk.apply(&change);
        moments.push((change, disk.clone()));
    }
    let (mut random, count) = (Random(times), moments.len() as u64);
    if count == 0 {
        return Err("strace recorded no change".into());
    }
    for cut in 0..times.min(2 * count) {
        let moment = if times < 2 * count { random.below(count) } else { cut / 2 };
        let (change, disk) = &moments[moment as usize];
        let left = Place { folder: tempfile::tempdir().map_err(|error| error.to_string())? };
        disk.left(0, &mut random, cut % 2 == 0, left.folder.path());
        let found = right(&left, disk);
        tally.check(found.is_ok(), || {
            let change: String = format!("{change:?}").chars().take(200).collect();
            format!("cut {cut} after change {moment}, {change}: {found:?}")
        });
    }
    Ok(())
}

/// Trains, and trains over an old run, and cuts the power after changes of files.
pub(super) fn power_cut(place: &Place, times: u64) -> Tally {
    let mut tally = Tally::default();
    let short = ["--epochs", "2"];
    let straight = place.train("straight", &short);
    if !straight.status.success() {
        tally.check(false, || ending(&straight));
        return tally;
    }
    let expected = place.bytes("straight");
    let resumed = |left: &Place| {
        let output = left.run(&["resume", "run", "--json"]);
        match output.status.success() {
            false => Err(ending(&output)),
            true if left.bytes("run") != expected => Err("it resumed to another run".to_owned()),
            true => Ok(()),
        }
    };
    let with_data = || {
        let start = Place { folder: tempfile::tempdir().expect("a folder") };
        fs::copy(place.path("images.npy"), start.path("images.npy")).expect("a copy");
        start
    };

    // No run as long as its name was not synchronised; then one that resumes to the same bytes.
    let new = cuts(&with_data(), times, &train("run", &short), &mut tally, |left, disk| {
        match left.path("run").exists() {
            true => resumed(left),
            false if disk.folders[0].0[0].contains_key("run") => Err("the run is lost".into()),
            false => Ok(()),
        }
    });

    // Always the old run or the new one.
    let start = with_data();
    start.train("run", &["--epochs", "1"]);
    let old = start.bytes("run");
    let forced = [&train("run", &short)[..], &["--force"]].concat();
    let over = cuts(&start, times, &forced, &mut tally, |left, _| {
        if left.bytes("run") == old { Ok(()) } else { resumed(left) }
    });
    match new.and(over) {
        Ok(()) => tally,
        Err(why) if tally.tried == 0 => Tally::skipped(&why),
        Err(why) => {
            tally.failures.push(why);
            tally
        }
    }
}
