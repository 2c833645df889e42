//! Computations as plain data: buffers, kernel calls in order, and the [`Kernel`] trait.
//!
//! A [`Plan`] is plain data. The model builds it, either engine runs it, and it can be printed and counted
//! without a device.

use crate::error::{Kind, Result};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// A buffer of a [`Plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct BufferId(pub usize);

/// A program of a [`Plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct ProgramId(pub usize);

/// Memory of `len` 32-bit words: f32 numbers, or four u8 pixels a word.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// Its name, such as `encoder.0` or `z`.
    pub name: String,
    /// Size in 32-bit words.
    pub len: usize,
}

/// One dispatch: a kernel with its sizes, and the buffers it works on.
#[derive(Debug)]
pub struct Call {
    /// The kernel with its sizes and switches filled in.
    pub kernel: Arc<dyn Kernel>,
    /// In the order of [`Spec::reads`].
    pub reads: Vec<BufferId>,
    /// In the order of [`Spec::writes`].
    pub writes: Vec<BufferId>,
}

/// The name of [`Plan::unused`].
const UNUSED: &str = "unused";

/// Its length: bindings cannot be empty.
pub const UNUSED_LEN: usize = 1;

/// Kernel calls in order: a training step, an evaluation batch, a decoder pass.
#[derive(Debug)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// The dispatches.
    pub calls: Vec<Call>,
}

/// All buffers and programs of one computation. Every program may use every buffer.
#[derive(Debug, Default)]
pub struct Plan {
    /// The memory.
    pub buffers: Vec<Buffer>,
    /// The programs.
    pub programs: Vec<Program>,
}

impl Plan {
    /// Adds a buffer of `len` words.
    pub fn buffer(&mut self, name: impl Into<String>, len: usize) -> BufferId {
        self.buffers.push(Buffer { name: name.into(), len });
        BufferId(self.buffers.len() - 1)
    }

    /// The buffer, of one word, for what a call's switches leave unused.
    pub fn unused(&mut self) -> BufferId {
        let found = self.buffers.iter().position(|buffer| buffer.name == UNUSED);
        found.map_or_else(|| self.buffer(UNUSED, UNUSED_LEN), BufferId)
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> usize {
        4 * self.buffers.iter().map(|buffer| buffer.len).sum::<usize>()
    }

    /// The buffers of a call, each once and without [`Plan::unused`], for lists that people read.
    pub fn used(&self, ids: &[BufferId]) -> impl Iterator<Item = &Buffer> {
        let firsts = ids.iter().enumerate().filter(|(i, id)| !ids[..*i].contains(id));
        firsts.map(|(_, id)| &self.buffers[id.0]).filter(|buffer| buffer.name != UNUSED)
    }

    /// Adds an empty program.
    pub fn program(&mut self, name: impl Into<String>) -> ProgramId {
        self.programs.push(Program { name: name.into(), calls: Vec::new() });
        ProgramId(self.programs.len() - 1)
    }

    /// Appends a kernel call, its buffers given by their WGSL names.
    ///
    /// # Errors
    /// [`Kind::Shape`] when a buffer's size is not what the kernel's sizes ask for.
    ///
    /// # Panics
    /// When a name is missing or unknown, or a buffer is both read and written: mistakes in this crate.
    pub fn call(
        &mut self,
        program: ProgramId,
        kernel: impl Kernel + 'static,
        buffers: &[(&str, BufferId)],
    ) -> Result<()> {
        let (spec, shape) = (kernel.spec(), kernel.shape());
        assert_eq!(
            buffers.len(),
            spec.reads.len() + spec.writes.len(),
            "kernel `{}`: wrong number of buffers",
            spec.name
        );
        let bind = |names: &[&str], lens: &[usize]| -> Result<Vec<BufferId>> {
            names.iter().zip(lens).map(|(name, &len)| self.bind(spec, name, len, buffers)).collect()
        };
        let (reads, writes) = (bind(spec.reads, &shape.reads)?, bind(spec.writes, &shape.writes)?);
        assert!(
            writes.iter().enumerate().all(|(i, w)| !reads.contains(w) && !writes[..i].contains(w)),
            "kernel `{}`: a buffer it writes is bound twice",
            spec.name
        );
        self.programs[program.0].calls.push(Call { kernel: Arc::new(kernel), reads, writes });
        Ok(())
    }

    fn bind(
        &self,
        spec: &Spec,
        name: &str,
        expected: usize,
        buffers: &[(&str, BufferId)],
    ) -> Result<BufferId> {
        let &(_, id) = buffers
            .iter()
            .find(|(bound, _)| *bound == name)
            .unwrap_or_else(|| panic!("kernel `{}`: no buffer given for `{name}`", spec.name));
        let found = self.buffers[id.0].len;
        if found != expected {
            let (kernel, buffer) = (spec.name.to_owned(), name.to_owned());
            return Err(Kind::Shape { kernel, buffer, expected: expected.to_string(), found }.into());
        }
        Ok(id)
    }
}

/// A kernel with its sizes and switches: one value per dispatch.
///
/// The same formula three times: [`Kernel::reference`] in plain f64 loops is the truth, [`Kernel::cpu`] the
/// fast f32 version, and [`Spec::source`] the WGSL.
pub trait Kernel: fmt::Debug + Send + Sync {
    /// The part that all calls of this kernel share.
    fn spec(&self) -> &'static Spec;

    /// Buffer sizes and work of this call.
    fn shape(&self) -> Shape;

    /// The words of `params`, the uniform block of the shader, in its order.
    fn params(&self) -> Vec<u32>;

    /// Values of the shader's `override` constants that all variants have.
    fn overrides(&self) -> Overrides {
        Overrides::default()
    }

    /// The ways to carry the call out, at least one. Where nothing was measured, the first is taken.
    fn variants(&self) -> Vec<Variant>;

    /// The kernel as a beginner would write it, to measure the variants against, where there is such a shader.
    fn plain(&self) -> Option<Variant> {
        None
    }

    /// The name under which a measured choice among the variants is kept, such as `linear 128 x 784 x 300`; none where
    /// there is no choice to measure.
    fn tuning_key(&self) -> Option<String> {
        None
    }

    /// The definition of what the kernel computes: f64, no tricks. Words of packed bytes come as whole
    /// numbers.
    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>);

    /// Computes it in f32, fast, on all threads of the current rayon pool.
    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>);

    /// How far an f32 result may be from the reference, in units of the largest magnitude in its buffer.
    fn tolerance(&self) -> f64;
}

/// Values of a shader's `override` constants, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides(pub Vec<(&'static str, f64)>);

impl Overrides {
    /// One constant.
    pub fn of(name: &'static str, value: impl Constant) -> Self {
        Self::default().set(name, value)
    }

    /// With one more constant.
    pub fn set(mut self, name: &'static str, value: impl Constant) -> Self {
        self.0.push((name, value.number()));
        self
    }

    /// With the constants of another list as well.
    pub fn and(self, more: Self) -> Self {
        Self([self.0, more.0].concat())
    }
}

/// The value of an `override` constant.
pub trait Constant {
    /// As the shader's translator takes it.
    fn number(self) -> f64;
}

impl Constant for usize {
    fn number(self) -> f64 {
        self as f64
    }
}

macro_rules! exact_constants {
    ($($number:ty)*) => {
        $(impl Constant for $number {
            fn number(self) -> f64 {
                f64::from(self)
            }
        })*
    };
}

exact_constants!(bool u8 u32 i32 f32);

/// One of the ways in which a shader can do a kernel's work. All give the same results, but for sums over parts, which
/// may be cut otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Its difference from the others, such as the size of its tile, `32 x 40`; empty where there are no others.
    pub name: String,
    /// A shader of its own, if it does not share [`Spec::source`].
    pub source: Option<&'static str>,
    /// Values of the shader's `override` constants: beside [`Kernel::overrides`], or all where the shader is its own.
    pub overrides: Overrides,
    /// Workgroups in x and y.
    pub grid: [usize; 2],
    /// Loop iterations of a workgroup, all loops together, where they may be many: see [`MOST_ITERATIONS`].
    pub iterations: usize,
    /// Software adapters take it first: it has fewer of what costs most there, barriers and loads.
    pub software: bool,
}

impl Variant {
    /// The only way to carry out a call.
    pub fn only(grid: [usize; 2]) -> Vec<Self> {
        vec![Self::new("", grid)]
    }

    /// A variant of the kernel's shader.
    pub fn new(name: impl Into<String>, grid: [usize; 2]) -> Self {
        let (name, overrides) = (name.into(), Overrides::default());
        Self { name, source: None, overrides, grid, iterations: 0, software: false }
    }

    /// A beginner's shader with all its constants.
    pub fn plain(source: &'static str, overrides: Overrides, grid: [usize; 2]) -> Self {
        Self { source: Some(source), overrides, ..Self::new("plain", grid) }
    }

    /// With so many loop iterations.
    pub fn iterations(self, iterations: usize) -> Self {
        Self { iterations, ..self }
    }
}

/// A kernel with only one of its variants.
#[derive(Clone, Debug)]
pub struct OneVariant {
    /// The kernel.
    pub kernel: Arc<dyn Kernel>,
    /// The variant.
    pub variant: Variant,
}

impl OneVariant {
    /// A kernel as often as it has variants.
    pub fn all(kernel: &Arc<dyn Kernel>) -> impl Iterator<Item = Self> {
        kernel.variants().into_iter().map(|variant| Self { kernel: Arc::clone(kernel), variant })
    }

    /// The beginner's variant of a kernel, if it has one.
    pub fn plain(kernel: &Arc<dyn Kernel>) -> Option<Self> {
        Some(Self { variant: kernel.plain()?, kernel: Arc::clone(kernel) })
    }
}

impl Kernel for OneVariant {
    fn spec(&self) -> &'static Spec {
        self.kernel.spec()
    }

    fn shape(&self) -> Shape {
        self.kernel.shape()
    }

    fn params(&self) -> Vec<u32> {
        self.kernel.params()
    }

    fn overrides(&self) -> Overrides {
        self.kernel.overrides()
    }

    fn variants(&self) -> Vec<Variant> {
        vec![self.variant.clone()]
    }

    fn reference(&self, step: &Step, buffers: Buffers<'_, f64>) {
        self.kernel.reference(step, buffers);
    }

    fn cpu(&self, step: &Step, buffers: Buffers<'_, f32>) {
        self.kernel.cpu(step, buffers);
    }

    fn tolerance(&self) -> f64 {
        self.kernel.tolerance()
    }
}

/// A shader with its constants, all settled.
pub struct ShaderChoice {
    /// Its WGSL.
    pub source: &'static str,
    /// Values of its `override` constants.
    pub constants: Overrides,
    /// Equal where both are.
    pub key: String,
}

impl dyn Kernel + '_ {
    /// The shader of one of the kernel's variants; `native_exp2` is asked where it makes a difference.
    ///
    /// # Errors
    /// Those of `native_exp2`.
    pub fn shader_choice(
        &self,
        variant: &Variant,
        native_exp2: impl FnOnce() -> Result<bool>,
    ) -> Result<ShaderChoice> {
        let (mut constants, source) = self.shader(variant);
        if source.contains(NATIVE_EXP2) {
            constants = constants.set(NATIVE_EXP2, native_exp2()?);
        }
        let key = format!("{} {} {:?}", self.spec().name, variant.source.is_some(), constants.0);
        Ok(ShaderChoice { source, constants, key })
    }

    /// The constants and the source of the shader of one of the kernel's variants.
    pub fn shader(&self, variant: &Variant) -> (Overrides, &'static str) {
        match variant.source {
            Some(source) => (variant.overrides.clone(), source),
            None => (self.overrides().and(variant.overrides.clone()), self.spec().source),
        }
    }
}

/// The part that all calls of a kernel share. Numbers here are written nowhere else.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The name: `shaders/FOLDER/NAME.wgsl`, `src/kernel/FOLDER/NAME.rs`.
    pub name: &'static str,
    /// The formula in one line.
    pub formula: &'static str,
    /// WGSL: the kernel's file, then the shared functions that it uses.
    pub source: &'static str,
    /// WGSL names of the buffers that are only read.
    pub reads: &'static [&'static str],
    /// WGSL names of the buffers that are written (and perhaps read).
    pub writes: &'static [&'static str],
    /// The ones of `reads` that hold packed bytes instead of f32 numbers.
    pub words: &'static [&'static str],
    /// The one of `writes`, if any, that holds partial sums, one row per step: only the total counts, and each
    /// engine may cut it into parts as it likes, as long as all are written.
    pub partial_sums: Option<PartialSums>,
    /// Sizes for tests and benches: 1, around a tile, a prime, a large one.
    pub cases: fn() -> Vec<Case>,
}

/// A buffer of partial sums, `(slots, parts, terms)`.
#[derive(Clone, Copy, Debug)]
pub struct PartialSums {
    /// Its WGSL name.
    pub buffer: &'static str,
    /// How many sums are interleaved.
    pub terms: usize,
}

impl Spec {
    /// A kernel without buffers or cases.
    pub const fn new(name: &'static str, formula: &'static str, source: &'static str) -> Self {
        Self {
            name,
            formula,
            source,
            reads: &[],
            writes: &[],
            words: &[],
            partial_sums: None,
            cases: Vec::new,
        }
    }

    /// With buffers that it only reads.
    pub const fn reads(self, reads: &'static [&'static str]) -> Self {
        Self { reads, ..self }
    }

    /// With buffers that it writes.
    pub const fn writes(self, writes: &'static [&'static str]) -> Self {
        Self { writes, ..self }
    }

    /// With packed bytes in some of the buffers that it reads.
    pub const fn words(self, words: &'static [&'static str]) -> Self {
        Self { words, ..self }
    }

    /// With partial sums in a buffer that it writes, `terms` of them interleaved.
    pub const fn partial_sums(self, buffer: &'static str, terms: usize) -> Self {
        Self { partial_sums: Some(PartialSums { buffer, terms }), ..self }
    }

    /// With sizes at which it is tested.
    pub const fn cases(self, cases: fn() -> Vec<Case>) -> Self {
        Self { cases, ..self }
    }
}

/// Buffer sizes and work of one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Words of each buffer of [`Spec::reads`].
    pub reads: Vec<usize>,
    /// Words of each buffer of [`Spec::writes`].
    pub writes: Vec<usize>,
    /// Floating-point operations; a multiplication and an addition count as two.
    pub flop: u64,
    /// Bytes that must be moved at least once.
    pub bytes: u64,
}

impl Shape {
    /// The shape of a kernel that reads and writes each word of its buffers once.
    pub fn new<const R: usize, const W: usize>(reads: [usize; R], writes: [usize; W], flop: usize) -> Self {
        let bytes = 4 * (reads.iter().sum::<usize>() + writes.iter().sum::<usize>()) as u64;
        Self { reads: reads.into(), writes: writes.into(), flop: flop as u64, bytes }
    }
}

/// The `override` of shaders that take the device's own exp2 where it is exact enough: `shaders/lib/exponential.wgsl`.
const NATIVE_EXP2: &str = "NATIVE_EXP2";

/// Makes [`Step`], and the list of its fields as `shaders/lib/step.wgsl` has them.
macro_rules! step {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// The numbers that change from step to step: the uniform block `step` of the shaders.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct Step {
            $($(#[$doc])* pub $name: $type,)*
        }

        /// Name, offset in bytes and type of each field of [`Step`].
        pub const STEP_FIELDS: &[(&str, usize, &str)] =
            &[$((stringify!($name), std::mem::offset_of!(Step, $name), stringify!($type)),)*];
    };
}

step! {
    /// Key of all random numbers.
    seed: [u32; 2],
    /// Which step this is, from 0: part of the counter of the noise.
    number: u32,
    /// Row of the partial-sum buffers that this step writes.
    slot: u32,
    /// Which shuffled order of the data is used.
    epoch: u32,
    /// Position in that order of the batch's first row; of a pass over pairs, the first row block in its slice.
    first: u32,
    /// Adam's step size.
    learning_rate: f32,
    /// 1 / (1 - beta1^t), t = number + 1.
    correction1: f32,
    /// 1 / (1 - beta2^t).
    correction2: f32,
    /// Weight of the KL term in the objective; of its distance from the capacity where there is one.
    kl_weight: f32,
    /// The mean KL to hold, in nats.
    capacity: f32,
    /// Weight of the objective's further term, such as an MMD.
    extra_weight: f32,
    /// Which block of all points the row slice of a pass over pairs starts with.
    rows_at: u32,
    /// Which block of all points its column slice starts with.
    columns_at: u32,
}

/// Most buffers that a kernel reads, or writes: WebGPU grants 8 storage buffers in all.
pub const MOST_BUFFERS: usize = 6;

/// Loop iterations of a workgroup, all loops together, that every driver carries out: Mesa's llvmpipe silently leaves
/// all loops after 65,535.
pub const MOST_ITERATIONS: usize = 60_000;

/// The memory that one call works on, in the order of its [`Spec`].
#[derive(Debug)]
pub struct Buffers<'a, T> {
    /// Buffers that are only read; the rest of the array is empty.
    pub reads: [&'a [T]; MOST_BUFFERS],
    /// Buffers that are written; the rest of the array is empty.
    pub writes: [&'a mut [T]; MOST_BUFFERS],
}

impl<'a, T> Buffers<'a, T> {
    /// The first `R` read and the first `W` written buffers.
    pub fn split<const R: usize, const W: usize>(self) -> ([&'a [T]; R], [&'a mut [T]; W]) {
        let mut writes = self.writes.into_iter();
        let written =
            std::array::from_fn(|_| writes.next().expect("a kernel has at most MOST_BUFFERS buffers"));
        (std::array::from_fn(|i| self.reads[i]), written)
    }
}

/// One size at which a kernel is tested: the call, and what its buffers hold before it runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// The call.
    pub kernel: Arc<dyn Kernel>,
    /// The step's numbers.
    pub step: Step,
    /// The contents of each read buffer, in order.
    pub reads: Vec<Vec<f32>>,
    /// The contents of each written buffer at the start: NaN unless the kernel updates it in place.
    pub writes: Vec<Vec<f32>>,
}

impl Case {
    /// A call on standard normal numbers; all outputs start as NaN, so an element left unwritten shows.
    pub fn new(kernel: impl Kernel + 'static) -> Self {
        let shape = kernel.shape();
        let normals = |(buffer, len): (usize, &usize)| {
            let index = u32::try_from(buffer).unwrap_or(u32::MAX);
            let mut sequence = crate::random::Sequence::new(11, crate::random::Stream::Data, index);
            (0..*len).map(|_| sequence.normal()).collect()
        };
        let step = Step {
            seed: [3, 5],
            number: 4,
            epoch: 2,
            first: 1,
            learning_rate: 0.01,
            correction1: 2.5,
            correction2: 200.0,
            kl_weight: 0.7,
            capacity: 0.1,
            extra_weight: 1.3,
            ..Step::default()
        };
        Self {
            step,
            reads: shape.reads.iter().enumerate().map(normals).collect(),
            writes: shape.writes.iter().map(|&len| vec![f32::NAN; len]).collect(),
            kernel: Arc::new(kernel),
        }
    }

    /// The case for each variant of its kernel, by the variant's name.
    pub fn variants(&self) -> Vec<(String, Self)> {
        OneVariant::all(&self.kernel).map(|one| (one.variant.name.clone(), self.with(one))).collect()
    }

    /// The case with the beginner's variant of its kernel, if it has one.
    pub fn plain(&self) -> Option<Self> {
        Some(self.with(OneVariant::plain(&self.kernel)?))
    }

    fn with(&self, one: OneVariant) -> Self {
        Self { kernel: Arc::new(one), ..self.clone() }
    }

    /// Changes the contents of one buffer, by its WGSL name: `change` gets each element's index and value.
    pub fn map(mut self, name: &str, change: impl Fn(usize, f32) -> f32) -> Self {
        let spec = self.kernel.spec();
        let read = spec.reads.iter().position(|n| *n == name).map(|i| &mut self.reads[i]);
        let written = spec.writes.iter().position(|n| *n == name).map(|i| &mut self.writes[i]);
        let values = read.or(written).unwrap_or_else(|| panic!("kernel `{}` has no `{name}`", spec.name));
        values.iter_mut().enumerate().for_each(|(i, v)| *v = change(i, *v));
        self
    }
}
