//! Reconstructs images with a saved model: one JSON list of pixels a line.
//!
//! ```sh
//! cargo run --release --example reconstruct runs/001/checkpoints/4680/model.safetensors digits
//! ```
//!
//! The file may come from here or from PyTorch; `benches/peers/check_torch.py` compares the two.

use elbo::checkpoint::State;
use elbo::engine::{Choice, Device};
use elbo::error::{Error, Result};
use elbo::model::Architecture;
use elbo::train::config::Config;
use elbo::train::session::{Session, Split};
use std::path::Path;

/// How many of the test images.
const IMAGES: usize = 8;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, images] = &arguments[..] else {
        return Err(Error::usage("usage: reconstruct MODEL.safetensors digits|sprites|PATH"));
    };
    // Nothing is trained, so any batch does that the data have.
    let config = Config { data: images.clone(), batch: 1, ..Config::default() };
    let dataset = config.dataset()?;
    let tell = &mut |sentence| eprintln!("{sentence}");
    let state = State::read_model(Path::new(model), Some(dataset.train.grid()), tell)?;
    let Architecture { hidden, latent, .. } = &state.architecture;
    let config = Config { latent: *latent, ..config }.with_layers(hidden.clone());
    let device = Device::open(Choice::Auto, None)?;
    let mut session = Session::new(&device, &config, &dataset, &state)?;

    // The mean of q(z | x), decoded: the mean of p(x | z).
    let codes = session.encode(Split::Test, IMAGES)?;
    for image in session.decode(&codes.means)? {
        println!("{image:?}");
    }
    Ok(())
}
