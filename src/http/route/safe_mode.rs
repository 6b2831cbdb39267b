//! The switch of safe mode.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::safe_mode::SafeMode;
use crate::http::auth::{Admin, Viewer};
use crate::http::contract::{self, Routes};
use crate::http::input::{self, Json};
use crate::http::problem::Problem;
use crate::registry::RegistryHandle;

/// The longest detail, in characters.
const MAX_DETAIL: usize = 500;

pub fn mount(routes: &mut Routes) {
    routes.at("/system/safe-mode", |at| {
        at.read(show, |op| op.named("show_safe_mode", "Is new work taken?").answers::<SafeMode>(200, "As it is now."))
            .put(switch, |op| {
                op.named("switch_safe_mode", "Take no new work, or take it again.")
                    .takes::<Switch>()
                    .answers::<SafeMode>(200, "As it is now.")
            })
    });
}

async fn show(_: Viewer, registry: web::Data<RegistryHandle>) -> HttpResponse {
    HttpResponse::Ok().json(registry.safe_mode())
}

#[derive(Deserialize, ToSchema)]
#[schema(as = SafeModeSwitch)]
#[serde(deny_unknown_fields)]
struct Switch {
    enabled: bool,
    /// Why, for those who are refused.
    #[schema(schema_with = contract::remark::<500>)]
    detail: Option<String>,
}

async fn switch(
    Admin(principal): Admin,
    registry: web::Data<RegistryHandle>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let Switch { enabled, detail } = body.required()?;
    let detail = detail.map(|detail| detail.trim_matches(' ').to_owned()).filter(|detail| !detail.trim().is_empty());
    input::remark("detail", detail.as_deref(), MAX_DETAIL)?;
    registry.set_safe_mode(principal, SafeMode { enabled, detail }).await?;
    Ok(HttpResponse::Ok().json(registry.safe_mode()))
}
