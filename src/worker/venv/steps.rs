//! Taking a build's steps: running their programs, emitting what they print, and ending them when the build must end.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::ending::Failure;
use super::plan::{Step, Verification, WheelInstall, Work, naming};
use super::toolchain::{Toolchain, ToolchainError};
use super::words::{self, Speaker};
use crate::blocking::blocking;
use crate::domain::BuildId;
use crate::domain::failure::BuildErrorCode;
use crate::event::payload::PhaseStatus;
use crate::event::payload::build::{BUILD_PHASE_COMPLETED, BUILD_PHASE_STARTED, Phase, PhaseCompleted, PhaseStarted};
use crate::event::payload::console::{CONSOLE_LINE, ConsoleLine, Level, Pipe, Scope};
use crate::event::{Draft, Source};
use crate::files::{self, Dir, Location};
use crate::isolation::Strictness;
use crate::trace::WorkSpan;
use crate::worker::emitter::Emitter;
use crate::worker::process::{ChildSpec, LineBatch, Process};
use crate::worker::refusals;
use crate::worker::stop::StopSignal;
use crate::worker::{Trash, WorkContext};

/// Kept for the error of a build that fails.
const LAST_LINES: usize = 20;
/// Of one engine.
const MOST_WHEELS: usize = 1_000;

/// Takes the steps of one build, in its stream.
pub struct StepRunner {
    pub build_id: BuildId,
    pub emitter: Emitter,
    pub signal: StopSignal,
    pub span: WorkSpan,
    pub context: Arc<WorkContext>,
    pub deadline: Instant,
    pub last_lines: VecDeque<String>,
}

/// What a step's process printed last on its standard output, and how it ended.
struct StepOutcome {
    speaker: Speaker,
    exit_code: Option<i32>,
    last_line: String,
    /// What it said last, on either pipe.
    said: VecDeque<String>,
    isolation: Strictness,
}

impl StepOutcome {
    fn begun(speaker: Speaker, isolation: Strictness) -> Self {
        Self { speaker, exit_code: None, last_line: String::new(), said: VecDeque::new(), isolation }
    }

    fn succeeded(&self) -> bool {
        self.exit_code == Some(0)
    }
}

impl StepRunner {
    pub fn draft(&self, kind: &'static str, payload: &impl serde::Serialize) -> Draft {
        Draft::new(kind, Source::Builder, payload).of_build(self.build_id)
    }

    pub async fn post(&self, drafts: Vec<Draft>) {
        self.emitter.post(drafts).await;
    }

    /// A line that belongs to no step.
    pub async fn emit_line(&self, pipe: Pipe, text: &str, level: Level) {
        let line = ConsoleLine::new(Scope::Build, pipe, text).level(level);
        self.post(vec![self.draft(CONSOLE_LINE, &line)]).await;
    }

    /// Waits for interpreter and installer, which may have to be fetched, and emits what is printed meanwhile.
    pub async fn toolchain(&self) -> Result<Toolchain, Failure> {
        let failed = |error: ToolchainError| Failure::new(BuildErrorCode::VenvCreateFailed, error.to_string());
        let mut lines = self.context.tools.listen();
        let mut finding = pin!(self.context.tools.find());
        if let Some(found) = (&mut finding).now_or_never() {
            return found.map_err(failed);
        }
        self.emit_line(Pipe::Stdout, "looking for the interpreter and the installer", Level::Info).await;
        loop {
            tokio::select! {
                biased;
                Some((pipe, text)) = lines.next() => {
                    self.emit_line(pipe, &text, words::level(Speaker::Installer, pipe, &text)).await;
                }
                found = &mut finding => return found.map_err(failed),
                failure = self.interrupted() => return Err(failure),
            }
        }
    }

    /// Takes one step and emits its events; the last line of its output is the answer.
    pub async fn take(&mut self, step: Step) -> Result<String, Failure> {
        let Step { phase, message, work, error } = step;
        self.post(vec![self.draft(BUILD_PHASE_STARTED, &PhaseStarted { phase, message: message.clone() })]).await;
        let (started, span) = (Instant::now(), self.span.phase(phase.as_str()));
        let outcome = match work {
            Work::Run(spec) => self.run(&spec, phase, Speaker::of(phase)).await,
            Work::Wheel(wheel) => self.install_wheel(*wheel, phase).await,
            Work::Verify(verification) => self.verify(*verification, phase).await,
            Work::Refuse(why) => Err(Failure::new(error, why)),
            Work::Skip(why) => {
                self.completed(phase, PhaseStatus::Skipped, Duration::ZERO, None, Some(why.into())).await;
                return Ok(String::new());
            }
        };
        let exit_code = match &outcome {
            Ok(outcome) => outcome.exit_code,
            Err(failure) => failure.exit_code,
        };
        let outcome = outcome.and_then(|outcome| match outcome.succeeded() {
            true => Ok(outcome.last_line),
            false => Err(failure(error, &message, &outcome)),
        });
        let status = if outcome.is_ok() { PhaseStatus::Succeeded } else { PhaseStatus::Failed };
        let why = outcome.as_ref().err().map(|failure| failure.message.clone());
        self.completed(phase, status, started.elapsed(), exit_code, why).await;
        let outcome = outcome.map_err(|failure| {
            if failure.code == BuildErrorCode::OrchestrationError { failure.code(error) } else { failure }
        });
        span.end(exit_code, outcome.as_ref().err().map(|failure| failure.code.as_str()));
        outcome
    }

    async fn completed(
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
        let WheelInstall { kept, fresh, make, install } = wheel;
        if wheels_in(&self.context.data_dir, &kept).is_empty() {
            let made = self.run(&make, phase, Speaker::Installer).await;
            if !made.as_ref().is_ok_and(StepOutcome::succeeded) {
                self.context.trash.discard_soon(fresh).await;
                return made;
            }
        }
        let trash = self.context.trash.clone();
        let wheels = blocking(move || keep_wheels(&fresh, &kept, &trash)).await.map_err(|error| {
            let message = format!("the engine's wheel cannot be kept: {error}");
            Failure::new(BuildErrorCode::EngineInstallFailed, message)
        })?;
        let install = wheels.iter().fold(install, |install, wheel| naming(install, wheel));
        self.run(&install, phase, Speaker::Installer).await
    }

    /// Packages may be importable and not be what others require, which would show in the middle of a run.
    async fn verify(&mut self, verification: Verification, phase: Phase) -> Result<StepOutcome, Failure> {
        let Verification { requirements, imports } = verification;
        let checked = self.run(&requirements, phase, Speaker::Installer).await?;
        if !checked.succeeded() {
            let what = "the installed packages do not fit together";
            return Err(failure(BuildErrorCode::DependencyConflict, what, &checked));
        }
        self.run(&imports, phase, Speaker::Package).await
    }

    async fn run(&mut self, spec: &ChildSpec, phase: Phase, speaker: Speaker) -> Result<StepOutcome, Failure> {
        let mut process = Process::spawn(&self.context.launcher, spec)
            .await
            .map_err(|error| Failure::new(BuildErrorCode::OrchestrationError, error.to_string()))?;
        let killer = process.killer();
        let mut cut_short = None;
        let mut heard = StepOutcome::begun(speaker, spec.policy.level);
        loop {
            tokio::select! {
                output = process.next() => match output {
                    Some((pipe, batch)) => self.take_lines(pipe, batch, phase, &mut heard).await,
                    None => break,
                },
                failure = self.interrupted(), if cut_short.is_none() => {
                    let grace = failure.grace(self.context.settings.run.cancel_grace);
                    let killer = killer.clone();
                    actix::spawn(async move { killer.terminate(grace).await });
                    cut_short = Some(failure);
                }
            }
        }
        let exit_code = process.outcome().await.exit.status();
        match cut_short {
            Some(failure) => Err(failure.exit_code(exit_code)),
            None => Ok(StepOutcome { exit_code, ..heard }),
        }
    }

    async fn take_lines(&mut self, pipe: Pipe, batch: LineBatch, phase: Phase, heard: &mut StepOutcome) {
        let mut drafts = Vec::with_capacity(batch.lines.len());
        for line in batch.lines {
            let level = words::level(heard.speaker, pipe, &line.text);
            for (text, continued) in line.pieces() {
                let console = ConsoleLine {
                    truncated: line.truncated && !continued,
                    continued,
                    ..ConsoleLine::new(Scope::Build, pipe, text).phase(phase.as_str()).level(level)
                };
                drafts.push(self.draft(CONSOLE_LINE, &console));
            }
            for kept in [&mut self.last_lines, &mut heard.said] {
                kept.push_back(words::kept(&line.text));
                kept.drain(..kept.len().saturating_sub(LAST_LINES));
            }
            if pipe == Pipe::Stdout {
                heard.last_line = line.text;
            }
        }
        self.post(drafts).await;
    }

    /// Returns when the build has to end early.
    async fn interrupted(&self) -> Failure {
        let mut signal = self.signal.clone();
        tokio::select! {
            reason = signal.stopped() => Failure::stopped(&reason),
            () = tokio::time::sleep_until(self.deadline) => {
                let limit = self.context.settings.build.timeout.as_secs();
                Failure::new(BuildErrorCode::BuildTimeout, format!("the build took longer than {limit} s"))
            }
        }
    }
}

/// With what the program itself gives as its reason.
fn failure(code: BuildErrorCode, what: &str, outcome: &StepOutcome) -> Failure {
    let how = outcome.exit_code.map_or("was killed".into(), |code| format!("exited with code {code}"));
    let message = match (code, words::reason(&outcome.said)) {
        (BuildErrorCode::DependencyConflict, Some(reason)) => format!("{what}: {reason}"),
        (_, Some(reason)) => format!("{what} failed: it {how}: {reason}"),
        (_, None) => format!("{what} failed: it {how}"),
    };
    let message = match refusals::hint(outcome.isolation, outcome.said.iter().map(String::as_str)) {
        Some(hint) => format!("{message}; {hint}"),
        None => message,
    };
    Failure::new(code, message).exit_code(outcome.exit_code)
}

/// The wheels in the directory where they are kept, once those that were just made are there. Another may have been
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
fn wheels_in(root: &Path, directory: &Path) -> Vec<PathBuf> {
    let below = directory.strip_prefix(root).unwrap_or(directory);
    let listed = Location::below(root, below).open().and_then(|dir| files::list(&dir, MOST_WHEELS, MOST_WHEELS));
    let names = listed.unwrap_or_default().files.into_iter().map(|(name, _)| name);
    names.filter(|name| name.ends_with(".whl") && !name.contains('/')).map(|name| directory.join(name)).collect()
}
