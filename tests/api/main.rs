//! The service as its clients see it: black box, over HTTP, one file per resource.

mod support;

mod aliases;
mod builds;
mod cancel;
mod capacity;
mod configuration_files;
mod configurations;
mod default_engine;
mod documents;
mod errors;
mod events;
mod events_filtered;
mod events_live;
mod feed;
mod health;
mod many_streams;
mod retention;
mod run_options;
mod run_results;
mod runs;
mod shutdown;
mod workspaces;
