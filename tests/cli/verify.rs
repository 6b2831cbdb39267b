//! `ade verify` finds what was planted, each in a folder that was whole before.

use std::path::PathBuf;

use ade::domain::principal::Scope;
use ade::domain::status::RunStatus;
use ade::store::Store;

use crate::support::log;
use crate::support::server::{Server, ade, settings};
use crate::support::work::Place;
use crate::{done, program};

struct Planted {
    folder: tempfile::TempDir,
    run: String,
    log: PathBuf,
    whole: String,
}

impl Planted {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        let run = Place::make(&server).run(&server, "emit 10");
        let row = run.ended(&server);
        server.stop();
        let log = log::path(folder.path(), &row);
        let whole = std::fs::read_to_string(&log).unwrap();
        Self { folder, run: run.id, log, whole }
    }

    /// Verifies the folder with this instead of the log; the log is whole again after that.
    fn with(&self, lines: &[&str], tail: &str) -> (Option<i32>, String) {
        let text: String = lines.iter().flat_map(|line| [*line, "\n"]).chain([tail]).collect();
        std::fs::write(&self.log, text).unwrap();
        let found = self.verify();
        std::fs::write(&self.log, &self.whole).unwrap();
        found
    }

    fn verify(&self) -> (Option<i32>, String) {
        let (code, out, _) = done(ade(self.folder.path(), &settings()).arg("verify"));
        (code, out)
    }
}

#[test]
fn planted_damage_is_found_and_an_intact_directory_is_accepted() {
    let planted = Planted::new();
    let lines: Vec<&str> = planted.whole.lines().collect();
    let last = lines.len() - 1;
    assert_eq!(planted.verify(), (Some(0), format!("3 logs, {} events, 0 violations\n", events(&planted))));
    let refused = |what: &str, lines: &[&str], tail: &str, message: &str| {
        let (code, out) = planted.with(lines, tail);
        assert_eq!(code, Some(1), "{what}: {out}");
        assert!(out.contains(message) && out.contains(&planted.run), "{what}: {out}");
    };
    refused("a gap", &[&lines[..3], &lines[4..]].concat(), "", "the sequence is 5 instead of 4");
    refused("a repeat", &[&lines[..4], &lines[3..]].concat(), "", "the sequence is 4 instead of 5");
    refused("no end", &lines[..last], "", "there is no terminal event");
    refused("an event after the end", &[&lines[..], &lines[5..6]].concat(), "", "after the terminal event");
    refused("a torn line", &lines, "{\"type\":\"test", "does not end with a newline");
    refused(
        "a line that is none",
        &[&lines[..2], &["nonsense"], &lines[3..]].concat(),
        "",
        "line 3: the line is not an event",
    );
    let foreign = lines[4].replace(&planted.run, "run_01ARZ3NDEKTSV4RRFFQ69G5FAV");
    refused("a foreign event", &[&lines[..4], &[&foreign], &lines[5..]].concat(), "", "belongs to another stream");
    let other_end = lines[last].replace("\"status\":\"succeeded\"", "\"status\":\"cancelled\"");
    refused("another end", &[&lines[..last], &[&other_end]].concat(), "", "the row says");
    let lost = planted.log.with_extension("lost");
    std::fs::rename(&planted.log, &lost).unwrap();
    let (code, out) = planted.verify();
    assert!(code == Some(1) && out.contains("there is no log of it"), "{out}");
    std::fs::rename(lost, &planted.log).unwrap();
    assert_eq!(planted.verify().0, Some(0));
}

#[test]
fn a_feed_with_a_duplicate_event_is_detected() {
    let planted = Planted::new();
    let feed = workspace(&planted).join("feed/events.ndjson");
    let told = std::fs::read_to_string(&feed).unwrap();
    let last = told.lines().last().unwrap();
    let event: serde_json::Value = serde_json::from_str(last).unwrap();
    let (sequence, id) = (event["sequence"].as_u64().unwrap(), event["event_id"].as_str().unwrap());
    let again = last
        .replace(&format!("\"sequence\":{sequence},\"source\""), &format!("\"sequence\":{},\"source\"", sequence + 1));
    let again = again.replace(id, "evt_7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    std::fs::write(&feed, format!("{told}{again}\n")).unwrap();
    let (code, out) = planted.verify();
    assert!(code == Some(1) && out.contains("is there twice") && out.contains("1 violations"), "{out}");
    std::fs::write(&feed, told.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    assert_eq!(planted.verify().0, Some(0), "what was deleted by retention is missed by nobody");
}

fn workspace(planted: &Planted) -> std::path::PathBuf {
    let mut workspaces = std::fs::read_dir(planted.folder.path().join("workspaces")).unwrap().flatten();
    workspaces.next().expect("there is one workspace").path()
}

fn events(planted: &Planted) -> usize {
    let lines = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap().lines().count();
    let workspace = workspace(planted);
    let builds = std::fs::read_dir(workspace.join("builds")).unwrap().flatten();
    let of_builds = builds.map(|build| lines(build.path().join("logs/events.ndjson")));
    planted.whole.lines().count() + of_builds.sum::<usize>() + lines(workspace.join("feed/events.ndjson"))
}

#[tokio::test]
async fn a_row_that_disagrees_with_its_log_is_detected() {
    let planted = Planted::new();
    let url = format!("sqlite://{}", planted.folder.path().join("ade.db").display());
    let store = Store::connect(&url, 1).await.unwrap();
    let row = store.find::<ade::domain::run::Run>(&Scope::All, planted.run.parse().unwrap()).await.unwrap().unwrap();
    let mut state = row.state.clone();
    state.status = RunStatus::Failed;
    assert!(
        store
            .save_state::<ade::domain::run::Run>(row.workspace_id, row.id, &state, row.last_sequence + 1)
            .await
            .unwrap()
    );
    store.close().await.unwrap();
    let (code, out) = planted.verify();
    assert_eq!(code, Some(1));
    assert!(out.contains(&format!("{}: the row says", planted.run)) && out.contains("the row stands at"), "{out}");
}

#[test]
fn a_directory_named_on_the_command_line_is_verified_with_its_own_database() {
    let planted = Planted::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let verified = done(program(elsewhere.path()).arg("verify").arg(planted.folder.path()));
    assert_eq!(verified.0, Some(0), "{verified:?}");
    assert!(!verified.1.contains("no database"), "{verified:?}");
    assert_eq!(done(program(elsewhere.path()).args(["verify", "/nowhere/at/all"])).0, Some(1));
}
