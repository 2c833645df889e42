//! Perturbed uniform densities on the unit cube.
//!
//! ```text
//! f(u) = 1 + height sum over j in {1..p}^D of theta_j product over i of G(p u_i - j_i)
//! G(u) = g(4 u + 3) on (-1, -1/2), -g(4 u + 1) on (-1/2, 0), 0 elsewhere
//! g(t) = exp(-1 / (1 - t^2)) on (-1, 1)
//! ```
//!
//! theta: random signs. G has integral 0, so f has integral 1 and uniform marginals; |G| <= 1/e, so f >= 0 for heights
//! up to e^D. Schrab et al., JMLR 2023, equation 17.

use crate::random::Sequence;

/// A density in D dimensions.
pub(super) struct Perturbed<const D: usize> {
    /// p.
    pub(super) bumps: usize,
    /// The factor of the sum.
    pub(super) height: f64,
    /// theta: `(p^D)`, the last index fastest.
    pub(super) signs: Vec<f64>,
}

/// G.
fn perturbation(u: f64) -> f64 {
    let bump = |t: f64| if t.abs() < 1.0 { (-1.0 / (1.0 - t * t)).exp() } else { 0.0 };
    if u < -0.5 { bump(4.0 * u + 3.0) } else { -bump(4.0 * u + 1.0) }
}

impl<const D: usize> Perturbed<D> {
    /// One with random signs.
    pub(super) fn new(random: &mut Sequence, bumps: usize, height: f64) -> Self {
        let sign = |_| if random.word() >> 31 == 1 { 1.0 } else { -1.0 };
        Self { bumps, height, signs: (0..bumps.pow(D as u32)).map(sign).collect() }
    }

    /// f at a point inside the cube.
    pub(super) fn density(&self, point: [f64; D]) -> f64 {
        let (mut index, mut product) = (0, 1.0);
        for u in point {
            // p u - j is in -1..0 for one j only.
            let scaled = self.bumps as f64 * u;
            let below = scaled.floor();
            index = index * self.bumps + below as usize;
            product *= perturbation(scaled - below - 1.0);
        }
        1.0 + self.height * self.signs[index] * product
    }

    /// A point, by rejection.
    pub(super) fn draw(&self, random: &mut Sequence) -> [f64; D] {
        let most = 1.0 + self.height * (-(D as f64)).exp();
        loop {
            let point = [0.0; D].map(|_| random.uniform_f64());
            if random.uniform_f64() * most < self.density(point) {
                return point;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// Chi-square of counts in cells against the density's integral over them, which the midpoint rule gives to far
    /// below a count. The statistic has mean and variance (cells - 1) (1, 2): 5 standard deviations.
    fn agrees<const D: usize>(density: &Perturbed<D>, cells: usize, steps: usize) {
        let n = 200_000;
        let mut random = Sequence::new(3, Stream::Data, 0);
        let total = cells.pow(D as u32);
        let cell = |point: [f64; D]| {
            point.iter().fold(0, |index, u| index * cells + ((u * cells as f64) as usize).min(cells - 1))
        };
        let mut counts = vec![0.0; total];
        for _ in 0..n {
            counts[cell(density.draw(&mut random))] += 1.0;
        }
        let fine = cells * steps;
        let mut expected = vec![0.0; total];
        for i in 0..fine.pow(D as u32) {
            let point: [f64; D] =
                std::array::from_fn(|axis| ((i / fine.pow(axis as u32) % fine) as f64 + 0.5) / fine as f64);
            expected[cell(point)] += density.density(point) * f64::from(n) / fine.pow(D as u32) as f64;
        }
        let sum: f64 = expected.iter().sum();
        assert!((sum / f64::from(n) - 1.0).abs() < 1e-6, "the density's integral is {}", sum / f64::from(n));
        let statistic: f64 = counts.iter().zip(&expected).map(|(c, e)| (c - e) * (c - e) / e).sum();
        let freedom = (total - 1) as f64;
        let distance = (statistic - freedom) / (2.0 * freedom).sqrt();
        assert!(distance.abs() < 5.0, "chi-square {statistic} with {freedom} degrees of freedom");
        // The bumps are there: uniform counts are refused.
        let flat = f64::from(n) / total as f64;
        let statistic: f64 = counts.iter().map(|c| (c - flat) * (c - flat) / flat).sum();
        assert!(statistic > freedom + 20.0 * (2.0 * freedom).sqrt(), "uniform: chi-square {statistic}");
    }

    #[test]
    fn points_have_the_density() {
        agrees(&Perturbed::<1> { bumps: 2, height: 0.5 * 1f64.exp(), signs: vec![1.0, -1.0] }, 24, 400);
        agrees(&Perturbed::<1> { bumps: 3, height: 0.9, signs: vec![-1.0, -1.0, 1.0] }, 24, 400);
        agrees(&Perturbed::<2> { bumps: 2, height: 2f64.exp(), signs: vec![1.0, -1.0, -1.0, -1.0] }, 16, 20);
    }

    /// G at its extremes: g(0) = 1/e at u = -3/4 and -1/4; 0 at the joints. By hand for p = 2: bump j = 1 of 0..1/2 has
    /// its top at u = 1/8 and its dip at 3/8.
    #[test]
    fn bumps_are_where_the_formula_has_them() {
        let density = Perturbed::<1> { bumps: 2, height: 1f64.exp(), signs: vec![1.0, -1.0] };
        for (u, expected) in [(0.125, 2.0), (0.375, 0.0), (0.625, 0.0), (0.875, 2.0), (0.25, 1.0), (0.5, 1.0)]
        {
            assert!((density.density([u]) - expected).abs() < 1e-12, "f({u}) = {}", density.density([u]));
        }
        // The first coordinate chooses the row of signs, the second one the column.
        let density = Perturbed::<2> { bumps: 2, height: 2f64.exp(), signs: vec![1.0, -1.0, 1.0, 1.0] };
        for (point, expected) in [([0.125, 0.125], 2.0), ([0.125, 0.625], 0.0), ([0.625, 0.125], 2.0)] {
            assert!((density.density(point) - expected).abs() < 1e-12, "f({point:?})");
        }
    }
}
