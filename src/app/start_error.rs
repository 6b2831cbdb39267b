//! Why a service does not start.

use std::io;
use std::path::PathBuf;

use super::isolation;
use super::lock::LockError;
use super::sign_in::OidcError;
use crate::access::secret::NoEntropy;
use crate::catalogue::ReadDirectoryError;
use crate::http::server::BindError;
use crate::llm::ModelsError;
use crate::log::OpenRootError;
use crate::objects::OpenBucketError;
use crate::store::{ConnectError, MigrateError, StoreError};

/// The service could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot use the data directory {path}: {source}")]
    DataDir { path: PathBuf, source: io::Error },
    #[error("the data directory is in use by {0}")]
    InUse(LockError),
    #[error("ADE_VENVS_DIR {path} cannot be written: {source}")]
    VenvsDir { path: PathBuf, source: io::Error },
    #[error("language models: {0}")]
    Models(#[from] ModelsError),
    #[error(transparent)]
    Workflows(#[from] ReadDirectoryError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the database's schema is old and ADE_AUTO_MIGRATE is false; `ade migrate up` brings it up to date")]
    OldSchema,
    #[error(transparent)]
    Log(#[from] OpenRootError),
    #[error(transparent)]
    Objects(#[from] OpenBucketError),
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    #[error(transparent)]
    Isolation(#[from] isolation::NotIsolated),
    #[error("a restore into the data directory {path} was broken off; run `ade restore` again")]
    Unrestored { path: PathBuf },
    #[error("the journal of this node is over: {0}")]
    Halted(String),
    /// No failure: it has ended as it was asked to.
    #[error("it was asked to stop while it started")]
    Stopped,
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Oidc(#[from] OidcError),
}
