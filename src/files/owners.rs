//! Whose files are, and who may pass: for children that run under user ids of their own.
//!
//! Law: whatever is done here is done to what is open, or to a name without following it, and never to a file that has a
//! second name, which may lie where it must not be reached. A user is a group of the same number too.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::fchown;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmod, fchmodat, fstat};

use super::dir::{Dir, Kind, kind};
use super::location::Location;
use super::walk::{Entry, walk};

/// Bits of a mode: what others than owner and group may do, and what all but the owner may.
pub const OTHERS: u32 = 0o007;
pub const GROUP_AND_OTHERS: u32 = 0o077;
/// What others may do with a directory whose names they have to know.
const PASS: u32 = 0o001;

impl Location {
    /// Opens the way to a directory: everybody may pass the root and the first `common` names below it, and one user the
    /// rest. Nobody may list any of it. The directory itself stays as it is.
    pub fn open_way(&self, common: usize, user: u32) -> io::Result<Dir> {
        let mut dir = self.root()?;
        dir.let_pass()?;
        let last = self.names().count().saturating_sub(1);
        for (depth, name) in self.names().enumerate() {
            dir = dir.enter(name)?;
            match depth {
                depth if depth == last => {}
                depth if depth < common => dir.let_pass()?,
                _ => dir.set(None, Some(user), |mode| mode & 0o700 | 0o010)?,
            }
        }
        Ok(dir)
    }

    /// Lets everybody pass to a file, and read it.
    pub fn show_to_all(&self) -> io::Result<()> {
        let mut dir = self.root()?;
        dir.let_pass()?;
        let (above, file) = self.parent()?;
        for name in self.names().take(self.names().count().saturating_sub(1)) {
            dir = dir.enter(name)?;
            dir.let_pass()?;
        }
        let stat = above.stat(&file)?;
        above.change_mode(&file, &stat, stat.st_mode & 0o7777 | 0o004 | (stat.st_mode & 0o100) >> 6)
    }
}

impl Dir {
    /// Everybody may pass it, and not list it.
    pub fn let_pass(&self) -> io::Result<()> {
        self.set(None, None, |mode| mode & !OTHERS | PASS)
    }

    /// It becomes the user's, and nobody else's.
    pub fn give(&self, user: u32) -> io::Result<()> {
        self.set(Some(user), Some(user), |_| 0o700)
    }

    /// Whether it is the user's. Its mode says nothing: the user may have changed it.
    pub fn is_of(&self, user: u32) -> io::Result<bool> {
        let stat = fstat(self)?;
        Ok(stat.st_uid == user && stat.st_gid == user)
    }

    /// As [`Dir::give`], with everything below it, of at most `most` entries: directories, and regular files. Its own turn
    /// comes last, so that one that [`Dir::is_of`] the user is so as a whole.
    pub fn give_tree(&self, user: u32, most: usize) -> io::Result<()> {
        self.each(most, |entry| self.give_entry(entry, user))?;
        self.give(user)
    }

    /// The user may read it and what is below it.
    pub fn show_tree(&self, user: u32, most: usize) -> io::Result<()> {
        self.each(most, |entry| match entry.kind {
            Kind::Folder => self.open(&entry.path)?.set(None, Some(user), readable),
            Kind::File => show(&self.file(&entry.path)?, user),
            Kind::Other => Ok(()),
        })?;
        self.show(user)
    }

    /// The user may read what is in it, as far as that is shown.
    pub fn show(&self, user: u32) -> io::Result<()> {
        self.set(None, Some(user), readable)
    }

    /// Takes these bits from the modes of the entries of this directory, but for those that `spared` names: these are left
    /// as they are.
    pub fn close_entries(&self, spared: &[&str], bits: u32) -> io::Result<()> {
        self.names(|name| {
            if !spared.iter().any(|&spared| name == spared) {
                match self.stat(name).and_then(|stat| self.change_mode(name, &stat, stat.st_mode & 0o7777 & !bits)) {
                    // It has gone meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    closed => closed?,
                }
            }
            Ok(true)
        })
    }

    /// By its name, since to open a file and close it again would give up locks that this process has on it.
    fn change_mode(&self, name: &OsStr, stat: &FileStat, mode: u32) -> io::Result<()> {
        if !matches!(kind(stat), SFlag::S_IFREG | SFlag::S_IFDIR) || mode == stat.st_mode & 0o7777 {
            return Ok(());
        }
        Ok(fchmodat(self, name, Mode::from_bits_truncate(mode), FchmodatFlags::NoFollowSymlink)?)
    }

    fn give_entry(&self, entry: &Entry, user: u32) -> io::Result<()> {
        let (dir, name) = self.parent(&entry.path)?;
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let found: OwnedFd = openat(&dir, name, flags, Mode::empty())?;
        let stat = fstat(&found)?;
        let is_plain = kind(&stat) == SFlag::S_IFREG && stat.st_nlink == 1;
        if !is_plain && kind(&stat) != SFlag::S_IFDIR {
            return Ok(());
        }
        // SAFETY: the empty name ends with a zero.
        match unsafe { libc::fchownat(found.as_raw_fd(), c"".as_ptr(), user, user, libc::AT_EMPTY_PATH) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Everything below; it is an error if that is more than `most`, or cannot be reached.
    fn each(&self, most: usize, mut change: impl FnMut(&Entry) -> io::Result<()>) -> io::Result<()> {
        let mut failed = None;
        let walked = walk(self, most, |entry| {
            match change(entry) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => failed = failed.take().or(Some(error)),
                _ => {}
            }
            failed.is_none()
        })?;
        if let Some(error) = failed.or(walked.unreadable.map(|(_, error)| error)) {
            return Err(error);
        }
        match walked.is_cut || walked.too_deep > 0 {
            true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "there are too many files, or they lie too deep")),
            false => Ok(()),
        }
    }

    /// Leaves what is so already.
    fn set(&self, owner: Option<u32>, group: Option<u32>, mode: impl Fn(u32) -> u32) -> io::Result<()> {
        set(self, owner, group, mode)
    }
}

fn readable(mode: u32) -> u32 {
    mode & 0o700 | 0o050
}

fn show(file: &File, user: u32) -> io::Result<()> {
    if fstat(file)?.st_nlink != 1 {
        return Ok(());
    }
    set(file, None, Some(user), |mode| mode & 0o700 | 0o040)
}

fn set(what: &impl AsFd, owner: Option<u32>, group: Option<u32>, mode: impl Fn(u32) -> u32) -> io::Result<()> {
    let stat = fstat(what)?;
    let is = |wanted: Option<u32>, found: u32| wanted.is_none_or(|wanted| wanted == found);
    let wanted = mode(stat.st_mode & 0o7777);
    // Closed before it changes hands, and opened after: at no moment may anybody do more than before and after.
    if wanted != stat.st_mode & 0o7777 {
        fchmod(what, Mode::from_bits_truncate(wanted & stat.st_mode))?;
    }
    if !is(owner, stat.st_uid) || !is(group, stat.st_gid) {
        fchown(what, owner, group)?;
    }
    if wanted != fstat(what)?.st_mode & 0o7777 {
        fchmod(what, Mode::from_bits_truncate(wanted))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::Path;

    use super::*;

    const USER: u32 = 210_000;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    fn owner(path: &Path) -> (u32, u32) {
        let metadata = fs::symlink_metadata(path).unwrap();
        (metadata.uid(), metadata.gid())
    }

    /// What changes hands needs root; said where there is none.
    fn is_root() -> bool {
        // SAFETY: cannot fail and touches no memory.
        let is_root = unsafe { libc::geteuid() } == 0;
        if !is_root {
            eprintln!("LEFT OUT: only root gives files away");
        }
        is_root
    }

    #[test]
    fn entries_are_closed_to_others_but_for_those_that_are_spared() {
        let directory = tempfile::tempdir().unwrap();
        let (root, elsewhere) = (directory.path().join("data"), directory.path().join("elsewhere"));
        fs::create_dir_all(root.join("open")).unwrap();
        fs::create_dir(root.join("closed")).unwrap();
        for file in [root.join("ade.db"), elsewhere.clone()] {
            fs::write(&file, "x").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
        }
        for name in ["open", "closed"] {
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        symlink(&elsewhere, root.join("link")).unwrap();
        Dir::root(&root).unwrap().close_entries(&["open"], OTHERS).unwrap();
        let modes = ["ade.db", "closed", "open"].map(|name| mode(&root.join(name)));
        assert_eq!((modes, mode(&elsewhere)), ([0o660, 0o750, 0o755], 0o664), "no link is followed");
    }

    #[test]
    fn the_way_to_a_directory_is_open_to_one_user_only() {
        if !is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("data");
        let place = Location::below(&root, "workspaces/w/runs/r");
        place.make().unwrap();
        let run = place.open_way(1, USER).unwrap();
        run.show(USER).unwrap();
        run.make("output").unwrap().give(USER).unwrap();
        let input = run.make("input").unwrap();
        input.create("file").unwrap();
        input.show_tree(USER, 10).unwrap();
        let found = ["", "workspaces", "workspaces/w", "workspaces/w/runs"].map(|below| {
            let path = root.join(below);
            (mode(&path) & 0o077, owner(&path))
        });
        let (all, one) = ((0o001, (0, 0)), (0o010, (0, USER)));
        assert_eq!((found[1], found[2], found[3]), ((found[1].0, (0, 0)), one, one));
        assert_eq!((found[0].0 & 0o007, found[1].0 & 0o007), (all.0, all.0), "to be passed and not listed");
        let of_run = ["", "output", "input", "input/file"].map(|below| {
            let path = place.path().join(below);
            (mode(&path), owner(&path))
        });
        assert_eq!(of_run[0].1, (0, USER));
        assert_eq!(of_run[1], (0o700, (USER, USER)));
        assert_eq!((of_run[2], of_run[3]), ((0o750, (0, USER)), (0o640, (0, USER))));
    }

    #[test]
    fn a_tree_is_given_without_what_lies_elsewhere_too() {
        if !is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let (root, secret) = (directory.path().join("build"), directory.path().join("secret"));
        fs::create_dir_all(root.join("lib/site")).unwrap();
        fs::write(root.join("lib/site/module.py"), "x").unwrap();
        fs::write(&secret, "secret").unwrap();
        fs::hard_link(&secret, root.join("lib/linked")).unwrap();
        symlink(&secret, root.join("lib/link")).unwrap();
        let dir = Dir::root(&root).unwrap();
        assert!(!dir.is_of(USER).unwrap());
        assert!(dir.give_tree(USER, 3).is_err(), "there is more");
        assert!(!dir.is_of(USER).unwrap(), "not as a whole");
        dir.give_tree(USER, 100).unwrap();
        assert!(dir.is_of(USER).unwrap());
        for below in ["", "lib", "lib/site", "lib/site/module.py"] {
            assert_eq!(owner(&root.join(below)), (USER, USER), "{below}");
        }
        assert_eq!(owner(&secret), (0, 0));
    }
}
