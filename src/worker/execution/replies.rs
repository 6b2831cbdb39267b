//! Calls on disk: `calls/<call_id>.json` in the execution's directory.
//!
//! Invariant: the file of a call is there, synced, before the call is made, and holds the reply, synced, before the log
//! mentions it. So after a crash the log and these files together say of every call whether it was made and what came
//! of it.

use std::io;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::blocking::blocking;
use crate::domain::CallId;
use crate::domain::progress::StepKey;
use crate::event::payload::execution::LlmCall;
use crate::files::{Kind, Location};

/// A call as it stands: what the log reports or will report of it, and the reply once it is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredCall {
    #[serde(flatten)]
    pub step: StepKey,
    pub call: LlmCall,
    pub content: Option<String>,
}

/// Within an execution's directory; what is in it goes with the execution's log.
pub const CALLS: &str = "calls";
/// A reply is bounded where it comes in; this is what it may have become as JSON.
const LARGEST: u64 = 256 * 1024 * 1024;
/// So many names in a directory of calls are looked at.
const MOST: usize = 1_000_000;

/// The directory of an execution's calls.
#[derive(Debug, Clone)]
pub struct Replies(Location);

impl Replies {
    pub fn of(execution_folder: impl Into<Location>) -> Self {
        Self(execution_folder.into().join(CALLS))
    }

    pub async fn store(&self, stored: &StoredCall) -> io::Result<()> {
        let file = self.file(stored.call.call_id);
        let bytes = serde_json::to_vec(stored).map_err(io::Error::other)?;
        blocking(move || {
            let (directory, name) = file.make_parent()?;
            directory.replace_durably(name, &bytes)
        })
        .await
    }

    pub async fn load(&self, id: CallId) -> io::Result<StoredCall> {
        let file = self.file(id);
        blocking(move || read(&file)).await
    }

    /// Of a call that has brought nothing. A file that stays is of no harm.
    pub async fn remove(&self, id: CallId) {
        let file = self.file(id);
        let removed = blocking(move || {
            let (directory, name) = file.parent()?;
            directory.remove_file(name)
        });
        let _ = removed.await;
    }

    /// Every call that there is a file of. One that was half written when the service ended was never made.
    pub async fn ids(&self) -> io::Result<Vec<CallId>> {
        let directory = self.0.clone();
        blocking(move || {
            let directory = match directory.open() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                directory => directory?,
            };
            let files = directory.entries(MOST)?.into_iter().filter(|(_, kind)| *kind == Kind::File);
            Ok(files.filter_map(|(name, _)| name.strip_suffix(".json")?.parse().ok()).collect())
        })
        .await
    }

    fn file(&self, id: CallId) -> Location {
        self.0.join(format!("{id}.json"))
    }
}

/// `sha256:<hex>` of a reply's text.
pub fn digest(content: &str) -> String {
    format!("sha256:{:x}", Sha256::digest(content))
}

fn read(file: &Location) -> io::Result<StoredCall> {
    serde_json::from_slice(&file.read(LARGEST)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", file.path().display())))
}
