//! Independence, goodness of fit and relative tests, on both engines: identities, variances, and how often they
//! reject.

mod common;

use common::GpuTests;
use elbo::density::{Covariance, Density, Gaussian, GaussianMixture, Laplace, fit as mixtures};
use elbo::engine::{Choice, Device};
use elbo::error::Result as Fallible;
use elbo::kernel::pairs::Family;
use elbo::random::{Sequence, Stream};
use elbo::statistic::aggregate::{self, AggregateSettings};
use elbo::statistic::closer::{CloserSettings, Side, closer};
use elbo::statistic::fit::{self, Candidate, FitSettings, better, fit};
use elbo::statistic::independence::{IndependenceSettings, independence};
use elbo::statistic::{Bandwidth, Common, KernelFunction, Null, Sample, TwoSampleSettings, null, two_sample};
use libtest_mimic::{Arguments, Failed, Trial};
use std::sync::LazyLock;

static GPU: LazyLock<Device> = LazyLock::new(|| common::device(Choice::Gpu));
static CPU: LazyLock<Device> = LazyLock::new(|| common::device(Choice::Cpu));

type Test = fn(&Device) -> Result<(), Failed>;

/// Tests of both engines.
const BOTH: &[(&str, Test)] = &[
    ("hsic_is_the_trace_with_centring_matrices", hsic_is_the_trace_with_centring_matrices),
    ("wild_draws_are_those_of_plain_loops", wild_draws_are_those_of_plain_loops),
    ("ksd_is_that_of_finite_differences", ksd_is_that_of_finite_differences),
    ("the_difference_is_that_of_two_tests", the_difference_is_that_of_two_tests),
    ("a_budget_takes_near_pairs", a_budget_takes_near_pairs),
    ("the_largest_budget_takes_all_pairs", the_largest_budget_takes_all_pairs),
];

/// Tests that need many repetitions: on the CPU engine.
const CPU_ONLY: &[(&str, Test)] = &[
    ("distance_correlation_is_that_of_its_definition", distance_correlation_is_that_of_its_definition),
    ("unbiased_estimates_have_mean_zero", unbiased_estimates_have_mean_zero),
    (
        "the_variance_of_a_difference_is_that_of_repetitions",
        the_variance_of_a_difference_is_that_of_repetitions,
    ),
    ("level_of_independence", level_of_independence),
    ("level_of_fit", level_of_fit),
    ("level_of_closer", level_of_closer),
    ("level_of_better", level_of_better),
    ("level_with_a_chosen_bandwidth", level_with_a_chosen_bandwidth),
    ("the_chosen_bandwidth_is_the_most_powerful", the_chosen_bandwidth_is_the_most_powerful),
    ("level_of_aggregated_tests", level_of_aggregated_tests),
    ("level_of_aggregated_independence", level_of_aggregated_independence),
    ("level_of_aggregated_fit", level_of_aggregated_fit),
    ("level_with_a_budget", level_with_a_budget),
    ("what_is_there_is_found", what_is_there_is_found),
    ("each_variable_has_its_own_bandwidth", each_variable_has_its_own_bandwidth),
    (
        "each_kernel_of_an_aggregated_test_is_a_test_of_its_own",
        each_kernel_of_an_aggregated_test_is_a_test_of_its_own,
    ),
    (
        "each_pair_of_kernels_is_a_test_of_independence_of_its_own",
        each_pair_of_kernels_is_a_test_of_independence_of_its_own,
    ),
    ("each_bandwidth_is_a_test_of_fit_of_its_own", each_bandwidth_is_a_test_of_fit_of_its_own),
    ("tiny_bandwidths_lose_no_digits", tiny_bandwidths_lose_no_digits),
    ("small_scales_are_seen_by_many_kernels_alone", small_scales_are_seen_by_many_kernels_alone),
    ("no_p_value_is_zero", no_p_value_is_zero),
    ("wrong_use_is_refused", wrong_use_is_refused),
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

/// `n` normal points around `mean`, different ones for each `which`.
fn normal(which: u32, n: usize, d: usize, mean: f64) -> Vec<f64> {
    let mut random = Sequence::new(5, Stream::Data, which);
    (0..n * d).map(|_| mean + f64::from(random.normal())).collect()
}

fn near(what: &str, got: f64, want: f64, error: f64) -> Result<(), Failed> {
    if (got - want).abs() <= error {
        return Ok(());
    }
    Err(format!("{what}: {got}, expected {want} +- {error:.1e}").into())
}

type Matrix = Vec<Vec<f64>>;

/// A kernel matrix in f64, its diagonal included.
fn matrix(sample: Sample<'_>, kernel: &KernelFunction) -> Matrix {
    let row = |i: usize| (0..sample.len()).map(|j| kernel.value(sample.point(i), sample.point(j))).collect();
    (0..sample.len()).map(row).collect()
}

/// H K H with H = 1 - 1 1' / n.
fn centred(k: &Matrix) -> Matrix {
    let n = k.len() as f64;
    let means: Vec<f64> = k.iter().map(|row| row.iter().sum::<f64>() / n).collect();
    let all = means.iter().sum::<f64>() / n;
    let entry = |i: usize, j: usize| k[i][j] - means[i] - means[j] + all;
    (0..k.len()).map(|i| (0..k.len()).map(|j| entry(i, j)).collect()).collect()
}

/// tr(K H L H) / n^2, with the points of L in another order.
fn trace(k: &Matrix, l: &Matrix, order: &[u32]) -> f64 {
    let centred = centred(k);
    let n = k.len();
    let at = |i: usize, j: usize| l[order[i] as usize][order[j] as usize];
    let sum: f64 =
        (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| centred[i][j] * at(i, j)).sum();
    sum / (n * n) as f64
}

/// The unbiased estimate as the mean of its kernel over four different points (Song et al. 2012, eq. 4).
fn mean_over_quadruples(k: &Matrix, l: &Matrix) -> f64 {
    let n = k.len();
    let (mut sum, mut count) = (0.0, 0.0);
    for i in 0..n {
        for j in (0..n).filter(|&j| j != i) {
            for q in (0..n).filter(|&q| q != i && q != j) {
                for r in (0..n).filter(|&r| r != i && r != j && r != q) {
                    sum += k[i][j] * (l[i][j] + l[q][r] - 2.0 * l[i][q]);
                    count += 1.0;
                }
            }
        }
    }
    sum / count
}

fn hsic_is_the_trace_with_centring_matrices(device: &Device) -> Result<(), Failed> {
    use Family::{Delta, Energy, Gaussian, Imq, Laplace};
    let cases = [
        (6, 1, 2, [Gaussian, Gaussian]),
        (13, 3, 1, [Laplace, Imq]),
        (33, 2, 2, [Energy, Energy]),
        (40, 9, 1, [Gaussian, Delta]),
        (70, 1, 4, [Delta, Gaussian]),
        (300, 2, 1, [Gaussian, Laplace]),
    ];
    for (case, (n, d, e, families)) in cases.into_iter().enumerate() {
        let x = normal(2 * case as u32, n, d, 100.0);
        let noise = normal(2 * case as u32 + 1, n, e, -3.0);
        let mut y: Vec<f64> = (0..n * e).map(|i| noise[i] + 0.5 * x[i / e * d]).collect();
        let mut x = x;
        for (values, family) in [(&mut x, families[0]), (&mut y, families[1])] {
            if family == Delta {
                values.iter_mut().for_each(|v| *v = v.round());
            }
        }
        let samples = [Sample::new(d, &x), Sample::new(e, &y)];
        let bandwidth = |family: Family| match family {
            Delta | Energy => Bandwidth::default(),
            _ => Bandwidth::Values(vec![1.5]),
        };
        let settings = IndependenceSettings {
            block_length: None,
            families,
            bandwidths: families.map(bandwidth),
            common: Common { permutations: 19, ..Common::default() },
        };
        let test = independence(device, samples, &settings, &mut |_| Ok(()))?;
        let [k, l] = [0, 1].map(|w| {
            let width = if families[w].without_bandwidth() { 1.0 } else { 1.5 };
            matrix(samples[w], &KernelFunction::new(families[w], width))
        });
        // Sums of n^2 terms with 24 bits, of which most is subtracted again; energy's are not bounded by 1.
        let scale = k.iter().flatten().chain(l.iter().flatten()).fold(1.0f64, |s, v| s.max(v.abs()));
        let error = 2e-7 * scale * scale;
        let identity: Vec<u32> = (0..n as u32).collect();
        let what = format!("n {n}, {families:?}");
        near(
            &format!("{what}: biased"),
            test.found.hsic_biased.unwrap_or(f64::NAN),
            trace(&k, &l, &identity),
            error,
        )?;
        for (draw, got) in test.draws.iter().enumerate() {
            let order = null::order(n, settings.common.seed, draw + 1);
            // The variable with fewer coordinates is the one that is permuted.
            let want = if d < e { trace(&l, &k, &order) } else { trace(&k, &l, &order) };
            near(&format!("{what}: draw {draw}"), *got, want, error)?;
        }
        let [of_k, of_l] = [trace(&k, &k, &identity), trace(&l, &l, &identity)];
        near(
            &format!("{what}: CKA"),
            test.found.cka.unwrap_or(f64::NAN),
            trace(&k, &l, &identity) / (of_k * of_l).sqrt(),
            1e-5,
        )?;
        if n <= 13 {
            near(
                &format!("{what}: unbiased"),
                test.found.hsic_unbiased.unwrap_or(f64::NAN),
                mean_over_quadruples(&k, &l),
                4.0 * error,
            )?;
        }
    }
    Ok(())
}

/// The statistic of paired rows and its draws, from the rows in the order that the test takes them in.
fn wild_draws_are_those_of_plain_loops(device: &Device) -> Result<(), Failed> {
    for (case, (n, d, e, families)) in [
        (9, 1, 2, [Family::Gaussian, Family::Laplace]),
        (70, 3, 1, [Family::Imq, Family::Gaussian]),
        (81, 2, 1, [Family::Gaussian, Family::Delta]),
    ]
    .into_iter()
    .enumerate()
    {
        let x = normal(70 + 2 * case as u32, n, d, 0.0);
        let mut y: Vec<f64> = normal(71 + 2 * case as u32, n, e, 0.0);
        y.iter_mut().enumerate().for_each(|(i, y)| *y += x[i / e * d]);
        if families[1] == Family::Delta {
            y.iter_mut().for_each(|y| *y = y.round());
        }
        let samples = [Sample::new(d, &x), Sample::new(e, &y)];
        let width = |family: Family| if family.without_bandwidth() { 1.0 } else { 1.5 };
        let settings = IndependenceSettings {
            block_length: None,
            families,
            bandwidths: families.map(|family| match family {
                Family::Delta => Bandwidth::default(),
                _ => Bandwidth::Values(vec![1.5]),
            }),
            common: Common { permutations: 9, null: Null::Wild, ..Common::default() },
        };
        let test = independence(device, samples, &settings, &mut |_| Ok(()))?;
        let [k, l] =
            [0, 1].map(|w| matrix(samples[w], &KernelFunction::new(families[w], width(families[w]))));
        let order = Sequence::new(settings.common.seed, Stream::Bins, 2).order(n);
        let items = n / 2;
        let difference = |k: &Matrix, i: usize, j: usize| {
            let [a, b, c, d] = [order[i], order[j], order[i + items], order[j + items]];
            k[a][b] + k[c][d] - k[a][d] - k[c][b]
        };
        let labels = null::rademacher(items, settings.common.seed, 10);
        for draw in 0..10 {
            let sign =
                |i: usize| if labels.words[i / 32 * 10 + draw] >> (i % 32) & 1 == 1 { 1.0 } else { -1.0 };
            let mut sum = 0.0;
            for i in 0..items {
                for j in (0..items).filter(|&j| j != i) {
                    sum += 0.25 * sign(i) * sign(j) * difference(&k, i, j) * difference(&l, i, j);
                }
            }
            let want = sum / (items * (items - 1)) as f64;
            let got = if draw == 0 { test.statistic } else { test.draws[draw - 1] };
            // Values up to 1 with 24 bits, the mean of up to 1,600 of them.
            near(&format!("n {n}, {families:?}, draw {draw}"), got, want, 2e-7)?;
        }
    }
    Ok(())
}

/// The energy kernel on both sides gives the distance correlation: Székely et al. 2007, definitions 3 to 5.
fn distance_correlation_is_that_of_its_definition(device: &Device) -> Result<(), Failed> {
    let (x, noise) = (normal(20, 50, 2, 0.0), normal(21, 50, 1, 0.0));
    let y: Vec<f64> = (0..50).map(|i| x[2 * i] * x[2 * i] + 0.3 * noise[i]).collect();
    let samples = [Sample::new(2, &x), Sample::new(1, &y)];
    let distance = |sample: Sample<'_>| -> Matrix {
        let norm = |i: usize, j: usize| {
            sample.point(i).iter().zip(sample.point(j)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
        };
        (0..50).map(|i| (0..50).map(|j| norm(i, j)).collect()).collect()
    };
    let [a, b] = samples.map(|sample| centred(&distance(sample)));
    let mean = |a: &Matrix, b: &Matrix| {
        a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| a * b).sum::<f64>() / 2500.0
    };
    let want = (mean(&a, &b) / (mean(&a, &a) * mean(&b, &b)).sqrt()).sqrt();
    let test = independence(device, samples, &IndependenceSettings::default(), &mut |_| Ok(()))?;
    near("distance correlation", test.found.distance_correlation.unwrap_or(f64::NAN), want, 1e-5)
}

/// A model with a given mean and standard deviations.
fn model(mean: &[f64], deviations: &[f64]) -> Gaussian {
    let variances: Vec<f64> = deviations.iter().map(|s| s * s).collect();
    Gaussian::new(mean.to_vec(), variances).unwrap_or_else(|e| panic!("{e}"))
}

/// The draws of tests of fit.
fn wild() -> Common {
    Common { null: Null::Wild, ..Common::default() }
}

fn candidate(density: &dyn Density) -> Candidate<'_> {
    Candidate { name: "model", density, refit: None }
}

/// The Stein kernel by differences of k, not by its derivatives.
fn stein(kernel: &KernelFunction, [x, s]: [&[f64]; 2], [z, t]: [&[f64]; 2]) -> f64 {
    const H: f64 = 1e-3;
    let d = x.len();
    let moved = |point: &[f64], i: usize, by: f64| {
        let mut point = point.to_vec();
        point[i] += by;
        point
    };
    let mut sum = 0.0;
    for i in 0..d {
        let k = |a: f64, b: f64| kernel.value(&moved(x, i, a), &moved(z, i, b));
        let by_x = (k(H, 0.0) - k(-H, 0.0)) / (2.0 * H);
        let by_z = (k(0.0, H) - k(0.0, -H)) / (2.0 * H);
        let by_both = (k(H, H) - k(H, -H) - k(-H, H) + k(-H, -H)) / (4.0 * H * H);
        sum += s[i] * t[i] * k(0.0, 0.0) + s[i] * by_z + t[i] * by_x + by_both;
    }
    sum
}

fn ksd_is_that_of_finite_differences(device: &Device) -> Result<(), Failed> {
    for (case, (n, d, family)) in
        [(5, 1, Family::Gaussian), (33, 3, Family::Imq), (40, 2, Family::Gaussian), (65, 9, Family::Imq)]
            .into_iter()
            .enumerate()
    {
        let x = normal(30 + case as u32, n, d, 0.2);
        let sample = Sample::new(d, &x);
        let density = model(&vec![0.1; d], &vec![1.2; d]);
        let kernel = KernelFunction { bandwidths: vec![1.5, 3.0], ..KernelFunction::new(family, 1.0) };
        let settings = FitSettings {
            family,
            bandwidth: Bandwidth::Values(kernel.bandwidths.clone()),
            common: Common { permutations: 19, ..wild() },
            ..Default::default()
        };
        let test = fit(device, sample, candidate(&density), &settings, &mut |_| Ok(()))?;
        let mut scores = vec![0.0; n * d];
        for (i, score) in scores.chunks_exact_mut(d).enumerate() {
            density.score(sample.point(i), score)?;
        }
        let item = |i: usize| [sample.point(i), &scores[i * d..][..d]];
        let u: Matrix = (0..n).map(|i| (0..n).map(|j| stein(&kernel, item(i), item(j))).collect()).collect();
        let off: f64 = (0..n)
            .flat_map(|i| (0..n).map(move |j| (i, j)))
            .filter(|(i, j)| i != j)
            .map(|(i, j)| u[i][j])
            .sum();
        let pairs = (n * (n - 1)) as f64;
        // The differences are good to about H^2 = 1e-6, the sums to 1e-6 of the largest u.
        let largest = u.iter().flatten().fold(0.0f64, |s, v| s.max(v.abs()));
        let error = 3e-6 * largest;
        let what = format!("n {n}, d {d}, {family:?}");
        near(&format!("{what}: unbiased"), test.found.ksd2_unbiased, off / pairs, error)?;
        let all: f64 = u.iter().flatten().sum();
        near(
            &format!("{what}: biased"),
            test.found.ksd2_biased.unwrap_or(f64::NAN),
            all / (n * n) as f64,
            error,
        )?;
        let labels = null::rademacher(n, settings.common.seed, 20);
        for (draw, got) in test.draws.iter().enumerate() {
            let sign =
                |i: usize| if labels.words[i / 32 * 20 + draw + 1] >> (i % 32) & 1 == 1 { 1.0 } else { -1.0 };
            let mut sum = 0.0;
            for (i, row) in u.iter().enumerate() {
                for (j, u) in row.iter().enumerate().filter(|&(j, _)| j != i) {
                    sum += sign(i) * u * sign(j);
                }
            }
            near(&format!("{what}: draw {draw}"), *got, sum / pairs, error)?;
        }
    }
    Ok(())
}

fn the_difference_is_that_of_two_tests(device: &Device) -> Result<(), Failed> {
    let (z, a, b) = (normal(40, 50, 2, 0.0), normal(41, 40, 2, 0.2), normal(42, 70, 2, 0.5));
    let [z, a, b] = [&z, &a, &b].map(|values| Sample::new(2, values));
    let bandwidth = Bandwidth::Values(vec![1.0]);
    let settings = CloserSettings { bandwidth: bandwidth.clone(), ..Default::default() };
    let test = closer(device, [z, a, b], &settings, &mut |_| Ok(()))?;
    let settings = TwoSampleSettings {
        bandwidth,
        common: Common { permutations: 1, ..Common::default() },
        ..Default::default()
    };
    let mmd2 =
        |y| two_sample(device, [z, y], &settings, &mut |_| Ok(())).map(|test| test.found.mmd2_unbiased);
    near("MMD^2 to A", test.found.mmd2_a, mmd2(a)?, 1e-7)?;
    near("MMD^2 to B", test.found.mmd2_b, mmd2(b)?, 1e-7)?;
    near("difference", test.found.difference, test.found.mmd2_a - test.found.mmd2_b, 1e-12)
}

/// E HSIC = 0 under independence, E KSD^2 = 0 under the model: within 4 standard errors.
fn unbiased_estimates_have_mean_zero(device: &Device) -> Result<(), Failed> {
    const REPETITIONS: u32 = 400;
    let mut hsic = Vec::new();
    let mut ksd = Vec::new();
    let density = Laplace::new(vec![0.0], vec![1.0])?;
    for repetition in 0..REPETITIONS {
        let (x, y) = (normal(1000 + 2 * repetition, 30, 1, 0.0), normal(1001 + 2 * repetition, 30, 2, 0.0));
        let one = Bandwidth::Values(vec![1.0]);
        let settings = IndependenceSettings {
            bandwidths: [one.clone(), one.clone()],
            common: Common { permutations: 1, ..Common::default() },
            ..Default::default()
        };
        let samples = [Sample::new(1, &x), Sample::new(2, &y)];
        hsic.push(
            independence(device, samples, &settings, &mut |_| Ok(()))?
                .found
                .hsic_unbiased
                .unwrap_or(f64::NAN),
        );
        let mut random = Sequence::new(6, Stream::Data, repetition);
        let drawn = density.sample(30, &mut random).ok_or("the model can be drawn from")?;
        for family in [Family::Gaussian, Family::Imq] {
            let settings = FitSettings {
                family,
                bandwidth: one.clone(),
                common: Common { permutations: 1, ..wild() },
                ..Default::default()
            };
            let test = fit(device, Sample::new(1, &drawn), candidate(&density), &settings, &mut |_| Ok(()))?;
            ksd.push(test.found.ksd2_unbiased);
        }
    }
    for (name, values) in [("HSIC", hsic), ("KSD^2", ksd)] {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        near(name, mean, 0.0, 4.0 * (variance / n).sqrt())?;
        if variance == 0.0 {
            return Err(format!("{name}: all repetitions are the same").into());
        }
    }
    Ok(())
}

/// The mean of the estimated variances against the variance of the estimates: 1,500 repetitions give the latter to
/// about sqrt(2 / 1500) = 4 %; three of that.
fn the_variance_of_a_difference_is_that_of_repetitions(device: &Device) -> Result<(), Failed> {
    const REPETITIONS: u32 = 1500;
    let settings = CloserSettings { bandwidth: Bandwidth::Values(vec![1.0]), ..Default::default() };
    for (n, l, m, shifts) in [(20, 30, 25, [0.5, 0.8]), (25, 20, 40, [0.3, -0.3])] {
        let (mut differences, mut variances) = (Vec::new(), Vec::new());
        for repetition in 0..REPETITIONS {
            let seed = 10_000 + 3 * repetition;
            let z = normal(seed, n, 1, 0.0);
            let a = normal(seed + 1, l, 1, shifts[0]);
            let b = normal(seed + 2, m, 1, shifts[1]);
            let samples = [&z, &a, &b].map(|values| Sample::new(1, values));
            let test = closer(device, samples, &settings, &mut |_| Ok(()))?;
            differences.push(test.found.difference);
            variances.push(test.found.standard_error.powi(2));
        }
        let count = f64::from(REPETITIONS);
        let mean = differences.iter().sum::<f64>() / count;
        let variance = differences.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let estimated = variances.iter().sum::<f64>() / count;
        near(&format!("shifts {shifts:?}"), estimated / variance, 1.0, 0.12)?;
    }
    Ok(())
}

/// The share of repetitions that reject must lie within the limits.
fn rejections(
    what: &str,
    repetitions: u32,
    [least, most]: [f64; 2],
    mut reject: impl FnMut(u32) -> Fallible<bool>,
) -> Result<(), Failed> {
    let mut count = 0;
    for repetition in 0..repetitions {
        count += u32::from(reject(repetition)?);
    }
    let rate = f64::from(count) / f64::from(repetitions);
    println!("{what}: {count} of {repetitions} reject, {rate:.4}");
    if rate < least || rate > most {
        return Err(format!("{what}: the rejection rate is {rate}, not {least} to {most}").into());
    }
    Ok(())
}

const LEVEL_REPETITIONS: u32 = 2000;

/// Limits of the rate at level .05 over 2,000 repetitions, whose standard error is .005: exact tests, and those that
/// may be careful.
const EXACT: [f64; 2] = [0.035, 0.065];
const CAREFUL: [f64; 2] = [0.015, 0.065];

/// Repetitions and limits of tests that take long: fewer, whose standard error is .011, unless ELBO_LEVELS=all.
fn few(limits: [f64; 2]) -> (u32, [f64; 2]) {
    let all = std::env::var("ELBO_LEVELS").is_ok_and(|value| value == "all");
    if all { (LEVEL_REPETITIONS, limits) } else { (400, [0.02, 0.08]) }
}

fn level_of_independence(device: &Device) -> Result<(), Failed> {
    use Null::{Exact, Gamma, Wild};
    for (null, limits) in [(Exact, EXACT), (Gamma, CAREFUL), (Wild, CAREFUL)] {
        rejections(&format!("independence, {null:?}"), LEVEL_REPETITIONS, limits, |repetition| {
            let x = normal(20_000 + 2 * repetition, 60, 2, 0.0);
            let y = normal(20_001 + 2 * repetition, 60, 1, 0.0);
            let settings = IndependenceSettings {
                bandwidths: [Bandwidth::Values(vec![1.5]), Bandwidth::Values(vec![1.0])],
                common: Common { null, permutations: 199, seed: u64::from(repetition), ..Common::default() },
                ..Default::default()
            };
            let samples = [Sample::new(2, &x), Sample::new(1, &y)];
            Ok(independence(device, samples, &settings, &mut |_| Ok(()))?.p.reject)
        })?;
    }
    Ok(())
}

fn level_of_fit(device: &Device) -> Result<(), Failed> {
    let density = model(&[0.0, 1.0], &[1.0, 2.0]);
    let kernel = Bandwidth::Values(vec![2.0]);
    let test = |null, repetition: u32, refit: Option<&fit::Refit<'_>>| {
        let mut random = Sequence::new(7, Stream::Data, repetition);
        let drawn = density.sample(60, &mut random).unwrap_or_default();
        let sample = Sample::new(2, &drawn);
        let settings = FitSettings {
            bandwidth: kernel.clone(),
            common: Common { null, permutations: 199, seed: u64::from(repetition), ..Common::default() },
            ..Default::default()
        };
        let fitted = refit.map(|refit| refit(sample, 0)).transpose()?;
        let density: &dyn Density = fitted.as_deref().unwrap_or(&density);
        let candidate = Candidate { name: "model", density, refit };
        Ok(fit(device, sample, candidate, &settings, &mut |_| Ok(()))?.p.reject)
    };
    rejections("fit, wild", LEVEL_REPETITIONS, CAREFUL, |repetition| test(Null::Wild, repetition, None))?;
    let (repetitions, limits) = few(EXACT);
    rejections("fit, parametric", repetitions, limits, |repetition| {
        test(Null::Parametric, repetition, None)
    })?;
    let refit = |sample: Sample<'_>, _: u64| -> Fallible<Box<dyn Density>> {
        Ok(Box::new(mixtures::gaussian_mixture(sample, &mixtures::MixtureSettings::default())?.mixture))
    };
    rejections("fit, parametric, fitted", repetitions, limits, |repetition| {
        test(Null::Parametric, repetition, Some(&refit))
    })?;
    rejections("fit, wild, fitted", 400, [0.0, 0.02], |repetition| test(Null::Wild, repetition, Some(&refit)))
}

fn level_of_aggregated_tests(device: &Device) -> Result<(), Failed> {
    use aggregate::Combine;
    for (combine, null) in
        [Combine::Agg, Combine::Fuse].into_iter().flat_map(|how| [(how, Null::Exact), (how, Null::Wild)])
    {
        rejections(
            &format!("aggregated, {combine:?}, {null:?}"),
            LEVEL_REPETITIONS,
            CAREFUL,
            |repetition| {
                let x = normal(40_000 + 2 * repetition, 50, 2, 0.0);
                let y = normal(40_001 + 2 * repetition, 50, 2, 0.0);
                let settings = AggregateSettings {
                    families: vec![Family::Gaussian, Family::Laplace],
                    bandwidth: Some(Bandwidth::Values(vec![0.5, 1.0, 2.0])),
                    combine,
                    common: Common {
                        null,
                        permutations: 199,
                        seed: u64::from(repetition),
                        ..Common::default()
                    },
                };
                let samples = [Sample::new(2, &x), Sample::new(2, &y)];
                Ok(aggregate::aggregate(device, samples, &settings, &mut |_| Ok(()))?.p.reject)
            },
        )?;
    }
    Ok(())
}

fn level_of_aggregated_independence(device: &Device) -> Result<(), Failed> {
    use Null::{Exact, Wild};
    for null in [Exact, Wild] {
        rejections(
            &format!("aggregated independence, {null:?}"),
            LEVEL_REPETITIONS,
            CAREFUL,
            |repetition| {
                let x = normal(50_000 + 2 * repetition, 50, 2, 0.0);
                let y = normal(50_001 + 2 * repetition, 50, 1, 0.0);
                let settings = IndependenceSettings {
                    bandwidths: [Bandwidth::Values(vec![0.5, 2.0]), Bandwidth::Values(vec![0.3, 1.0])],
                    common: Common {
                        null,
                        permutations: 199,
                        seed: u64::from(repetition),
                        ..Common::default()
                    },
                    ..Default::default()
                };
                let samples = [Sample::new(2, &x), Sample::new(1, &y)];
                Ok(aggregate::independence::aggregate(device, samples, &settings, &mut |_| Ok(()))?.p.reject)
            },
        )?;
    }
    Ok(())
}

fn level_of_aggregated_fit(device: &Device) -> Result<(), Failed> {
    use Null::{Parametric, Wild};
    let density = model(&[0.0, 1.0], &[1.0, 2.0]);
    let (repetitions, limits) = few(EXACT);
    for (null, repetitions, limits) in [(Wild, LEVEL_REPETITIONS, CAREFUL), (Parametric, repetitions, limits)]
    {
        rejections(&format!("aggregated fit, {null:?}"), repetitions, limits, |repetition| {
            let mut random = Sequence::new(8, Stream::Data, repetition);
            let drawn = density.sample(50, &mut random).unwrap_or_default();
            let settings = FitSettings {
                family: Family::Imq,
                bandwidth: Bandwidth::Values(vec![0.3, 1.0, 3.0]),
                common: Common { null, permutations: 199, seed: u64::from(repetition), ..Common::default() },
                ..Default::default()
            };
            let sample = Sample::new(2, &drawn);
            let test =
                aggregate::fit::aggregate(device, sample, candidate(&density), &settings, &mut |_| Ok(()))?;
            Ok(test.p.reject)
        })?;
    }
    Ok(())
}

/// A and B on either side of Z, at the same distance, which is not 0.
fn level_of_closer(device: &Device) -> Result<(), Failed> {
    let settings = CloserSettings { bandwidth: Bandwidth::Values(vec![1.0]), ..Default::default() };
    rejections("closer", LEVEL_REPETITIONS, CAREFUL, |repetition| {
        let seed = 30_000 + 3 * repetition;
        let (z, a, b) =
            (normal(seed, 100, 1, 0.0), normal(seed + 1, 120, 1, 0.5), normal(seed + 2, 90, 1, -0.5));
        let samples = [&z, &a, &b].map(|values| Sample::new(1, values));
        Ok(closer(device, samples, &settings, &mut |_| Ok(()))?.p.reject)
    })
}

/// Models on either side of what the sample is from, at the same distance, which is not 0: which one is better is then
/// claimed as often as the level says, on both sides together.
fn level_of_better(device: &Device) -> Result<(), Failed> {
    let models = [-0.5, 0.5].map(|mean| model(&[mean], &[1.0]));
    let settings = FitSettings {
        bandwidth: Bandwidth::Values(vec![1.0]),
        common: Common { permutations: 1, ..wild() },
        ..Default::default()
    };
    rejections("better of two models", LEVEL_REPETITIONS, CAREFUL, |repetition| {
        let drawn = normal(70_000 + repetition, 100, 1, 0.0);
        let test = |model| fit(device, Sample::new(1, &drawn), candidate(model), &settings, &mut |_| Ok(()));
        let [a, b] = [test(&models[0])?, test(&models[1])?];
        Ok(better([&a, &b], 0.05)?.better.is_some())
    })
}

/// Half of the points choose among three bandwidths, the other half tests.
fn level_with_a_chosen_bandwidth(device: &Device) -> Result<(), Failed> {
    let bandwidth = Bandwidth::Values(vec![0.3, 1.0, 3.0]);
    rejections("two samples, chosen bandwidth", LEVEL_REPETITIONS, EXACT, |repetition| {
        let (x, y) =
            (normal(50_000 + 2 * repetition, 60, 2, 0.0), normal(50_001 + 2 * repetition, 50, 2, 0.0));
        let samples = [Sample::new(2, &x), Sample::new(2, &y)];
        let settings = TwoSampleSettings {
            split: true,
            bandwidth: bandwidth.clone(),
            common: Common { permutations: 199, seed: u64::from(repetition), ..Common::default() },
            ..Default::default()
        };
        Ok(two_sample(device, samples, &settings, &mut |_| Ok(()))?.p.reject)
    })?;
    let density = model(&[0.0, 1.0], &[1.0, 2.0]);
    rejections("fit, chosen bandwidth", LEVEL_REPETITIONS, CAREFUL, |repetition| {
        let mut random = Sequence::new(8, Stream::Data, repetition);
        let drawn = density.sample(100, &mut random).unwrap_or_default();
        let settings = FitSettings {
            split: true,
            bandwidth: bandwidth.clone(),
            common: Common { permutations: 199, seed: u64::from(repetition), ..wild() },
            ..Default::default()
        };
        Ok(fit(device, Sample::new(2, &drawn), candidate(&density), &settings, &mut |_| Ok(()))?.p.reject)
    })
}

/// Narrow groups far apart, whose width alone differs: the median distance sees nothing, and is not chosen.
fn the_chosen_bandwidth_is_the_most_powerful(device: &Device) -> Result<(), Failed> {
    let groups = |which: u32, n: usize, width: f64| -> Vec<f64> {
        let place = |i: usize| 10.0 * (i % 5) as f64;
        normal(which, n, 1, 0.0).iter().enumerate().map(|(i, z)| place(i) + width * z).collect()
    };
    let (x, y) = (groups(70, 200, 0.3), groups(71, 200, 0.9));
    let samples = [Sample::new(1, &x), Sample::new(1, &y)];
    let run = |split| {
        let settings = TwoSampleSettings { split, ..Default::default() };
        two_sample(device, samples, &settings, &mut |_| Ok(()))
    };
    let (median, chosen) = (run(false)?, run(true)?);
    if median.p.reject
        || !chosen.p.reject
        || chosen.found.kernel.bandwidths[0] > 0.1 * median.found.kernel.bandwidths[0]
    {
        return Err(format!(
            "{:?} {:?} {:?} {:?}",
            median.p, median.found.kernel.bandwidths, chosen.p, chosen.found.kernel.bandwidths
        )
        .into());
    }
    if [chosen.found.n, chosen.found.m] != [100, 100] || !chosen.found.kernel.bandwidth_rule.contains("of 11")
    {
        return Err(format!(
            "{} and {} points, {}",
            chosen.found.n, chosen.found.m, chosen.found.kernel.bandwidth_rule
        )
        .into());
    }
    // The model's groups are as wide as those of Y.
    let places: Vec<Vec<f64>> = (0..5).map(|i| vec![10.0 * f64::from(i)]).collect();
    let groups = GaussianMixture::new(vec![0.2; 5], places, vec![Covariance::Diagonal(vec![0.81]); 5])?;
    let run = |split| {
        let settings = FitSettings { split, ..Default::default() };
        fit(device, samples[0], candidate(&groups), &settings, &mut |_| Ok(()))
    };
    let (median, chosen) = (run(false)?, run(true)?);
    if !chosen.p.reject
        || chosen.found.kernel.bandwidths[0] > 0.2 * median.found.kernel.bandwidths[0]
        || chosen.found.n != 100
    {
        return Err(format!(
            "{:?} {:?} {:?}",
            chosen.p, chosen.found.kernel.bandwidths, median.found.kernel.bandwidths
        )
        .into());
    }
    Ok(())
}

fn what_is_there_is_found(device: &Device) -> Result<(), Failed> {
    let (x, noise) = (normal(50, 300, 1, 0.0), normal(51, 300, 1, 0.0));
    // Uncorrelated, but far from independent.
    let y: Vec<f64> = x.iter().zip(&noise).map(|(x, e)| x * x + 0.5 * e).collect();
    let samples = [Sample::new(1, &x), Sample::new(1, &y)];
    let exact = independence(device, samples, &Default::default(), &mut |_| Ok(()))?;
    let gamma = IndependenceSettings {
        common: Common { null: Null::Gamma, ..Common::default() },
        ..Default::default()
    };
    let gamma = independence(device, samples, &gamma, &mut |_| Ok(()))?;
    if exact.p.p_value > 0.001 || gamma.p.p_value > 1e-6 {
        return Err(format!("x and x^2: p {} and {}", exact.p.p_value, gamma.p.p_value).into());
    }
    let (right, wrong) = (model(&[0.0], &[1.0]), model(&[0.3], &[1.0]));
    let [a, b] = [&right, &wrong].map(|density| {
        let candidate =
            Candidate { name: if density == &right { "right" } else { "wrong" }, density, refit: None };
        fit(device, samples[0], candidate, &Default::default(), &mut |_| Ok(()))
    });
    let (a, b) = (a?, b?);
    let relative = better([&b, &a], 0.05)?;
    if a.p.reject || !b.p.reject || relative.better.as_deref() != Some("right") {
        return Err(format!("p {} and {}, {relative:?}", a.p.p_value, b.p.p_value).into());
    }
    let (near, far) = (normal(52, 300, 1, 0.3), normal(53, 300, 1, 1.0));
    let test = closer(
        device,
        [samples[0], Sample::new(1, &far), Sample::new(1, &near)],
        &Default::default(),
        &mut |_| Ok(()),
    )?;
    if test.found.closer != Some(Side::B) {
        return Err(format!("{test:?}").into());
    }
    Ok(())
}

/// The rows of an aggregated test are those of tests with one kernel and the same draws: each has its own p-value.
fn each_kernel_of_an_aggregated_test_is_a_test_of_its_own(device: &Device) -> Result<(), Failed> {
    let (x, y) = (normal(80, 60, 2, 0.0), normal(81, 50, 2, 0.25));
    let samples = [Sample::new(2, &x), Sample::new(2, &y)];
    let bandwidth = Bandwidth::Values(vec![0.3, 1.0, 4.0]);
    let families = vec![Family::Laplace, Family::Gaussian];
    let settings = AggregateSettings {
        families,
        bandwidth: Some(bandwidth),
        common: Common { permutations: 199, ..Common::default() },
        ..Default::default()
    };
    let test = aggregate::aggregate(device, samples, &settings, &mut |_| Ok(()))?;
    if test.found.kernels.len() != 6 {
        return Err(format!("{} kernels", test.found.kernels.len()).into());
    }
    let mut seen = std::collections::HashSet::new();
    for row in &test.found.kernels {
        let (family, bandwidth) = row.kernels[0];
        let settings = TwoSampleSettings {
            family,
            bandwidth: Bandwidth::Values(vec![bandwidth]),
            common: Common { permutations: 199, ..Common::default() },
            ..Default::default()
        };
        let alone = two_sample(device, samples, &settings, &mut |_| Ok(()))?;
        near("MMD^2", row.value, alone.statistic, ROUNDING)?;
        near("p", row.p_value, alone.p.p_value, 1e-12)?;
        seen.insert(alone.p.exceedances);
    }
    if seen.len() < 4 {
        return Err(format!("the p-values are too alike to tell rows apart: {seen:?}").into());
    }
    Ok(())
}

/// A test alone has coordinates in units of its own bandwidth, one of many kernels in those of the smallest: they are
/// rounded differently, and the estimates agree as far as each agrees with f64 at this number of points.
const ROUNDING: f64 = 2e-7;

/// The p-values of rows and of tests alone must be the same, and differ from row to row.
fn rows_are(rows: &[(f64, f64)], alone: &[(f64, f64)], different: usize) -> Result<(), Failed> {
    if rows.len() != alone.len() {
        return Err(format!("{} kernels, not {}", rows.len(), alone.len()).into());
    }
    for (row, alone) in rows.iter().zip(alone) {
        near("statistic", row.0, alone.0, ROUNDING)?;
        near("p", row.1, alone.1, 1e-12)?;
    }
    let seen: std::collections::HashSet<u64> = alone.iter().map(|(_, p)| p.to_bits()).collect();
    if seen.len() < different {
        return Err(format!("the p-values are too alike to tell rows apart: {alone:?}").into());
    }
    Ok(())
}

fn each_pair_of_kernels_is_a_test_of_independence_of_its_own(device: &Device) -> Result<(), Failed> {
    let (x, noise) = (normal(84, 60, 2, 0.0), normal(85, 60, 1, 0.0));
    // X and Y on quite different scales: a bandwidth of the other would show.
    let y: Vec<f64> = (0..60).map(|i| 100.0 * (noise[i] + 0.4 * x[2 * i])).collect();
    let samples = [Sample::new(2, &x), Sample::new(1, &y)];
    let widths = [vec![0.4, 1.0, 3.0], vec![30.0, 120.0]];
    for null in [Null::Exact, Null::Wild] {
        let settings = |bandwidths: [Vec<f64>; 2]| IndependenceSettings {
            block_length: None,
            families: [Family::Gaussian, Family::Laplace],
            bandwidths: bandwidths.map(Bandwidth::Values),
            common: Common { permutations: 199, null, ..Common::default() },
        };
        let test =
            aggregate::independence::aggregate(device, samples, &settings(widths.clone()), &mut |_| Ok(()))?;
        let mut alone = Vec::new();
        for &a in &widths[0] {
            for &b in &widths[1] {
                let row = &test.found.kernels[alone.len()];
                if row.kernels != [(Family::Gaussian, a), (Family::Laplace, b)] {
                    return Err(format!("row {} is {:?}", alone.len(), row.kernels).into());
                }
                let one = independence(device, samples, &settings([vec![a], vec![b]]), &mut |_| Ok(()))?;
                alone.push((one.statistic, one.p.p_value));
            }
        }
        let rows: Vec<_> = test.found.kernels.iter().map(|row| (row.value, row.p_value)).collect();
        rows_are(&rows, &alone, 4)?;
        if (test.p.null, test.p.permutations) != (if null == Null::Wild { "wild" } else { "exact" }, 199) {
            return Err(format!("{:?}", test.p).into());
        }
    }
    // Labels have one kernel, numbers those that are asked for, from their own distances.
    let settings = IndependenceSettings {
        families: [Family::Delta, Family::Gaussian],
        bandwidths: [Family::Delta, Family::Gaussian].map(aggregate::independence::bandwidths),
        ..Default::default()
    };
    let signs: Vec<f64> = x.iter().map(|x| x.signum()).collect();
    let samples = [Sample::new(2, &signs), Sample::new(1, &y)];
    let test = aggregate::independence::aggregate(device, samples, &settings, &mut |_| Ok(()))?;
    let of_y = &test.found.y.kernel.bandwidths;
    if test.found.kernels.len() != 5
        || of_y[2] < 50.0
        || of_y[4] != 4.0 * of_y[2]
        || of_y[0] != 0.25 * of_y[2]
    {
        return Err(format!("{:?}", test.found.kernels).into());
    }
    Ok(())
}

fn each_bandwidth_is_a_test_of_fit_of_its_own(device: &Device) -> Result<(), Failed> {
    let x = normal(86, 70, 2, 0.2);
    let (sample, density) = (Sample::new(2, &x), model(&[0.0, 0.0], &[1.0, 1.0]));
    let widths = vec![0.1, 0.5, 1.5, 6.0];
    for null in [Null::Wild, Null::Parametric] {
        let settings = |widths: Vec<f64>| FitSettings {
            family: Family::Imq,
            bandwidth: Bandwidth::Values(widths),
            common: Common { permutations: 199, null, ..Common::default() },
            ..Default::default()
        };
        let candidate = candidate(&density);
        let test =
            aggregate::fit::aggregate(device, sample, candidate, &settings(widths.clone()), &mut |_| Ok(()))?;
        let mut alone = Vec::new();
        for &width in &widths {
            let one = fit(device, sample, candidate, &settings(vec![width]), &mut |_| Ok(()))?;
            alone.push((one.found.ksd2_unbiased, one.p.p_value));
        }
        let rows: Vec<_> = test.found.kernels.iter().map(|row| (row.value, row.p_value)).collect();
        rows_are(&rows, &alone, 3)?;
        let named: Vec<f64> = test.found.kernels.iter().map(|row| row.kernels[0].1).collect();
        if named != widths || test.found.name != "model" {
            return Err(format!("{:?}", test.found.kernels).into());
        }
    }
    Ok(())
}

/// Published tests go down to 2^-20 medians, where the kernel is next to 0 off the diagonal: against the inverse
/// multiquadric's Stein kernel by its formula in f64, u = k (s.t) + q k^3 ((x - z).(s - t) + d) - 3 q^2 r^2 k^5 with
/// q = 1 / b^2 and k = (1 + q r^2)^(-1/2).
fn tiny_bandwidths_lose_no_digits(device: &Device) -> Result<(), Failed> {
    let (n, d) = (90, 20);
    let x = normal(90, n, d, 0.1);
    let (sample, density) = (Sample::new(d, &x), model(&vec![0.0; d], &vec![1.0; d]));
    for exponent in [-20, -10, -5, 0] {
        let width = 6.0 * 2f64.powi(exponent);
        let settings = FitSettings {
            family: Family::Imq,
            bandwidth: Bandwidth::Values(vec![width]),
            common: Common { permutations: 1, ..wild() },
            ..Default::default()
        };
        let got = fit(device, sample, candidate(&density), &settings, &mut |_| Ok(()))?.found.ksd2_unbiased;
        let q = 1.0 / (width * width);
        let (mut sum, mut sizes) = (0.0, 0.0);
        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).filter(|(i, j)| i != j) {
            let both = || sample.point(i).iter().zip(sample.point(j));
            let square: f64 = both().map(|(a, b)| (a - b).powi(2)).sum();
            // The score of N(0, I) is -x.
            let scores: f64 = both().map(|(a, b)| a * b).sum();
            let k = 1.0 / (1.0 + q * square).sqrt();
            let u = k * scores + q * k.powi(3) * (d as f64 - square) - 3.0 * q * q * square * k.powi(5);
            sum += u;
            sizes += u.abs();
        }
        let pairs = (n * (n - 1)) as f64;
        // Some ten operations of 24 bits in each term.
        near(&format!("2^{exponent}"), got, sum / pairs, 1e-6 * sizes / pairs)?;
    }
    Ok(())
}

/// y is a fast wave of x: across the median distance it looks like noise. And a sample with holes that are narrow
/// beside its width.
fn small_scales_are_seen_by_many_kernels_alone(device: &Device) -> Result<(), Failed> {
    let mut random = Sequence::new(9, Stream::Data, 0);
    let x: Vec<f64> = (0..300).map(|_| random.uniform_f64()).collect();
    let y: Vec<f64> = x.iter().map(|x| (50.0 * x).sin() + 0.3 * random.normal_f64()).collect();
    let samples = [Sample::new(1, &x), Sample::new(1, &y)];
    for null in [Null::Exact, Null::Wild] {
        let settings =
            IndependenceSettings { common: Common { null, ..Common::default() }, ..Default::default() };
        let median = independence(device, samples, &settings, &mut |_| Ok(()))?;
        let factors = Bandwidth::Rule(elbo::statistic::Rule::Median, vec![0.0625, 0.25, 1.0, 4.0]);
        let settings = IndependenceSettings { bandwidths: [factors.clone(), factors], ..settings };
        let many = aggregate::independence::aggregate(device, samples, &settings, &mut |_| Ok(()))?;
        let narrow =
            many.found.kernels.iter().filter(|row| row.reject == Some(true)).map(|row| row.kernels[0].1);
        let widest = narrow.fold(0.0, f64::max);
        if median.p.reject
            || !many.p.reject
            || !(0.0..median.found.x.kernel.bandwidths[0]).contains(&widest)
            || widest == 0.0
        {
            let message = format!("p {} and {}, {:?}", median.p.p_value, many.p.p_value, many.found.kernels);
            return Err(message.into());
        }
    }

    let x: Vec<f64> = normal(87, 2000, 1, 0.0).into_iter().filter(|x| (20.0 * x).sin() > -0.7).collect();
    let (sample, density) = (Sample::new(1, &x), model(&[0.0], &[1.0]));
    let median = fit(device, sample, candidate(&density), &Default::default(), &mut |_| Ok(()))?;
    let settings = FitSettings { bandwidth: aggregate::fit::bandwidths(), ..Default::default() };
    let many = aggregate::fit::aggregate(device, sample, candidate(&density), &settings, &mut |_| Ok(()))?;
    if median.p.reject || !many.p.reject || many.found.kernels.len() != 10 {
        let message = format!("p {} and {}, {:?}", median.p.p_value, many.p.p_value, many.found.kernels);
        return Err(message.into());
    }
    Ok(())
}

/// Where no draw reaches what was observed, p is that of one draw more, not 0.
fn no_p_value_is_zero(device: &Device) -> Result<(), Failed> {
    let (x, y) = (normal(88, 80, 1, 0.0), normal(89, 80, 1, 9.0));
    let twice: Vec<f64> = x.iter().map(|x| 2.0 * x).collect();
    let [x, y, twice] = [&x, &y, &twice].map(|values| Sample::new(1, values));
    let density = model(&[9.0], &[1.0]);
    let mut ps = Vec::new();
    for null in [Null::Exact, Null::Binned, Null::Wild] {
        let settings = TwoSampleSettings {
            common: Common { null, permutations: 99, ..Common::default() },
            ..Default::default()
        };
        ps.push(two_sample(device, [x, y], &settings, &mut |_| Ok(()))?.p);
    }
    for null in [Null::Exact, Null::Wild] {
        for combine in [aggregate::Combine::Agg, aggregate::Combine::Fuse] {
            let settings = AggregateSettings {
                combine,
                common: Common { null, permutations: 99, ..Common::default() },
                ..Default::default()
            };
            ps.push(aggregate::aggregate(device, [x, y], &settings, &mut |_| Ok(()))?.p);
        }
    }
    for null in [Null::Exact, Null::Wild] {
        let settings = IndependenceSettings {
            common: Common { null, permutations: 99, ..Common::default() },
            ..Default::default()
        };
        ps.push(independence(device, [x, twice], &settings, &mut |_| Ok(()))?.p);
        ps.push(aggregate::independence::aggregate(device, [x, twice], &settings, &mut |_| Ok(()))?.p);
    }
    for null in [Null::Wild, Null::Parametric] {
        let settings = FitSettings {
            common: Common { null, permutations: 99, ..Common::default() },
            ..Default::default()
        };
        ps.push(fit(device, x, candidate(&density), &settings, &mut |_| Ok(()))?.p);
        ps.push(aggregate::fit::aggregate(device, x, candidate(&density), &settings, &mut |_| Ok(()))?.p);
    }
    for p in &ps {
        near(&format!("p, {}", p.null), p.p_value, 0.01, 1e-15)?;
    }
    let settings = IndependenceSettings {
        common: Common { null: Null::Gamma, ..Common::default() },
        ..Default::default()
    };
    let gamma = independence(device, [x, twice], &settings, &mut |_| Ok(()))?.p;
    let closer = closer(device, [x, y, twice], &Default::default(), &mut |_| Ok(()))?.p;
    for p in [gamma, closer] {
        if p.p_value <= 0.0 || p.p_value > 1e-6 {
            return Err(format!("p, {}: {}", p.null, p.p_value).into());
        }
    }
    Ok(())
}

/// A bandwidth that is right for X would make the kernel of Y constant.
fn each_variable_has_its_own_bandwidth(device: &Device) -> Result<(), Failed> {
    let x = normal(82, 100, 1, 0.0);
    let y: Vec<f64> = x.iter().map(|x| 1000.0 * x.abs()).collect();
    let samples = [Sample::new(1, &x), Sample::new(1, &y)];
    let test = independence(device, samples, &Default::default(), &mut |_| Ok(()))?;
    let ratio = test.found.y.kernel.bandwidths[0] / test.found.x.kernel.bandwidths[0];
    if !(100.0..1000.0).contains(&ratio) || !test.p.reject {
        return Err(format!(
            "bandwidths {:?} and {:?}",
            test.found.x.kernel.bandwidths, test.found.y.kernel.bandwidths
        )
        .into());
    }
    Ok(())
}

fn wrong_use_is_refused(device: &Device) -> Result<(), Failed> {
    let refused = |what: &str, outcome: Fallible<()>, words: &str| match outcome {
        Ok(()) => Err(Failed::from(format!("{what} was not refused"))),
        Err(error) if error.to_string().contains(words) => Ok(()),
        Err(error) => Err(format!("{what}: `{error}` does not say `{words}`").into()),
    };
    let (x, y) = (normal(60, 10, 1, 0.0), normal(61, 9, 1, 0.0));
    let [x, y] = [&x, &y].map(|values| Sample::new(1, values));
    let independent = |samples, settings: &IndependenceSettings| {
        independence(device, samples, settings, &mut |_| Ok(())).map(|_| ())
    };
    let defaults = IndependenceSettings::default();
    refused("unequal n", independent([x, y], &defaults), "X has 10 rows and Y has 9")?;
    refused("three rows", independent([x.first(3), y.first(3)], &defaults), "at least 4")?;
    let (values, constant) = (normal(63, 10, 1, 0.0), [2.0; 10]);
    let (varied, constant) = (Sample::new(1, &values), Sample::new(1, &constant));
    refused("one class", independent([varied, constant], &defaults), "Y is the same in all 10 rows")?;
    refused("a constant", independent([constant, varied], &defaults), "X is the same in all 10 rows")?;
    let gamma = IndependenceSettings {
        families: [Family::Energy, Family::Gaussian],
        common: Common { null: Null::Gamma, ..Common::default() },
        ..Default::default()
    };
    refused("energy and gamma", independent([x.first(9), y], &gamma), "bounded kernels")?;
    let pairs = |samples, settings: &IndependenceSettings| {
        aggregate::independence::aggregate(device, samples, settings, &mut |_| Ok(())).map(|_| ())
    };
    refused("many and gamma", pairs([x.first(9), y], &gamma), "needs draws")?;
    refused("many and unequal n", pairs([x, y], &defaults), "X has 10 rows and Y has 9")?;
    let few = IndependenceSettings {
        common: Common { permutations: 18, ..Common::default() },
        ..Default::default()
    };
    refused("few draws", pairs([x.first(9), y], &few), "use at least 19")?;

    let density = model(&[0.0, 0.0], &[1.0, 1.0]);
    let fits = |sample, density: &dyn Density, settings: &FitSettings| {
        fit(device, sample, candidate(density), settings, &mut |_| Ok(())).map(|_| ())
    };
    refused(
        "dimensions",
        fits(x, &density, &Default::default()),
        "2 dimensions, but the sample has 1 columns",
    )?;
    let laplace = FitSettings { family: Family::Laplace, ..Default::default() };
    refused("laplace", fits(x, &model(&[0.0], &[1.0]), &laplace), "smooth kernel")?;
    let given = FitSettings { split: true, bandwidth: Bandwidth::Values(vec![1.0]), ..Default::default() };
    refused("one bandwidth to choose", fits(x, &model(&[0.0], &[1.0]), &given), "several bandwidths")?;
    let line = model(&[0.0], &[1.0]);
    let many_fits = |settings: &FitSettings| {
        aggregate::fit::aggregate(device, x, candidate(&line), settings, &mut |_| Ok(())).map(|_| ())
    };
    refused("many and laplace", many_fits(&laplace), "smooth kernel")?;
    let few = FitSettings { common: Common { permutations: 18, ..wild() }, ..Default::default() };
    refused("few draws", many_fits(&few), "use at least 19")?;
    let gamma = elbo::density::Gamma::new(vec![2.0], vec![1.0])?;
    refused("outside of the support", fits(x, &gamma, &Default::default()), "density is zero there")?;

    let alone = FitSettings {
        common: Common { budget: Some(2), null: Null::Parametric, ..Common::default() },
        ..Default::default()
    };
    refused("a budget of samples of the model", fits(x, &model(&[0.0], &[1.0]), &alone), "--null wild")?;
    let budget = IndependenceSettings {
        common: Common { budget: Some(2), ..Common::default() },
        ..Default::default()
    };
    refused("a budget of permutations", independent([x.first(9), y], &budget), "--null wild")?;
    let none = AggregateSettings {
        bandwidth: Some(Bandwidth::Values(vec![1.0])),
        common: Common { budget: Some(0), null: Null::Wild, ..AggregateSettings::default().common },
        ..Default::default()
    };
    let outcome = aggregate::aggregate(device, [x.first(9), y], &none, &mut |_| Ok(())).map(|_| ());
    refused("a budget of nothing", outcome, "at least 1")?;
    let near = FitSettings { common: Common { budget: Some(2), ..wild() }, ..Default::default() };
    let right = model(&[0.0], &[1.0]);
    let test = fit(device, x, candidate(&right), &near, &mut |_| Ok(()))?;
    refused("two models with a budget", better([&test, &test], 0.05).map(|_| ()), "all pairs")?;

    let wide = normal(62, 10, 2, 0.0);
    let many =
        |samples| aggregate::aggregate(device, samples, &Default::default(), &mut |_| Ok(())).map(|_| ());
    refused("columns", many([x, Sample::new(2, &wide)]), "X has 1 columns and Y has 2")?;
    refused("one point", many([x, x.first(1)]), "at least two of each")?;
    let relative = |samples| closer(device, samples, &Default::default(), &mut |_| Ok(())).map(|_| ());
    refused("columns", relative([x, y, Sample::new(2, &wide)]), "B has 2 columns and REAL has 1")?;
    refused("few points", relative([x, y, x.first(3)]), "B has 3 points")
}

/// The order in which the pairs of a budget are near.
fn mixed(n: usize, seed: u64, which: u32) -> Vec<usize> {
    Sequence::new(seed, Stream::Bins, which).order(n)
}

/// The mean over near pairs of u with the signs of each draw, in plain loops.
fn near_means(u: impl Fn(usize, usize) -> f64, n: usize, reach: usize, seed: u64, draws: usize) -> Vec<f64> {
    let labels = null::rademacher(n, seed, draws);
    let mean = |draw: usize| {
        let sign =
            |i: usize| if labels.words[i / 32 * draws + draw] >> (i % 32) & 1 == 1 { 1.0 } else { -1.0 };
        let (mut sum, mut count) = (0.0, 0.0);
        for i in 0..n {
            for j in (0..n).filter(|&j| j != i && i.abs_diff(j) <= reach) {
                sum += sign(i) * sign(j) * u(i, j);
                count += 1.0;
            }
        }
        sum / count
    };
    (0..draws).map(mean).collect()
}

const DRAWS: usize = 10;

/// The statistic and its draws against plain loops over the items in the order that the test takes them in.
fn a_budget_takes_near_pairs(device: &Device) -> Result<(), Failed> {
    let one = Bandwidth::Values(vec![1.5]);
    for (case, (n, reach)) in [(10, 1), (101, 7), (333, 40), (700, 321)].into_iter().enumerate() {
        let (x, y) = (normal(90 + 2 * case as u32, n, 2, 0.0), normal(91 + 2 * case as u32, n, 2, 0.1));
        let samples = [Sample::new(2, &x), Sample::new(2, &y)];
        let check = |what: &str, got: Vec<f64>, want: Vec<f64>, error: f64| {
            let same = |(draw, (got, want)): (usize, (&f64, f64))| {
                near(&format!("{what}, n {n}, reach {reach}, draw {draw}"), *got, want, error)
            };
            got.iter().zip(want).enumerate().try_for_each(same)
        };
        let pairs = (1..=reach.min(n - 1)).map(|r| n - r).sum::<usize>() as f64;

        let density = model(&[0.1, 0.0], &[1.2, 1.0]);
        let settings = FitSettings {
            bandwidth: one.clone(),
            common: Common { budget: Some(reach), permutations: DRAWS - 1, seed: 3, ..wild() },
            ..Default::default()
        };
        let test = fit(device, samples[0], candidate(&density), &settings, &mut |_| Ok(()))?;
        let mut scores = vec![0.0; 2 * n];
        for (i, score) in scores.chunks_exact_mut(2).enumerate() {
            density.score(samples[0].point(i), score)?;
        }
        let order = mixed(n, 3, 3);
        let item = |i: usize| [samples[0].point(order[i]), &scores[2 * order[i]..][..2]];
        let kernel = KernelFunction::new(Family::Gaussian, 1.5);
        let want = near_means(|i, j| stein(&kernel, item(i), item(j)), n, reach, 3, DRAWS);
        // The differences are good to about H^2 = 1e-6 of u, which is below 20 here.
        check("fit", [vec![test.found.ksd2_unbiased], test.draws].concat(), want, 2e-5)?;
        near("pairs of fit", test.pairs, pairs, 0.0)?;

        // One kernel: the statistic of the aggregated test is its p-value, and MMD^2 is in its row.
        let settings = AggregateSettings {
            families: vec![Family::Laplace],
            bandwidth: Some(one.clone()),
            common: Common {
                null: Null::Wild,
                budget: Some(reach),
                permutations: 39,
                seed: 3,
                ..Common::default()
            },
            ..Default::default()
        };
        let test = aggregate::aggregate(device, samples, &settings, &mut |_| Ok(()))?;
        let kernel = KernelFunction::new(Family::Laplace, 1.5);
        let orders = [mixed(n, 3, 0), mixed(n, 3, 1)];
        let point = |which: usize, i: usize| samples[which].point(orders[which][i]);
        let swapped = |i: usize, j: usize| {
            let k = |a: &[f64], b: &[f64]| kernel.value(a, b);
            k(point(0, i), point(0, j)) + k(point(1, i), point(1, j))
                - k(point(0, i), point(1, j))
                - k(point(0, j), point(1, i))
        };
        let want = near_means(swapped, n, reach, 3, 40);
        // Values up to 2 with 24 bits.
        near(&format!("MMD^2, n {n}"), test.found.kernels[0].value, want[0], 4e-7)?;
        let exceedances = want[1..].iter().filter(|v| **v >= want[0]).count();
        near(&format!("p, n {n}"), test.found.kernels[0].p_value, (1 + exceedances) as f64 / 40.0, 1e-12)?;
        near("pairs of compare", test.pairs, 4.0 * pairs, 0.0)?;

        let settings = IndependenceSettings {
            block_length: None,
            families: [Family::Gaussian, Family::Laplace],
            bandwidths: [one.clone(), one.clone()],
            common: Common {
                null: Null::Wild,
                budget: Some(reach),
                permutations: DRAWS - 1,
                seed: 3,
                ..Common::default()
            },
        };
        let test = independence(device, samples, &settings, &mut |_| Ok(()))?;
        if test.found.hsic_biased.is_some()
            || test.found.cka.is_some()
            || test.found.distance_correlation.is_some()
        {
            return Err("an estimate from all pairs with a budget".into());
        }
        let (order, items) = (mixed(n, 3, 2), n / 2);
        let difference = |which: usize, family: Family, i: usize, j: usize| {
            let kernel = KernelFunction::new(family, 1.5);
            let k = |a: usize, b: usize| kernel.value(samples[which].point(a), samples[which].point(b));
            let [a, b, c, d] = [order[i], order[j], order[i + items], order[j + items]];
            k(a, b) + k(c, d) - k(a, d) - k(c, b)
        };
        let both = |i: usize, j: usize| {
            0.25 * difference(0, Family::Gaussian, i, j) * difference(1, Family::Laplace, i, j)
        };
        let want = near_means(both, items, reach, 3, DRAWS);
        check("independence", [vec![test.statistic], test.draws].concat(), want, 4e-7)?;
    }
    Ok(())
}

/// From n - 1 on, all pairs are near. The order of the items is another one, so draws differ, but not the statistic.
fn the_largest_budget_takes_all_pairs(device: &Device) -> Result<(), Failed> {
    let n = 300;
    let (x, y) = (normal(98, n, 3, 0.0), normal(99, n, 3, 0.2));
    let samples = [Sample::new(3, &x), Sample::new(3, &y)];
    let bandwidth = Bandwidth::Values(vec![2.0]);
    let density = model(&[0.1; 3], &[1.0; 3]);
    let ksd = |budget| -> Fallible<f64> {
        let settings = FitSettings {
            bandwidth: bandwidth.clone(),
            common: Common { budget, permutations: 1, ..wild() },
            ..Default::default()
        };
        Ok(fit(device, samples[0], candidate(&density), &settings, &mut |_| Ok(()))?.found.ksd2_unbiased)
    };
    let hsic = |budget| -> Fallible<f64> {
        let settings = IndependenceSettings {
            bandwidths: [bandwidth.clone(), bandwidth.clone()],
            common: Common { null: Null::Wild, budget, permutations: 1, ..Common::default() },
            ..Default::default()
        };
        Ok(independence(device, samples, &settings, &mut |_| Ok(()))?.statistic)
    };
    for (what, of) in [("KSD^2", &ksd as &dyn Fn(Option<usize>) -> Fallible<f64>), ("HSIC", &hsic)] {
        let items = if what == "HSIC" { n / 2 } else { n };
        let complete = of(None)?;
        for budget in [items - 1, items, usize::MAX] {
            near(&format!("{what}, {budget}"), of(Some(budget))?, complete, 1e-7)?;
        }
        if (of(Some(items / 2))? - complete).abs() < 1e-6 {
            return Err(format!("{what}: half of the pairs are no different from all").into());
        }
    }
    Ok(())
}

/// Few repetitions, as for the other tests of this length: the standard error is .011.
fn level_with_a_budget(device: &Device) -> Result<(), Failed> {
    const REACH: usize = 5;
    let (repetitions, limits) = few(CAREFUL);
    let samples = |repetition: u32| {
        [normal(50_000 + 2 * repetition, 100, 2, 0.0), normal(50_001 + 2 * repetition, 100, 2, 0.0)]
    };
    let bandwidth = Bandwidth::Values(vec![0.7, 2.0]);
    for combine in [aggregate::Combine::Agg, aggregate::Combine::Fuse] {
        rejections(&format!("{combine:?} with a budget"), repetitions, limits, |repetition| {
            let [x, y] = samples(repetition);
            let settings = AggregateSettings {
                bandwidth: Some(bandwidth.clone()),
                combine,
                common: Common {
                    null: Null::Wild,
                    budget: Some(REACH),
                    permutations: 199,
                    seed: u64::from(repetition),
                    ..Common::default()
                },
                ..Default::default()
            };
            let samples = [Sample::new(2, &x), Sample::new(2, &y)];
            Ok(aggregate::aggregate(device, samples, &settings, &mut |_| Ok(()))?.p.reject)
        })?;
    }
    rejections("independence with a budget", repetitions, limits, |repetition| {
        let [x, y] = samples(repetition);
        let settings = IndependenceSettings {
            bandwidths: [bandwidth.clone(), bandwidth.clone()],
            common: Common {
                null: Null::Wild,
                budget: Some(REACH),
                permutations: 199,
                seed: u64::from(repetition),
                ..Common::default()
            },
            ..Default::default()
        };
        let samples = [Sample::new(2, &x), Sample::new(2, &y)];
        Ok(independence(device, samples, &settings, &mut |_| Ok(()))?.p.reject)
    })?;
    let density = model(&[0.0; 2], &[1.0; 2]);
    rejections("fit with a budget", repetitions, limits, |repetition| {
        let [x, _] = samples(repetition);
        let settings = FitSettings {
            bandwidth: bandwidth.clone(),
            common: Common { budget: Some(REACH), permutations: 199, seed: u64::from(repetition), ..wild() },
            ..Default::default()
        };
        Ok(fit(device, Sample::new(2, &x), candidate(&density), &settings, &mut |_| Ok(()))?.p.reject)
    })
}
