//! Which stream: what it is the history of, and with it the place of its log.

use std::fmt;
use std::path::PathBuf;

use ulid::Ulid;

use super::id::{InvalidId, parse_ulid, write_id};
use super::{BuildId, ExecutionId, RunId, StreamKind, WorkspaceId};

/// What a client calls a stream: the id of a piece of work, or of the workspace whose feed it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId {
    kind: StreamKind,
    ulid: Ulid,
}

impl StreamId {
    pub const fn new(kind: StreamKind, ulid: Ulid) -> Self {
        Self { kind, ulid }
    }

    pub fn parse_as(kind: StreamKind, text: &str) -> Result<Self, InvalidId> {
        parse_ulid(text, kind.facts().prefix).map(|ulid| Self { kind, ulid })
    }

    pub fn kind(self) -> StreamKind {
        self.kind
    }

    pub fn ulid(self) -> Ulid {
        self.ulid
    }
}

/// Makes an id type that of a kind of stream.
macro_rules! stream_id {
    ($id:ty => $kind:expr) => {
        impl From<$id> for $crate::domain::StreamId {
            fn from(id: $id) -> Self {
                Self::new($kind, id.ulid())
            }
        }

        /// `Err` with the id of a stream of another kind.
        impl TryFrom<$crate::domain::StreamId> for $id {
            type Error = $crate::domain::StreamId;

            fn try_from(id: $crate::domain::StreamId) -> Result<Self, $crate::domain::StreamId> {
                if id.kind() == $kind { Ok(<$id>::from_ulid(id.ulid())) } else { Err(id) }
            }
        }
    };
}
#[cfg(test)]
pub(crate) use stream_id;

stream_id!(RunId => StreamKind::RUN);
stream_id!(BuildId => StreamKind::BUILD);
stream_id!(ExecutionId => StreamKind::EXECUTION);
stream_id!(WorkspaceId => StreamKind::FEED);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_id(f, self.kind.facts().prefix, self.ulid)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names a stream. The workspace is part of the key, so no stream is ever found without its owner.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamKey {
    workspace_id: WorkspaceId,
    id: StreamId,
}

impl StreamKey {
    /// The id of a feed is that of its workspace, whichever is given beside it.
    pub fn of(workspace_id: WorkspaceId, id: impl Into<StreamId>) -> Self {
        let id = id.into();
        Self { workspace_id: WorkspaceId::try_from(id).unwrap_or(workspace_id), id }
    }

    pub fn feed(workspace_id: WorkspaceId) -> Self {
        Self::of(workspace_id, workspace_id)
    }

    pub fn kind(self) -> StreamKind {
        self.id.kind
    }

    pub fn id(self) -> StreamId {
        self.id
    }

    pub fn workspace_id(self) -> WorkspaceId {
        self.workspace_id
    }

    pub fn is_feed(self) -> bool {
        self.kind() == StreamKind::FEED
    }

    /// The directory of the piece of work, or of the feed, relative to the data directory; made from ids only.
    pub fn directory(self) -> PathBuf {
        let (workspace, id) = (self.workspace_id, self.id);
        PathBuf::from(match self.is_feed() {
            true => format!("workspaces/{workspace}/feed"),
            false => format!("workspaces/{workspace}/{}/{id}", self.kind().facts().collection),
        })
    }

    /// The stream's log, relative to the data directory. Work keeps other files beside its log.
    pub fn log_path(self) -> PathBuf {
        self.directory().join(if self.is_feed() { "events.ndjson" } else { "logs/events.ndjson" })
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
