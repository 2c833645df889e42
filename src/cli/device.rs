//! The engine of a command: its options, and the line that says which was taken.

use super::output::note;
use clap::Args;
use elbo::engine::{Choice, Device, Info};
use elbo::error::{Error, Result};

/// The engine that a command works on.
#[derive(Args, Clone)]
pub(super) struct DeviceOptions {
    /// A hardware GPU if there is one, any GPU adapter, or the CPU
    #[arg(long, default_value = "auto", help_heading = "Engine")]
    pub(super) engine: Choice,
    /// Part of the GPU adapter's name
    #[arg(long, value_name = "NAME", help_heading = "Engine", hide_short_help = true)]
    pub(super) adapter: Option<String>,
}

impl DeviceOptions {
    /// Refuses a GPU's name for the CPU.
    pub(super) fn check(&self) -> Result<()> {
        check_adapter(self.engine, self.adapter.as_deref())
    }

    /// Opens the device and says which it is; with `tune`, all kernel variants are timed again.
    pub(super) fn open(&self, tune: bool) -> Result<Device> {
        let device = open(self.engine, self.adapter.as_deref(), tune)?;
        note(engine_line(device.info()));
        Ok(device)
    }
}

/// Opens a device for work that takes the fastest variant of each kernel; with `tune`, all are timed again.
pub(super) fn open(engine: Choice, adapter: Option<&str>, tune: bool) -> Result<Device> {
    let device = Device::open(engine, adapter)?;
    if tune && device.info().engine == "cpu" {
        return Err(Error::usage(
            "--tune measures tile sizes on a GPU, but the CPU was chosen; try --engine gpu",
        ));
    }
    device.tune(tune, |line| note(line));
    Ok(device)
}

/// Refuses a GPU's name for the CPU.
pub(super) fn check_adapter(engine: Choice, adapter: Option<&str>) -> Result<()> {
    match adapter {
        Some(name) if engine == Choice::Cpu => Err(Error::usage(format!(
            "--adapter {name} asks for a GPU but --engine cpu for none; leave out one of them"
        ))),
        _ => Ok(()),
    }
}

/// One line on where the work is done and why.
pub(super) fn engine_line(info: &Info) -> String {
    format!("engine: {} ({}), {}", info.engine, info.adapter, info.reason)
}
