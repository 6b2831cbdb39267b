//! Children that behave badly, one test each: whatever they do, they end in time and leave nothing behind.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ade::domain::RunId;
use ade::event::payload::console::Pipe;
use ade::worker::process::kill::{kill_marked, survivors};
use ade::worker::process::{ChildSpec, Line, Marker, Outcome, Process, ResourceLimits, SpawnError};

const GRACE: Duration = Duration::from_millis(300);
/// Terminal outcome within the grace time and three seconds.
const BOUND: Duration = Duration::from_millis(3300);

fn spec(program: &str, args: &[&str]) -> ChildSpec {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ChildSpec {
        program: PathBuf::from(program),
        args: args.iter().map(OsString::from).collect(),
        cwd: std::env::temp_dir(),
        env: BTreeMap::from([("PATH".into(), path)]),
        marker: Marker::run(RunId::generate()),
        limits: ResourceLimits::default(),
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
    let mut process = Process::spawn(spec).unwrap();
    let mut lines = Vec::new();
    while let Some((pipe, batch)) = process.next().await {
        lines.extend(batch.lines.into_iter().map(|line| (pipe, line)));
    }
    let outcome = process.outcome().await;
    assert_gone(spec).await;
    (lines, outcome)
}

/// Starts the child, waits for the line `ready`, and ends it as a cancel does.
async fn cancel(spec: &ChildSpec) -> (Outcome, Duration) {
    let mut process = Process::spawn(spec).unwrap();
    let mut ready = false;
    while !ready {
        let (_, batch) = process.next().await.expect("the child says that it is ready");
        ready = batch.lines.iter().any(|line| line.text == "ready");
    }
    let begin = Instant::now();
    let killer = process.killer();
    let (report, outcome) = tokio::join!(killer.terminate(GRACE), process.outcome());
    let took = begin.elapsed();
    assert!(report.left.is_empty(), "{report:?}");
    assert!(took < BOUND, "{took:?}");
    assert_gone(spec).await;
    (outcome, took)
}

async fn assert_gone(spec: &ChildSpec) {
    assert!(survivors(vec![spec.marker.clone()]).await.is_empty());
}

fn texts(lines: &[(Pipe, Line)], wanted: Pipe) -> Vec<&str> {
    lines.iter().filter(|(pipe, _)| *pipe == wanted).map(|(_, line)| line.text.as_str()).collect()
}

#[tokio::test]
async fn output_and_exit_code_are_told() {
    let (lines, outcome) = run(&shell("echo one; echo two >&2; printf three; exit 7")).await;
    assert_eq!(texts(&lines, Pipe::Stdout), ["one", "three"]);
    assert_eq!(texts(&lines, Pipe::Stderr), ["two"]);
    assert_eq!((outcome.exit.code, outcome.exit.signal, outcome.exit.status()), (Some(7), None, Some(7)));
    assert!(!outcome.truncated && outcome.leftovers.killed.is_empty());
}

#[tokio::test]
async fn a_signal_and_the_usage_are_told() {
    let (_, outcome) = run(&python("import os; x = b'x' * (50 * 2**20); os.kill(os.getpid(), 11)")).await;
    assert_eq!((outcome.exit.code, outcome.exit.signal, outcome.exit.status()), (None, Some(11), Some(139)));
    assert!(outcome.usage.max_resident_bytes > 50 << 20, "{:?}", outcome.usage);
}

#[tokio::test]
async fn a_child_that_exits_at_once_is_no_race() {
    for _ in 0..20 {
        let (lines, outcome) = run(&spec("/bin/true", &[])).await;
        assert!(lines.is_empty() && outcome.exit.succeeded() && !outcome.truncated);
    }
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let program = Process::spawn(&spec("/no/such/program", &[])).unwrap_err();
    assert!(matches!(program, SpawnError::NoProgram(_)), "{program}");
    let folder = Process::spawn(&ChildSpec { cwd: "/no/such/folder".into(), ..shell("true") }).unwrap_err();
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
async fn limits_are_kept() {
    let limits = ResourceLimits { cpu_seconds: Some(7), memory_bytes: Some(512 << 20), file_size_bytes: Some(1 << 20) };
    let script = "import resource as r; print(r.getrlimit(r.RLIMIT_CPU), r.getrlimit(r.RLIMIT_FSIZE))\n\
                  try: bytes(600 * 2**20)\n\
                  except MemoryError: print('no memory')";
    let (lines, _) = run(&ChildSpec { limits, ..python(script) }).await;
    assert_eq!(texts(&lines, Pipe::Stdout), ["(7, 8) (1048576, 1048576)", "no memory"]);
}

#[tokio::test]
async fn one_that_ends_when_asked_is_not_waited_for() {
    let (outcome, took) = cancel(&shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done")).await;
    assert_eq!(outcome.exit.code, Some(3));
    assert!(took < GRACE, "{took:?}");
}

#[tokio::test]
async fn one_that_ignores_the_signal_is_killed() {
    let (outcome, took) = cancel(&shell("trap '' TERM; echo ready; while :; do sleep 0.1; done")).await;
    assert_eq!(outcome.exit.signal, Some(9));
    assert!(took >= GRACE);
}

#[tokio::test]
async fn one_that_stopped_itself_is_woken_to_end() {
    let (outcome, _) = cancel(&shell("echo ready; kill -STOP $$")).await;
    assert_eq!(outcome.exit.signal, Some(15));
}

#[tokio::test]
async fn one_that_moved_to_a_group_of_its_own_is_found() {
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
async fn a_daemon_does_not_outlive_a_child_that_ends_by_itself() {
    let script = "setsid sh -c 'exec </dev/null >/dev/null 2>&1; trap \"\" HUP TERM; sleep 100' & echo done";
    let begin = Instant::now();
    let (lines, outcome) = run(&shell(script)).await;
    assert_eq!(texts(&lines, Pipe::Stdout), ["done"]);
    assert!(outcome.exit.succeeded());
    assert!(begin.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_grandchild_that_holds_the_pipes_does_not_keep_the_run_open() {
    let begin = Instant::now();
    let (lines, outcome) = run(&shell("(while :; do echo tick; sleep 0.1; done) & echo main; exit 4")).await;
    assert!(texts(&lines, Pipe::Stdout).contains(&"main"));
    assert_eq!(outcome.exit.code, Some(4));
    assert!(outcome.truncated && !outcome.leftovers.killed.is_empty(), "{outcome:?}");
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_grandchild_may_finish_its_output() {
    let (lines, outcome) = run(&shell("(sleep 0.3; echo late) & echo early")).await;
    assert_eq!(texts(&lines, Pipe::Stdout), ["early", "late"]);
    assert!(!outcome.truncated);
}

#[tokio::test]
async fn one_that_forks_all_the_time_is_killed() {
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
async fn a_hundred_megabytes_on_one_line_come_in_pieces() {
    let spec = python("import sys\nfor _ in range(100): sys.stdout.write('x' * 1_000_000)");
    let mut process = Process::spawn(&spec).unwrap();
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
    let mut process = Process::spawn(&spec).unwrap();
    let first = process.next().await;
    assert!(first.is_some());
    // The child is blocked once its pipe is full: it waits in the write, however long nobody reads.
    let blocked = async {
        while !std::fs::read_to_string(format!("/proc/{}/wchan", process.pid())).is_ok_and(|at| at.contains("pipe")) {
            tokio::task::yield_now().await;
        }
    };
    let known = tokio::time::timeout(Duration::from_secs(5), blocked).await;
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
    let mut process = Process::spawn(&spec).unwrap();
    process.next().await;
    drop(process);
    let gone = async {
        while !survivors(vec![spec.marker.clone()]).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3), gone).await.expect("nothing is left");
}

#[tokio::test]
async fn children_of_an_earlier_life_are_found_by_their_marker() {
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
        tokio::time::timeout(Duration::from_secs(5), started).await.expect("the orphan has started");
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
async fn a_chain_of_orphans_that_fork_and_leave_is_ended_by_its_marker() {
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
