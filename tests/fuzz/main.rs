//! Hostile files: every reader gets files that are nearly right, and answers with a value or one sentence.
//!
//! ```text
//! cargo test --test fuzz                                    a second of each reader
//! cargo test --test fuzz -- --inputs 500000                 half a million inputs each, with a table at the end
//! cargo test --test fuzz -- --reader npy --seconds 60       one reader for a minute
//!
//! supervisor --starts, with 4 GB of memory--> worker: seed + number -> input -> a file -> reader -> tells how it went
//!     `--it panicked, aborted, or was silent for 5 s: the input is kept in target/fuzz, the next worker goes on behind it
//! ```
//!
//! Inputs are pure functions of reader, seed and number. Some are right, and the numbers in them known: those must come
//! back. The others are damaged files whose lengths and checksums were made right again, so that most get past the header.

mod mutation;
mod readers;

use mutation::Random;
use readers::{READERS, Reader, Verdict};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Memory of a worker, in KiB: what allocators refuse, an abort would follow from.
const MEMORY: usize = 4_000_000;

/// Longest silence. Workers speak ten times a second, so that it is the time of one input.
const SILENCE: Duration = Duration::from_secs(5);

/// Longest message of an error, in bytes.
const LONGEST_MESSAGE: usize = 10_000;

/// What is asked for on the command line.
struct Options {
    reader: Option<String>,
    /// Inputs of each reader.
    inputs: u64,
    /// Seconds of each reader.
    seconds: f64,
    seed: u64,
    /// The worker's first input, and where it writes: given by the supervisor.
    worker: Option<(u64, PathBuf)>,
}

impl Options {
    fn parse() -> Result<Self, String> {
        let mut options =
            Self { reader: None, inputs: u64::MAX, seconds: f64::INFINITY, seed: 0, worker: None };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
            fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
                text.parse().map_err(|_| format!("{name} {text}: expected a number"))
            }
            match &name[..] {
                // A word alone chooses tests of other programs, whose names these are not.
                name if !name.starts_with('-') => options.reader = Some(name.to_owned()),
                "--reader" => options.reader = Some(value()?),
                "--inputs" => options.inputs = number(&name, &value()?)?,
                "--seconds" => options.seconds = number(&name, &value()?)?,
                "--seed" => options.seed = number(&name, &value()?)?,
                "--worker" => options.worker = Some((number(&name, &value()?)?, value()?.into())),
                // Options of other test programs.
                _ => {}
            }
        }
        if options.inputs == u64::MAX && options.seconds == f64::INFINITY {
            options.seconds = 1.0;
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("fuzz: {problem}");
            return ExitCode::from(2);
        }
    };
    let wanted = |reader: &&Reader| options.reader.as_ref().is_none_or(|name| name == reader.name);
    let readers: Vec<&Reader> = READERS.iter().filter(wanted).collect();
    if readers.is_empty() {
        let names: Vec<&str> = READERS.iter().map(|reader| reader.name).collect();
        eprintln!("fuzz: no reader of that name, nothing to do; there are {}", names.join(", "));
        return ExitCode::SUCCESS;
    }
    if let Some((first, place)) = &options.worker {
        work(readers[0], &options, *first, place);
        return ExitCode::SUCCESS;
    }
    println!("| reader | inputs | past the header | read | failures | seconds |\n|---|---|---|---|---|---|");
    let mut failures = 0;
    for reader in readers {
        let start = Instant::now();
        let tally = supervise(reader, &options);
        let percent = |count: u64| format!("{:.0} %", 100.0 * count as f64 / tally.inputs.max(1) as f64);
        println!(
            "| {} | {} | {} | {} | {} | {:.0} |",
            reader.name,
            tally.inputs,
            percent(tally.passed),
            percent(tally.read),
            tally.failures,
            start.elapsed().as_secs_f64()
        );
        failures += tally.failures;
    }
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How often what happened.
#[derive(Clone, Copy, Default)]
struct Tally {
    inputs: u64,
    passed: u64,
    read: u64,
    failures: u64,
}

/// Runs workers until there were enough inputs.
fn supervise(reader: &Reader, options: &Options) -> Tally {
    let mut tally = Tally::default();
    let deadline = Duration::try_from_secs_f64(options.seconds).ok().map(|seconds| Instant::now() + seconds);
    let mut first = 0;
    let inputs = options.inputs.min(reader.most);
    while first < inputs && deadline.is_none_or(|deadline| Instant::now() < deadline) {
        let folder = tempfile::tempdir_in(memory()).expect("a folder for inputs");
        let program = std::env::current_exe().expect("this program");
        let mut command = if cfg!(unix) { Command::new("sh") } else { Command::new(&program) };
        if cfg!(unix) {
            command.args(["-c", &format!("ulimit -v {MEMORY} 2>/dev/null; exec \"$@\""), "sh"]).arg(&program);
        }
        let mut worker = command
            .args(["--reader", reader.name, "--seed", &options.seed.to_string()])
            .args(["--inputs", &inputs.to_string()])
            .args(["--worker", &first.to_string()])
            .arg(folder.path())
            .env("XDG_CACHE_HOME", folder.path())
            .env("RAYON_NUM_THREADS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a worker");
        let lines = BufReader::new(worker.stdout.take().expect("its output")).lines();
        let (tell, told) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let before = tally;
        // A line is how many inputs there were, how many passed and were read, and perhaps what went wrong with the last.
        let end = loop {
            match told.recv_timeout(SILENCE) {
                Ok(line) => {
                    let mut fields = line.splitn(4, ' ');
                    let mut count = || fields.next().and_then(|field| field.parse().ok()).unwrap_or(0);
                    let (inputs, passed, read): (u64, u64, u64) = (count(), count(), count());
                    first = inputs;
                    tally.passed = before.passed + passed;
                    tally.read = before.read + read;
                    if let Some(problem) = fields.next() {
                        tally.failures += 1;
                        report(reader, options.seed, first - 1, problem, None);
                    }
                    if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                        let _ = worker.kill();
                        break None;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let _ = worker.kill();
                    break Some("no answer for 5 s".to_owned());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = worker.wait().expect("its end");
                    break (!status.success()).then(|| format!("it ended with {status}"));
                }
            }
        };
        let _ = worker.wait();
        if let Some(problem) = end {
            if !folder.path().join("number").exists() {
                eprintln!("{}: a worker failed before its first input: {problem}", reader.name);
                tally.failures += 1;
                break;
            }
            // The number of the input that it was at.
            let at = fs::read_to_string(folder.path().join("number")).ok().and_then(|text| text.parse().ok());
            let at = at.unwrap_or(first);
            tally.failures += 1;
            report(reader, options.seed, at, &problem, Some(folder.path()));
            first = at + 1;
        }
        tally.inputs = first;
    }
    tally
}

/// Where files are in memory, if there is such a place.
fn memory() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared.into() } else { std::env::temp_dir() }
}

/// Where the input of a failure is kept.
fn kept(reader: &Reader, seed: u64, number: u64) -> PathBuf {
    let name = format!("{}-{seed}-{number}", reader.name.replace([' ', ','], ""));
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(name)
}

fn keep(reader: &Reader, seed: u64, number: u64, place: &Path) {
    let (input, kept) = (place.join(reader.file), kept(reader, seed, number));
    let _ = fs::create_dir_all(&kept);
    let _ = fs::copy(&input, kept.join(input.file_name().unwrap_or_default()));
}

/// Tells of a failure; keeps its input, if the worker is gone and did not.
fn report(reader: &Reader, seed: u64, number: u64, problem: &str, place: Option<&Path>) {
    if let Some(place) = place {
        keep(reader, seed, number, place);
    }
    eprintln!(
        "{} {number} (seed {seed}): {problem}\n    {}",
        reader.name,
        kept(reader, seed, number).display()
    );
}

/// Tries inputs from `first` on, and tells how that goes.
fn work(reader: &Reader, options: &Options, first: u64, place: &Path) {
    std::panic::set_hook(Box::new(|_| {}));
    let seeds = (reader.seeds)(place);
    let (mut passed, mut read) = (0, 0);
    let mut told = Instant::now();
    let output = std::io::stdout();
    let input = place.join(reader.file);
    if let Some(folder) = input.parent() {
        fs::create_dir_all(folder).expect("a folder for the input");
    }
    for number in first..options.inputs {
        // For the supervisor, should this be the last one.
        fs::write(place.join("number"), number.to_string()).expect("its number");
        let mut random = Random::new(options.seed, number);
        let (bytes, expected) = (reader.input)(&mut random, &seeds, number);
        fs::write(&input, &bytes).expect("the input");
        let result = catch_unwind(AssertUnwindSafe(|| (reader.read)(place, &input)));
        let problem = match result {
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                Some(format!("panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?")))
            }
            Ok(Verdict::Wrong(problem)) => Some(problem),
            Ok(Verdict::Read(values)) => {
                passed += 1;
                read += 1;
                expected.filter(|expected| !same(expected, &values)).map(|_| "other numbers came back".into())
            }
            Ok(Verdict::Refused(message)) => {
                passed += u64::from(!reader.of_header.iter().any(|text| message.contains(text)));
                let wrong = wrong_message(&message);
                wrong.or_else(|| expected.map(|_| format!("a right file was refused: {message}")))
            }
        };
        if problem.is_some() {
            keep(reader, options.seed, number, place);
        }
        if problem.is_some() || told.elapsed() > Duration::from_millis(100) || number + 1 == options.inputs {
            told = Instant::now();
            let problem = problem.map(|problem| format!(" {}", problem.escape_debug()));
            let mut output = output.lock();
            let line = format!("{} {passed} {read}{}\n", number + 1, problem.unwrap_or_default());
            if output.write_all(line.as_bytes()).and_then(|()| output.flush()).is_err() {
                return;
            }
        }
    }
}

fn same(expected: &[f64], values: &[f64]) -> bool {
    expected.len() == values.len() && expected.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// What is wrong with the message of an error, if anything is.
fn wrong_message(message: &str) -> Option<String> {
    if message.chars().any(char::is_control) {
        Some(format!("a message with control characters: {message}"))
    } else if message.len() > LONGEST_MESSAGE {
        Some(format!(
            "a message of {} bytes: {}",
            message.len(),
            &message.chars().take(200).collect::<String>()
        ))
    } else {
        None
    }
}
