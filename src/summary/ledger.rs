//! Ledger rows of an execution, folded from its stream.
//!
//! Invariant: a row says what the `llm_call` of the log says, so the sums of both are the same, day by day. A call
//! began as long before its event as it took.

use chrono::TimeDelta;

use super::Fact;
use crate::domain::ledger::{CallStatus, LlmCall, Tokens};
use crate::domain::workflow_document::WorkScope;
use crate::domain::{ExecutionId, WorkspaceId};
use crate::event::payload::execution::{EXECUTION_STARTED, ExecutionStarted, LLM_CALL, LlmCall as Told};

#[derive(Debug, Clone)]
pub struct LedgerFold {
    workspace_id: WorkspaceId,
    execution_id: ExecutionId,
    /// Workflow and scope, once the execution has started.
    of: Option<(String, WorkScope)>,
    rows: Vec<LlmCall>,
}

impl LedgerFold {
    pub fn new(workspace_id: WorkspaceId, execution_id: ExecutionId) -> Self {
        Self { workspace_id, execution_id, of: None, rows: Vec::new() }
    }

    pub fn apply(&mut self, fact: Fact<'_>) {
        match fact.kind {
            EXECUTION_STARTED => {
                let started: Option<ExecutionStarted> = fact.read();
                let scope = |told: &ExecutionStarted| WorkScope {
                    scope_type: told.scope_type.clone(),
                    scope_id: told.scope_id.clone(),
                };
                self.of = started.map(|started| (started.workflow_id.clone(), scope(&started)));
            }
            LLM_CALL => self.rows.extend(self.row(&fact)),
            _ => {}
        }
    }

    /// Rows that have come since [`LedgerFold::written`], oldest first.
    pub fn rows(&self) -> &[LlmCall] {
        &self.rows
    }

    /// They are in the ledger.
    pub fn written(&mut self) {
        self.rows.clear();
    }

    fn row(&self, fact: &Fact<'_>) -> Option<LlmCall> {
        let (told, (workflow_id, scope)): (Told, _) = (fact.read()?, self.of.clone()?);
        let took = i64::try_from(told.latency_ms).ok().and_then(TimeDelta::try_milliseconds);
        let started_at = took.and_then(|took| fact.created_at.checked_sub_signed(took)).unwrap_or(fact.created_at);
        Some(LlmCall {
            id: told.call_id,
            workspace_id: self.workspace_id,
            execution_id: self.execution_id,
            workflow_id,
            scope,
            step_id: fact.step_id?.to_owned(),
            item: fact.item.map(str::to_owned),
            attempt: told.attempt,
            provider: told.provider,
            model: told.model,
            tokens: Tokens {
                input: told.input_tokens,
                output: told.output_tokens,
                cache_read: told.cache_read_tokens,
                cache_write: told.cache_write_tokens,
            },
            latency_ms: told.latency_ms,
            cost: told.cost_usd,
            status: if told.error.is_some() { CallStatus::Failed } else { CallStatus::Succeeded },
            error_type: told.error,
            started_at,
            completed_at: fact.created_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::CallId;
    use crate::domain::money::MicroUsd;
    use crate::domain::progress::StepKey;
    use crate::domain::time::Timestamp;
    use crate::event::{Draft, Source};

    #[test]
    fn a_call_of_the_log_is_a_row_on_the_day_it_began() {
        let mut fold = LedgerFold::new(WorkspaceId::generate(), ExecutionId::generate());
        let midnight: Timestamp = "2026-03-01T00:00:00.200Z".parse().unwrap();
        let mut tell = |kind: &'static str, payload: serde_json::Value| {
            let draft = Draft::new(kind, Source::Executor, &payload).of_step(StepKey::item("plan", "R-1"));
            fold.apply(Fact::of_draft(&draft, midnight));
        };
        let call = json!({"call_id": CallId::generate(), "provider": "builtin", "model": "m", "attempt": 2,
            "input_tokens": 1, "output_tokens": 2, "cache_read_tokens": 3, "cache_write_tokens": 4, "latency_ms": 300,
            "cost_usd": "0.000007", "stop_reason": null, "error": "server", "content_digest": null});
        tell(LLM_CALL, call.clone());
        tell(
            EXECUTION_STARTED,
            json!({"workflow_id": "w", "revision": 1, "scope_type": "project", "scope_id": "1", "steps": []}),
        );
        tell(LLM_CALL, call);
        tell("complete", json!({}));
        let [row] = fold.rows() else { panic!("only what has begun can call") };
        assert_eq!((row.day().to_string().as_str(), row.cost), ("2026-02-28", Some(MicroUsd(7))));
        assert_eq!((row.status, row.error_type.as_deref()), (CallStatus::Failed, Some("server")));
        assert_eq!((row.step_id.as_str(), row.item.as_deref(), row.attempt), ("plan", Some("R-1"), 2));
        assert_eq!((row.workflow_id.as_str(), row.scope.scope_id.as_str()), ("w", "1"));
        assert_eq!((row.tokens.input, row.tokens.cache_write), (1, 4));
        fold.written();
        assert!(fold.rows().is_empty());
    }
}
