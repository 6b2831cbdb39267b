//! What an engine does to its venv, and to its runs' neighbours.

use super::behaviour::{Act, Behaviour, does};
use super::harness::{Harness, some};

fn on_the_venv() -> Vec<Behaviour> {
    let marker = "{venv}/ade_build.json";
    let mut behaviours: Vec<Behaviour> = [
        "symlink NAME @file",
        "symlink NAME /dev/zero",
        "fifo NAME",
        "directory NAME",
        "sparse NAME",
        "device NAME",
        "loop NAME",
    ]
    .iter()
    .map(|kind| format!("put {}", kind.replace("NAME", marker)))
    .map(|put| does(put.clone(), put).succeeds())
    .collect();
    behaviours.extend([
        does("its venv is gone", "remove {venv}").succeeds(),
        does("its venv is a link", "rename {venv} {venv}.old\nput symlink {venv} @folder").succeeds(),
        does("its build is gone", "remove {venv}/..").succeeds(),
        does("a deep tree in its venv", "deep {venv}/deep 30000\nremove {venv}/ade_build.json").succeeds(),
        does("its interpreter is a FIFO", "put fifo {venv}/bin/python").succeeds(),
        does("its interpreter is a directory", "put directory {venv}/bin/python").succeeds(),
    ]);
    behaviours
}

#[test]
fn a_venv_damaged_by_an_engine_is_rebuilt() {
    Harness::open(&[("ADE_RUN_TIMEOUT", "60s")]).hear_all(on_the_venv());
}

#[test]
fn special_files_beside_a_run_block_no_one() {
    let behaviours = ["symlink NAME @file", "fifo NAME", "symlink NAME /dev/zero", "directory NAME", "loop NAME"]
        .iter()
        .flat_map(|kind| BESIDE.iter().map(move |name| format!("put {}", kind.replace("NAME", name))))
        .map(|put| does(put.clone(), format!("{put}\nsay ready\nsleep 100")).acting(Act::Kill).fails("interrupted"));
    Harness::open(&[]).hear_all(some(behaviours, 0, 3));
}

/// Runs, documents and configurations that there are not.
const BESIDE: &[&str] = &[
    "../run_01JZZZZZZZZZZZZZZZZZZZZZZZ",
    "../../documents/doc_01JZZZZZZZZZZZZZZZZZZZZZZZ",
    "../../configurations/cfg_01JZZZZZZZZZZZZZZZZZZZZZZZ",
    "../../../ws_01JZZZZZZZZZZZZZZZZZZZZZZZ",
];
