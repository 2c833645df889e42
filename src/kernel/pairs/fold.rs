//! Adds the parts of [`super::pair_sums`], [`super::pair_forms`] and [`super::pair_products`] to what they are parts of.
//!
//! ```text
//! rows      sums[class(J), I, k, row r] += sum over J of row_parts[I, J, k, r]
//! columns   sums[class(I), J, k, column c] += sum over I < J of column_parts[I, J, k, c]
//! forms     sums[I, b] += sum over J of form_parts[I, J, b]
//! bins      sums[I, bin] += sum over J in the bin, r of row_parts[I, J, r].k
//! ```
//!
//! Sums of points: `(2, blocks, kernels, block, 2)`, with the points of X and with those of Y, of k and of k^2. Forms:
//! `(blocks, draws)`; the host adds up the row blocks in f64, as one f32 total of a large sample would be too coarse.
//! Bins: `(blocks, bins)`, a bin being several blocks of one sample; this table is all that a test needs whose
//! permutations move whole bins (Domingo-Enrich, Dwivedi, Mackey, "Cheap permutation testing", arXiv 2502.07672).
//! Always in the order of the blocks, so that the same run gives the same bits.

use super::Pairs;
use super::cases::case_pairs;
use super::pair_sums::TERMS;
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};

/// The parts that are added up: the values of KIND in the shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// Those of the rows of each tile, of several kernels.
    Rows(usize),
    /// Those of the columns.
    Columns(usize),
    /// The forms of each tile, of several vectors.
    Forms(usize),
    /// Those of the rows, into bins of several blocks.
    Bins(usize),
}

/// Adds one step's parts.
#[derive(Clone, Debug)]
pub struct Fold {
    /// Which pairs of what.
    pub pairs: Pairs,
    /// The parts that are added up.
    pub parts: Parts,
}

pub(crate) static SPEC: Spec =
    Spec::new("fold", "sums[block, item] += its parts", wgsl!("pairs/fold", "tiles", "step"))
        .reads(&["parts"])
        .writes(&["sums"])
        .cases(cases);

/// Threads of a workgroup; each adds up one item of a block.
const THREADS: usize = 64;

impl Fold {
    /// Numbers of a block in `sums`, for each class.
    fn items(&self) -> usize {
        match self.parts {
            Parts::Rows(kernels) | Parts::Columns(kernels) => kernels * self.pairs.layout.block * TERMS,
            Parts::Forms(draws) => draws,
            Parts::Bins(_) => self.bins(),
        }
    }

    /// Words of `sums`.
    pub fn sums_len(&self) -> usize {
        let classes = if matches!(self.parts, Parts::Rows(_) | Parts::Columns(_)) { 2 } else { 1 };
        classes * self.pairs.layout.blocks() * self.items()
    }

    /// Numbers of a part.
    fn part_len(&self) -> usize {
        if let Parts::Bins(_) = self.parts { self.pairs.layout.block * TERMS } else { self.items() }
    }

    /// Blocks of a bin.
    pub fn blocks_per_bin(&self) -> usize {
        if let Parts::Bins(blocks) = self.parts { blocks } else { 1 }
    }

    /// Bins of X.
    pub fn bins_of_x(&self) -> usize {
        self.pairs.layout.blocks_of_x().div_ceil(self.blocks_per_bin())
    }

    /// Bins of both samples.
    pub fn bins(&self) -> usize {
        let blocks_of_y = self.pairs.layout.blocks() - self.pairs.layout.blocks_of_x();
        self.bins_of_x() + blocks_of_y.div_ceil(self.blocks_per_bin())
    }

    /// The bin of block `i`.
    pub fn bin(&self, i: usize) -> usize {
        match i.checked_sub(self.pairs.layout.blocks_of_x()) {
            None => i / self.blocks_per_bin(),
            Some(i) => self.bins_of_x() + i / self.blocks_per_bin(),
        }
    }
}

impl Kernel for Fold {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let parts = self.pairs.layout.slab * self.pairs.layout.band() * self.part_len();
        Shape::new([parts], [self.sums_len()], parts)
    }

    fn params(&self) -> Vec<u32> {
        [self.pairs.params(), words([self.pairs.layout.slab, self.items(), self.blocks_per_bin()])].concat()
    }

    fn overrides(&self) -> Overrides {
        let kind: u8 = match self.parts {
            Parts::Rows(_) => 0,
            Parts::Columns(_) => 1,
            Parts::Forms(_) => 2,
            Parts::Bins(_) => 3,
        };
        Overrides::of("THREADS", THREADS).set("KIND", kind)
    }

    fn variants(&self) -> Vec<Variant> {
        let pairs = &self.pairs;
        let blocks = match self.parts {
            Parts::Columns(_) if pairs.layout.band() < pairs.layout.slice => {
                pairs.layout.slab + pairs.layout.band() - 1
            }
            Parts::Columns(_) => pairs.layout.slice,
            _ => pairs.layout.slab,
        };
        let iterations = match self.parts {
            Parts::Bins(blocks) => pairs.layout.band() + blocks.min(pairs.layout.band()) * pairs.layout.block,
            _ => 0,
        };
        vec![Variant::new("", [self.items().div_ceil(THREADS), blocks]).iterations(iterations)]
    }

    /// What each number of `sums` gains.
    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let ([parts], [sums]) = buffers.split();
        let Self { pairs, .. } = self;
        let (items, blocks, terms) = (self.items(), pairs.layout.blocks(), pairs.layout.block * TERMS);
        let tiles: Vec<_> = pairs.layout.reference_tiles(step).collect();
        for (at, sum) in sums.iter_mut().enumerate() {
            let (class, block, item) = (at / items / blocks, at / items % blocks, at % items);
            for tile in &tiles {
                let part = &parts[pairs.layout.part(tile) * self.part_len()..][..self.part_len()];
                let sum_of_rows = || part[..tile.rows * TERMS].iter().step_by(TERMS).sum::<f64>();
                let own = |count: usize| item % terms < count * TERMS;
                *sum += match self.parts {
                    Parts::Rows(_)
                        if tile.i == block && pairs.layout.class(tile.j) == class && own(tile.rows) =>
                    {
                        part[item]
                    }
                    Parts::Columns(_)
                        if tile.i < tile.j
                            && tile.j == block
                            && pairs.layout.class(tile.i) == class
                            && own(tile.columns) =>
                    {
                        part[item]
                    }
                    Parts::Forms(_) if tile.i == block => part[item],
                    Parts::Bins(_) if tile.i == block && self.bin(tile.j) == item => sum_of_rows(),
                    _ => 0.0,
                };
            }
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let ([parts], [sums]) = buffers.split();
        let Self { pairs, .. } = self;
        let (items, half, terms) = (self.items(), sums.len() / 2, pairs.layout.block * TERMS);
        let add = |sums: &mut [f32], part: &[f32]| {
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        };
        for tile in pairs.layout.tiles(step) {
            let part = &parts[pairs.layout.part(&tile) * self.part_len()..][..self.part_len()];
            let (block, other, count) = match self.parts {
                Parts::Columns(_) if tile.i == tile.j => continue,
                Parts::Columns(_) => (tile.j, tile.i, tile.columns),
                _ => (tile.i, tile.j, tile.rows),
            };
            match self.parts {
                Parts::Rows(_) | Parts::Columns(_) => {
                    let sums = &mut sums[pairs.layout.class(other) * half + block * items..][..items];
                    for (sums, part) in sums.chunks_exact_mut(terms).zip(part.chunks_exact(terms)) {
                        add(&mut sums[..count * TERMS], part);
                    }
                }
                Parts::Forms(_) => add(&mut sums[block * items..][..items], part),
                Parts::Bins(_) => {
                    let rows = part[..count * TERMS].iter().step_by(TERMS);
                    sums[block * items + self.bin(other)] += rows.copied().sum::<f32>();
                }
            }
        }
    }

    fn tolerance(&self) -> f64 {
        // A bin's parts are sums of a block's rows.
        f64::from(f32::EPSILON) * if let Parts::Bins(_) = self.parts { 16.0 } else { 4.0 }
    }
}

fn cases() -> Vec<Case> {
    let each = case_pairs().into_iter().enumerate().flat_map(|(i, (pairs, step))| {
        let (draws, blocks) = ([1, 3, 64, 65][i % 4], 1 + i % 3);
        [
            Parts::Rows(1),
            Parts::Columns(1),
            Parts::Rows(2),
            Parts::Columns(3),
            Parts::Forms(draws),
            Parts::Bins(blocks),
        ]
        .map(|parts| Case { step, ..Case::new(Fold { pairs, parts }) })
    });
    each.map(|case| case.map("sums", |i, _| (i % 13) as f32)).collect()
}
