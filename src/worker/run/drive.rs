//! One run from its venv to its end: wait at the gate, for the build, for capacity, stage, run the engine, conclude.
//!
//! Invariant: every way through here ends in [`Session::complete`], and only that writes `run.completed`.

use std::time::Duration;

use super::capacity::Obstacle;
use super::early::{Early, failed};
use super::ending::{self, Ending, Report};
use super::engine::capability;
use super::environment::ReadyBuild;
use super::inputs;
use super::job::RunJob;
use super::session::Session;
use crate::domain::failure::{RunFailureCode, Stage};
use crate::domain::run::RunMode;
use crate::event::payload::console::{CONSOLE_LINE, ConsoleLine, Pipe, Scope};
use crate::event::payload::run::{RUN_COMPLETED, RUN_STARTED, Started, WaitReason};
use crate::event::{Draft, Source};
use crate::worker::actor::Outcome;
use crate::worker::gate::Passage;

/// How often a waiting run emits its changed position.
const POSITION_INTERVAL: Duration = Duration::from_secs(5);

/// Does a run. When this returns, its stream has its terminal event, or its log has failed, or it is suspended.
pub async fn drive(job: RunJob) -> Outcome {
    let mut session = Session::new(job);
    let ending = match session.work().await {
        Ok(ending) => ending,
        Err(Early::Stopped(reason)) => ending::stopped(&reason, Report::default()),
        Err(Early::Failed(failure)) => ending::of_failure(failure.into(), None, Report::default()),
        Err(Early::FailedAndTold(failure)) => {
            Ending { error_event: None, ..ending::of_failure(failure.into(), None, Report::default()) }
        }
        Err(Early::Suspended) => return Outcome::Suspended,
    };
    session.complete(ending).await;
    // Not before: of runs that take turns, one has ended when the next starts, also by what their events say.
    session.job.place.leave();
    Outcome::Ended
}

impl Session {
    async fn work(&mut self) -> Result<Ending, Early> {
        self.enter("waiting for admission");
        self.admission().await?;
        self.enter("waiting for the venv");
        let build = self.environment().await?;
        self.check_documents(&build)?;
        self.enter("waiting for a slot");
        self.slot().await?;
        self.enter("staging inputs");
        let staged = inputs::stage(self).await?;
        self.start(&build).await;
        self.enter("running the engine");
        self.engine(&build, staged).await
    }

    /// Begins nothing while safe mode is on.
    async fn admission(&mut self) -> Result<(), Early> {
        let gate = self.job.capacity.gate().clone();
        if gate.passage() == Passage::Held {
            self.post(vec![self.waiting(WaitReason::SafeMode, None)]).await;
        }
        if self.unless_cancelled(gate.passed()).await? { Ok(()) } else { Err(Early::Suspended) }
    }

    /// Several documents go to the engine in a directory. An engine that reports what it can do, and not this, would
    /// fail with less to say; one that reports nothing has the command line of old, which takes a directory.
    fn check_documents(&self, build: &ReadyBuild) -> Result<(), Early> {
        let options = &self.job.run.options;
        let several = options.document_ids.len() > 1 && options.mode() != RunMode::ValidateOnly;
        if several && build.metadata.can(capability::INPUT_DIR) == Some(false) {
            let message = "this engine takes one document at a time: start a run for each document";
            return Err(failed(RunFailureCode::EngineError, Stage::Run, message));
        }
        Ok(())
    }

    /// Waits for a slot, and says so when there is none at once.
    async fn slot(&mut self) -> Result<(), Early> {
        let place = self.job.place.clone();
        place.stand();
        let mut told = None;
        loop {
            let obstacle = place.obstacle();
            if let Some(obstacle) = obstacle.filter(|_| told != obstacle) {
                self.post(vec![self.in_the_way(obstacle)]).await;
                told = Some(obstacle);
            }
            let next = tokio::time::timeout(POSITION_INTERVAL, place.granted());
            if let Ok(granted) = self.unless_cancelled(next).await? {
                return granted.map_err(|_| Early::Suspended);
            }
        }
    }

    fn in_the_way(&self, obstacle: Obstacle) -> Draft {
        match obstacle {
            Obstacle::SafeMode => self.waiting(WaitReason::SafeMode, None),
            Obstacle::Line(position) => self.waiting(WaitReason::Capacity, Some(position)),
        }
    }

    async fn start(&mut self, build: &ReadyBuild) {
        let line = ConsoleLine::new(Scope::Run, Pipe::Stdout, "Configuration build completed; starting ADE run.");
        self.post(vec![Draft::new(CONSOLE_LINE, Source::Api, &line)]).await;
        let (fields, fields_left_out) = inputs::manifest_fields(&self.job).await;
        let started = Started {
            mode: self.job.run.options.mode(),
            engine_version: build.metadata.engine_version.clone(),
            config_version: build.metadata.config_version.clone(),
            env: build.env.clone(),
            fields,
            fields_left_out,
        };
        let mut draft = Draft::new(RUN_STARTED, Source::Api, &started);
        draft.build_id = self.build_id;
        self.observe(&draft);
        let appended = self.emitter.emit(draft).await;
        self.started_at = Some(appended.map_or_else(|_| self.job.stream.now(), |appended| appended.created_at));
    }

    /// Writes the end. A log that has failed accepts no event; the row is then updated directly.
    async fn complete(&mut self, ending: Ending) {
        self.enter("ending");
        let Ending { status, failure, report, error_event } = ending;
        self.post(error_event.into_iter().collect()).await;
        let time = ending::Time { started_at: self.started_at, completed_at: self.job.stream.now() };
        let mut completed = ending::completed(self.job.directory(), time, status, failure, report).await;
        self.fold.end(&completed);
        completed.summary = self.fold.state().summary.clone();
        let mut draft = Draft::new(RUN_COMPLETED, Source::Api, &completed);
        draft.build_id = self.build_id;
        if let Err(error) = self.emitter.emit(draft).await {
            tracing::error!(run = %self.job.run.id, error = %error, "failed to append run.completed");
            self.job.ports.record_end(&self.job.run, self.fold.state().clone(), self.job.stream.tail()).await;
        }
    }
}
