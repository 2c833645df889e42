//! `elbo sweep`: many runs from one file, with one table and one picture at the end.

use super::output::{note, result, table};
use clap::{Args, ValueEnum};
use elbo::error::{Error, Result};
use elbo::files;
use elbo::picture::{Chart, Panel, Series, Style};
use elbo::train::config::Config;
use elbo::train::run::{RESULT, Run};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Train a model for each of many settings, and compare them in a table and a picture
///
/// The file names settings as config.toml does: those of all runs, a grid, of which each combination is run, a list of
/// runs, and seeds. A sweep that was stopped goes on where it was: runs that are done are kept.
///
///   preset = "burgess-sprites"     # or nothing: the defaults
///   seeds = [0, 1]
///   disentanglement = true         # measures of `elbo evaluate --disentanglement`
///   [settings]                     # of all runs
///   steps = 15625
///   objective = "beta-vae"
///   [grid]                         # each combination
///   beta = [1, 4]
///   [[runs]]                       # of each of these
///   [[runs]]
///   architecture = "higgins"
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  elbo sweep beta.toml         runs, table.csv and measures.png in sweeps/beta
  elbo sweep beta.toml --out sweeps/b    somewhere else
  elbo sweep beta.toml --dry-run         list the runs"
)]
pub(super) struct SweepArgs {
    /// What to run
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    /// Directory of the runs [default: sweeps/NAME, the file's name]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// List the runs, and train none
    #[arg(long)]
    dry_run: bool,
}

/// The contents of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SweepFile {
    preset: Option<String>,
    #[serde(default)]
    settings: toml::Table,
    #[serde(default)]
    grid: BTreeMap<String, Vec<toml::Value>>,
    #[serde(default)]
    runs: Vec<toml::Table>,
    #[serde(default = "one_seed")]
    seeds: Vec<u64>,
    #[serde(default)]
    disentanglement: bool,
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

/// One run.
struct Planned {
    /// What is its own, seed apart: `beta=4`.
    name: String,
    seed: u64,
    /// What is its own, by key.
    own: toml::Table,
    config: Config,
}

/// Columns of the table: name, and where the result of `evaluate` has it.
const MEASURES: [(&str, &str); 14] = [
    ("test ELBO", "/test/elbo"),
    ("reconstruction", "/test/reconstruction"),
    ("KL", "/test/kl"),
    ("squared error", "/test/sse"),
    ("MIG", "/disentanglement/mig/value"),
    ("MIG without shape", "/disentanglement/mig_without_shape/value"),
    ("MIG by histograms", "/disentanglement/mig_histogram/value"),
    ("FactorVAE", "/disentanglement/factor_vae/value"),
    ("beta-VAE", "/disentanglement/beta_vae/value"),
    ("SAP", "/disentanglement/sap/value"),
    ("DCI", "/disentanglement/dci_disentanglement/value"),
    ("completeness", "/disentanglement/dci_completeness/value"),
    ("modularity", "/disentanglement/modularity/value"),
    ("active", "/disentanglement/active_by_variance"),
];

/// Settings that only some objectives take.
const OF_OBJECTIVES: [&str; 8] =
    ["beta", "lambda", "alpha", "capacity", "gamma", "mmd", "mmd-bandwidth", "tc"];

/// Measures in the picture, if the runs have them.
const DRAWN: [&str; 6] = ["test ELBO", "KL", "MIG", "FactorVAE", "SAP", "DCI"];

impl SweepFile {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path, "read"))?;
        let file: Self =
            toml::from_str(&text).map_err(|e| Error::data(path, e.message().replace('\n', ", ")))?;
        if file.seeds.is_empty() || file.grid.values().any(Vec::is_empty) {
            return Err(Error::data(
                path,
                "has an empty list; name at least one seed and one value for each setting",
            ));
        }
        let tables = file.runs.iter().chain([&file.settings]);
        if file.grid.contains_key("seed") || tables.into_iter().any(|table| table.contains_key("seed")) {
            let problem = "has `seed` among the settings; list the seeds as seeds = [0, 1] at its top";
            return Err(Error::data(path, problem));
        }
        Ok(file)
    }

    /// All runs, the seed changing fastest.
    fn plan(&self, path: &Path) -> Result<Vec<Planned>> {
        let base = match &self.preset {
            Some(name) => Config::preset(name)?,
            None => Config::default(),
        };
        let base: toml::Table = toml::from_str(&base.to_toml()?)
            .map_err(|e| Error::data(path, format!("its preset cannot be read: {e}")))?;
        let mut owns = vec![toml::Table::new()];
        if !self.runs.is_empty() {
            owns.clone_from(&self.runs);
        }
        for (key, values) in &self.grid {
            owns = owns
                .iter()
                .flat_map(|own| {
                    values.iter().map(move |value| {
                        let mut own = own.clone();
                        own.insert(key.clone(), value.clone());
                        own
                    })
                })
                .collect();
        }
        let mut runs = Vec::new();
        for own in owns {
            for &seed in &self.seeds {
                let mut settings = self.base_for(&base, &own);
                for (key, value) in self.settings.iter().chain(&own) {
                    // One of the two replaces the other.
                    match key.as_str() {
                        "hidden" => settings.remove("architecture"),
                        "architecture" => settings.remove("hidden"),
                        "epochs" => settings.remove("steps"),
                        _ => None,
                    };
                    settings.insert(key.clone(), value.clone());
                }
                settings.insert("seed".into(), toml::Value::Integer(seed as i64));
                let name = named(&own);
                let text = toml::to_string(&settings).map_err(|e| Error::data(path, e.to_string()))?;
                let config = Config::parse(&text)
                    .map_err(|problem| Error::data(path, format!("run {name}, seed {seed}: {problem}")))?;
                runs.push(Planned { name, seed, own: own.clone(), config: config.complete() });
            }
        }
        let mut names: Vec<String> = runs.iter().map(|run| directory_name(&run.name, run.seed)).collect();
        names.sort();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let problem =
                format!("has two runs whose directory would be {}; leave one of them out", twice[0]);
            return Err(Error::data(path, problem));
        }
        Ok(runs)
    }

    /// The settings to start from: without options of an objective that is not the run's.
    fn base_for(&self, base: &toml::Table, own: &toml::Table) -> toml::Table {
        let mut base = base.clone();
        let objective = own.get("objective").or(self.settings.get("objective"));
        if objective.is_some_and(|objective| base.get("objective") != Some(objective)) {
            OF_OBJECTIVES.iter().for_each(|key| drop(base.remove(*key)));
        }
        base
    }
}

/// The settings in words, such as `beta=4,objective=beta-vae`.
fn named(own: &toml::Table) -> String {
    let text = |value: &toml::Value| match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let parts: Vec<String> = own.iter().map(|(key, value)| format!("{key}={}", text(value))).collect();
    if parts.is_empty() { "all".into() } else { parts.join(",") }
}

/// The name as that of a directory.
fn directory_name(name: &str, seed: u64) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "=.,-".contains(c) { c } else { '_' };
    format!("{},seed={seed}", name.chars().map(plain).collect::<String>())
}

impl SweepArgs {
    pub(super) fn run(&self) -> Result<()> {
        let file = SweepFile::read(&self.file)?;
        let runs = file.plan(&self.file)?;
        let stem = self.file.file_stem().map(PathBuf::from).unwrap_or_default();
        let out = self.out.clone().unwrap_or_else(|| Path::new("sweeps").join(stem));
        if self.dry_run {
            for run in &runs {
                let directory = out.join(directory_name(&run.name, run.seed));
                let done = if directory.join(RESULT).exists() { "  done" } else { "" };
                result(format_args!("{}{done}", directory.display()));
            }
            return Ok(());
        }
        fs::create_dir_all(&out).map_err(Error::io(&out, "create"))?;
        let mut results = Vec::new();
        for (index, run) in runs.iter().enumerate() {
            note(format_args!("run {} of {}: {}, seed {}", index + 1, runs.len(), run.name, run.seed));
            results.push(run.result(&out, file.disentanglement)?);
        }
        conclude(&out, &runs, &results)
    }
}

impl Planned {
    /// What `evaluate` says of the run, which is trained first if it is not yet.
    fn result(&self, out: &Path, disentanglement: bool) -> Result<Value> {
        let directory = out.join(directory_name(&self.name, self.seed));
        let finished = directory.join(RESULT);
        let trained = directory.exists();
        if trained && Run::config(&directory)?.complete() != self.config {
            let problem =
                "was trained with other settings than the sweep has now; choose another --out, or remove it";
            return Err(Error::run(&directory, problem));
        }
        if let Ok(text) = fs::read_to_string(&finished) {
            let result: Value = serde_json::from_str(&text).map_err(|e| {
                Error::data(&finished, format!("is damaged ({e}); remove it to evaluate the run again"))
            })?;
            if !disentanglement || result.get("disentanglement").is_some() {
                return Ok(result);
            }
        }
        let run = directory.to_string_lossy().into_owned();
        if trained {
            elbo(&["resume", &run, "--json"])?;
        } else {
            let file = out.join(directory_name(&self.name, self.seed) + ".toml");
            files::replace(&file, self.config.to_toml()?)?;
            elbo(&["train", "--config", &file.to_string_lossy(), "--out", &run, "--json"])?;
        }
        let engine =
            self.config.engine.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
        let mut arguments = vec!["evaluate", &run, "--engine", &engine, "--json"];
        if disentanglement {
            arguments.push("--disentanglement");
        }
        if let Some(adapter) = &self.config.adapter {
            arguments.extend(["--adapter", adapter]);
        }
        let text = elbo(&arguments)?;
        files::replace(&finished, &text)?;
        serde_json::from_str(&text).map_err(|e| Error::data(&finished, format!("is no JSON: {e}")))
    }
}

/// Runs this program; gives the last line that it prints.
fn elbo(arguments: &[&str]) -> Result<String> {
    let program = std::env::current_exe().map_err(Error::io(Path::new("elbo"), "find"))?;
    let output = Command::new(&program)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .map_err(Error::io(&program, "run"))?;
    if !output.status.success() {
        let problem = format!(
            "`elbo {}` did not end well ({}); mend it and start the sweep again, it goes on from there",
            arguments.join(" "),
            output.status
        );
        return Err(Error::usage(problem));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().last().unwrap_or_default().to_owned())
}

/// Prints the table, writes it as text, and draws the measures.
fn conclude(out: &Path, runs: &[Planned], results: &[Value]) -> Result<()> {
    let number = |of: &Value, place: &str| of.pointer(place).and_then(Value::as_f64);
    let columns: Vec<(&str, &str)> = MEASURES
        .into_iter()
        .filter(|(_, place)| results.iter().any(|result| number(result, place).is_some()))
        .collect();
    let mut text = String::from("run,seed");
    columns.iter().for_each(|(name, _)| text += &format!(",{name}"));
    let mut rows = Vec::new();
    for (run, of) in runs.iter().zip(results) {
        let _ = write!(text, "\n\"{}\",{}", run.name, run.seed);
        let mut row = vec![run.name.clone(), run.seed.to_string()];
        for (_, place) in &columns {
            let value = number(of, place);
            text += &value.map_or(",".into(), |value| format!(",{value}"));
            row.push(value.map_or("".into(), |value| format!("{value:.3}")));
        }
        rows.push(row);
    }
    let path = out.join("table.csv");
    files::replace(&path, text + "\n")?;
    let names = columns.iter().map(|(name, _)| *name);
    table(&["run", "seed"].into_iter().chain(names).collect::<Vec<_>>(), &rows);
    let drawn = draw(out, runs, results, &columns)?;
    result(format_args!("{}{drawn}", path.display()));
    Ok(())
}

/// Each measure over the first setting that is a number, a point for each run and a line through the means.
fn draw(out: &Path, runs: &[Planned], results: &[Value], columns: &[(&str, &str)]) -> Result<String> {
    let as_number = |value: &toml::Value| value.as_float().or(value.as_integer().map(|i| i as f64));
    let numeric = |key: &&String| runs.iter().all(|run| run.own.get(*key).and_then(as_number).is_some());
    let Some(axis) = runs.first().and_then(|run| run.own.keys().find(numeric)) else {
        return Ok(String::new());
    };
    let others = |run: &Planned| {
        named(&run.own.iter().filter(|(key, _)| *key != axis).map(|(k, v)| (k.clone(), v.clone())).collect())
    };
    let mut panels = Vec::new();
    for (name, place) in columns.iter().filter(|(name, _)| DRAWN.contains(name)) {
        // By what else is different, and by the place on the axis: all seeds.
        let mut groups: BTreeMap<String, Vec<[f64; 2]>> = BTreeMap::new();
        for (run, of) in runs.iter().zip(results) {
            let x = run.own.get(axis).and_then(as_number);
            if let (Some(x), Some(y)) = (x, of.pointer(place).and_then(Value::as_f64)) {
                groups.entry(others(run)).or_default().push([x, y]);
            }
        }
        let mut series = Vec::new();
        for (group, points) in groups {
            let mut places: Vec<f64> = points.iter().map(|point| point[0]).collect();
            places.sort_by(f64::total_cmp);
            places.dedup();
            let (mut line, mut bars) = (Vec::new(), Vec::new());
            for x in places {
                let at = points.iter().filter(|point| point[0] == x).map(|point| point[1]);
                let values: Vec<f64> = at.collect();
                let n = values.len() as f64;
                let mean = values.iter().sum::<f64>() / n;
                line.push([x, mean]);
                if values.len() > 1 {
                    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
                    let error = (squares / (n - 1.0) / n).sqrt();
                    let bar = vec![[x, mean - error], [x, mean + error]];
                    bars.push(Series { name: group.clone(), points: bar, style: Style::Line });
                }
            }
            series.push(Series { name: group.clone(), points: line, style: Style::Marked });
            series.extend(bars);
            series.push(Series { name: group, points, style: Style::Points });
        }
        panels.push(Panel { x: axis.clone(), y: (*name).into(), series, ..Panel::default() });
    }
    if panels.is_empty() {
        return Ok(String::new());
    }
    let path = out.join("measures.png");
    let caption = "Small dots are runs; large ones are means over seeds, with their standard errors".into();
    Chart { title: format!("Measures by {axis}"), columns: 2, panels, caption }.save(&path)?;
    Ok(format!(", {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Vec<Planned> {
        toml::from_str::<SweepFile>(text).unwrap().plan(Path::new("sweep.toml")).unwrap()
    }

    #[test]
    fn each_combination_is_run_with_each_seed() {
        let runs = plan(
            "seeds = [3, 4]\n[settings]\nlatent = 5\nobjective = \"beta-vae\"\n[grid]\nbeta = [1, 4.5]\nhidden = [[8], [9, 9]]",
        );
        let names: Vec<String> = runs.iter().map(|run| directory_name(&run.name, run.seed)).collect();
        assert_eq!(names.len(), 8);
        assert_eq!(names[0], "beta=1,hidden=_8_,seed=3");
        assert_eq!(names[7], "beta=4.5,hidden=_9,_9_,seed=4");
        let last = &runs[7].config;
        assert_eq!((last.latent, last.hidden.clone(), last.seed), (5, vec![9, 9], 4));
    }

    /// The text of the help.
    #[test]
    fn the_example_is_a_sweep() {
        let source = include_str!("sweep.rs");
        let lines = source.lines().filter_map(|line| line.strip_prefix("///   "));
        let runs = plan(&lines.collect::<Vec<_>>().join("\n"));
        assert_eq!(runs.len(), 2 * 2 * 2);
        assert!(runs.iter().all(|run| run.config.steps == Some(15_625) && run.config.capacity.is_none()));
    }

    #[test]
    fn what_would_be_run_twice_is_refused() {
        let file: SweepFile = toml::from_str("[grid]\nlatent = [3, 3]").unwrap();
        let problem = file.plan(Path::new("a.toml")).err().unwrap().to_string();
        assert!(problem.contains("two runs whose directory would be latent=3,seed=0"), "{problem}");
    }

    #[test]
    fn a_list_of_runs_takes_a_preset() {
        let runs = plan(
            "preset = \"burgess-sprites\"\n[settings]\nsteps = 10\ncapacity = \"linear:0:5:8\"\n\
             [[runs]]\ngamma = 10.0\n[[runs]]\nhidden = [7]",
        );
        assert_eq!(runs.len(), 2);
        assert!(runs[0].config.architecture.is_some() && runs[1].config.architecture.is_none());
        assert_eq!((runs[0].config.steps, runs[1].config.batch), (Some(10), 64));
        let wrong = toml::from_str::<SweepFile>("[grid]\nlatent = [0]").unwrap().plan(Path::new("a.toml"));
        assert!(wrong.err().unwrap().to_string().contains("run latent=0, seed 0: --latent is 0"));
    }
}
