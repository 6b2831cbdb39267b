//! How far streams had come when a backup was begun, and how much of each is copied.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::domain::work::LogFacts;
use crate::domain::{StreamKey, WorkspaceId};
use crate::files::{Kind, Location, is_absent};
use crate::log::{LogReader, OpenReaderError};

/// More than a service ever keeps of a kind.
const MOST: usize = 10_000_000;

/// Sequences by stream: of feeds, and of work that had not ended.
#[derive(Debug, Default)]
pub struct Marks(HashMap<StreamKey, u64>);

impl Marks {
    /// Notes how far a stream has come. Blocks.
    pub fn note(&mut self, data_dir: &Path, key: StreamKey) -> std::io::Result<()> {
        self.0.insert(key, last_sequence(data_dir, key)?);
        Ok(())
    }

    /// 0 of a stream that was not there.
    pub fn of(&self, key: StreamKey) -> u64 {
        self.0.get(&key).copied().unwrap_or(0)
    }

    /// How far the log of a piece of work is copied, by the row that goes with it; all of it when that has ended.
    pub fn upto(&self, key: StreamKey, row: &LogFacts) -> u64 {
        if row.has_ended { u64::MAX } else { self.of(key).max(row.last_sequence) }
    }
}

fn last_sequence(data_dir: &Path, key: StreamKey) -> std::io::Result<u64> {
    match LogReader::of(data_dir, key) {
        Ok(reader) => Ok(reader.tail()?.last_sequence),
        Err(OpenReaderError::NotFound) => Ok(0),
        Err(OpenReaderError::Archived(pointer)) => Ok(pointer.last_sequence),
        Err(OpenReaderError::Io(error)) => Err(error),
        Err(error) => Err(std::io::Error::other(error)),
    }
}

/// The workspaces that have a directory. Blocks.
pub fn workspaces(data_dir: &Path) -> std::io::Result<Vec<WorkspaceId>> {
    let names = folders(data_dir, "workspaces".into())?;
    Ok(names.iter().filter_map(|name| WorkspaceId::parse(name).ok()).collect())
}

/// The names of directories in a directory; none where that is missing. Blocks.
pub fn folders(data_dir: &Path, directory: PathBuf) -> std::io::Result<Vec<String>> {
    let dir = match Location::below(data_dir, directory).open() {
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        other => other?,
    };
    let folders = dir.entries(MOST)?.into_iter().filter(|(_, kind)| *kind == Kind::Folder);
    Ok(folders.map(|(name, _)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RunId;
    use crate::domain::id::NodeId;
    use crate::domain::status::LogState;

    #[test]
    fn a_log_is_copied_as_far_as_what_goes_with_it_speaks_of_it() {
        let key = StreamKey::of(WorkspaceId::generate(), RunId::generate());
        let row = |has_ended, last_sequence| LogFacts {
            node_id: NodeId::generate(),
            has_ended,
            completed_at: None,
            degraded: false,
            durable_bytes: None,
            state: LogState::Plain,
            last_sequence,
        };
        let marks = Marks(HashMap::from([(key, 7)]));
        assert_eq!(marks.upto(key, &row(false, 5)), 7, "acknowledged before the backup was begun");
        assert_eq!(marks.upto(key, &row(false, 9)), 9, "the row may not be ahead of its log");
        assert_eq!(marks.upto(key, &row(true, 9)), u64::MAX);
        assert_eq!(Marks::default().upto(key, &row(false, 0)), 0);
    }
}
