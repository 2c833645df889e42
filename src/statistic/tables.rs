//! Tables made ready to be compared: columns that match, one scale, the rows that are wanted.

use super::columns::{self, ColumnScale};
use super::{Bandwidth, series};
use crate::data::scale;
use crate::data::table::{self, Table};
use crate::error::{Error, Result};
use crate::random::{Sequence, Stream};

/// Tables with more columns are features or pixels, which nobody looks at one by one.
const MANY_COLUMNS: usize = 64;

/// Scales of columns that differ by more than this are told.
const FAR_APART: f64 = 10.0;

/// Tables with their columns on one scale.
pub struct Rescaled<const N: usize> {
    /// The tables.
    pub tables: [Table; N],
    /// What their columns were divided by.
    pub scale: ColumnScale,
    /// The same in numbers, one for each column that is left.
    pub units: Vec<f64>,
    /// What the user must know of it.
    pub notes: Vec<String>,
}

/// The samples of one kind of points, on one scale and with the columns of the first; and what the user must know.
///
/// # Errors
/// If they do not have the same columns.
pub fn comparable<const N: usize>(mut tables: [Table; N]) -> Result<([Table; N], Vec<String>)> {
    let mut notes = scale::scale(&mut tables);
    notes.extend(scale::different_scales(&tables));
    for i in 1..N {
        let table = std::mem::take(&mut tables[i]);
        tables[i] = table::matched(&tables[0], table)?;
    }
    table::with_common_classes(&mut tables)?;
    notes.extend(tables.iter().flat_map(|table| table.notes.iter().cloned()));
    Ok((tables, notes))
}

/// Two variables of the same observations: both keep the same rows; and what the user must know.
///
/// # Errors
/// If they do not have as many rows.
pub fn observed_together(mut tables: [Table; 2]) -> Result<([Table; 2], Vec<String>)> {
    let mut notes = scale::scale(&mut tables);
    notes.extend(tables.iter().flat_map(|table| table.notes.iter().cloned()));
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
    let tables = [without(&x, &y.left_out), without(&y, &x.left_out)];
    Ok((tables, notes))
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

/// The tables with their columns on one scale. Where nothing else is asked for, named columns are divided by their
/// interquartile ranges, unless bandwidths are given as numbers: those are in the units of the data.
///
/// # Errors
/// If all columns are constant, so that none has a scale.
pub fn rescaled<const N: usize>(
    tables: &[Table; N],
    asked: Option<ColumnScale>,
    bandwidth: Option<&Bandwidth>,
) -> Result<Rescaled<N>> {
    let first = &tables[0];
    let named = first.header.is_some() && first.layout.is_none() && first.columns > 1;
    let numbers = matches!(bandwidth, Some(Bandwidth::Values(_)));
    let usual = if named && !numbers { ColumnScale::Robust } else { ColumnScale::None };
    let scale = asked.unwrap_or(usual);
    if scale == ColumnScale::None {
        let mut notes: Vec<String> = different_units(tables).into_iter().collect();
        notes.extend(tables.iter().flat_map(constant_columns));
        let units = vec![1.0; first.columns];
        return Ok(Rescaled { tables: tables.clone(), scale, units, notes });
    }
    let mut units = columns::scales(&tables.each_ref().map(Table::sample));
    (0..units.len()).filter(|&column| first.is_category(column)).for_each(|column| units[column] = 1.0);
    let kept: Vec<usize> = (0..units.len()).filter(|&column| units[column] > 0.0).collect();
    if kept.is_empty() {
        let problem =
            "all columns are constant, so none has a scale; leave out --scale, or give other columns";
        return Err(Error::data(&first.name, problem));
    }
    let constant = (0..units.len()).filter(|&column| units[column] == 0.0);
    let notes = constant
        .map(|column| {
            let value = first.row(0)[column];
            format!("{} has the value {value} in all rows: it is left out", first.column_text(column))
        })
        .collect();
    let units: Vec<f64> = kept.iter().map(|&column| units[column]).collect();
    let tables = tables.each_ref().map(|table| {
        let mut table = table.select(&kept);
        table.values.chunks_exact_mut(units.len()).for_each(|row| {
            row.iter_mut().zip(&units).for_each(|(value, unit)| *value /= unit);
        });
        table
    });
    Ok(Rescaled { tables, scale, units, notes })
}

/// Tells that one column of a table decides all distances.
fn different_units<const N: usize>(tables: &[Table; N]) -> Option<String> {
    let table = &tables[0];
    if table.layout.is_some() || !(2..=MANY_COLUMNS).contains(&table.columns) {
        return None;
    }
    let units = columns::scales(&tables.each_ref().map(Table::sample));
    let known =
        || units.iter().enumerate().filter(|(column, unit)| **unit > 0.0 && !table.is_category(*column));
    let (low, least) = known().min_by(|a, b| a.1.total_cmp(b.1))?;
    let (high, most) = known().max_by(|a, b| a.1.total_cmp(b.1))?;
    (most / least > FAR_APART).then(|| {
        format!(
            "{} is on a scale {:.3e} times that of {} and decides the distances; --scale robust divides each column by \
             its interquartile range",
            table.column_text(high).trim_end_matches(','),
            most / least,
            table.column_text(low).trim_end_matches(',')
        )
    })
}

/// Warns of columns with one value only, as a wrong export has them.
fn constant_columns(table: &Table) -> Vec<String> {
    // The margins of images are constant as a rule, and so is what a table of one column may be tested for.
    if table.layout.is_some() || !(2..=MANY_COLUMNS).contains(&table.columns) || table.rows < 2 {
        return Vec::new();
    }
    let constant = |column: usize| {
        let value = table.row(0)[column];
        (1..table.rows).all(|row| table.row(row)[column] == value).then(|| {
            format!(
                "warning: {} of {} is {value} in all rows; is it meant to be there?",
                table.column_text(column),
                table.name
            )
        })
    };
    (0..table.columns).filter(|&column| !table.is_category(column)).filter_map(constant).collect()
}

/// What tests of independent rows can be told to do about others, if they have the series null.
pub const USE_SERIES: &str = "use --null series";

/// The same for other tests.
pub const THIN: &str = "leave rows out until those that are left are nearly independent";

/// Warnings of tables whose rows, in the order of their file, look as if they depended on each other. Images are not
/// looked at: they are often in an order that means nothing.
pub fn order_warnings(tables: &[&Table], advice: &str) -> Vec<String> {
    let of = |table: &&Table| {
        let column = |index: usize| {
            let name = table.header.as_ref().and_then(|names| names.get(index));
            name.map_or_else(|| format!("column {index} (counted from 0)"), |name| format!("column `{name}`"))
        };
        series::order_warning(&table.name, table.sample(), column, advice)
    };
    tables.iter().filter(|table| table.layout.is_none()).filter_map(of).collect()
}

/// All rows of a table in random order.
fn shuffled(table: &Table, seed: u64, which: u32) -> Vec<usize> {
    Sequence::new(seed, Stream::Subsample, which + 1).order(table.rows)
}

/// Two random halves of a sample.
pub fn halves(table: &Table, seed: u64) -> [Table; 2] {
    let order = shuffled(table, seed, 0);
    let (first, second) = order.split_at(order.len() / 2);
    [
        table.choice(format!("one half of {}", table.name), first),
        table.choice(format!("the other half of {}", table.name), second),
    ]
}

/// A random choice of `points` rows, or all where there are no more; `which` has numbers of its own.
pub fn choice(table: Table, points: Option<usize>, seed: u64, which: u32) -> Table {
    match points {
        Some(points) if points < table.rows => {
            table.choice(table.name.clone(), &shuffled(&table, seed, which)[..points])
        }
        _ => table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_all_points_once() {
        let values = (0..9).map(f64::from).collect();
        let table = Table { name: "t".into(), rows: 9, columns: 1, values, ..Table::default() };
        let [a, b] = halves(&table, 3);
        let mut all = [&*a.values, &*b.values].concat();
        assert_ne!(all, *table.values, "they are random");
        all.sort_by(f64::total_cmp);
        assert_eq!(all, *table.values);
        assert_eq!(choice(table.clone(), Some(4), 0, 0).rows, 4);
        assert_eq!(choice(table.clone(), Some(20), 0, 0), table);
    }
}
