//! One file per resource: its routes, and its handlers; their JSON is in `http::resource`.

mod work;
pub mod contract;
pub mod health;
pub mod metrics;
pub mod api_keys;
pub mod session;
pub mod oidc;
pub mod workspaces;
pub mod members;
pub mod configurations;
pub mod configuration_files;
pub mod documents;
pub mod runs;
pub mod run_results;
pub mod builds;
pub mod executions;
pub mod events;
pub mod safe_mode;
pub mod system;
pub mod audit;
pub mod workflow_documents;
pub mod telemetry;
pub mod workflows;
pub mod console;
pub mod all;
