//! An engine fills the disk: its run has an end, the service answers, and with room again the log is whole.

use serde_json::json;

use crate::degraded::{small_disk, verify};
use crate::support::log::Log;
use crate::support::server::Server;
use crate::support::work::Place;
use crate::support::{eventually, process, tools};

#[test]
fn an_engine_that_fills_the_disk_ends_its_own_run_and_nothing_else() {
    for dry_run in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let Some((disk, mut settings)) = small_disk(folder.path()) else { return };
        settings.insert("ADE_ENGINE_SPEC", tools::package("hostile_engine").display().to_string());
        let server = Server::start_with(folder.path(), &settings);
        let place = Place::make(&server);
        assert_eq!(place.run(&server, "say well").ended(&server)["status"], "succeeded");
        let script = "fill 200\nemit stdout issue 3000\nemit file issue 3000\nsay ready\nsleep 1";
        let run = place.run_with(&server, script, json!({"dry_run": dry_run}));
        let row = run.ended(&server);
        assert!(process::of_run(&run.id).is_empty());
        assert_eq!(server.get("/health/live")["status"], "ok");
        let ballast = disk.path().join(format!("workspaces/{}/runs/{}/output/ballast", place.workspace, run.id));
        assert_eq!(ballast.exists(), !dry_run, "{row}");
        let _ = std::fs::remove_file(ballast);
        // What a dry run has made goes with it: there is room again.
        assert_eq!(place.run(&server, "say well").ended(&server)["status"], "succeeded", "{row}");
        server.kill();
        let server = Server::start_with(folder.path(), &settings);
        let row = run.show(&server);
        assert_eq!(row["log_degraded"], false, "{row}");
        eventually("the end is told", || (run.subscribe(&server, None).finish().controls.is_empty()).then_some(()));
        assert_eq!(Log::read(disk.path(), &row).assert_ended()["payload"]["status"], row["status"]);
        server.stop();
        verify(folder.path(), &settings, " 0 violations");
    }
}
