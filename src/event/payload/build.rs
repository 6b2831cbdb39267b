//! Payloads of `build.*`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Environment, PhaseStatus};
use crate::domain::build::BuildReason;
use crate::domain::failure::BuildErrorCode;
use crate::domain::status::{BuildStatus, text_enum};

pub const BUILD_CREATED: &str = "build.created";
pub const BUILD_STARTED: &str = "build.started";
pub const BUILD_PHASE_STARTED: &str = "build.phase.started";
pub const BUILD_PHASE_COMPLETED: &str = "build.phase.completed";
pub const BUILD_COMPLETED: &str = "build.completed";

text_enum! {
    /// The steps of a build, in their order.
    Phase {
        CreateVenv = "create_venv", UpgradePip = "upgrade_pip", InstallEngine = "install_engine",
        InstallConfig = "install_config", VerifyImports = "verify_imports", CollectMetadata = "collect_metadata",
    }
}

/// `build.created`, always the first event of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = BuildCreated)]
#[serde(tag = "status", rename = "queued")]
pub struct Created {
    pub reason: BuildReason,
    /// False when an active build is used again.
    pub should_build: bool,
    pub engine_spec: String,
    pub engine_version_hint: Option<String>,
    pub python_bin: String,
    pub fingerprint: String,
}

/// `build.started`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = BuildStarted)]
#[serde(tag = "status", rename = "building")]
pub struct Started {
    pub reason: BuildReason,
}

/// `build.phase.started`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = BuildPhaseStarted)]
pub struct PhaseStarted {
    pub phase: Phase,
    pub message: String,
}

/// `build.phase.completed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = BuildPhaseCompleted)]
pub struct PhaseCompleted {
    pub phase: Phase,
    pub status: PhaseStatus,
    pub duration_ms: u64,
    pub exit_code: Option<i32>,
    pub message: Option<String>,
}

/// `build.completed`, the one terminal event of a build's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = BuildCompleted)]
pub struct Completed {
    /// One of the terminal statuses.
    pub status: BuildStatus,
    pub exit_code: Option<i32>,
    pub summary: Option<String>,
    pub duration_ms: Option<u64>,
    pub env: Environment,
    pub error: Option<BuildErrorPayload>,
    /// What the finished venv holds.
    #[serde(default)]
    pub metadata: Option<VenvMetadata>,
}

/// `error` of a build that did not become active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = BuildErrorDetails)]
pub struct BuildErrorPayload {
    pub code: BuildErrorCode,
    pub message: String,
    pub details: ErrorDetails,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = BuildErrorContext)]
pub struct ErrorDetails {
    pub exit_code: Option<i32>,
    pub last_lines: Vec<String>,
}

/// Versions in a finished venv, and what its engine can do beyond running.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct VenvMetadata {
    pub python_version: Option<String>,
    pub engine_version: Option<String>,
    pub config_version: Option<String>,
    /// What the engine can do beyond `run`, if it reports that.
    #[serde(default)]
    pub capabilities: Option<Vec<String>>,
}

impl VenvMetadata {
    /// Nothing when the engine does not report what it can do.
    pub fn can(&self, capability: &str) -> Option<bool> {
        self.capabilities.as_ref().map(|told| told.iter().any(|name| name == capability))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_created_build_is_queued() {
        let created = Created {
            reason: BuildReason::CacheHit,
            should_build: false,
            engine_spec: "builtin".into(),
            engine_version_hint: None,
            python_bin: "/usr/bin/python3".into(),
            fingerprint: "00".into(),
        };
        let expected = json!({
            "status": "queued", "reason": "cache_hit", "should_build": false, "engine_spec": "builtin",
            "engine_version_hint": null, "python_bin": "/usr/bin/python3", "fingerprint": "00",
        });
        assert_eq!(serde_json::to_value(&created).unwrap(), expected);
        assert_eq!(serde_json::from_value::<Created>(expected).unwrap(), created);
    }

    #[test]
    fn a_failed_build_carries_code_and_last_lines() {
        let completed = Completed {
            status: BuildStatus::Failed,
            exit_code: Some(1),
            summary: None,
            duration_ms: Some(7),
            env: Environment { reason: "cache_miss".into(), reused: false },
            error: Some(BuildErrorPayload {
                code: BuildErrorCode::EngineInstallFailed,
                message: "the engine could not be installed".into(),
                details: ErrorDetails { exit_code: Some(1), last_lines: vec!["no matching distribution".into()] },
            }),
            metadata: None,
        };
        let value = serde_json::to_value(&completed).unwrap();
        assert_eq!(value["error"]["code"], "engine_install_failed");
        assert_eq!(value["error"]["details"]["last_lines"][0], "no matching distribution");
        assert_eq!(serde_json::from_value::<Completed>(value).unwrap(), completed);
    }
}
