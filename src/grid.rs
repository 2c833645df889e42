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

    /// Numbers of an image.
    pub fn numbers(self) -> usize {
        self.channels * self.pixels()
    }
}
