//! How the kernels of an aggregated test are combined.
//!
//! ```text
//! M_kb         the statistic of kernel k under draw b; draw 0 is what was observed
//!
//! agg   P_kb   (number of draws c with M_kc >= M_kb) / (B + 1): the p-value of kernel k if draw b had been observed
//!       T_b    minus min over k of P_kb
//! fuse  T_b    log mean over k of exp(lambda M_kb / sqrt(N_k)) / lambda
//!
//! p = (number of draws b with T_b >= T_0) / (B + 1)
//! ```
//!
//! Draws are exchangeable, and T_b treats them alike, so p has an exact level if rows are independent.
//! Published aggregated tests estimate the
//! quantiles of the kernels and the correction for their number from two sets of draws, by bisection; ranks among one
//! set do both at once, and give a p-value.

use crate::error::{Error, Result};
use crate::kernel::pairs::Family;
use crate::statistic::KernelFunction;
use crate::statistic::p_value::{Distinct, PValue, TIE, too_few_draws};
use crate::statistic::test::{Common, Nulls};
use rayon::prelude::*;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// How the kernels are combined.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Combine {
    /// The smallest p-value of all kernels, corrected for their number: says which kernels see something
    #[default]
    Agg,
    /// A soft maximum of the normalised statistics
    Fuse,
}

impl Combine {
    /// Independence and fit can be aggregated by `agg` only.
    ///
    /// # Errors
    /// If it is another.
    pub fn only_agg(self) -> Result<()> {
        match self {
            Self::Agg => Ok(()),
            Self::Fuse => Err(Error::usage("--aggregate fuse is for two samples; use --aggregate agg")),
        }
    }
}

/// A combination with the numbers that it needs.
#[derive(Clone, Copy)]
pub(super) enum Scaled<'a> {
    Agg,
    Fuse {
        lambda: f64,
        /// sqrt(`N_k`).
        scales: &'a [f64],
    },
}

/// A kernel that takes part, or a pair of them.
pub(super) struct Member<'a> {
    /// One, or that of X and that of Y.
    pub(super) kernels: Vec<&'a KernelFunction>,
    /// Its statistic: what was observed, and then the draws.
    pub(super) values: Vec<f64>,
    /// Values that differ by less are equal.
    pub(super) tie: f64,
    /// What values are to be multiplied by to be in the data's units.
    pub(super) unit: f64,
}

/// The result of one kernel alone, or of one pair of kernels.
#[derive(Clone, Debug)]
pub struct KernelRow {
    /// Family and bandwidth of the kernel, or of X's and of Y's.
    pub kernels: Vec<(Family, f64)>,
    /// The name of its statistic in JSON: `mmd2`, `hsic` or `ksd2`.
    pub value_name: &'static str,
    /// Its statistic.
    pub value: f64,
    /// Of a test with this kernel alone.
    pub p_value: f64,
    /// Whether this kernel would be enough to reject in the combined test: its p-value is small for the number of
    /// kernels that were tried. Only with [`Combine::Agg`].
    pub reject: Option<bool>,
}

impl Serialize for KernelRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let suffixes = if self.kernels.len() == 1 { &[""][..] } else { &["_x", "_y"] };
        let mut map = serializer.serialize_map(None)?;
        for (suffix, (family, bandwidth)) in suffixes.iter().zip(&self.kernels) {
            map.serialize_entry(&format!("kernel{suffix}"), family)?;
            map.serialize_entry(&format!("bandwidth{suffix}"), bandwidth)?;
        }
        map.serialize_entry(self.value_name, &self.value)?;
        map.serialize_entry("p_value", &self.p_value)?;
        map.serialize_entry("reject", &self.reject)?;
        map.end()
    }
}

/// All kernels together.
pub(super) struct Combined {
    pub(super) p: PValue,
    /// One per kernel.
    pub(super) rows: Vec<KernelRow>,
    /// The combined statistic, and then its draws.
    pub(super) values: Vec<f64>,
}

/// Combines kernels whose values come from the same draws, at least one of them. What draws have in common, `T_b` has
/// too, so as many differ as for one kernel.
pub(super) fn combine(
    members: &[Member<'_>],
    scaled: Scaled<'_>,
    value_name: &'static str,
    common: &Common,
    distinct: Distinct,
) -> Combined {
    let total = members[0].values.len();
    let ranks: Vec<Vec<f64>> =
        members.par_iter().map(|member| p_values(&member.values, member.tie)).collect();
    let values: Vec<f64> = match scaled {
        Scaled::Agg => {
            (0..total).map(|b| -ranks.iter().map(|p| p[b]).fold(f64::INFINITY, f64::min)).collect()
        }
        Scaled::Fuse { lambda, scales } => {
            let of = |b: usize| members.iter().zip(scales).map(move |(m, s)| m.values[b] * lambda / s);
            (0..total).map(|b| soft_maximum(of(b), lambda)).collect()
        }
    };
    let tie = match scaled {
        // Counts divided by one number: equal or a draw apart.
        Scaled::Agg => 0.5 / total as f64,
        Scaled::Fuse { .. } => TIE * values.iter().fold(0.0f64, |most, t| most.max(t.abs())),
    };
    // The largest p-value of a kernel with which the whole would still reject.
    let most = largest_rejected(&values, common.alpha);
    let row = |(member, ranks): (&Member<'_>, &Vec<f64>)| KernelRow {
        kernels: member.kernels.iter().map(|kernel| (kernel.family, kernel.bandwidths[0])).collect(),
        value_name,
        value: member.values[0] * member.unit,
        p_value: ranks[0],
        reject: matches!(scaled, Scaled::Agg).then(|| most.is_some_and(|most| ranks[0] <= most + tie)),
    };
    let rows = members.iter().zip(&ranks).map(row).collect();
    Combined { p: common.p_value(&values, tie, distinct), rows, values }
}

/// Refuses settings that are not possible, or have too few draws to reject.
pub(super) fn check(common: &Common, test: &str, nulls: &Nulls) -> Result<()> {
    common.check(test, nulls)?;
    too_few_draws(common.permutations, common.alpha).map_or(Ok(()), |problem| Err(Error::usage(problem)))
}

/// Of each draw: the share of all draws that are not below it, by more than `tie`.
fn p_values(values: &[f64], tie: f64) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at_least = |value: f64| values.len() - sorted.partition_point(|v| *v < value - tie);
    values.iter().map(|value| at_least(*value) as f64 / values.len() as f64).collect()
}

/// log(mean exp(v)) / lambda.
fn soft_maximum(values: impl Iterator<Item = f64> + Clone, lambda: f64) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += (value - largest).exp();
        count += 1.0;
    }
    (largest + (sum / count).ln()) / lambda
}

/// The largest p-value of one kernel with which the minimum over all would be rejected, if any is.
fn largest_rejected(values: &[f64], alpha: f64) -> Option<f64> {
    let mut smallest: Vec<f64> = values.iter().map(|t| -t).collect();
    smallest.sort_by(f64::total_cmp);
    let total = smallest.len() as f64;
    // With a minimum of v, the p-value is the share of draws with one of v or less.
    let share = |v: f64| smallest.partition_point(|s| *s <= v) as f64 / total;
    smallest.iter().rev().copied().find(|&v| share(v) <= alpha)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_ties_as_exceedances() {
        assert_eq!(p_values(&[3.0, 1.0, 2.0, 2.0], 0.0), [0.25, 1.0, 0.75, 0.75]);
        assert_eq!(p_values(&[3.0, 1.0, 2.9, 2.0], 0.2), [0.5, 1.0, 0.5, 0.75]);
    }

    #[test]
    fn the_soft_maximum_lies_between_mean_and_maximum() {
        let values = [1.0, 2.0, 6.0];
        let of = |lambda: f64| soft_maximum(values.iter().map(|v| v * lambda), lambda);
        assert!((of(1e-6) - 3.0).abs() < 1e-5, "small lambda: the mean");
        assert!((of(1e3) - 6.0).abs() < 2e-3, "large lambda: the maximum");
    }

    #[test]
    fn the_threshold_is_the_largest_that_rejects() {
        let combined: Vec<f64> = (1..=100).map(|i| -f64::from(i) / 100.0).collect();
        assert_eq!(largest_rejected(&combined, 0.05), Some(0.05));
        assert_eq!(largest_rejected(&[-0.5; 10], 0.05), None);
    }

    /// Each kernel's p-value is that of its own values, and it rejects if it is as small as the combined test asks.
    #[test]
    fn each_kernel_has_its_own_p_value_and_decision() {
        // The observed value is the 1st, 20th and 90th largest of 100, of values of quite different sizes.
        let member = |rank: usize, scale: f64| Member {
            kernels: Vec::new(),
            values: (0..100)
                .map(|b| scale * if b == 0 { 100.5 - rank as f64 } else { f64::from(b) })
                .collect(),
            tie: 0.0,
            unit: 1.0,
        };
        let members = [member(20, 1.0), member(1, 1e-6), member(90, 1e3)];
        let Combined { p, rows, values } =
            combine(&members, Scaled::Agg, "", &Common::default(), Distinct::ENDLESS);
        assert_eq!(rows.iter().map(|row| row.p_value).collect::<Vec<_>>(), [0.2, 0.01, 0.9]);
        assert_eq!(
            rows.iter().map(|row| row.reject).collect::<Vec<_>>(),
            [Some(false), Some(true), Some(false)]
        );
        assert_eq!(rows[2].value, members[2].values[0]);
        assert_eq!((values[0], values.len(), p.permutations, p.null), (-0.01, 100, 99, "exact"));
        // Draw 99 is the largest of the two other kernels, 0.01 too.
        assert_eq!((p.exceedances, p.p_value, p.reject), (1, 0.02, true));
    }
}
