//! Payload of `console.line`: one line that a child process wrote, or that the service adds between them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::status::text_enum;

pub const CONSOLE_LINE: &str = "console.line";

text_enum! {
    Scope { Build = "build", Run = "run" }
}

text_enum! {
    /// The pipe that a line came through.
    Pipe { Stdout = "stdout", Stderr = "stderr" }
}

text_enum! {
    Level { Debug = "debug", Info = "info", Warn = "warn", Error = "error" }
}

impl Pipe {
    /// The level of a line that does not name one.
    pub fn default_level(self) -> Level {
        match self {
            Self::Stdout => Level::Info,
            Self::Stderr => Level::Warn,
        }
    }
}

/// `console.line`; what does not apply is left out, since there may be very many of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsoleLine<'a> {
    pub scope: Scope,
    pub stream: Pipe,
    pub level: Level,
    pub message: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logger: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// The rest of the line was dropped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// The line goes on in the next event.
    #[serde(default, skip_serializing_if = "is_false")]
    pub continued: bool,
}

impl<'a> ConsoleLine<'a> {
    /// A line as it came, at the level of its pipe.
    pub fn new(scope: Scope, stream: Pipe, message: impl Into<Cow<'a, str>>) -> Self {
        let level = stream.default_level();
        Self {
            scope,
            stream,
            level,
            message: message.into(),
            phase: None,
            logger: None,
            details: None,
            truncated: false,
            continued: false,
        }
    }

    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    pub fn phase(mut self, phase: impl Into<Cow<'a, str>>) -> Self {
        self.phase = Some(phase.into());
        self
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_carries_only_what_applies() {
        let line = ConsoleLine::new(Scope::Run, Pipe::Stderr, "oh\u{1b}[0m");
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(text, r#"{"scope":"run","stream":"stderr","level":"warn","message":"oh\u001b[0m"}"#);
        assert_eq!(serde_json::from_str::<ConsoleLine>(&text).unwrap(), line);
    }

    #[test]
    fn flags_are_written_when_set() {
        let line = ConsoleLine { truncated: true, ..ConsoleLine::new(Scope::Build, Pipe::Stdout, "x") };
        assert!(serde_json::to_string(&line).unwrap().ends_with(r#""message":"x","truncated":true}"#));
    }
}
