//! The objects of archived logs and of files, for `ade verify`.

use std::sync::Arc;

use crate::blocking::blocking;
use crate::domain::stored_file::StoredFile;
use crate::log::Pointer;
use crate::objects::{Expected, ObjectCheck, ObjectError, ObjectStore, check_object};

/// What is asked of the store, and how thoroughly.
#[derive(Clone)]
pub struct Objects {
    pub store: Arc<dyn ObjectStore>,
    /// All of each object is read.
    pub whole: bool,
}

impl Objects {
    /// What is wrong with an object; an error when the store does not say.
    pub async fn fault(&self, pointer: &Pointer) -> Result<Option<ObjectCheck>, ObjectError> {
        let (this, pointer) = (self.clone(), pointer.clone());
        blocking(move || Ok(check_object(&*this.store, pointer.expected(), this.whole))).await?
    }

    /// As [`Objects::fault`], of a file.
    pub async fn fault_of(&self, file: &StoredFile) -> Result<Option<ObjectCheck>, ObjectError> {
        let (this, file) = (self.clone(), file.clone());
        let check = move || {
            let expected = Expected { name: &file.object(), bytes: file.bytes, sha256: &file.sha256 };
            Ok(check_object(&*this.store, expected, this.whole))
        };
        blocking(check).await?
    }
}
