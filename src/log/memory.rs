//! A disk and a journal in memory: the smallest that keep the contract, for tests. Whoever holds a clone can open the
//! logs again, as after a restart; nothing outlives the process.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::disk::{Disk, DiskFile, Mode, ReadAt};
use super::error::OpenRootError;
use super::journal::{Appender, Item, Journal, Opened};
use super::record::{Round, RoundHeader};
use super::replay::Replay;
use super::stream_file::StreamFile;
use super::threads::{in_parallel, lock};

/// Files by their paths. Directories are there as soon as they are named.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<BTreeMap<PathBuf, Arc<MemoryFile>>>>);

#[derive(Default)]
struct MemoryFile(Mutex<Vec<u8>>);

impl Disk for MemoryDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = lock(&self.0);
        if mode == Mode::Create {
            files.entry(path.to_owned()).or_default();
        }
        Ok(files.get(path).ok_or(io::ErrorKind::NotFound)?.clone())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        lock(&self.0).remove(path).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = lock(&self.0);
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let files = lock(&self.0);
        let within = files.keys().filter(|path| path.parent() == Some(folder));
        Ok(within.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }
}

impl ReadAt for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Bytes(&lock(&self.0)).read_at(buffer, offset)
    }
}

impl DiskFile for MemoryFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut content, start) = (lock(&self.0), offset as usize);
        let end = start + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        lock(&self.0).resize(size as usize, 0);
        Ok(())
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.set_len(self.size()?.max(size))
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

struct Bytes<'a>(&'a [u8]);

impl ReadAt for Bytes<'_> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let size = rest.len().min(buffer.len());
        buffer[..size].copy_from_slice(&rest[..size]);
        Ok(size)
    }
}

/// What a journal in memory holds: sealed rounds, oldest first. It outlives the journal that wrote it.
pub type MemoryRounds = Arc<Mutex<Vec<Vec<u8>>>>;

const EPOCH: u64 = 1;

type Logs = HashMap<Arc<str>, (Arc<StreamFile>, u64)>;

/// A journal that is nothing but its rounds. They are given up when it ends with a checkpoint.
pub struct MemoryJournal {
    rounds: MemoryRounds,
    /// The logs that the rounds speak of, and where the records of each end.
    logs: Mutex<Logs>,
    ended: Mutex<Option<bool>>,
    changed: Condvar,
}

impl MemoryJournal {
    /// Brings the rounds into the logs on this disk, then starts with none.
    pub fn open(rounds: MemoryRounds, disk: &dyn Disk, data_dir: &Path) -> Result<Opened<Self>, OpenRootError> {
        let left = lock(&rounds).clone();
        let mut replay = Replay::default();
        for (index, round) in left.iter().enumerate() {
            // What stands behind a torn round was never acknowledged.
            if !body(round).is_some_and(|body| replay.add(index, RoundHeader::SIZE, body)) {
                break;
            }
        }
        let bytes: Vec<_> = left.iter().map(|round| Bytes(round)).collect();
        let sources: Vec<&dyn ReadAt> = bytes.iter().map(|round| round as &dyn ReadAt).collect();
        let replayed = replay.apply(disk, data_dir, &sources).map_err(OpenRootError::Replay)?;
        lock(&rounds).clear();
        let journal = Self { rounds, logs: Mutex::default(), ended: Mutex::default(), changed: Condvar::new() };
        let journal = Arc::new(journal);
        Ok(Opened { appender: MemoryAppender(journal.clone()), journal, replayed })
    }
}

/// The body of a round; none if it is torn.
fn body(round: &[u8]) -> Option<&[u8]> {
    let (header, body) = round.split_first_chunk()?;
    RoundHeader::parse(*header, EPOCH).filter(|header| header.covers(body)).map(|_| body)
}

impl Journal for MemoryJournal {
    type Appender = MemoryAppender;

    fn has_failed(&self) -> bool {
        false
    }

    fn round_limit(&self) -> u64 {
        4 << 20
    }

    fn end_of(&self, path: &str) -> u64 {
        lock(&self.logs).get(path).map_or(0, |(_, end)| *end)
    }

    fn held_files(&self) -> usize {
        lock(&self.logs).len()
    }

    /// Files in memory may stay open.
    fn release(&self, _: &Arc<StreamFile>) {}

    fn checkpoint_loop(&self) {
        let ended = self.changed.wait_while(lock(&self.ended), |ended| ended.is_none());
        if *ended.unwrap_or_else(PoisonError::into_inner) != Some(true) {
            return;
        }
        let logs: Vec<_> = lock(&self.logs).drain().map(|(_, (stream, _))| stream).collect();
        if in_parallel(&logs, |stream| stream.sync()).is_ok() {
            lock(&self.rounds).clear();
        }
    }

    fn end(&self, checkpoint: bool) {
        lock(&self.ended).get_or_insert(checkpoint);
        self.changed.notify_all();
    }
}

pub struct MemoryAppender(Arc<MemoryJournal>);

impl Appender for MemoryAppender {
    fn append(&mut self, items: &[Item<'_>]) -> io::Result<()> {
        let mut round = Round::new();
        items.iter().for_each(|item| item.record_in(&mut round));
        lock(&self.0.rounds).push(round.seal(EPOCH).to_vec());
        let mut logs = lock(&self.0.logs);
        for item in items {
            logs.insert(item.stream().path().clone(), (item.stream().clone(), item.end()));
        }
        Ok(())
    }

    /// Rounds are given up only when there is no appender any more.
    fn settled(&mut self) {}
}
