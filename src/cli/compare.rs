//! `elbo compare`.

use super::bar::watch;
use super::kid::{KidOptions, kid_text, kid_words};
use super::output::result;
use super::report::{
    DrawOptions, Report, SMALLEST, VerdictOptions, Words, check_order, decision, kernel_line, nats, nulls,
    permutations_of, print_p_value, print_rows, print_samples,
};
use super::sample::{KernelOptions, SAMPLES};
use clap::Args;
use elbo::data::table::Table;
use elbo::engine::Device;
use elbo::error::{Error, Result};
use elbo::kernel::pairs::Family;
use elbo::numeric::grouped;
use elbo::statistic::aggregate::{Aggregate, AggregateSettings, Combine, aggregate};
use elbo::statistic::categories::{self, Categories, Embedded};
use elbo::statistic::columns::{self, ColumnScale};
use elbo::statistic::features::{Approximate, FeatureSettings, approximate};
use elbo::statistic::kid::{self, Kid};
use elbo::statistic::neighbours::{self, Information, NeighbourSettings};
use elbo::statistic::p_value::PValue;
use elbo::statistic::reference::{self, ReferenceSample};
use elbo::statistic::tables::{Rescaled, USE_SERIES, halves, order_warnings};
use elbo::statistic::two_sample::NULLS;
use elbo::statistic::{Bandwidth, Null, Outcome, Sample, TwoSample, TwoSampleSettings, two_sample};
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// Do two samples come from one distribution? The kernel two-sample test (MMD)
///
/// The kernel matrix is never stored, so samples may be large. `--null binned` permutes bins of points: nearly as
/// sharp, and with hardly more work than the estimate itself.
#[derive(Args)]
#[command(mut_arg("null", |arg| nulls(arg, &NULLS)))]
#[command(mut_arg("check", |arg| arg.help("End with exit code 3 if the samples differ")))]
#[command(mut_arg("out", |arg| arg.help(PICTURES)))]
#[command(after_help = format!("{SAMPLES}

Examples:
  elbo compare a.npy b.npy
  elbo compare data.npz:before data.npz:after --kernel laplace
  elbo compare mnist:test run:runs/001 --out comparison
  elbo compare mnist:test run:runs/001 --kid --encoder runs/002
  elbo compare a.npy b.npy --aggregate agg    twenty kernels in one test
  elbo compare a.npy b.npy --split            half of the points choose sigma
  elbo compare a.npy b.npy --features 500     millions of points, nearly
  elbo compare a.csv b.csv --null series      time series
  elbo compare a.npy                          two halves: should not differ
  elbo compare old.csv new.csv --categories city,plan
  elbo compare ref.elbo new.csv               ref.elbo by elbo reference old.csv
  elbo compare old.csv new.csv --check        exit code 3 if they differ
  elbo compare old.csv new.csv --report drift.md --report drift.xml --out drift"))]
pub(super) struct CompareArgs {
    /// The first sample
    x: String,
    /// The second sample; if there is none, two random halves of the first are compared
    y: Option<String>,
    #[command(flatten)]
    kernel: KernelOptions,
    #[command(flatten)]
    draws: DrawOptions,
    /// Columns of classes instead of numbers, by name or by number; a missing class is a class, too
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Data")]
    categories: Vec<String>,
    /// Points of a bin of --null binned, instead of as many as make about 512 bins
    #[arg(long, value_name = "POINTS", help_heading = "Test", hide_short_help = true)]
    bin: Option<usize>,
    /// Rows of a block of --null series, instead of (n tau^2)^(1/3) by the lag-one autocorrelation
    #[arg(
        long,
        value_name = "ROWS",
        conflicts_with_all = ["aggregate", "features"],
        help_heading = "Test",
        hide_short_help = true
    )]
    block_length: Option<usize>,
    /// Stop when more permutations cannot change the decision
    #[arg(long, help_heading = "Test", hide_short_help = true)]
    sequential: bool,
    /// Choose the bandwidth with the most power by half of the points, and test with the other half: one of several
    /// given, or of 1/32 to 32 times a rule
    #[arg(long, conflicts_with_all = ["aggregate", "features", "sum"], help_heading = "Kernel", hide_short_help = true)]
    split: bool,
    /// Test with many kernels at once, so that no bandwidth has to be chosen
    #[arg(long, value_name = "HOW", conflicts_with = "kid", help_heading = "Kernel")]
    aggregate: Option<Combine>,
    /// Kernels of --aggregate, each with all bandwidths: those of --bandwidth, or ten between the distances
    #[arg(
        long,
        value_delimiter = ',',
        default_values = ["gaussian", "laplace"],
        value_name = "LIST",
        help_heading = "Kernel",
        hide_short_help = true
    )]
    kernels: Vec<Family>,
    /// Use D random Fourier features instead of the kernel: an approximation, in time linear in the number of points
    #[arg(
        long,
        value_name = "D",
        conflicts_with_all = ["aggregate", "bin", "sequential", "divergence", "kid"],
        help_heading = "Kernel"
    )]
    features: Option<usize>,
    /// Estimate a divergence too: kl, KL(X || Y) in nats by nearest neighbours
    #[arg(
        long,
        value_name = "WHICH",
        conflicts_with = "aggregate",
        help_heading = "Estimates",
        hide_short_help = true
    )]
    divergence: Option<Divergence>,
    #[command(flatten)]
    kid: KidOptions,
    #[command(flatten)]
    verdict: VerdictOptions,
}

/// What `--out` is for.
const PICTURES: &str =
    "Directory for pictures: null.png, and columns.png of the columns that differ the most";

/// Checks of which a user is told how likely a false alarm is: those of a month.
const CHECKS: u32 = 30;

/// A divergence that can be estimated.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Divergence {
    /// Kullback-Leibler, KL(X || Y)
    Kl,
}

/// A test with its settings.
enum Method {
    OneKernel(TwoSampleSettings),
    ManyKernels(AggregateSettings),
    Features(FeatureSettings),
}

/// The JSON result with one kernel.
#[derive(Serialize)]
struct Compared<'a> {
    #[serde(flatten)]
    test: &'a Outcome<TwoSample>,
    #[serde(skip_serializing_if = "Option::is_none")]
    categories: Option<&'a Categories>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<ReferenceFields<'a>>,
    /// KL(X || Y) in nats, if asked for; null where points coincide too often for an estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    kl: Option<Option<&'a Information>>,
    /// The kernel inception distance, if asked for; null where it has no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<Option<&'a Kid>>,
}

/// Both samples, and where the result goes.
struct Pair<'a> {
    samples: [Sample<'a>; 2],
    /// Before their columns were divided.
    unscaled: [Sample<'a>; 2],
    names: [&'a str; 2],
    /// What is to be said of the order of their rows.
    order: Vec<String>,
    report: Report<'a>,
    /// Their categories, or a reference's own kernel, if they have some.
    embedded: Option<&'a Embedded>,
    reference: Option<&'a ReferenceSample>,
}

/// Two samples that were read.
struct Prepared {
    unscaled: [Table; 2],
    /// Their columns on one scale.
    tables: [Table; 2],
    scale: ColumnScale,
    /// With a reference's kernel.
    embedded: Option<Embedded>,
}

/// The reference as JSON.
#[derive(Serialize)]
struct ReferenceFields<'a> {
    name: &'a str,
    rows: usize,
    rows_of_source: usize,
    /// Chance of a rejection in so many checks without a difference.
    false_alarms_in_30: f64,
}

impl Method {
    /// The test with one kernel, whose bandwidth is known; `other` tells of further options that need another.
    fn with_bandwidth(self, bandwidth: f64, family: Option<Family>, other: bool) -> Result<Self> {
        match self {
            Self::OneKernel(settings) if !other => {
                let family = family.unwrap_or(settings.family);
                let bandwidth = match family.without_bandwidth() {
                    true => Bandwidth::default(),
                    false => Bandwidth::Values(vec![bandwidth]),
                };
                Ok(Self::OneKernel(TwoSampleSettings { family, bandwidth, ..settings }))
            }
            _ => Err(Error::usage(
                "categories and references go with one kernel; leave out --aggregate, --features, --split, --kid and --divergence",
            )),
        }
    }
}

impl CompareArgs {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let KernelOptions { common: options, .. } = &self.kernel;
        let method = self.method()?;
        let halved = self.y.is_none().then_some("a random half");
        let kept = options.keeps_order() && halved.is_none();
        check_order(self.draws.null, (!options.keeps_order()).then_some("--points").or(halved))?;
        let reference = self.reference()?;
        let Prepared { unscaled, tables, scale, embedded } = match &reference {
            Some(reference) => self.beside(reference)?,
            None => self.read()?,
        };
        let [x, y] = &unscaled;
        let header = x.header.clone().filter(|_| x.columns > 1).unwrap_or_default();
        let shifts = match &header[..] {
            [] => Vec::new(),
            names => columns::shifts([x.sample(), y.sample()], names, &x.categories),
        };
        let device = options.open()?;
        let embedded = match embedded {
            Some(embedded) => Some(embedded),
            None => {
                let KernelOptions { kernel, bandwidth, .. } = &self.kernel;
                categories::embedded(&device, &tables, *kernel, bandwidth, options.seed)?
            }
        };
        let method = match &embedded {
            None => method,
            Some(Embedded { bandwidth, .. }) => {
                let family = reference.as_ref().map(|reference| reference.about.kernel);
                method.with_bandwidth(
                    *bandwidth,
                    family,
                    self.split || self.kid.is_wanted() || self.divergence.is_some(),
                )?
            }
        };
        let categories = x.categories.clone();
        let unscaled = unscaled.each_ref().map(Table::sample);
        let [x, y] = embedded.as_ref().map_or(&tables, |embedded| &embedded.tables);
        let (samples, names) = ([x.sample(), y.sample()], [&x.name[..], &y.name]);
        let looked_at = kept && self.draws.null != Null::Series;
        let order = if looked_at { self.order(&tables, reference.as_ref()) } else { Vec::new() };
        let report = match method {
            // Features and draws are on the CPU wherever the bandwidth was found.
            Method::Features(_) => Report::on_cpu(options.json, &self.verdict),
            _ => Report::new(&device, options.json, &self.verdict),
        };
        let report = report.scaled(scale).with_shifts(&shifts, self.draws.alpha);
        let report = if reference.is_some() { report.scaled_by_reference() } else { report };
        report.draw_columns(unscaled, &categories, names)?;
        let (embedded, reference) = (embedded.as_ref(), reference.as_ref());
        let compared = Pair { samples, unscaled, names, order, report, embedded, reference };
        match method {
            Method::OneKernel(settings) => self.one_kernel(&device, &compared, &settings),
            Method::ManyKernels(settings) => many_kernels(&device, &compared, &settings),
            Method::Features(settings) => features(&device, &compared, &settings),
        }
    }

    /// Warnings of rows in an order, by the columns of numbers; the rows of a reference may be a random choice.
    fn order(&self, tables: &[Table; 2], reference: Option<&ReferenceSample>) -> Vec<String> {
        let of = |table: &Table| match table.categories.len() {
            0 => table.clone(),
            _ => table.numbers(),
        };
        let [x, y] = tables.each_ref().map(of);
        if y.columns == 0 {
            return Vec::new();
        }
        match reference {
            Some(ReferenceSample { about, table }) if about.rows_of_source > table.rows => {
                order_warnings(&[&y], USE_SERIES)
            }
            _ => order_warnings(&[&x, &y], USE_SERIES),
        }
    }

    /// The samples from their files.
    fn read(&self) -> Result<Prepared> {
        let options = &self.kernel.common;
        let samples = match &self.y {
            Some(y) => options.read_with([&self.x, y], &self.categories)?,
            None => options.read_with([&self.x], &self.categories).map(|[x]| halves(&x, options.seed))?,
        };
        let unscaled = self.kid.encoded(samples, options)?;
        let Rescaled { tables, scale, .. } = options.rescaled(&unscaled, Some(&self.kernel.bandwidth))?;
        Ok(Prepared { unscaled, tables, scale, embedded: None })
    }

    /// The reference, if that is what the first sample is.
    fn reference(&self) -> Result<Option<ReferenceSample>> {
        let path = Path::new(&self.x);
        if path.extension().is_none_or(|ending| ending != reference::ENDING) {
            return Ok(None);
        }
        let reference = ReferenceSample::read(path)?;
        let KernelOptions { kernel, bandwidth, sum, common } = &self.kernel;
        let about = &reference.about;
        let other = *kernel != Family::default() && *kernel != about.kernel;
        let given =
            *bandwidth != Bandwidth::default() || *sum || common.scale().is_some() || common.has_columns();
        let chosen = about.rows_of_source > reference.table.rows;
        check_order(self.draws.null, chosen.then_some("--points of the reference"))?;
        if other || given || !self.categories.is_empty() {
            return Err(Error::usage(
                "a reference has its own columns, kernel, bandwidth, scale and categories; leave these options out, or make \
                 another reference",
            ));
        }
        Ok(Some(reference))
    }

    /// The reference and the new sample.
    fn beside(&self, reference: &ReferenceSample) -> Result<Prepared> {
        let Some(y) = &self.y else {
            return Err(Error::usage("give a new sample beside the reference: elbo compare REFERENCE NEW"));
        };
        let (embedded, unscaled) = reference.with_new(self.kernel.common.read_beside(reference, y)?)?;
        let scale = reference.about.scale;
        let tables = unscaled.clone();
        Ok(Prepared { unscaled, tables, scale, embedded: Some(embedded) })
    }

    /// The test that is asked for, if its settings are possible.
    fn method(&self) -> Result<Method> {
        let KernelOptions { kernel: family, bandwidth, sum, common: options } = &self.kernel;
        let (family, bandwidth, sum) = (*family, bandwidth.clone(), *sum);
        let common = self.draws.common(options.seed, &self.verdict)?;
        if let Some(combine) = self.aggregate {
            let given = bandwidth != Bandwidth::default();
            let bandwidth = given.then_some(bandwidth);
            let settings = AggregateSettings { families: self.kernels.clone(), bandwidth, combine, common };
            settings.check()?;
            Ok(Method::ManyKernels(settings))
        } else if let Some(features) = self.features {
            let settings = FeatureSettings { family, bandwidth, sum, features, common };
            settings.check()?;
            Ok(Method::Features(settings))
        } else {
            let Self { split, bin, block_length, sequential, .. } = *self;
            let settings =
                TwoSampleSettings { family, bandwidth, sum, split, bin, block_length, sequential, common };
            settings.check()?;
            Ok(Method::OneKernel(settings))
        }
    }

    fn one_kernel(
        &self,
        device: &Device,
        &Pair { samples, unscaled, names, ref order, ref report, embedded, reference }: &Pair<'_>,
        settings: &TwoSampleSettings,
    ) -> Result<ExitCode> {
        let seed = settings.common.seed;
        let kl = self.divergence.map(|Divergence::Kl| {
            neighbours::divergence(samples, &NeighbourSettings { seed, ..NeighbourSettings::default() })
        });
        let mut test = watch("comparing", |progress| two_sample(device, samples, settings, progress))?;
        if let Some(Embedded { rule, categories, .. }) = embedded {
            test.found.kernel.bandwidth_rule.clone_from(rule);
            test.found.d -= categories.classes.iter().sum::<usize>() - categories.names.len();
        }
        // The test stands without them.
        let kl =
            kl.map(|kl| kl.map_err(|error| test.warnings.push(format!("no KL divergence: {error}"))).ok());
        let kid = self
            .kid
            .estimate(seed, &mut test.warnings, |settings, progress| kid::kid(unscaled, settings, progress));
        report.warn(&mut test, order)?;
        let wild = settings.common.null == Null::Wild;
        let statistic = match settings.common.null {
            Null::Wild => "MMD² (without pairs of one index)",
            Null::Series => "MMD² (biased)",
            _ => "MMD² (unbiased)",
        };
        let words = words(names, statistic, &test.p);
        report.keep(&test, &words, "null.png")?;
        let compared = Compared {
            test: &test,
            categories: embedded.map(|embedded| &embedded.categories).filter(|found| !found.names.is_empty()),
            reference: reference.map(|ReferenceSample { about, table }| ReferenceFields {
                name: &about.name,
                rows: table.rows,
                rows_of_source: about.rows_of_source,
                false_alarms_in_30: reference::false_alarms(test.p.alpha, CHECKS),
            }),
            kl: kl.as_ref().map(Option::as_ref),
            kid: kid.as_ref().map(Option::as_ref),
        };
        report.end(&compared, Some(test.pairs / test.seconds), test.p.reject, || {
            print(&test, names, &words.decision, wild);
            print_categories(embedded);
            print_reference(reference, test.p.alpha);
            if let Some(Some(kl)) = &kl {
                let nats = nats(kl);
                result(format_args!("KL         {nats}; from X to Y, by nearest neighbours (k = {})", kl.k));
                result("           Biased, the more the higher the dimension, and may be negative: no test.");
            }
            if let Some(Some(kid)) = &kid {
                result(format_args!("KID        {}; {}", kid_text(kid), kid_words(kid)));
            }
        })
    }
}

fn many_kernels(
    device: &Device,
    &Pair { samples, names, ref order, ref report, .. }: &Pair<'_>,
    settings: &AggregateSettings,
) -> Result<ExitCode> {
    let mut test = watch("comparing", |progress| aggregate(device, samples, settings, progress))?;
    report.warn(&mut test, order)?;
    let statistic = match settings.combine {
        Combine::Agg => SMALLEST,
        Combine::Fuse => "soft maximum of normalised MMD²",
    };
    let words = words(names, statistic, &test.p);
    report.keep(&test, &words, "null.png")?;
    report.end(&test, Some(test.pairs / test.seconds), test.p.reject, || {
        let Aggregate { n, m, d, kernels, bandwidth_rule, .. } = &test.found;
        print_samples(names, [*n, *m], *d);
        result(format_args!("bandwidths {bandwidth_rule}"));
        print_rows(&test, kernels, &["kernel", "MMD^2"], "differs", &words.decision);
    })
}

fn features(
    device: &Device,
    &Pair { samples, names, ref order, ref report, .. }: &Pair<'_>,
    settings: &FeatureSettings,
) -> Result<ExitCode> {
    let mut test = watch("comparing", |progress| approximate(device, samples, settings, progress))?;
    report.warn(&mut test, order)?;
    let count = grouped(test.found.features as f64);
    let statistic = format!("MMD² (unbiased, {count} random features)");
    let words = words(names, &statistic, &test.p);
    report.keep(&test, &words, "null.png")?;
    report.end(&test, None, test.p.reject, || print_approximate(&test, names, &words.decision))
}

fn print_categories(embedded: Option<&Embedded>) {
    let Some(Embedded { categories: Categories { names, classes, scale }, .. }) = embedded else { return };
    if names.is_empty() {
        return;
    }
    let each = names.iter().zip(classes).map(|(name, classes)| {
        format!("{name} ({classes} {})", if *classes == 1 { "class" } else { "classes" })
    });
    let each = each.collect::<Vec<_>>().join(", ");
    result(format_args!(
        "categories {each}: each that is unequal multiplies the kernel by exp(-1 / {scale:.2})"
    ));
}

fn print_reference(reference: Option<&ReferenceSample>, alpha: f64) {
    let Some(ReferenceSample { about, table }) = reference else { return };
    let [rows, all] = [table.rows, about.rows_of_source].map(|count| grouped(count as f64));
    result(format_args!("reference  {rows} of {all} rows; kernel and scales are its own"));
    let chance = 100.0 * reference::false_alarms(alpha, CHECKS);
    result(format_args!(
        "           Of {CHECKS} independent checks without a difference, at least one would reject with a chance of {chance:.0} %."
    ));
}

fn words<'a>([x, y]: [&str; 2], statistic: &'a str, p: &PValue) -> Words<'a> {
    let decision = decision(p, "the samples differ", "no difference was found");
    Words { question: format!("Do {x} and {y} differ?"), statistic, decision }
}

fn print(test: &Outcome<TwoSample>, names: [&str; 2], decision: &str, wild: bool) {
    let Outcome { found, p, .. } = test;
    print_samples(names, [found.n, found.m], found.d);
    result(format_args!("kernel     {}", kernel_line(&found.kernel)));
    let interval = found.confidence_interval.map_or(String::new(), |[low, high]| {
        let low = if low == 0.0 { "0".into() } else { format!("{low:.3e}") };
        format!(" ({:.0} % interval {low} to {high:.3e})", 100.0 * (1.0 - p.alpha))
    });
    result(format_args!("MMD^2      {:.4e} unbiased{interval}", found.mmd2_unbiased));
    result(format_args!("           {:.4e} biased, the mean over all pairs", found.mmd2_biased));
    let draws = match (found.bin, &found.blocks) {
        (Some(bin), _) => format!("permutations of bins of {bin} points"),
        (_, Some(blocks)) => permutations_of(blocks),
        _ if wild => "wild bootstrap draws".into(),
        _ => "permutations".into(),
    };
    print_p_value(p, format_args!("{draws} reach the observed value"));
    result(format_args!("decision   {decision}"));
    if found.mmd2_unbiased < 0.0 {
        result(
            "           A negative estimate is no mistake: without a difference, the unbiased estimate scatters \
             around 0.",
        );
    }
    let speed = grouped(test.pairs / test.seconds);
    result(format_args!("time       {:.2} s, {speed} pairs of points a second", test.seconds));
}

fn print_approximate(test: &Outcome<Approximate>, names: [&str; 2], decision: &str) {
    let found = &test.found;
    print_samples(names, [found.n, found.m], found.d);
    result(format_args!("kernel     {}", kernel_line(&found.kernel)));
    result(format_args!(
        "features   {}: an approximation; each kernel value has a standard error of at most {:.2e}",
        grouped(found.features as f64),
        found.kernel_standard_error
    ));
    result(format_args!(
        "MMD^2      {:.4e} +- {:.1e} unbiased, by the features",
        found.mmd2_unbiased, found.mmd2_standard_error
    ));
    result(format_args!("           {:.4e} biased", found.mmd2_biased));
    print_p_value(&test.p, "permutations reach the observed value");
    result(format_args!("decision   {decision}"));
    result(format_args!("time       {:.2} s", test.seconds));
}
