//! Do two samples come from one distribution?
//!
//! ```sh
//! cargo run --release --example two_sample_test [DIRECTORY]
//! ```
//!
//! X ~ N(0, I) in the plane. The coordinates of Y are N(0, 1) too, but correlated: neither of them alone could tell
//! the samples apart.

use elbo::engine::{Choice, Device};
use elbo::error::Result;
use elbo::picture::NullHistogram;
use elbo::random::{Sequence, Stream};
use elbo::statistic::{Sample, TwoSampleSettings, two_sample};
use std::path::PathBuf;

const SEED: u64 = 1;
const POINTS: usize = 500;
const CORRELATION: f64 = 0.5;

fn main() -> Result<()> {
    let mut random = Sequence::new(SEED, Stream::Data, 0);
    let mut normal = || f64::from(random.normal());
    let x: Vec<f64> = (0..POINTS).flat_map(|_| [normal(), normal()]).collect();
    let mut correlated = || {
        let first = normal();
        [first, CORRELATION * first + (1.0 - CORRELATION * CORRELATION).sqrt() * normal()]
    };
    let y: Vec<f64> = (0..POINTS).flat_map(|_| correlated()).collect();

    let device = Device::open(Choice::Auto, None)?;
    let samples = [Sample::new(2, &x), Sample::new(2, &y)];
    let test = two_sample(&device, samples, &TwoSampleSettings::default(), &mut |_| Ok(()))?;
    let decision = if test.p.reject { "the samples differ" } else { "no difference was found" };
    let result = format!("p = {:.3}: {decision}", test.p.p_value);
    println!("MMD^2 = {:.5}, {result}", test.found.mmd2_unbiased);

    let path = PathBuf::from(std::env::args_os().nth(1).unwrap_or(".".into())).join("two_sample_test.png");
    NullHistogram {
        title: "Independent against correlated coordinates",
        remark: &result,
        statistic: "MMD² (unbiased)",
        draws: &test.draws,
        observed: test.statistic,
        threshold: None,
    }
    .save(&path)?;
    println!("picture: {}", path.display());
    Ok(())
}
