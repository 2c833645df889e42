//! Information by nearest neighbours, in nats: how far two distributions are apart, and how much one quantity says
//! about another; no density is fitted and no bandwidth chosen.
//!
//! ```text
//! KL(P || Q)  X ~ P, n points; Y ~ Q, m points; in d dimensions, Euclidean norm
//!             d/n sum_i ln(nu_i / rho_i) + ln(m / (n - 1))
//!             rho_i, nu_i: from x_i to its k-th nearest among the other points of X, and among Y
//!             Wang, Kulkarni, Verdu, "Divergence estimation for multidimensional densities via k-nearest-neighbor
//!             distances", IEEE Trans. Inf. Theory 55 (2009)
//!
//! I(X; Y)     n pairs (x_i, y_i), maximum norm
//!             psi(k) + psi(n) - mean of psi(a_i + 1) + psi(b_i + 1)
//!             a_i, b_i: other x, other y that are nearer than the k-th nearest other pair is
//!             Kraskov, Stoegbauer, Grassberger, "Estimating mutual information", Phys. Rev. E 69 (2004), equation 8
//!
//! I(X; label) psi(n) + mean of psi(k_i) - psi(n_i) - psi(m_i)
//!             n_i: points with the label of x_i; k_i = min(k, n_i - 1)
//!             m_i: other points as near as the k_i-th nearest other point with this label, or nearer
//!             Ross, "Mutual information between discrete and continuous data sets", PLoS ONE 9 (2014)
//! ```
//!
//! On rounded data distances are equal, and the rule for ties changes the value: I(X; Y) leaves out points that are as far
//! as the k-th nearest pair, I(X; label) counts them, as the papers do. Other programs use the Euclidean norm, or add
//! small noise, and give other values of such data; [`Information`] says what was done.
//!
//! psi is the digamma function. None of the three values changes when a coordinate is shifted or scaled, but
//! distances do: each column is divided by its standard deviation first (over X and Y together for KL), and columns
//! that are constant are left out.
//!
//! Limits of the numbers:
//! * They are estimates and may be negative where the truth is near 0.
//! * They are biased, the more the higher the dimension and the larger the truth: neighbours must be so near that
//!   the densities hardly change on the way, and n points in d dimensions are about n^(-1/d) apart. KL comes out too
//!   large where P is narrower than Q, and far too small where P is wider, as Q's points end before P's do. Means over
//!   100 samples with n = m = 1000 and k = 3, between P = N(0, I) and Q = N(0.5, 1.5^2 I) and back:
//!
//!   | | d = 1 | 2 | 5 | 10 |
//!   |--|--:|--:|--:|--:|
//!   | KL(P, Q), estimates | 0.19 | 0.39 | 1.07 | 2.29 |
//!   | truth | 0.18 | 0.37 | 0.92 | 1.83 |
//!   | KL(Q, P), estimates | 0.27 | 0.43 | 0.43 | 0.13 |
//!   | truth | 0.34 | 0.69 | 1.72 | 3.45 |
//!
//!   Mutual information beyond ln n comes out too small. Compare estimates with the same n, m, d and k only.
//! * X and Y must have densities. Repeated values break the estimates; repeated points are an error here.
//! * KL is infinite where P has mass and Q has none; the estimate is finite nevertheless.
//! * They are no tests: for a p-value, use [`two_sample`](super::two_sample()).

mod search;

use super::Sample;
use crate::error::{Kind, Result};
use crate::kernel::pairs::norm;
use crate::random::{Sequence, Stream};
use search::{Norm, Searchable};
use serde::Serialize;

/// Parts that a sample is cut into for the standard error: each holds enough points, and the error itself is known
/// to about 1 / sqrt(2 (PARTS - 1)), a quarter.
const PARTS: usize = 10;

/// Points of a part for each of k + 1 neighbours; with fewer, the errors were found too small by more than a quarter.
const LEAST_OF_PART: usize = 4;

/// Settings of the estimates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NeighbourSettings {
    /// Which neighbour, from 1: more neighbours give less variance and more bias.
    pub k: usize,
    /// Seed of the parts that the standard error is found from.
    pub seed: u64,
}

impl Default for NeighbourSettings {
    /// k = 3: Kraskov et al. 2004 recommend 2 to 4 for mutual information. For the KL of Gaussians too, most of the
    /// variance of k = 1 is gone by then, and the bias only grows after it.
    fn default() -> Self {
        Self { k: 3, seed: 0 }
    }
}

/// An estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Information {
    /// Nats; may be negative.
    pub nats: f64,
    /// Its standard error: the standard deviation of the same estimate on ten random disjoint parts of the sample,
    /// divided by sqrt(10). It holds no bias, is itself known to about a quarter only, and where P is
    /// wider than Q it was a quarter too small. `None` if a part would hold
    /// fewer than 4 (k + 1) points, or a label once.
    pub standard_error: Option<f64>,
    /// Which neighbour.
    pub k: usize,
    /// The norm of distances: `Euclidean` or `maximum`.
    pub norm: &'static str,
    /// Which points count where distances are equal. On rounded data the value depends on it.
    pub ties: &'static str,
}

/// How neighbours are counted, for results.
struct TieRule {
    norm: &'static str,
    ties: &'static str,
}

const OF_DIVERGENCE: TieRule =
    TieRule { norm: "Euclidean", ties: "equal distances: the k-th one counts, whichever point it is" };

const OF_PAIRS: TieRule = TieRule {
    norm: "maximum",
    ties: "equal distances: points as far as the k-th nearest pair are not counted (Kraskov et al. 2004, estimate 1)",
};

const OF_LABELS: TieRule = TieRule {
    norm: "maximum",
    ties: "equal distances: points as far as the k-th nearest of the label are counted (Ross 2014)",
};

/// KL(P || Q) from X ~ P and Y ~ Q.
///
/// # Errors
/// If X has fewer than k + 1 points or Y fewer than k, their columns differ, or points coincide so often that a
/// k-th nearest one is at distance 0.
pub fn divergence([x, y]: [Sample<'_>; 2], settings: &NeighbourSettings) -> Result<Information> {
    if x.d != y.d {
        return wrong(format!(
            "X has {} columns and Y has {}; both samples must have the same ones",
            x.d, y.d
        ));
    }
    let k = neighbours(settings)?;
    enough("X", x, k + 1, k)?;
    enough("Y", y, k, k)?;
    let both = Columns::new(x.d, &[x, y])?;
    let [x, y] = [x, y].map(|sample| both.of(sample));
    estimate(settings, OF_DIVERGENCE, [x.len() / both.d(), y.len() / both.d()], |[rows_x, rows_y]| {
        divergence_of(both.d(), &chosen(&x, both.d(), rows_x), &chosen(&y, both.d(), rows_y), k)
    })
}

/// I(X; Y) of pairs: row i of X belongs to row i of Y.
///
/// # Errors
/// If X and Y have different numbers of points or fewer than k + 1, all points of one are equal, or so many pairs
/// coincide that a k-th nearest one is at distance 0.
pub fn mutual_information([x, y]: [Sample<'_>; 2], settings: &NeighbourSettings) -> Result<Information> {
    let k = neighbours(settings)?;
    paired(x, y.len(), "points")?;
    enough("X", x, k + 1, k)?;
    let [of_x, of_y] = [Columns::new(x.d, &[x])?, Columns::new(y.d, &[y])?];
    let [x, y] = [of_x.of(x), of_y.of(y)];
    estimate(settings, OF_PAIRS, [x.len() / of_x.d(), 0], |[rows, _]| {
        let [x, y] = [chosen(&x, of_x.d(), rows), chosen(&y, of_y.d(), rows)];
        mutual_information_of([of_x.d(), of_y.d()], [&x, &y], k)
    })
}

/// I(X; Y) of two variables observed together, each of which may be labels: numbers that are only equal or not. Nothing if both
/// are.
pub fn dependence(samples: [Sample<'_>; 2], labels: [bool; 2], seed: u64) -> Option<Result<Information>> {
    let settings = NeighbourSettings { seed, ..NeighbourSettings::default() };
    let [x, y] = samples;
    match labels {
        [true, true] => None,
        [false, true] => Some(mutual_information_with_labels(x, &ranks(y), &settings)),
        [true, false] => Some(mutual_information_with_labels(y, &ranks(x), &settings)),
        [false, false] => Some(mutual_information(samples, &settings)),
    }
}

/// Equal numbers of equal labels.
fn ranks(labels: Sample<'_>) -> Vec<u32> {
    let values: Vec<u64> = labels.values.iter().map(|v| v.to_bits()).collect();
    let mut different = values.clone();
    different.sort_unstable();
    different.dedup();
    values.iter().map(|v| different.partition_point(|d| d < v) as u32).collect()
}

/// I(X; label): row i of X has label i. Labels that fewer than k + 1 points have use fewer neighbours.
///
/// # Errors
/// If the numbers of points and labels differ, a label occurs once, all points are equal, or so many of one label
/// coincide that a k-th nearest one is at distance 0.
pub fn mutual_information_with_labels(
    x: Sample<'_>,
    labels: &[u32],
    settings: &NeighbourSettings,
) -> Result<Information> {
    let k = neighbours(settings)?;
    paired(x, labels.len(), "labels")?;
    enough("X", x, 2, 1)?;
    let columns = Columns::new(x.d, &[x])?;
    let x = columns.of(x);
    estimate(settings, OF_LABELS, [labels.len(), 0], |[rows, _]| {
        let labels: Vec<u32> = rows.iter().map(|&row| labels[row]).collect();
        labels_information_of(columns.d(), &chosen(&x, columns.d(), rows), &labels, k)
    })
}

fn wrong<T>(message: String) -> Result<T> {
    Err(Kind::Samples(message).into())
}

/// k, checked.
fn neighbours(settings: &NeighbourSettings) -> Result<usize> {
    match settings.k {
        0 => wrong("the 0th nearest neighbour is the point itself; use k = 1 or more, 3 is usual".into()),
        k => Ok(k),
    }
}

fn enough(name: &str, sample: Sample<'_>, least: usize, k: usize) -> Result<()> {
    if sample.len() < least {
        return wrong(format!(
            "{name} has {} points, but the estimate with k = {k} needs at least {least}; use more points or a \
             smaller k",
            sample.len()
        ));
    }
    Ok(())
}

fn paired(x: Sample<'_>, others: usize, what: &str) -> Result<()> {
    if x.len() != others {
        return wrong(format!(
            "X has {} points, but there are {others} {what} to pair them with; mutual information needs one for \
             each",
            x.len()
        ));
    }
    Ok(())
}

/// Which columns count, and what they are divided by.
struct Columns(Vec<(usize, f64)>);

impl Columns {
    /// Of all points of some samples of dimension `d`; an error if a column cannot be divided.
    fn new(d: usize, samples: &[Sample<'_>]) -> Result<Self> {
        let column = |f: usize| {
            let values = || samples.iter().flat_map(move |sample| sample.values.iter().skip(f).step_by(d));
            let n = values().count() as f64;
            // Neither a sum nor a square may leave the range, whatever the column's units are.
            let mean = values().map(|v| v / n).sum::<f64>();
            let deviation = norm(values().map(|v| v - mean)) / n.sqrt();
            // Rounding may give equal values a deviation that is not 0.
            let first = values().next();
            values().any(|v| Some(v) != first).then_some((f, deviation))
        };
        let columns: Vec<_> = (0..d).filter_map(column).collect();
        if columns.is_empty() {
            return wrong("all points are equal, so they hold no information; use data that vary".into());
        }
        match columns.iter().find(|(_, deviation)| !(deviation.is_finite() && *deviation > 0.0)) {
            None => Ok(Self(columns)),
            Some((f, _)) => wrong(format!(
                "column {f} (counted from 0) has a value that is not finite, or two whose difference is not; correct or \
                 rescale it"
            )),
        }
    }

    /// How many columns count.
    fn d(&self) -> usize {
        self.0.len()
    }

    /// `(n, self.d())`: those columns of a sample, divided.
    fn of(&self, sample: Sample<'_>) -> Vec<f64> {
        let point = |i| self.0.iter().map(move |&(f, deviation)| sample.point(i)[f] / deviation);
        (0..sample.len()).flat_map(point).collect()
    }
}

/// Some rows of values `(n, d)`.
fn chosen(values: &[f64], d: usize, rows: &[usize]) -> Vec<f64> {
    rows.iter().flat_map(|&row| &values[row * d..][..d]).copied().collect()
}

/// An estimate from all rows of one or two samples, and its standard error from parts of them.
fn estimate(
    settings: &NeighbourSettings,
    TieRule { norm, ties }: TieRule,
    counts: [usize; 2],
    of: impl Fn([&[usize]; 2]) -> Result<f64>,
) -> Result<Information> {
    let all = counts.map(|count| (0..count).collect::<Vec<_>>());
    let nats = of([&all[0], &all[1]])?;
    // Of no second sample, there is no part to be too small.
    let least = PARTS * LEAST_OF_PART * (settings.k + 1);
    if counts.iter().any(|&count| (1..least).contains(&count)) {
        return Ok(Information { nats, standard_error: None, k: settings.k, norm, ties });
    }
    // Files are often in some order, and each part must be like the whole.
    let [x, y] =
        [0, 1].map(|which| Sequence::new(settings.seed, Stream::Parts, which as u32).order(counts[which]));
    let part = |p: usize| {
        let of_part = |rows: &[usize]| rows.iter().skip(p).step_by(PARTS).copied().collect::<Vec<_>>();
        of([&of_part(&x), &of_part(&y)]).ok()
    };
    let parts: Option<Vec<f64>> = (0..PARTS).map(part).collect();
    let standard_error = parts.map(|parts| {
        let mean = parts.iter().sum::<f64>() / PARTS as f64;
        let spread = parts.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
        (spread / (PARTS * (PARTS - 1)) as f64).sqrt()
    });
    Ok(Information { nats, standard_error, k: settings.k, norm, ties })
}

/// The estimate of [`divergence`] on values `(n, d)` and `(m, d)`.
fn divergence_of(d: usize, x: &[f64], y: &[f64], k: usize) -> Result<f64> {
    let (n, m) = (x.len() / d, y.len() / d);
    if n <= k || m < k {
        return wrong(format!("{n} and {m} points are too few for neighbour {k}; use more"));
    }
    // Among X, each point is its own nearest.
    let rho = Searchable::new(x, d, Norm::Euclidean).kth(x, k + 1);
    let nu = Searchable::new(y, d, Norm::Euclidean).kth(x, k);
    apart(&rho, k, "row", "others of X")?;
    apart(&nu, k, "row", "rows of Y")?;
    let logarithms: f64 = nu.iter().zip(&rho).map(|(nu, rho)| nu.ln() - rho.ln()).sum();
    Ok(d as f64 / n as f64 * logarithms + (m as f64 / (n as f64 - 1.0)).ln())
}

/// The estimate of [`mutual_information`] on values `(n, d_x)` and `(n, d_y)`.
fn mutual_information_of(d: [usize; 2], values: [&[f64]; 2], k: usize) -> Result<f64> {
    let n = values[0].len() / d[0];
    if n <= k {
        return wrong(format!("{n} pairs are too few for neighbour {k}; use more"));
    }
    let pair = |i: usize| [0, 1].map(|s| &values[s][i * d[s]..][..d[s]]).concat();
    let joint: Vec<f64> = (0..n).flat_map(pair).collect();
    let radii = Searchable::new(&joint, d[0] + d[1], Norm::Maximum).kth(&joint, k + 1);
    apart(&radii, k, "pair", "others")?;
    let psi = digamma(n);
    // A point counts itself, which is the 1 of a_i + 1.
    let nearer = [0, 1].map(|s| Searchable::new(values[s], d[s], Norm::Maximum).nearer(values[s], &radii));
    let sum: f64 = nearer[0].iter().zip(&nearer[1]).map(|(&a, &b)| psi[a] + psi[b]).sum();
    Ok(psi[k] + psi[n] - sum / n as f64)
}

/// The estimate of [`mutual_information_with_labels`] on values `(n, d)`.
fn labels_information_of(d: usize, x: &[f64], labels: &[u32], k: usize) -> Result<f64> {
    let n = labels.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&row| labels[row]);
    let psi = digamma(n);
    let (mut radii, mut sum) = (vec![0.0; n], 0.0);
    for rows in order.chunk_by(|&i, &j| labels[i] == labels[j]) {
        let k = k.min(rows.len() - 1);
        if k == 0 {
            return wrong(format!(
                "label {} occurs once, so its point has no neighbour of the same label; leave out labels that \
                 occur once, or join them",
                labels[rows[0]]
            ));
        }
        let own = chosen(x, d, rows);
        let found = Searchable::new(&own, d, Norm::Maximum).kth(&own, k + 1);
        for (&row, radius) in rows.iter().zip(found) {
            // The next number: points at the k-th nearest one's distance, such as that one, count.
            radii[row] = if radius > 0.0 { radius.next_up() } else { 0.0 };
        }
        sum += rows.len() as f64 * (psi[k] - psi[rows.len()]);
    }
    apart(&radii, k, "row", "others of its label")?;
    let within = Searchable::new(x, d, Norm::Maximum).nearer(x, &radii);
    // A point counts itself, but is not among the others.
    sum -= within.iter().map(|&count| psi[count - 1]).sum::<f64>();
    Ok(psi[n] + sum / n as f64)
}

/// Complains about the first distance to a k-th nearest point that is 0.
fn apart(distances: &[f64], k: usize, what: &str, others: &str) -> Result<()> {
    match distances.iter().position(|&distance| distance == 0.0) {
        None => Ok(()),
        Some(row) => wrong(format!(
            "{what} {row} (counted from 0) equals {k} or more {others}, but the estimate is one of densities and \
             needs distances above 0; remove repeated points, or use a larger k"
        )),
    }
}

/// psi(i) at index i, from 1 to `most`: psi(1) = -gamma, psi(i + 1) = psi(i) + 1 / i. Index 0 is NaN.
fn digamma(most: usize) -> Vec<f64> {
    /// Euler and Mascheroni's constant.
    const GAMMA: f64 = 0.577_215_664_901_532_9;
    let mut psi = vec![f64::NAN, -GAMMA];
    for i in 1..most {
        psi.push(psi[i] + 1.0 / i as f64);
    }
    psi
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normals(n: usize, seed: u64) -> Vec<f64> {
        let mut random = Sequence::new(seed, Stream::Data, 0);
        (0..n).map(|_| random.normal_f64()).collect()
    }

    /// X ~ N(0, I) and Y ~ N(shift, deviation^2 I) in d dimensions, and KL(X || Y).
    fn gaussians([n, m]: [usize; 2], d: usize, seed: u64) -> ([Vec<f64>; 2], f64) {
        let (shift, deviation) = (0.5f64, 1.5f64);
        let y = normals(m * d, 2 * seed + 1).into_iter().map(|z| shift + deviation * z).collect();
        let of_one = deviation.ln() + (1.0 + shift * shift) / (2.0 * deviation * deviation) - 0.5;
        ([normals(n * d, 2 * seed), y], d as f64 * of_one)
    }

    /// Pairs of correlation rho, and their mutual information.
    fn correlated(n: usize, rho: f64, seed: u64) -> ([Vec<f64>; 2], f64) {
        let x = normals(n, 2 * seed);
        let mix = |(z, x): (f64, &f64)| rho * x + (1.0 - rho * rho).sqrt() * z;
        let y = normals(n, 2 * seed + 1).into_iter().zip(&x).map(mix).collect();
        ([x, y], -(1.0 - rho * rho).ln() / 2.0)
    }

    fn samples(d: usize, [x, y]: &[Vec<f64>; 2]) -> [Sample<'_>; 2] {
        [Sample::new(d, x), Sample::new(d, y)]
    }

    fn settings(k: usize) -> NeighbourSettings {
        NeighbourSettings { k, seed: 0 }
    }

    /// Abramowitz and Stegun, table 6.3.
    #[test]
    fn digamma_is_that_of_tables() {
        let psi = digamma(100);
        assert_eq!(psi.len(), 101);
        for (i, expected) in
            [(1, -0.577_215_664_9), (2, 0.422_784_335_1), (10, 2.251_752_589_1), (100, 4.600_161_852_7)]
        {
            assert!((psi[i] - expected).abs() < 1e-10, "psi({i}) = {}", psi[i]);
        }
    }

    /// rho = 1, 1, 2 and nu = 0.5, 0.5, 2 for k = 1; 3, 2, 3 and 5, 4, 2.5 for k = 2, by hand. n = 3, m = 2.
    #[test]
    fn divergence_of_five_points_is_that_by_hand() {
        let points = [vec![0.0, 1.0, 3.0], vec![0.5, 5.0]];
        for (k, ratios) in [(1, [0.5, 0.5, 1.0]), (2, [5.0 / 3.0, 2.0, 2.5 / 3.0])] {
            let expected = ratios.iter().map(|r: &f64| r.ln()).sum::<f64>() / 3.0 + (2.0f64 / 2.0).ln();
            let got = divergence(samples(1, &points), &settings(k)).unwrap();
            assert!((got.nats - expected).abs() < 1e-14, "k {k}: {} is not {expected}", got.nats);
            assert_eq!((got.standard_error, got.k), (None, k), "parts of no point have no estimate");
        }
    }

    /// Within 4 standard deviations, which over 100 seeds were at most 1.5 sqrt((1 / n + 1 / m) / 2) for d = 1 and fewer
    /// points than these; and the bias seen there, which falls with n.
    #[test]
    fn divergence_of_gaussians_is_the_known_one() {
        for (n, m, d, bias) in
            [(100, 100, 1, 0.01), (500, 4000, 1, 0.01), (20_000, 5_000, 1, 0.002), (10_000, 10_000, 3, 0.03)]
        {
            let (points, truth) = gaussians([n, m], d, 3);
            let got = divergence(samples(d, &points), &NeighbourSettings::default()).unwrap().nats;
            let deviation = 1.5 * ((1.0 / n as f64 + 1.0 / m as f64) / 2.0).sqrt();
            let error = got - truth;
            assert!(error.abs() < 4.0 * deviation + bias, "n {n}, m {m}, d {d}: {got} for {truth}");
        }
        // Equal distributions: 4 standard deviations again, and no bias, by symmetry.
        let same = [normals(4000, 8), normals(4000, 9)];
        let got = divergence(samples(2, &same), &NeighbourSettings::default()).unwrap().nats;
        assert!(got.abs() < 4.0 * 1.5 / 2000f64.sqrt(), "{got} between samples of one distribution");
    }

    /// Within 4 standard deviations: over 100 seeds 0.9 / sqrt(n) for rho = 0.6, 1.25 / sqrt(n) for 0.95.
    #[test]
    fn mutual_information_of_correlated_gaussians_is_the_known_one() {
        for (n, rho) in [(300, 0.6), (5000, 0.6), (5000, 0.95), (5000, -0.3), (5000, 0.0)] {
            let (points, truth) = correlated(n, rho, 5);
            let got = mutual_information(samples(1, &points), &NeighbourSettings::default()).unwrap().nats;
            let bound = 4.0 * 1.25 / (n as f64).sqrt();
            assert!((got - truth).abs() < bound, "n {n}, rho {rho}: {got} for {truth}");
        }
    }

    /// A second column of X without a part in Y adds nothing: as before, and 0.02 for the bias of the larger space.
    #[test]
    fn columns_without_a_part_add_no_information() {
        let n = 4000;
        let ([x, y], truth) = correlated(n, 0.8, 1);
        let wide: Vec<f64> = x.iter().zip(normals(n, 77)).flat_map(|(x, z)| [*x, z]).collect();
        let got =
            mutual_information([Sample::new(2, &wide), Sample::new(1, &y)], &NeighbourSettings::default());
        let got = got.unwrap().nats;
        assert!((got - truth).abs() < 4.0 * 1.25 / (n as f64).sqrt() + 0.02, "{got} for {truth}");
    }

    /// The formulas of the module's documentation, from all distances.
    #[test]
    fn estimates_of_few_points_are_the_formulas() {
        let (n, k) = (23, 2);
        let x = normals(2 * n, 1);
        let y: Vec<f64> = (0..n).map(|i| x[2 * i] + 0.5 * normals(n, 2)[i]).collect();
        let labels: Vec<u32> = (0..n).map(|i| if i < 3 { 9 } else { u32::from(y[i] > 0.0) }).collect();
        // To columns of deviation 1, so that the distances are those of the estimate.
        let [x, y] = [Sample::new(2, &x), Sample::new(1, &y)]
            .map(|sample| Columns::new(sample.d, &[sample]).unwrap().of(sample));
        let distance = |values: &[f64], d: usize, i: usize, j: usize| {
            (0..d).map(|f| (values[i * d + f] - values[j * d + f]).abs()).fold(0.0, f64::max)
        };
        let psi = digamma(n);
        let others = |i: usize| (0..n).filter(move |&j| j != i);
        let kth = |mut distances: Vec<f64>, k: usize| {
            distances.sort_by(f64::total_cmp);
            distances[k - 1]
        };

        let term = |i: usize| {
            let joint = others(i).map(|j| distance(&x, 2, i, j).max(distance(&y, 1, i, j))).collect();
            let radius = kth(joint, k);
            let a = others(i).filter(|&j| distance(&x, 2, i, j) < radius).count();
            let b = others(i).filter(|&j| distance(&y, 1, i, j) < radius).count();
            psi[a + 1] + psi[b + 1]
        };
        let expected = psi[k] + psi[n] - (0..n).map(term).sum::<f64>() / n as f64;
        let got = mutual_information([Sample::new(2, &x), Sample::new(1, &y)], &settings(k)).unwrap().nats;
        assert!((got - expected).abs() < 1e-12, "{got} is not {expected}");

        // The first three points have a label of their own: with k = 4, they use 2 neighbours.
        for k in [2, 4] {
            let term = |i: usize| {
                let same: Vec<f64> =
                    others(i).filter(|&j| labels[j] == labels[i]).map(|j| distance(&x, 2, i, j)).collect();
                let (count, k) = (same.len() + 1, k.min(same.len()));
                let radius = kth(same, k);
                let within = others(i).filter(|&j| distance(&x, 2, i, j) <= radius).count();
                psi[k] - psi[count] - psi[within]
            };
            let expected = psi[n] + (0..n).map(term).sum::<f64>() / n as f64;
            let got = mutual_information_with_labels(Sample::new(2, &x), &labels, &settings(k)).unwrap().nats;
            assert!((got - expected).abs() < 1e-12, "k {k}: {got} is not {expected}");
        }
    }

    /// Labels 0, 1, 2 with probabilities 1/2, 1/4, 1/4 at means 0, s, 2 s: for large s the label's entropy, 1.5 ln 2;
    /// for s = 0 nothing; between them, the integral over x of the densities. Within 4 standard deviations of at most
    /// 1.25 / sqrt(n).
    #[test]
    fn labels_tell_as_much_as_the_integral_says() {
        let n = 4000;
        let labels: Vec<u32> = (0..n).map(|i| [0, 1, 0, 2][i % 4]).collect();
        let density =
            |x: f64, mean: f64| (-0.5 * (x - mean) * (x - mean)).exp() / std::f64::consts::TAU.sqrt();
        for step in [0.0, 1.0, 2.5, 40.0] {
            let integrand = |i: i32| {
                let x = f64::from(i) / 50.0;
                let parts = [0.5, 0.25, 0.25];
                let each: Vec<f64> = (0..3).map(|c| density(x, f64::from(c) * step)).collect();
                let all: f64 = each.iter().zip(parts).map(|(f, p)| p * f).sum();
                let term = |(f, p): (&f64, f64)| if *f > 1e-300 { p * f * (f / all).ln() } else { 0.0 };
                each.iter().zip(parts).map(term).sum::<f64>() / 50.0
            };
            let truth: f64 = (-500..5000).map(integrand).sum();
            let x: Vec<f64> =
                normals(n, 4).iter().zip(&labels).map(|(z, &c)| z + f64::from(c) * step).collect();
            let got =
                mutual_information_with_labels(Sample::new(1, &x), &labels, &NeighbourSettings::default());
            let got = got.unwrap().nats;
            assert!((got - truth).abs() < 4.0 * 1.25 / (n as f64).sqrt(), "step {step}: {got} for {truth}");
            if step == 40.0 {
                assert!((truth - 1.5 * 2f64.ln()).abs() < 1e-9, "the integral {truth} itself");
            }
        }
    }

    /// Units, an added constant column, the order of rows, and the order of X and Y change nothing but rounding: n
    /// logarithms summed in another order, and distances of coordinates rounded at another offset.
    #[test]
    fn estimates_do_not_depend_on_units_order_or_constant_columns() {
        let n = 300;
        let (points, _) = gaussians([n, n], 2, 6);
        let order = Sequence::new(1, Stream::Data, 0).order(n);
        let labels: Vec<u32> = (0..n as u32).map(|i| i % 3).collect();
        let changed = |change: &dyn Fn(&[f64]) -> Vec<f64>, d: usize, labels: &[u32]| {
            let points = [change(&points[0]), change(&points[1])];
            let [x, y] = samples(d, &points);
            [
                divergence([x, y], &NeighbourSettings::default()).unwrap().nats,
                mutual_information([x, y], &NeighbourSettings::default()).unwrap().nats,
                mutual_information_with_labels(x, labels, &NeighbourSettings::default()).unwrap().nats,
            ]
        };
        let units = |values: &[f64]| {
            values.chunks_exact(2).flat_map(|p| [1e6 * p[0] - 3e6, 2e-3 * p[1] + 1e-2]).collect()
        };
        let wider = |values: &[f64]| values.chunks_exact(2).flat_map(|p| [0.1, p[0], 7.0, p[1]]).collect();
        let other_order = |values: &[f64]| chosen(values, 2, &order);
        let other_labels: Vec<u32> = order.iter().map(|&row| labels[row]).collect();
        let plain = changed(&|values| values.to_vec(), 2, &labels);
        for (name, got) in [
            ("units", changed(&units, 2, &labels)),
            ("constant columns", changed(&wider, 4, &labels)),
            ("order of rows", changed(&other_order, 2, &other_labels)),
        ] {
            for (got, expected) in got.iter().zip(plain) {
                assert!((got - expected).abs() < 1e-9, "{name}: {got} is not {expected}");
            }
        }
        let [x, y] = samples(2, &points);
        let swapped = mutual_information([y, x], &NeighbourSettings::default()).unwrap().nats;
        assert!((swapped - plain[1]).abs() < 1e-12, "{swapped} is not {}", plain[1]);
    }

    /// The mean square of 60 standard errors against the variance of 60 estimates: the ratio's own deviation is about
    /// sqrt(2 / 59 + 2 / 9 / 60) = 0.19.
    #[test]
    fn the_standard_error_is_the_spread_over_seeds() {
        let repetitions = 60;
        let estimates: [fn(u64) -> Information; 3] = [
            |seed| {
                let (points, _) = gaussians([600, 500], 1, seed);
                divergence(samples(1, &points), &NeighbourSettings { k: 3, seed }).unwrap()
            },
            |seed| {
                let (points, _) = correlated(600, 0.6, seed);
                mutual_information(samples(1, &points), &NeighbourSettings { k: 3, seed }).unwrap()
            },
            |seed| {
                let mut random = Sequence::new(seed, Stream::Data, 1);
                let labels: Vec<u32> = (0..600).map(|_| random.below(3)).collect();
                let x: Vec<f64> = labels.iter().map(|&c| f64::from(c) + random.normal_f64()).collect();
                let x = Sample::new(1, &x);
                mutual_information_with_labels(x, &labels, &NeighbourSettings { k: 3, seed }).unwrap()
            },
        ];
        for (which, of) in estimates.iter().enumerate() {
            let all: Vec<Information> = (0..repetitions).map(of).collect();
            let r = repetitions as f64;
            let mean = all.iter().map(|e| e.nats).sum::<f64>() / r;
            let variance = all.iter().map(|e| (e.nats - mean).powi(2)).sum::<f64>() / (r - 1.0);
            let square = all.iter().map(|e| e.standard_error.unwrap().powi(2)).sum::<f64>() / r;
            let ratio = square / variance;
            assert!(
                (0.43..1.57).contains(&ratio),
                "estimate {which}: variance {variance}, errors^2 {square}"
            );
        }
    }

    #[test]
    fn impossible_samples_are_refused_with_a_reason() {
        let (line, short, pairs) = (normals(30, 1), normals(3, 2), normals(30, 3));
        let [line, short] = [&line, &short].map(|values| Sample::new(1, values));
        let wide = Sample::new(2, &pairs);
        let repeated = [vec![1.0; 5], (0..25).map(f64::from).map(|i| i + 0.5).collect()].concat();
        let repeated = Sample::new(1, &repeated);
        let constant = Sample::new(1, &[2.5; 30]);
        let infinite = [&[f64::INFINITY], &[0.0; 29][..]].concat();
        let infinite = Sample::new(1, &infinite);
        let (k, labels) = (settings(3), [[7; 29].as_slice(), &[8]].concat());
        let with_labels = |labels: &[u32]| mutual_information_with_labels(line, labels, &k);
        for (result, words) in [
            (divergence([line, wide], &k), "X has 1 columns and Y has 2"),
            (divergence([short, line], &k), "X has 3 points, but the estimate with k = 3 needs at least 4"),
            (divergence([line, short.first(2)], &k), "Y has 2 points, but the estimate with k = 3 needs"),
            (divergence([line, line], &settings(0)), "0th nearest neighbour"),
            (divergence([repeated, line], &k), "row 0 (counted from 0) equals 3 or more others of X"),
            (divergence([line, line], &settings(1)), "row 0 (counted from 0) equals 1 or more rows of Y"),
            (divergence([infinite, line], &k), "column 0 (counted from 0) has a value that is not finite"),
            (divergence([constant, constant], &k), "all points are equal"),
            (mutual_information([line, short], &k), "X has 30 points, but there are 3 points to pair"),
            (mutual_information([short, short], &k), "X has 3 points, but"),
            (mutual_information([line, constant], &k), "all points are equal"),
            (mutual_information([repeated, repeated], &k), "pair 0 (counted from 0) equals 3 or more others"),
            (with_labels(&[1, 2, 3]), "X has 30 points, but there are 3 labels to pair"),
            (with_labels(&labels), "label 8 occurs once"),
            (
                mutual_information_with_labels(repeated, &[4; 30], &k),
                "row 0 (counted from 0) equals 3 or more",
            ),
        ] {
            let message = result.expect_err(words).to_string();
            assert!(message.contains(words), "`{message}` does not say `{words}`");
        }
        // The least that is possible is possible.
        assert!(divergence([line.first(4), short], &k).is_ok(), "k + 1 and k points");
        assert!(mutual_information([line.first(4), repeated.first(4)], &k).is_err(), "no spread in Y");
        assert!(mutual_information([line.first(4), line.first(4)], &k).is_ok(), "k + 1 pairs");
    }
}
