//! A run as its row keeps it. Everything but the request itself is a fold of the run's log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::failure::RunFailure;
use super::id::NodeId;
use super::status::{LogState, RunStatus, text_enum};
use super::time::Timestamp;
use super::{BuildId, ConfigurationId, DocumentId, RunId, WorkspaceId};

text_enum! {
    RunMode { Execute = "execute", ValidateOnly = "validate_only", DryRun = "dry_run" }
}

text_enum! {
    LogLevel { Debug = "DEBUG", Info = "INFO", Warning = "WARNING", Error = "ERROR" }
}

/// What the caller asked for, as accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RunOptions {
    pub dry_run: bool,
    pub validate_only: bool,
    pub force_rebuild: bool,
    pub document_ids: Vec<DocumentId>,
    pub input_sheet_names: Vec<String>,
    pub metadata: BTreeMap<String, String>,
    pub log_level: Option<LogLevel>,
}

impl RunOptions {
    /// `validate_only` needs less than a dry run, so it wins when both are asked for.
    pub fn mode(&self) -> RunMode {
        match (self.validate_only, self.dry_run) {
            (true, _) => RunMode::ValidateOnly,
            (false, true) => RunMode::DryRun,
            (false, false) => RunMode::Execute,
        }
    }
}

/// The row of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub id: RunId,
    pub workspace_id: WorkspaceId,
    pub configuration_id: ConfigurationId,
    pub options: RunOptions,
    pub attempt: u32,
    pub retry_of_run_id: Option<RunId>,
    pub node_id: NodeId,
    pub created_at: Timestamp,
    /// The file behind the log failed; what is beyond `durable_bytes` is cut before it is used again.
    pub log_degraded: bool,
    pub durable_bytes: Option<u64>,
    /// What retention has made of the log.
    pub log_state: LogState,
    /// Where in the log [`Run::state`] stands.
    pub last_sequence: u64,
    pub state: RunState,
}

impl Run {
    /// A new one, of a configuration and its workspace.
    pub fn queued(
        (workspace_id, configuration_id): (WorkspaceId, ConfigurationId),
        options: RunOptions,
        node_id: NodeId,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id: RunId::generate(),
            workspace_id,
            configuration_id,
            options,
            attempt: 1,
            retry_of_run_id: None,
            node_id,
            created_at,
            log_degraded: false,
            durable_bytes: None,
            log_state: LogState::default(),
            last_sequence: 0,
            state: RunState::default(),
        }
    }
}

/// The part of a run that its log decides: the same log gives the same state.
#[derive(Debug, Clone, PartialEq)]
pub struct RunState {
    pub status: RunStatus,
    pub build_id: Option<BuildId>,
    pub failure: Option<RunFailure>,
    pub engine_version: Option<String>,
    pub config_version: Option<String>,
    pub env_reason: Option<String>,
    pub env_reused: Option<bool>,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub exit_code: Option<i32>,
    pub table_count: Option<u64>,
    pub row_count: Option<u64>,
    pub sheet_count: Option<u64>,
    pub max_validation_severity: Option<String>,
    /// Relative to the run's directory.
    pub output_paths: Vec<String>,
    pub processed_files: Vec<String>,
    /// `ade.run_summary/v1`, once the run has ended.
    pub summary: Option<Value>,
}

impl RunState {
    pub fn failure_code(&self) -> Option<String> {
        self.failure.as_ref().map(|failure| failure.code.to_string())
    }
}

impl Default for RunState {
    fn default() -> Self {
        Self {
            status: RunStatus::Queued,
            build_id: None,
            failure: None,
            engine_version: None,
            config_version: None,
            env_reason: None,
            env_reused: None,
            started_at: None,
            completed_at: None,
            exit_code: None,
            table_count: None,
            row_count: None,
            sheet_count: None,
            max_validation_severity: None,
            output_paths: Vec::new(),
            processed_files: Vec::new(),
            summary: None,
        }
    }
}
