//! Chains of Hamiltonian Monte Carlo on z, many side by side.
//!
//! ```text
//! z = mu + s y                             q_0 = N(mu, s^2): in y a unit normal, whatever it is
//! ln f_b(y) = -|y|^2 / 2 + b u(y) + c      u = ln p(x|z) + ln p(z) - ln q_0(z)
//! momentum r ~ N(0, I):  r += e/2 g,  y += e r,  g = d ln f_b / dy,  r += e/2 g,  L times
//! ```
//!
//! Neal, "MCMC using Hamiltonian dynamics" (2011). The step e varies by a fifth at random, so that no orbit closes.

use super::network::{Network, NetworkScratch, log_likelihood};
use crate::kernel::reconstruction::Likelihood;
use crate::random::Sequence;

/// What chains explore.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) decoder: &'a Network,
    pub(super) likelihood: Likelihood,
    /// M.
    pub(super) latent: usize,
    /// L.
    pub(super) leapfrog: usize,
}

/// Where chains are, and what is known there: `(B, M)`, `(B)` and `(B, M)`.
#[derive(Clone, Default)]
struct Position {
    y: Vec<f32>,
    /// ln p(x|z).
    log_p: Vec<f64>,
    /// Its gradient with respect to z.
    slope: Vec<f32>,
    /// u.
    log_ratio: Vec<f64>,
}

/// B chains: as many of each image, side by side.
pub(super) struct Chains<'a> {
    target: Target<'a>,
    /// Of an image.
    count: usize,
    /// `(B, D)`.
    x: Vec<f32>,
    /// `(B, M)`.
    mean: Vec<f32>,
    /// `(B, M)`.
    std: Vec<f32>,
    random: Vec<Sequence>,
    here: Position,
    /// Where a trajectory is, and room for its z.
    there: Position,
    z: Vec<f32>,
    momentum: Vec<f32>,
    scratch: NetworkScratch,
}

/// Rows of `values`, each `count` times.
fn repeated(values: &[f32], columns: usize, count: usize) -> Vec<f32> {
    values.chunks_exact(columns).flat_map(|row| row.repeat(count)).collect()
}

impl<'a> Chains<'a> {
    /// `count` chains of each image at draws of q_0, from pixels `(images, D)`, mu and s `(images, M)`.
    pub(super) fn new(
        target: Target<'a>,
        count: usize,
        [pixels, means, stds]: [&[f32]; 3],
        mut random: Vec<Sequence>,
    ) -> Self {
        let (m, rows) = (target.latent, random.len());
        let y: Vec<f32> = random
            .iter_mut()
            .flat_map(|random| (0..m).map(|_| random.normal()).collect::<Vec<_>>())
            .collect();
        let position =
            Position { y, log_p: vec![0.0; rows], slope: vec![0.0; rows * m], log_ratio: vec![0.0; rows] };
        let mut chains = Self {
            target,
            count,
            x: repeated(pixels, target.decoder.outputs(), count),
            mean: repeated(means, m, count),
            std: repeated(stds, m, count),
            random,
            there: position.clone(),
            here: position,
            z: vec![0.0; rows * m],
            momentum: vec![0.0; rows * m],
            scratch: NetworkScratch::default(),
        };
        chains.look();
        std::mem::swap(&mut chains.here, &mut chains.there);
        chains
    }

    /// Puts all chains of an image at its z, `(images, M)`.
    pub(super) fn place(&mut self, z: &[f32]) {
        let z = repeated(z, self.target.latent, self.count);
        let rows = self.there.y.iter_mut().zip(&z).zip(self.mean.iter().zip(&self.std));
        rows.for_each(|((y, z), (mean, std))| *y = (z - mean) / std);
        self.look();
        std::mem::swap(&mut self.here, &mut self.there);
    }

    /// u of a chain.
    pub(super) fn log_ratio(&self, row: usize) -> f64 {
        self.here.log_ratio[row]
    }

    /// Finds all that is known at `there.y`.
    fn look(&mut self) {
        let m = self.target.latent;
        let Position { y, log_p, slope, log_ratio } = &mut self.there;
        let parts = self.z.iter_mut().zip(y.iter()).zip(self.mean.iter().zip(&self.std));
        parts.for_each(|((z, y), (mean, std))| *z = mean + std * y);
        let Target { decoder, likelihood, .. } = self.target;
        log_likelihood(decoder, likelihood, [&self.z, &self.x], &mut self.scratch, log_p, slope);
        for (row, (ratio, log_p)) in log_ratio.iter_mut().zip(log_p).enumerate() {
            let of = row * m..(row + 1) * m;
            let parts = y[of.clone()].iter().zip(&self.z[of.clone()]).zip(&self.std[of]);
            let difference: f64 = parts
                .map(|((&y, &z), &std)| {
                    0.5 * (f64::from(y).powi(2) - f64::from(z).powi(2)) + f64::from(std).ln()
                })
                .sum();
            *ratio = *log_p + difference;
        }
    }

    /// Adds the step times d ln f_b / dy = -y + b (s (d ln p(x|z) / dz - z) + y) at `there` to the momentum, by `part`.
    fn push(&mut self, b: f32, sizes: &[f32], part: f32) {
        let m = self.target.latent;
        for (row, &size) in sizes.iter().enumerate() {
            for j in row * m..(row + 1) * m {
                let (y, z, std) = (self.there.y[j], self.z[j], self.std[j]);
                let slope = -y + b * (std * (self.there.slope[j] - z) + y);
                self.momentum[j] += part * size * slope;
            }
        }
    }

    /// -|y|^2 / 2 + b u - |r|^2 / 2 of a chain, at a position.
    fn energy(&self, position: &Position, row: usize, b: f64) -> f64 {
        let m = self.target.latent;
        let square = |values: &[f32]| -> f64 {
            values[row * m..(row + 1) * m].iter().map(|&v| f64::from(v).powi(2)).sum()
        };
        b * position.log_ratio[row] - 0.5 * (square(&position.y) + square(&self.momentum))
    }

    /// One transition at inverse temperature `b`, with the step size of each image; gives the probability with which
    /// each chain's was accepted.
    pub(super) fn transition(&mut self, b: f64, sizes: &[f32]) -> Vec<f64> {
        let m = self.target.latent;
        let rows = self.random.len();
        let mut steps = Vec::with_capacity(rows);
        for (row, random) in self.random.iter_mut().enumerate() {
            steps.push(sizes[row / self.count] * random.uniform(0.8, 1.2));
            self.momentum[row * m..(row + 1) * m].fill_with(|| random.normal());
        }
        let before: Vec<f64> = (0..rows).map(|row| self.energy(&self.here, row, b)).collect();
        self.there.clone_from(&self.here);
        let parts = self.z.iter_mut().zip(&self.there.y).zip(self.mean.iter().zip(&self.std));
        parts.for_each(|((z, y), (mean, std))| *z = mean + std * y);
        self.push(b as f32, &steps, 0.5);
        for step in 1..=self.target.leapfrog {
            for ((y, r), size) in
                self.there.y.chunks_exact_mut(m).zip(self.momentum.chunks_exact(m)).zip(&steps)
            {
                y.iter_mut().zip(r).for_each(|(y, r)| *y += size * r);
            }
            self.look();
            self.push(b as f32, &steps, if step == self.target.leapfrog { 0.5 } else { 1.0 });
        }
        (0..rows)
            .map(|row| {
                let change = self.energy(&self.there, row, b) - before[row];
                // A trajectory that left for infinity is never taken.
                let probability = if change.is_nan() { 0.0 } else { change.exp().min(1.0) };
                if f64::from(self.random[row].uniform(0.0, 1.0)) < probability {
                    self.take(row);
                }
                probability
            })
            .collect()
    }

    /// Moves a chain to the end of its trajectory.
    fn take(&mut self, row: usize) {
        let m = self.target.latent;
        let of = row * m..(row + 1) * m;
        self.here.y[of.clone()].copy_from_slice(&self.there.y[of.clone()]);
        self.here.slope[of.clone()].copy_from_slice(&self.there.slope[of]);
        self.here.log_p[row] = self.there.log_p[row];
        self.here.log_ratio[row] = self.there.log_ratio[row];
    }
}
