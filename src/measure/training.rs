//! Images per second of training, without evaluation and files.

use super::bare::BareStep;
use super::{Measurement, median};
use crate::data::Dataset;
use crate::engine::{Device, MOST_STEPS};
use crate::error::Result;
use crate::train::Submissions;
use crate::train::config::Config;
use crate::train::session::{Session, initial_state};
use serde::Serialize;
use std::time::Instant;

/// Bare steps after each pass over the data.
const BARE_STEPS: usize = 100;

/// Details of a training speed.
#[derive(Clone, Debug, Serialize)]
pub struct Training {
    /// On the CPU, the time of faer's bare products and Adam's pass over the weights, over the time of a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// The cost of handing steps to the device.
    #[serde(flatten)]
    pub submissions: Option<Submissions>,
}

/// Measures `epochs` passes over the data, after one that does not count.
///
/// # Errors
/// If the device fails, or the settings do not fit the data.
pub fn measure(
    device: &Device,
    config: &Config,
    dataset: &Dataset,
    epochs: u64,
) -> Result<Measurement<Training>> {
    let mut session = Session::new(device, config, dataset, &initial_state(config, dataset))?;
    let steps = session.steps_per_epoch();
    let layers = session.model().config.architecture.layers();
    let mut bare = (device.info().engine == "cpu").then(|| BareStep::new(&layers, config.batch));
    let (mut seconds, mut fractions) = (Vec::new(), Vec::new());
    for epoch in 0..=epochs {
        let start = Instant::now();
        train(&mut session, epoch, steps)?;
        let elapsed = start.elapsed().as_secs_f64();
        if epoch == 0 {
            continue;
        }
        seconds.push(elapsed);
        if let Some(bare) = &mut bare {
            // In turn, because the speed of a machine changes.
            let start = Instant::now();
            (0..BARE_STEPS).for_each(|_| bare.run());
            let each = start.elapsed().as_secs_f64() / BARE_STEPS as f64;
            fractions.push(each * steps as f64 / elapsed);
        }
    }
    let what = format!("training {}", session.model().config.architecture);
    let sizes = [dataset.train.len(), config.batch, dataset.train.dimension()];
    let work = ((steps * config.batch as u64) as f64, "images/s");
    let submissions = Submissions::new(&session.counters());
    let details = Training { fraction: median(&mut fractions), submissions };
    let seconds = median(&mut seconds).unwrap_or(f64::NAN);
    Ok(Measurement::new(device, what, sizes, seconds, work, details))
}

/// One pass over the data: one submission runs while the next is prepared.
fn train(session: &mut Session, epoch: u64, steps: u64) -> Result<()> {
    let mut pending = None;
    for first in (0..steps).step_by(MOST_STEPS) {
        let count = (steps - first).min(MOST_STEPS as u64) as usize;
        let next = (session.submit(epoch * steps + first, count)?, count);
        if let Some((ticket, count)) = pending.replace(next) {
            session.wait(ticket, count)?;
        }
    }
    if let Some((ticket, count)) = pending {
        session.wait(ticket, count)?;
    }
    Ok(())
}
