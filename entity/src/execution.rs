use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "executions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub workspace_id: String,
    pub workflow_id: String,
    pub revision: i64,
    pub scope_type: String,
    pub scope_id: String,
    pub input: Option<Json>,
    pub retry_of_execution_id: Option<String>,
    pub created_by: String,
    pub node_id: String,
    pub created_at: DateTimeUtc,
    pub log_degraded: bool,
    pub durable_bytes: Option<i64>,
    pub log_state: String,
    pub last_sequence: i64,
    pub status: String,
    pub is_active: bool,
    pub current_steps: Json,
    pub pending: Json,
    pub failure: Option<Json>,
    pub totals: Json,
    pub clarification_count: i64,
    pub started_at: Option<DateTimeUtc>,
    pub completed_at: Option<DateTimeUtc>,
    pub duration_ms: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
