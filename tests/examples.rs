//! Every example: it runs, its numbers are what the lecture says, and its picture is not blank.

use assert_cmd::Command;
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

/// Cargo, which builds what is not built where only this file's tests were asked for.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).args(["--quiet", "--manifest-path", MANIFEST]);
    command
}

/// What an example prints; it must leave this picture, with something on it.
fn run(example: &str, picture: &str) -> String {
    // All at once, so that cargo links them side by side.
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| _ = cargo(&["build", "--examples"]).assert().success());

    let place = TempDir::new().expect("a temporary directory");
    let assert = cargo(&["run", "--example", example])
        .arg("--")
        .arg(place.path())
        .env("XDG_RUNTIME_DIR", place.path())
        .assert()
        .success();
    let output = String::from_utf8(assert.get_output().stdout.clone()).expect("UTF-8");
    let path = place.path().join(picture);
    assert!(output.ends_with(&format!("picture: {}\n", path.display())), "{output}");
    check_picture(&path);
    output
}

/// Some of the picture is coloured or dark, and most of it is not just one line of text.
fn check_picture(path: &Path) {
    let picture = image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).into_rgb8();
    let pixels = picture.pixels().len();
    let inked = picture.pixels().filter(|pixel| pixel.0.iter().any(|&value| value < 240)).count();
    assert!(inked * 100 > pixels, "{}: {inked} of {pixels} pixels are not white", path.display());
}

/// The numbers of the line that starts with `name`, in order.
fn numbers(output: &str, name: &str) -> Vec<f64> {
    let line = output.lines().find_map(|line| line.trim_start().strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no line starts with {name}:\n{output}"));
    line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn feature_means() {
    let output = run("feature_means", "feature_means.png");
    // The true differences of E x and E x^2.
    for (q, true_x, true_x2) in [("N(0.3, 1)", 0.3, 0.09), ("N(0, 1.69)", 0.0, 0.69)] {
        let [x, x_error, x2, x2_error, .., p] = numbers(&output, q)[..] else { panic!("{q}:\n{output}") };
        assert!(
            (x - true_x).abs() < 3.0 * x_error && (x2 - true_x2).abs() < 3.0 * x2_error,
            "{q}:\n{output}"
        );
        assert!(p < 0.01, "{q}:\n{output}");
    }
    // The same mean and variance, yet another distribution. E x^4 is 6 for Laplace and 3 for the normal one.
    let [x, x_error, x2, x2_error, x4, x4_error, mmd2, p] = numbers(&output, "Laplace")[..] else {
        panic!("eight numbers:\n{output}")
    };
    assert!(x.abs() < 3.0 * x_error && x2.abs() < 3.0 * x2_error, "{output}");
    assert!(x4 > 3.0 * x4_error && (x4 - 3.0).abs() < 3.0 * x4_error, "{output}");
    assert!(mmd2 > 0.0 && p < 0.01, "{output}");
}

#[test]
fn kernel_trick() {
    let output = run("kernel_trick", "kernel_trick.png");
    let few = numbers(&output, "4 ");
    let many = numbers(&output, "48 ");
    assert_eq!((few.len(), many.len()), (3, 3), "{output}");
    assert!(few.iter().all(|&error| error > 1e-3), "{output}");
    assert!(many.iter().all(|&error| error < 1e-12), "{output}");
    // A wider kernel needs fewer features.
    assert!(few.windows(2).all(|pair| pair[0] < pair[1]), "{output}");
}

#[test]
fn vae() {
    let output = run("vae", "samples.png");
    let [first, last, test] = ["step 100", "step 500", "test images"].map(|name| numbers(&output, name)[0]);
    assert!(last < 0.95 * first && test < 0.95 * first, "the squared error falls:\n{output}");
}

#[test]
fn two_sample_test() {
    let output = run("two_sample_test", "two_sample_test.png");
    assert!(output.contains("the samples differ"), "{output}");
}

#[test]
fn goodness_of_fit() {
    let output = run("goodness_of_fit", "goodness_of_fit.png");
    let p = |name: &str| {
        let line = output.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.rsplit(' ')
            .next()
            .and_then(|p| p.parse::<f64>().ok())
            .unwrap_or_else(|| panic!("{name}:\n{output}"))
    };
    assert!(p("one Gaussian: ") <= 0.05 && p("two Gaussians: ") > 0.05, "{output}");
    assert!(output.contains("the better fit: two Gaussians"), "{output}");
}

#[test]
fn schedule() {
    let output = run("schedule", "schedule.png");
    for name in ["linear", "geometric"] {
        let line = |step: &str| {
            let line = output.lines().find(|line| line.split_whitespace().take(2).eq([name, step]));
            numbers(line.unwrap_or_else(|| panic!("{name}, {step}:\n{output}")), name)
        };
        let (middle, end) = (line("300"), line("599"));
        assert!(middle[1] > 4.0 && end[1] < 1.1, "beta: {output}");
        assert!(end[2] > middle[2] + 1.0, "KL: {output}");
    }
}

/// A new example needs a test here.
#[test]
fn each_example_has_a_test() {
    let tests = include_str!("examples.rs");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in std::fs::read_dir(folder).expect("the examples") {
        let path = entry.expect("a file").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        // Reconstructing needs a run, which tests/cli.rs has.
        assert!(name == "reconstruct" || tests.contains(&format!("run(\"{name}\"")), "{name} has no test");
    }
}
