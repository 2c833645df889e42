//! Sums of products of two kernels over pairs of paired points (`x_i`, `y_i`), for many orders of y at once: all
//! permutations of an independence test from one evaluation of the kernel of x.
//!
//! ```text
//! form_parts[I, J, b] = w sum over r, c of k(row r of block I, column c of block J) l(y[o_b(r)], y[o_b(c)])
//! w = 2 where I < J, 1 where I = J: the sum over all tiles is that over all i != j of k(x_i, x_j) l(y_o(i), y_o(j))
//! ```
//!
//! `rows`, `columns`, `scales`: X as in [`super`]; `y: (n, d_second)`; `scales_second`: one a bandwidth; `order`:
//! o_b(i) as words, `(draws, n)`. `form_parts: (slab, band, draws)`. k and l are taken less their centres.
//!
//! On the CPU a tile of K stays in the second-level cache while one tile of L after the other is made beside it; on
//! the GPU each thread keeps its part of K in registers for [`DRAWS`] orders.

use super::cases::{case_pairs, fill};
use super::layout::Tile;
use super::pair_forms::weight;
use super::pair_sums::total;
use super::values::Scratch;
use super::{Family, Function, LANES, Layout, Pairs, Second, tolerance};
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use multiversion::multiversion;
use rayon::prelude::*;

/// Products of two kernels of each tile.
#[derive(Clone, Debug)]
pub struct PairProducts {
    /// The pairs of X: one sample.
    pub pairs: Pairs,
    /// Those of Y: of as many points, in blocks of the same size, with distances from differences.
    pub second: Pairs,
    /// How many orders.
    pub draws: usize,
}

pub(crate) static SPEC: Spec = Spec::new(
    "pair_products",
    "sum of k(x, x') l(y, y') for many orders of y",
    wgsl!(
        "pairs/pair_products",
        "values",
        "family",
        "exponential",
        "distances",
        "tiles",
        "reduce",
        "product",
        "step"
    ),
)
.reads(&["rows", "columns", "scales", "second", "scales_second", "order"])
.writes(&["form_parts"])
.words(&["order"])
.cases(cases);

/// Orders of a workgroup: at most the eight sums that the shader has room for.
pub const DRAWS: usize = 8;

impl PairProducts {
    /// Loop iterations of a workgroup, a little more than there are.
    pub fn iterations(&self) -> usize {
        let tiles = self.pairs.layout.block.div_ceil(LANES).pow(2);
        let each = 6 + 4 * (1 + self.second.function.d + self.second.function.bandwidths);
        self.pairs.iterations(0, 1) + tiles * (2 + DRAWS * each) + 16 * DRAWS
    }

    /// The pairs of X with Y as their second variable.
    fn both(&self) -> Pairs {
        let Function { d, family, bandwidths, .. } = self.second.function;
        let second = Some(Second { d, family, bandwidths });
        Pairs { function: Function { second, ..self.pairs.function }, ..self.pairs }
    }

    /// The tile of Y in which the block's points lie from the start.
    fn tile_of_second(tile: &Tile) -> Tile {
        Tile { first_row: 0, first_column: 0, ..*tile }
    }
}

impl Kernel for PairProducts {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { pairs, second, draws } = self;
        let (n, slice) = (pairs.layout.n, pairs.slice_len());
        Shape::new(
            [
                slice,
                slice,
                pairs.function.scales_len(),
                n * second.function.d,
                second.function.bandwidths,
                draws * n,
            ],
            [pairs.layout.slab * pairs.layout.band() * draws],
            pairs.layout.evaluations()
                * (pairs.function.flop_each() + draws * (second.function.flop_each() + 2)),
        )
    }

    fn params(&self) -> Vec<u32> {
        [self.both().params(), words([self.draws])].concat()
    }

    fn overrides(&self) -> Overrides {
        self.both().value_overrides().set("DRAWS", DRAWS)
    }

    fn variants(&self) -> Vec<Variant> {
        let grid = [self.pairs.layout.band(), self.pairs.layout.slab * self.draws.div_ceil(DRAWS)];
        vec![Variant::new("", grid).iterations(self.iterations())]
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let ([rows, columns, scales, y, scales_second, order], [form_parts]) = buffers.split();
        let Self { pairs, second, draws } = self;
        let (n, d) = (pairs.layout.n, second.function.d);
        for tile in pairs.layout.reference_tiles(step) {
            let forms = &mut form_parts[pairs.layout.part(&tile) * draws..][..*draws];
            forms.fill(0.0);
            for r in 0..tile.rows {
                for c in 0..tile.columns {
                    let k = pairs.truth([rows, columns, scales], &tile, [r, c]);
                    for (form, order) in forms.iter_mut().zip(order.chunks_exact(n)) {
                        let [x, z] = [tile.i * pairs.layout.block + r, tile.j * pairs.layout.block + c]
                            .map(|i| &y[order[i] as usize * d..][..d]);
                        let distance = second.function.family.distance(x, z);
                        let l: f64 =
                            scales_second.iter().map(|&s| second.function.family.value(s, distance)).sum();
                        *form += f64::from(weight(&tile)) * k * (l - second.function.centre());
                    }
                }
            }
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let ([rows, columns, scales, y, scales_second, order], [form_parts]) = buffers.split();
        let order: &[u32] = bytemuck::cast_slice(order);
        let Self { pairs, second, draws } = self;
        form_parts.par_chunks_exact_mut(*draws).enumerate().for_each_init(
            ProductScratch::default,
            |memory, (index, forms)| {
                let (at, x) = (index / pairs.layout.band(), index % pairs.layout.band());
                let Some(tile) = pairs.layout.tile(step, at, x) else { return };
                let width = tile.width();
                memory.values.resize(tile.rows * width, 0.0);
                pairs.values([rows, columns, scales], &tile, &mut memory.scratch, |_, first, values| {
                    memory.values[first * width..][..values.len()].copy_from_slice(values);
                });
                let own = Self::tile_of_second(&tile);
                for (order, form) in order.chunks_exact(pairs.layout.n).zip(forms) {
                    gather(second, y, &order[tile.i * pairs.layout.block..][..tile.rows], &mut memory.rows);
                    gather(
                        second,
                        y,
                        &order[tile.j * pairs.layout.block..][..tile.columns],
                        &mut memory.columns,
                    );
                    let mut sum = 0.0;
                    let inputs = [&memory.rows[..], &memory.columns, scales_second];
                    second.values(inputs, &own, &mut memory.scratch, |_, first, l| {
                        sum += f64::from(dot(&memory.values[first * width..][..l.len()], l));
                    });
                    *form = weight(&tile) * sum as f32;
                }
            },
        );
    }

    fn tolerance(&self) -> f64 {
        tolerance(&self.pairs) + tolerance(&self.second)
    }
}

/// ProductScratch of one thread.
#[derive(Default)]
struct ProductScratch {
    scratch: Scratch,
    /// The tile of K, `(rows, width)`.
    values: Vec<f32>,
    /// Points of Y in groups.
    rows: Vec<f32>,
    columns: Vec<f32>,
}

/// Some points of Y, side by side in groups; the places without one keep what they have.
fn gather(pairs: &Pairs, y: &[f32], order: &[u32], groups: &mut Vec<f32>) {
    groups.resize(pairs.layout.pitch() * pairs.function.stride(), 0.0);
    for (place, &i) in order.iter().enumerate() {
        for (k, value) in y[i as usize * pairs.function.d..][..pairs.function.d].iter().enumerate() {
            groups[pairs.word(place, k)] = *value;
        }
    }
}

#[multiversion(targets = "simd")]
fn dot(k: &[f32], l: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for (k, l) in k.as_chunks::<LANES>().0.iter().zip(l.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            sums[lane] += k[lane] * l[lane];
        }
    }
    total(&sums)
}

fn cases() -> Vec<Case> {
    let others = [1usize, 2, 3, 5].into_iter().cycle();
    let draws = [1, 3, 8, 9, 17].into_iter().cycle();
    let one_sample =
        case_pairs().into_iter().filter(|(pairs, _)| !pairs.layout.cross && pairs.function.second.is_none());
    let families = case_pairs().into_iter().map(|(pairs, _)| pairs.function.family).cycle().skip(3);
    one_sample
        .map(|(pairs, step)| {
            let layout = Layout { n: pairs.layout.n + pairs.layout.m, m: 0, ..pairs.layout };
            let layout = Layout { slice: layout.slice.min(layout.blocks()), ..layout };
            (Pairs { layout, ..pairs }, step)
        })
        .filter(|(pairs, step)| pairs.layout.tiles(step).next().is_some())
        .zip(others)
        .zip(draws)
        .zip(families)
        .map(|((((pairs, step), d), draws), family)| {
            let second = Pairs { function: Function::kernel(family, 1, d), ..pairs };
            let n = pairs.layout.n;
            let case = Case::new(PairProducts { pairs, second, draws });
            // Any order will do: shifts by as many as the draw.
            let shifted = |i: usize| f32::from_bits(((i % n + i / n) % n) as u32);
            let label = |v: f32| if family == Family::Delta { (2.0 * v).round() } else { v };
            Case { step, ..fill(case, &pairs) }
                .map("order", |i, _| shifted(i))
                .map("second", |_, v| label(v))
                .map("scales_second", |_, _| family.scale(1.5) as f32)
        })
        .collect()
}
