//! The engine of the Python package: arrays in, results out as dictionaries. Parameters and texts are Python's business.
//!
//! ```text
//! arrays -> Table (not copied) -> the same steps as a command of `elbo` -> dictionary, null distribution, sentences
//! ```

mod call;
mod input;
mod parts;
mod tests;
mod vae;

use pyo3::prelude::*;

/// The module `elbo._elbo`.
#[pymodule]
mod _elbo {
    #[pymodule_export]
    use crate::call::devices;
    #[pymodule_export]
    use crate::parts::{
        AddedTiles, feature_plan, feature_result, feature_sums, fit_plan, independence_plan, order_of_items,
        rows_of_rules, scored, still_to_choose, tile, tile_order, tile_plan,
    };
    #[pymodule_export]
    use crate::tests::{closer_test, hsic_test, ksd_test, median_bandwidth, mmd_test, mmd2, power, witness};
    #[pymodule_export]
    use crate::vae::{Model, fit, load};
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
