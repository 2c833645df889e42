//! Calls of the engine: devices, Ctrl-C, progress, errors, results.

use crate::input::Where;
use elbo::engine::{Choice, Device, Info, gpu};
use elbo::error::{Error, Kind, Result};
use elbo::statistic::Outcome;
use elbo::statistic::columns::{ColumnScale, ColumnShift};
use numpy::PyArray1;
use pyo3::exceptions::{PyArithmeticError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

/// Devices by choice and adapter.
type Devices = HashMap<(String, Option<String>), Arc<Device>>;

/// Devices stay open: opening one takes longer than many a test.
static DEVICES: LazyLock<Mutex<Devices>> = LazyLock::new(Mutex::default);

/// The process in which threads and devices were started.
static PROCESS: OnceLock<u32> = OnceLock::new();

/// Refuses to work in a process that lost its threads.
pub(crate) fn check_process() -> Result<()> {
    if *PROCESS.get_or_init(std::process::id) != std::process::id() {
        return Err(Kind::Device(
            "this process was forked from one that had used elbo, and has none of its threads; start processes by \
             \"spawn\" or \"forkserver\" (multiprocessing.set_start_method), or use elbo first in the children"
                .into(),
        )
        .into());
    }
    Ok(())
}

/// The device that is asked for.
pub(crate) fn device(wanted: &Where) -> Result<Arc<Device>> {
    if let (Choice::Cpu, Some(adapter)) = (wanted.engine, &wanted.adapter) {
        return Err(Error::usage(format!("the CPU has no adapter {adapter}; leave out --adapter")));
    }
    let mut devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (format!("{:?}", wanted.engine), wanted.adapter.clone());
    if let Some(device) = devices.get(&key) {
        return Ok(Arc::clone(device));
    }
    let device = Arc::new(Device::open(wanted.engine, wanted.adapter.as_deref())?);
    devices.insert(key, Arc::clone(&device));
    Ok(device)
}

/// The adapters of this machine, and the engine that ``"auto"`` takes.
#[pyfunction]
pub(crate) fn devices(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    #[derive(Serialize)]
    struct Listed {
        adapters: Vec<gpu::Description>,
        engine: &'static str,
        adapter: String,
        reason: String,
    }
    let found = py.detach(|| -> Result<Listed> {
        let device = device(&Where { engine: Choice::Auto, adapter: None })?;
        let info = device.info();
        Ok(Listed {
            adapters: gpu::adapters(),
            engine: info.engine,
            adapter: info.adapter.clone(),
            reason: info.reason.clone(),
        })
    });
    Ok(pythonize::pythonize(py, &found.map_err(raised)?)?)
}

/// Hears of progress.
pub(crate) type Progress<'a> = &'a mut (dyn FnMut(f64) -> Result<()> + Send);

/// Works without the interpreter's lock; Ctrl-C and errors of the caller's `progress` end the work.
pub(crate) fn work<T: Send>(
    py: Python<'_>,
    progress: Option<Py<PyAny>>,
    work: impl FnOnce(Progress<'_>) -> Result<T> + Send,
) -> PyResult<T> {
    check_process().map_err(raised)?;
    let mut of_caller = None;
    let result = py.detach(|| {
        work(&mut |done| {
            let told = Python::attach(|py| {
                py.check_signals()?;
                progress.as_ref().map_or(Ok(()), |progress| progress.call1(py, (done,)).map(drop))
            });
            told.map_err(|error| {
                of_caller = Some(error);
                Kind::Interrupted.into()
            })
        })
    });
    // Work may go on without a part that was ended, but the caller wants an end.
    match of_caller {
        Some(error) => Err(error),
        None => result.map_err(raised),
    }
}

/// An error as Python has it.
pub(crate) fn raised(error: Error) -> PyErr {
    let message = error.to_string();
    match error.kind() {
        Kind::Io { .. } => PyOSError::new_err(message),
        Kind::Adapter(_) | Kind::Device(_) | Kind::Shape { .. } => PyRuntimeError::new_err(message),
        Kind::Diverged { .. } => PyArithmeticError::new_err(message),
        _ => PyValueError::new_err(message),
    }
}

/// The options of a call.
pub(crate) fn options<'a, 'py, T: Deserialize<'a>>(options: &'a Bound<'py, PyDict>) -> PyResult<T> {
    pythonize::depythonize(options).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// What a command of `elbo` says with `--json` beside the result itself.
#[derive(Serialize)]
struct Computed<'a, T> {
    #[serde(flatten)]
    result: &'a T,
    engine: &'static str,
    adapter: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<ColumnScale>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    columns: &'a [ColumnShift],
}

/// A result on its way to Python.
pub(crate) struct Answer {
    json: Value,
    draws: Vec<f64>,
    notes: Vec<String>,
}

/// A dictionary, the null distribution, and sentences for the user.
pub(crate) type Found<'py> = (Bound<'py, PyAny>, Bound<'py, PyArray1<f64>>, Vec<String>);

impl Answer {
    pub(crate) fn new<T: Serialize>(
        result: &T,
        device: &Device,
        draws: Vec<f64>,
        notes: Vec<String>,
        (scale, columns): (Option<ColumnScale>, &[ColumnShift]),
    ) -> Result<Self> {
        let Info { engine, adapter, .. } = device.info();
        Ok(Self { json: json(&Computed { result, engine, adapter, scale, columns })?, draws, notes })
    }

    pub(crate) fn found(self, py: Python<'_>) -> PyResult<Found<'_>> {
        Ok((pythonize::pythonize(py, &self.json)?, PyArray1::from_vec(py, self.draws), self.notes))
    }
}

/// As the command line prints it: what is no finite number is none.
pub(crate) fn json(result: &impl Serialize) -> Result<Value> {
    serde_json::to_value(result).map_err(|error| Error::usage(error.to_string()))
}

/// Adds what every test says of its draws and of the order of rows.
pub(crate) fn complete<T>(test: &mut Outcome<T>, order: Vec<String>) {
    test.warnings.extend(test.p.cannot_reject());
    test.warnings.extend(order);
}
