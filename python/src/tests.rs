//! The tests: options of Python to settings of the library, as the commands of `elbo` do it.

use crate::call::{Answer, Found, Progress, complete, device, options, work};
use crate::input::{Reading, Rows, Source, Where, bandwidth, bandwidth_if_given, null};
use elbo::data;
use elbo::data::table::Table;
use elbo::density::{Density, Distribution, ZeroDensity};
use elbo::error::{Error, Result};
use elbo::kernel::pairs::Family;
use elbo::problem::{Digits, Problem};
use elbo::sample::Sample;
use elbo::statistic::aggregate::{self, AggregateSettings, Combine};
use elbo::statistic::closer::{CloserSettings, closer};
use elbo::statistic::columns;
use elbo::statistic::features::{FeatureSettings, approximate};
use elbo::statistic::fit::{FitSettings, NamedModel, better, fit};
use elbo::statistic::gram::{Gram, Request};
use elbo::statistic::independence::{IndependenceSettings, independence};
use elbo::statistic::kid::{self, KidSettings, relative_kid};
use elbo::statistic::neighbours::{self, Information, NeighbourSettings};
use elbo::statistic::p_value::too_few_draws;
use elbo::statistic::power::{Experiment, Rate, TestKind};
use elbo::statistic::tables::{self, Rescaled, THIN, USE_SERIES, order_warnings};
use elbo::statistic::test::{Common, KernelChoice, NamedKernel, Null, Outcome};
use elbo::statistic::two_sample::estimates;
use elbo::statistic::witness::{self as witnesses, Witness};
use elbo::statistic::{Bandwidth, TwoSampleSettings, two_sample};
use numpy::{PyArray1, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Draws under the null.
#[derive(Clone, Copy, Deserialize)]
struct Draws {
    permutations: usize,
    #[serde(deserialize_with = "null")]
    null: Null,
    budget: Option<usize>,
    alpha: f64,
}

impl Draws {
    fn common(self, seed: u64) -> Common {
        let Self { permutations, null, budget, alpha } = self;
        Common { permutations, null, budget, alpha, seed }
    }
}

/// A kernel of two samples.
#[derive(Deserialize)]
struct Kernel {
    #[serde(rename = "kernel")]
    family: Family,
    #[serde(deserialize_with = "bandwidth")]
    bandwidth: Bandwidth,
    #[serde(default)]
    sum: bool,
}

/// Samples of one kind of points, ready to be compared, and what was said on the way.
struct Ready<const N: usize> {
    /// As they were given.
    unscaled: [Table; N],
    rescaled: Rescaled<N>,
    notes: Vec<String>,
}

fn ready<const N: usize>(sources: [Source; N], reading: &Reading, bandwidth: &Bandwidth) -> Result<Ready<N>> {
    let mut read = Vec::with_capacity(N);
    for source in sources {
        read.push(source.table(reading)?);
    }
    let read: [Table; N] = read.try_into().map_err(|_| Error::usage("each sample is read once"))?;
    let (tables, mut notes) = tables::comparable(read)?;
    let mut which = 0..;
    let unscaled =
        tables.map(|table| tables::choice(table, reading.points, reading.seed, which.next().unwrap_or(0)));
    let mut rescaled = tables::rescaled(&unscaled, reading.scale, Some(bandwidth))?;
    notes.append(&mut rescaled.notes);
    Ok(Ready { unscaled, rescaled, notes })
}

/// Warnings of rows in an order, unless they were chosen at random.
fn order_of(tables: &[&Table], reading: &Reading, null: Null, advice: &str) -> Vec<String> {
    if reading.points.is_some() || null == Null::Series { Vec::new() } else { order_warnings(tables, advice) }
}

/// Refuses the series null where rows lost their order.
fn check_order(null: Null, reading: &Reading) -> Result<()> {
    if null == Null::Series && reading.points.is_some() {
        return Err(Error::usage(
            "--null series needs rows in their order, which --points breaks; use another null, or all rows",
        ));
    }
    Ok(())
}

/// A result with KID.
#[derive(Serialize)]
struct WithKid<'a, T, K> {
    #[serde(flatten)]
    test: &'a Outcome<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<Option<K>>,
}

/// A result with an estimate by nearest neighbours beside it.
#[derive(Serialize)]
struct WithInformation<T> {
    #[serde(flatten)]
    result: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    kl: Option<Option<Information>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutual_information: Option<Option<Information>>,
}

/// A divergence that can be estimated.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Divergence {
    Kl,
}

/// KID, if it is asked for, or why there is none.
fn estimate_kid<K>(
    wanted: bool,
    seed: u64,
    warnings: &mut Vec<String>,
    of: impl FnOnce(&KidSettings) -> Result<K>,
) -> Option<Option<K>> {
    let settings = KidSettings { seed, ..KidSettings::default() };
    let kid = wanted.then(|| of(&settings))?;
    Some(kid.map_err(|error| warnings.push(format!("no KID: {error}"))).ok())
}

/// Refuses options of which two are given that exclude each other, as the command line does.
fn exclusive(given: &[(&str, bool, &str, bool)]) -> Result<()> {
    match given.iter().find(|(_, first, _, second)| *first && *second) {
        Some((first, _, second, _)) => {
            Err(Error::usage(format!("--{first} and --{second} do not go together; leave out one")))
        }
        None => Ok(()),
    }
}

#[derive(Deserialize)]
struct MmdOptions {
    #[serde(flatten)]
    kernel: Kernel,
    #[serde(flatten)]
    draws: Draws,
    #[serde(flatten)]
    reading: Reading,
    #[serde(flatten)]
    device: Where,
    aggregate: Option<Combine>,
    kernels: Vec<Family>,
    split: bool,
    features: Option<usize>,
    bin: Option<usize>,
    block_length: Option<usize>,
    sequential: bool,
    kid: bool,
    divergence: Option<Divergence>,
}

impl MmdOptions {
    /// Parameters that exclude each other.
    fn check(&self) -> Result<()> {
        let (aggregate, features) = (self.aggregate.is_some(), self.features.is_some());
        let given = [
            ("aggregate", aggregate, "features", features),
            ("aggregate", aggregate, "split", self.split),
            ("aggregate", aggregate, "kid", self.kid),
            ("aggregate", aggregate, "divergence", self.divergence.is_some()),
            ("features", features, "divergence", self.divergence.is_some()),
            ("aggregate", aggregate, "block-length", self.block_length.is_some()),
            ("features", features, "split", self.split),
            ("features", features, "bin", self.bin.is_some()),
            ("features", features, "block-length", self.block_length.is_some()),
            ("features", features, "sequential", self.sequential),
            ("features", features, "kid", self.kid),
            ("split", self.split, "sum", self.kernel.sum),
        ];
        exclusive(&given)?;
        check_order(self.draws.null, &self.reading)
    }
}

/// Do two samples come from one distribution?
#[pyfunction]
pub(crate) fn mmd_test<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    y: Rows<'py>,
    settings: &Bound<'py, PyDict>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Found<'py>> {
    let wanted: MmdOptions = options(settings)?;
    let sources = [x.source()?, y.source()?];
    work(py, progress, |progress| compare(sources, &wanted, progress))?.found(py)
}

fn compare(sources: [Source; 2], wanted: &MmdOptions, progress: Progress<'_>) -> Result<Answer> {
    wanted.check()?;
    let MmdOptions { kernel, draws, reading, .. } = wanted;
    let (family, bandwidth, sum, seed) = (kernel.family, kernel.bandwidth.clone(), kernel.sum, reading.seed);
    let common = draws.common(seed);
    let Ready { unscaled, rescaled, notes } = ready(sources, reading, &bandwidth)?;
    let Rescaled { tables: [x, y], scale, .. } = &rescaled;
    let columns = match &unscaled[0].header {
        Some(header) if unscaled[0].columns > 1 => {
            columns::shifts(unscaled.each_ref().map(Table::sample), header, &[])
        }
        _ => Vec::new(),
    };
    let order = order_of(&[x, y], reading, draws.null, USE_SERIES);
    let device = device(&wanted.device)?;
    let samples = [x.sample(), y.sample()];
    let beside = (Some(*scale), &columns[..]);
    if let Some(combine) = wanted.aggregate {
        let bandwidth = (bandwidth != Bandwidth::default()).then_some(bandwidth);
        let settings = AggregateSettings { families: wanted.kernels.clone(), bandwidth, combine, common };
        let mut test = aggregate::aggregate(&device, samples, &settings, progress)?;
        complete(&mut test, order);
        return Answer::new(&test, &device, test.draws.clone(), notes, beside);
    }
    if let Some(features) = wanted.features {
        let settings = FeatureSettings { family, bandwidth, sum, features, common };
        let mut test = approximate(&device, samples, &settings, progress)?;
        complete(&mut test, order);
        return Answer::new(&test, &device, test.draws.clone(), notes, beside);
    }
    let &MmdOptions { split, bin, block_length, sequential, .. } = wanted;
    let settings = TwoSampleSettings { family, bandwidth, sum, split, bin, block_length, sequential, common };
    let kl = wanted.divergence.map(|Divergence::Kl| {
        neighbours::divergence(samples, &NeighbourSettings { seed, ..NeighbourSettings::default() })
    });
    let mut test = two_sample(&device, samples, &settings, progress)?;
    // The test stands without it.
    let kl = kl.map(|kl| kl.map_err(|error| test.warnings.push(format!("no KL divergence: {error}"))).ok());
    let kid = estimate_kid(wanted.kid, seed, &mut test.warnings, |settings| {
        kid::kid(unscaled.each_ref().map(Table::sample), settings, progress)
    });
    complete(&mut test, order);
    let draws = test.draws.clone();
    let result = WithInformation { result: WithKid { test: &test, kid }, kl, mutual_information: None };
    Answer::new(&result, &device, draws, notes, beside)
}

#[derive(Deserialize)]
struct HsicOptions {
    kernel: Family,
    kernel_y: Option<Family>,
    #[serde(deserialize_with = "bandwidth")]
    bandwidth: Bandwidth,
    #[serde(default, deserialize_with = "bandwidth_if_given")]
    bandwidth_y: Option<Bandwidth>,
    #[serde(flatten)]
    draws: Draws,
    #[serde(flatten)]
    reading: Reading,
    #[serde(flatten)]
    device: Where,
    aggregate: Option<Combine>,
    block_length: Option<usize>,
    information: bool,
}

/// Do two variables depend on each other?
#[pyfunction]
pub(crate) fn hsic_test<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    y: Rows<'py>,
    settings: &Bound<'py, PyDict>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Found<'py>> {
    let wanted: HsicOptions = options(settings)?;
    let sources = [x.source()?, y.source()?];
    work(py, progress, |progress| relate(sources, &wanted, progress))?.found(py)
}

fn relate(mut sources: [Source; 2], wanted: &HsicOptions, progress: Progress<'_>) -> Result<Answer> {
    let HsicOptions { draws, reading, aggregate, .. } = wanted;
    exclusive(&[
        ("aggregate", aggregate.is_some(), "block-length", wanted.block_length.is_some()),
        ("aggregate", aggregate.is_some(), "information", wanted.information),
    ])?;
    check_order(draws.null, reading)?;
    let families = [wanted.kernel, wanted.kernel_y.unwrap_or(wanted.kernel)];
    let own = [None, wanted.bandwidth_y.as_ref()];
    let bandwidths = [0, 1].map(|which| {
        aggregate::independence::chosen(families[which], own[which], &wanted.bandwidth, aggregate.is_some())
    });
    let settings = IndependenceSettings {
        families,
        bandwidths,
        block_length: wanted.block_length,
        common: draws.common(reading.seed),
    };
    aggregate.map_or(Ok(()), Combine::only_agg)?;
    let labels = families.map(|family| family == Family::Delta);
    for (source, is_label) in sources.iter_mut().zip(labels) {
        // Labels have no brightness.
        source.white = source.white.filter(|_| !is_label);
    }
    let [x, y] = sources;
    let (tables, mut notes) = tables::observed_together([x.table(reading)?, y.table(reading)?])?;
    let mut own = Vec::with_capacity(2);
    for (which, table) in tables.into_iter().enumerate() {
        let table = tables::choice(table, reading.points, reading.seed, 0);
        let scale = if labels[which] { Some(columns::ColumnScale::None) } else { reading.scale };
        let mut rescaled = tables::rescaled(&[table], scale, Some(&settings.bandwidths[which]))?;
        if !labels[which] {
            notes.append(&mut rescaled.notes);
        }
        own.push(rescaled);
    }
    let scale =
        own.iter().map(|rescaled| rescaled.scale).find(|scale| *scale == columns::ColumnScale::Robust);
    let scale = Some(scale.unwrap_or(columns::ColumnScale::None));
    let of = |which: usize| &own[which].tables[0];
    let order = match labels {
        // One dependent variable leaves the level as it is: any order of the other is as likely.
        [false, false] => order_of(&[of(0), of(1)], reading, draws.null, USE_SERIES),
        _ => Vec::new(),
    };
    let order = if order.len() < 2 { Vec::new() } else { order };
    let device = device(&wanted.device)?;
    let samples = [of(0).sample(), of(1).sample()];
    if aggregate.is_some() {
        let mut test = aggregate::independence::aggregate(&device, samples, &settings, progress)?;
        complete(&mut test, order);
        return Answer::new(&test, &device, test.draws.clone(), notes, (scale, &[]));
    }
    let mut test = independence(&device, samples, &settings, progress)?;
    let mutual_information = wanted.information.then(|| {
        let estimate = neighbours::dependence(samples, labels, reading.seed)?;
        estimate.map_err(|error| test.warnings.push(format!("no mutual information: {error}"))).ok()
    });
    complete(&mut test, order);
    let draws = test.draws.clone();
    let result = WithInformation { result: &test, kl: None, mutual_information };
    Answer::new(&result, &device, draws, notes, (scale, &[]))
}

#[derive(Deserialize)]
struct KsdOptions {
    #[serde(flatten)]
    kernel: Kernel,
    #[serde(flatten)]
    draws: Draws,
    #[serde(flatten)]
    reading: Reading,
    #[serde(flatten)]
    device: Where,
    aggregate: Option<Combine>,
    split: bool,
}

/// A model as Python gives it.
#[derive(FromPyObject)]
pub(crate) enum Model {
    /// JSON of a family, or `gaussian:K`.
    #[pyo3(transparent)]
    Text(String),
    /// Scores, or a function that gives them.
    #[pyo3(transparent)]
    Scores(Py<PyAny>),
}

/// Scores at the points of one sample.
#[derive(Debug)]
struct ScoresAtPoints {
    d: usize,
    /// Which row has a point.
    rows: HashMap<Box<[u64]>, usize>,
    scores: Vec<f64>,
}

impl ScoresAtPoints {
    fn new(sample: Sample<'_>, scores: Vec<f64>) -> Self {
        let rows = (0..sample.len()).map(|row| (bits(sample.point(row)), row)).collect();
        Self { d: sample.d, rows, scores }
    }
}

fn bits(point: &[f64]) -> Box<[u64]> {
    point.iter().map(|value| value.to_bits()).collect()
}

impl Density for ScoresAtPoints {
    fn dimension(&self) -> usize {
        self.d
    }

    fn score(&self, x: &[f64], out: &mut [f64]) -> std::result::Result<(), ZeroDensity> {
        let row = self.rows.get(&bits(x)).ok_or(ZeroDensity)?;
        out.copy_from_slice(&self.scores[row * self.d..][..self.d]);
        Ok(())
    }
}

/// The witness function's kernel, values and sentences.
type Witnessed<'py> = (Bound<'py, PyAny>, Vec<Bound<'py, PyArray1<f64>>>, Vec<String>);

/// Results of models, how the two compare, and sentences.
type Fits<'py> =
    (Vec<(Bound<'py, PyAny>, Bound<'py, PyArray1<f64>>)>, Option<Bound<'py, PyAny>>, Vec<String>);

/// Does a sample come from a model? Models with their names.
#[pyfunction]
pub(crate) fn ksd_test<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    models: Vec<(String, Model)>,
    settings: &Bound<'py, PyDict>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Fits<'py>> {
    let wanted: KsdOptions = options(settings)?;
    let reading = &wanted.reading;
    let source = x.source()?;
    let (table, notes) = work(py, None, |_| {
        let ([table], notes) = tables::comparable([source.table(reading)?])?;
        let whole = table.rows;
        Ok((tables::choice(table, reading.points, reading.seed, 0), notes, whole))
    })
    .map(|(table, notes, whole)| ((table, whole), notes))?;
    let (table, whole) = table;
    let mut named = Vec::with_capacity(models.len());
    let mut fitted = vec![None; models.len()];
    for (name, model) in models {
        named.push(match model {
            Model::Text(text) if text.starts_with('{') => {
                let model: Distribution = text.parse().map_err(crate::call::raised)?;
                NamedModel::new(name, model.into_density())
            }
            Model::Text(text) => {
                let (model, sentence) =
                    work(py, None, |_| NamedModel::fitted(&text, table.sample(), reading.seed))?;
                fitted[named.len()] = Some(sentence);
                model
            }
            Model::Scores(scores) => {
                let moved = table.rows < whole || !table.left_out.is_empty();
                let scores = scores_at(py, &table, scores.bind(py), moved)?;
                NamedModel::new(name, Box::new(ScoresAtPoints::new(table.sample(), scores)))
            }
        });
    }
    let (answers, relative) = work(py, progress, |progress| fits(&table, &named, &wanted, progress))?;
    let mut found = Vec::with_capacity(answers.len());
    for (answer, fitted) in answers.into_iter().zip(fitted) {
        let (fields, draws, _) = answer.found(py)?;
        fields.set_item("fitted", fitted)?;
        found.push((fields, draws));
    }
    let relative = relative.map(|relative| pythonize::pythonize(py, &relative)).transpose()?;
    Ok((found, relative, notes))
}

/// Scores `(n, d)` at the points of a table: as given, or of a function.
fn scores_at(py: Python<'_>, table: &Table, scores: &Bound<'_, PyAny>, moved: bool) -> PyResult<Vec<f64>> {
    let array = if scores.is_callable() {
        let points = PyArray1::from_slice(py, &table.values).reshape([table.rows, table.columns])?;
        scores.call1((points,))?
    } else if moved {
        return Err(PyValueError::new_err(
            "scores are those of all points, but some rows are left out; give a function from points to scores",
        ));
    } else {
        scores.clone()
    };
    let array = array.cast_into::<PyArrayDyn<f64>>()?;
    if array.len() != table.values.len() || array.shape()[0] != table.rows {
        let problem = format!(
            "the scores have shape {:?}, but there are {} points of {} coordinates; give the gradient of ln p at each point",
            array.shape(),
            table.rows,
            table.columns
        );
        return Err(PyValueError::new_err(problem));
    }
    let values = array.readonly().as_slice()?.to_vec();
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(place) => Err(PyValueError::new_err(format!(
            "the score at row {} (counted from 0) is {}; scores must be finite",
            place / table.columns,
            values[place]
        ))),
    }
}

fn fits(
    table: &Table,
    models: &[NamedModel],
    wanted: &KsdOptions,
    progress: Progress<'_>,
) -> Result<(Vec<Answer>, Option<serde_json::Value>)> {
    let KsdOptions { kernel, draws, reading, aggregate, split, .. } = wanted;
    exclusive(&[("aggregate", aggregate.is_some(), "split", *split)])?;
    if models.len() > 1 && *split {
        return Err(Error::usage(
            "--split would choose another bandwidth for each model, and they could not be compared; give one model",
        ));
    }
    if models.len() > 1 && draws.budget.is_some() {
        return Err(Error::usage(
            "two models are compared by all pairs; leave out --budget, or give one model",
        ));
    }
    let bandwidth = match aggregate {
        Some(_) if kernel.bandwidth == Bandwidth::default() => aggregate::fit::bandwidths(),
        _ => kernel.bandwidth.clone(),
    };
    aggregate.map_or(Ok(()), Combine::only_agg)?;
    let common = draws.common(reading.seed);
    let settings = FitSettings { family: kernel.family, bandwidth, split: *split, common };
    let device = device(&wanted.device)?;
    let mut order = order_of(&[table], reading, draws.null, THIN);
    let (mut answers, mut tests) = (Vec::new(), Vec::new());
    for (index, model) in models.iter().enumerate() {
        let refit = model.refit();
        let candidate = model.candidate(refit.as_deref());
        let mut part = |done: f64| progress((index as f64 + done) / models.len() as f64);
        let mut own: Vec<String> = model.collapsed.iter().cloned().collect();
        if refit.is_some() && draws.null == Null::Wild {
            own.push(format!(
                "{} was fitted to this sample, so its p-value is too large; --null parametric mends that",
                model.name
            ));
        }
        own.append(&mut order);
        if aggregate.is_some() {
            let mut test =
                aggregate::fit::aggregate(&device, table.sample(), candidate, &settings, &mut part)?;
            complete(&mut test, own);
            answers.push(Answer::new(&test, &device, test.draws.clone(), Vec::new(), (None, &[]))?);
        } else {
            let mut test = fit(&device, table.sample(), candidate, &settings, &mut part)?;
            complete(&mut test, own);
            answers.push(Answer::new(&test, &device, test.draws.clone(), Vec::new(), (None, &[]))?);
            tests.push(test);
        }
    }
    let relative = match &tests[..] {
        [a, b] => Some(crate::call::json(&better([a, b], draws.alpha)?)?),
        _ => None,
    };
    Ok((answers, relative))
}

#[derive(Deserialize)]
struct CloserOptions {
    #[serde(flatten)]
    kernel: Kernel,
    alpha: f64,
    kid: bool,
    #[serde(flatten)]
    reading: Reading,
    #[serde(flatten)]
    device: Where,
}

/// Which of two samples is closer to a real one?
#[pyfunction]
pub(crate) fn closer_test<'py>(
    py: Python<'py>,
    real: Rows<'py>,
    a: Rows<'py>,
    b: Rows<'py>,
    settings: &Bound<'py, PyDict>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Found<'py>> {
    let wanted: CloserOptions = options(settings)?;
    let sources = [real.source()?, a.source()?, b.source()?];
    let answer = work(py, progress, |progress| {
        let CloserOptions { kernel, reading, alpha, .. } = &wanted;
        let (bandwidth, seed) = (kernel.bandwidth.clone(), reading.seed);
        let Ready { unscaled, rescaled, notes } = ready(sources, reading, &bandwidth)?;
        let Rescaled { tables: [real, a, b], scale, .. } = &rescaled;
        let order = order_of(&[real, a, b], reading, Null::Exact, THIN);
        let device = device(&wanted.device)?;
        let settings = CloserSettings { family: kernel.family, bandwidth, alpha: *alpha, seed };
        let samples = [real.sample(), a.sample(), b.sample()];
        let mut test = closer(&device, samples, &settings, progress)?;
        let kid = estimate_kid(wanted.kid, seed, &mut test.warnings, |settings| {
            relative_kid(unscaled.each_ref().map(Table::sample), settings, progress)
        });
        complete(&mut test, order);
        let draws = test.draws.clone();
        Answer::new(&WithKid { test: &test, kid }, &device, draws, notes, (Some(*scale), &[]))
    })?;
    answer.found(py)
}

/// Two samples or one with a kernel, without a test.
#[derive(Deserialize)]
struct KernelOptions {
    #[serde(flatten)]
    kernel: Kernel,
    #[serde(flatten)]
    reading: Reading,
    #[serde(flatten)]
    device: Where,
}

/// The witness function at the points of x and y, and at others; and the kernel.
#[pyfunction]
pub(crate) fn witness<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    y: Rows<'py>,
    at: Option<Rows<'py>>,
    settings: &Bound<'py, PyDict>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Witnessed<'py>> {
    let wanted: KernelOptions = options(settings)?;
    let mut sources = vec![x.source()?, y.source()?];
    if let Some(at) = at {
        sources.push(at.source()?);
    }
    let (kernel, values, notes) = work(py, progress, |progress| {
        let KernelOptions { kernel, reading, device: wanted } = &wanted;
        let mut sources = sources.into_iter();
        let mut next = || sources.next().ok_or_else(|| Error::usage("give two samples"));
        let ready = ready([next()?, next()?], reading, &kernel.bandwidth)?;
        let Rescaled { tables: [x, y], units, .. } = &ready.rescaled;
        let samples = [x.sample(), y.sample()];
        let device = device(wanted)?;
        let resolved =
            kernel.bandwidth.resolve(&device, samples, kernel.family, !kernel.sum, reading.seed)?;
        let Witness { values: [at_x, at_y], warnings } =
            witnesses::at_samples(&device, samples, &resolved.kernel, progress)?;
        let mut values = vec![at_x, at_y];
        let mut notes = [ready.notes, resolved.warnings.clone(), warnings].concat();
        if let Ok(at) = next() {
            let ([_, mut at], more) = tables::comparable([ready.unscaled[0].clone(), at.table(reading)?])?;
            notes.extend(more.into_iter().filter(|note| !notes.contains(note)).collect::<Vec<_>>());
            if units.len() != at.columns {
                return Err(Error::usage(
                    "columns that are constant were left out; leave them out of all samples",
                ));
            }
            let width = units.len();
            at.values.chunks_exact_mut(width).for_each(|row| {
                row.iter_mut().zip(units).for_each(|(value, unit)| *value /= unit);
            });
            values.push(witnesses::at(&device, samples, &resolved.kernel, at.sample(), progress)?);
        }
        Ok((crate::call::json(&NamedKernel::from(&resolved))?, values, notes))
    })?;
    let values = values.iter().map(|values| PyArray1::from_slice(py, values)).collect();
    Ok((pythonize::pythonize(py, &kernel)?, values, notes))
}

/// The unbiased and the biased estimate of MMD^2.
#[pyfunction]
pub(crate) fn mmd2<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    y: Rows<'py>,
    settings: &Bound<'py, PyDict>,
) -> PyResult<([f64; 2], Vec<String>)> {
    let wanted: KernelOptions = options(settings)?;
    let sources = [x.source()?, y.source()?];
    work(py, None, |progress| {
        let KernelOptions { kernel, reading, device: wanted } = &wanted;
        let Ready { rescaled: Rescaled { tables: [x, y], .. }, mut notes, .. } =
            ready(sources, reading, &kernel.bandwidth)?;
        let samples = [x.sample(), y.sample()];
        elbo::statistic::two_sample::check_samples(samples)?;
        let device = device(wanted)?;
        let resolved =
            kernel.bandwidth.resolve(&device, samples, kernel.family, !kernel.sum, reading.seed)?;
        let gram = Gram::new(&device, samples, &resolved.kernel, &Request::Squares, false, progress)?;
        let found = estimates(&gram, &resolved.kernel);
        notes.extend(resolved.warnings);
        notes.extend(gram.warning());
        Ok(([found.unbiased, found.biased].map(|value| value * gram.unit), notes))
    })
}

/// The bandwidth of a rule.
#[pyfunction]
pub(crate) fn median_bandwidth<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    y: Option<Rows<'py>>,
    settings: &Bound<'py, PyDict>,
) -> PyResult<(f64, Vec<String>)> {
    let wanted: KernelOptions = options(settings)?;
    let x = x.source()?;
    let y = y.map(Rows::source).transpose()?;
    work(py, None, |_| {
        let KernelOptions { kernel, reading, device: wanted } = &wanted;
        let (tables, mut notes) = match y {
            Some(y) => {
                ready([x, y], reading, &kernel.bandwidth).map(|r| (r.rescaled.tables.to_vec(), r.notes))?
            }
            None => ready([x], reading, &kernel.bandwidth).map(|r| (r.rescaled.tables.to_vec(), r.notes))?,
        };
        let first = tables[0].sample();
        let second = tables.get(1).map_or(first.first(0), Table::sample);
        let device = device(wanted)?;
        let resolved =
            kernel.bandwidth.resolve(&device, [first, second], kernel.family, true, reading.seed)?;
        notes.extend(resolved.warnings);
        Ok((resolved.kernel.bandwidths[0], notes))
    })
}

#[derive(Deserialize)]
struct PowerOptions {
    problem: Problem,
    parameters: Option<Vec<f64>>,
    test: Option<String>,
    n: usize,
    m: Option<usize>,
    repetitions: u32,
    permutations: usize,
    alpha: f64,
    kernels: Vec<Family>,
    #[serde(default, deserialize_with = "bandwidth_if_given")]
    bandwidth: Option<Bandwidth>,
    data: Option<String>,
    seed: u64,
    #[serde(flatten)]
    device: Where,
}

/// How often does a test find what is there?
#[pyfunction]
pub(crate) fn power<'py>(
    py: Python<'py>,
    settings: &Bound<'py, PyDict>,
    progress: Option<Py<PyAny>>,
) -> PyResult<(Bound<'py, PyAny>, Vec<String>)> {
    let wanted: PowerOptions = options(settings)?;
    let (rates, notes) = work(py, progress, |progress| repeat(&wanted, progress))?;
    Ok((pythonize::pythonize(py, &rates)?, notes))
}

fn repeat(wanted: &PowerOptions, progress: Progress<'_>) -> Result<(Vec<Rate>, Vec<String>)> {
    let &PowerOptions { problem, n, m, repetitions, permutations, alpha, seed, .. } = wanted;
    let named = |name: &String| {
        TestKind::named(name)
            .ok_or_else(|| Error::usage(format!("there is no test `{name}`; use mmd, agg or another")))
    };
    let (kind, sizes) = TestKind::for_problem(problem, wanted.test.as_ref().map(named).transpose()?, n, m)?;
    if repetitions == 0 {
        return Err(Error::usage("no repetition shows nothing; give at least one of `repetitions`"));
    }
    let parameters = wanted.parameters.clone().unwrap_or_else(|| problem.defaults().to_vec());
    parameters.iter().try_for_each(|&parameter| problem.check(parameter))?;
    let (kernels, bandwidth) = (wanted.kernels.clone(), wanted.bandwidth.clone());
    let test = kind.test(&KernelChoice { kernels, bandwidth, permutations, alpha })?;
    let digits = match (&wanted.data, problem.needs_digits()) {
        (None, true) => {
            return Err(Error::usage(
                "this problem is made of images of digits; give `data` a directory with MNIST's files",
            ));
        }
        (None, false) => None,
        (Some(_), false) => {
            return Err(Error::usage("this problem is not made of images; leave out `data`"));
        }
        (Some(name), true) => {
            let data = data::load(name, 0, None)?;
            Some(Digits::new(&[&data.train, &data.test])?)
        }
    };
    let device = device(&wanted.device)?;
    let experiment = Experiment { problem, test, sizes, seed, digits };
    let rates = Rate::of(&experiment, &device, &parameters, repetitions, progress)?;
    Ok((rates, too_few_draws(permutations, alpha).into_iter().collect()))
}
