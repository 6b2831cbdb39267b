//! The actor of a run panics: the run ends as failed, once, and what it had started is gone.

use std::process::Command;

use actix::Actor;
use ade::domain::failure::RunFailureCode;
use ade::domain::principal::Scope;
use ade::domain::run::{Run, RunOptions};
use ade::domain::status::RunStatus;
use ade::domain::time::micros;
use ade::registry::Services;
use ade::registry::core::Core;
use ade::registry::launch::launch;
use ade::registry::slots::Registry;
use ade::supervision::Gone;
use ade::trace::Origin;
use ade::worker::actor::Panic;

use crate::support::embedded::{configuration, services};
use crate::support::log::Log;
use crate::support::{eventually, process};

#[actix_web::test]
async fn a_run_whose_actor_panics_has_one_end_and_no_processes() {
    let folder = tempfile::tempdir().unwrap();
    let services = services(folder.path()).await;
    let run = stored_run(&services).await;
    let id = run.id.to_string();
    // In another session, as every child of the service is.
    let mut child = Command::new("setsid").args(["sleep", "1000"]).env("ADE_RUN_ID", &id).spawn().unwrap();
    eventually("the process of the run", || (!process::of_run(&id).is_empty()).then_some(()));

    // It waits, so that it cannot end by itself before it panics.
    services.capacity.hold();
    let (core, started) = (Core::new(services.clone(), Registry::new(services.clone()).start()), run.clone());
    let launched = services.arbiters.run(move || async move {
        let place = core.services.capacity.enlist_again(started.workspace_id);
        launch(&core, started, place, None, Origin::default()).await
    });
    let entry = launched.await.unwrap();
    let worker = entry.worker.clone().unwrap();
    assert_eq!(worker.send(|| Panic).await, Err(Gone), "a run is not restarted");
    entry.stream.ended().await;
    entry.settled().await;
    child.wait().unwrap();
    assert!(process::of_run(&id).is_empty());
    let row = services.store.find::<Run>(&Scope::All, run.id).await.unwrap().unwrap();
    assert_eq!(row.state.status, RunStatus::Failed);
    assert_eq!(row.state.failure.unwrap().code, RunFailureCode::OrchestrationError.into());
    let resource = serde_json::json!({"id": run.id, "workspace_id": run.workspace_id});
    let log = Log::read(folder.path(), &resource);
    assert_eq!(log.assert_ended()["payload"]["failure"]["code"], "orchestration_error");
}

async fn stored_run(services: &Services) -> Run {
    let configuration = configuration(services).await;
    let now = micros(chrono::Utc::now());
    let of = (configuration.workspace_id, configuration.id);
    let run = Run::queued(of, RunOptions::default(), services.node_id, now);
    services.store.insert(&run, None).await.unwrap();
    run
}
