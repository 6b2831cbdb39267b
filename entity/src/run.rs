use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub workspace_id: String,
    pub configuration_id: String,
    pub options: Json,
    pub attempt: i64,
    pub retry_of_run_id: Option<String>,
    pub node_id: String,
    pub created_at: DateTimeUtc,
    pub log_degraded: bool,
    pub durable_bytes: Option<i64>,
    pub log_state: String,
    pub last_sequence: i64,
    pub status: String,
    pub build_id: Option<String>,
    pub failure_code: Option<String>,
    pub failure_stage: Option<String>,
    pub failure_message: Option<String>,
    pub engine_version: Option<String>,
    pub config_version: Option<String>,
    pub env_reason: Option<String>,
    pub env_reused: Option<bool>,
    pub started_at: Option<DateTimeUtc>,
    pub completed_at: Option<DateTimeUtc>,
    pub exit_code: Option<i32>,
    pub table_count: Option<i64>,
    pub row_count: Option<i64>,
    pub sheet_count: Option<i64>,
    pub max_validation_severity: Option<String>,
    pub output_paths: Json,
    pub processed_files: Json,
    pub summary: Option<Json>,
    pub has_output: bool,
    pub outputs_noted_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
