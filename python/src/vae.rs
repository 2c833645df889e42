//! Models: data in memory, training with a caller who may listen and stop, and what a trained model does.

use crate::call::{device, json, options, raised, work};
use crate::input::{Rows, Source, Where};
use elbo::checkpoint::State;
use elbo::data::standard::{self, ColumnMoments, IN_MEMORY};
use elbo::data::table::{Missing, ReadOptions, Table, of_values};
use elbo::data::{Dataset, Images, Pixels};
use elbo::engine::Device;
use elbo::error::{Error, Kind, Result};
use elbo::grid::Grid;
use elbo::model::LikelihoodName;
use elbo::random::{Sequence, Stream};
use elbo::train::config::Config;
use elbo::train::importance;
use elbo::train::metrics::{Metrics, Terms};
use elbo::train::objective::ObjectiveName;
use elbo::train::run::Run;
use elbo::train::session::{Codes, Session, Split, initial_state};
use elbo::train::{self, Observer};
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most training rows that the ELBO is told of after each epoch, where nothing is held out.
const JUDGED: usize = 1000;

/// A trained model.
#[pyclass(frozen, module = "elbo._elbo")]
pub(crate) struct Model(Mutex<Trained>);

struct Trained {
    session: Session,
    state: State,
    config: Config,
    device: Arc<Device>,
    kind: DataKind,
}

/// How numbers become what a model sees.
#[derive(Clone)]
enum DataKind {
    /// Rows of a table.
    Table(ColumnMoments),
    /// Images with pixels from 0 to 1, or whole numbers up to this white.
    Images(Grid, f64),
}

impl DataKind {
    fn dimension(&self) -> usize {
        match self {
            Self::Table(columns) => columns.len(),
            Self::Images(grid, _) => grid.channels * grid.height * grid.width,
        }
    }

    /// Refuses rows of other lengths.
    fn check(&self, table: &Table) -> Result<()> {
        if table.columns != self.dimension() {
            // As scikit-learn says it.
            let problem = format!(
                "X has {} features, but VAE is expecting {} features as input",
                table.columns,
                self.dimension()
            );
            return Err(Kind::Samples(problem).into());
        }
        Ok(())
    }

    /// Rows `(N, D)` as the model sees them.
    fn seen(&self, table: &Table) -> Result<Vec<f32>> {
        self.check(table)?;
        match self {
            Self::Table(columns) => Ok(columns.standardised(&columns.matched(table)?.values)),
            Self::Images(_, white) => {
                Ok(bytes(table, *white)?.into_iter().map(|byte| f32::from(byte) / 255.0).collect())
            }
        }
    }

    /// As a part of a data set.
    fn part(&self, table: &Table) -> Result<Images> {
        let grid = match self {
            Self::Table(_) => Grid { channels: 1, height: 1, width: table.columns },
            Self::Images(grid, _) => *grid,
        };
        let pixels = match self {
            Self::Table(_) => Pixels::Numbers(self.seen(table)?),
            Self::Images(_, white) => {
                self.check(table)?;
                Pixels::Bytes(bytes(table, *white)?)
            }
        };
        let Grid { channels, height, width } = grid;
        Ok(Images { height, width, channels, pixels, labels: vec![0; table.rows], factors: None })
    }

    /// Both parts of a data set.
    fn dataset(&self, [train, test]: [Images; 2]) -> Dataset {
        let columns = match self {
            Self::Table(columns) => Some(columns.clone()),
            Self::Images(..) => None,
        };
        let (name, classes) = (IN_MEMORY.to_owned(), vec![IN_MEMORY.to_owned()]);
        Dataset { name, train, test, classes, columns, notes: Vec::new() }
    }
}

/// The white of images: 1, or that of whole numbers of which some are above 1.
fn white_of(table: &Table) -> f64 {
    let above = table.values.iter().any(|&value| value > 1.0);
    table.white.filter(|_| above).unwrap_or(1.0)
}

/// Pixels as bytes, `(N, height, width, channels)`; `white` is that of the images that a model learned from, for whole
/// numbers.
fn bytes(table: &Table, white: f64) -> Result<Vec<u8>> {
    let white = if table.white.is_some() || white_of(table) > 1.0 { white } else { 1.0 };
    let layout = table.layout;
    let mut bytes = Vec::with_capacity(table.values.len());
    for row in table.values.chunks_exact(table.columns) {
        let first = bytes.len();
        for value in row {
            if !(0.0..=white).contains(value) {
                return Err(Error::data(
                    &table.name,
                    format!("the pixel {value} is not from 0, black, to {white}, white; divide images first"),
                ));
            }
            bytes.push((value / white * 255.0).round() as u8);
        }
        if let Some(layout) = layout.filter(|layout| layout.is_planar) {
            let image = layout.interleaved(&bytes[first..]);
            bytes[first..].copy_from_slice(&image);
        }
    }
    Ok(bytes)
}

/// A table of any numbers; missing ones are refused.
fn table(source: Source) -> Result<Table> {
    let options = ReadOptions { missing: Missing::Refuse, ..ReadOptions::default() };
    let Source { name, shape, numbers, header, white } = source;
    let table = of_values(Path::new(&name), &shape, numbers, white, header, &options)?;
    Ok(Table { name, white, ..table })
}

/// Tells a caller of progress, and hears Ctrl-C.
struct Caller<'a> {
    progress: Option<Py<PyAny>>,
    stop: &'a AtomicBool,
    raised: Option<PyErr>,
    warnings: Vec<String>,
    history: Vec<f64>,
}

impl Caller<'_> {
    /// Ends training if `tell` fails.
    fn tell(&mut self, tell: impl FnOnce(Python<'_>, Option<&Py<PyAny>>) -> PyResult<()>) {
        let progress = self.progress.as_ref();
        let told = Python::attach(|py| py.check_signals().and_then(|()| tell(py, progress)));
        if let Err(error) = told {
            self.raised.get_or_insert(error);
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Observer for Caller<'_> {
    fn steps(&mut self, done: u64, recent: &Metrics, _: &Terms) {
        let elbo = recent.elbo;
        self.tell(|py, progress| {
            progress.map_or(Ok(()), |progress| progress.call1(py, ("steps", done, elbo)).map(drop))
        });
    }

    fn evaluated(&mut self, epoch: f64, test: &Metrics, validation: Option<&Metrics>) {
        let elbo = validation.unwrap_or(test).elbo;
        self.history.push(elbo);
        self.tell(|py, progress| {
            let Some(progress) = progress else { return Ok(()) };
            // A caller that answers True ends the training.
            let answer = progress.call1(py, ("epoch", epoch, elbo))?;
            if answer.is_truthy(py)? {
                self.stop.store(true, Ordering::Relaxed);
            }
            Ok(())
        });
    }

    fn warning(&mut self, sentence: &str) {
        self.warnings.push(sentence.into());
    }
}

/// A trained model, a summary as `elbo train --json` prints it, the ELBO of each epoch, and sentences.
type Fitted<'py> = (Model, Bound<'py, PyAny>, Vec<f64>, Vec<String>);

/// Trains a model on an array, from new weights or from those of another model.
#[pyfunction]
pub(crate) fn fit<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    images: bool,
    settings: &Bound<'py, PyDict>,
    directory: PathBuf,
    start: Option<&Model>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Fitted<'py>> {
    let mut config: Config = options(settings)?;
    config.data = IN_MEMORY.into();
    config.check().map_err(raised)?;
    let source = x.source()?;
    let stop = AtomicBool::new(false);
    let mut caller =
        Caller { progress, stop: &stop, raised: None, warnings: Vec::new(), history: Vec::new() };
    let from = start.map(|model| {
        let trained = model.lock();
        (trained.state.clone(), trained.kind.clone())
    });
    let result = py.detach(|| learn(source, images, config, &directory, from, &mut caller));
    if let Some(error) = caller.raised {
        return Err(error);
    }
    let (trained, summary) = result.map_err(raised)?;
    let summary = pythonize::pythonize(py, &summary)?;
    Ok((Model(Mutex::new(trained)), summary, caller.history, caller.warnings))
}

fn learn(
    source: Source,
    images: bool,
    mut config: Config,
    directory: &Path,
    from: Option<(State, DataKind)>,
    caller: &mut Caller<'_>,
) -> Result<(Trained, serde_json::Value)> {
    let table = table(source)?;
    let rows: Vec<usize> = (0..table.rows).collect();
    let mut judged = Sequence::new(config.seed, Stream::Subsample, 0).order(table.rows);
    judged.truncate(JUDGED);
    let (kind, dataset) = match (&from, images) {
        (None, false) => {
            let dataset = standard::split(&table, [rows, judged])?;
            let columns = dataset.columns.clone().ok_or_else(|| Error::usage("a table has columns"))?;
            (DataKind::Table(columns), dataset)
        }
        (None, true) => {
            let grid = match table.layout {
                Some(layout) => {
                    Grid { channels: layout.channels, height: layout.height, width: layout.width }
                }
                None => Grid { channels: 1, height: 1, width: table.columns },
            };
            let kind = DataKind::Images(grid, white_of(&table));
            let parts = [kind.part(&table)?, kind.part(&table.choice(table.name.clone(), &judged))?];
            (kind.clone(), kind.dataset(parts))
        }
        (Some((_, kind)), _) => {
            let parts = [kind.part(&table)?, kind.part(&table.choice(table.name.clone(), &judged))?];
            (kind.clone(), kind.dataset(parts))
        }
    };
    // Small data are one batch.
    let learned = table.rows - config.held_out(table.rows).min(table.rows);
    if config.batch > learned && learned > 0 {
        config.batch = learned;
    }
    let device = device(&Where { engine: config.engine, adapter: config.adapter.clone() })?;
    let mut state = initial_state(&config, &dataset);
    let mut settings = config.clone();
    if let Some((known, _)) = from {
        if known.architecture.layers() != state.architecture.layers() {
            return Err(Error::usage(format!(
                "the model is {}, but the parameters ask for {}; `fit` begins anew",
                known.architecture, state.architecture
            )));
        }
        // Random numbers and Adam go on where they were.
        let step = known.progress.step;
        settings.steps = Some(step + config.steps_per_epoch(table.rows) * config.epochs);
        (state.theta, state.m, state.v) = (known.theta, known.m, known.v);
        (state.progress.sigma, state.progress.step) = (known.progress.sigma, step);
        state.about = known.about;
    }
    let mut run = Run::create(Some(directory), true, &settings, &state)?;
    let stop = caller.stop;
    let (session, summary) = train::train(&mut run, &device, &dataset, caller, stop)?;
    let mut state = State::read_best(&run.path)?;
    state.progress.best = None;
    caller.warnings.extend(dataset.notes.into_iter().filter(|note| note.contains(" in all rows")));
    let summary = json(&summary)?;
    Ok((Trained { session, state, config, device, kind }, summary))
}

/// Loads a run, whatever it was trained on.
#[pyfunction]
pub(crate) fn load(py: Python<'_>, directory: PathBuf, settings: &Bound<'_, PyDict>) -> PyResult<Model> {
    let wanted: Where = options(settings)?;
    let trained = work(py, None, |_| {
        let mut config = Run::config(&directory)?;
        let state = State::read_best(&directory)?;
        (config.engine, config.adapter) = (wanted.engine, wanted.adapter.clone());
        let about = state.about.as_ref();
        let grid = about.map_or(state.architecture.image, |about| Grid {
            channels: about.channels,
            height: about.height,
            width: about.width,
        });
        let kind = match about.and_then(|about| about.columns.clone()) {
            Some(columns) => DataKind::Table(columns),
            None => DataKind::Images(grid, 255.0),
        };
        let device = device(&wanted)?;
        let session = without_data(&device, &config, &kind, &state)?;
        Ok(Trained { session, state, config, device, kind })
    })?;
    Ok(Model(Mutex::new(trained)))
}

/// A session for codes alone.
fn without_data(device: &Device, config: &Config, kind: &DataKind, state: &State) -> Result<Session> {
    let dataset = match kind {
        DataKind::Table(columns) => Dataset::placeholder([1, columns.len(), 1], Some(columns.clone())),
        DataKind::Images(grid, _) => Dataset::placeholder([grid.height, grid.width, grid.channels], None),
    };
    Session::new(device, &used(config), &dataset, state)
}

/// Settings for a model that is not trained any more: nothing depends on the size of a batch.
fn used(config: &Config) -> Config {
    Config {
        objective: ObjectiveName::Vae,
        beta: None,
        lambda: None,
        alpha: None,
        capacity: None,
        gamma: None,
        mmd: None,
        mmd_bandwidth: None,
        tc: None,
        batch: 1,
        fresh: false,
        validation: None,
        early_stopping: None,
        ..config.clone()
    }
}

impl Model {
    fn lock(&self) -> MutexGuard<'_, Trained> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trained {
    /// A session whose test images are these.
    fn judging(&self, table: &Table) -> Result<Session> {
        let part = self.kind.part(table)?;
        let dataset = self.kind.dataset([part.clone(), part]);
        Session::new(&self.device, &used(&self.config), &dataset, &self.state)
    }
}

#[pymethods]
impl Model {
    /// Means, log-stds and a sample of q(z|x): `(N, M)` each.
    fn encode<'py>(&self, py: Python<'py>, x: Rows<'py>) -> PyResult<[Bound<'py, PyArray2<f32>>; 3]> {
        let source = x.source()?;
        let Codes { latent, means, log_stds, z } = work(py, None, |_| {
            let table = table(source)?;
            let mut trained = self.lock();
            let seen = trained.kind.seen(&table)?;
            trained.session.encode_images(&seen)
        })?;
        let array = |values: Vec<f32>| {
            let rows = values.len() / latent;
            PyArray1::from_vec(py, values).reshape([rows, latent])
        };
        Ok([array(means)?, array(log_stds)?, array(z)?])
    }

    /// Means of p(x|z): `(N, D)`, in the units of the data.
    fn decode<'py>(&self, py: Python<'py>, z: Vec<Vec<f32>>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let latent = self.latent();
        if let Some(row) = z.iter().find(|row| row.len() != latent) {
            let problem = format!(
                "a code has {} numbers, but the model's have {latent}; give an array (n, {latent})",
                row.len()
            );
            return Err(PyValueError::new_err(problem));
        }
        let rows = work(py, None, |_| {
            let mut trained = self.lock();
            let decoded = trained.session.decode(&z.concat())?;
            Ok(trained.restored(&decoded))
        })?;
        self.array(py, rows)
    }

    /// Means of p(x|z) for draws of z from the prior: `(n, D)`.
    fn sample<'py>(&self, py: Python<'py>, n: usize) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let rows = work(py, None, |_| {
            let mut trained = self.lock();
            let drawn = trained.session.sample(n)?;
            Ok(trained.restored(&drawn))
        })?;
        self.array(py, rows)
    }

    /// Averages over rows: `sse`, `reconstruction`, `kl`, `elbo`.
    fn evaluate<'py>(&self, py: Python<'py>, x: Rows<'py>) -> PyResult<Bound<'py, PyAny>> {
        let source = x.source()?;
        let metrics = work(py, None, |_| {
            let table = table(source)?;
            let mut session = self.lock().judging(&table)?;
            json(&session.evaluate(Split::Test)?.0)
        })?;
        Ok(pythonize::pythonize(py, &metrics)?)
    }

    /// ln p(x) by importance sampling, as `elbo evaluate --importance-samples` prints it.
    fn log_likelihood<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        samples: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if samples == 0 {
            return Err(PyValueError::new_err("no samples estimate nothing; give at least one of `samples`"));
        }
        let source = x.source()?;
        let estimate = work(py, progress, |progress| {
            let table = table(source)?;
            let mut session = self.lock().judging(&table)?;
            let estimate = importance::log_likelihood(&mut session, samples, &mut |done| {
                progress(done as f64 / samples as f64)
            })?;
            json(&estimate)
        })?;
        Ok(pythonize::pythonize(py, &estimate)?)
    }

    /// Writes a run directory.
    fn save(&self, py: Python<'_>, directory: PathBuf, force: bool) -> PyResult<()> {
        work(py, None, |_| {
            let trained = self.lock();
            Run::create(Some(&directory), force, &trained.config, &trained.state).map(drop)
        })
    }

    /// Names and values of the weights, in the order and with the shapes of PyTorch.
    fn state_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let trained = self.lock();
        let dict = PyDict::new(py);
        for (name, shape, values) in trained.state.tensors() {
            dict.set_item(name, PyArray1::from_slice(py, values).reshape(shape)?)?;
        }
        Ok(dict)
    }

    /// M.
    #[getter]
    fn latent(&self) -> usize {
        self.lock().config.latent
    }

    /// D.
    #[getter]
    fn dimension(&self) -> usize {
        self.lock().kind.dimension()
    }

    /// The settings, as `config.toml` has them.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let config = json(&self.lock().config).map_err(raised)?;
        Ok(pythonize::pythonize(py, &config)?)
    }

    /// Height, width and channels of images; none of tables.
    #[getter]
    fn image(&self) -> Option<[usize; 3]> {
        match self.lock().kind {
            DataKind::Images(Grid { channels, height, width }, _) => Some([height, width, channels]),
            DataKind::Table(_) => None,
        }
    }

    /// The standard deviation of a pixel or column, of the Gaussian likelihood.
    #[getter]
    fn sigma(&self) -> Option<f32> {
        let trained = self.lock();
        (trained.config.likelihood == LikelihoodName::Gaussian).then(|| trained.session.sigma())
    }
}

impl Trained {
    fn restored(&self, rows: &[Vec<f32>]) -> Vec<f64> {
        let values = rows.concat();
        match &self.kind {
            DataKind::Table(columns) => columns.restored(&values),
            DataKind::Images(..) => values.into_iter().map(f64::from).collect(),
        }
    }
}

impl Model {
    fn array<'py>(&self, py: Python<'py>, values: Vec<f64>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let dimension = self.dimension();
        let rows = values.len() / dimension;
        PyArray1::from_vec(py, values).reshape([rows, dimension])
    }
}
