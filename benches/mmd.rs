//! Throughput of the sums over pairs: `cargo bench --bench mmd`. Elements are pairs of points.
//!
//! `elbo bench mmd` measures any sizes, and `benches/peers` the same work in other frameworks.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use elbo::engine::{Choice, Device};
use elbo::kernel::pairs::Family;
use elbo::random::{Sequence, Stream};
use elbo::statistic::gram::{Extra, Pass};
use elbo::statistic::points::Points;
use elbo::statistic::{Bandwidth, KernelFunction, Sample, TwoSampleSettings, two_sample};
use std::hint::black_box;
use std::time::Duration;

fn normal(index: u32, len: usize) -> Vec<f64> {
    let mut random = Sequence::new(0, Stream::Data, index);
    (0..len).map(|_| f64::from(random.normal())).collect()
}

/// The sum over pairs of both samples, on the engine that `elbo devices` says is taken.
fn sums(criterion: &mut Criterion) {
    let device = Device::open(Choice::Auto, None).expect("some engine");
    let mut group = criterion.benchmark_group("sum");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    for (n, d) in [(1000, 2), (1000, 10), (1000, 50), (1000, 784), (10_000, 2), (10_000, 10), (10_000, 50)] {
        let (x, y) = (normal(0, n * d), normal(1, n * d));
        let kernel = KernelFunction::new(Family::Gaussian, (d as f64).sqrt());
        let points = Points::new(Sample::new(d, &x), Sample::new(d, &y), None).expect("points");
        let mut pass = Pass::new(&device, &points, &kernel, &Extra::None, true).expect("a pass");
        group.throughput(Throughput::Elements((n * n) as u64));
        group.bench_function(BenchmarkId::new(format!("n={n}"), format!("d={d}")), |bench| {
            bench.iter(|| black_box(pass.run(&mut |_| {}).expect("sums")));
        });
    }
    group.finish();
}

/// A whole test with 999 permutations.
fn test(criterion: &mut Criterion) {
    let device = Device::open(Choice::Auto, None).expect("some engine");
    let mut group = criterion.benchmark_group("test");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    for n in [500, 2000] {
        let (x, y) = (normal(0, n * 10), normal(1, n * 10));
        let settings =
            TwoSampleSettings { bandwidth: Bandwidth::Values(vec![3.0]), ..TwoSampleSettings::default() };
        let samples = [Sample::new(10, &x), Sample::new(10, &y)];
        group.bench_function(BenchmarkId::from_parameter(n), |bench| {
            bench.iter(|| black_box(two_sample(&device, samples, &settings, &mut |_| {}).expect("a test")));
        });
    }
    group.finish();
}

criterion_group!(benches, sums, test);
criterion_main!(benches);
