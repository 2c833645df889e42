//! Every kernel, every case, both engines, against the f64 reference.
//!
//! Outputs start as NaN, so an element that a kernel does not write shows.

mod common;

use common::{GpuTests, compare};
use elbo::engine::{Choice, Device, reference::Reference};
use elbo::kernel::ALL;
use elbo::kernel::baseline::Baseline;
use elbo::program::{BufferId, Case, OneVariant, Plan, ProgramId, Spec};
use elbo::random::{Stream, key, philox};
use libtest_mimic::{Arguments, Failed, Trial};
use std::sync::{Arc, LazyLock};

static GPU: LazyLock<Device> = LazyLock::new(|| common::device(Choice::Gpu));
static CPU: LazyLock<Device> = LazyLock::new(|| common::device(Choice::Cpu));

fn main() {
    let arguments = Arguments::from_args();
    let skip_gpu = common::gpu_tests() == GpuTests::Off;
    let mut trials = vec![
        Trial::test("compare_notices_everything", || {
            common::compare_notices_everything().map_err(Failed::from)
        }),
        Trial::test("gpu::philox_known_answers", || philox_on_the_gpu(&GPU)).with_ignored_flag(skip_gpu),
    ];
    for spec in ALL {
        for (index, case) in (spec.cases)().iter().enumerate() {
            let name = |engine| format!("{engine}::{}::{index}", spec.name);
            trials.push(Trial::test(name("cpu"), move || check(&CPU, spec, index)));
            for (number, variant) in case.kernel.variants().iter().enumerate() {
                let name = format!("{} {}", name("gpu"), variant.name);
                let trial = Trial::test(name.trim_end(), move || {
                    check_case(&GPU, spec, case_of_variant(spec, index, number))
                });
                trials.push(trial.with_ignored_flag(skip_gpu));
            }
            if let Some(baseline) = baseline_of(spec, index) {
                let trial = Trial::test(name("baseline"), move || check_case(&GPU, spec, baseline));
                trials.push(trial.with_ignored_flag(skip_gpu));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// A plan with one call, and the buffers of the case.
fn plan(case: Case) -> (Arc<Plan>, Vec<BufferId>) {
    let spec = case.kernel.spec();
    let mut plan = Plan::default();
    let names = spec.reads.iter().chain(spec.writes);
    let contents = case.reads.iter().chain(&case.writes);
    let buffers: Vec<_> =
        names.zip(contents).map(|(name, values)| plan.buffer(*name, values.len())).collect();
    let (reads, writes) = buffers.split_at(spec.reads.len());
    let program = plan.program(spec.name);
    plan.programs[program.0].calls.push(elbo::program::Call {
        kernel: case.kernel,
        reads: reads.into(),
        writes: writes.into(),
    });
    (Arc::new(plan), buffers)
}

/// A case with a kernel that has only one of its variants.
fn case_of_variant(spec: &'static Spec, index: usize, number: usize) -> Case {
    let case = (spec.cases)().swap_remove(index);
    let one = OneVariant::all(&case.kernel).nth(number).expect("as many as there are variants");
    Case { kernel: Arc::new(one), ..case }
}

/// A case with the plain kernel in the place of the kernel, if it has one.
fn baseline_of(spec: &'static Spec, index: usize) -> Option<Case> {
    let case = (spec.cases)().swap_remove(index);
    Some(Case { kernel: Arc::new(Baseline::new(case.kernel)?), ..case })
}

fn check(device: &Device, spec: &'static Spec, index: usize) -> Result<(), Failed> {
    check_case(device, spec, (spec.cases)().swap_remove(index))
}

/// A case of a kernel, or of another one with the same buffers.
fn check_case(device: &Device, spec: &'static Spec, mut case: Case) -> Result<(), Failed> {
    let (step, tolerance) = (case.step, case.kernel.tolerance());
    let contents: Vec<Vec<f32>> = case.reads.drain(..).chain(case.writes.drain(..)).collect();
    case.reads = contents[..spec.reads.len()].into();
    case.writes = contents[spec.reads.len()..].into();
    let (plan, buffers) = plan(case);

    let mut reference = Reference::new(Arc::clone(&plan));
    let mut engine = device.load(plan)?;
    for (&id, values) in buffers.iter().zip(&contents) {
        engine.write(id, bytemuck::cast_slice(values))?;
        if spec.reads.get(id.0).is_some_and(|name| spec.words.contains(name)) {
            reference.write_words(id, bytemuck::cast_slice(values));
        } else {
            reference.memory[id.0] = values.iter().map(|&v| f64::from(v)).collect();
        }
    }
    reference.run(ProgramId(0), &step);
    let written = &buffers[spec.reads.len()..];
    let results = engine.run(ProgramId(0), &[step], written)?;
    for ((&id, got), name) in written.iter().zip(&results).zip(spec.writes) {
        let want = &reference.memory[id.0];
        match &spec.partial_sums {
            Some(sums) if sums.buffer == *name => {
                let slots = want.len() / got.len().max(1);
                assert_eq!(slots, 1, "engine and reference have buffers of one size");
                compare_sums(name, got, want, sums.terms, tolerance)?;
            }
            _ => compare_written(name, got, want, tolerance)?,
        }
    }
    Ok(())
}

/// Elements that the definition leaves alone must be left alone: they are still NaN on both sides.
fn compare_written(name: &str, got: &[f32], want: &[f64], tolerance: f64) -> Result<(), Failed> {
    if got.len() != want.len() {
        return Err(format!("{name}: {} elements, expected {}", got.len(), want.len()).into());
    }
    if let Some(i) = (0..want.len()).find(|&i| want[i].is_nan() && !got[i].is_nan()) {
        return Err(format!("{name}: element {i} was written, but should not be").into());
    }
    let written = |i: &usize| !want[*i].is_nan();
    let got: Vec<f32> = (0..want.len()).filter(written).map(|i| got[i]).collect();
    let want: Vec<f64> = (0..want.len()).filter(written).map(|i| want[i]).collect();
    if want.is_empty() && name != "column_parts" {
        return Err(format!("{name}: the reference wrote nothing").into());
    }
    Ok(compare(name, &got, &want, tolerance)?)
}

/// Only the totals of a slot count; slots that are not the step's stay NaN on both sides.
fn compare_sums(name: &str, got: &[f32], want: &[f64], terms: usize, tolerance: f64) -> Result<(), Failed> {
    let written: Vec<usize> = (0..want.len()).filter(|&i| !want[i].is_nan()).collect();
    let untouched = (0..got.len()).filter(|i| !written.contains(i));
    for i in untouched {
        if !got[i].is_nan() {
            return Err(format!("{name}: element {i} belongs to another step but was written").into());
        }
    }
    if written.is_empty() {
        return Err(format!("{name}: the reference wrote nothing").into());
    }
    let slot = written[0]..written[0] + written.len();
    for term in 0..terms {
        let got: f64 = got[slot.clone()].iter().skip(term).step_by(terms).map(|&v| f64::from(v)).sum();
        let want: f64 = want[slot.clone()].iter().skip(term).step_by(terms).sum();
        compare(&format!("{name}, sum {term}"), &[got as f32], &[want], tolerance)?;
    }
    Ok(())
}

/// The Random123 known answers, and words at many counters, bit for bit as on the CPU: through a shader of
/// this test that writes the words themselves.
fn philox_on_the_gpu(device: &Device) -> Result<(), Failed> {
    use elbo::program::{Buffers, Kernel, Shape, Step};

    #[derive(Debug)]
    struct Words {
        counters: usize,
    }
    static SPEC: Spec = Spec {
        name: "philox_words",
        formula: "words = philox(counter, key)",
        source: concat!(
            include_str!("philox_words.wgsl"),
            include_str!("../shaders/lib/random.wgsl"),
            include_str!("../shaders/lib/shuffle.wgsl")
        ),
        reads: &["counters"],
        writes: &["words"],
        words: &["counters"],
        partial_sums: None,
        cases: Vec::new,
    };
    impl Kernel for Words {
        fn spec(&self) -> &'static Spec {
            &SPEC
        }
        fn shape(&self) -> Shape {
            Shape::new([8 * self.counters], [5 * self.counters], [self.counters, 1], 0)
        }
        fn params(&self) -> Vec<u32> {
            vec![0; 4]
        }
        fn reference(&self, _: &Step, _: Buffers<'_, f64>) {
            unreachable!("compared with elbo::random")
        }
        fn cpu(&self, _: &Step, _: Buffers<'_, f32>) {
            unreachable!("runs on the GPU")
        }
        fn tolerance(&self) -> f64 {
            0.0
        }
    }

    let pi = [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344, 0xA409_3822, 0x299F_31D0];
    let known = [
        ([0; 6], [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]),
        ([u32::MAX; 6], [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]),
        (pi, [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1]),
    ];
    let mut inputs: Vec<[u32; 6]> = known.iter().map(|(input, _)| *input).collect();
    inputs.extend((0..200u32).map(|i| {
        let [a, b, c, d] = philox([i, 0, 0, Stream::Data as u32], key(1));
        [a, b, c, d, a ^ c, b ^ d]
    }));
    // Two more words an entry: a position and a size for the shuffled order.
    let size = |i: usize| 1 + (i as u32 * 977) % 70_000;
    let words: Vec<u32> = inputs
        .iter()
        .enumerate()
        .flat_map(|(i, input)| input.iter().copied().chain([input[0] % size(i), size(i)]))
        .collect();
    let mut plan = Plan::default();
    let counters = plan.buffer("counters", words.len());
    let output = plan.buffer("words", 5 * inputs.len());
    let program = plan.program("philox");
    plan.call(program, Words { counters: inputs.len() }, &[("counters", counters), ("words", output)])?;
    let mut engine = device.load(Arc::new(plan))?;
    engine.write(counters, bytemuck::cast_slice(&words))?;
    let results = engine.run(program, &[Step::default()], &[output])?.remove(0);
    let results: Vec<u32> = results.iter().map(|v| v.to_bits()).collect();
    for (i, ([c0, c1, c2, c3, k0, k1], got)) in inputs.iter().zip(results.chunks_exact(5)).enumerate() {
        let want = philox([*c0, *c1, *c2, *c3], [*k0, *k1]);
        assert_eq!(got[..4], want, "words of counter {i}");
        let position = elbo::random::shuffled(c0 % size(i), size(i), [*k0, *k1], *c1);
        assert_eq!(got[4], position, "shuffled position of counter {i}");
    }
    for (i, (_, answer)) in known.iter().enumerate() {
        assert_eq!(results[5 * i..][..4], *answer, "known answer {i}");
    }
    Ok(())
}
