//! Files of every kind, under every name that the service reads or writes in a run's folder.

use super::behaviour::{Behaviour, does};
use super::harness::{Harness, is_full, some};

/// What a name can be, and whether it then is a plain file of the engine's own.
const KINDS: &[(&str, Served)] = &[
    ("symlink NAME @file", Served::No),
    ("symlink NAME @folder", Served::No),
    ("symlink NAME @absent", Served::No),
    ("symlink NAME /dev/zero", Served::No),
    ("symlink NAME /proc/self/environ", Served::No),
    ("loop NAME", Served::No),
    ("fifo NAME", Served::No),
    ("socket NAME", Served::No),
    ("device NAME", Served::No),
    ("directory NAME", Served::No),
    ("hard_link NAME @file", Served::Shared),
    ("sparse NAME", Served::Yes),
];

#[derive(Clone, Copy, PartialEq)]
enum Served {
    Yes,
    /// It is a file of somebody else too.
    Shared,
    No,
}

/// The outputs have paths to be asked for.
const NAMES: &[(&str, Option<&str>)] = &[
    ("diagnostics.json", None),
    ("engine-logs/events.ndjson", None),
    ("{output}/normalized.xlsx", Some("normalized.xlsx")),
    ("{output}/in/side", Some("in/side")),
    ("{input}", None),
];

/// Directories, which can be anything else.
const PLACES: &[(&str, Option<&str>)] = &[("{output}", Some("inner")), ("engine-logs", None), ("input", None)];

/// Each kind under each name: a run for each in full, or one for each kind, which then stands under all of the names.
fn under_names(names: &[(&str, Option<&str>)]) -> Vec<Behaviour> {
    let behaviours = separately(names);
    if is_full() {
        return behaviours;
    }
    let kinds = |n: usize| behaviours.iter().skip(n).step_by(KINDS.len()).cloned();
    (0..KINDS.len()).filter_map(|n| kinds(n).reduce(Behaviour::and)).collect()
}

fn separately(names: &[(&str, Option<&str>)]) -> Vec<Behaviour> {
    let each = |&(name, output): &(&str, Option<&str>)| {
        let kinds = KINDS.iter().map(move |&(kind, served)| {
            let put = format!("put {}", kind.replace("NAME", name));
            let behaviour = does(put.clone(), put);
            let behaviour = if served == Served::Shared { behaviour.sharing() } else { behaviour };
            match output {
                Some(path) if served == Served::No => behaviour.unserved(path),
                _ => behaviour,
            }
        });
        kinds.collect::<Vec<_>>()
    };
    names.iter().flat_map(each).collect()
}

#[test]
fn files_of_every_kind_are_planted_where_the_service_expects_its_own() {
    Harness::open(&[]).hear_all(under_names(NAMES));
}

#[test]
fn run_directories_replaced_by_something_else_are_survived() {
    let mut behaviours = under_names(PLACES);
    behaviours.extend(some(under_names(&NAMES[2..4]), 0, 3).into_iter().map(Behaviour::dry));
    behaviours.extend(some(under_names(&PLACES[..1]), 1, 3).into_iter().map(Behaviour::dry));
    Harness::open(&[]).hear_all(behaviours);
}

/// Names that a careful writer gives a file before it has its own.
const DRAFTS: &[&str] =
    &["diagnostics.json.tmp", ".diagnostics.json.tmp", "diagnostics.json.new", "diagnostics.tmp", ".tmp"];

#[test]
fn symlinks_that_change_under_the_service_reach_nothing() {
    let drafts =
        |kind: &str| -> String { DRAFTS.iter().map(|name| format!("put {}\n", kind.replace("NAME", name))).collect() };
    let mut harness = Harness::open(&[]);
    for kind in ["symlink NAME @file", "symlink NAME @absent", "fifo NAME", "directory NAME", "hard_link NAME @file"] {
        harness.hear(&does(format!("drafts of diagnostics are a {kind}"), drafts(kind)));
    }
    harness.hear(&does(
        "the mode of everything is 0",
        "mode 000 output\nmode 000 engine-logs\nmode 000 input\nmode 000 .",
    ));
    harness.hear(&does("a large diagnostics.json", "put sparse diagnostics.json\nmode 400 diagnostics.json"));
    harness.close();
}
