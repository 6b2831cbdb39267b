//! The build resource.

use serde::Serialize;
use utoipa::ToSchema;

use super::{AsResource, EventLinks};
use crate::domain::build::{Build, BuildError, BuildReason};
use crate::domain::id::NodeId;
use crate::domain::status::BuildStatus;
use crate::domain::time;
use crate::domain::{BuildId, ConfigurationId, WorkspaceId};
use crate::http::paths;

/// The build, as its row has it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Build)]
pub struct BuildResource<'a> {
    id: BuildId,
    #[schema(pattern = "^ade[.]build$")]
    object: &'static str,
    workspace_id: WorkspaceId,
    configuration_id: ConfigurationId,
    status: BuildStatus,
    reason: BuildReason,
    reused_build_id: Option<BuildId>,
    fingerprint: &'a str,
    engine_spec: &'a str,
    engine_version: Option<&'a str>,
    python_version: Option<&'a str>,
    python_interpreter: &'a str,
    content_digest: &'a str,
    config_version: Option<&'a str>,
    venv_present: bool,
    log_degraded: bool,
    last_sequence: u64,
    node_id: NodeId,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    completed_at: Option<String>,
    duration_ms: Option<u64>,
    exit_code: Option<i32>,
    summary: Option<&'a str>,
    error: Option<&'a BuildError>,
    links: BuildLinks,
}

#[derive(Debug, Serialize, ToSchema)]
struct BuildLinks {
    #[serde(rename = "self")]
    own: String,
    #[serde(flatten)]
    events: EventLinks,
    logs: String,
    cancel: String,
}

impl BuildLinks {
    fn of(id: BuildId) -> Self {
        let own = paths::work(id);
        Self { events: EventLinks::below(&own), logs: format!("{own}/logs"), cancel: format!("{own}/cancel"), own }
    }
}

impl AsResource for Build {
    type Resource<'a> = BuildResource<'a>;

    fn as_resource(&self) -> BuildResource<'_> {
        let Self { inputs, state, .. } = self;
        BuildResource {
            id: self.id,
            object: "ade.build",
            workspace_id: self.workspace_id,
            configuration_id: self.configuration_id,
            status: state.status,
            reason: self.reason,
            reused_build_id: self.reused_build_id,
            fingerprint: &inputs.fingerprint,
            engine_spec: &inputs.engine_spec,
            engine_version: state.engine_version.as_deref(),
            python_version: state.python_version.as_deref(),
            python_interpreter: &inputs.python_interpreter,
            content_digest: &inputs.content_digest,
            config_version: state.config_version.as_deref(),
            venv_present: self.venv_present,
            log_degraded: self.log_degraded,
            last_sequence: self.last_sequence,
            node_id: self.node_id,
            created_at: time::format(self.created_at),
            started_at: state.started_at.map(time::format),
            completed_at: state.completed_at.map(time::format),
            duration_ms: state.started_at.zip(state.completed_at).map(|(from, to)| time::duration_ms(from, to)),
            exit_code: state.exit_code,
            summary: state.summary.as_deref(),
            error: state.error.as_ref(),
            links: BuildLinks::of(self.id),
        }
    }
}
