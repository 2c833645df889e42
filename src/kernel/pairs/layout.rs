//! Two samples in blocks: where their points lie, and which tiles of blocks a step takes.

use super::lanes::LANES;
use crate::kernel::product::TILE;
use crate::program::Step;

/// Most points of a block: its kernel values with another block stay in a core's second-level cache.
pub const MOST_POINTS: usize = 288;

/// The reach that takes all pairs.
pub const UNLIMITED: usize = usize::MAX;

/// Two samples in blocks, and how their pairs are worked through.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Points of X.
    pub n: usize,
    /// Points of Y.
    pub m: usize,
    /// Points of a block, at most [`MOST_POINTS`].
    pub block: usize,
    /// Blocks of a slice: of the buffers `rows` and `columns`.
    pub slice: usize,
    /// Row blocks of a step.
    pub slab: usize,
    /// Take only pairs of a point of X and one of Y.
    pub cross: bool,
    /// Items whose numbers differ by more are no pair; of one sample only, and at least 1.
    pub reach: usize,
}

/// Two blocks whose pairs are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// Position of the row block in the slab.
    pub(super) y: usize,
    /// Position of the column block in its band.
    pub(super) x: usize,
    /// Place of the first row in its slice's buffer.
    pub(super) first_row: usize,
    /// Place of the first column in its slice's buffer.
    pub(super) first_column: usize,
    /// Which block of all the rows are.
    pub(super) i: usize,
    /// Which block of all the columns are.
    pub(super) j: usize,
    /// Rows that are points.
    pub(super) rows: usize,
    /// Columns that are points.
    pub(super) columns: usize,
}

impl Layout {
    /// All pairs of n and m points, in the largest blocks, a block at a time.
    pub fn new([n, m]: [usize; 2]) -> Self {
        Self { n, m, block: MOST_POINTS, slice: 1, slab: 1, cross: false, reach: UNLIMITED }
    }

    /// Blocks of X.
    pub fn blocks_of_x(&self) -> usize {
        self.n.div_ceil(self.block)
    }

    /// Blocks of both samples.
    pub fn blocks(&self) -> usize {
        self.blocks_of_x() + self.m.div_ceil(self.block)
    }

    /// Points of block `i` that are no padding.
    pub fn count(&self, i: usize) -> usize {
        let (sample, i) = match i.checked_sub(self.blocks_of_x()) {
            None => (self.n, i),
            Some(i) => (self.m, i),
        };
        self.block.min(sample.saturating_sub(i * self.block))
    }

    /// 0 for a block of X, 1 for one of Y.
    pub fn class(&self, i: usize) -> usize {
        usize::from(i >= self.blocks_of_x())
    }

    /// Places for points of a block, in whole groups.
    pub fn pitch(&self) -> usize {
        self.block.next_multiple_of(LANES)
    }

    /// How many blocks after a row block have columns in its reach.
    pub fn blocks_in_reach(&self) -> usize {
        self.reach.div_ceil(self.block)
    }

    /// Column blocks of a row block of a step: those of a slice, or fewer if only fewer are in reach.
    pub fn band(&self) -> usize {
        self.blocks_in_reach().saturating_add(1).min(self.slice)
    }

    /// Position of a tile's numbers in the buffers of parts, `(slab, band)`.
    pub(super) fn part(&self, tile: &Tile) -> usize {
        tile.y * self.band() + tile.x
    }

    /// The tile at a position of the slab and of the band, if its pairs are wanted.
    pub(super) fn tile(&self, step: &Step, y: usize, x: usize) -> Option<Tile> {
        let (row_block, columns_at) = (step.first as usize + y, step.columns_at as usize);
        let i = step.rows_at as usize + row_block;
        let j = x + if self.band() < self.slice { i } else { columns_at };
        let column_block = j.checked_sub(columns_at)?;
        let last = self.blocks();
        let wanted = row_block < self.slice && column_block < self.slice && i < last && j < last && i <= j;
        let wanted = wanted && j - i <= self.blocks_in_reach();
        let crossed = !self.cross || self.class(i) != self.class(j);
        (wanted && crossed).then(|| self.tile_at([y, x], [row_block, column_block], [i, j]))
    }

    fn tile_at(&self, [y, x]: [usize; 2], place: [usize; 2], [i, j]: [usize; 2]) -> Tile {
        let [first_row, first_column] = place.map(|block| block * self.pitch());
        Tile { y, x, first_row, first_column, i, j, rows: self.count(i), columns: self.count(j) }
    }

    /// The truth about a step: of all blocks I and J, with I in the slab and both in their slices, those with I <= J and
    /// some pair of items in reach; with `cross`, of different samples.
    pub(super) fn reference_tiles(&self, step: &Step) -> impl Iterator<Item = Tile> {
        let [first, rows_at, columns_at] =
            [step.first, step.rows_at, step.columns_at].map(|block| block as usize);
        let slice = |at: usize| at..(at + self.slice).min(self.blocks());
        let in_slab = move |i: usize| (first..first + self.slab).contains(&(i - rows_at));
        let last_item = |i: usize| i * self.block + self.block - 1;
        let near = move |i: usize, j: usize| i == j || (i < j && j * self.block - last_item(i) <= self.reach);
        let sample = |i: usize| i * self.block < self.blocks_of_x() * self.block;
        slice(rows_at).filter(move |&i| in_slab(i)).flat_map(move |i| {
            let wanted = move |j: &usize| near(i, *j) && !(self.cross && sample(i) == sample(*j));
            slice(columns_at).filter(wanted).map(move |j| {
                let x = if self.band() < self.slice { j - i } else { j - columns_at };
                self.tile_at([i - rows_at - first, x], [i - rows_at, j - columns_at], [i, j])
            })
        })
    }

    /// All tiles of a step.
    pub(super) fn tiles(&self, step: &Step) -> impl Iterator<Item = Tile> {
        (0..self.slab).flat_map(move |y| (0..self.band()).filter_map(move |x| self.tile(step, y, x)))
    }

    /// Kernel values of a step at most.
    pub(super) fn evaluations(&self) -> usize {
        self.slab * self.band() * self.block * self.block
    }

    /// Tiles side by side of a pair of blocks that pair_sums takes together: up to `most`, or fewer if that leaves less of
    /// the last strip empty.
    pub(super) fn strip(&self, most: usize) -> usize {
        let tiles = self.block.div_ceil(TILE);
        tiles.div_ceil(tiles.div_ceil(most))
    }

    /// The columns of a tile that are in reach of row `r`.
    pub(super) fn columns_in_reach(&self, tile: &Tile, r: usize) -> std::ops::Range<usize> {
        let (row, first) = (tile.i * self.block + r, tile.j * self.block);
        let at = |item: usize| item.saturating_sub(first).min(tile.columns);
        at(row.saturating_sub(self.reach))..at(row.saturating_add(self.reach).saturating_add(1))
    }
}

impl Tile {
    /// Columns in whole groups.
    pub(super) fn width(&self) -> usize {
        self.columns.next_multiple_of(LANES)
    }
}
