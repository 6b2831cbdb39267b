//! What an engine says: bytes on pipes and in its file of events.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::process::{Exit, Line, LineSplitter};
use super::run::parse::{EngineParser, Way};
use super::run::rewrite::Names;
use crate::domain::json::check_readable;
use crate::domain::{ConfigurationId, EventId, RunId, StreamKey, WorkspaceId};
use crate::event::codec::{self, Identity, Stamp};
use crate::event::payload::run::{RUN_CANCELLING, RUN_COMPLETED, RUN_QUEUED, RUN_STARTED, RUN_WAITING};
use crate::event::{Draft, Source};
use crate::fuzzing::first_byte;

/// How the bytes are cut changes nothing; every event is one line that every reader reads, and says nothing that only
/// the service says.
pub fn engine_lines(bytes: &[u8]) {
    let (how, bytes) = first_byte(bytes);
    let way = [Way::Stdout, Way::Stderr, Way::File][how % 3];
    let lines = split(bytes, usize::MAX);
    assert_eq!(lines, split(bytes, how / 3 + 1));
    assert!(lines.iter().all(|line| !line.text.contains(['\n', '\r'])));
    let documents = BTreeMap::from([("doc_1_a.csv".to_owned(), "a \"b\"\n.csv".to_owned())]);
    let mut parser = EngineParser::new(Names::new(["/data/run".to_owned(), "/r".to_owned()], documents));
    let (now, mut drafts) = (DateTime::<Utc>::UNIX_EPOCH, Vec::new());
    for line in lines {
        parser.line(way, line, now, &mut drafts);
    }
    let exit = Exit { code: Some(i32::from(how > 100)), signal: None };
    parser.finish(exit, now, &mut drafts);
    let _ = (parser.report(), parser.failure(exit), parser.last_phase());
    drafts.iter().for_each(assert_readable);
}

fn split(bytes: &[u8], size: usize) -> Vec<Line> {
    let (mut splitter, mut lines) = (LineSplitter::new(true), Vec::new());
    for chunk in bytes.chunks(size) {
        splitter.push(chunk, &mut lines);
    }
    splitter.finish(&mut lines);
    lines
}

fn assert_readable(draft: &Draft) {
    let own = [RUN_QUEUED, RUN_WAITING, RUN_STARTED, RUN_CANCELLING, RUN_COMPLETED];
    assert!(!own.contains(&&*draft.kind) && !draft.kind.starts_with("build.") && !draft.kind.starts_with("stream."));
    assert!(matches!(draft.source, Source::Engine | Source::Api));
    assert_eq!(check_readable(draft.payload.get()), Ok(()), "{}", draft.kind);
    let key = StreamKey::of(WorkspaceId::generate(), RunId::generate());
    let stamp = Stamp { sequence: 7, event_id: EventId::generate(), created_at: DateTime::UNIX_EPOCH };
    let mut line = Vec::new();
    codec::encode(&mut line, &Identity::new(key, ConfigurationId::generate()), stamp, draft);
    let text = std::str::from_utf8(&line).expect("JSON is UTF-8");
    assert_eq!(text.find(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']), Some(text.len() - 1));
    let again = codec::decode(&line[..line.len() - 1]).expect("an event");
    assert_eq!((again.sequence, again.kind.as_ref()), (7, draft.kind.as_ref()));
    assert_eq!(codec::raw_type(&line), draft.kind.as_bytes());
}
