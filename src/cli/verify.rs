//! `ade verify`: checks every event log of a data folder, without a service and without changing anything.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;

use super::progress::say;
use super::{CommandError, Exit};
use crate::config::Settings;
use crate::domain::{BuildId, RunId, StreamKey, WorkspaceId};
use crate::event::codec;

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The data folder; that of the settings when left out.
    folder: Option<PathBuf>,
}

/// What was found in a data folder.
#[derive(Debug, Default)]
pub struct Report {
    pub logs: u64,
    pub events: u64,
    /// Without a terminal event: still running, or its service died; a start of the service ends them.
    pub open: Vec<StreamKey>,
    pub violations: Vec<String>,
}

pub fn verify(arguments: &VerifyArgs, settings: &Settings) -> Result<Exit, CommandError> {
    let folder = arguments.folder.as_deref().unwrap_or(&settings.storage.data_dir);
    let report =
        verify_data_dir(folder).map_err(|error| CommandError::failed(format!("{}: {error}", folder.display())))?;
    report.violations.iter().for_each(|violation| say(violation));
    report.open.iter().for_each(|key| say(&format!("{key:?}: no terminal event yet")));
    let (logs, events, violations) = (report.logs, report.events, report.violations.len());
    say(&format!("{logs} logs, {events} events, {violations} violations"));
    Ok(Exit::of_success(report.violations.is_empty()))
}

/// Checks every log below `workspaces/*/{runs,builds}/*/logs`.
pub fn verify_data_dir(data_dir: &Path) -> io::Result<Report> {
    fs::read_dir(data_dir)?;
    let mut report = Report::default();
    for (name, workspace) in folders(&data_dir.join("workspaces"))? {
        let Ok(workspace_id) = WorkspaceId::parse(&name) else { continue };
        for (name, folder) in folders(&workspace.join("runs"))? {
            if let Ok(id) = RunId::parse(&name) {
                report.check(StreamKey::run(workspace_id, id), &folder)?;
            }
        }
        for (name, folder) in folders(&workspace.join("builds"))? {
            if let Ok(id) = BuildId::parse(&name) {
                report.check(StreamKey::build(workspace_id, id), &folder)?;
            }
        }
    }
    Ok(report)
}

/// Sorted by name; none when there is no such folder.
fn folders(parent: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

impl Report {
    /// Dense sequences from 1, whole lines, at most one terminal event, and that at the end.
    fn check(&mut self, key: StreamKey, folder: &Path) -> io::Result<()> {
        let file = match File::open(folder.join("logs/events.ndjson")) {
            // Its work never began, or retention has deleted the log.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        self.logs += 1;
        let (mut reader, mut line) = (BufReader::new(file), Vec::new());
        let (mut expected, mut ended) = (1, false);
        while reader.read_until(b'\n', &mut line)? > 0 {
            let violation = match codec::decode(&line) {
                _ if !line.ends_with(b"\n") => Some("the last line is torn".to_owned()),
                Err(error) => Some(error.to_string()),
                Ok(_) if ended => Some("an event behind the terminal one".to_owned()),
                Ok(event) if event.sequence != expected => {
                    Some(format!("sequence {} instead of {expected}", event.sequence))
                }
                Ok(event) => {
                    ended = event.is_terminal(key);
                    None
                }
            };
            if let Some(violation) = violation {
                self.violations.push(format!("{key:?} line {expected}: {violation}"));
            }
            self.events += 1;
            expected += 1;
            line.clear();
        }
        if !ended {
            self.open.push(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::micros;
    use crate::domain::{ConfigurationId, EventId};
    use crate::event::codec::{Identity, Stamp, encode};
    use crate::event::{Draft, Source};

    /// A data folder with the log of one run.
    fn with_log(events: &[(u64, &'static str)], tail: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let (workspace_id, id) = (WorkspaceId::generate(), RunId::generate());
        let identity = Identity::new(StreamKey::run(workspace_id, id), ConfigurationId::generate());
        let mut log = Vec::new();
        for &(sequence, kind) in events {
            let stamp = Stamp { sequence, event_id: EventId::generate(), created_at: micros(chrono::Utc::now()) };
            encode(&mut log, &identity, stamp, &Draft::new(kind, Source::Api, &serde_json::json!({})));
        }
        log.extend_from_slice(tail.as_bytes());
        let logs = folder.path().join(format!("workspaces/{workspace_id}/runs/{id}/logs"));
        fs::create_dir_all(&logs).unwrap();
        fs::write(logs.join("events.ndjson"), log).unwrap();
        folder
    }

    fn report(events: &[(u64, &'static str)], tail: &str) -> Report {
        verify_data_dir(with_log(events, tail).path()).unwrap()
    }

    #[test]
    fn a_whole_log_has_nothing_to_report() {
        let report = report(&[(1, "run.queued"), (2, "build.completed"), (3, "run.completed")], "");
        assert_eq!((report.logs, report.events, report.open.len()), (1, 3, 0));
        assert_eq!(report.violations, [""; 0]);
    }

    #[test]
    fn holes_repeats_torn_lines_and_late_events_are_found() {
        assert_eq!(report(&[(1, "a"), (3, "b")], "").violations.len(), 1);
        assert_eq!(report(&[(1, "a"), (1, "a")], "").violations.len(), 1);
        assert_eq!(report(&[(1, "a")], "{\"type\":").violations.len(), 1);
        assert_eq!(report(&[(1, "a")], "not json\n").violations.len(), 1);
        assert_eq!(report(&[(1, "run.completed"), (2, "a")], "").violations.len(), 1);
    }

    #[test]
    fn a_log_without_its_end_is_open_and_no_violation() {
        let report = report(&[(1, "run.queued")], "");
        assert_eq!((report.open.len(), report.violations.len()), (1, 0));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_and_an_empty_one_is_not() {
        assert!(verify_data_dir(Path::new("/nowhere/at/all")).is_err());
        assert_eq!(verify_data_dir(tempfile::tempdir().unwrap().path()).unwrap().logs, 0);
    }
}
