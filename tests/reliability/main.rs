//! Kills, full disks, locks, signals, extreme numbers and same bits, tried on the program itself.
//!
//! ```text
//! cargo test --test reliability                                      few of each, in CI
//! cargo test --test reliability -- --times 1000                      as many of what depends on chance; a table at the end
//! cargo test --test reliability -- --only kill                       those whose names contain this
//! ```
//!
//! On Unix. What a system cannot do, such as mounting a small disk without being root, is said and left out.

#[cfg(unix)]
mod trials;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(unix)]
    let code = trials::run();
    #[cfg(not(unix))]
    let code = ExitCode::SUCCESS;
    code
}
