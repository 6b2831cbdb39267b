//! Several streams on one connection.

use std::collections::HashMap;

use crate::support::{EventStream, Frame, Request, TestApp, Value, json, kind};

fn target(streams: &[&str]) -> String {
    let named: Vec<_> = streams.iter().map(|id| format!("stream={id}")).collect();
    format!("/api/v1/events/stream?{}", named.join("&"))
}

/// The positions that an id tells, in its order.
fn positions(frame: &Frame) -> Vec<(String, u64)> {
    let id = frame.raw_id.as_deref().unwrap_or_else(|| panic!("no id: {frame:?}"));
    id.split(',').map(|part| part.split_once(':').unwrap()).map(|(id, n)| (id.to_owned(), n.parse().unwrap())).collect()
}

/// What a reader of several streams has seen, checked as it comes.
#[derive(Debug, Default)]
struct Seen {
    last: HashMap<String, u64>,
    last_id: String,
    events: Vec<(String, Value)>,
    /// Streams may move without an event: by a filter, or by where they begin.
    filtered: bool,
}

impl Seen {
    #[track_caller]
    fn take(&mut self, frame: &Frame) {
        let Some(raw_id) = &frame.raw_id else { return };
        let mut moved = Vec::new();
        for (id, position) in positions(frame) {
            let last = self.last.entry(id.clone()).or_default();
            assert!(position >= *last, "{id} goes back from {last}: {frame:?}");
            if position > *last {
                moved.push(id);
            }
            *last = position;
        }
        self.last_id.clone_from(raw_id);
        if frame.data.is_some() {
            let event = frame.json();
            assert!(self.filtered || moved.len() == 1, "one event moves one stream: {frame:?}");
            let own = ["run_id", "build_id"].map(|key| event[key].as_str());
            let own = match event["payload"].get("origin") {
                Some(_) => event["workspace_id"].as_str(),
                None => own[0].or(own[1]),
            };
            let own = own.expect("an event says whose it is").to_owned();
            assert!(moved.contains(&own), "{frame:?}");
            assert_eq!(self.last[&own], event["sequence"].as_u64().unwrap());
            self.events.push((own, event));
        }
    }

    fn sequences(&self, stream: &str) -> Vec<u64> {
        let own = self.events.iter().filter(|(id, _)| id == stream);
        own.map(|(_, event)| event["sequence"].as_u64().unwrap()).collect()
    }
}

fn id(resource: &Value) -> String {
    resource["id"].as_str().unwrap().to_owned()
}

#[test]
fn every_stream_is_complete_and_ordered_and_the_connection_ends_with_the_last() {
    let app = TestApp::start();
    let project = app.project();
    let finished = id(&app.run(&project, &json!([["emit", 300]])));
    let build = id(&app.list_builds(&project)[0]);
    let held = app.held_run(&project);
    let mut stream = app.stream(&Request::get(target(&[&finished, &held, &build])));
    let mut seen = Seen::default();
    while seen.events.iter().all(|(_, event)| event["payload"]["message"] != "here") {
        seen.take(&stream.frame().unwrap());
    }
    app.touch("go");
    stream.frames().iter().for_each(|frame| seen.take(frame));
    for (run, events) in
        [(&finished, app.run_events(&finished)), (&held, app.run_events(&held)), (&build, app.build_events(&build))]
    {
        assert_eq!(seen.sequences(run), (1..=events.len() as u64).collect::<Vec<_>>(), "{run}");
        let own = seen.events.iter().filter(|(id, _)| id == run).map(|(_, event)| event);
        assert!(own.eq(events.iter()), "{run}");
    }
    let again = Request::get(target(&[&finished, &held, &build])).header("Last-Event-ID", &seen.last_id);
    assert!(app.send(&again).expect(204).body.is_empty());
}

#[test]
fn a_disconnected_reader_resumes_every_stream_where_it_was() {
    let app = TestApp::start();
    let project = app.project();
    let runs: Vec<String> = (0..3).map(|_| id(&app.run(&project, &json!([["emit", 200, 300]])))).collect();
    let named: Vec<&str> = runs.iter().map(String::as_str).chain([project.workspace.as_str()]).collect();
    let mut seen = Seen::default();
    let expected: HashMap<&str, u64> =
        runs.iter().map(|run| (run.as_str(), app.show_run(run)["last_sequence"].as_u64().unwrap())).collect();
    let is_done = |seen: &Seen| {
        runs.iter().all(|run| seen.last.get(run).is_some_and(|last| *last == expected[run.as_str()]))
            && seen.last.get(&project.workspace).is_some_and(|last| *last == 11)
    };
    let mut connections = 0;
    while !is_done(&seen) {
        let request = match seen.last_id.as_str() {
            "" => Request::get(target(&named)),
            last if connections % 2 == 0 => Request::get(target(&named)).header("Last-Event-ID", last),
            last => Request::get(format!("{}&last_event_id={last}", target(&named))),
        };
        let mut stream = EventStream::open(app.address, &request);
        for _ in 0..97 {
            if is_done(&seen) {
                break;
            }
            seen.take(&stream.frame().unwrap());
        }
        connections += 1;
    }
    assert!(connections > 5);
    for run in &runs {
        assert!(seen.sequences(run).into_iter().eq(1..=expected[run.as_str()]), "{run}");
    }
    assert!(seen.sequences(&project.workspace).into_iter().eq(1..=11));
    // Nobody was starved: all were begun before one was over.
    let firsts = runs.iter().map(|run| seen.events.iter().position(|(id, _)| id == run).unwrap()).max().unwrap();
    let first_end = seen.events.iter().position(|(_, event)| kind(event) == "run.completed").unwrap();
    assert!(firsts < first_end, "{firsts} {first_end}");
}

#[test]
fn filters_names_and_tails_are_those_of_one_stream() {
    let app = TestApp::start();
    let project = app.project();
    let runs: Vec<String> = (0..2).map(|_| id(&app.run(&project, &json!([["emit", 3000]])))).collect();
    let named: Vec<&str> = runs.iter().map(String::as_str).collect();
    let frames = app.stream(&Request::get(format!("{}&types=run.queued&event_names=typed", target(&named)))).frames();
    let mut seen = Seen { filtered: true, ..Seen::default() };
    frames.iter().for_each(|frame| seen.take(frame));
    let events: Vec<_> = frames.iter().filter_map(|frame| frame.event.as_deref()).collect();
    assert_eq!((events.len(), events.iter().filter(|name| **name == "run.queued").count()), (4, 2), "{events:?}");
    for run in &runs {
        let last = app.show_run(run)["last_sequence"].as_u64().unwrap();
        assert_eq!((seen.sequences(run), seen.last[run]), (vec![1, last], last));
    }
    let mut tail = Seen { filtered: true, ..Seen::default() };
    let first = format!("{}&tail=2&last_event_id={}:5", target(&named), runs[0]);
    app.stream(&Request::get(first)).frames().iter().for_each(|frame| tail.take(frame));
    let last = app.show_run(&runs[1])["last_sequence"].as_u64().unwrap();
    assert_eq!(tail.sequences(&runs[0])[0], 6, "a cursor makes the tail void");
    assert_eq!(tail.sequences(&runs[1]), [last - 1, last]);
}

#[test]
fn the_error_of_one_stream_names_it() {
    let app = TestApp::start();
    let project = app.project();
    let run = id(&app.run(&project, &json!([])));
    let unknown = "build_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let problem = app.get(&target(&[&run, unknown])).problem(404, "not_found");
    assert_eq!(problem["stream"], unknown);
    assert!(problem["detail"].as_str().unwrap().contains(unknown), "{problem}");
    app.get(&target(&[&run, "ws_01ARZ3NDEKTSV4RRFFQ69G5FAV"])).problem(404, "not_found");
    let problem = app.get(&target(&[&run, "doc_1"])).problem(422, "invalid_id");
    assert_eq!(problem["errors"][0]["path"], "stream");
    let ahead = app.get(&format!("{}&last_event_id={run}:999", target(&[&run]))).problem(409, "sequence_ahead");
    assert_eq!((&ahead["stream"], ahead["last_sequence"].is_u64()), (&json!(run), true));
    let many: Vec<String> = (0..101).map(|n| format!("run_01ARZ3NDEKTSV4RRFFQ69G5{n:03}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    app.get(&target(&many)).problem(422, "too_many_streams");
    app.get("/api/v1/events/stream").problem(400, "invalid_query");
    for rest in ["&last_event_id=7", "&after_sequence=1", "&tail=x", "&event_names=loud", "&level=loud"] {
        app.get(&format!("{}{rest}", target(&[&run]))).problem(400, "invalid_query");
    }
    let header = Request::get(target(&[&run])).header("Last-Event-ID", "12");
    app.send(&header).problem(400, "invalid_query");
    // A hundred are served, and one named twice is one.
    let twice = app.stream(&Request::get(target(&[&run, &run]))).rest();
    assert_eq!(twice.len() as u64, app.show_run(&run)["last_sequence"].as_u64().unwrap());
}

#[test]
fn a_hundred_streams_on_one_connection() {
    let app = TestApp::start();
    let project = app.project();
    app.build(&project, &json!({}));
    let builds: Vec<String> = (0..100).map(|_| id(&app.create_build(&project, &json!({})))).collect();
    let named: Vec<&str> = builds.iter().map(String::as_str).collect();
    let mut seen = Seen::default();
    app.stream(&Request::get(target(&named))).frames().iter().for_each(|frame| seen.take(frame));
    assert!(builds.iter().all(|build| seen.sequences(build) == [1, 2]));
    let again = Request::get(target(&named)).header("Last-Event-ID", &seen.last_id);
    app.send(&again).expect(204);
}

#[test]
fn a_control_frame_names_its_stream_and_the_others_continue() {
    let mut app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1")]);
    let project = app.project();
    let held = app.held_run(&project);
    let waiting = app.create_run(&project, &json!([]));
    app.run_stream(&waiting).until(|event| event["payload"]["reason"] == "capacity");
    let mut stream = app.stream(&Request::get(target(&[&held, &waiting])));
    stream.event().unwrap();
    app.begin_stop();
    let told = loop {
        let frame = stream.frame().unwrap();
        if frame.event.as_deref() == Some("stream.draining") {
            break frame;
        }
    };
    assert!(told.raw_id.is_none());
    assert_eq!(told.json(), json!({"code": "draining", "stream": waiting}));
    app.touch("go");
    let ends: Vec<Value> =
        stream.rest().iter().map(Frame::json).filter(|event| kind(event) == "run.completed").collect();
    assert_eq!((ends.len(), &ends[0]["run_id"]), (1, &json!(held)));
    app.allow_open_logs();
    app.stop_gracefully();
}
