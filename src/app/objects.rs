//! The object store that the settings name, if they name one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{ArchiveSettings, ObjectPlace, Settings};
use crate::log::ArchiveOptions;
use crate::objects::{self, Bucket, ObjectStore, OpenBucketError, Place};

/// How long a store that has not answered is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// The store of this data directory, whether or not it answers.
pub fn open_objects(settings: &Settings, data_dir: &Path) -> Result<Option<Arc<dyn ObjectStore>>, OpenBucketError> {
    open_known_by(settings, Some(record(data_dir)))
}

pub(super) fn open_known_by(
    settings: &Settings,
    record: Option<PathBuf>,
) -> Result<Option<Arc<dyn ObjectStore>>, OpenBucketError> {
    settings.archive.as_ref().map(|archive| objects::open(&place(archive, record))).transpose()
}

/// What a data directory knows the directory of its objects by.
pub(super) fn record(data_dir: &Path) -> PathBuf {
    data_dir.join("archive/store")
}

pub(super) fn archive(settings: &Settings) -> Result<Option<ArchiveOptions>, OpenBucketError> {
    let Some(cache_bytes) = settings.archive.as_ref().map(|archive| archive.cache_bytes) else { return Ok(None) };
    let min_free = settings.storage.disk_min_free;
    Ok(open_objects(settings, &settings.storage.data_dir)?.map(|store| ArchiveOptions {
        store,
        cache_bytes,
        min_free,
        pause: PAUSE,
    }))
}

fn place(settings: &ArchiveSettings, record: Option<PathBuf>) -> Place {
    match &settings.store {
        ObjectPlace::Directory(path) => Place::Directory { path: path.clone(), record },
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
