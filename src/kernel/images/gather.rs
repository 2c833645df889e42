//! The minibatch: rows of the resident data set as numbers in 0..1.
//!
//! ```text
//! x[b, d] = data[row(b), d] / 255      row(b) = shuffled(first + b)   or   first + b
//! ```
//!
//! `data: (N, D)` bytes, or bits where all pixels are black or white, each row padded to whole 32-bit words, in up to four
//! slices of as many rows; `x: (B, D)`. Rows of a table are numbers, and are taken as they are.
//! The shuffled order is a keyed bijection of 0..N ([`crate::random::shuffled`]), so no list of indices exists anywhere.

use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use crate::random::shuffled;
use multiversion::multiversion;
use rayon::prelude::*;
use std::borrow::Cow;

/// Gathers a batch of images.
#[derive(Clone, Debug)]
pub struct Gather {
    /// B.
    pub batch: usize,
    /// N.
    pub images: usize,
    /// D.
    pub dimension: usize,
    /// How pixels are stored.
    pub packing: Packing,
    /// Rows of a slice: see [`rows_of_slice`].
    pub rows: usize,
    /// Take the rows in the shuffled order of the step's epoch instead of the stored one.
    pub shuffle: bool,
}

pub(crate) static SPEC: Spec =
    Spec::new("gather", "x[b, d] = data[row(b), d] / 255", wgsl!("images/gather", "shuffle", "step"))
        .reads(&DATA)
        .writes(&["x"])
        .words(&DATA)
        .cases(cases);

/// The slices of the data set, of which there may be fewer: the last one is then bound several times.
const DATA: [&str; 4] = ["data0", "data1", "data2", "data3"];

/// Bytes of a slice up to which there are more slices instead of larger ones: every WebGPU device can bind as many.
const SLICE: usize = 128 << 20;

/// Rows of `words` words each that a slice has of `images` such rows.
pub fn rows_of_slice(images: usize, words: usize) -> usize {
    let fit = (SLICE / (4 * words)).max(1);
    fit.max(images.div_ceil(DATA.len())).min(images)
}

/// How many rows each slice has of `images`, with `rows` in a full one.
pub fn slices(images: usize, rows: usize) -> Vec<usize> {
    (0..images).step_by(rows).map(|first| rows.min(images - first)).collect()
}

/// Which slice is bound to each name.
pub fn bound<T: Copy>(slices: &[T]) -> [(&'static str, T); DATA.len()] {
    std::array::from_fn(|i| (DATA[i], slices[i.min(slices.len() - 1)]))
}

/// How pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// A byte each, 0 to 255.
    Bytes,
    /// A bit each: 1 is 255.
    Bits,
    /// 32 bits each, numbers as they are: rows of a table.
    Numbers,
}

impl Packing {
    /// The smallest that holds all of these pixels.
    pub fn of(pixels: &[u8]) -> Self {
        let two = |pixel: &u8| matches!(*pixel, 0 | u8::MAX);
        // Chunks that a processor checks without a branch for each pixel.
        if pixels.par_chunks(1 << 12).all(|pixels| pixels.iter().fold(true, |all, pixel| all & two(pixel))) {
            Self::Bits
        } else {
            Self::Bytes
        }
    }

    /// Bits of a pixel.
    pub fn bits(self) -> usize {
        match self {
            Self::Bytes => 8,
            Self::Bits => 1,
            Self::Numbers => 32,
        }
    }

    /// The factor of a pixel's number.
    fn scale(self) -> f32 {
        match self {
            Self::Bytes => 1.0 / 255.0,
            Self::Bits | Self::Numbers => 1.0,
        }
    }

    /// 32-bit words of one image of `dimension` pixels.
    pub fn words_per_image(self, dimension: usize) -> usize {
        dimension.div_ceil(32 / self.bits())
    }

    /// Images of `dimension` pixels as the kernel wants them: each padded to whole words.
    pub fn pack(self, pixels: &[u8], dimension: usize) -> Cow<'_, [u8]> {
        let stride = 4 * self.words_per_image(dimension);
        if self == Self::Bytes && stride == dimension {
            return pixels.into();
        }
        let mut packed = vec![0; pixels.len() / dimension * stride];
        packed.par_chunks_exact_mut(stride).zip(pixels.par_chunks_exact(dimension)).for_each(|(to, from)| {
            match self {
                Self::Bytes => to[..dimension].copy_from_slice(from),
                Self::Numbers => unreachable!("numbers are no bytes"),
                Self::Bits => {
                    for (to, from) in to.iter_mut().zip(from.chunks(8)) {
                        *to = from.iter().rev().fold(0, |byte, pixel| byte << 1 | pixel >> 7);
                    }
                }
            }
        });
        packed.into()
    }
}

/// Threads of a workgroup; each turns four pixels into numbers.
const THREADS: usize = 64;

/// Rows whose places are computed before any is copied: the CPU can then fetch several at once.
const BLOCK: usize = 16;

/// The image in row `b` of the batch. Evaluation may run over the end of the data: it starts again at 0.
pub(super) fn row(step: &Step, b: usize, images: usize, shuffle: bool) -> usize {
    let (position, images) = (step.first + b as u32, images as u32);
    if shuffle {
        shuffled(position, images, step.seed, step.epoch) as usize
    } else {
        (position % images) as usize
    }
}

impl Kernel for Gather {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let words = self.packing.words_per_image(self.dimension);
        let size = self.batch * self.dimension;
        Shape {
            // Only the rows of the batch are read.
            bytes: (4 * self.batch * words + 4 * size) as u64,
            ..Shape::new(bound(&slices(self.images, self.rows)).map(|(_, rows)| rows * words), [size], size)
        }
    }

    fn params(&self) -> Vec<u32> {
        words([self.images, self.dimension, self.rows])
    }

    fn overrides(&self) -> Overrides {
        Overrides::of("THREADS", THREADS)
            .set("SHUFFLE", self.shuffle)
            .set("BITS", self.packing.bits())
            .set("NUMBERS", self.packing == Packing::Numbers)
            .set("SCALE", self.packing.scale())
    }

    fn variants(&self) -> Vec<Variant> {
        Variant::only([self.dimension.div_ceil(4).div_ceil(THREADS), self.batch])
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let (data, [x]) = buffers.split::<{ DATA.len() }, 1>();
        let bits = self.packing.bits();
        let (per_word, most) = (32 / bits, u32::MAX >> (32 - bits));
        for b in 0..self.batch {
            let row = row(step, b, self.images, self.shuffle);
            let data = data[row / self.rows];
            let first = row % self.rows * self.packing.words_per_image(self.dimension);
            for d in 0..self.dimension {
                let word = data[first + d / per_word] as u32;
                x[b * self.dimension + d] = match self.packing {
                    Packing::Numbers => f64::from(f32::from_bits(word)),
                    _ => f64::from(word >> (d % per_word * bits) & most) / f64::from(most),
                };
            }
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let (data, [x]) = buffers.split::<{ DATA.len() }, 1>();
        let data = data.map(bytemuck::cast_slice::<f32, u8>);
        let stride = 4 * self.packing.words_per_image(self.dimension);
        let rows_each = self.batch.div_ceil(rayon::current_num_threads());
        x.par_chunks_mut(rows_each * self.dimension).enumerate().for_each(|(part, x)| {
            let first = part * rows_each;
            for (block, x) in x.chunks_mut(BLOCK * self.dimension).enumerate() {
                let mut rows = [0; BLOCK];
                let count = x.len() / self.dimension;
                for (i, to) in rows[..count].iter_mut().enumerate() {
                    *to = row(step, first + block * BLOCK + i, self.images, self.shuffle);
                }
                for (row, x) in rows.iter().zip(x.chunks_exact_mut(self.dimension)) {
                    let stored = &data[row / self.rows][row % self.rows * stride..][..stride];
                    match self.packing {
                        Packing::Bytes => unpack_bytes(stored, x),
                        Packing::Bits => unpack_bits(stored, x),
                        Packing::Numbers => x.copy_from_slice(bytemuck::cast_slice(stored)),
                    }
                }
            }
        });
    }

    fn tolerance(&self) -> f64 {
        f64::from(f32::EPSILON)
    }
}

/// 0..255 to 0..1.
#[multiversion(targets = "simd")]
fn unpack_bytes(bytes: &[u8], x: &mut [f32]) {
    let scale = Packing::Bytes.scale();
    x.iter_mut().zip(bytes).for_each(|(x, byte)| *x = f32::from(*byte) * scale);
}

/// Bits to 0 and 1, those of a byte from the lowest on.
#[multiversion(targets = "simd")]
fn unpack_bits(bytes: &[u8], x: &mut [f32]) {
    for (x, &byte) in x.chunks_mut(8).zip(bytes) {
        x.iter_mut().enumerate().for_each(|(bit, x)| *x = f32::from(byte >> bit & 1));
    }
}

fn cases() -> Vec<Case> {
    // Slices: one, two, two, four, three.
    let sizes = [
        (1, 1, 1, 1, false),
        (3, 5, 3, 6, true),
        (5, 4, 2, 255, false),
        (7, 97, 25, 257, true),
        (64, 300, 100, 784, true),
    ];
    sizes
        .into_iter()
        .flat_map(|sizes| [Packing::Bytes, Packing::Bits, Packing::Numbers].map(|packing| (sizes, packing)))
        .map(|((batch, images, rows, dimension, shuffle), packing)| {
            let gather = Gather { batch, images, dimension, packing, rows, shuffle };
            let batch_fits = !shuffle || batch < images;
            assert!(batch_fits, "a shuffled batch has distinct images");
            // Any bits do, but others in each slice; as packed words they are no numbers, so they are made from the index.
            let word = move |i: usize, slice: u32| {
                let bits = (i as u32).wrapping_mul(0x9E37_79B9) ^ slice.wrapping_mul(0x85EB_CA6B) ^ 0x5A;
                // As numbers, of both signs and from 1/2 to 2.
                let numbers = bits & 0x807F_FFFF | 0x3F00_0000 | bits & 0x0080_0000;
                f32::from_bits(if packing == Packing::Numbers { numbers } else { bits })
            };
            (0..)
                .zip(DATA)
                .fold(Case::new(gather), |case, (slice, name)| case.map(name, move |i, _| word(i, slice)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_packed_as_small_as_they_allow() {
        let two = [0, 255, 255, 0, 0, 0, 0, 255, 255, 0];
        assert_eq!(Packing::of(&two), Packing::Bits);
        // Two images of five pixels; the first is the lowest bit.
        assert_eq!(*Packing::Bits.pack(&two, 5), [0b00110, 0, 0, 0, 0b01100, 0, 0, 0]);
        let grey = [0, 254, 255, 1, 0, 7];
        assert_eq!(Packing::of(&grey), Packing::Bytes);
        assert_eq!(*Packing::Bytes.pack(&grey, 3), [0, 254, 255, 0, 1, 0, 7, 0]);
        assert_eq!(Packing::of(&[1]), Packing::Bytes, "a black that is not quite black is kept");
    }

    #[test]
    fn slices_are_as_few_as_every_device_can_bind() {
        // MNIST; dSprites in bits; more than four times what every device can bind.
        assert_eq!(slices(60_000, rows_of_slice(60_000, 196)), [60_000]);
        let words = Packing::Bits.words_per_image(4096);
        assert_eq!(slices(737_280, rows_of_slice(737_280, words)), [262_144, 262_144, 212_992]);
        assert_eq!(slices(1_000_001, rows_of_slice(1_000_001, 1024)), [250_001, 250_001, 250_001, 249_998]);
        assert_eq!(bound(&['a', 'b', 'c']).map(|(_, slice)| slice), ['a', 'b', 'c', 'c']);
    }
}
