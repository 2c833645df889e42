//! Tests whose points are in many places: plans, sums of parts, results.

use crate::call::{Answer, Found, complete, device, json, options, raised, work};
use crate::input::{Reading, Rows, Where, bandwidth, bandwidth_if_given, null};
use elbo::density::{Distribution, Scored};
use elbo::kernel::pairs::{Family, Form};
use elbo::statistic::Bandwidth;
use elbo::statistic::TwoSampleSettings;
use elbo::statistic::features::{FeaturePlan, FeatureSettings, FeatureSums};
use elbo::statistic::fit::FitSettings;
use elbo::statistic::gram::Gram;
use elbo::statistic::independence::{self, IndependenceSettings};
use elbo::statistic::test::{Common, Null};
use elbo::statistic::tiles::{PlacedRows, RowOrder, TileOfPairs, TilePlan, TileSums};
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::Deserialize;
use std::time::Instant;

/// The rows, of all of x and then y, that a plan is made of.
#[pyfunction]
pub(crate) fn rows_of_rules(py: Python<'_>, total: usize, seed: u64) -> Bound<'_, PyArray1<u32>> {
    PyArray1::from_vec(py, elbo::statistic::bandwidth::rows_of_rules(total, seed))
}

#[derive(Deserialize)]
struct PlanOptions {
    kernel: Family,
    #[serde(deserialize_with = "bandwidth")]
    bandwidth: Bandwidth,
    sum: bool,
    features: usize,
    permutations: usize,
    alpha: f64,
    #[serde(flatten)]
    reading: Reading,
    #[serde(flatten)]
    device: Where,
}

/// The plan of a test with random features, from the rows of [`rows_of_rules`] and the numbers of all rows.
#[pyfunction]
pub(crate) fn feature_plan<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    counts: [usize; 2],
    settings: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let wanted: PlanOptions = options(settings)?;
    let source = x.source()?;
    let plan = work(py, None, |_| {
        let table = source.table(&wanted.reading)?;
        let PlanOptions { kernel, bandwidth, sum, features, permutations, alpha, .. } = wanted;
        let seed = wanted.reading.seed;
        let common = Common { permutations, alpha, seed, null: Null::Exact, budget: None };
        let settings = FeatureSettings { family: kernel, bandwidth, sum, features, common };
        let device = device(&wanted.device)?;
        json(&FeaturePlan::new(&device, table.sample(), counts, &settings)?)
    })?;
    Ok(pythonize::pythonize(py, &plan)?)
}

/// How many points some draws have still to choose where parts begin: `(edges, draws)`.
#[pyfunction]
pub(crate) fn still_to_choose<'py>(
    py: Python<'py>,
    plan: &Bound<'py, PyDict>,
    edges: Vec<usize>,
    draws: (usize, usize),
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let plan: FeaturePlan = options(plan)?;
    let count = edges.len();
    if !edges.is_sorted() {
        return Err(PyValueError::new_err("edges must rise"));
    }
    let still = work(py, None, |_| Ok(plan.still_to_choose(&edges, draws.0..draws.1)))?;
    let still = still.into_iter().map(|needed| needed as u64).collect();
    PyArray1::from_vec(py, still).reshape([count, draws.1 - draws.0])
}

/// Sums over the points that each draw calls x, and over all.
type Sums<'py> = (Bound<'py, PyArray2<f64>>, Bound<'py, PyArray1<f64>>);

/// Sums of a part: over the points that each draw calls x, `(draws, 2 D)`, and over all, `(2 D)`.
#[pyfunction]
pub(crate) fn feature_sums<'py>(
    py: Python<'py>,
    plan: &Bound<'py, PyDict>,
    x: Rows<'py>,
    first: usize,
    still: PyReadonlyArray1<'py, u64>,
) -> PyResult<Sums<'py>> {
    let plan: FeaturePlan = options(plan)?;
    let still: Vec<usize> = still.as_slice()?.iter().map(|&needed| needed as usize).collect();
    let draws = plan.draws();
    if still.len() != draws {
        return Err(PyValueError::new_err("`still` has a number for each draw and what was observed"));
    }
    let source = x.source()?;
    let FeatureSums { chosen, all } = work(py, None, |_| {
        let table = source.table(&Reading::plain(plan.seed))?;
        plan.sums(table.sample(), first, &still)
    })?;
    Ok((PyArray1::from_vec(py, chosen).reshape([draws, all.len()])?, PyArray1::from_vec(py, all)))
}

/// The result from the sums of all points.
#[pyfunction]
pub(crate) fn feature_result<'py>(
    py: Python<'py>,
    plan: &Bound<'py, PyDict>,
    chosen: PyReadonlyArray2<'py, f64>,
    all: PyReadonlyArray1<'py, f64>,
) -> PyResult<Found<'py>> {
    let plan: FeaturePlan = options(plan)?;
    let sums = FeatureSums { chosen: chosen.as_slice()?.to_vec(), all: all.as_slice()?.to_vec() };
    let mut test = plan.result(&sums, Instant::now()).map_err(raised)?;
    complete(&mut test, Vec::new());
    let cpu = elbo::engine::Device::open(elbo::engine::Choice::Cpu, None).map_err(raised)?;
    let draws = test.draws.clone();
    Answer::new(&test, &cpu, draws, Vec::new(), (None, &[])).map_err(raised)?.found(py)
}

#[derive(Deserialize)]
struct TileOptions {
    kernel: Family,
    #[serde(deserialize_with = "bandwidth")]
    bandwidth: Bandwidth,
    sum: bool,
    #[serde(deserialize_with = "null")]
    null: Null,
    bin: Option<usize>,
    permutations: usize,
    alpha: f64,
    seed: u64,
    #[serde(flatten)]
    device: Where,
}

impl TileOptions {
    fn settings(&self) -> TwoSampleSettings {
        let &Self { kernel: family, sum, null, bin, permutations, alpha, seed, .. } = self;
        let common = Common { permutations, null, budget: None, alpha, seed };
        TwoSampleSettings {
            family,
            bandwidth: self.bandwidth.clone(),
            sum,
            bin,
            common,
            ..Default::default()
        }
    }
}

/// Points of a bin, the rows of x and of y in the order in which parts take them, and warnings.
type Ordered<'py> = (Option<usize>, Bound<'py, PyArray1<usize>>, Bound<'py, PyArray1<usize>>, Vec<String>);

/// Which rows a test over all pairs takes, in which order.
#[pyfunction]
pub(crate) fn tile_order<'py>(
    py: Python<'py>,
    counts: [usize; 2],
    settings: &Bound<'py, PyDict>,
) -> PyResult<Ordered<'py>> {
    let wanted: TileOptions = options(settings)?;
    let RowOrder { bin, rows: [x, y], warnings } =
        RowOrder::new(counts, &wanted.settings()).map_err(raised)?;
    Ok((bin, PyArray1::from_vec(py, x), PyArray1::from_vec(py, y), warnings))
}

/// The plan of a two-sample test over all pairs, from the rows of [`rows_of_rules`] of those of [`tile_order`].
#[pyfunction]
pub(crate) fn tile_plan<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    counts: [usize; 2],
    bin: Option<usize>,
    settings: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let wanted: TileOptions = options(settings)?;
    let source = x.source()?;
    let plan = work(py, None, |_| {
        let table = source.table(&Reading::plain(wanted.seed))?;
        let device = device(&wanted.device)?;
        json(&TilePlan::two_sample(&device, table.sample(), counts, bin, &wanted.settings())?)
    })?;
    Ok(pythonize::pythonize(py, &plan)?)
}

#[derive(Deserialize)]
struct SignOptions {
    kernel: Family,
    kernel_y: Option<Family>,
    #[serde(deserialize_with = "bandwidth")]
    bandwidth: Bandwidth,
    #[serde(default, deserialize_with = "bandwidth_if_given")]
    bandwidth_y: Option<Bandwidth>,
    permutations: usize,
    alpha: f64,
    seed: u64,
    #[serde(flatten)]
    device: Where,
}

impl SignOptions {
    fn common(&self) -> Common {
        let &Self { permutations, alpha, seed, .. } = self;
        Common { permutations, null: Null::Wild, budget: None, alpha, seed }
    }
}

/// The rows of an independence test in the order in which they make items.
#[pyfunction]
pub(crate) fn order_of_items(py: Python<'_>, n: usize, seed: u64) -> Bound<'_, PyArray1<usize>> {
    PyArray1::from_vec(py, independence::order_of_items(n, seed))
}

/// The plan of an independence test of n rows, from those of [`rows_of_rules`].
#[pyfunction]
pub(crate) fn independence_plan<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    y: Rows<'py>,
    n: usize,
    settings: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let wanted: SignOptions = options(settings)?;
    let sources = [x.source()?, y.source()?];
    let plan = work(py, None, |_| {
        let [x, y] = sources.map(|source| source.table(&Reading::plain(wanted.seed)));
        let (x, y) = (x?, y?);
        let families = [wanted.kernel, wanted.kernel_y.unwrap_or(wanted.kernel)];
        let own = [Some(&wanted.bandwidth), wanted.bandwidth_y.as_ref()];
        let bandwidths = [0, 1].map(|which| {
            elbo::statistic::aggregate::independence::chosen(
                families[which],
                own[which],
                &wanted.bandwidth,
                false,
            )
        });
        let settings =
            IndependenceSettings { families, bandwidths, block_length: None, common: wanted.common() };
        let device = device(&wanted.device)?;
        json(&TilePlan::independence(&device, [x.sample(), y.sample()], n, &settings)?)
    })?;
    Ok(pythonize::pythonize(py, &plan)?)
}

/// The plan of a test of fit by n points, from those of [`rows_of_rules`].
#[pyfunction]
pub(crate) fn fit_plan<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    n: usize,
    name: &str,
    settings: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let wanted: SignOptions = options(settings)?;
    let source = x.source()?;
    let plan = work(py, None, |_| {
        let table = source.table(&Reading::plain(wanted.seed))?;
        let (family, bandwidth) = (wanted.kernel, wanted.bandwidth.clone());
        let settings = FitSettings { family, bandwidth, split: false, common: wanted.common() };
        let device = device(&wanted.device)?;
        json(&TilePlan::fit(&device, table.sample(), n, name, &settings)?)
    })?;
    Ok(pythonize::pythonize(py, &plan)?)
}

/// Points in a model's coordinates, and the model's scores there: `(n, 2 d)`. The model is the JSON of a family.
#[pyfunction]
pub(crate) fn scored<'py>(py: Python<'py>, x: Rows<'py>, model: &str) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let model: Distribution = model.parse().map_err(raised)?;
    let source = x.source()?;
    let (items, d) = work(py, None, |_| {
        let table = source.table(&Reading::plain(0))?;
        let Scored { d, points, scores } = Scored::new(&*model.into_density(), table.sample())?;
        let rows = points.chunks_exact(d).zip(scores.chunks_exact(d));
        Ok((rows.flat_map(|(x, s)| [x, s].concat()).collect::<Vec<f64>>(), d))
    })?;
    let count = items.len() / (2 * d);
    PyArray1::from_vec(py, items).reshape([count, 2 * d])
}

/// A part of a sample: its items, 0 for x or 1 for y, the number of its first item, and its labels.
type PlacedPart<'py> = (Rows<'py>, usize, usize, PyReadonlyArray1<'py, u32>);

/// The sums of a tile: items of both parts, sums of k and of k^2 of each, forms, bins, the diagonal; pairs, the unit, whether
/// in f64.
type Tile<'py> = (
    [usize; 2],
    Bound<'py, PyArray2<f64>>,
    Bound<'py, PyArray2<f64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<f64>>,
    (f64, f64, bool),
);

/// The sums of the pairs of items of two parts, or of one.
#[pyfunction]
pub(crate) fn tile<'py>(
    py: Python<'py>,
    plan: &Bound<'py, PyDict>,
    rows: PlacedPart<'py>,
    columns: Option<PlacedPart<'py>>,
    place: &Bound<'py, PyDict>,
) -> PyResult<Tile<'py>> {
    let plan: TilePlan = options(plan)?;
    let place: Where = options(place)?;
    let mut parts = Vec::new();
    for (rows, which, first, labels) in [Some(rows), columns].into_iter().flatten() {
        parts.push((rows.source()?, which, first, labels.as_slice()?.to_vec()));
    }
    let TileOfPairs { gram, diagonal } = work(py, None, |progress| {
        let mut tables = Vec::new();
        for (source, which, first, labels) in parts {
            tables.push((source.table(&Reading::plain(plan.seed))?, which, first, labels));
        }
        let mut parts = tables.iter().map(|(table, which, first, labels)| PlacedRows {
            which: *which,
            first: *first,
            items: table.sample(),
            labels,
        });
        let rows = parts.next().ok_or_else(|| elbo::error::Error::usage("a tile has a part"))?;
        plan.tile(&*device(&place)?, rows, parts.next(), progress)
    })?;
    let pairs = |sums: Vec<[f64; 2]>| {
        let count = sums.len();
        PyArray1::from_vec(py, sums.into_flattened()).reshape([count, 2])
    };
    let Gram { counts, k, k2, forms, bins, evaluations, unit, precise, .. } = gram;
    let [forms, bins, diagonal] = [forms, bins, diagonal].map(|sums| PyArray1::from_vec(py, sums));
    Ok((counts, pairs(k)?, pairs(k2)?, forms, bins, diagonal, (evaluations, unit, precise)))
}

/// The sums of tiles, added up.
#[pyclass(name = "TileSums")]
pub(crate) struct AddedTiles(TileSums);

/// A tile as it comes back.
type Returned<'py> = (
    [usize; 2],
    PyReadonlyArray2<'py, f64>,
    PyReadonlyArray2<'py, f64>,
    PyReadonlyArray1<'py, f64>,
    PyReadonlyArray1<'py, f64>,
    PyReadonlyArray1<'py, f64>,
    (f64, f64, bool),
);

#[pymethods]
impl AddedTiles {
    #[new]
    fn new(py: Python<'_>, plan: &Bound<'_, PyDict>) -> PyResult<Self> {
        let plan: TilePlan = options(plan)?;
        Ok(Self(work(py, None, |_| Ok(TileSums::new(plan)))?))
    }

    /// The labels of items of a sample.
    fn labels<'py>(
        &self,
        py: Python<'py>,
        which: usize,
        first: usize,
        last: usize,
    ) -> Bound<'py, PyArray1<u32>> {
        PyArray1::from_vec(py, self.0.labels(which, first..last))
    }

    /// Adds a tile of parts of a sample, 0 for x and 1 for y, from an item on.
    fn add(
        &mut self,
        rows: (usize, usize),
        columns: Option<(usize, usize)>,
        tile: Returned<'_>,
    ) -> PyResult<()> {
        let (counts, k, k2, forms, bins, diagonal, (evaluations, unit, precise)) = tile;
        let pairs = |sums: PyReadonlyArray2<'_, f64>| -> PyResult<Vec<[f64; 2]>> {
            Ok(sums.as_slice()?.chunks_exact(2).map(|sums| [sums[0], sums[1]]).collect())
        };
        let (forms, bins) = (forms.as_slice()?.to_vec(), bins.as_slice()?.to_vec());
        let (k, k2, form, bytes) = (pairs(k)?, pairs(k2)?, Form::Differences, 0);
        let gram = Gram { counts, k, k2, forms, bins, evaluations, form, bytes, unit, precise };
        let diagonal = diagonal.as_slice()?.to_vec();
        self.0.add(rows, columns, TileOfPairs { gram, diagonal }).map_err(raised)
    }

    /// The result of all tiles.
    fn result<'py>(&self, py: Python<'py>) -> PyResult<Found<'py>> {
        let test = work(py, None, |_| self.0.outcome(Instant::now()))?;
        let cpu = elbo::engine::Device::open(elbo::engine::Choice::Cpu, None).map_err(raised)?;
        let draws = test.draws().to_vec();
        Answer::new(&test, &cpu, draws, Vec::new(), (None, &[])).map_err(raised)?.found(py)
    }
}
