//! What a log says, read one line at a time: an engine can make gigabytes of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::support::log::{path, terminal};

/// So many lines are read as JSON; of those after them one in a hundred is.
const ALL: u64 = 20_000;

/// Enough of a log to know it again.
#[derive(Debug, Default)]
pub struct Told {
    pub count: u64,
    pub last: String,
    digest: DefaultHasher,
}

impl Told {
    /// Of a log that is at rest: dense from 1, whole lines of JSON, one terminal event, the last.
    pub fn of_ended(data_dir: &Path, resource: &Value) -> (Self, Value) {
        let (mut ends, mut end) = (0, Value::Null);
        let told = Self::read(data_dir, resource, |n, line| {
            if n > ALL && n % 100 != 0 && !line.contains(".completed") {
                return assert!(line.contains(&format!("\"sequence\":{n},")), "sequences are dense: {line}");
            }
            let event = event(line);
            assert_eq!(event["sequence"], n, "sequences are dense");
            skipped(&event);
            ends += u64::from(event["type"] == terminal(&event));
            end = event;
        });
        assert_eq!(end["sequence"], told.count, "the end is an end: {}", told.last);
        assert_eq!(ends, 1, "one terminal event");
        assert_eq!(end["type"], terminal(&end), "the terminal event is the last");
        (told, end)
    }

    /// Whether the log still says the same.
    pub fn holds(&self, data_dir: &Path, resource: &Value) -> bool {
        let now = Self::read(data_dir, resource, |_, _| {});
        (self.count, self.digest.finish()) == (now.count, now.digest.finish())
    }

    fn read(data_dir: &Path, resource: &Value, mut each: impl FnMut(u64, &str)) -> Self {
        let path = path(data_dir, resource);
        let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (mut file, mut told, mut line) = (BufReader::with_capacity(1 << 20, file), Self::default(), String::new());
        while file.read_line(&mut line).expect("a log is text") > 0 {
            assert!(line.ends_with('\n'), "the last line is whole: {}", path.display());
            told.count += 1;
            told.digest.write(line.as_bytes());
            each(told.count, &line);
            std::mem::swap(&mut told.last, &mut line);
            line.clear();
        }
        told.last.truncate(told.last.trim_end_matches('\n').len());
        told
    }
}

/// Numbers that no double can be are kept as an engine wrote them; of an event with such a number only the frame is read.
fn event(line: &str) -> Value {
    match serde_json::from_str(line) {
        Err(error) if error.to_string().contains("out of range") => {
            let mut frame: BTreeMap<&str, &RawValue> = serde_json::from_str(line).expect("each line is JSON");
            frame.remove("payload");
            serde_json::to_value(frame).expect("a frame has plain values")
        }
        event => event.expect("each line is JSON"),
    }
}

/// What could not be tried is said.
fn skipped(event: &Value) {
    if let Some(why) = event["payload"]["message"].as_str().filter(|message| message.starts_with("SKIPPED: ")) {
        eprintln!("{why}");
    }
}
