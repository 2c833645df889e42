//! Kernels over the codes of a batch: MMD to the prior, densities under the aggregate posterior.

pub mod mixture;
pub mod mixture_gradient;
pub mod prior_mmd;
