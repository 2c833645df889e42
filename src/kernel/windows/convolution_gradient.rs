//! The gradient of a convolution's weights and bias, or of a transposed one's, in parts that [`super::adam`] adds up.
//!
//! ```text
//! parts[s, W]    = sum coarse[b, o, y, x] fine[b, c, S y + i - P, S x + j - P]       over the images b of part s
//! parts[s, bias] = sum dy[b, o, pixel]
//! ```
//!
//! `fine: (B, fine)`; `coarse: (B, coarse)`; `parts: (parts, W and bias)`; see [`super::window`]. dy is `coarse` where
//! the layer is a convolution, and `fine` where it is a transposed one. The sum over all pixels of all images is long,
//! and the result small: without parts few threads would have work.

use super::indirect::Gradient;
use super::window::{self, Direction, Window};
use crate::kernel::product::{ProductSizes, tolerance};
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use rayon::prelude::*;

/// dW and dbias in parts.
#[derive(Clone, Debug)]
pub struct ConvolutionGradient {
    /// B.
    pub batch: usize,
    /// How input and output are connected.
    pub window: Window,
    /// Which of the two images is the layer's output.
    pub direction: Direction,
}

pub(crate) static SPEC: Spec = Spec::new(
    "convolution_gradient",
    "parts = sum of coarse x fine over some images;  db = sum of dy",
    wgsl!("windows/convolution_gradient", "elements", "finish", "product", "reduce", "window"),
)
.reads(&["fine", "coarse"])
.writes(&["parts"])
.cases(cases);

/// Parts of a gradient: enough workgroups for a large GPU, and little to add up.
const USUAL_PARTS: usize = 16;

/// Most products in a sum, unless a single image has more: there are more parts before the loops get too long for software
/// drivers.
const MOST_DEPTH: usize = 1 << 15;

impl ConvolutionGradient {
    /// Images of a part, but for the last one.
    fn images(batch: usize, window: &Window) -> usize {
        batch.div_ceil(USUAL_PARTS).min((MOST_DEPTH / window.coarse.pixels()).max(1))
    }

    /// Parts of a gradient.
    pub fn parts(batch: usize, window: &Window) -> usize {
        batch.div_ceil(Self::images(batch, window))
    }

    /// Numbers of W and bias.
    fn numbers(&self) -> usize {
        self.window.weights() + self.window.ends(self.direction)[1].channels
    }

    fn sizes(&self) -> ProductSizes {
        let Window { fine, coarse, .. } = self.window;
        ProductSizes {
            rows: coarse.channels,
            depth: Self::images(self.batch, &self.window) * coarse.pixels(),
            columns: fine.channels * self.window.taps(),
        }
    }
}

impl Kernel for ConvolutionGradient {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { batch, window, .. } = self;
        Shape::new(
            [batch * window.fine.numbers(), batch * window.coarse.numbers()],
            [Self::parts(*batch, window) * self.numbers()],
            2 * batch * window.products(),
        )
    }

    fn params(&self) -> Vec<u32> {
        words([self.batch, Self::images(self.batch, &self.window), self.numbers()])
    }

    fn overrides(&self) -> Overrides {
        self.window.overrides().and(Overrides::of("TO_FINE", self.direction == Direction::ToFine))
    }

    fn variants(&self) -> Vec<Variant> {
        // Beside the tiles of W there is a workgroup for each number of the bias; below each other are the parts.
        let biases = self.numbers() - self.window.weights();
        let more = |variant: Variant| {
            let [across, down] = variant.grid;
            let overrides = variant.overrides.set("TILES_ACROSS", across).set("TILES_DOWN", down);
            Variant {
                overrides,
                grid: [across + biases, down * Self::parts(self.batch, &self.window)],
                ..variant
            }
        };
        self.sizes().variants().into_iter().map(more).collect()
    }

    fn tuning_key(&self) -> Option<String> {
        Some(format!("{} {} {}", SPEC.name, self.batch, self.window.key()))
    }

    fn reference(&self, _: &Step, buffers: Buffers<'_, f64>) {
        let ([fine, coarse], [parts]) = buffers.split();
        let window = &self.window;
        let sizes = [window.fine, window.coarse].map(|grid| grid.numbers());
        for (s, part) in parts.chunks_exact_mut(self.numbers()).enumerate() {
            part.fill(0.0);
            let (weights, bias) = part.split_at_mut(window.weights());
            let first = s * Self::images(self.batch, &self.window);
            for b in first..(first + Self::images(self.batch, &self.window)).min(self.batch) {
                let (fine, coarse) = (&fine[b * sizes[0]..][..sizes[0]], &coarse[b * sizes[1]..][..sizes[1]]);
                window.connections(|f, c, w| weights[w] += fine[f] * coarse[c]);
                for (o, bias) in bias.iter_mut().enumerate() {
                    *bias += match self.direction {
                        Direction::ToCoarse => {
                            coarse.chunks(window.coarse.pixels()).nth(o).unwrap_or(&[]).iter().sum()
                        }
                        Direction::ToFine => {
                            (0..window.fine.pixels()).map(|pixel| fine[window.fine_at(o, pixel)]).sum::<f64>()
                        }
                    };
                }
            }
        }
    }

    fn cpu(&self, _: &Step, buffers: Buffers<'_, f32>) {
        let ([fine, coarse], [parts]) = buffers.split();
        let window = &self.window;
        let [fine_len, coarse_len] = [window.fine, window.coarse].map(|grid| grid.numbers());
        let images = Self::images(self.batch, &self.window);
        let gradient = Gradient::new(window);
        let parts = parts.par_chunks_exact_mut(self.numbers());
        let images =
            parts.zip(fine.par_chunks(images * fine_len)).zip(coarse.par_chunks(images * coarse_len));
        images.for_each(|((part, fine), coarse)| {
            let (weights, bias) = part.split_at_mut(window.weights());
            let pairs = fine.chunks_exact(fine_len).zip(coarse.chunks_exact(coarse_len));
            gradient.sum(pairs, weights);
            let (dy, dy_len) = match self.direction {
                Direction::ToCoarse => (coarse, coarse_len),
                Direction::ToFine => (fine, fine_len),
            };
            let interleaved = self.direction == Direction::ToFine && window.interleaved;
            bias.fill(0.0);
            dy.chunks_exact(dy_len).for_each(|dy| add_channels(dy, interleaved, bias));
        });
    }

    fn tolerance(&self) -> f64 {
        let longest = Self::images(self.batch, &self.window)
            * self.window.coarse.pixels().max(self.window.fine.pixels());
        tolerance(longest)
    }
}

/// Adds the sum over the pixels of an image to each channel's number.
fn add_channels(image: &[f32], interleaved: bool, sums: &mut [f32]) {
    let channels = sums.len();
    if interleaved {
        for pixel in image.chunks_exact(channels) {
            sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value);
        }
        return;
    }
    for (sum, plane) in sums.iter_mut().zip(image.chunks_exact(image.len() / channels)) {
        // In lanes, so that the compiler makes vectors of them.
        let (whole, rest) = plane.as_chunks::<16>();
        let mut lanes = [0f32; 16];
        for values in whole {
            lanes.iter_mut().zip(values).for_each(|(lane, value)| *lane += value);
        }
        *sum += lanes.iter().sum::<f32>() + rest.iter().sum::<f32>();
    }
}

fn cases() -> Vec<Case> {
    let directions = [Direction::ToCoarse, Direction::ToFine];
    let of_both =
        |(batch, window)| directions.map(|direction| ConvolutionGradient { batch, window, direction });
    let mut kernels: Vec<ConvolutionGradient> = window::cases().into_iter().flat_map(of_both).collect();
    // More images than parts, the last part with fewer.
    let (_, small) = window::cases()[2];
    kernels.extend(of_both((37, small)));
    kernels.into_iter().map(Case::new).collect()
}
