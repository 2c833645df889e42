//! `elbo witness`.

use super::bar::watch;
use super::output::{json, result, table, warn};
use super::report::{kernel_line, print_samples};
use super::sample::{KernelOptions, SAMPLES};
use clap::Args;
use elbo::data::layout::Layout;
use elbo::data::table::Table;
use elbo::engine::Device;
use elbo::error::{Error, Result};
use elbo::picture::{Curve, ImageShape, Plane, Sheet, SheetRow};
use elbo::statistic::columns::ColumnScale;
use elbo::statistic::tables::Rescaled;
use elbo::statistic::test::NamedKernel;
use elbo::statistic::witness::{self, Witness};
use elbo::statistic::{KernelFunction, Sample};
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Points of the grid of a curve.
const CURVE: usize = 400;

/// Cells of the grid of a plane in each direction.
const PLANE: usize = 96;

/// How far the grid reaches beyond the points, as a fraction of their range.
const MARGIN: f64 = 0.05;

/// Characters of a name beside a row of images.
const LONGEST_NAME: usize = 14;

/// Points that are listed for each sample.
const LISTED: usize = 5;

/// Images in each row of a sheet.
const IMAGES: usize = 12;

/// Where do two samples differ? The witness function, mean k(x, .) - mean k(y, .)
///
/// It is positive where there is more of X and negative where there is more of Y. Its values at all points go to
/// DIR/witness.csv, and a picture to DIR/witness.png: a curve for points of one number, a map for points of two,
/// the most over- and under-represented samples for images.
#[derive(Args)]
#[command(after_help = format!("{SAMPLES}

Examples:
  elbo witness a.csv b.csv
  elbo witness mnist:test run:runs/001 --out where"))]
pub(super) struct WitnessArgs {
    /// The first sample
    x: String,
    /// The second sample
    y: String,
    #[command(flatten)]
    kernel: KernelOptions,
    /// Directory for witness.csv and witness.png
    #[arg(long, default_value = "witness", value_name = "DIR", help_heading = "Output")]
    out: PathBuf,
}

/// The JSON result.
#[derive(Serialize)]
struct Found<'a> {
    n: usize,
    m: usize,
    d: usize,
    #[serde(flatten)]
    kernel: &'a NamedKernel,
    /// What the columns were divided by.
    scale: ColumnScale,
    /// Where there is most of X beyond Y.
    more_of_x: Vec<Place>,
    /// Where there is most of Y beyond X.
    more_of_y: Vec<Place>,
    warnings: Vec<String>,
    engine: &'static str,
    adapter: &'a str,
}

/// A point of a sample.
#[derive(Clone, Serialize)]
struct Place {
    /// `x` or `y`.
    sample: &'static str,
    /// Which of its points, from 0.
    index: usize,
    /// The witness function there.
    witness: f64,
}

impl WitnessArgs {
    pub(super) fn run(&self) -> Result<()> {
        let read = self.kernel.common.read([&self.x, &self.y])?;
        let rescaled = self.kernel.common.rescaled(&read, Some(&self.kernel.bandwidth))?;
        let Rescaled { tables: [x, y], scale, .. } = &rescaled;
        let device = self.kernel.common.open()?;
        let samples = [x.sample(), y.sample()];
        let resolved = self.kernel.resolve(&device, samples)?;
        let Witness { values: [at_x, at_y], warnings } =
            watch("witness", |progress| witness::at_samples(&device, samples, &resolved.kernel, progress))?;
        warn(&warnings);
        std::fs::create_dir_all(&self.out).map_err(Error::io(&self.out, "create"))?;
        let (csv, png) = (self.out.join("witness.csv"), self.out.join("witness.png"));
        write_values(&csv, [&at_x, &at_y])?;
        let drawn = draw(&device, &rescaled, &resolved.kernel, [&at_x, &at_y], &png)?;

        let [more_of_x, more_of_y] = extremes(&at_x, &at_y);
        let kernel = NamedKernel::from(&resolved);
        if self.kernel.common.json {
            return json(&Found {
                n: x.rows,
                m: y.rows,
                d: x.columns,
                kernel: &kernel,
                scale: *scale,
                more_of_x,
                more_of_y,
                warnings,
                engine: device.info().engine,
                adapter: &device.info().adapter,
            });
        }
        print_samples([&x.name, &y.name], [x.rows, y.rows], x.columns);
        result(format_args!("kernel     {}", kernel_line(&kernel)));
        if *scale == ColumnScale::Robust {
            result("scale      each column is divided by its interquartile range in both samples together");
        }
        print_places([x, y], [&more_of_x, &more_of_y]);
        let pictures = if drawn { format!(" and {}", png.display()) } else { String::new() };
        result(format_args!("values     {}{pictures}", csv.display()));
        Ok(())
    }
}

/// The points where the witness function is largest, of those where it is positive, and where it is smallest, of those
/// where it is negative.
fn extremes(at_x: &[f64], at_y: &[f64]) -> [Vec<Place>; 2] {
    let places = |sample, values: &[f64]| -> Vec<Place> {
        values.iter().enumerate().map(|(index, &witness)| Place { sample, index, witness }).collect()
    };
    let places = [places("x", at_x), places("y", at_y)].concat();
    [1.0, -1.0].map(|sign| {
        let mut most: Vec<Place> =
            places.iter().filter(|place| sign * place.witness > 0.0).cloned().collect();
        most.sort_by(|a, b| (sign * b.witness).total_cmp(&(sign * a.witness)));
        most.truncate(LISTED);
        most
    })
}

/// A table of the points where there is most of each sample, and a line for a sample of which there is nowhere more.
fn print_places([x, y]: [&Table; 2], places: [&[Place]; 2]) {
    let mut rows = Vec::new();
    let mut nowhere = Vec::new();
    for (more, places) in [x, y].into_iter().zip(places) {
        for place in places {
            let sample = if place.sample == "x" { x } else { y };
            let witness = format!("{:+.4e}", place.witness);
            rows.push(vec![more.name.clone(), sample.name.clone(), place.index.to_string(), witness]);
        }
        if places.is_empty() {
            nowhere.push(more);
        }
    }
    if !rows.is_empty() {
        table(&["more of", "at a point of", "row", "witness"], &rows);
    }
    for more in nowhere {
        result(format_args!("At no point of either sample is there more of {}.", more.name));
    }
}

/// One line per point.
fn write_values(path: &Path, [x, y]: [&[f64]; 2]) -> Result<()> {
    let mut text = String::from("sample,point,witness\n");
    for (name, values) in [("x", x), ("y", y)] {
        for (i, value) in values.iter().enumerate() {
            let _ = writeln!(text, "{name},{i},{value:e}");
        }
    }
    elbo::files::save(path, text)
}

/// The picture that fits the points, if one does; its axes have the units of the files.
fn draw(
    device: &Device,
    rescaled: &Rescaled<2>,
    kernel: &KernelFunction,
    values: [&[f64]; 2],
    path: &Path,
) -> Result<bool> {
    let Rescaled { tables, units, .. } = rescaled;
    let samples = tables.each_ref().map(Table::sample);
    let [x, y] = tables.each_ref().map(|table| in_units(table, units));
    let title = format!("Where {} and {} differ", x.name, y.name);
    let at = |points: &[f64]| {
        let points: Vec<f64> = points.iter().zip(units.iter().cycle()).map(|(v, unit)| v / unit).collect();
        witness::at(device, samples, kernel, Sample::new(x.columns, &points), &mut |_| Ok(()))
    };
    match (x.layout, x.columns) {
        (Some(layout), _) => {
            let rows = image_rows([&x, &y], values);
            if rows.is_empty() {
                return Ok(false);
            }
            let caption = "left to right: the most extreme values of the witness function first".into();
            let Layout { height, width, channels, .. } = layout;
            let shape = ImageShape { height, width, channels };
            let sheet = Sheet { title, rows, shape, group: 2, caption, ..Sheet::default() };
            sheet.save(path)?;
        }
        (None, 1) => draw_curve(&title, [&x, &y], at, path)?,
        (None, 2) => draw_plane(&title, [&x, &y], at, path)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// A table in the units of its file.
fn in_units(table: &Table, units: &[f64]) -> Table {
    let values = table.values.iter().zip(units.iter().cycle()).map(|(v, unit)| v * unit).collect();
    Table { values, ..table.clone() }
}

/// The least and the largest value of a column in both samples, with a margin.
fn range(tables: [&Table; 2], column: usize) -> [f64; 2] {
    let values = tables.into_iter().flat_map(|table| (0..table.rows).map(move |i| table.row(i)[column]));
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let margin = MARGIN * (high - low).max(f64::MIN_POSITIVE);
    [low - margin, high + margin]
}

/// The name of a column, or another one.
fn axis(table: &Table, column: usize, otherwise: &str) -> String {
    table.header.as_ref().map_or_else(|| otherwise.into(), |names| names[column].clone())
}

fn draw_curve(
    title: &str,
    [x, y]: [&Table; 2],
    at: impl Fn(&[f64]) -> Result<Vec<f64>>,
    path: &Path,
) -> Result<()> {
    let [low, high] = range([x, y], 0);
    let grid: Vec<f64> = (0..CURVE).map(|i| low + (high - low) * i as f64 / (CURVE - 1) as f64).collect();
    let values = at(&grid)?;
    let names = [&x.name[..], &y.name];
    let axis = &axis(x, 0, "value");
    Curve { title, names, axis, x: &x.values, y: &y.values, grid: &grid, values: &values }.save(path)
}

fn draw_plane(
    title: &str,
    [x, y]: [&Table; 2],
    at: impl Fn(&[f64]) -> Result<Vec<f64>>,
    path: &Path,
) -> Result<()> {
    let [[left, right], [bottom, top]] = [0, 1].map(|column| range([x, y], column));
    let cell = |i: usize, low: f64, high: f64| low + (high - low) * (i as f64 + 0.5) / PLANE as f64;
    let grid: Vec<f64> = (0..PLANE * PLANE)
        .flat_map(|i| [cell(i % PLANE, left, right), cell(i / PLANE, bottom, top)])
        .collect();
    let values = at(&grid)?;
    let points = |t: &Table| -> Vec<[f64; 2]> { t.values.chunks_exact(2).map(|p| [p[0], p[1]]).collect() };
    Plane {
        title,
        names: [&x.name, &y.name],
        axes: [&axis(x, 0, "first coordinate"), &axis(x, 1, "second coordinate")],
        x: &points(x),
        y: &points(y),
        low: [left, bottom],
        high: [right, top],
        columns: PLANE,
        values: &values,
    }
    .save(path)
}

/// Of each sample, the images where there is most of X, and those where there is most of Y; no row where there is none.
fn image_rows([x, y]: [&Table; 2], [at_x, at_y]: [&[f64]; 2]) -> Vec<SheetRow> {
    let row = |table: &Table, values: &[f64], sign: f64| {
        let mut order: Vec<usize> = (0..values.len()).filter(|&i| sign * values[i] > 0.0).collect();
        order.sort_by(|&a, &b| (sign * values[b]).total_cmp(&(sign * values[a])));
        order.truncate(IMAGES);
        let image = |&i: &usize| -> Vec<f32> {
            let image: Vec<f32> = table.row(i).iter().map(|&v| v as f32).collect();
            table.layout.map_or(image.clone(), |layout| layout.interleaved(&image))
        };
        let label = order.first().map(|&i| {
            let more = if sign > 0.0 { &x.name } else { &y.name };
            format!("{}, more of {}: {:+.1e}", short(&table.name), short(more), values[i])
        });
        label.map(|label| SheetRow { label, images: order.iter().map(image).collect() })
    };
    [row(x, at_x, 1.0), row(y, at_y, 1.0), row(x, at_x, -1.0), row(y, at_y, -1.0)]
        .into_iter()
        .flatten()
        .collect()
}

/// A name cut to what fits beside a row.
fn short(name: &str) -> String {
    match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.into(),
    }
}
