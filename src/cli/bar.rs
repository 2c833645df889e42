//! Progress of long work: a bar on a terminal, a line a minute elsewhere.

use super::output::{is_quiet, note};
use elbo::error::Result;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines: a log of a night stays readable.
const BETWEEN_LINES: Duration = Duration::from_secs(60);

/// A bar, or lines; gone when dropped.
pub(super) struct Bar {
    bar: ProgressBar,
    /// Where nobody watches: what the lines know.
    lines: Option<Mutex<Lines>>,
}

struct Lines {
    start: Instant,
    /// Done at the start.
    first: u64,
    last: Instant,
}

impl Bar {
    /// A bar of `total` parts.
    pub(super) fn new(label: &'static str, total: u64) -> Self {
        let watched = std::io::stderr().is_terminal() && !is_quiet();
        let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        // On narrow terminals words are cut, and the bar is what is left of the line.
        let style = ProgressStyle::with_template("{prefix} {percent} %  {eta} left  {msg} {wide_bar}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(total), target).with_style(style).with_prefix(label);
        let now = Instant::now();
        let lines = (!watched).then(|| Mutex::new(Lines { start: now, first: 0, last: now }));
        Self { bar, lines }
    }

    /// Sets how many parts there are.
    pub(super) fn set_total(&self, total: u64) {
        self.bar.set_length(total);
    }

    /// Goes on from work that was done before: it says nothing of the time that is left.
    pub(super) fn start_at(&self, done: u64) {
        self.bar.set_position(done);
        self.bar.reset_eta();
        if let Some(lines) = &self.lines {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            (lines.start, lines.first) = (Instant::now(), done);
        }
    }

    /// So many parts are done.
    pub(super) fn set(&self, done: u64) {
        self.bar.set_position(done);
        self.line();
    }

    /// One more part is done.
    pub(super) fn add_one(&self) {
        self.bar.inc(1);
        self.line();
    }

    /// Sets the words beside the bar.
    pub(super) fn say(&self, words: String) {
        self.bar.set_message(words);
    }

    /// Writes a line above the bar.
    pub(super) fn println(&self, line: &str) {
        if self.lines.is_some() {
            note(line);
        } else {
            self.bar.println(line);
        }
    }

    fn line(&self) {
        let Some(lines) = &self.lines else { return };
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.last.elapsed() < BETWEEN_LINES {
            return;
        }
        lines.last = Instant::now();
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let passed = lines.start.elapsed();
        let rate = done.saturating_sub(lines.first) as f64 / passed.as_secs_f64();
        let left = Duration::try_from_secs_f64(total.saturating_sub(done) as f64 / rate);
        let left = left.map_or(String::new(), |left| format!(", {} left", HumanDuration(left)));
        note(format_args!(
            "{} {} % after {}{left}  {}",
            self.bar.prefix(),
            100 * done / total.max(1),
            HumanDuration(passed),
            self.bar.message()
        ));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A bar for work that reports the share it has done.
pub(super) fn watch<T>(label: &'static str, work: impl FnOnce(&mut dyn FnMut(f64) -> Result<()>) -> T) -> T {
    const PARTS: f64 = 1000.0;
    let bar = Bar::new(label, PARTS as u64);
    work(&mut |done| {
        bar.set((done * PARTS) as u64);
        Ok(())
    })
}
