//! Codes against the prior: values that are known, and gradients against finite differences of the f64 reference.

mod common;

use common::GpuTests;
use elbo::engine::reference::Reference;
use elbo::engine::{Choice, Device};
use elbo::kernel::prior_mmd::{PriorMmd, constant};
use elbo::program::{BufferId, Plan, ProgramId, Step};
use elbo::random::{Sequence, Stream};
use elbo::train::metrics::mmd_to_prior;
use libtest_mimic::{Arguments, Failed, Trial};
use std::sync::{Arc, LazyLock};

static GPU: LazyLock<Device> = LazyLock::new(|| common::device(Choice::Gpu));
static CPU: LazyLock<Device> = LazyLock::new(|| common::device(Choice::Cpu));

type Test = fn(&Device) -> Result<(), Failed>;

/// Tests of both engines.
const BOTH: &[(&str, Test)] = &[("mmd_is_that_of_the_metrics", mmd_is_that_of_the_metrics)];

fn main() {
    let arguments = Arguments::from_args();
    let skip_gpu = common::gpu_tests() == GpuTests::Off;
    let mut trials = vec![Trial::test("reference::gradient_of_mmd", gradient_of_mmd)];
    for &(name, test) in BOTH {
        trials.push(Trial::test(format!("cpu::{name}"), move || test(&CPU)));
        trials.push(Trial::test(format!("gpu::{name}"), move || test(&GPU)).with_ignored_flag(skip_gpu));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn normals(count: usize) -> Vec<f32> {
    let mut random = Sequence::new(7, Stream::Data, 0);
    (0..count).map(|_| random.normal()).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// `got` is within `error` of `want`.
fn near(what: &str, got: f64, want: f64, error: f64) -> Result<(), Failed> {
    if (got - want).abs() <= error {
        return Ok(());
    }
    Err(format!("{what}: {got}, expected {want} to within {error}").into())
}

/// The derivative of `value` at each of `values` is that of `gradient`, by central differences.
fn finite_differences(
    what: &str,
    values: &[f64],
    gradient: &[f64],
    mut value: impl FnMut(&[f64]) -> f64,
) -> Result<(), Failed> {
    // The error is h^2 / 6 times the third derivative plus 1e-16 / h times the value.
    const H: f64 = 1e-5;
    assert_eq!(values.len(), gradient.len());
    let mut moved = values.to_vec();
    for (i, got) in gradient.iter().enumerate() {
        moved[i] = values[i] + H;
        let above = value(&moved);
        moved[i] = values[i] - H;
        let below = value(&moved);
        moved[i] = values[i];
        let want = (above - below) / (2.0 * H);
        near(&format!("{what}, number {i}"), *got, want, 1e-8 * (1.0 + want.abs()))?;
    }
    Ok(())
}

/// MMD^2 of a batch to the prior as one program: z, gradient, ring.
fn mmd_plan(batch: usize, latent: usize) -> Result<(Arc<Plan>, ProgramId, [BufferId; 3]), Failed> {
    let mut plan = Plan::default();
    let lens = [("z", batch * latent), ("gradient", batch * latent), ("mmd_ring", PriorMmd::parts(batch))];
    let buffers = lens.map(|(name, len)| (name, plan.buffer(name, len)));
    let program = plan.program("mmd");
    plan.call(program, PriorMmd { batch, latent, slots: 1 }, &buffers)?;
    Ok((Arc::new(plan), program, buffers.map(|(_, id)| id)))
}

fn gradient_of_mmd() -> Result<(), Failed> {
    for (batch, latent) in [(1, 2), (5, 3)] {
        let (plan, program, [z, gradient, ring]) = mmd_plan(batch, latent)?;
        let mut reference = Reference::new(plan);
        let values = wide(&normals(batch * latent));
        let mut run = |values: &[f64]| {
            reference.memory[z.0] = values.to_vec();
            reference.run(program, &Step::default());
            (reference.memory[ring.0].iter().sum::<f64>(), reference.memory[gradient.0].clone())
        };
        let (_, found) = run(&values);
        finite_differences("MMD", &values, &found, |values| run(values).0)?;
    }
    Ok(())
}

/// The kernel for training and the metric for reports have one definition.
fn mmd_is_that_of_the_metrics(device: &Device) -> Result<(), Failed> {
    for (batch, latent) in [(37, 1), (128, 20)] {
        let (plan, program, [z, _, ring]) = mmd_plan(batch, latent)?;
        let values: Vec<f32> = normals(batch * latent).iter().map(|v| 0.3 + 0.8 * v).collect();
        let mut engine = device.load(plan)?;
        engine.write(z, bytemuck::cast_slice(&values))?;
        let parts = engine.run(program, &[Step::default()], &[ring])?.remove(0);
        let want = mmd_to_prior(&values, latent).ok_or("a batch has pairs")?;
        near("MMD^2", wide(&parts).iter().sum::<f64>() + constant(latent), want, 1e-7)?;
    }
    Ok(())
}
