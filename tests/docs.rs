//! The documents against what they describe: files, layers, kernels, commands, links.

use elbo::data::{Dataset, Images};
use elbo::kernel::ALL;
use elbo::model::Model;
use elbo::program::BufferId;
use elbo::train::{config::Config, session::model_config};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const DOCUMENTS: [&str; 13] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs/benchmarks.md",
    "docs/faq.md",
    "docs/guide-tests.md",
    "docs/guide-vae.md",
    "docs/library.md",
    "docs/pictures.md",
    "docs/reliability.md",
    "docs/where-it-runs.md",
];

/// The one test command, as the README gives it.
const TEST_COMMAND: &str = "scripts/test";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    text.replace("\r\n", "\n")
}

/// What follows a heading of a document, up to the next heading of the same level.
fn section(document: &str, heading: &str) -> String {
    let text = read(document);
    let start =
        text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{document} has no `{heading}`"));
    let body = &text[start + heading.len() + 2..];
    let level = heading.split(' ').next().unwrap_or_default();
    body[..body.find(&format!("\n{level} ")).unwrap_or(body.len())].to_owned()
}

/// The fenced blocks of a text: language and lines.
fn blocks(text: &str) -> Vec<(String, Vec<String>)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, Vec<String>)> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(language), None) => open = Some((language.to_owned(), Vec::new())),
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some((language, mut lines))) => {
                lines.push(line.to_owned());
                open = Some((language, lines));
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fenced block is not closed");
    blocks
}

/// The lines of the first fenced block under a heading.
fn first_block(document: &str, heading: &str) -> Vec<String> {
    let mut blocks = blocks(&section(document, heading));
    assert!(!blocks.is_empty(), "{document}, `{heading}`: no fenced block");
    blocks.remove(0).1
}

/// All files below a directory, as paths from the root with forward slashes.
fn files(directory: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(directory)).unwrap_or_else(|e| panic!("{directory}: {e}")) {
        let entry = entry.unwrap_or_else(|e| panic!("{directory}: {e}"));
        let path = format!("{directory}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Files of a directory with this extension.
fn sources(directory: &str, extension: &str) -> Vec<String> {
    let mut found = files(directory);
    found.retain(|path| path.ends_with(extension));
    assert!(!found.is_empty(), "{directory} has no {extension}");
    found
}

#[test]
fn every_file_says_what_it_is() {
    let mut said = BTreeMap::new();
    for directory in ["src", "tests", "examples", "benches"] {
        for path in sources(directory, ".rs") {
            let text = read(&path);
            let sentence = text.lines().next().and_then(|line| line.strip_prefix("//! ")).unwrap_or_default();
            assert!(sentence.contains(' '), "{path} does not begin with a sentence of its own, `//! ...`");
            if let Some(other) = said.insert(sentence.to_owned(), path.clone()) {
                panic!("{path} and {other} begin with the same sentence");
            }
        }
    }
    for path in sources("shaders", ".wgsl") {
        assert!(
            read(&path).starts_with("// "),
            "{path} does not begin with a sentence or a formula, `// ...`"
        );
    }
}

#[test]
fn paths_in_the_architecture_exist() {
    let text = read("ARCHITECTURE.md");
    let fenced: Vec<String> = blocks(&text).into_iter().flat_map(|(_, lines)| lines).collect();
    for line in text.lines().filter(|line| !fenced.iter().any(|inside| inside == line)) {
        let quoted = line.split('`').skip(1).step_by(2);
        for path in quoted
            .filter(|name| name.starts_with("src/") && !name.contains("NAME") && !name.contains(['*', ' ']))
        {
            assert!(root().join(path).exists(), "ARCHITECTURE.md names {path}, which does not exist");
        }
    }
}

#[test]
fn the_architecture_lists_every_kernel() {
    let text = section("ARCHITECTURE.md", "## One training step");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    // A bar would end the cell.
    let row = |name: &str, formula: &str| format!("| `{name}` | `{}` |", formula.replace('|', "\\|"));
    let expected: Vec<String> = ALL.iter().map(|spec| row(spec.name, spec.formula)).collect();
    assert_eq!(rows, expected, "the table of kernels is `kernel::ALL` in its order");
}

#[test]
fn the_architecture_lists_the_calls_of_a_step() {
    let config = Config::default();
    let blank = |count: usize| Images::grey([28, 28], vec![0; 784 * count], vec![0; count]);
    let dataset = Dataset {
        name: "blank".into(),
        train: blank(config.batch),
        test: blank(1),
        classes: vec!["blank".into()],
        columns: None,
        notes: Vec::new(),
    };
    let model =
        Model::new(model_config(&config, &dataset).expect("the defaults")).expect("the default model");
    let names = |ids: &[BufferId]| {
        model.plan.used(ids).map(|buffer| buffer.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let calls = &model.plan.programs[model.train.program.0].calls;
    let expected: Vec<String> = calls
        .iter()
        .enumerate()
        .map(|(i, call)| {
            let name = call.kernel.spec().name;
            format!("{:2}  {name:<16}  {} -> {}", i + 1, names(&call.reads), names(&call.writes))
        })
        .collect();
    assert_eq!(first_block("ARCHITECTURE.md", "## One training step"), expected);
}

/// `crate::NAME`, in the binary `elbo::NAME`, in the code of a file, comments and unit tests not counted.
fn modules_used(path: &str) -> BTreeSet<String> {
    let text = read(path);
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let library = code.split("elbo::").skip(1).filter(|_| path.starts_with("src/cli"));
    code.split("crate::").skip(1).chain(library).map(name).collect()
}

#[test]
fn dependencies_point_downward() {
    let mut layers = BTreeMap::new();
    for (layer, line) in first_block("ARCHITECTURE.md", "## Layers").iter().enumerate() {
        let names = line.split("  ").next().unwrap_or_default();
        layers.extend(names.split(", ").map(|name| (name.to_owned(), layer)));
    }
    for path in files("src").iter().filter(|path| path.as_str() != "src/lib.rs") {
        let module = path["src/".len()..].split(['/', '.']).next().unwrap_or_default();
        let layer = |name: &str| *layers.get(name).unwrap_or_else(|| panic!("{path}: no layer has `{name}`"));
        for used in modules_used(path).iter().filter(|used| *used != module) {
            assert!(layer(used) > layer(module), "{path} uses {used}, which is not below {module}");
        }
    }
}

#[test]
fn only_the_gpu_engine_names_wgpu() {
    for path in files("src") {
        let inside = path.starts_with("src/engine/gpu");
        assert!(inside || !read(&path).contains("wgpu::"), "{path} names wgpu");
    }
}

#[test]
fn fenced_blocks_name_their_language() {
    // Without one, the README's would be compiled as Rust.
    for document in DOCUMENTS {
        for (language, lines) in blocks(&read(document)) {
            assert!(!language.is_empty(), "{document}: the block that starts with {:?}", lines.first());
        }
    }
}

/// Asks the program for the help on a command line's subcommand, and looks for its options there.
fn elbo_understands(arguments: &[&str]) -> Result<(), String> {
    let word = |a: &&&str| a.chars().all(|c| c.is_ascii_lowercase());
    // Of `draw all runs/001` only the first word is a command; `bench` alone has commands of its own.
    let depth = if arguments.first() == Some(&"bench") { 2 } else { 1 };
    let command: Vec<&str> = arguments.iter().take_while(word).take(depth).copied().collect();
    let output = Command::new(env!("CARGO_BIN_EXE_elbo"))
        .args(&command)
        .arg("--help")
        .output()
        .map_err(|e| format!("cannot run elbo: {e}"))?;
    if command.is_empty() || !output.status.success() {
        return Err(format!("there is no `elbo {}`", arguments.join(" ")));
    }
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let known: Vec<&str> = help.split([' ', ',', '\n']).collect();
    match arguments.iter().find(|a| a.starts_with('-') && !known.contains(a)) {
        Some(option) => Err(format!("`elbo {}` has no {option}", command.join(" "))),
        None => Ok(()),
    }
}

#[test]
fn commands_in_the_documents_exist() {
    let mut checked = 0;
    for document in DOCUMENTS {
        for (_, lines) in blocks(&read(document)).iter().filter(|(language, _)| language == "sh") {
            for line in lines {
                let command = line.split(" #").next().unwrap_or_default();
                let words: Vec<&str> =
                    command.split_whitespace().skip_while(|word| word.contains('=')).collect();
                let outcome = match words[..] {
                    ["elbo", ref arguments @ ..]
                    | ["cargo", "run", "--release", "--", ref arguments @ ..] => elbo_understands(arguments),
                    [script, ..] if script.contains('/') && !root().join(script).exists() => {
                        Err(format!("there is no {script}"))
                    }
                    _ => Ok(()),
                };
                outcome.unwrap_or_else(|problem| panic!("{document}: {line:?}: {problem}"));
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "the documents have commands");
}

/// But for `elbo train`, which takes a minute, and for lines of times, which are left out.
#[test]
fn what_the_readme_shows_is_what_the_program_says() {
    let shown = blocks(&read("README.md"));
    let (_, lines) = shown
        .iter()
        .find(|(_, lines)| lines.first().is_some_and(|line| line.starts_with("$ elbo compare")))
        .expect("a demonstration");
    let arguments = lines[0].split_whitespace().skip(2);
    let output = Command::new(env!("CARGO_BIN_EXE_elbo"))
        .args(arguments)
        .args(["--engine", "cpu"])
        .current_dir(root())
        .output();
    let output = output.expect("elbo runs");
    assert_eq!(output.status.code(), Some(3), "--check finds a difference");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let said: Vec<&str> = said.lines().filter(|line| !line.starts_with("time ")).collect();
    assert_eq!(lines[1..], said);
}

#[test]
fn the_readme_lists_every_example() {
    let text = section("README.md", "## Examples");
    for path in files("examples") {
        let name = path.trim_start_matches("examples/").trim_end_matches(".rs");
        assert!(text.contains(&format!("--example {name} ")), "the README does not list {path}");
    }
}

#[test]
fn a_wrong_command_is_noticed() {
    elbo_understands(&["train", "--latent", "20"]).expect("right");
    elbo_understands(&["bench", "train", "--batch", "128,1024"]).expect("right");
    for wrong in [&["tarin"][..], &["train", "--latents", "20"], &["bench", "trian"], &["runs/001"]] {
        assert!(elbo_understands(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn there_is_one_test_command() {
    for path in ["README.md", "CONTRIBUTING.md", ".ci/run", ".github/workflows/ci.yml"] {
        assert!(read(path).contains(TEST_COMMAND), "{path} does not call {TEST_COMMAND}");
    }
    let first = &blocks(&read("README.md"))[0].1;
    assert!(first.iter().any(|line| line.starts_with(TEST_COMMAND)), "the README begins with it: {first:?}");
}

#[test]
fn the_changelog_has_this_version() {
    let text = read("CHANGELOG.md");
    let versions: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let latest = versions.first().copied().unwrap_or_default();
    assert!(
        latest.starts_with("Unreleased") || latest.starts_with(env!("CARGO_PKG_VERSION")),
        "CHANGELOG.md begins with {latest:?}, not with Unreleased or {}",
        env!("CARGO_PKG_VERSION")
    );
}

#[test]
fn links_lead_somewhere() {
    for document in DOCUMENTS {
        let text = read(document);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let path = target.split('#').next().unwrap_or_default();
            let folder = root().join(document).parent().map(Path::to_path_buf).unwrap_or_default();
            assert!(folder.join(path).exists(), "{document} links to {path}, which does not exist");
        }
    }
}
