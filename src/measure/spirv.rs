//! The kernels' shaders as a Vulkan driver gets them, so that the compilers of GPUs can be asked about them without one.

use super::kernels::Listed;
use crate::error::{Error, Kind, Result};
use crate::kernel::ALL;
use crate::program::{Kernel, OneVariant, ShaderChoice, Spec, Variant};
use naga::back::{PipelineConstants, pipeline_constants::process_overrides, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess};
use serde::Serialize;
use std::path::Path;

/// The file that lists the others.
const INDEX: &str = "index.json";

/// What wgpu has put into a shader lest it does harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Checks {
    /// Loops are guarded, and indices of workgroup memory clamped: with `ELBO_CHECKED=1`.
    All,
    /// Indices are clamped: as the engine compiles shaders.
    Indices,
    /// Nothing.
    None,
}

/// A shader with all constants put in.
#[derive(Serialize)]
struct Shader<'a> {
    file: String,
    /// The kernel with the sizes that it is measured at.
    what: &'a str,
    kernel: &'static str,
    variant: String,
    checks: Checks,
    /// Workgroups, and threads of one.
    grid: [usize; 2],
    threads: u32,
    /// Bytes of workgroup memory.
    workgroup_bytes: u32,
    flop: u64,
    bytes: u64,
    bindings: Vec<BoundBuffer>,
}

#[derive(Serialize)]
struct BoundBuffer {
    number: u32,
    name: String,
    uniform: bool,
    writable: bool,
}

/// Writes each variant of the kernels, with all checks and with fewer, and of all other kernels their first case: a `.spv`
/// file each, and `index.json`, which says what they are. Gives their number.
///
/// # Errors
/// If a file cannot be written, or a shader is not valid.
pub fn write(directory: &Path, kernels: &[Listed]) -> Result<usize> {
    std::fs::create_dir_all(directory).map_err(Error::io(directory, "make"))?;
    let mut ones: Vec<(&str, OneVariant)> = Vec::new();
    for Listed { what, kernel } in kernels {
        ones.extend(OneVariant::all(kernel).map(|one| (what.as_str(), one)));
    }
    let others =
        ALL.iter().filter(|spec| kernels.iter().all(|listed| listed.kernel.spec().name != spec.name));
    let others: Vec<_> = others.filter_map(|spec| (spec.cases)().into_iter().next()).collect();
    for case in &others {
        ones.extend(OneVariant::all(&case.kernel).map(|one| (case.kernel.spec().name, one)));
    }
    let mut index = Vec::new();
    for (what, one) in ones {
        let compiled = Compiled::new(&one)?;
        for checks in [Checks::All, Checks::Indices, Checks::None] {
            let file = format!("{:03}.spv", index.len());
            let path = directory.join(&file);
            let words = compiled.words(checks)?;
            std::fs::write(&path, bytemuck::cast_slice(&words)).map_err(Error::io(&path, "write"))?;
            index.push(compiled.shader(file, what, &one, checks));
        }
    }
    let path = directory.join(INDEX);
    let text = serde_json::to_string_pretty(&index).map_err(|e| Kind::Device(e.to_string()))?;
    std::fs::write(&path, text).map_err(Error::io(&path, "write"))?;
    Ok(index.len())
}

/// A shader whose constants have their values.
struct Compiled {
    spec: &'static Spec,
    module: Module,
    info: ModuleInfo,
}

impl Compiled {
    fn new(one: &OneVariant) -> Result<Self> {
        let spec = one.spec();
        let wrong = |problem: String| Error::from(Kind::Device(format!("kernel `{}`: {problem}", spec.name)));
        // As on GPUs whose own exp2 is exact enough: most are.
        let ShaderChoice { source, constants, .. } =
            (one as &dyn Kernel).shader_choice(&one.variant, || Ok(true))?;
        let module = naga::front::wgsl::parse_str(source).map_err(|e| wrong(e.emit_to_string(source)))?;
        let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
            .validate(&module)
            .map_err(|e| wrong(e.emit_to_string(source)))?;
        let constants: PipelineConstants =
            constants.0.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        let main = Some((ShaderStage::Compute, "main"));
        let (module, info) =
            process_overrides(&module, &info, main, &constants).map_err(|e| wrong(e.to_string()))?;
        let (module, info) = (module.into_owned(), info.into_owned());
        Ok(Self { spec, module, info })
    }

    /// SPIR-V with the options that wgpu has for it.
    fn words(&self, checks: Checks) -> Result<Vec<u32>> {
        let indices = checks != Checks::None;
        let index = if indices { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
        let options = spv::Options {
            lang_version: (1, 6),
            flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
            // Drivers check buffers themselves, by VK_EXT_robustness2.
            bounds_check_policies: BoundsCheckPolicies { index, ..BoundsCheckPolicies::default() },
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            force_loop_bounding: checks == Checks::All,
            emit_int_div_checks: indices,
            ..spv::Options::default()
        };
        let pipeline =
            spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
        spv::write_vec(&self.module, &self.info, &options, Some(&pipeline))
            .map_err(|e| Kind::Device(format!("kernel `{}`: {e}", self.spec.name)).into())
    }

    fn shader<'a>(&self, file: String, what: &'a str, one: &OneVariant, checks: Checks) -> Shader<'a> {
        let Variant { name: variant, grid, .. } = one.variant.clone();
        let shape = one.shape();
        let uses = self.info.get_entry_point(0);
        let globals = || self.module.global_variables.iter();
        let workgroup_bytes = globals()
            .filter(|(handle, global)| global.space == AddressSpace::WorkGroup && !uses[*handle].is_empty())
            .map(|(_, global)| self.module.types[global.ty].inner.size(self.module.to_ctx()))
            .sum();
        let bindings = globals().filter_map(|(_, global)| {
            let writable = matches!(global.space, AddressSpace::Storage { access } if access.contains(StorageAccess::STORE));
            Some(BoundBuffer {
                number: global.binding.as_ref()?.binding,
                name: global.name.clone().unwrap_or_default(),
                uniform: global.space == AddressSpace::Uniform,
                writable,
            })
        });
        Shader {
            file,
            what,
            kernel: self.spec.name,
            variant,
            checks,
            grid,
            threads: self.module.entry_points[0].workgroup_size[0],
            workgroup_bytes,
            flop: shape.flop,
            bytes: shape.bytes,
            bindings: bindings.collect(),
        }
    }
}
