//! The service as its clients see it: black box, over HTTP, one file per resource.

mod support;

mod aliases;
mod build_engines;
mod build_failures;
mod build_pruning;
mod builds;
mod cancel;
mod capacity;
mod configuration_files;
mod configurations;
mod database;
mod default_engine;
mod documents;
mod errors;
mod events;
mod events_filtered;
mod events_live;
mod feed;
mod health;
mod idempotency;
mod limits;
mod lists;
mod llm_telemetry;
mod many_streams;
mod retention;
mod retry;
mod run_options;
mod run_results;
mod runs;
mod safe_mode;
mod shutdown;
mod workflow_documents;
mod workflow_folder;
mod workflows;
mod workspaces;
