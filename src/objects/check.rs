//! Whether an object is what was put there.

use std::fmt;

use super::receive::{Expected, receive};
use super::store::{ObjectError, ObjectStore, Stop};

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectCheck {
    Gone { object: String },
    Size { object: String, bytes: u64, expected: u64 },
    Content { object: String },
}

impl fmt::Display for ObjectCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { object } => write!(f, "is not in the store any more: {object}"),
            Self::Size { object, bytes, expected } => write!(f, "has {bytes} of {expected} bytes: {object}"),
            Self::Content { object } => write!(f, "is not what was put there: {object}"),
        }
    }
}

const GO_ON: Stop<'static> = &|| false;

/// Looks at the size of an object, or reads all of it. None: it is as it should be. Blocks.
pub fn check_object(
    store: &dyn ObjectStore,
    expected: Expected,
    whole: bool,
) -> Result<Option<ObjectCheck>, ObjectError> {
    let object = expected.name.to_owned();
    match store.size(&object, GO_ON) {
        Err(ObjectError::NotFound) => return Ok(Some(ObjectCheck::Gone { object })),
        Err(error) => return Err(error),
        Ok(bytes) if bytes != expected.bytes => {
            return Ok(Some(ObjectCheck::Size { object, bytes, expected: expected.bytes }));
        }
        Ok(_) => {}
    }
    if !whole || receive(store, expected, &mut |_| Ok(()), GO_ON)? {
        return Ok(None);
    }
    Ok(Some(ObjectCheck::Content { object }))
}
