//! A model on an engine, with its data: what training, evaluation and pictures are made of.

use super::config::Config;
use super::metrics::{Metrics, Sums};
use crate::checkpoint::{self, Optimizer, Progress};
use crate::data::Dataset;
use crate::engine::{Device, Engine, Ticket};
use crate::error::{Error, Result};
use crate::kernel::backward_weights::Adam;
use crate::kernel::gather::pack;
use crate::kernel::reconstruction::Likelihood;
use crate::model::{Architecture, Evaluation, Model, Parameters, Pass};
use crate::numeric::sigmoid;
use crate::program::Step;
use crate::random::key;

/// A model on an engine.
pub struct Session {
    engine: Box<dyn Engine>,
    model: Model,
    config: Config,
}

/// Half of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Images learned from.
    Train,
    /// Images not learned from.
    Test,
}

/// What the encoder makes of images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Codes {
    /// `(N, M)`.
    pub means: Vec<f32>,
    /// `(N, M)`: one sample each.
    pub z: Vec<f32>,
}

impl Session {
    /// Plans the model of `config` for this data, loads data and parameters onto the device.
    ///
    /// # Errors
    /// Wrong settings, a saved model of other sizes, and whatever the device objects to.
    pub fn new(
        device: &Device,
        config: &Config,
        dataset: &Dataset,
        saved: &checkpoint::Model,
    ) -> Result<Self> {
        let mut session = Self::plan(device, config, dataset)?;
        let Self { engine, model, .. } = &mut session;
        if saved.architecture != model.config.architecture {
            let (found, wanted) = (&saved.architecture, &model.config.architecture);
            let problem = format!(
                "the saved model is {found}, but settings and data ask for {wanted}; use those it was \
                 trained with"
            );
            return Err(Error::data(&config.data, problem));
        }
        let parameters = &saved.parameters;
        for (images, buffer) in [(&dataset.train, model.train_images), (&dataset.test, model.test_images)] {
            engine.write(buffer, &pack(&images.pixels, images.dimension()))?;
        }
        parameters.write(&mut **engine, &model.layers, |layer| layer.theta)?;
        let zeros = parameters.zeros_like();
        zeros.write(&mut **engine, &model.layers, |layer| layer.m)?;
        zeros.write(&mut **engine, &model.layers, |layer| layer.v)?;
        Ok(session)
    }

    fn plan(device: &Device, config: &Config, dataset: &Dataset) -> Result<Self> {
        let model = Model::new(model_config(config, dataset)?)?;
        Ok(Self { engine: device.load(model.plan.clone())?, model, config: config.clone() })
    }

    /// The plan and its buffers.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// p(x | z).
    pub fn likelihood(&self) -> Likelihood {
        self.model.config.likelihood
    }

    /// Steps in which every training image is seen once; what is left over waits for the next shuffle.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.model.config.train_images / self.model.config.batch) as u64
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.config.steps.unwrap_or(self.config.epochs.saturating_mul(self.steps_per_epoch()))
    }

    /// Continues where a checkpoint stopped.
    pub fn restore(&mut self, optimizer: &Optimizer) -> Result<()> {
        let Self { engine, model, .. } = self;
        optimizer.m.write(&mut **engine, &model.layers, |layer| layer.m)?;
        optimizer.v.write(&mut **engine, &model.layers, |layer| layer.v)
    }

    /// Parameters and moments after `step` steps.
    pub fn save(&mut self, step: u64) -> Result<(Parameters, Optimizer)> {
        let Self { engine, model, config } = self;
        let parameters = Parameters::read(&mut **engine, &model.layers, |layer| layer.theta)?;
        let m = Parameters::read(&mut **engine, &model.layers, |layer| layer.m)?;
        let v = Parameters::read(&mut **engine, &model.layers, |layer| layer.v)?;
        Ok((parameters, Optimizer { m, v, progress: Progress { seed: config.seed, step } }))
    }

    /// Starts `count` training steps, the first being number `first`; does not wait.
    pub fn submit(&mut self, first: u64, count: usize) -> Result<Ticket> {
        let per_epoch = self.steps_per_epoch();
        let steps: Vec<Step> =
            (0..count).map(|slot| training_step(&self.config, per_epoch, first, slot)).collect();
        let Pass { program, kl_ring, loss_ring, .. } = self.model.train;
        self.engine.submit(program, &steps, &[kl_ring, loss_ring])
    }

    /// Waits for started steps; the sums of each.
    pub fn wait(&mut self, ticket: Ticket, count: usize) -> Result<Vec<Sums>> {
        let results = self.engine.wait(ticket)?;
        Ok(sums(&self.model.train, &results, count))
    }

    /// Averages over a whole split, with one sampled z per image: the same z for the same seed.
    pub fn evaluate(&mut self, split: Split) -> Result<Metrics> {
        let mut total = Sums::default();
        self.pass_over(split, usize::MAX, &[], |sums, _| total.add(&sums))?;
        Ok(total.metrics(self.likelihood(), self.model.config.architecture.dimension))
    }

    /// Means and samples of the first `most` images of a split.
    pub fn encode(&mut self, split: Split, most: usize) -> Result<Codes> {
        let latent = self.model.config.architecture.latent;
        let mut codes = Codes::default();
        self.pass_over(split, most, &[|pass| pass.stats, |pass| pass.z], |_, results| {
            for stats in results[0].chunks_exact(2 * latent) {
                codes.means.extend(&stats[..latent]);
            }
            codes.z.extend(&results[1]);
        })?;
        codes.means.truncate(most * latent);
        codes.z.truncate(most * latent);
        Ok(codes)
    }

    /// Runs the evaluation program batch by batch, until at least `most` images are done, and hands over each
    /// batch's sums and `extra` buffers.
    fn pass_over(
        &mut self,
        split: Split,
        most: usize,
        extra: &[fn(&Pass) -> crate::program::BufferId],
        mut each: impl FnMut(Sums, &[Vec<f32>]),
    ) -> Result<()> {
        let Evaluation { images, full, rest } = match split {
            Split::Train => self.model.evaluate_train,
            Split::Test => self.model.evaluate_test,
        };
        let whole = images / full.batch;
        let passes = (0..whole).map(|_| full).chain(rest).take(most.div_ceil(full.batch));
        for (index, pass) in passes.enumerate() {
            let step =
                Step { seed: key(self.config.seed), first: (index * full.batch) as u32, ..Step::default() };
            let mut results = vec![pass.kl_ring, pass.loss_ring];
            results.extend(extra.iter().map(|buffer| buffer(&pass)));
            let results = self.engine.run(pass.program, &[step], &results)?;
            each(sums(&pass, &results, 1)[0], &results[2..]);
        }
        Ok(())
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
            .chunks_exact(self.model.config.architecture.dimension)
            .map(move |image| image.iter().map(mean).collect())
    }
}

/// The model that a configuration describes, for a data set.
pub fn model_config(config: &Config, dataset: &Dataset) -> Result<crate::model::Config> {
    config.check()?;
    let (batch, train_images) = (config.batch, dataset.train.len());
    if batch > train_images {
        return Err(Error::data(
            &config.data,
            format!("has {train_images} training images but --batch is {batch}; use a smaller batch"),
        ));
    }
    Ok(crate::model::Config {
        architecture: Architecture {
            dimension: dataset.train.dimension(),
            hidden: config.hidden.clone(),
            latent: config.latent,
        },
        likelihood: config.likelihood.with_sigma(config.sigma),
        kl: config.kl.into(),
        adam: Adam::default(),
        batch,
        train_images,
        test_images: dataset.test.len(),
    })
}

/// The numbers of the training step that is `slot` after `first`.
fn training_step(config: &Config, per_epoch: u64, first: u64, slot: usize) -> Step {
    let number = first + slot as u64;
    let t = (number + 1) as f64;
    let Adam { beta1, beta2, .. } = Adam::default();
    let correction = |beta: f32| (1.0 / (1.0 - f64::from(beta).powf(t))) as f32;
    Step {
        seed: key(config.seed),
        number: number as u32,
        slot: slot as u32,
        epoch: (number / per_epoch) as u32,
        first: (number % per_epoch * config.batch as u64) as u32,
        learning_rate: config.learning_rate,
        correction1: correction(beta1),
        correction2: correction(beta2),
        kl_weight: config.beta,
        ..Step::default()
    }
}

/// The sums of the first `count` rows of the rings.
fn sums(pass: &Pass, results: &[Vec<f32>], count: usize) -> Vec<Sums> {
    let rows = |ring: &'_ [f32]| ring.len() / pass.slots;
    let (kl, loss) = (&results[0], &results[1]);
    kl.chunks_exact(rows(kl))
        .zip(loss.chunks_exact(rows(loss)))
        .take(count)
        .map(|(kl, loss)| Sums::of_step(pass.batch, kl, loss))
        .collect()
}
