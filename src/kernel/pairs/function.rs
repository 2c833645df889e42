//! The function of two items that is summed: a kernel function of points, or what takes its place.

use super::family::Family;

/// The function of two items that is summed up; see [`super`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// The kernel of two points.
    #[default]
    Kernel,
    /// The Stein kernel of two points with their scores; gaussian and inverse multiquadric only.
    Stein,
    /// The difference that swapping x and y of one item would turn around.
    Paired,
    /// The product of two such differences, of two variables.
    Dependence,
}

/// A variable beside the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Second {
    /// Coordinates of a point.
    pub d: usize,
    /// The family of its kernel.
    pub family: Family,
    /// Bandwidths, whose kernels are added up; their scales come after those of the first variable.
    pub bandwidths: usize,
}

/// How distances between points are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// From differences of coordinates: always safe.
    Differences,
    /// |x|^2 + |z|^2 - 2 x z, as a matrix product: faster from about 8 coordinates on, and as good while no
    /// point is far from the centre in units of the bandwidth. A point then has one more number,
    /// -|x|^2 / 2.
    Expanded,
}

/// The terms that the coordinates of two points add: the values of COMBINE in `shaders/lib/product.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combination {
    /// Products, as in a matrix product.
    Products,
    /// Squared differences.
    SquaredDifferences,
    /// Magnitudes of differences.
    AbsoluteDifferences,
}

/// The function of two items that is summed up.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// What is summed up.
    pub value: Value,
    /// The kernel function.
    pub family: Family,
    /// Bandwidths, whose kernels are added up.
    pub bandwidths: usize,
    /// Coordinates of a point.
    pub d: usize,
    /// How distances are computed.
    pub form: Form,
    /// The second variable, for [`Value::Dependence`].
    pub second: Option<Second>,
}

impl Function {
    /// A kernel of two points, from differences of their coordinates.
    pub fn kernel(family: Family, bandwidths: usize, d: usize) -> Self {
        Self { value: Value::Kernel, family, bandwidths, d, form: Form::Differences, second: None }
    }

    /// Numbers of a point in memory.
    pub fn stride(&self) -> usize {
        match self.value {
            Value::Kernel => self.d + usize::from(self.form == Form::Expanded),
            Value::Stein | Value::Paired => 2 * self.d,
            Value::Dependence => 2 * (self.d + self.second().d),
        }
    }

    /// The second variable; nothing where there is none.
    pub(super) fn second(&self) -> Second {
        self.second.unwrap_or(Second { d: 0, family: self.family, bandwidths: 0 })
    }

    /// Words of the buffer `scales`.
    pub fn scales_len(&self) -> usize {
        self.bandwidths + self.second().bandwidths
    }

    /// The number that is subtracted from each value, all bandwidths together.
    pub fn centre(&self) -> f64 {
        match self.value {
            Value::Kernel => self.family.centre() * self.bandwidths as f64,
            Value::Stein | Value::Paired | Value::Dependence => 0.0,
        }
    }

    /// Floating-point operations of one kernel value, about.
    pub fn flop_each(&self) -> usize {
        let (distance, kernels) = match (self.value, self.form) {
            (Value::Kernel, Form::Expanded) => (2, 1),
            (Value::Kernel, Form::Differences) => (3, 1),
            (Value::Stein, _) => (8, 2),
            (Value::Paired | Value::Dependence, _) => (12, 4),
        };
        let second = self.second();
        distance * (self.d + second.d) + 16 * kernels * (self.bandwidths + second.bandwidths)
    }

    /// What distances are made of.
    pub(super) fn combination(&self) -> Combination {
        match (self.family, self.form) {
            (family, _) if family.adds_magnitudes() => Combination::AbsoluteDifferences,
            (_, Form::Differences) => Combination::SquaredDifferences,
            (_, Form::Expanded) => Combination::Products,
        }
    }

    /// The f64 definition of the function of two items, less its centre: `stride` numbers each.
    pub(super) fn reference(&self, scales: &[f64], x: &[f64], z: &[f64]) -> f64 {
        let (d, second) = (self.d, self.second());
        let (scales, scales_second) = scales.split_at(self.bandwidths);
        let k = |family: Family, scales: &[f64], x: &[f64], z: &[f64]| -> f64 {
            let distance = family.distance(x, z);
            scales.iter().map(|&scale| family.value(scale, distance)).sum()
        };
        // Of two points of d numbers each, from number `at` on.
        let difference = |family, scales: &[f64], at: usize, d: usize| {
            let [x, y] = [&x[at..][..d], &x[at + d..][..d]];
            let [z, t] = [&z[at..][..d], &z[at + d..][..d]];
            let k = |x: &[f64], z: &[f64]| k(family, scales, x, z);
            k(x, z) + k(y, t) - k(x, t) - k(y, z)
        };
        match self.value {
            Value::Kernel => k(self.family, scales, &x[..d], &z[..d]) - self.centre(),
            Value::Paired => difference(self.family, scales, 0, d),
            Value::Dependence => {
                let first = difference(self.family, scales, 0, d);
                0.25 * first * difference(second.family, scales_second, 2 * d, second.d)
            }
            Value::Stein => {
                let ([x, s], [z, t]) = ([&x[..d], &x[d..]], [&z[..d], &z[d..]]);
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let less = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
                let (r2, mixed) = (self.family.distance(x, z), dot(&less(s, t), &less(x, z)));
                let each = scales.iter().map(|&scale| {
                    let [phi, first, second] = self.family.derivatives(scale, r2);
                    dot(s, t) * phi - 2.0 * first * (mixed + d as f64) - 4.0 * second * r2
                });
                each.sum()
            }
        }
    }
}
