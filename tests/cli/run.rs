//! `ade run`: from a spreadsheet to its workbook.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::support::server::{ade, settings};
use crate::support::{eventually, process, tools};
use crate::{done, fixture, program, workbook};

/// One data folder for all, and one command at a time in it: what is asked here is not who owns it.
fn data_dir() -> (&'static Path, MutexGuard<'static, ()>) {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-data");
        let _ = std::fs::remove_dir_all(&folder);
        folder
    });
    (folder, turn)
}

/// Runs a file that must succeed; what it reports on the way, and where the workbook is.
fn succeed(data_dir: &Path, file: &str) -> (String, PathBuf) {
    let (code, out, err) = done(program(data_dir).arg("run").arg(fixture(file)));
    assert_eq!(code, Some(0), "{out}\n{err}");
    let path = PathBuf::from(out.strip_suffix('\n').unwrap());
    assert!(path.is_file() && path.ends_with("output/normalized.xlsx"), "{path:?}");
    (err, path)
}

#[test]
fn every_kind_of_sheet_becomes_the_same_workbook() {
    let (data_dir, _turn) = data_dir();
    let of = |file| workbook::records(&succeed(data_dir, file).1);
    let roster = of("roster.xlsx");
    assert_eq!(roster.len(), 40);
    let expected = [
        ("member_id", "M-1002"),
        ("first_name", "Chiara"),
        ("last_name", "Virtanen"),
        ("email", "chiara.virtanen@example.org"),
        ("amount", "1234.5"),
        ("raw_7", "Garden"),
    ];
    expected.iter().for_each(|(name, value)| assert_eq!(roster[1][*name], *value));
    assert_eq!(roster[4]["member_id"], "", "what is missing stays missing");
    // A file without types says the same, but for the one number that only a workbook knows to be a date.
    let csv = of("roster.csv");
    assert_eq!(csv.len(), 40);
    let differing: Vec<_> = (0..40).filter(|&row| csv[row] != roster[row]).collect();
    assert!(differing.iter().all(|&row| row == 7), "{differing:?}");

    let two = of("two_tables.xlsx");
    let ids: Vec<_> = two.iter().map(|row| row["member_id"].as_str()).collect();
    let expected = ["M-1001", "M-1002", "M-1003", "M-1004", "M-1005", "M-1050", "M-1051", "M-1052", "M-1053"];
    assert_eq!(ids, expected, "both tables, without the total between them");
    assert_eq!((two[5]["last_name"].as_str(), two[5]["amount"].as_str()), ("Sato", "1187.5"));

    let titled = of("title_rows.xlsx");
    assert_eq!((titled.len(), titled[0]["email"].as_str()), (8, "bruno.larsen@example.org"));

    let (code, out, _) = done(program(data_dir).arg("verify"));
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains(" 0 violations"), "{out}");
}

#[test]
fn a_second_run_uses_the_venv_of_the_first() {
    let (data_dir, _turn) = data_dir();
    succeed(data_dir, "roster.csv");
    let (err, _) = succeed(data_dir, "title_rows.xlsx");
    assert!(err.contains("environment reused") && !err.contains("creating virtual environment"), "{err}");
}

#[test]
fn progress_goes_to_standard_error_and_the_path_alone_to_standard_output() {
    let (data_dir, _turn) = data_dir();
    // `succeed` has seen that the output is one line, and that line a file.
    let (err, _) = succeed(data_dir, "roster.csv");
    for expected in ["run run_", "run started", "[run] ", "│ rows", "┆ succeeded"] {
        assert!(err.contains(expected), "{expected:?}: {err}");
    }
}

#[test]
fn quiet_is_only_the_path_or_the_error() {
    let (data_dir, _turn) = data_dir();
    let (code, out, err) = done(program(data_dir).args(["run", "--quiet"]).arg(fixture("roster.csv")));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.lines().count() == 1 && Path::new(out.trim_end()).is_file(), "{out}");
    let (code, out, err) = done(program(data_dir).args(["run", "-q"]).arg(fixture("corrupt.xlsx")));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("input_error: corrupt.xlsx cannot be read as a workbook"), "{err}");
}

#[test]
fn json_is_one_object_whatever_comes_of_the_run() {
    let (data_dir, _turn) = data_dir();
    let run = |file: &str| {
        let (code, out, err) = done(program(data_dir).args(["run", "--json"]).arg(fixture(file)));
        assert_eq!(out.lines().count(), 1, "{out}\n{err}");
        (code, serde_json::from_str::<serde_json::Value>(&out).unwrap())
    };
    let (code, result) = run("roster.csv");
    assert_eq!((code, &result["status"], &result["failure"]), (Some(0), &"succeeded".into(), &().into()), "{result}");
    assert!(Path::new(result["path"].as_str().unwrap()).is_file(), "{result}");
    assert!(result["run_id"].as_str().unwrap().starts_with("run_"), "{result}");
    assert_eq!((&result["rows"], &result["tables"]), (&40.into(), &1.into()), "{result}");
    let (code, result) = run("corrupt.xlsx");
    assert_eq!((code, &result["status"], &result["path"]), (Some(1), &"failed".into(), &().into()), "{result}");
    assert_eq!(result["failure"]["code"], "input_error", "{result}");
}

#[test]
fn a_run_that_never_started_has_no_summary() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.insert("ADE_PYTHON_BIN", "/bin/false".to_owned());
    let (code, out, err) = done(ade(folder.path(), &settings).arg("run").arg(fixture("roster.csv")));
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("build_failed: ") && !err.contains("│"), "{err}");
}

#[test]
fn an_unwritable_output_is_reported_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    for output in [file.clone(), file.join("below"), "/proc/nowhere/to/write".into()] {
        let mut command = program(&data_dir);
        let (code, _, err) = done(command.arg("run").arg("--output").arg(&output).arg(fixture("roster.csv")));
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(output.to_str().unwrap()), "{err}");
        assert!(!data_dir.exists(), "nothing was started");
    }
}

#[test]
fn an_output_directory_is_created_only_when_there_is_output() {
    let (data_dir, _turn) = data_dir();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("a/b");
    let run = |file: &str| done(program(data_dir).arg("run").arg("--output").arg(&output).arg(fixture(file)));
    assert_eq!(run("corrupt.xlsx").0, Some(1));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of the check");
    assert_eq!(run("roster.csv").0, Some(0));
    assert!(output.join("normalized.xlsx").is_file());
}

/// A package index that takes requests and never answers them.
fn silent_index() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/simple/", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn fetching_uv_is_reported_while_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    // Nothing on the search path, so that there is no uv to find.
    let (_listener, url) = silent_index();
    let mut command = ade(&folder.path().join("data"), &settings());
    command
        .env("PATH", folder.path())
        .env("ADE_PYTHON_BIN", ade_test_support::tools::python())
        .env("PIP_INDEX_URL", url)
        .arg("run")
        .arg(fixture("roster.csv"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    await_line(&mut stderr, "[build] looking for the interpreter and the installer");
    // What pip says on the way, which waits for the index.
    await_line(&mut stderr, "[build] Looking in indexes");
    assert!(child.try_wait().unwrap().is_none(), "it is still being fetched");
    process::signal(child.id(), libc::SIGINT);
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn unreadable_input_is_reported_by_code_and_message() {
    let (data_dir, _turn) = data_dir();
    let (code, _, err) = done(program(data_dir).arg("run").arg(fixture("corrupt.xlsx")));
    assert_eq!(code, Some(1));
    assert!(err.contains("input_error: corrupt.xlsx cannot be read as a workbook"), "{err}");
    let (code, _, err) = done(program(data_dir).args(["run", "--sheet", "Missing"]).arg(fixture("roster.xlsx")));
    assert_eq!(code, Some(1));
    assert!(err.contains("input_error: sheet Missing not found in roster.xlsx"), "{err}");
}

#[test]
fn a_broken_configuration_fails_the_run() {
    let (data_dir, _turn) = data_dir();
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine");
    ade::package::write_template("default", &mine).unwrap();
    std::fs::write(mine.join("src/ade_config/columns/email.py"), "def transform(:\n").unwrap();
    let mut command = program(data_dir);
    let (code, out, err) = done(command.arg("run").arg("--config-dir").arg(&mine).arg(fixture("roster.csv")));
    assert_eq!(code, Some(1), "{out}\n{err}");
    assert!(err.contains("config_error: ") && err.contains("email"), "{err}");
}

#[test]
fn outputs_are_written_where_requested() {
    let (data_dir, _turn) = data_dir();
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(data_dir);
    let (code, out, err) = done(command.arg("run").arg("--output").arg(folder.path()).arg(fixture("roster.csv")));
    assert_eq!(code, Some(0), "{out}\n{err}");
    let path = folder.path().join("normalized.xlsx");
    assert_eq!(out.lines().last(), path.to_str());
    assert_eq!(workbook::records(&path).len(), 40);
}

/// The program with the scripted engine, doing this script.
fn scripted(data_dir: &Path, script: &str, grace: &str) -> Command {
    let input = data_dir.join("script.txt");
    std::fs::write(&input, script).unwrap();
    let mut settings = settings();
    settings.insert("ADE_CANCEL_GRACE", grace.to_owned());
    let mut command = ade(data_dir, &settings);
    command.args(["run", "--config-dir"]).arg(tools::package("configuration")).arg(input);
    command
}

#[test]
fn an_engine_that_fails_is_told_with_the_end_of_what_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = done(&mut scripted(folder.path(), "stderr so sad\nexit 3", "1s"));
    assert_eq!(code, Some(1), "{out}");
    assert!(err.contains("engine_error: the engine exited with code 3") && err.contains("  so sad"), "{err}");
}

/// A command whose engine is at work.
struct AtWork {
    child: Child,
    stderr: BufReader<ChildStderr>,
    run: String,
}

impl AtWork {
    /// Returns when the engine says that it is ready.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let run = await_line(&mut stderr, "run run_").trim_start_matches("run ").to_owned();
        await_line(&mut stderr, "ready");
        assert!(!process::of_run(&run).is_empty(), "{run:?} is at work");
        Self { child, stderr, run }
    }

    /// The exit code, once the command has ended and left nothing.
    fn end(mut self) -> Option<i32> {
        // Nobody may write into a closed pipe.
        std::thread::spawn(move || std::io::copy(&mut self.stderr, &mut std::io::sink()));
        let ended = eventually("end of the command", || self.child.try_wait().unwrap());
        let left = process::of_run(&self.run);
        assert!(left.is_empty(), "{}", process::describe(&left));
        ended.code()
    }
}

fn await_line(output: &mut impl BufRead, wanted: &str) -> String {
    let mut lines = output.lines().map_while(Result::ok);
    lines.find(|line| line.contains(wanted)).unwrap_or_else(|| panic!("{wanted:?} is printed"))
}

#[test]
fn an_interrupt_cancels_the_run_and_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = scripted(folder.path(), "ignore\ndaemon\ngroup\nprint ready\nsleep 1000", "1s");
    let at_work = AtWork::start(&mut command);
    let run = at_work.run.clone();
    process::signal(at_work.child.id(), libc::SIGINT);
    assert_eq!(at_work.end(), Some(130));
    let (code, out, _) = done(ade(folder.path(), &settings()).args(["tail", "--json", &run]));
    assert_eq!(code, Some(1), "a run that was cancelled has not succeeded");
    assert!(out.lines().last().unwrap().contains("\"status\":\"cancelled\""), "{out}");
    assert_eq!(done(ade(folder.path(), &settings()).arg("verify")).0, Some(0));
}

#[test]
fn a_second_interrupt_does_not_wait_for_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = scripted(folder.path(), "ignore\ndaemon\nprint ready\nsleep 1000", "120s");
    let mut at_work = AtWork::start(&mut command);
    process::signal(at_work.child.id(), libc::SIGINT);
    await_line(&mut at_work.stderr, "interrupted");
    process::signal(at_work.child.id(), libc::SIGINT);
    assert_eq!(at_work.end(), Some(130));
}
