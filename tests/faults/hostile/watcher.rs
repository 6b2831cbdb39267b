//! Whether the service answers, all the while, and what memory it takes.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::http::Request;
use crate::support::process;
use crate::support::server::Server;

/// What a service that has lost its bounds may take before it is ended, so that the machine survives the test.
const ENOUGH_MIB: u64 = 2048;

/// Asks again and again whether the service is ready, until it is dropped.
pub struct Watcher {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
pub struct Health {
    pub answers: usize,
    pub worst: Duration,
    /// What was not `200`.
    pub refusals: Vec<String>,
    /// Since when the answer to the last question is due.
    asked: Option<Instant>,
}

impl Watcher {
    pub fn start(server: &Server) -> Self {
        let shared = Arc::<Shared>::default();
        let (theirs, pid) = (shared.clone(), server.pid());
        std::thread::spawn(move || {
            while !theirs.stopped.load(Ordering::Relaxed) {
                if field(pid, "VmRSS:") / 1024 > ENOUGH_MIB {
                    process::signal(pid, libc::SIGKILL);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let (theirs, address) = (shared.clone(), server.address);
        std::thread::spawn(move || {
            while !theirs.stopped.load(Ordering::Relaxed) {
                theirs.ask(address);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { shared }
    }

    /// The longest wait so far, and what was not `200`.
    pub fn peek(&self) -> (Duration, Vec<String>) {
        let health = self.shared.health.lock().expect("nobody panics");
        let open = health.asked.map(|begun| begun.elapsed()).unwrap_or_default();
        (health.worst.max(open), health.refusals.clone())
    }

    /// What has been seen since the last time; a question that is still open counts.
    pub fn take(&self) -> Health {
        let mut health = self.shared.health.lock().expect("nobody panics");
        let open = health.asked;
        let mut taken = std::mem::replace(&mut *health, Health { asked: open, ..Health::default() });
        taken.worst = taken.worst.max(open.map(|begun| begun.elapsed()).unwrap_or_default());
        taken
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn ask(&self, address: SocketAddr) {
        let begun = Instant::now();
        self.health.lock().expect("nobody panics").asked = Some(begun);
        let answer = Request::get("/health/ready").send(address);
        let answer = answer.map(|response| (response.status(), response.json_or_null()));
        let mut health = self.health.lock().expect("nobody panics");
        health.asked = None;
        health.worst = health.worst.max(begun.elapsed());
        health.answers += 1;
        match answer {
            Ok((200, _)) => {}
            // It was to be killed.
            _ if self.stopped.load(Ordering::Relaxed) => {}
            Ok((status, answer)) => health.refusals.push(format!("{status} {answer}")),
            Err(error) => health.refusals.push(error.to_string()),
        }
    }
}

/// Forgets the peak of a process's memory so far.
pub fn reset_peak(pid: u32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// The peak of a process's resident memory since then, in MiB.
pub fn peak(pid: u32) -> u64 {
    field(pid, "VmHWM:") / 1024
}

fn field(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
