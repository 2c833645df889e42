//! The command line of elbo: arguments become settings, a call of the library, and a printed result.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
