//! Samples named on the command line, and what all tests of samples share.

use super::device::DeviceOptions;
use super::output::{note, warn};
use super::source::Source;
use clap::Args;
use elbo::data::layout::Layout;
use elbo::data::table::{self, Missing, ReadOptions, Table};
use elbo::data::{Images, format, scale};
use elbo::engine::Device;
use elbo::error::{Error, Result};
use elbo::kernel::pairs::Family;
use elbo::random::{Sequence, Stream};
use elbo::statistic::bandwidth::Resolved;
use elbo::statistic::columns::{self, ColumnScale};
use elbo::statistic::{Bandwidth, Sample};
use std::path::Path;

pub(super) use elbo::data::format::SAMPLES;

/// Tables with more columns are features or pixels, which nobody looks at one by one.
const MANY_COLUMNS: usize = 64;

/// Scales of columns that differ by more than this are told.
const FAR_APART: f64 = 10.0;

/// Images drawn from a run if nothing says how many.
const DEFAULT_DRAWS: usize = 1000;

/// Options of the commands that compare two samples.
#[derive(Args)]
pub(super) struct KernelOptions {
    /// Kernel function
    #[arg(long, default_value = "gaussian")]
    pub(super) kernel: Family,
    /// Numbers, or a rule: median, mean, median-per-feature, 0.5*median,median,2*median
    #[arg(long, default_value = "median", value_name = "B|RULE")]
    pub(super) bandwidth: Bandwidth,
    /// Add up the kernels of several bandwidths instead of taking their mean
    #[arg(long)]
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
    #[arg(long, value_name = "N")]
    points: Option<usize>,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
    #[command(flatten)]
    table: TableOptions,
    #[command(flatten)]
    device: DeviceOptions,
    /// Print the result as one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// How tables are read.
#[derive(Args)]
struct TableOptions {
    /// Use these columns, by name or by number counted from 0, instead of all
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    columns: Vec<String>,
    /// Take the first line of text files for names, even if some look like numbers
    #[arg(long)]
    header: bool,
    /// Rows with missing values
    #[arg(long, value_name = "refuse|drop", default_value = "refuse", hide_possible_values = true)]
    missing: Missing,
    /// Divide each column by its interquartile range in all samples together, or not [default: robust for tables that
    /// name several columns, unless --bandwidth is a number]
    #[arg(long, value_name = "robust|none", hide_possible_values = true)]
    scale: Option<ColumnScale>,
}

impl TableOptions {
    fn options(&self) -> ReadOptions {
        ReadOptions { columns: self.columns.clone(), header: self.header, missing: self.missing }
    }
}

/// Tables with their columns on one scale.
pub(super) struct Rescaled<const N: usize> {
    pub(super) tables: [Table; N],
    pub(super) scale: ColumnScale,
    /// What the columns were divided by.
    pub(super) units: Vec<f64>,
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
        let mut tables = self.read_all(sources)?;
        scale::scale(&mut tables).iter().for_each(note);
        if let Some(different) = scale::different_scales(&tables) {
            note(different);
        }
        for i in 1..N {
            let table = std::mem::take(&mut tables[i]);
            tables[i] = table::matched(&tables[0], table)?;
        }
        let mut which = 0..;
        Ok(tables.map(|table| {
            table.notes.iter().for_each(note);
            self.choice(table, which.next().unwrap_or(0))
        }))
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
                self.read_all([sources[which]]).map(|[table]| table)?
            };
            rows = Some(tables[which].rows + tables[which].left_out.len());
        }
        scale::scale(&mut tables).iter().for_each(note);
        tables.iter().flat_map(|table| &table.notes).for_each(note);
        let [x, y] = tables;
        let all = |table: &Table| table.rows + table.left_out.len();
        if all(&x) != all(&y) {
            let problem = format!(
                "has {} rows, but {} has {}; row i of both must be one observation",
                all(&y),
                x.name,
                all(&x)
            );
            return Err(Error::data(&y.name, problem));
        }
        // Both keep the same rows.
        let [x, y] = [without(&x, &y.left_out), without(&y, &x.left_out)];
        Ok([x, y].map(|table| self.choice(table, 0)))
    }

    /// A random choice of the rows, if one is wanted.
    fn choice(&self, table: Table, which: u32) -> Table {
        choice(table, self.points, self.seed, which)
    }

    /// The tables with their columns on one scale. Where nothing else is said, named columns are divided by their
    /// interquartile ranges, unless bandwidths are given as numbers: those are in the units of the file.
    pub(super) fn rescaled<const N: usize>(
        &self,
        tables: &[Table; N],
        bandwidth: Option<&Bandwidth>,
    ) -> Result<Rescaled<N>> {
        let first = &tables[0];
        let named = first.header.is_some() && first.layout.is_none() && first.columns > 1;
        let numbers = matches!(bandwidth, Some(Bandwidth::Values(_)));
        let usual = if named && !numbers { ColumnScale::Robust } else { ColumnScale::None };
        let scale = self.table.scale.unwrap_or(usual);
        let samples = tables.each_ref().map(sample);
        let units = columns::scales(&samples);
        if scale == ColumnScale::None {
            note_units(first, &units);
            tables.iter().for_each(note_constant);
            return Ok(Rescaled { tables: tables.clone(), scale, units: vec![1.0; first.columns] });
        }
        let kept: Vec<usize> = (0..units.len()).filter(|&column| units[column] > 0.0).collect();
        if kept.is_empty() {
            let problem =
                "all columns are constant, so none has a scale; leave out --scale, or give other columns";
            return Err(Error::data(&first.name, problem));
        }
        for column in (0..units.len()).filter(|&column| units[column] == 0.0) {
            note(format_args!(
                "{} has the value {} in all rows: it is left out",
                first.column_text(column),
                first.row(0)[column]
            ));
        }
        let units: Vec<f64> = kept.iter().map(|&column| units[column]).collect();
        let tables = tables.each_ref().map(|table| {
            let mut table = table.select(&kept);
            table.values.chunks_exact_mut(units.len()).for_each(|row| {
                row.iter_mut().zip(&units).for_each(|(value, unit)| *value /= unit);
            });
            table
        });
        Ok(Rescaled { tables, scale, units })
    }

    /// Reads the samples; a run draws as many images as the other sample has points.
    fn read_all<const N: usize>(&self, sources: [&str; N]) -> Result<[Table; N]> {
        let options = self.table.options();
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
        let mut opened = self.run(path).open()?;
        let images = opened.session.sample(count)?;
        let Images { height, width, channels, .. } = opened.dataset.train;
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

/// A table without some of its original rows; `others` are those that another table lacks.
fn without(table: &Table, others: &[usize]) -> Table {
    if others.is_empty() {
        return table.clone();
    }
    let all = (0..table.rows + table.left_out.len()).filter(|row| table.left_out.binary_search(row).is_err());
    let kept: Vec<usize> = all
        .enumerate()
        .filter(|(_, row)| others.binary_search(row).is_err())
        .map(|(place, _)| place)
        .collect();
    table.choice(table.name.clone(), &kept)
}

/// All rows of a table in random order.
fn shuffled(table: &Table, seed: u64, which: u32) -> Vec<usize> {
    Sequence::new(seed, Stream::Subsample, which + 1).order(table.rows)
}

/// Tells that one column of a table decides all distances.
fn note_units(table: &Table, units: &[f64]) {
    if table.layout.is_some() || units.len() > MANY_COLUMNS {
        return;
    }
    let known = || units.iter().enumerate().filter(|(_, unit)| **unit > 0.0);
    let least = known().min_by(|a, b| a.1.total_cmp(b.1));
    let most = known().max_by(|a, b| a.1.total_cmp(b.1));
    let (Some((low, least)), Some((high, most))) = (least, most) else { return };
    if most / least > FAR_APART {
        note(format_args!(
            "{} is on a scale {:.3e} times that of {} and decides the distances; --scale robust divides each column by \
             its interquartile range",
            table.column_text(high).trim_end_matches(','),
            most / least,
            table.column_text(low).trim_end_matches(',')
        ));
    }
}

/// Warns of columns with one value only, as a wrong export has them.
fn note_constant(table: &Table) {
    // The margins of images are constant as a rule, and so is what a table of one column may be tested for.
    if table.layout.is_some() || !(2..=MANY_COLUMNS).contains(&table.columns) || table.rows < 2 {
        return;
    }
    for column in 0..table.columns {
        let value = table.row(0)[column];
        if (1..table.rows).all(|row| table.row(row)[column] == value) {
            note(format_args!(
                "warning: {} of {} is {value} in all rows; is it meant to be there?",
                table.column_text(column),
                table.name
            ));
        }
    }
}

/// Two random halves of a sample.
pub(super) fn halves(table: &Table, seed: u64) -> [Table; 2] {
    let order = shuffled(table, seed, 0);
    let (first, second) = order.split_at(order.len() / 2);
    [
        table.choice(format!("one half of {}", table.name), first),
        table.choice(format!("the other half of {}", table.name), second),
    ]
}

/// A random choice of `points` rows, or all where there are no more.
pub(super) fn choice(table: Table, points: Option<usize>, seed: u64, which: u32) -> Table {
    match points {
        Some(points) if points < table.rows => {
            table.choice(table.name.clone(), &shuffled(&table, seed, which)[..points])
        }
        _ => table,
    }
}

/// A table as a sample.
pub(super) fn sample(table: &Table) -> Sample<'_> {
    Sample::new(table.columns, &table.values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_all_points_once() {
        let values = (0..9).map(f64::from).collect();
        let table = Table { name: "t".into(), rows: 9, columns: 1, values, ..Table::default() };
        let [a, b] = halves(&table, 3);
        let mut all = [a.values, b.values].concat();
        assert_ne!(all, table.values, "they are random");
        all.sort_by(f64::total_cmp);
        assert_eq!(all, table.values);
        assert_eq!(choice(table.clone(), Some(4), 0, 0).rows, 4);
        assert_eq!(choice(table.clone(), Some(20), 0, 0), table);
    }

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
