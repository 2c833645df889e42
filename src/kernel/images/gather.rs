//! The minibatch: rows of the resident data set as numbers in 0..1.
//!
//! ```text
//! x[b, d] = data[row(b), d] / 255      row(b) = shuffled(first + b)   or   first + b
//! ```
//!
//! `data: (N, D)` bytes, each row padded to whole 32-bit words; `x: (B, D)`. The shuffled order is a keyed
//! bijection of 0..N ([`crate::random::shuffled`]), so no list of indices exists anywhere.

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
    /// Take the rows in the shuffled order of the step's epoch instead of the stored one.
    pub shuffle: bool,
}

pub(crate) static SPEC: Spec =
    Spec::new("gather", "x[b, d] = data[row(b), d] / 255", wgsl!("images/gather", "shuffle", "step"))
        .reads(&["data"])
        .writes(&["x"])
        .words(&["data"])
        .cases(cases);

/// Threads of a workgroup; each turns one word of four pixels into numbers.
const THREADS: usize = 64;

/// Rows whose places are computed before any is copied: the CPU can then fetch several at once.
const BLOCK: usize = 16;

/// The factor of a pixel's byte.
const SCALE: f32 = 1.0 / 255.0;

/// 32-bit words of one image of `dimension` bytes.
pub fn words_per_image(dimension: usize) -> usize {
    dimension.div_ceil(4)
}

/// Images as the kernel wants them: each padded to whole words.
pub fn pack(pixels: &[u8], dimension: usize) -> Cow<'_, [u8]> {
    let padded = 4 * words_per_image(dimension);
    if padded == dimension {
        return pixels.into();
    }
    let mut packed = vec![0; pixels.len() / dimension * padded];
    for (to, from) in packed.chunks_exact_mut(padded).zip(pixels.chunks_exact(dimension)) {
        to[..dimension].copy_from_slice(from);
    }
    packed.into()
}

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
        let words = words_per_image(self.dimension);
        let size = self.batch * self.dimension;
        Shape {
            // Only the rows of the batch are read.
            bytes: (4 * self.batch * words + 4 * size) as u64,
            ..Shape::new([self.images * words], [size], size)
        }
    }

    fn params(&self) -> Vec<u32> {
        words([self.images, self.dimension])
    }

    fn overrides(&self) -> Overrides {
        Overrides::of("THREADS", THREADS).set("SHUFFLE", self.shuffle).set("SCALE", SCALE)
    }

    fn variants(&self) -> Vec<Variant> {
        Variant::only([words_per_image(self.dimension).div_ceil(THREADS), self.batch])
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        let ([data], [x]) = buffers.split();
        for b in 0..self.batch {
            let first = row(step, b, self.images, self.shuffle) * words_per_image(self.dimension);
            for d in 0..self.dimension {
                let byte = (data[first + d / 4] as u32).to_le_bytes()[d % 4];
                x[b * self.dimension + d] = f64::from(byte) / 255.0;
            }
        }
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        let ([data], [x]) = buffers.split();
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let stride = 4 * words_per_image(self.dimension);
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
                    to_unit(&bytes[row * stride..][..self.dimension], x);
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
fn to_unit(bytes: &[u8], x: &mut [f32]) {
    x.iter_mut().zip(bytes).for_each(|(x, byte)| *x = f32::from(*byte) * SCALE);
}

fn cases() -> Vec<Case> {
    [(1, 1, 1, false), (3, 5, 6, true), (5, 4, 255, false), (7, 97, 257, true), (64, 300, 784, true)]
        .map(|(batch, images, dimension, shuffle)| {
            let gather = Gather { batch, images, dimension, shuffle };
            let batch_fits = !shuffle || batch < images;
            assert!(batch_fits, "a shuffled batch has distinct images");
            // Any bytes do; as packed words they are no numbers, so the bits are made from the index.
            Case::new(gather).map("data", |i, _| f32::from_bits((i as u32).wrapping_mul(0x9E37_79B9) ^ 0x5A))
        })
        .into()
}
