//! The file layer, as a trait: what the log asks of a disk, so that tests can give it one that fails and forgets.
//!
//! Law: nothing below promises more than POSIX does. Written bytes are durable after [`DiskFile::sync_data`], a new
//! name after [`Disk::sync_dir`] of the folder that holds it, and a sync that failed has promised nothing at all.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Must exist; for reading only.
    Read,
    /// Must exist; for reading and writing.
    Write,
    /// Made empty if absent; for reading and writing.
    Create,
}

pub trait Disk: Send + Sync {
    /// Makes one folder; one that exists is fine.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in this folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name in the same folder at once, and with it the place of what had that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// The names in a folder, in no order; none of a folder that is not there.
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

/// The operating system's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            done => done,
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let writes = mode != Mode::Read;
        let file =
            OpenOptions::new().read(true).write(writes).create(mode == Mode::Create).truncate(false).open(path)?;
        Ok(Arc::new(file))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
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
