//! People whom a provider of OpenID Connect signs in, and their sessions and tickets. These have a table of their own, so
//! that an older binary goes on with those of keys.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(people()).await?;
        let mut one_each = Index::create();
        one_each.name("idx_people_identity").table("people").col("issuer").col("subject").unique();
        manager.create_index(one_each).await?;
        manager.create_table(grants()).await?;
        for column in ["person_id", "node_id"] {
            let name = format!("idx_person_grants_{column}");
            manager.create_index(Index::create().name(name).table("person_grants").col(column).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["person_grants", "people"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn people() -> TableCreateStatement {
    Table::create()
        .table("people")
        .col(text("id").primary_key())
        .col(text("issuer"))
        .col(text("subject"))
        .col(text("name"))
        .col(text("role"))
        .col(json_null("workspaces"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("signed_in_at"))
        .col(timestamp_with_time_zone_null("denied_at"))
        .to_owned()
}

fn grants() -> TableCreateStatement {
    Table::create()
        .table("person_grants")
        .col(text("secret_digest").primary_key())
        .col(text("person_id"))
        .col(text_null("session_digest"))
        .col(text("node_id"))
        .col(text_null("stream"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone_null("used_at"))
        .col(timestamp_with_time_zone("expires_at"))
        .foreign_key(ForeignKey::create().from("person_grants", "person_id").to("people", "id"))
        .to_owned()
}
