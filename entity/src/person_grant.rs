use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "person_grants")]
pub struct Model {
    /// SHA-256 in hexadecimal.
    #[sea_orm(primary_key, auto_increment = false)]
    pub secret_digest: String,
    pub person_id: String,
    /// Digest of the session that asked for it.
    pub session_digest: Option<String>,
    /// Only this node knows it.
    pub node_id: String,
    /// Of a ticket; null for a session.
    pub stream: Option<String>,
    pub created_at: DateTimeUtc,
    pub used_at: Option<DateTimeUtc>,
    pub expires_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
