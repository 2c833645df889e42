//! Every kernel, every case, both engines, against the f64 reference.
//!
//! The comparison itself is in `src/measure/suite.rs`.

mod common;

use common::GpuTests;
use elbo::engine::{Choice, Device};
use elbo::kernel::ALL;
use elbo::measure::suite;
use elbo::program::{Case, Plan, Spec};
use elbo::random::{Stream, key, philox};
use libtest_mimic::{Arguments, Failed, Trial};
use std::sync::{Arc, LazyLock};

static GPU: LazyLock<Device> = LazyLock::new(|| common::device(Choice::Gpu));
static CPU: LazyLock<Device> = LazyLock::new(|| common::device(Choice::Cpu));

fn main() {
    let arguments = Arguments::from_args();
    let skip_gpu = common::gpu_tests() == GpuTests::Off;
    let mut trials = vec![
        Trial::test("compare_notices_everything", || suite::check_comparison().map_err(Failed::from)),
        Trial::test("gpu::philox_known_answers", || philox_on_the_gpu(&GPU)).with_ignored_flag(skip_gpu),
    ];
    for spec in ALL {
        for (index, case) in (spec.cases)().iter().enumerate() {
            let name = |engine| format!("{engine}::{}::{index}", spec.name);
            trials.push(Trial::test(name("cpu"), move || {
                check(&CPU, spec, &(spec.cases)().swap_remove(index))
            }));
            for (number, variant) in case.kernel.variants().iter().enumerate() {
                let name = format!("{} {}", name("gpu"), variant.name);
                let trial = Trial::test(name.trim_end(), move || {
                    check(&GPU, spec, &case_of_variant(spec, index, number))
                });
                trials.push(trial.with_ignored_flag(skip_gpu));
            }
            if let Some(plain) = case.plain() {
                let trial = Trial::test(name("baseline"), move || check(&GPU, spec, &plain));
                trials.push(trial.with_ignored_flag(skip_gpu));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// A case with a kernel that has only one of its variants.
fn case_of_variant(spec: &'static Spec, index: usize, number: usize) -> Case {
    (spec.cases)()[index].variants().swap_remove(number).1
}

fn check(device: &Device, spec: &'static Spec, case: &Case) -> Result<(), Failed> {
    suite::check(device, spec, case)?;
    Ok(())
}

/// The Random123 known answers, and words at many counters, bit for bit as on the CPU: through a shader of
/// this test that writes the words themselves.
fn philox_on_the_gpu(device: &Device) -> Result<(), Failed> {
    use elbo::program::{Buffers, Kernel, Shape, Step, Variant};

    #[derive(Debug)]
    struct Words {
        counters: usize,
    }
    static SPEC: Spec = Spec::new(
        "philox_words",
        "words = philox(counter, key)",
        concat!(
            include_str!("philox_words.wgsl"),
            include_str!("../shaders/lib/random.wgsl"),
            include_str!("../shaders/lib/shuffle.wgsl")
        ),
    )
    .reads(&["counters"])
    .writes(&["words"])
    .words(&["counters"]);
    impl Kernel for Words {
        fn spec(&self) -> &'static Spec {
            &SPEC
        }
        fn shape(&self) -> Shape {
            Shape::new([8 * self.counters], [5 * self.counters], 0)
        }
        fn variants(&self) -> Vec<Variant> {
            Variant::only([self.counters, 1])
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
