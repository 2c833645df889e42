//! Three people's ways through the program, each a script of commands as the README and the guides have them, on small data.
#![cfg(unix)]

use std::path::Path;
use std::process::Command;

/// Runs a script in an empty folder with the tables of the README, `elbo` being the program that was built.
fn walk(script: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = tempfile::tempdir().expect("a folder");
    for table in ["before.csv", "after.csv"] {
        std::fs::copy(root.join("docs").join(table), place.path().join(table)).expect("a copy");
    }
    let program = Path::new(env!("CARGO_BIN_EXE_elbo")).parent().expect("a folder");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(program.to_path_buf()).chain(std::env::split_paths(&path));
    let output = Command::new("bash")
        .arg(root.join("tests/paths").join(script))
        .current_dir(place.path())
        .env("PATH", std::env::join_paths(paths).expect("a path"))
        .env("XDG_RUNTIME_DIR", place.path())
        .output()
        .expect("bash");
    let [said, errors] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{script}: {said}\n{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}

#[test]
fn a_student_learns_digits_and_looks_at_their_codes() {
    walk("student.sh");
}

#[test]
fn a_researcher_trains_measures_and_takes_codes_elsewhere() {
    walk("researcher.sh");
}

#[test]
fn a_data_engineer_checks_last_nights_table() {
    walk("data-engineer.sh");
}
