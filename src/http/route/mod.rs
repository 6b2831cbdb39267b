//! One file per resource: its routes, its handlers, and its JSON beside them.

pub mod health;
pub mod workspaces;
pub mod configurations;
pub mod documents;
pub mod runs;
pub mod run_results;
pub mod builds;
pub mod events;
pub mod system;

use actix_web::web;

use super::paths::API;

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
            .configure(events::mount)
            .configure(system::mount),
    );
}

/// A page of a list.
pub(super) fn page(items: Vec<serde_json::Value>, page: u64, per_page: u64, total: u64) -> serde_json::Value {
    serde_json::json!({
        "items": items, "page": page, "perPage": per_page, "pageCount": total.div_ceil(per_page), "total": total,
    })
}
