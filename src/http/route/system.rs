//! The service itself, for its operator.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::maintenance::{MaintenanceReport, MaintenanceState};
use crate::http::auth::Admin;
use crate::http::contract::Routes;
use crate::http::ports::Maintenance;
use crate::http::problem::{Code, Problem};
use crate::http::query::NoQuery;
use crate::http::resource::node::NodeListing;
use crate::registry::{ActorState, Observed, RegistryHandle};

pub fn mount(routes: &mut Routes) {
    routes
        .at("/system/maintenance", |at| {
            at.post(maintenance, |op| {
                op.named("run_maintenance", "Make a round of maintenance now.")
                    .answers::<MaintenanceReport>(200, "What was done.")
                    .refuses(&[Code::Draining])
            })
        })
        .at("/system/actors", |at| {
            at.read(actors, |op| {
                op.named("show_actors", "What is running, and what each actor of the service is doing.")
                    .answers::<SystemResource>(200, "As it is now.")
                    .refuses(&[Code::Draining])
            })
        })
        .at("/system/nodes", |at| {
            at.read(nodes, |op| {
                op.named("list_nodes", "Which nodes share the database, and which of them are at work?")
                    .notes("Without a cluster there is this one.")
                    .answers::<NodeListing>(200, "All of them, the one that was there first first.")
            })
        });
}

/// What is running, and what each actor of the service is doing.
#[derive(Serialize, ToSchema)]
#[schema(as = Actors)]
struct SystemResource {
    #[serde(flatten)]
    #[schema(value_type = Work)]
    observed: Observed,
    /// Null when maintenance is gone.
    maintenance: Option<MaintenanceState>,
}

/// The form of [`Observed`], whose kinds are data.
#[derive(ToSchema)]
#[schema(as = WorkAndActors)]
#[allow(dead_code, reason = "only described")]
struct Work {
    runs: u64,
    builds: u64,
    executions: u64,
    actors: Vec<ActorState>,
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

async fn nodes(_: Admin, _: NoQuery, registry: web::Data<RegistryHandle>) -> Result<HttpResponse, Problem> {
    let nodes = registry.nodes();
    let list = nodes.list(registry.store()).await?;
    Ok(HttpResponse::Ok().json(NodeListing::of(&list.nodes, list.at, nodes.own_id())))
}

/// Runs a pass now and returns its report.
async fn maintenance(Admin(principal): Admin, port: web::Data<dyn Maintenance>) -> Result<HttpResponse, Problem> {
    tracing::info!(caller = principal.name, "maintenance requested");
    Ok(HttpResponse::Ok().json(port.run_now().await?))
}
