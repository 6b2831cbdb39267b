//! One file per resource: its routes, its handlers, and its JSON beside them.

pub mod health;
pub mod workspaces;
pub mod configurations;
pub mod documents;
pub mod runs;
pub mod run_results;
pub mod builds;
pub mod events;

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
            .configure(events::mount),
    );
}
