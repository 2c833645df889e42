//! `elbo reference`.

use super::output::{json, note, result};
use super::sample::{KernelOptions, SAMPLES};
use clap::Args;
use elbo::error::{Error, Result};
use elbo::numeric::grouped;
use elbo::statistic::reference::{Decisions, ENDING, ReferenceSample};
use elbo::statistic::tables;
use serde::Serialize;
use std::path::PathBuf;

/// Keep a sample as a reference that new ones are compared with
///
/// The file has the rows, or a choice of them, and what is decided by them: columns, what each is divided by, the kernel
/// and its bandwidth. `elbo compare FILE.elbo NEW` takes all of that as it is.
#[derive(Args)]
#[command(after_help = format!("{SAMPLES}

Examples:
  elbo reference old.csv --out ref.elbo
  elbo reference old.csv --out ref.elbo --points 2000 --categories city,plan
  elbo compare ref.elbo new.csv --check"))]
pub(super) struct ReferenceArgs {
    /// The sample
    x: String,
    /// The file to write
    #[arg(long, value_name = "FILE.elbo", help_heading = "Output")]
    out: PathBuf,
    /// Overwrite an existing file
    #[arg(long, help_heading = "Output")]
    force: bool,
    /// Columns of classes instead of numbers, by name or by number; a missing class is a class, too
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Data")]
    categories: Vec<String>,
    #[command(flatten)]
    kernel: KernelOptions,
}

/// The JSON result.
#[derive(Serialize)]
struct Kept<'a> {
    rows: usize,
    #[serde(flatten)]
    about: &'a Decisions,
    file: String,
}

impl ReferenceArgs {
    pub(super) fn run(&self) -> Result<()> {
        let KernelOptions { kernel, bandwidth, sum, common } = &self.kernel;
        if *sum {
            return Err(Error::usage("a reference has one kernel; leave out --sum"));
        }
        if self.out.extension().is_none_or(|ending| ending != ENDING) {
            return Err(Error::usage(format!("--out {}: write FILE.{ENDING}", self.out.display())));
        }
        if self.out.exists() && !self.force {
            return Err(Error::data(
                &self.out,
                "exists already; choose another --out, or --force to overwrite it",
            ));
        }
        let whole = common.read_reference(&self.x, &self.categories)?;
        let rows_of_source = whole.rows;
        let table = tables::choice(whole, common.points(), common.seed, 0);
        let device = common.open()?;
        let reference = ReferenceSample::new(
            &device,
            table,
            rows_of_source,
            (*kernel, bandwidth),
            common.scale(),
            common.seed,
        )?;
        if let Some(parent) = self.out.parent() {
            std::fs::create_dir_all(parent).map_err(Error::io(parent, "create"))?;
        }
        reference.save(&self.out)?;
        let ReferenceSample { about, table } = &reference;
        if common.json {
            return json(&Kept { rows: table.rows, about, file: self.out.display().to_string() });
        }
        let [rows, all] = [table.rows, rows_of_source].map(|count| grouped(count as f64));
        result(format_args!("reference  {}: {rows} of {all} rows, d = {}", about.name, table.columns));
        result(format_args!("kernel     {}", super::report::kernel_line(&reference.named_kernel())));
        result(format_args!("written    {}", self.out.display()));
        note(format_args!("next: elbo compare {} NEW --check", self.out.display()));
        Ok(())
    }
}
