//! Is the device's own exp2 as good as the project's?
//!
//! Shaders have a polynomial for 2^x, `shaders/lib/exponential.wgsl`, as drivers may give any function. Most GPUs have an
//! instruction that is nearly as exact and takes a tenth of the time: the first shader that wants one has it tried.

use super::Gpu;
use crate::error::{Kind, Result};

/// Largest error of 2^x, relative: two units in the last place.
const LARGEST: f64 = 2.5e-7;

/// Largest mean error of 2^x, relative: errors of one sign do not average out of a sum over pairs. The polynomial's is 1e-8.
const BIAS: f64 = 2e-8;

/// Numbers that are tried in this range.
const COUNT: usize = 1 << 14;

/// Where 2^x is no number of full precision, or 0: it must be less than any that matters.
const BELOW: [f32; 64] = {
    let mut numbers = [f32::NEG_INFINITY; 64];
    let mut i = 1;
    while i < numbers.len() {
        // -126.5 and ever lower.
        numbers[i] = -126.5 * (1u64 << (i - 1)) as f32;
        i += 1;
    }
    numbers
};

/// 2^-126.
const SMALL: f32 = f32::MIN_POSITIVE;

/// Threads of a workgroup.
const THREADS: usize = 64;

/// Tried where kernel values are of use: down to 2^LOWEST.
const LOWEST: f64 = -30.0;

const SHADER: &str = "
@group(0) @binding(0) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    x[id.x] = exp2(x[id.x]);
}
";

/// Whether the device's exp2 is exact enough. A device that gives nothing has none that is.
pub(super) fn is_exact(gpu: &Gpu) -> Result<bool> {
    let mut points: Vec<f32> = (0..COUNT).map(|i| (LOWEST * i as f64 / COUNT as f64) as f32).collect();
    points.extend(BELOW);
    let values = run(gpu, &points)?;
    let (values, below) = values.split_at(COUNT);
    let errors: Vec<f64> =
        points.iter().zip(values).map(|(&x, &y)| f64::from(y) / f64::from(x).exp2() - 1.0).collect();
    let vanishes = below.iter().all(|y| (0.0..=SMALL).contains(y));
    let largest = errors.iter().fold(0.0f64, |largest, error| largest.max(error.abs()));
    let bias = errors.iter().sum::<f64>() / COUNT as f64;
    let exact = largest <= LARGEST && bias.abs() <= BIAS && vanishes;
    tracing::debug!(largest, bias, exact, "exp2 of {}", gpu.description.name);
    Ok(exact)
}

/// exp2 of numbers, by the device.
fn run(gpu: &Gpu, points: &[f32]) -> Result<Vec<f32>> {
    use wgpu::BufferUsages as Usage;
    let bytes = size_of_val(points) as u64;
    let x = gpu.buffer("exp2", bytes, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)?;
    let staging = gpu.buffer("exp2, read", bytes, Usage::MAP_READ | Usage::COPY_DST)?;
    gpu.queue.write_buffer(&x, 0, bytemuck::cast_slice(points));
    let label = Some("exp2");
    let commands = gpu.scoped("exp2", || {
        let source = wgpu::ShaderSource::Wgsl(SHADER.into());
        let module = gpu.device.create_shader_module(wgpu::ShaderModuleDescriptor { label, source });
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let bind_group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: x.as_entire_binding() }],
        });
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bind_group, &[]);
        pass.dispatch_workgroups((points.len() / THREADS) as u32, 1, 1);
        drop(pass);
        encoder.copy_buffer_to_buffer(&x, 0, &staging, 0, bytes);
        encoder.finish()
    })?;
    gpu.queue.submit([commands]);
    let wrong = |problem: String| Kind::Device(format!("exp2 of {}: {problem}", gpu.description.name));
    let (sender, receiver) = std::sync::mpsc::channel();
    staging.map_async(wgpu::MapMode::Read, .., move |mapped| {
        let _ = sender.send(mapped);
    });
    let wait = wgpu::PollType::Wait { submission_index: None, timeout: None };
    gpu.device.poll(wait).map_err(|e| wrong(e.to_string()))?;
    gpu.check()?;
    receiver.recv().map_err(|e| wrong(e.to_string()))?.map_err(|e| wrong(e.to_string()))?;
    let view = staging.get_mapped_range(..).map_err(|e| wrong(e.to_string()))?;
    Ok(bytemuck::pod_collect_to_vec(&view[..]))
}
