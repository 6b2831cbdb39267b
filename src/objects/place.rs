//! Where objects are, as the settings name it.

use std::path::PathBuf;

use secrecy::SecretString;

/// Where objects are.
#[derive(Debug, Clone)]
pub enum Place {
    /// A directory that exists, such as a share; and the file that says which one it is.
    Directory {
        path: PathBuf,
        record: Option<PathBuf>,
    },
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
