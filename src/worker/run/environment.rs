//! The venv of a run: reused, or built while the run's own stream shows the build.

use std::io;

use super::early::{Early, failed};
use super::ports::{EnsuredBuild, Interest, Progress};
use super::session::Session;
use crate::domain::build::{Build, BuildReason};
use crate::domain::failure::{RunFailure, RunFailureCode, Stage};
use crate::domain::sequence::Start;
use crate::domain::status::BuildStatus;
use crate::event::payload::Environment;
use crate::event::payload::build::{BUILD_COMPLETED, BUILD_CREATED, Completed, Created, VenvMetadata};
use crate::event::payload::console::CONSOLE_LINE;
use crate::event::payload::run::{RUN_ERROR, RunErrorPayload, WaitReason};
use crate::event::{Draft, EventRef, Source, codec};
use crate::stream::{Item, StreamHandle};
use crate::worker::venv;

/// A venv that a run can start in.
pub struct ReadyBuild {
    pub build: Build,
    pub metadata: VenvMetadata,
    pub env: Environment,
}

impl Session {
    /// Returns when the venv is there, or ends the run.
    pub async fn environment(&mut self) -> Result<ReadyBuild, Early> {
        let (run, force) = (&self.job.run, self.job.run.options.force_rebuild);
        let origin = self.job.span.origin();
        let ensuring = self.job.ports.ensure_build(run.workspace_id, run.configuration_id, force, origin);
        let ensured = self.unless_stopped(ensuring).await?;
        let EnsuredBuild { build, progress, lease } = match ensured {
            Ok(ensured) => ensured,
            // A service that stops begins no build, which is no fault of this run.
            Err(_) if self.job.capacity.is_closed() => return Err(Early::Suspended),
            Err(error) => return Err(failed(RunFailureCode::BuildFailed, Stage::Build, error.to_string())),
        };
        self.build_id = Some(build.id);
        self.lease = Some(lease);
        match progress {
            Progress::Reused => Ok(self.reuse(build).await),
            Progress::UnderWay { stream, interest } => self.watch_build(build, stream, interest).await,
        }
    }

    async fn reuse(&mut self, build: Build) -> ReadyBuild {
        let created = Created {
            reason: BuildReason::CacheHit,
            should_build: false,
            engine_spec: build.inputs.engine_spec.clone(),
            engine_version_hint: build.inputs.engine_version_hint.clone(),
            python_bin: build.inputs.python_interpreter.clone(),
            fingerprint: build.inputs.fingerprint.clone(),
        };
        self.post(vec![Draft::new(BUILD_CREATED, Source::Builder, &created), venv::reused(&build)]).await;
        let metadata = venv::venv_metadata(&self.job.context, &build).await;
        ReadyBuild { build, metadata, env: Environment::reused() }
    }

    /// Passes the build's events on as the run's own, until the build has ended.
    async fn watch_build(
        &mut self,
        build: Build,
        stream: StreamHandle,
        _interest: Interest,
    ) -> Result<ReadyBuild, Early> {
        self.job.place.step_aside();
        self.post(vec![self.waiting(WaitReason::Build, None)]).await;
        let broken = |error: io::Error| {
            failed(RunFailureCode::BuildFailed, Stage::Build, format!("the build cannot be followed: {error}"))
        };
        let mut follow = stream.follow_inside(Start::default()).map_err(|error| broken(io::Error::other(error)))?;
        loop {
            let item = self.unless_stopped(follow.next()).await?;
            match item.map_err(broken)? {
                Item::Chunk(chunk) => {
                    let mut passed_on = PassedOn::default();
                    chunk.for_each(|_, line| passed_on.take(line));
                    self.post(passed_on.drafts).await;
                    if let Some(completed) = passed_on.completed {
                        return self.built(build, completed).await;
                    }
                }
                Item::Heartbeat => {}
                Item::End(_) => return Err(broken(io::Error::other("its log has failed"))),
            }
        }
    }

    async fn built(&mut self, build: Build, completed: Completed) -> Result<ReadyBuild, Early> {
        if completed.status == BuildStatus::Active {
            let metadata = completed.metadata.unwrap_or_default();
            return Ok(ReadyBuild { build, metadata, env: completed.env });
        }
        let (code, message, details) = match &completed.error {
            Some(error) => (error.code.as_str(), error.message.as_str(), serde_json::to_value(&error.details).ok()),
            None => ("build_failed", "the build did not succeed", None),
        };
        let error = RunErrorPayload {
            stage: Stage::Build.into(),
            phase: None,
            code: code.into(),
            message: message.into(),
            details,
        };
        self.post(vec![Draft::new(RUN_ERROR, Source::Api, &error)]).await;
        let failure = RunFailure::new(RunFailureCode::BuildFailed, Stage::Build, message);
        Err(Early::FailedAndTold(failure))
    }
}

/// A build's events as drafts of the run.
#[derive(Default)]
struct PassedOn {
    drafts: Vec<Draft>,
    completed: Option<Completed>,
}

impl PassedOn {
    fn take(&mut self, line: &[u8]) {
        let Ok(event) = codec::decode(line) else { return };
        if event.kind == BUILD_COMPLETED {
            self.completed = serde_json::from_str(event.payload.get()).ok();
        }
        if event.kind == CONSOLE_LINE || event.kind.starts_with("build.") {
            self.drafts.push(draft(&event));
        }
    }
}

fn draft(event: &EventRef<'_>) -> Draft {
    Draft {
        kind: event.kind.clone().into_owned().into(),
        source: Source::Builder,
        build_id: event.build_id,
        step: None,
        subject: None,
        engine_timestamp: None,
        payload: event.payload.to_owned(),
    }
}
