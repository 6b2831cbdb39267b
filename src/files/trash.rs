//! Removing trees.
//!
//! A tree goes in two steps. It is moved away under a name of ours, which is one rename however large it is; whoever
//! wanted it gone can go on. Later its files are deleted. Every directory found in it is moved up to the same place
//! before it is emptied in its turn: so nothing is ever looked at deeper than two levels, no path becomes long, and
//! after a crash whatever still has such a name is simply emptied by the next who looks.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::stat::{FileStat, SFlag};

use super::dir::{Dir, fresh_name, kind};
use super::location::Location;

/// How the names begin under which removed things wait for their files to be deleted.
pub const TRASH: &str = ".trash-";

/// Directories that are remembered while others are emptied; more are found again by their names.
const REMEMBERED: usize = 1024;
/// Entries that one call of [`remove_tree`] deletes before it leaves the rest to others.
const AT_ONCE: u64 = 100_000;
/// How often a directory is gone through whose emptying changes nothing.
const TRIES: usize = 3;

/// What a round of emptying has done.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Emptied {
    pub entries: u64,
    /// Given back to the disk. A file that has another name elsewhere goes on taking its room.
    pub bytes: u64,
    /// What cannot be deleted, by the names that it has now, and why.
    pub stuck: Vec<(OsString, String)>,
    /// Nothing is left that could be deleted.
    pub is_done: bool,
}

/// Takes whatever has this name out of its place; false when there is nothing. It waits in `root` for
/// [`empty_trash`], or beside its old place where that is on another disk.
pub fn discard(root: &Path, path: &Path) -> io::Result<bool> {
    let below = path.strip_prefix(root).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let root = Dir::root(root)?;
    let (parent, name) = match root.parent_unlocked(below) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    match move_up(&parent, name, &root) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            remove_within(&parent, name)?;
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

/// Deletes what waits in `root`, at most so many entries and until it is asked to stop. Several may be at it.
pub fn empty_trash(root: &Path, most: u64, should_stop: &dyn Fn() -> bool) -> io::Result<Emptied> {
    let root = match Dir::root(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Emptied { is_done: true, ..Emptied::default() });
        }
        root => root?,
    };
    Round::new(&root, most, should_stop).empty_root()
}

/// Removes a tree at once, within bounds: what is left of a very large one waits beside it for [`empty_trash`].
pub fn remove_tree(location: impl Into<Location>) -> io::Result<Emptied> {
    let (parent, name) = location.into().parent()?;
    remove_within(&parent, &name)
}

/// As [`remove_tree`], of a tree in a directory that is open.
pub fn remove_within(parent: &Dir, name: &OsStr) -> io::Result<Emptied> {
    move_up(parent, name, parent)?;
    Round::new(parent, AT_ONCE, &|| false).empty_root()
}

/// Gives something a name of ours in `root`. A directory must let its owner write for that, and so must the one it is
/// in.
fn move_up(from: &Dir, name: &OsStr, root: &Dir) -> io::Result<OsString> {
    let fresh = fresh_name(TRASH);
    match from.rename(name, root, &fresh) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            from.unlock_itself()?;
            if kind(&from.stat(name)?) == SFlag::S_IFDIR {
                from.unlock(name)?;
            }
            from.rename(name, root, &fresh)?;
        }
        moved => moved?,
    }
    Ok(fresh)
}

struct Round<'a> {
    root: &'a Dir,
    left: u64,
    should_stop: &'a dyn Fn() -> bool,
    done: Emptied,
}

impl<'a> Round<'a> {
    fn new(root: &'a Dir, most: u64, should_stop: &'a dyn Fn() -> bool) -> Self {
        Self { root, left: most, should_stop, done: Emptied::default() }
    }

    fn is_finished(&self) -> bool {
        self.left == 0 || (self.should_stop)()
    }

    fn is_stuck(&self, name: &OsStr) -> bool {
        self.done.stuck.iter().any(|(stuck, _)| stuck == name)
    }

    /// Removes everything in the root that has a name of trash.
    fn empty_root(mut self) -> io::Result<Emptied> {
        loop {
            let found = self.trash()?;
            self.done.is_done = found.is_empty();
            for name in found {
                self.remove(name);
            }
            if self.done.is_done || self.is_finished() {
                return Ok(self.done);
            }
        }
    }

    /// Some of what is to be removed; none when nothing is left.
    fn trash(&self) -> io::Result<Vec<OsString>> {
        let mut found = Vec::new();
        self.root.names(|name| {
            if name.as_bytes().starts_with(TRASH.as_bytes()) && !self.is_stuck(name) {
                found.push(name.to_owned());
            }
            Ok(found.len() < REMEMBERED)
        })?;
        Ok(found)
    }

    /// Removes one thing in the root, and the directories that come up from it.
    fn remove(&mut self, name: OsString) {
        let mut waiting = vec![name];
        while let Some(name) = waiting.pop() {
            if self.is_finished() {
                return;
            }
            match self.remove_one(&name, &mut waiting) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => self.leave(name, &error),
                _ => {}
            }
        }
    }

    fn remove_one(&mut self, name: &OsStr, waiting: &mut Vec<OsString>) -> io::Result<()> {
        let stat = self.root.stat(name)?;
        if kind(&stat) != SFlag::S_IFDIR {
            self.root.remove_file(name)?;
            self.count(&stat);
            return Ok(());
        }
        if stat.st_mode & 0o700 != 0o700 {
            self.root.unlock(name)?;
        }
        let directory = self.root.enter(name)?;
        for _ in 0..TRIES {
            let before = self.left;
            self.empty(&directory, waiting)?;
            match self.root.remove_directory(name) {
                // Something came into it meanwhile, or the file system has not shown all of it.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                removed => {
                    removed?;
                    self.count(&stat);
                    return Ok(());
                }
            }
            if self.is_finished() {
                return Ok(());
            }
            if before != self.left {
                // There is progress: it has its turn again after the others.
                waiting.insert(0, name.to_owned());
                return Ok(());
            }
        }
        Err(io::ErrorKind::DirectoryNotEmpty.into())
    }

    /// Deletes the files of a directory and moves its directories up.
    fn empty(&mut self, directory: &Dir, waiting: &mut Vec<OsString>) -> io::Result<()> {
        directory.names(|name| {
            if self.is_finished() {
                return Ok(false);
            }
            match self.take_out(directory, name, waiting) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(true),
            }
        })
    }

    fn take_out(&mut self, directory: &Dir, name: &OsStr, waiting: &mut Vec<OsString>) -> io::Result<()> {
        let stat = directory.stat(name)?;
        if kind(&stat) == SFlag::S_IFDIR {
            let moved = move_up(directory, name, self.root)?;
            self.left = self.left.saturating_sub(1);
            if waiting.len() < REMEMBERED {
                waiting.push(moved);
            }
            return Ok(());
        }
        directory.remove_file(name)?;
        self.count(&stat);
        Ok(())
    }

    fn count(&mut self, stat: &FileStat) {
        self.left = self.left.saturating_sub(1);
        self.done.entries += 1;
        let goes = kind(stat) == SFlag::S_IFDIR || stat.st_nlink == 1;
        self.done.bytes += if goes { u64::try_from(stat.st_blocks).unwrap_or_default() * 512 } else { 0 };
    }

    /// Out of the way of those who come after; where not even that can be done it keeps its name.
    fn leave(&mut self, name: OsString, error: &io::Error) {
        self.left = self.left.saturating_sub(1);
        let now = self.root.set_aside(&name).unwrap_or(name);
        self.done.stuck.push((now, error.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::os::unix::process::CommandExt;
    use std::path::PathBuf;
    use std::process::Command;

    use super::super::dir::STUCK;
    use super::*;

    const NEVER: &dyn Fn() -> bool = &|| false;

    fn names(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    /// Of files below a directory, also of those that are gone; other tests open others meanwhile.
    fn descriptors(below: &Path) -> usize {
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        open.filter(|entry| fs::read_link(entry.path()).is_ok_and(|file| file.starts_with(below))).count()
    }

    /// Directories in one another, far beyond the longest path that the system takes.
    fn plant_deep(root: &Path, depth: usize) {
        let mut dir = Dir::root(root).unwrap();
        for _ in 0..depth {
            dir = dir.make("deeper").unwrap();
        }
        dir.create("at the end").unwrap();
    }

    #[test]
    fn a_tree_of_any_depth_goes_with_a_small_stack() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("a/b/tree");
        fs::create_dir_all(&tree).unwrap();
        plant_deep(&tree, 30_000);
        let root = directory.path().to_owned();
        let small = std::thread::Builder::new().stack_size(64 << 10);
        let emptied = small.spawn(move || {
            assert!(discard(&root, &root.join("a/b/tree")).unwrap());
            assert_eq!(names(&root.join("a/b")), [""; 0], "it is out of its place at once");
            empty_trash(&root, u64::MAX, NEVER).unwrap()
        });
        let emptied = emptied.unwrap().join().unwrap();
        assert_eq!((emptied.entries, emptied.is_done, emptied.stuck.len()), (30_002, true, 0));
        assert_eq!(names(directory.path()), ["a"]);
    }

    #[test]
    fn a_wide_tree_with_names_of_every_kind_goes_and_what_links_lead_to_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (tree, kept) = (directory.path().join("tree"), directory.path().join("kept"));
        fs::create_dir_all(kept.join("inside")).unwrap();
        fs::write(kept.join("file"), "of others").unwrap();
        for number in 0..3_000 {
            fs::create_dir_all(tree.join(format!("{number}/x"))).unwrap();
        }
        symlink(&kept, tree.join("link")).unwrap();
        symlink(&kept, tree.join("7/x/link")).unwrap();
        fs::hard_link(kept.join("file"), tree.join("hard")).unwrap();
        nix::unistd::mkfifo(&tree.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in [&b"\xff\xfe"[..], b" ", b"-rf", b"new\nline", &[b'n'; 255]] {
            fs::create_dir(tree.join(OsStr::from_bytes(name))).unwrap();
        }
        let emptied = remove_tree(&tree).unwrap();
        assert_eq!((emptied.is_done, emptied.stuck.len(), descriptors(directory.path())), (true, 0, 0));
        assert_eq!(names(directory.path()), ["kept"]);
        assert_eq!(fs::read_to_string(kept.join("file")).unwrap(), "of others");
        assert!(kept.join("inside").is_dir());
    }

    #[test]
    fn what_another_name_still_holds_is_not_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let venv = directory.path().join("w/c/b");
        fs::create_dir_all(venv.join("lib")).unwrap();
        fs::write(venv.join("lib/own"), vec![1; 100_000]).unwrap();
        fs::write(directory.path().join("cached"), vec![1; 1_000_000]).unwrap();
        fs::hard_link(directory.path().join("cached"), venv.join("lib/shared")).unwrap();
        discard(directory.path(), &venv).unwrap();
        let freed = empty_trash(directory.path(), 1000, NEVER).unwrap().bytes;
        assert!((100_000..400_000).contains(&freed), "{freed}");
    }

    #[test]
    fn a_round_ends_at_its_bound_and_the_next_ones_go_on() {
        let directory = tempfile::tempdir().unwrap();
        plant_deep(directory.path(), 500);
        discard(directory.path(), &directory.path().join("deeper")).unwrap();
        let stopped = empty_trash(directory.path(), u64::MAX, &|| true).unwrap();
        assert_eq!((stopped.entries, stopped.is_done), (0, false));
        let mut rounds = 0;
        while !empty_trash(directory.path(), 100, NEVER).unwrap().is_done {
            assert!(names(directory.path()).iter().all(|name| name.starts_with(TRASH)));
            rounds += 1;
            assert!(rounds < 100);
        }
        assert!(rounds > 3 && names(directory.path()).is_empty());
    }

    #[test]
    fn nothing_is_discarded_through_a_link_or_twice() {
        let directory = tempfile::tempdir().unwrap();
        let (data, others) = (directory.path().join("data"), directory.path().join("others"));
        fs::create_dir_all(others.join("tree")).unwrap();
        fs::create_dir(&data).unwrap();
        symlink(&others, data.join("runs")).unwrap();
        assert!(discard(&data, &data.join("runs/tree")).is_err());
        assert!(discard(&data, &others.join("tree")).is_err());
        assert!(others.join("tree").is_dir());
        // The link itself goes, not what it leads to.
        assert!(discard(&data, &data.join("runs")).unwrap());
        assert!(!discard(&data, &data.join("runs")).unwrap());
        assert!(!discard(&data, &data.join("never/there")).unwrap());
        assert!(empty_trash(&data, 10, NEVER).unwrap().is_done);
        assert!(others.join("tree").is_dir() && names(&data).is_empty());
        assert!(empty_trash(&data.join("nowhere"), 10, NEVER).unwrap().is_done);
    }

    #[test]
    fn several_may_empty_the_same_trash() {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..200 {
            fs::create_dir_all(directory.path().join(format!("{TRASH}{number}/a/b/c"))).unwrap();
            fs::write(directory.path().join(format!("{TRASH}{number}/a/file")), "").unwrap();
        }
        std::thread::scope(|scope| {
            let empty = || empty_trash(directory.path(), u64::MAX, NEVER).unwrap();
            let done: Vec<_> =
                [(); 4].map(|()| scope.spawn(empty)).into_iter().map(|done| done.join().unwrap()).collect();
            assert!(done.iter().all(|done| done.is_done && done.stuck.is_empty()), "{done:?}");
        });
        assert_eq!(names(directory.path()), [""; 0]);
    }

    /// Nothing is forbidden to root, so the rest of these tests is done by a process of another user.
    fn as_nobody(test: &str, directory: &Path) -> bool {
        if !is_root() {
            return true;
        }
        fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--ignored", "--nocapture"]).env("FOLDER", directory);
        let ended = command.uid(65_534).gid(65_534).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
        false
    }

    fn is_root() -> bool {
        fs::metadata("/proc/self").unwrap().uid() == 0
    }

    fn given_directory() -> PathBuf {
        std::env::var_os("FOLDER").expect("see `as_nobody`").into()
    }

    #[test]
    fn locked_folders_go_too() {
        let directory = tempfile::tempdir().unwrap();
        if as_nobody("files::trash::tests::locked_folders_go", directory.path()) {
            remove_locked_directories(directory.path());
        }
        assert_eq!(names(directory.path()), ["run"]);
        assert_eq!(names(&directory.path().join("run")), [""; 0]);
    }

    #[test]
    #[ignore = "run by `locked_folders_go_too`"]
    fn locked_folders_go() {
        remove_locked_directories(&given_directory());
    }

    fn remove_locked_directories(root: &Path) {
        let lock = |path: &str, mode| fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
        fs::create_dir_all(root.join("run/output/a/b/c")).unwrap();
        fs::write(root.join("run/output/a/b/file"), "").unwrap();
        lock("run/output/a/b/c", 0o000);
        lock("run/output/a/b", 0o555);
        lock("run/output/a", 0o111);
        lock("run/output", 0o000);
        lock("run", 0o000);
        assert!(discard(root, &root.join("run/output")).unwrap());
        let emptied = empty_trash(root, 1000, NEVER).unwrap();
        assert_eq!((emptied.is_done, emptied.stuck.len()), (true, 0), "{emptied:?}");
    }

    #[test]
    fn what_cannot_be_deleted_is_renamed_told_and_left() {
        let directory = tempfile::tempdir().unwrap();
        if is_root() {
            // Of root, and so something that another user may not delete.
            fs::create_dir_all(directory.path().join(format!("{TRASH}1/of root"))).unwrap();
            fs::write(directory.path().join(format!("{TRASH}1/of root/file")), "").unwrap();
            as_nobody("files::trash::tests::what_is_of_root_is_left", directory.path());
            let left = names(directory.path());
            assert!(left.len() == 1 && left[0].starts_with(STUCK), "{left:?}");
        }
    }

    #[test]
    #[ignore = "run by `what_cannot_be_deleted_is_renamed_told_and_left`"]
    fn what_is_of_root_is_left() {
        let directory = given_directory();
        fs::create_dir_all(directory.join(format!("{TRASH}2/mine"))).unwrap();
        let emptied = empty_trash(&directory, 1000, NEVER).unwrap();
        assert!(emptied.is_done);
        assert_eq!((emptied.entries, emptied.stuck.len()), (2, 1), "{emptied:?}");
        assert!(empty_trash(&directory, 1000, NEVER).unwrap().stuck.is_empty(), "it is told once");
    }
}
