//! How far the logs of this disk are durable without the stream, and by which fence it had the journal last: a small file
//! beside the logs.
//!
//! Law: it is written only when every log is synced as far as the messages up to its sequence speak of it. Without it, or
//! with one of another stream, nothing on this disk is taken for durable, and everything that the stream has is replayed.
//! The id of a fence is noted before it may be stored, so that a start which dies in between is known to be of this disk; and
//! it is forgotten only when the stream has gone on from where alone it could be stored.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::super::disk::{Disk, Mode, ReadAt, read_range};
use crate::files::is_absent;

const FILE: &str = "stream.json";
const NEW_FILE: &str = "stream.json.new";
const FORMAT: u32 = 1;
/// It is much smaller, with all its claims.
const LARGEST: u64 = 1 << 16;
/// Each is a start that has died without knowing whether its fence was stored.
pub(super) const MOST_CLAIMS: usize = 64;

/// Who writes a journal. An epoch is one process's alone; 0 is nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Fence {
    pub(super) epoch: u64,
    /// Not known when the fence itself has gone from the stream, and only rounds behind it are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<String>,
}

impl Fence {
    /// What a message says; `by` where it is the fence.
    pub(super) fn see(&mut self, epoch: u64, by: Option<&str>) {
        if epoch > self.epoch || epoch == self.epoch && by.is_some() {
            *self = Self { epoch, by: by.map(str::to_owned) };
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.epoch == other.epoch && (self.by.is_none() || other.by.is_none() || self.by == other.by)
    }
}

/// A fence of this directory that may be stored, also long after the start that has published it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    by: String,
    /// The last message of the stream then: it is stored behind that one, or never.
    behind: u64,
}

/// Which file of this machine it is: a copy of it is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    inode: u64,
    /// In microseconds; not every file system knows.
    born: Option<u64>,
}

impl Place {
    fn of(file: &dyn ReadAt) -> Option<Self> {
        let about = file.file()?.metadata().ok()?;
        let age = about.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        Some(Self { inode: about.ino(), born: age.and_then(|age| age.as_micros().try_into().ok()) })
    }

    fn is_another(&self, other: &Self) -> bool {
        self.inode != other.inode || matches!((self.born, other.born), (Some(one), Some(other)) if one != other)
    }
}

/// Whether it is another file than the one that was written here, or another directory has that one too, by a link.
fn is_copy(file: &dyn ReadAt, written: Option<&Place>) -> bool {
    let is_linked = file.file().and_then(|file| file.metadata().ok()).is_some_and(|about| about.nlink() > 1);
    is_linked || Place::of(file).zip(written).is_some_and(|(here, written)| here.is_another(written))
}

/// Whether the node is this directory's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Held,
    /// It is that of another directory, of which this is a copy, and which may be at work.
    Copied,
    /// Another directory has had the node since.
    Lost,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    format: u32,
    pub(super) stream: String,
    /// When the stream was made: another one of the same name knows nothing of this disk.
    pub(super) created: String,
    /// The last message that is not needed here any more.
    pub(super) synced: u64,
    /// Messages behind that may have been acknowledged: a process is at work, or did not stop cleanly.
    pub(super) is_open: bool,
    /// By which this directory has the node; none in a file of a release that did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fence: Option<Fence>,
    /// Fences of this directory that may be stored behind that one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    claims: Vec<Claim>,
    /// After a clean stop the logs went on without the stream: what that has is void.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_left: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    /// It was read from another file than it was written to, or from one that is in another directory too.
    #[serde(skip)]
    pub(super) is_copy: bool,
}

impl Marker {
    /// Of a directory that has just taken the node over.
    pub(super) fn new(stream: &str, created: &str, synced: u64, fence: Fence) -> Self {
        let (stream, created) = (stream.to_owned(), created.to_owned());
        let (claims, is_left, place, is_copy) = (Vec::new(), false, None, false);
        let fence = Some(fence);
        Self { format: FORMAT, stream, created, synced, is_open: true, fence, claims, is_left, place, is_copy }
    }

    /// As far as this message.
    pub(super) fn at(&self, synced: u64, is_open: bool) -> Self {
        Self { synced, is_open, ..self.clone() }
    }

    /// About to store a fence of this id behind the newest, which is this directory's, and behind the last message. None if
    /// too many others may still be stored there.
    pub(super) fn claiming(&self, newest: &Fence, by: &str, behind: u64) -> Option<Self> {
        let is_own = self.claims(newest) || self.fence.is_some() && newest.epoch > self.epoch();
        let fence = if is_own { Some(newest.clone()) } else { self.fence.clone() };
        let claim = Claim { by: by.to_owned(), behind };
        let mut claims = self.claims.clone();
        claims.retain(|other| other.behind >= behind && *other != claim);
        claims.push(claim);
        // Whoever writes it has the file to itself.
        (claims.len() <= MOST_CLAIMS).then(|| Self { fence, claims, is_copy: false, ..self.clone() })
    }

    /// The logs go on without the stream. Where it is not known who has the node, another's rounds might be voided.
    pub(super) fn leaving(self) -> Self {
        Self { is_left: self.fence.is_some(), ..self }
    }

    /// Of its fence; 0 where that was not noted.
    pub(super) fn epoch(&self) -> u64 {
        self.fence.as_ref().map_or(0, |fence| fence.epoch)
    }

    /// It is not known by which fence this directory has the node: an earlier release did not note that.
    pub(super) fn is_of_earlier_release(&self) -> bool {
        self.fence.is_none()
    }

    /// The id of a fence of this directory that may still be stored behind this message. A start that comes to the same place
    /// says the same again: it would not be told apart from one that is stored late, and need not be.
    pub(super) fn claimed_behind(&self, last: u64) -> Option<&str> {
        self.claims.iter().find(|claim| claim.behind == last).map(|claim| claim.by.as_str())
    }

    fn claims(&self, newest: &Fence) -> bool {
        self.claims.iter().any(|claim| newest.by.as_ref() == Some(&claim.by))
    }

    /// Whether the node is this directory's, where this is the newest fence of the stream, and this its last message.
    pub(super) fn right(&self, newest: &Fence, last: u64) -> Right {
        let Some(fence) = &self.fence else {
            // Who stopped cleanly had everything.
            let is_lost = !self.is_open && last > self.synced && !self.claims(newest);
            return if is_lost { Right::Lost } else { Right::Held };
        };
        // A stream that was emptied says nothing.
        if newest.epoch > 0 && !self.claims(newest) && !fence.is_same(newest) {
            return Right::Lost;
        }
        // After a clean stop nobody is at work by this very fence, unless a start was begun.
        let may_be_at_work = self.is_open || !self.claims.is_empty();
        if self.is_copy && may_be_at_work { Right::Copied } else { Right::Held }
    }

    /// None if there is none. One that cannot be read is an error: what it said is not known.
    pub(super) fn read(disk: &dyn Disk, folder: &Path) -> io::Result<Option<Self>> {
        let file = match disk.open(&folder.join(FILE), Mode::Read) {
            Err(error) if is_absent(&error) => return Ok(None),
            file => file?,
        };
        let bytes = read_range(&*file, 0, file.size()?.min(LARGEST))?;
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("journal/{FILE}: {why}"));
        let marker: Self = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if marker.format != FORMAT {
            return Err(wrong(format!("its format is {}, and this program knows {FORMAT}", marker.format)));
        }
        Ok(Some(Self { is_copy: is_copy(&*file, marker.place.as_ref()), ..marker }))
    }

    /// Atomically and durably. With it this directory is no copy any more.
    pub(super) fn write(&self, disk: &dyn Disk, folder: &Path) -> io::Result<()> {
        let file = disk.open(&folder.join(NEW_FILE), Mode::Create)?;
        let bytes = serde_json::to_vec(&Self { place: Place::of(&*file), ..self.clone() }).map_err(io::Error::other)?;
        file.write_all_at(&bytes, 0)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_data()?;
        disk.rename(&folder.join(NEW_FILE), &folder.join(FILE))?;
        disk.sync_dir(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::disk::RealDisk;
    use super::super::super::memory::MemoryDisk;
    use super::*;

    fn fence(epoch: u64, by: &str) -> Fence {
        Fence { epoch, by: Some(by.to_owned()) }
    }

    fn marker() -> Marker {
        Marker::new("ade-c-j-n", "2026-01-01T00:00:00Z", 7, fence(5, "a"))
    }

    #[test]
    fn it_reads_back_and_a_newer_format_is_refused() {
        let (disk, folder) = (MemoryDisk::default(), Path::new("/data/journal"));
        assert_eq!(Marker::read(&disk, folder).unwrap(), None);
        for synced in [7_000_000, 3] {
            let marker = marker().at(synced, true).claiming(&fence(5, "a"), "b", 9).unwrap();
            marker.write(&disk, folder).unwrap();
            assert_eq!(Marker::read(&disk, folder).unwrap(), Some(marker));
        }
        Marker { format: 2, ..marker() }.write(&disk, folder).unwrap();
        let error = Marker::read(&disk, folder).unwrap_err().to_string();
        assert!(error.contains("format is 2"), "{error}");
        disk.open(&folder.join(FILE), Mode::Write).unwrap().set_len(5).unwrap();
        Marker::read(&disk, folder).unwrap_err();
    }

    #[test]
    fn the_node_is_its_directorys_by_the_newest_fence_alone() {
        let rounds = |epoch| Fence { epoch, by: None };
        let marker = marker();
        for (newest, right) in [
            (fence(5, "a"), Right::Held),
            (rounds(5), Right::Held),
            (Fence::default(), Right::Held),
            (fence(6, "b"), Right::Lost),
            (rounds(6), Right::Lost),
            (fence(5, "b"), Right::Lost),
            (fence(1, "b"), Right::Lost),
        ] {
            assert_eq!(marker.right(&newest, 9), right, "{newest:?}");
        }
        let claiming = marker.claiming(&rounds(5), "b", 9).unwrap();
        assert_eq!(claiming.right(&fence(6, "b"), 10), Right::Held);
        assert_eq!(claiming.right(&rounds(5), 9), Right::Held);
        assert_eq!(claiming.right(&rounds(6), 10), Right::Lost);
    }

    #[test]
    fn a_claim_is_kept_until_its_fence_can_not_be_stored_any_more() {
        let last = fence(5, "a");
        let twice = marker().claiming(&last, "b", 9).unwrap().claiming(&last, "c", 9).unwrap();
        for newest in [&last, &fence(6, "b"), &fence(6, "c")] {
            assert_eq!(twice.right(newest, 10), Right::Held, "{newest:?}");
        }
        assert_eq!([twice.claimed_behind(9), twice.claimed_behind(10)], [Some("b"), None]);
        // A member that is behind has answered: nothing has become impossible.
        let behind = twice.claiming(&last, "d", 8).unwrap();
        assert_eq!(behind.right(&fence(6, "b"), 10), Right::Held);
        let after = twice.claiming(&fence(6, "b"), "d", 10).unwrap();
        assert_eq!(after.right(&fence(6, "c"), 10), Right::Lost);
        assert_eq!([after.right(&fence(6, "b"), 10), after.right(&fence(7, "d"), 11)], [Right::Held; 2]);
    }

    #[test]
    fn no_claim_is_forgotten_for_want_of_room() {
        let (disk, folder, last) = (MemoryDisk::default(), Path::new("/data/journal"), fence(5, "a"));
        let id = |start: usize| format!("{:0>64}/{start:0>26}", "n");
        let full = (0..MOST_CLAIMS).fold(marker(), |marker, start| marker.claiming(&last, &id(start), 9).unwrap());
        assert_eq!(full.claiming(&last, &id(MOST_CLAIMS), 9), None);
        assert_eq!(full.claiming(&last, &id(0), 9).unwrap().claims.len(), MOST_CLAIMS, "the same one again");
        full.write(&disk, folder).unwrap();
        let read = Marker::read(&disk, folder).unwrap().unwrap();
        assert_eq!(read.right(&fence(6, &id(0)), 10), Right::Held);
        assert_eq!(read.claiming(&last, &id(MOST_CLAIMS), 10).unwrap().claims.len(), 1);
    }

    #[test]
    fn a_marker_of_an_earlier_release_has_the_node_unless_somebody_wrote_after_its_clean_stop() {
        let old = Marker { fence: None, ..marker() };
        for (is_open, last, right) in
            [(true, 7, Right::Held), (true, 8, Right::Held), (false, 7, Right::Held), (false, 8, Right::Lost)]
        {
            assert_eq!(old.at(7, is_open).right(&fence(9, "z"), last), right, "{is_open} {last}");
        }
        let claiming = old.at(7, false).claiming(&fence(9, "z"), "b", 7).unwrap();
        assert!(claiming.is_of_earlier_release(), "the fence of who is at work is not its own");
        assert_eq!(
            [claiming.right(&fence(10, "b"), 8), claiming.right(&fence(10, "c"), 8)],
            [Right::Held, Right::Lost]
        );
        assert!(old.is_of_earlier_release() && !old.leaving().is_left);
    }

    #[test]
    fn a_copy_has_no_right_to_a_node_that_may_be_at_work() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let disk = RealDisk::default();
        for (is_open, claims, right) in
            [(true, false, Right::Copied), (false, false, Right::Held), (false, true, Right::Copied)]
        {
            let mut marker = marker().at(7, is_open);
            if claims {
                marker = marker.claiming(&fence(5, "a"), "b", 9).unwrap();
            }
            let newest = if claims { fence(6, "b") } else { fence(5, "a") };
            marker.write(&disk, one.path()).unwrap();
            std::fs::copy(one.path().join(FILE), other.path().join(FILE)).unwrap();
            let read = |folder: &Path| Marker::read(&disk, folder).unwrap().unwrap();
            assert_eq!(read(one.path()).right(&newest, 10), Right::Held);
            assert_eq!(read(other.path()).right(&newest, 10), right);
            read(other.path()).write(&disk, other.path()).unwrap();
            assert_eq!(read(other.path()).right(&newest, 10), Right::Held, "who has written it has it");
        }
    }

    #[test]
    fn a_file_that_another_directory_has_too_is_a_copy() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let disk = RealDisk::default();
        let is_copy = |folder: &Path| Marker::read(&disk, folder).unwrap().unwrap().is_copy;
        marker().write(&disk, one.path()).unwrap();
        assert!(!is_copy(one.path()));
        std::fs::hard_link(one.path().join(FILE), other.path().join(FILE)).unwrap();
        assert!(is_copy(one.path()) && is_copy(other.path()));
    }
}
