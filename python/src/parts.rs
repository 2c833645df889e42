//! Tests whose points are in many places: plans, sums of parts, results.

use crate::call::{Answer, Found, device, json, options, raised, work};
use crate::input::{Reading, Rows, Where, bandwidth};
use elbo::kernel::pairs::Family;
use elbo::statistic::Bandwidth;
use elbo::statistic::features::{FeaturePlan, FeatureSettings, FeatureSums};
use elbo::statistic::test::{Common, Null};
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
    let test = plan.result(&sums, Instant::now()).map_err(raised)?;
    let cpu = elbo::engine::Device::open(elbo::engine::Choice::Cpu, None).map_err(raised)?;
    let draws = test.draws.clone();
    Answer::new(&test, &cpu, draws, Vec::new(), (None, &[])).map_err(raised)?.found(py)
}
