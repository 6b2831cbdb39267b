//! The workspace resource.

use serde::Serialize;
use utoipa::ToSchema;

use super::AsResource;
use crate::domain::WorkspaceId;
use crate::domain::configuration::Workspace;
use crate::domain::time;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Workspace)]
pub struct WorkspaceResource<'a> {
    id: WorkspaceId,
    #[schema(pattern = "^ade[.]workspace$")]
    object: &'static str,
    name: &'a str,
    slug: &'a str,
    /// Whether requests of this caller that name no workspace mean it.
    is_default: bool,
    #[schema(format = DateTime)]
    created_at: String,
}

impl AsResource for Workspace {
    type Resource<'a> = WorkspaceResource<'a>;

    fn as_resource(&self) -> WorkspaceResource<'_> {
        WorkspaceResource {
            id: self.id,
            object: "ade.workspace",
            name: &self.name,
            slug: &self.slug,
            is_default: self.is_default,
            created_at: time::format(self.created_at),
        }
    }
}
