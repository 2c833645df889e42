//! A transposed convolution with its activation, and the input gradient of a convolution, which is the same sum.
//!
//! ```text
//! y[b, c, Y, X] = activation(bias[c] + sum x[b, o, y, x] W[o, c, i, j])        forward
//! y[b, c, Y, X] = slope(a[b, c, Y, X]) sum x[b, o, y, x] W[o, c, i, j]         backward
//! ```
//!
//! over the y, x, i, j with Y = S y + i - P and X = S x + j - P. `x: (B, coarse)`; `theta`: W, then the layer's bias;
//! `y, a: (B, fine)`; see [`super::window`]. Pixels whose Y + P and X + P leave the same rests when divided by S see the
//! same taps of W: each of the S^2 rests is a matrix product. [`Convolution`] is both layers.
//!
//! [`Convolution`]: super::convolution::Convolution

use super::convolution::cases;
use super::window::Direction;
use crate::program::Spec;

pub(crate) static SPEC: Spec = Spec::new(
    "transposed_convolution",
    "y = activation(convT(x, W) + b), or slope(a) convT(x, W)",
    wgsl!(
        "windows/transposed_convolution",
        "activation",
        "elements",
        "finish",
        "product",
        "transposed",
        "window"
    ),
)
.reads(&["x", "theta", "a"])
.writes(&["y"])
.cases(|| cases(Direction::ToFine));
