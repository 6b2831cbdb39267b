//! The files that an object store has, or is to have, for `ade verify`.

use std::path::Path;

use super::archived::{Asked, Objects};
use crate::domain::stored_file::{FileState, StoredFile};
use crate::files::Dir;
use crate::objects::Expected;
use crate::store::{Store, StoreError};

/// Rows that are read at once.
const PAGE: u64 = 200;

/// What was found of them.
#[derive(Debug, Default)]
pub struct FilesReport {
    pub stored: u64,
    pub owed: u64,
    pub violations: Vec<String>,
    pub asked: Asked,
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
        notes.extend(self.asked.notes("stored files"));
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
        let expected = Expected { name: &file.object(), bytes: file.bytes, sha256: &file.sha256 };
        let Ok(Some(fault)) = self.asked.fault(objects, expected).await else { return Ok(()) };
        // It may have been deleted since its row was read.
        if store.stored_file(&file.path).await?.as_ref() == Some(file) {
            self.violations.push(format!("{}: its object {fault}", file.path));
        }
        Ok(())
    }
}
