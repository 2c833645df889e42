//! The command line of elbo; everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    elbo::cli::main()
}
