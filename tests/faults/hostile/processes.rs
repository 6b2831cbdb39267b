//! Processes that do not want to be found, or to end.

use super::behaviour::{Act, Behaviour, does};
use super::harness::{Harness, some, times};
use crate::support::log::Log;

const DETACHED: &[&str] = &["idle", "bare", "holds", "wiped", "writes", "speaks"];

fn left_behind() -> Vec<Behaviour> {
    let mut behaviours: Vec<Behaviour> = DETACHED
        .iter()
        .map(|kind| does(format!("leaves a daemon: {kind}"), format!("daemon {kind}")).succeeds())
        .collect();
    behaviours.extend([
        does(
            "leaves daemons of every kind",
            "daemon idle\ndaemon bare\ndaemon holds\ndaemon wiped\ndaemon writes\ndaemon speaks",
        )
        .succeeds(),
        does("leaves a sibling", "sibling").succeeds(),
        does("leaves a daemon outside of its control group", "escape\ndaemon bare").succeeds(),
        does("leaves a daemon in a namespace", "inside").succeeds(),
        does("leaves a process that is always another", "chain 5").succeeds(),
        does("leaves several that are always others", "chain 3\nchain 5\nchain 7\nchain 11").succeeds(),
        does("leaves a stopped child", "stopped").succeeds(),
        does("leaves a traced child", "traced").succeeds(),
        does("leaves a thousand dead children", "zombies 1000").succeeds(),
        does("adopts and leaves all of them", "adopt\ndaemon bare\ndaemon wiped\nchain 5").succeeds(),
        does("leaves a bomb", format!("bomb {} 20", times(150, 300))),
        does("has closed its pipes", "close 0 1 2\nemit file issue 10\nsleep 1\nemit file issue 10").succeeds(),
        does("becomes another program", "daemon bare\nbecome /bin/sleep 1").succeeds(),
        does("has another name and no environment", "wipe\ndisguise )_Z_1_1_(\nsleep 1").succeeds(),
        does("fails with a daemon", "daemon bare\nleave 3").fails("engine_error"),
        does("kills its group", "daemon bare\nkill 9 group").fails("engine_error"),
    ]);
    behaviours
}

#[test]
fn no_process_of_an_engine_outlives_its_run() {
    Harness::open(&[]).hear_all(some(left_behind(), 1, 2));
}

#[test]
fn every_signal_is_reported_as_an_end() {
    let fatal = [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 31, 34, 64];
    let by_signal = |signal: &i32| {
        // Python has an answer of its own to 2, 13 and 25.
        let behaviour = does(format!("ends by signal {signal}"), format!("daemon bare\nkill {signal}"));
        if [2, 13, 25].contains(signal) { behaviour } else { behaviour.fails("engine_error") }
    };
    Harness::open(&[]).hear_all(some(fatal.iter().map(by_signal), 1, 3));
}

#[test]
fn stubborn_processes_are_ended_by_a_cancel() {
    let waits = |what: &str, script: &str| {
        does(format!("{what}, cancelled"), format!("{script}\nsay ready\nsleep 100")).cancelled()
    };
    let mut behaviours: Vec<Behaviour> =
        DETACHED.iter().map(|kind| waits(&format!("a daemon: {kind}"), &format!("ignore\ndaemon {kind}"))).collect();
    behaviours.extend([
        waits(
            "all at once",
            "ignore\nescape\ndaemon bare\ndaemon wiped\ndaemon holds\nsibling\nchain 5\ninside\nstopped\ntraced",
        ),
        waits("a sibling", "sibling"),
        waits("a bomb", &format!("bomb {} 20", times(150, 300))),
        does("has stopped, cancelled", "say ready\nkill 19").cancelled(),
        waits("no environment and no name", "wipe\ndisguise )_Z_1_(\nignore"),
        does("no pipes, cancelled", "say ready\nignore\nclose 0 1 2\nsleep 100").cancelled(),
        does("another program, cancelled", "daemon bare\nsay ready\nbecome /bin/sleep 100").cancelled(),
    ]);
    Harness::open(&[]).hear_all(some(behaviours, 0, 2));
}

#[test]
fn stubborn_processes_are_ended_by_their_timeout() {
    let mut harness = Harness::open(&[]);
    harness.under("ADE_RUN_TIMEOUT", "2s");
    harness.hear_all([
        does("has stopped itself", "kill 19").fails("run_timeout"),
        does("ignores everything", "ignore\ndaemon bare\ndaemon wiped\nchain 5\nsleep 100").fails("run_timeout"),
        does("has no pipes", "ignore\nclose 0 1 2\nsleep 100").fails("run_timeout"),
        does("waits for a FIFO of its own", "put fifo {output}/x\nwrite {output}/x x").fails("run_timeout"),
        does("is a bomb", "bomb 150 20\nsleep 100").fails("run_timeout"),
    ]);
}

/// An engine has the rights of the service; what it cannot be kept from must at least be got over.
#[test]
fn a_service_that_its_engine_kills_or_stops_recovers() {
    Harness::open(&[]).hear_all([
        does("kills the service", "say ready\nkill 9 service\nsleep 100").acting(Act::Restart).fails("interrupted"),
        does("stops the service", "say ready\nkill 19 service\nsleep 1").acting(Act::Continue).succeeds(),
        does("kills its parent, whoever that is", "say ready\nkill 9 parent\nsleep 1"),
        does("stops its parent, whoever that is", "say ready\nkill 19 parent\nsleep 1"),
        does("hangs up on its parent", "say ready\nkill 1 parent\nsleep 1"),
        does("a daemon when the service dies", "daemon idle\nsay ready\nsleep 100")
            .acting(Act::Kill)
            .fails("interrupted"),
        does("floods when the service dies", "say ready\nflood stdout").acting(Act::Kill).fails("interrupted"),
        does("has stopped when the service dies", "say ready\nkill 19").acting(Act::Kill).fails("interrupted"),
    ]);
}

#[test]
fn the_end_of_one_run_does_not_end_another() {
    let mut harness = Harness::open(&[]);
    let gate = harness.data_dir().join("gate");
    let script = format!("helper pid\nsay ready\nwait {}\nalive pid", gate.display());
    let other = harness.place().run(harness.server(), &script);
    other.await_line(harness.server(), "ready");
    harness.hear(
        &does("leaves daemons while another run has one too", "daemon bare\nsibling\nchain 5\nescape").succeeds(),
    );
    harness.hear(&does("is cancelled while another run has a daemon", "daemon bare\nsay ready\nsleep 100").cancelled());
    std::fs::write(gate, "").unwrap();
    let row = other.ended(harness.server());
    assert_eq!(Log::read(&harness.data_dir(), &row).console("stdout").last(), Some(&"helper lives"), "{row}");
    harness.close();
}
