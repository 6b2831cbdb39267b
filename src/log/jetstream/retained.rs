//! What is known of the rounds in the stream: which logs they speak of, and how many bytes they take.
//!
//! Law: a log is known as long as any message in the stream speaks of it, synced or not, because a machine that has lost its
//! disk replays all of them. A message may go only when every log that it speaks of is durable here.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::super::journal::Item;
use super::super::record::Record;
use super::super::stream_file::StreamFile;

#[derive(Default)]
pub(super) struct Retained {
    logs: HashMap<Arc<str>, Entry>,
    /// Stretches of messages whose logs are durable, the oldest first.
    blocks: VecDeque<Block>,
    /// Of the messages behind them.
    fresh_bytes: u64,
    /// Of the logs, those with a file to sync: asked for by every writer that ends.
    held: usize,
}

struct Entry {
    /// The file to sync before the messages may go; none if it has been synced.
    stream: Option<Arc<StreamFile>>,
    /// No record speaks of bytes at or beyond this.
    end: u64,
    /// The last message that speaks of it.
    last: u64,
}

struct Block {
    last: u64,
    bytes: u64,
}

impl Retained {
    /// A record of a message that was there when the journal was opened.
    pub(super) fn found(&mut self, sequence: u64, record: &Record<'_>) {
        let (path, end, cuts) = match record {
            Record::Bytes { path, offset, size, .. } => (*path, offset + *size as u64, false),
            Record::Cut { path, length } => (*path, *length, true),
            Record::Fence { .. } | Record::Adopted { .. } => return,
        };
        if !self.logs.contains_key(path) {
            self.logs.insert(path.into(), Entry { stream: None, end: 0, last: 0 });
        }
        if let Some(entry) = self.logs.get_mut(path) {
            entry.last = sequence;
            entry.end = if cuts { entry.end.min(end) } else { entry.end.max(end) };
        }
    }

    /// Before the round is published: whoever asks meanwhile must count it.
    pub(super) fn enter(&mut self, sequence: u64, items: &[Item<'_>]) {
        for item in items {
            let stream = item.stream();
            let entry = self.logs.entry(stream.path().clone()).or_insert(Entry { stream: None, end: 0, last: 0 });
            entry.last = sequence;
            entry.end = entry.end.max(item.end());
            self.held += usize::from(entry.stream.replace(stream.clone()).is_none());
        }
    }

    /// The round is stored, and cuts in it are in force.
    pub(super) fn entered(&mut self, items: &[Item<'_>], bytes: u64) {
        self.fresh_bytes += bytes;
        for item in items {
            if let Item::Cut { stream, length } = item
                && let Some(entry) = self.logs.get_mut(stream.path())
            {
                entry.end = entry.end.min(*length);
            }
        }
    }

    pub(super) fn add_bytes(&mut self, bytes: u64) {
        self.fresh_bytes += bytes;
    }

    pub(super) fn end_of(&self, path: &str) -> u64 {
        self.logs.get(path).map_or(0, |entry| entry.end)
    }

    pub(super) fn fresh_bytes(&self) -> u64 {
        self.fresh_bytes
    }

    /// The files to sync for a checkpoint.
    pub(super) fn unsynced(&self) -> Vec<Arc<StreamFile>> {
        self.logs.values().filter_map(|entry| entry.stream.clone()).collect()
    }

    pub(super) fn held_files(&self) -> usize {
        self.held
    }

    /// Whether this very file, not a later one of the same log, is to be synced.
    pub(super) fn holds(&self, stream: &Arc<StreamFile>) -> bool {
        let held = self.logs.get(stream.path()).and_then(|entry| entry.stream.as_ref());
        held.is_some_and(|held| Arc::ptr_eq(held, stream))
    }

    pub(super) fn let_go(&mut self, stream: &Arc<StreamFile>) {
        if self.holds(stream)
            && let Some(entry) = self.logs.get_mut(stream.path())
        {
            entry.stream = None;
            self.held -= 1;
        }
    }

    /// Every log is durable as far as the messages up to `last` speak of it. `bytes` are those of the messages since the
    /// last time.
    pub(super) fn synced(&mut self, last: u64, bytes: u64) {
        self.fresh_bytes = self.fresh_bytes.saturating_sub(bytes);
        match self.blocks.back_mut() {
            // Nothing was stored meanwhile; a block of its own would let the last message of the stream go.
            Some(block) if block.last == last => block.bytes += bytes,
            _ => self.blocks.push_back(Block { last, bytes }),
        }
        for entry in self.logs.values_mut().filter(|entry| entry.last <= last) {
            self.held -= usize::from(entry.stream.take().is_some());
        }
    }

    /// Up to which message the stream may be purged, so that `keep` bytes or more of it stay if there are so many.
    pub(super) fn surplus(&self, keep: u64) -> Option<u64> {
        let mut total: u64 = self.blocks.iter().map(|block| block.bytes).sum();
        let mut last = None;
        // The newest stays in any case: the last message of a stream is what uncertain rounds are compared with.
        for block in self.blocks.iter().take(self.blocks.len().saturating_sub(1)) {
            if total - block.bytes < keep {
                break;
            }
            total -= block.bytes;
            last = Some(block.last);
        }
        last
    }

    /// Messages up to this one are gone.
    pub(super) fn purged(&mut self, last: u64) {
        while self.blocks.front().is_some_and(|block| block.last <= last) {
            self.blocks.pop_front();
        }
        self.logs.retain(|_, entry| entry.last > last);
        self.held = self.logs.values().filter(|entry| entry.stream.is_some()).count();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::disk::{Disk, Mode};
    use super::super::super::memory::MemoryDisk;
    use super::super::super::stream_file::Streams;
    use super::*;

    fn bytes(path: &str, offset: u64, size: usize) -> Record<'_> {
        Record::Bytes { path, offset, at: 0, size }
    }

    #[test]
    fn a_log_is_known_until_the_last_message_that_speaks_of_it_is_gone() {
        let mut retained = Retained::default();
        retained.found(1, &bytes("a", 0, 10));
        retained.found(2, &bytes("a", 10, 5));
        retained.found(2, &bytes("b", 0, 3));
        retained.found(3, &Record::Cut { path: "a", length: 12 });
        assert_eq!((retained.end_of("a"), retained.end_of("b"), retained.end_of("c")), (12, 3, 0));
        retained.purged(2);
        assert_eq!((retained.end_of("a"), retained.end_of("b")), (12, 0));
        retained.purged(3);
        assert_eq!(retained.end_of("a"), 0);
    }

    #[test]
    fn as_much_goes_as_is_synced_and_more_than_is_kept() {
        let mut retained = Retained::default();
        assert_eq!(retained.surplus(0), None);
        for last in 1..=4 {
            retained.add_bytes(100);
            retained.synced(last * 10, 100);
        }
        retained.add_bytes(1000);
        assert_eq!(retained.fresh_bytes(), 1000);
        assert_eq!(retained.surplus(400), None);
        assert_eq!(retained.surplus(399), None);
        assert_eq!(retained.surplus(300), Some(10));
        assert_eq!(retained.surplus(101), Some(20));
        assert_eq!(retained.surplus(0), Some(30), "the newest stays");
        retained.purged(20);
        assert_eq!(retained.surplus(0), Some(30));
    }

    #[test]
    fn a_checkpoint_of_nothing_new_lets_the_newest_message_stay() {
        let mut retained = Retained::default();
        retained.add_bytes(100);
        retained.synced(7, 100);
        retained.synced(7, 0);
        assert_eq!(retained.surplus(0), None);
        retained.add_bytes(100);
        retained.synced(8, 100);
        assert_eq!(retained.surplus(0), Some(7));
    }

    #[test]
    fn a_file_is_held_until_it_is_synced() {
        let streams = Arc::<Streams>::default();
        let file = |log: &str| {
            let file = MemoryDisk::default().open(Path::new("/log"), Mode::Create).unwrap();
            streams.claim(log).unwrap().stream(file, 0)
        };
        let (mut retained, a, b) = (Retained::default(), file("a"), file("b"));
        let cut = |stream| Item::Cut { stream, length: 0 };
        retained.enter(1, &[cut(&a), cut(&a)]);
        retained.enter(2, &[cut(&b)]);
        assert_eq!(retained.held_files(), 2);
        retained.let_go(&b);
        retained.let_go(&b);
        assert_eq!(retained.held_files(), 1);
        retained.enter(3, &[cut(&b)]);
        retained.synced(2, 0);
        assert_eq!((retained.held_files(), retained.unsynced().len()), (1, 1));
        retained.synced(3, 0);
        assert_eq!((retained.held_files(), retained.unsynced().len()), (0, 0));
    }
}
