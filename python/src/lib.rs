//! The engine of the Python package: arrays in, results out as dictionaries. Parameters and texts are Python's business.
//!
//! ```text
//! arrays -> Table (not copied) -> the same steps as a command of `elbo` -> dictionary, null distribution, sentences
//! ```

mod call;
mod input;
mod tests;

use pyo3::prelude::*;

/// The module `elbo._elbo`.
#[pymodule]
mod _elbo {
    #[pymodule_export]
    use crate::call::devices;
    #[pymodule_export]
    use crate::tests::{closer_test, hsic_test, ksd_test, median_bandwidth, mmd_test, mmd2, power, witness};
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
