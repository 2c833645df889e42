//! `elbo evaluate`.

use super::device::engine_line;
use super::output::{json, note, result};
use super::source::{Opened, Source};
use super::train::print_summary;
use clap::Args;
use elbo::error::{Error, Result};
use elbo::train::evaluate_only;
use elbo::train::importance::{ImportanceEstimate, log_likelihood};
use elbo::train::session::Session;
use indicatif::{ProgressBar, ProgressStyle};

/// Evaluate a trained model on training and test images
///
/// All numbers are nats per image, with one sampled z per image; the same seed gives the same samples. With
/// --importance-samples also ln p(x) of the test images, and how far below it the ELBO is.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo evaluate runs/001 --json
  elbo evaluate runs/001 --importance-samples 200
  elbo evaluate model.safetensors --data path/to/mnist")]
pub(super) struct Evaluate {
    #[command(flatten)]
    source: Source,
    /// Estimate ln p(x) from so many samples of z for each test image
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    importance_samples: Option<u32>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

impl Evaluate {
    pub(super) fn run(&self) -> Result<()> {
        let Opened { mut session, device, config, step, .. } = self.source.open()?;
        note(engine_line(device.info()));
        let mut summary = evaluate_only(&mut session, &device, &config, step)?;
        if let Some(samples) = self.importance_samples {
            if config.deterministic {
                return Err(Error::usage(
                    "--importance-samples needs a q(z|x) to sample from; this model was trained with --deterministic",
                ));
            }
            summary.likelihood = Some(importance(&mut session, samples as usize)?);
        }
        if self.json {
            return json(&summary);
        }
        print_summary(&summary);
        if let Some(likelihood) = &summary.likelihood {
            print_likelihood(likelihood);
        }
        Ok(())
    }
}

/// Samples with a progress bar.
fn importance(session: &mut Session, samples: usize) -> Result<ImportanceEstimate> {
    let style = ProgressStyle::with_template("{bar:28} {pos}/{len} importance samples  {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(samples as u64).with_style(style);
    let likelihood = log_likelihood(session, samples, &mut |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    Ok(likelihood)
}

fn print_likelihood(likelihood: &ImportanceEstimate) {
    let ImportanceEstimate {
        importance_samples, log_likelihood, standard_error, gap, effective_samples, ..
    } = likelihood;
    result(format_args!(
        "ln p(x)    {log_likelihood:.2} +- {standard_error:.2} nats from {importance_samples} samples of z for each \
         test image, worth {effective_samples:.1} draws from p(z|x)"
    ));
    result(format_args!("           the ELBO of the same samples is {gap:.2} lower: KL(q(z|x) || p(z|x))"));
}
