//! Bandwidths by rule: from the distances between all points of both samples.

use super::gram::{Gram, Request};
use super::points::{LARGEST, Points};
use super::resolution::{close_distance, median_above_0, medians, resolves_most};
use super::{KernelFunction, Sample};
use crate::engine::{Device, Engine};
use crate::error::{Error, Kind, Result};
use crate::kernel::pair_histogram::{BINS, DIGITS, PairHistogram};
use crate::kernel::pairs::{Family, Function, Layout, MOST_POINTS, Pairs, norm};
use crate::program::{BufferId, Plan, ProgramId, Step};
use crate::random::{Sequence, Stream};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Most points that a rule looks at; of more, a seeded subsample of this size.
pub const MOST: usize = 4096;

/// Least bandwidth of a coordinate by [`Rule::MedianPerFeature`], in units of the coordinate's own spread. (MMDAgg's floor
/// is this number itself, whatever the units.)
const LEAST_PER_FEATURE: f64 = 1e-4;

/// Multiples of a rule that a result names one by one.
const FACTORS_SAID: usize = 3;

/// How a bandwidth follows from distances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// The median distance over all pairs of different points of both samples (Gretton et al., JMLR 2012, section
    /// 8); L1 distances for the laplace kernel.
    #[default]
    Median,
    /// The mean of these distances.
    Mean,
    /// A bandwidth for each coordinate, the median |difference| in it: exp(-sum (`d_i` / `b_i`)^2), and for the
    /// laplace kernel exp(-sum |`d_i`| / `b_i`) (Schrab et al., "MMD aggregated two-sample test", JMLR 2023). It narrows
    /// with each coordinate, and is no default: of 2,000 tests of two times 100 normal points, means .8 apart, it rejects
    /// .98, .17, 0 in 2, 10, 50 dimensions, and the median of distances 1.00, .98, .83.
    MedianPerFeature,
}

impl Rule {
    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::Mean => "mean",
            Self::MedianPerFeature => "median-per-feature",
        }
    }
}

/// The bandwidths that are asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Bandwidth {
    /// These.
    Values(Vec<f64>),
    /// Multiples of what a rule gives.
    Rule(Rule, Vec<f64>),
}

impl Default for Bandwidth {
    fn default() -> Self {
        Self::Rule(Rule::Median, vec![1.0])
    }
}

/// `1.5`, `0.5,1,2`, `median`, `mean`, `median-per-feature`, `0.5*median,median,2*median`.
impl FromStr for Bandwidth {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let help = || {
            format!(
                "`{text}` is no bandwidth; give positive numbers such as 0.5,1,2, or a rule: median, mean, \
                 median-per-feature, or multiples of one rule such as 0.5*median,2*median"
            )
        };
        let positive = |s: &str| s.trim().parse::<f64>().ok().filter(|v| v.is_finite() && *v > 0.0);
        let mut rules = Vec::new();
        let mut numbers = Vec::new();
        for part in text.split(',') {
            let (factor, name) = part.split_once('*').unwrap_or(("1", part));
            let named = [Rule::Median, Rule::Mean, Rule::MedianPerFeature];
            match named.into_iter().find(|rule| rule.name() == name.trim()) {
                Some(rule) => {
                    rules.push(rule);
                    numbers.push(positive(factor).ok_or_else(help)?);
                }
                None => numbers.push(positive(part).ok_or_else(help)?),
            }
        }
        match rules[..] {
            [] => Ok(Self::Values(numbers)),
            [rule, ..] if rules.len() == numbers.len() && rules.iter().all(|r| *r == rule) => {
                Ok(Self::Rule(rule, numbers))
            }
            _ => Err(help()),
        }
    }
}

/// As it is read.
impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = match self {
            Self::Values(values) => values.iter().map(f64::to_string).collect(),
            Self::Rule(rule, factors) => {
                let name = rule.name();
                let part =
                    |factor: &f64| if *factor == 1.0 { name.into() } else { format!("{factor}*{name}") };
                factors.iter().map(part).collect()
            }
        };
        f.write_str(&parts.join(","))
    }
}

/// A kernel with the bandwidths that were asked for, and where they come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resolved {
    /// The kernel.
    pub kernel: KernelFunction,
    /// The rule in words, with what a reader must know about it.
    pub rule: String,
    /// Warnings for the user.
    pub warnings: Vec<String>,
}

impl Bandwidth {
    /// Applies the rule to two samples, `y` perhaps empty.
    ///
    /// # Errors
    /// If the device fails.
    pub fn resolve(
        &self,
        device: &Device,
        [x, y]: [Sample<'_>; 2],
        family: Family,
        mean: bool,
        seed: u64,
    ) -> Result<Resolved> {
        let kernel =
            |bandwidths: Vec<f64>, coordinates| KernelFunction { family, bandwidths, coordinates, mean };
        let resolved = |kernel, rule: &str| Resolved { kernel, rule: rule.into(), warnings: Vec::new() };
        let (rule, factors) = match self {
            Self::Values(_) if family.without_bandwidth() => {
                return Err(Error::usage("this kernel has no bandwidth; leave out --bandwidth"));
            }
            _ if family.without_bandwidth() => return Ok(resolved(kernel(vec![1.0], None), "none")),
            Self::Values(values) => return Ok(resolved(kernel(values.clone(), None), "given")),
            Self::Rule(rule, factors) => (*rule, factors),
        };
        let total = x.len() + y.len();
        let pooled = pool([x, y], seed);
        let points = Sample::new(x.d, &pooled);
        if points.len() < 2 {
            return Err(
                Kind::Samples("a bandwidth rule needs two points; give --bandwidth a number".into()).into()
            );
        }
        // A list as it was given; the long ones that tests choose from are named by their rule.
        let mut said = if factors.len() <= FACTORS_SAID { self.to_string() } else { rule.name().into() };
        if points.len() < total {
            said = format!("{said} of {} of {total} points", points.len());
        }
        let scaled = |value: f64| factors.iter().map(|factor| factor * value).collect::<Vec<_>>();
        if rule == Rule::MedianPerFeature {
            let coordinates = medians_per_feature(points);
            // exp(-u^2) is a gaussian of sigma^2 = 1/2 in the divided coordinates.
            let unit = if family == Family::Gaussian { 0.5f64.sqrt() } else { 1.0 };
            let warnings = constant_columns(&coordinates).into_iter().collect();
            return Ok(Resolved { kernel: kernel(scaled(unit), Some(coordinates)), rule: said, warnings });
        }
        let mut value = match rule {
            Rule::Mean => mean_distance(device, points, family)?,
            _ => median_distance(device, points, family)?,
        };
        let mut warnings = Vec::new();
        if value == 0.0 {
            value = mean_distance(device, points, family)?;
            said = format!("mean of {} points, as their median distance is 0", points.len());
            warnings.push("more than half of all distances are 0: many points coincide".to_owned());
        }
        if value == 0.0 {
            value = 1.0;
            said = "1, as all distances are 0".into();
            warnings.push("all points coincide: there is nothing to compare".to_owned());
        }
        Ok(Resolved { kernel: kernel(scaled(value), None), rule: said, warnings })
    }

    /// The same from those of `total` points alone that [`rows_of_rules`] names, in its order.
    ///
    /// # Errors
    /// If they are not as many, or the device fails.
    pub(super) fn resolve_of_rows(
        &self,
        device: &Device,
        points: Sample<'_>,
        total: usize,
        family: Family,
        mean: bool,
        seed: u64,
    ) -> Result<Resolved> {
        let wanted = total.min(MOST);
        if points.len() != wanted {
            let message = format!("{} points were given, but a plan is made of {wanted}", points.len());
            return Err(Kind::Samples(message).into());
        }
        let mut resolved = self.resolve(device, [points, points.first(0)], family, mean, seed)?;
        if wanted < total && matches!(self, Self::Rule(..)) && !family.without_bandwidth() {
            resolved.rule += &format!(" of {wanted} of {total} points");
        }
        Ok(resolved)
    }
}

/// The points that a rule looks at, of `total` of both samples, those of X first: all of them, or a seeded subsample of
/// [`MOST`].
pub fn rows_of_rules(total: usize, seed: u64) -> Vec<u32> {
    if total > MOST {
        Sequence::new(seed, Stream::Subsample, 0).choice(MOST, total)
    } else {
        (0..total as u32).collect()
    }
}

/// All points of both samples, or a seeded subsample of [`MOST`] of them.
fn pool([x, y]: [Sample<'_>; 2], seed: u64) -> Vec<f64> {
    let point = |i: usize| if i < x.len() { x.point(i) } else { y.point(i - x.len()) };
    rows_of_rules(x.len() + y.len(), seed)
        .into_iter()
        .flat_map(|i| point(i as usize).iter().copied())
        .collect()
}

/// The median distance over all pairs of different points, by radix selection on an engine: three counts of one
/// digit each find a distance of given rank, and nothing is stored or sorted. Of an even number of pairs, the
/// mean of the two middle ones.
pub fn median_distance(device: &Device, points: Sample<'_>, family: Family) -> Result<f64> {
    let n = points.len();
    let mut selection = Selection::new(device, points, family)?;
    let pairs = (n * (n - 1) / 2) as u64;
    let [low, high] = [selection.select((pairs - 1) / 2)?, selection.select(pairs / 2)?];
    Ok(0.5 * low + 0.5 * high)
}

/// Quantiles, 0 to 1, of the distances over all pairs of different points of both samples, or of a seeded subsample
/// if there are many.
pub fn distance_quantiles<const N: usize>(
    device: &Device,
    samples: [Sample<'_>; 2],
    family: Family,
    seed: u64,
    quantiles: [f64; N],
) -> Result<[f64; N]> {
    let pooled = pool(samples, seed);
    let points = Sample::new(samples[0].d, &pooled);
    let mut selection = Selection::new(device, points, family)?;
    let last = (points.len() * (points.len() - 1) / 2 - 1) as f64;
    let mut distances = [0.0; N];
    for (distance, quantile) in distances.iter_mut().zip(quantiles) {
        *distance = selection.select((quantile * last).round() as u64)?;
    }
    Ok(distances)
}

/// Finds distances by rank.
enum Selection {
    /// By counts on an engine, in f32.
    Counted(Counted),
    /// Among all of them, in f64: where some points are so far from others that f32 is too coarse.
    Listed(Vec<f64>),
}

impl Selection {
    fn new(device: &Device, points: Sample<'_>, family: Family) -> Result<Self> {
        Ok(match Placed::new(points, family) {
            Some(placed) => Self::Counted(Counted::new(device, points, family, &placed)?),
            None => {
                let n = points.len();
                let row = |i: usize| (0..i).map(move |j| (points.point(i), points.point(j)));
                let distance = |(x, z): (&[f64], &[f64])| family.length(x.iter().zip(z).map(|(x, z)| x - z));
                Self::Listed((0..n).into_par_iter().flat_map_iter(row).map(distance).collect())
            }
        })
    }

    /// The distance of this rank, 0 the smallest.
    fn select(&mut self, rank: u64) -> Result<f64> {
        match self {
            Self::Counted(counted) => counted.select(rank),
            Self::Listed(distances) => Ok(*distances.select_nth_unstable_by(rank as usize, f64::total_cmp).1),
        }
    }
}

/// Points in f32 around their centre, in a unit in which most distances are near 1.
struct Placed {
    values: Vec<f32>,
    unit: f64,
}

impl Placed {
    /// None if f32 is too coarse: [`resolves_most`].
    fn new(points: Sample<'_>, family: Family) -> Option<Self> {
        let close = close_distance(points.len(), |i, j| {
            family.length(points.point(i).iter().zip(points.point(j)).map(|(x, z)| x - z))
        });
        let (n, mut mean) = (points.len() as f64, vec![0.0; points.d]);
        for point in points.values.chunks_exact(points.d) {
            mean.iter_mut().zip(point).for_each(|(mean, v)| *mean += v / n);
        }
        Self::around(points, &mean, close)
            .or_else(|| Self::around(points, &medians(points.values, points.d), close))
    }

    fn around(points: Sample<'_>, centre: &[f64], close: f64) -> Option<Self> {
        let centred =
            |point: &'_ [f64]| point.iter().zip(centre).map(|(v, centre)| v - centre).collect::<Vec<_>>();
        let norms: Vec<f64> =
            points.values.chunks_exact(points.d).map(|point| norm(centred(point).iter().copied())).collect();
        let unit = median_above_0(norms.clone());
        let largest = norms.iter().copied().fold(0.0, f64::max);
        if largest == 0.0 {
            return Some(Self { values: vec![0.0; points.values.len()], unit: 1.0 });
        }
        let fits = largest <= LARGEST * unit && resolves_most(&norms, close);
        let values = || points.values.chunks_exact(points.d).flat_map(centred).map(|v| (v / unit) as f32);
        fits.then(|| Self { values: values().collect(), unit })
    }
}

/// Distances counted by their digits on an engine.
struct Counted {
    engine: Box<dyn Engine>,
    programs: Vec<ProgramId>,
    prefix: BufferId,
    counts: BufferId,
    steps: Vec<Step>,
    /// Counts that are known already, by digit and prefix.
    known: HashMap<(usize, u32), Vec<u64>>,
    family: Family,
    unit: f64,
}

impl Counted {
    fn new(device: &Device, points: Sample<'_>, family: Family, placed: &Placed) -> Result<Self> {
        let layout = Layout::new([points.len(), 0]);
        let mut pairs = Pairs { layout, function: Function::kernel(family, 1, points.d) };
        pairs.layout.block = pairs.fitting_block(MOST_POINTS, 0, 1);
        let blocks = pairs.layout.blocks();
        pairs.layout.slice = blocks;
        let mut plan = Plan::default();
        let rows = plan.buffer("rows", pairs.slice_len());
        let prefix = plan.buffer("prefix", 1);
        let counts = plan.buffer("counts", blocks * BINS);
        let mut programs = Vec::new();
        for (shift, width) in DIGITS {
            let program = plan.program("digit");
            let kernel = PairHistogram { pairs, shift, width };
            let buffers = [("rows", rows), ("columns", rows), ("prefix", prefix), ("counts", counts)];
            plan.call(program, kernel, &buffers)?;
            programs.push(program);
        }
        let mut engine = device.load(Arc::new(plan))?;
        let of_points = Points::plain(points, &placed.values).blocks(&pairs, 0..pairs.layout.blocks());
        engine.write(rows, bytemuck::cast_slice(&of_points))?;
        let steps = (0..blocks as u32).map(|first| Step { first, ..Step::default() }).collect();
        let (known, unit) = (HashMap::new(), placed.unit);
        Ok(Self { engine, programs, prefix, counts, steps, known, family, unit })
    }

    /// The distance of this rank, 0 the smallest.
    fn select(&mut self, rank: u64) -> Result<f64> {
        let (mut rank, mut prefix) = (rank, 0u32);
        for (digit, (_, width)) in DIGITS.iter().enumerate() {
            if !self.known.contains_key(&(digit, prefix)) {
                let counts = self.count(digit, prefix)?;
                self.known.insert((digit, prefix), counts);
            }
            let counts = &self.known[&(digit, prefix)];
            let mut value = 0;
            while value + 1 < counts.len() && rank >= counts[value] {
                rank -= counts[value];
                value += 1;
            }
            prefix = prefix << width | value as u32;
        }
        let distance = f64::from(f32::from_bits(prefix));
        // What is added up is a square unless the family wants magnitudes.
        let distance = if self.family.adds_magnitudes() { distance } else { distance.sqrt() };
        Ok(distance * self.unit)
    }

    fn count(&mut self, digit: usize, prefix: u32) -> Result<Vec<u64>> {
        self.engine.write(self.prefix, bytemuck::bytes_of(&prefix))?;
        let mut totals = vec![0; BINS];
        for (first, step) in self.steps.iter().enumerate() {
            let counts = self.engine.run(self.programs[digit], &[*step], &[self.counts])?.remove(0);
            // Column blocks before the row block were not counted.
            for counts in counts.chunks_exact(BINS).skip(first) {
                totals.iter_mut().zip(counts).for_each(|(total, count)| *total += *count as u64);
            }
        }
        Ok(totals)
    }
}

/// The mean distance over all pairs of different points.
fn mean_distance(device: &Device, points: Sample<'_>, family: Family) -> Result<f64> {
    let n = points.len();
    let pairs = (n * (n - 1)) as f64 / 2.0;
    if family == Family::Laplace {
        // Sorted, the i-th value of a coordinate is the larger one of i pairs and the smaller one of the rest.
        let column = |f: usize| {
            let mut values: Vec<f64> = (0..n).map(|i| points.point(i)[f]).collect();
            values.sort_by(f64::total_cmp);
            let weigh = |(i, v): (usize, &f64)| (2.0 * i as f64 + 1.0 - n as f64) / pairs * v;
            values.iter().enumerate().map(weigh).sum::<f64>()
        };
        return Ok((0..points.d).map(column).sum());
    }
    let none = Sample { values: &[], ..points };
    let kernel = KernelFunction::new(Family::Energy, 1.0);
    let gram = Gram::new(device, [points, none], &kernel, &Request::None, false, &mut |_| Ok(()))?;
    Ok(-gram.k.iter().map(|k| k[0]).sum::<f64>() / 2.0 / pairs * gram.unit)
}

/// The median |difference| of each coordinate, at least [`LEAST_PER_FEATURE`] of its interquartile range, or of its range
/// where that is 0. Of a constant coordinate it is infinite, which leaves it out.
fn medians_per_feature(points: Sample<'_>) -> Vec<f64> {
    let column = |f: usize| {
        let mut values: Vec<f64> = (0..points.len()).map(|i| points.point(i)[f]).collect();
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        let range = |share: f64| {
            values[last - (share * last as f64) as usize] - values[(share * last as f64) as usize]
        };
        match [range(0.25), range(0.0)].into_iter().find(|range| *range > 0.0) {
            Some(scale) => median_difference(&values).max(LEAST_PER_FEATURE * scale),
            None => f64::INFINITY,
        }
    };
    (0..points.d).into_par_iter().map(column).collect()
}

/// A warning if there are constant columns.
fn constant_columns(divisors: &[f64]) -> Option<String> {
    let constant: Vec<String> =
        (0..divisors.len()).filter(|&k| divisors[k].is_infinite()).map(|k| k.to_string()).collect();
    (!constant.is_empty()).then(|| {
        format!(
            "{} of {} columns are constant and left out (numbers counted from 0: {})",
            constant.len(),
            divisors.len(),
            if constant.len() > 10 {
                format!("{}, ..", constant[..10].join(", "))
            } else {
                constant.join(", ")
            }
        )
    })
}

/// The median of all differences of sorted values, by bisection on the bits of the answer: how many differences
/// are at most t takes one walk along the values.
fn median_difference(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    let pairs = n * (n - 1) / 2;
    let at_most = |t: f64| {
        let mut first = 0;
        let count = |last: usize| {
            while sorted[last] - sorted[first] > t {
                first += 1;
            }
            last - first
        };
        (0..n).map(count).sum::<usize>()
    };
    let select = |rank: usize| {
        let (mut low, mut high) = (0u64, (sorted[n - 1] - sorted[0]).to_bits());
        while low < high {
            let middle = low + (high - low) / 2;
            if at_most(f64::from_bits(middle)) > rank { high = middle } else { low = middle + 1 }
        }
        f64::from_bits(low)
    };
    0.5 * (select((pairs - 1) / 2) + select(pairs / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for text in ["1.5", "0.1,1,2", "median", "0.5*mean,mean,2*mean", "3*median-per-feature"] {
            let bandwidth: Bandwidth = text.parse().unwrap();
            assert_eq!(bandwidth.to_string(), text);
        }
    }
}
