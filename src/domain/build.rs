//! A build as its row keeps it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::failure::BuildErrorCode;
use super::id::NodeId;
use super::status::{BuildStatus, LogState, text_enum};
use super::time::Timestamp;
use super::{BuildId, ConfigurationId, WorkspaceId};

text_enum! {
    /// Why a build was made.
    BuildReason {
        ForceRebuild = "force_rebuild", CacheMiss = "cache_miss", CacheHit = "cache_hit", Manual = "manual",
    }
}

/// What a venv is made from. Two builds with the same inputs have the same fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildInputs {
    /// Lower-case hex SHA-256 of the canonical inputs.
    pub fingerprint: String,
    pub content_digest: String,
    /// `builtin`, a pip requirement, or a directory.
    pub engine_spec: String,
    /// Known before the build only when pinned in the spec or read from a directory.
    pub engine_version_hint: Option<String>,
    pub python_interpreter: String,
}

/// The row of a build.
#[derive(Debug, Clone, PartialEq)]
pub struct Build {
    pub id: BuildId,
    pub workspace_id: WorkspaceId,
    pub configuration_id: ConfigurationId,
    pub reason: BuildReason,
    pub inputs: BuildInputs,
    /// Set when this build ended at once by pointing at an older one.
    pub reused_build_id: Option<BuildId>,
    pub node_id: NodeId,
    pub created_at: Timestamp,
    /// The venv was there and whole when last looked at.
    pub venv_present: bool,
    pub log_degraded: bool,
    pub durable_bytes: Option<u64>,
    /// What retention has made of the log.
    pub log_state: LogState,
    pub last_sequence: u64,
    pub state: BuildState,
}

impl Build {
    /// The build whose venv this one offers: its own, or that of the older one it points at.
    pub fn venv_build_id(&self) -> BuildId {
        self.reused_build_id.unwrap_or(self.id)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildError {
    pub code: BuildErrorCode,
    pub message: String,
}

/// The part of a build that its log decides.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildState {
    pub status: BuildStatus,
    pub engine_version: Option<String>,
    pub python_version: Option<String>,
    pub config_version: Option<String>,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub exit_code: Option<i32>,
    pub summary: Option<String>,
    pub error: Option<BuildError>,
}

impl BuildState {
    pub fn failure_code(&self) -> Option<String> {
        self.error.as_ref().map(|error| error.code.to_string())
    }
}

impl Default for BuildState {
    fn default() -> Self {
        Self {
            status: BuildStatus::Queued,
            engine_version: None,
            python_version: None,
            config_version: None,
            started_at: None,
            completed_at: None,
            exit_code: None,
            summary: None,
            error: None,
        }
    }
}
