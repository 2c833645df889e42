//! Two distributions differ where the means of some feature differ. Which feature?
//!
//! ```sh
//! cargo run --release --example feature_means [DIRECTORY]
//! ```
//!
//! P = N(0, 1) against Q with another mean, another variance, and another shape alone. E x tells the first pair
//! apart, E x^2 the second too, and the third takes a higher moment. MMD^2 compares the means of all features of the
//! Gaussian kernel at once, so nobody has to guess.

use elbo::engine::{Choice, Device};
use elbo::error::Result;
use elbo::picture::{Chart, Panel, Series, Style};
use elbo::random::{Sequence, Stream};
use elbo::statistic::{Sample, TwoSampleSettings, two_sample};
use std::path::PathBuf;

const SEED: u64 = 1;
const POINTS: usize = 4000;

/// Standard errors from which on a difference is marked.
const CLEAR: f64 = 3.0;

/// Width of a histogram's bars.
const BAR: f64 = 0.25;

type Draw = fn(&mut Sequence) -> f64;

fn normal(random: &mut Sequence) -> f64 {
    random.normal().into()
}

/// Mean 0 and variance 1: the difference of two exponential variables, which has variance 2, over sqrt(2).
fn laplace(random: &mut Sequence) -> f64 {
    let mut exponential = || -f64::from(random.uniform(0.0, 1.0)).ln();
    (exponential() - exponential()) / f64::sqrt(2.0)
}

/// E x^power and its squared standard error.
fn moment(sample: &[f64], power: i32) -> (f64, f64) {
    let n = sample.len() as f64;
    let mean = |power: i32| sample.iter().map(|x| x.powi(power)).sum::<f64>() / n;
    (mean(power), (mean(2 * power) - mean(power).powi(2)) / n)
}

/// Left end and height of each bar from -5 to 5, as a density.
fn histogram(sample: &[f64]) -> Vec<[f64; 2]> {
    let count = |bar: i32| sample.iter().filter(|&x| (x / BAR).floor() as i32 == bar).count() as f64;
    (-20..=20).map(|bar| [f64::from(bar) * BAR, count(bar) / (BAR * sample.len() as f64)]).collect()
}

fn main() -> Result<()> {
    let pairs: [(&str, &str, Draw); 3] = [
        ("N(0.3, 1)", "another mean: E x", |random| normal(random) + 0.3),
        ("N(0, 1.69)", "another variance: E x²", |random| normal(random) * 1.3),
        ("Laplace", "the same mean and variance: higher features, such as E x⁴", laplace),
    ];
    let device = Device::open(Choice::Auto, None)?;
    let mut panels = Vec::new();
    println!("difference of the means of P = N(0, 1) and Q; * is more than {CLEAR} standard errors from 0");
    println!("{:<12}{:>18}{:>18}{:>18}{:>10}{:>8}", "Q", "x", "x^2", "x^4", "MMD^2", "p");
    for (stream, (name, feature, draw)) in (1..).zip(pairs) {
        let sample = |draw: Draw, stream| -> Vec<f64> {
            let mut random = Sequence::new(SEED, Stream::Data, stream);
            (0..POINTS).map(|_| draw(&mut random)).collect()
        };
        let (p, q) = (sample(normal, 0), sample(draw, stream));
        print!("{name:<12}");
        for power in [1, 2, 4] {
            let ((p, p_error), (q, q_error)) = (moment(&p, power), moment(&q, power));
            let (difference, error) = (q - p, (p_error + q_error).sqrt());
            let mark = if difference.abs() > CLEAR * error { '*' } else { ' ' };
            print!("{:>18}", format!("{difference:.2} +- {error:.2} {mark}"));
        }
        let samples = [Sample::new(1, &p), Sample::new(1, &q)];
        let test = two_sample(&device, samples, &TwoSampleSettings::default(), &mut |_| Ok(()))?;
        println!("{:10.5}{:8.3}", test.found.mmd2_unbiased, test.p.p_value);

        let series = |name: &str, sample: &[f64]| Series {
            name: name.into(),
            points: histogram(sample),
            style: Style::Steps,
        };
        panels.push(Panel {
            title: format!("Q = {name}, {feature}"),
            x: "x".into(),
            y: "density".into(),
            series: vec![series("P", &p), series("Q", &q)],
            ..Panel::default()
        });
    }

    let path = PathBuf::from(std::env::args_os().nth(1).unwrap_or(".".into())).join("feature_means.png");
    let title = "P = N(0, 1) against Q: which feature tells?".into();
    Chart { title, panels, ..Chart::default() }.save(&path)?;
    println!("picture: {}", path.display());
    Ok(())
}
