//! Directories that are deeper, wider or stranger than any program expects.

use super::behaviour::{Act, Behaviour, does};
use super::harness::{Harness, some, times};

#[test]
fn trees_of_any_depth_and_width_are_walked_and_removed() {
    let depth = 30_000;
    let wide = times(30_000, 200_000);
    let places = ["{output}", "{logs}", "input", "."];
    let mut behaviours: Vec<Behaviour> = Vec::new();
    for place in places {
        behaviours.push(does(format!("30,000 directories below {place}"), format!("deep {place} {depth}")).succeeds());
    }
    behaviours.extend([
        does("30,000 directories below the outputs", format!("deep {{output}} {depth}")).succeeds().dry(),
        does("2,000 directories of the longest names", "long {output} 2000").succeeds(),
        does("2,000 directories of the longest names", "long {output} 2000").succeeds().dry(),
        does("many outputs", format!("wide {{output}} {wide}")).succeeds(),
        does("many outputs", format!("wide {{output}} {wide}")).succeeds().dry(),
        does("many directories", format!("wide {{output}} {wide} directory")).succeeds(),
        does("awkward names", "names {output}").succeeds(),
        does("awkward names", "names {output}").succeeds().dry(),
        does("awkward names of logs", "names {logs}\nnames .").succeeds(),
        does("a deep tree when it is cancelled", format!("deep {{output}} {depth}\nsay ready\nsleep 100"))
            .cancelled()
            .dry(),
        does("a deep tree when the service dies", format!("deep {{output}} {depth}\nsay ready\nsleep 100"))
            .acting(Act::Kill)
            .fails("interrupted")
            .dry(),
        does("many outputs when the service dies", format!("wide {{output}} {wide}\nsay ready\nsleep 100"))
            .acting(Act::Kill)
            .fails("interrupted")
            .dry(),
    ]);
    Harness::open(&[]).hear_all(some(behaviours, 0, 2));
}

#[test]
fn undeletable_files_are_left() {
    let mut harness = Harness::open(&[]);
    let keeps = "put directory {output}/kept\nimmutable {output}/kept/in\nwrite {output}/x x\nimmutable {output}/x";
    harness.hear(&does("outputs that nobody may remove", keeps).succeeds().dry());
    let waits = format!("{keeps}\nsay ready\nsleep 100");
    harness.hear(&does("outputs that nobody may remove, cancelled", waits.clone()).cancelled().dry());
    let dies = does("outputs that nobody may remove, when the service dies", waits);
    harness.hear(&dies.acting(Act::Kill).fails("interrupted").dry());
    let data_dir = harness.data_dir();
    harness.close_before(|| {
        let _ = std::process::Command::new("chattr").args(["-R", "-f", "-i"]).arg(data_dir).status();
    });
}

/// Directories of the service beside the run's own, with names of what it removes when it starts.
#[test]
fn apparent_leftovers_cannot_stop_a_start() {
    let mut behaviours = Vec::new();
    for (n, place) in LEFTOVERS.iter().enumerate() {
        // Each has a name of its own: an engine cannot remove the deep tree of the one before.
        let place = |kind: usize| place.replace("ID", &format!("01JZZZZZZZZZZZZZZZZZZZZZ{n}{kind}"));
        let [deep, link, pipe, place] = [0, 1, 2, 3].map(place);
        let scripts = [
            format!("deep {deep} 30000"),
            format!("put symlink {link} @folder"),
            format!("put fifo {pipe}"),
            format!(
                "put directory {place}\nput symlink {place}/a @folder\nput fifo {place}/b\nput loop {place}/c\nnames {place}"
            ),
        ];
        for script in scripts {
            behaviours.push(
                does(script.clone(), format!("{script}\nsay ready\nsleep 100")).acting(Act::Kill).fails("interrupted"),
            );
        }
    }
    Harness::open(&[]).hear_all(some(behaviours, 0, 3));
}

const LEFTOVERS: &[&str] = &[
    "../.staging-ID",
    "../../configurations/.staging-ID",
    "../../documents/.staging-ID",
    "{venv}/../../.trash-ID",
    "{venv}/../../../../.trash-ID",
    "{venv}/../../build_ID",
];
