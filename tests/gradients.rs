//! The gradient of the whole loss against finite differences of the f64 reference.
//!
//! One step from zero moments leaves m = (1 - beta1) g, so the gradient of every parameter can be read off the
//! first moments, on the reference and on both engines.

mod common;

use common::GpuTests;
use elbo::engine::reference::Reference;
use elbo::engine::{Choice, Device};
use elbo::grid::Grid;
use elbo::kernel::backward_weights::Adam;
use elbo::kernel::gather::Packing;
use elbo::kernel::latent::KlEstimate;
use elbo::kernel::mixture::MixtureWeights;
use elbo::kernel::reconstruction::Likelihood;
use elbo::kernel::sigma::Mode;
use elbo::measure::suite::compare;
use elbo::model::{Architecture, Model, ModelConfig, Origin, Parameters, Regularizer, Term};
use elbo::program::Step;
use libtest_mimic::{Arguments, Failed, Trial};
use std::sync::Arc;

/// Models with no, one and two hidden layers, both likelihoods, and every term that a regularizer can have.
fn configs() -> Vec<(&'static str, ModelConfig)> {
    let config = |hidden: &[usize], likelihood, regularizer| ModelConfig {
        architecture: Architecture::linear(7, hidden, 3),
        origin: Origin::Stored(Packing::Bytes),
        fresh: false,
        likelihood,
        adaptive_sigma: None,
        regularizer,
        adam: Adam::default(),
        batch: 5,
        train_images: 11,
        validation_images: 0,
        test_images: 2,
    };
    let with_layers = |[channels, height, width]: [usize; 3], layers: &str, likelihood, regularizer| {
        let image = Grid { channels, height, width };
        let hidden = layers.parse().expect("layers");
        let architecture = Architecture { image, hidden, latent: 3 };
        ModelConfig { architecture, ..config(&[], likelihood, regularizer) }
    };
    let gaussian = Likelihood::Gaussian { sigma: 0.7 };
    let analytic = Regularizer { kl: KlEstimate::Analytic, capacity: false, noise: true, term: Term::None };
    let sampled = Regularizer { kl: KlEstimate::Sampled, ..analytic };
    let mmd = |draws| Regularizer { term: Term::PriorMmd { h: 2.5, draws }, ..analytic };
    let tc = |weights| Regularizer { term: Term::TotalCorrelation(weights), ..sampled };
    let unit = Likelihood::Gaussian { sigma: 1.0 };
    let adaptive = |mode| ModelConfig { adaptive_sigma: Some(mode), ..config(&[6], unit, analytic) };
    vec![
        ("lecture", config(&[6], gaussian, analytic)),
        ("sampled_kl", config(&[6], gaussian, sampled)),
        ("bernoulli", config(&[6], Likelihood::Bernoulli, analytic)),
        ("two_hidden_layers", config(&[6, 4], gaussian, analytic)),
        ("linear", config(&[], gaussian, sampled)),
        ("deterministic", config(&[6], gaussian, Regularizer { noise: false, ..analytic })),
        ("mmd", config(&[6], gaussian, mmd(None))),
        ("mmd_to_draws", config(&[6], gaussian, mmd(Some(4)))),
        ("capacity", config(&[6], gaussian, Regularizer { capacity: true, ..analytic })),
        ("sampled_capacity", config(&[6], gaussian, Regularizer { capacity: true, ..sampled })),
        ("stratified_tc", config(&[6], gaussian, tc(MixtureWeights::Stratified { images: 11 }))),
        ("weighted_tc", config(&[6], gaussian, tc(MixtureWeights::Weighted { images: 11 }))),
        ("optimal_sigma", adaptive(Mode::Optimal)),
        ("learned_sigma", adaptive(Mode::Learned(Adam::default()))),
        // Of 5 x 4 pixels, brought to 6 x 4.
        ("convolution", with_layers([1, 5, 4], "conv:3x4/2,linear:4", gaussian, analytic)),
        ("convolutions", with_layers([3, 4, 4], "conv:2x3,conv:3x4/2", Likelihood::Bernoulli, analytic)),
        ("tanh", with_layers([1, 2, 3], "linear:5,code,tanh:4,tanh:3", Likelihood::Bernoulli, analytic)),
    ]
}

/// ln sigma, its moments, and what is computed from it, where sigma is learned.
const SIGMA: [f32; 4] = [-0.3, 0.0, 0.0, f32::NAN];

const STEP: Step = Step {
    seed: [1, 2],
    number: 0,
    slot: 3,
    epoch: 1,
    first: 2,
    learning_rate: 0.0,
    correction1: 10.0,
    correction2: 1000.0,
    kl_weight: 0.6,
    // Above the mean KL of these models.
    capacity: 20.0,
    extra_weight: 1.7,
    rows_at: 0,
    columns_at: 0,
};

fn main() {
    let arguments = Arguments::from_args();
    let skip_gpu = common::gpu_tests() == GpuTests::Off;
    let mut trials = Vec::new();
    for (index, (name, _)) in configs().iter().enumerate() {
        trials.push(Trial::test(format!("reference::{name}"), move || finite_differences(index)));
        trials.push(Trial::test(format!("cpu::{name}"), move || engine_gradient(Choice::Cpu, index)));
        trials.push(
            Trial::test(format!("gpu::{name}"), move || engine_gradient(Choice::Gpu, index))
                .with_ignored_flag(skip_gpu),
        );
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// Images with all levels of grey.
fn pixels(config: &ModelConfig) -> Vec<u8> {
    let count = config.train_images * config.architecture.dimension();
    (0..count).map(|i| (i * 89 % 256) as u8).collect()
}

/// A reference loaded with data and parameters.
fn reference(model: &Model, parameters: &[Vec<f64>]) -> Reference {
    let mut reference = Reference::new(Arc::clone(&model.plan));
    let pixels = pixels(&model.config);
    reference.write_words(
        model.train_images.slices[0],
        &Packing::Bytes.pack(&pixels, model.config.architecture.dimension()),
    );
    for (layer, values) in model.layers.iter().zip(parameters) {
        reference.memory[layer.theta.0].clone_from(values);
    }
    if let Some(adaptive) = model.adaptive {
        reference.memory[adaptive.state.0] = SIGMA.map(f64::from).into();
    }
    for (buffer, values) in &model.constants {
        reference.memory[buffer.0] = values.iter().copied().map(f64::from).collect();
    }
    reference
}

fn initial(model: &Model) -> Vec<Vec<f64>> {
    let Parameters(layers) = Parameters::initial(&model.config.architecture, 5);
    // Larger than usual, so that every term of the loss matters.
    layers.iter().map(|layer| layer.iter().map(|&w| 2.0 * f64::from(w)).collect()).collect()
}

/// What one step minimises, from the partial sums of the reference.
fn regularizer(model: &Model, parameters: &[Vec<f64>]) -> f64 {
    let mut reference = reference(model, parameters);
    reference.run(model.train.program, &STEP);
    let row = |ring: &[f64]| {
        let length = ring.len() / model.train.slots;
        ring[STEP.slot as usize * length..][..length].to_vec()
    };
    let losses = row(&reference.memory[model.train.loss_ring.0]);
    let [sse, loss] = [0, 1].map(|term| losses.iter().skip(term).step_by(2).sum::<f64>());
    let numbers = (model.config.batch * model.config.architecture.dimension()) as f64;
    let loss = match model.config.adaptive_sigma {
        None => loss,
        Some(Mode::Learned(_)) => sse / (2.0 * (2.0 * f64::from(SIGMA[0])).exp()),
        // (D / 2) ln sigma^2 for each image; with this sigma the rest is constant.
        Some(Mode::Optimal) => numbers / 2.0 * (sse / numbers).ln(),
    };
    let kl: f64 = row(&reference.memory[model.train.kl_ring.0]).iter().sum();
    let batch = model.config.batch as f64;
    let Regularizer { capacity, term, .. } = model.config.regularizer;
    let kl = if capacity { (kl / batch - f64::from(STEP.capacity)).abs() } else { kl / batch };
    let sums = model.train.term_ring.map(|ring| row(&reference.memory[ring.0])).unwrap_or_default();
    let term = match term {
        Term::None => 0.0,
        Term::PriorMmd { draws: None, .. } => sums.iter().sum(),
        Term::PriorMmd { h, draws: Some(_) } => mmd_to_draws(model, &reference, h),
        Term::TotalCorrelation(_) => sums.iter().skip(1).step_by(2).sum::<f64>() / batch,
    };
    loss / batch + f64::from(STEP.kl_weight) * kl + f64::from(STEP.extra_weight) * term
}

/// Unbiased MMD^2 between z and the step's draws from the prior, without the draws' own pairs, which are constant.
fn mmd_to_draws(model: &Model, reference: &Reference, h: f32) -> f64 {
    let m = model.config.architecture.latent;
    let buffer = model.plan.buffers.iter().position(|buffer| buffer.name == "prior draws").expect("draws");
    let (z, y) = (&reference.memory[model.train.z.0], &reference.memory[buffer]);
    let kernel = |a: &[f64], b: &[f64]| {
        (-a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / f64::from(h)).exp()
    };
    let (n, count) = ((z.len() / m) as f64, (y.len() / m) as f64);
    let within: f64 = z.chunks(m).map(|a| z.chunks(m).map(|b| kernel(a, b)).sum::<f64>() - 1.0).sum();
    let across: f64 = z.chunks(m).map(|a| y.chunks(m).map(|b| kernel(a, b)).sum::<f64>()).sum();
    within / (n * (n - 1.0)) - 2.0 * across / (n * count)
}

/// The gradient that the reference's backward pass gives.
fn reference_gradient(model: &Model, parameters: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut reference = reference(model, parameters);
    reference.run(model.train.program, &STEP);
    let scale = 1.0 - f64::from(model.config.adam.beta1);
    model.layers.iter().map(|l| reference.memory[l.m.0].iter().map(|m| m / scale).collect()).collect()
}

fn finite_differences(index: usize) -> Result<(), Failed> {
    let (_, config) = configs().swap_remove(index);
    let model = Model::new(config)?;
    let parameters = initial(&model);
    let gradient = reference_gradient(&model, &parameters);
    // The error of a central difference is h^2 / 6 times the third derivative plus 1e-16 / h times the loss.
    const H: f64 = 1e-5;
    let mut checked = 0;
    for (layer, values) in parameters.iter().enumerate() {
        for at in 0..values.len() {
            let shifted = |by: f64| {
                let mut parameters = parameters.clone();
                parameters[layer][at] += by;
                regularizer(&model, &parameters)
            };
            let want = (shifted(H) - shifted(-H)) / (2.0 * H);
            let got = gradient[layer][at];
            let name = &model.layers[layer].layer.name;
            assert!((got - want).abs() < 1e-7 * (1.0 + want.abs()), "{name}[{at}]: {got}, expected {want}");
            checked += usize::from(want != 0.0);
        }
    }
    assert!(checked > 50, "most parameters have an influence on the loss");
    Ok(())
}

fn engine_gradient(choice: Choice, index: usize) -> Result<(), Failed> {
    let (_, config) = configs().swap_remove(index);
    let model = Model::new(config)?;
    let parameters = initial(&model);
    let gradient = reference_gradient(&model, &parameters);
    let device: Device = common::device(choice);
    let mut engine = device.load(Arc::clone(&model.plan))?;
    engine.write(
        model.train_images.slices[0],
        &Packing::Bytes.pack(&pixels(&model.config), model.config.architecture.dimension()),
    )?;
    if let Some(adaptive) = model.adaptive {
        engine.write(adaptive.state, bytemuck::cast_slice(&SIGMA))?;
    }
    for (buffer, values) in &model.constants {
        engine.write(*buffer, bytemuck::cast_slice(values))?;
    }
    for (layer, values) in model.layers.iter().zip(&parameters) {
        let values: Vec<f32> = values.iter().map(|&w| w as f32).collect();
        engine.write(layer.theta, bytemuck::cast_slice(&values))?;
        let zeros = vec![0f32; values.len()];
        engine.write(layer.m, bytemuck::cast_slice(&zeros))?;
        engine.write(layer.v, bytemuck::cast_slice(&zeros))?;
    }
    let moments: Vec<_> = model.layers.iter().map(|layer| layer.m).collect();
    let results = engine.run(model.train.program, &[STEP], &moments)?;
    let scale = 1.0 - model.config.adam.beta1;
    for ((got, want), layer) in results.iter().zip(&gradient).zip(&model.layers) {
        let got: Vec<f32> = got.iter().map(|m| m / scale).collect();
        // A dozen roundings in a row, sums of at most 11 terms.
        compare(&format!("gradient of {}", layer.layer.name), &got, want, 3e-6)?;
    }
    Ok(())
}
