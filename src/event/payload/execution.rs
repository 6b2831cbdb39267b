//! Payloads of executions, whose types have no prefix: their names are fixed by those who read them.
//!
//! Which step an event is of, and which item, stands in the envelope.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Caller;
use crate::domain::money::MicroUsd;
use crate::domain::progress::{
    DocumentRef, EndReason, ExecutionFailure, Finding, Product, RetryReason, StepError, Totals,
};
use crate::domain::question::Question;
use crate::domain::status::{ExecutionStatus, text_enum};
use crate::domain::time::Timestamp;
use crate::domain::{CallId, ClarificationId, DocumentId, ExecutionId};

pub const EXECUTION_STARTED: &str = "execution_started";
pub const STEP_STARTED: &str = "step_started";
pub const STEP_PROGRESS: &str = "step_progress";
pub const LLM_CALL: &str = "llm_call";
pub const STEP_RETRYING: &str = "step_retrying";
pub const CLARIFICATION_NEEDED: &str = "clarification_needed";
pub const CLARIFICATION_ANSWERED: &str = "clarification_answered";
pub const ACCEPTANCE_NEEDED: &str = "acceptance_needed";
pub const ACCEPTANCE_GIVEN: &str = "acceptance_given";
pub const STEP_COMPLETED: &str = "step_completed";
pub const STEP_FAILED: &str = "step_failed";
pub const STEP_SKIPPED: &str = "step_skipped";
pub const STEP_CANCELLED: &str = "step_cancelled";
pub const COMPLETE: &str = "complete";

/// `execution_started`, always the first event of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecutionStarted {
    pub workflow_id: String,
    pub revision: u64,
    pub scope_type: String,
    pub scope_id: String,
    /// Their ids, in the order of the definition.
    pub steps: Vec<String>,
    #[serde(default)]
    pub started_by: Option<Caller>,
    #[serde(default)]
    pub retry_of_execution_id: Option<ExecutionId>,
    /// What the execution that this one repeats has completed; it counts as completed here.
    #[serde(default)]
    pub kept: Vec<Kept>,
}

/// A step, or an item of one, that an earlier execution has completed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Kept {
    pub step_id: String,
    pub item: Option<String>,
    /// Of a step that runs once for each.
    pub items: Option<Vec<String>>,
    /// A step that runs once for each has none itself.
    pub document: Option<Product>,
}

/// `step_started`. A step that runs once for each begins with one that names its items, and each item with its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepStarted {
    pub attempt: u32,
    pub role: String,
    pub model: String,
    pub inputs: Vec<DocumentRef>,
    /// The keys of the items, of a step that runs once for each.
    #[serde(default)]
    pub items: Option<Vec<String>>,
}

text_enum! {
    ProgressKind { TextDelta = "text_delta", Note = "note" }
}

/// `step_progress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepProgress {
    pub kind: ProgressKind,
    pub text: String,
}

/// `llm_call`, written when the reply is stored; a retry is a call of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LlmCall {
    pub call_id: CallId,
    pub provider: String,
    pub model: String,
    /// Of the step.
    pub attempt: u32,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_read_tokens: u64,
    pub cache_write_tokens: u64,
    pub latency_ms: u64,
    /// None when the model has no price.
    pub cost_usd: Option<MicroUsd>,
    pub stop_reason: Option<String>,
    /// The kind of error, as `rate_limited` or `interrupted`.
    pub error: Option<String>,
    #[serde(default)]
    pub error_message: Option<String>,
    /// Of the reply as it was stored; a call that failed has none.
    pub content_digest: Option<String>,
}

/// `step_retrying`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepRetrying {
    /// The attempt that begins now; the same as before when only a call is made again.
    pub attempt: u32,
    pub reason: RetryReason,
    pub findings: Vec<Finding>,
}

/// `clarification_needed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClarificationNeeded {
    pub clarification_id: ClarificationId,
    pub questions: Vec<Question>,
    #[serde(with = "crate::domain::time::serde_micros_option", default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deadline: Option<Timestamp>,
}

/// `clarification_answered`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClarificationAnswered {
    pub clarification_id: ClarificationId,
    /// By the question's id.
    pub answers: Map<String, Value>,
    pub answered_by: Option<Caller>,
}

/// `acceptance_needed`; the version is stored already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcceptanceNeeded {
    #[serde(flatten)]
    pub document: DocumentRef,
    pub content_digest: String,
    pub accepted_by: Vec<String>,
}

/// `acceptance_given`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcceptanceGiven {
    pub document_id: DocumentId,
    pub version: u64,
    pub accepted: bool,
    pub comment: Option<String>,
    pub decided_by: Option<Caller>,
}

/// `step_completed`. A step that runs once for each has no document itself: its items have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepCompleted {
    pub document_id: Option<DocumentId>,
    pub document_type: String,
    pub version: Option<u64>,
    pub duration_ms: u64,
    pub content_digest: Option<String>,
}

impl StepCompleted {
    pub fn document(&self) -> Option<DocumentRef> {
        let (document_id, version) = self.document_id.zip(self.version)?;
        Some(DocumentRef { document_id, document_type: self.document_type.clone(), version })
    }
}

/// `step_failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepFailed {
    pub error: StepError,
}

/// `step_skipped` and `step_cancelled`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepEnded {
    pub reason: EndReason,
}

/// `complete`, the one terminal event of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExecutionComplete)]
pub struct Complete {
    /// One of the terminal statuses.
    pub status: ExecutionStatus,
    pub failure: Option<ExecutionFailure>,
    pub totals: Totals,
    pub documents: Vec<Product>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> DocumentRef {
        DocumentRef { document_id: DocumentId::generate(), document_type: "plan".into(), version: 2 }
    }

    #[test]
    fn a_call_writes_its_money_as_text_and_its_nulls() {
        let call = LlmCall {
            call_id: CallId::generate(),
            provider: "builtin".into(),
            model: "builtin-small".into(),
            attempt: 1,
            input_tokens: 10,
            output_tokens: 5,
            cache_read_tokens: 0,
            cache_write_tokens: 0,
            latency_ms: 3,
            cost_usd: Some(MicroUsd(125)),
            stop_reason: Some("end".into()),
            error: None,
            error_message: None,
            content_digest: Some("sha256:00".into()),
        };
        let value = serde_json::to_value(&call).unwrap();
        assert_eq!((&value["cost_usd"], &value["error"]), (&json!("0.000125"), &Value::Null));
        assert_eq!(serde_json::from_value::<LlmCall>(value).unwrap(), call);
    }

    #[test]
    fn documents_are_told_flat() {
        let needed = AcceptanceNeeded { document: document(), content_digest: "d".into(), accepted_by: vec![] };
        let value = serde_json::to_value(&needed).unwrap();
        assert_eq!((&value["document_type"], &value["version"]), (&json!("plan"), &json!(2)));
        assert_eq!(serde_json::from_value::<AcceptanceNeeded>(value).unwrap(), needed);
        let complete = Complete {
            status: ExecutionStatus::Completed,
            failure: None,
            totals: Totals { calls: 1, ..Totals::default() },
            documents: vec![Product {
                step_id: "plan".into(),
                item: Some("a".into()),
                document: document(),
                content_digest: "d".into(),
            }],
        };
        let value = serde_json::to_value(&complete).unwrap();
        assert_eq!(value["totals"]["cost_usd"], "0.000000");
        assert_eq!(value["documents"][0]["version"], 2);
        assert_eq!(serde_json::from_value::<Complete>(value).unwrap(), complete);
    }

    #[test]
    fn a_completed_step_tells_its_document_if_it_has_one() {
        let whole = StepCompleted {
            document_id: None,
            document_type: "plan".into(),
            version: None,
            duration_ms: 1,
            content_digest: None,
        };
        assert_eq!(whole.document(), None);
        let one = StepCompleted { document_id: Some(DocumentId::generate()), version: Some(3), ..whole };
        assert_eq!(one.document().map(|document| document.version), Some(3));
    }
}
