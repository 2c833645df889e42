//! A model on an engine, with its data: what training, evaluation and pictures are made of.

use super::config::Config;
use super::metrics::{LossSums, Metrics, Terms, mmd_to_prior_with};
use super::objective::Objective;
use super::words::StepWords;
use crate::checkpoint::{About, Best, Fingerprint, Progress, State};
use crate::data::{Dataset, Pixels, sprites};
use crate::engine::{Counters, Device, Engine, MOST_STEPS, Ticket};
use crate::error::{Error, Kind, Result};
use crate::kernel::backward_weights::Adam;
use crate::kernel::gather::Packing;
use crate::kernel::reconstruction::Likelihood;
use crate::memory::has_room;
use crate::model::{
    Architecture, Evaluation, ImageBuffers, Importance, Layer, LikelihoodName, Model, ModelConfig, Origin,
    Parameters, Pass, Term,
};
use crate::numeric::sigmoid;
use crate::program::{BufferId, Step};
use crate::random::{Sequence, Stream, key};
use std::ops::Range;

/// A model on an engine.
pub struct Session {
    engine: Box<dyn Engine>,
    model: Model,
    config: Config,
    objective: Objective,
    /// The data and the likelihood; its sigma is the first.
    about: About,
    /// Of the data, and the best epoch, as checkpoints say it.
    progress: Progress,
    /// Of the Gaussian likelihood, as it is now.
    sigma: f32,
}

/// Half of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Images learned from.
    Train,
    /// Images held out of training, by which the best epoch is chosen.
    Validation,
    /// Images not learned from.
    Test,
}

/// The codes of images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Codes {
    /// M.
    pub latent: usize,
    /// `(N, M)`.
    pub means: Vec<f32>,
    /// `(N, M)`.
    pub log_stds: Vec<f32>,
    /// `(N, M)`: one sample each.
    pub z: Vec<f32>,
}

impl Codes {
    /// N.
    pub fn len(&self) -> usize {
        self.z.len() / self.latent
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.z.is_empty()
    }

    /// Adds the results of a batch: `stats: (B, 2M)`, `z: (B, M)`.
    fn extend(&mut self, stats: &[f32], z: &[f32]) {
        for stats in stats.chunks_exact(2 * self.latent) {
            let (mean, log_std) = stats.split_at(self.latent);
            self.means.extend(mean);
            self.log_stds.extend(log_std);
        }
        self.z.extend(z);
    }

    /// Keeps the first `most`.
    pub fn truncate(&mut self, most: usize) {
        for values in [&mut self.means, &mut self.log_stds, &mut self.z] {
            values.truncate(most * self.latent);
        }
    }

    /// A random choice of at most `most`, by `seed`, in random order.
    #[must_use]
    pub fn choice(&self, most: usize, seed: u64) -> Self {
        let mut order = Sequence::new(seed, Stream::Subsample, 0).order(self.len());
        order.truncate(most);
        let rows = |values: &[f32]| {
            order.iter().flat_map(|&i| &values[i * self.latent..][..self.latent]).copied().collect()
        };
        Self {
            latent: self.latent,
            means: rows(&self.means),
            log_stds: rows(&self.log_stds),
            z: rows(&self.z),
        }
    }

    /// KL(q(z_j|x) || p(z_j)) of each dimension j in nats, in closed form, averaged over the images: `(M)`.
    pub fn kl_by_dimension(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.latent];
        for (mean, log_std) in
            self.means.chunks_exact(self.latent).zip(self.log_stds.chunks_exact(self.latent))
        {
            for ((sum, &mean), &log_std) in sums.iter_mut().zip(mean).zip(log_std) {
                let (mean, log_std) = (f64::from(mean), f64::from(log_std));
                *sum += 0.5 * (mean * mean + (2.0 * log_std).exp_m1()) - log_std;
            }
        }
        sums.iter().map(|sum| sum / self.len() as f64).collect()
    }
}

impl Session {
    /// Plans the model of `config` for this data, loads data and parameters onto the device.
    ///
    /// # Errors
    /// Wrong settings, a saved model of other sizes, and whatever the device objects to.
    pub fn new(device: &Device, config: &Config, dataset: &Dataset, state: &State) -> Result<Self> {
        let mut session = Self::plan(device, config, dataset)?;
        session.progress = state.progress.clone();
        let Self { engine, model, sigma, .. } = &mut session;
        if state.architecture.layers() != model.config.architecture.layers() {
            let (found, wanted) = (&state.architecture, &model.config.architecture);
            let problem = format!(
                "the saved model is {found}, but settings and data ask for {wanted}; use those it was \
                 trained with"
            );
            return Err(Error::data(&config.data, problem));
        }
        let learned = model.config.train_images;
        let mut splits =
            vec![(&dataset.train, 0, &model.train_images), (&dataset.test, 0, &model.test_images)];
        splits.extend(model.validation.iter().map(|(held, _)| (&dataset.train, learned, held)));
        for (images, first, ImageBuffers { images: count, rows, slices }) in splits {
            let firsts = (first..first + count).step_by(*rows);
            for (start, &buffer) in firsts.zip(slices) {
                let slice = start..(start + rows).min(first + count);
                match (&images.pixels, model.config.origin) {
                    (Pixels::Bytes(bytes), Origin::Stored(packing)) => {
                        let d = images.dimension();
                        engine.write(buffer, &packing.pack(&bytes[slice.start * d..slice.end * d], d))?;
                    }
                    (Pixels::Numbers(values), Origin::Stored(Packing::Numbers)) => {
                        let d = images.dimension();
                        engine
                            .write(buffer, bytemuck::cast_slice(&values[slice.start * d..slice.end * d]))?;
                    }
                    (Pixels::Sprites(numbers), Origin::Sprites) => {
                        engine.write(buffer, bytemuck::cast_slice(&numbers[slice]))?;
                    }
                    _ => unreachable!("the origin of the model's images is that of the data"),
                }
            }
        }
        if let Some(geometry) = model.geometry {
            engine.write(geometry, bytemuck::cast_slice(sprites::geometry()))?;
        }
        if let (Some(adaptive), Some(about)) = (&model.adaptive, &state.about) {
            *sigma = about.sigma;
            let logarithm = state.progress.sigma.unwrap_or([sigma.ln(), 0.0, 0.0]);
            engine.write(adaptive.state, bytemuck::cast_slice(&sigma_state(logarithm)))?;
        }
        for (buffer, values) in &model.constants {
            engine.write(*buffer, bytemuck::cast_slice(values))?;
        }
        state.theta.write(&mut **engine, &model.layers, |layer| layer.theta)?;
        state.m.write(&mut **engine, &model.layers, |layer| layer.m)?;
        state.v.write(&mut **engine, &model.layers, |layer| layer.v)?;
        Ok(session)
    }

    fn plan(device: &Device, config: &Config, dataset: &Dataset) -> Result<Self> {
        let model = Model::new(model_config(config, dataset)?)?;
        let config = config.clone().complete();
        Ok(Self {
            engine: device.load(model.plan.clone())?,
            model,
            objective: config.objective(),
            about: about(&config, dataset),
            progress: Progress::default(),
            sigma: config.sigma.initial(),
            config,
        })
    }

    /// The plan and its buffers.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// p(x | z), with sigma as it is now.
    pub fn likelihood(&self) -> Likelihood {
        self.config.likelihood.with_sigma(self.sigma)
    }

    /// The standard deviation of a pixel as it is now, for the Gaussian likelihood.
    pub fn sigma(&self) -> f32 {
        self.sigma
    }

    /// The settings that it was made from, complete.
    pub fn settings(&self) -> &Config {
        &self.config
    }

    /// The objective's further term.
    pub fn term(&self) -> Term {
        self.model.config.regularizer.term
    }

    /// Steps in which every training image is seen once; what is left over waits for the next shuffle.
    pub fn steps_per_epoch(&self) -> u64 {
        self.config.steps_per_epoch(self.training_images())
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.config.total_steps(self.training_images())
    }

    /// Training images of the data set, those held out included.
    fn training_images(&self) -> usize {
        self.model.config.train_images + self.model.config.validation_images
    }

    /// Parameters and moments after `step` steps.
    pub fn state(&mut self, step: u64) -> Result<State> {
        let Self { engine, model, config, about, progress, sigma, .. } = self;
        let engine = &mut **engine;
        let logarithm = match &model.adaptive {
            Some(adaptive) => engine.read(adaptive.state)?.first_chunk().copied(),
            None => None,
        };
        Ok(State {
            architecture: model.config.architecture.clone(),
            about: Some(About { sigma: *sigma, ..about.clone() }),
            theta: Parameters::read(engine, &model.layers, |layer| layer.theta)?,
            m: Parameters::read(engine, &model.layers, |layer| layer.m)?,
            v: Parameters::read(engine, &model.layers, |layer| layer.v)?,
            progress: Progress { seed: config.seed, sigma: logarithm, step, ..progress.clone() },
        })
    }

    /// What all buffers hold, in the plan's order; packed words keep their bits.
    ///
    /// # Errors
    /// Whatever the device objects to.
    pub fn memory(&mut self) -> Result<Vec<Vec<f32>>> {
        (0..self.model.plan.buffers.len()).map(|buffer| self.engine.read(BufferId(buffer))).collect()
    }

    /// Takes the parameters of another state of the same model.
    ///
    /// # Errors
    /// Whatever the device objects to.
    pub fn load(&mut self, state: &State) -> Result<()> {
        let Self { engine, model, sigma, .. } = self;
        if let Some(about) = &state.about {
            *sigma = about.sigma;
        }
        state.theta.write(&mut **engine, &model.layers, |layer| layer.theta)
    }

    /// The best epoch on the validation images so far.
    pub fn best(&self) -> Option<Best> {
        self.progress.best
    }

    /// Remembers a better epoch.
    pub(super) fn set_best(&mut self, best: Best) {
        self.progress.best = Some(best);
    }

    /// Further terms of the objective over all these codes, where they need no batch.
    pub fn terms_of(&self, codes: &Codes) -> Terms {
        let mmd = match self.term() {
            Term::PriorMmd { h, .. } => mmd_to_prior_with(&codes.z, codes.latent, f64::from(h)),
            Term::None | Term::TotalCorrelation(_) => None,
        };
        Terms { mmd, ..Terms::default() }
    }

    /// The objective.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }

    /// Starts `count` training steps, the first being number `first`; does not wait.
    pub fn submit(&mut self, first: u64, count: usize) -> Result<Ticket> {
        self.submit_part(first, 0..count, true)
    }

    /// The work of the engine so far.
    pub fn counters(&self) -> Counters {
        self.engine.counters()
    }

    /// Starts the steps of `slots` after step number `first`, which take these rows of the rings. Only the last part
    /// of them asks for the `results`, those of all.
    pub fn submit_part(&mut self, first: u64, slots: Range<usize>, results: bool) -> Result<Ticket> {
        let words = self.step_words();
        let steps: Vec<Step> = slots.map(|slot| words.at(first + slot as u64, slot)).collect();
        let Pass { program, kl_ring, loss_ring, term_ring, .. } = self.model.train;
        let sigma_ring = self.model.adaptive.as_ref().map(|adaptive| adaptive.ring);
        let rings: Vec<BufferId> =
            [kl_ring, loss_ring].into_iter().chain(term_ring).chain(sigma_ring).collect();
        self.engine.submit(program, &steps, if results { &rings } else { &[] })
    }

    /// Where the words of a training step come from.
    pub fn step_words(&self) -> StepWords {
        let (per_epoch, total) = (self.steps_per_epoch(), self.total_steps());
        StepWords::new(&self.config, &self.objective, &self.model.config.adam, per_epoch, total)
    }

    /// Waits for started steps; the sums of each.
    pub fn wait(&mut self, ticket: Ticket, count: usize) -> Result<Vec<LossSums>> {
        let results = self.engine.wait(ticket)?;
        let ModelConfig { architecture, regularizer, .. } = &self.model.config;
        let Pass { batch, slots, term_ring, .. } = self.model.train;
        let mut steps = Vec::with_capacity(count);
        for slot in 0..count {
            let parts = |ring: &'_ Vec<f32>| {
                let length = ring.len() / slots;
                slot * length..(slot + 1) * length
            };
            let row = |ring: usize| &results[ring][parts(&results[ring])];
            if self.model.adaptive.is_some() {
                self.sigma = row(results.len() - 1)[0].exp();
            }
            let likelihood = self.config.likelihood.with_sigma(self.sigma);
            let sums = LossSums::of_step(batch, row(0), row(1), likelihood, architecture.dimension());
            steps.push(if term_ring.is_some() { sums.with_term(regularizer.term, row(2)) } else { sums });
        }
        Ok(steps)
    }

    /// Runs training steps, of which the first of all is number 0, and waits: averages over the images of each.
    ///
    /// # Errors
    /// [`Kind::Diverged`] when a loss term is no longer finite; whatever the device objects to.
    pub fn train(&mut self, steps: Range<u64>) -> Result<Vec<Metrics>> {
        let mut metrics = Vec::new();
        for first in steps.clone().step_by(MOST_STEPS) {
            let count = (steps.end - first).min(MOST_STEPS as u64) as usize;
            let ticket = self.submit(first, count)?;
            for (step, sums) in (first..).zip(self.wait(ticket, count)?) {
                if let Some((term, value)) = sums.not_finite(self.term()) {
                    return Err(Kind::Diverged { term, value, step }.into());
                }
                metrics.push(sums.metrics());
            }
        }
        Ok(metrics)
    }

    /// Averages over a whole split, and its codes, with one sampled z per image: the same z for the same seed.
    pub fn evaluate(&mut self, split: Split) -> Result<(Metrics, Codes)> {
        let (sums, codes) = self.pass_over(split, usize::MAX)?;
        Ok((sums.metrics(), codes))
    }

    /// Codes of the first `most` images of a split.
    pub fn encode(&mut self, split: Split, most: usize) -> Result<Codes> {
        let (_, mut codes) = self.pass_over(split, most)?;
        codes.truncate(most);
        Ok(codes)
    }

    /// Codes of images `(N, D)` that need not be of the data, with pixels from 0 to 1. Their samples have the noise of
    /// their places in `images`.
    pub fn encode_images(&mut self, images: &[f32]) -> Result<Codes> {
        let encoder = self.model.encoder;
        let dimension = self.model.config.architecture.dimension();
        let mut codes = Codes { latent: self.model.config.architecture.latent, ..Codes::default() };
        for (index, chunk) in images.chunks(encoder.batch * dimension).enumerate() {
            let mut padded = chunk.to_vec();
            padded.resize(encoder.batch * dimension, 0.0);
            self.engine.write(encoder.x, bytemuck::cast_slice(&padded))?;
            let first = (index * encoder.batch) as u32;
            let step = Step { seed: key(self.config.seed), first, ..Step::default() };
            let results = self.engine.run(encoder.program, &[step], &[encoder.stats, encoder.z])?;
            codes.extend(&results[0], &results[1]);
        }
        codes.truncate(images.len() / dimension);
        Ok(codes)
    }

    /// Runs the evaluation program batch by batch, until at least `most` images are done.
    fn pass_over(&mut self, split: Split, most: usize) -> Result<(LossSums, Codes)> {
        let Evaluation { images, full, rest } = match split {
            Split::Train => self.model.evaluate_train,
            Split::Validation => match &self.model.validation {
                Some((_, evaluation)) => *evaluation,
                None => {
                    let problem = "there are no validation images; hold some out with --validation";
                    return Err(Error::usage(problem));
                }
            },
            Split::Test => self.model.evaluate_test,
        };
        let mut total = LossSums::default();
        let mut codes = Codes { latent: self.model.config.architecture.latent, ..Codes::default() };
        let whole = images / full.batch;
        let passes = (0..whole).map(|_| full).chain(rest).take(most.div_ceil(full.batch));
        for (index, pass) in passes.enumerate() {
            let step =
                Step { seed: key(self.config.seed), first: (index * full.batch) as u32, ..Step::default() };
            let results = [pass.kl_ring, pass.loss_ring, pass.stats, pass.z];
            let results = self.engine.run(pass.program, &[step], &results)?;
            let dimension = self.model.config.architecture.dimension();
            total.add(&LossSums::of_step(pass.batch, &results[0], &results[1], self.likelihood(), dimension));
            codes.extend(&results[2], &results[3]);
        }
        Ok((total, codes))
    }

    /// ln p(x|z) + ln p(z) - ln q(z|x) of every test image, at its sample number `k` of z.
    pub fn log_weights(&mut self, k: u32) -> Result<Vec<f64>> {
        let Importance { program, batch, stats, noise, z, loss } = self.model.importance;
        let ModelConfig { architecture, test_images, .. } = &self.model.config;
        let (m, images) = (architecture.latent, *test_images);
        let constant = self.likelihood().constant(architecture.dimension());
        // The device works with the first sigma.
        let scale = f64::from(self.config.sigma.initial() / self.sigma).powi(2);
        let mut logs = Vec::with_capacity(images);
        for first in (0..images).step_by(batch) {
            let step =
                Step { seed: key(self.config.seed), number: k, first: first as u32, ..Step::default() };
            let results = self.engine.run(program, &[step], &[stats, noise, z, loss])?;
            let [stats, noise, z, loss] = [0, 1, 2, 3].map(|i| &results[i]);
            // The last batch runs over the end of the data.
            for i in 0..batch.min(images - first) {
                let prior: f64 = (i * m..(i + 1) * m)
                    .zip(&stats[(2 * i + 1) * m..][..m])
                    .map(|(at, &log_std)| {
                        0.5 * (f64::from(noise[at]).powi(2) - f64::from(z[at]).powi(2)) + f64::from(log_std)
                    })
                    .sum();
                logs.push(prior - scale * f64::from(loss[i]) - constant);
            }
        }
        Ok(logs)
    }

    /// Decodes rows of z, `(N, M)`: the mean of p(x | z), `(D)` each.
    pub fn decode(&mut self, z: &[f32]) -> Result<Vec<Vec<f32>>> {
        let decoder = self.model.decoder;
        let latent = self.model.config.architecture.latent;
        let mut images = Vec::with_capacity(z.len() / latent);
        for chunk in z.chunks(decoder.batch * latent) {
            let mut padded = chunk.to_vec();
            padded.resize(decoder.batch * latent, 0.0);
            self.engine.write(decoder.z, bytemuck::cast_slice(&padded))?;
            let output = self.engine.run(decoder.decode, &[Step::default()], &[decoder.output])?;
            images.extend(self.images(&output[0]).take(chunk.len() / latent));
        }
        Ok(images)
    }

    /// Means of p(x | z) for `count` draws of z from the prior.
    pub fn sample(&mut self, count: usize) -> Result<Vec<Vec<f32>>> {
        let decoder = self.model.decoder;
        let mut images = Vec::with_capacity(count);
        while images.len() < count {
            let first = images.len() as u32;
            let step = Step { seed: key(self.config.seed), first, ..Step::default() };
            let output = self.engine.run(decoder.sample, &[step], &[decoder.output])?;
            images.extend(self.images(&output[0]).take(count - images.len()));
        }
        Ok(images)
    }

    fn images<'a>(&self, output: &'a [f32]) -> impl Iterator<Item = Vec<f32>> + use<'a> {
        let logits = self.likelihood() == Likelihood::Bernoulli;
        let mean = move |&l: &f32| if logits { sigmoid(l) } else { l };
        output
            .chunks_exact(self.model.config.architecture.dimension())
            .map(move |image| image.iter().map(mean).collect())
    }
}

/// The state before the first step.
pub fn initial_state(config: &Config, dataset: &Dataset) -> State {
    let mut state = State::initial(architecture(config, dataset), about(config, dataset), config.seed);
    state.progress.data = Some(Fingerprint::of(dataset));
    state
}

fn architecture(config: &Config, dataset: &Dataset) -> Architecture {
    Architecture { image: dataset.train.grid(), hidden: config.layers(), latent: config.latent }
}

/// The model file's description of itself.
fn about(config: &Config, dataset: &Dataset) -> About {
    let layers = config.layers();
    About {
        architecture: layers.widths().is_none().then(|| layers.to_string()),
        channels: dataset.train.channels,
        columns: dataset.columns.clone(),
        height: dataset.train.height,
        width: dataset.train.width,
        likelihood: config.likelihood,
        sigma: config.sigma.initial(),
    }
}

/// The model that a configuration describes, for a data set.
pub fn model_config(config: &Config, dataset: &Dataset) -> Result<ModelConfig> {
    config.check()?;
    let (batch, images) = (config.batch, dataset.train.len());
    let validation_images = config.held_out(images);
    let train_images = images.saturating_sub(validation_images);
    if batch > train_images {
        let held = match validation_images {
            0 => String::new(),
            held => format!(", of which --validation holds out {held},"),
        };
        let advice = if validation_images == 0 { "use a smaller batch" } else { "hold out fewer" };
        return Err(Error::data(
            &config.data,
            format!("has {images} training images{held} but --batch is {batch}; {advice}"),
        ));
    }
    let architecture = architecture(config, dataset);
    architecture.check()?;
    let parameters: usize = architecture.layers().iter().map(Layer::parameters).sum();
    // The weights and Adam's moments: here, on the engine, and where they are read back.
    if !has_room(parameters.saturating_mul(9 * size_of::<f32>())) {
        let problem =
            format!("a model of {parameters} parameters takes more memory than there is; use smaller layers");
        return Err(Error::usage(problem));
    }
    if dataset.columns.is_some() && config.likelihood == LikelihoodName::Bernoulli {
        let problem =
            "is a table of numbers, but a Bernoulli is for pixels from 0 to 1; use --likelihood gaussian";
        return Err(Error::data(&config.data, problem));
    }
    let drawn = matches!(dataset.train.pixels, Pixels::Sprites(_));
    if config.fresh && !drawn {
        let problem = "is stored, not drawn: there are no new images for --fresh; use it with --data sprites";
        return Err(Error::data(&config.data, problem));
    }
    // What the images of a batch are a sample of.
    let population = if config.fresh { sprites::count(dataset.train.channels) } else { train_images };
    Ok(ModelConfig {
        architecture,
        fresh: config.fresh,
        likelihood: config.likelihood.with_sigma(config.sigma.initial()),
        adaptive_sigma: config.sigma.mode(),
        regularizer: config.objective().regularizer(
            config.kl.into(),
            !config.deterministic,
            batch,
            population,
        ),
        origin: match (&dataset.train.pixels, &dataset.test.pixels) {
            (Pixels::Bytes(train), Pixels::Bytes(test)) => {
                let both = [train, test].map(|pixels| Packing::of(pixels));
                Origin::Stored(if both == [Packing::Bits; 2] { Packing::Bits } else { Packing::Bytes })
            }
            (Pixels::Numbers(_), _) => Origin::Stored(Packing::Numbers),
            _ => Origin::Sprites,
        },
        adam: Adam::default(),
        batch,
        train_images,
        validation_images,
        test_images: dataset.test.len(),
    })
}

/// The contents of the device's sigma buffer, from ln sigma and its moments.
fn sigma_state([log_sigma, m, v]: [f32; 3]) -> [f32; 4] {
    [log_sigma, m, v, (-2.0 * log_sigma).exp()]
}
