//! The object store beside the disk: one file put, fetched or removed, by threads that may block.
//!
//! Law: a fetched file gets its name when its checksum was right and it is on the disk.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::error::{OpenError, PutError};
use crate::domain::id::NodeId;
use crate::domain::stored_file::{FileState, StoredFile};
use crate::files::{Dir, Location, free_bytes};
use crate::objects::{Expected, ObjectError, PatientStore, hex};

/// The store, and how it is used.
pub struct RemoteOptions {
    pub objects: Arc<PatientStore>,
    /// This data directory, to the store.
    pub owner: String,
    pub node_id: NodeId,
    /// Copies of so many bytes stay on the disk.
    pub cache_bytes: u64,
    /// So much of the disk stays free, whatever is to be fetched.
    pub min_free: u64,
    /// Below the data directory: where files are while they are not whole. A start empties it.
    pub incoming: PathBuf,
}

/// Files that are put or fetched at the same time.
const TRANSFERS: usize = 4;
/// A store that takes a file slower than this does not take it, after so long at the least.
const SLOWEST: u64 = 256 << 10;
const AT_LEAST: Duration = Duration::from_secs(30);

pub(super) struct Remote {
    pub options: RemoteOptions,
    data_dir: PathBuf,
    pub transfers: Arc<Semaphore>,
    /// Of these, those that nobody waits for.
    pub background: Arc<Semaphore>,
    /// Bytes that are being fetched, and will be on the disk.
    coming: AtomicU64,
    stopping: AtomicBool,
}

impl Remote {
    pub fn new(options: RemoteOptions, data_dir: PathBuf) -> Self {
        let (transfers, background) = (Semaphore::new(TRANSFERS).into(), Semaphore::new(TRANSFERS / 2).into());
        Self { options, data_dir, transfers, background, coming: AtomicU64::new(0), stopping: AtomicBool::new(false) }
    }

    /// What is under way is given up.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// What the file on the disk is. Blocks.
    pub fn describe(&self, file: &mut StoredFile) -> io::Result<()> {
        let (mut local, mut hasher) = (Dir::root(&self.data_dir)?.file(&file.path)?, Sha256::new());
        let (mut piece, mut bytes) = (vec![0; 1 << 20], 0);
        loop {
            if self.is_stopping() {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "the service is stopping"));
            }
            match local.read(&mut piece)? {
                0 => break,
                count => {
                    hasher.update(&piece[..count]);
                    bytes += count as u64;
                }
            }
        }
        (file.bytes, file.sha256) = (bytes, hex(hasher));
        Ok(())
    }

    /// Puts the file that is on the disk, and reads it back. Blocks.
    pub fn put(&self, file: &StoredFile) -> Result<(), PutError> {
        let (local, object) = (Dir::root(&self.data_dir)?.file(&file.path)?, file.object());
        let mut read = |at, size| {
            let mut piece = vec![0; size];
            local.read_exact_at(&mut piece, at)?;
            Ok(Bytes::from(piece))
        };
        let deadline = Instant::now() + AT_LEAST + Duration::from_secs(file.bytes / SLOWEST);
        let late = || Instant::now() > deadline;
        let expected = Expected { name: &object, bytes: file.bytes, sha256: &file.sha256 };
        match self.options.objects.put_whole(expected, &mut read, &|| self.is_stopping() || late()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(PutError::Unavailable(format!("{object} does not read as what was put"))),
            Err(ObjectError::Stopped) if late() => {
                self.options.objects.leave_alone();
                Err(PutError::Unavailable("it takes the file too slowly".into()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Brings the file to its place on the disk. Blocks.
    pub fn fetch(&self, file: &StoredFile) -> Result<(), OpenError> {
        let coming = self.coming.fetch_add(file.bytes, Ordering::Relaxed).saturating_add(file.bytes);
        let is_room =
            free_bytes(&self.data_dir).map_or(true, |free| free >= coming.saturating_add(self.options.min_free));
        let fetched = if is_room { self.bring(file) } else { Err(OpenError::no_room()) };
        self.coming.fetch_sub(file.bytes, Ordering::Relaxed);
        fetched
    }

    fn bring(&self, file: &StoredFile) -> Result<(), OpenError> {
        let incoming = Location::below(&self.data_dir, &self.options.incoming).make()?;
        let name = ulid::Ulid::generate().to_string();
        let fetched = self.receive(&incoming, &name, file);
        if fetched.is_err() {
            let _ = incoming.remove_file(&name);
        }
        fetched
    }

    fn receive(&self, incoming: &Dir, name: &str, file: &StoredFile) -> Result<(), OpenError> {
        let (mut part, object) = (incoming.create(name)?, file.object());
        let expected = Expected { name: &object, bytes: file.bytes, sha256: &file.sha256 };
        let got = self.options.objects.receive(expected, &mut |piece| part.write_all(piece), &|| self.is_stopping());
        match got {
            Ok(true) => {}
            Ok(false) => return Err(OpenError::Damaged(format!("object {object} is not what was put there"))),
            Err(ObjectError::NotFound) if file.state == FileState::Owed => {
                return Err(OpenError::Unavailable(
                    "it is on the disk of another data directory, which owes it".into(),
                ));
            }
            Err(ObjectError::NotFound) => return Err(OpenError::Damaged(format!("object {object} is gone"))),
            Err(ObjectError::Local(error)) if error.kind() == io::ErrorKind::StorageFull => {
                return Err(OpenError::no_room());
            }
            Err(ObjectError::Local(error)) => return Err(error.into()),
            Err(error) => return Err(OpenError::Unavailable(error.to_string())),
        }
        part.sync_all()?;
        let (place, last) = Location::below(&self.data_dir, &file.path).make_parent()?;
        incoming.rename(name, &place, last)?;
        Ok(place.sync()?)
    }

    /// Bytes that copies have to give back, so that files can be fetched at all.
    pub fn shortage(&self) -> u64 {
        free_bytes(&self.data_dir).map_or(0, |free| self.options.min_free.saturating_mul(2).saturating_sub(free))
    }

    /// Whether the object is there, and this data directory has put it. Blocks.
    pub fn holds(&self, file: &StoredFile) -> Result<bool, ObjectError> {
        if file.uploaded_by != self.options.owner {
            return Ok(false);
        }
        match self.options.objects.size(&file.object(), &|| self.is_stopping()) {
            Ok(size) => Ok(size == file.bytes),
            Err(ObjectError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes the object of a file, if this data directory has put it there. Blocks.
    pub fn delete(&self, file: &StoredFile) -> Result<(), ObjectError> {
        if file.uploaded_by != self.options.owner {
            return Ok(());
        }
        self.options.objects.delete(&file.object(), &|| self.is_stopping())
    }
}

/// One that is not there is removed. Blocks.
pub(super) fn remove_local(data_dir: &Path, path: &str) -> io::Result<()> {
    match Dir::root(data_dir)?.remove_file(path) {
        Err(error) if crate::files::is_absent(&error) => Ok(()),
        removed => removed,
    }
}
