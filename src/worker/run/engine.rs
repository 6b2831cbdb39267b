//! The engine's command line and environment, as a pure function of the run.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::domain::run::{RunMode, RunOptions};
use crate::domain::text::clipped;
use crate::domain::{BuildId, ConfigurationId, RunId, WorkspaceId};
use crate::isolation::Policy;
use crate::worker::environment::{self, Environment};
use crate::worker::process::{ChildSpec, Marker, ResourceLimits};

/// Where a dry run writes, in the run's directory; gone when the run has ended.
pub const DRY_RUN_OUTPUT: &str = "dry-run-output";

/// Where an engine writes its events, in the run's directory.
pub const ENGINE_LOGS: &str = "engine-logs";

/// What an engine can do beyond `run`, as its `version` command reports.
pub mod capability {
    /// `ade_engine validate` loads a configuration and stops.
    pub const VALIDATE: &str = "validate";
    /// `--input-dir` takes several documents at once.
    pub const INPUT_DIR: &str = "input_dir";
}

/// The documents, as staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    File(PathBuf),
    Folder(PathBuf),
}

/// All that the engine's command depends on.
#[derive(Debug, Clone)]
pub struct EngineCommand<'a> {
    pub run_id: RunId,
    pub build_id: BuildId,
    pub workspace_id: WorkspaceId,
    pub configuration_id: ConfigurationId,
    pub options: &'a RunOptions,
    /// Staged name to original name.
    pub documents: &'a BTreeMap<String, String>,
    /// The `.venv` of the build.
    pub venv: &'a Path,
    /// The run's own directory, absolute; the engine works there.
    pub directory: &'a Path,
    /// Where the output goes: the run's, or one that is thrown away.
    pub output: &'a Path,
    /// The service's own environment.
    pub service: &'a Environment,
    /// Names that the operator lets engines see.
    pub allow: &'a [String],
    pub limits: ResourceLimits,
    /// What it may reach.
    pub policy: &'a Policy,
    /// Where it puts what it needs for a moment; `None` where it is not isolated, and has the places of the service's user.
    pub temporary: Option<&'a Path>,
}

impl EngineCommand<'_> {
    /// `ade_engine run` on the staged documents.
    pub fn run(&self, input: &Input) -> ChildSpec {
        let (option, path) = match input {
            Input::File(path) => ("--input", path),
            Input::Folder(path) => ("--input-dir", path),
        };
        let mut args = Args::module("run");
        args.option(option, path).option("--output-dir", self.output).option("--logs-dir", self.logs());
        for sheet in &self.options.input_sheet_names {
            args.option("--input-sheet", sheet);
        }
        self.metadata(&mut args);
        self.spec(args)
    }

    /// `ade_engine validate`; only for an engine that has [`capability::VALIDATE`].
    pub fn validate(&self) -> ChildSpec {
        let mut args = Args::module("validate");
        args.option("--logs-dir", self.logs());
        self.metadata(&mut args);
        self.spec(args)
    }

    /// For an engine that cannot validate: the packages can be imported, and the manifest is JSON.
    pub fn check_imports(&self) -> ChildSpec {
        let script = "import ade_engine, ade_config, importlib.resources as r, json; \
                      json.loads(r.files('ade_config').joinpath('manifest.json').read_text('utf-8'))";
        self.spec(Args(["-I", "-B", "-c", script].map(OsString::from).into()))
    }

    /// The directory that the engine writes its events to.
    pub fn logs(&self) -> PathBuf {
        self.directory.join(ENGINE_LOGS)
    }

    /// The service's own come last: of equal keys an engine keeps the last.
    fn metadata(&self, args: &mut Args) {
        for (key, value) in &self.options.metadata {
            args.option("--metadata", format!("{key}={value}"));
        }
        args.option("--metadata", format!("run_id={}", self.run_id));
        args.option("--metadata", format!("configuration_id={}", self.configuration_id));
        args.option("--metadata", format!("workspace_id={}", self.workspace_id));
        args.option("--metadata", format!("context_configuration_id={}", self.configuration_id));
        match self.documents.len() {
            0 => {}
            1 => self.documents.values().for_each(|name| {
                args.option("--metadata", format!("document_name={}", plain(name)));
            }),
            _ => {
                args.option("--metadata", format!("document_names={}", document_names(self.documents)));
            }
        }
    }

    fn spec(&self, args: Args) -> ChildSpec {
        ChildSpec {
            program: self.venv.join("bin/python"),
            args: args.0,
            cwd: self.directory.to_owned(),
            env: self.environment(),
            marker: Marker::run(self.run_id),
            limits: self.limits,
            policy: self.policy.clone(),
            event_lines: true,
        }
    }

    fn environment(&self) -> Environment {
        let listed = |name: &str| self.allow.iter().any(|allowed| allowed == name);
        let mut env = environment::allowed(self.service, listed);
        environment::prepend_path(&mut env, &self.venv.join("bin"));
        if let Some(temporary) = self.temporary {
            environment::live_in(&mut env, temporary);
        }
        let mut set = |name: &str, value: &OsStr| {
            env.insert(name.into(), value.into());
        };
        set("PYTHONUNBUFFERED", "1".as_ref());
        set("VIRTUAL_ENV", self.venv.as_os_str());
        set("ADE_RUN_ID", self.run_id.to_string().as_ref());
        set("ADE_BUILD_ID", self.build_id.to_string().as_ref());
        set("ADE_TELEMETRY_CORRELATION_ID", self.run_id.to_string().as_ref());
        // Set or absent: scripts ask for the variable, not for its value.
        match self.options.mode() {
            RunMode::Execute => {}
            RunMode::DryRun => set("ADE_RUN_DRY_RUN", "1".as_ref()),
            RunMode::ValidateOnly => set("ADE_RUN_VALIDATE_ONLY", "1".as_ref()),
        }
        set("ADE_RUN_INPUT_SHEETS", json(&self.options.input_sheet_names).as_ref());
        if let Some(level) = self.options.log_level {
            set("ADE_RUN_LOG_LEVEL", level.as_str().as_ref());
        }
        env
    }
}

/// An argument holds no NUL, and a name needs no other control character either.
fn plain(name: &str) -> String {
    name.replace(char::is_control, "\u{fffd}")
}

/// Bytes of the one argument that names several documents; the kernel takes 128 KiB.
const DOCUMENT_NAMES: usize = 100 << 10;

/// A JSON object: staged name to original name. Of very many documents each name is cut to its share.
fn document_names(documents: &BTreeMap<String, String>) -> String {
    let names = |longest: usize| -> serde_json::Map<String, serde_json::Value> {
        let clip = |name: &String| clipped(&plain(name), longest).into();
        documents.iter().map(|(staged, name)| (staged.clone(), clip(name))).collect()
    };
    let json = serde_json::Value::from(names(usize::MAX)).to_string();
    if json.len() <= DOCUMENT_NAMES {
        return json;
    }
    let staged: usize = documents.keys().map(|staged| staged.len() + 6).sum();
    // Quotes take two bytes.
    let longest = DOCUMENT_NAMES.saturating_sub(staged) / documents.len() / 2;
    serde_json::Value::from(names(longest)).to_string()
}

fn json(names: &[String]) -> String {
    serde_json::Value::from(names).to_string()
}

struct Args(Vec<OsString>);

impl Args {
    fn module(command: &str) -> Self {
        Self(["-m", "ade_engine", command].map(OsString::from).into())
    }

    /// As two arguments, but as one where the value begins like an option, which a parser would take it for.
    fn option(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        let value = value.as_ref();
        if value.as_encoded_bytes().starts_with(b"-") {
            let mut joined = OsString::from(format!("{name}="));
            joined.push(value);
            self.0.push(joined);
        } else {
            self.0.extend([name.into(), value.to_owned()]);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_command<T>(options: RunOptions, check: impl FnOnce(&EngineCommand) -> T) -> T {
        with_documents(options, &[("doc.csv", "M\u{e4}rz \0.csv")], check)
    }

    fn with_documents<T>(
        options: RunOptions,
        documents: &[(&str, &str)],
        check: impl FnOnce(&EngineCommand) -> T,
    ) -> T {
        let documents = documents.iter().map(|(staged, name)| ((*staged).to_owned(), (*name).to_owned())).collect();
        let service = [
            ("PATH", "/usr/bin"),
            ("ADE_API_KEY", "secret"),
            ("MINE", "m"),
            ("AWS_SECRET", "s"),
            ("ADE_RUN_ID", "forged"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        check(&EngineCommand {
            run_id: RunId::generate(),
            build_id: BuildId::generate(),
            workspace_id: WorkspaceId::generate(),
            configuration_id: ConfigurationId::generate(),
            options: &options,
            documents: &documents,
            venv: Path::new("/venvs/b/.venv"),
            directory: Path::new("/data/run"),
            output: Path::new("/data/run/output"),
            service: &service,
            allow: &["MINE".into(), "ADE_RUN_ID".into()],
            limits: ResourceLimits::default(),
            policy: &Policy::default(),
            temporary: Some(Path::new("/data/tmp/run_1")),
        })
    }

    #[test]
    fn the_command_is_the_contracts() {
        let options = RunOptions {
            input_sheet_names: vec!["One".into(), "-x".into()],
            metadata: [("k".into(), "v=1".into())].into(),
            ..RunOptions::default()
        };
        with_command(options, |command| {
            let spec = command.run(&Input::File("/data/run/input/doc.csv".into()));
            let args: Vec<_> = spec.args.iter().map(|arg| arg.to_str().unwrap()).collect();
            let ids = [
                format!("run_id={}", command.run_id),
                format!("configuration_id={}", command.configuration_id),
                format!("workspace_id={}", command.workspace_id),
                format!("context_configuration_id={}", command.configuration_id),
            ];
            let mut expected = vec!["-m", "ade_engine", "run", "--input", "/data/run/input/doc.csv"];
            expected.extend(["--output-dir", "/data/run/output", "--logs-dir", "/data/run/engine-logs"]);
            expected.extend(["--input-sheet", "One", "--input-sheet=-x"]);
            expected.extend(["--metadata", "k=v=1"]);
            for id in &ids {
                expected.extend(["--metadata", id]);
            }
            expected.extend(["--metadata", "document_name=M\u{e4}rz \u{fffd}.csv"]);
            assert_eq!(args, expected);
            assert_eq!(spec.program, Path::new("/venvs/b/.venv/bin/python"));
            assert_eq!(spec.cwd, Path::new("/data/run"));
        });
    }

    #[test]
    fn the_environment_is_an_allow_list() {
        let options = RunOptions { dry_run: true, input_sheet_names: vec!["A \"b\"".into()], ..RunOptions::default() };
        with_command(options, |command| {
            let env = command.run(&Input::Folder("/data/run/input".into())).env;
            let get = |name: &str| env.get(OsStr::new(name)).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(get("PATH").as_deref(), Some("/venvs/b/.venv/bin:/usr/bin"));
            assert_eq!(get("VIRTUAL_ENV").as_deref(), Some("/venvs/b/.venv"));
            assert_eq!(get("MINE").as_deref(), Some("m"));
            assert_eq!(get("ADE_RUN_ID"), Some(command.run_id.to_string()));
            assert_eq!(get("ADE_RUN_DRY_RUN").as_deref(), Some("1"));
            assert_eq!(get("ADE_RUN_VALIDATE_ONLY"), None);
            assert_eq!(get("ADE_RUN_INPUT_SHEETS").as_deref(), Some(r#"["A \"b\""]"#));
            assert_eq!((get("ADE_API_KEY"), get("AWS_SECRET")), (None, None));
            assert_eq!((get("TMPDIR"), get("HOME")), (get("HOME"), Some("/data/tmp/run_1".into())));
        });
    }

    #[test]
    fn several_documents_are_a_folder() {
        with_command(RunOptions::default(), |command| {
            let args = command.run(&Input::Folder("/data/run/input".into())).args;
            assert_eq!(&args[3..5], ["--input-dir", "/data/run/input"]);
            assert_eq!(command.validate().args[2], "validate");
        });
        let last = |documents: &[(&str, &str)]| {
            with_documents(RunOptions::default(), documents, |command| {
                let args = command.run(&Input::Folder("/data/run/input".into())).args;
                let last = args.last().and_then(|arg| arg.to_str()).unwrap().to_owned();
                last.strip_prefix("document_names=").unwrap().to_owned()
            })
        };
        let named = last(&[("doc_1-a.csv", "a.csv"), ("doc_2-a.csv", "a.csv")]);
        assert_eq!(named, r#"{"doc_1-a.csv":"a.csv","doc_2-a.csv":"a.csv"}"#);
        let staged: Vec<_> = (0..1000).map(|n| format!("{n:0>30}-{}.csv", "s".repeat(40))).collect();
        let long = "\"\u{1f600}".repeat(100);
        let many: Vec<_> = staged.iter().map(|staged| (staged.as_str(), long.as_str())).collect();
        let names = last(&many);
        assert!(names.len() <= DOCUMENT_NAMES, "{}", names.len());
        assert_eq!(serde_json::from_str::<BTreeMap<String, String>>(&names).unwrap().len(), 1000);
    }
}
