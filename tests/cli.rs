//! The program as a user meets it: exit codes, messages, files, interruptions.
//!
//! Everything runs on the CPU with 64 training images of 6 x 5 pixels, in a fresh directory for each test.

use assert_cmd::Command;
use flate2::{Compression, write::GzEncoder};
use ndarray::{Array1, Array2, Array3};
use ndarray_npy::{NpzWriter, write_npy};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

/// The program under test.
const ELBO: &str = env!("CARGO_BIN_EXE_elbo");

/// Eight steps an epoch, and no picture of a latent plane, which takes longest.
const SMALL: &str = "--data data --engine cpu --hidden 8 --latent 3 --batch 8";

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";

/// A fresh current directory with images in `data`.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary directory"));
        place.write_data("data", 6, 5);
        place
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative)
    }

    fn read(&self, relative: &str) -> Vec<u8> {
        fs::read(self.path(relative)).unwrap_or_else(|e| panic!("{relative}: {e}"))
    }

    fn text(&self, relative: &str) -> String {
        String::from_utf8(self.read(relative)).expect("UTF-8")
    }

    fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(relative), bytes).unwrap_or_else(|e| panic!("{relative}: {e}"));
    }

    /// Writes the four files of a data set: 64 and 16 images of a bright bar whose place depends on the label.
    fn write_data(&self, directory: &str, height: usize, width: usize) {
        fs::create_dir_all(self.path(directory)).expect("a directory for data");
        for (part, count) in [("train", 64), ("t10k", 16)] {
            let pixel = |i: usize| {
                let (image, column) = (i / (height * width), i % width);
                if image % width == column { 255 - (i % 50) as u8 } else { (i * 7 % 40) as u8 }
            };
            let pixels: Vec<u8> = (0..count * height * width).map(pixel).collect();
            let labels: Vec<u8> = (0..count).map(|i| (i % width) as u8).collect();
            self.write(
                &format!("{directory}/{part}-images-idx3-ubyte"),
                idx(&[count, height, width], &pixels),
            );
            self.write(&format!("{directory}/{part}-labels-idx1-ubyte"), idx(&[count], &labels));
        }
    }

    /// `elbo` with arguments, separated by spaces.
    fn elbo(&self, arguments: &str) -> Command {
        let mut command = Command::new(ELBO);
        command.current_dir(self.0.path()).args(arguments.split_whitespace()).env_remove("ELBO_LOG");
        // Without it, some Vulkan drivers write errors of their own to stderr.
        command.env("XDG_RUNTIME_DIR", self.0.path());
        command
    }

    /// `elbo train` with [`SMALL`] and more options.
    fn train(&self, options: &str) -> String {
        self.succeeds(&format!("train {SMALL} {options}"))
    }

    /// Expects exit code 0; gives stdout.
    fn succeeds(&self, arguments: &str) -> String {
        succeeds(&self.elbo(arguments).output().expect("a process"))
    }

    /// Expects exit code 0 and a JSON object as the last line of stdout.
    fn json(&self, arguments: &str) -> Value {
        json(&self.succeeds(arguments))
    }

    /// Expects an exit code, one sentence on stderr that has all of `words`, and neither result nor new file.
    fn fails(&self, code: i32, arguments: &str, words: &[&str]) -> String {
        let before = self.files();
        let output = self.elbo(arguments).output().expect("a process");
        let message = one_sentence(&fails(&output, code, words));
        assert_eq!(self.files(), before, "`{arguments}` left files");
        message
    }

    /// Expects the parser of the arguments to object: its message goes on with the usage.
    fn misused(&self, arguments: &str, words: &[&str]) {
        let before = self.files();
        fails(&self.elbo(arguments).output().expect("a process"), 2, words);
        assert_eq!(self.files(), before, "`{arguments}` left files");
    }

    /// All paths under the current directory, sorted.
    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.0.path().to_path_buf()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).expect("a directory").flatten() {
                if entry.path().is_dir() {
                    open.push(entry.path());
                }
                found.push(entry.path());
            }
        }
        found.sort();
        found
    }

    /// The steps of a run's checkpoints, in order.
    fn checkpoints(&self, run: &str) -> Vec<u64> {
        let entries = fs::read_dir(self.path(run).join("checkpoints")).expect("checkpoints");
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("a name in UTF-8");
        let mut steps: Vec<u64> =
            entries.map(|e| name(e.expect("an entry")).parse().expect("a step")).collect();
        steps.sort_unstable();
        steps
    }

    /// Both files of a run's checkpoint after `step` steps.
    fn checkpoint(&self, run: &str, step: u64) -> [Vec<u8>; 2] {
        ["model", "optimizer"].map(|name| self.read(&format!("{run}/checkpoints/{step}/{name}.safetensors")))
    }

    /// Expects `metrics.jsonl` to be whole lines that name no step twice; gives how many there are.
    fn lines_without_repetition(&self, run: &str) -> usize {
        let text = self.text(&format!("{run}/metrics.jsonl"));
        assert!(text.ends_with('\n'), "a whole last line");
        let mut seen = HashSet::new();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            let step = (line["split"].to_string(), line["step"].as_u64().expect("a step"));
            assert!(seen.insert(step.clone()), "{step:?} is there twice");
        }
        seen.len()
    }
}

fn succeeds(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("error:"), "{stderr}");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// Expects an exit code, one error that has all of `words`, and no result; gives stderr.
fn fails(output: &Output, code: i32, words: &[&str]) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "`{word}` is missing: {stderr}");
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    if !stdout.is_empty() {
        // Of `--json`.
        let told = json(&stdout);
        let error = told["error"].as_str().expect("an error");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(&stderr).contains(&format!("error: {error}")), "{stdout} {stderr}");
        assert_eq!((&told["exit_code"], stdout.lines().count()), (&Value::from(code), 1), "{stdout}");
    }
    stderr
}

/// Expects nothing on stderr but one line, and perhaps those that say where the work is done, and on which data.
fn one_sentence(stderr: &str) -> String {
    let usual = |line: &&str| ["engine: ", "note: reads "].iter().any(|start| line.starts_with(start));
    let lines: Vec<&str> = stderr.lines().filter(|line| !usual(line)).collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    lines[0].into()
}

fn json(stdout: &str) -> Value {
    let line = stdout.lines().last().expect("a line");
    let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    assert!(value.is_object(), "{line}");
    value
}

/// An IDX file of unsigned bytes.
fn idx(sizes: &[usize], values: &[u8]) -> Vec<u8> {
    let header = [0x0800 + sizes.len()].into_iter().chain(sizes.iter().copied());
    header.flat_map(|word| (word as u32).to_be_bytes()).chain(values.iter().copied()).collect()
}

/// Training with the data directory changed by `change` fails with these words.
fn bad_data(change: impl FnOnce(&Place), words: &[&str]) {
    let place = Place::new();
    change(&place);
    place.fails(1, &format!("train {SMALL}"), words);
}

#[test]
fn a_missing_data_directory() {
    let place = Place::new();
    place.fails(
        1,
        "train --engine cpu --data nosuch",
        &["nosuch: there is no such file or directory", "`digits`"],
    );
}

#[test]
fn data_that_is_no_images() {
    let place = Place::new();
    let train = |data: &str| format!("train --engine cpu --data {data}");
    place.fails(2, &train("sprites:green"), &["`sprites` has no option `green`", "`sprites:colour`"]);
    place.fails(1, &train("missing.npz"), &["missing.npz: there is no such file"]);
    place.write("text.npy", "1,2,3\n");
    place.fails(1, &train("text.npy"), &["text.npy: this is no .npy array", "numpy.save"]);
    place.write("text.npz", "1,2,3\n");
    place.fails(1, &train("text.npz"), &["text.npz: this is no readable .npz archive", "numpy.savez"]);

    let mut archive = NpzWriter::new(fs::File::create(place.path("wrong.npz")).expect("a file"));
    archive.add_array("pictures", &Array3::<u8>::zeros([9, 4, 4])).expect("an array");
    archive.add_array("names", &Array2::<u8>::zeros([9, 4])).expect("an array");
    archive.finish().expect("an archive");
    place.fails(1, &train("wrong.npz"), &["wrong.npz: there is no array `imgs`", "`pictures`", "`names`"]);
    write_npy(place.path("line.npy"), &Array1::<u8>::zeros([9])).expect("an array");
    place.fails(1, &train("line.npy"), &["line.npy: the array has shape (9,)", "(N, H, W, 3)"]);
    write_npy(place.path("wide.npy"), &Array3::<f64>::from_elem([9, 4, 4], 200.5)).expect("an array");
    place.fails(
        1,
        &train("wide.npy"),
        &["wide.npy: the value 200.5 in image 0", "outside of 0..1", "--scale"],
    );
    let scaled = train("wide.npy --scale 0,255 --batch 2 --steps 1 --hidden 4 --out scaled");
    place.succeeds(&scaled);
    assert!(place.read("scaled/config.toml").windows(15).any(|text| text == b"scale = \"0,255\""));
    write_npy(place.path("int.npy"), &Array3::<i64>::from_elem([9, 4, 4], 200)).expect("an array");
    let output =
        place.elbo(&train("int.npy --batch 2 --steps 1 --hidden 4 --out int")).output().expect("a process");
    succeeds(&output);
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(notes.contains("whole numbers from 0 to 200 as int64: they are taken as bytes"), "{notes}");
    place.write("table.csv", "1,2\n");
    place.fails(1, &train("table.csv"), &["table.csv: there is only one row"]);
}

#[test]
fn tables_are_learned_from_and_given_back_in_their_units() {
    let place = Place::new();
    let row = |i: i32| format!("{},{},{}\n", i % 7, 1000 + 3 * (i % 7), 5.5 + f64::from(i % 5) * 1e-3);
    let text = "a,b,c\n".to_owned() + &(0..120).map(row).collect::<String>();
    place.write("table.csv", &text);
    let train = "train --hidden 8 --latent 1 --batch 12 --engine cpu --data";
    place.succeeds(&format!("{train} table.csv --sigma 0.3 --epochs 40 --out run"));
    for picture in ["losses.png", "kl.png"] {
        assert!(place.path("run/pictures").join(picture).is_file(), "{picture}");
    }
    assert!(!place.path("run/pictures/samples.png").exists(), "rows of a table are no images");
    place.succeeds("sample run --count 200 --out rows.csv");
    let text = String::from_utf8(place.read("rows.csv")).expect("text");
    assert!(text.starts_with("a,b,c\n"), "{text}");
    let rows: Vec<Vec<f64>> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(|v| v.parse().expect("a number")).collect())
        .collect();
    assert_eq!((rows.len(), rows[0].len()), (200, 3));
    let mean = |j: usize| rows.iter().map(|row| row[j]).sum::<f64>() / 200.0;
    assert!((0.5..5.5).contains(&mean(0)) && (1001.0..1017.0).contains(&mean(1)), "{} {}", mean(0), mean(1));
    assert!((mean(2) - 5.502).abs() < 1e-3, "{}", mean(2));

    // The run's rows have the names and units of the file.
    let compared: Value = place.json("compare table.csv run:run --engine cpu --permutations 19 --json");
    assert_eq!((&compared["d"], &compared["m"]), (&3.into(), &120.into()));
    assert_eq!(compared["columns"].as_array().map(Vec::len), Some(3));
    place.succeeds("encode run --out codes.npy");
    place.succeeds("resume run --epochs 41");
    // Another table is scaled as the first.
    place.write("shifted.csv", text.lines().skip(1).map(|line| format!("9{line}\n")).collect::<String>());
    let elbo = |data: &str| {
        let found = place.json(&format!("evaluate run --json{data}"));
        found["test"]["elbo"].as_f64().expect("a number")
    };
    assert!(elbo(" --data shifted.csv") < 10.0 * elbo(""), "far rows are far");

    place.misused(&format!("{train} table.csv --binarise --out other"), &["not for sprites or tables"]);
    place.fails(1, &format!("{train} table.csv --scale 0,9 --out other"), &["is a table", "--scale"]);
    // After what is said of the data and of the engine.
    for (arguments, problem) in [
        (&*format!("{train} table.csv --likelihood bernoulli --out other"), "a Bernoulli is for pixels"),
        (&format!("{train} table.csv --fresh --out other"), "is stored, not drawn"),
        ("draw samples run", "this picture is of images, but the model learned from a table"),
        ("page run", "learned from a table; a page shows images"),
        ("sample run --out pictures", "a folder for images, but the model learned from a table"),
        ("evaluate run --data digits", "digits: is of images, but the model learned from a table"),
    ] {
        let output = place.elbo(arguments).output().expect("a process");
        let problems = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && problems.contains(problem), "{arguments}: {problems}");
    }
    write_npy(place.path("rows.npy"), &Array2::<f64>::from_shape_fn([40, 3], |(i, j)| (i * j) as f64))
        .expect("an array");
    place.succeeds(&format!("{train} table:rows.npy --steps 1 --out of-array"));
}

#[test]
fn built_in_data_are_written_and_read_again() {
    let place = Place::new();
    let text = place.succeeds("data sprites --test --out sprites.npz");
    assert!(text.contains("2,000 grey images of 64 x 64 pixels"), "{text}");
    place.fails(1, "data sprites --out sprites.npz", &["sprites.npz: exists already", "--force"]);
    place.succeeds("data digits --test --seed 3 --out sprites.npz --force");
    place.misused("data mnist --out x.npz", &["mnist", "sprites:colour"]);
    place.misused("data digits", &["--out"]);

    // Samples of a test: the same file twice does not differ.
    let arguments =
        "compare sprites.npz:imgs sprites.npz:imgs --points 50 --engine cpu --permutations 19 --json";
    let result = place.json(arguments);
    assert_eq!((&result["n"], &result["d"], &result["reject"]), (&50.into(), &784.into(), &false.into()));
    place.succeeds("data sprites:colour --test --out colour.npz");
    let arguments =
        "compare colour.npz:latents_classes colour.npz:latents_classes --points 50 --engine cpu --json";
    assert_eq!(place.json(arguments)["d"], 6);
    let arguments = "compare colour.npz:imgs --points 20 --engine cpu --json";
    assert_eq!(place.json(arguments)["d"], 3 * 64 * 64);
    // Nine tenths of the 4,000 digits are to learn from.
    let summary = place.json("train --data sprites.npz --hidden 8 --latent 3 --steps 1 --engine cpu --json");
    assert_eq!(summary["epochs"], 1.0 / f64::from(3600 / 128));
}

#[test]
fn a_truncated_idx_file() {
    let words = ["data", TRAIN_IMAGES, "(64, 6, 5)", "1920 bytes", "only 984 follow", "copy it again"];
    let cut = |place: &Place| {
        let name = format!("data/{TRAIN_IMAGES}");
        place.write(&name, &place.read(&name)[..1000]);
    };
    bad_data(cut, &words);
}

#[test]
fn an_idx_file_with_a_wrong_magic_number() {
    let words = [TRAIN_IMAGES, "1 dimensions", "one of labels"];
    bad_data(|place| place.write(&format!("data/{TRAIN_IMAGES}"), idx(&[64], &[0; 64])), &words);
}

#[test]
fn more_images_than_labels() {
    let words = [TRAIN_LABELS, "64 images", "63 labels"];
    bad_data(|place| place.write(&format!("data/{TRAIN_LABELS}"), idx(&[63], &[0; 63])), &words);
}

#[test]
fn settings_that_cannot_work() {
    let place = Place::new();
    for (option, word) in [
        ("--latent 0", "--latent is 0"),
        ("--latent 99999999999", "at most 65536"),
        ("--hidden 8,0", "--hidden is 0"),
        ("--hidden 99999999999", "at most 65536"),
        ("--epochs 0", "--epochs is 0"),
        ("--steps 0", "--steps is 0"),
        ("--batch 0", "--batch is 0"),
        ("--learning-rate 0", "--learning-rate is 0"),
        ("--learning-rate linear:1:-1", "--learning-rate linear:1:-1 reaches -1"),
        ("--sigma -1", "--sigma is -1"),
        ("--sigma learned --likelihood bernoulli", "--sigma learned needs a sigma"),
        ("--beta 4", "--objective beta-vae"),
        ("--objective beta-vae --beta -1", "--beta -1 reaches -1"),
        ("--objective vae --lambda 4", "--objective mmd-vae or --objective info-vae"),
        ("--objective mmd-vae --batch 1", "no pairs of codes"),
        ("--objective info-vae --alpha 2", "--alpha 2 weights the KL with 1 - alpha < 0"),
        ("--objective info-vae --lambda linear:2:0.5", "alpha + lambda - 1 < 0; use a larger --lambda"),
        ("--objective mmd-vae --mmd-bandwidth 0", "--mmd-bandwidth is 0"),
        (
            "--objective capacity --capacity linear:0:25:400 --steps 300",
            "takes 400 steps but the run has 300",
        ),
        ("--engine cpu --adapter lava", "--adapter lava"),
    ] {
        // The directory does not exist: arguments are looked at before files.
        place.fails(2, &format!("train --data nosuch {option}"), &[word]);
    }
}

#[test]
fn unknown_options() {
    let place = Place::new();
    place.misused("train --nosuch", &["--nosuch"]);
    place.misused("train --engine tpu", &["tpu", "cpu"]);
    place.misused("train --learning-rate nan", &["nan", "--learning-rate", "is no schedule; give a number"]);
    place.misused("train --beta linear:1", &["--beta", "linear:FROM:TO[:STEPS]"]);
    place.misused("train --sigma wide", &["--sigma", "give a number, learned or optimal"]);
    place.misused("train --latent two", &["two", "--latent"]);
    place.misused("train --epochs 1 --steps 1", &["--epochs", "--steps"]);
    place.misused("nosuch", &["nosuch"]);
    place.misused("bench train --epochs 0", &["--epochs"]);
    place.misused("evaluate", &["RUN"]);
}

#[test]
fn a_batch_larger_than_the_data() {
    let place = Place::new();
    let words = ["data", "64 training images", "--batch is 65", "smaller"];
    place.fails(1, "train --data data --engine cpu --hidden 8 --batch 65", &words);
}

#[test]
fn an_unknown_adapter() {
    let place = Place::new();
    let arguments = "train --data data --batch 8 --engine gpu --adapter nosuch";
    let message = place.fails(1, arguments, &["adapter"]);
    let known = message.contains("no adapter's name contains \"nosuch\"; there is \"");
    assert!(known || message.contains("no GPU adapter was found"), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn no_adapter_at_all() {
    let place = Place::new();
    let hidden = |arguments: &str| {
        let mut command = place.elbo(arguments);
        command.env("VK_ICD_FILENAMES", "/nosuch.json").env("VK_DRIVER_FILES", "/nosuch.json");
        command.output().expect("a process")
    };
    let before = place.files();
    let words = ["no GPU adapter was found", "Vulkan driver", "--engine cpu"];
    one_sentence(&fails(&hidden("train --data data --batch 8 --engine gpu"), 1, &words));
    assert_eq!(place.files(), before, "no run is made");

    assert!(succeeds(&hidden("devices")).contains("no GPU adapter was found"));
    let listing = json(&succeeds(&hidden("devices --json")));
    assert_eq!((&listing["adapters"], &listing["engine"]), (&Value::Array(vec![]), &Value::from("cpu")));
}

#[test]
fn devices_are_listed() {
    let place = Place::new();
    assert!(place.succeeds("devices").contains("engine: "));
    let listing = place.json("devices --json");
    assert!(listing["adapters"].is_array() && listing["reason"].is_string(), "{listing}");
}

#[test]
fn an_existing_run_is_overwritten_by_force_alone() {
    let place = Place::new();
    place.train("--out run --epochs 2");
    place.fails(1, &format!("train {SMALL} --out run"), &["run: exists already", "--out", "--force"]);
    assert_eq!(place.checkpoints("run"), [8, 16]);
    place.train("--out run --epochs 1 --force");
    assert_eq!(place.checkpoints("run"), [0, 8]);
    let beside = fs::read_dir(place.0.path()).expect("the current directory").count();
    assert_eq!(beside, 2, "data, run, and nothing left of the old run");
    // What is no run is not for us to delete.
    place.fails(1, &format!("train {SMALL} --out data --force"), &["data: has no elbo-run.json", "--out"]);
}

#[test]
fn a_run_goes_on_with_its_own_images_and_schedules() {
    let place = Place::new();
    place.train("--out run --epochs 2 --learning-rate linear:0.002:0.001");
    // 16 steps end at step 15, and stay the same steps in a longer run.
    let output = place.elbo("resume run --epochs 3").output().expect("a process");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("--learning-rate linear:0.002:0.001 ran over the 16 steps"), "{stderr}");
    assert!(stderr.contains("it is linear:0.002:0.001:15 now"), "{stderr}");
    place.train("--out straight --epochs 3 --learning-rate linear:0.002:0.001:15");
    assert!(place.checkpoint("run", 24) == place.checkpoint("straight", 24), "the same run");

    let name = format!("data/{TRAIN_LABELS}");
    let mut labels = place.read(&name);
    *labels.last_mut().expect("a label") ^= 1;
    place.write(&name, labels);
    let words = ["run: was trained on", "but the images are now", "train a new run"];
    place.fails(1, "resume run --epochs 4", &words);
}

#[test]
fn validation_images_choose_the_epoch() {
    let place = Place::new();
    place.fails(2, &format!("train {SMALL} --early-stopping 3"), &["--early-stopping", "--validation"]);
    place.fails(2, &format!("train {SMALL} --validation 1.5"), &["--validation is 1.5", "whole number"]);
    let words = ["--validation holds out", "hold out fewer"];
    place.fails(1, &format!("train {SMALL} --validation 0.9"), &words);
    let output = place
        .elbo(&format!("train {SMALL} --validation 0.25 --epochs 9 --out run --json"))
        .output()
        .expect("a process");
    let summary = json(&succeeds(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("training images are held out"), "{stderr}");
    let best = summary["best"]["step"].as_u64().expect("a best step");
    assert!(place.checkpoints("run").contains(&best), "{summary}");
    let evaluated = place.json("evaluate run --engine cpu --json");
    assert_eq!((&evaluated["steps"], &evaluated["best"]), (&Value::from(best), &summary["best"]));
    assert_eq!(evaluated["validation"]["elbo"], summary["best"]["elbo"]);
}

#[test]
fn a_code_that_says_nothing_is_told_at_once() {
    let place = Place::new();
    for beta in ["1e30", "1000"] {
        let arguments =
            format!("train {SMALL} --objective beta-vae --beta {beta} --epochs 1 --out run --force");
        let output = place.elbo(&arguments).output().expect("a process");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("warning: ") && stderr.contains("use a smaller --beta"), "{beta}: {stderr}");
        succeeds(&output);
    }
}

#[test]
fn a_convolutional_run_is_like_any_other() {
    let place = Place::new();
    let settings = "--data data --engine cpu --architecture conv:3x4/2,linear:5 --latent 3 --batch 8";
    place.succeeds(&format!("train {settings} --epochs 2 --out straight"));
    place.succeeds(&format!("train {settings} --epochs 1 --out run"));
    place.succeeds("resume run --epochs 2");
    assert!(place.checkpoint("run", 16) == place.checkpoint("straight", 16), "the same run");
    let config = place.text("run/config.toml");
    assert!(
        config.contains("architecture = \"conv:3x4/2,linear:5\"") && !config.contains("hidden"),
        "{config}"
    );
    let file = place.read("run/checkpoints/16/model.safetensors");
    let tensors = SafeTensors::deserialize(&file).expect("tensors");
    let shape = |name: &str| tensors.tensor(name).expect(name).shape().to_vec();
    // 6 x 5 pixels are brought to 6 x 6, which a stride of 2 makes 3 x 3.
    assert_eq!(shape("encoder.0.weight"), [3, 1, 4, 4]);
    assert_eq!(shape("encoder.3.weight"), [5, 27]);
    assert_eq!(shape("encoder.5.weight"), [6, 5]);
    assert_eq!(shape("decoder.2.weight"), [27, 5]);
    assert_eq!(shape("decoder.5.weight"), [3, 1, 4, 4]);
    assert_eq!(shape("decoder.5.bias"), [1]);

    // Chains on the host decode with the same layers.
    let json = place.json("evaluate run --engine cpu --ais 5 --images 4 --chains 2 --leapfrog 2 --json");
    assert!(json["ais"]["log_likelihood"].as_f64().expect("a bound").is_finite());
    let of_run = place.json("evaluate run --engine cpu --json");
    let of_file = place.json("evaluate run/checkpoints/16/model.safetensors --data data --engine cpu --json");
    assert_eq!(of_run["test"]["elbo"], of_file["test"]["elbo"]);

    place.misused("train --data data --architecture conv:3x4/3", &["conv:3x4/3", "even number"]);
    place.misused("train --data data --hidden 3 --architecture burgess", &["cannot be used with"]);
    place.write("both.toml", "hidden = [3]\narchitecture = \"burgess\"\n");
    place.fails(1, "train --config both.toml", &["both.toml", "both hidden and architecture"]);
}

#[test]
fn presets_are_printed_as_files_for_config() {
    let place = Place::new();
    let names = ["burgess-sprites", "burgess-sprites-short", "burgess-colour", "burgess-colour-short"];
    for preset in names.into_iter().chain(["lecture-mnist", "higgins-dsprites"]) {
        let text = place.succeeds(&format!("train --preset {preset} --show"));
        place.write("shown.toml", &text);
        assert_eq!(place.succeeds("train --config shown.toml --show"), text, "{preset}");
    }
    place.misused("train --preset burgess", &["possible values", "burgess-sprites"]);
    place.fails(
        1,
        "train --data data --engine cpu --batch 8 --fresh",
        &["data", "--fresh", "--data sprites"],
    );
}

#[test]
fn codes_and_images_go_out_and_in_as_arrays() {
    let place = Place::new();
    place.train("--out run --epochs 1");
    place.succeeds("encode run --engine cpu --out codes.npz");
    place.succeeds("encode run --engine cpu --out codes.csv");
    assert_eq!(place.text("codes.csv").lines().count(), 16);
    let mut archive = ndarray_npy::NpzReader::new(fs::File::open(place.path("codes.npz")).unwrap()).unwrap();
    let mean: Array2<f32> = archive.by_name("mean").expect("means");
    let labels: Array1<u8> = archive.by_name("labels").expect("labels");
    assert_eq!((mean.dim(), labels.len()), ((16, 3), 16));
    place.succeeds("decode run codes.npz:mean --engine cpu --out images.npy");
    place.succeeds("decode run codes.csv --engine cpu --out pictures");
    let images: Array3<f32> = ndarray_npy::read_npy(place.path("images.npy")).expect("images");
    assert_eq!(images.dim(), (16, 6, 5));
    let picture = image::open(place.path("pictures/00003.png")).expect("a picture").into_luma8();
    for (x, y, pixel) in picture.enumerate_pixels() {
        let value = images[[3, y as usize, x as usize]].clamp(0.0, 1.0) * 255.0;
        assert!((f32::from(pixel.0[0]) - value).abs() <= 0.5001, "{x}, {y}");
    }
    place.succeeds("sample run --engine cpu --count 5 --out invented.npz");
    let output = place.elbo("encode run --engine cpu --out -").output().expect("a process");
    assert!(output.stdout.starts_with(b"\x93NUMPY"));
    // By a pipe: an array, an archive, a table.
    let archive = place.read("codes.npz");
    let table = place.read("codes.csv");
    for (file, from, input) in [
        ("by-array.npy", "-", output.stdout),
        ("by-archive.npy", "stdin:mean", archive),
        ("by-table.npy", "-", table),
    ] {
        let mut decode = place.elbo(&format!("decode run {from} --engine cpu --out {file}"));
        succeeds(&decode.write_stdin(input).output().expect("a process"));
        assert!(place.read(file) == place.read("images.npy"), "{file}");
    }
    let told = place.elbo("compare - run:run --engine cpu").write_stdin("").output().expect("a process");
    assert_eq!(told.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&told.stderr).contains("error: stdin: "), "{told:?}");
    place.succeeds("draw traversal run --seed-image 3 --engine cpu");
    assert!(place.read("run/pictures/traversal-3.png").starts_with(b"\x89PNG"));
    place.fails(1, "draw traversal run --seed-image 16 --engine cpu", &["16 test images", "no image 16"]);
    place.fails(2, "draw samples run --seed-image 3 --engine cpu", &["--seed-image goes with the traversal"]);

    place.fails(1, "decode run images.npy --engine cpu --out x.npz", &["30 columns", "3 dimensions"]);
    place.fails(1, "sample run --engine cpu --out invented.npz", &["exists already", "--force"]);
    place.fails(2, "encode run --engine cpu --out codes.pt", &["codes.pt", ".npz"]);
}

#[test]
fn a_plan_is_exported_with_all_that_it_needs() {
    let place = Place::new();
    let text = place.succeeds(&format!("program {SMALL} --export plan.json"));
    assert!(text.contains("plan.json, plan.bin"), "{text}");
    let plan: Value = serde_json::from_str(&place.text("plan.json")).expect("JSON");
    assert_eq!((&plan["format"], &plan["version"]), (&"elbo plan".into(), &1.into()));
    let [shaders, buffers, programs] = ["shaders", "buffers", "programs"]
        .map(|list| plan[list].as_array().unwrap_or_else(|| panic!("no {list}")));
    let count = |value: &Value| value.as_u64().expect("a number") as usize;
    for call in programs.iter().flat_map(|program| program["calls"].as_array().expect("calls")) {
        let bindings = shaders[count(&call["shader"])]["bindings"].as_array().expect("bindings");
        for list in ["reads", "writes"] {
            let ids = call[list].as_array().expect("buffers");
            assert!(ids.iter().all(|id| count(id) < buffers.len()), "{call}");
            let slots =
                bindings.iter().filter_map(|binding| binding["slot"][list.trim_end_matches('s')].as_u64());
            assert!(slots.into_iter().all(|slot| (slot as usize) < ids.len()), "{call}");
        }
    }
    // Weights and images are in the file beside.
    let bytes = place.read("plan.bin").len();
    let held = plan["contents"].as_array().expect("contents");
    let end = |held: &Value| count(&held["offset"]) + 4 * count(&buffers[count(&held["buffer"])]["words"]);
    assert!(held.iter().all(|held| end(held) <= bytes), "{bytes}");
    for buffer in [&plan["layers"][0]["theta"], &plan["train_images"]["slices"][0]] {
        assert!(held.iter().any(|held| &held["buffer"] == buffer), "{buffer}");
    }
    place.fails(2, "program --data data --export plan.bin", &["plan.bin", ".json"]);
    // One word of a step's block for each formula.
    let words = plan["words"]["words"].as_array().expect("words").len();
    assert_eq!(4 * words, count(&plan["step"]["bytes"]));
}

#[test]
fn a_page_holds_all_that_it_shows() {
    let place = Place::new();
    place.succeeds(&format!("train {SMALL} --steps 3 --out run"));
    assert!(place.succeeds("page run").contains("page.html"));
    place.succeeds("page run --out again.html");
    let page = place.text("again.html");
    assert_eq!(place.text("run/page.html"), page, "the same page");
    assert!(place.succeeds("page --learn").contains("learn.html"));
    for page in [page, place.text("learn.html")] {
        for part in ["<!doctype html>", "default-src 'none'", "id=\"facts\"", "id=\"contents\""] {
            assert!(page.contains(part), "{part}");
        }
        // A browser that ignores the policy has nothing to load either.
        for address in [" src=", " href=", "@import url", "url("] {
            assert!(!page.contains(address), "{address}");
        }
    }
    place.misused("page", &["RUN"]);
    place.misused("page run --learn", &["--learn"]);
    place.fails(2, "page run/checkpoints/3/model.safetensors", &["a .safetensors file has no log"]);
    place.fails(1, "page nosuch", &["nosuch"]);
    place.fails(1, "page run --out nosuch/page.html", &["nosuch"]);
}

#[test]
fn a_sweep_goes_on_where_it_was() {
    let place = Place::new();
    let settings = "data = \"data\"\nengine = \"cpu\"\nlatent = 3\nbatch = 8\nepochs = 1\nhidden = [8]";
    let sweep =
        format!("seeds = [0, 1]\n[settings]\n{settings}\nobjective = \"beta-vae\"\n[grid]\nbeta = [1, 4]\n");
    place.write("betas.toml", &sweep);
    let listed = place.succeeds("sweep betas.toml --dry-run");
    assert_eq!(listed.lines().count(), 4, "{listed}");
    place.succeeds("sweep betas.toml");
    let table = place.text("sweeps/betas/table.csv");
    assert_eq!(table.lines().count(), 5, "{table}");
    assert!(table.starts_with("run,seed,test ELBO,"), "{table}");
    assert!(place.read("sweeps/betas/measures.png").starts_with(b"\x89PNG"));
    // A run that was stopped before it was evaluated, and one that has not begun.
    fs::remove_file(place.path("sweeps/betas/beta=1,seed=1/result.json")).expect("a result");
    fs::remove_dir_all(place.path("sweeps/betas/beta=4,seed=0")).expect("a run");
    let output = place.elbo("sweep betas.toml").output().expect("a process");
    assert!(output.status.success());
    assert_eq!(place.text("sweeps/betas/table.csv"), table, "the same numbers");

    place.write("wrong.toml", "[settings]\nobjective = \"beta-vae\"\n[grid]\nbeta = [1, \"much\"]");
    place.fails(1, "sweep wrong.toml", &["wrong.toml", "beta=much"]);
    place.write("betas.toml", sweep.replace("epochs = 1", "epochs = 2"));
    let output = place.elbo("sweep betas.toml").output().expect("a process");
    fails(&output, 1, &["beta=1,seed=0", "other settings", "--out"]);
    place.write("wrong.toml", "[settings]\nseed = 1");
    place.fails(1, "sweep wrong.toml", &["wrong.toml", "seeds = [0, 1]"]);
    place.write("wrong.toml", "seed = [1]");
    place.fails(1, "sweep wrong.toml", &["wrong.toml", "unknown field `seed`"]);
}

/// Images of two bars whose lengths are the factors: each combination once.
#[test]
fn disentanglement_is_measured_where_factors_are_known() {
    let place = Place::new();
    let (a, b) = (6, 8);
    let pixel = |[i, y, x]: [usize; 3]| {
        let length = if y == 0 { i / b } else { i % b };
        if x <= length { 255 } else { 0 }
    };
    let images = Array3::from_shape_fn((a * b, 2, 8), |(i, y, x)| pixel([i, y, x]));
    let factors =
        Array2::from_shape_fn((a * b, 2), |(i, k)| if k == 0 { (i / b) as u8 } else { (i % b) as u8 });
    let file = fs::File::create(place.path("bars.npz")).expect("a file");
    let mut archive = NpzWriter::new(file);
    archive.add_array("imgs", &images).expect("images");
    archive.add_array("latents_classes", &factors).expect("factors");
    archive.finish().expect("an archive");
    let settings = "--data bars.npz --engine cpu --hidden 16 --latent 3 --batch 8 --likelihood bernoulli";
    let objective = "--objective beta-vae --beta 0.1 --learning-rate 0.01";
    place.succeeds(&format!("train {settings} {objective} --steps 1500 --out run"));
    let json = place.json("evaluate run --engine cpu --disentanglement --json");
    let judged = &json["disentanglement"];
    for measure in
        ["mig", "mig_histogram", "sap", "dci_disentanglement", "modularity", "factor_vae", "beta_vae"]
    {
        let value = judged[measure]["value"].as_f64().unwrap_or_else(|| panic!("{measure}: {judged}"));
        assert!((-1e-9..=1.0 + 1e-9).contains(&value), "{measure}: {value}");
    }
    let information = judged["information"].as_array().expect("a matrix");
    assert_eq!((information.len(), information[0].as_array().expect("a row").len()), (2, 3));
    let entropy = judged["entropies"][0].as_f64().expect("an entropy");
    assert!((entropy - (a as f64).ln()).abs() < 1e-6, "all images, each value as often: {entropy}");
    assert_eq!(
        json,
        place.json("evaluate run --engine cpu --disentanglement --json"),
        "the same numbers again"
    );
    assert!(place.succeeds("draw factors run --engine cpu").contains("factors.png"));

    let told = information.iter().flat_map(|row| row.as_array().expect("a row")).filter_map(Value::as_f64);
    let most = told.fold(0.0, f64::max);
    assert!(most > 0.3 && most < (b as f64).ln() + 1e-6, "a trained code tells of the bars: {judged}");
    // One latent has no second to compare with; it is trained and drawn all the same.
    place.succeeds("train --data bars.npz --engine cpu --hidden 8 --latent 1 --batch 8 --epochs 1 --out one");
    let output = place.elbo("evaluate one --engine cpu --disentanglement").output().expect("a process");
    fails(&output, 2, &["only one"]);

    place.train("--out plain --epochs 1");
    place.fails(1, "evaluate plain --engine cpu --disentanglement", &["no known factors"]);
}

#[test]
fn annealing_says_what_it_did() {
    let place = Place::new();
    place.train("--out run --epochs 2");
    let arguments =
        "evaluate run --engine cpu --importance-samples 8 --ais 20 --chains 2 --images 3 --bidirectional 2";
    let text = place.succeeds(arguments);
    for words in
        ["ln p(x)    at least", "on 3 test images", "20 temperatures, 2 chains", "2 images of the model"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let ais = &place.json(&format!("{arguments} --json"))["ais"];
    assert_eq!((&ais["images"], &ais["chains"]), (&Value::from(3), &Value::from(2)), "{ais}");
    let gap = ais["bidirectional"]["gap"].as_f64().expect("a gap");
    let side = |name: &str| ais["bidirectional"][name].as_f64().expect("a bound");
    assert!((side("upper") - side("lower") - gap).abs() < 1e-9);
    place.misused("evaluate run --chains 3", &["--ais"]);
}

#[test]
fn a_damaged_checkpoint() {
    let place = Place::new();
    place.train("--out run --epochs 1");
    let name = "run/checkpoints/8/model.safetensors";
    let good = place.read(name);
    let mut flipped = good.clone();
    flipped[8..40].iter_mut().for_each(|byte| *byte ^= 0x55);
    let mut long = good.clone();
    long[7] = 0xFF;
    for bad in [&good[..good.len() - 100], &good[..5], &[], &flipped, &long] {
        place.write(name, bad);
        let file = Path::new("checkpoints").join("8").join("model.safetensors").display().to_string();
        for command in ["evaluate", "resume"] {
            let arguments = format!("{command} run --engine cpu");
            place.fails(1, &arguments, &[&file, "damaged", "the one before it"]);
        }
    }
    // The advice works.
    fs::remove_dir_all(place.path("run/checkpoints/8")).expect("a directory");
    place.succeeds("resume run");
    assert_eq!(place.read(name), good);
}

#[test]
fn a_checkpoint_of_another_shape() {
    let place = Place::new();
    place.train("--out run --epochs 1");
    place.write_data("wide", 7, 9);
    let arguments = "evaluate run --engine cpu --data wide";
    place.fails(1, arguments, &["30-8-2*3-8-30", "63-8-2*3-8-63", "trained with"]);
    let config = place.text("run/config.toml");
    assert!(config.contains("latent = 3"), "{config}");
    place.write("run/config.toml", config.replace("latent = 3", "latent = 4"));
    for command in ["evaluate", "resume"] {
        let arguments = format!("{command} run --engine cpu");
        place.fails(1, &arguments, &["30-8-2*3-8-30", "30-8-2*4-8-30", "trained with"]);
    }
}

#[test]
fn what_is_no_run_is_not_resumed() {
    let place = Place::new();
    place.fails(1, "resume data", &["data: is no run directory", "elbo train"]);
    place.fails(1, "resume nosuch", &["nosuch: there is no such run directory", "elbo train"]);
    place.fails(1, "evaluate nosuch --engine cpu", &["nosuch: there is no such run directory"]);
}

#[test]
fn a_model_file_needs_data() {
    let place = Place::new();
    place.fails(2, "evaluate nosuch.safetensors", &["--data", "digits"]);
    place.fails(2, "draw losses nosuch.safetensors", &["a .safetensors file has no log"]);
    let words = ["nosuch.safetensors", "cannot read"];
    place.fails(1, "evaluate nosuch.safetensors --data data --engine cpu", &words);
}

#[test]
fn bad_configuration_files() {
    let place = Place::new();
    for (text, words) in [
        ("epochs = 1\nlatnt = 3\n", ["line 2, `latnt = 3`", "unknown field `latnt`"]),
        ("latent = \"two\"\n", ["line 1, `latent = \"two\"`", "expected a whole number"]),
        ("\n\nlatent = -1\n", ["line 3, `latent = -1`", "expected a whole number"]),
        ("sigma = true\n", ["line 1, `sigma = true`", "expected a number"]),
        ("objective = \"gan\"\n", ["line 1, `objective = \"gan\"`", "`beta-vae`"]),
        ("latent = = 3\n", ["line 1, `latent = = 3`", "correct the line"]),
        ("latent = 0\n", ["--latent is 0", "at least 1"]),
    ] {
        place.write("file.toml", text);
        let message = place.fails(1, "train --engine cpu --config file.toml", &words);
        assert!(message.starts_with("error: file.toml: "), "{message}");
    }
    place.fails(1, "train --config nosuch.toml", &["nosuch.toml", "cannot read"]);
}

#[test]
fn a_configuration_file_and_options_on_top() {
    let place = Place::new();
    place.write("file.toml", "data = \"data\"\nhidden = [7]\nlatent = 3\nbatch = 8\nepochs = 9\n");
    let summary = place.json("train --config file.toml --engine cpu --epochs 1 --json");
    assert_eq!(summary["steps"], 8);
    let config = place.text("runs/001/config.toml");
    assert!(config.contains("hidden = [7]") && config.contains("epochs = 1\n"), "{config}");
}

#[test]
fn training_that_diverges() {
    let place = Place::new();
    let arguments = format!("train {SMALL} --out run --learning-rate 1e30");
    let output = place.elbo(&arguments).output().expect("a process");
    fails(&output, 1, &["diverged", "last good checkpoint", "--learning-rate"]);
    place.succeeds("evaluate run --engine cpu");
    // Images so sparse and products so large that zeros are skipped, whatever they are multiplied with.
    let sparse = place.elbo("train --engine cpu --steps 20 --out sparse --learning-rate 1e30").output();
    fails(&sparse.expect("a process"), 1, &["diverged", "last good checkpoint"]);
}

/// Runs `elbo` with a limit on the size of each file, in 512 bytes: what a full disk does at that size.
#[cfg(target_os = "linux")]
fn limited(place: &Place, blocks: u32, arguments: &str) -> Output {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.current_dir(place.0.path()).args(["-c", &script, ELBO]).args(arguments.split_whitespace());
    command.output().expect("a process")
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_at_the_start() {
    let place = Place::new();
    let before = place.files();
    let output = limited(&place, 1, &format!("train {SMALL} --out run"));
    fails(&output, 1, &["model.safetensors: cannot write", "File too large"]);
    assert_eq!(place.files(), before, "nothing half-written is left");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_in_the_middle() {
    let place = Place::new();
    // Checkpoints fit into 8 KiB, the losses of 20 epochs do not.
    let output = limited(&place, 16, &format!("train {SMALL} --out run --epochs 20 --log-every 1"));
    let file = Path::new("run").join("metrics.jsonl").display().to_string();
    fails(&output, 1, &[&format!("{file}: cannot write"), "File too large"]);
    assert!(place.json("evaluate run --engine cpu --json")["steps"].as_u64() > Some(0));
    place.succeeds("resume run");
    assert_eq!(place.checkpoints("run"), [152, 160]);
    assert_eq!(place.lines_without_repetition("run"), 180);
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_written() {
    let place = Place::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let arguments = ["program", "--data", "data", "--batch", "8"];
    let mut command = std::process::Command::new(ELBO);
    let output =
        command.current_dir(place.0.path()).args(arguments).stdout(full).output().expect("a process");
    fails(&output, 1, &["standard output: cannot write", "No space left"]);
}

#[test]
fn training_leaves_a_summary_and_a_run() {
    let place = Place::new();
    let summary = json(&place.train("--epochs 3 --json"));
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert_eq!(summary["engine"], "cpu");
    assert!(summary["adapter"].is_string());
    assert_eq!((&summary["objective"], &summary["steps"]), (&Value::from("vae"), &Value::from(24)));
    assert_eq!(number(&summary["epochs"]), 3.0);
    assert!(number(&summary["images_per_second"]) > 0.0);
    for split in ["train", "test"] {
        let [sse, reconstruction, kl, elbo, _] =
            ["sse", "reconstruction", "kl", "elbo", "mmd"].map(|name| number(&summary[split][name]));
        assert!(sse > 0.0 && kl > 0.0, "{summary}");
        assert_eq!(elbo, -(reconstruction + kl));
    }

    // The last two checkpoints, the losses, the settings and the pictures.
    assert_eq!(place.checkpoints("runs/001"), [16, 24]);
    assert_eq!(place.lines_without_repetition("runs/001"), 6);
    assert!(place.text("runs/001/config.toml").contains("latent = 3"));
    for picture in ["losses", "reconstructions", "samples"] {
        let png = place.read(&format!("runs/001/pictures/{picture}.png"));
        assert!(png.starts_with(b"\x89PNG"), "{picture}");
    }

    // Evaluation gives the numbers of the training's summary again, from the run and from its model alone.
    let of_run = place.json("evaluate runs/001 --engine cpu --json");
    let file = "runs/001/checkpoints/24/model.safetensors";
    let of_file = place.json(&format!("evaluate {file} --data data --engine cpu --json"));
    for split in ["train", "test"] {
        assert_eq!(of_run[split], summary[split]);
        assert_eq!(of_file[split], summary[split]);
    }
    assert_eq!(of_run["steps"], 24);
}

#[test]
fn a_latent_plane_is_drawn_and_runs_are_numbered() {
    let place = Place::new();
    let options = "train --data data --engine cpu --hidden 8 --batch 8 --steps 3";
    let stdout = place.succeeds(options);
    assert!(stdout.contains("ELBO") && stdout.contains("manifold.png"), "{stdout}");
    place.succeeds(&format!("{options} --latent 3"));
    let pictures = |run: &str| -> Vec<String> {
        let files = fs::read_dir(place.path(run).join("pictures")).expect("pictures").flatten();
        let mut names: Vec<String> = files.map(|file| file.file_name().to_string_lossy().into()).collect();
        names.sort();
        names
    };
    let everywhere =
        ["decomposition", "interpolation", "kl", "losses", "reconstructions", "samples", "traversal"];
    let files = |names: &[&str]| -> Vec<String> { names.iter().map(|name| format!("{name}.png")).collect() };
    assert_eq!(pictures("runs/002"), files(&everywhere));
    let mut plane = files(&[&everywhere[..], &["manifold", "scatter", "story"]].concat());
    plane.push("story.gif".into());
    plane.sort();
    assert_eq!(pictures("runs/001"), plane);
    place.fails(1, "draw manifold runs/002 --engine cpu", &["--latent 2", "this one has 3"]);
    place.succeeds("draw samples runs/001/checkpoints/3/model.safetensors --data data --engine cpu");
    assert!(place.path("samples.png").is_file());
}

#[test]
fn gzipped_data() {
    let place = Place::new();
    let plain = json(&place.train("--epochs 1 --json"));
    let name = format!("data/{TRAIN_IMAGES}");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&place.read(&name)).expect("memory");
    place.write(&format!("{name}.gz"), encoder.finish().expect("memory"));
    fs::remove_file(place.path(&name)).expect("the plain file");
    assert_eq!(json(&place.train("--epochs 1 --json"))["test"], plain["test"]);
}

#[test]
fn checkpoints_have_the_names_and_shapes_of_pytorch() {
    let place = Place::new();
    place.train("--out run --steps 1");
    let [model, optimizer] = place.checkpoint("run", 1);
    let shapes =
        [("encoder.0", [8, 30]), ("encoder.2", [6, 8]), ("decoder.0", [8, 3]), ("decoder.2", [30, 8])];
    for (bytes, prefixes) in [(&model, &[""][..]), (&optimizer, &["m.", "v."])] {
        let (_, header) = SafeTensors::read_metadata(bytes).expect("a header");
        let keys: Vec<_> = header.metadata().as_ref().expect("metadata").keys().collect();
        assert_eq!(keys, ["elbo"]);
        let tensors = SafeTensors::deserialize(bytes).expect("tensors");
        assert_eq!(tensors.len(), prefixes.len() * 2 * shapes.len());
        for prefix in prefixes {
            for (layer, shape) in shapes {
                let shape_of = |part: &str| {
                    let name = format!("{prefix}{layer}.{part}");
                    tensors.tensor(&name).unwrap_or_else(|e| panic!("{name}: {e}")).shape().to_vec()
                };
                assert_eq!((shape_of("weight"), shape_of("bias")), (shape.to_vec(), vec![shape[0]]));
            }
        }
    }
}

#[test]
fn a_resumed_run_equals_one_in_one_go() {
    let place = Place::new();
    place.train("--out straight --epochs 2");
    place.train("--out resumed --epochs 1");
    let summary = place.json("resume resumed --epochs 2 --json");
    assert_eq!((&summary["steps"], &summary["interrupted"]), (&Value::from(16), &Value::from(false)));
    assert!(place.checkpoint("straight", 16) == place.checkpoint("resumed", 16), "checkpoints differ");
    assert_eq!(place.text("straight/config.toml"), place.text("resumed/config.toml"));
    assert_eq!(place.lines_without_repetition("resumed"), 4);
    // Once more: nothing is left to do.
    place.succeeds("resume resumed");
    assert_eq!(place.lines_without_repetition("resumed"), 4);
}

/// A learned sigma is a part of the state, and a schedule depends on the step alone.
#[test]
fn a_resumed_run_with_a_learned_sigma_and_schedules_equals_one_in_one_go() {
    let place = Place::new();
    let options =
        "--objective beta-vae --beta linear:4:1:12 --sigma learned --learning-rate linear:0.01:0.001:12";
    place.train(&format!("--out straight --epochs 2 {options}"));
    place.train(&format!("--out stopped --epochs 2 {options}"));
    fs::remove_dir_all(place.path("stopped/checkpoints/16")).expect("the last checkpoint");
    let summary = place.json("resume stopped --json");
    assert_eq!(summary["steps"], 16);
    assert!(summary["sigma"].as_f64().expect("a sigma") < 1.0, "{summary}");
    assert!(place.checkpoint("straight", 16) == place.checkpoint("stopped", 16), "checkpoints differ");
}

#[test]
fn every_objective_says_what_its_terms_are() {
    let place = Place::new();
    for (objective, term) in [
        ("mmd-vae", Some("mmd")),
        ("mmd-vae --mmd draws", Some("mmd")),
        ("info-vae --alpha 0.5", Some("mmd")),
        ("tc-vae", Some("total_correlation")),
        ("tc-vae --tc weighted", Some("mutual_information")),
        ("capacity", None),
        ("beta-vae --deterministic", None),
    ] {
        let options = format!("--out run --force --epochs 1 --log-every 1 --objective {objective} --json");
        let summary = json(&place.train(&options));
        assert_eq!(summary["objective"], objective.split(' ').next().expect("a name"));
        let test = &summary["test"];
        let parts = ["mutual_information", "total_correlation", "dimension_wise_kl"];
        let sum: f64 = parts.iter().map(|part| test[part].as_f64().expect("a number")).sum();
        assert!(sum.is_finite() && test["codes"] == 16, "{test}");
        assert_eq!(test["kl_by_dimension"].as_array().map(Vec::len), Some(3));
        let metrics = place.text("run/metrics.jsonl");
        let train = metrics.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        for line in train.filter(|line| line["split"] == "train") {
            assert!(term.is_none_or(|term| line[term].is_f64()), "{objective}: {line}");
        }
    }
}

#[test]
fn the_likelihood_is_estimated_by_importance_sampling() {
    let place = Place::new();
    place.train("--out run --epochs 1 --likelihood bernoulli --binarise");
    let summary = place.json("evaluate run --engine cpu --importance-samples 50 --json");
    let number = |field: &str| summary["likelihood"][field].as_f64().expect("a number");
    assert!(number("gap") >= 0.0 && number("log_likelihood") < 0.0, "{summary}");
    assert!((1.0..=50.0).contains(&number("effective_samples")), "{summary}");
    let text = place.succeeds("evaluate run --engine cpu --importance-samples 3");
    assert!(text.contains("ln p(x)") && text.contains("KL(q(z|x) || p(z|x))"), "{text}");
    place.train("--out fixed --epochs 1 --deterministic");
    place.fails(2, "evaluate fixed --engine cpu --importance-samples 3", &["--deterministic", "q(z|x)"]);
}

#[test]
fn a_capacity_is_suggested_and_nothing_kept() {
    let place = Place::new();
    let before = place.files();
    let suggestion = json(&place.train("--suggest-capacity --steps 50 --objective beta-vae --beta 9 --json"));
    assert!(suggestion["capacity"].as_f64().expect("nats") > 0.0, "{suggestion}");
    assert_eq!(place.files(), before);
}

/// Fewer images make shorter epochs: too short for the schedule to train, but not to evaluate or draw.
#[test]
fn schedules_belong_to_training() {
    let place = Place::new();
    let options = "--objective capacity --capacity linear:0:5:12 --latent 2 --hidden 8 --batch 8 --engine cpu --epochs 2";
    fs::create_dir(place.path("few")).expect("a directory");
    for (part, count) in [("train", 16), ("t10k", 8)] {
        place.write(&format!("few/{part}-images-idx3-ubyte"), idx(&[count, 6, 5], &vec![100; count * 30]));
        place.write(&format!("few/{part}-labels-idx1-ubyte"), idx(&[count], &vec![0; count]));
    }
    place.fails(1, &format!("train --data few {options}"), &["few", "takes 12 steps but the run has 4"]);
    place.succeeds(&format!("train --data data {options} --out run"));
    place.succeeds("evaluate run --data few --engine cpu");
    assert!(place.succeeds("draw story run --engine cpu").contains("story.gif"));
    let of_others = place.succeeds("draw story run --data few --engine cpu");
    assert!(of_others.contains("story.png") && !of_others.contains("story.gif"), "{of_others}");
}

#[test]
fn codes_of_two_runs_are_drawn_side_by_side() {
    let place = Place::new();
    let options = "train --data data --engine cpu --hidden 8 --batch 8 --steps 3";
    place.succeeds(&format!("{options} --out a"));
    place.succeeds(&format!("{options} --out b --objective mmd-vae"));
    place.succeeds(&format!("{options} --out c --latent 3"));
    place.succeeds("draw scatter a --beside b --engine cpu");
    assert!(place.path("a/pictures/scatter-beside.png").is_file());
    place.fails(1, "draw scatter a --beside c --engine cpu", &["--latent 2", "3 latent dimensions"]);
    place.fails(2, "draw kl a --beside b --engine cpu", &["--beside goes with the scatter"]);
}

#[test]
fn half_a_line_of_losses_is_dropped() {
    let place = Place::new();
    place.train("--out run --epochs 1");
    let metrics = place.text("run/metrics.jsonl");
    place.write("run/metrics.jsonl", format!("{metrics}{{\"split\":\"tra"));
    place.succeeds("resume run --epochs 2");
    assert_eq!(place.lines_without_repetition("run"), 4);
}

/// The example beside the program: one list of pixels for each of the first eight test images.
#[test]
fn the_example_reconstructs() {
    let place = Place::new();
    place.train("--epochs 1 --out run");
    // Through cargo, which builds the example where only this file's tests were asked for.
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--manifest-path", manifest, "--example", "reconstruct", "--"])
        .current_dir(place.path(""))
        .env("XDG_RUNTIME_DIR", place.path(""))
        .args(["run/checkpoints/8/model.safetensors", "data"])
        .output()
        .expect("a process");
    let images: Vec<Vec<f32>> = succeeds(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a list of numbers"))
        .collect();
    assert_eq!(images.len(), 8);
    assert!(images.iter().all(|image| image.len() == 30 && image.iter().all(|p| p.is_finite())));
}

#[test]
fn a_device_is_checked() {
    let place = Place::new();
    let out = place.succeeds("devices --check --engine cpu --kernel scale --kernel linear");
    assert!(out.contains("tests agree with the f64 reference"), "{out}");
    let checked = place.json("devices --check --engine cpu --kernel scale --json");
    let kernel = &checked["kernels"][0];
    assert_eq!(kernel["name"], "scale");
    assert!(kernel["tests"].as_u64() > Some(1) && kernel["failures"] == serde_json::json!([]), "{checked}");
    place.fails(2, "devices --check --engine cpu --kernel nosuch", &["no kernel is called nosuch", "linear"]);
}

/// Variants of a kernel are cut otherwise, and add up in the same order.
#[test]
fn tile_sizes_are_measured_and_change_no_weight() {
    let off = std::env::var("ELBO_GPU").is_ok_and(|wanted| wanted == "off");
    if off || elbo::engine::gpu::adapters().is_empty() {
        return;
    }
    let place = Place::new();
    let run = |arguments: &str| {
        let mut command = place.elbo(&format!(
            "{arguments} --data data --engine gpu --hidden 40 --latent 3 --batch 24 --steps 3"
        ));
        command.env("HOME", place.path("home")).env("XDG_CACHE_HOME", place.path("home"));
        let output = command.output().expect("it starts");
        let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
        assert!(output.status.success(), "{arguments}: {err}");
        (out, err)
    };
    run("train --out usual");
    assert!(run("program").0.contains("tiles: not yet measured on"), "nothing was measured");
    let (_, notes) = run("train --out tuned --tune");
    assert!(notes.contains("measuring tile sizes") && notes.contains("kept in"), "{notes}");
    assert!(run("program").0.contains("tiles: as measured on"), "what was measured was kept");
    let (_, notes) = run("train --out again");
    assert!(!notes.contains("measur"), "what is known is not measured again: {notes}");
    let weights = |out: &str| place.read(&format!("{out}/checkpoints/3/model.safetensors"));
    assert!(weights("tuned") == weights("usual"), "the weights are those of other tiles");
}

#[test]
fn a_program_is_a_list_of_kernels() {
    let place = Place::new();
    let listing = place.json("program --json");
    let kernels = listing["kernels"].as_array().expect("a list");
    assert!((1..=12).contains(&kernels.len()), "{} kernels", kernels.len());
    for kernel in kernels {
        assert!(kernel["name"].is_string(), "{kernel}");
        assert!(["inputs", "outputs"].iter().all(|list| kernel[list].is_array()), "{kernel}");
        assert!(["flop", "bytes"].iter().all(|count| kernel[count].is_u64()), "{kernel}");
        assert_eq!(kernel["grid"].as_array().map(Vec::len), Some(2), "{kernel}");
    }
    assert!(place.succeeds("program --data data --batch 8").contains("dispatches"));
    // Its MMD to the prior, exact or from draws.
    for mmd in ["closed-form", "draws"] {
        let arguments = format!("program --data data --batch 8 --objective mmd-vae --mmd {mmd} --json");
        let kernels = place.json(&arguments)["kernels"].as_array().map_or(0, Vec::len);
        assert!((13..=16).contains(&kernels), "{mmd}: {kernels} kernels");
    }
}

/// `count` points of `columns` numbers around `mean`, as CSV.
fn csv(count: usize, columns: usize, mean: f64) -> String {
    let value = |i: usize| format!("{:.6}", mean + ((i * 7919 + 13) % 1009) as f64 / 504.5 - 1.0);
    let row = |r: usize| (0..columns).map(|c| value(r * columns + c)).collect::<Vec<_>>().join(",") + "\n";
    (0..count).map(row).collect()
}

#[test]
fn samples_are_compared() {
    let place = Place::new();
    place.write("a.csv", csv(60, 2, 0.0));
    place.write("b.csv", csv(50, 2, 0.9));
    let different = place.json("compare a.csv b.csv --engine cpu --permutations 199 --json --out pictures");
    for field in [
        "n",
        "m",
        "d",
        "mmd2_unbiased",
        "mmd2_biased",
        "variance",
        "seconds",
        "pairs_per_second",
        "p_value",
        "exceedances",
        "permutations",
        "p_standard_error",
        "alpha",
    ] {
        assert!(different[field].is_number(), "{field}: {different}");
    }
    for field in ["kernel", "bandwidth_rule", "engine", "adapter", "null"] {
        assert!(different[field].is_string(), "{field}: {different}");
    }
    assert_eq!(different["bandwidths"].as_array().map(Vec::len), Some(1));
    assert_eq!((&different["n"], &different["m"], &different["d"]), (&60.into(), &50.into(), &2.into()));
    assert_eq!(different["p_value"], 0.005, "the smallest there is with 199 permutations");
    assert_eq!(different["reject"], true);
    assert!(place.path("pictures/null.png").exists());

    // The exit code of --check says what was decided, and the text says it in words.
    let check = "compare a.csv b.csv --engine cpu --permutations 199 --check";
    let output = place.elbo(check).output().expect("a process");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stdout).contains("the samples differ"));
    let same = place.succeeds("compare a.csv a.csv --engine cpu --check --kernel energy");
    assert!(same.contains("no difference was found") && same.contains("energy distance"), "{same}");
    // The lower end of an interval is 0 without a rejection, and it is never without width.
    let [low, high] = [0, 1].map(|end| different["confidence_interval"][end].as_f64());
    assert!(low > Some(0.0) && high > low, "{different}");
    let none = place.json("compare a.csv a.csv --engine cpu --json");
    let [low, high] = [0, 1].map(|end| none["confidence_interval"][end].as_f64());
    assert!(low == Some(0.0) && high > low, "{none}");
    for null in ["wild", "binned --bin 5"] {
        let result = place.json(&format!("compare a.csv a.csv --engine cpu --json --null {null}"));
        assert_eq!(result["reject"], false, "{null}");
    }
    let several =
        "compare a.csv b.csv --engine cpu --json --kernel laplace --bandwidth 0.5*median,median --sum";
    assert_eq!(place.json(several)["bandwidths"].as_array().map(Vec::len), Some(2));
}

/// Where the arguments alone decide, `--check` makes it wrong use; where the sizes do, a failure; without, a warning.
#[test]
fn a_test_that_cannot_reject_says_so() {
    let place = Place::new();
    place.write("a.csv", csv(60, 2, 0.0));
    place.write("b.csv", csv(60, 2, 0.9));
    place.write("three.csv", csv(3, 1, 0.0));
    place.write("far.csv", csv(3, 1, 100.0));
    place.write("six.csv", csv(6, 1, 0.0));
    place.write("five.csv", csv(5, 1, 3.0));
    place.write("4.csv", csv(5, 1, 0.0));
    let told = |arguments: &str, words: &str| {
        let output = place.elbo(&format!("{arguments} --engine cpu")).output().expect("a process");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && stderr.contains(words), "{arguments}: {stderr}");
    };
    let few = ["compare a.csv b.csv", "compare a.csv b.csv --features 20", "independence a.csv b.csv"];
    for arguments in few.map(|arguments| format!("{arguments} --permutations 10")) {
        let words = "10 permutations cannot reject at level 0.05; use at least 19";
        told(&arguments, words);
        place.fails(2, &format!("{arguments} --check --engine cpu"), &[words]);
    }
    for (arguments, least) in [
        ("compare three.csv far.csv", "0.100"),
        ("compare six.csv six.csv --split", "0.100"),
        ("compare 4.csv five.csv --null wild", "0.062"),
        ("independence six.csv six.csv --null wild", "0.250"),
    ] {
        let words = format!("no p-value below {least}");
        told(arguments, &words);
        place.fails(1, &format!("{arguments} --check --engine cpu"), &["too small to reject", &words]);
        let result = place.json(&format!("{arguments} --json --engine cpu"));
        assert!(result["warnings"].to_string().contains(&words), "{result}");
        assert!(result["least_p_value"].as_f64() > Some(0.05), "{result}");
    }
    let gamma = "independence a.csv b.csv --null gamma --permutations 10 --engine cpu --json";
    assert!(place.json(gamma)["permutations"].is_null(), "no draws");
}

/// An autoregression with phi = .9, from a fixed sequence of noise.
fn walk(count: usize, first: usize) -> String {
    let mut value = 0.0;
    let noise = |i: usize| (((i + first) * 7919 + 13) * 104_729 % 1009) as f64 / 504.5 - 1.0;
    let row = |i: usize| {
        value = 0.9 * value + noise(i);
        format!("{value:.6}\n")
    };
    (0..count).map(row).collect()
}

#[test]
fn rows_of_series_are_told_and_tested() {
    let place = Place::new();
    let header = |text: String| format!("level\n{text}");
    place.write("x.csv", header(walk(300, 0)));
    place.write("y.csv", header(walk(240, 50_000)));
    place.write("z.csv", header(walk(300, 70_000)));
    let stderr = |arguments: &str| {
        let output = place.elbo(&format!("{arguments} --engine cpu")).output().expect("a process");
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for arguments in ["compare x.csv y.csv", "independence x.csv z.csv", "closer x.csv y.csv z.csv"] {
        let told = stderr(arguments);
        assert!(told.contains("column `level` has a lag-one autocorrelation"), "{arguments}: {told}");
        assert_eq!(told.contains("--null series"), !arguments.starts_with("closer"), "{arguments}: {told}");
    }
    assert!(stderr("fit x.csv --fit gaussian:1").contains("leave rows out"));
    for arguments in ["compare x.csv y.csv --null series", "independence x.csv z.csv --null series"] {
        let told = stderr(arguments);
        assert!(!told.contains("as if they depended"), "{told}");
        let result = place.json(&format!("{arguments} --engine cpu --json"));
        assert_eq!(result["null"], "series");
        assert!(result["blocks"]["length"].as_u64() >= Some(8), "{result}");
        let given = place.json(&format!("{arguments} --block-length 7 --engine cpu --json"));
        assert_eq!(given["blocks"]["length"], 7);
        place.fails(
            2,
            &format!("{arguments} --points 50 --engine cpu"),
            &["--points", "order of their file"],
        );
        place.fails(2, &format!("{arguments} --aggregate agg --engine cpu"), &["series"]);
    }
    let text = place.succeeds("compare x.csv y.csv --null series --block-length 7 --engine cpu");
    assert!(text.contains("permutations of blocks of 7 rows"), "{text}");
    let alone = "compare x.csv --null series --engine cpu";
    place.fails(2, alone, &["a random half", "order of their file"]);
    place.fails(2, "compare x.csv y.csv --block-length 7 --engine cpu", &["--null series"]);
    place.fails(2, "compare x.csv y.csv --split --null series --engine cpu", &["--split"]);
    place.fails(1, "compare x.csv y.csv --null series --block-length 60 --engine cpu", &["leave only 4"]);
    assert!(!stderr("compare x.csv y.csv --points 200").contains("as if they depended"), "the order is lost");
}

#[test]
fn samples_that_cannot_be_compared() {
    let place = Place::new();
    place.write("a.csv", csv(10, 2, 0.0));
    place.write("b.csv", csv(12, 3, 0.0));
    place.write("bad.csv", "1,2\n3,nan\n");
    place.write("one.csv", "1,2\n");
    let cpu = |rest: &str| format!("compare {rest} --engine cpu");
    place.fails(1, &cpu("a.csv b.csv"), &["b.csv", "3 columns", "a.csv has 2"]);
    place.fails(1, &cpu("a.csv missing.npy"), &["missing.npy", "there is no such file"]);
    place.fails(
        1,
        &cpu("a.csv bad.csv"),
        &["bad.csv", "line 2", "column 1 (counted from 0)", "missing", "--missing drop"],
    );
    place.fails(1, &cpu("a.csv one.csv"), &["1", "at least two of each"]);
    place.fails(1, &cpu("a.csv run:nowhere"), &["nowhere"]);
    place.fails(2, &cpu("a.csv run:nowhere:many"), &["many", "run:DIR:1000"]);
    place.fails(2, &cpu("a.csv a.csv --alpha 1.5"), &["1.5", "between 0 and 1"]);
    place.fails(2, &cpu("a.csv a.csv --permutations 0"), &["at least one permutation"]);
    place.misused(&cpu("a.csv a.csv --bandwidth medain"), &["medain", "median-per-feature"]);
    place.misused(&cpu("a.csv a.csv --kernel cauchy"), &["cauchy", "gaussian"]);
}

#[test]
fn many_kernels_and_divergences() {
    let place = Place::new();
    place.write("a.csv", csv(60, 2, 0.0));
    place.write("b.csv", csv(50, 2, 0.9));
    for combine in ["agg", "fuse"] {
        let arguments = format!("compare a.csv b.csv --aggregate {combine} --permutations 199 --engine cpu");
        let result = place.json(&format!("{arguments} --json --out {combine}"));
        assert_eq!((&result["reject"], &result["combine"]), (&true.into(), &combine.into()));
        let kernels = result["kernels"].as_array().expect("a list");
        assert_eq!(kernels.len(), 20, "ten bandwidths of two families");
        assert_eq!((&kernels[0]["kernel"], &kernels[19]["kernel"]), (&"gaussian".into(), &"laplace".into()));
        assert!(kernels.iter().all(|k| k["p_value"].as_f64() >= Some(0.005)), "{result}");
        assert!(place.path(&format!("{combine}/null.png")).exists());
        let output = place.elbo(&format!("{arguments} --check")).output().expect("a process");
        assert_eq!(output.status.code(), Some(3));
    }
    let few = "compare a.csv a.csv --aggregate agg --kernels imq --bandwidth 0.5*median,median --null wild --engine cpu";
    let text = place.succeeds(few);
    assert!(
        text.contains("no difference was found") && text.matches("inverse multiquadric").count() == 2,
        "{text}"
    );
    place.fails(
        2,
        "compare a.csv b.csv --aggregate agg --null binned --engine cpu",
        &["--aggregate", "binned"],
    );
    place.fails(
        2,
        "compare a.csv b.csv --aggregate agg --permutations 9 --engine cpu",
        &["9 permutations", "19"],
    );
    place.fails(1, "compare a.csv b.csv --aggregate agg --null wild --engine cpu", &["60", "50", "one size"]);
    let result = place.json("compare a.csv b.csv --divergence kl --engine cpu --json");
    assert!(result["kl"]["nats"].is_number() && result["kl"]["norm"] == "Euclidean", "{result}");
    // Tied points have no density, but they can be tested.
    place.write("tied.csv", "value\n".to_owned() + &"1\n2\n".repeat(20));
    let result = place.json("compare tied.csv tied.csv --divergence kl --engine cpu --json");
    assert!(result["kl"].is_null() && result["p_value"].is_number(), "{result}");
    assert!(result["warnings"].to_string().contains("no KL divergence"), "{result}");
}

#[test]
fn samples_are_compared_by_random_features() {
    let place = Place::new();
    place.write("a.csv", csv(60, 2, 0.0));
    place.write("b.csv", csv(50, 2, 0.9));
    let arguments = "compare a.csv b.csv --features 200 --permutations 199 --engine cpu";
    let result = place.json(&format!("{arguments} --json --out pictures"));
    for field in ["mmd2_unbiased", "mmd2_biased", "mmd2_standard_error", "kernel_standard_error", "seconds"] {
        assert!(result[field].is_number(), "{field}: {result}");
    }
    assert_eq!((&result["n"], &result["m"], &result["features"]), (&60.into(), &50.into(), &200.into()));
    assert_eq!(result["p_value"], 0.005, "the smallest there is with 199 permutations");
    assert!(place.path("pictures/null.png").exists());
    // The two estimates differ by the features' error.
    let exact = place.json("compare a.csv b.csv --permutations 19 --engine cpu --json");
    let number = |result: &serde_json::Value, field: &str| result[field].as_f64().expect("a number");
    let error = number(&result, "mmd2_unbiased") - number(&exact, "mmd2_unbiased");
    assert!(error.abs() < 5.0 * number(&result, "mmd2_standard_error"), "{error}: {result}");
    let output = place.elbo(&format!("{arguments} --check")).output().expect("a process");
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // 1 / sqrt(2 * 200).
    assert!(text.contains("an approximation") && text.contains("at most 5.00e-2"), "{text}");

    let features = |rest: &str| format!("compare a.csv b.csv --engine cpu --features {rest}");
    place.fails(2, &features("1"), &["1 random features", "at least 2"]);
    place.fails(2, &features("10 --kernel energy"), &["energy", "gaussian, laplace or imq"]);
    place.fails(2, &features("10 --null wild"), &["--features", "wild", "--null exact"]);
    place.misused(&features("10 --aggregate agg"), &["--features", "--aggregate"]);
}

#[test]
fn a_bandwidth_is_chosen_by_half_of_the_points() {
    let place = Place::new();
    place.write("a.csv", csv(60, 1, 0.0));
    place.write("b.csv", csv(50, 1, 0.9));
    let result = place.json("compare a.csv b.csv --split --permutations 199 --engine cpu --json");
    assert_eq!((&result["n"], &result["m"], &result["reject"]), (&30.into(), &25.into(), &true.into()));
    let rule = result["bandwidth_rule"].as_str().expect("text");
    assert!(rule.contains("most powerful of 11 (median)"), "{rule}");
    let given =
        place.json("compare a.csv b.csv --split --bandwidth 0.01,1 --permutations 199 --engine cpu --json");
    assert_eq!(given["bandwidths"][0], 1.0, "{given}");
    place.write("far.json", r#"{"family": "gaussian", "mean": [1], "covariance": [[0.4]]}"#);
    let fit = place.json("fit a.csv --model far.json --split --engine cpu --json");
    assert_eq!((&fit["models"][0]["n"], &fit["models"][0]["reject"]), (&30.into(), &true.into()));

    let fails = |rest: &str, words: &[&str]| place.fails(2, &format!("{rest} --split --engine cpu"), words);
    fails("compare a.csv b.csv --bandwidth 1", &["several bandwidths"]);
    fails("compare a.csv b.csv --kernel energy", &["no bandwidth to choose"]);
    fails("compare a.csv b.csv --bandwidth median-per-feature", &["one bandwidth for all columns"]);
    fails("fit a.csv --model far.json --model far.json", &["give one --model"]);
    place.misused("compare a.csv b.csv --aggregate agg --split", &["--aggregate", "--split"]);
    fails("fit a.csv --model far.json --scale robust", &["data as they are"]);
    place.misused("fit a.csv --fit gaussian:1 --split", &["--fit", "--split"]);
}

#[test]
fn what_never_changes_is_told() {
    let place = Place::new();
    place.write("x.csv", csv(20, 1, 0.0));
    let with_year: String = csv(20, 1, 0.0).lines().map(|line| format!("{line},2026\n")).collect();
    place.write("year.csv", format!("value,year\n{with_year}"));
    place.write("class.csv", "cat\n".repeat(20));
    place.write("constant.csv", "3\n".repeat(20));
    let output = place.elbo("compare year.csv year.csv --engine cpu").output().expect("a process");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success()
            && stderr.contains(
                "column 1 (counted from 0), `year`, has the value 2026 in all rows: it is left out"
            ),
        "{stderr}"
    );
    let output =
        place.elbo("compare year.csv year.csv --scale none --engine cpu").output().expect("a process");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        stderr.contains("column 1 (counted from 0), `year`, of year.csv is 2026 in all rows"),
        "{stderr}"
    );
    let same = &["Y is the same in all 20 rows", "two values or classes"];
    place.fails(1, "independence x.csv class.csv --kernel-y delta --engine cpu", same);
    place.fails(1, "independence x.csv constant.csv --engine cpu", same);
}

#[test]
fn variables_are_tested_for_independence() {
    let place = Place::new();
    place.write("x.csv", csv(60, 2, 0.0));
    let rows = csv(60, 2, 0.0);
    let first = |line: &str| line.split(',').next().and_then(|v| v.parse::<f64>().ok()).expect("a number");
    place.write("y.csv", rows.lines().map(|line| format!("{}\n", first(line).powi(2))).collect::<String>());
    let words = |line: &str| if first(line) < 0.0 { "low\n" } else { "high\n" };
    place.write("words.csv", rows.lines().map(words).collect::<String>());
    let result = place.json("independence x.csv y.csv --permutations 199 --engine cpu --json --out pictures");
    for field in
        ["n", "hsic_biased", "hsic_unbiased", "cka", "distance_correlation", "p_value", "exceedances"]
    {
        assert!(result[field].is_number(), "{field}: {result}");
    }
    assert_eq!((&result["p_value"], &result["reject"]), (&0.005.into(), &true.into()));
    assert!(result["mutual_information"]["nats"].as_f64() > Some(0.5), "{result}");
    assert!(place.path("pictures/null.png").exists());
    let labels =
        place.json("independence x.csv words.csv --kernel-y delta --permutations 199 --engine cpu --json");
    assert_eq!((&labels["reject"], &labels["y"]["kernel"]), (&true.into(), &"delta".into()));
    assert!(labels["distance_correlation"].is_null(), "labels have none");
    let gamma =
        place.elbo("independence x.csv y.csv --null gamma --check --engine cpu").output().expect("a process");
    assert_eq!(gamma.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&gamma.stdout).contains("depend on each other"));

    place.write("short.csv", csv(59, 1, 0.0));
    place.fails(1, "independence x.csv short.csv --engine cpu", &["short.csv", "59 rows", "x.csv has 60"]);
    place.fails(1, "independence x.csv words.csv --engine cpu", &["words.csv", "line 2"]);
    place.fails(
        2,
        "independence x.csv y.csv --kernel energy --null gamma --engine cpu",
        &["bounded kernels"],
    );
}

/// The rows of a combined test, and how many of them would reject.
fn rows(result: &Value) -> (usize, usize) {
    let rows = result["kernels"].as_array().expect("a list");
    assert!(rows.iter().all(|row| row["p_value"].is_number()), "{result}");
    (rows.len(), rows.iter().filter(|row| row["reject"] == true).count())
}

#[test]
fn independence_is_tested_with_many_kernels() {
    let place = Place::new();
    place.write("x.csv", csv(60, 2, 0.0));
    let first = |line: &str| line.split(',').next().and_then(|v| v.parse::<f64>().ok()).expect("a number");
    let each =
        |f: &dyn Fn(f64) -> String| csv(60, 2, 0.0).lines().map(|line| f(first(line))).collect::<String>();
    place.write("y.csv", each(&|x| format!("{}\n", 100.0 * x * x)));
    place.write("words.csv", each(&|x| if x < 0.0 { "low\n".into() } else { "high\n".into() }));
    let many = "--aggregate agg --permutations 199 --engine cpu";
    let result = place.json(&format!("independence x.csv y.csv {many} --json --out pictures"));
    for field in ["n", "statistic", "p_value", "p_standard_error", "exceedances", "permutations", "alpha"] {
        assert!(result[field].is_number(), "{field}: {result}");
    }
    assert_eq!(
        (&result["p_value"], &result["reject"], &result["null"]),
        (&0.005.into(), &true.into(), &"exact".into())
    );
    assert!(rows(&result).0 == 25 && rows(&result).1 > 1, "{result}");
    let row = &result["kernels"][7];
    let of = |letter: &str, i: usize| result[letter]["bandwidths"][i].clone();
    assert_eq!((&row["bandwidth_x"], &row["bandwidth_y"]), (&of("x", 1), &of("y", 2)), "{result}");
    assert!(of("y", 0).as_f64() > of("x", 4).as_f64(), "Y's bandwidths are its own");
    assert!(place.path("pictures/null.png").exists());

    let labels =
        place.json(&format!("independence x.csv words.csv --kernel-y delta --null wild {many} --json"));
    assert_eq!((rows(&labels).0, &labels["null"]), (5, &"wild".into()));
    let given =
        place.json(&format!("independence x.csv y.csv --bandwidth 0.5,1 --bandwidth-y 20 {many} --json"));
    assert_eq!((rows(&given).0, &given["kernels"][1]["bandwidth_x"]), (2, &1.0.into()));
    let only_y = place.json(&format!("independence x.csv y.csv --bandwidth-y 20 {many} --json"));
    assert_eq!((rows(&only_y).0, &only_y["kernels"][0]["bandwidth_y"]), (5, &20.0.into()));

    let text = place.elbo(&format!("independence x.csv y.csv {many} --check")).output().expect("a process");
    assert_eq!(text.status.code(), Some(3));
    let stdout = String::from_utf8_lossy(&text.stdout);
    for words in ["in the combined test", "depend on each other", "of all kernels together"] {
        assert!(stdout.contains(words), "{stdout}");
    }
    for (rest, words) in [
        ("--aggregate fuse", "--aggregate agg"),
        ("--aggregate agg --null gamma", "needs draws"),
        ("--aggregate agg --permutations 9", "use at least 19"),
    ] {
        place.fails(2, &format!("independence x.csv y.csv {rest} --engine cpu"), &[words]);
    }
}

#[test]
fn fit_is_tested_with_many_kernels() {
    let place = Place::new();
    place.write("x.csv", csv(80, 1, 0.0));
    place.write("near.json", r#"{"family": "gaussian", "mean": [0], "covariance": [[0.4]]}"#);
    place.write("far.json", r#"{"family": "gaussian", "mean": [1], "covariance": [[0.4]]}"#);
    let both = "--model near.json --model far.json --aggregate agg --engine cpu";
    let result = place.json(&format!("fit x.csv {both} --kernel imq --json --out pictures"));
    let models = result["models"].as_array().expect("a list");
    for (model, name) in models.iter().zip(["near", "far"]) {
        assert_eq!((&model["name"], rows(model).0), (&name.into(), 10));
        for field in ["p_value", "exceedances", "permutations", "statistic"] {
            assert!(model[field].is_number(), "{field}: {model}");
        }
        assert!(place.path(&format!("pictures/{name}.png")).exists());
    }
    assert!(models[1]["reject"] == true && rows(&models[1]).1 > 1, "{result}");
    assert!(result["relative"].is_null(), "models are compared with one kernel alone");
    let fitted = "--fit gaussian:1 --aggregate agg --permutations 19 --engine cpu";
    let parametric = place.json(&format!("fit x.csv {fitted} --bandwidth 0.5,1 --null parametric --json"));
    assert_eq!(
        (&parametric["models"][0]["null"], rows(&parametric["models"][0]).0),
        (&"parametric".into(), 2)
    );
    let output = place.elbo(&format!("fit x.csv {fitted}")).output().expect("a process");
    assert!(String::from_utf8_lossy(&output.stderr).contains("fitted to this sample"), "a warning");
    let output = place.elbo(&format!("fit x.csv {both} --check")).output().expect("a process");
    assert_eq!(output.status.code(), Some(3));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("does not fit") && stdout.contains("does not come from this model"), "{stdout}");
    for (rest, words) in [
        ("--aggregate fuse", "--aggregate agg"),
        ("--aggregate agg --kernel laplace", "smooth kernel"),
        ("--aggregate agg --permutations 9", "use at least 19"),
    ] {
        place.fails(2, &format!("fit x.csv --model near.json {rest} --engine cpu"), &[words]);
    }
}

#[test]
fn a_budget_of_pairs_is_reported_with_what_it_leaves() {
    let place = Place::new();
    for name in ["x.csv", "y.csv"] {
        place.write(name, csv(60, 2, 0.0));
    }
    place.write("model.json", r#"{"family": "gaussian", "mean": [0, 0], "covariance": [1, 1]}"#);
    let rest = "--null wild --budget 3 --permutations 99 --engine cpu --json";
    let compared = place.json(&format!("compare x.csv y.csv --aggregate fuse {rest}"));
    let dependent = place.json(&format!("independence x.csv y.csv {rest}"));
    let fitted = place.json(&format!("fit x.csv --model model.json {rest}"))["models"][0].clone();
    for result in [&compared, &dependent, &fitted] {
        assert_eq!((&result["budget"], &result["null"]), (&3.into(), &"wild".into()), "{result}");
    }
    for field in ["hsic_biased", "hsic_unbiased", "cka", "distance_correlation"] {
        assert!(dependent[field].is_null(), "{field} is of all pairs: {dependent}");
    }
    assert!(dependent["statistic"].is_number() && fitted["ksd2_unbiased"].is_number());
    assert!(fitted["ksd2_biased"].is_null(), "{fitted}");
    assert_eq!(fitted["pairs"], 59.0 + 58.0 + 57.0);
    let complete = place.json("fit x.csv --model model.json --permutations 99 --engine cpu --json");
    assert!(complete["models"][0].get("budget").is_none(), "{complete}");

    for (arguments, words) in [
        ("compare x.csv y.csv --null wild --budget 3", "--aggregate"),
        ("compare x.csv y.csv --aggregate agg --budget 3 --permutations 99", "--null wild"),
        ("independence x.csv y.csv --budget 3", "--null wild"),
        ("independence x.csv y.csv --null wild --budget 0", "at least 1"),
        ("fit x.csv --model model.json --null parametric --budget 3", "--null wild"),
        ("fit x.csv --model model.json --model model.json --budget 3", "one model"),
    ] {
        place.fails(2, &format!("{arguments} --engine cpu"), &[words]);
    }
}

#[test]
fn models_are_tested_for_their_fit() {
    let place = Place::new();
    place.write("x.csv", csv(80, 1, 0.0));
    place.write("near.json", r#"{"family": "gaussian", "mean": [0], "covariance": [[0.4]]}"#);
    place.write("far.json", r#"{"family": "gaussian", "mean": [1], "covariance": [[0.4]]}"#);
    let both = place.json("fit x.csv --model near.json --model far.json --engine cpu --json --out pictures");
    let models = both["models"].as_array().expect("a list");
    for (model, name) in models.iter().zip(["near", "far"]) {
        assert_eq!(model["name"], name);
        for field in ["ksd2_unbiased", "ksd2_biased", "p_value", "exceedances", "permutations"] {
            assert!(model[field].is_number(), "{field}: {model}");
        }
        assert!(place.path(&format!("pictures/{name}.png")).exists());
    }
    assert_eq!((&models[1]["reject"], &both["better"]), (&true.into(), &"near".into()));
    let fitted =
        place.json("fit x.csv --fit gaussian:1 --null parametric --permutations 19 --engine cpu --json");
    assert_eq!(fitted["models"][0]["null"], "parametric");
    let output = place.elbo("fit x.csv --model far.json --engine cpu --check").output().expect("a process");
    assert_eq!(output.status.code(), Some(3));

    place.write("cauchy.json", r#"{"family": "cauchy", "location": [0]}"#);
    place.write("gamma.json", r#"{"family": "gamma", "shape": [2], "scale": [1]}"#);
    place.write("wide.json", r#"{"family": "gaussian", "mean": [0, 0], "covariance": [1, 1]}"#);
    let fails = |code, rest: &str, words: &[&str]| {
        place.fails(code, &format!("fit x.csv {rest} --engine cpu"), words)
    };
    fails(1, "--model cauchy.json", &["cauchy", "student-t"]);
    fails(1, "--model gamma.json", &["density is zero", "row"]);
    fails(1, "--model wide.json", &["2 dimensions", "1 columns"]);
    fails(1, "--model missing.json", &["missing.json"]);
    fails(2, "", &["--model", "--fit"]);
    fails(2, "--fit gaussian:none", &["gaussian:K"]);
    fails(2, "--model near.json --kernel laplace", &["smooth kernel"]);
}

#[test]
fn the_closer_of_two_samples_is_found() {
    let place = Place::new();
    place.write("real.csv", csv(80, 1, 0.0));
    place.write("a.csv", csv(70, 1, 1.0));
    place.write("b.csv", csv(90, 1, 0.1));
    let result = place.json("closer real.csv a.csv b.csv --engine cpu --json --out pictures");
    assert!(place.path("pictures/null.png").exists());
    for field in ["mmd2_a", "mmd2_b", "difference", "standard_error", "p_value"] {
        assert!(result[field].is_number(), "{field}: {result}");
    }
    assert_eq!(result["closer"], "b");
    let result = place.json("closer real.csv a.csv b.csv --kid --engine cpu --json");
    assert!(result["kid"]["difference"]["kid"].as_f64() > Some(0.0), "B is closer: {result}");
    assert!(place.succeeds("closer real.csv a.csv b.csv --kid --engine cpu").contains("A less B"));
    place.write("huge.csv", csv(80, 1, 0.0).replace('\n', "e120\n"));
    let result = place.json("closer real.csv huge.csv b.csv --kid --engine cpu --json");
    assert!(result["kid"].is_null() && result["warnings"].to_string().contains("no KID"), "{result}");
    let text = place.succeeds("closer real.csv a.csv a.csv --engine cpu --check");
    assert!(text.contains("neither was found to be closer"), "{text}");
    place.write("wide.csv", csv(80, 2, 0.0));
    place.fails(
        1,
        "closer real.csv a.csv wide.csv --engine cpu",
        &["wide.csv", "2 columns", "real.csv has 1"],
    );
}

#[test]
fn a_witness_is_written_and_drawn() {
    let place = Place::new();
    for columns in [1, 2, 3] {
        place.write("a.csv", csv(30, columns, 0.0));
        place.write("b.csv", csv(20, columns, 0.5));
        let result = place.json(&format!("witness a.csv b.csv --engine cpu --json --out w{columns}"));
        assert_eq!(result["more_of_x"].as_array().map(Vec::len), Some(5));
        assert_eq!(
            place.text(&format!("w{columns}/witness.csv")).lines().count(),
            51,
            "a header and all points"
        );
        assert_eq!(place.path(&format!("w{columns}/witness.png")).exists(), columns < 3, "{columns} columns");
    }
    // Images of a trained run against the data: the lecture's question.
    place.train("--out run --epochs 1");
    let text = place.succeeds("witness data:test run:run:9 --engine cpu --out images");
    assert!(text.contains("run:run:9: 9 points"), "{text}");
    assert!(place.path("images/witness.png").exists());
    let result = place.json("compare data:test run:run --engine cpu --permutations 99 --json");
    assert_eq!((&result["n"], &result["m"]), (&16.into(), &16.into()), "as many as the other sample");
    let by_code = "compare data:test run:run --encoder run --kid --engine cpu --permutations 99";
    let result = place.json(&format!("{by_code} --json"));
    assert_eq!(
        (&result["d"], &result["kid"]["points"]),
        (&3.into(), &8.into()),
        "codes, in halves: {result}"
    );
    let text = place.succeeds(by_code);
    assert!(text.contains("KID ") && text.contains("over 100 subsets of 8 points"), "{text}");
    place.write("x.csv", csv(30, 3, 0.0));
    place.fails(
        1,
        "compare x.csv x.csv --encoder run --engine cpu",
        &["x.csv", "3 numbers in a row", "images of 30"],
    );
}

#[test]
fn a_bandwidth_is_one_number() {
    let place = Place::new();
    place.write("a.csv", "0\n1\n3\n");
    let text = place.succeeds("bandwidth a.csv --engine cpu");
    assert_eq!(text.trim(), "2", "of the distances 1, 2, 3");
    let result = place.json("bandwidth a.csv a.csv --kernel laplace --bandwidth 2*mean --engine cpu --json");
    assert!(result["bandwidths"][0].is_number() && result["bandwidth_rule"] == "2*mean", "{result}");
}

/// The repetitions of a log without their seconds, in order.
fn repetitions(log: &str) -> Vec<String> {
    let mut lines: Vec<String> = log
        .lines()
        .skip(1)
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            let seconds = line.as_object_mut().expect("an object").remove("seconds");
            assert!(seconds.is_some_and(|s| s.as_f64() >= Some(0.0)), "{line}");
            line.to_string()
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn rejections_are_counted_by_parameter() {
    let place = Place::new();
    let arguments = "power mean-shift --parameters 4,0 --n 40 --m 30 --repetitions 6 --engine cpu";
    let text = place.succeeds(&format!("{arguments} --out curve"));
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 3, "{text}");
    assert_eq!(
        rows[0].join(" "),
        "delta rejection rate standard error rejections repetitions seconds",
        "{text}"
    );
    // Four standard deviations are seen in all of six.
    assert_eq!((rows[1][0], rows[1][4], &rows[2][..5]), ("0", "6", &["4", "1.000", "0.000", "6", "6"][..]));
    assert!(place.read("curve/power.png").starts_with(b"\x89PNG"), "a picture");
    let result = place.json(&format!("{arguments} --out curve --json"));
    let header = "parameter,rejection_rate,standard_error,rejections,repetitions,seconds";
    let csv = place.text("curve/power.csv");
    assert_eq!(csv.lines().next(), Some(header));
    for (row, point) in csv.lines().skip(1).zip(result["results"].as_array().expect("a list")) {
        let number = |name: &str| point[name].as_f64().unwrap_or_else(|| panic!("{name}: {result}"));
        let row: Vec<f64> = row.split(',').map(|cell| cell.parse().expect("a number")).collect();
        let same = |(a, b): (&f64, f64)| (a - b).abs() <= 1e-12 * b.abs();
        assert!(row.len() == 6 && row.iter().zip(header.split(',').map(number)).all(same), "{row:?}");
        let rate = number("rejections") / 6.0;
        assert!((number("rejection_rate") - rate).abs() < 1e-12, "{result}");
        assert!((number("standard_error") - (rate * (1.0 - rate) / 6.0).sqrt()).abs() < 1e-12);
    }
    for (field, value) in
        [("problem", "mean-shift"), ("test", "mmd"), ("parameter", "delta"), ("out", "curve")]
    {
        assert_eq!(result[field], value, "{result}");
    }
    assert_eq!((&result["n"], &result["m"], &result["permutations"]), (&40.into(), &30.into(), &199.into()));

    let few = "--n 30 --repetitions 2 --permutations 19 --engine cpu --json";
    let result = place.json(&format!("power rotated-ica {few} --kernel laplace,gaussian"));
    assert_eq!((&result["test"], &result["kernels"][1]), (&"hsic".into(), &"gaussian".into()));
    assert_eq!(result["results"].as_array().map(Vec::len), Some(6), "the problem's own parameters");
    assert!(place.path("power/rotated-ica/power.png").exists(), "the directory of the problem");
    let result = place.json(&format!("power laplace --test ksd --parameters 1 --bandwidth 0.5*median {few}"));
    assert_eq!((&result["test"], &result["bandwidth"]), (&"ksd".into(), &"0.5*median".into()));
    let result = place.json(&format!("power label-noise --data digits --parameters 0 {few}"));
    assert_eq!(result["results"][0]["repetitions"], 2, "{result}");
}

#[test]
fn a_power_curve_goes_on_where_it_stopped() {
    let place = Place::new();
    let few = "power mean-shift --n 20 --permutations 39 --engine cpu";
    let arguments = format!("{few} --parameters 0.1,2 --repetitions 6");
    place.succeeds(&format!("{arguments} --out whole"));
    let whole = place.text("whole/power.jsonl");
    assert_eq!(repetitions(&whole).len(), 12);

    // The settings, four repetitions, and half of the fifth.
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let kept = lines[..5].concat();
    fs::create_dir(place.path("parts")).expect("a directory");
    place.write("parts/power.jsonl", format!("{kept}{}", &lines[5][..20]));
    let output = place.elbo(&format!("{arguments} --out parts")).output().expect("a process");
    succeeds(&output);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("4 of 12 repetitions are there already"), "{stderr}");
    let parts = place.text("parts/power.jsonl");
    assert!(parts.starts_with(&kept), "what was there is kept");
    assert_eq!(repetitions(&parts), repetitions(&whole));

    // More repetitions and parameters.
    place.succeeds(&format!("{few} --parameters 2 --repetitions 3 --out parts --force"));
    assert_eq!(repetitions(&place.text("parts/power.jsonl")).len(), 3, "begun anew");
    place.succeeds(&format!("{arguments} --out parts"));
    let parts = place.text("parts/power.jsonl");
    assert_eq!(repetitions(&parts), repetitions(&whole));
    place.succeeds(&format!("{arguments} --out parts"));
    assert_eq!(place.text("parts/power.jsonl"), parts, "nothing is left to do");

    let words = ["whole/power.jsonl", "alpha 0.05 instead of 0.1", "seed 0 instead of 7", "--force"];
    place.fails(1, &format!("{arguments} --alpha 0.1 --seed 7 --out whole"), &words);
    assert_eq!(place.text("whole/power.jsonl"), whole, "it is as it was");
    place.succeeds(&format!("{arguments} --seed 7 --out whole --force"));
    let other = place.text("whole/power.jsonl");
    assert!(repetitions(&other).len() == 12 && repetitions(&other) != repetitions(&whole));

    place.write("whole/power.jsonl", "nothing\n");
    place.fails(1, &format!("{arguments} --out whole"), &["whole/power.jsonl", "no settings", "--force"]);
    place.write("parts/power.jsonl", format!("{kept}nothing\n"));
    place.fails(1, &format!("{arguments} --out parts"), &["parts/power.jsonl", "line 6", "--force"]);
}

#[test]
fn power_of_what_is_no_test_of_the_problem() {
    let place = Place::new();
    for (code, rest, words) in [
        (2, "blobs --test hsic", &["`hsic`", "`blobs`", "--test mmd or agg or fuse"][..]),
        (2, "blobs --test ksd", &["`ksd`", "--test mmd or agg or fuse"]),
        (2, "laplace --test ksd --m 5", &["one sample of 500 points", "--m"]),
        (2, "rotated-ica --m 5", &["`hsic`", "--m"]),
        (2, "rotated-ica --test ksd-agg", &["`ksd-agg`", "--test hsic or hsic-agg"]),
        (2, "rbm --test agg --kernel delta,gaussian --parameters -1", &["sigma -1", "from 0"]),
        (2, "digit-subsets", &["images of digits", "--data"]),
        (2, "blobs --data data", &["not made of images", "--data data"]),
        (2, "perturbed-uniform --parameters 0.1,2", &["amplitude 2", "from 0 to 1"]),
        (2, "perturbed-uniform --kernel gaussian,laplace", &["at most 1 of --kernel"]),
        (2, "mixture --permutations 9", &["9 permutations", "19"]),
        (1, "digit-subsets --data nosuch", &["nosuch", "no such file or directory"]),
        (1, "digit-subsets --data data", &["6 x 5 pixels"]),
        (1, "perturbed-uniform --n 1", &["at least two"]),
    ] {
        place.fails(code, &format!("power {rest} --engine cpu"), words);
    }
    place.misused("power blobs --repetitions 0", &["--repetitions"]);
    place.misused("power spheres", &["spheres", "blobs"]);
}

#[test]
fn pairs_are_counted_by_the_second() {
    let place = Place::new();
    let result = place.json("bench mmd --n 40 --m 30 --d 2 --permutations 9 --engine cpu --json");
    let results = result["results"].as_array().expect("a list");
    let what: Vec<&Value> = results.iter().map(|r| &r["what"]).collect();
    assert_eq!(what, ["sum", "mmd", "product", "test"]);
    assert!(
        results.iter().all(|r| r["per_second"].as_f64() > Some(0.0) && r["unit"] == "pairs/s"),
        "{result}"
    );
}

#[test]
fn kernels_are_timed_one_by_one() {
    let place = Place::new();
    let sizes = "--batch 8 --dimension 30 --hidden 8 --latent 3 --n 40 --d 2,9";
    let listing = place.json(&format!("bench kernels {sizes} --engine cpu --json"));
    let results = listing["results"].as_array().expect("a list");
    assert_eq!(results.len(), 12 + 2, "a training step, and a pair sum for each d");
    for result in results {
        for number in ["seconds", "per_second", "share"] {
            assert!(result[number].as_f64() > Some(0.0), "{number} of {result}");
        }
    }
    for ceiling in ["multiply_adds", "exponentials", "bytes", "dispatch"] {
        assert!(listing["ceiling"][ceiling].as_f64() > Some(0.0), "{ceiling} of {listing}");
    }
}

#[test]
fn training_speed_is_measured_on_any_images() {
    let place = Place::new();
    let result = place.json("bench train --data data --engine cpu --batch 8 --epochs 1 --hidden 8 --json");
    let results = result["results"].as_array().expect("a list");
    assert_eq!((&results[0]["n"], &results[0]["d"], &results[0]["m"]), (&64.into(), &30.into(), &8.into()));
    assert!(results[0]["per_second"].as_f64() > Some(0.0), "{result}");
    assert!(results[0]["fraction"].as_f64() > Some(0.0), "of the bare products: {result}");
    place.fails(1, "bench train --data nosuch --engine cpu", &["nosuch"]);
}

#[test]
fn every_command_has_help_with_examples() {
    let place = Place::new();
    let commands = [
        "",
        "train",
        "resume",
        "evaluate",
        "draw",
        "program",
        "devices",
        "bench",
        "bench train",
        "bench mmd",
        "bench kernels",
        "compare",
        "reference",
        "witness",
        "independence",
        "fit",
        "closer",
        "bandwidth",
        "power",
        "data",
    ];
    for command in commands {
        let help = place.succeeds(&format!("{command} --help"));
        assert!(help.contains("Examples:") && help.contains("Usage: elbo"), "{command}: {help}");
    }
    assert!(place.succeeds("--version").starts_with("elbo "));
}

#[test]
fn errors_are_json_too_and_shells_get_their_completions() {
    let place = Place::new();
    for (arguments, code, word) in [
        ("evaluate nothing --json", 1, "nothing"),
        ("train --latent 0 --json", 2, "--latent is 0"),
        ("train --latents 3 --json", 2, "unexpected argument '--latents'"),
        ("compare --json", 2, "were not provided"),
    ] {
        let output = place.elbo(arguments).output().expect("a process");
        fails(&output, code, &[word]);
        assert!(
            json(&String::from_utf8_lossy(&output.stdout))["error"]
                .as_str()
                .is_some_and(|e| e.contains(word))
        );
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let mut command = place.elbo("evaluate --json");
        let output = command.arg(std::ffi::OsStr::from_bytes(b"\xff")).output().expect("a process");
        fails(&output, 1, &["there is no such run directory"]);
    }
    assert_eq!(place.elbo("evaluate nothing").output().expect("a process").stdout, b"", "without --json");
    for (shell, start) in [("bash", "_elbo()"), ("zsh", "#compdef elbo"), ("fish", "# Print an optspec")] {
        let text = place.succeeds(&format!("completions {shell}"));
        assert!(
            text.contains(start) && text.contains("independence") && text.contains("permutations"),
            "{text}"
        );
    }
    place.succeeds("completions man --out pages");
    assert!(place.text("pages/elbo-compare.1").contains(".TH"), "a page for each command");
    place.fails(2, "completions man", &["--out DIR"]);
}

#[cfg(unix)]
mod interrupted {
    use super::*;
    use std::process::{Child, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    /// More than any test waits for.
    const FOREVER: &str = "--epochs 18446744073709551615";

    fn start(place: &Place, arguments: &str, stream: fn() -> Stdio) -> Child {
        let mut command = std::process::Command::new(ELBO);
        command.current_dir(place.0.path()).args(arguments.split_whitespace());
        command.stdout(stream()).stderr(stream()).spawn().expect("a process")
    }

    #[test]
    fn ctrl_c_saves_and_resume_goes_on() {
        let place = Place::new();
        let child = start(&place, &format!("train {SMALL} --out run --json {FOREVER}"), Stdio::piped);
        let metrics = place.path("run/metrics.jsonl");
        let since = Instant::now();
        while fs::metadata(&metrics).map_or(0, |metrics| metrics.len()) == 0 {
            assert!(since.elapsed() < Duration::from_secs(30), "training does not start");
            sleep(Duration::from_millis(1));
        }
        // Shells let SIGINT be ignored by what they start in the background, and so does a program that they start.
        let ignored = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = ignored
            .lines()
            .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
        let (signal, code) = if mask.unwrap_or(0) & 2 == 0 { ("-INT", 130) } else { ("-TERM", 143) };
        let kill = Command::new("kill").args([signal, &child.id().to_string()]).output().expect("kill");
        assert!(kill.status.success());
        let output = child.wait_with_output().expect("the end");
        assert_eq!(output.status.code(), Some(code), "128 and the number of {signal}");
        let summary = json(&String::from_utf8_lossy(&output.stdout));
        assert_eq!(summary["interrupted"], true);
        let steps = summary["steps"].as_u64().expect("steps");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let how = format!("stopped and saved at step {steps}; go on with: elbo resume run");
        assert!(stderr.contains(&how), "{stderr}");

        let epochs = steps.div_ceil(8) + 1;
        place.succeeds(&format!("resume run --epochs {epochs}"));
        place.train(&format!("--out straight --epochs {epochs}"));
        let last = 8 * epochs;
        assert!(place.checkpoint("run", last) == place.checkpoint("straight", last), "checkpoints differ");
        place.lines_without_repetition("run");
    }

    #[test]
    fn a_kill_at_any_moment_leaves_a_run_that_goes_on() {
        let place = Place::new();
        let mut state = 20_u64;
        let mut steps = 0;
        for attempt in 0..20 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let delay = Duration::from_millis(5 + (state >> 33) % 396);
            let arguments = match place.path("run").exists() {
                true => "resume run".into(),
                false => format!("train {SMALL} --out run {FOREVER}"),
            };
            let mut child = start(&place, &arguments, Stdio::null);
            sleep(delay);
            let early = child.try_wait().expect("a state");
            assert!(early.is_none(), "attempt {attempt}, `{arguments}` ended by itself: {early:?}");
            child.kill().expect("a kill");
            child.wait().expect("the end");
            if place.path("run").exists() {
                let now = place.json("evaluate run --engine cpu --json")["steps"].as_u64().expect("steps");
                assert!(now >= steps, "attempt {attempt}: {now} steps after {steps}");
                steps = now;
            }
        }
        assert!(steps > 0, "nothing was trained in 20 attempts");
        let epochs = steps / 8 + 3;
        let summary = place.json(&format!("resume run --epochs {epochs} --json"));
        assert_eq!(summary["steps"], 8 * epochs);
        place.lines_without_repetition("run");
    }
}

/// A file of NumPy of bytes.
fn npy(kind: &str, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let shape: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    let header = format!("{header:<117}\n");
    let length = u16::try_from(header.len()).expect("a short header").to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), bytes].concat()
}

/// Rows of two numbers, a place and a plan; the share of rows in `Bern`, and how often a plan is missing.
fn mixed(rows: usize, bern: usize, missing: usize) -> String {
    let row = |i: usize| {
        let city = if i * 7 % 100 < bern { "Bern" } else { "Chur, GR" };
        let plan = if i * 13 % 100 < missing { "" } else { ["free", "paid"][i % 2] };
        format!("{},{},\"{city}\",{plan}\n", i * 37 % 101, (i * 53 % 97) as f64 / 10.0)
    };
    std::iter::once("age,spent,city,plan\n".to_owned()).chain((0..rows).map(row)).collect()
}

#[test]
fn categories_are_compared_beside_numbers() {
    let place = Place::new();
    place.write("old.csv", mixed(200, 50, 10));
    place.write("same.csv", mixed(150, 50, 10));
    place.write("moved.csv", mixed(150, 90, 10));
    place.write("holes.csv", mixed(150, 50, 60));
    let compare = "compare old.csv --engine cpu --json --permutations 199 --categories city,plan";
    let compared = |new: &str| place.json(&compare.replacen("old.csv", &format!("old.csv {new}"), 1));
    let same = compared("same.csv");
    assert_eq!((&same["reject"], &same["d"]), (&false.into(), &4.into()), "{same}");
    assert_eq!(same["categories"]["names"], serde_json::json!(["city", "plan"]));
    assert_eq!(same["categories"]["classes"], serde_json::json!([2, 3]), "a missing plan is a class");
    let moved = compared("moved.csv");
    assert_eq!(moved["reject"], true, "{moved}");
    let first = &moved["columns"][0];
    assert_eq!(first["name"], "city");
    assert!(first["total_variation"].as_f64() > Some(0.3), "{first}");
    assert_eq!(compared("holes.csv")["columns"][0]["class"], "(missing)");
    let text = place.succeeds("compare old.csv moved.csv --engine cpu --categories city,plan");
    assert!(text.contains("categories city (2 classes), plan (3 classes)"), "{text}");
    place.fails(1, "compare old.csv moved.csv --engine cpu", &["line 2, column `city`", "--categories"]);
    place.fails(1, "compare old.csv same.csv --engine cpu --categories town", &["there is no column `town`"]);
    // Numbers of classes are no brightness, in whichever order they come.
    let bytes = |first: u8| -> Vec<u8> {
        (0..90).flat_map(|i| [(i + first) % 3, (usize::from(i) * 7 % 11) as u8]).collect()
    };
    place.write("p.npy", npy("|u1", &[90, 2], &bytes(0)));
    place.write("q.npy", npy("|u1", &[90, 2], &bytes(1)));
    let found = place.json("compare p.npy q.npy --engine cpu --json --permutations 99 --categories 0,0");
    assert_eq!((&found["reject"], &found["d"]), (&false.into(), &2.into()), "{found}");
    let options = "--engine cpu --columns 1 --categories 0";
    place.fails(1, &format!("compare p.npy q.npy {options}"), &["not among the columns"]);
    for options in ["--aggregate agg", "--kernel energy", "--features 10", "--bandwidth 1,2"] {
        let arguments = format!("compare old.csv same.csv --engine cpu --categories city,plan {options}");
        fails(&place.elbo(&arguments).output().expect("a process"), 2, &["categories"]);
    }
}

#[test]
fn a_reference_is_compared_with_new_rows_again_and_again() {
    let place = Place::new();
    place.write("old.csv", mixed(300, 50, 10));
    place.write("same.csv", mixed(150, 50, 10));
    place.write("moved.csv", mixed(150, 90, 10));
    let made = "reference old.csv --out ref.elbo --points 200 --categories city,plan --engine cpu";
    let text = place.succeeds(made);
    assert!(text.contains("200 of 300 rows, d = 4"), "{text}");
    place.fails(1, made, &["ref.elbo", "exists already", "--force"]);
    place.succeeds(&format!("{made} --force"));
    fs::remove_file(place.path("old.csv")).expect("removed");
    place.succeeds("compare ref.elbo same.csv --engine cpu --check");
    let moved =
        place.elbo("compare ref.elbo moved.csv --engine cpu --check --json").output().expect("a process");
    assert_eq!(moved.status.code(), Some(3));
    let moved = json(std::str::from_utf8(&moved.stdout).expect("UTF-8"));
    assert_eq!(
        (&moved["reference"]["rows"], &moved["reference"]["rows_of_source"]),
        (&200.into(), &300.into())
    );
    assert_eq!(
        (&moved["n"], &moved["m"], &moved["columns"][0]["name"]),
        (&200.into(), &150.into(), &"city".into())
    );
    let again = place.json("compare ref.elbo moved.csv --engine cpu --json");
    assert_eq!(moved["statistic"], again["statistic"]);
    let said = place.succeeds("compare ref.elbo same.csv --engine cpu --alpha 0.05");
    assert!(said.contains("at least one would reject with a chance of 79 %"), "{said}");
    for (options, word) in
        [("--bandwidth 2", "its own"), ("--scale none", "its own"), ("--aggregate agg", "one kernel")]
    {
        place.fails(2, &format!("compare ref.elbo same.csv --engine cpu {options}"), &[word]);
    }
    place.fails(2, "compare ref.elbo same.csv --engine cpu --columns age", &["its own"]);
    place.fails(2, "compare ref.elbo same.csv --engine cpu --null series", &["--points of the reference"]);
    place.write("twice.csv", "a,a,b\n1,2,3\n4,5,6\n");
    place.fails(1, "reference twice.csv --out twice.elbo --engine cpu", &["two columns are called `a`"]);
    place.write("bytes.npy", npy("|u1", &[4, 2], &[0, 9, 3, 7, 5, 2, 1, 8]));
    place.fails(1, "reference bytes.npy --out bytes.elbo --engine cpu", &["brightness"]);
    place.fails(2, "compare ref.elbo --engine cpu", &["a new sample"]);
    place.fails(2, "reference same.csv --out ref.csv --engine cpu --categories city,plan", &["FILE.elbo"]);
    place.write("bad.elbo", b"no reference");
    place.fails(1, "compare bad.elbo same.csv --engine cpu", &["bad.elbo", "is no reference"]);
}

#[test]
fn results_are_reported_in_markdown_and_for_ci() {
    let place = Place::new();
    place.write("a.csv", "u,v\n".to_owned() + &csv(60, 2, 0.0));
    place.write("b.csv", "u,v\n".to_owned() + &csv(60, 2, 40.0));
    place
        .succeeds("compare a.csv b.csv --engine cpu --out new/pictures --report new/r.md --report new/r.xml");
    let (markdown, junit) = (place.text("new/r.md"), place.text("new/r.xml"));
    for part in [
        "# Do a.csv and b.csv differ?",
        "**the samples differ",
        "![columns](pictures/columns.png)",
        "| u | yes |",
    ] {
        assert!(markdown.contains(part), "{part}: {markdown}");
    }
    assert!(junit.contains("tests=\"3\" failures=\"3\""), "{junit}");
    assert!(place.path("new/pictures/columns.png").exists());
    place.write("one.csv", csv(60, 1, 0.0));
    place.succeeds(
        "fit one.csv --fit gaussian:1 --permutations 19 --engine cpu --report fit.md --out pictures",
    );
    assert!(place.path("pictures/densities.png").exists());
    assert!(place.text("fit.md").contains("# Does one.csv come from gaussian:1?"));
    place.misused("compare a.csv b.csv --report r.pdf", &["r.pdf", "FILE.md"]);
}

#[test]
fn figures_and_runs_are_named_in_either_order() {
    let place = Place::new();
    place.train("--out run");
    let one = place.succeeds("draw run losses");
    assert_eq!(one, place.succeeds("draw losses run"), "the old order");
    assert!(one.trim_end().ends_with("losses.png"), "{one}");
    assert!(place.succeeds("draw run").lines().count() > 4, "all of them");
    let elsewhere = place.succeeds("draw run samples --out here");
    assert_eq!(elsewhere.trim_end(), Path::new("here").join("samples.png").display().to_string());
    place.fails(2, "draw run smaples", &["smaples", "losses, reconstructions, samples"]);
    place.fails(2, "draw samples", &["name a run", "elbo draw runs/001 samples"]);
}

#[test]
fn quiet_commands_say_results_alone_and_threads_change_no_test() {
    let place = Place::new();
    place.write("a.csv", csv(60, 2, 0.0));
    place.write("b.csv", csv(60, 2, 3.0));
    let run = |options: &str| {
        let output =
            place.elbo(&format!("compare a.csv b.csv --engine cpu {options}")).output().expect("a process");
        assert!(output.status.success());
        (String::from_utf8(output.stdout).expect("UTF-8"), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let (_, said) = run("");
    assert!(said.contains("engine: cpu"), "{said}");
    let (result, said) = run("--quiet");
    assert!(result.contains("p-value") && said.is_empty(), "{said}");
    let number = |options: &str| json(&run(options).0)["statistic"].clone();
    assert_eq!(number("--json --threads 1"), number("--json --threads 2"));
    place.fails(1, "compare a.csv nosuch.csv --quiet", &["nosuch.csv"]);
}

#[test]
fn a_gpu_by_another_name_and_negative_numbers_are_answered() {
    let place = Place::new();
    place.misused("train --engine cuda", &["cuda", "--engine gpu", "--adapter NAME"]);
    place.misused("train --engine tpu", &["tpu", "auto, gpu, cpu"]);
    place.write("a.csv", csv(20, 2, 0.0));
    for (option, word) in [("--bandwidth -1", "-1"), ("--alpha -0.1", "-0.1")] {
        let output = place.elbo(&format!("compare a.csv {option} --engine cpu")).output().expect("a process");
        assert!(fails(&output, 2, &[word]).contains("error: "), "{option}");
    }
    place.misused("compare a.csv --permutations -3", &["-3", "not negative"]);
}

#[test]
fn training_is_logged_for_tensorboard() {
    let place = Place::new();
    place.train("--tensorboard --out run");
    let folder = place.path("run/tensorboard");
    let names = |folder: &Path| {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&folder), ["events.out.tfevents.0000.elbo"]);
    let bytes = place.read("run/tensorboard/events.out.tfevents.0000.elbo");
    for tag in ["test/elbo", "train/loss", "encoder.0.weight", "samples", "brain.Event:2"] {
        assert!(bytes.windows(tag.len()).any(|window| window == tag.as_bytes()), "{tag}");
    }
    place.succeeds("resume run --epochs 31 --engine cpu");
    assert_eq!(names(&folder).len(), 2, "what was logged before stays");
    place.train("--out run --force");
    assert!(!folder.exists(), "--force removes what elbo made");
    assert!(!place.files().iter().any(|path| path.display().to_string().contains("run.old")));
}
