//! One running step, or one item of it, until it has ended or waits for a person.
//!
//! Invariant: what it does next is asked of [`next_move`] each time, so one that goes on after a restart does what it
//! would have done.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::Value;
use tokio::time::Instant;

use super::call::{self, Called};
use super::event_writer::LogFailed;
use super::inputs::{self, Input};
use super::ports::with_retries;
use super::work::{Interruption, StepWork, Work};
use crate::domain::ClarificationId;
use crate::domain::progress::{DocumentRef, RecordedReply, StepError, StepErrorCode, StepKey};
use crate::domain::question::Question;
use crate::domain::status::StepStatus;
use crate::domain::time::{duration_ms, micros};
use crate::domain::workflow_document::{DocumentDraft, DocumentStatus, StepAttempt};
use crate::event::payload::execution::{
    ACCEPTANCE_NEEDED, AcceptanceNeeded, CLARIFICATION_NEEDED, ClarificationNeeded, STEP_COMPLETED, STEP_FAILED,
    STEP_RETRYING, STEP_STARTED, StepCompleted, StepFailed, StepRetrying, StepStarted,
};
use crate::workflow::Step;
use crate::workflow::item::{self, Item};
use crate::workflow::reply::{self, Verdict};
use crate::workflow::step::{Consequence, Move, Retry, consequence, may_ask, next_move};

/// Looks at the collection of a step of items and begins it with their keys.
pub async fn expand(work: &Work, key: &StepKey) -> Result<(), LogFailed> {
    match found_items(work, key).await {
        Ok((inputs, items)) => begin(work, key, inputs, Some(items)).await,
        Err(error) => work.writer.write(STEP_FAILED, Some(key), &StepFailed { error }).await,
    }
}

/// Begins a step, or an item of one, with what it will read; false when that is not there.
pub async fn start(work: &Work, key: &StepKey) -> Result<bool, LogFailed> {
    let found = match &key.item {
        // All items read what their step has found.
        Some(_) => Ok(work.writer.step(&StepKey::step(&key.step_id)).inputs),
        None => found_inputs(work, key).await,
    };
    match found {
        Ok(inputs) => begin(work, key, inputs, None).await.map(|()| true),
        Err(error) => work.writer.write(STEP_FAILED, Some(key), &StepFailed { error }).await.map(|()| false),
    }
}

async fn found_inputs(work: &Work, key: &StepKey) -> Result<Vec<DocumentRef>, StepError> {
    inputs::find(work, of(work, key)?).await
}

async fn found_items(work: &Work, key: &StepKey) -> Result<(Vec<DocumentRef>, Vec<String>), StepError> {
    let step = of(work, key)?;
    let references = inputs::find(work, step).await?;
    let is_collection = |found: &&DocumentRef| {
        step.for_each.as_ref().is_some_and(|for_each| for_each.document_type == found.document_type)
    };
    let collection: Vec<_> = references.iter().filter(is_collection).cloned().collect();
    let inputs = inputs::load(work, &collection).await?;
    let items = items(step, &inputs)?;
    Ok((references, items.into_iter().map(|item| item.key).collect()))
}

fn items<'a>(step: &Step, inputs: &'a [Input]) -> Result<Vec<Item<'a>>, StepError> {
    let Some(for_each) = &step.for_each else { return Ok(Vec::new()) };
    match inputs.iter().find(|input| input.document.document_type == for_each.document_type) {
        Some(collection) => item::items(for_each, &collection.content),
        None => Err(StepError::new(StepErrorCode::InputMissing, "the collection is not there")),
    }
}

fn of<'a>(work: &'a Work, key: &StepKey) -> Result<&'a Step, StepError> {
    let step = work.job.workflow.step(&key.step_id);
    step.ok_or_else(|| StepError::new(StepErrorCode::OrchestrationError, "the workflow has no such step"))
}

async fn begin(
    work: &Work,
    key: &StepKey,
    inputs: Vec<DocumentRef>,
    items: Option<Vec<String>>,
) -> Result<(), LogFailed> {
    let (role, model) = of(work, key).map(|step| (step.role.clone(), step.model.clone())).unwrap_or_default();
    work.writer.write(STEP_STARTED, Some(key), &StepStarted { attempt: 1, role, model, inputs, items }).await
}

impl StepWork {
    pub async fn run(self) -> Result<(), Interruption> {
        let done = match self.prepare().await {
            Ok((step, inputs)) => self.go_on(step, &inputs).await,
            Err(error) => self.fail(error).await,
        };
        Ok(done?)
    }

    /// The step, and what it reads.
    async fn prepare(&self) -> Result<(&Step, Vec<Input>), StepError> {
        let references = self.work.writer.step(&self.key).inputs;
        Ok((of(&self.work, &self.key)?, inputs::load(&self.work, &references).await?))
    }

    async fn go_on(&self, step: &Step, inputs: &[Input]) -> Result<(), LogFailed> {
        let deadline = Instant::now() + Duration::from_secs(step.timeout_seconds);
        loop {
            let state = self.work.writer.step(&self.key);
            if state.status != StepStatus::Running || self.stop.borrow().is_some() {
                return Ok(());
            }
            match next_move(step, &state) {
                Move::Call if *self.closing.borrow() => return Ok(()),
                Move::Call => match call::call(self, step, &state, inputs, deadline).await? {
                    Called::Replied => {}
                    Called::Stopped => return Ok(()),
                    Called::Failed(error) => return self.fail(error).await,
                },
                Move::Judge(reply) => self.judge(step, reply).await?,
                Move::Complete(asked) => {
                    let (document, digest) = (asked.document.clone(), asked.content_digest.clone());
                    let accept = || self.work.job.ports.accept(&self.work.job.execution, &document);
                    match with_retries(accept).await {
                        Ok(()) => return self.complete(document, digest).await,
                        Err(error) => return self.fail(inputs::unreachable(error)).await,
                    }
                }
                Move::Retry(retry) => self.retry(retry).await?,
                Move::Fail(error) => return self.fail(error).await,
            }
        }
    }

    /// The item that is worked at; none of a step that has none.
    pub fn item<'a>(&self, step: &Step, inputs: &'a [Input]) -> Result<Option<Item<'a>>, StepError> {
        let Some(key) = &self.key.item else { return Ok(None) };
        let found = items(step, inputs)?.into_iter().find(|item| item.key == *key);
        let gone = || StepError::new(StepErrorCode::CollectionInvalid, format!("the item {key} is gone"));
        found.map(Some).ok_or_else(gone)
    }

    async fn judge(&self, step: &Step, recorded: &RecordedReply) -> Result<(), LogFailed> {
        let content = match self.work.replies.load(recorded.call_id).await {
            Ok(stored) => stored.content.unwrap_or_default(),
            Err(error) => {
                let message = format!("the stored reply cannot be read: {error}");
                return self.fail(StepError::new(StepErrorCode::OrchestrationError, message)).await;
            }
        };
        let state = self.work.writer.step(&self.key);
        let verdict = match self.verdict(step, content, recorded.stop_reason.clone(), may_ask(step, &state)).await {
            Ok(verdict) => verdict,
            Err(error) => return self.fail(error).await,
        };
        match consequence(step, &state, verdict) {
            Consequence::Ask(questions) => self.ask(questions).await,
            Consequence::Write(content) => self.deliver(step, state.attempt, content).await,
            Consequence::Retry(retry) => self.retry(retry).await,
            Consequence::Fail(error) => self.fail(error).await,
        }
    }

    /// To check a large document by a large schema takes its time, and takes it from nothing else.
    async fn verdict(
        &self,
        step: &Step,
        content: String,
        stop_reason: Option<String>,
        may_ask: bool,
    ) -> Result<Verdict, StepError> {
        let schema = self.work.job.workflow.output_schema(step).clone();
        let judge = move || reply::judge(&content, stop_reason.as_deref(), &schema, may_ask);
        let failed = |error: tokio::task::JoinError| {
            StepError::new(StepErrorCode::OrchestrationError, format!("the reply could not be judged: {error}"))
        };
        tokio::task::spawn_blocking(judge).await.map_err(failed)
    }

    async fn ask(&self, questions: Vec<Question>) -> Result<(), LogFailed> {
        let patience = self.work.job.context.settings.llm.clarification_timeout;
        let patience = patience.and_then(|patience| TimeDelta::from_std(patience).ok());
        let deadline = patience.and_then(|patience| self.work.writer.now().checked_add_signed(patience));
        let needed = ClarificationNeeded { clarification_id: ClarificationId::generate(), questions, deadline };
        self.work.writer.write(CLARIFICATION_NEEDED, Some(&self.key), &needed).await
    }

    /// Stores the document, and says so, or asks for it to be accepted.
    async fn deliver(&self, step: &Step, attempt: u32, content: Value) -> Result<(), LogFailed> {
        let execution = &self.work.job.execution;
        let scope = match &self.key.item {
            Some(item) => execution.scope.of_item(&self.key.step_id, item),
            None => execution.scope.clone(),
        };
        let status = if step.must_be_accepted() { DocumentStatus::Draft } else { DocumentStatus::Active };
        let draft = DocumentDraft {
            title: inputs::title(&content).unwrap_or(&step.name).to_owned(),
            status,
            summary: content["summary"].as_str().map(str::to_owned),
            content,
            created_by: execution.created_by.clone(),
            created_at: micros(Utc::now()),
        };
        let made_by = StepAttempt {
            execution_id: execution.id,
            step_id: self.key.step_id.clone(),
            item: self.key.item.clone(),
            attempt,
        };
        let chain = inputs::chain(execution, scope, &step.output);
        let store = || self.work.job.ports.store(chain.clone(), draft.clone(), made_by.clone());
        let stored = match with_retries(store).await {
            Ok(stored) => stored,
            Err(error) => return self.fail(inputs::unreachable(error)).await,
        };
        let document = inputs::reference(&stored);
        if !step.must_be_accepted() {
            return self.complete(document, stored.content_digest).await;
        }
        let accepted_by = step.acceptance.as_ref().map(|rule| rule.accepted_by.clone()).unwrap_or_default();
        let needed = AcceptanceNeeded { document, content_digest: stored.content_digest, accepted_by };
        self.work.writer.write(ACCEPTANCE_NEEDED, Some(&self.key), &needed).await
    }

    async fn complete(&self, document: DocumentRef, content_digest: String) -> Result<(), LogFailed> {
        let started_at = self.work.writer.step(&self.key).started_at;
        let completed = StepCompleted {
            document_id: Some(document.document_id),
            document_type: document.document_type,
            version: Some(document.version),
            duration_ms: started_at.map_or(0, |from| duration_ms(from, self.work.writer.now())),
            content_digest: Some(content_digest),
        };
        self.work.writer.write(STEP_COMPLETED, Some(&self.key), &completed).await
    }

    async fn retry(&self, Retry { attempt, reason, findings }: Retry) -> Result<(), LogFailed> {
        let retrying = StepRetrying { attempt, reason, findings };
        self.work.writer.write(STEP_RETRYING, Some(&self.key), &retrying).await
    }

    async fn fail(&self, error: StepError) -> Result<(), LogFailed> {
        self.work.writer.write(STEP_FAILED, Some(&self.key), &StepFailed { error }).await
    }
}
