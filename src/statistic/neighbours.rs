//! Information by nearest neighbours, in nats: how far two distributions are apart, and how much one quantity says
//! about another; no density is fitted and no bandwidth chosen.
//!
//! ```text
//! KL(P || Q)  X ~ P, n points; Y ~ Q, m points; in d dimensions, Euclidean norm
//!             d/n sum_i ln(nu_i / rho_i) + ln(m / (n - 1))
//!             rho_i, nu_i: from x_i to its k-th nearest among the other points of X, and among Y
//!             Wang, Kulkarni, Verdu, "Divergence estimation for multidimensional densities via k-nearest-neighbor
//!             distances", IEEE Trans. Inf. Theory 55 (2009), equation 5
//!
//! I(X; Y)     n pairs (x_i, y_i), maximum norm
//!             psi(k) + psi(n) - mean of psi(a_i + 1) + psi(b_i + 1)
//!             a_i, b_i: other x, other y that are nearer than the k-th nearest other pair is
//!             Kraskov, Stoegbauer, Grassberger, "Estimating mutual information", Phys. Rev. E 69 (2004), equation 8
//!
//! I(X; label) psi(n) + mean of psi(k_i) - psi(n_i) - psi(m_i)
//!             n_i: points with the label of x_i; k_i = min(k, n_i - 1)
//!             m_i: other points as near as the k_i-th nearest other point with this label, or nearer
//!             Ross, "Mutual information between discrete and continuous data sets", PLoS ONE 9 (2014), equation 2
//! ```
//!
//! psi is the digamma function. None of the three values changes when a coordinate is shifted or scaled, but
//! distances do: each column is divided by its standard deviation first (over X and Y together for KL), and columns
//! that are constant are left out.
//!
//! What the numbers are not:
//! * They are estimates and may be negative where the truth is near 0.
//! * They are biased, the more the higher the dimension and the larger the truth: neighbours must be so near that
//!   the densities hardly change on the way, and n points in d dimensions are about n^(-1/d) apart. KL and mutual
//!   information beyond ln n or so come out too small. Compare with the same n, d and k, or with shuffled labels.
//! * X and Y must have densities. Repeated values break the estimates; repeated points are an error here.
//! * KL is infinite where P has mass and Q has none; the estimate is finite nevertheless.
//! * They are no tests: for a p-value, use [`two_sample`](super::two_sample()).

mod search;

use super::Sample;
use crate::error::{Kind, Result};
use crate::random::{Sequence, Stream};
use search::{Norm, Points};
use serde::Serialize;

/// Parts that a sample is cut into for the standard error: each holds enough points, and the error itself is known
/// to about 1 / sqrt(2 (PARTS - 1)), a quarter.
const PARTS: usize = 10;

/// What estimate is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Which neighbour, from 1: more neighbours give less variance and more bias.
    pub k: usize,
    /// Seed of the parts that the standard error is found from.
    pub seed: u64,
}

impl Default for Settings {
    /// k = 3: Kraskov et al. 2004 recommend 2 to 4. Beyond that the variance hardly falls.
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
    /// divided by sqrt(10). It holds no bias, and is itself known to about a quarter only. `None` if a part were too
    /// small for an estimate.
    pub standard_error: Option<f64>,
    /// Which neighbour.
    pub k: usize,
}

/// KL(P || Q) from X ~ P and Y ~ Q.
///
/// # Errors
/// If X has fewer than k + 1 points or Y fewer than k, their columns differ, or points coincide so often that a
/// k-th nearest one is at distance 0.
pub fn divergence([x, y]: [Sample<'_>; 2], settings: &Settings) -> Result<Information> {
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
    estimate(settings, [x.len() / both.d(), y.len() / both.d()], |[rows_x, rows_y]| {
        divergence_of(both.d(), &chosen(&x, both.d(), rows_x), &chosen(&y, both.d(), rows_y), k)
    })
}

/// I(X; Y) of pairs: row i of X belongs to row i of Y.
///
/// # Errors
/// If X and Y have different numbers of points or fewer than k + 1, all points of one are equal, or so many pairs
/// coincide that a k-th nearest one is at distance 0.
pub fn mutual_information([x, y]: [Sample<'_>; 2], settings: &Settings) -> Result<Information> {
    let k = neighbours(settings)?;
    paired(x, y.len(), "points")?;
    enough("X", x, k + 1, k)?;
    let [of_x, of_y] = [Columns::new(x.d, &[x])?, Columns::new(y.d, &[y])?];
    let [x, y] = [of_x.of(x), of_y.of(y)];
    estimate(settings, [x.len() / of_x.d(), 0], |[rows, _]| {
        let [x, y] = [chosen(&x, of_x.d(), rows), chosen(&y, of_y.d(), rows)];
        mutual_information_of([of_x.d(), of_y.d()], [&x, &y], k)
    })
}

/// I(X; label): row i of X has label i. Labels that fewer than k + 1 points have use fewer neighbours.
///
/// # Errors
/// If the numbers of points and labels differ, a label occurs once, all points are equal, or so many of one label
/// coincide that a k-th nearest one is at distance 0.
pub fn mutual_information_with_labels(
    x: Sample<'_>,
    labels: &[u32],
    settings: &Settings,
) -> Result<Information> {
    let k = neighbours(settings)?;
    paired(x, labels.len(), "labels")?;
    enough("X", x, 2, 1)?;
    let columns = Columns::new(x.d, &[x])?;
    let x = columns.of(x);
    estimate(settings, [labels.len(), 0], |[rows, _]| {
        let labels: Vec<u32> = rows.iter().map(|&row| labels[row]).collect();
        labels_information_of(columns.d(), &chosen(&x, columns.d(), rows), &labels, k)
    })
}

fn wrong<T>(message: String) -> Result<T> {
    Err(Kind::Samples(message).into())
}

/// k, checked.
fn neighbours(settings: &Settings) -> Result<usize> {
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
    /// Of all points of some samples of dimension `d`.
    fn new(d: usize, samples: &[Sample<'_>]) -> Result<Self> {
        let column = |f: usize| {
            let values = || samples.iter().flat_map(move |sample| sample.values.iter().skip(f).step_by(d));
            let n = values().count() as f64;
            let mean = values().sum::<f64>() / n;
            let deviation = (values().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt();
            // Rounding may give equal values a deviation that is not 0.
            let first = values().next();
            values().any(|v| Some(v) != first).then_some((f, deviation))
        };
        let columns: Vec<_> = (0..d).filter_map(column).collect();
        if columns.is_empty() {
            return wrong("all points are equal, so they hold no information; use data that vary".into());
        }
        Ok(Self(columns))
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
    settings: &Settings,
    counts: [usize; 2],
    of: impl Fn([&[usize]; 2]) -> Result<f64>,
) -> Result<Information> {
    let all = counts.map(|count| (0..count).collect::<Vec<_>>());
    let nats = of([&all[0], &all[1]])?;
    let [x, y] = [0, 1].map(|which| shuffled(counts[which], settings.seed, which as u32));
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
    Ok(Information { nats, standard_error, k: settings.k })
}

/// `0..count` in random order: files are often in some order, and each part must be like the whole.
fn shuffled(count: usize, seed: u64, which: u32) -> Vec<usize> {
    let mut random = Sequence::new(seed, Stream::Parts, which);
    let mut order: Vec<usize> = (0..count).collect();
    for i in (1..count).rev() {
        order.swap(i, random.below(i as u32 + 1) as usize);
    }
    order
}

/// The estimate of [`divergence`] on values `(n, d)` and `(m, d)`.
fn divergence_of(d: usize, x: &[f64], y: &[f64], k: usize) -> Result<f64> {
    let (n, m) = (x.len() / d, y.len() / d);
    if n <= k || m < k {
        return wrong(format!("{n} and {m} points are too few for neighbour {k}; use more"));
    }
    // Among X, each point is its own nearest.
    let rho = Points::new(x, d, Norm::Euclidean).kth(x, k + 1);
    let nu = Points::new(y, d, Norm::Euclidean).kth(x, k);
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
    let radii = Points::new(&joint, d[0] + d[1], Norm::Maximum).kth(&joint, k + 1);
    apart(&radii, k, "pair", "others")?;
    let psi = digamma(n);
    // A point counts itself, which is the 1 of a_i + 1.
    let nearer = [0, 1].map(|s| Points::new(values[s], d[s], Norm::Maximum).nearer(values[s], &radii));
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
        let found = Points::new(&own, d, Norm::Maximum).kth(&own, k + 1);
        for (&row, radius) in rows.iter().zip(found) {
            // The next number: points at the k-th nearest one's distance, such as that one, count.
            radii[row] = if radius > 0.0 { radius.next_up() } else { 0.0 };
        }
        sum += rows.len() as f64 * (psi[k] - psi[rows.len()]);
    }
    apart(&radii, k, "row", "others of its label")?;
    let within = Points::new(x, d, Norm::Maximum).nearer(x, &radii);
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
