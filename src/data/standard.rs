//! Tables to learn from: rows of numbers of any scale, standardised column by column.
//!
//! ```text
//! x = (value - mean) / std     mean and std of the training rows; std = 1 where a column is constant
//! ```

use super::images::TestChoice;
use super::table::{Table, listed};
use super::{Dataset, Images, Pixels};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The name of data that another program had in its memory.
pub const IN_MEMORY: &str = "array";

/// What the columns of a table are standardised by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnMoments {
    /// `(D)`: means.
    pub means: Vec<f64>,
    /// `(D)`: names; none where the table has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// `(D)`: standard deviations.
    pub stds: Vec<f64>,
}

impl ColumnMoments {
    /// Those of `count` rows `(count, D)`.
    fn of<'a>(
        rows: impl Iterator<Item = &'a [f64]> + Clone,
        count: usize,
        names: Vec<String>,
        d: usize,
    ) -> Self {
        let mean = |of: &dyn Fn(usize, f64) -> f64| {
            let mut sums = vec![0.0; d];
            for row in rows.clone() {
                sums.iter_mut().zip(row).enumerate().for_each(|(j, (sum, &value))| *sum += of(j, value));
            }
            sums.into_iter().map(|sum| sum / count as f64).collect::<Vec<f64>>()
        };
        let mut means = mean(&|_, value| value);
        let mut stds = mean(&|j, value| (value - means[j]).powi(2));
        for j in 0..d {
            let first = rows.clone().next().map_or(0.0, |row| row[j]);
            // The mean of equal numbers is not quite that number, and their scatter not quite 0.
            if rows.clone().all(|row| row[j] == first) {
                (means[j], stds[j]) = (first, 1.0);
            } else {
                stds[j] = stds[j].sqrt();
            }
        }
        Self { means, names, stds }
    }

    /// Why these cannot be those of rows of `d` numbers, if they cannot: files say what they like.
    pub fn problem(&self, d: usize) -> Option<&'static str> {
        let lengths = [self.means.len(), self.stds.len()] == [d; 2] && [0, d].contains(&self.names.len());
        let finite = self.means.iter().chain(&self.stds).all(|value| value.is_finite());
        match () {
            () if !lengths => Some("has not a mean, a standard deviation and a name for each column"),
            () if !finite || self.stds.iter().any(|&std| std <= 0.0) => {
                Some("has means or standard deviations of columns that are not possible")
            }
            () => None,
        }
    }

    /// A table's columns in the order of these, by their names if both have names.
    ///
    /// # Errors
    /// If it has others.
    pub fn matched(&self, table: &Table) -> Result<Table> {
        let wrong = |problem: String| Err(Error::data(Path::new(&table.name), problem));
        if table.columns != self.len() {
            return wrong(format!(
                "has {} columns, but the model learned from {}",
                table.columns,
                self.len()
            ));
        }
        let Some(header) = table.header.as_ref().filter(|_| !self.names.is_empty()) else {
            return Ok(table.clone());
        };
        if *header == self.names {
            return Ok(table.clone());
        }
        let places: HashMap<&String, usize> = header.iter().zip(0..).collect();
        match self.names.iter().map(|name| places.get(name).copied()).collect::<Option<Vec<usize>>>() {
            Some(order) => Ok(table.select(&order)),
            None => wrong(format!(
                "has the columns {}, but the model learned from {}",
                listed(header.iter()),
                listed(self.names.iter())
            )),
        }
    }

    /// D.
    pub fn len(&self) -> usize {
        self.means.len()
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        self.means.is_empty()
    }

    /// Rows `(N, D)` of a table's values, as a model sees them.
    pub fn standardised(&self, rows: &[f64]) -> Vec<f32> {
        let d = self.len();
        rows.iter().enumerate().map(|(k, &v)| ((v - self.means[k % d]) / self.stds[k % d]) as f32).collect()
    }

    /// Rows `(N, D)` of a model in the units of the table.
    pub fn restored(&self, rows: &[f32]) -> Vec<f64> {
        let d = self.len();
        rows.iter().enumerate().map(|(k, &x)| f64::from(x) * self.stds[k % d] + self.means[k % d]).collect()
    }
}

/// A table as a data set: a tenth of the rows, chosen by the seed, is for tests.
///
/// # Errors
/// If there are fewer than two rows, or numbers too large to be standardised.
pub fn dataset(table: &Table, seed: u64) -> Result<Dataset> {
    let choice = TestChoice { seed };
    let parts = [0, 1].map(|part| (0..table.rows).filter(|&i| choice.part(i, table.rows) == part).collect());
    split(table, parts)
}

/// A table as a data set: these rows to learn from, and those for tests.
///
/// # Errors
/// If a part has no row, or numbers are too large to be standardised.
pub fn split(table: &Table, [train, test]: [Vec<usize>; 2]) -> Result<Dataset> {
    let place = Path::new(&table.name);
    if train.is_empty() || test.is_empty() {
        let problem = "there is only one row; expected at least two, one to learn from and one for tests";
        return Err(Error::data(place, problem));
    }
    let names = table.header.clone().unwrap_or_default();
    let columns = ColumnMoments::of(train.iter().map(|&i| table.row(i)), train.len(), names, table.columns);
    let part = |rows: Vec<usize>| {
        let values = rows.iter().flat_map(|&i| columns.standardised(table.row(i))).collect::<Vec<f32>>();
        Images {
            height: 1,
            width: table.columns,
            channels: 1,
            pixels: Pixels::Numbers(values),
            labels: vec![0; rows.len()],
            factors: None,
        }
    };
    let (train, test) = (part(train), part(test));
    for images in [&train, &test] {
        let Pixels::Numbers(values) = &images.pixels else { continue };
        if let Some(k) = values.iter().position(|value| !value.is_finite()) {
            let problem = format!(
                "{} has numbers too far apart to be standardised; rescale it first",
                table.column_text(k % table.columns)
            );
            return Err(Error::data(place, problem));
        }
    }
    let mut notes = table.notes.clone();
    notes.push(format!(
        "{}: each column less its mean, divided by its standard deviation; losses are in these units",
        table.name
    ));
    let constant =
        (0..columns.len()).filter(|&j| (1..table.rows).all(|i| table.row(i)[j] == table.row(0)[j]));
    notes.extend(constant.map(|j| {
        format!("{}: {} has the value {} in all rows", table.name, table.column_text(j), table.row(0)[j])
    }));
    let (name, classes) = (table.name.clone(), vec![table.name.clone()]);
    Ok(Dataset { name, train, test, classes, columns: Some(columns), notes })
}

impl Dataset {
    /// Standardised as the table that a model learned from: what the model sees. None are those of a model of images.
    ///
    /// # Errors
    /// If it is a table and the model of images, or the other way around, or it has other columns.
    pub fn standardise_as(&mut self, other: Option<&ColumnMoments>) -> Result<()> {
        let (own, other) = match (&self.columns, other) {
            (None, None) => return Ok(()),
            (Some(own), Some(other)) if own == other => return Ok(()),
            (Some(own), Some(other)) => (own, other),
            (None, Some(_)) => {
                return Err(Error::data(&self.name, "is of images, but the model learned from a table"));
            }
            (Some(_), None) => {
                return Err(Error::data(&self.name, "is a table, but the model learned from images"));
            }
        };
        for images in [&mut self.train, &mut self.test] {
            if let Pixels::Numbers(values) = &mut images.pixels {
                let table = Table {
                    name: self.name.clone(),
                    rows: images.labels.len(),
                    columns: own.len(),
                    values: own.restored(values).into(),
                    header: (!own.names.is_empty()).then(|| own.names.clone()),
                    ..Table::default()
                };
                *values = other.standardised(&other.matched(&table)?.values);
            }
        }
        self.columns = Some(other.clone());
        Ok(())
    }

    /// Two rows of zeros in each part, in the place of data that a model does not need for decoding, or for codes of data that
    /// are given.
    pub fn placeholder([height, width, channels]: [usize; 3], columns: Option<ColumnMoments>) -> Self {
        let count = 2 * height * width * channels;
        let pixels = match &columns {
            Some(_) => Pixels::Numbers(vec![0.0; count]),
            None => Pixels::Bytes(vec![0; count]),
        };
        let part = Images { height, width, channels, pixels, labels: vec![0; 2], factors: None };
        let name = IN_MEMORY.to_owned();
        Self {
            classes: vec![name.clone()],
            name,
            train: part.clone(),
            test: part,
            columns,
            notes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let values = (0..40).flat_map(|i| [f64::from(i), 1e6 + 1e3 * f64::from(i % 3), 0.1]).collect();
        let header = Some(["a", "b", "constant"].map(String::from).to_vec());
        Table { name: "t.csv".into(), rows: 40, columns: 3, values, header, ..Table::default() }
    }

    #[test]
    fn columns_are_standardised_by_the_training_rows_and_back() {
        let table = table();
        let dataset = dataset(&table, 3).expect("rows");
        let columns = dataset.columns.clone().expect("columns");
        assert_eq!((dataset.train.len(), dataset.test.len(), dataset.train.dimension()), (36, 4, 3));
        let Pixels::Numbers(values) = &dataset.train.pixels else { panic!("numbers") };
        for j in 0..2 {
            let column: Vec<f64> = values.iter().skip(j).step_by(3).map(|&v| f64::from(v)).collect();
            let mean = column.iter().sum::<f64>() / 36.0;
            let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 36.0;
            assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5, "{j}: {mean}, {variance}");
        }
        assert!(values.iter().skip(2).step_by(3).all(|&v| v == 0.0), "constants are 0");
        for (row, restored) in [dataset.train, dataset.test].iter().flat_map(|part| {
            let Pixels::Numbers(values) = &part.pixels else { panic!("numbers") };
            columns.restored(values).chunks(3).map(|row| (row[0].round(), row.to_vec())).collect::<Vec<_>>()
        }) {
            let expected = table.row(row as usize);
            assert!(restored.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs().max(1.0)));
        }
        assert!(dataset.notes.iter().any(|note| note.contains("`constant`, has the value 0.1 in all rows")));
    }

    #[test]
    fn other_tables_are_standardised_as_the_first() {
        let first = dataset(&table(), 0).expect("rows").columns.expect("columns");
        let mut shifted = table();
        shifted.values.iter_mut().step_by(3).for_each(|value| *value += 100.0);
        let mut other = dataset(&shifted, 0).expect("rows");
        let Pixels::Numbers(own) = other.test.pixels.clone() else { panic!("numbers") };
        other.standardise_as(Some(&first)).expect("the same columns");
        let Pixels::Numbers(values) = &other.test.pixels else { panic!("numbers") };
        let step = (100.0 / first.stds[0]) as f32;
        assert!((values[0] - own[0] - step).abs() < 1e-4, "{} {} {step}", values[0], own[0]);
        assert_eq!(other.columns.as_ref(), Some(&first));
        // ColumnMoments in another order are found by their names.
        let turned = dataset(&table().select(&[2, 0, 1]), 0).expect("rows");
        let (mut turned, straight) = (turned, dataset(&table(), 0).expect("rows"));
        turned.standardise_as(Some(&first)).expect("the same names");
        assert_eq!((turned.train, turned.test), (straight.train, straight.test));
        let mut renamed = table();
        renamed.header = Some(["a", "b", "c"].map(String::from).to_vec());
        let problem = dataset(&renamed, 0).expect("rows").standardise_as(Some(&first)).expect_err("a name");
        assert!(problem.to_string().contains("learned from `a`, `b`, `constant`"), "{problem}");
        assert!(other.standardise_as(None).is_err(), "a table is no image");
    }

    #[test]
    fn one_row_is_refused() {
        let one = Table { rows: 1, columns: 3, values: [1.0, 2.0, 3.0].into(), ..Table::default() };
        assert!(dataset(&one, 0).expect_err("one row").to_string().contains("only one row"));
    }
}
