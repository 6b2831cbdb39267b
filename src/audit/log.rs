//! The log while the service runs: one thread writes, and what arrives while it syncs is written together.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::entry::{Entry, Page, Record};
use super::files::{self, Newest};
use crate::blocking::blocking;
use crate::files::{Dir, Location};

/// Records that wait for the disk; whoever brings one more waits too.
const WAITING: usize = 1024;
const DIRECTORY: &str = "audit";

/// An entry is not on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written")]
pub struct AuditError;

/// A handle; clones share it.
#[derive(Clone)]
pub struct AuditLog {
    records: mpsc::Sender<Waiting>,
    shared: Arc<Shared>,
}

struct Shared {
    directory: Location,
    /// What readers may see.
    last: AtomicU64,
    failing: AtomicBool,
}

/// With none, it is only tried whether entries can be written.
type Waiting = (Option<Record>, oneshot::Sender<Result<(), AuditError>>);

impl AuditLog {
    /// Opens the log of a data directory, or makes it. Blocks.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let directory = Location::below(data_dir, DIRECTORY);
        let dir = directory.make()?;
        let newest = Newest::open(&dir)?;
        let shared = Arc::new(Shared { directory, last: AtomicU64::new(newest.last), failing: AtomicBool::new(false) });
        let (records, waiting) = mpsc::channel(WAITING);
        let writer = Writer { dir, newest, shared: shared.clone() };
        std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(waiting))?;
        Ok(Self { records, shared })
    }

    /// Whether a change may be made. After a failure the disk is asked again.
    pub async fn ready(&self) -> Result<(), AuditError> {
        match self.shared.failing.load(Ordering::Acquire) {
            true => self.send(None).await,
            false => Ok(()),
        }
    }

    /// Returns when the record is on the disk.
    pub async fn record(&self, record: Record) -> Result<(), AuditError> {
        self.send(Some(record)).await
    }

    async fn send(&self, record: Option<Record>) -> Result<(), AuditError> {
        let (answer, outcome) = oneshot::channel();
        self.records.send((record, answer)).await.map_err(|_| AuditError)?;
        outcome.await.unwrap_or(Err(AuditError))
    }

    /// At most `limit` entries behind a position.
    pub async fn page(&self, after: u64, limit: usize) -> io::Result<Page> {
        let (directory, last) = (self.shared.directory.clone(), self.shared.last.load(Ordering::Acquire));
        let items = blocking(move || files::page(&directory.open()?, after, last, limit)).await?;
        let next_after_sequence = items.last().map_or(after.min(last), |entry| entry.sequence);
        Ok(Page { items, next_after_sequence, last_sequence: last })
    }
}

struct Writer {
    dir: Dir,
    newest: Newest,
    shared: Arc<Shared>,
}

impl Writer {
    /// Until every handle is gone.
    fn run(mut self, mut waiting: mpsc::Receiver<Waiting>) {
        let mut batch = Vec::new();
        while waiting.blocking_recv_many(&mut batch, WAITING) > 0 {
            let (records, answers): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
            let outcome = self.write(records.into_iter().flatten());
            for answer in answers {
                // Whoever has gone has been recorded all the same.
                let _ = answer.send(outcome);
            }
        }
    }

    fn write(&mut self, records: impl Iterator<Item = Record>) -> Result<(), AuditError> {
        let (mut lines, mut last) = (Vec::new(), self.newest.last);
        for record in records {
            last += 1;
            if let Ok(line) = serde_json::to_vec(&Entry { sequence: last, record }) {
                lines.extend_from_slice(&line);
                lines.push(b'\n');
            }
        }
        let written = self.newest.append(&self.dir, &lines, last);
        self.shared.failing.store(written.is_err(), Ordering::Release);
        match written {
            Ok(()) => {
                self.shared.last.store(last, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, entries = %String::from_utf8_lossy(&lines), "the audit log cannot be written");
                Err(AuditError)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::audit::Actor;

    fn record(n: u64) -> Record {
        let role = "admin".into();
        let actor = Actor { name: "someone".into(), key_id: None, issuer: None, subject: None, role };
        Record {
            at: crate::domain::time::micros(chrono::Utc::now()),
            request_id: format!("req_{n}"),
            actor,
            address: Some("127.0.0.1".into()),
            method: "POST".into(),
            path: "/api/v1/workspaces".into(),
            status: 201,
        }
    }

    async fn sequences(log: &AuditLog, after: u64, limit: usize) -> Vec<u64> {
        log.page(after, limit).await.unwrap().items.iter().map(|entry| entry.sequence).collect()
    }

    #[tokio::test]
    async fn entries_are_numbered_whoever_writes_at_once_and_go_on_after_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::open(folder.path()).unwrap();
        let writing: Vec<_> = (0..200)
            .map(|n| {
                let log = log.clone();
                tokio::spawn(async move { log.record(record(n)).await })
            })
            .collect();
        for written in writing {
            written.await.unwrap().unwrap();
        }
        assert!(sequences(&log, 0, 1000).await.into_iter().eq(1..=200));
        assert_eq!(sequences(&log, 198, 1000).await, [199, 200]);
        assert_eq!(sequences(&log, 10, 3).await, [11, 12, 13]);
        assert_eq!(sequences(&log, 200, 3).await, [0; 0]);
        drop(log);
        let log = AuditLog::open(folder.path()).unwrap();
        log.record(record(200)).await.unwrap();
        let page = log.page(199, 10).await.unwrap();
        assert_eq!((page.items.len(), page.next_after_sequence, page.last_sequence), (2, 201, 201));
    }

    #[tokio::test]
    async fn what_a_crash_has_left_of_an_entry_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::open(folder.path()).unwrap();
        for n in 0..3 {
            log.record(record(n)).await.unwrap();
        }
        drop(log);
        let path = folder.path().join("audit/entries-00000000000000000001.ndjson");
        let whole = fs::read(&path).unwrap();
        for size in [whole.len() - 1, whole.len() - 40] {
            fs::write(&path, &whole[..size]).unwrap();
            let log = AuditLog::open(folder.path()).unwrap();
            assert_eq!(sequences(&log, 0, 10).await, [1, 2], "{size}");
            log.record(record(9)).await.unwrap();
            assert_eq!(sequences(&log, 0, 10).await, [1, 2, 3]);
        }
    }

    #[tokio::test]
    async fn entries_that_cannot_be_read_are_kept_aside_and_never_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::open(folder.path()).unwrap();
        for n in 0..3 {
            log.record(record(n)).await.unwrap();
        }
        let path = folder.path().join("audit/entries-00000000000000000001.ndjson");
        let damaged = fs::read_to_string(&path).unwrap().replace("\"sequence\":2", "\"sequence\":x");
        fs::write(&path, &damaged).unwrap();
        assert!(log.page(0, 10).await.is_err(), "a page has no holes");
        drop(log);
        let log = AuditLog::open(folder.path()).unwrap();
        assert_eq!(sequences(&log, 0, 10).await, [1]);
        let names = fs::read_dir(folder.path().join("audit")).unwrap().map(|entry| entry.unwrap().path());
        let kept = names.into_iter().find(|path| path.to_string_lossy().contains("damaged-")).unwrap();
        assert!(damaged.ends_with(&fs::read_to_string(kept).unwrap()) && damaged.contains("req_2"));
    }

    #[tokio::test]
    async fn several_files_are_one_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::open(folder.path()).unwrap();
        let long = Record { path: "x".repeat(60_000), ..record(1) };
        let count = files::LARGE / 60_000 * 2 + 20;
        for _ in 0..count {
            log.record(long.clone()).await.unwrap();
        }
        let names = fs::read_dir(folder.path().join("audit")).unwrap().count();
        assert_eq!(names, 3);
        for after in [0, count / 2 - 5, count - 3] {
            let found = sequences(&log, after, 1000).await;
            assert!(found.into_iter().eq(after + 1..=count), "{after}");
        }
        drop(log);
        let log = AuditLog::open(folder.path()).unwrap();
        assert_eq!(log.page(0, 1).await.unwrap().last_sequence, count);
    }
}
