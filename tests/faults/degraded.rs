//! The disk is full: a log that cannot be written says so to its readers, its run goes on and its row tells how it
//! ended; and when there is room again, the log gets its end.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::definitions::{step, workflow};
use crate::support::http::Request;
use crate::support::log::{self, Log};
use crate::support::server::{Server, Settings, ade, settings};
use crate::support::sse::Subscriber;
use crate::support::work::{Place, Run, id};
use crate::support::{eventually, process};

/// A small disk of its own.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this user may not mount. The journal alone takes 64 MiB.
    fn mount(path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=88m", "tmpfs"]).arg(path).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Self(path.to_owned()))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Leaves not one free block.
    fn fill(&self) {
        let mut file = File::create(self.ballast()).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A small disk, and a service's settings with its logs on it; none where there can be no such disk.
pub fn small_disk(beside: &Path) -> Option<(SmallDisk, Settings)> {
    let disk = SmallDisk::mount(&beside.join("data"));
    if disk.is_none() {
        eprintln!("SKIPPED: no file system can be mounted here, so no disk can be filled");
    }
    disk.map(|disk| {
        let settings = on(&disk, beside);
        (disk, settings)
    })
}

/// Logs on the small disk; database, venvs and the service's own log elsewhere.
fn on(disk: &SmallDisk, beside: &Path) -> Settings {
    let mut settings = settings();
    settings.insert("ADE_DATABASE_URL", format!("sqlite://{}", beside.join("ade.db").display()));
    settings.insert("ADE_VENVS_DIR", beside.join("venvs").display().to_string());
    settings.insert("ADE_DATA_DIR", disk.0.display().to_string());
    settings
}

#[test]
fn a_full_disk_degrades_the_stream_and_the_next_start_completes_it() {
    for killed in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let Some((disk, settings)) = small_disk(folder.path()) else { return };
        let server = Server::start_with(folder.path(), &settings);
        let place = Place::make(&server);
        place.warm_up(&server);
        let (run, subscriber) = degrade(&server, &disk, &place, &folder.path().join("gate"));
        let last = told(&server, &run, subscriber);
        verify(folder.path(), &settings, "degraded");
        assert_eq!(server.get("/health/live")["status"], "ok");
        disk.free();
        assert_eq!(place.run(&server, "print room again").ended(&server)["status"], "succeeded");
        if killed {
            server.kill();
        } else {
            server.stop();
        }
        let server = Server::start_with(folder.path(), &settings);
        completed(&server, &disk, (&place, &run), last);
        server.stop();
        verify(folder.path(), &settings, " 0 violations");
    }
}

#[test]
fn a_build_whose_log_fails_reports_its_outcome_and_the_next_start_completes_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let Some((disk, settings)) = small_disk(folder.path()) else { return };
    let server = Server::start_with(folder.path(), &settings);
    let gate = folder.path().join("gate");
    let place = Place::make(&server).building_until(&server, &gate);
    let (status, build) = server.post(&place.builds_path(), &json!({}));
    assert_eq!(status, 201, "{build}");
    let path = format!("/api/v1/builds/{}", id(&build));
    let at_its_check = || {
        let page = server.get(&format!("{path}/events"));
        page["items"].as_array()?.iter().any(|event| event["payload"]["phase"] == "verify_imports").then_some(())
    };
    eventually("the build checks its imports", at_its_check);
    disk.fill();
    std::fs::write(&gate, "").unwrap();
    let row = eventually("end of the build", || {
        let row = server.get(&path);
        (row["status"] != "building").then_some(row)
    });
    assert_eq!((&row["status"], &row["log_degraded"]), (&json!("active"), &json!(true)), "{row}");
    assert_eq!(row["venv_present"], true, "{row}");
    verify(folder.path(), &settings, "degraded");
    disk.free();
    // The venv is as good as any, whatever became of the log.
    assert_eq!(place.run(&server, "print room again").ended(&server)["build_id"], row["id"]);
    server.stop();
    let server = Server::start_with(folder.path(), &settings);
    let row = server.get(&path);
    assert_eq!((&row["status"], &row["log_degraded"]), (&json!("active"), &json!(false)), "{row}");
    let log = Log::read(&disk.0, &row);
    assert_eq!(log.assert_ended()["payload"]["status"], "active");
    assert_eq!(row["last_sequence"], log.lines.len(), "{row}");
    server.stop();
    verify(folder.path(), &settings, " 0 violations");
}

#[test]
fn once_there_is_room_maintenance_completes_the_log_of_a_running_service() {
    let folder = tempfile::tempdir().unwrap();
    let Some((disk, settings)) = small_disk(folder.path()) else { return };
    let server = Server::start_with(folder.path(), &settings);
    let place = Place::make(&server);
    place.warm_up(&server);
    let (run, subscriber) = degrade(&server, &disk, &place, &folder.path().join("gate"));
    let last = told(&server, &run, subscriber);
    disk.free();
    eventually("the log is completed", || {
        let (status, report) = server.post("/api/v1/system/maintenance", &json!({}));
        assert_eq!(status, 200, "{report}");
        let task = &report["tasks"][0];
        assert_eq!((&task["name"], &task["failed"]), (&json!("complete_logs"), &json!(0)), "{report}");
        (task["done"] == 1).then_some(())
    });
    completed(&server, &disk, (&place, &run), last);
    server.stop();
    verify(folder.path(), &settings, " 0 violations");
}

#[test]
fn an_execution_whose_log_fails_stops_and_the_next_start_finishes_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&folder.path().join("data")) else {
        eprintln!("SKIPPED: no file system can be mounted here, so no disk can be filled");
        return;
    };
    let settings = on(&disk, folder.path());
    let server = Server::start_with(folder.path(), &settings);
    let asking = step("note", &[], "Write it.\nbuiltin: ask What?");
    let definition = workflow("asking", &[asking, step("end", &["note"], "End it.")]);
    assert_eq!(server.post("/api/v1/workflows", &definition).0, 201);
    let body = json!({"workflow_id": "asking", "scope_type": "project", "scope_id": "full"});
    let (status, execution) = server.post("/api/v1/executions", &body);
    assert_eq!(status, 201, "{execution}");
    let path = format!("/api/v1/executions/{}", execution["execution_id"].as_str().unwrap());
    let reader = Subscriber::start(server.address, &format!("{path}/stream"), None);
    let has_asked = || reader.seen().events.iter().any(|(_, line)| line.contains("clarification_needed"));
    eventually("somebody is asked", || has_asked().then_some(()));
    disk.fill();
    // More than any block that is there already has room for.
    let answers = json!({"answers": {"Q_1": "x".repeat(60_000)}});
    let taken = server.post(&format!("{path}/steps/note/clarification"), &answers).0;
    assert!([200, 503].contains(&taken), "{taken}");
    let row = eventually("end of the execution", || {
        let row = server.get(&path);
        row["completed_at"].is_string().then_some(row)
    });
    assert_eq!((&row["status"], &row["failure"]["code"]), (&json!("failed"), &json!("log_unavailable")), "{row}");
    let seen = reader.finish();
    assert_eq!((seen.whole, seen.controls.as_slice()), (true, ["stream.degraded".to_owned()].as_slice()));
    verify(folder.path(), &settings, "degraded");
    disk.free();
    server.stop();
    let server = Server::start_with(folder.path(), &settings);
    let row = server.get(&path);
    let log = Log::read(&disk.0, &row);
    assert_eq!(log.assert_ended()["payload"]["status"], "failed", "{row}");
    let steps = server.get(&format!("{path}/steps"));
    assert_eq!((&steps[0]["status"], &steps[1]["status"]), (&json!("cancelled"), &json!("pending")), "{steps}");
    assert_eq!((&row["status"], &row["last_sequence"]), (&json!("failed"), &json!(log.lines.len())), "{row}");
    assert_eq!(log.of("clarification_answered").len(), usize::from(taken == 200), "what was taken is there");
    server.stop();
    verify(folder.path(), &settings, " 0 violations");
}

/// A run whose log fails half-way; it ends well all the same.
fn degrade(server: &Server, disk: &SmallDisk, place: &Place, gate: &Path) -> (Run, Subscriber) {
    let run = place.run(server, &format!("emit 10\nprint ready\nwait {}\nemit 3000\ndaemon", gate.display()));
    let subscriber = run.subscribe(server, None);
    run.await_line(server, "ready");
    disk.fill();
    std::fs::write(gate, "").unwrap();
    let row = run.ended(server);
    assert_eq!((&row["status"], &row["log_degraded"]), (&json!("succeeded"), &json!(true)), "{row}");
    assert!(process::of_run(&run.id).is_empty());
    (run, subscriber)
}

/// Readers are told that there is no more for now; the last event that they got.
fn told(server: &Server, run: &Run, subscriber: Subscriber) -> u64 {
    let seen = subscriber.finish();
    assert_eq!((seen.whole, seen.controls.as_slice()), (true, ["stream.degraded".to_owned()].as_slice()));
    let last = seen.last_id().unwrap();
    let late = eventually("the run has left the registry", || {
        let late = run.subscribe(server, None).finish();
        (late.controls == ["stream.degraded"]).then_some(late)
    });
    assert_eq!(late.events, seen.events, "what was seen is there, and nothing else");
    let request = Request::get(run.events_path()).header("Last-Event-ID", last);
    assert_eq!(server.send(&request).unwrap().status(), 204, "who has all durable events need not come back");
    last
}

fn completed(server: &Server, disk: &SmallDisk, (place, run): (&Place, &Run), last: u64) {
    let row = run.show(server);
    assert_eq!((&row["status"], &row["log_degraded"]), (&json!("succeeded"), &json!(false)), "{row}");
    let log = Log::read(&disk.0, &row);
    let end = log.assert_ended();
    assert_eq!(end["payload"]["status"], "succeeded");
    assert_eq!(row["last_sequence"], log.lines.len(), "{row}");
    let rest = run.subscribe(server, Some(last)).finish();
    assert_eq!(rest.events, [(last + 1, log.lines.last().unwrap().clone())], "the end is all that was missing");
    assert!(log::path(&disk.0, &row).exists());
    let told = eventually("the feed tells the end", || {
        let feed = server.get(&format!("/api/v1/workspaces/{}/events", place.workspace));
        let of_run = |entry: &&Value| entry["payload"]["origin"]["stream"] == run.id.as_str();
        let told: Vec<Value> = feed["items"].as_array().unwrap().iter().filter(of_run).cloned().collect();
        told.iter().any(|entry| entry["type"] == "run.completed").then_some(told)
    });
    let types: Vec<&Value> = told.iter().map(|entry| &entry["type"]).collect();
    assert_eq!(types, ["run.queued", "run.started", "run.completed"], "each once");
    assert_eq!(told[2]["payload"]["origin"]["sequence"], log.lines.len());
}

pub fn verify(beside: &Path, settings: &Settings, wanted: &str) {
    let verified = ade(beside, settings).arg("verify").output().unwrap();
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success() && said.contains(wanted), "{said}");
}
