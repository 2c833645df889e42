//! Points in rows: what the statistics compare and the models are fitted to.

/// n points of d coordinates.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// d.
    pub d: usize,
    /// `(n, d)`, row-major; all finite.
    pub values: &'a [f64],
}

impl<'a> Sample<'a> {
    /// Values in rows of `d`.
    ///
    /// # Panics
    /// When they do not fill whole rows.
    pub fn new(d: usize, values: &'a [f64]) -> Self {
        assert!(d > 0 && values.len().is_multiple_of(d), "a sample is whole rows of coordinates");
        Self { d, values }
    }

    /// n.
    pub fn len(&self) -> usize {
        self.values.len() / self.d
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Point `i`.
    pub fn point(&self, i: usize) -> &'a [f64] {
        &self.values[i * self.d..][..self.d]
    }

    /// Some of the points, one after another.
    pub fn choice(&self, order: &[usize]) -> Vec<f64> {
        order.iter().flat_map(|&i| self.point(i).iter().copied()).collect()
    }

    /// The first `n` points.
    pub fn first(&self, n: usize) -> Self {
        Self { values: &self.values[..n * self.d], ..*self }
    }
}
