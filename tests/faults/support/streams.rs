//! What has to hold for the streams of several nodes: all tell the same, each event once, in pages and live, from any place on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use ade_test_support::wait_until;
use serde_json::Value;

use super::eventually;
use super::http::{Request, Response};
use super::log::{Log, terminal};
use super::server::Server;
use super::sse::{Seen, Subscriber};
use super::work::{Place, id, parse};

/// The answer, once the node has one: for a while it may not know who has the work.
#[track_caller]
pub fn answer(server: &Server, request: &Request) -> Response {
    eventually("an answer", || {
        let answer = server.send(request).ok()?;
        (answer.status() != 503).then_some(answer)
    })
}

/// All events of a stream, page by page.
#[track_caller]
pub fn pages(server: &Server, path: &str) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let page = answer(server, &Request::get(format!("{path}/events?limit=1000&after_sequence={after}")));
        let page = page.expect(200).json();
        let items = page["items"].as_array().unwrap();
        events.extend(items.iter().cloned());
        after = page["next_after_sequence"].as_u64().unwrap();
        if items.is_empty() || after >= page["last_sequence"].as_u64().unwrap() {
            return events;
        }
    }
}

/// What a reader gets of a stream that has ended.
#[track_caller]
fn live(server: &Server, path: &str, after: Option<u64>) -> Seen {
    eventually("a whole stream", || {
        let seen = Subscriber::start(server.address, &format!("{path}/events/stream"), after).finish();
        (seen.status == 200 && seen.whole).then_some(seen)
    })
}

/// What somebody was shown behind `after` is what the log has there.
#[track_caller]
pub fn assert_shown(shown: &[(u64, String)], after: u64, log: &[Value]) {
    for ((id, line), sequence) in shown.iter().zip(after + 1..) {
        assert_eq!(*id, sequence, "sequences are dense");
        let stored = log.get(*id as usize - 1);
        assert!(stored == Some(&parse(line)), "{id} was shown as {line}, and is {stored:?}");
    }
}

/// The events of a stream that has ended, which every node tells alike.
#[track_caller]
pub fn told_alike(servers: &[&Server], path: &str) -> Vec<Value> {
    let events = pages(servers[0], path);
    Log { lines: Vec::new(), events: events.clone() }.assert_ended();
    let ids: BTreeSet<_> = events.iter().map(|event| event["event_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), events.len(), "an event is there once");
    let last = events.len() as u64;
    for server in servers {
        let own = pages(server, path);
        let differs = own.iter().zip(&events).find(|(own, event)| own != event);
        assert!(own == events, "{path}: {} events, {} elsewhere, {differs:?}", own.len(), events.len());
        for after in [0, last / 2, last - 1] {
            let seen = live(server, path, (after > 0).then_some(after));
            assert_shown(&seen.events, after, &events);
            assert_eq!(seen.events.len() as u64, last - after, "{path} after {after}: {:?}", seen.controls);
        }
    }
    assert_ticks(&events);
    events
}

/// What the scripted engine has counted, each once.
#[track_caller]
fn assert_ticks(events: &[Value]) {
    let ticks = events.iter().filter(|event| event["type"] == "test.tick");
    for (tick, n) in ticks.zip(0..) {
        assert_eq!(tick["payload"]["n"], n, "{tick}");
    }
}

/// How it has ended.
pub fn end(events: &[Value]) -> (&str, Option<&str>) {
    let payload = &events.last().unwrap()["payload"];
    (payload["status"].as_str().unwrap(), payload["failure"]["code"].as_str())
}

/// Everything that is listed there, page by page.
pub fn listed(server: &Server, path: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for page in 1.. {
        let listed = server.get(&format!("{path}?perPage=200&page={page}"));
        let items = listed["items"].as_array().unwrap();
        all.extend(items.iter().cloned());
        if items.len() < 200 {
            break;
        }
    }
    all
}

/// The paths of all runs and builds of a workspace, which have ended.
pub fn work_of(server: &Server, place: &Place) -> Vec<String> {
    let runs = listed(server, &format!("/api/v1/workspaces/{}/runs", place.workspace));
    let builds = listed(server, &place.builds_path());
    let runs = runs.iter().map(|run| format!("/api/v1/runs/{}", id(run)));
    runs.chain(builds.iter().map(|build| format!("/api/v1/builds/{}", id(build)))).collect()
}

/// What the feed tells of a stream. A run's has events of its build too.
fn told_of(path: &str) -> &'static [&'static str] {
    match path {
        path if path.contains("/runs/") => &["run.queued", "run.started", "run.completed"],
        path if path.contains("/builds/") => &["build.created", "build.completed"],
        _ => &["execution_started", "clarification_needed", "complete"],
    }
}

/// The feed has what there is to tell of these streams, once, in order and on all nodes the same; its events.
#[track_caller]
pub fn assert_fed(servers: &[&Server], workspace: &str, streams: &[String]) -> Vec<Value> {
    let mut expected = BTreeMap::new();
    for path in streams {
        let told =
            pages(servers[0], path).into_iter().filter(|event| told_of(path).iter().any(|kind| event["type"] == *kind));
        let sequences: Vec<_> = told.map(|event| event["sequence"].as_u64().unwrap()).collect();
        expected.insert(path.rsplit('/').next().unwrap().to_owned(), sequences);
    }
    let count: usize = expected.values().map(Vec::len).sum();
    let path = format!("/api/v1/workspaces/{workspace}");
    let feed = eventually("the feed has told everything", || {
        let feed = pages(servers[0], &path);
        (feed.len() >= count).then_some(feed)
    });
    let mut told = BTreeMap::<String, Vec<u64>>::new();
    for (entry, sequence) in feed.iter().zip(1_u64..) {
        assert_eq!(entry["sequence"], sequence, "the feed is dense");
        let origin = &entry["payload"]["origin"];
        let stream = origin["stream"].as_str().unwrap().to_owned();
        told.entry(stream).or_default().push(origin["sequence"].as_u64().unwrap());
    }
    assert_eq!(told, expected);
    for server in servers {
        assert!(pages(server, &path) == feed, "the feed differs");
    }
    feed
}

/// One who reads a stream, from wherever it can be read, to its end or until it is stopped.
pub struct Reader {
    shown: Arc<Mutex<Vec<(u64, String)>>>,
    breaks: Arc<AtomicUsize>,
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Reader {
    /// Begins at the first address, and goes on at the next one when a connection breaks.
    pub fn start(addresses: Vec<SocketAddr>, path: String) -> Self {
        let (shown, breaks, is_stopped) = <(Arc<Mutex<Vec<_>>>, Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
        let (all, broken, stopped) = (shown.clone(), breaks.clone(), is_stopped.clone());
        let thread = std::thread::spawn(move || {
            for address in addresses.iter().cycle() {
                if follow(*address, &path, &all, &stopped) {
                    break;
                }
                broken.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Self { shown, breaks, is_stopped, thread }
    }

    pub fn count(&self) -> usize {
        self.shown.lock().unwrap().len()
    }

    pub fn breaks(&self) -> usize {
        self.breaks.load(Ordering::Relaxed)
    }

    /// What it was shown up to the end of the stream.
    #[track_caller]
    pub fn finish(self) -> Vec<(u64, String)> {
        wait_until("a reader comes to the end", || self.thread.is_finished());
        self.stop()
    }

    pub fn stop(self) -> Vec<(u64, String)> {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        std::mem::take(&mut self.shown.lock().unwrap())
    }
}

/// Over one connection. Whether there is no more to read.
fn follow(address: SocketAddr, path: &str, all: &Mutex<Vec<(u64, String)>>, is_stopped: &AtomicBool) -> bool {
    let last = all.lock().unwrap().last().map(|(id, _)| *id);
    let subscriber = Subscriber::start(address, &format!("{path}/events/stream"), last);
    loop {
        let (is_over, is_stopped) = (subscriber.is_over(), is_stopped.load(Ordering::Relaxed));
        let mut shown = all.lock().unwrap();
        shown.extend(subscriber.take());
        let is_end = |line: &str| {
            let event = parse(line);
            event["type"] == terminal(&event)
        };
        let has_ended = !path.contains("/workspaces/") && shown.last().is_some_and(|(_, line)| is_end(line));
        if has_ended || is_stopped {
            return true;
        }
        if is_over {
            let status = subscriber.seen().status;
            assert!([0, 200, 503].contains(&status), "{path}: {status}");
            return false;
        }
        drop(shown);
        std::thread::sleep(Duration::from_millis(5));
    }
}
