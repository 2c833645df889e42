//! The reconstruction loss of each image.
//!
//! ```text
//! loss[b] = -ln p(x[b] | l[b])
//! ```
//!
//! `l, x: (B, D)`, means or logits as in [`crate::kernel::reconstruction`], and in nats without the Gaussian's constant as
//! there; `loss: (B)`.

use crate::kernel::pairs::LANES;
use crate::kernel::product::{THREADS, tolerance};
use crate::kernel::reconstruction::{Likelihood, bernoulli_loss, gaussian_loss};
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use multiversion::multiversion;
use rayon::prelude::*;

/// The loss of each image.
#[derive(Clone, Debug)]
pub struct ImageLoss {
    /// B.
    pub batch: usize,
    /// D.
    pub dimension: usize,
    /// Which loss.
    pub likelihood: Likelihood,
}

pub(crate) static SPEC: Spec = Spec::new(
    "image_loss",
    "loss[b] = -ln p(x[b] | l[b])",
    wgsl!("images/image_loss", "likelihood", "reduce"),
)
.reads(&["l", "x"])
.writes(&["loss"])
.cases(cases);

impl Kernel for ImageLoss {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let pixels = self.batch * self.dimension;
        Shape::new([pixels, pixels], [self.batch], 4 * pixels)
    }

    fn params(&self) -> Vec<u32> {
        [words([self.dimension]), vec![self.likelihood.inverse_variance().to_bits()]].concat()
    }

    fn overrides(&self) -> Overrides {
        self.likelihood.overrides().set("THREADS", THREADS)
    }

    fn variants(&self) -> Vec<Variant> {
        Variant::only([self.batch, 1])
    }

    fn reference(&self, _: &Step, buffers: Buffers<'_, f64>) {
        let ([l, x], [loss]) = buffers.split();
        let images = l.chunks_exact(self.dimension).zip(x.chunks_exact(self.dimension));
        for ((l, x), loss) in images.zip(loss) {
            *loss = l.iter().zip(x).map(|(&l, &x)| self.likelihood.reference(l, x).1).sum();
        }
    }

    fn cpu(&self, _: &Step, buffers: Buffers<'_, f32>) {
        let ([l, x], [loss]) = buffers.split();
        let inverse_variance = self.likelihood.inverse_variance();
        let images = l.par_chunks_exact(self.dimension).zip(x.par_chunks_exact(self.dimension));
        images.zip(loss).for_each(|((l, x), loss)| {
            *loss = match self.likelihood {
                Likelihood::Gaussian { .. } => gaussian(l, x, inverse_variance),
                Likelihood::Bernoulli => bernoulli(l, x),
            };
        });
    }

    fn tolerance(&self) -> f64 {
        tolerance(self.dimension) * 4.0
    }
}

#[multiversion(targets = "simd")]
fn gaussian(l: &[f32], x: &[f32], inverse_variance: f32) -> f32 {
    sum_pixels(l, x, |l, x| gaussian_loss(l, x, inverse_variance))
}

#[multiversion(targets = "simd")]
fn bernoulli(l: &[f32], x: &[f32]) -> f32 {
    sum_pixels(l, x, bernoulli_loss)
}

/// Adds up the losses of one image, in `LANES` interleaved sums that fit a vector register.
#[inline(always)]
fn sum_pixels(l: &[f32], x: &[f32], loss: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (l, l_rest) = l.as_chunks::<LANES>();
    let (x, x_rest) = x.as_chunks::<LANES>();
    for (l, x) in l.iter().zip(x) {
        for lane in 0..LANES {
            sums[lane] += loss(l[lane], x[lane]);
        }
    }
    for ((sum, l), x) in sums.iter_mut().zip(l_rest).zip(x_rest) {
        *sum += loss(*l, *x);
    }
    sums.iter().sum()
}

fn cases() -> Vec<Case> {
    let likelihoods = [Likelihood::Gaussian { sigma: 0.8 }, Likelihood::Bernoulli];
    [(1, 1), (3, 16), (17, 63), (2, 64), (5, 65), (33, 301)]
        .iter()
        .zip(likelihoods.iter().cycle())
        .map(|(&(batch, dimension), &likelihood)| {
            let case = Case::new(ImageLoss { batch, dimension, likelihood });
            case.map("l", |_, l| 3.0 * l).map("x", |_, x| crate::numeric::sigmoid(3.0 * x))
        })
        .collect()
}
