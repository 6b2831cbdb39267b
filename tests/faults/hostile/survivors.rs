//! Who still lives of an engine. Every process of it inherits a lock on a file, which ends with the last of them: neither
//! another session nor an empty environment takes it away, and no process is too quick for it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::process;

pub struct Trace {
    pub path: PathBuf,
}

impl Trace {
    pub fn new(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        File::create(&path).expect("a file to lock");
        Self { path }
    }

    /// The living processes that hold the lock, described; none when nobody does.
    pub fn survivors(&self) -> Option<String> {
        let file = File::open(&self.path).expect("it is ours");
        match file.try_lock() {
            Ok(()) => None,
            Err(TryLockError::WouldBlock) => Some(self.described()),
            Err(TryLockError::Error(error)) => panic!("{error}"),
        }
    }

    /// A few of those that hold it.
    pub fn described(&self) -> String {
        let holders = self.holders();
        format!("{} processes, among them\n{}", holders.len(), process::describe(&holders[..holders.len().min(5)]))
    }

    /// Ends whoever is left, so that the machine is as it was.
    pub fn clean(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.survivors().is_some() && Instant::now() < end {
            // First none of them may do anything, then none is left.
            for signal in [libc::SIGSTOP, libc::SIGKILL] {
                self.holders().into_iter().for_each(|pid| process::signal(pid as u32, signal));
            }
        }
    }

    fn holders(&self) -> Vec<i32> {
        let entries = fs::read_dir("/proc").expect("there is a process table");
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|&pid| self.is_held_by(pid)).collect()
    }

    fn is_held_by(&self, pid: i32) -> bool {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        pid != std::process::id() as i32
            && files.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|file| file == self.path)
    }
}
