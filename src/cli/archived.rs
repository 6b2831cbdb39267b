//! The objects of archived logs and of files, for `ade verify`.

use std::sync::Arc;

use crate::blocking::blocking;
use crate::objects::{Expected, ObjectCheck, ObjectError, ObjectStore, check_object};

/// What is asked of the store, and how thoroughly.
#[derive(Clone)]
pub struct Objects {
    pub store: Arc<dyn ObjectStore>,
    /// All of each object is read.
    pub whole: bool,
}

impl Objects {
    async fn fault(&self, expected: Expected<'_>) -> Result<Option<ObjectCheck>, ObjectError> {
        let (name, bytes, sha256) = (expected.name.to_owned(), expected.bytes, expected.sha256.to_owned());
        let this = self.clone();
        let check = move || check_object(&*this.store, Expected { name: &name, bytes, sha256: &sha256 }, this.whole);
        blocking(move || Ok(check())).await?
    }
}

/// How far objects of one kind were asked for.
#[derive(Debug, Default)]
pub struct Asked {
    /// Not at all: there is no store.
    unasked: u64,
    /// In vain, or not any more.
    unanswered: u64,
    /// The store does not answer at all: it is not asked for another one.
    is_away: bool,
}

impl Asked {
    /// What is wrong with an object, as far as the store says so; an error when it was asked and does not.
    pub async fn fault(
        &mut self,
        objects: Option<&Objects>,
        expected: Expected<'_>,
    ) -> Result<Option<ObjectCheck>, ObjectError> {
        let Some(objects) = objects else {
            self.unasked += 1;
            return Ok(None);
        };
        if self.is_away {
            self.unanswered += 1;
            return Ok(None);
        }
        let found = objects.fault(expected).await;
        self.is_away = matches!(found, Err(ObjectError::Unavailable(_)));
        self.unanswered += u64::from(found.is_err());
        found
    }

    pub fn is_answered(&self) -> bool {
        self.unanswered == 0
    }

    /// For people; `what` the objects are of.
    pub fn notes(&self, what: &str) -> Vec<String> {
        let unasked = (self.unasked, "their objects were not asked for");
        let unanswered = (self.unanswered, "the object store did not say how they are");
        let told = [unasked, unanswered].into_iter().filter(|(count, _)| *count > 0);
        told.map(|(count, why)| format!("{count} {what}: {why}")).collect()
    }
}
