//! A pass over all pairs in f64 on the CPU, for points that f32 is too coarse for: the same sums as those of an engine.
//!
//! Differences are taken of the coordinates as they are in the data, and distances by scaled squares, so nothing is lost
//! and nothing leaves the range. Each kernel value is computed twice, once for each of its two points.

use super::KernelFunction;
use super::gram::{Gram, Labels, Orders, Request, near_pairs};
use super::points::{Points, Precise};
use crate::error::Result;
use crate::kernel::pair_forms::BITS;
use crate::kernel::pairs::{Family, Form, Value};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Rows whose values exist at one time on a thread.
const ROWS: usize = 32;

/// Draws whose labels are multiplied with them at a time.
const DRAWS: usize = 128;

/// Chunks of rows between two reports of progress.
const CHUNKS: usize = 16;

/// Most points whose second kernel is kept for all pairs: 512 MiB.
const MOST_KEPT: usize = 8192;

/// The function of two items.
struct Items<'a> {
    points: &'a Points,
    precise: Precise,
    stride: usize,
    kernel: KernelFunction,
    second: Option<KernelFunction>,
}

impl<'a> Items<'a> {
    fn new(points: &'a Points, kernel: &KernelFunction, second: Option<&KernelFunction>) -> Self {
        let precise = points.in_f64();
        let count: usize = points.counts.iter().sum();
        let unit_of_second = points.second.as_ref().map_or(1.0, |second| second.unit);
        Self {
            points,
            stride: precise.items.len() / count,
            precise,
            kernel: kernel.in_units(points.unit),
            second: second.map(|kernel| kernel.in_units(unit_of_second)),
        }
    }

    fn count(&self) -> usize {
        self.points.counts.iter().sum()
    }

    /// The function of items i and j, without weights.
    fn value(&self, i: usize, j: usize) -> f64 {
        let [x, z] = [i, j].map(|i| &self.precise.items[i * self.stride..][..self.stride]);
        let d = self.points.d;
        let difference = |kernel: &KernelFunction, divisors: &[f64], at: usize| {
            let d = divisors.len();
            let k = |a: usize, b: usize| {
                kernel.at(distance(kernel.family, divisors, &x[at + a * d..][..d], &z[at + b * d..][..d]))
            };
            k(0, 0) + k(1, 1) - k(0, 1) - k(1, 0)
        };
        let divisors = &self.precise.divisors;
        match self.points.value {
            Value::Kernel => self.kernel.at(distance(self.kernel.family, divisors, x, z)),
            Value::Paired => difference(&self.kernel, divisors, 0),
            Value::Stein => stein(&self.kernel, d, x, z),
            Value::Dependence => {
                let (Some(second), Some(variable)) = (&self.second, &self.points.second) else {
                    return f64::NAN;
                };
                0.25 * difference(&self.kernel, divisors, 0) * difference(second, &variable.divisors, 2 * d)
            }
        }
    }
}

/// The distance of two points, divided by the kernel's own divisors.
fn distance(family: Family, divisors: &[f64], x: &[f64], z: &[f64]) -> f64 {
    family.length(x.iter().zip(z).zip(divisors).map(|((x, z), divisor)| (x - z) / divisor))
}

/// The Stein kernel of items (x, s) and (z, t), a sum over the bandwidths b:
///
/// ```text
/// gaussian  k (s.t + c ((s - t).(x - z) + d - c r^2))                c = 1 / b^2
/// imq       k (s.t + c k^2 ((s - t).(x - z) + d - 3 c k^2 r^2))
/// ```
///
/// in an order in which large r and s meet small k first.
fn stein(kernel: &KernelFunction, d: usize, x: &[f64], z: &[f64]) -> f64 {
    let ([x, s], [z, t]) = ([&x[..d], &x[d..]], [&z[..d], &z[d..]]);
    let r = kernel.family.length(x.iter().zip(z).map(|(x, z)| x - z));
    let each = kernel.bandwidths.iter().map(|&bandwidth| {
        let k = kernel.family.at(r, bandwidth);
        if k == 0.0 {
            return 0.0;
        }
        let c = 1.0 / (bandwidth * bandwidth);
        let scores: f64 = s.iter().zip(t).map(|(s, t)| (k * s) * t).sum();
        let mixed = |k: f64| -> f64 { (0..d).map(|i| (k * (s[i] - t[i])) * (k * (x[i] - z[i]))).sum() };
        match kernel.family {
            Family::Imq => {
                scores + c * k * (mixed(k) + k * k * d as f64 - 3.0 * c * (k * k * r) * (k * k * r))
            }
            _ => {
                let root = k.sqrt();
                scores + c * (mixed(root) + k * d as f64 - c * (root * r) * (root * r))
            }
        }
    });
    each.sum()
}

/// Sums of a chunk of rows.
struct ChunkSums {
    /// Of each row: sums of k and of k^2 with each class.
    rows: Vec<[[f64; 2]; 2]>,
    forms: Vec<f64>,
    bins: Vec<f64>,
}

/// A pass in f64 for each of some kernels, as [`super::gram`] makes them on an engine; `seconds` are their partners.
pub(super) fn grams(
    points: &Points,
    kernels: &[&KernelFunction],
    seconds: &[&KernelFunction],
    request: &Request<'_>,
    cross: bool,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Vec<Gram>> {
    let total = kernels.len() as f64;
    let mut each = |(index, kernel): (usize, &&KernelFunction)| {
        let own = points.second.as_ref().map(|second| &second.kernel);
        let items = Items::new(points, kernel, seconds.get(index).copied().or(own));
        gram(&items, kernel, request, cross, &mut |done| progress((index as f64 + done) / total))
    };
    kernels.iter().enumerate().map(&mut each).collect()
}

fn gram(
    items: &Items<'_>,
    kernel: &KernelFunction,
    request: &Request<'_>,
    cross: bool,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Gram> {
    let count = items.count();
    let weight = kernel.weight();
    let (counts, reach) = (items.points.counts, items.points.reach);
    let product = match request {
        Request::Products(orders) => Some(Product::new(orders)),
        _ => None,
    };
    let bins = match request {
        Request::Bins(bin) => count / bin,
        _ => 0,
    };
    let mut result = Gram {
        counts,
        k: Vec::with_capacity(count),
        k2: Vec::with_capacity(count),
        forms: vec![0.0; request.draws()],
        bins: vec![0.0; bins * bins],
        evaluations: if cross { (counts[0] * counts[1]) as f64 } else { near_pairs(count as f64, reach) },
        form: Form::Differences,
        bytes: 0,
        unit: items.points.unit_of_values(kernel),
        precise: true,
    };
    let firsts: Vec<usize> = (0..count).step_by(ROWS).collect();
    for (index, group) in firsts.chunks(CHUNKS).enumerate() {
        let chunk = |&first: &usize| chunk(items, request, product.as_ref(), first, cross);
        let sums: Vec<ChunkSums> = group.par_iter().map(chunk).collect();
        for (first, sums) in group.iter().zip(sums) {
            result.k.extend(sums.rows.iter().map(|row| row[0].map(|k| weight * k)));
            result.k2.extend(sums.rows.iter().map(|row| row[1].map(|k2| weight * weight * k2)));
            // Products are of weightless kernels.
            let weight_of_forms = if product.is_some() { 1.0 } else { weight };
            result.forms.iter_mut().zip(sums.forms).for_each(|(form, part)| *form += weight_of_forms * part);
            if let Request::Bins(bin) = request {
                for (row, sums) in sums.bins.chunks_exact(bins.max(1)).enumerate() {
                    let bin = &mut result.bins[(first + row) / bin * bins..][..bins];
                    bin.iter_mut().zip(sums).for_each(|(bin, sum)| *bin += weight * sum);
                }
            }
        }
        progress((index * CHUNKS * ROWS + group.len() * ROWS).min(count) as f64 / count as f64)?;
    }
    if product.is_some() {
        (result.k, result.k2) = (Vec::new(), Vec::new());
    } else if matches!(request, Request::None) {
        result.k2.clear();
    }
    Ok(result)
}

/// The sums of up to [`ROWS`] rows from `first` on.
fn chunk(
    items: &Items<'_>,
    request: &Request<'_>,
    product: Option<&Product<'_>>,
    first: usize,
    cross: bool,
) -> ChunkSums {
    let (count, n, reach) = (items.count(), items.points.counts[0], items.points.reach);
    let rows = ROWS.min(count - first);
    let mut values = vec![0.0; rows * count];
    for (i, row) in (first..).zip(values.chunks_exact_mut(count)) {
        for (j, value) in row.iter_mut().enumerate() {
            let wanted = i != j && i.abs_diff(j) <= reach && !(cross && (i < n) == (j < n));
            if wanted {
                *value = items.value(i, j);
            }
        }
    }
    let sums = |row: &[f64]| {
        let (x, y) = row.split_at(n);
        let squares = |values: &[f64]| values.iter().map(|k| k * k).sum::<f64>();
        [[x.iter().sum(), y.iter().sum()], [squares(x), squares(y)]]
    };
    let bins = match request {
        Request::Bins(bin) => values.chunks_exact(*bin).map(|values| values.iter().sum()).collect(),
        _ => Vec::new(),
    };
    let rows = values.chunks_exact(count).map(sums).collect();
    let forms = match (request, product) {
        (Request::Forms(labels), _) => forms(values, [first, count], n, labels),
        (_, Some(product)) => product.forms(&values, first, items.kernel.centre()),
        _ => Vec::new(),
    };
    ChunkSums { rows, forms, bins }
}

/// a_b' K a_b over some rows of K and all columns from the first of these rows on, for each label vector: what is to the
/// right of the rows' own square counts twice, as it stands for its mirror image below the diagonal.
fn forms(mut values: Vec<f64>, [first, count]: [usize; 2], n: usize, labels: &Labels) -> Vec<f64> {
    let rows = values.len() / count;
    for row in values.chunks_exact_mut(count) {
        row[first + rows..].iter_mut().for_each(|value| *value *= 2.0);
    }
    let columns = count - first;
    let upper = MatRef::from_row_major_slice_with_stride(&values[first..], rows, columns, count);
    let mut result = vec![0.0; labels.draws];
    let mut chosen = vec![0.0; columns * DRAWS];
    let mut sums = [0.0; ROWS * DRAWS];
    for (index, result) in result.chunks_mut(DRAWS).enumerate() {
        let draws = result.len();
        let (chosen, sums) = (&mut chosen[..columns * draws], &mut sums[..rows * draws]);
        for (point, chosen) in (first..).zip(chosen.chunks_exact_mut(draws)) {
            let place = if point < n { point } else { n.next_multiple_of(BITS) + point - n };
            let words = &labels.words[place / BITS * labels.draws + index * DRAWS..][..draws];
            for (chosen, word) in chosen.iter_mut().zip(words) {
                // A sign, as processors have no instruction for u32.
                *chosen = f64::from((word >> (place % BITS) & 1).cast_signed());
            }
        }
        matmul(
            MatMut::from_row_major_slice_mut(sums, rows, draws),
            Accum::Replace,
            upper,
            MatRef::from_row_major_slice(chosen, columns, draws),
            1.0,
            Par::Seq,
        );
        for (sums, own) in sums.chunks_exact(draws).zip(chosen.chunks_exact(draws)) {
            for ((result, sum), label) in result.iter_mut().zip(sums).zip(own) {
                *result += sum * label;
            }
        }
    }
    result
}

/// Another kernel, of the same points in many orders.
struct Product<'a> {
    orders: &'a Orders<'a>,
    items: Items<'a>,
    centre: f64,
    /// All values, less the centre, if there are not too many points.
    kept: Option<Vec<f64>>,
}

impl<'a> Product<'a> {
    fn new(orders: &'a Orders<'a>) -> Self {
        let items = Items::new(orders.points, orders.kernel, None);
        let (count, centre) = (items.count(), items.kernel.centre());
        let kept = (count <= MOST_KEPT).then(|| {
            let row = |i: usize| (0..count).map(|j| items.value(i, j) - centre).collect::<Vec<_>>();
            (0..count).into_par_iter().flat_map_iter(row).collect()
        });
        Self { orders, items, centre, kept }
    }

    /// The sums over some rows i and all j != i of products of kernels less their centres, for each order.
    fn forms(&self, values: &[f64], first: usize, centre: f64) -> Vec<f64> {
        let count = self.items.count();
        let second = |i: usize, j: usize| match &self.kept {
            Some(kept) => kept[i * count + j],
            None => self.items.value(i, j) - self.centre,
        };
        let of_order = |order: &[u32]| -> f64 {
            let row = |(i, row): (usize, &[f64])| -> f64 {
                let term =
                    |(j, k): (usize, &f64)| (k - centre) * second(order[i] as usize, order[j] as usize);
                let others = row.iter().enumerate().filter(|(j, _)| *j != i);
                others.map(term).sum()
            };
            (first..).zip(values.chunks_exact(count)).map(row).sum()
        };
        self.orders.order.chunks_exact(count).map(of_order).collect()
    }
}
