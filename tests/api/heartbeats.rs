//! No reader waits longer than a heartbeat's time for a byte, whoever else is sent something meanwhile.

use std::io::Read;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use crate::support::http::Incoming;
use crate::support::{Request, TestApp, json};

const HEARTBEAT: Duration = Duration::from_secs(4);
/// What an idle machine may add; a busy one adds what it takes for everything else, too (see [`delay`]).
const LATE: Duration = Duration::from_secs(3);

/// The longest silences while it reads for so long, and the text that came.
fn listen(mut incoming: Incoming, time: Duration) -> (Vec<Duration>, String) {
    assert_eq!(incoming.head.status, 200);
    let (began, mut last, mut silences, mut text) = (Instant::now(), Instant::now(), Vec::new(), String::new());
    let mut buffer = [0; 4096];
    while began.elapsed() < time {
        let read = incoming.read(&mut buffer).expect("the stream goes on");
        assert!(read > 0, "the stream has ended: {text}");
        text += std::str::from_utf8(&buffer[..read]).unwrap();
        silences.push(last.elapsed());
        last = Instant::now();
    }
    (silences, text)
}

/// The longest time that a service takes to answer and this program to go on, until the other side hangs up.
fn delay(app: &TestApp, listening: &Receiver<()>) -> Duration {
    let mut longest = Duration::ZERO;
    while listening.try_recv() != Err(TryRecvError::Disconnected) {
        let asked = Instant::now();
        app.get("/health/live").expect(200);
        std::thread::sleep(Duration::from_millis(10));
        longest = longest.max(asked.elapsed());
    }
    longest
}

#[test]
fn a_reader_whose_events_are_all_filtered_out_gets_heartbeats() {
    let app = TestApp::with(&[("ADE_SSE_HEARTBEAT", "4s")]);
    let project = app.project();
    // Something is published more often than there are heartbeats, and never stops.
    let note = json!({"type": "run.note", "payload": {}}).to_string();
    let mut steps = vec![json!(["say", "here"])];
    for _ in 0..60 {
        steps.push(json!(["write", note]));
        steps.push(json!(["sleep", 0.7]));
    }
    let talking = app.create_run(&project, &json!(steps));
    app.run_stream(&talking).until(|event| event["payload"]["message"] == "here");
    let silent = app.held_run(&project);
    let last = app.show_run(&silent)["last_sequence"].as_u64().unwrap();
    let one = |run: &str, query: &str| format!("/api/v1/runs/{run}/events?after_sequence=0&{query}");
    let targets = [
        one(&silent, &format!("format=sse&from_sequence={}", last + 1)),
        one(&silent, &format!("format=ndjson&follow=true&from_sequence={}", last + 1)),
        one(&talking, "format=sse&types=nothing"),
        one(&talking, "format=ndjson&follow=true&types=nothing"),
        format!("/api/v1/events/stream?stream={silent}&stream={talking}&types=nothing"),
        format!("/api/v1/events/stream?stream={silent}&last_event_id={silent}:{last}"),
        format!("/api/v1/workspaces/{}/events?format=sse&tail=0", project.workspace),
    ];
    std::thread::scope(|scope| {
        let (listening, listened) = std::sync::mpsc::channel();
        let asked = &app;
        let delay = scope.spawn(move || delay(asked, &listened));
        let listeners = targets.iter().map(|target| {
            let incoming = Request::get(target).open(app.address).unwrap();
            scope.spawn(move || (target, listen(incoming, 4 * HEARTBEAT)))
        });
        let listeners: Vec<_> = listeners.collect();
        let heard: Vec<_> = listeners.into_iter().map(|listener| listener.join().unwrap()).collect();
        drop(listening);
        let delay = delay.join().unwrap();
        for (target, (silences, text)) in heard {
            let longest = silences.iter().max().unwrap();
            assert!(*longest < HEARTBEAT + LATE + 2 * delay, "{target}: {silences:?}, {delay:?}\n{text}");
            // A third would be a heartbeat for each tick of a clock.
            assert!(silences.len() < 15, "{target}: {silences:?}\n{text}");
            let beats = text.split_inclusive('\n').filter(|line| !line.trim_end().is_empty());
            let blank = if target.contains("ndjson") { "" } else { ":\n" };
            assert!(beats.clone().all(|line| line == blank), "{target}: only heartbeats: {text}");
        }
    });
    app.touch("go");
    app.finish_run(&silent);
}

#[test]
fn the_first_frame_of_an_initially_silent_stream_is_its_first_event() {
    let app = TestApp::with(&[("ADE_SSE_HEARTBEAT", "1s")]);
    let project = app.project();
    let run = app.held_run(&project);
    let last = app.show_run(&run)["last_sequence"].as_u64().unwrap();
    let mut stream = app.stream(&Request::get(format!("/api/v1/runs/{run}/events/stream?after_sequence={last}")));
    let beat = stream.frame().unwrap();
    assert!(beat.is_comment && beat.id.is_none() && beat.data.is_none() && beat.retry.is_none(), "{beat:?}");
    assert!(stream.frame().unwrap().is_comment);
    app.touch("go");
    let frames: Vec<_> = stream.frames().into_iter().filter(|frame| !frame.is_comment).collect();
    assert!(frames[0].retry.is_some() && frames[0].data.is_some() && frames[0].id == Some(last + 1), "{:?}", frames[0]);
    assert!(frames[1..].iter().all(|frame| frame.retry.is_none()));
}

/// There is no heartbeat for ten minutes.
#[test]
fn a_reader_for_whom_there_is_nothing_yet_is_told_so_at_once() {
    let app = TestApp::with(&[("ADE_SSE_HEARTBEAT", "600s")]);
    let project = app.project();
    let run = app.held_run(&project);
    let last = app.show_run(&run)["last_sequence"].as_u64().unwrap();
    for target in [
        format!("/api/v1/runs/{run}/events/stream?after_sequence={last}"),
        format!("/api/v1/runs/{run}/events/stream?types=nothing"),
        format!("/api/v1/events/stream?stream={run}&last_event_id={run}:{last}"),
        format!("/api/v1/events/stream?stream={run}&types=nothing"),
        format!("/api/v1/workspaces/{}/events?format=sse&tail=0", project.workspace),
    ] {
        let beat = app.stream(&Request::get(&target)).frame().unwrap();
        assert!(beat.is_comment && beat.id.is_none() && beat.data.is_none(), "{target}: {beat:?}");
    }
    // Whoever is told something needs no more.
    let mut told = app.stream(&Request::get(format!("/api/v1/runs/{run}/events/stream")));
    assert!((1..=last).all(|sequence| told.frame().unwrap().id == Some(sequence)));
    app.touch("go");
    app.finish_run(&run);
    assert!(told.frames().iter().all(|frame| !frame.is_comment));
}
