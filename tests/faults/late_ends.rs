//! A log that had failed gets its end long after its work had ended: nothing else follows from that end any more.

use actix::Actor;
use ade::domain::BuildId;
use ade::domain::build::{Build, BuildInputs, BuildReason, BuildState};
use ade::domain::configuration::Configuration;
use ade::domain::principal::Scope;
use ade::domain::status::BuildStatus;
use ade::domain::time::micros;
use ade::registry::Services;
use ade::registry::core::Core;
use ade::registry::kinds::build::created;
use ade::registry::launch::open;
use ade::registry::recovery::{Report, complete_logs};
use ade::registry::slots::Registry;

use crate::support::embedded::{configuration, services};
use crate::support::log::Log;

fn active(services: &Services, of: &Configuration) -> Build {
    let now = micros(chrono::Utc::now());
    let inputs = BuildInputs {
        fingerprint: "f".into(),
        content_digest: "sha256:00".into(),
        engine_spec: "builtin".into(),
        engine_version_hint: None,
        python_interpreter: "python3".into(),
    };
    let state = BuildState { status: BuildStatus::Active, completed_at: Some(now), ..BuildState::default() };
    Build {
        id: BuildId::generate(),
        workspace_id: of.workspace_id,
        configuration_id: of.id,
        reason: BuildReason::Manual,
        inputs,
        reused_build_id: None,
        node_id: services.node_id,
        created_at: now,
        venv_present: true,
        log_degraded: false,
        durable_bytes: None,
        log_state: Default::default(),
        last_sequence: 2,
        state,
    }
}

#[actix_web::test]
async fn completing_the_log_of_an_older_build_does_not_replace_the_active_one() {
    let folder = tempfile::tempdir().unwrap();
    let services = services(folder.path()).await;
    let configuration = configuration(&services).await;
    let [older, present] = [(); 2].map(|()| active(&services, &configuration));
    for build in [&older, &present] {
        services.store.insert(build, None).await.unwrap();
    }
    services.store.set_active_build(configuration.workspace_id, configuration.id, present.id).await.unwrap();
    let core = Core::new(services.clone(), Registry::new(services.clone()).start());

    let stream = open(&core, &older).await.unwrap();
    stream.append_one(created(&older)).await.unwrap();
    let bytes = stream.tail().bytes;
    stream.retire().await;
    services.store.set_degraded::<Build>(older.workspace_id, older.id, Some(bytes)).await.unwrap();
    let completing = services.arbiters.run(move || async move {
        let mut report = Report::default();
        complete_logs(&core, &mut report).await.map(|_| report)
    });
    assert_eq!(completing.await.unwrap().logs_completed, 1);

    let resource = serde_json::json!({"id": older.id, "workspace_id": older.workspace_id});
    assert_eq!(Log::read(folder.path(), &resource).assert_ended()["payload"]["status"], "active");
    let found = services.store.find_configuration(&Scope::All, configuration.id).await.unwrap().unwrap();
    assert_eq!(found.active_build_id, Some(present.id));
}
