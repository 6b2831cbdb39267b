//! The tables, one file each, as the database keeps them. No logic: what a row means is decided where rows become
//! records.
//!
//! Ids are text, times are UTC with microseconds, what has no columns of its own is JSON.

pub mod workspace;
pub mod default_workspace;
pub mod configuration;
pub mod document;
pub mod document_tag;
pub mod build;
pub mod run;
pub mod run_document;
pub mod system_setting;
pub mod api_key;
pub mod access_grant;
pub mod member;
pub mod person;
pub mod person_grant;
pub mod idempotency_key;
pub mod feed_origin;
pub mod feed_owner;
pub mod stored_file;
pub mod node;
pub mod workflow;
pub mod workflow_revision;
pub mod workflow_document;
pub mod workflow_document_version;
pub mod execution;
pub mod llm_call;
