//! What the kernels around a matrix product share: the tile of the shader, the threads of the CPU.
//!
//! On a GPU, `shaders/lib/product.wgsl` computes one tile of the result per workgroup, in one of several layouts; the
//! kernel gives the two operands and what happens to the finished tile. On the CPU, faer multiplies one block per
//! thread, or [`sparse`](super::sparse) does where the left operand is mostly zeros, and the kernel finishes each
//! row of it while it is in cache.

use super::sparse::Sparse;
use crate::program::{Spec, Variant};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use std::ops::Range;

/// Rows and columns of the usual tile: of the result, one workgroup computes that, 4 x 4 by each of its 64 threads.
pub(crate) const TILE: usize = 32;

/// A tile may have a side of a multiple of this, where the result is no longer: with [`TILE`] along the other, the
/// threads are a multiple of 16.
const FITTED_UNIT: usize = 8;

/// How much of both operands is in workgroup memory at a time.
pub(crate) const DEPTH: usize = 16;

/// Most bytes of workgroup memory that both operands take.
const OPERAND_BYTES: usize = 14 << 10;

/// Threads of a workgroup with the usual tile.
pub(crate) const THREADS: usize = (TILE / 4) * (TILE / 4);

/// Blocks of the result start at a multiple of this many rows or columns, so that vectors are whole.
const BLOCK_UNIT: usize = 16;

/// Most rows that are multiplied and then finished together on the CPU: the block stays in the second-level
/// cache.
const BLOCK_ROWS: usize = 256;

/// What is added up over k: the values of COMBINE in the shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Combine {
    /// left right: a matrix product.
    Products,
    /// (left - right)^2.
    SquaredDifferences,
    /// |left - right|.
    AbsoluteDifferences,
}

/// The `override` constant of `shaders/lib/product.wgsl` that all variants have.
pub(crate) fn combine(combine: Combine) -> (&'static str, f64) {
    ("COMBINE", f64::from(combine as u8))
}

/// The other ones, for a tile of these rows and columns that takes `depth` at a time.
pub(crate) fn tile_overrides([rows, columns]: [usize; 2], depth: usize) -> Vec<(&'static str, f64)> {
    vec![("ROWS", rows as f64), ("COLUMNS", columns as f64), ("DEPTH", depth as f64)]
}

/// How a tile is made by the threads of its workgroup.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Layout {
    /// Rows and columns of the tile.
    sides: [usize; 2],
    /// Blocks of 4 x 4 of a thread, below and beside each other.
    blocks: [usize; 2],
    /// How much of long sums it takes at once.
    depth: usize,
}

impl Layout {
    const fn new(sides: [usize; 2], blocks: [usize; 2]) -> Self {
        Self { sides, blocks, depth: DEPTH }
    }

    /// What it takes at once of sums of `depth` products: few of them in one go, without padding and with the fewest
    /// barriers.
    fn depth_at_once(self, depth: usize) -> usize {
        let [rows, columns] = self.sides;
        // Four-vectors of both operands, and one more each.
        let each = (rows / 4 + 1 + columns / 4 + 1) * size_of::<[f32; 4]>();
        // The shader takes four at a time.
        let all = depth.max(1).next_multiple_of(4);
        if all * each <= OPERAND_BYTES { all } else { self.depth }
    }

    /// Places for results of a `rows x columns` product, those outside of it included.
    fn places(self, rows: usize, columns: usize) -> usize {
        rows.next_multiple_of(self.sides[0]) * columns.next_multiple_of(self.sides[1])
    }

    fn variant(self, [rows, depth, columns]: [usize; 3]) -> Variant {
        let Self { sides: [r, c], blocks: [down, across], .. } = self;
        let by =
            if self.blocks == ONE { String::new() } else { format!(" by {} x {}", 4 * down, 4 * across) };
        let deep = if self.depth == DEPTH { "" } else { " deep" };
        let mut overrides = tile_overrides(self.sides, self.depth_at_once(depth));
        overrides.extend([("BLOCKS_DOWN", down as f64), ("BLOCKS_ACROSS", across as f64)]);
        let grid = [columns.div_ceil(c), rows.div_ceil(r)];
        Variant { name: format!("{r} x {c}{by}{deep}"), overrides, grid, software: false }
    }
}

/// One block.
const ONE: [usize; 2] = [1; 2];

/// Layouts for results of any size.
const LAYOUTS: [Layout; 9] = [
    Layout::new([TILE, TILE], ONE),
    Layout::new([16, 16], ONE),
    Layout::new([16, 32], ONE),
    Layout::new([32, 16], ONE),
    Layout::new([32, 64], ONE),
    Layout::new([64, 32], ONE),
    Layout::new([64, 64], [2, 2]),
    Layout::new([64, 128], [2, 2]),
    Layout::new([128, 64], [2, 2]),
];

/// Those as wide or as high as a small result itself.
fn fitted(rows: usize, columns: usize, blocks: usize) -> impl Iterator<Item = Layout> {
    let side = |side: usize| (side <= 2 * TILE).then(|| side.next_multiple_of(FITTED_UNIT));
    let wide = side(columns).map(|columns| Layout::new([blocks * TILE, columns], [blocks, 1]));
    let high = side(rows).map(|rows| Layout::new([rows, blocks * TILE], [1, blocks]));
    wide.into_iter().chain(high)
}

/// The ways to cut a product of `(rows, depth, columns)` into at most `parts` tiles. The first has the usual tile, or a
/// fitted one where that leaves less of it empty.
pub(crate) fn variants(sizes: [usize; 3], parts: usize) -> Vec<Variant> {
    let [rows, _, columns] = sizes;
    let places = |layout: &Layout| layout.places(rows, columns);
    let usual = [LAYOUTS[0]].into_iter().chain(fitted(rows, columns, 1)).min_by_key(places);
    let usual = usual.unwrap_or(LAYOUTS[0]);
    let of_any_size = LAYOUTS.into_iter().chain(fitted(rows, columns, 1)).chain(fitted(rows, columns, 2));
    // Where a side is twice as long as the result's, half would do.
    let useful = of_any_size.filter(|layout| layout.sides[0] / 2 < rows && layout.sides[1] / 2 < columns);
    let deep = Layout { depth: 2 * DEPTH, ..usual };
    let layouts: Vec<Layout> = [usual].into_iter().chain(useful).chain([deep]).collect();
    // On llvmpipe blocks of 8 x 8 are nearly twice as fast: operands are loaded number by number there.
    let software = layouts.iter().filter(|layout| layout.blocks != ONE).min_by_key(|layout| places(layout));
    let mut variants: Vec<Variant> = Vec::new();
    for layout in &layouts {
        let variant = Variant { software: Some(layout) == software, ..layout.variant(sizes) };
        let is_new = variants.iter().all(|other| other.overrides != variant.overrides);
        if is_new && variant.grid[0] * variant.grid[1] <= parts {
            variants.push(variant);
        }
    }
    variants
}

/// The override that lets threads read their operands from the buffers, without workgroup memory and barriers: faster on
/// llvmpipe for pairs of points. Training, whose operands do not lie in fours, is slower with it.
const DIRECT: (&str, f64) = ("DIRECT", 1.0);

/// The two ways of kernels over pairs of points: operands in workgroup memory, or not.
pub(crate) fn staged_or_direct(grid: [usize; 2]) -> Vec<Variant> {
    let staged = Variant { name: "staged".into(), overrides: Vec::new(), grid, software: false };
    let direct = Variant { name: "direct".into(), overrides: vec![DIRECT], grid, software: true };
    vec![staged, direct]
}

/// Workgroups for a result of this size with the first of its [`variants`]: tiles along the columns in x, along the
/// rows in y.
pub(crate) fn grid(rows: usize, columns: usize) -> [usize; 2] {
    variants([rows, 1, columns], usize::MAX)[0].grid
}

/// Partial sums, one a workgroup, for which there is room: those of the first variant, and of some smaller tiles.
pub(crate) fn parts(rows: usize, columns: usize) -> usize {
    rows.div_ceil(TILE / 2) * columns.div_ceil(TILE)
}

/// The name under which a measured choice among [`variants`] is kept.
pub(crate) fn tuning_key(spec: &Spec, [rows, depth, columns]: [usize; 3]) -> Option<String> {
    Some(format!("{} {rows} x {depth} x {columns}", spec.name))
}

/// Error of a sum of `depth` products of numbers of like size, relative to the largest of many such sums:
/// rounding errors add up like a random walk (a factor of sqrt(depth) each in error and result), and the
/// largest of thousands is about four standard deviations out. A few more units for what follows the sum.
pub(crate) fn tolerance(depth: usize) -> f64 {
    f64::from(f32::EPSILON) * (8.0 + 0.5 * (depth as f64).sqrt())
}

/// A row-major matrix.
pub(crate) fn matrix(values: &[f32], rows: usize, columns: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice(&values[..rows * columns], rows, columns)
}

/// A row-major matrix to write to.
pub(crate) fn matrix_mut(values: &mut [f32], rows: usize, columns: usize) -> MatMut<'_, f32> {
    MatMut::from_row_major_slice_mut(&mut values[..rows * columns], rows, columns)
}

/// `result = left right` for a row-major `result`, then `finish(row, columns, values)` for each row of each
/// block; gives the sum over all of what `finish` returns, always added in the same order.
pub(crate) fn product<const T: usize>(
    result: MatMut<'_, f32>,
    left: MatRef<'_, f32>,
    right: MatRef<'_, f32>,
    finish: &(impl Fn(usize, Range<usize>, &mut [f32]) -> [f64; T] + Sync),
) -> [f64; T] {
    let threads = rayon::current_num_threads();
    if let Some(left) = Sparse::find(left, right.ncols()) {
        let multiply = |result: MatMut<'_, f32>, rows, right: MatRef<'_, f32>| left.rows(result, rows, right);
        return block(result, right, [0, 0], threads, &multiply, finish);
    }
    let multiply = |result: MatMut<'_, f32>, rows: Range<usize>, right: MatRef<'_, f32>| {
        serial(result, left.subrows(rows.start, rows.len()), right);
    };
    block(result, right, [0, 0], threads, &multiply, finish)
}

/// `result = left right` on this thread alone.
pub(crate) fn serial(result: MatMut<'_, f32>, left: MatRef<'_, f32>, right: MatRef<'_, f32>) {
    matmul(result, Accum::Replace, left, right, 1.0, Par::Seq);
}

/// [`product`] for the block of the result at `origin`, on about `threads` threads; `multiply` is given a block of
/// the result, its rows, and its columns of the right operand.
fn block<const T: usize>(
    mut result: MatMut<'_, f32>,
    right: MatRef<'_, f32>,
    [row, column]: [usize; 2],
    threads: usize,
    multiply: &(impl Fn(MatMut<'_, f32>, Range<usize>, MatRef<'_, f32>) + Sync),
    finish: &(impl Fn(usize, Range<usize>, &mut [f32]) -> [f64; T] + Sync),
) -> [f64; T] {
    let (rows, columns) = (result.nrows(), result.ncols());
    // A block of one thread is halved again while it is tall: whoever is done early takes the rest.
    let parts = if threads > 1 { threads } else { rows.div_ceil(BLOCK_ROWS).min(2) };
    let half = |length: usize| (length * (parts / 2) / parts).next_multiple_of(BLOCK_UNIT);
    let (first, second) = ((threads / 2).max(1), (threads - threads / 2).max(1));
    // Each block reads all of one operand: splitting the longer side of the result reads the least.
    if threads > 1 && columns >= rows && half(columns) < columns {
        let at = half(columns);
        let (a, b) = result.split_at_col_mut(at);
        let (right_a, right_b) = right.split_at_col(at);
        let (a, b) = rayon::join(
            || block(a, right_a, [row, column], first, multiply, finish),
            || block(b, right_b, [row, column + at], second, multiply, finish),
        );
        return add(a, b);
    }
    if parts > 1 && half(rows) < rows {
        let at = half(rows);
        let (a, b) = result.split_at_row_mut(at);
        let (a, b) = rayon::join(
            || block(a, right, [row, column], first, multiply, finish),
            || block(b, right, [row + at, column], second, multiply, finish),
        );
        return add(a, b);
    }
    multiply(result.as_mut(), row..row + rows, right);
    let mut sum = [0.0; T];
    for i in 0..rows {
        let values = result.as_mut().row_mut(i).try_as_row_major_mut().expect("results are row-major");
        sum = add(sum, finish(row + i, column..column + columns, values.as_slice_mut()));
    }
    sum
}

fn add<const T: usize>(a: [f64; T], b: [f64; T]) -> [f64; T] {
    std::array::from_fn(|i| a[i] + b[i])
}

/// (rows, depth, columns) around one tile, odd, and larger, for the cases of the kernels.
pub(crate) const SIZES: [[usize; 3]; 6] =
    [[1, 1, 1], [31, 15, 33], [32, 16, 32], [33, 17, 31], [7, 101, 13], [70, 300, 101]];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variant_leaves_little_empty_and_parts_are_never_too_few() {
        let first = |rows, columns| variants([rows, 300, columns], usize::MAX).swap_remove(0).name;
        assert_eq!(first(128, 784), "32 x 32");
        assert_eq!(first(128, 40), "32 x 40");
        assert_eq!(first(40, 301), "40 x 32");
        assert_eq!(first(1, 1), "32 x 8");
        for rows in 1..140 {
            for columns in 1..140 {
                let variants = variants([rows, 300, columns], parts(rows, columns));
                assert_eq!(
                    variants[0].grid,
                    grid(rows, columns),
                    "the first of {rows} x {columns} is among them"
                );
            }
        }
    }

    #[test]
    fn every_element_is_multiplied_and_finished_once_on_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            for (rows, columns) in [(1, 1), (17, 300), (600, 33), (40, 40)] {
                let left: Vec<f32> = (0..rows * 2).map(|i| i as f32).collect();
                let right: Vec<f32> = (0..2 * columns).map(|i| (i % 7) as f32).collect();
                let mut result = vec![f32::NAN; rows * columns];
                let [total] = pool.install(|| {
                    product(
                        matrix_mut(&mut result, rows, columns),
                        matrix(&left, rows, 2),
                        matrix(&right, 2, columns),
                        &|row, range, values| {
                            for (column, v) in range.zip(values) {
                                let dot = left[2 * row] * right[column]
                                    + left[2 * row + 1] * right[columns + column];
                                assert_eq!(*v, dot, "row {row} column {column}");
                                *v = -1.0;
                            }
                            [1.0]
                        },
                    )
                });
                assert!(result.iter().all(|v| *v == -1.0), "{rows} x {columns} on {threads} threads");
                assert!(total >= rows as f64, "each row is finished");
            }
        }
    }
}
