//! Interpreters and the steps of a build, with real ones.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ade::domain::BuildId;
use ade::event::payload::build::Phase;
use ade::worker::process::{ChildSpec, capture};
use ade::worker::venv::build_environment;
use ade::worker::venv::engine::Source;
use ade::worker::venv::installer::{Found, Installer, InstallerChoice, Installers};
use ade::worker::venv::plan::{Step, VenvPlan, Work, metadata};
use ade::worker::venv::python::{Interpreter, NoInterpreter, find};
use ade::worker::venv::terms::BuildTerms;

use crate::launcher;

type Environment = BTreeMap<OsString, OsString>;

fn service() -> Environment {
    std::env::vars_os().collect()
}

fn with_path(folders: &[&Path]) -> Environment {
    let mut service = service();
    let path = folders.iter().map(|folder| folder.to_str().unwrap()).collect::<Vec<_>>().join(":");
    service.insert("PATH".into(), path.into());
    service
}

fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn python() -> Interpreter {
    let given = std::env::var_os("ADE_PYTHON_BIN").map(PathBuf::from);
    find(&launcher(), given.as_deref(), &service()).await.expect("these tests need python 3.11 or newer")
}

#[tokio::test]
async fn the_interpreter_behind_a_shim_is_found() {
    let real = python().await;
    assert!(real.path.is_absolute() && real.path == real.path.canonicalize().unwrap());
    let folder = tempfile::tempdir().unwrap();
    script(folder.path(), "python3.14", "#!/bin/sh\necho 'not installed' >&2; exit 127\n");
    script(folder.path(), "python3.13", "#!/bin/sh\necho '{\"path\":\"/old\",\"version\":[3,10,1]}'\n");
    script(folder.path(), "python3.12", &format!("#!/bin/sh\nexec '{}' \"$@\"\n", real.path.display()));
    assert_eq!(find(&launcher(), None, &with_path(&[folder.path()])).await.unwrap(), real);
}

#[tokio::test]
async fn an_unusable_interpreter_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let old = script(folder.path(), "python3", "#!/bin/sh\necho '{\"path\":\"/old\",\"version\":[3,10,1]}'\n");
    let error = find(&launcher(), Some(&old), &service()).await.unwrap_err();
    assert!(matches!(&error, NoInterpreter::Given { reason, .. } if reason.contains("3.10.1 is too old")), "{error}");
    let error = find(&launcher(), None, &with_path(&[folder.path()])).await.unwrap_err();
    assert!(error.to_string().contains("3.10.1"), "{error}");
    let error = find(&launcher(), Some(Path::new("/no/python")), &service()).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[tokio::test]
async fn a_working_uv_on_the_path_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let (broken, good) = (folder.path().join("broken"), folder.path().join("good"));
    fs::create_dir_all(&broken).unwrap();
    fs::create_dir_all(&good).unwrap();
    script(&broken, "uv", "#!/bin/sh\nexit 1\n");
    let uv = script(&good, "uv", "#!/bin/sh\necho uv 0.0.0\n");
    let none = Interpreter { path: "/no/python".into(), version: String::new(), pip: false, homes: Vec::new() };
    let find = async |choice, folders: &[&Path]| {
        Installers::new(launcher(), choice, folder.path().to_owned(), with_path(folders)).find(&none).await
    };
    let found = |installer| Found { installer, regret: None };
    assert_eq!(find(InstallerChoice::Auto, &[&broken, &good]).await.unwrap(), found(Installer::Uv(uv)));
    assert_eq!(find(InstallerChoice::Pip, &[&good]).await.unwrap(), found(Installer::Pip));
    let Found { installer, regret } = find(InstallerChoice::Auto, &[&broken]).await.unwrap();
    assert_eq!(installer, Installer::Pip);
    assert!(regret.is_some_and(|regret| regret.contains("/no/python")), "it says why there is no uv");
    assert!(find(InstallerChoice::Uv, &[&broken]).await.is_err());
}

/// Runs a step; its last line of stdout.
async fn run(step: &Step) -> Option<String> {
    let spec: &ChildSpec = match &step.work {
        Work::Run(spec) => spec,
        Work::Verify(verify) => &verify.imports,
        _ => return None,
    };
    let said = capture(&launcher(), spec, Duration::from_secs(300)).await.unwrap();
    assert!(said.exit.succeeded(), "{}: {:?} {:?}", step.phase, said.stdout, said.stderr);
    said.stdout.back().cloned()
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Packages as an installer would leave them, so that no index is needed.
fn put_packages(venv: &Path) {
    let lib = fs::read_dir(venv.join("lib")).unwrap().next().unwrap().unwrap().path();
    let site = lib.join("site-packages");
    write(&site, "ade_engine/__init__.py", "__version__ = '0.2.0'");
    write(&site, "ade_engine/__main__.py", "print('{\"version\": \"0.2.0\", \"capabilities\": [\"validate\"]}')");
    write(&site, "ade_config/__init__.py", "print('noise on import')");
    write(&site, "ade_config/manifest.json", "{\"version\": \"4.5.6\"}");
}

#[tokio::test]
async fn a_venv_is_created_and_described() {
    let folder = tempfile::tempdir().unwrap();
    let (python, environment) = (python().await, build_environment(&service(), folder.path()).await);
    let plan = VenvPlan {
        build_id: BuildId::generate(),
        directory: folder.path(),
        python: &python,
        installer: &Installer::Pip,
        engine_spec: "builtin",
        engine: Err("unused"),
        configuration: folder.path(),
        data: folder.path(),
        terms: &BuildTerms::open(environment.clone()),
    };
    let steps = plan.steps();
    run(&steps[0]).await;
    put_packages(&plan.venv());
    let verified = run(&steps[4]).await.unwrap();
    let collected = run(&steps[5]).await.unwrap();
    let found = metadata(&verified, &collected).unwrap();
    assert_eq!(found.python_version.as_deref(), Some(python.version.as_str()));
    assert_eq!(found.engine_version.as_deref(), Some("0.2.0"));
    assert_eq!(found.config_version.as_deref(), Some("4.5.6"));
    assert_eq!(found.capabilities, Some(vec!["validate".to_owned()]));
}

/// Packages of the usual form, from source.
fn put_sources(folder: &Path) -> (PathBuf, PathBuf) {
    let project = |name: &str, package: &str, dependencies: &str| {
        let root = folder.join(name);
        let text = format!(
            "[build-system]\nrequires = [\"flit_core>=3.9,<4\"]\nbuild-backend = \"flit_core.buildapi\"\n\
             [project]\nname = \"{name}\"\nversion = \"1.0.0\"\ndescription = \"x\"\ndependencies = [{dependencies}]\n\
             [tool.flit.module]\nname = \"{package}\"\n"
        );
        write(&root, "pyproject.toml", &text);
        write(&root, &format!("src/{package}/__init__.py"), "");
        root
    };
    let engine = project("ade-engine", "ade_engine", "\"openpyxl>=3.1,<4\"");
    write(&engine, "src/ade_engine/__main__.py", "print('{\"version\": \"1.0.0\"}')");
    let configuration = project("ade-config", "ade_config", "");
    write(&configuration, "src/ade_config/manifest.json", "{\"version\": \"2.0.0\"}");
    (engine, configuration)
}

/// Builds twice with one cache; how long the second one's steps took.
async fn build_warm(choice: InstallerChoice) -> Vec<(Phase, Duration)> {
    let folder = tempfile::tempdir().unwrap();
    let (python, service) = (python().await, service());
    let data = folder.path().join("data");
    let Found { installer, .. } =
        Installers::new(launcher(), choice, data.clone(), service.clone()).find(&python).await.unwrap();
    let environment = build_environment(&service, &data).await;
    let (engine, configuration) = put_sources(folder.path());
    let mut took = Vec::new();
    for round in ["cold", "warm"] {
        took.clear();
        let build = folder.path().join(round);
        write(&build, ".keep", "");
        let plan = VenvPlan {
            build_id: BuildId::generate(),
            directory: &build,
            python: &python,
            installer: &installer,
            engine_spec: "builtin",
            engine: Ok(&Source::Path(engine.clone())),
            configuration: &configuration,
            data: &data,
            terms: &BuildTerms::open(environment.clone()),
        };
        let mut last = Vec::new();
        for step in plan.steps() {
            let begin = Instant::now();
            last.push(run(&step).await.unwrap_or_default());
            took.push((step.phase, begin.elapsed()));
        }
        let found = metadata(&last[4], &last[5]).unwrap();
        assert_eq!((found.engine_version.as_deref(), found.config_version.as_deref()), (Some("1.0.0"), Some("2.0.0")));
    }
    println!("{choice}: {:?} in all, {took:?}", took.iter().map(|(_, time)| *time).sum::<Duration>());
    took
}

#[tokio::test]
#[ignore = "needs a package index; prints the time of each step"]
async fn how_long_a_warm_build_takes_with_uv() {
    build_warm(InstallerChoice::Uv).await;
}

#[tokio::test]
#[ignore = "needs a package index; prints the time of each step"]
async fn how_long_a_warm_build_takes_with_pip() {
    build_warm(InstallerChoice::Pip).await;
}
