//! Payloads of `run.*`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Caller, Environment, PhaseStatus};
use crate::domain::BuildId;
use crate::domain::failure::{Label, RunFailure};
use crate::domain::run::{RunMode, RunOptions};
use crate::domain::status::{RunStatus, text_enum};
use crate::domain::time::Timestamp;

pub const RUN_QUEUED: &str = "run.queued";
pub const RUN_WAITING: &str = "run.waiting";
pub const RUN_STARTED: &str = "run.started";
pub const RUN_PHASE_STARTED: &str = "run.phase.started";
pub const RUN_PHASE_COMPLETED: &str = "run.phase.completed";
pub const RUN_TABLE_SUMMARY: &str = "run.table.summary";
pub const RUN_VALIDATION_ISSUE: &str = "run.validation.issue";
pub const RUN_VALIDATION_SUMMARY: &str = "run.validation.summary";
pub const RUN_ERROR: &str = "run.error";
pub const RUN_CANCELLING: &str = "run.cancelling";
pub const RUN_COMPLETED: &str = "run.completed";

/// `run.queued`, always the first event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RunQueued)]
#[serde(tag = "status", rename = "queued")]
pub struct Queued {
    pub mode: RunMode,
    pub options: RunOptions,
    pub queued_by: Option<Caller>,
}

text_enum! {
    WaitReason { Build = "build", Capacity = "capacity", SafeMode = "safe_mode" }
}

/// `run.waiting`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RunWaiting)]
pub struct Waiting {
    pub reason: WaitReason,
    /// Place in the queue, from 1, while it waits for capacity.
    pub position: Option<u64>,
    pub build_id: Option<BuildId>,
}

/// `run.started`; the versions are those that the build found in its venv.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RunStarted)]
#[serde(tag = "status", rename = "in_progress")]
pub struct Started {
    pub mode: RunMode,
    pub engine_version: Option<String>,
    pub config_version: Option<String>,
    pub env: Environment,
    /// The fields of the configuration's manifest, in its order; the run's summary is told by them.
    #[serde(default)]
    pub fields: Vec<FieldInfo>,
    /// Fields of the manifest beyond those.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fields_left_out: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A field of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldInfo {
    pub field: String,
    pub label: Option<String>,
    #[serde(default)]
    pub required: bool,
}

/// `run.phase.started`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseStarted {
    pub phase: String,
    pub message: Option<String>,
}

/// `run.phase.completed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseCompleted {
    pub phase: String,
    pub status: PhaseStatus,
    pub duration_ms: u64,
    pub message: Option<String>,
    pub metrics: Option<Value>,
}

/// `run.error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunErrorPayload {
    pub stage: Label,
    pub phase: Option<String>,
    pub code: String,
    pub message: String,
    pub details: Option<Value>,
}

/// `run.cancelling`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RunCancelling)]
pub struct Cancelling {
    pub requested_by: Option<Caller>,
    pub grace_seconds: u64,
}

/// `run.completed`, the one terminal event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RunCompleted)]
pub struct Completed {
    /// One of the terminal statuses.
    pub status: RunStatus,
    pub failure: Option<RunFailure>,
    pub execution: Execution,
    pub artifacts: Artifacts,
    /// `ade.run_summary/v1`.
    pub summary: Option<Value>,
}

/// When the run's process ran; a run that never got so far has neither start nor exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProcessTimes)]
pub struct Execution {
    pub exit_code: Option<i32>,
    #[serde(with = "crate::domain::time::serde_micros_option", default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    #[serde(with = "crate::domain::time::serde_micros_option", default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub completed_at: Option<Timestamp>,
    pub duration_ms: Option<u64>,
}

/// What the run left behind; paths are relative to its directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = RunArtifacts)]
pub struct Artifacts {
    /// The first of them, if there are very many.
    pub output_paths: Vec<String>,
    /// The original names of the documents that the engine says it has read.
    #[serde(default)]
    pub processed_files: Vec<String>,
    pub events_path: String,
    /// How many of each were left out, for this line to keep its bounds.
    #[serde(default)]
    pub truncated: Option<LeftOut>,
}

/// Paths that are not in a list of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = LeftOutPaths)]
pub struct LeftOut {
    pub output_paths: u64,
    pub processed_files: u64,
}

impl LeftOut {
    /// Null when nothing was.
    pub fn told(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_queued_run_says_so_and_writes_its_nulls() {
        let queued = Queued { mode: RunMode::Execute, options: RunOptions::default(), queued_by: None };
        let value = serde_json::to_value(&queued).unwrap();
        assert_eq!(value["status"], "queued");
        assert_eq!(value["mode"], "execute");
        assert!(value["queued_by"].is_null());
        assert_eq!(serde_json::from_value::<Queued>(value).unwrap(), queued);
    }

    #[test]
    fn a_started_run_is_in_progress() {
        let started = Started {
            mode: RunMode::DryRun,
            engine_version: Some("0.2.0".into()),
            config_version: None,
            env: Environment::reused(),
            fields: vec![FieldInfo { field: "email".into(), label: None, required: true }],
            fields_left_out: 0,
        };
        let expected = json!({
            "status": "in_progress", "mode": "dry_run", "engine_version": "0.2.0", "config_version": null,
            "env": {"reason": "reuse_ok", "reused": true},
            "fields": [{"field": "email", "label": null, "required": true}],
        });
        assert_eq!(serde_json::to_value(&started).unwrap(), expected);
    }

    #[test]
    fn a_completed_run_reads_back() {
        let completed = Completed {
            status: RunStatus::Succeeded,
            failure: None,
            execution: Execution {
                exit_code: Some(0),
                started_at: Some(Timestamp::default()),
                completed_at: None,
                duration_ms: Some(12),
            },
            artifacts: Artifacts { events_path: "logs/events.ndjson".into(), ..Artifacts::default() },
            summary: None,
        };
        let value = serde_json::to_value(&completed).unwrap();
        assert_eq!(value["execution"]["started_at"], "1970-01-01T00:00:00.000000Z");
        assert!(value["failure"].is_null() && value["summary"].is_null());
        assert_eq!(serde_json::from_value::<Completed>(value).unwrap(), completed);
    }
}
