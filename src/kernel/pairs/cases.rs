//! Sizes and buffers for the tests of the kernels over pairs.

use super::lanes::LANES;
use super::values::NEAR;
use super::{Family, Form, Function, Layout, Pairs, Second, Value};
use crate::program::{Case, Step};

/// Sizes for the tests: every family and form, blocks that are full, padded and not a multiple of anything,
/// several slabs and slices.
pub(super) fn case_pairs() -> Vec<(Pairs, Step)> {
    let bandwidths = |family: Family, d| if family.without_bandwidth() { 1 } else { 1 + d % 2 };
    let pairs = |n, m, d, block, family, form| {
        let layout = Layout { block, slab: 2, ..Layout::new([n, m]) };
        let layout = Layout { slice: layout.blocks(), ..layout };
        Pairs { layout, function: Function { form, ..Function::kernel(family, bandwidths(family, d), d) } }
    };
    let of = |value, pairs: Pairs| Pairs { function: Function { value, ..pairs.function }, ..pairs };
    let near = |reach, pairs: Pairs| Pairs { layout: Layout { reach, ..pairs.layout }, ..pairs };
    let sliced = |slice, pairs: Pairs| Pairs { layout: Layout { slice, ..pairs.layout }, ..pairs };
    let crossed = |pairs: Pairs| Pairs { layout: Layout { cross: true, ..pairs.layout }, ..pairs };
    let at = |first, rows_at, columns_at| Step { first, rows_at, columns_at, ..Step::default() };
    let dependence = |pairs: Pairs, family, d| {
        let second = Some(Second { d, family, bandwidths: bandwidths(family, d) });
        Pairs { function: Function { value: Value::Dependence, second, ..pairs.function }, ..pairs }
    };
    use Family::{Delta, Energy, Gaussian, Imq, Laplace};
    use Form::{Differences, Expanded};
    vec![
        (pairs(3, 5, 1, 32, Gaussian, Differences), at(0, 0, 0)),
        (pairs(31, 33, 3, 32, Gaussian, Differences), at(0, 0, 0)),
        (pairs(31, 33, 3, 32, Gaussian, Differences), at(2, 0, 0)),
        (pairs(40, 70, 17, 64, Gaussian, Expanded), at(0, 0, 0)),
        (pairs(70, 40, 33, 64, Imq, Expanded), at(1, 0, 0)),
        (pairs(33, 20, 2, 64, Laplace, Differences), at(0, 0, 0)),
        (pairs(20, 33, 5, 32, Imq, Differences), at(0, 0, 0)),
        (pairs(33, 31, 4, 32, Energy, Differences), at(0, 0, 0)),
        (pairs(257, 5, 2, 256, Gaussian, Differences), at(0, 0, 0)),
        (pairs(40, 31, 1, 32, Delta, Differences), at(0, 0, 0)),
        (crossed(pairs(40, 30, 3, 32, Gaussian, Differences)), at(0, 0, 0)),
        // More coordinates than the CPU adds up at a time.
        (pairs(5, 40, NEAR + 3, 32, Gaussian, Expanded), at(0, 0, 0)),
        // Slices of two blocks: rows from the first, columns from the second.
        (sliced(2, pairs(90, 60, 3, 32, Laplace, Differences)), at(0, 0, 2)),
        (sliced(2, pairs(90, 60, 9, 32, Gaussian, Expanded)), at(1, 2, 4)),
        (of(Value::Stein, pairs(70, 0, 3, 32, Gaussian, Differences)), at(0, 0, 0)),
        (of(Value::Stein, pairs(33, 0, 2, 64, Imq, Differences)), at(0, 0, 0)),
        (sliced(2, of(Value::Stein, pairs(90, 0, 17, 32, Imq, Differences))), at(0, 0, 1)),
        (of(Value::Paired, pairs(70, 0, 3, 32, Gaussian, Differences)), at(0, 0, 0)),
        (of(Value::Paired, pairs(40, 0, 2, 64, Laplace, Differences)), at(0, 0, 0)),
        (of(Value::Paired, pairs(65, 0, 5, 32, Imq, Differences)), at(1, 0, 0)),
        (of(Value::Paired, pairs(33, 0, 4, 32, Energy, Differences)), at(0, 0, 0)),
        (dependence(pairs(70, 0, 3, 32, Gaussian, Differences), Laplace, 2), at(0, 0, 0)),
        (dependence(pairs(40, 0, 1, 64, Imq, Differences), Delta, 1), at(0, 0, 0)),
        (dependence(pairs(65, 0, 2, 32, Laplace, Differences), Gaussian, 5), at(1, 0, 0)),
        // Only near pairs: within a block, beyond one, in a band as wide as the slice, from one slice to the next.
        (near(5, of(Value::Stein, pairs(100, 0, 3, 32, Gaussian, Differences))), at(0, 0, 0)),
        (near(33, of(Value::Paired, pairs(129, 0, 2, 32, Laplace, Differences))), at(1, 0, 0)),
        (near(40, of(Value::Stein, pairs(90, 0, 2, 32, Imq, Differences))), at(0, 0, 0)),
        (sliced(3, near(31, dependence(pairs(200, 0, 1, 32, Imq, Differences), Laplace, 2))), at(2, 0, 3)),
        (near(7, of(Value::Paired, pairs(70, 0, 2, 64, Gaussian, Differences))), at(0, 0, 0)),
    ]
}

/// Fills the buffers that all kernels over pairs read: points, consistent half norms, scales.
pub(super) fn fill(mut case: Case, pairs: &Pairs) -> Case {
    let function = &pairs.function;
    let (d, second) = (function.d, function.second());
    if function.form == Form::Expanded {
        for points in &mut case.reads[..2] {
            for group in points.chunks_exact_mut(function.stride() * LANES) {
                for lane in 0..LANES {
                    let squares = (0..d).map(|k| group[k * LANES + lane] * group[k * LANES + lane]);
                    group[d * LANES + lane] = -0.5 * squares.sum::<f32>();
                }
            }
        }
    }
    if [function.family, second.family].contains(&Family::Delta) {
        // Few different labels, so that some are equal.
        let label = |_: usize, value: f32| (2.0 * value).round();
        case = case.map("rows", label).map("columns", label);
    }
    let scale = |i: usize| {
        let (kernel, i) = (i / function.scales_len(), i % function.scales_len());
        let factor = 1.0 + 0.5 * kernel as f64;
        match i.checked_sub(function.bandwidths) {
            None => function.family.scale(factor * (d as f64).sqrt() * (1.0 + i as f64)) as f32,
            Some(i) => second.family.scale(factor * (1.0 + i as f64)) as f32,
        }
    };
    case.map("scales", |i, _| scale(i))
}
