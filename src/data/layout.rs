//! The sizes of images, and the order of their numbers.

/// The size of an image, and whether its colours come pixel by pixel or as whole planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1: grey, 3: red, green and blue.
    pub channels: usize,
    /// Whether a channel is a plane, `(channels, height, width)`, and not a pixel a triple, `(height, width, channels)`.
    pub is_planar: bool,
}

impl Layout {
    /// A grey image.
    pub const fn grey(height: usize, width: usize) -> Self {
        Self { height, width, channels: 1, is_planar: false }
    }

    /// That of an array `(N, H, W)`, `(N, H, W, C)` or `(N, C, H, W)` of grey or coloured images.
    pub(super) fn of(shape: &[usize]) -> Option<Self> {
        match *shape {
            [_, height, width] => Some(Self::grey(height, width)),
            [_, height, width, channels @ (1 | 3)] => {
                Some(Self { height, width, channels, is_planar: false })
            }
            [_, channels @ (1 | 3), height, width] => {
                Some(Self { height, width, channels, is_planar: channels > 1 })
            }
            _ => None,
        }
    }

    /// Numbers of an image.
    pub const fn len(self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether an image has no pixel.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Height, width and channels.
    pub(super) const fn size(self) -> [usize; 3] {
        [self.height, self.width, self.channels]
    }

    /// The same image pixel by pixel.
    pub fn interleaved<T: Copy>(self, image: &[T]) -> Vec<T> {
        if !self.is_planar {
            return image.to_vec();
        }
        let pixels = self.height * self.width;
        (0..pixels).flat_map(|pixel| (0..self.channels).map(move |c| image[c * pixels + pixel])).collect()
    }

    /// The size in words.
    pub(super) fn text(self) -> String {
        let Self { height, width, channels, .. } = self;
        format!("{height} x {width} pixels in {}", if channels == 1 { "grey" } else { "colour" })
    }
}
