//! The disk that a directory is on.

use std::io;
use std::path::Path;

/// What is free on it for this process's user, in bytes.
pub fn free_bytes(directory: &Path) -> io::Result<u64> {
    let disk = nix::sys::statvfs::statvfs(directory)?;
    Ok(disk.blocks_available().saturating_mul(disk.fragment_size()))
}
