//! The objects of archived logs, for `ade verify`.

use std::sync::Arc;

use crate::blocking::blocking;
use crate::log::{ObjectCheck, Pointer, check_object};
use crate::objects::{ObjectError, ObjectStore};

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
        blocking(move || Ok(check_object(&*this.store, &pointer, this.whole))).await?
    }
}
