//! What an engine is told about its documents, and what becomes of its own words about its failure.

use crate::support::{Project, TestApp, Value, json};

fn start(app: &TestApp, project: &Project, documents: &[String], options: Value) -> Value {
    let mut options = options;
    options["document_ids"] = json!(documents);
    let run = app.post(&project.runs(), &json!({"options": options})).expect(201).json();
    app.finish_run(run["id"].as_str().unwrap())
}

fn metadata(told: &Value) -> Vec<String> {
    let arguments: Vec<&str> = told["arguments"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let pairs = arguments.windows(2).filter(|pair| pair[0] == "--metadata");
    pairs.map(|pair| pair[1].to_owned()).collect()
}

#[test]
fn an_engine_learns_the_names_of_its_documents() {
    let app = TestApp::start();
    let project = app.project();
    let steps = json!([["describe", "told.json"]]).to_string();
    let one = app.upload(&project, "Q1 Ums\u{e4}tze (final).JSON", steps.as_bytes());
    let run = start(&app, &project, std::slice::from_ref(&one), json!({"metadata": {"k": "v"}}));
    let outputs = format!("/api/v1/runs/{}/outputs/told.json", run["id"].as_str().unwrap());
    let told = app.get(&outputs).expect(200).json();
    let input = told["inputs"][0].as_str().unwrap();
    assert!(input.ends_with(&format!("/input/{one}-Q1_Ums_tze_final.json")), "{input}");
    let pairs = metadata(&told);
    assert_eq!((pairs.first().unwrap().as_str(), pairs.len()), ("k=v", 6), "{pairs:?}");
    assert_eq!(pairs.last().unwrap(), "document_name=Q1 Ums\u{e4}tze (final).JSON");

    let two = app.upload(&project, "Q1 Ums\u{e4}tze (final).JSON", b"[]");
    let run = start(&app, &project, &[one.clone(), two.clone()], json!({}));
    let outputs = format!("/api/v1/runs/{}/outputs/told.json", run["id"].as_str().unwrap());
    let pairs = metadata(&app.get(&outputs).expect(200).json());
    let names = pairs.last().unwrap().strip_prefix("document_names=").unwrap();
    let name = "Q1 Ums\u{e4}tze (final).JSON";
    let expected = json!({format!("{one}-Q1_Ums_tze_final.json"): name, format!("{two}-Q1_Ums_tze_final.json"): name});
    assert_eq!(serde_json::from_str::<Value>(names).unwrap(), expected);
}

#[test]
fn two_documents_with_one_name_are_staged_as_two_files() {
    let app = TestApp::start();
    let project = app.project();
    // Each step is done by the engine for the first document; the tables are those of both.
    let first = app.upload(&project, "people.csv", b"[]");
    let second = app.upload(&project, "people.csv", b"[]");
    let table = |document: &str, rows: u64| {
        let path = format!("input/{document}-people.csv");
        json!(["event", {"type": "run.table.summary", "payload": {"source_file": path, "source_sheet": null,
            "table_index": 0, "table_id": "tbl_0", "row_count": rows}}])
    };
    let warning = json!(["event", {"type": "run.validation.issue", "payload":
        {"severity": "warning", "message": format!("{first}-people.csv has no header")}}]);
    let steps = json!([table(&first, 1), table(&second, 2), warning]).to_string();
    let third = app.upload(&project, "steps.json", steps.as_bytes());
    let run = start(&app, &project, &[first, second, third], json!({}));
    assert_eq!(run["status"], "succeeded", "{run}");
    let id = run["id"].as_str().unwrap();
    let events = app.run_events(id);
    let of = |kind: &str| {
        events.iter().filter(|event| event["type"] == kind).map(|event| &event["payload"]).collect::<Vec<_>>()
    };
    let shape: Vec<_> = of("run.table.summary")
        .iter()
        .map(|table| (table["source_file"].clone(), table["file_index"].clone()))
        .collect();
    assert_eq!(shape, [(json!("people.csv"), json!(0)), (json!("people.csv"), json!(1))]);
    assert_eq!(of("run.validation.issue")[0]["message"], "people.csv has no header");
    let summary = app.get(&format!("/api/v1/runs/{id}/summary")).expect(200).json();
    let files = summary["breakdowns"]["by_file"].as_array().unwrap();
    let shape: Vec<_> = files.iter().map(|file| (file["file_index"].clone(), file["row_count"].clone())).collect();
    assert_eq!(shape, [(json!(0), json!(1)), (json!(1), json!(2))], "{summary}");
    assert_eq!((&summary["core"]["input_sheet_count"], &summary["truncated"]), (&json!(2), &Value::Null));
}

/// Code, stage and message of the row, the terminal event and the summary, which must be one.
#[track_caller]
fn failure(app: &TestApp, run: &Value) -> (Value, Value) {
    let id = run["id"].as_str().unwrap();
    let events = app.run_events(id);
    let failure = events.last().unwrap()["payload"]["failure"].clone();
    let of_row = json!({"code": run["failure_code"], "stage": run["failure_stage"], "message": run["failure_message"]});
    assert_eq!((&run["status"], &failure), (&json!("failed"), &of_row));
    let summary = app.get(&format!("/api/v1/runs/{id}/summary")).expect(200).json();
    assert_eq!(
        (&summary["run"]["failure_code"], &summary["run"]["failure_stage"]),
        (&failure["code"], &failure["stage"])
    );
    let errors: Vec<_> = events.iter().filter(|event| event["type"] == "run.error").collect();
    assert_eq!(errors.len(), 1, "told once");
    let error = errors[0]["payload"].clone();
    assert_eq!(
        (&error["code"], &error["stage"], &error["message"]),
        (&failure["code"], &failure["stage"], &failure["message"])
    );
    (failure, error)
}

#[test]
fn an_engines_error_is_the_failure_of_its_run() {
    let app = TestApp::start();
    let project = app.project();
    let error = json!({"code": "no_tables_found", "stage": "extracting", "message": "there is no table",
        "details": {"sheets": 3}});
    let phase = json!(["event", {"type": "run.phase.started", "payload": {"phase": "extracting"}}]);
    let result = json!(["result", {"status": "failed", "output_paths": [], "error": error}]);
    let run = app.run(&project, &json!([phase, result, ["exit", 1]]));
    let (found, told) = failure(&app, &run);
    assert_eq!(found, json!({"code": "no_tables_found", "stage": "extracting", "message": "there is no table"}));
    assert_eq!((&told["details"], &told["phase"]), (&json!({"sheets": 3}), &json!("extracting")));

    let completed = json!(["event", {"type": "run.completed", "payload": {"status": "failed", "error": error}}]);
    let (found, told) = failure(&app, &app.run(&project, &json!([completed, ["exit", 1]])));
    assert_eq!((&found["code"], &told["details"]), (&json!("no_tables_found"), &json!({"sheets": 3})));

    let own =
        json!(["event", {"type": "run.error", "payload": {"code": "hook_error", "stage": "mapping", "message": "m"}}]);
    let (found, _) = failure(&app, &app.run(&project, &json!([own, ["exit", 1]])));
    assert_eq!(found, json!({"code": "hook_error", "stage": "mapping", "message": "m"}));

    let plain = json!(["result", {"status": "failed", "error": "boom"}]);
    let (found, _) = failure(&app, &app.run(&project, &json!([plain])));
    assert_eq!(found, json!({"code": "engine_error", "stage": "run", "message": "boom"}));

    let forged = json!(["result", {"status": "failed", "error": {"code": "run_cancelled", "message": "m"}}]);
    let (found, told) = failure(&app, &app.run(&project, &json!([forged])));
    assert_eq!((&found["code"], &told["details"]["engine_code"]), (&json!("engine_error"), &json!("run_cancelled")));
}
