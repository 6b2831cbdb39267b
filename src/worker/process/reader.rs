//! One pipe, read as lines.
//!
//! Invariants:
//! - nothing is read before the lines of the last read have been taken; the pipe fills up, and the child waits;
//! - a child that writes faster than it is read does not keep the thread: after some lines others have a turn
//!   ([`LineReader::next`]; [`LineReader::drain`] is for when nothing writes any more).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use tokio::net::unix::pipe::Receiver;

use super::lines::{Line, LineSplitter};

const PIPE_BYTES: libc::c_int = 1024 * 1024;
const READ_BYTES: usize = 128 * 1024;
/// So many lines count as one of the 128 operations that the runtime allows a task in one turn.
const LINES_OF_AN_OPERATION: usize = 32;

/// The lines that one read completed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LineBatch {
    pub lines: Vec<Line>,
}

/// The reading end of a child's pipe.
#[derive(Debug)]
pub struct LineReader {
    pipe: Option<Receiver>,
    splitter: LineSplitter,
    buffer: Box<[u8]>,
    /// What the lines of the last read are still to be charged with. A pipe that always has more is always ready, and
    /// reading it is no operation that the runtime counts.
    uncharged: usize,
}

impl LineReader {
    /// Must be called within a runtime.
    pub fn new(pipe: OwnedFd, event_lines: bool) -> io::Result<Self> {
        // A large pipe means fewer wake-ups; one that stays small works as well.
        // SAFETY: the descriptor is open, and the call touches no memory.
        unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_BYTES) };
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Ok(Self {
            pipe: Some(Receiver::from_owned_fd(pipe)?),
            splitter: LineSplitter::new(event_lines),
            buffer,
            uncharged: 0,
        })
    }

    /// The next lines; `None` at the end. A call that is dropped loses nothing.
    pub async fn next(&mut self) -> Option<LineBatch> {
        loop {
            while self.uncharged > 0 {
                tokio::task::coop::consume_budget().await;
                self.uncharged -= 1;
            }
            if self.pipe.as_ref()?.readable().await.is_err() {
                return self.finish();
            }
            if let Some(batch) = self.take() {
                return Some(batch);
            }
        }
    }

    /// What is left in the pipe, without waiting for more; with the last of it the pipe is closed.
    pub fn drain(&mut self) -> Option<LineBatch> {
        while let Read::Bytes(count) = self.read() {
            if let Some(batch) = self.split(count) {
                return Some(batch);
            }
        }
        self.finish()
    }

    pub fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    fn take(&mut self) -> Option<LineBatch> {
        match self.read() {
            Read::Bytes(count) => self.split(count),
            Read::Nothing => None,
            Read::End => self.finish(),
        }
    }

    fn read(&mut self) -> Read {
        let Some(pipe) = &self.pipe else { return Read::End };
        match pipe.try_read(&mut self.buffer) {
            Ok(0) => Read::End,
            Ok(count) => Read::Bytes(count),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Read::Nothing
            }
            Err(_) => Read::End,
        }
    }

    fn split(&mut self, count: usize) -> Option<LineBatch> {
        let mut batch = LineBatch::default();
        self.splitter.push(&self.buffer[..count], &mut batch.lines);
        self.uncharged = 1 + batch.lines.len() / LINES_OF_AN_OPERATION;
        (!batch.lines.is_empty()).then_some(batch)
    }

    /// Closes the pipe; the unfinished line is the last one.
    fn finish(&mut self) -> Option<LineBatch> {
        self.pipe = None;
        let mut batch = LineBatch::default();
        self.splitter.finish(&mut batch.lines);
        (!batch.lines.is_empty()).then_some(batch)
    }
}

enum Read {
    Bytes(usize),
    Nothing,
    End,
}
