//! `elbo evaluate`.

use super::bar::Bar;
use super::device::engine_line;
use super::output::{json, note, result, warn};
use super::source::{Opened, Source};
use super::train::print_summary;
use clap::Args;
use elbo::data::Dataset;
use elbo::error::{Error, Result};
use elbo::train::annealed::{self, AnnealedEstimate, AnnealedSettings, Done, HostModel, Start};
use elbo::train::config::Config;
use elbo::train::evaluate_only;
use elbo::train::factors::{self, Disentanglement, Measured};
use elbo::train::importance::{ImportanceEstimate, log_likelihood};
use elbo::train::session::Session;
use std::sync::{Mutex, PoisonError};

/// Evaluate a trained model on training and test images
///
/// All numbers are nats per image, with one sampled z per image; the same seed gives the same samples. With
/// --importance-samples or --ais also lower bounds of ln p(x) of the test images that are better than the ELBO.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo evaluate runs/001 --json
  elbo evaluate runs/001 --importance-samples 200
  elbo evaluate runs/sprites --disentanglement
  elbo evaluate runs/001 --ais 1000 --images 100 --bidirectional 100
  elbo evaluate model.safetensors --data path/to/mnist")]
pub(super) struct Evaluate {
    #[command(flatten)]
    source: Source,
    /// Bound ln p(x) from below by so many samples of z for each test image
    #[arg(
        long,
        value_name = "K",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Bounds on ln p(x)"
    )]
    importance_samples: Option<u32>,
    /// Bound ln p(x) from below by annealed importance sampling with so many temperatures, on the CPU
    #[arg(
        long,
        value_name = "TEMPERATURES",
        value_parser = clap::value_parser!(u32).range(2..),
        help_heading = "Bounds on ln p(x)"
    )]
    ais: Option<u32>,
    /// Chains of --ais for each image
    #[arg(
        long,
        value_name = "C",
        default_value_t = 16,
        requires = "ais",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Bounds on ln p(x)",
        hide_short_help = true
    )]
    chains: u32,
    /// Leapfrog steps between two temperatures of --ais
    #[arg(
        long,
        value_name = "L",
        default_value_t = 10,
        requires = "ais",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Bounds on ln p(x)",
        hide_short_help = true
    )]
    leapfrog: u32,
    /// Test images of --ais, a random choice: it takes long
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        requires = "ais",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Bounds on ln p(x)",
        hide_short_help = true
    )]
    images: u32,
    /// Where the chains of --ais start
    #[arg(
        long,
        value_name = "FROM",
        default_value = "encoder",
        requires = "ais",
        help_heading = "Bounds on ln p(x)",
        hide_short_help = true
    )]
    start: Start,
    /// Bound ln p(x) from above, too, on so many images that the model makes: what the gap is there, --ais lacks at most
    #[arg(
        long,
        value_name = "N",
        requires = "ais",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Bounds on ln p(x)",
        hide_short_help = true
    )]
    bidirectional: Option<u32>,
    /// How well the latents keep the data's known factors apart: MIG, SAP, DCI, modularity, FactorVAE and beta-VAE
    /// scores, active units
    #[arg(long, help_heading = "Measures")]
    disentanglement: bool,
    /// Print the result as one JSON object
    #[arg(long, help_heading = "Output")]
    json: bool,
}

impl Evaluate {
    pub(super) fn run(&self) -> Result<()> {
        let Opened { mut session, device, config, dataset, step } = self.source.open()?;
        note(engine_line(device.info()));
        self.check(&config)?;
        if self.disentanglement {
            factors::check(&session, &dataset)?;
        }
        let mut summary = evaluate_only(&mut session, &device, &config, step)?;
        for (split, evaluated) in [("training", &summary.train), ("test", &summary.test)] {
            let elbo = evaluated.metrics.elbo;
            if !elbo.is_finite() {
                let problem = format!(
                    "the ELBO of the {split} images is {elbo}: the weights are too large for f32; use a model whose training \
                     did not diverge"
                );
                return Err(Error::run(&self.source.path, problem));
            }
        }
        // Each result at once: the next may take hours.
        if !self.json {
            print_summary(&summary);
        }
        if let Some(samples) = self.importance_samples {
            let estimate = importance(&mut session, samples as usize)?;
            warn(&estimate.warnings());
            if !self.json {
                print_likelihood(&estimate);
            }
            summary.likelihood = Some(estimate);
        }
        if let Some(temperatures) = self.ais {
            let mut estimate = self.anneal(&mut session, &config, &dataset, temperatures)?;
            let among = |of: &ImportanceEstimate| {
                let sum: f64 = estimate.chosen.iter().map(|&image| of.of_images[image]).sum();
                sum / estimate.chosen.len() as f64
            };
            estimate.importance_of_same_images = summary.likelihood.as_ref().map(among);
            summary.ais = Some(estimate);
        }
        if self.disentanglement {
            let judged = judge(&mut session, &dataset, config.seed)?;
            if !self.json {
                print_disentanglement(&judged);
            }
            summary.disentanglement = Some(judged);
        }
        if self.json {
            return json(&summary);
        }
        if let Some(ais) = &summary.ais {
            print_annealed(ais);
        }
        Ok(())
    }

    /// Refuses bounds that need an encoder's distribution where there is none.
    fn check(&self, config: &Config) -> Result<()> {
        let problem = if !config.deterministic {
            return Ok(());
        } else if self.importance_samples.is_some() {
            "--importance-samples needs a q(z|x) to sample from; this model was trained with --deterministic"
        } else if self.ais.is_some() && self.start == Start::Encoder {
            "--start encoder needs a q(z|x) to start from; this model was trained with --deterministic, use --start prior"
        } else {
            return Ok(());
        };
        Err(Error::usage(problem))
    }

    /// Annealed importance sampling: its bar has the bounds so far, so that a run that is stopped has told what it found.
    fn anneal(
        &self,
        session: &mut Session,
        config: &Config,
        dataset: &Dataset,
        temperatures: u32,
    ) -> Result<AnnealedEstimate> {
        let settings = AnnealedSettings {
            temperatures: temperatures as usize,
            chains: self.chains as usize,
            leapfrog: self.leapfrog as usize,
            images: (self.images as usize).min(dataset.test.len()),
            start: self.start,
            seed: config.seed,
        };
        let model = HostModel::new(&session.state(0)?, session.likelihood());
        let simulated = self.bidirectional.map(|images| images as usize);
        let check = simulated.map_or(0, |images| settings.work(images, true));
        let bar = Bar::new("annealing", settings.work(settings.images, false) + check);
        let found = Mutex::new(SoFar::default());
        let listener = |done: Done<'_>| {
            if let Done::Temperature = done {
                return bar.add_one();
            }
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.add(done);
            bar.say(found.text());
        };
        let mut estimate = annealed::log_likelihood(&model, dataset, settings, &listener);
        estimate.bidirectional = simulated.map(|images| annealed::check(&model, settings, images, &listener));
        Ok(estimate)
    }
}

/// Sums of what annealing has found so far.
#[derive(Default)]
struct SoFar {
    images: usize,
    logs: f64,
    simulated: usize,
    gaps: f64,
}

impl SoFar {
    fn add(&mut self, done: Done<'_>) {
        match done {
            Done::Temperature => {}
            Done::Images(logs) => {
                self.images += logs.len();
                self.logs += logs.iter().sum::<f64>();
            }
            Done::Bounds(bounds) => {
                self.simulated += bounds.len();
                self.gaps += bounds.iter().map(|[lower, upper]| upper - lower).sum::<f64>();
            }
        }
    }

    fn text(&self) -> String {
        let mean = |sum: f64, count: usize| sum / count as f64;
        let mut text =
            format!("ln p(x) at least {:.2} on {} images so far", mean(self.logs, self.images), self.images);
        if self.simulated > 0 {
            let gap = mean(self.gaps, self.simulated);
            text += &format!(", bounds {gap:.2} apart on {} of the model", self.simulated);
        }
        text
    }
}

/// The measures of disentanglement, each with its own bar.
fn judge(session: &mut Session, dataset: &Dataset, seed: u64) -> Result<Disentanglement> {
    let bar = Bar::new("measuring", 100);
    factors::judge(session, dataset, seed, &mut |what, done| {
        bar.set((100.0 * done) as u64);
        bar.say(what.to_owned());
    })
}

fn print_disentanglement(judged: &Disentanglement) {
    let Disentanglement { images, factors, active_by_variance, active_by_kl, notes, .. } = judged;
    result(format_args!("factors    {} of {images} images, drawn at random", factors.join(", ")));
    let line = |name: &str, measured: Option<Measured>, of: &str| match measured {
        Some(Measured { value, standard_error }) => {
            let value = format!("{value:.3}{}", error(standard_error));
            result(format_args!("           {name:20} {value:16} {of}"));
        }
        None => result(format_args!("           {name:20} {:16} {of}", "not measured")),
    };
    line("MIG", Some(judged.mig), "of the posteriors (Chen et al. 2018)");
    if judged.mig_without_shape.is_some() {
        line("  without shape", judged.mig_without_shape, "as published for dSprites");
    }
    line("MIG by histograms", Some(judged.mig_histogram), "of the means, 20 bins (disentanglement_lib)");
    line("SAP", Some(judged.sap), "(Kumar et al. 2018)");
    line(
        "DCI disentanglement",
        Some(judged.dci_disentanglement),
        "boosted trees (Eastwood and Williams 2018)",
    );
    line("  completeness", Some(judged.dci_completeness), "");
    line("  informativeness", Some(judged.dci_informativeness), "share of values predicted rightly");
    line("modularity", judged.modularity, "(Ridgeway and Mozer 2018)");
    line("FactorVAE score", judged.factor_vae, "(Kim and Mnih 2018)");
    line("beta-VAE score", judged.beta_vae, "(Higgins et al. 2017)");
    let by_kl = active_by_kl.map_or(String::new(), |count| format!(", {count} by a KL above 0.01 nats"));
    result(format_args!(
        "           active latents       {active_by_variance} by a variance of the mean above 0.01{by_kl}"
    ));
    notes.iter().for_each(|text| note(format_args!("note: {text}")));
}

/// Samples with a progress bar.
fn importance(session: &mut Session, samples: usize) -> Result<ImportanceEstimate> {
    let bar = Bar::new("sampling", samples as u64);
    log_likelihood(session, samples, &mut |done| {
        bar.set(done as u64);
        Ok(())
    })
}

fn print_likelihood(likelihood: &ImportanceEstimate) {
    let ImportanceEstimate { importance_samples, log_likelihood, gap, effective_samples, .. } = likelihood;
    result(format_args!(
        "ln p(x)    at least {log_likelihood:.2}{} nats from {importance_samples} samples of z for each test image, worth \
         {effective_samples:.1} draws from p(z|x)",
        error(likelihood.standard_error)
    ));
    let nested = likelihood.nested.iter();
    let nested: Vec<String> =
        nested.map(|part| format!("{:.2} ({})", part.log_likelihood, part.importance_samples)).collect();
    result(format_args!("           by the number of the same samples: {}", nested.join(", ")));
    result(format_args!(
        "           the ELBO of the same samples is {gap:.2} lower: KL(q(z|x) || p(z|x)) is at least that"
    ));
}

/// A standard error, where there is one.
fn error(standard_error: Option<f64>) -> String {
    standard_error.map_or(String::new(), |error| format!(" +- {error:.3}"))
}

fn print_annealed(ais: &AnnealedEstimate) {
    let AnnealedEstimate { temperatures, chains, leapfrog, images, log_likelihood, .. } = ais;
    result(format_args!(
        "           at least {log_likelihood:.2}{} nats on {images} test images by annealed importance sampling ({temperatures} \
         temperatures, {chains} chains worth {:.1}, {leapfrog} leapfrog steps, acceptance {:.2}; +- {:.2} by the choice of \
         images)",
        error(ais.standard_error),
        ais.effective_chains,
        ais.acceptance,
        ais.standard_error_of_images
    ));
    if let Some(importance) = ais.importance_of_same_images {
        result(format_args!("           importance sampling gives {importance:.2} on the same images"));
    }
    if let Some(both) = &ais.bidirectional {
        result(format_args!(
            "           {} images of the model: ln p(x) is on average between {:.2} and {:.2}, {:.3} +- {:.3} apart",
            both.images, both.lower, both.upper, both.gap, both.gap_standard_error
        ));
    }
}
