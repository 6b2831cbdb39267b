//! The words of the service: ids, stream keys, positions, statuses and the records they make up.
//!
//! Law: a value of these types is valid. Whatever comes from outside is parsed here once, and the
//! rest of the code cannot hold an invalid one. No framework, and no clock or randomness but in [`id`].

pub(crate) mod schema;
pub mod id;
pub mod text;
pub mod json;
pub mod stream_kind;
pub mod stream_key;
pub mod sequence;
pub mod status;
pub mod time;
pub mod failure;
pub mod run;
pub mod run_options;
pub mod build;
pub mod configuration;
pub mod principal;
pub mod access;
pub mod member;
pub mod idempotency;
pub mod safe_mode;
pub mod list;
pub mod maintenance;
pub mod feed;
pub mod stored_file;
pub mod node;
pub mod money;
pub mod precondition;
pub mod workflow;
pub mod workflow_document;
pub mod execution;
pub mod work;
pub mod ledger;
pub mod question;
pub mod call_prompt;
pub mod progress;
#[cfg(any(test, fuzzing))]
pub mod fuzz;

pub use id::{
    BuildId, CallId, ClarificationId, ConfigurationId, DocumentId, EventId, ExecutionId, KeyId, PersonId, RunId,
    WorkspaceId,
};
pub use stream_key::{StreamId, StreamKey};
pub use stream_kind::StreamKind;
