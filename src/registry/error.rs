//! What can go wrong at the registry, per operation.

use super::configurations::DigestError;
use super::core::Stopping;
use crate::domain::DocumentId;
use crate::domain::id::NodeId;
use crate::domain::safe_mode::SafeMode;
use crate::feed::FeedError;
use crate::log::OpenReaderError;
use crate::store::{InsertError, StoreError};
use crate::stream::{AppendError, OpenStreamError, SubscribeError};
use crate::worker::venv::ToolchainError;
use crate::workflow::Fault;
use crate::workflow::user_input::Refusal;

/// Work could not be started, for reasons that are not the caller's.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Stream(#[from] OpenStreamError),
    #[error(transparent)]
    Append(#[from] AppendError),
    /// What it needs is in the archive, which does not give it at present.
    #[error(transparent)]
    Archive(ReadError),
}

/// Work of a kind that callers create was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError<Refusal: std::error::Error> {
    /// For a reason of its kind.
    #[error(transparent)]
    Refused(Refusal),
    #[error("{}", .0.reason())]
    SafeMode(SafeMode),
    /// The machines that keep the journal do not answer.
    #[error("nothing can be recorded: {0}")]
    Journal(String),
    #[error("the key was used for another request")]
    KeyReused,
    #[error("the service is stopping and takes no new work")]
    Draining,
    #[error("the work could not be started")]
    Launch(#[from] LaunchError),
}

/// Why a run is not created.
#[derive(Debug, thiserror::Error)]
pub enum RunRefusal {
    #[error("there is no such configuration")]
    ConfigurationNotFound,
    #[error("there is no document {0} in this workspace")]
    DocumentNotFound(DocumentId),
    #[error("a run needs a document to work on")]
    InputRequired,
    #[error("{waiting} runs are waiting already")]
    QueueFull { waiting: usize },
}

/// Why an execution is not created.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionRefusal {
    #[error("there is no such workflow")]
    WorkflowNotFound,
    #[error("the input is not what the workflow takes")]
    Input(Vec<Fault>),
}

/// Why an execution that has ended is not retried.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionRetryRefusal {
    #[error("it has completed")]
    Completed,
    #[error(transparent)]
    Log(ReadError),
}

#[derive(Debug, thiserror::Error)]
pub enum EnsureBuildError {
    #[error("there is no such configuration")]
    ConfigurationNotFound,
    #[error("{}", .0.reason())]
    SafeMode(SafeMode),
    /// The machines that keep the journal do not answer.
    #[error("nothing can be recorded: {0}")]
    Journal(String),
    #[error("the service is stopping and takes no new work")]
    Draining,
    #[error(transparent)]
    Digest(#[from] DigestError),
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    #[error("the build could not be started")]
    Launch(#[from] LaunchError),
}

/// The venvs of a configuration could not be pruned.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    #[error("the service is stopping")]
    Stopping,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the venvs cannot be read or moved: {0}")]
    Disk(#[from] std::io::Error),
}

/// Work was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError<Status> {
    #[error("not found")]
    NotFound,
    #[error("it has already ended otherwise")]
    Ended(Status),
    #[error("the service is stopping")]
    Draining,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a person has said to an execution does not count.
#[derive(Debug, thiserror::Error)]
pub enum AnswerExecutionError {
    #[error("there is no such execution")]
    NotFound,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the service is stopping")]
    Draining,
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A stream could not be opened for reading.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("there is no such stream")]
    NotFound,
    #[error("the log was deleted by retention")]
    Expired,
    /// Another node writes it, and what is here of it is not up to date, or not whole.
    #[error("the log is with another node, {0}")]
    Elsewhere(NodeId),
    #[error("the log cannot be read: {0}")]
    Log(#[from] std::io::Error),
    #[error(transparent)]
    Open(#[from] OpenReaderError),
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Feed(#[from] FeedError),
}

impl ReadError {
    /// Another node has the log: no failure of whoever can leave it to that.
    pub fn unless_elsewhere(self) -> Result<(), Self> {
        if matches!(self, Self::Elsewhere(_)) { Ok(()) } else { Err(self) }
    }

    /// The archive does not give the log at present: there is one, whatever is in it.
    pub fn is_of_an_archive_that_is_away(&self) -> bool {
        matches!(self, Self::Open(OpenReaderError::ArchiveUnavailable(_)))
    }
}

impl<Refusal: std::error::Error> From<StoreError> for CreateError<Refusal> {
    fn from(error: StoreError) -> Self {
        Self::Launch(error.into())
    }
}

impl From<Stopping> for EnsureBuildError {
    fn from(_: Stopping) -> Self {
        Self::Draining
    }
}

impl From<Stopping> for PruneError {
    fn from(_: Stopping) -> Self {
        Self::Stopping
    }
}

impl From<InsertError> for EnsureBuildError {
    fn from(error: InsertError) -> Self {
        match error {
            InsertError::Store(error) => error.into(),
            InsertError::OriginGone => Self::ConfigurationNotFound,
            InsertError::KeyTaken | InsertError::DocumentGone(_) => {
                unreachable!("a build has neither a key nor documents")
            }
        }
    }
}

impl From<StoreError> for EnsureBuildError {
    fn from(error: StoreError) -> Self {
        Self::Launch(error.into())
    }
}
