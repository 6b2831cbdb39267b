use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "builds")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub workspace_id: String,
    pub configuration_id: String,
    pub reason: String,
    pub fingerprint: String,
    pub content_digest: String,
    pub engine_spec: String,
    pub engine_version_hint: Option<String>,
    pub python_interpreter: String,
    pub reused_build_id: Option<String>,
    pub node_id: String,
    pub created_at: DateTimeUtc,
    pub venv_present: bool,
    pub log_degraded: bool,
    pub durable_bytes: Option<i64>,
    pub log_state: String,
    pub last_sequence: i64,
    pub status: String,
    pub engine_version: Option<String>,
    pub python_version: Option<String>,
    pub config_version: Option<String>,
    pub started_at: Option<DateTimeUtc>,
    pub completed_at: Option<DateTimeUtc>,
    pub exit_code: Option<i32>,
    pub summary: Option<String>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
