//! Which venvs of a configuration may go.
//!
//! Invariant: a venv that is being built or that is in use stays, whatever else is said of it. Of those that are left,
//! what is not whole goes; of the whole ones the newest stay, and the one that new runs use.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::{BuildId, ConfigurationId, WorkspaceId};
use crate::files::{self, Dir, Kind};

/// The directory of a build, and what is known about it.
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

/// The configurations that have build directories. What has another name than ours is not ours. Blocks.
pub fn configurations_with_venvs(venvs: &Path) -> io::Result<Vec<(WorkspaceId, ConfigurationId)>> {
    let mut found = Vec::new();
    for workspace in children(venvs, "", WorkspaceId::parse)? {
        let configurations = children(venvs, &workspace.to_string(), ConfigurationId::parse)?;
        found.extend(configurations.into_iter().map(|id| (workspace, id)));
    }
    Ok(found)
}

/// The build directories of a configuration. Blocks.
pub fn build_directories(
    venvs: &Path,
    workspace: WorkspaceId,
    configuration: ConfigurationId,
) -> io::Result<Vec<(BuildId, PathBuf)>> {
    let below = format!("{workspace}/{configuration}");
    let builds = children(venvs, &below, BuildId::parse)?;
    Ok(builds.into_iter().map(|id| (id, venvs.join(&below).join(id.to_string()))).collect())
}

/// Far more than are ever kept; whatever else is put there is not gone through for ever.
const MOST: usize = 100_000;

/// Directories whose names are ids, in the order of these; none where there is no such directory.
fn children<T: Ord, E>(venvs: &Path, below: &str, parse: fn(&str) -> Result<T, E>) -> io::Result<Vec<T>> {
    let directory = match Dir::root(venvs).and_then(|root| root.open(below)) {
        Err(error) if files::is_absent(&error) => return Ok(Vec::new()),
        directory => directory?,
    };
    let mut found = Vec::new();
    files::walk(&directory, MOST, |entry| {
        let id = entry.path.to_str().filter(|_| entry.kind == Kind::Folder).and_then(|name| parse(name).ok());
        found.extend(id);
        false
    })?;
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use proptest::prelude::*;
    use ulid::Ulid;

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
        let directory = venvs.path().join(format!("{workspace}/{configuration}/{build}"));
        fs::create_dir_all(&directory).unwrap();
        fs::create_dir_all(venvs.path().join(format!("{workspace}/{configuration}/mine"))).unwrap();
        fs::create_dir_all(venvs.path().join("lost+found/x")).unwrap();
        fs::write(venvs.path().join(format!("{workspace}/{configuration}/{}", BuildId::generate())), "a file").unwrap();
        assert_eq!(configurations_with_venvs(venvs.path()).unwrap(), [(workspace, configuration)]);
        assert_eq!(build_directories(venvs.path(), workspace, configuration).unwrap(), [(build, directory)]);
        assert_eq!(build_directories(venvs.path(), workspace, ConfigurationId::generate()).unwrap(), []);
    }
}
