//! One execution from its first event, or from wherever its log ends, to its last.
//!
//! Invariant: one writer. The session decides by the log what is next, running steps emit their events through the same
//! writer, and only [`Session::complete`] writes `complete`. What is asked of it from outside (to stop, to listen to a
//! person, to begin nothing new) is done between two decisions.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};

use super::ending;
use super::event_writer::{EventWriter, LogFailed};
use super::inputs;
use super::job::ExecutionJob;
use super::ports::Unavailable;
use super::prompts::Prompts;
use super::replies::Replies;
use super::step;
use super::work::{Interruption, StepWork, Work};
use crate::domain::CallId;
use crate::domain::progress::{EndReason, ExecutionFailureCode, StepKey};
use crate::domain::status::ExecutionStatus;
use crate::domain::time::{Timestamp, duration_ms};
use crate::domain::work::Work as _;
use crate::event::payload::Caller;
use crate::event::payload::execution::{
    ACCEPTANCE_GIVEN, AcceptanceGiven, CLARIFICATION_ANSWERED, COMPLETE, ClarificationAnswered, EXECUTION_STARTED,
    ExecutionStarted, LLM_CALL, STEP_CANCELLED, STEP_COMPLETED, STEP_FAILED, STEP_SKIPPED, StepCompleted, StepEnded,
    StepFailed,
};
use crate::llm::ErrorKind;
use crate::worker::actor::Outcome;
use crate::worker::inbox::{Answer, AnswerError, Submitted};
use crate::worker::stop::StopReason;
use crate::workflow::plan::{Action, Ending, Facts, Outlook, plan};
use crate::workflow::user_input::{InputOutcome, apply};

type Ended = (StepKey, Result<(), Interruption>);

struct Session {
    work: Rc<Work>,
    answers: mpsc::Receiver<Submitted>,
    tasks: FuturesUnordered<LocalBoxFuture<'static, Ended>>,
    /// How each running step is asked to stop.
    at_work: BTreeMap<StepKey, watch::Sender<Option<ErrorKind>>>,
    /// Types that no step writes and the scope has.
    present: BTreeSet<String>,
    is_cancelled: bool,
    is_closing: bool,
}

/// Does an execution. When this returns, its stream has its terminal event, or its log has failed, or it is suspended.
pub async fn drive(job: ExecutionJob, answers: mpsc::Receiver<Submitted>) -> Outcome {
    let halted = match open(job.clone(), answers).await {
        Ok(session) => session.run().await.err(),
        Err(LogFailed) => Some(Interruption::Log),
    };
    match halted {
        None => {}
        Some(Interruption::Suspended) => return Outcome::Suspended,
        Some(Interruption::Log) => ending::without_log(&job).await,
    }
    Outcome::Ended
}

async fn open(job: ExecutionJob, answers: mpsc::Receiver<Submitted>) -> Result<Session, LogFailed> {
    let writer = EventWriter::open(job.stream.clone()).await?;
    let directory = job.context.location(job.execution.stream_key().directory());
    let prompts = Prompts::of(directory.clone(), job.context.settings.llm.keep_prompts);
    let replies = Replies::of(directory, job.execution.clone(), job.ports.clone());
    let work = Work { job, writer, replies, prompts, reserved: Cell::default() };
    Ok(Session {
        work: Rc::new(work),
        answers,
        tasks: FuturesUnordered::new(),
        at_work: BTreeMap::new(),
        present: BTreeSet::new(),
        is_cancelled: false,
        is_closing: false,
    })
}

impl Session {
    async fn run(mut self) -> Result<(), Interruption> {
        let writer = &self.work.writer;
        if writer.progress().status.is_terminal() {
            return Ok(());
        }
        match self.find_given().await {
            Ok(()) => {}
            Err(error) => return self.give_up(error).await,
        }
        self.begin().await?;
        self.report_calls().await?;
        loop {
            match self.work.job.signal.reason() {
                Some(StopReason::Cancel { .. }) => self.is_cancelled = true,
                Some(StopReason::Interrupt) => return self.interrupt().await,
                None => {}
            }
            let mut wake_at = None;
            if !self.is_closing || self.is_cancelled {
                let plan = self.plan();
                let mut has_moved = false;
                for action in plan.actions {
                    has_moved |= self.act(action).await?;
                }
                if has_moved {
                    continue;
                }
                if let Outlook::Over(ending) = plan.outlook {
                    return self.complete(ending).await;
                }
                wake_at = plan.wake_at;
            } else if self.at_work.is_empty() {
                return Err(Interruption::Suspended);
            }
            let status = self.work.writer.progress().status;
            self.work.job.stage.enter(status.as_str());
            self.wait(wake_at).await?;
        }
    }

    /// Has what was given as documents, and knows what else is there.
    async fn find_given(&mut self) -> Result<(), Unavailable> {
        if self.work.writer.progress().status == ExecutionStatus::Pending {
            inputs::store_given(&self.work).await?;
        }
        for input in self.work.job.workflow.start_inputs() {
            if inputs::is_present(&self.work, &input.document_type).await? {
                self.present.insert(input.document_type);
            }
        }
        Ok(())
    }

    async fn begin(&self) -> Result<(), Interruption> {
        let job = &self.work.job;
        if self.work.writer.progress().status != ExecutionStatus::Pending {
            return Ok(());
        }
        let started = ExecutionStarted {
            workflow_id: job.execution.workflow_id.clone(),
            revision: job.execution.revision,
            scope_type: job.execution.scope.scope_type.clone(),
            scope_id: job.execution.scope.scope_id.clone(),
            steps: job.workflow.steps.iter().map(|step| step.step_id.clone()).collect(),
            started_by: job.started_by.clone(),
            retry_of_execution_id: job.execution.retry_of_execution_id,
            kept: job.kept.to_vec(),
        };
        Ok(self.work.writer.write(EXECUTION_STARTED, None, &started).await?)
    }

    /// Calls that a previous process has made and not logged: their replies are used; without one they were
    /// interrupted.
    async fn report_calls(&self) -> Result<(), Interruption> {
        for id in self.unreported_calls().await {
            let stored = match self.work.replies.load(id).await {
                Ok(stored) => stored,
                Err(error) => {
                    tracing::error!(call = %id, error = %error, "failed to read a call");
                    continue;
                }
            };
            let mut call = stored.call;
            if stored.content.is_none() {
                call.error = Some(ErrorKind::Interrupted.as_str().to_owned());
                call.error_message = Some("the service ended during the call".to_owned());
            }
            self.work.writer.write(LLM_CALL, Some(&stored.step), &call).await?;
        }
        Ok(())
    }

    async fn unreported_calls(&self) -> BTreeSet<CallId> {
        let mut ids = self.work.replies.ids().await.unwrap_or_else(|error| {
            tracing::error!(execution = %self.work.job.execution.id, error = %error, "failed to list calls");
            BTreeSet::new()
        });
        let progress = self.work.writer.progress();
        let told: BTreeSet<CallId> =
            progress.steps.values().flat_map(|step| &step.calls).map(|call| call.call_id).collect();
        ids.retain(|id| !told.contains(id));
        ids
    }

    fn plan(&self) -> crate::workflow::plan::Plan {
        let at_work: BTreeSet<StepKey> = self.at_work.keys().cloned().collect();
        let facts = Facts {
            now: self.work.writer.now(),
            present: &self.present,
            at_work: &at_work,
            is_cancelled: self.is_cancelled,
        };
        plan(&self.work.job.workflow, &self.work.writer.progress(), &facts)
    }

    /// Whether something has changed by it, so that there is something to decide again.
    async fn act(&mut self, action: Action) -> Result<bool, Interruption> {
        let writer = &self.work.writer;
        match action {
            Action::Expand(key) => step::expand(&self.work, &key).await?,
            // Begun here, so that the next decision knows of it.
            Action::Start(key) => {
                if step::start(&self.work, &key).await? {
                    self.send_to_work(key);
                }
            }
            Action::Continue(key) => self.send_to_work(key),
            Action::Close(key) => {
                let completed = self.closed(&key);
                writer.write(STEP_COMPLETED, Some(&key), &completed).await?;
            }
            Action::Fail(key, error) => writer.write(STEP_FAILED, Some(&key), &StepFailed { error }).await?,
            Action::Skip(key, reason) => writer.write(STEP_SKIPPED, Some(&key), &StepEnded { reason }).await?,
            Action::Cancel(key, reason) => return self.cancel_step(key, reason).await,
        }
        Ok(true)
    }

    fn send_to_work(&mut self, key: StepKey) {
        let (stop, stopped) = watch::channel(None);
        self.at_work.insert(key.clone(), stop);
        let closing = self.work.job.closing.clone();
        let work = StepWork { work: self.work.clone(), key: key.clone(), stop: stopped, closing };
        self.tasks.push(Box::pin(async move { (key, work.run().await) }));
    }

    /// One running is asked to stop, and cancelled when it has.
    async fn cancel_step(&mut self, key: StepKey, reason: EndReason) -> Result<bool, Interruption> {
        if let Some(stop) = self.at_work.get(&key) {
            stop.send_replace(Some(ErrorKind::Cancelled));
            return Ok(false);
        }
        self.work.writer.write(STEP_CANCELLED, Some(&key), &StepEnded { reason }).await?;
        Ok(true)
    }

    /// A step of items has no document itself.
    fn closed(&self, key: &StepKey) -> StepCompleted {
        let step = self.work.job.workflow.step(&key.step_id);
        let started_at = self.work.writer.step(key).started_at;
        StepCompleted {
            document_id: None,
            document_type: step.map(|step| step.output.clone()).unwrap_or_default(),
            version: None,
            duration_ms: started_at.map_or(0, |from| duration_ms(from, self.work.writer.now())),
            content_digest: None,
        }
    }

    async fn wait(&mut self, wake_at: Option<Timestamp>) -> Result<(), Interruption> {
        let (mut signal, mut closing) = (self.work.job.signal.clone(), self.work.job.closing.clone());
        let now = self.work.writer.now();
        tokio::select! {
            biased;
            // The next round sees why.
            _ = signal.stopped(), if !self.is_cancelled => {}
            Ok(_) = closing.wait_for(|closing| *closing), if !self.is_closing => self.is_closing = true,
            Some((key, ended)) = self.tasks.next(), if !self.tasks.is_empty() => {
                self.at_work.remove(&key);
                ended?;
            }
            Some(submitted) = self.answers.recv() => self.take_up(submitted).await?,
            () = sleep_until(wake_at, now) => {}
        }
        Ok(())
    }

    /// Calls in progress are ended and logged; everything else is left as the log has it.
    async fn interrupt(&mut self) -> Result<(), Interruption> {
        for stop in self.at_work.values() {
            stop.send_replace(Some(ErrorKind::Interrupted));
        }
        while let Some((_, ended)) = self.tasks.next().await {
            ended?;
        }
        Err(Interruption::Suspended)
    }

    async fn take_up(&self, Submitted { answer, reply }: Submitted) -> Result<(), Interruption> {
        let Answer { to, input, by } = answer;
        let heard = {
            let progress = self.work.writer.progress();
            apply(&self.work.job.workflow, &progress, &to, input, &by)
        };
        let (writer, by) = (&self.work.writer, Some(Caller::from(&by)));
        let written = match heard {
            Err(refusal) => {
                let _ = reply.send(Err(AnswerError::Refused(refusal)));
                return Ok(());
            }
            Ok(InputOutcome::Known) => Ok(()),
            Ok(InputOutcome::Answered(key, clarification_id, answers)) => {
                let answered = ClarificationAnswered { clarification_id, answers, answered_by: by };
                writer.write(CLARIFICATION_ANSWERED, Some(&key), &answered).await
            }
            Ok(InputOutcome::Decided(key, document, decision)) => {
                let given = AcceptanceGiven {
                    document_id: document.document_id,
                    version: document.version,
                    accepted: decision.accepted,
                    comment: decision.comment,
                    decided_by: by,
                };
                writer.write(ACCEPTANCE_GIVEN, Some(&key), &given).await
            }
        };
        let _ = reply.send(written.map_err(|_| AnswerError::Gone));
        Ok(written?)
    }

    /// What it was given cannot be had, so nothing can be started.
    async fn give_up(self, error: Unavailable) -> Result<(), Interruption> {
        self.begin().await?;
        self.complete(ending::failed(ExecutionFailureCode::OrchestrationError, &error.to_string())).await
    }

    async fn complete(&self, ending: Ending) -> Result<(), Interruption> {
        let complete = ending::complete(&self.work.writer.progress(), ending, self.work.writer.now());
        Ok(self.work.writer.write(COMPLETE, None, &complete).await?)
    }
}

/// Never, when there is no time.
async fn sleep_until(at: Option<Timestamp>, now: Timestamp) {
    let Some(at) = at else { return std::future::pending().await };
    tokio::time::sleep((at - now).to_std().unwrap_or_default()).await;
}
