//! Linear support vector machines on one feature, one class against the rest, by Newton's method.
//!
//! ```text
//! x: (n), classes 0..K;  of class k: y_i = 1 in it, -1 in the rest;  prediction = argmax_k w_k x + b_k
//! loss        = (w^2 + b^2) / 2 + sum_i c_i max(0, 1 - y_i (w x_i + b))^2
//! c_i         = C n / (K n_k) in the class, C in the rest; of two classes one machine, each its own
//! gradient    = (w, b) - 2 sum_active c_i y_i (1 - y_i (w x_i + b)) (x_i, 1)
//! Hessian     = 1 + 2 sum_active c_i (x_i, 1) (x_i, 1)^T;  active: y_i (w x_i + b) < 1
//! ```
//!
//! The optimum of scikit-learn's `LinearSVC(C=0.01, class_weight="balanced")`, which is liblinear's (Fan et
//! al., "LIBLINEAR", JMLR 2008, equation 3 with the squared hinge): the intercept is a feature of 1 and
//! penalised, and a class's weight is not given to the rest. The loss is strictly convex and piecewise
//! quadratic, so that Newton's method ends after few steps.

use super::largest;

/// C (`disentanglement_lib`, `sap_score`).
const COST: f64 = 0.01;

/// Convergence: size of the gradient relative to that at (0, 0).
const TOLERANCE: f64 = 1e-12;

/// Steps of Newton's method before rounding is all that is left.
const MOST_STEPS: usize = 100;

/// Halvings of a step that does not gain anything.
const MOST_HALVINGS: usize = 40;

/// One machine per class, or a single one for two.
pub(super) struct Machines {
    /// (w, b) of each.
    machines: Vec<[f64; 2]>,
}

/// Points with their labels and costs; y and c depend on whether a point is in the class.
struct SupportVectors<'a> {
    x: &'a [f64],
    inside: &'a [bool],
    /// c of a point outside and inside.
    costs: [f64; 2],
}

impl Machines {
    /// Fits classes numbered from 0, all of which occur.
    pub(super) fn fit(x: &[f64], labels: &[u8], classes: usize) -> Self {
        let mut counts = vec![0.0; classes];
        labels.iter().for_each(|&y| counts[usize::from(y)] += 1.0);
        let balanced = |k: usize| COST * x.len() as f64 / (classes as f64 * counts[k]);
        let machine = |k: usize, costs: [f64; 2]| {
            let inside: Vec<bool> = labels.iter().map(|&y| usize::from(y) == k).collect();
            SupportVectors { x, inside: &inside, costs }.solve()
        };
        let machines = match classes {
            2 => vec![machine(1, [balanced(0), balanced(1)])],
            _ => (0..classes).map(|k| machine(k, [COST, balanced(k)])).collect(),
        };
        Self { machines }
    }

    /// The class of each point.
    pub(super) fn predict(&self, x: &[f64]) -> Vec<u8> {
        let class = |&x: &f64| match &self.machines[..] {
            // Of two classes, or of one only.
            [[w, b]] => u8::from(w * x + b > 0.0),
            machines => largest(machines.iter().map(|[w, b]| w * x + b)) as u8,
        };
        x.iter().map(class).collect()
    }
}

impl SupportVectors<'_> {
    /// y, c and x of each point.
    fn points(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        let point = |(&x, &inside): (&f64, &bool)| {
            (if inside { 1.0 } else { -1.0 }, self.costs[usize::from(inside)], x)
        };
        self.x.iter().zip(self.inside).map(point)
    }

    fn loss(&self, [w, b]: [f64; 2]) -> f64 {
        let hinge = |(y, c, x): (f64, f64, f64)| c * (1.0 - y * (w * x + b)).max(0.0).powi(2);
        0.5 * (w * w + b * b) + self.points().map(hinge).sum::<f64>()
    }

    /// Gradient, and the Hessian as its elements ww, wb, bb.
    fn derivatives(&self, [w, b]: [f64; 2]) -> ([f64; 2], [f64; 3]) {
        let (mut gradient, mut hessian) = ([w, b], [1.0, 0.0, 1.0]);
        for (y, c, x) in self.points() {
            let margin = 1.0 - y * (w * x + b);
            if margin > 0.0 {
                gradient[0] -= 2.0 * c * y * margin * x;
                gradient[1] -= 2.0 * c * y * margin;
                hessian[0] += 2.0 * c * x * x;
                hessian[1] += 2.0 * c * x;
                hessian[2] += 2.0 * c;
            }
        }
        (gradient, hessian)
    }

    fn solve(&self) -> [f64; 2] {
        let mut point = [0.0; 2];
        let size = |g: [f64; 2]| g[0].hypot(g[1]);
        let enough = TOLERANCE * size(self.derivatives(point).0);
        let mut loss = self.loss(point);
        for _ in 0..MOST_STEPS {
            let (g, [ww, wb, bb]) = self.derivatives(point);
            if size(g) <= enough {
                break;
            }
            let determinant = ww * bb - wb * wb;
            let step = [(bb * g[0] - wb * g[1]) / determinant, (ww * g[1] - wb * g[0]) / determinant];
            let moved = |length: f64| [point[0] - length * step[0], point[1] - length * step[1]];
            let lengths = (0..MOST_HALVINGS).map(|halving| 0.5f64.powi(halving as i32));
            let mut tried = lengths.map(|length| (self.loss(moved(length)), moved(length)));
            let Some((less, better)) = tried.find(|(other, _)| *other < loss) else { break };
            (loss, point) = (less, better);
        }
        point
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x = 1 in a class of two, -1 in the other, c = .01: w^2 / 2 + 2 c (1 - w)^2 is least at w = 4 c / (1 +
    /// 4 c), b = 0.
    #[test]
    fn two_points_have_a_closed_form() {
        let fitted = Machines::fit(&[1.0, -1.0], &[1, 0], 2);
        let [w, b] = fitted.machines[0];
        assert!((w - 0.04 / 1.04).abs() < 1e-14 && b.abs() < 1e-14, "{w} {b}");
        assert_eq!(fitted.predict(&[3.0, -0.1]), [1, 0]);
    }

    /// n = 3000 points in classes at -1, 0, 1, so c = .01. The middle one: w = 0 by symmetry, and b^2 / 2 +
    /// 10 (1 - b)^2 + 20 (1 + b)^2 is least at b = -20 / 61. An outer one: points on the other side are
    /// beyond the hinge, and (w^2 + b^2) / 2 + 10 (1 - w - b)^2 + 10 (1 + b)^2 is least at w = 820 / 461, b =
    /// -400 / 461.
    #[test]
    fn three_classes_on_a_line_are_told_apart() {
        let labels: Vec<u8> = (0..3000).map(|i| (i % 3) as u8).collect();
        let x: Vec<f64> = labels.iter().map(|&y| f64::from(y) - 1.0).collect();
        let fitted = Machines::fit(&x, &labels, 3);
        let [w, b] = fitted.machines[1];
        assert!(w.abs() < 1e-10 && (b + 20.0 / 61.0).abs() < 1e-10, "{w} {b}");
        let [w, b] = fitted.machines[2];
        assert!((w - 820.0 / 461.0).abs() < 1e-10 && (b + 400.0 / 461.0).abs() < 1e-10, "{w} {b}");
        assert_eq!(fitted.predict(&x), labels);
    }
}
