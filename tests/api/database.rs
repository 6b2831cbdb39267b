//! The service and its database: schemas of other versions, and a database that is away for a while.

use crate::support::{TestApp, json, wait_until};

/// A migration that this program does not know, with a column that it does not ask for.
fn migrate_beyond(app: &TestApp, name: &str) {
    app.change_database(&format!("ALTER TABLE runs ADD COLUMN {name} text"));
    app.change_database(&format!(
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20990101_000001_{name}', 0)"
    ));
}

#[test]
fn a_newer_schema_is_served_so_that_the_program_alone_can_be_rolled_back() {
    let mut app = TestApp::start();
    let project = app.project();
    let before = app.run(&project, &json!([]));
    app.stop_now();
    migrate_beyond(&app, "add_wings");
    let mut app = app.start_beside().expect("a newer schema is no reason to refuse");
    assert_eq!(app.show_run(before["id"].as_str().unwrap()), before);
    assert_eq!(app.run(&project, &json!([]))["status"], "succeeded");
    assert_eq!(app.get(&project.runs()).expect(200).json()["total"], 2);

    app.stop_now();
    migrate_beyond(&app, "breaking_wings");
    let refused = app.start_beside().map(drop).unwrap_err();
    assert!(refused.contains("m20990101_000001_breaking_wings") && refused.contains("newer version"), "{refused}");
}

#[test]
fn an_older_schema_is_left_alone_when_migrations_are_manual() {
    let refused = TestApp::refused(&[("ADE_AUTO_MIGRATE", "false")]);
    assert!(refused.contains("schema is old") && refused.contains("ade migrate up"), "{refused}");
}

#[test]
fn a_run_ends_and_is_followed_while_the_database_is_unavailable() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.held_run(&project);
    let mut watched = app.run_stream(&run);
    app.change_database("ALTER TABLE runs RENAME TO runs_elsewhere");
    app.get(&format!("/api/v1/runs/{run}")).problem(500, "internal");
    app.touch("go");
    let end = watched.until_type("run.completed");
    assert_eq!(end[end.len() - 1]["payload"]["status"], "succeeded");
    app.change_database("ALTER TABLE runs_elsewhere RENAME TO runs");
    wait_until("the row has caught up", || app.show_run(&run)["status"] == "succeeded");
    assert_eq!(app.show_run(&run)["last_sequence"], end[end.len() - 1]["sequence"]);
}

#[test]
fn an_unresponsive_database_is_distinguished_from_a_failing_one() {
    let app = TestApp::start();
    if !app.database_url().starts_with("sqlite") {
        // There is no way to lock PostgreSQL for one client only.
        return;
    }
    app.create_workspace("Before");
    let locked = app.lock_database();
    let refused = app.post("/api/v1/workspaces", &json!({"name": "Meanwhile"}));
    assert_eq!(refused.header("retry-after"), Some("1"));
    refused.problem(503, "database_unavailable");
    assert_eq!(app.get("/api/v1/workspaces").expect(200).json()["total"], 2, "reading goes on");
    drop(locked);
    app.create_workspace("After");
}
