//! Making a backup; the order of its steps is the law of the module.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{TimeDelta, Utc};

use super::copy::{copy, copy_log};
use super::marks::{Marks, folders, workspaces};
use super::notes::copy_late_notes;
use super::staged::Staged;
use crate::blocking::blocking;
use crate::config::url_path;
use crate::domain::feed::FeedOrigin;
use crate::domain::id::NodeId;
use crate::domain::time::micros;
use crate::domain::work::{LogFacts, Work as _, each_kind};
use crate::domain::{ConfigurationId, StreamId, StreamKey, StreamKind, WorkspaceId};
use crate::feed::origin;
use crate::files::{Dir, Kind, Location, is_absent, walk};
use crate::log::{LogReader, OpenReaderError};
use crate::package::{TreeError, content_digest, copy_package};
use crate::store::{ConnectError, CopyError, Store, StoreError};

/// More files than a piece of work ever has.
const MOST_FILES: usize = 1_000_000;
/// A configuration that is replaced while it is copied is copied again.
const TRIES: usize = 5;
/// What is read of a feed at a time.
const PIECE: usize = 1 << 20;

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{path}: {source}")]
    Copy { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("configuration {id}: {source}")]
    Configuration { id: ConfigurationId, source: TreeError },
    #[error("configuration {id} changes again and again while it is copied")]
    Restless { id: ConfigurationId },
    #[error("database: {0}")]
    Store(#[from] StoreError),
    #[error("the copy of the database: {0}")]
    Connect(#[from] ConnectError),
    #[error("the copy of the rows: {0}")]
    Rows(#[from] CopyError),
}

/// A note has the time at which it was asked for, and is written later; and clocks are set back.
const LATE: TimeDelta = TimeDelta::hours(1);

/// What is backed up.
pub struct Source {
    pub data_dir: PathBuf,
    pub store: Store,
    pub node_id: NodeId,
}

/// Copies everything. The database in `staged` is closed afterwards.
pub async fn make(source: &Source, staged: &mut Staged) -> Result<(), BackupError> {
    let (marks, since) = (note(source).await?, micros(Utc::now() - LATE));
    let snapshot = copy_rows(source, staged).await?;
    let copied = copy_all(source, &snapshot, &marks, staged).await;
    let noted = copy_late_notes(&source.store, &snapshot, since).await;
    let closed = snapshot.close().await;
    copied?;
    noted?;
    Ok(closed?)
}

/// The rows as of one moment, in a file: of SQLite's the file, of another database what is in it.
async fn copy_rows(source: &Source, staged: &Staged) -> Result<Store, BackupError> {
    let file = format!("sqlite://{}", url_path(&staged.database()));
    if source.store.is_file() {
        source.store.snapshot(&staged.database()).await?;
        return Ok(Store::connect(&file, 1).await?);
    }
    let copy = Store::connect(&file, 1).await?;
    source.store.copy_into(&copy).await?;
    Ok(copy)
}

/// Feeds first: what they have, their origins have too.
async fn note(source: &Source) -> Result<Marks, BackupError> {
    let mut unfinished: Vec<StreamKey> = Vec::new();
    let data_dir = source.data_dir.clone();
    let (mut marks, data_dir) = blocking(move || {
        let mut marks = Marks::default();
        for id in workspaces(&data_dir)? {
            marks.note(&data_dir, StreamKey::feed(id))?;
        }
        Ok((marks, data_dir))
    })
    .await?;
    each_kind!(W => {
        let rows = source.store.unfinished::<W>(source.node_id).await?;
        unfinished.extend(rows.iter().map(|work| work.stream_key()));
    });
    let noted = blocking(move || {
        unfinished.into_iter().try_for_each(|key| marks.note(&data_dir, key))?;
        Ok(marks)
    });
    Ok(noted.await?)
}

async fn copy_all(source: &Source, snapshot: &Store, marks: &Marks, staged: &mut Staged) -> Result<(), BackupError> {
    copy_file(source, staged, Path::new("node_id"))?;
    copy_below(source, staged, Path::new("audit"), |_| true)?;
    for id in workspaces(&source.data_dir)? {
        for kind in crate::domain::work::kinds() {
            copy_kind(source, snapshot, marks, staged, (id, kind)).await?;
        }
        copy_configurations(source, staged, id)?;
        copy_below(source, staged, &Path::new("workspaces").join(id.to_string()).join("documents"), |_| true)?;
        copy_feed(source, snapshot, marks, staged, id).await?;
    }
    Ok(())
}

async fn copy_kind(
    source: &Source,
    snapshot: &Store,
    marks: &Marks,
    staged: &mut Staged,
    (workspace, kind): (WorkspaceId, StreamKind),
) -> Result<(), BackupError> {
    let directory = format!("workspaces/{workspace}/{}", kind.facts().collection);
    for name in folders(&source.data_dir, directory.into())? {
        let Ok(id) = StreamId::parse_as(kind, &name) else { continue };
        let key = StreamKey::of(workspace, id);
        // Work that was created later has no row there, and so nothing else of it may be.
        let Some(row) = snapshot.log_facts(key).await? else { continue };
        copy_work(source, marks, staged, key, &row)?;
    }
    Ok(())
}

/// The log first: whatever it speaks of is in its place by then.
fn copy_work(
    source: &Source,
    marks: &Marks,
    staged: &mut Staged,
    key: StreamKey,
    row: &LogFacts,
) -> Result<(), BackupError> {
    copy_plain_log(source, staged, key, marks.upto(key, row), row.durable_bytes)?;
    // What processes have written so far belongs to them, and they will not be there.
    if row.has_ended || key.kind().facts().marker.is_none() {
        let log = key.log_path();
        let logs = log.strip_prefix(key.directory()).unwrap_or(&log).with_extension("");
        let is_log = move |path: &Path| path.to_string_lossy().starts_with(&*logs.to_string_lossy());
        copy_below(source, staged, &key.directory(), |path| !is_log(path))?;
    }
    Ok(())
}

fn copy_plain_log(
    source: &Source,
    staged: &mut Staged,
    key: StreamKey,
    upto: u64,
    limit: Option<u64>,
) -> Result<(), BackupError> {
    let path = key.log_path();
    let at = |source| BackupError::Copy { path: path.clone(), source };
    let reader = match LogReader::of(&source.data_dir, key) {
        Ok(reader) => reader,
        Err(OpenReaderError::NotFound) => return Ok(()),
        // Its lines are not copied: the object stays where it is, and so does the right to delete it.
        Err(OpenReaderError::Archived(_)) => return copy_file(source, staged, &path.with_added_extension("archived")),
        Err(OpenReaderError::Io(error)) => return Err(at(error)),
        Err(error) => return Err(at(io::Error::other(error))),
    };
    if reader.is_compressed() {
        // In this order: if the first has gone meanwhile, the second has come before.
        copy_file(source, staged, &path.with_added_extension("zst"))?;
        return copy_file(source, staged, &path.with_added_extension("archived"));
    }
    // Up to the last whole event: what is behind it is being written, and a copy of it might be torn where no one looks.
    let tail = reader.tail_within(limit.unwrap_or(u64::MAX)).map_err(at)?;
    let end = reader.seek(upto, tail.bytes).map_err(at)?;
    if end > 0 {
        let entry = copy_log(&reader, end, &staged.data()?, &path).map_err(at)?;
        staged.add(&entry)?;
    }
    Ok(())
}

/// One that is replaced meanwhile is one or the other, never half of each.
fn copy_configurations(source: &Source, staged: &mut Staged, workspace: WorkspaceId) -> Result<(), BackupError> {
    let directory = PathBuf::from(format!("workspaces/{workspace}/configurations"));
    for name in folders(&source.data_dir, directory.clone())? {
        let Ok(id) = ConfigurationId::parse(&name) else { continue };
        let from = Location::below(&source.data_dir, directory.join(&name));
        let to = Location::below(&staged.data_dir(), directory.join(&name));
        match copy_configuration(&from, &to) {
            Ok(true) => list_below(staged, &directory.join(&name))?,
            Ok(false) => return Err(BackupError::Restless { id }),
            // It was deleted meanwhile.
            Err(_) if from.open().is_err() => {}
            Err(error) => return Err(BackupError::Configuration { id, source: error }),
        }
    }
    Ok(())
}

fn copy_configuration(from: &Location, to: &Location) -> Result<bool, TreeError> {
    let mut outcome = Ok(false);
    for _ in 0..TRIES {
        // Of a package that is edited file by file, one may go between its name and its content. A fault that lasts is told.
        outcome = copy_unchanged(from, to);
        if matches!(outcome, Ok(true)) {
            break;
        }
    }
    outcome
}

fn copy_unchanged(from: &Location, to: &Location) -> Result<bool, TreeError> {
    let before = content_digest(from)?;
    Ok(copy_package(from, to)? == before && content_digest(from)? == before)
}

/// Enters files in the list that are in their place already.
fn list_below(staged: &mut Staged, directory: &Path) -> Result<(), BackupError> {
    let data = staged.data()?;
    for path in files_below(&data.open(directory)?)? {
        let entry = super::copy::entry_of(&data, &directory.join(path))?;
        staged.add(&entry)?;
    }
    Ok(())
}

async fn copy_feed(
    source: &Source,
    snapshot: &Store,
    marks: &Marks,
    staged: &mut Staged,
    id: WorkspaceId,
) -> Result<(), BackupError> {
    let key = StreamKey::feed(id);
    copy_plain_log(source, staged, key, marks.of(key), None)?;
    for origin in gone_on(&source.data_dir, key, marks.of(key))? {
        let key = StreamKey::of(id, origin);
        if snapshot.log_facts(key).await?.is_some() && !snapshot.has_feed_origin(key).await? {
            snapshot.insert_feed_origin(&FeedOrigin { key, node_id: source.node_id, after: 0 }).await?;
        }
    }
    Ok(())
}

/// The origins of which a feed has something behind this sequence.
fn gone_on(data_dir: &Path, key: StreamKey, after: u64) -> Result<HashSet<StreamId>, BackupError> {
    let reader = match LogReader::of(data_dir, key) {
        Ok(reader) => reader,
        Err(OpenReaderError::NotFound) => return Ok(HashSet::new()),
        Err(OpenReaderError::Io(error)) => return Err(error.into()),
        Err(error) => return Err(io::Error::other(error).into()),
    };
    let (end, mut found) = (reader.tail()?.bytes, HashSet::new());
    let mut offset = reader.seek(after, end)?;
    while offset < end {
        let chunk = reader.read(offset, end, PIECE)?;
        let lines = chunk.lines.split_inclusive(|byte| *byte == b'\n');
        found.extend(lines.filter_map(origin).map(|(stream, _)| stream));
        offset = chunk.next_offset;
    }
    Ok(found)
}

/// Copies the regular files below a directory of the data directory; of those that go meanwhile, what is left.
fn copy_below(
    source: &Source,
    staged: &mut Staged,
    directory: &Path,
    wanted: impl Fn(&Path) -> bool,
) -> Result<(), BackupError> {
    let files = match Location::below(&source.data_dir, directory).open() {
        Err(error) if is_absent(&error) => return Ok(()),
        dir => files_below(&dir?)?,
    };
    files.iter().filter(|path| wanted(path)).try_for_each(|path| copy_file(source, staged, &directory.join(path)))
}

fn files_below(dir: &Dir) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    walk(dir, MOST_FILES, |entry| {
        if entry.kind == Kind::File {
            files.push(entry.path.clone());
        }
        true
    })?;
    Ok(files)
}

fn copy_file(source: &Source, staged: &mut Staged, path: &Path) -> Result<(), BackupError> {
    let at = |source| BackupError::Copy { path: path.to_owned(), source };
    match Location::below(&source.data_dir, path).file() {
        Err(error) if is_absent(&error) => Ok(()),
        file => {
            let entry = copy(&mut file.map_err(at)?, &staged.data()?, path).map_err(at)?;
            Ok(staged.add(&entry)?)
        }
    }
}
