use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "nodes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub node_id: String,
    pub name: String,
    pub cluster: String,
    pub address: String,
    pub version: String,
    /// A stream.
    pub journal: String,
    pub state: String,
    pub started_at: DateTimeUtc,
    pub seen_at: DateTimeUtc,
    /// Of the process that writes its journal.
    pub epoch: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
