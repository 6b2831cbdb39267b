//! The switch of safe mode.

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::read::Read as _;
use crate::domain::safe_mode::SafeMode;
use crate::http::auth::{Admin, Viewer};
use crate::http::input::{self, Json};
use crate::http::problem::Problem;
use crate::registry::RegistryHandle;

/// The longest detail, in characters.
const MAX_DETAIL: usize = 500;

pub fn mount(config: &mut web::ServiceConfig) {
    config.service(web::resource("/system/safe-mode").read(show).route(web::put().to(switch)));
}

async fn show(_: Viewer, registry: web::Data<RegistryHandle>) -> HttpResponse {
    HttpResponse::Ok().json(registry.safe_mode())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    enabled: bool,
    detail: Option<String>,
}

async fn switch(
    Admin(principal): Admin,
    registry: web::Data<RegistryHandle>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let Switch { enabled, detail } = body.required()?;
    let detail = detail.map(|detail| detail.trim().to_owned()).filter(|detail| !detail.is_empty());
    input::remark("detail", detail.as_deref(), MAX_DETAIL)?;
    registry.set_safe_mode(principal, SafeMode { enabled, detail }).await?;
    Ok(HttpResponse::Ok().json(registry.safe_mode()))
}
