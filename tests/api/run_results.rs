//! What a run leaves: summary, outputs, logs, diagnostics.

use crate::support::{Request, TestApp, Value, json};

fn path(run: &Value, below: &str) -> String {
    format!("/api/v1/runs/{}{below}", run["id"].as_str().unwrap())
}

fn table(number: u64, source: &str) -> Value {
    json!(["event", {"type": "run.table.summary", "payload": {
        "table_id": format!("t{number}"), "source_file": source, "source_sheet": "One", "file_index": 0,
        "sheet_index": 0, "table_index": number, "row_count": 10 * number, "column_count": 2,
        "mapping": {
            "mapped_columns": [{"field": "email", "header": "Mail", "source_column_index": 0, "score": 0.9,
                "is_required": false, "is_satisfied": true}],
            "unmapped_columns": [{"header": "Odd", "source_column_index": 1, "output_header": "raw_1"}]
        },
        "validation": {"issues_total": number, "issues_by_severity": {"error": number},
            "issues_by_code": {"bad": number}, "issues_by_field": {"email": number}, "max_severity": "error"},
        "details": {"header_row": 1, "first_data_row": 2, "last_data_row": 3}
    }}])
}

#[test]
fn the_summary_adds_up() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &json!([table(1, "a.csv"), table(2, "a.csv")]));
    assert_eq!((&run["table_count"], &run["row_count"]), (&json!(2), &json!(30)));
    assert_eq!(run["max_validation_severity"], "error");
    let summary = app.get(&path(&run, "/summary")).expect(200).json();
    assert_eq!(summary["schema"], "ade.run_summary/v1");
    assert_eq!((&summary["run"]["id"], &summary["run"]["status"]), (&run["id"], &json!("succeeded")));
    assert_eq!(summary["core"]["table_count"], 2);
    let files = summary["breakdowns"]["by_file"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{summary}");
    assert_eq!(files[0]["row_count"], 30);
    let fields = summary["breakdowns"]["by_field"].as_array().unwrap();
    assert!(fields.iter().any(|field| field["field"] == "email"), "{summary}");
}

#[test]
fn a_running_run_has_no_summary() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.held_run(&project);
    app.get(&format!("/api/v1/runs/{run}/summary")).problem(404, "not_found");
    app.touch("go");
    app.finish_run(&run);
    app.get(&format!("/api/v1/runs/{run}/summary")).expect(200);
}

#[test]
fn a_summary_missing_from_the_row_is_folded_from_the_log() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &json!([table(1, "a.csv"), table(2, "b.csv")]));
    let stored = app.get(&path(&run, "/summary")).expect(200).json();
    app.change_database("UPDATE runs SET summary = NULL");
    assert_eq!(app.get(&path(&run, "/summary")).expect(200).json(), stored);
}

#[test]
fn every_link_of_a_resource_leads_to_something() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &json!([["output", "normalized.xlsx", "x"]]));
    let build = app.list_builds(&project)[0].clone();
    let document = app.get(&project.documents()).json()["items"][0].clone();
    for resource in [&run, &build, &document] {
        for (name, link) in resource["links"].as_object().unwrap() {
            let target = link.as_str().unwrap();
            match name.as_str() {
                "cancel" => drop(
                    app.send(&Request::post(target))
                        .problem(409, if *resource == run { "run_not_cancellable" } else { "build_not_cancellable" }),
                ),
                // The scripted engine's document is JSON.
                "sheets" => drop(app.get(target).problem(415, "unsupported_media_type")),
                _ => drop(app.get(target).expect(200)),
            }
        }
    }
}

#[test]
fn outputs_are_listed_and_served_whole_or_by_range() {
    let app = TestApp::start();
    let project = app.project();
    let run =
        app.run(&project, &json!([["output", "normalized.xlsx", "0123456789"], ["output", "more/a b%.csv", "x"]]));
    let files = app.get(&path(&run, "/outputs")).expect(200).json()["files"].clone();
    assert_eq!(files.as_array().unwrap().len(), 2, "{files}");
    for file in files.as_array().unwrap() {
        let keys: Vec<_> = file.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["byte_size", "content_type", "download_url", "kind", "name"]);
        let download = app.get(file["download_url"].as_str().unwrap()).expect(200);
        assert_eq!(download.body.len(), file["byte_size"].as_u64().unwrap() as usize);
        assert_eq!(download.header("content-type"), file["content_type"].as_str());
    }

    let target = path(&run, "/outputs/normalized.xlsx");
    let whole = app.get(&target).expect(200);
    assert_eq!((whole.text(), whole.header("accept-ranges")), ("0123456789", Some("bytes")));
    assert!(whole.header("content-disposition").unwrap().starts_with("attachment"));
    let etag = whole.header("etag").unwrap();
    let head = app.send(&Request::new("HEAD", &target)).expect(200);
    assert!(head.body.is_empty());
    for name in ["content-length", "content-type", "content-disposition", "etag", "accept-ranges"] {
        assert_eq!(head.header(name), whole.header(name), "{name}");
    }
    let unchanged = app.send(&Request::get(&target).header("If-None-Match", etag)).expect(304);
    assert_eq!(unchanged.header("etag"), Some(etag));
    for (range, part, shown) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
    ] {
        let answer = app.send(&Request::get(&target).header("Range", range)).expect(206);
        assert_eq!((answer.text(), answer.header("content-range")), (part, Some(shown)));
    }
    let stale = Request::get(&target).header("Range", "bytes=2-4").header("If-Range", "\"other\"");
    assert_eq!(app.send(&stale).expect(200).text(), "0123456789");
    let beyond = app.send(&Request::get(&target).header("Range", "bytes=10-"));
    assert_eq!(beyond.header("content-range"), Some("bytes */10"));
    beyond.problem(416, "range_not_satisfiable");
}

#[test]
fn nothing_outside_the_output_folder_is_an_output() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(
        &project,
        &json!([
            ["output", "x.csv", "1"],
            ["link", "leak", "/etc/passwd"],
            ["link", "up", ".."],
            ["link", "inside", "x.csv"]
        ]),
    );
    assert_eq!(run["output_paths"], json!(["output/x.csv"]));
    app.get(&path(&run, "/outputs/nothing.csv")).problem(404, "no_output");
    for below in [
        "../logs/events.ndjson",
        "..%2Flogs%2Fevents.ndjson",
        "%2e%2e/logs/events.ndjson",
        "/etc/passwd",
        "%2Fetc%2Fpasswd",
        "leak",
        "up/logs/events.ndjson",
        "x.csv/y",
        ".",
        "inside",
        "x%00.csv",
        &"x".repeat(300),
    ] {
        let answer = app.get(&path(&run, &format!("/outputs/{below}")));
        assert!(answer.status() == 404, "{below}: {answer}");
    }
}

#[test]
fn logs_are_the_console_lines_in_pages() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(
        &project,
        &json!([["say", "one"], ["complain", "two"], ["event", {"type": "run.note", "payload": {}}], ["say", "three"]]),
    );
    let logs = app.get(&path(&run, "/logs")).expect(200).json();
    let entries = logs["entries"].as_array().unwrap();
    let keys: Vec<_> = entries[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["created_at", "id", "level", "message", "scope", "stream"]);
    let of_run: Vec<_> = entries.iter().filter(|entry| entry["scope"] == "run").collect();
    assert_eq!(of_run.len(), 4, "{logs}");

    let (mut after, mut paged) = (0, Vec::new());
    loop {
        let page = app.get(&path(&run, &format!("/logs?limit=2&after_id={after}"))).expect(200).json();
        let found = page["entries"].as_array().unwrap().clone();
        assert!(found.len() <= 2);
        if found.is_empty() {
            break;
        }
        after = page["next_after_id"].as_u64().unwrap();
        paged.extend(found);
    }
    assert_eq!(&paged, entries);
    app.get(&path(&run, "/logs?limit=0")).problem(400, "invalid_query");
    app.get(&path(&run, "/logs?after_id=x")).problem(400, "invalid_query");
    app.get(&path(&run, "/logs?colour=red")).problem(400, "invalid_query");
}

#[test]
fn the_log_file_is_the_download() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &json!([]));
    let file = app.get(&path(&run, "/logfile")).expect(200);
    assert_eq!(file.body, app.get(&path(&run, "/events/download")).expect(200).body);
    assert_eq!(run["links"]["logfile"], path(&run, "/logfile"));
}

#[test]
fn diagnostics_show_how_the_engine_ended_but_no_environment_values() {
    let app = TestApp::with(&[("MINE", "hush"), ("ADE_ENGINE_ENV_ALLOW", "MINE")]);
    let project = app.project();
    let run = app.run(
        &project,
        &json!([
            ["event", {"type": "run.phase.started", "payload": {"phase": "extracting"}}],
            ["complain", "it broke"],
            ["exit", 5],
        ]),
    );
    let text = app.get(&path(&run, "/diagnostics")).expect(200);
    assert!(!text.text().contains("hush"));
    let told = text.json();
    let engine = &told["engine"];
    assert_eq!(engine["exit"]["code"], 5);
    assert!(engine["command"].as_array().unwrap().iter().any(|word| word == "ade_engine"), "{told}");
    assert!(engine["environment"].as_array().unwrap().contains(&json!("MINE")), "{told}");
    assert!(engine["usage"].is_object(), "{told}");
    let lines = told["last_lines"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["message"] == "it broke"), "{told}");
    let phases = told["phases"].as_array().unwrap();
    assert!(phases.iter().all(|phase| phase["duration_ms"].is_u64() && phase["status"].is_string()), "{told}");
    let of = |scope: &str| -> Vec<&str> {
        phases.iter().filter(|phase| phase["scope"] == scope).map(|phase| phase["phase"].as_str().unwrap()).collect()
    };
    assert_eq!((of("run"), of("build").len()), (vec!["extracting"], 6), "{told}");
    for key in ["user_ms", "system_ms", "max_resident_bytes"] {
        assert!(engine["usage"][key].is_u64(), "{told}");
    }
    assert_eq!((&engine["exit"]["signal"], &engine["output_truncated"]), (&Value::Null, &json!(false)));
    assert!(engine["result"].is_object() && told["log"]["bytes"].is_u64());
    assert_eq!((&told["log"]["last_sequence"], &told["log"]["closed"]), (&run["last_sequence"], &json!(true)));
}
