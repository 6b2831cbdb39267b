//! How a build ends.

use std::time::Duration;

use crate::domain::build::{Build, BuildState};
use crate::domain::failure::BuildErrorCode;
use crate::domain::status::BuildStatus;
use crate::domain::time::duration_ms;
use crate::event::payload::Environment;
use crate::event::payload::build::{BUILD_COMPLETED, BuildErrorPayload, Completed, ErrorDetails, VenvMetadata};
use crate::event::{Draft, Source};
use crate::stream::{AppendError, StreamHandle};
use crate::summary::{BuildFold, Fact};
use crate::worker::WorkContext;
use crate::worker::process::{Marker, kill_marked};
use crate::worker::stop::StopReason;

use super::marker::{build_directory, read_marker, venv_intact};

/// Why a build did not become active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: BuildErrorCode,
    pub message: String,
    pub exit_code: Option<i32>,
}

impl Failure {
    pub fn new(code: BuildErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), exit_code: None }
    }

    pub fn exit_code(self, exit_code: Option<i32>) -> Self {
        Self { exit_code, ..self }
    }

    pub fn code(self, code: BuildErrorCode) -> Self {
        Self { code, ..self }
    }

    /// The build was asked to end.
    pub fn stopped(reason: &StopReason) -> Self {
        match reason {
            StopReason::Cancel { reason, .. } => {
                let message = reason.clone().unwrap_or_else(|| "the build was cancelled".into());
                Self::new(BuildErrorCode::BuildCancelled, message)
            }
            StopReason::Interrupt => Self::new(BuildErrorCode::Interrupted, "the service was stopped during the build"),
        }
    }

    /// A service that goes down has no more time than this.
    pub fn grace(&self, configured: Duration) -> Duration {
        if self.code == BuildErrorCode::Interrupted { configured.min(Duration::from_secs(1)) } else { configured }
    }
}

/// `build.completed` of a build that was made.
pub fn completed(
    build: &Build,
    outcome: Result<VenvMetadata, Failure>,
    duration: Duration,
    last_lines: Vec<String>,
) -> Draft {
    let env = Environment { reason: build.reason.as_str().into(), reused: false };
    let duration_ms = Some(duration.as_millis() as u64);
    let payload = match outcome {
        Ok(metadata) => Completed {
            status: BuildStatus::Active,
            exit_code: Some(0),
            summary: Some("build succeeded".into()),
            duration_ms,
            env,
            error: None,
            metadata: Some(metadata),
        },
        Err(failure) => Completed {
            status: match failure.code {
                BuildErrorCode::BuildCancelled => BuildStatus::Cancelled,
                _ => BuildStatus::Failed,
            },
            exit_code: failure.exit_code,
            summary: Some(failure.message.clone()),
            duration_ms,
            env,
            error: Some(BuildErrorPayload {
                code: failure.code,
                message: failure.message,
                details: ErrorDetails { exit_code: failure.exit_code, last_lines },
            }),
            metadata: None,
        },
    };
    Draft::new(BUILD_COMPLETED, Source::Builder, &payload).of_build(build.id)
}

/// `build.completed` where an active build is used again.
pub fn reused(of: &Build) -> Draft {
    let payload = Completed {
        status: BuildStatus::Active,
        exit_code: Some(0),
        summary: Some("an active build is used again".into()),
        duration_ms: Some(0),
        env: Environment::reused(),
        error: None,
        metadata: Some(VenvMetadata {
            python_version: of.state.python_version.clone(),
            engine_version: of.state.engine_version.clone(),
            config_version: of.state.config_version.clone(),
            capabilities: None,
        }),
    };
    Draft::new(BUILD_COMPLETED, Source::Builder, &payload).of_build(of.id)
}

/// `build.completed` of a build that ended while its log took nothing: what its row says.
pub fn end_of_build(build: &Build) -> Draft {
    let state = &build.state;
    let error = state.error.as_ref().map(|error| BuildErrorPayload {
        code: error.code,
        message: error.message.clone(),
        details: ErrorDetails { exit_code: state.exit_code, last_lines: Vec::new() },
    });
    let metadata = VenvMetadata {
        python_version: state.python_version.clone(),
        engine_version: state.engine_version.clone(),
        config_version: state.config_version.clone(),
        capabilities: None,
    };
    let payload = Completed {
        status: state.status,
        exit_code: state.exit_code,
        summary: state.summary.clone(),
        duration_ms: state.started_at.zip(state.completed_at).map(|(from, to)| duration_ms(from, to)),
        env: Environment { reason: build.reason.as_str().into(), reused: false },
        error,
        metadata: (state.status == BuildStatus::Active).then_some(metadata),
    };
    Draft::new(BUILD_COMPLETED, Source::Builder, &payload).of_build(build.id)
}

/// What the venv of an active build holds, as its marker says.
pub async fn venv_metadata(context: &WorkContext, build: &Build) -> VenvMetadata {
    let directory = context.build_directory(build);
    let read = tokio::task::spawn_blocking(move || read_marker(&directory)).await;
    read.ok().flatten().map(|marker| marker.metadata).unwrap_or_default()
}

/// Whether the venv that an active build offers is there and whole. Blocks.
pub fn venv_is_intact(context: &WorkContext, build: &Build) -> bool {
    let owner = build.venv_build_id();
    let directory = build_directory(&context.venvs_dir, build.workspace_id, build.configuration_id, owner);
    venv_intact(&directory, owner, &build.inputs.fingerprint)
}

/// Ends a build whose worker is gone. Gives the state that it ends with.
pub async fn conclude_build(
    context: &WorkContext,
    build: &Build,
    stream: &StreamHandle,
    code: BuildErrorCode,
    message: &str,
) -> BuildState {
    kill_marked(vec![Marker::build(build.id)]).await;
    context.venvs_trash.discard_soon(context.build_directory(build).path()).await;
    context.discard_temporary(&build.id.to_string()).await;
    let draft = completed(build, Err(Failure::new(code, message)), Duration::ZERO, Vec::new());
    let mut fold = BuildFold::default();
    fold.apply(Fact::of_draft(&draft, stream.now()));
    match stream.append_one(draft).await {
        Ok(_) | Err(AppendError::Closed) => {}
        Err(error) => tracing::error!(build = %build.id, error = %error, "failed to record the end of the build"),
    }
    fold.state().clone()
}
