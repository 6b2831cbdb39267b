//! The configuration resource.

use serde::Serialize;
use utoipa::ToSchema;

use super::AsResource;
use crate::domain::configuration::{Configuration, ConfigurationStatus};
use crate::domain::time;
use crate::domain::{BuildId, ConfigurationId, WorkspaceId};

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Configuration)]
pub struct ConfigurationResource<'a> {
    id: ConfigurationId,
    #[schema(pattern = "^ade[.]configuration$")]
    object: &'static str,
    workspace_id: WorkspaceId,
    display_name: &'a str,
    status: ConfigurationStatus,
    content_digest: &'a str,
    active_build_id: Option<BuildId>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    #[schema(format = DateTime)]
    published_at: Option<String>,
    #[schema(format = DateTime)]
    activated_at: Option<String>,
}

impl AsResource for Configuration {
    type Resource<'a> = ConfigurationResource<'a>;

    fn as_resource(&self) -> ConfigurationResource<'_> {
        ConfigurationResource {
            id: self.id,
            object: "ade.configuration",
            workspace_id: self.workspace_id,
            display_name: &self.display_name,
            status: self.status,
            content_digest: &self.content_digest,
            active_build_id: self.active_build_id,
            created_at: time::format(self.created_at),
            updated_at: time::format(self.updated_at),
            published_at: self.published_at.map(time::format),
            activated_at: self.activated_at.map(time::format),
        }
    }
}
