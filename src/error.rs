//! One error type for the whole crate. Each message is one sentence: what, where, what was expected, what
//! to do. Texts of files may be in it: control characters are written out, and the middle of a long one is left out.

use std::fmt;
use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Anything that can go wrong. Look at [`Error::kind`] to react to one case.
#[derive(Debug)]
pub struct Error(Box<Kind>);

/// Characters of a message that are shown from its start and from its end, where the advice is.
const SHOWN: [usize; 2] = [700, 300];

/// A text with control characters written out.
pub(crate) fn escaped(text: &str) -> String {
    let one = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(one).collect()
}

/// A text as terminals can show it: without control characters, and without the middle of a long one.
pub fn readable(text: &str) -> String {
    let [start, end] = SHOWN;
    let ends = (text.char_indices().nth(start), text.char_indices().rev().nth(end));
    match ends {
        (Some((first, _)), Some((last, _))) if first < last => {
            format!("{} [...] {}", escaped(&text[..first]), escaped(&text[last..]))
        }
        _ => escaped(text),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&readable(&self.0.to_string()))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// The cause of an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Kind {
    /// Wrong arguments: decidable without looking at any file or device.
    #[error("{0}")]
    Usage(String),
    /// An input file or directory is missing, damaged, or not what it should be.
    #[error("{}: {problem}", path.display())]
    Data {
        /// The file or directory.
        path: PathBuf,
        /// The problem and the remedy, in one sentence.
        problem: String,
    },
    /// A run directory or a checkpoint in it cannot be used.
    #[error("{}: {problem}", path.display())]
    Run {
        /// The run directory or the file in it.
        path: PathBuf,
        /// The problem and the remedy, in one sentence.
        problem: String,
    },
    /// The operating system refused to read or write a file.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The verb of what was tried: "read", "write".
        action: &'static str,
        /// The system's own error.
        source: std::io::Error,
    },
    /// A buffer given to a kernel has the wrong size.
    #[error("kernel `{kernel}`, buffer `{buffer}`: expected {expected} elements, found {found}")]
    Shape {
        /// The kernel's name.
        kernel: String,
        /// The buffer's name in the kernel.
        buffer: String,
        /// The shape that the call asks for, such as `128 x 300`.
        expected: String,
        /// How many there are.
        found: usize,
    },
    /// Samples that a test cannot use, or not together.
    #[error("{0}")]
    Samples(String),
    /// No usable GPU adapter, or none of the name asked for.
    #[error("{0}")]
    Adapter(String),
    /// The device failed: lost, out of memory, a limit exceeded, a shader refused.
    #[error("{0}")]
    Device(String),
    /// The caller ended the work: what a function that hears of progress may answer.
    #[error("interrupted")]
    Interrupted,
    /// A loss term stopped being a finite number.
    #[error(
        "training diverged: the {term} was {value} at step {step}; the last good checkpoint is kept, \
         try a smaller --learning-rate"
    )]
    Diverged {
        /// Which term of the loss.
        term: &'static str,
        /// Its value.
        value: f64,
        /// The first step at which it was seen.
        step: u64,
    },
}

impl Error {
    /// The cause of an error.
    pub fn kind(&self) -> &Kind {
        &self.0
    }

    /// Wrong arguments.
    pub fn usage(message: impl Into<String>) -> Self {
        Kind::Usage(message.into()).into()
    }

    /// A bad input file.
    pub fn data(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Kind::Data { path: path.as_ref().into(), problem: problem.into() }.into()
    }

    /// A bad run directory or checkpoint.
    pub fn run(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Kind::Run { path: path.as_ref().into(), problem: problem.into() }.into()
    }

    /// A refused file operation; meant for `map_err(Error::io(path, "read"))`.
    pub fn io(path: impl AsRef<Path>, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Kind::Io { path: path.as_ref().into(), action, source }.into()
    }

    /// The process exit code: 2 when the arguments alone show the mistake, 1 for anything later.
    pub fn exit_code(&self) -> u8 {
        match *self.0 {
            Kind::Usage(_) => 2,
            _ => 1,
        }
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self(Box::new(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_files_are_escaped_and_cut() {
        let of = |text: &str| Error::usage(text).to_string();
        assert_eq!(of("a\u{1b}]0;b\u{7} ü"), "a\\u{1b}]0;b\\u{7} ü");
        let long = format!("the key `{}` is not known; remove it", "é".repeat(100_000));
        let shown = of(&long);
        assert_eq!(shown.chars().count(), 700 + 7 + 301);
        assert!(shown.starts_with("the key `é") && shown.ends_with("é` is not known; remove it"));
        for count in [999, 1000, 1001, 1002] {
            assert_eq!(of(&"x".repeat(count)).contains("[...]"), count > 1001, "{count}");
        }
    }
}
