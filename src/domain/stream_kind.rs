//! What a stream is the history of: work of some kind, or all that happens in a workspace.
//!
//! Law: what holds for every stream of a kind is data, written down once with the kind, and code that needs it asks. Where
//! the kind's type is needed, [`each_kind!`](super::work::each_kind) names them. What differs in form and not in facts, as
//! the keys that events say whose they are by, is still told by the kind, with a form for all others.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::{BuildId, ExecutionId, RunId, WorkspaceId};

/// What holds for every stream of a kind.
#[derive(PartialEq, Eq)]
pub struct Facts {
    /// In messages: `run`. With `_id` the key of its id in its events, but for a feed's, which have `workspace_id`.
    pub name: &'static str,
    /// How its ids start: `run_`.
    pub prefix: &'static str,
    /// Its collection in the HTTP interface: `runs`; for work, its directory in that of the workspace, too.
    pub collection: &'static str,
    /// The type of the one event after which the stream takes no more; a feed has none.
    pub terminal_type: Option<&'static str>,
    /// The types of the events that the workspace's feed repeats.
    pub feed_types: &'static [&'static str],
    /// The environment variable by which its processes are found again, if it has any.
    pub marker: Option<&'static str>,
    /// Whether its processes write to a console, which has routes of its own.
    pub has_console: bool,
    /// Whether frames are named by the type of their event, unless a client asks for something else.
    pub typed_frames: bool,
}

/// A kind of stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StreamKind(&'static Facts);

impl StreamKind {
    /// A run's stream also has the events of the build that it waits for; a feed takes those from the build's own stream.
    pub const RUN: Self = Self(&Facts {
        name: "run",
        prefix: RunId::PREFIX,
        collection: "runs",
        terminal_type: Some("run.completed"),
        feed_types: &["run.queued", "run.started", "run.completed"],
        marker: Some("ADE_RUN_ID"),
        has_console: true,
        typed_frames: false,
    });

    pub const BUILD: Self = Self(&Facts {
        name: "build",
        prefix: BuildId::PREFIX,
        collection: "builds",
        terminal_type: Some("build.completed"),
        feed_types: &["build.created", "build.completed"],
        marker: Some("ADE_BUILD_ID"),
        has_console: true,
        typed_frames: false,
    });

    pub const EXECUTION: Self = Self(&Facts {
        name: "execution",
        prefix: ExecutionId::PREFIX,
        collection: "executions",
        terminal_type: Some("complete"),
        feed_types: &["execution_started", "clarification_needed", "complete"],
        marker: None,
        has_console: false,
        typed_frames: true,
    });

    /// Of a workspace: what becomes of everything in it.
    pub const FEED: Self = Self(&Facts {
        name: "feed",
        prefix: WorkspaceId::PREFIX,
        collection: "workspaces",
        terminal_type: None,
        feed_types: &[],
        marker: None,
        has_console: false,
        typed_frames: false,
    });

    pub const fn new(facts: &'static Facts) -> Self {
        Self(facts)
    }

    pub const fn facts(self) -> &'static Facts {
        self.0
    }

    pub fn as_str(self) -> &'static str {
        self.0.name
    }

    pub fn terminal_type(self) -> Option<&'static str> {
        self.0.terminal_type
    }

    pub fn is_terminal(self, event_type: &[u8]) -> bool {
        self.terminal_type().is_some_and(|terminal| terminal.as_bytes() == event_type)
    }

    pub fn is_in_feed(self, event_type: &[u8]) -> bool {
        self.0.feed_types.iter().any(|kept| kept.as_bytes() == event_type)
    }
}

impl Hash for StreamKind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl fmt::Debug for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
