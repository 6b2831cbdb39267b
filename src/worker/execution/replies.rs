//! Calls on disk: `calls/<call_id>.json` in the execution's folder.
//!
//! Law: the file of a call is there, synced, before the call is made, and holds the reply, synced, before the log tells of
//! it. So after a crash the log and these files together say of every call whether it was made and what came of it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::CallId;
use crate::domain::progress::StepKey;
use crate::event::payload::execution::LlmCall;

/// A call as it stands: what the log tells or will tell of it, and the reply once it is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredCall {
    #[serde(flatten)]
    pub step: StepKey,
    pub call: LlmCall,
    pub content: Option<String>,
}

/// The folder of an execution's calls.
#[derive(Debug, Clone)]
pub struct Replies(PathBuf);

impl Replies {
    pub fn of(execution_folder: &Path) -> Self {
        Self(execution_folder.join("calls"))
    }

    pub async fn store(&self, stored: &StoredCall) -> io::Result<()> {
        let (folder, path) = (self.0.clone(), self.path(stored.call.call_id));
        let bytes = serde_json::to_vec(stored).map_err(io::Error::other)?;
        blocking(move || replace(&folder, &path, &bytes)).await
    }

    pub async fn load(&self, id: CallId) -> io::Result<StoredCall> {
        let path = self.path(id);
        blocking(move || read(&path)).await
    }

    /// Of a call that has brought nothing. A file that stays is of no harm.
    pub async fn remove(&self, id: CallId) {
        let path = self.path(id);
        let _ = blocking(move || std::fs::remove_file(path)).await;
    }

    /// Every call that there is a file of. One that was half written when the service ended was never made.
    pub async fn ids(&self) -> io::Result<Vec<CallId>> {
        let folder = self.0.clone();
        blocking(move || {
            let entries = match std::fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            let names: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name())).collect();
            let id = |name: std::ffi::OsString| name.to_str()?.strip_suffix(".json")?.parse().ok();
            Ok(names?.into_iter().filter_map(id).collect())
        })
        .await
    }

    fn path(&self, id: CallId) -> PathBuf {
        self.0.join(format!("{id}.json"))
    }
}

/// `sha256:<hex>` of a reply's text.
pub fn digest(content: &str) -> String {
    let hex: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The whole new file or none of it.
fn replace(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if !folder.exists() {
        std::fs::create_dir_all(folder)?;
        folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())?;
    }
    let half = path.with_extension("half");
    let mut file = File::create(&half)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&half, path)?;
    File::open(folder)?.sync_all()
}

fn read(path: &Path) -> io::Result<StoredCall> {
    serde_json::from_slice(&std::fs::read(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
