//! Which files of workspaces an object store has, or is to have.
//!
//! Law: a row changes from the state that its caller has seen, or not at all.

use entity::stored_file::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait as _, QueryFilter, QueryOrder, QuerySelect,
    Set,
};

use super::cells::{Cells, stored};
use super::{Store, StoreError};
use crate::domain::stored_file::{FileState, StoredFile};
use crate::domain::time::{Timestamp, micros};

impl Store {
    /// Notes a file, in whatever state another was at its path.
    pub async fn note_stored_file(&self, file: &StoredFile, at: Timestamp) -> Result<(), StoreError> {
        use Column::{Bytes, ChangedAt, Path, Sha256, State, UploadedBy};
        let changed = [Bytes, Sha256, UploadedBy, State, ChangedAt];
        let or_change = OnConflict::column(Path).update_columns(changed).to_owned();
        let insert = Entity::insert(row(file, at)).on_conflict(or_change);
        insert.exec_without_returning(&*self.write().await).await?;
        Ok(())
    }

    pub async fn stored_file(&self, path: &str) -> Result<Option<StoredFile>, StoreError> {
        Entity::find_by_id(path).one(self.read()).await?.map(record).transpose()
    }

    /// False when it is in none of these states any more.
    pub async fn change_stored_file(
        &self,
        path: &str,
        from: &[FileState],
        to: FileState,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let change = ActiveModel { state: Set(to.as_str().into()), changed_at: Set(micros(at)), ..Default::default() };
        let update = Entity::update_many().set(change).filter(Column::Path.eq(path));
        let update = update.filter(Column::State.is_in(from.iter().map(|state| state.as_str())));
        Ok(update.exec(&*self.write().await).await?.rows_affected > 0)
    }

    pub async fn forget_stored_file(&self, path: &str) -> Result<(), StoreError> {
        Entity::delete_by_id(path).exec(&*self.write().await).await?;
        Ok(())
    }

    /// Those in one of these states, by path, behind the one that is named.
    pub async fn stored_files(
        &self,
        states: &[FileState],
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<StoredFile>, StoreError> {
        let select = Entity::find().filter(Column::State.is_in(states.iter().map(|state| state.as_str())));
        let select = select.filter(Column::Path.gt(after.unwrap_or_default())).order_by_asc(Column::Path).limit(limit);
        select.all(self.read()).await?.into_iter().map(record).collect()
    }

    /// Those that have come into a state since then, by path, behind the one that is named.
    pub async fn stored_files_since(
        &self,
        state: FileState,
        since: Timestamp,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<StoredFile>, StoreError> {
        let select = Entity::find().filter(Column::State.eq(state.as_str())).filter(Column::ChangedAt.gte(since));
        let select = select.filter(Column::Path.gt(after.unwrap_or_default())).order_by_asc(Column::Path).limit(limit);
        select.all(self.read()).await?.into_iter().map(record).collect()
    }

    /// What counts below a directory, at most so many.
    pub async fn stored_files_below(&self, directory: &str, limit: u64) -> Result<Vec<StoredFile>, StoreError> {
        // Between its slash and the character behind it: no name has to be escaped.
        let (from, to) = (format!("{directory}/"), format!("{directory}0"));
        let counted = [FileState::Owed, FileState::Stored].map(FileState::as_str);
        let select = Entity::find().filter(Column::Path.gt(from)).filter(Column::Path.lt(to));
        let select = select.filter(Column::State.is_in(counted)).order_by_asc(Column::Path).limit(limit);
        select.all(self.read()).await?.into_iter().map(record).collect()
    }

    /// Forgets what another data directory was to remove, and has not: it is gone for good, or never was one of this database's.
    pub async fn forget_removals_of_others(&self, owner: &str, before: Timestamp) -> Result<u64, StoreError> {
        let others = Entity::delete_many().filter(Column::State.eq(FileState::Removing.as_str()));
        let others = others.filter(Column::UploadedBy.ne(owner)).filter(Column::ChangedAt.lt(micros(before)));
        Ok(others.exec(&*self.write().await).await?.rows_affected)
    }

    /// How many there are in a state.
    pub async fn count_stored_files(&self, state: FileState) -> Result<u64, StoreError> {
        Ok(Entity::find().filter(Column::State.eq(state.as_str())).count(self.read()).await?)
    }
}

/// So many rows at once: databases bound the number of parameters.
const AT_ONCE: usize = 200;

/// Notes files of which nothing is noted yet.
pub(super) async fn note_new(
    transaction: &DatabaseTransaction,
    files: &[StoredFile],
    at: Timestamp,
) -> Result<(), DbErr> {
    for files in files.chunks(AT_ONCE) {
        let once = OnConflict::column(Column::Path).do_nothing().to_owned();
        let rows = files.iter().map(|file| row(file, at));
        Entity::insert_many(rows).on_conflict(once).exec_without_returning(transaction).await?;
    }
    Ok(())
}

/// What was on its way is led to from now on, when the transaction is committed.
pub(super) async fn confirm(transaction: &DatabaseTransaction, path: &str, at: Timestamp) -> Result<(), DbErr> {
    let (state, changed_at) = (Set(FileState::Stored.as_str().into()), Set(micros(at)));
    let update = Entity::update_many().set(ActiveModel { state, changed_at, ..Default::default() });
    let update = update.filter(Column::Path.eq(path)).filter(Column::State.eq(FileState::Putting.as_str()));
    match update.exec(transaction).await?.rows_affected {
        1 => Ok(()),
        _ => Err(DbErr::RecordNotUpdated),
    }
}

/// Nothing leads to it any more, when the transaction is committed: it is to go.
pub(super) async fn dismiss(transaction: &DatabaseTransaction, path: &str, at: Timestamp) -> Result<(), DbErr> {
    let (state, changed_at) = (Set(FileState::Removing.as_str().into()), Set(micros(at)));
    let update = Entity::update_many().set(ActiveModel { state, changed_at, ..Default::default() });
    update.filter(Column::Path.eq(path)).exec(transaction).await?;
    Ok(())
}

fn row(file: &StoredFile, at: Timestamp) -> ActiveModel {
    ActiveModel {
        path: Set(file.path.clone()),
        workspace_id: Set(file.workspace_id.to_string()),
        bytes: Set(stored(file.bytes)),
        sha256: Set(file.sha256.clone()),
        uploaded_by: Set(file.uploaded_by.clone()),
        state: Set(file.state.as_str().into()),
        changed_at: Set(micros(at)),
    }
}

fn record(row: Model) -> Result<StoredFile, StoreError> {
    let cells = Cells { table: "stored_files", id: &row.path };
    Ok(StoredFile {
        workspace_id: cells.id("workspace_id", &row.workspace_id)?,
        bytes: cells.count("bytes", row.bytes)?,
        state: cells.word("state", FileState::parse, &row.state)?,
        sha256: row.sha256,
        uploaded_by: row.uploaded_by,
        path: row.path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::WorkspaceId;
    use crate::domain::configuration::Document;
    use crate::store::fixture::{TestStore, at, document};

    fn file(of: &Document, state: FileState) -> StoredFile {
        StoredFile {
            path: of.path().to_str().unwrap().to_owned(),
            workspace_id: of.workspace_id,
            bytes: of.byte_size,
            sha256: of.sha256.clone(),
            uploaded_by: ulid::Ulid::generate().to_string(),
            state,
        }
    }

    async fn furnished() -> (TestStore, WorkspaceId) {
        let (store, configuration) = TestStore::furnished().await;
        (store, configuration.workspace_id)
    }

    #[tokio::test]
    async fn a_file_goes_from_the_state_that_was_seen_to_the_next() {
        use FileState::{Owed, Putting, Removing, Stored};
        let (store, of) = furnished().await;
        let owed = file(&document(of), Owed);
        store.note_stored_file(&owed, at(1)).await.unwrap();
        assert_eq!(store.stored_file(&owed.path).await.unwrap().as_ref(), Some(&owed));
        assert!(!store.change_stored_file(&owed.path, &[Putting], Stored, at(2)).await.unwrap());
        assert!(store.change_stored_file(&owed.path, &[Owed], Stored, at(2)).await.unwrap());
        assert!(store.change_stored_file(&owed.path, &[Owed, Stored], Removing, at(3)).await.unwrap());
        let again = StoredFile { uploaded_by: "other".into(), ..owed.clone() };
        store.note_stored_file(&again, at(4)).await.unwrap();
        assert_eq!(store.stored_file(&owed.path).await.unwrap(), Some(again));
        store.forget_stored_file(&owed.path).await.unwrap();
        assert_eq!(store.stored_file(&owed.path).await.unwrap(), None);
    }

    #[tokio::test]
    async fn files_are_found_by_their_state_page_by_page() {
        use FileState::{Owed, Stored};
        let (store, of) = furnished().await;
        let mut files: Vec<_> = [Owed, Stored, Owed].iter().map(|&state| file(&document(of), state)).collect();
        for file in &files {
            store.note_stored_file(file, at(1)).await.unwrap();
        }
        files.retain(|file| file.state == Owed);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        assert_eq!(store.stored_files(&[Owed], None, 1).await.unwrap(), [files[0].clone()]);
        assert_eq!(store.stored_files(&[Owed], Some(&files[0].path), 9).await.unwrap(), [files[1].clone()]);
        assert_eq!(store.count_stored_files(Owed).await.unwrap(), 2);
        assert_eq!(store.count_stored_files(Stored).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_document_and_its_file_come_to_count_together() {
        let (store, of) = furnished().await;
        let (putting, nothing) = (document(of), document(of));
        let file = file(&putting, FileState::Putting);
        store.note_stored_file(&file, at(1)).await.unwrap();
        store.insert_stored_document(&putting, &file.path).await.unwrap();
        assert_eq!(store.stored_file(&file.path).await.unwrap().unwrap().state, FileState::Stored);
        let path = nothing.path();
        assert!(store.insert_stored_document(&nothing, path.to_str().unwrap()).await.is_err(), "it is not there");
        let found = store.find_documents(of, &[putting.id, nothing.id]).await.unwrap();
        assert_eq!(found.iter().map(|document| document.id).collect::<Vec<_>>(), [putting.id]);
    }

    #[tokio::test]
    async fn documents_of_whose_files_nothing_is_noted_are_found() {
        let (store, of) = furnished().await;
        let mut documents = [(); 4].map(|()| document(of));
        documents.sort_by_key(|document| document.id.to_string());
        for document in &documents {
            store.insert_document(document).await.unwrap();
        }
        store.note_stored_file(&file(&documents[1], FileState::Owed), at(1)).await.unwrap();
        store.delete_input(of, crate::store::Deletable::Document(documents[2].id), at(2)).await.unwrap();
        let ids = async |after, limit| {
            let found = store.documents_on_disk(after, limit).await.unwrap();
            found.into_iter().map(|document| document.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(None, 9).await, [documents[0].id, documents[3].id]);
        assert_eq!(ids(Some(documents[0].id), 1).await, [documents[3].id]);
    }
}
