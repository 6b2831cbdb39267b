//! Rows put where a service finds them, without a service.

use std::path::Path;

use ade::domain::configuration::{Configuration, ConfigurationStatus, Workspace};
use ade::domain::id::NodeId;
use ade::domain::run::{Run, RunOptions, RunState};
use ade::domain::time::micros;
use ade::domain::{ConfigurationId, RunId, WorkspaceId};
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
        let workspace =
            Workspace { id: WorkspaceId::generate(), name: "bench".into(), slug: "bench".into(), created_at };
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
        Run {
            id: RunId::generate(),
            workspace_id: self.configuration.workspace_id,
            configuration_id: self.configuration.id,
            options: RunOptions::default(),
            attempt: 1,
            retry_of_run_id: None,
            node_id: NodeId::generate(),
            created_at: micros(Utc::now()),
            log_degraded: false,
            durable_bytes: None,
            log_state: Default::default(),
            last_sequence: 0,
            state: RunState::default(),
        }
    }

    pub fn close(self) -> Outcome {
        Ok(self.system.block_on(self.store.close())?)
    }
}

fn configuration(workspace_id: WorkspaceId) -> Configuration {
    let now = micros(Utc::now());
    Configuration {
        id: ConfigurationId::generate(),
        workspace_id,
        display_name: "bench".into(),
        status: ConfigurationStatus::Draft,
        content_digest: "sha256:00".into(),
        active_build_id: None,
        created_at: now,
        updated_at: now,
        activated_at: None,
    }
}
