//! Executions of workflows: made, watched, listed and read, over HTTP alone.

use crate::support::definitions::{answers_to, example, limited, step, with, workflow};
use crate::support::executions::{EXECUTIONS, Watched, fresh_scope, id_of};
use crate::support::{EventStream, Request, TestApp, Value, json, kind, laws, types, wait_until};

fn brief() -> Value {
    json!({"brief": {"title": "A bridge", "goal": "People cross the river on foot", "for": ["walkers", "children"]}})
}

/// An execution of the example that has asked.
fn asked(app: &TestApp) -> (Watched<'_>, Value) {
    app.add_workflow(&example());
    let mut it = app.execute("brief-to-plan", &brief());
    let asked = it.until_type("clarification_needed");
    (it, asked)
}

fn completed<'a>(app: &'a TestApp, workflow_id: &str) -> Watched<'a> {
    app.add_workflow(&workflow(workflow_id, &[step("note", &[], "Write it.")]));
    let mut it = app.execute(workflow_id, &json!({}));
    it.ends("completed");
    it
}

fn validator(app: &TestApp, step: &str) -> jsonschema::Validator {
    let schema = app.get(&format!("/api/v1/workflows/brief-to-plan/schema/{step}")).expect(200);
    assert_eq!(schema.header("content-type"), Some("application/schema+json"));
    jsonschema::options().with_draft(jsonschema::Draft::Draft202012).build(&schema.json()).unwrap()
}

#[test]
fn the_example_completes_with_no_key_and_no_network() {
    let app = TestApp::start();
    let (mut it, asked) = asked(&app);
    let questions = &asked["payload"]["questions"];
    assert_eq!((&asked["step_id"], questions.as_array().unwrap().len()), (&json!("requirements"), 2));
    assert_eq!(questions[0]["text"], "Who will use the result?");
    wait_until("the execution waits", || it.show()["status"] == "waiting_clarification");
    let waiting = it.show();
    let pending = &waiting["pending"][0];
    assert_eq!((&pending["kind"], &pending["step_id"]), (&json!("clarification"), &json!("requirements")));
    assert_eq!(
        (&pending["clarification_id"], &pending["questions"]),
        (&asked["payload"]["clarification_id"], questions)
    );
    assert_eq!((&waiting["current_steps"], &waiting["completed_at"]), (&json!(["requirements"]), &Value::Null));
    assert_eq!(it.step("requirements", None)["status"], "waiting_clarification");
    assert_eq!(it.step("summary", None)["status"], "pending");

    let answered = it.answer("requirements", &json!({"answers": {"Q_1": "walkers", "Q_2": "soon"}})).expect(200).json();
    assert_eq!(answered["execution_id"], it.id.as_str());
    let end = it.ends("completed");
    let said = laws::of_kind(&it.seen, "clarification_answered")[0];
    assert_eq!(said["payload"]["answers"], json!({"Q_1": "walkers", "Q_2": "soon"}));

    // One requirement at least, each with a plan of its own.
    let items: Vec<String> = {
        let begun =
            laws::of_kind(&it.seen, "step_started").into_iter().find(|event| event["payload"]["items"].is_array());
        serde_json::from_value(begun.unwrap()["payload"]["items"].clone()).unwrap()
    };
    let requirements = it.content("", "requirements");
    assert_eq!(requirements["requirements"].as_array().unwrap().len(), items.len());
    let summary = it.content("", "summary");
    for (step, document) in [("requirements", &requirements), ("summary", &summary)] {
        assert!(validator(&app, step).is_valid(document), "{step}: {document}");
    }
    for item in &items {
        let plan = it.content(&format!("/plan/{item}"), "plan");
        assert!(validator(&app, "plan").is_valid(&plan), "{item}: {plan}");
        assert_eq!(it.step("plan", Some(item))["status"], "completed");
    }
    assert_eq!(end["payload"]["documents"].as_array().unwrap().len(), 2 + items.len());
    check_documents(&it, &end);
    check_costs(&app, &it);
    check_replies(&it);
}

/// Every reply that is on record is stored.
fn check_replies(it: &Watched<'_>) {
    let calls = it.log_folder().parent().unwrap().join("calls");
    for call in laws::of_kind(&it.seen, "llm_call") {
        let file = calls.join(format!("{}.json", call["payload"]["call_id"].as_str().unwrap()));
        let stored = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        serde_json::from_slice::<Value>(&stored).unwrap();
    }
}

/// What the end names is there, as it says, and is nobody's but this execution's.
fn check_documents(it: &Watched<'_>, end: &Value) {
    for product in end["payload"]["documents"].as_array().unwrap() {
        let target = format!("/api/v1/documents/{}", product["document_id"].as_str().unwrap());
        let shown = it.app.get(&target).expect(200).json();
        for name in ["document_type", "version", "content_digest", "step_id", "item"] {
            assert_eq!(shown[name], product[name], "{name} of {shown}");
        }
        assert_eq!((&shown["execution_id"], &shown["attempt"]), (&json!(it.id), &json!(1)), "{shown}");
        let versions = it.app.get(&format!("{target}/versions")).expect(200).json();
        assert_eq!((&versions["total"], &versions["items"][0]["version"]), (&json!(1), &json!(1)));
        let completed = laws::of_kind(&it.seen, "step_completed");
        let completed =
            completed.iter().find(|event| event["payload"]["document_id"] == product["document_id"]).unwrap();
        for name in ["document_type", "version", "content_digest"] {
            assert_eq!(completed["payload"][name], product[name], "{name} of {completed}");
        }
    }
}

fn check_costs(app: &TestApp, it: &Watched<'_>) {
    it.assert_costs();
    let costs = it.costs();
    assert!(laws::micro(&costs["total_cost_usd"]) > 0, "the builtin models have prices: {costs}");
    for step in ["requirements", "plan", "summary"] {
        let calls = it.seen.iter().filter(|event| event["step_id"] == step);
        let mut sums = laws::Sums::of(calls).as_group();
        sums.as_object_mut().unwrap().remove("executions");
        let told = costs["steps"].as_array().unwrap().iter().find(|told| told["step_id"] == step).unwrap();
        for (name, sum) in sums.as_object().unwrap() {
            assert_eq!(told[name], *sum, "{name} of {told}");
        }
    }
    let own: i64 =
        it.steps().iter().filter(|step| !step["cost_usd"].is_null()).map(|step| laws::micro(&step["cost_usd"])).sum();
    let whole = laws::micro(&costs["total_cost_usd"]);
    assert!(
        own == whole || own == 2 * whole,
        "the steps cost what the execution does, items counted once or with their step: {own} of {whole}"
    );
    laws::assert_summary(&app.get("/api/v1/telemetry/summary").expect(200).json(), &it.seen);
    let stats = app.get("/api/v1/telemetry/workflows/brief-to-plan/stats").expect(200).json();
    assert_eq!((&stats["executions"]["completed"], &stats["clarification_rate"]), (&json!(1), &json!(1.0)), "{stats}");
    assert_eq!(stats["total_cost_usd"], costs["total_cost_usd"]);
}

#[test]
fn created_work_is_reported_and_found() {
    let app = TestApp::start();
    app.add_workflow(&workflow("note", &[step("note", &[], "Write it.\nbuiltin: ask Why?")]));
    let mut body = app.execution_of("note", &json!({}));
    body.as_object_mut().unwrap().remove("input");
    let created = app.post("/api/v1/executions/", &body).expect(201);
    let execution = created.json();
    let id = id_of(&execution);
    assert_eq!(created.header("location"), Some(format!("{EXECUTIONS}/{id}").as_str()));
    let expected = json!({
        "object": "ade.execution", "workflow_id": "note", "revision": 1, "scope_type": "project",
        "scope_id": body["scope_id"], "retry_of_execution_id": null, "failure": null, "completed_at": null,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(execution[name], *value, "{name} of {execution}");
    }
    assert!(id.starts_with("exec_") && execution["created_at"].is_string() && execution["links"].is_object());
    assert!(execution["created_by"].is_string() && execution["workspace_id"].as_str().unwrap().starts_with("ws_"));
    for target in [format!("{EXECUTIONS}/{id}"), format!("{EXECUTIONS}/{id}/")] {
        assert_eq!(app.get(&target).expect(200).json()["execution_id"], execution["execution_id"]);
    }
    let mut it = Watched::new(&app, &execution);
    it.until_type("clarification_needed");
    let started = &it.seen[0];
    for name in ["workflow_id", "revision", "scope_type", "scope_id"] {
        assert_eq!(started["payload"][name], execution[name], "{name} of {started}");
    }
    assert_eq!((&started["payload"]["steps"], &started["sequence"]), (&json!(["note"]), &json!(1)));
    it.cancel().expect(202);
    it.ends("cancelled");
    assert!(it.show()["completed_at"].is_string() && it.show()["started_at"].is_string());
}

#[test]
fn invalid_creation_is_rejected_with_every_error() {
    let app = TestApp::start();
    app.add_workflow(&workflow(
        "two",
        &[
            with(step("note", &["brief", "plan"], "Write it."), json!({"optional_inputs": ["hint"]})),
            step("end", &["note"], "End it."),
        ],
    ));
    let body = |input: Value| app.execution_of("two", &input);
    let errors = |answer: crate::support::Response| -> Vec<(String, String)> {
        let problem = answer.problem(422, "invalid_input");
        let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("{problem}"));
        let text = |error: &Value, name: &str| error[name].as_str().unwrap_or_default().to_owned();
        let mut errors: Vec<_> = errors.iter().map(|error| (text(error, "code"), text(error, "path"))).collect();
        errors.sort();
        errors
    };
    let pair = |code: &str, path: &str| (code.to_owned(), path.to_owned());
    let all = errors(app.post(EXECUTIONS, &body(json!({"plan": {}, "note": {}, "other": 1}))));
    let expected =
        [("input_missing", "input.brief"), ("unknown_input", "input.note"), ("unknown_input", "input.other")];
    assert_eq!(all, expected.map(|(code, path)| pair(code, path)));
    let missing = errors(app.post(EXECUTIONS, &body(json!({}))));
    assert_eq!(missing, [pair("input_missing", "input.brief"), pair("input_missing", "input.plan")]);
    let unknown = app.execution_of("nothing", &json!({}));
    app.post(EXECUTIONS, &unknown).problem(404, "not_found");
    for (name, value) in [
        ("scope_type", json!("")),
        ("scope_id", json!("")),
        ("scope_id", Value::Null),
        ("workflow_id", Value::Null),
        ("input", json!([])),
    ] {
        let mut wrong = body(json!({"brief": 1, "plan": 1}));
        wrong[name] = value;
        let answer = app.post(EXECUTIONS, &wrong);
        assert!([400, 422].contains(&answer.status()), "{name}: {answer}");
    }
    app.post(EXECUTIONS, &json!({})).expect(422);
    app.send(&Request::post(EXECUTIONS).body("application/json", "{")).expect(422);
    for target in [
        "exec_01J00000000000000000000000",
        "exec_01J00000000000000000000000/steps",
        "exec_01J00000000000000000000000/events",
    ] {
        app.get(&format!("{EXECUTIONS}/{target}")).problem(404, "not_found");
    }
    app.get(&format!("{EXECUTIONS}/nonsense")).problem(422, "invalid_id");
    let listed = app.get(EXECUTIONS).expect(200).json();
    assert_eq!(listed["total"], 0, "what was refused is not kept: {listed}");
    let documents = app.get("/api/v1/documents").expect(200).json();
    assert_eq!(documents["total"], 0, "nor are its inputs: {documents}");
}

#[test]
fn inputs_are_handed_over_or_found_in_the_scope() {
    let app = TestApp::start();
    app.add_workflow(&workflow("read", &[step("note", &["brief"], "Write it.")]));
    let scope = fresh_scope();
    let body =
        |input: Value| json!({"workflow_id": "read", "scope_type": "project", "scope_id": scope, "input": input});
    app.post(EXECUTIONS, &body(json!({}))).expect(422);
    let mut first = app.execute_as(&body(json!({"brief": {"title": "One"}})));
    first.ends("completed");
    assert_eq!(
        (first.content("", "brief"), first.content("", "note")["title"].as_str()),
        (json!({"title": "One"}), Some("One"))
    );
    let mut found = app.execute_as(&body(json!({})));
    found.ends("completed");
    let mut again = app.execute_as(&body(json!({"brief": {"title": "Two"}})));
    again.ends("completed");
    assert_eq!(
        (again.content("", "brief"), again.content("", "note")["title"].as_str()),
        (json!({"title": "Two"}), Some("Two"))
    );
    let versions: Vec<_> = again.versions("", "note").iter().map(|version| version["version"].clone()).collect();
    assert_eq!(versions, [3, 2, 1], "every execution writes the next version");
    // What was read is told with its version.
    let inputs = |it: &Watched<'_>| laws::of_kind(&it.seen, "step_started")[0]["payload"]["inputs"].clone();
    let (one, two) = (inputs(&found), inputs(&again));
    assert_eq!((&one[0]["document_type"], &one[0]["document_id"]), (&json!("brief"), &two[0]["document_id"]));
    assert_eq!((&one[0]["version"], &two[0]["version"]), (&json!(1), &json!(2)));
}

#[test]
fn the_same_create_twice_is_one_execution() {
    let app = TestApp::start();
    app.add_workflow(&workflow("note", &[step("note", &["brief"], "Write it.")]));
    let body = app.execution_of("note", &json!({"brief": {"title": "Once"}}));
    let request = Request::post(EXECUTIONS).json(&body).header("Idempotency-Key", "k-1");
    let first = app.send(&request).expect(201);
    let again = app.send(&request).expect(201);
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
    assert_eq!((first.header("location"), &first.body), (again.header("location"), &again.body));
    let mut other = body.clone();
    other["input"]["brief"]["title"] = json!("Twice");
    let other = Request::post(EXECUTIONS).json(&other).header("Idempotency-Key", "k-1");
    app.send(&other).problem(409, "idempotency_key_reused");
    let mut it = Watched::new(&app, &first.json());
    it.ends("completed");
    assert_eq!(app.send(&request).expect(201).body, first.body);
    assert_eq!(app.get(EXECUTIONS).json()["total"], 1);
    assert_eq!((it.versions("", "brief").len(), it.versions("", "note").len()), (1, 1));
    // Eight at once.
    let body = app.execution_of("note", &json!({"brief": 1}));
    let request = Request::post(EXECUTIONS).json(&body).header("Idempotency-Key", "k-2");
    let twins: Vec<_> = (0..8)
        .map(|_| {
            let (request, address) = (request.clone(), app.address);
            std::thread::spawn(move || request.open(address).unwrap().read_all().unwrap().expect(201).json())
        })
        .collect();
    let ids: std::collections::HashSet<_> = twins.into_iter().map(|twin| id_of(&twin.join().unwrap())).collect();
    assert_eq!((ids.len(), &app.get(EXECUTIONS).json()["total"]), (1, &json!(2)));
    let id = ids.into_iter().next().unwrap();
    Watched::new(&app, &app.get(&format!("{EXECUTIONS}/{id}")).json()).ends("completed");
}

#[test]
fn a_create_request_can_return_the_stream() {
    let app = TestApp::start();
    app.add_workflow(&workflow("note", &[step("note", &[], "Write it.")]));
    let mut body = app.execution_of("note", &json!({}));
    body["stream"] = json!(true);
    let mut stream = EventStream::open(app.address, &Request::post(EXECUTIONS).json(&body));
    let seen = stream.until_type("complete");
    assert_eq!(laws::assert_ended(&seen)["payload"]["status"], "completed");
    body.as_object_mut().unwrap().remove("stream");
    let target = format!("{EXECUTIONS}?stream=true");
    let mut stream = EventStream::open(app.address, &Request::post(target).json(&body));
    laws::assert_ended(&stream.until_type("complete"));
    assert!(stream.event().is_none());
}

#[test]
fn lists_are_filtered_and_paged() {
    let app = TestApp::start();
    let done = completed(&app, "one");
    completed(&app, "two");
    app.add_workflow(&workflow("wait", &[step("note", &[], "Write it.\nbuiltin: ask Why?")]));
    let mut waiting = app.execute("wait", &json!({}));
    waiting.until_type("clarification_needed");
    wait_until("it waits", || waiting.show()["status"] == "waiting_clarification");
    let ids = |query: &str| -> Vec<String> {
        let page = app.get(&format!("{EXECUTIONS}?{query}")).expect(200).json();
        let items = page["items"].as_array().unwrap();
        assert_eq!(page["total"], items.len(), "{page}");
        items.iter().map(id_of).collect()
    };
    assert_eq!(ids("").len(), 3);
    assert_eq!(ids("workflow_id=one"), [done.id.as_str()]);
    assert_eq!(ids(&format!("scope_id={}", done.scope)), [done.id.as_str()]);
    assert_eq!(ids(&format!("scope_type=team&scope_id={}", done.scope)), Vec::<String>::new());
    assert_eq!(ids("active=true"), [waiting.id.as_str()]);
    assert_eq!(ids("active=false").len(), 2);
    assert_eq!(ids("status=waiting_clarification"), [waiting.id.as_str()]);
    assert_eq!(ids("status=completed&workflow_id=one"), [done.id.as_str()]);
    assert_eq!(ids("status=failed"), Vec::<String>::new());
    let trailing = app.get("/api/v1/executions/?perPage=2&sort=created_at").expect(200).json();
    assert_eq!((&trailing["pageCount"], trailing["items"].as_array().unwrap().len()), (&json!(2), 2));
    assert_eq!(id_of(&trailing["items"][0]), done.id);
    let item = app.get(&format!("{EXECUTIONS}?workflow_id=one")).json()["items"][0].clone();
    assert_eq!((&item["status"], &item["totals"]), (&json!("completed"), &done.show()["totals"]));
    app.get(&format!("{EXECUTIONS}?colour=red")).expect(400);
    waiting.cancel().expect(202);
    waiting.ends("cancelled");
    assert_eq!(ids("active=true"), Vec::<String>::new());
}

#[test]
fn workspaces_have_workflows_executions_and_documents_of_their_own() {
    let app = TestApp::start();
    let [mine, other] = ["mine", "other"].map(|name| app.create_workspace(name));
    let own = |name: &str, workspace: &str| {
        let mut definition = workflow("note", &[step("note", &["brief"], "Write it.")]);
        definition["name"] = json!(name);
        app.post(&format!("/api/v1/workflows?workspace_id={workspace}"), &definition).expect(201);
    };
    own("Mine", &mine);
    let mut body = app.execution_of("note", &json!({"brief": {"title": "Mine"}}));
    body["workspace_id"] = json!(mine);
    let mut it = app.execute_as(&body);
    it.ends("completed");
    assert_eq!(it.show()["workspace_id"], mine.as_str());
    body["workspace_id"] = json!(other);
    app.post(EXECUTIONS, &body).problem(404, "not_found");
    body["workspace_id"] = json!("ws_01J00000000000000000000000");
    app.post(EXECUTIONS, &body).problem(404, "not_found");
    // The other one's scope of the same name has nothing of it.
    own("Other", &other);
    body["workspace_id"] = json!(other);
    body["input"] = json!({});
    app.post(EXECUTIONS, &body).expect(422);
    let total = |workspace: &str| {
        app.get(&format!("{EXECUTIONS}?workspace_id={workspace}")).expect(200).json()["total"].clone()
    };
    assert_eq!((total(&mine), total(&other)), (json!(1), json!(0)));
    let costs = |workspace: &str| {
        app.get(&format!("/api/v1/telemetry/summary?workspace_id={workspace}")).json()["totals"]["calls"].clone()
    };
    assert_eq!((costs(&mine), costs(&other)), (json!(1), json!(0)));
}

#[test]
fn an_event_is_the_same_bytes_in_every_form() {
    let app = TestApp::start();
    let (mut it, asked) = asked(&app);
    it.answer("requirements", &json!({"answers": answers_to(&asked["payload"]["questions"])})).expect(200);
    it.ends("completed");
    let file = it.log();
    let lines: Vec<&str> = file.lines().collect();
    let target = |rest: &str| format!("{EXECUTIONS}/{}{rest}", it.id);
    let frames = app.stream(&Request::get(target("/events/stream"))).rest();
    assert_eq!(frames.iter().map(|frame| frame.data.as_deref().unwrap()).collect::<Vec<_>>(), lines);
    for frame in &frames {
        let event = frame.json();
        assert_eq!((frame.event.as_deref(), frame.id), (event["type"].as_str(), event["sequence"].as_u64()));
    }
    let constant = app.stream(&Request::get(target("/events/stream?event_names=constant"))).rest();
    assert!(constant.iter().all(|frame| frame.event.as_deref() == Some("ade.event")));
    for rest in ["/events/download", "/events?format=ndjson", "/events?format=ndjson&follow=true"] {
        assert_eq!(app.get(&target(rest)).expect(200).text(), file, "{rest}");
    }
    let page = app.get(&target("/events")).expect(200);
    assert!(page.text().starts_with(&format!(r#"{{"items":[{}]"#, lines.join(","))), "{page}");
    let page = app.get(&target("/events?after_sequence=2&limit=3")).expect(200).json();
    assert_eq!(types(page["items"].as_array().unwrap()), types(&it.seen[2..5]));
    assert_eq!((&page["next_after_sequence"], &page["closed"]), (&json!(5), &json!(true)), "{page}");
    let last = lines.len() as u64;
    for (request, first) in [
        (Request::get(target("/events/stream")).header("Last-Event-ID", 4), 5),
        (Request::get(target("/events/stream?after_sequence=2")).header("Last-Event-ID", 6), 7),
        (Request::get(target("/events?stream=true&from_sequence=3")), 3),
        (Request::get(target("/events/stream?tail=2")), last - 1),
        (Request::get(target("/events")).header("Accept", "text/event-stream"), 1),
        (Request::get(target("/stream")), 1),
    ] {
        let ids: Vec<_> = app.stream(&request).rest().iter().map(|frame| frame.id.unwrap()).collect();
        assert!(ids.iter().copied().eq(first..=last), "{request:?}: {ids:?}");
    }
    let filtered = app.get(&target("/events?types=step_completed")).expect(200).json();
    assert!(
        filtered["items"].as_array().unwrap().iter().all(|event| ["step_completed", "complete"].contains(&kind(event)))
    );
    app.send(&Request::get(target("/events/stream")).header("Last-Event-ID", last)).expect(204);
    app.get(&target(&format!("/events?after_sequence={}", last + 1))).problem(409, "sequence_ahead");
}

#[test]
fn a_returning_reader_misses_nothing_and_a_long_poll_is_held() {
    let app = TestApp::start();
    let (mut it, asked) = asked(&app);
    let target = |rest: &str| format!("{EXECUTIONS}/{}{rest}", it.id);
    let last = it.seen.len() as u64;
    let poll = std::thread::spawn({
        let (request, address) = (Request::get(target(&format!("/events?after_sequence={last}&wait=30"))), app.address);
        move || request.open(address).unwrap().read_all().unwrap().expect(200).json()
    });
    let mut back = app.stream(&Request::get(target("/events/stream")).header("Last-Event-ID", 2));
    let caught_up = back.until_type("clarification_needed");
    assert_eq!(caught_up, it.seen[2..]);
    it.answer("requirements", &json!({"answers": answers_to(&asked["payload"]["questions"])})).expect(200);
    let rest = back.until_type("complete");
    it.ends("completed");
    assert_eq!(rest, it.seen[last as usize..]);
    let polled = poll.join().unwrap();
    assert_eq!(polled["items"][0], it.seen[last as usize], "{polled}");
}

#[test]
fn the_feed_of_the_workspace_reports_it() {
    let app = TestApp::start();
    let (mut it, asked) = asked(&app);
    it.answer("requirements", &json!({"answers": answers_to(&asked["payload"]["questions"])})).expect(200);
    it.ends("completed");
    let feed = format!("/api/v1/workspaces/{}/events", it.show()["workspace_id"].as_str().unwrap());
    let told = || app.get(&feed).expect(200).json()["items"].as_array().unwrap().clone();
    wait_until("the feed has told the end", || told().iter().any(|entry| kind(entry) == "complete"));
    let told = told();
    assert_eq!(types(&told), ["execution_started", "clarification_needed", "complete"]);
    for entry in &told {
        let origin = &entry["payload"]["origin"];
        assert_eq!((&origin["stream"], &entry["execution_id"]), (&json!(it.id), &json!(it.id)), "{entry}");
        let event = &it.seen[origin["sequence"].as_u64().unwrap() as usize - 1];
        let mut payload = entry["payload"].clone();
        payload.as_object_mut().unwrap().remove("origin");
        assert_eq!((kind(entry), payload), (kind(event), event["payload"].clone()));
    }
}

#[test]
fn a_workflow_in_use_stays_and_an_execution_keeps_its_revision() {
    let app = TestApp::start();
    let definition =
        workflow("note", &[step("note", &[], "Write it.\nbuiltin: ask Why?"), step("end", &["note"], "End it.")]);
    let mut it = app.execute_new(&definition);
    it.until_type("clarification_needed");
    let target = "/api/v1/workflows/note";
    app.send(&Request::new("DELETE", target)).problem(409, "workflow_in_use");
    let shorter = workflow("note", &[step("note", &[], "Write it.")]);
    app.send(&Request::new("PUT", target).header("If-Match", "\"1\"").json(&shorter)).expect(200);
    it.answer("note", &json!({"answers": {"Q_1": "so"}})).expect(200);
    it.ends("completed");
    assert_eq!((&it.show()["revision"], it.steps().len()), (&json!(1), 2));
    let mut next = app.execute("note", &json!({}));
    next.ends("completed");
    assert_eq!((&next.show()["revision"], next.steps().len()), (&json!(2), 1));
    app.send(&Request::new("DELETE", target)).expect(204);
    assert_eq!((&it.show()["status"], it.steps().len()), (&json!("completed"), 2), "what it has done stays");
    app.post(EXECUTIONS, &app.execution_of("note", &json!({}))).problem(404, "not_found");
}

#[test]
fn items_have_their_own_chains_and_run_within_the_concurrency_limit() {
    let app = TestApp::start();
    let each = with(
        step("part", &["list"], "Write one.\nbuiltin: delay 20"),
        json!({"for_each": {"document_type": "list", "collection": "items"}}),
    );
    app.add_workflow(&limited(
        "parts",
        &json!({"max_parallel_steps": 1}),
        &[each, step("whole", &["part"], "Sum up.")],
    ));
    let list = json!({"list": {"items": [{"id": "a", "title": "First"}, {"id": "b", "title": "Second"}, {"id": "c", "title": "Third"}]}});
    let body = app.execution_of("parts", &list);
    let mut it = app.execute_as(&body);
    it.ends("completed");
    let parents: Vec<_> =
        it.seen.iter().filter(|event| event["step_id"] == "part" && event["item"].is_null()).collect();
    assert_eq!(parents[0]["payload"]["items"], json!(["a", "b", "c"]));
    assert_eq!(
        parents.last().unwrap()["payload"]["document_id"],
        Value::Null,
        "a step of items has no document itself"
    );
    let mut at_work = 0;
    for event in it
        .seen
        .iter()
        .filter(|event| !event["step_id"].is_null() && (event["step_id"] != "part" || !event["item"].is_null()))
    {
        match kind(event) {
            "step_started" => at_work += 1,
            "step_completed" => at_work -= 1,
            _ => {}
        }
        assert!(at_work <= 1, "{:?}", laws::told(&it.seen));
    }
    app.execute_as(&body).ends("completed");
    for item in ["a", "b", "c"] {
        let versions = it.versions(&format!("/part/{item}"), "part");
        assert_eq!(
            versions.iter().map(|one| one["version"].clone()).collect::<Vec<_>>(),
            [2, 1],
            "{item}: {versions:?}"
        );
        assert!(versions.iter().all(|one| one["item"] == item && one["step_id"] == "part"));
    }
    // A list of nothing is done at once; one that is none is a failure.
    let mut nothing = app.execute("parts", &json!({"list": {"items": []}}));
    nothing.ends("completed");
    assert_eq!(laws::of_kind(&nothing.seen, "llm_call").len(), 1);
    let mut wrong = app.execute("parts", &json!({"list": {"items": "many"}}));
    wrong.ends("failed");
    assert_eq!(wrong.step("part", None)["error"]["code"], "collection_invalid");
    assert_eq!(
        (&wrong.step("whole", None)["status"], laws::of_kind(&wrong.seen, "llm_call").len()),
        (&json!("skipped"), 0)
    );
}

#[test]
fn several_executions_are_read_on_one_connection() {
    let app = TestApp::start();
    app.add_workflow(&workflow("ask", &[step("note", &[], "Write it.\nbuiltin: ask What?")]));
    let [mut one, mut two] = [(); 2].map(|()| app.execute("ask", &json!({})));
    for it in [&mut one, &mut two] {
        it.until_type("clarification_needed");
    }
    let mut both = app.stream(&Request::get(format!("/api/v1/events/stream?stream={}&stream={}", one.id, two.id)));
    for it in [&two, &one] {
        it.answer("note", &json!({"answers": {"Q_1": "so"}})).expect(200);
    }
    let mut seen = Vec::new();
    while let Some(frame) = both.event() {
        seen.push(frame.json());
        if seen.iter().filter(|event| kind(event) == "complete").count() == 2 {
            break;
        }
    }
    for it in [&mut one, &mut two] {
        it.ends("completed");
        let own: Vec<_> = seen.iter().filter(|event| event["execution_id"] == it.id.as_str()).cloned().collect();
        assert_eq!(own, it.seen);
    }
}
