//! A configuration that is against the service: what it tries while it is built and while it runs fails, and the run's
//! stream tells of it.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ade_test_support::packages::{files_below, with_file, write_files};
use serde_json::Value;

use crate::support::log::Log;
use crate::support::server::{Server, Settings, ade, log_path, settings};
use crate::support::work::{Place, Run};
use crate::support::{eventually, process, tools};

const SECRET: &str = "a-secret-of-somebody-else";

/// What must be refused to whoever would end, stop or trace these processes, or its own launcher.
pub fn against(service: impl Display, engine: impl Display, launcher: impl Display) -> [String; 6] {
    [
        format!("os.kill({service}, signal.SIGKILL)"),
        format!("os.kill({engine}, signal.SIGKILL)"),
        format!("os.kill({launcher}, signal.SIGSTOP)"),
        "os.kill(os.getppid(), signal.SIGKILL)".to_owned(),
        format!("call(libc.ptrace(0x4206, {service}, 0, 0))"),
        format!("call(libc.ptrace(0x4206, {engine}, 0, 0))"),
    ]
}

/// Tries each statement and says how it went. A statement that is an expression and gives something has succeeded too.
pub const ATTACK: &str = r#"
import ctypes, os, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def attempt(statement):
    try:
        exec(statement)
        print("SUCCEEDED", statement, flush=True)
    except OSError as error:
        print("refused", type(error).__name__, error, flush=True)
"#;

/// A configuration package whose code is this.
pub fn package(folder: &Path, code: &str) -> PathBuf {
    let path = folder.join("hostile");
    let files = files_below(&tools::package("configuration"));
    write_files(&path, &with_file(files, "src/ade_config/__init__.py", code));
    path
}

/// The first file below a directory whose content is this.
pub fn holding(directory: &Path, content: &str) -> PathBuf {
    let found = files_below(directory).into_iter().find(|(_, bytes)| bytes == content.as_bytes());
    directory.join(found.expect("a document is stored as it was sent").0)
}

struct Ground {
    folder: tempfile::TempDir,
    server: Server,
    /// Of somebody else, with a run at work and a document.
    neighbour: Place,
    neighbours_run: Run,
    document: PathBuf,
}

impl Ground {
    fn new(more: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        fs::create_dir(&data_dir).unwrap();
        let mut settings = settings();
        settings.insert("ADE_ISOLATION", "required".into());
        settings.insert("ADE_OPENAI_API_KEY", SECRET.into());
        settings.extend(more.iter().map(|&(name, value)| (name, value.to_owned())));
        let server = Server::start_with(&data_dir, &settings);
        let neighbour = Place::named(&server, "neighbour");
        let script = format!("print {SECRET}\nsleep 1000");
        let neighbours_run = neighbour.run(&server, &script);
        neighbours_run.await_line(&server, SECRET);
        let document = holding(&data_dir.join("workspaces").join(&neighbour.workspace).join("documents"), &script);
        fs::write(data_dir.join("admin.key"), SECRET).unwrap();
        Self { folder, server, neighbour, neighbours_run, document }
    }

    /// What a configuration is after, as statements of Python, each of which must be refused.
    fn crimes(&self) -> Vec<String> {
        let service = self.server.pid();
        let data = self.server.data_dir.display();
        let (document, neighbours) = (self.document.display(), &self.neighbours_run.id);
        let neighbours_log = log_of(&self.server, &self.neighbours_run);
        let engine = process::of_run(neighbours).into_iter().max().expect("the neighbour's engine is at work");
        let launcher = process::launcher_of(neighbours).expect("it has a launcher");
        let venvs = self.server.data_dir.join("venvs").join(&self.neighbour.workspace);
        let mut crimes = vec![
            format!("print(open('/proc/{service}/environ').read())"),
            format!("print(open('/proc/{service}/mem', 'rb').read(1))"),
            format!("print(open('/proc/{service}/cmdline').read())"),
            format!("print(os.listdir('/proc/{service}/fd'))"),
            format!("print(open('/proc/{engine}/environ').read())"),
            "call(libc.ptrace(0x4206, os.getppid(), 0, 0))".to_owned(),
        ];
        crimes.extend(against(service, engine, launcher));
        let files = ["ade.db", "admin.key", ".lock", "node_id", "service.log"];
        crimes.extend(files.map(|name| format!("print(open('{data}/{name}', 'rb').read())")));
        crimes.extend(["ade.db", "admin.key"].map(|name| format!("os.unlink('{data}/{name}')")));
        crimes.extend(["ade.db", "ade.db-wal"].map(|name| format!("os.truncate('{data}/{name}', 0)")));
        crimes.extend([
            format!("print(os.listdir('{data}'))"),
            format!("print(open('{document}').read())"),
            format!("open('{document}', 'a').write('more')"),
            format!("os.symlink('{document}', '{data}/link')"),
            format!("print(open('{neighbours_log}').read())"),
            format!("os.rename('{data}/workspaces/{}', '{data}/gone')", self.neighbour.workspace),
            format!("open('{}/planted', 'w')", venvs.display()),
            format!("open('{data}/cache/uv/planted', 'w')"),
            format!("open('{data}/cache/wheels/planted', 'w')"),
            format!("print(os.listdir('{data}/cache/workspaces'))"),
            "print(open('/etc/shadow').read())".to_owned(),
            "print(os.listdir('/tmp'))".to_owned(),
            "print(os.listdir('/proc'))".to_owned(),
        ]);
        crimes
    }

    fn importing(&self, code: &str) -> Place {
        let package = package(self.folder.path(), code);
        Place::named(&self.server, &format!("hostile {}", code.len())).importing(&self.server, &package)
    }

    /// Nobody else has noticed anything.
    fn assert_unharmed(self) {
        let Self { server, neighbour, neighbours_run, document, folder } = self;
        assert_eq!(neighbours_run.show(&server)["status"], "running");
        assert_eq!(neighbours_run.cancel(&server), 202);
        assert_eq!(neighbours_run.ended(&server)["status"], "cancelled");
        assert!(fs::read_to_string(document).unwrap().starts_with("print"));
        assert_eq!(neighbour.run(&server, "print alive").ended(&server)["status"], "succeeded");
        let data_dir = server.data_dir.clone();
        server.stop();
        let verified = ade(&data_dir, &settings()).arg("verify").output().unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
        drop(folder);
    }
}

pub fn log_of(server: &Server, run: &Run) -> String {
    crate::support::log::path(&server.data_dir, &run.show(server)).display().to_string()
}

pub fn attempts(crimes: &[String]) -> String {
    crimes.iter().map(|crime| format!("attempt({crime:?})\n")).collect()
}

/// What the stream of a run has from its configuration.
pub fn told(server: &Server, row: &Value) -> Vec<String> {
    Log::read(&server.data_dir, row).console("stdout").into_iter().map(str::to_owned).collect()
}

#[test]
fn a_hostile_configuration_reaches_nothing_of_others_and_its_stream_says_so() {
    let ground = Ground::new(&[]);
    let crimes = ground.crimes();
    let code = format!("{ATTACK}{}", attempts(&crimes));
    let place = ground.importing(&code);
    // Its import is checked by the build, and the engine imports it again.
    let run = place.run(&ground.server, "python import ade_config");
    let row = run.ended(&ground.server);
    assert_eq!(row["status"], "succeeded", "{row}");
    let told = told(&ground.server, &row);
    let succeeded: Vec<_> = told.iter().filter(|line| line.starts_with("SUCCEEDED")).collect();
    assert!(succeeded.is_empty(), "{succeeded:#?}");
    let refused = told.iter().filter(|line| line.starts_with("refused PermissionError")).count();
    assert_eq!(refused, 2 * crimes.len(), "once by the build and once by the run: {told:#?}");
    let path = format!("[Errno 13] Permission denied: '/proc/{}/environ'", ground.server.pid());
    assert!(told.iter().any(|line| line.contains(&path)), "the path that was refused is told: {told:#?}");
    let log = fs::read_to_string(log_of(&ground.server, &run)).unwrap();
    assert!(!log.contains(SECRET), "what is secret is not in the stream");
    ground.assert_unharmed();
}

#[test]
fn a_run_writes_its_output_and_its_temporary_files_and_not_its_log_venv_or_input() {
    let ground = Ground::new(&[]);
    let place = ground.importing("");
    let own = [
        "open(out + '/x', 'w').write('x')",
        "import tempfile; tempfile.TemporaryFile().write(b'x')",
        "import tempfile; os.rename(tempfile.mkstemp()[1], out + '/moved')",
        "open(os.path.expanduser('~/cache'), 'w').write('x')",
        "import concurrent.futures as f; f.ProcessPoolExecutor(1).submit(abs, 1).result()",
    ];
    let others = [
        "os.truncate(run + '/logs/events.ndjson', 0)",
        "os.unlink(run + '/logs/events.ndjson')",
        "os.rename(run + '/logs', run + '/moved')",
        "open(run + '/diagnostics.json', 'w')",
        "open(sys.prefix + '/planted', 'w')",
        "open(run + '/input/planted', 'w')",
        "os.rename(run, run + '-moved')",
    ];
    let code =
        |statements: &[&str]| -> String { statements.iter().map(|each| format!("; attempt({each:?})")).collect() };
    let attempt = ATTACK.replace("exec(statement)", "exec(statement, {**globals(), 'out': out, 'run': run})");
    let script = format!("python out, run = out, run; exec({attempt:?}, globals()){}{}", code(&own), code(&others));
    let row = place.run(&ground.server, &script).ended(&ground.server);
    assert_eq!(row["status"], "succeeded", "{row}");
    let told = told(&ground.server, &row);
    let count = |word: &str| told.iter().filter(|line| line.starts_with(word)).count();
    assert_eq!((count("SUCCEEDED"), count("refused PermissionError")), (own.len(), others.len()), "{told:#?}");
    let temporary = ground.server.data_dir.join("tmp");
    let left = || fs::read_dir(&temporary).unwrap().flatten().map(|entry| entry.file_name()).collect::<Vec<_>>();
    let neighbours = ground.neighbours_run.id.clone();
    eventually("temporary files are gone", || (left() == [&*neighbours]).then_some(()));
    ground.assert_unharmed();
}

#[test]
fn a_failure_that_a_refusal_explains_says_so() {
    let ground = Ground::new(&[]);
    let place = ground.importing("");
    let row = place.run(&ground.server, "python open('/etc/shadow')").ended(&ground.server);
    let message = row["failure_message"].as_str().unwrap();
    assert!(message.contains("ADE_ISOLATION"), "{message}");
    let log = Log::read(&ground.server.data_dir, &row);
    let error = log.of("run.error");
    assert_eq!(error.last().unwrap()["payload"]["message"], message);
    assert!(log.console("stderr").iter().any(|line| line.contains("Permission denied: '/etc/shadow'")));
    let hostile = ground.importing("open('/etc/shadow')");
    let row = hostile.run(&ground.server, "print never").ended(&ground.server);
    let message = row["failure_message"].as_str().unwrap();
    assert!(message.contains("/etc/shadow") && message.contains("ADE_ISOLATION"), "{message}");
    ground.assert_unharmed();
}

#[test]
fn engines_have_no_network_where_the_operator_says_so() {
    let ground = Ground::new(&[("ADE_ENGINE_NETWORK", "off")]);
    let place = ground.importing("");
    let port = ground.server.address.port();
    let script = format!("python import socket; socket.create_connection(('127.0.0.1', {port}))");
    let row = place.run(&ground.server, &script).ended(&ground.server);
    assert_eq!(row["status"], "failed", "{row}");
    let log = Log::read(&ground.server.data_dir, &row);
    let refused = |line: &&str| line.starts_with("PermissionError: [Errno 13]");
    assert!(log.console("stderr").iter().any(refused), "{:?}", log.console("stderr"));
    ground.assert_unharmed();
}

/// `ade` on a kernel that has no Landlock: its system calls are answered as such a kernel answers them.
pub fn without_landlock(data_dir: &Path, settings: &Settings) -> Command {
    let script = "import ctypes, os, struct, sys\n\
        filter = b''.join(struct.pack('HBBI', *each) for each in [\n\
        \x20   (0x20, 0, 0, 0), (0x35, 0, 2, 444), (0x25, 1, 0, 446), (6, 0, 0, 0x50026), (6, 0, 0, 0x7fff0000)])\n\
        code = ctypes.create_string_buffer(filter)\n\
        program = struct.pack('HxxxxxxQ', 5, ctypes.addressof(code))\n\
        libc = ctypes.CDLL(None)\n\
        assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0\n\
        os.execv(sys.argv[1], sys.argv[1:])";
    let program = ade(data_dir, settings);
    let mut command = Command::new("python3");
    command.env_clear().args(["-c", script]).arg(program.get_program());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    command
}

#[test]
fn a_machine_without_isolation_is_found_out_and_refused_where_it_is_required() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings();
    let doctor = without_landlock(folder.path(), &settings).arg("doctor").output().unwrap();
    let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert_eq!(doctor.status.code(), Some(1), "{text}");
    let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(
        line("isolation: files").starts_with("FAILED") && line("isolation: signals").starts_with("FAILED"),
        "{text}"
    );
    assert!(line("isolation: privileges").starts_with("ok") && line("python").starts_with("ok"), "{text}");

    settings.insert("ADE_ISOLATION", "required".into());
    let refused = without_landlock(folder.path(), &settings).arg("serve").stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("ADE_ISOLATION is required") && said.contains("signal"), "{said}");

    settings.insert("ADE_ISOLATION", "on".into());
    settings.insert("ADE_AUTH", "off".into());
    let server = Server::run(folder.path(), without_landlock(folder.path(), &settings));
    let place = Place::make(&server);
    assert_eq!(place.run(&server, "print alive").ended(&server)["status"], "succeeded");
    server.stop();
    let log = fs::read_to_string(log_path(folder.path())).unwrap();
    assert!(log.contains("isolated in part"), "{log}");
}

#[test]
fn a_machine_with_isolation_passes_and_the_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.insert("ADE_ENGINE_NETWORK", "off".into());
    let doctor = ade(folder.path(), &settings).arg("doctor").output().unwrap();
    let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert_eq!(doctor.status.code(), Some(0), "{text}");
    for name in ["files", "process", "signals", "sockets", "privileges", "network"] {
        let name = format!("isolation: {name}");
        assert!(text.lines().any(|line| line.starts_with("ok") && line.contains(&name)), "{name}: {text}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was begun");
    let server = Server::start_with(folder.path(), &settings);
    server.stop();
    assert!(fs::read_to_string(log_path(folder.path())).unwrap().contains("builds and engines are isolated"));
    settings.insert("ADE_ISOLATION", "off".into());
    let doctor = ade(folder.path(), &settings).arg("doctor").output().unwrap();
    assert_eq!(doctor.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("ADE_ISOLATION is off"));
}
