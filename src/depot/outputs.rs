//! Outputs of runs: noted once a run has ended, and put into the store when it takes them. A run does not wait for that.

use std::io;

use super::handle::{Depot, now};
use crate::blocking::blocking;
use crate::domain::run::Run;
use crate::domain::stored_file::{FileState, StoredFile};
use crate::domain::work::Work as _;
use crate::files::{Dir, Listing, is_absent, list};
use crate::store::StoreError;

/// Of a run with more files, the first ones go into the store; the others stay on the disk.
pub(super) const MOST_OUTPUTS: usize = 10_000;
/// So many entries of its directory are looked at.
const MOST_ENTRIES: usize = 50_000;

/// Why the outputs of a run are not noted.
#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    #[error("the outputs cannot be listed: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Depot {
    /// The store is owed the outputs of a run that has ended. Gives the paths.
    pub(super) async fn note_outputs(&self, run: &Run) -> Result<Vec<String>, NoteError> {
        let Some(remote) = &self.0.remote else { return Ok(Vec::new()) };
        let directory = run.stream_key().directory().join("output");
        let (data_dir, below) = (self.0.data_dir.clone(), directory.clone());
        let listing = blocking(move || match Dir::root(&data_dir)?.open(&below) {
            Err(error) if is_absent(&error) => Ok(Listing::default()),
            output => list(&output?, MOST_OUTPUTS, MOST_ENTRIES),
        });
        let owed = |(name, bytes): (String, u64)| StoredFile {
            path: format!("{}/{name}", directory.display()),
            workspace_id: run.workspace_id,
            bytes,
            sha256: String::new(),
            uploaded_by: remote.options.owner.clone(),
            state: FileState::Owed,
        };
        let files: Vec<_> = listing.await?.files.into_iter().map(owed).collect();
        self.0.store.note_outputs(run.id, &files, now()).await?;
        Ok(files.into_iter().map(|file| file.path).collect())
    }
}
