//! The size of an image: channels, rows and columns.

/// The size of an image, or of what a layer makes of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Numbers of a pixel.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Grid {
    /// Pixels.
    pub fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Whether an image has few enough numbers to be counted, and kept for a batch.
    pub fn is_possible(self) -> bool {
        const MOST: usize = 1 << 32;
        let product =
            [self.channels, self.height, self.width].iter().try_fold(1usize, |n, &size| n.checked_mul(size));
        product.is_some_and(|numbers| (1..=MOST).contains(&numbers))
    }

    /// Numbers of an image.
    pub fn numbers(self) -> usize {
        self.channels * self.pixels()
    }
}
