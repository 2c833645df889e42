//! The KL term in three parts, over a whole set of codes: what the encoder's mean KL consists of.
//!
//! ```text
//! E_x KL(q(z|x), p(z)) = I(x; z) + KL(q(z), prod_j q(z_j)) + sum_j KL(q(z_j), p(z_j))
//!                        mutual information, total correlation, dimension-wise KL
//! q(z)   = 1/N sum_n q(z | x_n)        q(z_j) = 1/N sum_n q(z_j | x_n)
//! ```
//!
//! The expectations are means over one sampled z of each of the first `queries` images; the mixtures q are exact,
//! over all N images. With the same z, the three parts add to the sampled KL. 0 <= I <= ln N.
//! Chen et al., "Isolating sources of disentanglement in variational autoencoders" (2018), equation 2.

use super::session::Codes;
use crate::engine::{Device, Engine, MOST_STEPS};
use crate::error::Result;
use crate::kernel::mixture::{Mixture, MixtureWeights};
use crate::program::{BufferId, Plan, ProgramId, Step};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The three parts, in nats.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Decomposition {
    /// I(x; z): what the code tells about the image.
    pub mutual_information: f64,
    /// KL(q(z) || prod_j q(z_j)): how far the dimensions of the code are from independent.
    pub total_correlation: f64,
    /// sum_j KL(q(z_j) || p(z_j)): how far each dimension is from the prior.
    pub dimension_wise_kl: f64,
    /// Standard errors of the three, by the choice of the images.
    pub standard_errors: [f64; 3],
    /// The mean of log q(z|x) - log p(z) over the same z: what the three add to.
    #[serde(default)]
    pub sampled_kl: f64,
    /// Its standard error, by the choice of the images.
    #[serde(default)]
    pub sampled_kl_standard_error: f64,
}

/// Most components of the mixture in one step: a step is then short on any device.
const SLICE: usize = 2048;

/// A device made ready for codes of one size.
pub struct Decomposer {
    engine: Box<dyn Engine>,
    program: ProgramId,
    z: BufferId,
    stats: BufferId,
    log_density: BufferId,
    queries: usize,
    images: usize,
    /// Components of a step.
    slice: usize,
    latent: usize,
}

impl Decomposer {
    /// For `images` codes of `latent` numbers, of which the first `queries` are averaged over.
    pub fn new(device: &Device, queries: usize, images: usize, latent: usize) -> Result<Self> {
        let queries = queries.min(images);
        let mut plan = Plan::default();
        let z = plan.buffer("z", queries * latent);
        let stats = plan.buffer("stats", images * 2 * latent);
        let log_density = plan.buffer("log_density", Mixture::density_len(queries, latent));
        let program = plan.program("decomposition");
        let slice = SLICE.min(Mixture::fitting_slice(images, latent));
        let kernel = Mixture { queries, components: images, slice, latent, weights: MixtureWeights::Uniform };
        plan.call(program, kernel, &[("z", z), ("stats", stats), ("log_density", log_density)])?;
        let engine = device.load(Arc::new(plan))?;
        Ok(Self { engine, program, z, stats, log_density, queries, images, slice, latent })
    }

    /// The parts of the KL of these codes.
    ///
    /// # Panics
    /// When there are fewer codes than it was made for.
    pub fn run(&mut self, codes: &Codes) -> Result<Decomposition> {
        let (m, queries) = (self.latent, self.queries);
        let halves = codes.means.chunks_exact(m).zip(codes.log_stds.chunks_exact(m)).take(self.images);
        let stats: Vec<f32> = halves.flat_map(|(mean, log_std)| [mean, log_std].concat()).collect();
        self.engine.write(self.stats, bytemuck::cast_slice(&stats))?;
        self.engine.write(self.z, bytemuck::cast_slice(&codes.z[..queries * m]))?;
        let firsts: Vec<usize> = (0..self.images).step_by(self.slice).collect();
        for firsts in firsts.chunks(MOST_STEPS) {
            let steps: Vec<Step> =
                firsts.iter().map(|&first| Step { first: first as u32, ..Step::default() }).collect();
            self.engine.run(self.program, &steps, &[])?;
        }
        let densities = self.engine.read(self.log_density)?;

        let mut sums = [[0.0; 2]; 4];
        for (i, densities) in densities.chunks_exact(2 * (m + 1)).enumerate() {
            let log_q =
                |part: usize| f64::from(densities[2 * part]) + f64::from(densities[2 * part + 1]).ln();
            let z = |j: usize| f64::from(codes.z[i * m + j]);
            let log_normal = |j: usize, mean: f64, log_std: f64| {
                let standard = (z(j) - mean) * (-log_std).exp();
                -0.5 * standard * standard - log_std - 0.5 * std::f64::consts::TAU.ln()
            };
            let posterior: f64 = (0..m)
                .map(|j| log_normal(j, codes.means[i * m + j].into(), codes.log_stds[i * m + j].into()))
                .sum();
            let prior: f64 = (0..m).map(|j| log_normal(j, 0.0, 0.0)).sum();
            let marginals: f64 = (0..m).map(log_q).sum();
            let joint = log_q(m);
            let parts = [posterior - joint, joint - marginals, marginals - prior];
            for (sum, value) in sums.iter_mut().zip(parts.into_iter().chain([posterior - prior])) {
                *sum = [sum[0] + value, sum[1] + value * value];
            }
        }
        let n = queries as f64;
        let [mutual_information, total_correlation, dimension_wise_kl, sampled_kl] =
            sums.map(|[sum, _]| sum / n);
        let [a, b, c, sampled_kl_standard_error] =
            sums.map(|[sum, squares]| ((squares / n - (sum / n).powi(2)).max(0.0) / n).sqrt());
        Ok(Decomposition {
            mutual_information,
            total_correlation,
            dimension_wise_kl,
            standard_errors: [a, b, c],
            sampled_kl,
            sampled_kl_standard_error,
        })
    }
}
