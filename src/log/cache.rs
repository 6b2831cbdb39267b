//! Objects of the archive that were fetched to be read: files in a directory, of a bounded size in all.
//!
//! Law: what is found here has been checked, whole, by this process. A file gets its name when its checksum was right and it
//! is on the disk; one that an earlier process has left is checked once before it is used. What is removed stays readable
//! for those who have it open, and its room is theirs until they are done.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::disk::{Disk, DiskFile, Mode};
use super::pointer::Pointer;
use super::threads::lock;
use crate::domain::StreamKey;
use crate::files::free_bytes;

/// Below the data directory.
pub(super) const ARCHIVE: &str = "archive";
const CACHE: &str = "cache";
/// What the name of a file ends with, and while it is not whole.
const WHOLE: &str = ".zst";
const PART: &str = ".part";

pub(super) struct Cache {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    limit: u64,
    min_free: u64,
    /// Of the disk that a folder is on; none where that is not known.
    free: fn(&Path) -> Option<u64>,
    data_dir: PathBuf,
    entries: Mutex<Entries>,
}

/// Room in the cache, until it is dropped.
pub(super) struct Room<'a> {
    cache: &'a Cache,
    bytes: u64,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        lock(&self.cache.entries).reserved -= self.bytes;
    }
}

#[derive(Default)]
struct Entries {
    by_name: HashMap<String, Entry>,
    bytes: u64,
    /// What is about to come.
    reserved: u64,
    /// Counts uses: the one with the lowest number was used longest ago.
    uses: u64,
}

struct Entry {
    bytes: u64,
    used: u64,
    is_checked: bool,
}

/// What is known of a name.
pub(super) enum Found {
    Checked(Arc<dyn DiskFile>),
    Unchecked(Arc<dyn DiskFile>),
    Nothing,
}

impl Cache {
    /// Takes over what an earlier process has left, but for what was not whole.
    pub(super) fn open(disk: Arc<dyn Disk>, data_dir: &Path, limit: u64, min_free: u64) -> io::Result<Self> {
        let archive = data_dir.join(ARCHIVE);
        let folder = archive.join(CACHE);
        disk.create_dir(&archive)?;
        disk.create_dir(&folder)?;
        let cache = Self {
            disk,
            folder,
            limit,
            min_free,
            free: |disk| free_bytes(disk).ok(),
            data_dir: data_dir.to_owned(),
            entries: Mutex::default(),
        };
        for file in cache.disk.list(&cache.folder)? {
            let taken = match file.strip_suffix(WHOLE) {
                Some(name) => cache.take_over(name),
                None => cache.disk.remove(&cache.folder.join(&file)),
            };
            if let Err(error) = taken {
                // Nothing here is needed: what is no file of this cache is left alone.
                tracing::warn!(%file, %error, "something in the cache of the archive is passed over");
            }
        }
        let mut entries = lock(&cache.entries);
        while entries.bytes > limit && cache.evict(&mut entries) {}
        drop(entries);
        Ok(cache)
    }

    fn take_over(&self, name: &str) -> io::Result<()> {
        let bytes = self.disk.open(&self.path(name), Mode::Read)?.size()?;
        lock(&self.entries).add(name, bytes, false);
        Ok(())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{WHOLE}"))
    }

    fn part(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{PART}"))
    }

    pub(super) fn find(&self, name: &str) -> Found {
        let mut entries = lock(&self.entries);
        let Some(is_checked) = entries.touch(name) else { return Found::Nothing };
        match self.disk.open(&self.path(name), Mode::Read) {
            Ok(file) if is_checked => Found::Checked(file),
            Ok(file) => Found::Unchecked(file),
            Err(_) => {
                // Whoever needs room may delete files here at any time.
                entries.forget(name);
                Found::Nothing
            }
        }
    }

    /// A file that an earlier process has left is what it should be.
    pub(super) fn approve(&self, name: &str) {
        if let Some(entry) = lock(&self.entries).by_name.get_mut(name) {
            entry.is_checked = true;
        }
    }

    pub(super) fn remove(&self, name: &str) {
        let mut entries = lock(&self.entries);
        entries.forget(name);
        let _ = self.disk.remove(&self.path(name));
    }

    /// Room for a file that is about to come, besides those that come at the same time: others go for it. Refused where the
    /// disk would be left with less than is to stay free.
    pub(super) fn reserve(&self, bytes: u64) -> io::Result<Room<'_>> {
        let mut entries = lock(&self.entries);
        let wanted = entries.reserved.saturating_add(bytes);
        let is_short = || (self.free)(&self.folder).is_some_and(|free| free < wanted.saturating_add(self.min_free));
        while entries.bytes.saturating_add(wanted) > self.limit || is_short() {
            if !self.evict(&mut entries) {
                break;
            }
        }
        if is_short() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "too little room is free on the disk"));
        }
        entries.reserved = wanted;
        Ok(Room { cache: self, bytes })
    }

    /// Removes what is to go first; false when nothing is left.
    fn evict(&self, entries: &mut Entries) -> bool {
        let Some(first) = entries.first_to_go(self.limit) else { return false };
        entries.forget(&first);
        let _ = self.disk.remove(&self.path(&first));
        true
    }

    /// A file to fill, which has no name that counts.
    pub(super) fn begin(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(&self.part(name), Mode::Create)?;
        file.set_len(0)?;
        Ok(file)
    }

    pub(super) fn give_up(&self, name: &str) {
        let _ = self.disk.remove(&self.part(name));
    }

    /// Whether this is what leads to a log now: it may have been deleted meanwhile.
    pub(super) fn is_pointed_at(&self, key: StreamKey, pointer: &Pointer) -> bool {
        Pointer::of(&*self.disk, &self.data_dir, key).is_ok_and(|found| found.as_ref() == Some(pointer))
    }

    /// The file is filled and was checked; from now on it is found, if it is wanted still. Whoever deletes the log takes its
    /// pointer away before what is here, so that it is either seen to be gone, or what is kept is removed.
    pub(super) fn keep(
        &self,
        name: &str,
        file: &dyn DiskFile,
        is_wanted: impl FnOnce() -> bool,
    ) -> io::Result<Arc<dyn DiskFile>> {
        // Before it has its name: a start takes a file of this name for one that was whole.
        file.sync_data()?;
        let bytes = file.size()?;
        let mut entries = lock(&self.entries);
        if !is_wanted() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the log was deleted meanwhile"));
        }
        self.disk.rename(&self.part(name), &self.path(name))?;
        entries.add(name, bytes, true);
        drop(entries);
        self.disk.sync_dir(&self.folder)?;
        self.disk.open(&self.path(name), Mode::Read)
    }
}

impl Entries {
    fn add(&mut self, name: &str, bytes: u64, is_checked: bool) {
        self.forget(name);
        self.uses += 1;
        self.by_name.insert(name.to_owned(), Entry { bytes, used: self.uses, is_checked });
        self.bytes += bytes;
    }

    fn forget(&mut self, name: &str) {
        self.bytes -= self.by_name.remove(name).map_or(0, |entry| entry.bytes);
    }

    /// Whether it was checked; none if it is not known.
    fn touch(&mut self, name: &str) -> Option<bool> {
        self.uses += 1;
        let entry = self.by_name.get_mut(name)?;
        entry.used = self.uses;
        Some(entry.is_checked)
    }

    /// What does not fit in any case, then what was used longest ago.
    fn first_to_go(&self, limit: u64) -> Option<String> {
        let order = |entry: &Entry| (entry.bytes <= limit, entry.used);
        self.by_name.iter().min_by_key(|(_, entry)| order(entry)).map(|(name, _)| name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryDisk;
    use super::*;

    fn keep(cache: &Cache, name: &str, bytes: usize) {
        let _room = cache.reserve(bytes as u64).unwrap();
        let file = cache.begin(name).unwrap();
        file.write_all_at(&vec![1; bytes], 0).unwrap();
        cache.keep(name, &*file, || true).unwrap();
    }

    fn open(disk: &MemoryDisk, limit: u64) -> Cache {
        Cache::open(Arc::new(disk.clone()), Path::new("/data"), limit, 10).unwrap()
    }

    fn names(disk: &MemoryDisk) -> Vec<String> {
        disk.list(Path::new("/data/archive/cache")).unwrap()
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let disk = MemoryDisk::default();
        let cache = open(&disk, 100);
        ["a", "b", "c"].iter().for_each(|name| keep(&cache, name, 30));
        assert!(matches!(cache.find("a"), Found::Checked(_)));
        keep(&cache, "d", 30);
        assert_eq!(names(&disk), ["a.zst", "c.zst", "d.zst"]);
        let Found::Checked(open) = cache.find("a") else { panic!("it is there") };
        keep(&cache, "huge", 500);
        assert_eq!(names(&disk), ["huge.zst"], "it is read all the same");
        assert_eq!(open.size().unwrap(), 30, "whoever has it open reads on");
        keep(&cache, "e", 10);
        assert_eq!(names(&disk), ["e.zst"]);
    }

    #[test]
    fn what_comes_at_the_same_time_counts_and_some_of_the_disk_stays_free() {
        let disk = MemoryDisk::default();
        let mut cache = open(&disk, 100);
        ["a", "b"].iter().for_each(|name| keep(&cache, name, 40));
        let rooms = [30, 60].map(|bytes| cache.reserve(bytes).unwrap());
        assert_eq!(names(&disk), [""; 0], "neither fits beside what is coming");
        drop(rooms);
        assert_eq!(lock(&cache.entries).reserved, 0);
        cache.free = |_| Some(50);
        assert!(cache.reserve(41).is_err() && cache.reserve(40).is_ok());
        let held = cache.reserve(20).unwrap();
        assert!(cache.reserve(21).is_err(), "it is promised already");
        drop(held);
    }

    #[test]
    fn what_nobody_leads_to_any_more_is_not_kept() {
        let disk = MemoryDisk::default();
        let cache = open(&disk, 100);
        let file = cache.begin("a").unwrap();
        assert!(cache.keep("a", &*file, || false).is_err() && matches!(cache.find("a"), Found::Nothing));
    }

    #[test]
    fn a_start_removes_what_was_not_whole_and_trusts_nothing() {
        let disk = MemoryDisk::default();
        let cache = open(&disk, 100);
        ["a", "b"].iter().for_each(|name| keep(&cache, name, 30));
        cache.begin("c").unwrap();
        drop(cache);
        let cache = open(&disk, 50);
        assert_eq!(names(&disk).len(), 1, "no more than there may be: {:?}", names(&disk));
        let name = names(&disk)[0].trim_end_matches(WHOLE).to_owned();
        assert!(matches!(cache.find(&name), Found::Unchecked(_)));
        cache.approve(&name);
        assert!(matches!(cache.find(&name), Found::Checked(_)));
        disk.remove(&cache.path(&name)).unwrap();
        assert!(matches!(cache.find(&name), Found::Nothing), "deleted by hand");
        assert_eq!(lock(&cache.entries).bytes, 0);
    }
}
