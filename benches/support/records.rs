//! Rows put where a service finds them, without a service.

use std::path::Path;

use ade::domain::WorkspaceId;
use ade::domain::configuration::{Configuration, Workspace};
use ade::domain::id::NodeId;
use ade::domain::run::{Run, RunOptions};
use ade::domain::time::micros;
use ade::store::Store;
use chrono::Utc;

use super::Outcome;

/// The database of a data folder, with a workspace and a configuration in it.
pub struct Records {
    pub system: actix_web::rt::SystemRunner,
    pub store: Store,
    pub configuration: Configuration,
}

impl Records {
    pub fn open(data: &Path) -> Outcome<Self> {
        let system = actix_web::rt::System::new();
        let url = format!("sqlite://{}", data.join("ade.db").display());
        let created_at = micros(Utc::now());
        let workspace = Workspace {
            id: WorkspaceId::generate(),
            name: "bench".into(),
            slug: "bench".into(),
            created_at,
            is_default: false,
        };
        let configuration = configuration(workspace.id);
        let store = system.block_on(async {
            let store = Store::connect(&url, 1).await?;
            store.migrate().await?;
            store.insert_workspace(&workspace).await?;
            store.insert_configuration(&configuration).await?;
            Outcome::Ok(store)
        })?;
        Ok(Self { system, store, configuration })
    }

    /// A queued run, not yet stored.
    pub fn run(&self) -> Run {
        let Configuration { workspace_id, id, .. } = self.configuration;
        Run::queued((workspace_id, id), RunOptions::default(), NodeId::generate(), micros(Utc::now()))
    }

    pub fn close(self) -> Outcome {
        Ok(self.system.block_on(self.store.close())?)
    }
}

fn configuration(workspace_id: WorkspaceId) -> Configuration {
    let draft = Configuration::draft(workspace_id, "bench", micros(Utc::now()));
    Configuration { content_digest: "sha256:00".into(), ..draft }
}
