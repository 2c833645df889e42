//! The independence test: do X and Y, observed together, have anything to do with each other?
//!
//! ```text
//! K_ij = k(x_i, x_j), L_ij = l(y_i, y_j), row sums k_i and l_i, totals S_k and S_l
//!
//! HSIC biased     (sum_ij K_ij L_ij - 2/n sum_i k_i l_i + S_k S_l / n^2) / n^2  =  tr(K H L H) / n^2 >= 0
//! HSIC unbiased   (sum K~ L~ + S~_k S~_l / ((n-1)(n-2)) - 2/(n-2) sum_i k~_i l~_i) / (n (n-3)),  ~: zero diagonals
//! CKA             HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), biased: 0 to 1
//! ```
//!
//! Gretton, Fukumizu, Teo, Song, Schölkopf, Smola, "A kernel statistical test of independence", NeurIPS 2007; Song,
//! Smola, Gretton, Bedo, Borgwardt, JMLR 2012 (unbiased). With the energy kernel on both sides the biased statistic is
//! the squared distance covariance, and the square root of CKA the distance correlation (Székely, Rizzo, Bakirov,
//! Annals of Statistics 2007).
//!
//! For many points there is the wild bootstrap of Schrab, Kim, Guedj, Gretton, NeurIPS 2022: half of the rows are paired
//! with the other half, swapping y within a pair turns the sign of its terms around, and one pass over the pairs of pairs
//! gives all draws ([`Value::Dependence`](crate::kernel::pairs::Value)). With a budget R it takes only near pairs of pairs,
//! n R / 2 instead of n^2 / 8, and the mean is over them: an incomplete U-statistic. The estimates from all pairs are then
//! left out.
//!
//! Under independence any order of Y is as likely as the one observed. An order changes only the sums of K_ij L_ij
//! and of k_i l_i: the first comes from one pass over the pairs for many orders, the second is O(n).

use super::bandwidth::Resolved;
use super::gram::{Gram, Labels, Orders, Request, grams};
use super::null;
use super::p_value::{Distinct, PValue, TIE, gamma_tail};
use super::points::Points;
use super::series::{self, Blocks};
use super::test::{Common, KernelChoice, NamedKernel, Null, Outcome, Test, Trial};
use super::{Bandwidth, KernelFunction, Sample};
use crate::engine::Device;
use crate::error::{Error, Kind, Result};
use crate::kernel::pairs::Family;
use crate::random::{Sequence, Stream};
use rayon::prelude::*;
use serde::Serialize;
use std::cmp::Ordering;
use std::time::Instant;

/// Most words of the orders of one pass: 64 MiB.
const MOST_WORDS: usize = 16 << 20;

/// Fewest points: the unbiased estimate divides by n - 3.
pub(super) const LEAST_POINTS: usize = 4;

/// The nulls of the independence test.
pub const NULLS: [(Null, &str); 4] = [
    (Null::Exact, "Permute one variable: exact level if rows are independent"),
    (Null::Gamma, "A gamma distribution with the null's first two moments: no draws"),
    (
        Null::Wild,
        "Random signs of pairs of rows (wild bootstrap): one pass for all draws, for many points; sees less",
    ),
    (
        Null::Series,
        "Permute blocks of consecutive rows of one variable, for rows that depend on those before: never exact",
    ),
];

/// Settings of the independence test; X's before Y's.
#[derive(Clone, Debug, Default)]
pub struct IndependenceSettings {
    /// The families of the kernels.
    pub families: [Family; 2],
    /// Their bandwidths.
    pub bandwidths: [Bandwidth; 2],
    /// Rows of a block of [`Null::Series`], instead of a number by the autocorrelation: see [`super::series`].
    pub block_length: Option<usize>,
    /// Draws, level and seed.
    pub common: Common,
}

/// A variable in a result.
#[derive(Clone, Debug, Serialize)]
pub struct Variable {
    /// Its coordinates.
    pub d: usize,
    /// Its kernel.
    #[serde(flatten)]
    pub kernel: NamedKernel,
}

impl Variable {
    pub(super) fn new(d: usize, resolved: &Resolved) -> Self {
        Self { d, kernel: resolved.into() }
    }
}

/// The result of an independence test; its statistic is the biased estimate, or for the wild bootstrap that of paired
/// rows. With a budget there are no estimates, which are from all pairs.
#[derive(Clone, Debug, Serialize)]
pub struct Independence {
    /// Points.
    pub n: usize,
    /// The kernel of X.
    pub x: Variable,
    /// The kernel of Y.
    pub y: Variable,
    /// Biased estimate of HSIC, never negative.
    pub hsic_biased: Option<f64>,
    /// Unbiased estimate.
    pub hsic_unbiased: Option<f64>,
    /// HSIC as a number from 0 to 1.
    pub cka: Option<f64>,
    /// Distance correlation, from 0 to 1; of labels there is none.
    pub distance_correlation: Option<f64>,
    /// For the series null.
    pub blocks: Option<Blocks>,
}

/// Whether two variables, row by row observed together, are independent.
///
/// `progress` is called with the fraction that is done; its error ends the work, and is given back.
///
/// # Errors
/// If the variables or settings do not fit together, or the device fails.
pub fn independence(
    device: &Device,
    [x, y]: [Sample<'_>; 2],
    settings: &IndependenceSettings,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Outcome<Independence>> {
    let start = Instant::now();
    settings.check()?;
    check_samples([x, y])?;
    let (blocks, mut warnings) = blocks_of([x, y], settings)?;
    let block_length = blocks.map(|blocks| blocks.length);
    let [x, y] = [x, y].map(|sample| series::whole_blocks(sample, block_length.unwrap_or(1)));
    let resolved = resolve(device, [x, y], settings)?;
    warnings.extend(resolved.iter().flat_map(|r| r.warnings.clone()));
    let kernels = [&resolved[0].kernel, &resolved[1].kernel];
    let Common { permutations, null, budget, alpha, seed } = settings.common;
    let draws = if matches!(null, Null::Exact | Null::Series) { permutations + 1 } else { 1 };
    let order = |draw: usize| match block_length {
        None => null::order(x.len(), seed, draw),
        Some(length) => null::order_of_blocks(x.len(), length, seed, draw),
    };
    if budget.is_some() {
        // Nothing may take all pairs.
        let drawn = wild_draws(device, [x, y], &[kernels], settings, progress)?.swap_remove(0);
        return Ok(drawn.outcome(start, x.len(), [x.d, y.d], &resolved, &settings.common));
    }
    let wild = null == Null::Wild;
    let mut first_part = |done: f64| progress(if wild { 0.5 * done } else { done });
    let sums = HsicSums::new(device, [x, y], kernels, &order, draws, &mut first_part)?;
    let (mut values, mut pairs, mut tie) = (sums.biased(), sums.evaluations, sums.tie());
    let mut found = Independence {
        hsic_biased: Some(values[0] * sums.unit()),
        hsic_unbiased: Some(sums.unbiased() * sums.unit()),
        cka: Some(normalised(values[0], sums.own(0), sums.own(1))),
        blocks,
        ..Independence::without_estimates(x.len(), [x.d, y.d], &resolved)
    };
    if let Some(blocks) = &blocks {
        blocks.correct(&mut values);
    }
    let mut unit = sums.unit();
    warnings.extend(sums.constant());
    warnings.extend(sums.warning());
    if wild {
        let mut last_part = |done: f64| progress(0.5 + 0.5 * done);
        let drawn = wild_draws(device, [x, y], &[kernels], settings, &mut last_part)?.swap_remove(0);
        // The tie is a share of what the sums gave, which is in their units; each ratio is near 1.
        tie *= sums.units[0] / drawn.units[0] * (sums.units[1] / drawn.units[1]);
        (values, unit) = (drawn.values, drawn.unit);
        pairs += drawn.evaluations;
    }
    let p = if null == Null::Gamma {
        PValue::exact(gamma(&sums, [x, y], kernels, values[0]), null.name(), alpha)
    } else {
        settings.common.p_value(&values, tie, distinct([x, y], settings, block_length))
    };
    values.iter_mut().for_each(|value| *value *= unit);
    if !settings.families.contains(&Family::Delta) {
        found.distance_correlation = Some(distance_correlation(device, [x, y])?);
    }
    Ok(Outcome { warnings, ..Outcome::new(start, p, values, pairs, found) })
}

impl Independence {
    fn without_estimates(n: usize, d: [usize; 2], resolved: &[Resolved; 2]) -> Self {
        let [x, y] = [0, 1].map(|which| Variable::new(d[which], &resolved[which]));
        Self {
            n,
            x,
            y,
            hsic_biased: None,
            hsic_unbiased: None,
            cka: None,
            distance_correlation: None,
            blocks: None,
        }
    }
}

impl IndependenceSettings {
    /// Whether the settings alone are possible.
    ///
    /// # Errors
    /// If no draws are wanted, or the level makes no sense.
    pub fn check(&self) -> Result<()> {
        if self.common.null == Null::Gamma && self.families.contains(&Family::Energy) {
            return Err(Error::usage(
                "the gamma approximation is for bounded kernels; use --null exact with energy",
            ));
        }
        series::check_length(self.block_length, self.common.null == Null::Series)?;
        self.common.check("the independence test", &NULLS)
    }
}

/// If blocks are permuted: those, and what is to be said of them.
fn blocks_of(
    [x, y]: [Sample<'_>; 2],
    settings: &IndependenceSettings,
) -> Result<(Option<Blocks>, Vec<String>)> {
    if settings.common.null != Null::Series {
        return Ok((None, Vec::new()));
    }
    let n = x.len();
    // Rows of products of a function of x and one of y.
    let phi = series::phi(x) * series::phi(y);
    let blocks = Blocks::new([n, n], phi, settings.block_length)?;
    Ok((Some(blocks), series::warnings(n, n % blocks.length, phi)))
}

/// How many draws differ: signs of pairs of rows, orders of blocks, or orders of rows of which some may be equal.
pub(super) fn distinct(
    samples: [Sample<'_>; 2],
    settings: &IndependenceSettings,
    block_length: Option<usize>,
) -> Distinct {
    let n = samples[0].len();
    match (settings.common.null, block_length) {
        (Null::Wild, _) => Distinct::signs(n / 2),
        (_, Some(length)) => Distinct::orders(n / length),
        _ => {
            let of = |which: usize| {
                let counts = kinds(samples[which]);
                // Where all kinds are equally far apart, as labels are, or two of them, their names do not matter.
                let names = settings.families[which] == Family::Delta || counts.len() == 2;
                Distinct::orders_of_kinds(&counts, names)
            };
            if of(0).0 < of(1).0 { of(0) } else { of(1) }
        }
    }
}

/// How often each different row of a sample is there.
fn kinds(sample: Sample<'_>) -> Vec<usize> {
    let mut rows: Vec<&[f64]> = (0..sample.len()).map(|i| sample.point(i)).collect();
    let order = |a: &&[f64], b: &&[f64]| {
        a.iter().zip(*b).map(|(a, b)| a.total_cmp(b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    };
    rows.sort_unstable_by(order);
    rows.chunk_by(|a, b| a == b).map(<[_]>::len).collect()
}

/// The kernels of both variables with their bandwidths.
pub(super) fn resolve(
    device: &Device,
    samples: [Sample<'_>; 2],
    settings: &IndependenceSettings,
) -> Result<[Resolved; 2]> {
    let of = |which: usize| {
        let (sample, family) = (samples[which], settings.families[which]);
        let pooled = [sample, sample.first(0)];
        settings.bandwidths[which].resolve(device, pooled, family, true, settings.common.seed)
    };
    Ok([of(0)?, of(1)?])
}

/// Whether rows of two variables can be one observation, and neither variable is constant.
pub(super) fn check_samples([x, y]: [Sample<'_>; 2]) -> Result<()> {
    let wrong = |message: String| Err(Kind::Samples(message).into());
    if x.len() != y.len() {
        return wrong(format!(
            "X has {} rows and Y has {}; row i of both must be one observation",
            x.len(),
            y.len()
        ));
    }
    if x.len() < LEAST_POINTS {
        return wrong(format!("there are {} rows; the test needs at least {LEAST_POINTS}", x.len()));
    }
    for (name, sample) in [("X", x), ("Y", y)] {
        if (1..sample.len()).all(|i| sample.point(i) == sample.point(0)) {
            return wrong(format!(
                "{name} is the same in all {} rows, so nothing can depend on it; give a variable with at least two \
                 values or classes",
                sample.len()
            ));
        }
    }
    Ok(())
}

/// Draws of the wild bootstrap.
pub(super) struct WildDraws {
    /// The statistic of paired rows with the signs of each draw.
    pub(super) values: Vec<f64>,
    /// Root mean square of the terms of its mean.
    pub(super) size: f64,
    /// Kernel values that it took.
    pub(super) evaluations: f64,
    /// What the values are to be multiplied by to be in the data's units.
    pub(super) unit: f64,
    /// That of each of the two kernels.
    units: [f64; 2],
    /// Values that differ by less than this share of the size are equal.
    pub(super) tie: f64,
    pub(super) warning: Option<String>,
}

impl WildDraws {
    /// Of the sums over all pairs of items, or near ones: `labels` are their signs, `second` is the kernel of Y.
    pub(super) fn new(gram: &Gram, second: &KernelFunction, units: [f64; 2], labels: &Labels) -> Self {
        let pairs = 2.0 * gram.evaluations;
        let scale = second.weight() / pairs;
        let values = null::signed_sums(gram, labels).map(|sum| scale * sum).collect();
        let squares = gram.k2.iter().map(|k| k[0]).sum::<f64>();
        let size = second.weight() * (squares / pairs).sqrt();
        let (evaluations, unit, tie) = (8.0 * gram.evaluations, gram.unit, gram.tie());
        Self { values, size, evaluations, unit, units, tie, warning: gram.warning() }
    }

    /// The result of a test of n rows without the estimates from all pairs; it began at `start`.
    pub(super) fn outcome(
        self,
        start: Instant,
        n: usize,
        d: [usize; 2],
        resolved: &[Resolved; 2],
        common: &Common,
    ) -> Outcome<Independence> {
        let Self { mut values, size, evaluations, unit, tie, warning, .. } = self;
        let p = common.p_value(&values, tie * size, Distinct::signs(n / 2));
        values.iter_mut().for_each(|value| *value *= unit);
        let found = Independence::without_estimates(n, d, resolved);
        let warnings = resolved.iter().flat_map(|r| r.warnings.clone()).chain(warning).collect();
        let budget = common.budget;
        Outcome { budget, warnings, ..Outcome::new(start, p, values, evaluations, found) }
    }
}

/// The order in which rows make items: row i of it with row i + n / 2; of an odd number the last is left out. Files are often
/// in some order; pairs must be a random choice.
pub fn order_of_items(n: usize, seed: u64) -> Vec<usize> {
    Sequence::new(seed, Stream::Bins, 2).order(n)
}

/// The statistic of paired rows with random signs, for each pair of kernels.
pub(super) fn wild_draws(
    device: &Device,
    samples: [Sample<'_>; 2],
    kernels: &[[&KernelFunction; 2]],
    settings: &IndependenceSettings,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Vec<WildDraws>> {
    let Common { permutations, budget, seed, .. } = settings.common;
    let order = order_of_items(samples[0].len(), seed);
    let mixed = samples.map(|sample| sample.choice(&order));
    let [x, y] = [0, 1].map(|which| Sample::new(samples[which].d, &mixed[which]));
    let [of_x, of_y]: [Vec<&KernelFunction>; 2] =
        [0, 1].map(|which| kernels.iter().map(|pair| pair[which]).collect());
    let points = Points::dependence(x, y, [&of_x, &of_y])?.within(budget);
    let items = points.counts[0];
    let labels = null::rademacher(items, seed, permutations + 1);
    let units = points.units_of_values(kernels[0][0].family);
    let drawn = |(gram, second): (Gram, &&KernelFunction)| WildDraws::new(&gram, second, units, &labels);
    let grams = grams(device, &points, &of_x, &of_y, &labels, progress)?;
    Ok(grams.into_iter().zip(&of_y).map(drawn).collect())
}

/// HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)); 0 where a kernel is constant.
fn normalised(both: f64, x: f64, y: f64) -> f64 {
    let scale = (x * y).sqrt();
    if scale > 0.0 { (both / scale).clamp(0.0, 1.0) } else { 0.0 }
}

/// Distance correlation of two variables.
fn distance_correlation(device: &Device, samples: [Sample<'_>; 2]) -> Result<f64> {
    let energy = KernelFunction::new(Family::Energy, 1.0);
    let as_observed = |draw| null::order(samples[0].len(), 0, draw);
    let sums = HsicSums::new(device, samples, [&energy; 2], &as_observed, 1, &mut |_| Ok(()))?;
    Ok(normalised(sums.biased()[0], sums.own(0), sums.own(1)).sqrt())
}

/// The sums that all estimates are made of. Row sums leave the diagonal out.
pub(super) struct HsicSums {
    n: usize,
    /// k(x, x) and l(y, y).
    at_zero: [f64; 2],
    /// Row sums of K and of L.
    rows: [Vec<f64>; 2],
    /// HsicSums over i != j of K^2 and of L^2.
    squares: [f64; 2],
    /// Of each draw: sum over i != j of K L.
    products: Vec<f64>,
    /// Of each draw: sum over i of `k_i` `l_i`.
    row_products: Vec<f64>,
    pub(super) evaluations: f64,
    /// What the kernels' values were divided by.
    units: [f64; 2],
    /// Values that differ by less than this share of their size are equal.
    tie: f64,
    warning: Option<String>,
}

impl HsicSums {
    /// `draw_order` gives the order of one variable in each draw: that observed in draw 0.
    pub(super) fn new(
        device: &Device,
        samples: [Sample<'_>; 2],
        kernels: [&KernelFunction; 2],
        draw_order: &(impl Fn(usize) -> Vec<u32> + Sync),
        draws: usize,
        progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Self> {
        let n = samples[0].len();
        let points = Points::both(samples, kernels)?;
        let gram = |which: usize| {
            Gram::of(device, &points[which], kernels[which], &Request::Squares, false, &mut |_| Ok(()))
        };
        let grams = [gram(0)?, gram(1)?];
        let rows = [0, 1].map(|which| grams[which].k.iter().map(|k| k[0]).collect::<Vec<f64>>());
        let squares = [0, 1].map(|which| grams[which].k2.iter().map(|k| k[0]).sum::<f64>());
        let totals = [0, 1].map(|which| rows[which].iter().sum::<f64>());

        // The variable whose kernel is computed for each order is the one with fewer coordinates.
        let [kept, moved] = if samples[0].d < samples[1].d { [1, 0] } else { [0, 1] };
        let (kept_points, moved_points) = (&points[kept], &points[moved]);
        let chunk = (MOST_WORDS / n).clamp(1, draws);
        let (mut products, mut row_products) = (Vec::with_capacity(draws), Vec::with_capacity(draws));
        let mut evaluations = grams[0].evaluations + grams[1].evaluations;
        for first in (0..draws).step_by(chunk) {
            let count = chunk.min(draws - first);
            let order: Vec<u32> = (first..first + count).into_par_iter().flat_map_iter(draw_order).collect();
            row_products
                .extend(order.par_chunks_exact(n).map(dot(&rows[kept], &rows[moved])).collect::<Vec<_>>());
            let orders = Orders { points: moved_points, kernel: kernels[moved], draws: count, order };
            let mut part = |done: f64| progress((first as f64 + count as f64 * done) / draws as f64);
            let request = Request::Products(&orders);
            let pass = Gram::of(device, kept_points, kernels[kept], &request, false, &mut part)?;
            evaluations += pass.evaluations * (1 + count) as f64;
            products.extend(pass.forms);
        }
        // Engines sum up weightless kernels less their centres.
        let [w, v] = [0, 1].map(|which| kernels[which].weight());
        let [c, e] = [0, 1].map(|which| kernels[which].centre());
        let pairs = n as f64 * (n as f64 - 1.0);
        let rest = e * totals[0] / w + c * totals[1] / v - c * e * pairs;
        products.iter_mut().for_each(|sum| *sum = w * v * (*sum + rest));
        let at_zero = kernels.map(KernelFunction::at_zero);
        let units = grams.each_ref().map(|gram| gram.unit);
        let tie = grams.iter().map(Gram::tie).fold(1.0, f64::min);
        let warning = grams.iter().find_map(Gram::warning);
        Ok(Self { n, at_zero, rows, squares, products, row_products, evaluations, units, tie, warning })
    }

    /// Sum of all entries of a kernel matrix, without the diagonal.
    fn total(&self, which: usize) -> f64 {
        self.rows[which].iter().sum()
    }

    /// Mean entry off the diagonal.
    fn mean(&self, which: usize) -> f64 {
        self.total(which) / (self.n as f64 * (self.n as f64 - 1.0))
    }

    /// Biased HSIC from sums without the diagonal: of K L, of `k_i` `l_i`, of K and of L.
    fn combine(&self, product: f64, row_product: f64, totals: [f64; 2], at_zero: [f64; 2]) -> f64 {
        let n = self.n as f64;
        let [k, l] = at_zero;
        let product = product + n * k * l;
        let row_product = row_product + k * totals[1] + l * totals[0] + n * k * l;
        let [s, t] = [totals[0] + n * k, totals[1] + n * l];
        (product - 2.0 / n * row_product + s * t / (n * n)) / (n * n)
    }

    /// Warnings of kernels that see no structure.
    fn constant(&self) -> impl Iterator<Item = String> {
        let constant = |(which, _): &(usize, &&str)| self.own(*which) < TIE;
        let warning = |(_, name): (usize, &&str)| {
            format!(
                "the kernel of {name} is nearly the same between all points: the variable is constant, or its \
                 bandwidth far too large or small"
            )
        };
        ["X", "Y"].iter().enumerate().filter(constant).map(warning)
    }

    /// What HSIC is to be multiplied by to be in the data's units.
    pub(super) fn unit(&self) -> f64 {
        self.units[0] * self.units[1]
    }

    /// A warning if a pass was slow.
    pub(super) fn warning(&self) -> Option<String> {
        self.warning.clone()
    }

    /// Values of HSIC that differ by less are equal.
    pub(super) fn tie(&self) -> f64 {
        self.tie * (self.mean(0) * self.mean(1)).abs()
    }

    /// Biased HSIC of each draw.
    pub(super) fn biased(&self) -> Vec<f64> {
        let totals = [self.total(0), self.total(1)];
        let draws = self.products.iter().zip(&self.row_products);
        draws.map(|(&product, &rows)| self.combine(product, rows, totals, self.at_zero)).collect()
    }

    /// Biased HSIC of a variable with itself.
    fn own(&self, which: usize) -> f64 {
        let rows = self.rows[which].iter().map(|k| k * k).sum();
        let (total, at_zero) = (self.total(which), self.at_zero[which]);
        self.combine(self.squares[which], rows, [total; 2], [at_zero; 2])
    }

    /// Unbiased HSIC of what was observed.
    fn unbiased(&self) -> f64 {
        let n = self.n as f64;
        let both = self.total(0) * self.total(1) / ((n - 1.0) * (n - 2.0));
        (self.products[0] + both - 2.0 / (n - 2.0) * self.row_products[0]) / (n * (n - 3.0))
    }
}

/// Sum over i of a `k_i` and the `l` that an order gives it.
fn dot<'a>(k: &'a [f64], l: &'a [f64]) -> impl Fn(&[u32]) -> f64 + Sync + Send + 'a {
    |order| k.iter().zip(order).map(|(k, &i)| k * l[i as usize]).sum()
}

/// The p-value by the gamma distribution with the null's mean and variance (Gretton et al. 2007, section 3), for
/// n HSIC biased. O(n^2) in f64 on the CPU.
fn gamma(sums: &HsicSums, samples: [Sample<'_>; 2], kernels: [&KernelFunction; 2], observed: f64) -> f64 {
    let n = sums.n as f64;
    // Entries of H K H: less the means of their row and column, plus the mean of all.
    let means = [0, 1].map(|which| -> Vec<f64> {
        sums.rows[which].iter().map(|k| (k + sums.at_zero[which]) / n).collect()
    });
    let all = [0, 1].map(|which| means[which].iter().sum::<f64>() / n);
    let centred = |which: usize, i: usize, j: usize| {
        let k = kernels[which].value(samples[which].point(i), samples[which].point(j));
        k - means[which][i] - means[which][j] + all[which]
    };
    let row = |i: usize| (0..i).map(|j| (centred(0, i, j) * centred(1, i, j)).powi(2)).sum::<f64>();
    let fourth: Vec<f64> = (0..sums.n).into_par_iter().map(row).collect();
    let spread = 2.0 * fourth.iter().sum::<f64>() / (n * (n - 1.0));
    let variance = 2.0 * (n - 4.0) * (n - 5.0) / (n * (n - 1.0) * (n - 2.0) * (n - 3.0)) * spread;
    let [x, y] = [sums.mean(0), sums.mean(1)];
    let [k, l] = sums.at_zero;
    let mean = (k * l + x * y - x * l - y * k) / n;
    let (shape, scale) = (mean * mean / variance, n * variance / mean);
    gamma_tail(shape, n * observed / scale)
}

impl From<&KernelChoice> for IndependenceSettings {
    fn from(choice: &KernelChoice) -> Self {
        let families = choice.families();
        // A kernel without a bandwidth leaves it to the other one.
        let bandwidth = |family: Family| {
            choice.bandwidth.clone().filter(|_| !family.without_bandwidth()).unwrap_or_default()
        };
        let common = choice.common(Common::default());
        Self { families, bandwidths: families.map(bandwidth), common, ..Self::default() }
    }
}

impl Test for IndependenceSettings {
    fn check(&self) -> Result<()> {
        self.check()
    }

    fn families(&self) -> &[Family] {
        &self.families
    }

    fn words(&self) -> String {
        format!("{self:?}")
    }

    fn p_value(&self, device: &Device, trial: &Trial<'_>) -> Result<PValue> {
        let settings = Self { common: Common { seed: trial.seed, ..self.common }, ..self.clone() };
        Ok(independence(device, trial.samples, &settings, &mut |_| Ok(()))?.p)
    }
}
