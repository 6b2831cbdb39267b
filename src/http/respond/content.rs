//! What downloads are read from.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::log::LogReader;

/// Bytes that can be read at any place, on a thread that may block.
pub trait Content: Send + Sync {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// The file that has exactly these bytes at these places, if there is one.
    fn file(&self) -> Option<&File> {
        None
    }
}

impl Content for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }

    fn file(&self) -> Option<&File> {
        Some(self)
    }
}

impl Content for LogReader {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        LogReader::read_exact_at(self, buffer, offset)
    }

    fn file(&self) -> Option<&File> {
        LogReader::file(self)
    }
}
