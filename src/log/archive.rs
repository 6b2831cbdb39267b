//! The archive of a data directory: its store, who puts objects there, and what of it is on the disk.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tokio::sync::oneshot;

use super::cache::{ARCHIVE, Cache};
use super::compressed::FrameCache;
use super::disk::{Disk, DiskFile, Mode, read_full};
use super::error::OpenReaderError;
use super::fetch::{FetchError, Fetched, Fetcher};
use super::pointer::Pointer;
use super::reader::LogReader;
use crate::domain::StreamKey;
use crate::objects::{ObjectStore, PatientStore};

/// Where logs go, and what of them is kept here.
#[derive(Clone)]
pub struct ArchiveOptions {
    pub store: Arc<dyn ObjectStore>,
    /// Of what was fetched to be read.
    pub cache_bytes: u64,
    /// So much of the disk stays free, whatever is to be fetched.
    pub min_free: u64,
    /// How long a store that has not answered is left alone.
    pub pause: Duration,
}

/// How long a reader waits for a log to be fetched; the fetch goes on, and the next one finds it.
const WAIT: Duration = Duration::from_secs(20);

pub(super) struct Archive {
    pub(super) source: Arc<PatientStore>,
    /// This data directory, to the store.
    pub(super) owner: String,
    cache: Arc<Cache>,
    fetcher: Fetcher,
}

impl Archive {
    pub(super) fn open(disk: &Arc<dyn Disk>, data_dir: &Path, options: ArchiveOptions) -> io::Result<Self> {
        let cache = Arc::new(Cache::open(disk.clone(), data_dir, options.cache_bytes, options.min_free)?);
        let owner = owner(&**disk, data_dir)?;
        let source = Arc::new(PatientStore::new(options.store, options.pause));
        let fetcher = Fetcher::start(source.clone(), cache.clone())?;
        Ok(Self { source, owner, cache, fetcher })
    }

    /// The log at once, where it is on the disk; or somebody who brings it.
    pub(super) fn opening(
        &self,
        key: StreamKey,
        pointer: Pointer,
        frames: &Arc<FrameCache>,
    ) -> Result<Opening, OpenReaderError> {
        let fetch = Fetching { path: self.cache.path(&pointer.cache_name(key)).into(), frames: frames.clone() };
        if let Some(file) = self.fetcher.at_hand(key, &pointer) {
            return Ok(Opening::Ready(fetch.open(Ok(file))?));
        }
        let ((tell, told), waits) = (oneshot::channel(), Arc::new(()));
        self.fetcher.bring(key, pointer, &waits, move |fetched| drop(tell.send(fetched)));
        Ok(Opening::Fetching(Fetch { told, fetching: fetch, _waits: waits }))
    }

    /// As [`Archive::opening`], and waits. Blocks.
    pub(super) fn reader(
        &self,
        key: StreamKey,
        pointer: Pointer,
        frames: &Arc<FrameCache>,
    ) -> Result<LogReader, OpenReaderError> {
        let fetch = Fetching { path: self.cache.path(&pointer.cache_name(key)).into(), frames: frames.clone() };
        if let Some(file) = self.fetcher.at_hand(key, &pointer) {
            return fetch.open(Ok(file));
        }
        let ((tell, told), waits) = (sync_channel(1), Arc::new(()));
        self.fetcher.bring(key, pointer, &waits, move |fetched| drop(tell.try_send(fetched)));
        fetch.open(told.recv_timeout(WAIT).unwrap_or_else(|_| Err(late())))
    }

    /// The log is deleted, and its pointer is gone: so is what was fetched of it.
    pub(super) fn forget(&self, key: StreamKey, pointer: &Pointer, frames: &FrameCache) {
        let name = pointer.cache_name(key);
        self.cache.remove(&name);
        frames.forget(&self.cache.path(&name));
    }

    pub(super) fn stop(&self) {
        self.fetcher.stop();
    }
}

fn late() -> FetchError {
    FetchError::Unavailable(format!("the log has not come within {WAIT:?}"))
}

/// A log that is read from now on, or soon.
pub enum Opening {
    Ready(LogReader),
    Fetching(Fetch),
}

/// A log on its way from the archive. Dropping it gives up no fetch that has begun.
pub struct Fetch {
    _waits: Arc<()>,
    told: oneshot::Receiver<Fetched>,
    fetching: Fetching,
}

impl Fetch {
    /// Waits, without a thread. What it opens then may take a look at the disk.
    pub async fn arrived(self) -> Arrived {
        let told = tokio::time::timeout(WAIT, self.told).await;
        Arrived { fetched: told.ok().and_then(Result::ok).unwrap_or_else(|| Err(late())), fetching: self.fetching }
    }
}

/// What has come of it.
pub struct Arrived {
    fetched: Fetched,
    fetching: Fetching,
}

impl Arrived {
    /// Blocks.
    pub fn open(self) -> Result<LogReader, OpenReaderError> {
        self.fetching.open(self.fetched)
    }
}

/// What a reader needs besides the file.
struct Fetching {
    path: Arc<Path>,
    frames: Arc<FrameCache>,
}

impl Fetching {
    fn open(&self, fetched: Fetched) -> Result<LogReader, OpenReaderError> {
        match fetched {
            Ok(file) => LogReader::of_compressed(file, &self.path, &self.frames).map(LogReader::fetched),
            Err(FetchError::Unavailable(why)) => Err(OpenReaderError::ArchiveUnavailable(why)),
            Err(FetchError::Damaged(why)) => Err(OpenReaderError::ArchiveDamaged(why)),
        }
    }
}

/// The name of this data directory in the store: made once, and no part of a backup, so that a directory which was made of a
/// backup has another.
fn owner(disk: &dyn Disk, data_dir: &Path) -> io::Result<String> {
    let folder = data_dir.join(ARCHIVE);
    let file = disk.open(&folder.join("id"), Mode::Create)?;
    let mut text = vec![0; 26];
    let size = read_full(&*file, &mut text, 0)?;
    let known = std::str::from_utf8(&text[..size]).ok().filter(|text| ulid::Ulid::from_string(text).is_ok());
    if let Some(known) = known {
        return Ok(known.to_owned());
    }
    let fresh = ulid::Ulid::generate().to_string();
    write_owner(&*file, &fresh)?;
    disk.sync_dir(&folder)?;
    disk.sync_dir(data_dir)?;
    Ok(fresh)
}

fn write_owner(file: &dyn DiskFile, owner: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all_at(owner.as_bytes(), 0)?;
    file.sync_data()
}
