//! Events: millions of each type, as large as they may be, or not what they seem; and an event file that changes under
//! the reader.

use super::behaviour::{Act, Behaviour, does};
use super::harness::{Harness, is_full, times};

/// What folds and rewrites know of, each with new names every time.
const KINDS: &[&str] = &[
    "issue",
    "table",
    "summary",
    "phase",
    "phase_end",
    "error",
    "console",
    "unknown",
    "reserved",
    "started",
    "completed",
];

fn many(kind: &str) -> Behaviour {
    // A summary names eighty things, and a table twenty.
    let usual =
        [("summary", 1_000), ("table", 4_000)].iter().find(|(heavy, _)| *heavy == kind).map_or(20_000, |one| one.1);
    let count = times(usual, 1_000_000);
    does(format!("{count} events: {kind}"), format!("emit stdout {kind} {count}"))
}

#[test]
fn millions_of_events_of_each_type_are_folded() {
    let more = [("ADE_RUN_TIMEOUT", if is_full() { "600s" } else { "60s" })];
    let mut behaviours: Vec<Behaviour> = KINDS.iter().map(|kind| many(kind)).collect();
    behaviours.extend([
        does("issues in the file", format!("emit file issue {}", times(10_000, 1_000_000))),
        does("the same issue", format!("emit stdout issue {} same", times(10_000, 1_000_000))),
        does("the same table", format!("emit stdout table {} same", times(5_000, 100_000))),
        does("tables of many columns", format!("tables stdout {} 6000", times(25, 2000))),
        does("tables of many columns in the file", format!("tables file {} 6000", times(10, 2000))),
        does("events of 1 MiB", format!("large stdout {} 1048576", times(40, 2000))),
        does("events a byte larger", format!("large stdout {} 1048578", times(40, 2000))),
        does("events of 1 MiB in the file", format!("large file {} 1048576", times(40, 2000))),
        does("events of 3 MiB in the file", format!("large file {} 3000000", times(10, 200))),
        does("a payload of 50,000 keys", "wide_payload stdout 50000\nwide_payload file 50000"),
    ]);
    Harness::open(&more).hear_all(behaviours);
}

#[test]
fn forged_events_change_nothing() {
    let forged = "forged stdout 1 run_01JZZZZZZZZZZZZZZZZZZZZZZZ\nforged file 99999 run_01JZZZZZZZZZZZZZZZZZZZZZZZ\n";
    Harness::open(&[]).hear_all([
        does("barely events on stdout", "strange stdout"),
        does("barely events on stderr", "strange stderr"),
        does("barely events in the file", "strange file"),
        does("lists in lists", "nested stdout 100000\nnested file 100000").succeeds(),
        does("objects in objects", "nested stdout 100000 {\nnested file 100000 {").succeeds(),
        does(
            "objects in 120 objects",
            "nested stdout 120 {\nnested file 120 {\nnested stdout 126 {\nnested stdout 125",
        )
        .succeeds(),
        does("events of others", forged),
        does(
            "events after its own end",
            "emit stdout completed 1\nemit stdout issue 50\nemit file completed 1\nemit file table 5",
        ),
        does(
            "each way at once",
            "emit file issue 2000\nemit stdout issue 2000\nemit stderr issue 2000\nemit file table 500",
        ),
    ]);
}

#[test]
fn an_event_file_that_changes_under_the_reader_ends_with_its_run() {
    let events = "{logs}/events.ndjson";
    let tick = "emit file unknown 50";
    Harness::open(&[]).hear_all([
        does("truncated, removed and renamed all the time", "disturb 2"),
        does("all the time, when it is cancelled", "say ready\ndisturb 60").cancelled(),
        does("gone half-way", format!("{tick}\nsleep 0.5\nremove {events}\nsleep 0.3\n{tick}")),
        does("empty half-way", format!("{tick}\nsleep 0.5\ntruncate {events}\nsleep 0.3\n{tick}")),
        does("another half-way", format!("{tick}\nsleep 0.5\nlater other later\nsleep 0.3\n{tick}")),
        does("a FIFO half-way", format!("{tick}\nsleep 0.5\nput fifo {events}\nsleep 0.3")),
        does("a link half-way", format!("{tick}\nsleep 0.5\nput symlink {events} @file\nsleep 0.3")),
        does("endless half-way", format!("{tick}\nsleep 0.5\nput symlink {events} /dev/zero\nsleep 0.3")),
        does(
            "its folder gone half-way",
            format!("{tick}\nsleep 0.5\nremove {{logs}}\nsleep 0.3\nput directory {{logs}}\n{tick}"),
        ),
        does(
            "its folder a link half-way",
            format!("{tick}\nsleep 0.5\nremove {{logs}}\nput symlink {{logs}} @folder\nsleep 0.3"),
        ),
        does("a terabyte half-way", format!("{tick}\nsleep 0.5\nput sparse {events}\nsleep 0.3")),
        does("a terabyte, when it is cancelled", format!("{tick}\nput sparse {events}\nsay ready\nsleep 100"))
            .cancelled(),
        does("a FIFO, when the service dies", format!("{tick}\nput fifo {events}\nsay ready\nsleep 100"))
            .acting(Act::Kill)
            .fails("interrupted"),
    ]);
}
