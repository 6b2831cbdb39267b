//! Documents of workflows and their versions.
//!
//! Law: a transaction that adds a version holds the row of its document until both are written. So versions are 1, 2, 3 without
//! holes on both databases, and of writers who know the same version one succeeds.

use entity::workflow_document::{self as document, Entity as Documents};
use entity::workflow_document_version::{ActiveModel, Column, Entity, Model};
use sea_orm::entity::prelude::Json;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, Iterable, QueryFilter, QuerySelect, Select, Set, TryIntoModel,
};
use sha2::{Digest, Sha256};

use super::cells::{Cells, plain, storable, storable_json, stored};
use super::list::visible;
use super::listable::Listable;
use super::listable::{Source, columns};
use super::{Store, StoreError};
use crate::domain::precondition::Expected;
use crate::domain::principal::Scope;
use crate::domain::time::micros;
use crate::domain::workflow_document::{
    Chain, DocumentChange, DocumentDraft, DocumentStatus, StepAttempt, WorkScope, WorkflowDocument,
};
use crate::domain::{DocumentId, WorkspaceId};

#[derive(Debug, thiserror::Error)]
pub enum CreateDocumentError {
    #[error("the scope has a document of this type: {id}")]
    Exists { id: DocumentId },
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum ChangeDocumentError {
    #[error("the document does not exist")]
    NotFound,
    #[error("the document is at version {current}")]
    Stale { current: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for CreateDocumentError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl From<DbErr> for ChangeDocumentError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// The first version of a document that is not there yet.
    pub async fn create_workflow_document(
        &self,
        chain: &Chain,
        draft: &DocumentDraft,
    ) -> Result<WorkflowDocument, CreateDocumentError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        let (locked, is_new) = lock_or_make(&transaction, chain, draft).await?;
        if !is_new {
            transaction.rollback().await?;
            return Err(CreateDocumentError::Exists { id: locked.id });
        }
        let created = append(&transaction, &locked, draft, None).await?;
        transaction.commit().await?;
        Ok(created)
    }

    /// The next version of a document that is at the expected one; `workspaces` are the caller's.
    pub async fn change_workflow_document(
        &self,
        workspaces: &Scope,
        id: DocumentId,
        expected: &Expected,
        change: DocumentChange,
    ) -> Result<WorkflowDocument, ChangeDocumentError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        let found = Documents::find_by_id(id.to_string()).filter(visible(workspaces, document::Column::WorkspaceId));
        let Some(row) = found.lock_exclusive().one(&transaction).await? else {
            transaction.rollback().await?;
            return Err(ChangeDocumentError::NotFound);
        };
        let locked = Locked::of(row)?;
        if !expected.is_met_by(&locked.latest) {
            transaction.rollback().await?;
            return Err(ChangeDocumentError::Stale { current: locked.latest });
        }
        let latest = Entity::find_by_id(version_id(id, locked.latest)).one(&transaction).await?;
        let latest = latest.ok_or_else(|| DbErr::RecordNotFound("the latest version of a document".to_owned()))?;
        let draft = change.of(record(latest)?);
        let changed = append(&transaction, &locked, &draft, None).await?;
        transaction.commit().await?;
        Ok(changed)
    }

    /// What an attempt at a step has made: the next version of its document, or the first. However often the attempt is
    /// told, there is one version of it.
    pub async fn store_step_document(
        &self,
        chain: &Chain,
        draft: &DocumentDraft,
        attempt: &StepAttempt,
    ) -> Result<WorkflowDocument, StoreError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        let (locked, _) = lock_or_make(&transaction, chain, draft).await?;
        let before = of_attempt(chain.workspace_id, attempt).one(&transaction).await?;
        let version = match before {
            Some(row) => {
                transaction.rollback().await?;
                return record(row);
            }
            None => append(&transaction, &locked, draft, Some(attempt)).await?,
        };
        transaction.commit().await?;
        Ok(version)
    }

    /// A draft that a person has accepted. False when there is no such version.
    pub async fn activate_workflow_document(
        &self,
        workspace_id: WorkspaceId,
        id: DocumentId,
        version: u64,
    ) -> Result<bool, StoreError> {
        let active = ActiveModel { status: Set(DocumentStatus::Active.as_str().into()), ..ActiveModel::default() };
        let update = Entity::update_many()
            .set(active)
            .filter(Column::Id.eq(version_id(id, version)))
            .filter(Column::WorkspaceId.eq(workspace_id.to_string()));
        Ok(update.exec(&*self.write().await).await?.rows_affected > 0)
    }

    /// What an attempt at a step has made, if it has.
    pub async fn find_step_document(
        &self,
        workspace_id: WorkspaceId,
        attempt: &StepAttempt,
    ) -> Result<Option<WorkflowDocument>, StoreError> {
        of_attempt(workspace_id, attempt).one(self.read()).await?.map(record).transpose()
    }

    /// The latest version, or this one.
    pub async fn find_workflow_document(
        &self,
        workspaces: &Scope,
        id: DocumentId,
        version: Option<u64>,
    ) -> Result<Option<WorkflowDocument>, StoreError> {
        let of_document = Entity::find().filter(Column::DocumentId.eq(id.to_string()));
        let select = match version {
            Some(version) => of_document.filter(Column::Version.eq(stored(version))),
            None => of_document.filter(Column::IsLatest.eq(true)),
        };
        let visible = visible(workspaces, Column::WorkspaceId);
        select.filter(visible).one(self.read()).await?.map(record).transpose()
    }

    /// The latest version of the document of a type in a scope.
    pub async fn latest_workflow_document(&self, chain: &Chain) -> Result<Option<WorkflowDocument>, StoreError> {
        let select = Entity::find()
            .filter(Column::WorkspaceId.eq(chain.workspace_id.to_string()))
            .filter(Column::ScopeType.eq(plain(&chain.scope.scope_type)))
            .filter(Column::ScopeId.eq(plain(&chain.scope.scope_id)))
            .filter(Column::DocumentType.eq(plain(&chain.document_type)))
            .filter(Column::IsLatest.eq(true));
        select.one(self.read()).await?.map(record).transpose()
    }
}

/// A document whose row is held.
struct Locked {
    id: DocumentId,
    chain: Chain,
    latest: u64,
}

impl Locked {
    fn of(row: document::Model) -> Result<Self, StoreError> {
        let cells = Cells { table: "workflow_documents", id: &row.id };
        Ok(Self {
            id: cells.id("id", &row.id)?,
            latest: cells.count("latest_version", row.latest_version)?,
            chain: Chain {
                workspace_id: cells.id("workspace_id", &row.workspace_id)?,
                scope: WorkScope { scope_type: row.scope_type, scope_id: row.scope_id },
                document_type: row.document_type,
            },
        })
    }
}

/// Holds the row of a document, which is made when there is none; whether it was. Of two who make it at once one waits
/// for the other and finds what that one has made.
async fn lock_or_make(
    transaction: &DatabaseTransaction,
    chain: &Chain,
    draft: &DocumentDraft,
) -> Result<(Locked, bool), StoreError> {
    use document::Column::{DocumentType, ScopeId, ScopeType, WorkspaceId};
    let row = document::ActiveModel {
        id: Set(DocumentId::generate().to_string()),
        workspace_id: Set(chain.workspace_id.to_string()),
        scope_type: Set(chain.scope.scope_type.clone()),
        scope_id: Set(chain.scope.scope_id.clone()),
        document_type: Set(chain.document_type.clone()),
        latest_version: Set(0),
        created_at: Set(micros(draft.created_at)),
    };
    let one_each = OnConflict::columns([WorkspaceId, ScopeType, ScopeId, DocumentType]).do_nothing().to_owned();
    let made = Documents::insert(storable(row)).on_conflict(one_each).exec_without_returning(transaction).await?;
    let of_chain = Documents::find()
        .filter(WorkspaceId.eq(chain.workspace_id.to_string()))
        .filter(ScopeType.eq(plain(&chain.scope.scope_type)))
        .filter(ScopeId.eq(plain(&chain.scope.scope_id)))
        .filter(DocumentType.eq(plain(&chain.document_type)));
    let row = of_chain.lock_exclusive().one(transaction).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("a document that was just there".to_owned()))?;
    Ok((Locked::of(row)?, made > 0))
}

/// Writes the version behind the latest one.
async fn append(
    transaction: &DatabaseTransaction,
    locked: &Locked,
    draft: &DocumentDraft,
    attempt: Option<&StepAttempt>,
) -> Result<WorkflowDocument, StoreError> {
    let version = locked.latest + 1;
    let superseded = ActiveModel { is_latest: Set(false), ..ActiveModel::default() };
    let latest = Column::Id.eq(version_id(locked.id, locked.latest));
    Entity::update_many().set(superseded).filter(latest).exec(transaction).await?;
    let counted = document::ActiveModel { latest_version: Set(stored(version)), ..Default::default() };
    let own = document::Column::Id.eq(locked.id.to_string());
    Documents::update_many().set(counted).filter(own).exec(transaction).await?;
    let row = storable(row(locked, version, draft, attempt));
    Entity::insert(row.clone()).exec_without_returning(transaction).await?;
    record(row.try_into_model()?)
}

fn of_attempt(workspace_id: WorkspaceId, attempt: &StepAttempt) -> Select<Entity> {
    Entity::find()
        .filter(Column::ExecutionId.eq(attempt.execution_id.to_string()))
        .filter(Column::StepId.eq(plain(&attempt.step_id)))
        .filter(Column::Item.eq(plain(attempt.item.as_deref().unwrap_or_default())))
        .filter(Column::Attempt.eq(i64::from(attempt.attempt)))
        .filter(Column::WorkspaceId.eq(workspace_id.to_string()))
}

/// As texts these have the order of documents and, within one, of versions.
fn version_id(id: DocumentId, version: u64) -> String {
    format!("{id}.{version:010}")
}

/// Contents are large and no list shows them, so the items have none.
impl Listable for WorkflowDocument {
    type Entity = Entity;

    fn workspace_column() -> Column {
        Column::WorkspaceId
    }

    fn document_id() -> Option<Column> {
        Some(Column::DocumentId)
    }

    fn select() -> Select<Entity> {
        let others = Column::iter().filter(|column| !matches!(column, Column::Content));
        Entity::find().select_only().columns(others).expr_as(Expr::cust("NULL"), "content")
    }

    fn searched() -> Vec<Source> {
        columns([Column::DocumentId, Column::Title, Column::DocumentType, Column::ScopeId])
    }

    fn record(row: Model) -> Result<Self, StoreError> {
        record(row)
    }
}

fn row(locked: &Locked, version: u64, draft: &DocumentDraft, attempt: Option<&StepAttempt>) -> ActiveModel {
    let content = storable_json(draft.content.clone());
    ActiveModel {
        id: Set(version_id(locked.id, version)),
        document_id: Set(locked.id.to_string()),
        version: Set(stored(version)),
        workspace_id: Set(locked.chain.workspace_id.to_string()),
        scope_type: Set(locked.chain.scope.scope_type.clone()),
        scope_id: Set(locked.chain.scope.scope_id.clone()),
        document_type: Set(locked.chain.document_type.clone()),
        is_latest: Set(true),
        title: Set(draft.title.clone()),
        status: Set(draft.status.as_str().into()),
        summary: Set(draft.summary.clone()),
        content_digest: Set(digest(&content)),
        content: Set(Some(content)),
        created_by: Set(draft.created_by.clone()),
        execution_id: Set(attempt.map(|attempt| attempt.execution_id.to_string())),
        step_id: Set(attempt.map(|attempt| attempt.step_id.clone())),
        item: Set(attempt.and_then(|attempt| attempt.item.clone()).unwrap_or_default()),
        attempt: Set(attempt.map(|attempt| attempt.attempt.into())),
        created_at: Set(micros(draft.created_at)),
    }
}

/// Keys are in order: `serde_json` keeps them so.
fn digest(content: &Json) -> String {
    format!("sha256:{:x}", Sha256::digest(content.to_string()))
}

fn record(row: Model) -> Result<WorkflowDocument, StoreError> {
    let cells = Cells { table: "workflow_document_versions", id: &row.id };
    Ok(WorkflowDocument {
        id: cells.id("document_id", &row.document_id)?,
        chain: Chain {
            workspace_id: cells.id("workspace_id", &row.workspace_id)?,
            scope: WorkScope { scope_type: row.scope_type, scope_id: row.scope_id },
            document_type: row.document_type,
        },
        version: cells.count("version", row.version)?,
        is_latest: row.is_latest,
        title: row.title,
        status: cells.word("status", DocumentStatus::parse, &row.status)?,
        summary: row.summary,
        content: row.content.unwrap_or_default(),
        content_digest: row.content_digest,
        created_by: row.created_by,
        made_by: match row.execution_id {
            None => None,
            Some(execution_id) => Some(StepAttempt {
                execution_id: cells.id("execution_id", &execution_id)?,
                step_id: cells.required("step_id", row.step_id)?,
                item: Some(row.item).filter(|item| !item.is_empty()),
                attempt: cells.count("attempt", cells.required("attempt", row.attempt)?)?,
            }),
        },
        created_at: row.created_at,
    })
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use serde_json::json;

    use super::*;
    use crate::domain::ExecutionId;
    use crate::domain::list::{
        Comparison, Field, Filter, Query, Test, Value, WORKFLOW_DOCUMENT_VERSIONS, WORKFLOW_DOCUMENTS, Within,
    };
    use crate::store::fixture::{TestStore, at, chain, draft, work_scope};

    fn attempt(step_id: &str, attempt: u32) -> StepAttempt {
        StepAttempt { execution_id: ExecutionId::generate(), step_id: step_id.into(), item: None, attempt }
    }

    fn change(number: i64) -> DocumentChange {
        DocumentChange {
            title: None,
            status: None,
            summary: None,
            content: Some(json!({"number": number})),
            created_by: "another".into(),
            created_at: at(number),
        }
    }

    async fn versions(store: &Store, id: DocumentId) -> Vec<u64> {
        let within = Within { document_id: Some(id), ..Within::default() };
        let query = Query { within, ..Query::all(WORKFLOW_DOCUMENT_VERSIONS.order) };
        let listed = store.page::<WorkflowDocument>(&Scope::All, &query, 1, 200).await.unwrap();
        listed.items.iter().map(|version| version.version).collect()
    }

    #[tokio::test]
    async fn a_version_comes_back_whole() {
        let (store, own) = TestStore::furnished().await;
        let chain = chain(own.workspace_id, "plan");
        let full = DocumentDraft {
            title: "Plan \u{e4}".into(),
            status: DocumentStatus::Active,
            summary: Some("short".into()),
            content: json!({"b": [1.5, null, {"\u{e4}": "x"}], "a": "\n"}),
            ..draft(1)
        };
        let created = store.create_workflow_document(&chain, &full).await.unwrap();
        let expected = WorkflowDocument {
            id: created.id,
            chain: chain.clone(),
            version: 1,
            is_latest: true,
            title: full.title,
            status: full.status,
            summary: full.summary,
            content: full.content,
            content_digest: digest(&json!({"a": "\n", "b": [1.5, null, {"\u{e4}": "x"}]})),
            created_by: full.created_by,
            made_by: None,
            created_at: at(1),
        };
        assert_eq!(created, expected);
        assert_eq!(store.find_workflow_document(&Scope::All, created.id, None).await.unwrap(), Some(expected.clone()));
        assert_eq!(store.latest_workflow_document(&chain).await.unwrap(), Some(expected));

        let item = StepAttempt { item: Some("7".into()), ..attempt("review", 2) };
        let of_item = Chain { scope: work_scope("42").of_item("review", "7"), ..chain };
        let made = store.store_step_document(&of_item, &draft(2), &item).await.unwrap();
        assert_eq!((made.version, &made.made_by), (1, &Some(item.clone())));
        assert_eq!(store.find_step_document(own.workspace_id, &item).await.unwrap(), Some(made));
        let other = StepAttempt { item: None, ..item };
        assert_eq!(store.find_step_document(own.workspace_id, &other).await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_digest_is_of_what_is_kept_and_not_of_the_order_of_its_keys() {
        let (store, own) = TestStore::furnished().await;
        let mut drafts = [r#"{"a":1,"b":"\u0000"}"#, r#"{ "b":"\ufffd", "a":1 }"#]
            .map(|text| DocumentDraft { content: serde_json::from_str(text).unwrap(), ..draft(1) });
        let mut digests = Vec::new();
        for (draft, kind) in drafts.iter_mut().zip(["one", "other"]) {
            let made = store.create_workflow_document(&chain(own.workspace_id, kind), draft).await.unwrap();
            digests.push(made.content_digest);
        }
        assert_eq!(digests[0], digests[1]);
        assert!(digests[0].starts_with("sha256:") && digests[0].len() == 7 + 64, "{}", digests[0]);
    }

    #[tokio::test]
    async fn a_scope_has_one_document_of_a_type() {
        let (store, own) = TestStore::furnished().await;
        let plan = chain(own.workspace_id, "plan");
        let first = store.create_workflow_document(&plan, &draft(1)).await.unwrap();
        let again = store.create_workflow_document(&plan, &draft(2)).await;
        assert!(matches!(again, Err(CreateDocumentError::Exists { id }) if id == first.id), "{again:?}");
        let elsewhere = store.furnish("other").await.workspace_id;
        for chain in [
            chain(own.workspace_id, "risks"),
            Chain { scope: work_scope("43"), ..plan.clone() },
            Chain { workspace_id: elsewhere, ..plan.clone() },
        ] {
            assert_ne!(store.create_workflow_document(&chain, &draft(3)).await.unwrap().id, first.id);
        }
        assert_eq!(versions(&store, first.id).await, [1]);
    }

    #[tokio::test]
    async fn a_change_makes_the_next_version_and_leaves_the_last_as_it_is() {
        let (store, own) = TestStore::furnished().await;
        let first = store.create_workflow_document(&chain(own.workspace_id, "plan"), &draft(1)).await.unwrap();
        let archived = DocumentChange {
            status: Some(DocumentStatus::Archived),
            summary: Some(Some("done".into())),
            content: None,
            ..change(2)
        };
        let expected = Expected::OneOf(vec![1]);
        let second = store.change_workflow_document(&Scope::All, first.id, &expected, archived).await.unwrap();
        assert_eq!((second.version, &second.content, second.status), (2, &first.content, DocumentStatus::Archived));
        assert_eq!((second.summary.as_deref(), second.created_by.as_str()), (Some("done"), "another"));
        let stale = store.change_workflow_document(&Scope::All, first.id, &expected, change(3)).await;
        assert!(matches!(stale, Err(ChangeDocumentError::Stale { current: 2 })), "{stale:?}");
        let forgets = DocumentChange { summary: Some(None), ..change(3) };
        let third = store.change_workflow_document(&Scope::All, first.id, &Expected::Any, forgets).await.unwrap();
        assert_eq!((third.version, third.summary, third.title.as_str()), (3, None, "Plan"));
        let kept = store.find_workflow_document(&Scope::All, first.id, Some(1)).await.unwrap();
        assert_eq!(kept, Some(WorkflowDocument { is_latest: false, ..first.clone() }));
        assert_eq!(store.find_workflow_document(&Scope::All, first.id, Some(4)).await.unwrap(), None);
        assert_eq!(versions(&store, first.id).await, [3, 2, 1]);
        let nobody = store.change_workflow_document(&Scope::All, DocumentId::generate(), &expected, change(1)).await;
        assert!(matches!(nobody, Err(ChangeDocumentError::NotFound)), "{nobody:?}");
    }

    #[tokio::test]
    async fn a_foreign_document_is_neither_seen_nor_changed() {
        let (store, own) = TestStore::furnished().await;
        let foreign = store.furnish("other").await.workspace_id;
        let document = store.create_workflow_document(&chain(own.workspace_id, "plan"), &draft(1)).await.unwrap();
        let work = attempt("plan", 1);
        store.store_step_document(&chain(own.workspace_id, "plan"), &draft(2), &work).await.unwrap();
        for scope in [Scope::Only(vec![]), Scope::Only(vec![foreign])] {
            for version in [None, Some(1)] {
                assert_eq!(store.find_workflow_document(&scope, document.id, version).await.unwrap(), None);
            }
            let changed = store.change_workflow_document(&scope, document.id, &Expected::Any, change(3)).await;
            assert!(matches!(changed, Err(ChangeDocumentError::NotFound)), "{changed:?}");
            let query = Query::all(WORKFLOW_DOCUMENTS.order);
            assert_eq!(store.page::<WorkflowDocument>(&scope, &query, 1, 50).await.unwrap().total, 0);
        }
        assert_eq!(store.latest_workflow_document(&chain(foreign, "plan")).await.unwrap(), None);
        assert_eq!(store.find_step_document(foreign, &work).await.unwrap(), None);
        assert_eq!(versions(&store, document.id).await, [2, 1]);
    }

    #[tokio::test]
    async fn an_attempt_has_one_version_however_often_it_is_told() {
        let (store, own) = TestStore::furnished().await;
        let chain = chain(own.workspace_id, "plan");
        let work = attempt("plan", 1);
        let first = store.store_step_document(&chain, &draft(1), &work).await.unwrap();
        let retold = store.store_step_document(&chain, &draft(2), &work).await.unwrap();
        assert_eq!(retold, first);
        let next = StepAttempt { attempt: 2, ..work.clone() };
        assert_eq!(store.store_step_document(&chain, &draft(3), &next).await.unwrap().version, 2);
        let retold = store.store_step_document(&chain, &draft(4), &work).await.unwrap();
        assert_eq!(retold, WorkflowDocument { is_latest: false, ..first });
    }

    #[tokio::test]
    async fn a_nul_in_a_name_is_kept_as_a_replacement_and_found_again() {
        let (store, own) = TestStore::furnished().await;
        let scope = work_scope("42").of_item("review", "a\0b");
        let chain = Chain { scope, ..chain(own.workspace_id, "plan") };
        let work = StepAttempt { item: Some("a\0b".into()), ..attempt("review", 1) };
        let made = store.store_step_document(&chain, &draft(1), &work).await.unwrap();
        assert_eq!(store.store_step_document(&chain, &draft(1), &work).await.unwrap(), made);
        assert_eq!(store.latest_workflow_document(&chain).await.unwrap(), Some(made));
    }

    /// Two handles, so that half of the writers do not wait for each other in memory.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn writers_at_once_make_versions_without_holes_and_lose_nothing() {
        let (store, own) = TestStore::furnished().await;
        let other_process = store.another_handle().await;
        let chain = chain(own.workspace_id, "plan");
        let work = attempt("plan", 1);
        let writers = (0..20).map(|n| {
            let store = if n % 2 == 0 { (*store).clone() } else { other_process.clone() };
            // Two of each: an attempt that is reported twice at once.
            let (chain, work) = (chain.clone(), StepAttempt { attempt: n / 2, ..work.clone() });
            tokio::spawn(async move {
                let made = store.store_step_document(&chain, &draft(i64::from(n / 2)), &work).await.unwrap();
                (n / 2, made.id, made.version)
            })
        });
        let mut made: Vec<_> = join_all(writers).await.into_iter().map(Result::unwrap).collect();
        made.sort_unstable();
        made.dedup();
        let mut numbers: Vec<_> = made.iter().map(|(_, _, version)| *version).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=10).collect::<Vec<_>>(), "{made:?}");
        assert!(made.iter().all(|(_, id, _)| *id == made[0].1), "one document");
        for (attempt, id, version) in made {
            let found = store.find_workflow_document(&Scope::All, id, Some(version)).await.unwrap().unwrap();
            assert_eq!(found.content, json!({"number": attempt}));
            assert_eq!(found.is_latest, version == 10);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_writers_who_know_the_same_version_one_succeeds() {
        let (store, own) = TestStore::furnished().await;
        let other_process = store.another_handle().await;
        let first = store.create_workflow_document(&chain(own.workspace_id, "plan"), &draft(1)).await.unwrap();
        for round in 1..=5 {
            let writers = (0..6).map(|n| {
                let store = if n % 2 == 0 { (*store).clone() } else { other_process.clone() };
                tokio::spawn(async move {
                    let expected = Expected::OneOf(vec![round]);
                    match store.change_workflow_document(&Scope::All, first.id, &expected, change(n)).await {
                        Ok(made) => Some((made.version, n)),
                        Err(ChangeDocumentError::Stale { current }) if current == round + 1 => None,
                        Err(error) => panic!("{error:?}"),
                    }
                })
            });
            let made: Vec<_> = join_all(writers).await.into_iter().filter_map(Result::unwrap).collect();
            let [(version, n)] = made[..] else { panic!("{made:?}") };
            assert_eq!(version, round + 1);
            let latest = store.find_workflow_document(&Scope::All, first.id, None).await.unwrap().unwrap();
            assert_eq!((latest.version, latest.content), (version, json!({"number": n})));
        }
        assert_eq!(versions(&store, first.id).await, [6, 5, 4, 3, 2, 1]);
    }

    #[tokio::test]
    async fn lists_are_filtered_and_show_no_content() {
        let (store, own) = TestStore::furnished().await;
        let plan = store.create_workflow_document(&chain(own.workspace_id, "plan"), &draft(1)).await.unwrap();
        store.change_workflow_document(&Scope::All, plan.id, &Expected::Any, change(2)).await.unwrap();
        let work = attempt("risks", 1);
        let elsewhere = Chain { scope: work_scope("43"), ..chain(own.workspace_id, "risks") };
        let risks = store.store_step_document(&elsewhere, &draft(3), &work).await.unwrap();
        let text = |value: &str| Test::Compare(Comparison::Eq, Value::Text(value.into()));
        let flag = |value| Test::Compare(Comparison::Eq, Value::Flag(value));
        for (field, test, expected) in [
            (Field::DocumentType, text("plan"), &[(plan.id, 2), (plan.id, 1)][..]),
            (Field::ScopeId, text("43"), &[(risks.id, 1)]),
            (Field::ScopeType, text("project"), &[(risks.id, 1), (plan.id, 2), (plan.id, 1)]),
            (Field::ScopeType, text("team"), &[]),
            (Field::IsLatest, flag(true), &[(risks.id, 1), (plan.id, 2)]),
            (Field::IsLatest, flag(false), &[(plan.id, 1)]),
            (Field::ExecutionId, text(&work.execution_id.to_string()), &[(risks.id, 1)]),
            (Field::ExecutionId, Test::Empty, &[(plan.id, 2), (plan.id, 1)]),
            (Field::Status, text("draft"), &[(risks.id, 1), (plan.id, 2), (plan.id, 1)]),
        ] {
            let query = Query { filter: Filter::Test(field, test), ..Query::all(WORKFLOW_DOCUMENTS.order) };
            let listed = store.page::<WorkflowDocument>(&Scope::All, &query, 1, 50).await.unwrap();
            let found: Vec<_> = listed.items.iter().map(|item| (item.id, item.version)).collect();
            assert_eq!((found.as_slice(), listed.total as usize), (expected, expected.len()), "{query:?}");
            assert!(listed.items.iter().all(|item| item.content.is_null()));
        }
    }
}
