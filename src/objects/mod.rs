//! Objects: bytes under a name, in a bucket or in a directory. What is put is never changed, only replaced or deleted.
//!
//! Law: when `put` returns, the object is whole and durable by the store's own word; whoever is about to give up their own
//! copy reads it back first. Nothing here waits without a bound, and whoever waits may be told to stop. All of it blocks, and
//! is called on threads that may; a client of S3 has threads of its own beside them.

mod store;
mod receive;
mod check;
mod patient;
mod place;
mod directory;
mod transport;
mod bucket;
pub mod memory;

use std::sync::Arc;

pub use bucket::OpenBucketError;
pub use check::{ObjectCheck, check_object};
pub use directory::Directory;
pub use patient::PatientStore;
pub use place::{Bucket, Place};
pub use receive::{Expected, Write, hex, receive};
pub use store::{Content, ObjectError, ObjectStore, Stop};

/// A store, whether or not it answers at the moment. A bucket's has a thread from now on.
pub fn open(place: &Place) -> Result<Arc<dyn ObjectStore>, OpenBucketError> {
    match place {
        Place::Directory { path, record: None } => Ok(Arc::new(Directory::new(path.clone()))),
        Place::Directory { path, record: Some(record) } => {
            Ok(Arc::new(Directory::known_by(path.clone(), record.clone())))
        }
        Place::Bucket(bucket) => Ok(Arc::new(bucket::BucketStore::open(bucket)?)),
    }
}
