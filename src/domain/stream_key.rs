//! Which stream: the piece of work it belongs to, and with it the place of its log.

use std::fmt;
use std::path::PathBuf;

use super::{BuildId, RunId, WorkspaceId};

/// What a stream is the history of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamKind {
    Run,
    Build,
}

impl StreamKind {
    /// The type of the one event after which the stream takes no more.
    pub fn terminal_type(self) -> &'static str {
        match self {
            Self::Run => "run.completed",
            Self::Build => "build.completed",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Run => "runs",
            Self::Build => "builds",
        }
    }
}

/// Names a stream. The workspace is part of the key, so no stream is ever found without its owner.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamKey {
    Run { workspace_id: WorkspaceId, id: RunId },
    Build { workspace_id: WorkspaceId, id: BuildId },
}

impl StreamKey {
    pub fn run(workspace_id: WorkspaceId, id: RunId) -> Self {
        Self::Run { workspace_id, id }
    }

    pub fn build(workspace_id: WorkspaceId, id: BuildId) -> Self {
        Self::Build { workspace_id, id }
    }

    pub fn kind(self) -> StreamKind {
        match self {
            Self::Run { .. } => StreamKind::Run,
            Self::Build { .. } => StreamKind::Build,
        }
    }

    pub fn workspace_id(self) -> WorkspaceId {
        match self {
            Self::Run { workspace_id, .. } | Self::Build { workspace_id, .. } => workspace_id,
        }
    }

    /// The folder of the piece of work, relative to the data folder; made from ids only.
    pub fn folder(self) -> PathBuf {
        let id: &dyn fmt::Display = match &self {
            Self::Run { id, .. } => id,
            Self::Build { id, .. } => id,
        };
        PathBuf::from(format!("workspaces/{}/{}/{id}", self.workspace_id(), self.kind().folder()))
    }

    /// The stream's log, relative to the data folder.
    pub fn log_path(self) -> PathBuf {
        self.folder().join("logs/events.ndjson")
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run { id, .. } => id.fmt(f),
            Self::Build { id, .. } => id.fmt(f),
        }
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
