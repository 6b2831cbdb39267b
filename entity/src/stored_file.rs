use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "stored_files")]
pub struct Model {
    /// Below a data directory.
    #[sea_orm(primary_key, auto_increment = false)]
    pub path: String,
    pub workspace_id: String,
    pub bytes: i64,
    pub sha256: String,
    /// A data directory.
    pub uploaded_by: String,
    pub state: String,
    pub changed_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
