//! Server-sent events, read as a browser would, but keeping what a browser hides.

use std::io::{BufRead, BufReader};

use serde_json::Value;

use super::http::{Head, Incoming, Request};

/// What stands between two blank lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// Of one stream: a number.
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
}

/// An open event stream. Dropping it hangs up.
pub struct EventStream {
    pub head: Head,
    reader: BufReader<Incoming>,
}

impl EventStream {
    #[track_caller]
    pub fn new(incoming: Incoming) -> Self {
        let head = incoming.head.clone();
        if head.status != 200 {
            panic!("no event stream: {}", incoming.read_all().unwrap());
        }
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        Self { head, reader: BufReader::new(incoming) }
    }

    #[track_caller]
    pub fn open(address: std::net::SocketAddr, request: &Request) -> Self {
        Self::new(request.open(address).unwrap())
    }

    /// The next block or heartbeat, which is a line between two blocks; `None` at the end of the stream.
    #[track_caller]
    pub fn frame(&mut self) -> Option<Frame> {
        let (mut frame, mut empty) = (Frame::default(), true);
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).expect("the stream is whole and goes on in time") == 0 {
                assert!(empty, "the stream ended within {frame:?}");
                return None;
            }
            let line = line.strip_suffix('\n').expect("a line has an end");
            let Some((field, value)) = line.split_once(':') else {
                assert_eq!(line, "", "a line without a field");
                return Some(frame);
            };
            if std::mem::replace(&mut empty, false) && field.is_empty() {
                return Some(Frame { is_comment: true, ..frame });
            }
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => {
                    frame.id = value.parse().ok();
                    frame.raw_id = Some(value.to_owned());
                }
                "event" => frame.event = Some(value.to_owned()),
                "retry" => frame.retry = Some(value.parse().unwrap()),
                "data" => assert!(frame.data.replace(value.to_owned()).is_none(), "one line of data"),
                other => panic!("unknown field {other}"),
            }
        }
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

    /// Every event up to and with the first that fits.
    #[track_caller]
    pub fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let Some(frame) = self.event() else {
                panic!("the stream ended before that: {:?}", seen.iter().map(kind).collect::<Vec<_>>())
            };
            seen.push(frame.json());
            if fits(&seen[seen.len() - 1]) {
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
