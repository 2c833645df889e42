//! Two samples as the kernels over pairs want them: centred, in units of the bandwidth, in f32, in blocks.

use super::resolution::{
    MANY, MOST_ERROR, MOST_ERROR_OF_MANY, close_distance, close_gaps, error_of_kernel, median_above_0,
    medians, resolves_distances,
};
use super::{KernelFunction, Sample};
use crate::error::{Error, Kind, Result};
use crate::kernel::pairs::{Family, Form, Layout, Pairs, UNLIMITED, Value, norm};
use rayon::prelude::*;
use std::ops::Range;

/// The expanded form of distances is used from this many coordinates on: below, differences are as fast.
pub(crate) const LEAST_COORDINATES: usize = 8;

/// And as long as no point is further from the centre than this, in squared bandwidths: the form loses as many
/// digits as this has.
const FARTHEST: f64 = 64.0;

/// Largest magnitude of a coordinate of 32-bit items: squares of larger ones leave their range. A bounded kernel of such
/// points is 0 to all of its digits, and further points may as well lie here.
pub(super) const LARGEST: f64 = 1e16;

/// Largest magnitude of a coordinate in f64: sums of squares of squares of larger ones leave the range.
const LARGEST_PRECISE: f64 = 1e70;

/// A gap that exponential kernels see nothing across, in bandwidths: e^(-8^2 / 2) and e^-32 are 1.3e-14.
const GAP_GAUSSIAN: f64 = 8.0;
const GAP_LAPLACE: f64 = 32.0;

/// The points of X and then Y, or items of two points each, as engines take them: less a common centre, divided by the
/// kernel's coordinate bandwidths and by a unit, in f32.
///
/// Subtracting the centre in f64 before rounding to f32 keeps all digits of samples far from the origin, and the unit, the
/// smallest bandwidth, keeps squares in the range of f32 whatever the data's units are. Where f32 is too coarse all the
/// same, the items are in f64 as well, and a pass uses those.
#[derive(Clone, Debug)]
pub struct Points {
    /// Points of X and of Y.
    pub counts: [usize; 2],
    /// Coordinates.
    pub d: usize,
    /// `(n + m, d)`.
    pub values: Vec<f32>,
    /// The function of two of them.
    pub value: Value,
    /// The other numbers of each item, if it has some: `(n, stride - d)`.
    pub others: Vec<f32>,
    /// The second variable, if there is one.
    pub second: Option<Variable>,
    /// How far apart two items may be in their order to be a pair.
    pub reach: usize,
    /// What coordinates were divided by beside the kernel's divisors.
    pub unit: f64,
    /// The items in f64, if f32 is too coarse for them.
    pub(super) precise: Option<Precise>,
}

/// Items in f64: as in the data, not centred, divided by a power of two alone, so that no digit is lost.
#[derive(Clone, Debug)]
pub(super) struct Precise {
    /// Whole items: `(items, stride)`.
    pub(super) items: Vec<f64>,
    /// The kernel's divisors of the coordinates of a point: `(d)`.
    pub(super) divisors: Vec<f64>,
}

/// A variable beside the first.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Coordinates.
    pub d: usize,
    /// Its kernel.
    pub kernel: KernelFunction,
    /// What its coordinates were divided by.
    pub unit: f64,
    /// Divisors of its coordinates, for items in f64.
    pub(super) divisors: Vec<f64>,
}

impl Points {
    /// Centres two samples, `y` perhaps empty, for passes with some kernels of one family with the same divisors.
    ///
    /// # Errors
    /// If a value is too far from the others.
    pub fn new(x: Sample<'_>, y: Sample<'_>, kernels: &[&KernelFunction]) -> Result<Self> {
        Placing::new([x, y], kernels)?.points(Value::Kernel)
    }

    /// Two variables of the same observations: where one needs f64, so does the other, or its rounding would be all that is
    /// seen beside the far points of the first.
    ///
    /// # Errors
    /// If a value is too far from the others.
    pub(super) fn both(samples: [Sample<'_>; 2], kernels: [&KernelFunction; 2]) -> Result<[Self; 2]> {
        let of = |which: usize, precise: bool| {
            let (sample, kernels) = (samples[which], [kernels[which]]);
            let placing = Placing::new([sample, sample.first(0)], &kernels)?;
            Placing { precise, ..placing }.points(Value::Kernel)
        };
        let points = [of(0, false)?, of(1, false)?];
        if points.iter().any(|points| points.precise.is_some()) {
            return Ok([of(0, true)?, of(1, true)?]);
        }
        Ok(points)
    }

    /// One sample that is placed already.
    pub(super) fn plain(x: Sample<'_>, values: &[f32]) -> Self {
        Self {
            counts: [x.len(), 0],
            d: x.d,
            values: values.to_vec(),
            value: Value::Kernel,
            others: Vec::new(),
            second: None,
            reach: UNLIMITED,
            unit: 1.0,
            precise: None,
        }
    }

    /// Points with their scores, `(n, d)`: grad ln p of a model at each.
    ///
    /// # Errors
    /// If a value is too far from the others, or a score is no number.
    pub fn stein(x: Sample<'_>, scores: &[f64], kernels: &[&KernelFunction]) -> Result<Self> {
        if let Some(i) = scores.iter().position(|s| !s.is_finite()) {
            let message = format!(
                "the model's score at row {} (counted from 0) is {}: the model thinks that the point is next to \
                 impossible; leave the row out, or give a model that it may come from",
                i / x.d,
                scores[i]
            );
            return Err(Kind::Samples(message).into());
        }
        let points = Placing::new([x, x.first(0)], kernels)?.points(Value::Stein)?;
        let (unit, d) = (points.unit, x.d);
        let in_units: Vec<f64> = scores.iter().map(|s| s * unit).collect();
        let large = in_units.iter().any(|s| s.abs() > LARGEST);
        let precise = match points.precise {
            // The unit is not a power of two here, but far scores are those of far points.
            None if large => {
                let items = x.values.iter().map(|v| v / unit).collect();
                Some(Precise { items, divisors: vec![1.0; d] })
            }
            precise => precise,
        };
        let precise = precise.map(|Precise { items, divisors }| {
            let both = items.chunks_exact(d).zip(in_units.chunks_exact(d));
            Precise { items: both.flat_map(|(x, s)| [x, s].concat()).collect(), divisors }
        });
        let others = in_units.iter().map(|&s| s as f32).collect();
        Ok(Self { others, precise, ..points })
    }

    /// Items (`x_i`, `y_i`) of two samples of one size.
    ///
    /// # Errors
    /// If a value is too far from the others.
    pub fn paired(x: Sample<'_>, y: Sample<'_>, kernels: &[&KernelFunction]) -> Result<Self> {
        Self::pairs_of(x, y, kernels, false)
    }

    fn pairs_of(x: Sample<'_>, y: Sample<'_>, kernels: &[&KernelFunction], precise: bool) -> Result<Self> {
        let placing = Placing { precise, ..Placing::new([x, y], kernels)? };
        let mut points = placing.points(Value::Paired)?;
        let others = points.values.split_off(x.values.len());
        let precise = points.precise.map(|Precise { items, divisors }| {
            let (x, y) = items.split_at(items.len() / 2);
            let pairs = x.chunks_exact(divisors.len()).zip(y.chunks_exact(divisors.len()));
            Precise { items: pairs.flat_map(|(x, y)| [x, y].concat()).collect(), divisors }
        });
        Ok(Self { counts: [x.len(), 0], others, precise, ..points })
    }

    /// Items of two variables of n observations: i with i + n / 2, which are independent of each other; of an odd
    /// number the last is left out. Both variables with some kernels each.
    ///
    /// # Errors
    /// If a value is too far from the others.
    pub fn dependence(x: Sample<'_>, y: Sample<'_>, kernels: [&[&KernelFunction]; 2]) -> Result<Self> {
        let half = x.len() / 2;
        let halves = |sample: Sample<'_>, kernels: &[&KernelFunction], precise: bool| {
            let (first, rest) = sample.values.split_at(half * sample.d);
            let [first, rest] = [first, &rest[..half * sample.d]].map(|values| Sample::new(sample.d, values));
            Self::pairs_of(first, rest, kernels, precise)
        };
        let (mut first, mut second) = (halves(x, kernels[0], false)?, halves(y, kernels[1], false)?);
        if first.precise.is_some() || second.precise.is_some() {
            (first, second) = (halves(x, kernels[0], true)?, halves(y, kernels[1], true)?);
        }
        let mut others = Vec::with_capacity(half * (x.d + 2 * y.d));
        for i in 0..half {
            others.extend_from_slice(&first.others[i * x.d..][..x.d]);
            others.extend_from_slice(&second.values[i * y.d..][..y.d]);
            others.extend_from_slice(&second.others[i * y.d..][..y.d]);
        }
        let mut divisors_of_second = vec![1.0; y.d];
        let precise = (first.precise.is_some() || second.precise.is_some()).then(|| {
            let [a, b] = [&first, &second].map(|points| points.in_f64());
            let items = a.items.chunks_exact(2 * x.d).zip(b.items.chunks_exact(2 * y.d));
            divisors_of_second = b.divisors;
            Precise { items: items.flat_map(|(a, b)| [a, b].concat()).collect(), divisors: a.divisors }
        });
        let kernel = kernels[1][0].clone();
        let second = Variable { d: y.d, kernel, unit: second.unit, divisors: divisors_of_second };
        Ok(Self { value: Value::Dependence, others, second: Some(second), precise, ..first })
    }

    /// The items in f64, those of f32 if they are good enough.
    pub(super) fn in_f64(&self) -> Precise {
        if let Some(precise) = &self.precise {
            return precise.clone();
        }
        let count = self.values.len() / self.d;
        let others = self.others.len() / count.max(1);
        let item = |i: usize| {
            let (own, more) = (&self.values[i * self.d..][..self.d], &self.others[i * others..][..others]);
            own.iter().chain(more).map(|&v| f64::from(v))
        };
        Precise { items: (0..count).flat_map(item).collect(), divisors: vec![1.0; self.d] }
    }

    /// The factor of all values of the function of two items, for they are computed in units: of a Stein kernel that is
    /// 1 / unit^2, of the energy kernel the unit.
    pub(super) fn unit_of_values(&self, kernel: &KernelFunction) -> f64 {
        match self.value {
            Value::Stein => 1.0 / self.unit / self.unit,
            _ => self.units_of_values(kernel.family).iter().product(),
        }
    }

    /// That of a kernel of either variable.
    pub(super) fn units_of_values(&self, family: Family) -> [f64; 2] {
        let of = |family: Family, unit: f64| if family == Family::Energy { unit } else { 1.0 };
        let second = self.second.as_ref().map_or(1.0, |second| of(second.kernel.family, second.unit));
        [of(family, self.unit), second]
    }

    /// The same items, of which only those at most this far apart in their order are pairs; all if `None`.
    pub fn within(self, reach: Option<usize>) -> Self {
        Self { reach: reach.unwrap_or(UNLIMITED), ..self }
    }

    /// The items of one sample as two: the first `n`, and the rest.
    pub(super) fn split_at(self, n: usize) -> Self {
        let [all, rest] = self.counts;
        Self { counts: [n, all + rest - n], ..self }
    }

    /// How distances of these points are computed for a kernel.
    pub fn form(&self, kernel: &KernelFunction) -> Form {
        let kernel = kernel.in_units(self.unit);
        let squares = matches!(kernel.family, Family::Gaussian | Family::Imq);
        if !squares || self.d < LEAST_COORDINATES || self.value != Value::Kernel {
            return Form::Differences;
        }
        let norm = |point: &[f32]| point.iter().map(|v| v * v).sum::<f32>();
        let farthest = self.values.chunks_exact(self.d).map(norm).fold(0.0, f32::max);
        let narrowest = kernel.bandwidths.iter().copied().fold(f64::INFINITY, f64::min);
        if f64::from(farthest) <= FARTHEST * narrowest * narrowest {
            Form::Expanded
        } else {
            Form::Differences
        }
    }

    /// Some blocks of `pairs`, padded with zeros; in the expanded form points have half their negative squared norm behind
    /// their coordinates. Blocks beyond the last one are zeros.
    pub fn blocks(&self, pairs: &Pairs, range: Range<usize>) -> Vec<f32> {
        let Layout { n, m, block, .. } = pairs.layout;
        let blocks_of_x = pairs.layout.blocks_of_x();
        let each = pairs.layout.pitch() * pairs.function.stride();
        let others = pairs.function.stride().saturating_sub(self.d) * usize::from(!self.others.is_empty());
        let mut result = vec![0.0; range.len() * each];
        result.par_chunks_exact_mut(each).zip(range).for_each(|(words, number)| {
            let (sample, first) = match number.checked_sub(blocks_of_x) {
                None => (0..n, number * block),
                Some(of_y) => (n..n + m, n + of_y * block),
            };
            for (place, at) in (first..sample.end.min(first + block)).enumerate() {
                let point = &self.values[at * self.d..][..self.d];
                for (k, value) in point.iter().enumerate() {
                    words[pairs.word(place, k)] = *value;
                }
                for (k, value) in self.others.iter().skip(at * others).take(others).enumerate() {
                    words[pairs.word(place, self.d + k)] = *value;
                }
                if pairs.function.form == Form::Expanded {
                    let squares = point.iter().map(|&v| f64::from(v) * f64::from(v));
                    words[pairs.word(place, self.d)] = (-0.5 * squares.sum::<f64>()) as f32;
                }
            }
        });
        result
    }
}

/// Samples on their way to [`Points`].
#[derive(Clone, Copy)]
struct Placing<'a> {
    samples: [Sample<'a>; 2],
    family: Family,
    /// `(d)`.
    divisors: Option<&'a [f64]>,
    /// The smallest and the largest bandwidth.
    bandwidths: [f64; 2],
    /// In f64 whatever the points are.
    precise: bool,
}

impl<'a> Placing<'a> {
    fn new(samples: [Sample<'a>; 2], kernels: &[&'a KernelFunction]) -> Result<Self> {
        kernels.iter().try_for_each(|kernel| kernel.check())?;
        let all = || kernels.iter().flat_map(|kernel| kernel.bandwidths.iter().copied());
        let bandwidths = [all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max)];
        let first = kernels.first();
        let family = first.map_or(Family::default(), |kernel| kernel.family);
        let divisors = first.and_then(|kernel| kernel.coordinates.as_deref());
        Ok(Self { samples, family, divisors, bandwidths, precise: false })
    }

    fn d(&self) -> usize {
        self.samples[0].d
    }

    /// All points, one after another.
    fn each(&self) -> impl Iterator<Item = &'a [f64]> + Clone {
        let d = self.d();
        self.samples.into_iter().flat_map(move |sample| sample.values.chunks_exact(d))
    }

    fn points(self, value: Value) -> Result<Points> {
        if self.family == Family::Delta {
            let values = ranks(self.samples);
            return Ok(self.finished(value, Around { values, unit: 1.0, error: 0.0 }));
        }
        if self.precise {
            let all: Vec<f64> = self.each().flatten().copied().collect();
            return self.in_f64(value, &all);
        }
        let at_mean = self.around(&self.mean());
        if at_mean.error <= MOST_ERROR {
            return Ok(self.finished(value, at_mean));
        }
        // The mean may be far from all points.
        let mut all: Vec<f64> = self.each().flatten().copied().collect();
        let at_medians = self.around(&medians(&all, self.d()));
        if at_medians.error <= MOST_ERROR {
            return Ok(self.finished(value, at_medians));
        }
        let mut best = if at_mean.error < at_medians.error { at_mean } else { at_medians };
        let gap = match self.family {
            _ if value == Value::Stein => None,
            Family::Gaussian => Some(GAP_GAUSSIAN),
            Family::Laplace => Some(GAP_LAPLACE),
            _ => None,
        };
        if let Some(gap) = gap {
            let most: Vec<f64> = (0..self.d()).map(|k| gap * self.bandwidths[1] * self.divisor(k)).collect();
            close_gaps(&mut all, &most);
            let (x, y) = all.split_at(self.samples[0].values.len());
            let samples = [x, y].map(|values| Sample { d: self.d(), values });
            best = Placing { samples, ..self }.around(&medians(&all, self.d()));
        }
        let most = if all.len() / self.d() > MANY { MOST_ERROR_OF_MANY } else { MOST_ERROR };
        if best.error <= most {
            return Ok(self.finished(value, best));
        }
        self.in_f64(value, &all)
    }

    fn divisor(&self, k: usize) -> f64 {
        self.divisors.map_or(1.0, |divisors| divisors[k])
    }

    /// The mean of all points.
    fn mean(&self) -> Vec<f64> {
        let n = self.samples.iter().map(Sample::len).sum::<usize>() as f64;
        let mut mean = vec![0.0; self.d()];
        for point in self.each() {
            mean.iter_mut().zip(point).for_each(|(mean, value)| *mean += value / n);
        }
        mean
    }

    /// Divisors of the coordinates, for a unit.
    fn divisors(&self, unit: f64) -> Vec<f64> {
        (0..self.d()).map(|k| self.divisor(k) * unit).collect()
    }

    /// Distances of all points from a centre.
    fn norms(&self, centre: &[f64]) -> Vec<f64> {
        let divisors = self.divisors(1.0);
        self.each().map(|point| norm(placed(point, centre, &divisors))).collect()
    }

    /// The points in f32 around a centre.
    fn around(&self, centre: &[f64]) -> Around {
        let unit = match self.family {
            Family::Energy => self.typical(centre),
            _ => self.bandwidths[0],
        };
        let mut values = Vec::with_capacity(self.samples.iter().map(|sample| sample.values.len()).sum());
        let mut norms = Vec::with_capacity(values.capacity() / self.d());
        let divisors = self.divisors(unit);
        for point in self.each() {
            let mut squares = 0.0;
            for v in placed(point, centre, &divisors) {
                squares += v * v;
                values.push(v.clamp(-LARGEST, LARGEST) as f32);
            }
            norms.push(squares.sqrt());
        }
        let error = match self.family {
            Family::Energy if resolves_distances(&norms, self.close() / unit) => 0.0,
            Family::Energy => f64::INFINITY,
            _ => error_of_kernel(&norms),
        };
        Around { values, unit, error }
    }

    /// The unit where there is no bandwidth: the median distance of a point from the centre.
    fn typical(&self, centre: &[f64]) -> f64 {
        let typical = median_above_0(self.norms(centre));
        if typical > 0.0 { typical } else { 1.0 }
    }

    /// A distance of close points.
    fn close(&self) -> f64 {
        let [x, y] = self.samples;
        let point = |i: usize| if i < x.len() { x.point(i) } else { y.point(i - x.len()) };
        close_distance(x.len() + y.len(), |i, j| {
            self.family.length(
                point(i).iter().zip(point(j)).enumerate().map(|(k, (a, b))| (a - b) / self.divisor(k)),
            )
        })
    }

    fn finished(&self, value: Value, Around { values, unit, .. }: Around) -> Points {
        Points {
            counts: self.samples.map(|sample| sample.len()),
            d: self.d(),
            values,
            value,
            others: Vec::new(),
            second: None,
            reach: UNLIMITED,
            unit,
            precise: None,
        }
    }

    /// Points in f64; `all` are they, perhaps with closed gaps.
    fn in_f64(&self, value: Value, all: &[f64]) -> Result<Points> {
        let far = |v: &&f64| v.abs() > f64::MAX / (16.0 * (self.d() as f64).sqrt());
        if self.family == Family::Energy && self.each().flatten().any(|v| far(&v)) {
            return Err(self.too_far(far));
        }
        let largest = all.iter().fold(0.0f64, |most, v| most.max(v.abs()));
        let unit = match self.family {
            Family::Energy => self.typical(&medians(all, self.d())).max(largest / LARGEST_PRECISE),
            _ => self.bandwidths[0].max(largest / f64::MAX.sqrt() / f64::MAX.sqrt().sqrt()),
        };
        // A division by a power of two rounds nothing.
        let unit = unit.log2().round().exp2().max(f64::MIN_POSITIVE);
        let items = all.iter().map(|v| v / unit).collect();
        let divisors = self.divisors(1.0);
        let values = vec![0.0; all.len()];
        let precise = Some(Precise { items, divisors });
        Ok(Points { precise, ..self.finished(value, Around { values, unit, error: 0.0 }) })
    }

    fn too_far(&self, far: impl Fn(&&f64) -> bool) -> Error {
        let d = self.d();
        let of = |(name, sample): (&'static str, Sample<'a>)| {
            let at = sample.values.iter().position(|v| far(&v))?;
            Some((name, at / d, at % d, sample.values[at]))
        };
        let found = ["X", "Y"].into_iter().zip(self.samples).find_map(of);
        let (name, row, column, value) = found.unwrap_or(("X", 0, 0, f64::NAN));
        Kind::Samples(format!(
            "row {row}, column {column} of {name} (counted from 0) is {value:e}, so far away that distances leave the \
             range of 64-bit numbers; correct the value, leave the row out, or use a kernel with a bandwidth"
        ))
        .into()
    }
}

/// Points in f32.
struct Around {
    values: Vec<f32>,
    unit: f64,
    /// What the resolution makes of a mean kernel value: [`error_of_kernel`]; of the energy kernel 0, or infinity where
    /// distances are not right.
    error: f64,
}

/// A point less the centre, divided.
fn placed<'a>(
    point: &'a [f64],
    centre: &'a [f64],
    divisors: &'a [f64],
) -> impl Iterator<Item = f64> + Clone + 'a {
    point.iter().zip(centre).zip(divisors).map(|((v, centre), divisor)| (v - centre) / divisor)
}

/// Numbers that are equal where coordinates are, for a kernel that asks for nothing else: small enough to be exact.
fn ranks(samples: [Sample<'_>; 2]) -> Vec<f32> {
    let d = samples[0].d;
    let all: Vec<f64> = samples.iter().flat_map(|sample| sample.values).copied().collect();
    let mut ranks = vec![0.0; all.len()];
    for k in 0..d {
        let mut column: Vec<f64> = all.iter().skip(k).step_by(d).copied().collect();
        column.sort_unstable_by(f64::total_cmp);
        column.dedup();
        for (rank, value) in ranks.iter_mut().zip(&all).skip(k).step_by(d) {
            *rank = column.partition_point(|v| v < value) as f32;
        }
    }
    ranks
}
