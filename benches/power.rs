//! How often the tests reject, beside published rates: `cargo bench --bench power -- [--mnist DIR] [--repetitions R]
//! [--only WORDS]` prints one Markdown table a problem. With `--only` it is the cells alone of whose table's title and own
//! name, "title: name", the words are a part.
//!
//! A cell passes if it is within 3 standard errors of the published rate, with SE^2 = p (1 - p) (1 / n1 + 1 / n2)
//! and p = (rejections of both + 1) / (repetitions of both + 2).

use elbo::data::table::Table as Rows;
use elbo::density::{Density, GaussBernoulliRbm};
use elbo::engine::{Choice, Device};
use elbo::kernel::pairs::Family;
use elbo::problem::{Digits, Problem};
use elbo::random::{Sequence, Stream};
use elbo::statistic::aggregate::fit::ManyFits;
use elbo::statistic::aggregate::independence::ManyPairs;
use elbo::statistic::aggregate::{self, AggregateSettings, Combine};
use elbo::statistic::fit::{Candidate, Fit, FitSettings, fit};
use elbo::statistic::independence::IndependenceSettings;
use elbo::statistic::test::Test;
use elbo::statistic::{Bandwidth, Common, Null, Outcome, Rule, Sample, TwoSampleSettings, power};
use rayon::prelude::*;
use std::ops::RangeInclusive;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// Points of each sample, where a table does not say otherwise.
const POINTS: usize = 500;

/// Standard errors within which a cell passes.
const PASSES: f64 = 3.0;

/// Points of the Boltzmann machine from which each repetition takes its own; the published rates have a pool too.
const POOL: usize = 20_000;

/// A column of a table: its name, the problem's parameter, points, and the published rate, if there is one.
struct Cell {
    name: String,
    parameter: f64,
    points: usize,
    published: Option<f64>,
}

/// 2^i times the median distance, times a factor.
fn powers(exponents: RangeInclusive<i32>, factor: f64) -> Bandwidth {
    Bandwidth::Rule(Rule::Median, exponents.map(|i| factor * 2f64.powi(i)).collect())
}

/// One kernel with the bandwidth of a rule.
fn one(rule: Rule) -> Box<dyn Test> {
    let bandwidth = Bandwidth::Rule(rule, vec![1.0]);
    Box::new(TwoSampleSettings { bandwidth, ..TwoSampleSettings::default() })
}

/// The device, the cells that are wanted, and counts of cells: beyond the bound, and all.
struct PowerSuite {
    device: Device,
    repetitions: usize,
    only: Option<String>,
    beyond: usize,
    cells: usize,
}

impl PowerSuite {
    /// Whether a cell is wanted.
    fn wants(&self, title: &str, cell: &Cell) -> bool {
        self.only.as_ref().is_none_or(|only| format!("{title}: {}", cell.name).contains(only))
    }

    /// A table of the cells that are wanted: `rejections` counts those of one, by its index.
    fn table(
        &mut self,
        title: &str,
        words: &str,
        cells: &[Cell],
        [repetitions, published_repetitions]: [usize; 2],
        mut rejections: impl FnMut(&Device, usize) -> Fallible<usize>,
    ) -> Fallible<()> {
        let wanted: Vec<usize> = (0..cells.len()).filter(|&i| self.wants(title, &cells[i])).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        println!("\n### {title}\n\n{words}, {repetitions} repetitions, level 0.05.\n");
        println!("| | elbo | published | difference / SE |\n|--|--:|--:|--:|");
        for index in wanted {
            let cell = &cells[index];
            let rejected = rejections(&self.device, index)? as f64;
            let (r, s) = (repetitions as f64, published_repetitions as f64);
            let rate = rejected / r;
            let beside = cell.published.map_or(["-".into(), "-".into()], |published| {
                let p = (rejected + published * s + 1.0) / (r + s + 2.0);
                let distance = (rate - published) / (p * (1.0 - p) * (1.0 / r + 1.0 / s)).sqrt();
                self.beyond += usize::from(distance.abs() > PASSES);
                self.cells += 1;
                [format!("{published:.3}"), format!("{distance:+.1}")]
            });
            println!("| {} | {rate:.3} | {} | {} |", cell.name, beside[0], beside[1]);
        }
        Ok(())
    }
}

/// Cells with the same settings, and how many repetitions the published rates come from.
struct RateTable<'a> {
    title: &'static str,
    problem: Problem,
    digits: Option<&'a Digits>,
    test: Box<dyn Test>,
    cells: Vec<Cell>,
    published_repetitions: usize,
    repetitions: usize,
}

impl RateTable<'_> {
    /// Runs and prints it.
    fn run(&self, run: &mut PowerSuite) -> Fallible<()> {
        let both = [self.repetitions, self.published_repetitions];
        run.table(self.title, &self.test.words(), &self.cells, both, |device, index| {
            let cell = &self.cells[index];
            let sizes = [cell.points; 2];
            let draw = |repetition, sizes| {
                self.problem.draw(cell.parameter, sizes, index as u64, repetition, self.digits)
            };
            // Points of the machine are dear: all repetitions draw from one pool.
            let pool = (self.problem == Problem::Rbm).then(|| draw(0, [1, POOL])).transpose()?;
            let reject = |repetition: usize| {
                let tables = match &pool {
                    Some([x, y]) => [x.clone(), some(y, cell.points, repetition)],
                    None => draw(repetition as u32, sizes)?,
                };
                let seed = (index * self.repetitions + repetition) as u64;
                let p = power::p_value(&*self.test, device, self.problem, &tables, seed)?;
                Ok(usize::from(p.reject))
            };
            // Small samples have too little work for all threads.
            Ok((0..self.repetitions).into_par_iter().map(reject).sum::<elbo::error::Result<usize>>()?)
        })
    }
}

/// Different rows of a table.
fn some(table: &Rows, rows: usize, repetition: usize) -> Rows {
    let order = Sequence::new(repetition as u64, Stream::Subsample, 0).order(table.rows);
    let values = order[..rows].iter().flat_map(|&i| table.row(i).iter().copied()).collect();
    Rows { rows, values, ..table.clone() }
}

/// The problem's own parameters beside published rates, as many as there are.
fn cells<const N: usize>(problem: Problem, published: [Option<f64>; N]) -> Vec<Cell> {
    assert!(N <= problem.defaults().len(), "a rate has no parameter");
    let cell = |(&parameter, published)| Cell {
        name: format!("{} {parameter}", problem.parameter()),
        parameter,
        points: POINTS,
        published,
    };
    problem.defaults().iter().zip(published).map(cell).collect()
}

/// Samples of growing size beside published rates.
fn growing<const N: usize>(parameter: f64, published: [f64; N]) -> Vec<Cell> {
    let cell = |(i, published)| {
        let points = 200 * (i + 1);
        Cell { name: format!("n {points}"), parameter, points, published: Some(published) }
    };
    published.into_iter().enumerate().map(cell).collect()
}

/// A machine as [`Problem::Rbm`], but with numbers of its own, disturbed signs, and points of the latter.
fn own_machine(seed: u64, sigma: f64, points: usize) -> elbo::error::Result<(GaussBernoulliRbm, Vec<f64>)> {
    const UNITS: [usize; 2] = [50, 40];
    let random = &mut Sequence::new(seed, Stream::ProblemX, 0);
    let normals = |random: &mut Sequence, n: usize| (0..n).map(|_| random.normal_f64()).collect::<Vec<_>>();
    let mut signs = vec![vec![0.0; UNITS[1]]; UNITS[0]];
    signs.iter_mut().flatten().for_each(|sign| *sign = if random.word() >> 31 == 1 { 1.0 } else { -1.0 });
    let (b, c) = (normals(random, UNITS[0]), normals(random, UNITS[1]));
    let halves = |disturbed: &[Vec<f64>]| -> Vec<Vec<f64>> {
        disturbed.iter().map(|row| row.iter().map(|w| 0.5 * w).collect()).collect()
    };
    let model = GaussBernoulliRbm::new(halves(&signs), b.clone(), c.clone())?;
    signs.iter_mut().flatten().for_each(|sign| *sign += sigma * random.normal_f64());
    let sample = GaussBernoulliRbm::new(halves(&signs), b, c)?.draw(points, random);
    Ok((model, sample))
}

/// Draws of the parametric null: with fixed model and bandwidths it is the same for all repetitions.
const NULL_DRAWS: usize = 499;

/// The model of [`Problem::Rbm`] with fixed bandwidths: 2^i medians of one of its samples, i = -20 to 0.
struct Machine {
    model: Box<dyn Density>,
    bandwidths: Vec<f64>,
}

impl Machine {
    fn new(device: &Device) -> elbo::error::Result<Self> {
        let [_, y] = Problem::Rbm.draw(0.0, [1, 1000], 0, 1, None)?;
        let mut machine = Self { model: Problem::Rbm.model(y.columns)?, bandwidths: Vec::new() };
        let median = machine.fit(device, &y, Bandwidth::default())?.found.kernel.bandwidths[0];
        machine.bandwidths = (-20..=0).map(|i| median * 2f64.powi(i)).collect();
        Ok(machine)
    }

    fn fit(&self, device: &Device, table: &Rows, bandwidth: Bandwidth) -> elbo::error::Result<Outcome<Fit>> {
        let candidate = Candidate { name: "machine", density: &*self.model, refit: None };
        // The statistic is all that is wanted.
        let common = Common { permutations: 1, null: Null::Wild, ..Common::default() };
        let settings = FitSettings { family: Family::Imq, bandwidth, common, ..FitSettings::default() };
        fit(device, Sample::new(table.columns, &table.values), candidate, &settings, &mut |_| Ok(()))
    }

    /// KSD^2 of samples of disturbance sigma with each bandwidth.
    fn all(
        &self,
        device: &Device,
        sigma: f64,
        seed: u64,
        points: usize,
        samples: usize,
    ) -> elbo::error::Result<Vec<Vec<f64>>> {
        let [_, pool] = Problem::Rbm.draw(sigma, [1, POOL], seed, 0, None)?;
        let of = |i: usize| {
            let table = some(&pool, points, i);
            let one = |&b: &f64| self.fit(device, &table, Bandwidth::Values(vec![b])).map(|f| f.statistic);
            self.bandwidths.iter().map(one).collect()
        };
        (0..samples).into_par_iter().map(of).collect()
    }
}

/// The inverse multiquadric's test of fit.
fn imq(bandwidth: Bandwidth) -> FitSettings {
    FitSettings { family: Family::Imq, bandwidth, ..FitSettings::default() }
}

/// The tests of fit of the Boltzmann machine.
fn machines(run: &mut PowerSuite) -> Fallible<()> {
    let repetitions = run.repetitions;
    let tests: [(_, Box<dyn Test>, _); 3] = [
        (
            "KSDAgg: Boltzmann machine, 21 bandwidths",
            Box::new(ManyFits(imq(powers(-20..=0, 1.0)))),
            [0.07, 0.345, 0.995, 1.0, 1.0],
        ),
        (
            "KSDAgg: Boltzmann machine, the median",
            Box::new(imq(Bandwidth::default())),
            [0.055, 0.21, 0.795, 1.0, 1.0],
        ),
        (
            "KSDAgg: Boltzmann machine, one of 21 bandwidths by half of the points",
            Box::new(FitSettings { split: true, ..imq(powers(-20..=0, 1.0)) }),
            [0.055, 0.175, 0.63, 0.995, 1.0],
        ),
    ];
    for (title, test, published) in tests {
        let mut cells = cells(Problem::Rbm, published.map(Some));
        cells.iter_mut().for_each(|cell| cell.points = 1000);
        let (problem, digits) = (Problem::Rbm, None);
        RateTable { title, problem, digits, test, cells, published_repetitions: 200, repetitions }
            .run(run)?;
    }
    parametric(run)?;
    own_machines(run)
}

/// The level and power with the parametric null, which is the same for all repetitions.
fn parametric(run: &mut PowerSuite) -> Fallible<()> {
    let repetitions = run.repetitions;
    let mut cells = cells(Problem::Rbm, [0.07, 0.345, 0.995, 1.0, 1.0].map(Some));
    cells.iter_mut().for_each(|cell| cell.points = 1000);
    let mut null = None;
    let title = "KSDAgg: Boltzmann machine, 21 bandwidths, parametric";
    let what = format!("Agg, Imq, one null of {NULL_DRAWS} samples of the model");
    run.table(title, &what, &cells, [repetitions, 200], |device, index| {
        let cell = &cells[index];
        let machine = Machine::new(device)?;
        if null.is_none() {
            null = Some(machine.all(device, 0.0, 1, cell.points, NULL_DRAWS)?);
        }
        let observed = machine.all(device, cell.parameter, 2 + index as u64, cell.points, repetitions)?;
        let reject = |values: &Vec<f64>| {
            let of = |kernel: usize| null.iter().flatten().map(move |values: &Vec<f64>| values[kernel]);
            let kernels = (0..values.len()).map(|k| std::iter::once(values[k]).chain(of(k)).collect());
            Ok(usize::from(
                aggregate::agg(kernels.collect(), Null::Parametric, Common::default().alpha)?.reject,
            ))
        };
        Ok(observed.par_iter().map(reject).sum::<elbo::error::Result<usize>>()?)
    })
}

/// Machines with numbers of their own in each repetition.
fn own_machines(run: &mut PowerSuite) -> Fallible<()> {
    const SIGMA: f64 = 0.02;
    let repetitions = run.repetitions;
    for (title, exponents, budget, published) in [
        ("AggInc: Boltzmann machines, 4 bandwidths", -3..=0, None, [0.22, 0.69, 0.9, 0.88, 1.0]),
        (
            "AggInc: Boltzmann machines, 4 bandwidths, R = 200",
            -3..=0,
            Some(200),
            [0.22, 0.59, 0.73, 0.77, 0.88],
        ),
        ("AggInc: Boltzmann machines, 21 bandwidths", -10..=10, None, [0.18, 0.64, 0.88, 0.88, 1.0]),
    ] {
        let own = imq(powers(exponents, 1.0));
        let settings = FitSettings { common: Common { budget, ..own.common }, ..own };
        let cells = growing(SIGMA, published);
        let words = ManyFits(settings.clone()).words();
        run.table(title, &words, &cells, [repetitions, 100], |device, index| {
            let reject = |repetition: usize| {
                let seed = (index * repetitions + repetition) as u64;
                let (model, points) = own_machine(seed, SIGMA, cells[index].points)?;
                let candidate = Candidate { name: "machine", density: &model, refit: None };
                let common = Common { seed, ..settings.common };
                let settings = FitSettings { common, ..settings.clone() };
                let sample = Sample::new(points.len() / cells[index].points, &points);
                let test = aggregate::fit::aggregate(device, sample, candidate, &settings, &mut |_| Ok(()))?;
                Ok(usize::from(test.p.reject))
            };
            Ok((0..repetitions).into_par_iter().map(reject).sum::<elbo::error::Result<usize>>()?)
        })?;
    }
    Ok(())
}

/// exp(-(d / b)^2) is a gaussian of sigma = b / sqrt(2): the factor of published bandwidths.
const OF_B: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// The independence tests of Schrab et al. 2022, five bandwidths a variable; with a budget R, incomplete ones.
fn pairs_of_kernels(families: [Family; 2], budget: Option<usize>) -> Box<dyn Test> {
    let bandwidth = |family: Family| {
        if family.without_bandwidth() { Bandwidth::default() } else { powers(-2..=2, OF_B) }
    };
    let common = Common { null: Null::Wild, budget, ..Common::default() };
    let bandwidths = families.map(bandwidth);
    Box::new(ManyPairs(IndependenceSettings { families, bandwidths, common, ..Default::default() }))
}

/// One kernel with the median distance.
fn one_kernel(run: &mut PowerSuite) -> Fallible<()> {
    let repetitions = run.repetitions;
    let published = [0.04, 0.06, 0.105, 0.29, 0.465, 0.675];
    RateTable {
        title: "MMD-FUSE: perturbed uniform, d = 1, n = m = 500",
        problem: Problem::PerturbedUniform,
        digits: None,
        test: one(Rule::Median),
        cells: cells(Problem::PerturbedUniform, published.map(Some)),
        published_repetitions: 200,
        repetitions,
    }
    .run(run)?;

    let published = [0.055, 0.05, 0.03, 0.035, 0.065, 0.035, 0.04, 0.04, 0.03, 0.035, 0.05];
    RateTable {
        title: "MMD-FUSE: mixture of four Gaussians, d = 2, n = m = 500",
        problem: Problem::Mixture,
        digits: None,
        test: one(Rule::Median),
        cells: cells(Problem::Mixture, published.map(Some)),
        published_repetitions: 200,
        repetitions,
    }
    .run(run)?;
    Ok(())
}

/// Many kernels.
fn many_kernels(run: &mut PowerSuite) -> Fallible<()> {
    let repetitions = run.repetitions;
    let many = |combine| Box::new(AggregateSettings { combine, ..AggregateSettings::default() });
    let uniform = [
        (
            "MMD-FUSE, 20 kernels: perturbed uniform, d = 1, n = m = 500",
            Combine::Fuse,
            [0.045, 0.085, 0.18, 0.505, 0.825, 0.975],
        ),
        (
            "MMDAgg, 20 kernels: perturbed uniform, d = 1, n = m = 500",
            Combine::Agg,
            [0.035, 0.08, 0.21, 0.605, 0.88, 0.985],
        ),
    ];
    for (title, combine, published) in uniform {
        RateTable {
            title,
            problem: Problem::PerturbedUniform,
            digits: None,
            test: many(combine),
            cells: cells(Problem::PerturbedUniform, published.map(Some)),
            published_repetitions: 200,
            repetitions,
        }
        .run(run)?;
    }
    let mixture = [
        (
            "MMD-FUSE, 20 kernels: mixture of four Gaussians, d = 2, n = m = 500",
            Combine::Fuse,
            [0.995, 0.945, 0.51, 0.135, 0.065, 0.035, 0.105, 0.235, 0.635, 0.84, 0.905],
        ),
        (
            "MMDAgg, 20 kernels: mixture of four Gaussians, d = 2, n = m = 500",
            Combine::Agg,
            [0.995, 0.915, 0.46, 0.12, 0.09, 0.05, 0.105, 0.25, 0.675, 0.91, 0.945],
        ),
    ];
    for (title, combine, published) in mixture {
        RateTable {
            title,
            problem: Problem::Mixture,
            digits: None,
            test: many(combine),
            cells: cells(Problem::Mixture, published.map(Some)),
            published_repetitions: 200,
            repetitions,
        }
        .run(run)?;
    }
    Ok(())
}

/// Bumps of the steepest kind.
fn perturbations(run: &mut PowerSuite) -> Fallible<()> {
    let repetitions = run.repetitions;
    // Of one bump, no rate of independent samples is known.
    let mut perturbations = cells(Problem::Perturbations, [None, Some(0.67), Some(0.11), Some(0.065)]);
    perturbations.retain(|cell| cell.published.is_some());
    RateTable {
        title: "Perturbed uniform of MMDAgg with independent samples, d = 1, n = m = 500",
        problem: Problem::Perturbations,
        digits: None,
        test: one(Rule::Median),
        cells: perturbations,
        published_repetitions: 2200,
        repetitions: 4 * repetitions + repetitions / 5 * 2,
    }
    .run(run)?;
    Ok(())
}

/// Independence of two coordinates.
fn perturbed_pairs(run: &mut PowerSuite) -> Fallible<()> {
    let repetitions = run.repetitions;
    for (title, budget, published) in [
        ("AggInc: perturbed uniform in (x, y)", None, [0.08, 0.23, 0.37, 0.59, 0.75]),
        ("AggInc: perturbed uniform in (x, y), R = 200", Some(200), [0.08, 0.23, 0.32, 0.47, 0.6]),
        ("AggInc: perturbed uniform in (x, y), R = 100", Some(100), [0.07, 0.17, 0.3, 0.4, 0.38]),
    ] {
        RateTable {
            title,
            problem: Problem::PerturbedPair,
            digits: None,
            test: pairs_of_kernels([Family::Gaussian; 2], budget),
            cells: growing(0.5, published),
            published_repetitions: 100,
            repetitions,
        }
        .run(run)?;
    }
    Ok(())
}

/// Images and labels.
fn labels(run: &mut PowerSuite, digits: &Digits) -> Fallible<()> {
    let repetitions = run.repetitions;
    let numbers = [Family::Gaussian; 2];
    for (title, families, budget, published) in [
        (
            "AggInc: MNIST 28 x 28 and labels, n = 500",
            numbers,
            None,
            [Some(1.0), Some(0.96), Some(0.59), Some(0.17), None],
        ),
        (
            "AggInc: MNIST 28 x 28 and labels, n = 500, R = 200",
            numbers,
            Some(200),
            [Some(1.0), Some(0.95), Some(0.56), Some(0.13), None],
        ),
        (
            "AggInc: MNIST 28 x 28 and labels, n = 500, R = 100",
            numbers,
            Some(100),
            [Some(1.0), Some(0.92), Some(0.45), Some(0.1), None],
        ),
        (
            "The same with a delta kernel for labels, n = 500",
            [Family::Gaussian, Family::Delta],
            None,
            [None; 5],
        ),
    ] {
        RateTable {
            title,
            problem: Problem::LabelNoise,
            digits: Some(digits),
            test: pairs_of_kernels(families, budget),
            cells: cells(Problem::LabelNoise, published),
            published_repetitions: 100,
            repetitions,
        }
        .run(run)?;
    }
    Ok(())
}

/// Small images of all digits and of some.
fn subsets(run: &mut PowerSuite, digits: &Digits) -> Fallible<()> {
    let repetitions = run.repetitions;
    let published = [0.610, 0.300, 0.144, 0.096, 0.068];
    for (rule, title) in [
        (Rule::MedianPerFeature, "MMDAgg: MNIST 7 x 7, all digits against a subset, n = m = 500"),
        (Rule::Median, "The same with the median distance"),
    ] {
        let published = published.map(|rate| (rule == Rule::MedianPerFeature).then_some(rate));
        RateTable {
            title,
            problem: Problem::DigitSubsets,
            digits: Some(digits),
            test: one(rule),
            cells: cells(Problem::DigitSubsets, published),
            published_repetitions: 500,
            repetitions,
        }
        .run(run)?;
    }
    Ok(())
}

/// Small images of all digits and of some, with five bandwidths.
fn subsets_with_many_kernels(run: &mut PowerSuite, digits: &Digits) -> Fallible<()> {
    let repetitions = run.repetitions;
    for (families, exponents, published) in [
        (Family::Gaussian, 10..=14, [0.998, 0.982, 0.390, 0.370, 0.050]),
        (Family::Laplace, 12..=16, [1.0, 0.994, 0.556, 0.614, 0.072]),
    ] {
        let factors = exponents.map(|l| 2f64.powi(l)).collect();
        RateTable {
            title: "MMDAgg: MNIST 7 x 7, five bandwidths 2^l times the median of each feature",
            problem: Problem::DigitSubsets,
            digits: Some(digits),
            test: Box::new(AggregateSettings {
                families: vec![families],
                bandwidth: Some(Bandwidth::Rule(Rule::MedianPerFeature, factors)),
                common: Common::default(),
                ..AggregateSettings::default()
            }),
            cells: cells(Problem::DigitSubsets, published.map(Some)),
            published_repetitions: 500,
            repetitions,
        }
        .run(run)?;
    }
    Ok(())
}

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let option =
        |name: &str| arguments.iter().position(|a| a == name).and_then(|i| arguments.get(i + 1)).cloned();
    let repetitions: usize = option("--repetitions").map_or(Ok(500), |r| r.parse())?;
    let device = Device::open(Choice::Cpu, None)?;
    let run = &mut PowerSuite { device, repetitions, only: option("--only"), beyond: 0, cells: 0 };

    one_kernel(run)?;
    many_kernels(run)?;
    perturbations(run)?;
    perturbed_pairs(run)?;
    machines(run)?;
    if let Some(directory) = option("--mnist") {
        let data = elbo::data::load(&directory, 0, None)?;
        labels(run, &Digits::whole(&[&data.train, &data.test])?)?;
        let digits = Digits::new(&[&data.train, &data.test])?;
        subsets(run, &digits)?;
        subsets_with_many_kernels(run, &digits)?;
    } else {
        println!("\nMNIST's tables need `--mnist DIR`.");
    }
    let PowerSuite { beyond, cells, .. } = run;
    println!("\n{beyond} of {cells} cells are beyond {PASSES} standard errors.");
    Ok(())
}
