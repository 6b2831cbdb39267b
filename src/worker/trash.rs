//! Trees that are no longer needed: moved out of place at once, deleted in the background.
//!
//! Invariant: whoever discards something waits for one rename, however much it is. What cannot be moved or deleted is
//! logged, counted and left; nothing ends because of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::files;

/// Entries that the background deletes at a time. More than that is left to the next round of maintenance.
const MOST: u64 = 2_000_000;

/// Where the discarded trees of one directory wait. Clones are the same.
#[derive(Debug, Clone)]
pub struct Trash {
    root: PathBuf,
    work: Arc<Mutex<Work>>,
}

/// What the thread that deletes is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Idle,
    Busy,
    /// More was discarded since it has looked.
    BusyAgain,
}

impl Trash {
    pub fn new(root: PathBuf) -> Self {
        Self { root, work: Arc::new(Mutex::new(Work::Idle)) }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes a tree below the root out of its place, if it is there; false when that cannot be done. Blocks, but not
    /// for the deleting.
    pub fn discard(&self, path: &Path) -> bool {
        match files::discard(&self.root, path) {
            Ok(true) => self.empty(),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), error = %error, "failed to remove a leftover");
                return false;
            }
        }
        true
    }

    /// As [`Trash::discard`], on a thread that may block.
    pub async fn discard_soon(&self, path: PathBuf) {
        let trash = self.clone();
        let _ = tokio::task::spawn_blocking(move || trash.discard(&path)).await;
    }

    /// Deletes what waits, on a thread of its own: it may take long, and is cut short by the end of the process without
    /// harm.
    pub fn empty(&self) {
        let before = std::mem::replace(&mut *self.work(), Work::BusyAgain);
        if before != Work::Idle {
            return;
        }
        let trash = self.clone();
        let started = std::thread::Builder::new().name("trash".into()).spawn(move || {
            while trash.goes_on() {
                trash.empty_once();
            }
        });
        if let Err(error) = started {
            *self.work() = Work::Idle;
            tracing::warn!(error = %error, "removed files are deleted by the next maintenance");
        }
    }

    fn goes_on(&self) -> bool {
        let mut work = self.work();
        *work = if *work == Work::BusyAgain { Work::Busy } else { Work::Idle };
        *work == Work::Busy
    }

    fn empty_once(&self) {
        match files::empty_trash(&self.root, MOST, &|| false) {
            Ok(emptied) => log_stuck(&self.root, &emptied),
            Err(error) => {
                tracing::warn!(directory = %self.root.display(), error = %error, "failed to delete removed files")
            }
        }
    }

    fn work(&self) -> std::sync::MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left for the operator to look at.
pub fn log_stuck(root: &Path, emptied: &files::Emptied) {
    for (name, why) in &emptied.stuck {
        tracing::warn!(path = %root.join(name).display(), %why, "failed to delete a leftover; it stays");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_is_discarded_while_others_are_deleted_goes_too() {
        let directory = tempfile::tempdir().unwrap();
        let trash = Trash::new(directory.path().to_owned());
        for number in 0..50 {
            let tree = directory.path().join(format!("tree{number}"));
            fs::create_dir_all(tree.join("a/b")).unwrap();
            assert!(trash.discard(&tree));
            assert!(!tree.exists(), "at once");
        }
        assert!(trash.discard(&directory.path().join("nothing")), "nothing to do");
        assert!(!trash.discard(Path::new("/elsewhere")));
        let end = Instant::now() + Duration::from_secs(60);
        while fs::read_dir(directory.path()).unwrap().count() > 0 {
            assert!(Instant::now() < end, "not emptied");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
