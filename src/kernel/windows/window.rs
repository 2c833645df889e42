//! The window that each pixel of a coarse image has of a fine one: what convolutions have in common.
//!
//! With S the stride, P the padding and K the side of the window, pixel (y, x) of the coarse image is connected with
//! the pixels (S y + i - P, S x + j - P), 0 <= i, j < K, of the fine one that exist, by weights W[o, c, i, j] for channel
//! o of the coarse and c of the fine image. Three sums over these connections are all there is:
//!
//! ```text
//! coarse[o, y, x] = sum fine[c, S y + i - P, S x + j - P] W[o, c, i, j]      convolution; input gradient of a transposed one
//! fine[c, Y, X]   = sum coarse[o, y, x] W[o, c, i, j]                        transposed convolution; input gradient
//! dW[o, c, i, j]  = sum coarse[o, y, x] fine[c, S y + i - P, S x + j - P]    weight gradient of both
//! ```
//!
//! W `(coarse channels, fine channels, K, K)` is the layout of `nn.Conv2d`, whose output is coarse, as well as that of
//! `nn.ConvTranspose2d`, whose input is. Images are `(B, channels, height, width)`; the fine ones `(B, height, width,
//! channels)` where they are `interleaved`, as files of pictures have them.

use crate::grid::Grid;
use crate::program::Overrides;

/// How a coarse image is connected with a fine one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The fine image.
    pub fine: Grid,
    /// The coarse image.
    pub coarse: Grid,
    /// K, the side of the window.
    pub kernel: usize,
    /// S, pixels of the fine image from one window to the next.
    pub stride: usize,
    /// P, rows and columns of the first window that lie outside of the fine image.
    pub padding: usize,
    /// Whether the channels of a pixel of the fine image lie side by side.
    pub interleaved: bool,
}

/// The layer whose output is coarse, or the one whose output is fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A convolution.
    ToCoarse,
    /// A transposed convolution.
    ToFine,
}

impl Direction {
    /// The direction of the gradient.
    pub fn reverse(self) -> Self {
        match self {
            Self::ToCoarse => Self::ToFine,
            Self::ToFine => Self::ToCoarse,
        }
    }
}

impl Window {
    /// K^2.
    pub fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Numbers of W.
    pub fn weights(&self) -> usize {
        self.coarse.channels * self.fine.channels * self.taps()
    }

    /// Windows that overlap in a pixel, along one side.
    pub fn overlap(&self) -> usize {
        self.kernel.div_ceil(self.stride)
    }

    /// Multiplications of one image, those with the padding included.
    pub fn products(&self) -> usize {
        self.coarse.numbers() * self.fine.channels * self.taps()
    }

    /// Input and output of a layer.
    pub fn ends(&self, direction: Direction) -> [Grid; 2] {
        match direction {
            Direction::ToCoarse => [self.fine, self.coarse],
            Direction::ToFine => [self.coarse, self.fine],
        }
    }

    /// Calls `connect(f, c, w)` with the places of all numbers of one fine and one coarse image that are connected, and
    /// of their weight.
    pub(crate) fn connections(&self, mut connect: impl FnMut(usize, usize, usize)) {
        let Self { fine, coarse, kernel, .. } = *self;
        for o in 0..coarse.channels {
            for p in 0..coarse.pixels() {
                for c in 0..fine.channels {
                    for tap in 0..self.taps() {
                        let [y, x] = [p / coarse.width, p % coarse.width];
                        if let Some(pixel) = self.seen([y, x], [tap / kernel, tap % kernel]) {
                            let weight = (o * fine.channels + c) * self.taps() + tap;
                            connect(self.fine_at(c, pixel), o * coarse.pixels() + p, weight);
                        }
                    }
                }
            }
        }
    }

    /// The pixel of the fine image at (i, j) of the window of (y, x), where there is one.
    fn seen(&self, at: [usize; 2], tap: [usize; 2]) -> Option<usize> {
        let side = |at: usize, tap: usize, length: usize| {
            (self.stride * at + tap).checked_sub(self.padding).filter(|&place| place < length)
        };
        let y = side(at[0], tap[0], self.fine.height)?;
        Some(y * self.fine.width + side(at[1], tap[1], self.fine.width)?)
    }

    /// Where a number of a fine image lies.
    pub(crate) fn fine_at(&self, channel: usize, pixel: usize) -> usize {
        if self.interleaved {
            pixel * self.fine.channels + channel
        } else {
            channel * self.fine.pixels() + pixel
        }
    }

    /// The `override` constants of `shaders/lib/window.wgsl`.
    pub(crate) fn overrides(&self) -> Overrides {
        let Self { fine, coarse, kernel, stride, padding, interleaved } = *self;
        Overrides::of("CHANNELS", fine.channels)
            .set("HEIGHT", fine.height)
            .set("WIDTH", fine.width)
            .set("COARSE_CHANNELS", coarse.channels)
            .set("COARSE_HEIGHT", coarse.height)
            .set("COARSE_WIDTH", coarse.width)
            .set("KERNEL", kernel)
            .set("STRIDE", stride)
            .set("PADDING", padding)
            .set("INTERLEAVED", interleaved)
    }

    /// A short name for tables and measured choices.
    pub(crate) fn key(&self) -> String {
        let Self { fine, coarse, kernel, stride, padding, .. } = *self;
        let grid = |g: Grid| format!("{} x {} x {}", g.channels, g.height, g.width);
        format!("{} to {} by {kernel} / {stride} - {padding}", grid(fine), grid(coarse))
    }
}

/// Batch sizes and windows for the cases of the kernels: the usual one, of which compilers are asked; of one pixel, odd, with
/// windows that do not fit the stride, with channels of a pixel side by side, and with room for several tiles.
pub(crate) fn cases() -> Vec<(usize, Window)> {
    let case =
        |batch, [c, o]: [usize; 2], [height, width]: [usize; 2], [kernel, stride, padding]: [usize; 3]| {
            let coarse = |side: usize| (side + 2 * padding - kernel) / stride + 1;
            let fine = Grid { channels: c, height, width };
            let coarse = Grid { channels: o, height: coarse(height), width: coarse(width) };
            (batch, Window { fine, coarse, kernel, stride, padding, interleaved: false })
        };
    let interleaved = |(batch, window): (usize, Window)| (batch, Window { interleaved: true, ..window });
    vec![
        case(3, [32, 40], [16, 16], [4, 2, 1]),
        case(1, [1, 1], [1, 1], [1, 1, 0]),
        case(3, [1, 5], [8, 6], [4, 2, 1]),
        interleaved(case(2, [3, 4], [8, 12], [4, 2, 1])),
        case(2, [2, 3], [5, 7], [3, 1, 1]),
        case(2, [2, 17], [7, 9], [3, 2, 1]),
        // Two more rows and columns of padding than the windows need, as for images that are brought to a larger size.
        case(2, [1, 3], [12, 12], [4, 2, 3]),
        interleaved(case(1, [3, 2], [9, 9], [5, 3, 2])),
        case(5, [33, 32], [8, 8], [4, 2, 1]),
    ]
}
