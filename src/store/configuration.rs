//! Configurations of a workspace.

use entity::configuration::{ActiveModel, Column, Entity, Model};
use entity::workspace;
use sea_orm::sea_query::{Condition, Expr};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set, UpdateMany};

use super::cells::{Cells, storable};
use super::listable::Listable;
use super::listable::{Source, columns};
use super::{AddInputError, Store, StoreError, deletion, stored_file};
use crate::domain::configuration::{Configuration, ConfigurationStatus};
use crate::domain::principal::Scope;
use crate::domain::time::{Timestamp, micros};
use crate::domain::{BuildId, ConfigurationId, WorkspaceId};

impl Store {
    /// Only while its workspace is there, which is then not deleted without it.
    pub async fn insert_configuration(&self, configuration: &Configuration) -> Result<(), AddInputError> {
        self.insert_packed(configuration, None).await
    }

    /// As [`Store::insert_configuration`], of one whose archive was on its way into the object store, at this path, and is there.
    pub async fn insert_stored_configuration(
        &self,
        configuration: &Configuration,
        archive: &str,
    ) -> Result<(), AddInputError> {
        self.insert_packed(configuration, Some(archive)).await
    }

    async fn insert_packed(&self, configuration: &Configuration, archive: Option<&str>) -> Result<(), AddInputError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        if !deletion::hold_workspace(&transaction, configuration.workspace_id).await? {
            transaction.rollback().await?;
            return Err(AddInputError::WorkspaceGone);
        }
        Entity::insert(storable(row(configuration))).exec_without_returning(&transaction).await?;
        if let Some(archive) = archive {
            stored_file::confirm(&transaction, archive, configuration.created_at).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Another archive has the files from now on, and the one before is to go. False, and no change, when the row does not say any
    /// more what `known` says of its files and whether they may be changed: somebody else was first.
    pub async fn exchange_package(
        &self,
        known: &Configuration,
        next: &NextPackage<'_>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        let change = ActiveModel {
            content_digest: Set(next.content_digest.to_owned()),
            package: Set(Some(next.name.to_owned())),
            updated_at: Set(micros(at)),
            ..ActiveModel::default()
        };
        let update = update(known.workspace_id, known.id).filter(as_known(known)).set(change);
        if update.exec(&transaction).await?.rows_affected == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        stored_file::confirm(&transaction, next.path, at).await?;
        if let Some(before) = &known.package {
            stored_file::dismiss(&transaction, &known.package_path(before).to_string_lossy(), at).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Configurations of whose files as they are the object store has no archive, in the order of their ids, behind the one that is
    /// named.
    pub async fn configurations_to_pack(
        &self,
        after: Option<ConfigurationId>,
        limit: u64,
    ) -> Result<Vec<Configuration>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let of_other_content = Expr::cust("substr(package, 1, 64) <> substr(content_digest, 8)");
        let unpacked = Condition::any().add(Column::Package.is_null()).add(of_other_content);
        let select = Entity::find().filter(unpacked).filter(Column::DeletedAt.is_null()).filter(Column::Id.gt(after));
        select.order_by_asc(Column::Id).limit(limit).all(self.read()).await?.into_iter().map(record).collect()
    }

    pub async fn find_configuration(
        &self,
        scope: &Scope,
        id: ConfigurationId,
    ) -> Result<Option<Configuration>, StoreError> {
        self.find_row(scope, id).await
    }

    /// New runs use this build. False when there is no such configuration.
    pub async fn set_active_build(
        &self,
        workspace_id: WorkspaceId,
        id: ConfigurationId,
        build_id: BuildId,
    ) -> Result<bool, StoreError> {
        let change = ActiveModel { active_build_id: Set(Some(build_id.to_string())), ..ActiveModel::default() };
        self.change::<Configuration>(workspace_id, id, change, Condition::all()).await
    }

    /// The stored files have changed. False when there is no such configuration.
    pub async fn set_content(
        &self,
        workspace_id: WorkspaceId,
        id: ConfigurationId,
        content_digest: &str,
        updated_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let change = ActiveModel {
            content_digest: Set(content_digest.to_owned()),
            updated_at: Set(micros(updated_at)),
            ..ActiveModel::default()
        };
        self.change::<Configuration>(workspace_id, id, change, Condition::all()).await
    }

    /// False when there is no such configuration.
    pub async fn name_configuration(
        &self,
        workspace_id: WorkspaceId,
        id: ConfigurationId,
        display_name: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let change = ActiveModel {
            display_name: Set(display_name.to_owned()),
            updated_at: Set(micros(at)),
            ..ActiveModel::default()
        };
        self.change::<Configuration>(workspace_id, id, change, Column::DeletedAt.is_null().into()).await
    }

    /// A draft is not edited any more. False, and no change, when it is no draft, or has other files than those of this archive.
    pub async fn publish(
        &self,
        workspace_id: WorkspaceId,
        id: ConfigurationId,
        package: Option<&str>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let change =
            ActiveModel { published_at: Set(Some(micros(at))), updated_at: Set(micros(at)), ..ActiveModel::default() };
        let draft = Column::Status.eq(ConfigurationStatus::Draft.as_str());
        let only = Condition::all().add(draft).add(Column::PublishedAt.is_null()).add(Column::DeletedAt.is_null());
        self.change::<Configuration>(workspace_id, id, change, only.add_option(packed_as(package))).await
    }

    /// Its workspace has no active one any more. False, and no change, when it is not the active one.
    pub async fn deactivate(
        &self,
        workspace_id: WorkspaceId,
        id: ConfigurationId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let change = ActiveModel {
            status: Set(ConfigurationStatus::Inactive.as_str().into()),
            updated_at: Set(micros(at)),
            ..ActiveModel::default()
        };
        let active = Column::Status.eq(ConfigurationStatus::Active.as_str());
        self.change::<Configuration>(workspace_id, id, change, active.into()).await
    }

    /// Makes it the active one of its workspace, and the one before inactive. False, and no change, when there is no
    /// such configuration, or it has other files than those of this archive.
    pub async fn activate(
        &self,
        workspace_id: WorkspaceId,
        id: ConfigurationId,
        package: Option<&str>,
        activated_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        // So that of two at once one waits for the other, rather than both finding the same one active.
        workspace::Entity::find_by_id(workspace_id.to_string()).lock_exclusive().one(&transaction).await?;
        demote_others(workspace_id, id, activated_at).exec(&transaction).await?;
        let change = ActiveModel {
            status: Set(ConfigurationStatus::Active.as_str().into()),
            updated_at: Set(micros(activated_at)),
            activated_at: Set(Some(micros(activated_at))),
            ..ActiveModel::default()
        };
        let only = Condition::all().add(Column::DeletedAt.is_null()).add_option(packed_as(package));
        let updated = update(workspace_id, id).filter(only).set(change).exec(&transaction).await?;
        if updated.rows_affected == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }
}

impl Listable for Configuration {
    type Entity = Entity;

    fn workspace_column() -> Column {
        Column::WorkspaceId
    }

    fn deleted_at() -> Option<Column> {
        Some(Column::DeletedAt)
    }

    fn searched() -> Vec<Source> {
        columns([Column::Id, Column::DisplayName, Column::Status])
    }

    fn record(row: Model) -> Result<Self, StoreError> {
        record(row)
    }
}

/// The archive that is to have the files of a configuration.
#[derive(Debug, Clone, Copy)]
pub struct NextPackage<'a> {
    pub name: &'a str,
    /// Where it is on its way.
    pub path: &'a str,
    pub content_digest: &'a str,
}

fn packed_as(package: Option<&str>) -> Option<Expr> {
    package.map(|name| Column::Package.eq(name))
}

/// The row says of files and status what is known of them.
fn as_known(known: &Configuration) -> Condition {
    let package = match &known.package {
        Some(name) => Column::Package.eq(name.as_str()),
        None => Column::Package.is_null(),
    };
    let published = match known.published_at {
        Some(_) => Column::PublishedAt.is_not_null(),
        None => Column::PublishedAt.is_null(),
    };
    let content = Column::ContentDigest.eq(known.content_digest.as_str());
    let status = Column::Status.eq(stored_status(known.status));
    Condition::all().add(package).add(content).add(status).add(published).add(Column::DeletedAt.is_null())
}

fn update(workspace_id: WorkspaceId, id: ConfigurationId) -> UpdateMany<Entity> {
    let update = Entity::update_many().filter(Column::Id.eq(id.to_string()));
    update.filter(Column::WorkspaceId.eq(workspace_id.to_string()))
}

fn demote_others(workspace_id: WorkspaceId, id: ConfigurationId, now: Timestamp) -> UpdateMany<Entity> {
    let change = ActiveModel {
        status: Set(ConfigurationStatus::Inactive.as_str().into()),
        updated_at: Set(micros(now)),
        ..ActiveModel::default()
    };
    Entity::update_many()
        .set(change)
        .filter(Column::WorkspaceId.eq(workspace_id.to_string()))
        .filter(Column::Status.eq(ConfigurationStatus::Active.as_str()))
        .filter(Column::Id.ne(id.to_string()))
}

/// A draft that has been published is kept as one with the time of that: a program one migration older knows no other
/// word for it.
fn stored_status(status: ConfigurationStatus) -> &'static str {
    match status {
        ConfigurationStatus::Published => ConfigurationStatus::Draft.as_str(),
        other => other.as_str(),
    }
}

fn row(configuration: &Configuration) -> ActiveModel {
    ActiveModel {
        id: Set(configuration.id.to_string()),
        workspace_id: Set(configuration.workspace_id.to_string()),
        display_name: Set(configuration.display_name.clone()),
        status: Set(stored_status(configuration.status).into()),
        content_digest: Set(configuration.content_digest.clone()),
        package: Set(configuration.package.clone()),
        active_build_id: Set(configuration.active_build_id.map(|id| id.to_string())),
        created_at: Set(micros(configuration.created_at)),
        updated_at: Set(micros(configuration.updated_at)),
        activated_at: Set(configuration.activated_at.map(micros)),
        published_at: Set(configuration.published_at.map(micros)),
        deleted_at: Set(None),
        files_removed_at: Set(None),
    }
}

fn record(row: Model) -> Result<Configuration, StoreError> {
    let cells = Cells { table: "configurations", id: &row.id };
    let status = match cells.word("status", ConfigurationStatus::parse, &row.status)? {
        ConfigurationStatus::Draft if row.published_at.is_some() => ConfigurationStatus::Published,
        other => other,
    };
    Ok(Configuration {
        id: cells.id("id", &row.id)?,
        workspace_id: cells.id("workspace_id", &row.workspace_id)?,
        status,
        active_build_id: cells.id_option("active_build_id", row.active_build_id.as_deref())?,
        display_name: row.display_name,
        content_digest: row.content_digest,
        package: row.package,
        created_at: row.created_at,
        updated_at: row.updated_at,
        published_at: row.published_at,
        activated_at: row.activated_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{TestStore, all, at, configuration};

    async fn statuses(store: &Store, workspace_id: WorkspaceId) -> Vec<ConfigurationStatus> {
        let of = Scope::Only(vec![workspace_id]);
        all::<Configuration>(store, &of).await.iter().map(|found| found.status).collect()
    }

    #[tokio::test]
    async fn a_configuration_comes_back_whole() {
        let (store, sparse) = TestStore::furnished().await;
        let full = Configuration {
            status: ConfigurationStatus::Active,
            active_build_id: Some(BuildId::generate()),
            created_at: at(10),
            activated_at: Some(at(11)),
            ..configuration(sparse.workspace_id)
        };
        store.insert_configuration(&full).await.unwrap();
        let only = Scope::Only(vec![sparse.workspace_id]);
        assert_eq!(store.find_configuration(&only, sparse.id).await.unwrap(), Some(sparse.clone()));
        assert_eq!(store.find_configuration(&Scope::All, full.id).await.unwrap(), Some(full.clone()));
        assert_eq!(all::<Configuration>(&store, &only).await, [sparse, full]);
    }

    #[tokio::test]
    async fn a_foreign_configuration_is_neither_seen_nor_changed() {
        let (store, own) = TestStore::furnished().await;
        let foreign = store.furnish("other").await;
        let scope = Scope::Only(vec![foreign.workspace_id]);
        assert_eq!(store.find_configuration(&scope, own.id).await.unwrap(), None);
        let of = foreign.workspace_id;
        assert!(!store.set_active_build(of, own.id, BuildId::generate()).await.unwrap());
        assert!(!store.set_content(of, own.id, "sha256:11", at(20)).await.unwrap());
        store.activate(of, foreign.id, None, at(21)).await.unwrap();
        assert!(!store.activate(of, own.id, None, at(22)).await.unwrap());
        assert_eq!(store.find_configuration(&Scope::All, own.id).await.unwrap(), Some(own));
        assert_eq!(statuses(&store, of).await, [ConfigurationStatus::Active], "the refused one demoted none");
    }

    #[tokio::test]
    async fn one_configuration_of_a_workspace_is_active() {
        let (store, first) = TestStore::furnished().await;
        let second = Configuration { created_at: at(10), ..configuration(first.workspace_id) };
        store.insert_configuration(&second).await.unwrap();
        let elsewhere = store.furnish("other").await;
        store.activate(elsewhere.workspace_id, elsewhere.id, None, at(11)).await.unwrap();

        assert!(store.activate(first.workspace_id, first.id, None, at(12)).await.unwrap());
        assert!(store.activate(first.workspace_id, second.id, None, at(13)).await.unwrap());
        assert!(store.activate(first.workspace_id, second.id, None, at(14)).await.unwrap(), "again");

        use ConfigurationStatus::{Active, Inactive};
        assert_eq!(statuses(&store, first.workspace_id).await, [Inactive, Active]);
        assert_eq!(statuses(&store, elsewhere.workspace_id).await, [Active]);
        let second = store.find_configuration(&Scope::All, second.id).await.unwrap().unwrap();
        assert_eq!((second.activated_at, second.updated_at), (Some(at(14)), at(14)));
    }

    #[tokio::test]
    async fn the_database_itself_refuses_a_second_active_configuration() {
        let (store, first) = TestStore::furnished().await;
        store.activate(first.workspace_id, first.id, None, at(10)).await.unwrap();
        let second = Configuration { status: ConfigurationStatus::Active, ..configuration(first.workspace_id) };
        assert!(store.insert_configuration(&second).await.is_err());
    }

    #[tokio::test]
    async fn content_and_build_change_nothing_else() {
        let (store, before) = TestStore::furnished().await;
        let build_id = BuildId::generate();
        assert!(store.set_content(before.workspace_id, before.id, "sha256:11", at(20)).await.unwrap());
        assert!(store.set_active_build(before.workspace_id, before.id, build_id).await.unwrap());
        let expected = Configuration {
            content_digest: "sha256:11".into(),
            updated_at: at(20),
            active_build_id: Some(build_id),
            ..before.clone()
        };
        assert_eq!(store.find_configuration(&Scope::All, before.id).await.unwrap(), Some(expected));
    }
}
