//! Lines of an engine to event drafts.
//!
//! Invariants:
//! - no line is lost: it becomes an event, a `console.line`, or part of the engine's report;
//! - an event that needs no rewriting keeps its payload byte for byte;
//! - an engine cannot say what only the service may say, nor what some reader of JSON would break at: such an event is
//!   a line of text with the reason ([`NoEvent`]).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::console::in_pieces;
use super::engine_error::EngineError;
use super::phase::PhaseTracker;
use super::report::{EngineFailure, EngineReport, PathList};
use super::rewrite::{Names, RawObject, Tables};
use super::stderr_tail::StderrTail;
use crate::domain::json::{Fault, check_readable};
use crate::domain::text::clipped;
use crate::domain::time::Timestamp;
use crate::event::payload::PhaseStatus;
use crate::event::payload::console::{CONSOLE_LINE, ConsoleLine, Level, Pipe, Scope};
use crate::event::payload::run::*;
use crate::event::{Draft, EventType, Source};
use crate::worker::process::{Exit, LINE_LIMIT, Line, pieces};

/// How a line reached the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Stdout,
    Stderr,
    /// The file that the engine appends its events to.
    File,
}

/// Reads what one engine says, both ways; the order within a way is kept.
#[derive(Debug, Default)]
pub struct EngineParser {
    names: Names,
    tables: Tables,
    phases: PhaseTracker,
    report: EngineReport,
    stderr_tail: StderrTail,
    /// A line of stdout that is the result if no other follows.
    held: Option<Line>,
    /// Per way: the next line goes on one that has been given out.
    continuing: [bool; 3],
}

/// The envelope of an engine's event, and of the result line, which has a `status` and no `type`.
#[derive(Debug, Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
}

/// Bytes of a word that an engine reports about itself.
const REPORT_TEXT: usize = 200;

/// Keys of the envelope; ids and numbers are the service's own.
const ENVELOPE: &[&str] = &[
    "type",
    "event_id",
    "created_at",
    "sequence",
    "source",
    "workspace_id",
    "configuration_id",
    "run_id",
    "build_id",
    "engine_timestamp",
];

/// Why an object is no event, though it may look like one. It is told with the line.
#[derive(Debug, thiserror::Error)]
enum NoEvent {
    #[error("only the service emits `{0}`")]
    Reserved(String),
    #[error("`type` is empty, has control characters, or is longer than {MAX_TYPE} bytes")]
    Type,
    #[error("not every JSON parser can read it: {}: {}", clipped(&.0.path, REASON_PATH), .0.kind)]
    Unreadable(Fault),
    #[error("it cannot be read as JSON: {0}")]
    Syntax(#[from] serde_json::Error),
}

/// Bytes of a type.
const MAX_TYPE: usize = 200;
/// Bytes of a place.
const REASON_PATH: usize = 200;
/// Bytes of JSON that the reason may take beside a line.
const REASON_ROOM: usize = 2 << 10;

/// Whether an engine may use the type, which is also a field of a text protocol. (`run.started` and `run.completed` are
/// absorbed, not refused.)
fn may_emit(kind: &str) -> Result<(), NoEvent> {
    let is_reserved = matches!(kind, RUN_QUEUED | RUN_WAITING | RUN_CANCELLING)
        || kind.starts_with("build.")
        || kind.starts_with("stream.");
    let is_plain = (1..=MAX_TYPE).contains(&kind.len()) && !kind.chars().any(char::is_control);
    match (is_plain, is_reserved) {
        (false, _) => Err(NoEvent::Type),
        (true, true) => Err(NoEvent::Reserved(kind.to_owned())),
        (true, false) => Ok(()),
    }
}

fn event_type(kind: Cow<'_, str>) -> EventType {
    const KNOWN: &[&str] = &[
        CONSOLE_LINE,
        RUN_PHASE_STARTED,
        RUN_PHASE_COMPLETED,
        RUN_TABLE_SUMMARY,
        RUN_VALIDATION_ISSUE,
        RUN_VALIDATION_SUMMARY,
        RUN_ERROR,
    ];
    match KNOWN.iter().find(|known| **known == kind) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(kind.into_owned()),
    }
}

impl EngineParser {
    pub fn new(names: Names) -> Self {
        Self { names, ..Self::default() }
    }

    /// Appends what the line says to `out`. `now` is when it was read.
    pub fn line(&mut self, way: Way, line: Line, now: Timestamp, out: &mut Vec<Draft>) {
        if way == Way::Stdout
            && let Some(held) = self.held.take()
        {
            console(way, &held, None, out);
        }
        if way == Way::Stderr {
            self.stderr_tail.stderr_line(&line.text);
        }
        let continues = std::mem::replace(&mut self.continuing[way as usize], line.continued);
        if !continues && !line.continued && !line.truncated && line.text.trim_ascii_start().starts_with('{') {
            self.object(way, line, now, out);
        } else {
            console(way, &line, None, out);
        }
    }

    /// The engine has ended, and nothing follows any more. A phase that it has left open ends as the run does.
    pub fn finish(&mut self, exit: Exit, now: Timestamp, out: &mut Vec<Draft>) {
        if let Some(held) = self.held.take() {
            let result = RawObject::parse(&held.text).unwrap_or_default();
            let report = self.read_report(&result);
            self.report.absorb(report);
            // What cannot be read of it is not lost.
            if let Err(fault) = check_readable(&held.text) {
                console(Way::Stdout, &held, Some(NoEvent::Unreadable(fault)), out);
            }
        }
        let succeeded = self.failure(exit).is_none();
        let status = if succeeded { PhaseStatus::Succeeded } else { PhaseStatus::Failed };
        out.extend(self.phases.close(status, now).map(|closed| phase_completed(&closed)));
    }

    /// What the engine has said about itself; complete once [`EngineParser::finish`] was called.
    pub fn report(&self) -> &EngineReport {
        &self.report
    }

    /// Why it failed, in its own words where it has some; `None` when it has succeeded.
    pub fn failure(&self, exit: Exit) -> Option<EngineFailure> {
        self.report.failure(exit, self.stderr_tail.last_error())
    }

    /// What it said about its trouble.
    pub fn stderr_tail(&self) -> &StderrTail {
        &self.stderr_tail
    }

    /// The phase that the engine is in, or that it was in when it ended.
    pub fn last_phase(&self) -> Option<&str> {
        self.phases.last()
    }

    fn object(&mut self, way: Way, line: Line, now: Timestamp, out: &mut Vec<Draft>) {
        let wire = match serde_json::from_str::<Wire>(&line.text) {
            Ok(wire) => wire,
            // A pipe may carry any text, a file of events nothing but events.
            Err(error) => return console(way, &line, (way == Way::File).then(|| error.into()), out),
        };
        let Some(kind) = wire.kind else {
            let is_result = way == Way::Stdout && wire.status.is_some_and(|status| status.get().starts_with('"'));
            if is_result {
                self.held = Some(line);
            } else {
                console(way, &line, None, out);
            }
            return;
        };
        if let Err(reason) = may_emit(&kind) {
            return console(way, &line, Some(reason), out);
        }
        let payload = match wire.payload {
            Some(payload) if payload.get().starts_with('{') => Cow::Borrowed(payload),
            other => Cow::Owned(payload_of(&line.text, other)),
        };
        let is_own_frame = matches!(&*kind, RUN_STARTED | RUN_COMPLETED);
        if is_own_frame {
            self.own_frame(&payload);
        }
        match check_readable(&line.text) {
            Err(fault) => console(way, &line, Some(NoEvent::Unreadable(fault)), out),
            Ok(()) if is_own_frame => {}
            Ok(()) => self.event(event_type(kind), payload, wire.created_at.and_then(engine_time), now, out),
        }
    }

    fn event(
        &mut self,
        kind: EventType,
        payload: Cow<'_, RawValue>,
        time: Option<Box<str>>,
        now: Timestamp,
        out: &mut Vec<Draft>,
    ) {
        let at = || time.as_deref().and_then(|text| text.parse().ok()).unwrap_or(now);
        match &*kind {
            RUN_PHASE_STARTED => {
                let closed = phase_name(&payload).and_then(|phase| self.phases.started(&phase, at()));
                out.extend(closed.map(|closed| phase_completed(&closed)));
            }
            RUN_PHASE_COMPLETED => {
                if let Some(phase) = phase_name(&payload) {
                    self.phases.completed(&phase);
                }
            }
            _ => {}
        }
        let payload = self.rewrite(&kind, payload);
        if kind == RUN_ERROR {
            self.stderr_tail.error(EngineError::read(&payload, &self.names));
        }
        let payloads = if kind == CONSOLE_LINE { in_pieces(payload) } else { vec![payload] };
        out.extend(payloads.into_iter().map(|payload| Draft {
            kind: kind.clone(),
            source: Source::Engine,
            build_id: None,
            step: None,
            subject: None,
            engine_timestamp: time.clone(),
            payload,
        }));
    }

    /// The engine's own `run.started` or `run.completed`, as far as it can be read.
    fn own_frame(&mut self, payload: &RawValue) {
        let object = RawObject::parse(payload.get()).unwrap_or_default();
        let mut report = self.read_report(&object);
        // `in_progress` is no end.
        report.status = report.status.filter(|status| status != "in_progress");
        self.report.absorb(report);
    }

    fn read_report(&self, object: &RawObject) -> EngineReport {
        let paths = |key| -> Vec<String> {
            let paths: Vec<String> = object.read(key).unwrap_or_default();
            paths.iter().map(|path| self.names.path(path).to_owned()).collect()
        };
        let text = |key| object.read::<String>(key).map(|text| clipped(&text, REPORT_TEXT));
        let error = object.get("error").and_then(|error| EngineError::read(error, &self.names));
        EngineReport {
            engine_version: text("engine_version"),
            status: text("status"),
            output_paths: PathList::reported(paths("output_paths")),
            processed_files: PathList::reported(paths("processed_files")),
            error,
        }
    }

    fn rewrite(&mut self, kind: &str, payload: Cow<'_, RawValue>) -> Box<RawValue> {
        let plain = (kind == CONSOLE_LINE).then(|| plain_level(payload.get())).flatten();
        let payload = plain.map_or(payload, Cow::Owned);
        let concerned = kind == RUN_TABLE_SUMMARY || self.names.concern(payload.get());
        let renamed = concerned.then(|| self.rename(kind, payload.get())).flatten();
        renamed.unwrap_or_else(|| payload.into_owned())
    }

    fn rename(&mut self, kind: &str, payload: &str) -> Option<Box<RawValue>> {
        let mut object = RawObject::parse(payload)?;
        if kind == RUN_TABLE_SUMMARY {
            self.tables.rewrite(&mut object, &self.names);
        }
        object.rename_paths(&self.names);
        if let Some(message) = object.read::<String>("message") {
            let renamed = self.names.message(&message);
            if renamed != message {
                object.set("message", &renamed);
            }
        }
        Some(object.to_raw())
    }
}

/// The payload of an event that has none of its own: whatever else stands in the line.
fn payload_of(line: &str, given: Option<&RawValue>) -> Box<RawValue> {
    let mut object = RawObject::parse(line).unwrap_or_default().without(ENVELOPE);
    if given.is_none() {
        object = object.without(&["payload"]);
    }
    object.to_raw()
}

/// The engine's own time, as it wrote it.
fn engine_time(value: &RawValue) -> Option<Box<str>> {
    let text = value.get();
    if let Some(plain) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'))
        && !plain.contains('\\')
    {
        return Some(plain.into());
    }
    (text != "null" && text.len() <= 64).then(|| text.into())
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    phase: Option<Cow<'a, str>>,
}

fn phase_name(payload: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Named>(payload.get()).ok()?.phase
}

/// `warning` is spelled `warn` here.
fn plain_level(payload: &str) -> Option<Box<RawValue>> {
    memchr::memmem::find(payload.as_bytes(), b"\"warning\"")?;
    let mut object = RawObject::parse(payload)?;
    (object.read::<String>("level")? == "warning").then(|| object.set("level", &Level::Warn))?;
    Some(object.to_raw())
}

fn phase_completed(closed: &PhaseCompleted) -> Draft {
    Draft::new(RUN_PHASE_COMPLETED, Source::Api, closed)
}

/// A line that is no event, in pieces where it is too long for one. The last one has the reason, where there is one.
fn console(way: Way, line: &Line, reason: Option<NoEvent>, out: &mut Vec<Draft>) {
    let stream = if way == Way::Stderr { Pipe::Stderr } else { Pipe::Stdout };
    // In a file of events a line that is none is a fault of the engine.
    let is_fault = way == Way::File || reason.is_some();
    let mut details = reason.map(|reason| json!({ "reason": reason.to_string() }));
    let limit = LINE_LIMIT - details.as_ref().map_or(0, |_| REASON_ROOM);
    for (text, more) in pieces(&line.text, limit) {
        let continued = more || line.continued;
        let mut payload = ConsoleLine { continued, ..ConsoleLine::new(Scope::Run, stream, text) };
        payload.level = if is_fault { Level::Warn } else { payload.level };
        payload.truncated = line.truncated && !continued;
        payload.details = if continued { None } else { details.take() };
        out.push(Draft::new(CONSOLE_LINE, Source::Engine, &payload));
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
