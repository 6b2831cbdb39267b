//! The execution resource, and its steps.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{AsResource, EventLinks};
use crate::domain::execution::Execution;
use crate::domain::money::MicroUsd;
use crate::domain::progress::{
    Clarification, ExecutionFailure, Pending, Progress, StepError, StepKey, StepState, Totals,
};
use crate::domain::question::Question;
use crate::domain::status::{ExecutionStatus, StepStatus};
use crate::domain::time;
use crate::domain::{ClarificationId, DocumentId, ExecutionId, WorkspaceId};
use crate::http::paths;

/// The execution, as its row has it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Execution)]
pub struct ExecutionResource<'a> {
    execution_id: ExecutionId,
    #[schema(pattern = "^ade[.]execution$")]
    object: &'static str,
    workspace_id: WorkspaceId,
    workflow_id: &'a str,
    revision: u64,
    scope_type: &'a str,
    scope_id: &'a str,
    status: ExecutionStatus,
    retry_of_execution_id: Option<ExecutionId>,
    current_steps: &'a [String],
    #[schema(value_type = Vec<Pending>)]
    pending: &'a Value,
    #[schema(value_type = Option<ExecutionFailure>)]
    failure: Option<&'a Value>,
    #[schema(value_type = Totals)]
    totals: &'a Value,
    log_degraded: bool,
    last_sequence: u64,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    completed_at: Option<String>,
    created_by: &'a str,
    links: ExecutionLinks,
}

#[derive(Debug, Serialize, ToSchema)]
struct ExecutionLinks {
    #[serde(rename = "self")]
    own: String,
    steps: String,
    #[serde(flatten)]
    events: EventLinks,
    cancel: String,
    retry: String,
    costs: String,
}

impl ExecutionLinks {
    fn of(id: ExecutionId) -> Self {
        let own = paths::work(id);
        Self {
            steps: format!("{own}/steps"),
            events: EventLinks::below(&own),
            cancel: format!("{own}/cancel"),
            retry: format!("{own}/retry"),
            costs: paths::execution_costs(id),
            own,
        }
    }
}

impl AsResource for Execution {
    type Resource<'a> = ExecutionResource<'a>;

    fn as_resource(&self) -> ExecutionResource<'_> {
        let state = &self.state;
        ExecutionResource {
            execution_id: self.id,
            object: "ade.execution",
            workspace_id: self.workspace_id,
            workflow_id: &self.workflow_id,
            revision: self.revision,
            scope_type: &self.scope.scope_type,
            scope_id: &self.scope.scope_id,
            status: state.status,
            retry_of_execution_id: self.retry_of_execution_id,
            current_steps: &state.current_steps,
            pending: &state.pending,
            failure: state.failure.as_ref(),
            totals: &state.totals,
            log_degraded: self.log_degraded,
            last_sequence: self.last_sequence,
            created_at: time::format(self.created_at),
            started_at: state.started_at.map(time::format),
            completed_at: state.completed_at.map(time::format),
            created_by: &self.created_by,
            links: ExecutionLinks::of(self.id),
        }
    }
}

/// A step, or one item of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub struct StepResource<'a> {
    step_id: String,
    item: Option<String>,
    status: StepStatus,
    attempt: u32,
    /// An earlier execution has completed it.
    kept: bool,
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    completed_at: Option<String>,
    document_id: Option<DocumentId>,
    version: Option<u64>,
    clarification: Option<ClarificationResource<'a>>,
    error: Option<&'a StepError>,
    cost_usd: MicroUsd,
}

/// The last questions that it asked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Clarification)]
pub struct ClarificationResource<'a> {
    clarification_id: ClarificationId,
    questions: &'a [Question],
    #[schema(format = DateTime)]
    deadline: Option<String>,
    answers: Option<&'a Map<String, Value>>,
}

impl<'a> StepResource<'a> {
    fn pending(key: &StepKey) -> Self {
        Self {
            step_id: key.step_id.clone(),
            item: key.item.clone(),
            status: StepStatus::Pending,
            attempt: 0,
            kept: false,
            started_at: None,
            completed_at: None,
            document_id: None,
            version: None,
            clarification: None,
            error: None,
            cost_usd: MicroUsd::default(),
        }
    }

    fn of(key: &StepKey, state: &'a StepState) -> Self {
        let document = state.document.as_ref().map(|product| &product.document);
        Self {
            status: state.status,
            attempt: state.attempt,
            kept: state.kept,
            started_at: state.started_at.map(time::format),
            completed_at: state.completed_at.map(time::format),
            document_id: document.map(|document| document.document_id),
            version: document.map(|document| document.version),
            clarification: state.clarifications.last().map(clarification),
            error: state.error.as_ref(),
            cost_usd: state.totals.cost_usd,
            ..Self::pending(key)
        }
    }
}

fn clarification(asked: &Clarification) -> ClarificationResource<'_> {
    ClarificationResource {
        clarification_id: asked.clarification_id,
        questions: &asked.questions,
        deadline: asked.deadline.map(time::format),
        answers: asked.answers.as_ref(),
    }
}

/// In the order of the definition, each followed by its items. One that has not started is pending.
pub fn steps_of<'a>(ids: &[&'a str], progress: &'a Progress) -> Vec<StepResource<'a>> {
    let mut steps = Vec::new();
    for id in ids {
        let key = StepKey::step(*id);
        let started = progress.step(&key);
        steps.push(started.map_or_else(|| StepResource::pending(&key), |state| StepResource::of(&key, state)));
        let order = |key: &StepKey| {
            let items = started.and_then(|state| state.items.as_ref()).into_iter().flatten();
            items.into_iter().position(|item| Some(item) == key.item.as_ref())
        };
        let mut items: Vec<_> = progress.begun_items(id).collect();
        items.sort_by_key(|(key, _)| order(key));
        steps.extend(items.into_iter().map(|(key, state)| StepResource::of(key, state)));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_listed_in_the_order_of_the_definition() {
        let mut progress = Progress::default();
        let container = StepState { items: Some(vec!["b".into(), "a".into()]), ..StepState::default() };
        progress.steps.insert(StepKey::step("each"), container);
        for item in ["a", "b"] {
            progress.steps.insert(StepKey::item("each", item), StepState { attempt: 1, ..StepState::default() });
        }
        let listed = steps_of(&["z", "each"], &progress);
        let listed: Vec<_> =
            listed.iter().map(|step| (step.step_id.as_str(), step.item.as_deref(), step.attempt)).collect();
        assert_eq!(listed, [("z", None, 0), ("each", None, 0), ("each", Some("b"), 1), ("each", Some("a"), 1)]);
    }
}
