//! Going through what is below a directory.

use std::collections::BinaryHeap;
use std::io;
use std::path::{Path, PathBuf};

use super::dir::{Dir, Kind};

/// Directories are entered only so far down, and paths are only so long: no one nests deeper by hand.
const MAX_DEPTH: usize = 64;
const MAX_PATH: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// From the directory where the walk began.
    pub path: PathBuf,
    pub kind: Kind,
    pub size: u64,
}

/// How far a walk has come.
#[derive(Debug, Default)]
pub struct Walked {
    /// It ended at the limit of entries.
    pub is_cut: bool,
    /// Directories that are nested too deeply, or whose paths are too long, and were not entered.
    pub too_deep: u64,
    /// The first directory that could not be read, and why.
    pub unreadable: Option<(PathBuf, io::Error)>,
}

/// Goes through everything below a directory, in no order, but at most so many entries. `visit` is asked of every one,
/// and says of a directory whether it is to be entered.
pub fn walk(dir: &Dir, most: usize, mut visit: impl FnMut(&Entry) -> bool) -> io::Result<Walked> {
    let (mut walked, mut seen) = (Walked::default(), 0);
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        let read = dir.open(&directory).and_then(|here| {
            here.names(|name| {
                seen += 1;
                if seen > most {
                    walked.is_cut = true;
                    return Ok(false);
                }
                let Some((kind, size)) = here.look(name)? else { return Ok(true) };
                let entry = Entry { path: directory.join(name), kind, size };
                if visit(&entry) && entry.kind == Kind::Folder {
                    match is_too_deep(&entry.path) {
                        true => walked.too_deep += 1,
                        false => directories.push(entry.path),
                    }
                }
                Ok(true)
            })
        });
        match read {
            _ if walked.is_cut => break,
            Ok(()) => {}
            Err(error) if directory.as_os_str().is_empty() => return Err(error),
            Err(error) => walked.unreadable = walked.unreadable.or(Some((directory, error))),
        }
    }
    Ok(walked)
}

fn is_too_deep(path: &Path) -> bool {
    path.as_os_str().len() > MAX_PATH || path.components().count() >= MAX_DEPTH
}

/// The regular files below a directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Relative paths with `/` between the directories, and sizes; the first ones in the order of their bytes.
    pub files: Vec<(String, u64)>,
    /// Files that there was no room for.
    pub omitted: u64,
    /// Links, pipes and their like, names that are not text, and directories that could not be entered.
    pub skipped: u64,
    /// There were so many entries that not all of them were looked at: the counts are lower bounds.
    pub is_cut: bool,
}

impl Listing {
    /// Something that is there is not among the files.
    pub fn is_truncated(&self) -> bool {
        self.omitted > 0 || self.is_cut
    }
}

/// Lists at most `most` files, after a look at at most `entries`.
pub fn list(dir: &Dir, most: usize, entries: usize) -> io::Result<Listing> {
    let (mut first, mut omitted, mut skipped) = (BinaryHeap::new(), 0, 0);
    let walked = walk(dir, entries, |entry| {
        match (entry.kind, entry.path.to_str()) {
            (Kind::File, Some(path)) => {
                first.push((path.to_owned(), entry.size));
                omitted += u64::from(first.len() > most);
                if first.len() > most {
                    first.pop();
                }
            }
            (Kind::Folder, Some(_)) => return true,
            _ => skipped += 1,
        }
        false
    })?;
    let skipped = skipped + walked.too_deep + u64::from(walked.unreadable.is_some());
    Ok(Listing { files: first.into_sorted_vec(), omitted, skipped, is_cut: walked.is_cut })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn plant(root: &Path, paths: &[&str]) {
        for path in paths {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), path).unwrap();
        }
    }

    fn names(listing: &Listing) -> Vec<&str> {
        listing.files.iter().map(|(path, _)| path.as_str()).collect()
    }

    #[test]
    fn files_are_listed_in_order_and_what_is_left_out_is_counted() {
        let directory = tempfile::tempdir().unwrap();
        plant(directory.path(), &["b", "a/z", "a/b/c", "a.x"]);
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join("link")).unwrap();
        nix::unistd::mkfifo(&directory.path().join("a/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(directory.path().join(OsStr::from_bytes(b"\xff")), "").unwrap();
        let dir = Dir::root(directory.path()).unwrap();
        let all = list(&dir, 10, 100).unwrap();
        assert_eq!(names(&all), ["a.x", "a/b/c", "a/z", "b"]);
        assert_eq!((all.omitted, all.skipped, all.is_truncated()), (0, 3, false));
        assert_eq!(all.files[1].1, 5);
        let some = list(&dir, 2, 100).unwrap();
        assert_eq!((names(&some), some.omitted, some.is_truncated()), (vec!["a.x", "a/b/c"], 2, true));
        let cut = list(&dir, 10, 2).unwrap();
        assert!(cut.is_cut && cut.is_truncated() && cut.files.len() <= 2);
    }

    #[test]
    fn a_walk_ends_however_deep_a_tree_is() {
        let directory = tempfile::tempdir().unwrap();
        let mut dir = Dir::root(directory.path()).unwrap();
        for depth in 0..2_000 {
            dir = dir.make("d").unwrap();
            if depth % 50 == 10 {
                dir.create("file").unwrap();
            }
        }
        let listing = list(&Dir::root(directory.path()).unwrap(), 10, 100_000).unwrap();
        assert_eq!((listing.files.len(), listing.skipped), (2, 1), "{listing:?}");
        super::super::remove_tree(directory.path().join("d")).unwrap();
    }
}
