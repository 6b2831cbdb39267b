//! Children that behave badly, one test each: whatever they do, they end in time and leave nothing behind.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ade::domain::RunId;
use ade::event::payload::console::Pipe;
use ade::isolation::Policy;
use ade::worker::process::{CaptureError, ChildSpec, Line, Marker, Outcome, Process, ResourceLimits, SpawnError};
use ade::worker::process::{adopt_orphans, capture_aloud, kill_marked, survivors};

use crate::launcher;

const GRACE: Duration = Duration::from_millis(300);
/// What is not over by then never will be, however busy the machine is.
const HANGS: Duration = ade_test_support::TIMEOUT;

fn spec(program: &str, args: &[&str]) -> ChildSpec {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ChildSpec {
        program: PathBuf::from(program),
        args: args.iter().map(OsString::from).collect(),
        cwd: std::env::temp_dir(),
        env: BTreeMap::from([("PATH".into(), path)]),
        marker: Marker::run(RunId::generate()),
        limits: ResourceLimits::default(),
        policy: Policy::default(),
        event_lines: true,
    }
}

fn shell(script: &str) -> ChildSpec {
    spec("/bin/sh", &["-c", script])
}

fn python(script: &str) -> ChildSpec {
    spec("/usr/bin/python3", &["-I", "-c", script])
}

/// The text of everything a child writes, and how it ends.
async fn run(spec: &ChildSpec) -> (Vec<(Pipe, Line)>, Outcome) {
    let mut process = Process::spawn(&launcher(), spec).await.unwrap();
    let mut lines = Vec::new();
    let reading = async {
        while let Some((pipe, batch)) = process.next().await {
            lines.extend(batch.lines.into_iter().map(|line| (pipe, line)));
        }
        process.outcome().await
    };
    let outcome = tokio::time::timeout(HANGS, reading).await.expect("a child ends");
    assert_gone(spec).await;
    (lines, outcome)
}

/// Starts the child, waits for the line `ready`, and ends it as a cancel does; says how long that took.
async fn cancel(spec: &ChildSpec) -> (Outcome, Duration) {
    cancel_within(spec, GRACE).await
}

async fn cancel_within(spec: &ChildSpec, grace: Duration) -> (Outcome, Duration) {
    let mut process = Process::spawn(&launcher(), spec).await.unwrap();
    let mut ready = false;
    while !ready {
        let (_, batch) = process.next().await.expect("the child says that it is ready");
        ready = batch.lines.iter().any(|line| line.text == "ready");
    }
    let begin = Instant::now();
    let killer = process.killer();
    let ending = async { tokio::join!(killer.terminate(grace), process.outcome()) };
    let (report, outcome) = tokio::time::timeout(HANGS, ending).await.expect("a cancel ends");
    let took = begin.elapsed();
    assert!(report.left.is_empty(), "{report:?}");
    assert_gone(spec).await;
    (outcome, took)
}

async fn assert_gone(spec: &ChildSpec) {
    assert!(survivors(vec![spec.marker.clone()]).await.is_empty());
}

fn texts(lines: &[(Pipe, Line)], wanted: Pipe) -> Vec<&str> {
    lines.iter().filter(|(pipe, _)| *pipe == wanted).map(|(_, line)| line.text.as_str()).collect()
}

/// A pipe that always has more is always ready: unless the reader gives up turns, all else on its thread stands still,
/// the clock that should end it included.
#[tokio::test]
async fn a_flood_of_output_does_not_starve_other_tasks_on_the_thread() {
    let mut lines = 0;
    let slower_than_its_writer = |_: Pipe, line: &str| {
        std::hint::black_box(line.repeat(1000));
        lines += 1;
        assert!(lines < 5_000_000, "nothing else has had a turn");
    };
    let limit = Duration::from_millis(200);
    let ended = capture_aloud(&launcher(), &spec("yes", &[]), limit, slower_than_its_writer).await;
    assert!(matches!(ended, Err(CaptureError::Timeout { .. })), "{ended:?}");
}

#[tokio::test]
async fn output_and_exit_code_are_reported() {
    let (lines, outcome) = run(&shell("echo one; echo two >&2; printf three; exit 7")).await;
    assert_eq!(texts(&lines, Pipe::Stdout), ["one", "three"]);
    assert_eq!(texts(&lines, Pipe::Stderr), ["two"]);
    assert_eq!((outcome.exit.code, outcome.exit.signal, outcome.exit.status()), (Some(7), None, Some(7)));
    assert!(!outcome.truncated && outcome.leftovers.killed.is_empty());
}

#[tokio::test]
async fn the_signal_and_the_usage_are_reported() {
    let (_, outcome) = run(&python("import os; x = b'x' * (50 * 2**20); os.kill(os.getpid(), 11)")).await;
    assert_eq!((outcome.exit.code, outcome.exit.signal, outcome.exit.status()), (None, Some(11), Some(139)));
    assert!(outcome.usage.max_resident_bytes > 50 << 20, "{:?}", outcome.usage);
}

#[tokio::test]
async fn a_child_that_exits_at_once_causes_no_race() {
    for _ in 0..20 {
        let (lines, outcome) = run(&spec("/bin/true", &[])).await;
        assert!(lines.is_empty() && outcome.exit.succeeded() && !outcome.truncated);
    }
}

#[tokio::test]
async fn a_failed_start_reports_why() {
    let program = Process::spawn(&launcher(), &spec("/no/such/program", &[])).await.unwrap_err();
    assert!(matches!(program, SpawnError::NoProgram(_)), "{program}");
    let folder =
        Process::spawn(&launcher(), &ChildSpec { cwd: "/no/such/folder".into(), ..shell("true") }).await.unwrap_err();
    assert!(matches!(folder, SpawnError::NoFolder(_)), "{folder}");
}

#[tokio::test]
async fn a_child_sees_only_what_it_is_given() {
    let spec = python(
        "import os; print(sorted(os.environ)); print(sorted(map(int, os.listdir('/proc/self/fd'))));\
         print(os.getsid(0) == os.getpid() == os.getpgrp(), os.readlink('/proc/self/fd/0'))",
    );
    let (lines, _) = run(&spec).await;
    let lines = texts(&lines, Pipe::Stdout);
    assert!(lines[0].contains("'ADE_RUN_ID', ") && lines[0].contains("'PATH'"), "{lines:?}");
    assert!(!lines[0].contains("HOME") && !lines[0].contains("CARGO"), "{lines:?}");
    assert_eq!(lines[1], "[0, 1, 2, 3]", "3 is the folder that is being listed");
    assert_eq!(lines[2], "True /dev/null");
}

#[tokio::test]
async fn limits_are_enforced() {
    let limits = ResourceLimits { cpu_seconds: Some(7), memory_bytes: Some(512 << 20), file_size_bytes: Some(1 << 20) };
    let script = "import resource as r; print(r.getrlimit(r.RLIMIT_CPU), r.getrlimit(r.RLIMIT_FSIZE))\n\
                  try: bytes(600 * 2**20)\n\
                  except MemoryError: print('no memory')";
    let (lines, _) = run(&ChildSpec { limits, ..python(script) }).await;
    assert_eq!(texts(&lines, Pipe::Stdout), ["(7, 8) (1048576, 1048576)", "no memory"]);
}

#[tokio::test]
async fn a_process_that_ends_on_sigterm_is_not_waited_for() {
    let spec = shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done");
    let (outcome, _) = cancel_within(&spec, HANGS * 10).await;
    assert_eq!(outcome.exit.code, Some(3));
}

#[tokio::test]
async fn a_process_that_ignores_the_signal_is_killed() {
    let (outcome, took) = cancel(&shell("trap '' TERM; echo ready; while :; do sleep 0.1; done")).await;
    assert_eq!(outcome.exit.signal, Some(9));
    assert!(took >= GRACE);
}

#[tokio::test]
async fn a_stopped_process_is_continued_so_that_it_can_end() {
    let (outcome, _) = cancel(&shell("echo ready; kill -STOP $$")).await;
    assert_eq!(outcome.exit.signal, Some(15));
}

#[tokio::test]
async fn a_process_in_its_own_group_is_found() {
    let script = "import os, signal, time\n\
        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
        if os.fork() == 0:\n\
        \x20   os.setpgid(0, 0); print('ready', flush=True)\n\
        time.sleep(100)";
    let (outcome, _) = cancel(&python(script)).await;
    assert_eq!(outcome.exit.signal, Some(9));
}

#[tokio::test]
async fn a_daemon_with_a_session_of_its_own_is_found() {
    let script = "import os, signal, time\n\
        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
        if os.fork() == 0:\n\
        \x20   os.setsid()\n\
        \x20   if os.fork(): os._exit(0)\n\
        \x20   os.setsid() if os.getpid() == os.getpgrp() else os.setpgid(0, 0)\n\
        \x20   print('ready', flush=True)\n\
        time.sleep(100)";
    cancel(&python(script)).await;
}

#[tokio::test]
async fn a_daemon_does_not_outlive_a_child_that_exits_by_itself() {
    let script = "setsid sh -c 'exec </dev/null >/dev/null 2>&1; trap \"\" HUP TERM; sleep 100' & echo done";
    let (lines, outcome) = run(&shell(script)).await;
    assert_eq!(texts(&lines, Pipe::Stdout), ["done"]);
    assert!(outcome.exit.succeeded() && !outcome.truncated);
}

#[tokio::test]
async fn a_grandchild_that_holds_the_pipes_does_not_keep_the_run_open() {
    let (lines, outcome) = run(&shell("(while :; do echo tick; sleep 0.1; done) & echo main; exit 4")).await;
    assert!(texts(&lines, Pipe::Stdout).contains(&"main"));
    assert_eq!(outcome.exit.code, Some(4));
    assert!(outcome.truncated && !outcome.leftovers.killed.is_empty(), "{outcome:?}");
}

#[tokio::test]
async fn a_grandchild_may_finish_its_output() {
    let (lines, outcome) = run(&shell("(sleep 0.3; echo late) & echo early")).await;
    assert_eq!(texts(&lines, Pipe::Stdout), ["early", "late"]);
    assert!(!outcome.truncated);
}

#[tokio::test]
async fn a_process_that_keeps_forking_is_killed() {
    let script = "import os, signal, time\n\
        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
        print('ready', flush=True)\n\
        end = time.time() + 20\n\
        live = 0\n\
        while time.time() < end:\n\
        \x20   if live < 60 and os.fork() == 0:\n\
        \x20       if live % 2: os.setpgid(0, 0)\n\
        \x20       time.sleep(0.05 if live % 3 else 5); os._exit(0)\n\
        \x20   live += 1\n\
        \x20   while live > 60 and os.waitpid(-1, os.WNOHANG)[0]: live -= 1\n\
        \x20   time.sleep(0.0005)";
    cancel(&python(script)).await;
}

#[tokio::test]
async fn a_line_of_a_hundred_megabytes_is_split() {
    let spec = python("import sys\nfor _ in range(100): sys.stdout.write('x' * 1_000_000)");
    let mut process = Process::spawn(&launcher(), &spec).await.unwrap();
    let (mut bytes, mut whole) = (0, 0);
    while let Some((_, batch)) = process.next().await {
        bytes += batch.lines.iter().map(|line| line.text.len()).sum::<usize>();
        whole += batch.lines.iter().filter(|line| !line.continued).count();
        assert!(batch.lines.iter().all(|line| line.text.len() <= 64 * 1024));
    }
    assert_eq!((bytes, whole), (100_000_000, 1));
    assert!(process.outcome().await.exit.succeeded());
}

#[tokio::test]
async fn binary_output_becomes_text() {
    let (lines, _) = run(&python("import sys; sys.stdout.buffer.write(bytes(range(256)) * 4)")).await;
    let text: String = lines.iter().map(|(_, line)| line.text.as_str()).collect();
    assert!(text.contains('\u{fffd}') && text.contains('\0'));
}

#[tokio::test]
async fn a_child_writes_no_faster_than_it_is_read() {
    let spec = python(
        "import sys\nfor i in range(400):\n  sys.stdout.write('x' * 9_999 + '\\n')\n  sys.stdout.flush()\n  \
         print(i, file=sys.stderr, flush=True)",
    );
    let mut process = Process::spawn(&launcher(), &spec).await.unwrap();
    let first = process.next().await;
    assert!(first.is_some());
    // The child is blocked once its pipe is full: it waits in the write, however long nobody reads.
    let blocked = async {
        while !std::fs::read_to_string(format!("/proc/{}/wchan", process.pid())).is_ok_and(|at| at.contains("pipe")) {
            tokio::task::yield_now().await;
        }
    };
    let known = tokio::time::timeout(HANGS, blocked).await;
    assert!(known.is_ok() || !std::path::Path::new("/proc/self/wchan").exists());
    let mut lines = first.map_or(0, |(pipe, batch)| if pipe == Pipe::Stdout { batch.lines.len() } else { 0 });
    while let Some((pipe, batch)) = process.next().await {
        lines += if pipe == Pipe::Stdout { batch.lines.len() } else { 0 };
    }
    assert_eq!(lines, 400);
}

#[tokio::test]
async fn a_dropped_process_leaves_nothing() {
    let spec = shell("setsid sleep 100 & echo ready; sleep 100");
    let mut process = Process::spawn(&launcher(), &spec).await.unwrap();
    process.next().await;
    drop(process);
    let gone = async {
        while !survivors(vec![spec.marker.clone()]).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANGS, gone).await.expect("nothing is left");
}

#[tokio::test]
async fn children_of_a_previous_process_are_found_by_their_marker() {
    let _alone = ADOPTING.lock().await;
    let marker = Marker::run(RunId::generate());
    let other = Marker::run(RunId::generate());
    let orphan = |marker: &Marker| {
        let line = format!("{}={} setsid sleep 100 >/dev/null 2>&1 & wait $!", marker.name, marker.value);
        std::process::Command::new("/bin/sh").args(["-c", &line]).stderr(std::process::Stdio::null()).spawn().unwrap()
    };
    let (mut first, mut second) = (orphan(&marker), orphan(&other));
    for each in [&marker, &other] {
        let started = async {
            while survivors(vec![each.clone()]).await.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(HANGS, started).await.expect("the orphan has started");
    }
    let report = kill_marked(vec![marker.clone()]).await;
    assert!(!report.killed.is_empty() && report.left.is_empty(), "{report:?}");
    assert!(survivors(vec![marker]).await.is_empty());
    assert!(!survivors(vec![other.clone()]).await.is_empty(), "only what carries the marker");
    kill_marked(vec![other]).await;
    first.wait().unwrap();
    second.wait().unwrap();
}

/// Nobody is the same process for long: a look into the process table that takes its time finds only the dead.
#[tokio::test]
async fn a_chain_of_forking_orphans_is_killed_by_its_marker() {
    let _alone = ADOPTING.lock().await;
    for round in 0..20 {
        let marker = Marker::run(RunId::generate());
        let session = if round % 2 == 0 { "os.setsid()" } else { "pass" };
        let script = format!(
            "import os, signal, time\n\
            signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
            end = time.monotonic() + 30\n\
            os.setsid()\n\
            if os.fork() != 0: os._exit(0)\n\
            while time.monotonic() < end:\n\
            \x20   time.sleep(0.001)\n\
            \x20   if os.fork() != 0: os._exit(0)\n\
            \x20   {session}"
        );
        let mut first = std::process::Command::new("/usr/bin/python3")
            .args(["-I", "-c", &script])
            .env(marker.name, &marker.value)
            .spawn()
            .unwrap();
        first.wait().unwrap();
        let report = kill_marked(vec![marker.clone()]).await;
        assert!(report.left.is_empty(), "{report:?}");
        for _ in 0..50 {
            assert_eq!(survivors(vec![marker.clone()]).await, [0; 0], "round {round}");
        }
    }
}

/// Executed with nothing of what it was started with, as a child of nobody: `/bin/sleep`, for so long.
fn hidden(seconds: &str) -> String {
    format!(
        "import os\n\
         def hide():\n\
         \x20   if os.fork(): return\n\
         \x20   os.setsid()\n\
         \x20   if os.fork(): os._exit(0)\n\
         \x20   null = os.open('/dev/null', os.O_RDWR)\n\
         \x20   [os.dup2(null, fd) for fd in range(3)]\n\
         \x20   os.execve('/bin/sleep', ['sleep', '{seconds}'], {{}})\n\
         hide()\n\
         def sleeps(pid):\n\
         \x20   try: return open(f'/proc/{{pid}}/cmdline').read() == 'sleep\\x00{seconds}\\x00'\n\
         \x20   except OSError: return False\n\
         while not any(sleeps(pid) for pid in os.listdir('/proc') if pid.isdigit()): pass\n"
    )
}

/// Whether anybody sleeps for so long; the dead have no command line.
fn sleeps(seconds: &str) -> bool {
    let wanted = format!("sleep\0{seconds}\0");
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .into_iter()
        .any(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == wanted.as_bytes()))
}

/// A number of seconds that no other test sleeps.
fn unique() -> String {
    format!("1{:09}", u64::from(std::process::id()) * 1000 + ulid::Ulid::generate().random() as u64 % 1000)
}

#[tokio::test]
async fn a_detached_daemon_does_not_outlive_the_end() {
    let seconds = unique();
    let (_, outcome) = run(&python(&format!("{}print('done')", hidden(&seconds)))).await;
    assert!(!sleeps(&seconds));
    assert!(outcome.exit.succeeded() && outcome.leftovers.killed.len() == 1, "{outcome:?}");
}

#[tokio::test]
async fn a_detached_daemon_does_not_outlive_a_cancel() {
    let seconds = unique();
    cancel(&python(&format!("{}import time; print('ready', flush=True); time.sleep(100)", hidden(&seconds)))).await;
    assert!(!sleeps(&seconds));
}

#[tokio::test]
async fn a_detached_daemon_does_not_outlive_a_dropped_process() {
    let seconds = unique();
    let script = format!("{}import time; print('ready', flush=True); time.sleep(100)", hidden(&seconds));
    let mut process = Process::spawn(&launcher(), &python(&script)).await.unwrap();
    process.next().await;
    assert!(sleeps(&seconds));
    drop(process);
    gone(|| !sleeps(&seconds)).await;
}

/// Waits until it is so.
async fn gone(is_gone: impl Fn() -> bool) {
    let waiting = async {
        while !is_gone() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANGS, waiting).await.expect("nothing is left");
}

/// Others of these tests have children of their own, which must not be taken for orphans of a launcher.
static ADOPTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn a_process_that_kills_its_launcher_is_killed_with_its_descendants() {
    let _alone = ADOPTING.lock().await;
    adopt_orphans().unwrap();
    for _ in 0..5 {
        let seconds = unique();
        let script = format!(
            "{}import signal, time\nos.kill(os.getppid(), signal.SIGTERM)\nprint('still here', flush=True)\n\
             os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(100)",
            hidden(&seconds)
        );
        let spec = python(&script);
        let (lines, outcome) = run(&spec).await;
        assert_eq!(texts(&lines, Pipe::Stdout), ["still here"]);
        assert_eq!(outcome.exit.signal, Some(9));
        assert!(!sleeps(&seconds));
        assert!(outcome.leftovers.left.is_empty() && outcome.leftovers.killed.len() == 2, "{outcome:?}");
    }
    let own = std::process::id().to_string();
    let children = std::process::Command::new("ps").args(["-o", "stat=,comm=", "--ppid", &own]).output().unwrap();
    let children = String::from_utf8(children.stdout).unwrap();
    let unburied = children.lines().filter(|line| line.starts_with('Z') && !line.ends_with("ade <defunct>"));
    assert_eq!(unburied.collect::<Vec<_>>(), [""; 0], "but for launchers of other tests, which are reaped in a moment");
}

#[tokio::test]
async fn a_process_that_stops_its_launcher_ends_normally() {
    let seconds = unique();
    let script = format!("{}import signal\nos.kill(os.getppid(), signal.SIGSTOP); os._exit(3)", hidden(&seconds));
    let (_, outcome) = run(&python(&script)).await;
    assert_eq!(outcome.exit.code, Some(3));
    assert!(!sleeps(&seconds) && !outcome.truncated, "{outcome:?}");
    let script = "import os, signal, time\nos.kill(os.getppid(), signal.SIGSTOP); print('ready', flush=True)\n\
                  time.sleep(100)";
    assert_eq!(cancel(&python(script)).await.0.exit.signal, Some(15));
}

/// Its first thread is a zombie while the others go on.
#[tokio::test]
async fn a_process_whose_main_thread_has_ended_is_found() {
    let script = "import ctypes, threading, time\n\
        threading.Thread(target=time.sleep, args=(100,)).start()\n\
        print('ready', flush=True)\n\
        ctypes.CDLL(None).syscall(60, 0)";
    let child = format!("import os\nif os.fork() == 0:\n  os.setsid()\n  exec({script:?})\nelse: os.wait()");
    for script in [script, &child] {
        cancel(&python(script)).await;
    }
}

/// Each of them has a session and a group of its own, and starts others as soon as some have gone.
#[tokio::test]
async fn processes_that_daemonize_and_multiply_are_killed() {
    let seconds = unique();
    let script = format!(
        "import os, sys, time\n\
         few = len(os.listdir('/proc'))\n\
         code = '''import os, signal, sys, time\n\
         signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
         signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n\
         end = time.monotonic() + 120\n\
         while time.monotonic() < end:\n\
         \x20   if len(os.listdir('/proc')) < int(sys.argv[1]) and os.fork() == 0:\n\
         \x20       os.setsid()\n\
         \x20   time.sleep(0.05)\n\
         '''\n\
         if os.fork() == 0:\n\
         \x20   os.execve(sys.executable, ['crowd', '-I', '-c', code, str(few + 200), '{seconds}'], {{}})\n\
         while len(os.listdir('/proc')) < few + 100: time.sleep(0.05)\n\
         print('ready', flush=True)\n\
         time.sleep(100)"
    );
    cancel(&python(&script)).await;
    let crowd = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
    let left = std::fs::read_dir("/proc").unwrap().flatten().map(crowd).filter(|line| line.contains(&seconds));
    assert_eq!(left.count(), 0);
}

#[tokio::test]
#[ignore = "a measurement; use --release"]
async fn what_a_launcher_costs() {
    const CHILDREN: u32 = 200;
    let begin = Instant::now();
    for _ in 0..CHILDREN {
        let process = Process::spawn(&launcher(), &spec("/bin/true", &[])).await.unwrap();
        assert!(process.outcome().await.exit.succeeded());
    }
    println!("{:?} a child from its start to its outcome", begin.elapsed() / CHILDREN);
    let begin = Instant::now();
    for _ in 0..CHILDREN {
        std::process::Command::new("/bin/true").output().unwrap();
    }
    println!("{:?} a child without any of this", begin.elapsed() / CHILDREN);
    let process = Process::spawn(&launcher(), &shell("sleep 100")).await.unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    let parent = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().to_owned();
    println!("{}", std::fs::read_to_string(format!("/proc/{parent}/smaps_rollup")).unwrap());
}
