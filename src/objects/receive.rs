//! An object, received as whoever has put it there knows it.
//!
//! Law: no more is taken than there should be, and not for longer than the slowest store is granted, however little comes.

use std::io;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::store::{ObjectError, ObjectStore, Stop};

/// What an object is known to be.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub name: &'a str,
    pub bytes: u64,
    /// In hexadecimal.
    pub sha256: &'a str,
}

/// A store that is slower than this does not answer, after a minute at the least.
const SLOWEST: u64 = 64 << 10;
const AT_LEAST: Duration = Duration::from_secs(60);

/// Where an object goes, piece by piece.
pub type Write<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// Gives an object to `write`. False: it is not what was put there, and what has come of it is of no use.
pub fn receive(store: &dyn ObjectStore, expected: Expected, write: Write, stop: Stop) -> Result<bool, ObjectError> {
    within(AT_LEAST + Duration::from_secs(expected.bytes / SLOWEST), store, expected, write, stop)
}

fn within(
    limit: Duration,
    store: &dyn ObjectStore,
    expected: Expected,
    write: Write,
    stop: Stop,
) -> Result<bool, ObjectError> {
    let (mut hasher, mut size) = (Sha256::new(), 0);
    let mut take = |piece: &[u8]| {
        size += piece.len() as u64;
        if size > expected.bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        hasher.update(piece);
        write(piece)
    };
    let deadline = Instant::now() + limit;
    let got = store.get(expected.name, &mut take, &|| stop() || Instant::now() > deadline);
    match got {
        Ok(()) => Ok(size == expected.bytes && hex(hasher) == expected.sha256),
        Err(ObjectError::Local(_)) if size > expected.bytes => Ok(false),
        // It was the time that asked.
        Err(ObjectError::Stopped) if !stop() => {
            Err(ObjectError::Unavailable(format!("the object has not come within {limit:?}")))
        }
        Err(error) => Err(error),
    }
}

/// A checksum, as it is written in hexadecimal.
pub fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::memory::{Faults, MemoryStore};
    use super::super::store::Content;
    use super::*;

    const GO_ON: Stop<'static> = &|| false;

    /// A store with this object under the name `x`, and the checksum of what is to be there.
    fn stored(content: &'static [u8], expected: &[u8]) -> (MemoryStore, String) {
        let store = MemoryStore::default();
        let mut read = |_| Ok(bytes::Bytes::from_static(content));
        store.put("x", Content { bytes: content.len() as u64, read: &mut read }, GO_ON).unwrap();
        (store, hex(Sha256::new_with_prefix(expected)))
    }

    #[test]
    fn no_more_is_taken_than_there_should_be() {
        for (content, wanted) in
            [(&b"four"[..], &b"four"[..]), (b"fou", b"four"), (b"foul", b"four"), (b"fours", b"four")]
        {
            let ((store, sha256), mut taken) = (stored(content, wanted), 0);
            let expected = Expected { name: "x", bytes: wanted.len() as u64, sha256: &sha256 };
            let mut write = |piece: &[u8]| {
                taken += piece.len();
                Ok(())
            };
            assert_eq!(receive(&store, expected, &mut write, GO_ON).unwrap(), content == wanted);
            assert!(taken <= wanted.len());
        }
    }

    #[test]
    fn a_store_that_is_too_slow_does_not_answer_and_one_that_is_told_to_stop_has_stopped() {
        let (store, sha256) = stored(b"four", b"four");
        let expected = Expected { name: "x", bytes: 4, sha256: &sha256 };
        store.inject(Faults { stuck: true, ..Faults::default() });
        let slow = within(Duration::ZERO, &store, expected, &mut |_| Ok(()), GO_ON);
        assert!(matches!(slow, Err(ObjectError::Unavailable(_))), "{slow:?}");
        let stopped = receive(&store, expected, &mut |_| Ok(()), &|| true);
        assert!(matches!(stopped, Err(ObjectError::Stopped)), "{stopped:?}");
    }
}
