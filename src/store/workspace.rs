//! Workspaces.

use entity::default_workspace;
use entity::workspace::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, Set, SqlErr};

use super::cells::{Cells, plain, storable};
use super::list::visible;
use super::listable::Listable;
use super::listable::{Source, columns};
use super::{Store, StoreError};
use crate::domain::WorkspaceId;
use crate::domain::configuration::Workspace;
use crate::domain::principal::Scope;
use crate::domain::time::{Timestamp, micros};

#[derive(Debug, thiserror::Error)]
pub enum InsertWorkspaceError {
    #[error("another workspace has this slug")]
    SlugTaken,
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum ChangeWorkspaceError {
    #[error("there is no such workspace")]
    NotFound,
    #[error("another workspace has this slug")]
    SlugTaken,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A document or a configuration was not stored.
#[derive(Debug, thiserror::Error)]
pub enum AddInputError {
    #[error("the workspace does not exist any more")]
    WorkspaceGone,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for AddInputError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

fn is_taken(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(of)) if of.contains("slug"))
}

impl Store {
    pub async fn insert_workspace(&self, workspace: &Workspace) -> Result<(), InsertWorkspaceError> {
        let inserted = Entity::insert(storable(row(workspace))).exec_without_returning(&*self.write().await).await;
        match inserted {
            Ok(_) => Ok(()),
            Err(error) if is_taken(&error) => Err(InsertWorkspaceError::SlugTaken),
            Err(error) => Err(StoreError::from(error).into()),
        }
    }

    /// Gives a workspace another name or slug; what is left out stays as it is.
    pub async fn change_workspace(
        &self,
        id: WorkspaceId,
        name: Option<String>,
        slug: Option<String>,
    ) -> Result<(), ChangeWorkspaceError> {
        let mut change = ActiveModel::default();
        name.into_iter().for_each(|name| change.name = Set(name));
        slug.into_iter().for_each(|slug| change.slug = Set(slug));
        let present = Column::DeletedAt.is_null();
        let update = Entity::update_many().set(storable(change)).filter(Column::Id.eq(id.to_string())).filter(present);
        match update.exec(&*self.write().await).await {
            Ok(updated) if updated.rows_affected > 0 => Ok(()),
            Ok(_) => Err(ChangeWorkspaceError::NotFound),
            Err(error) if is_taken(&error) => Err(ChangeWorkspaceError::SlugTaken),
            Err(error) => Err(StoreError::from(error).into()),
        }
    }

    /// The workspace that a caller has chosen to mean when it names none.
    pub async fn chosen_workspace(&self, scope: &Scope, caller: &str) -> Result<Option<WorkspaceId>, StoreError> {
        let select = default_workspace::Entity::find_by_id(plain(caller))
            .filter(visible(scope, default_workspace::Column::WorkspaceId));
        let Some(row) = select.one(self.read()).await? else { return Ok(None) };
        Cells { table: "default_workspaces", id: &row.caller }.id("workspace_id", &row.workspace_id).map(Some)
    }

    pub async fn choose_workspace(&self, caller: &str, id: WorkspaceId) -> Result<(), StoreError> {
        use default_workspace::{ActiveModel, Column, Entity};
        let row = ActiveModel { caller: Set(plain(caller)), workspace_id: Set(id.to_string()) };
        let or_change = OnConflict::column(Column::Caller).update_column(Column::WorkspaceId).to_owned();
        Entity::insert(row).on_conflict(or_change).exec_without_returning(&*self.write().await).await?;
        Ok(())
    }

    /// The workspace of that slug. Without one it is made, under the same name.
    pub async fn ensure_workspace(&self, slug: &str, at: Timestamp) -> Result<Workspace, StoreError> {
        let found = self.find_workspace_by_slug(&Scope::All, slug).await?;
        if let Some(found) = found {
            return Ok(found);
        }
        let (name, slug) = (slug.to_owned(), slug.to_owned());
        let made = Workspace { id: WorkspaceId::generate(), name, slug, created_at: micros(at), is_default: false };
        let one_each = OnConflict::column(Column::Slug).do_nothing().to_owned();
        let insert = Entity::insert(storable(row(&made))).on_conflict(one_each);
        insert.exec_without_returning(&*self.write().await).await?;
        // Another request may have been faster.
        Ok(self.find_workspace_by_slug(&Scope::All, &made.slug).await?.unwrap_or(made))
    }

    pub async fn find_workspace(&self, scope: &Scope, id: WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        self.find_row(scope, id).await
    }

    pub async fn find_workspace_by_slug(&self, scope: &Scope, slug: &str) -> Result<Option<Workspace>, StoreError> {
        let select = Entity::find().filter(Column::Slug.eq(slug)).filter(visible(scope, Column::Id));
        select.one(self.read()).await?.map(record).transpose()
    }
}

impl Listable for Workspace {
    type Entity = Entity;

    fn workspace_column() -> Column {
        Column::Id
    }

    fn searched() -> Vec<Source> {
        columns([Column::Id, Column::Name, Column::Slug])
    }

    fn record(row: Model) -> Result<Self, StoreError> {
        record(row)
    }
}

fn row(workspace: &Workspace) -> ActiveModel {
    ActiveModel {
        id: Set(workspace.id.to_string()),
        name: Set(workspace.name.clone()),
        slug: Set(workspace.slug.clone()),
        created_at: Set(micros(workspace.created_at)),
        deleted_at: Set(None),
    }
}

fn record(row: Model) -> Result<Workspace, StoreError> {
    let cells = Cells { table: "workspaces", id: &row.id };
    let id = cells.id("id", &row.id)?;
    Ok(Workspace { id, name: row.name, slug: row.slug, created_at: row.created_at, is_default: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{TestStore, all, at, workspace};

    #[tokio::test]
    async fn a_workspace_comes_back_by_id_and_by_slug() {
        let store = TestStore::open().await;
        let acme = workspace("acme");
        store.insert_workspace(&acme).await.unwrap();
        let only = Scope::Only(vec![acme.id]);
        assert_eq!(store.find_workspace(&only, acme.id).await.unwrap(), Some(acme.clone()));
        assert_eq!(store.find_workspace_by_slug(&Scope::All, "acme").await.unwrap(), Some(acme.clone()));
        assert_eq!(all::<Workspace>(&store, &only).await, [acme]);
    }

    #[tokio::test]
    async fn a_slug_is_taken_once() {
        let store = TestStore::open().await;
        store.insert_workspace(&workspace("acme")).await.unwrap();
        let again = store.insert_workspace(&workspace("acme")).await;
        assert!(matches!(again, Err(InsertWorkspaceError::SlugTaken)), "{again:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_workspace_that_is_needed_is_made_once() {
        let store = TestStore::open().await;
        let other_process = store.another_handle().await;
        let (one, two) =
            tokio::join!(store.ensure_workspace("local", at(1)), other_process.ensure_workspace("local", at(2)));
        let made = one.unwrap();
        assert_eq!((made.slug.as_str(), made.name.as_str()), ("local", "local"));
        assert_eq!(two.unwrap(), made);
        assert_eq!(store.ensure_workspace("local", at(3)).await.unwrap(), made);
        assert_eq!(all::<Workspace>(&store, &Scope::All).await, [made]);
    }

    #[tokio::test]
    async fn a_repeated_id_is_not_taken_for_a_repeated_slug() {
        let store = TestStore::open().await;
        let first = workspace("acme");
        store.insert_workspace(&first).await.unwrap();
        let again = store.insert_workspace(&Workspace { slug: "other".into(), ..first }).await;
        assert!(matches!(again, Err(InsertWorkspaceError::Store(_))), "{again:?}");
    }

    #[tokio::test]
    async fn a_foreign_workspace_is_not_there() {
        let store = TestStore::open().await;
        let acme = workspace("acme");
        store.insert_workspace(&acme).await.unwrap();
        for scope in [Scope::Only(vec![]), Scope::Only(vec![WorkspaceId::generate()])] {
            assert_eq!(store.find_workspace(&scope, acme.id).await.unwrap(), None);
            assert_eq!(store.find_workspace_by_slug(&scope, "acme").await.unwrap(), None);
            assert_eq!(all::<Workspace>(&store, &scope).await, []);
        }
    }
}
