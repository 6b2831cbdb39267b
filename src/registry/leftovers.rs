//! What an earlier life left half made: uploads on their way, packages being unpacked, copies being written.
//!
//! Law: this is called before any work begins, so whatever bears the name of something half made is nobody's. What
//! has its final name is data and stays, whether or not a row speaks of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::package::STAGING;

/// Files that come in are kept here until they are complete.
pub const INCOMING: &str = "incoming";
/// Of a data folder, where builds keep what they share.
const TOOLS: [&str; 3] = ["cache/engine", "cache/wheels", "tools"];
/// Of the probes whether a folder can be written.
const PROBE: &str = ".probe-";

/// Removes what is half made in a data folder and tells how much that was. What cannot be removed is clutter, and is
/// tried again at the next start. Blocks.
pub fn sweep(data_dir: &Path, venvs_dir: &Path) -> usize {
    let mut found = entries(&data_dir.join(INCOMING));
    for workspace in entries(&data_dir.join("workspaces")) {
        found.extend(half_made(&workspace.join("configurations")));
    }
    for folder in [data_dir, venvs_dir].into_iter().map(Path::to_owned).chain(TOOLS.map(|name| data_dir.join(name))) {
        found.extend(half_made(&folder));
    }
    found.iter().filter(|path| removed(path)).count()
}

fn half_made(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let is_ours =
        |name: &str, prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| ulid::Ulid::from_string(rest).is_ok());
    entries(folder).into_iter().filter(move |path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        is_ours(name, STAGING) || is_ours(name, PROBE)
    })
}

/// None where there is no such folder, or where it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn removed(path: &Path) -> bool {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    let outcome = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match outcome {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => {
            tracing::warn!(path = %path.display(), error = %error, "a leftover of an earlier life cannot be removed");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ulid::Ulid;

    fn plant(root: &Path, file: &str) -> PathBuf {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, file).unwrap();
        path
    }

    #[test]
    fn what_is_half_made_goes_and_all_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (data, venvs) = (folder.path().join("data"), folder.path().join("venvs"));
        let staging = format!("{STAGING}{}", Ulid::generate());
        let stays = [
            plant(&data, "ade.db"),
            plant(&data, "workspaces/w/configurations/c/pyproject.toml"),
            plant(&data, "workspaces/w/configurations/.staging-mine/x"),
            plant(&data, &format!("workspaces/w/configurations/{staging}.aside/x")),
            plant(&data, &format!("workspaces/w/configurations/c/{staging}")),
            plant(&data, "workspaces/w/documents/d"),
            plant(&data, "cache/engine/abc/pyproject.toml"),
            plant(&data, "tools/uv/bin/uv"),
            plant(&venvs, "w/c/b/.venv/ade_build.json"),
        ];
        let goes = [
            plant(&data, &format!("{INCOMING}/{}", Ulid::generate())),
            plant(&data, &format!("workspaces/w/configurations/{staging}/pyproject.toml")),
            plant(&data, &format!("cache/engine/{staging}/src/x.py")),
            plant(&data, &format!("cache/wheels/{staging}/x.whl")),
            plant(&data, &format!("tools/{staging}/bin/python")),
            plant(&venvs, &format!("{PROBE}{}", Ulid::generate())),
        ];
        assert_eq!(sweep(&data, &venvs), goes.len());
        for path in goes {
            assert!(!path.exists(), "{path:?}");
        }
        for path in stays {
            assert!(path.exists(), "{path:?}");
        }
        assert_eq!(sweep(&data, &venvs), 0);
        assert_eq!(sweep(&data.join("nowhere"), &venvs.join("nowhere")), 0);
    }
}
