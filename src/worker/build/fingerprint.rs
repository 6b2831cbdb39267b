//! What makes two venvs the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Everything that a venv depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FingerprintInputs<'a> {
    /// Of the configuration.
    pub content_digest: &'a str,
    pub engine_spec: &'a str,
    /// Of the engine's files, where they are at hand: the embedded ones, or a folder's.
    pub engine_digest: Option<&'a str>,
    pub engine_version: Option<&'a str>,
    pub python_version: &'a str,
    pub python_path: &'a Path,
    pub installer: &'a str,
}

/// Lower-case hex SHA-256 of the inputs as JSON with sorted keys and no spaces.
pub fn fingerprint(inputs: &FingerprintInputs<'_>) -> String {
    let path = inputs.python_path.to_string_lossy();
    let canonical: BTreeMap<&str, Value> = BTreeMap::from([
        ("content_digest", inputs.content_digest.into()),
        ("engine_digest", inputs.engine_digest.into()),
        ("engine_spec", inputs.engine_spec.into()),
        ("engine_version", inputs.engine_version.into()),
        ("installer", inputs.installer.into()),
        ("python_path", path.as_ref().into()),
        ("python_version", inputs.python_version.into()),
    ]);
    let json = serde_json::to_vec(&canonical).expect("strings serialise to JSON");
    Sha256::digest(&json).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where an engine comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineSpec {
    /// The one inside this program.
    Builtin,
    Folder(PathBuf),
    /// Anything else that an installer understands.
    Requirement(String),
}

impl EngineSpec {
    /// A folder is what is one; everything else goes to the installer as it is.
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "builtin" => Self::Builtin,
            path if Path::new(path).is_dir() => Self::Folder(path.into()),
            requirement => Self::Requirement(requirement.to_owned()),
        }
    }

    /// The version that is known before anything is installed: pinned, or written in the folder's project file.
    pub fn version_hint(&self) -> Option<String> {
        match self {
            Self::Builtin => None,
            Self::Folder(folder) => project_version(&std::fs::read_to_string(folder.join("pyproject.toml")).ok()?),
            Self::Requirement(text) => pinned(text),
        }
    }
}

/// `project.version` of a `pyproject.toml`.
pub fn project_version(pyproject: &str) -> Option<String> {
    let document = toml::de::DeTable::parse(pyproject).ok()?;
    let project = document.get_ref().get("project")?.get_ref().as_table()?;
    Some(project.get("version")?.get_ref().as_str()?.to_owned())
}

/// The version of `name==1.2`; not of a range, nor of a prefix such as `==1.*`.
fn pinned(requirement: &str) -> Option<String> {
    let requirement = requirement.split(';').next()?;
    let (_, version) = requirement.split_once("==")?;
    let version = version.trim_start_matches('=').trim();
    let exact = version.starts_with(|first: char| first.is_ascii_alphanumeric())
        && version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '!' | '-' | '_'));
    exact.then(|| version.to_owned())
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

    #[test]
    fn a_version_is_known_only_when_it_is_fixed() {
        for (text, version) in [
            ("ade-engine==1.2.3", Some("1.2.3")),
            ("ade-engine[x] == 1.2 ; python_version > '3'", Some("1.2")),
            ("ade-engine===1.2+local", Some("1.2+local")),
            ("ade-engine==1.*", None),
            ("ade-engine==1.2,!=1.3", None),
            ("ade-engine>=1.2", None),
            ("git+https://host/ade-engine@main", None),
            ("builtin", None),
        ] {
            assert_eq!(EngineSpec::parse(text).version_hint().as_deref(), version, "{text}");
        }
        assert_eq!(project_version("[project]\nname = \"x\"\nversion = \"0.2.0\"").as_deref(), Some("0.2.0"));
        assert_eq!(project_version("[project]\ndynamic = [\"version\"]"), None);
        assert_eq!(project_version("not toml ="), None);
    }
}
