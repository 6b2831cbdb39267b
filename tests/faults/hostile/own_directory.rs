//! An engine turns on the folder of its own run, with the log of the service in it: its run ends all the same.

use super::behaviour::{Act, Behaviour, does};
use super::harness::Harness;

fn on_the_log() -> Vec<Behaviour> {
    let log = "logs/events.ndjson";
    let mut behaviours = vec![
        does("its log is gone", format!("remove {log}\nsay after")),
        does("the folder of its log is gone", "remove logs\nsay after"),
        does("its log is empty", format!("truncate {log}\nsay after")),
        does("its log is overwritten", format!("overwrite {log}\nsay after")),
        does("its log has other lines", format!("write {log} nonsense 1000\nsay after")),
        does("its log has an end already", format!("write {log} {FORGED_END}\nsay after")),
        does("its log is another", format!("remove {log}\nwrite {log} {FORGED_END}\nsay after")),
        does("its folder is gone", "remove {run}/output\nremove {run}\nsay after"),
        does("its folder is elsewhere", "rename {run} {run}-moved\nsay after"),
        does(
            "its folder is a link to a folder of others",
            "rename {run} {run}-moved\nput symlink {run} @folder\nsay after",
        ),
        does("its folder is a link to another run", "rename {run} {run}-moved\nput symlink {run} @run\nsay after")
            .sharing(),
        does("its folder is a FIFO", "rename {run} {run}-moved\nput fifo {run}"),
        does("the folder of its log is a link", "rename logs old\nput symlink logs @folder\nsay after"),
    ];
    let kinds = ["symlink NAME @file", "symlink NAME @absent", "symlink NAME /dev/zero", "fifo NAME", "directory NAME"];
    behaviours.extend(kinds.map(log_is));
    behaviours
}

fn log_is(kind: &str) -> Behaviour {
    let put = format!("put {}", kind.replace("NAME", "logs/events.ndjson"));
    does(put.clone(), format!("{put}\nsay after"))
}

/// As it is when the service dies meanwhile.
fn waits(behaviour: Behaviour) -> Behaviour {
    let script = format!("{}\nsay ready\nsleep 100", behaviour.script.replace("\nsay after", ""));
    Behaviour { script, ..behaviour.acting(Act::Kill).destroying_its_log() }
}

const FORGED_END: &str = r#"{"type":"run.completed","sequence":1,"payload":{"status":"succeeded"}}"#;

#[test]
fn a_run_whose_directory_is_damaged_still_ends() {
    Harness::open(&[]).hear_all(on_the_log().into_iter().map(Behaviour::destroying_its_log));
}

#[test]
fn a_service_that_died_over_a_damaged_directory_restarts() {
    Harness::open(&[]).hear_all(on_the_log().into_iter().map(waits));
}

#[test]
fn reading_a_sparse_log_terminates() {
    let hole = log_is("sparse NAME");
    Harness::open(&[]).hear_all([hole.clone().destroying_its_log(), waits(hole)]);
}
