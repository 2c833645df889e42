//! A bandwidth chosen by its power: half of the points choose it, and the other half test with it.
//!
//! ```text
//! J(b) = D_b / sqrt(V_b + 1e-8)
//!
//! two samples       D = MMD^2 unbiased   V = 4 / n Var_i(h(x_i)) + 4 / m Var_j(h(y_j)), h the own mean of k less
//!                                            the mean with the other sample
//! goodness of fit   D = KSD^2 unbiased   V = 4 / n Var_i(mean over x' of u(x_i, x'))
//! ```
//!
//! V is the variance of the first order, which is that of the estimate where there is a difference; it is never
//! negative. For large samples the bandwidth with the largest J has the most power: Gretton, Sriperumbudur,
//! Sejdinovic, Strathmann, Balakrishnan, Pontil, Fukumizu, NIPS 2012; Sutherland et al., ICLR 2017; the constant is
//! that of Liu, Xu, Lu, Zhang, Gretton, Sutherland, ICML 2020. Points that chose must not test: the level of the test
//! is exact because the halves are independent.

use super::bandwidth::Resolved;
use super::gram::{Gram, Request};
use super::{Bandwidth, KernelFunction, Rule, Sample};
use crate::engine::Device;
use crate::error::{Error, Kind, Result};
use crate::kernel::pairs::Family;
use crate::random::{Sequence, Stream};

/// Added to V: a bandwidth so small or large that the kernel is constant has neither a difference nor a variance.
const REGULARISER: f64 = 1e-8;

/// Candidates if only a rule is given: its bandwidth times these powers of two.
const POWERS: std::ops::RangeInclusive<i32> = -5..=5;

/// Fewest points of a sample: each half needs two.
const LEAST_POINTS: usize = 4;

/// The two halves of a sample, in random order: the first chooses, the second tests.
pub(super) fn halves(sample: Sample<'_>, seed: u64, which: u32) -> Result<[Vec<f64>; 2]> {
    let n = sample.len();
    if n < LEAST_POINTS {
        let message = format!("a sample has {n} points; to split it, there must be at least {LEAST_POINTS}");
        return Err(Kind::Samples(message).into());
    }
    let order = Sequence::new(seed, Stream::Split, which).order(n);
    let (choose, test) = order.split_at(n / 2);
    Ok([sample.choice(choose), sample.choice(test)])
}

/// The candidates: several bandwidths as they are, a single multiple of a rule with larger and smaller ones.
pub(super) fn candidates(bandwidth: &Bandwidth, family: Family) -> Result<Bandwidth> {
    if family.without_bandwidth() {
        return Err(Error::usage("this kernel has no bandwidth to choose; leave out --split"));
    }
    match bandwidth {
        Bandwidth::Rule(Rule::MedianPerFeature, _) => {
            Err(Error::usage("--split chooses one bandwidth for all columns; use --bandwidth median with it"))
        }
        Bandwidth::Rule(rule, factors) => match factors[..] {
            [factor] => Ok(Bandwidth::Rule(*rule, POWERS.map(|i| factor * 2f64.powi(i)).collect())),
            _ => Ok(bandwidth.clone()),
        },
        Bandwidth::Values(values) if values.len() == 1 => {
            Err(Error::usage("--split chooses among several bandwidths; give more than one, or a rule"))
        }
        Bandwidth::Values(_) => Ok(bandwidth.clone()),
    }
}

/// Chooses one of the candidates with samples that are not used again; `y` may be empty. `criterion` gives D and V of a
/// kernel. The result has the one bandwidth, and says where it comes from.
pub(super) fn choose(
    device: &Device,
    samples: [Sample<'_>; 2],
    family: Family,
    bandwidth: &Bandwidth,
    seed: u64,
    mut criterion: impl FnMut(&KernelFunction) -> Result<[f64; 2]>,
) -> Result<Resolved> {
    let resolved = candidates(bandwidth, family)?.resolve(device, samples, family, true, seed)?;
    let mut best = (f64::NEG_INFINITY, KernelFunction::new(family, 1.0));
    for &bandwidth in &resolved.kernel.bandwidths {
        let kernel = KernelFunction::new(family, bandwidth);
        let [difference, variance] = criterion(&kernel)?;
        let power = difference / (variance + REGULARISER).sqrt();
        if power > best.0 {
            best = (power, kernel);
        }
    }
    let count = resolved.kernel.bandwidths.len();
    let rule =
        format!("the most powerful of {count} ({}) on half of the points; the others test", resolved.rule);
    Ok(Resolved { kernel: best.1, rule, warnings: resolved.warnings })
}

/// D and V of a kernel and two samples.
pub(super) fn of_two_samples(
    device: &Device,
    samples: [Sample<'_>; 2],
    kernel: &KernelFunction,
) -> Result<[f64; 2]> {
    Ok(first_order(&Gram::new(device, samples, kernel, &Request::None, false, &mut |_| Ok(()))?))
}

/// D and V from the sums of each point.
pub(super) fn first_order(gram: &Gram) -> [f64; 2] {
    let [n, m] = gram.counts.map(|count| count as f64);
    let (x, y) = gram.k.split_at(gram.counts[0]);
    let h_x: Vec<f64> = x.iter().map(|k| k[0] / (n - 1.0) - k[1] / m).collect();
    let h_y: Vec<f64> = y.iter().map(|k| k[1] / (m - 1.0) - k[0] / n).collect();
    let ([mean_x, first], [mean_y, second]) = (mean_and_variance(&h_x), mean_and_variance(&h_y));
    [mean_x + mean_y, 4.0 * first / n + 4.0 * second / m]
}

/// D and V from the row sums of a Stein kernel without its diagonal.
pub(super) fn of_rows(rows: &[f64]) -> [f64; 2] {
    let n = rows.len() as f64;
    let means: Vec<f64> = rows.iter().map(|row| row / (n - 1.0)).collect();
    let [mean, variance] = mean_and_variance(&means);
    [mean, 4.0 * variance / n]
}

/// The mean, and the mean squared distance from it.
fn mean_and_variance(values: &[f64]) -> [f64; 2] {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    [mean, values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_all_points_once() {
        let values: Vec<f64> = (0..22).map(f64::from).collect();
        let [choose, test] = halves(Sample::new(2, &values), 3, 0).unwrap();
        assert_eq!([choose.len(), test.len()], [10, 12], "five and six points of two coordinates");
        let mut all = [choose.clone(), test].concat();
        assert_ne!(all, values, "in random order");
        all.sort_by(f64::total_cmp);
        assert_eq!(all, values);
        let [other, _] = halves(Sample::new(2, &values), 3, 1).unwrap();
        assert_ne!(choose, other, "another choice for the other sample");
        assert!(halves(Sample::new(2, &values[..6]), 3, 0).is_err(), "three points are too few");
    }

    #[test]
    fn one_multiple_of_a_rule_becomes_many() {
        let rule = |factors: &[f64]| Bandwidth::Rule(Rule::Median, factors.to_vec());
        let Bandwidth::Rule(Rule::Median, factors) = candidates(&rule(&[3.0]), Family::Gaussian).unwrap()
        else {
            panic!("another rule");
        };
        assert_eq!((factors.len(), factors[0], factors[5]), (11, 3.0 / 32.0, 3.0));
        let two = rule(&[1.0, 2.0]);
        assert_eq!(candidates(&two, Family::Gaussian).unwrap(), two);
        for (bandwidth, family) in [
            (rule(&[1.0]), Family::Energy),
            (Bandwidth::Values(vec![1.0]), Family::Gaussian),
            (Bandwidth::Rule(Rule::MedianPerFeature, vec![1.0]), Family::Gaussian),
        ] {
            assert!(candidates(&bandwidth, family).is_err(), "{bandwidth} {family:?}");
        }
    }

    #[test]
    fn the_criterion_is_that_of_row_sums() {
        let [difference, variance] = of_rows(&[2.0, 4.0, 6.0]);
        assert!((difference - 2.0).abs() < 1e-15, "mean row sum 4 over n - 1 = 2");
        assert!((variance - 4.0 * (2.0 / 3.0) / 3.0).abs() < 1e-15, "row means 1, 2, 3");
    }
}
