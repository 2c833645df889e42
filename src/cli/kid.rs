//! How `elbo compare` and `elbo closer` judge generators: the kernel inception distance, and codes in the place of
//! pixels.

use super::bar::watch;
use super::output::note;
use super::sample::CommonOptions;
use super::source::Opened;
use clap::Args;
use elbo::data::layout::Layout;
use elbo::data::table::Table;
use elbo::error::{Error, Result};
use elbo::grid::Grid;
use elbo::numeric::grouped;
use elbo::statistic::kid::{Kid, KidSettings};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Pixels that an encoder takes: from black, 0, to white, 1, and as far beyond as means of a decoder are.
const PIXELS: RangeInclusive<f64> = -10.0..=10.0;

/// Options of the commands that judge generators.
#[derive(Args)]
pub(super) struct KidOptions {
    /// Estimate the kernel inception distance too: MMD^2 with the kernel (x.y / d + 1)^3, over 100 subsets of 1,000
    #[arg(long, help_heading = "Estimates")]
    kid: bool,
    /// Compare the codes of images, the means of q(z|x) of this run, instead of their pixels
    #[arg(long, value_name = "RUN", help_heading = "Estimates", hide_short_help = true)]
    encoder: Option<PathBuf>,
}

impl KidOptions {
    /// Whether the distance is asked for.
    pub(super) fn is_wanted(&self) -> bool {
        self.kid
    }

    /// The distance, if it is asked for, or why there is none: a test stands without it.
    pub(super) fn estimate<T>(
        &self,
        seed: u64,
        warnings: &mut Vec<String>,
        of: impl FnOnce(&KidSettings, &mut dyn FnMut(f64) -> Result<()>) -> Result<T>,
    ) -> Option<Option<T>> {
        let settings = KidSettings { seed, ..KidSettings::default() };
        let kid = self.kid.then(|| watch("KID", |progress| of(&settings, progress)))?;
        Some(kid.map_err(|error| warnings.push(format!("no KID: {error}"))).ok())
    }

    /// Samples as read, or `(N, M)` codes of their images.
    pub(super) fn encoded<const N: usize>(
        &self,
        tables: [Table; N],
        common: &CommonOptions,
    ) -> Result<[Table; N]> {
        let Some(path) = &self.encoder else { return Ok(tables) };
        let Opened { mut session, dataset, .. } = common.run(path).open_model()?;
        let architecture = &session.model().config.architecture;
        let (dimension, latent, grid) = (architecture.dimension(), architecture.latent, architecture.image);
        let mut codes = Vec::with_capacity(N);
        for table in tables {
            let wrong = |problem: String| Error::data(&table.name, problem);
            if table.columns != dimension {
                return Err(wrong(format!(
                    "has {} numbers in a row, but the encoder of {} takes images of {dimension}",
                    table.columns,
                    path.display()
                )));
            }
            if let Some(Layout { height, width, channels, .. }) = table.layout
                && (Grid { channels, height, width }) != grid
            {
                return Err(wrong(format!(
                    "has images of {height} x {width} pixels in {channels} channels, but the encoder of {} takes {} x {} in {}",
                    path.display(),
                    grid.height,
                    grid.width,
                    grid.channels
                )));
            }
            let columns = dataset.columns.as_ref();
            if let Some(pixel) =
                table.values.iter().find(|value| columns.is_none() && !PIXELS.contains(*value))
            {
                return Err(wrong(format!(
                    "has the pixel {pixel}; --encoder takes images of bytes, or of numbers from 0, black, to 1, white"
                )));
            }
            let layout = table.layout.unwrap_or(Layout::grey(1, dimension));
            let rows = table.values.chunks(dimension).flat_map(|image| layout.interleaved(image));
            let images: Vec<f32> = match columns {
                Some(columns) => columns.standardised(&columns.matched(&table)?.values),
                None => rows.map(|value| value as f32).collect(),
            };
            let values = session.encode_images(&images)?.means.iter().map(|&v| f64::from(v)).collect();
            codes.push(Table { columns: latent, values, layout: None, header: None, ..table });
        }
        note(format_args!(
            "samples are compared by their codes in {latent} dimensions, of {}",
            path.display()
        ));
        codes.try_into().map_err(|_| Error::usage("each sample is encoded once"))
    }
}

/// A distance, with its scatter over subsets.
pub(super) fn kid_text(kid: &Kid) -> String {
    format!("{:.4e} +- {:.1e}", kid.kid, kid.standard_deviation)
}

/// What the numbers are.
pub(super) fn kid_words(kid: &Kid) -> String {
    format!(
        "mean and standard deviation over {} subsets of {} points; kernel (x.y / d + 1)^3",
        grouped(kid.subsets as f64),
        grouped(kid.points as f64)
    )
}
