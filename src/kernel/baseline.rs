//! Kernels as a beginner would write them, to measure the others against: one thread an output, no tiles, no
//! workgroup memory but for sums over a workgroup.
//!
//! They compute what [`super::linear`], [`super::latent`], [`super::reconstruction`], [`super::backward_input`],
//! [`super::backward_latent`], [`super::backward_weights`] and [`super::pair_sums`] do, from the same buffers and with
//! the same f64 reference. Only `elbo bench kernels` runs them.

use super::backward_latent::{self, BackwardLatent, Extra};
use super::latent::{self, Latent};
use super::pair_sums::{self, PairSums};
use super::pairs::Value;
use super::{backward_input, backward_weights, linear, reconstruction};
use crate::program::{Buffers, Kernel, Shape, Spec, Step};
use std::any::Any;
use std::sync::Arc;

/// Threads of a workgroup: outputs that are next to each other.
const THREADS: usize = 64;

macro_rules! baseline {
    ($kernel:ident $(, $library:literal)*) => {
        Spec {
            name: concat!("baseline/", stringify!($kernel)),
            source: wgsl!(concat!("baseline/", stringify!($kernel)) $(, $library)*),
            partial_sums: None,
            cases: Vec::new,
            ..$kernel::SPEC
        }
    };
}

/// All of them. Sizes are tested with the cases of the kernels that they are a baseline of.
pub static ALL: [Spec; 7] = [
    baseline!(linear),
    baseline!(latent, "random", "reduce", "step"),
    baseline!(reconstruction, "likelihood", "reduce", "step"),
    baseline!(backward_input),
    baseline!(backward_latent, "step"),
    baseline!(backward_weights, "step"),
    baseline!(pair_sums, "tiles", "family", "exponential", "step"),
];

/// A kernel that is carried out plainly.
#[derive(Debug)]
pub struct Baseline {
    kernel: Arc<dyn Kernel>,
    spec: &'static Spec,
    grid: [usize; 2],
}

impl Baseline {
    /// The baseline of a kernel, if it has one.
    pub fn new(kernel: Arc<dyn Kernel>) -> Option<Self> {
        let name = kernel.spec().name;
        let spec = ALL.iter().find(|spec| spec.name.strip_prefix("baseline/") == Some(name))?;
        let any: &dyn Any = &*kernel;
        let plain = |latent: &BackwardLatent| latent.extra == Extra::None && latent.capacity.is_none();
        let supported = any.downcast_ref().is_none_or(|sums: &PairSums| sums.pairs.value == Value::Kernel)
            && any.downcast_ref().is_none_or(|latent: &Latent| latent.stream.is_some())
            && any.downcast_ref().is_none_or(plain);
        let size = |at: usize| kernel.params()[at] as usize;
        let grid = match name {
            "linear" => [size(2).div_ceil(THREADS), size(0)],
            "backward_weights" => [(size(1) + 1).div_ceil(THREADS), size(2)],
            "backward_input" | "backward_latent" => [size(1).div_ceil(THREADS), size(0)],
            "pair_sums" => {
                let [x, y] = kernel.shape().grid;
                [x * size(3).div_ceil(THREADS), y]
            }
            _ => kernel.shape().grid,
        };
        supported.then_some(Self { kernel, spec, grid })
    }
}

impl Kernel for Baseline {
    fn spec(&self) -> &'static Spec {
        self.spec
    }

    fn shape(&self) -> Shape {
        Shape { grid: self.grid, ..self.kernel.shape() }
    }

    fn params(&self) -> Vec<u32> {
        self.kernel.params()
    }

    fn overrides(&self) -> Vec<(&'static str, f64)> {
        let known = |name: &str| self.spec.source.contains(&format!("\noverride {name}:"));
        // Sums are cut into parts as in the first variant.
        let first = self.kernel.variants().into_iter().next();
        let mut all = [self.kernel.overrides(), first.map_or(Vec::new(), |first| first.overrides)].concat();
        all.push(("THREADS", THREADS as f64));
        all.retain(|(name, _)| known(name));
        all
    }

    fn iterations(&self) -> usize {
        let any: &dyn Any = &*self.kernel;
        // Each thread goes through a row and a column.
        any.downcast_ref()
            .map_or(0, |sums: &PairSums| 2 * sums.pairs.block * (1 + sums.pairs.d + sums.pairs.bandwidths))
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        self.kernel.reference(step, buffers);
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        self.kernel.cpu(step, buffers);
    }

    fn tolerance(&self) -> f64 {
        self.kernel.tolerance()
    }
}
