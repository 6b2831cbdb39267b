//! Calls on disk: `calls/<call_id>.json` in the execution's directory.
//!
//! Invariant: the file of a call is there, synced, before the call is made, and holds the reply, synced, before the log
//! mentions it. So after a crash the log and these files together say of every call whether it was made and what came
//! of it. Where files are in an object store, a reply is there too before the log mentions it, for a node that goes on with the log
//! and has not this disk; a store that is away is owed it.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ports::{ExecutionPorts, KeptReply, with_retries};
use crate::blocking::blocking;
use crate::domain::CallId;
use crate::domain::execution::Execution;
use crate::domain::progress::StepKey;
use crate::domain::work::Work as _;
use crate::event::payload::execution::LlmCall;
use crate::files::{Kind, Location, is_absent};

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

/// How long a call waits for its reply to be kept elsewhere too. After that it goes on, and the rest is made up for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The directory of an execution's calls.
pub struct Replies {
    directory: Location,
    elsewhere: Option<Elsewhere>,
}

/// Where another node finds them.
struct Elsewhere {
    execution: Arc<Execution>,
    ports: Arc<dyn ExecutionPorts>,
}

impl Replies {
    pub fn of(directory: Location, execution: Arc<Execution>, ports: Arc<dyn ExecutionPorts>) -> Self {
        let elsewhere = ports.shares_replies().then_some(Elsewhere { execution, ports });
        Self { directory: directory.join(CALLS), elsewhere }
    }

    pub async fn store(&self, stored: &StoredCall) -> io::Result<()> {
        let (file, id) = (self.file(stored.call.call_id), stored.call.call_id);
        let bytes = serde_json::to_vec(stored).map_err(io::Error::other)?;
        let elsewhere = self.elsewhere.as_ref().filter(|_| stored.content.is_some());
        let kept = elsewhere.map(|elsewhere| elsewhere.kept(id, &bytes));
        blocking(move || {
            let (directory, name) = file.make_parent()?;
            directory.replace_durably(name, &bytes)
        })
        .await?;
        if let Some((elsewhere, kept)) = elsewhere.zip(kept) {
            elsewhere.share(kept).await;
        }
        Ok(())
    }

    pub async fn load(&self, id: CallId) -> io::Result<StoredCall> {
        match (self.load_here(id).await, &self.elsewhere) {
            (Err(error), Some(elsewhere)) if is_absent(&error) => elsewhere.fetch(id).await?,
            (found, _) => return found,
        }
        self.load_here(id).await
    }

    async fn load_here(&self, id: CallId) -> io::Result<StoredCall> {
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

    /// Every call that there is a file of, here or elsewhere. One that was half written when the service ended was never made.
    pub async fn ids(&self) -> io::Result<BTreeSet<CallId>> {
        let mut ids: BTreeSet<_> = self.ids_here().await?.into_iter().collect();
        if let Some(elsewhere) = &self.elsewhere {
            ids.extend(elsewhere.ids().await?);
        }
        Ok(ids)
    }

    async fn ids_here(&self) -> io::Result<Vec<CallId>> {
        let directory = self.directory.clone();
        blocking(move || {
            let directory = match directory.open() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                directory => directory?,
            };
            let files = directory.entries(MOST)?.into_iter().filter(|(_, kind)| *kind == Kind::File);
            Ok(files.filter_map(|(name, _)| call_of(&name)).collect())
        })
        .await
    }

    fn file(&self, id: CallId) -> Location {
        self.directory.join(name_of(id))
    }
}

impl Elsewhere {
    /// Below the data directory.
    fn directory(&self) -> PathBuf {
        self.execution.stream_key().directory().join(CALLS)
    }

    fn kept(&self, id: CallId, content: &[u8]) -> KeptReply {
        KeptReply {
            path: self.directory().join(name_of(id)),
            bytes: content.len() as u64,
            sha256: format!("{:x}", Sha256::digest(content)),
        }
    }

    /// Before the log tells of the reply: so another node that has the log has the reply too.
    async fn share(&self, kept: KeptReply) {
        let path = kept.path.display().to_string();
        if tokio::time::timeout(PATIENCE, self.ports.share_reply(&self.execution, kept)).await.is_err() {
            tracing::warn!(path, "a reply is on this disk alone for now: the object store takes long");
        }
    }

    async fn fetch(&self, id: CallId) -> io::Result<()> {
        let path = self.directory().join(name_of(id));
        match with_retries(|| self.ports.fetch_reply(path.clone())).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::new(io::ErrorKind::NotFound, "it is not in the object store either")),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    async fn ids(&self) -> io::Result<Vec<CallId>> {
        let names = with_retries(|| self.ports.shared_replies(self.directory())).await.map_err(io::Error::other)?;
        Ok(names.iter().filter_map(|name| call_of(name)).collect())
    }
}

fn name_of(id: CallId) -> String {
    format!("{id}.json")
}

/// None of another file.
fn call_of(name: &str) -> Option<CallId> {
    name.strip_suffix(".json")?.parse().ok()
}

/// `sha256:<hex>` of a reply's text.
pub fn digest(content: &str) -> String {
    format!("sha256:{:x}", Sha256::digest(content))
}

fn read(file: &Location) -> io::Result<StoredCall> {
    serde_json::from_slice(&file.read(LARGEST)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", file.path().display())))
}
