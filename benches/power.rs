//! How often the two-sample test rejects, beside published rates: `cargo bench --bench power -- [--mnist DIR]
//! [--repetitions R]` prints one Markdown table a problem.
//!
//! A cell passes if it is within 3 standard errors of the published rate, with SE^2 = p (1 - p) (1 / n1 + 1 / n2)
//! and p = (rejections of both + 1) / (repetitions of both + 2).

use elbo::engine::{Choice, Device};
use elbo::random::{Sequence, Stream};
use elbo::statistic::{Bandwidth, Rule, Sample, Settings, two_sample};

/// Points of each sample in all problems.
const POINTS: usize = 500;

/// Standard errors within which a cell passes.
const PASSES: f64 = 3.0;

/// A random sample of a repetition.
type Draw<'a> = dyn Fn(&mut Sequence) -> Vec<f64> + 'a;

/// A column of a table: its name, both samples, and the published rate, if there is one.
struct Cell<'a> {
    name: String,
    x: Box<Draw<'a>>,
    y: Box<Draw<'a>>,
    published: Option<f64>,
}

/// Cells with the same settings, and how many repetitions the published rates come from.
struct Table<'a> {
    title: &'static str,
    d: usize,
    rule: Rule,
    cells: Vec<Cell<'a>>,
    published_repetitions: f64,
    repetitions: usize,
}

/// A bump and its mirror image, of integral 0: Schrab et al., JMLR 2023, equation 17.
fn perturbation(u: f64) -> f64 {
    let bump = |t: f64| if t.abs() < 1.0 { (-1.0 / (1.0 - t * t)).exp() } else { 0.0 };
    if u < -0.5 { bump(4.0 * u + 3.0) } else { -bump(4.0 * u + 1.0) }
}

/// A sample of density 1 + height * sum over j = 1..=bumps of +-G(bumps u - j) on 0..1, by rejection.
fn perturbed(random: &mut Sequence, bumps: usize, height: f64) -> Vec<f64> {
    let signs: Vec<f64> = (0..bumps).map(|_| if random.word() >> 31 == 1 { 1.0 } else { -1.0 }).collect();
    let density = |u: f64| {
        let term = |(j, sign): (usize, &f64)| {
            let v = bumps as f64 * u - (j + 1) as f64;
            if (-1.0..0.0).contains(&v) { sign * perturbation(v) } else { 0.0 }
        };
        1.0 + height * signs.iter().enumerate().map(term).sum::<f64>()
    };
    let most = 1.0 + height * (-1f64).exp();
    let mut values = Vec::with_capacity(POINTS);
    while values.len() < POINTS {
        let u = f64::from(random.uniform(0.0, 1.0));
        if f64::from(random.uniform(0.0, 1.0)) * most < density(u) {
            values.push(u);
        }
    }
    values
}

fn uniform(random: &mut Sequence) -> Vec<f64> {
    (0..POINTS).map(|_| f64::from(random.uniform(0.0, 1.0))).collect()
}

/// Four normal components at (+-20, +-20), one of them of standard deviation `sigma`.
fn mixture(random: &mut Sequence, sigma: f64) -> Vec<f64> {
    let point = |random: &mut Sequence| {
        let component = random.word() >> 30;
        let scale = if component == 3 { sigma } else { 1.0 };
        let centre = |bit: u32| if bit == 1 { 20.0 } else { -20.0 };
        [component & 1, component >> 1].map(|bit| centre(bit) + scale * f64::from(random.normal()))
    };
    (0..POINTS).flat_map(|_| point(random)).collect()
}

/// MNIST in 7 x 7: means of 4 x 4 pixels, of training and test images together, by class.
fn mnist(directory: &str) -> Result<Vec<Vec<Vec<f64>>>, Box<dyn std::error::Error>> {
    let data = elbo::data::load(directory, 0)?;
    let mut classes = vec![Vec::new(); 10];
    for images in [&data.train, &data.test] {
        assert_eq!((images.height, images.width), (28, 28), "MNIST's images are 28 x 28");
        for i in 0..images.len() {
            let image = images.image(i);
            let mean = |cell: usize| {
                let (row, column) = (cell / 7 * 4, cell % 7 * 4);
                let sum: u32 = (0..16).map(|k| u32::from(image[(row + k / 4) * 28 + column + k % 4])).sum();
                f64::from(sum) / 16.0 / 255.0
            };
            classes[usize::from(images.labels[i])].push((0..49).map(mean).collect());
        }
    }
    Ok(classes)
}

/// Points drawn with replacement from all images of some classes.
fn drawn(random: &mut Sequence, classes: &[Vec<Vec<f64>>], wanted: &[usize]) -> Vec<f64> {
    let images: Vec<&Vec<Vec<f64>>> = wanted.iter().map(|&class| &classes[class]).collect();
    let total: usize = images.iter().map(|class| class.len()).sum();
    let one = |random: &mut Sequence| {
        let mut i = random.below(total as u32) as usize;
        let class = images.iter().find(|class| {
            i < class.len() || {
                i -= class.len();
                false
            }
        });
        class.map_or(Vec::new(), |class| class[i].clone())
    };
    (0..POINTS).flat_map(|_| one(random)).collect()
}

impl Table<'_> {
    /// Runs and prints it; gives the numbers of cells beyond the bound and in all.
    fn run(&self, device: &Device, counts: &mut [usize; 2]) -> Result<(), Box<dyn std::error::Error>> {
        println!("\n### {}\n", self.title);
        println!(
            "Rule `{}`, {} repetitions, 999 permutations, level 0.05.\n",
            self.rule.name(),
            self.repetitions
        );
        println!("| | elbo | published | difference / SE |\n|--|--:|--:|--:|");
        for (index, cell) in self.cells.iter().enumerate() {
            let mut rejected = 0;
            for repetition in 0..self.repetitions {
                let seed = (index * self.repetitions + repetition) as u64;
                let mut random = [0, 1].map(|which| Sequence::new(seed, Stream::Data, which));
                let (x, y) = ((cell.x)(&mut random[0]), (cell.y)(&mut random[1]));
                let bandwidth = Bandwidth::Rule(self.rule, vec![1.0]);
                let settings = Settings { bandwidth, seed, ..Settings::default() };
                let samples = [Sample::new(self.d, &x), Sample::new(self.d, &y)];
                rejected += usize::from(two_sample(device, samples, &settings, &mut |_| {})?.p.reject);
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let option =
        |name: &str| arguments.iter().position(|a| a == name).and_then(|i| arguments.get(i + 1)).cloned();
    let repetitions: usize = option("--repetitions").map_or(Ok(500), |r| r.parse())?;
    let device = Device::open(Choice::Cpu, None)?;
    let mut counts = [0, 0];

    let e = 1f64.exp();
    let fuse = [(0.0, 0.04), (0.1, 0.06), (0.2, 0.105), (0.3, 0.29), (0.4, 0.465), (0.5, 0.675)];
    let cells = fuse.map(|(amplitude, published)| Cell {
        name: format!("amplitude {amplitude}"),
        x: Box::new(move |random| perturbed(random, 2, amplitude * e)),
        y: Box::new(uniform),
        published: Some(published),
    });
    Table {
        title: "MMD-FUSE: perturbed uniform, d = 1, n = m = 500",
        d: 1,
        rule: Rule::Median,
        cells: cells.into(),
        published_repetitions: 200.0,
        repetitions,
    }
    .run(&device, &mut counts)?;

    let sigmas = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0];
    let published = [0.055, 0.05, 0.03, 0.035, 0.065, 0.035, 0.04, 0.04, 0.03, 0.035, 0.05];
    let cells = sigmas.into_iter().zip(published).map(|(sigma, published)| Cell {
        name: format!("sigma {sigma}"),
        x: Box::new(|random| mixture(random, 1.0)),
        y: Box::new(move |random| mixture(random, sigma)),
        published: Some(published),
    });
    Table {
        title: "MMD-FUSE: mixture of four Gaussians, d = 2, n = m = 500",
        d: 2,
        rule: Rule::Median,
        cells: cells.collect(),
        published_repetitions: 200.0,
        repetitions,
    }
    .run(&device, &mut counts)?;

    let reference = [(2, 0.67), (3, 0.11), (4, 0.065)];
    let cells = reference.map(|(bumps, published)| Cell {
        name: format!("{bumps} perturbations"),
        x: Box::new(move |random| perturbed(random, bumps, 2.7 / bumps as f64)),
        y: Box::new(uniform),
        published: Some(published),
    });
    Table {
        title: "Perturbed uniform of MMDAgg with independent samples, d = 1, n = m = 500",
        d: 1,
        rule: Rule::Median,
        cells: cells.into(),
        published_repetitions: 2200.0,
        repetitions: 4 * repetitions + repetitions / 5 * 2,
    }
    .run(&device, &mut counts)?;

    if let Some(directory) = option("--mnist") {
        let classes = mnist(&directory)?;
        let subsets: [(&str, &[usize], f64); 5] = [
            ("Q1", &[1, 3, 5, 7, 9], 0.610),
            ("Q2", &[0, 1, 3, 5, 7, 9], 0.300),
            ("Q3", &[0, 1, 2, 3, 5, 7, 9], 0.144),
            ("Q4", &[0, 1, 2, 3, 4, 5, 7, 9], 0.096),
            ("Q5", &[0, 1, 2, 3, 4, 5, 6, 7, 9], 0.068),
        ];
        let all: Vec<usize> = (0..10).collect();
        for (rule, title) in [
            (Rule::MedianPerFeature, "MMDAgg: MNIST 7 x 7, all digits against a subset, n = m = 500"),
            (Rule::Median, "The same with the median distance"),
        ] {
            let cells = subsets.iter().map(|&(name, wanted, published)| Cell {
                name: name.into(),
                x: Box::new(|random| drawn(random, &classes, &all)),
                y: Box::new(|random| drawn(random, &classes, wanted)),
                published: (rule == Rule::MedianPerFeature).then_some(published),
            });
            Table { title, d: 49, rule, cells: cells.collect(), published_repetitions: 500.0, repetitions }
                .run(&device, &mut counts)?;
        }
    } else {
        println!("\nMNIST's tables need `--mnist DIR`.");
    }
    let [beyond, total] = counts;
    println!("\n{beyond} of {total} cells are beyond {PASSES} standard errors.");
    Ok(())
}
