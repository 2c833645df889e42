//! The kernels' test suite: every kernel, every case, on a device, against the f64 reference.
//!
//! Outputs start as NaN, so an element that a kernel does not write shows. `cargo test --test kernels` runs it, and so
//! does `elbo devices --check` where there is a GPU and no compiler.

use crate::engine::Device;
use crate::engine::reference::Reference;
use crate::program::{BufferId, Call, Case, Plan, ProgramId, Spec};
use std::sync::Arc;

/// A tolerance above this proves nothing.
const MOST_TOLERANCE: f64 = 1e-3;

/// The largest error, in units of what is allowed; or what is wrong.
pub type Comparison = Result<f64, String>;

/// Compares `got` with the truth `want`: each element within `tolerance` times the largest magnitude in `want`.
///
/// The sum behind an element may cancel to nothing while its terms do not, so the scale is that of the whole
/// buffer. Lengths first; NaN fails, as do infinities.
///
/// # Errors
/// With the worst element, if it is off by more.
pub fn compare(what: &str, got: &[f32], want: &[f64], tolerance: f64) -> Comparison {
    if got.len() != want.len() {
        return Err(format!("{what}: {} elements, expected {}", got.len(), want.len()));
    }
    if tolerance > MOST_TOLERANCE {
        return Err(format!("{what}: a tolerance of {tolerance} proves nothing"));
    }
    let scale = want.iter().fold(f64::MIN_POSITIVE, |scale, w| scale.max(w.abs()));
    let error = |i: usize| (f64::from(got[i]) - want[i]).abs() / scale;
    // `max_by` with total_cmp puts NaN above every number.
    let Some(worst) = (0..got.len()).max_by(|&a, &b| error(a).total_cmp(&error(b))) else { return Ok(0.0) };
    if error(worst) <= tolerance {
        return Ok(if tolerance > 0.0 { error(worst) / tolerance } else { 0.0 });
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

/// Runs a case of the kernel of `spec`, or of another one with the same buffers, and compares all that it writes.
///
/// # Errors
/// If the device fails, or a result is not what it should be.
pub fn check(device: &Device, spec: &'static Spec, case: &Case) -> Comparison {
    let (step, tolerance) = (case.step, case.kernel.tolerance());
    let (plan, buffers) = plan(spec, case);
    let truth = truth(spec, case, &plan, &buffers);
    let mut engine = device.load(plan).map_err(|e| e.to_string())?;
    for (&id, values) in buffers.iter().zip(case.reads.iter().chain(&case.writes)) {
        engine.write(id, bytemuck::cast_slice(values)).map_err(|e| e.to_string())?;
    }
    let written = &buffers[spec.reads.len()..];
    let results = engine.run(ProgramId(0), &[step], written).map_err(|e| e.to_string())?;
    let mut worst: f64 = 0.0;
    for ((want, got), name) in truth.iter().zip(&results).zip(spec.writes) {
        worst = worst.max(match &spec.partial_sums {
            Some(sums) if sums.buffer == *name => compare_sums(name, got, want, sums.terms, tolerance)?,
            _ => compare_written(name, got, want, tolerance)?,
        });
    }
    Ok(worst)
}

/// What the reference leaves in the buffers that a case writes.
pub(crate) fn truth(spec: &Spec, case: &Case, plan: &Arc<Plan>, buffers: &[BufferId]) -> Vec<Vec<f64>> {
    let mut reference = Reference::new(Arc::clone(plan));
    for (&id, values) in buffers.iter().zip(case.reads.iter().chain(&case.writes)) {
        if spec.reads.get(id.0).is_some_and(|name| spec.words.contains(name)) {
            reference.write_words(id, bytemuck::cast_slice(values));
        } else {
            reference.memory[id.0] = values.iter().map(|&v| f64::from(v)).collect();
        }
    }
    reference.run(ProgramId(0), &case.step);
    buffers[spec.reads.len()..].iter().map(|id| std::mem::take(&mut reference.memory[id.0])).collect()
}

/// A plan with one call, and the buffers of the case.
pub(crate) fn plan(spec: &Spec, case: &Case) -> (Arc<Plan>, Vec<BufferId>) {
    let mut plan = Plan::default();
    let names = spec.reads.iter().chain(spec.writes);
    let contents = case.reads.iter().chain(&case.writes);
    let buffers: Vec<_> =
        names.zip(contents).map(|(name, values)| plan.buffer(*name, values.len())).collect();
    let (reads, writes) = buffers.split_at(spec.reads.len());
    let program = plan.program(spec.name);
    let kernel = Arc::clone(&case.kernel);
    plan.programs[program.0].calls.push(Call { kernel, reads: reads.into(), writes: writes.into() });
    (Arc::new(plan), buffers)
}

/// Elements that the definition leaves alone must be left alone: they are still NaN on both sides.
fn compare_written(name: &str, got: &[f32], want: &[f64], tolerance: f64) -> Comparison {
    if got.len() != want.len() {
        return Err(format!("{name}: {} elements, expected {}", got.len(), want.len()));
    }
    if let Some(i) = (0..want.len()).find(|&i| want[i].is_nan() && !got[i].is_nan()) {
        return Err(format!("{name}: element {i} was written, but should not be"));
    }
    let written = |i: &usize| !want[*i].is_nan();
    let got: Vec<f32> = (0..want.len()).filter(written).map(|i| got[i]).collect();
    let want: Vec<f64> = (0..want.len()).filter(written).map(|i| want[i]).collect();
    // A block's pairs with itself are all in the rows.
    if want.is_empty() && name != "column_parts" {
        return Err(format!("{name}: the reference wrote nothing"));
    }
    compare(name, &got, &want, tolerance)
}

/// Only the totals of a slot count; slots that are not the step's stay NaN on both sides.
fn compare_sums(name: &str, got: &[f32], want: &[f64], terms: usize, tolerance: f64) -> Comparison {
    if got.len() != want.len() {
        return Err(format!("{name}: {} elements, expected {}", got.len(), want.len()));
    }
    let written: Vec<usize> = (0..want.len()).filter(|&i| !want[i].is_nan()).collect();
    let (Some(&first), Some(&last)) = (written.first(), written.last()) else {
        return Err(format!("{name}: the reference wrote nothing"));
    };
    let slot = first..last + 1;
    if let Some(i) = (0..got.len()).find(|i| !slot.contains(i) && !got[*i].is_nan()) {
        return Err(format!("{name}: element {i} belongs to another step but was written"));
    }
    let mut worst: f64 = 0.0;
    for term in 0..terms {
        let got: f64 = got[slot.clone()].iter().skip(term).step_by(terms).map(|&v| f64::from(v)).sum();
        let want: f64 = want[slot.clone()].iter().skip(term).step_by(terms).sum();
        worst = worst.max(compare(&format!("{name}, sum {term}"), &[got as f32], &[want], tolerance)?);
    }
    Ok(worst)
}

/// [`compare`] must notice each of these.
///
/// # Errors
/// With the first that it did not.
pub fn check_comparison() -> Result<(), String> {
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
    compare("zeros where zeros are due", &[0.0; 2], &[0.0; 2], 1e-6).map(|_| ())
}
