//! A directory as a store: each object a file. No link below it is followed.
//!
//! Invariants: the directory itself is never made. One that is not there is a share that is not mounted. So is one without
//! the marker that the first put left there: what was written in its place would be lost from sight when it is mounted, and
//! what is missing in its place is not gone.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::store::{Content, ObjectError, ObjectStore, PART, Stop};
use crate::files::{Dir, is_absent};

/// The file in the directory that tells it from another.
const MARKER: &str = "ade-store";
/// No id is longer.
const MOST_BYTES: u64 = 64;

pub struct Directory {
    root: PathBuf,
    /// The file of whoever puts objects here that says what the marker says; none: nothing is compared.
    record: Option<PathBuf>,
}

impl Directory {
    pub fn new(root: PathBuf) -> Self {
        Self { root, record: None }
    }

    /// One that is known again by its marker.
    pub fn known_by(root: PathBuf, record: PathBuf) -> Self {
        Self { root, record: Some(record) }
    }

    fn dir(&self) -> Result<Dir, ObjectError> {
        Dir::root(&self.root).map_err(|error| ObjectError::Unavailable(error.to_string()))
    }

    /// The directory, if it is the one.
    fn open(&self) -> Result<Dir, ObjectError> {
        let dir = self.dir()?;
        let Some(record) = &self.record else { return Ok(dir) };
        let away = |what: &str| Err(ObjectError::Unavailable(format!("{}: {what}", self.root.display())));
        match (recorded(record)?, id(&dir).map_err(refused)?) {
            (Some(known), Some(found)) if known == found => Ok(dir),
            // A restored data directory, which has put nothing there yet.
            (None, Some(_)) => Ok(dir),
            (None, None) => Err(ObjectError::Refused("nothing was put there yet, or it is not mounted".into())),
            (Some(_), None) => away("it is not mounted: its file ade-store is not there"),
            (Some(_), Some(_)) => away("another directory is mounted there: its file ade-store has another id"),
        }
    }

    /// As [`Directory::open`]; at the first time it gets its marker.
    fn open_to_put(&self) -> Result<Dir, ObjectError> {
        let record = match &self.record {
            Some(record) if recorded(record)?.is_none() => record,
            _ => return self.open(),
        };
        let dir = self.dir()?;
        let id = match id(&dir).map_err(refused)? {
            Some(id) => id,
            None => {
                let id = ulid::Ulid::generate().to_string();
                dir.replace_durably(MARKER, id.as_bytes()).map_err(refused)?;
                id
            }
        };
        let (parent, name) = (record.parent().unwrap_or(Path::new("/")), record.file_name().unwrap_or_default());
        Dir::root(parent)?.replace_durably(name, id.as_bytes())?;
        Ok(dir)
    }

    fn write(dir: &Dir, part: &str, content: Content, stop: Stop) -> Result<(), ObjectError> {
        let mut file = dir.file_to_write(part, true).map_err(refused)?;
        file.set_len(0).map_err(refused)?;
        let mut left = content.bytes;
        while left > 0 {
            if stop() {
                return Err(ObjectError::Stopped);
            }
            let bytes = (content.read)(left.min(PART) as usize)?;
            left = left.saturating_sub(bytes.len() as u64);
            file.write_all(&bytes).map_err(refused)?;
        }
        file.sync_all().map_err(refused)
    }
}

/// An error of one file, unless it is of what the share comes by.
fn refused(error: io::Error) -> ObjectError {
    use io::ErrorKind::{
        HostUnreachable, NetworkDown, NetworkUnreachable, NotConnected, StaleNetworkFileHandle, TimedOut,
    };
    match error.kind() {
        HostUnreachable | NetworkDown | NetworkUnreachable | NotConnected | StaleNetworkFileHandle | TimedOut => {
            ObjectError::Unavailable(error.to_string())
        }
        _ => ObjectError::Refused(error.to_string()),
    }
}

fn absent(error: io::Error) -> ObjectError {
    if is_absent(&error) { ObjectError::NotFound } else { refused(error) }
}

/// What a data directory knows its store by.
fn recorded(record: &Path) -> io::Result<Option<String>> {
    match Dir::root(record.parent().unwrap_or(Path::new("/"))) {
        Err(error) if is_absent(&error) => Ok(None),
        dir => read(&dir?, record.file_name().unwrap_or_default().as_ref()),
    }
}

fn id(dir: &Dir) -> io::Result<Option<String>> {
    read(dir, Path::new(MARKER))
}

fn read(dir: &Dir, name: &Path) -> io::Result<Option<String>> {
    match dir.read(name, MOST_BYTES) {
        Err(error) if is_absent(&error) => Ok(None),
        content => Ok(Some(String::from_utf8_lossy(&content?).trim().to_owned())),
    }
}

/// The folder of a name, and what it is called there.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

impl ObjectStore for Directory {
    fn put(&self, name: &str, content: Content, stop: Stop) -> Result<(), ObjectError> {
        let (folder, last) = split(name);
        let dir = self.open_to_put()?.make_durably(Path::new(folder)).map_err(refused)?;
        // The same name each time, so that attempts that were cut short leave one file and not many.
        let part = format!("{last}.part");
        let written = Self::write(&dir, &part, content, stop);
        if written.is_err() {
            let _ = dir.remove_file(&part);
        }
        written?;
        dir.rename(&part, &dir, last).and_then(|()| dir.sync()).map_err(refused)
    }

    fn get(&self, name: &str, write: &mut dyn FnMut(&[u8]) -> io::Result<()>, stop: Stop) -> Result<(), ObjectError> {
        let mut file = self.open()?.file(name).map_err(absent)?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            if stop() {
                return Err(ObjectError::Stopped);
            }
            match file.read(&mut buffer).map_err(refused)? {
                0 => return Ok(()),
                count => write(&buffer[..count])?,
            }
        }
    }

    fn size(&self, name: &str, _: Stop) -> Result<u64, ObjectError> {
        let file = self.open()?.file(name).map_err(absent)?;
        Ok(file.metadata().map_err(refused)?.len())
    }

    fn delete(&self, name: &str, _: Stop) -> Result<(), ObjectError> {
        let (folder, last) = split(name);
        let dir = match self.open()?.open(folder) {
            Err(error) if is_absent(&error) => return Ok(()),
            dir => dir.map_err(refused)?,
        };
        for name in [last.to_owned(), format!("{last}.part")] {
            match dir.remove_file(&name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(refused)?,
            }
        }
        dir.sync().map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const GO_ON: Stop<'static> = &|| false;

    fn put(store: &Directory, name: &str, bytes: &[u8], stop: Stop) -> Result<(), ObjectError> {
        let mut at = 0;
        let mut read = |size: usize| {
            let piece = Bytes::copy_from_slice(&bytes[at..at + size]);
            at += size;
            Ok(piece)
        };
        store.put(name, Content { bytes: bytes.len() as u64, read: &mut read }, stop)
    }

    fn get(store: &Directory, name: &str) -> Result<Vec<u8>, ObjectError> {
        let mut content = Vec::new();
        store
            .get(
                name,
                &mut |bytes| {
                    content.extend_from_slice(bytes);
                    Ok(())
                },
                GO_ON,
            )
            .map(|()| content)
    }

    #[test]
    fn what_was_put_is_there_until_it_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Directory::new(folder.path().to_owned());
        assert!(matches!(get(&store, "a/b/c"), Err(ObjectError::NotFound)));
        store.delete("a/b/c", GO_ON).unwrap();
        let large = vec![7; PART as usize + 5];
        for content in [&b"one"[..], b"", &large] {
            put(&store, "a/b/c", content, GO_ON).unwrap();
            assert_eq!(
                (get(&store, "a/b/c").unwrap(), store.size("a/b/c", GO_ON).unwrap()),
                (content.to_vec(), content.len() as u64)
            );
        }
        assert!(matches!(put(&store, "a/b/c", b"two", &|| true), Err(ObjectError::Stopped)));
        assert_eq!(get(&store, "a/b/c").unwrap(), large, "what is cut short replaces nothing");
        let names: Vec<_> = std::fs::read_dir(folder.path().join("a/b")).unwrap().flatten().collect();
        assert_eq!(names.len(), 1);
        store.delete("a/b/c", GO_ON).unwrap();
        assert!(matches!(store.size("a/b/c", GO_ON), Err(ObjectError::NotFound)));
    }

    #[test]
    fn a_directory_that_is_not_there_is_away_and_has_not_lost_anything() {
        let folder = tempfile::tempdir().unwrap();
        let store = Directory::new(folder.path().join("share"));
        assert!(matches!(get(&store, "a"), Err(ObjectError::Unavailable(_))));
        assert!(matches!(store.size("a", GO_ON), Err(ObjectError::Unavailable(_))));
        assert!(matches!(store.delete("a", GO_ON), Err(ObjectError::Unavailable(_))));
        assert!(matches!(put(&store, "a", b"x", GO_ON), Err(ObjectError::Unavailable(_))));
        assert!(!folder.path().join("share").exists());
    }

    #[test]
    fn a_directory_that_is_not_the_one_is_away_and_has_not_lost_anything() {
        let folder = tempfile::tempdir().unwrap();
        let [share, record] = ["share", "record"].map(|name| folder.path().join(name));
        std::fs::create_dir(&share).unwrap();
        let store = Directory::known_by(share.clone(), record.clone());
        assert!(matches!(store.size("a", GO_ON), Err(ObjectError::Refused(_))), "nothing is known of it yet");
        put(&store, "a", b"one", GO_ON).unwrap();
        assert_eq!(get(&store, "a").unwrap(), b"one");
        // What is below the mount point.
        let is_away = |store: &Directory| {
            let answers = [put(store, "a", b"two", GO_ON), get(store, "a").map(drop), store.delete("a", GO_ON)];
            answers.iter().all(|answer| matches!(answer, Err(ObjectError::Unavailable(_))))
        };
        std::fs::rename(&share, folder.path().join("mounted")).unwrap();
        std::fs::create_dir(&share).unwrap();
        assert!(is_away(&store) && std::fs::read_dir(&share).unwrap().count() == 0);
        std::fs::write(share.join(MARKER), "another").unwrap();
        assert!(is_away(&store));
        // Another data directory reads there, and gets to know it when it puts something there itself.
        let second = Directory::known_by(folder.path().join("mounted"), folder.path().join("second"));
        assert_eq!(get(&second, "a").unwrap(), b"one");
        put(&second, "b", b"two", GO_ON).unwrap();
        assert_eq!(std::fs::read(&record).unwrap(), std::fs::read(folder.path().join("second")).unwrap());
    }
}
