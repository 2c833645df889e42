//! The variational auto-encoder of the lecture as a [`Plan`]: which kernels run on which buffers.
//!
//! ```text
//! x -> Linear(D, H) -> ReLU -> Linear(H, 2M) -> mu, log_std
//!      z = mu + exp(log_std) eps
//! z -> Linear(M, H) -> ReLU -> Linear(H, D)  -> means or logits of x
//! ```
//!
//! or with the layers of another [`Architecture`] in place of the hidden ones.
//!
//! A training step goes down this list and back up, and each weight gradient is followed by Adam, of linear layers in the
//! same kernel. A layer's input gradient is taken before its weights change.
//!
//! Training minimises `reconstruction + w KL + e term`: [`Regularizer`] says which kernels that takes, and w and e
//! are numbers of the step.

mod architecture;
mod parameters;

pub use architecture::{Architecture, Hidden, Layer, LayerSums, Layers, WIDEST};
pub use parameters::Parameters;

use crate::data::sprites::{GEOMETRY_LEN, PIXELS};
use crate::engine::MOST_STEPS;
use crate::error::Result;
use crate::kernel::Activation;
use crate::kernel::adam::AdamStep;
use crate::kernel::backward_input::BackwardInput;
use crate::kernel::backward_latent::{BackwardLatent, TermGradient};
use crate::kernel::backward_weights::{Adam, BackwardWeights};
use crate::kernel::convolution::{Convolution, Epilogue};
use crate::kernel::convolution_gradient::ConvolutionGradient;
use crate::kernel::gather::{self, Gather, Packing};
use crate::kernel::image_loss::ImageLoss;
use crate::kernel::latent::{KlEstimate, Latent};
use crate::kernel::linear::Linear;
use crate::kernel::mixture::{self, Mixture};
use crate::kernel::mixture_gradient::MixtureGradient;
use crate::kernel::normal::Normal;
use crate::kernel::pair_gradient::PairGradient;
use crate::kernel::pairs::Family;
use crate::kernel::prior_mmd::PriorMmd;
use crate::kernel::reconstruction::{Likelihood, Reconstruction};
use crate::kernel::render::{Render, SpriteOrder};
use crate::kernel::scale::Scale;
use crate::kernel::sigma::{self, Mode, Sigma};
use crate::kernel::transposed_reconstruction::TransposedReconstruction;
use crate::kernel::window::Direction;
use crate::program::{BufferId, Plan, ProgramId};
use crate::random::Stream;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

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

/// The terms that a training step minimises besides the reconstruction. Their weights come with each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regularizer {
    /// How the KL term is estimated.
    pub kl: KlEstimate,
    /// Whether the KL is held at a capacity instead of minimised.
    pub capacity: bool,
    /// Whether the encoder's codes are samples; otherwise z is the mean.
    pub noise: bool,
    /// A further term.
    pub term: Term,
}

/// A term of the objective besides reconstruction and KL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Term {
    /// None.
    None,
    /// MMD^2 between the batch's z and the prior, with the kernel exp(-|a - b|^2 / h).
    PriorMmd {
        /// h = 2 sigma^2.
        h: f32,
        /// Draws from the prior in each step; without them the prior's part is in closed form.
        draws: Option<usize>,
    },
    /// The total correlation KL(q(z) || prod_j q(z_j)), estimated from the batch.
    TotalCorrelation(mixture::MixtureWeights),
}

impl Term {
    fn gradient(self) -> TermGradient {
        match self {
            Self::None => TermGradient::None,
            Self::PriorMmd { .. } => TermGradient::Z,
            Self::TotalCorrelation(_) => TermGradient::All,
        }
    }
}

/// Where images come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Pixels on the device.
    Stored(Packing),
    /// Sprites, drawn anew for each batch.
    Sprites,
}

/// Everything that decides which kernels run.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// The layers.
    pub architecture: Architecture,
    /// Where images come from.
    pub origin: Origin,
    /// Whether each training step draws new sprites.
    pub fresh: bool,
    /// p(x | z).
    pub likelihood: Likelihood,
    /// How the likelihood's sigma changes with training, if it does: `likelihood` then has sigma = 1.
    pub adaptive_sigma: Option<Mode>,
    /// The terms besides the reconstruction.
    pub regularizer: Regularizer,
    /// The optimiser.
    pub adam: Adam,
    /// B, images of a training step.
    pub batch: usize,
    /// Images of the training set.
    pub train_images: usize,
    /// Images held out of training to choose an epoch by; 0 for none.
    pub validation_images: usize,
    /// Images of the test set.
    pub test_images: usize,
}

/// Where images are: packed pixels, or the numbers of sprites.
#[derive(Clone, Debug, Serialize)]
pub struct ImageBuffers {
    /// How many.
    pub images: usize,
    /// Images of a full slice.
    pub rows: usize,
    /// The slices in order; only the last may have fewer rows.
    pub slices: Vec<BufferId>,
}

impl ImageBuffers {
    /// Buffers for so many images of `words` words each.
    fn new(plan: &mut Plan, name: &str, images: usize, words: usize) -> Self {
        let rows = gather::rows_of_slice(images, words);
        let slices = gather::slices(images, rows).into_iter().map(|rows| plan.buffer(name, rows * words));
        Self { images, rows, slices: slices.collect() }
    }
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

impl LayerBuffers {
    fn weights(&self) -> LayerWeights<'_> {
        LayerWeights { layer: &self.layer, theta: self.theta }
    }
}

/// What a layer needs to be applied.
#[derive(Clone, Copy)]
struct LayerWeights<'a> {
    layer: &'a Layer,
    theta: BufferId,
}

/// A program that goes over a data set and leaves partial sums of the loss.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pass {
    /// The program to run.
    pub program: ProgramId,
    /// Images a step.
    pub batch: usize,
    /// Rows of the two rings: steps that can be submitted together.
    pub slots: usize,
    /// `(slots, parts)`: sums of the KL in nats.
    pub kl_ring: BufferId,
    /// `(slots, parts, 2)`: sums of the squared error, and of the loss in nats without its constant.
    pub loss_ring: BufferId,
    /// Sums of the objective's further term, if it has one: of MMD^2 without the prior's constant, `(slots,
    /// parts)`; or of mutual information and total correlation in nats, `(slots, parts, 2)`.
    pub term_ring: Option<BufferId>,
    /// `(B, 2M)`: mean and log-std of the last step's images.
    pub stats: BufferId,
    /// `(B, M)`: their samples.
    pub z: BufferId,
}

/// Evaluation of a whole data set in stored order: full batches, and a smaller one for what is left.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Evaluation {
    /// Images in all.
    pub images: usize,
    /// The full batches.
    pub full: Pass,
    /// The rest, if any.
    pub rest: Option<Pass>,
}

/// One sample of z for each image, and -ln p(x|z) of each image, on the test set.
#[derive(Clone, Copy, Debug)]
pub struct Importance {
    /// The program to run.
    pub program: ProgramId,
    /// Images a step.
    pub batch: usize,
    /// `(B, 2M)`: mean and log-std.
    pub stats: BufferId,
    /// `(B, M)`: eps.
    pub noise: BufferId,
    /// `(B, M)`: the samples.
    pub z: BufferId,
    /// `(B)`: -ln p(x|z) without the likelihood's constant.
    pub loss: BufferId,
}

/// The encoder alone.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Encoder {
    /// Encodes what is in `x`.
    pub program: ProgramId,
    /// Images a run.
    pub batch: usize,
    /// `(batch, D)`: pixels, from 0 to 1.
    pub x: BufferId,
    /// `(batch, 2M)`: mean and log-std.
    pub stats: BufferId,
    /// `(batch, M)`: samples.
    pub z: BufferId,
}

/// The decoder alone.
#[derive(Clone, Copy, Debug, Serialize)]
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

/// A sigma that changes with training.
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveSigma {
    /// ln sigma, Adam's moments of it, 1 / sigma^2.
    pub state: BufferId,
    /// `(slots)`: ln sigma in each step.
    pub ring: BufferId,
}

/// A VAE as programs, and where its numbers are.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its settings.
    pub config: ModelConfig,
    /// All buffers and programs.
    pub plan: Arc<Plan>,
    /// The parameters, encoder first.
    pub layers: Vec<LayerBuffers>,
    /// The training images.
    pub train_images: ImageBuffers,
    /// The test images.
    pub test_images: ImageBuffers,
    /// The tables for drawing sprites, where images are sprites.
    pub geometry: Option<BufferId>,
    /// One step of training on a batch.
    pub train: Pass,
    /// A sigma that changes with training, if it does.
    pub adaptive: Option<AdaptiveSigma>,
    /// Evaluation on the training set.
    pub evaluate_train: Evaluation,
    /// The images held out of training, and evaluation on them, where there are any.
    pub validation: Option<(ImageBuffers, Evaluation)>,
    /// Evaluation on the test set.
    pub evaluate_test: Evaluation,
    /// Samples on the test set, for ln p(x).
    pub importance: Importance,
    /// The encoder alone.
    pub encoder: Encoder,
    /// The decoder alone.
    pub decoder: Decoder,
    /// Buffers that no kernel writes, and what they hold.
    pub constants: Vec<(BufferId, Vec<f32>)>,
}

/// Images of one step of evaluation.
const EVALUATION_BATCH: usize = 1000;

/// Most numbers of a layer's input or output in it.
const EVALUATION_NUMBERS: usize = 1 << 23;

/// Most pixels of its images where there are convolutions.
const EVALUATION_PIXELS: usize = 1 << 20;

/// Images that encoder and decoder alone take at a time.
const CODER_BATCH: usize = 100;

impl Model {
    /// Plans training, evaluation and generation.
    pub fn new(config: ModelConfig) -> Result<Self> {
        let mut plan = Plan::default();
        let layers = config
            .architecture
            .layers()
            .into_iter()
            .map(|layer| {
                let len = layer.parameters();
                LayerBuffers {
                    theta: plan.buffer(&layer.name, len),
                    m: plan.buffer(format!("m.{}", layer.name), len),
                    v: plan.buffer(format!("v.{}", layer.name), len),
                    layer,
                }
            })
            .collect::<Vec<_>>();
        let words = match config.origin {
            Origin::Stored(packing) => packing.words_per_image(config.architecture.dimension()),
            Origin::Sprites => 1,
        };
        let train_images = ImageBuffers::new(&mut plan, "train images", config.train_images, words);
        let test_images = ImageBuffers::new(&mut plan, "test images", config.test_images, words);
        let geometry = (config.origin == Origin::Sprites).then(|| plan.buffer("geometry", GEOMETRY_LEN));
        let mut build =
            Build { config: &config, layers: &layers, geometry, plan: &mut plan, constants: Vec::new() };
        let (train, adaptive) = build.train(&train_images)?;
        let evaluate_train = build.evaluate("evaluate train", &train_images)?;
        let evaluate_test = build.evaluate("evaluate test", &test_images)?;
        let validation = match config.validation_images {
            0 => None,
            images => {
                let held = ImageBuffers::new(build.plan, "validation images", images, words);
                let evaluation = build.evaluate("evaluate validation", &held)?;
                Some((held, evaluation))
            }
        };
        let importance = build.importance(&test_images)?;
        let encoder = build.encoder()?;
        let decoder = build.decoder()?;
        let constants = build.constants;
        let plan = Arc::new(plan);
        Ok(Self {
            plan,
            layers,
            train_images,
            test_images,
            geometry,
            train,
            adaptive,
            evaluate_train,
            validation,
            evaluate_test,
            importance,
            encoder,
            decoder,
            constants,
            config,
        })
    }
}

/// Adds programs to a plan.
struct Build<'a> {
    config: &'a ModelConfig,
    layers: &'a [LayerBuffers],
    geometry: Option<BufferId>,
    plan: &'a mut Plan,
    constants: Vec<(BufferId, Vec<f32>)>,
}

/// Where the encoder left its results.
struct Encoded {
    program: ProgramId,
    batch: usize,
    x: BufferId,
    /// The input of each layer.
    inputs: Vec<BufferId>,
    stats: BufferId,
    noise: BufferId,
    z: BufferId,
    kl_ring: BufferId,
}

/// Which images a batch holds.
struct Rows<'a> {
    data: &'a ImageBuffers,
    batch: usize,
    shuffle: bool,
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
    /// The batch `x` from wherever images come from.
    fn batch(&mut self, program: ProgramId, rows: Rows<'_>) -> Result<BufferId> {
        let Rows { data: &ImageBuffers { images, rows, ref slices }, batch, shuffle } = rows;
        let dimension = self.config.architecture.dimension();
        let x = self.plan.buffer("x", batch * dimension);
        match self.config.origin {
            Origin::Sprites => {
                let geometry = self.geometry.expect("sprites have a geometry");
                let order = match shuffle {
                    true if self.config.fresh => SpriteOrder::Fresh,
                    true => SpriteOrder::Shuffled,
                    false => SpriteOrder::Stored,
                };
                let render = Render { batch, images, channels: dimension / PIXELS, order };
                self.plan.call(
                    program,
                    render,
                    &[("factors", slices[0]), ("geometry", geometry), ("x", x)],
                )?;
            }
            Origin::Stored(packing) => {
                let gather = Gather { batch, images, dimension, packing, rows, shuffle };
                let mut buffers = gather::bound(slices).to_vec();
                buffers.push(("x", x));
                self.plan.call(program, gather, &buffers)?;
            }
        }
        Ok(x)
    }

    /// Images, encoder, sample.
    fn encode(&mut self, name: &str, rows: Rows<'_>, stream: Stream, slots: usize) -> Result<Encoded> {
        let (program, batch) = (self.plan.program(name), rows.batch);
        let x = self.batch(program, rows)?;
        self.encode_from(program, batch, x, stream, slots)
    }

    /// Encoder and sample of the images in `x`.
    fn encode_from(
        &mut self,
        program: ProgramId,
        batch: usize,
        x: BufferId,
        stream: Stream,
        slots: usize,
    ) -> Result<Encoded> {
        let ModelConfig { architecture, regularizer, .. } = self.config;
        let (latent, plan) = (architecture.latent, &mut *self.plan);
        let encoder = &self.layers[..architecture.encoder().len()];
        let (last, hidden) = encoder.split_last().expect("an encoder has layers");
        let inputs = hidden_layers(plan, program, batch, &weights(hidden), x)?;

        let stats = plan.buffer("stats", 2 * batch * latent);
        let noise = plan.buffer("noise", batch * latent);
        let z = plan.buffer("z", batch * latent);
        let kl_ring = plan.buffer("kl_ring", slots * Latent::parts(batch, latent));
        let stream = regularizer.noise.then_some(stream);
        let kernel = Latent { batch, inputs: last.layer.inputs(), latent, slots, stream, kl: regularizer.kl };
        let buffers = [
            ("h", inputs[inputs.len() - 1]),
            ("theta", last.theta),
            ("stats", stats),
            ("noise", noise),
            ("z", z),
            ("kl_ring", kl_ring),
        ];
        plan.call(program, kernel, &buffers)?;
        Ok(Encoded { program, batch, x, inputs, stats, noise, z, kl_ring })
    }

    /// Images, encoder, sample, decoder, loss.
    fn forward(&mut self, name: &str, rows: Rows, stream: Stream, slots: usize) -> Result<Forward> {
        let Encoded { program, batch, x, mut inputs, stats, noise, z, kl_ring } =
            self.encode(name, rows, stream, slots)?;
        let ModelConfig { architecture, likelihood, .. } = self.config;
        let (dimension, plan) = (architecture.dimension(), &mut *self.plan);
        let (last, hidden) =
            self.layers[architecture.encoder().len()..].split_last().expect("a decoder has layers");
        inputs.extend(hidden_layers(plan, program, batch, &weights(hidden), z)?);
        let dl = plan.buffer("dl", batch * dimension);
        let loss_ring = plan.buffer("loss_ring", slots * loss_parts(batch, &last.layer));
        let h = inputs[inputs.len() - 1];
        let buffers = [("h", h), ("theta", last.theta), ("x", x), ("dl", dl), ("loss_ring", loss_ring)];
        let likelihood = *likelihood;
        match last.layer.sums {
            LayerSums::Linear { inputs, .. } => {
                let kernel = Reconstruction { batch, inputs, dimension, slots, likelihood };
                plan.call(program, kernel, &buffers)?;
            }
            LayerSums::Convolution(window, _) => {
                let kernel = TransposedReconstruction { batch, window, slots, likelihood };
                plan.call(program, kernel, &buffers)?;
            }
        }
        let pass = Pass { program, batch, slots, kl_ring, loss_ring, term_ring: None, stats, z };
        Ok(Forward { pass, noise, inputs, dl })
    }

    /// The objective's further term: its gradient for [`BackwardLatent`], and the ring of its value.
    fn term(&mut self, pass: &Pass) -> Result<(BufferId, Option<BufferId>)> {
        let ModelConfig { ref architecture, regularizer, .. } = *self.config;
        let (latent, plan) = (architecture.latent, &mut *self.plan);
        let Pass { program, batch, slots, stats, z, .. } = *pass;
        let numbers = batch * latent * regularizer.term.gradient().parts();
        Ok(match regularizer.term {
            Term::None => (plan.unused(), None),
            Term::PriorMmd { h, draws } => {
                let gradient = plan.buffer("dmmd", numbers);
                let ring = plan.buffer("mmd_ring", slots * PriorMmd::parts(batch));
                let kernel = PriorMmd { batch, latent, h, slots };
                plan.call(program, kernel, &[("z", z), ("gradient", gradient), ("mmd_ring", ring)])?;
                // With draws, the closed form still gives the value that is reported: it has no noise of theirs.
                let gradient = match draws {
                    Some(draws) => self.mmd_to_draws(pass, draws, h)?,
                    None => gradient,
                };
                (gradient, Some(ring))
            }
            Term::TotalCorrelation(weights) => {
                let density = plan.buffer("log_density", Mixture::density_len(batch, latent));
                let kernel = Mixture { queries: batch, components: batch, slice: batch, latent, weights };
                plan.call(program, kernel, &[("z", z), ("stats", stats), ("log_density", density)])?;
                let gradient = plan.buffer("dtc", numbers);
                let ring = plan.buffer("mixture_ring", slots * MixtureGradient::parts(batch));
                let kernel = MixtureGradient { batch, latent, weights, slots };
                let buffers = [
                    ("z", z),
                    ("stats", stats),
                    ("log_density", density),
                    ("gradient", gradient),
                    ("mixture_ring", ring),
                ];
                plan.call(program, kernel, &buffers)?;
                (gradient, Some(ring))
            }
        })
    }

    /// The gradient of the unbiased MMD^2 between z and as many fresh draws from the prior.
    fn mmd_to_draws(&mut self, pass: &Pass, draws: usize, h: f32) -> Result<BufferId> {
        let (latent, plan) = (self.config.architecture.latent, &mut *self.plan);
        let Pass { program, batch, z, .. } = *pass;
        let prior = plan.buffer("prior draws", draws * latent);
        let normal = Normal { rows: draws, columns: latent, stream: Stream::TrainingPrior };
        plan.call(program, normal, &[("z", prior)])?;
        let (scales, weights) = (plan.buffer("mmd scale", 1), plan.buffer("mmd weights", 2));
        let (n, m) = (batch as f64, draws as f64);
        let within = 2.0 / (n * (n - 1.0).max(1.0));
        self.constants.push((scales, vec![-std::f32::consts::LOG2_E / h]));
        self.constants.push((weights, vec![within as f32, (-2.0 / (n * m)) as f32]));
        let gradient = plan.buffer("dmmd to draws", batch * latent);
        let kernel = PairGradient { n: batch, m: draws, d: latent, family: Family::Gaussian, bandwidths: 1 };
        let buffers =
            [("x", z), ("y", prior), ("scales", scales), ("weights", weights), ("gradient", gradient)];
        plan.call(program, kernel, &buffers)?;
        Ok(gradient)
    }

    /// Finds the step's sigma from its squared error, and scales the gradient at the output by 1 / sigma^2.
    fn adapt_sigma(&mut self, pass: &Pass, dl: BufferId, mode: Mode) -> Result<AdaptiveSigma> {
        let Pass { program, batch, slots, loss_ring, .. } = *pass;
        let (dimension, plan) = (self.config.architecture.dimension(), &mut *self.plan);
        let (state, ring) = (plan.buffer("sigma", sigma::STATE), plan.buffer("sigma_ring", slots));
        let parts = loss_parts(batch, &self.layers[self.layers.len() - 1].layer);
        let kernel = Sigma { batch, dimension, slots, parts, mode };
        plan.call(
            program,
            kernel,
            &[("loss_ring", loss_ring), ("sigma_state", state), ("sigma_ring", ring)],
        )?;
        let kernel = Scale { batch, dimension };
        plan.call(program, kernel, &[("sigma_state", state), ("dl", dl)])?;
        Ok(AdaptiveSigma { state, ring })
    }

    /// Forward, then every layer backwards, from the output to the first.
    fn train(&mut self, data: &ImageBuffers) -> Result<(Pass, Option<AdaptiveSigma>)> {
        let ModelConfig { ref architecture, regularizer, adam, batch, .. } = *self.config;
        let rows = Rows { data, batch, shuffle: true };
        let Forward { pass, noise, inputs, dl } =
            self.forward("train", rows, Stream::Training, MOST_STEPS)?;
        let adaptive =
            self.config.adaptive_sigma.map(|mode| self.adapt_sigma(&pass, dl, mode)).transpose()?;
        let (extra, term_ring) = self.term(&pass)?;
        let pass = Pass { term_ring, ..pass };
        let plan = &mut *self.plan;
        let first_decoder = architecture.encoder().len();
        let mut dy = dl;
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let x = inputs[index];
            let dx = if index == first_decoder {
                let latent = architecture.latent;
                let dstats = plan.buffer("dstats", 2 * batch * latent);
                let kernel = BackwardLatent {
                    batch,
                    latent,
                    outputs: layer.layer.outputs(),
                    kl: regularizer.kl,
                    capacity: regularizer.capacity.then_some(pass.slots),
                    extra: regularizer.term.gradient(),
                };
                let kl_ring = if regularizer.capacity { pass.kl_ring } else { plan.unused() };
                let buffers = [
                    ("dh", dy),
                    ("theta", layer.theta),
                    ("stats", pass.stats),
                    ("noise", noise),
                    ("kl_ring", kl_ring),
                    ("extra", extra),
                    ("dstats", dstats),
                ];
                plan.call(pass.program, kernel, &buffers)?;
                Some(dstats)
            } else if index > 0 {
                let activation = self.layers[index - 1].layer.activation;
                Some(backward_input(plan, &pass, layer, activation, [dy, x])?)
            } else {
                // Nobody asks for the gradient of the image.
                None
            };
            backward_weights(plan, &pass, layer, adam, [dy, x])?;
            if let Some(dx) = dx {
                dy = dx;
            }
        }
        Ok((pass, adaptive))
    }

    /// Images of a step of evaluation.
    fn evaluation_batch(&self, images: usize) -> usize {
        self.fitting(EVALUATION_BATCH).min(images)
    }

    /// As many images, or fewer where they are large.
    fn fitting(&self, images: usize) -> usize {
        let widest = self.layers.iter().map(|layer| layer.layer.inputs().max(layer.layer.outputs()));
        let most = EVALUATION_NUMBERS / widest.max().unwrap_or(1);
        // A grid has a workgroup for some pixels of each image.
        let convolutional =
            self.layers.iter().any(|layer| matches!(layer.layer.sums, LayerSums::Convolution(..)));
        let pixels = if convolutional { self.config.architecture.image.pixels() } else { 1 };
        images.min(most).min(EVALUATION_PIXELS / pixels).max(1)
    }

    fn evaluate(&mut self, name: &str, data: &ImageBuffers) -> Result<Evaluation> {
        let images = data.images;
        let batch = self.evaluation_batch(images);
        let mut pass = |batch| -> Result<Pass> {
            let rows = Rows { data, batch, shuffle: false };
            Ok(self.forward(name, rows, Stream::Evaluation, 1)?.pass)
        };
        let full = pass(batch)?;
        let rest = (!images.is_multiple_of(batch)).then(|| pass(images % batch)).transpose()?;
        Ok(Evaluation { images, full, rest })
    }

    fn importance(&mut self, data: &ImageBuffers) -> Result<Importance> {
        let ModelConfig { architecture, likelihood, .. } = self.config;
        let dimension = architecture.dimension();
        let batch = self.evaluation_batch(data.images);
        let rows = Rows { data, batch, shuffle: false };
        let Encoded { program, batch, x, stats, noise, z, .. } =
            self.encode("importance", rows, Stream::Importance, 1)?;
        let layers = weights(&self.layers[architecture.encoder().len()..]);
        let plan = &mut *self.plan;
        let l = plan.buffer("output", batch * dimension);
        decode(plan, program, batch, &layers, z, l)?;
        let loss = plan.buffer("loss", batch);
        let kernel = ImageLoss { batch, dimension, likelihood: *likelihood };
        plan.call(program, kernel, &[("l", l), ("x", x), ("loss", loss)])?;
        Ok(Importance { program, batch, stats, noise, z, loss })
    }

    fn encoder(&mut self) -> Result<Encoder> {
        let batch = self.fitting(CODER_BATCH);
        let program = self.plan.program("encode");
        let x = self.plan.buffer("x", batch * self.config.architecture.dimension());
        let Encoded { stats, z, .. } = self.encode_from(program, batch, x, Stream::Evaluation, 1)?;
        Ok(Encoder { program, batch, x, stats, z })
    }

    fn decoder(&mut self) -> Result<Decoder> {
        let ModelConfig { architecture, .. } = self.config;
        let batch = self.fitting(CODER_BATCH);
        let layers = weights(&self.layers[architecture.encoder().len()..]);
        decoder(self.plan, architecture, batch, &layers)
    }
}

/// A decoder without the rest of its model.
#[derive(Debug)]
pub struct DecoderPlan {
    /// All buffers and programs.
    pub plan: Plan,
    /// W, then the bias, of each layer of the decoder.
    pub theta: Vec<BufferId>,
    /// Programs of several sizes of a batch, which share the weights.
    pub decoders: Vec<Decoder>,
}

impl DecoderPlan {
    /// Plans the decoder for batches of each of these sizes.
    ///
    /// # Errors
    /// A layer does not fit the next: a mistake in this crate.
    pub fn new(architecture: &Architecture, batches: &[usize]) -> Result<Self> {
        let mut plan = Plan::default();
        let layers = architecture.layers().split_off(architecture.encoder().len());
        let theta: Vec<BufferId> =
            layers.iter().map(|layer| plan.buffer(&layer.name, layer.parameters())).collect();
        let weights: Vec<LayerWeights<'_>> =
            layers.iter().zip(&theta).map(|(layer, &theta)| LayerWeights { layer, theta }).collect();
        let decoders = batches.iter().map(|&batch| decoder(&mut plan, architecture, batch, &weights));
        let decoders = decoders.collect::<Result<_>>()?;
        Ok(Self { plan, theta, decoders })
    }
}

fn weights(layers: &[LayerBuffers]) -> Vec<LayerWeights<'_>> {
    layers.iter().map(LayerBuffers::weights).collect()
}

/// Adds the programs of a decoder.
fn decoder(
    plan: &mut Plan,
    architecture: &Architecture,
    batch: usize,
    layers: &[LayerWeights<'_>],
) -> Result<Decoder> {
    let z = plan.buffer("z", batch * architecture.latent);
    let output = plan.buffer("output", batch * architecture.dimension());
    let mut add = |name: &str, prior: bool| -> Result<ProgramId> {
        let program = plan.program(name);
        if prior {
            let normal = Normal { rows: batch, columns: architecture.latent, stream: Stream::Prior };
            plan.call(program, normal, &[("z", z)])?;
        }
        decode(plan, program, batch, layers, z, output)?;
        Ok(program)
    };
    Ok(Decoder { decode: add("decode", false)?, sample: add("sample", true)?, batch, z, output })
}

/// Numbers of a row of `loss_ring` for the output layer.
fn loss_parts(batch: usize, layer: &Layer) -> usize {
    match layer.sums {
        LayerSums::Linear { outputs, .. } => Reconstruction::parts(batch, outputs),
        LayerSums::Convolution(window, _) => TransposedReconstruction::parts(batch, &window),
    }
}

/// Adds the layers of the decoder, from z to means or logits.
fn decode(
    plan: &mut Plan,
    program: ProgramId,
    batch: usize,
    layers: &[LayerWeights<'_>],
    z: BufferId,
    output: BufferId,
) -> Result<()> {
    let (&last, hidden) = layers.split_last().expect("a decoder has layers");
    let inputs = hidden_layers(plan, program, batch, hidden, z)?;
    forward(plan, program, batch, last, [inputs[inputs.len() - 1], output])
}

/// Adds hidden layers; returns the buffers of the first one's input and of all outputs.
fn hidden_layers(
    plan: &mut Plan,
    program: ProgramId,
    batch: usize,
    layers: &[LayerWeights<'_>],
    input: BufferId,
) -> Result<Vec<BufferId>> {
    let mut inputs = vec![input];
    for &layer in layers {
        let y = plan.buffer(format!("{} output", layer.layer.name), batch * layer.layer.outputs());
        forward(plan, program, batch, layer, [inputs[inputs.len() - 1], y])?;
        inputs.push(y);
    }
    Ok(inputs)
}

/// Adds a layer from x to y.
fn forward(
    plan: &mut Plan,
    program: ProgramId,
    batch: usize,
    LayerWeights { layer, theta }: LayerWeights<'_>,
    [x, y]: [BufferId; 2],
) -> Result<()> {
    let Layer { sums, activation, .. } = *layer;
    match sums {
        LayerSums::Linear { inputs, outputs } => {
            let kernel = Linear { batch, inputs, outputs, activation };
            plan.call(program, kernel, &[("x", x), ("theta", theta), ("y", y)])
        }
        LayerSums::Convolution(window, direction) => {
            let kernel = Convolution { batch, window, direction, epilogue: Epilogue::Forward(activation) };
            let a = plan.unused();
            plan.call(program, kernel, &[("x", x), ("theta", theta), ("a", a), ("y", y)])
        }
    }
}

/// Adds the gradient of a layer's input x, which `activation` made.
fn backward_input(
    plan: &mut Plan,
    &Pass { program, batch, .. }: &Pass,
    LayerBuffers { layer, theta, .. }: &LayerBuffers,
    activation: Activation,
    [dy, x]: [BufferId; 2],
) -> Result<BufferId> {
    let dx = plan.buffer(format!("d {} input", layer.name), batch * layer.inputs());
    match layer.sums {
        LayerSums::Linear { inputs, outputs } => {
            let kernel = BackwardInput { batch, inputs, outputs, activation };
            plan.call(program, kernel, &[("dy", dy), ("theta", *theta), ("x", x), ("dx", dx)])?;
        }
        LayerSums::Convolution(window, direction) => {
            let epilogue = Epilogue::Backward(activation);
            let kernel = Convolution { batch, window, direction: direction.reverse(), epilogue };
            plan.call(program, kernel, &[("x", dy), ("theta", *theta), ("a", x), ("y", dx)])?;
        }
    }
    Ok(dx)
}

/// Adds the gradient of a layer's weights and bias, and Adam.
fn backward_weights(
    plan: &mut Plan,
    &Pass { program, batch, .. }: &Pass,
    LayerBuffers { layer, theta, m, v }: &LayerBuffers,
    adam: Adam,
    [dy, x]: [BufferId; 2],
) -> Result<()> {
    match layer.sums {
        LayerSums::Linear { inputs, outputs } => {
            let kernel = BackwardWeights { batch, inputs, outputs, adam };
            let buffers = [("dy", dy), ("x", x), ("theta", *theta), ("m", *m), ("v", *v)];
            plan.call(program, kernel, &buffers)
        }
        LayerSums::Convolution(window, direction) => {
            let (numbers, parts) = (layer.parameters(), ConvolutionGradient::parts(batch, &window));
            let gradient = plan.buffer(format!("d {}", layer.name), parts * numbers);
            let [fine, coarse] = match direction {
                Direction::ToCoarse => [x, dy],
                Direction::ToFine => [dy, x],
            };
            let kernel = ConvolutionGradient { batch, window, direction };
            plan.call(program, kernel, &[("fine", fine), ("coarse", coarse), ("parts", gradient)])?;
            let buffers = [("parts", gradient), ("theta", *theta), ("m", *m), ("v", *v)];
            plan.call(program, AdamStep { numbers, parts, adam }, &buffers)
        }
    }
}
