//! One service at a time on a data directory.
//!
//! Invariant: the kernel's lock decides; the file only names the owner. A killed service may hold the lock for a moment
//! longer: while it exits, and in a child that it was just starting. So a start that finds the owner dead waits a
//! while.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, Seek, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::domain::id::NodeId;
use crate::files::{Dir, Location, is_absent};

/// How long to wait for a lock whose owner is dead.
const LEFT_BEHIND: Duration = Duration::from_secs(10);
/// The same while its owner is in the process table: it may have been killed at this very moment.
const GOING_DOWN: Duration = Duration::from_millis(300);
/// The file that names the owner of the directory.
pub const FILE: &str = ".lock";
const SMALL: u64 = 64 * 1024;
const LOOK: Duration = Duration::from_millis(20);

/// The owner of a data directory; the content of its lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub address: Option<SocketAddr>,
    pub node_id: NodeId,
    pub pid: u32,
    /// The start time of the process, from the kernel; its id may have been reused.
    #[serde(default)]
    start: Option<u64>,
}

impl Owner {
    /// This process, which does not listen yet.
    pub fn this(node_id: NodeId) -> Self {
        let pid = std::process::id();
        Self { address: None, node_id, pid, start: started(pid) }
    }

    fn is_alive(&self) -> bool {
        started(self.pid).is_some_and(|start| self.start.is_none_or(|then| then == start))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.map_or("an address not yet known".to_owned(), |address| format!("http://{address}"));
        write!(f, "at {address} (process {}, {})", self.pid, self.node_id)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{}", .0.as_ref().map_or("another process".to_owned(), |owner| format!("the server {owner}")))]
    Held(Option<Owner>),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Takes the lock of a data directory, which lasts as long as the file is open.
pub async fn lock(data_dir: &Path) -> Result<File, LockError> {
    let dir = Dir::root(data_dir)?;
    // What is in its place may have a second name, as a backup by hard links gives it, and be locked by that: so it is
    // locked before it is parted from the other name.
    if let Ok(shared) = dir.file(FILE) {
        let _shared = hold(data_dir, shared).await?;
        dir.part(FILE)?;
    }
    hold(data_dir, lock_file(&dir)?).await
}

/// Waits for an owner that is exiting.
async fn hold(data_dir: &Path, file: File) -> Result<File, LockError> {
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) => {}
        }
        // Read each time: another start may have been quicker.
        let owner = read_owner(data_dir);
        let is_dead = owner.as_ref().is_some_and(|owner| !owner.is_alive());
        if begin.elapsed() >= if is_dead { LEFT_BEHIND } else { GOING_DOWN } {
            return Err(LockError::Held(owner));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Writes the owner into the lock file.
pub fn write(mut lock: &File, owner: &Owner) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(&serde_json::to_vec(owner)?)
}

/// Something else under this name was put there by a child; it is kept under another.
fn lock_file(dir: &Dir) -> io::Result<File> {
    match dir.file_to_write(FILE, true) {
        Err(error) if is_absent(&error) => {
            tracing::error!("the lock of the data directory is not a regular file; it is moved aside");
            dir.set_aside(FILE)?;
            dir.file_to_write(FILE, true)
        }
        opened => opened,
    }
}

/// The present or last owner of a data directory.
pub fn read_owner(data_dir: &Path) -> Option<Owner> {
    serde_json::from_slice(&Location::below(data_dir, FILE).read(SMALL).ok()?).ok()
}

/// `None` for a process that is gone, or dead and not yet reaped.
fn started(pid: u32) -> Option<u64> {
    parse_start(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_start(stat: &str) -> Option<u64> {
    // The name in parentheses may hold anything, parentheses and spaces too.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then(|| fields.nth(18)?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(pid: u32, start: Option<u64>) -> Owner {
        Owner { pid, start, ..Owner::this(NodeId::generate()) }
    }

    #[test]
    fn an_owner_is_a_process_and_when_it_began() {
        let own = std::process::id();
        assert!(Owner::this(NodeId::generate()).is_alive());
        assert!(owner(own, None).is_alive(), "written by an older release");
        assert!(!owner(own, Some(1)).is_alive(), "its number is another's now");
        assert!(!owner(u32::MAX, None).is_alive());
        let tail = "2 3 4 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 1";
        assert_eq!(parse_start(&format!("17 (a) Z (b) S {tail}")), Some(98765));
        assert_eq!(parse_start(&format!("17 (ade) Z {tail}")), None);
    }

    #[tokio::test]
    async fn one_that_is_alive_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).await.unwrap();
        let first = Owner::this(NodeId::generate());
        write(&held, &first).unwrap();
        let refused = lock(folder.path()).await.unwrap_err();
        assert!(matches!(refused, LockError::Held(Some(owner)) if owner == first));
        drop(held);
        lock(folder.path()).await.unwrap();
    }

    #[tokio::test]
    async fn a_second_name_neither_frees_a_lock_nor_is_written_through() {
        let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (path, second) = (folder.path().join(FILE), backup.path().join(FILE));
        let held = lock(folder.path()).await.unwrap();
        write(&held, &Owner::this(NodeId::generate())).unwrap();
        std::fs::hard_link(&path, &second).unwrap();
        let before = std::fs::read(&second).unwrap();
        assert!(matches!(lock(folder.path()).await, Err(LockError::Held(Some(_)))));
        drop(held);
        let held = lock(folder.path()).await.unwrap();
        let next = Owner::this(NodeId::generate());
        write(&held, &next).unwrap();
        assert_eq!(std::fs::read(&second).unwrap(), before);
        assert!(matches!(lock(folder.path()).await, Err(LockError::Held(Some(owner))) if owner == next));
    }
}
