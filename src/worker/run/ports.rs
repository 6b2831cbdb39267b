//! What a run's worker needs from outside, given to it as ports.

use std::any::Any;
use std::fs::File;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::domain::build::Build;
use crate::domain::configuration::Document;
use crate::domain::run::{Run, RunState};
use crate::domain::{ConfigurationId, DocumentId, WorkspaceId};
use crate::stream::{StreamHandle, Tail};
use crate::trace::Origin;

/// A venv for a configuration, there or being made.
pub struct EnsuredBuild {
    pub build: Build,
    pub progress: Progress,
    pub lease: Lease,
}

pub enum Progress {
    /// An active build is used again.
    Reused,
    /// The build is in progress: its stream reports the rest.
    UnderWay { stream: StreamHandle, interest: Interest },
}

/// Holding this keeps a build going; the build is cancelled when the last holder drops it.
pub type Interest = Arc<dyn Any + Send + Sync>;

/// Holding this keeps the venv in its place.
pub type Lease = Arc<dyn Any + Send + Sync>;

/// The venv cannot be had; the message is for people.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Why the file of a document is not there to be read; the message is for people.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenDocumentError {
    #[error("{0}")]
    Missing(String),
    /// It may be there in a moment.
    #[error("{0}")]
    Unavailable(String),
}

pub trait RunPorts: Send + Sync + 'static {
    fn ensure_build(
        &self,
        workspace_id: WorkspaceId,
        configuration_id: ConfigurationId,
        force: bool,
        origin: Origin,
    ) -> BoxFuture<'static, Result<EnsuredBuild, Unavailable>>;

    /// The documents in the order asked for; one that is gone is missing from the answer.
    fn documents(
        &self,
        workspace_id: WorkspaceId,
        ids: Vec<DocumentId>,
    ) -> BoxFuture<'static, Result<Vec<Document>, Unavailable>>;

    /// The file of a document, wherever it is kept.
    fn open_document(&self, document: &Document) -> BoxFuture<'static, Result<File, OpenDocumentError>>;

    /// The log failed after `log`: records that in the row, with the end of the run, since no terminal event can be
    /// written.
    fn record_end(&self, run: &Run, state: RunState, log: Tail) -> BoxFuture<'static, ()>;
}
