//! The file that makes a folder a venv of ours.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::{BuildId, ConfigurationId, WorkspaceId};
use crate::event::payload::build::VenvMetadata;

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

/// `<venvs>/<workspace>/<configuration>/<build>`.
pub fn build_folder(venvs: &Path, workspace: WorkspaceId, configuration: ConfigurationId, build: BuildId) -> PathBuf {
    venvs.join(format!("{workspace}/{configuration}/{build}"))
}

/// Commits the venv in `folder`: the marker appears whole, or not at all, and survives a crash from then on; and so
/// does the venv, which must be durable first.
pub fn write_marker(folder: &Path, marker: &VenvMarker) -> io::Result<()> {
    let venv = folder.join(".venv");
    sync_file_system(&venv)?;
    let (fresh, path) = (venv.join(format!("{NAME}.new")), venv.join(NAME));
    let mut file = File::create(&fresh)?;
    file.write_all(&serde_json::to_vec_pretty(marker)?)?;
    file.sync_all()?;
    fs::rename(&fresh, &path)?;
    File::open(&venv)?.sync_all()
}

/// Of thousands of files that installers leave unsynced, one by one would take long.
fn sync_file_system(folder: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::unistd::syncfs(File::open(folder)?)?;
    #[cfg(not(target_os = "linux"))]
    nix::unistd::sync();
    Ok(())
}

/// The marker in `folder`; `None` when there is no readable one.
pub fn read_marker(folder: &Path) -> Option<VenvMarker> {
    serde_json::from_slice(&fs::read(folder.join(".venv").join(NAME)).ok()?).ok()
}

/// Whether `folder` holds the finished venv of this build, and the interpreter below it is still there.
pub fn venv_intact(folder: &Path, build_id: BuildId, fingerprint: &str) -> bool {
    let marked =
        read_marker(folder).is_some_and(|marker| marker.build_id == build_id && marker.fingerprint == fingerprint);
    let python = fs::metadata(folder.join(".venv/bin/python"));
    marked && python.is_ok_and(|python| python.is_file() && python.permissions().mode() & 0o111 != 0)
}

/// Makes the folder if need be, and tries whether files can be made in it.
pub fn probe_writable(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let probe = folder.join(format!(".probe-{}", ulid::Ulid::generate()));
    File::create_new(&probe)?;
    fs::remove_file(&probe)
}

#[cfg(test)]
mod tests {
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
        let folder = tempfile::tempdir().unwrap();
        let id = BuildId::generate();
        fs::create_dir_all(folder.path().join(".venv/bin")).unwrap();
        std::os::unix::fs::symlink("/bin/sh", folder.path().join(".venv/bin/python")).unwrap();
        assert!(!venv_intact(folder.path(), id, "f1"));
        write_marker(folder.path(), &marker(id)).unwrap();
        assert!(venv_intact(folder.path(), id, "f1"));
        assert!(!venv_intact(folder.path(), id, "f2"));
        assert!(!venv_intact(folder.path(), BuildId::generate(), "f1"));
    }

    #[test]
    fn a_venv_whose_interpreter_went_away_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let id = BuildId::generate();
        fs::create_dir_all(folder.path().join(".venv/bin")).unwrap();
        std::os::unix::fs::symlink("/gone/python", folder.path().join(".venv/bin/python")).unwrap();
        write_marker(folder.path(), &marker(id)).unwrap();
        assert!(!venv_intact(folder.path(), id, "f1"));
    }

    #[test]
    fn a_folder_is_probed() {
        let folder = tempfile::tempdir().unwrap();
        probe_writable(&folder.path().join("a/b")).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("a/b")).unwrap().count(), 0);
        File::create(folder.path().join("file")).unwrap();
        assert!(probe_writable(&folder.path().join("file/x")).is_err());
    }
}
