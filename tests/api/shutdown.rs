//! Stopping, and starting again.

use std::time::Duration;

use crate::support::{Request, TestApp, Value, json, kind, wait_until};

#[test]
fn an_idle_service_stops_at_once_with_clients_connected() {
    // Which it would take if anybody who is connected counted as work.
    let mut app = TestApp::with(&[("ADE_DRAIN_TIMEOUT", "600s")]);
    let project = app.project();
    let run = app.run(&project, &json!([["emit", 3000, 1000]]));
    let target = format!("/api/v1/runs/{}/events", run["id"].as_str().unwrap());
    // Open, and not reading on.
    let mut stalled = app.stream(&Request::get(format!("{target}/stream")));
    stalled.event().unwrap();
    let idle = std::net::TcpStream::connect(app.address).unwrap();
    let took = app.stop_gracefully();
    assert!(took < Duration::from_secs(600), "{took:?}");
    drop((stalled, idle));
}

#[test]
fn a_run_can_finish_while_the_service_drains() {
    let mut app = TestApp::start();
    let project = app.project();
    let run = app.held_run(&project);
    let mut stream = app.run_stream(&run);
    app.begin_stop();
    wait_until("the service drains", || app.get("/health/ready").status() == 503);
    app.get("/health/live").expect(200);
    // New work is refused.
    wait_until("reading goes on", || app.show_run(&run)["status"] == "running");
    let refused = app.post(&project.runs(), &json!({"options": {"validate_only": true}}));
    assert!(refused.header("retry-after").is_some());
    refused.problem(503, "draining");
    app.post(&project.builds(), &json!({"options": {"force": true}})).problem(503, "draining");
    app.touch("go");
    let events = stream.until_type("run.completed");
    assert_eq!(events[events.len() - 1]["payload"]["status"], "succeeded");
    app.stop_gracefully();
}

#[test]
fn a_run_that_exceeds_the_drain_time_is_interrupted_once() {
    let mut app = TestApp::with(&[("ADE_DRAIN_TIMEOUT", "1s")]);
    let project = app.project();
    let run = app.held_run(&project);
    let mut stream = app.run_stream(&run);
    stream.until(|event| event["payload"]["message"] == "here");
    let reader = std::thread::spawn(move || stream.frames());
    let took = app.stop_gracefully();
    assert!(took >= Duration::from_secs(1), "{took:?}");
    let frames = reader.join().unwrap();
    let last = frames.iter().rfind(|frame| frame.data.is_some()).unwrap();
    let is_end = last.id.is_some() && last.json()["type"] == "run.completed";
    assert!(is_end || last.event.as_deref() == Some("stream.draining"), "{last:?}");

    let app = app.restart();
    let ended = app.show_run(&run);
    assert_eq!((&ended["status"], &ended["failure_code"]), (&json!("failed"), &json!("interrupted")));
    let ends = app.run_events(&run).iter().filter(|event| kind(event) == "run.completed").count();
    assert_eq!(ends, 1);
    assert_eq!(app.run(&project, &json!([]))["status"], "succeeded");
}

#[test]
fn a_build_that_exceeds_the_drain_time_is_interrupted_and_rebuilt() {
    let mut app = TestApp::with(&[("ADE_DRAIN_TIMEOUT", "1s")]);
    let project = app.project_building(&json!({"await": app.path("go"), "started": app.path("started")}));
    let build = app.create_build(&project, &json!({}))["id"].as_str().unwrap().to_owned();
    wait_until("the build is at work", || std::path::Path::new(&app.path("started")).exists());
    app.stop_gracefully();
    let app = app.restart();
    let ended = app.show_build(&build);
    assert_eq!((&ended["status"], &ended["error"]["code"]), (&json!("failed"), &json!("interrupted")));
    app.touch("go");
    assert_eq!(app.run(&project, &json!([]))["status"], "succeeded");
}

#[test]
fn queued_work_continues_after_the_next_start() {
    let mut app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1"), ("ADE_DRAIN_TIMEOUT", "1s")]);
    let project = app.project();
    let first = app.held_run(&project);
    let second = app.create_run(&project, &json!([]));
    let mut stream = app.run_stream(&second);
    let seen = stream.until(|event| event["payload"]["reason"] == "capacity").len();
    app.allow_open_logs();
    let reader = std::thread::spawn(move || stream.frames());
    app.stop_gracefully();
    let last = reader.join().unwrap().pop().unwrap();
    assert_eq!((last.event.as_deref(), last.id), (Some("stream.draining"), None));
    let app = app.restart();
    assert_eq!(app.show_run(&first)["failure_code"], "interrupted");
    let second = app.finish_run(&second);
    assert_eq!(second["status"], "succeeded");
    let events = app.run_events(second["id"].as_str().unwrap());
    assert!(events.len() > seen);
    assert_eq!(events.iter().filter(|event| kind(event) == "run.queued").count(), 1);
}

#[test]
fn accepted_requests_take_effect_and_rejected_ones_do_not() {
    let mut app = TestApp::with(&[("ADE_DRAIN_TIMEOUT", "5s"), ("ADE_MAX_CONCURRENCY", "1")]);
    let project = app.project();
    app.run(&project, &json!([]));
    app.allow_open_logs();
    let (address, target) = (app.address, project.runs());
    let request = Request::post(target).json(&json!({"options": {"validate_only": true}}));
    let (told, accepted) = std::sync::mpsc::channel();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (request, told) = (request.clone(), told.clone());
            std::thread::spawn(move || {
                // Until it is refused, or nobody is there any more.
                while let Ok(answer) = request.open(address).and_then(|incoming| incoming.read_all()) {
                    if answer.status() != 201 {
                        return answer.problem(503, "draining");
                    }
                    told.send(answer.json()["id"].as_str().unwrap().to_owned()).unwrap();
                }
                Value::Null
            })
        })
        .collect();
    let mut accepted_runs: Vec<String> = accepted.iter().take(12).collect();
    app.begin_stop();
    for client in clients {
        client.join().unwrap();
    }
    drop(told);
    accepted_runs.extend(accepted.iter());
    app.stop_gracefully();
    let app = app.restart();
    for run in &accepted_runs {
        assert_eq!(app.finish_run(run)["status"], "succeeded");
    }
    let total = app.get(&format!("{}?perPage=1", project.runs())).json()["total"].clone();
    assert_eq!(total, json!(accepted_runs.len() + 1), "of what was refused nothing is left");
}

#[test]
fn everything_is_there_after_a_restart() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &json!([["output", "x.csv", "1"]]));
    let id = run["id"].as_str().unwrap().to_owned();
    let below = ["", "/summary", "/events", "/outputs", "/outputs/x.csv", "/logs", "/diagnostics"];
    let read = |app: &TestApp| -> Vec<String> {
        below.iter().map(|below| app.get(&format!("/api/v1/runs/{id}{below}")).expect(200).text().to_owned()).collect()
    };
    let before = read(&app);
    let builds: Vec<Value> = app.list_builds(&project);
    let app = app.restart();
    assert_eq!(read(&app), before);
    assert_eq!(app.list_builds(&project), builds);
    let again = app.run(&project, &json!([]));
    assert_eq!((&again["build_id"], &again["env_reused"]), (&run["build_id"], &json!(true)));
}
