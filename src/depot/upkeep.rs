//! What is done periodically: files that the store is owed are put there, what came to nothing is removed, and copies beyond
//! what may stay are released.
//!
//! Laws. Each step looks again at a file's row under the file's lock. A copy goes only while its row says that the store has
//! the file, which was read back before the row said so.

use std::io;
use std::time::SystemTime;

use chrono::TimeDelta;

use super::error::{PutError, RemoveError};
use super::handle::{Depot, now};
use super::outputs::NoteError;
use super::release::Candidates;
use super::remote::remove_local;
use crate::blocking::blocking;
use crate::domain::maintenance::TaskReport;
use crate::domain::run::Run;
use crate::domain::stored_file::{FileState, StoredFile};
use crate::domain::time::Timestamp;
use crate::files::{Dir, is_absent};
use crate::store::StoreError;

/// Rows that are read at once.
const PAGE: u64 = 200;
/// What one task does in one round, at most.
const MOST: u64 = 10_000;
const MOST_BYTES: u64 = 16 << 30;
/// Copies that one round releases, at most.
const MOST_RELEASED: usize = 10_000;
/// So long a row waits for the data directory that is to remove its object.
const OTHERS_HAVE: TimeDelta = TimeDelta::days(30);

/// Asked between two files.
pub type ShouldStop<'a> = &'a (dyn Fn() -> bool + Send + Sync);

impl Depot {
    /// Puts into the store what it is owed, and removes what came to nothing.
    pub async fn settle(&self, report: &mut TaskReport, should_stop: ShouldStop<'_>) {
        if !self.has_store() {
            return;
        }
        let settled = async {
            self.forget_others().await?;
            self.remove_rest(report, should_stop).await?;
            self.note_documents(report, should_stop).await?;
            self.note_runs(report, should_stop).await?;
            self.put_owed(report, should_stop).await
        };
        if let Err(error) = settled.await {
            report.fail(error);
        }
        if let Ok(owed) = self.0.store.count_stored_files(FileState::Owed).await {
            self.0.meters.set_owed(owed);
        }
    }

    /// What another data directory was to remove: after so long it does not come back.
    async fn forget_others(&self) -> Result<(), StoreError> {
        let Some(remote) = &self.0.remote else { return Ok(()) };
        let before = now().checked_sub_signed(OTHERS_HAVE).unwrap_or(Timestamp::MIN_UTC);
        self.0.store.forget_removals_of_others(&remote.options.owner, before).await.map(drop)
    }

    /// Whoever is putting a file holds its lock: what is found in that state with a free lock came to nothing.
    async fn remove_rest(&self, report: &mut TaskReport, should_stop: ShouldStop<'_>) -> Result<(), StoreError> {
        let states = [FileState::Putting, FileState::Removing];
        let mut after = None;
        loop {
            let page = self.0.store.stored_files(&states, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.path.clone());
            for file in page {
                if should_stop() || report.done >= MOST {
                    report.unfinished = true;
                    return Ok(());
                }
                match self.remove_one(&file.path, &states).await {
                    Ok(true) => report.done += 1,
                    Ok(false) => report.skipped += 1,
                    Err(error) => {
                        report.fail(format_args!("{}: {error}", file.path));
                        if error.is_of_the_whole_store() {
                            report.unfinished = true;
                            return Ok(());
                        }
                    }
                }
            }
        }
    }

    async fn remove_one(&self, path: &str, states: &[FileState]) -> Result<bool, RemoveError> {
        let Some(_alone) = self.0.locks.try_lock(path) else { return Ok(false) };
        let found = self.0.store.stored_file(path).await?.filter(|file| states.contains(&file.state));
        let Some(file) = found.filter(|file| self.is_own(file)) else { return Ok(false) };
        self.delete_object(file).await?;
        let (data_dir, local) = (self.0.data_dir.clone(), path.to_owned());
        blocking(move || remove_local(&data_dir, &local)).await?;
        self.0.store.forget_stored_file(path).await?;
        self.0.meters.removed.add(1);
        Ok(true)
    }

    /// Documents that were uploaded before there was a store are owed to it from now on.
    async fn note_documents(&self, report: &mut TaskReport, should_stop: ShouldStop<'_>) -> Result<(), StoreError> {
        let Some(remote) = &self.0.remote else { return Ok(()) };
        let (mut after, mut noted) = (None, 0);
        loop {
            let page = self.0.store.documents_on_disk(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            for document in page {
                if should_stop() || noted >= MOST {
                    report.unfinished = true;
                    return Ok(());
                }
                let file = StoredFile {
                    path: document.path().to_string_lossy().into_owned(),
                    workspace_id: document.workspace_id,
                    bytes: document.byte_size,
                    sha256: document.sha256,
                    uploaded_by: remote.options.owner.clone(),
                    state: FileState::Owed,
                };
                let _alone = self.0.locks.lock(&file.path).await;
                // One that is gone was deleted meanwhile, or is lost: there is nothing to be put.
                if self.copy_of(&file.path).await.is_ok_and(|copy| copy.is_some()) {
                    self.0.store.note_stored_file(&file, now()).await?;
                    noted += 1;
                }
            }
        }
    }

    /// Of runs that ended before there was a store, and of those that ended in a crash.
    async fn note_runs(&self, report: &mut TaskReport, should_stop: ShouldStop<'_>) -> Result<(), StoreError> {
        let Some(remote) = &self.0.remote else { return Ok(()) };
        let (mut after, mut seen) = (None, 0);
        loop {
            let page = self.0.store.runs_with_outputs_to_note(remote.options.node_id, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            for run in page {
                if should_stop() || seen >= MOST {
                    report.unfinished = true;
                    return Ok(());
                }
                seen += 1;
                match self.note_outputs(&run).await {
                    Ok(_) => {}
                    Err(NoteError::Store(error)) => return Err(error),
                    Err(error) => report.fail(format_args!("{}: {error}", run.id)),
                }
            }
        }
    }

    /// Puts the outputs of a run that has just ended into the store; what fails is left to maintenance.
    pub async fn settle_run(&self, run: &Run) {
        let noted = match self.note_outputs(run).await {
            Ok(noted) => noted,
            Err(error) => return tracing::warn!(run = %run.id, %error, "outputs are noted by the next maintenance"),
        };
        for path in noted {
            if let Err(error) = self.put_one(&path).await {
                self.0.meters.failed.add(1);
                tracing::warn!(%path, %error, "outputs are put into the object store by the next maintenance");
                return;
            }
        }
    }

    async fn put_owed(&self, report: &mut TaskReport, should_stop: ShouldStop<'_>) -> Result<(), StoreError> {
        let (mut after, mut bytes, mut tried) = (None, 0_u64, 0);
        loop {
            let page = self.0.store.stored_files(&[FileState::Owed], after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.path.clone());
            for file in page {
                if should_stop() || tried >= MOST || bytes >= MOST_BYTES {
                    report.unfinished = true;
                    return Ok(());
                }
                tried += 1;
                match self.put_one(&file.path).await {
                    Ok(true) => {
                        report.done += 1;
                        bytes = bytes.saturating_add(file.bytes);
                    }
                    Ok(false) => report.skipped += 1,
                    Err(error) => {
                        self.0.meters.failed.add(1);
                        report.fail(format_args!("{}: {error}", file.path));
                        if matches!(error, PutError::Unavailable(_)) && self.store_is_left_alone() {
                            report.unfinished = true;
                            return Ok(());
                        }
                    }
                }
            }
        }
    }

    fn store_is_left_alone(&self) -> bool {
        self.0.remote.as_ref().is_some_and(|remote| remote.options.objects.is_left_alone() || remote.is_stopping())
    }

    /// Under the name of this data directory: it has the file, whoever was to put it first. False when it has not, or it is
    /// owed no more.
    async fn put_one(&self, path: &str) -> Result<bool, PutError> {
        let Some(remote) = &self.0.remote else { return Ok(false) };
        let Some(_alone) = self.0.locks.try_lock(path) else { return Ok(false) };
        let found = self.0.store.stored_file(path).await?.filter(|file| file.state == FileState::Owed);
        let Some(mut file) = found else { return Ok(false) };
        if self.copy_of(path).await?.is_none() {
            return Ok(false);
        }
        // What nobody waits for leaves room to those who do.
        let _turn = remote.background.clone().acquire_owned().await.map_err(io::Error::other)?;
        if file.uploaded_by != remote.options.owner {
            file.uploaded_by.clone_from(&remote.options.owner);
            self.0.store.note_stored_file(&file, now()).await?;
        }
        if !file.is_described() {
            file = self.describe(file).await?;
            self.0.store.note_stored_file(&file, now()).await?;
        }
        self.put(file).await?;
        let put = self.0.store.change_stored_file(path, &[FileState::Owed], FileState::Stored, now()).await?;
        self.0.meters.put.add(u64::from(put));
        Ok(put)
    }

    async fn describe(&self, mut file: StoredFile) -> io::Result<StoredFile> {
        let this = self.clone();
        let describe = move || {
            this.0.remote.as_ref().map_or(Ok(()), |remote| remote.describe(&mut file))?;
            Ok(file)
        };
        blocking(describe).await
    }

    /// Removes copies beyond what may stay, those first that were used longest ago.
    pub async fn release(&self, report: &mut TaskReport, should_stop: ShouldStop<'_>) {
        let Some(remote) = &self.0.remote else { return };
        let mut candidates = Candidates::new(remote.options.cache_bytes, MOST_RELEASED);
        if let Err(error) = self.look_at_copies(&mut candidates, report, should_stop).await {
            return report.fail(error);
        }
        let (due, is_enough) = candidates.due(remote.shortage());
        report.unfinished = !is_enough;
        for path in due {
            if should_stop() {
                report.unfinished = true;
                return;
            }
            match self.release_one(&path).await {
                Ok(Some(bytes)) => {
                    report.done += 1;
                    report.bytes_freed += bytes;
                    self.0.meters.released.add(1);
                }
                Ok(None) => report.skipped += 1,
                // An engine has locked the directory.
                Err(RemoveError::Io(error)) if error.kind() == io::ErrorKind::PermissionDenied => report.skipped += 1,
                Err(error) => {
                    report.fail(format_args!("{path}: {error}"));
                    if error.is_of_the_whole_store() {
                        report.unfinished = true;
                        return;
                    }
                }
            }
        }
    }

    async fn look_at_copies(
        &self,
        candidates: &mut Candidates,
        report: &mut TaskReport,
        should_stop: ShouldStop<'_>,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.0.store.stored_files(&[FileState::Stored], after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.path.clone());
            for file in page {
                if should_stop() {
                    return Ok(());
                }
                match self.copy_of(&file.path).await {
                    Ok(Some((bytes, used))) => candidates.note(file.path, bytes, used),
                    Ok(None) => {}
                    Err(error) => report.fail(format_args!("{}: {error}", file.path)),
                }
            }
        }
    }

    /// None when somebody is at it, or it is not in the store after all.
    async fn release_one(&self, path: &str) -> Result<Option<u64>, RemoveError> {
        let Some(_alone) = self.0.locks.try_lock(path) else { return Ok(None) };
        let found = self.0.store.stored_file(path).await?.filter(|file| file.state == FileState::Stored);
        let Some(file) = found else { return Ok(None) };
        if !self.is_held(&file).await? {
            // It is put there again, by this data directory, before its copy may go.
            self.0.store.change_stored_file(path, &[FileState::Stored], FileState::Owed, now()).await?;
            return Ok(None);
        }
        let (data_dir, local) = (self.0.data_dir.clone(), path.to_owned());
        blocking(move || remove_local(&data_dir, &local)).await?;
        Ok(Some(file.bytes))
    }

    /// The size of what is on the disk, and when it was used; none if nothing is.
    async fn copy_of(&self, path: &str) -> io::Result<Option<(u64, SystemTime)>> {
        let (data_dir, path) = (self.0.data_dir.clone(), path.to_owned());
        let look = move || match Dir::root(&data_dir)?.file(path) {
            Err(error) if is_absent(&error) => Ok(None),
            file => {
                let metadata = file?.metadata()?;
                Ok(Some((metadata.len(), metadata.accessed()?)))
            }
        };
        blocking(look).await
    }
}
