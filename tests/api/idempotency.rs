//! A create that is sent twice under one key makes one run.

use ade::domain::time::micros;
use ade::store::Store;

use crate::support::{Project, Request, TestApp, Value, json};

fn total(app: &TestApp, project: &Project) -> Value {
    app.get(&project.runs()).expect(200).json()["total"].clone()
}

fn id(run: &Value) -> &str {
    run["id"].as_str().unwrap()
}

#[test]
fn the_same_request_gets_the_same_answer_also_after_a_restart() {
    let app = TestApp::start();
    let project = app.project();
    let request =
        app.run_request(&project, &json!([]), json!({"metadata": {"k": "v"}})).header("Idempotency-Key", "a-1");
    let first = app.send(&request).expect(201);
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = |app: &TestApp| {
        let again = app.send(&request).expect(201);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!((again.header("location"), &again.body), (first.header("location"), &first.body));
    };
    again(&app);
    app.finish_run(id(&first.json()));
    again(&app);
    let app = app.restart();
    again(&app);
    assert_eq!(total(&app, &project), 1);
    // Without a key, or under another, it is another run.
    let plain = app.send(&request.clone().header("X-Other", "1")).expect(201);
    assert_eq!(id(&plain.json()), id(&first.json()));
    assert_ne!(id(&app.send(&app.run_request(&project, &json!([]), json!({}))).expect(201).json()), id(&first.json()));
}

#[test]
fn a_different_request_under_the_same_key_is_rejected() {
    let app = TestApp::start();
    let (project, other) = (app.project(), app.project());
    let validate = |project: &Project, options: Value| {
        Request::post(project.runs()).json(&json!({"options": options})).header("Idempotency-Key", "k")
    };
    let first = app.send(&validate(&project, json!({"validate_only": true}))).expect(201).json();
    let forced = validate(&project, json!({"validate_only": true, "force_rebuild": true}));
    app.send(&forced).problem(409, "idempotency_key_reused");
    app.send(&validate(&other, json!({"validate_only": true}))).problem(409, "idempotency_key_reused");
    app.finish_run(id(&first));
    let retry = Request::post(format!("/api/v1/runs/{}/retry", id(&first))).header("Idempotency-Key", "k");
    app.send(&retry).problem(409, "idempotency_key_reused");
    assert_eq!((total(&app, &project), total(&app, &other)), (json!(1), json!(0)));
    // The same, written in another way and with its defaults said.
    let target = format!("/api/v1/workspaces/{}/configurations/{}/runs", project.workspace, project.configuration);
    let spelled = Request::post(target).json(&json!({"options": {"dry_run": false, "validate_only": true}}));
    assert_eq!(app.send(&spelled.header("Idempotency-Key", "k")).expect(201).json(), first);
}

#[test]
fn a_streaming_create_joins_the_existing_run() {
    let app = TestApp::start();
    let project = app.project();
    let plain = app.run_request(&project, &json!([["say", "here"], ["await", app.path("go")]]), json!({}));
    let plain = plain.header("Idempotency-Key", "s");
    let run = app.send(&plain).expect(201).json();
    let streaming = plain.with_query("stream=true");
    let mut stream = app.stream(&streaming);
    assert_eq!(stream.head.header("idempotency-replayed"), Some("true"));
    let first = stream.event().unwrap().json();
    assert_eq!((&first["sequence"], &first["type"], &first["run_id"]), (&json!(1), &json!("run.queued"), &run["id"]));
    app.touch("go");
    stream.until_type("run.completed");
    // Also when it is over; and the other way round.
    assert_eq!(app.stream(&streaming).until_type("run.completed")[0]["run_id"], run["id"]);
    assert_eq!(app.send(&plain).expect(201).json(), run);
    assert_eq!(total(&app, &project), 1);
}

#[test]
fn concurrent_duplicates_create_one_run() {
    let app = TestApp::start();
    let project = app.project();
    for round in 0..5 {
        let request = Request::post(project.runs()).json(&json!({"options": {"validate_only": true}}));
        let request = request.header("Idempotency-Key", format!("twin-{round}"));
        let address = app.address;
        let twins: Vec<_> = (0..8)
            .map(|_| {
                let request = request.clone();
                std::thread::spawn(move || request.open(address).unwrap().read_all().unwrap().expect(201))
            })
            .collect();
        let answers: Vec<_> = twins.into_iter().map(|twin| twin.join().unwrap()).collect();
        assert!(answers.iter().all(|answer| answer.body == answers[0].body));
        let fresh = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count();
        assert_eq!((fresh, total(&app, &project)), (1, json!(round + 1)));
        app.finish_run(id(&answers[0].json()));
    }
}

#[test]
fn a_failed_request_uses_no_idempotency_key_and_a_replay_needs_no_admission() {
    let app = TestApp::start();
    let project = app.project();
    let request = |options: Value| {
        Request::post(project.runs()).json(&json!({"options": options})).header("Idempotency-Key", "f")
    };
    app.send(&request(json!({}))).problem(422, "input_required");
    let run = app.send(&request(json!({"validate_only": true}))).expect(201).json();
    app.send(&Request::new("PUT", "/api/v1/system/safe-mode").json(&json!({"enabled": true}))).expect(200);
    assert_eq!(app.send(&request(json!({"validate_only": true}))).expect(201).json(), run);
}

#[test]
fn an_expired_idempotency_key_creates_another_run() {
    let app = TestApp::start();
    let project = app.project();
    let request = Request::post(project.runs()).json(&json!({"options": {"validate_only": true}}));
    let request = request.header("Idempotency-Key", "old");
    let first = app.send(&request).expect(201).json();
    app.finish_run(id(&first));
    let database = app.database_url().to_owned();
    let forgotten = actix_web::rt::System::new().block_on(async {
        let store = Store::connect(&database, 1).await.unwrap();
        store.prune_idempotency_keys(micros(chrono::Utc::now())).await.unwrap()
    });
    assert_eq!(forgotten, 1);
    let second = app.send(&request).expect(201);
    assert_eq!((second.header("idempotency-replayed"), total(&app, &project)), (None, json!(2)));
    app.finish_run(id(&second.json()));
}

#[test]
fn an_invalid_idempotency_key_is_rejected() {
    let app = TestApp::start();
    let project = app.project();
    let body = json!({"options": {"validate_only": true}});
    let with = |key: &str| Request::post(project.runs()).json(&body).header("Idempotency-Key", key);
    for key in ["", "a b", &"k".repeat(129), "schl\u{fc}ssel"] {
        let problem = app.send(&with(key)).problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["path"], "Idempotency-Key", "{key:?}");
    }
    app.send(&with("one").header("Idempotency-Key", "two")).problem(422, "invalid_request");
    assert_eq!(total(&app, &project), 0);
    let run = app.send(&with(&"k".repeat(128))).expect(201).json();
    app.finish_run(id(&run));
}
