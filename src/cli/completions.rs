//! `elbo completions`.

use super::{Arguments, output};
use clap::builder::PossibleValue;
use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;
use elbo::error::{Error, Result};
use std::path::PathBuf;

/// Print what a shell needs to complete commands and options, or write manual pages
#[derive(Args)]
#[command(after_help = "Examples:
  elbo completions bash > ~/.local/share/bash-completion/completions/elbo
  elbo completions zsh > ~/.zfunc/_elbo
  elbo completions fish > ~/.config/fish/completions/elbo.fish
  elbo completions man --out ~/.local/share/man/man1    then: man elbo-train")]
pub(super) struct Completions {
    /// The shell, or `man`
    kind: ShellOrMan,
    /// Directory for the manual pages, one for each command
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A shell, or manual pages.
#[derive(Clone, Copy)]
enum ShellOrMan {
    Shell(Shell),
    Man,
}

impl ValueEnum for ShellOrMan {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Shell(Shell::Bash),
            Self::Shell(Shell::Elvish),
            Self::Shell(Shell::Fish),
            Self::Shell(Shell::PowerShell),
            Self::Shell(Shell::Zsh),
            Self::Man,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Shell(shell) => shell.to_possible_value(),
            Self::Man => Some(PossibleValue::new("man")),
        }
    }
}

impl Completions {
    pub(super) fn run(&self) -> Result<()> {
        match (self.kind, &self.out) {
            (ShellOrMan::Shell(_), Some(_)) => {
                Err(Error::usage("--out goes with man; completions are printed"))
            }
            (ShellOrMan::Man, None) => Err(Error::usage("give a directory for the manual pages: --out DIR")),
            (ShellOrMan::Shell(shell), None) => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Arguments::command(), "elbo", &mut script);
                output::result(String::from_utf8_lossy(&script).trim_end());
                Ok(())
            }
            (ShellOrMan::Man, Some(directory)) => {
                std::fs::create_dir_all(directory).map_err(Error::io(directory, "create"))?;
                clap_mangen::generate_to(Arguments::command(), directory)
                    .map_err(Error::io(directory, "write"))?;
                output::result(directory.display());
                Ok(())
            }
        }
    }
}
