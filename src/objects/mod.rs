//! Objects: bytes under a name, in a bucket or in a directory. What is put is never changed, only replaced or deleted.
//!
//! Law: when `put` returns, the object is whole and durable by the store's own word; whoever is about to give up their own
//! copy reads it back first. Nothing here waits without a bound, and whoever waits may be told to stop. All of it blocks, and
//! is called on threads that may; a client of S3 has threads of its own beside them.

mod store;
mod directory;
mod transport;
mod bucket;
pub mod memory;

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;

pub use bucket::OpenBucketError;
pub use directory::Directory;
pub use store::{Content, ObjectError, ObjectStore, Stop};

/// Where objects are.
#[derive(Debug, Clone)]
pub enum Place {
    /// A directory that exists, such as a share.
    Directory(PathBuf),
    Bucket(Bucket),
}

/// A bucket of S3, or of what speaks its protocol.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub name: String,
    /// What the names of objects begin with; may be empty.
    pub prefix: String,
    /// None: Amazon's own of the region.
    pub endpoint: Option<String>,
    pub region: String,
    pub key_id: SecretString,
    pub secret: SecretString,
    /// Certificates that are trusted besides the public ones.
    pub ca_file: Option<PathBuf>,
}

/// A store, whether or not it answers at the moment. A bucket's has a thread from now on.
pub fn open(place: &Place) -> Result<Arc<dyn ObjectStore>, OpenBucketError> {
    match place {
        Place::Directory(path) => Ok(Arc::new(Directory::new(path.clone()))),
        Place::Bucket(bucket) => Ok(Arc::new(bucket::BucketStore::open(bucket)?)),
    }
}
