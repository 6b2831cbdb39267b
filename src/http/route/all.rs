//! Every route of the service.

use actix_web::{App, web};
use serde_json::Value;

use super::{
    api_keys, audit, builds, configuration_files, configurations, contract, documents, events, executions, health,
    members, metrics, oidc, run_results, runs, safe_mode, session, system, telemetry, workflow_documents, workflows,
    workspaces,
};
use crate::http::contract::{Operation, Routes, document};
use crate::http::paths::API;

pub fn mount(config: &mut web::ServiceConfig) {
    mount_and_tell(config, None);
}

/// The document of all routes.
pub fn describe() -> Value {
    let mut operations = Vec::new();
    App::new().configure(|config| mount_and_tell(config, Some(&mut operations)));
    document(operations)
}

fn mount_and_tell(config: &mut web::ServiceConfig, mut operations: Option<&mut Vec<Operation>>) {
    let mut routes = Routes::new(config, operations.as_deref_mut(), "");
    routes.group("system", health::mount).group("system", metrics::mount).group("system", contract::mount_page);
    config.service(web::scope(API).configure(|config| {
        Routes::new(config, operations, API)
            .group("system", health::mount_in_api)
            .group("sign-in", api_keys::mount)
            .group("sign-in", session::mount)
            .group("sign-in", oidc::mount)
            .group("workspaces", workspaces::mount)
            .group("workspaces", members::mount)
            .group("configurations", configurations::mount)
            .group("configurations", configuration_files::mount)
            .group("documents", documents::mount)
            .group("runs", runs::mount)
            .group("runs", run_results::mount)
            .group("builds", builds::mount)
            .group("executions", executions::mount)
            .group("events", events::mount)
            .group("system", safe_mode::mount)
            .group("system", system::mount)
            .group("system", audit::mount)
            .group("workflow documents", workflow_documents::mount)
            .group("telemetry", telemetry::mount)
            .group("workflows", workflows::mount)
            .group("system", contract::mount);
    }));
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn operations() -> Vec<Operation> {
        let mut operations = Vec::new();
        App::new().configure(|config| mount_and_tell(config, Some(&mut operations)));
        operations
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_an_answer() {
        let mut names = BTreeSet::new();
        for operation in operations() {
            let (id, summary) = operation.name();
            assert!(!id.is_empty() && names.insert(id.to_owned()), "{id}: {summary}");
            assert!(summary.ends_with(['.', '?']), "{id}: {summary}");
            assert!(operation.has_answers(), "{id}");
        }
    }

    #[test]
    fn a_schema_has_a_name_of_its_own() {
        let mut schemas = BTreeMap::new();
        for (name, schema) in operations().iter().flat_map(Operation::schemas) {
            let schema = serde_json::json!(schema);
            let first = schemas.entry(name.clone()).or_insert_with(|| schema.clone());
            assert_eq!(*first, schema, "two schemas are called {name}");
        }
    }
}
