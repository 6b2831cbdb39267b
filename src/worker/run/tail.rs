//! The file that an engine appends its events to, followed while it grows.
//!
//! Laws: a half-written line is held back until its end; nothing is read before the lines of the last read have been
//! taken; once the engine is gone the file is read to its end. A notification only says when to look; where there
//! are none, a timer does.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::files::Dir;
use crate::worker::process::{LineBatch, LineSplitter};

/// In the folder of the engine's logs.
const EVENTS: &str = "events.ndjson";
const READ_BYTES: usize = 128 * 1024;
/// How often to look without being told to.
const POLL: Duration = Duration::from_millis(100);
/// How often to look although one would be told: some file systems keep silent.
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
    /// The writer is gone: the next end of the file is the last.
    ending: bool,
    ended: bool,
}

#[derive(Debug)]
struct Reading {
    task: JoinHandle<(Position, io::Result<Vec<u8>>)>,
    /// It was begun when the writer was gone.
    last: bool,
}

#[derive(Debug, Clone)]
struct Position {
    /// The service's own.
    root: PathBuf,
    /// Of the engine's logs, below the root.
    folder: PathBuf,
    offset: u64,
    /// Device and number of the file that the offset is of.
    identity: Option<(u64, u64)>,
}

impl Tail {
    /// For the events of an engine that logs in `folder`, which is there, below `root`.
    pub fn new(root: PathBuf, folder: PathBuf) -> Self {
        let changed = Arc::new(Notify::new());
        let watcher = watch(&root.join(&folder), &changed).ok();
        Self {
            position: Position { root, folder, offset: 0, identity: None },
            splitter: LineSplitter::new(true),
            changed,
            watcher,
            reading: None,
            ending: false,
            ended: false,
        }
    }

    /// Nobody writes any more: [`Tail::next`] ends at the file's end.
    pub fn end(&mut self) {
        self.ending = true;
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
            } else {
                self.wait().await;
            }
            if !batch.lines.is_empty() {
                return Some(batch);
            }
        }
        None
    }

    /// What has been appended (nothing when there is nothing, or no file), and whether nothing more can come.
    async fn read(&mut self) -> (Vec<u8>, bool) {
        let (position, last) = (&self.position, self.ending);
        let reading = self.reading.get_or_insert_with(|| {
            let mut position = position.clone();
            let task = tokio::task::spawn_blocking(move || {
                let bytes = position.read();
                (position, bytes)
            });
            Reading { task, last }
        });
        let (done, last) = ((&mut reading.task).await, reading.last);
        self.reading = None;
        let Ok((position, bytes)) = done else { return (Vec::new(), last) };
        self.position = position;
        (bytes.unwrap_or_default(), last)
    }

    async fn wait(&self) {
        let poll = if self.watcher.is_some() { POLL_WATCHED } else { POLL };
        // A change that came while the file was read is remembered, so none is missed.
        tokio::time::timeout(poll, self.changed.notified()).await.ok();
    }
}

impl Position {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut file = self.open()?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(READ_BYTES as u64).read_to_end(&mut bytes)?;
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }

    /// Opened anew each time, so that a file which is replaced or begun again is read from its beginning. Neither a
    /// link nor a pipe that an engine puts in its place, or a link in that of a folder on the way, is followed.
    fn open(&mut self) -> io::Result<File> {
        let file = Dir::root(&self.root)?.open(&self.folder)?.file(EVENTS)?;
        let metadata = file.metadata()?;
        let identity = Some((metadata.dev(), metadata.ino()));
        if self.identity != identity || metadata.len() < self.offset {
            self.offset = 0;
        }
        self.identity = identity;
        Ok(file)
    }
}

fn watch(folder: &Path, changed: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let changed = Arc::clone(changed);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading is an event too, and waking up for it would never end.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            changed.notify_one();
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
