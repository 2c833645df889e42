//! What results of tests say no more than they know: intervals cover, tests of series keep their level, and a test that
//! cannot reject says so. `ELBO_LEVELS=all` repeats 2,000 times.

use elbo::engine::{Choice, Device};
use elbo::random::{Sequence, Stream};
use elbo::statistic::columns::scales;
use elbo::statistic::independence::{IndependenceSettings, independence};
use elbo::statistic::{Bandwidth, Common, Null, Sample, TwoSampleSettings, two_sample};
use std::sync::LazyLock;

static CPU: LazyLock<Device> = LazyLock::new(|| Device::open(Choice::Cpu, None).expect("a CPU"));

/// Whether all repetitions are wanted.
fn all() -> bool {
    std::env::var("ELBO_LEVELS").is_ok_and(|value| value == "all")
}

fn repetitions(few: u32) -> u32 {
    if all() { 2000 } else { few }
}

/// `n` normal points, all coordinates around `mean`.
fn normal(which: u32, n: usize, d: usize, mean: f64) -> Vec<f64> {
    let mut random = Sequence::new(6, Stream::Data, which);
    (0..n * d).map(|_| mean + random.normal_f64()).collect()
}

/// A stationary autoregression of variance 1.
fn autoregression(which: u32, n: usize, phi: f64, mean: f64) -> Vec<f64> {
    let mut random = Sequence::new(7, Stream::Data, which);
    let mut value = random.normal_f64();
    let next = |_| {
        value = phi * value + (1.0 - phi * phi).sqrt() * random.normal_f64();
        mean + value
    };
    (0..n).map(next).collect()
}

fn common(null: Null, permutations: usize, seed: u32) -> Common {
    Common { null, permutations, seed: u64::from(seed), ..Common::default() }
}

/// MMD^2 of N(0, I) and N(mu, I), the square of mu given, with the gaussian kernel of bandwidth sigma:
/// 2 (s / (s + 2))^(d / 2) (1 - exp(-|mu|^2 / (2 (s + 2)))), s = sigma^2.
fn truth(sigma: f64, d: usize, mu2: f64) -> f64 {
    let s = sigma * sigma;
    2.0 * (s / (s + 2.0)).powf(d as f64 / 2.0) * (1.0 - (-mu2 / (2.0 * (s + 2.0))).exp())
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(share * (values.len() - 1) as f64).round() as usize]
}

/// The share of intervals that cover the truth, and their median width over that of the oracle which knows how U
/// scatters around the truth: the distance of its 2.5 % and 97.5 % quantiles.
fn coverage(null: Null, [n, m]: [usize; 2], d: usize, shift: f64, first: bool, repetitions: u32) -> [f64; 2] {
    let (mut covered, mut widths, mut errors) = (0, Vec::new(), Vec::new());
    for repetition in 0..repetitions {
        let x = normal(2 * repetition, n, d, 0.0);
        let mut y = normal(2 * repetition + 1, m, d, if first { 0.0 } else { shift });
        if first {
            y.iter_mut().step_by(d).for_each(|y| *y += shift);
        }
        let settings = TwoSampleSettings { common: common(null, 999, repetition), ..Default::default() };
        let samples = [Sample::new(d, &x), Sample::new(d, &y)];
        let test = two_sample(&CPU, samples, &settings, &mut |_| Ok(())).expect("a test");
        let mu2 = shift * shift * if first { 1.0 } else { d as f64 };
        let truth = truth(test.found.kernel.bandwidths[0], d, mu2);
        let [low, high] = test.found.confidence_interval.expect("an interval");
        assert!(high > low && low >= 0.0, "{low} to {high}");
        assert!(test.p.reject || low == 0.0, "no lower end above 0 without a rejection");
        covered += u32::from(low <= truth && truth <= high);
        widths.push(high - low);
        errors.push(test.found.mmd2_unbiased - truth);
    }
    let oracle = quantile(&mut errors, 0.975) - quantile(&mut errors, 0.025);
    let found = [f64::from(covered) / f64::from(repetitions), quantile(&mut widths, 0.5) / oracle];
    let what = format!("{null:?}, {n} and {m}, d = {d}, shift {shift}{}", if first { " of one" } else { "" });
    eprintln!("{what}: covered {:.4}, median width {:.2} of the oracle's", found[0], found[1]);
    found
}

/// Over all repetitions, whether they reject or not. The standard error at .95 is .005 over 2,000, and .015 over the 200
/// of the short run, which two of twelve settings are for.
#[test]
fn intervals_cover() {
    let each = if all() { vec![([100, 100], 2000), ([500, 500], 2000)] } else { vec![([100, 100], 200)] };
    let least = if all() { 0.93 } else { 0.9 };
    for (sizes, repetitions) in each {
        for (d, shift, first) in [
            (1, 0.0, false),
            (1, 0.1, false),
            (1, 0.3, false),
            (10, 0.0, false),
            (10, 0.1, false),
            (10, 0.3, false),
            (10, 0.1, true),
            (10, 0.3, true),
        ] {
            let [covered, width] = coverage(Null::Exact, sizes, d, shift, first, repetitions);
            assert!(covered >= least, "{sizes:?}, d = {d}, shift {shift}: covered {covered}");
            assert!(width <= 2.0, "{sizes:?}, d = {d}, shift {shift}: {width} times the oracle's width");
        }
    }
}

/// The draws of the other nulls, and samples of two sizes.
#[test]
fn intervals_of_all_nulls_cover() {
    let repetitions = repetitions(200);
    let least = if all() { 0.93 } else { 0.9 };
    for (null, sizes) in [(Null::Wild, [100, 100]), (Null::Binned, [400, 400]), (Null::Exact, [60, 150])] {
        for shift in [0.0, 0.3] {
            let [covered, width] = coverage(null, sizes, 2, shift, false, repetitions);
            assert!(covered >= least && width <= 2.0, "{null:?}, shift {shift}: {covered}, {width}");
        }
    }
}

#[test]
fn there_is_no_interval_of_few_points_or_few_draws() {
    let of = |n, permutations, null| {
        let (x, y) = (normal(1, n, 2, 0.0), normal(2, 80, 2, 0.0));
        let settings = TwoSampleSettings { common: common(null, permutations, 0), ..Default::default() };
        let samples = [Sample::new(2, &x), Sample::new(2, &y)];
        two_sample(&CPU, samples, &settings, &mut |_| Ok(())).expect("a test").found.confidence_interval
    };
    assert!(of(50, 39, Null::Exact).is_some());
    assert!(of(49, 39, Null::Exact).is_none(), "49 points");
    assert!(of(50, 38, Null::Exact).is_none(), "a tail of 1 / 39");
    assert!(of(50, 39, Null::Series).is_none(), "of dependent rows");
}

/// 3 against 3 points, as different as can be: no split is more extreme, and a tenth of all is as extreme.
#[test]
fn three_points_cannot_reject() {
    let (x, y) = ([0.0, 1.0, 2.0], [100.0, 101.0, 102.5]);
    let mut sum = 0.0;
    for seed in 0..20 {
        let settings = TwoSampleSettings { common: common(Null::Exact, 999, seed), ..Default::default() };
        let samples = [Sample::new(1, &x), Sample::new(1, &y)];
        let test = two_sample(&CPU, samples, &settings, &mut |_| Ok(())).expect("a test");
        assert!((test.p.least_p_value - 0.1).abs() < 1e-12);
        assert!(test.p.cannot_reject().is_some() && !test.p.reject);
        sum += test.p.p_value;
    }
    // 20,000 draws with a tenth of ties: .1 +- .002.
    assert!((sum / 20.0 - 0.1009).abs() < 0.008, "{}", sum / 20.0);
}

/// Five pairs of the wild bootstrap have 16 different signs, 40 against 4,000 points whole bins by default.
#[test]
fn the_least_p_value_is_that_of_the_null() {
    let least = |null, [n, m]: [usize; 2]| {
        let (x, y) = (normal(1, n, 1, 0.0), normal(2, m, 1, 0.0));
        let settings = TwoSampleSettings { common: common(null, 99, 0), ..Default::default() };
        let samples = [Sample::new(1, &x), Sample::new(1, &y)];
        let test = two_sample(&CPU, samples, &settings, &mut |_| Ok(())).expect("a test");
        (test.p.least_p_value, test.found.bin)
    };
    assert!((least(Null::Wild, [5, 5]).0 - 2.0 / 32.0).abs() < 1e-12);
    assert_eq!(least(Null::Binned, [40, 4000]), (0.01, Some(5)), "8 bins of the smaller sample");
    assert_eq!(least(Null::Binned, [1000, 1000]).1, Some(4), "as before");
    let (x, y) = ([1.0, 2.0, 4.0, 7.0, 8.0], [0.0, 0.0, 1.0, 1.0, 1.0]);
    let settings =
        IndependenceSettings { common: common(Null::Exact, 999, 0), ..IndependenceSettings::default() };
    let samples = [Sample::new(1, &x), Sample::new(1, &y)];
    let test = independence(&CPU, samples, &settings, &mut |_| Ok(())).expect("a test");
    assert!((test.p.least_p_value - 0.1).abs() < 1e-12, "C(5, 2) orders of two labels");
}

/// The share that rejects of tests of series without a difference, or with a shift.
fn series_rate(n: usize, phi: f64, shift: f64, repetitions: u32) -> f64 {
    let mut rejected = 0;
    for repetition in 0..repetitions {
        let x = autoregression(2 * repetition, n, phi, 0.0);
        let y = autoregression(2 * repetition + 1, n, phi, shift);
        let settings =
            TwoSampleSettings { common: common(Null::Series, 199, repetition), ..Default::default() };
        let samples = [Sample::new(1, &x), Sample::new(1, &y)];
        let test = two_sample(&CPU, samples, &settings, &mut |_| Ok(())).expect("a test");
        rejected += u32::from(test.p.reject);
    }
    let rate = f64::from(rejected) / f64::from(repetitions);
    eprintln!("series, {n} rows, phi {phi}, shift {shift}: {rate} rejected");
    rate
}

/// The level of the permutation of points is .77 at phi = .9. Of 200 repetitions the standard error is .016 to .02:
/// limits of the short run are 2.5 of those higher.
#[test]
fn level_of_the_series_null() {
    let limits = [(0.0, 0.065, 0.065), (0.5, 0.065, 0.065), (0.9, 0.1, 0.07)];
    let each = limits.map(|(phi, most, of_more)| [(1000, phi, most), (4000, phi, of_more)]);
    for (n, phi, most) in each.concat() {
        if n == 1000 || all() {
            let rate = series_rate(n, phi, 0.0, repetitions(200));
            assert!(rate <= if all() { most } else { most + 0.04 }, "{n} rows, phi {phi}: {rate}");
        }
    }
    // 1,000 rows with phi = .9 are as 53: a shift of 1 is 4.6 standard errors of the means' difference.
    let rate = series_rate(1000, 0.9, 1.0, repetitions(50));
    assert!(rate > 0.8, "power {rate}");
}

#[test]
fn level_of_the_series_null_of_independence() {
    let rate = |phi: f64, strength: f64, repetitions: u32| {
        let mut rejected = 0;
        for repetition in 0..repetitions {
            let x = autoregression(3 * repetition, 1000, phi, 0.0);
            let noise = autoregression(3 * repetition + 1, 1000, phi, 0.0);
            let y: Vec<f64> = x.iter().zip(noise).map(|(x, noise)| strength * x + noise).collect();
            let settings = IndependenceSettings {
                common: common(Null::Series, 99, repetition),
                ..IndependenceSettings::default()
            };
            let samples = [Sample::new(1, &x), Sample::new(1, &y)];
            let test = independence(&CPU, samples, &settings, &mut |_| Ok(())).expect("a test");
            rejected += u32::from(test.p.reject);
        }
        let rate = f64::from(rejected) / f64::from(repetitions);
        eprintln!("independence of series, phi {phi}, strength {strength}: {rate} rejected");
        rate
    };
    for (phi, most) in [(0.0, 0.065), (0.5, 0.065), (0.9, 0.1)] {
        let rate = rate(phi, 0.0, repetitions(100));
        assert!(rate <= if all() { most } else { most + 0.055 }, "phi {phi}: {rate}");
    }
    let power = rate(0.9, 1.0, repetitions(20));
    assert!(power > 0.8, "{power}");
}

/// Columns in units of their own: normal, of heavy tails, whole numbers that are mostly 0, and constant.
fn table(which: u32, n: usize) -> Vec<f64> {
    let mut random = Sequence::new(8, Stream::Data, which);
    let row = |_| {
        let [a, b, c, d] = [0; 4].map(|_| random.normal_f64());
        [1e-9 * a, 1e6 + 3e4 * b / c, f64::from(u8::from(d > 1.0)) * (10.0 * d).round(), 7.0]
    };
    (0..n).flat_map(row).collect()
}

/// Columns divided by what both samples say together: the level is that of the permutations. Of 2,000 repetitions the
/// standard error is .005.
#[test]
fn level_of_tables_on_one_scale() {
    let repetitions = repetitions(200);
    let mut rejected = 0;
    for repetition in 0..repetitions {
        let tables = [(2 * repetition, 60), (2 * repetition + 1, 90)].map(|(which, n)| table(which, n));
        let units = scales(&tables.each_ref().map(|values| Sample::new(4, values)));
        assert!(units[..3].iter().all(|&unit| unit > 0.0) && units[3] == 0.0, "{units:?}");
        let scaled = tables.map(|values| {
            let row = |row: &[f64]| [0, 1, 2].map(|column| row[column] / units[column]);
            values.chunks(4).flat_map(row).collect::<Vec<f64>>()
        });
        let settings =
            TwoSampleSettings { common: common(Null::Exact, 199, repetition), ..Default::default() };
        let samples = scaled.each_ref().map(|values| Sample::new(3, values));
        let test = two_sample(&CPU, samples, &settings, &mut |_| Ok(())).expect("a test");
        rejected += u32::from(test.p.reject);
    }
    let rate = f64::from(rejected) / f64::from(repetitions);
    eprintln!("tables on one scale: {rate} rejected");
    let error = (0.05 * 0.95 / f64::from(repetitions)).sqrt();
    assert!((rate - 0.05).abs() < 3.0 * error, "{rate}");
}

/// Why a bandwidth for each column is no default: its kernel narrows with each column.
#[test]
fn bandwidths_per_feature_lose_their_power_in_many_columns() {
    let power = |rule: &str, d: usize| {
        let repetitions = repetitions(60);
        let mut rejected = 0;
        for repetition in 0..repetitions {
            let x = normal(2 * repetition, 100, d, 0.0);
            // The same distance between the means for all d.
            let y = normal(2 * repetition + 1, 100, d, 0.8 / (d as f64).sqrt());
            let settings = TwoSampleSettings {
                bandwidth: rule.parse().expect("a rule"),
                common: common(Null::Exact, 199, repetition),
                ..Default::default()
            };
            let samples = [Sample::new(d, &x), Sample::new(d, &y)];
            let test = two_sample(&CPU, samples, &settings, &mut |_| Ok(())).expect("a test");
            rejected += u32::from(test.p.reject);
        }
        let rate = f64::from(rejected) / f64::from(repetitions);
        eprintln!("power of {rule}, d = {d}: {rate}");
        rate
    };
    for d in [2, 10, 50] {
        let [median, per_feature] = ["median", "median-per-feature"].map(|rule| power(rule, d));
        assert!(d < 50 || (median > 0.5 && per_feature < 0.2), "d = {d}: {median} and {per_feature}");
    }
}

/// All draws of blocks keep the rows of a block together, and none is left out.
#[test]
fn blocks_stay_together() {
    let order = elbo::statistic::null::order_of_blocks(12, 3, 5, 1);
    let mut blocks: Vec<&[u32]> = order.chunks(3).collect();
    assert!(order != (0..12).collect::<Vec<u32>>(), "another order");
    blocks.sort_unstable();
    assert_eq!(blocks.concat(), (0..12).collect::<Vec<u32>>());
    let settings = TwoSampleSettings {
        bandwidth: Bandwidth::Values(vec![1.0]),
        block_length: Some(7),
        common: common(Null::Series, 19, 0),
        ..Default::default()
    };
    let (x, y) = (autoregression(1, 100, 0.9, 0.0), autoregression(2, 71, 0.9, 0.0));
    let samples = [Sample::new(1, &x), Sample::new(1, &y)];
    let test = two_sample(&CPU, samples, &settings, &mut |_| Ok(())).expect("a test");
    assert_eq!(
        (test.found.n, test.found.m, test.found.blocks.map(|blocks| blocks.length)),
        (98, 70, Some(7))
    );
    assert!(test.warnings[0].contains("3 rows"), "{:?}", test.warnings);
    assert!(test.warnings[1].contains("(1 - phi) / (1 + phi)"), "{:?}", test.warnings);
}
