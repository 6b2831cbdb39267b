//! The object store that the settings name, if they name one.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{ArchiveSettings, ObjectPlace, Settings};
use crate::log::ArchiveOptions;
use crate::objects::{self, Bucket, ObjectStore, OpenBucketError, Place};

/// How long a store that has not answered is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// The store, whether or not it answers.
pub fn open_objects(settings: &Settings) -> Result<Option<Arc<dyn ObjectStore>>, OpenBucketError> {
    settings.archive.as_ref().map(|archive| objects::open(&place(archive))).transpose()
}

pub(super) fn archive(settings: &Settings) -> Result<Option<ArchiveOptions>, OpenBucketError> {
    let Some(cache_bytes) = settings.archive.as_ref().map(|archive| archive.cache_bytes) else { return Ok(None) };
    let min_free = settings.storage.disk_min_free;
    Ok(open_objects(settings)?.map(|store| ArchiveOptions { store, cache_bytes, min_free, pause: PAUSE }))
}

fn place(settings: &ArchiveSettings) -> Place {
    match &settings.store {
        ObjectPlace::Directory(path) => Place::Directory(path.clone()),
        ObjectPlace::Bucket(bucket) => Place::Bucket(Bucket {
            name: bucket.name.clone(),
            prefix: bucket.prefix.clone(),
            endpoint: bucket.endpoint.clone(),
            region: bucket.region.clone(),
            key_id: bucket.key_id.clone(),
            secret: bucket.secret.clone(),
            ca_file: bucket.ca_file.clone(),
        }),
    }
}
