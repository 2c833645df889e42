//! P-values: from draws under the null, or from a distribution function; and the least that a test can find.

use crate::error::{Error, Result};
use serde::{Serialize, Serializer};

/// Ties count as exceedances: a draw counts if it is not below the observed value by more than this, in units of
/// the mean kernel value. Rounding must not break ties.
pub(super) const TIE: f64 = 1e-6;

/// A p-value and what it was made from.
#[derive(Clone, Debug, Serialize)]
pub struct PValue {
    /// (1 + exceedances) / (1 + permutations): never 0.
    pub p_value: f64,
    /// The least p-value that the test can find, see [`least`]; 0 for a distribution function.
    pub least_p_value: f64,
    /// Draws at least as extreme as what was observed.
    pub exceedances: usize,
    /// Draws; 0, which is null in JSON, for a distribution function.
    #[serde(serialize_with = "number_of_draws")]
    pub permutations: usize,
    /// Monte-Carlo standard error of the p-value.
    pub p_standard_error: f64,
    /// How the draws were made, or the name of the distribution: exact, binned, wild, parametric, gamma, normal.
    pub null: &'static str,
    /// Level.
    pub alpha: f64,
    /// Whether the p-value is at most the level.
    pub reject: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn number_of_draws<S: Serializer>(draws: &usize, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    (*draws > 0).then_some(draws).serialize(serializer)
}

/// How many draws of a null can differ from each other in their statistic: its natural logarithm, which may be
/// thousands. Infinite where draws come from a continuous distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distinct(pub f64);

impl Distinct {
    /// Draws that never repeat.
    pub const ENDLESS: Self = Self(f64::INFINITY);

    /// Choices of n out of n + m things: C(n + m, n), or half as many for n = m, since the statistic is the same
    /// whichever half is called X.
    pub fn choices([n, m]: [usize; 2]) -> Self {
        let both = if n == m { std::f64::consts::LN_2 } else { 0.0 };
        Self(ln_factorial(n + m) - ln_factorial(n) - ln_factorial(m) - both)
    }

    /// Signs of n items: 2^n / 2, since turning all of them around changes no quadratic form.
    pub fn signs(n: usize) -> Self {
        Self((n as f64 - 1.0) * std::f64::consts::LN_2)
    }

    /// Orders of n things: n!.
    pub fn orders(n: usize) -> Self {
        Self(ln_factorial(n))
    }

    /// Orders of things of which some are equal, from the number of things of each kind: n! / prod `c_i`!. With
    /// `names` of the kinds that do not matter, kinds of one size can be exchanged too.
    pub fn orders_of_kinds(counts: &[usize], names: bool) -> Self {
        let all = ln_factorial(counts.iter().sum());
        let alike: f64 = counts.iter().map(|&count| ln_factorial(count)).sum();
        if !names {
            return Self(all - alike);
        }
        let mut sizes = counts.to_vec();
        sizes.sort_unstable();
        let exchanges: f64 = sizes.chunk_by(|a, b| a == b).map(|run| ln_factorial(run.len())).sum();
        Self(all - alike - exchanges)
    }
}

fn ln_factorial(n: usize) -> f64 {
    libm::lgamma(n as f64 + 1.0)
}

/// The least p-value that a test with B random draws can find:
///
/// ```text
/// max(1 / (B + 1), 1 / D),   D: how many draws differ from each other
/// ```
///
/// Of all draws a share of 1 / D at least ties with what was observed, and ties count. If nothing is more extreme, p is
/// (1 + T) / (1 + B) with T binomial (B, 1 / D), 1 / D + (1 - 1 / D) / (B + 1) in the mean: that of all D draws,
/// 1 / D, up to the luck of the draws, and never below 1 / (B + 1) (Phipson and Smyth, "Permutation p-values should
/// never be zero", 2010).
pub fn least(permutations: usize, distinct: Distinct) -> f64 {
    (1.0 / (permutations + 1) as f64).max((-distinct.0).exp())
}

/// What a test says whose number of draws alone keeps it from rejecting.
pub fn too_few_draws(permutations: usize, alpha: f64) -> Option<String> {
    (least(permutations, Distinct::ENDLESS) > alpha).then(|| {
        let needed = (1.0 / alpha).ceil() - 1.0;
        format!("{permutations} permutations cannot reject at level {alpha}; use at least {needed}")
    })
}

impl PValue {
    /// From the number of draws that reach the observed value.
    fn new(
        exceedances: usize,
        permutations: usize,
        distinct: Distinct,
        null: &'static str,
        alpha: f64,
    ) -> Self {
        let total = (permutations + 1) as f64;
        let p_value = (exceedances + 1) as f64 / total;
        let p_standard_error = (p_value * (1.0 - p_value) / total).sqrt();
        let (least_p_value, reject) = (least(permutations, distinct), p_value <= alpha);
        Self { p_value, least_p_value, exceedances, permutations, p_standard_error, null, alpha, reject }
    }

    /// From draws of a statistic under the null; those count that are not below the observed value by more than
    /// `tie`.
    pub(super) fn of_draws(
        observed: f64,
        draws: &[f64],
        tie: f64,
        distinct: Distinct,
        null: &'static str,
        alpha: f64,
    ) -> Self {
        let exceedances = draws.iter().filter(|draw| **draw >= observed - tie).count();
        Self::new(exceedances, draws.len(), distinct, null, alpha)
    }

    /// Why the test can find no p-value up to its level, if it cannot, and what to do.
    pub fn cannot_reject(&self) -> Option<String> {
        let Self { permutations, alpha, least_p_value, .. } = *self;
        if permutations == 0 {
            return None;
        }
        too_few_draws(permutations, alpha).or_else(|| {
            (least_p_value > alpha).then(|| {
                format!(
                    "the samples are too small to reject at level {alpha}: all draws of the {} null together give \
                     no p-value below {least_p_value:.3}; use more points, or a null with more draws",
                    self.null
                )
            })
        })
    }

    /// From a distribution function: no draws, no Monte-Carlo error.
    pub(super) fn exact(p_value: f64, null: &'static str, alpha: f64) -> Self {
        // A p-value is never 0, not even where f64 has no smaller number.
        let p_value = p_value.max(f64::MIN_POSITIVE);
        let reject = p_value <= alpha;
        let (least_p_value, p_standard_error) = (0.0, 0.0);
        Self {
            p_value,
            least_p_value,
            exceedances: 0,
            permutations: 0,
            p_standard_error,
            null,
            alpha,
            reject,
        }
    }
}

/// Whether draws and a level are possible.
///
/// # Errors
/// If no draws are wanted, or the level is not between 0 and 1.
pub(super) fn check(permutations: usize, alpha: f64) -> Result<()> {
    if permutations == 0 {
        return Err(Error::usage("a test needs at least one permutation; 999 is usual"));
    }
    if !(alpha > 0.0 && alpha < 1.0) {
        return Err(Error::usage(format!("a level of {alpha} is not between 0 and 1; 0.05 is usual")));
    }
    Ok(())
}

/// P(N(0, 1) >= z).
fn normal_tail(z: f64) -> f64 {
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}

/// The two-sided p-value of a normal estimate of 0; 1 if its standard error was not estimated above 0.
pub(super) fn normal_p_value(estimate: f64, standard_error: f64) -> f64 {
    if standard_error > 0.0 { 2.0 * normal_tail((estimate / standard_error).abs()) } else { 1.0 }
}

/// P(Gamma(shape, 1) >= x): the regularised upper incomplete gamma function, by its series below shape + 1 and by
/// its continued fraction above (Abramowitz and Stegun 6.5.29, 6.5.31).
pub(super) fn gamma_tail(shape: f64, x: f64) -> f64 {
    const TERMS: usize = 10_000;
    const TINY: f64 = 1e-300;
    if x <= 0.0 {
        return 1.0;
    }
    let front = (shape * x.ln() - x - libm::lgamma(shape)).exp();
    if x < shape + 1.0 {
        let (mut term, mut sum) = (1.0 / shape, 1.0 / shape);
        for i in 1..TERMS {
            term *= x / (shape + i as f64);
            sum += term;
            if term < sum * f64::EPSILON {
                break;
            }
        }
        return 1.0 - front * sum;
    }
    // Lentz's method.
    let mut b = x + 1.0 - shape;
    let (mut c, mut d) = (1.0 / TINY, 1.0 / b);
    let mut fraction = d;
    for i in 1..TERMS {
        let a = -(i as f64) * (i as f64 - shape);
        b += 2.0;
        d = 1.0 / (a * d + b);
        c = b + a / c;
        fraction *= c * d;
        if (c * d - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    front * fraction
}

/// Quantiles of |z|, z ~ N(0, deviation^2), evenly spread: a normal null distribution in the place of draws.
pub(super) fn half_normal(deviation: f64) -> Vec<f64> {
    const QUANTILES: usize = 20_000;
    (0..QUANTILES).map(|i| deviation * normal_quantile((i as f64 + 0.5) / QUANTILES as f64)).collect()
}

/// How many standard deviations a two-sided confidence interval of level 1 - alpha reaches (P. Acklam's rational
/// approximation of the normal quantile, to 1e-9).
pub(super) fn normal_quantile(alpha: f64) -> f64 {
    let p = 1.0 - alpha / 2.0;
    let a = [
        -39.696_830_286_653_76,
        220.946_098_424_520_5,
        -275.928_510_446_968_7,
        138.357_751_867_269,
        -30.664_798_066_147_16,
        2.506_628_277_459_239,
    ];
    let b = [
        -54.476_098_798_224_06,
        161.585_836_858_040_9,
        -155.698_979_859_886_6,
        66.801_311_887_719_72,
        -13.280_681_552_885_72,
    ];
    let c = [
        -0.007_784_894_002_430_293,
        -0.322_396_458_041_136_5,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    let d =
        [0.007_784_695_709_041_462, 0.322_467_129_070_039_8, 2.445_134_137_142_996, 3.754_408_661_907_416];
    let poly = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    if p <= 0.975_75 {
        let (q, r) = (p - 0.5, (p - 0.5) * (p - 0.5));
        poly(&a, r) * q / (poly(&b, r) * r + 1.0)
    } else {
        let q = (-2.0 * (1.0 - p).ln()).sqrt();
        -poly(&c, q) / (poly(&d, q) * q + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each kind of draws, listed in full: the share of those with the most common statistic is that of the observed one
    /// at least.
    #[test]
    fn distinct_draws_are_those_of_a_list() {
        for (distinct, count) in [
            (Distinct::choices([3, 3]), 10.0),
            (Distinct::choices([3, 4]), 35.0),
            (Distinct::choices([40, 4]), 135_751.0),
            (Distinct::signs(5), 16.0),
            (Distinct::orders(5), 120.0),
            // aabbc: 5! / (2! 2!); with names that do not matter, a and b can be exchanged.
            (Distinct::orders_of_kinds(&[2, 2, 1], false), 30.0),
            (Distinct::orders_of_kinds(&[2, 2, 1], true), 15.0),
            (Distinct::orders_of_kinds(&[1; 4], false), 24.0),
        ] {
            assert!((distinct.0.exp() / count - 1.0).abs() < 1e-12, "{distinct:?} is not ln {count}");
        }
    }

    #[test]
    fn tests_that_cannot_reject_say_so() {
        let p = |draws, distinct| PValue::new(0, draws, distinct, "exact", 0.05);
        let all = p(999, Distinct::choices([3, 3]));
        assert!((all.least_p_value - 0.1).abs() < 1e-12, "one of ten splits, and its complement");
        assert!(all.cannot_reject().is_some_and(|text| text.contains("0.100")));
        let few = p(10, Distinct::ENDLESS);
        assert!((few.least_p_value - 1.0 / 11.0).abs() < 1e-15);
        assert!(few.cannot_reject().is_some_and(|text| text.contains("at least 19")));
        for possible in [p(19, Distinct::ENDLESS), p(999, Distinct::choices([4, 4]))] {
            assert_eq!(possible.cannot_reject(), None);
        }
        assert_eq!(PValue::exact(0.5, "normal", 0.05).cannot_reject(), None, "no draws, no limit");
    }

    /// 3 against 3 points, the observed split the most extreme of ten: the mean p-value is that of the formula.
    #[test]
    fn the_least_p_value_is_that_of_all_splits() {
        let (total, share) = (100_000, 0.1);
        let ties = (0..total).filter(|i| i % 10 == 0).count();
        let p = PValue::new(ties, total, Distinct::choices([3, 3]), "exact", 0.05);
        assert!((p.p_value - (share + (1.0 - share) / (total + 1) as f64)).abs() < 1e-12);
        assert!(p.p_value >= p.least_p_value && p.p_value < 1.001 * p.least_p_value);
    }

    #[test]
    fn quantiles_are_those_of_tables() {
        for (alpha, z) in
            [(0.05, 1.959_963_985), (0.01, 2.575_829_304), (0.3173, 1.000_022), (0.001, 3.290_526_731)]
        {
            assert!((normal_quantile(alpha) - z).abs() < 2e-6, "{alpha}: {}", normal_quantile(alpha));
        }
    }

    #[test]
    fn tails_are_those_of_tables() {
        for (z, p) in [(0.0, 0.5), (1.644_853_627, 0.05), (-1.0, 0.841_344_746), (6.0, 9.865_876e-10)] {
            let found = normal_tail(z);
            assert!((found / p - 1.0).abs() < 1e-6, "{z}: {found}");
        }
        // Chi-squared with 1, 2, 10 degrees of freedom.
        for (degrees, x, p) in
            [(1.0, 3.841_458_821, 0.05), (2.0, 5.991_464_547, 0.05), (10.0, 29.588_298_45, 0.001)]
        {
            let found = gamma_tail(degrees / 2.0, x / 2.0);
            assert!((found / p - 1.0).abs() < 1e-7, "{degrees}, {x}: {found}");
        }
        assert_eq!(gamma_tail(2.0, 0.0), 1.0);
        assert!((gamma_tail(1.0, 3.0) - (-3.0f64).exp()).abs() < 1e-14, "exponential");
    }
}
