//! Whole training runs: both engines give the same curve, the same seed the same bits, and the loss falls.

mod common;

use clap::ValueEnum;
use common::GpuTests;
use elbo::checkpoint::State;
use elbo::data::{Dataset, Images, Pixels, digits, sprites};
use elbo::engine::gpu::Gpu;
use elbo::engine::{Choice, Device};
use elbo::train::Observer;
use elbo::train::annealed::{self, AnnealedSettings, Done, HostModel, Start};
use elbo::train::config::{Config, KlName, PixelSigma};
use elbo::train::decomposition::{Decomposer, Decomposition};
use elbo::train::metrics::{LossSums, Metrics, Terms};
use elbo::train::objective::ObjectiveName;
use elbo::train::run::Run;
use elbo::train::session::{Session, Split, initial_state, model_config};
use libtest_mimic::{Arguments, Failed, Trial};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

fn main() {
    let arguments = Arguments::from_args();
    let skip_gpu = common::gpu_tests() == GpuTests::Off;
    let on_both = |name: &str, test: fn(Choice) -> Result<(), Failed>| {
        [
            Trial::test(format!("cpu::{name}"), move || test(Choice::Cpu)),
            Trial::test(format!("gpu::{name}"), move || test(Choice::Gpu)).with_ignored_flag(skip_gpu),
        ]
    };
    let mut trials = vec![
        Trial::test("engines_give_the_same_curve", same_curve).with_ignored_flag(skip_gpu),
        Trial::test("cpu::both_kl_estimates_have_one_expectation", one_expectation),
        Trial::test("cpu::the_loss_falls", the_loss_falls),
        Trial::test("cpu::convolutions_start_with_codes_that_differ", codes_differ),
        Trial::test("cpu::importance_sampling_finds_the_linear_models_likelihood", linear_likelihood),
        Trial::test("cpu::annealing_finds_the_linear_models_likelihood", linear_annealing),
        Trial::test("cpu::the_best_epoch_is_kept", best_epoch_is_kept),
        Trial::test("cpu::what_is_left_of_a_checkpoint_is_removed", half_a_checkpoint),
        Trial::test("cpu::logged_lines_add_up", lines_add_up),
        Trial::test("cpu::every_objective_trains", every_objective_trains),
        Trial::test("cpu::the_parts_of_the_kl_keep_their_bounds", parts_of_the_kl),
    ];
    trials.push(Trial::test("gpu::a_lost_device_loses_nothing", lost_device).with_ignored_flag(skip_gpu));
    trials.extend(on_both("same_seed_same_bits", same_bits));
    trials.extend(on_both("submissions_of_any_length_are_the_same", any_length));
    trials.extend(on_both("results_are_waited_for_where_a_line_is_due", few_readbacks));
    trials.extend(on_both("resume_is_exact", resume_is_exact));
    trials.extend(on_both("sprites_train_as_their_pixels_do", sprites_as_pixels));
    trials.extend(on_both("evaluation_covers_the_rest_of_a_batch", evaluation_covers_all));
    libtest_mimic::run(&arguments, trials).exit();
}

/// The first images of the built-in digits: small enough for a GPU made of software.
fn small_digits() -> Dataset {
    let part = |from: u32, count: u32| {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for index in from..from + count {
            let (image, label) = digits::image(7, index);
            pixels.extend(image);
            labels.push(label);
        }
        Images::grey([28, 28], pixels, labels)
    };
    Dataset {
        name: "digits".into(),
        train: part(0, 300),
        test: part(1000, 37),
        classes: (0..10).map(|c| c.to_string()).collect(),
        columns: None,
        notes: Vec::new(),
    }
}

fn small_config() -> Config {
    Config { latent: 5, hidden: vec![40], batch: 32, seed: 3, ..Config::default() }
}

fn session(choice: Choice, config: &Config, dataset: &Dataset) -> Result<Session, Failed> {
    let state = initial_state(config, dataset);
    Ok(Session::new(&common::device(choice), config, dataset, &state)?)
}

/// Steps `first..first + count` in one submission.
fn steps(session: &mut Session, first: u64, count: usize) -> Result<Vec<LossSums>, Failed> {
    let ticket = session.submit(first, count)?;
    Ok(session.wait(ticket, count)?)
}

/// SSE and KL within 1e-5 for 20 steps; then the order of summation alone lets curves drift apart.
fn same_curve() -> Result<(), Failed> {
    let (config, dataset) = (small_config(), small_digits());
    let mut curves = Vec::new();
    for choice in [Choice::Cpu, Choice::Gpu] {
        curves.push(steps(&mut session(choice, &config, &dataset)?, 0, 60)?);
    }
    for (step, (cpu, gpu)) in curves[0].iter().zip(&curves[1]).enumerate() {
        let allowed = if step < 20 { 1e-5 } else { 1e-3 };
        for (name, cpu, gpu) in [("SSE", cpu.sse, gpu.sse), ("KL", cpu.kl, gpu.kl)] {
            let error = (cpu - gpu).abs() / cpu.abs();
            assert!(error <= allowed, "step {step}, {name}: cpu {cpu}, gpu {gpu}, relative {error:.1e}");
        }
    }
    Ok(())
}

fn same_bits(choice: Choice) -> Result<(), Failed> {
    let (config, dataset) = (small_config(), small_digits());
    let mut runs = Vec::new();
    for seed in [3, 3, 4] {
        let mut session = session(choice, &Config { seed, ..config.clone() }, &dataset)?;
        steps(&mut session, 0, 25)?;
        runs.push(session.state(25)?.theta);
    }
    assert!(runs[0] == runs[1], "the same seed must give the same bits");
    assert!(runs[0] != runs[2], "another seed must give another model");
    Ok(())
}

fn any_length(choice: Choice) -> Result<(), Failed> {
    let (config, dataset) = (small_config(), small_digits());
    let mut together = session(choice, &config, &dataset)?;
    let curve = steps(&mut together, 0, 12)?;
    let mut apart = session(choice, &config, &dataset)?;
    let mut pieces = Vec::new();
    for (first, count) in [(0, 1), (1, 4), (5, 7)] {
        pieces.extend(steps(&mut apart, first, count)?);
    }
    assert_eq!(curve, pieces);
    assert!(together.state(12)?.theta == apart.state(12)?.theta, "parameters differ");
    let averages = session(choice, &config, &dataset)?.train(0..3)?;
    assert_eq!(averages, curve[..3].iter().map(LossSums::metrics).collect::<Vec<_>>());
    Ok(())
}

/// 64 steps a submission, and the host waits at the two logged steps alone; the lines do not depend on it.
fn few_readbacks(choice: Choice) -> Result<(), Failed> {
    const STEPS: u64 = 256;
    const LOG_EVERY: u64 = 128;
    let dataset = small_digits();
    let place = tempfile::tempdir()?;
    let mut losses = Vec::new();
    for steps_per_submit in [None, Some(64), Some(100)] {
        let config = Config {
            hidden: vec![8],
            batch: 1,
            steps: Some(STEPS),
            log_every: LOG_EVERY,
            steps_per_submit,
            ..small_config()
        };
        let state = initial_state(&config, &dataset);
        let mut run = Run::create(Some(place.path()), true, &config, &state)?;
        let (_, summary) = elbo::train::train(
            &mut run,
            &common::device(choice),
            &dataset,
            &mut (),
            &AtomicBool::new(false),
        )?;
        let submissions = summary.submissions.expect("steps were done");
        let calls = elbo::model::Model::new(model_config(&config, &dataset)?)?;
        let calls = calls.plan.programs[calls.train.program.0].calls.len();
        assert_eq!(submissions.dispatches_per_step, calls as f64);
        if let Some(steps) = steps_per_submit {
            let parts = STEPS.div_ceil(steps as u64);
            assert_eq!(submissions.steps_per_submit, STEPS as f64 / parts as f64, "{steps}");
            let waits = if choice == Choice::Cpu { 0 } else { STEPS / LOG_EVERY };
            assert_eq!(submissions.readbacks, waits, "{steps} steps a submission");
        }
        assert_eq!(submissions.host_microseconds_per_step.is_some(), choice == Choice::Gpu);
        losses.push(summary.test.metrics);
    }
    assert!(losses.iter().all(|metrics| *metrics == losses[0]), "{losses:?}");
    Ok(())
}

fn resume_is_exact(choice: Choice) -> Result<(), Failed> {
    let (config, dataset) = (small_config(), small_digits());
    let mut straight = session(choice, &config, &dataset)?;
    steps(&mut straight, 0, 10)?;
    let state = straight.state(10)?;
    steps(&mut straight, 10, 10)?;

    let mut resumed = Session::new(&common::device(choice), &config, &dataset, &state)?;
    steps(&mut resumed, 10, 10)?;
    assert!(straight.state(20)? == resumed.state(20)?, "a resumed run must give the same bits");
    Ok(())
}

/// A power cut may end the removal of an old checkpoint; what nobody but elbo made goes, and nothing else.
fn half_a_checkpoint() -> Result<(), Failed> {
    let (config, dataset, place) = (small_config(), small_digits(), tempfile::tempdir()?);
    let (mut state, path) = (initial_state(&config, &dataset), place.path().join("run"));
    Run::create(Some(&path), false, &config, &state)?;
    for step in [5, 10, 15] {
        state.progress.step = step;
        state.write(&path)?;
    }
    assert_eq!(elbo::checkpoint::list(&path)?, [10, 15]);
    let folder = |name: &str| path.join("checkpoints").join(name);
    for name in ["5", "3", "20"] {
        std::fs::create_dir(folder(name))?;
    }
    std::fs::copy(folder("10").join("model.safetensors"), folder("5").join("model.safetensors"))?;
    std::fs::write(folder("3").join("notes.txt"), "a stranger's")?;
    state.prune(&path)?;
    let left = ["3", "5", "10", "15", "20"].map(|name| folder(name).exists());
    assert_eq!(left, [true, false, true, true, true]);
    Ok(())
}

/// Destroys a device when so many epochs were evaluated.
struct Unplug {
    device: Arc<Gpu>,
    left: u32,
}

impl Observer for Unplug {
    fn steps(&mut self, _: u64, _: &Metrics, _: &Terms) {}

    fn evaluated(&mut self, _: f64, _: &Metrics, _: Option<&Metrics>) {
        self.left -= 1;
        if self.left == 0 {
            self.device.destroy();
        }
    }

    fn warning(&mut self, _: &str) {}
}

/// A device that is lost midway gives one error, and the run goes on from its last checkpoint to the bits of one that had no
/// such trouble.
fn lost_device() -> Result<(), Failed> {
    let (config, dataset) = (Config { epochs: 4, ..small_config() }, small_digits());
    let (place, state) = (tempfile::tempdir()?, initial_state(&config, &dataset));
    let stop = AtomicBool::new(false);
    let train = |run: &mut Run, device: &Device, observer: &mut dyn Observer| {
        elbo::train::train(run, device, &dataset, observer, &stop).map(|_| ())
    };
    let mut straight = Run::create(Some(&place.path().join("straight")), false, &config, &state)?;
    train(&mut straight, &common::device(Choice::Gpu), &mut ())?;

    let path = place.path().join("lost");
    let mut run = Run::create(Some(&path), false, &config, &state)?;
    let device = common::device(Choice::Gpu);
    let Device::Gpu(gpu, _) = &device else { return Err("no GPU".into()) };
    let error = train(&mut run, &device, &mut Unplug { device: Arc::clone(gpu), left: 2 }).err();
    let text = error.ok_or("a lost device was not noticed")?.to_string();
    assert!(
        text.contains("the GPU was lost") && text.contains("elbo resume") && text.lines().count() == 1,
        "{text}"
    );
    drop(run);

    let mut run = Run::open(&path)?;
    let step = run.state()?.progress.step;
    assert!(step > 0 && step < straight.state()?.progress.step, "{step}");
    run.rewind(step)?;
    train(&mut run, &common::device(Choice::Gpu), &mut ())?;
    assert!(run.state()? == straight.state()?, "the resumed run has other bits");
    Ok(())
}

/// The first codes of Burgess' layers tell images apart by a good part of their own size. With weights that let the
/// signal fade from layer to layer, by a thousandth of it, a KL held at a capacity was spent on one code for all images.
fn codes_differ() -> Result<(), Failed> {
    let mut dataset = sprites::dataset(2, true);
    for images in [&mut dataset.train, &mut dataset.test] {
        images.labels.truncate(40);
        let Pixels::Sprites(numbers) = &mut images.pixels else { return Err("no sprites".into()) };
        numbers.truncate(40);
    }
    let config = Config { architecture: Some("burgess".parse()?), batch: 40, ..small_config() };
    let codes = session(Choice::Cpu, &config, &dataset)?.encode(Split::Test, 40)?;
    let [mut spread, mut size] = [0.0; 2];
    for latent in 0..config.latent {
        let means = || codes.means.iter().skip(latent).step_by(config.latent).map(|&v| f64::from(v));
        let mean = means().sum::<f64>() / 40.0;
        spread += means().map(|v| (v - mean).powi(2)).sum::<f64>();
        size += means().map(|v| v * v).sum::<f64>();
    }
    assert!(spread > 0.1 * size, "{spread} of {size}");
    Ok(())
}

/// Drawing each batch anew gives the bits of images that were drawn before.
fn sprites_as_pixels(choice: Choice) -> Result<(), Failed> {
    for coloured in [false, true] {
        let mut drawn = sprites::dataset(2, coloured);
        let mut stored = drawn.clone();
        for (drawn, stored) in [(&mut drawn.train, &mut stored.train), (&mut drawn.test, &mut stored.test)] {
            let count = 75;
            drawn.labels.truncate(count);
            stored.labels.truncate(count);
            let Pixels::Sprites(numbers) = &mut drawn.pixels else { return Err("no sprites".into()) };
            numbers.truncate(count);
            stored.pixels = Pixels::Bytes((0..count).flat_map(|i| drawn.image(i).into_owned()).collect());
        }
        let config = Config { batch: 20, hidden: vec![8], ..small_config() };
        let mut results = Vec::new();
        for dataset in [&drawn, &stored] {
            let mut session = session(choice, &config, dataset)?;
            let curve = steps(&mut session, 0, 5)?;
            let mut state = session.state(5)?;
            // The one thing that tells them apart.
            state.progress.data = None;
            results.push((curve, state, session.evaluate(Split::Test)?, session.encode(Split::Train, 9)?));
        }
        assert!(results[0] == results[1], "coloured: {coloured}");
    }
    Ok(())
}

/// 37 test images at 37 a batch, and 300 training images: averages must not depend on how they are cut.
fn evaluation_covers_all(choice: Choice) -> Result<(), Failed> {
    let (config, mut dataset) = (small_config(), small_digits());
    // More images than one batch of evaluation, and no multiple of it.
    let pixels: Vec<u8> = (0..1200).flat_map(|i| dataset.train.image(i % 300).into_owned()).collect();
    dataset.test = Images::grey([28, 28], pixels, dataset.train.labels.repeat(4));
    let mut session = session(choice, &config, &dataset)?;
    let codes = session.encode(Split::Test, usize::MAX / 8)?;
    assert_eq!(codes.z.len(), dataset.test.len() * config.latent);
    let latent = config.latent;
    for (i, mean) in codes.means.chunks_exact(latent).enumerate() {
        let first = &codes.means[i % 300 * latent..][..latent];
        assert_eq!(mean, first, "image {i} is image {} again", i % 300);
    }
    let (all, train) = (session.evaluate(Split::Test)?.0, session.evaluate(Split::Train)?.0);
    // The same images four times, each with a sample of its own.
    assert!((all.sse - train.sse).abs() < 0.05 * train.sse, "{all:?} and {train:?}");
    assert!(
        (all.kl - train.kl).abs() < 1e-4 * train.kl,
        "the analytic KL needs no sample: {all:?} and {train:?}"
    );
    Ok(())
}

/// Averaged over many samples, log q(z|x) - log p(z) is the analytic KL: within 4 standard errors.
fn one_expectation() -> Result<(), Failed> {
    let dataset = small_digits();
    let mut averages = Vec::new();
    for kl in [KlName::Analytic, KlName::Sampled] {
        // Steps that change nothing: the same model, fresh noise each step.
        let config = Config { kl, learning_rate: f64::from(f32::MIN_POSITIVE).into(), ..small_config() };
        let mut session = session(Choice::Cpu, &config, &dataset)?;
        let kls: Vec<f64> = (0..10)
            .map(|i| steps(&mut session, 200 * i, 200))
            .collect::<Result<Vec<_>, _>>()?
            .concat()
            .iter()
            .map(|step| step.kl / step.images as f64)
            .collect();
        let mean = kls.iter().sum::<f64>() / kls.len() as f64;
        let variance = kls.iter().map(|kl| (kl - mean).powi(2)).sum::<f64>() / kls.len() as f64;
        averages.push((mean, (variance / kls.len() as f64).sqrt()));
    }
    let [(analytic, e1), (sampled, e2)] = averages[..] else { unreachable!("two estimates") };
    let error = (e1 * e1 + e2 * e2).sqrt();
    assert!((analytic - sampled).abs() < 4.0 * error, "{analytic} and {sampled} +- {error}");
    assert!(error < 0.05 * analytic, "the test is sharp: {error} of {analytic}");
    Ok(())
}

fn the_loss_falls() -> Result<(), Failed> {
    let mut session = session(Choice::Cpu, &small_config(), &small_digits())?;
    let (before, _) = session.evaluate(Split::Test)?;
    steps(&mut session, 0, 200)?;
    let (after, _) = session.evaluate(Split::Test)?;
    assert!(after.elbo > before.elbo + 10.0, "ELBO {} after {}", after.elbo, before.elbo);
    assert!(after.kl > 0.5, "the code is used: KL {}", after.kl);
    Ok(())
}

/// Trains for some steps.
fn trained(config: &Config, dataset: &Dataset, steps: u64) -> Result<Session, Failed> {
    let mut session = session(Choice::Cpu, config, dataset)?;
    for first in 0..steps {
        let ticket = session.submit(first, 1)?;
        session.wait(ticket, 1)?;
    }
    Ok(session)
}

/// A trained model without hidden layers, its data, and ln p(x) of each test image: p(x) is N(bias, W W^T + sigma^2 I),
/// probabilistic PCA (Tipping and Bishop 1999), known in closed form whatever W is.
fn linear_model() -> Result<(Session, Dataset, Vec<f64>), Failed> {
    const M: usize = 3;
    const STEPS: u64 = 1000;
    let dataset = small_digits();
    let config = Config {
        hidden: vec![],
        latent: M,
        sigma: PixelSigma::Fixed(0.5),
        learning_rate: 0.01.into(),
        ..small_config()
    };
    let mut session = trained(&config, &dataset, STEPS)?;
    let theta = session.state(STEPS)?.theta;
    let decoder = theta.0.last().expect("a layer");
    let d = dataset.test.dimension();
    let w = |pixel: usize, j: usize| f64::from(decoder[pixel * M + j]);
    let variance = f64::from(session.sigma()).powi(2);
    // A = I + W^T W / sigma^2.
    let mut a = [[0.0; M]; M];
    for (i, row) in a.iter_mut().enumerate() {
        for (j, value) in row.iter_mut().enumerate() {
            let dot: f64 = (0..d).map(|pixel| w(pixel, i) * w(pixel, j)).sum();
            *value = f64::from(u8::from(i == j)) + dot / variance;
        }
    }
    let exact = |image: &[u8]| {
        let r: Vec<f64> =
            (0..d).map(|i| f64::from(image[i]) / 255.0 - f64::from(decoder[d * M + i])).collect();
        let projected: [f64; M] = std::array::from_fn(|j| (0..d).map(|i| w(i, j) * r[i]).sum());
        let (solved, log_determinant) = solve(a, projected);
        let inner: f64 = projected.iter().zip(solved).map(|(p, s)| p * s).sum();
        let square: f64 = r.iter().map(|r| r * r).sum();
        let quadratic = (square - inner / variance) / variance;
        -0.5 * (d as f64 * (std::f64::consts::TAU * variance).ln() + log_determinant + quadratic)
    };
    let exact = (0..dataset.test.len()).map(|i| exact(&dataset.test.image(i))).collect();
    Ok((session, dataset, exact))
}

fn linear_likelihood() -> Result<(), Failed> {
    let (mut session, _, exact) = linear_model()?;
    let n = exact.len() as f64;
    let want = exact.iter().sum::<f64>() / n;
    let samples = 2000;
    let got = elbo::train::importance::log_likelihood(&mut session, samples, &mut |_| Ok(()))?;
    let error = got.standard_error.expect("many samples");
    // The estimate is too low by half of the variance of an image's.
    let bias = 0.5 * error.powi(2) * n;
    let distance = (got.log_likelihood - want).abs();
    assert!(distance <= 4.0 * error + bias, "ln p(x) {want}, estimated {got:?}");
    assert!(error < 0.2, "the estimate says something: {got:?}");
    assert!(got.gap > 0.0 && want - got.elbo > -4.0 * error, "{got:?}");
    let parts: Vec<usize> = got.nested.iter().map(|part| part.importance_samples).collect();
    assert_eq!(parts, [samples / 4, samples / 2, samples]);
    assert_eq!(got.nested[2].log_likelihood, got.log_likelihood);
    // The quarter is what a run of as many samples gives: the samples are nested.
    let quarter = elbo::train::importance::log_likelihood(&mut session, samples / 4, &mut |_| Ok(()))?;
    assert_eq!(quarter.log_likelihood, got.nested[0].log_likelihood);
    Ok(())
}

/// Annealed importance sampling finds ln p(x) of each start, also where the encoder is of no use; on images that the
/// model makes, the bounds hold it between them.
fn linear_annealing() -> Result<(), Failed> {
    let (mut session, dataset, exact) = linear_model()?;
    let mut poor = session.state(0)?;
    // Means that are wrong, and standard deviations that are twice too large or more.
    let encoder = &mut poor.theta.0[0];
    let bias = encoder.len() - 6;
    encoder[bias..].iter_mut().for_each(|value| *value += 0.7);
    for (state, start) in
        [(session.state(0)?, Start::Encoder), (session.state(0)?, Start::Prior), (poor, Start::Encoder)]
    {
        let model = HostModel::new(&state, session.likelihood());
        let settings =
            AnnealedSettings { temperatures: 200, chains: 8, leapfrog: 5, images: 20, start, seed: 1 };
        let ticks = AtomicU64::new(0);
        let images = Mutex::new(Vec::new());
        let count = |done: Done<'_>| match done {
            Done::Temperature => {
                ticks.fetch_add(1, Ordering::Relaxed);
            }
            Done::Images(logs) => images.lock().expect("no panic").extend_from_slice(logs),
            Done::Bounds(_) => {}
        };
        let found = annealed::log_likelihood(&model, &dataset, settings, &count);
        assert_eq!(ticks.load(Ordering::Relaxed), settings.work(20, false), "progress is whole");
        let heard = std::mem::take(&mut *images.lock().expect("no panic"));
        let mean = heard.iter().sum::<f64>() / 20.0;
        assert!(
            heard.len() == 20 && (mean - found.log_likelihood).abs() < 1e-9,
            "what is heard is the result"
        );
        let want = found.chosen.iter().map(|&image| exact[image]).sum::<f64>() / found.images as f64;
        let error = found.standard_error.expect("several chains");
        // Too low by half of the variance of an image's, as with one step of importance sampling.
        let bias = 0.5 * error.powi(2) * found.images as f64;
        let distance = (found.log_likelihood - want).abs();
        assert!(distance <= 4.0 * error + bias, "{start:?}: ln p(x) is {want}, found {found:?}");
        assert!(error < 0.1 && (0.4..0.95).contains(&found.acceptance), "{found:?}");
        let check = annealed::check(&model, AnnealedSettings { temperatures: 1000, ..settings }, 20, &count);
        assert!(check.gap > -3.0 * check.gap_standard_error && check.gap < 0.5, "{start:?}: {check:?}");
    }
    Ok(())
}

/// The epoch with the best ELBO on the held out images is kept, and is what a run is used for; patience ends it.
fn best_epoch_is_kept() -> Result<(), Failed> {
    let dataset = small_digits();
    let config = Config {
        validation: Some(44.0),
        early_stopping: Some(5),
        epochs: 400,
        learning_rate: 0.01.into(),
        ..small_config()
    };
    let place = tempfile::tempdir()?;
    let device = common::device(Choice::Cpu);
    let state = initial_state(&config, &dataset);
    let mut run = Run::create(Some(&place.path().join("run")), false, &config, &state)?;
    let (mut session, summary) =
        elbo::train::train(&mut run, &device, &dataset, &mut (), &AtomicBool::new(false))?;
    let best = summary.best.expect("a best epoch");
    let lines = Run::lines(&run.path)?;
    let held = lines.iter().filter(|line| line.split == "validation");
    let elbos: Vec<(f64, u64)> = held.map(|line| (line.metrics.elbo, line.step)).collect();
    assert!(elbos.iter().all(|&(elbo, step)| elbo < best.elbo || step == best.step), "{elbos:?}, {best:?}");
    // 256 images are learned from, 32 at a time.
    assert_eq!(summary.steps, best.step + 5 * 8, "five epochs without a better one");
    assert!(summary.stopped_early && !summary.interrupted);
    assert_eq!(summary.validation.expect("held out").metrics.elbo, best.elbo);
    assert_eq!(State::read_best(&run.path)?.theta, session.state(0)?.theta);
    assert_eq!(State::read(&run.path)?.progress.step, summary.steps);
    // What is held out is not learned from: other images there, the same weights.
    let mut other = dataset.clone();
    let Pixels::Bytes(bytes) = &mut other.train.pixels else { return Err("no bytes".into()) };
    bytes[256 * 784..].fill(0);
    let theta =
        |dataset: &Dataset| -> Result<_, Failed> { Ok(trained(&config, dataset, 20)?.state(20)?.theta) };
    assert!(theta(&dataset)? == theta(&other)?, "the last 44 images must not matter");
    Ok(())
}

/// Lines say what was minimised, and at which weights.
fn lines_add_up() -> Result<(), Failed> {
    let dataset = small_digits();
    let device = common::device(Choice::Cpu);
    for objective in ObjectiveName::value_variants() {
        let config = Config { epochs: 2, log_every: 3, ..small_config() }.with_objective(*objective);
        let place = tempfile::tempdir()?;
        let state = initial_state(&config, &dataset);
        let mut run = Run::create(Some(&place.path().join("run")), false, &config, &state)?;
        elbo::train::train(&mut run, &device, &dataset, &mut (), &AtomicBool::new(false))?;
        for line in Run::lines(&run.path)? {
            let (loss, metrics, terms, scheduled) =
                (line.loss.expect("a loss"), line.metrics, line.terms, line.scheduled);
            assert_eq!(scheduled.learning_rate, Some(0.001));
            let rest = loss - metrics.reconstruction;
            let want = match objective {
                ObjectiveName::Vae => metrics.kl,
                ObjectiveName::BetaVae => scheduled.beta.expect("beta") * metrics.kl,
                ObjectiveName::MmdVae => scheduled.lambda.expect("lambda") * terms.mmd.expect("MMD"),
                ObjectiveName::InfoVae => {
                    metrics.kl + (scheduled.lambda.expect("lambda") - 1.0) * terms.mmd.expect("MMD")
                }
                ObjectiveName::TcVae => {
                    let correlation = terms.total_correlation.expect("total correlation");
                    metrics.kl + (scheduled.beta.expect("beta") - 1.0) * correlation
                }
                // The capacity changes within the steps of a line of training.
                ObjectiveName::Capacity if line.split == "train" => continue,
                ObjectiveName::Capacity => {
                    let capacity = scheduled.capacity.expect("a capacity");
                    scheduled.gamma.expect("gamma") * (metrics.kl - capacity).abs()
                }
            };
            assert!((rest - want).abs() < 1e-9 * loss.abs(), "{objective}: {rest} is not {want}");
            assert_eq!(line.decomposition.is_some(), line.split == "test");
        }
    }
    Ok(())
}

/// a x = b for a positive definite a, and ln det a: Cholesky's decomposition a = l l^T.
fn solve<const M: usize>(a: [[f64; M]; M], b: [f64; M]) -> ([f64; M], f64) {
    let mut l = [[0.0; M]; M];
    for i in 0..M {
        for j in 0..=i {
            let known: f64 = l[i].iter().zip(&l[j]).take(j).map(|(x, y)| x * y).sum();
            l[i][j] = if i == j { (a[i][i] - known).sqrt() } else { (a[i][j] - known) / l[j][j] };
        }
    }
    let mut x = b;
    for i in 0..M {
        let known: f64 = l[i].iter().zip(&x).take(i).map(|(l, x)| l * x).sum();
        x[i] = (x[i] - known) / l[i][i];
    }
    for i in (0..M).rev() {
        let known: f64 = (i + 1..M).map(|j| l[j][i] * x[j]).sum();
        x[i] = (x[i] - known) / l[i][i];
    }
    (x, (0..M).map(|i| 2.0 * l[i][i].ln()).sum())
}

fn every_objective_trains() -> Result<(), Failed> {
    let dataset = small_digits();
    let objectives = [
        ObjectiveName::Vae,
        ObjectiveName::BetaVae,
        ObjectiveName::MmdVae,
        ObjectiveName::InfoVae,
        ObjectiveName::TcVae,
        ObjectiveName::Capacity,
    ];
    for objective in objectives {
        let config = Config { objective, learning_rate: "linear:0.003:0.001".parse()?, ..small_config() };
        let (before, _) = session(Choice::Cpu, &config, &dataset)?.evaluate(Split::Test)?;
        let (after, _) = trained(&config, &dataset, 200)?.evaluate(Split::Test)?;
        assert!(after.sse < 0.8 * before.sse, "{objective:?}: {before:?} became {after:?}");
    }
    Ok(())
}

/// The three parts add to the KL of the same samples, and each has its bounds.
fn parts_of_the_kl() -> Result<(), Failed> {
    let dataset = small_digits();
    let config = Config { kl: KlName::Sampled, ..small_config() };
    let mut session = trained(&config, &dataset, 300)?;
    for split in [Split::Train, Split::Test] {
        let (metrics, codes) = session.evaluate(split)?;
        let n = codes.len();
        let parts = Decomposer::new(&common::device(Choice::Cpu), n, n, config.latent)?.run(&codes)?;
        let Decomposition {
            mutual_information, total_correlation, dimension_wise_kl, standard_errors, ..
        } = parts;
        let sum = mutual_information + total_correlation + dimension_wise_kl;
        assert!((sum - metrics.kl).abs() < 1e-4 * (1.0 + metrics.kl), "{sum} is not the KL, {}", metrics.kl);
        assert!((parts.sampled_kl - sum).abs() < 1e-9 * (1.0 + sum), "{parts:?}");
        let [mi, tc, dw] = standard_errors.map(|error| 3.0 * error);
        assert!(mutual_information > -mi && mutual_information < (n as f64).ln() + mi, "{parts:?}");
        assert!(total_correlation > -tc && dimension_wise_kl > -dw, "{parts:?}");
    }
    Ok(())
}
