//! What comes from Python: arrays, which stay where they are, and options.

use elbo::data::table::{Cells, Missing, ReadOptions, Table, of_values};
use elbo::engine::Choice;
use elbo::error::Result;
use elbo::statistic::Bandwidth;
use elbo::statistic::columns::ColumnScale;
use elbo::statistic::test::Null;
use numpy::{PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// A sample: its name, numbers, names of columns, and the value of white.
#[derive(FromPyObject)]
pub(crate) struct Rows<'py>(String, Bound<'py, PyArrayDyn<f64>>, Option<Vec<String>>, Option<f64>);

/// The numbers of an array of NumPy, which is kept alive.
struct Lent {
    numbers: *const f64,
    len: usize,
    /// Never read: it owns the numbers.
    _array: Py<PyArrayDyn<f64>>,
}

// SAFETY: the numbers are only read, and live as long as the array. That nobody writes to them meanwhile is asked of the
// caller in the documentation of the package.
unsafe impl Send for Lent {}
// SAFETY: as above.
unsafe impl Sync for Lent {}

impl AsRef<[f64]> for Lent {
    fn as_ref(&self) -> &[f64] {
        // SAFETY: pointer and length are those of a C-contiguous array, which is alive.
        unsafe { std::slice::from_raw_parts(self.numbers, self.len) }
    }
}

/// A sample whose table is not made yet.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) numbers: Cells,
    pub(crate) header: Option<Vec<String>>,
    pub(crate) white: Option<f64>,
}

impl Rows<'_> {
    pub(crate) fn source(self) -> PyResult<Source> {
        let Self(name, array, header, white) = self;
        if !array.is_c_contiguous() || !array.data().is_aligned() {
            return Err(PyValueError::new_err(format!(
                "{name} is no C-ordered and aligned array; use numpy.require"
            )));
        }
        let shape = array.shape().to_vec();
        let lent = Lent { numbers: array.data(), len: array.len(), _array: array.unbind() };
        // An empty array may have no address.
        let numbers = if lent.len == 0 { Cells::default() } else { Cells::lent(Arc::new(lent)) };
        Ok(Source { name, shape, numbers, header, white })
    }
}

impl Source {
    /// As a table, with all columns and rows that are wanted.
    pub(crate) fn table(self, reading: &Reading) -> Result<Table> {
        let options = ReadOptions {
            columns: reading.columns.clone(),
            missing: reading.missing,
            ..ReadOptions::default()
        };
        let place = Path::new(&self.name);
        let table = of_values(place, &self.shape, self.numbers, self.white, self.header, &options)?;
        Ok(Table { name: self.name.clone(), ..table })
    }
}

/// How samples are read.
#[derive(Deserialize)]
pub(crate) struct Reading {
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    missing: Missing,
    #[serde(default)]
    pub(crate) scale: Option<ColumnScale>,
    #[serde(default)]
    pub(crate) points: Option<usize>,
    pub(crate) seed: u64,
}

impl Reading {
    /// All of it as it is.
    pub(crate) fn plain(seed: u64) -> Self {
        Self { columns: Vec::new(), missing: Missing::Refuse, scale: None, points: None, seed }
    }
}

/// Which device.
#[derive(Deserialize)]
pub(crate) struct Where {
    pub(crate) engine: Choice,
    pub(crate) adapter: Option<String>,
}

fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> std::result::Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// As [`parsed`], or nothing.
fn parsed_if_given<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> std::result::Result<Option<T>, D::Error> {
    Option::<String>::deserialize(deserializer)?
        .map(|text| text.parse().map_err(D::Error::custom))
        .transpose()
}

pub(crate) fn bandwidth<'de, D: Deserializer<'de>>(d: D) -> std::result::Result<Bandwidth, D::Error> {
    parsed(d)
}

pub(crate) fn bandwidth_if_given<'de, D: Deserializer<'de>>(
    d: D,
) -> std::result::Result<Option<Bandwidth>, D::Error> {
    parsed_if_given(d)
}

pub(crate) fn null<'de, D: Deserializer<'de>>(d: D) -> std::result::Result<Null, D::Error> {
    parsed(d)
}
