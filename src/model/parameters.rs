//! The numbers of a model, and how they start.

use super::{Architecture, LayerBuffers};
use crate::engine::Engine;
use crate::error::Result;
use crate::program::BufferId;
use crate::random::{Sequence, Stream};

/// One vector per layer, encoder first: W as in PyTorch, then the bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters(pub Vec<Vec<f32>>);

impl Parameters {
    /// PyTorch's default for its layers: weights and biases from U(-1/sqrt(F), 1/sqrt(F)), F the fan-in.
    pub fn initial(architecture: &Architecture, seed: u64) -> Self {
        let layer = |(index, layer): (usize, super::Layer)| {
            let bound = (layer.fan_in() as f32).sqrt().recip();
            let mut random = Sequence::new(seed, Stream::Initialisation, index as u32);
            (0..layer.parameters()).map(|_| random.uniform(-bound, bound)).collect()
        };
        Self(architecture.layers().into_iter().enumerate().map(layer).collect())
    }

    /// As many zeros, as Adam's moments start.
    pub fn zeros_like(&self) -> Self {
        Self(self.0.iter().map(|layer| vec![0.0; layer.len()]).collect())
    }

    /// Copies the parameters to the buffers that `which` picks of each layer.
    pub fn write(
        &self,
        engine: &mut dyn Engine,
        layers: &[LayerBuffers],
        which: impl Fn(&LayerBuffers) -> BufferId,
    ) -> Result<()> {
        let mut pairs = self.0.iter().zip(layers);
        pairs.try_for_each(|(values, layer)| engine.write(which(layer), bytemuck::cast_slice(values)))
    }

    /// Copies the parameters out of the buffers that `which` picks of each layer.
    pub fn read(
        engine: &mut dyn Engine,
        layers: &[LayerBuffers],
        which: impl Fn(&LayerBuffers) -> BufferId,
    ) -> Result<Self> {
        Ok(Self(layers.iter().map(|layer| engine.read(which(layer))).collect::<Result<_>>()?))
    }
}
