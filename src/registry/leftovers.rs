//! What an earlier life left half made: uploads on their way, packages being unpacked, copies being written.
//!
//! Law: this is called before any work starts, so whatever has the name of something half made belongs to no one. What
//! has its final name is data and stays, whether or not a row speaks of it.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::{self, Dir, PROBE, TRASH};
use crate::package::STAGING;
use crate::worker::Trash;
use crate::worker::reach::TEMPORARY;

/// Files that come in are kept here until they are complete.
pub const INCOMING: &str = "incoming";
/// Of a data directory, where builds keep what they share.
const TOOLS: [&str; 3] = ["cache/engine", "cache/wheels", "tools"];
/// A directory that holds more than this is gone through by several starts.
const MOST: usize = 100_000;

/// What was found, and what became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub removed: usize,
    /// It cannot be moved: clutter that is logged, and tried again at the next start.
    pub left: usize,
}

/// Removes what is half made in a data directory and a directory of venvs. Only moves it away, however much it is: the
/// deleting goes on in the background. Blocks.
pub fn sweep(data: &Trash, venvs: &Trash) -> Swept {
    let mut swept = Swept::default();
    for directory in [INCOMING, TEMPORARY] {
        swept.remove(data, entries(data.root(), directory.as_ref()));
    }
    for workspace in entries(data.root(), "workspaces".as_ref()) {
        swept.remove(data, half_made(data.root(), &workspace.join("configurations")));
    }
    for directory in TOOLS {
        swept.remove(data, half_made(data.root(), directory.as_ref()));
    }
    for trash in [data, venvs] {
        // What is trash there waits in its place.
        let found = half_made(trash.root(), "".as_ref()).filter(|path| !begins_with(path, TRASH));
        swept.remove(trash, found);
        trash.empty();
    }
    swept
}

impl Swept {
    fn remove(&mut self, trash: &Trash, found: impl IntoIterator<Item = PathBuf>) {
        for path in found {
            match trash.discard(&trash.root().join(path)) {
                true => self.removed += 1,
                false => self.left += 1,
            }
        }
    }
}

fn half_made(root: &Path, directory: &Path) -> impl Iterator<Item = PathBuf> {
    let is_ours = |path: &PathBuf| [STAGING, PROBE, TRASH].iter().any(|prefix| begins_with(path, prefix));
    entries(root, directory).into_iter().filter(is_ours)
}

/// The name is this and a ULID.
fn begins_with(path: &Path, prefix: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_prefix(prefix).is_some_and(|rest| ulid::Ulid::from_string(rest).is_ok())
}

/// Paths below the root. None where there is no such directory, or where it cannot be read.
fn entries(root: &Path, directory: &Path) -> Vec<PathBuf> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        files::walk(&Dir::root(root)?.open(directory)?, MOST, |entry| {
            found.push(directory.join(&entry.path));
            false
        })?;
        Ok(found)
    };
    read().unwrap_or_else(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            tracing::warn!(directory = %root.join(directory).display(), error = %error, "not searched for leftovers");
        }
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        let directory = tempfile::tempdir().unwrap();
        let (data, venvs) = (directory.path().join("data"), directory.path().join("venvs"));
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
            plant(&data, &format!("{TEMPORARY}/run_{}/file", Ulid::generate())),
            plant(&data, &format!("workspaces/w/configurations/{staging}/pyproject.toml")),
            plant(&data, &format!("cache/engine/{staging}/src/x.py")),
            plant(&data, &format!("cache/wheels/{staging}/x.whl")),
            plant(&data, &format!("tools/{staging}/bin/python")),
            plant(&venvs, &format!("{PROBE}{}", Ulid::generate())),
        ];
        let trashes = |directory: &str| (Trash::new(data.join(directory)), Trash::new(venvs.join(directory)));
        let (of_data, of_venvs) = trashes("");
        assert_eq!(sweep(&of_data, &of_venvs), Swept { removed: goes.len(), left: 0 });
        for path in goes {
            assert!(!path.exists(), "{path:?}");
        }
        for path in stays {
            assert!(path.exists(), "{path:?}");
        }
        assert_eq!(sweep(&of_data, &of_venvs), Swept::default());
        let (no_data, no_venvs) = trashes("nowhere");
        assert_eq!(sweep(&no_data, &no_venvs), Swept::default());
    }
}
