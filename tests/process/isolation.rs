//! What a confined child can and cannot do, with real ones.

use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ade::domain::RunId;
use ade::isolation::{Policy, Strictness, system};
use ade::worker::process::{
    CaptureError, Captured, ChildSpec, Marker, ResourceLimits, SpawnError, capture, count_in, survivors,
};

use crate::launcher;

/// What a machine has to have for these tests; elsewhere they would show nothing.
fn policy(write: &[&Path]) -> Policy {
    let real = |path: &&Path| path.canonicalize().unwrap();
    let python = std::process::Command::new("python3").args(["-c", "import sys; print(sys.base_prefix)"]).output();
    let python = String::from_utf8(python.unwrap().stdout).unwrap();
    let read = system::READ.iter().map(PathBuf::from).chain([python.trim().into()]).collect();
    Policy {
        level: Strictness::Required,
        read,
        read_own: Vec::new(),
        write: write.iter().map(real).collect(),
        network: true,
        user: None,
    }
}

fn spec(policy: Policy, script: &str, arguments: &[&str]) -> ChildSpec {
    let program = std::process::Command::new("python3")
        .args(["-c", "import os, sys; print(os.path.realpath(sys._base_executable))"])
        .output();
    let program = String::from_utf8(program.unwrap().stdout).unwrap();
    ChildSpec {
        program: program.trim().into(),
        args: ["-c", script].iter().chain(arguments).map(Into::into).collect(),
        cwd: "/".into(),
        env: [("PATH".into(), "/usr/bin:/bin".into())].into(),
        marker: Marker::run(RunId::generate()),
        limits: ResourceLimits::default(),
        policy,
        event_lines: false,
    }
}

async fn said(policy: Policy, script: &str, arguments: &[&str]) -> Captured {
    capture(&launcher(), &spec(policy, script, arguments), Duration::from_secs(60)).await.unwrap()
}

/// The name of the error that a statement raises, or `done`.
async fn outcome(policy: Policy, statement: &str, arguments: &[&str]) -> String {
    let script = format!(
        "import ctypes, os, signal, socket, sys\n\
         libc = ctypes.CDLL(None, use_errno=True)\n\
         def call(result):\n\
         \x20   if result == -1: raise OSError(ctypes.get_errno(), 'refused')\n\
         try:\n    {statement}\n    print('done')\n\
         except OSError as error:\n    print(type(error).__name__)\n"
    );
    let said = said(policy, &script, arguments).await;
    said.stdout.back().cloned().unwrap_or_else(|| panic!("{:?}", said.stderr))
}

#[tokio::test]
async fn a_child_reaches_its_directories_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let (own, foreign) = (folder.path().join("own"), folder.path().join("foreign"));
    fs::create_dir_all(own.join("sub")).unwrap();
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(&foreign, own.join("link")).unwrap();
    let paths = [own.to_str().unwrap(), foreign.to_str().unwrap()];
    for (statement, expected) in [
        ("open(sys.argv[1] + '/file', 'w').write('x')", "done"),
        ("os.rename(sys.argv[1] + '/file', sys.argv[1] + '/sub/file')", "done"),
        ("os.mkfifo(sys.argv[1] + '/fifo')", "done"),
        ("open('/dev/null', 'w').write('x')", "done"),
        ("open('/proc/self/status').read(); os.listdir('/proc/self/fd')", "done"),
        ("open('/etc/hosts').read(); open('/proc/meminfo').read()", "done"),
        ("import multiprocessing; multiprocessing.Lock()", "done"),
        ("open(sys.argv[2] + '/secret').read()", "PermissionError"),
        ("open(sys.argv[1] + '/link/secret').read()", "PermissionError"),
        ("os.listdir(sys.argv[2])", "PermissionError"),
        ("open(sys.argv[2] + '/new', 'w')", "PermissionError"),
        ("os.truncate(sys.argv[2] + '/secret', 0)", "PermissionError"),
        ("os.unlink(sys.argv[2] + '/secret')", "PermissionError"),
        // As across file systems, so that programs copy; which is refused in its turn.
        ("os.link(sys.argv[2] + '/secret', sys.argv[1] + '/linked')", "OSError"),
        ("os.rename(sys.argv[2] + '/secret', sys.argv[1] + '/moved')", "PermissionError"),
        ("os.rename(sys.argv[1], sys.argv[1] + '-moved')", "PermissionError"),
        ("os.mknod(sys.argv[1] + '/device', 0o020666, os.makedev(1, 5))", "PermissionError"),
        ("os.listdir('/dev/shm')", "PermissionError"),
        ("os.listdir('/tmp')", "PermissionError"),
        ("os.listdir('/proc')", "PermissionError"),
        ("open('/proc/1/status').read()", "PermissionError"),
        ("open('/etc/shadow').read()", "PermissionError"),
    ] {
        assert_eq!(outcome(policy(&[&own]), statement, &paths).await, expected, "{statement}");
    }
    assert_eq!(fs::read_to_string(foreign.join("secret")).unwrap(), "secret");
    assert_eq!(outcome(Policy::default(), "open(sys.argv[2] + '/secret').read()", &paths).await, "done");
}

#[tokio::test]
async fn a_child_can_neither_signal_nor_look_into_nor_speak_to_who_is_outside() {
    let name = format!("ade-test-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let pid = std::process::id().to_string();
    let arguments = [pid.as_str(), name.as_str()];
    for (statement, outside) in [
        ("os.kill(int(sys.argv[1]), 0)", "PermissionError"),
        ("os.kill(os.getppid(), signal.SIGSTOP)", "PermissionError"),
        ("open('/proc/' + sys.argv[1] + '/environ').read()", "PermissionError"),
        ("open('/proc/' + sys.argv[1] + '/mem', 'rb').read(0)", "PermissionError"),
        ("call(libc.ptrace(0x4206, int(sys.argv[1]), 0, 0))", "PermissionError"),
        ("call(libc.ptrace(0x4206, os.getppid(), 0, 0))", "PermissionError"),
        ("signal.pidfd_send_signal(os.pidfd_open(int(sys.argv[1])), 0)", "PermissionError"),
        ("socket.socket(socket.AF_UNIX).connect('\\0' + sys.argv[2])", "PermissionError"),
    ] {
        assert_eq!(outcome(policy(&[]), statement, &arguments).await, outside, "{statement}");
    }
    // Its own it may.
    let own = "pid = os.fork()\n    if pid == 0: signal.pause()\n    os.kill(pid, 9); os.waitpid(pid, 0)";
    assert_eq!(outcome(policy(&[]), own, &[]).await, "done");
    assert_eq!(outcome(Policy::default(), "os.kill(int(sys.argv[1]), 0)", &arguments).await, "done");
}

#[tokio::test]
async fn what_a_child_starts_is_confined_like_itself() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let statement =
        "import subprocess; print(subprocess.run(['/bin/cat', sys.argv[1]], capture_output=True).stderr.decode())";
    let said = said(policy(&[]), &format!("import sys; {statement}"), &[secret.to_str().unwrap()]).await;
    assert!(said.stdout.iter().any(|line| line.contains("Permission denied")), "{said:?}");
}

#[tokio::test]
async fn a_child_gains_no_privileges() {
    let script = "for line in open('/proc/self/status'):\n    if line.startswith(('NoNewPrivs', 'CapEff', 'CapBnd')): print(line.strip())";
    let said = said(policy(&[]), script, &[]).await;
    let numbers: Vec<_> = said.stdout.iter().map(|line| line.split_once(":\t").unwrap()).collect();
    let of = |name: &str| numbers.iter().find(|(found, _)| *found == name).unwrap().1;
    assert_eq!(of("NoNewPrivs"), "1");
    // Nothing, or what lets root work in directories of others.
    assert!(u64::from_str_radix(of("CapEff"), 16).unwrap() & !0b10 == 0, "{said:?}");
}

#[tokio::test]
async fn without_network_no_socket_is_made() {
    let quiet = || Policy { network: false, ..policy(&[]) };
    for (statement, expected) in [
        ("socket.socket(socket.AF_INET)", "PermissionError"),
        ("socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)", "PermissionError"),
        ("socket.socket(socket.AF_UNIX)", "PermissionError"),
        ("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", "PermissionError"),
        ("call(libc.syscall(425, 1, 0))", "PermissionError"),
        ("socket.socketpair()", "done"),
        ("import asyncio; asyncio.run(asyncio.sleep(0))", "done"),
    ] {
        assert_eq!(outcome(quiet(), statement, &[]).await, expected, "{statement}");
    }
    assert_eq!(outcome(policy(&[]), "socket.socket(socket.AF_INET)", &[]).await, "done");
}

#[tokio::test]
async fn a_directory_behind_a_link_is_not_given() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().canonicalize().unwrap().join("link");
    std::os::unix::fs::symlink("/", &link).unwrap();
    for policy in [
        Policy { write: vec![link.clone()], ..policy(&[]) },
        Policy { read_own: vec![link.join("etc")], ..policy(&[]) },
        Policy { write: vec![folder.path().join("absent")], ..policy(&[]) },
    ] {
        let refused = capture(&launcher(), &spec(policy, "print('started')", &[]), Duration::from_secs(60)).await;
        let Err(CaptureError::Spawn(SpawnError::Isolation { source, .. })) = refused else { panic!("{refused:?}") };
        assert!(matches!(source.raw_os_error(), Some(libc::ELOOP | libc::ENOENT)), "{source}");
    }
}

/// Of a user who is nobody else, with everything that Landlock would refuse allowed; nothing where this is not root, or has
/// no Python that others can run, which is said.
fn of_another_user(user: u32, script: &str, arguments: &[&str]) -> Option<ChildSpec> {
    let program = Path::new("/usr/bin/python3");
    // SAFETY: cannot fail and touches no memory.
    if unsafe { libc::geteuid() } != 0 || !program.exists() {
        eprintln!("LEFT OUT, nothing is known of user ids: it takes root, and a Python in /usr");
        return None;
    }
    let policy = Policy { user: Some(user), ..Policy::default() };
    Some(ChildSpec { program: program.into(), ..spec(policy, script, arguments) })
}

#[tokio::test]
async fn a_child_of_another_user_has_nothing_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let script = "import os, signal, sys\n\
        print(os.getresuid(), os.getresgid(), os.getgroups())\n\
        print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith(('Cap', 'NoNewPrivs'))))\n\
        def refused(act, *arguments):\n\
        \x20   try: act(*arguments); print('done', act)\n\
        \x20   except PermissionError: print('refused')\n\
        refused(open, sys.argv[1])\n\
        refused(os.kill, int(sys.argv[2]), 0)\n\
        refused(os.kill, os.getppid(), signal.SIGSTOP)\n\
        refused(os.setuid, 0)\n\
        refused(os.setgroups, [0])\n\
        open('/dev/stdout', 'w').write('by its name\\n')";
    let pid = std::process::id().to_string();
    let Some(spec) = of_another_user(210_001, script, &[secret.to_str().unwrap(), &pid]) else { return };
    let said = capture(&launcher(), &spec, Duration::from_secs(60)).await.unwrap();
    let none = "0000000000000000";
    let expected = [
        "(210001, 210001, 210001) (210001, 210001, 210001) []".to_owned(),
        format!("{none} {none} {none} {none} {none} 1"),
    ];
    let refused = std::iter::repeat_n("refused".to_owned(), 5);
    let expected: Vec<_> = expected.into_iter().chain(refused).chain(["by its name".to_owned()]).collect();
    assert!(said.exit.succeeded(), "{said:?}");
    // What is opened by its name is another writer of the same pipe.
    let (mut found, mut expected) = (Vec::from(said.stdout.clone()), expected);
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{said:?}");
}

#[tokio::test]
async fn a_child_of_another_user_is_ended_like_any_other() {
    let script = "import os, signal, time\n\
        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
        if os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)\n\
        print('ready', flush=True)\n\
        time.sleep(1000)";
    let Some(spec) = of_another_user(210_002, script, &[]) else { return };
    let limit = Duration::from_secs(1);
    let refused = capture(&launcher(), &spec, limit).await;
    assert!(matches!(refused, Err(CaptureError::Timeout { .. })), "{refused:?}");
    count_in(210_000..=210_010);
    assert!(survivors(vec![spec.marker.clone()]).await.is_empty());
}
