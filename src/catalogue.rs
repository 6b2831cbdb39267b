//! The workflows that a start brings: those of the operator's directory, and the examples that ship with the service.
//!
//! Invariant: given what is stored, what becomes of a file is decided before anything is done. What stands in the
//! directory holds, whoever has changed it elsewhere; an example is brought once, and what people make of it stays.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::Utc;
use serde_json::Value;

use crate::assets;
use crate::domain::WorkspaceId;
use crate::domain::configuration::DEFAULT_WORKSPACE;
use crate::domain::precondition::Expected;
use crate::domain::workflow::NewWorkflow;
use crate::store::{InsertWorkflowError, ReplaceWorkflowError, Store, StoreError};
use crate::workflow::Fault;
use crate::workflow::written::{checked_text, is_same};

/// Looks at what is stored before it gives up: another service may be at the same database, with a directory of its
/// own.
const TRIES: usize = 5;

#[derive(Debug, thiserror::Error)]
#[error("ADE_WORKFLOWS_DIR {path} cannot be read: {source}")]
pub struct ReadDirectoryError {
    path: PathBuf,
    source: io::Error,
}

/// A file, and its definition or all that is wrong with it.
#[derive(Debug, PartialEq)]
pub struct Offer {
    pub file: String,
    pub workflow: Result<NewWorkflow, Vec<Fault>>,
}

/// Every `*.json` of a directory by name, directories in it left out. Blocks.
pub fn read_directory(path: &Path) -> Result<Vec<Offer>, ReadDirectoryError> {
    let failed = |source| ReadDirectoryError { path: path.to_owned(), source };
    let entries: Vec<_> = fs::read_dir(path).and_then(Iterator::collect).map_err(failed)?;
    let mut files: Vec<_> =
        entries.iter().map(|entry: &fs::DirEntry| entry.path()).filter(|path| is_json(path)).collect();
    files.sort();
    let mut offers: Vec<_> = files.iter().map(|path| offer_of(path)).collect();
    refuse_repeats(&mut offers);
    Ok(offers)
}

/// Stores what is offered in the default workspace, and the examples that were never there. What is wrong with a file
/// is reported in the service's log.
pub async fn offer(store: &Store, offers: Vec<Offer>) -> Result<(), StoreError> {
    let workspace_id = store.ensure_workspace(DEFAULT_WORKSPACE, Utc::now()).await?.id;
    for Offer { file, workflow } in offers {
        match workflow {
            Ok(new) => take_in(store, workspace_id, &new, Decision::of_file).await?,
            Err(faults) => faults.iter().for_each(|fault| {
                tracing::error!(file, path = fault.path, code = fault.code, "not a workflow: {}", fault.message);
            }),
        }
    }
    for new in examples() {
        take_in(store, workspace_id, &new, Decision::of_example).await?;
    }
    Ok(())
}

/// What is stored of a workflow's id.
#[derive(Debug)]
struct Stored {
    /// The revision, and its definition.
    present: Option<(u64, Value)>,
    was_ever_there: bool,
}

/// What becomes of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Insert,
    /// What is at this revision.
    Replace(u64),
    Leave,
}

impl Decision {
    fn of_file(new: &NewWorkflow, stored: &Stored) -> Self {
        match &stored.present {
            None => Self::Insert,
            Some((_, definition)) if is_same(definition, &new.definition) => Self::Leave,
            Some((revision, _)) => Self::Replace(*revision),
        }
    }

    fn of_example(_: &NewWorkflow, stored: &Stored) -> Self {
        if stored.was_ever_there { Self::Leave } else { Self::Insert }
    }
}

async fn take_in(
    store: &Store,
    workspace_id: WorkspaceId,
    new: &NewWorkflow,
    decide: fn(&NewWorkflow, &Stored) -> Decision,
) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        let decision = decide(new, &look(store, workspace_id, &new.workflow_id).await?);
        if carry_out(store, workspace_id, new, decision).await? {
            return Ok(());
        }
    }
    tracing::error!(workflow_id = new.workflow_id, "the workflow keeps changing concurrently; it is left as it is");
    Ok(())
}

async fn look(store: &Store, workspace_id: WorkspaceId, workflow_id: &str) -> Result<Stored, StoreError> {
    let definition = async |revision| store.workflow_definition(workspace_id, workflow_id, revision).await;
    let present = match store.find_workflow(workspace_id, workflow_id).await? {
        Some(workflow) => definition(workflow.revision).await?.map(|definition| (workflow.revision, definition)),
        None => None,
    };
    // Definitions outlive their workflow.
    let was_ever_there = present.is_some() || definition(1).await?.is_some();
    Ok(Stored { present, was_ever_there })
}

/// False when what was decided on is no longer what is there.
async fn carry_out(
    store: &Store,
    workspace_id: WorkspaceId,
    new: &NewWorkflow,
    decision: Decision,
) -> Result<bool, StoreError> {
    let stored = match decision {
        Decision::Leave => return Ok(true),
        Decision::Insert => match store.insert_workflow(workspace_id, new, Utc::now()).await {
            Ok(stored) => stored,
            Err(InsertWorkflowError::Exists) => return Ok(false),
            Err(InsertWorkflowError::Store(error)) => return Err(error),
        },
        Decision::Replace(revision) => {
            let expected = Expected::OneOf(vec![revision]);
            match store.replace_workflow(workspace_id, &expected, new, Utc::now()).await {
                Ok(stored) => stored,
                Err(ReplaceWorkflowError::NotFound | ReplaceWorkflowError::Stale { .. }) => return Ok(false),
                Err(ReplaceWorkflowError::Store(error)) => return Err(error),
            }
        }
    };
    tracing::info!(workflow_id = stored.workflow_id, revision = stored.revision, "workflow stored");
    Ok(true)
}

fn examples() -> impl Iterator<Item = NewWorkflow> {
    assets::workflow_files().filter_map(|(_, content)| checked_text(&content).ok())
}

fn is_json(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.ends_with(b".json") && !name.starts_with(b".") && !path.is_dir()
}

fn offer_of(path: &Path) -> Offer {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Offer { file, workflow: read(path).and_then(|text| checked_text(&text)) }
}

/// Whatever is no plain file could keep the start waiting.
fn read(path: &Path) -> Result<Vec<u8>, Vec<Fault>> {
    let read =
        || if fs::metadata(path)?.is_file() { fs::read(path) } else { Err(io::Error::other("not a plain file")) };
    read().map_err(|error| vec![Fault::new("unreadable", "", error.to_string())])
}

/// Two files of one id would replace each other at every start: the first holds.
fn refuse_repeats(offers: &mut [Offer]) {
    let mut known = BTreeSet::new();
    for offer in offers {
        let Ok(new) = &offer.workflow else { continue };
        if !known.insert(new.workflow_id.clone()) {
            let message = format!("a file before it has the workflow {}", new.workflow_id);
            offer.workflow = Err(vec![Fault::new("duplicate_workflow_id", "workflow_id", message)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example() -> Value {
        let (_, content) = assets::workflow_files().next().unwrap();
        serde_json::from_slice(&content).unwrap()
    }

    fn named(workflow_id: &str) -> String {
        let mut definition = example();
        definition["workflow_id"] = json!(workflow_id);
        definition.to_string()
    }

    fn stored(present: Option<(u64, Value)>, was_ever_there: bool) -> Stored {
        Stored { present, was_ever_there }
    }

    #[test]
    fn what_becomes_of_a_definition_is_decided_by_what_is_stored() {
        let new = checked_text(example().to_string().as_bytes()).unwrap();
        let (mut same, mut other) = (example(), example());
        same["revision"] = json!(3);
        other["name"] = json!("Other");
        for (stored, of_file, of_example) in [
            (stored(None, false), Decision::Insert, Decision::Insert),
            (stored(None, true), Decision::Insert, Decision::Leave),
            (stored(Some((3, same)), true), Decision::Leave, Decision::Leave),
            (stored(Some((3, other)), true), Decision::Replace(3), Decision::Leave),
        ] {
            assert_eq!(Decision::of_file(&new, &stored), of_file, "{stored:?}");
            assert_eq!(Decision::of_example(&new, &stored), of_example, "{stored:?}");
        }
    }

    #[test]
    fn every_definition_of_a_folder_is_offered_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        for (name, text) in [("c.json", &named("c")), ("a.json", &named("a")), ("d.json", &named("a"))] {
            write(name, text);
        }
        write("b.json", "{");
        write("a.txt", &named("text"));
        write(".hidden.json", &named("hidden"));
        fs::create_dir(folder.path().join("folder.json")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("link.json")).unwrap();
        let offers = read_directory(folder.path()).unwrap();
        let told: Vec<_> = offers
            .iter()
            .map(|offer| match &offer.workflow {
                Ok(new) => (offer.file.as_str(), new.workflow_id.as_str()),
                Err(faults) => (offer.file.as_str(), faults[0].code.as_str()),
            })
            .collect();
        let expected = [
            ("a.json", "a"),
            ("b.json", "json_invalid"),
            ("c.json", "c"),
            ("d.json", "duplicate_workflow_id"),
            ("link.json", "unreadable"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_no_plain_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.json");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let offers = read_directory(folder.path()).unwrap();
        assert!(offers[0].workflow.as_ref().unwrap_err()[0].message.contains("not a plain file"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_with_its_setting() {
        let error = read_directory(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.starts_with("ADE_WORKFLOWS_DIR /nowhere/at/all cannot be read: "), "{error}");
    }
}
