//! Is the service alive, and can it do its work.

use std::path::Path;

use actix_web::{HttpResponse, web};
use chrono::Utc;
use serde::Serialize;
use utoipa::ToSchema;

use crate::blocking::blocking;
use crate::domain::time;
use crate::files::{Dir, free_bytes};
use crate::http::auth::Viewer;
use crate::http::contract::{self, Routes};
use crate::http::paths::API;
use crate::log::JournalState;
use crate::registry::RegistryHandle;

pub fn mount(routes: &mut Routes) {
    routes
        .at("/", |at| {
            at.read(index, |op| {
                op.named("show_service", "What this is.")
                    .notes("Who prefers HTML is given the console.")
                    .answers::<ServiceResource>(200, "The service.")
                    .content(200, "text/html", contract::text(), "The service.")
            })
        })
        .at("/health/live", |at| {
            at.read(live, |op| {
                op.named("show_liveness", "Does the service answer?").answers::<LiveResource>(200, "It does.")
            })
        })
        .at("/health/ready", |at| {
            at.read(ready, |op| {
                op.named("show_readiness", "Can the service do its work?")
                    .notes("What is wrong is told to callers who sign in.")
                    .answers::<ReadyResource>(200, "It can; what is `degraded` will not go well for long.")
                    .answers::<ReadyResource>(503, "It cannot; what is `unavailable` says why.")
            })
        });
}

/// Below the path of the interface, in the words that its first clients know.
pub fn mount_in_api(routes: &mut Routes) {
    routes.at("/health", |at| {
        at.read(health, |op| {
            op.named("show_health", "As `/health/ready`, in other words.")
                .answers::<HealthResource>(200, "It can do its work.")
                .answers::<HealthResource>(503, "It cannot.")
        })
    });
}

async fn index() -> HttpResponse {
    HttpResponse::Ok().json(ServiceResource {
        service: "ade",
        version: env!("CARGO_PKG_VERSION"),
        api: API,
        health: ["/health/live", "/health/ready"],
    })
}

#[derive(Serialize, ToSchema)]
#[schema(as = Service)]
struct ServiceResource {
    service: &'static str,
    version: &'static str,
    api: &'static str,
    health: [&'static str; 2],
}

#[derive(Serialize, ToSchema)]
#[schema(as = Liveness)]
struct LiveResource {
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Readiness)]
struct ReadyResource<'a> {
    #[schema(pattern = "^(ok|degraded|unavailable)$")]
    status: &'a str,
    components: &'a [ComponentResource],
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Component)]
struct ComponentResource {
    name: &'static str,
    #[schema(pattern = "^(ok|available|degraded|unavailable)$")]
    status: &'static str,
    detail: Option<String>,
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(LiveResource { status: "ok" })
}

/// What is wrong is told to who is let in; whether something is, to everybody.
async fn ready(caller: Option<Viewer>, registry: web::Data<RegistryHandle>) -> HttpResponse {
    let components = components(caller.is_some(), &registry).await;
    let status = worst(&components);
    answer(status, ReadyResource { status, components: &components })
}

#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthResource {
    #[schema(pattern = "^(ok|error)$")]
    status: &'static str,
    #[schema(format = DateTime)]
    timestamp: String,
    components: Vec<ComponentResource>,
}

/// As `/health/ready`, in other words.
async fn health(caller: Option<Viewer>, registry: web::Data<RegistryHandle>) -> HttpResponse {
    let mut components = components(caller.is_some(), &registry).await;
    let status = worst(&components);
    for component in components.iter_mut().filter(|component| component.status == "ok") {
        component.status = "available";
    }
    let told = if status == "unavailable" { "error" } else { "ok" };
    answer(status, HealthResource { status: told, timestamp: time::format(time::micros(Utc::now())), components })
}

fn worst(components: &[ComponentResource]) -> &'static str {
    let any = |status: &str| components.iter().any(|component| component.status == status);
    ["unavailable", "degraded"].into_iter().find(|status| any(status)).unwrap_or("ok")
}

fn answer(status: &str, body: impl Serialize) -> HttpResponse {
    if status == "unavailable" { HttpResponse::ServiceUnavailable().json(body) } else { HttpResponse::Ok().json(body) }
}

async fn components(is_let_in: bool, registry: &RegistryHandle) -> Vec<ComponentResource> {
    let settings = registry.settings();
    let database = match registry.store().ping().await {
        Ok(()) => component("database", "ok", None),
        Err(error) => {
            tracing::warn!(error = %error, "database does not answer");
            component("database", "unavailable", Some("the database does not answer"))
        }
    };
    let work = match registry.is_responsive().await {
        true if registry.is_draining() => component("work", "unavailable", Some("the service is stopping")),
        true => component("work", "ok", None),
        false => component("work", "unavailable", Some("the registry does not answer")),
    };
    let mut components = vec![
        database,
        directory("data_dir", &settings.storage.data_dir, settings.storage.disk_min_free).await,
        directory("venvs_dir", &settings.build.venvs_dir, settings.storage.disk_min_free).await,
        work,
        safe_mode(registry),
    ];
    components.extend(journal(registry.journal_state()));
    if !is_let_in {
        components.iter_mut().for_each(|component| component.detail = None);
    }
    components
}

/// Only of one that other machines keep: one on this disk is part of the data directory.
fn journal(state: JournalState) -> Option<ComponentResource> {
    let is_replicated = state.is_replicated;
    let found = match state.trouble() {
        Some(why) => component("journal", "unavailable", Some(&why)),
        None => component("journal", "ok", None),
    };
    is_replicated.then_some(found)
}

/// On purpose: the service answers, and takes no new work.
fn safe_mode(registry: &RegistryHandle) -> ComponentResource {
    let safe_mode = registry.safe_mode();
    match safe_mode.enabled {
        true => component("safe_mode", "degraded", Some(safe_mode.reason())),
        false => component("safe_mode", "ok", None),
    }
}

async fn directory(name: &'static str, path: &Path, min_free: u64) -> ComponentResource {
    let directory = path.to_owned();
    let free = blocking(move || {
        Dir::root(&directory)?.probe()?;
        free_bytes(&directory)
    });
    match free.await {
        Ok(free) => room(name, free, min_free),
        Err(error) => {
            tracing::warn!(directory = %path.display(), error = %error, "directory cannot be written");
            component(name, "unavailable", Some("the directory cannot be written"))
        }
    }
}

/// What no log can go on with: a segment of the journal and the files beside it.
const NO_ROOM: u64 = 16 << 20;

fn room(name: &'static str, free: u64, min_free: u64) -> ComponentResource {
    let detail = format!("{} MiB are free on its disk", free >> 20);
    match free {
        ..NO_ROOM => component(name, "unavailable", Some(&detail)),
        _ if free < min_free => component(name, "degraded", Some(&detail)),
        _ => component(name, "ok", None),
    }
}

fn component(name: &'static str, status: &'static str, detail: Option<&str>) -> ComponentResource {
    ComponentResource { name, status, detail: detail.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fills_up_is_told_before_it_is_full() {
        let status = |free| room("data_dir", free, 256 << 20).status;
        let found = [u64::MAX, 256 << 20, (256 << 20) - 1, 16 << 20, (16 << 20) - 1, 0].map(status);
        assert_eq!(found, ["ok", "ok", "degraded", "degraded", "unavailable", "unavailable"]);
    }
}
