//! The service itself, for its operator.

use actix_web::{HttpResponse, web};

use crate::http::auth::Caller;
use crate::http::ports::Maintenance;
use crate::http::problem::Problem;

pub fn mount(config: &mut web::ServiceConfig) {
    config.service(web::resource("/system/maintenance").route(web::post().to(maintenance)));
}

/// Runs a pass now and returns its report.
async fn maintenance(Caller(principal): Caller, port: web::Data<dyn Maintenance>) -> Result<HttpResponse, Problem> {
    tracing::info!(caller = principal.name, "maintenance requested");
    Ok(HttpResponse::Ok().json(port.run_now().await?))
}
