//! Whose a piece of work is: the node that does it, or has done it, and has its log.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::cells::Cells;
use super::list::present;
use super::listable::column_of;
use super::rows::{StoredWork, column, statuses};
use super::{Store, StoreError};
use crate::domain::id::NodeId;
use crate::domain::list::Field;
use crate::domain::principal::Scope;
use crate::domain::work::{Work as _, each_kind};
use crate::domain::{StreamId, StreamKey};

/// What is known of a piece of work before it is asked for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    pub key: StreamKey,
    pub by: NodeId,
    /// Its row says all that there will ever be to say.
    pub has_ended: bool,
}

impl Store {
    /// Of a piece of work that the caller may see. A feed is no work, and has no row that says whose it is.
    pub async fn owner(&self, scope: &Scope, id: StreamId) -> Result<Option<Owned>, StoreError> {
        each_kind!(W => if W::KIND == id.kind() {
            return self.owner_of::<W>(scope, id).await;
        });
        Ok(None)
    }

    async fn owner_of<W: StoredWork>(&self, scope: &Scope, id: StreamId) -> Result<Option<Owned>, StoreError> {
        let text = id.to_string();
        let select = W::Entity::find()
            .select_only()
            .columns([W::workspace_column(), column::<W>("node_id"), column_of::<W>(Field::Status)])
            .filter(column_of::<W>(Field::Id).eq(&text))
            .filter(present::<W>(scope));
        let row: Option<(String, String, String)> = select.into_tuple().one(self.read()).await?;
        let Some((workspace_id, node_id, status)) = row else { return Ok(None) };
        let cells = Cells { table: id.kind().facts().collection, id: &text };
        Ok(Some(Owned {
            key: StreamKey::of(cells.id("workspace_id", &workspace_id)?, id),
            by: cells.id("node_id", &node_id)?,
            has_ended: statuses::<W>(true).any(|ended| ended == status),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::WorkspaceId;
    use crate::domain::run::Run;
    use crate::domain::status::RunStatus;
    use crate::store::fixture::{TestStore, execution, run, workflow};

    #[tokio::test]
    async fn whose_work_is_is_known_to_those_who_may_see_it() {
        let (store, configuration) = TestStore::furnished().await;
        let workspace_id = configuration.workspace_id;
        let mut run = run(&configuration);
        store.insert(&run, None).await.unwrap();
        let owned = Owned { key: run.stream_key(), by: run.node_id, has_ended: false };
        let of = async |scope: &Scope, id| store.owner(scope, id).await.unwrap();
        for scope in [Scope::All, Scope::Only(vec![workspace_id])] {
            assert_eq!(of(&scope, run.id.into()).await, Some(owned));
        }
        assert_eq!(of(&Scope::Only(vec![WorkspaceId::generate()]), run.id.into()).await, None);
        assert_eq!(of(&Scope::All, workspace_id.into()).await, None, "a feed");
        run.state.status = RunStatus::Failed;
        assert!(store.save_state::<Run>(workspace_id, run.id, &run.state, 3).await.unwrap());
        assert_eq!(of(&Scope::All, run.id.into()).await, Some(Owned { has_ended: true, ..owned }));

        store.insert_workflow(workspace_id, &workflow("plan"), crate::store::fixture::at(1)).await.unwrap();
        let execution = execution(workspace_id, "plan");
        store.insert(&execution, None).await.unwrap();
        assert_eq!(of(&Scope::All, execution.id.into()).await.unwrap().by, execution.node_id);
    }
}
