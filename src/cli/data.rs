//! `elbo data`.

use super::output::result;
use clap::{Args, ValueEnum};
use elbo::data::{self, Images, images};
use elbo::error::{Error, Result};
use elbo::numeric::grouped;
use std::path::PathBuf;

/// Write built-in images to a file that NumPy reads
///
/// The archive has the arrays `imgs`, (N, H, W) or in colour (N, H, W, 3), bytes in 0..255; `labels`, (N); and of
/// sprites also `latents_classes`, (N, 6): the indices of colour, shape, scale, orientation, x and y, as in the
/// file of dSprites.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo data digits --out digits.npz
  elbo data sprites:colour --test --seed 7 --out colours.npz
  elbo compare digits.npz:imgs run:runs/001     compare them with a run's own
  elbo train --data digits.npz                  or train on them")]
pub(super) struct Data {
    /// Which images
    data: BuiltIn,
    /// The file to write
    #[arg(long, value_name = "FILE.npz")]
    out: PathBuf,
    /// The images for tests instead of those to learn from
    #[arg(long)]
    test: bool,
    /// The seed they are drawn from, as in training
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
}

/// The data sets that are built in.
#[derive(Clone, Copy, ValueEnum)]
enum BuiltIn {
    Digits,
    Sprites,
    #[value(name = "sprites:colour")]
    SpritesColour,
}

impl Data {
    pub(super) fn run(&self) -> Result<()> {
        if self.out.exists() && !self.force {
            let problem = "exists already; choose another --out, or --force to overwrite it";
            return Err(Error::data(&self.out, problem));
        }
        let name = self.data.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
        let dataset = data::load(&name, self.seed, None)?;
        let chosen = if self.test { dataset.test } else { dataset.train };
        images::write(&self.out, &chosen)?;
        let Images { height, width, channels, .. } = chosen;
        let kind = if channels == 1 { "grey" } else { "colour" };
        let (path, count) = (self.out.display(), grouped(chosen.len() as f64));
        result(format_args!("{path}: {count} {kind} images of {height} x {width} pixels"));
        Ok(())
    }
}
