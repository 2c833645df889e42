//! A schedule of one's own: "start with very high beta and slowly decrease during training".
//!
//! ```sh
//! cargo run --release --example schedule [DIRECTORY]
//! ```
//!
//! loss = reconstruction + beta KL. At first the bottleneck is very strict and next to nothing fits through it; as
//! beta falls, one factor after another is worth its nats.

use elbo::data;
use elbo::engine::{Choice, Device};
use elbo::error::Result;
use elbo::model::LikelihoodName;
use elbo::picture::{Chart, Panel, Series};
use elbo::train::config::Config;
use elbo::train::objective::ObjectiveName;
use elbo::train::schedule::Schedule;
use elbo::train::session::{Session, initial_state};
use std::path::PathBuf;

const STEPS: u64 = 600;
const HIGH: f64 = 20.0;
const LOW: f64 = 1.0;

/// Steps between two points of the schedule that is computed.
const SPACING: usize = 10;

fn main() -> Result<()> {
    // As on the command line: --beta linear:20:1.
    let linear: Schedule = format!("linear:{HIGH}:{LOW}").parse()?;
    // Whatever can be computed: here each halving of beta takes as many steps.
    let geometric = |step: u64| (step, HIGH * (LOW / HIGH).powf(step as f64 / STEPS as f64));
    let geometric = Schedule::Piecewise((0..=STEPS).step_by(SPACING).map(geometric).collect());

    let digits = data::load("digits", 0, None)?;
    let device = Device::open(Choice::Auto, None)?;
    let panel = |y: &str| Panel { x: "step".into(), y: y.into(), ..Panel::default() };
    let (mut betas, mut kls) = (panel("beta"), panel("KL in nats"));
    println!("{:<10} {:>6} {:>8} {:>8}", "beta", "step", "beta", "KL");
    for (name, beta) in [("linear", linear), ("geometric", geometric)] {
        let config = Config {
            objective: ObjectiveName::BetaVae,
            beta: Some(beta.clone()),
            likelihood: LikelihoodName::Bernoulli,
            latent: 10,
            steps: Some(STEPS),
            ..Config::default()
        };
        let start = initial_state(&config, &digits);
        let losses = Session::new(&device, &config, &digits, &start)?.train(0..STEPS)?;

        let of_steps = |value: &dyn Fn(u64) -> f64| Series {
            name: name.into(),
            points: (0..STEPS).map(|step| [step as f64, value(step)]).collect(),
            ..Series::default()
        };
        betas.series.push(of_steps(&|step| beta.at(step, STEPS)));
        kls.series.push(of_steps(&|step| losses[step as usize].kl));
        for step in [STEPS / 2, STEPS - 1] {
            println!("{name:<10} {step:>6} {:8.2} {:8.2}", beta.at(step, STEPS), losses[step as usize].kl);
        }
    }

    let path = PathBuf::from(std::env::args_os().nth(1).unwrap_or(".".into())).join("schedule.png");
    let title = "As beta falls, the code may say more of the image".into();
    Chart { title, panels: vec![betas, kls], ..Chart::default() }.save(&path)?;
    println!("picture: {}", path.display());
    Ok(())
}
