//! Server-sent events, read as a browser would, but keeping what a browser hides. A parser of its own, stricter than the
//! program's: a stream that breaks the form the service promises fails the test.

use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::http::{Head, Incoming, Request};

/// What stands between two blank lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// As the number that it is for a single stream.
    pub id: Option<u64>,
    /// As it was sent.
    pub raw_id: Option<String>,
    pub event: Option<String>,
    pub data: Option<String>,
    pub retry: Option<u64>,
    pub is_comment: bool,
}

impl Frame {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.data.as_deref().unwrap_or_default()).unwrap_or_else(|_| panic!("{self:?}"))
    }

    fn set(&mut self, field: &str, value: &str) {
        match field {
            "id" => {
                self.id = value.parse().ok();
                self.raw_id = Some(value.to_owned());
            }
            "event" => self.event = Some(value.to_owned()),
            "retry" => self.retry = Some(value.parse().unwrap()),
            "data" => assert!(self.data.replace(value.to_owned()).is_none(), "one line of data"),
            other => panic!("unknown field {other}"),
        }
    }
}

/// The next block or heartbeat, which is a line between two blocks; `None` at the end of the stream. An error is one of
/// the connection; a block that is not well-formed panics.
#[track_caller]
pub fn read_frame(reader: &mut impl BufRead) -> io::Result<Option<Frame>> {
    let (mut frame, mut empty, mut line) = (Frame::default(), true, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            assert!(empty, "the stream ended within {frame:?}");
            return Ok(None);
        }
        let line = line.strip_suffix('\n').expect("a line has an end");
        let Some((field, value)) = line.split_once(':') else {
            assert_eq!(line, "", "a line without a field");
            return Ok(Some(frame));
        };
        if std::mem::replace(&mut empty, false) && field.is_empty() {
            return Ok(Some(Frame { is_comment: true, ..frame }));
        }
        frame.set(field, value.strip_prefix(' ').unwrap_or(value));
    }
}

/// An open event stream. Dropping it hangs up.
pub struct EventStream {
    pub head: Head,
    incoming: Incoming,
}

impl EventStream {
    #[track_caller]
    pub fn new(incoming: Incoming) -> Self {
        let head = incoming.head.clone();
        if head.status != 200 {
            panic!("no event stream: {}", incoming.read_all().unwrap());
        }
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        Self { head, incoming }
    }

    #[track_caller]
    pub fn open(address: SocketAddr, request: &Request) -> Self {
        Self::new(request.open(address).unwrap())
    }

    /// The next block or heartbeat; `None` at the end of the stream.
    #[track_caller]
    pub fn frame(&mut self) -> Option<Frame> {
        read_frame(&mut self.incoming).expect("the stream is whole and goes on in time")
    }

    /// The next block that carries data.
    #[track_caller]
    pub fn event(&mut self) -> Option<Frame> {
        loop {
            let frame = self.frame()?;
            if frame.data.is_some() {
                return Some(frame);
            }
        }
    }

    /// Every event up to and including the first that matches.
    #[track_caller]
    pub fn until(&mut self, matches: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let Some(frame) = self.event() else {
                panic!("the stream ended before a match: {:?}", seen.iter().map(kind).collect::<Vec<_>>())
            };
            seen.push(frame.json());
            if matches(&seen[seen.len() - 1]) {
                return seen;
            }
        }
    }

    #[track_caller]
    pub fn until_type(&mut self, name: &str) -> Vec<Value> {
        self.until(|event| event["type"] == name)
    }

    /// Every event to the end of the stream.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.event()).collect()
    }

    /// Every block to the end of the stream.
    #[track_caller]
    pub fn frames(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.frame()).collect()
    }
}

pub fn kind(event: &Value) -> &str {
    event["type"].as_str().unwrap_or_default()
}

/// What a subscriber has received so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub status: u16,
    /// Id and data.
    pub events: Vec<(u64, String)>,
    /// Names of frames without an id.
    pub controls: Vec<String>,
    /// The body ended as a body ends, and was not cut off.
    pub whole: bool,
}

impl Seen {
    pub fn last_id(&self) -> Option<u64> {
        self.events.last().map(|(id, _)| *id)
    }

    fn add(&mut self, frame: Frame) {
        match (frame.id, frame.event, frame.data) {
            (Some(id), _, Some(data)) => self.events.push((id, data)),
            (None, Some(name), _) => self.controls.push(name),
            _ => {}
        }
    }
}

/// A reader of one stream on a thread of its own, whose connection may break.
pub struct Subscriber {
    seen: Arc<Mutex<Seen>>,
    thread: JoinHandle<()>,
}

impl Subscriber {
    /// Connects in the background; `last_id` is the last event that the client already has.
    pub fn start(address: SocketAddr, path: &str, last_id: Option<u64>) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut request = Request::get(path).header("Accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("Last-Event-ID", id);
        }
        let shared = seen.clone();
        let thread = std::thread::spawn(move || {
            // An error is a connection that broke: the tests that use this kill its server.
            if follow(&request, address, &shared).is_ok() {
                shared.lock().expect("no reader panics").whole = true;
            }
        });
        Self { seen, thread }
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().expect("no reader panics").clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().expect("no reader panics").events.len()
    }

    /// The events received since the last call.
    pub fn take(&self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.seen.lock().expect("no reader panics").events)
    }

    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end of the connection.
    pub fn finish(self) -> Seen {
        let Self { seen, thread } = self;
        crate::wait_until("end of a stream", || thread.is_finished());
        thread.join().expect("no reader panics");
        Arc::try_unwrap(seen).expect("the reader is gone").into_inner().expect("no reader panics")
    }
}

fn follow(request: &Request, address: SocketAddr, seen: &Arc<Mutex<Seen>>) -> io::Result<()> {
    let mut incoming = request.open(address)?;
    let status = incoming.head.status;
    seen.lock().expect("no reader panics").status = status;
    if status != 200 {
        return incoming.read_all().map(drop);
    }
    while let Some(frame) = read_frame(&mut incoming)? {
        // The subscriber was dropped.
        if Arc::strong_count(seen) == 1 {
            break;
        }
        seen.lock().expect("no reader panics").add(frame);
    }
    Ok(())
}
