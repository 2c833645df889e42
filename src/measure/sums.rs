//! Pairs of points per second: the sum over pairs of two samples, all three sums of MMD^2, and a whole test.
//!
//! Standard normal points, a Gaussian kernel of sigma^2 = d. The points of a sum are on the device already, as they are
//! in other frameworks.

use super::{Ceiling, Measurement, repeat};
use crate::engine::Device;
use crate::error::Result;
use crate::kernel::pairs::{Family, Form};
use crate::memory::Memory;
use crate::random::{Sequence, Stream};
use crate::statistic::gram::{Pass, Request};
use crate::statistic::points::Points;
use crate::statistic::{Bandwidth, Common, KernelFunction, Null, Sample, TwoSampleSettings, two_sample};
use rayon::prelude::*;
use serde::Serialize;

/// Points of a block of the bare product.
const PRODUCT_BLOCK: usize = 256;

/// A measurement's share of the limit, and its memory.
#[derive(Clone, Debug, Serialize)]
pub struct Sum {
    /// Of the rate that the device's multiplications, additions and exponentials allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// Of the engine's buffers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
}

/// The permutations of a test that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Permutations {
    /// B.
    pub count: usize,
    /// How they are made.
    pub null: Null,
}

/// Measures samples of `n` and `m` points in `d` dimensions: `sum`, `mmd`, on the CPU `product`, and with `test` a test.
///
/// # Errors
/// If the device fails.
pub fn measure(
    device: &Device,
    ceiling: &Ceiling,
    [n, m, d]: [usize; 3],
    test: Option<Permutations>,
) -> Result<Vec<Measurement<Sum>>> {
    let points = |index: u32, n: usize| -> Vec<f64> {
        let mut random = Sequence::new(0, Stream::Data, index);
        (0..n * d).map(|_| f64::from(random.normal())).collect()
    };
    let (x, y) = (points(0, n), points(1, m));
    let samples = [Sample::new(d, &x), Sample::new(d, &y)];
    let kernel = KernelFunction::new(Family::Gaussian, (d as f64).sqrt());
    let mut results = Vec::new();
    let mut add = |what: &str, (seconds, pairs): (f64, f64), limit: Option<f64>, bytes: Option<usize>| {
        let details = Sum { fraction: limit.map(|limit| pairs / seconds / limit), bytes };
        let work = (pairs, "pairs/s");
        results.push(Measurement::new(device, what.into(), [n, m, d], seconds, work, details));
    };
    let points = Points::new(samples[0], samples[1], &[&kernel])?;
    for (what, cross) in [("sum", true), ("mmd", false)] {
        let mut pass = Pass::new(device, &points, &kernel, &Request::None, cross)?;
        // A difference and its square, or one product, per coordinate.
        let each = if pass.form() == Form::Differences { 2 } else { 1 };
        let limit = ceiling.pairs(d, each, kernel.bandwidths.len());
        let time = repeat(what, || Ok(pass.run(&mut |_| Ok(()))?.evaluations))?;
        add(what, time, Some(limit), Some(pass.bytes()));
    }
    if device.info().engine == "cpu" {
        let time = repeat("product", || Ok(product(d, &x, &y)))?;
        add("product", time, Some(ceiling.multiply_adds / d as f64), None);
    }
    if let Some(Permutations { count, null }) = test {
        let settings = TwoSampleSettings {
            bandwidth: Bandwidth::Values(kernel.bandwidths),
            common: Common { permutations: count, null, ..Common::default() },
            ..TwoSampleSettings::default()
        };
        let mut bytes = 0;
        let time = repeat("test", || {
            let test = two_sample(device, samples, &settings, &mut |_| Ok(()))?;
            bytes = test.found.bytes;
            Ok(test.pairs)
        })?;
        add("test", time, None, Some(bytes));
    }
    Ok(results)
}

/// faer's product of the same points, against which a sum of products is measured: in blocks whose result stays in the
/// cache. Gives the number of pairs.
fn product(d: usize, x: &[f64], y: &[f64]) -> f64 {
    let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
    let (x, y) = (narrow(x), narrow(y));
    let scratch = || Memory::new(PRODUCT_BLOCK * PRODUCT_BLOCK);
    x.par_chunks(PRODUCT_BLOCK * d).for_each_init(scratch, |result, x| {
        for y in y.chunks(PRODUCT_BLOCK * d) {
            let (rows, columns) = (x.len() / d, y.len() / d);
            let result = &mut result.get_mut()[..rows * columns];
            faer::linalg::matmul::matmul(
                faer::MatMut::from_row_major_slice_mut(result, rows, columns),
                faer::Accum::Replace,
                faer::MatRef::from_row_major_slice(x, rows, d),
                faer::MatRef::from_row_major_slice(y, columns, d).transpose(),
                1.0,
                faer::Par::Seq,
            );
        }
    });
    (x.len() / d * (y.len() / d)) as f64
}
