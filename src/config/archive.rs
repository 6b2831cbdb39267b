//! The object store of finished logs. Unset, nothing of it exists: no client, no thread.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::reader::{Reader, SettingsError};
use super::value::{BaseUrl, Secret, SettingValue, Size, quoted};

/// Where logs go that have ended long ago, and what of them is kept here.
#[derive(Debug, Clone)]
pub struct ArchiveSettings {
    pub store: ObjectPlace,
    /// `ADE_LOG_ARCHIVE_AFTER`, unset: never; what is archived already is read on.
    pub after: Option<Duration>,
    /// `ADE_LOG_ARCHIVE_CACHE`, `1GiB`. Of what was fetched to be read.
    pub cache_bytes: u64,
}

/// `ADE_OBJECT_STORE`, unset: logs stay in the data directory.
#[derive(Debug, Clone)]
pub enum ObjectPlace {
    /// `file:///path`. A directory that exists.
    Directory(PathBuf),
    /// `s3://bucket/prefix`.
    Bucket(BucketSettings),
}

/// A bucket, and who asks for what is in it.
#[derive(Debug, Clone)]
pub struct BucketSettings {
    pub name: String,
    pub prefix: String,
    /// `ADE_OBJECT_STORE_ENDPOINT`, unset: Amazon's.
    pub endpoint: Option<String>,
    /// `ADE_OBJECT_STORE_REGION`, `us-east-1`.
    pub region: String,
    /// `ADE_OBJECT_STORE_KEY_ID`.
    pub key_id: SecretString,
    /// `ADE_OBJECT_STORE_SECRET`.
    pub secret: SecretString,
    /// `ADE_OBJECT_STORE_CA_FILE`, unset. Certificates that are trusted besides the public ones.
    pub ca_file: Option<PathBuf>,
}

impl ArchiveSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Option<Self>, SettingsError> {
        let store = ObjectPlace::read(reader)?;
        let after = reader.optional("log_archive_after")?;
        let cache_bytes = reader.required::<Size>("log_archive_cache")?.0;
        match store {
            Some(store) => Ok(Some(Self { store, after, cache_bytes })),
            None if after.is_some() => Err(SettingsError::Alone { key: "log_archive_after", missing: "object_store" }),
            None => Ok(None),
        }
    }
}

impl ObjectPlace {
    fn read(reader: &mut Reader) -> Result<Option<Self>, SettingsError> {
        let place = reader.optional::<Place>("object_store")?;
        let endpoint = reader.optional::<BaseUrl>("object_store_endpoint")?.map(|url| url.0);
        let region = reader.required::<Region>("object_store_region")?.0;
        let key_id = reader.optional::<Secret>("object_store_key_id")?;
        let secret = reader.optional::<Secret>("object_store_secret")?;
        let ca_file = reader.optional("object_store_ca_file")?;
        let missing = |missing| SettingsError::Alone { key: "object_store", missing };
        match place {
            None if secret.is_some() => {
                Err(SettingsError::Alone { key: "object_store_secret", missing: "object_store" })
            }
            None => Ok(None),
            Some(Place::Directory(path)) => Ok(Some(Self::Directory(path.into()))),
            Some(Place::Bucket { name, prefix }) => Ok(Some(Self::Bucket(BucketSettings {
                name,
                prefix,
                endpoint,
                region,
                key_id: key_id.ok_or_else(|| missing("object_store_key_id"))?.0,
                secret: secret.ok_or_else(|| missing("object_store_secret"))?.0,
                ca_file,
            }))),
        }
    }
}

/// Where objects are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Directory(String),
    Bucket { name: String, prefix: String },
}

impl SettingValue for Place {
    const ALLOWED: &'static str =
        "s3://<bucket>, s3://<bucket>/<prefix> of letters, digits and -_./, or file:///<directory>";

    fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("file://") {
            return path.starts_with('/').then(|| Self::Directory(path.to_owned()));
        }
        let rest = text.strip_prefix("s3://")?.trim_end_matches('/');
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        let is_part = |part: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !part.is_empty() && part != "." && part != ".." && part.bytes().all(is_plain)
        };
        let is_bucket = (3..=63).contains(&name.len()) && name.bytes().all(is_name);
        let is_prefix = prefix.len() <= 200 && (prefix.is_empty() || prefix.split('/').all(is_part));
        (is_bucket && is_prefix).then(|| Self::Bucket { name: name.to_owned(), prefix: prefix.to_owned() })
    }

    fn to_toml(&self) -> String {
        quoted(&match self {
            Self::Directory(path) => format!("file://{path}"),
            Self::Bucket { name, prefix } if prefix.is_empty() => format!("s3://{name}"),
            Self::Bucket { name, prefix } => format!("s3://{name}/{prefix}"),
        })
    }
}

/// The name of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Region(String);

impl SettingValue for Region {
    const ALLOWED: &'static str = "the name of a region, such as us-east-1";

    fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        ((1..=64).contains(&text.len()) && text.bytes().all(is_plain)).then(|| Self(text.to_owned()))
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Settings, Sources};
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let environment = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Settings::load(&Sources { environment, ..Sources::default() })
    }

    const BUCKET: [(&str, &str); 3] = [
        ("ADE_OBJECT_STORE", "s3://logs-of-ade/a/b"),
        ("ADE_OBJECT_STORE_KEY_ID", "a-key-that-is-known"),
        ("ADE_OBJECT_STORE_SECRET", "a-very-secret-key"),
    ];

    #[test]
    fn without_a_store_there_is_no_archive() {
        assert!(load(&[]).unwrap().archive.is_none());
        assert!(load(&[("ADE_LOG_ARCHIVE_CACHE", "1MiB")]).unwrap().archive.is_none());
        let error = load(&[("ADE_LOG_ARCHIVE_AFTER", "90d")]).unwrap_err().to_string();
        assert!(error.contains("log_archive_after is set and object_store is not"), "{error}");
    }

    #[test]
    fn a_store_is_a_directory_or_a_bucket_with_its_key() {
        let archive = load(&[("ADE_OBJECT_STORE", "file:///mnt/logs")]).unwrap().archive.unwrap();
        assert!(matches!(archive.store, ObjectPlace::Directory(path) if path.as_path() == Path::new("/mnt/logs")));
        assert_eq!((archive.after, archive.cache_bytes), (None, 1 << 30));
        let archive = load(&[&BUCKET[..], &[("ADE_LOG_ARCHIVE_AFTER", "90d")]].concat()).unwrap().archive.unwrap();
        assert_eq!(archive.after, Some(Duration::from_secs(90 * 86_400)));
        let ObjectPlace::Bucket(bucket) = archive.store else { panic!("it is a bucket") };
        assert_eq!(
            (bucket.name.as_str(), bucket.prefix.as_str(), bucket.region.as_str()),
            ("logs-of-ade", "a/b", "us-east-1")
        );
        for (count, missing) in [(1, "object_store_key_id"), (2, "object_store_secret")] {
            let error = load(&BUCKET[..count]).unwrap_err().to_string();
            assert!(error.contains(&format!("object_store is set and {missing} is not")), "{error}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_store_is_refused() {
        for wrong in [
            "logs",
            "s3://",
            "s3://a",
            "s3://Logs",
            "s3://logs/../x",
            "s3://logs//x",
            "s3://k:s@logs",
            "file://x",
            "gs://logs",
        ] {
            assert!(
                load(&[("ADE_OBJECT_STORE", wrong)]).unwrap_err().to_string().contains("ADE_OBJECT_STORE"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_secret_is_shown_nowhere_and_no_child_gets_it() {
        let settings = load(&BUCKET).unwrap();
        let shown = format!("{settings:?}{}", settings.effective());
        assert!(!shown.contains("very-secret"), "{shown}");
        assert!(!settings.effective().contains("key-that-is-known"));
        assert_eq!(settings.environment.keys().collect::<Vec<_>>(), ["ADE_OBJECT_STORE"]);
    }
}
