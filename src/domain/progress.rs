//! How far an execution has come: what a fold of its log knows, and what decides how it goes on.
//!
//! Law: everything here follows from the log alone, so that a reader of the log knows as much as its writer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::money::MicroUsd;
use super::question::Question;
use super::status::{ExecutionStatus, StepStatus, text_enum};
use super::time::Timestamp;
use super::{CallId, ClarificationId, DocumentId};

/// A step, or one item of a step that runs once for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StepKey {
    pub step_id: String,
    pub item: Option<String>,
}

impl StepKey {
    pub fn step(step_id: impl Into<String>) -> Self {
        Self { step_id: step_id.into(), item: None }
    }

    pub fn item(step_id: impl Into<String>, item: impl Into<String>) -> Self {
        Self { step_id: step_id.into(), item: Some(item.into()) }
    }
}

impl std::fmt::Display for StepKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.item {
            Some(item) => write!(f, "{}/{item}", self.step_id),
            None => f.write_str(&self.step_id),
        }
    }
}

/// What is wrong with a reply, or with a document: where (a JSON pointer, empty for the whole), what, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    pub code: String,
    pub path: String,
    pub message: String,
}

impl Finding {
    pub fn new(code: &str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), path: path.into(), message: message.into() }
    }

    /// Of a whole reply.
    pub fn of_reply(code: &str, message: impl Into<String>) -> Self {
        Self::new(code, "", message)
    }
}

text_enum! {
    /// Codes of `step_failed` `error`.
    StepErrorCode {
        InputMissing = "input_missing", InputTooLarge = "input_too_large", CollectionInvalid = "collection_invalid",
        ItemFailed = "item_failed", ValidationFailed = "validation_failed", ProviderError = "provider_error",
        Rejected = "rejected", ClarificationExpired = "clarification_expired", StepTimeout = "step_timeout",
        CostLimit = "cost_limit", OrchestrationError = "orchestration_error",
    }
}

/// `error` of a step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepError {
    pub code: StepErrorCode,
    pub message: String,
    #[serde(default)]
    pub findings: Vec<Finding>,
}

impl StepError {
    pub fn new(code: StepErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), findings: Vec::new() }
    }
}

text_enum! {
    /// Codes of `complete` `failure`.
    ExecutionFailureCode {
        StepFailed = "step_failed", CostLimit = "cost_limit", DurationLimit = "duration_limit",
        Cancelled = "execution_cancelled", Interrupted = "interrupted", OrchestrationError = "orchestration_error",
        /// An execution is its log: without one it ends.
        LogUnavailable = "log_unavailable",
    }
}

/// `failure` of an execution that did not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecutionFailure {
    pub code: ExecutionFailureCode,
    /// The step that it failed for, if it was one.
    pub step_id: Option<String>,
    pub item: Option<String>,
    pub message: String,
}

/// A version of a document that a step has read or written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DocumentRef {
    pub document_id: DocumentId,
    pub document_type: String,
    pub version: u64,
}

/// A version that a step has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Product {
    pub step_id: String,
    pub item: Option<String>,
    #[serde(flatten)]
    pub document: DocumentRef,
    pub content_digest: String,
}

text_enum! {
    /// Why a step tries again: its reply was of no use, its call has failed, or a person has rejected its document.
    RetryReason { Validation = "validation", Provider = "provider", Rejection = "rejection" }
}

text_enum! {
    /// Why a step was skipped or cancelled.
    EndReason {
        DependencyFailed = "dependency_failed", ExecutionFailed = "execution_failed",
        ExecutionCancelled = "execution_cancelled", DurationLimit = "duration_limit",
        /// The execution has ended without a word about the step.
        ExecutionEnded = "execution_ended",
    }
}

text_enum! {
    /// What a person is asked for.
    PendingKind { Clarification = "clarification", Acceptance = "acceptance" }
}

/// Something that waits for a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pending {
    pub step_id: String,
    pub item: Option<String>,
    pub kind: PendingKind,
    pub clarification_id: Option<ClarificationId>,
    pub questions: Option<Vec<Question>>,
    #[serde(with = "super::time::serde_micros_option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deadline: Option<Timestamp>,
    pub document: Option<DocumentRef>,
    pub accepted_by: Option<Vec<String>>,
}

/// What calls have used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    pub cost_usd: MicroUsd,
    pub input_tokens: u64,
    pub output_tokens: u64,
    #[serde(default)]
    pub cache_read_tokens: u64,
    #[serde(default)]
    pub cache_write_tokens: u64,
    pub calls: u64,
    /// Calls of models that have no price; the cost leaves them out.
    #[serde(default)]
    pub unpriced_calls: u64,
    pub duration_ms: u64,
}

/// A call that is recorded, whatever came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCall {
    pub call_id: CallId,
    pub attempt: u32,
    /// Of the reply as it is stored; a call that failed has none.
    pub content_digest: Option<String>,
    pub error: Option<String>,
}

/// A reply that is recorded and whose consequence is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedReply {
    pub call_id: CallId,
    pub content_digest: Option<String>,
    pub stop_reason: Option<String>,
}

/// Questions that a step asks a person, and the answers once they are there.
#[derive(Debug, Clone, PartialEq)]
pub struct Clarification {
    pub clarification_id: ClarificationId,
    pub questions: Vec<Question>,
    pub deadline: Option<Timestamp>,
    pub answers: Option<Map<String, Value>>,
}

/// A document that a person is asked to accept, and the decision once it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    pub document: DocumentRef,
    pub content_digest: String,
    pub accepted_by: Vec<String>,
    pub decision: Option<Decision>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub accepted: bool,
    pub comment: Option<String>,
}

/// How far a step has come, or one item of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepState {
    pub status: StepStatus,
    /// From 1; 0 before it has started.
    pub attempt: u32,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    /// What it has been given to read, as its first event says.
    pub inputs: Vec<DocumentRef>,
    /// Of a step that runs once for each: the keys of its items, once they are known.
    pub items: Option<Vec<String>>,
    /// In the order in which they were asked; only the last can be open.
    pub clarifications: Vec<Clarification>,
    pub acceptance: Option<Acceptance>,
    /// Of the last attempt, for this one.
    pub findings: Vec<Finding>,
    /// To be looked at before another call is made.
    pub reply: Option<RecordedReply>,
    pub document: Option<Product>,
    pub error: Option<StepError>,
    /// Why it was skipped or cancelled.
    pub reason: Option<EndReason>,
    pub totals: Totals,
    /// Every call on record, the last one last.
    pub calls: Vec<RecordedCall>,
    /// An earlier execution has completed it.
    pub kept: bool,
}

impl StepState {
    /// The questions that wait for answers.
    pub fn open_clarification(&self) -> Option<&Clarification> {
        self.clarifications.last().filter(|last| last.answers.is_none())
    }

    /// Questions and answers so far.
    pub fn answered(&self) -> impl Iterator<Item = (&Clarification, &Map<String, Value>)> {
        self.clarifications.iter().filter_map(|asked| Some((asked, asked.answers.as_ref()?)))
    }
}

/// How far an execution has come.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    pub status: ExecutionStatus,
    pub workflow_id: Option<String>,
    pub revision: Option<u64>,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    /// Steps and items that have started or ended, in whatever way.
    pub steps: BTreeMap<StepKey, StepState>,
    pub totals: Totals,
    pub failure: Option<ExecutionFailure>,
    pub clarification_count: u64,
}

impl Progress {
    pub fn step(&self, key: &StepKey) -> Option<&StepState> {
        self.steps.get(key)
    }

    /// Pending for one that has not started.
    pub fn status_of(&self, key: &StepKey) -> StepStatus {
        self.step(key).map_or(StepStatus::Pending, |step| step.status)
    }

    /// The items of a step that have started.
    pub fn begun_items<'a>(&'a self, step_id: &'a str) -> impl Iterator<Item = (&'a StepKey, &'a StepState)> {
        self.steps.iter().filter(move |(key, _)| key.step_id == step_id && key.item.is_some())
    }

    /// What steps have written, in the order of steps and items.
    pub fn products(&self) -> impl Iterator<Item = &Product> {
        self.steps.values().filter_map(|step| step.document.as_ref())
    }

    /// What waits for a person.
    pub fn pending(&self) -> Vec<Pending> {
        self.steps.iter().filter_map(|(key, step)| pending(key, step)).collect()
    }

    /// Steps that have started and are not over.
    pub fn current_steps(&self) -> Vec<String> {
        let active =
            self.steps.iter().filter(|(_, step)| !step.status.is_terminal() && step.status != StepStatus::Pending);
        let mut ids: Vec<_> = active.map(|(key, _)| key.step_id.clone()).collect();
        ids.dedup();
        ids
    }
}

fn pending(key: &StepKey, step: &StepState) -> Option<Pending> {
    let of_kind = |kind| Pending {
        step_id: key.step_id.clone(),
        item: key.item.clone(),
        kind,
        clarification_id: None,
        questions: None,
        deadline: None,
        document: None,
        accepted_by: None,
    };
    match step.status {
        StepStatus::WaitingClarification => step.open_clarification().map(|asked| Pending {
            clarification_id: Some(asked.clarification_id),
            questions: Some(asked.questions.clone()),
            deadline: asked.deadline,
            ..of_kind(PendingKind::Clarification)
        }),
        StepStatus::WaitingAcceptance => step.acceptance.as_ref().map(|asked| Pending {
            document: Some(asked.document.clone()),
            accepted_by: Some(asked.accepted_by.clone()),
            ..of_kind(PendingKind::Acceptance)
        }),
        _ => None,
    }
}
