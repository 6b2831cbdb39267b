//! The run resource.

use std::path::PathBuf;

use serde::Serialize;
use utoipa::ToSchema;

use super::{AsResource, EventLinks};
use crate::domain::failure::Label;
use crate::domain::id::NodeId;
use crate::domain::run::{Run, RunMode};
use crate::domain::status::RunStatus;
use crate::domain::time;
use crate::domain::work::Work as _;
use crate::domain::{BuildId, ConfigurationId, DocumentId, RunId, WorkspaceId};
use crate::http::paths;

/// The run, as its row has it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub struct RunResource<'a> {
    id: RunId,
    #[schema(pattern = "^ade[.]run$")]
    object: &'static str,
    workspace_id: WorkspaceId,
    configuration_id: ConfigurationId,
    build_id: Option<BuildId>,
    status: RunStatus,
    mode: RunMode,
    attempt: u32,
    retry_of_run_id: Option<RunId>,
    failure_code: Option<&'a Label>,
    failure_stage: Option<&'a Label>,
    failure_message: Option<&'a str>,
    engine_version: Option<&'a str>,
    config_version: Option<&'a str>,
    env_reason: Option<&'a str>,
    env_reused: Option<bool>,
    log_degraded: bool,
    last_sequence: u64,
    table_count: Option<u64>,
    row_count: Option<u64>,
    max_validation_severity: Option<&'a str>,
    #[schema(value_type = String)]
    events_path: PathBuf,
    output_paths: &'a [String],
    node_id: NodeId,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    completed_at: Option<String>,
    duration_ms: Option<u64>,
    exit_code: Option<i32>,
    input: RunInput<'a>,
    output: RunOutput<'a>,
    links: RunLinks,
}

#[derive(Debug, Serialize, ToSchema)]
struct RunInput<'a> {
    document_ids: &'a [DocumentId],
    input_sheet_names: &'a [String],
    input_file_count: usize,
    input_sheet_count: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RunOutput<'a> {
    has_outputs: bool,
    output_count: usize,
    processed_files: &'a [String],
}

#[derive(Debug, Serialize, ToSchema)]
struct RunLinks {
    #[serde(rename = "self")]
    own: String,
    summary: String,
    #[serde(flatten)]
    events: EventLinks,
    logs: String,
    logfile: String,
    outputs: String,
    diagnostics: String,
    cancel: String,
}

impl RunLinks {
    fn of(id: RunId) -> Self {
        let own = paths::work(id);
        Self {
            summary: format!("{own}/summary"),
            events: EventLinks::below(&own),
            logs: format!("{own}/logs"),
            logfile: format!("{own}/logfile"),
            outputs: format!("{own}/outputs"),
            diagnostics: format!("{own}/diagnostics"),
            cancel: format!("{own}/cancel"),
            own,
        }
    }
}

impl AsResource for Run {
    type Resource<'a> = RunResource<'a>;

    fn as_resource(&self) -> RunResource<'_> {
        let state = &self.state;
        let failure = state.failure.as_ref();
        RunResource {
            id: self.id,
            object: "ade.run",
            workspace_id: self.workspace_id,
            configuration_id: self.configuration_id,
            build_id: state.build_id,
            status: state.status,
            mode: self.options.mode(),
            attempt: self.attempt,
            retry_of_run_id: self.retry_of_run_id,
            failure_code: failure.map(|failure| &failure.code),
            failure_stage: failure.map(|failure| &failure.stage),
            failure_message: failure.map(|failure| failure.message.as_str()),
            engine_version: state.engine_version.as_deref(),
            config_version: state.config_version.as_deref(),
            env_reason: state.env_reason.as_deref(),
            env_reused: state.env_reused,
            log_degraded: self.log_degraded,
            last_sequence: self.last_sequence,
            table_count: state.table_count,
            row_count: state.row_count,
            max_validation_severity: state.max_validation_severity.as_deref(),
            events_path: self.stream_key().log_path(),
            output_paths: &state.output_paths,
            node_id: self.node_id,
            created_at: time::format(self.created_at),
            started_at: state.started_at.map(time::format),
            completed_at: state.completed_at.map(time::format),
            duration_ms: state.started_at.zip(state.completed_at).map(|(from, to)| time::duration_ms(from, to)),
            exit_code: state.exit_code,
            input: RunInput {
                document_ids: &self.options.document_ids,
                input_sheet_names: &self.options.input_sheet_names,
                input_file_count: self.options.document_ids.len(),
                input_sheet_count: state.sheet_count,
            },
            output: RunOutput {
                has_outputs: !state.output_paths.is_empty(),
                output_count: state.output_paths.len(),
                processed_files: &state.processed_files,
            },
            links: RunLinks::of(self.id),
        }
    }
}
