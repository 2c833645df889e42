//! Columns of two tables beside each other.

use super::chart::Chart;
use super::panel::{Panel, Series, Style};
use crate::error::{Error, Result};
use std::path::Path;

/// Bars of a histogram.
const BARS: usize = 40;

/// The part of the values on either side that may lie beyond the axis, or a single one would hide the others.
const OUTSIDE: f64 = 0.002;

/// Classes with a bar of their own; the others share one.
const MOST_CLASSES: usize = 6;

/// Name of the others.
const OTHERS: &str = "others";

/// How much of its place a class's bar fills.
const FILLED: f64 = 0.8;

/// A column of two tables.
#[derive(Clone, Debug)]
pub struct ComparedColumn {
    /// Its name.
    pub name: String,
    /// What is to be said of it beside the name.
    pub remark: String,
    /// What is in it.
    pub values: ColumnValues,
}

/// The values of a column in either table.
#[derive(Clone, Debug)]
pub enum ColumnValues {
    /// Numbers; those that are not finite are left out.
    Numbers([Vec<f64>; 2]),
    /// Classes, each with its number of rows in either table.
    Classes(Vec<(String, [usize; 2])>),
}

/// Draws columns of two tables with these names, numbers as histograms and classes as bars, and writes the picture to `path`
/// as PNG.
///
/// # Errors
/// If a table has neither a finite value nor a class in a column, or the file cannot be written.
pub fn columns(path: &Path, names: [&str; 2], columns: &[ComparedColumn]) -> Result<()> {
    let panels = columns.iter().map(|column| panel(column, names)).collect::<Result<Vec<Panel>>>()?;
    let title = format!("Columns of {} and {}", names[0], names[1]);
    let side_by_side = if panels.len() > 3 { 2 } else { 1 };
    Chart { title, panels, columns: side_by_side, ..Chart::default() }.save(path)
}

fn panel(column: &ComparedColumn, names: [&str; 2]) -> Result<Panel> {
    let drawn = match &column.values {
        ColumnValues::Numbers(values) => numbers(values).map(|series| (series, Vec::new())),
        ColumnValues::Classes(classes) => shares(classes),
    };
    let Some((series, places)) = drawn else {
        return Err(Error::usage(format!("there are no values of {} to draw", column.name)));
    };
    let named = series.into_iter().zip(names).map(|(series, name)| Series { name: name.into(), ..series });
    Ok(Panel {
        title: column.remark.clone(),
        x: column.name.clone(),
        places,
        y: "% of rows".into(),
        series: named.collect(),
        floor: Some(0.0),
        ..Panel::default()
    })
}

/// A histogram of numbers for either table: shares of rows, as tables may be of different sizes.
fn numbers(values: &[Vec<f64>; 2]) -> Option<[Series; 2]> {
    let finite =
        |values: &Vec<f64>| values.iter().copied().filter(|value| value.is_finite()).collect::<Vec<f64>>();
    let values = values.each_ref().map(finite);
    if values.iter().any(Vec::is_empty) {
        return None;
    }
    let mut all = values.concat();
    all.sort_by(f64::total_cmp);
    let beyond = (OUTSIDE * all.len() as f64) as usize;
    let mut ends = [all[beyond], all[all.len() - 1 - beyond]];
    if ends[0] == ends[1] {
        ends = [ends[0] - 0.5, ends[1] + 0.5];
    }
    Some(values.map(|values| {
        let mut series = Series::histogram(&values, ends, BARS);
        series.points.iter_mut().for_each(|point| point[1] *= 100.0 / values.len() as f64);
        series
    }))
}

/// A bar for the share of each class in either table, the most frequent classes first, and the names below the bars.
fn shares(classes: &[(String, [usize; 2])]) -> Option<([Series; 2], Vec<String>)> {
    let rows = [0, 1].map(|table| classes.iter().map(|class| class.1[table]).sum::<usize>());
    if rows.contains(&0) {
        return None;
    }
    let share = |counts: [usize; 2]| [0, 1].map(|table| 100.0 * counts[table] as f64 / rows[table] as f64);
    let mut named: Vec<(String, [f64; 2])> =
        classes.iter().map(|(name, counts)| (name.clone(), share(*counts))).collect();
    named.sort_by(|a, b| b.1.iter().sum::<f64>().total_cmp(&a.1.iter().sum()));
    if named.len() > MOST_CLASSES + 1 {
        let rest = named.split_off(MOST_CLASSES);
        let sum = [0, 1].map(|table| rest.iter().map(|class| class.1[table]).sum());
        named.push((OTHERS.into(), sum));
    }
    let bars = |table: usize| {
        let bar = |(at, class): (usize, &(String, [f64; 2]))| {
            let [left, right] = [-FILLED / 2.0, FILLED / 2.0].map(|side| at as f64 + side);
            [[left, class.1[table]], [right, 0.0]]
        };
        let points = named.iter().enumerate().flat_map(bar).collect();
        Series { name: String::new(), points, style: Style::Steps }
    };
    Some(([bars(0), bars(1)], named.into_iter().map(|class| class.0).collect()))
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
        let column = ComparedColumn {
            name: "total".into(),
            remark: "KS 0.9".into(),
            values: ColumnValues::Numbers([x, y]),
        };
        let panel = panel(&column, ["a.csv", "b.csv"])?;
        for series in &panel.series {
            let shares: f64 = series.points.iter().map(|point| point[1]).sum();
            assert!((98.0..=100.0 + 1e-9).contains(&shares), "{shares}");
            assert!(series.points.iter().all(|point| point[0].abs() < 10.0));
        }
        let constant =
            ComparedColumn { values: ColumnValues::Numbers([vec![1.0; 5], vec![1.0; 3]]), ..column.clone() };
        assert!(!demo::bytes(|path| columns(path, ["a", "b"], &[column, constant])).is_empty());
        let values = ColumnValues::Numbers([vec![], vec![1.0]]);
        let none = ComparedColumn { name: "u".into(), remark: String::new(), values };
        assert!(columns(Path::new("none.png"), ["a", "b"], &[none]).is_err());
        Ok(())
    }

    #[test]
    fn classes_are_bars_and_rare_ones_share_one() -> Result<()> {
        let class = |number: usize| (format!("class {number}"), [number, 10 * number]);
        let values = ColumnValues::Classes((0..10).map(class).collect());
        let column = ComparedColumn { name: "plan".into(), remark: String::new(), values };
        let panel = panel(&column, ["a.csv", "b.csv"])?;
        assert_eq!(panel.places[0], "class 9");
        assert_eq!((panel.places.len(), panel.places[6].as_str()), (7, "others"));
        for series in &panel.series {
            let shares: f64 = series.points.iter().map(|point| point[1]).sum();
            assert!((shares - 100.0).abs() < 1e-9);
            assert!((series.points[0][1] - 20.0).abs() < 1e-9, "9 of 45");
        }
        let lone = ComparedColumn { values: ColumnValues::Classes(vec![class(3)]), ..column.clone() };
        assert!(!demo::bytes(|path| columns(path, ["a", "b"], &[column.clone(), lone])).is_empty());
        let none = ComparedColumn { values: ColumnValues::Classes(vec![("u".into(), [0, 5])]), ..column };
        assert!(columns(Path::new("none.png"), ["a", "b"], &[none]).is_err());
        Ok(())
    }
}
