//! Events as they happen: spinners and console lines on a terminal, plain lines anywhere else.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::exec;
use super::output::{self, say};
use super::report::seconds;

/// Shows events to whoever started the command.
pub enum Progress {
    Terminal { bars: MultiProgress, phases: HashMap<String, ProgressBar> },
    Plain,
}

impl Progress {
    /// Bars when a person looks at both outputs.
    pub fn new() -> Self {
        match std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
            true => Self::Terminal { bars: MultiProgress::new(), phases: HashMap::new() },
            false => Self::Plain,
        }
    }

    pub fn show(&mut self, event: &Value) {
        let line = line_of(event);
        match self {
            Self::Plain => line.iter().for_each(|line| say(line)),
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

    /// A word of the command itself.
    pub fn note(&self, line: &str) {
        match self {
            Self::Plain => say(line),
            Self::Terminal { bars, .. } => print_above(bars, Some(line.to_owned())),
        }
    }

    /// Leaves the screen to somebody else for a while.
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

    /// Takes what still spins off the screen.
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

/// Name of the phase, and whether it starts.
fn phase_of(event: &Value) -> Option<(String, bool)> {
    let (scope, starts) = match event["type"].as_str()? {
        "build.phase.started" => ("build", true),
        "run.phase.started" => ("run", true),
        "build.phase.completed" => ("build", false),
        "run.phase.completed" => ("run", false),
        _ => return exec::phase_of(event),
    };
    Some((format!("{scope} {}", printable(event["payload"]["phase"].as_str()?)), starts))
}

/// The event in one line; none for those that would only be noise.
pub fn line_of(event: &Value) -> Option<String> {
    let payload = &event["payload"];
    let text = |key: &str| printable(payload[key].as_str().unwrap_or_default());
    let number = |key: &str| payload[key].as_u64().unwrap_or(0);
    let kind = event["type"].as_str().unwrap_or_default();
    Some(match kind {
        "console.line" => format!("[{}] {}", text("scope"), text("message")),
        "build.phase.started" | "run.phase.started" => format!("{} ...", phase_of(event)?.0),
        "build.phase.completed" | "run.phase.completed" => {
            format!("{} {} in {}", phase_of(event)?.0, text("status"), seconds(number("duration_ms")))
        }
        "run.waiting" => format!("waiting for {}", text("reason")),
        "run.started" => format!("run started, engine {}", text("engine_version")),
        "run.table.summary" => table_line(payload),
        "run.validation.issue" => {
            format!("{} {} in row {}: {}", text("severity"), text("field"), number("row"), text("message"))
        }
        "run.error" => format!("error {}: {}", text("code"), text("message")),
        "run.cancelling" => "cancelling".to_owned(),
        "build.completed" if payload["env"]["reused"] == true => "build reused".to_owned(),
        "build.completed" | "run.completed" => format!("{} {}", kind.replace(".completed", ""), text("status")),
        "run.queued" | "build.created" | "build.started" | "run.validation.summary" => return None,
        // Those of executions have no scope in their names.
        plain if !plain.contains('.') => return exec::line_of(event),
        other => printable(other),
    })
}

fn table_line(payload: &Value) -> String {
    let place = ["source_file", "source_sheet"].map(|key| printable(payload[key].as_str().unwrap_or("?")));
    let mapped = payload["mapping"]["mapped_columns"].as_array().map_or(0, Vec::len);
    let rows = payload["row_count"].as_u64().unwrap_or(0);
    format!("table {} / {}: {rows} rows, {mapped} columns mapped", place[0], place[1])
}

/// Without escape sequences and other controls: what a child wrote must not steer the terminal.
pub fn printable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            // A sequence ends with its first byte from `@` to `~`, the `[` of the introducer aside.
            '\u{1b}' => {
                let introduced = characters.next() == Some('[');
                if introduced {
                    characters.by_ref().find(|character| ('@'..='~').contains(character));
                }
            }
            '\t' => plain.push(' '),
            control if control.is_control() => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_childs_line_cannot_steer_the_terminal() {
        assert_eq!(printable("\u{1b}[31mred\u{1b}[0m\u{7}\tx\u{1b}[2J"), "red x");
        assert_eq!(printable("cut \u{1b}["), "cut ");
    }

    #[test]
    fn every_event_worth_a_line_has_one() {
        let line = |kind: &str, payload: Value| line_of(&json!({"type": kind, "payload": payload}));
        let cases = [
            ("console.line", json!({"scope": "run", "message": "hi"}), Some("[run] hi")),
            ("build.phase.started", json!({"phase": "create_venv"}), Some("build create_venv ...")),
            (
                "run.phase.completed",
                json!({"phase": "mapping", "status": "succeeded", "duration_ms": 1200}),
                Some("run mapping succeeded in 1.2 s"),
            ),
            ("build.completed", json!({"status": "active", "env": {"reused": true}}), Some("build reused")),
            ("run.completed", json!({"status": "failed"}), Some("run failed")),
            ("run.queued", json!({}), None),
            ("engine.custom", json!({}), Some("engine.custom")),
        ];
        for (kind, payload, expected) in cases {
            assert_eq!(line(kind, payload).as_deref(), expected);
        }
    }
}
