//! Input documents of a workspace.

use std::collections::HashMap;

use entity::document::{ActiveModel, Column, Entity, Model};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

use super::cells::{Cells, storable, stored};
use super::listable::Listable;
use super::listable::{Source, columns};
use super::{Store, StoreError};
use crate::domain::configuration::Document;
use crate::domain::principal::Scope;
use crate::domain::time::micros;
use crate::domain::{DocumentId, WorkspaceId};

/// Ids asked for in one statement; databases bound the number of parameters.
const BATCH: usize = 500;

impl Store {
    pub async fn insert_document(&self, document: &Document) -> Result<(), StoreError> {
        Entity::insert(storable(row(document))).exec_without_returning(&*self.write().await).await?;
        Ok(())
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

    fn searched() -> Vec<Source> {
        columns([Column::Id, Column::Name])
    }

    fn record(row: Model) -> Result<Self, StoreError> {
        record(row)
    }
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
        created_at: row.created_at,
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
