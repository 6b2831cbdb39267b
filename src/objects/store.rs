//! What a store of objects can do.

use std::io;

use bytes::Bytes;

/// Asked now and then by whoever waits: true when the answer is not wanted any more.
pub type Stop<'a> = &'a (dyn Fn() -> bool + 'a);

/// Why something was not done with an object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("there is no such object")]
    NotFound,
    /// It does not answer: nobody is better off with another object now.
    #[error("the object store does not answer: {0}")]
    Unavailable(String),
    /// It answers, and does not do this; with another object it may be otherwise.
    #[error("the object store refuses: {0}")]
    Refused(String),
    #[error("stopped on request")]
    Stopped,
    /// Where the bytes come from, or are to go.
    #[error("{0}")]
    Local(#[from] io::Error),
}

/// What is to be stored.
pub struct Content<'a> {
    pub bytes: u64,
    /// The next so many bytes.
    pub read: &'a mut dyn FnMut(usize) -> io::Result<Bytes>,
}

/// Every method blocks, for a bounded time.
pub trait ObjectStore: Send + Sync {
    /// Stores an object; one of that name is replaced.
    fn put(&self, name: &str, content: Content, stop: Stop) -> Result<(), ObjectError>;
    /// Gives all of an object to `write`, piece by piece.
    fn get(&self, name: &str, write: &mut dyn FnMut(&[u8]) -> io::Result<()>, stop: Stop) -> Result<(), ObjectError>;
    /// How many bytes it has.
    fn size(&self, name: &str, stop: Stop) -> Result<u64, ObjectError>;
    /// One that is not there is deleted.
    fn delete(&self, name: &str, stop: Stop) -> Result<(), ObjectError>;
}

/// At most so much of an object is in memory at once.
pub(super) const PART: u64 = 8 << 20;

/// The size of the parts of an object, so that it has no more parts than S3 allows.
pub(super) fn part_bytes(bytes: u64) -> u64 {
    const MOST_PARTS: u64 = 9_000;
    PART.max(bytes.div_ceil(MOST_PARTS))
}
