//! The disk, as a trait: what the log needs of files. Tests use disks that fail and forget; an object store would be
//! another implementation.
//!
//! Law: nothing below promises more than POSIX does. Written bytes are durable after [`DiskFile::sync_data`], a new
//! name after [`Disk::sync_dir`] of the directory that holds it, and a sync that failed has promised nothing at all.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{Location, NotPlain, written_from};

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Must exist; for reading only.
    Read,
    /// Must exist; for reading and writing.
    Write,
    /// Created empty if absent; for reading and writing.
    Create,
}

pub trait Disk: Send + Sync {
    /// Creates one directory; one that exists is fine.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in this directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Renames a file within a directory, atomically; replaces a file that has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// The names in a directory, in no order; none if it does not exist.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
}

/// Bytes that can be read at any place.
pub trait ReadAt: Send + Sync {
    fn size(&self) -> io::Result<u64>;
    /// May read less than asked, nothing only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// As `read_at`, but fails with `WouldBlock` where that would wait for a device.
    fn read_cached_at(&self, _buffer: &mut [u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
    /// Where the last written byte ends. Behind it is a hole, which reads as zeros and takes no room, however large.
    fn data_end(&self) -> io::Result<u64> {
        self.size()
    }
    /// The file of the operating system that has exactly these bytes at these places, if there is one.
    fn file(&self) -> Option<&File> {
        None
    }
}

pub trait DiskFile: ReadAt {
    /// Writes everything or fails; what a failed write has left behind is unknown.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn set_len(&self, size: u64) -> io::Result<()>;
    /// Reserves room up to `size`, so that writes below it cannot run out of space.
    fn allocate(&self, size: u64) -> io::Result<()>;
    /// Makes the bytes and the size durable.
    fn sync_data(&self) -> io::Result<()>;
}

/// What the name of a compressed log ends with.
pub(super) const COMPRESSED: &str = "zst";

/// Where the compressed form of a log is, beside the other.
pub(super) fn compressed_path(path: &Path) -> PathBuf {
    path.with_added_extension(COMPRESSED)
}

/// Reads until the buffer is full or the file ends; says how much that was.
pub(super) fn read_full(file: &dyn ReadAt, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The bytes of a range that must exist.
pub(super) fn read_range(file: &dyn ReadAt, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (end - start) as usize];
    if read_full(file, &mut bytes, start)? < bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// The operating system's file system. Below its root nothing is reached through a link, and only plain files are
/// opened: engines can write beside their logs.
#[derive(Debug, Clone, Default)]
pub struct RealDisk {
    root: Option<PathBuf>,
}

/// The most names of a directory that are read.
const MOST_NAMES: usize = 1_000_000;

impl RealDisk {
    /// Of one data directory. Without a root, links on the way to a path are followed.
    pub fn within(root: &Path) -> Self {
        Self { root: Some(root.to_owned()) }
    }

    fn location(&self, path: &Path) -> Location {
        let below = self.root.as_deref().and_then(|root| Some((root, path.strip_prefix(root).ok()?)));
        below.map_or_else(|| path.into(), |(root, below)| Location::below(root, below))
    }
}

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.location(path).parent_unlocked()?;
        dir.make(name).map(drop)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.location(path).open()?.sync()
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let (dir, name) = self.location(path).parent_unlocked()?;
        let file = if mode == Mode::Read {
            dir.file(name)?
        } else {
            // A backup made of hard links, or another file that was linked under the name of a log: writing to it would
            // change that too.
            dir.part(&name)?;
            dir.file_to_write(name, mode == Mode::Create)?
        };
        file.data_end()?;
        Ok(Arc::new(file))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.location(path).parent_unlocked()?;
        dir.remove_file(name)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (dir, name) = self.location(from).parent_unlocked()?;
        let (to, to_name) = self.location(to).parent_unlocked()?;
        dir.rename(name, &to, to_name)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let folder = match self.location(folder).open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            folder => folder?,
        };
        Ok(folder.entries(MOST_NAMES)?.into_iter().map(|(name, _)| name).collect())
    }
}

/// A crash may leave a hole where bytes were not yet synced, and no writer of a log leaves more than this in all. A file
/// with more was made by something else, and could take days to read.
const MOST_HOLES: u64 = 64 << 20;

/// Where the data of a file of this size ends. A file with more than [`MOST_HOLES`] before that is not a plain file.
fn end_of_data(file: &File, size: u64) -> io::Result<u64> {
    let (mut end, mut holes) = (0, 0);
    while end < size {
        let Some(written) = written_from(file, end)? else { break };
        holes += written.start - end;
        if holes > MOST_HOLES {
            return Err(NotPlain.into());
        }
        end = written.end;
    }
    Ok(end)
}

impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn data_end(&self) -> io::Result<u64> {
        let size = self.size()?;
        if size > MOST_HOLES { end_of_data(self, size) } else { Ok(size) }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn read_cached_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: one slice is given and one is said to be given, and it is `buffer`, borrowed for the call.
        let count =
            unsafe { libc::preadv2(self.as_raw_fd(), &raw const slice, 1, offset as libc::off_t, libc::RWF_NOWAIT) };
        usize::try_from(count).map_err(|_| match io::Error::last_os_error() {
            // Not every file system can tell.
            error if error.kind() == io::ErrorKind::Unsupported => io::ErrorKind::WouldBlock.into(),
            error => error,
        })
    }

    fn file(&self) -> Option<&File> {
        Some(self)
    }
}

impl DiskFile for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        File::set_len(self, size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        Ok(nix::fcntl::posix_fallocate(self, 0, size as libc::off_t)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}
