//! An object, received as its pointer says that it is.
//!
//! Law: no more is taken than there should be, and not for longer than the slowest store is granted, however little comes.

use std::io;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::pointer::{Pointer, hex};
use crate::objects::{ObjectError, ObjectStore, Stop};

/// A store that is slower than this does not answer, after a minute at the least.
const SLOWEST: u64 = 64 << 10;
const AT_LEAST: Duration = Duration::from_secs(60);

/// Where an object goes, piece by piece.
pub(super) type Write<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// Gives an object to `write`. False: it is not what was put there, and what has come of it is of no use.
pub(super) fn receive(
    store: &dyn ObjectStore,
    pointer: &Pointer,
    write: Write,
    stop: Stop,
) -> Result<bool, ObjectError> {
    within(AT_LEAST + Duration::from_secs(pointer.object_bytes / SLOWEST), store, pointer, write, stop)
}

fn within(
    limit: Duration,
    store: &dyn ObjectStore,
    pointer: &Pointer,
    write: Write,
    stop: Stop,
) -> Result<bool, ObjectError> {
    let (mut hasher, mut size, expected) = (Sha256::new(), 0, pointer.object_bytes);
    let mut take = |piece: &[u8]| {
        size += piece.len() as u64;
        if size > expected {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        hasher.update(piece);
        write(piece)
    };
    let deadline = Instant::now() + limit;
    let got = store.get(&pointer.object, &mut take, &|| stop() || Instant::now() > deadline);
    match got {
        Ok(()) => Ok(size == expected && hex(hasher) == pointer.sha256),
        Err(ObjectError::Local(_)) if size > expected => Ok(false),
        // It was the time that asked.
        Err(ObjectError::Stopped) if !stop() => {
            Err(ObjectError::Unavailable(format!("the object has not come within {limit:?}")))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::pointer::Described;
    use super::*;
    use crate::domain::{RunId, StreamKey, WorkspaceId};
    use crate::objects::Content;
    use crate::objects::memory::{Faults, MemoryStore};

    const GO_ON: Stop<'static> = &|| false;

    /// A store with this object, and a pointer to it that says what is to be there.
    fn stored(content: &'static [u8], expected: &[u8]) -> (MemoryStore, Pointer) {
        let (store, key) = (MemoryStore::default(), StreamKey::of(WorkspaceId::generate(), RunId::generate()));
        let sha256 = hex(Sha256::new_with_prefix(expected));
        let described = Described { object_bytes: expected.len() as u64, sha256, log_bytes: 9, last_sequence: 1 };
        let pointer = Pointer::new(key, &ulid::Ulid::generate().to_string(), described);
        let mut read = |_| Ok(bytes::Bytes::from_static(content));
        store.put(&pointer.object, Content { bytes: content.len() as u64, read: &mut read }, GO_ON).unwrap();
        (store, pointer)
    }

    #[test]
    fn no_more_is_taken_than_there_should_be() {
        for (content, expected) in
            [(&b"four"[..], &b"four"[..]), (b"fou", b"four"), (b"foul", b"four"), (b"fours", b"four")]
        {
            let ((store, pointer), mut taken) = (stored(content, expected), 0);
            let mut write = |piece: &[u8]| {
                taken += piece.len();
                Ok(())
            };
            assert_eq!(receive(&store, &pointer, &mut write, GO_ON).unwrap(), content == expected);
            assert!(taken <= expected.len());
        }
    }

    #[test]
    fn a_store_that_is_too_slow_does_not_answer_and_one_that_is_told_to_stop_has_stopped() {
        let (store, pointer) = stored(b"four", b"four");
        store.inject(Faults { stuck: true, ..Faults::default() });
        let slow = within(Duration::ZERO, &store, &pointer, &mut |_| Ok(()), GO_ON);
        assert!(matches!(slow, Err(ObjectError::Unavailable(_))), "{slow:?}");
        let stopped = receive(&store, &pointer, &mut |_| Ok(()), &|| true);
        assert!(matches!(stopped, Err(ObjectError::Stopped)), "{stopped:?}");
    }
}
