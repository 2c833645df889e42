//! Columns of two tables beside each other.

use super::chart::Chart;
use super::panel::{Panel, Series};
use crate::error::{Error, Result};
use std::path::Path;

/// Bars of a histogram.
const BARS: usize = 40;

/// The part of the values on either side that may lie beyond the axis, or a single one would hide the others.
const OUTSIDE: f64 = 0.002;

/// A column of two tables.
#[derive(Clone, Debug)]
pub struct ComparedColumn {
    /// Its name.
    pub name: String,
    /// What is to be said of it beside the name.
    pub remark: String,
    /// Its values in either table; those that are not finite are left out.
    pub values: [Vec<f64>; 2],
}

/// Draws histograms of columns of the two tables with some names, and writes the picture to `path` as PNG.
///
/// # Errors
/// If a table has no finite value in a column, or the file cannot be written.
pub fn columns(path: &Path, names: [&str; 2], columns: &[ComparedColumn]) -> Result<()> {
    let panels = columns.iter().map(|column| panel(column, names)).collect::<Result<Vec<Panel>>>()?;
    let title = format!("Columns of {} and {}", names[0], names[1]);
    let side_by_side = if panels.len() > 3 { 2 } else { 1 };
    Chart { title, panels, columns: side_by_side, ..Chart::default() }.save(path)
}

fn panel(column: &ComparedColumn, names: [&str; 2]) -> Result<Panel> {
    let finite =
        |values: &[f64]| values.iter().copied().filter(|value| value.is_finite()).collect::<Vec<f64>>();
    let values = column.values.each_ref().map(|values| finite(values));
    let mut all = values.concat();
    if values.iter().any(Vec::is_empty) {
        return Err(Error::usage(format!("there are no values of {} to draw", column.name)));
    }
    all.sort_by(f64::total_cmp);
    let beyond = (OUTSIDE * all.len() as f64) as usize;
    let mut ends = [all[beyond], all[all.len() - 1 - beyond]];
    if ends[0] == ends[1] {
        ends = [ends[0] - 0.5, ends[1] + 0.5];
    }
    // Shares of rows, as tables may be of different sizes.
    let series = values.iter().zip(names).map(|(values, name)| {
        let mut series = Series::histogram(values, ends, BARS);
        series.points.iter_mut().for_each(|point| point[1] *= 100.0 / values.len() as f64);
        Series { name: name.into(), ..series }
    });
    Ok(Panel {
        title: column.remark.clone(),
        x: column.name.clone(),
        y: "% of rows".into(),
        series: series.collect(),
        floor: Some(0.0),
        ..Panel::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;

    #[test]
    fn shares_are_of_each_table_and_outliers_hide_nothing() -> Result<()> {
        let mut noise = demo::noise(1);
        let mut x: Vec<f64> = (0..1000).map(|_| noise()).collect();
        x[0] = 1e9;
        let y: Vec<f64> = (0..100).map(|_| noise() + 2.0).chain([f64::NAN]).collect();
        let column = ComparedColumn { name: "total".into(), remark: "KS 0.9".into(), values: [x, y] };
        let panel = panel(&column, ["a.csv", "b.csv"])?;
        for series in &panel.series {
            let shares: f64 = series.points.iter().map(|point| point[1]).sum();
            assert!((98.0..=100.0 + 1e-9).contains(&shares), "{shares}");
            assert!(series.points.iter().all(|point| point[0].abs() < 10.0));
        }
        let constant = ComparedColumn { values: [vec![1.0; 5], vec![1.0; 3]], ..column.clone() };
        assert!(!demo::bytes(|path| columns(path, ["a", "b"], &[column, constant])).is_empty());
        let none = ComparedColumn { name: "u".into(), remark: String::new(), values: [vec![], vec![1.0]] };
        assert!(columns(Path::new("none.png"), ["a", "b"], &[none]).is_err());
        Ok(())
    }
}
