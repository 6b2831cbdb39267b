//! One event, one line: the only JSON of events.
//!
//! Invariant: the bytes made here are what the file holds and what every transport sends; nothing serialises an event a
//! second time. The key order is fixed: `type` first, `payload` last. A line has no character that any reader of lines
//! could take for the end of one.

use std::borrow::Cow;
use std::io::Write;

use chrono::{Datelike, Timelike};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Draft;
use super::envelope::Subject;
use crate::domain::progress::StepKey;
use crate::domain::time::Timestamp;
use crate::domain::{BuildId, ConfigurationId, EventId, ExecutionId, RunId, StreamId, StreamKey, WorkspaceId};

/// The part of the envelope that is the same for every event of a stream.
#[derive(Debug, Clone)]
pub struct Identity {
    key: StreamKey,
    rendered: String,
    suffix: Suffix,
}

/// What each event of a stream adds to the part that is the same for all.
#[derive(Debug, Clone, Copy)]
enum Suffix {
    Nothing,
    /// The build that its stream is of, or that the event is about.
    Build(Option<BuildId>),
    Step,
    Subject,
}

impl Identity {
    /// Of the stream of a run or a build, and of no other.
    pub fn new(key: StreamKey, configuration_id: ConfigurationId) -> Self {
        let run_id = RunId::try_from(key.id()).map_or("null".into(), |id| format!("\"{id}\""));
        let workspace_id = key.workspace_id();
        let rendered = format!(
            ",\"workspace_id\":\"{workspace_id}\",\"configuration_id\":\"{configuration_id}\",\"run_id\":{run_id},\"build_id\":"
        );
        Self { key, rendered, suffix: Suffix::Build(BuildId::try_from(key.id()).ok()) }
    }

    /// Of the stream of work of any other kind: with its id, under the name of its kind.
    pub fn of_work(key: StreamKey) -> Self {
        let mut rendered = format!(",\"workspace_id\":\"{}\"", key.workspace_id()).into_bytes();
        write_own_id(&mut rendered, key.id());
        let rendered = String::from_utf8(rendered).expect("JSON is UTF-8");
        Self { key, rendered, suffix: Suffix::Nothing }
    }

    /// Of the stream of an execution.
    pub fn of_execution(workspace_id: WorkspaceId, id: ExecutionId, workflow_id: &str) -> Self {
        let mut rendered = format!(",\"workspace_id\":\"{workspace_id}\"").into_bytes();
        write_execution(&mut rendered, id, workflow_id);
        let rendered = String::from_utf8(rendered).expect("JSON is UTF-8");
        Self { key: StreamKey::of(workspace_id, id), rendered, suffix: Suffix::Step }
    }

    /// Of a workspace's feed, where each event says itself what it is about.
    pub fn of_feed(workspace_id: WorkspaceId) -> Self {
        let rendered = format!(",\"workspace_id\":\"{workspace_id}\"");
        Self { key: StreamKey::feed(workspace_id), rendered, suffix: Suffix::Subject }
    }

    pub fn key(&self) -> StreamKey {
        self.key
    }

    fn write(&self, out: &mut Vec<u8>, draft: &Draft) {
        out.extend_from_slice(self.rendered.as_bytes());
        match self.suffix {
            Suffix::Nothing => (),
            Suffix::Build(own) => write_nullable(out, own.or(draft.build_id)),
            Suffix::Step => write_step(out, draft.step.as_deref()),
            Suffix::Subject => write_subject(out, draft),
        }
    }
}

/// Number, id and time: what only the stream assigns.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    pub sequence: u64,
    pub event_id: EventId,
    pub created_at: Timestamp,
}

/// Appends the line of an event, newline included, to `out`.
pub fn encode(out: &mut Vec<u8>, identity: &Identity, stamp: Stamp, draft: &Draft) {
    let start = out.len();
    out.extend_from_slice(b"{\"type\":");
    write_string(out, &draft.kind);
    write!(out, ",\"event_id\":\"{}\",\"created_at\":\"", stamp.event_id).expect(VEC);
    write_time(out, stamp.created_at);
    write!(out, "\",\"sequence\":{},\"source\":\"{}\"", stamp.sequence, draft.source.as_str()).expect(VEC);
    identity.write(out, draft);
    out.extend_from_slice(b",\"engine_timestamp\":");
    match &draft.engine_timestamp {
        Some(text) => write_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"payload\":");
    out.extend_from_slice(draft.payload.get().as_bytes());
    out.extend_from_slice(b"}\n");
    escape_line_ends(out, start);
}

/// Where Unicode ends a line, many readers do, though JSON and SSE do not. Such a character can only stand in a string,
/// where its escape is the same text. (The other line ends are control characters, which JSON escapes.)
fn escape_line_ends(out: &mut Vec<u8>, start: usize) {
    let Some((at, _)) = line_end(&out[start..]) else { return };
    let rest = out.split_off(start + at);
    let mut rest = &rest[..];
    while let Some((at, (end, escape))) = line_end(rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(escape);
        rest = &rest[at + end.len_utf8()..];
    }
    out.extend_from_slice(rest);
}

/// The first of them, and its escape. Most text has neither of the bytes that they begin with.
fn line_end(bytes: &[u8]) -> Option<(usize, (char, &'static [u8]))> {
    memchr::memchr2_iter(0xc2, 0xe2, bytes).find_map(|at| match bytes[at..] {
        [0xc2, 0x85, ..] => Some((at, ('\u{85}', &br"\u0085"[..]))),
        [0xe2, 0x80, 0xa8, ..] => Some((at, ('\u{2028}', &br"\u2028"[..]))),
        [0xe2, 0x80, 0xa9, ..] => Some((at, ('\u{2029}', &br"\u2029"[..]))),
        _ => None,
    })
}

const VEC: &str = "writing to a Vec cannot fail";

/// In a feed each event says what it is about, in the keys of its own stream.
fn write_subject(out: &mut Vec<u8>, draft: &Draft) {
    let (configuration_id, run_id) = match &draft.subject {
        Some(Subject::Execution { execution_id, workflow_id }) => {
            write_execution(out, *execution_id, workflow_id);
            return write_step(out, draft.step.as_deref());
        }
        Some(Subject::OtherWork(id)) => return write_own_id(out, *id),
        Some(Subject::Work { configuration_id, run_id }) => (*configuration_id, *run_id),
        None => (None, None),
    };
    write_id(out, "configuration_id", configuration_id);
    write_id(out, "run_id", run_id);
    write_id(out, "build_id", draft.build_id);
}

fn write_own_id(out: &mut Vec<u8>, id: StreamId) {
    write!(out, ",\"{}_id\":\"{id}\"", id.kind()).expect(VEC);
}

fn write_execution(out: &mut Vec<u8>, id: ExecutionId, workflow_id: &str) {
    write!(out, ",\"execution_id\":\"{id}\",\"workflow_id\":").expect(VEC);
    write_string(out, workflow_id);
}

/// Both are text from outside: the item's key is one of a document.
fn write_step(out: &mut Vec<u8>, step: Option<&StepKey>) {
    for (key, text) in [("step_id", step.map(|step| &step.step_id)), ("item", step.and_then(|step| step.item.as_ref()))]
    {
        write!(out, ",\"{key}\":").expect(VEC);
        serde_json::to_writer(&mut *out, &text).expect(VEC);
    }
}

fn write_id(out: &mut Vec<u8>, key: &str, id: Option<impl std::fmt::Display>) {
    write!(out, ",\"{key}\":").expect(VEC);
    write_nullable(out, id);
}

fn write_nullable(out: &mut Vec<u8>, id: Option<impl std::fmt::Display>) {
    match id {
        Some(id) => write!(out, "\"{id}\"").expect(VEC),
        None => out.extend_from_slice(b"null"),
    }
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect(VEC);
}

/// By hand, since this runs once per event and chrono's formatter costs as much as the rest of the line.
fn write_time(out: &mut Vec<u8>, time: Timestamp) {
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let mut put = |at: usize, width: usize, mut value: u32| {
        for slot in text[at..at + width].iter_mut().rev() {
            *slot = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    put(0, 4, time.year().clamp(0, 9999) as u32);
    put(5, 2, time.month());
    put(8, 2, time.day());
    put(11, 2, time.hour());
    put(14, 2, time.minute());
    put(17, 2, time.second());
    put(20, 6, time.nanosecond() % 1_000_000_000 / 1000);
    out.extend_from_slice(&text);
}

/// A line read back, borrowing from it.
#[derive(Debug, Deserialize)]
pub struct EventRef<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    pub event_id: EventId,
    #[serde(with = "crate::domain::time::serde_micros")]
    pub created_at: Timestamp,
    pub sequence: u64,
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    #[serde(default)]
    pub build_id: Option<BuildId>,
    #[serde(borrow, default)]
    pub step_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub item: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub payload: &'a RawValue,
}

impl EventRef<'_> {
    pub fn is_terminal(&self, key: StreamKey) -> bool {
        key.kind().is_terminal(self.kind.as_bytes())
    }
}

/// The line is not an event.
#[derive(Debug, thiserror::Error)]
#[error("not an event: {0}")]
pub struct InvalidLine(#[from] serde_json::Error);

/// Reads a line, with or without its newline.
pub fn decode(line: &[u8]) -> Result<EventRef<'_>, InvalidLine> {
    Ok(serde_json::from_slice(line)?)
}

/// The `type` of a line made by [`encode`], as it stands in the JSON (escapes kept), without parsing the rest.
pub fn raw_type(line: &[u8]) -> &[u8] {
    let Some(rest) = line.strip_prefix(b"{\"type\":\"") else { return b"" };
    let mut at = 0;
    while let Some(step) = memchr::memchr2(b'"', b'\\', &rest[at..]) {
        at += step;
        if rest[at] == b'"' {
            return &rest[..at];
        }
        at = (at + 2).min(rest.len());
    }
    b""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RunId;
    use crate::event::Source;
    use serde_json::json;

    fn line(kind: &'static str, payload: serde_json::Value) -> (StreamKey, Stamp, Vec<u8>) {
        let key = StreamKey::of(WorkspaceId::generate(), RunId::generate());
        let identity = Identity::new(key, ConfigurationId::generate());
        let created_at = crate::domain::time::micros(chrono::Utc::now());
        let stamp = Stamp { sequence: 7, event_id: EventId::generate(), created_at };
        let mut out = Vec::new();
        encode(&mut out, &identity, stamp, &Draft::new(kind, Source::Engine, &payload));
        (key, stamp, out)
    }

    #[test]
    fn a_line_reads_back_as_the_event_it_was() {
        let (_, stamp, line) = line("run.phase.started", json!({"phase": "map\nping", "x": [1, null]}));
        assert_eq!(line.iter().filter(|&&b| b == b'\n').count(), 1);
        let event = decode(&line).unwrap();
        assert_eq!((event.sequence, event.event_id, event.created_at), (7, stamp.event_id, stamp.created_at));
        assert_eq!(event.kind, "run.phase.started");
        assert_eq!(event.payload.get(), r#"{"phase":"map\nping","x":[1,null]}"#);
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["created_at"], crate::domain::time::format(stamp.created_at));
        assert!(value["build_id"].is_null() && value["run_id"].is_string());
    }

    /// The line of an execution, and of the feed that delivers it.
    fn lines_of_execution(step: Option<StepKey>) -> [String; 2] {
        let (workspace_id, id) = (WorkspaceId::from_ulid(7.into()), ExecutionId::from_ulid(8.into()));
        let stamp = Stamp { sequence: 1, event_id: EventId::from_ulid(9.into()), created_at: Timestamp::default() };
        let mut draft = Draft::new("step_failed", Source::Executor, &json!({}));
        draft.step = step.map(Box::new);
        let own = Identity::of_execution(workspace_id, id, "wf");
        let told =
            Draft { subject: Some(Subject::Execution { execution_id: id, workflow_id: "wf".into() }), ..draft.clone() };
        [(own, draft), (Identity::of_feed(workspace_id), told)].map(|(identity, draft)| {
            let mut out = Vec::new();
            encode(&mut out, &identity, stamp, &draft);
            String::from_utf8(out).unwrap()
        })
    }

    #[test]
    fn an_execution_and_its_feed_say_the_same_of_an_event() {
        let item = StepKey::item("plan", "a\"b");
        let [own, feed] = lines_of_execution(Some(item));
        let expected = concat!(
            r#"{"type":"step_failed","event_id":"evt_00000000000000000000000009","#,
            r#""created_at":"1970-01-01T00:00:00.000000Z","sequence":1,"source":"executor","#,
            r#""workspace_id":"ws_00000000000000000000000007","execution_id":"exec_00000000000000000000000008","#,
            r#""workflow_id":"wf","step_id":"plan","item":"a\"b","engine_timestamp":null,"payload":{}}"#,
            "\n"
        );
        assert_eq!((own.as_str(), feed.as_str()), (expected, expected));
        let event = decode(own.as_bytes()).unwrap();
        assert_eq!((event.step_id.as_deref(), event.item.as_deref()), (Some("plan"), Some("a\"b")));
        let [own, _] = lines_of_execution(None);
        assert!(own.contains(r#""step_id":null,"item":null,"#), "{own}");
    }

    #[test]
    fn a_line_has_no_character_that_ends_a_line() {
        let ends = "\u{b}\u{c}\r\n\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}";
        let near = "\u{84}\u{a3}\u{e9}\u{2013}\u{2019}\u{2027}\u{202a}\u{6771}\u{1f600}\\";
        for text in [ends.to_owned(), near.to_owned(), format!("a{ends}{ends}b{near}"), format!("{near}{ends}\\{ends}")]
        {
            let payload = json!({ "message": text, text.clone(): [&text] });
            let identity = Identity::of_execution(WorkspaceId::generate(), ExecutionId::generate(), &text);
            let stamp = Stamp { sequence: 1, event_id: EventId::generate(), created_at: Timestamp::default() };
            let mut out = b"before\xe2\x80\xa8".to_vec();
            let mut draft = Draft::new("x", Source::Executor, &payload).of_step(StepKey::item("plan", text.clone()));
            draft.engine_timestamp = Some(text.as_str().into());
            encode(&mut out, &identity, stamp, &draft);
            let line = std::str::from_utf8(out.strip_prefix(b"before\xe2\x80\xa8").unwrap()).unwrap();
            assert!(!line.trim_end_matches('\n').contains(|c| ends.contains(c)), "{line}");
            assert!(!near.contains(&text) || line.contains(near.trim_end_matches('\\')), "only these: {line}");
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["payload"], payload);
            assert_eq!((value["item"].as_str(), value["engine_timestamp"].as_str()), (Some(&*text), Some(&*text)));
        }
    }

    #[test]
    fn the_type_is_found_without_parsing() {
        let (_, _, plain) = line("console.line", json!({}));
        assert_eq!(raw_type(&plain), b"console.line");
        let (_, _, odd) = line("we\"ird\\", json!({}));
        assert_eq!(raw_type(&odd), br#"we\"ird\\"#);
        assert_eq!(raw_type(b"{}"), b"");
    }

    #[test]
    fn only_the_streams_own_end_is_terminal() {
        let (key, _, done) = line("run.completed", json!({}));
        let (_, _, build) = line("build.completed", json!({}));
        assert!(decode(&done).unwrap().is_terminal(key));
        assert!(!decode(&build).unwrap().is_terminal(key));
    }
}
