//! The engine on Vulkan, Metal or DX12: the only place that names wgpu.
//!
//! Pipelines, bind groups and buffers are made once, from a plan. A submission encodes all its steps into
//! one compute pass; what changes from step to step is one 256-byte row of a uniform buffer, chosen by a
//! dynamic offset. Results are copied into a staging buffer and mapped while the next submission runs.

mod adapter;
mod exponential;
mod tuning;

pub use adapter::{Description, adapters, has_hardware};
pub use tuning::Known;

use super::binding::{Binding, Slot, bindings};
use super::{Counters, Engine, Info, MOST_STEPS, Ticket, Time};
use crate::error::{Kind, Result};
use crate::program::{
    BufferId, Call, Kernel, MOST_ITERATIONS, Plan, ProgramId, ShaderChoice, Spec, Step, Variant,
};
use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tuning::Tuning;

/// Distance between two rows of a uniform buffer: the largest alignment that WebGPU allows a device to ask for.
const UNIFORM_STRIDE: u64 = 256;

/// The variable that has all of wgpu's checks put into shaders, and no function of the driver's, to look for a mistake.
const CHECKED: &str = "ELBO_CHECKED";

/// Timestamps of a measurement: start and end.
const CLOCK_QUERIES: u32 = 2;

/// An opened GPU with the pipelines compiled so far.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    description: Description,
    tuning: Mutex<Tuning>,
    pipelines: Mutex<HashMap<String, Arc<Pipeline>>>,
    /// Whether the device's own exp2 is exact enough, once a shader wanted to know.
    native_exp2: OnceLock<bool>,
    failure: Arc<Mutex<Option<String>>>,
}

struct Pipeline {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    bindings: Vec<Binding>,
}

impl Gpu {
    /// Opens the best adapter, or the best of those whose name contains `name`.
    pub fn open(name: Option<&str>) -> Result<Self> {
        let adapter = adapter::choose(name)?;
        let offered = adapter.limits();
        let limits = wgpu::Limits {
            max_buffer_size: offered.max_buffer_size,
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            ..wgpu::Limits::default()
        };
        let description = adapter::describe(&adapter);
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("elbo"),
            required_limits: limits,
            // For measurements alone; it costs nothing where it is not used.
            required_features: adapter.features() & wgpu::Features::TIMESTAMP_QUERY,
            ..Default::default()
        });
        let (device, queue) = pollster::block_on(request).map_err(|e| {
            Kind::Device(format!("{} refused to open: {e}; try --engine cpu", description.name))
        })?;
        let failure = Arc::new(Mutex::new(None));
        let note = |failure: &Arc<Mutex<Option<String>>>, message: String| {
            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
        };
        let seen = Arc::clone(&failure);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            note(&seen, describe(&error));
        }));
        let seen = Arc::clone(&failure);
        device.set_device_lost_callback(move |_, message| {
            let why = if message.is_empty() { "it was given up" } else { message.trim_end_matches('.') };
            note(&seen, format!("the GPU was lost ({why}); the last checkpoint is kept, use `elbo resume`"));
        });
        let (tuning, pipelines) = (Mutex::default(), Mutex::default());
        let native_exp2 = OnceLock::new();
        Ok(Self { device, queue, description, tuning, pipelines, native_exp2, failure })
    }

    /// The adapter's name.
    pub fn name(&self) -> String {
        self.description.name.clone()
    }

    /// Gives the device up: all that is still to run on it fails, as if it were unplugged.
    #[doc(hidden)]
    pub fn destroy(&self) {
        self.device.destroy();
        // It is told of no sooner.
        let _ = self.device.poll(wgpu::PollType::Poll);
    }

    /// Nanoseconds of a tick of the device's clock, if it has one.
    pub fn clock(&self) -> Option<f32> {
        let timestamps = self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        timestamps.then(|| self.queue.get_timestamp_period())
    }

    fn tuning(&self) -> MutexGuard<'_, Tuning> {
        self.tuning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first error that the device reported on its own, if any.
    fn check(&self) -> Result<()> {
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Some(message) => Err(Kind::Device(message).into()),
            None => Ok(()),
        }
    }

    /// Runs `make` and turns whatever the device objects to into an error that starts with `what`.
    fn scoped<R>(&self, what: &str, make: impl FnOnce() -> R) -> Result<R> {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let made = make();
        let errors = [internal.pop(), validation.pop(), memory.pop()].map(pollster::block_on);
        match errors.into_iter().flatten().next() {
            Some(error) => Err(Kind::Device(format!("{what}: {}", describe(&error))).into()),
            None => Ok(made),
        }
    }

    /// The pipeline of a kernel with its switches, compiled on first use.
    fn pipeline(&self, kernel: &dyn Kernel, variant: &Variant) -> Result<Arc<Pipeline>> {
        let ShaderChoice { source, constants, key } = kernel.shader_choice(variant, || self.native_exp2())?;
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = pipelines.get(&key) {
            return Ok(Arc::clone(pipeline));
        }
        let pipeline = Arc::new(self.compile(kernel.spec(), source, &constants.0)?);
        pipelines.insert(key, Arc::clone(&pipeline));
        Ok(pipeline)
    }

    /// Whether shaders take the device's own exp2: not where all is checked.
    fn native_exp2(&self) -> Result<bool> {
        if let Some(&known) = self.native_exp2.get() {
            return Ok(known);
        }
        let found = !checked() && exponential::is_exact(self)?;
        Ok(*self.native_exp2.get_or_init(|| found))
    }

    fn compile(&self, spec: &Spec, source: &str, overrides: &[(&str, f64)]) -> Result<Pipeline> {
        let label = Some(spec.name);
        let bindings = bindings(spec, source)?;
        let entries: Vec<_> = bindings.iter().map(layout_entry).collect();
        self.scoped(&format!("kernel `{}`", spec.name), || {
            let layout = self
                .device
                .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
            let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label,
                bind_group_layouts: &[Some(&layout)],
                ..Default::default()
            });
            let source = wgpu::ShaderSource::Wgsl(source.into());
            let module = shader_module(&self.device, wgpu::ShaderModuleDescriptor { label, source });
            let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label,
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: overrides,
                    // Every kernel writes workgroup memory before it reads it.
                    zero_initialize_workgroup_memory: false,
                },
                cache: None,
            });
            Pipeline { pipeline, layout, bindings }
        })
    }

    fn buffer(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let limits = self.device.limits();
        let most = if usage.contains(wgpu::BufferUsages::STORAGE) {
            limits.max_buffer_size.min(limits.max_storage_buffer_binding_size)
        } else {
            limits.max_buffer_size
        };
        if bytes > most {
            return Err(Kind::Device(format!(
                "buffer `{label}` needs {bytes} bytes but {} allows {most} in one buffer; use less data, a \
                 smaller --batch, fewer --permutations, or --engine cpu",
                self.description.name
            ))
            .into());
        }
        self.scoped(&format!("buffer `{label}` of {bytes} bytes"), || {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: bytes,
                usage,
                mapped_at_creation: false,
            })
        })
    }
}

/// Whether the user asked for shaders that are checked.
fn checked() -> bool {
    std::env::var_os(CHECKED).is_some_and(|value| value == "1")
}

/// A shader without wgpu's guard of loops, a counter of its own that keeps compilers from unrolling them; indices stay
/// checked. `ELBO_CHECKED=1` brings the guard back.
#[allow(unsafe_code, reason = "the only one: every loop of every shader is shown to end, see SAFETY")]
fn shader_module(device: &wgpu::Device, descriptor: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
    let checks =
        wgpu::ShaderRuntimeChecks { force_loop_bounding: checked(), ..wgpu::ShaderRuntimeChecks::checked() };
    // SAFETY: without `force_loop_bounding` a shader must have no infinite loop. All shaders are this crate's own, and the
    // lint `endless loop` of tests/lints refuses each loop that does not count up to a limit, or down.
    unsafe { device.create_shader_module_trusted(descriptor, checks) }
}

/// The device's own words, with what to do about them.
fn describe(error: &wgpu::Error) -> String {
    match error {
        wgpu::Error::OutOfMemory { .. } => {
            "the GPU is out of memory; use a smaller --batch or --hidden, or --engine cpu".into()
        }
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            description.clone()
        }
    }
}

/// The layout entry of a binding.
fn layout_entry(binding: &Binding) -> wgpu::BindGroupLayoutEntry {
    let storage = |read_only| wgpu::BufferBindingType::Storage { read_only };
    let (ty, has_dynamic_offset) = match binding.slot {
        Slot::Params => (wgpu::BufferBindingType::Uniform, false),
        Slot::Step => (wgpu::BufferBindingType::Uniform, true),
        Slot::Read(_) => (storage(true), false),
        Slot::Write(_) => (storage(false), false),
    };
    wgpu::BindGroupLayoutEntry {
        binding: binding.number,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
        count: None,
    }
}

/// A kernel call, ready to be encoded.
struct Dispatch {
    pipeline: Arc<Pipeline>,
    bind_group: wgpu::BindGroup,
    uses_step: bool,
    grid: [u32; 2],
}

/// The GPU engine.
pub struct GpuEngine {
    gpu: Arc<Gpu>,
    info: Info,
    plan: Arc<Plan>,
    buffers: Vec<wgpu::Buffer>,
    programs: Vec<Vec<Dispatch>>,
    steps: wgpu::Buffer,
    /// Rows for `steps`, filled anew by each submission.
    rows: Vec<u8>,
    /// Staging buffers that wait for the next use, by size.
    staging: HashMap<u64, Vec<wgpu::Buffer>>,
    counters: Counters,
}

/// Results on their way from the device.
pub struct Pending {
    submission: wgpu::SubmissionIndex,
    parts: Vec<(wgpu::Buffer, OneshotReceiver<std::result::Result<(), wgpu::BufferAsyncError>>)>,
}

impl GpuEngine {
    /// Allocates the buffers of a plan and makes its pipelines and bind groups.
    pub fn new(gpu: Arc<Gpu>, info: Info, plan: Arc<Plan>) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        gpu.measure(&plan, &info)?;
        let storage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let buffers = plan
            .buffers
            .iter()
            .map(|buffer| gpu.buffer(&buffer.name, 4 * buffer.len as u64, storage))
            .collect::<Result<Vec<_>>>()?;
        let steps_len = UNIFORM_STRIDE * MOST_STEPS as u64;
        let steps = gpu.buffer("steps", steps_len, Usage::UNIFORM | Usage::COPY_DST)?;
        let calls: usize = plan.programs.iter().map(|program| program.calls.len()).sum();
        let params_len = UNIFORM_STRIDE * calls.max(1) as u64;
        let params = gpu.buffer("params", params_len, Usage::UNIFORM | Usage::COPY_DST)?;
        let mut rows = 0;
        let mut dispatch = |call: &Call| {
            let variant = gpu.choose(&*call.kernel).0;
            let offset = UNIFORM_STRIDE * rows;
            rows += 1;
            gpu.queue.write_buffer(&params, offset, bytemuck::cast_slice(&call.kernel.params()));
            Dispatch::new(&gpu, call, &variant, &buffers, &params, offset, &steps)
        };
        let programs = plan
            .programs
            .iter()
            .map(|program| program.calls.iter().map(&mut dispatch).collect())
            .collect::<Result<Vec<Vec<_>>>>()?;
        let rows = vec![0; steps_len as usize];
        gpu.check()?;
        let (staging, counters) = (HashMap::new(), Counters::default());
        Ok(Self { gpu, info, plan, buffers, programs, steps, rows, staging, counters })
    }

    fn staging(&mut self, bytes: u64) -> Result<wgpu::Buffer> {
        match self.staging.get_mut(&bytes).and_then(Vec::pop) {
            Some(buffer) => Ok(buffer),
            None => {
                self.gpu.buffer("staging", bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)
            }
        }
    }
}

impl Dispatch {
    fn new(
        gpu: &Gpu,
        call: &Call,
        variant: &Variant,
        buffers: &[wgpu::Buffer],
        params: &wgpu::Buffer,
        offset: u64,
        steps: &wgpu::Buffer,
    ) -> Result<Self> {
        let pipeline = gpu.pipeline(&*call.kernel, variant)?;
        // A uniform block is a multiple of 16 bytes long; the rest of its row is zero.
        let params_len = (4 * call.kernel.params().len() as u64).next_multiple_of(16);
        let row = |buffer, offset, size| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset,
                size: wgpu::BufferSize::new(size),
            })
        };
        let entries: Vec<_> = pipeline
            .bindings
            .iter()
            .map(|binding| wgpu::BindGroupEntry {
                binding: binding.number,
                resource: match binding.slot {
                    Slot::Params => row(params, offset, params_len),
                    Slot::Step => row(steps, 0, size_of::<Step>() as u64),
                    Slot::Read(i) => buffers[call.reads[i].0].as_entire_binding(),
                    Slot::Write(i) => buffers[call.writes[i].0].as_entire_binding(),
                },
            })
            .collect();
        let name = call.kernel.spec().name;
        let bind_group = gpu.scoped(&format!("kernel `{name}`"), || {
            gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(name),
                layout: &pipeline.layout,
                entries: &entries,
            })
        })?;
        let most = gpu.device.limits().max_compute_workgroups_per_dimension;
        let grid = variant.grid;
        let fits = |groups: usize| u32::try_from(groups).ok().filter(|&groups| groups <= most);
        let [Some(x), Some(y)] = grid.map(fits) else {
            return Err(Kind::Device(format!(
                "kernel `{name}`: {grid:?} workgroups but {} allows {most} in one direction; use a smaller --batch",
                gpu.description.name
            ))
            .into());
        };
        let iterations = variant.iterations;
        if iterations > MOST_ITERATIONS {
            return Err(Kind::Device(format!(
                "kernel `{name}`: a workgroup's loops have {iterations} iterations, and some drivers stop after \
                 {MOST_ITERATIONS} with wrong numbers; use fewer columns, fewer --permutations, smaller bins, or --engine cpu"
            ))
            .into());
        }
        let uses_step = pipeline.bindings.iter().any(|b| matches!(b.slot, Slot::Step));
        Ok(Self { pipeline, bind_group, uses_step, grid: [x, y] })
    }
}

impl Engine for GpuEngine {
    fn info(&self) -> &Info {
        &self.info
    }

    fn write(&mut self, buffer: BufferId, bytes: &[u8]) -> Result<()> {
        assert_eq!(bytes.len(), 4 * self.plan.buffers[buffer.0].len, "`write` fills a whole buffer");
        self.gpu.queue.write_buffer(&self.buffers[buffer.0], 0, bytes);
        self.gpu.check()
    }

    fn read(&mut self, buffer: BufferId) -> Result<Vec<f32>> {
        let encoder = self.gpu.device.create_command_encoder(&Default::default());
        let ticket = self.copy_out(encoder, &[buffer], Instant::now())?;
        Ok(self.wait(ticket)?.remove(0))
    }

    fn submit(&mut self, program: ProgramId, steps: &[Step], results: &[BufferId]) -> Result<Ticket> {
        let start = Instant::now();
        let encoder = self.encode(program, steps, None);
        self.copy_out(encoder, results, start)
    }

    fn time(&mut self, program: ProgramId, steps: &[Step]) -> Result<Time> {
        let start = Instant::now();
        let Some(tick) = self.gpu.clock() else {
            self.run(program, steps, &[])?;
            return Ok(Time { wall: start.elapsed(), device: None });
        };
        let device = &self.gpu.device;
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("clock"),
            ty: wgpu::QueryType::Timestamp,
            count: CLOCK_QUERIES,
        });
        let bytes = u64::from(CLOCK_QUERIES) * size_of::<u64>() as u64;
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = self.gpu.buffer("clock", bytes, usage)?;
        let staging = self.staging(bytes)?;
        let start = Instant::now();
        let mut encoder = self.encode(program, steps, Some(&queries));
        encoder.resolve_query_set(&queries, 0..CLOCK_QUERIES, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, bytes);
        let ticket = self.send(encoder, vec![staging], start)?;
        let words = self.wait(ticket)?.remove(0);
        let wall = start.elapsed();
        let ticks: &[u64] = &words.chunks_exact(2).map(ticks).collect::<Vec<_>>();
        let passed = ticks[1].saturating_sub(ticks[0]) as f64 * f64::from(tick);
        Ok(Time { wall, device: (passed > 0.0).then(|| Duration::from_nanos(passed as u64)) })
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn wait(&mut self, ticket: Ticket) -> Result<Vec<Vec<f32>>> {
        let Ticket::Pending(Pending { submission, parts }) = ticket else {
            unreachable!("a ticket goes back to the engine that gave it")
        };
        self.counters.readbacks += 1;
        let waited =
            self.gpu.device.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None });
        self.gpu.check()?;
        waited.map_err(|e| Kind::Device(format!("waiting for {}: {e}", self.gpu.description.name)))?;
        let mut results = Vec::with_capacity(parts.len());
        for (staging, mapped) in parts {
            let unmapped = |e: &dyn std::fmt::Display| {
                Kind::Device(format!("results could not be read from {}: {e}", self.gpu.description.name))
            };
            match pollster::block_on(mapped.receive()) {
                Some(mapped) => mapped.map_err(|e| unmapped(&e))?,
                None => return Err(unmapped(&"the device went away").into()),
            }
            let view = staging.get_mapped_range(..).map_err(|e| unmapped(&e))?;
            results.push(bytemuck::pod_collect_to_vec(&view[..]));
            drop(view);
            staging.unmap();
            self.staging.entry(staging.size()).or_default().push(staging);
        }
        Ok(results)
    }
}

/// A number of 64 bits that was read as two of 32.
fn ticks(words: &[f32]) -> u64 {
    u64::from(words[0].to_bits()) | u64::from(words[1].to_bits()) << 32
}

impl GpuEngine {
    /// Encodes a program once for each step; with `clock`, its first two timestamps are those of start and end.
    fn encode(
        &mut self,
        program: ProgramId,
        steps: &[Step],
        clock: Option<&wgpu::QuerySet>,
    ) -> wgpu::CommandEncoder {
        assert!(steps.len() <= MOST_STEPS, "a submission has at most {MOST_STEPS} steps");
        for (row, step) in self.rows.chunks_exact_mut(UNIFORM_STRIDE as usize).zip(steps) {
            row[..size_of::<Step>()].copy_from_slice(bytemuck::bytes_of(step));
        }
        let used = UNIFORM_STRIDE as usize * steps.len();
        self.gpu.queue.write_buffer(&self.steps, 0, &self.rows[..used]);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let timestamps = clock.map(|query_set| wgpu::ComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        });
        let descriptor = wgpu::ComputePassDescriptor { timestamp_writes: timestamps, ..Default::default() };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        for row in 0..steps.len() {
            let offset = [row as u32 * UNIFORM_STRIDE as u32];
            for dispatch in &self.programs[program.0] {
                pass.set_pipeline(&dispatch.pipeline.pipeline);
                let offsets = if dispatch.uses_step { &offset[..] } else { &[] };
                pass.set_bind_group(0, &dispatch.bind_group, offsets);
                pass.dispatch_workgroups(dispatch.grid[0], dispatch.grid[1], 1);
            }
        }
        drop(pass);
        self.counters.submissions += 1;
        self.counters.steps += steps.len() as u64;
        self.counters.dispatches += (steps.len() * self.programs[program.0].len()) as u64;
        encoder
    }

    /// Submits what is encoded since `start`, followed by copies of `results` into mapped memory.
    fn copy_out(
        &mut self,
        mut encoder: wgpu::CommandEncoder,
        results: &[BufferId],
        start: Instant,
    ) -> Result<Ticket> {
        let mut copies = Vec::with_capacity(results.len());
        for id in results {
            let bytes = self.buffers[id.0].size();
            let staging = self.staging(bytes)?;
            encoder.copy_buffer_to_buffer(&self.buffers[id.0], 0, &staging, 0, bytes);
            copies.push(staging);
        }
        self.send(encoder, copies, start)
    }

    /// Submits what is encoded since `start`, and maps the buffers that it fills.
    fn send(
        &mut self,
        encoder: wgpu::CommandEncoder,
        copies: Vec<wgpu::Buffer>,
        start: Instant,
    ) -> Result<Ticket> {
        let commands = encoder.finish();
        let encoded = Instant::now();
        let submission = self.gpu.queue.submit([commands]);
        self.counters.encoding += encoded - start;
        self.counters.submitting += encoded.elapsed();
        let parts = copies
            .into_iter()
            .map(|staging| {
                let (sender, receiver) = oneshot_channel();
                staging.map_async(wgpu::MapMode::Read, .., move |mapped| {
                    // The receiver is gone only when the submission was abandoned.
                    let _ = sender.send(mapped);
                });
                (staging, receiver)
            })
            .collect();
        self.gpu.check()?;
        Ok(Ticket::Pending(Pending { submission, parts }))
    }
}
