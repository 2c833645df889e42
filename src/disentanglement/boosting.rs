//! Gradient-boosted trees for classes: how much each feature matters to them, and predictions.
//!
//! ```text
//! F_k          score of class k, at first the logarithm of its share;  p_ik = exp(F_k) / sum_l exp(F_l)
//! stage        one regression tree per class on r_ik = 1_(y_i = k) - p_ik;  F_k += rate * leaf; 100 stages
//! leaf         (K - 1) / K * sum r / sum |r| (1 - |r|) over its points, a step of Newton's method
//! split        x_j <= t of the largest gain S_l^2 / n_l + S_r^2 / n_r - S^2 / n, S the sum of r
//! importance   of feature j: the sum of its gains in all trees; their sum over features is 1
//! ```
//!
//! Friedman, "Greedy function approximation: a gradient boosting machine", Annals of Statistics 2001,
//! algorithm 6; settings and importances of scikit-learn's `GradientBoostingClassifier()`. Of two classes
//! there is one tree per stage, of the second class's log odds, and no (K - 1) / K.
//!
//! All thresholds are tried, as there: halfway between neighbouring values of a node. Features are sorted
//! once, and a level of a tree is one pass over each. Of equal gains, frequent in nodes with few points of a
//! class, scikit-learn takes that of a random feature; here the first feature that is tried goes round, so
//! that none is favoured.

use super::{Labelled, largest};
use rayon::prelude::*;

/// Stages (scikit-learn, `n_estimators`).
const STAGES: usize = 100;

/// Depth of trees (scikit-learn, `max_depth`).
const DEPTH: usize = 3;

/// Nodes of a tree, numbered as a heap from 1: the children of node k are 2 k and 2 k + 1.
const NODES: usize = 2 << DEPTH;

/// Part of a leaf that is added (scikit-learn, `learning_rate`).
const RATE: f64 = 0.1;

/// Values no further apart are the same (scikit-learn, `FEATURE_THRESHOLD`).
const SAME: f64 = 1e-7;

/// A node of no larger variance is not split (scikit-learn, `EPSILON` of its trees).
const PURE: f64 = f64::EPSILON;

/// Sum of |r| (1 - |r|) that is as good as 0 (scikit-learn, `_update_terminal_regions`).
const NO_CURVATURE: f64 = 1e-150;

/// Features of points to learn from and to predict.
pub(super) struct SortedFeatures<'a> {
    /// `(m)` of `(n)`.
    train: &'a [Vec<f64>],
    /// `(m)` of the points to predict.
    test: &'a [Vec<f64>],
    /// Values with their points, the least first: `(m)` of `(n)`.
    sorted: Vec<Vec<(f64, u32)>>,
}

/// What the trees say.
pub(super) struct BoostedFit {
    /// `(m)`, of sum 1 unless there was no split.
    pub(super) importance: Vec<f64>,
    /// Classes of the points to learn from.
    pub(super) train: Vec<u8>,
    /// Classes of the points to predict.
    pub(super) test: Vec<u8>,
}

/// One regression tree: its leaf of each point, and the gains of each feature.
struct Tree {
    train: Vec<f64>,
    test: Vec<f64>,
    gains: Vec<f64>,
}

#[derive(Clone, Copy)]
struct BranchSplit {
    feature: usize,
    threshold: f64,
    gain: f64,
}

/// Number of points, sum of r and of r^2.
#[derive(Clone, Copy, Default)]
struct BranchSums {
    count: f64,
    sum: f64,
    squares: f64,
}

impl<'a> SortedFeatures<'a> {
    pub(super) fn new(train: &'a Labelled, test: &'a Labelled) -> Self {
        Self::of(&train.mean, &test.mean)
    }

    fn of(train: &'a [Vec<f64>], test: &'a [Vec<f64>]) -> Self {
        let sorted = |column: &Vec<f64>| {
            let mut pairs: Vec<(f64, u32)> = column.iter().copied().zip(0..).collect();
            pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
            pairs
        };
        Self { train, test, sorted: train.iter().map(sorted).collect() }
    }

    pub(super) fn latents(&self) -> usize {
        self.train.len()
    }

    fn tests(&self) -> usize {
        self.test[0].len()
    }
}

/// Fits labels `(n)` of `0..classes`, at least two, all of which occur.
pub(super) fn fit(features: &SortedFeatures<'_>, labels: &[u8], classes: usize) -> BoostedFit {
    let (m, n, tests) = (features.latents(), labels.len(), features.tests());
    // Of two classes the first one's score stays 0.
    let grown: Vec<usize> = if classes == 2 { vec![1] } else { (0..classes).collect() };
    let leaf_factor = if classes == 2 { 1.0 } else { (classes - 1) as f64 / classes as f64 };
    let count = |k: usize| labels.iter().filter(|&&y| usize::from(y) == k).count() as f64;
    let start = |k: usize| (count(k) / if classes == 2 { count(0) } else { n as f64 }).ln();
    let mut train: Vec<Vec<f64>> = (0..classes).map(|k| vec![start(k); n]).collect();
    let mut test: Vec<Vec<f64>> = (0..classes).map(|k| vec![start(k); tests]).collect();
    let mut importance = vec![0.0; m];
    for stage in 0..STAGES {
        let normalisers: Vec<[f64; 2]> = (0..n).map(|i| normaliser(&train, i)).collect();
        let grow = |&k: &usize| {
            let residual = |(i, [most, sum]): (usize, &[f64; 2])| {
                f64::from(u8::from(usize::from(labels[i]) == k)) - (train[k][i] - most).exp() / sum
            };
            let residuals: Vec<f64> = normalisers.iter().enumerate().map(residual).collect();
            Tree::grown(features, &residuals, leaf_factor, stage + k)
        };
        let trees: Vec<Tree> = grown.par_iter().map(grow).collect();
        for (&k, tree) in grown.iter().zip(trees) {
            add(&mut train[k], &tree.train, RATE);
            add(&mut test[k], &tree.test, RATE);
            add(&mut importance, &tree.gains, 1.0);
        }
    }
    let sum: f64 = importance.iter().sum();
    if sum > 0.0 {
        importance.iter_mut().for_each(|gain| *gain /= sum);
    }
    BoostedFit { importance, train: predictions(&train), test: predictions(&test) }
}

fn add(sums: &mut [f64], values: &[f64], factor: f64) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}

/// The largest score of point i, and sum `exp(F_k - largest)`.
fn normaliser(scores: &[Vec<f64>], i: usize) -> [f64; 2] {
    let most = scores.iter().map(|of_class| of_class[i]).fold(f64::NEG_INFINITY, f64::max);
    [most, scores.iter().map(|of_class| (of_class[i] - most).exp()).sum()]
}

fn predictions(scores: &[Vec<f64>]) -> Vec<u8> {
    (0..scores[0].len()).map(|i| largest(scores.iter().map(|of_class| of_class[i])) as u8).collect()
}

impl Tree {
    /// `first` is the feature that is tried first, modulo their number.
    fn grown(features: &SortedFeatures<'_>, residuals: &[f64], leaf_factor: f64, first: usize) -> Self {
        let mut nodes = vec![1; residuals.len()];
        let mut test_nodes = vec![1; features.tests()];
        let mut gains = vec![0.0; features.latents()];
        for level in 0..DEPTH {
            let splits = best_splits(features, residuals, &nodes, level, first);
            splits.iter().flatten().for_each(|split| gains[split.feature] += split.gain);
            descend(&mut nodes, features.train, &splits);
            descend(&mut test_nodes, features.test, &splits);
        }
        let mut sums = [[0.0; 2]; NODES];
        for (&node, r) in nodes.iter().zip(residuals) {
            let [sum, curvature] = &mut sums[usize::from(node)];
            *sum += r;
            *curvature += r.abs() * (1.0 - r.abs());
        }
        let leaf = |&node: &u8| {
            let [sum, curvature] = sums[usize::from(node)];
            if curvature < NO_CURVATURE { 0.0 } else { leaf_factor * sum / curvature }
        };
        Self { train: nodes.iter().map(leaf).collect(), test: test_nodes.iter().map(leaf).collect(), gains }
    }
}

/// Sends points to the children of nodes that are split.
fn descend(nodes: &mut [u8], columns: &[Vec<f64>], splits: &[Option<BranchSplit>; NODES]) {
    for (i, node) in nodes.iter_mut().enumerate() {
        if let Some(split) = splits[usize::from(*node)] {
            *node = 2 * *node + u8::from(columns[split.feature][i] > split.threshold);
        }
    }
}

/// The best split of each node of a level; `nodes` says where points are.
fn best_splits(
    features: &SortedFeatures<'_>,
    residuals: &[f64],
    nodes: &[u8],
    level: usize,
    first: usize,
) -> [Option<BranchSplit>; NODES] {
    let mut totals = [BranchSums::default(); NODES];
    for (&node, &r) in nodes.iter().zip(residuals) {
        totals[usize::from(node)].add(r);
    }
    let open: [bool; NODES] =
        std::array::from_fn(|node| node >> level == 1 && totals[node].variance() > PURE);
    let mut best = [None; NODES];
    for place in 0..features.latents() {
        let feature = (first + place) % features.latents();
        let mut left = [BranchSums::default(); NODES];
        let mut last = [0.0; NODES];
        for &(x, i) in &features.sorted[feature] {
            let node = usize::from(nodes[i as usize]);
            if !open[node] {
                continue;
            }
            if left[node].count > 0.0 && x > last[node] + SAME {
                let gain = totals[node].gain(left[node]);
                if best[node].is_none_or(|best: BranchSplit| gain > best.gain) {
                    best[node] = Some(BranchSplit { feature, threshold: 0.5 * (last[node] + x), gain });
                }
            }
            left[node].add(residuals[i as usize]);
            last[node] = x;
        }
    }
    best
}

impl BranchSums {
    fn add(&mut self, r: f64) {
        self.count += 1.0;
        self.sum += r;
        self.squares += r * r;
    }

    fn variance(self) -> f64 {
        self.squares / self.count - (self.sum / self.count).powi(2)
    }

    /// What the sum of squares about the mean loses if `left` is split off.
    fn gain(self, left: Self) -> f64 {
        let difference = self.count * left.sum - left.count * self.sum;
        difference * difference / (self.count * left.count * (self.count - left.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One stage of trees by hand: classes 0 and 1 of four points each, told apart by the second feature. r =
    /// +-1/2, the leaf is (1/2) / (1/4) = 2, and all scores are those of 100 steps towards the class.
    #[test]
    fn a_feature_that_tells_all_has_all_importance() {
        let labels = [0, 1, 0, 1, 0, 1, 0, 1];
        let columns = [vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0], labels.map(f64::from).to_vec()];
        let test = [vec![0.5, 0.5], vec![-3.0, 0.51]];
        let features = SortedFeatures::of(&columns, &test);
        let residuals = labels.map(|y| f64::from(y) - 0.5);
        let tree = Tree::grown(&features, &residuals, 1.0, 0);
        assert_eq!(tree.train, labels.map(|y| 4.0 * f64::from(y) - 2.0));
        // 2 (1 / 2 * 4)^2 / 4 = 2, which is the sum of squares.
        assert_eq!(tree.gains, [0.0, 2.0]);
        let fit = fit(&features, &labels, 2);
        assert_eq!((fit.train, fit.test), (labels.to_vec(), vec![0, 1]));
        assert!((fit.importance[1] - 1.0).abs() < 1e-12 && fit.importance[0] < 1e-12, "{:?}", fit.importance);
    }

    /// Each of four points has r of its own; by x = 0, 1, 4, 9 the best split is at 2.5, the next ones at .5
    /// and 6.5.
    #[test]
    fn a_tree_splits_where_squares_lose_most() {
        let (columns, test) = ([vec![9.0, 0.0, 4.0, 1.0]], [vec![2.5, 2.6, 0.5, 6.6]]);
        let residuals = [0.4, -0.4, 0.2, -0.2];
        let tree = Tree::grown(&SortedFeatures::of(&columns, &test), &residuals, 1.0, 7);
        // r / |r| (1 - |r|).
        let leaf = |r: f64| r / (r.abs() * (1.0 - r.abs()));
        assert_eq!(tree.train, residuals.map(leaf));
        assert_eq!(tree.test, [-0.2, 0.2, -0.4, 0.4].map(leaf));
        // All that there is: .4^2 + .4^2 + .2^2 + .2^2.
        assert!((tree.gains[0] - 0.4).abs() < 1e-14, "{:?}", tree.gains);
    }

    /// Three classes on a line, a useless feature beside it.
    #[test]
    fn threads_change_nothing() {
        let labels: Vec<u8> = (0..300).map(|i| (i % 3) as u8).collect();
        let columns = [
            labels.iter().map(|&y| f64::from(y)).collect(),
            (0..300).map(|i| f64::from(i * 7 % 11)).collect(),
        ];
        let features = SortedFeatures::of(&columns, &columns);
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fit(&features, &labels, 3))
        };
        let (one, three) = (with(1), with(3));
        assert_eq!((&one.importance, &one.test), (&three.importance, &three.test));
        assert_eq!(one.test, labels);
        assert!(one.importance[0] > 0.999, "{:?}", one.importance);
    }
}
