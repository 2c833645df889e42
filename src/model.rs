//! The variational auto-encoder of the lecture as a [`Plan`]: which kernels run on which buffers.
//!
//! ```text
//! x -> Linear(D, H) -> ReLU -> Linear(H, 2M) -> mu, log_std
//!      z = mu + exp(log_std) eps
//! z -> Linear(M, H) -> ReLU -> Linear(H, D)  -> means or logits of x
//! ```
//!
//! A training step goes down this list and back up, and each weight gradient is followed by Adam in the same
//! kernel. A layer's input gradient is taken before its weights change.

mod parameters;

pub use parameters::Parameters;

use crate::engine::MOST_STEPS;
use crate::error::Result;
use crate::kernel::backward_input::BackwardInput;
use crate::kernel::backward_latent::BackwardLatent;
use crate::kernel::backward_weights::{Adam, BackwardWeights};
use crate::kernel::gather::{Gather, words_per_image};
use crate::kernel::latent::{KlEstimate, Latent};
use crate::kernel::linear::{Linear, layer_len};
use crate::kernel::normal::Normal;
use crate::kernel::reconstruction::{Likelihood, Reconstruction};
use crate::program::{BufferId, Plan, ProgramId};
use crate::random::Stream;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Sizes of the layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// D, the pixels of an image.
    pub dimension: usize,
    /// Widths of the encoder's hidden layers, from the image on; the decoder has them the other way round.
    pub hidden: Vec<usize>,
    /// M.
    pub latent: usize,
}

/// One linear layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// PyTorch's name for it, such as `encoder.0`.
    pub name: String,
    /// I.
    pub inputs: usize,
    /// O.
    pub outputs: usize,
}

impl Architecture {
    /// The layers from the image to mean and log-std.
    pub fn encoder(&self) -> Vec<Layer> {
        let widths = [&[self.dimension][..], &self.hidden, &[2 * self.latent]].concat();
        layers("encoder", &widths)
    }

    /// The layers from z to the image.
    pub fn decoder(&self) -> Vec<Layer> {
        let hidden: Vec<usize> = self.hidden.iter().rev().copied().collect();
        layers("decoder", &[&[self.latent][..], &hidden, &[self.dimension]].concat())
    }

    /// All layers, encoder first.
    pub fn layers(&self) -> Vec<Layer> {
        [self.encoder(), self.decoder()].concat()
    }
}

/// The widths from image to image, such as `784-300-2*20-300-784`.
impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = |width: &usize| format!("{width}-");
        let encoder: String = self.hidden.iter().map(inner).collect();
        let decoder: String = self.hidden.iter().rev().map(inner).collect();
        write!(f, "{0}-{encoder}2*{1}-{decoder}{0}", self.dimension, self.latent)
    }
}

fn layers(part: &str, widths: &[usize]) -> Vec<Layer> {
    // Odd numbers are the ReLUs of an `nn.Sequential`.
    let layer =
        |(i, w): (usize, &[usize])| Layer { name: format!("{part}.{}", 2 * i), inputs: w[0], outputs: w[1] };
    widths.windows(2).enumerate().map(layer).collect()
}

/// The name of a likelihood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LikelihoodName {
    /// N(x | x_hat, sigma^2 I).
    #[default]
    Gaussian,
    /// Independent Bernoulli pixels.
    Bernoulli,
}

impl LikelihoodName {
    /// The likelihood with this name.
    pub fn with_sigma(self, sigma: f32) -> Likelihood {
        match self {
            Self::Gaussian => Likelihood::Gaussian { sigma },
            Self::Bernoulli => Likelihood::Bernoulli,
        }
    }
}

/// Everything that decides which kernels run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sizes of the layers.
    pub architecture: Architecture,
    /// p(x | z).
    pub likelihood: Likelihood,
    /// How the KL term is estimated.
    pub kl: KlEstimate,
    /// The optimiser.
    pub adam: Adam,
    /// B, images of a training step.
    pub batch: usize,
    /// Images of the training set.
    pub train_images: usize,
    /// Images of the test set.
    pub test_images: usize,
}

/// A layer's buffers.
#[derive(Clone, Debug)]
pub struct LayerBuffers {
    /// Its name and size.
    pub layer: Layer,
    /// W, then the bias.
    pub theta: BufferId,
    /// Adam's mean of gradients.
    pub m: BufferId,
    /// Adam's mean of squared gradients.
    pub v: BufferId,
}

/// A program that goes over a data set and leaves partial sums of the loss.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// What to run.
    pub program: ProgramId,
    /// Images a step.
    pub batch: usize,
    /// Rows of the two rings: steps that can be submitted together.
    pub slots: usize,
    /// `(slots, parts)`: sums of the KL in nats.
    pub kl_ring: BufferId,
    /// `(slots, parts, 2)`: sums of the squared error, and of the loss in nats without its constant.
    pub loss_ring: BufferId,
    /// `(B, 2M)`: mean and log-std of the last step's images.
    pub stats: BufferId,
    /// `(B, M)`: their samples.
    pub z: BufferId,
}

/// Evaluation of a whole data set in stored order: full batches, and a smaller one for what is left.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation {
    /// Images in all.
    pub images: usize,
    /// The full batches.
    pub full: Pass,
    /// The rest, if any.
    pub rest: Option<Pass>,
}

/// The decoder alone.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    /// Decodes what is in `z`.
    pub decode: ProgramId,
    /// Fills `z` with draws from the prior, then decodes them.
    pub sample: ProgramId,
    /// Images a run.
    pub batch: usize,
    /// `(batch, M)`.
    pub z: BufferId,
    /// `(batch, D)`: means, or logits.
    pub output: BufferId,
}

/// A VAE as programs, and where its numbers are.
#[derive(Clone, Debug)]
pub struct Model {
    /// What it was made from.
    pub config: Config,
    /// All buffers and programs.
    pub plan: Arc<Plan>,
    /// The parameters, encoder first.
    pub layers: Vec<LayerBuffers>,
    /// The training images, packed.
    pub train_images: BufferId,
    /// The test images, packed.
    pub test_images: BufferId,
    /// One step of training on a batch.
    pub train: Pass,
    /// Evaluation on the training set.
    pub evaluate_train: Evaluation,
    /// Evaluation on the test set.
    pub evaluate_test: Evaluation,
    /// The decoder alone.
    pub decoder: Decoder,
}

/// Images of one step of evaluation.
const EVALUATION_BATCH: usize = 1000;

/// Images that the decoder makes at a time for pictures.
const DECODER_BATCH: usize = 100;

impl Model {
    /// Plans training, evaluation and generation.
    pub fn new(config: Config) -> Result<Self> {
        let mut plan = Plan::default();
        let layers = config
            .architecture
            .layers()
            .into_iter()
            .map(|layer| {
                let len = layer_len(layer.inputs, layer.outputs);
                LayerBuffers {
                    theta: plan.buffer(&layer.name, len),
                    m: plan.buffer(format!("m.{}", layer.name), len),
                    v: plan.buffer(format!("v.{}", layer.name), len),
                    layer,
                }
            })
            .collect::<Vec<_>>();
        let words = words_per_image(config.architecture.dimension);
        let train_images = plan.buffer("train images", config.train_images * words);
        let test_images = plan.buffer("test images", config.test_images * words);
        let mut build = Build { config: &config, layers: &layers, plan: &mut plan };
        let train = build.train(train_images)?;
        let evaluate_train = build.evaluate("evaluate train", train_images, config.train_images)?;
        let evaluate_test = build.evaluate("evaluate test", test_images, config.test_images)?;
        let decoder = build.decoder()?;
        let plan = Arc::new(plan);
        Ok(Self {
            plan,
            layers,
            train_images,
            test_images,
            train,
            evaluate_train,
            evaluate_test,
            decoder,
            config,
        })
    }
}

/// Adds programs to a plan.
struct Build<'a> {
    config: &'a Config,
    layers: &'a [LayerBuffers],
    plan: &'a mut Plan,
}

/// Where a forward pass left what the backward pass needs.
struct Forward {
    pass: Pass,
    noise: BufferId,
    /// The input of each layer, encoder first.
    inputs: Vec<BufferId>,
    /// Gradient of the mean loss with respect to the decoder's output.
    dl: BufferId,
}

impl Build<'_> {
    /// Images, encoder, sample, decoder, loss.
    fn forward(
        &mut self,
        name: &str,
        gather: Gather,
        data: BufferId,
        stream: Stream,
        slots: usize,
    ) -> Result<Forward> {
        let Config { architecture, likelihood, kl, .. } = self.config;
        let (dimension, latent) = (architecture.dimension, architecture.latent);
        let batch = gather.batch;
        let program = self.plan.program(name);
        let plan = &mut *self.plan;
        let x = plan.buffer("x", batch * dimension);
        plan.call(program, gather, &[("data", data), ("x", x)])?;
        let (encoder, decoder) = self.layers.split_at(architecture.encoder().len());
        let mut inputs = Vec::new();
        let mut current = x;
        for layer in &encoder[..encoder.len() - 1] {
            inputs.push(current);
            current = hidden(plan, program, batch, layer, current)?;
        }

        let stats = plan.buffer("stats", 2 * batch * latent);
        let noise = plan.buffer("noise", batch * latent);
        let z = plan.buffer("z", batch * latent);
        let kl_ring = plan.buffer("kl_ring", slots * Latent::parts(batch, latent));
        let last = &encoder[encoder.len() - 1];
        inputs.push(current);
        let kernel = Latent { batch, inputs: last.layer.inputs, latent, slots, stream, kl: *kl };
        let buffers = [
            ("h", current),
            ("theta", last.theta),
            ("stats", stats),
            ("noise", noise),
            ("z", z),
            ("kl_ring", kl_ring),
        ];
        plan.call(program, kernel, &buffers)?;

        current = z;
        for layer in &decoder[..decoder.len() - 1] {
            inputs.push(current);
            current = hidden(plan, program, batch, layer, current)?;
        }
        let last = &decoder[decoder.len() - 1];
        inputs.push(current);
        let dl = plan.buffer("dl", batch * dimension);
        let loss_ring = plan.buffer("loss_ring", slots * Reconstruction::parts(batch, dimension));
        let kernel =
            Reconstruction { batch, inputs: last.layer.inputs, dimension, slots, likelihood: *likelihood };
        let buffers = [("h", current), ("theta", last.theta), ("x", x), ("dl", dl), ("loss_ring", loss_ring)];
        plan.call(program, kernel, &buffers)?;
        let pass = Pass { program, batch, slots, kl_ring, loss_ring, stats, z };
        Ok(Forward { pass, noise, inputs, dl })
    }

    /// Forward, then every layer backwards, from the output to the first.
    fn train(&mut self, data: BufferId) -> Result<Pass> {
        let Config { ref architecture, kl, adam, batch, train_images, .. } = *self.config;
        let gather = Gather { batch, images: train_images, dimension: architecture.dimension, shuffle: true };
        let Forward { pass, noise, inputs, dl } =
            self.forward("train", gather, data, Stream::Training, MOST_STEPS)?;
        let plan = &mut *self.plan;
        let first_decoder = architecture.encoder().len();
        let mut dy = dl;
        for (index, LayerBuffers { layer, theta, m, v }) in self.layers.iter().enumerate().rev() {
            let (inputs_len, outputs) = (layer.inputs, layer.outputs);
            let x = inputs[index];
            let dx = if index == first_decoder {
                let latent = architecture.latent;
                let dstats = plan.buffer("dstats", 2 * batch * latent);
                let kernel = BackwardLatent { batch, latent, outputs, kl };
                let buffers = [
                    ("dh", dy),
                    ("theta", *theta),
                    ("stats", pass.stats),
                    ("noise", noise),
                    ("dstats", dstats),
                ];
                plan.call(pass.program, kernel, &buffers)?;
                Some(dstats)
            } else if index > 0 {
                let dx = plan.buffer(format!("d {} input", layer.name), batch * inputs_len);
                let kernel = BackwardInput { batch, inputs: inputs_len, outputs };
                plan.call(pass.program, kernel, &[("dy", dy), ("theta", *theta), ("x", x), ("dx", dx)])?;
                Some(dx)
            } else {
                // Nobody asks for the gradient of the image.
                None
            };
            let kernel = BackwardWeights { batch, inputs: inputs_len, outputs, adam };
            let buffers = [("dy", dy), ("x", x), ("theta", *theta), ("m", *m), ("v", *v)];
            plan.call(pass.program, kernel, &buffers)?;
            if let Some(dx) = dx {
                dy = dx;
            }
        }
        Ok(pass)
    }

    fn evaluate(&mut self, name: &str, data: BufferId, images: usize) -> Result<Evaluation> {
        let dimension = self.config.architecture.dimension;
        let mut pass = |batch| -> Result<Pass> {
            let gather = Gather { batch, images, dimension, shuffle: false };
            Ok(self.forward(name, gather, data, Stream::Evaluation, 1)?.pass)
        };
        let batch = EVALUATION_BATCH.min(images);
        let full = pass(batch)?;
        let rest = (!images.is_multiple_of(batch)).then(|| pass(images % batch)).transpose()?;
        Ok(Evaluation { images, full, rest })
    }

    fn decoder(&mut self) -> Result<Decoder> {
        let Config { architecture, .. } = self.config;
        let (batch, plan) = (DECODER_BATCH, &mut *self.plan);
        let z = plan.buffer("z", batch * architecture.latent);
        let output = plan.buffer("output", batch * architecture.dimension);
        let layers = &self.layers[architecture.encoder().len()..];
        let mut add = |name: &str, prior: bool| -> Result<ProgramId> {
            let program = plan.program(name);
            if prior {
                let normal = Normal { rows: batch, columns: architecture.latent, stream: Stream::Prior };
                plan.call(program, normal, &[("z", z)])?;
            }
            let mut current = z;
            for layer in &layers[..layers.len() - 1] {
                current = hidden(plan, program, batch, layer, current)?;
            }
            let LayerBuffers { layer, theta, .. } = &layers[layers.len() - 1];
            let kernel = Linear { batch, inputs: layer.inputs, outputs: layer.outputs, relu: false };
            plan.call(program, kernel, &[("x", current), ("theta", *theta), ("y", output)])?;
            Ok(program)
        };
        Ok(Decoder { decode: add("decode", false)?, sample: add("sample", true)?, batch, z, output })
    }
}

/// Adds a hidden layer; returns the buffer of its output.
fn hidden(
    plan: &mut Plan,
    program: ProgramId,
    batch: usize,
    LayerBuffers { layer, theta, .. }: &LayerBuffers,
    x: BufferId,
) -> Result<BufferId> {
    let y = plan.buffer(format!("{} output", layer.name), batch * layer.outputs);
    let kernel = Linear { batch, inputs: layer.inputs, outputs: layer.outputs, relu: true };
    plan.call(program, kernel, &[("x", x), ("theta", *theta), ("y", y)])?;
    Ok(y)
}
