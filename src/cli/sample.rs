//! Samples named on the command line, and what all tests of samples share.

use super::device::DeviceOptions;
use super::output::{note, warn};
use super::source::Source;
use clap::Args;
use elbo::data::Images;
use elbo::data::format;
use elbo::data::table::Table;
use elbo::engine::Device;
use elbo::error::{Error, Result};
use elbo::kernel::pairs::Family;
use elbo::random::{Sequence, Stream};
use elbo::statistic::bandwidth::Resolved;
use elbo::statistic::{Bandwidth, Sample};
use std::path::Path;

pub(super) use elbo::data::format::SAMPLES;

/// Tables with more columns are features or pixels, which nobody looks at one by one.
const MANY_COLUMNS: usize = 64;

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
    device: DeviceOptions,
    /// Print the result as one JSON object
    #[arg(long)]
    pub(super) json: bool,
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

    /// Reads the samples and takes the points that are wanted.
    pub(super) fn read<const N: usize>(&self, sources: [&str; N]) -> Result<[Table; N]> {
        let mut which = 0..;
        let tables = self.read_all(sources)?;
        tables.iter().for_each(note_constant);
        Ok(tables.map(|table| choice(table, self.points, self.seed, which.next().unwrap_or(0))))
    }

    /// Reads two variables of the same observations; `labels` tells which are labels.
    pub(super) fn read_together(&self, sources: [&str; 2], labels: [bool; 2]) -> Result<[Table; 2]> {
        let read = |which: usize| {
            if labels[which] {
                format::labels(sources[which])
            } else {
                self.read_all([sources[which]]).map(|[t]| t)
            }
        };
        let [x, y] = [read(0)?, read(1)?];
        if x.rows != y.rows {
            let problem = format!(
                "has {} rows, but {} has {}; row i of both must be one observation",
                y.rows, x.name, x.rows
            );
            return Err(Error::data(&y.name, problem));
        }
        [&x, &y].into_iter().for_each(note_constant);
        // Both keep the same rows.
        Ok([x, y].map(|table| choice(table, self.points, self.seed, 0)))
    }

    /// Reads the samples; a run draws as many images as the other sample has points.
    fn read_all<const N: usize>(&self, sources: [&str; N]) -> Result<[Table; N]> {
        let mut tables = sources.map(|source| (run(source).is_none()).then(|| format::read(source)));
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

    /// Decoder means of prior draws of a run.
    fn draw(&self, name: &str, path: &Path, count: usize) -> Result<Table> {
        let mut opened = Source::of_run(path, self.device.engine, self.device.adapter.clone()).open()?;
        let images = opened.session.sample(count)?;
        let Images { height, width, channels, .. } = opened.dataset.train;
        Ok(Table {
            name: name.into(),
            rows: count,
            columns: height * width * channels,
            values: images.iter().flatten().map(|&v| f64::from(v)).collect(),
            image: (channels == 1).then_some([height, width]),
            header: None,
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

/// Some rows of a table.
fn rows(table: &Table, name: String, order: &[usize]) -> Table {
    let values = order.iter().flat_map(|&i| table.row(i).iter().copied()).collect();
    let (columns, image, header) = (table.columns, table.image, table.header.clone());
    Table { name, rows: order.len(), columns, values, image, header }
}

/// All rows of a table in random order.
fn shuffled(table: &Table, seed: u64, which: u32) -> Vec<usize> {
    Sequence::new(seed, Stream::Subsample, which + 1).order(table.rows)
}

/// Warns of columns with one value only, as a wrong export has them.
fn note_constant(table: &Table) {
    // The margins of images are constant as a rule, and so is what a table of one column may be tested for.
    if table.image.is_some() || !(2..=MANY_COLUMNS).contains(&table.columns) || table.rows < 2 {
        return;
    }
    for column in 0..table.columns {
        let value = table.row(0)[column];
        if (1..table.rows).all(|row| table.row(row)[column] == value) {
            let header = table.header.as_ref().and_then(|names| names.get(column));
            let named = header.map_or(String::new(), |name| format!(", `{name}`,"));
            note(format_args!(
                "warning: column {column} (counted from 0){named} of {} is {value} in all rows; is it meant to be there?",
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
        rows(table, format!("one half of {}", table.name), first),
        rows(table, format!("the other half of {}", table.name), second),
    ]
}

/// A random choice of `points` rows, or all where there are no more.
pub(super) fn choice(table: Table, points: Option<usize>, seed: u64, which: u32) -> Table {
    match points {
        Some(points) if points < table.rows => {
            rows(&table, table.name.clone(), &shuffled(&table, seed, which)[..points])
        }
        _ => table,
    }
}

/// A table as a sample.
pub(super) fn sample(table: &Table) -> Sample<'_> {
    Sample::new(table.columns, &table.values)
}

/// Two samples must have the same columns: tells which have not.
pub(super) fn same_columns([x, y]: [&Table; 2]) -> Result<()> {
    if x.columns == y.columns {
        return Ok(());
    }
    let shape = |t: &Table| match t.image {
        Some([height, width]) => format!("{} ({height} x {width} images)", t.columns),
        None => t.columns.to_string(),
    };
    Err(Error::data(
        &y.name,
        format!(
            "has {} columns, but {} has {}; both samples must have the same columns",
            shape(y),
            x.name,
            shape(x)
        ),
    ))
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
