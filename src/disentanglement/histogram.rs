//! Mutual information of factors and latents by histograms: the MIG of `disentanglement_lib`, and modularity.
//!
//! ```text
//! edges        e_b = min + b (max - min) / B of one latent, b < B;  bin of z: how many e_b <= z, 1..=B
//! p(b, v)      share of images with bin b and value v
//! I(z; v)      = sum p(b, v) ln (p(b, v) / (p(b) p(v))), in nats
//! MIG          see `gap`
//! modularity   of latent j = 1 - (sum_k I_kj^2 - M_j) / ((f - 1) M_j), M_j = max_k I_kj^2; mean over j
//! ```
//!
//! Locatello et al. 2019, appendix B, and `_histogram_discretize` of `disentanglement_lib`: `numpy.digitize`
//! with the edges of `numpy.histogram` without the last one, so the maximum shares the last bin. The edges of
//! a constant latent are around it, and all its images are in one bin. Modularity: Ridgeway and Mozer,
//! "Learning deep disentangled embeddings with the F-statistic loss", NeurIPS 2018, section 3.
//!
//! Plug-in mutual information is too large, by (B - 1) (K - 1) / (2 n) for independent ones (Miller 1955):
//! .04 nats at n = 10,000 and K = 40. A gap loses the bias of both latents. Modularity does not, so that
//! a latent that tells nothing has that of noise. On a full grid of factors there is no bias.

use super::gap::Gaps;
use super::{Labelled, MeasureValue, classes, largest};

/// B: bins of a latent (`disentanglement_lib`, mig.gin and `modularity_explicitness`.gin: `num_bins` = 20).
pub const BINS: usize = 20;

/// Histograms of all latents together with all factors.
#[derive(Clone, Debug)]
pub struct Histogram {
    factors: Vec<String>,
    /// Bin of each image in each latent, from 0: `(m)` of `(n)`.
    bins: Vec<Vec<u8>>,
    /// Value of each image in each factor: `(f)` of `(n)`.
    values: Vec<Vec<u8>>,
    /// One table per factor and latent: `(f, m)`.
    tables: Vec<BinCounts>,
    /// -ln p(v) of each value: `(f)` of `(K)`.
    surprisals: Vec<Vec<f64>>,
}

/// Pointwise information of bins and values, and its mean.
#[derive(Clone, Debug)]
struct BinCounts {
    /// ln (p(b, v) / (p(b) p(v))), 0 where none occurs: `(B, K)`.
    pointwise: Vec<f64>,
    information: f64,
}

/// How far each latent tells of one factor only.
#[derive(Clone, Debug, PartialEq)]
pub struct Modularity {
    /// The mean over the latents that tell of any; None if there is none, or only one factor.
    pub value: Option<MeasureValue>,
    /// Each latent's; None for those that tell of no factor: `(m)`.
    pub latents: Vec<Option<f64>>,
    /// The mean as in `disentanglement_lib`, where a latent that tells of no factor counts as 0; None with
    /// one factor.
    pub with_dead_as_zero: Option<f64>,
    /// Why a value is missing, or what is not in it.
    pub notes: Vec<String>,
}

/// The bin of each value, from 0.
fn bins(values: &[f64]) -> Vec<u8> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low == high {
        return vec![0; values.len()];
    }
    // In the order of operations of numpy.linspace, so that values on an edge fall where they do there.
    let step = (high - low) / BINS as f64;
    let edges: Vec<f64> = (0..BINS).map(|b| b as f64 * step + low).collect();
    values.iter().map(|z| edges.partition_point(|edge| edge <= z).saturating_sub(1) as u8).collect()
}

impl BinCounts {
    fn new(bins: &[u8], values: &[u8], size: usize) -> Self {
        let mut joint = vec![0.0; BINS * size];
        for (&b, &v) in bins.iter().zip(values) {
            joint[usize::from(b) * size + usize::from(v)] += 1.0;
        }
        let n = bins.len() as f64;
        let of_bins: Vec<f64> = joint.chunks(size).map(|row| row.iter().sum()).collect();
        let of_values: Vec<f64> = (0..size).map(|v| joint.iter().skip(v).step_by(size).sum()).collect();
        let information = |(cell, &count): (usize, &f64)| {
            if count > 0.0 { (n * count / (of_bins[cell / size] * of_values[cell % size])).ln() } else { 0.0 }
        };
        let pointwise: Vec<f64> = joint.iter().enumerate().map(information).collect();
        let sum: f64 = joint.iter().zip(&pointwise).map(|(count, p)| count * p).sum();
        // Never negative but for rounding; scikit-learn clips it as well.
        Self { pointwise, information: (sum / n).max(0.0) }
    }
}

impl Histogram {
    /// Counts all images.
    pub fn new(data: &Labelled) -> Self {
        let bins: Vec<Vec<u8>> = (0..data.latents()).map(|j| bins(data.mean(j))).collect();
        let (mut tables, mut surprisals, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for k in 0..data.factors().len() {
            let (numbers, size) = classes(data.values(k));
            tables.extend(bins.iter().map(|bins| BinCounts::new(bins, &numbers, size)));
            surprisals.push(super::surprisals(&numbers, size));
            values.push(numbers);
        }
        Self { factors: data.factors().to_vec(), bins, values, tables, surprisals }
    }

    /// Information that latent j has of factor k in image i.
    fn pointwise(&self, i: usize, k: usize, j: usize) -> f64 {
        let cell = usize::from(self.bins[j][i]) * self.surprisals[k].len() + usize::from(self.values[k][i]);
        self.tables[k * self.bins.len() + j].pointwise[cell]
    }

    fn surprisal(&self, i: usize, k: usize) -> f64 {
        self.surprisals[k][usize::from(self.values[k][i])]
    }

    fn images(&self) -> usize {
        self.bins[0].len()
    }

    /// I in nats: `(f, m)`.
    pub fn information(&self) -> Vec<f64> {
        self.tables.iter().map(|table| table.information).collect()
    }

    /// H in nats: `(f)`.
    pub fn entropies(&self) -> Vec<f64> {
        let n = self.images();
        let entropy = |k| (0..n).map(|i| self.surprisal(i, k)).sum::<f64>() / n as f64;
        (0..self.factors.len()).map(entropy).collect()
    }

    /// The gaps; their mean is the MIG of `disentanglement_lib`.
    pub fn gaps(&self) -> Gaps {
        Gaps::new(
            self.factors.clone(),
            self.information(),
            self.entropies(),
            self.images(),
            |i, k, j| self.pointwise(i, k, j),
            |i, k| self.surprisal(i, k),
        )
    }

    /// Modularity.
    pub fn modularity(&self) -> Modularity {
        let (f, m) = (self.factors.len(), self.bins.len());
        if f < 2 {
            let notes = vec!["modularity is undefined with one factor".to_owned()];
            return Modularity { value: None, latents: vec![None; m], with_dead_as_zero: None, notes };
        }
        let information = self.information();
        let of_latent = |j| -> Vec<f64> { (0..f).map(|k| information[k * m + j]).collect() };
        let each: Vec<Option<(f64, Vec<f64>)>> = (0..m).map(|j| modularity(&of_latent(j))).collect();
        let latents: Vec<Option<f64>> = each.iter().map(|one| one.as_ref().map(|one| one.0)).collect();
        let alive: Vec<usize> = (0..m).filter(|&j| each[j].is_some()).collect();
        let sum: f64 = latents.iter().flatten().sum();
        let mut notes = Vec::new();
        if alive.is_empty() {
            notes.push("modularity is undefined, as no latent tells of any factor".to_owned());
        } else if alive.len() < m {
            notes
                .push(format!("{} of {m} latents tell of no factor and have no modularity", m - alive.len()));
        }
        let value = (!alive.is_empty()).then(|| {
            let variance = self.modularity_variance(&each, &information);
            MeasureValue::over_images(sum / alive.len() as f64, variance, self.images())
        });
        Modularity { value, latents, with_dead_as_zero: Some(sum / m as f64), notes }
    }

    /// Variance over images of their influence on the mean of modularities, from the derivatives by
    /// information.
    fn modularity_variance(&self, each: &[Option<(f64, Vec<f64>)>], information: &[f64]) -> f64 {
        let (m, n) = (each.len(), self.images());
        let alive = each.iter().flatten().count() as f64;
        let influence = |i: usize| -> f64 {
            let of_latent = |(j, one): (usize, &Option<(f64, Vec<f64>)>)| -> f64 {
                let Some((_, derivatives)) = one else { return 0.0 };
                let centred = |k: usize| self.pointwise(i, k, j) - information[k * m + j];
                derivatives.iter().enumerate().map(|(k, derivative)| derivative * centred(k)).sum()
            };
            each.iter().enumerate().map(of_latent).sum::<f64>() / alive
        };
        (0..n).map(|i| influence(i).powi(2)).sum::<f64>() / n as f64
    }
}

/// Modularity of one latent, and its derivatives by the information of each factor; None if there is no
/// information.
fn modularity(information: &[f64]) -> Option<(f64, Vec<f64>)> {
    let best = largest(information.iter().copied());
    let most = information[best];
    if most == 0.0 {
        return None;
    }
    let scale = (information.len() - 1) as f64 * most * most;
    let rest: f64 = information.iter().enumerate().filter(|(k, _)| *k != best).map(|(_, i)| i * i).sum();
    let derivative = |(k, i): (usize, &f64)| {
        if k == best { 2.0 * rest / (scale * most) } else { -2.0 * i / scale }
    };
    Some((1.0 - rest / scale, information.iter().enumerate().map(derivative).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::cases::{coded, grid, perfect};
    use super::*;
    use crate::random::{Sequence, Stream};

    /// `numpy.digitize` with the edges 0..20 of `numpy.histogram` on 0..=20, without the last: the maximum is
    /// in the last bin.
    #[test]
    fn the_maximum_shares_the_last_bin() {
        let values: Vec<f64> = (0..=20).map(f64::from).collect();
        let expected: Vec<u8> = (0..20).chain([19]).collect();
        assert_eq!(bins(&values), expected);
        assert_eq!(bins(&[3.5; 4]), [0; 4]);
    }

    /// Value v of K is in bin min(floor(20 v / (K - 1)), 19), and I = ln K - sum c_b / K ln c_b with c_b
    /// values in bin b. K = 3: all c_b are 1, and the gap is 1. K = 32: 12 bins of 2 and 8 of 1, so 1 - 24 /
    /// 32 ln 2 / ln 32 = .85. K = 40: 20 bins of 2, so ln 20 / ln 40.
    #[test]
    fn perfect_codes_lose_what_values_share_bins() {
        let sizes = [3, 32, 40];
        let permuted = |row: &[u8]| vec![f64::from(row[2]), f64::from(row[0]), f64::from(row[1])];
        for data in [coded(&sizes, &grid(&sizes), perfect), coded(&sizes, &grid(&sizes), permuted)] {
            let gaps = Histogram::new(&data).gaps();
            let expected = [1.0, 0.85, 20f64.ln() / 40f64.ln()];
            for (gap, expected) in gaps.gaps.iter().zip(expected) {
                assert!((gap - expected).abs() < 1e-12, "{gap} instead of {expected}");
            }
            let mean = gaps.mean();
            assert!((mean.value - expected.iter().sum::<f64>() / 3.0).abs() < 1e-12);
            let without = gaps.mean_without(&["f0"]).unwrap().value;
            assert!((without - (expected[1] + expected[2]) / 2.0).abs() < 1e-12);
            assert_eq!(gaps.mean_without(&["f0", "f1", "f2"]), None);
            assert!((gaps.entropies[1] - 32f64.ln()).abs() < 1e-12);
            let modularity = Histogram::new(&data).modularity();
            assert!((modularity.value.unwrap().value - 1.0).abs() < 1e-12, "each latent tells of one factor");
        }
        let gaps = Histogram::new(&coded(&sizes, &grid(&sizes), permuted)).gaps();
        assert_eq!(gaps.best, [1, 2, 0]);
    }

    /// a + b and a - b tell the same of a, and of b: b and K - 1 - b are equally likely.
    #[test]
    fn a_rotation_by_45_degrees_leaves_no_gap() {
        let sizes = [12, 12, 3];
        let rotated = |row: &[u8]| {
            let [a, b, c] = [0, 1, 2].map(|k| f64::from(row[k]));
            vec![a + b, a - b, c]
        };
        let histogram = Histogram::new(&coded(&sizes, &grid(&sizes), rotated));
        let gaps = histogram.gaps();
        assert!(gaps.gaps[0].abs() < 1e-12 && gaps.gaps[1].abs() < 1e-12, "{:?}", gaps.gaps);
        assert!(gaps.information[0] > 0.3, "{:?}", gaps.information);
        // Two of three factors equally: 1 - I^2 / (2 I^2); the last latent: 1.
        let modularity = histogram.modularity();
        for (latent, expected) in modularity.latents.iter().zip([0.5, 0.5, 1.0]) {
            assert!((latent.unwrap() - expected).abs() < 1e-12, "{modularity:?}");
        }
    }

    #[test]
    fn dead_latents_tell_nothing() {
        let sizes = [4, 5];
        let histogram = Histogram::new(&coded(&sizes, &grid(&sizes), |_| vec![1.5, -2.0]));
        assert_eq!(histogram.gaps().mean().value, 0.0);
        let modularity = histogram.modularity();
        assert_eq!((modularity.value, modularity.with_dead_as_zero), (None, Some(0.0)));
        assert_eq!(modularity.notes, ["modularity is undefined, as no latent tells of any factor"]);
        // One of two is dead.
        let modularity =
            Histogram::new(&coded(&sizes, &grid(&sizes), |row| vec![f64::from(row[0]), 3.0])).modularity();
        assert!((modularity.value.unwrap().value - 1.0).abs() < 1e-12);
        assert!((modularity.with_dead_as_zero.unwrap() - 0.5).abs() < 1e-12);
        let one_factor =
            Histogram::new(&coded(&[4], &grid(&[4]), |row| vec![f64::from(row[0]), 0.0])).modularity();
        assert_eq!((one_factor.value, one_factor.with_dead_as_zero), (None, None));
    }

    /// The error of one sample against the spread of 200: that has a relative error of 5 %.
    #[test]
    fn errors_are_the_spread_of_samples() {
        let sizes = [6, 4];
        let mut results = [Vec::new(), Vec::new()];
        let mut errors = [0.0; 2];
        for which in 0..200 {
            let random = &mut Sequence::new(3, Stream::Data, which);
            let values: Vec<u8> =
                (0..1500).flat_map(|_| sizes.map(|size| random.below(size as u32) as u8)).collect();
            let noise: Vec<f64> = (0..6000).map(|_| random.normal_f64()).collect();
            let next = std::cell::Cell::new(0);
            let draw = || noise[next.replace(next.get() + 1)];
            let code = |row: &[u8]| {
                let [a, b] = [f64::from(row[0]), f64::from(row[1])];
                vec![a + 0.4 * b + draw(), b + 0.5 * draw(), 0.3 * a + draw()]
            };
            let histogram = Histogram::new(&coded(&sizes, &values, code));
            for (k, estimate) in
                [histogram.gaps().mean(), histogram.modularity().value.unwrap()].into_iter().enumerate()
            {
                results[k].push(estimate.value);
                errors[k] += estimate.error.unwrap().value / 200.0;
            }
        }
        for (values, error) in results.iter().zip(errors) {
            let mean = values.iter().sum::<f64>() / 200.0;
            let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 199.0).sqrt();
            assert!((error / spread - 1.0).abs() < 0.2, "error {error}, spread {spread}");
        }
    }
}
