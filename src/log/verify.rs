//! Checking a whole log against the rules of its format.

use std::collections::{HashMap, VecDeque};
use std::io;

use memchr::memchr_iter;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::lines::LONGEST_LINE;
use super::reader::LogReader;
use crate::domain::{BuildId, EventId, ExecutionId, RunId, StreamId, StreamKey, StreamKind, WorkspaceId};
use crate::event::codec::{self, EventRef};

/// The result of checking a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogReport {
    pub events: u64,
    pub violations: Vec<Violation>,
}

/// A violation of the rules, and the line it was found in, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub line: u64,
    pub kind: ViolationKind,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ViolationKind {
    #[error("the line is not an event")]
    NotAnEvent,
    #[error("the event belongs to another stream")]
    ForeignEvent,
    #[error("the sequence is {found} instead of {expected}")]
    Sequence { expected: u64, found: u64 },
    #[error("the event id is not greater than the previous one")]
    EventId,
    #[error("the event comes after the terminal event")]
    AfterTerminal,
    #[error("there is no terminal event")]
    NoTerminal,
    #[error("the line is longer than an event can be; the rest of the log was not checked")]
    TooLong,
    #[error("the last line does not end with a newline")]
    NoNewline,
    #[error("the index of the compressed log does not match its lines")]
    Index,
}

/// Reads the log from its head. With `must_be_terminal`, its last event has to be the terminal one.
pub fn verify_log(reader: &LogReader, key: StreamKey, must_be_terminal: bool) -> io::Result<LogReport> {
    const CHUNK: usize = 1 << 20;
    let size = reader.size()?;
    let data_end = size.min(reader.lines().data_end()?);
    let mut check = Check::new(key, reader.first_sequence(), reader.beginnings()?);
    let mut pending = Vec::new();
    let mut offset = 0;
    while offset < data_end && pending.len() as u64 <= LONGEST_LINE {
        let end = data_end.min(offset + CHUNK as u64);
        pending.extend(super::disk::read_range(reader.lines(), offset, end)?);
        offset = end;
        let used = check.lines(&pending);
        pending.drain(..used);
    }
    let rest = match pending.len() as u64 {
        _ if offset < data_end => Some(ViolationKind::TooLong),
        0 if data_end == size => None,
        _ => Some(ViolationKind::NoNewline),
    };
    Ok(check.finish(rest, must_be_terminal))
}

/// Whose event it is, which the service itself knows from the file's place and does not read from the line.
#[derive(Deserialize)]
struct Owner {
    workspace_id: WorkspaceId,
    run_id: Option<RunId>,
    build_id: Option<BuildId>,
    execution_id: Option<ExecutionId>,
}

impl Owner {
    fn is(&self, key: StreamKey, line: &[u8]) -> bool {
        self.workspace_id == key.workspace_id()
            && match key.kind() {
                StreamKind::FEED => true,
                StreamKind::RUN => self.run_id.map(StreamId::from) == Some(key.id()),
                // The stream of a run has events of its build.
                StreamKind::BUILD => self.run_id.is_none() && self.build_id.map(StreamId::from) == Some(key.id()),
                StreamKind::EXECUTION => self.execution_id.map(StreamId::from) == Some(key.id()),
                _ => names(line, key),
            }
    }
}

/// Whether the line has the id of the stream under the name of its kind.
fn names(line: &[u8], key: StreamKey) -> bool {
    let Ok(keys) = serde_json::from_slice::<HashMap<&str, &RawValue>>(line) else { return false };
    let own = keys.get(format!("{}_id", key.kind()).as_str());
    own.is_some_and(|id| id.get() == format!("\"{key}\""))
}

struct Check {
    key: StreamKey,
    /// Offset and sequence of lines to come, as the index of a compressed log has them.
    beginnings: VecDeque<(u64, u64)>,
    offset: u64,
    line: u64,
    expected: u64,
    last_id: Option<EventId>,
    terminal: bool,
    report: LogReport,
}

impl Check {
    fn new(key: StreamKey, expected: u64, beginnings: Vec<(u64, u64)>) -> Self {
        Self {
            key,
            beginnings: beginnings.into(),
            offset: 0,
            line: 0,
            expected,
            last_id: None,
            terminal: false,
            report: LogReport::default(),
        }
    }

    /// Checks the whole lines and says how many bytes that were.
    fn lines(&mut self, bytes: &[u8]) -> usize {
        let mut start = 0;
        for newline in memchr_iter(b'\n', bytes) {
            self.line(&bytes[start..newline]);
            self.offset += (newline + 1 - start) as u64;
            start = newline + 1;
        }
        start
    }

    fn line(&mut self, line: &[u8]) {
        self.line += 1;
        match codec::decode(line) {
            Ok(event) => {
                self.report.events += 1;
                let owner = serde_json::from_slice::<Owner>(line);
                self.event(&event, owner.is_ok_and(|owner| owner.is(self.key, line)));
            }
            Err(_) => {
                self.violation(ViolationKind::NotAnEvent);
                self.expected += 1;
            }
        }
    }

    fn event(&mut self, event: &EventRef<'_>, is_own: bool) {
        if let Some((_, sequence)) = self.beginnings.pop_front_if(|(offset, _)| *offset == self.offset)
            && sequence != event.sequence
        {
            self.violation(ViolationKind::Index);
        }
        if !is_own {
            self.violation(ViolationKind::ForeignEvent);
        }
        if event.sequence != self.expected {
            self.violation(ViolationKind::Sequence { expected: self.expected, found: event.sequence });
        }
        if self.last_id.is_some_and(|last| event.event_id <= last) {
            self.violation(ViolationKind::EventId);
        }
        if self.terminal {
            self.violation(ViolationKind::AfterTerminal);
        }
        self.expected = event.sequence.saturating_add(1);
        self.last_id = Some(event.event_id);
        self.terminal |= event.is_terminal(self.key);
    }

    fn violation(&mut self, kind: ViolationKind) {
        self.report.violations.push(Violation { line: self.line, kind });
    }

    /// With what is wrong about whatever stands behind the last whole line.
    fn finish(mut self, rest: Option<ViolationKind>, must_be_terminal: bool) -> LogReport {
        if let Some(kind) = rest {
            self.line += 1;
            self.violation(kind);
        }
        if must_be_terminal && !self.terminal {
            self.violation(ViolationKind::NoTerminal);
        }
        if !self.beginnings.is_empty() {
            self.violation(ViolationKind::Index);
        }
        self.report
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    fn found(sample: &Sample, lines: &[Vec<u8>], must_be_terminal: bool) -> Vec<(u64, ViolationKind)> {
        let report = verify_log(&sample.reader(&lines.concat()), sample.key, must_be_terminal).unwrap();
        report.violations.into_iter().map(|violation| (violation.line, violation.kind)).collect()
    }

    #[test]
    fn a_good_log_has_no_violations() {
        let sample = Sample::new();
        let mut lines: Vec<_> = (1..=3000).map(|n| sample.line(n, 600)).collect();
        lines.push(sample.event("run.completed", 3001, 0));
        let report = verify_log(&sample.reader(&lines.concat()), sample.key, true).unwrap();
        assert_eq!(report, LogReport { events: 3001, violations: vec![] });
    }

    #[test]
    fn a_hole_behind_the_last_line_is_named_and_not_read() {
        let sample = Sample::new();
        let file = sample.file(&sample.line(1, 10));
        file.set_len(1 << 40).unwrap();
        let report = verify_log(&LogReader::of_file(file), sample.key, false).unwrap();
        assert_eq!((report.events, report.violations[0].kind.clone()), (1, ViolationKind::NoNewline));
    }

    #[test]
    fn every_breach_is_named_with_its_line() {
        let sample = Sample::new();
        let line = |sequence| sample.line(sequence, 10);
        let end = |sequence| sample.event("run.completed", sequence, 0);
        assert_eq!(found(&sample, &[line(1), line(2)], true), [(2, ViolationKind::NoTerminal)]);
        assert_eq!(found(&sample, &[line(1), b"{}\n".to_vec(), line(3)], false), [(2, ViolationKind::NotAnEvent)]);
        let gap = ViolationKind::Sequence { expected: 2, found: 4 };
        assert_eq!(found(&sample, &[line(1), line(4), line(5)], false), [(2, gap)]);
        let again = ViolationKind::Sequence { expected: 2, found: 1 };
        assert_eq!(found(&sample, &[line(1), line(1)], false), [(2, again), (2, ViolationKind::EventId)]);
        assert_eq!(found(&sample, &[end(1), line(2)], true), [(2, ViolationKind::AfterTerminal)]);
        assert_eq!(found(&sample, &[line(1), line(2)[..50].to_vec()], false), [(2, ViolationKind::NoNewline)]);
        let long = vec![b'x'; LONGEST_LINE as usize + (2 << 20)];
        assert_eq!(found(&sample, &[line(1), long, line(3)], false), [(2, ViolationKind::TooLong)]);
        let foreign = Sample::new().line(2, 0);
        assert_eq!(found(&sample, &[line(1), foreign], false), [(2, ViolationKind::ForeignEvent)]);
    }
}
