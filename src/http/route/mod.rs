//! One file per resource: its routes, its handlers, and its JSON beside them.

pub mod health;
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
pub mod workflow_documents;
pub mod telemetry;
pub mod workflows;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::Value;

use super::paths::API;
use super::problem::Problem;

/// Every route of the service.
pub fn mount(config: &mut web::ServiceConfig) {
    config.configure(health::mount).service(
        web::scope(API)
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
            .configure(workflow_documents::mount)
            .configure(telemetry::mount)
            .configure(workflows::mount),
    );
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CancelBody {
    reason: Option<String>,
}

/// The answer to a cancel: 202 when it took effect, 200 when there was nothing left to do.
fn cancelled(took_effect: bool, resource: Option<Value>, what: &str) -> Result<HttpResponse, Problem> {
    let resource = resource.ok_or_else(|| Problem::not_found(what))?;
    let mut response = if took_effect { HttpResponse::Accepted() } else { HttpResponse::Ok() };
    Ok(response.json(resource))
}
