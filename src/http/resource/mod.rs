//! What the interface shows: one file per kind of record, every member of the JSON a field of a struct.

pub mod api_key;
pub mod session;
pub mod build;
pub mod configuration;
pub mod configuration_file;
pub mod document;
pub mod execution;
pub mod run;
pub mod telemetry;
pub mod workflow;
pub mod workflow_document;
pub mod workspace;
pub mod member;
pub mod node;

use serde::Serialize;
use utoipa::ToSchema;

/// A record that has a JSON form, as lists show it too.
pub trait AsResource {
    type Resource<'a>: Serialize + ToSchema
    where
        Self: 'a;

    fn as_resource(&self) -> Self::Resource<'_>;
}

/// Where the events of some work are.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventLinks {
    events: String,
    events_stream: String,
    events_download: String,
}

impl EventLinks {
    /// `own` is the path of the work.
    pub fn below(own: &str) -> Self {
        Self {
            events: format!("{own}/events"),
            events_stream: format!("{own}/events/stream"),
            events_download: format!("{own}/events/download"),
        }
    }
}
