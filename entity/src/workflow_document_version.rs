use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "workflow_document_versions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub document_id: String,
    pub version: i64,
    pub workspace_id: String,
    pub scope_type: String,
    pub scope_id: String,
    pub document_type: String,
    pub is_latest: bool,
    pub title: String,
    pub status: String,
    pub summary: Option<String>,
    pub content: Option<Json>,
    pub content_digest: String,
    pub created_by: String,
    pub execution_id: Option<String>,
    pub step_id: Option<String>,
    pub item: String,
    pub attempt: Option<i64>,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
