//! What can go wrong at a file, per operation. What exactly the store has answered is for the log, not for callers.

use std::io;

use crate::objects::ObjectError;
use crate::store::StoreError;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the file does not exist")]
    NotFound,
    #[error("the object store does not give the file: {0}")]
    Unavailable(String),
    /// What it gives is not what was put there, or it has lost it.
    #[error("the object store does not have the file any more: {0}")]
    Damaged(String),
    #[error("the file is in an object store, as {object}, and this service keeps files on its disk alone")]
    Elsewhere { object: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl OpenError {
    /// Maintenance makes some.
    pub(super) fn no_room() -> Self {
        Self::Unavailable("too little room is free on the disk".into())
    }
}

/// Why a file is not kept. Nothing of it stays.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    #[error("the object store does not take the file: {0}")]
    Unavailable(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl From<ObjectError> for PutError {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Local(error) => Self::Io(error),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

/// Why a file is still there.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    #[error("{0}")]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the file cannot be removed: {0}")]
    Io(#[from] io::Error),
}

impl RemoveError {
    /// The store of objects answers for the next file no better.
    pub fn is_of_the_whole_store(&self) -> bool {
        matches!(self, Self::Object(ObjectError::Unavailable(_) | ObjectError::Stopped))
    }
}
