//! The commands, and how one is run.

mod bandwidth;
mod bar;
mod bench;
mod closer;
mod codes;
mod compare;
mod completions;
mod data;
mod device;
mod devices;
mod draw;
mod evaluate;
mod fit;
mod independence;
mod kid;
mod output;
mod page;
mod power;
mod program;
mod report;
mod sample;
mod source;
mod stop;
mod sweep;
mod train;
mod witness;

use clap::{Parser, Subcommand};
use elbo::error::Result;
use std::process::ExitCode;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Learn distributions (variational auto-encoders) and compare them (MMD) on any GPU, or on none.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
#[command(after_help = "Examples:
  elbo train                          train on built-in digits, leave pictures in runs/001
  elbo train --data mnist --latent 20 train on a directory of MNIST's IDX files
  elbo draw all runs/001              draw the pictures again
  elbo page runs/001                  explore its latent space in a browser
  elbo encode runs/001 --out z.npz    codes of its test images
  elbo compare a.npy b.npy            do two samples differ?
  elbo witness mnist run:runs/001     where do they?
  elbo independence x.npy y.npy       do two variables depend on each other?
  elbo fit x.csv --model normal.json  does a sample come from a model?
  elbo closer real.npy a.npy b.npy    which of two samples is closer to the real one?
  elbo power perturbed-uniform        how often does a test find a difference?
  elbo devices                        which GPUs there are, and which engine is taken

Exit codes:
  0      done
  1      something failed
  2      the arguments are wrong
  3      a test with --check rejected
  128+n  signal n came during a training, which was saved

With --json, the last line of the output is one JSON object, of an error too.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(Box<train::Train>),
    Resume(train::Resume),
    Evaluate(evaluate::Evaluate),
    Draw(draw::DrawArgs),
    Page(page::PageArgs),
    Encode(codes::EncodeArgs),
    Decode(codes::DecodeArgs),
    Sample(codes::SampleArgs),
    Sweep(sweep::SweepArgs),
    Program(Box<program::ProgramCommand>),
    Compare(Box<compare::CompareArgs>),
    Witness(Box<witness::WitnessArgs>),
    Independence(Box<independence::IndependenceArgs>),
    Fit(Box<fit::FitArgs>),
    Closer(Box<closer::CloserArgs>),
    Bandwidth(Box<bandwidth::BandwidthArgs>),
    Power(Box<power::PowerArgs>),
    Data(data::Data),
    Devices(devices::Devices),
    Bench(bench::Bench),
    Completions(completions::Completions),
}

/// Runs the command that the process was started with.
pub(super) fn main() -> ExitCode {
    without_device_selection();
    log();
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        if error.use_stderr() {
            let text = error.to_string();
            // The first paragraph, as a line: what follows is usage and advice for people.
            let lines = text.split("\n\n").next().unwrap_or_default().split_whitespace();
            let sentence = lines.collect::<Vec<_>>().join(" ");
            tell_in_json(sentence.strip_prefix("error: ").unwrap_or(&sentence), WRONG_USAGE);
        }
        error.exit()
    });
    match run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            output::note(format_args!("error: {error}"));
            tell_in_json(&error.to_string(), error.exit_code());
            ExitCode::from(error.exit_code())
        }
    }
}

/// The exit code where the arguments are wrong.
const WRONG_USAGE: u8 = 2;

/// With `--json` programs look at the last line of stdout, and find the error there.
fn tell_in_json(error: &str, exit_code: u8) {
    if std::env::args_os().any(|argument| argument == "--json") {
        output::result(serde_json::json!({ "error": error, "exit_code": exit_code }));
    }
}

/// Begins again without Mesa's layer that sorts adapters, where there is no session of a desktop: it would look for one, and
/// say on stderr that there is none. Only the environment a process begins with turns it off.
#[cfg(target_os = "linux")]
fn without_device_selection() {
    use std::os::unix::process::CommandExt;
    const OFF: &str = "NODEVICE_SELECT";
    if std::env::var_os("XDG_RUNTIME_DIR").is_some() || std::env::var_os(OFF).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_else(|| program.clone().into());
        // Returns only if it fails, and then all goes on as it is.
        let _ = std::process::Command::new(program).arg0(name).args(arguments).env(OFF, "1").exec();
    }
}

#[cfg(not(target_os = "linux"))]
fn without_device_selection() {}

/// What drivers and libraries say goes to stderr, as far as `ELBO_LOG` asks for it.
fn log() {
    let asked = std::env::var("ELBO_LOG").unwrap_or_default();
    let targets = asked.parse().unwrap_or_else(|error| {
        output::note(format_args!("warning: ELBO_LOG={asked}: {error}; give a level, or TARGET=LEVEL,..."));
        Targets::default()
    });
    let targets = if asked.is_empty() { Targets::new().with_default(LevelFilter::ERROR) } else { targets };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // The error is that a subscriber is set already, in a program that uses this as a library.
    let _ = tracing_subscriber::registry().with(lines).with(targets).try_init();
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Train(command) => return command.run(),
        Command::Resume(command) => return command.run(),
        Command::Evaluate(command) => command.run()?,
        Command::Draw(command) => command.run()?,
        Command::Page(command) => command.run()?,
        Command::Encode(command) => command.run()?,
        Command::Decode(command) => command.run()?,
        Command::Sample(command) => command.run()?,
        Command::Sweep(command) => command.run()?,
        Command::Program(command) => command.run()?,
        Command::Compare(command) => return command.run(),
        Command::Witness(command) => command.run()?,
        Command::Independence(command) => return command.run(),
        Command::Fit(command) => return command.run(),
        Command::Closer(command) => return command.run(),
        Command::Bandwidth(command) => command.run()?,
        Command::Power(command) => command.run()?,
        Command::Data(command) => command.run()?,
        Command::Devices(command) => command.run()?,
        Command::Bench(command) => command.run()?,
        Command::Completions(command) => command.run(),
    }
    Ok(ExitCode::SUCCESS)
}
