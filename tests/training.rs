//! Whole training runs: both engines give the same curve, the same seed the same bits, and the loss falls.

mod common;

use common::GpuTests;
use elbo::data::{Dataset, digits};
use elbo::engine::Choice;
use elbo::train::config::{Config, KlName};
use elbo::train::initial_checkpoint;
use elbo::train::metrics::Sums;
use elbo::train::session::{Session, Split};
use libtest_mimic::{Arguments, Failed, Trial};

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
    ];
    trials.extend(on_both("same_seed_same_bits", same_bits));
    trials.extend(on_both("submissions_of_any_length_are_the_same", any_length));
    trials.extend(on_both("resume_is_exact", resume_is_exact));
    trials.extend(on_both("evaluation_covers_the_rest_of_a_batch", evaluation_covers_all));
    libtest_mimic::run(&arguments, trials).exit();
}

/// The first images of the built-in digits: small enough for a GPU made of software.
fn small_digits() -> Dataset {
    let part = |from: u32, count: u32| {
        let mut images = elbo::data::Images { height: 28, width: 28, ..Default::default() };
        for index in from..from + count {
            let (pixels, label) = digits::image(7, index);
            images.pixels.extend(pixels);
            images.labels.push(label);
        }
        images
    };
    Dataset {
        name: "digits".into(),
        train: part(0, 300),
        test: part(1000, 37),
        classes: (0..10).map(|c| c.to_string()).collect(),
    }
}

fn small_config() -> Config {
    Config { latent: 5, hidden: vec![40], batch: 32, seed: 3, ..Config::default() }
}

fn session(choice: Choice, config: &Config, dataset: &Dataset) -> Result<Session, Failed> {
    let (model, _) = initial_checkpoint(config, dataset);
    Ok(Session::new(&common::device(choice), config, dataset, &model)?)
}

/// Steps `first..first + count` in one submission.
fn steps(session: &mut Session, first: u64, count: usize) -> Result<Vec<Sums>, Failed> {
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
        runs.push(session.save(25)?.0);
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
    assert!(together.save(12)?.0 == apart.save(12)?.0, "parameters differ");
    Ok(())
}

fn resume_is_exact(choice: Choice) -> Result<(), Failed> {
    let (config, dataset) = (small_config(), small_digits());
    let mut straight = session(choice, &config, &dataset)?;
    steps(&mut straight, 0, 10)?;
    let (parameters, optimizer) = straight.save(10)?;
    steps(&mut straight, 10, 10)?;

    let (mut model, _) = initial_checkpoint(&config, &dataset);
    model.parameters = parameters;
    let mut resumed = Session::new(&common::device(choice), &config, &dataset, &model)?;
    resumed.restore(&optimizer)?;
    steps(&mut resumed, 10, 10)?;
    assert!(straight.save(20)? == resumed.save(20)?, "a resumed run must give the same bits");
    Ok(())
}

/// 37 test images at 37 a batch, and 300 training images: averages must not depend on how they are cut.
fn evaluation_covers_all(choice: Choice) -> Result<(), Failed> {
    let (config, mut dataset) = (small_config(), small_digits());
    // More images than one batch of evaluation, and no multiple of it.
    dataset.test = elbo::data::Images {
        pixels: dataset.train.pixels.repeat(4),
        labels: dataset.train.labels.repeat(4),
        ..dataset.train.clone()
    };
    let mut session = session(choice, &config, &dataset)?;
    let codes = session.encode(Split::Test, usize::MAX / 8)?;
    assert_eq!(codes.z.len(), dataset.test.len() * config.latent);
    let latent = config.latent;
    for (i, mean) in codes.means.chunks_exact(latent).enumerate() {
        let first = &codes.means[i % 300 * latent..][..latent];
        assert_eq!(mean, first, "image {i} is image {} again", i % 300);
    }
    let (all, train) = (session.evaluate(Split::Test)?, session.evaluate(Split::Train)?);
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
        let config = Config { kl, learning_rate: f32::MIN_POSITIVE, ..small_config() };
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
    let before = session.evaluate(Split::Test)?;
    steps(&mut session, 0, 200)?;
    let after = session.evaluate(Split::Test)?;
    assert!(after.elbo > before.elbo + 10.0, "ELBO {} after {}", after.elbo, before.elbo);
    assert!(after.kl > 0.5, "the code is used: KL {}", after.kl);
    Ok(())
}
