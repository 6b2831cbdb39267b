//! What makes two venvs the same.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Everything that a venv depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FingerprintInputs<'a> {
    /// Of the configuration.
    pub content_digest: &'a str,
    pub engine_spec: &'a str,
    /// Of the engine's files, where they are at hand: the embedded ones, or a directory's.
    pub engine_digest: Option<&'a str>,
    pub engine_version: Option<&'a str>,
    pub python_version: &'a str,
    pub python_path: &'a Path,
    pub installer: &'a str,
    /// The range of user ids, where a venv is its workspace's user's.
    pub users: Option<&'a str>,
}

/// Lower-case hex SHA-256 of the inputs as JSON with sorted keys and no spaces.
pub fn fingerprint(inputs: &FingerprintInputs<'_>) -> String {
    let path = inputs.python_path.to_string_lossy();
    let mut canonical: BTreeMap<&str, Value> = BTreeMap::from([
        ("content_digest", inputs.content_digest.into()),
        ("engine_digest", inputs.engine_digest.into()),
        ("engine_spec", inputs.engine_spec.into()),
        ("engine_version", inputs.engine_version.into()),
        ("installer", inputs.installer.into()),
        ("python_path", path.as_ref().into()),
        ("python_version", inputs.python_version.into()),
    ]);
    // Without, prints are those of old.
    canonical.extend(inputs.users.map(|users| ("users", users.into())));
    let json = serde_json::to_vec(&canonical).expect("strings serialise to JSON");
    format!("{:x}", Sha256::digest(&json))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> FingerprintInputs<'static> {
        FingerprintInputs {
            content_digest: "sha256:aa",
            engine_spec: "builtin",
            engine_digest: Some("bb"),
            engine_version: None,
            python_version: "3.11.7",
            python_path: Path::new("/usr/bin/python3.11"),
            installer: "uv",
            users: None,
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_print() {
        let expected = "d94a1876dc17"; // stored in rows: a change makes every venv anew
        assert_eq!(fingerprint(&inputs()).len(), 64);
        assert_eq!(&fingerprint(&inputs())[..12], expected);
    }

    #[test]
    fn every_input_counts() {
        let base = inputs();
        let others = [
            FingerprintInputs { content_digest: "sha256:ab", ..base.clone() },
            FingerprintInputs { engine_spec: "x", ..base.clone() },
            FingerprintInputs { users: Some("200000-265535"), ..base.clone() },
            FingerprintInputs { engine_digest: None, ..base.clone() },
            FingerprintInputs { engine_version: Some("1"), ..base.clone() },
            FingerprintInputs { python_version: "3.12.1", ..base.clone() },
            FingerprintInputs { python_path: Path::new("/other"), ..base.clone() },
            FingerprintInputs { installer: "pip", ..base.clone() },
        ];
        let mut prints: Vec<_> = others.iter().map(fingerprint).collect();
        prints.push(fingerprint(&base));
        prints.sort();
        prints.dedup();
        assert_eq!(prints.len(), others.len() + 1);
    }
}
