//! What must hold of a run that has ended, seen from outside.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::behaviour::{Behaviour, LogState};
use super::told::Told;
use super::victims::SECRET;
use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::sse::Subscriber;
use crate::support::work::Run;

/// No answer is larger, whatever the engine has made; downloads are read this far.
const ANSWER_BYTES: u64 = 64 << 20;
const DOWNLOAD_BYTES: u64 = 1 << 20;
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub struct Faults(pub Vec<String>);

impl Faults {
    pub fn add(&mut self, fault: Option<String>) {
        self.0.extend(fault);
    }

    pub fn check(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        self.add((!holds).then(fault));
    }
}

/// What a panic says is a fault.
pub fn attempt<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
    })
}

pub fn ending(behaviour: &Behaviour, row: &Value, faults: &mut Faults) {
    let Some((status, code)) = behaviour.ending else { return };
    let holds = row["status"] == status && self::code(row) == code;
    faults.check(holds, || format!("not {status} {code:?}, but {row}"));
}

/// Of the failure of a run or a build.
pub fn code(row: &Value) -> Option<&str> {
    row["failure_code"].as_str().or(row["error"]["code"].as_str())
}

/// Every route of the run answers, soon, with something of a bounded size in which there is nothing of others.
pub fn answers(server: &Server, behaviour: &Behaviour, run: &Run, faults: &mut Faults) {
    let of_runs = ["/outputs", "/diagnostics", "/summary", "/logfile"];
    let is_run = run.id.starts_with("run_");
    for path in ["", "/events", "/events?tail=3", "/logs"].iter().chain(&of_runs[..if is_run { 3 } else { 0 }]) {
        let answer = get(server, &format!("{}{path}", run.path()), ANSWER_BYTES);
        faults.add(answer.fault(behaviour));
        faults.check((answer.body.len() as u64) < ANSWER_BYTES, || {
            format!("{path} answers with {} bytes or more", answer.body.len())
        });
        if *path == "/outputs" {
            outputs(server, behaviour, run, &answer, faults);
        }
    }
    for path in ["/events/download"].iter().chain(&of_runs[if is_run { 3 } else { 4 }..]) {
        faults.add(get(server, &format!("{}{path}", run.path()), DOWNLOAD_BYTES).fault(behaviour));
    }
    let stream = Subscriber::start(server.address, &format!("{}?tail=2", run.events_path()), None);
    let ended = attempt(|| stream.finish());
    let ends =
        ended.as_ref().is_ok_and(|seen| seen.whole && (seen.status < 500 || behaviour.log == LogState::Destroyed));
    faults.check(ends, || format!("the stream: {ended:?}"));
}

fn outputs(server: &Server, behaviour: &Behaviour, run: &Run, listed: &Answer, faults: &mut Faults) {
    let listed: Value = serde_json::from_slice(&listed.body).unwrap_or_default();
    let files = listed["files"].as_array().map(Vec::as_slice).unwrap_or_default();
    for file in files.iter().take(30) {
        let answer = get(server, file["download_url"].as_str().unwrap_or_default(), DOWNLOAD_BYTES);
        faults.add(answer.fault(behaviour));
        faults.check(answer.status == Ok(200), || format!("{file} is listed, and answers {:?}", answer.status));
    }
    for path in &behaviour.unserved {
        let answer = get(server, &format!("{}/outputs/{path}", run.path()), DOWNLOAD_BYTES);
        faults.check(answer.status == Ok(404), || format!("outputs/{path} answers {:?}", answer.status));
        faults.check(!files.iter().any(|file| file["name"] == path.as_str()), || format!("{path} is listed"));
    }
}

/// Reads outputs as long as their run is at work; whatever they are at that moment, they are the engine's own.
pub fn reads(server: &Server, run: &Run, outputs: &[&str], faults: &mut Faults) {
    let (mut read, mut found) = (0, 0);
    while run.show(server)["status"] == "running" {
        for output in outputs {
            let answer = get(server, &format!("{}/outputs/{output}", run.path()), DOWNLOAD_BYTES);
            faults.check(!contains(&answer.body, SECRET), || format!("outputs/{output} shows a file of others"));
            faults.check(answer.status.as_ref().is_ok_and(|&status| status < 500), || format!("{:?}", answer.status));
            (read, found) = (read + 1, found + usize::from(answer.status == Ok(200)));
        }
        get(server, &format!("{}/outputs", run.path()), ANSWER_BYTES);
    }
    eprintln!("{found} of {read} reads found a file");
}

/// Its log is what it was, and a reader gets the end of it.
pub fn is_served(server: &Server, run: &Run, told: &Told) {
    assert!(told.holds(&server.data_dir, &run.show(server)), "the log is not what it was");
    let path = format!("{}?tail=1", run.events_path());
    let seen = Subscriber::start(server.address, &path, None).finish();
    assert!(seen.whole && seen.events == [(told.count, told.last.clone())], "{seen:?}");
}

struct Answer {
    path: String,
    status: Result<u16, String>,
    body: Vec<u8>,
    took: Duration,
}

fn get(server: &Server, path: &str, limit: u64) -> Answer {
    let (begun, mut body) = (Instant::now(), Vec::new());
    let status = Request::get(path).open(server.address).and_then(|response| {
        let status = response.head.status;
        response.take(limit).read_to_end(&mut body)?;
        Ok(status)
    });
    Answer { path: path.to_owned(), status: status.map_err(|error| error.to_string()), body, took: begun.elapsed() }
}

impl Answer {
    fn fault(&self, behaviour: &Behaviour) -> Option<String> {
        let (path, destroyed) = (&self.path, behaviour.log == LogState::Destroyed);
        match &self.status {
            Err(error) => Some(format!("GET {path}: {error}")),
            Ok(status) if *status >= 500 && !destroyed => {
                Some(format!("GET {path}: {status} {}", String::from_utf8_lossy(&self.body)))
            }
            Ok(_) if self.took > ANSWER_WITHIN => Some(format!("GET {path} takes {:?}", self.took)),
            Ok(_) if !behaviour.shares && contains(&self.body, SECRET) => {
                Some(format!("GET {path} shows files of others"))
            }
            Ok(_) => None,
        }
    }
}

fn contains(body: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(body).contains(text)
}
