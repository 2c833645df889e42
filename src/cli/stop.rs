//! Signals that ask a training to stop: the first one lets it save, a second one ends it at once.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Whether a signal came.
pub(super) static ASKED: AtomicBool = AtomicBool::new(false);

/// Its number.
static SIGNAL: AtomicU8 = AtomicU8::new(0);

/// 0, or 128 + n if signal n came: what a shell says of a program that the signal ended.
pub(super) fn exit_code() -> ExitCode {
    match SIGNAL.load(Ordering::Relaxed) {
        0 => ExitCode::SUCCESS,
        signal => ExitCode::from(128 + signal),
    }
}

fn came(signal: u8) {
    SIGNAL.store(signal, Ordering::Relaxed);
    if ASKED.swap(true, Ordering::Relaxed) {
        std::process::exit((128 + signal).into());
    }
}

/// From now on hears SIGINT (Ctrl-C), SIGTERM and SIGHUP; on Linux not those that the caller lets be ignored, as `nohup` does.
#[cfg(unix)]
pub(super) fn listen() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let ignored = ignored();
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    match signal_hook::iterator::Signals::new(wanted) {
        Ok(mut signals) => {
            std::thread::spawn(move || signals.forever().filter_map(|n| u8::try_from(n).ok()).for_each(came));
        }
        Err(error) => tell(&error),
    }
}

/// The signals that are ignored, bit n - 1 for signal n; none where the system does not say.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// From now on hears Ctrl-C and Ctrl-Break.
#[cfg(windows)]
pub(super) fn listen() {
    const SIGINT: u8 = 2;
    if let Err(error) = ctrlc::set_handler(|| came(SIGINT)) {
        tell(&error);
    }
}

fn tell(error: &dyn std::fmt::Display) {
    super::output::note(format_args!("Ctrl-C will end the run without saving: {error}"));
}
