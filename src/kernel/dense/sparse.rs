//! Products on the CPU whose left operand is mostly zeros, as images are: only the rest is multiplied.
//!
//! ```text
//! result[r, j] = sum over the k with left[r, k] != 0 of left[r, k] right[k, j]
//! ```
//!
//! `left: (R, K)`; `right: (K, J)`; `result: (R, J)`. The sum over k runs upwards, whatever the number of threads.
//!
//! Of 64 columns of `left`, one bit for each element says whether it is not zero. Those rows of `right` that the bits of
//! a row name are added to that row's sums. The sums are held in registers meanwhile, and a strip of `right`, as wide
//! as they are, stays in the first-level cache. Each nonzero costs up to half more than in a dense product, and
//! there is work that does not depend on them, so this pays where most elements are zeros.
//!
//! Zero times infinity or NaN is NaN in a dense product and nothing here. A run that diverges shows all the same:
//! some element of each image is not zero, and biases and losses see every number.

use faer::{MatMut, MatRef};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use std::array;
use std::cell::RefCell;
use std::ops::Range;

/// Largest share of nonzeros at which this is taken: measured, the two are even at 0.4 to 0.5.
const MOST_DENSITY: f64 = 0.35;

/// Least rows, depth and columns: for small products, what comes before the sums is most of the work.
const LEAST: usize = 64;

/// Images in which the nonzeros are counted.
const SAMPLED: usize = 8;

/// Steps over k that one word of bits and one strip of `right` cover.
pub(crate) const CHUNK: usize = u64::BITS as usize;

/// Numbers of a vector: those of the widest registers, or of several narrower ones.
pub(crate) const LANES: usize = 16;

/// Vectors of a strip: their sums fit in the registers of AVX2 (10 of 16), AVX-512 (5 of 32) and NEON (20 of 32).
const VECTORS: usize = 5;

/// Columns of a strip.
pub(crate) const STRIP: usize = VECTORS * LANES;

/// One cache line: a vector of the widest registers, or several narrower ones.
#[repr(C, align(64))]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Vector(pub(crate) [f32; LANES]);

/// One row of a strip, or of sums.
type StripRow = [Vector; VECTORS];

pub(crate) const ZERO: Vector = Vector([0.0; LANES]);

thread_local! {
    /// Memory to be used again.
    static SCRATCH: RefCell<SparseScratch> = const {
        RefCell::new(SparseScratch {
            nonzeros: Vec::new(),
            strip: [[ZERO; VECTORS]; CHUNK],
            sums: Vec::new(),
            columns: Vec::new(),
        })
    };
}

/// Memory of one thread.
struct SparseScratch {
    /// Of each row, for one chunk.
    nonzeros: Vec<u64>,
    /// One chunk of one strip of the right operand.
    strip: [StripRow; CHUNK],
    /// Of each row; one strip of the result after the other.
    sums: Vec<StripRow>,
    /// Some columns of the result, one after another.
    columns: Vec<f32>,
}

/// A left operand that is mostly zeros: a row-major matrix or the transpose of one.
#[derive(Clone, Copy)]
pub(crate) struct Sparse<'a>(MatRef<'a, f32>);

impl<'a> Sparse<'a> {
    /// Nothing if a dense product with a matrix of so many `columns` on each thread is faster.
    pub(crate) fn find(left: MatRef<'a, f32>, columns: usize) -> Option<Self> {
        let large = left.nrows().min(left.ncols()).min(columns) >= LEAST;
        (large && density(left) <= MOST_DENSITY).then_some(Self(left))
    }

    /// `result = left[rows, ..] right` on this thread alone; `right` has contiguous rows or columns.
    pub(crate) fn rows(self, mut result: MatMut<'_, f32>, rows: Range<usize>, right: MatRef<'_, f32>) {
        SCRATCH.with_borrow_mut(|scratch| {
            multiply(self.0.subrows(rows.start, rows.len()), right, scratch);
            for (strip, first) in scratch.sums.chunks_exact(rows.len()).zip((0..right.ncols()).step_by(STRIP))
            {
                let count = STRIP.min(right.ncols() - first);
                for (row, sums) in strip.iter().enumerate() {
                    let row =
                        result.as_mut().row_mut(row).try_as_row_major_mut().expect("results are row-major");
                    row.as_slice_mut()[first..][..count]
                        .copy_from_slice(&bytemuck::cast_slice(sums)[..count]);
                }
            }
        });
    }

    /// The columns of `left right`, one after the other, on this thread alone.
    pub(crate) fn columns(self, right: MatRef<'_, f32>, mut put: impl FnMut(usize, &[f32])) {
        SCRATCH.with_borrow_mut(|scratch| {
            multiply(self.0, right, scratch);
            let SparseScratch { sums, columns, .. } = scratch;
            let rows = self.0.nrows();
            let pitch = rows.next_multiple_of(CHUNK);
            columns.resize(columns.len().max(pitch * LANES), 0.0);
            for (n, first) in (0..right.ncols()).step_by(LANES).enumerate() {
                separate_columns(&sums[n / VECTORS * rows..][..rows], n % VECTORS, columns);
                for (column, values) in (first..right.ncols()).zip(columns.chunks_exact(pitch)).take(LANES) {
                    put(column, &values[..rows]);
                }
            }
        });
    }
}

/// The share of nonzeros in some images: rows of a row-major matrix, columns of its transpose.
fn density(left: MatRef<'_, f32>) -> f64 {
    let images = if left.col_stride() == 1 { left } else { left.transpose() };
    let count = SAMPLED.min(images.nrows());
    let nonzeros: u32 = (0..count).map(|i| count_nonzeros(row(images, i * images.nrows() / count))).sum();
    f64::from(nonzeros) / (count * images.ncols()) as f64
}

#[multiversion(targets = "simd")]
fn count_nonzeros(values: &[f32]) -> u32 {
    values.iter().map(|&v| u32::from(v != 0.0)).sum()
}

/// Row `i` of a row-major matrix.
#[inline(always)]
fn row(matrix: MatRef<'_, f32>, i: usize) -> &[f32] {
    matrix.row(i).try_as_row_major().expect("rows or columns are contiguous").as_slice()
}

/// One word of bits for each row of at most [`CHUNK`] columns.
#[inline(always)]
fn find_nonzeros(left: MatRef<'_, f32>, nonzeros: &mut [u64]) {
    /// Columns that are looked at together.
    const GROUP: usize = 8;
    if left.col_stride() == 1 {
        for (r, nonzeros) in nonzeros.iter_mut().enumerate() {
            let values = row(left, r);
            *nonzeros = match values.as_array::<CHUNK>() {
                Some(values) => bits(values),
                None => bits(values),
            };
        }
        return;
    }
    let (columns, rows) = (left.transpose(), nonzeros.len());
    nonzeros.fill(0);
    for first in (0..columns.nrows()).step_by(GROUP) {
        let count = GROUP.min(columns.nrows() - first);
        // Beyond the last column its bit is set once more.
        let group: [&[f32]; GROUP] = array::from_fn(|k| &row(columns, first + k.min(count - 1))[..rows]);
        let place: [u32; GROUP] = array::from_fn(|k| k.min(count - 1) as u32);
        for (r, word) in nonzeros.iter_mut().enumerate() {
            let bits = (0..GROUP).fold(0, |bits, k| bits | u32::from(group[k][r] != 0.0) << place[k]);
            *word |= u64::from(bits) << first;
        }
    }
}

/// Bit k says that values[k] is not zero.
#[inline(always)]
fn bits(values: &[f32]) -> u64 {
    values.iter().enumerate().fold(0, |word, (k, v)| word | u64::from(*v != 0.0) << k)
}

#[multiversion(targets = "simd")]
fn multiply(
    left: MatRef<'_, f32>,
    right: MatRef<'_, f32>,
    SparseScratch { nonzeros, strip, sums, .. }: &mut SparseScratch,
) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let (rows, depth, columns) = (left.nrows(), right.nrows(), right.ncols());
    nonzeros.resize(rows, 0);
    sums.clear();
    sums.resize(rows * columns.div_ceil(STRIP), [ZERO; VECTORS]);
    for first in (0..depth).step_by(CHUNK) {
        let left = left.subcols(first, CHUNK.min(depth - first));
        let right = right.subrows(first, left.ncols());
        find_nonzeros(left, nonzeros);
        for (sums, at) in sums.chunks_exact_mut(rows).zip((0..columns).step_by(STRIP)) {
            load(right.subcols(at, STRIP.min(columns - at)), strip);
            for ((r, sums), &nonzeros) in sums.iter_mut().enumerate().zip(&*nonzeros) {
                if nonzeros != 0 {
                    add::<FUSED>(nonzeros, |k| left[(r, k)], strip, sums);
                }
            }
        }
    }
}

/// Adds value(k) times row k of the strip to the sums, for each bit k.
#[inline(always)]
fn add<const FUSED: bool>(
    mut nonzeros: u64,
    value: impl Fn(usize) -> f32,
    strip: &[StripRow],
    sums: &mut StripRow,
) {
    // A copy, so that the compiler keeps it in registers.
    let mut registers = *sums;
    while nonzeros != 0 {
        let k = nonzeros.trailing_zeros() as usize;
        nonzeros &= nonzeros - 1;
        let (value, row) = (value(k), &strip[k % CHUNK]);
        for n in 0..VECTORS {
            for lane in 0..LANES {
                let (sum, factor) = (&mut registers[n].0[lane], row[n].0[lane]);
                *sum = if FUSED { value.mul_add(factor, *sum) } else { value * factor + *sum };
            }
        }
    }
    *sums = registers;
}

/// At most [`CHUNK`] rows and [`STRIP`] columns of `right`. What is beyond the last column is never used.
#[inline(always)]
fn load(right: MatRef<'_, f32>, strip: &mut [StripRow; CHUNK]) {
    let (depth, columns) = (right.nrows(), right.ncols());
    if right.col_stride() == 1 {
        for (k, strip) in strip[..depth].iter_mut().enumerate() {
            bytemuck::cast_slice_mut(strip)[..columns].copy_from_slice(row(right, k));
        }
        return;
    }
    let right = right.transpose();
    let mut vectors = [ZERO; CHUNK];
    for (n, first) in (0..columns).step_by(LANES).enumerate() {
        let count = LANES.min(columns - first);
        if count == LANES && depth == CHUNK {
            let lanes = array::from_fn(|lane| row(right, first + lane).first_chunk().expect("CHUNK numbers"));
            interleave(lanes, &mut vectors);
        } else {
            let mut lanes = [[0.0; CHUNK]; LANES];
            for (lane, values) in lanes[..count].iter_mut().enumerate() {
                values[..depth].copy_from_slice(row(right, first + lane));
            }
            interleave(lanes.each_ref(), &mut vectors);
        }
        strip.iter_mut().zip(&vectors).for_each(|(strip, vector)| strip[n] = *vector);
    }
}

/// Vector `n` of each row of sums as [`LANES`] columns, of as many numbers as there are rows in whole chunks.
#[multiversion(targets = "simd")]
fn separate_columns(sums: &[StripRow], n: usize, columns: &mut [f32]) {
    let pitch = sums.len().next_multiple_of(CHUNK);
    let mut vectors = [ZERO; CHUNK];
    let mut lanes = [[0.0; CHUNK]; LANES];
    for (sums, first) in sums.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
        vectors.iter_mut().zip(sums).for_each(|(vector, sums)| *vector = sums[n]);
        separate(&vectors, &mut lanes);
        for (lane, column) in lanes.iter().zip(columns.chunks_exact_mut(pitch)) {
            column[first..][..CHUNK].copy_from_slice(lane);
        }
    }
}

/// `vectors[k][lane] = lanes[lane][k]`, by fours twice: loops like these become shuffles of whole vectors.
#[inline(always)]
pub(crate) fn interleave(lanes: [&[f32; CHUNK]; LANES], vectors: &mut [Vector; CHUNK]) {
    let mut fours = [[0.0; 4 * CHUNK]; 4];
    for (i, four) in fours.iter_mut().enumerate() {
        interleave_four(array::from_fn(|j| &lanes[i + 4 * j][..]), four);
    }
    interleave_four(fours.each_ref().map(|four| &four[..]), bytemuck::cast_slice_mut(vectors));
}

/// The inverse of [`interleave`].
#[inline(always)]
pub(crate) fn separate(vectors: &[Vector; CHUNK], lanes: &mut [[f32; CHUNK]; LANES]) {
    let mut fours = [[0.0; 4 * CHUNK]; 4];
    separate_four(bytemuck::cast_slice(vectors), fours.each_mut().map(|four| &mut four[..]));
    for (i, four) in fours.iter().enumerate() {
        let lanes = lanes.get_disjoint_mut([i, i + 4, i + 8, i + 12]).expect("four different lanes");
        separate_four(four, lanes.map(|lane| &mut lane[..]));
    }
}

/// `to[4 k + j] = from[j][k]`.
#[inline(always)]
fn interleave_four([a, b, c, d]: [&[f32]; 4], to: &mut [f32]) {
    for ((((to, a), b), c), d) in to.as_chunks_mut::<4>().0.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *to = [*a, *b, *c, *d];
    }
}

/// `to[j][k] = from[4 k + j]`.
#[inline(always)]
fn separate_four(from: &[f32], [a, b, c, d]: [&mut [f32]; 4]) {
    for ((((from, a), b), c), d) in from.as_chunks::<4>().0.iter().zip(a).zip(b).zip(c).zip(d) {
        [*a, *b, *c, *d] = *from;
    }
}

/// Batch, inputs and outputs of a case of a kernel whose images are sparse: a thread of two has enough columns.
pub(crate) const SPARSE_SIZE: [usize; 3] = [70, 131, 150];

/// Keeps element `i` of images of so many `inputs`, or makes it zero: most of them, some whole images, and some
/// pixels in all images.
pub(crate) fn mostly_zero(inputs: usize, i: usize, value: f32) -> f32 {
    let (image, pixel) = (i / inputs, i % inputs);
    let zero = image % 7 == 3 || pixel % 9 == 4 || (i as u32).wrapping_mul(0x9E37_79B9) >> 30 != 0;
    if zero { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::super::product::{matrix, matrix_mut};
    use super::*;

    fn images(batch: usize, inputs: usize) -> Vec<f32> {
        (0..batch * inputs).map(|i| mostly_zero(inputs, i, 1.0 + (i % 11) as f32)).collect()
    }

    /// Whole numbers: every sum is exact.
    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| (i % 13) as f32 - 6.0).collect()
    }

    #[test]
    fn the_kernels_cases_are_sparse_and_large_enough() {
        let [batch, inputs, outputs] = SPARSE_SIZE;
        for spec in [&super::super::linear::SPEC, &super::super::backward_weights::SPEC] {
            let cases = (spec.cases)();
            let buffer = spec.reads.iter().position(|name| *name == "x").expect("x");
            let case = cases.iter().find(|case| case.reads[buffer].len() == batch * inputs).expect("a case");
            let x = matrix(&case.reads[buffer], batch, inputs);
            assert!(
                Sparse::find(x, outputs / 2).is_some() && Sparse::find(x.transpose(), outputs / 2).is_some()
            );
        }
    }

    #[test]
    fn dense_or_small_operands_are_left_to_dense_products() {
        let (dense, sparse) = (vec![1.0; 80 * 90], images(80, 90));
        assert!(Sparse::find(matrix(&sparse, 80, 90), 70).is_some());
        assert!(Sparse::find(matrix(&dense, 80, 90), 70).is_none());
        assert!(Sparse::find(matrix(&dense, 80, 90).transpose(), 70).is_none());
        assert!(Sparse::find(matrix(&sparse, 80, 90), 60).is_none());
        assert!(Sparse::find(matrix(&sparse, 1, 90), 70).is_none());
    }

    #[test]
    fn products_are_those_of_all_elements() {
        for (rows, depth, columns) in [(70, 64, 64), (65, 131, 81), (130, 70, 245), (64, 785, 160)] {
            // Either as images or as their transpose; with either layout of the other operand.
            for transposed in [false, true] {
                let (batch, inputs) = if transposed { (depth, rows) } else { (rows, depth) };
                let x = images(batch, inputs);
                let x = matrix(&x, batch, inputs);
                let left = if transposed { x.transpose() } else { x };
                let sparse = Sparse::find(left, columns).expect("sparse enough");
                let values = numbers(depth * columns);
                for right in [matrix(&values, depth, columns), matrix(&values, columns, depth).transpose()] {
                    let want =
                        |r: usize, j: usize| (0..depth).map(|k| left[(r, k)] * right[(k, j)]).sum::<f32>();
                    let mut result = vec![f32::NAN; rows * columns];
                    for part in [0..rows / 3, rows / 3..rows] {
                        let result = matrix_mut(&mut result[part.start * columns..], part.len(), columns);
                        sparse.rows(result, part, right);
                    }
                    for (i, value) in result.iter().enumerate() {
                        let (r, j) = (i / columns, i % columns);
                        assert_eq!(*value, want(r, j), "{rows} {depth} {columns}: row {r}, column {j}");
                    }
                    let mut given = 0;
                    sparse.columns(right, |j, column| {
                        assert_eq!((j, column.len()), (given, rows));
                        for (r, value) in column.iter().enumerate() {
                            assert_eq!(*value, want(r, j), "{rows} {depth} {columns}: column {j}, row {r}");
                        }
                        given += 1;
                    });
                    assert_eq!(given, columns);
                }
            }
        }
    }

    #[test]
    fn nan_is_not_a_zero() {
        let mut x = images(64, 64);
        x[64 + 1] = f32::NAN;
        let (weights, mut result) = (numbers(64 * 64), vec![0.0; 64 * 64]);
        let sparse = Sparse::find(matrix(&x, 64, 64), 64).expect("sparse enough");
        sparse.rows(matrix_mut(&mut result, 64, 64), 0..64, matrix(&weights, 64, 64));
        assert!(result.iter().enumerate().all(|(i, v)| v.is_nan() == (i / 64 == 1)));
    }
}
