//! Its table, which a kind of the service's own has from `entity` and `migration`.

use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseTransaction, Schema, Set};

use super::{Probe, ProbeState, ProbeStatus, Then};
use crate::domain::status::LogState;
use crate::domain::time::micros;
use crate::store::cells::{Cells, stored};
use crate::store::listable::{Listable, Source, columns};
use crate::store::{InsertError, StoreError, StoredWork};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "probes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub workspace_id: String,
    pub target: i64,
    pub then: String,
    pub node_id: String,
    pub created_at: DateTimeUtc,
    pub log_degraded: bool,
    pub durable_bytes: Option<i64>,
    pub log_state: String,
    pub last_sequence: i64,
    pub status: String,
    pub counted: i64,
    pub completed_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub async fn create_table(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    let mut create = Schema::new(connection.get_database_backend()).create_table_from_entity(Entity);
    connection.execute(create.if_not_exists()).await.map(drop)
}

impl Listable for Probe {
    type Entity = Entity;

    fn workspace_column() -> Column {
        Column::WorkspaceId
    }

    fn searched() -> Vec<Source> {
        columns([Column::Id])
    }

    fn record(row: Model) -> Result<Self, StoreError> {
        let cells = Cells { table: "probes", id: &row.id };
        Ok(Self {
            id: cells.id("id", &row.id)?,
            workspace_id: cells.id("workspace_id", &row.workspace_id)?,
            target: cells.count("target", row.target)?,
            then: cells.word("then", Then::parse, &row.then)?,
            node_id: cells.id("node_id", &row.node_id)?,
            created_at: row.created_at,
            log_degraded: row.log_degraded,
            durable_bytes: cells.count_option("durable_bytes", row.durable_bytes)?,
            log_state: cells.word("log_state", LogState::parse, &row.log_state)?,
            last_sequence: cells.count("last_sequence", row.last_sequence)?,
            state: ProbeState {
                status: cells.word("status", ProbeStatus::parse, &row.status)?,
                counted: cells.count("counted", row.counted)?,
                completed_at: row.completed_at,
            },
        })
    }
}

impl StoredWork for Probe {
    fn state_columns(state: &ProbeState) -> ActiveModel {
        ActiveModel {
            status: Set(state.status.as_str().into()),
            counted: Set(stored(state.counted)),
            completed_at: Set(state.completed_at.map(micros)),
            ..Default::default()
        }
    }

    async fn insert(&self, transaction: &DatabaseTransaction) -> Result<(), InsertError> {
        let row = ActiveModel {
            id: Set(self.id.to_string()),
            workspace_id: Set(self.workspace_id.to_string()),
            target: Set(stored(self.target)),
            then: Set(self.then.as_str().into()),
            node_id: Set(self.node_id.to_string()),
            created_at: Set(micros(self.created_at)),
            log_degraded: Set(self.log_degraded),
            durable_bytes: Set(self.durable_bytes.map(stored)),
            log_state: Set(self.log_state.as_str().into()),
            last_sequence: Set(stored(self.last_sequence)),
            ..Self::state_columns(&self.state)
        };
        Entity::insert(row).exec_without_returning(transaction).await?;
        Ok(())
    }
}
