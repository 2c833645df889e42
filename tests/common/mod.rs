//! What several test programs share: which devices the tests run on.
#![allow(dead_code, reason = "each test program uses a part of it")]

use elbo::engine::{Choice, Device};

/// Whether tests that need a GPU adapter run: `ELBO_GPU=require|auto|off`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum GpuTests {
    /// They run; without an adapter they fail.
    Require,
    /// They are shown as ignored.
    Off,
}

/// Reads `ELBO_GPU`; `auto`, the default, asks whether there is an adapter.
pub(crate) fn gpu_tests() -> GpuTests {
    match std::env::var("ELBO_GPU").as_deref() {
        Ok("require") => GpuTests::Require,
        Ok("off") => GpuTests::Off,
        Ok("auto") | Err(_) if elbo::engine::gpu::adapters().is_empty() => GpuTests::Off,
        Ok("auto") | Err(_) => GpuTests::Require,
        Ok(other) => panic!("ELBO_GPU is `{other}`; it can be require, auto or off"),
    }
}

/// The device of an engine, for tests; of several GPU adapters the one that `ELBO_ADAPTER` names.
pub(crate) fn device(choice: Choice) -> Device {
    let adapter = std::env::var("ELBO_ADAPTER").ok().filter(|_| choice == Choice::Gpu);
    Device::open(choice, adapter.as_deref()).unwrap_or_else(|e| panic!("{e}"))
}
