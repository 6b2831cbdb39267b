//! The service itself, for its operator.

use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::read::Read as _;
use crate::domain::maintenance::MaintenanceState;
use crate::http::auth::Admin;
use crate::http::ports::Maintenance;
use crate::http::problem::{Code, Problem};
use crate::http::query::NoQuery;
use crate::registry::{Observed, RegistryHandle};

pub fn mount(config: &mut web::ServiceConfig) {
    config.service(web::resource("/system/maintenance").route(web::post().to(maintenance)));
    config.service(web::resource("/system/actors").read(actors));
}

/// What is running, and what each actor of the service is doing.
#[derive(Serialize)]
struct SystemResource {
    #[serde(flatten)]
    observed: Observed,
    /// Null when maintenance is gone.
    maintenance: Option<MaintenanceState>,
}

async fn actors(
    Admin(principal): Admin,
    _: NoQuery,
    registry: web::Data<RegistryHandle>,
    port: web::Data<dyn Maintenance>,
) -> Result<HttpResponse, Problem> {
    tracing::debug!(caller = principal.name, "actors observed");
    let observed = registry.observe().await;
    let observed = observed.ok_or_else(|| Problem::new(Code::Draining, "the registry does not answer"))?;
    Ok(HttpResponse::Ok().json(SystemResource { observed, maintenance: port.observe().await }))
}

/// Runs a pass now and returns its report.
async fn maintenance(Admin(principal): Admin, port: web::Data<dyn Maintenance>) -> Result<HttpResponse, Problem> {
    tracing::info!(caller = principal.name, "maintenance requested");
    Ok(HttpResponse::Ok().json(port.run_now().await?))
}
