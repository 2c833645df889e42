//! `elbo witness`.

use super::output::{json, result, table};
use super::report::{kernel_line, print_samples, watch};
use super::sample::{KernelOptions, SAMPLES, same_columns, sample};
use clap::Args;
use elbo::data::table::Table;
use elbo::engine::Device;
use elbo::error::{Error, Result};
use elbo::picture::{Curve, ImageShape, Plane, Sheet, SheetRow};
use elbo::statistic::test::NamedKernel;
use elbo::statistic::{KernelFunction, Sample, witness};
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Points of the grid of a curve.
const CURVE: usize = 400;

/// Cells of the grid of a plane in each direction.
const PLANE: usize = 96;

/// How far the grid reaches beyond the points, as a fraction of their range.
const MARGIN: f64 = 0.05;

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
    #[arg(long, default_value = "witness", value_name = "DIR")]
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
    /// Where there is most of X beyond Y.
    more_of_x: Vec<Place>,
    /// Where there is most of Y beyond X.
    more_of_y: Vec<Place>,
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
        let [x, y] = self.kernel.common.read([&self.x, &self.y])?;
        same_columns([&x, &y])?;
        let device = self.kernel.common.open()?;
        let samples = [sample(&x), sample(&y)];
        let resolved = self.kernel.resolve(&device, samples)?;
        let [at_x, at_y] =
            watch("witness", |progress| witness::at_samples(&device, samples, &resolved.kernel, progress))?;
        std::fs::create_dir_all(&self.out).map_err(Error::io(&self.out, "create"))?;
        let (csv, png) = (self.out.join("witness.csv"), self.out.join("witness.png"));
        write_values(&csv, [&at_x, &at_y])?;
        let drawn = draw(&device, [&x, &y], &resolved.kernel, [&at_x, &at_y], &png)?;

        let [more_of_x, more_of_y] = extremes(&at_x, &at_y);
        let kernel = NamedKernel::from(&resolved);
        if self.kernel.common.json {
            return json(&Found {
                n: x.rows,
                m: y.rows,
                d: x.columns,
                kernel: &kernel,
                more_of_x,
                more_of_y,
                engine: device.info().engine,
                adapter: &device.info().adapter,
            });
        }
        print_samples([&x.name, &y.name], [x.rows, y.rows], x.columns);
        result(format_args!("kernel     {}", kernel_line(&kernel)));
        let rows = |places: &[Place], what: &str| -> Vec<Vec<String>> {
            let row = |p: &Place| {
                let name = if p.sample == "x" { &x.name } else { &y.name };
                vec![what.to_owned(), name.clone(), p.index.to_string(), format!("{:+.4e}", p.witness)]
            };
            places.iter().map(row).collect()
        };
        let rows = [rows(&more_of_x, "more of X"), rows(&more_of_y, "more of Y")].concat();
        table(&["most", "sample", "point", "witness"], &rows);
        let pictures = if drawn { format!(" and {}", png.display()) } else { String::new() };
        result(format_args!("values     {}{pictures}", csv.display()));
        Ok(())
    }
}

/// The points with the largest values of the witness function, and those with the smallest.
fn extremes(at_x: &[f64], at_y: &[f64]) -> [Vec<Place>; 2] {
    let places = |sample, values: &[f64]| -> Vec<Place> {
        values.iter().enumerate().map(|(index, &witness)| Place { sample, index, witness }).collect()
    };
    let mut places = [places("x", at_x), places("y", at_y)].concat();
    places.sort_by(|a, b| b.witness.total_cmp(&a.witness));
    let few = places.len().min(5);
    let mut last = places[places.len() - few..].to_vec();
    last.reverse();
    places.truncate(few);
    [places, last]
}

/// One line per point.
fn write_values(path: &Path, [x, y]: [&[f64]; 2]) -> Result<()> {
    let mut text = String::from("sample,point,witness\n");
    for (name, values) in [("x", x), ("y", y)] {
        for (i, value) in values.iter().enumerate() {
            let _ = writeln!(text, "{name},{i},{value:e}");
        }
    }
    std::fs::write(path, text).map_err(Error::io(path, "write"))
}

/// The picture that fits the points, if one does.
fn draw(
    device: &Device,
    [x, y]: [&Table; 2],
    kernel: &KernelFunction,
    values: [&[f64]; 2],
    path: &Path,
) -> Result<bool> {
    let title = format!("Where {} and {} differ", x.name, y.name);
    let at = |points: &[f64]| {
        let points = Sample::new(x.columns, points);
        witness::at(device, [sample(x), sample(y)], kernel, points, &mut |_| {})
    };
    match (x.image, x.columns) {
        (Some([height, width]), _) => {
            let rows = image_rows([x, y], values);
            let caption = "left to right: the most extreme values of the witness function first".into();
            let shape = ImageShape { height, width, channels: 1 };
            let sheet = Sheet { title, rows, shape, group: 2, caption, ..Sheet::default() };
            sheet.save(path)?;
        }
        (None, 1) => draw_curve(&title, [x, y], at, path)?,
        (None, 2) => draw_plane(&title, [x, y], at, path)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// The least and the largest value of a column in both samples, with a margin.
fn range(tables: [&Table; 2], column: usize) -> [f64; 2] {
    let values = tables.into_iter().flat_map(|table| (0..table.rows).map(move |i| table.row(i)[column]));
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let margin = MARGIN * (high - low).max(f64::MIN_POSITIVE);
    [low - margin, high + margin]
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
    Curve { title, names, x: &x.values, y: &y.values, grid: &grid, values: &values }.save(path)
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
        x: &points(x),
        y: &points(y),
        low: [left, bottom],
        high: [right, top],
        columns: PLANE,
        values: &values,
    }
    .save(path)
}

/// Of each sample, the images where there is most of X, and those where there is most of Y.
fn image_rows([x, y]: [&Table; 2], [at_x, at_y]: [&[f64]; 2]) -> Vec<SheetRow> {
    let row = |table: &Table, values: &[f64], sign: f64, label: &str| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| (sign * values[b]).total_cmp(&(sign * values[a])));
        order.truncate(IMAGES);
        let image = |i: usize| table.row(i).iter().map(|&v| v as f32).collect();
        SheetRow { label: label.into(), images: order.into_iter().map(image).collect() }
    };
    vec![
        row(x, at_x, 1.0, "more of X: X"),
        row(y, at_y, 1.0, "Y"),
        row(x, at_x, -1.0, "more of Y: X"),
        row(y, at_y, -1.0, "Y"),
    ]
}
