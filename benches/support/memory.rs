//! What a process and the kernel's sockets hold, in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// The process.
    pub resident: u64,
    /// Buffers of all TCP sockets of the machine, both ends of local connections.
    pub sockets: u64,
}

impl Memory {
    pub fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let sockstat = std::fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
        let tcp = sockstat.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default();
        Self { resident: after(&status, "VmRSS:") * 1024, sockets: after(tcp, " mem ") * 4096 }
    }

    fn max(self, other: Self) -> Self {
        Self { resident: self.resident.max(other.resident), sockets: self.sockets.max(other.sockets) }
    }
}

fn after(text: &str, word: &str) -> u64 {
    let rest = text.split_once(word).map_or("", |(_, rest)| rest);
    rest.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Looks ten times a second and keeps the most.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Memory>,
}

impl Watch {
    pub fn start(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut most = Memory::default();
            while !told.load(Ordering::Relaxed) {
                most = most.max(Memory::of(pid));
                // The kernel tells a peak of all time only, so the peak of this time is looked for.
                std::thread::sleep(Duration::from_millis(100));
            }
            most.max(Memory::of(pid))
        });
        Self { stop, thread }
    }

    pub fn finish(self) -> Memory {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}
