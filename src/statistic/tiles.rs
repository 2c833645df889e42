//! Tests of items that are in many places: a plan, sums over tiles of pairs, and what these add up to.
//!
//! ```text
//! items     the points of two samples, pairs of observations, or points with a model's scores, in the order in which parts
//!           take them; part = some of them, one after another
//! tile      all pairs of an item of one part and an item of another, or all pairs of items of one part
//!           -> sums of k and k^2 of each of its items, and forms of its labels or sums over its bins
//! result    from the sums of all tiles, those of each two parts once: the test of all items
//! ```
//!
//! Results are those of [`two_sample`](super::two_sample()), and of [`independence`](super::independence::independence) and
//! [`fit`](super::fit::fit) with random signs, but for the rounding of sums, as each tile is centred on its own points.
//! What needs other pairs is not among them: linear-time estimates of two samples, HSIC's estimates from all pairs.

use super::bandwidth::Resolved;
use super::fit::{Fit, FitSettings, KsdDraws, diagonal, in_own_unit, smallest};
use super::gram::{Gram, Labels, Request};
use super::independence::{Independence, IndependenceSettings, LEAST_POINTS, WildDraws};
use super::null;
use super::p_value::Distinct;
use super::points::Points;
use super::test::{Common, Null, Outcome};
use super::two_sample::{Bins, Draws, TwoSample, TwoSampleSettings};
use super::{Bandwidth, Sample};
use crate::engine::Device;
use crate::error::{Error, Kind, Result};
use crate::kernel::pair_forms::BITS;
use crate::kernel::pairs::{Family, Form};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ops::Range;
use std::time::Instant;

/// Which rows a two-sample test takes, in which order.
#[derive(Clone, Debug)]
pub struct RowOrder {
    /// Points of a bin, for the binned null. Parts hold whole bins.
    pub bin: Option<usize>,
    /// Rows of X and of Y.
    pub rows: [Vec<usize>; 2],
    /// Warnings for the user.
    pub warnings: Vec<String>,
}

impl RowOrder {
    /// Of two samples of n and m rows.
    ///
    /// # Errors
    /// If there are too few, or the settings have no such plan: it is for exact and binned permutations, all of them.
    pub fn new(counts: [usize; 2], settings: &TwoSampleSettings) -> Result<Self> {
        settings.check()?;
        if counts.iter().any(|&count| count < 2) {
            let [n, m] = counts;
            let message = format!("X has {n} points and Y has {m}; the test needs at least two of each");
            return Err(Kind::Samples(message).into());
        }
        if settings.split || settings.sequential {
            return Err(Error::usage("parts of a test have no --split and no --sequential; leave them out"));
        }
        let Common { null, seed, .. } = settings.common;
        match null {
            Null::Exact => {
                Ok(Self { bin: None, rows: counts.map(|count| (0..count).collect()), warnings: Vec::new() })
            }
            Null::Binned => {
                let Bins { size, rows, warnings } = Bins::new(counts, settings.bin, seed)?;
                Ok(Self { bin: Some(size), rows, warnings })
            }
            _ => Err(Error::usage(format!(
                "a test of parts has no {} null; use exact or binned permutations",
                null.name()
            ))),
        }
    }
}

/// What is asked of items, and the kernels of their pairs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum TileQuestion {
    /// Items are the points of two samples: are both from one distribution?
    TwoSample(Resolved),
    /// Items are pairs of observations of two variables, `(x_i, x_j, y_i, y_j)`: are the variables independent?
    Independence {
        /// Observations.
        n: usize,
        /// Coordinates of X and of Y.
        d: [usize; 2],
        /// The kernels of X and of Y.
        resolved: [Resolved; 2],
    },
    /// Items are points with the scores of a model there, `(x, s)`: is the model right?
    Fit {
        /// The model.
        name: String,
        /// The kernel.
        resolved: Resolved,
    },
}

/// What follows from the settings and a few items.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TilePlan {
    /// The question.
    pub question: TileQuestion,
    /// Items: of X and of Y, of those that the [order](RowOrder) names; or all of them and 0.
    pub counts: [usize; 2],
    /// Numbers of an item.
    pub d: usize,
    /// Items of a bin, for the binned null.
    pub bin: Option<usize>,
    /// Draws under the null.
    pub permutations: usize,
    /// Level.
    pub alpha: f64,
    /// Seed of the draws.
    pub seed: u64,
}

/// Some items of a sample.
#[derive(Clone, Copy, Debug)]
pub struct PlacedRows<'a> {
    /// 0 for X, 1 for Y; 0 if there is one sample.
    pub which: usize,
    /// The number of its first item, counted in the sample's order.
    pub first: usize,
    /// Its items.
    pub items: Sample<'a>,
    /// Their [labels](TileSums::labels); empty for the binned null.
    pub labels: &'a [u32],
}

/// The sums of a tile.
#[derive(Clone, Debug)]
pub struct TileOfPairs {
    /// Sums over its pairs.
    pub gram: Gram,
    /// The Stein kernel of each item of a part with itself, for a test of fit.
    pub diagonal: Vec<f64>,
}

impl TilePlan {
    /// A two-sample test, from the points that [`rows_of_rules`](super::bandwidth::rows_of_rules) names among the rows of an
    /// order, X's before Y's.
    ///
    /// # Errors
    /// If the settings are not possible, or the device fails.
    pub fn two_sample(
        device: &Device,
        points: Sample<'_>,
        counts: [usize; 2],
        bin: Option<usize>,
        settings: &TwoSampleSettings,
    ) -> Result<Self> {
        let TwoSampleSettings { family, sum, ref bandwidth, common, .. } = *settings;
        let total = counts.iter().sum();
        let resolved = bandwidth.resolve_of_rows(device, points, total, family, !sum, common.seed)?;
        Ok(Self { bin, ..Self::new(TileQuestion::TwoSample(resolved), counts, points.d, &common) })
    }

    /// An independence test of n observations of two variables, from those that
    /// [`rows_of_rules`](super::bandwidth::rows_of_rules) names.
    ///
    /// # Errors
    /// If the settings are not possible, or the device fails.
    pub fn independence(
        device: &Device,
        [x, y]: [Sample<'_>; 2],
        n: usize,
        settings: &IndependenceSettings,
    ) -> Result<Self> {
        settings.check()?;
        only_signs(&settings.common)?;
        if n < LEAST_POINTS {
            let message = format!("there are {n} rows; the test needs at least {LEAST_POINTS}");
            return Err(Kind::Samples(message).into());
        }
        let of = |which: usize, sample: Sample<'_>| {
            let (bandwidth, family) = (&settings.bandwidths[which], settings.families[which]);
            resolve(device, bandwidth, sample, n, family, settings.common.seed)
        };
        let question = TileQuestion::Independence { n, d: [x.d, y.d], resolved: [of(0, x)?, of(1, y)?] };
        Ok(Self::new(question, [n / 2, 0], 2 * (x.d + y.d), &settings.common))
    }

    /// A test of fit of a model by n points, from those that [`rows_of_rules`](super::bandwidth::rows_of_rules) names.
    ///
    /// # Errors
    /// If the settings are not possible, or the device fails.
    pub fn fit(
        device: &Device,
        points: Sample<'_>,
        n: usize,
        name: &str,
        settings: &FitSettings,
    ) -> Result<Self> {
        settings.check()?;
        only_signs(&settings.common)?;
        if n < 2 {
            return Err(Kind::Samples(format!("the sample has {n} rows; the test needs at least two")).into());
        }
        let resolved =
            resolve(device, &settings.bandwidth, points, n, settings.family, settings.common.seed)?;
        super::fit::check_kernel(&resolved.kernel)?;
        let question = TileQuestion::Fit { name: name.into(), resolved };
        Ok(Self::new(question, [n, 0], 2 * points.d, &settings.common))
    }

    fn new(question: TileQuestion, counts: [usize; 2], d: usize, common: &Common) -> Self {
        let &Common { permutations, alpha, seed, .. } = common;
        Self { question, counts, d, bin: None, permutations, alpha, seed }
    }

    /// The draws, with what was observed.
    pub fn draws(&self) -> usize {
        self.permutations + 1
    }

    /// The sums of a tile: of the pairs of items of two parts, or of one part if there is no second.
    ///
    /// # Errors
    /// If parts are not of this plan, or the device fails.
    pub fn tile(
        &self,
        device: &Device,
        rows: PlacedRows<'_>,
        columns: Option<PlacedRows<'_>>,
        progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<TileOfPairs> {
        for part in [Some(rows), columns].into_iter().flatten() {
            let words = if self.bin.is_some() { 0 } else { part.items.len().div_ceil(BITS) * self.draws() };
            if part.items.d != self.d || part.labels.len() != words {
                return Err(Error::usage("a part has other columns or labels than its plan"));
            }
        }
        let labels;
        let request = match self.bin {
            Some(bin) => Request::Bins(bin),
            None => {
                let words = [rows.labels, columns.map_or(&[][..], |part| part.labels)].concat();
                labels = Labels { draws: self.draws(), words };
                Request::Forms(&labels)
            }
        };
        let items = [rows.items, columns.map_or(rows.items.first(0), |part| part.items)];
        let cross = columns.is_some();
        let mut sums = |points: &Points, kernel| Gram::of(device, points, kernel, &request, cross, progress);
        let both = || items.map(|items| items.values).concat();
        let mut own = Vec::new();
        let gram = match &self.question {
            TileQuestion::TwoSample(resolved) => {
                let [x, y] = items;
                sums(&Points::new(x, y, &[&resolved.kernel])?, &resolved.kernel)?
            }
            TileQuestion::Independence { d: [dx, dy], resolved: [of_x, of_y], .. } => {
                let (all, kernel) = (both(), &of_x.kernel);
                let x = [0..*dx, *dx..2 * dx].map(|range| columns_of(&all, self.d, range)).concat();
                let y =
                    [2 * dx..2 * dx + dy, 2 * dx + dy..self.d].map(|range| columns_of(&all, self.d, range));
                let (x, y) = (Sample::new(*dx, &x), y.concat());
                let points = Points::dependence(x, Sample::new(*dy, &y), [&[kernel], &[&of_y.kernel]])?;
                sums(&points.split_at(items[0].len()), kernel)?
            }
            TileQuestion::Fit { resolved, .. } => {
                let (all, kernel, d) = (both(), &resolved.kernel, self.d / 2);
                let [x, scores] = [0..d, d..self.d].map(|range| columns_of(&all, self.d, range));
                let points = Points::stein(Sample::new(d, &x), &scores, &[kernel])?.split_at(items[0].len());
                if !cross {
                    own = diagonal(kernel, smallest(kernel), d, &scores);
                }
                in_own_unit(sums(&points, kernel)?, kernel, &points)
            }
        };
        Ok(TileOfPairs { gram, diagonal: own })
    }
}

/// Refuses settings of tests by random signs that parts cannot have.
fn only_signs(common: &Common) -> Result<()> {
    if common.null != Null::Wild {
        return Err(Error::usage(format!(
            "a test of parts has no {} null; use random signs (wild)",
            common.null.name()
        )));
    }
    match common.budget {
        Some(_) => Err(Error::usage("parts of a test have no budget; leave it out")),
        None => Ok(()),
    }
}

fn resolve(
    device: &Device,
    bandwidth: &Bandwidth,
    few: Sample<'_>,
    n: usize,
    family: Family,
    seed: u64,
) -> Result<Resolved> {
    bandwidth.resolve_of_rows(device, few, n, family, true, seed)
}

/// Some columns of rows of d numbers.
fn columns_of(rows: &[f64], d: usize, columns: Range<usize>) -> Vec<f64> {
    rows.chunks_exact(d).flat_map(|row| &row[columns.clone()]).copied().collect()
}

/// The sums of tiles, added up.
#[derive(Clone, Debug)]
pub struct TileSums {
    plan: TilePlan,
    /// Of all points; none for the binned null.
    labels: Option<Labels>,
    /// The sums so far; in which unit is the first tile's choice.
    gram: Option<Gram>,
    /// The sum over the tiles of what their sums of k may be off by.
    rounding: f64,
    /// The Stein kernel of each item with itself, of a test of fit.
    diagonal: Vec<f64>,
    /// Where the tiles begin.
    added: HashSet<(PartPlace, Option<PartPlace>)>,
}

/// The result of a test.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of [`TileQuestion::TwoSample`].
    TwoSample(Outcome<TwoSample>),
    /// Of [`TileQuestion::Independence`], without the estimates from all pairs of observations.
    Independence(Outcome<Independence>),
    /// Of [`TileQuestion::Fit`].
    Fit(Outcome<Fit>),
}

impl Answer {
    /// The statistic under the null, one per draw.
    pub fn draws(&self) -> &[f64] {
        match self {
            Self::TwoSample(outcome) => &outcome.draws,
            Self::Independence(outcome) => &outcome.draws,
            Self::Fit(outcome) => &outcome.draws,
        }
    }
}

/// A sample, 0 for X and 1 for Y, and the number of an item in its order.
pub type PartPlace = (usize, usize);

impl TileSums {
    /// Nothing yet. This makes the labels of all draws, (n + m) / 8 bytes each.
    pub fn new(plan: TilePlan) -> Self {
        let TilePlan { counts, seed, bin, .. } = plan;
        let labels = match plan.question {
            TileQuestion::TwoSample(_) => {
                bin.is_none().then(|| null::permutations(counts, seed, 0, plan.draws()))
            }
            _ => Some(null::rademacher(counts[0], seed, plan.draws())),
        };
        let diagonal = match plan.question {
            TileQuestion::Fit { .. } => vec![f64::NAN; counts[0]],
            _ => Vec::new(),
        };
        Self { plan, labels, gram: None, rounding: 0.0, diagonal, added: HashSet::new() }
    }

    /// The labels of some items of a sample: `(words, draws)`, see [`Labels`]; empty for the binned null.
    ///
    /// # Panics
    /// If the sample has no such items.
    pub fn labels(&self, which: usize, range: Range<usize>) -> Vec<u32> {
        assert!(range.end <= self.plan.counts[which], "a part ends with its sample");
        let Some(Labels { draws, words }) = &self.labels else { return Vec::new() };
        let first_word = if which == 0 { 0 } else { self.plan.counts[0].div_ceil(BITS) };
        let word =
            |word: usize, draw: usize| words.get((first_word + word) * draws + draw).copied().unwrap_or(0);
        let mut part = Vec::with_capacity(range.len().div_ceil(BITS) * draws);
        for at in range.clone().step_by(BITS) {
            let (low, shift) = (at / BITS, at % BITS);
            let count = BITS.min(range.end - at);
            let mask = u32::MAX >> (BITS - count);
            for draw in 0..*draws {
                let both = u64::from(word(low, draw)) | u64::from(word(low + 1, draw)) << BITS;
                part.push((both >> shift) as u32 & mask);
            }
        }
        part
    }

    /// Adds a tile of the parts of some samples that begin at some rows.
    ///
    /// # Errors
    /// If the tile is of another plan.
    pub fn add(&mut self, rows: PartPlace, columns: Option<PartPlace>, tile: TileOfPairs) -> Result<()> {
        let TileOfPairs { gram: tile, diagonal } = tile;
        let TilePlan { counts, bin, permutations, .. } = self.plan;
        let places = [Some(rows), columns].into_iter().flatten();
        let outside = places.zip(tile.counts).any(|((which, first), count)| first + count > counts[which]);
        let cut = bin.is_some_and(|bin| {
            let firsts = [Some(rows), columns].into_iter().flatten().map(|(_, first)| first);
            firsts.chain(tile.counts).any(|number| number % bin != 0)
        });
        let own = columns.is_none();
        let wanted = if own && !self.diagonal.is_empty() { tile.k.len() } else { 0 };
        if cut
            || outside
            || diagonal.len() != wanted
            || (bin.is_none() && tile.forms.len() != permutations + 1)
        {
            return Err(Error::usage("this tile is of another plan"));
        }
        if !self.added.insert((rows, columns)) {
            return Err(Error::usage("this tile was added already"));
        }
        let bins = bin.map_or([0; 2], |bin| counts.map(|count| count / bin));
        let width = bins[0] + bins[1];
        let total = self.gram.get_or_insert_with(|| {
            let zeros = vec![[0.0; 2]; counts[0] + counts[1]];
            Gram {
                counts,
                k: zeros.clone(),
                k2: if tile.k2.is_empty() { Vec::new() } else { zeros },
                forms: vec![0.0; tile.forms.len()],
                bins: vec![0.0; width * width],
                evaluations: 0.0,
                form: Form::Differences,
                bytes: 0,
                unit: tile.unit,
                precise: true,
            }
        });
        let tile = tile.in_unit(total.unit);
        let [n, _] = tile.counts;
        if let Some(place) = self.diagonal.get_mut(rows.1..rows.1 + diagonal.len()) {
            place.copy_from_slice(&diagonal);
        }
        // Of each part: where it is, and its items in the tile, whose partners are of the other part.
        let sides = [(Some(rows), 0..n, columns.unwrap_or(rows).0), (columns, n..tile.k.len(), rows.0)];
        for (place, points, partners) in sides {
            let Some((which, first)) = place else { continue };
            let at = which * counts[0] + first;
            // In a tile, partners are called Y by the points of rows, and X by those of columns.
            let class = usize::from(!own && points.start == 0);
            for (sums, of_tile) in [(&mut total.k, &tile.k), (&mut total.k2, &tile.k2)] {
                let of_part = of_tile.get(points.clone()).unwrap_or_default();
                let sums = sums.get_mut(at..at + of_part.len()).unwrap_or_default();
                sums.iter_mut().zip(of_part).for_each(|(sum, k)| sum[partners] += k[class]);
            }
        }
        total.forms.iter_mut().zip(&tile.forms).for_each(|(sum, form)| *sum += form);
        if let Some(bin) = bin {
            let bin_of = |(which, first): PartPlace| which * bins[0] + first / bin;
            let of_tile = tile.counts.map(|count| count / bin);
            let places: Vec<usize> = (0..of_tile[0])
                .map(|u| bin_of(rows) + u)
                .chain((0..of_tile[1]).map(|v| columns.map_or(0, bin_of) + v))
                .collect();
            for (&u, row) in places.iter().zip(tile.bins.chunks_exact(places.len())) {
                places.iter().zip(row).for_each(|(v, sum)| total.bins[u * width + v] += sum);
            }
        }
        self.rounding += tile.tie() * tile.k.iter().flatten().sum::<f64>().abs();
        total.evaluations += tile.evaluations;
        total.precise &= tile.precise;
        total.form = tile.form;
        Ok(())
    }

    /// The test's result from all tiles; it took from `start` on.
    ///
    /// # Errors
    /// If pairs are missing, or a variable is constant.
    pub fn outcome(&self, start: Instant) -> Result<Answer> {
        let TilePlan { question, counts, d, bin, permutations, alpha, seed } = &self.plan;
        let all = (counts[0] + counts[1]) as f64;
        let gram = self.gram.clone().filter(|gram| gram.evaluations == all * (all - 1.0) / 2.0);
        let gram = gram.ok_or_else(|| Error::usage("some tiles of this test are missing, or overlap"))?;
        let null = match (question, bin) {
            (TileQuestion::TwoSample(_), Some(_)) => Null::Binned,
            (TileQuestion::TwoSample(_), None) => Null::Exact,
            _ => Null::Wild,
        };
        let common = Common { permutations: *permutations, null, budget: None, alpha: *alpha, seed: *seed };
        let no_labels = Labels { draws: 0, words: Vec::new() };
        let labels = self.labels.as_ref().unwrap_or(&no_labels);
        Ok(match question {
            TileQuestion::TwoSample(resolved) => {
                let drawn = match bin {
                    None => Draws::of_labels(gram, &resolved.kernel, labels),
                    Some(bin) => Draws::of_bins(gram, &resolved.kernel, (*bin, None), &common),
                };
                let drawn = drawn.with_tie(self.rounding / (all * (all - 1.0)));
                let linear = (f64::NAN, f64::NAN);
                Answer::TwoSample(complete(drawn.outcome(start, *d, resolved, linear, &common, (*bin, None))))
            }
            TileQuestion::Independence { n, d, resolved } => {
                if gram.k2.iter().all(|k2| k2[0] == 0.0) {
                    let message = "X or Y is the same in all rows, so nothing can depend on it; give a variable with at \
                        least two values or classes";
                    return Err(Kind::Samples(message.into()).into());
                }
                let drawn = WildDraws::new(&gram, &resolved[1].kernel, [1.0; 2], labels);
                Answer::Independence(complete(drawn.outcome(start, *n, *d, resolved, &common)))
            }
            TileQuestion::Fit { name, resolved } => {
                let drawn = KsdDraws::of_signs(&gram, labels).with_diagonal(&self.diagonal);
                let (resolved, distinct) = (resolved.clone(), Distinct::signs(counts[0]));
                Answer::Fit(complete(drawn.outcome(start, name, d / 2, resolved, &common, distinct)))
            }
        })
    }
}

/// With the warning of too few draws.
fn complete<T>(mut outcome: Outcome<T>) -> Outcome<T> {
    outcome.warnings.extend(outcome.p.cannot_reject());
    outcome
}

#[cfg(test)]
mod tests {
    use super::super::two_sample;
    use super::*;
    use crate::engine::Choice;
    use crate::kernel::pairs::Family;
    use crate::random::{Sequence, Stream};

    fn normal(n: usize, d: usize, mean: f64, seed: u64) -> Vec<f64> {
        let mut random = Sequence::new(seed, Stream::ProblemX, 0);
        (0..n * d).map(|_| mean + random.normal_f64()).collect()
    }

    /// The result of items of some samples in parts that end at some edges.
    fn of_parts(device: &Device, plan: TilePlan, edges: &[Vec<usize>], items: &[Vec<f64>]) -> Answer {
        let mut sums = TileSums::new(plan.clone());
        let places: Vec<(usize, Range<usize>)> = (0..edges.len())
            .flat_map(|which| edges[which].windows(2).map(move |edge| (which, edge[0]..edge[1])))
            .collect();
        let labels: Vec<Vec<u32>> =
            places.iter().map(|(which, range)| sums.labels(*which, range.clone())).collect();
        let parts: Vec<PlacedRows<'_>> = places
            .iter()
            .zip(&labels)
            .map(|((which, range), labels)| PlacedRows {
                which: *which,
                first: range.start,
                items: Sample::new(plan.d, &items[*which][range.start * plan.d..range.end * plan.d]),
                labels,
            })
            .collect();
        assert!(sums.outcome(Instant::now()).is_err(), "tiles are missing");
        for (i, &a) in parts.iter().enumerate() {
            for (j, &b) in parts.iter().enumerate().skip(i) {
                let b = (i != j).then_some(b);
                let tile = plan.tile(device, a, b, &mut |_| Ok(())).expect("a tile");
                let place = |part: PlacedRows<'_>| (part.which, part.first);
                sums.add(place(a), b.map(place), tile.clone()).expect("sums");
                assert!(sums.add(place(a), b.map(place), tile).is_err(), "it was added already");
            }
        }
        sums.outcome(Instant::now()).expect("all tiles")
    }

    /// Points of two samples in parts that end anywhere (for bins, at their edges), one of which is in f64 alone.
    #[test]
    fn tiles_add_up_to_the_test_of_all_points() {
        let (n, m, d) = (150, 113, 3);
        let (mut x, y) = (normal(n, d, 0.0, 1), normal(m, d, 0.4, 2));
        let device = Device::open(Choice::Cpu, None).expect("the CPU");
        let [gaussian, energy] = [Family::Gaussian, Family::Energy];
        for (family, null, far) in [
            (gaussian, Null::Exact, false),
            (gaussian, Null::Binned, false),
            (energy, Null::Exact, true),
            (energy, Null::Binned, true),
        ] {
            x[5] = if far { 3e9 } else { 0.5 };
            let common = Common { permutations: 49, null, seed: 3, ..Common::default() };
            let settings = TwoSampleSettings { family, bin: Some(5), common, ..Default::default() };
            let settings =
                TwoSampleSettings { bin: settings.bin.filter(|_| null == Null::Binned), ..settings };
            let samples = [Sample::new(d, &x), Sample::new(d, &y)];
            let one = two_sample(&device, samples, &settings, &mut |_| Ok(())).expect("a test");

            let order = RowOrder::new([n, m], &settings).expect("an order");
            let ordered = [0, 1].map(|which| samples[which].choice(&order.rows[which]));
            let counts = [0, 1].map(|which| order.rows[which].len());
            let pooled = ordered.concat();
            let plan = TilePlan::two_sample(&device, Sample::new(d, &pooled), counts, order.bin, &settings)
                .expect("a plan");
            let edges = [vec![0, 35, 100, counts[0]], vec![0, 70, counts[1]]];
            let Answer::TwoSample(many) = of_parts(&device, plan, &edges, &ordered) else {
                panic!("another test's result");
            };
            let tolerance = 3e-7 * one.found.mean_kernel.abs();
            assert!(
                (many.found.mmd2_unbiased - one.found.mmd2_unbiased).abs() < tolerance,
                "{family:?} {null:?}"
            );
            assert_eq!(many.draws.len(), one.draws.len());
            for (a, b) in many.draws.iter().zip(&one.draws) {
                assert!((a - b).abs() < tolerance, "{family:?} {null:?}: {a} {b}");
            }
            let (a, b) = (many.found.variance.expect("one"), one.found.variance.expect("one"));
            // A far point's distances nearly cancel in the variance.
            let tolerance = 1e-4 * b.abs() + 1e-10 * one.found.mean_kernel.powi(2);
            assert!((a - b).abs() < tolerance, "{family:?} {null:?}: variances {a} {b}");
            assert_eq!(many.p.exceedances, one.p.exceedances, "{family:?} {null:?}");
            assert_eq!(many.found.kernel.bandwidths, one.found.kernel.bandwidths);
            assert_eq!(many.found.confidence_interval.is_some(), one.found.confidence_interval.is_some());
        }
    }

    /// Draws of a test of parts, whose statistic is of some size, beside those of one machine.
    fn assert_same_draws<A, B>(many: &Outcome<A>, one: &Outcome<B>, case: &str) {
        let size = one.draws.iter().chain([&one.statistic]).fold(0.0f64, |most, v| most.max(v.abs()));
        assert!(
            (many.statistic - one.statistic).abs() < 1e-5 * size,
            "{case}: {} {}",
            many.statistic,
            one.statistic
        );
        assert_eq!(many.draws.len(), one.draws.len(), "{case}");
        for (a, b) in many.draws.iter().zip(&one.draws) {
            assert!((a - b).abs() < 1e-5 * size, "{case}: {a} {b}");
        }
        assert_eq!(many.p.exceedances, one.p.exceedances, "{case}");
    }

    /// Two variables of an odd number of rows, which depend on each other, and one of which has a far point.
    #[test]
    fn tiles_add_up_to_the_independence_test_of_all_rows() {
        let n = 301;
        let device = Device::open(Choice::Cpu, None).expect("the CPU");
        let mut x = normal(n, 2, 0.0, 5);
        let y: Vec<f64> =
            (0..n * 3).map(|i| 0.4 * x[i / 3 * 2].sin() + normal(1, 1, 0.0, i as u64)[0]).collect();
        let labels: Vec<f64> = (0..n).map(|i| (3.0 * x[i * 2]).round().clamp(0.0, 2.0)).collect();
        let [gaussian, energy, delta] = [Family::Gaussian, Family::Energy, Family::Delta];
        for (families, far) in [
            ([gaussian, gaussian], 0.5),
            ([gaussian, delta], 0.5),
            ([energy, energy], 0.5),
            ([energy, energy], 3e9),
        ] {
            x[5] = far;
            let (values_of_y, dy) = if families[1] == delta { (&labels, 1) } else { (&y, 3) };
            let samples = [Sample::new(2, &x), Sample::new(dy, values_of_y)];
            let common = Common { permutations: 99, null: Null::Wild, seed: 3, ..Common::default() };
            let settings = IndependenceSettings { families, common, ..Default::default() };
            let one = super::super::independence::independence(&device, samples, &settings, &mut |_| Ok(()))
                .expect("a test");
            let order = super::super::independence::order_of_items(n, 3);
            let half = n / 2;
            let items: Vec<f64> = (0..half)
                .flat_map(|i| {
                    let rows = [order[i], order[half + i]];
                    samples.iter().flat_map(move |sample| rows.map(|row| sample.point(row).to_vec()))
                })
                .flatten()
                .collect();
            let plan = TilePlan::independence(&device, samples, n, &settings).expect("a plan");
            let Answer::Independence(many) = of_parts(&device, plan, &[vec![0, 35, 100, half]], &[items])
            else {
                panic!("another test's result");
            };
            assert_same_draws(&many, &one, &format!("{families:?} {far}"));
            assert_eq!((many.found.n, many.found.x.d, many.found.y.d), (n, 2, dy));
            assert_eq!(many.found.x.kernel.bandwidths, one.found.x.kernel.bandwidths);
        }
    }

    #[test]
    fn tiles_add_up_to_the_test_of_fit_of_all_points() {
        let (n, d) = (250, 3);
        let device = Device::open(Choice::Cpu, None).expect("the CPU");
        let model: crate::density::Distribution =
            r#"{"family": "gaussian", "mean": [0, 0, 0], "covariance": [1, 1, 1]}"#.parse().expect("a model");
        let model = model.into_density();
        let mut x = normal(n, d, 0.1, 6);
        for (family, far) in [(Family::Gaussian, 0.5), (Family::Imq, 0.5), (Family::Imq, 3e9)] {
            x[5] = far;
            let sample = Sample::new(d, &x);
            let common = Common { permutations: 99, null: Null::Wild, seed: 3, ..Common::default() };
            let settings = FitSettings { family, common, ..FitSettings::default() };
            let candidate = super::super::fit::Candidate { name: "it", density: &*model, refit: None };
            let one = super::super::fit::fit(&device, sample, candidate, &settings, &mut |_| Ok(()))
                .expect("a test");
            let scored = crate::density::Scored::new(&*model, sample).expect("scores");
            let items: Vec<f64> = scored
                .points
                .chunks_exact(d)
                .zip(scored.scores.chunks_exact(d))
                .flat_map(|(x, s)| [x, s].concat())
                .collect();
            let plan =
                TilePlan::fit(&device, Sample::new(d, &scored.points), n, "it", &settings).expect("a plan");
            let Answer::Fit(many) = of_parts(&device, plan, &[vec![0, 70, 71, n]], &[items]) else {
                panic!("another test's result");
            };
            assert_same_draws(&many, &one, &format!("{family:?} {far}"));
            assert_eq!(many.pairs, one.pairs, "{family:?} {far}");
            let [a, b] = [&many, &one].map(|test| test.found.ksd2_biased.expect("an estimate"));
            assert!((a - b).abs() < 1e-6 * b.abs(), "{a} {b}");
        }
    }
}
