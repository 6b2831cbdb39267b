//! The way to files: kept, opened, removed.

use std::collections::HashMap;
use std::fs::{File, FileTimes};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use chrono::Utc;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, oneshot};

use super::error::{OpenError, PutError, RemoveError};
use super::locks::FileLocks;
use super::remote::{Remote, RemoteOptions, remove_local};
use crate::blocking::blocking;
use crate::domain::WorkspaceId;
use crate::domain::stored_file::{FileState, StoredFile};
use crate::domain::time::{Timestamp, micros};
use crate::files::{Dir, is_absent};
use crate::meter::Counter;
use crate::store::{Store, StoreError};

/// How long a reader waits for a file to be fetched; the fetch goes on, and the next one finds it. So long an upload waits for
/// its turn.
const WAIT: Duration = Duration::from_secs(20);

/// Rows that are read at once where a directory is removed.
const MOST_BELOW: u64 = 200;

/// The files of a data directory. Clones are the same.
#[derive(Clone)]
pub struct Depot(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub data_dir: PathBuf,
    pub store: Store,
    /// None: files are on the disk alone.
    pub remote: Option<Remote>,
    pub locks: FileLocks,
    pub meters: Meters,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Meters {
    pub put: Counter,
    pub fetched: Counter,
    pub released: Counter,
    pub removed: Counter,
    /// Times that the store did not do what it was asked for.
    pub failed: Counter,
    /// What the store was owed when maintenance last looked.
    owed: AtomicU64,
}

impl Meters {
    pub fn owed(&self) -> u64 {
        self.owed.load(Ordering::Relaxed)
    }

    pub(super) fn set_owed(&self, owed: u64) {
        self.owed.store(owed, Ordering::Relaxed);
    }
}

/// A file that nothing leads to yet.
#[derive(Debug, Clone)]
pub struct FileToKeep {
    pub path: PathBuf,
    pub workspace_id: WorkspaceId,
    pub bytes: u64,
    pub sha256: String,
}

impl FileToKeep {
    fn noted(self, by: &str, state: FileState) -> StoredFile {
        StoredFile {
            path: self.path.to_string_lossy().into_owned(),
            workspace_id: self.workspace_id,
            bytes: self.bytes,
            sha256: self.sha256,
            uploaded_by: by.to_owned(),
            state,
        }
    }
}

/// A file that is noted, and goes again unless it is kept and comes to count.
pub struct Begun {
    file: StoredFile,
    lock: OwnedMutexGuard<()>,
}

/// A file that the store has from now on, if it comes to count while this is held; otherwise it goes again.
pub struct Kept {
    pub path: String,
    _lock: OwnedMutexGuard<()>,
}

impl Depot {
    pub fn on_disk(data_dir: PathBuf, store: Store) -> Self {
        Self::with(data_dir, store, None)
    }

    pub fn in_store(data_dir: PathBuf, store: Store, options: RemoteOptions) -> Self {
        let remote = Remote::new(options, data_dir.clone());
        Self::with(data_dir, store, Some(remote))
    }

    fn with(data_dir: PathBuf, store: Store, remote: Option<Remote>) -> Self {
        let (locks, meters) = (FileLocks::default(), Meters::default());
        Self(Arc::new(Inner { data_dir, store, remote, locks, meters }))
    }

    /// Whether files are in an object store, and what is on the disk may come and go.
    pub fn has_store(&self) -> bool {
        self.0.remote.is_some()
    }

    pub fn meters(&self) -> &Meters {
        &self.0.meters
    }

    /// What is under way with the store is given up.
    pub fn stop(&self) {
        if let Some(remote) = &self.0.remote {
            remote.stop();
        }
    }

    /// Notes a file that is about to come to its place, if there is a store: before anything of it is there, so that nothing is
    /// forgotten.
    pub async fn begin(&self, file: FileToKeep) -> Result<Option<Begun>, PutError> {
        let Some(remote) = &self.0.remote else { return Ok(None) };
        if remote.options.objects.is_left_alone() {
            return Err(PutError::Unavailable("it has not answered a moment ago".into()));
        }
        let file = file.noted(&remote.options.owner, FileState::Putting);
        let lock = self.0.locks.lock(&file.path).await;
        self.0.store.note_stored_file(&file, now()).await?;
        Ok(Some(Begun { file, lock }))
    }

    /// Puts a file that is at its place into the store, and waits until it is there. What fails is gone from the disk too.
    pub async fn keep(&self, begun: Begun) -> Result<Kept, PutError> {
        let Begun { file, lock } = begun;
        let path = file.path.clone();
        if let Err(error) = self.put_soon(file).await {
            self.0.meters.failed.add(1);
            let data_dir = self.0.data_dir.clone();
            let _ = blocking(move || remove_local(&data_dir, &path)).await;
            return Err(error);
        }
        self.0.meters.put.add(1);
        Ok(Kept { path, _lock: lock })
    }

    /// Puts a file that is at its place and counts already into the store, and waits until it is there. What fails is owed: what is on the
    /// disk stays, and maintenance goes on.
    pub async fn keep_counting(&self, file: FileToKeep) -> Result<(), PutError> {
        let Some(remote) = &self.0.remote else { return Ok(()) };
        let file = file.noted(&remote.options.owner, FileState::Owed);
        let _alone = self.0.locks.lock(&file.path).await;
        self.0.store.note_stored_file(&file, now()).await?;
        let path = file.path.clone();
        if let Err(error) = self.put_soon(file).await {
            self.0.meters.failed.add(1);
            return Err(error);
        }
        self.0.meters.put.add(1);
        self.0.store.change_stored_file(&path, &[FileState::Owed], FileState::Stored, now()).await?;
        Ok(())
    }

    /// Beside large files and a slow store its turn may not come for long.
    async fn put_soon(&self, file: StoredFile) -> Result<(), PutError> {
        let Some(remote) = &self.0.remote else { return Ok(()) };
        let turn = tokio::time::timeout(WAIT, remote.transfers.clone().acquire_owned()).await;
        let busy = |_| PutError::Unavailable("too many other files are on their way".into());
        let turn = turn.map_err(busy)?.map_err(io::Error::other)?;
        in_turn(turn, self.putting(file)).await?
    }

    pub(super) async fn put(&self, file: StoredFile) -> Result<(), PutError> {
        self.transfer(self.putting(file)).await?
    }

    fn putting(&self, file: StoredFile) -> impl FnOnce() -> Result<(), PutError> + use<> {
        let this = self.clone();
        move || this.0.remote.as_ref().map_or(Ok(()), |remote| remote.put(&file))
    }

    /// With the store, on a thread that may block, when it is its turn.
    async fn transfer<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let Some(remote) = &self.0.remote else { return blocking(move || Ok(work())).await };
        in_turn(remote.transfers.clone().acquire_owned().await.map_err(io::Error::other)?, work).await
    }

    /// The file, brought here if need be. Whoever has it open reads on, whatever becomes of it.
    pub async fn open(&self, path: &Path) -> Result<File, OpenError> {
        match self.local(path).await {
            Err(error) if is_absent(&error) => self.fetched(path).await,
            opened => Ok(opened?),
        }
    }

    async fn local(&self, path: &Path) -> io::Result<File> {
        let (data_dir, path, is_copy) = (self.0.data_dir.clone(), path.to_owned(), self.has_store());
        blocking(move || {
            let file = Dir::root(&data_dir)?.file(path)?;
            if is_copy {
                // So that it is not the first to be released, whatever the file system notes of reading.
                let _ = file.set_times(FileTimes::new().set_accessed(SystemTime::now()));
            }
            Ok(file)
        })
        .await
    }

    async fn fetched(&self, path: &Path) -> Result<File, OpenError> {
        let name = path.to_str().ok_or(OpenError::NotFound)?.to_owned();
        let found = self.counting(&name).await?;
        if !self.has_store() {
            return Err(OpenError::Elsewhere { object: found.object() });
        }
        let (tell, told) = oneshot::channel();
        // It goes on when who asked has gone.
        tokio::spawn(self.clone().bring(name, tell));
        match tokio::time::timeout(WAIT, told).await {
            Ok(Ok(fetched)) => fetched,
            Ok(Err(_)) => Err(OpenError::Unavailable("the fetch was given up".into())),
            Err(_) => Err(OpenError::Unavailable(format!("the file has not come within {WAIT:?}"))),
        }
    }

    async fn counting(&self, path: &str) -> Result<StoredFile, OpenError> {
        let found = self.0.store.stored_file(path).await?;
        found.filter(|file| file.counts() && file.is_described()).ok_or(OpenError::NotFound)
    }

    /// What is the same of a file whenever it is opened: its checksum, once it is in the store.
    pub async fn content_tag(&self, path: &Path) -> Result<Option<String>, StoreError> {
        let Some(path) = path.to_str().filter(|_| self.has_store()) else { return Ok(None) };
        let found = self.0.store.stored_file(path).await?.filter(|file| file.state == FileState::Stored);
        Ok(found.map(|file| file.sha256))
    }

    /// The sizes of what counts below a directory, at most so many; with what is not on the disk.
    pub async fn sizes_below(&self, directory: &Path, most: u64) -> Result<HashMap<String, u64>, StoreError> {
        let Some(directory) = directory.to_str() else { return Ok(HashMap::new()) };
        let files = self.0.store.stored_files_below(directory, most).await?;
        Ok(files.into_iter().filter(StoredFile::is_described).map(|file| (file.path, file.bytes)).collect())
    }

    async fn bring(self, path: String, tell: oneshot::Sender<Result<File, OpenError>>) {
        let _alone = self.0.locks.lock(&path).await;
        if tell.is_closed() {
            return;
        }
        let fetched = self.bring_alone(&path).await;
        if matches!(fetched, Err(OpenError::Unavailable(_) | OpenError::Damaged(_))) {
            self.0.meters.failed.add(1);
        }
        let _ = tell.send(fetched);
    }

    /// Under its lock: what has been brought meanwhile is there, and what has been deleted is not brought back.
    async fn bring_alone(&self, path: &str) -> Result<File, OpenError> {
        match self.local(Path::new(path)).await {
            Err(error) if is_absent(&error) => {}
            opened => return Ok(opened?),
        }
        let file = self.counting(path).await?;
        let this = self.clone();
        let fetch = move || this.0.remote.as_ref().map_or(Err(OpenError::NotFound), |remote| remote.fetch(&file));
        self.transfer(fetch).await??;
        self.0.meters.fetched.add(1);
        Ok(self.local(Path::new(path)).await?)
    }

    /// Begins to remove a file: it counts no more, and its object is gone. Its caller removes what is on the disk.
    pub async fn begin_removal(&self, path: &Path) -> Result<Removal, RemoveError> {
        let path = path.to_string_lossy().into_owned();
        let lock = self.0.locks.lock(&path).await;
        let counted = [FileState::Putting, FileState::Owed, FileState::Stored];
        self.0.store.change_stored_file(&path, &counted, FileState::Removing, now()).await?;
        let noted = match self.has_store() {
            true => self.0.store.stored_file(&path).await?,
            // The object is removed when there is a store again.
            false => None,
        };
        if let Some(file) = noted.clone() {
            self.delete_object(file).await?;
        }
        // The row tells whoever has put the object to delete it, and is forgotten by that one.
        let noted = noted.filter(|file| self.is_own(file)).map(|file| file.path);
        Ok(Removal { depot: self.clone(), noted, _lock: lock })
    }

    /// Removes every file below a directory from the store, and what of them is on the disk.
    pub async fn remove_below(&self, directory: &Path) -> Result<(), RemoveError> {
        if !self.has_store() {
            return Ok(());
        }
        loop {
            let page = self.0.store.stored_files_below(&directory.to_string_lossy(), MOST_BELOW).await?;
            if page.is_empty() {
                return Ok(());
            }
            for file in page {
                let removal = self.begin_removal(Path::new(&file.path)).await?;
                let data_dir = self.0.data_dir.clone();
                blocking(move || remove_local(&data_dir, &file.path)).await?;
                removal.finish().await?;
            }
        }
    }

    /// What another data directory has put need not stay here once it was used.
    pub async fn drop_copy_of_others(&self, path: &Path) -> Result<(), RemoveError> {
        let path = path.to_string_lossy().into_owned();
        let _alone = self.0.locks.lock(&path).await;
        let found = self.0.store.stored_file(&path).await?;
        if found.is_none_or(|file| !self.is_own(&file)) {
            let data_dir = self.0.data_dir.clone();
            blocking(move || remove_local(&data_dir, &path)).await?;
        }
        Ok(())
    }

    /// The paths of what counts below a directory and is in the store, or is to be, at most so many.
    pub async fn paths_below(&self, directory: &Path, most: u64) -> Result<Vec<String>, StoreError> {
        if !self.has_store() {
            return Ok(Vec::new());
        }
        let found = self.0.store.stored_files_below(&directory.to_string_lossy(), most).await?;
        Ok(found.into_iter().map(|file| file.path).collect())
    }

    pub(super) fn is_own(&self, file: &StoredFile) -> bool {
        self.0.remote.as_ref().is_some_and(|remote| remote.options.owner == file.uploaded_by)
    }

    /// Whether the store has it now, and nobody else may delete it there: the setting may name another store than it did, and
    /// the original of a backup goes on deleting what it has put.
    pub(super) async fn is_held(&self, file: &StoredFile) -> Result<bool, RemoveError> {
        let (this, file) = (self.clone(), file.clone());
        Ok(self.transfer(move || this.0.remote.as_ref().map_or(Ok(false), |remote| remote.holds(&file))).await??)
    }

    pub(super) async fn delete_object(&self, file: StoredFile) -> Result<(), RemoveError> {
        let this = self.clone();
        let delete = move || this.0.remote.as_ref().map_or(Ok(()), |remote| remote.delete(&file));
        Ok(self.transfer(delete).await??)
    }
}

async fn in_turn<T: Send + 'static>(
    turn: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    blocking(move || {
        let _turn = turn;
        Ok(work())
    })
    .await
}

/// A file that is being removed: nobody brings it back meanwhile.
pub struct Removal {
    depot: Depot,
    noted: Option<String>,
    _lock: OwnedMutexGuard<()>,
}

impl Removal {
    /// What was on the disk is gone too.
    pub async fn finish(self) -> Result<(), RemoveError> {
        if let Some(path) = &self.noted {
            self.depot.0.store.forget_stored_file(path).await?;
            self.depot.0.meters.removed.add(1);
        }
        Ok(())
    }
}

pub(super) fn now() -> Timestamp {
    micros(Utc::now())
}
