//! What a step reads: found when it begins, and then kept to.
//!
//! Invariant: a step reads the latest version of each type in its scope as it is when it begins; its first event names
//! them, and whoever goes on with it reads these.

use serde_json::Value;

use super::ports::{Unavailable, with_retries};
use super::work::Work;
use crate::domain::execution::Execution;
use crate::domain::progress::{DocumentRef, StepError, StepErrorCode, StepKey};
use crate::domain::workflow_document::{
    Chain, DocumentDraft, DocumentStatus, StepAttempt, WorkScope, WorkflowDocument,
};
use crate::workflow::Step;

/// A document that a step reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    pub document: DocumentRef,
    /// Of the step that wrote it.
    pub item: Option<String>,
    pub content: Value,
}

/// What the caller gave becomes documents of the scope, each once.
pub async fn store_given(work: &Work) -> Result<(), Unavailable> {
    let execution = &work.job.execution;
    let given = execution.input.as_ref().and_then(Value::as_object);
    for (document_type, content) in given.into_iter().flatten() {
        let attempt = StepAttempt::given(execution.id, document_type);
        let chain = chain(execution, execution.scope.clone(), document_type);
        let draft = DocumentDraft {
            title: title(content).unwrap_or(document_type).to_owned(),
            status: DocumentStatus::Active,
            summary: None,
            content: content.clone(),
            created_by: execution.created_by.clone(),
            created_at: execution.created_at,
        };
        with_retries(|| work.job.ports.store(chain.clone(), draft.clone(), attempt.clone())).await?;
    }
    Ok(())
}

/// Whether the scope has a document of that type.
pub async fn is_present(work: &Work, document_type: &str) -> Result<bool, Unavailable> {
    let execution = &work.job.execution;
    let chain = chain(execution, execution.scope.clone(), document_type);
    Ok(with_retries(|| work.job.ports.latest(chain.clone())).await?.is_some())
}

/// The versions that a step will read.
pub async fn find(work: &Work, step: &Step) -> Result<Vec<DocumentRef>, StepError> {
    let mut found = Vec::new();
    for document_type in step.all_inputs() {
        let is_required = step.inputs.contains(document_type);
        for scope in scopes(work, document_type) {
            match latest(work, scope.clone(), document_type).await? {
                Some(document) => found.push(reference(&document)),
                None if is_required => {
                    let message = format!("there is no document of type {document_type} in {}", scope.scope_id);
                    return Err(StepError::new(StepErrorCode::InputMissing, message));
                }
                None => {}
            }
        }
    }
    Ok(found)
}

/// The contents of versions, in their order.
pub async fn load(work: &Work, references: &[DocumentRef]) -> Result<Vec<Input>, StepError> {
    let execution = &work.job.execution;
    let mut inputs = Vec::with_capacity(references.len());
    for reference in references {
        let found = with_retries(|| work.job.ports.version(execution, reference)).await.map_err(unreachable)?;
        let found = found.ok_or_else(|| {
            let message = format!("version {} of {} is gone", reference.version, reference.document_id);
            StepError::new(StepErrorCode::InputMissing, message)
        })?;
        let item = found.made_by.and_then(|attempt| attempt.item).filter(|_| found.chain.scope != execution.scope);
        inputs.push(Input { document: reference.clone(), item, content: found.content });
    }
    Ok(inputs)
}

/// Where documents of that type are: of a step that runs once for each, one for each item.
fn scopes(work: &Work, document_type: &str) -> Vec<WorkScope> {
    let own = &work.job.execution.scope;
    let producer = work.job.workflow.producer(document_type).filter(|producer| producer.for_each.is_some());
    let Some(producer) = producer else { return vec![own.clone()] };
    let items = work.writer.step(&StepKey::step(&producer.step_id)).items.unwrap_or_default();
    items.iter().map(|item| own.of_item(&producer.step_id, item)).collect()
}

async fn latest(work: &Work, scope: WorkScope, document_type: &str) -> Result<Option<WorkflowDocument>, StepError> {
    let chain = chain(&work.job.execution, scope, document_type);
    with_retries(|| work.job.ports.latest(chain.clone())).await.map_err(unreachable)
}

pub fn chain(execution: &Execution, scope: WorkScope, document_type: &str) -> Chain {
    Chain { workspace_id: execution.workspace_id, scope, document_type: document_type.to_owned() }
}

pub fn reference(document: &WorkflowDocument) -> DocumentRef {
    DocumentRef {
        document_id: document.id,
        document_type: document.chain.document_type.clone(),
        version: document.version,
    }
}

/// What a document calls itself.
pub fn title(content: &Value) -> Option<&str> {
    content["title"].as_str().map(str::trim).filter(|title| !title.is_empty() && title.len() <= 200)
}

pub fn unreachable(error: Unavailable) -> StepError {
    StepError::new(StepErrorCode::OrchestrationError, error.to_string())
}
