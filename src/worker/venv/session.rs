//! One build from its turn to its end: copy the configuration, take the steps, write the marker.
//!
//! Invariant: every way through here ends in [`Session::complete`], and only that writes `build.completed`. A build
//! that fails leaves no venv behind; its log is elsewhere and stays.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::Instant;

use super::build_environment;
use super::ending::{self, Failure};
use super::engine::{Engine, EngineId};
use super::job::BuildJob;
use super::marker::{VenvMarker, probe_writable, write_marker};
use super::plan::{self, Step, VenvPlan};
use super::ports::BuildPorts;
use super::queue::{BuildPermit, QueuePlace};
use super::steps::StepRunner;
use super::terms::BuildTerms;
use crate::blocking::blocking;
use crate::domain::build::Build;
use crate::domain::failure::BuildErrorCode;
use crate::event::Draft;
use crate::event::payload::build::{BUILD_STARTED, Phase, Started, VenvMetadata};
use crate::event::payload::console::{Level, Pipe};
use crate::files::Location;
use crate::package;
use crate::stream::StreamHandle;
use crate::summary::{BuildFold, Fact};
use crate::worker::WorkContext;
use crate::worker::actor::Outcome;
use crate::worker::emitter::Emitter;
use crate::worker::gate::Gate;
use crate::worker::handing;
use crate::worker::stop::StopReason;

struct Session {
    build: Build,
    engine: EngineId,
    stream: StreamHandle,
    ports: Arc<dyn BuildPorts>,
    context: Arc<WorkContext>,
    steps: StepRunner,
    /// What the row records when the log has failed.
    fold: BuildFold,
    directory: Location,
    began: Instant,
}

/// Does a build. When this returns, its stream has its terminal event, or its log has failed.
pub async fn drive(job: BuildJob) -> Outcome {
    let BuildJob { build, engine, stream, signal, stage, span, place, gate, ports, context } = job;
    let directory = context.build_directory(&build);
    let began = Instant::now();
    let steps = StepRunner {
        build_id: build.id,
        emitter: Emitter::new(stream.clone()),
        signal,
        span,
        context: context.clone(),
        deadline: began,
        last_lines: VecDeque::new(),
    };
    let fold = BuildFold::default();
    let mut session = Session { build, engine, stream, ports, context, steps, fold, directory, began };
    stage.enter("waiting for its turn");
    let (turn, outcome) = match session.turn(place, gate).await {
        Ok(turn) => {
            stage.enter("building");
            (Some(turn), session.work().await)
        }
        Err(failure) => (None, Err(failure)),
    };
    stage.enter("ending");
    session.complete(outcome).await;
    // Not before: of builds that take turns, one has ended when the next starts, also by what their events say.
    drop(turn);
    Outcome::Ended
}

impl Session {
    /// Waits for the builds before it, and until work may begin.
    async fn turn(&self, place: QueuePlace, gate: Gate) -> Result<BuildPermit, Failure> {
        let turn = self.unless_stopped(place.granted()).await?;
        if self.unless_stopped(gate.passed()).await? { Ok(turn) } else { Err(Failure::stopped(&StopReason::Interrupt)) }
    }

    async fn work(&mut self) -> Result<VenvMetadata, Failure> {
        let timeout = self.context.settings.build.timeout;
        self.began = Instant::now();
        self.steps.deadline = self.began + timeout;
        let started = self.steps.draft(BUILD_STARTED, &Started { reason: self.build.reason });
        self.observe(&started);
        self.steps.post(vec![started]).await;
        let configuration = self.prepare().await?;
        let (mut verified, mut collected) = (String::new(), String::new());
        let (steps, user) = self.plan(&configuration).await?;
        for step in steps {
            let (phase, error) = (step.phase, step.error);
            if phase == Phase::InstallConfig {
                self.give(user).await?;
            }
            let last_line = self.steps.take(step).await?;
            match phase {
                Phase::VerifyImports => verified = last_line,
                Phase::CollectMetadata => collected = last_line,
                _ => {}
            }
            if phase == Phase::CollectMetadata && plan::metadata(&verified, &collected).is_none() {
                return Err(Failure::new(error, "the engine does not tell its version as JSON"));
            }
        }
        let metadata = plan::metadata(&verified, &collected).unwrap_or_default();
        self.commit(&metadata).await?;
        Ok(metadata)
    }

    /// Makes the build's directory and a copy of the configuration: installers write into what they install from.
    async fn prepare(&self) -> Result<PathBuf, Failure> {
        let build = &self.build;
        let original = format!("workspaces/{}/configurations/{}", build.workspace_id, build.configuration_id);
        let original = self.context.location(original);
        let (directory, digest) = (self.directory.clone(), build.inputs.content_digest.clone());
        let packages = self.context.packages.clone();
        let copied = tokio::task::spawn_blocking(move || {
            probe_writable(&directory).map_err(|error| {
                Failure::new(
                    BuildErrorCode::VenvsDirUnwritable,
                    format!("the directory of venvs cannot be written: {error}"),
                )
            })?;
            let copy = directory.join("configuration");
            let unreadable = |message: String| Failure::new(BuildErrorCode::ConfigInstallFailed, message);
            let found = packages
                .reading(&original.path(), || package::copy_package(&original, &copy))
                .map_err(|error| unreadable(format!("the configuration cannot be copied: {error}")))?;
            if found == digest {
                Ok(copy.path())
            } else {
                Err(unreadable("the configuration has changed since this build was asked for".into()))
            }
        });
        copied.await.unwrap_or_else(|error| Err(Failure::new(BuildErrorCode::OrchestrationError, error.to_string())))
    }

    /// What was uploaded runs from here on, as this user.
    async fn give(&self, user: Option<u32>) -> Result<(), Failure> {
        let temporary = self.context.reach.temporary(&self.build.id.to_string());
        let (Some(user), Some(temporary)) = (user, temporary) else { return Ok(()) };
        let directory = self.directory.clone();
        blocking(move || handing::give_build(&directory, &temporary, user)).await.map_err(|error| {
            let message = format!("the build's directory cannot be given to the workspace's user: {error}");
            Failure::new(BuildErrorCode::ConfigInstallFailed, message)
        })
    }

    /// The steps, and whose those are that run what was uploaded.
    async fn plan(&self, configuration: &Path) -> Result<(Vec<Step>, Option<u32>), Failure> {
        let context = &self.context;
        let toolchain = self.steps.toolchain().await?;
        if let Some(regret) = &toolchain.regret {
            self.steps.emit_line(Pipe::Stderr, regret, Level::Warn).await;
        }
        let engine = self.engine().await?;
        let environment = build_environment(context.environment(), &context.data_dir).await;
        let source = engine.install.as_ref().ok();
        let terms = BuildTerms::new(context, &self.build, &toolchain, environment, source).await.map_err(|error| {
            let message = format!("the build's directories cannot be made: {error}");
            Failure::new(BuildErrorCode::VenvCreateFailed, message)
        })?;
        let directory = self.directory.path();
        let plan = VenvPlan {
            build_id: self.build.id,
            directory: &directory,
            python: &toolchain.python,
            installer: &toolchain.installer,
            engine_spec: &self.build.inputs.engine_spec,
            engine: engine.install.as_ref().map_err(String::as_str),
            configuration,
            data: &context.data_dir,
            terms: &terms,
        };
        Ok((plan.steps(), terms.user))
    }

    /// The engine's files, made ready. They have to be those that the build's fingerprint names.
    async fn engine(&self) -> Result<Engine, Failure> {
        let engine = self.context.engine().await;
        if engine.install.is_ok() && engine.digest != self.engine.digest {
            let message = "the engine's files have changed since this build was asked for";
            return Err(Failure::new(BuildErrorCode::EngineInstallFailed, message));
        }
        Ok(engine)
    }

    /// The marker is the venv's commit; the copy of the configuration has served.
    async fn commit(&self, metadata: &VenvMetadata) -> Result<(), Failure> {
        let build = &self.build;
        let marker = VenvMarker {
            build_id: build.id,
            workspace_id: build.workspace_id,
            configuration_id: build.configuration_id,
            python_version: metadata.python_version.clone(),
            engine_version: metadata.engine_version.clone(),
            fingerprint: build.inputs.fingerprint.clone(),
            metadata: metadata.clone(),
        };
        let directory = self.directory.clone();
        self.context.venvs_trash.discard_soon(directory.join("configuration").path()).await;
        blocking(move || write_marker(&directory, &marker)).await.map_err(|error| {
            Failure::new(BuildErrorCode::MetadataFailed, format!("the marker cannot be written: {error}"))
        })
    }

    async fn complete(&mut self, outcome: Result<VenvMetadata, Failure>) {
        if outcome.is_err() {
            self.context.venvs_trash.discard_soon(self.directory.path()).await;
        }
        self.context.discard_temporary(&self.build.id.to_string()).await;
        let last_lines = std::mem::take(&mut self.steps.last_lines).into();
        let draft = ending::completed(&self.build, outcome, self.began.elapsed(), last_lines);
        self.observe(&draft);
        if let Err(error) = self.steps.emitter.emit(draft).await {
            tracing::error!(build = %self.build.id, error = %error, "failed to append build.completed");
            self.ports.record_end(&self.build, self.fold.state().clone(), self.stream.tail()).await;
        }
    }

    fn observe(&mut self, draft: &Draft) {
        let created_at = self.stream.now();
        self.fold.apply(Fact::of_draft(draft, created_at));
    }

    async fn unless_stopped<T>(&self, wanted: impl Future<Output = T>) -> Result<T, Failure> {
        let mut signal = self.steps.signal.clone();
        tokio::select! {
            biased;
            reason = signal.stopped() => Err(Failure::stopped(&reason)),
            value = wanted => Ok(value),
        }
    }
}
