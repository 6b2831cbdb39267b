//! A subscriber of one stream, on a thread of its own.

use std::io::{BufRead, BufReader};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::http;

/// What a connection has brought, also while it is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub status: u16,
    /// Whole frames only: id and data.
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
}

pub struct Subscriber {
    seen: Arc<Mutex<Seen>>,
    thread: JoinHandle<()>,
}

impl Subscriber {
    /// Connects in the background; `last_id` is what the client has already.
    pub fn start(address: &str, path: &str, last_id: Option<u64>) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (address, path, shared) = (address.to_owned(), path.to_owned(), seen.clone());
        let thread = std::thread::spawn(move || {
            // A connection that breaks is what these tests are about.
            if let Ok(()) = read(&address, &path, last_id, &shared) {
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

    /// What has come since this was last asked.
    pub fn take(&self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.seen.lock().expect("no reader panics").events)
    }

    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end of the connection.
    pub fn finish(self) -> Seen {
        let Self { seen, thread } = self;
        super::eventually("end of a stream", || thread.is_finished().then_some(()));
        thread.join().expect("no reader panics");
        Arc::try_unwrap(seen).expect("the reader is gone").into_inner().expect("no reader panics")
    }
}

fn read(address: &str, path: &str, last_id: Option<u64>, seen: &Arc<Mutex<Seen>>) -> http::Outcome<()> {
    let last_id = last_id.map(|id| id.to_string());
    let mut headers = vec![("Accept", "text/event-stream")];
    headers.extend(last_id.as_deref().map(|id| ("Last-Event-ID", id)));
    let response = http::send(address, "GET", path, &headers, b"")?;
    seen.lock().expect("no reader panics").status = response.status;
    let mut frame = (None, None, None);
    for line in BufReader::new(response.body).lines() {
        let line = line?;
        // Nobody is left who would look.
        if Arc::strong_count(seen) == 1 {
            return Ok(());
        }
        match line.split_once(": ") {
            Some(("id", id)) => frame.0 = id.parse::<u64>().ok(),
            Some(("event", name)) => frame.1 = Some(name.to_owned()),
            Some(("data", data)) => frame.2 = Some(data.to_owned()),
            _ if line.is_empty() => {
                let mut seen = seen.lock().expect("no reader panics");
                match std::mem::take(&mut frame) {
                    (Some(id), _, Some(data)) => seen.events.push((id, data)),
                    (None, Some(name), _) => seen.controls.push(name),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    Ok(())
}
