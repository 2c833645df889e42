//! Matrix products: the tile of the shaders, and the threads of the CPU.
//!
//! On a GPU, `shaders/lib/product.wgsl` computes one tile of the result per workgroup, in one of several tilings; the
//! kernel gives the two operands and what becomes of each element. On the CPU, faer multiplies one block per
//! thread, or [`sparse`](super::sparse) does where the left operand is mostly zeros, and the kernel finishes each
//! row of it while it is in cache.

use super::sparse::Sparse;
use crate::program::{Overrides, Spec, Variant};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use std::ops::Range;

/// Rows and columns of the usual tile of the result: a workgroup makes one, each of its 64 threads 4 x 4 of it.
pub(crate) const TILE: usize = 32;

/// A tile that is as high or as wide as a small result is rounded up to a multiple of this. With [`TILE`] along the
/// other side, its threads are then a multiple of 16.
const FITTED_UNIT: usize = 8;

/// How many steps over k are in workgroup memory at a time.
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

/// The `override` constants of `shaders/lib/product.wgsl` for a tile that takes `depth` steps over k at a time.
pub(crate) fn tile_overrides([rows, columns]: [usize; 2], depth: usize) -> Overrides {
    Overrides::of("ROWS", rows).set("COLUMNS", columns).set("DEPTH", depth)
}

/// How the threads of a workgroup make a tile of the result.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tiling {
    /// Rows and columns of the tile.
    sides: [usize; 2],
    /// Patches of 4 x 4 of a thread, below and beside each other.
    patches: [usize; 2],
    /// Steps over k that it takes at once of a long sum.
    depth: usize,
}

impl Tiling {
    const fn new(sides: [usize; 2], patches: [usize; 2]) -> Self {
        Self { sides, patches, depth: DEPTH }
    }

    /// Steps over k that it takes at once of sums of `depth` products: all of few, without padding and with the fewest
    /// barriers.
    fn depth_at_once(self, depth: usize) -> usize {
        let [rows, columns] = self.sides;
        // Four-vectors of both operands, and one more each.
        let each = (rows / 4 + 1 + columns / 4 + 1) * size_of::<[f32; 4]>();
        // The shader takes four at a time.
        let all = depth.max(1).next_multiple_of(4);
        if all * each <= OPERAND_BYTES { all } else { self.depth }
    }

    /// Places for elements of a result, those outside of it included.
    fn places(self, ProductSizes { rows, columns, .. }: ProductSizes) -> usize {
        rows.next_multiple_of(self.sides[0]) * columns.next_multiple_of(self.sides[1])
    }

    fn variant(self, ProductSizes { rows, depth, columns }: ProductSizes) -> Variant {
        let Self { sides: [r, c], patches: [down, across], .. } = self;
        let by =
            if self.patches == ONE { String::new() } else { format!(" by {} x {}", 4 * down, 4 * across) };
        let deep = if self.depth == DEPTH { "" } else { " deep" };
        let overrides = tile_overrides(self.sides, self.depth_at_once(depth))
            .set("PATCHES_DOWN", down)
            .set("PATCHES_ACROSS", across);
        let grid = [columns.div_ceil(c), rows.div_ceil(r)];
        Variant { overrides, ..Variant::new(format!("{r} x {c}{by}{deep}"), grid) }
    }
}

/// One patch.
const ONE: [usize; 2] = [1; 2];

/// Tilings for results of any size.
const TILINGS: [Tiling; 9] = [
    Tiling::new([TILE, TILE], ONE),
    Tiling::new([16, 16], ONE),
    Tiling::new([16, 32], ONE),
    Tiling::new([32, 16], ONE),
    Tiling::new([32, 64], ONE),
    Tiling::new([64, 32], ONE),
    Tiling::new([64, 64], [2, 2]),
    Tiling::new([64, 128], [2, 2]),
    Tiling::new([128, 64], [2, 2]),
];

/// The sizes of a matrix product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProductSizes {
    /// Rows of the result.
    pub(crate) rows: usize,
    /// Products that are added up for an element.
    pub(crate) depth: usize,
    /// Columns of the result.
    pub(crate) columns: usize,
}

impl ProductSizes {
    /// The ways to cut the result into tiles. The first has the usual tile, or a fitted one where that leaves less of it
    /// empty.
    pub(crate) fn variants(self) -> Vec<Variant> {
        let places = |tiling: &Tiling| tiling.places(self);
        let usual = [TILINGS[0]].into_iter().chain(self.fitted(1)).min_by_key(places);
        let usual = usual.unwrap_or(TILINGS[0]);
        let of_any_size = TILINGS.into_iter().chain(self.fitted(1)).chain(self.fitted(2));
        // Where a side is twice as long as the result's, half would do.
        let useful = of_any_size
            .filter(|tiling| tiling.sides[0] / 2 < self.rows && tiling.sides[1] / 2 < self.columns);
        let deep = Tiling { depth: 2 * DEPTH, ..usual };
        let tilings: Vec<Tiling> = [usual].into_iter().chain(useful).chain([deep]).collect();
        // On llvmpipe 8 x 8 by each thread are nearly twice as fast: operands are loaded number by number there.
        let software =
            tilings.iter().filter(|tiling| tiling.patches != ONE).min_by_key(|tiling| places(tiling));
        let mut variants: Vec<Variant> = Vec::new();
        for tiling in &tilings {
            let variant = Variant { software: Some(tiling) == software, ..tiling.variant(self) };
            if variants.iter().all(|other| other.overrides != variant.overrides) {
                variants.push(variant);
            }
        }
        variants
    }

    /// Those that need no more partial sums, one per workgroup, than there is room for.
    pub(crate) fn variants_with_sums(self) -> Vec<Variant> {
        let mut variants = self.variants();
        variants.retain(|variant| variant.grid[0] * variant.grid[1] <= self.parts());
        variants
    }

    /// Partial sums for which there is room: those of the first variant, and of some smaller tiles.
    pub(crate) fn parts(self) -> usize {
        self.rows.div_ceil(TILE / 2) * self.columns.div_ceil(TILE)
    }

    /// Tilings as wide or as high as a small result itself.
    fn fitted(self, patches: usize) -> impl Iterator<Item = Tiling> {
        let side = |side: usize| (side <= 2 * TILE).then(|| side.next_multiple_of(FITTED_UNIT));
        let wide = side(self.columns).map(|columns| Tiling::new([patches * TILE, columns], [patches, 1]));
        let high = side(self.rows).map(|rows| Tiling::new([rows, patches * TILE], [1, patches]));
        wide.into_iter().chain(high)
    }

    /// The name under which a measured choice among the variants is kept.
    pub(crate) fn tuning_key(self, spec: &Spec) -> Option<String> {
        Some(format!("{} {} x {} x {}", spec.name, self.rows, self.depth, self.columns))
    }

    /// Floating-point operations.
    pub(crate) fn flop(self) -> usize {
        2 * self.rows * self.depth * self.columns
    }

    /// Threads of the workgroups of plain shaders.
    pub(crate) const PLAIN_THREADS: usize = 64;

    /// The variant with `shaders/lib/plain.wgsl` in its source; with partial sums in parts like the first variant's.
    pub(crate) fn plain(self, source: &'static str, overrides: Overrides, sums: bool) -> Variant {
        let usual = self.variants().into_iter().next().filter(|_| sums);
        let (sides, grid) = usual.map_or_else(
            || {
                let grid = [self.columns.div_ceil(Self::PLAIN_THREADS), self.rows];
                (Overrides::of("ROWS", 1usize).set("COLUMNS", Self::PLAIN_THREADS), grid)
            },
            |usual| {
                let is_side = |(name, _): &(&str, f64)| ["ROWS", "COLUMNS"].contains(name);
                (Overrides(usual.overrides.0.into_iter().filter(is_side).collect()), usual.grid)
            },
        );
        Variant::plain(source, overrides.and(sides).set("THREADS", Self::PLAIN_THREADS), grid)
    }
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
pub(crate) fn multiply<const T: usize>(
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

/// [`multiply`] for the block of the result at `origin`, on about `threads` threads; `multiply` is given a block of
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
        let product = |rows, columns| ProductSizes { rows, depth: 300, columns };
        let first = |rows, columns| product(rows, columns).variants().swap_remove(0).name;
        assert_eq!(first(128, 784), "32 x 32");
        assert_eq!(first(128, 40), "32 x 40");
        assert_eq!(first(40, 301), "40 x 32");
        assert_eq!(first(1, 1), "32 x 8");
        for rows in 1..140 {
            for columns in 1..140 {
                let product = product(rows, columns);
                let [all, with_sums] = [product.variants(), product.variants_with_sums()];
                assert_eq!(with_sums[0], all[0], "the first of {rows} x {columns} is among them");
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
                    multiply(
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
