//! Files that belong to somebody else: whatever an engine lets point to them, the service leaves them as they are.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// In no answer of the service.
pub const SECRET: &str = "a-secret-of-somebody-else";

pub struct Victims {
    folder: PathBuf,
    /// Other folders that nobody may change.
    others: Vec<PathBuf>,
    before: BTreeMap<PathBuf, State>,
}

#[derive(Clone, Debug, PartialEq)]
struct State {
    mode: u32,
    written: i64,
    content: Vec<u8>,
}

impl Victims {
    pub fn make(folder: &Path) -> Self {
        fs::create_dir_all(folder.join("folder/in")).expect("a folder");
        for (name, mode) in [("file", 0o640), ("folder/inner", 0o600), ("folder/in/side", 0o604)] {
            fs::write(folder.join(name), format!("{SECRET} {name}\n")).expect("a file");
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).expect("it is ours");
        }
        let mut victims = Self { folder: folder.to_owned(), others: Vec::new(), before: BTreeMap::new() };
        victims.before = victims.now();
        victims
    }

    /// Besides the victims, this folder is nobody's to change.
    pub fn protect_only(&mut self, folder: PathBuf) {
        self.others = vec![folder];
        self.before = self.now();
    }

    /// A script in which the victims have their paths.
    pub fn aimed_at(&self, script: &str) -> String {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let other = self.others.first().map(|folder| folder.display().to_string()).unwrap_or_default();
        let script = script.replace("@file", &path("file")).replace("@folder", &path("folder"));
        let script = script.replace("@inner", &path("folder/inner"));
        script.replace("@absent", &path("absent")).replace("@run", &other)
    }

    /// What has changed, by name; the next time it is asked about only what has changed since.
    pub fn changed(&mut self) -> Vec<String> {
        let now = self.now();
        let before = std::mem::replace(&mut self.before, now);
        let mut paths: Vec<_> = before.keys().chain(self.before.keys()).collect();
        paths.sort();
        paths.dedup();
        paths.retain(|&path| before.get(path) != self.before.get(path));
        paths.into_iter().map(|path| path.display().to_string()).collect()
    }

    fn now(&self) -> BTreeMap<PathBuf, State> {
        let (mut found, mut next) = (BTreeMap::new(), self.others.clone());
        next.push(self.folder.clone());
        while let Some(path) = next.pop() {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let content = if metadata.is_file() { fs::read(&path).unwrap_or_default() } else { Vec::new() };
            if metadata.is_dir() {
                next.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            }
            // A service that starts writes what its journal says into its logs, whether it is there already or not.
            let written = if path.starts_with(&self.folder) {
                metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec()
            } else {
                0
            };
            found.insert(path, State { mode: metadata.mode(), written, content });
        }
        found
    }
}
