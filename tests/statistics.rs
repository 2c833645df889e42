//! Estimates, bandwidths, null distributions and tests, on both engines: published values, identities, the
//! promised accuracy, and how often tests reject.

mod common;

use common::GpuTests;
use elbo::engine::reference::Reference;
use elbo::engine::{Choice, Device};
use elbo::kernel::pair_gradient::PairGradient;
use elbo::kernel::pairs::{Family, Form};
use elbo::program::{Plan, Step};
use elbo::random::{Sequence, Stream};
use elbo::statistic::bandwidth::{Bandwidth, Rule, median_distance};
use elbo::statistic::gram::{Gram, Labels, Request};
use elbo::statistic::null::{permutations, signs};
use elbo::statistic::two_sample::{Estimates, TwoSampleSettings, estimates, incomplete, two_sample};
use elbo::statistic::{Common, KernelFunction, Null, Outcome, Sample, TwoSample, witness};
use libtest_mimic::{Arguments, Failed, Trial};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rayon::prelude::*;
use std::sync::{Arc, LazyLock};

static GPU: LazyLock<Device> = LazyLock::new(|| common::device(Choice::Gpu));
static CPU: LazyLock<Device> = LazyLock::new(|| common::device(Choice::Cpu));

type Test = fn(&Device) -> Result<(), Failed>;

/// Tests of both engines.
const BOTH: &[(&str, Test)] = &[
    ("shogun_fixtures", shogun_fixtures),
    ("sums_are_those_of_plain_loops", sums_are_those_of_plain_loops),
    ("labels_and_bins_are_those_of_plain_loops", labels_and_bins_are_those_of_plain_loops),
    ("accuracy_is_as_promised", accuracy_is_as_promised),
    ("slices_and_slabs_change_nothing", slices_and_slabs_change_nothing),
    ("medians_are_exact", medians_are_exact),
    ("degenerate_samples", degenerate_samples),
    ("the_same_bits_twice", the_same_bits_twice),
    ("the_witness_is_that_of_plain_loops", the_witness_is_that_of_plain_loops),
];

/// Tests that need many repetitions: on the CPU engine.
const CPU_ONLY: &[(&str, Test)] = &[
    ("level_of_the_exact_null", |device| level(device, Null::Exact, [100, 150], None)),
    ("level_of_the_binned_null", |device| level(device, Null::Binned, [100, 150], Some(5))),
    ("level_of_the_wild_null", |device| level(device, Null::Wild, [100, 100], None)),
    ("variance_is_that_of_repetitions", variance_is_that_of_repetitions),
    ("ties_count_as_exceedances", ties_count_as_exceedances),
    ("sequential_decisions_are_those_of_all_draws", sequential_decisions_are_those_of_all_draws),
    ("wrong_use_is_refused", wrong_use_is_refused),
    ("the_gradient_is_that_of_finite_differences", |_| the_gradient_is_that_of_finite_differences()),
];

fn main() {
    let arguments = Arguments::from_args();
    let skip_gpu = common::gpu_tests() == GpuTests::Off;
    let mut trials = Vec::new();
    for &(name, test) in BOTH {
        trials.push(Trial::test(format!("cpu::{name}"), move || test(&CPU)));
        trials.push(Trial::test(format!("gpu::{name}"), move || test(&GPU)).with_ignored_flag(skip_gpu));
    }
    for &(name, test) in CPU_ONLY {
        trials.push(Trial::test(format!("cpu::{name}"), move || test(&CPU)));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// `n` normal points around `mean`.
fn normal(seed: u64, n: usize, d: usize, mean: f64) -> Vec<f64> {
    let mut random = Sequence::new(seed, Stream::Data, n as u32);
    (0..n * d).map(|_| mean + f64::from(random.normal())).collect()
}

fn gram(device: &Device, [x, y]: [Sample<'_>; 2], kernel: &KernelFunction) -> Gram {
    Gram::new(device, [x, y], kernel, &Request::Squares, false, &mut |_| Ok(()))
        .unwrap_or_else(|e| panic!("{e}"))
}

/// The truth of all sums, in plain f64 loops on the inputs as they are.
struct Plain {
    k: Vec<Vec<f64>>,
    n: usize,
}

impl Plain {
    fn new([x, y]: [Sample<'_>; 2], kernel: &KernelFunction) -> Self {
        let points: Vec<&[f64]> =
            (0..x.len()).map(|i| x.point(i)).chain((0..y.len()).map(|j| y.point(j))).collect();
        let row = |i: usize| {
            let value = |j: usize| if i == j { 0.0 } else { kernel.value(points[i], points[j]) };
            (0..points.len()).map(value).collect()
        };
        Self { k: (0..points.len()).into_par_iter().map(row).collect(), n: x.len() }
    }

    /// The unbiased estimate if the points with `is_x` were X.
    fn unbiased(&self, is_x: impl Fn(usize) -> bool) -> f64 {
        let all = 0..self.k.len();
        let n = all.clone().filter(|&i| is_x(i)).count() as f64;
        let m = self.k.len() as f64 - n;
        let mut sum = 0.0;
        for i in all.clone() {
            for j in all.clone() {
                sum += self.k[i][j]
                    * match (is_x(i), is_x(j)) {
                        (true, true) => 1.0 / (n * (n - 1.0)),
                        (false, false) => 1.0 / (m * (m - 1.0)),
                        _ => -1.0 / (n * m),
                    };
            }
        }
        sum
    }

    fn observed(&self) -> f64 {
        self.unbiased(|i| i < self.n)
    }

    fn biased(&self, at_zero: f64) -> f64 {
        let (n, m) = (self.n as f64, (self.k.len() - self.n) as f64);
        let mut sum = at_zero * (1.0 / n + 1.0 / m);
        for (i, row) in self.k.iter().enumerate() {
            for (j, k) in row.iter().enumerate() {
                sum += k * match (i < self.n, j < self.n) {
                    (true, true) => 1.0 / (n * n),
                    (false, false) => 1.0 / (m * m),
                    _ => -1.0 / (n * m),
                };
            }
        }
        sum
    }
}

fn near(what: &str, got: f64, want: f64, error: f64) -> Result<(), Failed> {
    if (got - want).abs() <= error {
        return Ok(());
    }
    Err(format!("{what}: {got}, expected {want} within {error:.0e}, off by {:.1e}", got - want).into())
}

/// shogun, tests/unit/statistical_testing/QuadraticTimeMMD_unittest.cc: values are MMD^2 n m / (n + m).
fn shogun_fixtures(device: &Device) -> Result<(), Failed> {
    let row_major = |first: usize, largest: f64| -> Vec<f64> {
        // 24 numbers fill 3 x 8 column by column there: a point is a column of 8 rows there, so 8 points of 3.
        (first..first + 24).map(|v| v as f64 / largest).collect()
    };
    let (p, q) = (row_major(0, 23.0), row_major(24, 47.0));
    let samples = [Sample::new(3, &p), Sample::new(3, &q)];
    let kernel = KernelFunction::new(Family::Gaussian, 2.0);
    let sums = gram(device, samples, &kernel);
    let found = estimates(&sums, &kernel);
    near("biased", 4.0 * found.biased, 0.178_825_464_867_796, 1e-6)?;
    near("unbiased", 4.0 * found.unbiased, 0.134_400_943_361_337, 1e-6)?;
    near("incomplete", 4.0 * incomplete(&sums, samples, &kernel), 0.167_439_772_011_758, 1e-6)?;

    let x = [0.613_180_59, -0.692_229_99, 0.944_244_11, -0.487_696_26, -0.007_095_51];
    let y = [0.350_255_98, 0.207_413_84, -0.636_225_19, -1.213_152_64, -0.773_496_17, -0.427_070_91];
    let samples = [Sample::new(1, &x), Sample::new(1, &y)];
    let kernel = KernelFunction::new(Family::Gaussian, 1.0);
    let found = estimates(&gram(device, samples, &kernel), &kernel);
    near("unbiased, n = 5, m = 6", found.unbiased * 30.0 / 11.0, -0.037_500_338_130_197_6, 1e-6)
}

fn any_kernel() -> impl Strategy<Value = KernelFunction> {
    let families = [Family::Gaussian, Family::Laplace, Family::Imq, Family::Energy];
    (proptest::sample::select(families.to_vec()), prop::collection::vec(0.3..4.0f64, 1..4), any::<bool>())
        .prop_map(|(family, mut bandwidths, mean)| {
            if family == Family::Energy {
                bandwidths.truncate(1);
            }
            KernelFunction { family, bandwidths, coordinates: None, mean }
        })
}

/// Runs a property on random sizes and kernels: few cases, as a software GPU is slow.
fn property(
    cases: u32,
    test: impl Fn(usize, usize, usize, KernelFunction, u64) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let mut runner = TestRunner::new_with_rng(
        Config { cases, failure_persistence: None, ..Config::default() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let sizes = (2..70usize, 2..70usize, 1..20usize, any_kernel(), any::<u32>());
    let run = |(n, m, d, kernel, seed)| {
        test(n, m, d, kernel, u64::from(seed))
            .map_err(|e| TestCaseError::fail(e.message().unwrap_or("failed").to_owned()))
    };
    runner.run(&sizes, run).map_err(|e| Failed::from(e.to_string()))
}

fn sums_are_those_of_plain_loops(device: &Device) -> Result<(), Failed> {
    property(24, |n, m, d, kernel, seed| {
        let (x, y) = (normal(seed, n, d, 0.0), normal(seed + 1, m, d, 0.3));
        let samples = [Sample::new(d, &x), Sample::new(d, &y)];
        let plain = Plain::new(samples, &kernel);
        let sums = gram(device, samples, &kernel);
        let largest = plain.k.iter().flatten().fold(1.0f64, |a, k| a.max(k.abs()));
        for (i, row) in plain.k.iter().enumerate() {
            for class in 0..2 {
                let own = |&(j, _): &(usize, &f64)| (j >= n) == (class == 1);
                let k: f64 = row.iter().enumerate().filter(own).map(|(_, k)| k).sum();
                let size = (row.len() * kernel.bandwidths.len()) as f64;
                let k2: f64 = row.iter().enumerate().filter(own).map(|(_, k)| k * k).sum();
                let unit = sums.unit;
                near(&format!("k of point {i}"), unit * sums.k[i][class], k, 3e-7 * size * largest)?;
                near(
                    &format!("k^2 of point {i}"),
                    unit * unit * sums.k2[i][class],
                    k2,
                    1e-6 * size * kernel.bandwidths.len() as f64 * largest * largest,
                )?;
            }
        }
        let found = estimates(&sums, &kernel);
        near("unbiased", sums.unit * found.unbiased, plain.observed(), 1e-6 * largest)?;
        near("biased", sums.unit * found.biased, plain.biased(kernel.at_zero()), 1e-6 * largest)?;
        if found.biased < -1e-6 * largest {
            return Err(format!("the biased estimate {} is negative", found.biased).into());
        }
        Ok(())
    })
}

/// The label of point `p` in draw `b`.
fn label(labels: &Labels, n: usize, p: usize, b: usize) -> bool {
    let place = if p < n { p } else { n.next_multiple_of(32) + p - n };
    labels.words[place / 32 * labels.draws + b] >> (place % 32) & 1 == 1
}

/// One product for each permutation gives what re-labelling gives; bins are sums of K; the wild bootstrap is
/// w'H w.
fn labels_and_bins_are_those_of_plain_loops(device: &Device) -> Result<(), Failed> {
    property(10, |n, m, d, kernel, seed| {
        let (x, y) = (normal(seed, n, d, 0.0), normal(seed + 1, m, d, 0.3));
        let samples = [Sample::new(d, &x), Sample::new(d, &y)];
        let plain = Plain::new(samples, &kernel);
        let largest = plain.k.iter().flatten().fold(1.0f64, |a, k| a.max(k.abs()));
        let bandwidth = match kernel.family {
            Family::Energy => Bandwidth::default(),
            _ => Bandwidth::Values(kernel.bandwidths.clone()),
        };
        let settings = TwoSampleSettings {
            family: kernel.family,
            bandwidth,
            sum: !kernel.mean,
            common: Common { permutations: 37, seed, ..Common::default() },
            ..TwoSampleSettings::default()
        };
        let test = two_sample(device, samples, &settings, &mut |_| Ok(()))?;
        let labels = permutations([n, m], seed, 0, 38);
        near("observed", test.statistic, plain.observed(), 1e-6 * largest)?;
        for (b, draw) in test.draws.iter().enumerate() {
            let chosen = (0..n + m).filter(|&p| label(&labels, n, p, b + 1)).count();
            assert_eq!(chosen, n.min(m), "each permutation calls as many points the smaller sample");
            let want = plain.unbiased(|p| label(&labels, n, p, b + 1));
            near(&format!("permutation {b}"), *draw, want, 1e-6 * largest)?;
        }

        // Wild: the first points of both samples, paired.
        let pairs = n.min(m);
        let paired = samples.map(|sample| sample.first(pairs));
        let test = two_sample(
            device,
            paired,
            &TwoSampleSettings { common: Common { null: Null::Wild, ..settings.common }, ..settings },
            &mut |_| Ok(()),
        )?;
        let (plain, labels) = (Plain::new(paired, &kernel), signs(pairs, seed, 0, 38));
        for b in 0..38 {
            let w = |i: usize| if label(&labels, pairs, i, b) { 1.0 } else { -1.0 };
            let mut form = 0.0;
            for i in 0..pairs {
                for j in (0..pairs).filter(|&j| j != i) {
                    let k = &plain.k;
                    let h = k[i][j] + k[pairs + i][pairs + j] - k[i][pairs + j] - k[j][pairs + i];
                    form += w(i) * h * w(j);
                }
            }
            let got = if b == 0 { test.statistic } else { test.draws[b - 1] };
            let scale = (pairs * (pairs - 1)) as f64;
            near(&format!("signs {b}"), got, form / scale, 4e-6 * largest)?;
        }

        // Bins of three points.
        let [x, y] = samples.map(|sample| sample.first(sample.len() / 3 * 3));
        if x.is_empty() || y.is_empty() {
            return Ok(());
        }
        let gram = Gram::new(device, [x, y], &kernel, &Request::Bins(3), false, &mut |_| Ok(()))?;
        let plain = Plain::new([x, y], &kernel);
        let bins = plain.k.len() / 3;
        for u in 0..bins {
            for v in 0..bins {
                let own = |i: usize| plain.k[i][3 * v..3 * v + 3].iter().sum::<f64>();
                let want: f64 = (3 * u..3 * u + 3).map(own).sum();
                let got = gram.unit * gram.bins[u * bins + v];
                // What is left of three points' sums with their sample: as wrong as those may be.
                let rest = if u == v { 3.0 * 3e-7 * n.max(m) as f64 } else { 0.0 };
                near(&format!("bins {u}, {v}"), got, want, rest.max(1e-5) * largest)?;
            }
        }
        Ok(())
    })
}

/// The promised accuracy: kernels up to 1, an offset common to both samples.
fn accuracy_is_as_promised(device: &Device) -> Result<(), Failed> {
    // The truth costs n^2 d in f64 loops, and a software GPU takes a second for a few million pairs of 784
    // coordinates: with ELBO_ACCURACY=all, minutes.
    let all = std::env::var("ELBO_ACCURACY").is_ok_and(|value| value == "all");
    let largest = if all || device.info().engine == "cpu" { 4096 } else { 300 };
    let mut worst: [f64; 3] = [0.0; 3];
    for d in [1, 3, 32, 33, 784] {
        for offset in [0.0, 10.0, 100.0, 1000.0] {
            for n in [2, 3, 16, 37, 256, 300, 1000, 4096].into_iter().filter(|&n| n <= largest) {
                if !all && (n * n * d > 1 << 27 || (n > 1000 && offset != 1000.0)) {
                    continue;
                }
                let (x, y) = (normal(1, n, d, offset), normal(2, n + 1, d, offset + 0.1));
                let samples = [Sample::new(d, &x), Sample::new(d, &y)];
                let kernel = KernelFunction::new(Family::Gaussian, (d as f64).sqrt());
                let plain = Plain::new(samples, &kernel);
                let found = estimates(&gram(device, samples, &kernel), &kernel);
                let (size, bound) = match n {
                    0..16 => (0, 5e-7),
                    16..256 => (1, 2e-7),
                    _ => (2, 1e-8),
                };
                let what = format!("n = {n}, d = {d}, offset {offset}");
                for (got, want) in [(found.unbiased, plain.observed()), (found.biased, plain.biased(1.0))] {
                    worst[size] = worst[size].max((got - want).abs());
                    near(&what, got, want, bound)?;
                }
            }
        }
    }
    let [tiny, small, large] = worst;
    let engine = device.info().engine;
    eprintln!(
        "{engine}: largest errors {tiny:.1e} below 16 points, {small:.1e} below 256, {large:.1e} above"
    );
    expanded_form_is_accurate(device)
}

/// The expanded form at the edge of where it is used: the farthest point 8 bandwidths from the centre.
fn expanded_form_is_accurate(device: &Device) -> Result<(), Failed> {
    for d in [8, 33] {
        let mut x = normal(5, 300, d, 500.0);
        let y = normal(6, 280, d, 500.1);
        x[..d].iter_mut().for_each(|v| *v += 3.0);
        let samples = [Sample::new(d, &x), Sample::new(d, &y)];
        let farthest = |bandwidth: f64| {
            let kernel = KernelFunction::new(Family::Gaussian, bandwidth);
            (gram(device, samples, &kernel), kernel)
        };
        let mut bandwidth = 8.0;
        while farthest(bandwidth * 0.95).0.form == Form::Expanded {
            bandwidth *= 0.95;
        }
        let (sums, kernel) = farthest(bandwidth);
        assert_eq!(sums.form, Form::Expanded, "d = {d}");
        let plain = Plain::new(samples, &kernel);
        near(&format!("expanded, d = {d}"), estimates(&sums, &kernel).unbiased, plain.observed(), 1e-8)?;
    }
    Ok(())
}

/// Samples beyond one slice of the device's memory and beyond one step: wide points make slices small.
fn slices_and_slabs_change_nothing(device: &Device) -> Result<(), Failed> {
    // 64 MiB hold 256 points of 65,536 numbers: three slices.
    let d = 65_000;
    let mut x = vec![0.0; 300 * d];
    let mut y = vec![0.0; 130 * d];
    // Points that differ in their first coordinates alone.
    for (values, seed) in [(&mut x, 1), (&mut y, 2)] {
        let few = normal(seed, values.len() / d, 2, 0.0);
        for (point, few) in values.chunks_exact_mut(d).zip(few.chunks_exact(2)) {
            point[..2].copy_from_slice(few);
        }
    }
    let narrow =
        |values: &[f64]| -> Vec<f64> { values.chunks_exact(d).flat_map(|p| p[..2].to_vec()).collect() };
    let (few_x, few_y) = (narrow(&x), narrow(&y));
    let kernel = KernelFunction::new(Family::Laplace, 1.5);
    let wide = gram(device, [Sample::new(d, &x), Sample::new(d, &y)], &kernel);
    let few = gram(device, [Sample::new(2, &few_x), Sample::new(2, &few_y)], &kernel);
    for (i, (a, b)) in wide.k.iter().zip(&few.k).enumerate() {
        near(&format!("point {i}"), a[0], b[0], 1e-3)?;
        near(&format!("point {i}"), a[1], b[1], 1e-3)?;
    }
    let [a, b] = [&wide, &few].map(|sums| estimates(sums, &kernel).unbiased);
    near("unbiased", a, b, 1e-7)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    0.5 * (values[(n - 1) / 2] + values[n / 2])
}

fn medians_are_exact(device: &Device) -> Result<(), Failed> {
    for (n, d) in [(2, 1), (3, 2), (40, 3), (41, 5), (300, 2)] {
        let x = normal(7, n, d, 3.0);
        let sample = Sample::new(d, &x);
        let distances = |f: &dyn Fn(&[f64], &[f64]) -> f64| -> Vec<f64> {
            (0..n)
                .flat_map(|i| (0..i).map(move |j| (i, j)))
                .map(|(i, j)| f(sample.point(i), sample.point(j)))
                .collect()
        };
        let l2 = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
        let l1 = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>();
        let (want2, want1) = (median(distances(&l2)), median(distances(&l1)));
        near("L2", median_distance(device, sample, Family::Gaussian)?, want2, 4e-7 * want2)?;
        near("L1", median_distance(device, sample, Family::Laplace)?, want1, 4e-7 * want1)?;
        if n < 4 {
            continue;
        }
        let halves = [sample.first(n / 2), Sample::new(d, &x[n / 2 * d..])];
        let resolve =
            |rule, family| Bandwidth::Rule(rule, vec![0.5, 2.0]).resolve(device, halves, family, true, 0);
        let found = resolve(Rule::Median, Family::Imq)?;
        near("half the median", found.kernel.bandwidths[0], 0.5 * want2, 4e-7 * want2)?;
        near("twice the median", found.kernel.bandwidths[1], 2.0 * want2, 4e-7 * want2)?;
        for (family, distance) in [(Family::Gaussian, distances(&l2)), (Family::Laplace, distances(&l1))] {
            let mean = distance.iter().sum::<f64>() / distance.len() as f64;
            let found = resolve(Rule::Mean, family)?.kernel.bandwidths[1];
            near("mean", found, 2.0 * mean, 1e-6 * mean)?;
        }
        let coordinates = resolve(Rule::MedianPerFeature, Family::Laplace)?.kernel.coordinates;
        for (f, found) in coordinates.unwrap_or_default().iter().enumerate() {
            let want = median(distances(&|a: &[f64], b: &[f64]| (a[f] - b[f]).abs()));
            near(&format!("coordinate {f}"), *found, want, 1e-12)?;
        }
    }
    Ok(())
}

/// Duplicates, constant coordinates, points that all coincide, kernels that are 0 or 1 everywhere.
fn degenerate_samples(device: &Device) -> Result<(), Failed> {
    let test = |x: &[f64], y: &[f64], bandwidth: Bandwidth| {
        let settings = TwoSampleSettings {
            bandwidth,
            common: Common { permutations: 19, ..Common::default() },
            ..TwoSampleSettings::default()
        };
        two_sample(device, [Sample::new(2, x), Sample::new(2, y)], &settings, &mut |_| Ok(()))
    };
    let warned = |result: &Outcome<TwoSample>, word: &str| {
        assert!(
            result.warnings.iter().any(|w| w.contains(word)),
            "no warning of `{word}`: {:?}",
            result.warnings
        );
    };
    let constant = [3.0; 20];
    let same = test(&constant, &constant, Bandwidth::default())?;
    warned(&same, "coincide");
    assert_eq!((same.found.mmd2_unbiased, same.p.p_value), (0.0, 1.0), "equal points do not differ");
    // Three in four points coincide: the median distance is 0.
    let mostly: Vec<f64> = (0..40).map(|i| if i % 8 == 0 { f64::from(i) } else { 1.0 }).collect();
    let result = test(&mostly, &mostly, Bandwidth::default())?;
    warned(&result, "many points coincide");
    let kernel = &result.found.kernel;
    assert!(kernel.bandwidth_rule.starts_with("mean") && kernel.bandwidths[0] > 0.0, "{kernel:?}");
    let (x, y) = (normal(1, 10, 2, 0.0), normal(2, 12, 2, 0.0));
    warned(&test(&x, &y, Bandwidth::Values(vec![1e-3]))?, "nearly 0");
    warned(&test(&x, &y, Bandwidth::Values(vec![1e5]))?, "nearly 1");
    // A constant coordinate far away changes nothing.
    let far = |v: &[f64]| -> Vec<f64> { v.chunks_exact(2).flat_map(|p| [p[0], 1e9]).collect() };
    let near_by = |v: &[f64]| -> Vec<f64> { v.chunks_exact(2).flat_map(|p| [p[0], 0.0]).collect() };
    let [a, b] = [
        test(&far(&x), &far(&y), Bandwidth::default())?,
        test(&near_by(&x), &near_by(&y), Bandwidth::default())?,
    ];
    near("constant coordinate", a.found.mmd2_unbiased, b.found.mmd2_unbiased, 1e-12)?;
    assert_eq!(a.p.p_value, b.p.p_value, "constant coordinate");
    Ok(())
}

fn the_same_bits_twice(device: &Device) -> Result<(), Failed> {
    let (x, y) = (normal(1, 300, 3, 0.0), normal(2, 270, 3, 0.1));
    let run = || {
        let settings = TwoSampleSettings {
            common: Common { permutations: 50, ..Common::default() },
            ..TwoSampleSettings::default()
        };
        two_sample(device, [Sample::new(3, &x), Sample::new(3, &y)], &settings, &mut |_| Ok(()))
    };
    let (a, b) = (run()?, run()?);
    assert_eq!(a.found.mmd2_unbiased.to_bits(), b.found.mmd2_unbiased.to_bits());
    assert_eq!(a.found.variance.map(f64::to_bits), b.found.variance.map(f64::to_bits));
    assert_eq!(
        a.draws.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
        b.draws.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    );
    Ok(())
}

fn the_witness_is_that_of_plain_loops(device: &Device) -> Result<(), Failed> {
    let (x, y, t) = (normal(1, 40, 2, 0.0), normal(2, 70, 2, 0.5), normal(3, 9, 2, 0.0));
    let samples = [Sample::new(2, &x), Sample::new(2, &y)];
    let kernel = KernelFunction::new(Family::Gaussian, 0.8);
    let mean = |sample: Sample<'_>, point: &[f64], skip: Option<usize>| {
        let others: Vec<usize> = (0..sample.len()).filter(|&i| Some(i) != skip).collect();
        others.iter().map(|&i| kernel.value(sample.point(i), point)).sum::<f64>() / others.len() as f64
    };
    let points = Sample::new(2, &t);
    for (i, got) in witness::at(device, samples, &kernel, points, &mut |_| Ok(()))?.iter().enumerate() {
        let want = mean(samples[0], points.point(i), None) - mean(samples[1], points.point(i), None);
        near(&format!("point {i}"), *got, want, 1e-6)?;
    }
    let [of_x, of_y] = witness::at_samples(device, samples, &kernel, &mut |_| Ok(()))?.values;
    for (i, got) in of_x.iter().enumerate() {
        let point = samples[0].point(i);
        near(
            &format!("x {i}"),
            *got,
            mean(samples[0], point, Some(i)) - mean(samples[1], point, None),
            1e-6,
        )?;
    }
    for (i, got) in of_y.iter().enumerate() {
        let point = samples[1].point(i);
        near(
            &format!("y {i}"),
            *got,
            mean(samples[0], point, None) - mean(samples[1], point, Some(i)),
            1e-6,
        )?;
    }
    Ok(())
}

/// The f64 definition of the gradient, which both engines are compared with, against differences of the sums.
fn the_gradient_is_that_of_finite_differences() -> Result<(), Failed> {
    let (n, m, d, weights) = (5, 4, 3, [0.7, -1.3]);
    let (x, y) = (normal(1, n, d, 0.0), normal(2, m, d, 0.4));
    for family in [Family::Gaussian, Family::Laplace, Family::Imq, Family::Energy] {
        let kernel = KernelFunction { family, bandwidths: vec![1.3], coordinates: None, mean: true };
        let mut plan = Plan::default();
        let lens = [("x", n * d), ("y", m * d), ("scales", 1), ("weights", 2), ("gradient", n * d)];
        let buffers = lens.map(|(name, len)| (name, plan.buffer(name, len)));
        let program = plan.program("gradient");
        plan.call(program, PairGradient { n, m, d, family, bandwidths: 1 }, &buffers)?;
        let mut reference = Reference::new(Arc::new(plan));
        let contents = [x.clone(), y.clone(), vec![family.scale(1.3)], weights.to_vec()];
        for ((_, id), values) in buffers.iter().zip(contents) {
            reference.memory[id.0] = values;
        }
        reference.run(program, &Step::default());
        let sum = |x: &[f64]| {
            let (x, y) = (Sample::new(d, x), Sample::new(d, &y));
            let mut sum = 0.0;
            for i in 0..n {
                let own = (0..n).filter(|&j| j != i).map(|j| kernel.value(x.point(i), x.point(j)));
                let other = (0..m).map(|j| kernel.value(x.point(i), y.point(j)));
                sum += 0.5 * weights[0] * own.sum::<f64>() + weights[1] * other.sum::<f64>();
            }
            sum
        };
        for (i, got) in reference.memory[buffers[4].1.0].iter().enumerate() {
            let step = 1e-6;
            let moved = |by: f64| {
                let mut x = x.clone();
                x[i] += by;
                sum(&x)
            };
            let want = (moved(step) - moved(-step)) / (2.0 * step);
            near(&format!("{family:?}, number {i}"), *got, want, 1e-8)?;
        }
    }
    Ok(())
}

/// 2,000 tests of samples from one distribution reject in 5 % of the cases, to within 3 standard errors.
fn level(device: &Device, null: Null, [n, m]: [usize; 2], bin: Option<usize>) -> Result<(), Failed> {
    let repetitions = 2000;
    let mut rejected = 0;
    for seed in 0..repetitions {
        let (x, y) = (normal(2 * seed, n, 2, 0.0), normal(2 * seed + 1, m + 1, 2, 0.0));
        let settings = TwoSampleSettings {
            bin,
            common: Common { null, permutations: 199, seed, ..Common::default() },
            ..TwoSampleSettings::default()
        };
        let samples = [Sample::new(2, &x), Sample::new(2, &y[..2 * m])];
        rejected += u32::from(two_sample(device, samples, &settings, &mut |_| Ok(()))?.p.reject);
    }
    let rate = f64::from(rejected) / repetitions as f64;
    eprintln!("{}: {rate} of {repetitions} rejected at 0.05", null.name());
    near("rejection rate", rate, 0.05, 0.015)
}

/// The mean of the variance's estimates is the variance of the estimates, with and without a difference.
fn variance_is_that_of_repetitions(device: &Device) -> Result<(), Failed> {
    for (n, m, shift) in [(10, 25, 0.0), (10, 25, 0.5), (40, 15, 0.5)] {
        let repetitions = 4000;
        let kernel = KernelFunction::new(Family::Gaussian, 1.0);
        let found: Vec<Estimates> = (0..repetitions)
            .map(|seed| {
                let (x, y) = (normal(2 * seed, n, 1, 0.0), normal(2 * seed + 1, m, 1, shift));
                estimates(&gram(device, [Sample::new(1, &x), Sample::new(1, &y)], &kernel), &kernel)
            })
            .collect();
        let moments = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64)
        };
        let unbiased: Vec<f64> = found.iter().map(|e| e.unbiased).collect();
        let (mean, want) = moments(&unbiased);
        let (got, spread) = moments(&found.iter().map(|e| e.variance).collect::<Vec<_>>());
        // Standard errors of both sides: of a variance through the fourth moment.
        let fourth = unbiased.iter().map(|v| (v - mean).powi(4)).sum::<f64>() / repetitions as f64;
        let error = ((spread + fourth - want * want) / repetitions as f64).sqrt();
        near(&format!("variance, n = {n}, m = {m}, shift {shift}"), got, want, 4.0 * error)?;
    }
    Ok(())
}

/// Two values only: most permutations tie with what was observed, and a tie counts.
fn ties_count_as_exceedances(device: &Device) -> Result<(), Failed> {
    let x = [0.0, 1.0, 0.0, 1.0];
    let y = [1.0, 0.0, 1.0, 0.0];
    let settings = TwoSampleSettings {
        common: Common { permutations: 200, ..Common::default() },
        ..TwoSampleSettings::default()
    };
    let result = two_sample(device, [Sample::new(1, &x), Sample::new(1, &y)], &settings, &mut |_| Ok(()))?;
    assert_eq!(result.p.p_value, 1.0, "equal samples are the least extreme labelling");
    assert!(result.p.p_standard_error == 0.0 && !result.p.reject);
    Ok(())
}

fn sequential_decisions_are_those_of_all_draws(device: &Device) -> Result<(), Failed> {
    let mut stopped = 0;
    for seed in 0..40u64 {
        let shift = 0.02 * seed as f64;
        let (x, y) = (normal(2 * seed, 60, 1, 0.0), normal(2 * seed + 1, 50, 1, shift));
        let samples = [Sample::new(1, &x), Sample::new(1, &y)];
        let all = TwoSampleSettings {
            common: Common { permutations: 499, seed, ..Common::default() },
            ..TwoSampleSettings::default()
        };
        let few = TwoSampleSettings { sequential: true, ..all.clone() };
        let (all, few) = (
            two_sample(device, samples, &all, &mut |_| Ok(()))?,
            two_sample(device, samples, &few, &mut |_| Ok(()))?,
        );
        assert_eq!(all.p.reject, few.p.reject, "seed {seed}: {} and {}", all.p.p_value, few.p.p_value);
        assert_eq!(all.draws[..few.draws.len()], few.draws[..], "the same permutations");
        stopped += usize::from(few.draws.len() < all.draws.len());
    }
    assert!(stopped > 10, "{stopped} of 40 stopped early");
    Ok(())
}

fn wrong_use_is_refused(device: &Device) -> Result<(), Failed> {
    let values = normal(1, 12, 2, 0.0);
    let refused = |x: Sample<'_>, y: Sample<'_>, settings: TwoSampleSettings, word: &str| {
        let error = two_sample(device, [x, y], &settings, &mut |_| Ok(())).expect_err(word).to_string();
        assert!(error.contains(word), "{error}");
    };
    let (narrow, wide) = (Sample::new(1, &values), Sample::new(2, &values));
    let settings = TwoSampleSettings::default;
    refused(narrow, wide, settings(), "columns");
    refused(wide.first(1), wide, settings(), "two of each");
    refused(
        wide.first(5),
        wide,
        TwoSampleSettings { common: Common { null: Null::Wild, ..settings().common }, ..settings() },
        "one size",
    );
    refused(
        wide,
        wide,
        TwoSampleSettings {
            bin: Some(6),
            common: Common { null: Null::Binned, ..settings().common },
            ..settings()
        },
        "bins",
    );
    refused(
        wide,
        wide,
        TwoSampleSettings { common: Common { permutations: 0, ..settings().common }, ..settings() },
        "permutation",
    );
    refused(
        wide,
        wide,
        TwoSampleSettings { common: Common { alpha: 1.0, ..settings().common }, ..settings() },
        "level",
    );
    refused(
        wide,
        wide,
        TwoSampleSettings { bandwidth: Bandwidth::Values(vec![-1.0]), ..settings() },
        "bandwidth",
    );
    let energy =
        TwoSampleSettings { family: Family::Energy, bandwidth: Bandwidth::Values(vec![1.0]), ..settings() };
    refused(wide, wide, energy, "no bandwidth");
    for wrong in ["", "0", "-1", "nan", "medain", "median,mean", "1,median", "2*", "x*median"] {
        assert!(wrong.parse::<Bandwidth>().is_err(), "{wrong:?}");
    }
    assert_eq!("0.5*median, median".parse(), Ok(Bandwidth::Rule(Rule::Median, vec![0.5, 1.0])));
    assert_eq!("0.5,2".parse(), Ok(Bandwidth::Values(vec![0.5, 2.0])));
    Ok(())
}
