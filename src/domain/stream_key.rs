//! Which stream: what it is the history of, and with it the place of its log.

use std::fmt;
use std::path::PathBuf;

use super::{BuildId, ExecutionId, RunId, WorkspaceId};

/// What a stream is the history of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamKind {
    Run,
    Build,
    Execution,
    /// Of a workspace: what becomes of everything in it.
    Feed,
}

impl StreamKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Build => "build",
            Self::Execution => "execution",
            Self::Feed => "feed",
        }
    }

    /// The type of the one event after which the stream takes no more; a feed has none.
    pub fn terminal_type(self) -> Option<&'static str> {
        match self {
            Self::Run => Some("run.completed"),
            Self::Build => Some("build.completed"),
            Self::Execution => Some("complete"),
            Self::Feed => None,
        }
    }

    pub fn is_terminal(self, event_type: &[u8]) -> bool {
        self.terminal_type().is_some_and(|terminal| terminal.as_bytes() == event_type)
    }
}

/// What a client calls a stream: the id of a run, a build or an execution, or of the workspace whose feed it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamId {
    Run(RunId),
    Build(BuildId),
    Execution(ExecutionId),
    Feed(WorkspaceId),
}

impl StreamId {
    pub fn parse(text: &str) -> Option<Self> {
        let run = RunId::parse(text).ok().map(Self::Run);
        let build = || BuildId::parse(text).ok().map(Self::Build);
        let execution = || ExecutionId::parse(text).ok().map(Self::Execution);
        let feed = || WorkspaceId::parse(text).ok().map(Self::Feed);
        run.or_else(build).or_else(execution).or_else(feed)
    }

    pub fn kind(self) -> StreamKind {
        match self {
            Self::Run(_) => StreamKind::Run,
            Self::Build(_) => StreamKind::Build,
            Self::Execution(_) => StreamKind::Execution,
            Self::Feed(_) => StreamKind::Feed,
        }
    }
}

macro_rules! stream_ids {
    ($($id:ident => $variant:ident;)*) => {$(
        impl From<$id> for StreamId {
            fn from(id: $id) -> Self {
                Self::$variant(id)
            }
        }
    )*};
}

stream_ids! {
    RunId => Run;
    BuildId => Build;
    ExecutionId => Execution;
    WorkspaceId => Feed;
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(id) => id.fmt(f),
            Self::Build(id) => id.fmt(f),
            Self::Execution(id) => id.fmt(f),
            Self::Feed(id) => id.fmt(f),
        }
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names a stream. The workspace is part of the key, so no stream is ever found without its owner.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamKey {
    Run { workspace_id: WorkspaceId, id: RunId },
    Build { workspace_id: WorkspaceId, id: BuildId },
    Execution { workspace_id: WorkspaceId, id: ExecutionId },
    Feed { workspace_id: WorkspaceId },
}

impl StreamKey {
    pub fn run(workspace_id: WorkspaceId, id: RunId) -> Self {
        Self::Run { workspace_id, id }
    }

    pub fn build(workspace_id: WorkspaceId, id: BuildId) -> Self {
        Self::Build { workspace_id, id }
    }

    pub fn execution(workspace_id: WorkspaceId, id: ExecutionId) -> Self {
        Self::Execution { workspace_id, id }
    }

    pub fn feed(workspace_id: WorkspaceId) -> Self {
        Self::Feed { workspace_id }
    }

    /// The id of a feed is that of its workspace, whatever is given beside it.
    pub fn of(workspace_id: WorkspaceId, id: StreamId) -> Self {
        match id {
            StreamId::Run(id) => Self::Run { workspace_id, id },
            StreamId::Build(id) => Self::Build { workspace_id, id },
            StreamId::Execution(id) => Self::Execution { workspace_id, id },
            StreamId::Feed(workspace_id) => Self::Feed { workspace_id },
        }
    }

    pub fn kind(self) -> StreamKind {
        self.id().kind()
    }

    pub fn id(self) -> StreamId {
        match self {
            Self::Run { id, .. } => StreamId::Run(id),
            Self::Build { id, .. } => StreamId::Build(id),
            Self::Execution { id, .. } => StreamId::Execution(id),
            Self::Feed { workspace_id } => StreamId::Feed(workspace_id),
        }
    }

    pub fn workspace_id(self) -> WorkspaceId {
        match self {
            Self::Run { workspace_id, .. }
            | Self::Build { workspace_id, .. }
            | Self::Execution { workspace_id, .. }
            | Self::Feed { workspace_id } => workspace_id,
        }
    }

    /// The folder of the piece of work, or of the feed, relative to the data folder; made from ids only.
    pub fn folder(self) -> PathBuf {
        let workspace = self.workspace_id();
        PathBuf::from(match self {
            Self::Run { id, .. } => format!("workspaces/{workspace}/runs/{id}"),
            Self::Build { id, .. } => format!("workspaces/{workspace}/builds/{id}"),
            Self::Execution { id, .. } => format!("workspaces/{workspace}/executions/{id}"),
            Self::Feed { .. } => format!("workspaces/{workspace}/feed"),
        })
    }

    /// The stream's log, relative to the data folder.
    pub fn log_path(self) -> PathBuf {
        match self {
            Self::Run { .. } | Self::Build { .. } | Self::Execution { .. } => self.folder().join("logs/events.ndjson"),
            Self::Feed { .. } => self.folder().join("events.ndjson"),
        }
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id().fmt(f)
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_stream_survives_its_text() {
        let workspace_id = WorkspaceId::generate();
        for key in [
            StreamKey::run(workspace_id, RunId::generate()),
            StreamKey::build(workspace_id, BuildId::generate()),
            StreamKey::execution(workspace_id, ExecutionId::generate()),
            StreamKey::feed(workspace_id),
        ] {
            assert_eq!(StreamId::parse(&key.to_string()), Some(key.id()));
            assert_eq!(StreamKey::of(workspace_id, key.id()), key);
        }
        assert_eq!(StreamId::parse("doc_01ARZ3NDEKTSV4RRFFQ69G5FAV"), None);
    }
}
