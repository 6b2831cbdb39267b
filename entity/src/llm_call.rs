use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "llm_calls")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub workspace_id: String,
    pub execution_id: String,
    pub workflow_id: String,
    pub scope_type: String,
    pub scope_id: String,
    pub step_id: String,
    pub item: Option<String>,
    pub attempt: i64,
    pub provider: String,
    pub model: String,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cache_read_tokens: i64,
    pub cache_write_tokens: i64,
    pub latency_ms: i64,
    pub cost_micro_usd: Option<i64>,
    pub status: String,
    pub error_type: Option<String>,
    pub started_at: DateTimeUtc,
    pub completed_at: DateTimeUtc,
    pub day: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
