//! Builds and runs: a warm build with each installer, and what the service adds to an engine's own time.
//!
//! `cargo bench --bench builds -- [--quick]`. The first build of each installer fetches packages and is not counted.

mod support;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use support::service::Site;
use support::{Bench, Outcome};

const LIMIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    support::run("builds", measure)
}

fn measure(bench: &mut Bench) -> Outcome {
    for installer in ["uv", "pip"] {
        let name = format!("warm build, {installer}");
        if bench.wants(&name)
            && let Err(error) = builds(bench, installer, &name)
        {
            eprintln!("  no builds with {installer}: {error}");
        }
    }
    if bench.wants("run") { overhead(bench) } else { Ok(()) }
}

/// The built-in engine and the default template: from the request until the build is active.
fn builds(bench: &mut Bench, installer: &str, name: &str) -> Outcome {
    let site = Site::open(&bench.folder(installer)?, &[("ADE_INSTALLER", installer)])?;
    site.build(true)?;
    for _ in 0..bench.runs(5) {
        let begin = Instant::now();
        site.build(true)?;
        bench.report.add(name, "ms", begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}

/// An engine that ends at once, with the service and without it in turns.
fn overhead(bench: &mut Bench) -> Outcome {
    let site = Site::scripted(bench, &[])?;
    let python = site.python()?;
    let rounds = if bench.options.quick { 5 } else { bench.runs(20) };
    for round in 0..rounds + 1 {
        let run = site.start_run(&[])?;
        let took = duration(&site.finished_run(&run, LIMIT)?)?;
        let alone = engine_alone(&python)?;
        // The first one finds cold caches.
        if round > 0 {
            bench.report.add("run, created to completed", "ms", took);
            bench.report.add("its engine without the service", "ms", alone);
            bench.report.add("run, what the service adds", "ms", took - alone);
        }
    }
    Ok(())
}

/// From `created_at` to `completed_at`, in milliseconds.
fn duration(run: &Value) -> Outcome<f64> {
    let time = |key: &str| -> Outcome<DateTime<Utc>> { Ok(run[key].as_str().ok_or("the run has no time")?.parse()?) };
    let took = time("completed_at")? - time("created_at")?;
    Ok(took.num_microseconds().ok_or("the run took too long")? as f64 / 1e3)
}

fn engine_alone(python: &Path) -> Outcome<f64> {
    let mut command = Command::new(python);
    command.args(["-m", "ade_engine", "run", "--metadata", "mode=nothing"]);
    command.env("PYTHONUNBUFFERED", "1").stdin(Stdio::null()).stdout(Stdio::null());
    let begin = Instant::now();
    let status = command.status()?;
    if status.success() { Ok(begin.elapsed().as_secs_f64() * 1e3) } else { Err(format!("the engine: {status}").into()) }
}
