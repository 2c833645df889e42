//! Samples named on the command line, and what all tests of samples share.

use super::device::DeviceOptions;
use super::output::{note, warn};
use super::source::Source;
use clap::Args;
use elbo::data::layout::Layout;
use elbo::data::table::{Missing, ReadOptions, Table};
use elbo::data::{Images, format};
use elbo::engine::Device;
use elbo::error::{Error, Result};
use elbo::kernel::pairs::Family;
use elbo::statistic::bandwidth::Resolved;
use elbo::statistic::columns::ColumnScale;
use elbo::statistic::reference::ReferenceSample;
use elbo::statistic::tables::{self, Rescaled};
use elbo::statistic::{Bandwidth, Sample};
use std::path::Path;

pub(super) use elbo::data::format::SAMPLES;

/// Images drawn from a run if nothing says how many.
const DEFAULT_DRAWS: usize = 1000;

/// Options of the commands that compare two samples.
#[derive(Args)]
pub(super) struct KernelOptions {
    /// Kernel function
    #[arg(long, default_value = "gaussian", help_heading = "Kernel")]
    pub(super) kernel: Family,
    /// Numbers, or a rule: median, mean, median-per-feature, 0.5*median,median,2*median
    #[arg(long, default_value = "median", value_name = "B|RULE", help_heading = "Kernel")]
    pub(super) bandwidth: Bandwidth,
    /// Add up the kernels of several bandwidths instead of taking their mean
    #[arg(long, help_heading = "Kernel", hide_short_help = true)]
    pub(super) sum: bool,
    #[command(flatten)]
    pub(super) common: CommonOptions,
}

impl KernelOptions {
    /// The kernel with its bandwidths; says what a user should know.
    pub(super) fn resolve(&self, device: &Device, samples: [Sample<'_>; 2]) -> Result<Resolved> {
        let resolved = self.bandwidth.resolve(device, samples, self.kernel, !self.sum, self.common.seed)?;
        warn(&resolved.warnings);
        Ok(resolved)
    }
}

/// Options of all commands that read samples.
#[derive(Args)]
pub(super) struct CommonOptions {
    /// Use a random choice of this many points of each sample, in random order
    #[arg(long, value_name = "N", help_heading = "Data")]
    points: Option<usize>,
    /// Seed of everything random
    #[arg(long, default_value_t = 0, help_heading = "Data")]
    pub(super) seed: u64,
    #[command(flatten)]
    table: TableOptions,
    #[command(flatten)]
    device: DeviceOptions,
    /// Print the result as one JSON object
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
}

/// How tables are read.
#[derive(Args)]
struct TableOptions {
    /// Use these columns, by name or by number counted from 0, instead of all
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Data")]
    columns: Vec<String>,
    /// Take the first line of text files for names, even if some look like numbers
    #[arg(long, help_heading = "Data", hide_short_help = true)]
    header: bool,
    /// What to do with rows that have missing values
    #[arg(
        long,
        value_name = "refuse|drop",
        default_value = "refuse",
        hide_possible_values = true,
        help_heading = "Data"
    )]
    missing: Missing,
    /// Divide each column by its interquartile range in all samples together, or not [default: robust for tables that
    /// name several columns, unless --bandwidth is a number]
    #[arg(
        long,
        value_name = "robust|none",
        hide_possible_values = true,
        help_heading = "Data",
        hide_short_help = true
    )]
    scale: Option<ColumnScale>,
}

impl TableOptions {
    fn options(&self) -> ReadOptions {
        let columns = self.columns.clone();
        ReadOptions { columns, header: self.header, missing: self.missing, ..ReadOptions::default() }
    }
}

impl CommonOptions {
    /// Opens the device and says which it is.
    pub(super) fn open(&self) -> Result<Device> {
        self.device.check()?;
        self.device.open(false)
    }

    /// Whether rows stay in the order of their file.
    pub(super) fn keeps_order(&self) -> bool {
        self.points.is_none()
    }

    /// Reads the samples of one kind of points, on one scale and with the columns of the first, and takes the points that
    /// are wanted.
    pub(super) fn read<const N: usize>(&self, sources: [&str; N]) -> Result<[Table; N]> {
        self.read_with(sources, &[])
    }

    /// The rows of samples as they are, all of them.
    pub(super) fn read_all_rows<const N: usize>(
        &self,
        sources: [&str; N],
        categories: &[String],
    ) -> Result<[Table; N]> {
        let (tables, notes) = tables::comparable(self.read_all(sources, categories)?)?;
        notes.iter().for_each(note);
        Ok(tables)
    }

    /// The rows of a sample for a reference: nothing is divided by the value of white.
    pub(super) fn read_reference(&self, source: &str, categories: &[String]) -> Result<Table> {
        let [table] = self.read_all([source], categories)?;
        table.notes.iter().for_each(note);
        if table.header.is_none() && self.has_columns() {
            return Err(Error::usage(
                "a reference without names of columns takes all of them; leave out --columns",
            ));
        }
        Ok(table)
    }

    /// A sample that is compared with a reference, whose rows may be chosen.
    pub(super) fn read_beside(&self, reference: &ReferenceSample, source: &str) -> Result<Table> {
        let options = reference.options(self.table.options());
        if run(source).is_some() {
            return Err(Error::usage("a reference is of a table; give a file beside it"));
        }
        let table = format::read(source, &options)?;
        table.notes.iter().for_each(note);
        Ok(self.choice(table, 1))
    }

    /// Whether some columns are chosen.
    pub(super) fn has_columns(&self) -> bool {
        !self.table.columns.is_empty()
    }

    /// How many rows are wanted.
    pub(super) fn points(&self) -> Option<usize> {
        self.points
    }

    /// What columns are to be divided by.
    pub(super) fn scale(&self) -> Option<ColumnScale> {
        self.table.scale
    }

    /// The same with columns of classes.
    pub(super) fn read_with<const N: usize>(
        &self,
        sources: [&str; N],
        categories: &[String],
    ) -> Result<[Table; N]> {
        let tables = self.read_all_rows(sources, categories)?;
        let mut which = 0..;
        Ok(tables.map(|table| self.choice(table, which.next().unwrap_or(0))))
    }

    /// Reads two variables of the same observations; `labels` tells which are labels.
    pub(super) fn read_together(&self, sources: [&str; 2], labels: [bool; 2]) -> Result<[Table; 2]> {
        let mut rows = None;
        let mut tables = [Table::default(), Table::default()];
        // Labels come last: how many there should be is then known.
        let mut order = [0, 1];
        order.sort_by_key(|&which| labels[which]);
        for which in order {
            tables[which] = if labels[which] {
                format::labels(sources[which], &self.table.options(), rows)?
            } else {
                self.read_all([sources[which]], &[]).map(|[table]| table)?
            };
            rows = Some(tables[which].rows + tables[which].left_out.len());
        }
        let (tables, notes) = tables::observed_together(tables)?;
        notes.iter().for_each(note);
        Ok(tables.map(|table| self.choice(table, 0)))
    }

    /// A random choice of the rows, if one is wanted.
    fn choice(&self, table: Table, which: u32) -> Table {
        tables::choice(table, self.points, self.seed, which)
    }

    /// The tables with their columns on one scale: see [`tables::rescaled`].
    pub(super) fn rescaled<const N: usize>(
        &self,
        tables: &[Table; N],
        bandwidth: Option<&Bandwidth>,
    ) -> Result<Rescaled<N>> {
        let rescaled = tables::rescaled(tables, self.table.scale, bandwidth)?;
        rescaled.notes.iter().for_each(note);
        Ok(rescaled)
    }

    /// Reads the samples; a run draws as many images as the other sample has points.
    fn read_all<const N: usize>(&self, sources: [&str; N], categories: &[String]) -> Result<[Table; N]> {
        let options = ReadOptions { categories: categories.to_vec(), ..self.table.options() };
        let mut tables =
            sources.map(|source| (run(source).is_none()).then(|| format::read(source, &options)));
        let known = tables.iter().flatten().flatten().map(|table| table.rows).next();
        for (source, table) in sources.iter().zip(&mut tables) {
            if let Some((path, count)) = run(source) {
                *table = Some(self.draw(source, path, count?.or(known).unwrap_or(DEFAULT_DRAWS)));
            }
        }
        let mut read = Vec::with_capacity(N);
        for table in tables.into_iter().flatten() {
            read.push(table?);
        }
        read.try_into().map_err(|_| Error::usage("each sample is read once"))
    }

    /// A run, on the device of the call.
    pub(super) fn run(&self, path: &Path) -> Source {
        Source::of_run(path, self.device.engine, self.device.adapter.clone())
    }

    /// Decoder means of prior draws of a run.
    fn draw(&self, name: &str, path: &Path, count: usize) -> Result<Table> {
        let mut opened = self.run(path).open_model()?;
        let images = opened.session.sample(count)?;
        let Images { height, width, channels, .. } = opened.dataset.train;
        if let Some(columns) = &opened.dataset.columns {
            return Ok(Table {
                name: name.into(),
                rows: count,
                columns: columns.len(),
                values: columns.restored(&images.concat()).into(),
                header: (!columns.names.is_empty()).then(|| columns.names.clone()),
                ..Table::default()
            });
        }
        Ok(Table {
            name: name.into(),
            rows: count,
            columns: height * width * channels,
            values: images.iter().flatten().map(|&v| f64::from(v)).collect(),
            layout: Some(Layout { height, width, channels, is_planar: false }),
            ..Table::default()
        })
    }
}

/// The directory and the number of a `run:DIR[:N]`.
fn run(source: &str) -> Option<(&Path, Result<Option<usize>>)> {
    let rest = source.strip_prefix("run:").filter(|_| !Path::new(source).exists())?;
    let whole = (Path::new(rest), Ok(None));
    let Some((path, count)) = rest.rsplit_once(':').filter(|_| !Path::new(rest).exists()) else {
        return Some(whole);
    };
    let wrong = || Error::usage(format!("{source}: `{count}` is no number of images; write run:DIR:1000"));
    let count = count.parse().ok().filter(|&n: &usize| n > 0).ok_or_else(wrong);
    Some((Path::new(path), count.map(Some)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_counts_are_told_apart() {
        assert!(run("x.npy").is_none());
        let parsed = |source: &'static str| run(source).map(|(path, count)| (path.to_owned(), count.ok()));
        assert_eq!(parsed("run:runs/001"), Some(("runs/001".into(), Some(None))));
        assert_eq!(parsed("run:runs/001:500"), Some(("runs/001".into(), Some(Some(500)))));
        assert_eq!(parsed("run:runs/001:many"), Some(("runs/001".into(), None)));
        assert_eq!(parsed("run:runs/001:0"), Some(("runs/001".into(), None)));
    }
}
