use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "people")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// With `subject` unique.
    pub issuer: String,
    pub subject: String,
    pub name: String,
    pub role: String,
    /// Ids; null for all.
    pub workspaces: Option<Json>,
    pub created_at: DateTimeUtc,
    pub signed_in_at: DateTimeUtc,
    pub denied_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
