//! Is one Gaussian or are two more fit for a sample?
//!
//! ```sh
//! cargo run --release --example goodness_of_fit [DIRECTORY]
//! ```
//!
//! The sample comes from two Gaussians. One and two are fitted to it; the kernel Stein discrepancy says whether the
//! sample could come from each, with samples of the fitted model, fitted again, as the null.

use elbo::density::fit::{MixtureSettings, gaussian_mixture};
use elbo::density::{Density, GaussianMixture};
use elbo::engine::{Choice, Device};
use elbo::error::Result;
use elbo::picture::{Chart, Panel, Series, Style};
use elbo::random::{Sequence, Stream};
use elbo::statistic::fit::{Candidate, FitSettings, better, fit};
use elbo::statistic::{Common, Null, Sample};
use std::path::PathBuf;

const POINTS: usize = 300;
const BARS: i32 = 40;
const REACH: f64 = 5.0;

fn main() -> Result<()> {
    let mut random = Sequence::new(1, Stream::Data, 0);
    let x: Vec<f64> =
        (0..POINTS).map(|i| if i % 3 == 0 { -1.5 } else { 1.2 } + 0.8 * f64::from(random.normal())).collect();
    let sample = Sample::new(1, &x);
    let mixture = |sample: Sample<'_>, components| {
        gaussian_mixture(sample, &MixtureSettings { components, ..MixtureSettings::default() })
            .map(|fitted| fitted.mixture)
    };

    let device = Device::open(Choice::Auto, None)?;
    let common = Common { null: Null::Parametric, permutations: 99, ..Common::default() };
    let settings = FitSettings { common, ..FitSettings::default() };
    let mut tests = Vec::new();
    let mut series = vec![histogram(&x)];
    for (components, name) in [(1, "one Gaussian"), (2, "two Gaussians")] {
        let density = mixture(sample, components)?;
        let refit = |sample: Sample<'_>, _: u64| -> Result<Box<dyn Density>> {
            Ok(Box::new(mixture(sample, components)?))
        };
        let candidate = Candidate { name, density: &density, refit: Some(&refit) };
        let test = fit(&device, sample, candidate, &settings, &mut |_| Ok(()))?;
        println!("{name}: KSD^2 = {:.5}, p = {:.3}", test.found.ksd2_unbiased, test.p.p_value);
        series.push(curve(&density, format!("{name}, p = {:.2}", test.p.p_value)));
        tests.push(test);
    }
    let relative = better([&tests[0], &tests[1]], common.alpha)?;
    let caption = match &relative.better {
        Some(name) => format!("the better fit: {name} (p = {:.1e})", relative.p_value),
        None => format!("neither is the better fit (p = {:.2})", relative.p_value),
    };
    println!("{caption}");

    let path = PathBuf::from(std::env::args_os().nth(1).unwrap_or(".".into())).join("goodness_of_fit.png");
    let panel = Panel { x: "x".into(), y: "density".into(), series, ..Panel::default() };
    let title = "Is one Gaussian or are two more fit?".into();
    Chart { title, panels: vec![panel], caption, ..Chart::default() }.save(&path)?;
    println!("picture: {}", path.display());
    Ok(())
}

/// The sample's shares of points, as a density.
fn histogram(x: &[f64]) -> Series {
    let width = 2.0 * REACH / f64::from(BARS);
    let bar = |i: i32| {
        let left = -REACH + f64::from(i) * width;
        let inside = x.iter().filter(|&&x| x >= left && x < left + width).count();
        [left, inside as f64 / (POINTS as f64 * width)]
    };
    Series { name: "sample".into(), points: (0..=BARS).map(bar).collect(), style: Style::Steps }
}

fn curve(density: &GaussianMixture, name: String) -> Series {
    let at = |i: i32| {
        let x = REACH * (f64::from(i) / 100.0 - 1.0);
        [x, density.ln_density(&[x]).map_or(f64::NAN, f64::exp)]
    };
    Series { name, points: (0..=200).map(at).collect(), style: Style::Line }
}
