//! What a producer hands to a stream.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::progress::StepKey;
use crate::domain::status::text_enum;
use crate::domain::{BuildId, ConfigurationId, ExecutionId, RunId, StreamId};

text_enum! {
    Source {
        Api = "api", Engine = "engine", Builder = "builder", Executor = "executor", Scheduler = "scheduler",
    }
}

/// The dotted name of an event: known ones are static, an engine's own are kept as they came.
pub type EventType = Cow<'static, str>;

/// What an event of a feed is about, beside its build or its step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Work {
        configuration_id: Option<ConfigurationId>,
        run_id: Option<RunId>,
    },
    Execution {
        execution_id: ExecutionId,
        workflow_id: String,
    },
    /// Work of another kind.
    OtherWork(StreamId),
}

/// An event before a stream has admitted it.
#[derive(Debug, Clone)]
pub struct Draft {
    pub kind: EventType,
    pub source: Source,
    pub build_id: Option<BuildId>,
    /// In the stream of an execution.
    pub step: Option<Box<StepKey>>,
    /// What the event is about, in a stream of many things.
    pub subject: Option<Subject>,
    /// The producer's own time, as it wrote it.
    pub engine_timestamp: Option<Box<str>>,
    /// A JSON object on one line; unknown keys are kept verbatim.
    pub payload: Box<RawValue>,
}

impl Draft {
    /// # Panics
    /// If `payload` cannot be JSON (a map with keys that are not strings); no payload of ours is such.
    pub fn new(kind: impl Into<EventType>, source: Source, payload: &impl Serialize) -> Self {
        let payload = serde_json::value::to_raw_value(payload).expect("a payload serialises to JSON");
        Self { kind: kind.into(), source, build_id: None, step: None, subject: None, engine_timestamp: None, payload }
    }

    pub fn of_build(mut self, build_id: BuildId) -> Self {
        self.build_id = Some(build_id);
        self
    }

    pub fn of_step(mut self, step: StepKey) -> Self {
        self.step = Some(Box::new(step));
        self
    }
}
