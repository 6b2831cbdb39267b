//! One build from its turn to its end: copy the configuration, take the steps, write the marker.
//!
//! Law: every way through here ends in [`Session::complete`], and only that writes `build.completed`. A build
//! that fails leaves no venv behind; its log is elsewhere and stays.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::ending::{self, Failure};
use super::marker::{VenvMarker, probe_writable, write_marker};
use super::toolchain::ready_engine;
use super::venv::{self, Step, VenvPlan, Work};
use super::worker::BuildJob;
use crate::domain::failure::BuildErrorCode;
use crate::event::payload::PhaseStatus;
use crate::event::payload::build::{
    BUILD_PHASE_COMPLETED, BUILD_PHASE_STARTED, BUILD_STARTED, Phase, PhaseCompleted, PhaseStarted, Started,
    VenvMetadata,
};
use crate::event::payload::console::{CONSOLE_LINE, ConsoleLine, Pipe, Scope};
use crate::event::{Draft, Source};
use crate::package;
use crate::worker::emitter::Emitter;
use crate::worker::process::{ChildSpec, LineBatch, Process};
use crate::worker::stop::{StopReason, StopSignal};

/// Kept for the error of a build that fails.
const LAST_LINES: usize = 20;

struct Session {
    job: BuildJob,
    emitter: Emitter,
    folder: PathBuf,
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
    let folder = job.context.build_dir(&job.build);
    let (emitter, began) = (Emitter::new(job.stream.clone()), Instant::now());
    let turn = job.turn.clone();
    let mut session = Session { job, emitter, folder, began, deadline: began, last_lines: VecDeque::new() };
    let outcome = match session.unless_stopped(turn.lock_owned()).await {
        Ok(_turn) => session.work().await,
        Err(failure) => Err(failure),
    };
    session.complete(outcome).await;
}

impl Session {
    async fn work(&mut self) -> Result<VenvMetadata, Failure> {
        let timeout = self.job.context.settings.build.timeout;
        (self.began, self.deadline) = (Instant::now(), Instant::now() + timeout);
        self.post(vec![self.draft(BUILD_STARTED, &Started { reason: self.job.build.reason })]).await;
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
        let build = &self.job.build;
        let original = format!("workspaces/{}/configurations/{}", build.workspace_id, build.configuration_id);
        let original = self.job.context.data_dir.join(original);
        let (folder, digest) = (self.folder.clone(), build.inputs.content_digest.clone());
        let packages = self.job.context.packages.clone();
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
                .reading(&original, || package::copy_package(&original, &copy))
                .map_err(|error| unreadable(format!("the configuration cannot be copied: {error}")))?;
            if found == digest {
                Ok(copy)
            } else {
                Err(unreadable("the configuration has changed since this build was asked for".into()))
            }
        });
        copied.await.unwrap_or_else(|error| Err(Failure::new(BuildErrorCode::OrchestrationError, error.to_string())))
    }

    async fn steps(&self, configuration: &Path) -> Result<Vec<Step>, Failure> {
        let context = &self.job.context;
        let toolchain = context.toolchain().await;
        let toolchain = toolchain.map_err(|error| Failure::new(BuildErrorCode::VenvCreateFailed, error.to_string()))?;
        let (data_dir, spec) = (context.data_dir.clone(), self.job.build.inputs.engine_spec.clone());
        let engine = tokio::task::spawn_blocking(move || ready_engine(&data_dir, &spec)).await;
        let engine = engine
            .map_err(|error| error.to_string())
            .and_then(|engine| engine.map_err(|error| error.to_string()))
            .map_err(|message| Failure::new(BuildErrorCode::EngineInstallFailed, message))?;
        let plan = VenvPlan {
            build_id: self.job.build.id,
            folder: &self.folder,
            python: &toolchain.python,
            installer: &toolchain.installer,
            engine_spec: &self.job.build.inputs.engine_spec,
            engine: &engine.install,
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
        let spec = match work {
            Work::Run(spec) => spec,
            Work::Skip(why) => {
                self.phase_completed(phase, PhaseStatus::Skipped, Duration::ZERO, None, Some(why.into())).await;
                return Ok(String::new());
            }
        };
        let outcome = self.run(&spec, phase).await;
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

    async fn run(&mut self, spec: &ChildSpec, phase: Phase) -> Result<StepOutcome, Failure> {
        let mut process = Process::spawn(spec)
            .map_err(|error| Failure::new(BuildErrorCode::OrchestrationError, error.to_string()))?;
        let killer = process.killer();
        let (mut cut_short, mut last_line) = (None, String::new());
        loop {
            tokio::select! {
                output = process.next() => match output {
                    Some((pipe, batch)) => self.take_lines(pipe, batch, phase, &mut last_line).await,
                    None => break,
                },
                failure = over(self.job.signal.clone(), self.deadline, self.job.context.settings.build.timeout), if cut_short.is_none() => {
                    let grace = failure.grace(self.job.context.settings.run.cancel_grace);
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
            let console = ConsoleLine {
                truncated: line.truncated,
                continued: line.continued,
                ..ConsoleLine::new(Scope::Build, pipe, line.text.as_str()).phase(phase.as_str())
            };
            drafts.push(self.draft(CONSOLE_LINE, &console));
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
        let build = &self.job.build;
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
        let written = tokio::task::spawn_blocking(move || {
            let _ = std::fs::remove_dir_all(folder.join("configuration"));
            write_marker(&folder, &marker)
        });
        let written = written.await.map_err(std::io::Error::other).flatten();
        written.map_err(|error| {
            Failure::new(BuildErrorCode::MetadataFailed, format!("the marker cannot be written: {error}"))
        })
    }

    async fn complete(&mut self, outcome: Result<VenvMetadata, Failure>) {
        if outcome.is_err() {
            let folder = self.folder.clone();
            let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
        }
        let last_lines = std::mem::take(&mut self.last_lines).into();
        let draft = ending::completed(&self.job.build, outcome, self.began.elapsed(), last_lines);
        if let Err(error) = self.emitter.emit(draft).await {
            tracing::error!(build = %self.job.build.id, error = %error, "build ended without its terminal event");
        }
    }

    async fn unless_stopped<T>(&self, wanted: impl Future<Output = T>) -> Result<T, Failure> {
        let mut signal = self.job.signal.clone();
        tokio::select! {
            biased;
            reason = signal.stopped() => Err(Failure::stopped(&reason)),
            value = wanted => Ok(value),
        }
    }

    fn draft(&self, kind: &'static str, payload: &impl serde::Serialize) -> Draft {
        Draft::new(kind, Source::Builder, payload).of_build(self.job.build.id)
    }

    async fn post(&self, drafts: Vec<Draft>) {
        self.emitter.post(drafts).await;
    }
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
