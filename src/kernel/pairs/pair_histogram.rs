//! How many pairs have which distance: one digit of a radix selection, which finds the median distance without
//! storing or sorting distances.
//!
//! ```text
//! u(r, c) = bits of the f32 distance of row r and column c, as a whole number: it grows with the distance
//! counts[I, J, v] = how many r, c with u >> (shift + width) = prefix and v = (u >> shift) mod 2^width
//! ```
//!
//! `prefix`: one word; `counts: (slab, band, BINS)`, whole numbers. Each pair of different points counts once:
//! of a block with itself, only pairs r < c.

use super::cases::case_pairs;
use super::values::Scratch;
use super::{Family, Form, Pairs, Value};
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use rayon::prelude::*;

/// Counts distances by one digit of their bits.
#[derive(Clone, Debug)]
pub struct PairHistogram {
    /// Which pairs of what; the family says which distance.
    pub pairs: Pairs,
    /// Bits below the digit.
    pub shift: usize,
    /// Bits of the digit.
    pub width: usize,
}

pub(crate) static SPEC: Spec = Spec::new(
    "pair_histogram",
    "how many distances have which digit",
    wgsl!("pairs/pair_histogram", "distances", "tiles", "product", "step"),
)
.reads(&["rows", "columns", "prefix"])
.writes(&["counts"])
.words(&["prefix"])
.cases(cases);

/// Values of a digit at most.
pub const BINS: usize = 2048;

/// (shift, width) of the digits of a positive f32, from the first: its sign is no part of them.
pub const DIGITS: [(usize, usize); 3] = [(20, 11), (10, 10), (0, 10)];

impl PairHistogram {
    /// The digit of a distance, if the ones before it are `prefix`.
    fn digit(&self, distance: f32, prefix: u32) -> Option<usize> {
        let bits = distance.to_bits();
        (bits >> (self.shift + self.width) == prefix)
            .then(|| (bits >> self.shift & ((1 << self.width) - 1)) as usize)
    }
}

impl Kernel for PairHistogram {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let pairs = &self.pairs;
        Shape::new(
            [pairs.slice_len(), pairs.slice_len(), 1],
            [pairs.layout.slab * pairs.layout.band() * BINS],
            pairs.layout.evaluations() * pairs.function.flop_each(),
        )
    }

    fn params(&self) -> Vec<u32> {
        [self.pairs.params(), words([self.shift, self.width])].concat()
    }

    fn overrides(&self) -> Overrides {
        self.pairs.distance_overrides().set("BINS", BINS)
    }

    fn variants(&self) -> Vec<Variant> {
        self.pairs.one_variant(self.pairs.iterations(0, 1))
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let ([rows, columns, prefix], [counts]) = buffers.split();
        for tile in self.pairs.layout.reference_tiles(step) {
            let counts = &mut counts[self.pairs.layout.part(&tile) * BINS..][..BINS];
            counts.fill(0.0);
            for r in 0..tile.rows {
                for c in (0..tile.columns).filter(|&c| tile.i < tile.j || r < c) {
                    let x = self.pairs.numbers(rows, tile.first_row + r, self.pairs.function.d);
                    let z = self.pairs.numbers(columns, tile.first_column + c, self.pairs.function.d);
                    let distance = self.pairs.function.family.distance(&x, &z);
                    if let Some(digit) = self.digit(distance as f32, prefix[0] as u32) {
                        counts[digit] += 1.0;
                    }
                }
            }
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let ([rows, columns, prefix], [counts]) = buffers.split();
        let prefix = prefix[0].to_bits();
        counts.par_chunks_exact_mut(BINS).enumerate().for_each_init(
            Scratch::default,
            |scratch, (index, counts)| {
                let (y, x) = (index / self.pairs.layout.band(), index % self.pairs.layout.band());
                let Some(tile) = self.pairs.layout.tile(step, y, x) else { return };
                counts.fill(0.0);
                self.pairs.distances([rows, columns], &tile, scratch, |first, strip| {
                    for (r, row) in strip.chunks_exact(tile.width()).enumerate() {
                        let later = if tile.i == tile.j { first + r + 1 } else { 0 };
                        for &distance in &row[later.min(tile.columns)..tile.columns] {
                            if let Some(digit) = self.digit(distance, prefix) {
                                counts[digit] += 1.0;
                            }
                        }
                    }
                });
            },
        );
    }

    fn tolerance(&self) -> f64 {
        // Counts are whole numbers, and the cases' distances are exact.
        f64::from(f32::EPSILON)
    }
}

fn cases() -> Vec<Case> {
    let kept = case_pairs().into_iter().filter(|(pairs, _)| {
        let plain = pairs.function.value == Value::Kernel && pairs.function.form == Form::Differences;
        plain && !pairs.layout.cross && pairs.function.family != Family::Imq
    });
    kept.enumerate()
        .map(|(i, (pairs, step))| {
            let (shift, width) = DIGITS[i % 2];
            let case = Case::new(PairHistogram { pairs, shift, width });
            // Small whole coordinates: distances without rounding. The second digit is counted from 4 on.
            let whole = |_: usize, v: f32| (3.0 * v).round();
            Case { step, ..case }
                .map("rows", whole)
                .map("columns", whole)
                .map("prefix", move |_, _| f32::from_bits(if shift == 20 { 0 } else { 4f32.to_bits() >> 20 }))
        })
        .collect()
}
