//! Files of workspaces that an object store has, or is to have.

use sha2::{Digest as _, Sha256};

use super::WorkspaceId;

/// So many parts of a path are the service's own: `workspaces/<id>/runs/<id>`.
const OWN_NAMES: usize = 4;
/// The third of them where the name behind them is the service's own too: `workspaces/<id>/packages/<id>/<digest>`.
const PACKAGES: &str = "packages";

super::status::text_enum! {
    /// How far a file is on its way into the store, or out of it.
    FileState {
        /// On its way, and nothing leads to it yet: it is to go unless it is led to.
        Putting = "putting",
        /// What is on the disk counts; the store is to have it too.
        Owed = "owed",
        /// The store has it, read back; what is on the disk is a copy.
        Stored = "stored",
        /// It is to go from the store, from the disk, and from here.
        Removing = "removing",
    }
}

/// What is known of a file, wherever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Below a data directory; made of ids.
    pub path: String,
    pub workspace_id: WorkspaceId,
    pub bytes: u64,
    /// In hexadecimal; empty of what is owed and was not read yet.
    pub sha256: String,
    /// The data directory that puts it into the store, and that alone may delete it there.
    pub uploaded_by: String,
    pub state: FileState,
}

impl StoredFile {
    /// Its name in the store. It carries the checksum, so that putting it twice is putting it once; and who has put it, so that
    /// a copy of the data directory, which has the same files, has objects of its own. What an engine has named is there as its
    /// checksum, since a store takes neither every name nor every length.
    pub fn object(&self) -> String {
        let Self { uploaded_by, path, sha256, .. } = self;
        let named = path.match_indices('/').nth(OWN_NAMES - 1);
        match named.filter(|_| path.split('/').nth(2) != Some(PACKAGES)) {
            None => format!("files/{uploaded_by}/{path}/{sha256}"),
            Some((end, _)) => {
                let (own, named) = (&path[..end], Sha256::digest(&path[end + 1..]));
                format!("files/{uploaded_by}/{own}/{named:x}/{sha256}")
            }
        }
    }

    /// Whether it is known what is to be in the store: of what is only owed that is found out when it is put there.
    pub fn is_described(&self) -> bool {
        !self.sha256.is_empty()
    }

    /// Whether something leads to it.
    pub fn counts(&self) -> bool {
        matches!(self.state, FileState::Owed | FileState::Stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_object_is_plain_and_short_whatever_an_engine_calls_a_file() {
        let of = |path: &str| StoredFile {
            path: path.to_owned(),
            workspace_id: WorkspaceId::generate(),
            bytes: 1,
            sha256: "ab".repeat(32),
            uploaded_by: "me".into(),
            state: FileState::Owed,
        };
        let document = of("workspaces/w/documents/d").object();
        assert_eq!(document, format!("files/me/workspaces/w/documents/d/{}", "ab".repeat(32)));
        let package = of("workspaces/w/packages/c/0af-1-2").object();
        assert_eq!(package, format!("files/me/workspaces/w/packages/c/0af-1-2/{}", "ab".repeat(32)));
        let names = ["output/a", "output/b", "output/../x\n%2f\u{e4}", &"x/".repeat(500)];
        let objects = names.map(|name| of(&format!("workspaces/w/runs/r/{name}")).object());
        for (at, object) in objects.iter().enumerate() {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'/';
            assert!(object.len() < 300 && object.bytes().all(plain), "{object}");
            assert!(!objects[..at].contains(object));
        }
    }
}
