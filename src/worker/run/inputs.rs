//! What a run works on: its directories, the staged documents, and the fields of its configuration.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::early::{Early, failed};
use super::engine::{DRY_RUN_OUTPUT, ENGINE_LOGS, Input};
use super::job::RunJob;
use super::ports::OpenDocumentError;
use super::session::Session;
use crate::backoff::Backoff;
use crate::blocking::blocking;
use crate::domain::configuration::Document;
use crate::domain::failure::{RunFailureCode, Stage};
use crate::domain::run::RunMode;
use crate::domain::text::{json_length, keep_fitting};
use crate::event::payload::run::FieldInfo;
use crate::files::Location;

/// Where documents are copied to.
const INPUT: &str = "input";

/// The documents as the engine finds them.
#[derive(Debug)]
pub struct Staged {
    /// `None` when there is nothing to work on, as for a validation.
    pub input: Option<Input>,
    /// Staged name to original name.
    pub names: BTreeMap<String, String>,
    /// The run's directory with all links resolved, as an engine may spell it.
    pub real_folder: String,
}

/// Makes the run's directories and copies its documents in, named by their ids and what is plain of their names.
pub async fn stage(session: &Session) -> Result<Staged, Early> {
    let job = &session.job;
    let run = &job.run;
    let ids = run.options.document_ids.clone();
    let missing = |message: String| failed(RunFailureCode::InputMissing, Stage::Run, message);
    let found = job.ports.documents(run.workspace_id, ids.clone()).await.map_err(|error| missing(error.to_string()))?;
    if found.len() < ids.len() {
        return Err(missing("an input document has been deleted".into()));
    }
    let (directory, mode) = (job.directory(), run.options.mode());
    let unstaged = |error: io::Error| missing(format!("the input could not be staged: {error}"));
    let own = directory.clone();
    blocking(move || make_directories(&own, mode)).await.map_err(unstaged)?;
    for document in &found {
        let file = opened(session, document).await?;
        let (directory, name) = (directory.clone(), document.staged_name());
        blocking(move || copy_in(file, &directory, &name)).await.map_err(unstaged)?;
    }
    let names = found.into_iter().map(|document| (document.staged_name(), document.name)).collect();
    blocking(move || Ok(staged(&directory, names))).await.map_err(unstaged)
}

/// A store that does not give a document is asked so often, in about a minute.
const ATTEMPTS: u32 = 8;
const PAUSES: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(15) };

/// The file of a document. A store that is away is waited for, as long as the run is not to stop; copying is not broken off.
async fn opened(session: &Session, document: &Document) -> Result<File, Early> {
    let ports = &session.job.ports;
    let mut attempt = 1;
    loop {
        match session.unless_stopped(ports.open_document(document)).await? {
            Ok(file) => return Ok(file),
            Err(OpenDocumentError::Unavailable(_)) if attempt < ATTEMPTS => {}
            Err(error) => return Err(not_opened(document, error)),
        }
        session.unless_stopped(tokio::time::sleep(PAUSES.pause(attempt))).await?;
        attempt += 1;
    }
}

fn not_opened(document: &Document, error: OpenDocumentError) -> Early {
    let code = match error {
        OpenDocumentError::Missing(_) => RunFailureCode::InputMissing,
        OpenDocumentError::Unavailable(_) => RunFailureCode::InputUnavailable,
    };
    failed(code, Stage::Run, format!("the input could not be staged: {}: {error}", document.id))
}

fn make_directories(directory: &Location, mode: RunMode) -> io::Result<()> {
    let own = directory.open()?;
    let dry_run = (mode == RunMode::DryRun).then_some(DRY_RUN_OUTPUT);
    for name in ["output", ENGINE_LOGS, INPUT].into_iter().chain(dry_run) {
        own.make(name)?;
    }
    Ok(())
}

fn copy_in(mut file: File, directory: &Location, name: &str) -> io::Result<()> {
    let input = directory.join(INPUT).open()?;
    // A previous process may have got this far.
    match input.remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    io::copy(&mut file, &mut input.create(name)?).map(drop)
}

fn staged(directory: &Location, names: BTreeMap<String, String>) -> Staged {
    let folder = directory.path().join(INPUT);
    let mut staged: Vec<PathBuf> = names.keys().map(|name| folder.join(name)).collect();
    let input = match staged.len() {
        0 => None,
        1 => staged.pop().map(Input::File),
        _ => Some(Input::Folder(folder)),
    };
    let real_folder = directory.path().canonicalize().unwrap_or_else(|_| directory.path()).display().to_string();
    Staged { input, names, real_folder }
}

/// Manifests are written by hand; no sensible one comes near.
const LARGEST_MANIFEST: u64 = 1024 * 1024;

#[derive(Deserialize)]
struct Manifest {
    columns: Columns,
}

#[derive(Deserialize)]
struct Columns {
    #[serde(default)]
    order: Vec<String>,
    #[serde(default)]
    fields: BTreeMap<String, Field>,
}

#[derive(Deserialize)]
struct Field {
    label: Option<String>,
    #[serde(default)]
    required: bool,
}

/// Bytes of JSON of the fields that the start event of a run lists.
const FIELDS: usize = 96 << 10;
/// Bytes of JSON of a field beside its texts.
const AROUND_FIELD: usize = 40;

/// The fields that the configuration's manifest names, in its order, and how many it has beyond those that are told;
/// none when it cannot be read, which the engine will say better.
pub async fn manifest_fields(job: &RunJob) -> (Vec<FieldInfo>, u64) {
    let run = &job.run;
    let directory = format!("workspaces/{}/configurations/{}", run.workspace_id, run.configuration_id);
    let manifest = job.context.location(directory).join("src/ade_config/manifest.json");
    let Ok(text) = blocking(move || manifest.read(LARGEST_MANIFEST)).await else { return Default::default() };
    let fields = serde_json::from_slice::<Manifest>(&text).map(|manifest| fields(manifest.columns));
    fields.map(|fields| bounded(fields, FIELDS)).unwrap_or_default()
}

fn bounded(mut fields: Vec<FieldInfo>, room: usize) -> (Vec<FieldInfo>, u64) {
    let length =
        |info: &FieldInfo| json_length(&info.field) + info.label.as_deref().map_or(4, json_length) + AROUND_FIELD;
    let left_out = keep_fitting(&mut fields, room, length);
    (fields, left_out)
}

fn fields(mut columns: Columns) -> Vec<FieldInfo> {
    let info = |(name, field): (String, Field)| FieldInfo { field: name, label: field.label, required: field.required };
    let ordered: Vec<FieldInfo> =
        columns.order.iter().filter_map(|name| columns.fields.remove_entry(name)).map(info).collect();
    ordered.into_iter().chain(columns.fields.into_iter().map(info)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_manifest_without_end_the_first_fields_are_told_and_the_others_counted() {
        let info =
            |n: usize| FieldInfo { field: format!("field_{n}"), label: Some("\u{1}".repeat(20)), required: false };
        let (fields, left_out) = bounded((0..10_000).map(info).collect(), 5000);
        assert!(serde_json::to_string(&fields).unwrap().len() <= 5000 + 2, "with its brackets");
        assert_eq!(fields.len() as u64 + left_out, 10_000);
        assert_eq!(fields[1].field, "field_1");
        assert_eq!(bounded(vec![info(0)], FIELDS), (vec![info(0)], 0));
    }
}
