//! An engine with the exact shapes of the public 0.2.0, from its command to its report.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use ade::domain::run::RunOptions;
use ade::domain::{BuildId, ConfigurationId, RunId, WorkspaceId};
use ade::event::payload::console::Pipe;
use ade::event::{Draft, Source};
use ade::isolation::Policy;
use ade::worker::environment::Environment;
use ade::worker::process::{Exit, Process, ResourceLimits};
use ade::worker::run::engine::{EngineCommand, Input};
use ade::worker::run::parse::{EngineParser, Way};
use ade::worker::run::rewrite::Names;
use ade::worker::run::tail::Tail;
use serde_json::{Value, json};

use crate::launcher;

/// Opens, writes and closes its event file for every event, and answers with its own ids and absolute paths.
const ENGINE: &str = r#"
import json, os, sys
args = dict(zip(sys.argv[3::2], sys.argv[4::2]))
assert sys.argv[1:3] == ["ade_engine", "run"], sys.argv
logs = args["--logs-dir"]
sequence = 0
def emit(kind, **payload):
    global sequence
    sequence += 2
    event = {"type": kind, "event_id": None, "created_at": "2025-12-03T10:00:%02d.000000Z" % sequence,
             "sequence": sequence, "source": "engine", "workspace_id": None, "configuration_id": None,
             "run_id": "01a1faad-7f8c-76e3-828b-b12c616f9343", "build_id": None, "payload": payload}
    with open(os.path.join(logs, "events.ndjson"), "a") as file:
        file.write(json.dumps(event) + "\n")
def table(sheet):
    emit("run.table.summary", table_id="tbl_0", source_file=args["--input"], source_sheet=sheet, table_index=0,
         row_count=3, column_count=2, mapped_fields=[], mapping={"mapped_columns": [], "unmapped_columns": []},
         validation={"total": 0, "issues_total": 0}, details={"header_row": 1, "first_data_row": 2})
emit("run.started", status="in_progress", engine_version="0.2.0")
emit("console.line", scope="run", stream="stdout", level="warning", message="hello", details={})
for phase in ["extracting", "mapping"]:
    emit("run.phase.started", phase=phase)
print("printed by a hook", "run_id=" + os.environ["ADE_RUN_ID"] in sys.argv)
table("One"); table("Two")
output = os.path.join(args["--output-dir"], "normalized.xlsx")
emit("run.completed", status="succeeded", output_paths=[output], processed_files=[os.path.basename(args["--input"])],
     events_path=os.path.join(logs, "events.ndjson"))
print("a note on stderr", file=sys.stderr)
print(json.dumps({"status": "succeeded", "run_id": "01a1faad", "output_paths": [output], "logs_dir": logs,
                  "processed_files": [os.path.basename(args["--input"])]}))
"#;

/// A folder that looks like a venv, whose interpreter runs `script` whatever module it is asked for.
fn venv(folder: &Path, script: &str) -> std::path::PathBuf {
    let venv = folder.join(".venv");
    fs::create_dir_all(venv.join("bin")).unwrap();
    fs::write(venv.join("engine.py"), script).unwrap();
    let python = venv.join("bin/python");
    let shell = format!("#!/bin/sh\nshift\nexec /usr/bin/python3 -I '{}' \"$@\"\n", venv.join("engine.py").display());
    fs::write(&python, shell).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    venv
}

struct Told {
    drafts: Vec<Draft>,
    parser: EngineParser,
    exit: Exit,
}

/// Drives an engine as a run does: both ways at once, then the file to its end.
async fn drive(folder: &Path, script: &str) -> Told {
    let venv = venv(folder, script);
    for name in ["input", "output", "engine-logs"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    let service: Environment = std::env::vars_os().collect();
    let options = RunOptions::default();
    let documents = [("doc_1.csv".to_owned(), "people.csv".to_owned())].into();
    let command = EngineCommand {
        run_id: RunId::generate(),
        build_id: BuildId::generate(),
        workspace_id: WorkspaceId::generate(),
        configuration_id: ConfigurationId::generate(),
        options: &options,
        documents: &documents,
        venv: &venv,
        directory: folder,
        output: &folder.join("output"),
        service: &service,
        allow: &[],
        limits: ResourceLimits::default(),
        policy: &Policy::default(),
        temporary: None,
    };
    let mut tail = Tail::new(folder.to_owned(), command.logs().strip_prefix(folder).unwrap().to_owned());
    let mut process =
        Process::spawn(&launcher(), &command.run(&Input::File(folder.join("input/doc_1.csv")))).await.unwrap();
    let names = Names::new([folder.to_str().unwrap().to_owned()], documents.clone());
    let (mut parser, mut drafts) = (EngineParser::new(names), Vec::new());
    let mut running = true;
    loop {
        let (way, batch) = tokio::select! {
            output = process.next(), if running => match output {
                Some((Pipe::Stdout, batch)) => (Way::Stdout, batch),
                Some((Pipe::Stderr, batch)) => (Way::Stderr, batch),
                None => {
                    running = false;
                    tail.end();
                    continue;
                }
            },
            batch = tail.next() => match batch {
                Some(batch) => (Way::File, batch),
                None => break,
            },
        };
        for line in batch.lines {
            parser.line(way, line, chrono::Utc::now(), &mut drafts);
        }
    }
    let exit = process.outcome().await.exit;
    parser.finish(exit, chrono::Utc::now(), &mut drafts);
    Told { drafts, parser, exit }
}

fn payload(draft: &Draft) -> Value {
    serde_json::from_str(draft.payload.get()).unwrap()
}

#[tokio::test]
async fn the_public_engine_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let told = drive(folder.path(), ENGINE).await;
    assert_eq!(told.exit.code, Some(0));
    let of_file = |draft: &&Draft| draft.engine_timestamp.is_some() || draft.source == Source::Api;
    let events: Vec<_> = told.drafts.iter().filter(of_file).collect();
    let kinds: Vec<_> = events.iter().map(|draft| &*draft.kind).collect();
    let expected = [
        "console.line",
        "run.phase.started",
        "run.phase.completed",
        "run.phase.started",
        "run.table.summary",
        "run.table.summary",
        "run.phase.completed",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(payload(events[0])["level"], "warn");
    assert_eq!(payload(events[2])["duration_ms"], 2000);
    assert_eq!(payload(events[4])["table_id"], "tbl_0_0_0");
    assert_eq!(payload(events[5])["table_id"], "tbl_0_1_0");
    assert_eq!(payload(events[5])["source_file"], "people.csv");
    assert_eq!(payload(events[5])["metadata"], json!({"header_row": 1, "first_data_row": 2}));

    let printed: Vec<_> = told.drafts.iter().filter(|draft| !of_file(draft)).map(payload).collect();
    let messages: Vec<_> = printed.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages.len(), 2, "the result is no line: {messages:?}");
    assert!(messages.contains(&"printed by a hook True") && messages.contains(&"a note on stderr"));

    let report = told.parser.report();
    assert_eq!(told.parser.failure(told.exit), None);
    assert_eq!(report.engine_version.as_deref(), Some("0.2.0"));
    assert_eq!(report.output_paths.paths, ["output/normalized.xlsx"]);
    assert_eq!(report.processed_files.paths, ["people.csv"]);
}

#[tokio::test]
async fn an_engine_that_dies_without_an_event_leaves_its_stderr() {
    let folder = tempfile::tempdir().unwrap();
    let told = drive(folder.path(), "import sys; sys.exit('usage: nothing fits')").await;
    let lines: Vec<_> = told.drafts.iter().map(payload).collect();
    assert_eq!(lines, [json!({"scope": "run", "stream": "stderr", "level": "warn", "message": "usage: nothing fits"})]);
    let failure = told.parser.failure(told.exit).unwrap().failure;
    assert_eq!(failure.message, "the engine exited with code 1");
}

#[tokio::test]
#[ignore = "a measurement; use --release"]
async fn how_fast_lines_become_drafts() {
    const LINES: u32 = 600_000;
    let folder = tempfile::tempdir().unwrap();
    let event = r#"{"type": "run.validation.issue", "created_at": "2026-01-02T03:04:05.678901Z", "payload": {"severity": "warning", "code": "missing", "field": "email", "row": 123456, "message": "a value is required"}}"#;
    let script = format!(
        "import sys\nblock = '''{event}\n''' * 1000\nfor _ in range({}): sys.stdout.write(block)",
        LINES / 1000
    );
    let begin = Instant::now();
    let told = drive(folder.path(), &script).await;
    let took = begin.elapsed();
    assert_eq!(told.drafts.len(), LINES as usize);
    println!("{LINES} lines in {took:?}, {:?} a line", took / LINES);
}
