//! Which buffer goes to which binding of a shader.

use crate::error::{Error, Kind, Result};
use crate::program::Spec;
use serde::Serialize;

/// What is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Slot {
    /// The sizes of the call.
    Params,
    /// [`crate::program::Step`].
    Step,
    /// A buffer of [`Spec::reads`], by its place there.
    Read(usize),
    /// A buffer of [`Spec::writes`].
    Write(usize),
}

/// A binding of a shader, all in group 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Binding {
    /// Its number.
    pub number: u32,
    /// What belongs there.
    pub slot: Slot,
}

/// The bindings of a shader, found by the names that the kernel gives its buffers.
///
/// # Errors
/// The shader cannot be read, or names a buffer that the kernel does not.
pub(crate) fn bindings(spec: &Spec, source: &str) -> Result<Vec<Binding>> {
    let wrong = |problem: String| Error::from(Kind::Device(format!("kernel `{}`: {problem}", spec.name)));
    let module = naga::front::wgsl::parse_str(source)
        .map_err(|e| wrong(e.emit_to_string_with_path(source, spec.name)))?;
    let mut found = Vec::new();
    for (_, variable) in module.global_variables.iter() {
        let (Some(binding), Some(name)) = (&variable.binding, &variable.name) else { continue };
        let place = |names: &[&str]| names.iter().position(|n| n == name);
        let slot = match name.as_str() {
            "params" => Slot::Params,
            "step" => Slot::Step,
            _ => {
                place(spec.reads).map(Slot::Read).or_else(|| place(spec.writes).map(Slot::Write)).ok_or_else(
                    || wrong(format!("the shader has a binding `{name}` that the kernel does not")),
                )?
            }
        };
        found.push(Binding { number: binding.binding, slot });
    }
    Ok(found)
}
