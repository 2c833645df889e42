//! Which layers a model has: from a name or a short text to the list of layers, with PyTorch's names.
//!
//! ```text
//! conv:32x4/2,conv:64x4/2,linear:256
//! ```
//!
//! is an encoder of two convolutions, of 32 and 64 channels, windows of 4 x 4 and stride 2, and a linear layer of 256
//! units, each with ReLU. The linear layer of means and log-stds follows, and the decoder has all of it the other way
//! round, with transposed convolutions. A decoder of its own, of linear layers, stands after `code`.
//!
//! Padding is (window - stride) / 2, so that a convolution divides the sides by its stride. An image whose sides are no
//! multiple of all strides is brought to one by zeros around it, and what the decoder draws there is cropped.

use crate::error::{Error, Result};
use crate::grid::Grid;
use crate::kernel::Activation;
use crate::kernel::linear::layer_len;
use crate::kernel::window::{Direction, Window};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A hidden layer, as the text says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// So many units.
    Linear(usize, Activation),
    /// A convolution with ReLU.
    Convolution {
        /// Channels of its output.
        channels: usize,
        /// Side of its windows.
        kernel: usize,
        /// Pixels from one window to the next.
        stride: usize,
    },
}

impl Hidden {
    /// The layer whose weights have this shape in PyTorch. Shapes do not say the stride: 2 where windows are even, and 1
    /// where they are odd.
    pub(crate) fn of_shape(shape: &[usize]) -> Self {
        match *shape {
            [channels, _, kernel, _] => Self::Convolution { channels, kernel, stride: 2 - kernel % 2 },
            _ => Self::Linear(shape[0], Activation::Relu),
        }
    }
}

/// The hidden layers of a model, whatever the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    /// From the image to the code.
    pub encoder: Vec<Hidden>,
    /// From the code to the image, where that is not the encoder the other way round.
    pub decoder: Option<Vec<Hidden>>,
}

/// Most units or channels of a layer: far more than is of use, and no size computed from it overflows.
pub const WIDEST: usize = 1 << 16;

/// Largest side of a window.
const LARGEST_WINDOW: usize = 64;

/// Names for the texts of the literature.
const NAMED: [(&str, &str); 3] = [
    // Kingma and Welling 2014, with the lecture's width.
    ("lecture", "linear:300"),
    // Burgess et al. 2018, appendix A.
    ("burgess", "conv:32x4/2,conv:32x4/2,conv:32x4/2,conv:32x4/2,linear:256,linear:256"),
    // Higgins et al. 2017, table 1 for dSprites, as trained by Chen et al. 2018.
    ("higgins", "linear:1200,linear:1200,code,tanh:1200,tanh:1200,tanh:1200"),
];

/// Stands between encoder and decoder in a text.
const CODE: &str = "code";

impl Layers {
    /// Linear layers of these widths with ReLU, and the decoder the other way round.
    pub fn linear(widths: &[usize]) -> Self {
        let hidden = |&width: &usize| Hidden::Linear(width, Activation::Relu);
        Self { encoder: widths.iter().map(hidden).collect(), decoder: None }
    }

    /// The widths, if this is what [`Layers::linear`] makes of them.
    pub fn widths(&self) -> Option<Vec<usize>> {
        let width = |hidden: &Hidden| match *hidden {
            Hidden::Linear(width, Activation::Relu) => Some(width),
            _ => None,
        };
        self.decoder.is_none().then(|| self.encoder.iter().map(width).collect()).flatten()
    }

    /// The product of all strides: sides of images are made multiples of it.
    fn unit(&self) -> usize {
        let stride = |hidden: &Hidden| match *hidden {
            Hidden::Convolution { stride, .. } => stride,
            Hidden::Linear(..) => 1,
        };
        self.encoder.iter().map(stride).fold(1, usize::saturating_mul)
    }
}

impl FromStr for Layers {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = NAMED.iter().find(|(name, _)| *name == text);
        let text = named.map_or(text, |(_, text)| text);
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let hidden = |parts: &[&str]| parts.iter().map(|part| part.parse()).collect::<Result<Vec<Hidden>>>();
        let mut halves = parts.split(|part| *part == CODE);
        let encoder = hidden(halves.next().unwrap_or(&[]))?;
        let decoder = halves.next().map(hidden).transpose()?;
        let refuse = |problem: &str| Err(Error::usage(format!("--architecture {text}: {problem}")));
        if halves.next().is_some() {
            return refuse("`code` stands once, between encoder and decoder");
        }
        let is_convolution = |hidden: &Hidden| matches!(hidden, Hidden::Convolution { .. });
        if decoder.iter().flatten().any(is_convolution) {
            return refuse(
                "after `code` there can be linear and tanh only; leave it out for the encoder's mirror image",
            );
        }
        let first_linear = encoder.iter().position(|hidden| !is_convolution(hidden)).unwrap_or(encoder.len());
        if encoder[first_linear..].iter().any(is_convolution) {
            return refuse("a convolution cannot follow a linear layer, which leaves no image");
        }
        Ok(Self { encoder, decoder })
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.encoder.iter().map(ToString::to_string).collect();
        if let Some(decoder) = &self.decoder {
            parts.push(CODE.into());
            parts.extend(decoder.iter().map(ToString::to_string));
        }
        f.write_str(&parts.join(","))
    }
}

/// As its text.
impl Serialize for Layers {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Layers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for Hidden {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let problem = |problem: &str| {
            Error::usage(format!(
                "--architecture has `{}`: {problem}; write layers as conv:CHANNELSxWINDOW/STRIDE, linear:UNITS or \
                 tanh:UNITS, such as conv:32x4/2,linear:256, or one of the names {}",
                text.escape_debug(),
                NAMED.map(|(name, _)| name).join(", ")
            ))
        };
        let (kind, size) = text.split_once(':').ok_or_else(|| problem("there is no `:` in it"))?;
        let number = |text: &str, most: usize| match text.parse() {
            Ok(number) if (1..=most).contains(&number) => Ok(number),
            _ => Err(problem(&format!("`{}` is no number from 1 to {most}", text.escape_debug()))),
        };
        match kind {
            "linear" => Ok(Self::Linear(number(size, WIDEST)?, Activation::Relu)),
            "tanh" => Ok(Self::Linear(number(size, WIDEST)?, Activation::Tanh)),
            "conv" => {
                let (channels, window) =
                    size.split_once('x').ok_or_else(|| problem("there is no `x` in it"))?;
                let (kernel, stride) = window.split_once('/').unwrap_or((window, "1"));
                let channels = number(channels, WIDEST)?;
                let (kernel, stride) = (number(kernel, LARGEST_WINDOW)?, number(stride, LARGEST_WINDOW)?);
                if kernel < stride || !(kernel - stride).is_multiple_of(2) {
                    return Err(problem(
                        "the window must be larger than the stride by an even number, so that it reaches as far on \
                         both sides",
                    ));
                }
                Ok(Self::Convolution { channels, kernel, stride })
            }
            _ => Err(problem("there is no such kind of layer")),
        }
    }
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear(width, Activation::Tanh) => write!(f, "tanh:{width}"),
            Self::Linear(width, _) => write!(f, "linear:{width}"),
            Self::Convolution { channels, kernel, stride } => write!(f, "conv:{channels}x{kernel}/{stride}"),
        }
    }
}

/// Sizes of the layers of a model of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// The image; `(1, 1, D)` where only the number of its pixels is known, and matters.
    pub image: Grid,
    /// The hidden layers.
    pub hidden: Layers,
    /// M.
    pub latent: usize,
}

/// What a layer computes before its activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerSums {
    /// x W^T + b.
    Linear {
        /// I.
        inputs: usize,
        /// O.
        outputs: usize,
    },
    /// A convolution or a transposed one.
    Convolution(Window, Direction),
}

/// One layer with weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// PyTorch's name for it, such as `encoder.0`.
    pub name: String,
    /// What it computes.
    pub sums: LayerSums,
    /// What follows.
    pub activation: Activation,
}

impl Layer {
    /// Numbers of its input for one image.
    pub fn inputs(&self) -> usize {
        match self.sums {
            LayerSums::Linear { inputs, .. } => inputs,
            LayerSums::Convolution(window, direction) => window.ends(direction)[0].numbers(),
        }
    }

    /// Numbers of its output for one image.
    pub fn outputs(&self) -> usize {
        match self.sums {
            LayerSums::Linear { outputs, .. } => outputs,
            LayerSums::Convolution(window, direction) => window.ends(direction)[1].numbers(),
        }
    }

    /// The shape of W, as PyTorch has it.
    pub fn weight_shape(&self) -> Vec<usize> {
        match self.sums {
            LayerSums::Linear { inputs, outputs } => vec![outputs, inputs],
            LayerSums::Convolution(Window { fine, coarse, kernel, .. }, _) => {
                vec![coarse.channels, fine.channels, kernel, kernel]
            }
        }
    }

    /// Numbers of W.
    pub fn weights(&self) -> usize {
        self.weight_shape().iter().product()
    }

    /// Numbers of the bias.
    pub fn biases(&self) -> usize {
        match self.sums {
            LayerSums::Linear { outputs, .. } => outputs,
            LayerSums::Convolution(window, direction) => window.ends(direction)[1].channels,
        }
    }

    /// Numbers of both.
    pub fn parameters(&self) -> usize {
        match self.sums {
            LayerSums::Linear { inputs, outputs } => layer_len(inputs, outputs),
            LayerSums::Convolution(..) => self.weights() + self.biases(),
        }
    }

    /// Products in an element of the output, as PyTorch counts them for its initial weights: all but the first side of
    /// W, whatever the direction.
    pub fn fan_in(&self) -> usize {
        self.weight_shape()[1..].iter().product()
    }

    /// Products in an element of the output, on average over the image.
    pub fn products(&self) -> usize {
        match self.sums {
            LayerSums::Linear { inputs, .. } => inputs,
            LayerSums::Convolution(Window { coarse, fine, kernel, stride, .. }, direction) => match direction
            {
                Direction::ToCoarse => fine.channels * kernel * kernel,
                // A pixel of the fine image is below one in stride x stride of the window's weights.
                Direction::ToFine => (coarse.channels * kernel * kernel).div_ceil(stride * stride),
            },
        }
    }
}

impl Architecture {
    /// Linear layers with ReLU from images of `dimension` numbers.
    pub fn linear(dimension: usize, widths: &[usize], latent: usize) -> Self {
        let image = Grid { channels: 1, height: 1, width: dimension };
        Self { image, hidden: Layers::linear(widths), latent }
    }

    /// D, the numbers of an image.
    pub fn dimension(&self) -> usize {
        self.image.numbers()
    }

    /// Whether any layer is a convolution.
    pub fn is_convolutional(&self) -> bool {
        !self.windows().is_empty()
    }

    /// Refuses strides that leave nothing of the image.
    ///
    /// # Errors
    /// With the strides and the image.
    pub fn check(&self) -> Result<()> {
        let (unit, Grid { channels, height, width }) = (self.hidden.unit(), self.image);
        if !self.image.is_possible() {
            return Err(Error::usage(format!(
                "images of {height} x {width} pixels with {channels} numbers each are not possible; give others"
            )));
        }
        // Twice the image is the most that zeros around it may make of it.
        if unit == 1 || unit < 2 * height.max(width) {
            return Ok(());
        }
        Err(Error::usage(format!(
            "--architecture {}: the strides together divide sides by {unit}, which leaves nothing of images of {height} x \
             {width} pixels; use fewer convolutions or smaller strides",
            self.hidden
        )))
    }

    /// The layers from the image to mean and log-std.
    pub fn encoder(&self) -> Vec<Layer> {
        let mut names = Names::of("encoder");
        let windows = self.windows();
        let mut layers = Vec::new();
        for window in &windows {
            let sums = LayerSums::Convolution(*window, Direction::ToCoarse);
            layers.push(names.layer(sums, Activation::Relu));
        }
        if !windows.is_empty() {
            // Flatten.
            names.skip();
        }
        let mut inputs = windows.last().map_or(self.dimension(), |window| window.coarse.numbers());
        for hidden in &self.hidden.encoder {
            if let Hidden::Linear(outputs, activation) = *hidden {
                layers.push(names.layer(LayerSums::Linear { inputs, outputs }, activation));
                inputs = outputs;
            }
        }
        layers
            .push(names.layer(LayerSums::Linear { inputs, outputs: 2 * self.latent }, Activation::Identity));
        layers
    }

    /// The layers from z to the image.
    pub fn decoder(&self) -> Vec<Layer> {
        let mut names = Names::of("decoder");
        let mut windows = self.windows();
        let mirrored = self.hidden.decoder.is_none();
        let hidden = match &self.hidden.decoder {
            Some(decoder) => decoder.clone(),
            None => self.hidden.encoder.iter().rev().copied().collect(),
        };
        let (mut layers, mut inputs) = (Vec::new(), self.latent);
        for hidden in hidden {
            if let Hidden::Linear(outputs, activation) = hidden {
                layers.push(names.layer(LayerSums::Linear { inputs, outputs }, activation));
                inputs = outputs;
            }
        }
        windows.reverse();
        let Some(coarsest) = windows.first().filter(|_| mirrored) else {
            let outputs = self.dimension();
            layers.push(names.layer(LayerSums::Linear { inputs, outputs }, Activation::Identity));
            return layers;
        };
        layers.push(
            names.layer(LayerSums::Linear { inputs, outputs: coarsest.coarse.numbers() }, Activation::Relu),
        );
        // Unflatten.
        names.skip();
        for (index, window) in windows.iter().enumerate() {
            let last = index + 1 == windows.len();
            let activation = if last { Activation::Identity } else { Activation::Relu };
            layers.push(names.layer(LayerSums::Convolution(*window, Direction::ToFine), activation));
        }
        layers
    }

    /// All layers, encoder first.
    pub fn layers(&self) -> Vec<Layer> {
        [self.encoder(), self.decoder()].concat()
    }

    /// The windows of the convolutions, from the image on.
    fn windows(&self) -> Vec<Window> {
        let unit = self.hidden.unit();
        let mut fine = self.image;
        let mut windows = Vec::new();
        for hidden in &self.hidden.encoder {
            let Hidden::Convolution { channels, kernel, stride } = *hidden else { break };
            // The first window begins in the zeros around the image: half of them, or as many as both sides have to spare.
            let whole = |side: usize| if windows.is_empty() { side.next_multiple_of(unit) } else { side };
            let spare = |side: usize| (whole(side) - side) / 2;
            let border = spare(fine.height).min(spare(fine.width));
            let coarse =
                Grid { channels, height: whole(fine.height) / stride, width: whole(fine.width) / stride };
            let padding = (kernel - stride) / 2 + border;
            // Pictures have the channels of a pixel side by side.
            let interleaved = windows.is_empty();
            windows.push(Window { fine, coarse, kernel, stride, padding, interleaved });
            fine = coarse;
        }
        windows
    }
}

/// The widths from image to image, such as `784-300-2*20-300-784`; convolutions as `32@16x16`, their channels and sides.
impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |layer: &Layer| match layer.sums {
            LayerSums::Linear { outputs, .. } => outputs.to_string(),
            LayerSums::Convolution(window, direction) => {
                let Grid { channels, height, width } = window.ends(direction)[1];
                format!("{channels}@{height}x{width}")
            }
        };
        let inner = |layers: &[Layer]| layers.iter().map(|layer| size(layer) + "-").collect::<String>();
        let (encoder, decoder) = (self.encoder(), self.decoder());
        let dimension = self.dimension();
        let [encoder, decoder] = [encoder, decoder].map(|layers| inner(&layers[..layers.len() - 1]));
        write!(f, "{dimension}-{encoder}2*{}-{decoder}{dimension}", self.latent)
    }
}

/// Names as an `nn.Sequential` numbers its modules.
struct Names {
    part: &'static str,
    next: usize,
}

impl Names {
    fn of(part: &'static str) -> Self {
        Self { part, next: 0 }
    }

    fn layer(&mut self, sums: LayerSums, activation: Activation) -> Layer {
        let name = format!("{}.{}", self.part, self.next);
        self.skip();
        if activation != Activation::Identity {
            self.skip();
        }
        Layer { name, sums, activation }
    }

    /// A module without weights.
    fn skip(&mut self) {
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burgess(side: usize, channels: usize) -> Architecture {
        let image = Grid { channels, height: side, width: side };
        Architecture { image, hidden: "burgess".parse().unwrap(), latent: 10 }
    }

    #[test]
    fn the_paper_s_model_has_its_sizes_and_the_names_of_a_sequential() {
        let model = burgess(64, 1);
        assert_eq!(
            model.to_string(),
            "4096-32@32x32-32@16x16-32@8x8-32@4x4-256-256-2*10-256-256-512-32@8x8-32@16x16-32@32x32-4096"
        );
        let names: Vec<String> = model.layers().into_iter().map(|layer| layer.name).collect();
        let encoder =
            ["encoder.0", "encoder.2", "encoder.4", "encoder.6", "encoder.9", "encoder.11", "encoder.13"];
        let decoder =
            ["decoder.0", "decoder.2", "decoder.4", "decoder.7", "decoder.9", "decoder.11", "decoder.13"];
        assert_eq!(names, [encoder, decoder].concat());
        let shape = |index: usize| model.layers()[index].weight_shape();
        assert_eq!((shape(0), shape(13)), (vec![32, 1, 4, 4], vec![32, 1, 4, 4]));
        // 0.53 million parameters: 4 convolutions of 528, 16,416 three times and their mirror images, and six matrices.
        let count: usize = model.layers().iter().map(Layer::parameters).sum();
        let convolutions = (512 + 32) + 3 * (16_384 + 32);
        let transposed = 3 * (16_384 + 32) + 512 + 1;
        let linear = (512 * 256 + 256) + (256 * 256 + 256) + (256 * 20 + 20);
        let linear_back = (10 * 256 + 256) + (256 * 256 + 256) + (256 * 512 + 512);
        assert_eq!(count, convolutions + transposed + linear + linear_back);
    }

    #[test]
    fn images_are_brought_to_a_multiple_of_the_strides() {
        let layers = burgess(28, 3).layers();
        let LayerSums::Convolution(first, _) = layers[0].sums else { panic!("a convolution") };
        assert_eq!((first.coarse.height, first.padding, first.interleaved), (16, 3, true));
        let LayerSums::Convolution(last, Direction::ToFine) = layers[13].sums else {
            panic!("a transposed one")
        };
        assert_eq!(last, first);
        assert_eq!(layers[13].outputs(), 28 * 28 * 3);
    }

    #[test]
    fn texts_are_read_as_they_are_written() {
        for text in [
            "linear:300",
            "conv:8x3,conv:16x4/2,linear:64",
            "linear:12,code,tanh:9,linear:4",
            "linear:4,code",
            "code,linear:5",
            "code",
            NAMED[2].1,
        ] {
            let layers: Layers = text.parse().unwrap();
            let again: Layers = layers.to_string().parse().unwrap();
            assert_eq!(layers, again, "{text}");
        }
        assert_eq!("lecture".parse::<Layers>().unwrap().widths(), Some(vec![300]));
        assert_eq!("higgins".parse::<Layers>().unwrap().widths(), None);
    }

    #[test]
    fn strides_that_leave_nothing_of_the_image_are_refused() {
        let check = |text: &str, side: usize| {
            let image = Grid { channels: 1, height: side, width: 3 };
            Architecture { image, hidden: text.parse().unwrap(), latent: 2 }.check()
        };
        assert!(check("conv:1x16/16,conv:1x16/16", 200).is_ok());
        let far = check("conv:1x16/16,conv:1x16/16", 20).unwrap_err().to_string();
        assert!(far.contains("divide sides by 256") && far.contains("20 x 3 pixels"), "{far}");
        assert!(check(&["conv:1x64/64"; 11].join(","), 64).is_err(), "2^66");
        assert!(check("linear:3", 1).is_ok());
    }

    #[test]
    fn texts_that_are_no_model_are_refused_with_what_is_wrong() {
        for (text, word) in [
            ("", "no `:`"),
            ("conv:32", "no `x`"),
            ("conv:32x4/3", "even number"),
            ("conv:32x2/4", "larger than the stride"),
            ("conv:0x4/2", "no number from 1"),
            ("linear:70000", "no number from 1 to 65536"),
            ("linear:3,conv:3x3", "cannot follow"),
            ("conv:8x4/2,code,conv:8x4/2", "linear and tanh only"),
            ("linear:3,code,linear:4,code,linear:2", "stands once"),
            ("dense:3", "no such kind"),
        ] {
            let error = text.parse::<Layers>().unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
