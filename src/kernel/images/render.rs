//! The minibatch, where images are sprites: each drawn anew from its factors.
//!
//! ```text
//! x[b, :] = sprite factors[row(b)]     row(b) as in gather
//! x[b, :] = sprite floor(G w / 2^32)    fresh: w a random word of step and b, G the size of the grid
//! ```
//!
//! `factors: (N)` words, the number of each image in the grid of factors; `geometry`: [`sprites::geometry`];
//! `x: (B, 64, 64, channels)`, each of [`sprites::SHARES`]. Whole numbers decide which pixels are inside, so
//! that every engine draws the same ones ([`sprites`] has the formulas), and a data set is one word an image.

use super::gather::row;
use crate::data::sprites::{
    self, CORNERS, GEOMETRY_LEN, PIXELS, PLACES, POSES, SHAPES, SHARES, SHIFT, SIDE, Sprite, UNIT,
};
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use crate::random::{Stream, philox};
use rayon::prelude::*;

/// Which sprites make a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpriteOrder {
    /// Those of the data, as they are stored.
    Stored,
    /// Those of the data, in the shuffled order of the step's epoch.
    Shuffled,
    /// New ones in each step, from the whole grid of factors.
    Fresh,
}

/// Draws a batch of sprites.
#[derive(Clone, Debug)]
pub struct Render {
    /// B.
    pub batch: usize,
    /// N.
    pub images: usize,
    /// 1 for white shapes, 3 for coloured ones.
    pub channels: usize,
    /// Which sprites.
    pub order: SpriteOrder,
}

pub(crate) static SPEC: Spec = Spec::new(
    "render",
    "x[b, :] = sprite factors[row(b)], or a new one",
    wgsl!("images/render", "random", "shuffle", "step"),
)
.reads(&["factors", "geometry"])
.writes(&["x"])
.words(&["factors", "geometry"])
.cases(cases);

/// Threads of a workgroup.
const THREADS: usize = 64;

impl Render {
    /// The number of a sprite of the batch in the grid of factors.
    fn number(&self, step: &Step, b: usize, factors: impl Fn(usize) -> u32) -> u32 {
        match self.order {
            SpriteOrder::Fresh => {
                let [word, ..] = philox([b as u32, 0, step.number, Stream::Sprites as u32], step.seed);
                ((u64::from(word) * sprites::count(self.channels) as u64) >> 32) as u32
            }
            order => factors(row(step, b, self.images, order == SpriteOrder::Shuffled)),
        }
    }
}

/// Pixels of a thread: finding the row costs more than a pixel.
const RUN: usize = 4;

impl Kernel for Render {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let size = self.batch * PIXELS * self.channels;
        Shape {
            // Only the rows of the batch are read.
            bytes: (4 * (self.batch + GEOMETRY_LEN + size)) as u64,
            ..Shape::new([self.images, GEOMETRY_LEN], [size], size)
        }
    }

    fn params(&self) -> Vec<u32> {
        words([self.images, self.channels, sprites::count(self.channels)])
    }

    fn overrides(&self) -> Overrides {
        Overrides::of("THREADS", THREADS)
            .set("RUN", RUN)
            .set("SHUFFLE", self.order == SpriteOrder::Shuffled)
            .set("FRESH", self.order == SpriteOrder::Fresh)
            .set("STREAM", Stream::Sprites as u32)
            .set("SIDE", SIDE)
            .set("PLACES", PLACES)
            .set("POSES", POSES)
            .set("SHAPES", SHAPES.len())
            .set("UNIT", UNIT)
            .set("SHIFT", SHIFT)
            .set("CORNERS", CORNERS)
            .set("HALF", SHARES[1])
    }

    fn variants(&self) -> Vec<Variant> {
        Variant::only([PIXELS.div_ceil(RUN * THREADS), self.batch])
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let ([factors, geometry], [x]) = buffers.split();
        let geometry: Vec<i32> = geometry.iter().map(|&word| (word as u32).cast_signed()).collect();
        for b in 0..self.batch {
            let sprite = Sprite::of(self.number(step, b, |row| factors[row] as u32));
            for pixel in 0..PIXELS {
                let covered = sprite.covers(&geometry, [pixel % SIDE, pixel / SIDE]);
                for channel in 0..self.channels {
                    let level = if covered { sprite.level(channel) } else { 0 };
                    x[(b * PIXELS + pixel) * self.channels + channel] = f64::from(SHARES[level]);
                }
            }
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let ([factors, geometry], [x]) = buffers.split();
        let (factors, geometry): (&[u32], _) =
            (bytemuck::cast_slice(factors), bytemuck::cast_slice(geometry));
        let rows_each = self.batch.div_ceil(rayon::current_num_threads());
        let size = PIXELS * self.channels;
        x.par_chunks_mut(rows_each * size).enumerate().for_each(|(part, x)| {
            for (i, x) in x.chunks_exact_mut(size).enumerate() {
                let number = self.number(step, part * rows_each + i, |row| factors[row]);
                sprites::draw(Sprite::of(number), geometry, SHARES, x);
            }
        });
    }

    /// None: the pixels are the same ones.
    fn tolerance(&self) -> f64 {
        0.0
    }
}

fn cases() -> Vec<Case> {
    // The last has every pose once.
    let every = SHAPES.len() * POSES;
    let sizes = [
        (1, 1, 1, SpriteOrder::Stored),
        (3, 5, 3, SpriteOrder::Shuffled),
        (7, 97, 1, SpriteOrder::Shuffled),
        (5, 4, 3, SpriteOrder::Stored),
        (11, 4, 3, SpriteOrder::Fresh),
        (5, 4, 1, SpriteOrder::Fresh),
        (every, every, 1, SpriteOrder::Stored),
    ];
    sizes
        .map(|(batch, images, channels, order)| {
            let places = usize::from(PLACES).pow(2);
            // A pose, a place and a colour that no two neighbours share.
            let number = |i: usize| {
                let colour = if channels == 1 { 0 } else { i % sprites::COLOURS.len() };
                ((colour * every + (i * 7 + 479) % every) * places + i * 421 % places) as u32
            };
            Case::new(Render { batch, images, channels, order })
                .map("factors", |i, _| f32::from_bits(number(i)))
                .map("geometry", |i, _| f32::from_bits(sprites::geometry()[i].cast_unsigned()))
        })
        .into()
}
