//! Which venvs of a configuration may go, and their going.
//!
//! Law: a venv that is being built or that somebody uses stays, whatever else is said of it. Of those that are left,
//! what is not whole goes; of the whole ones the newest stay, and the one that new runs use.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ulid::Ulid;

use crate::domain::{BuildId, ConfigurationId, WorkspaceId};

/// Removed folders wait under such a name for their files to be deleted.
const TRASH: &str = ".trash-";

/// The folder of a build, and what is known about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Venv {
    pub build_id: BuildId,
    /// It holds the finished venv of its build.
    pub is_whole: bool,
    /// It is being built, a run works with it or is about to, or it is not ours to judge.
    pub is_in_use: bool,
    /// New runs would use it.
    pub is_current: bool,
}

/// The venvs to remove. Ids tell the age: each begins with the time at which it was given.
pub fn superfluous(venvs: &[Venv], keep: usize) -> Vec<BuildId> {
    let mut newest_first: Vec<&Venv> = venvs.iter().collect();
    newest_first.sort_by_key(|venv| std::cmp::Reverse(venv.build_id));
    let whole = newest_first.iter().filter(|venv| venv.is_whole);
    let kept: Vec<BuildId> = whole.take(keep).map(|venv| venv.build_id).collect();
    let goes = |venv: &&Venv| {
        let is_kept = venv.is_whole && (venv.is_current || kept.contains(&venv.build_id));
        !venv.is_in_use && !is_kept
    };
    newest_first.into_iter().filter(goes).map(|venv| venv.build_id).collect()
}

/// The configurations that have build folders. What has another name than ours is not ours. Blocks.
pub fn configurations_with_venvs(venvs: &Path) -> io::Result<Vec<(WorkspaceId, ConfigurationId)>> {
    let mut found = Vec::new();
    for (workspace, folder) in children(venvs, WorkspaceId::parse)? {
        found.extend(children(&folder, ConfigurationId::parse)?.into_iter().map(|(id, _)| (workspace, id)));
    }
    Ok(found)
}

/// The build folders of a configuration. Blocks.
pub fn build_folders(
    venvs: &Path,
    workspace: WorkspaceId,
    configuration: ConfigurationId,
) -> io::Result<Vec<(BuildId, PathBuf)>> {
    children(&venvs.join(format!("{workspace}/{configuration}")), BuildId::parse)
}

/// Folders whose names are ids, in the order of these; none where there is no such folder.
fn children<T: Ord, E>(folder: &Path, parse: fn(&str) -> Result<T, E>) -> io::Result<Vec<(T, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let id = entry.file_name().to_str().and_then(|name| parse(name).ok());
        if let Some(id) = id.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            found.push((id, entry.path()));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

/// Takes a folder out of its place at once; deleting what is in it takes longer and is done by [`delete`].
pub fn discard(venvs: &Path, folder: &Path) -> io::Result<()> {
    match fs::rename(folder, venvs.join(format!("{TRASH}{}", Ulid::generate()))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What was discarded and is still there, also from an earlier life. Blocks.
pub fn trash(venvs: &Path) -> io::Result<Vec<PathBuf>> {
    let paths: io::Result<Vec<_>> = fs::read_dir(venvs)?.map(|entry| Ok(entry?.path())).collect();
    let is_trash =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(TRASH.as_bytes()));
    Ok(paths?.into_iter().filter(is_trash).collect())
}

/// Deletes what was discarded; gives the bytes that this has freed. Another may be at it too. Blocks.
pub fn delete(trash: &Path) -> io::Result<u64> {
    let bytes = own_bytes(trash);
    match fs::remove_dir_all(trash) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(bytes),
    }
}

/// What deleting the folder gives back. A file that has another name elsewhere, such as in an installer's cache, goes
/// on taking its room. What cannot be looked at counts nothing.
pub fn own_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.metadata().map_or(0, |metadata| of_entry(&entry.path(), &metadata))).sum()
}

fn of_entry(path: &Path, metadata: &fs::Metadata) -> u64 {
    let own = metadata.blocks() * 512;
    match (metadata.is_dir(), metadata.nlink()) {
        (true, _) => own + own_bytes(path),
        (false, 1) => own,
        (false, _) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(age: u8) -> BuildId {
        BuildId::from_ulid(Ulid::from_parts(1_000_000 - u64::from(age), 7))
    }

    /// The older, the higher the number; `w`hole, in `u`se, `c`urrent.
    fn venv((age, marks): (u8, &str)) -> Venv {
        let has = |mark| marks.contains(mark);
        Venv { build_id: id(age), is_whole: has('w'), is_in_use: has('u'), is_current: has('c') }
    }

    #[test]
    fn what_goes_and_what_stays() {
        type Case = (&'static str, usize, &'static [(u8, &'static str)], &'static [u8]);
        let cases: &[Case] = &[
            ("nothing is there", 3, &[], &[]),
            ("fewer than are kept", 3, &[(1, "w"), (2, "w")], &[]),
            ("the oldest go, in whatever order they come", 2, &[(4, "w"), (1, "w"), (3, "w"), (2, "w")], &[3, 4]),
            ("one without a marker goes, however new", 3, &[(1, ""), (2, "w")], &[1]),
            ("one that is being built has no marker yet", 1, &[(1, "u"), (2, "w")], &[]),
            ("a run keeps its venv", 1, &[(1, "w"), (2, "wu"), (3, "w")], &[3]),
            ("a run keeps a venv whose marker somebody deleted", 1, &[(1, "w"), (2, "u")], &[]),
            ("the current one stays beside the newest", 1, &[(1, "w"), (2, "w"), (3, "wc")], &[2]),
            ("the current one counts among the newest", 2, &[(1, "wc"), (2, "w"), (3, "w")], &[3]),
            ("a current one that is not whole is none", 1, &[(1, "w"), (2, "c")], &[2]),
        ];
        for (what, keep, venvs, gone) in cases {
            let venvs: Vec<_> = venvs.iter().copied().map(venv).collect();
            let expected: Vec<_> = gone.iter().map(|age| id(*age)).collect();
            assert_eq!(superfluous(&venvs, *keep), expected, "{what}");
        }
    }

    fn any_venvs() -> impl Strategy<Value = Vec<Venv>> {
        let marks = (any::<bool>(), any::<bool>(), any::<bool>());
        proptest::collection::btree_map(any::<u8>(), marks, 0..12).prop_map(|venvs| {
            let one =
                |(age, (is_whole, is_in_use, is_current))| Venv { build_id: id(age), is_whole, is_in_use, is_current };
            venvs.into_iter().map(one).collect()
        })
    }

    proptest! {
        #[test]
        fn nothing_in_use_goes_and_only_the_newest_idle_ones_stay(venvs in any_venvs(), keep in 1..6_usize) {
            let gone = superfluous(&venvs, keep);
            let (removed, left): (Vec<Venv>, Vec<Venv>) = venvs.iter().partition(|venv| gone.contains(&venv.build_id));
            prop_assert!(removed.iter().all(|venv| !venv.is_in_use));
            prop_assert!(left.iter().all(|venv| venv.is_whole || venv.is_in_use));
            let newer = |than: &Venv| venvs.iter().filter(|venv| venv.is_whole && venv.build_id > than.build_id).count();
            prop_assert!(removed.iter().all(|venv| !venv.is_whole || (newer(venv) >= keep && !venv.is_current)));
            prop_assert!(left.iter().all(|venv| venv.is_in_use || venv.is_current || newer(venv) < keep));
        }

        #[test]
        fn whoever_keeps_more_removes_no_others(venvs in any_venvs(), keep in 1..6_usize) {
            let (few, many) = (superfluous(&venvs, keep + 1), superfluous(&venvs, keep));
            prop_assert!(few.iter().all(|id| many.contains(id)));
        }

        #[test]
        fn a_second_look_finds_nothing_more(venvs in any_venvs(), keep in 1..6_usize) {
            let gone = superfluous(&venvs, keep);
            let left: Vec<Venv> = venvs.into_iter().filter(|venv| !gone.contains(&venv.build_id)).collect();
            prop_assert_eq!(superfluous(&left, keep), vec![]);
        }
    }

    #[test]
    fn only_folders_with_names_of_ours_are_ours() {
        let venvs = tempfile::tempdir().unwrap();
        let (workspace, configuration, build) =
            (WorkspaceId::generate(), ConfigurationId::generate(), BuildId::generate());
        let folder = venvs.path().join(format!("{workspace}/{configuration}/{build}"));
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(venvs.path().join(format!("{workspace}/{configuration}/mine"))).unwrap();
        fs::create_dir_all(venvs.path().join("lost+found/x")).unwrap();
        fs::write(venvs.path().join(format!("{workspace}/{configuration}/{}", BuildId::generate())), "a file").unwrap();
        assert_eq!(configurations_with_venvs(venvs.path()).unwrap(), [(workspace, configuration)]);
        assert_eq!(build_folders(venvs.path(), workspace, configuration).unwrap(), [(build, folder)]);
        assert_eq!(build_folders(venvs.path(), workspace, ConfigurationId::generate()).unwrap(), []);
    }

    #[test]
    fn what_was_discarded_is_gone_at_once_and_deleted_later() {
        let venvs = tempfile::tempdir().unwrap();
        let folder = venvs.path().join("w/c/b");
        fs::create_dir_all(folder.join("lib")).unwrap();
        fs::write(folder.join("lib/own"), vec![1; 100_000]).unwrap();
        fs::write(venvs.path().join("cached"), vec![1; 1_000_000]).unwrap();
        fs::hard_link(venvs.path().join("cached"), folder.join("lib/shared")).unwrap();
        discard(venvs.path(), &folder).unwrap();
        discard(venvs.path(), &folder).unwrap();
        assert!(!folder.exists());
        let [trash] = &super::trash(venvs.path()).unwrap()[..] else { panic!("one folder is discarded") };
        let freed = delete(trash).unwrap();
        assert!((100_000..400_000).contains(&freed), "{freed}: what the cache still holds is not freed");
        let left: Vec<_> = fs::read_dir(venvs.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
        assert_eq!(delete(trash).unwrap(), 0, "another was quicker");
    }
}
