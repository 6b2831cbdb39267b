//! `ade run`: from a spreadsheet to its workbook.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
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

/// Runs a file that must succeed; its output and where the workbook is.
fn succeed(data_dir: &Path, file: &str) -> (String, PathBuf) {
    let (code, out, err) = done(program(data_dir).arg("run").arg(fixture(file)));
    assert_eq!(code, Some(0), "{out}\n{err}");
    let last = PathBuf::from(out.lines().last().unwrap());
    assert!(last.is_file() && last.ends_with("output/normalized.xlsx"), "{last:?}");
    (out, last)
}

#[test]
fn every_kind_of_sheet_becomes_the_same_kind_of_workbook() {
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
    let (out, _) = succeed(data_dir, "title_rows.xlsx");
    assert!(out.contains("environment reused") && !out.contains("creating virtual environment"), "{out}");
}

#[test]
fn what_cannot_be_read_is_told_by_code_and_message() {
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
fn the_outputs_go_where_they_are_asked_to() {
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
    stdout: BufReader<ChildStdout>,
    run: String,
}

impl AtWork {
    /// Returns when the engine says that it is ready.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let run = await_line(&mut stdout, "run run_").trim_start_matches("run ").to_owned();
        await_line(&mut stdout, "ready");
        assert!(!process::of_run(&run).is_empty(), "{run:?} is at work");
        Self { child, stdout, run }
    }

    /// The exit code, once the command has ended and left nothing.
    fn end(mut self) -> Option<i32> {
        // Nobody may write into a closed pipe.
        std::thread::spawn(move || std::io::copy(&mut self.stdout, &mut std::io::sink()));
        let ended = eventually("end of the command", || self.child.try_wait().unwrap());
        let left = process::of_run(&self.run);
        assert!(left.is_empty(), "{}", process::describe(&left));
        ended.code()
    }
}

fn await_line(stdout: &mut impl BufRead, wanted: &str) -> String {
    let mut lines = stdout.lines().map_while(Result::ok);
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
    await_line(&mut at_work.stdout, "interrupted");
    process::signal(at_work.child.id(), libc::SIGINT);
    assert_eq!(at_work.end(), Some(130));
}
