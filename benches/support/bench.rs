//! One measuring program: its options, its scratch folder, and the limit of its life.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use super::report::Report;

pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[derive(Debug, Parser)]
pub struct Options {
    /// Short settings: shows that everything works, and gives no figures to quote.
    #[arg(long)]
    pub quick: bool,
    /// Runs of each measurement.
    #[arg(long)]
    runs: Option<usize>,
    /// Results are added to this file, one JSON object a line.
    #[arg(long)]
    json: Option<PathBuf>,
    /// The whole program is given up after so many seconds.
    #[arg(long, default_value_t = 3600)]
    limit: u64,
    /// Only measurements whose name contains this.
    #[arg(long)]
    pub only: Option<String>,
    /// With sign-in: requests show a key, readers a ticket each.
    #[arg(long)]
    pub sign_in: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

pub struct Bench {
    pub options: Options,
    pub report: Report,
    scratch: PathBuf,
}

/// Runs a measuring program and prints what it has reported.
pub fn run(name: &'static str, measure: impl FnOnce(&mut Bench) -> Outcome) -> ExitCode {
    let options = Options::parse();
    let scratch = match scratch_folder(name) {
        Ok(scratch) => scratch,
        Err(error) => {
            eprintln!("no scratch folder: {error}");
            return ExitCode::FAILURE;
        }
    };
    watch_time(options.limit, scratch.clone());
    let report = Report::new(name, options.quick, options.json.clone());
    let mut bench = Bench { options, report, scratch };
    let outcome = measure(&mut bench);
    bench.report.print();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name} failed: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Bench {
    /// `full`, or `quick` where that was asked for.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.options.quick { quick } else { full }
    }

    /// How often each measurement is made.
    pub fn runs(&self, full: usize) -> usize {
        self.options.runs.unwrap_or(if self.options.quick { 1 } else { full }).max(1)
    }

    pub fn wants(&self, name: &str) -> bool {
        self.options.only.as_deref().is_none_or(|only| name.contains(only))
    }

    /// A folder on the disk that the target folder is on, gone with the program.
    pub fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.scratch.join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// A path in the scratch folder that nothing is at.
    pub fn fresh_path(&self, name: &str) -> PathBuf {
        let mut number = 0;
        loop {
            let path = self.scratch.join(format!("{name}-{number}"));
            if !path.exists() {
                return path;
            }
            number += 1;
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

/// The folder of release programs: `<target>/release`.
pub fn programs() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.ancestors().nth(2).unwrap_or(Path::new(".")).to_owned()
}

fn scratch_folder(name: &str) -> std::io::Result<PathBuf> {
    let all = programs().parent().unwrap_or(Path::new(".")).join("bench/scratch");
    std::fs::create_dir_all(&all)?;
    sweep(&all)?;
    let folder = all.join(format!("{name}.{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    Ok(folder)
}

/// Removes what programs that were killed have left.
fn sweep(all: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(all)? {
        let path = entry?.path();
        let pid = path.extension().and_then(|pid| pid.to_str()).and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            std::fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// The last resort: ends the process, and with it its children.
fn watch_time(seconds: u64, scratch: PathBuf) {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(seconds));
        eprintln!("given up after {seconds} s");
        let _ = std::fs::remove_dir_all(scratch);
        std::process::exit(2);
    });
}
