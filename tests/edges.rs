//! Numbers at their edges: units from 1e-290 to 1e300, points at 10^300, clusters far apart, columns that are constant,
//! points that coincide. The truth is plain f64 with scaled squares, written down here once more.

use elbo::density::fit::{MixtureSettings, gaussian_mixture};
use elbo::density::{Density, ZeroDensity};
use elbo::engine::{Choice, Device};
use elbo::kernel::pairs::Family;
use elbo::random::{Sequence, Stream};
use elbo::statistic::aggregate::{AggregateSettings, Combine, aggregate};
use elbo::statistic::closer::{CloserSettings, closer};
use elbo::statistic::features::{FeatureSettings, approximate};
use elbo::statistic::fit::{Candidate, FitSettings, fit};
use elbo::statistic::independence::{IndependenceSettings, independence};
use elbo::statistic::neighbours::{NeighbourSettings, divergence, mutual_information};
use elbo::statistic::null::permutations;
use elbo::statistic::{
    Bandwidth, Common, KernelFunction, Null, Outcome, Rule, Sample, TwoSample, TwoSampleSettings, two_sample,
    witness,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};
use std::sync::LazyLock;

static CPU: LazyLock<Device> = LazyLock::new(|| Device::open(Choice::Cpu, None).unwrap());

const FAMILIES: [Family; 4] = [Family::Gaussian, Family::Laplace, Family::Imq, Family::Energy];

/// Powers of ten that keep coordinates of about 1e-3 to 10 within 1e-290 and 1e300.
const UNITS: std::ops::Range<f64> = -286.0..298.0;

fn property<S: Strategy>(cases: u32, values: &S, test: impl Fn(S::Value) -> TestCaseResult) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 8, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner.run(values, test).unwrap_or_else(|failure| panic!("{failure}"));
}

/// Normal numbers, none of them nearer to 0 than 1e-3.
fn normal(seed: u64, count: usize, mean: f64) -> Vec<f64> {
    let mut random = Sequence::new(seed, Stream::Data, 7);
    let away = |v: f64| if v.abs() < 1e-3 { 1e-3 } else { v };
    (0..count).map(|_| away(mean + random.normal_f64())).collect()
}

fn times(values: &[f64], c: f64) -> Vec<f64> {
    values.iter().map(|v| v * c).collect()
}

fn test(samples: [Sample<'_>; 2], settings: &TwoSampleSettings) -> Outcome<TwoSample> {
    two_sample(&CPU, samples, settings, &mut |_| Ok(())).unwrap_or_else(|error| panic!("{error}"))
}

fn few() -> Common {
    Common { permutations: 99, ..Common::default() }
}

/// The distance of two points by scaled squares.
fn distance(family: Family, x: &[f64], z: &[f64]) -> f64 {
    let differences: Vec<f64> = x.iter().zip(z).map(|(x, z)| (x - z).abs()).collect();
    let largest = differences.iter().copied().fold(0.0, f64::max);
    match family {
        Family::Laplace => differences.iter().sum(),
        _ if largest == 0.0 => 0.0,
        _ => largest * differences.iter().map(|v| (v / largest).powi(2)).sum::<f64>().sqrt(),
    }
}

fn kernel(family: Family, distance: f64, b: f64) -> f64 {
    match family {
        Family::Gaussian => (-0.5 * (distance / b).powi(2)).exp(),
        Family::Laplace => (-distance / b).exp(),
        Family::Imq => 1.0 / 1f64.hypot(distance / b),
        _ => -distance,
    }
}

/// The kernel's values between all points of both samples, 0 on the diagonal.
fn matrix([x, y]: [Sample<'_>; 2], family: Family, b: f64) -> Vec<Vec<f64>> {
    let points: Vec<&[f64]> = x.values.chunks(x.d).chain(y.values.chunks(x.d)).collect();
    let value = |i: usize, j: usize| {
        if i == j { 0.0 } else { kernel(family, distance(family, points[i], points[j]), b) }
    };
    (0..points.len()).map(|i| (0..points.len()).map(|j| value(i, j)).collect()).collect()
}

/// The unbiased estimate where points with `is_x` are X.
fn unbiased(k: &[Vec<f64>], is_x: impl Fn(usize) -> bool) -> f64 {
    let all = 0..k.len();
    let [n, m] = [true, false].map(|class| all.clone().filter(|&i| is_x(i) == class).count() as f64);
    let sum =
        |row: usize, class: bool| all.clone().filter(|&j| is_x(j) == class).map(|j| k[row][j]).sum::<f64>();
    let term = |i: usize| match is_x(i) {
        true => sum(i, true) / (n * (n - 1.0)) - sum(i, false) / (n * m),
        false => sum(i, false) / (m * (m - 1.0)) - sum(i, true) / (n * m),
    };
    all.clone().map(term).sum()
}

fn median_distance([x, y]: [Sample<'_>; 2], family: Family) -> f64 {
    let points: Vec<&[f64]> = x.values.chunks(x.d).chain(y.values.chunks(x.d)).collect();
    let mut all: Vec<f64> = (0..points.len())
        .flat_map(|i| (0..i).map(move |j| (i, j)))
        .map(|(i, j)| distance(family, points[i], points[j]))
        .collect();
    all.sort_by(f64::total_cmp);
    0.5 * all[(all.len() - 1) / 2] + 0.5 * all[all.len() / 2]
}

/// Units change nothing: neither with a rule, nor with a number that is in the same units, by any null.
#[test]
fn a_two_sample_test_has_no_units() {
    let inputs = (UNITS, 0..4usize, 0..3usize, any::<bool>(), 1..4usize, 0..1000u64);
    property(48, &inputs, |(power, family, null, rule, d, seed)| {
        let (family, c) = (FAMILIES[family], 10f64.powf(power));
        let null = [Null::Exact, Null::Binned, Null::Wild][null];
        let (x, y) = (normal(seed, 32 * d, 0.0), normal(seed + 5000, 32 * d, 0.5));
        let of = |c: f64| {
            let given = !rule && family != Family::Energy;
            let bandwidth =
                if given { Bandwidth::Values(vec![0.8 * c, 2.0 * c]) } else { Bandwidth::default() };
            let settings = TwoSampleSettings {
                family,
                bandwidth,
                common: Common { null, ..few() },
                ..Default::default()
            };
            let (x, y) = (times(&x, c), times(&y, c));
            test([Sample::new(d, &x), Sample::new(d, &y)], &settings)
        };
        let (plain, scaled) = (of(1.0), of(c));
        let unit = if family == Family::Energy { c } else { 1.0 };
        let error = if family == Family::Energy { 1e-6 * plain.found.mmd2_unbiased.abs() } else { 1e-8 };
        for (name, a, b) in [
            ("unbiased", plain.found.mmd2_unbiased, scaled.found.mmd2_unbiased),
            ("biased", plain.found.mmd2_biased, scaled.found.mmd2_biased),
            ("linear", plain.found.mmd2_linear, scaled.found.mmd2_linear),
            ("mean", plain.found.mean_kernel, scaled.found.mean_kernel),
            ("statistic", plain.statistic, scaled.statistic),
        ] {
            prop_assert!((b / unit - a).abs() <= error, "{family:?} {null:?} {name}: {a}, times {c:e} {b:e}");
        }
        prop_assert_eq!(plain.p.p_value, scaled.p.p_value, "{:?} {:?} times {}", family, null, c);
        Ok(())
    });
}

/// The same of HSIC, with units of their own for X and for Y; that of two energy kernels may be no number, its p-value is.
#[test]
fn an_independence_test_has_no_units() {
    property(24, &(UNITS, UNITS, 0..4usize, any::<bool>(), 0..1000u64), |(a, b, family, wild, seed)| {
        let (family, a, b) = (FAMILIES[family], 10f64.powf(a), 10f64.powf(b));
        let x = normal(seed, 80, 0.0);
        let y: Vec<f64> = normal(seed + 5000, 40, 0.1).iter().zip(&x).map(|(y, x)| y + 0.4 * x).collect();
        let null = if wild { Null::Wild } else { Null::Exact };
        let of = |a: f64, b: f64| {
            let common = Common { null, ..few() };
            let settings = IndependenceSettings { families: [family; 2], common, ..Default::default() };
            let (x, y) = (times(&x, a), times(&y, b));
            independence(&CPU, [Sample::new(2, &x), Sample::new(1, &y)], &settings, &mut |_| Ok(())).unwrap()
        };
        let (plain, scaled) = (of(1.0, 1.0), of(a, b));
        let strength = |test: &Outcome<_>| -> [f64; 2] {
            let found: &elbo::statistic::independence::Independence = &test.found;
            [found.cka.unwrap(), found.distance_correlation.unwrap()]
        };
        for (plain, scaled) in strength(&plain).into_iter().zip(strength(&scaled)) {
            prop_assert!(
                (plain - scaled).abs() < 1e-6,
                "{family:?} times {a:e}, {b:e}: {plain} is not {scaled}"
            );
        }
        if family != Family::Energy {
            let [plain, scaled] = [&plain, &scaled].map(|test| test.found.hsic_biased.unwrap());
            prop_assert!(
                (plain - scaled).abs() < 1e-8,
                "{family:?} times {a:e}, {b:e}: {plain} is not {scaled}"
            );
        }
        prop_assert_eq!(plain.p.p_value, scaled.p.p_value, "{:?} {:?} times {:e}, {:e}", family, null, a, b);
        Ok(())
    });
}

/// N(0, c^2 I), of which c^2 may be no number.
#[derive(Debug)]
struct Normal {
    d: usize,
    c: f64,
}

impl Density for Normal {
    fn dimension(&self) -> usize {
        self.d
    }

    fn score(&self, x: &[f64], out: &mut [f64]) -> Result<(), ZeroDensity> {
        out.iter_mut().zip(x).for_each(|(out, x)| *out = -x / self.c / self.c);
        Ok(())
    }
}

fn fitted(values: &[f64], d: usize, c: f64, family: Family) -> Outcome<elbo::statistic::fit::Fit> {
    let model = Normal { d, c };
    let candidate = Candidate { name: "normal", density: &model, refit: None };
    let common = Common { null: Null::Wild, ..few() };
    let settings = FitSettings { family, common, ..FitSettings::default() };
    fit(&CPU, Sample::new(d, values), candidate, &settings, &mut |_| Ok(())).unwrap()
}

/// KSD^2 scales with 1 / c^2; with the bandwidth as the unit of length it does not.
#[test]
fn a_test_of_fit_has_no_units() {
    property(16, &(UNITS, any::<bool>(), 1..4usize, 0..1000u64), |(power, imq, d, seed)| {
        let (c, family) = (10f64.powf(power), if imq { Family::Imq } else { Family::Gaussian });
        let x = normal(seed, 40 * d, 0.3);
        let (plain, scaled) = (fitted(&x, d, 1.0, family), fitted(&times(&x, c), d, c, family));
        prop_assert_eq!(plain.p.p_value, scaled.p.p_value, "times {:e}", c);
        let size = plain.found.rows.iter().fold(0.0f64, |most, row| most.max(row.abs()));
        for (a, b) in plain.found.rows.iter().zip(&scaled.found.rows) {
            prop_assert!((a - b).abs() < 1e-6 * size, "times {c:e}: {a} is not {b}");
        }
        let [a, b] = [&plain, &scaled].map(|test| test.found.kernel.bandwidths[0]);
        prop_assert!((b / a / c - 1.0).abs() < 1e-12, "bandwidths {a} and {b:e}");
        if c.abs().log10().abs() < 140.0 {
            let [a, b] = [plain.found.ksd2_unbiased, scaled.found.ksd2_unbiased * c * c];
            prop_assert!((a - b).abs() < 1e-6 * a.abs().max(1e-2), "times {c:e}: {a} is not {b}");
        }
        Ok(())
    });
}

#[test]
fn other_statistics_have_no_units() {
    property(12, &(UNITS, 0..4usize, 0..1000u64), |(power, family, seed)| {
        let (c, family) = (10f64.powf(power), FAMILIES[family]);
        let samples = [0, 1, 2].map(|i| normal(seed + 1000 * i, 80, 0.3 * i as f64));
        let scaled = samples.each_ref().map(|values| times(values, c));
        let of = |values: &[Vec<f64>; 3], c: f64| {
            let [x, y, z] = values.each_ref().map(|values| Sample::new(2, values));
            let unit = if family == Family::Energy { c } else { 1.0 };
            let mut numbers = Vec::new();
            let settings = CloserSettings { family, ..CloserSettings::default() };
            let test = closer(&CPU, [x, y, z], &settings, &mut |_| Ok(())).unwrap();
            numbers.extend([test.found.difference / unit, test.found.standard_error / unit, test.p.p_value]);
            let bandwidth = if family == Family::Energy { 1.0 } else { c };
            let at =
                witness::at_samples(&CPU, [x, y], &KernelFunction::new(family, bandwidth), &mut |_| Ok(()));
            numbers.extend(at.unwrap().values.concat().into_iter().map(|value| value / unit));
            for (combine, null) in [(Combine::Agg, Null::Exact), (Combine::Fuse, Null::Wild)] {
                let families = vec![family, Family::Laplace];
                let settings = AggregateSettings {
                    families,
                    combine,
                    common: Common { null, ..few() },
                    bandwidth: None,
                };
                numbers.push(aggregate(&CPU, [x, y], &settings, &mut |_| Ok(())).unwrap().p.p_value);
            }
            if family != Family::Energy {
                let settings = FeatureSettings { family, common: few(), ..FeatureSettings::default() };
                let test = approximate(&CPU, [x, y], &settings, &mut |_| Ok(())).unwrap();
                numbers.extend([test.found.mmd2_unbiased, test.p.p_value]);
            }
            numbers.push(divergence([x, y], &NeighbourSettings::default()).unwrap().nats);
            numbers.push(mutual_information([x, y], &NeighbourSettings::default()).unwrap().nats);
            numbers
        };
        for (i, (a, b)) in of(&samples, 1.0).into_iter().zip(of(&scaled, c)).enumerate() {
            prop_assert!(
                (a - b).abs() <= 1e-6 * a.abs().max(1e-2),
                "{family:?}, number {i}, times {c:e}: {a} is not {b}"
            );
        }
        Ok(())
    });
}

/// One to three outliers of 10^k in X, in Y or in both, by themselves or together. Kernels of at most 1 are right to the
/// contract of 16 points and more, 2e-7. Energy is right to 1e-6, and to what f64 itself has left of it: sums of n terms
/// up to 10^k that may cancel.
#[test]
fn outliers_leave_the_other_points_their_digits() {
    let inputs = (0.5..300.0f64, 0..4usize, 1..4usize, 1..4usize, 0..3usize, any::<bool>(), 0..1000u64);
    property(64, &inputs, |(power, family, d, count, place, given, seed)| {
        let (family, far) = (FAMILIES[family], 10f64.powf(power.min(299.9)));
        let (n, m) = (30, 25);
        let mut samples = [normal(seed, n * d, 0.0), normal(seed + 5000, m * d, 0.4)];
        for i in 0..count {
            let value = far * [1.0, 1.0, -0.3][i] + [0.0, 0.7, 0.0][i];
            for (which, sample) in samples.iter_mut().enumerate() {
                if place == 2 || place == which {
                    sample[(3 + 5 * i) * d] = value;
                }
            }
        }
        let [x, y] = samples.each_ref().map(|values| Sample::new(d, values));
        let median = median_distance([x, y], family);
        let b = if given { 0.9 } else { median };
        let own = given && family != Family::Energy;
        let bandwidth = if own { Bandwidth::Values(vec![b]) } else { Bandwidth::default() };
        let settings = TwoSampleSettings { family, bandwidth, common: few(), ..Default::default() };
        let found = test([x, y], &settings);
        if family != Family::Energy {
            let got = found.found.kernel.bandwidths[0];
            prop_assert!((got / b - 1.0).abs() < 1e-6, "{family:?} 10^{power}: bandwidth {got}, {b} in f64");
        }
        let k = matrix([x, y], family, b);
        let labels = permutations([n, m], 0, 0, 100);
        // Y is the smaller sample.
        let word = |p: usize| if p < n { p } else { n.next_multiple_of(32) + p - n };
        let chosen =
            |p: usize, draw: usize| labels.words[word(p) / 32 * 100 + draw] >> (word(p) % 32) & 1 == 1;
        let size = if family == Family::Energy { far } else { 0.0 };
        for draw in 0..6 {
            let want = unbiased(&k, |p| !chosen(p, draw));
            let got = if draw == 0 { found.found.mmd2_unbiased } else { found.draws[draw - 1] };
            let error = if family == Family::Energy { 1e-6 * want.abs() + 1e-14 * size } else { 2e-7 };
            prop_assert!(
                (got - want).abs() <= error,
                "{family:?} 10^{power} draw {draw}: {got}, {want} in f64"
            );
        }
        Ok(())
    });
}

/// Three clusters, all in X and in Y, whose inside is shifted.
#[test]
fn clusters_keep_their_inside() {
    property(32, &(1.0..12.0f64, 0..4usize, 1..3usize, 0..1000u64), |(power, family, d, seed)| {
        let (family, far) = (FAMILIES[family], 10f64.powf(power));
        let of = |seed: u64, mean: f64| -> Vec<f64> {
            let mut values = normal(seed, 48 * d, mean);
            values.chunks_mut(d).enumerate().for_each(|(i, x)| x[0] += [0.0, far, -3.0 * far][i % 3]);
            values
        };
        let (x, y) = (of(seed, 0.0), of(seed + 5000, 0.6));
        let samples = [Sample::new(d, &x), Sample::new(d, &y)];
        let bandwidth =
            if family == Family::Energy { Bandwidth::default() } else { Bandwidth::Values(vec![1.0, 3.0]) };
        let found =
            test(samples, &TwoSampleSettings { family, bandwidth, common: few(), ..Default::default() });
        let [a, b] = [1.0, 3.0].map(|b| unbiased(&matrix(samples, family, b), |p| p < 48));
        let want = 0.5 * (a + b);
        let error = if family == Family::Energy { 1e-6 * want.abs() } else { 2e-7 };
        let got = found.found.mmd2_unbiased;
        prop_assert!((got - want).abs() <= error, "{family:?} 10^{power}: {got}, {want} in f64");
        Ok(())
    });
}

/// HSIC and KSD beside loops in f64, with far points.
#[test]
fn dependence_and_fit_stand_outliers() {
    property(24, &(1.0..140.0f64, 0..4usize, 1..3usize, 0..1000u64), |(power, family, d, seed)| {
        let (family, far, n) = (FAMILIES[family], 10f64.powf(power), 30);
        let mut x = normal(seed, n * d, 0.0);
        let y: Vec<f64> =
            normal(seed + 5000, n, 0.0).iter().zip(x.chunks(d)).map(|(y, x)| y + x[0]).collect();
        (x[2 * d], x[9 * d]) = (far, far + 1.0);
        let samples = [Sample::new(d, &x), Sample::new(1, &y)];
        let settings = IndependenceSettings { families: [family; 2], common: few(), ..Default::default() };
        let found = independence(&CPU, samples, &settings, &mut |_| Ok(())).unwrap().found;
        let empty = samples.map(|sample| sample.first(0));
        let [k, l] = [0, 1].map(|which| {
            let pooled = [samples[which], empty[which]];
            let mut k = matrix(pooled, family, median_distance(pooled, family));
            let at_zero = if family == Family::Energy { 0.0 } else { 1.0 };
            (0..n).for_each(|i| k[i][i] = at_zero);
            let rows: Vec<f64> = k.iter().map(|row| row.iter().sum::<f64>() / n as f64).collect();
            let all = rows.iter().sum::<f64>() / n as f64;
            (0..n * n).map(|i| k[i / n][i % n] - rows[i / n] - rows[i % n] + all).collect::<Vec<_>>()
        });
        let want = k.iter().zip(&l).map(|(k, l)| k * l).sum::<f64>() / (n * n) as f64;
        let got = found.hsic_biased.unwrap();
        let error = if family == Family::Energy { 2e-6 * want.abs() + 1e-13 * far } else { 5e-7 };
        prop_assert!((got - want).abs() <= error, "{family:?} 10^{power}: HSIC {got}, {want} in f64");

        if matches!(family, Family::Gaussian | Family::Imq) {
            let b = median_distance([samples[0], empty[0]], family);
            let u = |i: usize, j: usize| {
                let (x, z) = (samples[0].point(i), samples[0].point(j));
                let k = kernel(family, distance(family, x, z), b);
                // phi' and phi'' of the squared distance, the latter times it.
                let (first, second) = match family {
                    Family::Gaussian => {
                        (-0.5 / (b * b), 0.25 * (distance(family, x, z) / b).powi(2) / (b * b))
                    }
                    _ => (
                        -0.5 * k * k / (b * b),
                        0.75 * k * k * (k * distance(family, x, z) / b).powi(2) / (b * b),
                    ),
                };
                // s = -x for N(0, I).
                let (mut scores, mut mixed) = (0.0, 0.0);
                for (x, z) in x.iter().zip(z) {
                    scores += k * x * z;
                    mixed -= (k * (x - z)) * (x - z) * first;
                }
                if k == 0.0 { 0.0 } else { scores - 2.0 * (mixed + k * d as f64 * first) - 4.0 * k * second }
            };
            let pairs = || (0..n).flat_map(|i| (0..n).filter(move |j| *j != i).map(move |j| (i, j)));
            let terms: Vec<f64> = pairs().map(|(i, j)| u(i, j)).collect();
            let want = terms.iter().sum::<f64>() / terms.len() as f64;
            let size = terms.iter().map(|u| u.abs()).sum::<f64>() / terms.len() as f64;
            let got = fitted(&x, d, 1.0, family).found.ksd2_unbiased;
            prop_assert!(
                (got - want).abs() <= 2e-6 * size,
                "{family:?} 10^{power}: KSD^2 {got}, {want} in f64"
            );
        }
        Ok(())
    });
}

/// A floor of 1e-4 itself would rule all columns of such data.
#[test]
fn bandwidths_of_columns_have_no_units_and_constant_columns_no_part() {
    let (x, y) = (normal(1, 120, 0.0), normal(2, 120, 0.4));
    let of = |c: f64| {
        let scaled = |values: &[f64]| -> Vec<f64> {
            values.chunks(3).flat_map(|p| [p[0] * c, 7.5 * c, p[1] * 1e3 * c, p[2] * 1e-8 * c]).collect()
        };
        let (x, y) = (scaled(&x), scaled(&y));
        let settings = TwoSampleSettings {
            bandwidth: Bandwidth::Rule(Rule::MedianPerFeature, vec![1.0]),
            common: few(),
            ..Default::default()
        };
        test([Sample::new(4, &x), Sample::new(4, &y)], &settings)
    };
    let plain = of(1.0);
    assert!(plain.warnings.iter().any(|w| w.contains("1 of 4 columns are constant")), "{:?}", plain.warnings);
    for c in [1e-200, 1e-12, 1e30, 1e250] {
        let scaled = of(c);
        assert!((scaled.found.mmd2_unbiased - plain.found.mmd2_unbiased).abs() < 1e-8, "times {c:e}");
        assert_eq!(scaled.p.p_value, plain.p.p_value, "times {c:e}");
    }
}

/// Beyond f64 there is no energy distance: the row is named as the sample has it. Others are 0 there.
#[test]
fn what_no_number_holds_is_named() {
    let (mut x, y) = (normal(1, 60, 5.0), normal(2, 60, 5.0));
    x[2 * 17 + 1] = 1.7e308;
    let samples = [Sample::new(2, &x), Sample::new(2, &y)];
    let settings = |family| TwoSampleSettings { family, common: few(), ..Default::default() };
    let error =
        two_sample(&CPU, samples, &settings(Family::Energy), &mut |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("row 17, column 1 of X (counted from 0) is 1.7e308"), "{error}");
    for family in [Family::Gaussian, Family::Laplace, Family::Imq] {
        assert!(test(samples, &settings(family)).found.mmd2_unbiased.abs() < 0.1, "{family:?}");
    }
}

/// Far points are told, and only where they cost time.
#[test]
fn slow_sums_are_told() {
    let (mut x, y) = (normal(1, 600, 0.0), normal(2, 600, 0.0));
    let warned = |x: &[f64], family| {
        let (samples, kernel) = ([Sample::new(1, x), Sample::new(1, &y)], KernelFunction::new(family, 1.0));
        let settings = TwoSampleSettings { family, common: few(), ..Default::default() };
        let witness = witness::at_samples(&CPU, samples, &kernel, &mut |_| Ok(())).unwrap();
        let [test, witness] = [test(samples, &settings).warnings, witness.warnings]
            .map(|warnings| warnings.iter().any(|warning| warning.contains("64 bits")));
        assert_eq!(test, witness, "{family:?}");
        test
    };
    assert!(FAMILIES.iter().all(|family| !warned(&x, *family)), "ordinary points");
    x[7] = 1e12;
    assert_eq!(FAMILIES.map(|family| warned(&x, family)), [false, false, false, true], "one far point");
    x[8] = 1e12 + 0.5;
    assert_eq!(FAMILIES.map(|family| warned(&x, family)), [false, false, true, true], "two of them");
}

/// Components on one point each, and more parameters than points.
#[test]
fn collapsed_fits_are_told() {
    let of = |values: &[f64], components: usize| {
        let settings = MixtureSettings { components, ..MixtureSettings::default() };
        gaussian_mixture(Sample::new(2, values), &settings).unwrap()
    };
    let points = normal(3, 400, 0.0);
    assert_eq!(of(&points, 2).warning(), None, "200 different points");
    // Four places, 50 points at each.
    let repeated: Vec<f64> = (0..400).map(|i| points[i % 8]).collect();
    let warning = of(&repeated, 4).warning().unwrap();
    assert!(warning.contains("4 of 4 components"), "{warning}");
    assert!(of(&points[..4], 1).warning().is_some(), "two points in a plane lie on a line");
    assert!(of(&points[..6], 1).warning().is_some(), "any three points in a plane fit alike");
    assert!(of(&points[..16], 1).warning().is_none());
}
