//! The section `Workflows` of `README.md`, followed by a reader who copies every command of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::outcome;
use crate::support::server::{Server, Settings, ade, settings};

const PAGE: &str = include_str!("../../README.md");

/// The `sh` blocks of the section, in their order.
fn blocks() -> Vec<&'static str> {
    let section = PAGE.split("\n## ").find(|section| section.starts_with("Workflows\n")).expect("there is the section");
    section.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("\n```")).map(|(block, _)| block).collect()
}

/// Runs commands as they stand, but for the program and the port.
fn follow(data_dir: &Path, address: &str, commands: &str, input: &str) -> String {
    let script =
        commands.replace("cargo run --release --", env!("CARGO_BIN_EXE_ade")).replace("127.0.0.1:8000", address);
    let script = script.replace("data/admin.key", &data_dir.join("admin.key").display().to_string());
    let environment = ade(data_dir, &Settings::new());
    let typed = data_dir.join("typed.txt");
    fs::write(&typed, input).unwrap();
    let mut shell = Command::new("bash");
    shell.env_clear().envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(env!("CARGO_MANIFEST_DIR")).args(["-eu", "-o", "pipefail", "-c", &script]);
    let output = shell.stdin(Stdio::from(fs::File::open(typed).unwrap())).output().unwrap();
    let (code, out, err) = outcome(&output);
    assert_eq!(code, Some(0), "{out}\n{err}");
    out
}

/// As a reader's service is.
fn signing_in() -> Settings {
    let mut settings = settings();
    settings.insert("ADE_AUTH", "on".into());
    settings
}

/// The JSON documents that stand one behind the other.
fn documents(text: &str) -> Vec<Value> {
    text.match_indices("{\"")
        .filter_map(|(at, _)| {
            let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter();
            values.next().and_then(Result::ok)
        })
        .collect()
}

#[test]
fn the_example_runs_by_one_command_without_a_service() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = blocks();
    assert_eq!(blocks.len(), 2);
    let out = follow(folder.path(), "127.0.0.1:9", blocks[0], "The board\nsoon\n");
    for expected in ["Who will use the result?", "  1) soon", "execution completed", "summary doc_", "USD"] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
}

#[test]
fn the_example_runs_over_http_as_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &signing_in());
    let out = follow(folder.path(), &server.address.to_string(), blocks()[1], "");
    for event in ["execution_started", "clarification_needed", "clarification_answered", "step_completed", "complete"] {
        assert!(out.contains(&format!("event: {event}\n")), "{event}: {out}");
    }
    let documents = documents(&out);
    let version =
        documents.iter().find(|document| document["document_type"] == "summary" && !document["content"].is_null());
    assert_eq!(version.expect("version 1 of the summary")["version"], 1, "{out}");
    let costs = documents.iter().find(|document| document["total_cost_usd"].is_string()).expect("costs");
    assert_ne!(costs["total_cost_usd"], "0.000000", "{out}");
    assert!(costs["steps"].as_array().is_some_and(|steps| steps.len() == 3), "{out}");
    server.stop();
}
