//! PLACEHOLDER with the signatures that `ade migrate` needs. To be replaced as a whole.

#[derive(Debug, thiserror::Error)]
#[error("no database in this build")]
pub struct StoreError;

#[derive(Debug, Clone, Default)]
pub struct SchemaStatus {
    pub applied: Vec<String>,
    pub pending: Vec<String>,
    pub unknown: Vec<String>,
}

pub struct Store;

impl Store {
    pub async fn connect(_: &str, _: u32) -> Result<Self, StoreError> {
        Err(StoreError)
    }

    pub async fn migration_status(&self) -> Result<SchemaStatus, StoreError> {
        Err(StoreError)
    }

    pub async fn migrate_up(&self, _: Option<u32>) -> Result<SchemaStatus, StoreError> {
        Err(StoreError)
    }

    pub async fn migrate_down(&self, _: u32) -> Result<SchemaStatus, StoreError> {
        Err(StoreError)
    }

    pub async fn close(&self) -> Result<(), StoreError> {
        Err(StoreError)
    }
}
