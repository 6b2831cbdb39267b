//! One build from its turn to its end: copy the configuration, take the steps, write the marker.
//!
//! Law: every way through here ends in [`Session::complete`], and only that writes `build.completed`. A build
//! that fails leaves no venv behind; its log is elsewhere and stays.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use super::ending::{self, Failure};
use super::engine::Engine;
use super::marker::{VenvMarker, probe_writable, write_marker};
use super::ports::BuildPorts;
use super::turn::{Place, Turn};
use super::venv::{self, Step, VenvPlan, WheelInstall, Work};
use super::worker::BuildJob;
use crate::domain::build::Build;
use crate::domain::failure::BuildErrorCode;
use crate::domain::time::micros;
use crate::event::payload::PhaseStatus;
use crate::event::payload::build::{
    BUILD_PHASE_COMPLETED, BUILD_PHASE_STARTED, BUILD_STARTED, Phase, PhaseCompleted, PhaseStarted, Started,
    VenvMetadata,
};
use crate::event::payload::console::{CONSOLE_LINE, ConsoleLine, Level, Pipe, Scope};
use crate::event::{Draft, Source};
use crate::files::{self, Dir, Location};
use crate::package;
use crate::stream::StreamHandle;
use crate::summary::{BuildFold, Fact};
use crate::worker::emitter::Emitter;
use crate::worker::gate::Gate;
use crate::worker::process::{ChildSpec, LineBatch, Process};
use crate::worker::stop::{StopReason, StopSignal};
use crate::worker::{Trash, WorkContext};

/// Of one engine.
const MOST_WHEELS: usize = 1_000;

/// Kept for the error of a build that fails.
const LAST_LINES: usize = 20;

struct Session {
    build: Build,
    engine: Engine,
    stream: StreamHandle,
    signal: StopSignal,
    ports: Arc<dyn BuildPorts>,
    context: Arc<WorkContext>,
    emitter: Emitter,
    /// What the row is told when the log takes nothing more.
    fold: BuildFold,
    folder: Location,
    began: Instant,
    deadline: Instant,
    last_lines: VecDeque<String>,
}

/// What a step's process printed last on its standard output, and how it ended.
struct StepOutcome {
    exit_code: Option<i32>,
    last_line: String,
}

/// Does a build. When this returns, its stream has its terminal event, or its log has failed.
pub async fn drive(job: BuildJob) {
    let BuildJob { build, engine, stream, signal, place, gate, ports, context } = job;
    let folder = context.build_folder(&build);
    let (emitter, began) = (Emitter::new(stream.clone()), Instant::now());
    let mut session = Session {
        build,
        engine,
        stream,
        signal,
        ports,
        context,
        emitter,
        fold: BuildFold::default(),
        folder,
        began,
        deadline: began,
        last_lines: VecDeque::new(),
    };
    let (turn, outcome) = match session.turn(place, gate).await {
        Ok(turn) => (Some(turn), session.work().await),
        Err(failure) => (None, Err(failure)),
    };
    session.complete(outcome).await;
    // Not before: of builds that take turns, one has ended when the next starts, also by what their events say.
    drop(turn);
}

impl Session {
    /// Waits for the builds before it, and until work may begin.
    async fn turn(&self, place: Place, gate: Gate) -> Result<Turn, Failure> {
        let turn = self.unless_stopped(place.reached()).await?;
        if self.unless_stopped(gate.passed()).await? { Ok(turn) } else { Err(Failure::stopped(&StopReason::Interrupt)) }
    }

    async fn work(&mut self) -> Result<VenvMetadata, Failure> {
        let timeout = self.context.settings.build.timeout;
        (self.began, self.deadline) = (Instant::now(), Instant::now() + timeout);
        let started = self.draft(BUILD_STARTED, &Started { reason: self.build.reason });
        self.see(&started);
        self.post(vec![started]).await;
        let configuration = self.prepare().await?;
        let (mut verified, mut collected) = (String::new(), String::new());
        for step in self.steps(&configuration).await? {
            let (phase, error) = (step.phase, step.error);
            let last_line = self.take_step(step).await?;
            match phase {
                Phase::VerifyImports => verified = last_line,
                Phase::CollectMetadata => collected = last_line,
                _ => {}
            }
            if phase == Phase::CollectMetadata && venv::metadata(&verified, &collected).is_none() {
                return Err(Failure::new(error, "the engine does not tell its version as JSON"));
            }
        }
        let metadata = venv::metadata(&verified, &collected).unwrap_or_default();
        self.commit(&metadata).await?;
        Ok(metadata)
    }

    /// Makes the build's folder and a copy of the configuration: installers write into what they install from.
    async fn prepare(&self) -> Result<PathBuf, Failure> {
        let build = &self.build;
        let original = format!("workspaces/{}/configurations/{}", build.workspace_id, build.configuration_id);
        let original = self.context.location(original);
        let (folder, digest) = (self.folder.clone(), build.inputs.content_digest.clone());
        let packages = self.context.packages.clone();
        let copied = tokio::task::spawn_blocking(move || {
            probe_writable(&folder).map_err(|error| {
                Failure::new(
                    BuildErrorCode::VenvsDirUnwritable,
                    format!("the folder of venvs cannot be written: {error}"),
                )
            })?;
            let copy = folder.join("configuration");
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

    async fn steps(&self, configuration: &Path) -> Result<Vec<Step>, Failure> {
        let context = &self.context;
        let toolchain = context.toolchain().await;
        let toolchain = toolchain.map_err(|error| Failure::new(BuildErrorCode::VenvCreateFailed, error.to_string()))?;
        if let Some(regret) = &toolchain.regret {
            let line = ConsoleLine::new(Scope::Build, Pipe::Stderr, regret.as_str()).level(Level::Warn);
            self.post(vec![self.draft(CONSOLE_LINE, &line)]).await;
        }
        let folder = self.folder.path();
        let plan = VenvPlan {
            build_id: self.build.id,
            folder: &folder,
            python: &toolchain.python,
            installer: &toolchain.installer,
            engine_spec: &self.build.inputs.engine_spec,
            engine: self.engine.install.as_ref().map_err(String::as_str),
            configuration,
            data: &context.data_dir,
            service: context.environment(),
        };
        Ok(plan.steps())
    }

    /// Takes one step and tells it; the last line of its output is the answer.
    async fn take_step(&mut self, step: Step) -> Result<String, Failure> {
        let Step { phase, message, work, error } = step;
        self.post(vec![self.draft(BUILD_PHASE_STARTED, &PhaseStarted { phase, message: message.clone() })]).await;
        let started = Instant::now();
        let outcome = match work {
            Work::Run(spec) => self.run(&spec, phase).await,
            Work::Wheel(wheel) => self.install_wheel(*wheel, phase).await,
            Work::Refuse(why) => Err(Failure::new(error, why)),
            Work::Skip(why) => {
                self.phase_completed(phase, PhaseStatus::Skipped, Duration::ZERO, None, Some(why.into())).await;
                return Ok(String::new());
            }
        };
        let exit_code = outcome.as_ref().ok().and_then(|outcome| outcome.exit_code);
        let outcome = outcome.and_then(|outcome| match outcome.exit_code {
            Some(0) => Ok(outcome.last_line),
            code => {
                let how = code.map_or("was killed".into(), |code| format!("exited with code {code}"));
                Err(Failure::new(error, format!("{message} failed: it {how}")).exit_code(code))
            }
        });
        let status = if outcome.is_ok() { PhaseStatus::Succeeded } else { PhaseStatus::Failed };
        let why = outcome.as_ref().err().map(|failure| failure.message.clone());
        self.phase_completed(phase, status, started.elapsed(), exit_code, why).await;
        outcome.map_err(
            |failure| if failure.code == BuildErrorCode::OrchestrationError { failure.code(error) } else { failure },
        )
    }

    async fn phase_completed(
        &self,
        phase: Phase,
        status: PhaseStatus,
        duration: Duration,
        exit_code: Option<i32>,
        message: Option<String>,
    ) {
        let duration_ms = duration.as_millis() as u64;
        let completed = PhaseCompleted { phase, status, duration_ms, exit_code, message };
        self.post(vec![self.draft(BUILD_PHASE_COMPLETED, &completed)]).await;
    }

    async fn install_wheel(&mut self, wheel: WheelInstall, phase: Phase) -> Result<StepOutcome, Failure> {
        let WheelInstall { kept, fresh, make, mut install } = wheel;
        if wheels_in(&self.context.data_dir, &kept).is_empty() {
            let made = self.run(&make, phase).await;
            if !made.as_ref().is_ok_and(|made| made.exit_code == Some(0)) {
                self.context.trash.discard_soon(fresh).await;
                return made;
            }
        }
        let trash = self.context.trash.clone();
        let wheels = tokio::task::spawn_blocking(move || keep_wheels(&fresh, &kept, &trash)).await;
        let wheels = wheels.map_err(std::io::Error::other).flatten().map_err(|error| {
            let message = format!("the engine's wheel cannot be kept: {error}");
            Failure::new(BuildErrorCode::EngineInstallFailed, message)
        })?;
        install.args.extend(wheels.into_iter().map(PathBuf::into_os_string));
        self.run(&install, phase).await
    }

    async fn run(&mut self, spec: &ChildSpec, phase: Phase) -> Result<StepOutcome, Failure> {
        let mut process = Process::spawn(&self.context.launcher, spec)
            .await
            .map_err(|error| Failure::new(BuildErrorCode::OrchestrationError, error.to_string()))?;
        let killer = process.killer();
        let (mut cut_short, mut last_line) = (None, String::new());
        loop {
            tokio::select! {
                output = process.next() => match output {
                    Some((pipe, batch)) => self.take_lines(pipe, batch, phase, &mut last_line).await,
                    None => break,
                },
                failure = over(self.signal.clone(), self.deadline, self.context.settings.build.timeout), if cut_short.is_none() => {
                    let grace = failure.grace(self.context.settings.run.cancel_grace);
                    let killer = killer.clone();
                    actix::spawn(async move { killer.terminate(grace).await });
                    cut_short = Some(failure);
                }
            }
        }
        let outcome = process.outcome().await;
        match cut_short {
            Some(failure) => Err(failure.exit_code(outcome.exit.status())),
            None => Ok(StepOutcome { exit_code: outcome.exit.status(), last_line }),
        }
    }

    async fn take_lines(&mut self, pipe: Pipe, batch: LineBatch, phase: Phase, last_line: &mut String) {
        let mut drafts = Vec::with_capacity(batch.lines.len());
        for line in batch.lines {
            for (text, continued) in line.pieces() {
                let console = ConsoleLine {
                    truncated: line.truncated && !continued,
                    continued,
                    ..ConsoleLine::new(Scope::Build, pipe, text).phase(phase.as_str())
                };
                drafts.push(self.draft(CONSOLE_LINE, &console));
            }
            if pipe == Pipe::Stdout {
                last_line.clone_from(&line.text);
            }
            self.last_lines.push_back(line.text);
            if self.last_lines.len() > LAST_LINES {
                self.last_lines.pop_front();
            }
        }
        self.post(drafts).await;
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
        let folder = self.folder.clone();
        self.context.venvs_trash.discard_soon(folder.join("configuration").path()).await;
        let written = tokio::task::spawn_blocking(move || write_marker(&folder, &marker));
        let written = written.await.map_err(std::io::Error::other).flatten();
        written.map_err(|error| {
            Failure::new(BuildErrorCode::MetadataFailed, format!("the marker cannot be written: {error}"))
        })
    }

    async fn complete(&mut self, outcome: Result<VenvMetadata, Failure>) {
        if outcome.is_err() {
            self.context.venvs_trash.discard_soon(self.folder.path()).await;
        }
        let last_lines = std::mem::take(&mut self.last_lines).into();
        let draft = ending::completed(&self.build, outcome, self.began.elapsed(), last_lines);
        self.see(&draft);
        if let Err(error) = self.emitter.emit(draft).await {
            tracing::error!(build = %self.build.id, error = %error, "build ended without its terminal event");
            self.ports.record_end(&self.build, self.fold.state().clone(), self.stream.tail()).await;
        }
    }

    fn see(&mut self, draft: &Draft) {
        let created_at = micros(Utc::now());
        self.fold.apply(Fact::of_draft(draft, created_at));
    }

    async fn unless_stopped<T>(&self, wanted: impl Future<Output = T>) -> Result<T, Failure> {
        let mut signal = self.signal.clone();
        tokio::select! {
            biased;
            reason = signal.stopped() => Err(Failure::stopped(&reason)),
            value = wanted => Ok(value),
        }
    }

    fn draft(&self, kind: &'static str, payload: &impl serde::Serialize) -> Draft {
        Draft::new(kind, Source::Builder, payload).of_build(self.build.id)
    }

    async fn post(&self, drafts: Vec<Draft>) {
        self.emitter.post(drafts).await;
    }
}

/// The wheels in the folder where they are kept, once those that were just made are there. Another may have been
/// quicker with the same content.
fn keep_wheels(fresh: &Path, kept: &Path, trash: &Trash) -> std::io::Result<Vec<PathBuf>> {
    if !wheels_in(trash.root(), fresh).is_empty() && wheels_in(trash.root(), kept).is_empty() {
        trash.discard(kept);
        let place = |path: &Path| path.strip_prefix(trash.root()).map(Path::to_owned).map_err(std::io::Error::other);
        let root = Dir::root(trash.root())?;
        let moved = root.rename(place(fresh)?, &root, place(kept)?);
        moved.or_else(|error| if wheels_in(trash.root(), kept).is_empty() { Err(error) } else { Ok(()) })?;
    }
    trash.discard(fresh);
    let wheels = wheels_in(trash.root(), kept);
    if wheels.is_empty() { Err(std::io::ErrorKind::NotFound.into()) } else { Ok(wheels) }
}

/// Plain files, for the installer: whoever made the wheels may have made anything.
fn wheels_in(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let below = folder.strip_prefix(root).unwrap_or(folder);
    let listed = Location::below(root, below).open().and_then(|dir| files::list(&dir, MOST_WHEELS, MOST_WHEELS));
    let names = listed.unwrap_or_default().files.into_iter().map(|(name, _)| name);
    names.filter(|name| name.ends_with(".whl") && !name.contains('/')).map(|name| folder.join(name)).collect()
}

/// Returns when the build has to end early.
async fn over(mut signal: StopSignal, deadline: Instant, timeout: Duration) -> Failure {
    tokio::select! {
        reason = signal.stopped() => Failure::stopped(&reason),
        () = tokio::time::sleep_until(deadline) => {
            Failure::new(BuildErrorCode::BuildTimeout, format!("the build took longer than {} s", timeout.as_secs()))
        }
    }
}

impl Failure {
    fn stopped(reason: &StopReason) -> Self {
        match reason {
            StopReason::Cancel { reason, .. } => {
                let message = reason.clone().unwrap_or_else(|| "the build was cancelled".into());
                Self::new(BuildErrorCode::BuildCancelled, message)
            }
            StopReason::Interrupt => Self::new(BuildErrorCode::Interrupted, "the service was stopped during the build"),
        }
    }

    /// A service that goes down has no more time than this.
    fn grace(&self, configured: Duration) -> Duration {
        if self.code == BuildErrorCode::Interrupted { configured.min(Duration::from_secs(1)) } else { configured }
    }
}
