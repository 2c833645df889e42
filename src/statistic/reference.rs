//! A sample that new ones are compared with again and again: its rows, and all that was decided by them.
//!
//! ```text
//! rows -> columns, divisors, bandwidth, scale of categories: once, of the reference alone
//! new rows -> the same columns, divided by the same numbers -> the two-sample test with the same kernel
//! ```
//!
//! A kernel that the reference alone has chosen treats the two samples differently, so that permutations are no longer
//! exact; `docs/guide-tests.md` has the level measured. All checks against one reference share its rows, so that they are
//! not independent of each other.

use super::Bandwidth;
use super::bandwidth::Resolved;
use super::categories::{Embedded, check, scale_of, with_coordinates};
use super::columns::ColumnScale;
use super::test::NamedKernel;
use crate::data::table::{CategoryColumn, ReadOptions, Table, matched, with_common_classes};
use crate::engine::Device;
use crate::error::{Error, Result};
use crate::files;
use crate::kernel::pairs::Family;
use crate::memory::has_room;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The ending of its file.
pub const ENDING: &str = "elbo";

/// The format that this version writes; it reads no other.
const FORMAT: u32 = 1;

/// The names of the parts of its file.
const ROWS: &str = "rows";
const DECISIONS: &str = "elbo-reference";

/// What is decided once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decisions {
    /// Of the file.
    pub format: u32,
    /// Where the rows come from.
    pub name: String,
    /// The names of the columns, if they have some.
    pub header: Option<Vec<String>>,
    /// The columns of classes, and the names of these.
    pub categories: Vec<(usize, Vec<String>)>,
    /// What each column is divided by.
    pub divisors: Vec<f64>,
    /// Whether those are interquartile ranges.
    pub scale: ColumnScale,
    /// The kernel.
    pub kernel: Family,
    /// Its bandwidth.
    pub bandwidth: f64,
    /// Where that comes from.
    pub bandwidth_rule: String,
    /// s of the categories: see [`categories`](super::categories).
    pub scale_of_categories: f64,
    /// How many rows there were, of which those here are a choice.
    pub rows_of_source: usize,
}

/// A reference.
#[derive(Clone, Debug)]
pub struct ReferenceSample {
    /// What is decided once.
    pub about: Decisions,
    /// Its rows, as they were given.
    pub table: Table,
}

impl ReferenceSample {
    /// Of a table, from which `rows_of_source` rows may have been chosen.
    ///
    /// # Errors
    /// If there are too few rows, it is of images, the rule gives several bandwidths, or the device fails.
    pub fn new(
        device: &Device,
        table: Table,
        rows_of_source: usize,
        (family, bandwidth): (Family, &Bandwidth),
        scale: Option<ColumnScale>,
        seed: u64,
    ) -> Result<Self> {
        let refused = |problem: String| Err(Error::data(&table.name, problem));
        if table.rows < 2 {
            return refused("has one row; a reference needs at least two".into());
        }
        if table.layout.is_some() || table.white.is_some() {
            return refused(
                "is of images or of brightness in whole numbers, but a reference is a table of numbers"
                    .into(),
            );
        }
        let names = table.header.as_deref().unwrap_or_default();
        if let Some(twice) = (1..names.len()).find(|&column| names[..column].contains(&names[column])) {
            return refused(format!(
                "two columns are called `{}`; give each a name of its own",
                names[twice]
            ));
        }
        check(&table, family)?;
        let one = [table.clone()];
        let rescaled = super::tables::rescaled(&one, scale, Some(bandwidth))?;
        let [scaled] = &rescaled.tables;
        if scaled.columns != table.columns {
            let problem = "has columns that are constant, which no scale makes comparable with others; leave them out \
                with --columns, or use --scale none";
            return Err(Error::data(&table.name, problem));
        }
        let numbers = scaled.numbers();
        let (bandwidth, bandwidth_rule) = if numbers.columns == 0 {
            (1.0, "there are no numbers".into())
        } else {
            let sample = numbers.sample();
            let Resolved { kernel, rule, .. } =
                bandwidth.resolve(device, [sample, sample.first(0)], family, true, seed)?;
            let ([bandwidth], None) = (&kernel.bandwidths[..], &kernel.coordinates) else {
                return Err(Error::usage("a reference has one bandwidth; give one number or one rule"));
            };
            (*bandwidth, format!("{rule}, of the reference"))
        };
        let scale_of_categories = match table.categories.is_empty() {
            true => 1.0,
            false => scale_of([scaled], family, bandwidth),
        };
        let about = Decisions {
            format: FORMAT,
            name: table.name.clone(),
            header: table.header.clone(),
            categories: table.categories.iter().map(|c| (c.column, c.classes.clone())).collect(),
            divisors: rescaled.units,
            scale: rescaled.scale,
            kernel: family,
            bandwidth,
            bandwidth_rule,
            scale_of_categories,
            rows_of_source,
        };
        Ok(Self { about, table })
    }

    /// Writes a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes: Vec<u8> = self.table.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let wrong = |error: String| Error::data(path, format!("the reference cannot be written: {error}"));
        let rows = TensorView::new(Dtype::F64, vec![self.table.rows, self.table.columns], &bytes);
        let rows = rows.map_err(|error| wrong(error.to_string()))?;
        let about = serde_json::to_string(&self.about).map_err(|error| wrong(error.to_string()))?;
        let metadata = HashMap::from([(DECISIONS.to_owned(), about)]);
        let file = safetensors::serialize([(ROWS, rows)], Some(metadata));
        files::save(path, file.map_err(|error| wrong(error.to_string()))?)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it is none, or of a newer version.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |problem: String| Error::data(path, problem);
        let length = std::fs::metadata(path).map_err(Error::io(path, "read"))?.len();
        if !usize::try_from(length).is_ok_and(|length| has_room(length.saturating_mul(2))) {
            return Err(wrong(format!("there is not enough memory for two times its {length} bytes")));
        }
        let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
        let none = |error: &dyn std::fmt::Display| {
            wrong(format!("this is no reference ({error}); make it with elbo reference"))
        };
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| none(&error))?;
        let about = metadata.metadata().as_ref().and_then(|metadata| metadata.get(DECISIONS));
        let about = about.ok_or_else(|| none(&"it does not say that it is one"))?;
        let damaged = |error: &dyn std::fmt::Display| {
            wrong(format!("this reference is damaged ({error}); make it again with elbo reference"))
        };
        let about: Decisions = serde_json::from_str(about).map_err(|error| damaged(&error))?;
        if about.format != FORMAT {
            return Err(wrong(format!(
                "is of format {}, and this version reads format {FORMAT}; make it again, or use a newer elbo",
                about.format
            )));
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(&error))?;
        let rows = tensors.tensor(ROWS).map_err(|error| damaged(&error))?;
        let &[count, columns] = rows.shape() else { return Err(damaged(&"its rows are no table")) };
        let values: Vec<f64> =
            rows.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
        if rows.dtype() != Dtype::F64 {
            return Err(damaged(&"its rows are no 64-bit numbers"));
        }
        let table = about.table(count, columns, values).map_err(|problem| damaged(&problem))?;
        Ok(Self { about, table })
    }

    /// How new rows are read: the reference's columns alone.
    pub fn options(&self, options: ReadOptions) -> ReadOptions {
        let names = self.about.header.as_deref();
        let name = |column: usize| names.map_or_else(|| column.to_string(), |names| names[column].clone());
        let categories = self.about.categories.iter().map(|(column, _)| name(*column)).collect();
        let columns = names.map_or(options.columns, <[String]>::to_vec);
        ReadOptions { columns, categories, ..options }
    }

    /// The reference and new rows as the kernel takes them: columns that match, divided, categories as coordinates. Also the
    /// two tables before they were divided.
    ///
    /// # Errors
    /// If the new rows have other columns.
    pub fn with_new(&self, new: Table) -> Result<(Embedded, [Table; 2])> {
        let new = matched(&self.table, new)?;
        let mut tables = [self.table.clone(), new];
        with_common_classes(&mut tables)?;
        tables.iter().try_for_each(|table| check(table, self.about.kernel))?;
        let scaled = tables.each_ref().map(|table| {
            let mut table = table.clone();
            table.values.chunks_exact_mut(table.columns).for_each(|row| {
                row.iter_mut().zip(&self.about.divisors).for_each(|(value, divisor)| *value /= divisor);
            });
            table
        });
        let Decisions { kernel, bandwidth, ref bandwidth_rule, scale_of_categories, .. } = self.about;
        let embedded =
            with_coordinates(&scaled, kernel, (bandwidth, bandwidth_rule.clone()), scale_of_categories);
        Ok((embedded, tables))
    }

    /// The kernel as results name it.
    pub fn named_kernel(&self) -> NamedKernel {
        let Decisions { kernel: family, bandwidth, ref bandwidth_rule, .. } = self.about;
        NamedKernel {
            family,
            bandwidths: vec![bandwidth],
            bandwidth_rule: bandwidth_rule.clone(),
            per_feature: None,
        }
    }
}

impl Decisions {
    /// A table of rows that a file holds, or what is wrong with them.
    fn table(
        &self,
        rows: usize,
        columns: usize,
        values: Vec<f64>,
    ) -> std::result::Result<Table, &'static str> {
        let finite = values.iter().all(|value| value.is_finite());
        let divisors = self.divisors.len() == columns
            && self.divisors.iter().all(|divisor| divisor.is_normal() && *divisor > 0.0);
        if rows < 2 || columns == 0 || values.len() != rows * columns || !finite || !divisors {
            return Err("its rows or their divisors are not right");
        }
        if self.header.as_ref().is_some_and(|header| header.len() != columns) {
            return Err("it does not name each column");
        }
        let widths = self.bandwidth > 0.0 && self.bandwidth.is_finite() && self.scale_of_categories >= 1.0;
        if !widths || !self.scale_of_categories.is_finite() {
            return Err("its bandwidth or scale is not right");
        }
        let mut categories = Vec::new();
        for (column, classes) in &self.categories {
            let codes = || values.iter().skip(*column).step_by(columns);
            let known = |code: &f64| code.fract() == 0.0 && (0.0..classes.len() as f64).contains(code);
            let last = categories.last().map(|category: &CategoryColumn| category.column);
            if *column >= columns || last >= Some(*column) || !codes().all(known) {
                return Err("its categories are not right");
            }
            categories.push(CategoryColumn { column: *column, classes: classes.clone() });
        }
        let (name, header) = (self.name.clone(), self.header.clone());
        Ok(Table { name, rows, columns, values: values.into(), header, categories, ..Table::default() })
    }
}

/// The chance of at least one false alarm in some independent checks at a level.
pub fn false_alarms(alpha: f64, checks: u32) -> f64 {
    1.0 - (1.0 - alpha).powi(checks as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Choice;
    use crate::random::{Sequence, Stream};
    use crate::statistic::{Sample, TwoSampleSettings, two_sample};

    fn table(rows: usize, shift: f64, seed: u64) -> Table {
        let mut random = Sequence::new(seed, Stream::ProblemX, 0);
        let values: Vec<f64> = (0..rows)
            .flat_map(|i| [10.0 * random.normal_f64(), random.normal_f64() + shift, (i % 3) as f64])
            .collect();
        Table {
            name: "old.csv".into(),
            rows,
            columns: 3,
            values: values.into(),
            header: Some(["a", "b", "c"].map(String::from).to_vec()),
            categories: vec![CategoryColumn {
                column: 2,
                classes: ["u", "v", "w"].map(String::from).to_vec(),
            }],
            ..Table::default()
        }
    }

    #[test]
    fn a_file_gives_the_same_test_again() {
        let device = Device::open(Choice::Cpu, None).expect("the CPU");
        let reference = ReferenceSample::new(
            &device,
            table(200, 0.0, 1),
            500,
            (Family::Gaussian, &Bandwidth::default()),
            None,
            0,
        )
        .expect("a reference");
        let directory = tempfile::tempdir().expect("a folder");
        let path = directory.path().join("ref.elbo");
        reference.save(&path).expect("a file");
        let read = ReferenceSample::read(&path).expect("a reference");
        assert_eq!((&read.about, &read.table), (&reference.about, &reference.table));
        // Columns in another order, classes in another order and a new one.
        let mut new = table(100, 0.8, 2).select(&[2, 1, 0]);
        new.categories[0].classes = ["w", "u", "new"].map(String::from).to_vec();
        let (embedded, unscaled) = read.with_new(new).expect("they match");
        assert_eq!(embedded.tables[0].columns, 2 + 4);
        assert_eq!(unscaled[1].row(0)[2], 2.0, "w is the reference's third class");
        let settings = TwoSampleSettings {
            bandwidth: Bandwidth::Values(vec![embedded.bandwidth]),
            ..Default::default()
        };
        let samples: [Sample<'_>; 2] = embedded.tables.each_ref().map(Table::sample);
        let test = two_sample(&device, samples, &settings, &mut |_| Ok(())).expect("a test");
        assert!(test.p.reject);
        let other = table(50, 0.0, 3).select(&[0, 1]);
        assert!(read.with_new(other).is_err(), "a column is missing");
    }

    #[test]
    fn files_that_lie_are_refused() {
        let device = Device::open(Choice::Cpu, None).expect("the CPU");
        let good = ReferenceSample::new(
            &device,
            table(20, 0.0, 1),
            20,
            (Family::Gaussian, &Bandwidth::default()),
            None,
            0,
        )
        .expect("a reference");
        let directory = tempfile::tempdir().expect("a folder");
        let path = directory.path().join("ref.elbo");
        let lies: [fn(&mut ReferenceSample); 7] = [
            |r| r.about.format = 2,
            |r| r.about.divisors[0] = 0.0,
            |r| r.about.divisors.truncate(2),
            |r| r.about.header = Some(vec!["a".into()]),
            |r| r.about.categories[0].0 = 7,
            |r| r.about.categories[0].1.truncate(1),
            |r| r.about.bandwidth = f64::NAN,
        ];
        for (number, lie) in lies.iter().enumerate() {
            let mut bad = good.clone();
            lie(&mut bad);
            bad.save(&path).expect("written");
            assert!(ReferenceSample::read(&path).is_err(), "lie {number}");
        }
        good.save(&path).expect("written");
        let bytes = std::fs::read(&path).expect("bytes");
        for end in [0, 7, 8, 60, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..end]).expect("written");
            assert!(ReferenceSample::read(&path).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn alarms_add_up() {
        assert!((false_alarms(0.05, 30) - 0.785_36).abs() < 1e-4);
        assert_eq!(false_alarms(0.05, 0), 0.0);
    }
}
