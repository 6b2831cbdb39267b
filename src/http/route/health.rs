//! Is the service alive, and can it do its work.

use std::path::Path;

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use crate::http::input::blocking;
use crate::registry::RegistryHandle;

pub fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/").route(web::get().to(index)))
        .service(web::resource("/health/live").route(web::get().to(live)))
        .service(web::resource("/health/ready").route(web::get().to(ready)));
}

async fn index() -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "service": "ade", "version": env!("CARGO_PKG_VERSION"), "api": super::API,
        "health": ["/health/live", "/health/ready"],
    }))
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

async fn ready(registry: web::Data<RegistryHandle>) -> HttpResponse {
    let settings = &registry.services().settings;
    let database = match registry.store().ping().await {
        Ok(()) => component("database", "ok", None),
        Err(error) => {
            tracing::warn!(error = %error, "database does not answer");
            component("database", "unavailable", Some("the database does not answer"))
        }
    };
    let work = match registry.observe().await {
        Some(_) if registry.is_draining() => component("work", "unavailable", Some("the service is stopping")),
        Some(_) => component("work", "ok", None),
        None => component("work", "unavailable", Some("the registry does not answer")),
    };
    let components = [
        database,
        folder("data_dir", &settings.storage.data_dir).await,
        folder("venvs_dir", &settings.build.venvs_dir).await,
        work,
        safe_mode(&registry),
    ];
    let any = |status: &str| components.iter().any(|component| component["status"] == status);
    let status = ["unavailable", "degraded"].into_iter().find(|status| any(status)).unwrap_or("ok");
    let body = json!({ "status": status, "components": components });
    if status == "unavailable" { HttpResponse::ServiceUnavailable().json(body) } else { HttpResponse::Ok().json(body) }
}

/// On purpose: the service answers, and takes no new work.
fn safe_mode(registry: &RegistryHandle) -> Value {
    let safe_mode = registry.safe_mode();
    match safe_mode.enabled {
        true => component("safe_mode", "degraded", Some(safe_mode.reason())),
        false => component("safe_mode", "ok", None),
    }
}

async fn folder(name: &str, path: &Path) -> Value {
    let probe = path.join(format!(".probe-{}", ulid::Ulid::generate()));
    let written = blocking(move || {
        std::fs::write(&probe, b"")?;
        std::fs::remove_file(&probe)
    });
    match written.await {
        Ok(()) => component(name, "ok", None),
        Err(error) => {
            tracing::warn!(folder = %path.display(), error = %error, "folder cannot be written");
            component(name, "unavailable", Some("the folder cannot be written"))
        }
    }
}

fn component(name: &str, status: &str, detail: Option<&str>) -> Value {
    json!({ "name": name, "status": status, "detail": detail })
}
