//! Which events of a stream belong in its feed, and which of them the feed already has. Pure.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::progress::StepKey;
use crate::domain::{BuildId, ConfigurationId, ExecutionId, RunId, StreamId, StreamKey, StreamKind};
use crate::event::codec::raw_type;
use crate::event::{Draft, Source, Subject};

/// One event of a stream, as the feed has it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// In its own stream.
    pub sequence: u64,
    pub draft: Draft,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    sequence: u64,
    #[serde(borrow)]
    source: Cow<'a, str>,
    configuration_id: Option<ConfigurationId>,
    run_id: Option<RunId>,
    build_id: Option<BuildId>,
    execution_id: Option<ExecutionId>,
    workflow_id: Option<String>,
    step_id: Option<String>,
    item: Option<String>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Line<'_> {
    fn subject(&self, key: StreamKey) -> Subject {
        match self.execution_id {
            Some(execution_id) => {
                Subject::Execution { execution_id, workflow_id: self.workflow_id.clone().unwrap_or_default() }
            }
            None if !matches!(key.kind(), StreamKind::RUN | StreamKind::BUILD) => Subject::OtherWork(key.id()),
            None => Subject::Work { configuration_id: self.configuration_id, run_id: self.run_id },
        }
    }

    fn step(&self) -> Option<Box<StepKey>> {
        let step_id = self.step_id.clone()?;
        Some(Box::new(StepKey { step_id, item: self.item.clone() }))
    }
}

/// The entry of one line of a stream, if it belongs in the feed.
pub fn entry(key: StreamKey, line: &[u8]) -> Option<Entry> {
    if !key.kind().is_in_feed(raw_type(line)) {
        return None;
    }
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let draft = Draft {
        source: Source::parse(&line.source)?,
        build_id: line.build_id,
        step: line.step(),
        subject: Some(line.subject(key)),
        kind: line.kind.into_owned().into(),
        engine_timestamp: None,
        payload: with_origin(line.payload, key.id(), line.sequence)?,
    };
    Some(Entry { sequence: line.sequence, draft })
}

/// The payload as it is, with one more key at its end.
fn with_origin(payload: &RawValue, stream: StreamId, sequence: u64) -> Option<Box<RawValue>> {
    let keys = payload.get().strip_prefix('{')?.strip_suffix('}')?.trim();
    let comma = if keys.is_empty() { "" } else { "," };
    let text = format!(r#"{{{keys}{comma}"origin":{{"stream":"{stream}","sequence":{sequence}}}}}"#);
    RawValue::from_string(text).ok()
}

#[derive(Deserialize)]
struct OriginLine {
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    origin: Origin,
}

#[derive(Deserialize)]
struct Origin {
    stream: String,
    sequence: u64,
}

/// Which event of which stream a line of a feed is about.
pub fn origin(line: &[u8]) -> Option<(StreamId, u64)> {
    let OriginLine { payload: Payload { origin } } = serde_json::from_slice(line).ok()?;
    Some((StreamId::parse(&origin.stream)?, origin.sequence))
}

/// The last event of each pending origin that the feed has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveredIndex(HashMap<StreamId, u64>);

impl DeliveredIndex {
    /// For these origins, of which the feed has nothing as far as is known.
    pub fn of(owed: impl IntoIterator<Item = StreamId>) -> Self {
        Self(owed.into_iter().map(|id| (id, 0)).collect())
    }

    /// Takes a line of the feed into account; only pending origins count.
    pub fn fold(&mut self, line: &[u8]) {
        if let Some((id, sequence)) = origin(line)
            && let Some(last) = self.0.get_mut(&id)
        {
            *last = sequence.max(*last);
        }
    }

    /// True if the feed does not have this event yet; from then on it counts as delivered.
    pub fn take(&mut self, id: StreamId, sequence: u64) -> bool {
        let last = self.0.entry(id).or_default();
        let is_new = sequence > *last;
        *last = sequence.max(*last);
        is_new
    }

    /// Its terminal event is in the feed, and it will not come back.
    pub fn forget(&mut self, id: StreamId) {
        self.0.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventId, WorkspaceId};
    use crate::event::codec::{Identity, Stamp, encode};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn line(identity: &Identity, kind: &'static str, sequence: u64, payload: Value) -> Vec<u8> {
        let stamp = Stamp { sequence, event_id: EventId::generate(), created_at: chrono::Utc::now() };
        let mut line = Vec::new();
        encode(&mut line, identity, stamp, &Draft::new(kind, Source::Api, &payload));
        line
    }

    fn run() -> (StreamKey, Identity) {
        let key = StreamKey::of(WorkspaceId::generate(), RunId::generate());
        (key, Identity::new(key, ConfigurationId::generate()))
    }

    #[test]
    fn an_entry_is_the_event_with_its_origin() {
        let (key, identity) = run();
        let payload = json!({"status": "succeeded", "summary": {"a": [1, "}"]}});
        let told = line(&identity, "run.completed", 9, payload.clone());
        let entry = entry(key, &told).unwrap();
        let stamp = Stamp { sequence: 4, event_id: EventId::generate(), created_at: chrono::Utc::now() };
        let mut of_feed = Vec::new();
        encode(&mut of_feed, &Identity::of_feed(key.workspace_id()), stamp, &entry.draft);
        assert_eq!(origin(&of_feed), Some((key.id(), 9)));
        let (mut read, original): (Value, Value) =
            (serde_json::from_slice(&of_feed).unwrap(), serde_json::from_slice(&told).unwrap());
        assert_eq!(
            read["payload"].as_object_mut().unwrap().remove("origin"),
            Some(json!({"stream": key.to_string(), "sequence": 9}))
        );
        for same in ["type", "source", "workspace_id", "configuration_id", "run_id", "build_id", "payload"] {
            assert_eq!(read[same], original[same], "{same}");
        }
        assert_eq!((&read["sequence"], entry.sequence), (&json!(4), 9));
    }

    #[test]
    fn an_empty_payload_gets_its_origin_too() {
        let (key, identity) = run();
        let entry = entry(key, &line(&identity, "run.queued", 1, json!({}))).unwrap();
        assert_eq!(entry.draft.payload.get(), format!(r#"{{"origin":{{"stream":"{key}","sequence":1}}}}"#));
    }

    #[test]
    fn only_the_lifecycle_of_the_stream_itself_is_told() {
        let (run, of_run) = run();
        let build = StreamKey::of(run.workspace_id(), BuildId::generate());
        let of_build = Identity::new(build, ConfigurationId::generate());
        let told = |key, identity: &Identity, kind| entry(key, &line(identity, kind, 1, json!({}))).is_some();
        for kind in ["run.queued", "run.started", "run.completed"] {
            assert!(told(run, &of_run, kind), "{kind}");
        }
        for kind in ["run.waiting", "build.created", "build.completed", "console.line", "run.phase.started"] {
            assert!(!told(run, &of_run, kind), "{kind}");
        }
        assert!(told(build, &of_build, "build.created") && told(build, &of_build, "build.completed"));
        assert!(!told(build, &of_build, "build.started") && !told(build, &of_build, "run.completed"));
    }

    #[test]
    fn an_execution_is_told_with_its_step() {
        let (workspace_id, id) = (WorkspaceId::generate(), ExecutionId::generate());
        let (key, identity) = (StreamKey::of(workspace_id, id), Identity::of_execution(workspace_id, id, "brief"));
        let stamp = Stamp { sequence: 3, event_id: EventId::generate(), created_at: chrono::Utc::now() };
        let mut asked = Vec::new();
        let draft =
            Draft::new("clarification_needed", Source::Executor, &json!({})).of_step(StepKey::item("plan", "a"));
        encode(&mut asked, &identity, stamp, &draft);
        let told = entry(key, &asked).unwrap().draft;
        assert_eq!(told.subject, Some(Subject::Execution { execution_id: id, workflow_id: "brief".into() }));
        assert_eq!(told.step.as_deref(), Some(&StepKey::item("plan", "a")));
        assert!(entry(key, &line(&identity, "complete", 9, json!({}))).unwrap().draft.step.is_none());
        assert!(entry(key, &line(&identity, "step_started", 2, json!({}))).is_none());
    }

    proptest! {
        /// Whatever is offered again, in whatever lives of the feed: each entry once, in order.
        #[test]
        fn an_entry_is_told_once_however_often_it_is_offered(offers in prop::collection::vec((0usize..3, 1u64..6), 0..60), crash in 0usize..60) {
            let runs: Vec<_> = (0..3).map(|_| run()).collect();
            let owed = || runs.iter().map(|(key, _)| key.id());
            let (mut book, mut feed) = (DeliveredIndex::of(owed()), Vec::new());
            for (number, (which, upto)) in offers.into_iter().enumerate() {
                if number == crash {
                    book = DeliveredIndex::of(owed());
                    feed.iter().for_each(|line: &Vec<u8>| book.fold(line));
                }
                let (key, identity) = &runs[which];
                // A follower begins at the beginning again, and comes as far as it comes.
                for sequence in 1..=upto {
                    let entry = entry(*key, &line(identity, "run.queued", sequence, json!({}))).unwrap();
                    if book.take(key.id(), sequence) {
                        let stamp = Stamp { sequence: 1, event_id: EventId::generate(), created_at: chrono::Utc::now() };
                        let mut line = Vec::new();
                        encode(&mut line, &Identity::of_feed(key.workspace_id()), stamp, &entry.draft);
                        feed.push(line);
                    }
                }
            }
            for (key, _) in &runs {
                let told: Vec<_> = feed.iter().filter_map(|line| origin(line)).filter(|(id, _)| *id == key.id()).map(|(_, sequence)| sequence).collect();
                prop_assert!(told.iter().copied().eq(1..=told.len() as u64), "{:?}", told);
            }
        }
    }
}
