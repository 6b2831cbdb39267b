//! Whose the children of a workspace are: a user id of its own.
//!
//! Law: no two workspaces ever have the same id, and a workspace keeps its own, across restarts and for good: one that was
//! deleted may have left files. When the ids are used up, whoever would need another gets none. They are written down
//! before any of them is used, in the data directory, since they are this machine's.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::config::UserIds;
use crate::domain::WorkspaceId;
use crate::files::Dir;

/// Of a data directory: a line for each id that was ever given.
pub const RECORD: &str = "workspace-users";
/// Several times the lines of the largest range.
const LARGEST: u64 = 64 << 20;

/// Why a workspace has no user id.
#[derive(Debug, thiserror::Error)]
pub enum NoUser {
    #[error("no user id is left for this workspace: all of ADE_ISOLATION_UIDS were given to others")]
    Exhausted,
    #[error("{0} in the data directory, which says whose user ids are, cannot be understood")]
    Damaged(&'static str),
    #[error("user ids cannot be written down: {0}")]
    Io(#[from] io::Error),
}

/// The ids of a data directory's workspaces.
#[derive(Debug)]
pub struct Users {
    ids: UserIds,
    data_dir: PathBuf,
    /// Read when it is needed first.
    given: Mutex<Option<Given>>,
}

impl Users {
    pub fn new(data_dir: PathBuf, ids: UserIds) -> Self {
        Self { ids, data_dir, given: Mutex::new(None) }
    }

    /// The id of a workspace, which from now on is its own. Blocks.
    pub fn of(&self, workspace: WorkspaceId) -> Result<u32, NoUser> {
        let mut held = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let given = match held.take() {
            Some(given) => given,
            None => self.read()?,
        };
        let given = held.insert(given);
        if let Some(id) = given.of(workspace, self.ids) {
            return Ok(id);
        }
        let (id, next) = given.with(workspace, self.ids).ok_or(NoUser::Exhausted)?;
        Dir::root(&self.data_dir)?.replace_durably(RECORD, next.text().as_bytes())?;
        *given = next;
        Ok(id)
    }

    fn read(&self) -> Result<Given, NoUser> {
        match Dir::root(&self.data_dir)?.read(RECORD, LARGEST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Given::default()),
            Err(error) => Err(error.into()),
            Ok(bytes) => std::str::from_utf8(&bytes).ok().and_then(Given::parse).ok_or(NoUser::Damaged(RECORD)),
        }
    }
}

/// The id that children are tried under, and that no workspace gets.
pub fn for_trying(ids: UserIds) -> u32 {
    ids.first
}

/// All ids that were ever given, each to one workspace. A workspace has more than one only where the range was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Given(HashMap<u32, WorkspaceId>);

impl Given {
    /// A line has an id and a workspace. `None` if anything else is found, or an id twice: nothing may be given then.
    fn parse(text: &str) -> Option<Self> {
        // It is written when there is a first line; a file that was cut may end within one.
        if !text.ends_with('\n') {
            return None;
        }
        let mut given = Self::default();
        for line in text.lines() {
            let (id, workspace) = line.split_once(' ')?;
            let before = given.0.insert(id.parse().ok()?, workspace.parse().ok()?);
            if before.is_some() {
                return None;
            }
        }
        Some(given)
    }

    fn text(&self) -> String {
        let mut lines: Vec<_> = self.0.iter().collect();
        lines.sort_unstable();
        lines.into_iter().map(|(id, workspace)| format!("{id} {workspace}\n")).collect()
    }

    fn of(&self, workspace: WorkspaceId, ids: UserIds) -> Option<u32> {
        let own = self.0.iter().filter(|(id, owner)| **owner == workspace && is_given(**id, ids));
        own.map(|(id, _)| *id).min()
    }

    /// The lowest that was never given.
    fn with(&self, workspace: WorkspaceId, ids: UserIds) -> Option<(u32, Self)> {
        let id = (ids.first..=ids.last).find(|id| is_given(*id, ids) && !self.0.contains_key(id))?;
        let mut next = self.clone();
        next.0.insert(id, workspace);
        Some((id, next))
    }
}

fn is_given(id: u32, ids: UserIds) -> bool {
    ids.contains(id) && id != for_trying(ids)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const IDS: UserIds = UserIds { first: 200_000, last: 200_003 };

    #[test]
    fn a_workspace_keeps_its_id_and_no_two_have_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let workspaces = [(); 3].map(|()| WorkspaceId::generate());
        let users = Users::new(folder.path().to_owned(), IDS);
        let ids = workspaces.map(|workspace| users.of(workspace).unwrap());
        assert_eq!(ids, [200_001, 200_002, 200_003]);
        assert_eq!(workspaces.map(|workspace| users.of(workspace).unwrap()), ids);
        let restarted = Users::new(folder.path().to_owned(), IDS);
        assert_eq!(restarted.of(workspaces[2]).unwrap(), ids[2]);
        assert!(matches!(restarted.of(WorkspaceId::generate()), Err(NoUser::Exhausted)));
        assert_eq!(workspaces.map(|workspace| restarted.of(workspace).unwrap()), ids);
    }

    #[test]
    fn another_range_gives_new_ids_and_never_one_that_somebody_else_had() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (WorkspaceId::generate(), WorkspaceId::generate());
        let users = |first, last| Users::new(folder.path().to_owned(), UserIds { first, last });
        assert_eq!(users(200_000, 200_100).of(one).unwrap(), 200_001);
        assert_eq!(users(300_000, 300_100).of(one).unwrap(), 300_001);
        assert_eq!(users(200_000, 200_100).of(other).unwrap(), 200_002);
        assert_eq!(users(200_000, 200_100).of(one).unwrap(), 200_001);
    }

    #[test]
    fn nothing_is_given_where_it_is_not_known_what_was() {
        let (id, folder) = (WorkspaceId::generate(), tempfile::tempdir().unwrap());
        for damaged in [
            "",
            "200001\n",
            &format!("200001 {id}"),
            "x y\n",
            &format!("200001 {id}\n200001 {id}\n"),
            &format!("-1 {id}\n"),
        ] {
            fs::write(folder.path().join(RECORD), damaged).unwrap();
            let users = Users::new(folder.path().to_owned(), IDS);
            assert!(matches!(users.of(id), Err(NoUser::Damaged(_))), "{damaged}");
            assert_eq!(fs::read_to_string(folder.path().join(RECORD)).unwrap(), damaged);
        }
    }
}
