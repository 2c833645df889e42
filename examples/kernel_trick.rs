//! The kernel trick: the Gaussian kernel is an inner product of infinitely many features.
//!
//! ```text
//! exp(-gamma (x - y)^2) = phi(x)^T phi(y)
//! phi(x) = exp(-gamma x^2) [1, sqrt(2 gamma / 1!) x, sqrt((2 gamma)^2 / 2!) x^2, ...]
//! ```
//!
//! ```sh
//! cargo run --release --example kernel_trick [DIRECTORY]
//! ```
//!
//! With the first K features alone, how wrong is the kernel?

use elbo::error::Result;
use elbo::kernel::pairs::Family;
use elbo::picture::{Chart, Panel, Series, Style};
use elbo::statistic::KernelFunction;
use std::path::PathBuf;

const GAMMAS: [f64; 3] = [0.25, 0.5, 1.0];

/// x and y go from -`REACH` to `REACH` in steps of 1 / `STEPS`.
const REACH: i32 = 2;
const STEPS: i32 = 10;

/// The most features, and every how many the table has a line.
const MOST: usize = 48;
const LINE: usize = 4;

/// The first `count` features of x.
fn features(x: f64, gamma: f64, count: usize) -> Vec<f64> {
    let next = |feature: &f64, k: usize| feature * (2.0 * gamma / k as f64).sqrt() * x;
    let first = (-gamma * x * x).exp();
    (1..=count).scan(first, |feature, k| Some(std::mem::replace(feature, next(feature, k)))).collect()
}

fn main() -> Result<()> {
    let grid: Vec<f64> = (-REACH * STEPS..=REACH * STEPS).map(|i| f64::from(i) / f64::from(STEPS)).collect();
    let worst_errors = |gamma: f64| -> Vec<[f64; 2]> {
        // exp(-|x - y|^2 / (2 sigma^2)).
        let kernel = KernelFunction::new(Family::Gaussian, (0.5 / gamma).sqrt());
        let phi: Vec<Vec<f64>> = grid.iter().map(|&x| features(x, gamma, MOST)).collect();
        let mut worst = vec![0.0; MOST];
        for (x, phi_x) in grid.iter().zip(&phi) {
            for (y, phi_y) in grid.iter().zip(&phi) {
                let mut sum = 0.0;
                for (k, worst) in worst.iter_mut().enumerate() {
                    sum += phi_x[k] * phi_y[k];
                    *worst = f64::max(*worst, (sum - kernel.value(&[*x], &[*y])).abs());
                }
            }
        }
        worst.into_iter().enumerate().map(|(k, worst)| [(k + 1) as f64, worst]).collect()
    };
    let series = GAMMAS.map(|gamma| Series {
        name: format!("gamma = {gamma}"),
        points: worst_errors(gamma),
        style: Style::Marked,
    });

    println!("worst error of phi(x)^T phi(y) over |x|, |y| <= {REACH}");
    println!("features{}", series.each_ref().map(|s| format!("{:>15}", s.name)).concat());
    for row in (LINE - 1..MOST).step_by(LINE) {
        println!(
            "{:8}{}",
            row + 1,
            series.each_ref().map(|s| format!("{:15.1e}", s.points[row][1])).concat()
        );
    }

    let path = PathBuf::from(std::env::args_os().nth(1).unwrap_or(".".into())).join("kernel_trick.png");
    let panel = Panel {
        x: "number of features".into(),
        y: format!("worst error over |x|, |y| ≤ {REACH}"),
        series: series.into(),
        log: true,
        ..Panel::default()
    };
    let title = "The Gaussian kernel as an inner product of features".into();
    let caption = "Where a curve is level, only the rounding of 64-bit numbers is left".into();
    Chart { title, panels: vec![panel], caption, ..Chart::default() }.save(&path)?;
    println!("picture: {}", path.display());
    Ok(())
}
