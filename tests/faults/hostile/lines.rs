//! Bytes without end and without meaning, on both pipes and in the event file.

use super::behaviour::{Behaviour, does};
use super::harness::{Harness, times};

const WAYS: &[&str] = &["stdout", "stderr", "file"];

fn each_way(make: impl Fn(&str) -> Behaviour) -> Vec<Behaviour> {
    WAYS.iter().map(|way| make(way)).collect()
}

#[test]
#[ignore = "some of these behaviours still do harm"]
fn bytes_of_any_kind_and_number_are_lines_in_the_end() {
    let megabytes = times(30, 2000);
    let mut behaviours = Vec::new();
    behaviours
        .extend(each_way(|way| does(format!("a line of {megabytes} MiB on {way}"), format!("flow {way} {megabytes}"))));
    behaviours
        .extend(each_way(|way| does(format!("brackets without end on {way}"), format!("flow {way} {megabytes} {{"))));
    behaviours.extend(each_way(|way| {
        does(format!("objects in objects on {way}"), format!("flow {way} {megabytes} {{\"a\":"))
    }));
    behaviours.extend(each_way(|way| {
        does(format!("an event that never ends on {way}"), format!("flow {way} {megabytes} {{\"type\":\"x\","))
    }));
    behaviours.extend(each_way(|way| does(format!("NULs on {way}"), format!("flow {way} {megabytes} \0"))));
    behaviours.extend(each_way(|way| does(format!("carriage returns on {way}"), format!("flow {way} 5 a\u{d}"))));
    behaviours.extend(each_way(|way| {
        does(format!("empty lines on {way}"), format!("repeat {way} {}", times(200_000, 20_000_000)))
    }));
    behaviours.extend(each_way(|way| does(format!("noise on {way}"), format!("noise {way} {}", times(2, 100)))));
    behaviours
        .extend(each_way(|way| does(format!("control characters on {way}"), format!("control {way}")).succeeds()));
    Harness::open(&[]).hear_all(behaviours);
}

#[test]
#[ignore = "some of these behaviours still do harm"]
fn a_flood_is_ended_by_a_cancel_and_by_a_timeout() {
    let mut behaviours =
        each_way(|way| does(format!("short lines on {way}, cancelled"), format!("say ready\nflood {way}")).cancelled());
    behaviours.extend(each_way(|way| {
        does(
            format!("events on {way}, cancelled"),
            format!("say ready\nflood {way} {{\"type\":\"t\",\"payload\":{{}}}}"),
        )
        .cancelled()
    }));
    behaviours.extend(each_way(|way| {
        does(format!("short lines on {way}, too long"), format!("flood {way}")).fails("run_timeout")
    }));
    behaviours.push(does("a line that never ends, cancelled", "say ready\nflow stdout 1000000").cancelled());
    behaviours.push(
        does("an event line that never ends in the file, too long", "flow file 200 {\nsleep 100").fails("run_timeout"),
    );
    behaviours.push(does("a byte now and then, too long", "drip stdout 100").fails("run_timeout"));
    behaviours.push(does("a byte now and then in the file, too long", "drip file 100").fails("run_timeout"));
    Harness::open(&[("ADE_RUN_TIMEOUT", "6s")]).hear_all(behaviours);
}
