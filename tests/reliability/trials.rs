//! What is tried on the program, and the table of it.

mod power_cut;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A line of the table: how often something was tried, and what went wrong.
#[derive(Default)]
struct Tally {
    tried: u64,
    failures: Vec<String>,
    /// Why nothing was tried.
    skipped: Option<String>,
}

impl Tally {
    fn check(&mut self, right: bool, problem: impl FnOnce() -> String) {
        self.tried += 1;
        if !right {
            self.failures.push(problem());
        }
    }

    fn skipped(why: &str) -> Self {
        Self { skipped: Some(why.into()), ..Self::default() }
    }
}

/// What is tried: its name, what must hold, and how; the number is how often chance is asked.
type Trial = (&'static str, &'static str, fn(&Place, u64) -> Tally);

const TRIALS: &[Trial] = &[
    ("kill train", "killed at any moment, it resumes to the bytes of a run that was not", kill_train),
    ("kill train --force", "killed at any moment, the old run or the new one is there", kill_force),
    ("kill sweep", "killed at any moment, it goes on to the same table", kill_sweep),
    ("kill power", "killed at any moment, it goes on to the same rates", kill_power),
    (
        "power cut",
        "simulated after any write, there is the old run or one that resumes to the same bytes",
        power_cut::power_cut,
    ),
    ("full disk", "one sentence, exit 1, and the last checkpoint can be used", full_disk),
    ("read-only folder", "one sentence, exit 1", read_only),
    ("folder removed", "one sentence, exit 1, and nothing is made again", folder_removed),
    ("two processes", "the second one is told, and the first one's run is right", two_processes),
    ("signals", "saved, exit 128 + n; a second one ends at once; resumed, the same bytes", signals),
    ("closed pipe", "silent", closed_pipe),
    ("stopped and continued", "the same bytes", stopped),
    ("same bits: train", "one result for each number of threads", same_training),
    ("same bits: GPU", "one result", same_on_gpu),
    ("same bits: tests", "one result on 1, 2 and 3 threads", same_tests),
    ("links out of a run", "nothing is written outside of it", links),
    ("odd entries in checkpoints", "they confuse nothing", odd_entries),
    ("strangers' folders", "--force removes only what elbo made", strangers),
    ("newer formats", "refused with what to do", newer_format),
    ("extreme numbers", "finite or refused, in one sentence", extreme_numbers),
    ("sizes beyond a GPU", "done in slices, or one sentence that names the limit", beyond_gpu),
    ("little memory", "one sentence, exit 1 or 2, no abort", little_memory),
];

pub(super) fn run() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let times = value("--times").and_then(|times| times.parse().ok()).unwrap_or(3);
    // A word alone chooses tests of other programs.
    let word = || arguments.get(1).filter(|word| !word.starts_with('-')).cloned();
    let only = value("--only").or_else(word).unwrap_or_default();
    println!("| what | must hold | tried | failures | seconds |\n|---|---|---|---|---|");
    let mut failed = false;
    for (name, holds, trial) in TRIALS.iter().filter(|(name, ..)| name.contains(&only)) {
        let start = Instant::now();
        let tally = trial(&Place::new(), times);
        let seconds = start.elapsed().as_secs_f64();
        match tally.skipped {
            Some(why) => println!("| {name} | {holds} | 0: {why} | | |"),
            None => {
                println!("| {name} | {holds} | {} | {} | {seconds:.0} |", tally.tried, tally.failures.len())
            }
        }
        tally.failures.iter().take(8).for_each(|failure| eprintln!("{name}: {failure}"));
        failed |= !tally.failures.is_empty();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A folder with a small data set.
struct Place {
    folder: tempfile::TempDir,
}

/// A small training of about a second: a checkpoint each epoch.
const TRAIN: [[&str; 2]; 6] = [
    ["--engine", "cpu"],
    ["--data", "images.npy"],
    ["--hidden", "16"],
    ["--latent", "2"],
    ["--epochs", "12"],
    ["--batch", "20"],
];

/// Longest wait for what a process is to do.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The arguments of a small training with others, which take the place of its own.
fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let architecture = more.contains(&"--architecture");
    let own = TRAIN.iter().filter(|[name, _]| !(more.contains(name) || architecture && *name == "--hidden"));
    [&["train", "--out", out][..], own.flatten().copied().collect::<Vec<_>>().as_slice(), more].concat()
}

/// Waits until something is there, for as long as the process runs: whether it is.
fn appeared(path: &Path, child: &mut Child) -> bool {
    let start = Instant::now();
    while !path.exists() {
        if matches!(child.try_wait(), Ok(Some(_))) || start.elapsed() > LONGEST_WAIT {
            return path.exists();
        }
        sleep(Duration::from_millis(1));
    }
    true
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder") };
        // 400 images of 6 x 6: a stripe in each.
        let pixels: Vec<u8> =
            (0..400 * 36).map(|i| if i / 36 % 6 == i % 6 { 200 + (i / 36 % 50) as u8 } else { 3 }).collect();
        place.write_npy("images.npy", "|u1", "(400, 6, 6)", &pixels);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_npy(&self, name: &str, element: &str, shape: &str, bytes: &[u8]) {
        let header = format!("{{'descr': '{element}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.bytes());
        file.extend(bytes);
        fs::write(self.path(name), file).expect("a file");
    }

    /// Numbers as a .npy file of d columns.
    fn write_table(&self, name: &str, columns: usize, values: &[f64]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.write_npy(name, "<f8", &format!("({}, {columns})", values.len() / columns), &bytes);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_elbo"));
        command.args(arguments).current_dir(self.folder.path()).env("RAYON_NUM_THREADS", "2");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("elbo")
    }

    fn train(&self, out: &str, more: &[&str]) -> Output {
        self.run(&train(out, more))
    }

    /// A copy of a finished run.
    fn copy(&self, run: &str, to: &str) {
        let _ = fs::remove_dir_all(self.path(to));
        let copied = Command::new("cp").arg("-r").args([self.path(run), self.path(to)]).status();
        assert!(copied.is_ok_and(|status| status.success()), "a run can be copied");
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("elbo")
    }

    /// Everything of a run that must be the same each time.
    fn bytes(&self, run: &str) -> Vec<Vec<u8>> {
        let checkpoints = self.path(run).join("checkpoints");
        let names = fs::read_dir(checkpoints).map(|entries| {
            let names = entries.flatten().map(|entry| entry.path());
            names
                .filter(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')))
                .collect()
        });
        let names: BTreeSet<PathBuf> = names.unwrap_or_default();
        let mut bytes: Vec<Vec<u8>> = names
            .iter()
            .flat_map(|step| ["model.safetensors", "optimizer.safetensors"].map(|file| step.join(file)))
            .chain([self.path(run).join("config.toml")])
            .map(|file| fs::read(file).unwrap_or_default())
            .collect();
        // Speeds are not the same.
        let log = fs::read_to_string(self.path(run).join("metrics.jsonl")).unwrap_or_default();
        let lines = log.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            line.as_object_mut().map(|line| line.remove("images_per_second"));
            line.to_string()
        });
        bytes.push(lines.collect::<Vec<_>>().join("\n").into_bytes());
        bytes
    }
}

/// Random times (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % most.max(1)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// How a process ended, and the last that it said.
fn ending(output: &Output) -> String {
    format!("{}: {}", output.status, said(output).lines().last().unwrap_or_default())
}

/// The lines of an output that begin with `error`: exactly one where something is refused.
fn is_refused(output: &Output, codes: &[i32]) -> bool {
    let errors = said(output).lines().filter(|line| line.starts_with("error")).count();
    errors == 1 && output.status.code().is_some_and(|code| codes.contains(&code))
}

/// Kills a process after some time, unless it ends before: whether it was killed.
fn killed(mut child: Child, after: Duration) -> bool {
    let end = Instant::now() + after;
    while Instant::now() < end {
        if let Ok(Some(_)) = child.try_wait() {
            return false;
        }
        sleep(Duration::from_millis(1));
    }
    let _ = child.kill();
    child.wait().is_ok_and(|status| status.signal() == Some(9))
}

/// The time that a call takes.
fn duration(mut call: impl FnMut() -> Output) -> (u64, Output) {
    let start = Instant::now();
    let output = call();
    (start.elapsed().as_millis() as u64, output)
}

/// Kills at random moments, each time a process that `next` starts, until there were enough kills and the last one ended
/// by itself; `ended` looks at what is there then.
fn kills(
    times: u64,
    longest: u64,
    tally: &mut Tally,
    mut next: impl FnMut() -> Child,
    mut ended: impl FnMut(&mut Tally),
) {
    let mut random = Random(times);
    while tally.tried < times {
        // Half of all kills early, where files are made.
        let most = if random.below(2) == 0 { longest / 4 } else { longest };
        if killed(next(), Duration::from_millis(random.below(most + 1))) {
            tally.tried += 1;
        } else {
            ended(tally);
        }
    }
}

fn kill_train(place: &Place, times: u64) -> Tally {
    let mut tally = Tally::default();
    let (longest, straight) = duration(|| place.train("straight", &[]));
    if !straight.status.success() {
        tally.check(false, || ending(&straight));
        return tally;
    }
    let expected = place.bytes("straight");
    let next = || {
        if place.path("run").exists() {
            place.start(&["resume", "run", "--json"])
        } else {
            place.start(&train("run", &["--json"]))
        }
    };
    let finished = |tally: &mut Tally| {
        let output = place.run(&["resume", "run"]);
        if !output.status.success() || place.bytes("run") != expected {
            tally.failures.push(format!("after kills, the run is another one: {}", ending(&output)));
        }
        let _ = fs::remove_dir_all(place.path("run"));
    };
    kills(times, longest, &mut tally, next, finished);
    if place.path("run").exists() {
        finished(&mut tally);
    }
    let left: Vec<_> = fs::read_dir(place.path("straight")).expect("a run").flatten().collect();
    let hidden = left.iter().filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).count();
    if hidden > 0 {
        tally.failures.push("temporaries are left in a finished run".into());
    }
    tally
}

fn kill_force(place: &Place, times: u64) -> Tally {
    let mut tally = Tally::default();
    let (longest, _) = duration(|| place.train("run", &["--epochs", "1"]));
    let mut random = Random(times);
    while tally.tried < times {
        let arguments = train("run", &["--force", "--epochs", "1"]);
        if !killed(place.start(&arguments), Duration::from_millis(random.below(longest + 1))) {
            continue;
        }
        let codes = place.run(&["encode", "run", "--engine", "cpu", "--out", "codes.npy", "--force"]);
        tally.check(codes.status.success(), || format!("no run after a kill: {}", ending(&codes)));
    }
    tally
}

fn kill_sweep(place: &Place, times: u64) -> Tally {
    let mut tally = Tally::default();
    let file = "[settings]\nengine = \"cpu\"\ndata = \"images.npy\"\nhidden = [16]\nlatent = 2\nepochs = 3\nbatch = 20\n\
                objective = \"beta-vae\"\n[grid]\nbeta = [1, 4]\n";
    fs::write(place.path("sweep.toml"), file).expect("a file");
    let sweep = |out| ["sweep", "sweep.toml", "--out", out];
    let (longest, straight) = duration(|| place.run(&sweep("straight")));
    if !straight.status.success() {
        tally.check(false, || ending(&straight));
        return tally;
    }
    let table = |out: &str| fs::read_to_string(place.path(out).join("table.csv")).unwrap_or_default();
    let expected = table("straight");
    let ended = |tally: &mut Tally| {
        // One that was not killed may have met a training that is still at work.
        let start = Instant::now();
        while !place.run(&sweep("killed")).status.success() && start.elapsed() < LONGEST_WAIT {
            sleep(Duration::from_millis(100));
        }
        if table("killed") != expected {
            tally.failures.push("another table".into());
        }
        let _ = fs::remove_dir_all(place.path("killed"));
    };
    // Its trainings are processes of their own: a kill of the sweep may leave one, which the next sweep meets.
    let next = || {
        let started = Instant::now();
        loop {
            let mut child = place.start(&sweep("killed"));
            sleep(Duration::from_millis(60));
            match child.try_wait() {
                Ok(Some(status)) if !status.success() && started.elapsed() < Duration::from_secs(20) => {}
                _ => return child,
            }
        }
    };
    kills(times.min(200), longest, &mut tally, next, ended);
    tally
}

fn kill_power(place: &Place, times: u64) -> Tally {
    let mut tally = Tally::default();
    let power = |out| {
        let fixed =
            ["power", "mean-shift", "--engine", "cpu", "--n", "20", "--m", "20", "--permutations", "19"];
        [&fixed[..], &["--parameters", "0,2", "--repetitions", "60", "--out", out]].concat()
    };
    let (longest, straight) = duration(|| place.run(&power("straight")));
    if !straight.status.success() {
        tally.check(false, || ending(&straight));
        return tally;
    }
    // Times are not the same.
    let rates = |out: &str| -> Vec<String> {
        let text = fs::read_to_string(place.path(out).join("power.csv")).unwrap_or_default();
        text.lines().map(|line| line.split(',').take(3).collect::<Vec<_>>().join(",")).collect()
    };
    let expected = rates("straight");
    let ended = |tally: &mut Tally| {
        if rates("killed") != expected {
            tally.failures.push(format!("other rates: {:?} for {expected:?}", rates("killed")));
        }
        let _ = fs::remove_dir_all(place.path("killed"));
    };
    kills(times, longest, &mut tally, || place.start(&power("killed")), ended);
    tally
}

/// A folder on a disk of some kilobytes, unmounted in the end; none where this process may not mount.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(folder: PathBuf, kilobytes: u64) -> Option<Self> {
        fs::create_dir_all(&folder).ok()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"]).arg(&folder);
        let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn full_disk(place: &Place, times: u64) -> Tally {
    let mut tally = Tally::default();
    let mut random = Random(times);
    let whole = {
        place.train("whole", &[]);
        let used = Command::new("du").args(["-sk", "whole"]).current_dir(place.folder.path()).output();
        let used =
            used.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        used.split_whitespace().next().and_then(|size| size.parse().ok()).unwrap_or(500)
    };
    for number in 0..times.min(100) {
        let name = format!("disk{number}");
        let Some(_disk) = SmallDisk::new(place.path(&name), 20 + random.below(whole)) else {
            return Tally::skipped("a small disk cannot be mounted here");
        };
        let run = format!("{name}/run");
        let output = place.train(&run, &[]);
        if output.status.success() {
            continue;
        }
        let usable = || {
            let loaded = place.run(&["encode", &run, "--engine", "cpu", "--out", "codes.npy", "--force"]);
            loaded.status.success() || !place.path(&run).exists()
        };
        let right = is_refused(&output, &[1]) && said(&output).contains("No space left") && usable();
        tally.check(right, || ending(&output));
    }
    tally
}

fn read_only(place: &Place, _: u64) -> Tally {
    let mut tally = Tally::default();
    let Some(disk) = SmallDisk::new(place.path("disk"), 4000) else {
        return Tally::skipped("a small disk cannot be mounted here");
    };
    place.train("disk/run", &["--epochs", "2"]);
    let _ = Command::new("mount").args(["-o", "remount,ro"]).arg(&disk.0).status();
    for arguments in [
        train("disk/other", &[]),
        train("disk/run", &["--force"]),
        vec!["resume", "disk/run", "--epochs", "4"],
        vec!["draw", "losses", "disk/run"],
        vec!["encode", "disk/run", "--out", "disk/z.npy"],
        vec!["page", "disk/run"],
    ] {
        let output = place.run(&arguments);
        tally.check(is_refused(&output, &[1]), || format!("{arguments:?}: {}", ending(&output)));
    }
    tally
}

fn folder_removed(place: &Place, times: u64) -> Tally {
    let mut tally = Tally::default();
    for number in 0..times.min(20) {
        let mut child = place.start(&train("run", &["--epochs", "2000"]));
        appeared(&place.path("run/checkpoints"), &mut child);
        sleep(Duration::from_millis(30 * number));
        // Files that appear while a folder is being removed keep it.
        while fs::remove_dir_all(place.path("run")).is_err() && place.path("run").exists() {}
        let output = child.wait_with_output().expect("its end");
        let right = is_refused(&output, &[1]) && !place.path("run").exists();
        tally.check(right, || ending(&output));
        let _ = fs::remove_dir_all(place.path("run"));
    }
    tally
}

fn two_processes(place: &Place, times: u64) -> Tally {
    let mut tally = Tally::default();
    place.train("straight", &["--epochs", "60"]);
    let expected = place.bytes("straight");
    for _ in 0..times.clamp(1, 5) {
        let mut first = place.start(&train("run", &["--epochs", "60"]));
        appeared(&place.path("run/config.toml"), &mut first);
        for arguments in [vec!["resume", "run"], train("run", &["--force"]), train("run", &[])] {
            let second = place.run(&arguments);
            let told = is_refused(&second, &[1, 2])
                && ["another process", "exists already"].iter().any(|t| said(&second).contains(t));
            tally.check(told, || format!("{arguments:?}: {:?} {}", second.status, said(&second)));
        }
        let output = first.wait_with_output().expect("its end");
        tally.check(output.status.success() && place.bytes("run") == expected, || ending(&output));
        let _ = fs::remove_dir_all(place.path("run"));
    }
    // Both at once, with nothing there before: one makes the run.
    for _ in 0..times.min(20) {
        let arguments = train("both", &["--epochs", "2"]);
        let outputs = [place.start(&arguments), place.start(&arguments)]
            .map(|child| child.wait_with_output().expect("its end"));
        let done = outputs.iter().filter(|output| output.status.success()).count();
        let reasons = ["exists already", "another process"];
        let is_told = |output: &&Output| {
            is_refused(output, &[1]) && reasons.iter().any(|reason| said(output).contains(reason))
        };
        let told = outputs.iter().filter(is_told).count();
        let right = [done, told] == [1, 1] && place.run(&["resume", "both"]).status.success();
        tally.check(right, || outputs.each_ref().map(said).join(" and "));
        let _ = fs::remove_dir_all(place.path("both"));
    }
    tally
}

fn signal(child: &Child, name: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
}

/// Whether this process, and so those that it starts, ignores a signal.
fn is_ignored(number: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask =
        status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.unwrap_or(0) >> (number - 1) & 1 == 1
}

fn signals(place: &Place, times: u64) -> Tally {
    let mut tally = Tally::default();
    place.train("straight", &[]);
    let expected = place.bytes("straight");
    for number in 0..times.min(50) {
        for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
            // Shells let some be ignored by what they start in the background, and so does what that starts.
            if is_ignored(code - 128) {
                continue;
            }
            let mut child = place.start(&train("run", &["--json"]));
            appeared(&place.path("run/checkpoints"), &mut child);
            sleep(Duration::from_millis(5 + 7 * number));
            signal(&child, name);
            let output = child.wait_with_output().expect("its end");
            // It may have come to its end before.
            let ended = output.status.code() == Some(code) || output.status.success();
            let resumed = place.run(&["resume", "run"]);
            // The log has a line more, of the steps until the signal.
            let of_run = place.bytes("run");
            let files = expected.len() - 1;
            let right = ended && resumed.status.success() && of_run[..files] == expected[..files];
            tally.check(right, || format!("{name}: {}", ending(&output)));
            let _ = fs::remove_dir_all(place.path("run"));
        }
        let mut child = place.start(&train("run", &["--epochs", "100000"]));
        appeared(&place.path("run/checkpoints"), &mut child);
        sleep(Duration::from_millis(50));
        signal(&child, "TERM");
        signal(&child, "TERM");
        let start = Instant::now();
        let output = child.wait_with_output().expect("its end");
        let right = output.status.code() == Some(143) && start.elapsed() < Duration::from_secs(2);
        tally.check(right, || format!("two signals: {}", ending(&output)));
        let _ = fs::remove_dir_all(place.path("run"));
    }
    tally
}

fn closed_pipe(place: &Place, times: u64) -> Tally {
    let mut tally = Tally::default();
    for _ in 0..times.min(20) {
        for arguments in [
            vec!["compare", "images.npy", "images.npy", "--engine", "cpu"],
            vec!["program", "--engine", "cpu"],
            vec!["--help"],
        ] {
            let mut child = place.start(&arguments);
            drop(child.stdout.take());
            let output = child.wait_with_output().expect("its end");
            let silent = !said(&output).contains("error") && !said(&output).contains("panicked");
            tally.check(output.status.success() && silent, || format!("{arguments:?}: {}", ending(&output)));
        }
    }
    tally
}

fn stopped(place: &Place, times: u64) -> Tally {
    let mut tally = Tally::default();
    place.train("straight", &[]);
    let expected = place.bytes("straight");
    for number in 0..times.min(20) {
        let child = place.start(&train("run", &[]));
        for _ in 0..4 {
            sleep(Duration::from_millis(10 + 13 * number));
            signal(&child, "STOP");
            sleep(Duration::from_millis(40));
            signal(&child, "CONT");
        }
        let output = child.wait_with_output().expect("its end");
        tally.check(output.status.success() && place.bytes("run") == expected, || ending(&output));
        let _ = fs::remove_dir_all(place.path("run"));
    }
    tally
}

fn same_training(place: &Place, times: u64) -> Tally {
    let mut tally = Tally::default();
    for more in [
        &["--epochs", "3"][..],
        &["--epochs", "3", "--architecture", "conv:4x4/2,linear:16"],
        &["--epochs", "3", "--objective", "mmd-vae"],
    ] {
        let mut firsts = [const { None }; 3];
        for number in 0..times.min(100) {
            let which = (number % 3) as usize;
            let threads = (1 + which).to_string();
            let output = place.command(&train("run", more)).env("RAYON_NUM_THREADS", &threads).output();
            let output = output.expect("elbo");
            let bytes = place.bytes("run");
            let same =
                output.status.success() && *firsts[which].get_or_insert_with(|| bytes.clone()) == bytes;
            tally.check(same, || format!("{more:?}, {threads} threads: {}", ending(&output)));
            let _ = fs::remove_dir_all(place.path("run"));
        }
    }
    tally
}

fn same_on_gpu(place: &Place, times: u64) -> Tally {
    let mut tally = Tally::default();
    let more = ["--engine", "gpu", "--epochs", "1", "--json"];
    let mut first = None;
    for _ in 0..times.min(20) {
        let output = place.train("run", &more);
        if said(&output).contains("no GPU adapter") {
            return Tally::skipped("there is no GPU adapter");
        }
        let bytes = place.bytes("run");
        let same = output.status.success() && *first.get_or_insert_with(|| bytes.clone()) == bytes;
        tally.check(same, || ending(&output));
        let _ = fs::remove_dir_all(place.path("run"));
    }
    tally
}

/// Leaves out how long it took, and on how many threads.
fn of_any_run(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            ["adapter", "pairs_per_second", "seconds"].iter().for_each(|name| drop(fields.remove(*name)));
            fields.values_mut().for_each(of_any_run);
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(of_any_run),
        _ => {}
    }
}

fn same_tests(place: &Place, times: u64) -> Tally {
    let mut tally = Tally::default();
    let mut random = Random(7);
    let mut numbers = |count: usize| -> Vec<f64> {
        (0..count).map(|_| random.below(1 << 20) as f64 / f64::from(1 << 20)).collect()
    };
    place.write_table("x.npy", 3, &numbers(900));
    place.write_table("y.npy", 3, &numbers(900));
    for arguments in [
        &["compare", "x.npy", "y.npy"][..],
        &["compare", "x.npy", "y.npy", "--aggregate", "agg"],
        &["compare", "x.npy", "y.npy", "--features", "50"],
        &["compare", "x.npy", "y.npy", "--null", "binned"],
        &["independence", "x.npy", "y.npy"],
        &["fit", "x.npy", "--fit", "gaussian:1"],
        &["closer", "x.npy", "y.npy", "x.npy"],
    ] {
        let draws: &[&str] = if arguments[0] == "closer" { &[] } else { &["--permutations", "99"] };
        let mut first = None;
        for number in 0..times.min(100) {
            let threads = (1 + number % 3).to_string();
            let output = place.command(&[arguments, &["--engine", "cpu", "--json"], draws].concat());
            let output = { output }.env("RAYON_NUM_THREADS", &threads).output().expect("elbo");
            let mut found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            of_any_run(&mut found);
            let same = output.status.code().is_some()
                && found.is_object()
                && *first.get_or_insert_with(|| found.clone()) == found;
            tally.check(same, || format!("{arguments:?}, {threads} threads: {}", ending(&output)));
        }
    }
    tally
}

fn links(place: &Place, _: u64) -> Tally {
    let mut tally = Tally::default();
    fs::create_dir(place.path("outside")).expect("a folder");
    place.train("original", &["--epochs", "2"]);
    for (name, is_folder) in [
        ("pictures/samples.png", false),
        ("pictures", true),
        ("checkpoints", true),
        ("metrics.jsonl", false),
        ("config.toml", false),
        ("elbo-run.json", false),
        ("page.html", false),
    ] {
        for command in [
            &["resume", "run", "--epochs", "3"][..],
            &["draw", "all", "run"],
            &["evaluate", "run"],
            &["page", "run"],
        ] {
            place.copy("original", "run");
            let (inside, outside) = (place.path("run").join(name), place.path("outside/victim"));
            let _ = (fs::remove_dir_all(&outside), fs::remove_file(&outside));
            if is_folder {
                let copied = Command::new("cp").arg("-r").arg(&inside).arg(&outside).status();
                copied.expect("a copy");
                let _ = fs::remove_dir_all(&inside);
            } else {
                let contents = fs::read(&inside).unwrap_or_default();
                fs::write(&outside, contents).expect("a file");
                let _ = fs::remove_file(&inside);
            }
            symlink(&outside, &inside).expect("a link");
            let before = listing(&outside);
            let output = place.run(&[command, &["--engine", "cpu"]].concat());
            tally.check(listing(&outside) == before, || format!("{name}, {command:?}: {}", ending(&output)));
            let _ = fs::remove_dir_all(place.path("run"));
        }
    }
    tally
}

/// All files below a path with their bytes.
fn listing(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(path) else {
        return vec![(path.into(), fs::read(path).unwrap_or_default())];
    };
    let paths: BTreeSet<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.iter().flat_map(|path| listing(path)).collect()
}

fn odd_entries(place: &Place, _: u64) -> Tally {
    let mut tally = Tally::default();
    place.train("straight", &["--epochs", "4"]);
    let expected = place.bytes("straight");
    place.train("original", &["--epochs", "2"]);
    let names = ["999", "007", "+2", "1e3", "abc", ".tmp", "18446744073709551616", "-1"];
    for name in names {
        for is_folder in [true, false] {
            place.copy("original", "run");
            let odd = place.path("run/checkpoints").join(name);
            if is_folder { fs::create_dir(&odd) } else { fs::write(&odd, "x") }.expect("an entry");
            let outputs = [
                place.run(&["draw", "losses", "run", "--engine", "cpu"]),
                place.run(&["evaluate", "run", "--engine", "cpu"]),
                place.run(&["resume", "run", "--epochs", "4"]),
            ];
            for output in &outputs {
                tally.check(output.status.success(), || format!("{name}: {}", ending(output)));
            }
            let there = odd.exists();
            let _ = (fs::remove_dir(&odd), fs::remove_file(&odd));
            tally.check(there && place.bytes("run")[..4] == expected[..4], || format!("{name}: another run"));
            let _ = fs::remove_dir_all(place.path("run"));
        }
    }
    tally
}

fn strangers(place: &Place, _: u64) -> Tally {
    let mut tally = Tally::default();
    let theirs = place.path("theirs");
    fs::create_dir_all(theirs.join("checkpoints/3")).expect("a folder");
    for file in ["config.toml", "thesis.txt", "checkpoints/3/model.safetensors"] {
        fs::write(theirs.join(file), "mine").expect("a file");
    }
    let before = listing(&theirs);
    let output = place.train("theirs", &["--force", "--epochs", "1"]);
    tally.check(is_refused(&output, &[1]) && listing(&theirs) == before, || ending(&output));
    for file in ["notes.txt", "pictures/mine.png", "checkpoints/notes.txt"] {
        place.train("run", &["--epochs", "1"]);
        fs::write(place.path("run").join(file), "mine").expect("a file");
        let output = place.train("run", &["--force", "--epochs", "1"]);
        let kept = place.path("run.old-1");
        let right = output.status.success()
            && said(&output).contains("run.old-1")
            && fs::read(kept.join(file)).is_ok_and(|text| text == b"mine")
            && listing(&kept).len() == 1;
        tally.check(right, || format!("{file}: {}", ending(&output)));
        let _ = (fs::remove_dir_all(place.path("run")), fs::remove_dir_all(kept));
    }
    let output = place.train(".", &["--force"]);
    tally.check(is_refused(&output, &[1, 2]), || ending(&output));
    tally
}

fn newer_format(place: &Place, _: u64) -> Tally {
    let mut tally = Tally::default();
    place.train("run", &["--epochs", "1"]);
    fs::write(place.path("run/elbo-run.json"), "{\"format\":99,\"elbo\":\"7.0.0\"}").expect("a file");
    let again = train("run", &["--force"]);
    for arguments in [&["resume", "run"][..], &["draw", "losses", "run"], &["evaluate", "run"], &again] {
        let output = place.run(arguments);
        let told = said(&output).contains("format 99") && said(&output).contains("use a newer elbo");
        tally.check(is_refused(&output, &[1]) && told, || format!("{arguments:?}: {}", ending(&output)));
    }
    tally
}

fn extreme_numbers(place: &Place, _: u64) -> Tally {
    let mut tally = Tally::default();
    let images = |name: &str, shape: &str, count: usize, value: u8| {
        place.write_npy(name, "|u1", shape, &vec![value; count])
    };
    images("black.npy", "(40, 4, 4)", 640, 0);
    images("white.npy", "(40, 4, 4)", 640, 255);
    images("pixel.npy", "(40, 1, 1)", 40, 9);
    images("one.npy", "(1, 4, 4)", 16, 9);
    images("two.npy", "(2, 4, 4)", 32, 9);
    let trainings: &[&[&str]] = &[
        &["--learning-rate", "1e3"],
        &["--learning-rate", "1e30"],
        &["--learning-rate", "nan"],
        &["--sigma", "1e-20"],
        &["--sigma", "1e20"],
        &["--sigma", "1e-10"],
        &["--sigma", "1e10"],
        &["--objective", "beta-vae", "--beta", "1e30"],
        &["--objective", "beta-vae", "--beta", "1e300"],
        &["--objective", "mmd-vae", "--mmd-bandwidth", "1e-30"],
        &["--validation", "1e300"],
        &["--latent", "500"],
        &["--batch", "360"],
        &["--batch", "1"],
        &["--data", "black.npy"],
        &["--data", "white.npy"],
        &["--data", "black.npy", "--sigma", "optimal"],
        &["--data", "black.npy", "--likelihood", "bernoulli"],
        &["--data", "white.npy", "--likelihood", "bernoulli"],
        &["--data", "pixel.npy"],
        &["--data", "one.npy", "--batch", "1"],
        &["--data", "two.npy", "--batch", "1"],
    ];
    for more in trainings {
        // A later value of an option would be a second one.
        let given = |name: &&str| more.contains(name);
        let mut arguments = vec!["train", "--engine", "cpu", "--json", "--out", "run"];
        for pair in [
            ["--data", "images.npy"],
            ["--hidden", "16"],
            ["--latent", "2"],
            ["--epochs", "1"],
            ["--batch", "20"],
        ] {
            if !given(&pair[0]) {
                arguments.extend(pair);
            }
        }
        arguments.extend(*more);
        let output = place.run(&arguments);
        tally.check(finite(&output) || is_refused(&output, &[1, 2]), || {
            format!("{more:?}: {}", ending(&output))
        });
        let _ = fs::remove_dir_all(place.path("run"));
    }
    let mut random = Random(3);
    let mut numbers = |count: usize, scale: f64| -> Vec<f64> {
        (0..count).map(|_| scale * (random.below(1 << 20) as f64 / f64::from(1 << 20) - 0.5)).collect()
    };
    for (rows, columns, scale) in [
        (1, 2, 1.0),
        (2, 2, 1.0),
        (3, 1, 1.0),
        (5, 10_000, 1.0),
        (30, 2, 1e-310),
        (30, 2, 1e-30),
        (30, 2, 1e38),
        (30, 2, 1e300),
        (30, 2, 0.0),
    ] {
        place.write_table("x.npy", columns, &numbers(rows * columns, scale));
        place.write_table("y.npy", columns, &numbers(rows * columns, scale));
        for arguments in [
            &["compare", "x.npy", "y.npy"][..],
            &["compare", "x.npy", "y.npy", "--kernel", "energy"],
            &["compare", "x.npy", "y.npy", "--aggregate", "agg"],
            &["compare", "x.npy", "y.npy", "--features", "20"],
            &["independence", "x.npy", "y.npy"],
            &["closer", "x.npy", "y.npy", "x.npy"],
            &["fit", "x.npy", "--fit", "gaussian:1"],
            &["bandwidth", "x.npy"],
        ] {
            let mut all = [arguments, &["--engine", "cpu", "--json"]].concat();
            if !["bandwidth", "closer"].contains(&arguments[0]) {
                all.extend(["--permutations", "19"]);
            }
            let output = place.run(&all);
            tally.check(finite(&output) || is_refused(&output, &[1, 2]), || {
                format!(
                    "{arguments:?} of {rows} x {columns} times {scale}: {:?} {}",
                    output.status,
                    said(&output)
                )
            });
        }
    }
    tally
}

/// Fields that may be missing from a result: there is no honest number for them.
const MAY_BE_NULL: &[&str] = &[
    "best",
    "better",
    "bin",
    "blocks",
    "closer",
    "confidence_interval",
    "distance_correlation",
    "host_microseconds_per_step",
    "images_per_second",
    "mmd",
    "mutual_information",
    "permutations",
    "relative",
    "standard_error",
    "submit_microseconds_per_step",
    "variance",
];

/// Whether a result is there, without a number that is none, which JSON has as null.
fn finite(output: &Output) -> bool {
    fn nulls(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::Object(fields) => fields.iter().any(|(name, value)| {
                value.is_null() && !MAY_BE_NULL.contains(&&name[..]) || !value.is_null() && nulls(value)
            }),
            serde_json::Value::Array(values) => values.iter().any(nulls),
            value => value.is_null(),
        }
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let result: Option<serde_json::Value> =
        text.lines().last().and_then(|line| serde_json::from_str(line).ok());
    output.status.success() && result.is_some_and(|result| !nulls(&result))
}

/// With at most 6 GB of memory, so that what a GPU of software takes is bounded too.
fn beyond_gpu(place: &Place, times: u64) -> Tally {
    let mut tally = Tally::default();
    let run = |arguments: &[&str]| {
        let limited = ["-c", "ulimit -v 6000000; exec timeout 300 \"$@\"", "sh", env!("CARGO_BIN_EXE_elbo")];
        let mut command = Command::new("sh");
        command.args(limited).args(arguments).args(["--engine", "gpu"]).current_dir(place.folder.path());
        let output = command.output().expect("elbo");
        let _ = fs::remove_dir_all(place.path("run"));
        output
    };
    let train = ["train", "--latent", "2", "--steps", "1", "--json", "--out", "run", "--data"];
    let small = run(&[&train[..], &["images.npy", "--batch", "20", "--hidden", "16"]].concat());
    if !small.status.success() {
        return Tally::skipped(&format!("no GPU that works with 6 GB of memory ({})", ending(&small)));
    }
    let mut cases = vec![
        [&train[..], &["images.npy", "--batch", "20", "--hidden", "20000"]].concat(),
        [&train[..], &["images.npy", "--batch", "20", "--hidden", "5000000"]].concat(),
    ];
    if times >= 10 {
        place.write_npy("many.npy", "|u1", "(120000, 6, 6)", &vec![7; 120_000 * 36]);
        place.write_table("wide.npy", 100_000, &vec![0.5; 400 * 100_000]);
        let compare = ["compare", "wide.npy", "wide.npy", "--bandwidth", "1", "--permutations"];
        cases.extend([
            [&train[..], &["images.npy", "--batch", "20", "--hidden", "70000"]].concat(),
            [&train[..], &["images.npy", "--batch", "300", "--hidden", "20000,20000"]].concat(),
            [&train[..], &["many.npy", "--batch", "100000", "--hidden", "400"]].concat(),
            [&compare[..], &["19"]].concat(),
            [&compare[..], &["999999"]].concat(),
        ]);
    }
    for arguments in cases {
        let start = Instant::now();
        let output = run(&arguments);
        tally.check(output.status.success() || is_refused(&output, &[1, 2]), || {
            format!("{arguments:?}: {:?} after {:?}: {}", output.status, start.elapsed(), ending(&output))
        });
    }
    tally
}

fn little_memory(place: &Place, _: u64) -> Tally {
    let mut tally = Tally::default();
    // Files that are long for the system, but not on the disk.
    let sparse = |name: &str, header: &[u8], length: u64| {
        fs::write(place.path(name), header).expect("a file");
        let file = fs::File::options().write(true).open(place.path(name));
        file.and_then(|file| file.set_len(length)).expect("a sparse file");
    };
    let npy = |element: &str, shape: &str, fortran: bool| {
        let fortran = if fortran { "True" } else { "False" };
        let header = format!("{{'descr': '{element}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat()
    };
    let lie = npy("|u1", "(2, 80000, 80000)", false);
    fs::write(place.path("lie.npy"), &lie).expect("a file");
    let header = npy("<f8", "(137438953472,)", false);
    sparse("terabyte.npy", &header, header.len() as u64 + (1 << 40));
    let header = npy("|u1", "(2000000, 1000)", false);
    sparse("large.npy", &header, header.len() as u64 + 2_000_000_000);
    let header = npy("|u1", "(2000000, 1000)", true);
    sparse("fortran.npy", &header, header.len() as u64 + 2_000_000_000);
    sparse("line.csv", b"1,2\n3,", 3_000_000_000);
    sparse("settings.toml", b"latent = 2\n", 100 << 20);
    sparse("model.safetensors", &u64::MAX.to_le_bytes(), 1 << 40);
    sparse("idx3-ubyte", &[0, 0, 8, 3, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF], 1 << 40);
    let train = ["train", "--engine", "cpu", "--hidden", "16", "--steps", "1", "--out", "run", "--data"];
    for arguments in [
        [&train[..], &["lie.npy"]].concat(),
        [&train[..], &["terabyte.npy"]].concat(),
        [&train[..], &["fortran.npy"]].concat(),
        [&train[..], &["idx3-ubyte"]].concat(),
        [&train[..], &["line.csv"]].concat(),
        vec!["train", "--config", "settings.toml"],
        vec!["train", "--engine", "cpu", "--data", "images.npy", "--hidden", "60000,60000", "--out", "run"],
        vec![
            "train",
            "--engine",
            "cpu",
            "--data",
            "images.npy",
            "--hidden",
            "60000",
            "--latent",
            "60000",
            "--out",
            "run",
        ],
        vec!["compare", "terabyte.npy", "terabyte.npy", "--engine", "cpu"],
        vec!["compare", "large.npy", "large.npy", "--engine", "cpu"],
        vec!["compare", "fortran.npy", "fortran.npy", "--engine", "cpu"],
        vec!["compare", "line.csv", "line.csv", "--engine", "cpu"],
        vec!["compare", "idx3-ubyte", "idx3-ubyte", "--engine", "cpu"],
        vec!["encode", "model.safetensors", "--data", "images.npy", "--out", "z.npy", "--engine", "cpu"],
    ] {
        let start = Instant::now();
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -v 4000000; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_elbo")])
            .args(&arguments);
        let output = command.current_dir(place.folder.path()).output().expect("elbo");
        let right = is_refused(&output, &[1, 2]) && start.elapsed() < Duration::from_secs(20);
        tally.check(right, || {
            format!("{arguments:?}: {:?} after {:?}: {}", output.status, start.elapsed(), said(&output))
        });
        let _ = fs::remove_dir_all(place.path("run"));
    }
    tally
}
