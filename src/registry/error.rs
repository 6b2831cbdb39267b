//! What can go wrong at the registry, per operation.

use super::configurations::DigestError;
use crate::domain::DocumentId;
use crate::domain::safe_mode::SafeMode;
use crate::domain::status::{BuildStatus, ExecutionStatus, RunStatus};
use crate::feed::FeedError;
use crate::log::OpenReaderError;
use crate::store::{InsertError, StoreError};
use crate::stream::{AppendError, OpenStreamError, SubscribeError};
use crate::worker::build::ToolchainError;
use crate::workflow::Fault;
use crate::workflow::person::Refusal;

/// Work could not be started, for reasons that are not the caller's.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Stream(#[from] OpenStreamError),
    #[error(transparent)]
    Append(#[from] AppendError),
}

#[derive(Debug, thiserror::Error)]
pub enum CreateRunError {
    #[error("there is no such configuration")]
    ConfigurationNotFound,
    #[error("there is no document {0} in this workspace")]
    DocumentNotFound(DocumentId),
    #[error("a run needs a document to work on")]
    InputRequired,
    #[error("{waiting} runs are waiting already")]
    QueueFull { waiting: usize },
    #[error("{}", .0.reason())]
    SafeMode(SafeMode),
    #[error("the key was used for another request")]
    KeyReused,
    #[error("the service is stopping and takes no new work")]
    Draining,
    #[error("the run could not be started")]
    Launch(#[from] LaunchError),
}

#[derive(Debug, thiserror::Error)]
pub enum RetryRunError {
    #[error("there is no such run")]
    NotFound,
    #[error("it has not ended")]
    NotEnded(RunStatus),
    #[error(transparent)]
    Create(#[from] CreateRunError),
}

#[derive(Debug, thiserror::Error)]
pub enum EnsureBuildError {
    #[error("there is no such configuration")]
    ConfigurationNotFound,
    #[error("{}", .0.reason())]
    SafeMode(SafeMode),
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

#[derive(Debug, thiserror::Error)]
pub enum CancelError<Status> {
    #[error("there is nothing of that id")]
    NotFound,
    #[error("it has already ended otherwise")]
    Ended(Status),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum CreateExecutionError {
    #[error("there is no such workflow")]
    WorkflowNotFound,
    #[error("the input is not what the workflow takes")]
    Input(Vec<Fault>),
    #[error("{}", .0.reason())]
    SafeMode(SafeMode),
    #[error("the key was used for another request")]
    KeyReused,
    #[error("the service is stopping and takes no new work")]
    Draining,
    #[error("the execution could not be started")]
    Launch(#[from] LaunchError),
}

#[derive(Debug, thiserror::Error)]
pub enum RetryExecutionError {
    #[error("there is no such execution")]
    NotFound,
    #[error("it has not ended")]
    NotEnded(ExecutionStatus),
    #[error("it has completed")]
    Completed,
    #[error(transparent)]
    Log(ReadError),
    #[error(transparent)]
    Create(#[from] CreateExecutionError),
}

/// What a person has said to an execution does not count.
#[derive(Debug, thiserror::Error)]
pub enum SayToExecutionError {
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

#[derive(Debug, thiserror::Error)]
pub enum ExecutionCancelError {
    #[error("there is no such execution")]
    NotFound,
    #[error("it has already ended otherwise")]
    Ended(ExecutionStatus),
    #[error("the service is stopping")]
    Draining,
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub type CancelRunError = CancelError<RunStatus>;
pub type CancelBuildError = CancelError<BuildStatus>;

/// A stream could not be opened for reading.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("there is no such stream")]
    NotFound,
    #[error("the log was deleted by retention")]
    Expired,
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

impl From<StoreError> for CreateRunError {
    fn from(error: StoreError) -> Self {
        Self::Launch(error.into())
    }
}

impl From<StoreError> for RetryRunError {
    fn from(error: StoreError) -> Self {
        Self::Create(error.into())
    }
}

impl From<InsertError> for EnsureBuildError {
    fn from(error: InsertError) -> Self {
        match error {
            InsertError::Store(error) => error.into(),
            // A build has no key; what it is made from is its configuration.
            InsertError::OriginGone | InsertError::KeyTaken => Self::ConfigurationNotFound,
        }
    }
}

impl From<StoreError> for EnsureBuildError {
    fn from(error: StoreError) -> Self {
        Self::Launch(error.into())
    }
}
