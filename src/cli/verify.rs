//! `ade verify`: checks every event log of a data directory and the rows that are folded from them, without a service.
//! It changes nothing, and may be used while a service is running.

use std::collections::HashSet;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use super::archived::{Asked, Objects};
use super::exit::{CommandError, Exit};
use super::output::print_line;
use super::stored_files::{self, FilesReport};
use crate::app;
use crate::config::{Settings, url_path};
use crate::domain::principal::Scope;
use crate::domain::work::{Status as _, Work, each_kind};
use crate::domain::{StreamId, StreamKey, WorkspaceId};
use crate::event::codec;
use crate::feed::origin;
use crate::files::{Kind, Location, is_absent};
use crate::log::verify::{ViolationKind, verify_log};
use crate::log::{LogReader, OpenReaderError, Pointer};
use crate::store::{ConnectError, Store, StoreError, sqlite_file};

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The data directory; the one of the settings when left out.
    folder: Option<PathBuf>,
    /// Read all of each archived log and stored file, rather than ask for its size.
    #[arg(long)]
    archived: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("{path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("database: {0}")]
    Connect(#[from] ConnectError),
    #[error("database: {0}")]
    Store(#[from] StoreError),
}

/// What was found in a data directory.
#[derive(Debug, Default)]
pub struct Report {
    pub logs: u64,
    pub events: u64,
    /// Not as they should be, and known to be so: the service does what is left to do.
    pub notes: Vec<String>,
    pub violations: Vec<String>,
    /// For the objects of archived logs.
    asked: Asked,
}

pub async fn verify(arguments: &VerifyArgs, settings: &Settings) -> Result<Exit, CommandError> {
    let folder = arguments.folder.as_deref().unwrap_or(&settings.storage.data_dir);
    let objects = app::open_objects(settings, folder).map_err(CommandError::failed)?;
    let objects = objects.map(|store| Objects { store, whole: arguments.archived });
    let checked = async {
        let store = open_store(&database_url(arguments, settings)).await?;
        let report = verify_data_dir(folder, store.as_ref(), objects.as_ref()).await?;
        let files = match &store {
            Some(store) => stored_files::check(folder, store, objects.as_ref()).await?,
            None => FilesReport::default(),
        };
        Ok::<_, VerifyError>((report, files))
    };
    let (report, files) = checked.await.map_err(CommandError::failed)?;
    report.violations.iter().chain(&files.violations).for_each(|violation| print_line(violation));
    report.notes.iter().chain(&files.notes()).for_each(|note| print_line(note));
    let (logs, events, violations) = (report.logs, report.events, report.violations.len() + files.violations.len());
    print_line(&format!("{logs} logs, {events} events, {violations} violations"));
    Ok(Exit::of_success(violations == 0 && report.asked.is_answered() && files.asked.is_answered()))
}

/// A directory that is named has a database of its own, unless the settings name another.
fn database_url(arguments: &VerifyArgs, settings: &Settings) -> String {
    match &arguments.folder {
        Some(folder) if settings.is_default("database_url") => format!("sqlite://{}/ade.db", url_path(folder)),
        _ => settings.storage.database_url.clone(),
    }
}

/// None when there is no database, or one whose schema this program cannot read.
async fn open_store(url: &str) -> Result<Option<Store>, VerifyError> {
    if sqlite_file(url).is_some_and(|file| !file.exists()) {
        return Ok(None);
    }
    let store = Store::connect(url, 1).await?;
    let status = store.migration_status().await?;
    Ok((status.pending.is_empty() && status.breaking().is_none()).then_some(store))
}

/// Checks every log below `workspaces/*/{runs,builds,executions}/*/logs` and every feed, and with a store the rows too.
pub async fn verify_data_dir(
    data_dir: &Path,
    store: Option<&Store>,
    objects: Option<&Objects>,
) -> Result<Report, VerifyError> {
    let mut report = Report::default();
    if store.is_none() {
        report.notes.push("no database that this program can read: rows are not checked".to_owned());
    }
    let mut seen = HashSet::new();
    for key in keys(data_dir).map_err(|source| VerifyError::Read { path: data_dir.to_owned(), source })? {
        // The row first: while a service is running, its log may be ahead of it, never behind.
        let row = match store {
            Some(store) => row(store, key).await?,
            None => None,
        };
        let path = data_dir.join(key.log_path());
        let checked = match LogReader::of(data_dir, key) {
            Ok(reader) => report.check(key, &reader, row.as_ref(), store.is_some()),
            Err(OpenReaderError::NotFound) => continue,
            Err(OpenReaderError::Io(error)) => Err(error),
            Err(OpenReaderError::Archived(pointer)) => {
                seen.insert(key);
                report.check_archived(key, &pointer, row.as_ref(), store.is_some());
                report.look_for_object(key, &pointer, objects, store).await?;
                continue;
            }
            Err(error @ (OpenReaderError::ArchiveUnavailable(_) | OpenReaderError::ArchiveDamaged(_))) => {
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        };
        seen.insert(key);
        match checked {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => report.violation(key, error),
            checked => checked.map_err(|source| VerifyError::Read { path, source })?,
        }
    }
    report.notes.extend(report.asked.notes("archived logs"));
    if let Some(store) = store {
        for (key, row) in rows(store).await?.into_iter().filter(|(key, _)| !seen.contains(key)) {
            report.without_log(key, &row);
        }
    }
    Ok(report)
}

/// What a row says of its log.
#[derive(Debug)]
struct Row {
    status: &'static str,
    is_terminal: bool,
    failure: Option<String>,
    last_sequence: u64,
    degraded: bool,
    /// Retention has deleted the log, or was about to.
    expired: bool,
}

impl Row {
    fn of<W: Work>(work: &W) -> Self {
        let log = work.log();
        Self {
            status: work.status().as_str(),
            is_terminal: log.has_ended,
            failure: work.failure_code(),
            last_sequence: log.last_sequence,
            degraded: log.degraded,
            expired: log.state.is_expired(),
        }
    }
}

async fn row(store: &Store, key: StreamKey) -> Result<Option<Row>, StoreError> {
    let scope = Scope::Only(vec![key.workspace_id()]);
    each_kind!(W => if let Ok(id) = key.id().try_into() {
        return Ok(store.find_or_deleted::<W>(&scope, id).await?.as_ref().map(Row::of));
    });
    Ok(None)
}

async fn rows(store: &Store) -> Result<Vec<(StreamKey, Row)>, StoreError> {
    let mut rows = Vec::new();
    each_kind!(W => rows.extend(store.all::<W>(&Scope::All).await?.iter().map(|work| (work.stream_key(), Row::of(work)))));
    Ok(rows)
}

/// More than a service ever keeps of a kind.
const MOST_FOLDERS: usize = 10_000_000;

/// Every piece of work that has a directory, and the feed of every workspace that has one: by workspace, kind and id.
fn keys(data_dir: &Path) -> io::Result<Vec<StreamKey>> {
    Location::from(data_dir).open()?;
    let mut keys = Vec::new();
    let workspaces = Location::below(data_dir, "workspaces");
    for name in folders(&workspaces)? {
        let Ok(workspace_id) = WorkspaceId::parse(&name) else { continue };
        let workspace = workspaces.join(&name);
        each_kind!(W => {
            let names = folders(&workspace.join(W::KIND.facts().collection))?;
            let ids = names.iter().filter_map(|name| StreamId::parse_as(W::KIND, name).ok());
            keys.extend(ids.map(|id| StreamKey::of(workspace_id, id)));
        });
        keys.push(StreamKey::feed(workspace_id));
    }
    Ok(keys)
}

/// Names in their order; none when there is no such folder. A link is none.
fn folders(parent: &Location) -> io::Result<Vec<String>> {
    let dir = match parent.open() {
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        other => other?,
    };
    let folders = dir.entries(MOST_FOLDERS)?.into_iter().filter(|(_, kind)| *kind == Kind::Folder);
    let mut found: Vec<_> = folders.map(|(name, _)| name).collect();
    found.sort();
    Ok(found)
}

/// How a log ended.
struct End {
    sequence: u64,
    status: String,
    failure: Option<String>,
}

#[derive(Deserialize)]
struct Ending {
    status: String,
    #[serde(alias = "error")]
    failure: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    code: String,
}

fn end(key: StreamKey, line: Option<&[u8]>) -> Option<End> {
    let event = codec::decode(line?).ok().filter(|event| event.is_terminal(key))?;
    let ending: Ending = serde_json::from_str(event.payload.get()).ok()?;
    Some(End { sequence: event.sequence, status: ending.status, failure: ending.failure.map(|failure| failure.code) })
}

impl Report {
    fn check(&mut self, key: StreamKey, reader: &LogReader, row: Option<&Row>, has_rows: bool) -> io::Result<()> {
        let degraded = row.is_some_and(|row| row.degraded);
        let must_have_ended = !degraded && row.is_some_and(|row| row.is_terminal);
        let found = verify_log(reader, key, must_have_ended)?;
        self.logs += 1;
        self.events += found.events;
        for violation in found.violations {
            // A write that failed may have left its beginning, which is cut before the log is used again.
            if !(degraded && violation.kind == ViolationKind::NoNewline) {
                self.violation(key, format_args!("line {}: {}", violation.line, violation.kind));
            }
        }
        let tail = reader.tail()?;
        let end = end(key, tail.last_line.as_deref());
        match row {
            // Not work, so it has neither a row nor an end.
            None if key.is_feed() => self.check_origins(key, reader, tail.bytes)?,
            Some(_) if degraded => self.note(key, "the log is degraded; a start of the service or maintenance ends it"),
            Some(row) => self.compare(key, row, end, tail.last_sequence),
            None if has_rows => self.violation(key, "there is no row of it"),
            None if end.is_none() => self.note(key, "no terminal event yet"),
            None => {}
        }
        Ok(())
    }

    /// What its pointer says of an archived log.
    fn check_archived(&mut self, key: StreamKey, pointer: &Pointer, row: Option<&Row>, has_rows: bool) {
        self.logs += 1;
        self.events += pointer.last_sequence;
        match row {
            Some(row) if row.is_terminal && row.last_sequence != pointer.last_sequence => {
                let (at, end) = (row.last_sequence, pointer.last_sequence);
                self.violation(key, format_args!("the row stands at {at}, its archived log ends at {end}"));
            }
            Some(row) if !row.is_terminal => self.note(key, "the row is behind its log, which is archived"),
            Some(_) => {}
            None if has_rows => self.violation(key, "there is no row of it"),
            None => {}
        }
    }

    async fn look_for_object(
        &mut self,
        key: StreamKey,
        pointer: &Pointer,
        objects: Option<&Objects>,
        store: Option<&Store>,
    ) -> Result<(), VerifyError> {
        let fault = match self.asked.fault(objects, pointer.expected()).await {
            Ok(None) => return Ok(()),
            Ok(Some(fault)) => fault,
            Err(error) => {
                // Whatever else is wrong is told all the same.
                self.note(key, &format!("its archived log: {error}"));
                return Ok(());
            }
        };
        // Retention may have deleted it since its row was looked at.
        let now = match store {
            Some(store) => row(store, key).await?,
            None => None,
        };
        match now.is_some_and(|row| row.expired) {
            true => self.note(key, "the log was deleted by retention"),
            false => self.violation(key, format_args!("its archived log {fault}")),
        }
        Ok(())
    }

    /// No event is in a feed twice.
    fn check_origins(&mut self, key: StreamKey, reader: &LogReader, end: u64) -> io::Result<()> {
        let (mut seen, mut offset) = (HashSet::new(), 0);
        while offset < end {
            let chunk = reader.read(offset, end, 1 << 20)?;
            for line in chunk.lines.split_inclusive(|byte| *byte == b'\n') {
                match origin(line) {
                    Some(origin) if seen.insert(origin) => {}
                    Some((stream, sequence)) => {
                        self.violation(key, format_args!("event {sequence} of {stream} is there twice"));
                    }
                    None => self.violation(key, "an entry has no origin"),
                }
            }
            offset = chunk.next_offset;
        }
        Ok(())
    }

    fn compare(&mut self, key: StreamKey, row: &Row, end: Option<End>, last_sequence: u64) {
        match end {
            Some(end) if row.is_terminal => {
                if row.status != end.status || row.failure != end.failure {
                    let (said, log) = ((row.status, &row.failure), (end.status, end.failure));
                    self.violation(key, format_args!("the row says {said:?}, its log {log:?}"));
                }
                if row.last_sequence != end.sequence {
                    let (at, end) = (row.last_sequence, end.sequence);
                    self.violation(key, format_args!("the row stands at {at}, its log ends at {end}"));
                }
            }
            Some(_) => self.note(key, "the row is behind its log, which has ended"),
            None if row.last_sequence > last_sequence => {
                let at = row.last_sequence;
                self.violation(key, format_args!("the row stands at {at}, beyond its log's {last_sequence}"));
            }
            // That it must have ended has been said.
            None if row.is_terminal => {}
            None => self.note(key, "no terminal event yet"),
        }
    }

    fn without_log(&mut self, key: StreamKey, row: &Row) {
        match row {
            Row { is_terminal: true, expired: true, .. } => self.note(key, "the log was deleted by retention"),
            Row { degraded: true, .. } => self.note(key, "the log is degraded and empty"),
            Row { is_terminal: false, last_sequence: 0, .. } => self.note(key, "not started"),
            _ => self.violation(key, "there is no log of it"),
        }
    }

    fn violation(&mut self, key: StreamKey, what: impl Display) {
        self.violations.push(format!("{key}: {what}"));
    }

    fn note(&mut self, key: StreamKey, what: &str) {
        self.notes.push(format!("{key}: {what}"));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::domain::execution::{Execution, ExecutionState};
    use crate::domain::status::ExecutionStatus;
    use crate::domain::time::micros;
    use crate::domain::{ConfigurationId, EventId, RunId};
    use crate::event::codec::{Identity, Stamp, encode};
    use crate::event::{Draft, Source};
    use crate::store::fixture::{self, TestStore, at};

    /// A data directory with the log of one run.
    fn with_log(events: &[(u64, &'static str)], tail: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let (workspace_id, id) = (WorkspaceId::generate(), RunId::generate());
        let identity = Identity::new(StreamKey::of(workspace_id, id), ConfigurationId::generate());
        let mut ids: Vec<_> = events.iter().map(|_| EventId::generate()).collect();
        ids.sort();
        let mut log = Vec::new();
        for (&(sequence, kind), event_id) in events.iter().zip(ids) {
            let stamp = Stamp { sequence, event_id, created_at: micros(chrono::Utc::now()) };
            encode(
                &mut log,
                &identity,
                stamp,
                &Draft::new(kind, Source::Api, &serde_json::json!({"status": "failed"})),
            );
        }
        log.extend_from_slice(tail.as_bytes());
        let logs = folder.path().join(format!("workspaces/{workspace_id}/runs/{id}/logs"));
        fs::create_dir_all(&logs).unwrap();
        fs::write(logs.join("events.ndjson"), log).unwrap();
        folder
    }

    async fn report(events: &[(u64, &'static str)], tail: &str) -> Report {
        verify_data_dir(with_log(events, tail).path(), None, None).await.unwrap()
    }

    #[tokio::test]
    async fn a_whole_log_has_nothing_to_report() {
        let report = report(&[(1, "run.queued"), (2, "build.completed"), (3, "run.completed")], "").await;
        assert_eq!((report.logs, report.events, report.notes.len()), (1, 3, 1));
        assert_eq!(report.violations, [""; 0]);
    }

    #[tokio::test]
    async fn holes_repeats_torn_lines_and_late_events_are_found() {
        assert_eq!(report(&[(1, "a"), (3, "b")], "").await.violations.len(), 1);
        assert_eq!(report(&[(1, "a"), (1, "a")], "").await.violations.len(), 1);
        assert_eq!(report(&[(1, "a")], "{\"type\":").await.violations.len(), 1);
        assert_eq!(report(&[(1, "a")], "not json\n").await.violations.len(), 1);
        assert_eq!(report(&[(1, "run.completed"), (2, "a")], "").await.violations.len(), 1);
    }

    #[tokio::test]
    async fn a_log_without_its_end_is_open_and_no_violation() {
        let report = report(&[(1, "run.queued")], "").await;
        assert_eq!((report.notes.len(), report.violations.len()), (2, 0));
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_an_error_and_an_empty_one_is_not() {
        assert!(verify_data_dir(Path::new("/nowhere/at/all"), None, None).await.is_err());
        assert_eq!(verify_data_dir(tempfile::tempdir().unwrap().path(), None, None).await.unwrap().logs, 0);
    }

    #[tokio::test]
    async fn executions_are_compared_with_their_rows_like_all_other_work() {
        let (store, folder) = (TestStore::open().await, tempfile::tempdir().unwrap());
        let acme = fixture::workspace("acme");
        store.insert_workspace(&acme).await.unwrap();
        store.insert_workflow(acme.id, &fixture::workflow("plan"), at(1)).await.unwrap();
        let violations = async || verify_data_dir(folder.path(), Some(&store), None).await.unwrap().violations;
        let started = Execution { last_sequence: 1, ..fixture::execution(acme.id, "plan") };
        store.insert(&started, None).await.unwrap();
        assert_eq!(violations().await, [format!("{}: there is no log of it", started.id)]);

        let identity = Identity::of_execution(acme.id, started.id, "plan");
        let failed = serde_json::json!({"status": "failed", "failure": {"code": "cost_limit", "message": "x"}});
        let (mut log, mut ids) = (Vec::new(), [EventId::generate(), EventId::generate()]);
        ids.sort();
        for (sequence, kind, event_id) in [(1, "execution_started", ids[0]), (2, "complete", ids[1])] {
            let stamp = Stamp { sequence, event_id, created_at: at(2) };
            encode(&mut log, &identity, stamp, &Draft::new(kind, Source::Executor, &failed));
        }
        let path = folder.path().join(started.stream_key().log_path());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, log).unwrap();
        assert_eq!(violations().await, [""; 0], "the row is behind, which is no violation");
        for (sequence, code, count) in [(2, "cost_limit", 0), (3, "duration_limit", 2)] {
            let (status, failure) = (ExecutionStatus::Failed, Some(serde_json::json!({ "code": code })));
            let state = ExecutionState { status, failure, ..ExecutionState::default() };
            assert!(store.save_state::<Execution>(acme.id, started.id, &state, sequence).await.unwrap());
            assert_eq!(violations().await.len(), count, "{code}");
        }
        assert!(store.delete::<Execution>(acme.id, started.id).await.unwrap());
        assert_eq!(violations().await, [format!("{}: there is no row of it", started.id)]);
    }

    #[test]
    fn a_row_that_says_something_else_than_its_log_is_found() {
        let key = StreamKey::of(WorkspaceId::generate(), RunId::generate());
        let row = Row {
            status: "failed",
            is_terminal: true,
            failure: Some("interrupted".to_owned()),
            last_sequence: 7,
            degraded: false,
            expired: false,
        };
        let end = |sequence, status: &str, failure: &str| {
            Some(End { sequence, status: status.to_owned(), failure: Some(failure.to_owned()) })
        };
        let violations = |end| {
            let mut report = Report::default();
            report.compare(key, &row, end, 7);
            report.violations.len()
        };
        assert_eq!(violations(end(7, "failed", "interrupted")), 0);
        assert_eq!(violations(end(7, "failed", "engine_error")), 1);
        assert_eq!(violations(end(7, "succeeded", "interrupted")), 1);
        assert_eq!(violations(end(8, "failed", "interrupted")), 1);
    }
}
