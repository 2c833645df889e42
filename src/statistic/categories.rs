//! Categories beside numbers: a kernel that sees both.
//!
//! ```text
//! k(x, y) = exp(-e) exp(-h / s)     e: the exponent of the numbers, such as r^2 / (2 b^2)
//!                                   h: how many categories of x and y are unequal
//!                                   s: sd(h) / sd(e) over pairs of pooled rows, at least 1
//! ```
//!
//! So both parts vary the kernel alike. With s = 1, categories drown the numbers of many columns, whose distances are nearly
//! the same for all pairs: of 500 drifts of half a standard deviation in one of 20 columns, beside two categories, a test of
//! 200 rows a sample at level .05 then saw a tenth.
//!
//! Each class becomes a coordinate, c where a row is of it and 0 elsewhere: two rows whose categories differ h times are
//! then as far from each other as the kernel asks for. For exp(-r^2 / (2 b^2)) that is c = b / sqrt(s), as r^2 grows by
//! 2 c^2 for each; for exp(-|x - y|_1 / b) it is c = b / (2 s). A missing category is a class of its own.

use super::{Bandwidth, Rule};
use crate::data::table::Table;
use crate::engine::Device;
use crate::error::{Error, Result};
use crate::kernel::pairs::Family;
use crate::random::{Sequence, Stream};
use rayon::prelude::*;
use serde::Serialize;

/// Rows whose pairs are looked at, and which random choice of rows they are.
const MOST_ROWS: usize = 1024;
const CHOICE: u32 = 1 << 20;

/// Most classes of all categories together: each is a coordinate.
const MOST_CLASSES: usize = 2_000;

/// The categories of two tables.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Categories {
    /// Their names.
    pub names: Vec<String>,
    /// How many classes each has.
    pub classes: Vec<usize>,
    /// s.
    pub scale: f64,
}

/// Two tables whose categories have become coordinates.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// The tables: their numbers, and a coordinate for each class.
    pub tables: [Table; 2],
    /// The kernel's bandwidth, that of the numbers.
    pub bandwidth: f64,
    /// Where it comes from.
    pub rule: String,
    /// The categories.
    pub categories: Categories,
}

/// Makes coordinates of the categories of two tables, if they have any; their numbers are on one scale already.
///
/// # Errors
/// If there are too many classes, the kernel is no exponential one, there are several bandwidths, or the device fails.
pub fn embedded(
    device: &Device,
    tables: &[Table; 2],
    family: Family,
    bandwidth: &Bandwidth,
    seed: u64,
) -> Result<Option<Embedded>> {
    let of_categories = &tables[0].categories;
    if of_categories.is_empty() {
        return Ok(None);
    }
    check(&tables[0], family)?;
    let numbers = tables.each_ref().map(Table::numbers);
    let (bandwidth, rule) = if numbers[0].columns == 0 {
        (1.0, "there are no numbers".to_owned())
    } else {
        let samples = numbers.each_ref().map(Table::sample);
        if matches!(bandwidth, Bandwidth::Rule(Rule::MedianPerFeature, _)) {
            return Err(Error::usage(
                "categories go with one bandwidth for all columns; use --bandwidth median",
            ));
        }
        let resolved = bandwidth.resolve(device, samples, family, true, seed)?;
        let [bandwidth] = resolved.kernel.bandwidths[..] else {
            return Err(Error::usage("categories go with one bandwidth; give one number or one rule"));
        };
        (bandwidth, format!("{}, of the numbers", resolved.rule))
    };
    let scale = scale_of([&tables[0], &tables[1]], family, bandwidth);
    Ok(Some(with_coordinates(tables, family, (bandwidth, rule), scale)))
}

/// Refuses a kernel that has no categories, and too many classes of a table.
///
/// # Errors
/// If that is so.
pub(super) fn check(table: &Table, family: Family) -> Result<()> {
    if table.categories.is_empty() {
        return Ok(());
    }
    if !matches!(family, Family::Gaussian | Family::Laplace) {
        return Err(Error::usage("categories go with --kernel gaussian or --kernel laplace"));
    }
    let classes: usize = table.categories.iter().map(|category| category.classes.len()).sum();
    if classes <= MOST_CLASSES {
        return Ok(());
    }
    let largest = table.categories.iter().max_by_key(|category| category.classes.len());
    let text = largest.map_or(String::new(), |category| {
        format!("{} has {}", table.column_text(category.column).trim_end_matches(','), category.classes.len())
    });
    let problem = format!(
        "the categories have {classes} classes, more than {MOST_CLASSES}; {text}, and should be left out if it tells rows \
         apart"
    );
    Err(Error::data(&table.name, problem))
}

/// Tables of the same columns and classes with coordinates for these: of a kernel with a bandwidth and its rule, and s.
pub(super) fn with_coordinates(
    tables: &[Table; 2],
    family: Family,
    (bandwidth, rule): (f64, String),
    scale: f64,
) -> Embedded {
    let of_categories = &tables[0].categories;
    let coordinate = match family {
        Family::Laplace => bandwidth / (2.0 * scale),
        _ => bandwidth / scale.sqrt(),
    };
    let embedded = tables.each_ref().map(|table| with_classes(table, &table.numbers(), coordinate));
    let names = of_categories
        .iter()
        .map(|category| match &tables[0].header {
            Some(names) => names[category.column].clone(),
            None => category.column.to_string(),
        })
        .collect();
    let classes = of_categories.iter().map(|category| category.classes.len()).collect();
    Embedded { tables: embedded, bandwidth, rule, categories: Categories { names, classes, scale } }
}

/// The numbers of a table and a coordinate for each class of its categories.
fn with_classes(table: &Table, numbers: &Table, coordinate: f64) -> Table {
    let classes: usize = table.categories.iter().map(|category| category.classes.len()).sum();
    let columns = numbers.columns + classes;
    let mut values = vec![0.0; table.rows * columns];
    for (i, row) in values.chunks_exact_mut(columns).enumerate() {
        row[..numbers.columns].copy_from_slice(numbers.row(i));
        let mut first = numbers.columns;
        for category in &table.categories {
            row[first + table.row(i)[category.column] as usize] = coordinate;
            first += category.classes.len();
        }
    }
    Table { columns, values: values.into(), header: None, categories: Vec::new(), ..numbers.clone() }
}

/// s of tables of the same columns and classes: from all pairs of a random choice of up to [`MOST_ROWS`] of their rows.
pub(super) fn scale_of<'a>(
    tables: impl IntoIterator<Item = &'a Table>,
    family: Family,
    bandwidth: f64,
) -> f64 {
    let rows: Vec<(&Table, usize)> =
        tables.into_iter().flat_map(|table| (0..table.rows).map(move |row| (table, row))).collect();
    let chosen = Sequence::new(0, Stream::Subsample, CHOICE).choice(MOST_ROWS.min(rows.len()), rows.len());
    let rows: Vec<(&Table, usize)> = chosen.into_iter().map(|place| rows[place as usize]).collect();
    let Some((first, _)) = rows.first() else { return 1.0 };
    let is_category: Vec<bool> = (0..first.columns).map(|column| first.is_category(column)).collect();
    let pair = |a: &[f64], b: &[f64]| {
        let both = || a.iter().zip(b).zip(&is_category);
        let unequal = both().filter(|((a, b), category)| **category && a != b).count() as f64;
        let length =
            family.length(both().filter(|(_, category)| !**category).map(|((a, b), _)| (a - b) / bandwidth));
        [unequal, if family == Family::Laplace { length } else { 0.5 * length * length }]
    };
    // Sums of each row are added up in one order, whatever threads there are.
    let sums: Vec<[[f64; 2]; 2]> = (1..rows.len())
        .into_par_iter()
        .map(|i| {
            let mut sums = [[0.0; 2]; 2];
            for (table, row) in &rows[..i] {
                let pair = pair(rows[i].0.row(rows[i].1), table.row(*row));
                for (sums, value) in sums.iter_mut().zip(pair) {
                    sums[0] += value;
                    sums[1] += value * value;
                }
            }
            sums
        })
        .collect();
    let pairs = (rows.len() * (rows.len() - 1) / 2) as f64;
    let [of_categories, of_numbers] = [0, 1].map(|part| {
        let [mean, square] =
            [0, 1].map(|power| sums.iter().map(|sums| sums[part][power]).sum::<f64>() / pairs);
        (square - mean * mean).max(0.0).sqrt()
    });
    let scale = of_categories / of_numbers;
    if scale.is_finite() { scale.max(1.0) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::table::CategoryColumn;
    use crate::engine::Choice;
    use crate::statistic::KernelFunction;

    /// Rows of two numbers and two categories of three and two classes.
    fn table(rows: usize, seed: usize) -> Table {
        let values: Vec<f64> = (0..rows)
            .flat_map(|i| {
                let k = i * 7 + seed;
                [(k % 11) as f64 * 0.3, (k % 3) as f64, (k % 5) as f64, (k % 2) as f64]
            })
            .collect();
        let category = |column, classes: &[&str]| CategoryColumn {
            column,
            classes: classes.iter().map(|&class| class.into()).collect(),
        };
        Table {
            name: "t".into(),
            rows,
            columns: 4,
            values: values.into(),
            categories: vec![category(1, &["a", "b", "c"]), category(3, &["", "z"])],
            ..Table::default()
        }
    }

    #[test]
    fn the_kernel_of_coordinates_is_that_of_the_definition() {
        let tables = [table(40, 0), table(31, 5)];
        let device = Device::open(Choice::Cpu, None).expect("the CPU");
        for family in [Family::Gaussian, Family::Laplace] {
            let found = embedded(&device, &tables, family, &Bandwidth::default(), 0).expect("it works");
            let Embedded { tables: both, bandwidth, categories, .. } = found.expect("categories");
            assert_eq!(both[0].columns, 2 + 3 + 2);
            let kernel = KernelFunction::new(family, bandwidth);
            let distance = |a: &[f64], b: &[f64]| family.length(a.iter().zip(b).map(|(a, b)| a - b));
            for (i, j) in [(0, 0), (3, 17), (39, 30), (12, 8)] {
                let (x, y) = (tables[0].row(i), tables[1].row(j));
                let h = [1, 3].iter().filter(|&&c| x[c] != y[c]).count() as f64;
                let numbers = |row: &[f64]| [row[0], row[2]];
                let expected = kernel.at(distance(&numbers(x), &numbers(y))) * (-h / categories.scale).exp();
                let value = kernel.at(distance(both[0].row(i), both[1].row(j)));
                assert!((value - expected).abs() < 1e-12, "{family:?} {i} {j}: {value} {expected}");
            }
        }
        assert!(embedded(&device, &tables, Family::Energy, &Bandwidth::default(), 0).is_err());
        let two = Bandwidth::Values(vec![1.0, 2.0]);
        assert!(embedded(&device, &tables, Family::Gaussian, &two, 0).is_err());
    }

    #[test]
    fn the_scale_is_that_of_the_definition() {
        let tables = [table(20, 0), table(13, 4)];
        let rows: Vec<&[f64]> =
            tables.iter().flat_map(|table| (0..table.rows).map(|i| table.row(i))).collect();
        for (family, bandwidth) in [(Family::Gaussian, 9.0), (Family::Laplace, 7.0), (Family::Gaussian, 0.1)]
        {
            let (mut unequal, mut exponents) = (Vec::new(), Vec::new());
            for i in 0..rows.len() {
                for j in 0..i {
                    let (a, b) = (rows[i], rows[j]);
                    unequal.push([1, 3].iter().filter(|&&c| a[c] != b[c]).count() as f64);
                    let [u, v] = [0, 2].map(|c| (a[c] - b[c]) / bandwidth);
                    exponents.push(match family {
                        Family::Laplace => u.abs() + v.abs(),
                        _ => (u * u + v * v) / 2.0,
                    });
                }
            }
            let deviation = |values: &[f64]| {
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
            };
            let expected = (deviation(&unequal) / deviation(&exponents)).max(1.0);
            let found = scale_of(&tables, family, bandwidth);
            assert!((found - expected).abs() < 1e-9 * expected, "{family:?}: {found} {expected}");
        }
    }

    /// A category that alternates from row to row is none that is constant.
    #[test]
    fn the_scale_does_not_depend_on_the_order_of_rows() {
        let many = Table {
            values: (0..1800).flat_map(|i| [(i * 37 % 101) as f64, (i % 2) as f64]).collect(),
            rows: 1800,
            columns: 2,
            categories: vec![CategoryColumn { column: 1, classes: vec!["a".into(), "b".into()] }],
            ..Table::default()
        };
        let order: Vec<usize> = (0..1800).map(|i| i * 7 % 1800).collect();
        let scales =
            [&many, &many.choice("t".into(), &order)].map(|table| scale_of([table], Family::Gaussian, 400.0));
        assert!(scales.iter().all(|scale| *scale > 2.0), "{scales:?}");
        assert!((scales[0] / scales[1] - 1.0).abs() < 0.1, "{scales:?}");
    }

    #[test]
    fn categories_alone_are_enough() {
        let only = |seed| table(30, seed).select(&[1, 3]);
        let tables = [only(0), only(1)];
        let device = Device::open(Choice::Cpu, None).expect("the CPU");
        let found = embedded(&device, &tables, Family::Gaussian, &Bandwidth::default(), 0).expect("it works");
        assert_eq!(found.expect("categories").tables[0].columns, 5);
        let plain = [0, 1].map(|seed| table(9, seed).select(&[0, 2]));
        assert!(
            embedded(&device, &plain, Family::Gaussian, &Bandwidth::default(), 0)
                .expect("it works")
                .is_none()
        );
    }
}
