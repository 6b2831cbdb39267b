//! One file per resource: its routes, and its handlers; their JSON is in `http::resource`.

mod read;
mod work;
pub mod health;
pub mod metrics;
pub mod api_keys;
pub mod session;
pub mod workspaces;
pub mod configurations;
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

use actix_web::web;

use super::paths::API;

/// Every route of the service.
pub fn mount(config: &mut web::ServiceConfig) {
    config.configure(health::mount).configure(metrics::mount).service(
        web::scope(API)
            .configure(api_keys::mount)
            .configure(session::mount)
            .configure(workspaces::mount)
            .configure(configurations::mount)
            .configure(documents::mount)
            .configure(runs::mount)
            .configure(run_results::mount)
            .configure(builds::mount)
            .configure(executions::mount)
            .configure(events::mount)
            .configure(safe_mode::mount)
            .configure(system::mount)
            .configure(audit::mount)
            .configure(workflow_documents::mount)
            .configure(telemetry::mount)
            .configure(workflows::mount),
    );
}
