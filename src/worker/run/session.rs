//! What a run's session knows, and how it speaks: to its stream, and to callers that ask it to stop.

use super::early::Early;
use super::job::RunJob;
use super::ports::Lease;
use crate::domain::time::Timestamp;
use crate::event::payload::run::{Queued, RUN_QUEUED, RUN_WAITING, WaitReason, Waiting};
use crate::event::{Draft, Source};
use crate::summary::{Fact, RunFold};
use crate::worker::emitter::Emitter;
use crate::worker::stop::StopReason;

pub struct Session {
    pub job: RunJob,
    pub emitter: Emitter,
    pub fold: RunFold,
    pub started_at: Option<Timestamp>,
    /// Known once there is a build.
    pub build_id: Option<crate::domain::BuildId>,
    /// Of the venv of that build; kept until the run has its end.
    pub lease: Option<Lease>,
}

impl Session {
    pub fn new(job: RunJob) -> Self {
        let emitter = Emitter::new(job.stream.clone());
        let fold = RunFold::new(job.run.id, job.run.workspace_id, job.run.configuration_id);
        let mut session = Self { job, emitter, fold, started_at: None, build_id: None, lease: None };
        // The queued event is in the log already; the fold must know it too.
        let (options, mode) = (session.job.run.options.clone(), session.job.run.options.mode());
        session.observe(&Draft::new(RUN_QUEUED, Source::Api, &Queued { mode, options, queued_by: None }));
        session
    }

    pub fn enter(&self, stage: &'static str) {
        self.job.stage.enter(stage);
    }

    /// Gives events to the stream, and to the fold that the summary is made from.
    pub async fn post(&mut self, mut drafts: Vec<Draft>) {
        for draft in &mut drafts {
            draft.build_id = draft.build_id.or(self.build_id);
            self.observe(draft);
        }
        self.emitter.post(drafts).await;
    }

    pub fn observe(&mut self, draft: &Draft) {
        if RunFold::is_relevant(draft.kind.as_bytes()) {
            let created_at = self.job.stream.now();
            self.fold.apply(Fact::of_draft(draft, created_at));
        }
    }

    /// Waits for something that a stop cuts short.
    pub async fn unless_stopped<T>(&self, wanted: impl Future<Output = T>) -> Result<T, Early> {
        let mut signal = self.job.signal.clone();
        tokio::select! {
            biased;
            reason = signal.stopped() => Err(Early::Stopped(reason)),
            value = wanted => Ok(value),
        }
    }

    /// As [`Session::unless_stopped`], for a run that has nothing running: when the service goes down it stays queued.
    pub async fn unless_cancelled<T>(&self, wanted: impl Future<Output = T>) -> Result<T, Early> {
        self.unless_stopped(wanted).await.map_err(|early| match early {
            Early::Stopped(StopReason::Interrupt) => Early::Suspended,
            other => other,
        })
    }

    pub fn waiting(&self, reason: WaitReason, position: Option<u64>) -> Draft {
        Draft::new(RUN_WAITING, Source::Scheduler, &Waiting { reason, position, build_id: self.build_id })
    }
}
