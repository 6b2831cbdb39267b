//! The file that makes a directory a venv of ours.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::domain::{BuildId, ConfigurationId, WorkspaceId};
use crate::event::payload::build::VenvMetadata;
use crate::files::{Dir, Location};

const NAME: &str = "ade_build.json";

/// What stands in `.venv/ade_build.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VenvMarker {
    pub build_id: BuildId,
    pub workspace_id: WorkspaceId,
    pub configuration_id: ConfigurationId,
    pub python_version: Option<String>,
    pub engine_version: Option<String>,
    pub fingerprint: String,
    /// All versions, and what the engine can do.
    #[serde(default)]
    pub metadata: VenvMetadata,
}

/// No marker of ours comes near.
const LARGEST: u64 = 1024 * 1024;

/// `<venvs>/<workspace>/<configuration>/<build>`.
pub fn build_directory(
    venvs: &Path,
    workspace: WorkspaceId,
    configuration: ConfigurationId,
    build: BuildId,
) -> Location {
    Location::below(venvs, format!("{workspace}/{configuration}/{build}"))
}

/// Commits the venv in `directory`: the marker appears whole, or not at all, and survives a crash from then on; and so
/// does the venv, which must be durable first. What a build has put in its place is replaced, never written through.
pub fn write_marker(directory: impl Into<Location>, marker: &VenvMarker) -> io::Result<()> {
    let venv = directory.into().join(".venv").open()?;
    sync_file_system(&venv)?;
    venv.replace_durably(NAME, &serde_json::to_vec_pretty(marker)?)
}

/// Of thousands of files that installers leave unsynced, one by one would take long.
fn sync_file_system(directory: &Dir) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::unistd::syncfs(directory)?;
    #[cfg(not(target_os = "linux"))]
    nix::unistd::sync();
    Ok(())
}

/// The marker in `directory`; `None` when there is no readable one.
pub fn read_marker(directory: impl Into<Location>) -> Option<VenvMarker> {
    let marker = directory.into().join(".venv").join(NAME);
    serde_json::from_slice(&marker.read(LARGEST).ok()?).ok()
}

/// Whether `directory` holds the finished venv of this build, and the interpreter below it is still there.
pub fn venv_intact(directory: impl Into<Location>, build_id: BuildId, fingerprint: &str) -> bool {
    let directory = directory.into();
    let marked =
        read_marker(&directory).is_some_and(|marker| marker.build_id == build_id && marker.fingerprint == fingerprint);
    // A link to the interpreter outside, as a rule; it is looked at and not opened.
    let python = std::fs::metadata(directory.path().join(".venv/bin/python"));
    marked && python.is_ok_and(|python| python.is_file() && python.permissions().mode() & 0o111 != 0)
}

/// Makes the directory if need be, and tries whether files can be made in it.
pub fn probe_writable(directory: impl Into<Location>) -> io::Result<()> {
    directory.into().make()?.probe()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    fn marker(build_id: BuildId) -> VenvMarker {
        VenvMarker {
            build_id,
            workspace_id: WorkspaceId::generate(),
            configuration_id: ConfigurationId::generate(),
            python_version: Some("3.11.7".into()),
            engine_version: None,
            fingerprint: "f1".into(),
            metadata: VenvMetadata::default(),
        }
    }

    #[test]
    fn a_venv_without_its_own_marker_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let id = BuildId::generate();
        fs::create_dir_all(directory.path().join(".venv/bin")).unwrap();
        std::os::unix::fs::symlink("/bin/sh", directory.path().join(".venv/bin/python")).unwrap();
        assert!(!venv_intact(directory.path(), id, "f1"));
        write_marker(directory.path(), &marker(id)).unwrap();
        assert!(venv_intact(directory.path(), id, "f1"));
        assert!(!venv_intact(directory.path(), id, "f2"));
        assert!(!venv_intact(directory.path(), BuildId::generate(), "f1"));
    }

    #[test]
    fn a_venv_whose_interpreter_went_away_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let id = BuildId::generate();
        fs::create_dir_all(directory.path().join(".venv/bin")).unwrap();
        std::os::unix::fs::symlink("/gone/python", directory.path().join(".venv/bin/python")).unwrap();
        write_marker(directory.path(), &marker(id)).unwrap();
        assert!(!venv_intact(directory.path(), id, "f1"));
    }

    #[test]
    fn a_folder_is_probed() {
        let directory = tempfile::tempdir().unwrap();
        probe_writable(directory.path().join("a/b")).unwrap();
        assert_eq!(fs::read_dir(directory.path().join("a/b")).unwrap().count(), 0);
        File::create(directory.path().join("file")).unwrap();
        assert!(probe_writable(directory.path().join("file/x")).is_err());
    }

    #[test]
    fn a_build_that_plants_something_in_the_markers_place_gains_nothing() {
        let (directory, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (venv, victim, id) = (directory.path().join(".venv"), others.path().join("victim"), BuildId::generate());
        fs::create_dir_all(venv.join("bin")).unwrap();
        std::os::unix::fs::symlink("/bin/sh", venv.join("bin/python")).unwrap();
        fs::write(&victim, "of others").unwrap();
        let plants: [&dyn Fn(&Path); 4] = [
            &|at| std::os::unix::fs::symlink(&victim, at).unwrap(),
            &|at| fs::hard_link(&victim, at).unwrap(),
            &|at| nix::unistd::mkfifo(at, nix::sys::stat::Mode::S_IRWXU).unwrap(),
            &|at| fs::write(at, vec![b' '; 2 << 20]).unwrap(),
        ];
        for plant in plants {
            for name in [NAME.to_owned(), format!("{NAME}.new")] {
                plant(&venv.join(name));
            }
            assert!(!venv_intact(directory.path(), id, "f1"));
            write_marker(directory.path(), &marker(id)).unwrap();
            assert!(venv_intact(directory.path(), id, "f1"));
            assert_eq!(fs::read_to_string(&victim).unwrap(), "of others");
            fs::remove_file(venv.join(NAME)).unwrap();
            fs::remove_file(venv.join(format!("{NAME}.new"))).unwrap();
        }
        // The directory of the venv itself, exchanged for another.
        fs::rename(&venv, directory.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(others.path(), &venv).unwrap();
        assert!(write_marker(directory.path(), &marker(id)).is_err());
        assert!(!others.path().join(NAME).exists());
    }
}
