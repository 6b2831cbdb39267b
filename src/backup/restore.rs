//! The way back: a backup becomes a data directory where there was none.
//!
//! Law: nothing that is there is touched. Until everything is in its place, checked, the directory holds [`UNFINISHED`], and
//! no service starts in it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::copy::copy;
use super::manifest::{Entry, FORMAT, Manifest, read_list};
use super::staged::{DATA, DATABASE, LIST, PAGE};
use crate::files::{Dir, Location, remove_within};

/// The directory within a data directory in which a restore collects what it copies.
pub const UNFINISHED: &str = ".restore";
/// What the name of a database ends with until it is whole.
const FRESH: &str = ".restore";
/// The page is smaller.
const SMALL: u64 = 64 << 10;

/// Where a backup is to go.
pub struct Target {
    /// Missing, or empty.
    pub data_dir: PathBuf,
    pub rows: Rows,
}

/// Where the rows are to go.
pub enum Rows {
    /// Into a SQLite file; missing.
    File(PathBuf),
    /// Into another database, which its caller fills from [`Collected::database`].
    Elsewhere,
}

impl Target {
    /// The file of the database, or of what another one is filled from.
    fn database(&self) -> PathBuf {
        match &self.rows {
            Rows::File(path) => path.clone(),
            Rows::Elsewhere => self.data_dir.join(DATABASE),
        }
    }
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("{0} is not empty; a backup is restored into an empty directory")]
    NotEmpty(PathBuf),
    #[error("{0} is there already; a backup is restored where there is no database")]
    DatabaseExists(PathBuf),
    #[error("{path} is no backup: {source}")]
    NoBackup { path: PathBuf, source: io::Error },
    #[error(
        "the backup has format {0}, which this release does not know: use the release that made it, or a newer one"
    )]
    Format(u32),
    #[error("the backup is damaged: {0} is not as it was")]
    Damaged(String),
    #[error("{path}: {source}")]
    Copy { path: String, source: io::Error },
    #[error("{path}: {source}")]
    Target { path: PathBuf, source: io::Error },
}

/// A backup that was checked and copied, and in which no service starts yet.
pub struct Collected<'a> {
    place: Place<'a>,
    manifest: Manifest,
}

impl Collected<'_> {
    /// The file with the rows.
    pub fn database(&self) -> PathBuf {
        let database = self.place.target.database();
        database.with_file_name(with(&self.place.database.1, FRESH))
    }

    /// From now on a service may start in it. Blocks.
    pub fn finish(self) -> Result<Manifest, RestoreError> {
        self.place.finish()?;
        Ok(self.manifest)
    }
}

/// Of a backup whose rows go into a file. Blocks.
pub fn restore(from: &Path, target: &Target) -> Result<Manifest, RestoreError> {
    collect(from, target)?.finish()
}

/// Blocks.
pub fn collect<'a>(from: &Path, target: &'a Target) -> Result<Collected<'a>, RestoreError> {
    let no_backup = |source| RestoreError::NoBackup { path: from.to_owned(), source };
    let backup = Dir::root(from).map_err(no_backup)?;
    let manifest = page(&backup).map_err(no_backup)?;
    if manifest.format != FORMAT {
        return Err(RestoreError::Format(manifest.format));
    }
    let place = Place::prepare(target)?;
    place.fill(&backup, &manifest)?;
    Ok(Collected { place, manifest })
}

fn page(backup: &Dir) -> io::Result<Manifest> {
    Ok(serde_json::from_slice(&backup.read(PAGE, SMALL)?)?)
}

/// Where things are collected before they get their names.
struct Place<'a> {
    target: &'a Target,
    data: Dir,
    database: (Dir, OsString),
}

impl<'a> Place<'a> {
    fn prepare(target: &'a Target) -> Result<Self, RestoreError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| RestoreError::Target { path, source }
        };
        let data = Location::from(&target.data_dir).make().map_err(at(&target.data_dir))?;
        let path = target.database();
        let database = Location::from(&path).make_parent().map_err(at(&path))?;
        let fresh = collected(&database.1);
        let names = data.entries(2 + fresh.len()).map_err(at(&target.data_dir))?;
        if names.iter().any(|(name, _)| name != UNFINISHED && fresh.iter().all(|fresh| **name != **fresh)) {
            return Err(RestoreError::NotEmpty(target.data_dir.clone()));
        }
        let there = |name: &OsStr| database.0.has(name).map_err(at(&path));
        if there(&database.1)? || there(&with(&database.1, "-wal"))? {
            return Err(RestoreError::DatabaseExists(path));
        }
        if data.has(UNFINISHED).map_err(at(&target.data_dir))? {
            // Of an attempt that was broken off.
            remove_within(&data, UNFINISHED.as_ref()).map_err(at(&target.data_dir))?;
        }
        data.make(UNFINISHED).map_err(at(&target.data_dir))?;
        Ok(Self { target, data, database })
    }

    fn fill(&self, backup: &Dir, manifest: &Manifest) -> Result<(), RestoreError> {
        let unreadable = |source| RestoreError::Copy { path: LIST.to_owned(), source };
        let mut files = 0;
        let mut failed = None;
        let list = backup.file(LIST).map_err(unreadable)?;
        let digest = read_list(list, |entry| {
            files += 1;
            self.place(backup, &entry).map_err(|error| {
                failed = Some(error);
                io::ErrorKind::Other.into()
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let is_whole = digest.map_err(unreadable)? == manifest.files_sha256 && files == manifest.files;
        if is_whole { Ok(()) } else { Err(RestoreError::Damaged(LIST.to_owned())) }
    }

    fn place(&self, backup: &Dir, entry: &Entry) -> Result<(), RestoreError> {
        let at = |source| RestoreError::Copy { path: entry.path.clone(), source };
        let (collected, path) = match entry.path.as_str() {
            DATABASE => {
                self.remove_collected();
                (self.database.0.open("").map_err(at)?, PathBuf::from(with(&self.database.1, FRESH)))
            }
            path => (self.data.open(UNFINISHED).map_err(at)?, PathBuf::from(path)),
        };
        let mut from = backup.file(Path::new(DATA).join(&entry.path)).map_err(at)?;
        let copied = copy(&mut from, &collected, &path).map_err(at)?;
        let is_same = (copied.size, &copied.sha256) == (entry.size, &entry.sha256);
        if is_same { Ok(()) } else { Err(RestoreError::Damaged(entry.path.clone())) }
    }

    /// The rows of this attempt or of one before. A journal that was left would be taken for that of another file.
    fn remove_collected(&self) {
        for name in collected(&self.database.1) {
            let _ = self.database.0.remove_file(&name);
        }
    }

    /// Everything is there: it gets its names, the database last, and only then may a service start.
    fn finish(self) -> Result<(), RestoreError> {
        let at = |source| RestoreError::Target { path: self.target.data_dir.clone(), source };
        let collected = self.data.open(UNFINISHED).map_err(at)?;
        self.data.sync_file_system().map_err(at)?;
        for (name, _) in collected.entries(usize::MAX).map_err(at)? {
            collected.rename(&name, &self.data, &name).map_err(at)?;
        }
        let (dir, name) = &self.database;
        match self.target.rows {
            Rows::File(_) => dir.rename(with(name, FRESH), dir, name).map_err(at)?,
            Rows::Elsewhere => self.remove_collected(),
        }
        dir.sync_file_system().map_err(at)?;
        remove_within(&self.data, UNFINISHED.as_ref()).map_err(at)?;
        self.data.sync().map_err(at)
    }
}

/// What a database is called until it is whole, with the files that SQLite puts beside it.
fn collected(database: &OsStr) -> [OsString; 3] {
    ["", "-wal", "-shm"].map(|of| with(&with(database, FRESH), of))
}

fn with(name: &OsStr, suffix: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(suffix);
    name
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::backup::Staged;
    use crate::backup::copy::copy;

    struct World {
        folder: tempfile::TempDir,
    }

    impl World {
        /// A backup of a few files, whose database is no database.
        fn new() -> Self {
            let world = Self { folder: tempfile::tempdir().unwrap() };
            let mut staged = Staged::beside(&world.backup()).unwrap();
            for (path, content) in [("node_id", "node_1"), ("workspaces/w/documents/d", "content")] {
                let entry = copy(&mut content.as_bytes(), &staged.data().unwrap(), path.as_ref()).unwrap();
                staged.add(&entry).unwrap();
            }
            fs::write(staged.database(), "rows").unwrap();
            let manifest = staged.finish(&world.backup(), chrono::Utc::now()).unwrap();
            assert_eq!((manifest.files, manifest.bytes), (3, 6 + 7 + 4));
            world
        }

        fn backup(&self) -> PathBuf {
            self.folder.path().join("backup")
        }

        fn target(&self) -> Target {
            let data_dir = self.folder.path().join("data");
            Target { rows: Rows::File(data_dir.join("ade.db")), data_dir }
        }

        fn restore(&self) -> Result<Manifest, RestoreError> {
            restore(&self.backup(), &self.target())
        }
    }

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names.into_iter().map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn what_was_backed_up_is_there_again_and_nothing_else() {
        let world = World::new();
        assert_eq!(names(world.folder.path()), ["backup"], "the name of the unfinished one has gone");
        world.restore().unwrap();
        let data = world.target().data_dir;
        assert_eq!(names(&data), ["ade.db", "node_id", "workspaces"]);
        assert_eq!(fs::read_to_string(data.join("workspaces/w/documents/d")).unwrap(), "content");
        assert!(matches!(world.restore(), Err(RestoreError::NotEmpty(_))));
    }

    #[test]
    fn a_database_elsewhere_is_put_there_and_never_overwritten() {
        let world = World::new();
        let file = world.folder.path().join("db/rows.db");
        let target = Target { rows: Rows::File(file.clone()), ..world.target() };
        restore(&world.backup(), &target).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "rows");
        assert_eq!(names(&target.data_dir), ["node_id", "workspaces"]);
        let again = Target { data_dir: world.folder.path().join("other"), ..target };
        assert!(matches!(restore(&world.backup(), &again), Err(RestoreError::DatabaseExists(_))));
        assert_eq!(names(&again.data_dir), [""; 0]);
    }

    #[test]
    fn rows_for_another_database_are_there_until_it_has_them() {
        let world = World::new();
        let target = Target { rows: Rows::Elsewhere, ..world.target() };
        let broken_off = collect(&world.backup(), &target).unwrap().database();
        fs::write(broken_off.with_file_name("ade.db.restore-wal"), "of another attempt").unwrap();
        let collected = collect(&world.backup(), &target).unwrap();
        assert_eq!(fs::read_to_string(collected.database()).unwrap(), "rows");
        assert_eq!(
            names(&target.data_dir),
            [UNFINISHED, "ade.db.restore"],
            "no service starts in it, nor is a journal left"
        );
        collected.finish().unwrap();
        assert_eq!(names(&target.data_dir), ["node_id", "workspaces"]);
    }

    #[test]
    fn a_byte_that_is_not_as_it_was_is_found_and_the_directory_stays_unusable_until_it_is_restored() {
        for (file, damaged) in [
            ("data/workspaces/w/documents/d", "Content"),
            ("data/node_id", "node_12"),
            ("data/ade.db", "row"),
            ("files.ndjson", ""),
        ] {
            let world = World::new();
            let path = world.backup().join(file);
            let whole = fs::read(&path).unwrap();
            fs::write(&path, damaged).unwrap();
            assert!(matches!(world.restore(), Err(RestoreError::Damaged(_))), "{file}");
            assert_eq!(names(&world.target().data_dir)[0], UNFINISHED);
            fs::write(&path, whole).unwrap();
            world.restore().unwrap();
        }
        let world = World::new();
        fs::remove_file(world.backup().join("backup.json")).unwrap();
        assert!(matches!(world.restore(), Err(RestoreError::NoBackup { .. })));
        assert!(!world.target().data_dir.exists());
    }

    #[test]
    fn a_path_that_leads_out_of_the_directory_is_refused() {
        let world = World::new();
        let list = fs::read_to_string(world.backup().join("files.ndjson")).unwrap();
        fs::write(world.backup().join("files.ndjson"), list.replace("node_id", "../node_id")).unwrap();
        assert!(matches!(world.restore(), Err(RestoreError::Copy { .. })));
    }

    #[test]
    fn a_backup_that_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let staged = Staged::beside(&folder.path().join("backup")).unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        drop(staged);
        assert_eq!(names(folder.path()), [""; 0]);
        fs::create_dir(folder.path().join("backup")).unwrap();
        assert!(Staged::beside(&folder.path().join("backup")).is_err(), "there is something already");
    }
}
