//! Where files of workspaces are kept besides the data directory.

use super::reader::{Reader, SettingsError};
use super::value::{KeptIn, Size};

/// Where documents and outputs are, and how much of them stays here.
#[derive(Debug, Clone)]
pub struct FileSettings {
    /// `ADE_FILES`, `disk`. With `store`, they are in the object store too.
    pub kept_in: KeptIn,
    /// `ADE_FILES_CACHE`, `10GiB`. Of what is in the object store, so much stays on the disk.
    pub cache_bytes: u64,
}

impl FileSettings {
    pub(super) fn read(reader: &mut Reader, has_store: bool) -> Result<Self, SettingsError> {
        let kept_in = reader.required("files")?;
        if kept_in == KeptIn::Store && !has_store {
            return Err(reader.contradiction("files", "disk; store only where object_store is set"));
        }
        Ok(Self { kept_in, cache_bytes: reader.required::<Size>("files_cache")?.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, Sources};
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let environment = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Settings::load(&Sources { environment, ..Sources::default() })
    }

    #[test]
    fn files_are_on_the_disk_unless_a_store_is_set_and_they_are_to_be_there() {
        let store = ("ADE_OBJECT_STORE", "file:///mnt/objects");
        assert_eq!(load(&[]).unwrap().files.kept_in, KeptIn::Disk);
        assert_eq!(load(&[store]).unwrap().files.kept_in, KeptIn::Disk);
        let files = load(&[store, ("ADE_FILES", "store"), ("ADE_FILES_CACHE", "1MiB")]).unwrap().files;
        assert_eq!((files.kept_in, files.cache_bytes), (KeptIn::Store, 1 << 20));
        for (variables, expected) in [
            (&[("ADE_FILES", "store")][..], "store only where object_store is set"),
            (&[store, ("ADE_FILES", "cloud")], "disk or store"),
        ] {
            let error = load(variables).unwrap_err().to_string();
            assert!(error.starts_with("files is ") && error.contains(expected), "{error}");
        }
    }
}
