//! An open directory, and what is opened, written and moved below it.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::dir::Dir as Names;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};
use ulid::Ulid;

/// `O_NONBLOCK` so that a pipe or a device does not keep whoever opens it; it means nothing to a regular file.
const FILE: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).union(OFlag::O_CLOEXEC).union(OFlag::O_NOCTTY);
const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// There is something of this name, and it is no regular file, or one that has a second name where that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a plain file")]
pub struct NotPlain;

impl From<NotPlain> for io::Error {
    fn from(not_plain: NotPlain) -> Self {
        Self::new(io::ErrorKind::InvalidInput, not_plain)
    }
}

/// Whether an error says that there is nothing that may be read: no such name, or a link, a pipe or a directory in its
/// place.
pub fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
        || error.get_ref().is_some_and(|inner| inner.is::<NotPlain>())
}

/// How the name begins of what could not be removed, or stood in the place of something of the service's.
pub const STUCK: &str = ".stuck-";
/// How the name begins of a file that only tries whether files can be made.
pub const PROBE: &str = ".probe-";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Folder,
    File,
    /// A link, a pipe, a socket or a device.
    Other,
}

/// An open directory. Paths below it are relative and have only names in them.
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl Dir {
    /// A directory that the operator has named; links that lead to it are followed.
    pub fn root(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self(nix::fcntl::open(path, flags, Mode::empty())?))
    }

    pub fn open(&self, below: impl AsRef<Path>) -> io::Result<Self> {
        let mut dir = self.again()?;
        for name in names(below.as_ref())? {
            dir = dir.enter(name)?;
        }
        Ok(dir)
    }

    /// As [`Dir::open`]; what is missing on the way is made.
    pub fn make(&self, below: impl AsRef<Path>) -> io::Result<Self> {
        self.make_each(below.as_ref(), |_| Ok(()))
    }

    /// As [`Dir::make`]; each new name is durable.
    pub fn make_durably(&self, below: impl AsRef<Path>) -> io::Result<Self> {
        self.make_each(below.as_ref(), Self::sync)
    }

    fn make_each(&self, below: &Path, made: impl Fn(&Self) -> io::Result<()>) -> io::Result<Self> {
        let mut dir = self.again()?;
        for name in names(below)? {
            dir = match dir.enter(name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    dir.make_one(name)?;
                    made(&dir)?;
                    dir.enter(name)?
                }
                entered => entered?,
            };
        }
        Ok(dir)
    }

    /// A regular file, for reading.
    pub fn file(&self, below: impl AsRef<Path>) -> io::Result<File> {
        self.regular(below.as_ref(), OFlag::O_RDONLY)
    }

    /// A regular file, for reading and writing in place; made when it is missing and `create` is set. One that has a
    /// second name is refused: what is written would change a file that lies elsewhere.
    pub fn file_to_write(&self, below: impl AsRef<Path>, create: bool) -> io::Result<File> {
        let flags = if create { OFlag::O_RDWR | OFlag::O_CREAT } else { OFlag::O_RDWR };
        let file = self.regular(below.as_ref(), flags)?;
        if fstat(&file)?.st_nlink == 1 { Ok(file) } else { Err(NotPlain.into()) }
    }

    /// A file that is not there yet.
    pub fn create(&self, below: impl AsRef<Path>) -> io::Result<File> {
        self.regular(below.as_ref(), OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL)
    }

    /// The content of a regular file of at most `limit` bytes.
    pub fn read(&self, below: impl AsRef<Path>, limit: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.file(below)?.take(limit.saturating_add(1)).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit} bytes")));
        }
        Ok(content)
    }

    /// Gives a file new content at once: a reader finds all of it or what was there before. A link of this name is
    /// replaced, not followed.
    pub fn replace(&self, below: impl AsRef<Path>, content: &[u8]) -> io::Result<()> {
        self.replace_by(below.as_ref(), |file| file.write_all(content), |_| Ok(()))
    }

    /// As [`Dir::replace`], also after a loss of power.
    pub fn replace_durably(&self, below: impl AsRef<Path>, content: &[u8]) -> io::Result<()> {
        self.replace_by(below.as_ref(), |file| file.write_all(content).and_then(|()| file.sync_all()), Self::sync)
    }

    /// As [`Dir::replace_durably`], for its owner's eyes only, from before it has any content.
    pub fn replace_privately(&self, below: impl AsRef<Path>, content: &[u8]) -> io::Result<()> {
        let write = |file: &mut File| {
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(content)?;
            file.sync_all()
        };
        self.replace_by(below.as_ref(), write, Self::sync)
    }

    /// Parts a file from its other names: this name keeps the content, durably, and what is written from now on reaches
    /// no other. Whatever has no second name is left as it is.
    pub fn part(&self, name: impl AsRef<Path>) -> io::Result<()> {
        let (dir, name) = self.parent(name.as_ref())?;
        match dir.stat(name) {
            Ok(stat) if kind(&stat) == SFlag::S_IFREG && stat.st_nlink > 1 => {}
            _ => return Ok(()),
        }
        let mut shared = dir.file(name)?;
        let copy = |file: &mut File| io::copy(&mut shared, file).and_then(|_| file.sync_all());
        dir.replace_by(name.as_ref(), copy, Self::sync)
    }

    fn replace_by(
        &self,
        below: &Path,
        write: impl FnOnce(&mut File) -> io::Result<()>,
        renamed: impl FnOnce(&Self) -> io::Result<()>,
    ) -> io::Result<()> {
        let (dir, name) = self.parent(below)?;
        let fresh = fresh_name(".fresh-");
        let mut file = dir.create(&fresh)?;
        let done = write(&mut file).and_then(|()| {
            renameat(&dir.0, fresh.as_os_str(), &dir.0, name)?;
            renamed(&dir)
        });
        if done.is_err() {
            let _ = dir.remove_file(&fresh);
        }
        done
    }

    /// Takes a name away that is not a directory's.
    pub fn remove_file(&self, below: impl AsRef<Path>) -> io::Result<()> {
        let (dir, name) = self.parent(below.as_ref())?;
        Ok(unlinkat(&dir.0, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Moves whatever has this name, a link included, to a place in another directory.
    pub fn rename(&self, below: impl AsRef<Path>, to: &Dir, to_below: impl AsRef<Path>) -> io::Result<()> {
        let (from, name) = self.parent(below.as_ref())?;
        let (to, to_name) = to.parent(to_below.as_ref())?;
        Ok(renameat(&from.0, name, &to.0, to_name)?)
    }

    /// Gives a regular file a second name, in another directory of the same file system.
    pub fn link(&self, below: impl AsRef<Path>, to: &Dir, to_below: impl AsRef<Path>) -> io::Result<()> {
        self.file(below.as_ref())?;
        let (from, name) = self.parent(below.as_ref())?;
        let (to, to_name) = to.parent(to_below.as_ref())?;
        Ok(linkat(&from.0, name, &to.0, to_name, AtFlags::empty())?)
    }

    /// Gives what has this name another, that nothing looks up; says which.
    pub fn set_aside(&self, name: impl AsRef<Path>) -> io::Result<OsString> {
        let aside = fresh_name(STUCK);
        self.rename(name, self, &aside)?;
        Ok(aside)
    }

    /// Tries whether files can be made in it.
    pub fn probe(&self) -> io::Result<()> {
        let probe = fresh_name(PROBE);
        self.create(&probe)?;
        self.remove_file(&probe)
    }

    /// The size of a regular file.
    pub fn size(&self, below: impl AsRef<Path>) -> io::Result<u64> {
        let (dir, name) = self.parent(below.as_ref())?;
        let stat = dir.stat(name)?;
        if kind(&stat) == SFlag::S_IFREG { Ok(stat.st_size as u64) } else { Err(NotPlain.into()) }
    }

    /// Whether there is anything of this name, a link that leads nowhere included.
    pub fn has(&self, name: impl AsRef<OsStr>) -> io::Result<bool> {
        match self.stat(name.as_ref()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            stat => stat.map(|_| true),
        }
    }

    /// Two names change places, in one step where the system and the file system can; false where they cannot.
    pub fn exchange(&self, one: &OsStr, other: &OsStr) -> io::Result<bool> {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        {
            use nix::fcntl::{RenameFlags, renameat2};
            match renameat2(&self.0, one, &self.0, other, RenameFlags::RENAME_EXCHANGE) {
                Err(Errno::EINVAL | Errno::ENOSYS) => {}
                done => return Ok(done.map(|()| true)?),
            }
        }
        #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
        let _ = (one, other);
        Ok(false)
    }

    /// When a name came into it or went from it last.
    pub fn modified(&self) -> io::Result<SystemTime> {
        let stat = fstat(&self.0)?;
        let seconds = Duration::from_secs(stat.st_mtime.try_into().unwrap_or(0));
        Ok(UNIX_EPOCH + seconds + Duration::from_nanos(stat.st_mtime_nsec.try_into().unwrap_or(0)))
    }

    /// Makes everything durable that is on its file system.
    pub fn sync_file_system(&self) -> io::Result<()> {
        Ok(nix::unistd::syncfs(&self.0)?)
    }

    /// Makes the names in it durable.
    pub fn sync(&self) -> io::Result<()> {
        Ok(nix::unistd::fsync(&self.0)?)
    }

    /// The names in it that are text, and what each is; in no order, and of the first `most` names only.
    pub fn entries(&self, most: usize) -> io::Result<Vec<(String, Kind)>> {
        let (mut found, mut seen) = (Vec::new(), 0);
        self.names(|name| {
            seen += 1;
            if let Some(text) = name.to_str().filter(|_| seen <= most)
                && let Some((kind, _)) = self.look(name)?
            {
                found.push((text.to_owned(), kind));
            }
            Ok(seen < most)
        })?;
        Ok(found)
    }

    /// Calls `each` with every name but `.` and `..`, until it breaks off by `false`.
    pub(super) fn names(&self, mut each: impl FnMut(&OsStr) -> io::Result<bool>) -> io::Result<()> {
        use std::os::unix::ffi::OsStrExt as _;
        // The copy shares its position with whatever was read before, which has rewound it.
        let mut names = Names::from_fd(self.0.try_clone()?)?;
        for entry in names.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") && !each(OsStr::from_bytes(name))? {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn enter(&self, name: &OsStr) -> io::Result<Self> {
        Ok(Self(openat(&self.0, name, FOLDER, Mode::empty())?))
    }

    /// What has this name, and its size; none if it has gone meanwhile.
    pub(super) fn look(&self, name: &OsStr) -> io::Result<Option<(Kind, u64)>> {
        let stat = match self.stat(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            stat => stat?,
        };
        let kind = match kind(&stat) {
            SFlag::S_IFDIR => Kind::Folder,
            SFlag::S_IFREG => Kind::File,
            _ => Kind::Other,
        };
        Ok(Some((kind, stat.st_size.try_into().unwrap_or_default())))
    }

    pub(super) fn stat(&self, name: &OsStr) -> io::Result<FileStat> {
        Ok(fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW)?)
    }

    /// Lets the owner read, write and enter a directory.
    pub(super) fn unlock(&self, name: &OsStr) -> io::Result<()> {
        Ok(fchmodat(&self.0, name, Mode::S_IRWXU, FchmodatFlags::NoFollowSymlink)?)
    }

    pub(super) fn unlock_itself(&self) -> io::Result<()> {
        Ok(nix::sys::stat::fchmod(&self.0, Mode::S_IRWXU)?)
    }

    pub(super) fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, UnlinkatFlags::RemoveDir)?)
    }

    /// The directory that the last name of a path is in, and that name.
    pub(super) fn parent<'a>(&self, below: &'a Path) -> io::Result<(Self, &'a OsStr)> {
        self.parent_by(below, Self::enter)
    }

    fn parent_by<'a>(
        &self,
        below: &'a Path,
        enter: impl Fn(&Self, &OsStr) -> io::Result<Self>,
    ) -> io::Result<(Self, &'a OsStr)> {
        let mut names = names(below)?;
        let name = names.pop().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut dir = self.again()?;
        for name in names {
            dir = enter(&dir, name)?;
        }
        Ok((dir, name))
    }

    /// As [`Dir::parent`]; a directory that was locked against its owner is unlocked.
    pub(super) fn parent_unlocked<'a>(&self, below: &'a Path) -> io::Result<(Self, &'a OsStr)> {
        self.parent_by(below, |dir, name| match dir.enter(name) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                dir.unlock(name)?;
                dir.enter(name)
            }
            entered => entered,
        })
    }

    fn again(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// One that is there already is fine: another was quicker.
    fn make_one(&self, name: &OsStr) -> io::Result<()> {
        match mkdirat(&self.0, name, Mode::from_bits_truncate(0o777)) {
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn regular(&self, below: &Path, flags: OFlag) -> io::Result<File> {
        let (dir, name) = self.parent(below)?;
        let opened = openat(&dir.0, name, FILE | flags, Mode::from_bits_truncate(0o666));
        let file = opened.map_err(|error| match error {
            // A link, a socket, and a directory where one wants to write.
            Errno::ELOOP | Errno::ENXIO | Errno::EISDIR => NotPlain.into(),
            error => io::Error::from(error),
        })?;
        if kind(&fstat(&file)?) == SFlag::S_IFREG { Ok(file.into()) } else { Err(NotPlain.into()) }
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

pub(super) fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// The names of a relative path, none of which leads back up.
fn names(below: &Path) -> io::Result<Vec<&OsStr>> {
    let name = |part| match part {
        // No file has such a name, and the system would take it for another.
        Component::Normal(name) if name.as_encoded_bytes().contains(&0) => Err(io::ErrorKind::NotFound.into()),
        Component::Normal(name) => Ok(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a path below a directory")),
    };
    below.components().filter(|part| !matches!(part, Component::CurDir)).map(name).collect()
}

/// A unique name.
pub(super) fn fresh_name(prefix: &str) -> OsString {
    format!("{prefix}{}", Ulid::generate()).into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    struct World {
        directory: tempfile::TempDir,
        dir: Dir,
    }

    /// A directory `in` with a subfolder `sub`, and beside it, out of reach, a file `victim`.
    fn world() -> World {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("in/sub")).unwrap();
        fs::write(directory.path().join("victim"), "of others").unwrap();
        let dir = Dir::root(&directory.path().join("in")).unwrap();
        World { directory, dir }
    }

    impl World {
        fn at(&self, name: &str) -> std::path::PathBuf {
            self.directory.path().join("in").join(name)
        }

        fn victim(&self) -> std::path::PathBuf {
            self.directory.path().join("victim")
        }

        fn assert_victim_is_whole(&self) {
            assert_eq!(fs::read_to_string(self.victim()).unwrap(), "of others");
        }

        /// One of every kind of thing that is no plain file, and links to each.
        fn plant_everything(&self) -> Vec<&'static str> {
            symlink(self.victim(), self.at("link")).unwrap();
            symlink("nowhere", self.at("dangling")).unwrap();
            symlink("self", self.at("self")).unwrap();
            symlink("..", self.at("up")).unwrap();
            nix::unistd::mkfifo(&self.at("pipe"), Mode::S_IRWXU).unwrap();
            drop(UnixListener::bind(self.at("socket")).unwrap());
            symlink("/dev/zero", self.at("device")).unwrap();
            vec!["link", "dangling", "self", "pipe", "socket", "device", "sub", "up/victim", "up", "link/x"]
        }
    }

    #[test]
    fn the_entries_of_a_directory_are_those_in_it_with_their_kinds_and_no_more_than_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("sub/below")).unwrap();
        std::fs::write(directory.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("sub", directory.path().join("link")).unwrap();
        let dir = Dir::root(directory.path()).unwrap();
        for _ in 0..2 {
            let mut all = dir.entries(10).unwrap();
            all.sort();
            let named = |name: &str, kind| (name.to_owned(), kind);
            let expected = [named("file", Kind::File), named("link", Kind::Other), named("sub", Kind::Folder)];
            assert_eq!(all, expected, "each time from the beginning");
        }
        assert_eq!((dir.entries(2).unwrap().len(), dir.entries(0).unwrap().len()), (2, 0));
    }

    #[test]
    fn only_plain_files_are_read_and_nobody_is_waited_for() {
        let world = world();
        for name in world.plant_everything() {
            let error = world.dir.file(name).map(drop).unwrap_err();
            assert!(is_absent(&error), "{name}: {error}");
            assert!(world.dir.size(name).is_err(), "{name}");
        }
        assert!(is_absent(&world.dir.file("nothing").unwrap_err()));
        fs::write(world.at("sub/plain"), "content").unwrap();
        assert_eq!(world.dir.read("sub/plain", 7).unwrap(), b"content");
        assert_eq!(world.dir.read("sub/plain", 6).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(world.dir.size("./sub/plain").unwrap(), 7);
        for outside in ["../victim", "/etc/passwd", "sub/../../victim", "", "."] {
            assert!(world.dir.file(outside).is_err(), "{outside}");
        }
    }

    #[test]
    fn a_folder_that_is_a_link_is_none() {
        let world = world();
        symlink(world.directory.path(), world.at("elsewhere")).unwrap();
        symlink("sub", world.at("beside")).unwrap();
        for name in ["elsewhere", "beside"] {
            assert!(is_absent(&world.dir.open(name).unwrap_err()), "{name}");
            assert!(world.dir.make(format!("{name}/new")).is_err(), "{name}");
            assert!(world.dir.create(format!("{name}/new")).is_err(), "{name}");
            assert!(world.dir.replace(format!("{name}/victim"), b"mine").is_err(), "{name}");
            assert!(world.dir.remove_file(format!("{name}/victim")).is_err(), "{name}");
        }
        world.assert_victim_is_whole();
        world.dir.make("sub/a/b").unwrap().create("file").unwrap();
        assert!(world.at("sub/a/b/file").is_file());
    }

    #[test]
    fn content_replaces_a_name_and_is_never_written_through_it() {
        let world = world();
        fs::hard_link(world.victim(), world.at("hard")).unwrap();
        for name in world.plant_everything().into_iter().filter(|name| !name.contains('/')).chain(["hard", "new"]) {
            let replaced = world.dir.replace(name, b"mine");
            // A directory keeps its place.
            assert_eq!(replaced.is_ok(), name != "sub", "{name}: {replaced:?}");
            assert!(replaced.is_err() || fs::symlink_metadata(world.at(name)).unwrap().is_file(), "{name}");
            assert!(replaced.is_err() || world.dir.read(name, 10).unwrap() == b"mine", "{name}");
        }
        world.assert_victim_is_whole();
        let left = fs::read_dir(world.at(""))
            .unwrap()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(".fresh-"));
        assert_eq!(left.count(), 0, "a failed replacement leaves nothing");
    }

    #[test]
    fn what_is_written_in_place_is_a_plain_file_with_one_name() {
        let world = world();
        fs::hard_link(world.victim(), world.at("hard")).unwrap();
        for name in world.plant_everything().into_iter().chain(["hard"]) {
            for create in [false, true] {
                assert!(world.dir.file_to_write(name, create).is_err(), "{name}");
            }
        }
        world.assert_victim_is_whole();
        assert!(!world.at("nowhere").exists(), "a dangling link is not written through");
        assert!(world.dir.file_to_write("new", false).is_err());
        world.dir.file_to_write("new", true).unwrap().write_all(b"x").unwrap();
        world.dir.file_to_write("new", false).unwrap();
        assert!(world.dir.create("new").is_err());
    }
}
