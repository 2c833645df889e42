//! Codes against the prior and against the aggregate posterior: values that are known, and gradients against
//! finite differences of the f64 reference.

mod common;

use common::GpuTests;
use elbo::engine::reference::Reference;
use elbo::engine::{Choice, Device};
use elbo::kernel::mixture::{Mixture, MixtureWeights};
use elbo::kernel::mixture_gradient::{MixtureGradient, RING_TERMS};
use elbo::kernel::prior_mmd::{PriorMmd, constant, usual_h};
use elbo::measure::suite::compare;
use elbo::program::{BufferId, Plan, ProgramId, Step};
use elbo::random::{Sequence, Stream};
use elbo::train::metrics::mmd_to_prior;
use libtest_mimic::{Arguments, Failed, Trial};
use std::f64::consts::TAU;
use std::sync::{Arc, LazyLock};

static GPU: LazyLock<Device> = LazyLock::new(|| common::device(Choice::Gpu));
static CPU: LazyLock<Device> = LazyLock::new(|| common::device(Choice::Cpu));

type Test = fn(&Device) -> Result<(), Failed>;

/// Tests of both engines.
const BOTH: &[(&str, Test)] = &[
    ("mmd_is_that_of_the_metrics", mmd_is_that_of_the_metrics),
    ("batches_give_the_table", batches_give_the_table),
    ("slices_give_the_mixture_of_all", slices_give_the_mixture_of_all),
];

fn main() {
    let arguments = Arguments::from_args();
    let skip_gpu = common::gpu_tests() == GpuTests::Off;
    let mut trials = vec![
        Trial::test("reference::gradient_of_mmd", gradient_of_mmd),
        Trial::test("cpu::all_images_give_the_table", all_images_give_the_table),
    ];
    for weights in [
        MixtureWeights::Uniform,
        MixtureWeights::Weighted { images: 40 },
        MixtureWeights::Stratified { images: 40 },
    ] {
        let name = format!("reference::gradient_of_total_correlation::{weights:?}");
        trials.push(Trial::test(name, move || gradient_of_total_correlation(weights)));
    }
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
    plan.call(program, PriorMmd { batch, latent, h: usual_h(latent) as f32, slots: 1 }, &buffers)?;
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
        near("MMD^2", wide(&parts).iter().sum::<f64>() + constant(latent, usual_h(latent)), want, 1e-7)?;
    }
    Ok(())
}

/// Images whose codes are independent and whose aggregate posterior is the prior: mutual information, total
/// correlation and dimension-wise KL are known.
struct Images {
    latent: usize,
    /// Mean and log-std.
    stats: Vec<f32>,
    z: Vec<f32>,
}

impl Images {
    const STD: f32 = 0.3;

    fn new(count: usize, latent: usize) -> Self {
        let numbers = normals(2 * count * latent);
        let (mut stats, mut z) = (Vec::new(), Vec::new());
        for numbers in numbers.chunks_exact(2 * latent) {
            let (means, noise) = numbers.split_at(latent);
            let means = means.iter().map(|v| v * (1.0 - Self::STD * Self::STD).sqrt());
            z.extend(means.clone().zip(noise).map(|(mu, eps)| mu + Self::STD * eps));
            stats.extend(means.chain((0..latent).map(|_| Self::STD.ln())));
        }
        Self { latent, stats, z }
    }

    /// Codes and statistics of `count` images.
    fn some(&self, first: usize, count: usize) -> (&[f32], &[f32]) {
        let m = self.latent;
        (&self.z[first * m..][..count * m], &self.stats[2 * first * m..][..2 * count * m])
    }
}

/// Of each image, log q(z | x) - log q(z), log q(z) - sum of log q(z_m), sum of log q(z_m) - log p(z).
fn terms(images: (&[f32], &[f32]), log_density: &[f32], latent: usize) -> Vec<[f64; 3]> {
    let (z, stats) = images;
    let log_normal = |z: f32, mu: f32, log_std: f32| {
        let t = f64::from(z - mu) / f64::from(log_std).exp();
        -0.5 * (t * t + TAU.ln()) - f64::from(log_std)
    };
    let rows = z.chunks_exact(latent).zip(stats.chunks_exact(2 * latent));
    rows.zip(log_density.chunks_exact(2 * (latent + 1)))
        .map(|((z, stats), density)| {
            let log_q = |m: usize| f64::from(density[2 * m]) + f64::from(density[2 * m + 1]).ln();
            let conditional: f64 = (0..latent).map(|m| log_normal(z[m], stats[m], stats[latent + m])).sum();
            let prior: f64 = z.iter().map(|&z| log_normal(z, 0.0, 0.0)).sum();
            let product: f64 = (0..latent).map(log_q).sum();
            [conditional - log_q(latent), log_q(latent) - product, product - prior]
        })
        .collect()
}

/// Means and their standard errors.
fn averages(terms: &[[f64; 3]]) -> [[f64; 2]; 3] {
    let n = terms.len() as f64;
    std::array::from_fn(|k| {
        let mean = terms.iter().map(|t| t[k]).sum::<f64>() / n;
        let variance = terms.iter().map(|t| (t[k] - mean).powi(2)).sum::<f64>() / (n - 1.0);
        [mean, (variance / n).sqrt()]
    })
}

/// Densities of some codes under the mixture of all images, slice by slice.
fn aggregate(device: &Device, images: &Images, queries: usize, slice: usize) -> Result<Vec<f32>, Failed> {
    let (latent, components) = (images.latent, images.z.len() / images.latent);
    let (codes, _) = images.some(0, queries);
    let mut plan = Plan::default();
    let lens = [
        ("z", codes.len()),
        ("stats", images.stats.len()),
        ("log_density", Mixture::density_len(queries, latent)),
    ];
    let buffers = lens.map(|(name, len)| (name, plan.buffer(name, len)));
    let program = plan.program("mixture");
    let kernel = Mixture { queries, components, slice, latent, weights: MixtureWeights::Uniform };
    plan.call(program, kernel, &buffers)?;
    let [z, stats, log_density] = buffers.map(|(_, id)| id);
    let mut engine = device.load(Arc::new(plan))?;
    engine.write(z, bytemuck::cast_slice(codes))?;
    engine.write(stats, bytemuck::cast_slice(&images.stats))?;
    let steps: Vec<Step> =
        (0..components).step_by(slice).map(|first| Step { first: first as u32, ..Step::default() }).collect();
    Ok(engine.run(program, &steps, &[log_density])?.remove(0))
}

/// N = 20,000 images with 10 independent latents: MI 9.56, TC 2.51, DW 0.00 nats in an independent program, with
/// other random numbers. TC is not 0 since the mixture of all images is finite.
fn all_images_give_the_table() -> Result<(), Failed> {
    let (count, queries) = (20_000, 2_000);
    let images = Images::new(count, 10);
    let log_density = aggregate(&CPU, &images, queries, 7_000)?;
    let found = averages(&terms(images.some(0, queries), &log_density, images.latent));
    eprintln!("MI, TC, DW with their standard errors: {found:.3?}");
    for ([mean, _], (name, want)) in found.iter().zip([("MI", 9.56), ("TC", 2.51), ("DW", 0.0)]) {
        near(name, *mean, want, 0.15)?;
    }
    let [[mutual, _], ..] = found;
    assert!(mutual > 0.0 && mutual < (count as f64).ln(), "MI is at most ln N, not {mutual}");
    Ok(())
}

/// A density is the same however the components are sliced, on both engines as in f64.
fn slices_give_the_mixture_of_all(device: &Device) -> Result<(), Failed> {
    let images = Images::new(900, 5);
    let queries = 20;
    let whole = aggregate(&CPU, &images, queries, 900)?;
    let want = terms(images.some(0, queries), &whole, images.latent);
    for slice in [900, 64, 257] {
        let found = aggregate(device, &images, queries, slice)?;
        let found = terms(images.some(0, queries), &found, images.latent);
        let flat: Vec<f32> = found.iter().flatten().map(|&v| v as f32).collect();
        compare(&format!("slices of {slice}"), &flat, want.as_flattened(), 1e-6)?;
    }
    Ok(())
}

/// One batch as a program: densities, then the gradient of the total correlation.
struct Batch {
    plan: Arc<Plan>,
    program: ProgramId,
    z: BufferId,
    stats: BufferId,
    log_density: BufferId,
    gradient: BufferId,
    ring: BufferId,
}

impl Batch {
    fn new(batch: usize, latent: usize, weights: MixtureWeights) -> Result<Self, Failed> {
        let mut plan = Plan::default();
        let z = plan.buffer("z", batch * latent);
        let stats = plan.buffer("stats", 2 * batch * latent);
        let log_density = plan.buffer("log_density", Mixture::density_len(batch, latent));
        let gradient = plan.buffer("gradient", 3 * batch * latent);
        let ring = plan.buffer("ring", MixtureGradient::parts(batch));
        let program = plan.program("total correlation");
        let mixture = Mixture { queries: batch, components: batch, slice: batch, latent, weights };
        plan.call(program, mixture, &[("z", z), ("stats", stats), ("log_density", log_density)])?;
        let reads = [("z", z), ("stats", stats), ("log_density", log_density)];
        let writes = [("gradient", gradient), ("mixture_ring", ring)];
        let kernel = MixtureGradient { batch, latent, weights, slots: 1 };
        plan.call(program, kernel, &[&reads[..], &writes].concat())?;
        Ok(Self { plan: Arc::new(plan), program, z, stats, log_density, gradient, ring })
    }
}

/// The step of a batch that is not the first of its epoch.
fn later_step() -> Step {
    Step { first: 3, ..Step::default() }
}

/// The same images in 78 batches of 256. Both kinds of estimate are biased by the batch's size, and by how much
/// is part of the table: MI, TC and DW again of an independent program. A GPU may be a slow one in software: it gets
/// the first batches.
fn batches_give_the_table(device: &Device) -> Result<(), Failed> {
    let (count, batch) = (20_000, 256);
    let batches = if device.info().engine == "cpu" { count / batch } else { 8 };
    let images = Images::new(count, 10);
    let stratified = ([9.82, 2.52, -0.12], [0.15, 0.25, 0.15]);
    let weighted = ([15.44, 95.71, -98.92], [0.3; 3]);
    for (weights, (want, error)) in [
        (MixtureWeights::Stratified { images: count }, stratified),
        (MixtureWeights::Weighted { images: count }, weighted),
    ] {
        let program = Batch::new(batch, images.latent, weights)?;
        let mut engine = device.load(Arc::clone(&program.plan))?;
        let mut all = Vec::new();
        for first in (0..batches * batch).step_by(batch) {
            let (z, stats) = images.some(first, batch);
            engine.write(program.z, bytemuck::cast_slice(z))?;
            engine.write(program.stats, bytemuck::cast_slice(stats))?;
            let results =
                engine.run(program.program, &[later_step()], &[program.log_density, program.ring])?;
            let found = terms((z, stats), &results[0], images.latent);
            // The ring says the same of each image.
            let ring: Vec<f64> = found.iter().flat_map(|&[mutual, total, _]| [mutual, total]).collect();
            assert_eq!(ring.len(), RING_TERMS * batch);
            compare("mixture_ring", &results[1], &ring, 1e-5)?;
            all.extend(found);
        }
        let found = averages(&all);
        eprintln!("{weights:?}: MI, TC, DW with their standard errors: {found:.3?}");
        for (k, name) in ["MI", "TC", "DW"].into_iter().enumerate() {
            near(&format!("{weights:?}, {name}"), found[k][0], want[k], error[k])?;
        }
    }
    Ok(())
}

fn gradient_of_total_correlation(weights: MixtureWeights) -> Result<(), Failed> {
    let (batch, latent) = (5, 3);
    let program = Batch::new(batch, latent, weights)?;
    let mut reference = Reference::new(Arc::clone(&program.plan));
    // Components that overlap, so that no term is negligible.
    let z: Vec<f64> = wide(&normals(batch * latent));
    let stats = wide(&normals(2 * batch * latent)).into_iter().map(|v| 0.5 * v);
    let values: Vec<f64> = z.into_iter().chain(stats).collect();
    let mut run = |values: &[f64]| {
        let (z, stats) = values.split_at(batch * latent);
        reference.memory[program.z.0] = z.to_vec();
        reference.memory[program.stats.0] = stats.to_vec();
        reference.run(program.program, &later_step());
        let total: f64 = reference.memory[program.ring.0].iter().skip(1).step_by(RING_TERMS).sum();
        (total / batch as f64, reference.memory[program.gradient.0].clone())
    };
    let (_, gradient) = run(&values);
    // From (B, 3M) to z, then stats.
    let rows = || gradient.chunks_exact(3 * latent);
    let of_z = rows().flat_map(|row| &row[..latent]);
    let gradient: Vec<f64> = of_z.chain(rows().flat_map(|row| &row[latent..])).copied().collect();
    finite_differences("total correlation", &values, &gradient, |values| run(values).0)
}
