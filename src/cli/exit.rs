//! How a command ends, and why it could not do its work.

use std::error::Error;
use std::process::ExitCode;

use crate::config::SettingsError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Succeeded = 0,
    Failed = 1,
    Usage = 2,
    /// The execution continues once a person has answered it.
    Waiting = 3,
    Interrupted = 130,
    /// What a shell reports for a process ended by SIGPIPE.
    BrokenPipe = 141,
}

impl Exit {
    pub fn of_success(succeeded: bool) -> Self {
        if succeeded { Self::Succeeded } else { Self::Failed }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The arguments make no sense.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Failed(Box<dyn Error>),
}

impl CommandError {
    pub fn failed(error: impl Into<Box<dyn Error>>) -> Self {
        Self::Failed(error.into())
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Settings(_) => Exit::Usage,
            Self::Failed(_) => Exit::Failed,
        }
    }
}
