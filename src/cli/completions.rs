//! `elbo completions`.

use super::Arguments;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print what a shell needs to complete commands and options
#[derive(Args)]
#[command(after_help = "Examples:
  elbo completions bash > ~/.local/share/bash-completion/completions/elbo
  elbo completions zsh > ~/.zfunc/_elbo
  elbo completions fish > ~/.config/fish/completions/elbo.fish")]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "elbo", &mut script);
        super::output::result(String::from_utf8_lossy(&script).trim_end());
    }
}
