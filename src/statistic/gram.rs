//! One pass over all pairs of points: sums of the kernel matrix that need no memory for it.

use super::p_value::TIE;
use super::points::Points;
use super::precise;
use super::resolution::MANY;
use super::{KernelFunction, Sample};
use crate::engine::{Device, Engine, MOST_STEPS, Ticket};
use crate::error::{Error, Result};
use crate::kernel::fold::{Fold, Parts};
use crate::kernel::pair_forms::{BITS, PairForms, members_len};
use crate::kernel::pair_products::PairProducts;
use crate::kernel::pair_sums::{PairSums, TERMS};
use crate::kernel::pairs::{Form, Function, Layout, MOST_POINTS, Pairs, Second, UNLIMITED, Value};
use crate::program::{BufferId, MOST_ITERATIONS, Plan, ProgramId, Step};
use std::collections::VecDeque;
use std::sync::Arc;

/// Largest buffer of points: software adapters bind 128 MiB at most.
const SLICE_BYTES: usize = 64 << 20;

/// Most blocks of a slice: far below the 65,535 workgroups and loop iterations that devices promise.
const SLICE_BLOCKS: usize = 1 << 14;

/// Most kernels of a pass: the CPU keeps a tile of values of each.
const MOST_KERNELS: usize = 32;

/// Largest buffer of parts, a step's intermediate sums.
const PARTS_BYTES: usize = 16 << 20;

/// Most work of one step, in floating-point operations: a slow GPU must not be kept from its screen for long.
const STEP_FLOP: usize = 1 << 36;

/// About the work of one submission; after each, progress is reported.
const SUBMISSION_FLOP: usize = 1 << 35;

/// Submissions on their way at a time.
const IN_FLIGHT: usize = 2;

/// The results that are wanted beside the sums of each point.
#[derive(Clone, Debug)]
pub enum Request<'a> {
    /// Nothing.
    None,
    /// The sums of k^2, as for the other two.
    Squares,
    /// The quadratic forms a_b' K a_b of label vectors.
    Forms(&'a Labels),
    /// The kernel matrix summed over bins of this many points, each sample's own.
    Bins(usize),
    /// Instead of all sums, those of products with another kernel matrix in many orders; of one sample.
    Products(&'a Orders<'a>),
}

/// Another variable of the same points, and orders it is taken in.
#[derive(Clone, Debug)]
pub struct Orders<'a> {
    /// The variable: one sample.
    pub points: &'a Points,
    /// Its kernel.
    pub kernel: &'a KernelFunction,
    /// How many orders.
    pub draws: usize,
    /// `(draws, n)`: whose value each point gets.
    pub order: Vec<u32>,
}

/// The pairs of one sample with a kernel, not yet cut into slices.
fn pairs_of(points: &Points, kernel: &KernelFunction, form: Form, cross: bool) -> Pairs {
    let second = points.second.as_ref().map(|second| Second {
        d: second.d,
        family: second.kernel.family,
        bandwidths: second.kernel.bandwidths.len(),
    });
    let function = Function::kernel(kernel.family, kernel.bandwidths.len(), points.d);
    Pairs {
        layout: Layout { cross, reach: points.reach, ..Layout::new(points.counts) },
        function: Function { value: points.value, form, second, ..function },
    }
}

impl Orders<'_> {
    /// The kernel that multiplies, for pairs of the first variable.
    fn product(&self, pairs: &Pairs) -> PairProducts {
        let function = Function::kernel(self.kernel.family, self.kernel.bandwidths.len(), self.points.d);
        let second = Pairs { function, ..*pairs };
        PairProducts { pairs: *pairs, second, draws: self.draws }
    }
}

impl Request<'_> {
    pub(super) fn draws(&self) -> usize {
        match self {
            Request::Forms(labels) => labels.draws,
            Request::Products(orders) => orders.draws,
            Request::None | Request::Squares | Request::Bins(_) => 0,
        }
    }

    /// Work of one pair of points.
    fn flop_each(&self, pairs: &Pairs) -> usize {
        let draw = match self {
            Request::Products(orders) => orders.product(pairs).second.function.flop_each() + 2,
            _ => 2,
        };
        pairs.function.flop_each() + self.draws() * draw
    }
}

/// Work of one row block with all columns of a slice, for each kernel.
fn row_block_flop(pairs: &Pairs, request: &Request<'_>, kernels: usize) -> usize {
    pairs.layout.band() * pairs.layout.block * pairs.layout.block * request.flop_each(pairs) * kernels
}

/// Bytes of the parts of one row block.
fn parts_bytes(pairs: &Pairs, draws: usize, kernels: usize) -> usize {
    4 * pairs.layout.band() * kernels * (pairs.layout.block * TERMS).max(draws)
}

/// Many 0/1 label vectors over all points, as bits: point p of a sample is bit p % 32 of its word (p / 32, b).
#[derive(Clone, Debug)]
pub struct Labels {
    /// How many vectors.
    pub draws: usize,
    /// `(words of X + words of Y, draws)`: each sample begins with a new word.
    pub words: Vec<u32>,
}

/// The results of a pass. Values of K are those of the kernel, its weight included; the diagonal is left out.
/// With `cross`, so are all pairs of points of one sample.
#[derive(Clone, Debug)]
pub struct Gram {
    /// Points of X and of Y.
    pub counts: [usize; 2],
    /// Of each point of X, then of Y: sums over the points of X and of Y of k.
    pub k: Vec<[f64; 2]>,
    /// Sums of k^2; empty if nothing but sums of k was wanted.
    pub k2: Vec<[f64; 2]>,
    /// a_b' K a_b of each label vector; for [`Request::Products`] the sum over i != j of each order's products, of
    /// weightless kernels less their centres.
    pub forms: Vec<f64>,
    /// `(bins, bins)`: K summed over bins; symmetric.
    pub bins: Vec<f64>,
    /// Pairs of points: those that were wanted, each once.
    pub evaluations: f64,
    /// How distances were computed.
    pub form: Form,
    /// Bytes of the engine's buffers.
    pub bytes: usize,
    /// What all values of K are to be multiplied by to be those of the kernel in the data's own units. Sums in the data's
    /// units may be too large for any number, and what tests need of them does not depend on units. 1 for kernels with a
    /// bandwidth.
    pub unit: f64,
    /// Whether the sums were made in f64 on the CPU, because some points are too far from others for f32.
    pub precise: bool,
}

/// That of sums in f64, which round 10^8 times less.
const TIE_PRECISE: f64 = 1e-13;

/// The warning that a pass was made in f64.
const PRECISE: &str = "some points are so far from the others, beside the bandwidth or the distances of close points, \
    that 32-bit numbers would lose digits: sums are made in 64 bits on the CPU, which is slower";

impl Gram {
    /// Works through all pairs of two samples, or only those of a point of each.
    ///
    /// `progress` is called with the fraction that is done; its error ends the work, and is given back.
    ///
    /// # Errors
    /// If the kernel or the device cannot do it.
    pub fn new(
        device: &Device,
        [x, y]: [Sample<'_>; 2],
        kernel: &KernelFunction,
        request: &Request<'_>,
        cross: bool,
        progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Self> {
        let points = Points::new(x, y, &[kernel])?;
        Self::of(device, &points, kernel, request, cross, progress)
    }

    /// The same for points that are placed already.
    ///
    /// # Errors
    /// If the kernel or the device cannot do it.
    pub fn of(
        device: &Device,
        points: &Points,
        kernel: &KernelFunction,
        request: &Request<'_>,
        cross: bool,
        progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Self> {
        if is_precise(points, request) {
            check(points, &[kernel])?;
            return Ok(precise::grams(points, &[kernel], &[], request, cross, progress)?.swap_remove(0));
        }
        Pass::new(device, points, kernel, request, cross)?.run(progress)
    }

    /// Values that differ by less than this share of a mean value are equal: rounding must not break ties.
    pub(super) fn tie(&self) -> f64 {
        if self.precise { TIE_PRECISE } else { TIE }
    }

    /// The same sums in another unit.
    pub(super) fn in_unit(self, unit: f64) -> Self {
        if self.unit == unit {
            return self;
        }
        let factor = self.unit / unit;
        Self { unit, ..self.times(factor) }
    }

    /// All sums of values that are so many times as large.
    pub(super) fn times(mut self, factor: f64) -> Self {
        self.k.iter_mut().flatten().chain(&mut self.forms).chain(&mut self.bins).for_each(|k| *k *= factor);
        self.k2.iter_mut().flatten().for_each(|k2| *k2 *= factor * factor);
        self
    }

    /// A warning if the pass was slow.
    pub fn warning(&self) -> Option<String> {
        (self.precise && self.counts.iter().sum::<usize>() > MANY).then(|| PRECISE.to_owned())
    }
}

/// Whether a pass is made in f64.
fn is_precise(points: &Points, request: &Request<'_>) -> bool {
    let second = matches!(request, Request::Products(orders) if orders.points.precise.is_some());
    points.precise.is_some() || second
}

/// The sums of many kernels, with the forms of the same labels: kernels share passes, and in a pass all distances,
/// as far as they are of one family. For [`Value::Dependence`] there are as many `seconds`, each kernel's partner.
///
/// `progress` is called with the fraction that is done; its error ends the work, and is given back.
///
/// # Errors
/// If a kernel or the device cannot do it.
pub fn grams(
    device: &Device,
    points: &Points,
    kernels: &[&KernelFunction],
    seconds: &[&KernelFunction],
    labels: &Labels,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Vec<Gram>> {
    let request = Request::Forms(labels);
    if is_precise(points, &request) {
        check(points, kernels)?;
        return precise::grams(points, kernels, seconds, &request, false, progress);
    }
    let forms: Vec<Form> = kernels.iter().map(|kernel| points.form(kernel)).collect();
    let alike = |a: usize, b: usize| {
        let same = |a: &KernelFunction, b: &KernelFunction| {
            (a.family, a.bandwidths.len()) == (b.family, b.bandwidths.len()) && a.coordinates == b.coordinates
        };
        let seconds = seconds.is_empty() || same(seconds[a], seconds[b]);
        same(kernels[a], kernels[b]) && seconds && forms[a] == forms[b]
    };
    let mut all = Vec::with_capacity(kernels.len());
    while all.len() < kernels.len() {
        let first = all.len();
        let run = (first..kernels.len()).take_while(|&next| alike(first, next)).count();
        let range = first..first + run.min(together(device, points, kernels[first], labels.draws));
        let mut part =
            |done: f64| progress((first as f64 + done * range.len() as f64) / kernels.len() as f64);
        let seconds = seconds.get(range.clone()).unwrap_or_default();
        let mut pass = Pass::with_kernels(device, points, &kernels[range.clone()], seconds, &request, false)?;
        all.extend(pass.run_each(&mut part)?);
    }
    Ok(all)
}

/// How many kernels a pass takes.
fn together(device: &Device, points: &Points, kernel: &KernelFunction, draws: usize) -> usize {
    let mut pairs = pairs_of(points, kernel, points.form(kernel), false);
    let most = most_points(&pairs);
    pairs.layout.block = pairs.fitting_block(most, draws, 1);
    pairs.layout.slice = pairs.layout.blocks().min(SLICE_BLOCKS);
    let fits = |&kernels: &usize| {
        // More kernels shall not make blocks smaller; on the CPU loops have no limit.
        let same_blocks =
            device.info().engine == "cpu" || pairs.fitting_block(most, draws, kernels) == pairs.layout.block;
        same_blocks && parts_bytes(&pairs, draws, kernels) <= PARTS_BYTES
    };
    (1..=MOST_KERNELS).rev().find(fits).unwrap_or(1)
}

/// The pairs of a pass, cut into blocks, slices and slabs.
fn cut(points: &Points, kernels: &[&KernelFunction], request: &Request<'_>, cross: bool) -> Result<Pairs> {
    check(points, kernels)?;
    let (kernel, count, draws) = (kernels[0], kernels.len(), request.draws());
    let mut pairs = pairs_of(points, kernel, points.form(kernel), cross);
    pairs.layout.block = request.block(&pairs);
    let point = (pairs.layout.pitch() * pairs.function.stride().max(count * TERMS)).max(count * draws);
    pairs.layout.slice = (SLICE_BYTES / (4 * point)).min(SLICE_BLOCKS).clamp(1, pairs.layout.blocks());
    let most = (PARTS_BYTES / parts_bytes(&pairs, draws, count))
        .min(STEP_FLOP / row_block_flop(&pairs, request, count));
    pairs.layout.slab = most.clamp(1, pairs.layout.slice);
    Ok(pairs)
}

/// Whether a pass makes sense.
fn check(points: &Points, kernels: &[&KernelFunction]) -> Result<()> {
    kernels.iter().try_for_each(|kernel| kernel.check())?;
    if points.reach != UNLIMITED && (points.value == Value::Kernel || points.reach == 0) {
        return Err(Error::usage(
            "only pairs of items of one sample can be limited to near ones, at a distance of at least 1",
        ));
    }
    Ok(())
}

/// Most points of a block: with few pairs of each point, small blocks hold few that are out of reach.
fn most_points(pairs: &Pairs) -> usize {
    pairs.layout.reach.min(MOST_POINTS).next_multiple_of(BITS)
}

/// Buffers and calls of a pass in the making.
struct Draft {
    plan: Plan,
    program: ProgramId,
    /// The contents of buffers from the start.
    contents: Vec<(BufferId, Vec<u8>)>,
    /// Buffers that start each run with zeros.
    zeros: Vec<BufferId>,
}

impl Draft {
    /// A buffer with its contents.
    fn filled<T: bytemuck::NoUninit>(&mut self, name: &str, values: &[T]) -> BufferId {
        let buffer = self.plan.buffer(name, values.len());
        self.contents.push((buffer, bytemuck::cast_slice(values).to_vec()));
        buffer
    }

    /// A buffer of sums, to which a fold adds parts.
    fn folded(&mut self, name: &str, fold: &Fold, parts: BufferId) -> Result<BufferId> {
        let sums = self.plan.buffer(name, fold.sums_len());
        self.plan.call(self.program, fold.clone(), &[("parts", parts), ("sums", sums)])?;
        self.zeros.push(sums);
        Ok(sums)
    }
}

/// The buffers that hold what was asked for.
#[derive(Default)]
struct Results {
    /// Sums of each point.
    sums: Option<BufferId>,
    forms: Option<BufferId>,
    totals: Option<(BufferId, Fold)>,
}

impl Request<'_> {
    /// Points of a block.
    fn block(&self, pairs: &Pairs) -> usize {
        match self {
            // Whole blocks make a bin.
            Request::Bins(bin) => {
                let fits = |&block: &usize| {
                    bin % block == 0 && pairs.with_block(block).iterations(0, 1) <= MOST_ITERATIONS
                };
                (1..=MOST_POINTS.min(*bin)).rev().find(fits).unwrap_or(1)
            }
            Request::Products(orders) => {
                let fits = |&tiles: &usize| {
                    orders.product(&pairs.with_block(tiles * BITS)).iterations() <= MOST_ITERATIONS
                };
                BITS * (1..=MOST_POINTS / BITS).rev().find(fits).unwrap_or(1)
            }
            _ => pairs.fitting_block(most_points(pairs), self.draws(), 1),
        }
    }

    /// Adds what this takes to a plan.
    fn plan(
        &self,
        draft: &mut Draft,
        pairs: Pairs,
        kernels: usize,
        inputs: &[(&str, BufferId)],
    ) -> Result<Results> {
        let (layout, draws) = (pairs.layout, kernels * self.draws());
        let fold = |parts| Fold { pairs, parts };
        let tiles = layout.slab * layout.band();
        if let Request::Products(orders) = self {
            let second = draft.filled("y", &orders.points.values);
            let scales = draft.filled("scales of y", &scales_of(orders.kernel, orders.points.unit));
            let order = draft.filled("order", &orders.order);
            let parts = draft.plan.buffer("form parts", tiles * draws);
            let own =
                [("second", second), ("scales_second", scales), ("order", order), ("form_parts", parts)];
            draft.plan.call(draft.program, orders.product(&pairs), &[inputs, &own].concat())?;
            let forms = draft.folded("forms", &fold(Parts::Forms(draws)), parts)?;
            return Ok(Results { forms: Some(forms), ..Results::default() });
        }
        let parts_len = tiles * kernels * layout.block * TERMS;
        let [row_parts, column_parts] =
            ["row parts", "column parts"].map(|name| draft.plan.buffer(name, parts_len));
        let buffers = [inputs, &[("row_parts", row_parts), ("column_parts", column_parts)]].concat();
        let mut results = Results::default();
        match self {
            Request::Forms(labels) if draws > 0 => {
                let members = draft.filled("members", &members(labels, &pairs));
                let parts = draft.plan.buffer("form parts", tiles * draws);
                let own = [("members", members), ("form_parts", parts)];
                let kernel = PairForms { pairs, draws: labels.draws, kernels };
                draft.plan.call(draft.program, kernel, &[&buffers[..], &own].concat())?;
                results.forms = Some(draft.folded("forms", &fold(Parts::Forms(draws)), parts)?);
            }
            _ => {
                let kernel = PairSums { pairs, squares: !matches!(self, Request::None) };
                draft.plan.call(draft.program, kernel, &buffers)?;
            }
        }
        let sums = draft.folded("sums", &fold(Parts::Rows(kernels)), row_parts)?;
        let columns = [("parts", column_parts), ("sums", sums)];
        draft.plan.call(draft.program, fold(Parts::Columns(kernels)), &columns)?;
        results.sums = Some(sums);
        if let Request::Bins(bin) = self {
            if [layout.n, layout.m].iter().any(|count| count % bin != 0) {
                return Err(Error::usage(format!("bins of {bin} points do not divide both samples evenly")));
            }
            let fold = fold(Parts::Bins(bin / layout.block));
            results.totals = Some((draft.folded("totals", &fold, row_parts)?, fold));
        }
        Ok(results)
    }
}

/// A pass with its points on an engine, which can be run more than once.
pub struct Pass<'a> {
    engine: Box<dyn Engine>,
    pairs: Pairs,
    kernels: Vec<KernelFunction>,
    /// See [`Gram::unit`].
    unit: f64,
    request: Request<'a>,
    points: &'a Points,
    program: ProgramId,
    rows: BufferId,
    columns: BufferId,
    results: Results,
    /// Buffers that start each run with zeros, and their bytes.
    zeros: Vec<(BufferId, usize)>,
    bytes: usize,
}

impl<'a> Pass<'a> {
    /// Plans a pass and puts the points on the engine.
    ///
    /// # Errors
    /// If the kernel or the device cannot do it.
    pub fn new(
        device: &Device,
        points: &'a Points,
        kernel: &KernelFunction,
        request: &Request<'a>,
        cross: bool,
    ) -> Result<Self> {
        Self::with_kernels(device, points, &[kernel], &[], request, cross)
    }

    /// A pass with several kernels of one family, for [`Request::Forms`]; `seconds` are those of the second variable, if
    /// not that of the points.
    fn with_kernels(
        device: &Device,
        points: &'a Points,
        kernels: &[&KernelFunction],
        seconds: &[&KernelFunction],
        request: &Request<'a>,
        cross: bool,
    ) -> Result<Self> {
        kernels.iter().chain(seconds).try_for_each(|kernel| kernel.check())?;
        if is_precise(points, request) {
            return Err(Error::usage("these points are too far apart for a pass in f32; use Gram::of"));
        }
        let pairs = cut(points, kernels, request, cross)?;
        let (mut plan, count) = (Plan::default(), kernels.len());
        let program = plan.program("pairs");
        let rows = plan.buffer("rows", pairs.slice_len());
        // One slice holds all points: rows and columns are the same.
        let whole = pairs.layout.slice == pairs.layout.blocks();
        let columns = if whole { rows } else { plan.buffer("columns", pairs.slice_len()) };
        let mut draft = Draft { plan, program, contents: Vec::new(), zeros: Vec::new() };
        let scales = kernels.iter().enumerate().flat_map(|(i, kernel)| {
            let second = points.second.as_ref().map_or(Vec::new(), |second| {
                scales_of(seconds.get(i).copied().unwrap_or(&second.kernel), second.unit)
            });
            [scales_of(kernel, points.unit), second].concat()
        });
        let scales = draft.filled("scales", &scales.collect::<Vec<f32>>());
        let inputs = [("rows", rows), ("columns", columns), ("scales", scales)];
        let results = request.plan(&mut draft, pairs, count, &inputs)?;
        let Draft { plan, contents, zeros, .. } = draft;
        let zeros = zeros.into_iter().map(|id| (id, 4 * plan.buffers[id.0].len)).collect();
        let bytes = plan.bytes();
        let mut engine = device.load(Arc::new(plan))?;
        contents.iter().try_for_each(|(buffer, bytes)| engine.write(*buffer, bytes))?;
        if whole {
            engine.write(rows, bytemuck::cast_slice(&points.blocks(&pairs, 0..pairs.layout.blocks())))?;
        }
        Ok(Self {
            engine,
            pairs,
            unit: points.unit_of_values(kernels[0]),
            kernels: kernels.iter().map(|&kernel| kernel.clone()).collect(),
            request: request.clone(),
            points,
            program,
            rows,
            columns,
            results,
            zeros,
            bytes,
        })
    }

    /// How distances are computed.
    pub fn form(&self) -> Form {
        self.pairs.function.form
    }

    /// Bytes of the engine's buffers.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Works through all pairs; `progress` is called with the fraction that is done; its error ends the work, and is given back.
    ///
    /// # Errors
    /// If the device fails.
    pub fn run(&mut self, progress: &mut dyn FnMut(f64) -> Result<()>) -> Result<Gram> {
        Ok(self.run_each(progress)?.swap_remove(0))
    }

    fn run_each(&mut self, progress: &mut dyn FnMut(f64) -> Result<()>) -> Result<Vec<Gram>> {
        for (buffer, bytes) in &self.zeros {
            self.engine.write(*buffer, &vec![0; *bytes])?;
        }
        let batches = self.batches();
        let mut flight: VecDeque<Ticket> = VecDeque::new();
        let mut at = [usize::MAX; 2];
        for (done, steps) in batches.iter().enumerate() {
            let wanted = [steps[0].rows_at as usize, steps[0].columns_at as usize];
            if self.rows != self.columns {
                for (buffer, at, wanted) in [(self.rows, at[0], wanted[0]), (self.columns, at[1], wanted[1])]
                {
                    if at != wanted {
                        let slice = self.points.blocks(&self.pairs, wanted..wanted + self.pairs.layout.slice);
                        self.engine.write(buffer, bytemuck::cast_slice(&slice))?;
                    }
                }
            }
            at = wanted;
            flight.push_back(self.engine.submit(self.program, steps, &[])?);
            if flight.len() == IN_FLIGHT {
                let first = flight.pop_front().expect("two are in flight");
                self.engine.wait(first)?;
            }
            progress((done + 1) as f64 / batches.len() as f64)?;
        }
        for ticket in flight {
            self.engine.wait(ticket)?;
        }
        self.result()
    }

    /// All steps, as they are submitted.
    fn batches(&self) -> Vec<Vec<Step>> {
        let pairs = &self.pairs;
        let slices = || (0..pairs.layout.blocks()).step_by(pairs.layout.slice);
        let step_flop = pairs.layout.slab * row_block_flop(pairs, &self.request, self.kernels.len());
        let most = (SUBMISSION_FLOP / step_flop).clamp(1, MOST_STEPS);
        let mut batches = Vec::new();
        for rows_at in slices() {
            let last = (rows_at + pairs.layout.slice - 1).saturating_add(pairs.layout.blocks_in_reach());
            for columns_at in slices().filter(|at| (rows_at..=last).contains(at)) {
                let step = |first: usize| Step {
                    first: first as u32,
                    rows_at: rows_at as u32,
                    columns_at: columns_at as u32,
                    ..Step::default()
                };
                let row_blocks = 0..pairs.layout.slice.min(pairs.layout.blocks() - rows_at);
                let steps: Vec<Step> = row_blocks.step_by(pairs.layout.slab).map(step).collect();
                batches.extend(steps.chunks(most).map(<[Step]>::to_vec));
            }
        }
        batches
    }

    /// Reads the sums of each kernel.
    fn result(&mut self) -> Result<Vec<Gram>> {
        let Self { engine, pairs, kernels, unit, request, results, bytes, .. } = self;
        let mut read = |buffer: Option<BufferId>| buffer.map_or(Ok(Vec::new()), |id| engine.read(id));
        let (sums, forms_of_blocks) = (read(results.sums)?, read(results.forms)?);
        let totals = read(results.totals.as_ref().map(|(buffer, _)| *buffer))?;
        let draws = request.draws();
        let forms_of_all = block_sums(&forms_of_blocks, kernels.len() * draws);
        let Layout { n, m, block, cross, reach, .. } = pairs.layout;
        let [x, y] = [n as f64, m as f64];
        let evaluations = if cross { x * y } else { near_pairs(x + y, reach) };
        let gram = |(index, kernel): (usize, &KernelFunction)| {
            // Of each block the sums of this kernel.
            let blocks = sums.chunks_exact(block * TERMS).skip(index).step_by(kernels.len());
            let sums: Vec<f32> = blocks.flatten().copied().collect();
            let (k, mut k2) =
                if sums.is_empty() { Default::default() } else { point_sums(&sums, pairs, kernel) };
            if matches!(request, Request::None) {
                k2.clear();
            }
            let own = forms_of_all.get(index * draws..(index + 1) * draws).unwrap_or_default();
            let forms = match request {
                Request::Forms(labels) => forms(own, labels, kernel, pairs),
                _ => own.to_vec(),
            };
            let of_bins = results.totals.as_ref();
            let bins = of_bins.map_or(Vec::new(), |(_, fold)| bin_table(&totals, fold, kernel, &k));
            let form = pairs.function.form;
            let (bytes, unit) = (*bytes, *unit);
            Gram { counts: [n, m], k, k2, forms, bins, evaluations, form, bytes, unit, precise: false }
        };
        Ok(kernels.iter().enumerate().map(gram).collect())
    }
}

/// Pairs of n items whose numbers differ by at most `reach`: sum over r = 1..=reach of n - r.
pub(super) fn near_pairs(n: f64, reach: usize) -> f64 {
    let reach = (reach as f64).min(n - 1.0);
    n * reach - reach * (reach + 1.0) / 2.0
}

/// The scales of a kernel for points in a unit. A bandwidth so small or large that its scale leaves the range of f32 makes
/// k 0 or 1 anyway.
fn scales_of(kernel: &KernelFunction, unit: f64) -> Vec<f32> {
    let in_range = |scale: f64| scale.signum() * scale.abs().clamp(1e-30, 1e30);
    kernel.in_units(unit).scales().map(|scale| in_range(scale) as f32).collect()
}

/// Labels in the order of the blocks, padding included.
fn members(labels: &Labels, pairs: &Pairs) -> Vec<u32> {
    let draws = labels.draws;
    let mut words = vec![0u32; members_len(pairs, draws)];
    let (x, y) = labels.words.split_at(pairs.layout.n.div_ceil(BITS) * draws);
    words[..x.len()].copy_from_slice(x);
    let first_of_y = pairs.layout.blocks_of_x() * pairs.layout.block / BITS * draws;
    words[first_of_y..][..y.len()].copy_from_slice(y);
    words
}

/// Sums of k and of k^2 of each point, without the padding, from sums of weightless k less its centre.
fn point_sums(sums: &[f32], pairs: &Pairs, kernel: &KernelFunction) -> (Vec<[f64; 2]>, Vec<[f64; 2]>) {
    let (weight, centre) = (kernel.weight(), pairs.function.centre());
    let half = sums.len() / 2;
    let first_of_y = pairs.layout.blocks_of_x() * pairs.layout.block;
    let point = |own: usize, place: usize| {
        let of_class = |class: usize| {
            let partners = match (class == own, pairs.layout.cross) {
                (true, true) => 0.0,
                (true, false) => [pairs.layout.n, pairs.layout.m][class] as f64 - 1.0,
                (false, _) => [pairs.layout.n, pairs.layout.m][class] as f64,
            };
            let [s, s2] = [0, 1].map(|term| f64::from(sums[class * half + place * TERMS + term]));
            (
                weight * (s + partners * centre),
                weight * weight * (s2 + 2.0 * centre * s + partners * centre * centre),
            )
        };
        let ((k_x, k2_x), (k_y, k2_y)) = (of_class(0), of_class(1));
        ([k_x, k_y], [k2_x, k2_y])
    };
    let of_x = (0..pairs.layout.n).map(|place| point(0, place));
    of_x.chain((first_of_y..first_of_y + pairs.layout.m).map(|place| point(1, place))).unzip()
}

/// The sums over row blocks of `(blocks, draws)`.
fn block_sums(values: &[f32], draws: usize) -> Vec<f64> {
    if values.is_empty() {
        return Vec::new();
    }
    let mut sums = vec![0.0; draws];
    for block in values.chunks_exact(draws) {
        sums.iter_mut().zip(block).for_each(|(sum, v)| *sum += f64::from(*v));
    }
    sums
}

/// Quadratic forms from those of weightless k less its centre.
fn forms(sums: &[f64], labels: &Labels, kernel: &KernelFunction, pairs: &Pairs) -> Vec<f64> {
    let words_of_x = pairs.layout.n.div_ceil(BITS);
    let mut counts = vec![[0.0; 2]; labels.draws];
    for (place, words) in labels.words.chunks_exact(labels.draws).enumerate() {
        let class = usize::from(place >= words_of_x);
        counts.iter_mut().zip(words).for_each(|(count, word)| count[class] += f64::from(word.count_ones()));
    }
    let summands = |[x, y]: [f64; 2]| if pairs.layout.cross { 2.0 * x * y } else { (x + y) * (x + y - 1.0) };
    let centres = counts.into_iter().map(|counts| pairs.function.centre() * summands(counts));
    sums.iter().zip(centres).map(|(sum, centres)| kernel.weight() * (sum + centres)).collect()
}

/// The symmetric table of bins from the upper triangle of (blocks, bins) and the sums of the points.
fn bin_table(totals: &[f32], of: &Fold, kernel: &KernelFunction, k: &[[f64; 2]]) -> Vec<f64> {
    let (bins, pairs) = (of.bins(), &of.pairs);
    let size = of.blocks_per_bin() * pairs.layout.block;
    let mut table = vec![0.0; bins * bins];
    let is_x = |bin: usize| bin < of.bins_of_x();
    for (i, row) in totals.chunks_exact(bins).enumerate() {
        let u = of.bin(i);
        for v in (u + 1..bins).filter(|&v| !pairs.layout.cross || is_x(u) != is_x(v)) {
            let centred = f64::from(row[v]) + pairs.function.centre() * (pairs.layout.block * size) as f64;
            table[u * bins + v] += kernel.weight() * centred;
            table[v * bins + u] = table[u * bins + v];
        }
    }
    // Of the pairs within a bin, some were taken once and some both ways: they are what is left of its points'
    // sums with their own sample.
    for (u, points) in k.chunks_exact(size).enumerate() {
        let class = usize::from(!is_x(u));
        let own = if class == 0 { 0..of.bins_of_x() } else { of.bins_of_x()..bins };
        let others: f64 = own.filter(|&v| v != u).map(|v| table[u * bins + v]).sum();
        table[u * bins + u] = points.iter().map(|k| k[class]).sum::<f64>() - others;
    }
    table
}
