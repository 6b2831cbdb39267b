//! The running engine: its process, its two ways of emitting events, its time limits, and its end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::early::{Early, failed};
use super::ending::{self, Ending, Report};
use super::engine::{DRY_RUN_OUTPUT, ENGINE_LOGS, EngineCommand, capability};
use super::environment::ReadyBuild;
use super::inputs::Staged;
use super::parse::{EngineParser, Way};
use super::report::EngineFailure;
use super::resource_limits;
use super::rewrite::Names;
use super::session::Session;
use super::tail::Tail;
use crate::blocking::blocking;
use crate::domain::failure::{RunFailure, RunFailureCode, Stage};
use crate::domain::run::RunMode;
use crate::domain::status::RunStatus;
use crate::domain::work::Work as _;
use crate::event::payload::console::{CONSOLE_LINE, ConsoleLine, Level, Pipe, Scope};
use crate::event::payload::run::{Cancelling, RUN_CANCELLING};
use crate::event::{Draft, Source};
use crate::isolation::{Policy, Strictness};
use crate::worker::handing::EngineDirectories;
use crate::worker::process::{ChildSpec, LineBatch, Outcome, Process, ResourceLimits};
use crate::worker::refusals;
use crate::worker::stop::StopReason;

/// In the run's directory.
const DIAGNOSTICS: &str = "diagnostics.json";

/// Why the engine was stopped.
#[derive(Debug, Clone)]
enum Cause {
    Stopped(StopReason),
    TooLong(RunFailureCode, Duration),
}

impl Session {
    /// Runs the engine to its end and judges it.
    pub async fn engine(&mut self, build: &ReadyBuild, staged: Staged) -> Result<Ending, Early> {
        let ending = self.engine_in(build, staged).await;
        self.job.context.discard_temporary(&self.job.run.id.to_string()).await;
        ending
    }

    async fn engine_in(&mut self, build: &ReadyBuild, staged: Staged) -> Result<Ending, Early> {
        let directory = self.job.directory().path();
        let mode = self.job.run.options.mode();
        let output = directory.join(if mode == RunMode::DryRun { DRY_RUN_OUTPUT } else { "output" });
        let temporary = self.make_temporary().await?;
        let user = self.user(build, [&output, &directory.join(ENGINE_LOGS)]).await?;
        let policy = self.policy(build, [&output, &directory.join(ENGINE_LOGS)], temporary.as_deref(), user).await?;
        let spec = self.command(build, &staged, (&directory, &output), (&policy, temporary.as_deref()));
        let names = Names::new([directory.display().to_string(), staged.real_folder], staged.names);
        let limits = spec.limits;
        let span = self.job.span.process("engine");
        let process = Process::spawn(&self.job.context.launcher, &spec).await.map_err(|error| {
            failed(RunFailureCode::EngineNotFound, Stage::Run, format!("the engine could not be started: {error}"))
        })?;
        let tail =
            Tail::new(self.job.context.data_dir.clone(), self.job.run.stream_key().directory().join(ENGINE_LOGS));
        let (outcome, parser, cause) = self.watch(process, tail, EngineParser::new(names)).await;
        span.exited(outcome.exit.status());
        self.report_leftovers(&outcome).await;
        self.write_diagnostics(&spec, &outcome, &parser).await;
        if mode == RunMode::DryRun {
            self.job.context.trash.discard_soon(output).await;
        }
        Ok(judge(mode, (limits, policy.level), &outcome, &parser, cause))
    }

    async fn make_temporary(&self) -> Result<Option<PathBuf>, Early> {
        let temporary = self.job.context.reach.temporary(&self.job.run.id.to_string());
        let Some(temporary) = temporary else { return Ok(None) };
        let made = blocking(move || temporary.make().map(|_| temporary.path())).await;
        let missing = |error| format!("the directory for temporary files could not be made: {error}");
        made.map(Some).map_err(|error| failed(RunFailureCode::EngineNotFound, Stage::Run, missing(error)))
    }

    /// Whose the engine is, which from now on has what it needs.
    async fn user(&self, build: &ReadyBuild, written: [&Path; 2]) -> Result<Option<u32>, Early> {
        let (context, run) = (&self.job.context, &self.job.run);
        let refused = |why: String| {
            let message = format!("the engine could not be started as its workspace's user: {why}");
            failed(RunFailureCode::EngineNotFound, Stage::Run, message)
        };
        let user = context.user_of(run.workspace_id).await.map_err(|error| refused(error.to_string()))?;
        let (Some(user), Some(temporary)) = (user, context.reach.temporary(&run.id.to_string())) else {
            return Ok(None);
        };
        let directories = EngineDirectories {
            run: self.job.directory(),
            written: written.into_iter().filter_map(|path| path.file_name().map(PathBuf::from)).collect(),
            temporary,
            build: context.build_directory(&build.build),
        };
        let given = blocking(move || directories.give(user)).await;
        given.map(|()| Some(user)).map_err(|error| refused(error.to_string()))
    }

    /// What the engine may reach: it writes into these directories only.
    async fn policy(
        &self,
        build: &ReadyBuild,
        written: [&Path; 2],
        temporary: Option<&Path>,
        user: Option<u32>,
    ) -> Result<Policy, Early> {
        let context = &self.job.context;
        if !context.reach.is_on() {
            return Ok(Policy::default());
        }
        let python = context.tools.python().await;
        let python = python.map_err(|error| failed(RunFailureCode::EngineNotFound, Stage::Run, error.to_string()))?;
        // Not its `.venv`: what is in the directory of a build, its packages have decided.
        let (build, run) = (context.build_directory(&build.build).path(), self.job.directory().path());
        let written: Vec<_> = written.into_iter().chain(temporary).collect();
        Ok(context.reach.engine(python, &build, &run, &written, context.environment(), user))
    }

    fn command(
        &self,
        build: &ReadyBuild,
        staged: &Staged,
        (directory, output): (&Path, &Path),
        (policy, temporary): (&Policy, Option<&Path>),
    ) -> ChildSpec {
        let run = &self.job.run;
        let settings = &self.job.context.settings.run;
        let venv = self.job.context.build_directory(&build.build).join(".venv").path();
        let mebibytes = |count: Option<u64>| count.map(|count| count << 20);
        let command = EngineCommand {
            run_id: run.id,
            build_id: build.build.id,
            workspace_id: run.workspace_id,
            configuration_id: run.configuration_id,
            options: &run.options,
            documents: &staged.names,
            venv: &venv,
            directory,
            output,
            service: self.job.context.environment(),
            allow: &settings.env_allow,
            limits: ResourceLimits {
                cpu_seconds: settings.cpu_seconds,
                memory_bytes: mebibytes(settings.memory_mb),
                file_size_bytes: mebibytes(settings.file_size_mb),
            },
            policy,
            temporary,
        };
        let can_validate = build.metadata.can(capability::VALIDATE) == Some(true);
        match &staged.input {
            Some(input) if run.options.mode() != RunMode::ValidateOnly => command.run(input),
            _ if can_validate => command.validate(),
            _ => command.check_imports(),
        }
    }

    /// Reads both ways until nothing of the engine is left; ends it early when it must.
    async fn watch(
        &mut self,
        mut process: Process,
        mut tail: Tail,
        mut parser: EngineParser,
    ) -> (Outcome, EngineParser, Option<Cause>) {
        let killer = process.killer();
        let mut limits = Limits::new(self);
        let mut cause = None;
        loop {
            let (way, batch) = tokio::select! {
                output = process.next() => match output {
                    Some((Pipe::Stdout, batch)) => (Way::Stdout, batch),
                    Some((Pipe::Stderr, batch)) => (Way::Stderr, batch),
                    None => break,
                },
                Some(batch) = tail.next() => (Way::File, batch),
                found = limits.exceeded(self), if cause.is_none() => {
                    let grace = self.announce(&found).await;
                    let killer = killer.clone();
                    actix::spawn(async move { killer.terminate(grace).await });
                    cause = Some(found);
                    continue;
                }
            };
            limits.reset_idle();
            self.take(&mut parser, way, batch).await;
        }
        let outcome = process.outcome().await;
        tail.end();
        while let Some(batch) = tail.next().await {
            self.take(&mut parser, Way::File, batch).await;
        }
        self.report_unread(tail.unread()).await;
        let mut rest = Vec::new();
        parser.finish(outcome.exit, self.job.stream.now(), &mut rest);
        self.post(rest).await;
        (outcome, parser, cause)
    }

    async fn take(&mut self, parser: &mut EngineParser, way: Way, batch: LineBatch) {
        let now = self.job.stream.now();
        let mut drafts = Vec::with_capacity(batch.lines.len());
        for line in batch.lines {
            parser.line(way, line, now, &mut drafts);
        }
        self.post(drafts).await;
    }

    /// Says what is going to happen to the engine; returns how long it may take to end by itself.
    async fn announce(&mut self, cause: &Cause) -> Duration {
        let grace = self.job.context.settings.run.cancel_grace;
        match cause {
            Cause::Stopped(StopReason::Cancel { requested_by, .. }) => {
                let requested_by = requested_by.as_deref().cloned();
                let cancelling = Cancelling { requested_by, grace_seconds: grace.as_secs() };
                self.post(vec![Draft::new(RUN_CANCELLING, Source::Api, &cancelling)]).await;
                grace
            }
            // The service has no more time than this.
            Cause::Stopped(StopReason::Interrupt) => grace.min(Duration::from_secs(1)),
            Cause::TooLong(..) => grace,
        }
    }

    /// The engine may have put anything under the file's name, or under those of the directories above it: nothing that
    /// it made is written through.
    async fn write_diagnostics(&self, spec: &ChildSpec, outcome: &Outcome, parser: &EngineParser) {
        let text = diagnostics(spec, outcome, parser).to_string();
        let directory = self.job.directory();
        let write = move || directory.open()?.replace(DIAGNOSTICS, text.as_bytes());
        let written = blocking(write).await;
        if let Err(error) = written {
            tracing::warn!(run = %self.job.run.id, error = %error, "failed to write diagnostics");
        }
    }

    async fn report_unread(&mut self, bytes: u64) {
        if bytes > 0 {
            let text = format!("{bytes} bytes at the end of the engine's event file were not read");
            let line = ConsoleLine::new(Scope::Run, Pipe::Stderr, &text).level(Level::Warn);
            self.post(vec![Draft::new(CONSOLE_LINE, Source::Api, &line)]).await;
        }
    }

    async fn report_leftovers(&mut self, outcome: &Outcome) {
        let mut lines = Vec::new();
        if outcome.truncated {
            let text = "output was cut: processes that the engine left behind kept its pipes open";
            lines.push(ConsoleLine { truncated: true, ..ConsoleLine::new(Scope::Run, Pipe::Stderr, text) });
        }
        if !outcome.leftovers.left.is_empty() {
            let text = format!("processes could not be killed: {:?}", outcome.leftovers.left);
            lines.push(ConsoleLine::new(Scope::Run, Pipe::Stderr, text).level(Level::Error));
        }
        self.post(lines.iter().map(|line| Draft::new(CONSOLE_LINE, Source::Api, line)).collect()).await;
    }
}

/// The clocks that an engine runs against.
struct Limits {
    total: Option<(Instant, Duration)>,
    idle: Option<Duration>,
    last_output: Instant,
}

impl Limits {
    fn new(session: &Session) -> Self {
        let (settings, now) = (&session.job.context.settings.run, Instant::now());
        Self {
            total: settings.timeout.map(|limit| (now + limit, limit)),
            idle: settings.idle_timeout,
            last_output: now,
        }
    }

    fn reset_idle(&mut self) {
        if self.idle.is_some() {
            self.last_output = Instant::now();
        }
    }

    /// Returns when the engine has to end.
    async fn exceeded(&self, session: &Session) -> Cause {
        let mut signal = session.job.signal.clone();
        tokio::select! {
            reason = signal.stopped() => Cause::Stopped(reason),
            limit = until(self.total) => Cause::TooLong(RunFailureCode::RunTimeout, limit),
            limit = until(self.idle.map(|idle| (self.last_output + idle, idle))) => Cause::TooLong(RunFailureCode::IdleTimeout, limit),
        }
    }
}

async fn until(limit: Option<(Instant, Duration)>) -> Duration {
    match limit {
        Some((at, limit)) => {
            tokio::time::sleep_until(at).await;
            limit
        }
        None => std::future::pending().await,
    }
}

fn judge(
    mode: RunMode,
    bounds: (ResourceLimits, Strictness),
    outcome: &Outcome,
    parser: &EngineParser,
    cause: Option<Cause>,
) -> Ending {
    let engine = parser.report();
    let report = Report {
        exit_code: outcome.exit.status(),
        processed_files: engine.processed_files.clone(),
        has_output: mode == RunMode::Execute,
    };
    let failure = match cause {
        Some(Cause::Stopped(reason)) => return ending::stopped(&reason, report),
        Some(Cause::TooLong(code, limit)) => {
            let what = if code == RunFailureCode::IdleTimeout { "said nothing for" } else { "took longer than" };
            let message = format!("the engine {what} {} s", limit.as_secs());
            Some(RunFailure::new(code, Stage::Run, message).into())
        }
        None => parser.failure(outcome.exit).map(|found| explained(found, bounds, outcome, parser)),
    };
    match failure {
        // The engine has already reported the same in the stream.
        Some(found) if parser.stderr_tail().already_reported(&found.failure) => {
            Ending { error_event: None, ..ending::of_failure(found, None, report) }
        }
        Some(found) => ending::of_failure(found, parser.last_phase(), report),
        None => Ending { status: RunStatus::Succeeded, failure: None, report, error_event: None },
    }
}

/// A failure that comes from a resource limit or from isolation says so, since it is the operator who can do something
/// about it.
fn explained(
    mut found: EngineFailure,
    (limits, isolation): (ResourceLimits, Strictness),
    outcome: &Outcome,
    parser: &EngineParser,
) -> EngineFailure {
    let message = &mut found.failure.message;
    if let Some(why) = resource_limits::explanation(limits, outcome.exit, outcome.usage, message, parser.stderr_tail())
    {
        *message = format!("{why}: {message}");
    }
    let said = parser.stderr_tail().stderr_lines().chain([message.as_str()]);
    if let Some(hint) = refusals::hint(isolation, said) {
        *message = format!("{message}; {hint}");
    }
    found
}

/// What `GET /runs/{id}/diagnostics` reports beyond the log. Values of the environment stay out of it.
fn diagnostics(spec: &ChildSpec, outcome: &Outcome, parser: &EngineParser) -> Value {
    let engine = parser.report();
    let command: Vec<_> =
        std::iter::once(spec.program.as_os_str()).chain(spec.args.iter().map(AsRef::as_ref)).collect();
    json!({
        "command": command.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>(),
        "environment": spec.env.keys().map(|name| name.to_string_lossy()).collect::<Vec<_>>(),
        "exit": outcome.exit,
        "usage": outcome.usage,
        "output_truncated": outcome.truncated,
        "killed_processes": outcome.leftovers.killed.len(),
        "result": {
            "status": engine.status, "engine_version": engine.engine_version,
            "output_paths": engine.output_paths.paths, "output_paths_left_out": engine.output_paths.left_out,
            "processed_files": engine.processed_files.paths,
            "processed_files_left_out": engine.processed_files.left_out,
            "error": engine.error.as_ref().map(|error| {
                json!({
                    "code": error.code, "stage": error.stage, "message": error.message, "details": error.details,
                })
            }),
        },
    })
}
