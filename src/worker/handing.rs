//! Directories that change hands: what a child needs becomes its workspace's user's before it starts.
//!
//! Law: what a user may write is its own, what it may only read stays the service's, and the way there is open to this
//! user alone, from the first directory on that is a workspace's. So whoever gets past Landlock finds every other
//! workspace closed by the modes of its directories.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::{Dir, GROUP_AND_OTHERS, Location, OTHERS};

/// Entries of a tree that changes hands: far more than a venv or a run's input has.
const MOST: usize = 1_000_000;

/// Of a data directory, what children of all workspaces pass; everything else in it is the service's.
const COMMON: [&str; 5] = ["workspaces", "venvs", "cache", "tmp", "tools"];

/// What an engine is given.
#[derive(Debug)]
pub struct EngineDirectories {
    pub run: Location,
    /// In the run's directory, to be written.
    pub written: Vec<PathBuf>,
    pub temporary: Location,
    pub build: Location,
}

impl EngineDirectories {
    /// Blocks.
    pub fn give(&self, user: u32) -> io::Result<()> {
        let run = self.run.open_way(1, user)?;
        run.show(user)?;
        run.open("input")?.show_tree(user, MOST)?;
        self.written.iter().try_for_each(|name| run.open(name)?.give(user))?;
        give_one(&self.temporary, user)?;
        give_tree(&self.build, 0, user)
    }
}

/// What the steps of a build have made that the operator's programs took: from here on it is for what was uploaded.
/// Blocks.
pub fn give_build(build: &Location, temporary: &Location, user: u32) -> io::Result<()> {
    give_tree(temporary, 1, user)?;
    give_tree(build, 0, user)
}

/// The cache of a workspace. Blocks.
pub fn give_cache(cache: &Location, user: u32) -> io::Result<()> {
    give_tree(cache, 1, user)
}

fn give_one(directory: &Location, user: u32) -> io::Result<()> {
    directory.open_way(1, user)?.give(user)
}

/// Only once: afterwards it is the user's as a whole, whatever mode it was given.
fn give_tree(directory: &Location, common: usize, user: u32) -> io::Result<()> {
    let dir = directory.open_way(common, user)?;
    if dir.is_of(user)? { dir.give(user) } else { dir.give_tree(user, MOST) }
}

/// Closes to others what is in a data directory and in one of venvs, from times without users too, but for what children
/// pass. What workspaces have is closed to groups too, until they need it again: the ids may have been others'. Blocks.
pub fn close(data_dir: &Path, venvs_dir: &Path) -> io::Result<()> {
    let data = Dir::root(data_dir)?;
    data.close_entries(&COMMON, OTHERS)?;
    // The operator may have put it elsewhere, by a link.
    let cache = || Dir::root(&data_dir.join("cache"));
    absent_is_fine(cache().and_then(|dir| dir.close_entries(&["users"], OTHERS)))?;
    absent_is_fine(cache().and_then(|dir| dir.open("users")).and_then(|dir| dir.close_entries(&[], GROUP_AND_OTHERS)))?;
    for directory in ["workspaces", "tmp"] {
        absent_is_fine(data.open(directory).and_then(|dir| dir.close_entries(&[], GROUP_AND_OTHERS)))?;
    }
    absent_is_fine(Dir::root(venvs_dir).and_then(|dir| dir.close_entries(&[], GROUP_AND_OTHERS)))?;
    for directory in COMMON {
        absent_is_fine(data.open(directory).and_then(|dir| dir.let_pass()))?;
    }
    data.let_pass()
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // The operator has put it elsewhere, by a link.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(()),
        done => done,
    }
}
