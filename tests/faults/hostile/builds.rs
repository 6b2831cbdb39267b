//! Configurations and packages that mean harm while their venv is made.

use super::behaviour::{Act, Behaviour, Stage, does};
use super::harness::{Harness, is_full, some};

const STAGES: [Stage; 3] = [Stage::Backend, Stage::Import, Stage::Version];

/// What any code can do, whoever starts it.
fn anywhere() -> Vec<Behaviour> {
    vec![
        does("leaves daemons", "daemon bare\ndaemon wiped\nsibling\nchain 5").active(),
        // An installer may wait for the pipes of what it has started.
        does("leaves a daemon with the pipes", "daemon holds"),
        does("leaves a bomb", "bomb 100 20"),
        does("says much", "flow stderr 20\nrepeat stderr 50000 y\nnoise stderr 1").active(),
        does(
            "says what is an event elsewhere",
            r#"line stderr {"type":"build.completed","payload":{"status":"failed"}}"#,
        )
        .active(),
        // An installer cannot remove what its backend has made there.
        does("a deep tree", "deep deep 30000"),
        does("a deep tree and a failure", "deep {venv}/deep 30000\nleave 3"),
        does("names", "names {venv}/names"),
        does("kills itself", "daemon bare\nkill 9"),
        does("kills its group", "daemon bare\nkill 9 group"),
        does("a flood, cancelled", "flood stderr").cancelled_build(),
        does("everything ignored, cancelled", "ignore\ndaemon bare\nchain 5\nsleep 100").cancelled_build(),
        does("stopped, cancelled", "kill 19").cancelled_build(),
        does("a deep tree when the service dies", "deep {venv}/deep 30000\nsleep 100")
            .acting(Act::Kill)
            .fails("interrupted"),
    ]
}

#[test]
fn a_build_ends_whatever_its_packages_do() {
    let mut harness = Harness::open(&[("ADE_BUILD_TIMEOUT", "50s")]);
    for (n, behaviour) in anywhere().into_iter().enumerate() {
        let stages = if is_full() { &STAGES[..] } else { &STAGES[n % 3..][..1] };
        stages.iter().for_each(|&stage| harness.hear(&behaviour.clone().at(stage)));
    }
    harness.hear(&does("leaves daemons", "daemon bare\ndaemon wiped").at(Stage::Import).validating().succeeds());
    harness.hear(&does("says much", "flow stdout 20\nrepeat stdout 50000 y").at(Stage::Import).active());
    harness.close();
}

#[test]
fn the_marker_of_a_venv_is_written_through_no_link() {
    let marker = "{venv}/ade_build.json";
    let kinds = [
        "symlink NAME @file",
        "symlink NAME @absent",
        "symlink NAME /dev/full",
        "fifo NAME",
        "hard_link NAME @file",
        "directory NAME",
        "sparse NAME",
    ];
    let mut harness = Harness::open(&[("ADE_BUILD_TIMEOUT", "50s")]);
    for kind in some(kinds, 0, 2) {
        let put = format!("put {}", kind.replace("NAME", marker));
        harness.hear(&does(put.clone(), put).at(Stage::Import));
    }
    harness.hear(&does("its venv is gone", "remove {venv}").at(Stage::Version));
    harness
        .hear(&does("its venv is a link", "rename {venv} {venv}.old\nput symlink {venv} @folder").at(Stage::Version));
    harness.hear(
        &does("its build is a link", "rename {venv}/.. {venv}/../../old\nput symlink {venv}/.. @folder")
            .at(Stage::Version),
    );
    harness.close();
}

#[test]
fn an_invalid_engine_version_is_not_recorded() {
    let mut harness = Harness::open(&[("ADE_BUILD_TIMEOUT", "50s")]);
    let answers = [
        r#"line stdout {"version":7,"capabilities":{"a":1}}"#,
        "flow stdout 20",
        "flow stdout 20 {",
        "flow stdout 2 {\"version\":",
        "nested stdout 100000",
        "wide_payload stdout 100000",
        "repeat stdout 100000 {\"version\":\"x\"}",
        "noise stdout 1",
        "strange stdout",
        r#"line stdout {"version":"a b\u0000<>\n/../..","capabilities":["validate","validate","\u0000"]}"#,
    ];
    for text in some(answers, 1, 2) {
        harness.hear(&does(text, text).at(Stage::Version));
    }
    harness.close();
}

#[test]
fn a_build_that_exceeds_its_timeout_fails() {
    let mut harness = Harness::open(&[]);
    harness.under("ADE_BUILD_TIMEOUT", "8s");
    for stage in some(STAGES, 1, 2) {
        harness.hear(&does("hangs", "ignore\ndaemon bare\nchain 5\nsleep 100").at(stage).fails("build_timeout"));
    }
    harness.close();
}
