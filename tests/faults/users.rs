//! A user id for each workspace (`ADE_ISOLATION_UIDS`): what an uploaded configuration runs as, and what that keeps it from
//! where nothing else does. All of it on a kernel without Landlock, unless a test says otherwise.

use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::isolation::{ATTACK, against, attempts, holding, log_of, package, told, without_landlock};
use crate::support::http::Request;
use crate::support::server::{Server, Settings, ade, log_path, settings};
use crate::support::work::{Place, Run, id};
use crate::support::{eventually, log::Log, process};

/// As one line of a console: who an engine is, and what it may.
const WHO: &str = "import os; status = dict(line.strip().split(':', 1) for line in open('/proc/self/status')); \
    print('who', *os.getresuid(), *os.getresgid(), os.getgroups(), \
    *(status[name].strip() for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs')), flush=True)";

/// An interpreter that every user of this machine can run.
fn python() -> Option<&'static str> {
    let is_new = |path: &&str| {
        let script = "import sys, venv; sys.exit(sys.version_info < (3, 11))";
        Command::new(path).args(["-c", script]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    ["/usr/bin/python3", "/usr/local/bin/python3"].into_iter().find(is_new)
}

/// A data directory, and settings with these ids; nothing where this machine cannot have them, which is said.
struct Ground {
    folder: tempfile::TempDir,
    settings: Settings,
    ids: RangeInclusive<u32>,
}

impl Ground {
    fn new(first: u32) -> Option<Self> {
        // SAFETY: cannot fail and touches no memory.
        let is_root = unsafe { libc::geteuid() } == 0;
        let Some(python) = python().filter(|_| is_root) else {
            let why = "it takes root, and a Python 3.11 in /usr that other users can run";
            assert!(std::env::var("ADE_TEST_UIDS").is_err(), "ADE_TEST_UIDS is set: {why}");
            eprintln!("LEFT OUT, nothing is known of user ids: {why}");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (mut settings, ids) = (settings(), first..=first + 199);
        settings.insert("ADE_ISOLATION_UIDS", format!("{}-{}", ids.start(), ids.end()));
        settings.insert("ADE_PYTHON_BIN", python.into());
        settings.insert("ADE_AUTH", "off".into());
        let ground = Self { folder, settings, ids };
        fs::create_dir(ground.data_dir()).unwrap();
        Some(ground)
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn start_without_landlock(&self) -> Server {
        let data_dir = self.data_dir();
        Server::run(&data_dir, without_landlock(&data_dir, &self.settings))
    }

    /// Asserts that a line of `WHO` is of one who has an id of the range and nothing else; the id.
    fn is_nobody(&self, line: &str) -> u32 {
        let words: Vec<_> = line.split(' ').collect();
        let id: u32 = words[1].parse().unwrap();
        assert!(self.ids.contains(&id), "{line}");
        assert!(words[1..7].iter().all(|word| *word == words[1]), "each of its ids: {line}");
        assert_eq!(words[7], "[]", "groups: {line}");
        assert!(words[8..13].iter().all(|set| u64::from_str_radix(set, 16) == Ok(0)), "capabilities: {line}");
        assert_eq!(words[13], "1", "{line}");
        id
    }
}

/// What a run of this script has printed.
fn said(server: &Server, place: &Place, script: &str) -> Vec<String> {
    let row = place.run(server, script).ended(server);
    assert_eq!(row["status"], "succeeded", "{row}");
    told(server, &row)
}

fn who(ground: &Ground, server: &Server, place: &Place) -> u32 {
    let said = said(server, place, &format!("python {WHO}"));
    ground.is_nobody(said.iter().find(|line| line.starts_with("who")).unwrap_or_else(|| panic!("{said:#?}")))
}

/// What a configuration is after, as statements of Python that must be refused.
fn crimes(server: &Server, neighbour: &Place, run: &Run, document: &Path) -> Vec<String> {
    let (data, workspace, service) = (server.data_dir.display(), &neighbour.workspace, server.pid());
    let engine = process::of_run(&run.id).into_iter().max().expect("the neighbour's engine is at work");
    let launcher = process::launcher_of(&run.id).expect("it has a launcher");
    let (document, log) = (document.display(), log_of(server, run));
    let user = fs::metadata(format!("/proc/{engine}")).unwrap().uid();
    let mut crimes: Vec<String> = ["ade.db", "admin.key", ".lock", "node_id", "service.log", "workspace-users"]
        .iter()
        .flat_map(|name| {
            let path = format!("{data}/{name}");
            [
                format!("print(open('{path}', 'rb').read())"),
                format!("open('{path}', 'ab')"),
                format!("os.unlink('{path}')"),
                // Landlock would not keep it from these.
                format!("os.chmod('{path}', 0)"),
                format!("os.utime('{path}')"),
            ]
        })
        .collect();
    let directories = [
        String::new(),
        "/workspaces".into(),
        format!("/workspaces/{workspace}"),
        format!("/workspaces/{workspace}/documents"),
        format!("/workspaces/{workspace}/runs/{}/output", run.id),
        "/venvs".into(),
        format!("/venvs/{workspace}"),
        format!("/venvs/{workspace}/{}", neighbour.configuration),
        "/cache".into(),
        "/cache/uv".into(),
        "/cache/users".into(),
        format!("/cache/users/{user}"),
        "/tmp".into(),
        format!("/tmp/{}", run.id),
    ];
    let there = directories.iter().map(|directory| format!("{data}{directory}"));
    crimes.extend(
        there
            .filter(|path| Path::new(path).exists())
            .flat_map(|path| [format!("print(os.listdir('{path}'))"), format!("open('{path}/planted', 'w')")]),
    );
    crimes.extend(against(service, engine, launcher));
    crimes.extend([
        format!("print(open('{document}').read())"),
        format!("open('{document}', 'a').write('more')"),
        format!("os.stat('{document}')"),
        format!("print(open('{log}').read())"),
        format!("os.rename('{data}/workspaces/{workspace}', '{data}/gone')"),
        format!("print(open('/proc/{service}/environ').read())"),
        format!("print(open('/proc/{engine}/environ').read())"),
        format!("print(open('/proc/{engine}/mem', 'rb').read(1))"),
        "os.setuid(0)".to_owned(),
        "os.setgid(0)".to_owned(),
        "os.setgroups([0])".to_owned(),
        "os.chown(__file__, 0, 0)".to_owned(),
        "print(open('/etc/shadow').read())".to_owned(),
    ]);
    crimes
}

#[test]
fn another_workspace_and_the_service_are_closed_by_user_ids_alone() {
    let Some(ground) = Ground::new(300_000) else { return };
    fs::write(ground.data_dir().join("admin.key"), "key").unwrap();
    let server = ground.start_without_landlock();
    let neighbour = Place::named(&server, "neighbour");
    let work = neighbour.run(&server, "print ready\nsleep 1000");
    work.await_line(&server, "ready");
    let documents = server.data_dir.join("workspaces").join(&neighbour.workspace).join("documents");
    let document = holding(&documents, "print ready\nsleep 1000");
    let crimes = crimes(&server, &neighbour, &work, &document);
    let code = format!("{ATTACK}{}{WHO}\n", attempts(&crimes));
    let hostile = Place::named(&server, "hostile").importing(&server, &package(ground.folder.path(), &code));
    let told = said(&server, &hostile, "python import ade_config");
    let succeeded: Vec<_> = told.iter().filter(|line| line.starts_with("SUCCEEDED")).collect();
    assert!(succeeded.is_empty(), "{succeeded:#?}");
    let refused = told.iter().filter(|line| line.starts_with("refused PermissionError")).count();
    assert_eq!(refused, 2 * crimes.len(), "once by the build and once by the run: {told:#?}");
    let ids: Vec<_> = told.iter().filter(|line| line.starts_with("who")).map(|line| ground.is_nobody(line)).collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "its import is checked by the same user: {ids:?}");

    assert_eq!(work.show(&server)["status"], "running");
    assert_eq!(work.cancel(&server), 202);
    assert_eq!(work.ended(&server)["status"], "cancelled");
    let of_neighbour = who(&ground, &server, &neighbour);
    assert_ne!(of_neighbour, ids[0]);
    server.stop();
    let server = ground.start_without_landlock();
    assert_eq!((who(&ground, &server, &neighbour), who(&ground, &server, &hostile)), (of_neighbour, ids[0]));
    server.stop();
}

#[test]
fn work_is_done_as_before_and_leaves_nothing() {
    let Some(mut ground) = Ground::new(301_000) else { return };
    ground.settings.insert("ADE_ISOLATION", "required".into());
    ground.settings.insert("ADE_BUILD_KEEP", "1".into());
    let doctor = ade(&ground.data_dir(), &ground.settings).arg("doctor").output().unwrap();
    let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert_eq!(doctor.status.code(), Some(0), "{text}");
    assert!(text.lines().any(|line| line.starts_with("ok") && line.contains("isolation: users")), "{text}");
    let server = Server::start_with(&ground.data_dir(), &ground.settings);
    let place = Place::make(&server);
    let script = "output result.txt\nlog 3\n\
        python import tempfile; tempfile.TemporaryFile().write(b'x'); open(os.path.expanduser('~/x'), 'w').write('x')\n\
        python open('/dev/stderr', 'w').write('by its name\\n'); open('/dev/stdout', 'w').write('by its name\\n')\n\
        python os.chmod(out, 0); os.chmod(os.path.dirname(out) + '/engine-logs', 0)";
    let run = place.run(&server, script);
    let row = run.ended(&server);
    assert_eq!(row["status"], "succeeded", "{row}");
    assert!(told(&server, &row).iter().any(|line| line == "by its name"));
    assert_eq!(Log::read(&server.data_dir, &row).of("test.tick").len(), 3);
    let output = server.send(&Request::get(format!("{}/outputs/result.txt", run.path()))).unwrap();
    assert_eq!(output.expect(200).body, b"made by the scripted engine");
    let again = server.send(&Request::post(format!("{}/retry", run.path()))).unwrap().expect(201).json_or_null();
    assert_eq!(Run { id: id(&again) }.ended(&server)["status"], "succeeded");
    let dry = place.run_with(&server, "output result.txt", json!({"dry_run": true})).ended(&server);
    assert_eq!(dry["status"], "succeeded", "{dry}");

    let files = server.data_dir.join("workspaces").join(&place.workspace).join("runs").join(&run.id);
    let owner = fs::metadata(files.join("output/result.txt")).unwrap().uid();
    assert!(ground.ids.contains(&owner), "{owner}");
    let temporary = server.data_dir.join("tmp");
    eventually("temporary files are gone", || fs::read_dir(&temporary).unwrap().next().is_none().then_some(()));
    // A venv that nothing needs any more goes, whoever owns it.
    let build = row["build_id"].as_str().unwrap();
    let rebuilt = place.run_with(&server, "print again", json!({"force_rebuild": true})).ended(&server);
    assert_eq!(rebuilt["status"], "succeeded", "{rebuilt}");
    let venv = server.data_dir.join("venvs").join(&place.workspace).join(&place.configuration).join(build);
    eventually("the older venv is pruned", || {
        server.post("/api/v1/system/maintenance", &json!({}));
        (!venv.exists()).then_some(())
    });
    server.stop();
    let log = fs::read_to_string(log_path(&ground.data_dir())).unwrap();
    assert!(log.contains("builds and engines are isolated") && !log.contains("stays"), "{log}");
    let verified = ade(&ground.data_dir(), &ground.settings).arg("verify").output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn what_a_killed_service_leaves_of_other_users_is_found() {
    let Some(ground) = Ground::new(302_000) else { return };
    let server = ground.start_without_landlock();
    let place = Place::make(&server);
    let run = place.run(&server, "daemon\nprint ready\nsleep 1000");
    run.await_line(&server, "ready");
    let launcher = process::launcher_of(&run.id).unwrap().cast_unsigned();
    // It would see that the service is gone. Without it, nobody is left who knows the engine but by its mark.
    process::signal(launcher, libc::SIGSTOP);
    server.kill();
    process::signal(launcher, libc::SIGKILL);
    let engine = eventually("only the engine is left", || {
        let left = process::of_run(&run.id);
        (!left.is_empty() && !left.contains(&launcher.cast_signed())).then_some(left)
    });
    assert!(engine.len() >= 2, "the engine and its daemon");
    let server = ground.start_without_landlock();
    assert_eq!(run.ended(&server)["status"], "failed");
    let left = process::of_run(&run.id);
    assert!(left.is_empty(), "{}", process::describe(&left));
    server.stop();
}

#[test]
fn when_no_id_is_left_a_build_fails_and_says_so() {
    let Some(ground) = Ground::new(303_000) else { return };
    let given: String =
        ground.ids.clone().map(|id| format!("{id} {}\n", ade::domain::WorkspaceId::generate())).collect();
    fs::write(ground.data_dir().join("workspace-users"), given).unwrap();
    let server = ground.start_without_landlock();
    let row = Place::make(&server).run(&server, "print never").ended(&server);
    assert_eq!(row["status"], "failed", "{row}");
    let message = row["failure_message"].as_str().unwrap();
    assert!(message.contains("no user id is left"), "{message}");
    server.stop();
}

/// `ade` as root without a capability.
fn without(capability: u32, data_dir: &Path, settings: &Settings) -> Command {
    let script = "import ctypes, os, sys\n\
        assert ctypes.CDLL(None).prctl(24, int(sys.argv[1]), 0, 0, 0) == 0\n\
        os.execv(sys.argv[2], sys.argv[2:])";
    let program = ade(data_dir, settings);
    let mut command = Command::new("python3");
    command.env_clear().args(["-c", script, &capability.to_string()]).arg(program.get_program());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    command
}

#[test]
fn a_service_that_cannot_change_users_says_so_and_refuses_where_it_is_required() {
    const SETUID: u32 = 7;
    let Some(mut ground) = Ground::new(304_000) else { return };
    let data_dir = ground.data_dir();
    let doctor = without(SETUID, &data_dir, &ground.settings).arg("doctor").output().unwrap();
    let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
    let line = text.lines().find(|line| line.contains("isolation: users")).unwrap_or_default();
    assert!(doctor.status.code() == Some(1) && line.starts_with("FAILED"), "{text}");
    assert!(line.contains("lacks CAP_SETUID"), "{text}");

    let server = Server::run(&data_dir, without(SETUID, &data_dir, &ground.settings));
    let said = said(&server, &Place::make(&server), "python print('user', os.getuid())");
    assert!(said.iter().any(|line| line == "user 0"), "as without the setting: {said:#?}");
    server.stop();
    let log = fs::read_to_string(log_path(&data_dir)).unwrap();
    assert!(log.contains("isolated in part") && log.contains("lacks CAP_SETUID"), "{log}");

    ground.settings.insert("ADE_ISOLATION", "required".into());
    let refused = without(SETUID, &data_dir, &ground.settings).arg("serve").stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("ADE_ISOLATION is required") && said.contains("lacks CAP_SETUID"), "{said}");
}

#[test]
fn a_directory_above_that_users_may_not_pass_is_named() {
    let Some(ground) = Ground::new(305_000) else { return };
    fs::set_permissions(ground.folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let doctor = ade(&ground.data_dir(), &ground.settings).arg("doctor").output().unwrap();
    let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
    let line = text.lines().find(|line| line.contains("isolation: users")).unwrap_or_default();
    assert!(doctor.status.code() == Some(1) && line.starts_with("FAILED"), "{text}");
    assert!(line.contains(&ground.data_dir().display().to_string()), "{text}");
}
