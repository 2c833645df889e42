//! `elbo encode`, `elbo decode` and `elbo sample`: arrays in, arrays out.

use super::device::engine_line;
use super::output::note;
use super::source::{Opened, Source};
use clap::Args;
use elbo::data::save::{self, NamedArray, STANDARD_OUTPUT, Values};
use elbo::data::table::ReadOptions;
use elbo::data::{Dataset, format};
use elbo::error::{Error, Result};
use elbo::numeric::grouped;
use elbo::train::session::Split;
use std::path::{Path, PathBuf};

/// Write the codes of images: mean and log-std of q(z|x), and a sample z
///
/// Arrays are mean, log_std and z, (N, M), and with the data's labels and factors, where it has any, labels, (N), and
/// factors, (N, F). Formats with room for one array hold the means.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo encode runs/001 --out codes.npz
  elbo encode runs/001 --data images --split train --out codes.safetensors
  elbo encode model.safetensors --data mnist --out - | python3 script.py")]
pub(super) struct EncodeArgs {
    #[command(flatten)]
    source: Source,
    /// Which images of the data
    #[arg(long, value_enum, default_value = "test", help_heading = "Data")]
    split: SplitName,
    /// The file to write: .npz, .safetensors, .npy, .csv, or - for NumPy's format on the standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    out: PathBuf,
    /// Overwrite an existing file
    #[arg(long, help_heading = "Output")]
    force: bool,
}

/// Parts of a data set.
#[derive(Clone, Copy, clap::ValueEnum)]
enum SplitName {
    Train,
    Test,
}

/// Write the images that codes are decoded to: means of p(x|z)
#[derive(Args)]
#[command(after_help = "Examples:
  elbo encode runs/001 --out - | elbo decode runs/002 - --out pictures
  elbo decode runs/001 codes.npz:mean --out images.npz
  elbo decode runs/001 z.csv --out pictures       a folder of PNG files")]
pub(super) struct DecodeArgs {
    #[command(flatten)]
    source: Source,
    /// Codes, one a row: .npy, .npz:KEY or .csv
    #[arg(value_name = "CODES")]
    codes: String,
    #[command(flatten)]
    images: ImagesOut,
}

/// Write images that a model invents: means of p(x|z) for draws of z from the prior N(0, I)
#[derive(Args)]
#[command(after_help = "Examples:
  elbo sample runs/001 --count 10000 --out invented.npz
  elbo sample runs/001 --count 64 --out pictures  a folder of PNG files")]
pub(super) struct SampleArgs {
    #[command(flatten)]
    source: Source,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Data")]
    count: usize,
    #[command(flatten)]
    images: ImagesOut,
}

/// Where images go.
#[derive(Args)]
struct ImagesOut {
    /// The file to write: .npz, .safetensors, .npy, .csv, - for NumPy's format on the standard output, or a folder for PNG
    /// files
    #[arg(long, value_name = "FILE|DIR", help_heading = "Output")]
    out: PathBuf,
    /// Overwrite an existing file
    #[arg(long, help_heading = "Output")]
    force: bool,
}

impl ImagesOut {
    fn check(&self) -> Result<()> {
        save::check(&self.out, true, self.force)
    }

    /// Writes images `(N, D)` of the size of the data's.
    fn write(&self, dataset: &Dataset, images: &[Vec<f32>]) -> Result<()> {
        let grid = dataset.train.grid();
        let values: Vec<f32> = images.concat();
        let count = grouped(images.len() as f64);
        if let Some(columns) = &dataset.columns {
            if self.out.extension().is_none() && self.out != Path::new(STANDARD_OUTPUT) {
                let problem =
                    "is a folder for images, but the model learned from a table; write .csv, .npy or .npz";
                return Err(Error::data(&self.out, problem));
            }
            let rows = columns.restored(&values);
            let shape = vec![images.len(), columns.len()];
            let rows = NamedArray { name: "rows", shape, values: Values::Doubles(&rows) };
            save::rows(&self.out, &columns.names, &rows)?;
            told(&self.out, format_args!("{count} rows of {} columns", columns.len()));
            return Ok(());
        }
        let size = [grid.height, grid.width, grid.channels];
        if self.out.extension().is_none() && self.out != Path::new(STANDARD_OUTPUT) {
            save::pictures(&self.out, size, &values)?;
        } else {
            let mut shape = [&[images.len()][..], &size].concat();
            if grid.channels == 1 {
                shape.pop();
            }
            save::arrays(&self.out, &[NamedArray { name: "imgs", shape, values: Values::Floats(&values) }])?;
        }
        told(&self.out, format_args!("{count} images of {} x {} pixels", grid.height, grid.width));
        Ok(())
    }
}

/// Says what was written; not on the standard output, which may be what was written to.
fn told(out: &Path, what: std::fmt::Arguments<'_>) {
    note(format_args!("{}: {what}", out.display()));
}

impl EncodeArgs {
    pub(super) fn run(&self) -> Result<()> {
        save::check(&self.out, false, self.force)?;
        let Opened { mut session, device, dataset, .. } = self.source.open()?;
        note(engine_line(device.info()));
        let (split, images) = match self.split {
            SplitName::Train => (Split::Train, &dataset.train),
            SplitName::Test => (Split::Test, &dataset.test),
        };
        let codes = session.encode(split, images.len())?;
        let (count, latent) = (codes.len(), codes.latent);
        let of_codes =
            |name, values| NamedArray { name, shape: vec![count, latent], values: Values::Floats(values) };
        let mut arrays = vec![
            of_codes("mean", &codes.means),
            of_codes("log_std", &codes.log_stds),
            of_codes("z", &codes.z),
        ];
        let labels = &images.labels[..count];
        if dataset.classes.len() > 1 {
            arrays.push(NamedArray { name: "labels", shape: vec![count], values: Values::Bytes(labels) });
        }
        if let Some(factors) = &images.factors {
            let (f, values) =
                (factors.names.len(), Values::Bytes(&factors.values[..count * factors.names.len()]));
            arrays.push(NamedArray { name: "factors", shape: vec![count, f], values });
        }
        let left_out = save::arrays(&self.out, &arrays)?;
        told(&self.out, format_args!("codes of {} images in {latent} dimensions", grouped(count as f64)));
        if !left_out.is_empty() {
            note(format_args!(
                "note: the file has the means alone; .npz has room for {} too",
                left_out.join(", ")
            ));
        }
        Ok(())
    }
}

impl DecodeArgs {
    pub(super) fn run(&self) -> Result<()> {
        self.images.check()?;
        let codes = format::read(&self.codes, &ReadOptions::default())?;
        codes.notes.iter().for_each(note);
        let Opened { mut session, device, dataset, .. } = self.source.open_model()?;
        note(engine_line(device.info()));
        let latent = session.model().config.architecture.latent;
        if codes.columns != latent {
            let problem =
                format!("has {} columns, but the model's codes have {latent} dimensions", codes.columns);
            return Err(Error::data(&self.codes, problem));
        }
        let z: Vec<f32> = codes.values.iter().map(|&v| v as f32).collect();
        self.images.write(&dataset, &session.decode(&z)?)
    }
}

impl SampleArgs {
    pub(super) fn run(&self) -> Result<()> {
        self.images.check()?;
        let Opened { mut session, device, dataset, .. } = self.source.open_model()?;
        note(engine_line(device.info()));
        let images = session.sample(self.count)?;
        self.images.write(&dataset, &images)
    }
}
