//! The file that an engine appends its events to, followed while it grows.
//!
//! Invariants: a partially written line is held back until its newline arrives; nothing is read before the previous
//! lines have been taken; once the engine is gone the file is read to its end, up to a number of bytes. Holes of a
//! file, which can be larger than any disk, are not read. A notification only says when to look; where there are none,
//! a timer does.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::files::{Dir, written_from};
use crate::worker::process::{LineBatch, LineSplitter};

/// In the directory of the engine's logs.
const EVENTS: &str = "events.ndjson";
const READ_BYTES: u64 = 128 * 1024;
/// What an engine has written and is not yet read when it ends; what it leaves beyond that would keep its run from
/// ending.
const REST_BYTES: u64 = 4 << 30;
/// How often to look without a notification.
const POLL: Duration = Duration::from_millis(100);
/// How often to look although notifications work: some file systems send none.
const POLL_WATCHED: Duration = Duration::from_secs(2);

/// Follows one file, from its beginning, whether it is there yet or not.
#[derive(Debug)]
pub struct Tail {
    position: Position,
    splitter: LineSplitter,
    changed: Arc<Notify>,
    /// Kept alive; `None` where files cannot be watched.
    watcher: Option<RecommendedWatcher>,
    reading: Option<Reading>,
    /// The writer is gone: the next end of the file is the last, and no more bytes than these are read.
    ending: Option<u64>,
    ended: bool,
}

#[derive(Debug)]
struct Reading {
    task: JoinHandle<(Position, io::Result<Vec<u8>>)>,
    /// Whether this read started after the writer had exited: only such a read proves that nothing follows.
    last: bool,
}

#[derive(Debug, Clone)]
struct Position {
    /// The service's own.
    root: PathBuf,
    /// Of the engine's logs, below the root.
    directory: PathBuf,
    offset: u64,
    /// Of the file, when it was last read.
    size: u64,
    /// Device and number of the file that the offset is of.
    identity: Option<(u64, u64)>,
}

impl Tail {
    /// For the events of an engine that logs in `directory`, which is there, below `root`.
    pub fn new(root: PathBuf, directory: PathBuf) -> Self {
        let changed = Arc::new(Notify::new());
        let watcher = watch(&root.join(&directory), &changed).ok();
        Self {
            position: Position { root, directory, offset: 0, size: 0, identity: None },
            splitter: LineSplitter::new(true),
            changed,
            watcher,
            reading: None,
            ending: None,
            ended: false,
        }
    }

    /// Nothing writes any more: [`Tail::next`] ends at the file's end, or when it has given [`REST_BYTES`].
    pub fn end(&mut self) {
        self.end_after(REST_BYTES);
    }

    fn end_after(&mut self, most: u64) {
        self.ending = Some(most);
    }

    /// Bytes of the file that have not been read.
    pub fn unread(&self) -> u64 {
        self.position.size.saturating_sub(self.position.offset)
    }

    /// The next lines; `None` at the end. A call that is dropped loses nothing.
    pub async fn next(&mut self) -> Option<LineBatch> {
        let mut batch = LineBatch::default();
        while !self.ended {
            let (bytes, last) = self.read().await;
            if !bytes.is_empty() {
                self.splitter.push(&bytes, &mut batch.lines);
            } else if last {
                self.ended = true;
                self.splitter.finish(&mut batch.lines);
            } else if self.ending.is_none() {
                self.wait().await;
            }
            // Else the read was started before the writer was gone and says nothing of the end: the next one does.
            if !batch.lines.is_empty() {
                return Some(batch);
            }
        }
        None
    }

    /// What has been appended (nothing when there is nothing, or no file), and whether nothing more can come.
    async fn read(&mut self) -> (Vec<u8>, bool) {
        let (position, last) = (&self.position, self.ending.is_some());
        let most = self.ending.unwrap_or(READ_BYTES).min(READ_BYTES);
        let reading = self.reading.get_or_insert_with(|| {
            let mut position = position.clone();
            let task = tokio::task::spawn_blocking(move || {
                let bytes = position.read(most);
                (position, bytes)
            });
            Reading { task, last }
        });
        let (done, last) = ((&mut reading.task).await, reading.last);
        self.reading = None;
        let Ok((position, bytes)) = done else { return (Vec::new(), last) };
        self.position = position;
        let bytes = bytes.unwrap_or_default();
        self.ending = self.ending.map(|most| most.saturating_sub(bytes.len() as u64));
        (bytes, last)
    }

    async fn wait(&self) {
        let poll = if self.watcher.is_some() { POLL_WATCHED } else { POLL };
        // A change that came while the file was read is remembered, so none is missed.
        tokio::time::timeout(poll, self.changed.notified()).await.ok();
    }
}

impl Position {
    fn read(&mut self, most: u64) -> io::Result<Vec<u8>> {
        let mut file = self.open()?;
        let mut bytes = read_at(&mut file, self.offset, most)?;
        // What an engine has written hardly ever begins like a hole.
        if bytes.first() == Some(&0) {
            let Some(written) = written_from(&file, self.offset)? else { return Ok(Vec::new()) };
            if written.start > self.offset {
                self.offset = written.start;
                bytes = read_at(&mut file, self.offset, most)?;
            }
        }
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }

    /// Opened anew each time, so that a file which is replaced or started again is read from its beginning. Neither a
    /// link nor a pipe that an engine puts in its place, or a link in that of a directory on the way, is followed.
    fn open(&mut self) -> io::Result<File> {
        let file = Dir::root(&self.root)?.open(&self.directory)?.file(EVENTS)?;
        let metadata = file.metadata()?;
        let identity = Some((metadata.dev(), metadata.ino()));
        if self.identity != identity || metadata.len() < self.offset {
            self.offset = 0;
        }
        self.identity = identity;
        self.size = metadata.len();
        Ok(file)
    }
}

fn read_at(file: &mut File, offset: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn watch(directory: &Path, changed: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let changed = Arc::clone(changed);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading is an event too, and waking up for it would never end.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            changed.notify_one();
        }
    })?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use futures_util::FutureExt;

    use super::*;

    /// The events of an engine that is gone, read up to `most` bytes, and the tail.
    async fn read(write: impl FnOnce(&File), most: u64) -> (Vec<String>, Tail) {
        let root = tempfile::tempdir().unwrap();
        write(&File::create(root.path().join(EVENTS)).unwrap());
        let mut tail = Tail::new(root.path().to_owned(), PathBuf::new());
        tail.end_after(most);
        let mut lines = Vec::new();
        while let Some(batch) = tail.next().await {
            lines.extend(batch.lines.into_iter().map(|line| line.text));
        }
        (lines, tail)
    }

    #[actix::test]
    async fn a_file_is_read_to_its_end() {
        let (lines, tail) = read(|mut file| file.write_all(b"a\nb\nc").unwrap(), 1000).await;
        assert_eq!((lines, tail.unread()), (["a", "b", "c"].map(String::from).to_vec(), 0));
    }

    #[actix::test]
    async fn no_more_than_so_many_bytes_are_read_when_the_writer_is_gone() {
        let (lines, tail) = read(|mut file| file.write_all(&b"1234567\n".repeat(100_000)).unwrap(), 400_000).await;
        assert_eq!((lines.len(), tail.unread()), (50_000, 400_000));
    }

    #[actix::test]
    async fn a_hole_is_not_read_and_what_follows_it_is() {
        let terabyte = 1 << 40;
        let write = |file: &File| {
            file.write_all_at(b"before\n", 0).unwrap();
            file.write_all_at(b"\nafter\n", terabyte).unwrap();
            file.set_len(2 * terabyte).unwrap();
        };
        let (lines, tail) = read(write, u64::MAX).await;
        assert_eq!((&lines[0][..], lines[lines.len() - 1].trim_matches('\0')), ("before", ""));
        assert!(lines.iter().any(|line| line == "after"), "{} lines", lines.len());
        assert!(lines.len() < 20 && tail.unread() > terabyte - (1 << 20), "{} lines", lines.len());
    }

    #[actix::test]
    async fn the_end_waits_for_no_change_although_a_read_was_begun_before_it() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(EVENTS), "a\n").unwrap();
        let mut tail = Tail::new(root.path().to_owned(), PathBuf::new());
        // So that nothing but this test reports a change.
        tail.watcher = None;
        assert_eq!(tail.next().await.map(|batch| batch.lines.len()), Some(1));
        assert!(tail.next().now_or_never().is_none(), "a read is in progress");
        tail.end();
        tail.changed.notify_one();
        assert!(tail.next().await.is_none());
        assert!(tail.changed.notified().now_or_never().is_some(), "it has waited for a change");
    }
}
