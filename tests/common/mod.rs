//! What several test programs share: the comparison, and which devices the tests run on.
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

/// Compares `got` with the truth `want`: each element within `tolerance` times the largest magnitude in `want`.
///
/// The sum behind an element may cancel to nothing while its terms do not, so the scale is that of the whole
/// buffer. Lengths first; NaN fails, as do infinities.
pub(crate) fn compare(what: &str, got: &[f32], want: &[f64], tolerance: f64) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{what}: {} elements, expected {}", got.len(), want.len()));
    }
    if tolerance > 1e-3 {
        return Err(format!("{what}: a tolerance of {tolerance} proves nothing"));
    }
    let scale = want.iter().fold(f64::MIN_POSITIVE, |scale, w| scale.max(w.abs()));
    let error = |i: usize| (f64::from(got[i]) - want[i]).abs() / scale;
    // `max_by` with total_cmp puts NaN above every number.
    let Some(worst) = (0..got.len()).max_by(|&a, &b| error(a).total_cmp(&error(b))) else { return Ok(()) };
    if error(worst) <= tolerance {
        return Ok(());
    }
    Err(format!(
        "{what}: element {worst} of {} is {}, expected {}: off by {:.1e} of the largest ({scale:.3e}), \
         allowed {tolerance:.1e}",
        got.len(),
        got[worst],
        want[worst],
        error(worst)
    ))
}

/// `compare` must notice each of these; returns the first that it did not.
pub(crate) fn compare_notices_everything() -> Result<(), String> {
    let want = [1.0, -2.0, 0.5];
    let good = [1.0f32, -2.0, 0.5];
    compare("equal", &good, &want, 1e-6)?;
    let bad: [(&str, &[f32], &[f64], f64); 7] = [
        ("a short result", &good[..2], &want, 1e-6),
        ("a long result", &[1.0, -2.0, 0.5, 0.0], &want, 1e-6),
        ("NaN", &[1.0, f32::NAN, 0.5], &want, 1e-6),
        ("infinity", &[1.0, f32::INFINITY, 0.5], &want, 1e-6),
        ("an element off by more than allowed", &[1.0, -2.0, 0.500_01], &want, 1e-6),
        ("two swapped elements", &[-2.0, 1.0, 0.5], &want, 1e-6),
        ("a silly tolerance", &good, &want, 0.02),
    ];
    for (what, got, want, tolerance) in bad {
        if compare(what, got, want, tolerance).is_ok() {
            return Err(format!("the comparison missed {what}"));
        }
    }
    compare("zeros where zeros are due", &[0.0; 2], &[0.0; 2], 1e-6)
}
