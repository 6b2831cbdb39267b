//! Bytes without end and without meaning, on both pipes and in the event file.

use super::behaviour::{Behaviour, does};
use super::harness::{Harness, some, times};

const WAYS: &[&str] = &["stdout", "stderr", "file"];

fn each_way(make: impl Fn(&str) -> Behaviour) -> Vec<Behaviour> {
    WAYS.iter().map(|way| make(way)).collect()
}

#[test]
fn output_bytes_of_any_kind_become_lines() {
    let (megabytes, lines, noise) = (times(20, 2000), times(200_000, 20_000_000), times(2, 100));
    let kinds = [
        ("a line without end", format!("flow WAY {megabytes}")),
        ("brackets without end", format!("flow WAY {megabytes} {{")),
        ("objects in objects", format!("flow WAY {megabytes} {{\"a\":")),
        ("an event that never ends", format!("flow WAY {megabytes} {{\"type\":\"x\",")),
        ("NULs", format!("flow WAY {megabytes} \0")),
        ("carriage returns", "flow WAY 5 a\r".to_owned()),
        ("empty lines", format!("repeat WAY {lines}")),
        ("noise", format!("noise WAY {noise}")),
        ("control characters", "control WAY".to_owned()),
    ];
    let behaviours = kinds.iter().flat_map(|(what, script)| {
        each_way(|way| does(format!("{what} on {way}"), script.replace("WAY", way)).succeeds())
    });
    Harness::open(&[]).hear_all(some(behaviours, 0, 2));
}

#[test]
fn a_flood_of_output_is_ended_by_a_cancel_and_by_a_timeout() {
    let event = r#"{"type":"t","payload":{}}"#;
    let cancelled = |way: &str, text: &str| {
        does(format!("{text} on {way}, cancelled"), format!("say ready\nflood {way} {text}")).cancelled()
    };
    let too_long =
        |way: &str| does(format!("short lines on {way}, too long"), format!("flood {way}")).fails("run_timeout");
    let mut harness = Harness::open(&[]);
    let floods = each_way(|way| cancelled(way, event)).into_iter().chain(each_way(|way| cancelled(way, "y")));
    some(floods, 0, 2).iter().for_each(|behaviour| harness.hear(behaviour));
    harness.hear(&does("a line that never ends, cancelled", "say ready\nflow stdout 1000000").cancelled());
    harness.under("ADE_RUN_TIMEOUT", "2s");
    some(each_way(too_long), 1, 2).iter().for_each(|behaviour| harness.hear(behaviour));
    for (what, script) in [
        ("an event line that never ends in the file", "flow file 200 {\nsleep 100"),
        ("a byte now and then", "drip stdout 100"),
        ("a byte now and then in the file", "drip file 100"),
    ] {
        harness.hear(&does(format!("{what}, too long"), script).fails("run_timeout"));
    }
    harness.close();
}
