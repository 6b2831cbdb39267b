//! Input documents of a workspace.
//!
//! Law: tags are in the row and as rows of their own, for lists that are asked for them; both are written together.

use std::collections::HashMap;

use entity::document::{ActiveModel, Column, Entity, Model};
use entity::{document_tag, run, run_document, stored_file as stored_file_row};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoSimpleExpr, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Set,
};

use super::cells::{Cells, json, plain, storable, stored};
use super::listable::{Listable, Source, column_source, columns};
use super::{AddInputError, Store, StoreError, deletion, stored_file};
use crate::domain::configuration::{Document, DocumentChange, LastRun};
use crate::domain::list::Field;
use crate::domain::principal::Scope;
use crate::domain::status::RunStatus;
use crate::domain::time::{Timestamp, micros};
use crate::domain::{DocumentId, WorkspaceId};

/// Ids asked for in one statement; databases bound the number of parameters.
const BATCH: usize = 500;

impl Store {
    /// Only while its workspace is there, which is then not deleted without it.
    pub async fn insert_document(&self, document: &Document) -> Result<(), AddInputError> {
        self.insert_with(document, None).await
    }

    /// As [`Store::insert_document`], of one whose file was on its way into the object store, at this path, and is there.
    pub async fn insert_stored_document(&self, document: &Document, file: &str) -> Result<(), AddInputError> {
        self.insert_with(document, Some(file)).await
    }

    async fn insert_with(&self, document: &Document, file: Option<&str>) -> Result<(), AddInputError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        if !deletion::hold_workspace(&transaction, document.workspace_id).await? {
            transaction.rollback().await?;
            return Err(AddInputError::WorkspaceGone);
        }
        Entity::insert(storable(row(document))).exec_without_returning(&transaction).await?;
        insert_tags(&transaction, document.id, &document.tags).await?;
        if let Some(file) = file {
            stored_file::confirm(&transaction, file, document.created_at).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// False when there is no such document.
    pub async fn change_document(
        &self,
        workspace_id: WorkspaceId,
        id: DocumentId,
        change: &DocumentChange,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        let update = Entity::update_many()
            .set(storable(changed(change, at)))
            .filter(Column::Id.eq(id.to_string()))
            .filter(Column::WorkspaceId.eq(workspace_id.to_string()))
            .filter(Column::DeletedAt.is_null());
        let is_there = update.exec(&transaction).await?.rows_affected > 0;
        if let Some(tags) = change.tags.as_ref().filter(|_| is_there) {
            let old = document_tag::Entity::delete_many().filter(document_tag::Column::DocumentId.eq(id.to_string()));
            old.exec(&transaction).await?;
            insert_tags(&transaction, id, tags).await?;
        }
        transaction.commit().await?;
        Ok(is_there)
    }

    /// Looks up what documents tell of their newest runs.
    pub async fn look_up_last_runs(&self, documents: &mut [Document]) -> Result<(), StoreError> {
        for batch in documents.chunks_mut(BATCH) {
            let last = self.last_runs(batch.iter().map(|document| document.id)).await?;
            for document in batch {
                document.last_run = last.get(&document.id).cloned();
            }
        }
        Ok(())
    }

    /// Ids of runs have the order in which they were created.
    async fn last_runs(
        &self,
        ids: impl Iterator<Item = DocumentId>,
    ) -> Result<HashMap<DocumentId, LastRun>, StoreError> {
        use run_document::Column::{DocumentId as Of, RunId};
        let newest = run_document::Entity::find()
            .select_only()
            .column(Of)
            .column_as(RunId.max(), "run_id")
            .filter(Of.is_in(ids.map(|id| id.to_string())))
            .group_by(Of);
        let newest: Vec<(String, String)> = newest.into_tuple().all(self.read()).await?;
        let runs: HashMap<String, LastRun> = self.runs_in_short(newest.iter().map(|(_, run)| run.clone())).await?;
        let mut last = HashMap::new();
        for (document, run) in newest {
            let id = Cells { table: "run_documents", id: &run }.id("document_id", &document)?;
            last.extend(runs.get(&run).map(|run| (id, run.clone())));
        }
        Ok(last)
    }

    async fn runs_in_short(&self, ids: impl Iterator<Item = String>) -> Result<HashMap<String, LastRun>, StoreError> {
        use run::Column::{CompletedAt, CreatedAt, FailureMessage, Id, StartedAt, Status};
        type Row = (String, String, Timestamp, Option<Timestamp>, Option<Timestamp>, Option<String>);
        let select = run::Entity::find().select_only().filter(Id.is_in(ids));
        let select = select.columns([Id, Status, CreatedAt, StartedAt, CompletedAt, FailureMessage]);
        let rows: Vec<Row> = select.into_tuple().all(self.read()).await?;
        let in_short = |(id, status, created, started, completed, message): Row| {
            let cells = Cells { table: "runs", id: &id };
            let status = cells.word("status", RunStatus::parse, &status)?;
            let run_at = completed.or(started).unwrap_or(created);
            Ok((id.clone(), LastRun { run_id: cells.id("id", &id)?, status, run_at, message }))
        };
        rows.into_iter().map(in_short).collect()
    }

    /// Documents of whose files the object store has nothing and is owed nothing, by id, behind the one that is named.
    pub async fn documents_on_disk(&self, after: Option<DocumentId>, limit: u64) -> Result<Vec<Document>, StoreError> {
        use stored_file_row::Column::Path;
        let noted = stored_file_row::Entity::find().select_only().column(Path);
        let noted = noted.filter(Expr::col((stored_file_row::Entity, Path)).eq(Expr::cust(PATH)));
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let select = Entity::find().filter(Column::DeletedAt.is_null()).filter(Column::Id.gt(after));
        let select = select.filter(Expr::exists(noted.into_query()).not()).order_by_asc(Column::Id).limit(limit);
        select.all(self.read()).await?.into_iter().map(record).collect()
    }

    pub async fn find_document(&self, scope: &Scope, id: DocumentId) -> Result<Option<Document>, StoreError> {
        self.find_row(scope, id).await
    }

    /// In the order of `ids`, one for each, repeated ones too; those that are not in the workspace are left out.
    pub async fn find_documents(
        &self,
        workspace_id: WorkspaceId,
        ids: &[DocumentId],
    ) -> Result<Vec<Document>, StoreError> {
        let mut found = HashMap::new();
        for batch in ids.chunks(BATCH) {
            let select = Entity::find()
                .filter(Column::WorkspaceId.eq(workspace_id.to_string()))
                .filter(Column::DeletedAt.is_null())
                .filter(Column::Id.is_in(batch.iter().map(DocumentId::to_string)));
            for row in select.all(self.read()).await? {
                let document = record(row)?;
                found.insert(document.id, document);
            }
        }
        Ok(ids.iter().filter_map(|id| found.get(id).cloned()).collect())
    }
}

impl Listable for Document {
    type Entity = Entity;

    fn workspace_column() -> Column {
        Column::WorkspaceId
    }

    fn deleted_at() -> Option<Column> {
        Some(Column::DeletedAt)
    }

    fn source(field: Field) -> Source {
        match field {
            Field::Status => Source::Column(Expr::cust(STATUS)),
            Field::Tags => tags(),
            plain => column_source::<Self>(plain),
        }
    }

    fn searched() -> Vec<Source> {
        let mut searched = columns([Column::Id, Column::Name]);
        searched.push(tags());
        searched
    }

    fn record(row: Model) -> Result<Self, StoreError> {
        record(row)
    }
}

/// As [`Document::path_of`] makes it.
const PATH: &str = "'workspaces/' || documents.workspace_id || '/documents/' || documents.id";

/// As [`Document::status`] says it, of the newest run.
const STATUS: &str = "COALESCE((SELECT CASE WHEN runs.status = 'succeeded' THEN 'processed' \
    WHEN runs.status IN ('failed', 'cancelled') THEN 'failed' ELSE 'processing' END \
    FROM run_documents INNER JOIN runs ON runs.id = run_documents.run_id \
    WHERE run_documents.document_id = documents.id ORDER BY run_documents.run_id DESC LIMIT 1), 'uploaded')";

fn tags() -> Source {
    let rows = document_tag::Entity::find().select_only().column(document_tag::Column::DocumentId).into_query();
    let value = document_tag::Column::Tag.into_simple_expr();
    Source::Many { owner: Column::Id.into_simple_expr(), rows: Box::new(rows), value }
}

async fn insert_tags(connection: &impl ConnectionTrait, id: DocumentId, tags: &[String]) -> Result<(), DbErr> {
    let rows =
        tags.iter().map(|tag| document_tag::ActiveModel { tag: Set(plain(tag)), document_id: Set(id.to_string()) });
    if !tags.is_empty() {
        document_tag::Entity::insert_many(rows).exec_without_returning(connection).await?;
    }
    Ok(())
}

fn changed(change: &DocumentChange, at: Timestamp) -> ActiveModel {
    let mut columns = ActiveModel { updated_at: Set(Some(micros(at))), ..ActiveModel::default() };
    if let Some(tags) = &change.tags {
        columns.tags = Set(Some(json(tags)));
    }
    if let Some(metadata) = &change.metadata {
        columns.metadata = Set(metadata.clone());
    }
    if let Some(expires_at) = change.expires_at {
        columns.expires_at = Set(expires_at.map(micros));
    }
    columns
}

fn row(document: &Document) -> ActiveModel {
    ActiveModel {
        id: Set(document.id.to_string()),
        workspace_id: Set(document.workspace_id.to_string()),
        name: Set(document.name.clone()),
        content_type: Set(document.content_type.clone()),
        byte_size: Set(stored(document.byte_size)),
        sha256: Set(document.sha256.clone()),
        metadata: Set(document.metadata.clone()),
        created_at: Set(micros(document.created_at)),
        tags: Set(Some(json(&document.tags))),
        expires_at: Set(document.expires_at.map(micros)),
        updated_at: Set(Some(micros(document.updated_at))),
        deleted_at: Set(None),
        files_removed_at: Set(None),
    }
}

fn record(row: Model) -> Result<Document, StoreError> {
    let cells = Cells { table: "documents", id: &row.id };
    Ok(Document {
        id: cells.id("id", &row.id)?,
        workspace_id: cells.id("workspace_id", &row.workspace_id)?,
        byte_size: cells.count("byte_size", row.byte_size)?,
        name: row.name,
        content_type: row.content_type,
        sha256: row.sha256,
        metadata: row.metadata,
        tags: row.tags.map_or(Ok(Vec::new()), |tags| cells.json("tags", tags))?,
        expires_at: row.expires_at,
        created_at: row.created_at,
        updated_at: row.updated_at.unwrap_or(row.created_at),
        last_run: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{TestStore, all, document};
    use serde_json::Value;

    #[tokio::test]
    async fn a_document_comes_back_whole() {
        let (store, configuration) = TestStore::furnished().await;
        let full = document(configuration.workspace_id);
        let sparse = Document { metadata: Value::Null, byte_size: 0, ..document(configuration.workspace_id) };
        for document in [&full, &sparse] {
            store.insert_document(document).await.unwrap();
            assert_eq!(store.find_document(&Scope::All, document.id).await.unwrap().as_ref(), Some(document));
        }
        assert_eq!(all::<Document>(&store, &Scope::All).await.len(), 2);
    }

    #[tokio::test]
    async fn a_foreign_document_is_not_there() {
        let (store, own) = TestStore::furnished().await;
        let foreign = store.furnish("other").await;
        let document = document(own.workspace_id);
        store.insert_document(&document).await.unwrap();
        let scope = Scope::Only(vec![foreign.workspace_id]);
        assert_eq!(store.find_document(&scope, document.id).await.unwrap(), None);
        assert_eq!(all::<Document>(&store, &scope).await, []);
        assert_eq!(store.find_documents(foreign.workspace_id, &[document.id]).await.unwrap(), []);
    }

    #[tokio::test]
    async fn documents_come_in_the_order_asked_for() {
        let (store, configuration) = TestStore::furnished().await;
        let documents = [(); 3].map(|()| document(configuration.workspace_id));
        for document in &documents {
            store.insert_document(document).await.unwrap();
        }
        let [a, b, c] = documents.map(|document| document.id);
        // More than one batch, with one that does not exist between them.
        let mut asked = vec![c, a, DocumentId::generate(), b, c];
        asked.extend(vec![a; BATCH]);
        let found = store.find_documents(configuration.workspace_id, &asked).await.unwrap();
        let ids: Vec<_> = found.iter().map(|document| document.id).collect();
        asked.remove(2);
        assert_eq!(ids, asked);
    }
}
