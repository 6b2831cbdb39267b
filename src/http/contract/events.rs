//! The schema of events, and what is asked of those who read them.

use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Ref, Schema, Type};

use super::kinds::{flag, number, text, text_of, words};
use super::operation::{Named, Operation};
use crate::domain::{BuildId, ConfigurationId, EventId, ExecutionId, RunId, StreamKind, WorkspaceId};
use crate::event::Source;
use crate::event::payload::{build, execution, run};
use crate::http::filter::MAX_TEXT;
use crate::http::problem::Code;
use crate::http::respond::ndjson;

/// The forms of events.
const SSE: &str = "text/event-stream";

/// A type of events whose payload is the service's alone, so that its schema can be told. What an engine may send too
/// is passed on as it came.
struct Kind {
    name: &'static str,
    payload: String,
    /// What `status` always is, for payloads that have it by their type.
    status: Option<&'static str>,
}

/// Collects the types, with the schemas of their payloads.
struct Kinds {
    kinds: Vec<Kind>,
    schemas: Vec<Named>,
}

impl Kinds {
    fn of<P: ToSchema>(mut self, name: &'static str) -> Self {
        P::schemas(&mut self.schemas);
        self.schemas.push((P::name().into_owned(), P::schema()));
        self.kinds.push(Kind { name, payload: P::name().into_owned(), status: None });
        self
    }

    fn with<P: ToSchema>(self, name: &'static str, status: &'static str) -> Self {
        let mut kinds = self.of::<P>(name);
        if let Some(last) = kinds.kinds.last_mut() {
            last.status = Some(status);
        }
        kinds
    }
}

fn kinds() -> Kinds {
    Kinds { kinds: Vec::new(), schemas: Vec::new() }
        .with::<run::Queued>(run::RUN_QUEUED, "queued")
        .of::<run::Waiting>(run::RUN_WAITING)
        .with::<run::Started>(run::RUN_STARTED, "in_progress")
        .of::<run::Cancelling>(run::RUN_CANCELLING)
        .of::<run::Completed>(run::RUN_COMPLETED)
        .with::<build::Created>(build::BUILD_CREATED, "queued")
        .with::<build::Started>(build::BUILD_STARTED, "building")
        .of::<build::PhaseStarted>(build::BUILD_PHASE_STARTED)
        .of::<build::PhaseCompleted>(build::BUILD_PHASE_COMPLETED)
        .of::<build::Completed>(build::BUILD_COMPLETED)
        .of::<execution::ExecutionStarted>(execution::EXECUTION_STARTED)
        .of::<execution::StepStarted>(execution::STEP_STARTED)
        .of::<execution::StepProgress>(execution::STEP_PROGRESS)
        .of::<execution::LlmCall>(execution::LLM_CALL)
        .of::<execution::StepRetrying>(execution::STEP_RETRYING)
        .of::<execution::ClarificationNeeded>(execution::CLARIFICATION_NEEDED)
        .of::<execution::ClarificationAnswered>(execution::CLARIFICATION_ANSWERED)
        .of::<execution::AcceptanceNeeded>(execution::ACCEPTANCE_NEEDED)
        .of::<execution::AcceptanceGiven>(execution::ACCEPTANCE_GIVEN)
        .of::<execution::StepCompleted>(execution::STEP_COMPLETED)
        .of::<execution::StepFailed>(execution::STEP_FAILED)
        .of::<execution::StepEnded>(execution::STEP_SKIPPED)
        .of::<execution::StepEnded>(execution::STEP_CANCELLED)
        .of::<execution::Complete>(execution::COMPLETE)
}

/// What schemas of events refer to.
pub fn payloads() -> Vec<Named> {
    fn named<T: ToSchema>() -> Named {
        (T::name().into_owned(), T::schema())
    }
    let envelope = [
        named::<EventId>(),
        named::<Source>(),
        named::<WorkspaceId>(),
        named::<ConfigurationId>(),
        named::<RunId>(),
        named::<BuildId>(),
        named::<ExecutionId>(),
    ];
    kinds().schemas.into_iter().chain(envelope).collect()
}

/// The schemas of an event, and of a page of them.
pub fn schemas() -> Vec<(String, Value)> {
    vec![("Event".to_owned(), event()), ("EventPage".to_owned(), event_page())]
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn event() -> Value {
    let nullable = |name| json!({"oneOf": [reference(name), {"type": "null"}]});
    let optional_text = || json!({"type": ["string", "null"]});
    let kinds = kinds().kinds;
    let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
    json!({
        "type": "object",
        "description": "A line of a log. Which keys stand between `workspace_id` and `engine_timestamp` depends on the \
            kind of stream. Types that are not among the examples are an engine's own, with payloads of any form.",
        "required":
            ["type", "event_id", "created_at", "sequence", "source", "workspace_id", "engine_timestamp", "payload"],
        "properties": {
            "type": {"type": "string", "minLength": 1, "examples": names},
            "event_id": reference("EventId"),
            "created_at": {"type": "string", "format": "date-time"},
            "sequence": {"type": "integer", "minimum": 1},
            "source": reference("Source"),
            "workspace_id": reference("WorkspaceId"),
            "configuration_id": nullable("ConfigurationId"),
            "run_id": nullable("RunId"),
            "build_id": nullable("BuildId"),
            "execution_id": reference("ExecutionId"),
            "workflow_id": {"type": "string"},
            "step_id": optional_text(),
            "item": optional_text(),
            "engine_timestamp": optional_text(),
            "payload": {"type": "object"},
        },
        "allOf": kinds.iter().map(when).collect::<Vec<_>>(),
    })
}

/// An event of this type has a payload of this form; a feed adds to it where the event is from.
fn when(Kind { name, payload, status }: &Kind) -> Value {
    let payload = match status {
        None => reference(payload),
        Some(status) => {
            let status = json!({"required": ["status"], "properties": {"status": {"const": status}}});
            json!({"allOf": [reference(payload), status]})
        }
    };
    json!({
        "if": {"properties": {"type": {"const": name}}},
        "then": {"properties": {"payload": payload}},
    })
}

fn event_page() -> Value {
    let number = |what: &str| json!({"type": "integer", "minimum": 0, "description": what});
    json!({
        "type": "object",
        "required": ["items", "next_after_sequence", "last_sequence", "closed"],
        "properties": {
            "items": {"type": "array", "items": reference("Event")},
            "next_after_sequence": number("The last one looked at, shown or not."),
            "last_sequence": number("The last one of the stream."),
            "closed": {"type": "boolean", "description": "The stream has ended."},
        },
    })
}

fn an_event() -> RefOr<Schema> {
    Ref::from_schema_name("Event").into()
}

/// One of the frames of an event stream. Those without an `id` are about the connection.
fn frame() -> RefOr<Schema> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let data = text().content_media_type("application/json").content_schema(Some(an_event()));
    let frame = ObjectBuilder::new().schema_type(Type::Object).property("event", text()).property("data", data);
    frame.property("id", text()).property("retry", number(0, None)).into()
}

/// The position in a stream; of several the furthest counts. There may be blanks, and quotes around all of it.
fn position() -> RefOr<Schema> {
    let list = "[0-9]{1,19}( *, *[0-9]{1,19})*";
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^ *({list}|\" *({list})? *\")? *$"))).into()
}

/// The position in each of several streams. There may be blanks, empty parts, and quotes around all of it.
fn positions(prefixes: &str) -> RefOr<Schema> {
    let position = format!("({prefixes})[0-7][0-9A-HJKMNP-TV-Z]{{25}}:[0-9]{{1,19}}");
    let list = format!("[ ,]*({position}( *,[ ,]*{position})*[ ,]*)?");
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^( *{list}| *\"{list}\" *)$"))).into()
}

/// What may be asked for, and refused, wherever a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// A page, lines or frames, as the client likes.
    AnyForm,
    Frames,
    Lines,
}

const READING: &[Code] = &[
    Code::SequenceAhead,
    Code::Gone,
    Code::PositionExpired,
    Code::TooManySubscribers,
    Code::LogUnavailable,
    Code::ArchiveUnavailable,
    Code::ArchiveDamaged,
    Code::Draining,
];

impl Operation {
    /// Answers with the events of one stream.
    pub fn reads(self, reads: Reads, kind: StreamKind) -> Self {
        let operation = self
            .query("after_sequence", number(0, None), "Begins behind this one.")
            .query("from_sequence", number(0, None), "Begins with this one.")
            .query("tail", number(0, None), "Begins with the n-th from the end, unless there is a cursor.")
            .query(
                "format",
                words(&["json", "ndjson", "sse"]),
                "The form of the answer, where the path leaves it open.",
            )
            .query("stream", flag(), "As `format=sse`.")
            .query("limit", number(1, 1000), "Of a page: at most so many.")
            .query("wait", number(0, 30), "Of a page: seconds to wait for its first event.")
            .query("follow", flag(), "Of lines: stays for what comes.")
            .filtered()
            .resumed(position())
            .refuses(READING);
        match reads {
            Reads::AnyForm => operation
                .content(200, "application/json", Ref::from_schema_name("EventPage").into(), "Events.")
                .lines(kind)
                .frames(),
            Reads::Frames => operation.frames(),
            Reads::Lines => operation.lines(kind),
        }
    }

    /// Answers with the events of several streams.
    pub fn reads_many(self) -> Self {
        let kinds = [StreamKind::RUN, StreamKind::BUILD, StreamKind::EXECUTION, StreamKind::FEED];
        let prefixes = kinds.map(|kind| kind.facts().prefix).join("|");
        let stream = ObjectBuilder::new().schema_type(Type::String);
        let stream = stream.pattern(Some(format!("^({prefixes})[0-7][0-9A-HJKMNP-TV-Z]{{25}}$")));
        let streams = ArrayBuilder::new().items(stream).min_items(Some(1));
        self.query_needed("stream", streams.into(), "The ids of runs, builds, executions and workspaces, at most 100.")
            .query("tail", number(0, None), "Begins with the n-th from the end of each, unless there is a cursor.")
            .filtered()
            .resumed(positions(&prefixes))
            .frames()
            .refuses(READING)
            .refuses(&[Code::InvalidId, Code::NotFound, Code::TooManyStreams, Code::StreamsApart])
    }

    /// The live stream of what was created, in place of the resource.
    pub fn or_its_stream(self) -> Self {
        self.query("stream", flag(), "Answers with the stream of what was created, from its beginning.")
            .frames()
            .items(200, ndjson::CONTENT_TYPE, an_event(), "The stream of what was created.")
            .refuses(READING)
    }

    /// What may keep a stream from being read.
    pub fn refuses_to_read(self) -> Self {
        self.refuses(READING)
    }

    fn filtered(self) -> Self {
        self.query("types", text(), "Types with commas between them; one that ends in `*` is a prefix.")
            .query("scope", words(&["build", "run"]), "Of console lines, and of types by their first part.")
            .query("level", words(&["debug", "info", "warn", "error"]), "Of console lines, at least.")
            .query(
                "contains",
                text_of(1, MAX_TEXT),
                "Console lines whose text, as a terminal shows it, has this, whatever its case.",
            )
            .query("event_names", words(&["constant", "typed"]), "Of frames: what `event:` says.")
    }

    fn resumed(self, position: RefOr<Schema>) -> Self {
        self.query(
            "last_event_id",
            position.clone(),
            "As the header `Last-Event-ID`, for clients that have only the URL.",
        )
        .header("Last-Event-ID", position, false, "The last event that the client has.")
    }

    fn frames(self) -> Self {
        self.content(200, SSE, frame(), "Events.").empty(204, "The client has everything, and there will be no more.")
    }

    fn lines(self, kind: StreamKind) -> Self {
        let lines = match kind.terminal_type() {
            Some(_) => self.sends_file(ndjson::CONTENT_TYPE, "Events."),
            None => self,
        };
        lines.items(200, ndjson::CONTENT_TYPE, an_event(), "Events.")
    }
}
