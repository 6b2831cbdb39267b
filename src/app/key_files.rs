//! Keys that lie in a data directory, for whoever may read it.

use std::io;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use crate::access::CreateKeyError;
use crate::files::Dir;

/// The first key could not be made, or not be left where it is found.
#[derive(Debug, thiserror::Error)]
pub enum FirstKeyError {
    #[error(transparent)]
    Create(#[from] CreateKeyError),
    #[error("{ADMIN_KEY} cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// In the data directory: the first admin's key, until somebody takes it away.
pub const ADMIN_KEY: &str = "admin.key";

/// In the data directory: the key of a service that a command has brought along, as long as that runs.
pub const LOCAL_KEY: &str = "local.key";

/// For its owner's eyes only, from the first byte on.
pub fn write(data_dir: &Path, name: &str, key: &SecretString) -> io::Result<()> {
    Dir::root(data_dir)?.replace_privately(name, format!("{}\n", key.expose_secret()).as_bytes())
}

/// A command that was killed has left it: it opens nothing any more.
pub fn remove_local(data_dir: &Path) {
    let removed = Dir::root(data_dir).and_then(|dir| dir.remove_file(LOCAL_KEY));
    if let Err(error) = removed
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(error = %error, "{LOCAL_KEY} cannot be removed");
    }
}

/// A file that is longer is no key's.
const LARGEST: u64 = 64 * 1024;

/// A key that lies in a data directory, for commands of the user who may read it: that of a service that a command has
/// brought along, else the first admin's.
pub fn key_in(data_dir: &Path) -> Option<SecretString> {
    let dir = Dir::root(data_dir).ok()?;
    let text = [LOCAL_KEY, ADMIN_KEY].iter().find_map(|name| dir.read(name, LARGEST).ok())?;
    Some(String::from_utf8(text).ok()?.trim().to_owned().into())
}
