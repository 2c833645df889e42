//! `elbo devices`.

use super::bar::Bar;
use super::device::{check_adapter, engine_line};
use super::output::{json, note, result, table};
use clap::Args;
use elbo::engine::gpu::{Description, adapters};
use elbo::engine::{Choice, Device};
use elbo::error::{Error, Kind, Result};
use elbo::kernel::ALL;
use elbo::measure::suite;
use elbo::program::Case;
use serde::Serialize;

/// List GPU adapters and their limits, and say which engine `auto` takes
///
/// With --check, the device runs the kernels' tests: every kernel at many sizes, and on a GPU in every variant, against
/// plain f64 loops. A driver that gives wrong numbers shows there.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo devices
  elbo devices --json
  elbo devices --check                does this GPU calculate right?
  elbo devices --check --engine gpu --adapter intel --kernel linear")]
pub(super) struct Devices {
    /// Run the kernels' tests on the device
    #[arg(long)]
    check: bool,
    /// Only the tests of this kernel; may be given again
    #[arg(long, value_name = "NAME", requires = "check")]
    kernel: Vec<String>,
    /// A hardware GPU if there is one, any GPU adapter, or the CPU
    #[arg(long, default_value = "auto", requires = "check")]
    engine: Choice,
    /// Part of the GPU adapter's name
    #[arg(long, value_name = "NAME", requires = "check")]
    adapter: Option<String>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// The JSON result.
#[derive(Serialize)]
struct Adapters {
    adapters: Vec<Description>,
    engine: &'static str,
    adapter: String,
    reason: String,
}

/// The JSON result of `--check`.
#[derive(Serialize)]
struct Checked {
    engine: &'static str,
    adapter: String,
    kernels: Vec<CheckedKernel>,
}

/// All tests of a kernel.
#[derive(Serialize)]
struct CheckedKernel {
    name: &'static str,
    tests: usize,
    /// Of the tests that passed, in units of what is allowed.
    largest_error: f64,
    /// Of the test with that error: number of the case and name of the variant.
    at: String,
    /// What is wrong, by test.
    failures: Vec<String>,
}

impl Devices {
    pub(super) fn run(&self) -> Result<()> {
        if self.check { self.run_check() } else { self.list() }
    }

    fn list(&self) -> Result<()> {
        let adapters = adapters();
        let device = Device::open(Choice::Auto, None)?;
        let info = device.info();
        if self.json {
            let (adapter, reason) = (info.adapter.clone(), info.reason.clone());
            return json(&Adapters { adapters, engine: info.engine, adapter, reason });
        }
        if adapters.is_empty() {
            result("no GPU adapter was found");
        } else {
            let rows: Vec<Vec<String>> = adapters.iter().map(row).collect();
            let header = [
                "adapter",
                "API",
                "kind",
                "driver",
                "buffer",
                "workgroup",
                "subgroup",
                "clock",
                "f16",
                "cooperative matrices",
            ];
            table(&header, &rows);
        }
        result(format_args!("{} (--engine auto)", engine_line(info)));
        Ok(())
    }

    fn run_check(&self) -> Result<()> {
        check_adapter(self.engine, self.adapter.as_deref())?;
        if let Some(unknown) = self.kernel.iter().find(|name| ALL.iter().all(|spec| spec.name != **name)) {
            let names: Vec<&str> = ALL.iter().map(|spec| spec.name).collect();
            return Err(Error::usage(format!(
                "no kernel is called {unknown}; there is {}",
                names.join(", ")
            )));
        }
        let device = Device::open(self.engine, self.adapter.as_deref())?;
        note(engine_line(device.info()));
        let wrong = |problem: String| Error::from(Kind::Device(problem));
        suite::check_comparison().map_err(wrong)?;
        let wanted = |name: &str| self.kernel.is_empty() || self.kernel.iter().any(|wanted| wanted == name);
        let specs: Vec<_> = ALL.iter().filter(|spec| wanted(spec.name)).collect();
        let bar = Bar::new("checking", specs.len() as u64);
        let mut kernels = Vec::new();
        for spec in specs {
            bar.say(spec.name.into());
            let mut kernel = CheckedKernel {
                name: spec.name,
                tests: 0,
                largest_error: 0.0,
                at: String::new(),
                failures: Vec::new(),
            };
            for (name, case) in tests(&device, (spec.cases)()) {
                kernel.tests += 1;
                match suite::check(&device, spec, &case) {
                    Ok(error) if error > kernel.largest_error => {
                        (kernel.largest_error, kernel.at) = (error, name)
                    }
                    Ok(_) => {}
                    Err(problem) => kernel.failures.push(format!("{name}: {problem}")),
                }
            }
            kernels.push(kernel);
            bar.add_one();
        }
        drop(bar);
        let info = device.info();
        let failed: usize = kernels.iter().map(|kernel| kernel.failures.len()).sum();
        let tests: usize = kernels.iter().map(|kernel| kernel.tests).sum();
        if self.json {
            json(&Checked { engine: info.engine, adapter: info.adapter.clone(), kernels })?;
        } else {
            let rows: Vec<Vec<String>> = kernels.iter().map(checked_row).collect();
            table(&["kernel", "tests", "failed", "largest error / allowed", "at case"], &rows);
            for kernel in &kernels {
                kernel.failures.iter().for_each(|failure| result(format_args!("{} {failure}", kernel.name)));
            }
            if failed == 0 {
                result(format_args!("all {tests} tests agree with the f64 reference on {}", info.adapter));
            }
        }
        if failed > 0 {
            let on = &info.adapter;
            return Err(wrong(format!(
                "{failed} of {tests} tests of kernels give wrong numbers on {on}; try a newer driver, or --engine cpu"
            )));
        }
        Ok(())
    }
}

/// Cases by number; on a GPU each in all variants.
fn tests(device: &Device, cases: Vec<Case>) -> Vec<(String, Case)> {
    let gpu = device.info().engine == "gpu";
    let variants = |(number, case): (usize, Case)| {
        let named =
            move |(name, case): (String, Case)| (format!("{number} {name}").trim_end().to_owned(), case);
        let all = if gpu { case.variants() } else { vec![(String::new(), case)] };
        all.into_iter().map(named)
    };
    cases.into_iter().enumerate().flat_map(variants).collect()
}

fn checked_row(kernel: &CheckedKernel) -> Vec<String> {
    vec![
        kernel.name.into(),
        kernel.tests.to_string(),
        kernel.failures.len().to_string(),
        format!("{:.3}", kernel.largest_error),
        kernel.at.clone(),
    ]
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.into()
}

fn row(adapter: &Description) -> Vec<String> {
    let [fewest, most] = adapter.subgroup;
    vec![
        adapter.name.clone(),
        adapter.backend.clone(),
        adapter.kind.clone(),
        adapter.driver.clone(),
        format!("{} MiB", adapter.largest_buffer >> 20),
        format!("{} KiB", adapter.workgroup_memory >> 10),
        if fewest == most { fewest.to_string() } else { format!("{fewest}-{most}") },
        yes(adapter.timestamps),
        yes(adapter.half_precision),
        if adapter.cooperative_matrices.is_empty() {
            yes(false)
        } else {
            adapter.cooperative_matrices.join(", ")
        },
    ]
}
