//! Quadratic forms of the kernel matrix with many 0/1 vectors at once, beside the sums of
//! [`super::pair_sums`]: all permutations of a test from one evaluation of each kernel value.
//!
//! ```text
//! form_parts[I, J, k, b] = w sum over r, c of a_b[r] k(row r of block I, column c of block J) a_b[c]
//! w = 2 where I < J, 1 where I = J: the sum over all tiles is a_b' K a_b with a zero diagonal
//! ```
//!
//! Several kernels k of one family share all distances: `scales: (kernels, scales)`. k is taken less its centre.
//! `members`: the vectors a_b as bits, `(blocks * block / 32, draws)` words; bit p % 32 of word (p / 32, b) is
//! a_b of point p. `form_parts: (slab, band, kernels, draws)`, `row_parts, column_parts: (slab, band, kernels, block,
//! 2)`; the rest as in [`super::pair_sums`].
//!
//! On the CPU a tile of K is multiplied with the bits of its columns, as numbers, by faer; on the GPU the tile
//! lies in workgroup memory and each thread takes one vector at a time.

use super::cases::{case_pairs, fill};
use super::layout::Tile;
use super::pair_sums::{ColumnSums, TERMS, parts_len, reference_sums, row_sums};
use super::values::Scratch;
use super::{Pairs, tolerance};
use crate::kernel::product::{matrix, matrix_mut, serial};
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use multiversion::multiversion;
use rayon::prelude::*;

/// Sums and quadratic forms of each tile.
#[derive(Clone, Debug)]
pub struct PairForms {
    /// Which pairs of what; blocks are whole words of bits.
    pub pairs: Pairs,
    /// How many vectors.
    pub draws: usize,
    /// How many kernels.
    pub kernels: usize,
}

pub(crate) static SPEC: Spec = Spec::new(
    "pair_forms",
    "pair_sums, and a_b' K a_b for many bit vectors a_b",
    wgsl!(
        "pairs/pair_forms",
        "pairs",
        "values",
        "family",
        "exponential",
        "distances",
        "tiles",
        "product",
        "step"
    ),
)
.reads(&["rows", "columns", "scales", "members"])
.writes(&["row_parts", "column_parts", "form_parts"])
.words(&["members"])
.cases(cases);

/// Points of a word of `members`.
pub const BITS: usize = u32::BITS as usize;

/// Vectors that are multiplied together on the CPU: their bits as numbers and the product stay in the
/// second-level cache.
const STRIP: usize = 480;

/// Words of `members`.
pub fn members_len(pairs: &Pairs, draws: usize) -> usize {
    pairs.layout.blocks() * pairs.layout.block / BITS * draws
}

/// How often a tile's form counts.
pub(super) fn weight(tile: &Tile) -> f32 {
    if tile.i < tile.j { 2.0 } else { 1.0 }
}

impl PairForms {
    /// The words of the rows or columns of block `i`.
    fn words<'a, T>(&self, members: &'a [T], i: usize) -> &'a [T] {
        let len = self.pairs.layout.block / BITS * self.draws;
        &members[i * len..][..len]
    }
}

impl Kernel for PairForms {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { pairs, draws, kernels } = self;
        let (scales, parts) = (kernels * pairs.function.scales_len(), kernels * parts_len(pairs));
        Shape::new(
            [pairs.slice_len(), pairs.slice_len(), scales, members_len(pairs, *draws)],
            [parts, parts, pairs.layout.slab * pairs.layout.band() * kernels * draws],
            pairs.layout.evaluations() * kernels * (pairs.function.flop_each() + 2 * draws),
        )
    }

    fn params(&self) -> Vec<u32> {
        [self.pairs.params(), words([self.draws, self.kernels])].concat()
    }

    fn overrides(&self) -> Overrides {
        self.pairs.value_overrides().set("SQUARES", true)
    }

    fn variants(&self) -> Vec<Variant> {
        self.pairs.one_variant(self.pairs.iterations(self.draws, self.kernels))
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let ([rows, columns, scales, members], [row_parts, column_parts, form_parts]) = buffers.split();
        let inputs = [rows, columns, scales];
        let bit =
            |words: &[f64], p: usize, b: usize| words[p / BITS * self.draws + b] as u32 >> (p % BITS) & 1;
        let scales = inputs[2].chunks_exact(self.pairs.function.scales_len()).enumerate();
        for (tile, (kernel, scales)) in
            self.pairs.layout.reference_tiles(step).flat_map(|tile| scales.clone().map(move |s| (tile, s)))
        {
            let inputs = [rows, columns, scales];
            let part = self.pairs.layout.part(&tile) * self.kernels + kernel;
            reference_sums(&self.pairs, true, inputs, &tile, part, [&mut *row_parts, &mut *column_parts]);
            let (row_words, column_words) = (self.words(members, tile.i), self.words(members, tile.j));
            for b in 0..self.draws {
                let mut form = 0.0;
                for r in (0..tile.rows).filter(|&r| bit(row_words, r, b) == 1) {
                    for c in (0..tile.columns).filter(|&c| bit(column_words, c, b) == 1) {
                        form += self.pairs.truth(inputs, &tile, [r, c]);
                    }
                }
                form_parts[part * self.draws + b] = f64::from(weight(&tile)) * form;
            }
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let ([rows, columns, scales, members], [row_parts, column_parts, form_parts]) = buffers.split();
        let inputs = [rows, columns, scales];
        let members: &[u32] = bytemuck::cast_slice(members);
        let part = self.pairs.layout.block * TERMS;
        let chunk = self.kernels * part;
        let sums = row_parts.par_chunks_exact_mut(chunk).zip(column_parts.par_chunks_exact_mut(chunk));
        let parts = sums.zip(form_parts.par_chunks_exact_mut(self.kernels * self.draws));
        let columns = || (0..self.kernels).map(|_| ColumnSums::default()).collect::<Vec<_>>();
        let scratch = || (Scratch::default(), columns(), FormScratch::default());
        parts.enumerate().for_each_init(
            scratch,
            |(scratch, columns, product), (index, ((row, column), forms))| {
                let (y, x) = (index / self.pairs.layout.band(), index % self.pairs.layout.band());
                if let Some(tile) = self.pairs.layout.tile(step, y, x) {
                    let width = tile.width();
                    let size = tile.rows * width;
                    columns.iter_mut().for_each(|columns| columns.clear(width));
                    product.values.resize(self.kernels * size, 0.0);
                    self.pairs.values(inputs, &tile, scratch, |kernel, first, values| {
                        row_sums::<true>(values, width, &mut row[kernel * part + first * TERMS..]);
                        columns[kernel].add::<true>(values);
                        let at = kernel * size + first * width;
                        product.values[at..][..values.len()].copy_from_slice(values);
                    });
                    for (columns, column) in columns.iter_mut().zip(column.chunks_exact_mut(part)) {
                        columns.finish(&tile, column);
                    }
                    self.forms(members, &tile, product, forms);
                }
            },
        );
    }

    fn tolerance(&self) -> f64 {
        tolerance(&self.pairs)
    }
}

/// Memory of one thread for a product of a tile with bits.
#[derive(Default)]
struct FormScratch {
    /// The tile of K of each kernel, `(kernels, rows, width)`.
    values: Vec<f32>,
    /// Bits of the columns as numbers, `(columns, strip)`.
    bits: Vec<f32>,
    /// K times them, `(rows, strip)`.
    product: Vec<f32>,
    /// Sums of a few rows of that.
    group: Vec<f32>,
}

impl PairForms {
    fn forms(&self, members: &[u32], tile: &Tile, memory: &mut FormScratch, forms: &mut [f32]) {
        let (block, draws) = (self.pairs.layout.block, self.draws);
        let (row_words, column_words) = (self.words(members, tile.i), self.words(members, tile.j));
        for first in (0..draws).step_by(STRIP) {
            let strip = STRIP.min(draws - first);
            memory.bits.resize(block * strip, 0.0);
            memory.product.resize(block * strip, 0.0);
            for (word, bits) in memory.bits.chunks_exact_mut(BITS * strip).enumerate() {
                expand(&column_words[word * draws + first..][..strip], bits);
            }
            let kernels =
                memory.values.chunks_exact(tile.rows * tile.width()).zip(forms.chunks_exact_mut(draws));
            for (values, forms) in kernels {
                serial(
                    matrix_mut(&mut memory.product, tile.rows, strip),
                    matrix(values, tile.rows, tile.width()).subcols(0, tile.columns),
                    matrix(&memory.bits, tile.columns, strip),
                );
                let forms = &mut forms[first..][..strip];
                forms.fill(0.0);
                memory.group.resize(strip, 0.0);
                let rows = memory.product[..tile.rows * strip].chunks(BITS * strip);
                for (word, rows) in rows.enumerate() {
                    let words = &row_words[word * draws + first..][..strip];
                    select(rows, words, &mut memory.group, forms);
                }
                forms.iter_mut().for_each(|form| *form *= weight(tile));
            }
        }
    }
}

/// Bit p of word b as the number at (p, b).
#[multiversion(targets = "simd")]
fn expand(words: &[u32], numbers: &mut [f32]) {
    for (p, numbers) in numbers.chunks_exact_mut(words.len()).enumerate() {
        for (number, word) in numbers.iter_mut().zip(words) {
            *number = (word >> p & 1) as f32;
        }
    }
}

/// Adds row p of `rows` to `sums` where bit p of the words is set; `group` holds the sum of these rows alone,
/// which rounds less.
#[multiversion(targets = "simd")]
fn select(rows: &[f32], words: &[u32], group: &mut [f32], sums: &mut [f32]) {
    group.fill(0.0);
    for (p, row) in rows.chunks_exact(words.len()).enumerate() {
        for ((sum, word), value) in group.iter_mut().zip(words).zip(row) {
            *sum += if word >> p & 1 == 1 { *value } else { 0.0 };
        }
    }
    sums.iter_mut().zip(group).for_each(|(sum, group)| *sum += *group);
}

fn cases() -> Vec<Case> {
    let draws = [1, 3, 64, 65, 130, 2, 7, 5, 600, 4, 31, 9, 33].into_iter().cycle();
    case_pairs()
        .into_iter()
        .zip(draws)
        .zip([1, 2, 1, 3].into_iter().cycle())
        .map(|(((pairs, step), draws), kernels)| {
            let case = Case::new(PairForms { pairs, draws, kernels });
            let bits = |i: usize| crate::random::philox([i as u32, 0, 0, 0], [8, 9])[0];
            Case { step, ..fill(case, &pairs) }.map("members", |i, _| f32::from_bits(bits(i)))
        })
        .collect()
}
