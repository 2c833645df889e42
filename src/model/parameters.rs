//! The numbers of a model, and how they start.

use super::{Architecture, LayerBuffers};
use crate::engine::Engine;
use crate::error::Result;
use crate::kernel::Activation;
use crate::program::BufferId;
use crate::random::{Sequence, Stream};
use std::iter;

/// One vector per layer, encoder first: W as in PyTorch, then the bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters(pub Vec<Vec<f32>>);

impl Parameters {
    /// What training starts from.
    ///
    /// Weights and biases from U(-1/sqrt(F), 1/sqrt(F)), PyTorch's default, where F is its fan-in. Such a layer passes
    /// on a sixth of its input's variance through a ReLU: of four convolutions and two linear layers that leaves
    /// a code that says nothing of the image, and with a KL held at a capacity it stays so. Layers before a ReLU in
    /// convolutional architectures therefore have weights from U(-sqrt(6/n), sqrt(6/n)), n the products in an
    /// element of the output, and no bias: as much variance as before (He et al. 2015, equation 10).
    pub fn initial(architecture: &Architecture, seed: u64) -> Self {
        let keeps_variance = architecture.is_convolutional();
        let layer = |(index, layer): (usize, super::Layer)| {
            let mut random = Sequence::new(seed, Stream::Initialisation, index as u32);
            let (weights, biases) = match layer.activation {
                Activation::Relu if keeps_variance => ((6.0 / layer.products() as f32).sqrt(), 0.0),
                _ => [(layer.fan_in() as f32).sqrt().recip(); 2].into(),
            };
            let bounds = iter::repeat_n(weights, layer.weights()).chain(iter::repeat(biases));
            bounds.take(layer.parameters()).map(|bound| random.uniform(-bound, bound)).collect()
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
