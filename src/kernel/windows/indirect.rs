//! The three sums of a [`Window`] on the CPU, by one kernel that finds its left operand through a list of places
//! (indirect convolution: Dukhan, "The Indirect Convolution Algorithm", 2019).
//!
//! ```text
//! sums[r, lane] += sum over k of source[base(r) + offset(k)] right[k, lane]
//! ```
//!
//! `source` is an image with a border of zeros. What differs is what r, k and the lanes are:
//!
//! ```text
//! coarse image        r: pixels of it             k: channel and tap            lanes: channels of it
//! fine image          r: pixels S apart of it     k: channel and tap            lanes: channels of it
//! weight gradient     r: channel and tap          k: pixels of the coarse       lanes: channels of the coarse image
//! ```
//!
//! Four rows lie `stride` numbers apart, so that one place stands for all of them. An output of a few channels, such as
//! the last one's grey image, has its pixels as lanes instead. Each sum runs over k upwards, whatever the number of
//! threads.

use super::window::{Direction, Window};
use crate::grid::Grid;
use crate::kernel::sparse::{CHUNK as SQUARE, LANES, Vector as Row, ZERO, interleave, separate};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use std::cell::RefCell;

/// Rows whose places are known from the first one's.
const GROUP: usize = 4;

/// k that are added up for all rows before the next ones: their part of the right operand stays in the first-level cache.
const CHUNK: usize = 128;

/// Most channels of an image whose pixels are lanes.
const MOST_NARROW: usize = 4;

/// Pixels of a strip of such an image.
const STRIP: usize = 32;

/// Where the left operand lies.
struct Places {
    /// Of the first row of each group.
    bases: Vec<u32>,
    /// Of each k.
    offsets: Vec<u32>,
    /// From one row of a group to the next.
    stride: usize,
}

/// An image with zeros around it.
#[derive(Clone, Copy)]
struct Bordered {
    grid: Grid,
    interleaved: bool,
    /// Rows and columns with the border.
    height: usize,
    width: usize,
    /// Where the image's first pixel lies.
    origin: usize,
}

impl Bordered {
    fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Copies `image` into `source`; what is beyond a side is left out.
    fn load(&self, image: &[f32], source: &mut Vec<f32>) {
        let Self { grid, interleaved, height, width, origin } = *self;
        source.clear();
        // Groups and strips may read a little past the last plane.
        source.resize(grid.channels * self.plane() + STRIP, 0.0);
        let rows = grid.height.min(height - origin);
        let columns = grid.width.min(width - origin);
        for (c, plane) in source.chunks_exact_mut(self.plane()).take(grid.channels).enumerate() {
            for (y, row) in plane.chunks_exact_mut(width).skip(origin).take(rows).enumerate() {
                let row = &mut row[origin..][..columns];
                if interleaved {
                    let pixels = image[y * grid.width * grid.channels..].chunks_exact(grid.channels);
                    row.iter_mut().zip(pixels).for_each(|(to, pixel)| *to = pixel[c]);
                } else {
                    row.copy_from_slice(&image[c * grid.pixels() + y * grid.width..][..columns]);
                }
            }
        }
    }
}

/// Pixels of an output that are S apart, or all of them: a part of what a layer computes.
struct Phase {
    places: Places,
    /// The right operand: blocks of LANES channels of the output, of which each has a row for each k; or, where pixels
    /// are lanes, `(k, channels)`.
    right: Vec<Row>,
    narrow: Vec<f32>,
    /// Which pixels the rows are.
    runs: Vec<Stretch>,
    /// From one pixel of a run to the next.
    step: usize,
}

/// Rows that are pixels of one line of the output; more rows fill up the last group or strip.
#[derive(Clone, Copy)]
struct Stretch {
    first: usize,
    count: usize,
}

/// No tap.
const NOWHERE: u32 = u32::MAX;

/// A layer without its activation, ready for any number of images.
pub(crate) struct IndirectLayer {
    input: Bordered,
    output: Grid,
    interleaved: bool,
    phases: Vec<Phase>,
}

thread_local! {
    static SCRATCH: RefCell<WindowScratch> = const {
        RefCell::new(WindowScratch { source: Vec::new(), sums: Vec::new(), right: Vec::new(), turned: Vec::new() })
    };
}

/// Memory of one thread.
struct WindowScratch {
    source: Vec<f32>,
    sums: Vec<Row>,
    right: Vec<Row>,
    turned: Vec<f32>,
}

fn place(index: usize) -> u32 {
    u32::try_from(index).expect("an image has fewer than 2^32 numbers")
}

impl IndirectLayer {
    /// The layer of a window with the weights W.
    pub(crate) fn new(window: &Window, direction: Direction, weights: &[f32]) -> Self {
        match direction {
            Direction::ToCoarse => to_coarse(window, weights),
            Direction::ToFine => to_fine(window, weights),
        }
    }

    /// The output for one image: sums that start with `bias`, or with 0.
    pub(crate) fn compute(&self, image: &[f32], bias: Option<&[f32]>, output: &mut [f32]) {
        SCRATCH.with_borrow_mut(|WindowScratch { source, sums, turned, .. }| {
            self.input.load(image, source);
            for phase in &self.phases {
                if phase.narrow.is_empty() {
                    self.wide(phase, source, bias, (&mut *sums, &mut *turned), output);
                } else {
                    self.narrow(phase, source, bias, output);
                }
            }
        });
    }

    fn wide(
        &self,
        phase: &Phase,
        source: &[f32],
        bias: Option<&[f32]>,
        (sums, turned): (&mut Vec<Row>, &mut Vec<f32>),
        output: &mut [f32],
    ) {
        let channels = self.output.channels;
        let depth = phase.places.offsets.len();
        for (block, first) in (0..channels).step_by(LANES).enumerate() {
            let count = LANES.min(channels - first);
            let mut start = ZERO;
            if let Some(bias) = bias {
                start.0[..count].copy_from_slice(&bias[first..][..count]);
            }
            sums.clear();
            sums.resize(GROUP * phase.places.bases.len(), start);
            add_products(source, &phase.places, &phase.right[block * depth..][..depth], sums);
            let pitch = turn(sums, turned);
            for (lane, values) in turned.chunks_exact(pitch).take(count).enumerate() {
                let mut rows = 0;
                for &run in &phase.runs {
                    self.put(output, first + lane, run, phase.step, &values[rows..]);
                    rows += run.count.next_multiple_of(GROUP);
                }
            }
        }
    }

    fn narrow(&self, phase: &Phase, source: &[f32], bias: Option<&[f32]>, output: &mut [f32]) {
        let channels = self.output.channels;
        let mut strip = [[0.0; STRIP]; MOST_NARROW];
        let strips = phase.runs.iter().flat_map(|run| {
            (0..run.count).step_by(STRIP).map(|first| Stretch {
                first: run.first + first * phase.step,
                count: STRIP.min(run.count - first),
            })
        });
        for (&base, run) in phase.places.bases.iter().zip(strips) {
            for (c, strip) in strip[..channels].iter_mut().enumerate() {
                strip.fill(bias.map_or(0.0, |bias| bias[c]));
            }
            let source = &source[base as usize..];
            add_strips(source, &phase.places.offsets, &phase.narrow, &mut strip[..channels]);
            for (c, strip) in strip[..channels].iter().enumerate() {
                self.put(output, c, run, phase.step, strip);
            }
        }
    }

    /// Writes the numbers of a channel to the pixels of a run.
    fn put(&self, output: &mut [f32], channel: usize, run: Stretch, step: usize, values: &[f32]) {
        let output = &mut output[self.at(channel, run.first)..];
        let step = if self.interleaved { step * self.output.channels } else { step };
        let values = &values[..run.count];
        if step == 1 {
            output[..run.count].copy_from_slice(values);
        } else {
            output.iter_mut().step_by(step).zip(values).for_each(|(to, value)| *to = *value);
        }
    }

    fn at(&self, channel: usize, pixel: usize) -> usize {
        if self.interleaved {
            pixel * self.output.channels + channel
        } else {
            channel * self.output.pixels() + pixel
        }
    }
}

/// The fine image with as much border as the windows and whole groups of them reach into.
fn bordered_fine(window: &Window) -> Bordered {
    let Window { fine, coarse, kernel, stride, padding, interleaved } = *window;
    let height = stride * (coarse.height - 1) + kernel;
    let width = stride * (coarse.width.next_multiple_of(GROUP) - 1) + kernel.next_multiple_of(GROUP);
    Bordered {
        grid: fine,
        interleaved,
        height: height.max(padding),
        width: width.max(padding),
        origin: padding,
    }
}

fn to_coarse(window: &Window, weights: &[f32]) -> IndirectLayer {
    let Window { fine, coarse, kernel, stride, .. } = *window;
    let input = bordered_fine(window);
    let depth = fine.channels * window.taps();
    let offset = |k: usize| {
        let (c, tap) = (k / window.taps(), k % window.taps());
        place(c * input.plane() + tap / kernel * input.width + tap % kernel)
    };
    let mut places = Places { bases: Vec::new(), offsets: (0..depth).map(offset).collect(), stride };
    let mut runs = Vec::new();
    for y in 0..coarse.height {
        let groups = (0..coarse.width).step_by(GROUP);
        places.bases.extend(groups.map(|x| place(stride * (y * input.width + x))));
        runs.push(Stretch { first: y * coarse.width, count: coarse.width });
    }
    let right = blocks(coarse.channels, depth, |k, o| weights[o * depth + k]);
    let phase = Phase { places, right, narrow: Vec::new(), runs, step: 1 };
    IndirectLayer { input, output: coarse, interleaved: false, phases: vec![phase] }
}

fn to_fine(window: &Window, weights: &[f32]) -> IndirectLayer {
    let Window { fine, coarse, stride, padding, interleaved, .. } = *window;
    // Pixel Y of the fine image is seen by windows y = (Y + P) / S - t, at S t + (Y + P) % S in them.
    let border = window.overlap() - 1;
    let step = if fine.channels <= MOST_NARROW { STRIP } else { GROUP };
    let side = |length: usize, step: usize| (length - 1 + padding) / stride + step + border;
    let (height, width) = (side(fine.height, 1), side(fine.width, step));
    let input = Bordered { grid: coarse, interleaved: false, height, width, origin: border };
    let phases = (0..stride * stride).map(|phase| {
        let rest = [phase / stride, phase % stride];
        fine_phase(window, weights, &input, rest, step)
    });
    // A small image has no pixel of some rests.
    let phases = phases.filter(|phase| !phase.runs.is_empty()).collect();
    IndirectLayer { phases, input, output: fine, interleaved }
}

/// The pixels (Y, X) of a fine image for which Y + P and X + P leave these rests when divided by S.
fn fine_phase(window: &Window, weights: &[f32], input: &Bordered, rest: [usize; 2], step: usize) -> Phase {
    let Window { fine, coarse, kernel, stride, padding, .. } = *window;
    let overlap = window.overlap();
    let mut places = Places { bases: Vec::new(), offsets: Vec::new(), stride: 1 };
    // Of each k: the place of W for channel 0 of the fine image.
    let mut taps = Vec::new();
    for o in 0..coarse.channels {
        for t in 0..overlap * overlap {
            let t = [t / overlap, t % overlap];
            let [i, j] = [rest[0] + stride * t[0], rest[1] + stride * t[1]];
            if i < kernel && j < kernel {
                let [up, left] = t.map(|t| overlap - 1 - t);
                places.offsets.push(place(o * input.plane() + up * input.width + left));
                taps.push(o * fine.channels * window.taps() + i * kernel + j);
            }
        }
    }
    let windows = |rest: usize, length: usize| {
        (padding.saturating_sub(rest).div_ceil(stride)..)
            .take_while(move |y| stride * y + rest - padding < length)
    };
    let mut runs = Vec::new();
    for y in windows(rest[0], fine.height) {
        let columns: Vec<usize> = windows(rest[1], fine.width).collect();
        let Some(&first) = columns.first() else { continue };
        places.bases.extend(columns.iter().step_by(step).map(|x| place(y * input.width + x)));
        let pixel = (stride * y + rest[0] - padding) * fine.width + stride * first + rest[1] - padding;
        runs.push(Stretch { first: pixel, count: columns.len() });
    }
    let weight = |k: usize, c: usize| weights[taps[k] + c * window.taps()];
    let (mut right, mut narrow) = (Vec::new(), Vec::new());
    if step == STRIP {
        narrow = (0..taps.len())
            .flat_map(|k| (0..fine.channels).map(move |c| (k, c)))
            .map(|(k, c)| weight(k, c))
            .collect();
    } else {
        right = blocks(fine.channels, taps.len(), weight);
    }
    Phase { places, right, narrow, runs, step: stride }
}

/// Blocks of LANES channels, of which each has `depth` rows.
fn blocks(channels: usize, depth: usize, weight: impl Fn(usize, usize) -> f32) -> Vec<Row> {
    let mut rows = vec![ZERO; channels.div_ceil(LANES) * depth];
    for (block, rows) in rows.chunks_exact_mut(depth.max(1)).enumerate() {
        for (k, Row(row)) in rows.iter_mut().enumerate() {
            let lanes = row.iter_mut().zip(block * LANES..channels);
            lanes.for_each(|(lane, channel)| *lane = weight(k, channel));
        }
    }
    rows
}

/// The gradient of the weights of a window, ready for any number of images.
pub(crate) struct Gradient {
    window: Window,
    input: Bordered,
    places: Places,
    /// The place of each row's gradient in W of coarse channel 0.
    taps: Vec<u32>,
}

impl Gradient {
    pub(crate) fn new(window: &Window) -> Self {
        let Window { fine, coarse, kernel, stride, .. } = *window;
        let input = bordered_fine(window);
        let offset = |p: usize| place(stride * (p / coarse.width * input.width + p % coarse.width));
        let mut places =
            Places { bases: Vec::new(), offsets: (0..coarse.pixels()).map(offset).collect(), stride: 1 };
        let mut taps = Vec::new();
        for c in 0..fine.channels {
            for i in 0..kernel {
                for j in (0..kernel).step_by(GROUP) {
                    places.bases.push(place(c * input.plane() + i * input.width + j));
                    let tap = |j| if j < kernel { place((c * kernel + i) * kernel + j) } else { NOWHERE };
                    taps.extend((j..j + GROUP).map(tap));
                }
            }
        }
        Self { window: *window, input, places, taps }
    }

    /// dW `(coarse channels, fine channels, K, K)`, summed over images of both sizes.
    pub(crate) fn sum<'a>(&self, images: impl Iterator<Item = (&'a [f32], &'a [f32])>, gradient: &mut [f32]) {
        let Window { coarse, .. } = self.window;
        let blocks = coarse.channels.div_ceil(LANES);
        let depth = coarse.pixels();
        SCRATCH.with_borrow_mut(|WindowScratch { source, sums, right, .. }| {
            sums.clear();
            sums.resize(blocks * self.taps.len(), ZERO);
            right.resize(depth, ZERO);
            for (fine, coarse_image) in images {
                self.input.load(fine, source);
                for (block, sums) in sums.chunks_exact_mut(self.taps.len()).enumerate() {
                    let first = block * LANES;
                    let count = LANES.min(coarse.channels - first);
                    transpose(&coarse_image[first * depth..][..count * depth], &mut right[..depth]);
                    add_products(source, &self.places, &right[..depth], sums);
                }
            }
            let row_len = gradient.len() / coarse.channels;
            for (o, gradient) in gradient.chunks_exact_mut(row_len).enumerate() {
                let sums = &sums[o / LANES * self.taps.len()..][..self.taps.len()];
                for (&tap, Row(sums)) in self.taps.iter().zip(sums) {
                    if tap != NOWHERE {
                        gradient[tap as usize] = sums[o % LANES];
                    }
                }
            }
        });
    }
}

/// `turned[lane][r] = rows[r][lane]`; gives the numbers from one lane to the next.
#[multiversion(targets = "simd")]
fn turn(rows: &[Row], turned: &mut Vec<f32>) -> usize {
    let pitch = rows.len().next_multiple_of(SQUARE);
    turned.resize(LANES * pitch, 0.0);
    let mut lanes = [[0.0; SQUARE]; LANES];
    for (rows, first) in rows.chunks(SQUARE).zip((0..).step_by(SQUARE)) {
        if let Some(rows) = rows.first_chunk() {
            separate(rows, &mut lanes);
        } else {
            for (r, row) in rows.iter().enumerate() {
                lanes.iter_mut().zip(row.0).for_each(|(lane, value)| lane[r] = value);
            }
        }
        for (lane, turned) in lanes.iter().zip(turned.chunks_exact_mut(pitch)) {
            turned[first..][..SQUARE].copy_from_slice(lane);
        }
    }
    pitch
}

/// `rows[p][lane] = planes[lane][p]`, and 0 where there are fewer planes than lanes.
#[multiversion(targets = "simd")]
fn transpose(planes: &[f32], rows: &mut [Row]) {
    let pixels = rows.len();
    let count = planes.len() / pixels;
    for first in (0..pixels).step_by(SQUARE) {
        let rows = &mut rows[first..];
        if count == LANES && rows.len() >= SQUARE {
            let plane = |lane: usize| planes[lane * pixels + first..].first_chunk().expect("SQUARE numbers");
            interleave(std::array::from_fn(plane), rows.first_chunk_mut().expect("SQUARE rows"));
            continue;
        }
        for (p, row) in rows.iter_mut().take(SQUARE).enumerate() {
            *row = ZERO;
            row.0[..count]
                .iter_mut()
                .enumerate()
                .for_each(|(lane, v)| *v = planes[lane * pixels + first + p]);
        }
    }
}

/// sums[r, lane] += sum over k of source[base(r) + offset(k)] right[k, lane].
#[multiversion(targets = "simd")]
fn add_products(source: &[f32], places: &Places, right: &[Row], sums: &mut [Row]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    match places.stride {
        1 => add_groups::<FUSED>(source, places, right, sums, |source, at| {
            *source[at..].first_chunk::<GROUP>().expect("a group lies inside of the source")
        }),
        2 => add_groups::<FUSED>(source, places, right, sums, |source, at| {
            let [a, _, b, _, c, _, d] =
                *source[at..].first_chunk::<{ 2 * GROUP - 1 }>().expect("a group lies inside of the source");
            [a, b, c, d]
        }),
        stride => add_groups::<FUSED>(source, places, right, sums, |source, at| {
            std::array::from_fn(|i| source[at + i * stride])
        }),
    }
}

#[inline(always)]
fn add_groups<const FUSED: bool>(
    source: &[f32],
    places: &Places,
    right: &[Row],
    sums: &mut [Row],
    read: impl Fn(&[f32], usize) -> [f32; GROUP],
) {
    for (offsets, right) in places.offsets.chunks(CHUNK).zip(right.chunks(CHUNK)) {
        for (&base, sums) in places.bases.iter().zip(sums.as_chunks_mut::<GROUP>().0) {
            // A copy, so that the compiler keeps it in registers.
            let mut registers = *sums;
            for (&offset, Row(right)) in offsets.iter().zip(right) {
                let left = read(source, base as usize + offset as usize);
                for (sums, left) in registers.iter_mut().zip(left) {
                    for (sum, right) in sums.0.iter_mut().zip(right) {
                        *sum = if FUSED { left.mul_add(*right, *sum) } else { left * right + *sum };
                    }
                }
            }
            *sums = registers;
        }
    }
}

/// strips[c, i] += sum over k of source[offset(k) + i] weights[k, c].
#[multiversion(targets = "simd")]
fn add_strips(source: &[f32], offsets: &[u32], weights: &[f32], strips: &mut [[f32; STRIP]]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    match strips {
        [a] => add_strips_of::<1, FUSED>(source, offsets, weights, [a]),
        [a, b] => add_strips_of::<2, FUSED>(source, offsets, weights, [a, b]),
        [a, b, c] => add_strips_of::<3, FUSED>(source, offsets, weights, [a, b, c]),
        [a, b, c, d] => add_strips_of::<4, FUSED>(source, offsets, weights, [a, b, c, d]),
        _ => unreachable!("at most MOST_NARROW channels have strips"),
    }
}

#[inline(always)]
fn add_strips_of<const C: usize, const FUSED: bool>(
    source: &[f32],
    offsets: &[u32],
    weights: &[f32],
    strips: [&mut [f32; STRIP]; C],
) {
    let mut registers: [[f32; STRIP]; C] = std::array::from_fn(|c| *strips[c]);
    for (&offset, weights) in offsets.iter().zip(weights.as_chunks::<C>().0) {
        let left =
            source[offset as usize..].first_chunk::<STRIP>().expect("a strip lies inside of the source");
        for (sums, &weight) in registers.iter_mut().zip(weights) {
            for (sum, left) in sums.iter_mut().zip(left) {
                *sum = if FUSED { left.mul_add(weight, *sum) } else { left * weight + *sum };
            }
        }
    }
    for (strip, sums) in strips.into_iter().zip(registers) {
        *strip = sums;
    }
}
