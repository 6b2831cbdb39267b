//! The files that an object store has, or is to have, for `ade verify`.

use std::path::Path;

use super::archived::Objects;
use crate::domain::stored_file::{FileState, StoredFile};
use crate::files::Dir;
use crate::objects::ObjectError;
use crate::store::{Store, StoreError};

/// Rows that are read at once.
const PAGE: u64 = 200;

/// What was found of them.
#[derive(Debug, Default)]
pub struct FilesReport {
    pub stored: u64,
    pub owed: u64,
    pub violations: Vec<String>,
    /// Objects of which the store has not said how they are, or was not asked.
    pub unanswered: u64,
    pub unasked: u64,
    is_away: bool,
}

/// Whether each is where its row says that it is.
pub async fn check(data_dir: &Path, store: &Store, objects: Option<&Objects>) -> Result<FilesReport, StoreError> {
    let (mut report, mut after) = (FilesReport::default(), None);
    loop {
        let states = [FileState::Owed, FileState::Stored];
        let page = store.stored_files(&states, after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(report) };
        after = Some(last.path.clone());
        for file in page {
            match file.state {
                FileState::Stored => report.check_object(&file, store, objects).await?,
                _ => report.check_copy(data_dir, &file),
            }
        }
    }
}

impl FilesReport {
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.stored + self.owed > 0 {
            notes.push(format!("{} files in the object store, {} owed to it", self.stored, self.owed));
        }
        if self.unasked > 0 {
            notes.push(format!("{} stored files: their objects were not asked for", self.unasked));
        }
        if self.unanswered > 0 {
            notes.push(format!("{} stored files: the object store did not say how they are", self.unanswered));
        }
        notes
    }

    fn check_copy(&mut self, data_dir: &Path, file: &StoredFile) {
        self.owed += 1;
        if Dir::root(data_dir).and_then(|dir| dir.file(&file.path)).is_err() {
            self.violations.push(format!("{}: it is owed to the object store and is not on the disk", file.path));
        }
    }

    async fn check_object(
        &mut self,
        file: &StoredFile,
        store: &Store,
        objects: Option<&Objects>,
    ) -> Result<(), StoreError> {
        self.stored += 1;
        let Some(objects) = objects else {
            self.unasked += 1;
            return Ok(());
        };
        if self.is_away {
            self.unanswered += 1;
            return Ok(());
        }
        match objects.fault_of(file).await {
            Ok(None) => {}
            Ok(Some(fault)) => {
                // It may have been deleted since its row was read.
                if store.stored_file(&file.path).await?.as_ref() == Some(file) {
                    self.violations.push(format!("{}: its object {fault}", file.path));
                }
            }
            Err(error) => {
                self.is_away = matches!(error, ObjectError::Unavailable(_));
                self.unanswered += 1;
            }
        }
        Ok(())
    }
}
