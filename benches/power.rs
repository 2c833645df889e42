//! How often the two-sample test rejects, beside published rates: `cargo bench --bench power -- [--mnist DIR]
//! [--repetitions R]` prints one Markdown table a problem.
//!
//! A cell passes if it is within 3 standard errors of the published rate, with SE^2 = p (1 - p) (1 / n1 + 1 / n2)
//! and p = (rejections of both + 1) / (repetitions of both + 2).

use elbo::engine::{Choice, Device};
use elbo::kernel::pairs::Family;
use elbo::problem::{Digits, Problem};
use elbo::statistic::aggregate::{self, Combine};
use elbo::statistic::power::Test;
use elbo::statistic::{Bandwidth, Rule, Settings};

/// Points of each sample in all problems.
const POINTS: usize = 500;

/// Standard errors within which a cell passes.
const PASSES: f64 = 3.0;

/// A column of a table: its name, the problem's parameter, and the published rate, if there is one.
struct Cell {
    name: String,
    parameter: f64,
    published: Option<f64>,
}

/// A test in words, with its permutations.
fn words(test: &Test) -> String {
    match test {
        Test::TwoSample(settings) => {
            format!("Rule `{}`, {} permutations", settings.bandwidth, settings.permutations)
        }
        Test::Aggregate(settings) => {
            format!("{:?}, {:?}, {} permutations", settings.combine, settings.families, settings.permutations)
        }
        other => format!("{other:?}"),
    }
}

/// One kernel with the bandwidth of a rule.
fn one(rule: Rule) -> Test {
    Test::TwoSample(Settings { bandwidth: Bandwidth::Rule(rule, vec![1.0]), ..Settings::default() })
}

/// Cells with the same settings, and how many repetitions the published rates come from.
struct Table<'a> {
    title: &'static str,
    problem: Problem,
    digits: Option<&'a Digits>,
    test: Test,
    cells: Vec<Cell>,
    published_repetitions: f64,
    repetitions: usize,
}

impl Table<'_> {
    /// Runs and prints it; gives the numbers of cells beyond the bound and in all.
    fn run(&self, device: &Device, counts: &mut [usize; 2]) -> Result<(), Box<dyn std::error::Error>> {
        println!("\n### {}\n", self.title);
        println!("{}, {} repetitions, level 0.05.\n", words(&self.test), self.repetitions);
        println!("| | elbo | published | difference / SE |\n|--|--:|--:|--:|");
        for (index, cell) in self.cells.iter().enumerate() {
            let mut rejected = 0;
            for repetition in 0..self.repetitions {
                let seed = (index * self.repetitions + repetition) as u64;
                let tables = self.problem.draw(
                    cell.parameter,
                    [POINTS; 2],
                    index as u64,
                    repetition as u32,
                    self.digits,
                )?;
                rejected += usize::from(self.test.run(device, &tables, seed)?.reject);
            }
            let (r, s) = (self.repetitions as f64, self.published_repetitions);
            let rate = rejected as f64 / r;
            let beside = cell.published.map_or(["-".into(), "-".into()], |published| {
                let p = (rejected as f64 + published * s + 1.0) / (r + s + 2.0);
                let distance = (rate - published) / (p * (1.0 - p) * (1.0 / r + 1.0 / s)).sqrt();
                counts[0] += usize::from(distance.abs() > PASSES);
                counts[1] += 1;
                [format!("{published:.3}"), format!("{distance:+.1}")]
            });
            println!("| {} | {rate:.3} | {} | {} |", cell.name, beside[0], beside[1]);
        }
        Ok(())
    }
}

/// The problem's own parameters beside published rates, as many as there are.
fn cells<const N: usize>(problem: Problem, published: [Option<f64>; N]) -> Vec<Cell> {
    assert!(N <= problem.defaults().len(), "a rate has no parameter");
    let cell = |(&parameter, published)| Cell {
        name: format!("{} {parameter}", problem.parameter()),
        parameter,
        published,
    };
    problem.defaults().iter().zip(published).map(cell).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let option =
        |name: &str| arguments.iter().position(|a| a == name).and_then(|i| arguments.get(i + 1)).cloned();
    let repetitions: usize = option("--repetitions").map_or(Ok(500), |r| r.parse())?;
    let device = Device::open(Choice::Cpu, None)?;
    let mut counts = [0, 0];

    let published = [0.04, 0.06, 0.105, 0.29, 0.465, 0.675];
    Table {
        title: "MMD-FUSE: perturbed uniform, d = 1, n = m = 500",
        problem: Problem::PerturbedUniform,
        digits: None,
        test: one(Rule::Median),
        cells: cells(Problem::PerturbedUniform, published.map(Some)),
        published_repetitions: 200.0,
        repetitions,
    }
    .run(&device, &mut counts)?;

    let published = [0.055, 0.05, 0.03, 0.035, 0.065, 0.035, 0.04, 0.04, 0.03, 0.035, 0.05];
    Table {
        title: "MMD-FUSE: mixture of four Gaussians, d = 2, n = m = 500",
        problem: Problem::Mixture,
        digits: None,
        test: one(Rule::Median),
        cells: cells(Problem::Mixture, published.map(Some)),
        published_repetitions: 200.0,
        repetitions,
    }
    .run(&device, &mut counts)?;

    let many = |combine| Test::Aggregate(aggregate::Settings { combine, ..aggregate::Settings::default() });
    let uniform = [
        (Combine::Fuse, [0.045, 0.085, 0.18, 0.505, 0.825, 0.975]),
        (Combine::Agg, [0.035, 0.08, 0.21, 0.605, 0.88, 0.985]),
    ];
    for (combine, published) in uniform {
        Table {
            title: "MMD-FUSE and MMDAgg: perturbed uniform, d = 1, n = m = 500",
            problem: Problem::PerturbedUniform,
            digits: None,
            test: many(combine),
            cells: cells(Problem::PerturbedUniform, published.map(Some)),
            published_repetitions: 200.0,
            repetitions,
        }
        .run(&device, &mut counts)?;
    }
    let mixture = [
        (Combine::Fuse, [0.995, 0.945, 0.51, 0.135, 0.065, 0.035, 0.105, 0.235, 0.635, 0.84, 0.905]),
        (Combine::Agg, [0.995, 0.915, 0.46, 0.12, 0.09, 0.05, 0.105, 0.25, 0.675, 0.91, 0.945]),
    ];
    for (combine, published) in mixture {
        Table {
            title: "MMD-FUSE and MMDAgg: mixture of four Gaussians, d = 2, n = m = 500",
            problem: Problem::Mixture,
            digits: None,
            test: many(combine),
            cells: cells(Problem::Mixture, published.map(Some)),
            published_repetitions: 200.0,
            repetitions,
        }
        .run(&device, &mut counts)?;
    }

    // Of one bump, no rate of independent samples is known.
    let mut perturbations = cells(Problem::Perturbations, [None, Some(0.67), Some(0.11), Some(0.065)]);
    perturbations.retain(|cell| cell.published.is_some());
    Table {
        title: "Perturbed uniform of MMDAgg with independent samples, d = 1, n = m = 500",
        problem: Problem::Perturbations,
        digits: None,
        test: one(Rule::Median),
        cells: perturbations,
        published_repetitions: 2200.0,
        repetitions: 4 * repetitions + repetitions / 5 * 2,
    }
    .run(&device, &mut counts)?;

    if let Some(directory) = option("--mnist") {
        let data = elbo::data::load(&directory, 0)?;
        let digits = Digits::new(&[&data.train, &data.test])?;
        let published = [0.610, 0.300, 0.144, 0.096, 0.068];
        for (rule, title) in [
            (Rule::MedianPerFeature, "MMDAgg: MNIST 7 x 7, all digits against a subset, n = m = 500"),
            (Rule::Median, "The same with the median distance"),
        ] {
            let published = published.map(|rate| (rule == Rule::MedianPerFeature).then_some(rate));
            Table {
                title,
                problem: Problem::DigitSubsets,
                digits: Some(&digits),
                test: one(rule),
                cells: cells(Problem::DigitSubsets, published),
                published_repetitions: 500.0,
                repetitions,
            }
            .run(&device, &mut counts)?;
        }
        for (families, exponents, published) in [
            (Family::Gaussian, 10..=14, [0.998, 0.982, 0.390, 0.370, 0.050]),
            (Family::Laplace, 12..=16, [1.0, 0.994, 0.556, 0.614, 0.072]),
        ] {
            let factors = exponents.map(|l| 2f64.powi(l)).collect();
            Table {
                title: "MMDAgg: MNIST 7 x 7, five bandwidths 2^l times the median of each feature",
                problem: Problem::DigitSubsets,
                digits: Some(&digits),
                test: Test::Aggregate(aggregate::Settings {
                    families: vec![families],
                    bandwidth: Some(Bandwidth::Rule(Rule::MedianPerFeature, factors)),
                    permutations: 999,
                    ..aggregate::Settings::default()
                }),
                cells: cells(Problem::DigitSubsets, published.map(Some)),
                published_repetitions: 500.0,
                repetitions,
            }
            .run(&device, &mut counts)?;
        }
    } else {
        println!("\nMNIST's tables need `--mnist DIR`.");
    }
    let [beyond, total] = counts;
    println!("\n{beyond} of {total} cells are beyond {PASSES} standard errors.");
    Ok(())
}
