//! The six steps that make a venv, as data: who runs them decides about time, output and events.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use ulid::Ulid;

use super::engine::Source;
use super::installer::Installer;
use super::python::Interpreter;
use super::terms::{BuildTerms, Terms};
use super::{args, command};
use crate::domain::BuildId;
use crate::domain::failure::BuildErrorCode;
use crate::event::payload::build::{Phase, VenvMetadata};
use crate::package::STAGING;
use crate::worker::process::{ChildSpec, Marker};

/// All that the steps depend on.
#[derive(Debug, Clone)]
pub struct VenvPlan<'a> {
    pub build_id: BuildId,
    /// The build's own directory; the venv is made in its `.venv`.
    pub directory: &'a Path,
    pub python: &'a Interpreter,
    pub installer: &'a Installer,
    /// As the operator wrote it; for messages.
    pub engine_spec: &'a str,
    /// Where there is none, the message for the step that would install it.
    pub engine: Result<&'a Source, &'a str>,
    /// A copy of the configuration, for this build alone.
    pub configuration: &'a Path,
    pub data: &'a Path,
    pub terms: &'a BuildTerms,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub phase: Phase,
    pub message: String,
    pub work: Work,
    /// Why the build failed, when this step did.
    pub error: BuildErrorCode,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    Run(Box<ChildSpec>),
    Wheel(Box<WheelInstall>),
    Verify(Box<Verification>),
    /// Nothing to do, and why.
    Skip(&'static str),
    /// It cannot be done, and why.
    Refuse(String),
}

/// What is asked of an environment before it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Whether every package has what it requires: what is installed later may have replaced it.
    pub requirements: ChildSpec,
    pub imports: ChildSpec,
}

/// Installing what is made of a directory only once: installers rebuild it for each venv.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelInstall {
    /// The directory that holds the wheel, whole, if it is there.
    pub kept: PathBuf,
    /// Where it is made.
    pub fresh: PathBuf,
    pub make: ChildSpec,
    /// Lacks only the wheel.
    pub install: ChildSpec,
}

/// The last line that this prints is a [`Versions`].
const VERIFY: &str = "import ade_engine, ade_config\n\
    import json, platform\n\
    from importlib import metadata, resources\n\
    def version(name):\n\
    \x20   try: return metadata.version(name)\n\
    \x20   except metadata.PackageNotFoundError: return None\n\
    def manifest():\n\
    \x20   try: return json.loads(resources.files('ade_config').joinpath('manifest.json').read_text('utf-8'))\n\
    \x20   except (OSError, ValueError): return None\n\
    found = manifest()\n\
    config = found.get('version') if isinstance(found, dict) else None\n\
    engine = version('ade-engine') or getattr(ade_engine, '__version__', None)\n\
    print(json.dumps({'python': platform.python_version(), 'engine': engine, 'config': config}))";

impl VenvPlan<'_> {
    pub fn venv(&self) -> PathBuf {
        self.directory.join(".venv")
    }

    /// The steps, in their order.
    pub fn steps(&self) -> Vec<Step> {
        let python = self.venv().join("bin/python");
        let verify = Work::Verify(Box::new(Verification {
            requirements: self.check_requirements(&python),
            imports: self.command(&self.terms.imports, &python, args!["-I", "-B", "-c", VERIFY]),
        }));
        let version = self.run(&self.terms.imports, &python, args!["-I", "-B", "-m", "ade_engine", "version"]);
        let engine = format!("installing engine: {}", without_credentials(self.engine_spec));
        let install_engine = match self.engine {
            Ok(Source::Requirement(engine)) => self.install_requirement(&python, engine),
            Ok(Source::Path(engine)) => self.install(&self.terms.service, &python, engine),
            Ok(Source::Copy(directory)) => self.install_wheel(&python, directory),
            Err(why) => Work::Refuse(why.to_owned()),
        };
        let step = |phase, message: &str, error, work| Step { phase, message: message.to_owned(), work, error };
        use BuildErrorCode::*;
        vec![
            step(Phase::CreateVenv, "creating virtual environment", VenvCreateFailed, self.create_venv()),
            step(Phase::UpgradePip, "upgrading pip", PipUpgradeFailed, self.upgrade_pip(&python)),
            step(Phase::InstallEngine, &engine, EngineInstallFailed, install_engine),
            step(
                Phase::InstallConfig,
                "installing configuration package",
                ConfigInstallFailed,
                self.install(&self.terms.package, &python, self.configuration),
            ),
            step(Phase::VerifyImports, "verifying imports of engine and configuration", ImportCheckFailed, verify),
            step(Phase::CollectMetadata, "collecting metadata", MetadataFailed, version),
        ]
    }

    fn create_venv(&self) -> Work {
        match self.installer {
            Installer::Uv(uv) => self.run(
                &self.terms.service,
                uv,
                args!["venv", "--no-project", "--python", &self.python.path, self.venv()],
            ),
            // Unpacking the bundled pip takes most of the time; the next step brings a newer one anyway.
            Installer::Pip if self.python.pip => {
                self.run(&self.terms.service, &self.python.path, args!["-m", "venv", "--without-pip", self.venv()])
            }
            Installer::Pip => self.run(&self.terms.service, &self.python.path, args!["-m", "venv", self.venv()]),
        }
    }

    fn upgrade_pip(&self, python: &Path) -> Work {
        match self.installer {
            Installer::Uv(_) => Work::Skip("uv installs without pip"),
            Installer::Pip => {
                let mut args = args!["-m", "pip", "install", "--no-input", "--upgrade", "pip"];
                if !self.python.pip {
                    return self.run(&self.terms.service, python, args);
                }
                args.splice(2..2, args!["--python", python]);
                self.run(&self.terms.service, &self.python.path, args)
            }
        }
    }

    fn install_requirement(&self, python: &Path, requirement: &str) -> Work {
        let mut install = self.installing(&self.terms.service, python);
        install.args.push(requirement.into());
        Work::Run(Box::new(install))
    }

    fn install(&self, terms: &Terms, python: &Path, path: &Path) -> Work {
        Work::Run(Box::new(naming(self.installing(terms, python), path)))
    }

    /// A wheel may be of one version of Python only.
    fn install_wheel(&self, python: &Path, directory: &Path) -> Work {
        let content = directory.file_name().unwrap_or_default().to_string_lossy();
        let kept = self.data.join("cache/wheels").join(format!("{content}-{}", self.python.version));
        let fresh = kept.with_file_name(format!("{STAGING}{}", Ulid::generate()));
        let terms = &self.terms.service;
        let make = match self.installer {
            Installer::Uv(uv) => {
                self.command(terms, uv, args!["build", "--wheel", "--python", python, "--out-dir", &fresh])
            }
            Installer::Pip => {
                let args =
                    args!["wheel", "--no-input", "--disable-pip-version-check", "--no-deps", "--wheel-dir", &fresh];
                self.pip(terms, python, args)
            }
        };
        let make = naming(make, directory);
        Work::Wheel(Box::new(WheelInstall { kept, fresh, make, install: self.installing(terms, python) }))
    }

    /// Lacks what to install.
    fn installing(&self, terms: &Terms, python: &Path) -> ChildSpec {
        match self.installer {
            Installer::Uv(uv) => self.command(terms, uv, args!["pip", "install", "--python", python]),
            Installer::Pip => self.pip(terms, python, args!["install", "--no-input", "--disable-pip-version-check"]),
        }
    }

    fn check_requirements(&self, python: &Path) -> ChildSpec {
        let terms = &self.terms.imports;
        match self.installer {
            Installer::Uv(uv) => self.command(terms, uv, args!["pip", "check", "--python", python]),
            Installer::Pip => self.pip(terms, python, args!["check", "--disable-pip-version-check"]),
        }
    }

    /// Isolated: a module in the directory where it works is not taken for one of pip's.
    fn pip(&self, terms: &Terms, python: &Path, args: Vec<OsString>) -> ChildSpec {
        self.command(terms, python, [args!["-I", "-m", "pip"], args].concat())
    }

    fn run(&self, terms: &Terms, program: &Path, args: Vec<OsString>) -> Work {
        Work::Run(Box::new(self.command(terms, program, args)))
    }

    fn command(&self, terms: &Terms, program: &Path, args: Vec<OsString>) -> ChildSpec {
        let Terms { environment, policy } = terms.clone();
        let spec = command(program, args, self.directory, environment, Marker::build(self.build_id));
        ChildSpec { policy, ..spec }
    }
}

/// The command with a file or directory by its name alone, where that lies. Of a whole path, installers take some
/// characters for parts of a URL, of a requirement or of a variable, and it is the operator who has named the
/// directories above.
pub fn naming(mut command: ChildSpec, path: &Path) -> ChildSpec {
    command.args.push(Path::new(".").join(path.file_name().unwrap_or_default()).into());
    path.parent().unwrap_or(path).clone_into(&mut command.cwd);
    command
}

/// What `verify_imports` found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Versions {
    python: Option<String>,
    engine: Option<String>,
    config: Option<String>,
}

/// What `ade_engine version` says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct EngineVersion {
    version: String,
    #[serde(default)]
    capabilities: Option<Vec<String>>,
}

/// Reads the last lines of the stdout of `verify_imports` and `collect_metadata`; `None` when either is not the
/// JSON it should be.
pub fn metadata(verified: &str, collected: &str) -> Option<VenvMetadata> {
    let versions: Versions = serde_json::from_str(verified).ok()?;
    let engine: EngineVersion = serde_json::from_str(collected).ok()?;
    Some(VenvMetadata {
        python_version: versions.python,
        engine_version: versions.engine.or(Some(engine.version)),
        config_version: versions.config,
        capabilities: engine.capabilities,
    })
}

/// A requirement may be an address with a password in it, and messages are for everyone.
pub fn without_credentials(spec: &str) -> String {
    let Some((scheme, rest)) = spec.split_once("://") else { return spec.to_owned() };
    let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..host].rfind('@') {
        Some(at) => format!("{scheme}://***@{}", &rest[at + 1..]),
        None => spec.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolation::Policy;

    fn lines(installer: &Installer, pip: bool) -> Vec<String> {
        let python = Interpreter { path: "/usr/bin/python3.11".into(), version: "3.11.7".into(), pip, homes: vec![] };
        let terms = BuildTerms::open([("PATH".into(), "/bin".into())].into());
        let engine = Source::Requirement("git+https://me:secret@host/engine.git@main".to_owned());
        let plan = VenvPlan {
            build_id: BuildId::generate(),
            directory: Path::new("/venvs/b"),
            python: &python,
            installer,
            engine_spec: "git+https://me:secret@host/engine.git@main",
            engine: Ok(&engine),
            configuration: Path::new("/venvs/b/configuration"),
            data: Path::new("/data"),
            terms: &terms,
        };
        let steps = plan.steps();
        assert_eq!(steps.iter().map(|step| step.phase).collect::<Vec<_>>(), Phase::ALL);
        assert!(steps.iter().all(|step| !step.message.contains("secret")), "{steps:?}");
        steps.iter().map(|step| line(&step.work)).collect()
    }

    fn line(work: &Work) -> String {
        let words = |spec: &ChildSpec| {
            assert_eq!(spec.env.len(), 1);
            let words = std::iter::once(spec.program.as_os_str()).chain(spec.args.iter().map(|arg| arg.as_os_str()));
            let words = words.map(|word| word.to_str().unwrap()).filter(|word| !word.contains('\n'));
            words.collect::<Vec<_>>().join(" ")
        };
        match work {
            Work::Run(spec) => words(spec),
            Work::Verify(verify) => format!("{}; {}", words(&verify.requirements), words(&verify.imports)),
            _ => "-".into(),
        }
    }

    #[test]
    fn what_was_uploaded_runs_on_terms_of_its_own() {
        let named = |name: &str| Terms { environment: [(name.into(), "".into())].into(), policy: Policy::default() };
        let terms =
            BuildTerms { service: named("service"), package: named("package"), imports: named("imports"), user: None };
        let python =
            Interpreter { path: "/usr/bin/python3".into(), version: "3.11.7".into(), pip: true, homes: vec![] };
        let (engine, uv) = (Source::Copy("/data/cache/engine/c0ffee".into()), Installer::Uv("/opt/uv".into()));
        for installer in [Installer::Pip, uv] {
            let plan = VenvPlan {
                build_id: BuildId::generate(),
                directory: Path::new("/venvs/b"),
                python: &python,
                installer: &installer,
                engine_spec: "builtin",
                engine: Ok(&engine),
                configuration: Path::new("/venvs/b/configuration"),
                data: Path::new("/data"),
                terms: &terms,
            };
            let of = |spec: &ChildSpec| spec.env.keys().next().unwrap().to_str().unwrap().to_owned();
            for Step { phase, work, .. } in plan.steps() {
                let expected = match phase {
                    Phase::InstallConfig => "package",
                    Phase::VerifyImports | Phase::CollectMetadata => "imports",
                    _ => "service",
                };
                match work {
                    Work::Run(spec) => assert_eq!(of(&spec), expected, "{phase}"),
                    Work::Wheel(wheel) => assert_eq!([of(&wheel.make), of(&wheel.install)], [expected; 2]),
                    Work::Verify(verify) => assert_eq!([of(&verify.requirements), of(&verify.imports)], [expected; 2]),
                    Work::Skip(_) | Work::Refuse(_) => {}
                }
            }
        }
    }

    #[test]
    fn the_steps_with_uv() {
        let engine = "git+https://me:secret@host/engine.git@main";
        let expected = [
            "/opt/uv venv --no-project --python /usr/bin/python3.11 /venvs/b/.venv".into(),
            "-".into(),
            format!("/opt/uv pip install --python /venvs/b/.venv/bin/python {engine}"),
            "/opt/uv pip install --python /venvs/b/.venv/bin/python ./configuration".into(),
            "/opt/uv pip check --python /venvs/b/.venv/bin/python; /venvs/b/.venv/bin/python -I -B -c".into(),
            "/venvs/b/.venv/bin/python -I -B -m ade_engine version".into(),
        ];
        assert_eq!(lines(&Installer::Uv("/opt/uv".into()), true), expected);
    }

    #[test]
    fn the_steps_with_pip() {
        let quick = lines(&Installer::Pip, true);
        assert_eq!(quick[0], "/usr/bin/python3.11 -m venv --without-pip /venvs/b/.venv");
        let python = "/venvs/b/.venv/bin/python";
        assert_eq!(quick[1], format!("/usr/bin/python3.11 -m pip --python {python} install --no-input --upgrade pip"));
        let lines = lines(&Installer::Pip, false);
        assert_eq!(lines[2..], quick[2..]);
        assert_eq!(lines[0], "/usr/bin/python3.11 -m venv /venvs/b/.venv");
        assert_eq!(lines[1], "/venvs/b/.venv/bin/python -m pip install --no-input --upgrade pip");
        let install = "/venvs/b/.venv/bin/python -I -m pip install --no-input --disable-pip-version-check";
        assert_eq!(lines[3], format!("{install} ./configuration"));
        assert_eq!(lines[4], format!("{python} -I -m pip check --disable-pip-version-check; {python} -I -B -c"));
    }

    #[test]
    fn a_wheel_is_kept_for_each_content_and_version_of_python() {
        let (engine, terms) = (Source::Copy("/data/cache/engine/c0ffee".into()), BuildTerms::default());
        let wheel_of = |version: &str, installer: &Installer| {
            let (path, version) = ("/usr/bin/python3".into(), version.into());
            let python = Interpreter { path, version, pip: true, homes: vec![] };
            let plan = VenvPlan {
                build_id: BuildId::generate(),
                directory: Path::new("/venvs/b"),
                python: &python,
                installer,
                engine_spec: "builtin",
                engine: Ok(&engine),
                configuration: Path::new("/venvs/b/configuration"),
                data: Path::new("/data"),
                terms: &terms,
            };
            let Work::Wheel(wheel) = plan.steps().remove(2).work else { panic!("a copy is made into a wheel") };
            *wheel
        };
        let words = |spec: &ChildSpec| spec.args.iter().map(|arg| arg.to_str().unwrap().to_owned()).collect::<Vec<_>>();
        for installer in [Installer::Pip, Installer::Uv("/opt/uv".into())] {
            let wheel = wheel_of("3.11.7", &installer);
            assert_eq!(wheel.kept, Path::new("/data/cache/wheels/c0ffee-3.11.7"));
            assert_eq!(wheel.fresh.parent(), wheel.kept.parent());
            assert_ne!(wheel.fresh, wheel_of("3.11.7", &installer).fresh, "each makes its own");
            let made = words(&wheel.make);
            assert_eq!(made[made.len() - 2..], [wheel.fresh.to_str().unwrap(), "./c0ffee"]);
            assert_eq!(wheel.make.cwd, Path::new("/data/cache/engine"));
            assert!(words(&wheel.install).contains(&"install".to_owned()));
            assert_eq!(wheel_of("3.12.0", &installer).kept, Path::new("/data/cache/wheels/c0ffee-3.12.0"));
        }
    }

    #[test]
    fn metadata_needs_both_answers() {
        let verified = r#"{"python": "3.11.7", "engine": "0.2.0", "config": null}"#;
        let found = metadata(verified, r#"{"version": "0.2.0", "capabilities": ["validate"]}"#).unwrap();
        assert_eq!(found.engine_version.as_deref(), Some("0.2.0"));
        assert_eq!((found.config_version, found.capabilities), (None, Some(vec!["validate".to_owned()])));
        assert!(metadata(verified, r#"{"version": "0.2.0"}"#).unwrap().capabilities.is_none());
        assert_eq!(metadata(verified, "usage: ..."), None);
        assert_eq!(metadata("", r#"{"version": "0.2.0"}"#), None);
    }

    #[test]
    fn passwords_are_not_shown() {
        for (spec, shown) in [
            ("ade-engine==1", "ade-engine==1"),
            ("git+https://host/x@main", "git+https://host/x@main"),
            ("git+https://u:p@ss@host/x@main", "git+https://***@host/x@main"),
            ("https://token@host", "https://***@host"),
        ] {
            assert_eq!(without_credentials(spec), shown);
        }
    }
}
