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
mod reference;
mod report;
mod sample;
mod source;
mod stop;
mod summary;
mod sweep;
mod train;
mod witness;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};
use elbo::error::Result;
use std::process::ExitCode;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Learn distributions (variational auto-encoders) and compare them (MMD) on any GPU, or on none.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
#[command(after_help = "Examples:
  elbo train                          train on built-in digits, draw pictures
  elbo train --data mnist --latent 20 train on a directory of MNIST's IDX files
  elbo draw runs/001                  draw the pictures again
  elbo page runs/001                  explore its latent space in a browser
  elbo encode runs/001 --out z.npz    codes of its test images
  elbo compare a.npy b.npy            do two samples differ?
  elbo witness mnist run:runs/001     where do they?
  elbo independence x.npy y.npy       do two variables depend on each other?
  elbo fit x.csv --model normal.json  does a sample come from a model?
  elbo closer real.npy a.npy b.npy    which of two is closer to real ones?
  elbo power perturbed-uniform        how often does a test find a difference?
  elbo devices                        which GPUs there are, what is taken

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
    /// Say nothing but results, warnings and errors
    #[arg(long, short, global = true, help_heading = "Output")]
    quiet: bool,
    /// Threads of the CPU, instead of one for each core
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Engine")]
    threads: Option<u16>,
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
    Reference(Box<reference::ReferenceArgs>),
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
    let matches = command().try_get_matches();
    let arguments =
        matches.and_then(|matches| Arguments::from_arg_matches(&matches)).unwrap_or_else(|mut error| {
            add_advice(&mut error);
            if error.use_stderr() {
                let text = error.to_string();
                // The first paragraph, as a line: what follows is usage and advice for people.
                let lines = text.split("\n\n").next().unwrap_or_default().split_whitespace();
                let sentence = lines.collect::<Vec<_>>().join(" ");
                tell_in_json(sentence.strip_prefix("error: ").unwrap_or(&sentence), WRONG_USAGE);
            }
            error.exit()
        });
    if arguments.quiet {
        output::be_quiet();
    }
    if let Some(threads) = arguments.threads {
        // It is the first to ask, so nobody made them already.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global();
    }
    match run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            output::problem(format_args!("error: {error}"));
            tell_in_json(&error.to_string(), error.exit_code());
            ExitCode::from(error.exit_code())
        }
    }
}

/// The commands with their options. A negative number is the value of an option, and the option says what is wrong with it.
fn command() -> clap::Command {
    let negative = |arg: Arg| {
        let valued = arg.get_action().takes_values() && !arg.is_positional();
        if valued { arg.allow_negative_numbers(true) } else { arg }
    };
    let in_all = |command: clap::Command| {
        let command = command.mut_args(negative);
        command.mut_subcommands(|command| command.mut_args(negative))
    };
    Arguments::command().mut_subcommands(in_all)
}

/// Interfaces and makers of GPUs that somebody may take for an engine.
const NAMES_OF_GPU: [&str; 12] =
    ["cuda", "nvidia", "amd", "rocm", "hip", "intel", "apple", "mps", "metal", "vulkan", "dx12", "wgpu"];

/// Says what an engine is called, and that numbers of things are not negative.
fn add_advice(error: &mut clap::Error) {
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue)
        && error.kind() == ErrorKind::ValueValidation
        && value.parse::<i64>().is_ok_and(|number| number < 0)
    {
        let advice = "a number that is not negative is expected".into();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice]));
    }
    let engine = matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(arg)) if arg.starts_with("--engine"));
    if let (true, Some(ContextValue::String(value))) = (engine, error.get(ContextKind::InvalidValue))
        && NAMES_OF_GPU.contains(&value.to_lowercase().as_str())
    {
        let advice = "`--engine gpu` takes the GPUs of all makers; `--adapter NAME` chooses one".into();
        error.insert(ContextKind::SuggestedValue, ContextValue::String("gpu".into()));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice]));
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
        output::problem(format_args!(
            "warning: ELBO_LOG={asked}: {error}; give a level, or TARGET=LEVEL,..."
        ));
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
        Command::Reference(command) => command.run()?,
        Command::Witness(command) => command.run()?,
        Command::Independence(command) => return command.run(),
        Command::Fit(command) => return command.run(),
        Command::Closer(command) => return command.run(),
        Command::Bandwidth(command) => command.run()?,
        Command::Power(command) => command.run()?,
        Command::Data(command) => command.run()?,
        Command::Devices(command) => command.run()?,
        Command::Bench(command) => command.run()?,
        Command::Completions(command) => command.run()?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::command;

    /// All commands, those of commands included, with their names.
    fn all(command: clap::Command, name: &str, found: &mut Vec<(String, clap::Command)>) {
        for each in command.get_subcommands() {
            all(each.clone(), &format!("{name} {}", each.get_name()), found);
        }
        found.push((name.to_owned(), command));
    }

    #[test]
    fn examples_are_never_wrapped() {
        let mut commands = Vec::new();
        all(command(), "elbo", &mut commands);
        for (name, command) in commands {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = text.split("Examples:").nth(1).unwrap_or_default();
            for line in examples.lines() {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
        }
    }

    /// A page of options without headings is not read.
    #[test]
    fn options_have_headings_and_few_are_in_the_short_help() {
        let mut commands = Vec::new();
        all(command(), "elbo", &mut commands);
        for (name, command) in commands {
            let options: Vec<_> = command.get_opts().filter(|arg| !arg.is_global_set()).collect();
            if options.len() < 12 || name.contains("bench") {
                continue;
            }
            for option in &options {
                assert!(option.get_help_heading().is_some(), "{name} --{}", option.get_id());
            }
            let short = options.iter().filter(|arg| !arg.is_hide_short_help_set()).count();
            assert!(short <= 22, "{name} -h has {short} options");
        }
    }
}
