//! The two-sample test of points that are in many places: a plan, sums over tiles of pairs, and what these add up to.
//!
//! ```text
//! rows      of each sample, in the order in which parts take them; part = some of them, one after another
//! tile      all pairs of a point of one part and a point of another, or all pairs of points of one part
//!           -> sums of k and k^2 of each of its points, and forms of its labels or sums over its bins
//! result    from the sums of all tiles, those of each two parts once: the test of all points
//! ```
//!
//! Results are those of [`two_sample`](super::two_sample()) but for the rounding of sums, as each tile is centred on its
//! own points. Linear-time estimates are not among them: they need points of both samples side by side.

use super::bandwidth::Resolved;
use super::gram::{Gram, Labels, Request};
use super::null;
use super::test::{Common, Null, Outcome};
use super::two_sample::{Bins, Draws, TwoSample, TwoSampleSettings};
use super::{KernelFunction, Sample};
use crate::engine::Device;
use crate::error::{Error, Kind, Result};
use crate::kernel::pair_forms::BITS;
use crate::kernel::pairs::Form;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ops::Range;
use std::time::Instant;

/// Which rows a test takes, in which order.
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

/// What follows from the settings and a few points.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TilePlan {
    /// The kernel, and where its bandwidths come from.
    pub resolved: Resolved,
    /// Rows of X and of Y, of those that the [order](RowOrder) names.
    pub counts: [usize; 2],
    /// Coordinates.
    pub d: usize,
    /// Points of a bin, for the binned null.
    pub bin: Option<usize>,
    /// Draws under the null.
    pub permutations: usize,
    /// Level.
    pub alpha: f64,
    /// Seed of the draws.
    pub seed: u64,
}

/// Some rows of a sample.
#[derive(Clone, Copy, Debug)]
pub struct PlacedRows<'a> {
    /// 0 for X, 1 for Y.
    pub which: usize,
    /// The number of its first row, counted in the sample's [order](RowOrder).
    pub first: usize,
    /// Its points.
    pub points: Sample<'a>,
    /// Their [labels](TileSums::labels); empty for the binned null.
    pub labels: &'a [u32],
}

impl TilePlan {
    /// From the points that [`rows_of_rules`](super::bandwidth::rows_of_rules) names among the rows of an order, X's before
    /// Y's.
    ///
    /// # Errors
    /// If the settings are not possible, or the device fails.
    pub fn new(
        device: &Device,
        points: Sample<'_>,
        counts: [usize; 2],
        bin: Option<usize>,
        settings: &TwoSampleSettings,
    ) -> Result<Self> {
        let TwoSampleSettings { family, sum, ref bandwidth, common, .. } = *settings;
        let total = counts.iter().sum();
        let resolved = bandwidth.resolve_of_rows(device, points, total, family, !sum, common.seed)?;
        let Common { permutations, alpha, seed, .. } = common;
        Ok(Self { resolved, counts, d: points.d, bin, permutations, alpha, seed })
    }

    /// The draws, with what was observed.
    pub fn draws(&self) -> usize {
        self.permutations + 1
    }

    fn kernel(&self) -> &KernelFunction {
        &self.resolved.kernel
    }

    /// The sums of a tile: of the pairs of points of two parts, or of one part if there is no second.
    ///
    /// # Errors
    /// If parts are not of this plan, or the device fails.
    pub fn tile(
        &self,
        device: &Device,
        rows: PlacedRows<'_>,
        columns: Option<PlacedRows<'_>>,
        progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Gram> {
        for part in [Some(rows), columns].into_iter().flatten() {
            let words = if self.bin.is_some() { 0 } else { part.points.len().div_ceil(BITS) * self.draws() };
            if part.points.d != self.d || part.labels.len() != words {
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
        let points = [rows.points, columns.map_or(rows.points.first(0), |part| part.points)];
        Gram::new(device, points, self.kernel(), &request, columns.is_some(), progress)
    }
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
    /// Where the tiles begin.
    added: HashSet<(PartPlace, Option<PartPlace>)>,
}

/// A sample, 0 for X and 1 for Y, and the number of a row in its [order](RowOrder).
pub type PartPlace = (usize, usize);

impl TileSums {
    /// Nothing yet. This makes the labels of all draws, (n + m) / 8 bytes each.
    pub fn new(plan: TilePlan) -> Self {
        let labels = plan.bin.is_none().then(|| null::permutations(plan.counts, plan.seed, 0, plan.draws()));
        Self { plan, labels, gram: None, rounding: 0.0, added: HashSet::new() }
    }

    /// The labels of some rows of a sample: `(words, draws)`, see [`Labels`]; empty for the binned null.
    ///
    /// # Panics
    /// If the sample has no such rows.
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
    pub fn add(&mut self, rows: PartPlace, columns: Option<PartPlace>, tile: Gram) -> Result<()> {
        let TilePlan { counts, bin, permutations, .. } = self.plan;
        let places = [Some(rows), columns].into_iter().flatten();
        let outside = places.zip(tile.counts).any(|((which, first), count)| first + count > counts[which]);
        let cut = bin.is_some_and(|bin| {
            let firsts = [Some(rows), columns].into_iter().flatten().map(|(_, first)| first);
            firsts.chain(tile.counts).any(|number| number % bin != 0)
        });
        if cut || outside || (bin.is_none() && tile.forms.len() != permutations + 1) {
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
        // Of each part: where it is, and its points in the tile, whose partners are of the other part.
        let own = columns.is_none();
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
    /// If pairs are missing.
    pub fn outcome(&self, start: Instant) -> Result<Outcome<TwoSample>> {
        let TilePlan { resolved, counts, d, bin, permutations, alpha, seed } = &self.plan;
        let all = (counts[0] + counts[1]) as f64;
        let gram = self.gram.clone().filter(|gram| gram.evaluations == all * (all - 1.0) / 2.0);
        let gram = gram.ok_or_else(|| Error::usage("some tiles of this test are missing, or overlap"))?;
        let null = if bin.is_some() { Null::Binned } else { Null::Exact };
        let common = Common { permutations: *permutations, null, budget: None, alpha: *alpha, seed: *seed };
        let kernel = &resolved.kernel;
        let drawn = match (&self.labels, bin) {
            (Some(labels), _) => Draws::of_labels(gram, kernel, labels),
            (None, bin) => Draws::of_bins(gram, kernel, (bin.unwrap_or(1), None), &common),
        };
        let drawn = drawn.with_tie(self.rounding / (all * (all - 1.0)));
        Ok(drawn.outcome(start, *d, resolved, (f64::NAN, f64::NAN), &common, (*bin, None)))
    }
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
            let plan = TilePlan::new(&device, Sample::new(d, &pooled), counts, order.bin, &settings)
                .expect("a plan");
            let mut sums = TileSums::new(plan.clone());
            let edges = [vec![0, 35, 100, counts[0]], vec![0, 70, counts[1]]];
            let places: Vec<(usize, Range<usize>)> = [0, 1]
                .into_iter()
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
                    points: Sample::new(d, &ordered[*which][range.start * d..range.end * d]),
                    labels,
                })
                .collect();
            assert!(sums.outcome(Instant::now()).is_err(), "tiles are missing");
            for (i, &a) in parts.iter().enumerate() {
                for (j, &b) in parts.iter().enumerate().skip(i) {
                    let b = (i != j).then_some(b);
                    let tile = plan.tile(&device, a, b, &mut |_| Ok(())).expect("a tile");
                    let place = |part: PlacedRows<'_>| (part.which, part.first);
                    sums.add(place(a), b.map(place), tile.clone()).expect("sums");
                    assert!(sums.add(place(a), b.map(place), tile).is_err(), "it was added already");
                }
            }
            let many = sums.outcome(Instant::now()).expect("all tiles");
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
}
