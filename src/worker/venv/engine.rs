//! The engine that builds install: where it comes from, and its files made ready for installers.
//!
//! Invariant: what is handed to an installer is what was digested. Installers remember what they made of a path and
//! write into it, so a directory is copied to a place that its content names, and the copy is never changed.

use std::io;
use std::path::{Path, PathBuf};

use crate::assets;
use crate::files::Location;
use crate::package::{self, Staging, TreeError};

/// Where an engine comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineSpec {
    /// The one inside this program.
    Builtin,
    /// A package's directory, a wheel or a source archive.
    Path(PathBuf),
    /// Anything else that an installer understands.
    Requirement(String),
}

/// Why there is nothing to hand to an installer.
#[derive(Debug, thiserror::Error)]
pub enum NoEngine {
    #[error("the engine {0} does not exist")]
    Missing(PathBuf),
    #[error("the engine {0} is not a Python package: it has neither pyproject.toml nor setup.py")]
    NoPackage(PathBuf),
    #[error("the engine's files cannot be read: {0}")]
    Tree(#[from] TreeError),
    #[error("the engine's files cannot be made ready: {0}")]
    Io(#[from] io::Error),
}

/// What an installer gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Requirement(String),
    /// A wheel, or an archive of sources.
    Path(PathBuf),
    /// A directory that its content names: what was made of it once is good for ever.
    Copy(PathBuf),
}

/// What is handed to the installer as the engine, and what identifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Or why there is none, which is for the build to tell.
    pub install: Result<Source, String>,
    pub digest: Option<String>,
    pub version_hint: Option<String>,
}

/// What tells an engine from another before anything is made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineId {
    /// Where its files are at hand.
    pub digest: Option<String>,
    pub version_hint: Option<String>,
}

/// Project files are written by hand; no sensible one comes near.
const LARGEST_PROJECT: u64 = 1024 * 1024;

impl EngineSpec {
    /// A path is what looks like one, as installers see it, or is a directory; everything else goes to the installer as
    /// it is. Paths become absolute, since children work elsewhere.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let is_archive = [".whl", ".tar.gz", ".zip"].iter().any(|end| text.ends_with(end));
        let looks_like_path = !text.contains("://") && (text.contains('/') || text.starts_with('.') || is_archive);
        match text {
            "builtin" => Self::Builtin,
            _ if looks_like_path || Path::new(text).is_dir() => {
                Self::Path(std::path::absolute(text).unwrap_or_else(|_| text.into()))
            }
            requirement => Self::Requirement(requirement.to_owned()),
        }
    }

    /// The version that is known before anything is installed: pinned, or written in the directory's project file.
    pub fn version_hint(&self) -> Option<String> {
        match self {
            Self::Builtin => None,
            Self::Path(path) => {
                let project = Location::below(path, "pyproject.toml").read(LARGEST_PROJECT).ok()?;
                project_version(std::str::from_utf8(&project).ok()?)
            }
            Self::Requirement(text) => pinned(text),
        }
    }

    /// Blocks.
    fn digest(&self) -> Option<String> {
        match self {
            Self::Requirement(_) => None,
            Self::Builtin => Some(assets::engine_digest().to_owned()),
            Self::Path(path) if path.is_file() => package::file_digest(path).ok(),
            Self::Path(path) if is_package(path) => package::content_digest(path).ok(),
            Self::Path(_) => None,
        }
    }

    /// What the installer gets, and its digest where the files are at hand. Blocks.
    fn source(&self, data_dir: &Path) -> Result<(Source, Option<String>), NoEngine> {
        let copied = |(path, digest)| (Source::Copy(path), Some(digest));
        match self {
            Self::Requirement(requirement) => Ok((Source::Requirement(requirement.clone()), None)),
            Self::Builtin => Ok(copied(write_builtin(data_dir)?)),
            Self::Path(path) if path.is_file() => Ok((Source::Path(path.clone()), Some(package::file_digest(path)?))),
            Self::Path(path) if !path.exists() => Err(NoEngine::Missing(path.clone())),
            Self::Path(path) if !is_package(path) => Err(NoEngine::NoPackage(path.clone())),
            Self::Path(directory) => Ok(copied(copy_directory(data_dir, directory)?)),
        }
    }
}

/// Looks at the engine without making anything ready. Blocks.
pub fn identify_engine(spec: &str) -> EngineId {
    let spec = EngineSpec::parse(spec);
    EngineId { digest: spec.digest(), version_hint: spec.version_hint() }
}

/// Makes the engine's files ready. One that cannot be had is no error here: the build that needs it says so. Blocks.
pub fn ready_engine(data_dir: &Path, spec: &str) -> Engine {
    let spec = EngineSpec::parse(spec);
    let version_hint = spec.version_hint();
    match spec.source(data_dir) {
        Ok((install, digest)) => Engine { install: Ok(install), digest, version_hint },
        Err(why) => Engine { install: Err(why.to_string()), digest: None, version_hint },
    }
}

fn is_package(directory: &Path) -> bool {
    ["pyproject.toml", "setup.py"].iter().any(|name| directory.join(name).is_file())
}

fn place(data_dir: &Path, digest: &str) -> Location {
    Location::below(data_dir, Path::new("cache/engine").join(hex(digest)))
}

fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

fn write_builtin(data_dir: &Path) -> io::Result<(PathBuf, String)> {
    let digest = assets::engine_digest().to_owned();
    let place = place(data_dir, &digest);
    if place.open().is_err() {
        let staging = Staging::beside(&place)?;
        staging.write(assets::engine_files())?;
        unless_there(&place, staging.commit())?;
    }
    Ok((place.path(), digest))
}

/// Another may have been quicker with the same content.
fn unless_there(place: &Location, moved: io::Result<()>) -> io::Result<()> {
    moved.or_else(|error| if place.open().is_ok() { Ok(()) } else { Err(error) })
}

/// The directory may be edited meanwhile: the digest that counts is that of the copy.
fn copy_directory(data_dir: &Path, directory: &Path) -> Result<(PathBuf, String), NoEngine> {
    let digest = package::content_digest(directory)?;
    let known = place(data_dir, &digest);
    if known.open().is_ok() {
        return Ok((known.path(), digest));
    }
    let (staging, digest) = package::stage_copy(directory, &known)?;
    let place = place(data_dir, &digest);
    if place.open().is_err() {
        unless_there(&place, staging.commit_as(hex(&digest)))?;
    }
    Ok((place.path(), digest))
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
    use std::fs;

    use super::*;

    #[test]
    fn many_may_make_the_same_engine_ready_at_once() {
        for _ in 0..20 {
            let data = tempfile::tempdir().unwrap();
            let made: Vec<Engine> = std::thread::scope(|scope| {
                let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| ready_engine(data.path(), "builtin"))).collect();
                makers.into_iter().map(|maker| maker.join().unwrap()).collect()
            });
            assert!(made.iter().all(|engine| engine.install.is_ok()), "{made:?}");
        }
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

    #[test]
    fn a_path_is_told_from_a_requirement() {
        for text in ["/opt/engine", "./engine", "..", "engines/ade", "ade_engine-1-py3-none-any.whl", "src", "/x@1/y"] {
            let EngineSpec::Path(path) = EngineSpec::parse(text) else { panic!("{text}") };
            assert!(path.is_absolute() && path.ends_with(Path::new(text).file_name().unwrap_or_default()), "{path:?}");
        }
        for text in ["ade-engine", "ade-engine==1.2", "git+https://host/x@main", "ade-engine @ file:///opt/x.whl"] {
            assert_eq!(EngineSpec::parse(text), EngineSpec::Requirement(text.into()));
        }
        assert_eq!(EngineSpec::parse(" builtin "), EngineSpec::Builtin);
    }

    #[test]
    fn the_copy_of_a_folder_is_named_by_its_content() {
        let root = tempfile::tempdir().unwrap();
        let (data, directory) = (root.path().join("data"), root.path().join("engine"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("pyproject.toml"), "[project]\nversion = \"2.0\"\n").unwrap();
        let spec = directory.display().to_string();
        let first = ready_engine(&data, &spec);
        assert_eq!(ready_engine(&data, &spec), first);
        assert_eq!(first.version_hint.as_deref(), Some("2.0"));
        let Ok(Source::Copy(copy)) = &first.install else { panic!("{first:?}") };
        assert_eq!(package::content_digest(copy).unwrap(), first.digest.clone().unwrap());
        let identified = EngineId { digest: first.digest.clone(), version_hint: first.version_hint.clone() };
        assert_eq!(identify_engine(&spec), identified);
        fs::write(directory.join("x.py"), "").unwrap();
        let second = ready_engine(&data, &spec);
        assert!(second.install != first.install && second.digest != first.digest);
        assert!(!copy.join("x.py").exists(), "the first copy is as it was");
        assert_eq!(fs::read_dir(data.join("cache/engine")).unwrap().count(), 2, "nothing is left beside the copies");
    }

    #[test]
    fn what_cannot_be_installed_says_why() {
        let root = tempfile::tempdir().unwrap();
        let why = |path: &Path| ready_engine(root.path(), &path.display().to_string()).install.unwrap_err();
        let missing = root.path().join("nowhere");
        assert_eq!(why(&missing), format!("the engine {} does not exist", missing.display()));
        let empty = root.path().join("empty");
        fs::create_dir(&empty).unwrap();
        assert!(why(&empty).contains("neither pyproject.toml nor setup.py"), "{}", why(&empty));
        fs::write(empty.join("pyproject.toml"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", empty.join("link")).unwrap();
        assert!(why(&empty).contains("neither a file nor a directory"), "{}", why(&empty));
    }

    #[test]
    fn the_content_of_an_archive_counts() {
        let root = tempfile::tempdir().unwrap();
        let wheel = root.path().join("ade_engine-1-py3-none-any.whl");
        fs::write(&wheel, "one").unwrap();
        let first = ready_engine(root.path(), &wheel.display().to_string());
        fs::write(&wheel, "two").unwrap();
        let second = ready_engine(root.path(), &wheel.display().to_string());
        assert_eq!(first.install, Ok(Source::Path(wheel)));
        assert!(first.install == second.install && first.digest != second.digest);
    }
}
