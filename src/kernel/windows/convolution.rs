//! A convolution with its activation, and the input gradient of a transposed one, which is the same sum.
//!
//! ```text
//! y[b, o, y, x] = activation(bias[o] + sum x[b, c, S y + i - P, S x + j - P] W[o, c, i, j])        forward
//! y[b, o, y, x] = slope(a[b, o, y, x]) sum x[b, c, S y + i - P, S x + j - P] W[o, c, i, j]         backward
//! ```
//!
//! `x: (B, fine)`; `theta`: W, then the layer's bias; `y, a: (B, coarse)`; see [`super::window`]. Backward, x is the
//! gradient at the output of a transposed convolution, a its input, and y the gradient at what made a.

use super::indirect::IndirectLayer;
use super::window::{self, Direction, Window};
use crate::kernel::activation::Activation;
use crate::kernel::product::{ProductSizes, tolerance};
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, UNUSED_LEN, Variant};
use rayon::prelude::*;

/// Workgroups along a side of a grid that WebGPU grants.
const MOST_GROUPS: usize = 65_535;

/// What becomes of the sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Epilogue {
    /// With the bias, the layer's activation follows.
    Forward(Activation),
    /// They are multiplied with the slope of the activation before the layer.
    Backward(Activation),
}

impl Epilogue {
    fn activation(self) -> Activation {
        match self {
            Self::Forward(activation) | Self::Backward(activation) => activation,
        }
    }

    fn is_backward(self) -> bool {
        matches!(self, Self::Backward(_))
    }
}

/// A convolution or a transposed one, forward or backward.
#[derive(Clone, Debug)]
pub struct Convolution {
    /// B.
    pub batch: usize,
    /// How input and output are connected.
    pub window: Window,
    /// Which of the two images is the result.
    pub direction: Direction,
    /// What becomes of the sums.
    pub epilogue: Epilogue,
}

pub(crate) static SPEC: Spec = Spec::new(
    "convolution",
    "y = activation(conv(x, W) + b), or slope(a) conv(x, W)",
    wgsl!("windows/convolution", "activation", "elements", "finish", "product", "window"),
)
.reads(&["x", "theta", "a"])
.writes(&["y"])
.cases(|| cases(Direction::ToCoarse));

impl Convolution {
    /// The product that a workgroup computes tiles of, and how many there are: one for each place within the stride.
    pub(super) fn sizes(batch: usize, window: &Window, direction: Direction) -> (ProductSizes, usize) {
        match direction {
            Direction::ToCoarse => {
                let depth = window.fine.channels * window.taps();
                let columns = batch * window.coarse.pixels();
                (ProductSizes { rows: window.coarse.channels, depth, columns }, 1)
            }
            Direction::ToFine => {
                let depth = window.coarse.channels * window.overlap().pow(2);
                let side = |length: usize| length.div_ceil(window.stride);
                let columns = batch * side(window.fine.height) * side(window.fine.width);
                (ProductSizes { rows: window.fine.channels, depth, columns }, window.stride.pow(2))
            }
        }
    }

    /// Those of the product, for as many products: all, or those whose grids are not too wide for WebGPU, if any.
    pub(super) fn variants_of((sizes, products): (ProductSizes, usize)) -> Vec<Variant> {
        let more =
            |variant: Variant| Variant { grid: [products * variant.grid[0], variant.grid[1]], ..variant };
        let all: Vec<Variant> = sizes.variants().into_iter().map(more).collect();
        let fitting: Vec<Variant> =
            all.iter().filter(|variant| variant.grid[0] <= MOST_GROUPS).cloned().collect();
        if fitting.is_empty() { all } else { fitting }
    }

    /// Channels of the layer's output, each of which has a bias.
    fn biases(&self) -> usize {
        let [input, output] = self.window.ends(self.direction);
        if self.epilogue.is_backward() { input.channels } else { output.channels }
    }
}

impl Kernel for Convolution {
    fn spec(&self) -> &'static Spec {
        match self.direction {
            Direction::ToCoarse => &SPEC,
            Direction::ToFine => &super::transposed_convolution::SPEC,
        }
    }

    fn shape(&self) -> Shape {
        let [input, output] = self.window.ends(self.direction).map(|grid| self.batch * grid.numbers());
        let a = if self.epilogue.is_backward() { output } else { UNUSED_LEN };
        let theta = self.window.weights() + self.biases();
        Shape::new([input, theta, a], [output], 2 * self.batch * self.window.products())
    }

    fn params(&self) -> Vec<u32> {
        words([self.batch])
    }

    fn overrides(&self) -> Overrides {
        let backward = Overrides::of("BACKWARD", self.epilogue.is_backward());
        self.window.overrides().and(self.epilogue.activation().overrides()).and(backward)
    }

    fn variants(&self) -> Vec<Variant> {
        Self::variants_of(Self::sizes(self.batch, &self.window, self.direction))
    }

    fn tuning_key(&self) -> Option<String> {
        Some(format!("{} {} {}", self.spec().name, self.batch, self.window.key()))
    }

    fn reference(&self, _: &Step, buffers: Buffers<'_, f64>) {
        let ([x, theta, a], [y]) = buffers.split();
        reference_sums(&self.window, self.direction, x, theta, self.epilogue.is_backward(), y);
        let finished = y.iter().enumerate().map(|(i, &sum)| match self.epilogue {
            Epilogue::Forward(activation) => activation.reference(sum),
            Epilogue::Backward(activation) => activation.reference_times_slope(sum, a[i]),
        });
        let finished: Vec<f64> = finished.collect();
        y.copy_from_slice(&finished);
    }

    fn cpu(&self, _: &Step, buffers: Buffers<'_, f32>) {
        let ([x, theta, a], [y]) = buffers.split();
        let [input, output] = self.window.ends(self.direction).map(|grid| grid.numbers());
        let (weights, bias) = theta.split_at(self.window.weights());
        let bias = (!self.epilogue.is_backward()).then_some(bias);
        let layer = IndirectLayer::new(&self.window, self.direction, weights);
        y.par_chunks_exact_mut(output).zip(x.par_chunks_exact(input)).enumerate().for_each(|(b, (y, x))| {
            layer.compute(x, bias, y);
            match self.epilogue {
                Epilogue::Forward(activation) => activation.apply(y),
                Epilogue::Backward(activation) => activation.apply_slope(y, &a[b * output..][..output]),
            }
        });
    }

    fn tolerance(&self) -> f64 {
        tolerance(Self::sizes(self.batch, &self.window, self.direction).0.depth)
    }
}

/// The sums for each image, in f64; with the bias, or backward without.
pub(super) fn reference_sums(
    window: &Window,
    direction: Direction,
    x: &[f64],
    theta: &[f64],
    backward: bool,
    y: &mut [f64],
) {
    let [input, output] = window.ends(direction);
    for (x, y) in x.chunks_exact(input.numbers()).zip(y.chunks_exact_mut(output.numbers())) {
        y.fill(0.0);
        if !backward {
            for c in 0..output.channels {
                for pixel in 0..output.pixels() {
                    let at = match direction {
                        Direction::ToCoarse => c * output.pixels() + pixel,
                        Direction::ToFine => window.fine_at(c, pixel),
                    };
                    y[at] = theta[window.weights() + c];
                }
            }
        }
        window.connections(|fine, coarse, weight| match direction {
            Direction::ToCoarse => y[coarse] += x[fine] * theta[weight],
            Direction::ToFine => y[fine] += x[coarse] * theta[weight],
        });
    }
}

pub(super) fn cases(direction: Direction) -> Vec<Case> {
    let epilogues = [
        Epilogue::Forward(Activation::Relu),
        Epilogue::Backward(Activation::Relu),
        Epilogue::Forward(Activation::Tanh),
        Epilogue::Backward(Activation::Tanh),
        Epilogue::Forward(Activation::Identity),
    ];
    let case = |((batch, window), &epilogue): ((usize, Window), &Epilogue)| {
        let scale = ((window.fine.channels * window.taps()) as f32).sqrt().recip();
        Case::new(Convolution { batch, window, direction, epilogue }).map("theta", |_, w| w * scale)
    };
    window::cases().into_iter().zip(epilogues.iter().cycle()).map(case).collect()
}
