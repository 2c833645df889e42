//! A variational auto-encoder, from data to invented images.
//!
//! ```sh
//! cargo run --release --example vae [DIRECTORY]
//! ```
//!
//! The lecture's model: x -> Linear(784, 300) -> ReLU -> Linear(300, 2M) -> mean and log-std; z = mean + std eps;
//! z -> Linear(M, 300) -> ReLU -> Linear(300, 784). `elbo train` does the same, and keeps checkpoints.

use elbo::engine::{Choice, Device};
use elbo::error::Result;
use elbo::figure::{self, Figure};
use elbo::train::config::Config;
use elbo::train::session::{Session, Split, initial_state};
use elbo::{data, train::metrics::Metrics};
use std::path::PathBuf;

const STEPS: u64 = 500;
const REPORT: u64 = 100;

fn main() -> Result<()> {
    let directory = PathBuf::from(std::env::args_os().nth(1).unwrap_or(".".into()));
    let config = Config { steps: Some(STEPS), ..Config::default() };
    let digits = data::load(&config.data, config.seed, None)?;
    let device = Device::open(Choice::Auto, None)?;
    let start = initial_state(&config, &digits);
    let mut vae = Session::new(&device, &config, &digits, &start)?;

    for done in (0..STEPS).step_by(REPORT as usize) {
        let losses = vae.train(done..done + REPORT)?;
        print(&format!("step {}", done + REPORT), losses.last().expect("at least one step"));
    }
    let (test, _) = vae.evaluate(Split::Test)?;
    print("test images", &test);

    for picture in figure::draw(Figure::Samples, &directory, &mut vae, &digits, None)? {
        println!("picture: {}", picture.display());
    }
    Ok(())
}

/// Averages over the images of a batch, or of all test images.
fn print(what: &str, Metrics { sse, kl, elbo, .. }: &Metrics) {
    println!("{what:<12} squared error {sse:6.2}   KL {kl:5.2} nats   ELBO {elbo:8.2} nats");
}
