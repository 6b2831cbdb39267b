//! What the tests of this module share: a store on a real database, and records to put into it.

use std::ops::Deref;

use ade_test_support::database::TestDatabase;
use chrono::{TimeZone, Utc};
use serde_json::json;

use super::{Listable, Store};
use crate::domain::build::{Build, BuildInputs, BuildReason, BuildState};
use crate::domain::configuration::{Configuration, ConfigurationStatus, Document, Workspace};
use crate::domain::execution::{Execution, ExecutionState};
use crate::domain::id::NodeId;
use crate::domain::ledger::{CallStatus, LlmCall, Tokens};
use crate::domain::list::{Query, WORKSPACES};
use crate::domain::money::MicroUsd;
use crate::domain::principal::Scope;
use crate::domain::run::{Run, RunOptions};
use crate::domain::time::Timestamp;
use crate::domain::workflow::NewWorkflow;
use crate::domain::workflow_document::{Chain, DocumentDraft, DocumentStatus, WorkScope};
use crate::domain::{BuildId, CallId, ConfigurationId, DocumentId, ExecutionId, WorkspaceId};

pub struct TestStore {
    store: Store,
    // Dropped after the store.
    database: TestDatabase,
}

impl TestStore {
    /// Empty, without a schema.
    pub async fn blank() -> Self {
        let database = TestDatabase::create();
        Self { store: connect(&database).await, database }
    }

    /// On the same database, sharing nothing else.
    pub async fn another_handle(&self) -> Store {
        connect(&self.database).await
    }

    pub async fn open() -> Self {
        let blank = Self::blank().await;
        blank.migrate().await.unwrap();
        blank
    }

    /// With a workspace and a configuration in it.
    pub async fn furnished() -> (Self, Configuration) {
        let store = Self::open().await;
        let configuration = store.furnish("acme").await;
        (store, configuration)
    }

    pub async fn furnish(&self, slug: &str) -> Configuration {
        let workspace = workspace(slug);
        let configuration = configuration(workspace.id);
        self.insert_workspace(&workspace).await.unwrap();
        self.insert_configuration(&configuration).await.unwrap();
        configuration
    }
}

/// All records that a scope shows, oldest first.
pub async fn all<R: Listable>(store: &Store, scope: &Scope) -> Vec<R> {
    store.slice(scope, &Query::all(WORKSPACES.order), None, 1000).await.unwrap().items
}

async fn connect(database: &TestDatabase) -> Store {
    Store::connect(database.url(), 10).await.unwrap()
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

/// A moment, `micros` after a fixed one.
pub fn at(micros: i64) -> Timestamp {
    Utc.timestamp_micros(1_767_225_600_000_000 + micros).unwrap()
}

pub fn workspace(slug: &str) -> Workspace {
    Workspace {
        id: WorkspaceId::generate(),
        name: "Acme".into(),
        slug: slug.into(),
        created_at: at(1),
        is_default: false,
    }
}

pub fn configuration(workspace_id: WorkspaceId) -> Configuration {
    Configuration {
        id: ConfigurationId::generate(),
        workspace_id,
        display_name: "Members".into(),
        status: ConfigurationStatus::Draft,
        content_digest: "sha256:00".into(),
        package: None,
        active_build_id: None,
        created_at: at(2),
        updated_at: at(3),
        published_at: None,
        activated_at: None,
    }
}

pub fn document(workspace_id: WorkspaceId) -> Document {
    Document {
        id: DocumentId::generate(),
        workspace_id,
        name: "../Mitglieder ä.xlsx".into(),
        content_type: "application/octet-stream".into(),
        byte_size: 5_000_000_000,
        sha256: "ab".repeat(32),
        metadata: json!({"source": "mail", "tags": ["a", null]}),
        tags: vec!["'; DROP TABLE documents; --".into(), "a".into()],
        expires_at: None,
        created_at: at(4),
        updated_at: at(4),
        last_run: None,
    }
}

pub fn run(of: &Configuration) -> Run {
    Run::queued((of.workspace_id, of.id), RunOptions::default(), NodeId::generate(), at(5))
}

pub fn build(of: &Configuration) -> Build {
    Build {
        id: BuildId::generate(),
        workspace_id: of.workspace_id,
        configuration_id: of.id,
        reason: BuildReason::Manual,
        inputs: BuildInputs {
            fingerprint: "f1".into(),
            content_digest: "sha256:00".into(),
            engine_spec: "builtin".into(),
            engine_version_hint: None,
            python_interpreter: "/usr/bin/python3".into(),
        },
        reused_build_id: None,
        node_id: NodeId::generate(),
        created_at: at(6),
        venv_present: false,
        log_degraded: false,
        durable_bytes: None,
        log_state: Default::default(),
        last_sequence: 0,
        state: BuildState::default(),
    }
}

pub fn work_scope(scope_id: &str) -> WorkScope {
    WorkScope { scope_type: "project".into(), scope_id: scope_id.into() }
}

pub fn chain(workspace_id: WorkspaceId, document_type: &str) -> Chain {
    Chain { workspace_id, scope: work_scope("42"), document_type: document_type.into() }
}

pub fn draft(number: i64) -> DocumentDraft {
    DocumentDraft {
        title: "Plan".into(),
        status: DocumentStatus::Draft,
        summary: None,
        content: json!({"number": number}),
        created_by: "somebody".into(),
        created_at: at(number),
    }
}

pub fn workflow(workflow_id: &str) -> NewWorkflow {
    NewWorkflow {
        workflow_id: workflow_id.into(),
        name: "Strategy".into(),
        description: "From a brief to a plan".into(),
        step_count: 3,
        definition: json!({"workflow_id": workflow_id, "steps": [{}, {}, {}]}),
    }
}

pub fn execution(workspace_id: WorkspaceId, workflow_id: &str) -> Execution {
    Execution {
        id: ExecutionId::generate(),
        workspace_id,
        workflow_id: workflow_id.into(),
        revision: 1,
        scope: work_scope("42"),
        input: None,
        retry_of_execution_id: None,
        created_by: "somebody".into(),
        node_id: NodeId::generate(),
        created_at: at(7),
        log_degraded: false,
        durable_bytes: None,
        log_state: Default::default(),
        last_sequence: 0,
        state: ExecutionState::default(),
    }
}

pub fn llm_call(of: &Execution) -> LlmCall {
    LlmCall {
        id: CallId::generate(),
        workspace_id: of.workspace_id,
        execution_id: of.id,
        workflow_id: of.workflow_id.clone(),
        scope: of.scope.clone(),
        step_id: "draft".into(),
        item: None,
        attempt: 1,
        provider: "builtin".into(),
        model: "small".into(),
        tokens: Tokens { input: 1000, output: 200, cache_read: 30, cache_write: 4 },
        latency_ms: 120,
        cost: Some(MicroUsd(250)),
        status: CallStatus::Succeeded,
        error_type: None,
        started_at: at(8),
        completed_at: at(9),
    }
}
