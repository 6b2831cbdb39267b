//! Events as they happen: spinners and console lines on a terminal, plain lines anywhere else.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::lines::{line_of, phase_of};
use super::output::{self, print_error, print_line};

/// Shows events to the person at the terminal, or to the log that the output goes to.
pub enum Progress {
    Terminal {
        bars: MultiProgress,
        phases: HashMap<String, ProgressBar>,
    },
    /// Each line by itself, written so.
    Lines(fn(&str)),
    Silent,
}

impl Progress {
    /// For a command whose output is the progress: bars when a person sees both outputs, else lines on standard output.
    pub fn as_output() -> Self {
        Self::new(std::io::stdout().is_terminal() && std::io::stderr().is_terminal(), print_line)
    }

    /// For a command whose output is something else: everything goes to standard error.
    pub fn beside_output() -> Self {
        Self::new(std::io::stderr().is_terminal(), print_error)
    }

    fn new(is_terminal: bool, line: fn(&str)) -> Self {
        match is_terminal {
            true => Self::Terminal { bars: MultiProgress::new(), phases: HashMap::new() },
            false => Self::Lines(line),
        }
    }

    pub fn show(&mut self, event: &Value) {
        let line = line_of(event);
        match self {
            Self::Silent => {}
            Self::Lines(write) => line.iter().for_each(|line| write(line)),
            Self::Terminal { bars, phases } => match phase_of(event) {
                Some((phase, true)) => {
                    let bar = bars.add(spinner(&phase));
                    phases.insert(phase, bar);
                }
                Some((phase, false)) => {
                    let bar = phases.remove(&phase).unwrap_or_else(|| bars.add(spinner(&phase)));
                    bar.finish_and_clear();
                    print_above(bars, line);
                }
                None => print_above(bars, line),
            },
        }
    }

    /// A line from the command itself.
    pub fn note(&self, line: &str) {
        match self {
            Self::Silent => {}
            Self::Lines(write) => write(line),
            Self::Terminal { bars, .. } => print_above(bars, Some(line.to_owned())),
        }
    }

    /// Clears the screen for a dialogue, until [`Progress::resume`].
    pub fn pause(&self) {
        if let Self::Terminal { bars, .. } = self {
            let _ = bars.clear();
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    pub fn resume(&self) {
        if let Self::Terminal { bars, .. } = self {
            bars.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Removes the remaining spinners.
    pub fn finish(&mut self) {
        if let Self::Terminal { bars, phases } = self {
            phases.drain().for_each(|(_, bar)| bar.finish_and_clear());
            let _ = bars.clear();
        }
    }
}

fn spinner(phase: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}").unwrap_or(ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style).with_message(phase.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn print_above(bars: &MultiProgress, line: Option<String>) {
    if let Some(line) = line {
        output::note(bars.println(line));
    }
}
