//! Which adapters there are, and which one is taken.

use crate::error::{Kind, Result};

/// One adapter, as known without opening it.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Vulkan, Metal or DX12.
    pub backend: String,
    /// Discrete GPU, integrated GPU, or a CPU that pretends to be one.
    pub kind: String,
    /// The driver and its version.
    pub driver: String,
    /// True unless the CPU does the work.
    pub hardware: bool,
    /// Most bytes in one buffer that a shader uses.
    pub largest_buffer: u64,
    /// Bytes of memory that the threads of a workgroup share.
    pub workgroup_memory: u32,
    /// Fewest and most threads that run in step.
    pub subgroup: [u32; 2],
    /// Most threads of a workgroup.
    pub workgroup_threads: u32,
    /// Whether it can measure its own time.
    pub timestamps: bool,
    /// Whether shaders can calculate in 16 bits.
    pub half_precision: bool,
    /// Shapes and types of the products of whole matrices that it offers, such as `16x16x16 F16 -> F32`.
    pub cooperative_matrices: Vec<String>,
}

/// All adapters, best first.
pub fn adapters() -> Vec<Description> {
    enumerate().iter().map(describe).collect()
}

/// Whether any adapter is more than a CPU in disguise.
pub fn has_hardware() -> bool {
    enumerate().first().is_some_and(|adapter| is_hardware(&adapter.get_info()))
}

/// The best adapter, or the best of those whose name contains `name` in any case.
pub(super) fn choose(name: Option<&str>) -> Result<wgpu::Adapter> {
    let mut adapters = enumerate();
    if adapters.is_empty() {
        return Err(Kind::Adapter(
            "no GPU adapter was found: install a Vulkan driver (on Debian and Ubuntu: apt install \
             mesa-vulkan-drivers), or use --engine cpu"
                .into(),
        )
        .into());
    }
    let Some(name) = name else { return Ok(adapters.remove(0)) };
    let names: Vec<String> = adapters.iter().map(|a| format!("\"{}\"", a.get_info().name)).collect();
    let wanted = name.to_lowercase();
    adapters.into_iter().find(|adapter| adapter.get_info().name.to_lowercase().contains(&wanted)).ok_or_else(
        || {
            Kind::Adapter(format!("no adapter's name contains \"{name}\"; there is {}", names.join(", ")))
                .into()
        },
    )
}

fn enumerate() -> Vec<wgpu::Adapter> {
    let backends = wgpu::Backends::PRIMARY;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut adapters = pollster::block_on(instance.enumerate_adapters(backends));
    adapters.retain(|adapter| adapter.limits().max_storage_buffers_per_shader_stage >= 8);
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    adapters
}

fn is_hardware(info: &wgpu::AdapterInfo) -> bool {
    info.device_type != wgpu::DeviceType::Cpu
}

pub(super) fn describe(adapter: &wgpu::Adapter) -> Description {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    Description {
        hardware: is_hardware(&info),
        backend: info.backend.to_string(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete GPU",
            wgpu::DeviceType::IntegratedGpu => "integrated GPU",
            wgpu::DeviceType::VirtualGpu => "virtual GPU",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "unknown",
        }
        .into(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().into(),
        largest_buffer: limits.max_buffer_size.min(limits.max_storage_buffer_binding_size),
        workgroup_memory: limits.max_compute_workgroup_storage_size,
        subgroup: [info.subgroup_min_size, info.subgroup_max_size],
        workgroup_threads: limits.max_compute_invocations_per_workgroup,
        timestamps: adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY),
        half_precision: adapter.features().contains(wgpu::Features::SHADER_F16),
        cooperative_matrices: adapter.cooperative_matrix_properties().iter().map(cooperative).collect(),
        name: info.name,
    }
}

fn cooperative(shape: &wgpu::CooperativeMatrixProperties) -> String {
    let wgpu::CooperativeMatrixProperties { m_size, n_size, k_size, ab_type, cr_type, .. } = shape;
    format!("{m_size}x{n_size}x{k_size} {ab_type:?} -> {cr_type:?}")
}
