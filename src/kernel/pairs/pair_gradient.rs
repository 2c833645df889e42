//! The gradient of weighted sums of the kernel function with respect to the points of X, computed anew from the
//! points: nothing of the kernel matrix is kept.
//!
//! ```text
//! gradient[i] = w_x sum over j != i of dk(x_i, x_j)/dx_i + w_y sum over j of dk(x_i, y_j)/dx_i
//!
//! unbiased MMD^2:  w_x = 2 / (n (n - 1)),  w_y = -2 / (n m)          biased:  w_x = 2 / n^2
//! gaussian  dk/dx = 2 ln 2 scale k (x - z)           laplace  dk/dx = ln 2 scale k sign(x - z)
//! imq       dk/dx = -scale k^3 (x - z)               energy   dk/dx = scale (x - z) / |x - z|_2, and 0 at x = z
//! ```
//!
//! `x: (n, d)`; `y: (m, d)`; `scales`: one a bandwidth ([`super`]); `weights`: `w_x`, `w_y`;
//! `gradient: (n, d)`. Each pair of X counts twice in its sum, hence the 2.

use super::family::to_slopes;
use super::{Family, LANES};
use crate::kernel::words::words;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use multiversion::multiversion;
use rayon::prelude::*;

/// The gradient at all points of X.
#[derive(Clone, Debug)]
pub struct PairGradient {
    /// Points of X.
    pub n: usize,
    /// Points of Y.
    pub m: usize,
    /// Coordinates of a point.
    pub d: usize,
    /// The kernel function.
    pub family: Family,
    /// Bandwidths, whose kernels are added up.
    pub bandwidths: usize,
}

pub(crate) static SPEC: Spec = Spec::new(
    "pair_gradient",
    "w_x sum of dk(x_i, x_j)/dx_i + w_y sum of dk(x_i, y_j)/dx_i",
    wgsl!("pairs/pair_gradient", "family", "exponential"),
)
.reads(&["x", "y", "scales", "weights"])
.writes(&["gradient"])
.cases(cases);

/// Threads of a workgroup, which has one row of the result; other points of the sum that are in workgroup memory
/// at a time.
const THREADS: usize = 64;

impl Kernel for PairGradient {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let Self { n, m, d, bandwidths, .. } = *self;
        Shape::new([n * d, m * d, bandwidths, 2], [n * d], n * (n + m) * (6 * d + 16 * bandwidths))
    }

    fn params(&self) -> Vec<u32> {
        words([self.n, self.m, self.d, self.bandwidths])
    }

    fn overrides(&self) -> Overrides {
        Overrides::of("THREADS", THREADS).set("FAMILY", self.family as u8)
    }

    fn variants(&self) -> Vec<Variant> {
        let chunks = (self.n + self.m).div_ceil(THREADS);
        let iterations = chunks * (2 + self.d + self.bandwidths + self.d.div_ceil(THREADS) * (1 + THREADS));
        vec![Variant::new("", [self.n, 1]).iterations(iterations)]
    }

    fn reference(&self, _: &Step, buffers: Buffers<'_, f64>) {
        let ([x, y, scales, weights], [gradient]) = buffers.split();
        let d = self.d;
        gradient.fill(0.0);
        for (i, (point, gradient)) in x.chunks_exact(d).zip(gradient.chunks_exact_mut(d)).enumerate() {
            for (others, weight, own) in [(x, weights[0], true), (y, weights[1], false)] {
                for (_, other) in others.chunks_exact(d).enumerate().filter(|&(j, _)| !(own && i == j)) {
                    let t: Vec<f64> = point.iter().zip(other).map(|(x, z)| x - z).collect();
                    let l1 = self.family.adds_magnitudes();
                    let distance: f64 = t.iter().map(|&t| self.family.part(t)).sum();
                    for &scale in scales {
                        let factor = self.family.slope(scale, distance);
                        for (gradient, t) in gradient.iter_mut().zip(&t) {
                            let sign = if *t == 0.0 { 0.0 } else { t.signum() };
                            *gradient += weight * factor * if l1 { sign } else { *t };
                        }
                    }
                }
            }
        }
    }

    fn cpu(&self, _: &Step, buffers: Buffers<'_, f32>) {
        let ([x, y, scales, weights], [gradient]) = buffers.split();
        let d = self.d;
        let samples = [(x, weights[0], true), (y, weights[1], false)]
            .map(|(points, weight, own)| (transposed(points, d), points.len() / d, weight, own));
        let scratch = Vec::<f32>::new;
        gradient.par_chunks_exact_mut(d).enumerate().for_each_init(scratch, |factors, (i, gradient)| {
            gradient.fill(0.0);
            let point = &x[i * d..][..d];
            for (columns, count, weight, own) in &samples {
                factors.resize(columns.len() / d, 0.0);
                add_distances(point, columns, self.family.adds_magnitudes(), factors);
                to_slopes(factors, scales, *weight, self.family);
                factors[*count..].fill(0.0);
                if *own {
                    factors[i] = 0.0;
                }
                add_differences(point, columns, factors, self.family.adds_magnitudes(), gradient);
            }
        });
    }

    fn tolerance(&self) -> f64 {
        // Terms of both signs: the sum is smaller than what rounds.
        f64::from(f32::EPSILON) * (16.0 + ((self.n + self.m + self.d) as f64).sqrt())
    }
}

/// Points in columns, `(d, n)` with n in whole vectors.
pub(crate) fn transposed(points: &[f32], d: usize) -> Vec<f32> {
    let pitch = (points.len() / d).next_multiple_of(LANES);
    let mut columns = vec![0.0; d * pitch];
    for (i, point) in points.chunks_exact(d).enumerate() {
        point.iter().enumerate().for_each(|(f, v)| columns[f * pitch + i] = *v);
    }
    columns
}

/// Distances of a point to all columns.
#[multiversion(targets = "simd")]
pub(crate) fn add_distances(point: &[f32], columns: &[f32], l1: bool, distances: &mut [f32]) {
    distances.fill(0.0);
    for (x, column) in point.iter().zip(columns.chunks_exact(distances.len())) {
        for (distance, z) in distances.iter_mut().zip(column) {
            let t = x - z;
            *distance += if l1 { t.abs() } else { t * t };
        }
    }
}

/// Adds the differences of a point to all columns, or their signs, each times its factor.
#[multiversion(targets = "simd")]
pub(crate) fn add_differences(
    point: &[f32],
    columns: &[f32],
    factors: &[f32],
    l1: bool,
    gradient: &mut [f32],
) {
    for ((x, column), gradient) in point.iter().zip(columns.chunks_exact(factors.len())).zip(gradient) {
        let mut lanes = [0.0f32; LANES];
        for (column, factors) in column.chunks_exact(LANES).zip(factors.chunks_exact(LANES)) {
            for lane in 0..LANES {
                let t = x - column[lane];
                let sign = if t > 0.0 {
                    1.0
                } else if t < 0.0 {
                    -1.0
                } else {
                    0.0
                };
                lanes[lane] += factors[lane] * if l1 { sign } else { t };
            }
        }
        *gradient += lanes.iter().sum::<f32>();
    }
}

fn cases() -> Vec<Case> {
    use Family::{Energy, Gaussian, Imq, Laplace};
    [
        (1, 3, 1, Gaussian, 1),
        (33, 65, 2, Gaussian, 2),
        (64, 20, 65, Gaussian, 1),
        (31, 40, 7, Laplace, 1),
        (65, 33, 3, Imq, 3),
        (20, 130, 5, Energy, 1),
    ]
    .map(|(n, m, d, family, bandwidths)| {
        let case = Case::new(PairGradient { n, m, d, family, bandwidths });
        let scale = move |i: usize| family.scale((d as f64).sqrt() * (1.0 + i as f64)) as f32;
        case.map("scales", |i, _| scale(i)).map("weights", |i, _| [0.7, -1.3][i])
    })
    .into()
}
